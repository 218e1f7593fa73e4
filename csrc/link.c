/* SPDX-License-Identifier: MIT */
/* The operations on links: small requests, each built, sent and decoded here. */
#include "internal.h"

#include <errno.h>
#include <net/if.h>
#include <sys/socket.h>

#include <linux/rtnetlink.h>

#ifndef RTM_NEWSTATS
#define RTM_NEWSTATS 92 /* linux/rtnetlink.h, 4.7 */
#endif

enum {
    REQUEST_SIZE = 192,    /* a header, struct ifinfomsg and the longest alternative name */
    ONCE_BUFFER = 4096     /* for replies to netstrat_link_set_up_once; RTM_GETLINK's takes 1,500 */
};

/* ---- flags ---- */

/* Reports a failure to encode. Only a name can be wrong: the buffers here have room. */
static int refuse_name(struct netstrat_error *error, int code)
{
    return netstrat_fail(error, code, "name");
}

static int set_flags(struct netstrat_socket *sock, const char *name, uint32_t flags,
                     uint32_t change, struct netstrat_error *error)
{
    unsigned char request[REQUEST_SIZE];
    struct netstrat_batch batch;
    struct netstrat_link link;
    int result;
    int tries = 0;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    code = netstrat_put_link_flags(&batch, name, flags, change);
    if (code < 0)
        return refuse_name(error, code);
    do /* where the ack was lost, asking again does no harm */
        code = netstrat_transact(sock, &batch, &result, error);
    while (code == -ENOBUFS && ++tries < NETSTRAT_MAX_TRIES);

    /* The kernel looks at the caller's rights before it looks at the link. A container whose lo was
     * brought up by somebody else needs no right to find it so, nor to learn that there is none. */
    if (code == -EPERM && result == -EPERM) {
        int found = netstrat_get_link(sock, name, &link, NULL, NULL);

        if (found == 0 && (link.flags & change) == flags)
            return 0;
        if (found == -ENODEV)
            return netstrat_fail(error, -ENODEV, "RTM_GETLINK");
    }
    return code;
}

int netstrat_link_set_up(struct netstrat_socket *sock, const char *name,
                         struct netstrat_error *error)
{
    return set_flags(sock, name, IFF_UP, IFF_UP, error);
}

int netstrat_link_set_down(struct netstrat_socket *sock, const char *name,
                           struct netstrat_error *error)
{
    return set_flags(sock, name, 0, IFF_UP, error);
}

int netstrat_link_is_up(struct netstrat_socket *sock, const char *name,
                        struct netstrat_error *error)
{
    struct netstrat_link link;
    int code = netstrat_get_link(sock, name, &link, NULL, error);

    return code < 0 ? code : (link.flags & IFF_UP) != 0;
}

int netstrat_link_set_up_once(const char *name, struct netstrat_error *error)
{
    unsigned char buffer[ONCE_BUFFER];
    struct netstrat_socket sock;
    int code = netstrat_check_name(name); /* before the first system call */

    if (code < 0)
        return refuse_name(error, code);
    code = netstrat_open(&sock, buffer, sizeof buffer, error);
    if (code < 0)
        return code;
    code = netstrat_link_set_up(&sock, name, error);
    netstrat_close(&sock);
    return code;
}

/* ---- one link ---- */

int netstrat_get_link(struct netstrat_socket *sock, const char *name, struct netstrat_link *link,
                      struct netstrat_counters *counters, struct netstrat_error *error)
{
    unsigned char request[REQUEST_SIZE];
    struct netstrat_batch batch;
    struct netstrat_message answer;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    code = netstrat_put_get_link(&batch, name);
    if (code < 0)
        return refuse_name(error, code);
    code = netstrat_query(sock, &batch, &answer, error);
    if (code < 0)
        return code;
    code = answer.type == RTM_NEWLINK ? netstrat_decode_link(&answer, link, counters) : -EBADMSG;
    return code < 0 ? netstrat_fail(error, code, "RTM_GETLINK") : 0;
}

/* Notes in the socket that RTM_GETSTATS is refused here (a kernel before 4.7, an emulator), so that
 * it is tried once only. */
static int note_refusal(struct netstrat_socket *sock, int code)
{
    if (code == -EOPNOTSUPP)
        sock->by_name_only = 1;
    return code;
}

int netstrat_get_stats(struct netstrat_socket *sock, int32_t index,
                       struct netstrat_counters *counters, struct netstrat_error *error)
{
    unsigned char request[REQUEST_SIZE];
    struct netstrat_batch batch;
    struct netstrat_message answer;
    struct netstrat_counters read;
    int32_t answered;
    int code;

    if (sock->by_name_only)
        return netstrat_fail(error, -EOPNOTSUPP, "RTM_GETSTATS");
    netstrat_batch_init(&batch, request, sizeof request);
    (void)netstrat_put_get_stats(&batch, index); /* it fits */
    code = netstrat_query(sock, &batch, &answer, error);
    if (code < 0)
        return note_refusal(sock, code);
    code = answer.type == RTM_NEWSTATS ? netstrat_decode_stats(&answer, &answered, &read) : -EBADMSG;
    if (code == 0 && answered != index)
        code = -EBADMSG;
    if (code < 0)
        return netstrat_fail(error, code, "RTM_GETSTATS");
    *counters = read;
    return sock->changes_count < INT32_MAX ? (int)sock->changes_count : INT32_MAX;
}

/* ---- every link ---- */

/* The rows of a dump, in the caller's arrays; those that do not fit are only counted. */
struct rows {
    struct netstrat_link *links; /* of netstrat_dump_links, */
    int32_t *indexes;            /* or of netstrat_dump_stats */
    struct netstrat_counters *counters;
    int with_counters;
    size_t room;
    size_t count;
};

static int add_row(const struct netstrat_message *message, void *context)
{
    struct rows *rows = (struct rows *)context;
    struct netstrat_link link;
    struct netstrat_counters counters;
    int32_t index = 0;
    int code;

    if (!message) { /* a new try */
        rows->count = 0;
        return 0;
    }
    if (message->type == RTM_NEWLINK) {
        code = netstrat_decode_link(message, &link, rows->with_counters ? &counters : NULL);
        index = link.index;
    } else if (message->type == RTM_NEWSTATS && rows->with_counters) {
        code = netstrat_decode_stats(message, &index, &counters);
    } else {
        code = -EBADMSG;
    }
    if (code < 0)
        return code;
    if (rows->count >= INT32_MAX)
        return -EOVERFLOW;
    if (rows->count < rows->room) {
        if (rows->with_counters) {
            rows->indexes[rows->count] = index;
            rows->counters[rows->count] = counters;
        } else {
            rows->links[rows->count] = link;
        }
    }
    rows->count++;
    return 0;
}

static int dump(struct netstrat_socket *sock, struct netstrat_batch *batch, struct rows *rows,
                struct netstrat_error *error)
{
    int code = netstrat_dump(sock, batch, add_row, rows, error);

    return code < 0 ? code : (int)rows->count;
}

int netstrat_dump_links(struct netstrat_socket *sock, struct netstrat_link *links, size_t room,
                        struct netstrat_error *error)
{
    unsigned char request[REQUEST_SIZE];
    struct netstrat_batch batch;
    struct rows rows = {links, NULL, NULL, 0, room, 0};

    netstrat_batch_init(&batch, request, sizeof request);
    (void)netstrat_put_dump_links(&batch, 0); /* it fits */
    return dump(sock, &batch, &rows, error);
}

int netstrat_dump_stats(struct netstrat_socket *sock, int32_t *indexes,
                        struct netstrat_counters *counters, size_t room,
                        struct netstrat_error *error)
{
    unsigned char request[REQUEST_SIZE];
    struct netstrat_batch batch;
    struct rows rows = {NULL, indexes, counters, 1, room, 0};

    netstrat_batch_init(&batch, request, sizeof request);
    if (!sock->by_name_only) {
        int code;

        (void)netstrat_put_dump_stats(&batch); /* it fits */
        code = note_refusal(sock, dump(sock, &batch, &rows, error));
        if (!sock->by_name_only)
            return code;
        netstrat_batch_init(&batch, request, sizeof request);
    }
    (void)netstrat_put_dump_links(&batch, 1);
    return dump(sock, &batch, &rows, error);
}
