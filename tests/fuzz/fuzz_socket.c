/* SPDX-License-Identifier: MIT */
/*
 * The socket layer before a kernel that answers anything. The input chooses a call, and is then a
 * queue of events that recvfrom() deals out; a clock that only this program moves shows that every
 * call ends by its deadline; and a second reading of what was dealt out shows that no answer is
 * credited to a message that it does not answer.
 *
 * The first four bytes: the call, the number of messages, options, the fate of the first send().
 * Each event: a byte for its kind, two for its length (little endian), and so many bytes.
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
    MOST_MESSAGES = 4,
    TIMEOUT = 1000,
    OWN_PORT = 77,
    INDEX = 7,  /* of the link that is asked for */
    ROWS = 4,   /* room for a dump */
    CHANGES = 3,
    STATS = 92, /* RTM_NEWSTATS */
    SLACK = 64  /* clock reads between the deadline and the return */
};

enum event_kind {
    FROM_KERNEL,
    ANSWER, /* from the kernel, and its sequence numbers count from that of the last request */
    FROM_STRANGER,
    CUT,
    FAILURE,
    SHORT_SENDER,
    KINDS
};

/* ---- what is dealt out ---- */

static const uint8_t *events;
static size_t events_left;
static int64_t now_ms;
static unsigned send_fate, sends, interrupts;

/* What the second reading knows of the last request sent, and of what answered it. */
static struct {
    uint32_t first, count;
    uint32_t port; /* that an answer must carry; 0: any */
    int acked[MOST_MESSAGES], codes[MOST_MESSAGES];
    uint32_t answers; /* messages that answer it, of any type */
    int blind;        /* a datagram that cannot be read to its end has been dealt out */
    unsigned char seen[64 * 1024];
    size_t seen_size;
} model;

static void read_again(const unsigned char *data, size_t size)
{
    while (size >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr header;
        uint32_t item;
        size_t step;

        memcpy(&header, data, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > size)
            return;
        item = header.nlmsg_seq - model.first;
        if (item < model.count && (!model.port || header.nlmsg_pid == model.port)) {
            model.answers++;
            if (model.seen_size + header.nlmsg_len <= sizeof model.seen) {
                memcpy(model.seen + model.seen_size, data, header.nlmsg_len);
                model.seen_size += header.nlmsg_len;
            } else {
                model.blind = 1;
            }
            if (header.nlmsg_type == NLMSG_ERROR && !model.acked[item] && header.nlmsg_len >= 36) {
                model.acked[item] = 1;
                memcpy(&model.codes[item], data + 16, 4);
            }
        }
        step = (header.nlmsg_len + 3U) & ~3U;
        if (step >= size)
            return;
        data += step;
        size -= step;
    }
}

/* Are these bytes part of some message that answers the request? */
static int was_answered(const void *bytes, size_t size)
{
    return model.blind || memmem(model.seen, model.seen_size, bytes, size) != NULL;
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *sender,
                        socklen_t *sender_size);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_getsockname(int fd, struct sockaddr *name, socklen_t *size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *name, socklen_t size);

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
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
    HOLDS(header.nlmsg_seq != 0 && header.nlmsg_seq != model.first);
    model.first = header.nlmsg_seq;
    memset(model.acked, 0, sizeof model.acked);
    model.answers = 0;
    model.seen_size = 0;
    return (ssize_t)size;
}

ssize_t __wrap_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *sender,
                        socklen_t *sender_size)
{
    struct sockaddr_nl from;
    unsigned kind;
    size_t length, fits, at;

    (void)fd;
    HOLDS(flags == (MSG_DONTWAIT | MSG_TRUNC) && size == BUFFER && *sender_size == sizeof from);
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
    memcpy(sender, &from, sizeof from);
    if (kind == SHORT_SENDER)
        *sender_size = sizeof from - 4;
    fits = length < size ? length : size;
    memcpy(buffer, events, fits);
    if (kind == ANSWER) {
        for (at = 0; at + sizeof(struct nlmsghdr) <= fits;) {
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
        if (length <= size)
            read_again((const unsigned char *)buffer, length);
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

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    HOLDS(count == 1 && fds->events == POLLIN && timeout > 0 && timeout <= TIMEOUT);
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
    (void)option;
    (void)value;
    (void)size;
    return 0;
}

int __wrap_bind(int fd, const struct sockaddr *name, socklen_t size)
{
    (void)fd;
    (void)name;
    (void)size;
    return 0;
}

/* ---- the calls ---- */

static int stop(void *context)
{
    return *(const int *)context;
}

static void check_error(int code, const struct netstrat_error *error)
{
    if (code >= 0)
        return;
    HOLDS(error->code == code && error->operation && error->operation[0] != '\0');
    HOLDS(error->text_length < NETSTRAT_TEXT_SIZE && error->text[error->text_length] == '\0');
}

static void try_transact(struct netstrat_socket *sock, uint32_t count)
{
    unsigned char request[512];
    struct netstrat_batch batch;
    struct netstrat_error error;
    int results[MOST_MESSAGES + 1];
    int code, first = 0;
    uint32_t i;

    netstrat_batch_init(&batch, request, sizeof request);
    for (i = 0; i < count; i++)
        HOLDS(netstrat_put_link_flags(&batch, "lo", 1, 1) == 0);
    model.count = count;
    results[count] = 12345;
    code = netstrat_transact(sock, &batch, results, &error);
    check_error(code, &error);
    HOLDS(code <= 0 && results[count] == 12345);
    for (i = 0; i < count; i++) {
        HOLDS(results[i] == NETSTRAT_PENDING || (model.acked[i] && results[i] == model.codes[i]));
        HOLDS(code != 0 || results[i] == 0);
        if (first == 0 && results[i] < 0)
            first = (int)i + 1;
    }
    for (i = 0; first && i < count; i++)
        if (results[i] == NETSTRAT_PENDING)
            break;
    if (first && i == count) { /* all answered: the first refusal is the outcome */
        HOLDS(code == results[first - 1]);
        HOLDS(error.item == (uint32_t)first - 1);
    }
}

static void try_query(struct netstrat_socket *sock)
{
    unsigned char request[64];
    struct netstrat_batch batch;
    struct netstrat_message answer;
    struct netstrat_error error;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    HOLDS(netstrat_put_get_link(&batch, "lo") == 0);
    code = netstrat_query(sock, &batch, &answer, &error);
    check_error(code, &error);
    HOLDS(code <= 0);
    if (code < 0)
        return;
    HOLDS(answer.type != NLMSG_ERROR && answer.sequence == model.first);
    HOLDS(!model.port || answer.port == model.port);
    HOLDS(answer.payload >= sock->buffer && answer.payload + answer.length <= sock->buffer + BUFFER);
    HOLDS(was_answered(answer.payload, answer.length));
}

static void try_get_link(struct netstrat_socket *sock)
{
    struct netstrat_counters counters;
    struct netstrat_link link;
    struct netstrat_error error;
    int code = netstrat_get_link(sock, "lo", &link, &counters, &error);

    check_error(code, &error);
    HOLDS(code <= 0);
    HOLDS(code < 0 || (was_answered(link.name, strlen(link.name)) &&
                       was_answered(&counters.rx_packets, 8) && was_answered(&counters.tx_dropped, 8)));
}

static void try_get_stats(struct netstrat_socket *sock)
{
    struct netstrat_counters counters;
    struct netstrat_error error;
    const uint32_t index = INDEX;
    int code = netstrat_get_stats(sock, INDEX, &counters, &error);

    check_error(code, &error);
    HOLDS(code <= 0 && sock->by_name_only == (code == -EOPNOTSUPP));
    HOLDS(code < 0 || (was_answered(&index, 4) && was_answered(&counters.rx_bytes, 8) &&
                       was_answered(&counters.tx_dropped, 8)));
}

static void try_dumps(struct netstrat_socket *sock, int with_counters)
{
    struct netstrat_counters counters[ROWS];
    struct netstrat_link links[ROWS];
    struct netstrat_error error;
    int32_t indexes[ROWS];
    int code = with_counters ? netstrat_dump_stats(sock, indexes, counters, ROWS, &error)
                             : netstrat_dump_links(sock, links, ROWS, &error);
    int i;

    check_error(code, &error);
    if (code < 0)
        return;
    HOLDS((uint32_t)code < model.answers); /* and one that ended it */
    for (i = 0; i < code && i < ROWS; i++) {
        if (with_counters)
            HOLDS(indexes[i] > 0 && was_answered(&counters[i].rx_errors, 8));
        else
            HOLDS(links[i].index > 0 && was_answered(links[i].name, strlen(links[i].name)));
    }
}

static void try_up(struct netstrat_socket *sock)
{
    struct netstrat_error error;
    int code = netstrat_link_set_up(sock, "lo", &error);

    check_error(code, &error);
    HOLDS(code <= 0);
    HOLDS(code < 0 || model.acked[0] || model.answers > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char buffer[BUFFER + 1];
    struct netstrat_link changes[CHANGES];
    struct netstrat_socket sock;
    int64_t started, calls = 1;
    int give_up;

    if (size < 4)
        return 0;
    memset(&model, 0, offsetof(__typeof__(model), seen));
    model.seen_size = 0;
    model.count = 1;
    model.blind = 0;
    events = data + 4;
    events_left = size - 4;
    now_ms = 1000000;
    send_fate = data[3];
    sends = interrupts = 0;
    give_up = (data[2] & 2) != 0;
    buffer[BUFFER] = 0x5a;

    memset(&sock, 0, sizeof sock);
    sock.fd = 1000000; /* no descriptor: all that could use it is above */
    sock.timeout_ms = TIMEOUT;
    sock.buffer = buffer;
    sock.buffer_size = BUFFER;
    sock.sequence = data[2] & 4 ? UINT32_MAX - 2 : 0; /* soon to begin anew */
    sock.interrupted = stop;
    sock.context = &give_up;
    if (data[2] & 1) {
        HOLDS(netstrat_watch_links(&sock, changes, CHANGES, NULL) == 0);
        model.port = OWN_PORT;
    }

    started = now_ms;
    switch (data[0] % 7) {
    case 0:
        try_transact(&sock, data[1] % (MOST_MESSAGES + 1U) ? data[1] % (MOST_MESSAGES + 1U) : 1);
        break;
    case 1:
        try_query(&sock);
        break;
    case 2:
        try_get_link(&sock);
        break;
    case 3:
        try_get_stats(&sock);
        break;
    case 4:
        try_dumps(&sock, 0);
        break;
    case 5:
        calls = 2; /* by RTM_GETSTATS, then by RTM_GETLINK */
        try_dumps(&sock, 1);
        break;
    default:
        calls = 17; /* an ack that is lost is asked for again; and what the flags are, after EPERM */
        try_up(&sock);
        break;
    }
    /* recvfrom takes a millisecond here, so that what is already queued is part of the time. */
    HOLDS(now_ms - started <= calls * (TIMEOUT + SLACK));
    HOLDS(sock.changes_count <= CHANGES + 1U && buffer[BUFFER] == 0x5a);
    if (give_up)
        HOLDS(interrupts <= 1 + (unsigned)calls);
    return 0;
}
