/* SPDX-License-Identifier: MIT */
/* Two sockets on the real kernel. Every test has a fresh network namespace, in which lo is up. */
#ifndef REAL_KERNEL_H
#define REAL_KERNEL_H

#include "../../csrc/netstrat.h"
#include "check.h"
#include "failed.h"
#include "sandbox.h"
#include "veth.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define SHARED static __attribute__((unused))

/* PATIENT: in ms. 10,000 messages take seconds on a busy machine under a sanitizer. */
enum { ROOM = 16, KNOWN = 256, PATIENT = 60000 };

SHARED unsigned char buffer[NETSTRAT_BUFFER_SIZE], other_buffer[NETSTRAT_BUFFER_SIZE];
SHARED struct netstrat_socket sock, other; /* `other` changes what `sock` watches */
SHARED struct netstrat_error error;
SHARED struct netstrat_link_name changes[ROOM], known[KNOWN];
SHARED struct netstrat_name_watch watch;
SHARED unsigned char request[1 << 20];
SHARED struct netstrat_batch batch;
SHARED int results[10001];

static inline void open_socket(void)
{
    netstrat_socket_close(&sock);
    CHECK(netstrat_socket_open(&sock, buffer, sizeof buffer, &error) == 0);
    sock.timeout_ms = PATIENT;
}

static inline void enter(void)
{
    sock.fd = other.fd = -1;
    enter_sandbox(0);
}

static inline void open_sockets(void)
{
    CHECK(unshare(CLONE_NEWNET) == 0);
    CHECK(netstrat_link_set_up_once("lo", NULL) == 0);
    memset(&error, 0, sizeof error);
    open_socket();
    CHECK(netstrat_socket_open(&other, other_buffer, sizeof other_buffer, NULL) == 0);
    other.timeout_ms = PATIENT;
}

static inline void close_sockets(void)
{
    netstrat_socket_close(&other);
    netstrat_socket_close(&sock);
}

const struct fixture fixture = {enter, open_sockets, close_sockets, NULL};

static inline void watch_links(void)
{
    watch.changes = changes;
    watch.room = ROOM;
    watch.known = known;
    watch.known_size = KNOWN;
    CHECK(netstrat_name_watch_start(&watch, &sock, &error) == 0 && watch.count == 0);
}

/* Whether the watch has recorded this change. The name of a deleted link is "". */
static inline int is_recorded(int32_t index, const char *name)
{
    for (uint32_t i = 0; i < watch.count && i < watch.room; i++)
        if (changes[i].index == index && !strcmp(changes[i].name, name))
            return 1;
    return 0;
}

static inline int32_t index_of(const char *name)
{
    struct netstrat_link link;

    CHECK(netstrat_link_get(&other, name, &link, NULL, NULL) == 0);
    return link.index;
}

/* Sets the sizes of the socket's buffers, which the kernel doubles. 0 leaves a size unchanged. */
static inline void set_buffers(int receive, int send_)
{
    if (receive)
        CHECK(setsockopt(sock.fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof receive) == 0);
    if (send_)
        CHECK(setsockopt(sock.fd, SOL_SOCKET, SO_SNDBUF, &send_, sizeof send_) == 0);
}

static inline void begin_batch(void)
{
    netstrat_batch_init(&batch, request, sizeof request);
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        results[i] = 9;
}

static inline void add_set(const char *name, uint32_t flags)
{
    CHECK(netstrat_batch_set_link_flags(&batch, name, flags, IFF_UP) == 0);
}

static inline int execute(void)
{
    return netstrat_execute(&sock, &batch, results, &error);
}

/* Executes the batch, each of whose `count` messages must have this result. */
static inline void check_all(uint32_t count, int wanted)
{
    uint32_t i;

    CHECK(execute() == wanted);
    for (i = 0; i < count && results[i] == wanted; i++)
        ;
    CHECK(i == count);
    if (i < count)
        printf("  message %u of %u: %d\n", i, count, results[i]);
}

/* ---- without capabilities: for in_child() ---- */

static inline void without_rights(void)
{
    open_socket();
    drop_capabilities();
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0); /* EPERM, but it is up already */
    CHECK(netstrat_link_set_up_once("lo", &error) == 0);
    REFUSED(netstrat_link_set_down(&sock, "lo", &error), -EPERM, RTM_NEWLINK);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
    CHECK(netstrat_link_set_up(&sock, "nonesuch", &error) < 0);
}

static inline void without_rights_and_down(void)
{
    CHECK(netstrat_link_is_up(&sock, "lo", NULL) == 0);
    drop_capabilities();
    REFUSED(netstrat_link_set_up(&sock, "lo", &error), -EPERM, RTM_NEWLINK);
    CHECK(netstrat_link_set_down(&sock, "lo", &error) == 0); /* it is down already */
}

#endif
