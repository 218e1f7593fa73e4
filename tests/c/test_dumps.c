/* SPDX-License-Identifier: MIT */
/* Dumps from a scripted kernel: consistent, interrupted, lost and malformed ones. */
#include <stddef.h>
#include <stdint.h>

#include "exchange.h"

/* ---- dumps ---- */

TEST(a_dump_fills_the_rows_and_counts_the_rest)
{
    prepare_dump(answer_dump, 0);
    CHECK(dump_counters(ROWS) == 3 && kernel.calls[SEND] == 1);
    CHECK(indexes[0] == 1 && indexes[2] == 3 && rows[2].rx_packets == 3001);
    CHECK(dump_names(ROWS) == 3 && kernel.calls[SEND] == 2);
    CHECK(names[0].index == 1 && !strcmp(names[2].name, "three"));
    memset(names, 0xa5, sizeof names);
    CHECK(dump_names(2) == 3);
    CHECK(names[1].index == 2 && names[2].index != 3);
    memset(indexes, 0, sizeof indexes);
    CHECK(dump_counters(1) == 3);
    CHECK(indexes[0] == 1 && indexes[1] == 0);
    CHECK(netstrat_link_names_dump(&sock, NULL, NULL, 0, NULL) == 3);
    CHECK(netstrat_counters_dump(&sock, NULL, NULL, 0, NULL) == 3);
}

/* One dump yields both, so that a reused index cannot mix them up. */
TEST(a_dump_by_name_reads_name_and_counters_from_one_message)
{
    prepare_dump(answer_dump, 0);
    CHECK(netstrat_counters_dump_by_name(&sock, names, rows, ROWS, &error) == 3);
    CHECK(kernel.calls[SEND] == 1 && kernel.type == RTM_GETLINK);
    CHECK(names[0].index == 1 && !strcmp(names[0].name, "one") && rows[0].rx_packets == 101);
    CHECK(names[2].index == 3 && !strcmp(names[2].name, "three") && rows[2].rx_packets == 301);
    CHECK(netstrat_counters_dump_by_name(&sock, names, rows, 2, &error) == 3);
    CHECK(netstrat_counters_dump_by_name(&sock, NULL, NULL, 0, NULL) == 3);
}

/* NLM_F_DUMP_INTR may be set only on NLMSG_DONE. */
static void answer_marked_done(void)
{
    queue_stats(NLM_F_MULTI, 1);
    queue_done(step++ < good_from ? 0x10 : 0, 0);
}

TEST(an_inconsistent_dump_is_repeated_16_times)
{
    prepare_dump(answer_dump, 15);
    CHECK(dump_counters(ROWS) == 3 && kernel.calls[SEND] == 16);
    prepare_dump(answer_dump, 16);
    REFUSED(dump_counters(ROWS), -EAGAIN, GETSTATS);
    CHECK(kernel.calls[SEND] == 16 && error.text_length == 0); /* not an extended ack */
    prepare_dump(answer_dump, 1000);
    REFUSED(dump_names(ROWS), -EAGAIN, RTM_GETLINK);
    prepare_dump(answer_marked_done, 2);
    CHECK(dump_counters(ROWS) == 1 && kernel.calls[SEND] == 3);
}

/* One link in each try. The first tries are lost, and none is consistent. */
static void answer_restless_dump(void)
{
    if (step++ < good_from) {
        queue_errno(ENOBUFS);
        return;
    }
    put_link(&queue_datagram(KERNEL)->bytes, RTM_NEWLINK, NLM_F_MULTI | 0x10, kernel.sequence,
             OWN_PORT, (int32_t)step, "one");
    queue_done(0, code_of_dump);
}

TEST(links_that_keep_changing_are_taken_from_the_third_complete_dump)
{
    struct netstrat_netns_link ends[ROWS];

    prepare_dump(answer_dump, 2);
    CHECK(netstrat_netns_links_dump(&sock, -1, 0, indexes, ends, rows, ROWS, &error) == 3);
    CHECK(kernel.calls[SEND] == 3 && ends[2].index == 3);
    prepare_dump(answer_restless_dump, 0);
    CHECK(netstrat_netns_links_dump(&sock, -1, 0, indexes, ends, rows, ROWS, &error) == 1);
    CHECK(kernel.calls[SEND] == 3 && indexes[0] == 3 && ends[0].index == 3);
    prepare_dump(answer_restless_dump, 5);
    CHECK(netstrat_netns_links_dump(&sock, -1, 0, indexes, ends, rows, ROWS, &error) == 1);
    CHECK(kernel.calls[SEND] == 8 && ends[0].index == 8 && rows[0].rx_packets == 801);
    prepare_dump(answer_restless_dump, 1000);
    CHECK(netstrat_netns_links_dump(&sock, -1, 0, indexes, ends, rows, ROWS, &error) == -EAGAIN);
    prepare_dump(answer_restless_dump, 0);
    code_of_dump = -ENOMEM; /* inconsistent, and incomplete */
    CHECK(netstrat_netns_links_dump(&sock, -1, 0, indexes, ends, rows, ROWS, &error) == -ENOMEM);
}

static void answer_with_two(void)
{
    queue_link(kernel.sequence, OWN_PORT, 2, "two");
}

TEST(a_link_of_another_namespace_is_not_the_reply)
{
    struct netstrat_netns_link end, before;

    memset(&end, 0xa5, sizeof end);
    before = end;
    prepare(answer_with_two); /* from its own namespace, as an old kernel does */
    CHECK(netstrat_netns_link_get(&sock, 7, 0, 2, &end, &counters, &error) == -EBADMSG);
    CHECK(error.operation == NETSTRAT_OP_REQUEST && error.request == RTM_GETLINK);
    CHECK(memcmp(&end, &before, sizeof end) == 0);
}

static void answer_lossy_dump(void)
{
    if (step++ < good_from) {
        queue_stats(NLM_F_MULTI, 7);
        queue_errno(ENOBUFS);
        queue_stats(NLM_F_MULTI, 8);
    } else {
        answer_dump();
    }
}

TEST(a_dump_with_lost_replies_is_repeated_16_times)
{
    prepare_dump(answer_lossy_dump, 3);
    CHECK(dump_counters(ROWS) == 3 && kernel.calls[SEND] == 4);
    CHECK(indexes[0] == 1 && kernel.count == 0);
    prepare_dump(answer_lossy_dump, 1000);
    CHECK(dump_counters(ROWS) == -EAGAIN && kernel.calls[SEND] == 16);
}

static void answer_busy(void)
{
    if (step++ < good_from)
        queue_ack(KERNEL, kernel.sequence, -EBUSY);
    else
        answer_dump();
}

TEST(a_dump_waits_for_an_abandoned_one)
{
    prepare_dump(answer_busy, 2);
    CHECK(dump_counters(ROWS) == 3 && kernel.calls[SEND] == 3);
}

TEST(nlmsg_done_can_carry_an_error)
{
    prepare_dump(answer_dump, 0);
    code_of_dump = -ENOMEM;
    REFUSED(dump_counters(ROWS), -ENOMEM, GETSTATS);
    CHECK(!strcmp(error.text, "fake words"));
    REFUSED(dump_names(ROWS), -ENOMEM, RTM_GETLINK);
}

/* A message of another type, a link without an index, a positive errno, an error, and counters. */
static void answer_odd_dump(void)
{
    struct bytes *bytes;

    if (step == 2) {
        queue_done(0, 1);
    } else {
        bytes = &queue_datagram(KERNEL)->bytes;
        if (step == 0)
            finish(bytes, begin(bytes, RTM_NEWADDR, NLM_F_MULTI, kernel.sequence, OWN_PORT));
        else if (step == 1)
            put_link(bytes, RTM_NEWLINK, NLM_F_MULTI, kernel.sequence, OWN_PORT, 0, "noindex");
        else if (step == 3)
            put_ack(bytes, 0, kernel.sequence, OWN_PORT, -EACCES, kernel.request, 16, NULL);
        else
            put_stats(bytes, NLM_F_MULTI, kernel.sequence, 1);
    }
    queue_done(0, 0);
}

/* The rest of the dump does not stay in the queue. */
TEST(a_dump_of_other_messages_is_an_error)
{
    static const int codes[] = {-EBADMSG, -EBADMSG, -EBADMSG, -EACCES, -EBADMSG};

    for (unsigned i = 0; i < 5; i++) {
        int code;

        prepare_dump(answer_odd_dump, 0);
        step = i;
        code = dump_names(ROWS);
        CHECK(i == 3 ? refused_with(&error, code, codes[i], RTM_GETLINK)
                     : failed_with(&error, code, codes[i], NETSTRAT_OP_RECVFROM));
        CHECK(kernel.count == 0 && kernel.calls[SEND] == 1);
        CHECK(netstrat_link_names_dump(&sock, NULL, names, ROWS, NULL) == codes[i]);
    }
}

static void answer_cut_dump(void)
{
    put_link(&queue_datagram(KERNEL)->bytes, RTM_NEWLINK, NLM_F_MULTI, kernel.sequence, OWN_PORT, 1,
             "one");
    put_link(&queue_datagram(KERNEL)->bytes, RTM_NEWLINK, NLM_F_MULTI, kernel.sequence, OWN_PORT, 2,
             "two");
    if (step == 0)
        kernel.queue[(kernel.first + 1) % QUEUE].cut = 50000;
    queue_done(0, 0);
}

TEST(a_truncated_dump_reports_the_required_size)
{
    prepare_dump(answer_cut_dump, 0);
    FAILS(dump_names(ROWS), -EMSGSIZE, NETSTRAT_OP_RECVFROM);
    CHECK(sock.required_size > 50000 && sock.required_size < 51000);
    CHECK(kernel.calls[SEND] == 1 && kernel.count == 0);
    step = 1;
    CHECK(dump_names(ROWS) == 2);
}

static int refuse_second_try(const struct netstrat_message *message, void *context)
{
    int *tries = (int *)context;

    if (!message)
        return ++*tries > 1 ? -ECANCELED : 0;
    return 0;
}

static int refuse_first_row(const struct netstrat_message *message, void *context)
{
    (void)context;
    return message ? -ECANCELED : 0;
}

TEST(a_callback_can_end_a_dump)
{
    int tries = 0;

    prepare_dump(answer_dump, 1000);
    make_batch(0);
    CHECK(netstrat_batch_dump_counters(&batch) == 0);
    FAILS(netstrat_dump(&sock, &batch, refuse_second_try, &tries, &error), -ECANCELED,
          NETSTRAT_OP_RECVFROM);
    CHECK(kernel.calls[SEND] == 1 && kernel.count == 0);
    FAILS(netstrat_dump(&sock, &batch, refuse_first_row, NULL, &error), -ECANCELED,
          NETSTRAT_OP_RECVFROM);
    CHECK(kernel.count == 0);
}

TEST(a_dump_is_copied_as_far_as_it_fits)
{
    unsigned char copy[1024], before[1024];
    struct netstrat_message message;
    struct netstrat_cursor rest;
    size_t whole = 0, used, size;
    int read = 0;

    prepare_dump(answer_dump, 0);
    make_batch(0);
    CHECK(netstrat_batch_dump_counters(&batch) == 0);
    CHECK(netstrat_dump_copy(&sock, &batch, NULL, 0, &whole, &error) == 0);
    CHECK(whole == 3 * (16 + 12 + 4 + 200));
    memset(before, 0xa5, sizeof before);
    for (size = 0; size < whole + 8; size += 4) {
        memcpy(copy, before, sizeof copy);
        CHECK(netstrat_dump_copy(&sock, &batch, copy, size, &used, &error) == 0 && used == whole);
        CHECK(memcmp(copy + size, before + size, sizeof copy - size) == 0);
    }
    rest.data = copy;
    rest.at = 0;
    rest.end = whole;
    rest.missing = 0;
    while (netstrat_message_next(&rest, &message) > 0) {
        CHECK(message.type == NEWSTATS && message.payload.end - message.payload.at == 12 + 4 + 200);
        read++;
    }
    CHECK(read == 3 && rest.at == rest.end);

    prepare_dump(answer_dump, 2); /* an inconsistent try leaves nothing in the copy */
    CHECK(netstrat_dump_copy(&sock, &batch, copy, sizeof copy, &used, &error) == 0);
    CHECK(used == whole && kernel.calls[SEND] == 3);
    used = 77;
    code_of_dump = -ENOMEM;
    CHECK(netstrat_dump_copy(&sock, &batch, copy, sizeof copy, &used, &error) == -ENOMEM);
    CHECK(used == 77);
}

static void answer_unpadded(void)
{
    struct bytes *bytes = &queue_datagram(KERNEL)->bytes;
    size_t at = begin(bytes, RTM_NEWLINK, NLM_F_MULTI, kernel.sequence, OWN_PORT);

    put(bytes, "abcde", 5);
    finish(bytes, at);
    queue_done(0, 0);
}

TEST(the_padding_of_a_copy_is_zero)
{
    unsigned char copy[64];
    size_t used = 0;

    prepare_dump(answer_unpadded, 0);
    make_batch(0);
    CHECK(netstrat_batch_dump_links(&batch, 0) == 0);
    memset(copy, 0xa5, sizeof copy);
    CHECK(netstrat_dump_copy(&sock, &batch, copy, sizeof copy, &used, &error) == 0 && used == 24);
    CHECK(!memcmp(copy + 16, "abcde\0\0\0", 8) && copy[24] == 0xa5);
    memset(copy, 0xa5, sizeof copy);
    CHECK(netstrat_dump_copy(&sock, &batch, copy, 23, &used, &error) == 0 && used == 24);
    CHECK(copy[0] == 0xa5 && copy[22] == 0xa5);
}

/* ---- lost replies ---- */

static void answer_enobufs(void)
{
    if (step++ < good_from)
        queue_errno(ENOBUFS);
    else if (kernel.type == RTM_NEWLINK)
        answer_ok();
    else
        queue_stats(0, 5);
}

TEST(a_query_with_a_lost_reply_is_repeated_16_times)
{
    prepare_dump(answer_enobufs, 2);
    CHECK(get_counters() == 0 && kernel.calls[SEND] == 3 && counters.rx_packets == 5001);
    prepare_dump(answer_enobufs, 1000);
    FAILS(get_counters(), -ENOBUFS, NETSTRAT_OP_RECVFROM);
    CHECK(kernel.calls[SEND] == 16);
    prepare_dump(answer_enobufs, 1000);
    watch_links(KNOWN);
    FAILS(get_counters(), -ENOBUFS, NETSTRAT_OP_RECVFROM);
    CHECK(watch.count > ROOM);
    prepare_dump(answer_enobufs, 0); /* returned by send() */
    fail_call(SEND, 1, ENOBUFS);
    CHECK(get_counters() == 0 && kernel.calls[SEND] == 2);
}

TEST(a_request_with_a_lost_ack_is_repeated)
{
    prepare_dump(answer_enobufs, 2);
    CHECK(set_up() == 0 && kernel.calls[SEND] == 3);
    prepare_dump(answer_enobufs, 1000);
    FAILS(set_up(), -ENOBUFS, NETSTRAT_OP_RECVFROM);
    CHECK(kernel.calls[SEND] == 16);
}

static void answer_behind_enobufs(void)
{
    queue_errno(ENOBUFS);
    queue_ack(KERNEL, kernel.sequence, step ? 0 : -ENODEV);
}

TEST(an_ack_queued_after_enobufs_counts)
{
    prepare(answer_behind_enobufs);
    REFUSED(set_up(), -ENODEV, RTM_NEWLINK);
    CHECK(kernel.calls[SEND] == 1);
    step = 1;
    CHECK(set_up() == 0 && kernel.calls[SEND] == 2);
}

static void answer_counters_behind_enobufs(void)
{
    queue_errno(ENOBUFS);
    queue_stats(0, 5);
}

/* ENOBUFS may mean that only a notification was lost. */
TEST(a_reply_queued_after_enobufs_counts)
{
    prepare(answer_counters_behind_enobufs);
    watch_links(KNOWN);
    CHECK(netstrat_counters_get(&sock, &watch, 5, &counters, &error) > 0); /* changes were lost */
    CHECK(kernel.calls[SEND] == 1 && counters.rx_packets == 5001 && watch.count > ROOM);
}

static void answer_dump_behind_enobufs(void)
{
    queue_stats(NLM_F_MULTI, 7);
    queue_errno(ENOBUFS);
    answer_dump();
}

TEST(a_dump_continues_after_enobufs)
{
    prepare_dump(answer_dump_behind_enobufs, 0);
    watch_links(KNOWN);
    CHECK(dump_counters(ROWS) == 4 && indexes[0] == 7 && indexes[1] == 1);
    CHECK(kernel.calls[SEND] == 1 && watch.count > ROOM);
}

TEST(a_failure_while_draining_the_queue_is_reported)
{
    prepare(NULL);
    queue_errno(ENOBUFS);
    queue_errno(EBADF);
    FAILS(get_counters(), -EBADF, NETSTRAT_OP_RECVFROM);
    prepare(NULL);
    queue_errno(ENOBUFS);
    queue_errno(EBADF);
    FAILS(dump_counters(ROWS), -EBADF, NETSTRAT_OP_RECVFROM);
}
