/* SPDX-License-Identifier: MIT */
/*
 * nf_tables: transactions, generations, and the tables, chains and rules of all programs. The table
 * of egress and published ports is made in nft_table.c, and filled in nft_elements.c.
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

/* ---- what the other files of nf_tables use ---- */

const char *netstrat_nft_set_name(uint32_t set)
{
    static const char names[NETSTRAT_NFT_SETS][16] = {
        "subnets4",    "subnets6", "hosts4", "hosts6",         "neighbours4",
        "neighbours6", "ports4",   "ports6", "address_ports4", "address_ports6",
    };

    return names[set];
}

uint8_t netstrat_nft_family(uint32_t set)
{
    return set & 1 ? AF_INET6 : AF_INET;
}

static void nft_begin(struct netstrat_batch *batch, uint16_t type, uint16_t flags, uint8_t family)
{
    const struct netstrat_nft_fixed fixed = {family, 0, 0};

    netstrat_batch_begin(batch, type, (uint16_t)(NLM_F_REQUEST | flags));
    netstrat_batch_append(batch, &fixed, sizeof fixed);
}

/* The table's name is attribute 1 of all. */
void netstrat_nft_begin(struct netstrat_batch *batch, uint16_t type, uint16_t flags)
{
    nft_begin(batch, type, flags, NETSTRAT_NFPROTO_INET);
    netstrat_batch_put_string(batch, NETSTRAT_NFTA_TABLE_NAME, NETSTRAT_NFT_TABLE);
}

void netstrat_nft_put_number(struct netstrat_batch *batch, uint16_t type, uint32_t value)
{
    netstrat_batch_put_u32(batch, type, htonl(value));
}

void netstrat_nft_put_value(struct netstrat_batch *batch, uint16_t type, const void *value,
                            size_t size)
{
    size_t nest = netstrat_batch_nest(batch, type);

    netstrat_batch_put(batch, NETSTRAT_NFTA_DATA_VALUE, value, size);
    netstrat_batch_nest_end(batch, nest);
}

int netstrat_nft_decode_fixed(const struct netstrat_message *message, uint16_t type,
                              struct netstrat_nft_fixed *fixed, struct netstrat_cursor *attributes)
{
    if (message->type != type || message->payload.missing > 0)
        return -EBADMSG;
    return netstrat_message_body(message, fixed, sizeof *fixed, attributes);
}

int netstrat_nft_read_number(const struct netstrat_cursor *value, uint32_t *number)
{
    if (netstrat_u32_decode(value, number) < 0)
        return -EBADMSG;
    *number = ntohl(*number);
    return 0;
}

/* ---- transactions ---- */

static int nft_put_delimiter(struct netstrat_batch *batch, uint16_t type, uint32_t generation)
{
    const struct netstrat_nft_fixed fixed = {AF_UNSPEC, 0, htons(NETSTRAT_NFNL_SUBSYS_NFTABLES)};

    netstrat_batch_begin(batch, type, NLM_F_REQUEST);
    netstrat_batch_append(batch, &fixed, sizeof fixed);
    if (generation != 0)
        netstrat_nft_put_number(batch, NETSTRAT_NFNL_BATCH_GENID, generation);
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

/* ---- queries ---- */

int netstrat_batch_dump_nft_rules(struct netstrat_batch *batch, int all)
{
    if (all)
        nft_begin(batch, NETSTRAT_NFT_GETRULE, NLM_F_DUMP, AF_UNSPEC);
    else
        netstrat_nft_begin(batch, NETSTRAT_NFT_GETRULE, NLM_F_DUMP);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_dump_nft_chains(struct netstrat_batch *batch)
{
    nft_begin(batch, NETSTRAT_NFT_GETCHAIN, NLM_F_DUMP, AF_UNSPEC);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_get_nft_table(struct netstrat_batch *batch)
{
    netstrat_nft_begin(batch, NETSTRAT_NFT_GETTABLE, 0);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_get_nft_generation(struct netstrat_batch *batch)
{
    nft_begin(batch, NETSTRAT_NFT_GETGEN, 0, AF_UNSPEC);
    return netstrat_batch_finish(batch);
}

/* ---- answers ---- */

int netstrat_nft_generation_decode(const struct netstrat_message *message, uint32_t *generation)
{
    struct netstrat_attribute attribute;
    struct netstrat_cursor rest;
    struct netstrat_nft_fixed fixed;
    uint32_t read = 0;
    int more = netstrat_nft_decode_fixed(message, NETSTRAT_NFT_NEWGEN, &fixed, &rest);

    if (more < 0)
        return more;
    while ((more = netstrat_attribute_take(&rest, &attribute)) > 0)
        if (attribute.type == NETSTRAT_NFTA_GEN_ID &&
            netstrat_nft_read_number(&attribute.value, &read) < 0)
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
    struct netstrat_nft_fixed fixed;
    uint32_t read = 0;
    int more = netstrat_nft_decode_fixed(message, NETSTRAT_NFT_NEWTABLE, &fixed, &rest);

    if (more < 0)
        return more;
    while ((more = netstrat_attribute_take(&rest, &attribute)) > 0)
        if (attribute.type == NETSTRAT_NFTA_TABLE_FLAGS &&
            netstrat_nft_read_number(&attribute.value, &read) < 0)
            return -EBADMSG;
    if (more < 0)
        return -EBADMSG;
    *flags = read;
    return 0;
}

static int nft_read_hook(struct netstrat_cursor rest, struct netstrat_nft_chain *chain)
{
    struct netstrat_attribute attribute;
    uint32_t hook = 0, priority = 0;
    int more;

    while ((more = netstrat_attribute_take(&rest, &attribute)) > 0)
        if ((attribute.type == NETSTRAT_NFTA_HOOK_HOOKNUM &&
             netstrat_nft_read_number(&attribute.value, &hook) < 0) ||
            (attribute.type == NETSTRAT_NFTA_HOOK_PRIORITY &&
             netstrat_nft_read_number(&attribute.value, &priority) < 0))
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
        if (netstrat_nft_read_number(&attribute->value, &policy) < 0)
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
    struct netstrat_nft_fixed fixed;
    int more = netstrat_nft_decode_fixed(message, NETSTRAT_NFT_NEWCHAIN, &fixed, &rest);

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
    struct netstrat_nft_fixed fixed;
    char name[NETSTRAT_NAME_SIZE];
    int contains = 0,
        more = netstrat_nft_decode_fixed(message, NETSTRAT_NFT_NEWRULE, &fixed, &rest);

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
