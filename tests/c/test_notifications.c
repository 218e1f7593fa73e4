/* SPDX-License-Identifier: MIT */
/* Notifications from a scripted kernel, among replies and in a name cache. */
#include <stddef.h>
#include <stdint.h>

#include "exchange.h"

/* ---- notifications ---- */

static void answer_beside_notifications(void)
{
    struct bytes *bytes = &queue_datagram(KERNEL)->bytes;

    /* A notification with the sequence number of the request, caused by another process; the
     * reply follows in the same datagram. */
    put_link(bytes, RTM_NEWLINK, 0, kernel.sequence, OWN_PORT + 1, 8, "other");
    put_link(bytes, RTM_DELLINK, 0, 0, 0, 9, "gone");
    put_link(bytes, RTM_NEWLINK, 0, kernel.sequence, OWN_PORT, 5, "five");
}

TEST(the_port_distinguishes_a_reply_from_a_notification)
{
    prepare(answer_beside_notifications);
    watch_links(0);
    CHECK(get_link() == 0 && link_.index == 5);
    CHECK(watch.count == 2);
    CHECK(changes[0].index == 8 && !strcmp(changes[0].name, "other"));
    CHECK(changes[1].index == 9 && changes[1].name[0] == '\0');

    /* A socket in no group does not know its port, and compares only the sequence number. */
    prepare(answer_beside_notifications);
    CHECK(get_link() == 0 && link_.index == 8);
}

static void answer_beside_a_lookalike(void)
{
    queue_link(kernel.sequence, OWN_PORT, 8, "other");
    last_datagram()->groups = 1;
    queue_link(kernel.sequence, OWN_PORT, 5, "five");
}

TEST(a_multicast_message_is_not_the_reply)
{
    prepare(answer_beside_a_lookalike);
    watch_links(0);
    CHECK(get_link() == 0 && link_.index == 5);
    CHECK(watch.count == 1 && changes[0].index == 8);
    CHECK(sock.datagram_groups == 0);
}

static void answer_with_echo(void)
{
    queue_link(kernel.sequence, OWN_PORT, 5, "five"); /* the change that was asked for */
    if (step == 0)                                    /* the kernel sends it to a group */
        last_datagram()->groups = 1;
    if (step == 2)
        queue_cut_link(kernel.sequence, OWN_PORT, 5, "five");
    answer_ok();
}

static unsigned notified, lost;

static void count_notification(const struct netstrat_message *message, void *context)
{
    (void)context;
    notified += message != NULL;
    lost += message == NULL;
}

/* A socket in no group, whose notifications are counted. */
static void prepare_counting(void (*answer)(void))
{
    prepare(answer);
    sock.notified = count_notification;
    notified = lost = 0;
}

TEST(the_echo_of_a_change_is_a_notification)
{
    prepare_counting(answer_with_echo);
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0 && notified == 1 && lost == 0);
    step = 1; /* an echo that is sent only to this socket, before the ack */
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0 && notified == 2 && lost == 0);
    step = 2; /* a truncated one is lost */
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0 && notified == 3 && lost == 1);
}

TEST(lost_notifications_are_reported)
{
    prepare(answer_ok);
    watch_links(KNOWN);
    queue_errno(ENOBUFS);
    CHECK(process_pending() == 0 && watch.count > ROOM);
    watch.count = 0;
    queue_cut_link(0, 0, 5, "five");
    CHECK(process_pending() == 0 && watch.count > ROOM);
    watch.count = 0;
    queue_datagram(KERNEL)->cut = sizeof buffer + 1; /* nothing of it was received */
    CHECK(process_pending() == 0 && watch.count > ROOM);
    watch.count = 0;
    queue_notification(RTM_NEWLINK, 0, "noindex"); /* without an index */
    CHECK(process_pending() == 0 && watch.count > ROOM);
    watch.count = 0;
    put(&queue_datagram(KERNEL)->bytes, "abc", 3); /* not a message */
    CHECK(process_pending() == 0 && watch.count > ROOM);
    watch.count = 0;
    for (int32_t i = 0; i < ROOM + 1; i++) /* more than there is room for */
        queue_notification(RTM_NEWLINK, 20 + i, "many");
    CHECK(process_pending() == 0 && watch.count == ROOM + 1);
    queue_notification(RTM_NEWLINK, 20, "more");
    CHECK(process_pending() == 0 && watch.count == ROOM + 1);
    watch.count = 0;
    queue_ack(KERNEL, 0, 0); /* not about a link */
    CHECK(process_pending() == 0 && watch.count == 0);
    queue_errno(EBADF);
    FAILS(process_pending(), -EBADF, NETSTRAT_OP_RECVFROM);
}

static void answer_behind_cut(void)
{
    queue_cut_link(0, 0, 7, "long");
    queue_stats(0, 5);
}

/* The call does not fail. */
TEST(a_truncated_notification_is_a_lost_change)
{
    prepare(answer_behind_cut);
    watch_links(KNOWN);
    CHECK(netstrat_counters_get(&sock, &watch, 5, &counters, &error) == ROOM + 1);
    CHECK(counters.rx_packets == 5001);
    prepare(answer_behind_cut); /* without a name cache */
    CHECK(netstrat_counters_get(&sock, NULL, 5, &counters, &error) == 0);
}

static void answer_large_refusals(void)
{
    for (uint32_t i = 0; i < kernel.messages; i++) {
        struct datagram *datagram = queue_datagram(KERNEL);
        struct bytes *bytes = &datagram->bytes;
        uint32_t whole;

        put_ack(bytes, 0, kernel.sequence + i, OWN_PORT, -EEXIST, kernel.request, 36, NULL);
        datagram->cut = 20000;
        whole = (uint32_t)(bytes->length + datagram->cut);
        memcpy(bytes->data, &whole, sizeof whole);
        memcpy(bytes->data + 20, &whole, sizeof whole); /* the length of the request */
    }
}

/* In a refusal the kernel repeats the request after the errno. */
TEST(a_truncated_refusal_is_still_a_refusal)
{
    make_batch(2);
    prepare_counting(answer_large_refusals);
    REFUSED(execute(), -EEXIST, RTM_NEWLINK);
    CHECK(error.item == 0);
    CHECK(results[0] == -EEXIST && results[1] == -EEXIST);
    CHECK(lost == 0);
}

/* ---- the name cache ---- */

TEST(a_notification_that_changes_no_name_is_not_recorded)
{
    prepare(answer_ok);
    watch_links(KNOWN);
    for (int i = 0; i < 30; i++)
        queue_notification(RTM_NEWLINK, 5, "five");
    CHECK(process_pending() == 0 && watch.count == 1);
    queue_notification(RTM_NEWLINK, 5, "six"); /* a rename and its reversal are recorded */
    queue_notification(RTM_NEWLINK, 5, "six");
    queue_notification(RTM_NEWLINK, 5, "five");
    CHECK(process_pending() == 0 && watch.count == 3);
    watch.count = 0;
    queue_notification(RTM_DELLINK, 5, "five"); /* the deletion is recorded once */
    queue_notification(RTM_DELLINK, 5, "five");
    queue_notification(RTM_NEWLINK, 5, "five"); /* and so is a new link with the index */
    CHECK(process_pending() == 0 && watch.count == 2);
    CHECK(changes[0].name[0] == '\0' && !strcmp(changes[1].name, "five"));
}

/* Two links share an entry of the cache: they may be reported too often, but never too rarely. */
TEST(a_name_evicted_from_the_cache_is_reported_again)
{
    prepare(answer_ok);
    watch_links(KNOWN);
    queue_notification(RTM_NEWLINK, 5, "a");
    queue_notification(RTM_NEWLINK, 5 + KNOWN, "b");
    queue_notification(RTM_NEWLINK, 5, "a");
    CHECK(process_pending() == 0 && watch.count == 3);
    CHECK(changes[2].index == 5 && !strcmp(changes[2].name, "a"));
    watch.count = 0;
    queue_notification(RTM_NEWLINK, 5 + KNOWN, "a"); /* the name in the shared entry */
    queue_notification(RTM_NEWLINK, 5, "b");
    CHECK(process_pending() == 0 && watch.count == 2);
    CHECK(changes[0].index == 5 + KNOWN && !strcmp(changes[0].name, "a"));
    CHECK(changes[1].index == 5 && !strcmp(changes[1].name, "b"));
}

TEST(without_a_cache_every_notification_is_recorded)
{
    prepare(answer_ok);
    watch_links(0);
    queue_notification(RTM_NEWLINK, 5, "a");
    queue_notification(RTM_NEWLINK, 5, "a");
    CHECK(process_pending() == 0 && watch.count == 2);
}

/* After a loss, a cached name must not suppress a record. */
TEST(a_loss_clears_the_cache)
{
    prepare(answer_ok);
    watch_links(KNOWN);
    queue_notification(RTM_NEWLINK, 5, "a");
    queue_errno(ENOBUFS);
    CHECK(process_pending() == 0 && watch.count > ROOM);
    watch.count = 0;
    queue_notification(RTM_NEWLINK, 5, "a");
    CHECK(process_pending() == 0 && watch.count == 1);
    for (int32_t i = 0; i < ROOM; i++) /* there is no room for one of these */
        queue_notification(RTM_NEWLINK, 10 + i, "b");
    CHECK(process_pending() == 0 && watch.count > ROOM);
    watch.count = 0;
    queue_notification(RTM_NEWLINK, 5, "a");
    queue_notification(RTM_NEWLINK, 11, "b");
    CHECK(process_pending() == 0 && watch.count == 2);
    watch_links(KNOWN); /* a new start clears it, too */
    queue_notification(RTM_NEWLINK, 5, "a");
    CHECK(process_pending() == 0 && watch.count == 1);
}

static void answer_five(void)
{
    if (kernel.type == RTM_NEWLINK) {
        answer_ok();
    } else {
        queue_link(kernel.sequence, OWN_PORT, 5, "five");
        if (step == 1)
            queue_done(0, 0);
    }
}

TEST(names_that_were_queried_are_cached)
{
    struct netstrat_link_name found;

    prepare(answer_five);
    watch_links(KNOWN);
    CHECK(netstrat_counters_get_by_name(&sock, &watch, "x", &found, &counters, &error) == 0);
    queue_notification(RTM_NEWLINK, 5, "five");
    CHECK(process_pending() == 0 && watch.count == 0);
    watch_links(KNOWN);
    step = 1;
    CHECK(netstrat_link_names_dump(&sock, &watch, names, ROWS, &error) == 1);
    queue_notification(RTM_NEWLINK, 5, "five");
    CHECK(process_pending() == 0 && watch.count == 0);
    queue_notification(RTM_NEWLINK, 5, "renamed");
    CHECK(process_pending() == 0 && watch.count == 1);
}

TEST(counters_are_returned_with_the_number_of_earlier_changes)
{
    prepare(answer_with_changes);
    watch_links(KNOWN);
    CHECK(netstrat_counters_get(&sock, &watch, 5, &counters, &error) == 0);
    step = 1;
    CHECK(netstrat_counters_get(&sock, &watch, 5, &counters, &error) == 2);
    step = 2;
    CHECK(netstrat_counters_get(&sock, &watch, 5, &counters, &error) == 3);
    CHECK(counters.rx_packets == 5001);
}
