/* SPDX-License-Identifier: MIT */
/* The shared table of counter texts: tests/cases/parse_counter.json, which build.sh turns into
 * C. */
#ifndef CASES_H
#define CASES_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct text_case {
    const char *hex;
    const char *outcome; /* "value" or "error" */
    const char *value;   /* the number, or "range" or "syntax" */
};

static const struct text_case cases[] = {
#include "parse_counter.inc"
};

/* Writes the bytes of a row to *bytes, which the caller frees, and returns their number. No NUL
 * follows them. */
static inline size_t case_bytes(const struct text_case *row, char **bytes)
{
    size_t length = strlen(row->hex) / 2;

    *bytes = (char *)malloc(length + !length);
    for (size_t i = 0; i < length; i++) {
        const char digits[3] = {row->hex[2 * i], row->hex[2 * i + 1], '\0'};

        (*bytes)[i] = (char)strtoul(digits, NULL, 16);
    }
    return length;
}

/* Returns what netstrat_parse_counter must return for a row; 1 for a row that is malformed. */
static inline int case_code(const struct text_case *row)
{
    if (!strcmp(row->outcome, "value"))
        return 0;
    if (!strcmp(row->value, "range"))
        return -ERANGE;
    return !strcmp(row->value, "syntax") ? -EBADMSG : 1;
}

#endif
