/* SPDX-License-Identifier: MIT */
/* Links made, changed and deleted: the bytes of each request, and what is refused unsent. */
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

/* Every field has a value; `set` says which of them count. */
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
    settings.hairpin = 7; /* any but 0 */
    settings.group = 42;
    settings.queues = 3;
    memcpy(settings.alias, "an alias", 8);
    return settings;
}

static void put_u32(struct bytes *to, uint16_t type, uint32_t value)
{
    attribute(to, type, &value, sizeof value);
}

static void put_fixed(struct bytes *to, int32_t index, uint32_t flags, uint32_t change)
{
    const uint32_t info[4] = {0, (uint32_t)index, flags, change};

    put(to, info, sizeof info);
}

static void put_text(struct bytes *to, uint16_t type, const char *text)
{
    attribute(to, type, text, strlen(text) + 1);
}

/* ---- made ---- */

static int encode_bridge(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = none();

    return netstrat_batch_add_link(batch, "bridge", &settings);
}

static void put_bridge(struct bytes *to)
{
    size_t info, at = begin(to, RTM_NEWLINK, ADD, 0, 0);

    put_fixed(to, 0, 0, 0);
    info = open_attribute(to, IFLA_LINKINFO | NESTED);
    put_text(to, IFLA_INFO_KIND, "bridge");
    close_attribute(to, info);
    finish(to, at);
}

enum {
    AT_CREATION = NETSTRAT_LINK_NAME | NETSTRAT_LINK_INDEX | NETSTRAT_LINK_UP | NETSTRAT_LINK_MTU |
                  NETSTRAT_LINK_TXQUEUELEN | NETSTRAT_LINK_MAC | NETSTRAT_LINK_MASTER |
                  NETSTRAT_LINK_NETNS | NETSTRAT_LINK_GROUP | NETSTRAT_LINK_QUEUES,
    OF_A_PEER = AT_CREATION & ~(NETSTRAT_LINK_UP | NETSTRAT_LINK_MASTER),
    AFTERWARDS = (AT_CREATION & ~NETSTRAT_LINK_QUEUES) | NETSTRAT_LINK_ALIAS | NETSTRAT_LINK_HAIRPIN
};

static int encode_ifb(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = filled(AT_CREATION);

    return netstrat_batch_add_link(batch, "ifb", &settings);
}

static void put_ifb(struct bytes *to)
{
    size_t info, at = begin(to, RTM_NEWLINK, ADD, 0, 0);

    put_fixed(to, 40, IFF_UP, IFF_UP);
    put_text(to, IFLA_IFNAME, "eth0");
    put_u32(to, IFLA_NET_NS_FD, 11);
    put_u32(to, IFLA_MTU, 1400);
    put_u32(to, IFLA_TXQLEN, 500);
    put_u32(to, IFLA_MASTER, 9);
    put_u32(to, IFLA_GROUP, 42);
    put_u32(to, IFLA_NUM_TX_QUEUES, 3);
    put_u32(to, IFLA_NUM_RX_QUEUES, 3);
    attribute(to, IFLA_ADDRESS, mac, sizeof mac);
    info = open_attribute(to, IFLA_LINKINFO | NESTED);
    put_text(to, IFLA_INFO_KIND, "ifb");
    close_attribute(to, info);
    finish(to, at);
}

static int encode_macvlan(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = named("mv%d");

    settings.set |= NETSTRAT_LINK_UP; /* and down */
    return netstrat_batch_add_macvlan(batch, 3, MACVLAN_MODE_BRIDGE, &settings);
}

static void put_macvlan(struct bytes *to)
{
    size_t info, data, at = begin(to, RTM_NEWLINK, ADD, 0, 0);

    put_fixed(to, 0, 0, IFF_UP);
    put_text(to, IFLA_IFNAME, "mv%d");
    put_u32(to, IFLA_LINK, 3);
    info = open_attribute(to, IFLA_LINKINFO | NESTED);
    put_text(to, IFLA_INFO_KIND, "macvlan");
    data = open_attribute(to, IFLA_INFO_DATA | NESTED);
    put_u32(to, IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
    close_attribute(to, data);
    close_attribute(to, info);
    finish(to, at);
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

static void put_veth(struct bytes *to)
{
    size_t info, data, end, at = begin(to, RTM_NEWLINK, ADD, 0, 0);

    put_fixed(to, 30, IFF_UP, IFF_UP);
    put_text(to, IFLA_IFNAME, "veth0");
    put_u32(to, IFLA_MASTER, 9);
    info = open_attribute(to, IFLA_LINKINFO | NESTED);
    put_text(to, IFLA_INFO_KIND, "veth");
    data = open_attribute(to, IFLA_INFO_DATA | NESTED);
    end = open_attribute(to, VETH_PEER | NESTED);
    put_fixed(to, 40, 0, 0);
    put_text(to, IFLA_IFNAME, "eth0");
    put_u32(to, IFLA_NET_NS_FD, 11);
    put_u32(to, IFLA_MTU, 1400);
    put_u32(to, IFLA_TXQLEN, 500);
    put_u32(to, IFLA_GROUP, 42);
    put_u32(to, IFLA_NUM_TX_QUEUES, 3);
    put_u32(to, IFLA_NUM_RX_QUEUES, 3);
    attribute(to, IFLA_ADDRESS, mac, sizeof mac);
    close_attribute(to, end);
    close_attribute(to, data);
    close_attribute(to, info);
    finish(to, at);
}

/* ---- changed and deleted ---- */

static int encode_set(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = filled(AFTERWARDS);

    return netstrat_batch_set_link(batch, 7, NULL, &settings);
}

static void put_set(struct bytes *to)
{
    size_t info, data, at = begin(to, RTM_NEWLINK, SET, 0, 0);

    put_fixed(to, 7, IFF_UP, IFF_UP);
    put_text(to, IFLA_IFNAME, "eth0");
    put_u32(to, IFLA_NET_NS_FD, 11);
    put_u32(to, IFLA_MTU, 1400);
    put_u32(to, IFLA_TXQLEN, 500);
    put_u32(to, IFLA_MASTER, 9);
    put_u32(to, IFLA_GROUP, 42);
    attribute(to, IFLA_ADDRESS, mac, sizeof mac);
    attribute(to, IFLA_IFALIAS, "an alias", 8); /* without its NUL */
    put_u32(to, NEW_IFINDEX, 40);
    info = open_attribute(to, IFLA_LINKINFO | NESTED);
    put_text(to, SLAVE_KIND, "bridge");
    data = open_attribute(to, SLAVE_DATA | NESTED);
    attribute(to, IFLA_BRPORT_MODE, "\1", 1);
    close_attribute(to, data);
    close_attribute(to, info);
    finish(to, at);
}

static int encode_set_by_name(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = none();

    settings.set = NETSTRAT_LINK_UP | NETSTRAT_LINK_ALIAS | NETSTRAT_LINK_HAIRPIN |
                   NETSTRAT_LINK_MASTER;
    return netstrat_batch_set_link(batch, 0, "veth0", &settings);
}

static void put_set_by_name(struct bytes *to)
{
    size_t info, data, at = begin(to, RTM_NEWLINK, SET, 0, 0);

    put_fixed(to, 0, 0, IFF_UP);
    put_text(to, IFLA_IFNAME, "veth0");
    put_u32(to, IFLA_MASTER, 0);
    attribute(to, IFLA_IFALIAS, "", 0);
    info = open_attribute(to, IFLA_LINKINFO | NESTED);
    put_text(to, SLAVE_KIND, "bridge");
    data = open_attribute(to, SLAVE_DATA | NESTED);
    attribute(to, IFLA_BRPORT_MODE, "\0", 1);
    close_attribute(to, data);
    close_attribute(to, info);
    finish(to, at);
}

static int encode_set_nothing(struct netstrat_batch *batch)
{
    struct netstrat_link_settings settings = filled(0);

    return netstrat_batch_set_link(batch, 0, alternative, &settings);
}

static void put_set_nothing(struct bytes *to)
{
    size_t at = begin(to, RTM_NEWLINK, SET, 0, 0);

    put_fixed(to, 0, 0, 0);
    put_text(to, ALT_IFNAME, alternative);
    finish(to, at);
}

static int encode_delete(struct netstrat_batch *batch)
{
    return netstrat_batch_delete_link(batch, 7, NULL);
}

static void put_delete(struct bytes *to)
{
    size_t at = begin(to, RTM_DELLINK, SET, 0, 0);

    put_fixed(to, 7, 0, 0);
    finish(to, at);
}

static int encode_delete_by_name(struct netstrat_batch *batch)
{
    return netstrat_batch_delete_link(batch, 0, "eth0");
}

static void put_delete_by_name(struct bytes *to)
{
    size_t at = begin(to, RTM_DELLINK, SET, 0, 0);

    put_fixed(to, 0, 0, 0);
    put_text(to, IFLA_IFNAME, "eth0");
    finish(to, at);
}

static int encode_delete_by_alternative_name(struct netstrat_batch *batch)
{
    return netstrat_batch_delete_link(batch, 0, alternative);
}

static void put_delete_by_alternative_name(struct bytes *to)
{
    size_t at = begin(to, RTM_DELLINK, SET, 0, 0);

    put_fixed(to, 0, 0, 0);
    put_text(to, ALT_IFNAME, alternative);
    finish(to, at);
}

static int encode_delete_group(struct netstrat_batch *batch)
{
    return netstrat_batch_delete_link_group(batch, 0x01020304);
}

static void put_delete_group(struct bytes *to)
{
    size_t at = begin(to, RTM_DELLINK, SET, 0, 0);

    put_fixed(to, 0, 0, 0);
    put_u32(to, IFLA_GROUP, 0x01020304);
    finish(to, at);
}

TEST(each_request_is_these_bytes)
{
    static const struct encoder encoders[] = {
        {encode_bridge, put_bridge},
        {encode_ifb, put_ifb},
        {encode_macvlan, put_macvlan},
        {encode_veth, put_veth},
        {encode_set, put_set},
        {encode_set_by_name, put_set_by_name},
        {encode_set_nothing, put_set_nothing},
        {encode_delete, put_delete},
        {encode_delete_by_name, put_delete_by_name},
        {encode_delete_by_alternative_name, put_delete_by_alternative_name},
        {encode_delete_group, put_delete_group},
    };

    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++)
        check_encoder(&encoders[i]);
}

/* ---- refused ---- */

enum kind { LINK, MACVLAN, OWN, PEER, CHANGE };

/* These settings in a message of each kind, behind another message; from memory of exactly their
 * size, so that a byte too far is the sanitizers' to see. */
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
    code = kind == LINK      ? netstrat_batch_add_link(&batch, "ifb", copy)
           : kind == MACVLAN ? netstrat_batch_add_macvlan(&batch, 3, MACVLAN_MODE_VEPA, copy)
           : kind == OWN     ? netstrat_batch_add_veth(&batch, copy, &other)
           : kind == PEER    ? netstrat_batch_add_veth(&batch, &other, copy)
                             : netstrat_batch_set_link(&batch, 7, NULL, copy);
    CHECK(batch.code == 0 && batch.count == (code == 0 ? 2U : 1U));
    CHECK(code == 0 || batch.used == 32);
    free(copy);
    return code;
}

TEST(a_setting_that_the_kernel_would_not_carry_out_is_refused)
{
    const uint32_t others = NETSTRAT_LINK_INDEX | NETSTRAT_LINK_NETNS;

    for (uint32_t field = 1; field <= NETSTRAT_LINK_QUEUES; field <<= 1) {
        struct netstrat_link_settings settings = filled(field | others);

        CHECK(encode_with(LINK, &settings) == (field & AT_CREATION ? 0 : -EINVAL));
        CHECK(encode_with(MACVLAN, &settings) == (field & AT_CREATION ? 0 : -EINVAL));
        CHECK(encode_with(OWN, &settings) == (field & AT_CREATION ? 0 : -EINVAL));
        CHECK(encode_with(PEER, &settings) == (field & OF_A_PEER ? 0 : -EINVAL));
        CHECK(encode_with(CHANGE, &settings) == (field & AFTERWARDS ? 0 : -EINVAL));
    }
}

TEST(a_new_index_needs_a_new_namespace)
{
    struct netstrat_link_settings settings = filled(NETSTRAT_LINK_INDEX);

    CHECK(encode_with(CHANGE, &settings) == -EINVAL);
    settings.set |= NETSTRAT_LINK_NETNS;
    CHECK(encode_with(CHANGE, &settings) == 0);
}

TEST(the_index_of_a_peer_needs_the_own_one)
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

TEST(a_link_that_goes_by_its_name_gets_no_name_and_no_group)
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

TEST(a_name_that_no_link_can_have_is_refused)
{
    static const char *const names[] = {"", ".", "..", "a/b", "a:b", "a b", "a\n", "\xa0"};
    unsigned char buffer[256];
    struct netstrat_batch batch;
    struct netstrat_link_settings settings;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        settings = named(names[i]);
        for (int kind = LINK; kind <= CHANGE; kind++)
            CHECK(encode_with((enum kind)kind, &settings) == -EINVAL);
    }
    settings = none();
    CHECK(netstrat_batch_set_link(&batch, 0, "", &settings) == -EINVAL);
    CHECK(netstrat_batch_delete_link(&batch, 0, "") == -EINVAL);
    CHECK(batch.used == 0);
    for (int last = 0; last < 2; last++) { /* without its NUL, and with every byte behind it set */
        memset(&settings, 'x', sizeof settings);
        settings.set = NETSTRAT_LINK_NAME;
        settings.name[15] = last ? '\0' : 'x';
        for (int kind = LINK; kind <= CHANGE; kind++)
            CHECK(encode_with((enum kind)kind, &settings) == (last ? 0 : -EINVAL));
        settings.alias[0] = '\0'; /* which stands behind the name */
        CHECK(encode_with(CHANGE, &settings) == (last ? 0 : -EINVAL));
    }
}

TEST(a_hardware_address_of_no_length_or_too_long_is_refused)
{
    for (uint32_t length = 0; length < 70; length++) {
        struct netstrat_link_settings settings = none();

        settings.set = NETSTRAT_LINK_MAC;
        settings.mac_length = length == 69 ? UINT32_MAX : length;
        for (int kind = LINK; kind <= CHANGE; kind++)
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

TEST(a_link_without_a_sensible_index_is_refused)
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

TEST(any_bytes_as_settings_do_no_harm)
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

TEST(a_kind_of_any_length_is_encoded_or_does_not_fit)
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
