/* SPDX-License-Identifier: MIT */
/*
 * Arbitrary arguments for the harnesses.
 *
 * Each harness calls every function of a pure file with all arguments that netstrat.h allows, and
 * Frama-C's Eva analyses all of these calls at once. tests/check/prove.sh runs them.
 */
#ifndef PROVE_H
#define PROVE_H

#include <__fc_builtin.h>

#include "internal.h"
#include "libc.h"

/* The memory for datagrams and batches: an access beyond it is an alarm. Eva follows intervals, not
 * bytes, so the size costs no time. */
enum { MEMORY_SIZE = 1 << 30 };

static unsigned char memory[MEMORY_SIZE];

/* Makes every byte of an object arbitrary. */
#define ANY(object) Frama_C_make_unknown((char *)&(object), sizeof(object))

static int any_int(void)
{
    return Frama_C_interval(-2147483647 - 1, 2147483647);
}

static size_t any_size(size_t most)
{
    return Frama_C_unsigned_long_interval(0, most);
}

/* Returns any part of a datagram of up to MEMORY_SIZE bytes, with any number of truncated bytes. */
static struct netstrat_cursor any_rest(void)
{
    struct netstrat_cursor rest;

    ANY(memory);
    rest.data = memory;
    rest.at = any_size(MEMORY_SIZE);
    rest.end = any_size(MEMORY_SIZE);
    rest.missing = any_size(SIZE_MAX);
    return rest;
}

/* Returns a message of any type with any payload. */
static struct netstrat_message any_message(void)
{
    struct netstrat_message message;

    ANY(message);
    message.payload = any_rest();
    return message;
}

/* Returns a batch with any number of bytes used, and so any number of free bytes. A message under
 * construction begins anywhere, and has failed or not. */
static struct netstrat_batch any_batch(void)
{
    struct netstrat_batch batch;

    ANY(batch);
    batch.data = memory;
    batch.size = MEMORY_SIZE;
    batch.used = any_size(MEMORY_SIZE);
    batch.start = any_size(MEMORY_SIZE);
    batch.code = Frama_C_interval(-4095, 0);
    return batch;
}

/* Returns any text of up to 139 bytes, which is longer than any name. */
static const char *any_text(void)
{
    static char text[140];

    ANY(text);
    text[sizeof text - 1] = '\0';
    return text;
}

#endif
