/* SPDX-License-Identifier: MIT */
/* Links: each request byte by byte, and the decoding of RTM_NEWLINK and RTM_DELLINK, complete,
 * truncated and malformed. */
#include <errno.h>
#include <stdlib.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"
#include "codec.h"

#include <net/if.h>

/* Not in the headers of older kernels. */
enum { LINK_NETNSID = 37, TARGET_NETNSID = 46, PROP_LIST = 52, ALT_IFNAME = 53 };
enum { PARENT_DEV_NAME = 56, PARENT_DEV_BUS_NAME = 57, SLAVE_KIND = 4, SLAVE_DATA = 5 };
enum { NESTED = 0x8000 };

static const char alternative[] = "an-alternative-name";

/* ---- requests ---- */

static int encode_up(struct netstrat_batch *batch)
{
    return netstrat_batch_set_link_flags(batch, "lo", IFF_UP, IFF_UP | IFF_PROMISC);
}

static int encode_down(struct netstrat_batch *batch)
{
    return netstrat_batch_set_link_flags(batch, alternative, 0, IFF_UP);
}

static int encode_get(struct netstrat_batch *batch)
{
    return netstrat_batch_get_link(batch, "eth0");
}

static int encode_dump(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_links(batch, 0);
}

static int encode_dump_with_counters(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_links(batch, 1);
}

static int encode_get_at(struct netstrat_batch *batch)
{
    return netstrat_batch_get_link_at(batch, 7, 5);
}

static int encode_dump_at(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_links_at(batch, 7);
}

static int encode_get_index(struct netstrat_batch *batch)
{
    return netstrat_batch_get_link_index(batch, 7);
}

enum { SET = NLM_F_REQUEST | NLM_F_ACK, DUMP = NLM_F_REQUEST | NLM_F_DUMP };
enum { BRVLAN = 2, SKIP_STATS = 8 }; /* RTEXT_FILTER_ */

static const struct encoder encoders[] = {
    {"up", encode_up,
     MESSAGE(RTM_NEWLINK, SET, LINK(0, IFF_UP, IFF_UP | IFF_PROMISC), TEXT(IFLA_IFNAME, "lo"))},
    {"down", encode_down,
     MESSAGE(RTM_NEWLINK, SET, LINK(0, 0, IFF_UP),
             ATTRIBUTE(ALT_IFNAME, alternative, sizeof alternative))},
    {"a query by name", encode_get,
     MESSAGE(RTM_GETLINK, NLM_F_REQUEST, LINK(0, 0, 0), TEXT(IFLA_IFNAME, "eth0"))},
    {"a query by index", encode_get_index, MESSAGE(RTM_GETLINK, NLM_F_REQUEST, LINK(7, 0, 0))},
    {"a query in another namespace", encode_get_at,
     MESSAGE(RTM_GETLINK, NLM_F_REQUEST, LINK(5, 0, 0), U32(TARGET_NETNSID, 7))},
    {"a dump", encode_dump,
     MESSAGE(RTM_GETLINK, DUMP, LINK(0, 0, 0), U32(IFLA_EXT_MASK, SKIP_STATS))},
    {"a dump with counters", encode_dump_with_counters,
     MESSAGE(RTM_GETLINK, DUMP, LINK(0, 0, 0), U32(IFLA_EXT_MASK, BRVLAN))},
    {"a dump of another namespace", encode_dump_at,
     MESSAGE(RTM_GETLINK, DUMP, LINK(0, 0, 0), U32(TARGET_NETNSID, 7))},
};

enum { ENCODERS = sizeof encoders / sizeof *encoders };

TEST(the_requests_have_these_bytes)
{
    CHECK_ENCODERS(encoders);
}

TEST(a_negative_nsid_or_index_is_refused)
{
    unsigned char buffer[256];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(netstrat_batch_dump_links_at(&batch, -1) == -EINVAL);
    CHECK(netstrat_batch_get_link_at(&batch, -1, 5) == -EINVAL);
    CHECK(netstrat_batch_get_link_at(&batch, 7, -1) == -EINVAL);
    CHECK(netstrat_batch_get_link_index(&batch, -1) == -EINVAL);
    CHECK(netstrat_batch_get_link_index(&batch, 0) == -EINVAL); /* not a valid index */
    CHECK(batch.used == 0 && batch.count == 0);
}

TEST(requests_follow_each_other_in_a_batch)
{
    unsigned char buffer[512];
    struct bytes wanted = {{0}, 0};
    struct netstrat_message message;
    struct netstrat_batch batch;
    struct netstrat_cursor rest;
    int i, read = 0;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    for (i = 0; i < ENCODERS; i++) {
        CHECK(encoders[i].encode(&batch) == 0 && batch.count == (uint32_t)i + 1);
        put_message(&wanted, &encoders[i].message, 0, 0);
    }
    CHECK(batch.used == wanted.length && memcmp(buffer, wanted.data, wanted.length) == 0);
    rest.data = buffer;
    rest.at = 0;
    rest.end = batch.used;
    rest.missing = 0;
    while (netstrat_message_next(&rest, &message) > 0) {
        CHECK(message.sequence == 0 && message.port == 0);
        read++;
    }
    CHECK(read == ENCODERS && rest.at == rest.end);
}

TEST(an_invalid_name_leaves_the_batch_unchanged)
{
    unsigned char buffer[128];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(encode_up(&batch) == 0 && batch.used == 40);
    CHECK(netstrat_batch_set_link_flags(&batch, "", IFF_UP, IFF_UP) == -EINVAL);
    CHECK(netstrat_batch_get_link(&batch, "") == -EINVAL);
    CHECK(batch.used == 40 && batch.count == 1 && batch.code == 0);
}

/* ---- answers ---- */

/* A link with attributes before and after its name. */
static void put_link(struct bytes *to, uint16_t type, int32_t index, const char *name,
                     size_t name_size)
{
    const uint32_t mtu = 1500;
    size_t at = begin(to, type, 0, 1, 2);

    put_info(to, index, IFF_UP | IFF_LOOPBACK);
    attribute(to, IFLA_MTU, &mtu, sizeof mtu);
    if (name)
        attribute(to, IFLA_IFNAME, name, name_size);
    attribute(to, IFLA_OPERSTATE, "\0", 1);
    finish(to, at);
}

static const unsigned char mac[6] = {2, 0, 0, 0, 0, 7};

/* A port of a bridge with everything that the core reads. */
static const struct message whole_link =
    MESSAGE(RTM_NEWLINK, 0, LINK(7, IFF_UP | IFF_RUNNING, 0), TEXT(IFLA_IFNAME, "veth0"),
            U32(IFLA_TXQLEN, 500), ATTRIBUTE(IFLA_OPERSTATE, "\6", 1), U32(IFLA_MTU, 1400),
            U32(IFLA_GROUP, 42), U32(IFLA_LINK, 11), U32(LINK_NETNSID, 0), U32(IFLA_MASTER, 9),
            ATTRIBUTE(IFLA_ADDRESS, mac, sizeof mac), TEXT(IFLA_IFALIAS, "an alias"),
            NEST(IFLA_LINKINFO | NESTED, TEXT(SLAVE_KIND, "bridge"),
                 NEST(SLAVE_DATA | NESTED, ATTRIBUTE(IFLA_BRPORT_STATE, "\3", 1),
                      ATTRIBUTE(IFLA_BRPORT_MODE, "\1", 1)),
                 TEXT(IFLA_INFO_KIND, "veth"), ATTRIBUTE(IFLA_INFO_XSTATS, "", 0)),
            NEST(PROP_LIST | NESTED, TEXT(ALT_IFNAME, "first"),
                 TEXT(ALT_IFNAME + 1, "what a later kernel may put there"),
                 ATTRIBUTE(ALT_IFNAME, alternative, sizeof alternative)),
            TEXT(PARENT_DEV_NAME, "0000:00:1f.6"), TEXT(PARENT_DEV_BUS_NAME, "pci"));

/* Whether a part of a message is this text with a NUL. */
static int holds_text(const struct netstrat_cursor *part, const char *text)
{
    size_t size = strlen(text) + 1;

    return part->end - part->at == size && memcmp(part->data + part->at, text, size) == 0;
}

static int decode_link(const struct netstrat_message *message)
{
    struct netstrat_link link, before;
    int code;

    memset(&link, 0xa5, sizeof link);
    before = link;
    code = netstrat_link_decode(message, &link);
    CHECK(code == 0 || code == -EBADMSG);
    if (code < 0) {
        CHECK(memcmp(&link, &before, sizeof link) == 0);
    } else {
        char name[NETSTRAT_ALT_NAME_SIZE];

        CHECK(link.index > 0 && link.name[0] != '\0' && memchr(link.name, 0, sizeof link.name));
        CHECK(memchr(link.kind, 0, sizeof link.kind) && memchr(link.alias, 0, sizeof link.alias));
        CHECK(link.mac_length <= sizeof link.mac && link.hairpin >= -1 && link.hairpin <= 1);
        while (netstrat_altname_next(&link.altnames, name))
            CHECK(name[0] != '\0' && memchr(name, 0, sizeof name));
    }
    return code;
}

static int decode_name(const struct netstrat_message *message)
{
    struct netstrat_link_name name, before;
    int code;

    memset(&name, 0xa5, sizeof name);
    before = name;
    code = netstrat_link_name_decode(message, &name);
    CHECK(code == 0 || code == -EBADMSG);
    if (code < 0)
        CHECK(memcmp(&name, &before, sizeof name) == 0);
    else
        CHECK(name.index > 0 && memchr(name.name, 0, sizeof name.name));
    return code;
}

static int decode_flags(const struct netstrat_message *message)
{
    int32_t index = -77;
    uint32_t flags = 78;
    int code = netstrat_link_flags_decode(message, &index, &flags);

    CHECK(code == 0 ? index > 0 : code == -EBADMSG && index == -77 && flags == 78);
    return code;
}

TEST(every_field_of_a_link_is_decoded)
{
    char name[NETSTRAT_ALT_NAME_SIZE];
    struct netstrat_link link;
    struct bytes bytes = bytes_of(&whole_link);
    struct netstrat_message message = only_message(&bytes);

    CHECK(netstrat_link_decode(&message, &link) == 0);
    CHECK(link.index == 7 && link.flags == (IFF_UP | IFF_RUNNING) && !strcmp(link.name, "veth0"));
    CHECK(link.mtu == 1400 && link.txqueuelen == 500 && link.group == 42 && link.master == 9);
    CHECK(link.peer == 11 && link.peer_nsid == 0 && link.hairpin == 1);
    CHECK(link.mac_length == 6 && !memcmp(link.mac, mac, 6));
    CHECK(!strcmp(link.kind, "veth") && !strcmp(link.alias, "an alias"));
    CHECK(netstrat_altname_next(&link.altnames, name) == 1 && !strcmp(name, "first"));
    CHECK(netstrat_altname_next(&link.altnames, name) == 1 && !strcmp(name, alternative));
    CHECK(netstrat_altname_next(&link.altnames, name) == 0);
    CHECK(netstrat_altname_next(&link.altnames, name) == 0);
    CHECK(holds_text(&link.parent_device, "0000:00:1f.6") && holds_text(&link.parent_bus, "pci"));
    check_mutations(decode_link, &bytes);
    check_mutations(decode_name, &bytes);
}

TEST(missing_attributes_of_a_link_have_defaults)
{
    char name[NETSTRAT_ALT_NAME_SIZE];
    struct netstrat_message message;
    struct netstrat_link link;
    struct bytes bytes = {{0}, 0};

    put_link(&bytes, RTM_NEWLINK, 1, "lo", 3);
    message = only_message(&bytes);
    CHECK(netstrat_link_decode(&message, &link) == 0);
    CHECK(link.peer == 0 && link.peer_nsid == -1 && link.master == 0 && link.hairpin == -1);
    CHECK(link.mac_length == 0 && link.kind[0] == '\0' && link.alias[0] == '\0');
    CHECK(netstrat_altname_next(&link.altnames, name) == 0);
    check_mutations(decode_link, &bytes);
}

/* Decodes a message with one more attribute. */
static int decode_with(uint16_t type, const void *value, size_t size)
{
    struct bytes bytes = BYTES_OF(RTM_NEWLINK, 0, LINK(3, 0, 0), TEXT(IFLA_IFNAME, "eth0"),
                                  ATTRIBUTE(type, value, size));
    struct netstrat_message message = only_message(&bytes);

    return decode_link(&message);
}

TEST(an_attribute_of_the_wrong_size_is_malformed)
{
    static const uint16_t numbers[] = {IFLA_MTU,    IFLA_TXQLEN, IFLA_GROUP,
                                       IFLA_MASTER, IFLA_LINK,   LINK_NETNSID};
    static const unsigned char zeros[300] = {0};
    char text[300];

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (size_t size = 0; size < 6; size++)
            CHECK(decode_with(numbers[i], zeros, size) == (size >= 4 ? 0 : -EBADMSG));
    for (size_t size = 0; size < 40; size++)
        CHECK(decode_with(IFLA_ADDRESS, zeros, size) == (size <= NETSTRAT_MAC_SIZE ? 0 : -EBADMSG));
    memset(text, 'x', sizeof text);
    text[255] = '\0';
    CHECK(decode_with(IFLA_IFALIAS, text, 256) == 0);
    CHECK(decode_with(IFLA_IFALIAS, text, 255) == -EBADMSG); /* its NUL is missing */
    CHECK(decode_with(IFLA_IFALIAS, text + 1, 256) == 0);
    text[255] = 'x';
    text[256] = '\0';
    CHECK(decode_with(IFLA_IFALIAS, text, 257) == -EBADMSG);
    CHECK(decode_with(IFLA_IFALIAS, "", 1) == -EBADMSG);
}

/* Decodes a message with the kind of a link, and of its master if that is not NULL. */
static int decode_kinds(struct netstrat_link *link, const char *master, const void *port,
                        size_t port_size, const char *kind, size_t kind_size)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_message message;
    size_t info, at = begin(&bytes, RTM_NEWLINK, 0, 1, 2);

    put_info(&bytes, 3, 0);
    attribute(&bytes, IFLA_IFNAME, "eth0", 5);
    info = open_attribute(&bytes, IFLA_LINKINFO);
    if (master)
        attribute(&bytes, 4, master, strlen(master) + 1);
    attribute(&bytes, 5, port, port_size);
    attribute(&bytes, IFLA_INFO_KIND, kind, kind_size);
    close_attribute(&bytes, info);
    finish(&bytes, at);
    message = only_message(&bytes);
    CHECK(decode_link(&message) == netstrat_link_decode(&message, link));
    return netstrat_link_decode(&message, link);
}

TEST(hairpin_is_read_only_for_a_port_of_a_bridge)
{
    struct bytes ports[4] = {{{0}, 0}, {{0}, 0}, {{0}, 0}, {{0}, 0}};
    struct netstrat_link link;

    attribute(&ports[0], IFLA_BRPORT_MODE, "\1", 1);
    attribute(&ports[1], IFLA_BRPORT_MODE, "\0", 1);
    attribute(&ports[2], IFLA_BRPORT_MODE, "", 0);
    put(&ports[3], "\xff\xff\x01\x00", 4);
    CHECK(decode_kinds(&link, "bridge", ports[0].data, 8, "veth", 5) == 0 && link.hairpin == 1);
    CHECK(decode_kinds(&link, "bridge", ports[1].data, 8, "veth", 5) == 0 && link.hairpin == 0);
    CHECK(decode_kinds(&link, "bridge", ports[2].data, 4, "veth", 5) == 0 && link.hairpin == -1);
    CHECK(decode_kinds(&link, "bridge", ports[3].data, 4, "veth", 5) == -EBADMSG);
    CHECK(decode_kinds(&link, "bond", ports[0].data, 8, "veth", 5) == 0 && link.hairpin == -1);
    CHECK(decode_kinds(&link, NULL, ports[0].data, 8, "veth", 5) == 0 && link.hairpin == -1);
    CHECK(!strcmp(link.kind, "veth"));
    CHECK(decode_kinds(&link, "bridge", ports[0].data, 8, "veth", 4) == -EBADMSG);
}

/* The kernel's limit is MODULE_NAME_LEN: 55 bytes, or 59 on 32 bits. */
TEST(a_kind_is_read_at_every_length_that_the_kernel_allows)
{
    struct bytes port = {{0}, 0};
    struct netstrat_link link;
    char kind[80];

    attribute(&port, IFLA_BRPORT_MODE, "\1", 1);
    for (size_t length = 1; length < sizeof kind; length++) {
        int wanted = length < NETSTRAT_KIND_SIZE ? 0 : -EBADMSG;

        memset(kind, 'k', length);
        kind[length] = '\0';
        CHECK(decode_kinds(&link, "bridge", port.data, 8, kind, length + 1) == wanted);
        CHECK(wanted < 0 || (!strcmp(link.kind, kind) && link.hairpin == 1));
        CHECK(decode_kinds(&link, kind, port.data, 8, "veth", 5) == wanted); /* of the master */
        CHECK(wanted < 0 || (!strcmp(link.kind, "veth") && link.hairpin == -1));
    }
}

/* An alternative name may have any bytes and any length. */
TEST(an_invalid_link_name_is_sent_as_an_alternative_name)
{
    static const char *const names[] = {".", "..", "a/b", "../../etc", "a b", "a:1", "\xa0", "\n"};
    unsigned char buffer[128];
    struct netstrat_batch batch;
    uint16_t attribute_head[2];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        netstrat_batch_init(&batch, buffer, sizeof buffer);
        CHECK(netstrat_batch_get_link(&batch, names[i]) == 0);
        memcpy(attribute_head, buffer + 16 + 16, sizeof attribute_head);
        CHECK(attribute_head[0] == 4 + strlen(names[i]) + 1);
        CHECK(attribute_head[1] == 53); /* IFLA_ALT_IFNAME */
        CHECK(!strcmp((char *)buffer + 16 + 16 + 4, names[i]));
    }
}

TEST(port_settings_are_read_only_for_a_port_of_a_bridge)
{
    struct bytes port = {{0}, 0}, empty = {{0}, 0};
    struct netstrat_link link;

    attribute(&port, IFLA_BRPORT_STATE, "\4", 1);
    attribute(&port, 8 /* IFLA_BRPORT_LEARNING */, "\0", 1);
    attribute(&port, 33 /* IFLA_BRPORT_ISOLATED */, "\7", 1);
    CHECK(decode_kinds(&link, "bridge", port.data, port.length, "veth", 5) == 0);
    CHECK(link.port_state == 4 && link.learning == 0 && link.isolated == 1 && link.hairpin == -1);
    CHECK(decode_kinds(&link, "bond", port.data, port.length, "veth", 5) == 0);
    CHECK(link.port_state == -1 && link.learning == -1 && link.isolated == -1);
    attribute(&empty, IFLA_BRPORT_STATE, "", 0);
    attribute(&empty, 33, "", 0);
    CHECK(decode_kinds(&link, "bridge", empty.data, empty.length, "veth", 5) == 0);
    CHECK(link.port_state == -1 && link.learning == -1 && link.isolated == -1);
}

/* Decodes a message of this family with IFLA_PROTINFO. */
static int decode_protinfo(struct netstrat_link *link, unsigned char family, const void *value,
                           size_t size)
{
    struct bytes bytes = BYTES_OF(RTM_NEWLINK, 0, FIXED(struct ifinfomsg, family, 0, 0, 3, 0, 0),
                                  TEXT(IFLA_IFNAME, "eth0"), ATTRIBUTE(IFLA_PROTINFO, value, size));
    struct netstrat_message message = only_message(&bytes);

    CHECK(decode_link(&message) == netstrat_link_decode(&message, link));
    return netstrat_link_decode(&message, link);
}

TEST(hairpin_is_read_from_the_message_of_a_bridge)
{
    struct bytes on = {{0}, 0}, off = {{0}, 0};
    struct netstrat_link link;

    attribute(&on, IFLA_BRPORT_MODE, "\1", 1);
    attribute(&off, IFLA_BRPORT_MODE, "\0", 1);
    CHECK(decode_protinfo(&link, AF_BRIDGE, on.data, on.length) == 0 && link.hairpin == 1);
    CHECK(decode_protinfo(&link, AF_BRIDGE, off.data, off.length) == 0 && link.hairpin == 0);
    CHECK(decode_protinfo(&link, AF_BRIDGE, "\1", 1) == -EBADMSG);
    /* For IPv6 the attribute means something else. */
    CHECK(decode_protinfo(&link, AF_INET6, on.data, on.length) == 0 && link.hairpin == -1);
    CHECK(decode_protinfo(&link, AF_INET6, "\1", 1) == 0);
}

TEST(a_wireless_event_does_not_describe_a_link)
{
    CHECK(decode_with(IFLA_WIRELESS, "12345678", 8) == -EBADMSG);
}

/* Decodes a message with IFLA_INFO_DATA of this kind. */
static int decode_data(struct netstrat_link *link, const char *kind, const struct bytes *data)
{
    struct bytes bytes = BYTES_OF(RTM_NEWLINK, 0, LINK(3, 0, 0), TEXT(IFLA_IFNAME, "br0"),
                                  NEST(IFLA_LINKINFO,
                                       ATTRIBUTE(IFLA_INFO_KIND, kind, strlen(kind) + 1),
                                       ATTRIBUTE(IFLA_INFO_DATA, data->data, data->length)));
    struct netstrat_message message = only_message(&bytes);

    CHECK(decode_link(&message) == netstrat_link_decode(&message, link));
    return netstrat_link_decode(&message, link);
}

TEST(the_id_of_a_bridge_is_read_if_it_has_eight_bytes)
{
    static const unsigned char id[9] = {0x80, 0, 2, 0, 0, 0, 0, 7, 1}, none[8] = {0};
    struct netstrat_link link;
    struct bytes data;

    for (size_t size = 0; size <= sizeof id; size++) {
        data.length = 0;
        attribute(&data, IFLA_BR_FORWARD_DELAY, id, 4);
        attribute(&data, 11 /* IFLA_BR_BRIDGE_ID */, id, size);
        CHECK(decode_data(&link, "bridge", &data) == 0);
        CHECK(memcmp(link.bridge_id, size == 8 ? id : none, 8) == 0);
        CHECK(decode_data(&link, "vxlan", &data) == 0 && memcmp(link.bridge_id, none, 8) == 0);
    }
    put(&data, "\xff\xff\x01\x00", 4);
    CHECK(decode_data(&link, "bridge", &data) == -EBADMSG);
    CHECK(decode_data(&link, "vxlan", &data) == 0); /* the data of other kinds is not read */
}

TEST(the_mode_of_a_macvlan_is_read)
{
    static const uint32_t mode[2] = {8, 9};
    struct netstrat_link link;
    struct bytes data;

    for (size_t size = 0; size <= sizeof mode; size++) {
        const int wanted = size < 4 ? -EBADMSG : 0;

        data.length = 0;
        attribute(&data, IFLA_MACVLAN_FLAGS, mode, 2);
        attribute(&data, IFLA_MACVLAN_MODE, mode, size);
        CHECK(decode_data(&link, "macvlan", &data) == wanted);
        CHECK(wanted < 0 || link.macvlan_mode == 8);
        CHECK(decode_data(&link, "macvtap", &data) == 0 && link.macvlan_mode == 0);
    }
    put(&data, "\xff\xff\x01\x00", 4);
    CHECK(decode_data(&link, "macvlan", &data) == -EBADMSG);
}

TEST(a_link_without_index_or_name_is_malformed)
{
    static const struct {
        int32_t index;
        const char *name; /* NULL: no such attribute */
        size_t size;
    } rows[] = {
        {0, "eth0", 5},
        {-1, "eth0", 5},
        {3, NULL, 0},
        {3, "eth0", 4}, /* without its NUL */
        {3, "1234567890123456", 17},
        {3, "", 1},
        {3, "", 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes bytes = {{0}, 0};
        struct netstrat_message message;

        put_link(&bytes, RTM_NEWLINK, rows[i].index, rows[i].name, rows[i].size);
        message = only_message(&bytes);
        CHECK(decode_link(&message) == -EBADMSG && decode_name(&message) == -EBADMSG);
        CHECK(decode_flags(&message) == (rows[i].index > 0 ? 0 : -EBADMSG));
    }
}

TEST(a_deleted_link_has_no_name)
{
    struct netstrat_link_name name;
    struct netstrat_message message;
    struct bytes bytes = {{0}, 0};

    put_link(&bytes, RTM_DELLINK, INT32_MAX, "123456789012345", 16);
    message = only_message(&bytes);
    CHECK(netstrat_link_name_decode(&message, &name) == 0);
    CHECK(name.index == INT32_MAX && name.name[0] == '\0');
    check_mutations(decode_name, &bytes);

    /* A bridge announces that a port has left with RTM_DELLINK of family AF_BRIDGE. */
    bytes.data[16] = 7; /* AF_BRIDGE */
    message = only_message(&bytes);
    CHECK(netstrat_link_name_decode(&message, &name) == 0 && !strcmp(name.name, "123456789012345"));
}

TEST(other_messages_are_not_links)
{
    static const uint16_t types[] = {RTM_GETLINK, RTM_SETLINK, RTM_NEWADDR, NEWSTATS, NLMSG_ERROR};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct bytes bytes = {{0}, 0};
        struct netstrat_message message;

        put_link(&bytes, types[i], 3, "eth0", 5);
        message = only_message(&bytes);
        CHECK(decode_link(&message) == -EBADMSG && decode_name(&message) == -EBADMSG);
        CHECK(decode_flags(&message) == -EBADMSG);
    }
}

/* A truncated message still starts with the flags. */
TEST(the_flags_of_a_truncated_link_are_read)
{
    struct bytes bytes = bytes_of(&whole_link);
    struct netstrat_message message = only_message(&bytes);
    uint32_t flags = 0;
    int32_t index = 0;
    size_t size;

    CHECK(netstrat_link_flags_decode(&message, &index, &flags) == 0);
    CHECK(index == 7 && flags == (IFF_UP | IFF_RUNNING));
    for (size = 0; size < bytes.length; size++) {
        CHECK(decode_copy(decode_flags, bytes.data, size, bytes.length - size) ==
              (size < 32 ? -EBADMSG : 0));
        CHECK(decode_copy(decode_link, bytes.data, size, bytes.length - size) == -EBADMSG);
        CHECK(decode_copy(decode_name, bytes.data, size, bytes.length - size) == -EBADMSG);
    }
    check_mutations(decode_flags, &bytes);
}

/* The decoder of names stops after IFLA_IFNAME. */
TEST(a_malformed_attribute_is_noticed_only_if_it_is_read)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_message message;
    size_t at = begin(&bytes, RTM_NEWLINK, 0, 1, 2);

    put_info(&bytes, 3, 0);
    attribute(&bytes, IFLA_IFNAME | 0x8000, "eth0", 5); /* the flag is not part of the type */
    put(&bytes, "\xff\xff\x01", 4);
    finish(&bytes, at);
    message = only_message(&bytes);
    CHECK(decode_link(&message) == -EBADMSG);
    CHECK(decode_name(&message) == 0);
}

/* Invalid names are skipped. The list ends at a malformed attribute. */
TEST(alternative_names_are_bounded)
{
    char name[NETSTRAT_ALT_NAME_SIZE], longest[200];
    struct bytes list = {{0}, 0};
    struct netstrat_cursor rest;

    memset(longest, 'x', sizeof longest);
    attribute(&list, ALT_IFNAME, longest, sizeof longest); /* too long, and without its NUL */
    longest[127] = '\0';
    attribute(&list, ALT_IFNAME, "", 1);
    attribute(&list, ALT_IFNAME, longest, 128);
    put(&list, "\xff\xff\x35\x00", 4);
    attribute(&list, ALT_IFNAME, "behind", 7);
    rest.data = list.data;
    rest.at = 0;
    rest.end = list.length;
    rest.missing = 0;
    CHECK(netstrat_altname_next(&rest, name) == 1 && !strcmp(name, longest));
    CHECK(netstrat_altname_next(&rest, name) == 0 && !strcmp(name, longest));
}
