/* SPDX-License-Identifier: MIT */
/* The name cache on the real kernel, in a network namespace of the program's own. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "../../csrc/netstrat.h"
#include "check.h"
#include "failed.h"
#include "sandbox.h"
#include "veth.h"

enum { ROOM = 16, KNOWN = 256 };

static unsigned char buffer[NETSTRAT_BUFFER_SIZE], other_buffer[NETSTRAT_BUFFER_SIZE];
static struct netstrat_socket sock, other;
static struct netstrat_error error;
static struct netstrat_link_name changes[ROOM], known[KNOWN];
static struct netstrat_name_watch watch;

static void open_socket(void)
{
    memset(&error, 0, sizeof error);
    CHECK(netstrat_socket_open(&sock, buffer, sizeof buffer, &error) == 0);
}

static void open_other(void)
{
    CHECK(netstrat_socket_open(&other, other_buffer, sizeof other_buffer, NULL) == 0);
}

static void watch_links(void)
{
    watch.changes = changes;
    watch.room = ROOM;
    watch.known = known;
    watch.known_size = KNOWN;
    CHECK(netstrat_name_watch_start(&watch, &sock, &error) == 0 && watch.count == 0);
}

/* Is this one of the changes? The name of a link that is gone is "". */
static int is_recorded(int32_t index, const char *name)
{
    for (uint32_t i = 0; i < watch.count && i < watch.room; i++)
        if (changes[i].index == index && !strcmp(changes[i].name, name))
            return 1;
    return 0;
}

static int32_t index_of(const char *name)
{
    struct netstrat_link link;

    CHECK(netstrat_link_get(&other, name, &link, NULL, NULL) == 0);
    return link.index;
}

static void test_changes_of_flags_take_no_room(void)
{
    struct netstrat_counters counters;
    int code;

    open_socket();
    open_other();
    watch_links();
    CHECK(sock.port != 0 && sock.notified != NULL);
    CHECK(netstrat_link_set_down(&other, "lo", NULL) == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 0);
    CHECK(watch.count == 1 && is_recorded(1, "lo")); /* its name was not known */
    for (int i = 0; i < 20; i++) {
        CHECK(netstrat_link_set_up(&other, "lo", NULL) == 0);
        CHECK(netstrat_link_set_down(&other, "lo", NULL) == 0);
        CHECK(netstrat_socket_process_pending(&sock, &error) == 0);
    }
    CHECK(netstrat_link_set_up(&other, "lo", NULL) == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1 && watch.count == 1);
    watch.count = 0;
    code = netstrat_counters_get(&sock, &watch, 1, &counters, &error);
    CHECK(is_emulated() ? code == -EOPNOTSUPP : code == 0);
    CHECK(watch.count == 0);
    netstrat_socket_close(&other);
    netstrat_socket_close(&sock);
}

static void test_links_that_appear_change_and_disappear_are_recorded(void)
{
    struct netstrat_counters counters;
    struct netstrat_link link;
    int32_t first, second;

    open_socket();
    open_other();
    watch_links();
    CHECK(make_veth(&other, "ve0", "ve1") == 0);
    first = index_of("ve0");
    second = index_of("ve1");
    CHECK(netstrat_counters_get(&sock, &watch, 1, &counters, &error) == 2);
    CHECK(is_recorded(first, "ve0") && is_recorded(second, "ve1"));
    watch.count = 0;
    CHECK(rename_link(&other, "ve0", "ve2") == 0);
    CHECK(netstrat_link_get(&sock, "ve2", &link, NULL, &error) == 0 && is_recorded(first, "ve2"));
    CHECK(!strcmp(link.kind, "veth") && link.peer == second && link.peer_nsid == -1);
    watch.count = 0;
    CHECK(delete_link(&other, "ve2") == 0);
    CHECK(refused_with(&error, netstrat_link_get(&sock, "ve2", &link, NULL, &error), -ENODEV,
                       RTM_GETLINK));
    CHECK(is_recorded(first, "") && is_recorded(second, ""));
    netstrat_socket_close(&other);
    netstrat_socket_close(&sock);
}

/* More notifications than the queue holds. */
static void test_lost_notifications_are_reported_and_calls_go_on(void)
{
    open_socket();
    open_other();
    watch_links();
    CHECK(netstrat_socket_set_receive_buffer(&sock, 32768, &error) == 0);
    for (int i = 0; i < 100; i++) {
        CHECK(netstrat_link_set_down(&other, "lo", NULL) == 0);
        CHECK(netstrat_link_set_up(&other, "lo", NULL) == 0);
    }
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
    CHECK(watch.count > watch.room);
    watch.count = 0;
    CHECK(netstrat_link_set_down(&other, "lo", NULL) == 0);
    CHECK(netstrat_link_set_up(&other, "lo", NULL) == 0);
    CHECK(netstrat_socket_process_pending(&sock, &error) == 0);
    CHECK(watch.count == 1); /* the cache was cleared */
    netstrat_socket_close(&other);
    netstrat_socket_close(&sock);
}

int main(void)
{
    int before;

    enter_sandbox(0);
    before = count_descriptors();
    CHECK(netstrat_link_set_up_once("lo", NULL) == 0);
    test_changes_of_flags_take_no_room();
    if (is_emulated()) {
        printf("emulated: no veth pairs, no RTM_GETSTATS\n");
    } else {
        test_links_that_appear_change_and_disappear_are_recorded();
        test_lost_notifications_are_reported_and_calls_go_on();
    }
    CHECK(count_descriptors() == before);
    return report();
}
