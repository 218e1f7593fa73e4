/* SPDX-License-Identifier: MIT */
/*
 * rtnetlink requests and replies: pure functions over the caller's buffers.
 *
 * Headers are copied in and out with memcpy: a caller's buffer has no alignment, and the kernel
 * aligns attributes to 4 bytes although their payloads hold 64-bit fields.
 */
#include "internal.h"

#include <errno.h>
#include <net/if.h>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

/* Values that Linux 3.10's headers, on which portable wheels are built, do not have yet. They are
 * part of the kernel's ABI and so never change. */
enum {
    MSG_GETSTATS = 94,      /* RTM_GETSTATS, linux/rtnetlink.h, 4.7 */
    ATTR_ALT_IFNAME = 53,   /* IFLA_ALT_IFNAME, linux/if_link.h, 5.5 */
    ATTR_STATS_LINK_64 = 1, /* IFLA_STATS_LINK_64, linux/if_link.h, 4.7; the bit of its filter is 1 << 0 */
    ATTR_ACK_MSG = 1,       /* NLMSGERR_ATTR_MSG, linux/netlink.h, 4.12 */
    FLAG_CAPPED = 0x100,    /* NLM_F_CAPPED */
    FLAG_ACK_TLVS = 0x200,  /* NLM_F_ACK_TLVS */
    SKIP_STATS = 1 << 3     /* RTEXT_FILTER_SKIP_STATS, linux/rtnetlink.h, 4.4 */
};

/* struct if_stats_msg, linux/if_link.h, 4.7 */
struct stats_header {
    uint8_t family;
    uint8_t pad1;
    uint16_t pad2;
    uint32_t index;
    uint32_t filter;
};

/* Both kinds of header are multiples of the alignment, so payloads follow them directly. */
enum { ALIGNMENT = 4, MESSAGE_HEADER = 16, ATTRIBUTE_HEADER = 4 };

static size_t align(size_t length)
{
    return (length + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

/* ---- names ---- */

int netstrat_check_name(const char *name)
{
    size_t length = strnlen(name, NETSTRAT_ALT_NAME_SIZE);
    size_t i;

    if (length == 0 || length == NETSTRAT_ALT_NAME_SIZE || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        return -EINVAL;
    for (i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c == '/' || c == ':' || netstrat_is_space(name[i]))
            return -EINVAL;
        /* The kernel's isspace is Latin-1's and so takes a byte 0xa0 for a no-break space, also
         * within UTF-8 (lib/ctype.c). It looks at names so, not at alternative names. */
        if (c == 0xa0 && length < NETSTRAT_NAME_SIZE)
            return -EINVAL;
    }
    return length >= NETSTRAT_NAME_SIZE;
}

/* ---- encoding ---- */

void netstrat_batch_init(struct netstrat_batch *batch, void *buffer, size_t size)
{
    batch->data = (unsigned char *)buffer;
    batch->size = size;
    batch->used = 0;
    batch->count = 0;
}

/*
 * Appends a message with a fixed part and at most one attribute (`value` NULL: none). Both are
 * measured before a byte is written. The sequence number is given when the batch is sent.
 */
static int put_message(struct netstrat_batch *batch, uint16_t type, uint16_t flags,
                       const void *fixed, size_t fixed_size, uint16_t attribute, const void *value,
                       size_t value_size)
{
    size_t length = MESSAGE_HEADER + fixed_size;
    struct nlmsghdr header;
    unsigned char *at;

    if (value)
        length += ATTRIBUTE_HEADER + align(value_size);
    if (length > batch->size - batch->used)
        return -EMSGSIZE;

    at = batch->data + batch->used;
    memset(at, 0, length); /* the padding too: nothing of the caller's memory goes out */
    memset(&header, 0, sizeof header);
    header.nlmsg_len = (uint32_t)length;
    header.nlmsg_type = type;
    header.nlmsg_flags = flags;
    memcpy(at, &header, sizeof header);
    memcpy(at + MESSAGE_HEADER, fixed, fixed_size);
    if (value) {
        struct rtattr head;

        head.rta_len = (unsigned short)(ATTRIBUTE_HEADER + value_size);
        head.rta_type = attribute;
        at += MESSAGE_HEADER + fixed_size;
        memcpy(at, &head, sizeof head);
        memcpy(at + ATTRIBUTE_HEADER, value, value_size);
    }
    batch->used += length;
    batch->count++;
    return 0;
}

/* By name and with index 0 the kernel finds the link itself: no look-up of the index before. */
static int put_link(struct netstrat_batch *batch, uint16_t type, uint16_t flags, const char *name,
                    uint32_t link_flags, uint32_t change)
{
    struct ifinfomsg info;
    int kind = netstrat_check_name(name);

    if (kind < 0)
        return kind;
    memset(&info, 0, sizeof info); /* ifi_family AF_UNSPEC, ifi_index 0 */
    info.ifi_flags = link_flags;
    info.ifi_change = change;
    return put_message(batch, type, flags, &info, sizeof info,
                       kind ? (uint16_t)ATTR_ALT_IFNAME : (uint16_t)IFLA_IFNAME, name,
                       strlen(name) + 1);
}

int netstrat_put_link_flags(struct netstrat_batch *batch, const char *name, uint32_t flags,
                            uint32_t change)
{
    return put_link(batch, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, name, flags, change);
}

int netstrat_put_get_link(struct netstrat_batch *batch, const char *name)
{
    return put_link(batch, RTM_GETLINK, NLM_F_REQUEST, name, 0, 0);
}

static int put_stats(struct netstrat_batch *batch, uint16_t flags, int32_t index)
{
    struct stats_header header;

    memset(&header, 0, sizeof header);
    header.index = (uint32_t)index;
    header.filter = 1U << (ATTR_STATS_LINK_64 - 1);
    return put_message(batch, MSG_GETSTATS, flags, &header, sizeof header, 0, NULL, 0);
}

int netstrat_put_get_stats(struct netstrat_batch *batch, int32_t index)
{
    return put_stats(batch, NLM_F_REQUEST, index);
}

int netstrat_put_dump_stats(struct netstrat_batch *batch)
{
    return put_stats(batch, NLM_F_REQUEST | NLM_F_DUMP, 0);
}

int netstrat_put_dump_links(struct netstrat_batch *batch, int with_counters)
{
    struct ifinfomsg info;
    uint32_t mask = with_counters ? 0 : SKIP_STATS;

    memset(&info, 0, sizeof info);
    return put_message(batch, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, &info, sizeof info,
                       IFLA_EXT_MASK, &mask, sizeof mask);
}

/* ---- decoding ---- */

int netstrat_next_message(const void *data, size_t size, size_t *offset,
                          struct netstrat_message *message)
{
    const unsigned char *at = (const unsigned char *)data + *offset;
    size_t left = size - *offset;
    struct nlmsghdr header;
    size_t step;

    if (left == 0)
        return 0;
    if (left < MESSAGE_HEADER)
        return -EBADMSG;
    memcpy(&header, at, sizeof header);
    if (header.nlmsg_len < MESSAGE_HEADER || header.nlmsg_len > left)
        return -EBADMSG;

    message->type = header.nlmsg_type;
    message->flags = header.nlmsg_flags;
    message->sequence = header.nlmsg_seq;
    message->port = header.nlmsg_pid;
    message->payload = at + MESSAGE_HEADER;
    message->length = header.nlmsg_len - MESSAGE_HEADER;
    step = align(header.nlmsg_len);
    *offset += step < left ? step : left; /* the last message may come without its padding */
    return 1;
}

struct attribute {
    uint16_t type;
    const unsigned char *value;
    size_t length;
};

/* The attribute at *offset of a payload; as netstrat_next_message. */
static int next_attribute(const struct netstrat_message *message, size_t *offset,
                          struct attribute *attribute)
{
    const unsigned char *at = message->payload + *offset;
    size_t left = message->length - *offset;
    struct rtattr head;
    size_t step;

    if (left < ATTRIBUTE_HEADER)
        return left == 0 ? 0 : -EBADMSG;
    memcpy(&head, at, sizeof head);
    if (head.rta_len < ATTRIBUTE_HEADER || head.rta_len > left)
        return -EBADMSG;

    attribute->type = (uint16_t)(head.rta_type & NLA_TYPE_MASK); /* the upper two bits are flags */
    attribute->value = at + ATTRIBUTE_HEADER;
    attribute->length = (size_t)head.rta_len - ATTRIBUTE_HEADER;
    step = align(head.rta_len);
    *offset += step < left ? step : left;
    return 1;
}

/* Takes the kernel's words from the attributes at `offset`. They are a courtesy: where they are
 * malformed, the errno before them stands. */
static void decode_ack_text(const struct netstrat_message *message, size_t offset,
                            struct netstrat_error *error)
{
    struct attribute attribute;

    while (next_attribute(message, &offset, &attribute) > 0) {
        if (attribute.type == ATTR_ACK_MSG) {
            netstrat_set_text(error, attribute.value,
                              strnlen((const char *)attribute.value, attribute.length));
            return;
        }
    }
}

int netstrat_decode_ack(const struct netstrat_message *message, int *code,
                        struct netstrat_error *error)
{
    size_t offset = sizeof(int32_t);
    int32_t value;

    if (message->length < sizeof value)
        return -EBADMSG;
    memcpy(&value, message->payload, sizeof value);
    if (value > 0 || value < -4095) /* MAX_ERRNO, linux/err.h */
        return -EBADMSG;

    if (message->type == NLMSG_ERROR) {
        struct nlmsghdr request;

        /* Behind the errno stands the request that it answers: its header, or, without
         * NLM_F_CAPPED, the whole of it. */
        if (message->length - offset < sizeof request)
            return -EBADMSG;
        memcpy(&request, message->payload + offset, sizeof request);
        if (message->flags & FLAG_CAPPED)
            offset += sizeof request;
        else if (request.nlmsg_len >= sizeof request && request.nlmsg_len <= message->length - offset)
            offset += align(request.nlmsg_len);
        else
            offset = message->length;
    }
    if (error) {
        netstrat_set_text(error, "", 0);
        if ((message->flags & FLAG_ACK_TLVS) && offset < message->length)
            decode_ack_text(message, offset, error);
    }
    *code = (int)value;
    return 0;
}

/* The eight counters are the first eight fields of struct rtnl_link_stats64 (linux/if_link.h),
 * which has grown at its end. */
static int decode_counters(const struct attribute *attribute, struct netstrat_counters *counters)
{
    uint64_t field[8];

    if (attribute->length < sizeof field)
        return -EBADMSG;
    memcpy(field, attribute->value, sizeof field);
    counters->rx_packets = field[0];
    counters->tx_packets = field[1];
    counters->rx_bytes = field[2];
    counters->tx_bytes = field[3];
    counters->rx_errors = field[4];
    counters->tx_errors = field[5];
    counters->rx_dropped = field[6];
    counters->tx_dropped = field[7];
    return 0;
}

/* Looks for the counters among the attributes from `offset` on. */
static int find_counters(const struct netstrat_message *message, size_t offset, uint16_t type,
                         struct netstrat_counters *counters)
{
    struct attribute attribute;
    int more;

    while ((more = next_attribute(message, &offset, &attribute)) > 0)
        if (attribute.type == type)
            return decode_counters(&attribute, counters);
    return more < 0 ? more : -ENODATA;
}

int netstrat_decode_link(const struct netstrat_message *message, struct netstrat_link *link,
                         struct netstrat_counters *counters)
{
    struct ifinfomsg info;
    struct attribute attribute;
    size_t offset = sizeof info;
    size_t length;
    int more;

    if (message->length < sizeof info)
        return -EBADMSG;
    memcpy(&info, message->payload, sizeof info);
    if (info.ifi_index <= 0)
        return -EBADMSG;

    /* IFLA_IFNAME comes first of all (rtnl_fill_ifinfo, net/core/rtnetlink.c). */
    do {
        more = next_attribute(message, &offset, &attribute);
        if (more <= 0)
            return -EBADMSG;
    } while (attribute.type != IFLA_IFNAME);
    length = strnlen((const char *)attribute.value, attribute.length);
    if (length == 0 || length == attribute.length || length >= NETSTRAT_NAME_SIZE)
        return -EBADMSG;

    if (counters) {
        more = find_counters(message, sizeof info, IFLA_STATS64, counters);
        if (more < 0)
            return more;
    }
    link->index = info.ifi_index;
    link->flags = info.ifi_flags;
    /* A bridge says with RTM_DELLINK of its own family that a port has left it (br_ifinfo_notify,
     * net/bridge/br_netlink.c): the interface is still there. */
    link->gone = message->type == RTM_DELLINK && info.ifi_family == AF_UNSPEC;
    memset(link->name, 0, sizeof link->name);
    memcpy(link->name, attribute.value, length);
    return 0;
}

int netstrat_decode_stats(const struct netstrat_message *message, int32_t *index,
                          struct netstrat_counters *counters)
{
    struct stats_header header;
    int code;

    if (message->length < sizeof header)
        return -EBADMSG;
    memcpy(&header, message->payload, sizeof header);
    if (header.index == 0 || header.index > INT32_MAX)
        return -EBADMSG;
    code = find_counters(message, sizeof header, ATTR_STATS_LINK_64, counters);
    if (code < 0)
        return code;
    *index = (int32_t)header.index;
    return 0;
}
