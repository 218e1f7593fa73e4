/* SPDX-License-Identifier: MIT */
/*
 * Messages taken apart. A datagram with two messages, the second of which did not fit the buffer:
 *
 *                 message 1                        message 2
 *     +----------+-------+-----------+-+----------+-------+- - - - -+
 *     | nlmsghdr | fixed | attributes|p| nlmsghdr | fixed | attribu : missing
 *     +----------+-------+-----------+-+----------+-------+- - - - -+
 *     at                                                  end
 *
 * netstrat_message_next() takes one message, netstrat_message_body() splits its payload into the
 * fixed part (struct ifinfomsg and its like) and the attributes, and netstrat_attribute_next()
 * takes one of these. An attribute's value may contain attributes in turn:
 *
 *     +---------+----------+-------+-+---------+----------+-----------------------------+
 *     | rta_len | rta_type | value |p| rta_len | rta_type | +---------+----------+----- |
 *     +---------+----------+-------+-+---------+----------+-----------------------------+
 *
 * Lengths include the header, but not the padding (p) to a multiple of four bytes. Headers are
 * copied with memcpy(): the caller's buffer has no alignment, and the kernel aligns 64-bit values
 * to four bytes only.
 */
#include "internal.h"

#include <errno.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

int netstrat_message_next(struct netstrat_cursor *rest, struct netstrat_message *message)
{
    return netstrat_message_take(rest, message);
}

int netstrat_attribute_next(struct netstrat_cursor *rest, struct netstrat_attribute *attribute)
{
    return netstrat_attribute_take(rest, attribute);
}

/* Returns the length of the text at the cursor: up to a NUL, the end, or `most` bytes. */
static size_t message_text_length(const struct netstrat_cursor *rest, size_t most)
{
    size_t length = 0;

    while (length < most && rest->at + length < rest->end && rest->data[rest->at + length] != '\0')
        length++;
    return length;
}

int netstrat_text_decode(const struct netstrat_cursor *value, char *to, size_t size)
{
    size_t length = message_text_length(value, size);

    if (length == 0 || length == size || value->at + length == value->end)
        return -EBADMSG;
    memset(to, 0, size);
    memcpy(to, value->data + value->at, length);
    return 0;
}

int netstrat_message_body(const struct netstrat_message *message, void *fixed, size_t size,
                          struct netstrat_cursor *attributes)
{
    struct netstrat_cursor rest = message->payload;

    if (size > rest.end || netstrat_cursor_take(&rest, fixed, size) < 0)
        return -EBADMSG;
    *attributes = rest;
    return 0;
}

int netstrat_attribute_u8(const struct netstrat_attribute *attribute, uint8_t *to)
{
    return netstrat_cursor_read(&attribute->value, to, sizeof *to);
}

int netstrat_attribute_u16(const struct netstrat_attribute *attribute, uint16_t *to)
{
    return netstrat_cursor_read(&attribute->value, to, sizeof *to);
}

int netstrat_attribute_u32(const struct netstrat_attribute *attribute, uint32_t *to)
{
    return netstrat_cursor_read(&attribute->value, to, sizeof *to);
}

int netstrat_attribute_u64(const struct netstrat_attribute *attribute, uint64_t *to)
{
    return netstrat_cursor_read(&attribute->value, to, sizeof *to);
}

int netstrat_attribute_string(const struct netstrat_attribute *attribute, char *to, size_t size)
{
    return netstrat_text_decode(&attribute->value, to, size);
}

int netstrat_attribute_bytes(const struct netstrat_attribute *attribute, void *to, size_t size)
{
    if (size > attribute->value.end)
        return -EBADMSG;
    return netstrat_cursor_read(&attribute->value, to, size);
}

/* Copies the extended ack from the attributes of an ack. Malformed or truncated attributes are
 * ignored: the errno before them is valid nevertheless. */
static void message_decode_ext_ack(struct netstrat_cursor rest, struct netstrat_error *error)
{
    struct netstrat_attribute attribute;

    while (netstrat_attribute_next(&rest, &attribute) > 0) {
        if (attribute.type == NETSTRAT_NLMSGERR_ATTR_MSG) {
            netstrat_set_text(error, attribute.value.data + attribute.value.at,
                              message_text_length(&attribute.value, NETSTRAT_TEXT_SIZE - 1));
            return;
        }
    }
}

int netstrat_ack_decode(const struct netstrat_message *message, int *verdict,
                        struct netstrat_error *error)
{
    struct netstrat_cursor rest = message->payload;
    int32_t value;

    if (netstrat_cursor_take(&rest, &value, sizeof value) < 0)
        return -EBADMSG;
    if (value > 0 || value < -4095) /* MAX_ERRNO, linux/err.h */
        return -EBADMSG;

    if (message->type == NLMSG_ERROR) {
        struct nlmsghdr request;

        /* After the errno the kernel repeats the request: its header if NLM_F_CAPPED is set,
         * otherwise the whole of it. */
        if (netstrat_cursor_read(&rest, &request, sizeof request) < 0)
            return -EBADMSG;
        if (message->flags & NETSTRAT_NLM_F_CAPPED)
            netstrat_cursor_skip(&rest, sizeof request);
        else if (request.nlmsg_len >= sizeof request && request.nlmsg_len <= rest.end)
            netstrat_cursor_skip(&rest, request.nlmsg_len);
        else
            rest.at = rest.end;
    }
    if (error) {
        netstrat_set_text(error, "", 0);
        if (message->flags & NETSTRAT_NLM_F_ACK_TLVS)
            message_decode_ext_ack(rest, error);
    }
    *verdict = (int)value;
    return 0;
}
