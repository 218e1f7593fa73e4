/* SPDX-License-Identifier: MIT */
/*
 * Messages under construction. RTM_NEWLINK for a veth, as in the example in netstrat.h:
 *
 *      byte  0       1       2       3
 *            +---------------+---------------+
 *   start -> |           nlmsg_len           |  struct nlmsghdr: netstrat_batch_begin();
 *            |  nlmsg_type   |  nlmsg_flags  |  the length: netstrat_batch_finish()
 *            |           nlmsg_seq           |  netstrat_execute() and others
 *            |         nlmsg_pid = 0         |
 *            +---------------+---------------+
 *            |  struct ifinfomsg (16 bytes)  |  the fixed part: netstrat_batch_append()
 *            +---------------+---------------+
 *            |  rta_len = 10 |  IFLA_IFNAME  |  an attribute: netstrat_batch_put_string();
 *            |  v       e       t       h    |  the length is without the padding
 *            |  0      NUL   |  0   0  (pad) |
 *            +---------------+---------------+
 *    nest -> |  rta_len = 16 | IFLA_LINKINFO |  netstrat_batch_nest(); the length:
 *            |   +-----------+---------------+  netstrat_batch_nest_end()
 *            |   |rta_len = 9| IFLA_INFO_KIND|  an attribute in the nest
 *            |   |  v       e       t       h|
 *            |   | NUL   |  0   0   0  (pad) |
 *            +---+-----------+---------------+
 *    used -> (the next attribute or message)
 *
 * batch_reserve() alone checks that a part fits, so encoders have no branches. After the first part
 * that does not fit, `code` holds the failure until netstrat_batch_finish() removes the message.
 */
#include "internal.h"

#include <errno.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

void netstrat_batch_init(struct netstrat_batch *batch, void *buffer, size_t size)
{
    batch->data = (unsigned char *)buffer;
    batch->size = size;
    batch->used = 0;
    batch->start = 0;
    batch->count = 0;
    batch->code = 0;
}

/* Returns where the next `size` bytes go, after zeroing their padding; NULL if the message
 * failed. */
static unsigned char *batch_reserve(struct netstrat_batch *batch, size_t size)
{
    size_t aligned = netstrat_align(size);
    unsigned char *at;

    if (batch->code == 0 && (size > batch->size || batch->used + aligned > batch->size))
        batch->code = -EMSGSIZE;
    if (batch->code < 0)
        return NULL;
    at = batch->data + batch->used;
    if (aligned >= 4)
        memset(at + aligned - 4, 0, 4); /* the padding must not leak old bytes of the buffer */
    batch->used += aligned;
    return at;
}

void netstrat_batch_append(struct netstrat_batch *batch, const void *data, size_t size)
{
    unsigned char *at = batch_reserve(batch, size);

    if (at && size > 0)
        memcpy(at, data, size);
}

void netstrat_batch_begin(struct netstrat_batch *batch, uint16_t type, uint16_t flags)
{
    struct nlmsghdr header;
    unsigned char *at;

    batch->start = batch->used;
    batch->code = 0;
    memset(&header, 0, sizeof header); /* the length and the sequence number are filled in later */
    header.nlmsg_type = type;
    header.nlmsg_flags = flags;
    at = batch_reserve(batch, sizeof header);
    if (at)
        memcpy(at, &header, sizeof header);
}

/* Writes the header of an attribute. Returns where its value of `size` bytes goes, or NULL. */
static unsigned char *batch_put_header(struct netstrat_batch *batch, uint16_t type, size_t size)
{
    struct rtattr head;
    unsigned char *at;

    if (size > UINT16_MAX - sizeof head) {
        netstrat_batch_refuse(batch, -EMSGSIZE);
        return NULL;
    }
    at = batch_reserve(batch, sizeof head + size);
    if (!at)
        return NULL;
    head.rta_len = (unsigned short)(sizeof head + size);
    head.rta_type = type;
    memcpy(at, &head, sizeof head);
    return at + sizeof head;
}

void netstrat_batch_put(struct netstrat_batch *batch, uint16_t type, const void *value, size_t size)
{
    /* Frama-C: analyse each size separately. No effect on the build. */
    /*@ split size; */
    unsigned char *at = batch_put_header(batch, type, size);

    if (at && size > 0)
        memcpy(at, value, size);
}

void netstrat_batch_put_string(struct netstrat_batch *batch, uint16_t type, const char *value)
{
    netstrat_batch_put(batch, type, value, strlen(value) + 1);
}

void netstrat_batch_put_u8(struct netstrat_batch *batch, uint16_t type, uint8_t value)
{
    netstrat_batch_put(batch, type, &value, sizeof value);
}

void netstrat_batch_put_u32(struct netstrat_batch *batch, uint16_t type, uint32_t value)
{
    netstrat_batch_put(batch, type, &value, sizeof value);
}

size_t netstrat_batch_nest(struct netstrat_batch *batch, uint16_t type)
{
    (void)batch_put_header(batch, type | NLA_F_NESTED, 0);
    return batch->code == 0 ? batch->used - sizeof(struct rtattr) : 0;
}

void netstrat_batch_nest_end(struct netstrat_batch *batch, size_t nest)
{
    size_t length = batch->used - nest;
    unsigned short value = (unsigned short)length;

    if (length > UINT16_MAX)
        netstrat_batch_refuse(batch, -EMSGSIZE);
    if (batch->code == 0) /* otherwise netstrat_batch_nest() may have failed */
        memcpy(batch->data + nest, &value, sizeof value); /* rta_len, the first field */
}

void netstrat_batch_refuse(struct netstrat_batch *batch, int code)
{
    if (batch->code == 0)
        batch->code = code;
}

int netstrat_batch_finish(struct netstrat_batch *batch)
{
    int code = batch->code;
    uint32_t length = (uint32_t)(batch->used - batch->start);

    if (code == 0 && batch->start + sizeof(struct nlmsghdr) > batch->used)
        code = -EINVAL; /* no message was begun */
    if (code == 0) {
        memcpy(batch->data + batch->start, &length, sizeof length); /* nlmsg_len, the first field */
        batch->count++;
    } else {
        batch->used = batch->start;
        batch->code = 0;
    }
    batch->start = batch->used;
    return code;
}

/* Tests whether netstrat_execute() can send a message that has `left` bytes to the end of the
 * batch. */
static int batch_is_sendable(const struct nlmsghdr *header, size_t left)
{
    const uint16_t required = NLM_F_REQUEST | NLM_F_ACK;

    /* A dump has no ack. */
    if (netstrat_is_get(header->nlmsg_type) && (header->nlmsg_flags & NLM_F_DUMP))
        return 0;
    return header->nlmsg_len >= sizeof *header && header->nlmsg_len <= left &&
           header->nlmsg_len % 4 == 0 && (header->nlmsg_flags & required) == required;
}

int netstrat_batch_check(const struct netstrat_batch *batch, uint32_t *item)
{
    struct netstrat_cursor rest = {batch->data, 0, batch->used, 0};
    uint32_t number;

    for (number = 0; number < batch->count; number++) {
        struct nlmsghdr header;

        if (netstrat_cursor_read(&rest, &header, sizeof header) < 0 ||
            !batch_is_sendable(&header, rest.end - rest.at))
            break;
        netstrat_cursor_skip(&rest, header.nlmsg_len);
    }
    if (number == batch->count && rest.at == rest.end)
        return 0;
    *item = number;
    return -EINVAL;
}
