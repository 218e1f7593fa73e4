/* SPDX-License-Identifier: MIT */
/* The harness: main(), and what each program shares with it. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

unsigned long checks_passed, checks_failed;

/* Not defined by every program. A weak definition here would be folded by clang. */
extern const struct fixture fixture __attribute__((weak));

static struct fixture around; /* the program's, or nothing */

static struct test *tests, **next = &tests;
static char first_failure[512]; /* of the test that runs */

/* Constructors of one file run in the order of the file: so do the tests. */
void add_test(struct test *test)
{
    *next = test;
    next = &test->next;
}

void fail_check(const char *file, int line, const char *condition)
{
    const char *base = strrchr(file, '/');
    char text[512];

    snprintf(text, sizeof text, "%s:%d: %s", base ? base + 1 : file, line, condition);
    printf("  %s\n", text);
    if (first_failure[0] == '\0')
        memcpy(first_failure, text, sizeof text);
    checks_failed++;
}

void in_child(void (*run)(void))
{
    int status = -1;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        checks_passed = checks_failed = 0;
        run();
        exit(checks_failed != 0 || checks_passed == 0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    while (directory && readdir(directory))
        count++;
    if (directory)
        closedir(directory);
    return count;
}

int is_emulated(void)
{
    return getenv("NETSTRAT_EMULATED") != NULL;
}

static void call(void (*function)(void))
{
    if (function)
        function();
}

static void run_test(const struct test *test)
{
    unsigned long passed = checks_passed, failed = checks_failed;
    int descriptors;

    if ((test->flags & NATIVE) && is_emulated()) {
        printf("skipped %s: qemu-user does not implement what it needs\n", test->name);
        return;
    }
    descriptors = count_descriptors();
    first_failure[0] = '\0';
    call(around.before_each);
    if (test->flags & IN_CHILD)
        in_child(test->run);
    else
        test->run();
    call(around.after_each);
    CHECK(count_descriptors() == descriptors);
    if (checks_failed > failed)
        printf("failed %s: %s\n", test->name, first_failure);
    else
        printf("passed %s: %lu checks\n", test->name, checks_passed - passed);
}

static int is_chosen(const struct test *test, int count, char **names)
{
    int chosen = count == 0;

    for (int i = 0; i < count; i++)
        chosen |= strcmp(names[i], test->name) == 0;
    return chosen;
}

int main(int argc, char **argv)
{
    const int lists = argc == 2 && strcmp(argv[1], "--list") == 0;
    unsigned run = 0;

    if (&fixture)
        around = fixture;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* so that nothing is lost if a test crashes */
    if (!lists)
        call(around.before_all);
    for (const struct test *test = tests; test; test = test->next) {
        if (lists) {
            puts(test->name);
        } else if (is_chosen(test, argc - 1, argv + 1)) {
            run_test(test);
            run++;
        }
    }
    if (lists)
        return 0;
    call(around.after_all);
    printf("%u tests: %lu checks passed, %lu failed\n", run, checks_passed, checks_failed);
    return run == 0 || checks_failed != 0;
}
