/* SPDX-License-Identifier: MIT */
/*
 * nf_tables: the table of egress and published ports, with its sets, chains and rules. `nft list
 * table inet pynetstrat` shows:
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
 */
#include "internal.h"

#include <errno.h>
#include <sys/socket.h>

#include <linux/netlink.h>

/* ---- sets ---- */

/* The types of values by which `nft` knows how to show a set: enum datatypes of its sources, six
 * bits for each part of a concatenation. The kernel stores them without a meaning. */
enum { NFT_TYPE_IPV4 = 7, NFT_TYPE_IPV6 = 8, NFT_TYPE_PROTOCOL = 12, NFT_TYPE_PORT = 13 };

static void nft_table_put_field(struct netstrat_batch *batch, uint32_t size)
{
    size_t item = netstrat_batch_nest(batch, NETSTRAT_NFTA_LIST_ELEM);

    netstrat_nft_put_number(batch, NETSTRAT_NFTA_SET_FIELD_LEN, size);
    netstrat_batch_nest_end(batch, item);
}

/* The kernel must know the parts of a concatenation of intervals. */
static void nft_table_put_two_fields(struct netstrat_batch *batch, uint32_t size)
{
    size_t description = netstrat_batch_nest(batch, NETSTRAT_NFTA_SET_DESC);
    size_t parts = netstrat_batch_nest(batch, NETSTRAT_NFTA_SET_DESC_CONCAT);

    nft_table_put_field(batch, size);
    nft_table_put_field(batch, size);
    netstrat_batch_nest_end(batch, parts);
    netstrat_batch_nest_end(batch, description);
}

static int nft_table_add_set(struct netstrat_batch *batch, uint32_t set)
{
    const uint32_t address = netstrat_nft_family(set) == AF_INET ? NFT_TYPE_IPV4 : NFT_TYPE_IPV6;
    const uint32_t width = (uint32_t)netstrat_nft_width(set);
    uint32_t flags = 0, type = address, size = width;

    if (netstrat_nft_is_subnets(set) || netstrat_nft_is_neighbours(set))
        flags |= NETSTRAT_NFT_SET_INTERVAL;
    if (netstrat_nft_is_neighbours(set)) {
        flags |= NETSTRAT_NFT_SET_CONCAT;
        type = type << 6 | address;
        size += width;
    }
    if (netstrat_nft_is_map(set)) {
        flags |= NETSTRAT_NFT_SET_MAP;
        type = (netstrat_nft_has_address(set) ? address << 12 : 0) | NFT_TYPE_PROTOCOL << 6 |
               NFT_TYPE_PORT;
        size = (netstrat_nft_has_address(set) ? width : 0) + 8;
    }
    netstrat_nft_begin(batch, NETSTRAT_NFT_NEWSET, NETSTRAT_NFT_ADD);
    netstrat_batch_put_string(batch, NETSTRAT_NFTA_SET_NAME, netstrat_nft_set_name(set));
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_SET_FLAGS, flags);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_SET_KEY_TYPE, type);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_SET_KEY_LEN, size);
    if (netstrat_nft_is_map(set)) {
        netstrat_nft_put_number(batch, NETSTRAT_NFTA_SET_DATA_TYPE, address << 6 | NFT_TYPE_PORT);
        netstrat_nft_put_number(batch, NETSTRAT_NFTA_SET_DATA_LEN, width + 4);
    }
    /* Required, and unique in a batch. */
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_SET_ID, set + 1);
    if (netstrat_nft_is_neighbours(set))
        nft_table_put_two_fields(batch, width);
    return netstrat_batch_finish(batch);
}

/* ---- chains ---- */

enum nft_chain { NFT_PUBLISHED, NFT_PREROUTING, NFT_OUTPUT, NFT_POSTROUTING, NFT_CHAINS };

static const struct {
    char name[16];
    uint8_t hook; /* NF_INET_ of linux/netfilter.h */
    int8_t priority;
} nft_table_chains[NFT_CHAINS] = {
    {"published", 0, 0},
    {"prerouting", 0, -100}, /* NF_IP_PRI_NAT_DST, linux/netfilter_ipv4.h */
    {"output", 3, -100},
    {"postrouting", 4, 100}, /* NF_IP_PRI_NAT_SRC */
};

static int nft_table_add_chain(struct netstrat_batch *batch, enum nft_chain chain)
{
    netstrat_nft_begin(batch, NETSTRAT_NFT_NEWCHAIN, NETSTRAT_NFT_ADD);
    netstrat_batch_put_string(batch, NETSTRAT_NFTA_CHAIN_NAME, nft_table_chains[chain].name);
    if (chain != NFT_PUBLISHED) {
        size_t hook;

        netstrat_batch_put_string(batch, NETSTRAT_NFTA_CHAIN_TYPE, "nat");
        hook = netstrat_batch_nest(batch, NETSTRAT_NFTA_CHAIN_HOOK);
        netstrat_nft_put_number(batch, NETSTRAT_NFTA_HOOK_HOOKNUM, nft_table_chains[chain].hook);
        netstrat_nft_put_number(batch, NETSTRAT_NFTA_HOOK_PRIORITY,
                                (uint32_t)nft_table_chains[chain].priority);
        netstrat_batch_nest_end(batch, hook);
    }
    return netstrat_batch_finish(batch);
}

int netstrat_nft_chain_differs(const struct netstrat_nft_chain *chain)
{
    uint32_t i;

    if (chain->family != NETSTRAT_NFPROTO_INET || strcmp(chain->table, NETSTRAT_NFT_TABLE) != 0)
        return 0;
    for (i = 0; i < NFT_CHAINS; i++)
        if (strcmp(chain->name, nft_table_chains[i].name) == 0)
            return chain->is_base != (i != NFT_PUBLISHED) ||
                   chain->hook != nft_table_chains[i].hook ||
                   chain->priority != nft_table_chains[i].priority || chain->drops;
    return 0;
}

/* ---- rules ---- */

/* A rule is a list of expressions, which work on registers. The first that does not hold ends it.
 * `item` and `data` are open nests. */
struct nft_table_expression {
    size_t item;
    size_t data;
};

static size_t nft_table_begin_rule(struct netstrat_batch *batch, enum nft_chain chain)
{
    netstrat_nft_begin(batch, NETSTRAT_NFT_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    netstrat_batch_put_string(batch, NETSTRAT_NFTA_RULE_CHAIN, nft_table_chains[chain].name);
    return netstrat_batch_nest(batch, NETSTRAT_NFTA_RULE_EXPRESSIONS);
}

static int nft_table_finish_rule(struct netstrat_batch *batch, size_t rule)
{
    netstrat_batch_nest_end(batch, rule);
    return netstrat_batch_finish(batch);
}

static struct nft_table_expression nft_table_open(struct netstrat_batch *batch, const char *name)
{
    struct nft_table_expression expression;

    expression.item = netstrat_batch_nest(batch, NETSTRAT_NFTA_LIST_ELEM);
    netstrat_batch_put_string(batch, NETSTRAT_NFTA_EXPR_NAME, name);
    expression.data = netstrat_batch_nest(batch, NETSTRAT_NFTA_EXPR_DATA);
    return expression;
}

static void nft_table_close(struct netstrat_batch *batch, struct nft_table_expression expression)
{
    netstrat_batch_nest_end(batch, expression.data);
    netstrat_batch_nest_end(batch, expression.item);
}

/* Loads into a register what the kernel knows about the packet: "meta" or "ct". */
static void nft_table_load(struct netstrat_batch *batch, const char *name, uint32_t key,
                           uint32_t to)
{
    struct nft_table_expression expression = nft_table_open(batch, name);

    netstrat_nft_put_number(batch, NETSTRAT_NFTA_META_DREG, to);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_META_KEY, key);
    nft_table_close(batch, expression);
}

static void nft_table_load_packet(struct netstrat_batch *batch, uint32_t base, uint32_t offset,
                                  size_t size, uint32_t to)
{
    struct nft_table_expression expression = nft_table_open(batch, "payload");

    netstrat_nft_put_number(batch, NETSTRAT_NFTA_PAYLOAD_DREG, to);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_PAYLOAD_BASE, base);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_PAYLOAD_OFFSET, offset);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_PAYLOAD_LEN, (uint32_t)size);
    nft_table_close(batch, expression);
}

/* Compares the first register. */
static void nft_table_compare(struct netstrat_batch *batch, uint32_t operation, const void *value,
                              size_t size)
{
    struct nft_table_expression expression = nft_table_open(batch, "cmp");

    netstrat_nft_put_number(batch, NETSTRAT_NFTA_CMP_SREG, NETSTRAT_NFT_REG_1);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_CMP_OP, operation);
    netstrat_nft_put_value(batch, NETSTRAT_NFTA_CMP_DATA, value, size);
    nft_table_close(batch, expression);
}

static void nft_table_match_family(struct netstrat_batch *batch, uint8_t family)
{
    nft_table_load(batch, "meta", NETSTRAT_NFT_META_NFPROTO, NETSTRAT_NFT_REG_1);
    nft_table_compare(batch, NETSTRAT_NFT_CMP_EQ, &family, sizeof family);
}

enum nft_address { NFT_SOURCE, NFT_DESTINATION };

/* Loads the first `size` bytes of an address of the packet. */
static void nft_table_load_address(struct netstrat_batch *batch, uint8_t family,
                                   enum nft_address which, size_t size, uint32_t to)
{
    /* The offsets of the source in struct iphdr and struct ipv6hdr. */
    uint32_t offset = family == AF_INET ? 12 : 8, width = family == AF_INET ? 4 : 16;

    nft_table_load_packet(batch, NETSTRAT_NFT_PAYLOAD_NETWORK_HEADER,
                          which == NFT_SOURCE ? offset : offset + width, size, to);
}

/* Looks the first register up, and replaces it by what a map has for it. */
static void nft_table_look_up(struct netstrat_batch *batch, uint32_t set)
{
    struct nft_table_expression expression = nft_table_open(batch, "lookup");

    netstrat_batch_put_string(batch, NETSTRAT_NFTA_LOOKUP_SET, netstrat_nft_set_name(set));
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_LOOKUP_SREG, NETSTRAT_NFT_REG_1);
    if (netstrat_nft_is_map(set))
        netstrat_nft_put_number(batch, NETSTRAT_NFTA_LOOKUP_DREG, NETSTRAT_NFT_REG_1);
    nft_table_close(batch, expression);
}

/* Returns from the chain, or calls another one. */
static void nft_table_decide(struct netstrat_batch *batch, int32_t verdict, const char *chain)
{
    struct nft_table_expression expression = nft_table_open(batch, "immediate");
    size_t data, nest;

    netstrat_nft_put_number(batch, NETSTRAT_NFTA_IMMEDIATE_DREG, NETSTRAT_NFT_REG_VERDICT);
    data = netstrat_batch_nest(batch, NETSTRAT_NFTA_IMMEDIATE_DATA);
    nest = netstrat_batch_nest(batch, NETSTRAT_NFTA_DATA_VERDICT);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_VERDICT_CODE, (uint32_t)verdict);
    if (chain)
        netstrat_batch_put_string(batch, NETSTRAT_NFTA_VERDICT_CHAIN, chain);
    netstrat_batch_nest_end(batch, nest);
    netstrat_batch_nest_end(batch, data);
    nft_table_close(batch, expression);
}

static void nft_table_masquerade(struct netstrat_batch *batch)
{
    nft_table_close(batch, nft_table_open(batch, "masq"));
}

/* fib daddr type local jump published */
static int nft_table_add_jump(struct netstrat_batch *batch, enum nft_chain chain)
{
    const uint32_t local = 2; /* RTN_LOCAL, linux/rtnetlink.h */
    size_t rule = nft_table_begin_rule(batch, chain);
    struct nft_table_expression expression = nft_table_open(batch, "fib");

    netstrat_nft_put_number(batch, NETSTRAT_NFTA_FIB_DREG, NETSTRAT_NFT_REG_1);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_FIB_RESULT, NETSTRAT_NFT_FIB_RESULT_ADDRTYPE);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_FIB_FLAGS, NETSTRAT_NFTA_FIB_F_DADDR);
    nft_table_close(batch, expression);
    nft_table_compare(batch, NETSTRAT_NFT_CMP_EQ, &local, sizeof local);
    nft_table_decide(batch, NETSTRAT_NFT_JUMP, nft_table_chains[NFT_PUBLISHED].name);
    return nft_table_finish_rule(batch, rule);
}

/* ip daddr OPERATION VALUE return */
static int nft_table_add_exception(struct netstrat_batch *batch, enum nft_chain chain,
                                   uint8_t family, uint32_t operation, const void *value,
                                   size_t size)
{
    size_t rule = nft_table_begin_rule(batch, chain);

    nft_table_match_family(batch, family);
    nft_table_load_address(batch, family, NFT_DESTINATION, size, NETSTRAT_NFT_REG_1);
    nft_table_compare(batch, operation, value, size);
    nft_table_decide(batch, NETSTRAT_NFT_RETURN, NULL);
    return nft_table_finish_rule(batch, rule);
}

/* dnat ip to [ip daddr .] meta l4proto . th dport map @MAP */
static int nft_table_add_translation(struct netstrat_batch *batch, uint32_t map)
{
    const uint8_t family = netstrat_nft_family(map);
    const uint32_t width = (uint32_t)netstrat_nft_width(map) / 4;
    size_t rule = nft_table_begin_rule(batch, NFT_PUBLISHED);
    uint32_t at = NETSTRAT_NFT_REG32_00;
    struct nft_table_expression expression;

    nft_table_match_family(batch, family);
    if (netstrat_nft_has_address(map)) {
        nft_table_load_address(batch, family, NFT_DESTINATION, netstrat_nft_width(map), at);
        at += width;
    }
    nft_table_load(batch, "meta", NETSTRAT_NFT_META_L4PROTO, at);
    /* The destination port of TCP, UDP and SCTP. The protocols are in the map. */
    nft_table_load_packet(batch, NETSTRAT_NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, at + 1);
    nft_table_look_up(batch, map);
    expression = nft_table_open(batch, "nat");
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_NAT_TYPE, NETSTRAT_NFT_NAT_DNAT);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_NAT_FAMILY, family);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_NAT_REG_ADDR_MIN, NETSTRAT_NFT_REG_1);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_NAT_REG_PROTO_MIN, NETSTRAT_NFT_REG32_00 + width);
    nft_table_close(batch, expression);
    return nft_table_finish_rule(batch, rule);
}

/* oif lo return */
static int nft_table_add_loopback_exception(struct netstrat_batch *batch)
{
    const uint32_t loopback = 1; /* LOOPBACK_IFINDEX, net/flow.h of the kernel */
    size_t rule = nft_table_begin_rule(batch, NFT_POSTROUTING);

    nft_table_load(batch, "meta", NETSTRAT_NFT_META_OIF, NETSTRAT_NFT_REG_1);
    nft_table_compare(batch, NETSTRAT_NFT_CMP_EQ, &loopback, sizeof loopback);
    nft_table_decide(batch, NETSTRAT_NFT_RETURN, NULL);
    return nft_table_finish_rule(batch, rule);
}

/* ct status dnat ip saddr . ip daddr @SET masquerade */
static int nft_table_add_hairpin(struct netstrat_batch *batch, uint32_t set)
{
    const uint32_t mask = NETSTRAT_IPS_DST_NAT, none = 0;
    const uint8_t family = netstrat_nft_family(set);
    size_t rule = nft_table_begin_rule(batch, NFT_POSTROUTING);
    struct nft_table_expression expression;

    nft_table_load(batch, "ct", NETSTRAT_NFT_CT_STATUS, NETSTRAT_NFT_REG_1);
    expression = nft_table_open(batch, "bitwise");
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_BITWISE_SREG, NETSTRAT_NFT_REG_1);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_BITWISE_DREG, NETSTRAT_NFT_REG_1);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_BITWISE_LEN, sizeof mask);
    netstrat_nft_put_value(batch, NETSTRAT_NFTA_BITWISE_MASK, &mask, sizeof mask);
    netstrat_nft_put_value(batch, NETSTRAT_NFTA_BITWISE_XOR, &none, sizeof none);
    nft_table_close(batch, expression);
    nft_table_compare(batch, NETSTRAT_NFT_CMP_NEQ, &none, sizeof none);
    nft_table_match_family(batch, family);
    nft_table_load_address(batch, family, NFT_SOURCE, netstrat_nft_width(set), NETSTRAT_NFT_REG_1);
    nft_table_load_address(batch, family, NFT_DESTINATION, netstrat_nft_width(set),
                           family == AF_INET ? NETSTRAT_NFT_REG32_00 + 1 : NETSTRAT_NFT_REG_2);
    nft_table_look_up(batch, set);
    nft_table_masquerade(batch);
    return nft_table_finish_rule(batch, rule);
}

/* ip daddr @SET return, or ip saddr @SET masquerade */
static int nft_table_add_member(struct netstrat_batch *batch, uint32_t set, enum nft_address which)
{
    size_t rule = nft_table_begin_rule(batch, NFT_POSTROUTING);

    nft_table_match_family(batch, netstrat_nft_family(set));
    nft_table_load_address(batch, netstrat_nft_family(set), which, netstrat_nft_width(set),
                           NETSTRAT_NFT_REG_1);
    nft_table_look_up(batch, set);
    if (which == NFT_SOURCE)
        nft_table_masquerade(batch);
    else
        nft_table_decide(batch, NETSTRAT_NFT_RETURN, NULL);
    return nft_table_finish_rule(batch, rule);
}

/* The first byte of 127.0.0.0/8, and the first multicast addresses. */
static const unsigned char nft_table_loopback4 = 127;
static const unsigned char nft_table_multicast[2][16] = {{224}, {255}};
static const unsigned char nft_table_loopback6[16] = {0, 0, 0, 0, 0, 0, 0, 0,
                                                      0, 0, 0, 0, 0, 0, 0, 1};

/* The rules of the chains that translate. Like the other functions that add several messages, it
 * goes on after a failure: netstrat_batch_add_nft_table() then removes them all. */
static int nft_table_add_published_rules(struct netstrat_batch *batch)
{
    int code = nft_table_add_exception(batch, NFT_PUBLISHED, AF_INET, NETSTRAT_NFT_CMP_EQ,
                                       &nft_table_loopback4, sizeof nft_table_loopback4);

    code |= nft_table_add_exception(batch, NFT_PUBLISHED, AF_INET6, NETSTRAT_NFT_CMP_EQ,
                                    nft_table_loopback6, sizeof nft_table_loopback6);
    code |= nft_table_add_translation(batch, NETSTRAT_NFT_ADDRESS_PORTS4);
    code |= nft_table_add_translation(batch, NETSTRAT_NFT_PORTS4);
    code |= nft_table_add_translation(batch, NETSTRAT_NFT_ADDRESS_PORTS6);
    code |= nft_table_add_translation(batch, NETSTRAT_NFT_PORTS6);
    code |= nft_table_add_jump(batch, NFT_PREROUTING);
    return code | nft_table_add_jump(batch, NFT_OUTPUT);
}

/* The rules of the chain postrouting for a family. `six` is added to the sets of IPv4. */
static int nft_table_add_leaving_rules(struct netstrat_batch *batch, uint32_t six)
{
    const uint32_t subnets = NETSTRAT_NFT_SUBNETS4 + six, hosts = NETSTRAT_NFT_HOSTS4 + six;
    int code = nft_table_add_hairpin(batch, NETSTRAT_NFT_NEIGHBOURS4 + six);

    code |= nft_table_add_member(batch, subnets, NFT_DESTINATION);
    code |= nft_table_add_member(batch, hosts, NFT_DESTINATION);
    code |= nft_table_add_exception(batch, NFT_POSTROUTING, netstrat_nft_family(six),
                                    NETSTRAT_NFT_CMP_GTE, nft_table_multicast[six],
                                    netstrat_nft_width(six));
    code |= nft_table_add_member(batch, subnets, NFT_SOURCE);
    return code | nft_table_add_member(batch, hosts, NFT_SOURCE);
}

/* ---- the table ---- */

int netstrat_batch_add_nft_table(struct netstrat_batch *batch)
{
    const size_t used = batch->used;
    const uint32_t count = batch->count;
    uint32_t set, chain;
    int code;

    netstrat_nft_begin(batch, NETSTRAT_NFT_NEWTABLE, NETSTRAT_NFT_ADD);
    code = netstrat_batch_finish(batch);
    for (set = 0; set < NETSTRAT_NFT_SETS; set++)
        code |= nft_table_add_set(batch, set);
    for (chain = 0; chain < NFT_CHAINS; chain++)
        code |= nft_table_add_chain(batch, (enum nft_chain)chain);
    code |= nft_table_add_published_rules(batch);
    code |= nft_table_add_loopback_exception(batch);
    code |= nft_table_add_leaving_rules(batch, 0);
    code |= nft_table_add_leaving_rules(batch, 1);
    if (code < 0) {
        batch->used = batch->start = used;
        batch->count = count;
        return -EMSGSIZE;
    }
    return 0;
}

int netstrat_batch_delete_nft_table(struct netstrat_batch *batch)
{
    netstrat_nft_begin(batch, NETSTRAT_NFT_DELTABLE, 0);
    return netstrat_batch_finish(batch);
}
