/* SPDX-License-Identifier: MIT */
/*
 * What a program needs that has netstrat.h alone: -std=c11 without _GNU_SOURCE, no header of the
 * kernel's but linux/rtnetlink.h for a message of its own, structs that are zeroed and otherwise
 * left alone. It runs in a network namespace of its own; tests/test_library.py builds it.
 */
#include <stdio.h>
#include <string.h>

#include "netstrat.h"

#include <linux/rtnetlink.h>

#if defined(IFF_UP) && !defined(EMBEDDED)
#error "IFF_UP is not hidden: this program does not show what it should"
#endif

static unsigned char buffer[NETSTRAT_BUFFER_SIZE], requests[1024];
static struct netstrat_socket sock;
static struct netstrat_batch batch;
static struct netstrat_error error;
static int results[8];

static int fails(const char *what)
{
    char text[512];

    netstrat_error_describe(&error, NULL, text, sizeof text);
    fprintf(stderr, "embedder: %s: %s\n", what, text);
    return 1;
}

static int add_link(void)
{
    struct netstrat_link_settings own, peer;

    memset(&own, 0, sizeof own);
    memset(&peer, 0, sizeof peer);
    own.set = NETSTRAT_LINK_NAME;
    memcpy(own.name, "left", 5);
    peer.set = NETSTRAT_LINK_NAME;
    memcpy(peer.name, "right", 6);
    netstrat_batch_init(&batch, requests, sizeof requests);
    if (netstrat_batch_add_veth(&batch, &own, &peer) < 0 ||
        netstrat_batch_set_link_flags(&batch, "left", NETSTRAT_IFF_UP, NETSTRAT_IFF_UP) < 0 ||
        netstrat_batch_set_link_flags(&batch, "right", NETSTRAT_IFF_UP, NETSTRAT_IFF_UP) < 0)
        return 1;
    return netstrat_execute(&sock, &batch, results, &error) < 0 ? fails("a link") : 0;
}

/* Two addresses and two default routes, of structs with zeros wherever one will do. */
static int add_network(int32_t index)
{
    static const char *const texts[2][2] = {{"192.0.2.2/24", "192.0.2.1"},
                                            {"2001:db8::2/64", "2001:db8::1"}};
    int family;

    netstrat_batch_init(&batch, requests, sizeof requests);
    for (family = 0; family < 2; family++) {
        struct netstrat_address address;
        struct netstrat_route route;

        memset(&address, 0, sizeof address);
        memset(&route, 0, sizeof route);
        address.index = index;
        if (netstrat_prefix_parse(texts[family][0], &address.local) < 0 ||
            netstrat_prefix_parse(texts[family][1], &route.gateway) < 0 ||
            netstrat_batch_add_address(&batch, &address, 0) < 0 ||
            netstrat_batch_add_route(&batch, &route) < 0)
            return 1;
    }
    if (netstrat_execute(&sock, &batch, results, &error) < 0)
        return fails("addresses and routes");
    /* The same structs delete the routes: of any kind and any protocol. */
    netstrat_batch_init(&batch, requests, sizeof requests);
    for (family = 0; family < 2; family++) {
        struct netstrat_route route;

        memset(&route, 0, sizeof route);
        if (netstrat_prefix_parse(texts[family][1], &route.gateway) < 0 ||
            netstrat_batch_delete_route(&batch, &route) < 0)
            return 1;
    }
    return netstrat_execute(&sock, &batch, results, &error) < 0 ? fails("deleting routes") : 0;
}

/* Reads an answer with the public getters: its fixed part, and some attributes. */
static int read_answer(void)
{
    struct netstrat_message answer;
    struct netstrat_attribute attribute;
    struct netstrat_cursor attributes;
    struct ifinfomsg info;
    char name[NETSTRAT_NAME_SIZE] = "";
    uint32_t mtu = 0;
    uint8_t state = 0;

    netstrat_batch_init(&batch, requests, sizeof requests);
    if (netstrat_batch_get_link(&batch, "left") < 0 ||
        netstrat_query(&sock, &batch, 1, &answer, &error) < 0 ||
        netstrat_message_body(&answer, &info, sizeof info, &attributes) < 0)
        return fails("a question");
    while (netstrat_attribute_next(&attributes, &attribute) > 0) {
        if (attribute.type == IFLA_IFNAME &&
            netstrat_attribute_string(&attribute, name, sizeof name) < 0)
            return 1;
        if (attribute.type == IFLA_MTU && netstrat_attribute_u32(&attribute, &mtu) < 0)
            return 1;
        if (attribute.type == IFLA_OPERSTATE && netstrat_attribute_u8(&attribute, &state) < 0)
            return 1;
    }
    printf("%s: mtu %u, flags up: %d\n", name, (unsigned)mtu,
           (info.ifi_flags & NETSTRAT_IFF_UP) != 0);
    return strcmp(name, "left") != 0 || mtu != 1500 || state == 0;
}

int main(void)
{
    struct netstrat_counters counters;
    struct netstrat_link link, same;
    int failed;

    if (netstrat_link_set_up_once("lo", &error) < 0)
        return fails("lo");
    if (netstrat_socket_open(&sock, buffer, sizeof buffer, &error) < 0)
        return fails("a socket");
    failed = add_link() || netstrat_link_get(&sock, "left", &link, NULL, &error) < 0 ||
             netstrat_link_get_index(&sock, link.index, &same, &counters, &error) < 0 ||
             strcmp(same.name, "left") != 0 || !(same.flags & NETSTRAT_IFF_UP) ||
             add_network(link.index) || read_answer() ||
             netstrat_counters_read(&sock, NULL, "left", NULL, &counters, &error) < 0 ||
             netstrat_counters_read_once("left", &counters, &error) < 0;
    netstrat_socket_close(&sock);
    if (!failed)
        printf("left: %llu packets sent\n", (unsigned long long)counters.tx_packets);
    return failed;
}
