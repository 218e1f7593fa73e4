/* SPDX-License-Identifier: MIT */
/* What the files of the core share with each other and with nobody else. */
#ifndef NETSTRAT_INTERNAL_H
#define NETSTRAT_INTERNAL_H

/* Before the first header of the system's: -std=c11 alone hides clock_gettime and strnlen. */
#ifndef _GNU_SOURCE
#ifdef _FEATURES_H
#error "a system header came first: define _GNU_SOURCE before it, or include this file before it"
#endif
#define _GNU_SOURCE
#endif
/* In 32 bits, fstat() would refuse inodes of more than that (EOVERFLOW), as overlayfs has them. */
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

#include <errno.h>
#include <string.h>

#include "netstrat.h"

/* Every constant of the kernel's ABI that the headers of Linux 3.10, on which portable wheels
 * are built, do not have, with the version that brought it. None of them ever changes. */
enum {
    /* linux/netlink.h */
    NETSTRAT_NLM_F_DUMP_INTR = 0x10,      /* 3.1 */
    NETSTRAT_NLM_F_CAPPED = 0x100,        /* 4.12 */
    NETSTRAT_NLM_F_ACK_TLVS = 0x200,      /* 4.12 */
    NETSTRAT_NLMSGERR_ATTR_MSG = 1,       /* 4.12 */
    NETSTRAT_NETLINK_LISTEN_ALL_NSID = 8, /* 4.2 */
    NETSTRAT_NETLINK_EXT_ACK = 11,        /* 4.12 */
    NETSTRAT_NETLINK_GET_STRICT_CHK = 12, /* 4.20 */
    /* linux/rtnetlink.h */
    NETSTRAT_RTM_NEWNSID = 88,                 /* 4.0 */
    NETSTRAT_RTM_DELNSID = 89,                 /* 4.0 */
    NETSTRAT_RTM_GETNSID = 90,                 /* 4.0 */
    NETSTRAT_RTNLGRP_NSID = 28,                /* 4.0 */
    NETSTRAT_RTM_NEWSTATS = 92,                /* 4.7 */
    NETSTRAT_RTM_GETSTATS = 94,                /* 4.7 */
    NETSTRAT_RTEXT_FILTER_SKIP_STATS = 1 << 3, /* 4.4 */
    /* linux/if_link.h */
    NETSTRAT_IFLA_LINK_NETNSID = 37,        /* 4.0 */
    NETSTRAT_IFLA_TARGET_NETNSID = 46,      /* 4.15, there IFLA_IF_NETNSID */
    NETSTRAT_IFLA_PROP_LIST = 52,           /* 5.5 */
    NETSTRAT_IFLA_ALT_IFNAME = 53,          /* 5.5 */
    NETSTRAT_IFLA_PERM_ADDRESS = 54,        /* 5.6 */
    NETSTRAT_IFLA_PARENT_DEV_NAME = 56,     /* 5.14 */
    NETSTRAT_IFLA_PARENT_DEV_BUS_NAME = 57, /* 5.14 */
    NETSTRAT_IFLA_BR_BRIDGE_ID = 11,        /* 4.4 */
    NETSTRAT_IFLA_BRPORT_LEARNING = 8,      /* 3.11 */
    NETSTRAT_IFLA_BRPORT_ISOLATED = 33,     /* 4.18 */
    NETSTRAT_IFLA_INFO_SLAVE_KIND = 4,      /* 3.13 */
    NETSTRAT_IFLA_INFO_SLAVE_DATA = 5,      /* 3.13 */
    NETSTRAT_IFLA_NEW_IFINDEX = 49,         /* 5.0 */
    NETSTRAT_IFLA_STATS_LINK_64 = 1,        /* 4.7 */
    NETSTRAT_VETH_INFO_PEER = 1,            /* linux/veth.h */
    NETSTRAT_RTA_VIA = 18,                  /* 3.19, linux/rtnetlink.h */
    /* linux/if_addr.h */
    NETSTRAT_IFA_FLAGS = 8,       /* 3.14 */
    NETSTRAT_IFA_RT_PRIORITY = 9, /* 4.18 */
    NETSTRAT_IFA_PROTO = 11,      /* 5.18 */
    /* linux/net_namespace.h, 4.0 */
    NETSTRAT_NETNSA_NSID = 1,
    NETSTRAT_NETNSA_FD = 3,
    /* linux/sockios.h */
    NETSTRAT_SIOCGSKNS = 0x894C, /* 4.9 */
    /* linux/stat.h */
    NETSTRAT_STATX_MNT_ID = 0x1000,        /* 5.8 */
    NETSTRAT_STATX_MNT_ID_UNIQUE = 0x4000, /* 6.8 */
    /* linux/mount.h, 5.2 */
    NETSTRAT_FSOPEN_CLOEXEC = 1,
    NETSTRAT_FSCONFIG_CMD_CREATE = 6,
    NETSTRAT_FSMOUNT_CLOEXEC = 1,
    /* linux/mount.h; MOUNT_ATTR_ of the same system calls */
    NETSTRAT_MOUNT_ATTR_RDONLY = 1,
    NETSTRAT_MOUNT_ATTR_NOSUID = 2,
    NETSTRAT_MOUNT_ATTR_NODEV = 4,
    NETSTRAT_MOUNT_ATTR_NOEXEC = 8
};

/* Of a dump that is interrupted, and of a request whose reply is lost. */
enum { NETSTRAT_MAX_TRIES = 16 };

/* Room for any request of the operations: headers and the longest alternative name. */
enum { NETSTRAT_REQUEST_SIZE = 192 };

/* Messages and attributes begin at multiples of four bytes, and so do their payloads: the two
 * kinds of header are of 16 and 4 bytes. */
enum { NETSTRAT_MESSAGE_HEADER = 16, NETSTRAT_ATTRIBUTE_HEADER = 4 };

static inline size_t netstrat_align(size_t length)
{
    return (length + 3) & ~(size_t)3;
}

/* White space in ASCII: isspace() of the C locale, whatever the program's is. */
static inline int netstrat_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Takes the white space off both ends of the text from *start up to *end. */
static inline void netstrat_trim(const char *text, size_t *start, size_t *end)
{
    while (*start < *end && netstrat_is_space(text[*start]))
        ++*start;
    while (*end > *start && netstrat_is_space(text[*end - 1]))
        --*end;
}

/* Notes a failure and returns its code, so that a caller can `return netstrat_fail(...)`. */
static inline int netstrat_fail(struct netstrat_error *error, int code, enum netstrat_step step)
{
    if (error) {
        error->code = code;
        error->step = (uint32_t)step;
        error->request = 0;
        error->item = 0;
        error->text_length = 0;
        error->text[0] = '\0';
    }
    return code;
}

/* The same, of the message type `request`. */
static inline int netstrat_fail_request(struct netstrat_error *error, int code, uint32_t request)
{
    (void)netstrat_fail(error, code, NETSTRAT_OP_REQUEST);
    if (error)
        error->request = request;
    return code;
}

/* The same, of the message or the counter `item`. */
static inline int netstrat_fail_item(struct netstrat_error *error, int code,
                                     enum netstrat_step step, uint32_t item)
{
    (void)netstrat_fail(error, code, step);
    if (error)
        error->item = item;
    return code;
}

/* Copies what fits of `text`, which may hold any bytes, into the error. */
static inline void netstrat_set_text(struct netstrat_error *error, const void *text, size_t length)
{
    if (!error)
        return;
    if (length > NETSTRAT_TEXT_SIZE - 1)
        length = NETSTRAT_TEXT_SIZE - 1;
    if (length > 0)
        memcpy(error->text, text, length);
    error->text[length] = '\0';
    error->text_length = (uint32_t)length;
}

/* Not exported by the shared library; amalgamate.sh makes it `static`. */
#define NETSTRAT_PRIVATE __attribute__((visibility("hidden")))

/* ---- what the decoders share ---- */

/* Moves `rest` on by `length` bytes and their padding, which the last piece may come without. */
static inline void netstrat_rest_skip(struct netstrat_cursor *rest, size_t length)
{
    rest->at += netstrat_align(length);
    if (rest->at > rest->end)
        rest->at = rest->end;
}

/* Copies the first `size` bytes of `rest`. */
static inline int netstrat_rest_read(const struct netstrat_cursor *rest, void *to, size_t size)
{
    if (rest->at + size > rest->end)
        return -EBADMSG;
    if (size > 0) /* memcpy() must not get a pointer beyond an object, even for no bytes */
        memcpy(to, rest->data + rest->at, size);
    return 0;
}

/* The same, and moves on behind them. */
static inline int netstrat_rest_take(struct netstrat_cursor *rest, void *to, size_t size)
{
    if (netstrat_rest_read(rest, to, size) < 0)
        return -EBADMSG;
    netstrat_rest_skip(rest, size);
    return 0;
}

/* netstrat_attribute_next(), inlined: the calls would cost 7 % of a dump of counters. */
static inline int netstrat_attribute_take(struct netstrat_cursor *rest,
                                          struct netstrat_attribute *attribute)
{
    uint16_t head[2]; /* struct rtattr, linux/rtnetlink.h: length, type */
    size_t end;

    if (netstrat_rest_read(rest, head, sizeof head) < 0)
        return rest->at == rest->end ? 0 : -EBADMSG;
    end = rest->at + head[0];
    if (end < rest->at + sizeof head || end > rest->end)
        return -EBADMSG;

    attribute->type = head[1] & 0x3fff; /* NLA_TYPE_MASK: the upper two bits are flags */
    attribute->value.data = rest->data;
    attribute->value.at = rest->at + sizeof head;
    attribute->value.end = end;
    attribute->value.missing = 0;
    netstrat_rest_skip(rest, end - rest->at);
    return 1;
}

static inline int netstrat_u32_decode(const struct netstrat_cursor *value, void *to)
{
    return netstrat_rest_read(value, to, sizeof(uint32_t));
}

/* The length of an address of AF_INET or AF_INET6. */
static inline unsigned netstrat_address_bits(uint8_t family)
{
    return family == 2 ? 32 : 128;
}

/* message.c's: copies a NUL-terminated text of at least one byte into `to`, of `size` bytes. */
NETSTRAT_PRIVATE int netstrat_text_decode(const struct netstrat_cursor *value, char *to,
                                          size_t size);

/* address.c's, for route.c. */
NETSTRAT_PRIVATE int netstrat_prefix_decode(const struct netstrat_cursor *value, uint8_t family,
                                            uint8_t length, struct netstrat_prefix *prefix);

/* ---- what socket.c gives to exchange.c: a call's time, and one datagram in ---- */

/* Begins a call, whose timeout starts anew unless the caller's deadline is shared. Returns 0, or
 * -EBUSY, reported at `step`, if a callback of another call on the socket makes this one. */
NETSTRAT_PRIVATE int netstrat_call_begin(struct netstrat_socket *sock, enum netstrat_step step,
                                         struct netstrat_error *error);

/* Ends a call. Returns `code`. */
NETSTRAT_PRIVATE int netstrat_call_end(struct netstrat_socket *sock, int code);

/* Returns 0 if the call has time to go on after it took a datagram, -ETIMEDOUT otherwise. */
NETSTRAT_PRIVATE int netstrat_call_go_on(struct netstrat_socket *sock);

/* After EINTR: returns 0, -EINTR if the `interrupted` hook ends the call, or -ETIMEDOUT. */
NETSTRAT_PRIVATE int netstrat_call_resume(struct netstrat_socket *sock);

/* Waits until there is something to receive. */
NETSTRAT_PRIVATE int netstrat_socket_wait(struct netstrat_socket *sock);

/* Takes one datagram of the kernel's from the queue into sock->buffer; -EAGAIN if there is none. */
NETSTRAT_PRIVATE int netstrat_socket_take(struct netstrat_socket *sock,
                                          struct netstrat_cursor *datagram);

/* Joins (1) or leaves (0) all groups of sock->groups, which stays as it is. */
NETSTRAT_PRIVATE int netstrat_socket_set_groups(const struct netstrat_socket *sock, int joined,
                                                struct netstrat_error *error);

/* Hands a message to `notified`; NULL: some were lost. */
NETSTRAT_PRIVATE void netstrat_socket_notify(struct netstrat_socket *sock,
                                             const struct netstrat_message *message);

/* Empties the queue, its messages going to `notified`. */
NETSTRAT_PRIVATE int netstrat_socket_drain(struct netstrat_socket *sock);

/* ---- what exchange.c gives to containers.c ---- */

/* netstrat_dump(), which takes what changes all the time as it is: 1 once the kernel has marked
 * `most` dumps as inconsistent. The messages are then those of the last one, which ran to its end:
 * each was true when it was made, but one of a link that was there all the while may be missing. */
NETSTRAT_PRIVATE int
netstrat_dump_tolerant(struct netstrat_socket *sock, struct netstrat_batch *batch, int most,
                       int (*each)(const struct netstrat_message *message, void *context),
                       void *context, struct netstrat_error *error);

/* ---- name_cache.c for operations.c ---- */

/* Stores the name of a link in the cache of `watch`. Does nothing if `watch` is NULL. */
NETSTRAT_PRIVATE void netstrat_name_cache_store(struct netstrat_name_watch *watch,
                                                const struct netstrat_link_name *name);

#endif
