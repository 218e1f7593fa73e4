/* SPDX-License-Identifier: MIT */
/* The parser of counters: every row of the shared table, and edge cases. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "../../csrc/netstrat.h"

#include "cases.h"
#include "check.h"

TEST(a_text_is_a_number_or_is_refused)
{
    size_t rows = sizeof cases / sizeof *cases;

    CHECK(rows >= 300);
    for (size_t i = 0; i < rows; i++) {
        char *bytes = NULL;
        size_t length = case_bytes(&cases[i], &bytes);
        int wanted = case_code(&cases[i]);
        uint64_t value = 99;
        char text[32];
        int code = netstrat_parse_counter(bytes, length, &value);

        if (code != wanted)
            printf("row %zu, %s:\n", i, cases[i].hex);
        CHECK(code == wanted);
        if (wanted == 0) {
            snprintf(text, sizeof text, "%llu", (unsigned long long)value);
            CHECK(!strcmp(text, cases[i].value));
        } else {
            CHECK(value == 99);
        }
        free(bytes);
    }
}

TEST(the_parser_preserves_errno)
{
    static const char largest[] = "18446744073709551615\n", too_large[] = "18446744073709551616\n";
    uint64_t value = 99;

    errno = ERANGE;
    CHECK(netstrat_parse_counter("7\n", 2, &value) == 0 && value == 7 && errno == ERANGE);
    errno = 0;
    CHECK(netstrat_parse_counter(too_large, sizeof too_large - 1, &value) == -ERANGE);
    CHECK(value == 7 && errno == 0);
    CHECK(netstrat_parse_counter(largest, sizeof largest - 1, &value) == 0 && value == UINT64_MAX);
}

TEST(the_parser_reads_any_number_of_leading_zeros)
{
    char text[4096];
    uint64_t value = 99;

    memset(text, '0', sizeof text);
    CHECK(netstrat_parse_counter(text, sizeof text, &value) == 0 && value == 0);
    text[sizeof text - 1] = '7';
    CHECK(netstrat_parse_counter(text, sizeof text, &value) == 0 && value == 7);
    text[1] = '1';
    CHECK(netstrat_parse_counter(text, sizeof text, &value) == -ERANGE && value == 7);
    text[sizeof text - 1] = 'x'; /* even if the digits before it overflow */
    CHECK(netstrat_parse_counter(text, sizeof text, &value) == -EBADMSG && value == 7);
}
