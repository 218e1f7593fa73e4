/* SPDX-License-Identifier: MIT */
/* Tests of encoders and decoders: messages as tables, and what is checked of each. */
#ifndef CODEC_H
#define CODEC_H

#include <errno.h>
#include <stdlib.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"
#include "prefix.h"

/* ---- messages as data ---- */

/* A part of a message. A table of messages stands outside of functions, where the objects that the
 * macros below point to are static. */
struct part {
    enum { PART_END, PART_FIXED, PART_ATTRIBUTE, PART_OPEN, PART_CLOSE } kind;
    uint16_t type;
    const void *data;
    size_t size;
};

struct message {
    uint16_t type, flags;
    const struct part *parts;
};

#define MESSAGE(type, flags, ...)                                                                  \
    {                                                                                              \
        type, flags, (const struct part[])                                                         \
        {                                                                                          \
            __VA_ARGS__,                                                                           \
            {                                                                                      \
                PART_END, 0, NULL, 0                                                               \
            }                                                                                      \
        }                                                                                          \
    }

/* The fixed part, a struct of the kernel with these fields. */
#define FIXED(object, ...)                                                                         \
    {                                                                                              \
        PART_FIXED, 0, &(const object){__VA_ARGS__}, sizeof(object)                                \
    }
#define LINK(index, flags, change) FIXED(struct ifinfomsg, 0, 0, 0, index, flags, change)

/* Attributes: of these bytes, a string literal with its NUL, a number, and one of attributes. */
#define ATTRIBUTE(type, data, size)                                                                \
    {                                                                                              \
        PART_ATTRIBUTE, type, data, size                                                           \
    }
#define TEXT(type, text) ATTRIBUTE(type, text, sizeof(text))
#define U32(type, value) ATTRIBUTE(type, &(const uint32_t){value}, 4)
#define NEST(type, ...)                                                                            \
    {PART_OPEN, type, NULL, 0}, __VA_ARGS__,                                                       \
    {                                                                                              \
        PART_CLOSE, 0, NULL, 0                                                                     \
    }

static inline void put_message(struct bytes *to, const struct message *message, uint32_t sequence,
                               uint32_t port)
{
    size_t open[8], depth = 0, at = begin(to, message->type, message->flags, sequence, port);

    for (const struct part *part = message->parts; part->kind != PART_END; part++)
        if (part->kind == PART_FIXED)
            put(to, part->data, part->size);
        else if (part->kind == PART_ATTRIBUTE)
            attribute(to, part->type, part->data, part->size);
        else if (part->kind == PART_OPEN)
            open[depth++] = open_attribute(to, part->type);
        else
            close_attribute(to, open[--depth]);
    finish(to, at);
}

/* The message as the kernel would send it. */
static inline struct bytes bytes_of(const struct message *message)
{
    struct bytes bytes = {{0}, 0};

    put_message(&bytes, message, 1, 2);
    return bytes;
}

#define BYTES_OF(...) bytes_of(&(const struct message)MESSAGE(__VA_ARGS__))

/* ---- encoders ---- */

/* An encoder with its arguments, and the message that it must write. */
struct encoder {
    const char *name;
    int (*encode)(struct netstrat_batch *batch);
    struct message message;
};

/* In a buffer of every size the encoder writes exactly the expected bytes, or nothing. */
static inline void check_encoder(const struct encoder *encoder)
{
    unsigned long failed = checks_failed;
    unsigned char buffer[256], before[256];
    struct netstrat_batch batch;
    struct bytes wanted = {{0}, 0};
    size_t room;

    put_message(&wanted, &encoder->message, 0, 0);
    memset(before, 0xa5, sizeof before);
    for (room = 0; room <= wanted.length + 8; room++) {
        int fits = room >= wanted.length;

        memcpy(buffer, before, sizeof buffer);
        netstrat_batch_init(&batch, buffer, room);
        CHECK(encoder->encode(&batch) == (fits ? 0 : -EMSGSIZE));
        CHECK(batch.count == (fits ? 1U : 0U));
        CHECK(batch.used == (fits ? wanted.length : 0));
        CHECK(memcmp(buffer, wanted.data, batch.used) == 0);
        CHECK(memcmp(buffer + room, before + room, sizeof buffer - room) == 0);
    }
    /* Also at an odd address. */
    netstrat_batch_init(&batch, buffer + 1, sizeof buffer - 1);
    CHECK(encoder->encode(&batch) == 0);
    CHECK(batch.used == wanted.length && memcmp(batch.data, wanted.data, wanted.length) == 0);
    if (checks_failed > failed)
        printf("  the encoder of %s\n", encoder->name);
}

#define CHECK_ENCODERS(table)                                                                      \
    do {                                                                                           \
        for (size_t row = 0; row < sizeof(table) / sizeof *(table); row++)                         \
            check_encoder(&(table)[row]);                                                          \
    } while (0)

/* ---- decoders ---- */

/* The one message in `bytes`. */
static inline struct netstrat_message only_message(const struct bytes *bytes)
{
    struct netstrat_cursor rest = {bytes->data, 0, bytes->length, 0};
    struct netstrat_message message;

    memset(&message, 0, sizeof message);
    CHECK(netstrat_message_next(&rest, &message) == 1 && rest.at == rest.end);
    return message;
}

/* Decodes a message, and checks that the outputs are written only on success. */
typedef int check_decoder(const struct netstrat_message *message);

/* Decodes the one message in `data`, in memory of exactly its size and at an odd address, so that
 * the sanitizers notice a read beyond it or an aligned load. `missing` bytes follow, which did not
 * fit the buffer. */
static inline int decode_copy(check_decoder *decode, const unsigned char *data, size_t size,
                              size_t missing)
{
    unsigned char *copy = (unsigned char *)malloc(size + 1);
    struct netstrat_message message;
    struct netstrat_cursor rest;
    int code = -EBADMSG;

    memcpy(copy + 1, data, size);
    rest.data = copy + 1;
    rest.at = 0;
    rest.end = size;
    rest.missing = missing;
    if (netstrat_message_next(&rest, &message) > 0)
        code = decode(&message);
    free(copy);
    return code;
}

/* Changes some bytes of an object, the same ones in every run. Returns the next random number. */
static inline uint32_t scramble(void *object, size_t size, int changes, uint32_t random)
{
    unsigned char *bytes = (unsigned char *)object;

    while (changes-- > 0) {
        random = random * 1664525 + 1013904223;
        bytes[(random >> 8) % size] = (unsigned char)(random >> 24);
    }
    return random;
}

/* Decodes the message truncated at every length, and with every byte changed in several ways. A
 * truncated message is malformed if its header has the original length. */
static inline void check_mutations(check_decoder *decode, const struct bytes *good)
{
    static const unsigned char changes[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff};
    unsigned char bad[sizeof good->data];
    uint32_t random = 1;
    size_t size, i;

    CHECK(decode_copy(decode, good->data, good->length, 0) == 0);
    for (size = 0; size + 3 < good->length; size++)
        CHECK(decode_copy(decode, good->data, size, 0) == -EBADMSG);
    for (size = 16; size < good->length; size++) { /* with the truncated length in the header */
        uint32_t length = (uint32_t)size;

        memcpy(bad, good->data, size);
        memcpy(bad, &length, sizeof length);
        (void)decode_copy(decode, bad, size, 0);
    }
    for (size = 0; size < good->length; size++) /* in a buffer that is too small */
        (void)decode_copy(decode, good->data, size, good->length - size);
    for (i = 0; i < good->length; i++)
        for (size = 0; size < sizeof changes; size++) {
            memcpy(bad, good->data, good->length);
            bad[i] ^= changes[size];
            (void)decode_copy(decode, bad, good->length, 0);
        }
    for (i = 0; i < 5000; i++) { /* several bytes at once */
        memcpy(bad, good->data, good->length);
        random = scramble(bad, good->length, 4, random);
        (void)decode_copy(decode, bad, good->length, 0);
    }
}

/* Whether the counters are those of put_stats64(): field n of struct rtnl_link_stats64 is
 * base + n + 1. */
static inline int counters_are(const struct netstrat_counters *counters, uint64_t base)
{
    return counters->rx_packets == base + 1 && counters->tx_packets == base + 2 &&
           counters->rx_bytes == base + 3 && counters->tx_bytes == base + 4 &&
           counters->rx_errors == base + 5 && counters->tx_errors == base + 6 &&
           counters->rx_dropped == base + 7 && counters->tx_dropped == base + 8;
}

#endif
