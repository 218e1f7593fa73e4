/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a datagram: every message in it goes to every decoder. The input is one datagram.
 * Held to: offsets go forward and stay inside, outputs are in range, and untouched by a failure.
 */
#include "fuzz.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

/* Outputs are filled with this before each call. */
enum { UNTOUCHED = 0x5a };

static int is_untouched(const void *output, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)output;

    while (size-- > 0)
        if (*bytes++ != UNTOUCHED)
            return 0;
    return 1;
}

static void decode_ack(const struct netstrat_message *message)
{
    struct netstrat_error error;
    int code, same, result;

    memset(&error, UNTOUCHED, sizeof error);
    memset(&code, UNTOUCHED, sizeof code);
    result = netstrat_decode_ack(message, &code, &error);
    if (result < 0) {
        HOLDS(result == -EBADMSG);
        HOLDS(is_untouched(&code, sizeof code) && is_untouched(&error, sizeof error));
    } else {
        HOLDS(result == 0 && code <= 0 && code >= -4095);
        HOLDS(error.text_length < NETSTRAT_TEXT_SIZE && error.text[error.text_length] == '\0');
        HOLDS(strlen(error.text) == error.text_length);
        HOLDS(is_untouched(&error.code, sizeof error.code));
        HOLDS(is_untouched(&error.operation, sizeof error.operation));
    }
    HOLDS(netstrat_decode_ack(message, &same, NULL) == result); /* `error` changes nothing else */
    HOLDS(result < 0 || same == code);
}

static void decode_link(const struct netstrat_message *message)
{
    struct netstrat_link link, alone;
    struct netstrat_counters counters;
    int result, without;

    memset(&link, UNTOUCHED, sizeof link);
    memset(&alone, UNTOUCHED, sizeof alone);
    memset(&counters, UNTOUCHED, sizeof counters);
    result = netstrat_decode_link(message, &link, &counters);
    without = netstrat_decode_link(message, &alone, NULL);
    if (result < 0) {
        HOLDS(result == -EBADMSG || result == -ENODATA);
        HOLDS(is_untouched(&link, sizeof link) && is_untouched(&counters, sizeof counters));
    } else {
        HOLDS(without == 0 && memcmp(&link, &alone, sizeof link) == 0);
    }
    HOLDS(result != -ENODATA || without == 0); /* nothing wrong with it but that */
    if (without < 0) {
        HOLDS(without == -EBADMSG && is_untouched(&alone, sizeof alone));
        return;
    }
    HOLDS(alone.index > 0);
    /* The first byte is the family: a bridge uses its own to say what leaves the bridge only. */
    HOLDS(alone.gone == (message->type == RTM_DELLINK && message->payload[0] == 0));
    HOLDS(alone.name[0] != '\0' && memchr(alone.name, '\0', sizeof alone.name));
}

static void decode_stats(const struct netstrat_message *message)
{
    struct netstrat_counters counters;
    int32_t index;
    int result;

    memset(&counters, UNTOUCHED, sizeof counters);
    memset(&index, UNTOUCHED, sizeof index);
    result = netstrat_decode_stats(message, &index, &counters);
    if (result < 0) {
        HOLDS(result == -EBADMSG || result == -ENODATA);
        HOLDS(is_untouched(&counters, sizeof counters) && is_untouched(&index, sizeof index));
    } else {
        HOLDS(index > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct netstrat_message message, before;
    size_t offset = 0, last = 0;
    int result;

    memset(&message, UNTOUCHED, sizeof message);
    for (;;) {
        before = message;
        result = netstrat_next_message(data, size, &offset, &message);
        if (result <= 0)
            break;
        HOLDS(result == 1 && offset > last && offset <= size);
        HOLDS(message.payload == data + last + 16 && message.length <= offset - last - 16);
        HOLDS(offset == size || (offset % 4 == 0 && offset - last - 16 < message.length + 4));
        decode_ack(&message);
        decode_link(&message);
        decode_stats(&message);
        last = offset;
    }
    HOLDS(offset == last && memcmp(&before, &message, sizeof message) == 0);
    HOLDS(result == 0 ? offset == size : result == -EBADMSG);
    return 0;
}
