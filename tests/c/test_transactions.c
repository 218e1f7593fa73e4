/* SPDX-License-Identifier: MIT */
/* Transactions of nf_tables, with the replies of a scripted kernel. */
#include "exchange.h"

#include <linux/netlink.h>

/* The numbers of the messages. */
enum { BEGIN, FIRST, SECOND, END, MESSAGES };

static void begin_transaction(void (*answer)(void))
{
    struct netstrat_nft_element element;

    prepare(answer);
    memset(&element, 0, sizeof element);
    CHECK(netstrat_prefix_parse("192.0.2.0/24", &element.address) == 0);
    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_batch_begin_nft(&batch, 7) == 0);
    CHECK(netstrat_batch_delete_nft_elements(&batch, NETSTRAT_NFT_SUBNETS4, &element, 1) == 0);
    CHECK(netstrat_batch_add_nft_elements(&batch, NETSTRAT_NFT_SUBNETS4, &element, 1) == 0);
    CHECK(netstrat_batch_end_nft(&batch) == 0);
}

static int transact(void)
{
    return netstrat_execute_atomic(&sock, &batch, &error);
}

static void ack(uint32_t item, int code)
{
    queue_ack(KERNEL, kernel.sequence + item, code);
}

static void accept_all(void)
{
    ack(SECOND, 0);
}

TEST(a_transaction_is_one_send_and_one_ack)
{
    begin_transaction(accept_all);
    CHECK(transact() == 0);
    CHECK(kernel.calls[SEND] == 1 && kernel.calls[RECVFROM] == 1 && kernel.messages == MESSAGES);
    CHECK(!sock.unfinished && !sock.in_call);
    /* The same batch can be sent again. */
    CHECK(transact() == 0);
}

TEST(only_the_last_change_asks_for_an_ack)
{
    struct netstrat_cursor rest = {request, 0, 0, 0};
    struct netstrat_message message;

    begin_transaction(accept_all);
    CHECK(transact() == 0);
    rest.end = batch.used;
    for (uint32_t item = 0; item < MESSAGES; item++) {
        CHECK(netstrat_message_next(&rest, &message) == 1);
        CHECK(message.sequence == kernel.sequence + item);
        CHECK(((message.flags & NLM_F_ACK) != 0) == (item == SECOND));
    }
}

static void refuse_first(void)
{
    ack(FIRST, -ENOENT);
    ack(SECOND, 0);
}

TEST(a_change_that_is_refused_fails_the_transaction)
{
    begin_transaction(refuse_first);
    REFUSED(transact(), -ENOENT, NETSTRAT_NFT_DELSETELEM);
    CHECK(error.item == FIRST && !sock.unfinished);
}

static void refuse_both(void)
{
    ack(FIRST, -ENOENT);
    ack(SECOND, -EEXIST);
}

TEST(the_first_of_two_refusals_is_reported)
{
    begin_transaction(refuse_both);
    REFUSED(transact(), -ENOENT, NETSTRAT_NFT_DELSETELEM);
}

static void refuse_stale(void)
{
    ack(BEGIN, -ERESTART);
}

TEST(a_refused_transaction_is_reported_with_its_first_change)
{
    begin_transaction(refuse_stale);
    REFUSED(transact(), -ERESTART, NETSTRAT_NFT_DELSETELEM);
    CHECK(error.item == BEGIN);
    kernel.answer = accept_all;
    CHECK(transact() == 0);
}

static void refuse_at_commit(void)
{
    ack(BEGIN, -ENOMEM);
    ack(SECOND, 0);
}

TEST(an_ack_after_the_refusal_of_the_whole_is_not_that_of_the_next_transaction)
{
    begin_transaction(refuse_at_commit);
    REFUSED(transact(), -ENOMEM, NETSTRAT_NFT_DELSETELEM);
    CHECK(sock.unfinished);
    kernel.answer = refuse_first;
    REFUSED(transact(), -ENOENT, NETSTRAT_NFT_DELSETELEM);
}

static void lose_the_ack(void)
{
    queue_errno(ENOBUFS);
}

TEST(a_lost_ack_leaves_the_outcome_open)
{
    begin_transaction(lose_the_ack);
    FAILS(transact(), -ENOBUFS, NETSTRAT_OP_RECVFROM);
    CHECK(sock.unfinished);
}

static void lose_after_a_refusal(void)
{
    ack(FIRST, -ENOENT);
    queue_errno(ENOBUFS);
}

TEST(a_refusal_decides_even_if_the_ack_is_lost)
{
    begin_transaction(lose_after_a_refusal);
    REFUSED(transact(), -ENOENT, NETSTRAT_NFT_DELSETELEM);
    CHECK(sock.unfinished);
}

static void say_nothing(void)
{
}

TEST(a_transaction_without_an_answer_times_out)
{
    begin_transaction(say_nothing);
    FAILS(transact(), -ETIMEDOUT, NETSTRAT_OP_RECVFROM);
}

static void answer_positive(void)
{
    ack(SECOND, 5);
}

TEST(a_malformed_ack_is_reported)
{
    begin_transaction(answer_positive);
    FAILS(transact(), -EBADMSG, NETSTRAT_OP_RECVFROM);
}

static void echo_first(void)
{
    queue_link(kernel.sequence + FIRST, 0, 1, "lo");
    ack(SECOND, 0);
}

TEST(an_echo_is_not_an_ack)
{
    begin_transaction(echo_first);
    CHECK(transact() == 0);
}

TEST(what_is_no_transaction_is_not_sent)
{
    uint32_t value;

    begin_transaction(accept_all);
    batch.count--;
    FAILS(transact(), -EINVAL, NETSTRAT_OP_BATCH);
    batch.count += 2;
    FAILS(transact(), -EINVAL, NETSTRAT_OP_BATCH);
    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_batch_begin_nft(&batch, 0) == 0 && netstrat_batch_end_nft(&batch) == 0);
    FAILS(transact(), -EINVAL, NETSTRAT_OP_BATCH);
    begin_transaction(accept_all);
    batch.count = MESSAGES;
    batch.used -= 4;
    FAILS(transact(), -EINVAL, NETSTRAT_OP_BATCH);
    batch.used += 4;
    value = 3; /* the length of the first message */
    memcpy(request, &value, sizeof value);
    FAILS(transact(), -EINVAL, NETSTRAT_OP_BATCH);
    value = UINT32_MAX;
    memcpy(request, &value, sizeof value);
    FAILS(transact(), -EINVAL, NETSTRAT_OP_BATCH);
    begin_transaction(accept_all);
    sock.groups = 1;
    FAILS(transact(), -EINVAL, NETSTRAT_OP_BATCH);
    CHECK(kernel.calls[SEND] == 0);
    sock.groups = 0;
    CHECK(transact() == 0);
}
