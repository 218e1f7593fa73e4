/* SPDX-License-Identifier: MIT */
/*
 * netstrat: brings network interfaces up, changes them and reads their counters, at the price of
 * the system calls.
 *
 *     struct netstrat_error error;
 *     char text[512];
 *
 *     if (netstrat_link_set_up_once("lo", &error) < 0) {
 *         netstrat_error_describe(&error, "lo", text, sizeof text);
 *         fprintf(stderr, "%s\n", text);
 *     }
 *
 * Conventions, for every function:
 *   - 0 or a count on success, -errno on failure. Outputs are written on success only, but for a
 *     socket or a reader: one that failed to open is closed, and may be closed again.
 *   - `error` may be NULL; otherwise a failure fills it in. After success its contents are
 *     unspecified.
 *   - No malloc, no global state, no printing, no abort: all memory is the caller's.
 *   - Reentrant. A socket or a reader serves one thread at a time; any number of them may be in
 *     use.
 *   - Strings are NUL-terminated bytes, as the kernel has them: no locale, no encoding.
 *
 * The sender of each datagram, the sequence number of each message and every length are checked
 * before a reply is believed: see socket.c, exchange.c and message.c.
 */
#ifndef NETSTRAT_H
#define NETSTRAT_H

#include <stddef.h>
#include <stdint.h>

#define NETSTRAT_VERSION "0.2.0.dev0"
#define NETSTRAT_VERSION_NUMBER 200 /* major * 10000 + minor * 100 + patch */

/* Initial values of a struct netstrat_socket and a struct netstrat_sysfs_reader that are not open
 * yet, so that they may be closed in any case. All bytes are zero: memset() does the same. */
/* clang-format off */
#ifdef __cplusplus
#define NETSTRAT_SOCKET_INIT {}
#define NETSTRAT_SYSFS_READER_INIT {}
#else
#define NETSTRAT_SOCKET_INIT {0}
#define NETSTRAT_SYSFS_READER_INIT {0}
#endif
/* clang-format on */

/* Before each function. Define it to export the functions (with -fvisibility=hidden), or, in a
 * program of one unit that includes netstrat.c, as `static __attribute__((unused))`. */
#ifndef NETSTRAT_API
#define NETSTRAT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* cffi: begin */

#define NETSTRAT_NAME_SIZE 16      /* a link's name with its NUL: IFNAMSIZ, linux/if.h */
#define NETSTRAT_ALT_NAME_SIZE 128 /* an alternative name with its NUL: ALTIFNAMSIZ, linux/if.h */
#define NETSTRAT_KIND_SIZE 64      /* a link's kind with its NUL: MODULE_NAME_LEN is 56 or 60 */
#define NETSTRAT_ALIAS_SIZE 256    /* a link's alias with its NUL: IFALIASZ, linux/if.h */
#define NETSTRAT_MAC_SIZE 32       /* the longest hardware address (MAX_ADDR_LEN) */
#define NETSTRAT_PREFIX_SIZE 52    /* the longest address with its prefix length and NUL */
#define NETSTRAT_TEXT_SIZE 128     /* holds the kernel's longest extended ack (80 bytes) */
#define NETSTRAT_COUNTERS 8        /* fields of struct netstrat_counters */
#define NETSTRAT_PENDING 1         /* the result of a message whose ack did not come */
#define NETSTRAT_TIMEOUT_MS 5000   /* a new socket's timeout */
#define NETSTRAT_BUFFER_SIZE 32768 /* holds a datagram of a dump, but for links with many names */

/* ---- errors: error.c ---- */

/* What failed. */
enum netstrat_step {
    NETSTRAT_OP_NONE,
    NETSTRAT_OP_NAME,      /* the name is not valid at all; nothing was sent */
    NETSTRAT_OP_LINK_NAME, /* the name is not that of a link, which sysfs needs; nothing opened */
    NETSTRAT_OP_FILE,      /* the name of a counter, in `text`, is not valid; nothing opened */
    NETSTRAT_OP_PARSE,     /* a counter's file does not hold a counter but `text` */
    NETSTRAT_OP_BATCH,     /* a batch is malformed or has no room: nothing was sent */
    NETSTRAT_OP_REQUEST,   /* the kernel's answer to a message, whose type is in `request` */
    NETSTRAT_OP_SOCKET,    /* from here on, a system call or a function of libc */
    NETSTRAT_OP_SETSOCKOPT,
    NETSTRAT_OP_GETSOCKOPT,
    NETSTRAT_OP_GETSOCKNAME,
    NETSTRAT_OP_BIND,
    NETSTRAT_OP_SEND,
    NETSTRAT_OP_RECVFROM,
    NETSTRAT_OP_POLL,
    NETSTRAT_OP_OPEN,
    NETSTRAT_OP_OPENAT,
    NETSTRAT_OP_READ,
    NETSTRAT_OP_PREAD,
    NETSTRAT_OP_STAT,
    NETSTRAT_OP_FSTAT,
    NETSTRAT_OP_FSOPEN,
    NETSTRAT_OP_FSCONFIG,
    NETSTRAT_OP_FSMOUNT,
    NETSTRAT_OP_OPEN_NETNS, /* open(), of the path of a network namespace */
    NETSTRAT_OP_SETNS,
    NETSTRAT_OP_PTHREAD_SIGMASK,
    NETSTRAT_OP_PTHREAD_CREATE,
    NETSTRAT_OP_UNSHARE,
    NETSTRAT_OP_MKDIR,
    NETSTRAT_OP_MOUNT,
    NETSTRAT_OP_UMOUNT,
    NETSTRAT_OP_UNLINK,
    NETSTRAT_STEPS /* how many there are */
};

struct netstrat_error {
    int code;             /* the -errno that was returned */
    uint32_t step;        /* enum netstrat_step */
    uint32_t request;     /* of NETSTRAT_OP_REQUEST: the type of the message (RTM_NEWLINK) */
    uint32_t item;        /* which message of a batch, or which counter (both from 0) */
    uint32_t text_length; /* bytes of `text`, its final NUL not counted */
    /* The kernel's extended ack, or the first bytes of what is not a counter or its name. */
    char text[NETSTRAT_TEXT_SIZE];
};

/* What a failure means to a caller: how Python chooses the class of its exception. */
enum netstrat_kind {
    NETSTRAT_KIND_OTHER,
    NETSTRAT_KIND_LINK_NOT_FOUND,    /* there is no such link, or it vanished */
    NETSTRAT_KIND_COUNTER_NOT_FOUND, /* the link is there, but has no counter of that name */
    NETSTRAT_KIND_PERMISSION,        /* a capability or a permission is missing */
    NETSTRAT_KIND_UNAVAILABLE,       /* AF_NETLINK is refused */
    NETSTRAT_KIND_INVALID_NAME,      /* no interface can have that name */
    NETSTRAT_KIND_INVALID_COUNTER,   /* no counter can have that name */
    NETSTRAT_KIND_PARSE              /* the file does not hold a counter */
};

/* A row of the table of failures. */
struct netstrat_failure {
    uint8_t step;     /* enum netstrat_step */
    uint8_t request;  /* the type of the message; 0: any */
    uint8_t code;     /* errno, positive; 0: any */
    uint8_t kind;     /* enum netstrat_kind */
    const char *hint; /* the remedy or the usual cause; "": nothing is known */
};

/*
 * Finds the row for a failure: `step`, `request` and `code` are those of a struct netstrat_error,
 * so `code` is negative, although the `code` of a row is positive. Returns 1 if the table has one,
 * 0 if not (`failure` then holds NETSTRAT_KIND_OTHER and an empty hint).
 */
NETSTRAT_API int netstrat_failure_find(uint32_t step, uint32_t request, int code,
                                       struct netstrat_failure *failure);

/* Row `number` (from 0) of the table: 1, or 0 after the last one. */
NETSTRAT_API int netstrat_failure_get(uint32_t number, struct netstrat_failure *failure);

/* The name of a step ("sendto" is "send", as the code has it), NULL for NETSTRAT_OP_REQUEST
 * and for numbers that are not a step; and of a message's type ("RTM_NEWLINK"), NULL for one
 * without a name here. */
NETSTRAT_API const char *netstrat_step_name(uint32_t step);
NETSTRAT_API const char *netstrat_request_name(uint32_t request);

/*
 * Writes the sentence for a failure: the interface `name` (NULL or "": none), the step, the cause,
 * the kernel's words and the hint, which are the ones that the Python package gives too. At most
 * `size` bytes, NUL included. Returns the length of the whole sentence, so that a value of `size`
 * or more says that it was cut short. Uses strerror().
 */
NETSTRAT_API size_t netstrat_error_describe(const struct netstrat_error *error, const char *name,
                                            char *text, size_t size);

/* ---- names: name.c ---- */

/*
 * Classifies the name of an interface. Returns 0 if a link can have it: 1 to 15 bytes, not "." or
 * "..", without '/', ':', white space and the byte 0xa0 (dev_valid_name, net/core/dev.c). Returns 1
 * if it is valid only as an alternative name: any 1 to 127 bytes. Returns -EINVAL otherwise.
 *
 * Only a name for which it returns 0 may become part of a path: an alternative name can be
 * "../../etc". sysfs does not show alternative names.
 */
NETSTRAT_API int netstrat_name_check(const char *name);

/* ---- one counter's text to a number: counter_text.c ---- */

/*
 * A counter's text: decimal digits, white space around them allowed. -EBADMSG: it is anything else;
 * -ERANGE: more than 64 bits.
 */
NETSTRAT_API int netstrat_parse_counter(const char *text, size_t length, uint64_t *value);

/* ---- messages under construction: batch.c ---- */

/*
 * Requests in the caller's buffer, one behind the other, to be sent by netstrat_execute. A message
 * is begun, filled and finished:
 *
 *     netstrat_batch_begin(&batch, RTM_NEWLINK,
 *                          NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
 *     netstrat_batch_append(&batch, &info, sizeof info); // struct ifinfomsg
 *     netstrat_batch_put_string(&batch, IFLA_IFNAME, "veth0");
 *     nest = netstrat_batch_nest(&batch, IFLA_LINKINFO);
 *     netstrat_batch_put_string(&batch, IFLA_INFO_KIND, "veth");
 *     netstrat_batch_nest_end(&batch, nest);
 *     code = netstrat_batch_finish(&batch);
 *
 * Only netstrat_batch_finish has to be checked. After the first part of a message that does not
 * fit, or the first call of netstrat_batch_refuse, nothing more is written; finish then returns
 * that code and leaves the batch as it was before begin. Whatever the kernel knows can be said so:
 * examples/embed makes a veth pair by hand. Every netstrat_batch_ function that adds a whole
 * message returns what finish returned: 0, -EMSGSIZE, or -EINVAL for an argument that no message
 * can carry.
 */
struct netstrat_batch {
    unsigned char *data;
    size_t size;    /* room in `data`, bytes */
    size_t used;    /* bytes written, those of the message under construction included */
    size_t start;   /* where the message under construction begins */
    uint32_t count; /* messages finished */
    int code;       /* of the message under construction: 0, or the first failure */
};

NETSTRAT_API void netstrat_batch_init(struct netstrat_batch *batch, void *buffer, size_t size);

NETSTRAT_API void netstrat_batch_begin(struct netstrat_batch *batch, uint16_t type, uint16_t flags);
/* The fixed part of a message (struct ifinfomsg and its like), or the body of an attribute. */
NETSTRAT_API void netstrat_batch_append(struct netstrat_batch *batch, const void *data,
                                        size_t size);
NETSTRAT_API void netstrat_batch_put(struct netstrat_batch *batch, uint16_t type, const void *value,
                                     size_t size);
NETSTRAT_API void netstrat_batch_put_string(struct netstrat_batch *batch, uint16_t type,
                                            const char *value);
NETSTRAT_API void netstrat_batch_put_u8(struct netstrat_batch *batch, uint16_t type, uint8_t value);
NETSTRAT_API void netstrat_batch_put_u32(struct netstrat_batch *batch, uint16_t type,
                                         uint32_t value);
/* Opens an attribute that holds others; gives what netstrat_batch_nest_end takes. */
NETSTRAT_API size_t netstrat_batch_nest(struct netstrat_batch *batch, uint16_t type);
NETSTRAT_API void netstrat_batch_nest_end(struct netstrat_batch *batch, size_t nest);
/* Ends the message under construction with this failure, unless it has one already. */
NETSTRAT_API void netstrat_batch_refuse(struct netstrat_batch *batch, int code);
NETSTRAT_API int netstrat_batch_finish(struct netstrat_batch *batch);

/*
 * Is this what netstrat_execute can send? 0, or -EINVAL with *item the number of the first message
 * that is not: its length does not fit, it is not padded to four bytes, or it does not ask for an
 * ack (NLM_F_REQUEST and NLM_F_ACK). `count` has to be the number of messages.
 */
NETSTRAT_API int netstrat_batch_check(const struct netstrat_batch *batch, uint32_t *item);

/* ---- messages taken apart: message.c ---- */

/* What is left of a datagram, of a message or of an attribute: the bytes of `data` from `at` up to
 * `end`. Offsets rather than pointers: a length from elsewhere can be added to one and the sum
 * compared, where a pointer beyond its array would be undefined. */
struct netstrat_cursor {
    const unsigned char *data;
    size_t at;
    size_t end;
    size_t missing; /* bytes behind these that did not fit the buffer and were cut off */
};

struct netstrat_message {
    uint16_t type;
    uint16_t flags;
    uint32_t sequence;
    uint32_t port; /* nlmsg_pid: of the socket whose request this answers, or that caused this */
    struct netstrat_cursor payload; /* `missing` is not 0 where this message was cut off */
};

struct netstrat_attribute {
    uint16_t type;
    struct netstrat_cursor value;
};

/*
 * The next message of a datagram, the next attribute of a payload; moves `rest` behind it. 1: there
 * it is; 0: the end; -EBADMSG: its length does not fit. At most one message of a datagram is cut
 * off: the last one that is there.
 */
NETSTRAT_API int netstrat_message_next(struct netstrat_cursor *rest,
                                       struct netstrat_message *message);
NETSTRAT_API int netstrat_attribute_next(struct netstrat_cursor *rest,
                                         struct netstrat_attribute *attribute);

/*
 * The fixed part of a message (struct ifinfomsg and its like), copied to `fixed`, and the
 * attributes after it. Returns 0, or -EBADMSG if the payload is shorter.
 */
NETSTRAT_API int netstrat_message_body(const struct netstrat_message *message, void *fixed,
                                       size_t size, struct netstrat_cursor *attributes);

/*
 * The value of an attribute: a number in the byte order of the machine; a text, which is copied
 * with its NUL to `to` of `size` bytes; any bytes. Each returns 0, or -EBADMSG if the value is
 * shorter than that, or if the text is empty, has no NUL or does not fit. An attribute that holds
 * others is read by netstrat_attribute_next on a copy of attribute->value.
 */
NETSTRAT_API int netstrat_attribute_u8(const struct netstrat_attribute *attribute, uint8_t *to);
NETSTRAT_API int netstrat_attribute_u16(const struct netstrat_attribute *attribute, uint16_t *to);
NETSTRAT_API int netstrat_attribute_u32(const struct netstrat_attribute *attribute, uint32_t *to);
NETSTRAT_API int netstrat_attribute_u64(const struct netstrat_attribute *attribute, uint64_t *to);
NETSTRAT_API int netstrat_attribute_string(const struct netstrat_attribute *attribute, char *to,
                                           size_t size);
NETSTRAT_API int netstrat_attribute_bytes(const struct netstrat_attribute *attribute, void *to,
                                          size_t size);

/*
 * Reads NLMSG_ERROR or NLMSG_DONE: *verdict is 0 or the kernel's -errno. `error` takes the kernel's
 * words, if there are any (text_length is 0 otherwise); its other fields stay as they are.
 * -EBADMSG: malformed. The verdict of an ack that was cut off is read as well.
 */
NETSTRAT_API int netstrat_ack_decode(const struct netstrat_message *message, int *verdict,
                                     struct netstrat_error *error);

/* ---- links: link.c ---- */

/* Which link this is: its index and its name. */
struct netstrat_link_name {
    int32_t index;
    char name[NETSTRAT_NAME_SIZE]; /* "": it was deleted, or left the namespace */
};

/* Flags of a link: those of linux/if.h, which -std=c11 hides in glibc's net/if.h. */
#define NETSTRAT_IFF_UP 0x1
#define NETSTRAT_IFF_BROADCAST 0x2
#define NETSTRAT_IFF_LOOPBACK 0x8
#define NETSTRAT_IFF_POINTOPOINT 0x10
#define NETSTRAT_IFF_RUNNING 0x40
#define NETSTRAT_IFF_NOARP 0x80
#define NETSTRAT_IFF_PROMISC 0x100
#define NETSTRAT_IFF_ALLMULTI 0x200
#define NETSTRAT_IFF_MULTICAST 0x1000
#define NETSTRAT_IFF_LOWER_UP 0x10000

/* A link as RTM_NEWLINK describes it. */
struct netstrat_link {
    int32_t index;
    uint32_t flags;      /* NETSTRAT_IFF_UP and its like */
    uint32_t mtu;        /* bytes */
    uint32_t txqueuelen; /* packets */
    uint32_t group;
    int32_t master;    /* the index of the bridge or its like that this is a port of; 0: none */
    int32_t peer;      /* IFLA_LINK: the index of a veth's other end, a macvlan's parent; 0: none */
    int32_t peer_nsid; /* IFLA_LINK_NETNSID: what this namespace calls the peer's; -1: none */
    int32_t nsid;      /* of an answer about another namespace: its id; -1: it is about this one */
    /* Settings of a bridge port: 0 or 1; -1 if the link is not one, or if the kernel is older. */
    int32_t hairpin;
    int32_t isolated;    /* Linux 4.18 */
    int32_t learning;    /* Linux 3.11 */
    int32_t port_state;  /* BR_STATE_ of linux/if_bridge.h; -1 if the link is not a bridge port */
    uint32_t mac_length; /* bytes of `mac` */
    unsigned char mac[NETSTRAT_MAC_SIZE];
    uint32_t permanent_mac_length; /* 0: a virtual device, or Linux before 5.6 */
    unsigned char permanent_mac[NETSTRAT_MAC_SIZE];
    /* Of a bridge: its priority, and the MAC that it was given or has of a port; zeros in place of
     * that: neither (Linux 4.4). */
    unsigned char bridge_id[8];
    char name[NETSTRAT_NAME_SIZE];
    char kind[NETSTRAT_KIND_SIZE];   /* "veth", "bridge" ...; "": a physical device, or lo */
    char alias[NETSTRAT_ALIAS_SIZE]; /* "": none */
    struct netstrat_cursor altnames; /* within the message: see netstrat_altname_next */
    /* The device behind a physical link ("pci", "0000:00:1f.6"), as text within the message; empty
     * for a virtual link, or before Linux 5.14. */
    struct netstrat_cursor parent_bus, parent_device;
};

/* Sets the flags of the mask `change` to those in `flags`, for the link `name` (RTM_NEWLINK). */
NETSTRAT_API int netstrat_batch_set_link_flags(struct netstrat_batch *batch, const char *name,
                                               uint32_t flags, uint32_t change);

/* Asks for one link by its name or alternative name, or by its index (RTM_GETLINK); the answer has
 * its counters too. */
NETSTRAT_API int netstrat_batch_get_link(struct netstrat_batch *batch, const char *name);
NETSTRAT_API int netstrat_batch_get_link_index(struct netstrat_batch *batch, int32_t index);

/* Asks for every link; with their counters, if `counters` is not 0. */
NETSTRAT_API int netstrat_batch_dump_links(struct netstrat_batch *batch, int counters);

/* One link, and every link, of the namespace that the socket's knows as `nsid`, which is neither
 * entered nor kept alive by that (IFLA_TARGET_NETNSID, Linux 4.15); with their counters. Older
 * kernels ignore the id: see link->nsid. Needs CAP_NET_ADMIN there. */
NETSTRAT_API int netstrat_batch_get_link_at(struct netstrat_batch *batch, int32_t nsid,
                                            int32_t index);
NETSTRAT_API int netstrat_batch_dump_links_at(struct netstrat_batch *batch, int32_t nsid);

/* What to make of a link, or to set in one; fields whose bit is not in `set` are left alone. */
enum {
    NETSTRAT_LINK_NAME = 1 << 0,  /* the name of a new link, or a new name */
    NETSTRAT_LINK_INDEX = 1 << 1, /* the index of a new link, or in a new namespace */
    NETSTRAT_LINK_UP = 1 << 2,
    NETSTRAT_LINK_MTU = 1 << 3,
    NETSTRAT_LINK_TXQUEUELEN = 1 << 4,
    NETSTRAT_LINK_MAC = 1 << 5,
    NETSTRAT_LINK_MASTER = 1 << 6,
    NETSTRAT_LINK_NETNS = 1 << 7,
    NETSTRAT_LINK_ALIAS = 1 << 8,   /* not at creation */
    NETSTRAT_LINK_HAIRPIN = 1 << 9, /* of a port of a bridge, not at creation */
    NETSTRAT_LINK_GROUP = 1 << 10,
    NETSTRAT_LINK_QUEUES = 1 << 11 /* at creation alone */
};

struct netstrat_link_settings {
    uint32_t set;
    int32_t index;
    uint32_t up; /* 0: down */
    uint32_t mtu;
    uint32_t txqueuelen;
    uint32_t mac_length;
    unsigned char mac[NETSTRAT_MAC_SIZE];
    int32_t master; /* an index; 0: none */
    int32_t netns;  /* a descriptor of a namespace; the kernel refuses a pidfd (-EINVAL) */
    uint32_t hairpin;
    uint32_t group;
    uint32_t queues;                 /* as many to transmit, and as many to receive */
    char name[NETSTRAT_NAME_SIZE];   /* with one %d in it: the kernel's choice of number */
    char alias[NETSTRAT_ALIAS_SIZE]; /* "": none */
};

/*
 * Make a link: of a kind that takes no more than that ("bridge", "ifb" ...); a macvlan on the link
 * `parent`, `mode` as MACVLAN_MODE_ of linux/if_link.h; and a veth pair, both ends at once, in
 * which `own` may be enslaved and up and `peer` may be in another namespace. -EINVAL for what the
 * kernel does not do for the peer (up, master) or only together with the same of `own` (index).
 * EEXIST where a name is taken.
 */
NETSTRAT_API int netstrat_batch_add_link(struct netstrat_batch *batch, const char *kind,
                                         const struct netstrat_link_settings *settings);
NETSTRAT_API int netstrat_batch_add_macvlan(struct netstrat_batch *batch, int32_t parent,
                                            uint32_t mode,
                                            const struct netstrat_link_settings *settings);
NETSTRAT_API int netstrat_batch_add_veth(struct netstrat_batch *batch,
                                         const struct netstrat_link_settings *own,
                                         const struct netstrat_link_settings *peer);

/*
 * Change a link, delete it. It goes by its `index`, or where that is 0 by its `name`; a new name, a
 * group and what comes with them need the index (-EINVAL). The kernel carries a change out part by
 * part, in this order: hairpin (so that the link has to be a port already), namespace and index,
 * MAC, MTU, group, name, alias, up, master, queue length; it stops at the first part that fails and
 * keeps what it did.
 */
NETSTRAT_API int netstrat_batch_set_link(struct netstrat_batch *batch, int32_t index,
                                         const char *name,
                                         const struct netstrat_link_settings *settings);
NETSTRAT_API int netstrat_batch_delete_link(struct netstrat_batch *batch, int32_t index,
                                            const char *name);

/* Deletes every link of a group, or none of them where one can't be deleted. */
NETSTRAT_API int netstrat_batch_delete_link_group(struct netstrat_batch *batch, uint32_t group);

/* Read RTM_NEWLINK: the whole of it (of a bridge's own family what that says of a port: without
 * kind, alias and the like); its index and name, as RTM_DELLINK has them too (a link
 * that is gone has an empty name); and what stands at its very beginning, which serves for a
 * message that was cut off. -EBADMSG: malformed, cut off, or another type of message. */
NETSTRAT_API int netstrat_link_decode(const struct netstrat_message *message,
                                      struct netstrat_link *link);
NETSTRAT_API int netstrat_link_name_decode(const struct netstrat_message *message,
                                           struct netstrat_link_name *name);
NETSTRAT_API int netstrat_link_flags_decode(const struct netstrat_message *message, int32_t *index,
                                            uint32_t *flags);

/* The next alternative name of a link: 1 and its bytes in `name` (NUL-terminated); 0: the end. */
NETSTRAT_API int netstrat_altname_next(struct netstrat_cursor *altnames,
                                       char name[NETSTRAT_ALT_NAME_SIZE]);

/* A link of a container, as far as it matters whose counters are which. */
struct netstrat_netns_link {
    int32_t index;
    int32_t peer; /* the index of a veth's peer if that is in the socket's namespace, else 0 */
    int32_t peer_index; /* the index of a veth's peer if that is in another namespace, else 0 */
    int32_t peer_nsid;  /* the id that the socket's namespace has for that one, or -1 */
    int32_t master;     /* the index of the bridge or the like that the link is a port of, or 0 */
    int32_t is_bridge;  /* 1 if the link is a bridge, else 0 */
    char name[NETSTRAT_NAME_SIZE];
};

/* Reads RTM_NEWLINK of the namespace `nsid` as such: 1; 0: it is a loopback. -EBADMSG: malformed,
 * or about another namespace. See netstrat_netns_links_dump for `self_nsid`. */
NETSTRAT_API int netstrat_netns_link_decode(const struct netstrat_message *message, int32_t nsid,
                                            int32_t self_nsid, struct netstrat_netns_link *end);

/* ---- counters: counters.c ---- */

/* A link's counters as the host sees them, in the order of the files of sysfs below. */
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

/* Ask for the counters of one link by its index, and of every link (RTM_GETSTATS, Linux 4.7). */
NETSTRAT_API int netstrat_batch_get_counters(struct netstrat_batch *batch, int32_t index);
NETSTRAT_API int netstrat_batch_dump_counters(struct netstrat_batch *batch);

/* Reads RTM_NEWSTATS, or the counters in RTM_NEWLINK, and whose they are. -EBADMSG: malformed or
 * another type; -ENODATA: without the counters. */
NETSTRAT_API int netstrat_counters_decode(const struct netstrat_message *message, int32_t *index,
                                          struct netstrat_counters *counters);

/* ---- addresses: address.c ---- */

/* An address with its prefix length: of a link, or of a route. */
struct netstrat_prefix {
    uint8_t family;          /* AF_INET or AF_INET6; 0: none */
    uint8_t length;          /* of the prefix, bits */
    unsigned char bytes[16]; /* network order; of IPv4 the first four */
};

/* Text to bytes and back: "192.0.2.1/24", "2001:db8::1/64". Without a slash the length is that
 * of the whole address. -EINVAL: anything else. The text is of NETSTRAT_PREFIX_SIZE bytes at
 * most, its NUL included; with `length` 0 it is written without the prefix length. */
NETSTRAT_API int netstrat_prefix_parse(const char *text, struct netstrat_prefix *prefix);
NETSTRAT_API void netstrat_prefix_format(const struct netstrat_prefix *prefix, int length,
                                         char text[NETSTRAT_PREFIX_SIZE]);

/* An address of a link. Zeros are valid for everything but `index` and `local`. */
struct netstrat_address {
    int32_t index;                    /* of the link */
    struct netstrat_prefix local;     /* the address itself */
    struct netstrat_prefix peer;      /* of a point-to-point link; family 0: none */
    struct netstrat_prefix broadcast; /* family 0: none */
    uint32_t flags;                   /* IFA_F_PERMANENT and its like, linux/if_addr.h */
    uint32_t metric;                  /* of the route to its subnet; 0: the default */
    /* Lifetimes in seconds; UINT32_MAX means for ever. `valid` 0 means for ever as well, and so
     * does `preferred` 0 if both are 0. */
    uint32_t valid, preferred;
    uint8_t scope;                  /* RT_SCOPE_ of linux/rtnetlink.h */
    uint8_t protocol;               /* IFAPROT_ of linux/if_addr.h, Linux 5.18; 0: none */
    char label[NETSTRAT_NAME_SIZE]; /* IPv4; "": none */
};

/* Add an address (with `replace`: also where it is there already, whose settings change then)
 * and delete one, which goes by index, address and length. */
NETSTRAT_API int netstrat_batch_add_address(struct netstrat_batch *batch,
                                            const struct netstrat_address *address, int replace);
NETSTRAT_API int netstrat_batch_delete_address(struct netstrat_batch *batch,
                                               const struct netstrat_address *address);

/* Asks for every address; of the link `index` alone, if that is not 0 and the socket has
 * netstrat_socket_set_strict. */
NETSTRAT_API int netstrat_batch_dump_addresses(struct netstrat_batch *batch, int32_t index);

/* Reads RTM_NEWADDR or RTM_DELADDR. -EBADMSG: malformed; -EAFNOSUPPORT: of another family. */
NETSTRAT_API int netstrat_address_decode(const struct netstrat_message *message,
                                         struct netstrat_address *address);

/* ---- routes: route.c ---- */

/* A route. Zeros are valid for everything, if there is a gateway. */
struct netstrat_route {
    /* Length 0 is the default route of its family; family 0 as well, of that of the gateway. */
    struct netstrat_prefix destination;
    struct netstrat_prefix gateway; /* family 0: none; or the other one (Linux 5.2) */
    struct netstrat_prefix source;  /* the preferred source address; family 0: none */
    uint32_t metric;                /* 0: the default (IPv4 0, IPv6 1024) */
    uint32_t table;                 /* 0: RT_TABLE_MAIN */
    int32_t index;                  /* of the link; 0: none (several next hops, or the gateway's) */
    uint8_t scope;                  /* RT_SCOPE_; 0 is RT_SCOPE_UNIVERSE */
    /* 0: RTN_UNICAST and RTPROT_BOOT; of a route to be deleted, any. */
    uint8_t type;     /* RTN_ */
    uint8_t protocol; /* RTPROT_ */
    uint32_t flags;   /* RTNH_F_ONLINK */
};

/* Add a route, which must not be there yet (destination, tos, metric and table), and delete one. */
NETSTRAT_API int netstrat_batch_add_route(struct netstrat_batch *batch,
                                          const struct netstrat_route *route);
NETSTRAT_API int netstrat_batch_delete_route(struct netstrat_batch *batch,
                                             const struct netstrat_route *route);
/* Asks for every route; only for those that use the link `index`, if that is not 0 and the socket
 * has netstrat_socket_set_strict (-ENODEV where the link does not exist). */
NETSTRAT_API int netstrat_batch_dump_routes(struct netstrat_batch *batch, int32_t index);

/* Reads RTM_NEWROUTE or RTM_DELROUTE; errors as for addresses. */
NETSTRAT_API int netstrat_route_decode(const struct netstrat_message *message,
                                       struct netstrat_route *route);

/* ---- ids of namespaces: nsid.c ---- */

/* Asks for the id by which the socket's namespace knows another, `netns` being a descriptor
 * (RTM_GETNSID, Linux 4.0); the answer holds it, -1 where there is none. */
NETSTRAT_API int netstrat_batch_get_nsid(struct netstrat_batch *batch, int netns);

/* Gives it one, of the kernel's choice (RTM_NEWNSID). -EEXIST: it has one. */
NETSTRAT_API int netstrat_batch_add_nsid(struct netstrat_batch *batch, int netns);

/* Reads RTM_NEWNSID or RTM_DELNSID. -EBADMSG: malformed or another type. */
NETSTRAT_API int netstrat_nsid_decode(const struct netstrat_message *message, int32_t *nsid);

/* ---- one rtnetlink socket: socket.c ---- */

struct netstrat_socket {
    int fd;         /* -1: closed */
    int is_open;    /* 1 after netstrat_socket_open, until netstrat_socket_close */
    int in_call;    /* 1 during a call: another one on this socket returns -EBUSY */
    int unfinished; /* 1 if a call ended before its last reply: the next one drains the queue */
    int overrun;    /* 1 after ENOBUFS, until the queue has been found empty */
    int timeout_ms; /* of one call; may be changed. 0 or less: take what is queued, don't wait */
    int64_t deadline_ms;      /* on CLOCK_MONOTONIC; 0: not set yet. See netstrat_socket_open */
    int shared_deadline;      /* 1: the deadline goes on from call to call */
    uint32_t datagram_budget; /* datagrams that a call may take beyond its time; set by each call */
    uint32_t sequence;        /* of the newest request */
    uint32_t port;            /* the socket's own port id; 0 if not known */
    uint64_t groups;          /* bit N - 1 is set if the socket has joined the multicast group N */
    unsigned char *buffer;    /* where datagrams are received; may be replaced between calls */
    size_t buffer_size;
    size_t required_size;     /* after -EMSGSIZE: the size of the buffer that the answer takes */
    int all_namespaces;       /* 1: see netstrat_socket_listen_all_nsid */
    int32_t datagram_nsid;    /* of the namespace that the newest datagram is about; -1: this one */
    uint32_t datagram_groups; /* a bit for the group that it was sent to, up to the 32nd; 0: it was
                               * sent to this socket alone */
    /* Called, if not NULL, when a signal interrupts a wait and every 100 ms of one (a signal that
     * arrives just before a wait does not interrupt it). A non-zero value ends the call with
     * -EINTR. */
    int (*interrupted)(void *context);
    void *interrupted_context;
    /* Called, if not NULL, with every message that is not a reply: notifications of the groups that
     * the socket has joined, and echoes (NLM_F_ECHO). NULL instead of a message: some were lost. */
    void (*notified)(const struct netstrat_message *message, void *context);
    void *notified_context;
};

/*
 * Opens a socket in the network namespace of the calling thread. The socket stays in that namespace
 * when the thread leaves it, and keeps the namespace alive. After a failure the socket is closed.
 *
 * `buffer` is where datagrams are received. It must live as long as the socket. 4 KiB hold the
 * replies to changes of links, NETSTRAT_BUFFER_SIZE those to everything else, unless a link has
 * many alternative names. Where a reply does not fit, the call fails with -EMSGSIZE, sock->required_size
 * is the size that would do, and a call with a larger buffer works. With less than 36 bytes (the
 * beginning of an ack) nothing is sent.
 *
 * A call ends at its deadline, timeout_ms after its first wait, with -ETIMEDOUT. With
 * shared_deadline set that is the deadline of all calls until the caller sets deadline_ms to 0
 * again. The deadline does not cover the time that the kernel spends waiting for the RTNL lock,
 * inside the send() of a change and each recvfrom() of a dump.
 *
 * A callback (`interrupted`, `notified`, or that of a dump) must not call the same socket: the
 * functions below return -EBUSY then. It may close the socket, which ends the call under way with
 * -EBADF.
 *
 * A child process must not use its parent's sockets: the two would take each other's replies.
 */
NETSTRAT_API int netstrat_socket_open(struct netstrat_socket *sock, void *buffer, size_t size,
                                      struct netstrat_error *error);

/* Closes the socket. Does nothing to one that is closed, was never opened (NETSTRAT_SOCKET_INIT)
 * or failed to open. A callback may close its socket: the call under way then ends with -EBADF. */
NETSTRAT_API void netstrat_socket_close(struct netstrat_socket *sock);

/*
 * Joins a multicast group (RTNLGRP_LINK and the others of linux/rtnetlink.h). From then on
 * `notified` is called with each notification that a call on this socket receives. Replies and
 * notifications share one queue, so a reply is as new as all the notifications before it.
 *
 * Use the socket for queries and dumps, and send changes on another one that has joined no group
 * (netstrat_socket_open_beside opens it). A change causes notifications, which compete with its ack
 * for the receive queue: deleting one group of links can fill it. See netstrat_execute.
 *
 * -EINVAL with NETSTRAT_OP_SETSOCKOPT if the group does not exist.
 */
NETSTRAT_API int netstrat_socket_join(struct netstrat_socket *sock, uint32_t group,
                                      struct netstrat_error *error);

/* From now on the socket also gets the notifications of every namespace that has an id here and
 * over which it has CAP_NET_BROADCAST, keeping none alive; sock->datagram_nsid says whose one is
 * while `notified` has it (NETLINK_LISTEN_ALL_NSID, Linux 4.2). */
NETSTRAT_API int netstrat_socket_listen_all_nsid(struct netstrat_socket *sock,
                                                 struct netstrat_error *error);

/* Calls `notified` with the notifications that are queued, without waiting for more. */
NETSTRAT_API int netstrat_socket_process_pending(struct netstrat_socket *sock,
                                                 struct netstrat_error *error);

/* Asks the kernel to filter dumps as their requests say (NETLINK_GET_STRICT_CHK, Linux 4.20).
 * Where it is refused, dumps give everything: the caller filters in any case. */
NETSTRAT_API int netstrat_socket_set_strict(struct netstrat_socket *sock,
                                            struct netstrat_error *error);

/* Has the receive queue hold this many bytes (SO_RCVBUFFORCE, which takes CAP_NET_ADMIN in the
 * first user namespace), or twice /proc/sys/net/core/rmem_max (SO_RCVBUF). A notification of a link
 * takes about 4,600 of them. */
NETSTRAT_API int netstrat_socket_set_receive_buffer(struct netstrat_socket *sock, uint32_t size,
                                                    struct netstrat_error *error);

/*
 * Takes one datagram of the kernel's from the queue without waiting. It lies in sock->buffer until
 * the next call, and datagram->missing is how many bytes of it were cut off. -EAGAIN if the queue
 * is empty. -ENOBUFS if notifications were lost. Further losses are then silent until the queue has
 * been found empty (-EAGAIN): only a dump that starts after that is complete.
 */
NETSTRAT_API int netstrat_socket_receive(struct netstrat_socket *sock,
                                         struct netstrat_cursor *datagram,
                                         struct netstrat_error *error);

/* ---- exchanges on a socket: exchange.c ---- */

/*
 * Sends the batch and reads the ack of each message. The kernel carries out the messages in order
 * and goes on after one that fails: a batch is not a transaction.
 *
 * results[i], one for each message, becomes 0, -errno, or NETSTRAT_PENDING where no ack was read.
 * They are written in every case but a failure with NETSTRAT_OP_BATCH, after which nothing has
 * been sent: -EINVAL if netstrat_batch_check refused the batch; -ENOBUFS if the message error->item
 * asks for an answer (NLM_F_ECHO, or a GET) that the receive queue could not hold beside its ack;
 * -EBUSY and -EMSGSIZE as described at netstrat_socket_open.
 *
 * The batch is sent in parts whose acks fit the receive queue (SO_RCVBUF), however small that is. A
 * socket that has joined multicast groups leaves them while the batch is executed, so that
 * notifications cannot displace acks, and joins them again afterwards. Notifications are missed
 * meanwhile: `notified` is then called with NULL. A second socket for changes avoids that.
 *
 * Returns 0 if all messages succeeded; the -errno of the first message that failed, with
 * error->item its number; or what broke the exchange itself: -ETIMEDOUT, for one.
 */
NETSTRAT_API int netstrat_execute(struct netstrat_socket *sock, struct netstrat_batch *batch,
                                  int *results, struct netstrat_error *error);

/*
 * Sends a batch of one query (a GET without NLM_F_DUMP) and waits for its answer, which stays in
 * sock->buffer until the next call. If replies were lost (ENOBUFS) the query is sent again.
 * -EMSGSIZE if the answer is larger than the buffer; if `whole` is 0 the part that fits is returned
 * instead (answer->payload.missing). -EINVAL with NETSTRAT_OP_BATCH, before anything is sent, if
 * the batch is anything else than one query.
 */
NETSTRAT_API int netstrat_query(struct netstrat_socket *sock, struct netstrat_batch *batch,
                                int whole, struct netstrat_message *answer,
                                struct netstrat_error *error);

/*
 * Sends a batch of one dump request (a GET with NLM_F_DUMP) and calls `each` with every message of
 * the reply. `each` may end the dump: a negative value is returned as it is, a positive one ends
 * the dump with success (0).
 *
 * A dump is repeated if the kernel marked it as inconsistent (NLM_F_DUMP_INTR) or replies were
 * lost. Each try begins with `each(NULL, context)`: forget the messages of the try before. -EAGAIN
 * after 16 tries. -EINVAL with NETSTRAT_OP_BATCH, before anything is sent, if the batch is
 * anything else than one dump request.
 *
 * After an overrun of the receive queue it is drained before the dump is sent, so that a dump on a
 * socket that has joined a group misses no change: what changes during the dump is notified, or
 * `notified` is called with NULL.
 */
NETSTRAT_API int netstrat_dump(struct netstrat_socket *sock, struct netstrat_batch *batch,
                               int (*each)(const struct netstrat_message *message, void *context),
                               void *context, struct netstrat_error *error);

/*
 * Makes a dump as netstrat_dump does and copies all messages of the reply into `buffer`, one after
 * the other, to be read with netstrat_message_next. Returns 0 and their size in *used. If that is
 * more than `size`, only the messages that fit are written: call it again with more room.
 */
NETSTRAT_API int netstrat_dump_copy(struct netstrat_socket *sock, struct netstrat_batch *batch,
                                    void *buffer, size_t size, size_t *used,
                                    struct netstrat_error *error);

/* Sends a batch of one request and does not wait: for callers who read every datagram themselves,
 * with netstrat_socket_receive. Its replies have the sequence number sock->sequence. -EINVAL with
 * NETSTRAT_OP_BATCH for a change on a socket that has joined a group. */
NETSTRAT_API int netstrat_send(struct netstrat_socket *sock, struct netstrat_batch *batch,
                               struct netstrat_error *error);

/* ---- whole operations: operations.c ---- */

/*
 * Set a link up or down by its name, in one message. Where the kernel refuses for want of
 * CAP_NET_ADMIN (-EPERM), the link's state is looked up: it is a success if it is so already.
 * -ENODEV: no such link.
 */
NETSTRAT_API int netstrat_link_set_up(struct netstrat_socket *sock, const char *name,
                                      struct netstrat_error *error);
NETSTRAT_API int netstrat_link_set_down(struct netstrat_socket *sock, const char *name,
                                        struct netstrat_error *error);

/* The same with a socket opened for the purpose, in the calling thread's namespace. */
NETSTRAT_API int netstrat_link_set_up_once(const char *name, struct netstrat_error *error);
NETSTRAT_API int netstrat_link_set_down_once(const char *name, struct netstrat_error *error);

/* 1 if the link is up (IFF_UP), 0 if it is down. */
NETSTRAT_API int netstrat_link_is_up(struct netstrat_socket *sock, const char *name,
                                     struct netstrat_error *error);

/* One link by its name or alternative name, or by its index; `counters` may be NULL. link->altnames
 * points into sock->buffer, which the next call overwrites. -ENODEV: no such link. */
NETSTRAT_API int netstrat_link_get(struct netstrat_socket *sock, const char *name,
                                   struct netstrat_link *link, struct netstrat_counters *counters,
                                   struct netstrat_error *error);
NETSTRAT_API int netstrat_link_get_index(struct netstrat_socket *sock, int32_t index,
                                         struct netstrat_link *link,
                                         struct netstrat_counters *counters,
                                         struct netstrat_error *error);

/*
 * Links that appear, change or go, as they are noted on the way by the calls on a socket. The
 * caller reads `changes` and sets `count` to 0. A count above `room` says that some were lost: then
 * nothing that was known of the links may be relied on. A notification that says nothing new
 * (flags, addresses, a carrier) takes no room, as far as `known` remembers the link: it is a cache
 * of what was noted or dumped, which netstrat_name_watch_start clears.
 */
struct netstrat_name_watch {
    struct netstrat_link_name *changes;
    uint32_t room;
    uint32_t count;
    struct netstrat_link_name *known;
    uint32_t known_size; /* entries: 0, or a power of two, best above the number of links */
};

/* Joins RTNLGRP_LINK and notes changes in `watch` from now on. The caller sets its two arrays
 * (`changes`, `known`) and their sizes (`room`, `known_size`) before, and may replace them between
 * calls, a new `known` being zeroed. */
NETSTRAT_API int netstrat_name_watch_start(struct netstrat_name_watch *watch,
                                           struct netstrat_socket *sock,
                                           struct netstrat_error *error);

/*
 * The counters of a link by its name or alternative name, by rtnetlink, on every kernel and with
 * every size of buffer that a socket can have.
 *
 * `watch` and `found` are NULL, or make repeated calls for one link cheaper: `watch` was started on
 * this socket and serves no other link; `found` is zeroed before the first call and holds the index
 * and the name of the link after it. As long as no link changes, each call is then one RTM_GETSTATS
 * by index, several times as fast as a request by name. The function reads and clears watch->count.
 *
 * netstrat_counters_read_once opens a socket for one call, in the calling thread's namespace.
 */
NETSTRAT_API int netstrat_counters_read(struct netstrat_socket *sock,
                                        struct netstrat_name_watch *watch, const char *name,
                                        struct netstrat_link_name *found,
                                        struct netstrat_counters *counters,
                                        struct netstrat_error *error);
NETSTRAT_API int netstrat_counters_read_once(const char *name, struct netstrat_counters *counters,
                                             struct netstrat_error *error);

/* The index and name of a link, by its name or alternative name, and its counters. `watch` may
 * be NULL; otherwise it learns the name. */
NETSTRAT_API int netstrat_counters_get_by_name(struct netstrat_socket *sock,
                                               struct netstrat_name_watch *watch, const char *name,
                                               struct netstrat_link_name *found,
                                               struct netstrat_counters *counters,
                                               struct netstrat_error *error);

/*
 * The counters of the link `index`, by the cheapest exchange there is (RTM_GETSTATS, Linux 4.7).
 * Returns watch->count (0 if `watch` is NULL), the changes that were noted up to the reply: at 0,
 * all that is known of the link is true of these counters. -ENODEV: no such link. -EOPNOTSUPP: the
 * kernel is older, or an emulator stands in between: netstrat_counters_get_by_name is the way.
 */
NETSTRAT_API int netstrat_counters_get(struct netstrat_socket *sock,
                                       const struct netstrat_name_watch *watch, int32_t index,
                                       struct netstrat_counters *counters,
                                       struct netstrat_error *error);

/*
 * Dump the names of all links; the counters of all links by index (-EOPNOTSUPP as above); and both
 * from the same messages, on every kernel, at about five times the cost. Each returns how many
 * links there are. If that is more than `room`, only the first `room` are written: call it again
 * with more room. The arrays are scratch while the call runs: after a failure their contents are
 * unspecified.
 *
 * The kernel does not mark a dump as inconsistent in which links exchange names: two of its links
 * then have the same name, and another name is missing. A caller who finds links by name and hears
 * no notifications repeats a dump with a doubled name.
 */
NETSTRAT_API int netstrat_link_names_dump(struct netstrat_socket *sock,
                                          struct netstrat_name_watch *watch,
                                          struct netstrat_link_name *names, size_t room,
                                          struct netstrat_error *error);
NETSTRAT_API int netstrat_counters_dump(struct netstrat_socket *sock, int32_t *indexes,
                                        struct netstrat_counters *counters, size_t room,
                                        struct netstrat_error *error);
NETSTRAT_API int netstrat_counters_dump_by_name(struct netstrat_socket *sock,
                                                struct netstrat_link_name *names,
                                                struct netstrat_counters *counters, size_t room,
                                                struct netstrat_error *error);

/* ---- the counters of many namespaces: containers.c ---- */

/*
 * Every link of the namespace `nsid` (-1: of the socket's own), loopback left out: its index, which
 * end it is, and its counters as the container sees them. `self_nsid` is the id that the socket's
 * namespace has for itself, by which the kernel says in this dump that a peer is there. Returns how
 * many there are; where that is more than `room`, only the first `room` are written. -EINVAL: there
 * is no such namespace, or none any more. -EBADMSG also where the kernel is older than Linux 4.15.
 * Where links come and go all the while, the third dump counts, consistent or not: each link is
 * then as it was at some moment of the call.
 *
 * A link with so many alternative names that it takes more than 32 KiB does not fit the dump of
 * another namespace, which then ends before it as if that were all. netstrat_netns_link_get gets it.
 */
NETSTRAT_API int netstrat_netns_links_dump(struct netstrat_socket *sock, int32_t nsid,
                                           int32_t self_nsid, int32_t *indexes,
                                           struct netstrat_netns_link *ends,
                                           struct netstrat_counters *counters, size_t room,
                                           struct netstrat_error *error);

/* The same of the link `index` alone, however many names it has. */
NETSTRAT_API int netstrat_netns_link_get(struct netstrat_socket *sock, int32_t nsid,
                                         int32_t self_nsid, int32_t index,
                                         struct netstrat_netns_link *end,
                                         struct netstrat_counters *counters,
                                         struct netstrat_error *error);

/* Whose other end a link of the socket's namespace is. */
struct netstrat_veth_peer {
    int32_t index;
    int32_t peer; /* the index of the other end, in the namespace `nsid` */
    int32_t nsid;
};

/* The veth pairs between the socket's namespace and others; counted as by netstrat_netns_links_dump. */
NETSTRAT_API int netstrat_veth_peers_dump(struct netstrat_socket *sock,
                                          struct netstrat_veth_peer *pairs, size_t room,
                                          struct netstrat_error *error);

/* A row of a table, and the link whose counters go there. */
struct netstrat_gather_entry {
    int32_t index;
    uint32_t row;
    uint32_t swapped; /* 1: rx and tx are exchanged, since the link is the other end */
};

/*
 * Copies the counters of a dump, of which `indexes` says whose they are, into the rows of a table.
 * Quickest where the sources are in the order of the dump. Returns how many sources there are
 * counters of; the rows of the others stay as they are.
 */
NETSTRAT_API size_t netstrat_counters_gather(const int32_t *indexes,
                                             const struct netstrat_counters *counters, size_t count,
                                             const struct netstrat_gather_entry *sources,
                                             size_t source_count, struct netstrat_counters *rows);

/* What a socket notes of its notifications. */
enum netstrat_record {
    NETSTRAT_RECORD_ENDED,     /* ids of namespaces that ended (RTM_DELNSID) */
    NETSTRAT_RECORD_DELETED,   /* indexes of links that left this namespace (RTM_DELLINK) */
    NETSTRAT_RECORD_NAMESPACES /* ids of the other namespaces in which a link changed in any way */
};

/* Numbers that were noted, each once. The caller reads them and sets `count` to 0. A count above
 * `room` says that some were lost. */
struct netstrat_id_recorder {
    const struct netstrat_socket *sock;
    uint32_t what;    /* enum netstrat_record */
    uint32_t changed; /* NETSTRAT_RECORD_DELETED: 1 once a link has changed in any other way */
    uint32_t room;
    uint32_t count;
    int32_t *numbers;
};

/* Joins the group that it takes, and notes what comes from now on; `numbers` and `room` are the
 * caller's. The socket and `notes` have to stay where they are. */
NETSTRAT_API int netstrat_id_recorder_start(struct netstrat_id_recorder *notes, uint32_t what,
                                            struct netstrat_socket *sock,
                                            struct netstrat_error *error);

/* ---- other network namespaces: netns.c, the only file that needs pthread ---- */

/*
 * Do their work in the network namespace that `netns` stands for: an open descriptor of a namespace
 * or (Linux 5.8) a pidfd. The caller's threads stay where they are: a short-lived thread that takes
 * no signals, with a stack of 64 KiB, enters the namespace. Needs CAP_SYS_ADMIN over it, and in the
 * caller's own user namespace. The first opens a socket there, which keeps the namespace alive; the
 * second makes a detached mount of its sysfs (netstrat_sysfs_mount), which does not.
 *
 * -EINVAL with NETSTRAT_OP_PTHREAD_CREATE: the caller's future children belong to another pid
 * namespace, after unshare(CLONE_NEWPID) or setns(). The kernel then allows the caller no new
 * thread; its children may have threads.
 */
NETSTRAT_API int netstrat_socket_open_at(struct netstrat_socket *sock, void *buffer, size_t size,
                                         int netns, struct netstrat_error *error);
NETSTRAT_API int netstrat_sysfs_mount_at(int netns, struct netstrat_error *error);

/*
 * Opens a socket in the network namespace of another one, whatever namespace the calling thread is
 * in: a second socket for changes, where the first has joined a multicast group. If the thread is
 * in that namespace, no capability is needed (Linux 5.14). Otherwise it takes CAP_NET_ADMIN over
 * the namespace to find it (Linux 4.9), and CAP_SYS_ADMIN to enter it, as for
 * netstrat_socket_open_at: -EPERM with NETSTRAT_OP_SETNS where one of them is missing.
 */
NETSTRAT_API int netstrat_socket_open_beside(struct netstrat_socket *sock, void *buffer,
                                             size_t size, const struct netstrat_socket *other,
                                             struct netstrat_error *error);

/* Opens the path of a network namespace: a descriptor, close-on-exec, for the functions above. */
NETSTRAT_API int netstrat_netns_open(const char *path, struct netstrat_error *error);

/* The id of a namespace that is used once only (SO_NETNS_COOKIE, Linux 5.14), from a socket
 * opened in it. */
NETSTRAT_API int netstrat_netns_cookie(const struct netstrat_socket *sock, uint64_t *cookie,
                                       struct netstrat_error *error);

/* 1 if the descriptor is that of a network namespace, 0 if it is not (NS_GET_NSTYPE, Linux
 * 4.11). */
NETSTRAT_API int netstrat_netns_is(int fd);

/* Makes a network namespace, in a short-lived thread as above. Returns a descriptor, which is all
 * that keeps the namespace alive. Needs CAP_SYS_ADMIN in the caller's user namespace. */
NETSTRAT_API int netstrat_netns_create(struct netstrat_error *error);

/*
 * Names the namespace that is open as `fd` in the calling thread, as `ip netns add` does: makes the
 * file `path`, which must not exist, and mounts the namespace on it. The namespace then lives until
 * the name is deleted. A missing `directory` is made. It becomes a mount that is shared with other
 * mount namespaces, under the lock that iproute2 takes (flock on the directory; after five seconds
 * without it). -EINVAL with NETSTRAT_OP_MOUNT: `fd` is not a network namespace.
 *
 * netstrat_netns_unbind deletes a name with up to 16 mounts on it, and likewise a file or symbolic
 * link on which nothing is mounted.
 */
NETSTRAT_API int netstrat_netns_bind(int fd, const char *directory, const char *path,
                                     struct netstrat_error *error);
NETSTRAT_API int netstrat_netns_unbind(const char *path, struct netstrat_error *error);

/* Moves the calling thread, and no other, into the namespace. */
NETSTRAT_API int netstrat_netns_enter(int fd, struct netstrat_error *error);

/* Moves the calling thread, and no other, into a mount namespace of its own, as `ip netns exec`
 * does: mounts made there stay there, and mounts made outside still appear in it. The thread then
 * has a working directory and a umask of its own. */
NETSTRAT_API int netstrat_mounts_separate(struct netstrat_error *error);

/* Mounts the file or directory `source` on `target`, which must exist (MS_BIND). */
NETSTRAT_API int netstrat_mounts_bind(const char *source, const char *target,
                                      struct netstrat_error *error);

/* ---- counters from files: sysfs.c ---- */

/* The file name of the counter `item`, an index into struct netstrat_counters; NULL above 7. */
NETSTRAT_API const char *netstrat_counter_name(uint32_t item);

/*
 * Which network namespace the calling thread is in, and which tree of sysfs a directory belongs to.
 * A sysfs shows the namespace in which it was mounted: which one that is, no single look can tell
 * (see netstrat_sysfs_mount), but a pair that was found to match goes on to match.
 */
struct netstrat_sysfs_place {
    uint64_t netns_device; /* st_dev and st_ino of /proc/thread-self/ns/net */
    uint64_t netns_inode;
    uint64_t device; /* st_dev of the directory */
    /* Which mount it is reached by: an id never used twice (Linux 6.8), or of this moment (5.8);
     * 0: not known. Numbers of namespaces and devices are used again at once; a mount shows one
     * namespace for good. */
    uint64_t mount;
};

/*
 * In what follows `at` and `root` name the directory of the interfaces as for openat(2): AT_FDCWD
 * and a path, "/sys/class/net" or any tree like it; or the descriptor of netstrat_sysfs_mount and
 * "class/net".
 */

/* The place of that directory and of the calling thread. -ENOENT with NETSTRAT_OP_STAT: there
 * is no /proc; with NETSTRAT_OP_OPEN: there is no such root. */
NETSTRAT_API int netstrat_sysfs_place_get(int at, const char *root,
                                          struct netstrat_sysfs_place *place,
                                          struct netstrat_error *error);

/*
 * Mounts the sysfs of the calling thread's network namespace where nobody sees it, and gives a
 * descriptor of its root. It does not keep the namespace alive. Its device (netstrat_sysfs_place)
 * equals that of /sys/class/net exactly where /sys shows the caller's namespace. Linux 5.2; needs
 * CAP_SYS_ADMIN over the mount namespace and over the network namespace.
 */
NETSTRAT_API int netstrat_sysfs_mount(struct netstrat_error *error);

/*
 * NAME/statistics/FILE beneath the root, one counter or all eight. With `place`, which may be NULL,
 * they count only if the thread is there and the files are of that tree: -ESTALE with
 * NETSTRAT_OP_STAT if not. -EINVAL with NETSTRAT_OP_NAME or _FILE: the name of the interface or
 * of the counter is not valid. -ENODEV: no such interface, or it vanished. -ENOENT with
 * NETSTRAT_OP_OPEN: no such root; with NETSTRAT_OP_OPENAT: no such counter. -ELOOP or -EINVAL
 * with NETSTRAT_OP_OPENAT: a symbolic link, or something other than a regular file, stands in the
 * counter's place. -EBADMSG or -ERANGE with NETSTRAT_OP_PARSE: the text, in error->text, is not a
 * counter.
 */
NETSTRAT_API int netstrat_sysfs_read_counter(int at, const char *root, const char *name,
                                             const char *file,
                                             const struct netstrat_sysfs_place *place,
                                             uint64_t *value, struct netstrat_error *error);
NETSTRAT_API int netstrat_sysfs_read(int at, const char *root, const char *name,
                                     const struct netstrat_sysfs_place *place,
                                     struct netstrat_counters *counters,
                                     struct netstrat_error *error);

/* The eight files held open. They follow the interface when it is renamed, and also into another
 * network namespace: compare netstrat_sysfs_place_get where that matters, or open the reader anew.
 * -ENODEV once the interface or its namespace is gone. Reading takes no kernel lock that other
 * network operations hold for long. */
struct netstrat_sysfs_reader {
    int is_open; /* 1 after netstrat_sysfs_reader_open, until it is closed */
    int fds[NETSTRAT_COUNTERS];
};

NETSTRAT_API int netstrat_sysfs_reader_open(struct netstrat_sysfs_reader *reader, int at,
                                            const char *root, const char *name,
                                            const struct netstrat_sysfs_place *place,
                                            struct netstrat_error *error);
NETSTRAT_API int netstrat_sysfs_reader_read(const struct netstrat_sysfs_reader *reader,
                                            struct netstrat_counters *counters,
                                            struct netstrat_error *error);
/* Closes the files. Does nothing to a reader that is closed, was never opened
 * (NETSTRAT_SYSFS_READER_INIT) or failed to open. */
NETSTRAT_API void netstrat_sysfs_reader_close(struct netstrat_sysfs_reader *reader);

/* cffi: end */

#ifdef __cplusplus
}
#endif

#endif
