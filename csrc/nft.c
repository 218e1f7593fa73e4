/* SPDX-License-Identifier: MIT */
/*
 * nf_tables: the table of egress and published ports. `nft list table inet pynetstrat` shows:
 *
 *     set subnets4, subnets6                 masqueraded subnets (intervals)
 *     set hosts4, hosts6                     masqueraded single addresses
 *     set neighbours4, neighbours6           the subnet of a container . the container
 *     map ports4, ports6                     protocol . port : container . its port
 *     map address_ports4, address_ports6     address . protocol . port : container . its port
 *
 *     chain published {
 *         ip daddr 127.0.0.0/8 return
 *         ip6 daddr ::1 return
 *         dnat ip to ip daddr . meta l4proto . th dport map @address_ports4
 *         dnat ip to meta l4proto . th dport map @ports4
 *         (the same for IPv6)
 *     }
 *     chain prerouting { fib daddr type local jump published }    (hook prerouting, dstnat)
 *     chain output { fib daddr type local jump published }        (hook output, -100)
 *     chain postrouting {                                         (hook postrouting, srcnat)
 *         oif lo return
 *         ct status dnat ip saddr . ip daddr @neighbours4 masquerade
 *         ip daddr @subnets4 return
 *         ip daddr @hosts4 return
 *         ip daddr >= 224.0.0.0 return
 *         ip saddr @subnets4 masquerade
 *         ip saddr @hosts4 masquerade
 *         (the same for IPv6)
 *     }
 *
 * Without `fib daddr type local`, connections to other hosts' ports would be caught. A container
 * that reaches another one of its subnet by a port of the host must be masqueraded, because the
 * answer would not come back through the host. The answer to 127.0.0.1 would not leave the
 * container.
 *
 * A message is a struct nfgenmsg and attributes, as in rtnetlink, but numbers in attributes are
 * big-endian. A value in a register, and so in an element, has the byte order of the packet if it
 * is read from the packet, otherwise that of the host. A part of a concatenation takes a multiple
 * of four bytes.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include <linux/netlink.h>

/* struct nfgenmsg, linux/netfilter/nfnetlink.h. */
struct nft_fixed {
    uint8_t family;
    uint8_t version;
    uint16_t resource; /* big-endian */
};

/* ---- sets ---- */

static const char nft_set_names[NETSTRAT_NFT_SETS][16] = {
    "subnets4",    "subnets6", "hosts4", "hosts6",         "neighbours4",
    "neighbours6", "ports4",   "ports6", "address_ports4", "address_ports6",
};

static int nft_is_set(uint32_t set)
{
    return set < NETSTRAT_NFT_SETS;
}

static int nft_is_subnets(uint32_t set)
{
    return set <= NETSTRAT_NFT_SUBNETS6;
}

static int nft_is_neighbours(uint32_t set)
{
    return set == NETSTRAT_NFT_NEIGHBOURS4 || set == NETSTRAT_NFT_NEIGHBOURS6;
}

static int nft_is_map(uint32_t set)
{
    return set >= NETSTRAT_NFT_PORTS4;
}

static int nft_has_address(uint32_t set)
{
    return set != NETSTRAT_NFT_PORTS4 && set != NETSTRAT_NFT_PORTS6;
}

static uint8_t nft_family(uint32_t set)
{
    return set & 1 ? AF_INET6 : AF_INET;
}

/* The size of an address of the set. */
static size_t nft_width(uint32_t set)
{
    return set & 1 ? 16 : 4;
}

/* ---- messages ---- */

static void nft_begin(struct netstrat_batch *batch, uint16_t type, uint16_t flags, uint8_t family)
{
    const struct nft_fixed fixed = {family, 0, 0};

    netstrat_batch_begin(batch, type, (uint16_t)(NLM_F_REQUEST | flags));
    netstrat_batch_append(batch, &fixed, sizeof fixed);
}

static const char nft_table[] = "pynetstrat";

/* Begins a message about the table or a part of it. The table's name is attribute 1 of all. */
static void nft_begin_ours(struct netstrat_batch *batch, uint16_t type, uint16_t flags)
{
    nft_begin(batch, type, flags, NETSTRAT_NFPROTO_INET);
    netstrat_batch_put_string(batch, NETSTRAT_NFTA_TABLE_NAME, nft_table);
}

static void nft_put_number(struct netstrat_batch *batch, uint16_t type, uint32_t value)
{
    netstrat_batch_put_u32(batch, type, htonl(value));
}

static int nft_put_delimiter(struct netstrat_batch *batch, uint16_t type, uint32_t generation)
{
    const struct nft_fixed fixed = {AF_UNSPEC, 0, htons(NETSTRAT_NFNL_SUBSYS_NFTABLES)};

    netstrat_batch_begin(batch, type, NLM_F_REQUEST);
    netstrat_batch_append(batch, &fixed, sizeof fixed);
    if (generation != 0)
        nft_put_number(batch, NETSTRAT_NFNL_BATCH_GENID, generation);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_begin_nft(struct netstrat_batch *batch, uint32_t generation)
{
    return nft_put_delimiter(batch, NETSTRAT_NFNL_MSG_BATCH_BEGIN, generation);
}

int netstrat_batch_end_nft(struct netstrat_batch *batch)
{
    return nft_put_delimiter(batch, NETSTRAT_NFNL_MSG_BATCH_END, 0);
}

/* ---- the table: its sets ---- */

enum { NFT_ADD = NLM_F_CREATE | NLM_F_EXCL };

/* The types of values by which `nft` knows how to show a set: enum datatypes of its sources, six
 * bits for each part of a concatenation. The kernel stores them without a meaning. */
enum { NFT_TYPE_IPV4 = 7, NFT_TYPE_IPV6 = 8, NFT_TYPE_PROTOCOL = 12, NFT_TYPE_PORT = 13 };

static void nft_put_field(struct netstrat_batch *batch, uint32_t size)
{
    size_t item = netstrat_batch_nest(batch, NETSTRAT_NFTA_LIST_ELEM);

    nft_put_number(batch, NETSTRAT_NFTA_SET_FIELD_LEN, size);
    netstrat_batch_nest_end(batch, item);
}

/* The kernel must know the parts of a concatenation of intervals. */
static void nft_put_two_fields(struct netstrat_batch *batch, uint32_t size)
{
    size_t description = netstrat_batch_nest(batch, NETSTRAT_NFTA_SET_DESC);
    size_t parts = netstrat_batch_nest(batch, NETSTRAT_NFTA_SET_DESC_CONCAT);

    nft_put_field(batch, size);
    nft_put_field(batch, size);
    netstrat_batch_nest_end(batch, parts);
    netstrat_batch_nest_end(batch, description);
}

static int nft_add_set(struct netstrat_batch *batch, uint32_t set)
{
    const uint32_t address = nft_family(set) == AF_INET ? NFT_TYPE_IPV4 : NFT_TYPE_IPV6;
    const uint32_t width = (uint32_t)nft_width(set);
    uint32_t flags = 0, type = address, size = width;

    if (nft_is_subnets(set) || nft_is_neighbours(set))
        flags |= NETSTRAT_NFT_SET_INTERVAL;
    if (nft_is_neighbours(set)) {
        flags |= NETSTRAT_NFT_SET_CONCAT;
        type = type << 6 | address;
        size += width;
    }
    if (nft_is_map(set)) {
        flags |= NETSTRAT_NFT_SET_MAP;
        type = (nft_has_address(set) ? address << 12 : 0) | NFT_TYPE_PROTOCOL << 6 | NFT_TYPE_PORT;
        size = (nft_has_address(set) ? width : 0) + 8;
    }
    nft_begin_ours(batch, NETSTRAT_NFT_NEWSET, NFT_ADD);
    netstrat_batch_put_string(batch, NETSTRAT_NFTA_SET_NAME, nft_set_names[set]);
    nft_put_number(batch, NETSTRAT_NFTA_SET_FLAGS, flags);
    nft_put_number(batch, NETSTRAT_NFTA_SET_KEY_TYPE, type);
    nft_put_number(batch, NETSTRAT_NFTA_SET_KEY_LEN, size);
    if (nft_is_map(set)) {
        nft_put_number(batch, NETSTRAT_NFTA_SET_DATA_TYPE, address << 6 | NFT_TYPE_PORT);
        nft_put_number(batch, NETSTRAT_NFTA_SET_DATA_LEN, width + 4);
    }
    nft_put_number(batch, NETSTRAT_NFTA_SET_ID, set + 1); /* required, and unique in a batch */
    if (nft_is_neighbours(set))
        nft_put_two_fields(batch, width);
    return netstrat_batch_finish(batch);
}

/* ---- the table: its chains ---- */

enum nft_chain { NFT_PUBLISHED, NFT_PREROUTING, NFT_OUTPUT, NFT_POSTROUTING, NFT_CHAINS };

static const struct {
    char name[16];
    uint8_t hook; /* NF_INET_ of linux/netfilter.h */
    int8_t priority;
} nft_chains[NFT_CHAINS] = {
    {"published", 0, 0},
    {"prerouting", 0, -100}, /* NF_IP_PRI_NAT_DST, linux/netfilter_ipv4.h */
    {"output", 3, -100},
    {"postrouting", 4, 100}, /* NF_IP_PRI_NAT_SRC */
};

static int nft_add_chain(struct netstrat_batch *batch, enum nft_chain chain)
{
    nft_begin_ours(batch, NETSTRAT_NFT_NEWCHAIN, NFT_ADD);
    netstrat_batch_put_string(batch, NETSTRAT_NFTA_CHAIN_NAME, nft_chains[chain].name);
    if (chain != NFT_PUBLISHED) {
        size_t hook;

        netstrat_batch_put_string(batch, NETSTRAT_NFTA_CHAIN_TYPE, "nat");
        hook = netstrat_batch_nest(batch, NETSTRAT_NFTA_CHAIN_HOOK);
        nft_put_number(batch, NETSTRAT_NFTA_HOOK_HOOKNUM, nft_chains[chain].hook);
        nft_put_number(batch, NETSTRAT_NFTA_HOOK_PRIORITY, (uint32_t)nft_chains[chain].priority);
        netstrat_batch_nest_end(batch, hook);
    }
    return netstrat_batch_finish(batch);
}

/* ---- the table: its rules ---- */

/* A rule is a list of expressions, which work on registers. The first that does not hold ends it.
 * `list` and `data` are open nests. */
struct nft_expression {
    size_t item;
    size_t data;
};

static size_t nft_begin_rule(struct netstrat_batch *batch, enum nft_chain chain)
{
    nft_begin_ours(batch, NETSTRAT_NFT_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    netstrat_batch_put_string(batch, NETSTRAT_NFTA_RULE_CHAIN, nft_chains[chain].name);
    return netstrat_batch_nest(batch, NETSTRAT_NFTA_RULE_EXPRESSIONS);
}

static int nft_finish_rule(struct netstrat_batch *batch, size_t rule)
{
    netstrat_batch_nest_end(batch, rule);
    return netstrat_batch_finish(batch);
}

static struct nft_expression nft_open(struct netstrat_batch *batch, const char *name)
{
    struct nft_expression expression;

    expression.item = netstrat_batch_nest(batch, NETSTRAT_NFTA_LIST_ELEM);
    netstrat_batch_put_string(batch, NETSTRAT_NFTA_EXPR_NAME, name);
    expression.data = netstrat_batch_nest(batch, NETSTRAT_NFTA_EXPR_DATA);
    return expression;
}

static void nft_close(struct netstrat_batch *batch, struct nft_expression expression)
{
    netstrat_batch_nest_end(batch, expression.data);
    netstrat_batch_nest_end(batch, expression.item);
}

static void nft_put_value(struct netstrat_batch *batch, uint16_t type, const void *value,
                          size_t size)
{
    size_t nest = netstrat_batch_nest(batch, type);

    netstrat_batch_put(batch, NETSTRAT_NFTA_DATA_VALUE, value, size);
    netstrat_batch_nest_end(batch, nest);
}

/* Loads into a register what the kernel knows about the packet: "meta" or "ct". */
static void nft_load(struct netstrat_batch *batch, const char *name, uint32_t key, uint32_t to)
{
    struct nft_expression expression = nft_open(batch, name);

    nft_put_number(batch, NETSTRAT_NFTA_META_DREG, to);
    nft_put_number(batch, NETSTRAT_NFTA_META_KEY, key);
    nft_close(batch, expression);
}

static void nft_load_packet(struct netstrat_batch *batch, uint32_t base, uint32_t offset,
                            size_t size, uint32_t to)
{
    struct nft_expression expression = nft_open(batch, "payload");

    nft_put_number(batch, NETSTRAT_NFTA_PAYLOAD_DREG, to);
    nft_put_number(batch, NETSTRAT_NFTA_PAYLOAD_BASE, base);
    nft_put_number(batch, NETSTRAT_NFTA_PAYLOAD_OFFSET, offset);
    nft_put_number(batch, NETSTRAT_NFTA_PAYLOAD_LEN, (uint32_t)size);
    nft_close(batch, expression);
}

/* Compares the first register. */
static void nft_compare(struct netstrat_batch *batch, uint32_t operation, const void *value,
                        size_t size)
{
    struct nft_expression expression = nft_open(batch, "cmp");

    nft_put_number(batch, NETSTRAT_NFTA_CMP_SREG, NETSTRAT_NFT_REG_1);
    nft_put_number(batch, NETSTRAT_NFTA_CMP_OP, operation);
    nft_put_value(batch, NETSTRAT_NFTA_CMP_DATA, value, size);
    nft_close(batch, expression);
}

static void nft_match_family(struct netstrat_batch *batch, uint8_t family)
{
    nft_load(batch, "meta", NETSTRAT_NFT_META_NFPROTO, NETSTRAT_NFT_REG_1);
    nft_compare(batch, NETSTRAT_NFT_CMP_EQ, &family, sizeof family);
}

enum nft_address { NFT_SOURCE, NFT_DESTINATION };

/* Loads the first `size` bytes of an address of the packet. */
static void nft_load_address(struct netstrat_batch *batch, uint8_t family, enum nft_address which,
                             size_t size, uint32_t to)
{
    /* The offsets of the source in struct iphdr and struct ipv6hdr. */
    uint32_t offset = family == AF_INET ? 12 : 8, width = family == AF_INET ? 4 : 16;

    nft_load_packet(batch, NETSTRAT_NFT_PAYLOAD_NETWORK_HEADER,
                    which == NFT_SOURCE ? offset : offset + width, size, to);
}

/* Looks the first register up, and replaces it by what a map has for it. */
static void nft_look_up(struct netstrat_batch *batch, uint32_t set)
{
    struct nft_expression expression = nft_open(batch, "lookup");

    netstrat_batch_put_string(batch, NETSTRAT_NFTA_LOOKUP_SET, nft_set_names[set]);
    nft_put_number(batch, NETSTRAT_NFTA_LOOKUP_SREG, NETSTRAT_NFT_REG_1);
    if (nft_is_map(set))
        nft_put_number(batch, NETSTRAT_NFTA_LOOKUP_DREG, NETSTRAT_NFT_REG_1);
    nft_close(batch, expression);
}

/* Returns from the chain, or calls another one. */
static void nft_decide(struct netstrat_batch *batch, int32_t verdict, const char *chain)
{
    struct nft_expression expression = nft_open(batch, "immediate");
    size_t data, nest;

    nft_put_number(batch, NETSTRAT_NFTA_IMMEDIATE_DREG, NETSTRAT_NFT_REG_VERDICT);
    data = netstrat_batch_nest(batch, NETSTRAT_NFTA_IMMEDIATE_DATA);
    nest = netstrat_batch_nest(batch, NETSTRAT_NFTA_DATA_VERDICT);
    nft_put_number(batch, NETSTRAT_NFTA_VERDICT_CODE, (uint32_t)verdict);
    if (chain)
        netstrat_batch_put_string(batch, NETSTRAT_NFTA_VERDICT_CHAIN, chain);
    netstrat_batch_nest_end(batch, nest);
    netstrat_batch_nest_end(batch, data);
    nft_close(batch, expression);
}

static void nft_masquerade(struct netstrat_batch *batch)
{
    nft_close(batch, nft_open(batch, "masq"));
}

/* fib daddr type local jump published */
static int nft_add_jump(struct netstrat_batch *batch, enum nft_chain chain)
{
    const uint32_t local = 2; /* RTN_LOCAL, linux/rtnetlink.h */
    size_t rule = nft_begin_rule(batch, chain);
    struct nft_expression expression = nft_open(batch, "fib");

    nft_put_number(batch, NETSTRAT_NFTA_FIB_DREG, NETSTRAT_NFT_REG_1);
    nft_put_number(batch, NETSTRAT_NFTA_FIB_RESULT, NETSTRAT_NFT_FIB_RESULT_ADDRTYPE);
    nft_put_number(batch, NETSTRAT_NFTA_FIB_FLAGS, NETSTRAT_NFTA_FIB_F_DADDR);
    nft_close(batch, expression);
    nft_compare(batch, NETSTRAT_NFT_CMP_EQ, &local, sizeof local);
    nft_decide(batch, NETSTRAT_NFT_JUMP, nft_chains[NFT_PUBLISHED].name);
    return nft_finish_rule(batch, rule);
}

/* ip daddr OPERATION VALUE return */
static int nft_add_exception(struct netstrat_batch *batch, enum nft_chain chain, uint8_t family,
                             uint32_t operation, const void *value, size_t size)
{
    size_t rule = nft_begin_rule(batch, chain);

    nft_match_family(batch, family);
    nft_load_address(batch, family, NFT_DESTINATION, size, NETSTRAT_NFT_REG_1);
    nft_compare(batch, operation, value, size);
    nft_decide(batch, NETSTRAT_NFT_RETURN, NULL);
    return nft_finish_rule(batch, rule);
}

/* dnat ip to [ip daddr .] meta l4proto . th dport map @MAP */
static int nft_add_translation(struct netstrat_batch *batch, uint32_t map)
{
    const uint8_t family = nft_family(map);
    const uint32_t width = (uint32_t)nft_width(map) / 4;
    size_t rule = nft_begin_rule(batch, NFT_PUBLISHED);
    uint32_t at = NETSTRAT_NFT_REG32_00;
    struct nft_expression expression;

    nft_match_family(batch, family);
    if (nft_has_address(map)) {
        nft_load_address(batch, family, NFT_DESTINATION, nft_width(map), at);
        at += width;
    }
    nft_load(batch, "meta", NETSTRAT_NFT_META_L4PROTO, at);
    /* The destination port of TCP, UDP and SCTP. The protocols are in the map. */
    nft_load_packet(batch, NETSTRAT_NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, at + 1);
    nft_look_up(batch, map);
    expression = nft_open(batch, "nat");
    nft_put_number(batch, NETSTRAT_NFTA_NAT_TYPE, NETSTRAT_NFT_NAT_DNAT);
    nft_put_number(batch, NETSTRAT_NFTA_NAT_FAMILY, family);
    nft_put_number(batch, NETSTRAT_NFTA_NAT_REG_ADDR_MIN, NETSTRAT_NFT_REG_1);
    nft_put_number(batch, NETSTRAT_NFTA_NAT_REG_PROTO_MIN, NETSTRAT_NFT_REG32_00 + width);
    nft_close(batch, expression);
    return nft_finish_rule(batch, rule);
}

/* oif lo return */
static int nft_add_loopback_exception(struct netstrat_batch *batch)
{
    const uint32_t loopback = 1; /* LOOPBACK_IFINDEX, net/flow.h of the kernel */
    size_t rule = nft_begin_rule(batch, NFT_POSTROUTING);

    nft_load(batch, "meta", NETSTRAT_NFT_META_OIF, NETSTRAT_NFT_REG_1);
    nft_compare(batch, NETSTRAT_NFT_CMP_EQ, &loopback, sizeof loopback);
    nft_decide(batch, NETSTRAT_NFT_RETURN, NULL);
    return nft_finish_rule(batch, rule);
}

/* ct status dnat ip saddr . ip daddr @SET masquerade */
static int nft_add_hairpin(struct netstrat_batch *batch, uint32_t set)
{
    const uint32_t mask = NETSTRAT_IPS_DST_NAT, none = 0;
    const uint8_t family = nft_family(set);
    size_t rule = nft_begin_rule(batch, NFT_POSTROUTING);
    struct nft_expression expression;

    nft_load(batch, "ct", NETSTRAT_NFT_CT_STATUS, NETSTRAT_NFT_REG_1);
    expression = nft_open(batch, "bitwise");
    nft_put_number(batch, NETSTRAT_NFTA_BITWISE_SREG, NETSTRAT_NFT_REG_1);
    nft_put_number(batch, NETSTRAT_NFTA_BITWISE_DREG, NETSTRAT_NFT_REG_1);
    nft_put_number(batch, NETSTRAT_NFTA_BITWISE_LEN, sizeof mask);
    nft_put_value(batch, NETSTRAT_NFTA_BITWISE_MASK, &mask, sizeof mask);
    nft_put_value(batch, NETSTRAT_NFTA_BITWISE_XOR, &none, sizeof none);
    nft_close(batch, expression);
    nft_compare(batch, NETSTRAT_NFT_CMP_NEQ, &none, sizeof none);
    nft_match_family(batch, family);
    nft_load_address(batch, family, NFT_SOURCE, nft_width(set), NETSTRAT_NFT_REG_1);
    nft_load_address(batch, family, NFT_DESTINATION, nft_width(set),
                     family == AF_INET ? NETSTRAT_NFT_REG32_00 + 1 : NETSTRAT_NFT_REG_2);
    nft_look_up(batch, set);
    nft_masquerade(batch);
    return nft_finish_rule(batch, rule);
}

/* ip daddr @SET return, or ip saddr @SET masquerade */
static int nft_add_member(struct netstrat_batch *batch, uint32_t set, enum nft_address which)
{
    size_t rule = nft_begin_rule(batch, NFT_POSTROUTING);

    nft_match_family(batch, nft_family(set));
    nft_load_address(batch, nft_family(set), which, nft_width(set), NETSTRAT_NFT_REG_1);
    nft_look_up(batch, set);
    if (which == NFT_SOURCE)
        nft_masquerade(batch);
    else
        nft_decide(batch, NETSTRAT_NFT_RETURN, NULL);
    return nft_finish_rule(batch, rule);
}

/* The first byte of 127.0.0.0/8, and the first multicast addresses. */
static const unsigned char nft_loopback4 = 127;
static const unsigned char nft_multicast[2][16] = {{224}, {255}};
static const unsigned char nft_loopback6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

/* The rules of the chains that translate. Like the other functions that add several messages, it
 * goes on after a failure: netstrat_batch_add_nft_table() then removes them all. */
static int nft_add_published_rules(struct netstrat_batch *batch)
{
    int code = nft_add_exception(batch, NFT_PUBLISHED, AF_INET, NETSTRAT_NFT_CMP_EQ, &nft_loopback4,
                                 sizeof nft_loopback4);

    code |= nft_add_exception(batch, NFT_PUBLISHED, AF_INET6, NETSTRAT_NFT_CMP_EQ, nft_loopback6,
                              sizeof nft_loopback6);
    code |= nft_add_translation(batch, NETSTRAT_NFT_ADDRESS_PORTS4);
    code |= nft_add_translation(batch, NETSTRAT_NFT_PORTS4);
    code |= nft_add_translation(batch, NETSTRAT_NFT_ADDRESS_PORTS6);
    code |= nft_add_translation(batch, NETSTRAT_NFT_PORTS6);
    code |= nft_add_jump(batch, NFT_PREROUTING);
    return code | nft_add_jump(batch, NFT_OUTPUT);
}

/* The rules of the chain postrouting for a family. `six` is added to the sets of IPv4. */
static int nft_add_leaving_rules(struct netstrat_batch *batch, uint32_t six)
{
    const uint32_t subnets = NETSTRAT_NFT_SUBNETS4 + six, hosts = NETSTRAT_NFT_HOSTS4 + six;
    int code = nft_add_hairpin(batch, NETSTRAT_NFT_NEIGHBOURS4 + six);

    code |= nft_add_member(batch, subnets, NFT_DESTINATION);
    code |= nft_add_member(batch, hosts, NFT_DESTINATION);
    code |= nft_add_exception(batch, NFT_POSTROUTING, nft_family(six), NETSTRAT_NFT_CMP_GTE,
                              nft_multicast[six], nft_width(six));
    code |= nft_add_member(batch, subnets, NFT_SOURCE);
    return code | nft_add_member(batch, hosts, NFT_SOURCE);
}

int netstrat_batch_add_nft_table(struct netstrat_batch *batch)
{
    const size_t used = batch->used;
    const uint32_t count = batch->count;
    uint32_t set, chain;
    int code;

    nft_begin_ours(batch, NETSTRAT_NFT_NEWTABLE, NFT_ADD);
    code = netstrat_batch_finish(batch);
    for (set = 0; set < NETSTRAT_NFT_SETS; set++)
        code |= nft_add_set(batch, set);
    for (chain = 0; chain < NFT_CHAINS; chain++)
        code |= nft_add_chain(batch, (enum nft_chain)chain);
    code |= nft_add_published_rules(batch);
    code |= nft_add_loopback_exception(batch);
    code |= nft_add_leaving_rules(batch, 0);
    code |= nft_add_leaving_rules(batch, 1);
    if (code < 0) {
        batch->used = batch->start = used;
        batch->count = count;
        return -EMSGSIZE;
    }
    return 0;
}

int netstrat_batch_delete_nft_table(struct netstrat_batch *batch)
{
    nft_begin_ours(batch, NETSTRAT_NFT_DELTABLE, 0);
    return netstrat_batch_finish(batch);
}

/* ---- elements: requests ---- */

enum { NFT_KEY_SIZE = 32, NFT_DATA_SIZE = 20 }; /* the longest, of IPv6 neighbours and maps */

static int nft_is_valid(uint32_t set, const struct netstrat_nft_element *element)
{
    const uint8_t family = nft_family(set);
    const int has_target = nft_is_map(set) || nft_is_neighbours(set);

    return (!nft_has_address(set) || element->address.family == family) &&
           element->address.length <= 8 * nft_width(set) &&
           (!has_target || element->target.family == family) &&
           memchr(element->owner, '\0', sizeof element->owner) != NULL;
}

/* Writes the last address of a prefix. */
static void nft_last_address(const struct netstrat_prefix *prefix, size_t width,
                             unsigned char *last)
{
    unsigned left = prefix->length;
    size_t i;

    for (i = 0; i < width; i++) {
        const unsigned network = left < 8 ? left : 8; /* bits of the prefix in this byte */

        last[i] = (unsigned char)(prefix->bytes[i] | 0xffU >> network);
        left -= network;
    }
}

/* Writes a key and returns its size. With `last`, the end of an interval. */
static size_t nft_key(uint32_t set, const struct netstrat_nft_element *element, int last,
                      unsigned char *key)
{
    const size_t width = nft_width(set);
    const uint16_t port = htons(element->port);
    size_t size = 0;

    memset(key, 0, NFT_KEY_SIZE);
    if (nft_has_address(set)) {
        if (last)
            nft_last_address(&element->address, width, key);
        else
            memcpy(key, element->address.bytes, width);
        size += width;
    }
    if (nft_is_neighbours(set)) {
        memcpy(key + size, element->target.bytes, width);
        size += width;
    }
    if (nft_is_map(set)) {
        key[size] = element->protocol;
        memcpy(key + size + 4, &port, sizeof port);
        size += 8;
    }
    return size;
}

/* Adds one to a number in network byte order. Returns 0 if it overflows. */
static int nft_increment(unsigned char *number, size_t width)
{
    while (width-- > 0)
        if (++number[width] != 0)
            return 1;
    return 0;
}

/* The comment of an element, as `nft` stores it: a list of type, length and value. */
static void nft_put_owner(struct netstrat_batch *batch, const char *owner)
{
    enum { NFT_COMMENT = 0 }; /* NFTNL_UDATA_SET_ELEM_COMMENT of libnftnl */
    unsigned char data[2 + NETSTRAT_OWNER_SIZE];
    size_t length = strnlen(owner, NETSTRAT_OWNER_SIZE - 1);

    if (length == 0)
        return;
    memset(data, 0, sizeof data);
    data[0] = NFT_COMMENT;
    data[1] = (unsigned char)(length + 1);
    memcpy(data + 2, owner, length);
    netstrat_batch_put(batch, NETSTRAT_NFTA_SET_ELEM_USERDATA, data, 2 + length + 1);
}

static void nft_put_element(struct netstrat_batch *batch, uint32_t set,
                            const struct netstrat_nft_element *element)
{
    const size_t width = nft_width(set);
    const uint16_t port = htons(element->target_port);
    size_t item = netstrat_batch_nest(batch, NETSTRAT_NFTA_LIST_ELEM);
    unsigned char key[NFT_KEY_SIZE];
    size_t size = nft_key(set, element, 0, key);

    nft_put_value(batch, NETSTRAT_NFTA_SET_ELEM_KEY, key, size);
    if (nft_is_neighbours(set)) {
        (void)nft_key(set, element, 1, key);
        nft_put_value(batch, NETSTRAT_NFTA_SET_ELEM_KEY_END, key, size);
    }
    if (nft_is_map(set)) {
        unsigned char data[NFT_DATA_SIZE];

        memset(data, 0, sizeof data);
        memcpy(data, element->target.bytes, width);
        memcpy(data + width, &port, sizeof port);
        nft_put_value(batch, NETSTRAT_NFTA_SET_ELEM_DATA, data, width + 4);
    }
    nft_put_owner(batch, element->owner);
    netstrat_batch_nest_end(batch, item);
    if (!nft_is_subnets(set))
        return;
    /* The end of a subnet is an element of its own: the address after the last one. */
    (void)nft_key(set, element, 1, key);
    if (!nft_increment(key, width))
        return;
    item = netstrat_batch_nest(batch, NETSTRAT_NFTA_LIST_ELEM);
    nft_put_number(batch, NETSTRAT_NFTA_SET_ELEM_FLAGS, NETSTRAT_NFT_SET_ELEM_INTERVAL_END);
    nft_put_value(batch, NETSTRAT_NFTA_SET_ELEM_KEY, key, width);
    netstrat_batch_nest_end(batch, item);
}

static int nft_put_elements(struct netstrat_batch *batch, uint16_t type, uint16_t flags,
                            uint32_t set, const struct netstrat_nft_element *elements, size_t count)
{
    size_t list, i;

    nft_begin_ours(batch, type, flags);
    if (!nft_is_set(set) || count == 0) {
        netstrat_batch_refuse(batch, -EINVAL);
        return netstrat_batch_finish(batch);
    }
    netstrat_batch_put_string(batch, NETSTRAT_NFTA_SET_ELEM_LIST_SET, nft_set_names[set]);
    list = netstrat_batch_nest(batch, NETSTRAT_NFTA_SET_ELEM_LIST_ELEMENTS);
    for (i = 0; i < count && batch->code == 0; i++) {
        if (nft_is_valid(set, &elements[i]))
            nft_put_element(batch, set, &elements[i]);
        else
            netstrat_batch_refuse(batch, -EINVAL);
    }
    netstrat_batch_nest_end(batch, list);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_add_nft_elements(struct netstrat_batch *batch, uint32_t set,
                                    const struct netstrat_nft_element *elements, size_t count)
{
    return nft_put_elements(batch, NETSTRAT_NFT_NEWSETELEM, NFT_ADD, set, elements, count);
}

int netstrat_batch_delete_nft_elements(struct netstrat_batch *batch, uint32_t set,
                                       const struct netstrat_nft_element *elements, size_t count)
{
    return nft_put_elements(batch, NETSTRAT_NFT_DELSETELEM, 0, set, elements, count);
}

/* ---- queries ---- */

int netstrat_batch_dump_nft_elements(struct netstrat_batch *batch, uint32_t set)
{
    nft_begin_ours(batch, NETSTRAT_NFT_GETSETELEM, NLM_F_DUMP);
    if (nft_is_set(set))
        netstrat_batch_put_string(batch, NETSTRAT_NFTA_SET_ELEM_LIST_SET, nft_set_names[set]);
    else
        netstrat_batch_refuse(batch, -EINVAL);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_dump_nft_rules(struct netstrat_batch *batch, int all)
{
    if (all)
        nft_begin(batch, NETSTRAT_NFT_GETRULE, NLM_F_DUMP, AF_UNSPEC);
    else
        nft_begin_ours(batch, NETSTRAT_NFT_GETRULE, NLM_F_DUMP);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_dump_nft_chains(struct netstrat_batch *batch)
{
    nft_begin(batch, NETSTRAT_NFT_GETCHAIN, NLM_F_DUMP, AF_UNSPEC);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_get_nft_table(struct netstrat_batch *batch)
{
    nft_begin_ours(batch, NETSTRAT_NFT_GETTABLE, 0);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_get_nft_generation(struct netstrat_batch *batch)
{
    nft_begin(batch, NETSTRAT_NFT_GETGEN, 0, AF_UNSPEC);
    return netstrat_batch_finish(batch);
}

/* ---- answers ---- */

/* Moves past the fixed part of a message of a type. */
static int nft_decode_fixed(const struct netstrat_message *message, uint16_t type,
                            struct nft_fixed *fixed, struct netstrat_cursor *attributes)
{
    if (message->type != type || message->payload.missing > 0)
        return -EBADMSG;
    return netstrat_message_body(message, fixed, sizeof *fixed, attributes);
}

static int nft_read_number(const struct netstrat_cursor *value, uint32_t *number)
{
    if (netstrat_u32_decode(value, number) < 0)
        return -EBADMSG;
    *number = ntohl(*number);
    return 0;
}

int netstrat_nft_generation_decode(const struct netstrat_message *message, uint32_t *generation)
{
    struct netstrat_attribute attribute;
    struct netstrat_cursor rest;
    struct nft_fixed fixed;
    uint32_t read = 0;
    int more = nft_decode_fixed(message, NETSTRAT_NFT_NEWGEN, &fixed, &rest);

    if (more < 0)
        return more;
    while ((more = netstrat_attribute_take(&rest, &attribute)) > 0)
        if (attribute.type == NETSTRAT_NFTA_GEN_ID && nft_read_number(&attribute.value, &read) < 0)
            return -EBADMSG;
    if (more < 0 || read == 0)
        return -EBADMSG;
    *generation = read;
    return 0;
}

int netstrat_nft_table_decode(const struct netstrat_message *message, uint32_t *flags)
{
    struct netstrat_attribute attribute;
    struct netstrat_cursor rest;
    struct nft_fixed fixed;
    uint32_t read = 0;
    int more = nft_decode_fixed(message, NETSTRAT_NFT_NEWTABLE, &fixed, &rest);

    if (more < 0)
        return more;
    while ((more = netstrat_attribute_take(&rest, &attribute)) > 0)
        if (attribute.type == NETSTRAT_NFTA_TABLE_FLAGS &&
            nft_read_number(&attribute.value, &read) < 0)
            return -EBADMSG;
    if (more < 0)
        return -EBADMSG;
    *flags = read;
    return 0;
}

int netstrat_nft_elements_decode(const struct netstrat_message *message,
                                 struct netstrat_cursor *elements)
{
    struct netstrat_attribute attribute;
    struct netstrat_cursor rest, list;
    struct nft_fixed fixed;
    int more = nft_decode_fixed(message, NETSTRAT_NFT_NEWSETELEM, &fixed, &rest);

    if (more < 0)
        return more;
    list = rest;
    list.at = list.end; /* an empty set has no list */
    while ((more = netstrat_attribute_take(&rest, &attribute)) > 0)
        if (attribute.type == NETSTRAT_NFTA_SET_ELEM_LIST_ELEMENTS)
            list = attribute.value;
    if (more < 0)
        return -EBADMSG;
    *elements = list;
    return 0;
}

/* Reads the value in a nest: exactly `size` bytes. */
static int nft_read_value(const struct netstrat_cursor *nest, unsigned char *value, size_t size)
{
    struct netstrat_cursor rest = *nest;
    struct netstrat_attribute attribute;

    if (netstrat_attribute_take(&rest, &attribute) <= 0 ||
        attribute.type != NETSTRAT_NFTA_DATA_VALUE ||
        attribute.value.end - attribute.value.at != size)
        return -EBADMSG;
    return netstrat_cursor_read(&attribute.value, value, size);
}

/* Finds the comment in the userdata. One that is malformed or too long is ignored: `nft` accepts
 * any. */
static void nft_read_owner(const struct netstrat_cursor *userdata, char *owner)
{
    struct netstrat_cursor value = *userdata;
    size_t at = userdata->at;

    while (at + 2 <= userdata->end) {
        const unsigned char type = userdata->data[at];

        value.at = at + 2;
        value.end = value.at + userdata->data[at + 1];
        if (value.end > userdata->end)
            return;
        if (type == 0 && netstrat_text_decode(&value, owner, NETSTRAT_OWNER_SIZE) == 0)
            return;
        at = value.end;
    }
}

/* The attributes of one element. */
struct nft_read {
    unsigned char key[NFT_KEY_SIZE], end[NFT_KEY_SIZE], data[NFT_DATA_SIZE];
    uint32_t flags;
    int has_key, has_end, has_data;
    char owner[NETSTRAT_OWNER_SIZE];
};

static int nft_read_attribute(const struct netstrat_attribute *attribute, uint32_t set, size_t size,
                              struct nft_read *read)
{
    switch (attribute->type) {
    case NETSTRAT_NFTA_SET_ELEM_KEY:
        read->has_key = 1;
        return nft_read_value(&attribute->value, read->key, size);
    case NETSTRAT_NFTA_SET_ELEM_KEY_END:
        read->has_end = 1;
        return nft_read_value(&attribute->value, read->end, size);
    case NETSTRAT_NFTA_SET_ELEM_DATA:
        read->has_data = 1;
        return nft_is_map(set) ? nft_read_value(&attribute->value, read->data, nft_width(set) + 4)
                               : 0;
    case NETSTRAT_NFTA_SET_ELEM_FLAGS:
        return nft_read_number(&attribute->value, &read->flags);
    case NETSTRAT_NFTA_SET_ELEM_USERDATA:
        nft_read_owner(&attribute->value, read->owner);
        return 0;
    default:
        return 0;
    }
}

/* Returns how many bits two addresses have in common. */
static uint8_t nft_common_bits(const unsigned char *one, const unsigned char *other, size_t width)
{
    uint8_t bits = 0;

    while (bits < 8 * width && !((one[bits / 8] ^ other[bits / 8]) & 0x80U >> bits % 8))
        bits++;
    return bits;
}

static void nft_set_prefix(struct netstrat_prefix *prefix, uint32_t set, const unsigned char *bytes)
{
    prefix->family = nft_family(set);
    prefix->length = (uint8_t)(8 * nft_width(set));
    memcpy(prefix->bytes, bytes, nft_width(set));
}

/* Fills an element whose fields are zero. */
static void nft_fill(uint32_t set, const struct nft_read *read,
                     struct netstrat_nft_element *element)
{
    const size_t width = nft_width(set);
    const unsigned char *at = read->key;
    uint16_t port;

    memcpy(element->owner, read->owner, sizeof element->owner);
    element->is_end = (read->flags & NETSTRAT_NFT_SET_ELEM_INTERVAL_END) != 0;
    if (nft_has_address(set)) {
        nft_set_prefix(&element->address, set, at);
        at += width;
    }
    if (nft_is_neighbours(set)) {
        nft_set_prefix(&element->target, set, at);
        if (read->has_end)
            element->address.length = nft_common_bits(read->key, read->end, width);
    }
    if (nft_is_map(set)) {
        element->protocol = at[0];
        memcpy(&port, at + 4, sizeof port);
        element->port = ntohs(port);
        nft_set_prefix(&element->target, set, read->data);
        memcpy(&port, read->data + width, sizeof port);
        element->target_port = ntohs(port);
    }
}

int netstrat_nft_element_next(struct netstrat_cursor *elements, uint32_t set,
                              struct netstrat_nft_element *element)
{
    const struct netstrat_nft_element nothing = {{0, 0, {0}}, {0, 0, {0}}, 0, 0, 0, 0, {0}, 0};
    struct netstrat_attribute item, attribute;
    struct nft_read read;
    unsigned char key[NFT_KEY_SIZE];
    size_t size;
    int more;

    if (!nft_is_set(set))
        return -EBADMSG;
    more = netstrat_attribute_take(elements, &item);
    if (more <= 0)
        return more;
    memset(&read, 0, sizeof read);
    size = nft_key(set, &nothing, 0, key);
    while ((more = netstrat_attribute_take(&item.value, &attribute)) > 0) {
        more = nft_read_attribute(&attribute, set, size, &read);
        if (more < 0)
            return more;
    }
    if (more < 0 || !read.has_key || read.has_data != nft_is_map(set))
        return -EBADMSG;
    *element = nothing;
    nft_fill(set, &read, element);
    return 1;
}

static int nft_read_hook(struct netstrat_cursor rest, struct netstrat_nft_chain *chain)
{
    struct netstrat_attribute attribute;
    uint32_t hook = 0, priority = 0;
    int more;

    while ((more = netstrat_attribute_take(&rest, &attribute)) > 0)
        if ((attribute.type == NETSTRAT_NFTA_HOOK_HOOKNUM &&
             nft_read_number(&attribute.value, &hook) < 0) ||
            (attribute.type == NETSTRAT_NFTA_HOOK_PRIORITY &&
             nft_read_number(&attribute.value, &priority) < 0))
            return -EBADMSG;
    chain->is_base = 1;
    chain->hook = (uint8_t)hook;
    chain->priority = (int32_t)priority;
    return more;
}

static int nft_read_chain_attribute(const struct netstrat_attribute *attribute,
                                    struct netstrat_nft_chain *chain)
{
    uint32_t policy;

    switch (attribute->type) {
    case NETSTRAT_NFTA_CHAIN_TABLE:
        return netstrat_text_decode(&attribute->value, chain->table, sizeof chain->table);
    case NETSTRAT_NFTA_CHAIN_NAME:
        return netstrat_text_decode(&attribute->value, chain->name, sizeof chain->name);
    case NETSTRAT_NFTA_CHAIN_HOOK:
        return nft_read_hook(attribute->value, chain);
    case NETSTRAT_NFTA_CHAIN_POLICY:
        if (nft_read_number(&attribute->value, &policy) < 0)
            return -EBADMSG;
        chain->drops = policy == 0; /* NF_DROP, linux/netfilter.h */
        return 0;
    default:
        return 0;
    }
}

int netstrat_nft_chain_decode(const struct netstrat_message *message,
                              struct netstrat_nft_chain *chain)
{
    struct netstrat_attribute attribute;
    struct netstrat_nft_chain read;
    struct netstrat_cursor rest;
    struct nft_fixed fixed;
    int more = nft_decode_fixed(message, NETSTRAT_NFT_NEWCHAIN, &fixed, &rest);

    if (more < 0)
        return more;
    memset(&read, 0, sizeof read);
    read.family = fixed.family;
    while ((more = netstrat_attribute_take(&rest, &attribute)) > 0) {
        more = nft_read_chain_attribute(&attribute, &read);
        if (more < 0)
            break;
    }
    if (more < 0)
        return -EBADMSG;
    *chain = read;
    return 0;
}

int netstrat_nft_chain_differs(const struct netstrat_nft_chain *chain)
{
    uint32_t i;

    if (chain->family != NETSTRAT_NFPROTO_INET || strcmp(chain->table, nft_table) != 0)
        return 0;
    for (i = 0; i < NFT_CHAINS; i++)
        if (strcmp(chain->name, nft_chains[i].name) == 0)
            return chain->is_base != (i != NFT_PUBLISHED) || chain->hook != nft_chains[i].hook ||
                   chain->priority != nft_chains[i].priority || chain->drops;
    return 0;
}

/* Whether the value contains the name of an interface with its NUL, at any place. */
static int nft_contains(const struct netstrat_cursor *value, const char name[NETSTRAT_NAME_SIZE])
{
    size_t at;

    for (at = value->at; at < value->end; at++) {
        size_t i = 0, next;

        /* Frama-C: analyse each byte separately. No effect on the build. */
        /*@ loop unroll 16; */
        for (next = at; next < value->end && value->data[next] == (unsigned char)name[i]; next++)
            if (name[i++] == '\0')
                return 1;
    }
    return 0;
}

static int nft_read_rule_attribute(const struct netstrat_attribute *attribute, const char *name,
                                   struct netstrat_nft_chain *chain)
{
    switch (attribute->type) {
    case NETSTRAT_NFTA_RULE_TABLE:
        return netstrat_text_decode(&attribute->value, chain->table, sizeof chain->table);
    case NETSTRAT_NFTA_RULE_CHAIN:
        return netstrat_text_decode(&attribute->value, chain->name, sizeof chain->name);
    case NETSTRAT_NFTA_RULE_EXPRESSIONS:
        return nft_contains(&attribute->value, name);
    default:
        return 0;
    }
}

int netstrat_nft_rule_decode(const struct netstrat_message *message, const char *interface,
                             struct netstrat_nft_chain *chain)
{
    struct netstrat_attribute attribute;
    struct netstrat_nft_chain read;
    struct netstrat_cursor rest;
    struct nft_fixed fixed;
    char name[NETSTRAT_NAME_SIZE];
    int contains = 0, more = nft_decode_fixed(message, NETSTRAT_NFT_NEWRULE, &fixed, &rest);

    if (more < 0)
        return more;
    memset(name, 0, sizeof name);
    memcpy(name, interface, strnlen(interface, sizeof name - 1));
    memset(&read, 0, sizeof read);
    read.family = fixed.family;
    while ((more = netstrat_attribute_take(&rest, &attribute)) > 0) {
        more = nft_read_rule_attribute(&attribute, name, &read);
        if (more < 0)
            break;
        contains |= more;
    }
    if (more < 0)
        return -EBADMSG;
    *chain = read;
    return contains;
}
