/* SPDX-License-Identifier: MIT */
/* A socket of the scripted kernel, and the variables that the tests of exchanges share. */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <errno.h>
#include <string.h>

#include "../../csrc/netstrat.h"
#include "check.h"
#include "failed.h"
#include "fake_kernel.h"

#include <net/if.h>

#define SHARED static __attribute__((unused))

enum { ROOM = 4, KNOWN = 8, ROWS = 8 };
enum { DUMP_INTR = 0x10 }; /* NLM_F_DUMP_INTR; not in the headers of older kernels */

SHARED unsigned char buffer[4096], request[65536];
SHARED struct netstrat_socket sock;
SHARED struct netstrat_error error;
SHARED struct netstrat_batch batch;
SHARED int results[2048];
SHARED struct netstrat_link link_;
SHARED struct netstrat_link_name names[ROWS], changes[ROOM], known[KNOWN];
SHARED struct netstrat_name_watch watch;
SHARED struct netstrat_counters counters, rows[ROWS];
SHARED int32_t indexes[ROWS];
SHARED unsigned step; /* of an answer that changes from call to call */

/* Resets everything. `answer` runs at each send(). */
static inline void prepare(void (*answer)(void))
{
    memset(&kernel, 0, sizeof kernel);
    memset(&sock, 0, sizeof sock);
    memset(&error, 0, sizeof error);
    kernel.scripted = kernel.fake_clock = 1;
    kernel.ms_per_look = 1;
    kernel.answer = answer;
    kernel.receive_buffer = kernel.send_buffer = 212992;
    sock.fd = FD;
    sock.timeout_ms = 100;
    sock.sequence = 1000;
    sock.buffer = buffer;
    sock.buffer_size = sizeof buffer;
    step = 0;
}

/* Watches names with a cache of `known_size` entries. */
static inline void watch_links(uint32_t known_size)
{
    watch.changes = changes;
    watch.room = ROOM;
    watch.known = known;
    watch.known_size = known_size;
    CHECK(netstrat_name_watch_start(&watch, &sock, &error) == 0 && watch.count == 0);
    CHECK(sock.port == OWN_PORT);
}

static inline int process_pending(void)
{
    return netstrat_socket_process_pending(&sock, &error);
}

/* A batch of `count` messages that set links up. */
static inline void make_batch(uint32_t count)
{
    netstrat_batch_init(&batch, request, sizeof request);
    for (uint32_t i = 0; i < count; i++)
        CHECK(netstrat_batch_set_link_flags(&batch, "a", IFF_UP, IFF_UP) == 0);
    for (uint32_t i = 0; i < sizeof results / sizeof *results; i++)
        results[i] = 9;
}

static inline int execute(void)
{
    return netstrat_execute(&sock, &batch, results, &error);
}

static inline int set_up(void)
{
    return netstrat_link_set_up(&sock, "lo", &error);
}

static inline int get_link(void)
{
    return netstrat_link_get(&sock, "x", &link_, NULL, &error);
}

static inline int get_counters(void)
{
    return netstrat_counters_get(&sock, NULL, 5, &counters, &error);
}

static inline int dump_names(size_t room)
{
    return netstrat_link_names_dump(&sock, NULL, names, room, &error);
}

static inline int dump_counters(size_t room)
{
    return netstrat_counters_dump(&sock, indexes, rows, room, &error);
}

static inline void answer_ok(void)
{
    queue_ack(KERNEL, kernel.sequence, 0);
}

static inline void answer_refusal(void)
{
    queue_ack(KERNEL, kernel.sequence, -ENODEV);
}

/* Everything that a socket may receive besides its answer, and then the answer. */
static inline void answer_after_others(void)
{
    struct datagram *datagram;

    queue_ack(KERNEL, kernel.sequence - 1, -EBUSY); /* a late reply */
    queue_ack(KERNEL, kernel.sequence + 1, -EBUSY); /* a reply to a later request */
    queue_ack(KERNEL, 0, -EBUSY);                   /* the sequence number of a notification */
    queue_ack(STRANGER, kernel.sequence, -EBUSY);   /* a forged reply */
    queue_datagram(STRANGER)->cut = 100000;         /* one that is larger than the buffer */
    datagram = queue_datagram(KERNEL);
    datagram->family = AF_UNIX;
    put_ack(&datagram->bytes, 0, kernel.sequence, OWN_PORT, -EBUSY, kernel.request, 16, NULL);
    datagram = queue_datagram(KERNEL);
    datagram->address_size = sizeof(sa_family_t); /* without a sender */
    put_ack(&datagram->bytes, 0, kernel.sequence, OWN_PORT, -EBUSY, kernel.request, 16, NULL);
    answer_ok();
}

/* ---- dumps ---- */

SHARED uint16_t flags_of_dump;
SHARED int32_t code_of_dump;
SHARED unsigned good_from; /* the first try whose dump is consistent */

/* Three links, or the counters of three. */
static inline void answer_dump(void)
{
    uint16_t flags = step++ < good_from ? flags_of_dump : 0;
    struct bytes *bytes = &queue_datagram(KERNEL)->bytes;
    const uint32_t sequence = kernel.sequence;

    if (kernel.type == GETSTATS) {
        put_stats(bytes, NLM_F_MULTI, sequence, 1);
        put_stats(bytes, (uint16_t)(NLM_F_MULTI | flags), sequence, 2);
        queue_stats(NLM_F_MULTI, 3);
    } else {
        put_link(bytes, RTM_NEWLINK, NLM_F_MULTI, sequence, OWN_PORT, 1, "one");
        put_link(bytes, RTM_NEWLINK, NLM_F_MULTI | flags, sequence, OWN_PORT, 2, "two");
        bytes = &queue_datagram(KERNEL)->bytes;
        put_link(bytes, RTM_NEWLINK, NLM_F_MULTI, sequence, OWN_PORT, 3, "three");
    }
    queue_done(0, code_of_dump);
}

static inline void prepare_dump(void (*answer)(void), unsigned from)
{
    prepare(answer);
    flags_of_dump = DUMP_INTR;
    code_of_dump = 0;
    good_from = from;
}

/* ---- answers that come with a change ---- */

/* Counters of link 5, after up to two notifications. */
static inline void answer_with_changes(void)
{
    if (step > 0)
        queue_notification(RTM_NEWLINK, 8, "new");
    if (step > 1)
        queue_notification(RTM_DELLINK, 8, "new");
    queue_stats(0, 5);
    queue_notification(RTM_NEWLINK, 9, "too late"); /* after the reply */
}

#endif
