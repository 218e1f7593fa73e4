/* SPDX-License-Identifier: MIT */
/* Which names a link can have. */
#include <errno.h>
#include <string.h>

#include "../../csrc/netstrat.h"
#include "check.h"

static void test_names_are_taken_and_refused_as_the_kernel_does(void)
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
        {"caf\xc3\xa0", -EINVAL}, /* U+00E0 ends in 0xa0 */
        {"a\xa0", -EINVAL},
        {"1234567890123456\xa0", 1},
        {"", -EINVAL},
        {".", -EINVAL},
        {"..", -EINVAL},
        {"/", -EINVAL},
        {"../../etc", -EINVAL},
        {"eth0/", -EINVAL},
        {"eth0:1", -EINVAL},
        {"eth 0", -EINVAL},
        {"eth0\n", -EINVAL},
        {"\teth0", -EINVAL},
        {"eth0\v", -EINVAL},
        {"eth0\f", -EINVAL},
        {"eth0\r", -EINVAL},
        {"1234567890123456/", -EINVAL},
        {"1234567890123456 ", -EINVAL},
        {"1234567890123456:", -EINVAL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(netstrat_name_check(rows[i].name) == rows[i].kind);
}

static void test_the_length_tells_names_from_alternative_names(void)
{
    char name[200];

    for (size_t length = 1; length < sizeof name; length++) {
        memset(name, 'x', length);
        name[length] = '\0';
        CHECK(netstrat_name_check(name) == (length < 16 ? 0 : length < 128 ? 1 : -EINVAL));
    }
    /* No byte behind a name that is too long is looked at: this one has no end. */
    memset(name, 'x', sizeof name);
    CHECK(netstrat_name_check(name + sizeof name - NETSTRAT_ALT_NAME_SIZE) == -EINVAL);
}

static void test_six_kinds_of_bytes_are_refused_within_a_name(void)
{
    for (unsigned c = 1; c < 256; c++) {
        int refused = c == '/' || c == ':' || c == ' ' || (c >= 9 && c <= 13) || c == 0xa0;
        char name[4] = {'x', (char)c, 'y', '\0'};

        CHECK(netstrat_name_check(name) == (refused ? -EINVAL : 0));
    }
}

int main(void)
{
    test_names_are_taken_and_refused_as_the_kernel_does();
    test_the_length_tells_names_from_alternative_names();
    test_six_kinds_of_bytes_are_refused_within_a_name();
    return report();
}
