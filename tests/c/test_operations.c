/* SPDX-License-Identifier: MIT */
/* Whole operations on the real kernel. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "real_kernel.h"

/* Sends ten datagrams over 127.0.0.1 and returns how many arrive, which shows whether lo works. */
static unsigned send_traffic(void)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    unsigned arrived = 0;
    char byte = 'x';

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(receiver, (struct sockaddr *)&address, sizeof address) == 0 &&
        getsockname(receiver, (struct sockaddr *)&address, &size) == 0)
        for (int i = 0; i < 10; i++)
            if (sendto(sender, &byte, 1, 0, (struct sockaddr *)&address, size) == 1)
                arrived += recv(receiver, &byte, 1, 0) == 1;
    close(receiver);
    close(sender);
    return arrived;
}

/* ---- up and down ---- */

TEST(a_new_socket_is_close_on_exec_and_watches_nothing)
{
    CHECK(sock.fd >= 0 && fcntl(sock.fd, F_GETFD) == FD_CLOEXEC);
    CHECK(sock.port == 0 && sock.notified == NULL);
    netstrat_socket_close(&sock);
    CHECK(netstrat_socket_open(&sock, buffer, sizeof buffer, &error) == 0);
    CHECK(sock.timeout_ms == NETSTRAT_TIMEOUT_MS);
    netstrat_socket_close(&sock);
    CHECK(sock.fd == -1);
    netstrat_socket_close(&sock);
}

TEST(a_link_is_set_up_and_down)
{
    struct netstrat_link link;
    struct netstrat_counters counters;

    CHECK(unshare(CLONE_NEWNET) == 0); /* where lo has never been up */
    open_socket();
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 0);
    CHECK(send_traffic() == 0);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0); /* it is up already */
    CHECK(send_traffic() == 10);
    if (is_emulated() && htonl(1) == 1) {
        /* qemu-user does not convert the byte order of a last attribute without a value. */
        CHECK(netstrat_link_get(&sock, "lo", &link, &counters, &error) == -EBADMSG);
        printf("emulated: RTM_NEWLINK is malformed here: its attributes are left out\n");
    } else {
        CHECK(netstrat_link_get(&sock, "lo", &link, &counters, &error) == 0);
        CHECK(link.index == 1 && !strcmp(link.name, "lo") && link.mtu > 0 && link.kind[0] == '\0');
        CHECK((link.flags & (IFF_UP | IFF_LOOPBACK)) == (IFF_UP | IFF_LOOPBACK));
        CHECK(link.mac_length == 6 && link.hairpin == -1 && link.peer_nsid == -1);
        CHECK(counters.rx_packets >= 10 && counters.rx_packets == counters.tx_packets);
        CHECK(counters.rx_bytes >= 290 && counters.rx_bytes == counters.tx_bytes);
        CHECK(counters.rx_errors == 0 && counters.tx_dropped == 0);
    }
    CHECK(netstrat_link_set_down(&sock, "lo", &error) == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 0);
}

TEST(the_one_shot_functions_need_no_socket)
{
    CHECK(netstrat_link_set_down_once("lo", &error) == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", NULL) == 0);
    CHECK(netstrat_link_set_up_once("lo", &error) == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", NULL) == 1);
}

TEST(a_missing_link_is_reported)
{
    struct netstrat_link link;
    struct netstrat_counters counters;

    REFUSED(netstrat_link_set_up(&sock, "nonesuch", &error), -ENODEV, RTM_NEWLINK);
    REFUSED(netstrat_link_set_down(&sock, "nonesuch", &error), -ENODEV, RTM_NEWLINK);
    REFUSED(netstrat_link_is_up(&sock, "nonesuch", &error), -ENODEV, RTM_GETLINK);
    REFUSED(netstrat_link_get(&sock, "nonesuch", &link, &counters, &error), -ENODEV, RTM_GETLINK);
    REFUSED(netstrat_link_set_up_once("nonesuch", &error), -ENODEV, RTM_NEWLINK);
    CHECK(netstrat_link_set_up_once("nonesuch", NULL) == -ENODEV);
}

TEST(an_invalid_name_is_never_sent)
{
    char too_long[NETSTRAT_ALT_NAME_SIZE + 1];
    const char *const names[] = {"", too_long};
    struct netstrat_link_name found;
    struct netstrat_counters counters;
    struct netstrat_link link;

    memset(too_long, 'x', sizeof too_long);
    too_long[sizeof too_long - 1] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        FAILS(netstrat_link_set_up(&sock, names[i], &error), -EINVAL, NETSTRAT_OP_NAME);
        FAILS(netstrat_link_is_up(&sock, names[i], &error), -EINVAL, NETSTRAT_OP_NAME);
        FAILS(netstrat_link_set_up_once(names[i], &error), -EINVAL, NETSTRAT_OP_NAME);
        FAILS(netstrat_link_set_down_once(names[i], &error), -EINVAL, NETSTRAT_OP_NAME);
        FAILS(netstrat_link_get(&sock, names[i], &link, NULL, &error), -EINVAL, NETSTRAT_OP_NAME);
        FAILS(netstrat_counters_get_by_name(&sock, NULL, names[i], &found, &counters, &error),
              -EINVAL, NETSTRAT_OP_NAME);
    }
    CHECK(sock.sequence == 0);
}

TEST(a_closed_socket_fails_at_its_first_system_call)
{
    struct netstrat_counters counters;

    netstrat_socket_close(&sock);
    FAILS(netstrat_link_set_up(&sock, "lo", &error), -EBADF, NETSTRAT_OP_SEND);
    FAILS(netstrat_counters_get(&sock, NULL, 1, &counters, &error), -EBADF, NETSTRAT_OP_SEND);
    FAILS(netstrat_name_watch_start(&watch, &sock, &error), -EBADF, NETSTRAT_OP_GETSOCKNAME);
    CHECK(netstrat_link_names_dump(&sock, NULL, NULL, 0, NULL) == -EBADF);
}

TEST_WITH(an_object_that_was_never_opened_can_be_closed, NATIVE)
{
    struct netstrat_socket closed = NETSTRAT_SOCKET_INIT, zeroed;
    struct netstrat_sysfs_reader reader = NETSTRAT_SYSFS_READER_INIT;

    CHECK(fcntl(0, F_GETFD) >= 0 || open("/dev/null", O_RDONLY) == 0);
    netstrat_socket_close(&closed);
    memset(&zeroed, 0, sizeof zeroed);
    netstrat_socket_close(&zeroed);
    netstrat_sysfs_reader_close(&reader);
    memset(&reader, 0xa5, sizeof reader);
    CHECK(netstrat_sysfs_reader_open(&reader, AT_FDCWD, "/nowhere", "lo", NULL, NULL) == -ENOENT);
    netstrat_sysfs_reader_close(&reader);
    memset(&closed, 0, sizeof closed);
    CHECK(netstrat_socket_open_at(&closed, buffer, sizeof buffer, -1, NULL) == -EBADF);
    CHECK(closed.fd == -1);
    netstrat_socket_close(&closed);
    CHECK(fcntl(0, F_GETFD) >= 0);
}

TEST(without_capabilities_a_link_in_the_requested_state_succeeds)
{
    in_child(without_rights);
    CHECK(netstrat_link_set_down(&sock, "lo", &error) == 0);
    in_child(without_rights_and_down);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
}

/* ---- links and counters ---- */

TEST(a_link_is_queried_by_index)
{
    struct netstrat_link link, before;
    struct netstrat_counters counters, same;

    if (is_emulated() && htonl(1) == 1) {
        printf("emulated: RTM_NEWLINK is malformed here: no link is looked up\n");
        return;
    }
    CHECK(netstrat_link_get_index(&sock, 1, &link, &counters, &error) == 0);
    CHECK(link.index == 1 && !strcmp(link.name, "lo") && link.flags & NETSTRAT_IFF_LOOPBACK);
    CHECK(netstrat_link_get(&sock, "lo", &link, &same, &error) == 0);
    CHECK(memcmp(&counters, &same, sizeof same) == 0);
    CHECK(netstrat_link_get_index(&sock, 1, &link, NULL, &error) == 0);
    before = link;
    REFUSED(netstrat_link_get_index(&sock, 12345, &link, NULL, &error), -ENODEV, RTM_GETLINK);
    REFUSED(netstrat_link_get_index(&sock, 0, &link, NULL, &error), -ENODEV, RTM_GETLINK);
    REFUSED(netstrat_link_get_index(&sock, -1, &link, NULL, &error), -ENODEV, RTM_GETLINK);
    CHECK(memcmp(&link, &before, sizeof link) == 0);
}

/* Reads counters by index; by name under qemu-user, which does not implement RTM_GETSTATS. */
static int get_counters(int32_t index, struct netstrat_counters *counters)
{
    struct netstrat_link_name found;
    int code = netstrat_counters_get(&sock, sock.notified ? &watch : NULL, index, counters, &error);

    if (is_emulated() && code == -EOPNOTSUPP) {
        code = netstrat_counters_get_by_name(&sock, NULL, "lo", &found, counters, &error);
        return code < 0 || !sock.notified ? code : (int)watch.count;
    }
    return code;
}

TEST(every_function_returns_the_same_counters)
{
    struct netstrat_counters counters, one, dumped[4];
    struct netstrat_link_name names[4], found;
    int32_t indexes[4];

    CHECK(send_traffic() == 10);
    CHECK(get_counters(1, &counters) == 0);
    CHECK(counters.rx_packets >= 10 && counters.rx_bytes == counters.tx_bytes);
    CHECK(netstrat_counters_get_by_name(&sock, NULL, "lo", &found, &one, &error) == 0);
    CHECK(found.index == 1 && !strcmp(found.name, "lo") && !memcmp(&one, &counters, sizeof one));
    CHECK(netstrat_link_names_dump(&sock, NULL, names, 4, &error) >= 1);
    CHECK(names[0].index == 1 && !strcmp(names[0].name, "lo"));
    CHECK(netstrat_counters_dump_by_name(&sock, names, dumped, 4, &error) >= 1);
    CHECK(names[0].index == 1 && !strcmp(names[0].name, "lo"));
    CHECK(memcmp(&dumped[0], &counters, sizeof counters) == 0);
    CHECK(netstrat_link_names_dump(&sock, NULL, NULL, 0, NULL) >= 1); /* counts them only */
    CHECK(netstrat_counters_dump_by_name(&sock, NULL, NULL, 0, NULL) >= 1);
    if (!is_emulated()) {
        CHECK(netstrat_counters_dump(&sock, indexes, dumped, 4, &error) >= 1);
        CHECK(indexes[0] == 1 && memcmp(&dumped[0], &counters, sizeof counters) == 0);
        CHECK(netstrat_counters_dump(&sock, NULL, NULL, 0, NULL) >= 1);
    }
}

TEST_WITH(an_index_without_a_link_has_no_counters, NATIVE)
{
    struct netstrat_counters counters, before;

    memset(&counters, 0xa5, sizeof counters);
    before = counters;
    REFUSED(netstrat_counters_get(&sock, NULL, 12345, &counters, &error), -ENODEV, GETSTATS);
    CHECK(netstrat_counters_get(&sock, NULL, 0, &counters, &error) < 0);
    CHECK(netstrat_counters_get(&sock, NULL, -1, &counters, &error) < 0);
    CHECK(memcmp(&counters, &before, sizeof before) == 0);
}

/* The type of the last reply: RTM_NEWLINK for a query by name, RTM_NEWSTATS for one by index. */
static int answer_type(void)
{
    uint16_t type;

    memcpy(&type, sock.buffer + 4, sizeof type);
    return type;
}

TEST_WITH(counters_are_read_by_index_until_a_link_changes, NATIVE)
{
    struct netstrat_link_name found;
    struct netstrat_counters counters, untouched;

    CHECK(make_veth(&other, "many2", "many3") == 0);
    watch_links();
    memset(&found, 0, sizeof found);
    memset(&counters, 0xa5, sizeof counters);
    untouched = counters;
    CHECK(netstrat_counters_read(&sock, &watch, "many2", &found, &counters, &error) == 0);
    CHECK(answer_type() == RTM_NEWLINK && found.index == index_of("many2"));
    CHECK(!strcmp(found.name, "many2") && memcmp(&counters, &untouched, sizeof counters) != 0);
    for (int i = 0; i < 3; i++) {
        CHECK(netstrat_counters_read(&sock, &watch, "many2", &found, &counters, &error) == 0);
        CHECK(answer_type() == 92 /* RTM_NEWSTATS */ && watch.count == 0);
    }

    /* `found` belongs to another name. */
    CHECK(netstrat_counters_read(&sock, &watch, "lo", &found, &counters, &error) == 0);
    CHECK(answer_type() == RTM_NEWLINK && found.index == 1 && !strcmp(found.name, "lo"));
    CHECK(netstrat_counters_read(&sock, &watch, "many2", &found, &counters, &error) == 0);
    CHECK(answer_type() == RTM_NEWLINK && found.index == index_of("many2"));
    CHECK(sock.shared_deadline == 0); /* the caller's setting is unchanged */

    /* Another link takes the name. */
    CHECK(rename_link(&other, "many2", "moved") == 0);
    CHECK(rename_link(&other, "many3", "many2") == 0);
    CHECK(netstrat_counters_read(&sock, &watch, "many2", &found, &counters, &error) == 0);
    CHECK(answer_type() == RTM_NEWLINK && found.index == index_of("many2"));
    CHECK(netstrat_counters_read(&sock, &watch, "many2", &found, &counters, &error) == 0);
    CHECK(answer_type() == 92);

    /* The link loses the name, and no other has it. */
    CHECK(rename_link(&other, "many2", "many3") == 0);
    untouched = counters;
    REFUSED(netstrat_counters_read(&sock, &watch, "many2", &found, &counters, &error), -ENODEV,
            RTM_GETLINK);
    CHECK(memcmp(&counters, &untouched, sizeof counters) == 0);
    CHECK(rename_link(&other, "moved", "many2") == 0);
    CHECK(netstrat_counters_read(&sock, &watch, "many2", &found, &counters, &error) == 0);
    CHECK(found.index == index_of("many2"));
}

TEST(counters_are_read_by_name_without_a_cache)
{
    struct netstrat_counters counters, once;

    for (int i = 0; i < 2; i++) {
        CHECK(netstrat_counters_read(&sock, NULL, "lo", NULL, &counters, &error) == 0);
        CHECK(answer_type() == RTM_NEWLINK);
    }
    CHECK(netstrat_counters_read_once("lo", &once, &error) == 0);
    CHECK(memcmp(&once, &counters, sizeof once) == 0);
    REFUSED(netstrat_counters_read_once("nonesuch", &once, &error), -ENODEV, RTM_GETLINK);
    FAILS(netstrat_counters_read_once("", &once, &error), -EINVAL, NETSTRAT_OP_NAME);
    CHECK(memcmp(&once, &counters, sizeof once) == 0);
}

/* ---- notifications ---- */

TEST(a_socket_that_has_sent_a_request_has_a_port)
{
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
    watch_links();
    CHECK(sock.port != 0);
}

TEST(a_group_that_does_not_exist_cannot_be_joined)
{
    FAILS(netstrat_socket_join(&sock, 100000, &error), -EINVAL, NETSTRAT_OP_SETSOCKOPT);
    CHECK(sock.port == 0);
}

TEST(a_datagram_from_another_process_is_ignored)
{
    struct sockaddr_nl to;
    struct bytes forged;
    int rtnetlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    unsigned char header[16] = {0};

    watch_links();
    memset(&to, 0, sizeof to);
    to.nl_family = AF_NETLINK;
    to.nl_pid = sock.port;
    forged.length = 0;
    put_ack(&forged, 0, sock.sequence + 1, sock.port, -EBUSY, header, sizeof header, NULL);
    /* Only root may send to another port, if at all: either sendto() fails, or the datagram is
     * ignored. */
    if (sendto(rtnetlink, forged.data, forged.length, 0, (struct sockaddr *)&to, sizeof to) < 0)
        CHECK(errno == EPERM || errno == ECONNREFUSED);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
    close(rtnetlink);
}

TEST_WITH(an_echo_from_another_namespace_is_not_the_reply, NATIVE)
{
    const int netns = netstrat_netns_create(&error);
    struct netstrat_link link;
    size_t info;

    CHECK(netns >= 0);
    netstrat_socket_close(&other);
    CHECK(netstrat_socket_open_at(&other, other_buffer, sizeof other_buffer, netns, &error) == 0);
    /* The first socket of a process in a namespace has the process id as its port: here both. */
    CHECK(netstrat_link_is_up(&sock, "lo", &error) >= 0);
    CHECK(netstrat_link_is_up(&other, "lo", &error) == 0);
    begin_batch();
    netstrat_batch_begin(&batch, RTM_NEWLINK,
                         NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO | NLM_F_CREATE | NLM_F_EXCL);
    append_info(&batch, 0);
    netstrat_batch_put_string(&batch, IFLA_IFNAME, "br0");
    netstrat_batch_put_u32(&batch, IFLA_NET_NS_FD, (uint32_t)netns);
    info = netstrat_batch_nest(&batch, IFLA_LINKINFO);
    netstrat_batch_put_string(&batch, IFLA_INFO_KIND, "bridge");
    netstrat_batch_nest_end(&batch, info);
    CHECK(netstrat_batch_finish(&batch) == 0);
    /* so that the next requests have the same sequence number */
    sock.sequence = other.sequence = 500;
    CHECK(execute() == 0);
    CHECK(netstrat_link_get(&other, "lo", &link, NULL, &error) == 0);
    CHECK(link.index == 1 && !strcmp(link.name, "lo"));
    close(netns);
}

static int rename_in_a_dump(const struct netstrat_message *message, void *context)
{
    int *renamed = (int *)context;

    if (message && !*renamed) {
        *renamed = 1;
        CHECK(rename_link(&other, "ve0", "ve9") == 0);
    }
    return 0;
}

/* From an overrun until the queue has been found empty, the kernel sends no notifications, but
 * it does send the rows of a dump. */
TEST_WITH(a_rename_during_a_dump_after_an_overrun_is_recorded, NATIVE)
{
    struct netstrat_cursor datagram;
    struct netstrat_link link;
    int renamed = 0;
    int32_t index;

    CHECK(make_veth(&other, "ve0", "ve1") == 0);
    index = index_of("ve0");
    watch_links();
    for (int i = 0; i < 100; i++) {
        CHECK(netstrat_link_set_down(&other, "lo", NULL) == 0);
        CHECK(netstrat_link_set_up(&other, "lo", NULL) == 0);
    }
    /* ENOBUFS is returned once */
    CHECK(netstrat_socket_receive(&sock, &datagram, &error) == -ENOBUFS);
    begin_batch();
    CHECK(netstrat_batch_dump_links(&batch, 0) == 0);
    CHECK(netstrat_dump(&sock, &batch, rename_in_a_dump, &renamed, &error) == 0 && renamed);
    CHECK(netstrat_link_get(&sock, "lo", &link, NULL, &error) == 0);
    CHECK(is_recorded(index, "ve9"));
    CHECK(delete_link(&other, "ve9") == 0);
}

/* ---- calls that are refused before anything is sent ---- */

static int count_message(const struct netstrat_message *message, void *context)
{
    *(int *)context += message != NULL;
    return 0;
}

TEST_WITH(a_request_must_fit_the_function_that_sends_it, NATIVE)
{
    struct netstrat_message answer;
    int count = 0;

    begin_batch(); /* a dump needs NLM_F_DUMP */
    CHECK(netstrat_batch_get_link(&batch, "lo") == 0);
    FAILS(netstrat_dump(&sock, &batch, count_message, &count, &error), -EINVAL, NETSTRAT_OP_BATCH);
    begin_batch(); /* a dump is not a query */
    CHECK(netstrat_batch_dump_links(&batch, 0) == 0);
    FAILS(netstrat_query(&sock, &batch, 1, &answer, &error), -EINVAL, NETSTRAT_OP_BATCH);
    begin_batch(); /* neither is a change */
    add_set("lo", 0);
    FAILS(netstrat_query(&sock, &batch, 1, &answer, &error), -EINVAL, NETSTRAT_OP_BATCH);
    FAILS(netstrat_dump(&sock, &batch, count_message, &count, &error), -EINVAL, NETSTRAT_OP_BATCH);
    watch_links(); /* netstrat_send() sends no change on a socket in a group */
    FAILS(netstrat_send(&sock, &batch, &error), -EINVAL, NETSTRAT_OP_BATCH);
    CHECK(sock.sequence == 0 && count == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
}

/* The smallest buffer holds the beginning of an ack. */
TEST_WITH(a_buffer_that_is_too_small_reports_the_required_size, NATIVE)
{
    struct netstrat_counters counters;
    struct netstrat_link link;
    int code;

    for (size_t size = 0; size < 64; size++) {
        open_socket();
        sock.buffer_size = size;
        code = netstrat_link_set_down(&sock, "lo", &error);
        if (size < 36) {
            FAILS(code, -EMSGSIZE, NETSTRAT_OP_BATCH);
            CHECK(sock.required_size > size);
            CHECK(netstrat_link_is_up(&sock, "lo", &error) == -EMSGSIZE);
            CHECK(sock.sequence == 0);
        } else {
            CHECK(code == 0);
            REFUSED(netstrat_link_set_up(&sock, "nonesuch", &error), -ENODEV, RTM_NEWLINK);
        }
        CHECK(netstrat_link_get(&sock, "lo", &link, &counters, &error) == -EMSGSIZE);
        CHECK(sock.required_size > size && sock.required_size <= sizeof buffer);
        CHECK(netstrat_link_names_dump(&sock, NULL, changes, ROOM, &error) == -EMSGSIZE);
        CHECK(sock.required_size > size && sock.required_size <= sizeof buffer);
        sock.buffer_size = sock.required_size;
        CHECK(netstrat_link_names_dump(&sock, NULL, changes, ROOM, &error) >= 1);
        CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
        netstrat_socket_close(&sock);
    }
}

/* ---- callbacks ---- */

struct verdict {
    int at;    /* the message at which the dump ends, counted from 1; 0: before the first */
    int value; /* what the callback returns then */
    int calls;
};

static int end_dump(const struct netstrat_message *message, void *context)
{
    struct verdict *verdict = (struct verdict *)context;

    return (message ? ++verdict->calls : verdict->calls) == verdict->at ? verdict->value : 0;
}

TEST_WITH(a_dump_returns_what_its_callback_returned, NATIVE)
{
    static const int values[] = {-ENOBUFS, -EBUSY, -EAGAIN, -EINTR, -ECANCELED, 1, 7};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (int at = 0; at < 2; at++) {
            struct verdict verdict = {at, values[i], 0};
            uint32_t sequence = sock.sequence;
            int code;

            begin_batch();
            CHECK(netstrat_batch_dump_links(&batch, 0) == 0);
            code = netstrat_dump(&sock, &batch, end_dump, &verdict, &error);
            CHECK(code == (values[i] < 0 ? values[i] : 0) && verdict.calls == at);
            CHECK(code == 0 || error.code == code);
            CHECK(sock.sequence == sequence + (at > 0)); /* sent at most once */
            CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
        }
}

static unsigned refused, tried;

/* Calls every function with the socket whose callback is running. */
static void try_calls(void)
{
    struct netstrat_cursor datagram;
    struct netstrat_message answer;
    struct netstrat_link link;
    unsigned char own[256];
    struct netstrat_batch one;
    const int64_t deadline = sock.deadline_ms;
    const int shared = sock.shared_deadline;
    int result;

    netstrat_batch_init(&one, own, sizeof own);
    CHECK(netstrat_batch_set_link_flags(&one, "lo", IFF_UP, IFF_UP) == 0);
    refused += netstrat_execute(&sock, &one, &result, NULL) == -EBUSY;
    refused += netstrat_link_set_up(&sock, "lo", NULL) == -EBUSY;
    netstrat_batch_init(&one, own, sizeof own);
    CHECK(netstrat_batch_get_link(&one, "lo") == 0);
    refused += netstrat_query(&sock, &one, 1, &answer, NULL) == -EBUSY;
    refused += netstrat_send(&sock, &one, NULL) == -EBUSY;
    refused += netstrat_link_get(&sock, "lo", &link, NULL, NULL) == -EBUSY;
    refused += netstrat_link_names_dump(&sock, NULL, NULL, 0, NULL) == -EBUSY;
    refused += netstrat_socket_receive(&sock, &datagram, NULL) == -EBUSY;
    refused += netstrat_socket_process_pending(&sock, NULL) == -EBUSY;
    refused += netstrat_socket_join(&sock, RTNLGRP_LINK, NULL) == -EBUSY;
    refused += netstrat_socket_set_strict(&sock, NULL) == -EBUSY;
    refused += netstrat_socket_set_receive_buffer(&sock, 65536, NULL) == -EBUSY;
    CHECK(sock.shared_deadline == shared && sock.deadline_ms == deadline);
    tried += 11;
}

static int try_in_a_dump(const struct netstrat_message *message, void *context)
{
    (void)message, (void)context;
    try_calls();
    return 0;
}

static void try_in_a_notification(const struct netstrat_message *message, void *context)
{
    (void)message, (void)context;
    try_calls();
}

TEST_WITH(a_callback_cannot_use_the_socket_that_called_it, NATIVE)
{
    begin_batch();
    CHECK(netstrat_batch_dump_links(&batch, 0) == 0);
    refused = tried = 0;
    CHECK(netstrat_dump(&sock, &batch, try_in_a_dump, NULL, &error) == 0);
    CHECK(tried >= 22 && refused == tried);
    CHECK(netstrat_socket_join(&sock, RTNLGRP_LINK, &error) == 0);
    sock.notified = try_in_a_notification;
    CHECK(netstrat_link_set_down(&other, "lo", NULL) == 0);
    CHECK(netstrat_link_set_up(&other, "lo", NULL) == 0);
    refused = tried = 0;
    CHECK(netstrat_socket_process_pending(&sock, &error) == 0);
    CHECK(tried >= 22 && refused == tried);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1); /* the socket remains usable */
}

static int close_in_a_dump(const struct netstrat_message *message, void *context)
{
    (void)context;
    if (message)
        netstrat_socket_close(&sock);
    return 0;
}

TEST_WITH(a_callback_can_close_the_socket_that_called_it, NATIVE)
{
    begin_batch();
    CHECK(netstrat_batch_dump_links(&batch, 0) == 0);
    FAILS(netstrat_dump(&sock, &batch, close_in_a_dump, NULL, &error), -EBADF,
          NETSTRAT_OP_RECVFROM);
    CHECK(sock.fd == -1);
}
