/* SPDX-License-Identifier: MIT */
/* Whole operations: each builds its request, exchanges it and decodes the answer. */
#include "internal.h"

#include <errno.h>
#include <net/if.h>

#include <linux/rtnetlink.h>

enum {
    OPERATIONS_ONCE_BUFFER = 4096
}; /* for replies to the operations with a socket of their own */

/* ---- flags ---- */

/* Reports a failure to encode. Only a name can be wrong: the buffers here have room. */
static int operations_refuse_name(struct netstrat_error *error, int code)
{
    return netstrat_fail(error, code, NETSTRAT_OP_NAME);
}

/* The index and the flags of a link, for which the beginning of the answer is enough: a link with
 * many alternative names does not fit every buffer. */
static int operations_get_flags(struct netstrat_socket *sock, const char *name, int32_t *index,
                                uint32_t *flags, struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct netstrat_message answer;
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    code = netstrat_batch_get_link(&batch, name);
    if (code < 0)
        return operations_refuse_name(error, code);
    code = netstrat_query(sock, &batch, 0, &answer, error);
    if (code < 0)
        return code;
    code = netstrat_link_flags_decode(&answer, index, flags);
    return code < 0 ? netstrat_fail_request(error, code, RTM_GETLINK) : 0;
}

static int operations_try_set_flags(struct netstrat_socket *sock, const char *name, uint32_t flags,
                                    uint32_t change, struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct netstrat_batch batch;
    uint32_t found;
    int32_t index;
    int result;
    int tries = 0;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    code = netstrat_batch_set_link_flags(&batch, name, flags, change);
    if (code < 0)
        return operations_refuse_name(error, code);
    do /* where the ack was lost, asking again does no harm */
        code = netstrat_execute(sock, &batch, &result, error);
    while (code == -ENOBUFS && result == NETSTRAT_PENDING && ++tries < NETSTRAT_MAX_TRIES);

    /* The kernel looks at the caller's rights before it looks at the link. A container whose lo was
     * brought up by somebody else needs no right to find it so, nor to learn that a link does not
     * exist. */
    if (code == -EPERM && result == -EPERM) {
        int looked = operations_get_flags(sock, name, &index, &found, NULL);

        if (looked == 0 && (found & change) == flags)
            return 0;
        if (looked == -ENODEV)
            return netstrat_fail_request(error, -ENODEV, RTM_GETLINK);
    }
    return code;
}

/* Begins several exchanges with one deadline. Returns what shared_deadline has to be after them. */
static int operations_begin_together(struct netstrat_socket *sock, struct netstrat_error *error)
{
    const int shared = sock->shared_deadline;

    if (sock->in_call) /* the deadline is that of the call under way */
        return netstrat_fail(error, -EBUSY, NETSTRAT_OP_BATCH);
    if (!shared)
        sock->deadline_ms = 0;
    sock->shared_deadline = 1;
    return shared != 0;
}

static int operations_set_flags(struct netstrat_socket *sock, const char *name, uint32_t flags,
                                uint32_t change, struct netstrat_error *error)
{
    const int shared = operations_begin_together(sock, error);
    int code;

    if (shared < 0)
        return shared;
    code = operations_try_set_flags(sock, name, flags, change, error);
    sock->shared_deadline = shared;
    return code;
}

int netstrat_link_set_up(struct netstrat_socket *sock, const char *name,
                         struct netstrat_error *error)
{
    return operations_set_flags(sock, name, IFF_UP, IFF_UP, error);
}

int netstrat_link_set_down(struct netstrat_socket *sock, const char *name,
                           struct netstrat_error *error)
{
    return operations_set_flags(sock, name, 0, IFF_UP, error);
}

int netstrat_link_is_up(struct netstrat_socket *sock, const char *name,
                        struct netstrat_error *error)
{
    uint32_t flags;
    int32_t index;
    int code = operations_get_flags(sock, name, &index, &flags, error);

    return code < 0 ? code : (flags & IFF_UP) != 0;
}

static int operations_set_flags_once(const char *name, uint32_t flags, uint32_t change,
                                     struct netstrat_error *error)
{
    unsigned char buffer[OPERATIONS_ONCE_BUFFER];
    struct netstrat_socket sock;
    int code = netstrat_name_check(name); /* before the first system call */

    if (code < 0)
        return operations_refuse_name(error, code);
    code = netstrat_socket_open(&sock, buffer, sizeof buffer, error);
    if (code < 0)
        return code;
    code = operations_set_flags(&sock, name, flags, change, error);
    netstrat_socket_close(&sock);
    return code;
}

int netstrat_link_set_up_once(const char *name, struct netstrat_error *error)
{
    return operations_set_flags_once(name, IFF_UP, IFF_UP, error);
}

int netstrat_link_set_down_once(const char *name, struct netstrat_error *error)
{
    return operations_set_flags_once(name, 0, IFF_UP, error);
}

/* ---- one link ---- */

/* Asks for a link by its name. */
static int operations_query_link(struct netstrat_socket *sock, const char *name,
                                 struct netstrat_message *answer, struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    code = netstrat_batch_get_link(&batch, name);
    if (code < 0)
        return operations_refuse_name(error, code);
    return netstrat_query(sock, &batch, 1, answer, error);
}

static int operations_decode_link(const struct netstrat_message *answer, struct netstrat_link *link,
                                  struct netstrat_counters *counters, struct netstrat_error *error)
{
    struct netstrat_counters values;
    struct netstrat_link read;
    int32_t index;
    int code = netstrat_link_decode(answer, &read);

    if (code == 0 && counters)
        code = netstrat_counters_decode(answer, &index, &values);
    if (code < 0)
        return netstrat_fail_request(error, code, RTM_GETLINK);
    *link = read;
    if (counters)
        *counters = values;
    return 0;
}

int netstrat_link_get(struct netstrat_socket *sock, const char *name, struct netstrat_link *link,
                      struct netstrat_counters *counters, struct netstrat_error *error)
{
    struct netstrat_message answer;
    int code = operations_query_link(sock, name, &answer, error);

    return code < 0 ? code : operations_decode_link(&answer, link, counters, error);
}

int netstrat_link_get_index(struct netstrat_socket *sock, int32_t index, struct netstrat_link *link,
                            struct netstrat_counters *counters, struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct netstrat_message answer;
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    code = netstrat_batch_get_link_index(&batch, index);
    if (code < 0) /* no link has an index of 0 or less */
        return netstrat_fail_request(error, -ENODEV, RTM_GETLINK);
    code = netstrat_query(sock, &batch, 1, &answer, error);
    return code < 0 ? code : operations_decode_link(&answer, link, counters, error);
}

int netstrat_counters_get_by_name(struct netstrat_socket *sock, struct netstrat_name_watch *watch,
                                  const char *name, struct netstrat_link_name *found,
                                  struct netstrat_counters *counters, struct netstrat_error *error)
{
    struct netstrat_counters values;
    struct netstrat_link_name read;
    struct netstrat_message answer;
    int32_t index;
    int code = operations_query_link(sock, name, &answer, error);

    if (code < 0)
        return code;
    code = netstrat_link_name_decode(&answer, &read);
    if (code == 0)
        code = netstrat_counters_decode(&answer, &index, &values);
    if (code < 0)
        return netstrat_fail_request(error, code, RTM_GETLINK);
    netstrat_name_cache_store(watch, &read);
    *found = read;
    *counters = values;
    return 0;
}

int netstrat_counters_get(struct netstrat_socket *sock, const struct netstrat_name_watch *watch,
                          int32_t index, struct netstrat_counters *counters,
                          struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct netstrat_counters read;
    struct netstrat_message answer;
    struct netstrat_batch batch;
    int32_t answered;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    (void)netstrat_batch_get_counters(&batch, index); /* it fits */
    code = netstrat_query(sock, &batch, 1, &answer, error);
    if (code < 0)
        return code;
    code = netstrat_counters_decode(&answer, &answered, &read);
    if (code == 0 && answered != index)
        code = -EBADMSG;
    if (code < 0)
        return netstrat_fail_request(error, code, NETSTRAT_RTM_GETSTATS);
    *counters = read;
    if (!watch)
        return 0;
    return watch->count < INT32_MAX ? (int)watch->count : INT32_MAX;
}

/* The counters of a link whose answer does not fit the buffer, by its index. They count if the name
 * is that of this index before and after. */
static int operations_read_large(struct netstrat_socket *sock, const char *name,
                                 struct netstrat_counters *counters, struct netstrat_error *error)
{
    int tries;

    for (tries = 0; tries < NETSTRAT_MAX_TRIES; tries++) {
        struct netstrat_counters read;
        int32_t index = 0, again = 0; /* the analysers do not see that they are set */
        uint32_t flags;
        int code = operations_get_flags(sock, name, &index, &flags, error);
        int result;

        if (code < 0)
            return code;
        result = netstrat_counters_get(sock, NULL, index, &read, error);
        if (result < 0 && result != -ENODEV)
            return result;
        code = operations_get_flags(sock, name, &again, &flags, error);
        if (code < 0)
            return code;
        if (result == 0 && again == index) {
            *counters = read;
            return 0;
        }
    }
    return netstrat_fail_request(error, -EAGAIN, NETSTRAT_RTM_GETSTATS);
}

static int operations_try_read(struct netstrat_socket *sock, struct netstrat_name_watch *watch,
                               const char *name, struct netstrat_link_name *found,
                               struct netstrat_counters *counters, struct netstrat_error *error)
{
    struct netstrat_link_name link;
    struct netstrat_counters read;
    int code;

    if (watch && found && found->index > 0 && strcmp(found->name, name) == 0) {
        /* 0: no link has changed. Otherwise the name may be another link's by now. */
        code = netstrat_counters_get(sock, watch, found->index, &read, error);
        if (code == 0) {
            *counters = read;
            return 0;
        }
        if (code < 0 && code != -ENODEV && code != -EOPNOTSUPP)
            return code;
    }
    if (watch)
        watch->count = 0; /* what was noted up to now is older than the answer */
    code = netstrat_counters_get_by_name(sock, watch, name, &link, &read, error);
    if (code == -EMSGSIZE)
        return operations_read_large(sock, name, counters, error);
    if (code < 0)
        return code;
    if (found)
        *found = link;
    *counters = read;
    return 0;
}

int netstrat_counters_read(struct netstrat_socket *sock, struct netstrat_name_watch *watch,
                           const char *name, struct netstrat_link_name *found,
                           struct netstrat_counters *counters, struct netstrat_error *error)
{
    const int shared = operations_begin_together(sock, error);
    int code;

    if (shared < 0)
        return shared;
    code = operations_try_read(sock, watch, name, found, counters, error);
    sock->shared_deadline = shared;
    return code;
}

int netstrat_counters_read_once(const char *name, struct netstrat_counters *counters,
                                struct netstrat_error *error)
{
    unsigned char buffer[OPERATIONS_ONCE_BUFFER];
    struct netstrat_socket sock;
    int code = netstrat_name_check(name); /* before the first system call */

    if (code < 0)
        return operations_refuse_name(error, code);
    code = netstrat_socket_open(&sock, buffer, sizeof buffer, error);
    if (code < 0)
        return code;
    code = netstrat_counters_read(&sock, NULL, name, NULL, counters, error);
    netstrat_socket_close(&sock);
    return code;
}

/* ---- every link ---- */

/* The rows of a dump, in the caller's arrays, of which one or two are there; rows that do not
 * fit are only counted. */
struct operations_rows {
    struct netstrat_name_watch *watch;
    struct netstrat_link_name *names;
    int32_t *indexes;
    struct netstrat_counters *counters;
    size_t room;
    size_t count;
};

static int operations_add_row(const struct netstrat_message *message, void *context)
{
    struct operations_rows *rows = (struct operations_rows *)context;
    struct netstrat_link_name name;
    struct netstrat_counters counters;
    int32_t index = 0; /* the analysers do not see that netstrat_counters_decode() sets it */
    int code = 0;

    if (!message) { /* a new try */
        rows->count = 0;
        return 0;
    }
    if (rows->names)
        code = netstrat_link_name_decode(message, &name);
    if (code == 0 && rows->counters)
        code = netstrat_counters_decode(message, &index, &counters);
    if (code < 0)
        return code;
    if (rows->count >= INT32_MAX)
        return -EOVERFLOW;
    if (rows->count < rows->room) {
        if (rows->names)
            rows->names[rows->count] = name;
        if (rows->counters) {
            rows->counters[rows->count] = counters;
            if (rows->indexes)
                rows->indexes[rows->count] = index;
        }
    }
    rows->count++;
    if (rows->names)
        netstrat_name_cache_store(rows->watch, &name);
    return 0;
}

static int operations_dump_rows(struct netstrat_socket *sock, struct netstrat_batch *batch,
                                struct operations_rows *rows, struct netstrat_error *error)
{
    int code = netstrat_dump(sock, batch, operations_add_row, rows, error);

    return code < 0 ? code : (int)rows->count;
}

int netstrat_link_names_dump(struct netstrat_socket *sock, struct netstrat_name_watch *watch,
                             struct netstrat_link_name *names, size_t room,
                             struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct netstrat_batch batch;
    struct operations_rows rows = {watch, names, NULL, NULL, room, 0};

    netstrat_batch_init(&batch, request, sizeof request);
    (void)netstrat_batch_dump_links(&batch, 0); /* it fits */
    return operations_dump_rows(sock, &batch, &rows, error);
}

int netstrat_counters_dump(struct netstrat_socket *sock, int32_t *indexes,
                           struct netstrat_counters *counters, size_t room,
                           struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct netstrat_batch batch;
    struct operations_rows rows = {NULL, NULL, indexes, counters, room, 0};

    netstrat_batch_init(&batch, request, sizeof request);
    (void)netstrat_batch_dump_counters(&batch); /* it fits */
    return operations_dump_rows(sock, &batch, &rows, error);
}

int netstrat_counters_dump_by_name(struct netstrat_socket *sock, struct netstrat_link_name *names,
                                   struct netstrat_counters *counters, size_t room,
                                   struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct netstrat_batch batch;
    struct operations_rows rows = {NULL, names, NULL, counters, room, 0};

    netstrat_batch_init(&batch, request, sizeof request);
    (void)netstrat_batch_dump_links(&batch, 1); /* it fits */
    return operations_dump_rows(sock, &batch, &rows, error);
}
