/* SPDX-License-Identifier: MIT */
/* Declarations that the files of the core share, and that are not part of the API. */
#ifndef NETSTRAT_INTERNAL_H
#define NETSTRAT_INTERNAL_H

/* Must precede the first system header: -std=c11 alone hides clock_gettime() and strnlen(). */
#ifndef _GNU_SOURCE
#ifdef _FEATURES_H
#error "define _GNU_SOURCE before the first system header, or include this file before it"
#endif
#define _GNU_SOURCE
#endif
/* On 32-bit machines fstat() would otherwise fail with EOVERFLOW for the 64-bit inodes of
 * overlayfs. */
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

#include <errno.h>
#include <string.h>

#include "netstrat.h"

/* Every constant of the kernel's ABI that the headers of Linux 3.10 lack, with the version that
 * introduced it. Portable wheels are built with those headers. The values never change. */
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
    NETSTRAT_RTM_NEWNEXTHOP = 104,             /* 5.3 */
    NETSTRAT_RTM_DELNEXTHOP = 105,             /* 5.3 */
    NETSTRAT_RTM_GETNEXTHOP = 106,             /* 5.3 */
    NETSTRAT_RTM_NEWLINKPROP = 108,            /* 5.5 */
    NETSTRAT_RTM_DELLINKPROP = 109,            /* 5.5 */
    NETSTRAT_RTEXT_FILTER_SKIP_STATS = 1 << 3, /* 4.4 */
    /* linux/if_link.h */
    NETSTRAT_IFLA_LINK_NETNSID = 37,        /* 4.0 */
    NETSTRAT_IFLA_XDP = 43,                 /* 4.8 */
    NETSTRAT_IFLA_XDP_FD = 1,               /* 4.8 */
    NETSTRAT_IFLA_NEW_NETNSID = 45,         /* 4.15 */
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
    NETSTRAT_IFLA_VXLAN_GROUP6 = 16,        /* 3.11 */
    NETSTRAT_IFLA_VXLAN_LOCAL6 = 17,        /* 3.11 */
    NETSTRAT_IFLA_IPVLAN_MODE = 1,          /* 3.19 */
    NETSTRAT_IFLA_IPVLAN_FLAGS = 2,         /* 4.15 */
    NETSTRAT_IFLA_STATS_LINK_64 = 1,        /* 4.7 */
    NETSTRAT_VETH_INFO_PEER = 1,            /* linux/veth.h */
    NETSTRAT_RTA_VIA = 18,                  /* 3.19, linux/rtnetlink.h */
    /* linux/if_addr.h */
    NETSTRAT_IFA_FLAGS = 8,               /* 3.14 */
    NETSTRAT_IFA_RT_PRIORITY = 9,         /* 4.18 */
    NETSTRAT_IFA_PROTO = 11,              /* 5.18 */
    NETSTRAT_IFA_F_NOPREFIXROUTE = 0x200, /* 3.14 */
    /* linux/pkt_sched.h */
    NETSTRAT_TCA_TBF_RATE64 = 4,       /* 3.13 */
    NETSTRAT_TCA_TBF_BURST = 6,        /* 3.14 */
    NETSTRAT_TCA_NETEM_RATE64 = 8,     /* 3.14 */
    NETSTRAT_TCA_NETEM_LATENCY64 = 10, /* 4.15 */
    NETSTRAT_TCA_NETEM_JITTER64 = 11,  /* 4.15 */
    /* linux/net_namespace.h, 4.0 */
    NETSTRAT_NETNSA_NSID = 1,
    NETSTRAT_NETNSA_FD = 3,
    /* linux/netfilter/nfnetlink.h; the types of nf_tables messages are in netstrat.h */
    NETSTRAT_NFNL_SUBSYS_NFTABLES = 10, /* 3.13 */
    NETSTRAT_NFNL_MSG_BATCH_BEGIN = 16, /* 3.13 */
    NETSTRAT_NFNL_MSG_BATCH_END = 17,   /* 3.13 */
    NETSTRAT_NFNL_BATCH_GENID = 1,      /* 4.10 */
    /* linux/netfilter/nf_tables.h, 3.13 unless there is another version */
    NETSTRAT_NFTA_LIST_ELEM = 1,
    NETSTRAT_NFTA_TABLE_NAME = 1,
    NETSTRAT_NFTA_TABLE_FLAGS = 2,
    NETSTRAT_NFTA_GEN_ID = 1, /* 3.18 */
    NETSTRAT_NFTA_HOOK_HOOKNUM = 1,
    NETSTRAT_NFTA_HOOK_PRIORITY = 2,
    NETSTRAT_NFTA_CHAIN_TABLE = 1,
    NETSTRAT_NFTA_CHAIN_NAME = 3,
    NETSTRAT_NFTA_CHAIN_HOOK = 4,
    NETSTRAT_NFTA_CHAIN_POLICY = 5,
    NETSTRAT_NFTA_CHAIN_TYPE = 7,
    NETSTRAT_NFTA_RULE_TABLE = 1,
    NETSTRAT_NFTA_RULE_CHAIN = 2,
    NETSTRAT_NFTA_RULE_EXPRESSIONS = 4,
    NETSTRAT_NFTA_SET_TABLE = 1,
    NETSTRAT_NFTA_SET_NAME = 2,
    NETSTRAT_NFTA_SET_FLAGS = 3,
    NETSTRAT_NFTA_SET_KEY_TYPE = 4,
    NETSTRAT_NFTA_SET_KEY_LEN = 5,
    NETSTRAT_NFTA_SET_DATA_TYPE = 6,
    NETSTRAT_NFTA_SET_DATA_LEN = 7,
    NETSTRAT_NFTA_SET_DESC = 9,        /* 3.16 */
    NETSTRAT_NFTA_SET_ID = 10,         /* 3.16 */
    NETSTRAT_NFTA_SET_DESC_CONCAT = 2, /* 5.6 */
    NETSTRAT_NFTA_SET_FIELD_LEN = 1,   /* 5.6 */
    NETSTRAT_NFT_SET_INTERVAL = 4,
    NETSTRAT_NFT_SET_MAP = 8,
    NETSTRAT_NFT_SET_CONCAT = 0x80, /* 5.6 */
    NETSTRAT_NFTA_SET_ELEM_LIST_TABLE = 1,
    NETSTRAT_NFTA_SET_ELEM_LIST_SET = 2,
    NETSTRAT_NFTA_SET_ELEM_LIST_ELEMENTS = 3,
    NETSTRAT_NFTA_SET_ELEM_KEY = 1,
    NETSTRAT_NFTA_SET_ELEM_DATA = 2,
    NETSTRAT_NFTA_SET_ELEM_FLAGS = 3,
    NETSTRAT_NFTA_SET_ELEM_USERDATA = 6, /* 3.19 */
    NETSTRAT_NFTA_SET_ELEM_KEY_END = 10, /* 5.6 */
    NETSTRAT_NFT_SET_ELEM_INTERVAL_END = 1,
    NETSTRAT_NFTA_DATA_VALUE = 1,
    NETSTRAT_NFTA_DATA_VERDICT = 2,
    NETSTRAT_NFTA_VERDICT_CODE = 1,
    NETSTRAT_NFTA_VERDICT_CHAIN = 2,
    NETSTRAT_NFTA_EXPR_NAME = 1,
    NETSTRAT_NFTA_EXPR_DATA = 2,
    NETSTRAT_NFTA_IMMEDIATE_DREG = 1,
    NETSTRAT_NFTA_IMMEDIATE_DATA = 2,
    NETSTRAT_NFTA_META_DREG = 1,
    NETSTRAT_NFTA_META_KEY = 2,
    NETSTRAT_NFTA_CT_DREG = 1,
    NETSTRAT_NFTA_CT_KEY = 2,
    NETSTRAT_NFTA_FIB_DREG = 1,   /* 4.10 */
    NETSTRAT_NFTA_FIB_RESULT = 2, /* 4.10 */
    NETSTRAT_NFTA_FIB_FLAGS = 3,  /* 4.10 */
    NETSTRAT_NFTA_PAYLOAD_DREG = 1,
    NETSTRAT_NFTA_PAYLOAD_BASE = 2,
    NETSTRAT_NFTA_PAYLOAD_OFFSET = 3,
    NETSTRAT_NFTA_PAYLOAD_LEN = 4,
    NETSTRAT_NFTA_BITWISE_SREG = 1,
    NETSTRAT_NFTA_BITWISE_DREG = 2,
    NETSTRAT_NFTA_BITWISE_LEN = 3,
    NETSTRAT_NFTA_BITWISE_MASK = 4,
    NETSTRAT_NFTA_BITWISE_XOR = 5,
    NETSTRAT_NFTA_CMP_SREG = 1,
    NETSTRAT_NFTA_CMP_OP = 2,
    NETSTRAT_NFTA_CMP_DATA = 3,
    NETSTRAT_NFTA_LOOKUP_SET = 1,
    NETSTRAT_NFTA_LOOKUP_SREG = 2,
    NETSTRAT_NFTA_LOOKUP_DREG = 3,
    NETSTRAT_NFTA_NAT_TYPE = 1,
    NETSTRAT_NFTA_NAT_FAMILY = 2,
    NETSTRAT_NFTA_NAT_REG_ADDR_MIN = 3,
    NETSTRAT_NFTA_NAT_REG_PROTO_MIN = 5,
    NETSTRAT_NFT_REG_VERDICT = 0,
    NETSTRAT_NFT_REG_1 = 1, /* 16 bytes; so have 2, 3 and 4 */
    NETSTRAT_NFT_REG_2 = 2,
    NETSTRAT_NFT_REG32_00 = 8, /* 4.1: the first 4 bytes of NFT_REG_1 */
    NETSTRAT_NFT_JUMP = -3,
    NETSTRAT_NFT_RETURN = -5,
    NETSTRAT_NFT_META_OIF = 5,
    NETSTRAT_NFT_META_NFPROTO = 15, /* 3.14 */
    NETSTRAT_NFT_META_L4PROTO = 16, /* 3.14 */
    NETSTRAT_NFT_CT_STATUS = 2,
    NETSTRAT_NFT_FIB_RESULT_ADDRTYPE = 3, /* 4.10 */
    NETSTRAT_NFTA_FIB_F_DADDR = 2,        /* 4.10 */
    NETSTRAT_NFT_PAYLOAD_NETWORK_HEADER = 1,
    NETSTRAT_NFT_PAYLOAD_TRANSPORT_HEADER = 2,
    NETSTRAT_NFT_CMP_EQ = 0,
    NETSTRAT_NFT_CMP_NEQ = 1,
    NETSTRAT_NFT_CMP_GTE = 5,
    NETSTRAT_NFT_NAT_DNAT = 1,
    NETSTRAT_IPS_DST_NAT = 1 << 5, /* linux/netfilter/nf_conntrack_common.h */
    /* linux/netfilter.h, 3.13 */
    NETSTRAT_NFPROTO_INET = 1,
    /* linux/sockios.h */
    NETSTRAT_SIOCGSKNS = 0x894C, /* 4.9 */
    /* linux/stat.h */
    NETSTRAT_STATX_MNT_ID = 0x1000,        /* 5.8 */
    NETSTRAT_STATX_MNT_ID_UNIQUE = 0x4000, /* 6.8 */
    /* linux/mount.h, 5.2 */
    NETSTRAT_FSOPEN_CLOEXEC = 1,
    NETSTRAT_FSCONFIG_CMD_CREATE = 6,
    NETSTRAT_FSMOUNT_CLOEXEC = 1,
    /* linux/mount.h, 5.2: MOUNT_ATTR_ */
    NETSTRAT_MOUNT_ATTR_RDONLY = 1,
    NETSTRAT_MOUNT_ATTR_NOSUID = 2,
    NETSTRAT_MOUNT_ATTR_NODEV = 4,
    NETSTRAT_MOUNT_ATTR_NOEXEC = 8
};
/* linux/nsfs.h, 4.9. The architectures differ in its value. It needs sys/ioctl.h. */
#define NETSTRAT_NS_GET_USERNS _IO(0xb7, 1)

/* How often a dump is tried that the kernel marks as inconsistent, and a request whose reply is
 * lost. Each further try is needed only if links changed during the one before, so 16 in a row
 * mean that they change all the time and a 17th would hardly help. The deadline limits the tries
 * too. */
enum { NETSTRAT_MAX_TRIES = 16 };

/* A buffer for one query or change of a link: headers and the longest alternative name. */
enum { NETSTRAT_REQUEST_SIZE = 192 };

/* The sizes of struct nlmsghdr and struct rtattr. Messages, attributes and their payloads begin at
 * multiples of four bytes. */
enum { NETSTRAT_MESSAGE_HEADER = 16, NETSTRAT_ATTRIBUTE_HEADER = 4 };

static inline size_t netstrat_align(size_t length)
{
    return (length + 3) & ~(size_t)3;
}

/* Tests for a message type RTM_GET* or NFT_MSG_GET*. In rtnetlink, GET is the third of each group
 * of four types. The types of nf_tables have a subsystem in their upper byte, and GET is the second
 * of each group of three. */
static inline int netstrat_is_get(uint16_t type)
{
    if (type > 0xff)
        return (type & 0xff) % 3 == 1;
    return type >= 16 && (type & 3) == 2; /* RTM_BASE is 16 */
}

/* isspace() of the C locale, whatever the program's locale is. */
static inline int netstrat_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Records a failure and returns its code, so that a caller can `return netstrat_fail(...)`. */
static inline int netstrat_fail(struct netstrat_error *error, int code,
                                enum netstrat_operation operation)
{
    if (error) {
        error->code = code;
        error->operation = (uint32_t)operation;
        error->request = 0;
        error->item = 0;
        error->text_length = 0;
        error->text[0] = '\0';
    }
    return code;
}

/* Records the kernel's refusal of a message of the type `request`. */
static inline int netstrat_fail_request(struct netstrat_error *error, int code, uint32_t request)
{
    (void)netstrat_fail(error, code, NETSTRAT_OP_REQUEST);
    if (error)
        error->request = request;
    return code;
}

/* Records a failure of one message of a batch, or of one counter. */
static inline int netstrat_fail_item(struct netstrat_error *error, int code,
                                     enum netstrat_operation operation, uint32_t item)
{
    (void)netstrat_fail(error, code, operation);
    if (error)
        error->item = item;
    return code;
}

/* Copies `text`, which may contain any bytes, into the error, truncated if it does not fit. */
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

/* Functions that the shared library does not export. amalgamate.sh makes them `static`. */
#define NETSTRAT_PRIVATE __attribute__((visibility("hidden")))

/* ---- cursors ---- */

/* Moves the cursor by `length` bytes and their padding. The last attribute may lack its padding. */
static inline void netstrat_cursor_skip(struct netstrat_cursor *cursor, size_t length)
{
    cursor->at += netstrat_align(length);
    if (cursor->at > cursor->end)
        cursor->at = cursor->end;
}

/* Copies the next `size` bytes without moving the cursor. */
static inline int netstrat_cursor_read(const struct netstrat_cursor *cursor, void *to, size_t size)
{
    if (cursor->at + size > cursor->end)
        return -EBADMSG;
    if (size > 0) /* even for 0 bytes, memcpy() must not get a pointer beyond an object */
        memcpy(to, cursor->data + cursor->at, size);
    return 0;
}

/* Copies the next `size` bytes and moves the cursor past them. */
static inline int netstrat_cursor_take(struct netstrat_cursor *cursor, void *to, size_t size)
{
    if (netstrat_cursor_read(cursor, to, size) < 0)
        return -EBADMSG;
    netstrat_cursor_skip(cursor, size);
    return 0;
}

/* netstrat_attribute_next(), inlined: the calls would add 7 % to the time of a dump of counters. */
static inline int netstrat_attribute_take(struct netstrat_cursor *cursor,
                                          struct netstrat_attribute *attribute)
{
    uint16_t head[2]; /* struct rtattr, linux/rtnetlink.h: length, type */
    size_t end;

    if (netstrat_cursor_read(cursor, head, sizeof head) < 0)
        return cursor->at == cursor->end ? 0 : -EBADMSG;
    end = cursor->at + head[0];
    if (end < cursor->at + sizeof head || end > cursor->end)
        return -EBADMSG;

    attribute->type = head[1] & 0x3fff; /* NLA_TYPE_MASK: the upper two bits are flags */
    attribute->value.data = cursor->data;
    attribute->value.at = cursor->at + sizeof head;
    attribute->value.end = end;
    attribute->value.missing = 0;
    netstrat_cursor_skip(cursor, end - cursor->at);
    return 1;
}

/* netstrat_message_next(), inlined like netstrat_attribute_take(). */
static inline int netstrat_message_take(struct netstrat_cursor *rest,
                                        struct netstrat_message *message)
{
    struct { /* struct nlmsghdr, linux/netlink.h */
        uint32_t length;
        uint16_t type;
        uint16_t flags;
        uint32_t sequence;
        uint32_t port;
    } header;
    size_t at, end, cut = 0;

    if (netstrat_cursor_read(rest, &header, sizeof header) < 0)
        return rest->at == rest->end || rest->missing > 0 ? 0 : -EBADMSG;
    if (header.length < sizeof header)
        return -EBADMSG;
    at = rest->at;
    end = at + header.length;
    /* In 32 bits the sum may have wrapped around. */
    if (header.length > rest->end || end > rest->end) {
        cut = header.length - (rest->end - at);
        end = rest->end;
        if (cut > rest->missing)
            return -EBADMSG;
    }
    netstrat_cursor_skip(rest, end - at);

    message->type = header.type;
    message->flags = header.flags;
    message->sequence = header.sequence;
    message->port = header.port;
    message->payload.data = rest->data;
    message->payload.at = at + sizeof header;
    message->payload.end = end;
    message->payload.missing = cut;
    return 1;
}

static inline int netstrat_u32_decode(const struct netstrat_cursor *value, void *to)
{
    return netstrat_cursor_read(value, to, sizeof(uint32_t));
}

/* The number of bits of an address of AF_INET or AF_INET6. */
static inline unsigned netstrat_address_bits(uint8_t family)
{
    enum { FAMILY_IPV4 = 2 }; /* AF_INET; sys/socket.h would come with it to every file */

    return family == FAMILY_IPV4 ? 32 : 128;
}

/* ---- batch.c for exchange.c ---- */

/* Checks that netstrat_execute() can send the batch: it consists of `count` messages, each padded
 * to four bytes, which ask for an ack (NLM_F_REQUEST and NLM_F_ACK) and not for a dump. Returns 0,
 * or -EINVAL with *item the number of the first message that does not qualify. */
NETSTRAT_PRIVATE int netstrat_batch_check(const struct netstrat_batch *batch, uint32_t *item);

/* ---- counter_text.c for sysfs.c ---- */

/* Moves *start and *end past the white space at both ends of a text. */
NETSTRAT_PRIVATE void netstrat_trim(const char *text, size_t *start, size_t *end);

/* ---- link.c for link_change.c ---- */

/* Begins a message about one link: by its index, or by its name if `index` is 0. The kernel then
 * looks up the name itself, which saves a query. */
NETSTRAT_PRIVATE void netstrat_link_begin(struct netstrat_batch *batch, uint16_t type,
                                          uint16_t flags, int32_t index, const char *name,
                                          uint32_t link_flags, uint32_t change);

/* ---- message.c, link.c and address.c for other decoders ---- */

/* Copies a text of at least one byte, with its NUL, into `to` of `size` bytes. Returns 0, or
 * -EBADMSG if it is empty, has no NUL or does not fit. */
NETSTRAT_PRIVATE int netstrat_text_decode(const struct netstrat_cursor *value, char *to,
                                          size_t size);

/* Reads RTM_NEWLINK as a link of the namespace `nsid`. `self_nsid` is the nsid that the socket's
 * namespace assigns to itself, or -1. Returns 1; 0 if the link is a loopback; -EBADMSG if the
 * message is malformed or describes another namespace. */
NETSTRAT_PRIVATE int netstrat_netns_link_decode(const struct netstrat_message *message,
                                                int32_t nsid, int32_t self_nsid,
                                                struct netstrat_netns_link *link);

/* Reads an address of a family whose prefix has `length` bits. Returns 0, or -EBADMSG if it is
 * shorter than the family's addresses, or the prefix longer. */
NETSTRAT_PRIVATE int netstrat_prefix_decode(const struct netstrat_cursor *value, uint8_t family,
                                            uint8_t length, struct netstrat_prefix *prefix);

/* ---- nft.c for nft_table.c and nft_elements.c ---- */

/* The name of the table. */
#define NETSTRAT_NFT_TABLE "pynetstrat"

/* The flags of a message that adds what must not exist. */
#define NETSTRAT_NFT_ADD (NLM_F_CREATE | NLM_F_EXCL)

/* struct nfgenmsg, linux/netfilter/nfnetlink.h. */
struct netstrat_nft_fixed {
    uint8_t family;
    uint8_t version;
    uint16_t resource; /* big-endian */
};

static inline int netstrat_nft_is_subnets(uint32_t set)
{
    return set <= NETSTRAT_NFT_SUBNETS6;
}

static inline int netstrat_nft_is_neighbours(uint32_t set)
{
    return set == NETSTRAT_NFT_NEIGHBOURS4 || set == NETSTRAT_NFT_NEIGHBOURS6;
}

static inline int netstrat_nft_is_map(uint32_t set)
{
    return set >= NETSTRAT_NFT_PORTS4;
}

static inline int netstrat_nft_has_address(uint32_t set)
{
    return set != NETSTRAT_NFT_PORTS4 && set != NETSTRAT_NFT_PORTS6;
}

/* The size of an address of the set. */
static inline size_t netstrat_nft_width(uint32_t set)
{
    return set & 1 ? 16 : 4;
}

/* AF_INET or AF_INET6. */
NETSTRAT_PRIVATE uint8_t netstrat_nft_family(uint32_t set);

/* The name of a set, which must be one. */
NETSTRAT_PRIVATE const char *netstrat_nft_set_name(uint32_t set);

/* Begins a message about the table or a part of it. */
NETSTRAT_PRIVATE void netstrat_nft_begin(struct netstrat_batch *batch, uint16_t type,
                                         uint16_t flags);

/* Appends an attribute: a number, or a nest with a value. */
NETSTRAT_PRIVATE void netstrat_nft_put_number(struct netstrat_batch *batch, uint16_t type,
                                              uint32_t value);
NETSTRAT_PRIVATE void netstrat_nft_put_value(struct netstrat_batch *batch, uint16_t type,
                                             const void *value, size_t size);

/* Moves past the fixed part of a message of a type. Returns 0 or -EBADMSG. */
NETSTRAT_PRIVATE int netstrat_nft_decode_fixed(const struct netstrat_message *message,
                                               uint16_t type, struct netstrat_nft_fixed *fixed,
                                               struct netstrat_cursor *attributes);

/* Reads the number in an attribute. Returns 0 or -EBADMSG. */
NETSTRAT_PRIVATE int netstrat_nft_read_number(const struct netstrat_cursor *value,
                                              uint32_t *number);

/* ---- socket.c for exchange.c: the time of a call, and one datagram in ---- */

/* Begins a call. Its deadline starts anew unless the caller shares one among calls. Returns 0, or
 * -EBUSY, reported at `operation`, if a callback of another call on the socket makes this one. */
NETSTRAT_PRIVATE int netstrat_call_begin(struct netstrat_socket *sock,
                                         enum netstrat_operation operation,
                                         struct netstrat_error *error);

/* Ends a call and returns `code`. */
NETSTRAT_PRIVATE int netstrat_call_end(struct netstrat_socket *sock, int code);

/* Called after a datagram. Returns 0 if the call has time left, otherwise -ETIMEDOUT. */
NETSTRAT_PRIVATE int netstrat_call_go_on(struct netstrat_socket *sock);

/* Called after EINTR. Returns 0, -EINTR if the `interrupted` callback ends the call, or
 * -ETIMEDOUT. */
NETSTRAT_PRIVATE int netstrat_call_resume(struct netstrat_socket *sock);

/* Waits until the queue is not empty, or for 100 ms. Returns 0 or -errno. */
NETSTRAT_PRIVATE int netstrat_socket_wait(struct netstrat_socket *sock);

/* Takes one datagram from the queue into sock->buffer, skipping any that is not from the kernel.
 * Returns 0, -EAGAIN if the queue is empty, or another -errno. */
NETSTRAT_PRIVATE int netstrat_socket_take(struct netstrat_socket *sock,
                                          struct netstrat_cursor *datagram);

/* Joins (1) or leaves (0) all groups of sock->groups, which is not changed. */
NETSTRAT_PRIVATE int netstrat_socket_set_groups(const struct netstrat_socket *sock, int joined,
                                                struct netstrat_error *error);

/* Passes a message to `notified`, or NULL if notifications were lost. */
NETSTRAT_PRIVATE void netstrat_socket_notify(struct netstrat_socket *sock,
                                             const struct netstrat_message *message);

/* Drains the queue: passes its messages to `notified`. Returns 0 once it is empty, or -errno. */
NETSTRAT_PRIVATE int netstrat_socket_drain(struct netstrat_socket *sock);

/* ---- exchange.c for containers.c ---- */

/* Like netstrat_dump(), but accepts an inconsistent dump after `most` tries (returns 1). Each
 * message of it was true when it was made, but a link that existed throughout may be missing. */
NETSTRAT_PRIVATE int
netstrat_dump_tolerant(struct netstrat_socket *sock, struct netstrat_batch *batch, int most,
                       int (*each)(const struct netstrat_message *message, void *context),
                       void *context, struct netstrat_error *error);

/* ---- name_cache.c for operations.c ---- */

/* Stores a link's name in the cache of `watch`. Does nothing if `watch` is NULL. */
NETSTRAT_PRIVATE void netstrat_name_cache_store(struct netstrat_name_watch *watch,
                                                const struct netstrat_link_name *name);

#endif
