/* SPDX-License-Identifier: MIT */
/* What every test of an encoder or a decoder does with it. */
#ifndef CODEC_H
#define CODEC_H

#include <errno.h>
#include <stdlib.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"

/* An encoder with its arguments, and the same message made byte by byte. */
struct encoder {
    int (*encode)(struct netstrat_batch *batch);
    void (*put)(struct bytes *to);
};

/* In a buffer of every size it writes exactly those bytes, or nothing at all. */
static inline void check_encoder(const struct encoder *encoder)
{
    unsigned char buffer[256], before[256];
    struct netstrat_batch batch;
    struct bytes wanted;
    size_t room;

    wanted.length = 0;
    encoder->put(&wanted);
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
    /* At an odd address too. */
    netstrat_batch_init(&batch, buffer + 1, sizeof buffer - 1);
    CHECK(encoder->encode(&batch) == 0);
    CHECK(batch.used == wanted.length && memcmp(batch.data, wanted.data, wanted.length) == 0);
}

/* The one message in `bytes`. */
static inline struct netstrat_message only_message(const struct bytes *bytes)
{
    struct netstrat_cursor rest = {bytes->data, 0, bytes->length, 0};
    struct netstrat_message message;

    memset(&message, 0, sizeof message);
    CHECK(netstrat_message_next(&rest, &message) == 1 && rest.at == rest.end);
    return message;
}

/* Decodes a message and checks that its outputs are written on success only. */
typedef int check_decoder(const struct netstrat_message *message);

/* Decodes the one message in `data`, from memory of exactly its size, at an odd address: a byte too
 * far, or an aligned load, is the sanitizers' to see. Bytes `missing` were cut off behind it. */
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

/* Changes some bytes of an object, the same ones in every run; the number to go on with. */
static inline uint32_t scramble(void *object, size_t size, int changes, uint32_t random)
{
    unsigned char *bytes = (unsigned char *)object;

    while (changes-- > 0) {
        random = random * 1664525 + 1013904223;
        bytes[(random >> 8) % size] = (unsigned char)(random >> 24);
    }
    return random;
}

/* Cut at every length, and with every byte changed in several ways: none may do harm. A message
 * that is cut short is malformed as long as its header says how long it should be. */
static inline void check_mutations(check_decoder *decode, const struct bytes *good)
{
    static const unsigned char changes[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff};
    unsigned char bad[sizeof good->data];
    uint32_t random = 1;
    size_t size, i;

    CHECK(decode_copy(decode, good->data, good->length, 0) == 0);
    for (size = 0; size + 3 < good->length; size++)
        CHECK(decode_copy(decode, good->data, size, 0) == -EBADMSG);
    for (size = 16; size < good->length; size++) { /* and where the header agrees */
        uint32_t length = (uint32_t)size;

        memcpy(bad, good->data, size);
        memcpy(bad, &length, sizeof length);
        (void)decode_copy(decode, bad, size, 0);
    }
    for (size = 0; size < good->length; size++) /* and where the buffer was too small for it */
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

/* Field n of struct rtnl_link_stats64 holds base + n + 1 (put_stats64): are the eight in the right
 * places? */
static inline int counters_are(const struct netstrat_counters *counters, uint64_t base)
{
    return counters->rx_packets == base + 1 && counters->tx_packets == base + 2 &&
           counters->rx_bytes == base + 3 && counters->tx_bytes == base + 4 &&
           counters->rx_errors == base + 5 && counters->tx_errors == base + 6 &&
           counters->rx_dropped == base + 7 && counters->tx_dropped == base + 8;
}

#endif
