/* SPDX-License-Identifier: MIT */
/*
 * The counters of many containers, read from the host namespace.
 *
 * Most links of a container are veths whose peer is in the host namespace, and the peer's counters
 * are the same with rx and tx exchanged. So one dump of the host's counters serves all containers.
 * To find out which peer belongs to which container, each container's links are dumped
 * (IFLA_TARGET_NETNSID), and again only after a notification from it. The description of a veth has
 * the index of its peer and the nsid of the peer's namespace. If the peer is in the host namespace,
 * that is the nsid that the host namespace has for itself.
 */
#include "internal.h"

#include <errno.h>

#include <linux/rtnetlink.h>

/* ---- the links of a namespace ---- */

/* How many inconsistent dumps of a namespace there may be before one is accepted: a hostile
 * container, which changes its links all the time, must not delay everyone else's reading. */
enum { CONTAINERS_MAX_INCONSISTENT = 3 };

/* The caller's arrays, which receive the first `room` links of a dump. `count` counts all. */
struct containers_links {
    int32_t nsid;
    int32_t self_nsid;
    int32_t *indexes;
    struct netstrat_netns_link *links;
    struct netstrat_counters *counters;
    size_t room;
    size_t count;
};

static int containers_decode_both(const struct netstrat_message *message, int32_t nsid,
                                  int32_t self_nsid, struct netstrat_netns_link *link,
                                  struct netstrat_counters *counters)
{
    int32_t index;
    int code = netstrat_netns_link_decode(message, nsid, self_nsid, link);

    if (code <= 0)
        return code;
    code = netstrat_counters_decode(message, &index, counters);
    return code < 0 ? code : 1;
}

static int containers_add_link(const struct netstrat_message *message, void *context)
{
    struct containers_links *to = (struct containers_links *)context;
    struct netstrat_counters counters;
    struct netstrat_netns_link link;
    int code;

    if (!message) { /* a try begins */
        to->count = 0;
        return 0;
    }
    code = containers_decode_both(message, to->nsid, to->self_nsid, &link, &counters);
    if (code <= 0)
        return code;
    if (to->count >= INT32_MAX)
        return -EOVERFLOW;
    if (to->count < to->room) {
        to->indexes[to->count] = link.index;
        to->links[to->count] = link;
        to->counters[to->count] = counters;
    }
    to->count++;
    return 0;
}

int netstrat_netns_links_dump(struct netstrat_socket *sock, int32_t nsid, int32_t self_nsid,
                              int32_t *indexes, struct netstrat_netns_link *links,
                              struct netstrat_counters *counters, size_t room,
                              struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct containers_links to = {nsid, self_nsid, indexes, links, counters, room, 0};
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    /* Either request fits the buffer, so its result is ignored. */
    if (nsid < 0)
        (void)netstrat_batch_dump_links(&batch, 1);
    else
        (void)netstrat_batch_dump_links_at(&batch, nsid);
    code = netstrat_dump_tolerant(sock, &batch, CONTAINERS_MAX_INCONSISTENT, containers_add_link,
                                  &to, error);
    return code < 0 ? code : (int)to.count;
}

int netstrat_netns_link_get(struct netstrat_socket *sock, int32_t nsid, int32_t self_nsid,
                            int32_t index, struct netstrat_netns_link *link,
                            struct netstrat_counters *counters, struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct netstrat_counters values;
    struct netstrat_message answer;
    struct netstrat_batch batch;
    struct netstrat_netns_link read;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    code = netstrat_batch_get_link_at(&batch, nsid, index);
    if (code < 0)
        return netstrat_fail(error, code, NETSTRAT_OP_BATCH);
    code = netstrat_query(sock, &batch, 1, &answer, error);
    if (code < 0)
        return code;
    code = containers_decode_both(&answer, nsid, self_nsid, &read, &values);
    if (code < 0 || (code > 0 && read.index != index))
        return netstrat_fail_request(error, -EBADMSG, RTM_GETLINK);
    if (code > 0) {
        *link = read;
        *counters = values;
    }
    return code;
}

/* ---- veths whose peer is in another namespace ---- */

/* The caller's array, which receives the first `room` veths of a dump. `count` counts all. */
struct containers_peers {
    struct netstrat_veth_peer *peers;
    size_t room;
    size_t count;
};

static int containers_add_peer(const struct netstrat_message *message, void *context)
{
    struct containers_peers *to = (struct containers_peers *)context;
    struct netstrat_link link;
    int code;

    if (!message) { /* a try begins */
        to->count = 0;
        return 0;
    }
    code = netstrat_link_decode(message, &link);
    if (code < 0)
        return code;
    if (link.peer_nsid < 0 || strcmp(link.kind, "veth") != 0)
        return 0;
    if (to->count >= INT32_MAX)
        return -EOVERFLOW;
    if (to->count < to->room) {
        to->peers[to->count].index = link.index;
        to->peers[to->count].peer = link.peer;
        to->peers[to->count].nsid = link.peer_nsid;
        memcpy(to->peers[to->count].alias, link.alias, sizeof link.alias);
    }
    to->count++;
    return 0;
}

int netstrat_veth_peers_dump(struct netstrat_socket *sock, struct netstrat_veth_peer *peers,
                             size_t room, struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct containers_peers to = {peers, room, 0};
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    (void)netstrat_batch_dump_links(&batch, 0); /* fits the buffer */
    code = netstrat_dump(sock, &batch, containers_add_peer, &to, error);
    return code < 0 ? code : (int)to.count;
}

/* ---- from a dump to the rows of a table ---- */

static struct netstrat_counters containers_swapped(const struct netstrat_counters *counters)
{
    struct netstrat_counters swapped;

    swapped.rx_bytes = counters->tx_bytes;
    swapped.rx_packets = counters->tx_packets;
    swapped.rx_errors = counters->tx_errors;
    swapped.rx_dropped = counters->tx_dropped;
    swapped.tx_bytes = counters->rx_bytes;
    swapped.tx_packets = counters->rx_packets;
    swapped.tx_errors = counters->rx_errors;
    swapped.tx_dropped = counters->rx_dropped;
    return swapped;
}

/* Returns the position of `index`, searching from `from` to the end and then from the beginning; or
 * `count` if it is not found. */
static size_t containers_find(const int32_t *indexes, size_t count, size_t from, int32_t index)
{
    size_t at;

    for (at = from; at < count; at++)
        if (indexes[at] == index)
            return at;
    for (at = 0; at < from; at++)
        if (indexes[at] == index)
            return at;
    return count;
}

size_t netstrat_counters_gather(const int32_t *indexes, const struct netstrat_counters *counters,
                                size_t count, const struct netstrat_gather_entry *entries,
                                size_t entry_count, struct netstrat_counters *rows)
{
    size_t i, at = 0, found = 0;

    for (i = 0; i < entry_count; i++) {
        const struct netstrat_gather_entry *entry = &entries[i];
        size_t next = containers_find(indexes, count, at, entry->index);

        if (next == count)
            continue;
        at = next; /* the next entry is usually for the same link or a later one */
        rows[entry->row] = entry->swapped ? containers_swapped(&counters[at]) : counters[at];
        found++;
    }
    return found;
}

/* ---- ids from notifications ---- */

static void containers_record_id(struct netstrat_id_recorder *recorder, int32_t id)
{
    uint32_t i;

    for (i = 0; i < recorder->count && i < recorder->room; i++)
        if (recorder->numbers[i] == id)
            return;
    if (recorder->count < recorder->room)
        recorder->numbers[recorder->count++] = id;
    else
        recorder->count = recorder->room + 1;
}

/* Records the counters of a deleted link or, without a message, that an nsid was released. */
static void containers_record_final(struct netstrat_id_recorder *recorder, int32_t nsid,
                                    const struct netstrat_message *message)
{
    struct netstrat_message described;
    struct netstrat_final last;

    memset(&last, 0, sizeof last);
    last.nsid = nsid;
    if (message) {
        described = *message;
        described.type = RTM_NEWLINK; /* which describes a link that exists in the same way */
        if (netstrat_counters_decode(&described, &last.index, &last.counters) < 0)
            return;
    }
    if (recorder->final_count < recorder->final_room)
        recorder->finals[recorder->final_count++] = last;
    else
        recorder->final_count = recorder->final_room + 1;
}

/* Whether a link has left its namespace for another one, and was not deleted. */
static int containers_has_moved(const struct netstrat_message *message)
{
    struct netstrat_cursor rest = message->payload;
    struct netstrat_attribute attribute;

    rest.at += sizeof(struct ifinfomsg);
    while (netstrat_attribute_take(&rest, &attribute) > 0)
        if (attribute.type == NETSTRAT_IFLA_NEW_NETNSID)
            return 1;
    return 0;
}

static void containers_record_link(struct netstrat_id_recorder *recorder,
                                   const struct netstrat_message *message)
{
    const int32_t nsid = recorder->sock->datagram_nsid;
    struct netstrat_link_name name;

    if (message->type != RTM_NEWLINK && message->type != RTM_DELLINK)
        return;
    if (recorder->what == NETSTRAT_RECORD_NAMESPACES) {
        if (nsid < 0)
            return;
        containers_record_id(recorder, nsid);
    }
    if (netstrat_link_name_decode(message, &name) < 0) {
        recorder->count = recorder->room + 1;
        return;
    }
    if (name.name[0] == '\0' && !containers_has_moved(message))
        containers_record_final(recorder, nsid, message);
    if (recorder->what == NETSTRAT_RECORD_NAMESPACES)
        return;
    if (name.name[0] == '\0') {
        containers_record_id(recorder, name.index);
    } else {
        recorder->changed = 1;
    }
}

static void containers_record_end(struct netstrat_id_recorder *recorder, int32_t nsid)
{
    if (recorder->what == NETSTRAT_RECORD_ENDED)
        containers_record_id(recorder, nsid);
    else if (nsid >= 0 && recorder->sock->datagram_nsid < 0) /* not released by another namespace */
        containers_record_final(recorder, nsid, NULL);
}

/* The `notified` callback of a socket with a recorder. */
static void containers_record(const struct netstrat_message *message, void *context)
{
    struct netstrat_id_recorder *recorder = (struct netstrat_id_recorder *)context;
    int32_t nsid;

    if (!message)
        recorder->count = recorder->room + 1;
    else if (message->type == NETSTRAT_RTM_DELNSID && netstrat_nsid_decode(message, &nsid) == 0)
        containers_record_end(recorder, nsid);
    else if (recorder->what != NETSTRAT_RECORD_ENDED)
        containers_record_link(recorder, message);
}

int netstrat_id_recorder_start(struct netstrat_id_recorder *recorder, uint32_t what,
                               struct netstrat_socket *sock, struct netstrat_error *error)
{
    const uint32_t group = what == NETSTRAT_RECORD_ENDED ? (uint32_t)NETSTRAT_RTNLGRP_NSID
                                                         : (uint32_t)RTNLGRP_LINK;
    int code = what == NETSTRAT_RECORD_NAMESPACES ? netstrat_socket_listen_all_nsid(sock, error)
                                                  : 0;

    if (code == 0)
        code = netstrat_socket_join(sock, group, error);
    if (code == 0 && what == NETSTRAT_RECORD_NAMESPACES)
        code = netstrat_socket_join(sock, (uint32_t)NETSTRAT_RTNLGRP_NSID, error);
    if (code < 0)
        return code;
    recorder->finals = NULL;
    recorder->final_room = 0;
    recorder->final_count = 0;
    recorder->sock = sock;
    recorder->what = what;
    recorder->changed = 0;
    recorder->count = 0;
    sock->notified = containers_record;
    sock->notified_context = recorder;
    return 0;
}
