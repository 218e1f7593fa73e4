/* SPDX-License-Identifier: MIT */
/* Signals and deadlines, by the clock of a scripted kernel. */
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "exchange.h"

/* ---- signals ---- */

static int interruptions, stop;

static int count_interruption(void *context)
{
    interruptions++;
    return *(int *)context;
}

static void hook(int stops)
{
    stop = stops;
    interruptions = 0;
    sock.interrupted = count_interruption;
    sock.interrupted_context = &stop;
}

static void answer_interrupted(void)
{
    queue_errno(EINTR);
    queue_errno(EINTR);
    answer_ok();
}

static void answer_later(void)
{
    if (step++ == 1) {
        kernel.refill = NULL;
        answer_ok();
    }
}

TEST(a_signal_does_not_end_a_call)
{
    prepare(answer_interrupted);
    CHECK(set_up() == 0);
    prepare(answer_interrupted);
    hook(0);
    CHECK(set_up() == 0 && interruptions == 2);
    fail_call(SEND, 1, EINTR);
    CHECK(set_up() == 0 && interruptions == 5);
    kernel.answer = NULL;
    kernel.refill = answer_later; /* during poll(), whose first call is interrupted */
    fail_call(POLL, 1, EINTR);
    step = 0;
    CHECK(set_up() == 0 && interruptions == 6 && kernel.calls[POLL] == 1);
}

static int set_up_fails(int wanted, enum netstrat_operation at)
{
    return failed_with(&error, set_up(), wanted, at);
}

TEST(the_interrupt_hook_can_end_a_call)
{
    int64_t began;

    prepare(answer_interrupted);
    hook(1);
    CHECK(set_up_fails(-EINTR, NETSTRAT_OP_RECVFROM));
    prepare(answer_ok);
    hook(1);
    fail_call(SEND, 1, EINTR);
    CHECK(set_up_fails(-EINTR, NETSTRAT_OP_SEND));
    prepare(NULL);
    hook(1);
    fail_call(POLL, 1, EINTR);
    CHECK(set_up_fails(-EINTR, NETSTRAT_OP_POLL));
    prepare(NULL); /* a signal just before poll() does not interrupt it */
    hook(1);
    sock.timeout_ms = 600000;
    began = kernel.now_ms;
    CHECK(set_up_fails(-EINTR, NETSTRAT_OP_POLL) && kernel.calls[POLL] == 1);
    CHECK(kernel.now_ms - began < 200);
}

static int close_socket(void *context)
{
    (void)context;
    netstrat_socket_close(&sock);
    return 0;
}

TEST(a_hook_that_closes_the_socket_ends_the_call)
{
    prepare(NULL);
    sock.timeout_ms = 600000;
    sock.interrupted = close_socket;
    CHECK(set_up_fails(-EBADF, NETSTRAT_OP_RECVFROM) && kernel.calls[POLL] == 1);
}

TEST(a_failure_of_poll_is_reported)
{
    prepare(NULL);
    fail_call(POLL, 1, ENOMEM);
    CHECK(set_up_fails(-ENOMEM, NETSTRAT_OP_POLL));
}

/* ---- deadlines ---- */

static void flood_unrelated(void)
{
    queue_ack(KERNEL, kernel.sequence - 1, 0);
}

static void flood_strangers(void)
{
    queue_ack(STRANGER, kernel.sequence, 0);
}

static void flood_notifications(void)
{
    queue_notification(RTM_NEWLINK, 3, "three");
}

static void flood_empty(void)
{
    (void)queue_datagram(KERNEL);
}

static void flood_cut(void)
{
    queue_cut_link(0, 0, 3, "three");
}

static void flood_enobufs(void)
{
    queue_errno(ENOBUFS);
}

static void flood_eintr(void)
{
    queue_errno(EINTR);
}

static void flood_rows(void)
{
    queue_stats(NLM_F_MULTI, 1);
}

static void flood_acks(void)
{
    queue_ack(KERNEL, kernel.sequence, 0);
}

enum { SET_UP, GET_LINK, GET_COUNTERS, DUMP_NAMES, DUMP_COUNTERS, EXECUTE, KINDS_OF_CALLS };

static int call(int which)
{
    switch (which) {
    case SET_UP:
        return set_up();
    case GET_LINK:
        return netstrat_link_get(&sock, "lo", &link_, NULL, &error);
    case GET_COUNTERS:
        return netstrat_counters_get(&sock, NULL, 1, &counters, &error);
    case DUMP_NAMES:
        return netstrat_link_names_dump(&sock, NULL, names, ROWS, &error);
    case DUMP_COUNTERS:
        return netstrat_counters_dump(&sock, indexes, rows, ROWS, &error);
    default:
        make_batch(2);
        return execute();
    }
}

static void (*const floods[])(void) = {NULL,          flood_unrelated, flood_strangers,
                                       flood_empty,   flood_cut,       flood_notifications,
                                       flood_enobufs, flood_eintr,     flood_rows,
                                       flood_acks};

enum { FLOODS = sizeof floods / sizeof *floods };

/* Whether the flood contains what this call accepts as its reply. */
static int is_answered(void (*flood)(void), int which)
{
    return (flood == flood_rows && which == GET_COUNTERS) ||
           (flood == flood_acks && which == SET_UP);
}

/* Makes one call in a flood, and returns how long it took by the fake clock. */
static int64_t call_in_flood(int flood, int watching, int which, int timeout_ms)
{
    int64_t start;
    int code;

    prepare(NULL);
    if (watching)
        watch_links(KNOWN);
    sock.timeout_ms = timeout_ms;
    kernel.refill = floods[flood];
    start = kernel.now_ms;
    code = call(which);
    if (is_answered(floods[flood], which) && !(watching && which == SET_UP)) {
        CHECK(code >= 0); /* the first datagram is the reply */
    } else {
        CHECK(code < 0 && error.code == code);
        if (code == -EBADMSG) /* counters instead of a link, or an ack instead of a reply */
            CHECK(floods[flood] == flood_rows || floods[flood] == flood_acks);
        else
            CHECK(code == -ETIMEDOUT && error.operation == NETSTRAT_OP_RECVFROM);
        CHECK(error.text_length == 0);
    }
    return kernel.now_ms - start;
}

TEST(a_flood_of_datagrams_ends_at_the_deadline)
{
    for (int flood = 0; flood < FLOODS; flood++)
        for (int watching = 0; watching < 2; watching++)
            for (int which = 0; which < KINDS_OF_CALLS; which++)
                CHECK(call_in_flood(flood, watching, which, 500) <= 502);
}

/* With a timeout of 0 the number of datagrams ends the call, since the clock is not read. */
TEST(a_flood_of_datagrams_ends_with_a_timeout_of_0)
{
    for (int flood = 0; flood < FLOODS; flood++)
        for (int which = SET_UP; which <= DUMP_NAMES; which += DUMP_NAMES) {
            CHECK(call_in_flood(flood, which == DUMP_NAMES, which, 0) == 0);
            CHECK(kernel.calls[POLL] == 0 && kernel.calls[RECVFROM] < 70000);
        }
}

TEST(a_timeout_of_0_reads_what_is_queued)
{
    prepare(NULL);
    sock.timeout_ms = 0;
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && kernel.calls[POLL] == 0);
    prepare(answer_ok);
    sock.timeout_ms = 0;
    CHECK(set_up() == 0);
    prepare(answer_after_others);
    sock.timeout_ms = 0;
    CHECK(set_up() == 0);
    prepare_dump(answer_dump, 3);
    sock.timeout_ms = 0;
    CHECK(dump_counters(ROWS) == 3 && kernel.calls[SEND] == 4);
    prepare(answer_with_changes);
    sock.timeout_ms = 0;
    step = 2; /* two notifications before the reply */
    CHECK(get_counters() == 0 && counters.rx_packets == 5001 && kernel.calls[POLL] == 0);
}

static void answer_slow_dump(void)
{
    kernel.now_ms += 40;
    answer_dump();
}

static void answer_slow_loss(void)
{
    kernel.now_ms += 40;
    queue_errno(ENOBUFS);
}

/* Rather than EAGAIN or ENOBUFS, which are retried. */
TEST(the_error_at_the_deadline_is_etimedout)
{
    prepare_dump(answer_slow_dump, 1000);
    FAILS(dump_counters(ROWS), -ETIMEDOUT, NETSTRAT_OP_RECVFROM);
    CHECK(kernel.calls[SEND] < 16 && error.text_length == 0);
    prepare_dump(answer_slow_loss, 1000);
    FAILS(get_counters(), -ETIMEDOUT, NETSTRAT_OP_RECVFROM);
    CHECK(kernel.calls[SEND] < 16 && error.text_length == 0);
    prepare(answer_slow_loss);
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM));
    CHECK(kernel.calls[SEND] < 16 && error.text_length == 0);
}

static void answer_a_signal(void)
{
    queue_errno(EINTR); /* after which the core reads the clock */
}

static void refuse_late(void)
{
    if (step++ == 0) {
        kernel.now_ms += 60;
        queue_ack(KERNEL, kernel.sequence, -EPERM);
    }
}

/* After a refusal the link is queried within the same timeout. */
TEST(one_deadline_covers_all_exchanges_of_a_call)
{
    prepare(answer_a_signal);
    kernel.refill = refuse_late;
    REFUSED(set_up(), -EPERM, RTM_NEWLINK);
    CHECK(kernel.calls[SEND] == 2 && kernel.now_ms >= 100 && kernel.now_ms < 110);
    kernel.now_ms = 5000; /* the next call has a deadline of its own */
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM));
    CHECK(kernel.now_ms >= 5100 && kernel.now_ms < 5110);
}

TEST(several_calls_can_share_a_deadline)
{
    prepare(NULL);
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && kernel.calls[POLL] == 1);
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) &&
          kernel.calls[POLL] == 2); /* not shared */
    sock.shared_deadline = 1;
    sock.deadline_ms = 0;
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && kernel.calls[POLL] == 3);
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && kernel.calls[POLL] == 3);
    kernel.answer = answer_ok; /* a reply that is queued already is read */
    CHECK(set_up() == 0);
    kernel.answer = NULL;
    FAILS(dump_counters(ROWS), -ETIMEDOUT, NETSTRAT_OP_RECVFROM);
    CHECK(kernel.calls[POLL] == 3);
    sock.deadline_ms = 0; /* the caller resets it */
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && kernel.calls[POLL] == 4);
    CHECK(sock.shared_deadline == 1);
}

/* The timeout of poll() is an int. */
TEST(a_deadline_can_be_arbitrarily_far_ahead)
{
    static const int64_t ahead[] = {INT_MAX, (int64_t)INT_MAX + 1, (int64_t)1 << 32,
                                    ((int64_t)1 << 32) + 5, INT64_MAX - 1000};

    for (size_t i = 0; i < sizeof ahead / sizeof *ahead; i++) {
        prepare(NULL);
        sock.shared_deadline = 1;
        sock.deadline_ms = ahead[i];
        kernel.refill = answer_later; /* at the second recvfrom(), after a wait */
        CHECK(set_up() == 0 && kernel.calls[POLL] == 1);
    }
    prepare(NULL);
    sock.shared_deadline = 1;
    sock.deadline_ms = (int64_t)1 << 33; /* the wait is divided into several */
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && kernel.calls[POLL] >= 4);
    CHECK(kernel.now_ms >= (int64_t)1 << 33);
    kernel.calls[POLL] = 0;
    sock.deadline_ms = INT64_MIN; /* in the past */
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && kernel.calls[POLL] == 0);
}

TEST(a_negative_timeout_counts_as_0)
{
    prepare(NULL);
    sock.timeout_ms = -1;
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && kernel.calls[POLL] == 0);
    prepare(answer_after_others);
    sock.timeout_ms = INT_MIN;
    CHECK(set_up() == 0);
}

/* After a timeout the reply, or the rest of a dump, stays in the queue. */
TEST(a_call_discards_what_the_previous_one_left_queued)
{
    prepare(NULL);
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM));
    answer_ok();
    kernel.answer = answer_ok;
    kernel.calls[RECVFROM] = 0;
    CHECK(set_up() == 0);
    /* the late ack, an empty queue, the ack */
    CHECK(kernel.calls[RECVFROM] == 3 && kernel.count == 0);
    kernel.calls[RECVFROM] = 0;
    CHECK(set_up() == 0 && kernel.calls[RECVFROM] == 1);
}

TEST(what_processing_the_queue_has_discarded_is_not_looked_for_again)
{
    prepare(NULL);
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM));
    answer_ok();
    CHECK(netstrat_socket_process_pending(&sock, NULL) == 0 && kernel.count == 0);
    kernel.answer = answer_ok;
    kernel.calls[RECVFROM] = 0;
    CHECK(set_up() == 0 && kernel.calls[RECVFROM] == 1);
}
