/* SPDX-License-Identifier: MIT */
/* The input is a text: of a counter, which a second parser reads too (digit by digit, without
 * libc); and of an address, which must be the same after it was formatted and parsed again. */
#include "fuzz.h"

static int expected(const uint8_t *text, size_t size, uint64_t *value)
{
    static const char spaces[] = {' ', '\t', '\n', '\v', '\f', '\r'};
    uint64_t sum = 0;
    int overflows = 0;
    size_t i;

    while (size > 0 && memchr(spaces, text[size - 1], sizeof spaces))
        size--;
    while (size > 0 && memchr(spaces, *text, sizeof spaces)) {
        text++;
        size--;
    }
    if (size == 0)
        return -EBADMSG;
    for (i = 0; i < size; i++) {
        unsigned digit = text[i] - 48U;

        if (digit > 9)
            return -EBADMSG; /* also if the digits before it overflow */
        if (__builtin_mul_overflow(sum, (uint64_t)10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)digit, &sum))
            overflows = 1;
    }
    if (overflows)
        return -ERANGE;
    *value = sum;
    return 0;
}

static void check_prefix(const char *text)
{
    struct netstrat_prefix prefix, again;
    char written[NETSTRAT_PREFIX_SIZE];

    memset(&prefix, UNTOUCHED, sizeof prefix);
    if (netstrat_prefix_parse(text, &prefix) < 0) {
        HOLDS(is_untouched(&prefix, sizeof prefix));
        prefix.family = 0;
        netstrat_prefix_format(&prefix, 1, written);
        HOLDS(written[0] == '\0');
        return;
    }
    netstrat_prefix_format(&prefix, 1, written);
    HOLDS(netstrat_prefix_parse(written, &again) == 0 &&
          memcmp(&prefix, &again, sizeof prefix) == 0);
    netstrat_prefix_format(&prefix, 0, written);
    HOLDS(!strchr(written, '/') && netstrat_prefix_parse(written, &again) == 0);
    HOLDS(memcmp(prefix.bytes, again.bytes, sizeof prefix.bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint64_t untouched = 0x5a5a5a5a5a5a5a5aU;
    uint64_t wanted = untouched, value = untouched;
    int result = expected(data, size, &wanted);
    char text[128];

    HOLDS(netstrat_parse_counter((const char *)data, size, &value) == result);
    HOLDS(value == wanted); /* not written after a failure */

    if (size >= sizeof text)
        size = sizeof text - 1;
    memcpy(text, data, size);
    text[size] = '\0';
    check_prefix(text);
    return 0;
}
