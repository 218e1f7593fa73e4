/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share. */
#ifndef FUZZ_H
#define FUZZ_H

#include "internal.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A condition that must hold for every input. libFuzzer keeps the input that breaks it. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Outputs are filled with this byte before a call. A call that fails must not write them. */
enum { UNTOUCHED = 0x5a };

static inline int is_untouched(const void *output, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)output;

    while (size-- > 0)
        if (*bytes++ != UNTOUCHED)
            return 0;
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
