/* SPDX-License-Identifier: MIT */
/*
 * Exchanges on a socket: a batch and its acks, a query and its reply, a dump. Nothing here depends
 * on the type of the messages.
 *
 * A message is a reply if it has the sequence number of the request, was not sent to a multicast
 * group, and has the socket's port id (if that is known). The test of the group is needed because a
 * notification triggered from another namespace by a change with NLM_F_ECHO can carry our port id
 * and sequence number: in each namespace, the port id of a process's first socket is its pid.
 */
#include "internal.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

/* A batch, or a part of it that is sent at once, and the state of reading its replies. */
struct exchange_state {
    struct netstrat_socket *sock;
    unsigned char *data; /* the messages */
    size_t size;
    uint32_t count;
    uint32_t first;                  /* the first sequence number; the others follow */
    struct netstrat_cursor datagram; /* the unread rest of the newest datagram */
    size_t datagram_size;            /* the whole size of that datagram */
    /* 1 if the truncated part of the datagram may hold a notification: `notified` must then be told
     * that some were lost. */
    int cut;
    /* 1 after the first datagram. Before it the clock is not read, so that an exchange that one
     * datagram completes, as most do, needs no clock_gettime(). */
    int received;
    int lost; /* 1 after ENOBUFS: a reply that is not in the queue will not arrive */
};

/* The smallest buffer for replies: an ack's header, its errno, and the header of the request that
 * it repeats. */
enum { EXCHANGE_ACK_SIZE = 2 * NETSTRAT_MESSAGE_HEADER + 4 };

static struct nlmsghdr exchange_header_at(const unsigned char *at)
{
    struct nlmsghdr header;

    memcpy(&header, at, sizeof header);
    return header;
}

/* Begins a call that sends something: checks the buffer, and drains what an earlier call left in
 * the queue. On failure the call has ended and nothing has been sent. */
static int exchange_begin_call(struct netstrat_socket *sock, struct netstrat_error *error)
{
    int code = netstrat_call_begin(sock, NETSTRAT_OP_BATCH, error);

    if (code < 0)
        return code;
    if (sock->buffer_size < EXCHANGE_ACK_SIZE) {
        sock->required_size = NETSTRAT_BUFFER_SIZE;
        return netstrat_call_end(sock, netstrat_fail(error, -EMSGSIZE, NETSTRAT_OP_BATCH));
    }
    /* After an overrun the kernel drops notifications until the queue has been found empty, but it
     * does send the replies of a dump. Without draining, a change during that dump would be
     * missed. */
    if (sock->unfinished || sock->overrun)
        code = netstrat_socket_drain(sock);
    return code < 0 ? netstrat_call_end(sock, netstrat_fail(error, code, NETSTRAT_OP_RECVFROM)) : 0;
}

enum exchange_request { EXCHANGE_QUERY, EXCHANGE_DUMP, EXCHANGE_ANY };

/* Begins a call that sends one request. On failure the call has ended and nothing has been sent. */
static int exchange_init(struct exchange_state *exchange, struct netstrat_socket *sock,
                         const struct netstrat_batch *batch, enum exchange_request expected,
                         struct netstrat_error *error)
{
    struct nlmsghdr header;
    int is_expected;

    exchange->sock = sock;
    exchange->data = batch->data;
    exchange->size = batch->used;
    exchange->count = batch->count;
    /* The batch may be hand-built: reject anything but one complete request, because the kernel
     * does not reply to it. */
    if (batch->count != 1 || batch->used < sizeof header)
        return netstrat_fail(error, -EINVAL, NETSTRAT_OP_BATCH);
    header = exchange_header_at(batch->data);
    if (expected == EXCHANGE_ANY)
        /* On a socket that has joined a group, the ack of a change may be lost. */
        is_expected = sock->groups == 0 || netstrat_is_get(header.nlmsg_type);
    else
        is_expected = netstrat_is_get(header.nlmsg_type) &&
                      ((header.nlmsg_flags & NLM_F_DUMP) != 0) == (expected == EXCHANGE_DUMP);
    if (header.nlmsg_len != batch->used || !(header.nlmsg_flags & NLM_F_REQUEST) || !is_expected)
        return netstrat_fail(error, -EINVAL, NETSTRAT_OP_BATCH);
    /* For netstrat_send() the queue is not drained: the caller reads every datagram, in order. */
    return expected == EXCHANGE_ANY ? netstrat_call_begin(sock, NETSTRAT_OP_BATCH, error)
                                    : exchange_begin_call(sock, error);
}

static uint32_t exchange_type_of(const struct exchange_state *exchange, uint32_t item)
{
    const unsigned char *at = exchange->data;

    while (item-- > 0)
        at += exchange_header_at(at).nlmsg_len;
    return exchange_header_at(at).nlmsg_type;
}

/* Gives the messages consecutive sequence numbers. 0 is not used: most notifications have it. */
static void exchange_number(struct exchange_state *exchange)
{
    struct netstrat_socket *sock = exchange->sock;
    unsigned char *at = exchange->data;
    uint32_t i;

    if (sock->sequence > UINT32_MAX - exchange->count)
        sock->sequence = 0;
    exchange->first = sock->sequence + 1;
    for (i = 0; i < exchange->count; i++) {
        struct nlmsghdr header = exchange_header_at(at);

        header.nlmsg_seq = ++sock->sequence;
        memcpy(at, &header, sizeof header);
        at += header.nlmsg_len;
    }
}

/* Sends the messages. */
static int exchange_start(struct exchange_state *exchange, struct netstrat_error *error)
{
    exchange_number(exchange);
    memset(&exchange->datagram, 0, sizeof exchange->datagram);
    exchange->cut = 0;
    exchange->received = 0;
    exchange->lost = 0;
    for (;;) {
        ssize_t sent = send(exchange->sock->fd, exchange->data, exchange->size, 0);
        int code;

        if (sent >= 0)
            return (size_t)sent == exchange->size ? 0
                                                  : netstrat_fail(error, -EIO, NETSTRAT_OP_SEND);
        code = errno == EINTR ? netstrat_call_resume(exchange->sock) : -errno;
        if (code < 0)
            return netstrat_fail(error, code, NETSTRAT_OP_SEND);
    }
}

static int exchange_is_reply(const struct exchange_state *exchange,
                             const struct netstrat_message *message)
{
    const struct netstrat_socket *sock = exchange->sock;

    return message->sequence - exchange->first < exchange->count && sock->datagram_groups == 0 &&
           (sock->port == 0 || message->port == sock->port);
}

/* Takes the next reply in the datagram, passing other messages to `notified`. Returns 1, 0 if there
 * is none left, or -EBADMSG. Inlined: the calls would add 3 % to the time of a dump of counters. */
static inline __attribute__((always_inline)) int
exchange_next_in_datagram(struct exchange_state *exchange, struct netstrat_message *message)
{
    int code;

    while ((code = netstrat_message_take(&exchange->datagram, message)) > 0) {
        if (exchange_is_reply(exchange, message)) {
            if (message->payload.missing == exchange->datagram.missing)
                exchange->cut = 0; /* all that is missing is the reply's */
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
 * Waits for the next reply. The kernel reports ENOBUFS before the datagrams in the queue, and often
 * only because a notification did not fit. So reading continues, and -ENOBUFS is returned only if
 * the queue ends without the reply. The reply would be in the queue by then: the kernel queues acks
 * and replies before send() returns, and the next part of a dump whenever a datagram is taken.
 */
static int exchange_next_reply(struct exchange_state *exchange, struct netstrat_message *message,
                               struct netstrat_error *error)
{
    struct netstrat_socket *sock = exchange->sock;

    for (;;) {
        int code = exchange_next_in_datagram(exchange, message);

        if (code > 0)
            return 0;
        if (code == 0 && exchange->received) /* one datagram was not enough: check the clock */
            code = netstrat_call_go_on(sock);
        if (code < 0)
            return netstrat_fail(error, code, NETSTRAT_OP_RECVFROM);
        while ((code = netstrat_socket_take(sock, &exchange->datagram)) == -EAGAIN) {
            if (exchange->lost)
                return netstrat_fail(error, -ENOBUFS, NETSTRAT_OP_RECVFROM);
            code = netstrat_socket_wait(sock);
            if (code < 0)
                return netstrat_fail(error, code,
                                     code == -ETIMEDOUT ? NETSTRAT_OP_RECVFROM : NETSTRAT_OP_POLL);
        }
        exchange->received = 1;
        if (code == -ENOBUFS) {
            exchange->lost = 1;
            netstrat_socket_notify(sock, NULL);
            continue;
        }
        if (code < 0)
            return netstrat_fail(error, code, NETSTRAT_OP_RECVFROM);
        exchange->cut = exchange->datagram.missing > 0;
        exchange->datagram_size = exchange->datagram.end + exchange->datagram.missing;
    }
}

/* Reads an ack: *verdict becomes 0 or the kernel's -errno, which is recorded in `error`, if that is
 * not NULL. */
static int exchange_take_verdict(const struct exchange_state *exchange,
                                 const struct netstrat_message *message, int *verdict,
                                 struct netstrat_error *error)
{
    uint32_t item = message->sequence - exchange->first;
    int malformed = netstrat_ack_decode(message, verdict, NULL);

    if (malformed < 0)
        return netstrat_fail(error, malformed, NETSTRAT_OP_RECVFROM);
    if (*verdict < 0 && error) {
        (void)netstrat_fail_request(error, *verdict, exchange_type_of(exchange, item));
        error->item = item;
        (void)netstrat_ack_decode(message, verdict, error); /* the extended ack */
    }
    return 0;
}

/* ---- a batch and its acks ---- */

/*
 * Upper bounds of what one message takes of the receive queue. The kernel counts the truesize of
 * each sk_buff: about 600 bytes of bookkeeping, and the data rounded up to a power of two.
 *
 * An ack takes 832 bytes on Linux 6.18, and more if it reports an error, because it then repeats
 * the request (twice its length covers the rounding) and has an extended ack. A GET, or a message
 * with NLM_F_ECHO, is answered with the description of one link, or of both ends of a veth pair:
 * at most 4,608 bytes each for links without many names.
 */
enum { EXCHANGE_ACK_COST = 1400, EXCHANGE_ANSWER_COST = 2 * 4608 };
/* The smallest SO_SNDBUF that the kernel allows, minus what it reserves (netlink_sendmsg,
 * net/netlink/af_netlink.c). */
enum { EXCHANGE_SMALLEST_SEND_BUFFER = 4608 - 32 };

static int exchange_is_answered(const struct nlmsghdr *header)
{
    return netstrat_is_get(header->nlmsg_type) || (header->nlmsg_flags & NLM_F_ECHO);
}

static size_t exchange_cost(const struct nlmsghdr *header)
{
    return EXCHANGE_ACK_COST + 2 * (size_t)header->nlmsg_len +
           (exchange_is_answered(header) ? EXCHANGE_ANSWER_COST : 0);
}

/* Reads how much of the receive queue a part of a batch may use (SO_RCVBUF), or how long a part may
 * be (SO_SNDBUF): three quarters of the socket's limit. */
static int exchange_read_limit(const struct netstrat_socket *sock, int option, size_t *limit,
                               struct netstrat_error *error)
{
    int value = 0;
    socklen_t size = sizeof value;

    if (getsockopt(sock->fd, SOL_SOCKET, option, &value, &size) < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_GETSOCKOPT);
    *limit = value > 0 ? (size_t)value / 4 * 3 : 0;
    return 0;
}

/* Chooses how many of the `left` messages from exchange->data on are sent at once: at least one. A
 * message that gets a reply is sent alone, because the description of a link may have any size. */
static void exchange_choose_part(struct exchange_state *exchange, uint32_t left, size_t queue,
                                 size_t send_buffer)
{
    size_t used = 0;
    int alone = 0;

    exchange->size = 0;
    exchange->count = 0;
    while (exchange->count < left) {
        const struct nlmsghdr header = exchange_header_at(exchange->data + exchange->size);

        used += exchange_cost(&header);
        alone |= exchange_is_answered(&header);
        if (exchange->count > 0 &&
            (alone || used > queue || exchange->size + header.nlmsg_len > send_buffer))
            break;
        exchange->size += header.nlmsg_len;
        exchange->count++;
    }
}

/*
 * Sends one part and reads its acks. Returns 0, 1 if acks were lost (their results stay
 * NETSTRAT_PENDING), or the -errno of an exchange that broke off. *first becomes the number of the
 * first message known to have failed, or the number of all messages if none has. Its failure is
 * recorded in `error` if `record` is set.
 */
static int exchange_execute_part(struct exchange_state *exchange, int *results, int record,
                                 uint32_t *first, struct netstrat_error *error)
{
    struct netstrat_error broken;
    uint32_t pending = exchange->count;
    int code = exchange_start(exchange, error);

    *first = exchange->count;
    if (code < 0)
        return code;
    while (pending > 0) {
        struct netstrat_message message;
        uint32_t item;
        int verdict;

        code = exchange_next_reply(exchange, &message, &broken);
        if (code == -ENOBUFS) /* the acks that arrived have been read */
            return 1;
        if (code < 0)
            break;
        item = message.sequence - exchange->first;
        if (message.type != NLMSG_ERROR || results[item] != NETSTRAT_PENDING) {
            /* The reply to a GET, or an echo. */
            netstrat_socket_notify(exchange->sock, message.payload.missing > 0 ? NULL : &message);
            continue;
        }
        code = exchange_take_verdict(exchange, &message, &verdict,
                                     item < *first && record ? error : NULL);
        if (code < 0) {
            (void)netstrat_fail(&broken, code, NETSTRAT_OP_RECVFROM);
            break;
        }
        results[item] = verdict;
        if (verdict < 0 && item < *first)
            *first = item;
        pending--;
    }
    exchange->sock->unfinished = pending > 0;
    if (code < 0 && error)
        *error = broken;
    return code;
}

/* Refuses, before anything is sent, a batch with a message whose reply and ack do not fit the
 * queue. */
static int exchange_check_room(const struct exchange_state *exchange, size_t queue,
                               struct netstrat_error *error)
{
    const unsigned char *at = exchange->data;
    uint32_t item;

    for (item = 0; item < exchange->count; item++) {
        const struct nlmsghdr header = exchange_header_at(at);

        if (exchange_is_answered(&header) && exchange_cost(&header) > queue)
            return netstrat_fail_item(error, -ENOBUFS, NETSTRAT_OP_BATCH, item);
        at += header.nlmsg_len;
    }
    return 0;
}

/* Executes a batch that has been checked, on a socket outside of all groups. */
static int exchange_execute_all(struct exchange_state *exchange, int *results,
                                struct netstrat_error *error)
{
    const struct nlmsghdr header = exchange_header_at(exchange->data);
    const uint32_t count = exchange->count;
    size_t queue = SIZE_MAX, send_buffer = SIZE_MAX;
    uint32_t done, item = 0;
    int failed = 0, lost = 0, code = 0;

    /* Any queue can hold one ack. */
    if (count > 1 || exchange_is_answered(&header))
        code = exchange_read_limit(exchange->sock, SO_RCVBUF, &queue, error);
    if (code == 0 && exchange->size > EXCHANGE_SMALLEST_SEND_BUFFER)
        code = exchange_read_limit(exchange->sock, SO_SNDBUF, &send_buffer, error);
    if (code == 0)
        code = exchange_check_room(exchange, queue, error);
    if (code < 0)
        return code;
    for (done = 0; done < count; done += exchange->count) {
        exchange_choose_part(exchange, count - done, queue, send_buffer);
        code = exchange_execute_part(exchange, results + done, failed == 0, &item, error);
        if (code < 0)
            return code;
        lost |= code;
        if (failed == 0 && item < exchange->count) {
            failed = results[done + item];
            if (error)
                error->item = done + item;
        }
        exchange->data += exchange->size;
    }
    if (failed == 0 && lost)
        return netstrat_fail(error, -ENOBUFS, NETSTRAT_OP_RECVFROM);
    return failed;
}

/* Executes a batch that has been checked. The socket leaves its groups until the end. */
static int exchange_execute_outside_groups(struct exchange_state *exchange, int *results,
                                           struct netstrat_error *error)
{
    struct netstrat_socket *sock = exchange->sock;
    int code, joined;

    if (sock->groups == 0)
        return exchange_execute_all(exchange, results, error);
    code = netstrat_socket_set_groups(sock, 0, error);
    if (code == 0) {
        code = netstrat_socket_drain(sock); /* otherwise queued notifications could displace acks */
        code = code < 0 ? netstrat_fail(error, code, NETSTRAT_OP_RECVFROM)
                        : exchange_execute_all(exchange, results, error);
    }
    joined = netstrat_socket_set_groups(sock, 1, code < 0 ? NULL : error);
    netstrat_socket_notify(sock, NULL); /* notifications were missed */
    return code < 0 ? code : joined;
}

int netstrat_execute(struct netstrat_socket *sock, struct netstrat_batch *batch, int *results,
                     struct netstrat_error *error)
{
    struct exchange_state exchange;
    uint32_t item = 0, i;
    int code;

    if (netstrat_batch_check(batch, &item) < 0)
        return netstrat_fail_item(error, -EINVAL, NETSTRAT_OP_BATCH, item);
    if (batch->count == 0)
        return 0;
    exchange.sock = sock;
    exchange.data = batch->data;
    exchange.size = batch->used;
    exchange.count = batch->count;
    for (i = 0; i < batch->count; i++)
        results[i] = NETSTRAT_PENDING;
    code = exchange_begin_call(sock, error);
    if (code < 0)
        return code;
    return netstrat_call_end(sock, exchange_execute_outside_groups(&exchange, results, error));
}

/* ---- a transaction and its ack ---- */

/* Checks that the batch consists of at least three messages that can be sent together, and asks for
 * the ack of the last change. Returns 0, or -EINVAL. */
static int exchange_prepare_transaction(struct netstrat_batch *batch)
{
    size_t at = 0, previous = 0;
    uint32_t number;

    if (batch->count < 3)
        return -EINVAL;
    for (number = 0; number < batch->count; number++) {
        struct nlmsghdr header;

        if (batch->used - at < sizeof header)
            return -EINVAL;
        header = exchange_header_at(batch->data + at);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > batch->used - at ||
            header.nlmsg_len % 4 != 0 || !(header.nlmsg_flags & NLM_F_REQUEST))
            return -EINVAL;
        if (number + 1 == batch->count) { /* the end; the change before it asks for the ack */
            header = exchange_header_at(batch->data + previous);
            header.nlmsg_flags |= NLM_F_ACK;
            memcpy(batch->data + previous, &header, sizeof header);
            return at + exchange_header_at(batch->data + at).nlmsg_len == batch->used ? 0 : -EINVAL;
        }
        previous = at;
        at += header.nlmsg_len;
    }
    return -EINVAL;
}

/*
 * Sends a transaction and reads its replies. The kernel queues them all before send() returns: an
 * error for each change that failed, in order, and the ack of the last change. If it refuses the
 * transaction as a whole, it does so in the name of the first message, with or without the others.
 */
static int exchange_transact(struct exchange_state *exchange, struct netstrat_error *error)
{
    const uint32_t last = exchange->count - 2;
    struct netstrat_error broken;
    struct netstrat_message message;
    uint32_t item = 0;
    int failed = 0, code = exchange_start(exchange, error);

    if (code < 0)
        return code;
    exchange->sock->unfinished = 1;
    do {
        int verdict = 0;

        code = exchange_next_reply(exchange, &message, &broken);
        if (code < 0)
            break;
        item = message.sequence - exchange->first;
        if (message.type != NLMSG_ERROR) {
            item = last + 1; /* an echo */
            continue;
        }
        code = exchange_take_verdict(exchange, &message, &verdict, failed == 0 ? error : NULL);
        if (code < 0) {
            (void)netstrat_fail(&broken, code, NETSTRAT_OP_RECVFROM);
            break;
        }
        if (failed == 0 && verdict < 0 && item == 0 && error)
            error->request = exchange_type_of(exchange, 1); /* the first message has no meaning */
        if (failed == 0)
            failed = verdict;
    } while (item != last && (item != 0 || failed == 0));
    /* Further replies to the refused request stay queued: the next call drains them. */
    if (code == 0)
        exchange->sock->unfinished = item != last;
    if (failed < 0)
        return failed;
    if (code < 0 && error)
        *error = broken;
    return code;
}

/* Raises SO_SNDBUF, which the kernel doubles, for a transaction that the default might not hold: it
 * can't be sent in parts. If that fails, send() may fail with EMSGSIZE. */
static void exchange_make_room(const struct netstrat_socket *sock, size_t transaction)
{
    enum { LARGE = 64 * 1024 };
    const int size = transaction < INT_MAX / 2 ? (int)transaction : INT_MAX / 2;

    if (size >= LARGE && setsockopt(sock->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        (void)setsockopt(sock->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

int netstrat_execute_atomic(struct netstrat_socket *sock, struct netstrat_batch *batch,
                            struct netstrat_error *error)
{
    struct exchange_state exchange;
    int code;

    if (sock->groups != 0 || exchange_prepare_transaction(batch) < 0)
        return netstrat_fail(error, -EINVAL, NETSTRAT_OP_BATCH);
    exchange.sock = sock;
    exchange.data = batch->data;
    exchange.size = batch->used;
    exchange.count = batch->count;
    code = exchange_begin_call(sock, error);
    if (code < 0)
        return code;
    exchange_make_room(sock, batch->used);
    return netstrat_call_end(sock, exchange_transact(&exchange, error));
}

/* ---- a query and its reply ---- */

/* Makes one try of netstrat_query(). */
static int exchange_query_once(struct exchange_state *exchange, int whole,
                               struct netstrat_message *answer, struct netstrat_error *error)
{
    int refusal;
    int code = exchange_start(exchange, error);

    if (code < 0)
        return code;
    code = exchange_next_reply(exchange, answer, error);
    exchange->sock->unfinished = code < 0;
    if (code < 0)
        return code;
    if (answer->type != NLMSG_ERROR) {
        if (answer->payload.missing == 0 || !whole)
            return 0;
        exchange->sock->required_size = exchange->datagram_size;
        return netstrat_fail(error, -EMSGSIZE, NETSTRAT_OP_RECVFROM);
    }
    code = exchange_take_verdict(exchange, answer, &refusal, error);
    if (code < 0)
        return code;
    /* An ack without an error is not a reply. */
    return refusal < 0 ? refusal : netstrat_fail(error, -EBADMSG, NETSTRAT_OP_RECVFROM);
}

/* Prepares another try: drains the queue and checks the time. */
static int exchange_prepare_retry(struct exchange_state *exchange, struct netstrat_error *error)
{
    int code = netstrat_socket_drain(exchange->sock);

    if (code == 0)
        code = netstrat_call_go_on(exchange->sock);
    return code < 0 ? netstrat_fail(error, code, NETSTRAT_OP_RECVFROM) : 0;
}

int netstrat_query(struct netstrat_socket *sock, struct netstrat_batch *batch, int whole,
                   struct netstrat_message *answer, struct netstrat_error *error)
{
    struct netstrat_message read;
    struct exchange_state exchange;
    int tries, code = exchange_init(&exchange, sock, batch, EXCHANGE_QUERY, error);

    if (code < 0)
        return code;
    for (tries = 0; tries < NETSTRAT_MAX_TRIES; tries++) {
        int prepared;

        code = exchange_query_once(&exchange, whole, &read, error);
        if (code != -ENOBUFS)
            break;
        prepared = exchange_prepare_retry(&exchange, error);
        if (prepared < 0)
            return netstrat_call_end(sock, prepared);
    }
    if (code == 0)
        *answer = read;
    return netstrat_call_end(sock, code);
}

int netstrat_send(struct netstrat_socket *sock, struct netstrat_batch *batch,
                  struct netstrat_error *error)
{
    struct exchange_state exchange;
    int code = exchange_init(&exchange, sock, batch, EXCHANGE_ANY, error);

    return code < 0 ? code : netstrat_call_end(sock, exchange_start(&exchange, error));
}

/* ---- dumps ---- */

struct exchange_receiver {
    int (*each)(const struct netstrat_message *message, void *context);
    void *context;
    int verdict; /* what `each` returned; not 0 if it ended the dump */
};

/* Passes a message, or NULL before a try, to the callback. Returns 1 if the callback ends the
 * dump. */
static int exchange_pass_on(struct exchange_receiver *to, const struct netstrat_message *message)
{
    to->verdict = to->each(message, to->context);
    return to->verdict != 0;
}

/* Makes one try of netstrat_dump(). Returns 0 (also if the callback ended the dump), 1 if the
 * kernel marked the dump as inconsistent, or a failure. */
static int exchange_dump_once(struct exchange_state *exchange, struct exchange_receiver *to,
                              struct netstrat_error *error)
{
    struct netstrat_message message;
    int inconsistent = 0;
    int refusal;
    int code = exchange_start(exchange, error);

    while (code == 0) {
        exchange->sock->unfinished = 1;
        if (exchange_next_in_datagram(exchange, &message) <= 0)
            code = exchange_next_reply(exchange, &message, error);
        if (code < 0)
            break;
        if (message.flags & NETSTRAT_NLM_F_DUMP_INTR)
            inconsistent = 1;
        if (message.type == NLMSG_DONE || message.type == NLMSG_ERROR) {
            code = exchange_take_verdict(exchange, &message, &refusal, error);
            if (code < 0)
                break;
            if (message.type == NLMSG_DONE)
                exchange->sock->unfinished = 0;
            else if (refusal == 0) /* an ack without an error does not end a dump */
                return netstrat_fail(error, -EBADMSG, NETSTRAT_OP_RECVFROM);
            return refusal < 0 ? refusal : inconsistent;
        }
        if (exchange->datagram_size > exchange->sock->buffer_size) {
            exchange->sock->required_size = exchange->datagram_size;
            return netstrat_fail(error, -EMSGSIZE, NETSTRAT_OP_RECVFROM);
        }
        if (exchange_pass_on(to, &message))
            break;
    }
    return code;
}

/* Repeats a dump until it is consistent. Returns 0; a failure, which is -EAGAIN after the last try;
 * or 1 as soon as `most` complete tries were inconsistent. */
static int exchange_dump_until_settled(struct exchange_state *exchange, int most,
                                       struct exchange_receiver *to, struct netstrat_error *error)
{
    int tries, inconsistent = 0;

    for (tries = 0; tries < NETSTRAT_MAX_TRIES; tries++) {
        int code = 0;
        int prepared;

        if (!exchange_pass_on(to, NULL))
            code = exchange_dump_once(exchange, to, error);
        if (to->verdict < 0)
            code = netstrat_fail(error, to->verdict, NETSTRAT_OP_RECVFROM);
        /* The kernel returns EBUSY if a dump of an earlier call, which timed out, is unfinished. */
        if (code == 0 || to->verdict < 0 || (code < 0 && code != -ENOBUFS && code != -EBUSY)) {
            /* The kernel refuses another dump until this one is complete. */
            if (exchange->sock->unfinished)
                (void)netstrat_socket_drain(exchange->sock);
            return code;
        }
        if (code == 1 && ++inconsistent == most)
            return 1;
        prepared = exchange_prepare_retry(exchange, error);
        if (prepared < 0)
            return prepared;
    }
    return netstrat_fail_request(error, -EAGAIN, exchange_type_of(exchange, 0));
}

int netstrat_dump_tolerant(struct netstrat_socket *sock, struct netstrat_batch *batch, int most,
                           int (*each)(const struct netstrat_message *message, void *context),
                           void *context, struct netstrat_error *error)
{
    struct exchange_receiver to = {each, context, 0};
    struct exchange_state exchange;
    int code = exchange_init(&exchange, sock, batch, EXCHANGE_DUMP, error);

    if (code < 0)
        return code;
    return netstrat_call_end(sock, exchange_dump_until_settled(&exchange, most, &to, error));
}

int netstrat_dump(struct netstrat_socket *sock, struct netstrat_batch *batch,
                  int (*each)(const struct netstrat_message *message, void *context), void *context,
                  struct netstrat_error *error)
{
    return netstrat_dump_tolerant(sock, batch, INT_MAX, each, context, error);
}

/* The buffer of netstrat_dump_copy(). */
struct exchange_copy {
    unsigned char *to;
    size_t size;
    size_t used;
};

static int exchange_copy_message(const struct netstrat_message *message, void *context)
{
    struct exchange_copy *copy = (struct exchange_copy *)context;
    size_t from, length;

    if (!message) {
        copy->used = 0;
        return 0;
    }
    /* In the datagram the header precedes the payload. */
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
    struct exchange_copy copy;
    int code;

    copy.to = (unsigned char *)buffer;
    copy.size = size;
    copy.used = 0;
    code = netstrat_dump(sock, batch, exchange_copy_message, &copy, error);
    if (code == 0)
        *used = copy.used;
    return code;
}
