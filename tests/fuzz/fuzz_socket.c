/* SPDX-License-Identifier: MIT */
/*
 * Exchanges and operations with a fake kernel that replies anything. The input selects a call,
 * followed by a queue of events for recvfrom(). A fake clock shows that every call ends by its
 * deadline. A model decodes the same datagrams and checks that no reply is assigned to the wrong
 * message.
 *
 * The first four bytes are the call, the number of messages, options, and the result of the first
 * send(). Each event is a byte for its kind, two for its length (little endian), and its bytes.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fuzz.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

enum {
    BUFFER = 2048,
    SMALL_BUFFER = 96, /* truncates what is longer than one link's counters */
    MOST_MESSAGES = 4,
    TIMEOUT = 1000,
    HOOK = 100, /* the longest wait without the callback, ms */
    OWN_PORT = 77,
    INDEX = 7, /* of the queried link */
    ROWS = 4,  /* room for a dump */
    CHANGES = 3,
    NSID = 5,
    KNOWN = 2,
    SLACK = 64 /* clock reads between the deadline and the return */
};

/* Bits of the third byte. */
enum {
    WATCHING = 1,
    GIVING_UP = 2,     /* the callback ends the call at the first signal */
    SEQUENCE_ENDS = 4, /* the sequence numbers soon wrap around */
    NO_CACHE = 8,
    NO_TIME = 16,     /* timeout 0: read only what is queued */
    CUTTING = 32,     /* a small buffer */
    SHARED = 64,      /* one deadline for all calls */
    SMALL_QUEUE = 128 /* a batch is sent in parts */
};

enum event_kind {
    FROM_KERNEL,
    ANSWER, /* from the kernel; sequence numbers are relative to the last request */
    FROM_STRANGER,
    CUT,
    FAILURE,
    SHORT_SENDER,
    FROM_GROUP, /* like ANSWER, but sent to a group, so never a reply */
    KINDS
};

/* ---- the fake kernel ---- */

static const uint8_t *events;
static size_t events_left;
static int64_t now_ms;
static size_t buffer_size;
static unsigned options, send_fate, sends, polls, interrupts;
static int is_member; /* of the joined group */

/* The model: the last request, and the replies to it so far. */
static struct {
    uint32_t first, count; /* the messages of the last send() */
    uint32_t port;         /* of a reply; 0 for any */
    int is_batch;          /* each send() continues after the one before */
    uint32_t done;         /* messages of the batch sent before the last send() */
    int acked[MOST_MESSAGES], codes[MOST_MESSAGES];
    uint32_t answers; /* replies of any type */
    int blind;        /* a malformed or truncated datagram was received */
    unsigned char seen[64 * 1024];
    size_t seen_size;
} model;

/* Decodes a datagram whose last `missing` bytes were truncated. */
static void read_again(const unsigned char *data, size_t size, size_t missing)
{
    while (size >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr header;
        size_t length, step;
        uint32_t item;

        memcpy(&header, data, sizeof header);
        length = header.nlmsg_len;
        if (length < sizeof header || (length > size && length - size > missing))
            return;
        if (length > size)
            length = size;
        item = header.nlmsg_seq - model.first;
        if (item < model.count && (!model.port || header.nlmsg_pid == model.port)) {
            uint32_t number = model.done + item;

            model.answers++;
            if (model.seen_size + length <= sizeof model.seen) {
                memcpy(model.seen + model.seen_size, data, length);
                model.seen_size += length;
            } else {
                model.blind = 1;
            }
            if (header.nlmsg_type == NLMSG_ERROR && number < MOST_MESSAGES &&
                !model.acked[number] && length >= 36) {
                model.acked[number] = 1;
                memcpy(&model.codes[number], data + 16, 4);
            }
        }
        step = (length + 3U) & ~(size_t)3;
        if (step >= size)
            return;
        data += step;
        size -= step;
    }
}

/* Tests whether these bytes belong to a reply. */
static int was_answered(const void *bytes, size_t size)
{
    return model.blind || memmem(model.seen, model.seen_size, bytes, size) != NULL;
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *sender,
                        socklen_t *sender_size);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_getsockname(int fd, struct sockaddr *name, socklen_t *size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *name, socklen_t size);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size);

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    const unsigned char *begin = (const unsigned char *)data;
    struct nlmsghdr header;

    (void)fd;
    HOLDS(size >= sizeof header && flags == 0);
    if (sends++ == 0) {
        switch (send_fate % 6) {
        case 3:
            errno = EINTR;
            interrupts++;
            return -1;
        case 4:
            errno = EOPNOTSUPP;
            return -1;
        case 5:
            return (ssize_t)size - 1;
        default:
            break;
        }
    }
    memcpy(&header, data, sizeof header);
    HOLDS((header.nlmsg_type & 3) == 2 || !is_member); /* a GET, or a change outside of groups */
    HOLDS(header.nlmsg_seq != 0 && header.nlmsg_seq != model.first);
    model.first = header.nlmsg_seq;
    if (model.is_batch) {
        model.done += model.count;
    } else {
        memset(model.acked, 0, sizeof model.acked);
        model.answers = 0;
        model.seen_size = 0;
    }
    for (model.count = 0; size > 0; model.count++) {
        memcpy(&header, data, sizeof header);
        HOLDS(header.nlmsg_len <= size && header.nlmsg_seq == model.first + model.count);
        data = (const unsigned char *)data + header.nlmsg_len;
        size -= header.nlmsg_len;
    }
    return (ssize_t)((const unsigned char *)data - begin);
}

ssize_t __wrap_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *sender,
                        socklen_t *sender_size)
{
    struct sockaddr_nl from;
    unsigned kind;
    size_t length, fits, at;

    (void)fd;
    HOLDS(flags == (MSG_DONTWAIT | MSG_TRUNC) && size == buffer_size &&
          *sender_size == sizeof from);
    now_ms++;
    if (events_left < 3) {
        errno = EAGAIN;
        return -1;
    }
    kind = events[0] % KINDS;
    length = events[1] | (size_t)events[2] << 8;
    events += 3;
    events_left -= 3;
    if (length > events_left)
        length = events_left;

    memset(&from, 0, sizeof from);
    from.nl_family = AF_NETLINK;
    from.nl_pid = kind == FROM_STRANGER ? 4242 : 0;
    from.nl_groups = kind == FROM_GROUP;
    memcpy(sender, &from, sizeof from);
    if (kind == SHORT_SENDER)
        *sender_size = sizeof from - 4;
    fits = length < size ? length : size;
    memcpy(buffer, events, fits);
    if (kind == CUT) { /* longer than any buffer; zeros follow its start */
        memset((unsigned char *)buffer + fits, 0, size - fits);
        length = fits;
        read_again((const unsigned char *)buffer, size, fits + BUFFER + 1 - size);
    }
    if (kind == ANSWER || kind == FROM_GROUP) {
        for (at = 0; at < fits && fits - at >= sizeof(struct nlmsghdr);) {
            struct nlmsghdr header;

            memcpy(&header, (unsigned char *)buffer + at, sizeof header);
            header.nlmsg_seq += model.first;
            memcpy((unsigned char *)buffer + at, &header, sizeof header);
            if (header.nlmsg_len < sizeof header || header.nlmsg_len > fits - at)
                break;
            at += (header.nlmsg_len + 3U) & ~3U;
        }
    }
    if (kind == FROM_KERNEL || kind == ANSWER)
        read_again((const unsigned char *)buffer, fits, length - fits);
    at = length;
    if (kind == FAILURE) {
        static const int failures[] = {EINTR, ENOBUFS, EAGAIN, EIO};

        errno = failures[length > 0 ? events[0] % 4 : 0];
        if (errno == EINTR)
            interrupts++;
    }
    events += length;
    events_left -= length;
    if (kind == FAILURE)
        return -1;
    return (ssize_t)(kind == CUT ? at + BUFFER + 1 : at);
}

/* Like recvfrom(). Every third datagram has an nsid as ancillary data, and every third other
 * data. */
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    const int32_t nsid = NSID;

    HOLDS(message->msg_iovlen == 1 && control && message->msg_controllen >= CMSG_SPACE(4));
    control->cmsg_level = 270; /* SOL_NETLINK */
    control->cmsg_type = now_ms % 3 ? 8 /* NETLINK_LISTEN_ALL_NSID */ : 3;
    control->cmsg_len = CMSG_LEN(now_ms % 3 == 1 ? 3 : 4);
    memcpy(CMSG_DATA(control), &nsid, sizeof nsid);
    return __wrap_recvfrom(fd, message->msg_iov->iov_base, message->msg_iov->iov_len, flags,
                           (struct sockaddr *)message->msg_name, &message->msg_namelen);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    HOLDS(count == 1 && fds->events == POLLIN && timeout > 0 && timeout <= HOOK);
    polls++;
    if (events_left >= 3) {
        now_ms++;
        return 1;
    }
    now_ms += timeout;
    return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    HOLDS(clock == CLOCK_MONOTONIC);
    now_ms++;
    now->tv_sec = (time_t)(now_ms / 1000);
    now->tv_nsec = (long)(now_ms % 1000) * 1000000;
    return 0;
}

int __wrap_getsockname(int fd, struct sockaddr *name, socklen_t *size)
{
    struct sockaddr_nl own;

    (void)fd;
    HOLDS(*size == sizeof own);
    memset(&own, 0, sizeof own);
    own.nl_family = AF_NETLINK;
    own.nl_pid = OWN_PORT;
    memcpy(name, &own, sizeof own);
    return 0;
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    (void)fd;
    (void)level;
    (void)value;
    (void)size;
    if (option == NETLINK_ADD_MEMBERSHIP || option == NETLINK_DROP_MEMBERSHIP)
        is_member = option == NETLINK_ADD_MEMBERSHIP;
    return 0;
}

int __wrap_bind(int fd, const struct sockaddr *name, socklen_t size)
{
    (void)fd;
    (void)name;
    (void)size;
    return 0;
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
    int bytes = options & SMALL_QUEUE ? 2 : 212992;

    (void)fd;
    HOLDS(level == SOL_SOCKET && (option == SO_RCVBUF || option == SO_SNDBUF));
    HOLDS(*size == sizeof bytes);
    memcpy(value, &bytes, sizeof bytes);
    return 0;
}

/* ---- the calls ---- */

struct hook {
    struct netstrat_socket *sock;
    int gives_up;
};

/* Also checks that calls on the same socket are refused. */
static int stop(void *context)
{
    const struct hook *hook = (const struct hook *)context;
    struct netstrat_counters counters;

    HOLDS(netstrat_socket_process_pending(hook->sock, NULL) == -EBUSY);
    HOLDS(netstrat_link_set_up(hook->sock, "lo", NULL) == -EBUSY);
    HOLDS(netstrat_counters_get(hook->sock, NULL, INDEX, &counters, NULL) == -EBUSY);
    return hook->gives_up;
}

static void check_error(int code, const struct netstrat_socket *sock,
                        const struct netstrat_error *error)
{
    if (code >= 0)
        return;
    HOLDS(error->code == code && error->operation > NETSTRAT_OP_NONE &&
          error->operation < NETSTRAT_OPERATIONS);
    HOLDS(error->text_length < NETSTRAT_TEXT_SIZE && error->text[error->text_length] == '\0');
    if (code == -EMSGSIZE && error->operation == NETSTRAT_OP_RECVFROM)
        HOLDS(sock->required_size > sock->buffer_size);
}

static void try_execute(struct netstrat_socket *sock, uint32_t count)
{
    unsigned char request[512];
    struct netstrat_batch batch;
    struct netstrat_error error;
    int results[MOST_MESSAGES + 1];
    int code, first = 0, answered = 1;
    uint32_t i;

    netstrat_batch_init(&batch, request, sizeof request);
    for (i = 0; i < count; i++)
        HOLDS(netstrat_batch_set_link_flags(&batch, "lo", 1, 1) == 0);
    model.is_batch = 1;
    model.count = 0;
    results[count] = 12345;
    code = netstrat_execute(sock, &batch, results, &error);
    check_error(code, sock, &error);
    HOLDS(code <= 0 && results[count] == 12345 && model.done + model.count <= count);
    for (i = 0; i < count; i++) {
        HOLDS(results[i] == NETSTRAT_PENDING || (model.acked[i] && results[i] == model.codes[i]));
        HOLDS(code != 0 || results[i] == 0);
        if (first == 0 && results[i] < 0)
            first = (int)i + 1;
        if (results[i] == NETSTRAT_PENDING)
            answered = 0;
    }
    if (first && answered) { /* the first failure is returned */
        HOLDS(code == results[first - 1]);
        HOLDS(error.item == (uint32_t)first - 1 && error.request == RTM_NEWLINK);
    }
}

static void try_query(struct netstrat_socket *sock, int whole)
{
    unsigned char request[64];
    struct netstrat_batch batch;
    struct netstrat_message answer;
    struct netstrat_error error;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    HOLDS(netstrat_batch_get_link(&batch, "lo") == 0);
    memset(&answer, UNTOUCHED, sizeof answer);
    code = netstrat_query(sock, &batch, whole, &answer, &error);
    check_error(code, sock, &error);
    HOLDS(code <= 0);
    if (code < 0) {
        HOLDS(is_untouched(&answer, sizeof answer));
        return;
    }
    HOLDS(answer.type != NLMSG_ERROR && answer.sequence == model.first);
    HOLDS(!model.port || answer.port == model.port);
    HOLDS(!whole || answer.payload.missing == 0);
    HOLDS(answer.payload.data == sock->buffer && answer.payload.at <= answer.payload.end &&
          answer.payload.end <= sock->buffer_size);
    HOLDS(was_answered(answer.payload.data + answer.payload.at,
                       answer.payload.end - answer.payload.at));
}

static int counters_were_answered(const struct netstrat_counters *counters)
{
    return was_answered(&counters->rx_packets, 8) && was_answered(&counters->tx_dropped, 8);
}

static void try_by_name(struct netstrat_socket *sock, struct netstrat_name_watch *watch)
{
    struct netstrat_counters counters;
    struct netstrat_link_name found;
    struct netstrat_error error;
    int code = netstrat_counters_get_by_name(sock, watch, "lo", &found, &counters, &error);

    check_error(code, sock, &error);
    HOLDS(code <= 0);
    HOLDS(code < 0 ||
          (was_answered(found.name, strlen(found.name)) && counters_were_answered(&counters)));
    if (code == 0 && watch && watch->known_size > 0)
        HOLDS(memcmp(&watch->known[found.index & (KNOWN - 1)], &found, sizeof found) == 0);
}

static void try_link_get(struct netstrat_socket *sock)
{
    struct netstrat_counters counters;
    struct netstrat_link link;
    struct netstrat_error error;
    int code = netstrat_link_get(sock, "lo", &link, &counters, &error);

    check_error(code, sock, &error);
    HOLDS(code <= 0);
    HOLDS(code < 0 ||
          (was_answered(link.name, strlen(link.name)) && counters_were_answered(&counters)));
    HOLDS(code < 0 || link.altnames.at == link.altnames.end ||
          (link.altnames.data == sock->buffer && link.altnames.at < link.altnames.end &&
           link.altnames.end <= sock->buffer_size));
}

static void try_counters_get(struct netstrat_socket *sock, const struct netstrat_name_watch *watch)
{
    struct netstrat_counters counters;
    struct netstrat_error error;
    const uint32_t index = INDEX;
    int code = netstrat_counters_get(sock, watch, INDEX, &counters, &error);

    check_error(code, sock, &error);
    HOLDS(code < 0 || code == (watch ? (int)watch->count : 0));
    HOLDS(code < 0 || (was_answered(&index, 4) && counters_were_answered(&counters)));
}

enum dump { NAMES, COUNTERS, BY_NAME };

static void try_dump(struct netstrat_socket *sock, struct netstrat_name_watch *watch,
                     enum dump which)
{
    struct netstrat_counters counters[ROWS];
    struct netstrat_link_name names[ROWS];
    struct netstrat_error error;
    int32_t indexes[ROWS];
    int code, i;

    if (which == NAMES)
        code = netstrat_link_names_dump(sock, watch, names, ROWS, &error);
    else if (which == COUNTERS)
        code = netstrat_counters_dump(sock, indexes, counters, ROWS, &error);
    else
        code = netstrat_counters_dump_by_name(sock, names, counters, ROWS, &error);
    check_error(code, sock, &error);
    if (code < 0)
        return;
    HOLDS((uint32_t)code < model.answers); /* one reply ended the dump */
    for (i = 0; i < code && i < ROWS; i++) {
        HOLDS((which == COUNTERS ? indexes[i] : names[i].index) > 0);
        HOLDS(which == NAMES || counters_were_answered(&counters[i]));
        HOLDS(which == COUNTERS || was_answered(names[i].name, strlen(names[i].name)));
    }
}

static void try_dump_copy(struct netstrat_socket *sock, size_t room)
{
    unsigned char request[64];
    struct netstrat_message message;
    struct netstrat_batch batch;
    struct netstrat_error error;
    struct netstrat_cursor rest;
    unsigned char *copy = (unsigned char *)malloc(
        room); /* a separate allocation, so that ASan detects an overrun */
    size_t used = 12345;
    int code, more;

    netstrat_batch_init(&batch, request, sizeof request);
    HOLDS(netstrat_batch_dump_links(&batch, 0) == 0);
    code = netstrat_dump_copy(sock, &batch, copy, room, &used, &error);
    check_error(code, sock, &error);
    HOLDS(code <= 0 && (code == 0 || used == 12345));
    rest.data = copy;
    rest.at = 0;
    rest.end = code == 0 && used <= room ? used : 0;
    rest.missing = 0;
    while ((more = netstrat_message_next(&rest, &message)) > 0) {
        HOLDS(message.sequence == model.first);
        HOLDS(was_answered(message.payload.data + message.payload.at,
                           message.payload.end - message.payload.at));
    }
    HOLDS(more == 0);
    free(copy);
}

static int end_was_answered(const struct netstrat_netns_link *end,
                            const struct netstrat_counters *of)
{
    return end->index > 0 && was_answered(end->name, strlen(end->name)) &&
           (end->peer == 0 || was_answered(&end->peer, 4)) &&
           (end->master == 0 || was_answered(&end->master, 4)) && counters_were_answered(of);
}

/* `nsid` is that of the replies in the corpus, or -1. With `alone`, one link is queried. */
static void try_ends(struct netstrat_socket *sock, int32_t nsid, int alone)
{
    struct netstrat_counters counters[ROWS], one;
    struct netstrat_netns_link ends[ROWS], end;
    struct netstrat_error error;
    int32_t indexes[ROWS];
    int i, code;

    if (alone) {
        memset(&end, UNTOUCHED, sizeof end);
        code = netstrat_netns_link_get(sock, nsid, 0, INDEX, &end, &one, &error);
        check_error(code, sock, &error);
        HOLDS(code <= 1);
        if (code == 1)
            HOLDS(end.index == INDEX && end_was_answered(&end, &one));
        else
            HOLDS(is_untouched(&end, sizeof end));
        return;
    }
    code = netstrat_netns_links_dump(sock, nsid, 0, indexes, ends, counters, ROWS, &error);
    check_error(code, sock, &error);
    HOLDS(code < 0 || (uint32_t)code < model.answers);
    for (i = 0; i < code && i < ROWS; i++)
        HOLDS(indexes[i] == ends[i].index && end_was_answered(&ends[i], &counters[i]));
}

static void try_pairs(struct netstrat_socket *sock)
{
    struct netstrat_veth_peer pairs[ROWS];
    struct netstrat_error error;
    int i, code = netstrat_veth_peers_dump(sock, pairs, ROWS, &error);

    check_error(code, sock, &error);
    HOLDS(code < 0 || (uint32_t)code < model.answers);
    for (i = 0; i < code && i < ROWS; i++)
        HOLDS(pairs[i].index > 0 && pairs[i].nsid >= 0 && was_answered(&pairs[i].nsid, 4));
}

static void try_hear(struct netstrat_socket *sock, uint32_t what)
{
    int32_t numbers[2] = {0, 0};
    struct netstrat_id_recorder notes;
    struct netstrat_final finals[3];
    struct netstrat_error error;
    uint32_t i;
    int code;

    memset(&notes, 0, sizeof notes);
    memset(finals, UNTOUCHED, sizeof finals);
    notes.numbers = numbers;
    notes.room = 2;
    HOLDS(netstrat_id_recorder_start(&notes, what, sock, NULL) == 0);
    notes.finals = finals;
    notes.final_room = 2;
    model.port = OWN_PORT;
    code = netstrat_socket_process_pending(sock, &error);
    check_error(code, sock, &error);
    HOLDS(code <= 0 && notes.count <= notes.room + 1 && polls == 0);
    HOLDS(notes.count != 2 || numbers[0] != numbers[1]);
    HOLDS(notes.final_count <= notes.final_room + 1 && is_untouched(&finals[2], sizeof *finals));
    HOLDS(what != NETSTRAT_RECORD_ENDED || notes.final_count == 0);
    for (i = 0; i < notes.final_count && i < notes.final_room; i++)
        HOLDS(finals[i].index >= 0 && (finals[i].nsid >= 0 || what == NETSTRAT_RECORD_DELETED));
    if (what == NETSTRAT_RECORD_NAMESPACES)
        HOLDS(notes.count == 0 || numbers[0] == NSID || notes.count > notes.room);
    HOLDS(what == NETSTRAT_RECORD_DELETED || notes.changed == 0);
}

static void try_flags(struct netstrat_socket *sock,
                      int (*call)(struct netstrat_socket *, const char *, struct netstrat_error *))
{
    struct netstrat_error error;
    int code = call(sock, "lo", &error);

    check_error(code, sock, &error);
    HOLDS(code <= (call == netstrat_link_is_up));
    HOLDS(code < 0 || model.acked[0] || model.answers > 0);
}

/* Sends a request and reads the replies, datagram by datagram. */
static void try_receive(struct netstrat_socket *sock)
{
    unsigned char request[64];
    struct netstrat_cursor datagram;
    struct netstrat_batch batch;
    struct netstrat_error error;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    HOLDS(netstrat_batch_dump_links(&batch, 0) == 0);
    code = netstrat_send(sock, &batch, &error);
    check_error(code, sock, &error);
    HOLDS(code < 0 || model.first == sock->sequence);
    while (code == 0) {
        memset(&datagram, UNTOUCHED, sizeof datagram);
        code = netstrat_socket_receive(sock, &datagram, &error);
        check_error(code, sock, &error);
        if (code == 0)
            HOLDS(datagram.data == sock->buffer && datagram.at == 0 &&
                  datagram.end <= sock->buffer_size &&
                  (datagram.missing == 0 || datagram.end == sock->buffer_size));
        else
            HOLDS(code < 0 && is_untouched(&datagram, sizeof datagram));
    }
    HOLDS(polls == 0);
}

static void make_call(struct netstrat_socket *sock, struct netstrat_name_watch *watch,
                      unsigned kind, unsigned number)
{
    uint32_t count = number % (MOST_MESSAGES + 1);

    switch (kind % 17) {
    case 0:
        try_execute(sock, count ? count : 1);
        break;
    case 1:
        try_query(sock, 1);
        break;
    case 2:
        try_by_name(sock, watch);
        break;
    case 3:
        try_counters_get(sock, watch);
        break;
    case 4:
        try_dump(sock, watch, NAMES);
        break;
    case 5:
        try_dump(sock, watch, COUNTERS);
        break;
    case 6:
        try_flags(sock, netstrat_link_set_up);
        break;
    case 7:
        try_flags(sock, netstrat_link_set_down);
        break;
    case 8:
        try_flags(sock, netstrat_link_is_up);
        break;
    case 9:
        try_query(sock, 0);
        break;
    case 10:
        try_link_get(sock);
        break;
    case 11:
        try_dump(sock, watch, BY_NAME);
        break;
    case 12:
        try_receive(sock);
        break;
    case 13:
        try_dump_copy(sock, number * 4U);
        break;
    case 14:
        try_ends(sock, number % 2 ? NSID : -1, number & 2);
        break;
    case 15:
        try_pairs(sock);
        break;
    default:
        try_hear(sock, number % 3);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char buffer[BUFFER + 1];
    struct netstrat_link_name changes[CHANGES], known[KNOWN];
    struct netstrat_socket sock;
    struct netstrat_name_watch watch;
    int64_t started;
    struct hook hook;
    uint32_t i;

    if (size < 4)
        return 0;
    memset(&model, 0, offsetof(__typeof__(model), seen));
    model.seen_size = 0;
    events = data + 4;
    events_left = size - 4;
    now_ms = 1000000;
    options = data[2];
    send_fate = data[3];
    sends = polls = interrupts = 0;
    hook.sock = &sock;
    hook.gives_up = (options & GIVING_UP) != 0;
    is_member = 0;
    buffer_size = options & CUTTING ? SMALL_BUFFER : BUFFER;
    buffer[buffer_size] = UNTOUCHED;

    memset(&sock, 0, sizeof sock);
    sock.fd = 1000000; /* not a descriptor: the system calls are wrapped above */
    sock.timeout_ms = options & NO_TIME ? 0 : TIMEOUT;
    sock.shared_deadline = (options & SHARED) != 0;
    sock.buffer = buffer;
    sock.buffer_size = buffer_size;
    sock.sequence = options & SEQUENCE_ENDS ? UINT32_MAX - 2 : 0;
    sock.interrupted = stop;
    sock.interrupted_context = &hook;
    watch.changes = changes;
    watch.room = CHANGES;
    watch.known = known;
    watch.known_size = options & NO_CACHE ? 0 : KNOWN;
    watch.count = 0;
    if (options & WATCHING) {
        HOLDS(netstrat_name_watch_start(&watch, &sock, NULL) == 0);
        model.port = OWN_PORT;
    }

    started = now_ms;
    make_call(&sock, options & WATCHING ? &watch : NULL, data[0], data[1]);
    /* Here recvfrom() takes 1 ms, so reading what is already queued takes time too. */
    if (options & NO_TIME)
        HOLDS(polls == 0);
    else
        HOLDS(now_ms - started <= TIMEOUT + SLACK);
    HOLDS(watch.count <= CHANGES + 1U && buffer[buffer_size] == UNTOUCHED);
    for (i = 0; watch.count <= CHANGES && i < watch.count; i++)
        HOLDS(changes[i].index > 0 && memchr(changes[i].name, '\0', sizeof changes[i].name));
    HOLDS(is_member == (sock.groups != 0) && !sock.in_call);
    if (hook.gives_up)
        HOLDS(interrupts <= 2); /* and one while the flags are queried after EPERM */
    return 0;
}
