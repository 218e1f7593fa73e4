/* SPDX-License-Identifier: MIT */
/*
 * netstrat: bring network interfaces up and read their counters, at the price of the system calls.
 *
 * Conventions, for every function:
 *   - 0 or a positive count on success, -errno on failure; unless a comment says otherwise,
 *     outputs are written on success only.
 *   - `error` may be NULL; otherwise a failure fills it in. After a success it means nothing: a try that
 *     failed on the way there may have left its traces.
 *   - No malloc, no global state, no output, no abort: all memory is the caller's.
 *   - Reentrant. A socket or a reader serves one thread at a time; any number of them may be in use.
 *   - Strings are NUL-terminated bytes, as the kernel has them; no locale, no encoding.
 *
 * Message sequence numbers, the sender of each datagram and every length are checked before a reply
 * is believed: see message.c and socket.c.
 */
#ifndef NETSTRAT_H
#define NETSTRAT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* cffi: begin */

#define NETSTRAT_NAME_SIZE 16       /* an interface name with its NUL: IFNAMSIZ, linux/if.h */
#define NETSTRAT_ALT_NAME_SIZE 128  /* an alternative name with its NUL: ALTIFNAMSIZ, linux/if.h */
#define NETSTRAT_TEXT_SIZE 128      /* holds the kernel's longest extended ack (80 bytes, linux/netlink.h) */
#define NETSTRAT_COUNTERS 8         /* fields of struct netstrat_counters */
#define NETSTRAT_PENDING 1          /* the result of a message whose ack has not come */
#define NETSTRAT_TIMEOUT_MS 5000    /* a new socket's timeout */
#define NETSTRAT_BUFFER_SIZE 32768  /* a receive buffer that every dump fits (netlink_dump, af_netlink.c) */

/* What failed, beyond the returned code. */
struct netstrat_error {
    int code;              /* the -errno that was returned */
    uint32_t item;         /* which message of a batch, or which counter (both from 0) */
    const char *operation; /* the step: a system call, a message type, or "parse"; a constant */
    uint32_t text_length;  /* bytes of `text`, its final NUL not counted */
    char text[NETSTRAT_TEXT_SIZE]; /* the kernel's extended ack, or the text that is no counter */
};

/* An interface's counters as the host sees them, in the order of the files of sysfs below. */
struct netstrat_counters {
    uint64_t rx_bytes;
    uint64_t rx_packets;
    uint64_t rx_errors;
    uint64_t rx_dropped;
    uint64_t tx_bytes;
    uint64_t tx_packets;
    uint64_t tx_errors;
    uint64_t tx_dropped;
};

/* An interface, as a reply or a notification describes it. */
struct netstrat_link {
    int32_t index;                 /* never 0 */
    uint32_t flags;                /* IFF_UP and its like, linux/if.h */
    int32_t gone;                  /* 1: a notification that it was deleted or left the namespace */
    char name[NETSTRAT_NAME_SIZE];
};

/* ---- message.c: requests and replies, in the caller's buffers; no system calls ---- */

/*
 * Is this the name of an interface? 0: yes (1 to 15 bytes). 1: too long for one, but possibly an
 * alternative name (16 to 127 bytes), which sysfs does not know. -EINVAL: neither: empty, "." or
 * "..", longer, or with a '/', a ':' or white space (dev_valid_name, net/core/dev.c). A name that
 * passes can stand in a path.
 */
int netstrat_check_name(const char *name);

/* Requests under construction. Encoders append to it; each fails with -EMSGSIZE where its message
 * does not fit, and leaves the batch as it was. */
struct netstrat_batch {
    unsigned char *data;
    size_t size;    /* room in `data`, bytes */
    size_t used;    /* bytes written */
    uint32_t count; /* messages written */
};

void netstrat_batch_init(struct netstrat_batch *batch, void *buffer, size_t size);

/* Sets the flags of the mask `change` to those in `flags`, for the link `name` (RTM_NEWLINK).
 * -EINVAL where netstrat_check_name refuses the name. */
int netstrat_put_link_flags(struct netstrat_batch *batch, const char *name, uint32_t flags,
                            uint32_t change);

/* Asks for one link by its name (RTM_GETLINK); the answer has its counters too. */
int netstrat_put_get_link(struct netstrat_batch *batch, const char *name);

/* Asks for the counters of one link by its index (RTM_GETSTATS, Linux 4.7). */
int netstrat_put_get_stats(struct netstrat_batch *batch, int32_t index);

/* Ask for every link, and for the counters of every link. */
int netstrat_put_dump_links(struct netstrat_batch *batch, int with_counters);
int netstrat_put_dump_stats(struct netstrat_batch *batch);

/* A message within a datagram. */
struct netstrat_message {
    uint16_t type;
    uint16_t flags;
    uint32_t sequence;
    uint32_t port; /* nlmsg_pid: the socket whose request this answers, or that caused this */
    const unsigned char *payload;
    size_t length; /* of the payload, bytes */
};

/* The message at *offset of a datagram; moves *offset behind it. 1: there it is; 0: the end;
 * -EBADMSG: its length does not fit the datagram. */
int netstrat_next_message(const void *data, size_t size, size_t *offset,
                          struct netstrat_message *message);

/* Reads NLMSG_ERROR or NLMSG_DONE: *code is 0 or the kernel's -errno. `error` takes the kernel's
 * words if there are any (text_length is 0 otherwise); its other fields stay as they are.
 * -EBADMSG: malformed. */
int netstrat_decode_ack(const struct netstrat_message *message, int *code,
                        struct netstrat_error *error);

/* Reads RTM_NEWLINK or RTM_DELLINK; `counters` may be NULL. -EBADMSG: malformed or without a name;
 * -ENODATA: `counters` asked for and not there. */
int netstrat_decode_link(const struct netstrat_message *message, struct netstrat_link *link,
                         struct netstrat_counters *counters);

/* Reads RTM_NEWSTATS. -EBADMSG: malformed; -ENODATA: without the counters. */
int netstrat_decode_stats(const struct netstrat_message *message, int32_t *index,
                          struct netstrat_counters *counters);

/* ---- socket.c: one rtnetlink socket ---- */

struct netstrat_socket {
    int fd;            /* -1: closed */
    int timeout_ms;    /* for the whole of one call; may be changed between calls */
    uint32_t sequence; /* of the newest request */
    uint32_t port;     /* the socket's own port id; 0: not known, and not needed */
    int by_name_only;  /* 1: RTM_GETSTATS or notifications are refused here; see netstrat_get_stats */
    unsigned char *buffer; /* where datagrams are received */
    size_t buffer_size;
    struct netstrat_link *changes; /* NULL: not watching; see netstrat_watch_links */
    uint32_t changes_room;
    uint32_t changes_count;        /* more than changes_room: some were lost */
    /* Called when a signal interrupts a wait, and every 100 ms of one (a signal that comes just before
     * it interrupts nothing), if not NULL; non-zero ends the call with -EINTR. */
    int (*interrupted)(void *context);
    void *context;
};

/*
 * Opens a socket in the namespace of the calling thread; it stays there when the thread moves.
 * `buffer` must live as long as the socket: 4 KiB will do for netstrat_link_* and netstrat_transact
 * (but for a link with twenty alternative names), NETSTRAT_BUFFER_SIZE for everything. A child process must not use its parent's sockets: the two
 * would take each other's replies.
 */
int netstrat_open(struct netstrat_socket *sock, void *buffer, size_t size,
                  struct netstrat_error *error);

/* Closes it; one that is closed already stays so. */
void netstrat_close(struct netstrat_socket *sock);

/*
 * Sends the whole batch at once and waits for the ack of each message. results[i], one for each
 * message and written in every case, becomes 0, -errno, or NETSTRAT_PENDING where no ack came.
 * The kernel carries out the messages in order and goes on after one that fails: a batch is no
 * transaction. Returns 0 if all succeeded; the -errno of the first message that failed, with
 * error->item its number; or what broke the exchange itself, -ETIMEDOUT for one.
 */
int netstrat_transact(struct netstrat_socket *sock, struct netstrat_batch *batch, int *results,
                      struct netstrat_error *error);

/* Sends a batch of one and waits for its answer, which stays in sock->buffer until the next call.
 * Where replies were lost (ENOBUFS) it asks again. -EMSGSIZE: the answer is larger than the buffer. */
int netstrat_query(struct netstrat_socket *sock, struct netstrat_batch *batch,
                   struct netstrat_message *answer, struct netstrat_error *error);

/*
 * Sends a batch of one, a dump request, and hands every message of the reply to `each`, which may
 * end the dump with an -errno. Each try begins with `each(NULL, context)`: forget what came before,
 * since a dump is repeated where the kernel marks it as inconsistent (NLM_F_DUMP_INTR) or replies
 * were lost. -EAGAIN after 16 tries.
 */
int netstrat_dump(struct netstrat_socket *sock, struct netstrat_batch *batch,
                  int (*each)(const struct netstrat_message *message, void *context),
                  void *context, struct netstrat_error *error);

/*
 * From now on, interfaces that appear, change or go are noted in `changes`, in the order of the
 * kernel, whenever a call on this socket comes upon such a notification (RTNLGRP_LINK). Since
 * replies and notifications share one queue, a reply is as new as all that was noted before it.
 * The caller reads sock->changes and sets sock->changes_count to 0. A count above `room` says that
 * some were lost: then nothing that was known of the interfaces may be relied on.
 */
int netstrat_watch_links(struct netstrat_socket *sock, struct netstrat_link *changes, uint32_t room,
                         struct netstrat_error *error);

/* ---- link.c: the operations; built on the two above ---- */

/*
 * Sets a link's flags by its name, in one message. Where the kernel refuses for want of CAP_NET_ADMIN
 * (-EPERM), the link's state is looked up: it is a success if the flags are so already.
 * -EINVAL with the operation "name": netstrat_check_name refuses the name. -ENODEV: no such link.
 */
int netstrat_link_set_up(struct netstrat_socket *sock, const char *name,
                         struct netstrat_error *error);
int netstrat_link_set_down(struct netstrat_socket *sock, const char *name,
                           struct netstrat_error *error);

/* 1 if the link is up (IFF_UP), 0 if it is down. */
int netstrat_link_is_up(struct netstrat_socket *sock, const char *name,
                        struct netstrat_error *error);

/* Opens a socket in the calling thread's namespace, sets the link up and closes the socket. */
int netstrat_link_set_up_once(const char *name, struct netstrat_error *error);

/* One link by its name or alternative name; `counters` may be NULL. Linux 3.0. */
int netstrat_get_link(struct netstrat_socket *sock, const char *name, struct netstrat_link *link,
                      struct netstrat_counters *counters, struct netstrat_error *error);

/*
 * The counters of the link `index`, by the cheapest exchange there is (RTM_GETSTATS, Linux 4.7).
 * Returns how many changes sock->changes holds that were noted up to the reply: at 0, all that is
 * known of the link is true of these counters. Where RTM_GETSTATS is refused the answer is -EOPNOTSUPP, sock->by_name_only is set, and
 * netstrat_get_link is the way. -ENODEV: no such link.
 */
int netstrat_get_stats(struct netstrat_socket *sock, int32_t index,
                       struct netstrat_counters *counters, struct netstrat_error *error);

/*
 * Every link of the namespace, and the counters of every link. Returns how many there are; where
 * that is more than `room`, only the first `room` are written, and the caller asks again with more.
 * A dump that the kernel marks as inconsistent is repeated; -EAGAIN after several in a row.
 * The arrays are scratch while the call runs: after a failure their contents mean nothing.
 * netstrat_dump_stats falls back to RTM_GETLINK by itself.
 */
int netstrat_dump_links(struct netstrat_socket *sock, struct netstrat_link *links, size_t room,
                        struct netstrat_error *error);
int netstrat_dump_stats(struct netstrat_socket *sock, int32_t *indexes,
                        struct netstrat_counters *counters, size_t room,
                        struct netstrat_error *error);

/* ---- netns.c: sockets in other network namespaces; the only file that needs pthread ---- */

/*
 * netstrat_open in the network namespace that `netns` stands for: an open descriptor of a namespace
 * or (Linux 5.8) a pidfd, or the path of a namespace. The caller's threads stay where they are: a
 * short-lived thread that takes no signals enters the namespace. Needs CAP_SYS_ADMIN over it.
 */
int netstrat_open_netns_fd(struct netstrat_socket *sock, void *buffer, size_t size, int netns,
                           struct netstrat_error *error);
int netstrat_open_netns_path(struct netstrat_socket *sock, void *buffer, size_t size,
                             const char *netns, struct netstrat_error *error);

/* ---- sysfs.c: counters from files; needs none of the files above but message.c's name check ---- */

/*
 * A counter's text: decimal digits, white space around them allowed. -EBADMSG: it is anything else;
 * -ERANGE: more than 64 bits.
 */
int netstrat_parse_counter(const char *text, size_t length, uint64_t *value);

/* The file name of the counter `item`, an index into struct netstrat_counters; NULL above 7. */
const char *netstrat_counter_name(uint32_t item);

/*
 * ROOT/NAME/statistics/FILE, one counter or all eight. ROOT is /sys/class/net, or any tree like it;
 * note that sysfs shows the namespace in which it was mounted, not the caller's.
 * -EINVAL with the operation "name" or "file": the name of the interface or of the counter is no
 * name. -ENODEV: no such interface, or it vanished. -ENOENT: no such root, or (operation "openat")
 * no such counter. -EBADMSG or -ERANGE with the operation "parse": the text, in error->text, is no
 * counter.
 */
int netstrat_sysfs_read_counter(const char *root, const char *name, const char *file,
                                uint64_t *value, struct netstrat_error *error);
int netstrat_sysfs_read(const char *root, const char *name, struct netstrat_counters *counters,
                        struct netstrat_error *error);

/* The eight files held open: it follows the interface when that is renamed, and is -ENODEV once it
 * is gone. Reading takes no kernel lock that other network operations hold for long. */
struct netstrat_reader {
    int fds[NETSTRAT_COUNTERS]; /* -1: closed */
};

int netstrat_reader_open(struct netstrat_reader *reader, const char *root, const char *name,
                         struct netstrat_error *error);
int netstrat_reader_read(const struct netstrat_reader *reader, struct netstrat_counters *counters,
                         struct netstrat_error *error);
void netstrat_reader_close(struct netstrat_reader *reader);

/* cffi: end */

#ifdef __cplusplus
}
#endif

#endif
