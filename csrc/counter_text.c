/* SPDX-License-Identifier: MIT */
/* The text of one counter to a number: strtoull(), made strict. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

void netstrat_trim(const char *text, size_t *start, size_t *end)
{
    while (*start < *end && netstrat_is_space(text[*start]))
        ++*start;
    while (*end > *start && netstrat_is_space(text[*end - 1]))
        --*end;
}

static int counter_text_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int counter_text_are_digits(const char *text, size_t at, size_t end)
{
    for (; at < end; at++)
        if (!counter_text_is_digit(text[at]))
            return 0;
    return 1;
}

enum { COUNTER_TEXT_MAX_DIGITS = 20 }; /* UINT64_MAX has 20 */

/* Converts the bytes from `at` up to `end`: one digit at least, and no leading zero before
 * another digit. */
static int counter_text_convert(const char *text, size_t at, size_t end, uint64_t *value)
{
    /* strtoull() needs a NUL, which the caller's text may lack, so the digits are copied. One digit
     * more than UINT64_MAX has is enough to make strtoull() report ERANGE. */
    char digits[COUNTER_TEXT_MAX_DIGITS + 1 + 1];
    unsigned long long converted;
    size_t count = 0;
    int saved = errno, is_large;

    for (; at < end && count < sizeof digits - 1; at++) {
        if (!counter_text_is_digit(text[at]))
            return -EBADMSG;
        digits[count++] = text[at];
    }
    if (!counter_text_are_digits(text, at, end))
        return -EBADMSG;
    digits[count] = '\0';
    errno = 0;
    converted = strtoull(digits, NULL, 10);
    is_large = errno == ERANGE;
    errno = saved;
    if (is_large)
        return -ERANGE;
    *value = converted;
    return 0;
}

/* strtoull() alone would accept a sign, an empty text, and anything after the number. */
int netstrat_parse_counter(const char *text, size_t length, uint64_t *value)
{
    size_t start = 0;

    netstrat_trim(text, &start, &length);
    if (start == length)
        return -EBADMSG;
    while (start + 1 < length && text[start] == '0')
        start++;
    return counter_text_convert(text, start, length, value);
}
