/* SPDX-License-Identifier: MIT */
/* Valid and invalid names of links. */
#include <errno.h>
#include <string.h>

#include "../../csrc/netstrat.h"
#include "check.h"

TEST(names_are_accepted_and_refused_as_in_the_kernel)
{
    static const struct {
        const char *name;
        int kind;
    } rows[] = {
        {"lo", 0},
        {"a", 0},
        {"123456789012345", 0},
        {"1234567890123456", 1},
        {"...", 0},
        {"..a", 0},
        {".a", 0},
        {"-", 0},
        {"\x01", 0},
        {"\xc3\xa9th0", 0},
        {"\xff\xfe", 0},
        {"caf\xc3\xa0", 1}, /* U+00E0 ends in 0xa0 */
        {"a\xa0", 1},
        {"1234567890123456\xa0", 1},
        {"", -EINVAL},
        {".", 1},
        {"..", 1},
        {"/", 1},
        {"../../etc", 1},
        {"eth0/", 1},
        {"eth0:1", 1},
        {"eth 0", 1},
        {"eth0\n", 1},
        {"\teth0", 1},
        {"eth0\v", 1},
        {"eth0\f", 1},
        {"eth0\r", 1},
        {"1234567890123456/", 1},
        {"1234567890123456 ", 1},
        {"1234567890123456:", 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(netstrat_name_check(rows[i].name) == rows[i].kind);
}

TEST(the_length_distinguishes_names_from_alternative_names)
{
    char name[200];

    for (size_t length = 1; length < sizeof name; length++) {
        memset(name, 'x', length);
        name[length] = '\0';
        CHECK(netstrat_name_check(name) == (length < 16 ? 0 : length < 128 ? 1 : -EINVAL));
    }
    /* The check reads no further than the longest name: this one has no NUL. */
    memset(name, 'x', sizeof name);
    CHECK(netstrat_name_check(name + sizeof name - NETSTRAT_ALT_NAME_SIZE) == -EINVAL);
}

TEST(six_kinds_of_bytes_make_a_name_an_alternative_one)
{
    for (unsigned c = 1; c < 256; c++) {
        int is_alternative = c == '/' || c == ':' || c == ' ' || (c >= 9 && c <= 13) || c == 0xa0;
        char name[4] = {'x', (char)c, 'y', '\0'};

        CHECK(netstrat_name_check(name) == is_alternative);
    }
}
