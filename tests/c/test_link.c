/* SPDX-License-Identifier: MIT */
/* The operations on the real kernel, in a network namespace of the program's own. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../csrc/netstrat.h"
#include "check.h"
#include "sandbox.h"
#include "veth.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

static unsigned char buffer[NETSTRAT_BUFFER_SIZE];
static struct netstrat_socket sock;
static struct netstrat_error error;

static int failed_with(int code, int wanted, const char *operation)
{
    if (code == wanted && error.code == code && !strcmp(error.operation, operation))
        return 1;
    printf("code %d (wanted %d), error %d %s: %.*s\n", code, wanted, error.code,
           error.operation ? error.operation : "-", (int)error.text_length, error.text);
    return 0;
}

static void open_socket(void)
{
    memset(&error, 0, sizeof error);
    CHECK(netstrat_open(&sock, buffer, sizeof buffer, &error) == 0);
    CHECK(sock.fd >= 0 && fcntl(sock.fd, F_GETFD) == FD_CLOEXEC);
    CHECK(sock.timeout_ms == NETSTRAT_TIMEOUT_MS && sock.port == 0 && sock.changes == NULL);
}

/* Sends datagrams over 127.0.0.1: lo is not only said to be up. */
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

static void test_up_and_down(void)
{
    struct netstrat_link link;
    struct netstrat_counters counters;

    open_socket();
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 0);
    CHECK(send_traffic() == 0);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0); /* once more does no harm */
    CHECK(send_traffic() == 10);
    CHECK(netstrat_get_link(&sock, "lo", &link, &counters, &error) == 0);
    CHECK(link.index == 1 && !strcmp(link.name, "lo") && !link.gone);
    CHECK((link.flags & (IFF_UP | IFF_LOOPBACK)) == (IFF_UP | IFF_LOOPBACK));
    CHECK(counters.rx_packets >= 10 && counters.rx_packets == counters.tx_packets);
    CHECK(counters.rx_bytes >= 290 && counters.rx_bytes == counters.tx_bytes);
    CHECK(counters.rx_errors == 0 && counters.tx_dropped == 0);
    CHECK(netstrat_link_set_down(&sock, "lo", &error) == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 0);
    netstrat_close(&sock);
    CHECK(sock.fd == -1);
    netstrat_close(&sock);

    CHECK(netstrat_link_set_up_once("lo", &error) == 0);
    open_socket();
    CHECK(netstrat_link_is_up(&sock, "lo", NULL) == 1);
    netstrat_close(&sock);
}

static void test_refusals(void)
{
    static const char *const names[] = {"", ".", "..", "a/b", "a b", "a:b", "../../etc/passwd"};
    struct netstrat_link link;
    struct netstrat_counters counters;

    open_socket();
    CHECK(failed_with(netstrat_link_set_up(&sock, "nonesuch", &error), -ENODEV, "RTM_NEWLINK"));
    CHECK(failed_with(netstrat_link_set_down(&sock, "nonesuch", &error), -ENODEV, "RTM_NEWLINK"));
    CHECK(failed_with(netstrat_link_is_up(&sock, "nonesuch", &error), -ENODEV, "RTM_GETLINK"));
    CHECK(failed_with(netstrat_get_link(&sock, "nonesuch", &link, &counters, &error), -ENODEV,
                      "RTM_GETLINK"));
    CHECK(failed_with(netstrat_link_set_up_once("nonesuch", &error), -ENODEV, "RTM_NEWLINK"));
    CHECK(netstrat_link_set_up_once("nonesuch", NULL) == -ENODEV);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK(failed_with(netstrat_link_set_up(&sock, names[i], &error), -EINVAL, "name"));
        CHECK(failed_with(netstrat_link_is_up(&sock, names[i], &error), -EINVAL, "name"));
        CHECK(failed_with(netstrat_link_set_up_once(names[i], &error), -EINVAL, "name"));
    }
    netstrat_close(&sock);
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -EBADF, "send"));
    CHECK(failed_with(netstrat_get_stats(&sock, 1, &counters, &error), -EBADF, "send"));
    CHECK(netstrat_dump_links(&sock, &link, 1, NULL) == -EBADF);
}

/* Up, down, up, with one in the middle that fails: one send, an ack each. */
static void test_batch(void)
{
    unsigned char request[1024];
    struct netstrat_batch batch;
    int results[5] = {9, 9, 9, 9, 9};

    open_socket();
    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_put_link_flags(&batch, "lo", IFF_UP, IFF_UP) == 0);
    CHECK(netstrat_put_link_flags(&batch, "nonesuch", IFF_UP, IFF_UP) == 0);
    CHECK(netstrat_put_link_flags(&batch, "lo", 0, IFF_UP) == 0);
    CHECK(netstrat_put_link_flags(&batch, "an-alternative-name", IFF_UP, IFF_UP) == 0);
    CHECK(netstrat_put_link_flags(&batch, "lo", IFF_UP, IFF_UP) == 0);
    CHECK(failed_with(netstrat_transact(&sock, &batch, results, &error), -ENODEV, "RTM_NEWLINK"));
    CHECK(error.item == 1);
    CHECK(results[0] == 0 && results[1] == -ENODEV && results[2] == 0 && results[4] == 0);
    CHECK(results[3] < 0); /* -EINVAL from a kernel that knows of no alternative names */
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);

    /* The same batch again: it is numbered anew. */
    CHECK(netstrat_transact(&sock, &batch, results, NULL) == -ENODEV);
    CHECK(results[0] == 0 && results[4] == 0);
    netstrat_close(&sock);
}

static int get_stats(int32_t index, struct netstrat_counters *counters)
{
    int code = netstrat_get_stats(&sock, index, counters, &error);

    if (is_emulated() && code == -EOPNOTSUPP) { /* as documented; and then by name */
        CHECK(sock.by_name_only == 1);
        CHECK(failed_with(netstrat_get_stats(&sock, index, counters, &error), -EOPNOTSUPP,
                          "RTM_GETSTATS"));
        return netstrat_get_link(&sock, "lo", &(struct netstrat_link){0}, counters, &error);
    }
    return code;
}

static void test_counters(void)
{
    struct netstrat_counters counters, dumped[4];
    struct netstrat_link links[4];
    int32_t indexes[4];

    open_socket();
    CHECK(send_traffic() == 10);
    CHECK(get_stats(1, &counters) == 0);
    CHECK(counters.rx_packets >= 10 && counters.rx_bytes == counters.tx_bytes);
    CHECK(netstrat_dump_links(&sock, links, 4, &error) >= 1);
    CHECK(links[0].index == 1 && !strcmp(links[0].name, "lo") && (links[0].flags & IFF_UP));
    CHECK(netstrat_dump_stats(&sock, indexes, dumped, 4, &error) >= 1);
    CHECK(indexes[0] == 1 && dumped[0].rx_packets >= 10);
    CHECK(netstrat_dump_stats(&sock, NULL, NULL, 0, NULL) >= 1);
    CHECK(netstrat_dump_links(&sock, NULL, 0, NULL) >= 1);
    sock.by_name_only = 1; /* by RTM_GETLINK the same comes of it */
    CHECK(netstrat_dump_stats(&sock, indexes, dumped, 4, &error) >= 1);
    CHECK(indexes[0] == 1 && memcmp(&dumped[0], &counters, sizeof counters) == 0);
    CHECK(netstrat_dump_stats(&sock, NULL, NULL, 0, NULL) >= 1); /* how many are there? */
    if (!is_emulated()) {
        sock.by_name_only = 0;
        memset(&counters, 0xa5, sizeof counters);
        CHECK(failed_with(netstrat_get_stats(&sock, 12345, &counters, &error), -ENODEV,
                          "RTM_GETSTATS"));
        CHECK(counters.rx_bytes == 0xa5a5a5a5a5a5a5a5);
        CHECK(netstrat_get_stats(&sock, 0, &counters, &error) < 0);
        CHECK(netstrat_get_stats(&sock, -1, &counters, &error) < 0);
    }
    netstrat_close(&sock);
}

static void without_rights(void)
{
    open_socket();
    drop_capabilities();
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0); /* EPERM, but it is up already */
    CHECK(netstrat_link_set_up_once("lo", &error) == 0);
    CHECK(failed_with(netstrat_link_set_down(&sock, "lo", &error), -EPERM, "RTM_NEWLINK"));
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
    CHECK(netstrat_link_set_up(&sock, "nonesuch", &error) < 0);
    netstrat_close(&sock);
}

static void without_rights_and_down(void)
{
    CHECK(netstrat_link_is_up(&sock, "lo", NULL) == 0);
    drop_capabilities();
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -EPERM, "RTM_NEWLINK"));
    CHECK(netstrat_link_set_down(&sock, "lo", &error) == 0); /* it is so already */
}

static void test_permission(void)
{
    in_child(without_rights);
    open_socket();
    CHECK(netstrat_link_set_down(&sock, "lo", &error) == 0);
    in_child(without_rights_and_down);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    netstrat_close(&sock);
}

/* Is there a note of this among the changes? */
static int noted(const char *name, int gone, uint32_t flags)
{
    for (uint32_t i = 0; i < sock.changes_count && i < sock.changes_room; i++)
        if (!strcmp(sock.changes[i].name, name) && sock.changes[i].gone == gone &&
            (sock.changes[i].flags & IFF_UP) == flags)
            return 1;
    return 0;
}

static void test_watching(void)
{
    static unsigned char other_buffer[NETSTRAT_BUFFER_SIZE];
    struct netstrat_link changes[16], link;
    struct netstrat_socket other;
    struct netstrat_counters counters;
    const int room = 32768; /* for notifications, bytes */

    open_socket();
    CHECK(netstrat_open(&other, other_buffer, sizeof other_buffer, NULL) == 0);
    CHECK(netstrat_watch_links(&sock, changes, 16, &error) == 0);
    CHECK(sock.port != 0 && sock.changes == changes && sock.changes_count == 0);
    CHECK(netstrat_link_set_down(&other, "lo", NULL) == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 0);
    CHECK(sock.changes_count > 0 && noted("lo", 0, 0));
    sock.changes_count = 0;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0); /* its own change is noted too */
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1 && noted("lo", 0, IFF_UP));
    sock.changes_count = 0;
    CHECK(get_stats(1, &counters) == 0 && sock.changes_count == 0);

    if (is_emulated()) {
        printf("emulated: no veth pair is made, so none is watched\n");
    } else {
        CHECK(make_veth(&other, "ve0", "ve1") == 0);
        CHECK(get_stats(1, &counters) > 0); /* how many are noted */
        CHECK(noted("ve0", 0, 0) && noted("ve1", 0, 0));
        sock.changes_count = 0;
        CHECK(rename_link(&other, "ve0", "ve2") == 0);
        CHECK(netstrat_get_link(&sock, "ve2", &link, NULL, &error) == 0 && noted("ve2", 0, 0));
        sock.changes_count = 0;
        CHECK(delete_link(&sock, "ve2") == 0);
        CHECK(failed_with(netstrat_get_link(&sock, "ve2", &link, NULL, &error), -ENODEV,
                          "RTM_GETLINK"));
        CHECK(noted("ve2", 1, 0) && noted("ve1", 1, 0));

        /* More than the queue holds: that some were lost is said, and calls go on. */
        sock.changes_count = 0;
        CHECK(setsockopt(sock.fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) == 0);
        for (int i = 0; i < 100; i++) {
            CHECK(netstrat_link_set_down(&other, "lo", NULL) == 0);
            CHECK(netstrat_link_set_up(&other, "lo", NULL) == 0);
        }
        CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
        CHECK(sock.changes_count > sock.changes_room);
        sock.changes_count = 0;
        CHECK(netstrat_link_set_down(&sock, "lo", &error) == 0);
        CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    }
    netstrat_close(&other);

    /* A socket that has talked already has its port. */
    netstrat_close(&sock);
    open_socket();
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
    CHECK(netstrat_watch_links(&sock, changes, 16, &error) == 0 && sock.port != 0);
    netstrat_close(&sock);
    CHECK(failed_with(netstrat_watch_links(&sock, changes, 16, &error), -EBADF, "getsockname"));
}

/* Links enough for a dump of several datagrams; alternative names. */
static void test_many_links(void)
{
    enum { PAIRS = 40 };
    static struct netstrat_link links[2 * PAIRS + 1];
    static struct netstrat_counters rows[2 * PAIRS + 1], one;
    static int32_t indexes[2 * PAIRS + 1];
    static const char alternative[] = "an-alternative-name-of-forty-characters.";
    struct netstrat_link link;
    struct bytes message;
    char name[16], peer[16];
    size_t at, list;
    int i;

    if (is_emulated()) {
        printf("emulated: no veth pairs are made, so dumps are of lo alone\n");
        return;
    }
    open_socket();
    for (i = 0; i < PAIRS; i++) {
        snprintf(name, sizeof name, "many%d", i);
        snprintf(peer, sizeof peer, "peer%d", i);
        CHECK(make_veth(&sock, name, peer) == 0);
    }
    CHECK(netstrat_link_set_up(&sock, "many0", &error) == 0);
    CHECK(netstrat_link_set_up(&sock, "peer0", &error) == 0);
    CHECK(netstrat_dump_links(&sock, links, 2 * PAIRS + 1, &error) == 2 * PAIRS + 1);
    for (int by_name = 0; by_name < 2; by_name++) {
        sock.by_name_only = by_name;
        memset(indexes, 0, sizeof indexes);
        CHECK(netstrat_dump_stats(&sock, indexes, rows, 2 * PAIRS + 1, &error) == 2 * PAIRS + 1);
        for (i = 0; i < 2 * PAIRS + 1; i++) {
            CHECK(indexes[i] == links[i].index);
            CHECK(netstrat_get_link(&sock, links[i].name, &link, &one, &error) == 0);
            CHECK(link.index == indexes[i] && (link.flags & IFF_UP) == (links[i].flags & IFF_UP));
        }
        CHECK(netstrat_dump_stats(&sock, indexes, rows, 3, &error) == 2 * PAIRS + 1);
    }
    CHECK(netstrat_dump_links(&sock, links, 0, NULL) == 2 * PAIRS + 1);

    /* A dump does not fit a small buffer; what is left of it does not stand in the next one's way. */
    sock.by_name_only = 0;
    sock.buffer_size = 512;
    CHECK(failed_with(netstrat_dump_links(&sock, links, 2 * PAIRS + 1, &error), -EMSGSIZE,
                      "recvfrom"));
    sock.buffer_size = sizeof buffer;
    CHECK(netstrat_dump_links(&sock, links, 2 * PAIRS + 1, &error) == 2 * PAIRS + 1);
    /* Nor does one for which there was no time. */
    sock.timeout_ms = 0;
    CHECK(failed_with(netstrat_dump_links(&sock, links, 2 * PAIRS + 1, &error), -ETIMEDOUT,
                      "recvfrom"));
    sock.timeout_ms = 5000;
    CHECK(netstrat_dump_links(&sock, links, 2 * PAIRS + 1, &error) == 2 * PAIRS + 1);

    message.length = 0;
    at = begin(&message, 108 /* RTM_NEWLINKPROP */,
               NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND | NLM_F_EXCL, 0, 0);
    CHECK(netstrat_get_link(&sock, "many1", &link, NULL, &error) == 0);
    put_info(&message, link.index, 0);
    list = open_attribute(&message, 52 /* IFLA_PROP_LIST */ | 0x8000);
    attribute(&message, 53 /* IFLA_ALT_IFNAME */, alternative, sizeof alternative);
    close_attribute(&message, list);
    finish(&message, at);
    CHECK(send_raw(&sock, &message) == 0);
    CHECK(netstrat_link_set_up(&sock, alternative, &error) == 0);
    CHECK(netstrat_link_is_up(&sock, "many1", &error) == 1);
    CHECK(netstrat_get_link(&sock, alternative, &link, &one, &error) == 0);
    CHECK(!strcmp(link.name, "many1"));
    netstrat_close(&sock);
}

/* What a stranger sends to the socket's port is passed over. */
static void test_stranger(void)
{
    struct netstrat_link changes[4];
    struct sockaddr_nl to;
    struct bytes forged;
    int rtnetlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    unsigned char request[16] = {0};

    open_socket();
    CHECK(netstrat_watch_links(&sock, changes, 4, &error) == 0);
    memset(&to, 0, sizeof to);
    to.nl_family = AF_NETLINK;
    to.nl_pid = sock.port;
    forged.length = 0;
    put_ack(&forged, 0, sock.sequence + 1, sock.port, -EBUSY, request, sizeof request, NULL);
    /* rtnetlink lets nobody but root send to others' ports, if at all: the datagram either is refused
     * here or passed over there. */
    if (sendto(rtnetlink, forged.data, forged.length, 0, (struct sockaddr *)&to, sizeof to) < 0)
        CHECK(errno == EPERM || errno == ECONNREFUSED);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
    close(rtnetlink);
    netstrat_close(&sock);
}

/* Replies that nobody fetched: the ack of the first attempt is lost, that of the second is not. */
static void test_full_queue(void)
{
    unsigned char request[64];
    struct netstrat_batch batch;
    const int small = 2048;

    open_socket();
    sock.timeout_ms = 1000;
    CHECK(setsockopt(sock.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_put_get_link(&batch, "lo") == 0);
    for (int i = 0; i < 20; i++)
        CHECK(send(sock.fd, batch.data, batch.used, 0) == (ssize_t)batch.used);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    netstrat_close(&sock);
}

int main(void)
{
    int before;

    enter_sandbox(0);
    before = count_descriptors();
    test_up_and_down();
    test_refusals();
    test_batch();
    test_counters();
    test_permission();
    test_watching();
    test_many_links();
    test_stranger();
    if (!is_emulated())
        test_full_queue();
    CHECK(count_descriptors() == before);
    return report();
}
