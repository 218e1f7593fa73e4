/* SPDX-License-Identifier: MIT */
/* A host namespace and a container namespace on the real kernel, new in every test, and helpers
 * for wiring. */
#ifndef TWO_NAMESPACES_H
#define TWO_NAMESPACES_H

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../csrc/netstrat.h"
#include "check.h"
#include "failed.h"
#include "prefix.h"
#include "sandbox.h"
#include "veth.h"

#include <linux/if_addr.h>

/* Not in the headers of older kernels. */
enum { NOPREFIXROUTE = 0x200, MACVLAN_BRIDGE = 4, GETNSID = 90 };

#define SHARED static __attribute__((unused))

struct place {
    int netns;
    struct netstrat_socket sock;
    unsigned char buffer[NETSTRAT_BUFFER_SIZE];
};

SHARED struct place host, container;
SHARED struct netstrat_error error;
SHARED unsigned char requests[4096];
SHARED struct netstrat_batch batch;

static inline void open_place(struct place *place)
{
    place->netns = netstrat_netns_create(&error);
    CHECK(place->netns >= 0);
    CHECK(netstrat_socket_open_at(&place->sock, place->buffer, sizeof place->buffer, place->netns,
                                  &error) == 0);
}

static inline void close_place(struct place *place)
{
    netstrat_socket_close(&place->sock);
    close(place->netns);
}

static inline void open_places(void)
{
    open_place(&host);
    open_place(&container);
    netstrat_batch_init(&batch, requests, sizeof requests);
}

static inline void close_places(void)
{
    close_place(&host);
    close_place(&container);
}

static inline void enter(void)
{
    enter_sandbox(0);
}

const struct fixture fixture = {enter, open_places, close_places, NULL};

/* Executes the batch and empties it. */
static inline int carry_out(struct place *place)
{
    int results[16];
    int code = netstrat_execute(&place->sock, &batch, results, &error);

    netstrat_batch_init(&batch, requests, sizeof requests);
    return code;
}

/* Executes the batch, which must succeed. Prints the error. */
static inline void carry_out_all(struct place *place)
{
    char text[512];
    int code = carry_out(place);

    if (code < 0) {
        netstrat_error_describe(&error, NULL, text, sizeof text);
        printf("  message %u: %s\n", (unsigned)error.item, text);
    }
    CHECK(code == 0);
}

static inline int is_refused(struct place *place, int wanted, uint32_t request)
{
    return refused_with(&error, carry_out(place), wanted, request);
}

static inline struct netstrat_link link_of(struct place *place, const char *name)
{
    struct netstrat_link link;

    memset(&link, 0, sizeof link);
    CHECK(netstrat_link_get(&place->sock, name, &link, NULL, &error) == 0);
    return link;
}

static inline int has_link(struct place *place, const char *name)
{
    struct netstrat_link link;
    int code = netstrat_link_get(&place->sock, name, &link, NULL, &error);

    CHECK(code == 0 || code == -ENODEV);
    return code == 0;
}

static inline int count_links(struct place *place)
{
    struct netstrat_link_name names[32];

    return netstrat_link_names_dump(&place->sock, NULL, names, 32, &error);
}

static inline struct netstrat_link_settings settings_of(const char *name)
{
    struct netstrat_link_settings settings;

    memset(&settings, 0, sizeof settings);
    if (name) {
        settings.set = NETSTRAT_LINK_NAME;
        memcpy(settings.name, name, strlen(name));
    }
    return settings;
}

/* Creates a link of a simple kind, and returns its index. */
static inline int32_t make(struct place *place, const char *kind, const char *name, int up)
{
    struct netstrat_link_settings settings = settings_of(name);

    settings.set |= NETSTRAT_LINK_UP;
    settings.up = (uint32_t)up;
    CHECK(netstrat_batch_add_link(&batch, kind, &settings) == 0);
    carry_out_all(place);
    return link_of(place, name).index;
}

/* Creates a veth pair in one namespace, and returns the first index. */
static inline int32_t make_pair(struct place *place, const char *name, const char *peer)
{
    struct netstrat_link_settings own = settings_of(name), other = settings_of(peer);

    CHECK(netstrat_batch_add_veth(&batch, &own, &other) == 0);
    carry_out_all(place);
    return link_of(place, name).index;
}

static inline struct netstrat_address address_of(int32_t index, const char *text)
{
    struct netstrat_address address;

    memset(&address, 0, sizeof address);
    address.index = index;
    address.local = prefix_of(text);
    address.flags = IFA_F_NODAD;
    address.valid = address.preferred = UINT32_MAX;
    return address;
}

static inline void add_address(int32_t index, const char *text)
{
    struct netstrat_address address = address_of(index, text);

    CHECK(netstrat_batch_add_address(&batch, &address, 0) == 0);
}

static inline struct netstrat_route route_of(const char *destination, int32_t index)
{
    struct netstrat_route route;

    memset(&route, 0, sizeof route);
    route.destination = prefix_of(destination);
    route.index = index;
    route.table = RT_TABLE_MAIN;
    route.type = RTN_UNICAST;
    route.protocol = RTPROT_STATIC;
    return route;
}

static inline struct netstrat_cursor rows_of(struct place *place,
                                             int (*dump)(struct netstrat_batch *batch))
{
    static unsigned char rows[65536];
    struct netstrat_cursor rest = {rows, 0, 0, 0};

    CHECK(dump(&batch) == 0);
    CHECK(netstrat_dump_copy(&place->sock, &batch, rows, sizeof rows, &rest.end, &error) == 0);
    CHECK(rest.end <= sizeof rows);
    netstrat_batch_init(&batch, requests, sizeof requests);
    return rest;
}

SHARED int32_t dumped_link; /* 0: all links */

static inline int dump_addresses(struct netstrat_batch *to)
{
    return netstrat_batch_dump_addresses(to, dumped_link);
}

/* Finds an address by its text, and returns the number of all addresses. */
static inline int find_address(struct place *place, const char *text,
                               struct netstrat_address *found)
{
    struct netstrat_cursor rest = rows_of(place, dump_addresses);
    struct netstrat_message message;
    struct netstrat_address address;
    int count = 0;

    memset(found, 0, sizeof *found);
    while (netstrat_message_next(&rest, &message) > 0) {
        CHECK(netstrat_address_decode(&message, &address) == 0);
        if (is_prefix(&address.local, text))
            *found = address;
        count++;
    }
    return count;
}

static inline int has_address(struct place *place, const char *text)
{
    struct netstrat_address found;

    (void)find_address(place, text, &found);
    return found.index != 0;
}

static inline int dump_routes(struct netstrat_batch *to)
{
    return netstrat_batch_dump_routes(to, 0);
}

/* Finds a route by its destination and table. */
static inline struct netstrat_route find_route(struct place *place, const char *destination,
                                               uint32_t table)
{
    struct netstrat_cursor rest = rows_of(place, dump_routes);
    struct netstrat_message message;
    struct netstrat_route route, found;

    memset(&found, 0, sizeof found);
    while (netstrat_message_next(&rest, &message) > 0) {
        CHECK(netstrat_route_decode(&message, &route) == 0);
        if (is_prefix(&route.destination, destination) && route.table == table)
            found = route;
    }
    return found;
}

#endif
