/* SPDX-License-Identifier: MIT */
/* Addresses: conversion between text and bytes; RTM_NEWADDR, RTM_DELADDR and RTM_GETADDR. */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sys/socket.h>

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

/* ---- text ---- */

/* Reads a prefix length: 1 to 3 decimal digits without a leading zero. */
static int address_parse_length(const char *text, unsigned most, uint8_t *length)
{
    unsigned value = 0;
    size_t i;

    for (i = 0; text[i] != '\0'; i++) {
        if (i == 3 || text[i] < '0' || text[i] > '9' || (i > 0 && value == 0))
            return -EINVAL;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    if (i == 0 || value > most)
        return -EINVAL;
    *length = (uint8_t)value;
    return 0;
}

int netstrat_prefix_parse(const char *text, struct netstrat_prefix *prefix)
{
    char address[NETSTRAT_PREFIX_SIZE];
    struct netstrat_prefix read;
    size_t length = strcspn(text, "/");

    if (length >= sizeof address)
        return -EINVAL;
    memcpy(address, text, length);
    address[length] = '\0';
    memset(&read, 0, sizeof read);
    read.family = strchr(address, ':') ? AF_INET6 : AF_INET;
    read.length = (uint8_t)netstrat_address_bits(read.family);
    if (inet_pton(read.family, address, read.bytes) != 1)
        return -EINVAL;
    if (text[length] == '/' &&
        address_parse_length(text + length + 1, netstrat_address_bits(read.family), &read.length) <
            0)
        return -EINVAL;
    *prefix = read;
    return 0;
}

void netstrat_prefix_format(const struct netstrat_prefix *prefix, int length,
                            char text[NETSTRAT_PREFIX_SIZE])
{
    size_t at;

    text[0] = '\0';
    if (!inet_ntop(prefix->family, prefix->bytes, text, NETSTRAT_PREFIX_SIZE - 4) || !length)
        return;
    at = strlen(text);
    text[at++] = '/';
    if (prefix->length >= 100)
        text[at++] = (char)('0' + prefix->length / 100);
    if (prefix->length >= 10)
        text[at++] = (char)('0' + prefix->length / 10 % 10);
    text[at++] = (char)('0' + prefix->length % 10);
    text[at] = '\0';
}

/* ---- requests ---- */

static void address_put_bytes(struct netstrat_batch *batch, uint16_t type,
                              const struct netstrat_prefix *prefix)
{
    netstrat_batch_put(batch, type, prefix->bytes, netstrat_address_bits(prefix->family) / 8);
}

static int address_is_valid(const struct netstrat_address *address)
{
    uint8_t family = address->local.family;
    unsigned whole = netstrat_address_bits(family);

    return address->index > 0 && (family == AF_INET || family == AF_INET6) &&
           address->local.length <= whole &&
           (address->peer.family == 0 ||
            (address->peer.family == family && address->peer.length <= whole)) &&
           (address->broadcast.family == 0 || address->broadcast.family == family);
}

static void address_begin_request(struct netstrat_batch *batch, uint16_t type, uint16_t flags,
                                  const struct netstrat_address *address)
{
    const struct netstrat_prefix *peer = address->peer.family ? &address->peer : &address->local;
    struct ifaddrmsg fixed;

    memset(&fixed, 0, sizeof fixed);
    fixed.ifa_family = address->local.family;
    fixed.ifa_prefixlen = peer->length;
    fixed.ifa_flags = (uint8_t)address->flags; /* the lower eight; IFA_FLAGS has them all */
    fixed.ifa_scope = address->scope;
    fixed.ifa_index = (uint32_t)address->index;
    netstrat_batch_begin(batch, type, flags);
    netstrat_batch_append(batch, &fixed, sizeof fixed);
    if (!address_is_valid(address))
        netstrat_batch_refuse(batch, -EINVAL);
    /* IFA_LOCAL is the address itself; IFA_ADDRESS is the peer's, or the same (linux/if_addr.h). */
    address_put_bytes(batch, IFA_LOCAL, &address->local);
    address_put_bytes(batch, IFA_ADDRESS, peer);
}

static void address_put_label(struct netstrat_batch *batch, const char label[NETSTRAT_NAME_SIZE])
{
    if (!memchr(label, '\0', NETSTRAT_NAME_SIZE))
        netstrat_batch_refuse(batch, -EINVAL);
    else if (label[0] != '\0')
        netstrat_batch_put_string(batch, IFA_LABEL, label);
}

/* The kernel refuses an address that is valid for 0 s, so here 0 means forever. */
static void address_put_lifetimes(struct netstrat_batch *batch,
                                  const struct netstrat_address *address)
{
    struct ifa_cacheinfo lifetimes;

    memset(&lifetimes, 0, sizeof lifetimes);
    lifetimes.ifa_valid = address->valid == 0 ? UINT32_MAX : address->valid;
    lifetimes.ifa_prefered = address->valid == 0 && address->preferred == 0 ? UINT32_MAX
                                                                            : address->preferred;
    if (lifetimes.ifa_valid != UINT32_MAX || lifetimes.ifa_prefered != UINT32_MAX)
        netstrat_batch_put(batch, IFA_CACHEINFO, &lifetimes, sizeof lifetimes);
}

int netstrat_batch_add_address(struct netstrat_batch *batch, const struct netstrat_address *address,
                               int replace)
{
    const uint16_t create = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;

    address_begin_request(batch, RTM_NEWADDR, create | (replace ? NLM_F_REPLACE : NLM_F_EXCL),
                          address);
    if (address->broadcast.family != 0)
        address_put_bytes(batch, IFA_BROADCAST, &address->broadcast);
    address_put_label(batch, address->label);
    netstrat_batch_put_u32(batch, NETSTRAT_IFA_FLAGS, address->flags);
    if (address->metric != 0)
        netstrat_batch_put_u32(batch, NETSTRAT_IFA_RT_PRIORITY, address->metric);
    if (address->protocol != 0)
        netstrat_batch_put_u8(batch, NETSTRAT_IFA_PROTO, address->protocol);
    address_put_lifetimes(batch, address);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_delete_address(struct netstrat_batch *batch,
                                  const struct netstrat_address *address)
{
    address_begin_request(batch, RTM_DELADDR, NLM_F_REQUEST | NLM_F_ACK, address);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_dump_addresses(struct netstrat_batch *batch, int32_t index)
{
    struct ifaddrmsg fixed;

    memset(&fixed, 0, sizeof fixed);
    fixed.ifa_index = (uint32_t)index;
    netstrat_batch_begin(batch, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP);
    netstrat_batch_append(batch, &fixed, sizeof fixed);
    if (index < 0)
        netstrat_batch_refuse(batch, -EINVAL);
    return netstrat_batch_finish(batch);
}

/* ---- answers ---- */

int netstrat_prefix_decode(const struct netstrat_cursor *value, uint8_t family, uint8_t length,
                           struct netstrat_prefix *prefix)
{
    size_t size = netstrat_address_bits(family) / 8;

    if (value->at + size > value->end || length > size * 8)
        return -EBADMSG;
    memset(prefix, 0, sizeof *prefix);
    prefix->family = family;
    prefix->length = length;
    memcpy(prefix->bytes, value->data + value->at, size);
    return 0;
}

static int address_decode_lifetimes(const struct netstrat_cursor *value,
                                    struct netstrat_address *address)
{
    struct ifa_cacheinfo lifetimes;

    if (netstrat_cursor_read(value, &lifetimes, sizeof lifetimes) < 0)
        return -EBADMSG;
    address->preferred = lifetimes.ifa_prefered;
    /* 0 means that less than a second is left. Report 1: an address added with 0 is valid
     * forever. */
    address->valid = lifetimes.ifa_valid == 0 ? 1 : lifetimes.ifa_valid;
    return 0;
}

static int address_decode_attribute(const struct netstrat_attribute *attribute,
                                    const struct ifaddrmsg *fixed, struct netstrat_address *address)
{
    const struct netstrat_cursor *value = &attribute->value;
    uint8_t family = fixed->ifa_family;

    switch (attribute->type) {
    case IFA_LOCAL:
        return netstrat_prefix_decode(value, family, fixed->ifa_prefixlen, &address->local);
    case IFA_ADDRESS:
        return netstrat_prefix_decode(value, family, fixed->ifa_prefixlen, &address->peer);
    case IFA_BROADCAST:
        return netstrat_prefix_decode(value, family, (uint8_t)netstrat_address_bits(family),
                                      &address->broadcast);
    case IFA_LABEL:
        return netstrat_text_decode(value, address->label, sizeof address->label);
    case NETSTRAT_IFA_FLAGS:
        return netstrat_u32_decode(value, &address->flags);
    case NETSTRAT_IFA_RT_PRIORITY:
        return netstrat_u32_decode(value, &address->metric);
    case NETSTRAT_IFA_PROTO:
        return netstrat_cursor_read(value, &address->protocol, sizeof address->protocol);
    case IFA_CACHEINFO:
        return address_decode_lifetimes(value, address);
    default:
        return 0;
    }
}

int netstrat_address_decode(const struct netstrat_message *message,
                            struct netstrat_address *address)
{
    struct netstrat_cursor rest = message->payload;
    struct netstrat_attribute attribute;
    struct netstrat_address read;
    struct ifaddrmsg fixed;
    int more;

    if ((message->type != RTM_NEWADDR && message->type != RTM_DELADDR) || rest.missing > 0 ||
        netstrat_cursor_take(&rest, &fixed, sizeof fixed) < 0)
        return -EBADMSG;
    if (fixed.ifa_family != AF_INET && fixed.ifa_family != AF_INET6)
        return -EAFNOSUPPORT;
    if (fixed.ifa_index == 0 || fixed.ifa_index > INT32_MAX)
        return -EBADMSG;
    memset(&read, 0, sizeof read);
    read.index = (int32_t)fixed.ifa_index;
    read.flags = fixed.ifa_flags;
    read.scope = fixed.ifa_scope;
    read.valid = read.preferred = UINT32_MAX;
    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        more = address_decode_attribute(&attribute, &fixed, &read);
        if (more < 0)
            break;
    }
    if (more < 0)
        return -EBADMSG;
    /* IPv6 without a peer has IFA_ADDRESS only. IPv4 has both attributes, equal without a peer. */
    if (read.local.family == 0) {
        read.local = read.peer;
        memset(&read.peer, 0, sizeof read.peer);
    } else if (memcmp(read.local.bytes, read.peer.bytes, sizeof read.local.bytes) == 0 ||
               read.peer.family == 0) {
        memset(&read.peer, 0, sizeof read.peer);
    } else {
        read.local.length = (uint8_t)netstrat_address_bits(read.local.family);
    }
    if (read.local.family == 0)
        return -EBADMSG;
    *address = read;
    return 0;
}
