/* SPDX-License-Identifier: MIT */
/* Whole operations: each builds its request, sends it and decodes the reply. */
#include "internal.h"

#include <errno.h>
#include <net/if.h>

#include <linux/rtnetlink.h>

/* The buffer of the operations that open a socket of their own. */
enum { OPERATIONS_ONCE_BUFFER = 4096 };

/* Reports a failure to encode. Only a name can be invalid: the buffers in this file are large
 * enough. */
static int operations_refuse_name(struct netstrat_error *error, int code)
{
    return netstrat_fail(error, code, NETSTRAT_OP_NAME);
}

/* Opens a socket for one operation. An invalid name is refused before the first system call. */
static int operations_open_once(struct netstrat_socket *sock, void *buffer, const char *name,
                                struct netstrat_error *error)
{
    int code = netstrat_name_check(name);

    return code < 0 ? operations_refuse_name(error, code)
                    : netstrat_socket_open(sock, buffer, OPERATIONS_ONCE_BUFFER, error);
}

/* Begins several calls with one deadline. Returns -EBUSY, or the value that the caller must assign
 * to shared_deadline after them. */
static int operations_share_deadline(struct netstrat_socket *sock, struct netstrat_error *error)
{
    const int shared = sock->shared_deadline;

    if (sock->in_call) /* the deadline belongs to the call in progress */
        return netstrat_fail(error, -EBUSY, NETSTRAT_OP_BATCH);
    if (!shared)
        sock->deadline_ms = 0;
    sock->shared_deadline = 1;
    return shared != 0;
}

/* Queries a link by name. With `whole` 0, the reply may be truncated. */
static int operations_query_link(struct netstrat_socket *sock, const char *name, int whole,
                                 struct netstrat_message *answer, struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    code = netstrat_batch_get_link(&batch, name);
    if (code < 0)
        return operations_refuse_name(error, code);
    return netstrat_query(sock, &batch, whole, answer, error);
}

/* ---- flags ---- */

/* Reads the index and the flags of a link. They are at the start of the reply, which may be
 * truncated: a link with many alternative names does not fit every buffer. */
static int operations_get_flags(struct netstrat_socket *sock, const char *name, int32_t *index,
                                uint32_t *flags, struct netstrat_error *error)
{
    struct netstrat_message answer;
    int code = operations_query_link(sock, name, 0, &answer, error);

    if (code < 0)
        return code;
    code = netstrat_link_flags_decode(&answer, index, flags);
    return code < 0 ? netstrat_fail_request(error, code, RTM_GETLINK) : 0;
}

/*
 * Sets flags. If the kernel refuses for lack of CAP_NET_ADMIN, the link is looked up, and it is a
 * success if it has the flags already: a container without capabilities can then use an lo that was
 * set up for it. The kernel checks capabilities before the link, so -ENODEV needs the look-up too.
 */
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
    do /* the change is idempotent, so it is repeated if its ack was lost */
        code = netstrat_execute(sock, &batch, &result, error);
    while (code == -ENOBUFS && result == NETSTRAT_PENDING && ++tries < NETSTRAT_MAX_TRIES);

    if (code == -EPERM && result == -EPERM) {
        int lookup = operations_get_flags(sock, name, &index, &found, NULL);

        if (lookup == 0 && (found & change) == flags)
            return 0;
        if (lookup == -ENODEV)
            return netstrat_fail_request(error, -ENODEV, RTM_GETLINK);
    }
    return code;
}

static int operations_set_flags(struct netstrat_socket *sock, const char *name, uint32_t flags,
                                uint32_t change, struct netstrat_error *error)
{
    const int shared = operations_share_deadline(sock, error);
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
    int code = operations_open_once(&sock, buffer, name, error);

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
    int code = operations_query_link(sock, name, 1, &answer, error);

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
    if (code < 0) /* an index is positive */
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
    int code = operations_query_link(sock, name, 1, &answer, error);

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
    (void)netstrat_batch_get_counters(&batch, index); /* fits the buffer */
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

/* Reads the counters of a link whose description does not fit the buffer, by its index. They are
 * valid if the name belongs to this index before and after. */
static int operations_read_large(struct netstrat_socket *sock, const char *name,
                                 struct netstrat_counters *counters, struct netstrat_error *error)
{
    int tries;

    for (tries = 0; tries < NETSTRAT_MAX_TRIES; tries++) {
        struct netstrat_counters read;
        int32_t index = 0, again = 0; /* for gcc -fanalyzer and clang-tidy (uninitialized value) */
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
        /* Returns 0 if no link has changed. Otherwise the name may belong to another link now. */
        code = netstrat_counters_get(sock, watch, found->index, &read, error);
        if (code == 0) {
            *counters = read;
            return 0;
        }
        if (code < 0 && code != -ENODEV && code != -EOPNOTSUPP)
            return code;
    }
    if (watch)
        watch->count = 0; /* the changes recorded so far are older than the reply */
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
    const int shared = operations_share_deadline(sock, error);
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
    int code = operations_open_once(&sock, buffer, name, error);

    if (code < 0)
        return code;
    code = netstrat_counters_read(&sock, NULL, name, NULL, counters, error);
    netstrat_socket_close(&sock);
    return code;
}

/* ---- every link ---- */

/* The caller's arrays, some of which may be NULL. They receive the first `room` rows of a dump;
 * `count` counts all. */
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
    struct netstrat_counters unused_counters;
    int32_t unused_index;
    int has_room, code = 0;

    if (!message) { /* a try begins */
        rows->count = 0;
        return 0;
    }
    if (rows->count >= INT32_MAX)
        return -EOVERFLOW;
    has_room = rows->count < rows->room;
    if (rows->names)
        code = netstrat_link_name_decode(message, &name);
    if (code == 0 && rows->counters) /* decoded into the row: copies take a tenth of the time */
        code = netstrat_counters_decode(message,
                                        has_room && rows->indexes ? &rows->indexes[rows->count]
                                                                  : &unused_index,
                                        has_room ? &rows->counters[rows->count] : &unused_counters);
    if (code < 0)
        return code;
    if (rows->names) {
        if (has_room)
            rows->names[rows->count] = name;
        netstrat_name_cache_store(rows->watch, &name);
    }
    rows->count++;
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
    (void)netstrat_batch_dump_links(&batch, 0); /* fits the buffer */
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
    (void)netstrat_batch_dump_counters(&batch); /* fits the buffer */
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
    (void)netstrat_batch_dump_links(&batch, 1); /* fits the buffer */
    return operations_dump_rows(sock, &batch, &rows, error);
}
