/* SPDX-License-Identifier: MIT */
/*
 * The bare system calls: the calls of the core with the same arguments, but without any check and
 * without decoding the replies. No program can be faster on this kernel. What the core adds is
 * counted by benchmarks/instructions.py.
 *
 *   bare IFACE ROOT          answers each line "OPERATION LOOPS" with the elapsed nanoseconds and
 *                            the nanoseconds of CPU time
 *   bare IFACE ROOT OP..     prints the median of each operation, in nanoseconds
 *
 * The benchmark alternates between this program and Python, so that a drift affects both.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

enum { CHANGES = 40 }; /* as in monitor.py */

static const char *const files[] = {"rx_bytes", "rx_packets", "rx_errors", "rx_dropped",
                                    "tx_bytes", "tx_packets", "tx_errors", "tx_dropped"};

static char directory[256];
static int held[8];
static int kept;
static _Alignas(8) unsigned char reply[32768];

/* Every request has a header of 16 bytes; nlmsg_seq stays 0, because it is not checked. */
static struct {
    struct nlmsghdr header;
    struct ifinfomsg info;
    struct rtattr attribute;
    char name[4];
} lo_up;
static struct {
    struct nlmsghdr header;
    struct if_stats_msg stats;
} one, all;
static struct {
    struct nlmsghdr header;
    struct ifinfomsg info;
    struct rtattr attribute;
    char alias[8];
} change;

static long receive(int fd)
{
    struct sockaddr_nl sender;
    socklen_t size = sizeof sender;

    return recvfrom(fd, reply, sizeof reply, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&sender,
                    &size);
}

static void sysfs_once(void)
{
    char text[4096];
    int at = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; i < 8; i++) {
        int fd = openat(at, files[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

        (void)!read(fd, text, sizeof text);
        close(fd);
    }
    close(at);
}

static void sysfs_held(void)
{
    char text[4096];

    for (int i = 0; i < 8; i++)
        (void)!pread(held[i], text, sizeof text, 0);
}

static void get_stats(void)
{
    send(kept, &one, sizeof one, 0);
    receive(kept);
}

static void up_kept(void)
{
    send(kept, &lo_up, sizeof lo_up, 0);
    receive(kept);
}

static void up_fresh(void)
{
    const int on = 1;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    send(fd, &lo_up, sizeof lo_up, 0);
    receive(fd);
    close(fd);
}

/* NLMSG_DONE arrives in its own datagram, or after the last answer. */
static int is_last(long length)
{
    long at = 0;

    while (at + (long)sizeof(struct nlmsghdr) <= length) {
        const struct nlmsghdr *header = (const void *)(reply + at);

        if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR)
            return 1;
        at += NLMSG_ALIGN(header->nlmsg_len);
    }
    return 0;
}

static void dump(void)
{
    send(kept, &all, sizeof all, 0);
    while (!is_last(receive(kept)))
        ;
}

static const struct {
    const char *name;
    void (*run)(void);
} operations[] = {
    {"sysfs_once", sysfs_once}, {"sysfs_held", sysfs_held}, {"get_stats", get_stats},
    {"up_kept", up_kept},       {"up_fresh", up_fresh},     {"dump", dump},
};

/* The elapsed nanoseconds, and the nanoseconds of CPU time of this process. */
struct took {
    int64_t wall;
    int64_t cpu;
};

static int64_t now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void start(struct took *took)
{
    took->wall -= now(CLOCK_MONOTONIC);
    took->cpu -= now(CLOCK_PROCESS_CPUTIME_ID);
}

static void stop(struct took *took)
{
    took->cpu += now(CLOCK_PROCESS_CPUTIME_ID);
    took->wall += now(CLOCK_MONOTONIC);
}

/* Opens a socket that receives notifications of links. */
static int open_monitor(void)
{
    struct sockaddr_nl own = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    bind(fd, (struct sockaddr *)&own, sizeof own);
    return fd;
}

/* Only the reading of the changes is measured. */
static struct took measure_events(long loops)
{
    struct took took = {0, 0};

    for (; loops > 0; loops--) {
        int monitor = open_monitor();

        for (int i = 0; i < CHANGES; i++) {
            snprintf(change.alias, sizeof change.alias, "%d", i);
            send(kept, &change, sizeof change, 0);
        }
        start(&took);
        while (receive(monitor) > 0)
            ;
        stop(&took);
        close(monitor);
    }
    return took;
}

/* Receives a number of changes that another process makes, and prints as JSON how long after the
 * time in its alias each was received. */
static void watch(long count)
{
    static const char mark[] = {'a', 't', ':'};
    int monitor = open_monitor();

    printf("ready\n");
    fflush(stdout);
    for (long i = 0; i < count; i++) {
        long length = recv(monitor, reply, sizeof reply - 1, 0);
        int64_t at = now(CLOCK_MONOTONIC);
        const char *alias = memmem(reply, (size_t)length, mark, sizeof mark);

        printf("%c%lld", i ? ',' : '[', (long long)(at - atoll(alias + sizeof mark)));
    }
    printf("]\n");
    fflush(stdout);
    close(monitor);
}

static struct took measure(const char *name, long loops)
{
    if (strcmp(name, "events") == 0)
        return measure_events(loops);
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(operations[i].name, name) == 0) {
            struct took took = {0, 0};

            start(&took);
            for (long loop = 0; loop < loops; loop++)
                operations[i].run();
            stop(&took);
            return took;
        }
    fprintf(stderr, "bare: no operation \"%s\"\n", name);
    exit(2);
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

static void print_median(const char *name)
{
    enum { VALUES = 51 };
    int64_t values[VALUES];
    long loops = 1;

    while (measure(name, loops).wall < 5000000)
        loops *= 2;
    for (int i = 0; i < VALUES; i++)
        values[i] = measure(name, loops).wall / loops;
    qsort(values, VALUES, sizeof *values, compare);
    printf("%s %lld\n", name, (long long)values[VALUES / 2]);
}

static void prepare(const char *name, const char *root)
{
    struct sockaddr_nl own = {.nl_family = AF_NETLINK};

    snprintf(directory, sizeof directory, "%s/%s/statistics", root, name);
    for (int i = 0; i < 8; i++) {
        char path[300];

        snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        held[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (held[i] < 0) {
            perror(path);
            exit(2);
        }
    }
    kept = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    bind(kept, (struct sockaddr *)&own, sizeof own);

    lo_up.header.nlmsg_len = sizeof lo_up;
    lo_up.header.nlmsg_type = RTM_NEWLINK;
    lo_up.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    lo_up.info.ifi_flags = lo_up.info.ifi_change = IFF_UP;
    lo_up.attribute.rta_type = IFLA_IFNAME;
    lo_up.attribute.rta_len = sizeof lo_up.attribute + sizeof "lo";
    memcpy(lo_up.name, "lo", sizeof "lo");

    one.header.nlmsg_len = sizeof one;
    one.header.nlmsg_type = RTM_GETSTATS;
    one.header.nlmsg_flags = NLM_F_REQUEST;
    one.stats.ifindex = if_nametoindex(name);
    one.stats.filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
    all = one;
    all.header.nlmsg_flags |= NLM_F_DUMP;
    all.stats.ifindex = 0;

    change.header.nlmsg_len = sizeof change;
    change.header.nlmsg_type = RTM_NEWLINK;
    change.header.nlmsg_flags = NLM_F_REQUEST;
    change.info.ifi_index = one.stats.ifindex;
    change.attribute.rta_type = IFLA_IFALIAS;
    change.attribute.rta_len = sizeof change.attribute + sizeof change.alias;
}

int main(int count, char **arguments)
{
    char name[32];
    long loops;

    if (count < 3) {
        fprintf(stderr, "bare IFACE ROOT [OPERATION..]\n");
        return 2;
    }
    prepare(arguments[1], arguments[2]);
    for (int i = 3; i < count; i++)
        print_median(arguments[i]);
    if (count > 3)
        return 0;
    while (scanf("%31s %ld", name, &loops) == 2) {
        struct took took;

        if (strcmp(name, "watch") == 0) {
            watch(loops);
            continue;
        }
        took = measure(name, loops);
        printf("%lld %lld\n", (long long)took.wall, (long long)took.cpu);
        fflush(stdout);
    }
    return 0;
}
