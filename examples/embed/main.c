/* SPDX-License-Identifier: MIT */
/*
 * A minimal container runtime: it enters a new network namespace, sets lo up, prints its counters
 * from sysfs and from rtnetlink, and makes a veth pair by a message of its own.
 *
 *   embed        in new user, network and mount namespaces
 *   embed here   in the caller's namespaces
 *
 * build.sh copies the core next to this file and compiles both with one command.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare */
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "netstrat.h"

/* Prints a failure. `name` is the interface, or NULL. */
static int complain(const char *name, const struct netstrat_error *error)
{
    char text[512];

    netstrat_error_describe(error, name, text, sizeof text);
    fprintf(stderr, "embed: %s\n", text);
    return 1;
}

/* A sysfs shows the network namespace in which it was mounted, so a new namespace needs a new
 * one. */
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

static int set_lo_up(struct netstrat_socket *sock)
{
    struct netstrat_error error;
    int was_up = netstrat_link_is_up(sock, "lo", &error);
    int is_up;

    if (was_up < 0 || netstrat_link_set_up(sock, "lo", &error) < 0)
        return complain("lo", &error);
    is_up = netstrat_link_is_up(sock, "lo", &error);
    if (is_up < 0)
        return complain("lo", &error);
    printf("lo was %s, is %s\n", was_up ? "up" : "down", is_up ? "up" : "down");
    return is_up ? 0 : 1;
}

static void print_counters(const char *source, const struct netstrat_counters *counters)
{
    uint32_t i;

    printf("lo by %-6s", source);
    for (i = 0; i < NETSTRAT_COUNTERS; i++) {
        uint64_t value;

        memcpy(&value, (const unsigned char *)counters + i * sizeof value, sizeof value);
        printf(" %s=%llu", netstrat_counter_name(i), (unsigned long long)value);
    }
    printf("\n");
}

static int show_counters(struct netstrat_socket *sock)
{
    struct netstrat_counters counters;
    struct netstrat_link_name found;
    struct netstrat_error error;
    int code;

    if (netstrat_sysfs_read(AT_FDCWD, "/sys/class/net", "lo", NULL, &counters, &error) < 0)
        return complain("lo", &error);
    print_counters("sysfs", &counters);

    /* There are three ways: by name, which works since Linux 2.6.35; by index, which is several
     * times as fast but may be refused; and a call that chooses. */
    if (netstrat_counters_get_by_name(sock, NULL, "lo", &found, &counters, &error) < 0)
        return complain("lo", &error);
    print_counters("name", &counters);
    code = netstrat_counters_get(sock, NULL, found.index, &counters, &error);
    if (code == 0)
        print_counters("index", &counters);
    else if (code == -EOPNOTSUPP)
        printf("lo by index: refused; counters are read by name\n");
    else
        return complain("lo", &error);
    if (netstrat_counters_read_once("lo", &counters, &error) < 0)
        return complain("lo", &error);
    print_counters("either", &counters);
    return 0;
}

/* Adds a message of its own: the creation of a veth pair. (netstrat_batch_add_veth() does the
 * same.) */
static int add_veth(struct netstrat_batch *batch, const char *name, const char *peer)
{
    size_t link_info, data, nested_peer;
    struct ifinfomsg info;

    memset(&info, 0, sizeof info); /* index 0: the kernel chooses */
    netstrat_batch_begin(batch, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    netstrat_batch_append(batch, &info, sizeof info);
    netstrat_batch_put_string(batch, IFLA_IFNAME, name);
    link_info = netstrat_batch_nest(batch, IFLA_LINKINFO);
    netstrat_batch_put_string(batch, IFLA_INFO_KIND, "veth");
    data = netstrat_batch_nest(batch, IFLA_INFO_DATA);
    /* This nest contains a message without its header. */
    nested_peer = netstrat_batch_nest(batch, VETH_INFO_PEER);
    netstrat_batch_append(batch, &info, sizeof info);
    netstrat_batch_put_string(batch, IFLA_IFNAME, peer);
    netstrat_batch_nest_end(batch, nested_peer);
    netstrat_batch_nest_end(batch, data);
    netstrat_batch_nest_end(batch, link_info);
    return netstrat_batch_finish(batch);
}

/* Makes a veth pair and sets one end up: two messages in one send. */
static int make_pair(struct netstrat_socket *sock)
{
    unsigned char requests[256];
    struct netstrat_batch batch;
    struct netstrat_error error;
    struct netstrat_link link;
    int results[2];

    netstrat_batch_init(&batch, requests, sizeof requests);
    if (add_veth(&batch, "embed0", "embed1") < 0 ||
        netstrat_batch_set_link_flags(&batch, "embed0", NETSTRAT_IFF_UP, NETSTRAT_IFF_UP) < 0) {
        fprintf(stderr, "embed: no room for the requests\n");
        return 1;
    }
    if (netstrat_execute(sock, &batch, results, &error) < 0 ||
        netstrat_link_get(sock, "embed0", &link, NULL, &error) < 0)
        return complain("embed0", &error);
    printf("%s: %s, %s, mtu %u\n", link.name, link.kind,
           link.flags & NETSTRAT_IFF_UP ? "up" : "down", (unsigned)link.mtu);
    return 0;
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
    if (netstrat_socket_open(&sock, buffer, sizeof buffer, &error) < 0)
        return complain(NULL, &error);
    failed = set_lo_up(&sock) || show_counters(&sock) || make_pair(&sock);
    netstrat_socket_close(&sock);
    return failed;
}
