/* SPDX-License-Identifier: MIT */
/* Requests that create, change and delete links, byte by byte, and settings that are refused. */
#include <errno.h>
#include <stdlib.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"
#include "codec.h"

#include <net/if.h>

/* Not in the headers of older kernels. */
enum { NEW_IFINDEX = 49, ALT_IFNAME = 53, SLAVE_KIND = 4, SLAVE_DATA = 5 };
enum { NESTED = 0x8000, VETH_PEER = 1 };
enum { SET = NLM_F_REQUEST | NLM_F_ACK, ADD = SET | NLM_F_CREATE | NLM_F_EXCL };

static const unsigned char mac[6] = {2, 0, 0x5e, 0x10, 0, 7};
static const char alternative[] = "an-alternative-name";

static struct netstrat_link_settings none(void)
{
    struct netstrat_link_settings settings;

    memset(&settings, 0, sizeof settings);
    return settings;
}

static struct netstrat_link_settings named(const char *name)
{
    struct netstrat_link_settings settings = none();

    settings.set = NETSTRAT_LINK_NAME;
    memcpy(settings.name, name, strlen(name));
    return settings;
}

/* Settings in which every field has a value. `set` selects the fields that are used. */
static struct netstrat_link_settings filled(uint32_t set)
{
    struct netstrat_link_settings settings = named("eth0");

    settings.set = set;
    settings.index = 40;
    settings.up = 1;
    settings.mtu = 1400;
    settings.txqueuelen = 500;
    settings.mac_length = sizeof mac;
    memcpy(settings.mac, mac, sizeof mac);
    settings.master = 9;
    settings.netns = 11;
    settings.hairpin = 7; /* not 0 */
    settings.group = 42;
    settings.queues = 3;
    memcpy(settings.alias, "an alias", 8);
    settings.isolated = 256; /* not 0 */
    settings.learning = 1;
    return settings;
}

/* ---- requests ---- */

static int encode_bridge(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = none();

    return netstrat_batch_add_link(batch, "bridge", &settings);
}

enum {
    AT_CREATION = NETSTRAT_LINK_NAME | NETSTRAT_LINK_INDEX | NETSTRAT_LINK_UP | NETSTRAT_LINK_MTU |
                  NETSTRAT_LINK_TXQUEUELEN | NETSTRAT_LINK_MAC | NETSTRAT_LINK_MASTER |
                  NETSTRAT_LINK_NETNS | NETSTRAT_LINK_GROUP | NETSTRAT_LINK_QUEUES,
    OF_A_PEER = AT_CREATION & ~(NETSTRAT_LINK_UP | NETSTRAT_LINK_MASTER),
    OF_A_PORT = NETSTRAT_LINK_HAIRPIN | NETSTRAT_LINK_ISOLATED | NETSTRAT_LINK_LEARNING,
    AFTERWARDS = (AT_CREATION & ~NETSTRAT_LINK_QUEUES) | NETSTRAT_LINK_ALIAS | OF_A_PORT
};

static int encode_ifb(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = filled(AT_CREATION);

    return netstrat_batch_add_link(batch, "ifb", &settings);
}

static int encode_macvlan(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = named("mv%d");

    settings.set |= NETSTRAT_LINK_UP; /* down, since `up` is 0 */
    return netstrat_batch_add_macvlan(batch, 3, MACVLAN_MODE_BRIDGE, &settings);
}

static int encode_vlan(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = named("v5");

    return netstrat_batch_add_vlan(batch, 3, 5, 0x8100, &settings);
}

static int encode_last_vlan(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = filled(AT_CREATION);

    return netstrat_batch_add_vlan(batch, 3, 4094, 0x88a8, &settings);
}

static int encode_ipvlan(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = named("iv");

    return netstrat_batch_add_ipvlan(batch, 3, 2, 1, &settings);
}

static int encode_vxlan(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = named("vx");
    struct netstrat_vxlan vxlan;

    memset(&vxlan, 0, sizeof vxlan);
    vxlan.id = 42;
    vxlan.port = 4789;
    return netstrat_batch_add_vxlan(batch, 0, &vxlan, &settings);
}

static int encode_whole_vxlan(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = named("vx");
    struct netstrat_vxlan vxlan;

    vxlan.id = 0xffffff;
    vxlan.remote = prefix_of("192.0.2.9");
    vxlan.local = prefix_of("192.0.2.1");
    vxlan.port = 8472;
    vxlan.learning = 7; /* not 0 */
    vxlan.ttl = 5;
    return netstrat_batch_add_vxlan(batch, 3, &vxlan, &settings);
}

static int encode_vxlan_of_ipv6(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = named("vx");
    struct netstrat_vxlan vxlan;

    memset(&vxlan, 0, sizeof vxlan);
    vxlan.remote = prefix_of("ff02::5");
    vxlan.local = prefix_of("2001:db8::1");
    return netstrat_batch_add_vxlan(batch, 3, &vxlan, &settings);
}

static int encode_veth(struct netstrat_batch *batch)
{
    struct netstrat_link_settings own = named("veth0"), peer = filled(OF_A_PEER);

    own.set |= NETSTRAT_LINK_INDEX | NETSTRAT_LINK_UP | NETSTRAT_LINK_MASTER;
    own.index = 30;
    own.up = 1;
    own.master = 9;
    return netstrat_batch_add_veth(batch, &own, &peer);
}

static int encode_set(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = filled(AFTERWARDS);

    return netstrat_batch_set_link(batch, 7, NULL, &settings);
}

static int encode_set_by_name(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = none();

    settings.set = NETSTRAT_LINK_UP | NETSTRAT_LINK_ALIAS | NETSTRAT_LINK_MASTER | OF_A_PORT;
    return netstrat_batch_set_link(batch, 0, "veth0", &settings);
}

static int encode_set_hairpin(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = filled(NETSTRAT_LINK_HAIRPIN);

    return netstrat_batch_set_link(batch, 7, NULL, &settings);
}

static int encode_set_isolated(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = filled(NETSTRAT_LINK_ISOLATED);

    return netstrat_batch_set_link(batch, 7, NULL, &settings);
}

static int encode_set_learning(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = filled(NETSTRAT_LINK_LEARNING);

    return netstrat_batch_set_link(batch, 7, NULL, &settings);
}

static int encode_set_nothing(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = filled(0);

    return netstrat_batch_set_link(batch, 0, alternative, &settings);
}

static int encode_delete(struct netstrat_batch *batch)
{
    return netstrat_batch_delete_link(batch, 7, NULL);
}

static int encode_delete_by_name(struct netstrat_batch *batch)
{
    return netstrat_batch_delete_link(batch, 0, "eth0");
}

static int encode_delete_by_alternative_name(struct netstrat_batch *batch)
{
    return netstrat_batch_delete_link(batch, 0, alternative);
}

static int encode_delete_group(struct netstrat_batch *batch)
{
    return netstrat_batch_delete_link_group(batch, 0x01020304);
}

#define KIND(kind) NEST(IFLA_LINKINFO | NESTED, TEXT(IFLA_INFO_KIND, kind))
#define KIND_AND_DATA(kind, ...)                                                                   \
    NEST(IFLA_LINKINFO | NESTED, TEXT(IFLA_INFO_KIND, kind),                                       \
         NEST(IFLA_INFO_DATA | NESTED, __VA_ARGS__))
#define PORT(...)                                                                                  \
    NEST(IFLA_LINKINFO | NESTED, TEXT(SLAVE_KIND, "bridge"), NEST(SLAVE_DATA | NESTED, __VA_ARGS__))
#define HAIRPIN(mode) ATTRIBUTE(IFLA_BRPORT_MODE, mode, 1)
#define LEARNING(mode) ATTRIBUTE(8, mode, 1)  /* IFLA_BRPORT_LEARNING, 3.11 */
#define ISOLATED(mode) ATTRIBUTE(33, mode, 1) /* IFLA_BRPORT_ISOLATED, 4.18 */
#define U16(type, value) ATTRIBUTE(type, &(const uint16_t){value}, 2)
#define NAME(name) TEXT(IFLA_IFNAME, name)
#define ALTERNATIVE_NAME ATTRIBUTE(ALT_IFNAME, alternative, sizeof alternative)
#define MAC ATTRIBUTE(IFLA_ADDRESS, mac, sizeof mac)
#define QUEUES U32(IFLA_NUM_TX_QUEUES, 3), U32(IFLA_NUM_RX_QUEUES, 3)

static const struct encoder encoders[] = {
    {"a bridge", encode_bridge, MESSAGE(RTM_NEWLINK, ADD, LINK(0, 0, 0), KIND("bridge"))},
    {"an ifb with all settings", encode_ifb,
     MESSAGE(RTM_NEWLINK, ADD, LINK(40, IFF_UP, IFF_UP), NAME("eth0"), U32(IFLA_NET_NS_FD, 11),
             U32(IFLA_MTU, 1400), U32(IFLA_TXQLEN, 500), U32(IFLA_MASTER, 9), U32(IFLA_GROUP, 42),
             QUEUES, MAC, KIND("ifb"))},
    {"a macvlan", encode_macvlan,
     MESSAGE(RTM_NEWLINK, ADD, LINK(0, 0, IFF_UP), NAME("mv%d"), U32(IFLA_LINK, 3),
             KIND_AND_DATA("macvlan", U32(IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE)))},
    {"a VLAN", encode_vlan,
     MESSAGE(RTM_NEWLINK, ADD, LINK(0, 0, 0), NAME("v5"), U32(IFLA_LINK, 3),
             KIND_AND_DATA("vlan", ATTRIBUTE(IFLA_VLAN_PROTOCOL, "\x81\0", 2),
                           U16(IFLA_VLAN_ID, 5)))},
    {"the last VLAN with all settings", encode_last_vlan,
     MESSAGE(RTM_NEWLINK, ADD, LINK(40, IFF_UP, IFF_UP), NAME("eth0"), U32(IFLA_NET_NS_FD, 11),
             U32(IFLA_MTU, 1400), U32(IFLA_TXQLEN, 500), U32(IFLA_MASTER, 9), U32(IFLA_GROUP, 42),
             QUEUES, MAC, U32(IFLA_LINK, 3),
             KIND_AND_DATA("vlan", ATTRIBUTE(IFLA_VLAN_PROTOCOL, "\x88\xa8", 2),
                           U16(IFLA_VLAN_ID, 4094)))},
    {"an ipvlan", encode_ipvlan, /* IFLA_IPVLAN_MODE, IFLA_IPVLAN_FLAGS */
     MESSAGE(RTM_NEWLINK, ADD, LINK(0, 0, 0), NAME("iv"), U32(IFLA_LINK, 3),
             KIND_AND_DATA("ipvlan", U16(1, 2), U16(2, 1)))},
    {"a VXLAN", encode_vxlan,
     MESSAGE(RTM_NEWLINK, ADD, LINK(0, 0, 0), NAME("vx"),
             KIND_AND_DATA("vxlan", U32(IFLA_VXLAN_ID, 42), ATTRIBUTE(IFLA_VXLAN_LEARNING, "\0", 1),
                           ATTRIBUTE(IFLA_VXLAN_PORT, "\x12\xb5", 2)))},
    {"a VXLAN with all settings", encode_whole_vxlan,
     MESSAGE(RTM_NEWLINK, ADD, LINK(0, 0, 0), NAME("vx"),
             KIND_AND_DATA("vxlan", U32(IFLA_VXLAN_LINK, 3), ATTRIBUTE(IFLA_VXLAN_TTL, "\5", 1),
                           U32(IFLA_VXLAN_ID, 0xffffff),
                           ATTRIBUTE(IFLA_VXLAN_LOCAL, "\xc0\0\2\1", 4),
                           ATTRIBUTE(IFLA_VXLAN_GROUP, "\xc0\0\2\x09", 4),
                           ATTRIBUTE(IFLA_VXLAN_LEARNING, "\1", 1),
                           ATTRIBUTE(IFLA_VXLAN_PORT, "\x21\x18", 2)))},
    {"a VXLAN between IPv6 addresses", encode_vxlan_of_ipv6, /* _LOCAL6, _GROUP6 */
     MESSAGE(RTM_NEWLINK, ADD, LINK(0, 0, 0), NAME("vx"),
             KIND_AND_DATA("vxlan", U32(IFLA_VXLAN_LINK, 3), U32(IFLA_VXLAN_ID, 0),
                           ATTRIBUTE(17, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16),
                           ATTRIBUTE(16, "\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\5", 16),
                           ATTRIBUTE(IFLA_VXLAN_LEARNING, "\0", 1),
                           ATTRIBUTE(IFLA_VXLAN_PORT, "\0\0", 2)))},
    {"a veth pair", encode_veth,
     MESSAGE(RTM_NEWLINK, ADD, LINK(30, IFF_UP, IFF_UP), NAME("veth0"), U32(IFLA_MASTER, 9),
             KIND_AND_DATA("veth", NEST(VETH_PEER | NESTED, LINK(40, 0, 0), NAME("eth0"),
                                        U32(IFLA_NET_NS_FD, 11), U32(IFLA_MTU, 1400),
                                        U32(IFLA_TXQLEN, 500), U32(IFLA_GROUP, 42), QUEUES, MAC)))},
    {"all settings of a link", encode_set, /* the alias without its NUL */
     MESSAGE(RTM_NEWLINK, SET, LINK(7, IFF_UP, IFF_UP), NAME("eth0"), U32(IFLA_NET_NS_FD, 11),
             U32(IFLA_MTU, 1400), U32(IFLA_TXQLEN, 500), U32(IFLA_MASTER, 9), U32(IFLA_GROUP, 42),
             MAC, ATTRIBUTE(IFLA_IFALIAS, "an alias", 8), U32(NEW_IFINDEX, 40),
             PORT(HAIRPIN("\1"), LEARNING("\1"), ISOLATED("\1")))},
    {"settings of zero, by name", encode_set_by_name,
     MESSAGE(RTM_NEWLINK, SET, LINK(0, 0, IFF_UP), NAME("veth0"), U32(IFLA_MASTER, 0),
             ATTRIBUTE(IFLA_IFALIAS, "", 0), PORT(HAIRPIN("\0"), LEARNING("\0"), ISOLATED("\0")))},
    {"the hairpin mode of a port", encode_set_hairpin,
     MESSAGE(RTM_NEWLINK, SET, LINK(7, 0, 0), PORT(HAIRPIN("\1")))},
    {"the isolation of a port", encode_set_isolated,
     MESSAGE(RTM_NEWLINK, SET, LINK(7, 0, 0), PORT(ISOLATED("\1")))},
    {"the learning of a port", encode_set_learning,
     MESSAGE(RTM_NEWLINK, SET, LINK(7, 0, 0), PORT(LEARNING("\1")))},
    {"no setting", encode_set_nothing, MESSAGE(RTM_NEWLINK, SET, LINK(0, 0, 0), ALTERNATIVE_NAME)},
    {"a deletion", encode_delete, MESSAGE(RTM_DELLINK, SET, LINK(7, 0, 0))},
    {"a deletion by name", encode_delete_by_name,
     MESSAGE(RTM_DELLINK, SET, LINK(0, 0, 0), NAME("eth0"))},
    {"a deletion by alternative name", encode_delete_by_alternative_name,
     MESSAGE(RTM_DELLINK, SET, LINK(0, 0, 0), ALTERNATIVE_NAME)},
    {"a deletion by group", encode_delete_group,
     MESSAGE(RTM_DELLINK, SET, LINK(0, 0, 0), U32(IFLA_GROUP, 0x01020304))},
};

TEST(the_requests_have_these_bytes)
{
    CHECK_ENCODERS(encoders);
}

/* ---- refused ---- */

enum kind { PLAIN, MACVLAN, OWN, PEER, CHANGE };

/* Encodes these settings in a message of each kind, after another message. They are in memory of
 * exactly their size, so that the sanitizers notice a read beyond it. */
static int encode_with(enum kind kind, const struct netstrat_link_settings *settings)
{
    struct netstrat_link_settings *copy = (struct netstrat_link_settings *)malloc(sizeof *copy);
    struct netstrat_link_settings other = none();
    unsigned char buffer[1024];
    struct netstrat_batch batch;
    int code;

    *copy = *settings;
    other.set = kind == PEER ? NETSTRAT_LINK_INDEX : 0;
    other.index = 3;
    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(encode_delete(&batch) == 0);
    code = kind == PLAIN     ? netstrat_batch_add_link(&batch, "ifb", copy)
           : kind == MACVLAN ? netstrat_batch_add_macvlan(&batch, 3, MACVLAN_MODE_VEPA, copy)
           : kind == OWN     ? netstrat_batch_add_veth(&batch, copy, &other)
           : kind == PEER    ? netstrat_batch_add_veth(&batch, &other, copy)
                             : netstrat_batch_set_link(&batch, 7, NULL, copy);
    CHECK(batch.code == 0 && batch.count == (code == 0 ? 2U : 1U));
    CHECK(code == 0 || batch.used == 32);
    free(copy);
    return code;
}

TEST(a_setting_that_the_kernel_would_ignore_is_refused)
{
    const uint32_t others = NETSTRAT_LINK_INDEX | NETSTRAT_LINK_NETNS;

    for (uint32_t field = 1; field <= NETSTRAT_LINK_LEARNING; field <<= 1) {
        struct netstrat_link_settings settings = filled(field | others);

        CHECK(encode_with(PLAIN, &settings) == (field & AT_CREATION ? 0 : -EINVAL));
        CHECK(encode_with(MACVLAN, &settings) == (field & AT_CREATION ? 0 : -EINVAL));
        CHECK(encode_with(OWN, &settings) == (field & AT_CREATION ? 0 : -EINVAL));
        CHECK(encode_with(PEER, &settings) == (field & OF_A_PEER ? 0 : -EINVAL));
        CHECK(encode_with(CHANGE, &settings) == (field & AFTERWARDS ? 0 : -EINVAL));
    }
}

TEST(a_parent_an_id_or_an_address_that_cannot_be_is_refused)
{
    static const struct {
        int32_t parent;
        uint32_t vlan, vni;
        uint8_t family;
        int vlan_code, ipvlan_code, vxlan_code;
    } rows[] = {
        {1, 0, 0, 0, 0, 0, 0},
        {INT32_MAX, 4094, 0xffffff, AF_INET6, 0, 0, 0},
        {0, 1, 1, AF_INET, -EINVAL, -EINVAL, 0},
        {-1, 1, 1, 0, -EINVAL, -EINVAL, -EINVAL},
        {1, 4095, 1 << 24, 0, -EINVAL, 0, -EINVAL},
        {1, 1U << 16, 1, 7, -EINVAL, 0, -EINVAL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct netstrat_link_settings settings = none();
        struct netstrat_vxlan vxlan;
        unsigned char buffer[512];
        struct netstrat_batch batch;

        memset(&vxlan, 0, sizeof vxlan);
        vxlan.id = rows[i].vni;
        vxlan.remote.family = rows[i].family;
        netstrat_batch_init(&batch, buffer, sizeof buffer);
        CHECK(netstrat_batch_add_vlan(&batch, rows[i].parent, rows[i].vlan, 0x8100, &settings) ==
              rows[i].vlan_code);
        CHECK(netstrat_batch_add_ipvlan(&batch, rows[i].parent, 0, 0, &settings) ==
              rows[i].ipvlan_code);
        CHECK(netstrat_batch_add_vxlan(&batch, rows[i].parent, &vxlan, &settings) ==
              rows[i].vxlan_code);
        vxlan.local = vxlan.remote;
        memset(&vxlan.remote, 0, sizeof vxlan.remote);
        CHECK(netstrat_batch_add_vxlan(&batch, rows[i].parent, &vxlan, &settings) ==
              rows[i].vxlan_code);
    }
}

TEST(a_new_index_needs_a_new_namespace)
{
    struct netstrat_link_settings settings = filled(NETSTRAT_LINK_INDEX);

    CHECK(encode_with(CHANGE, &settings) == -EINVAL);
    settings.set |= NETSTRAT_LINK_NETNS;
    CHECK(encode_with(CHANGE, &settings) == 0);
}

TEST(an_index_of_the_peer_requires_one_of_the_link)
{
    struct netstrat_link_settings own = none(), peer = filled(NETSTRAT_LINK_INDEX);
    unsigned char buffer[256];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(netstrat_batch_add_veth(&batch, &own, &peer) == -EINVAL);
    own.set = NETSTRAT_LINK_INDEX;
    own.index = 30;
    CHECK(netstrat_batch_add_veth(&batch, &own, &peer) == 0);
}

TEST(a_link_selected_by_name_gets_no_new_name_and_no_group)
{
    unsigned char buffer[256];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    for (uint32_t field = 1; field <= NETSTRAT_LINK_GROUP; field <<= 1) {
        const uint32_t index_only = NETSTRAT_LINK_NAME | NETSTRAT_LINK_GROUP;
        struct netstrat_link_settings settings = filled(field | NETSTRAT_LINK_NETNS);

        CHECK(netstrat_batch_set_link(&batch, 0, "eth0", &settings) ==
              (field & index_only ? -EINVAL : 0));
        netstrat_batch_init(&batch, buffer, sizeof buffer);
        CHECK(netstrat_batch_set_link(&batch, 7, "not looked at", &settings) == 0);
        netstrat_batch_init(&batch, buffer, sizeof buffer);
    }
}

TEST(an_invalid_new_name_is_refused)
{
    static const char *const names[] = {"", ".", "..", "a/b", "a:b", "a b", "a\n", "\xa0"};
    unsigned char buffer[256];
    struct netstrat_batch batch;
    struct netstrat_link_settings settings;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        settings = named(names[i]);
        for (int kind = PLAIN; kind <= CHANGE; kind++)
            CHECK(encode_with((enum kind)kind, &settings) == -EINVAL);
    }
    settings = none();
    CHECK(netstrat_batch_set_link(&batch, 0, "", &settings) == -EINVAL);
    CHECK(netstrat_batch_delete_link(&batch, 0, "") == -EINVAL);
    CHECK(batch.used == 0);
    for (int last = 0; last < 2; last++) { /* without a NUL, and with all other bytes set */
        memset(&settings, 'x', sizeof settings);
        settings.set = NETSTRAT_LINK_NAME;
        settings.name[15] = last ? '\0' : 'x';
        for (int kind = PLAIN; kind <= CHANGE; kind++)
            CHECK(encode_with((enum kind)kind, &settings) == (last ? 0 : -EINVAL));
        settings.alias[0] = '\0'; /* the field after the name */
        CHECK(encode_with(CHANGE, &settings) == (last ? 0 : -EINVAL));
    }
}

TEST(a_hardware_address_must_have_1_to_32_bytes)
{
    for (uint32_t length = 0; length < 70; length++) {
        struct netstrat_link_settings settings = none();

        settings.set = NETSTRAT_LINK_MAC;
        settings.mac_length = length == 69 ? UINT32_MAX : length;
        for (int kind = PLAIN; kind <= CHANGE; kind++)
            CHECK(encode_with((enum kind)kind, &settings) ==
                  (length > 0 && length <= NETSTRAT_MAC_SIZE ? 0 : -EINVAL));
    }
}

TEST(an_alias_without_its_nul_is_refused)
{
    struct netstrat_link_settings settings = none();

    settings.set = NETSTRAT_LINK_ALIAS;
    memset(settings.alias, '\xff', sizeof settings.alias);
    CHECK(encode_with(CHANGE, &settings) == -EINVAL);
    settings.alias[sizeof settings.alias - 1] = '\0';
    CHECK(encode_with(CHANGE, &settings) == 0);
}

TEST(a_link_with_an_invalid_index_is_refused)
{
    struct netstrat_link_settings settings = none();
    unsigned char buffer[256];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(netstrat_batch_set_link(&batch, -1, "eth0", &settings) == -EINVAL);
    CHECK(netstrat_batch_set_link(&batch, INT32_MIN, NULL, &settings) == -EINVAL);
    CHECK(netstrat_batch_delete_link(&batch, -1, "eth0") == -EINVAL);
    CHECK(netstrat_batch_add_macvlan(&batch, 0, MACVLAN_MODE_BRIDGE, &settings) == -EINVAL);
    CHECK(netstrat_batch_add_macvlan(&batch, -1, MACVLAN_MODE_BRIDGE, &settings) == -EINVAL);
    CHECK(batch.used == 0);
    CHECK(netstrat_batch_set_link(&batch, INT32_MAX, NULL, &settings) == 0);
}

TEST(the_encoder_survives_any_bytes_as_settings)
{
    struct netstrat_link_settings *own = (struct netstrat_link_settings *)malloc(sizeof *own);
    struct netstrat_link_settings *peer = (struct netstrat_link_settings *)malloc(sizeof *peer);
    uint32_t random = 1, encoded = 0;

    for (int i = 0; i < 20000; i++) {
        size_t size = random >> 8 & 1023;
        unsigned char *buffer = (unsigned char *)malloc(size + 1);
        struct netstrat_batch batch;
        int code;

        *own = filled(AFTERWARDS);
        *peer = filled(OF_A_PEER);
        for (int changes = 0; changes < 3; changes++) {
            random = random * 1664525 + 1013904223;
            ((unsigned char *)own)[(random >> 8) % sizeof *own] = (unsigned char)(random >> 24);
            ((unsigned char *)peer)[(random >> 16) % sizeof *peer] = (unsigned char)(random >> 24);
        }
        own->set = random >> 6 & random >> 14 & random >> 20;
        netstrat_batch_init(&batch, buffer, size);
        code = netstrat_batch_add_veth(&batch, own, peer);
        CHECK(code == 0 || code == -EINVAL || code == -EMSGSIZE);
        encoded += code == 0;
        (void)netstrat_batch_add_link(&batch, "bridge", own);
        (void)netstrat_batch_add_macvlan(&batch, (int32_t)random, random, peer);
        (void)netstrat_batch_set_link(&batch, (int32_t)random, "eth0", peer);
        (void)netstrat_batch_set_link(&batch, 0, "eth0", own);
        CHECK(batch.used <= size && batch.code == 0);
        free(buffer);
    }
    CHECK(encoded > 1000 && encoded < 19000);
    free(own);
    free(peer);
}

TEST(a_kind_of_any_length_is_encoded_if_it_fits)
{
    struct netstrat_link_settings settings = none();
    char *kind = (char *)malloc(70000);
    unsigned char buffer[512];
    struct netstrat_batch batch;

    memset(kind, 'k', 70000);
    for (size_t length = 0; length < 600; length++) {
        kind[length] = '\0';
        netstrat_batch_init(&batch, buffer, sizeof buffer);
        CHECK(netstrat_batch_add_link(&batch, kind, &settings) ==
              (16 + 16 + 4 + 4 + length + 1 <= sizeof buffer ? 0 : -EMSGSIZE));
        kind[length] = 'k';
    }
    kind[69999] = '\0';
    CHECK(netstrat_batch_add_link(&batch, kind, &settings) == -EMSGSIZE);
    free(kind);
}
