/* SPDX-License-Identifier: MIT */
/* Exchanges with a scripted kernel: acks and replies, batches, queries, and single datagrams. */
#include <stddef.h>
#include <stdint.h>

#include "exchange.h"

/* Adds a message of 16 bytes. */
static int add_message(uint16_t type, uint16_t flags)
{
    netstrat_batch_begin(&batch, type, flags);
    netstrat_batch_append(&batch, "0123456789abcdef", 16);
    return netstrat_batch_finish(&batch);
}

/* ---- acks and answers ---- */

static void answer_nonsense(void)
{
    struct bytes *bytes = &queue_datagram(KERNEL)->bytes;

    if (step == 0) { /* a message that is longer than the datagram */
        put_ack(bytes, 0, kernel.sequence, OWN_PORT, 0, kernel.request, 16, NULL);
        bytes->length -= 8;
    } else if (step == 1) { /* an ack without its request */
        put_ack(bytes, 0, kernel.sequence, OWN_PORT, 0, kernel.request, 4, NULL);
    } else if (step == 2) { /* not a valid errno */
        put_ack(bytes, 0, kernel.sequence, OWN_PORT, 99, kernel.request, 16, NULL);
    } else { /* less than a header */
        put(bytes, "abc", 3);
    }
}

TEST(an_ack_ends_the_call)
{
    prepare(answer_ok);
    CHECK(set_up() == 0);
    CHECK(kernel.calls[SEND] == 1 && kernel.calls[RECVFROM] == 1 && kernel.calls[POLL] == 0 &&
          kernel.sequence == 1001);
    CHECK(kernel.now_ms == 0); /* the clock was not read */
}

TEST(datagrams_other_than_the_reply_are_ignored)
{
    prepare(answer_after_others);
    CHECK(set_up() == 0 && kernel.count == 0);
}

TEST(a_malformed_reply_is_an_error)
{
    for (unsigned i = 0; i < 4; i++) {
        prepare(answer_nonsense);
        step = i;
        FAILS(set_up(), -EBADMSG, NETSTRAT_OP_RECVFROM);
        step = i;
        FAILS(netstrat_link_get(&sock, "lo", &link_, NULL, &error), -EBADMSG, NETSTRAT_OP_RECVFROM);
    }
}

TEST(sequence_numbers_wrap_around_and_skip_0)
{
    prepare(answer_ok);
    sock.sequence = UINT32_MAX;
    CHECK(set_up() == 0 && kernel.sequence == 1);
    sock.sequence = UINT32_MAX - 1;
    CHECK(set_up() == 0 && kernel.sequence == UINT32_MAX);
}

static int add_nothing(const struct netstrat_message *message, void *context)
{
    (void)message, (void)context;
    return 0;
}

TEST(an_error_names_the_type_of_the_refused_message)
{
    static const uint16_t types[] = {RTM_DELLINK, RTM_NEWADDR, RTM_GETADDR, RTM_DELROUTE, 202};
    struct netstrat_message answer;
    int result;

    prepare(answer_refusal);
    REFUSED(set_up(), -ENODEV, RTM_NEWLINK);
    CHECK(!strcmp(error.text, "fake words") && error.item == 0);
    CHECK(netstrat_link_set_down(&sock, "lo", NULL) == -ENODEV);
    REFUSED(netstrat_link_get(&sock, "lo", &link_, NULL, &error), -ENODEV, RTM_GETLINK);
    REFUSED(netstrat_counters_get(&sock, NULL, 1, &counters, &error), -ENODEV, GETSTATS);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        netstrat_batch_init(&batch, request, sizeof request);
        CHECK(add_message(types[i], NLM_F_REQUEST | NLM_F_ACK) == 0);
        REFUSED(netstrat_execute(&sock, &batch, &result, &error), -ENODEV, types[i]);
        CHECK(!strcmp(error.text, "fake words"));
        if (types[i] % 4 != 2) /* only a GET is a query or a dump */
            continue;
        REFUSED(netstrat_query(&sock, &batch, 1, &answer, &error), -ENODEV, types[i]);
        CHECK(!strcmp(error.text, "fake words"));
        netstrat_batch_init(&batch, request, sizeof request);
        CHECK(add_message(types[i], NLM_F_REQUEST | NLM_F_DUMP) == 0);
        REFUSED(netstrat_dump(&sock, &batch, add_nothing, NULL, &error), -ENODEV, types[i]);
        CHECK(!strcmp(error.text, "fake words"));
    }
}

/* ---- permission ---- */

/* Refuses the change with EPERM, and answers the query that follows. */
static void answer_eperm(void)
{
    if (kernel.type == RTM_NEWLINK)
        queue_ack(KERNEL, kernel.sequence, -EPERM);
    else if (step == 0)
        queue_link(kernel.sequence, OWN_PORT, 1, "lo");
    else if (step == 3)
        queue_cut_link(kernel.sequence, OWN_PORT, 1, "lo");
    else
        queue_ack(KERNEL, kernel.sequence, step == 1 ? -ENOMEM : -ENODEV);
}

TEST(a_link_already_in_the_requested_state_needs_no_permission)
{
    prepare(answer_eperm);
    CHECK(set_up() == 0 && kernel.calls[SEND] == 2);
    REFUSED(netstrat_link_set_down(&sock, "lo", &error), -EPERM, RTM_NEWLINK);
    step = 1;
    REFUSED(set_up(), -EPERM, RTM_NEWLINK);
    CHECK(!strcmp(error.text, "fake words"));
    step = 2; /* the link does not exist */
    REFUSED(set_up(), -ENODEV, RTM_GETLINK);
    step = 3; /* the reply is truncated after the flags */
    CHECK(set_up() == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
}

TEST(eperm_from_send_is_not_mistaken_for_a_reply)
{
    prepare(answer_eperm);
    fail_call(SEND, 1, EPERM);
    FAILS(set_up(), -EPERM, NETSTRAT_OP_SEND);
    CHECK(kernel.calls[SEND] == 1);
}

/* ---- batches ---- */

static void answer_second_first(void)
{
    queue_ack(KERNEL, kernel.sequence + 1, -ENODEV);
    queue_ack(KERNEL, kernel.sequence + 1, 0); /* a second ack, which does not count */
    queue_ack(KERNEL, kernel.sequence, step ? -EBUSY : 0);
    if (step < 2)
        queue_ack(KERNEL, kernel.sequence + 2, 0);
}

TEST(acks_in_any_order_reach_their_messages)
{
    make_batch(3);
    prepare(answer_second_first);
    REFUSED(execute(), -ENODEV, RTM_NEWLINK);
    CHECK(error.item == 1);
    CHECK(results[0] == 0 && results[1] == -ENODEV && results[2] == 0 && results[3] == 9);
    step = 1; /* the first in the batch is reported, not the first ack */
    REFUSED(execute(), -EBUSY, RTM_NEWLINK);
    CHECK(error.item == 0);
    CHECK(results[0] == -EBUSY && results[1] == -ENODEV && results[2] == 0);
    CHECK(netstrat_execute(&sock, &batch, results, NULL) == -EBUSY);
}

TEST(a_message_without_an_ack_stays_pending)
{
    make_batch(3);
    prepare(answer_second_first);
    step = 2;
    FAILS(execute(), -ETIMEDOUT, NETSTRAT_OP_RECVFROM);
    CHECK(results[0] == -EBUSY && results[1] == -ENODEV && results[2] == NETSTRAT_PENDING);
    CHECK(error.text_length == 0); /* there is no extended ack */
    CHECK(netstrat_execute(&sock, &batch, results, NULL) == -ETIMEDOUT);
}

TEST(a_failed_send_leaves_all_messages_pending)
{
    make_batch(3);
    prepare(answer_second_first);
    fail_call(SEND, 1, ENOMEM);
    FAILS(execute(), -ENOMEM, NETSTRAT_OP_SEND);
    CHECK(results[0] == NETSTRAT_PENDING && results[2] == NETSTRAT_PENDING);
    fail_call(SEND, 1, SHORT);
    FAILS(execute(), -EIO, NETSTRAT_OP_SEND);
    fail_call(SEND, 1, EINTR);
    fail_call(SEND, 2, EINTR);
    CHECK(netstrat_execute(&sock, &batch, results, NULL) == -ENODEV && results[2] == 0);
}

TEST(an_empty_batch_succeeds)
{
    make_batch(0);
    prepare(NULL);
    CHECK(execute() == 0 && kernel.calls[SEND] == 0 && results[0] == 9);
}

TEST(a_malformed_batch_is_not_sent)
{
    static const uint16_t flags[] = {0, NLM_F_REQUEST, NLM_F_ACK};
    static const uint32_t lengths[] = {0, 15, 31, 33, 76, UINT32_MAX};
    size_t middle, i;

    prepare(answer_ok);
    for (i = 0; i < 3; i++) {
        make_batch(1);
        CHECK(add_message(RTM_NEWLINK, flags[i]) == 0);
        CHECK(netstrat_batch_set_link_flags(&batch, "b", IFF_UP, IFF_UP) == 0);
        FAILS(execute(), -EINVAL, NETSTRAT_OP_BATCH);
        CHECK(error.item == 1);
    }
    for (i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        make_batch(2);
        middle = batch.used;
        CHECK(add_message(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK) == 0);
        CHECK(netstrat_batch_set_link_flags(&batch, "b", IFF_UP, IFF_UP) == 0);
        memcpy(request + middle, &lengths[i], sizeof lengths[i]);
        FAILS(execute(), -EINVAL, NETSTRAT_OP_BATCH);
        CHECK(error.item == 2);
    }
    make_batch(0); /* a dump is not acknowledged */
    CHECK(add_message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP) == 0);
    FAILS(execute(), -EINVAL, NETSTRAT_OP_BATCH);
    CHECK(error.item == 0);
    CHECK(netstrat_execute(&sock, &batch, results, NULL) == -EINVAL);
    make_batch(2); /* with a wrong count */
    batch.count = 3;
    FAILS(execute(), -EINVAL, NETSTRAT_OP_BATCH);
    CHECK(error.item == 2);
    CHECK(results[0] == 9 && kernel.calls[SEND] == 0 && sock.sequence == 1000);
}

/* The acks that found no room are lost; queued ones follow ENOBUFS. */
static void answer_with_losses(void)
{
    queue_ack(KERNEL, kernel.sequence, 0);
    queue_errno(ENOBUFS);
    queue_ack(KERNEL, kernel.sequence + 1, step == 1 ? -EBUSY : 0);
    if (step == 2) {
        queue_errno(ENOBUFS);
        queue_ack(KERNEL, kernel.sequence + 2, 0);
    }
    if (step == 2 && kernel.messages == 4)
        queue_ack(KERNEL, kernel.sequence + 3, 0);
}

TEST(acks_queued_after_enobufs_are_read)
{
    make_batch(4);
    prepare(answer_with_losses);
    FAILS(execute(), -ENOBUFS, NETSTRAT_OP_RECVFROM);
    CHECK(kernel.calls[SEND] == 1);
    CHECK(results[0] == 0 && results[1] == 0);
    CHECK(results[2] == NETSTRAT_PENDING && results[3] == NETSTRAT_PENDING);
    CHECK(kernel.calls[POLL] == 0 && error.text_length == 0);
    step = 1; /* a known failure is reported rather than the loss */
    REFUSED(execute(), -EBUSY, RTM_NEWLINK);
    CHECK(error.item == 1);
    CHECK(results[1] == -EBUSY && results[2] == NETSTRAT_PENDING);
    step = 2; /* all acks arrive, so none of them was lost */
    CHECK(execute() == 0 && results[3] == 0);
    CHECK(netstrat_execute(&sock, &batch, results, NULL) == 0);
}

/* ---- batches in parts ---- */

static unsigned failing_part; /* counted from 1 */

static void answer_parts(void)
{
    queue_acks(3, ++step == failing_part ? -EEXIST : 0);
}

TEST(a_large_batch_is_sent_in_parts_that_fit_the_queue)
{
    make_batch(1000);
    prepare(answer_parts);
    kernel.receive_buffer = 100000;
    failing_part = 0;
    CHECK(execute() == 0);
    /* an ack takes at least 800 bytes of the queue */
    CHECK(kernel.calls[SEND] >= 1000 * 800 / 100000);
    CHECK(results[0] == 0 && results[999] == 0 && results[1000] == 9);
    CHECK(sock.sequence == 2000); /* each message was sent once */

    step = 0; /* a send that is too large for the send buffer would be refused */
    kernel.receive_buffer = 10000000;
    kernel.send_buffer = 5000;
    kernel.largest = 0;
    CHECK(execute() == 0 && kernel.largest <= 5000);
}

TEST(a_socket_leaves_its_groups_while_it_makes_changes)
{
    make_batch(1000);
    prepare(answer_parts);
    failing_part = 0;
    watch_links(KNOWN);
    queue_notification(RTM_NEWLINK, 7, "before"); /* read before the first message is sent */
    CHECK(execute() == 0 && results[0] == 0 && results[999] == 0);
    CHECK(kernel.is_member && kernel.memberships == 3); /* it rejoins afterwards */
    CHECK(watch.count > ROOM);                          /* and reports a loss */
    watch.count = 0;
    sock.notified = NULL;
    CHECK(execute() == 0 && kernel.is_member && watch.count == 0);
    kernel.answer = answer_refusal;
    REFUSED(set_up(), -ENODEV, RTM_NEWLINK);
    CHECK(kernel.is_member);
    kernel.answer = NULL;
    FAILS(execute(), -ETIMEDOUT, NETSTRAT_OP_RECVFROM);
    CHECK(kernel.is_member);
    queue_errno(EBADF); /* the queue cannot be drained, so nothing is sent */
    kernel.calls[SEND] = 0;
    FAILS(execute(), -EBADF, NETSTRAT_OP_RECVFROM);
    CHECK(kernel.is_member);
    fail_option(NETLINK_DROP_MEMBERSHIP, ENOMEM);
    FAILS(execute(), -ENOMEM, NETSTRAT_OP_SETSOCKOPT);
    CHECK(kernel.calls[SEND] == 0);
    /* the changes are made, but the socket stays outside of the group */
    fail_option(NETLINK_ADD_MEMBERSHIP, ENOMEM);
    kernel.answer = answer_parts;
    FAILS(execute(), -ENOMEM, NETSTRAT_OP_SETSOCKOPT);
    CHECK(results[999] == 0);
}

TEST(a_failure_in_a_later_part_keeps_its_position_in_the_batch)
{
    uint32_t part;

    make_batch(1000);
    prepare(answer_parts);
    failing_part = 0;
    CHECK(execute() == 0);
    part = 1000 / kernel.calls[SEND]; /* at most the size of a part */
    step = 0;
    failing_part = 3;
    REFUSED(execute(), -EEXIST, RTM_NEWLINK);
    CHECK(error.item >= 2 * part + 3 && results[error.item] == -EEXIST);
    for (uint32_t i = 0; i < 1000; i++)
        CHECK(results[i] == (i == error.item ? -EEXIST : 0));
}

static void answer_until_part(void)
{
    if (++step < failing_part)
        queue_acks(3, -EEXIST);
    else if (step == failing_part) {
        queue_acks(kernel.messages, 0);
        last_datagram()->code = ENOBUFS; /* in place of the last */
    } else
        queue_acks(3, -EPERM);
}

TEST(the_first_failure_of_all_parts_is_reported)
{
    uint32_t pending = 0;

    make_batch(1000);
    prepare(answer_until_part);
    failing_part = 2; /* in this part acks are lost, too */
    REFUSED(execute(), -EEXIST, RTM_NEWLINK);
    CHECK(error.item == 3);
    CHECK(results[3] == -EEXIST && results[999] == 0);
    for (uint32_t i = 0; i < 1000; i++)
        pending += results[i] == NETSTRAT_PENDING;
    CHECK(pending > 0 && pending <= 64);

    prepare(answer_until_part);
    failing_part = 1;
    REFUSED(execute(), -EPERM, RTM_NEWLINK);
    CHECK(error.item > 3);
}

static void answer_first_part_only(void)
{
    if (step++ == 0)
        queue_acks(3, -EEXIST);
}

TEST(a_timeout_is_reported_rather_than_an_earlier_refusal)
{
    make_batch(1000);
    prepare(answer_first_part_only);
    FAILS(execute(), -ETIMEDOUT, NETSTRAT_OP_RECVFROM);
    CHECK(error.text_length == 0 && error.request == 0);
    CHECK(results[0] == 0 && results[3] == -EEXIST && results[999] == NETSTRAT_PENDING);
    CHECK(kernel.calls[SEND] == 2); /* the rest is not sent */
}

TEST(buffer_sizes_are_queried_only_for_a_large_batch)
{
    make_batch(1000);
    prepare(answer_parts);
    failing_part = 0;
    fail_option(SO_RCVBUF, ENOBUFS);
    FAILS(execute(), -ENOBUFS, NETSTRAT_OP_GETSOCKOPT);
    CHECK(kernel.calls[SEND] == 0);
    CHECK(results[0] == NETSTRAT_PENDING && results[999] == NETSTRAT_PENDING);
    fail_option(SO_SNDBUF, ENOBUFS);
    FAILS(execute(), -ENOBUFS, NETSTRAT_OP_GETSOCKOPT);
    CHECK(kernel.calls[SEND] == 0);
    make_batch(20); /* this fits any queue */
    CHECK(execute() == 0 && kernel.calls[SEND] == 1);
    make_batch(1000); /* with invalid sizes the messages are sent one by one */
    fail_option(0, 0);
    kernel.receive_buffer = kernel.send_buffer = -1;
    kernel.calls[SEND] = 0;
    CHECK(execute() == 0 && kernel.calls[SEND] == 1000);
}

/* ---- questions ---- */

static void answer_oddly(void)
{
    struct datagram *datagram;

    switch (step) {
    case 0:
        queue_ack(KERNEL, kernel.sequence, 0);
        break; /* an ack is not a reply */
    case 1:
        queue_stats(0, 5);
        break;
    case 2:
        queue_link(kernel.sequence, OWN_PORT, 5, "five");
        break;
    case 3:
        queue_cut_link(kernel.sequence, OWN_PORT, 5, "five");
        break;
    case 4:
        queue_stats(0, 6);
        break;
    default: /* a link without counters */
        datagram = queue_datagram(KERNEL);
        begin(&datagram->bytes, RTM_NEWLINK, 0, kernel.sequence, OWN_PORT);
        put_info(&datagram->bytes, 5, 0);
        attribute(&datagram->bytes, IFLA_IFNAME, "five", 5);
        finish(&datagram->bytes, 0);
    }
}

static int get_by_name(struct netstrat_link_name *found)
{
    return netstrat_counters_get_by_name(&sock, NULL, "x", found, &counters, &error);
}

TEST(a_reply_of_the_wrong_type_is_an_error_and_writes_nothing)
{
    struct netstrat_link_name found, found_before;
    struct netstrat_counters counters_before;
    struct netstrat_link link_before;

    prepare(answer_oddly);
    memset(&counters, 0xa5, sizeof counters);
    memset(&link_, 0xa5, sizeof link_);
    memset(&found, 0xa5, sizeof found);
    counters_before = counters;
    link_before = link_;
    found_before = found;
    FAILS(netstrat_link_get(&sock, "x", &link_, &counters, &error), -EBADMSG, NETSTRAT_OP_RECVFROM);
    FAILS(get_by_name(&found), -EBADMSG, NETSTRAT_OP_RECVFROM);
    step = 1;
    REFUSED(netstrat_link_get(&sock, "x", &link_, &counters, &error), -EBADMSG, RTM_GETLINK);
    REFUSED(get_by_name(&found), -EBADMSG, RTM_GETLINK);
    REFUSED(netstrat_link_is_up(&sock, "x", &error), -EBADMSG, RTM_GETLINK);
    REFUSED(netstrat_counters_get(&sock, NULL, 6, &counters, &error), -EBADMSG, GETSTATS);
    step = 4; /* counters of another link */
    REFUSED(netstrat_counters_get(&sock, NULL, 5, &counters, &error), -EBADMSG, GETSTATS);
    step = 5;
    REFUSED(netstrat_link_get(&sock, "x", &link_, &counters, &error), -ENODATA, RTM_GETLINK);
    REFUSED(get_by_name(&found), -ENODATA, RTM_GETLINK);
    CHECK(memcmp(&counters, &counters_before, sizeof counters) == 0);
    CHECK(memcmp(&link_, &link_before, sizeof link_) == 0);
    CHECK(memcmp(&found, &found_before, sizeof found) == 0);
}

TEST(a_reply_is_decoded)
{
    struct netstrat_link_name found;

    prepare(answer_oddly);
    step = 4;
    CHECK(netstrat_counters_get(&sock, NULL, 6, &counters, &error) == 0);
    CHECK(counters.rx_packets == 6001);
    step = 2;
    CHECK(netstrat_link_get(&sock, "x", &link_, &counters, &error) == 0);
    CHECK(link_.index == 5 && !strcmp(link_.name, "five") && counters.rx_packets == 501);
    CHECK(netstrat_link_is_up(&sock, "x", &error) == 1);
    memset(&counters, 0, sizeof counters);
    CHECK(get_by_name(&found) == 0 && found.index == 5 && !strcmp(found.name, "five"));
    CHECK(counters.rx_packets == 501);
    step = 5; /* counters are not required here */
    CHECK(get_link() == 0);
}

TEST(a_truncated_reply_reports_the_required_size)
{
    struct netstrat_message answer, before;

    prepare(answer_oddly);
    step = 3;
    memset(&answer, 0xa5, sizeof answer);
    before = answer;
    make_batch(0);
    CHECK(netstrat_batch_get_link(&batch, "x") == 0);
    FAILS(netstrat_query(&sock, &batch, 1, &answer, &error), -EMSGSIZE, NETSTRAT_OP_RECVFROM);
    CHECK(sock.required_size > 65536 && sock.required_size < 66000);
    CHECK(memcmp(&answer, &before, sizeof answer) == 0);
    FAILS(get_link(), -EMSGSIZE, NETSTRAT_OP_RECVFROM);
    /* The caller may accept a truncated reply. */
    CHECK(netstrat_query(&sock, &batch, 0, &answer, &error) == 0);
    CHECK(answer.type == RTM_NEWLINK &&
          answer.payload.missing == sock.required_size - sizeof buffer);
}

TEST(a_query_writes_its_output_only_on_success)
{
    struct netstrat_message answer, before;

    memset(&answer, 0xa5, sizeof answer);
    before = answer;
    make_batch(0);
    CHECK(netstrat_batch_get_link(&batch, "x") == 0);
    prepare(answer_refusal);
    CHECK(netstrat_query(&sock, &batch, 1, &answer, &error) == -ENODEV);
    kernel.answer = answer_ok; /* an ack is not a reply */
    CHECK(netstrat_query(&sock, &batch, 1, &answer, &error) == -EBADMSG);
    kernel.answer = NULL;
    CHECK(netstrat_query(&sock, &batch, 1, &answer, &error) == -ETIMEDOUT);
    fail_call(SEND, 1, EBADF);
    CHECK(netstrat_query(&sock, &batch, 1, &answer, &error) == -EBADF);
    CHECK(memcmp(&answer, &before, sizeof answer) == 0);
}

TEST(a_query_must_be_one_complete_request)
{
    struct netstrat_message answer;
    uint32_t length;
    size_t used = 77;

    prepare(answer_oddly);
    for (int i = 0; i < 6; i++) {
        make_batch(i == 0 ? 0 : i == 1 ? 2 : 1);
        length = i == 2 ? 15 : i == 3 ? (uint32_t)batch.used + 4 : (uint32_t)batch.used;
        memcpy(request, &length, sizeof length);
        if (i == 4)
            batch.used = 8;
        if (i == 5) /* without NLM_F_REQUEST the kernel does not reply */
            memset(request + 6, 0, 2);
        FAILS(netstrat_query(&sock, &batch, 1, &answer, &error), -EINVAL, NETSTRAT_OP_BATCH);
        FAILS(netstrat_dump(&sock, &batch, add_nothing, NULL, &error), -EINVAL, NETSTRAT_OP_BATCH);
        CHECK(netstrat_dump_copy(&sock, &batch, NULL, 0, &used, NULL) == -EINVAL && used == 77);
    }
    CHECK(kernel.calls[SEND] == 0);
}

/* ---- without waiting ---- */

TEST(send_leaves_the_reply_to_the_caller)
{
    struct netstrat_cursor datagram;
    struct netstrat_message answer;

    prepare(answer_ok);
    make_batch(0);
    CHECK(netstrat_batch_get_link(&batch, "x") == 0);
    CHECK(netstrat_send(&sock, &batch, &error) == 0);
    CHECK(kernel.calls[SEND] == 1 && kernel.calls[RECVFROM] == 0 && kernel.calls[POLL] == 0);
    CHECK(kernel.type == RTM_GETLINK && kernel.sequence == sock.sequence && sock.sequence == 1001);
    CHECK(netstrat_socket_receive(&sock, &datagram, &error) == 0);
    CHECK(datagram.data == buffer && datagram.at == 0 && datagram.missing == 0);
    CHECK(netstrat_message_next(&datagram, &answer) == 1 && answer.sequence == sock.sequence);
    CHECK(answer.type == NLMSG_ERROR && kernel.calls[POLL] == 0);

    make_batch(2); /* must be one request */
    FAILS(netstrat_send(&sock, &batch, &error), -EINVAL, NETSTRAT_OP_BATCH);
    make_batch(1);
    fail_call(SEND, 1, ENOBUFS);
    FAILS(netstrat_send(&sock, &batch, &error), -ENOBUFS, NETSTRAT_OP_SEND);
    fail_call(SEND, 1, EINTR); /* it is sent again */
    CHECK(netstrat_send(&sock, &batch, NULL) == 0);
}

TEST(receive_takes_one_datagram_without_waiting)
{
    struct netstrat_cursor datagram, before;

    prepare(NULL);
    memset(&datagram, 0xa5, sizeof datagram);
    before = datagram;
    FAILS(netstrat_socket_receive(&sock, &datagram, &error), -EAGAIN, NETSTRAT_OP_RECVFROM);
    queue_errno(ENOBUFS);
    FAILS(netstrat_socket_receive(&sock, &datagram, &error), -ENOBUFS, NETSTRAT_OP_RECVFROM);
    CHECK(memcmp(&datagram, &before, sizeof datagram) == 0 && kernel.calls[POLL] == 0);

    queue_ack(STRANGER, 1, 0);
    queue_errno(EINTR);
    queue_notification(RTM_NEWLINK, 5, "five");
    queue_notification(RTM_DELLINK, 6, "six");
    CHECK(netstrat_socket_receive(&sock, &datagram, &error) == 0);
    CHECK(datagram.end == kernel.queue[3].bytes.length && datagram.missing == 0);
    CHECK(memcmp(datagram.data, kernel.queue[3].bytes.data, datagram.end) == 0 &&
          kernel.count == 1);

    sock.buffer_size = 20; /* too small for the next */
    CHECK(netstrat_socket_receive(&sock, &datagram, NULL) == 0);
    CHECK(datagram.end == 20 && datagram.missing == kernel.queue[4].bytes.length - 20);
    sock.timeout_ms = 0;
    sock.datagram_budget = 0;
    queue_ack(STRANGER, 1, 0);
    queue_notification(RTM_NEWLINK, 5, "five");
    CHECK(netstrat_socket_receive(&sock, &datagram, NULL) == 0);
    CHECK(netstrat_socket_receive(&sock, &datagram, NULL) == -EAGAIN);
}

TEST(the_receive_queue_is_set_as_large_as_permitted)
{
    prepare(NULL);
    CHECK(netstrat_socket_set_receive_buffer(&sock, 1000, &error) == 0);
    CHECK(kernel.receive_buffer == 500); /* the kernel doubles it */
    fail_call(SETSOCKOPT, 1, EPERM);     /* without CAP_NET_ADMIN, SO_RCVBUF remains */
    CHECK(netstrat_socket_set_receive_buffer(&sock, 2000, &error) == 0);
    CHECK(kernel.receive_buffer == 1000);
    fail_call(SETSOCKOPT, 1, EPERM);
    fail_call(SETSOCKOPT, 2, EPERM);
    FAILS(netstrat_socket_set_receive_buffer(&sock, 3000, &error), -EPERM, NETSTRAT_OP_SETSOCKOPT);
}
