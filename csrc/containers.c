/* SPDX-License-Identifier: MIT */
/*
 * The counters of many namespaces, seen from one of them: whose end a veth's other end is, what the
 * links of a container are that have none here, and what changes in which namespace.
 *
 * A container's end of a pair names the other end by its index, and a dump by IFLA_TARGET_NETNSID
 * names that one's namespace by the id that the asking namespace has for it: its own, for itself.
 * So one small dump for each container, repeated where something changed there, says which of the
 * counters of this namespace are whose; and one dump of those counters holds everybody's.
 */
#include "internal.h"

#include <errno.h>

#include <linux/rtnetlink.h>

/* ---- the links of a namespace ---- */

/* How often a dump is repeated where the links change all the while: a container that sees to that
 * must not keep everybody waiting for its numbers. */
enum { CONTAINERS_MOST_RESTLESS = 3 };

/* The ends of a dump, in the caller's arrays; those that do not fit are only counted. */
struct containers_ends {
    int32_t nsid;
    int32_t self_nsid;
    int32_t *indexes;
    struct netstrat_netns_link *ends;
    struct netstrat_counters *counters;
    size_t room;
    size_t count;
};

static int containers_decode_both(const struct netstrat_message *message, int32_t nsid,
                                  int32_t self_nsid, struct netstrat_netns_link *end,
                                  struct netstrat_counters *counters)
{
    int32_t index;
    int code = netstrat_netns_link_decode(message, nsid, self_nsid, end);

    if (code <= 0)
        return code;
    code = netstrat_counters_decode(message, &index, counters);
    return code < 0 ? code : 1;
}

static int containers_add_end(const struct netstrat_message *message, void *context)
{
    struct containers_ends *to = (struct containers_ends *)context;
    struct netstrat_counters counters;
    struct netstrat_netns_link end;
    int code;

    if (!message) { /* a new try */
        to->count = 0;
        return 0;
    }
    code = containers_decode_both(message, to->nsid, to->self_nsid, &end, &counters);
    if (code <= 0)
        return code;
    if (to->count >= INT32_MAX)
        return -EOVERFLOW;
    if (to->count < to->room) {
        to->indexes[to->count] = end.index;
        to->ends[to->count] = end;
        to->counters[to->count] = counters;
    }
    to->count++;
    return 0;
}

int netstrat_netns_links_dump(struct netstrat_socket *sock, int32_t nsid, int32_t self_nsid,
                              int32_t *indexes, struct netstrat_netns_link *ends,
                              struct netstrat_counters *counters, size_t room,
                              struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct containers_ends to = {nsid, self_nsid, indexes, ends, counters, room, 0};
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    if (nsid < 0) /* either fits */
        (void)netstrat_batch_dump_links(&batch, 1);
    else
        (void)netstrat_batch_dump_links_at(&batch, nsid);
    code = netstrat_dump_tolerant(sock, &batch, CONTAINERS_MOST_RESTLESS, containers_add_end, &to,
                                  error);
    return code < 0 ? code : (int)to.count;
}

int netstrat_netns_link_get(struct netstrat_socket *sock, int32_t nsid, int32_t self_nsid,
                            int32_t index, struct netstrat_netns_link *end,
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
        *end = read;
        *counters = values;
    }
    return code;
}

/* The pairs of a dump, as the ends above. */
struct containers_pairs {
    struct netstrat_veth_peer *pairs;
    size_t room;
    size_t count;
};

static int containers_add_pair(const struct netstrat_message *message, void *context)
{
    struct containers_pairs *to = (struct containers_pairs *)context;
    struct netstrat_link link;
    int code;

    if (!message) { /* a new try */
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
        to->pairs[to->count].index = link.index;
        to->pairs[to->count].peer = link.peer;
        to->pairs[to->count].nsid = link.peer_nsid;
    }
    to->count++;
    return 0;
}

int netstrat_veth_peers_dump(struct netstrat_socket *sock, struct netstrat_veth_peer *pairs,
                             size_t room, struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct containers_pairs to = {pairs, room, 0};
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    (void)netstrat_batch_dump_links(&batch, 0); /* it fits */
    code = netstrat_dump(sock, &batch, containers_add_pair, &to, error);
    return code < 0 ? code : (int)to.count;
}

/* ---- whose counters are which ---- */

static void containers_swap_sides(struct netstrat_counters *counters)
{
    const struct netstrat_counters other = *counters;

    counters->rx_bytes = other.tx_bytes;
    counters->rx_packets = other.tx_packets;
    counters->rx_errors = other.tx_errors;
    counters->rx_dropped = other.tx_dropped;
    counters->tx_bytes = other.rx_bytes;
    counters->tx_packets = other.rx_packets;
    counters->tx_errors = other.rx_errors;
    counters->tx_dropped = other.rx_dropped;
}

/* Where `index` stands, looked for once around from `from` on; `count` where it does not. */
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
                                size_t count, const struct netstrat_gather_entry *sources,
                                size_t source_count, struct netstrat_counters *rows)
{
    size_t i, at = 0, found = 0;

    for (i = 0; i < source_count; i++) {
        const struct netstrat_gather_entry *source = &sources[i];
        size_t next = containers_find(indexes, count, at, source->index);

        if (next == count)
            continue;
        at = next; /* the next source has the same link, or one behind it */
        rows[source->row] = counters[at];
        if (source->swapped)
            containers_swap_sides(&rows[source->row]);
        found++;
    }
    return found;
}

/* ---- what changes ---- */

static void containers_note_number(struct netstrat_id_recorder *notes, int32_t number)
{
    uint32_t i;

    for (i = 0; i < notes->count && i < notes->room; i++)
        if (notes->numbers[i] == number)
            return;
    if (notes->count < notes->room)
        notes->numbers[notes->count++] = number;
    else
        notes->count = notes->room + 1;
}

static void containers_note_link(struct netstrat_id_recorder *notes,
                                 const struct netstrat_message *message)
{
    const int32_t nsid = notes->sock->datagram_nsid;
    struct netstrat_link_name name;

    if (message->type != RTM_NEWLINK && message->type != RTM_DELLINK)
        return;
    if (notes->what == NETSTRAT_RECORD_NAMESPACES) {
        if (nsid >= 0)
            containers_note_number(notes, nsid);
    } else if (netstrat_link_name_decode(message, &name) < 0) {
        notes->count = notes->room + 1;
    } else if (name.name[0] == '\0') {
        containers_note_number(notes, name.index);
    } else {
        notes->changed = 1;
    }
}

static void containers_note(const struct netstrat_message *message, void *context)
{
    struct netstrat_id_recorder *notes = (struct netstrat_id_recorder *)context;
    int32_t nsid;

    if (!message)
        notes->count = notes->room + 1;
    else if (notes->what != NETSTRAT_RECORD_ENDED)
        containers_note_link(notes, message);
    else if (message->type == NETSTRAT_RTM_DELNSID && netstrat_nsid_decode(message, &nsid) == 0)
        containers_note_number(notes, nsid);
}

int netstrat_id_recorder_start(struct netstrat_id_recorder *notes, uint32_t what,
                               struct netstrat_socket *sock, struct netstrat_error *error)
{
    const uint32_t group = what == NETSTRAT_RECORD_ENDED ? (uint32_t)NETSTRAT_RTNLGRP_NSID
                                                         : (uint32_t)RTNLGRP_LINK;
    int code = what == NETSTRAT_RECORD_NAMESPACES ? netstrat_socket_listen_all_nsid(sock, error)
                                                  : 0;

    if (code == 0)
        code = netstrat_socket_join(sock, group, error);
    if (code < 0)
        return code;
    notes->sock = sock;
    notes->what = what;
    notes->changed = 0;
    notes->count = 0;
    sock->notified = containers_note;
    sock->notified_context = notes;
    return 0;
}
