/* SPDX-License-Identifier: MIT */
/*
 * Sets up a container's network: a network namespace, a veth pair between it and a bridge, IPv4 and
 * IPv6 addresses, lo and default routes. It prints the result and deletes everything again.
 *
 *   wire        in new user and network namespaces
 *   wire here   in the caller's namespaces: the caller's network namespace is the host namespace
 *
 * Three sends make the container's network: the pair, whose peer is created in the container
 * namespace; the settings that the kernel ignores at creation; and everything in the container
 * namespace.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare */
#endif
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include "netstrat.h"

static const char bridge_name[] = "wire-bridge", host_name[] = "wire-host";

/* With indexes chosen by the program, nothing has to be looked up after the creation. */
enum { HOST_INDEX = 7001, CONTAINER_INDEX = 7002 };

static struct netstrat_error error;
static unsigned char requests[2048];
static struct netstrat_batch batch;

static int complain(const char *what)
{
    char text[512];

    netstrat_error_describe(&error, NULL, text, sizeof text);
    fprintf(stderr, "wire: %s: %s\n", what, text);
    return -1;
}

/* Sends the batch and empties it. If it has fewer than `count` messages, one was not encoded. */
static int carry_out(struct netstrat_socket *sock, uint32_t count, const char *what)
{
    int results[8];
    int code = batch.count == count ? netstrat_execute(sock, &batch, results, &error) : -1;

    if (batch.count != count)
        fprintf(stderr, "wire: %s: a request cannot be encoded\n", what);
    else if (code < 0)
        (void)complain(what);
    netstrat_batch_init(&batch, requests, sizeof requests);
    return code;
}

/* Returns settings with a name, or without any if `name` is NULL. */
static struct netstrat_link_settings settings_with(const char *name)
{
    struct netstrat_link_settings settings;

    memset(&settings, 0, sizeof settings);
    if (name) {
        settings.set = NETSTRAT_LINK_NAME;
        memcpy(settings.name, name, strlen(name) + 1);
    }
    return settings;
}

static void add_address(int32_t index, const char *text)
{
    struct netstrat_address address;

    memset(&address, 0, sizeof address);
    address.index = index;
    address.flags = IFA_F_NODAD; /* usable at once, without duplicate address detection */
    if (netstrat_prefix_parse(text, &address.local) == 0)
        (void)netstrat_batch_add_address(&batch, &address, 0);
}

/* The gateway is enough. Everything else may be zero. */
static void add_default_route(const char *gateway)
{
    struct netstrat_route route;

    memset(&route, 0, sizeof route);
    if (netstrat_prefix_parse(gateway, &route.gateway) == 0)
        (void)netstrat_batch_add_route(&batch, &route);
}

static int make_bridge(struct netstrat_socket *host, int32_t *index)
{
    struct netstrat_link_settings settings = settings_with(bridge_name);
    struct netstrat_link bridge;

    settings.set |= NETSTRAT_LINK_UP;
    settings.up = 1;
    (void)netstrat_batch_add_link(&batch, "bridge", &settings);
    if (carry_out(host, 1, "the bridge") < 0)
        return -1;
    if (netstrat_link_get(host, bridge_name, &bridge, NULL, &error) < 0)
        return complain("the bridge");
    *index = bridge.index;
    add_address(bridge.index, "10.90.0.1/24");
    add_address(bridge.index, "fd00:90::1/64");
    return carry_out(host, 2, "the bridge's addresses");
}

static int make_pair(struct netstrat_socket *host, int32_t bridge, int netns)
{
    struct netstrat_link_settings own = settings_with(host_name), peer = settings_with("eth0");

    own.set |= NETSTRAT_LINK_INDEX | NETSTRAT_LINK_MASTER | NETSTRAT_LINK_UP;
    own.index = HOST_INDEX;
    own.master = bridge;
    own.up = 1;
    peer.set |= NETSTRAT_LINK_INDEX | NETSTRAT_LINK_NETNS;
    peer.index = CONTAINER_INDEX;
    peer.netns = netns;
    (void)netstrat_batch_add_veth(&batch, &own, &peer);
    return carry_out(host, 1, "the pair");
}

/* Sets the alias and hairpin mode, which the kernel ignores at creation. This is a send of its own
 * because a batch continues after an error: if the index was taken, it would change another
 * link. */
static int tag_pair(struct netstrat_socket *host)
{
    struct netstrat_link_settings tag = settings_with(NULL);

    tag.set = NETSTRAT_LINK_ALIAS | NETSTRAT_LINK_HAIRPIN;
    memcpy(tag.alias, "made by wire", 13);
    tag.hairpin = 1;
    (void)netstrat_batch_set_link(&batch, HOST_INDEX, NULL, &tag);
    return carry_out(host, 1, "the alias tag");
}

static int set_up_container(struct netstrat_socket *container)
{
    struct netstrat_link_settings up = settings_with(NULL);

    add_address(CONTAINER_INDEX, "10.90.0.2/24");
    add_address(CONTAINER_INDEX, "fd00:90::2/64");
    up.set = NETSTRAT_LINK_UP;
    up.up = 1;
    (void)netstrat_batch_set_link(&batch, CONTAINER_INDEX, NULL, &up);
    (void)netstrat_batch_set_link_flags(&batch, "lo", NETSTRAT_IFF_UP, NETSTRAT_IFF_UP);
    add_default_route("10.90.0.1");
    add_default_route("fd00:90::1");
    return carry_out(container, 6, "the container's settings");
}

/* Prints the container's addresses, except the kernel's own. */
static int show_row(const struct netstrat_message *message, void *context)
{
    struct netstrat_address address;
    char text[NETSTRAT_PREFIX_SIZE];

    (void)context; /* the message is NULL at the start of each try */
    if (!message || netstrat_address_decode(message, &address) < 0 ||
        address.index != CONTAINER_INDEX || address.scope != RT_SCOPE_UNIVERSE)
        return 0;
    netstrat_prefix_format(&address.local, 1, text);
    printf("eth0 has %s\n", text);
    return 0;
}

static int show(struct netstrat_socket *host, struct netstrat_socket *container)
{
    struct netstrat_link link;

    if (netstrat_link_get(host, host_name, &link, NULL, &error) < 0)
        return complain(host_name);
    printf("%s: %s, %s, port of a bridge: %s, %s\n", link.name, link.kind,
           link.flags & NETSTRAT_IFF_UP ? "up" : "down", link.master ? "yes" : "no", link.alias);
    if (netstrat_link_get(container, "eth0", &link, NULL, &error) < 0)
        return complain("eth0");
    printf("%s in the container: %s, %s\n", link.name, link.kind,
           link.flags & NETSTRAT_IFF_UP ? "up" : "down");
    (void)netstrat_batch_dump_addresses(&batch, 0);
    if (netstrat_dump(container, &batch, show_row, NULL, &error) < 0)
        return complain("the addresses");
    netstrat_batch_init(&batch, requests, sizeof requests);
    return 0;
}

static int wire(struct netstrat_socket *host, struct netstrat_socket *container, int netns)
{
    int32_t bridge = 0;
    int failed = make_bridge(host, &bridge) < 0;
    int paired = !failed && make_pair(host, bridge, netns) == 0;

    failed = !paired || tag_pair(host) < 0 || set_up_container(container) < 0 ||
             show(host, container) < 0;

    /* Delete only what this program made. The container end is deleted with its peer. */
    if (paired) {
        (void)netstrat_batch_delete_link(&batch, HOST_INDEX, NULL);
        failed = carry_out(host, 1, "deleting the pair") < 0 || failed;
    }
    if (bridge > 0) {
        (void)netstrat_batch_delete_link(&batch, bridge, NULL);
        failed = carry_out(host, 1, "deleting the bridge") < 0 || failed;
    }
    if (!failed)
        printf("all of it deleted\n");
    return failed;
}

int main(int argc, char **argv)
{
    static unsigned char host_buffer[NETSTRAT_BUFFER_SIZE], container_buffer[NETSTRAT_BUFFER_SIZE];
    struct netstrat_socket host = NETSTRAT_SOCKET_INIT, container = NETSTRAT_SOCKET_INIT;
    int netns, failed;

    if (argc > 2 || (argc == 2 && strcmp(argv[1], "here") != 0)) {
        fprintf(stderr, "usage: wire [here]\n");
        return 2;
    }
    if (argc == 1 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
        perror("wire: unshare");
        return 1;
    }
    netstrat_batch_init(&batch, requests, sizeof requests);
    netns = netstrat_netns_create(&error);
    if (netns < 0)
        return complain("a new namespace") != 0;
    if (netstrat_socket_open(&host, host_buffer, sizeof host_buffer, &error) < 0 ||
        netstrat_socket_open_at(&container, container_buffer, sizeof container_buffer, netns,
                                &error) < 0)
        failed = complain("a socket") != 0;
    else
        failed = wire(&host, &container, netns);
    netstrat_socket_close(&container);
    netstrat_socket_close(&host);
    (void)close(netns); /* the namespace ends with its last descriptor */
    return failed;
}
