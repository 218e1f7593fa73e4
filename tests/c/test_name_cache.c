/* SPDX-License-Identifier: MIT */
/* The name cache on the real kernel. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "real_kernel.h"

TEST(changes_of_flags_are_not_recorded)
{
    struct netstrat_counters counters;
    int code;

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
}

TEST_WITH(links_that_appear_change_and_disappear_are_recorded, NATIVE)
{
    struct netstrat_counters counters;
    struct netstrat_link link;
    int32_t first, second;

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
    REFUSED(netstrat_link_get(&sock, "ve2", &link, NULL, &error), -ENODEV, RTM_GETLINK);
    CHECK(is_recorded(first, "") && is_recorded(second, ""));
}

/* More notifications than the queue holds. */
TEST_WITH(lost_notifications_are_reported_and_calls_go_on, NATIVE)
{
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
}
