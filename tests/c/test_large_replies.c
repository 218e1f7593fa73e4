/* SPDX-License-Identifier: MIT */
/* Large dumps and replies on the real kernel: many links, and many alternative names. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "real_kernel.h"

enum { PAIRS = 40, LINKS = 2 * PAIRS + 1 };
enum { MOST = 496 }; /* alternative names of 127 bytes that a link can have */

static unsigned char large[2 * 65536];
static struct netstrat_link_name names[LINKS];

/* ---- many links ---- */

static void make_pairs(void)
{
    char name[16], peer[16];

    sock.timeout_ms = 60000; /* a busy machine can take more than 5 s */
    begin_batch();
    for (int i = 0; i < PAIRS; i++) {
        snprintf(name, sizeof name, "many%d", i);
        snprintf(peer, sizeof peer, "peer%d", i);
        CHECK(batch_veth(&batch, name, peer) == 0);
    }
    CHECK(execute() == 0);
    CHECK(netstrat_link_set_up(&sock, "many0", &error) == 0);
    CHECK(netstrat_link_set_up(&sock, "peer0", &error) == 0);
}

TEST_WITH(dumps_of_several_datagrams_agree, NATIVE)
{
    static struct netstrat_counters rows[LINKS], one;
    static struct netstrat_link_name again[LINKS];
    static int32_t indexes[LINKS];
    struct netstrat_link link;

    make_pairs();
    CHECK(netstrat_link_names_dump(&sock, NULL, names, LINKS, &error) == LINKS);
    CHECK(netstrat_counters_dump(&sock, indexes, rows, LINKS, &error) == LINKS);
    CHECK(netstrat_counters_dump_by_name(&sock, again, rows, LINKS, &error) == LINKS);
    for (int i = 0; i < LINKS; i++) {
        CHECK(indexes[i] == names[i].index && memcmp(&again[i], &names[i], sizeof *names) == 0);
        CHECK(netstrat_link_get(&sock, names[i].name, &link, &one, &error) == 0);
        CHECK(link.index == indexes[i]);
    }
    CHECK(netstrat_counters_dump(&sock, indexes, rows, 3, &error) == LINKS);
    CHECK(netstrat_counters_dump_by_name(&sock, again, rows, 3, &error) == LINKS);
    CHECK(netstrat_link_names_dump(&sock, NULL, names, 0, NULL) == LINKS);
}

TEST_WITH(a_dump_can_be_copied, NATIVE)
{
    static unsigned char copy[1 << 18];
    struct netstrat_message message;
    struct netstrat_link link;
    struct netstrat_cursor rest;
    size_t whole = 0, used = 0;
    int read = 0;

    make_pairs();
    CHECK(netstrat_link_names_dump(&sock, NULL, names, LINKS, &error) == LINKS);
    begin_batch();
    CHECK(netstrat_batch_dump_links(&batch, 0) == 0);
    CHECK(netstrat_dump_copy(&sock, &batch, copy, 100, &whole, &error) == 0);
    CHECK(whole > sizeof buffer && whole < sizeof copy);
    CHECK(netstrat_dump_copy(&sock, &batch, copy, whole, &used, &error) == 0 && used == whole);
    rest.data = copy;
    rest.at = 0;
    rest.end = used;
    rest.missing = 0;
    for (; netstrat_message_next(&rest, &message) > 0; read++)
        CHECK(netstrat_link_decode(&message, &link) == 0 && link.index == names[read].index);
    CHECK(read == LINKS && rest.at == rest.end);
}

TEST_WITH(an_abandoned_dump_does_not_block_the_next, NATIVE)
{
    make_pairs();
    sock.buffer_size = 512;
    FAILS(netstrat_link_names_dump(&sock, NULL, names, LINKS, &error), -EMSGSIZE,
          NETSTRAT_OP_RECVFROM);
    CHECK(sock.required_size > 512 && sock.required_size <= sizeof buffer);
    sock.buffer_size = sizeof buffer;
    CHECK(netstrat_link_names_dump(&sock, NULL, names, LINKS, &error) == LINKS);
}

TEST_WITH(a_timeout_of_0_suffices_for_a_dump_and_after_notifications, NATIVE)
{
    static struct netstrat_counters rows[LINKS], counters;
    static int32_t indexes[LINKS];

    make_pairs();
    sock.timeout_ms = 0;
    CHECK(netstrat_link_names_dump(&sock, NULL, names, LINKS, &error) == LINKS);
    CHECK(netstrat_counters_dump(&sock, indexes, rows, LINKS, &error) == LINKS);
    CHECK(netstrat_counters_dump_by_name(&sock, names, rows, LINKS, &error) == LINKS);
    watch_links();
    CHECK(netstrat_link_set_down(&other, "many0", NULL) == 0);
    CHECK(netstrat_link_set_up(&other, "many0", NULL) == 0);
    CHECK(netstrat_counters_get(&sock, &watch, 1, &counters, &error) > 0);
    CHECK(is_recorded(index_of("many0"), "many0"));
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
}

/* ---- many names ---- */

/* Makes a pair whose end many1 has the most alternative names, and returns its index. */
static int32_t make_named_pair(void)
{
    int32_t index;

    CHECK(make_veth(&other, "many0", "many1") == 0);
    index = index_of("many1");
    CHECK(add_alt_names(&other, index, MOST) == 0);
    return index;
}

TEST_WITH(a_link_with_the_most_alternative_names_is_read, NATIVE)
{
    char name[NETSTRAT_ALT_NAME_SIZE], wanted[NETSTRAT_ALT_NAME_SIZE];
    struct netstrat_link_name found;
    struct netstrat_counters counters;
    struct netstrat_link link;
    unsigned number = 0;
    int32_t index = make_named_pair();

    alt_name(index, 7, wanted);

    CHECK(netstrat_link_is_up(&sock, "many1", &error) == 0); /* the flags come first */
    CHECK(netstrat_link_set_up(&sock, wanted, &error) == 0);
    CHECK(netstrat_link_is_up(&sock, "many1", &error) == 1);
    FAILS(netstrat_link_get(&sock, "many1", &link, NULL, &error), -EMSGSIZE, NETSTRAT_OP_RECVFROM);
    CHECK(sock.required_size > MOST * 128 && sock.required_size <= sizeof large);
    FAILS(netstrat_counters_get_by_name(&sock, NULL, wanted, &found, &counters, &error), -EMSGSIZE,
          NETSTRAT_OP_RECVFROM);
    sock.buffer = large;
    sock.buffer_size = sock.required_size;
    CHECK(netstrat_counters_get_by_name(&sock, NULL, wanted, &found, &counters, &error) == 0);
    CHECK(!strcmp(found.name, "many1"));
    CHECK(netstrat_link_get(&sock, wanted, &link, &counters, &error) == 0);
    CHECK(!strcmp(link.name, "many1") && link.index == index);
    while (netstrat_altname_next(&link.altnames, name)) {
        alt_name(index, number++, wanted);
        CHECK(!strcmp(name, wanted));
    }
    CHECK(number == MOST);
}

TEST_WITH(counters_are_read_with_any_number_of_alternative_names, NATIVE)
{
    char wanted[NETSTRAT_ALT_NAME_SIZE];
    struct netstrat_counters counters, once;
    int32_t index = make_named_pair();

    alt_name(index, 7, wanted);
    CHECK(netstrat_counters_get(&sock, NULL, index, &counters, &error) == 0);
    memset(&once, 0xa5, sizeof once);
    CHECK(netstrat_counters_read(&sock, NULL, wanted, NULL, &once, &error) == 0);
    CHECK(memcmp(&once, &counters, sizeof once) == 0);
    memset(&once, 0xa5, sizeof once);
    CHECK(netstrat_counters_read_once("many1", &once, &error) == 0);
    CHECK(memcmp(&once, &counters, sizeof once) == 0);
}

TEST_WITH(a_dump_with_a_large_link_reports_the_required_size, NATIVE)
{
    static struct netstrat_counters rows[LINKS];
    static int32_t indexes[LINKS];
    int calls = 0, code;

    make_pairs();
    CHECK(add_alt_names(&other, index_of("many1"), MOST) == 0);
    /* The counters alone are small. */
    CHECK(netstrat_counters_dump(&sock, indexes, rows, LINKS, &error) == LINKS);
    FAILS(netstrat_link_names_dump(&sock, NULL, names, LINKS, &error), -EMSGSIZE,
          NETSTRAT_OP_RECVFROM);
    FAILS(netstrat_counters_dump_by_name(&sock, names, rows, LINKS, &error), -EMSGSIZE,
          NETSTRAT_OP_RECVFROM);
    sock.buffer = large;
    do {
        CHECK(sock.required_size > sock.buffer_size && sock.required_size <= sizeof large);
        sock.buffer_size = sock.required_size;
        code = netstrat_counters_dump_by_name(&sock, names, rows, LINKS, &error);
    } while (code == -EMSGSIZE && ++calls < 10);
    CHECK(code == LINKS);
    CHECK(netstrat_link_names_dump(&sock, NULL, names, LINKS, &error) == LINKS);
}

TEST_WITH(a_notification_that_does_not_fit_is_a_lost_change, NATIVE)
{
    struct netstrat_counters counters;

    (void)make_named_pair();
    CHECK(netstrat_link_set_up(&other, "many1", NULL) == 0);
    watch_links();
    CHECK(netstrat_link_set_down(&other, "many1", NULL) == 0);
    CHECK(netstrat_counters_get(&sock, &watch, 1, &counters, &error) > ROOM);
    watch.count = 0;
    CHECK(netstrat_link_set_up(&other, "many1", NULL) == 0);
    CHECK(netstrat_socket_process_pending(&sock, &error) == 0 && watch.count > ROOM);
    CHECK(netstrat_link_set_down(&other, "many1", NULL) == 0);
}

/* The one-shot function has a buffer of 4 KiB. */
TEST_WITH(lo_with_20_alternative_names_is_up_without_capabilities, NATIVE)
{
    CHECK(add_alt_names(&sock, 1, 20) == 0);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    in_child(without_rights);
    sock.buffer_size = 4096;
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
    CHECK(netstrat_link_set_down(&sock, "lo", &error) == 0);
    in_child(without_rights_and_down);
}
