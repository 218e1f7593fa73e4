/* SPDX-License-Identifier: MIT */
/* The counters of many namespaces: which link a message describes, which row belongs to it, and
 * what is dumped and recorded on the real kernel. */
#include <errno.h>
#include <stdlib.h>

#include "../../csrc/internal.h"
#include "bytes.h"
#include "check.h"
#include "codec.h"
#include "sandbox.h"

#include <net/if.h>

/* Not in the headers of older kernels. */
enum { LINK_NETNSID = 37, TARGET_NETNSID = 46 };

enum { OWN = 3, THERE = 7 };

/* ---- whose end a message describes ---- */

struct description {
    const char *kind;
    int32_t peer;
    int32_t peer_nsid;
    int32_t nsid;
    uint32_t flags;
    int32_t master;
};

static const struct description veth = {"veth", 42, OWN, THERE, IFF_UP, 0};

static void describe(struct bytes *to, const struct description *link)
{
    size_t at = begin(to, RTM_NEWLINK, 0, 1, 2), nest;

    put_info(to, 5, link->flags);
    if (link->nsid >= 0)
        attribute(to, TARGET_NETNSID, &link->nsid, 4);
    attribute(to, IFLA_IFNAME, "eth0", 5);
    attribute(to, IFLA_LINK, &link->peer, 4);
    if (link->peer_nsid >= 0)
        attribute(to, LINK_NETNSID, &link->peer_nsid, 4);
    if (link->master)
        attribute(to, IFLA_MASTER, &link->master, 4);
    nest = open_attribute(to, IFLA_LINKINFO);
    attribute(to, IFLA_INFO_KIND, link->kind, strlen(link->kind) + 1);
    close_attribute(to, nest);
    finish(to, at);
}

static int decode_end(const struct description *link, int32_t nsid, int32_t own,
                      struct netstrat_netns_link *end)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_message message;

    describe(&bytes, link);
    message = only_message(&bytes);
    return netstrat_netns_link_decode(&message, nsid, own, end);
}

static int decode_any(const struct netstrat_message *message)
{
    struct netstrat_netns_link end, before;
    int code;

    memset(&end, 0xa5, sizeof end);
    before = end;
    code = netstrat_netns_link_decode(message, THERE, OWN, &end);
    CHECK(code == 0 || code == 1 || code == -EBADMSG);
    CHECK(code == 1 || memcmp(&end, &before, sizeof end) == 0);
    return code == 1 ? 0 : code;
}

TEST(a_link_of_a_namespace_is_decoded)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_netns_link end;

    CHECK(decode_end(&veth, THERE, OWN, &end) == 1);
    CHECK(end.index == 5 && end.peer == 42 && strcmp(end.name, "eth0") == 0);
    CHECK(end.peer_index == 42 && end.peer_nsid == OWN && end.master == 0 && end.is_bridge == 0);
    describe(&bytes, &veth);
    check_mutations(decode_any, &bytes);
}

TEST(only_a_veth_peer_in_this_namespace_counts)
{
    struct description link = veth;
    struct netstrat_netns_link end;

    link.peer_nsid = OWN + 1; /* in a third namespace */
    CHECK(decode_end(&link, THERE, OWN, &end) == 1 && end.peer == 0);
    CHECK(end.peer_index == 42 && end.peer_nsid == OWN + 1);
    link.peer_nsid = -1; /* in the link's own namespace */
    CHECK(decode_end(&link, THERE, OWN, &end) == 1 && end.peer == 0);
    CHECK(end.peer_index == 0 && end.peer_nsid == -1);
    /* this namespace's nsid is unknown */
    CHECK(decode_end(&link, THERE, -1, &end) == 1 && end.peer == 0);
    link = veth;
    link.kind = "macvlan"; /* the index is that of a parent */
    CHECK(decode_end(&link, THERE, OWN, &end) == 1 && end.peer == 0);
    CHECK(end.peer_index == 0 && end.peer_nsid == -1);
}

TEST(a_bridge_and_its_ports_are_recognised)
{
    struct description link = veth;
    struct netstrat_netns_link end;

    link.master = 12;
    CHECK(decode_end(&link, THERE, OWN, &end) == 1 && end.master == 12 && end.is_bridge == 0);
    link.kind = "bridge";
    link.master = 0;
    CHECK(decode_end(&link, THERE, OWN, &end) == 1 && end.master == 0 && end.is_bridge == 1);
    CHECK(end.peer_index == 0 && end.peer_nsid == -1);
}

TEST(loopback_is_not_a_link_of_a_namespace)
{
    struct description link = veth;
    struct netstrat_netns_link end;

    link.flags |= IFF_LOOPBACK;
    CHECK(decode_end(&link, THERE, OWN, &end) == 0);
}

TEST(a_link_of_another_namespace_is_malformed)
{
    struct description link = veth;
    struct netstrat_netns_link end;

    CHECK(decode_end(&link, THERE + 1, OWN, &end) == -EBADMSG);
    CHECK(decode_end(&link, -1, OWN, &end) == -EBADMSG);
    link.nsid = -1; /* an old kernel describes a link of its own namespace */
    CHECK(decode_end(&link, THERE, OWN, &end) == -EBADMSG);
    CHECK(decode_end(&link, -1, OWN, &end) == 1);
}

/* ---- which row is whose ---- */

/* Counters that can be recognised by each field. */
static struct netstrat_counters of(uint64_t number)
{
    const struct netstrat_counters counters = {number,     number + 1, number + 2, number + 3,
                                               number + 4, number + 5, number + 6, number + 7};

    return counters;
}

static int is_of(const struct netstrat_counters *row, uint64_t number)
{
    const struct netstrat_counters wanted = of(number);

    return memcmp(row, &wanted, sizeof wanted) == 0;
}

static int is_swapped_of(const struct netstrat_counters *row, uint64_t number)
{
    return row->tx_bytes == number && row->tx_packets == number + 1 &&
           row->tx_errors == number + 2 && row->tx_dropped == number + 3 &&
           row->rx_bytes == number + 4 && row->rx_packets == number + 5 &&
           row->rx_errors == number + 6 && row->rx_dropped == number + 7;
}

TEST(every_entry_gets_its_row)
{
    static const int32_t indexes[] = {1, 4, 2, 9};
    const struct netstrat_counters counters[] = {of(100), of(400), of(200), of(900)};
    static const struct netstrat_gather_entry entries[] = {
        /* the search for the last two wraps around */
        {4, 2, 1},
        {4, 0, 0},
        {9, 1, 1},
        {1, 3, 0},
        {2, 4, 0}};
    struct netstrat_counters rows[6];

    memset(rows, 0xa5, sizeof rows);
    CHECK(netstrat_counters_gather(indexes, counters, 4, entries, 5, rows) == 5);
    CHECK(is_swapped_of(&rows[2], 400) && is_of(&rows[0], 400) && is_swapped_of(&rows[1], 900));
    CHECK(is_of(&rows[3], 100) && is_of(&rows[4], 200));
    CHECK(rows[5].rx_bytes == UINT64_C(0xa5a5a5a5a5a5a5a5));
}

TEST(an_entry_without_counters_leaves_its_row_unchanged)
{
    static const int32_t indexes[] = {1, 4};
    const struct netstrat_counters counters[] = {of(100), of(400)};
    static const struct netstrat_gather_entry entries[] = {{3, 0, 1},
                                                           {4, 1, 0},
                                                           {5, 2, 0},
                                                           {1, 3, 0}};
    struct netstrat_counters rows[4];

    memset(rows, 0xa5, sizeof rows);
    CHECK(netstrat_counters_gather(indexes, counters, 2, entries, 4, rows) == 2);
    CHECK(rows[0].tx_bytes == UINT64_C(0xa5a5a5a5a5a5a5a5) && is_of(&rows[1], 400));
    CHECK(rows[2].tx_bytes == UINT64_C(0xa5a5a5a5a5a5a5a5) && is_of(&rows[3], 100));
    CHECK(netstrat_counters_gather(indexes, counters, 0, entries, 4, rows) == 0);
    CHECK(netstrat_counters_gather(indexes, counters, 2, entries, 0, rows) == 0);
}

/* ---- on the real kernel ---- */

enum { BUFFER = 80 * 1024 };

static unsigned char buffers[4][BUFFER];

static unsigned char request[512];
static struct netstrat_batch batch;

static void begin_batch(void)
{
    netstrat_batch_init(&batch, request, sizeof request);
}

static void execute(struct netstrat_socket *sock)
{
    int result;

    CHECK(netstrat_execute(sock, &batch, &result, NULL) == 0);
    begin_batch();
}

static struct netstrat_link_settings named(const char *name)
{
    struct netstrat_link_settings settings;

    memset(&settings, 0, sizeof settings);
    settings.set = NETSTRAT_LINK_NAME;
    strcpy(settings.name, name);
    return settings;
}

/* Returns the nsid of a namespace, which gets one if it has none. */
static int32_t nsid_of(struct netstrat_socket *sock, int netns)
{
    struct netstrat_message answer;
    int32_t nsid = -1;
    int result;

    CHECK(netstrat_batch_add_nsid(&batch, netns) == 0);
    result = netstrat_execute(sock, &batch, &result, NULL);
    CHECK(result == 0 || result == -EEXIST);
    begin_batch();
    CHECK(netstrat_batch_get_nsid(&batch, netns) == 0);
    CHECK(netstrat_query(sock, &batch, 1, &answer, NULL) == 0);
    CHECK(netstrat_nsid_decode(&answer, &nsid) == 0 && nsid >= 0);
    begin_batch();
    return nsid;
}

/* Creates a veth pair: `name` with `index` in the socket's namespace, and eth0 with index 9 in the
 * other. */
static void add_pair(struct netstrat_socket *sock, const char *name, int32_t index, int netns)
{
    struct netstrat_link_settings own = named(name), peer = named("eth0");

    own.set |= NETSTRAT_LINK_INDEX;
    own.index = index;
    peer.set |= NETSTRAT_LINK_INDEX | NETSTRAT_LINK_NETNS;
    peer.index = 9;
    peer.netns = netns;
    CHECK(netstrat_batch_add_veth(&batch, &own, &peer) == 0);
    execute(sock);
}

static void add_bridge(struct netstrat_socket *sock, const char *name)
{
    const struct netstrat_link_settings settings = named(name);

    CHECK(netstrat_batch_add_link(&batch, "bridge", &settings) == 0);
    execute(sock);
}

static void rename_index(struct netstrat_socket *sock, int32_t index, const char *name)
{
    const struct netstrat_link_settings settings = named(name);

    CHECK(netstrat_batch_set_link(&batch, index, NULL, &settings) == 0);
    execute(sock);
}

static void move_index(struct netstrat_socket *sock, int32_t index, int netns)
{
    struct netstrat_link_settings settings;

    memset(&settings, 0, sizeof settings);
    settings.set = NETSTRAT_LINK_NETNS;
    settings.netns = netns;
    CHECK(netstrat_batch_set_link(&batch, index, NULL, &settings) == 0);
    execute(sock);
}

static void delete_index(struct netstrat_socket *sock, int32_t index)
{
    CHECK(netstrat_batch_delete_link(&batch, index, NULL) == 0);
    execute(sock);
}

TEST_WITH(the_links_of_a_namespace_are_dumped, NATIVE)
{
    int netns = netstrat_netns_create(NULL), here, eth0;
    struct netstrat_counters counters[4], one;
    struct netstrat_socket sock, there;
    struct netstrat_netns_link ends[4], end;
    struct netstrat_error error;
    struct netstrat_veth_peer pairs[2];
    int32_t indexes[4], nsid, own;

    CHECK(netns >= 0 && netstrat_socket_open(&sock, buffers[0], BUFFER, NULL) == 0);
    CHECK(netstrat_socket_open_at(&there, buffers[1], BUFFER, netns, NULL) == 0);
    here = netstrat_netns_open("/proc/thread-self/ns/net", NULL);
    own = nsid_of(&sock, here);
    nsid = nsid_of(&sock, netns);
    CHECK(own != nsid);
    CHECK(netstrat_netns_links_dump(&sock, nsid, own, indexes, ends, counters, 4, NULL) == 0);
    CHECK(netstrat_veth_peers_dump(&sock, pairs, 2, NULL) == 0);

    add_pair(&sock, "host0", 77, netns);
    add_bridge(&there, "br0");
    add_bridge(&sock, "br1");
    memset(ends, 0xa5, sizeof ends);
    CHECK(netstrat_netns_links_dump(&sock, nsid, own, indexes, ends, counters, 1, NULL) == 2);
    CHECK(indexes[0] == ends[0].index && ends[1].index == (int32_t)0xa5a5a5a5);
    CHECK(netstrat_netns_links_dump(&sock, nsid, own, indexes, ends, counters, 4, NULL) == 2);
    eth0 = indexes[1] == 9;
    CHECK(indexes[eth0] == 9 && ends[eth0].index == 9 && ends[eth0].peer == 77);
    CHECK(strcmp(ends[eth0].name, "eth0") == 0);
    CHECK(ends[!eth0].peer == 0 && strcmp(ends[!eth0].name, "br0") == 0);
    CHECK(ends[eth0].peer_nsid == own && ends[eth0].peer_index == 77 && !ends[eth0].is_bridge);
    CHECK(ends[!eth0].peer_nsid == -1 && ends[!eth0].is_bridge == 1);
    CHECK(netstrat_veth_peers_dump(&sock, pairs, 0, NULL) == 1);
    CHECK(netstrat_veth_peers_dump(&sock, pairs, 2, NULL) == 1);
    CHECK(pairs[0].index == 77 && pairs[0].peer == 9 && pairs[0].nsid == nsid);
    /* The socket's own namespace. */
    CHECK(netstrat_netns_links_dump(&sock, -1, own, indexes, ends, counters, 4, NULL) == 2);
    CHECK(strcmp(ends[0].name, "br1") == 0 || strcmp(ends[1].name, "br1") == 0);

    CHECK(netstrat_netns_link_get(&sock, nsid, own, 9, &end, &one, NULL) == 1);
    CHECK(end.index == 9 && end.peer == 77 && strcmp(end.name, "eth0") == 0);
    CHECK(netstrat_netns_link_get(&sock, nsid, own, 1, &end, &one, NULL) == 0); /* lo */
    CHECK(netstrat_netns_link_get(&sock, nsid, own, 4321, &end, &one, &error) == -ENODEV);
    CHECK(error.operation == NETSTRAT_OP_REQUEST);
    CHECK(netstrat_netns_link_get(&sock, -1, own, 9, &end, &one, &error) == -EINVAL);
    CHECK(error.operation == NETSTRAT_OP_BATCH);
    CHECK(netstrat_netns_links_dump(&sock, 4321, own, indexes, ends, counters, 4, &error) ==
          -EINVAL);
    CHECK(error.operation == NETSTRAT_OP_REQUEST && error.request == RTM_GETLINK);

    delete_index(&sock, 77);
    netstrat_socket_close(&there);
    netstrat_socket_close(&sock);
    close(netns);
    close(here);
}

static void add_macvlan(struct netstrat_socket *sock, int32_t parent, int netns)
{
    struct netstrat_link_settings settings = named("mac0");

    settings.set |= NETSTRAT_LINK_NETNS;
    settings.netns = netns;
    CHECK(netstrat_batch_add_macvlan(&batch, parent, 4 /* MACVLAN_MODE_BRIDGE */, &settings) == 0);
    execute(sock);
}

TEST_WITH(only_veth_pairs_with_other_namespaces_are_pairs, NATIVE)
{
    int netns = netstrat_netns_create(NULL), here;
    struct netstrat_socket sock, there;
    struct netstrat_veth_peer pairs[4], untouched;
    struct netstrat_link_settings settings = {0};

    CHECK(netns >= 0 && netstrat_socket_open(&sock, buffers[0], BUFFER, NULL) == 0);
    CHECK(netstrat_socket_open_at(&there, buffers[1], BUFFER, netns, NULL) == 0);
    here = netstrat_netns_open("/proc/thread-self/ns/net", NULL);
    add_pair(&sock, "host0", 77, here); /* both ends in this namespace */
    add_macvlan(&sock, 77, netns);      /* its parent is in another namespace, as a peer would be */
    CHECK(netstrat_veth_peers_dump(&sock, pairs, 4, NULL) == 0);
    CHECK(netstrat_veth_peers_dump(&there, pairs, 4, NULL) == 0);

    add_pair(&sock, "host1", 78, netns);
    settings.set = NETSTRAT_LINK_ALIAS;
    memcpy(settings.alias, "pair", sizeof "pair");
    CHECK(netstrat_batch_set_link(&batch, 78, NULL, &settings) == 0);
    execute(&sock);
    memset(pairs, 0xa5, sizeof pairs);
    untouched = pairs[0];
    CHECK(netstrat_veth_peers_dump(&sock, pairs, 0, NULL) == 1);
    CHECK(memcmp(&pairs[0], &untouched, sizeof untouched) == 0);
    CHECK(netstrat_veth_peers_dump(&sock, pairs, 4, NULL) == 1 && pairs[0].index == 78);
    CHECK(strcmp(pairs[0].alias, "pair") == 0);

    delete_index(&sock, 77);
    delete_index(&sock, 78);
    netstrat_socket_close(&there);
    netstrat_socket_close(&sock);
    close(netns);
    close(here);
}

struct listener {
    struct netstrat_socket sock;
    struct netstrat_id_recorder recorder;
    int32_t numbers[2];
    struct netstrat_final finals[8];
};

static void listen_to(struct listener *listener, uint32_t what, unsigned char *buffer)
{
    memset(listener, 0, sizeof *listener);
    CHECK(netstrat_socket_open(&listener->sock, buffer, BUFFER, NULL) == 0);
    listener->sock.timeout_ms = 0;
    listener->recorder.numbers = listener->numbers;
    listener->recorder.room = 2;
    CHECK(netstrat_id_recorder_start(&listener->recorder, what, &listener->sock, NULL) == 0);
    CHECK(!listener->recorder.finals && listener->recorder.final_room == 0);
    listener->recorder.finals = listener->finals;
    listener->recorder.final_room = 2;
}

static uint32_t process(struct listener *listener)
{
    listener->recorder.count = listener->recorder.changed = listener->recorder.final_count = 0;
    CHECK(netstrat_socket_process_pending(&listener->sock, NULL) == 0);
    return listener->recorder.count;
}

/* Returns how many links were deleted, without the namespaces that ended. */
static int deletions(struct listener *listener)
{
    int found = 0;

    (void)process(listener);
    for (uint32_t i = 0; i < listener->recorder.final_count && i < 8; i++)
        found += listener->finals[i].index > 0;
    return found;
}

/* In a namespace of its own, where no notification arrives of the end of an earlier test's
 * namespace, which may come at any moment. */
TEST_WITH(changes_are_recorded, IN_CHILD | NATIVE)
{
    struct listener deleted, elsewhere, ended;
    struct netstrat_socket sock, there;
    int netns, here;
    int32_t nsid;

    CHECK(unshare(CLONE_NEWNET) == 0);
    netns = netstrat_netns_create(NULL);
    CHECK(netns >= 0 && netstrat_socket_open(&sock, buffers[0], BUFFER, NULL) == 0);
    here = netstrat_netns_open("/proc/thread-self/ns/net", NULL);
    (void)nsid_of(&sock, here); /* notifications of this namespace now carry its nsid */
    nsid = nsid_of(&sock, netns);
    listen_to(&deleted, NETSTRAT_RECORD_DELETED, buffers[1]);
    listen_to(&elsewhere, NETSTRAT_RECORD_NAMESPACES, buffers[2]);
    listen_to(&ended, NETSTRAT_RECORD_ENDED, buffers[3]);
    elsewhere.recorder.final_room = 8;
    CHECK(process(&deleted) == 0 && deleted.recorder.changed == 0 && process(&elsewhere) == 0);

    add_pair(&sock, "host0", 77, netns);
    CHECK(process(&deleted) == 0 && deleted.recorder.changed == 1);
    (void)process(&elsewhere);
    CHECK(elsewhere.numbers[0] == nsid || elsewhere.numbers[1] == nsid);

    /* Only the recorder of all namespaces notices a rename there, and records the namespace
     * once. */
    {
        static unsigned char buffer[BUFFER];

        CHECK(netstrat_socket_open_at(&there, buffer, BUFFER, netns, NULL) == 0);
        rename_index(&there, 9, "eth1");
        rename_index(&there, 9, "eth2");
        netstrat_socket_close(&there);
    }
    CHECK(process(&deleted) == 0 && deleted.recorder.changed == 0);
    CHECK(process(&elsewhere) == 1 && elsewhere.numbers[0] == nsid);

    /* Deletions in this namespace, at last more than there is room for. */
    CHECK(deleted.recorder.final_count == 0 && deletions(&elsewhere) == 0);
    delete_index(&sock, 77);
    CHECK(process(&deleted) == 1 && deleted.numbers[0] == 77);
    CHECK(deleted.recorder.final_count == 1 && deleted.finals[0].index == 77);
    CHECK(deleted.finals[0].nsid == -1);
    CHECK(deletions(&elsewhere) == 1);
    CHECK(elsewhere.finals[0].index == 9 || elsewhere.finals[1].index == 9);
    CHECK(elsewhere.finals[0].nsid == nsid || elsewhere.finals[1].nsid == nsid);
    /* A link that moves away was not deleted. */
    add_pair(&sock, "host0", 70, netns);
    move_index(&sock, 70, netns);
    CHECK(process(&deleted) == 1 && deleted.recorder.final_count == 0);
    CHECK(deletions(&elsewhere) == 0);
    {
        static unsigned char buffer[BUFFER];

        CHECK(netstrat_socket_open_at(&there, buffer, BUFFER, netns, NULL) == 0);
        delete_index(&there, 9);
        netstrat_socket_close(&there);
    }
    CHECK(deletions(&elsewhere) == 2); /* both ends */
    add_pair(&sock, "host0", 71, netns);
    delete_index(&sock, 71);
    add_pair(&sock, "host0", 72, netns);
    delete_index(&sock, 72);
    CHECK(process(&deleted) == 2);
    add_pair(&sock, "host0", 71, netns);
    delete_index(&sock, 71);
    add_pair(&sock, "host0", 72, netns);
    delete_index(&sock, 72);
    add_pair(&sock, "host0", 73, netns);
    delete_index(&sock, 73);
    CHECK(process(&deleted) == 3);
    CHECK(deleted.recorder.final_count == 3 && deleted.finals[2].index == 0); /* one is lost */

    /* The kernel deletes a namespace only after all that ended before it. */
    (void)process(&elsewhere);
    close(netns);
    for (int tries = 0; tries < 60000; tries++) {
        if (process(&ended) > 0)
            break;
        usleep(1000);
    }
    CHECK(ended.recorder.count == 1 && ended.numbers[0] == nsid);
    /* The recorder of all namespaces notices the end as well. */
    for (int tries = 0; tries < 60000; tries++) {
        (void)process(&elsewhere);
        if (elsewhere.recorder.final_count > 0)
            break;
        usleep(1000);
    }
    CHECK(elsewhere.finals[0].index == 0 && elsewhere.finals[0].nsid >= 0);
    CHECK(elsewhere.finals[0].counters.tx_bytes == 0);

    netstrat_socket_close(&deleted.sock);
    netstrat_socket_close(&elsewhere.sock);
    netstrat_socket_close(&ended.sock);
    netstrat_socket_close(&sock);
    close(here);
}

/* In a namespace without an nsid for itself. */
TEST_WITH(a_notification_without_an_nsid_does_not_inherit_the_previous_one, IN_CHILD | NATIVE)
{
    struct netstrat_socket sock, there;
    struct listener elsewhere;
    int netns;

    CHECK(unshare(CLONE_NEWNET) == 0);
    netns = netstrat_netns_create(NULL);
    CHECK(netns >= 0 && netstrat_socket_open(&sock, buffers[0], BUFFER, NULL) == 0);
    CHECK(netstrat_socket_open_at(&there, buffers[1], BUFFER, netns, NULL) == 0);
    (void)nsid_of(&sock, netns);
    listen_to(&elsewhere, NETSTRAT_RECORD_NAMESPACES, buffers[2]);
    add_bridge(&there, "br0");
    CHECK(process(&elsewhere) == 1);
    add_bridge(&there, "br1");
    add_bridge(&sock, "br1");
    CHECK(process(&elsewhere) == 1 && elsewhere.sock.datagram_nsid == -1);
    netstrat_socket_close(&there);
    netstrat_socket_close(&sock);
    netstrat_socket_close(&elsewhere.sock);
    close(netns);
}

TEST_WITH(a_loss_is_recorded, NATIVE)
{
    struct listener listener;

    listen_to(&listener, NETSTRAT_RECORD_DELETED, buffers[0]);
    listener.sock.notified(NULL, listener.sock.notified_context);
    CHECK(listener.recorder.count == listener.recorder.room + 1);
    netstrat_socket_close(&listener.sock);
}

/* Passes a message to the recorder as if it had been received. */
static void give(struct listener *listener, const struct bytes *bytes)
{
    const struct netstrat_message message = only_message(bytes);

    listener->recorder.count = listener->recorder.changed = listener->recorder.final_count = 0;
    listener->sock.notified(&message, listener->sock.notified_context);
}

TEST_WITH(other_messages_are_not_recorded, NATIVE)
{
    struct bytes address = {{0}, 0}, malformed = {{0}, 0}, added = {{0}, 0}, port = {{0}, 0};
    const int32_t nsid = 5;
    struct listener listener;
    size_t at;

    finish(&address, begin(&address, RTM_NEWADDR, 0, 1, 2));
    finish(&malformed, begin(&malformed, RTM_DELLINK, 0, 1, 2));
    at = begin(&added, 88 /* RTM_NEWNSID */, 0, 1, 2);
    put(&added, "\0\0\0\0", 4);
    attribute(&added, 1, &nsid, sizeof nsid);
    finish(&added, at);
    at = begin(&port, RTM_DELLINK, 0, 1, 2);
    put_info(&port, 9, 0);
    port.data[16] = 7; /* AF_BRIDGE: the port has left its bridge but still exists */
    attribute(&port, IFLA_IFNAME, "eth0", 5);
    finish(&port, at);

    listen_to(&listener, NETSTRAT_RECORD_DELETED, buffers[0]);
    give(&listener, &address);
    CHECK(listener.recorder.count == 0 && listener.recorder.changed == 0);
    give(&listener, &port);
    CHECK(listener.recorder.count == 0 && listener.recorder.changed == 1);
    give(&listener, &malformed); /* the deleted index is unknown */
    CHECK(listener.recorder.count == 3);
    netstrat_socket_close(&listener.sock);

    listen_to(&listener, NETSTRAT_RECORD_ENDED, buffers[0]);
    give(&listener, &added);
    CHECK(listener.recorder.count == 0);
    netstrat_socket_close(&listener.sock);

    listen_to(&listener, NETSTRAT_RECORD_NAMESPACES, buffers[0]);
    listener.sock.datagram_nsid = 6;
    give(&listener, &address);
    CHECK(listener.recorder.count == 0);
    give(&listener, &port);
    CHECK(listener.recorder.count == 1 && listener.numbers[0] == 6);
    listener.sock.datagram_nsid = -1; /* from this namespace, which has no nsid */
    give(&listener, &port);
    CHECK(listener.recorder.count == 0);
    netstrat_socket_close(&listener.sock);
}

TEST_WITH(other_namespaces_are_watched_only_with_capabilities, IN_CHILD | NATIVE)
{
    struct netstrat_id_recorder recorder;
    struct netstrat_socket sock;
    struct netstrat_error error;

    drop_capabilities();
    memset(&recorder, 0, sizeof recorder);
    CHECK(netstrat_socket_open(&sock, buffers[0], BUFFER, NULL) == 0);
    CHECK(netstrat_id_recorder_start(&recorder, NETSTRAT_RECORD_NAMESPACES, &sock, &error) ==
          -EPERM);
    CHECK(error.operation == NETSTRAT_OP_SETSOCKOPT && !sock.notified && !sock.all_namespaces);
    CHECK(netstrat_id_recorder_start(&recorder, NETSTRAT_RECORD_DELETED, &sock, &error) == 0);
    netstrat_socket_close(&sock);
}

static void enter(void)
{
    enter_sandbox(0);
}

const struct fixture fixture = {.before_all = enter, .before_each = begin_batch};
