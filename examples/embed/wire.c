/* SPDX-License-Identifier: MIT */
/*
 * A container's network, wired in C: a namespace, a veth pair between it and a bridge, addresses of
 * both families, lo, default routes. What it made is shown, and taken down again.
 *
 *   wire        in namespaces of its own: user and network
 *   wire here   in those of the caller, which is the host then
 *
 * Three sends make the container's network: the pair, whose other end appears in the namespace at
 * once; what can only be set afterwards; and everything on the container's side.
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

/* An end may have any index that is free: chosen here, nothing has to be looked up afterwards. */
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

/* Sends the batch and empties it. Where not all `count` messages are there, one was refused. */
static int carry_out(struct netstrat_socket *sock, uint32_t count, const char *what)
{
    int results[8];
    int code = batch.count == count ? netstrat_execute(sock, &batch, results, &error) : -1;

    if (batch.count != count)
        fprintf(stderr, "wire: %s: a request can't be encoded\n", what);
    else if (code < 0)
        (void)complain(what);
    netstrat_batch_init(&batch, requests, sizeof requests);
    return code;
}

/* Settings that hold a name, or nothing yet (NULL). */
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
    address.flags = IFA_F_NODAD; /* usable at once */
    if (netstrat_prefix_parse(text, &address.local) == 0)
        (void)netstrat_batch_add_address(&batch, &address, 0);
}

/* A gateway is enough: the rest may stay zero. */
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

/* In a send of its own, once it is known that the first worked: in the same one it would mark a
 * stranger's link where the index was taken, since a batch goes on after an error. */
static int mark_pair(struct netstrat_socket *host)
{
    struct netstrat_link_settings mark = settings_with(NULL);

    mark.set = NETSTRAT_LINK_ALIAS | NETSTRAT_LINK_HAIRPIN;
    memcpy(mark.alias, "made by wire", 13);
    mark.hairpin = 1;
    (void)netstrat_batch_set_link(&batch, HOST_INDEX, NULL, &mark);
    return carry_out(host, 1, "the mark");
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
    return carry_out(container, 6, "the container's side");
}

/* Prints the container's addresses but those that the kernel gave it. */
static int show_row(const struct netstrat_message *message, void *context)
{
    struct netstrat_address address;
    char text[NETSTRAT_PREFIX_SIZE];

    (void)context; /* a NULL message is the beginning, also of a second try */
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

    failed = !paired || mark_pair(host) < 0 || set_up_container(container) < 0 ||
             show(host, container) < 0;

    /* Only what was made here; the container's end goes with the host's. */
    if (paired) {
        (void)netstrat_batch_delete_link(&batch, HOST_INDEX, NULL);
        failed = carry_out(host, 1, "deleting the pair") < 0 || failed;
    }
    if (bridge > 0) {
        (void)netstrat_batch_delete_link(&batch, bridge, NULL);
        failed = carry_out(host, 1, "deleting the bridge") < 0 || failed;
    }
    if (!failed)
        printf("and gone\n");
    return failed;
}

int main(int argc, char **argv)
{
    static unsigned char host_buffer[NETSTRAT_BUFFER_SIZE], container_buffer[NETSTRAT_BUFFER_SIZE];
    struct netstrat_socket host, container;
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
    host.fd = container.fd = -1;
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
