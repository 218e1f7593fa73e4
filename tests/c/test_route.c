/* SPDX-License-Identifier: MIT */
/* Routes: each request byte by byte, and the decoding of RTM_NEWROUTE and RTM_DELROUTE,
 * complete, truncated and malformed. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"
#include "codec.h"

enum {
    VIA = 18,        /* RTA_VIA; not in the headers of older kernels */
    NESTED = 0x8000, /* NLA_F_NESTED */
};

/* ---- requests ---- */

static struct netstrat_route to_link(const char *destination)
{
    struct netstrat_route route;

    memset(&route, 0, sizeof route);
    route.destination = prefix_of(destination);
    route.table = RT_TABLE_MAIN;
    route.type = RTN_UNICAST;
    route.protocol = RTPROT_STATIC;
    route.index = 7;
    return route;
}

enum { SET = NLM_F_REQUEST | NLM_F_ACK, ADD = SET | NLM_F_CREATE | NLM_F_EXCL };
enum { DUMP = NLM_F_REQUEST | NLM_F_DUMP };

/* A gateway alone: the default route through it in the main table, as `ip` adds it. */
static struct netstrat_route through_gateway(void)
{
    struct netstrat_route route;

    memset(&route, 0, sizeof route);
    route.gateway = prefix_of("2001:db8::1");
    return route;
}

static int encode_zeroed(struct netstrat_batch *batch)
{
    struct netstrat_route route = through_gateway();

    return netstrat_batch_add_route(batch, &route);
}

static int encode_zeroed_delete(struct netstrat_batch *batch)
{
    struct netstrat_route route = through_gateway();

    return netstrat_batch_delete_route(batch, &route);
}

static int encode_link(struct netstrat_batch *batch)
{
    struct netstrat_route route = to_link("192.0.2.0/24");

    route.scope = RT_SCOPE_LINK;
    return netstrat_batch_add_route(batch, &route);
}

/* A route with all fields. */
static struct netstrat_route whole(void)
{
    struct netstrat_route route = to_link("192.0.2.0/24");

    route.gateway = prefix_of("198.51.100.1");
    route.source = prefix_of("192.0.2.9");
    route.metric = 0x01020304;
    route.table = 1000;
    route.flags = RTNH_F_ONLINK;
    route.mtu = 1400;
    route.advmss = 1360;
    return route;
}

static int encode_whole(struct netstrat_batch *batch)
{
    struct netstrat_route route = whole();

    return netstrat_batch_add_route(batch, &route);
}

static int encode_mtu(struct netstrat_batch *batch)
{
    struct netstrat_route route = to_link("192.0.2.0/24");

    route.mtu = 1400;
    return netstrat_batch_add_route(batch, &route);
}

static int encode_advmss(struct netstrat_batch *batch)
{
    struct netstrat_route route = to_link("192.0.2.0/24");

    route.advmss = 1360;
    return netstrat_batch_add_route(batch, &route);
}

static int encode_default(struct netstrat_batch *batch)
{
    struct netstrat_route route = to_link("::/0");

    route.gateway = prefix_of("2001:db8::1");
    route.index = 0;
    route.table = 255;
    return netstrat_batch_add_route(batch, &route);
}

static int encode_via(struct netstrat_batch *batch)
{
    struct netstrat_route route = to_link("0.0.0.0/0");

    route.gateway = prefix_of("fe80::1");
    return netstrat_batch_add_route(batch, &route);
}

static int encode_six_via_four(struct netstrat_batch *batch)
{
    struct netstrat_route route = to_link("2001:db8::/32");

    route.gateway = prefix_of("192.0.2.1");
    return netstrat_batch_delete_route(batch, &route);
}

static int encode_delete(struct netstrat_batch *batch)
{
    struct netstrat_route route = whole();

    return netstrat_batch_delete_route(batch, &route);
}

static int encode_dump(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_routes(batch, 0);
}

static int encode_dump_of_link(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_routes(batch, 7);
}

struct via { /* struct rtvia */
    uint16_t family;
    unsigned char address[16];
};

#define SIX(last) "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0" last
#define HEAD(family, length, table, scope, flags)                                                  \
    FIXED(struct rtmsg, family, length, 0, 0, table, RTPROT_STATIC, scope, RTN_UNICAST, flags)
#define IN_MAIN_TABLE U32(RTA_OIF, 7), U32(RTA_TABLE, RT_TABLE_MAIN)
#define ZEROED(protocol, kind)                                                                     \
    FIXED(struct rtmsg, AF_INET6, 0, 0, 0, RT_TABLE_MAIN, protocol, 0, kind, 0),                   \
        ATTRIBUTE(RTA_GATEWAY, SIX("\1"), 16), U32(RTA_TABLE, RT_TABLE_MAIN)
#define WHOLE /* a table above 255 is only in its attribute */                                     \
    HEAD(AF_INET, 24, 0, 0, RTNH_F_ONLINK), ATTRIBUTE(RTA_DST, "\xc0\0\2\0", 4),                   \
        ATTRIBUTE(RTA_GATEWAY, "\xc6\x33\x64\1", 4), ATTRIBUTE(RTA_PREFSRC, "\xc0\0\2\x09", 4),    \
        U32(RTA_OIF, 7), U32(RTA_PRIORITY, 0x01020304), U32(RTA_TABLE, 1000),                      \
        NEST(RTA_METRICS | NESTED, U32(RTAX_MTU, 1400), U32(RTAX_ADVMSS, 1360))
#define TO_SUBNET                                                                                  \
    HEAD(AF_INET, 24, RT_TABLE_MAIN, 0, 0), ATTRIBUTE(RTA_DST, "\xc0\0\2\0", 4), IN_MAIN_TABLE

static const struct via via_six = {AF_INET6, {0xfe, 0x80, [15] = 1}};
static const struct via via_four = {AF_INET, {192, 0, 2, 1}};

static const struct encoder encoders[] = {
    {"a route to a link", encode_link,
     MESSAGE(RTM_NEWROUTE, ADD, HEAD(AF_INET, 24, RT_TABLE_MAIN, RT_SCOPE_LINK, 0),
             ATTRIBUTE(RTA_DST, "\xc0\0\2\0", 4), IN_MAIN_TABLE)},
    {"a gateway alone", encode_zeroed,
     MESSAGE(RTM_NEWROUTE, ADD, ZEROED(RTPROT_BOOT, RTN_UNICAST))},
    {"a deletion by gateway, of any type and protocol", encode_zeroed_delete,
     MESSAGE(RTM_DELROUTE, SET, ZEROED(0, 0))},
    {"a route with all fields", encode_whole, MESSAGE(RTM_NEWROUTE, ADD, WHOLE)},
    {"a default route", encode_default,
     MESSAGE(RTM_NEWROUTE, ADD, HEAD(AF_INET6, 0, 255, 0, 0), ATTRIBUTE(RTA_GATEWAY, SIX("\1"), 16),
             U32(RTA_TABLE, 255))},
    {"an IPv6 gateway for IPv4", encode_via,
     MESSAGE(RTM_NEWROUTE, ADD, HEAD(AF_INET, 0, RT_TABLE_MAIN, 0, 0), ATTRIBUTE(VIA, &via_six, 18),
             IN_MAIN_TABLE)},
    {"an IPv4 gateway for IPv6", encode_six_via_four,
     MESSAGE(RTM_DELROUTE, SET, HEAD(AF_INET6, 32, RT_TABLE_MAIN, 0, 0),
             ATTRIBUTE(RTA_DST, SIX("\0"), 16), ATTRIBUTE(VIA, &via_four, 6), IN_MAIN_TABLE)},
    {"an MTU", encode_mtu,
     MESSAGE(RTM_NEWROUTE, ADD, TO_SUBNET, NEST(RTA_METRICS | NESTED, U32(RTAX_MTU, 1400)))},
    {"an advertised MSS", encode_advmss,
     MESSAGE(RTM_NEWROUTE, ADD, TO_SUBNET, NEST(RTA_METRICS | NESTED, U32(RTAX_ADVMSS, 1360)))},
    {"a deletion", encode_delete, MESSAGE(RTM_DELROUTE, SET, WHOLE)},
    {"a dump", encode_dump,
     MESSAGE(RTM_GETROUTE, DUMP, FIXED(struct rtmsg, 0, 0, 0, 0, 0, 0, 0, 0, 0))},
    {"a dump of one link", encode_dump_of_link,
     MESSAGE(RTM_GETROUTE, DUMP, FIXED(struct rtmsg, 0, 0, 0, 0, 0, 0, 0, 0, 0), U32(RTA_OIF, 7))},
};

enum { TO_LINK = 0, SIX_VIA_FOUR = 6, FOUR_VIA_SIX = 5 }; /* rows of the table */

TEST(the_requests_have_these_bytes)
{
    CHECK_ENCODERS(encoders);
}

/* Returns 1 if adding and deleting are refused and leave the batch unchanged. */
static int is_refused(const struct netstrat_route *route)
{
    unsigned char buffer[512];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(encode_link(&batch) == 0);
    CHECK(netstrat_batch_add_route(&batch, route) == netstrat_batch_delete_route(&batch, route));
    if (batch.count > 1)
        return 0;
    CHECK(batch.used == 16 + 12 + 8 + 8 + 8 && batch.code == 0);
    return 1;
}

TEST(an_invalid_route_is_refused)
{
    unsigned char buffer[256];
    struct netstrat_batch batch;
    struct netstrat_route route = whole();

    CHECK(!is_refused(&route));
    for (int family = 0; family < 256; family++) {
        int known = family == AF_INET || family == AF_INET6;

        route = to_link("192.0.2.0/24");
        route.destination.family = (uint8_t)family;
        CHECK(is_refused(&route) == !known);
        route = whole();
        route.gateway.family = (uint8_t)family;
        CHECK(is_refused(&route) == (family != 0 && !known));
        route = whole();
        route.source.family = (uint8_t)family;
        CHECK(is_refused(&route) == (family != 0 && family != AF_INET));
    }
    route = whole(); /* a destination without a family */
    route.destination.family = 0;
    CHECK(is_refused(&route));
    for (int length = 0; length < 256; length++) {
        route = whole();
        route.destination.length = (uint8_t)length;
        CHECK(is_refused(&route) == (length > 32));
        route = whole();
        route.gateway.length = (uint8_t)length;
        CHECK(is_refused(&route) == (length > 32));
        route = whole();
        route.source.length = (uint8_t)length;
        CHECK(is_refused(&route) == (length > 32));
        route = to_link("::/0");
        route.destination.length = (uint8_t)length;
        CHECK(is_refused(&route) == (length > 128));
    }
    route = whole();
    route.index = -1;
    CHECK(is_refused(&route));
    route.index = INT32_MAX;
    CHECK(!is_refused(&route));

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(netstrat_batch_dump_routes(&batch, -1) == -EINVAL && batch.used == 0);
    CHECK(netstrat_batch_dump_routes(&batch, 0) == 0);
}

TEST(the_encoder_survives_any_bytes_as_a_route)
{
    unsigned char *buffer = (unsigned char *)malloc(256);
    struct netstrat_route *route = (struct netstrat_route *)malloc(sizeof *route);
    struct netstrat_batch batch;
    uint32_t random = 1, added = 0;

    for (int i = 0; i < 20000; i++) {
        *route = whole();
        random = scramble(route, sizeof *route, 3, random);
        netstrat_batch_init(&batch, buffer, (random >> 4) % 257);
        (void)netstrat_batch_delete_route(&batch, route);
        if (netstrat_batch_add_route(&batch, route) == 0)
            added++;
        CHECK(batch.used <= batch.size && batch.code == 0);
    }
    CHECK(added > 1000 && added < 19000);
    free(route);
    free(buffer);
}

/* ---- answers ---- */

static int decode(const struct netstrat_message *message)
{
    struct netstrat_route route, before;
    int code;

    memset(&route, 0xa5, sizeof route);
    before = route;
    code = netstrat_route_decode(message, &route);
    if (code < 0) {
        CHECK(code == -EBADMSG || code == -EAFNOSUPPORT);
        CHECK(memcmp(&route, &before, sizeof route) == 0);
    } else {
        CHECK(route.destination.family == AF_INET || route.destination.family == AF_INET6);
        CHECK(route.destination.length <= (route.destination.family == AF_INET ? 32 : 128));
        CHECK(route.source.family == 0 || route.source.family == route.destination.family);
        CHECK(route.gateway.length == (route.gateway.family == AF_INET    ? 32
                                       : route.gateway.family == AF_INET6 ? 128
                                                                          : 0));
    }
    return code;
}

static struct netstrat_route decoded(const struct bytes *bytes)
{
    struct netstrat_message message = only_message(bytes);
    struct netstrat_route route;

    memset(&route, 0xa5, sizeof route);
    CHECK(netstrat_route_decode(&message, &route) == 0);
    return route;
}

TEST(every_field_of_a_route_is_decoded)
{
    const uint16_t deleted = RTM_DELROUTE;
    struct bytes bytes = BYTES_OF(RTM_NEWROUTE, 0, WHOLE,
                                  ATTRIBUTE(RTA_CACHEINFO, "12345678123456781234567812345678", 32));
    struct netstrat_route route = decoded(&bytes), wanted = whole();

    CHECK(is_prefix(&route.destination, "192.0.2.0/24"));
    CHECK(is_prefix(&route.gateway, "198.51.100.1"));
    CHECK(is_prefix(&route.source, "192.0.2.9"));
    CHECK(route.metric == wanted.metric && route.table == 1000 && route.index == 7);
    CHECK(route.scope == wanted.scope && route.type == RTN_UNICAST);
    CHECK(route.protocol == RTPROT_STATIC && route.flags == RTNH_F_ONLINK);
    CHECK(route.mtu == 1400 && route.advmss == 1360);
    check_mutations(decode, &bytes);

    memcpy(bytes.data + 4, &deleted, sizeof deleted);
    CHECK(decoded(&bytes).index == 7);
}

TEST(missing_attributes_of_a_route_are_zero)
{
    struct bytes bytes = BYTES_OF(RTM_NEWROUTE, 0, HEAD(AF_INET6, 0, 254, RT_SCOPE_UNIVERSE, 0));
    struct netstrat_route route = decoded(&bytes);

    CHECK(route.destination.family == AF_INET6 && route.destination.length == 0);
    CHECK(route.gateway.family == 0 && route.source.family == 0 && route.index == 0);
    CHECK(route.mtu == 0 && route.advmss == 0);
    CHECK(route.metric == 0 && route.table == 254); /* without RTA_TABLE, of Linux 2.6.19 */
    check_mutations(decode, &bytes);
}

#define HOP(index)                                                                                 \
    FIXED(struct rtnexthop, sizeof(struct rtnexthop) + 8, 0, 0, index),                            \
        ATTRIBUTE(RTA_GATEWAY, "\xc0\0\2\1", 4)

TEST(a_route_with_several_next_hops_has_no_link)
{
    struct bytes bytes = BYTES_OF(RTM_NEWROUTE, 0, HEAD(AF_INET, 0, RT_TABLE_MAIN, 0, 0),
                                  NEST(RTA_MULTIPATH, HOP(7), HOP(8)), U32(RTA_TABLE, 1000));
    struct netstrat_route route = decoded(&bytes);

    CHECK(route.index == 0 && route.gateway.family == 0 && route.table == 1000);
    check_mutations(decode, &bytes);
}

TEST(a_gateway_may_be_of_the_other_family)
{
    struct bytes four = bytes_of(&encoders[FOUR_VIA_SIX].message);
    struct bytes six = bytes_of(&encoders[SIX_VIA_FOUR].message);
    struct netstrat_route route = decoded(&four);

    CHECK(route.destination.family == AF_INET && is_prefix(&route.gateway, "fe80::1"));
    check_mutations(decode, &four);
    route = decoded(&six);
    CHECK(route.destination.family == AF_INET6 && is_prefix(&route.gateway, "192.0.2.1"));
}

static void put_fixed(struct bytes *to, unsigned family, unsigned length, unsigned flags)
{
    struct rtmsg fixed;

    memset(&fixed, 0, sizeof fixed);
    fixed.rtm_family = (unsigned char)family;
    fixed.rtm_dst_len = (unsigned char)length;
    fixed.rtm_table = RT_TABLE_MAIN;
    fixed.rtm_protocol = RTPROT_STATIC;
    fixed.rtm_type = RTN_UNICAST;
    fixed.rtm_flags = flags;
    put(to, &fixed, sizeof fixed);
}

/* Decodes a route with one more attribute. */
static int decode_with(unsigned family, unsigned length, uint16_t type, const void *value,
                       size_t size)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_message message;
    size_t at = begin(&bytes, RTM_NEWROUTE, 0, 1, 2);

    put_fixed(&bytes, family, length, 0);
    if (type != 0)
        attribute(&bytes, type, value, size);
    finish(&bytes, at);
    message = only_message(&bytes);
    return decode(&message);
}

TEST(an_attribute_of_the_wrong_size_is_malformed)
{
    static const struct {
        uint16_t type;
        size_t four, six; /* the minimum size for each family */
    } rows[] = {
        {RTA_DST, 4, 16}, {RTA_GATEWAY, 4, 16}, {RTA_PREFSRC, 4, 16},
        {RTA_OIF, 4, 4},  {RTA_PRIORITY, 4, 4}, {RTA_TABLE, 4, 4},
    };
    static const unsigned char zeros[24] = {0};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t size = 0; size <= sizeof zeros; size++) {
            CHECK(decode_with(AF_INET, 0, rows[i].type, zeros, size) ==
                  (size >= rows[i].four ? 0 : -EBADMSG));
            CHECK(decode_with(AF_INET6, 0, rows[i].type, zeros, size) ==
                  (size >= rows[i].six ? 0 : -EBADMSG));
        }
}

TEST(other_metrics_are_ignored_and_short_ones_are_malformed)
{
    struct bytes known = BYTES_OF(RTM_NEWROUTE, 0, HEAD(AF_INET, 0, RT_TABLE_MAIN, 0, 0),
                                  NEST(RTA_METRICS, U32(RTAX_HOPLIMIT, 64), U32(RTAX_ADVMSS, 9),
                                       U32(RTAX_LOCK, 1)));
    struct netstrat_route route = decoded(&known);

    CHECK(route.mtu == 0 && route.advmss == 9);
    for (uint16_t type = 0; type < 20; type++)
        for (uint16_t size = 0; size < 8; size++) {
            const uint16_t head[2] = {(uint16_t)(sizeof head + size), type};
            unsigned char value[12] = {0};
            const int is_read = type == RTAX_MTU || type == RTAX_ADVMSS;

            memcpy(value, head, sizeof head);
            CHECK(decode_with(AF_INET, 0, RTA_METRICS, value, sizeof head + size) ==
                  (is_read && size < 4 ? -EBADMSG : 0));
        }
    CHECK(decode_with(AF_INET, 0, RTA_METRICS, "\11\0\2\0\1\0\0\0", 8) == -EBADMSG);
}

TEST(a_gateway_of_an_unknown_family_is_ignored)
{
    unsigned char via[24] = {0};

    for (uint16_t family = 0; family < 300; family++) {
        size_t least = family == AF_INET ? 6 : family == AF_INET6 ? 18 : 2;

        memcpy(via, &family, sizeof family);
        for (size_t size = 0; size <= sizeof via; size++)
            CHECK(decode_with(AF_INET, 0, VIA, via, size) == (size >= least ? 0 : -EBADMSG));
    }
}

TEST(a_missing_or_invalid_destination_is_malformed)
{
    static const unsigned char zeros[16] = {0};

    for (unsigned length = 0; length < 256; length++) {
        CHECK(decode_with(AF_INET, length, 0, NULL, 0) == (length == 0 ? 0 : -EBADMSG));
        CHECK(decode_with(AF_INET, length, RTA_DST, zeros, 4) == (length <= 32 ? 0 : -EBADMSG));
        CHECK(decode_with(AF_INET6, length, RTA_DST, zeros, 16) == (length <= 128 ? 0 : -EBADMSG));
    }
}

TEST(a_route_of_another_family_is_eafnosupport)
{
    for (unsigned family = 0; family < 256; family++)
        CHECK(decode_with(family, 0, 0, NULL, 0) ==
              (family == AF_INET || family == AF_INET6 ? 0 : -EAFNOSUPPORT));
}

TEST(other_messages_are_not_routes)
{
    static const uint16_t types[] = {RTM_GETROUTE, RTM_NEWLINK, RTM_NEWADDR, NLMSG_ERROR};
    struct netstrat_message message;
    struct bytes bytes = bytes_of(&encoders[TO_LINK].message);

    message = only_message(&bytes);
    CHECK(decode(&message) == 0);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        message.type = types[i];
        CHECK(decode(&message) == -EBADMSG);
    }
    message = only_message(&bytes);
    message.payload.missing = 1; /* a truncated message */
    CHECK(decode(&message) == -EBADMSG);
}

/* ---- copies ---- */

enum {
    COPY = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE,
    BY_KERNEL = 16 | 0x200, /* RTNH_F_LINKDOWN, RTM_F_CLONED: two of the flags that it sets */
};

/* The payload of a dumped route with each kind of attribute that a copy changes. */
static void put_dumped(struct bytes *to, unsigned family, unsigned flags, int hops, int expires)
{
    struct rta_cacheinfo cache;
    struct rtnexthop hop;
    size_t outer;

    put_fixed(to, family, 0, flags);
    if (hops) {
        outer = open_attribute(to, RTA_MULTIPATH);
        for (int i = 0; i < 2; i++) {
            memset(&hop, 0, sizeof hop);
            hop.rtnh_len = sizeof hop + 8;
            hop.rtnh_flags = (unsigned char)flags;
            hop.rtnh_ifindex = 7 + i;
            put(to, &hop, sizeof hop);
            attribute(to, RTA_GATEWAY, "\xc0\0\2\1", 4);
        }
        close_attribute(to, outer);
    } else {
        attribute(to, RTA_OIF, &(const uint32_t){7}, 4);
    }
    memset(&cache, 0, sizeof cache);
    cache.rta_expires = expires;
    cache.rta_used = flags & BY_KERNEL ? 5 : 0;
    attribute(to, RTA_CACHEINFO, &cache, sizeof cache);
}

TEST(a_copy_of_a_route_has_all_but_what_the_kernel_sets)
{
    for (int hops = 0; hops < 2; hops++) {
        for (int six = 0; six < 2; six++) {
            const unsigned family = six ? AF_INET6 : AF_INET;
            const int flags = COPY | (six && hops ? NLM_F_REPLACE : NLM_F_APPEND);
            struct bytes dumped = {{0}, 0}, wanted = {{0}, 0};
            struct netstrat_route route;

            put_dumped(&dumped, family, RTNH_F_ONLINK | BY_KERNEL, hops, 0);
            put_dumped(&wanted, family, RTNH_F_ONLINK, hops, 0);
            CHECK(netstrat_route_to_request(dumped.data, dumped.length, &route) == flags);
            CHECK(memcmp(dumped.data, wanted.data, wanted.length) == 0);
            CHECK(route.several == hops && route.index == (hops ? 0 : 7));
        }
    }
}

TEST(a_route_that_expires_or_comes_with_an_address_is_not_copied)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_route route;
    struct rtmsg *fixed = (struct rtmsg *)bytes.data;

    put_dumped(&bytes, AF_INET6, 0, 0, 1);
    CHECK(netstrat_route_to_request(bytes.data, bytes.length, &route) == -ENODATA);

    bytes.length = 0;
    put_dumped(&bytes, AF_INET, 0, 0, 0);
    fixed->rtm_protocol = RTPROT_KERNEL;
    CHECK(netstrat_route_to_request(bytes.data, bytes.length, &route) > 0); /* to a subnet */
    fixed->rtm_type = RTN_LOCAL;
    CHECK(netstrat_route_to_request(bytes.data, bytes.length, &route) == -ENODATA);
    fixed->rtm_protocol = RTPROT_STATIC;
    CHECK(netstrat_route_to_request(bytes.data, bytes.length, &route) > 0);
}

TEST(a_malformed_route_is_not_copied)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_route route;

    put_dumped(&bytes, AF_INET, 0, 1, 0);
    for (size_t size = 0; size < bytes.length; size++) {
        unsigned char *copy = (unsigned char *)malloc(size + 1);
        const int whole = size == sizeof(struct rtmsg) || size == sizeof(struct rtmsg) + 36;
        int code;

        memcpy(copy, bytes.data, size);
        code = netstrat_route_to_request(copy, size, &route);
        CHECK(whole ? code > 0 : code == -EBADMSG);
        free(copy);
    }
    bytes.data[0] = AF_UNSPEC;
    CHECK(netstrat_route_to_request(bytes.data, bytes.length, &route) == -EAFNOSUPPORT);
}

TEST(next_hops_of_any_bytes_do_no_harm)
{
    struct netstrat_route route;
    uint32_t random = 1;

    for (int i = 0; i < 20000; i++) {
        struct bytes bytes = {{0}, 0};
        unsigned char *copy;

        put_dumped(&bytes, i % 2 ? AF_INET : AF_INET6, 0, 1, 0);
        random = scramble(bytes.data, bytes.length, 3, random);
        copy = (unsigned char *)malloc(bytes.length);
        memcpy(copy, bytes.data, bytes.length);
        (void)netstrat_route_to_request(copy, bytes.length, &route);
        free(copy);
    }
}
