/* SPDX-License-Identifier: MIT */
/* Netlink messages built byte by byte, valid and malformed. */
#ifndef BYTES_H
#define BYTES_H

#include <stdint.h>
#include <string.h>

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

/* Not in the headers of older kernels. */
#define CAPPED 0x100   /* NLM_F_CAPPED */
#define ACK_TLVS 0x200 /* NLM_F_ACK_TLVS */
#define NEWSTATS 92    /* RTM_NEWSTATS */
#define GETSTATS 94    /* RTM_GETSTATS */

struct bytes {
    unsigned char data[4096];
    size_t length;
};

static inline void put(struct bytes *to, const void *data, size_t length)
{
    memcpy(to->data + to->length, data, length);
    to->length += length;
}

static inline void pad(struct bytes *to)
{
    while (to->length % 4)
        to->data[to->length++] = 0;
}

/* Begins a message, and returns its offset. */
static inline size_t begin(struct bytes *to, uint16_t type, uint16_t flags, uint32_t sequence,
                           uint32_t port)
{
    struct nlmsghdr header;
    size_t at = to->length;

    memset(&header, 0, sizeof header);
    header.nlmsg_type = type;
    header.nlmsg_flags = flags;
    header.nlmsg_seq = sequence;
    header.nlmsg_pid = port;
    put(to, &header, sizeof header);
    return at;
}

static inline void finish(struct bytes *to, size_t at)
{
    uint32_t length = (uint32_t)(to->length - at);

    memcpy(to->data + at, &length, sizeof length);
    pad(to);
}

/* Begins an attribute, which may contain others, and returns its offset. */
static inline size_t open_attribute(struct bytes *to, uint16_t type)
{
    struct rtattr head = {0, type};
    size_t at = to->length;

    put(to, &head, sizeof head);
    return at;
}

static inline void close_attribute(struct bytes *to, size_t at)
{
    uint16_t length = (uint16_t)(to->length - at);

    memcpy(to->data + at, &length, sizeof length);
    pad(to);
}

static inline void attribute(struct bytes *to, uint16_t type, const void *value, size_t length)
{
    size_t at = open_attribute(to, type);

    put(to, value, length);
    close_attribute(to, at);
}

static inline void put_info(struct bytes *to, int32_t index, uint32_t flags)
{
    struct ifinfomsg info;

    memset(&info, 0, sizeof info);
    info.ifi_index = index;
    info.ifi_flags = flags;
    put(to, &info, sizeof info);
}

static inline void put_stats_header(struct bytes *to, uint32_t index)
{
    uint32_t header[3] = {0, index, 1};

    put(to, header, sizeof header);
}

/* Adds a struct rtnl_link_stats64 of `size` bytes whose fields are base + 1, base + 2, ... */
static inline void put_stats64(struct bytes *to, uint16_t type, size_t size, uint64_t base)
{
    uint64_t field[32];
    size_t i;

    for (i = 0; i < 32; i++)
        field[i] = base + i + 1;
    attribute(to, type, field, size);
}

/* Adds an ack that repeats the first `echo` bytes of the request. */
static inline void put_ack(struct bytes *to, uint16_t flags, uint32_t sequence, uint32_t port,
                           int32_t code, const void *request, size_t echo, const char *text)
{
    size_t at = begin(to, NLMSG_ERROR, flags, sequence, port);

    put(to, &code, sizeof code);
    put(to, request, echo);
    if (text)
        attribute(to, 1 /* NLMSGERR_ATTR_MSG */, text, strlen(text) + 1);
    finish(to, at);
}

#endif
