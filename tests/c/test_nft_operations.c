/* SPDX-License-Identifier: MIT */
/* The generation of nf_tables and the elements of a set, with the answers of a scripted kernel. */
#include "exchange.h"

#include <linux/netlink.h>

static struct netstrat_nft_element elements[2];

static void prepare_reading(void (*answer)(void))
{
    prepare(answer);
    sock.port = OWN_PORT;
    memset(elements, 0xa5, sizeof elements);
}

static int dump(size_t room)
{
    return netstrat_nft_elements_dump(&sock, NETSTRAT_NFT_PORTS4, elements, room, &error);
}

static size_t begin_reply(struct bytes *to, uint16_t type)
{
    const unsigned char fixed[4] = {1 /* NFPROTO_INET */, 0, 0, 0};
    size_t at = begin(to, type, NLM_F_MULTI, kernel.sequence, OWN_PORT);

    put(to, fixed, sizeof fixed);
    return at;
}

/* ---- the generation ---- */

static void answer_generation(void)
{
    struct bytes *to = &queue_datagram(KERNEL)->bytes;
    size_t at = begin_reply(to, NETSTRAT_NFT_NEWGEN);

    attribute(to, 1 /* NFTA_GEN_ID */, "\0\0\1\2", 4);
    finish(to, at);
}

static void answer_link(void)
{
    queue_link(kernel.sequence, OWN_PORT, 1, "lo");
}

static void refuse(void)
{
    queue_ack(KERNEL, kernel.sequence, -ENOENT);
}

TEST(the_generation_is_one_send_and_one_answer)
{
    uint32_t generation = 0;

    prepare_reading(answer_generation);
    CHECK(netstrat_nft_generation_get(&sock, &generation, &error) == 0 && generation == 0x102);
    CHECK(kernel.calls[SEND] == 1 && kernel.calls[RECVFROM] == 1);
    CHECK(kernel.type == NETSTRAT_NFT_GETGEN);
}

TEST(a_generation_that_is_refused_or_malformed_is_reported)
{
    uint32_t generation = 7;

    prepare_reading(refuse);
    REFUSED(netstrat_nft_generation_get(&sock, &generation, &error), -ENOENT, NETSTRAT_NFT_GETGEN);
    prepare_reading(answer_link);
    REFUSED(netstrat_nft_generation_get(&sock, &generation, &error), -EBADMSG, NETSTRAT_NFT_GETGEN);
    CHECK(generation == 7);
}

/* ---- the elements ---- */

/* Puts a published port of TCP, with a byte of its key missing or not. */
static void put_port(struct bytes *to, unsigned char port, size_t missing)
{
    const unsigned char key[8] = {6, 0, 0, 0, 0, port, 0, 0};
    const unsigned char data[8] = {192, 0, 2, 7, 0, 80, 0, 0};
    size_t item = open_attribute(to, 1 /* NFTA_LIST_ELEM */);
    size_t nest = open_attribute(to, 1 /* NFTA_SET_ELEM_KEY */);

    attribute(to, 1 /* NFTA_DATA_VALUE */, key, sizeof key - missing);
    close_attribute(to, nest);
    nest = open_attribute(to, 2 /* NFTA_SET_ELEM_DATA */);
    attribute(to, 1, data, sizeof data);
    close_attribute(to, nest);
    attribute(to, 6 /* NFTA_SET_ELEM_USERDATA */, "\0\4web", 6);
    close_attribute(to, item);
}

/* Queues a message with two ports. */
static void queue_ports(unsigned char first, size_t missing)
{
    struct bytes *to = &queue_datagram(KERNEL)->bytes;
    size_t at = begin_reply(to, NETSTRAT_NFT_NEWSETELEM);
    size_t list = open_attribute(to, 3 /* NFTA_SET_ELEM_LIST_ELEMENTS */);

    put_port(to, first, 0);
    put_port(to, (unsigned char)(first + 1), missing);
    close_attribute(to, list);
    finish(to, at);
}

static void answer_two(void)
{
    queue_ports(1, 0);
    queue_done(0, 0);
}

static void answer_four(void)
{
    queue_ports(1, 0);
    queue_ports(3, 0);
    queue_done(step++ == 0 ? DUMP_INTR : 0, 0);
}

static void answer_malformed(void)
{
    queue_ports(1, 0);
    queue_ports(3, 1);
    queue_done(0, 0);
}

static void answer_links(void)
{
    put_link(&queue_datagram(KERNEL)->bytes, RTM_NEWLINK, NLM_F_MULTI, kernel.sequence, OWN_PORT, 1,
             "lo");
    queue_done(0, 0);
}

TEST(the_elements_of_a_set_are_read_in_one_dump)
{
    struct netstrat_nft_element expected;

    memset(&expected, 0, sizeof expected);
    expected.target.family = AF_INET;
    expected.target.length = 32;
    memcpy(expected.target.bytes, "\300\0\2\7", 4);
    expected.protocol = 6;
    expected.port = 2;
    expected.target_port = 80;
    memcpy(expected.owner, "web", 4);
    prepare_reading(answer_two);
    CHECK(dump(2) == 2 && kernel.calls[SEND] == 1 && kernel.type == NETSTRAT_NFT_GETSETELEM);
    CHECK(elements[0].port == 1 && memcmp(&elements[1], &expected, sizeof expected) == 0);
}

/* All of them, and of one dump: the first is inconsistent. */
TEST(elements_without_room_are_counted)
{
    prepare_reading(answer_four);
    CHECK(dump(2) == 4 && kernel.calls[SEND] == 2 && elements[1].port == 2);
    CHECK(netstrat_nft_elements_dump(&sock, NETSTRAT_NFT_PORTS4, NULL, 0, NULL) == 4);
}

TEST(a_set_that_does_not_exist_or_is_another_is_reported)
{
    prepare_reading(refuse);
    REFUSED(dump(2), -ENOENT, NETSTRAT_NFT_GETSETELEM);
    prepare_reading(answer_malformed);
    REFUSED(dump(2), -EBADMSG, NETSTRAT_NFT_GETSETELEM);
    prepare_reading(answer_links);
    REFUSED(dump(2), -EBADMSG, NETSTRAT_NFT_GETSETELEM);
    kernel.answer = answer_two; /* what was left of the dump has been read */
    CHECK(dump(2) == 2);
}

TEST(what_is_no_set_is_not_sent)
{
    prepare_reading(answer_two);
    FAILS(netstrat_nft_elements_dump(&sock, NETSTRAT_NFT_SETS, elements, 2, &error), -EINVAL,
          NETSTRAT_OP_BATCH);
    CHECK(kernel.calls[SEND] == 0);
}
