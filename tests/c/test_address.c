/* SPDX-License-Identifier: MIT */
/* Addresses: parsed and formatted, each request byte by byte, and the decoding of RTM_NEWADDR
 * and RTM_DELADDR, complete, truncated and malformed. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"
#include "codec.h"

#include <linux/if_addr.h>

/* Not in the headers of older kernels. */
enum { FLAGS = 8 /* IFA_FLAGS */, RT_PRIORITY = 9, PROTO = 11, MANAGETEMPADDR = 0x100 };

/* ---- text ---- */

TEST(an_address_is_parsed_and_formatted)
{
    static const struct {
        const char *text;
        int family;
        unsigned length;
        const char *written; /* NULL: the same */
        const char *address; /* without the length */
    } rows[] = {
        {"192.0.2.1/24", AF_INET, 24, NULL, "192.0.2.1"},
        {"192.0.2.1", AF_INET, 32, "192.0.2.1/32", "192.0.2.1"},
        {"0.0.0.0/0", AF_INET, 0, NULL, "0.0.0.0"},
        {"255.255.255.255/32", AF_INET, 32, NULL, "255.255.255.255"},
        {"10.0.0.0/8", AF_INET, 8, NULL, "10.0.0.0"},
        {"2001:db8::1/64", AF_INET6, 64, NULL, "2001:db8::1"},
        {"2001:DB8:0:0:0:0:0:1", AF_INET6, 128, "2001:db8::1/128", "2001:db8::1"},
        {"::/0", AF_INET6, 0, NULL, "::"},
        {"::1/9", AF_INET6, 9, NULL, "::1"},
        {"::ffff:192.0.2.1/100", AF_INET6, 100, NULL, "::ffff:192.0.2.1"},
        {"1111:2222:3333:4444:5555:6666:7777:8888/128", AF_INET6, 128, NULL,
         "1111:2222:3333:4444:5555:6666:7777:8888"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct netstrat_prefix prefix = prefix_of(rows[i].text);
        char text[NETSTRAT_PREFIX_SIZE];

        CHECK(prefix.family == rows[i].family && prefix.length == rows[i].length);
        netstrat_prefix_format(&prefix, 1, text);
        CHECK(strcmp(text, rows[i].written ? rows[i].written : rows[i].text) == 0);
        netstrat_prefix_format(&prefix, 0, text);
        CHECK(strcmp(text, rows[i].address) == 0);
    }
}

TEST(the_bytes_of_an_address_are_in_network_order)
{
    static const unsigned char four[16] = {192, 0, 2, 1};
    static const unsigned char six[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 0xfe};
    struct netstrat_prefix prefix = prefix_of("192.0.2.1/24");

    CHECK(memcmp(prefix.bytes, four, 16) == 0);
    prefix = prefix_of("2001:db8::fe");
    CHECK(memcmp(prefix.bytes, six, 16) == 0);
}

TEST(text_that_is_not_an_address_is_refused)
{
    static const char *const texts[] = {
        "",
        "/",
        "/24",
        "x",
        "192.0.2",
        "192.0.2.1.1",
        "192.0.2.256",
        "192.0.2.01",
        "192.0.2.1 ",
        " 192.0.2.1",
        "192.0.2.-1",
        "0x7f.0.0.1",
        "3221225985",
        "192.0.2.1/",
        "192.0.2.1/33",
        "192.0.2.1/-1",
        "192.0.2.1/+1",
        "192.0.2.1/08",
        "192.0.2.1/00",
        "192.0.2.1/024",
        "192.0.2.1/0024",
        "192.0.2.1/24 ",
        "192.0.2.1/ 24",
        "192.0.2.1/24/24",
        "192.0.2.1/2x",
        "192.0.2.1/256",
        "192.0.2.1/999",
        "192.0.2.1/1000",
        "192.0.2.1/4294967320",
        "192.0.2.1/255.255.255.0",
        ":",
        ":::",
        "1::2::3",
        "::g",
        "::12345",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "::1/129",
        "::1/1280",
        "::1/",
        "fe80::1%lo",
        "fe80::1%1/64",
        "[::1]",
        "::192.0.2.256",
        "2001:db8::1/64%lo",
        "192.0.2.1:80",
    };
    struct netstrat_prefix prefix, before;
    char text[NETSTRAT_PREFIX_SIZE + 64];

    memset(&prefix, 0xa5, sizeof prefix);
    before = prefix;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        CHECK(netstrat_prefix_parse(texts[i], &prefix) == -EINVAL);
    for (size_t size = 0; size < sizeof text; size++) { /* every length, and one with a slash */
        memset(text, '1', sizeof text);
        text[size] = '\0';
        CHECK(netstrat_prefix_parse(text, &prefix) == -EINVAL);
        memset(text, ':', size);
        CHECK(size == 2 || netstrat_prefix_parse(text, &prefix) == -EINVAL);
        if (size > 3) {
            memcpy(text + size - 3, "/24", 3);
            CHECK(size == 5 || netstrat_prefix_parse(text, &prefix) == -EINVAL);
        }
    }
    for (int c = 1; c < 256; c++) { /* any byte in the place of a digit */
        snprintf(text, sizeof text, "192.0.2.%c/24", c);
        CHECK((netstrat_prefix_parse(text, &prefix) == 0) == (c >= '0' && c <= '9'));
        snprintf(text, sizeof text, "192.0.2.1/%c", c);
        CHECK((netstrat_prefix_parse(text, &prefix) == 0) == (c >= '0' && c <= '9'));
    }
    prefix = before;
    CHECK(netstrat_prefix_parse("192.0.2.1/33", &prefix) == -EINVAL);
    CHECK(memcmp(&prefix, &before, sizeof prefix) == 0);
}

TEST(every_address_can_be_formatted_and_parsed_again)
{
    struct netstrat_prefix prefix, read;
    char text[NETSTRAT_PREFIX_SIZE];
    uint32_t random = 1;
    size_t longest = 0;

    for (int i = 0; i < 20000; i++) {
        memset(&prefix, 0, sizeof prefix);
        prefix.family = i % 2 ? AF_INET : AF_INET6;
        for (int at = 0; at < (i % 2 ? 4 : 16); at++) {
            random = random * 1664525 + 1013904223;
            /* Mostly runs of zeros and ones, whose text differs most. */
            prefix.bytes[at] = random >> 30 == 0   ? 0
                               : random >> 30 == 1 ? 0xff
                                                   : (unsigned char)(random >> 16);
        }
        prefix.length = (uint8_t)(random % (i % 2 ? 33 : 129));
        memset(text, 'x', sizeof text);
        netstrat_prefix_format(&prefix, 1, text);
        CHECK(memchr(text, '\0', sizeof text) != NULL);
        CHECK(netstrat_prefix_parse(text, &read) == 0 && memcmp(&read, &prefix, sizeof read) == 0);
        longest = strlen(text) > longest ? strlen(text) : longest;
    }
    CHECK(longest > 40 && longest < NETSTRAT_PREFIX_SIZE);
}

TEST(a_prefix_of_an_unknown_family_is_formatted_as_nothing)
{
    struct netstrat_prefix prefix;
    char text[NETSTRAT_PREFIX_SIZE];

    for (int family = 0; family < 256; family++)
        for (int length = 0; length < 256; length += 51) {
            memset(&prefix, 0xff, sizeof prefix);
            prefix.family = (uint8_t)family;
            prefix.length = (uint8_t)length;
            memset(text, 'x', sizeof text);
            netstrat_prefix_format(&prefix, 1, text);
            CHECK(memchr(text, '\0', sizeof text) != NULL);
            CHECK((text[0] == '\0') == (family != AF_INET && family != AF_INET6));
        }
}

/* ---- requests ---- */

static struct netstrat_address plain(const char *text)
{
    struct netstrat_address address;

    memset(&address, 0, sizeof address);
    address.index = 7;
    address.local = prefix_of(text);
    address.valid = address.preferred = UINT32_MAX;
    return address;
}

enum { CREATE = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE };

static int encode_plain(struct netstrat_batch *batch)
{
    struct netstrat_address address = plain("192.0.2.1/24");

    return netstrat_batch_add_address(batch, &address, 0);
}

/* An address with all fields. */
static struct netstrat_address whole(void)
{
    struct netstrat_address address = plain("192.0.2.1/32");

    address.peer = prefix_of("198.51.100.2/30");
    address.broadcast = prefix_of("192.0.2.255");
    address.flags = IFA_F_NODAD | IFA_F_PERMANENT | MANAGETEMPADDR;
    address.metric = 0x01020304;
    address.valid = 0x0a0b0c0d;
    address.preferred = 0;
    address.scope = RT_SCOPE_LINK;
    address.protocol = 0xf0;
    memcpy(address.label, "eth0:1", 7);
    return address;
}

static int encode_whole(struct netstrat_batch *batch)
{
    struct netstrat_address address = whole();

    return netstrat_batch_add_address(batch, &address, 1);
}

static int encode_six(struct netstrat_batch *batch)
{
    struct netstrat_address address = plain("2001:db8::1");

    address.peer = prefix_of("2001:db8::2/127");
    address.preferred = 60; /* valid for ever */
    return netstrat_batch_add_address(batch, &address, 0);
}

static int encode_lifetimes(struct netstrat_batch *batch, uint32_t valid, uint32_t preferred)
{
    struct netstrat_address address = plain("192.0.2.1/24");

    address.valid = valid;
    address.preferred = preferred;
    return netstrat_batch_add_address(batch, &address, 0);
}

/* A zero next to another lifetime means for ever. */
static int encode_fading(struct netstrat_batch *batch)
{
    return encode_lifetimes(batch, 0, 60);
}

/* It would be preferred for longer than it is valid, which the kernel refuses. */
static int encode_ending(struct netstrat_batch *batch)
{
    return encode_lifetimes(batch, 60, UINT32_MAX);
}

/* Only the fields that must not be zero. */
static int encode_zeroed(struct netstrat_batch *batch)
{
    struct netstrat_address address;

    memset(&address, 0, sizeof address);
    address.index = 7;
    address.local = prefix_of("192.0.2.1/24");
    return netstrat_batch_add_address(batch, &address, 0);
}

static int encode_delete(struct netstrat_batch *batch)
{
    struct netstrat_address address = whole();

    return netstrat_batch_delete_address(batch, &address);
}

static int encode_dump(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_addresses(batch, 7);
}

#define SIX(last) "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0" last
#define HEAD(family, length, flags, scope, index)                                                  \
    FIXED(struct ifaddrmsg, family, length, flags, scope, index)
#define LIFETIMES(preferred, valid)                                                                \
    ATTRIBUTE(IFA_CACHEINFO, &((const struct ifa_cacheinfo){preferred, valid, 0, 0}), 16)
#define PLAIN                                                                                      \
    HEAD(AF_INET, 24, 0, 0, 7), ATTRIBUTE(IFA_LOCAL, "\xc0\0\2\1", 4),                             \
        ATTRIBUTE(IFA_ADDRESS, "\xc0\0\2\1", 4), U32(FLAGS, 0)
#define WHOLE                                                                                      \
    HEAD(AF_INET, 30, IFA_F_NODAD | IFA_F_PERMANENT, RT_SCOPE_LINK, 7),                            \
        ATTRIBUTE(IFA_LOCAL, "\xc0\0\2\1", 4), ATTRIBUTE(IFA_ADDRESS, "\xc6\x33\x64\2", 4),        \
        ATTRIBUTE(IFA_BROADCAST, "\xc0\0\2\xff", 4), TEXT(IFA_LABEL, "eth0:1"),                    \
        U32(FLAGS, IFA_F_NODAD | IFA_F_PERMANENT | MANAGETEMPADDR), U32(RT_PRIORITY, 0x01020304),  \
        ATTRIBUTE(PROTO, "\xf0", 1), LIFETIMES(0, 0x0a0b0c0d)

static const struct encoder encoders[] = {
    {"an address", encode_plain, MESSAGE(RTM_NEWADDR, CREATE | NLM_F_EXCL, PLAIN)},
    {"an address with all fields", encode_whole,
     MESSAGE(RTM_NEWADDR, CREATE | NLM_F_REPLACE, WHOLE)},
    {"an IPv6 address with a peer", encode_six,
     MESSAGE(RTM_NEWADDR, CREATE | NLM_F_EXCL, HEAD(AF_INET6, 127, 0, 0, 7),
             ATTRIBUTE(IFA_LOCAL, SIX("\1"), 16), ATTRIBUTE(IFA_ADDRESS, SIX("\2"), 16),
             U32(FLAGS, 0), LIFETIMES(60, UINT32_MAX))},
    {"an address that is not preferred for ever", encode_fading,
     MESSAGE(RTM_NEWADDR, CREATE | NLM_F_EXCL, PLAIN, LIFETIMES(60, UINT32_MAX))},
    {"an address that is not valid for ever", encode_ending,
     MESSAGE(RTM_NEWADDR, CREATE | NLM_F_EXCL, PLAIN, LIFETIMES(UINT32_MAX, 60))},
    {"a zeroed address", encode_zeroed, MESSAGE(RTM_NEWADDR, CREATE | NLM_F_EXCL, PLAIN)},
    {"a deletion", encode_delete,
     MESSAGE(RTM_DELADDR, NLM_F_REQUEST | NLM_F_ACK,
             HEAD(AF_INET, 30, IFA_F_NODAD | IFA_F_PERMANENT, RT_SCOPE_LINK, 7),
             ATTRIBUTE(IFA_LOCAL, "\xc0\0\2\1", 4), ATTRIBUTE(IFA_ADDRESS, "\xc6\x33\x64\2", 4))},
    {"a dump", encode_dump, MESSAGE(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, HEAD(0, 0, 0, 0, 7))},
};

TEST(the_requests_have_these_bytes)
{
    CHECK_ENCODERS(encoders);
}

/* Returns 1 if adding and deleting are refused and leave the batch unchanged. */
static int is_refused(const struct netstrat_address *address)
{
    unsigned char buffer[512];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(encode_plain(&batch) == 0);
    CHECK(netstrat_batch_add_address(&batch, address, 0) ==
          netstrat_batch_delete_address(&batch, address));
    if (batch.count > 1)
        return 0;
    CHECK(batch.used == 16 + 8 + 8 + 8 + 8 && batch.code == 0);
    return 1;
}

TEST(an_invalid_address_is_refused)
{
    struct netstrat_address address = whole();
    unsigned char buffer[64];
    struct netstrat_batch batch;

    CHECK(!is_refused(&address));
    for (int family = 0; family < 256; family++) {
        address = whole();
        address.peer.family = (uint8_t)family;
        CHECK(is_refused(&address) == (family != 0 && family != AF_INET));
        address = whole();
        address.broadcast.family = (uint8_t)family;
        CHECK(is_refused(&address) == (family != 0 && family != AF_INET));
        address = plain("192.0.2.1/24");
        address.local.family = (uint8_t)family;
        CHECK(is_refused(&address) == (family != AF_INET && family != AF_INET6));
    }
    for (int length = 0; length < 256; length++) {
        address = whole();
        address.local.length = (uint8_t)length;
        CHECK(is_refused(&address) == (length > 32));
        address = whole();
        address.peer.length = (uint8_t)length;
        CHECK(is_refused(&address) == (length > 32));
        address = plain("::1");
        address.local.length = (uint8_t)length;
        CHECK(is_refused(&address) == (length > 128));
        address.peer = address.local;
        address.local.length = 128;
        CHECK(is_refused(&address) == (length > 128));
    }
    address = whole();
    address.index = 0;
    CHECK(is_refused(&address));
    address.index = -1;
    CHECK(is_refused(&address));
    address.index = INT32_MAX;
    CHECK(!is_refused(&address));

    memset(address.label, 'x', sizeof address.label); /* without its NUL; only adding sends it */
    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(netstrat_batch_add_address(&batch, &address, 0) == -EINVAL && batch.used == 0);
    CHECK(netstrat_batch_delete_address(&batch, &address) == 0);
    address.label[15] = '\0';
    CHECK(!is_refused(&address));

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(netstrat_batch_dump_addresses(&batch, -1) == -EINVAL && batch.used == 0);
    CHECK(netstrat_batch_dump_addresses(&batch, 0) == 0);
}

TEST(the_encoder_survives_any_bytes_as_an_address)
{
    unsigned char *buffer = (unsigned char *)malloc(256);
    struct netstrat_address *address = (struct netstrat_address *)malloc(sizeof *address);
    struct netstrat_batch batch;
    uint32_t random = 1, added = 0;

    for (int i = 0; i < 20000; i++) {
        *address = whole();
        random = scramble(address, sizeof *address, 3, random);
        netstrat_batch_init(&batch, buffer, (random >> 4) % 257);
        (void)netstrat_batch_delete_address(&batch, address);
        if (netstrat_batch_add_address(&batch, address, (int)(random & 1)) == 0)
            added++;
        CHECK(batch.used <= batch.size && batch.code == 0);
    }
    CHECK(added > 1000 && added < 19000);
    free(address);
    free(buffer);
}

/* ---- answers ---- */

static int decode(const struct netstrat_message *message)
{
    struct netstrat_address address, before;
    int code;

    memset(&address, 0xa5, sizeof address);
    before = address;
    code = netstrat_address_decode(message, &address);
    if (code < 0) {
        CHECK(code == -EBADMSG || code == -EAFNOSUPPORT);
        CHECK(memcmp(&address, &before, sizeof address) == 0);
    } else {
        unsigned bits = address.local.family == AF_INET ? 32 : 128;

        CHECK(address.index > 0 && address.local.length <= bits && address.peer.length <= bits);
        CHECK(address.local.family == AF_INET || address.local.family == AF_INET6);
        CHECK(memchr(address.label, 0, sizeof address.label));
    }
    return code;
}

static struct netstrat_address decoded(const struct bytes *bytes)
{
    struct netstrat_message message = only_message(bytes);
    struct netstrat_address address;

    memset(&address, 0xa5, sizeof address);
    CHECK(netstrat_address_decode(&message, &address) == 0);
    return address;
}

TEST(every_field_of_an_address_is_decoded)
{
    const uint16_t deleted = RTM_DELADDR;
    struct bytes bytes = BYTES_OF(RTM_NEWADDR, 0, WHOLE,
                                  TEXT(99, "what a later kernel may put there"));
    struct netstrat_address address = decoded(&bytes), wanted = whole();

    CHECK(is_prefix(&address.local, "192.0.2.1/32") && is_prefix(&address.peer, "198.51.100.2/30"));
    CHECK(is_prefix(&address.broadcast, "192.0.2.255") && address.index == 7);
    CHECK(address.flags == wanted.flags && address.metric == wanted.metric);
    CHECK(address.valid == wanted.valid && address.preferred == wanted.preferred);
    CHECK(address.scope == wanted.scope && address.protocol == wanted.protocol);
    CHECK(memcmp(address.label, wanted.label, sizeof address.label) == 0);
    check_mutations(decode, &bytes);

    memcpy(bytes.data + 4, &deleted, sizeof deleted);
    CHECK(decoded(&bytes).index == 7);
}

TEST(an_address_alone_has_no_peer)
{
    struct bytes bytes;
    struct netstrat_address address;

    /* IPv4 sends both attributes. */
    bytes = BYTES_OF(RTM_NEWADDR, 0, HEAD(AF_INET, 24, IFA_F_PERMANENT, RT_SCOPE_HOST, 3),
                     ATTRIBUTE(IFA_ADDRESS, "\xc0\0\2\1", 4),
                     ATTRIBUTE(IFA_LOCAL, "\xc0\0\2\1", 4));
    address = decoded(&bytes);
    CHECK(is_prefix(&address.local, "192.0.2.1/24") && address.peer.family == 0);
    CHECK(address.peer.length == 0 && address.broadcast.family == 0 && address.label[0] == '\0');
    CHECK(address.valid == UINT32_MAX && address.preferred == UINT32_MAX);
    CHECK(address.flags == IFA_F_PERMANENT && address.scope == RT_SCOPE_HOST);
    CHECK(address.metric == 0 && address.protocol == 0);
    check_mutations(decode, &bytes);

    /* IPv6 sends one. */
    bytes = BYTES_OF(RTM_NEWADDR, 0, HEAD(AF_INET6, 64, 0, 0, 3),
                     ATTRIBUTE(IFA_ADDRESS, SIX("\1"), 16));
    address = decoded(&bytes);
    CHECK(is_prefix(&address.local, "2001:db8::1/64") && address.peer.family == 0);
    check_mutations(decode, &bytes);

    /* A peer of 0.0.0.0 is not sent. */
    bytes = BYTES_OF(RTM_NEWADDR, 0, HEAD(AF_INET, 24, 0, 0, 3),
                     ATTRIBUTE(IFA_LOCAL, "\xc0\0\2\1", 4));
    address = decoded(&bytes);
    CHECK(is_prefix(&address.local, "192.0.2.1/24") && address.peer.family == 0);

    bytes = BYTES_OF(RTM_NEWADDR, 0, HEAD(AF_INET, 0, 0, 0, 3),
                     ATTRIBUTE(IFA_LOCAL, "\0\0\0\0", 4));
    address = decoded(&bytes);
    CHECK(is_prefix(&address.local, "0.0.0.0/0") && address.peer.family == 0);
}

TEST(an_ipv6_peer_is_distinguished_from_the_address)
{
    struct bytes bytes = bytes_of(&encoders[2].message);
    struct netstrat_address address = decoded(&bytes);

    CHECK(is_prefix(&address.local, "2001:db8::1"));
    CHECK(is_prefix(&address.peer, "2001:db8::2/127"));
    CHECK(address.preferred == 60 && address.valid == UINT32_MAX);
    check_mutations(decode, &bytes);
}

/* A lifetime of 0 would mean for ever when the address is added again. */
TEST(an_address_in_its_last_second_is_not_valid_for_ever)
{
    struct bytes bytes = BYTES_OF(RTM_NEWADDR, 0, HEAD(AF_INET, 24, 0, 0, 3),
                                  ATTRIBUTE(IFA_LOCAL, "\xc0\0\2\1", 4), LIFETIMES(0, 0));
    struct netstrat_address address = decoded(&bytes);

    CHECK(address.valid == 1 && address.preferred == 0);
}

static void put_fixed(struct bytes *to, unsigned family, unsigned length, uint32_t index)
{
    struct ifaddrmsg fixed;

    memset(&fixed, 0, sizeof fixed);
    fixed.ifa_family = (unsigned char)family;
    fixed.ifa_prefixlen = (unsigned char)length;
    fixed.ifa_index = index;
    put(to, &fixed, sizeof fixed);
}

/* An address with one more attribute, or with that one alone. */
static int decode_with(unsigned family, unsigned length, uint32_t index, int alone, uint16_t type,
                       const void *value, size_t size)
{
    static const unsigned char address[16] = {1, 2, 3, 4};
    struct bytes bytes = {{0}, 0};
    struct netstrat_message message;
    size_t at = begin(&bytes, RTM_NEWADDR, 0, 1, 2);

    put_fixed(&bytes, family, length, index);
    if (!alone)
        attribute(&bytes, IFA_ADDRESS, address, family == AF_INET ? 4 : 16);
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
        {IFA_LOCAL, 4, 16},
        {IFA_ADDRESS, 4, 16},
        {IFA_BROADCAST, 4, 16},
        {FLAGS, 4, 4},
        {RT_PRIORITY, 4, 4},
        {PROTO, 1, 1},
        {IFA_CACHEINFO, sizeof(struct ifa_cacheinfo), sizeof(struct ifa_cacheinfo)},
    };
    static const unsigned char zeros[24] = {0};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t size = 0; size <= sizeof zeros; size++) {
            CHECK(decode_with(AF_INET, 32, 3, 0, rows[i].type, zeros, size) ==
                  (size >= rows[i].four ? 0 : -EBADMSG));
            CHECK(decode_with(AF_INET6, 128, 3, 0, rows[i].type, zeros, size) ==
                  (size >= rows[i].six ? 0 : -EBADMSG));
        }
    CHECK(decode_with(AF_INET, 32, 3, 0, IFA_LABEL, "123456789012345", 16) == 0);
    CHECK(decode_with(AF_INET, 32, 3, 0, IFA_LABEL, "123456789012345", 15) == -EBADMSG);
    CHECK(decode_with(AF_INET, 32, 3, 0, IFA_LABEL, "1234567890123456", 17) == -EBADMSG);
    CHECK(decode_with(AF_INET, 32, 3, 0, IFA_LABEL, "", 1) == -EBADMSG);
    CHECK(decode_with(AF_INET, 32, 3, 0, IFA_LABEL, "", 0) == -EBADMSG);
}

TEST(an_address_of_another_family_is_eafnosupport)
{
    for (unsigned family = 0; family < 256; family++)
        CHECK(decode_with(family, 0, 3, 0, 0, NULL, 0) ==
              (family == AF_INET || family == AF_INET6 ? 0 : -EAFNOSUPPORT));
}

TEST(an_address_out_of_range_is_malformed)
{
    for (unsigned length = 0; length < 256; length++) {
        CHECK(decode_with(AF_INET, length, 3, 0, 0, NULL, 0) == (length <= 32 ? 0 : -EBADMSG));
        CHECK(decode_with(AF_INET6, length, 3, 0, 0, NULL, 0) == (length <= 128 ? 0 : -EBADMSG));
    }
    CHECK(decode_with(AF_INET, 24, 0, 0, 0, NULL, 0) == -EBADMSG);
    CHECK(decode_with(AF_INET, 24, INT32_MAX, 0, 0, NULL, 0) == 0);
    CHECK(decode_with(AF_INET, 24, 0x80000000U, 0, 0, NULL, 0) == -EBADMSG);
    CHECK(decode_with(AF_INET, 24, 3, 1, 0, NULL, 0) == -EBADMSG); /* without an address */
    CHECK(decode_with(AF_INET, 24, 3, 1, IFA_LABEL, "eth0", 5) == -EBADMSG);
}

TEST(other_messages_are_not_addresses)
{
    static const uint16_t types[] = {RTM_GETADDR, RTM_NEWLINK, RTM_NEWROUTE, NLMSG_ERROR};
    struct netstrat_message message;
    struct bytes bytes = bytes_of(&encoders[0].message);

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

TEST(an_encoded_address_can_be_decoded)
{
    unsigned char buffer[512];
    struct netstrat_address address = whole();
    struct netstrat_message message;
    struct netstrat_batch batch;
    struct netstrat_cursor rest;

    address.local.length = 32; /* with a peer, the prefix length is the peer's */
    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(netstrat_batch_add_address(&batch, &address, 0) == 0);
    rest.data = buffer;
    rest.at = 0;
    rest.end = batch.used;
    rest.missing = 0;
    CHECK(netstrat_message_next(&rest, &message) == 1);
    CHECK(netstrat_address_decode(&message, &address) == 0);
    netstrat_batch_init(&batch, buffer + 256, 256);
    CHECK(netstrat_batch_add_address(&batch, &address, 0) == 0);
    CHECK(memcmp(buffer, buffer + 256, batch.used) == 0);
}
