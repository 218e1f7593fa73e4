/* SPDX-License-Identifier: MIT */
/*
 * What the harnesses share: arbitrary arguments.
 *
 * Each harness calls every function of a pure file with all that its documentation in netstrat.h
 * allows, and Frama-C's Eva follows all of these calls at once. tests/check/prove.sh runs them.
 */
#ifndef PROVE_H
#define PROVE_H

#include <__fc_builtin.h>

#include "internal.h"
#include "libc.h"

/* The memory that datagrams lie in and batches are written to: a byte beyond it is an alarm. Its
 * size is a number like any other to Eva, which follows intervals, not bytes. */
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

/* Any part of any datagram of up to MEMORY_SIZE bytes, any number of bytes cut off behind it. */
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

/* A message of any type with any payload. */
static struct netstrat_message any_message(void)
{
    struct netstrat_message message;

    ANY(message);
    message.payload = any_rest();
    return message;
}

/* A batch with any number of bytes used, so that any number of bytes, from none to MEMORY_SIZE, is
 * left; a message under construction begins anywhere, and has failed or not. */
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

/* Any text of up to 139 bytes: longer than any name. */
static const char *any_text(void)
{
    static char text[140];

    ANY(text);
    text[sizeof text - 1] = '\0';
    return text;
}

#endif
