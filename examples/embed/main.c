/* SPDX-License-Identifier: MIT */
/*
 * A container runtime in miniature, and all that it needs of netstrat: it makes a network namespace,
 * brings lo up there and prints the counters as sysfs and as rtnetlink have them.
 *
 *   embed        in namespaces of its own: user, network and mount
 *   embed here   in those of the caller
 *
 * build.sh copies the core beside this file and compiles the two with one command.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare */
#endif
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "netstrat.h"

static int complain(const char *what, const struct netstrat_error *error)
{
    fprintf(stderr, "embed: %s: %s: %s%s%s\n", what, error->operation, strerror(-error->code),
            error->text_length ? ": " : "", error->text);
    return 1;
}

/* sysfs shows the namespace in which it was mounted: a new namespace needs a new mount. */
static int enter_namespaces(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0) {
        perror("embed: unshare");
        return 1;
    }
    if (mount("sysfs", "/sys", "sysfs", 0, NULL) < 0) {
        perror("embed: mount sysfs");
        return 1;
    }
    return 0;
}

static void print_counters(const char *source, const struct netstrat_counters *counters)
{
    uint32_t i;

    printf("lo by %-10s", source);
    for (i = 0; i < NETSTRAT_COUNTERS; i++) {
        uint64_t value;

        memcpy(&value, (const unsigned char *)counters + i * sizeof value, sizeof value);
        printf(" %s=%llu", netstrat_counter_name(i), (unsigned long long)value);
    }
    printf("\n");
}

static int show_lo(struct netstrat_socket *sock)
{
    struct netstrat_error error;
    struct netstrat_counters counters;
    struct netstrat_link link;
    int was_up, is_up, code;

    was_up = netstrat_link_is_up(sock, "lo", &error);
    if (was_up < 0 || netstrat_link_set_up(sock, "lo", &error) < 0)
        return complain("lo", &error);
    is_up = netstrat_link_is_up(sock, "lo", &error);
    if (is_up < 0)
        return complain("lo", &error);
    printf("lo was %s, is %s\n", was_up ? "up" : "down", is_up ? "up" : "down");

    if (netstrat_sysfs_read("/sys/class/net", "lo", &counters, &error) < 0)
        return complain("lo", &error);
    print_counters("sysfs", &counters);

    /* By name, which every kernel since 3.0 answers; then by index, which is several times cheaper
     * but not everywhere allowed. */
    if (netstrat_get_link(sock, "lo", &link, &counters, &error) < 0)
        return complain("lo", &error);
    print_counters("rtnetlink", &counters);
    code = netstrat_get_stats(sock, link.index, &counters, &error);
    if (code == 0)
        print_counters("index", &counters);
    else if (sock->by_name_only)
        printf("lo by index: refused here (%s), so counters are read by name\n", strerror(-code));
    else
        return complain("lo", &error);
    return is_up ? 0 : 1;
}

int main(int argc, char **argv)
{
    unsigned char buffer[4096]; /* enough for one link; NETSTRAT_BUFFER_SIZE for dumps */
    struct netstrat_socket sock;
    struct netstrat_error error;
    int failed;

    if (argc > 2 || (argc == 2 && strcmp(argv[1], "here") != 0)) {
        fprintf(stderr, "usage: embed [here]\n");
        return 2;
    }
    if (argc == 1 && enter_namespaces() != 0)
        return 1;
    if (netstrat_open(&sock, buffer, sizeof buffer, &error) < 0)
        return complain("a socket", &error);
    failed = show_lo(&sock);
    netstrat_close(&sock);
    return failed;
}
