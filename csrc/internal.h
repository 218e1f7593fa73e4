/* SPDX-License-Identifier: MIT */
/* What the files of the core share with each other and with nobody else. */
#ifndef NETSTRAT_INTERNAL_H
#define NETSTRAT_INTERNAL_H

/* Before the first header of the system's: -std=c11 alone hides clock_gettime, strnlen and IFF_UP. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <string.h>

#include "netstrat.h"

/* Of a dump that is interrupted, and of a request whose reply is lost. */
enum { NETSTRAT_MAX_TRIES = 16 };

/* White space in ASCII: isspace() of the C locale, whatever the program's is. */
static inline int netstrat_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Notes a failure and returns its code, so that a caller can `return netstrat_fail(...)`. */
static inline int netstrat_fail(struct netstrat_error *error, int code, const char *operation)
{
    if (error) {
        error->code = code;
        error->item = 0;
        error->operation = operation;
        error->text_length = 0;
        error->text[0] = '\0';
    }
    return code;
}

/* Copies what fits of `text`, which may hold any bytes, into the error. */
static inline void netstrat_set_text(struct netstrat_error *error, const void *text, size_t length)
{
    if (!error)
        return;
    if (length > NETSTRAT_TEXT_SIZE - 1)
        length = NETSTRAT_TEXT_SIZE - 1;
    memcpy(error->text, text, length);
    error->text[length] = '\0';
    error->text_length = (uint32_t)length;
}

#endif
