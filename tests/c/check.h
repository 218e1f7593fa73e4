/* SPDX-License-Identifier: MIT */
/*
 * The harness of the test programs. A program is a list of tests:
 *
 *     TEST(a_link_is_set_up)
 *     {
 *         CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
 *     }
 *
 * main() is in check.c. Without an argument it runs every test; `--list` prints the names of the
 * tests; any other argument is the name of a test to run. It prints one line per test, which begins
 * with "passed", "failed" or "skipped", and exits with 0 if no check has failed.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

/* Counts a check; one that fails prints where it stands, and the test goes on. */
#define CHECK(condition)                                                                           \
    ((condition) ? (void)checks_passed++ : fail_check(__FILE__, __LINE__, #condition))

enum {
    IN_CHILD = 1, /* runs in a child process, which the test may leave in any state */
    NATIVE = 2    /* is skipped under qemu-user, which implements only a part of netlink */
};

struct test {
    const char *name;
    void (*run)(void);
    int flags;
    struct test *next;
};

#define TEST(name) TEST_WITH(name, 0)
#define TEST_WITH(name, flags)                                                                     \
    static void test_##name(void);                                                                 \
    static struct test entry_##name = {#name, test_##name, flags, NULL};                           \
    __attribute__((constructor)) static void add_##name(void)                                      \
    {                                                                                              \
        add_test(&entry_##name);                                                                   \
    }                                                                                              \
    static void test_##name(void)

/* What runs around the tests. A program that needs any of it defines `fixture`. */
struct fixture {
    void (*before_all)(void);
    void (*before_each)(void);
    void (*after_each)(void);
    void (*after_all)(void);
};
extern const struct fixture fixture;

extern unsigned long checks_passed, checks_failed;

void add_test(struct test *test);
void fail_check(const char *file, int line, const char *condition);

/* Calls `run` in a child process. All of the child's checks count as one here. */
void in_child(void (*run)(void));

/* The number of open descriptors, including the one that counts them. The harness checks that each
 * test leaves this number as it was. */
int count_descriptors(void);

/* Returns 1 under qemu-user. tests/check/cross.sh sets the variable that says so. */
int is_emulated(void);

#endif
