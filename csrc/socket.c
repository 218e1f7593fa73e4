/* SPDX-License-Identifier: MIT */
/*
 * One netlink socket: it is opened, waits within a deadline, and takes one datagram at a time.
 *
 * In addition to the reply to a request, the queue may hold late replies to requests that timed
 * out, notifications, and datagrams from other processes with CAP_NET_ADMIN. A datagram is used
 * only if the kernel sent it (nl_pid 0); exchange.c decides which of its messages is the reply.
 *
 * The socket is not bound until it joins a group: the kernel assigns a port id at the first send
 * (netlink_autobind), which saves a system call.
 */
#include "internal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/netlink.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270 /* linux/socket.h; older libcs lack it */
#endif

enum {
    SOCKET_HOOK_MS = 100,  /* how often the `interrupted` callback is called during a wait */
    SOCKET_MAX_GROUP = 64, /* the bits of `groups`; rtnetlink has fewer than 40 groups */
    /* The most datagrams that a call with a timeout of 0 takes, so that a flood of them cannot keep
     * it busy forever. At 32 KiB each, the largest dump it can read has 2 GiB: more than any
     * needs. */
    SOCKET_DATAGRAM_BUDGET = 65536
};

int netstrat_socket_open(struct netstrat_socket *sock, void *buffer, size_t size,
                         struct netstrat_error *error)
{
    return netstrat_socket_open_protocol(sock, buffer, size, NETLINK_ROUTE, error);
}

int netstrat_socket_open_protocol(struct netstrat_socket *sock, void *buffer, size_t size,
                                  int protocol, struct netstrat_error *error)
{
    const int on = 1;
    int fd;

    memset(sock, 0, sizeof *sock);
    sock->fd = -1;
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_SOCKET);
    /* If this fails, errors have no extended ack. NETLINK_CAP_ACK, which would leave the repeated
     * request out of errors, is not worth a system call. */
    (void)setsockopt(fd, SOL_NETLINK, NETSTRAT_NETLINK_EXT_ACK, &on, sizeof on);

    sock->fd = fd;
    sock->is_open = 1;
    sock->timeout_ms = NETSTRAT_TIMEOUT_MS;
    sock->buffer = (unsigned char *)buffer;
    sock->buffer_size = size;
    sock->datagram_nsid = -1;
    return 0;
}

void netstrat_socket_close(struct netstrat_socket *sock)
{
    if (sock->is_open && sock->fd >= 0)
        (void)close(sock->fd); /* Linux closes it even if close() fails; never retry */
    sock->fd = -1;
    sock->is_open = 0;
}

static int socket_set_option(const struct netstrat_socket *sock, int option, uint32_t value,
                             struct netstrat_error *error)
{
    if (setsockopt(sock->fd, SOL_NETLINK, option, &value, sizeof value) < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_SETSOCKOPT);
    return 0;
}

/* Sets an option, unless a callback asks for it during a call. */
static int socket_set_option_between_calls(const struct netstrat_socket *sock, int option,
                                           uint32_t value, struct netstrat_error *error)
{
    return sock->in_call ? netstrat_fail(error, -EBUSY, NETSTRAT_OP_SETSOCKOPT)
                         : socket_set_option(sock, option, value, error);
}

int netstrat_socket_join(struct netstrat_socket *sock, uint32_t group, struct netstrat_error *error)
{
    struct sockaddr_nl own;
    int code;
    socklen_t own_size = sizeof own;

    /* Read the port id, which distinguishes replies from notifications. */
    memset(&own, 0, sizeof own);
    own.nl_family = AF_NETLINK;
    if (getsockname(sock->fd, (struct sockaddr *)&own, &own_size) < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_GETSOCKNAME);
    if (own.nl_pid == 0) {
        if (bind(sock->fd, (const struct sockaddr *)&own, sizeof own) < 0)
            return netstrat_fail(error, -errno, NETSTRAT_OP_BIND);
        if (getsockname(sock->fd, (struct sockaddr *)&own, &own_size) < 0)
            return netstrat_fail(error, -errno, NETSTRAT_OP_GETSOCKNAME);
    }
    /* A group above 64 would not fit `groups`. The kernel refuses 0. */
    if (group > SOCKET_MAX_GROUP)
        return netstrat_fail(error, -EINVAL, NETSTRAT_OP_SETSOCKOPT);
    code = socket_set_option_between_calls(sock, NETLINK_ADD_MEMBERSHIP, group, error);
    if (code < 0)
        return code;
    sock->port = own.nl_pid;
    sock->groups |= (uint64_t)1 << (group - 1);
    return 0;
}

int netstrat_socket_set_groups(const struct netstrat_socket *sock, int joined,
                               struct netstrat_error *error)
{
    const int option = joined ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP;
    uint64_t left;
    uint32_t group = 1;
    int code = 0;

    for (left = sock->groups; left > 0 && code == 0; left >>= 1, group++)
        if (left & 1)
            code = socket_set_option(sock, option, group, error);
    return code;
}

int netstrat_socket_set_strict(struct netstrat_socket *sock, struct netstrat_error *error)
{
    return socket_set_option_between_calls(sock, NETSTRAT_NETLINK_GET_STRICT_CHK, 1, error);
}

int netstrat_socket_set_receive_buffer(struct netstrat_socket *sock, uint32_t size,
                                       struct netstrat_error *error)
{
    const int half = (int)(size / 2); /* the kernel doubles it to allow for its bookkeeping */

    if (sock->in_call)
        return netstrat_fail(error, -EBUSY, NETSTRAT_OP_SETSOCKOPT);
    if (setsockopt(sock->fd, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof half) < 0 &&
        setsockopt(sock->fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof half) < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_SETSOCKOPT);
    return 0;
}

int netstrat_socket_listen_all_nsid(struct netstrat_socket *sock, struct netstrat_error *error)
{
    int code = socket_set_option_between_calls(sock, NETSTRAT_NETLINK_LISTEN_ALL_NSID, 1, error);

    if (code == 0)
        sock->all_namespaces = 1;
    return code;
}

/* ---- the time of one call ---- */

int netstrat_call_begin(struct netstrat_socket *sock, enum netstrat_operation operation,
                        struct netstrat_error *error)
{
    if (sock->in_call) /* a callback of the call in progress must not change its state */
        return netstrat_fail(error, -EBUSY, operation);
    sock->in_call = 1;
    if (!sock->shared_deadline)
        sock->deadline_ms = 0;
    sock->datagram_budget = SOCKET_DATAGRAM_BUDGET;
    return 0;
}

int netstrat_call_end(struct netstrat_socket *sock, int code)
{
    sock->in_call = 0;
    return code;
}

/* Returns the milliseconds left, at least 1, or -ETIMEDOUT. The deadline starts when the call first
 * waits, so that calls that need not wait do not read the clock: the kernel answers most requests
 * before send() returns. */
static int socket_time_left(struct netstrat_socket *sock)
{
    struct timespec now;
    int64_t now_ms, left;

    if (sock->timeout_ms <= 0)
        return -ETIMEDOUT;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (sock->deadline_ms == 0)
        sock->deadline_ms = now_ms + sock->timeout_ms;
    if (sock->deadline_ms <= now_ms)
        return -ETIMEDOUT;
    left = sock->deadline_ms - now_ms;
    return left < INT_MAX ? (int)left : INT_MAX; /* for poll(); the caller polls again */
}

int netstrat_call_go_on(struct netstrat_socket *sock)
{
    int left;

    if (sock->timeout_ms <= 0)
        return sock->datagram_budget > 0 ? (sock->datagram_budget--, 0) : -ETIMEDOUT;
    left = socket_time_left(sock);
    return left < 0 ? left : 0;
}

int netstrat_call_resume(struct netstrat_socket *sock)
{
    if (sock->interrupted && sock->interrupted(sock->interrupted_context))
        return -EINTR;
    return netstrat_call_go_on(sock);
}

int netstrat_socket_wait(struct netstrat_socket *sock)
{
    struct pollfd wait;
    int left = socket_time_left(sock);
    int ready;

    if (left < 0)
        return left;
    /* A signal that arrives just before poll() does not interrupt it, so the callback is called
     * regularly. */
    if (sock->interrupted && left > SOCKET_HOOK_MS)
        left = SOCKET_HOOK_MS;
    wait.fd = sock->fd;
    wait.events = POLLIN;
    wait.revents = 0;
    ready = poll(&wait, 1, left);
    if (ready > 0)
        return 0;
    return ready == 0 || errno == EINTR ? netstrat_call_resume(sock) : -errno;
}

/* ---- datagrams ---- */

/* Receives like recvfrom(), and sets datagram_nsid. The kernel sends the nsid as ancillary data,
 * which needs recvmsg(); that is slower. */
static ssize_t socket_receive_of_all(struct netstrat_socket *sock, struct sockaddr_nl *sender,
                                     socklen_t *sender_size)
{
    union {
        struct cmsghdr first; /* for its alignment */
        unsigned char bytes[CMSG_SPACE(sizeof(int32_t))];
    } ancillary;
    const struct cmsghdr *control;
    struct msghdr message;
    struct iovec part;
    ssize_t length;

    part.iov_base = sock->buffer;
    part.iov_len = sock->buffer_size;
    memset(&message, 0, sizeof message);
    message.msg_name = sender;
    message.msg_namelen = *sender_size;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &ancillary;
    message.msg_controllen = sizeof ancillary;
    length = recvmsg(sock->fd, &message, MSG_DONTWAIT | MSG_TRUNC);
    sock->datagram_nsid = -1;
    if (length < 0)
        return length;
    *sender_size = message.msg_namelen;
    control = CMSG_FIRSTHDR(&message);
    if (control && control->cmsg_level == SOL_NETLINK &&
        control->cmsg_type == NETSTRAT_NETLINK_LISTEN_ALL_NSID &&
        control->cmsg_len == CMSG_LEN(sizeof sock->datagram_nsid))
        memcpy(&sock->datagram_nsid, CMSG_DATA(control), sizeof sock->datagram_nsid);
    return length;
}

int netstrat_socket_take(struct netstrat_socket *sock, struct netstrat_cursor *datagram)
{
    for (;;) {
        struct sockaddr_nl sender;
        socklen_t sender_size = sizeof sender;
        ssize_t length;
        int code;

        memset(&sender, 0, sizeof sender);
        if (sock->all_namespaces)
            length = socket_receive_of_all(sock, &sender, &sender_size);
        else
            length = recvfrom(sock->fd, sock->buffer, sock->buffer_size, MSG_DONTWAIT | MSG_TRUNC,
                              (struct sockaddr *)&sender, &sender_size);
        if (length > 0 && sender_size == sizeof sender && sender.nl_family == AF_NETLINK &&
            sender.nl_pid == 0) {
            size_t whole =
                (size_t)length; /* MSG_TRUNC: the size of the datagram, even if truncated */

            datagram->data = sock->buffer;
            datagram->at = 0;
            datagram->end = whole < sock->buffer_size ? whole : sock->buffer_size;
            datagram->missing = whole - datagram->end;
            sock->datagram_groups = sender.nl_groups;
            return 0;
        }
        if (length >= 0) /* another process's, or empty: they use up the call's time too */
            code = netstrat_call_go_on(sock);
        else
            code = errno == EINTR ? netstrat_call_resume(sock) : -errno;
        if (code == -ENOBUFS)
            sock->overrun = 1;
        else if (code == -EAGAIN)
            sock->overrun = 0;
        if (code < 0)
            return code;
    }
}

int netstrat_socket_receive(struct netstrat_socket *sock, struct netstrat_cursor *datagram,
                            struct netstrat_error *error)
{
    int code = netstrat_call_begin(sock, NETSTRAT_OP_RECVFROM, error);

    if (code < 0)
        return code;
    code = netstrat_call_end(sock, netstrat_socket_take(sock, datagram));
    return code < 0 ? netstrat_fail(error, code, NETSTRAT_OP_RECVFROM) : 0;
}

void netstrat_socket_notify(struct netstrat_socket *sock, const struct netstrat_message *message)
{
    if (sock->notified)
        sock->notified(message, sock->notified_context);
}

int netstrat_socket_process_pending(struct netstrat_socket *sock, struct netstrat_error *error)
{
    int code = netstrat_call_begin(sock, NETSTRAT_OP_RECVFROM, error);

    if (code < 0)
        return code;
    code = netstrat_call_end(sock, netstrat_socket_drain(sock));
    return code < 0 ? netstrat_fail(error, code, NETSTRAT_OP_RECVFROM) : 0;
}

/* This also finishes an abandoned dump. The kernel continues a dump whenever the socket is read,
 * and refuses a second dump until the first is complete. */
int netstrat_socket_drain(struct netstrat_socket *sock)
{
    for (;;) {
        struct netstrat_cursor datagram;
        struct netstrat_message message;
        int code = netstrat_socket_take(sock, &datagram);

        if (code == -EAGAIN) {
            sock->unfinished = 0;
            return 0;
        }
        if (code < 0 && code != -ENOBUFS)
            return code;
        if (code < 0) {
            netstrat_socket_notify(sock, NULL);
        } else {
            int more;

            while ((more = netstrat_message_next(&datagram, &message)) > 0)
                if (message.payload.missing == 0)
                    netstrat_socket_notify(sock, &message);
            if (more < 0 || datagram.missing > 0) /* malformed or truncated */
                netstrat_socket_notify(sock, NULL);
        }
        code = netstrat_call_go_on(sock);
        if (code < 0)
            return code;
    }
}
