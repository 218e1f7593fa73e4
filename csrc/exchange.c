/* SPDX-License-Identifier: MIT */
/*
 * Exchanges on a socket: a batch and its acks, a question and its answer, a dump. Nothing here
 * knows what the messages are about.
 *
 * A message counts as a reply only if it carries the sequence number of the request and, where the
 * socket hears notifications, its port, and was sent to no group. A notification may carry the
 * sequence number and the port of the request that caused it; and where that was made in another
 * namespace (NLM_F_ECHO of a link made there, or of a pair deleted), both may be equal to ours: the
 * port of a process's first socket in each namespace is the process's id.
 */
#include "internal.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>

#include <linux/netlink.h>

/* A batch, or the part of one that is sent at once, and how far its replies have been read. */
struct exchange {
    struct netstrat_socket *sock;
    unsigned char *data; /* the messages */
    size_t size;
    uint32_t count;
    uint32_t first;                /* sequence number of the first message; the others follow */
    struct netstrat_rest datagram; /* what is left of the newest one */
    size_t datagram_size;          /* of all of it, as the kernel had it */
    int cut;                       /* what did not fit the buffer may have been a change */
    int received;                  /* something has come: from now on the time is looked at */
    int lost;                      /* the kernel said ENOBUFS: what is not queued does not come */
};

/* The header of the message at `at`. */
static struct nlmsghdr header_at(const unsigned char *at)
{
    struct nlmsghdr header;

    memcpy(&header, at, sizeof header);
    return header;
}

static int exchange_init(struct exchange *exchange, struct netstrat_socket *sock,
                         const struct netstrat_batch *batch, struct netstrat_error *error)
{
    struct nlmsghdr header;

    netstrat_call_begin(sock);
    exchange->sock = sock;
    exchange->data = batch->data;
    exchange->size = batch->used;
    exchange->count = batch->count;
    /* The caller may have made it by hand. To what is not one whole request there is no answer. */
    if (batch->count != 1 || batch->used < sizeof header)
        return netstrat_fail(error, -EINVAL, NETSTRAT_STEP_BATCH);
    header = header_at(batch->data);
    if (header.nlmsg_len != batch->used || !(header.nlmsg_flags & NLM_F_REQUEST))
        return netstrat_fail(error, -EINVAL, NETSTRAT_STEP_BATCH);
    return 0;
}

/* The type of message `item`, for the error that reports its refusal. */
static uint32_t type_of(const struct exchange *exchange, uint32_t item)
{
    const unsigned char *at = exchange->data;

    while (item-- > 0)
        at += header_at(at).nlmsg_len;
    return header_at(at).nlmsg_type;
}

/* Gives the messages successive sequence numbers. None is 0, which is that of most
 * notifications. */
static void number(struct exchange *exchange)
{
    struct netstrat_socket *sock = exchange->sock;
    unsigned char *at = exchange->data;
    uint32_t i;

    if (sock->sequence > UINT32_MAX - exchange->count)
        sock->sequence = 0;
    exchange->first = sock->sequence + 1;
    for (i = 0; i < exchange->count; i++) {
        struct nlmsghdr header = header_at(at);

        header.nlmsg_seq = ++sock->sequence;
        memcpy(at, &header, sizeof header);
        at += header.nlmsg_len;
    }
}

static int start(struct exchange *exchange, struct netstrat_error *error)
{
    number(exchange);
    memset(&exchange->datagram, 0, sizeof exchange->datagram);
    exchange->cut = 0;
    exchange->received = 0;
    exchange->lost = 0;
    for (;;) {
        ssize_t sent = send(exchange->sock->fd, exchange->data, exchange->size, 0);
        int code;

        if (sent >= 0)
            return (size_t)sent == exchange->size ? 0
                                                  : netstrat_fail(error, -EIO, NETSTRAT_STEP_SEND);
        code = errno == EINTR ? netstrat_call_resume(exchange->sock) : -errno;
        if (code < 0)
            return netstrat_fail(error, code, NETSTRAT_STEP_SEND);
    }
}

static int is_reply(const struct exchange *exchange, const struct netstrat_message *message)
{
    const struct netstrat_socket *sock = exchange->sock;

    return message->sequence - exchange->first < exchange->count &&
           (sock->port == 0 || (sock->datagram_groups == 0 && message->port == sock->port));
}

/* The next reply in the datagram: 1; 0: it holds no more of them; -EBADMSG. All else goes to
 * `notified`. */
static int next_in_datagram(struct exchange *exchange, struct netstrat_message *message)
{
    int code;

    while ((code = netstrat_message_next(&exchange->datagram, message)) > 0) {
        if (is_reply(exchange, message)) {
            if (message->payload.missing == exchange->datagram.missing)
                exchange->cut = 0; /* nothing but the reply was */
            return 1;
        }
        if (message->payload.missing == 0)
            netstrat_socket_notify(exchange->sock, message);
    }
    if (exchange->cut)
        netstrat_socket_notify(exchange->sock, NULL);
    exchange->cut = 0;
    return code;
}

/*
 * The next reply. The kernel says ENOBUFS before it gives what is queued, and often only because a
 * notification found no room: so reading goes on, and -ENOBUFS is returned where the queue ends
 * without the reply. It would be there: acks and answers come before send() returns, and a dump
 * goes on with each datagram that is taken.
 */
static int next_reply(struct exchange *exchange, struct netstrat_message *message,
                      struct netstrat_error *error)
{
    struct netstrat_socket *sock = exchange->sock;

    for (;;) {
        int code = next_in_datagram(exchange, message);

        if (code > 0)
            return 0;
        if (code == 0 && exchange->received) /* one datagram was not enough */
            code = netstrat_call_go_on(sock);
        if (code < 0)
            return netstrat_fail(error, code, NETSTRAT_STEP_RECVFROM);
        while ((code = netstrat_socket_take(sock, &exchange->datagram)) == -EAGAIN) {
            if (exchange->lost)
                return netstrat_fail(error, -ENOBUFS, NETSTRAT_STEP_RECVFROM);
            code = netstrat_socket_wait(sock);
            if (code < 0)
                return netstrat_fail(error, code,
                                     code == -ETIMEDOUT ? NETSTRAT_STEP_RECVFROM
                                                        : NETSTRAT_STEP_POLL);
        }
        exchange->received = 1;
        if (code == -ENOBUFS) {
            exchange->lost = 1;
            netstrat_socket_notify(sock, NULL);
            continue;
        }
        if (code < 0)
            return netstrat_fail(error, code, NETSTRAT_STEP_RECVFROM);
        exchange->cut = exchange->datagram.missing > 0;
        exchange->datagram_size = exchange->datagram.end + exchange->datagram.missing;
    }
}

/* Reads the kernel's verdict on one message: *verdict is 0 or its errno, which goes into
 * `error`, if that is not NULL. */
static int take_verdict(const struct exchange *exchange, const struct netstrat_message *message,
                        int *verdict, struct netstrat_error *error)
{
    uint32_t item = message->sequence - exchange->first;
    int malformed = netstrat_ack_decode(message, verdict, NULL);

    if (malformed < 0)
        return netstrat_fail(error, malformed, NETSTRAT_STEP_RECVFROM);
    if (*verdict < 0 && error) {
        (void)netstrat_fail_request(error, *verdict, type_of(exchange, item));
        error->item = item;
        (void)netstrat_ack_decode(message, verdict, error); /* and the kernel's words */
    }
    return 0;
}

/* ---- a batch and its acks ---- */

/* What an ack takes of the receive queue at most, beyond twice its request, which it repeats
 * where it reports an error: the kernel's bookkeeping for a datagram (sk_buff and its end), and
 * its words. */
enum { ACK_COST = 1200 };
/* A notification, on a socket that hears them: RTM_NEWLINK of both ends of a pair. */
enum { NOTIFICATION_COST = 2 * 4608 };
/* What fits the smallest queue that anybody sets: a batch up to here is sent without a look at
 * it. */
enum { SMALL_BATCH = 32768 };

static size_t cost(const struct netstrat_socket *sock, size_t length)
{
    return ACK_COST + 2 * length + (sock->notified ? NOTIFICATION_COST : 0);
}

/* How much of its queue a part of a batch may use, and how long a send may be: three quarters of
 * what the socket has. */
static int read_limit(const struct netstrat_socket *sock, int option, size_t *limit,
                      struct netstrat_error *error)
{
    int value = 0;
    socklen_t size = sizeof value;

    if (getsockopt(sock->fd, SOL_SOCKET, option, &value, &size) < 0)
        return netstrat_fail(error, -errno, NETSTRAT_STEP_GETSOCKOPT);
    *limit = value > 0 ? (size_t)value / 4 * 3 : 0;
    return 0;
}

/* How many of the `left` messages from exchange->data on are sent at once: at least one. */
static void choose_part(struct exchange *exchange, uint32_t left, size_t queue, size_t send_buffer)
{
    size_t used = 0;

    exchange->size = 0;
    exchange->count = 0;
    while (exchange->count < left) {
        size_t length = header_at(exchange->data + exchange->size).nlmsg_len;

        used += cost(exchange->sock, length);
        if (exchange->count > 0 && (used > queue || exchange->size + length > send_buffer))
            break;
        exchange->size += length;
        exchange->count++;
    }
}

/*
 * Sends one part and reads its acks: 0, 1 where acks were lost (their results stay pending), or
 * what broke the exchange. *first becomes the number of the first message known to have failed,
 * that of all messages if none has; with `record` it goes into `error`.
 */
static int execute_part(struct exchange *exchange, int *results, int record, uint32_t *first,
                        struct netstrat_error *error)
{
    struct netstrat_error broken;
    uint32_t pending = exchange->count;
    int code = 0;

    *first = exchange->count;
    /* Notifications may have filled the queue, and then there is no room for the acks. */
    if (exchange->sock->notified)
        code = netstrat_socket_drain(exchange->sock);
    if (code < 0)
        return netstrat_fail(error, code, NETSTRAT_STEP_RECVFROM);
    code = start(exchange, error);
    if (code < 0)
        return code;
    while (pending > 0) {
        struct netstrat_message message;
        uint32_t item;
        int verdict;

        code = next_reply(exchange, &message, &broken);
        if (code == -ENOBUFS) /* the acks that did arrive are read by now */
            return 1;
        if (code < 0)
            break;
        item = message.sequence - exchange->first;
        if (message.type != NLMSG_ERROR || results[item] != NETSTRAT_PENDING) {
            /* The echo of a change. */
            netstrat_socket_notify(exchange->sock, message.payload.missing > 0 ? NULL : &message);
            continue;
        }
        code = take_verdict(exchange, &message, &verdict, item < *first && record ? error : NULL);
        if (code < 0) {
            (void)netstrat_fail(&broken, code, NETSTRAT_STEP_RECVFROM);
            break;
        }
        results[item] = verdict;
        if (verdict < 0 && item < *first)
            *first = item;
        pending--;
    }
    if (code < 0 && error)
        *error = broken;
    return code;
}

int netstrat_execute(struct netstrat_socket *sock, struct netstrat_batch *batch, int *results,
                     struct netstrat_error *error)
{
    struct exchange exchange;
    size_t queue = 0, send_buffer = 0;
    uint32_t done, item = 0, i;
    int failed = 0, lost = 0, in_parts, code;

    if (netstrat_batch_check(batch, &item) < 0)
        return netstrat_fail_item(error, -EINVAL, NETSTRAT_STEP_BATCH, item);
    for (i = 0; i < batch->count; i++)
        results[i] = NETSTRAT_PENDING;
    netstrat_call_begin(sock);
    exchange.sock = sock;
    exchange.data = batch->data;
    exchange.size = batch->used;
    exchange.count = batch->count;
    in_parts = batch->count > 1 &&
               (uint64_t)batch->count * cost(sock, 0) + 2 * batch->used > SMALL_BATCH;
    if (in_parts) {
        code = read_limit(sock, SO_RCVBUF, &queue, error);
        if (code == 0)
            code = read_limit(sock, SO_SNDBUF, &send_buffer, error);
        if (code < 0)
            return code;
    }
    for (done = 0; done < batch->count; done += exchange.count) {
        if (in_parts)
            choose_part(&exchange, batch->count - done, queue, send_buffer);
        code = execute_part(&exchange, results + done, failed == 0, &item, error);
        if (code < 0)
            return code;
        lost |= code;
        if (failed == 0 && item < exchange.count) {
            failed = results[done + item];
            if (error)
                error->item = done + item;
        }
        exchange.data += exchange.size;
    }
    if (failed == 0 && lost)
        return netstrat_fail(error, -ENOBUFS, NETSTRAT_STEP_RECVFROM);
    return failed;
}

/* ---- a question and its answer ---- */

/* One try of netstrat_query. */
static int ask(struct exchange *exchange, int whole, struct netstrat_message *answer,
               struct netstrat_error *error)
{
    int refusal;
    int code = start(exchange, error);

    if (code < 0)
        return code;
    code = next_reply(exchange, answer, error);
    if (code < 0)
        return code;
    if (answer->type != NLMSG_ERROR) {
        if (answer->payload.missing == 0 || !whole)
            return 0;
        exchange->sock->needed = exchange->datagram_size;
        return netstrat_fail(error, -EMSGSIZE, NETSTRAT_STEP_RECVFROM);
    }
    code = take_verdict(exchange, answer, &refusal, error);
    if (code < 0)
        return code;
    /* A bare ack is not an answer. */
    return refusal < 0 ? refusal : netstrat_fail(error, -EBADMSG, NETSTRAT_STEP_RECVFROM);
}

/* After a try that may be repeated: the queue is emptied, and there has to be time for another. */
static int prepare_retry(struct exchange *exchange, struct netstrat_error *error)
{
    int code = netstrat_socket_drain(exchange->sock);

    if (code == 0)
        code = netstrat_call_go_on(exchange->sock);
    return code < 0 ? netstrat_fail(error, code, NETSTRAT_STEP_RECVFROM) : 0;
}

int netstrat_query(struct netstrat_socket *sock, struct netstrat_batch *batch, int whole,
                   struct netstrat_message *answer, struct netstrat_error *error)
{
    struct netstrat_message read;
    struct exchange exchange;
    int tries, code = exchange_init(&exchange, sock, batch, error);

    if (code < 0)
        return code;
    for (tries = 0; tries < NETSTRAT_MAX_TRIES; tries++) {
        int prepared;

        code = ask(&exchange, whole, &read, error);
        if (code != -ENOBUFS)
            break;
        prepared = prepare_retry(&exchange, error);
        if (prepared < 0)
            return prepared;
    }
    if (code == 0)
        *answer = read;
    return code;
}

int netstrat_send(struct netstrat_socket *sock, struct netstrat_batch *batch,
                  struct netstrat_error *error)
{
    struct exchange exchange;
    int code = exchange_init(&exchange, sock, batch, error);

    return code < 0 ? code : start(&exchange, error);
}

/* ---- dumps ---- */

struct receiver {
    int (*each)(const struct netstrat_message *message, void *context);
    void *context;
};

/* One try of netstrat_dump: 0, or 1 if the kernel marked it as inconsistent. */
static int dump_once(struct exchange *exchange, const struct receiver *to,
                     struct netstrat_error *error)
{
    struct netstrat_message message;
    int inconsistent = 0;
    int refusal;
    int code = start(exchange, error);

    while (code == 0) {
        code = next_reply(exchange, &message, error);
        if (code < 0)
            break;
        if (message.flags & NETSTRAT_NLM_F_DUMP_INTR)
            inconsistent = 1;
        if (message.type == NLMSG_DONE || message.type == NLMSG_ERROR) {
            code = take_verdict(exchange, &message, &refusal, error);
            if (code < 0)
                break;
            if (refusal == 0 &&
                message.type == NLMSG_ERROR) /* a bare ack is not the end of a dump */
                return netstrat_fail(error, -EBADMSG, NETSTRAT_STEP_RECVFROM);
            return refusal < 0 ? refusal : inconsistent;
        }
        if (exchange->datagram_size > exchange->sock->buffer_size) {
            exchange->sock->needed = exchange->datagram_size;
            return netstrat_fail(error, -EMSGSIZE, NETSTRAT_STEP_RECVFROM);
        }
        code = to->each(&message, to->context);
        if (code < 0)
            (void)netstrat_fail(error, code, NETSTRAT_STEP_RECVFROM);
    }
    return code;
}

/* All tries: 0, a failure (-EAGAIN after the last of them), or 1 once `most` of them were
 * inconsistent, each whole by itself. */
static int dump_until_settled(struct exchange *exchange, int most, const struct receiver *to,
                              struct netstrat_error *error)
{
    int tries, inconsistent = 0;

    for (tries = 0; tries < NETSTRAT_MAX_TRIES; tries++) {
        int code = to->each(NULL, to->context);
        int prepared;

        if (code < 0)
            return netstrat_fail(error, code, NETSTRAT_STEP_RECVFROM);
        code = dump_once(exchange, to, error);
        if (code == 0)
            return 0;
        /* EBUSY: there was a dump of an earlier call that had no time left to drain it. */
        if (code < 0 && code != -ENOBUFS && code != -EBUSY) {
            /* The rest of this dump must not stand in the way of the next request. */
            (void)netstrat_socket_drain(exchange->sock);
            return code;
        }
        if (code == 1 && ++inconsistent == most)
            return 1;
        prepared = prepare_retry(exchange, error);
        if (prepared < 0)
            return prepared;
    }
    return netstrat_fail_request(error, -EAGAIN, type_of(exchange, 0));
}

int netstrat_dump_restless(struct netstrat_socket *sock, struct netstrat_batch *batch, int most,
                           int (*each)(const struct netstrat_message *message, void *context),
                           void *context, struct netstrat_error *error)
{
    struct exchange exchange;
    struct receiver to;
    int code = exchange_init(&exchange, sock, batch, error);

    if (code < 0)
        return code;
    to.each = each;
    to.context = context;
    return dump_until_settled(&exchange, most, &to, error);
}

int netstrat_dump(struct netstrat_socket *sock, struct netstrat_batch *batch,
                  int (*each)(const struct netstrat_message *message, void *context), void *context,
                  struct netstrat_error *error)
{
    return netstrat_dump_restless(sock, batch, INT_MAX, each, context, error);
}

/* Where netstrat_dump_copy puts the messages. */
struct copy {
    unsigned char *to;
    size_t size;
    size_t used;
};

static int copy_message(const struct netstrat_message *message, void *context)
{
    struct copy *copy = (struct copy *)context;
    size_t from, length;

    if (!message) {
        copy->used = 0;
        return 0;
    }
    /* The header stands before the payload in the datagram. */
    from = message->payload.at - NETSTRAT_MESSAGE_HEADER;
    length = message->payload.end - from;
    if (netstrat_align(length) > SIZE_MAX / 2 - copy->used)
        return -EOVERFLOW;
    if (copy->used <= copy->size && netstrat_align(length) <= copy->size - copy->used) {
        memcpy(copy->to + copy->used, message->payload.data + from, length);
        memset(copy->to + copy->used + length, 0, netstrat_align(length) - length);
    }
    copy->used += netstrat_align(length);
    return 0;
}

int netstrat_dump_copy(struct netstrat_socket *sock, struct netstrat_batch *batch, void *buffer,
                       size_t size, size_t *used, struct netstrat_error *error)
{
    struct copy copy;
    int code;

    copy.to = (unsigned char *)buffer;
    copy.size = size;
    copy.used = 0;
    code = netstrat_dump(sock, batch, copy_message, &copy, error);
    if (code == 0)
        *used = copy.used;
    return code;
}
