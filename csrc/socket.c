/* SPDX-License-Identifier: MIT */
/*
 * One rtnetlink socket: requests out, the right replies back, within a deadline.
 *
 * What may stand in a socket's queue beside the reply that is waited for: late replies to requests
 * that timed out, notifications, and datagrams of other processes (those with CAP_NET_ADMIN).
 * So a datagram counts only if the kernel sent it (nl_pid 0), and a message only if it carries the
 * sequence number of the request.
 *
 * The socket is not bound before it is watching: the kernel gives it a port id at the first send
 * (netlink_autobind), which saves a system call, and until then nothing but replies can arrive.
 */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270 /* linux/socket.h; older libcs lack it */
#endif
#ifndef NETLINK_EXT_ACK
#define NETLINK_EXT_ACK 11 /* linux/netlink.h, 4.12 */
#endif

enum {
    HOOK_MS = 100,         /* the longest wait without asking whether to go on */
    FLAG_DUMP_INTR = 0x10  /* NLM_F_DUMP_INTR, linux/netlink.h, 3.1 */
};

/* The end of a call's time. The clock is first read when there is something to wait for: the
 * kernel answers most requests before send() returns. */
struct deadline {
    int64_t at_ms; /* on CLOCK_MONOTONIC; 0: not set yet */
};

int netstrat_open(struct netstrat_socket *sock, void *buffer, size_t size,
                  struct netstrat_error *error)
{
    const int on = 1;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0)
        return netstrat_fail(error, -errno, "socket");
    /* Best effort: without it, errors come without the kernel's words. NETLINK_CAP_ACK, which
     * would shorten errors by the echoed request, is not worth a system call. */
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);

    memset(sock, 0, sizeof *sock);
    sock->fd = fd;
    sock->timeout_ms = NETSTRAT_TIMEOUT_MS;
    sock->buffer = (unsigned char *)buffer;
    sock->buffer_size = size;
    return 0;
}

void netstrat_close(struct netstrat_socket *sock)
{
    if (sock->fd >= 0)
        (void)close(sock->fd); /* Linux closes it whatever close() returns; never try again */
    sock->fd = -1;
}

/* Milliseconds left, at least 1; -ETIMEDOUT when there are none. */
static int time_left(const struct netstrat_socket *sock, struct deadline *deadline)
{
    struct timespec now;
    int64_t now_ms;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: the clock exists, `now` is ours */
    now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (deadline->at_ms == 0)
        deadline->at_ms = now_ms + sock->timeout_ms;
    return deadline->at_ms > now_ms ? (int)(deadline->at_ms - now_ms) : -ETIMEDOUT;
}

/* After EINTR: may the call go on? */
static int resume(const struct netstrat_socket *sock, struct deadline *deadline)
{
    int left;

    if (sock->interrupted && sock->interrupted(sock->context))
        return -EINTR;
    left = time_left(sock, deadline);
    return left < 0 ? left : 0;
}

/* Waits until there is something to receive. */
static int wait_for_datagram(const struct netstrat_socket *sock, struct deadline *deadline)
{
    struct pollfd wait;
    int left = time_left(sock, deadline);
    int ready;

    if (left < 0)
        return left;
    /* A signal that comes just before poll() interrupts nothing, so the hook is asked now and then. */
    if (sock->interrupted && left > HOOK_MS)
        left = HOOK_MS;
    wait.fd = sock->fd;
    wait.events = POLLIN;
    wait.revents = 0;
    ready = poll(&wait, 1, left);
    if (ready > 0)
        return 0;
    return ready == 0 || errno == EINTR ? resume(sock, deadline) : -errno;
}

/*
 * Takes one datagram of the kernel's from the queue into sock->buffer: its length, which is more
 * than buffer_size if it was cut; -EAGAIN if the queue is empty.
 */
static ssize_t take_datagram(const struct netstrat_socket *sock, struct deadline *deadline)
{
    for (;;) {
        struct sockaddr_nl sender;
        socklen_t sender_size = sizeof sender;
        ssize_t length;
        int code;

        memset(&sender, 0, sizeof sender);
        length = recvfrom(sock->fd, sock->buffer, sock->buffer_size, MSG_DONTWAIT | MSG_TRUNC,
                          (struct sockaddr *)&sender, &sender_size);
        if (length > 0 && sender_size == sizeof sender && sender.nl_family == AF_NETLINK &&
            sender.nl_pid == 0)
            return length;
        if (length >= 0)
            code = time_left(sock, deadline); /* a flood of strangers' or empty datagrams ends too */
        else
            code = errno == EINTR ? resume(sock, deadline) : -errno;
        if (code < 0)
            return code;
    }
}

/* ---- what comes beside the replies ---- */

static void lose_changes(struct netstrat_socket *sock)
{
    if (sock->changes)
        sock->changes_count = sock->changes_room + 1;
}

static void note_change(struct netstrat_socket *sock, const struct netstrat_message *message)
{
    if (!sock->changes || (message->type != RTM_NEWLINK && message->type != RTM_DELLINK))
        return;
    if (sock->changes_count >= sock->changes_room ||
        netstrat_decode_link(message, &sock->changes[sock->changes_count], NULL) < 0)
        lose_changes(sock);
    else
        sock->changes_count++;
}

/*
 * Empties the queue, which also lets a dump that was given up run to its end: the kernel carries a
 * dump on whenever it is read from, and refuses a second one before that.
 */
static int drain(struct netstrat_socket *sock, struct deadline *deadline)
{
    for (;;) {
        ssize_t length = take_datagram(sock, deadline);
        struct netstrat_message message;
        size_t offset = 0;
        int code;

        if (length == -EAGAIN)
            return 0;
        if (length < 0 && length != -ENOBUFS)
            return (int)length;
        if (length < 0 || (size_t)length > sock->buffer_size)
            lose_changes(sock);
        else
            while (netstrat_next_message(sock->buffer, (size_t)length, &offset, &message) > 0)
                note_change(sock, &message);
        code = time_left(sock, deadline);
        if (code < 0)
            return code;
    }
}

/* ---- exchanges ---- */

/* One batch, sent, and how far its replies have been read. */
struct exchange {
    const struct netstrat_batch *batch;
    uint32_t first; /* sequence number of the batch's first message; the others follow */
    struct deadline deadline;
    size_t length; /* of the datagram in sock->buffer */
    size_t offset; /* of its next message */
};

/* Gives the messages of a batch successive sequence numbers. None is 0, which is that of most
 * notifications. */
static void number(struct netstrat_socket *sock, struct netstrat_batch *batch)
{
    size_t at = 0;

    if (sock->sequence > UINT32_MAX - batch->count)
        sock->sequence = 0;
    while (at < batch->used) {
        struct nlmsghdr header;

        memcpy(&header, batch->data + at, sizeof header);
        header.nlmsg_seq = ++sock->sequence;
        memcpy(batch->data + at, &header, sizeof header);
        at += header.nlmsg_len; /* encoders pad every message */
    }
}

static int start(struct netstrat_socket *sock, struct exchange *exchange,
                 struct netstrat_batch *batch, struct netstrat_error *error)
{
    number(sock, batch);
    exchange->batch = batch;
    exchange->first = sock->sequence - batch->count + 1;
    exchange->length = 0;
    exchange->offset = 0;
    for (;;) {
        ssize_t sent = send(sock->fd, batch->data, batch->used, 0);
        int code;

        if (sent >= 0)
            return (size_t)sent == batch->used ? 0 : netstrat_fail(error, -EIO, "send");
        code = errno == EINTR ? resume(sock, &exchange->deadline) : -errno;
        if (code < 0)
            return netstrat_fail(error, code, "send");
    }
}

/*
 * The next message that answers the batch; what else is in the queue is noted or passed over.
 * A notification may carry any sequence number, that of the request of another process which caused
 * it; but its port is then that of the other's socket.
 */
static int next_reply(struct netstrat_socket *sock, struct exchange *exchange,
                      struct netstrat_message *message, struct netstrat_error *error)
{
    int code;

    for (;;) {
        ssize_t length;

        while ((code = netstrat_next_message(sock->buffer, exchange->length, &exchange->offset,
                                             message)) > 0) {
            if (message->sequence - exchange->first < exchange->batch->count &&
                (sock->port == 0 || message->port == sock->port))
                return 0;
            note_change(sock, message);
        }
        if (code == 0 && exchange->length > 0) /* one datagram was not enough */
            code = time_left(sock, &exchange->deadline);
        if (code < 0)
            break;

        while ((length = take_datagram(sock, &exchange->deadline)) == -EAGAIN) {
            code = wait_for_datagram(sock, &exchange->deadline);
            if (code < 0)
                return netstrat_fail(error, code, code == -ETIMEDOUT ? "recvfrom" : "poll");
        }
        code = (int)length;
        if (length == -ENOBUFS || (length > 0 && (size_t)length > sock->buffer_size))
            lose_changes(sock);
        if (length > 0 && (size_t)length > sock->buffer_size)
            code = -EMSGSIZE;
        if (code < 0)
            break;
        exchange->length = (size_t)length;
        exchange->offset = 0;
    }
    return netstrat_fail(error, code, "recvfrom");
}

/* What a request asked for: the operation of the error that refuses it. */
static const char *operation_of(const struct netstrat_batch *batch, uint32_t item)
{
    struct nlmsghdr header;
    size_t at = 0;

    do {
        memcpy(&header, batch->data + at, sizeof header);
        at += header.nlmsg_len;
    } while (item-- > 0);
    switch (header.nlmsg_type) {
    case RTM_NEWLINK:
        return "RTM_NEWLINK";
    case RTM_GETLINK:
        return "RTM_GETLINK";
    default:
        return "RTM_GETSTATS";
    }
}

/* Reads the kernel's verdict on one message of the batch: *code is 0 or its errno, which goes into
 * `error`, if that is not NULL. */
static int take_verdict(const struct exchange *exchange, const struct netstrat_message *message,
                        int *code, struct netstrat_error *error)
{
    uint32_t item = message->sequence - exchange->first;
    struct netstrat_error ack;
    int malformed = netstrat_decode_ack(message, code, &ack);

    if (malformed < 0)
        return netstrat_fail(error, malformed, "recvfrom");
    if (*code < 0) {
        (void)netstrat_fail(error, *code, operation_of(exchange->batch, item));
        netstrat_set_text(error, ack.text, ack.text_length);
        if (error)
            error->item = item;
    }
    return 0;
}

int netstrat_transact(struct netstrat_socket *sock, struct netstrat_batch *batch, int *results,
                      struct netstrat_error *error)
{
    struct exchange exchange;
    uint32_t pending = batch->count;
    uint32_t failed = batch->count; /* the first message known to have failed */
    uint32_t i;
    int code = 0;

    if (batch->count == 0) /* the kernel refuses an empty send */
        return 0;
    for (i = 0; i < batch->count; i++)
        results[i] = NETSTRAT_PENDING;
    exchange.deadline.at_ms = 0;
    /* Notifications may have filled the queue, and then there is no room for the acks. */
    if (sock->changes)
        code = drain(sock, &exchange.deadline);
    if (code < 0)
        return netstrat_fail(error, code, "recvfrom");

    code = start(sock, &exchange, batch, error);
    while (code == 0 && pending > 0) {
        struct netstrat_message message;
        uint32_t item;
        int result;

        code = next_reply(sock, &exchange, &message, error);
        if (code < 0)
            break;
        item = message.sequence - exchange.first;
        if (message.type != NLMSG_ERROR || results[item] != NETSTRAT_PENDING) {
            note_change(sock, &message); /* the echo of the change that was asked for */
            continue;
        }
        code = take_verdict(&exchange, &message, &result, item < failed ? error : NULL);
        if (code < 0) {
            (void)netstrat_fail(error, code, "recvfrom");
            break;
        }
        results[item] = result;
        if (result < 0 && item < failed)
            failed = item;
        pending--;
    }
    if (code == -ENOBUFS) { /* make room for the acks of what may be sent next */
        int drained = drain(sock, &exchange.deadline);

        if (drained < 0)
            code = netstrat_fail(error, drained, "recvfrom");
    }
    if (code < 0)
        return code;
    return failed < batch->count ? results[failed] : 0;
}

/* One try of netstrat_query. */
static int ask(struct netstrat_socket *sock, struct netstrat_batch *batch, struct exchange *exchange,
               struct netstrat_message *answer, struct netstrat_error *error)
{
    int refusal;
    int code = start(sock, exchange, batch, error);

    if (code == 0)
        code = next_reply(sock, exchange, answer, error);
    if (code < 0 || answer->type != NLMSG_ERROR)
        return code;
    code = take_verdict(exchange, answer, &refusal, error);
    if (code < 0)
        return code;
    /* A bare ack is no answer. */
    return refusal < 0 ? refusal : netstrat_fail(error, -EBADMSG, "recvfrom");
}

int netstrat_query(struct netstrat_socket *sock, struct netstrat_batch *batch,
                   struct netstrat_message *answer, struct netstrat_error *error)
{
    struct exchange exchange;
    int tries, code = 0;

    exchange.deadline.at_ms = 0;
    for (tries = 0; tries < NETSTRAT_MAX_TRIES; tries++) {
        int drained;

        code = ask(sock, batch, &exchange, answer, error);
        if (code != -ENOBUFS)
            break;
        drained = drain(sock, &exchange.deadline);
        if (drained < 0)
            return netstrat_fail(error, drained, "recvfrom");
    }
    return code;
}

/* One try of netstrat_dump: 0, or 1 if the kernel marked it as inconsistent. */
static int dump_once(struct netstrat_socket *sock, struct netstrat_batch *batch,
                     struct exchange *exchange,
                     int (*each)(const struct netstrat_message *message, void *context),
                     void *context, struct netstrat_error *error)
{
    struct netstrat_message message;
    int inconsistent = 0;
    int refusal;
    int code = start(sock, exchange, batch, error);

    while (code == 0) {
        code = next_reply(sock, exchange, &message, error);
        if (code < 0)
            break;
        if (message.flags & FLAG_DUMP_INTR)
            inconsistent = 1;
        if (message.type == NLMSG_DONE || message.type == NLMSG_ERROR) {
            code = take_verdict(exchange, &message, &refusal, error);
            if (code < 0)
                break;
            return refusal < 0 ? refusal : inconsistent;
        }
        code = each(&message, context);
        if (code < 0)
            (void)netstrat_fail(error, code, "recvfrom");
    }
    return code;
}

int netstrat_dump(struct netstrat_socket *sock, struct netstrat_batch *batch,
                  int (*each)(const struct netstrat_message *message, void *context), void *context,
                  struct netstrat_error *error)
{
    static const char unsettled[] = "not one of 16 dumps was complete and consistent";
    struct exchange exchange;
    int tries;

    exchange.deadline.at_ms = 0;
    for (tries = 0; tries < NETSTRAT_MAX_TRIES; tries++) {
        int code = each(NULL, context);

        if (code < 0)
            return netstrat_fail(error, code, "recvfrom");
        code = dump_once(sock, batch, &exchange, each, context, error);
        if (code == 0)
            return 0;
        if (code < 0) {
            /* The rest of this dump must not stand in the way of the next request. */
            int drained = drain(sock, &exchange.deadline);

            /* EBUSY: there was one, of an earlier call that had no time left to drain it. */
            if ((code != -ENOBUFS && code != -EBUSY) || drained < 0)
                return code;
        }
    }
    (void)netstrat_fail(error, -EAGAIN, operation_of(batch, 0));
    netstrat_set_text(error, unsettled, sizeof unsettled - 1);
    return -EAGAIN;
}

int netstrat_watch_links(struct netstrat_socket *sock, struct netstrat_link *changes, uint32_t room,
                         struct netstrat_error *error)
{
    const int group = RTNLGRP_LINK;
    struct sockaddr_nl own;
    socklen_t own_size = sizeof own;

    /* The port id, by which next_reply tells replies from notifications. */
    memset(&own, 0, sizeof own);
    own.nl_family = AF_NETLINK;
    if (getsockname(sock->fd, (struct sockaddr *)&own, &own_size) < 0)
        return netstrat_fail(error, -errno, "getsockname");
    if (own.nl_pid == 0) {
        if (bind(sock->fd, (const struct sockaddr *)&own, sizeof own) < 0)
            return netstrat_fail(error, -errno, "bind");
        if (getsockname(sock->fd, (struct sockaddr *)&own, &own_size) < 0)
            return netstrat_fail(error, -errno, "getsockname");
    }
    if (setsockopt(sock->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
        return netstrat_fail(error, -errno, "setsockopt");
    sock->port = own.nl_pid;
    sock->changes = changes;
    sock->changes_room = room;
    sock->changes_count = 0;
    return 0;
}
