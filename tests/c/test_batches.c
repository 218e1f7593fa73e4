/* SPDX-License-Identifier: MIT */
/* Batches on the real kernel: each message has its result, whatever else is in the queue. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "real_kernel.h"

/* ---- results ---- */

TEST(a_batch_goes_on_after_a_failure)
{
    begin_batch();
    add_set("lo", IFF_UP);
    add_set("nonesuch", IFF_UP);
    add_set("lo", 0);
    add_set("an-alternative-name", IFF_UP);
    add_set("lo", IFF_UP);
    REFUSED(execute(), -ENODEV, RTM_NEWLINK);
    CHECK(error.item == 1);
    CHECK(results[0] == 0 && results[1] == -ENODEV && results[2] == 0 && results[4] == 0);
    CHECK(results[3] < 0); /* -EINVAL before Linux 5.5, which added alternative names */
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);

    /* The same batch can be sent again: its sequence numbers are new. */
    CHECK(netstrat_execute(&sock, &batch, results, NULL) == -ENODEV);
    CHECK(results[0] == 0 && results[4] == 0);
}

/* Executes `count` messages, of which only message `bad` is refused. */
static void check_many(uint32_t count, uint32_t bad)
{
    begin_batch();
    for (uint32_t i = 0; i < count; i++)
        add_set(i == bad ? "nonesuch" : "lo", i % 2 ? IFF_UP : 0);
    REFUSED(execute(), -ENODEV, RTM_NEWLINK);
    CHECK(error.item == bad);
    for (uint32_t i = 0; i < count; i++)
        if (results[i] != (i == bad ? -ENODEV : 0)) {
            CHECK(results[i] == (i == bad ? -ENODEV : 0));
            printf("  message %u of %u: %d\n", i, count, results[i]);
            return;
        }
    CHECK(results[count] == 9);
}

TEST_WITH(every_message_of_a_large_batch_has_its_result, NATIVE)
{
    check_many(270, 0);
    check_many(270, 269);
    check_many(10000, 9876);
}

TEST_WITH(every_message_has_its_result_on_a_socket_in_a_group, NATIVE)
{
    watch_links();
    check_many(80, 40);
    check_many(270, 140);
    check_many(10000, 9876);
    CHECK(watch.count > ROOM); /* it leaves its group for each batch */
}

TEST_WITH(a_large_batch_fits_small_buffers, NATIVE)
{
    for (int watching = 0; watching < 2; watching++) {
        open_socket();
        if (watching)
            watch_links();
        set_buffers(16384, 0);
        check_many(1000, 501);
        set_buffers(0, 2048);
        check_many(1000, 777);
    }
}

TEST_WITH(a_callers_own_message_is_refused_under_its_type, NATIVE)
{
    struct ifaddrmsg address;
    const uint32_t one = 1;

    begin_batch();
    add_set("lo", IFF_UP);
    CHECK(batch_delete_link(&batch, "nonesuch") == 0);
    REFUSED(execute(), -ENODEV, RTM_DELLINK);
    CHECK(error.item == 1);

    begin_batch();
    memset(&address, 0, sizeof address);
    address.ifa_family = AF_INET;
    address.ifa_prefixlen = 24;
    address.ifa_index = 12345;
    netstrat_batch_begin(&batch, RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE);
    netstrat_batch_append(&batch, &address, sizeof address);
    netstrat_batch_put(&batch, IFA_LOCAL, &one, sizeof one);
    CHECK(netstrat_batch_finish(&batch) == 0);
    REFUSED(execute(), -ENODEV, RTM_NEWADDR);
    CHECK(error.item == 0);
}

TEST(a_malformed_batch_changes_nothing)
{
    uint32_t length = 77;

    begin_batch();
    add_set("lo", 0);
    netstrat_batch_begin(&batch, RTM_NEWLINK, NLM_F_REQUEST); /* without NLM_F_ACK */
    CHECK(netstrat_batch_finish(&batch) == 0);
    FAILS(execute(), -EINVAL, NETSTRAT_OP_BATCH);
    CHECK(error.item == 1);

    begin_batch();
    add_set("lo", 0);
    CHECK(netstrat_batch_dump_links(&batch, 0) == 0);
    FAILS(execute(), -EINVAL, NETSTRAT_OP_BATCH);
    CHECK(error.item == 1);

    begin_batch();
    add_set("lo", 0);
    add_set("lo", 0);
    memcpy(request + 40 - 4, &length, sizeof length);
    memcpy(request, &length, sizeof length);
    FAILS(execute(), -EINVAL, NETSTRAT_OP_BATCH);
    CHECK(error.item == 0);
    CHECK(results[0] == 9 && sock.sequence == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
}

/* ---- acks, whatever else is in the queue ---- */

/* A request of 300 bytes, which the kernel repeats in a refusal. */
static void add_alias(const char *name, uint16_t flags)
{
    char alias[NETSTRAT_ALIAS_SIZE];

    memset(alias, 'x', sizeof alias);
    netstrat_batch_begin(&batch, RTM_NEWLINK, (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags));
    append_info(&batch, 0);
    netstrat_batch_put_string(&batch, IFLA_IFNAME, name);
    netstrat_batch_put(&batch, IFLA_IFALIAS, alias, sizeof alias - 1);
    CHECK(netstrat_batch_finish(&batch) == 0);
}

TEST_WITH(no_ack_is_lost_whatever_the_queue_holds, NATIVE)
{
    static const int sizes[] = {1, 2304, 4608, 6000, 8192, 12000, 16384, 65536, 0};
    static const uint32_t counts[] = {1, 2, 3, 8, 11, 14, 20, 26, 40, 60, 200};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int joined = 0; joined < 2; joined++) {
            open_socket();
            if (joined) /* a group whose notifications nobody reads */
                CHECK(netstrat_socket_join(&sock, RTNLGRP_LINK, &error) == 0);
            set_buffers(sizes[i], 0);
            for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
                begin_batch();
                for (uint32_t k = 0; k < counts[j]; k++)
                    add_set("lo", k % 2 ? IFF_UP : 0);
                check_all(counts[j], 0);
                begin_batch();
                for (uint32_t k = 0; k < counts[j]; k++)
                    add_alias("nonesuch", 0);
                check_all(counts[j], -ENODEV);
            }
            CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
        }
}

/* The kernel sends the echo to the socket before the ack (for links since Linux 6.2). */
TEST_WITH(no_ack_is_lost_among_echoes, NATIVE)
{
    static const uint32_t counts[] = {1, 60};
    uint16_t flags;

    for (int joined = 0; joined < 2; joined++) {
        open_socket();
        sock.timeout_ms = 60000; /* 60 pairs can take more than 5 s on a busy machine */
        if (joined)
            watch_links();
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++)
            for (int deleting = 0; deleting < 2; deleting++) {
                begin_batch();
                for (uint32_t k = 0; k < counts[j]; k++) {
                    char name[16], peer[16];
                    size_t start = batch.used;

                    snprintf(name, sizeof name, "echo%u", k);
                    snprintf(peer, sizeof peer, "peer%u", k);
                    CHECK((deleting ? batch_delete_link(&batch, name)
                                    : batch_veth(&batch, name, peer)) == 0);
                    memcpy(&flags, request + start + 6, sizeof flags);
                    flags |= NLM_F_ECHO;
                    memcpy(request + start + 6, &flags, sizeof flags);
                }
                check_all(counts[j], 0);
            }
    }

    /* If the queue has no room for both, nothing is sent. */
    open_socket();
    set_buffers(2304, 0);
    begin_batch();
    add_set("lo", 0);
    add_alias("lo", NLM_F_ECHO);
    FAILS(execute(), -ENOBUFS, NETSTRAT_OP_BATCH);
    CHECK(error.item == 1);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
}

/* The queue is full of replies that were not read: only the second ack fits. */
TEST_WITH(a_full_queue_does_not_keep_a_link_down, NATIVE)
{
    set_buffers(2048, 0);
    begin_batch();
    CHECK(netstrat_batch_get_link(&batch, "lo") == 0);
    for (int i = 0; i < 20; i++)
        CHECK(send(sock.fd, batch.data, batch.used, 0) == (ssize_t)batch.used);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
}

static unsigned noted_links, noted_addresses;

static void count_kinds(const struct netstrat_message *message, void *context)
{
    (void)context;
    noted_links += message && message->type == RTM_NEWLINK;
    noted_addresses += message && message->type == RTM_NEWADDR;
}

static void add_address(struct netstrat_socket *by, uint8_t last)
{
    unsigned char own[128];
    struct netstrat_batch one;
    struct ifaddrmsg address;
    const uint32_t local = htonl(0xc0000200 + last); /* 192.0.2.0/24 */

    memset(&address, 0, sizeof address);
    address.ifa_family = AF_INET;
    address.ifa_prefixlen = 32;
    address.ifa_index = 1;
    netstrat_batch_init(&one, own, sizeof own);
    netstrat_batch_begin(&one, RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE);
    netstrat_batch_append(&one, &address, sizeof address);
    netstrat_batch_put(&one, IFA_LOCAL, &local, sizeof local);
    CHECK(netstrat_batch_finish(&one) == 0 && send_one(by, &one) == 0);
}

TEST_WITH(a_socket_rejoins_its_groups_after_a_change, NATIVE)
{
    CHECK(netstrat_socket_join(&sock, RTNLGRP_IPV4_IFADDR, &error) == 0);
    sock.notified = count_kinds;
    noted_links = noted_addresses = 0;
    add_address(&sock, 1);
    CHECK(noted_addresses == 0); /* the socket is not notified of its own change */
    add_address(&other, 2);
    CHECK(netstrat_link_set_down(&other, "lo", NULL) == 0);
    CHECK(netstrat_link_set_up(&other, "lo", NULL) == 0);
    CHECK(netstrat_socket_process_pending(&sock, &error) == 0);
    CHECK(noted_addresses == 1 && noted_links == 0);
}

/* A batch can contain queries. Each reply takes most of the queue here. */
TEST_WITH(no_ack_is_lost_among_large_replies, NATIVE)
{
    CHECK(make_veth(&other, "many0", "many1") == 0);
    CHECK(add_alt_names(&other, index_of("many1"), 496) == 0);
    begin_batch();
    for (int i = 0; i < 10; i++) {
        netstrat_batch_begin(&batch, RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK);
        append_info(&batch, 0);
        netstrat_batch_put_string(&batch, IFLA_IFNAME, "many1");
        CHECK(netstrat_batch_finish(&batch) == 0);
    }
    check_all(10, 0);
}
