/* SPDX-License-Identifier: MIT */
/*
 * netstrat: sets network links up, changes them and reads their counters by rtnetlink, with few
 * system calls.
 *
 *     struct netstrat_error error;
 *     char text[512];
 *
 *     if (netstrat_link_set_up_once("lo", &error) < 0) {
 *         netstrat_error_describe(&error, "lo", text, sizeof text);
 *         fprintf(stderr, "%s\n", text);
 *     }
 *
 * Conventions for every function:
 *   - It returns 0 or a count on success, and -errno on failure. Outputs are written on success
 *     only. A socket or reader that failed to open is closed, and is safe to close again.
 *   - @error receives the details of a failure. It may be NULL. After success its contents are
 *     unspecified. The descriptions below do not repeat this.
 *   - There is no malloc, no mutable global data, no output and no abort. The caller provides all
 *     memory.
 *   - Any number of sockets and readers may be in use at once, each by one thread at a time.
 *   - Strings are NUL-terminated bytes, as in the kernel. They have no encoding.
 *
 * A reply is used only after its sender, its sequence number and every length have been checked:
 * see socket.c, exchange.c and message.c.
 */
#ifndef NETSTRAT_H
#define NETSTRAT_H

#include <stddef.h>
#include <stdint.h>

#define NETSTRAT_VERSION "0.3.0.dev0"
#define NETSTRAT_VERSION_NUMBER 300 /* major * 10000 + minor * 100 + patch */

/* Initial values for a struct netstrat_socket and a struct netstrat_sysfs_reader: all bytes are
 * zero. Either struct can then be closed whether or not it was opened. */
/* clang-format off */
#ifdef __cplusplus
#define NETSTRAT_SOCKET_INIT {}
#define NETSTRAT_SYSFS_READER_INIT {}
#else
#define NETSTRAT_SOCKET_INIT {0}
#define NETSTRAT_SYSFS_READER_INIT {0}
#endif
/* clang-format on */

/* A macro before each function. Define it to export the functions (with -fvisibility=hidden), or as
 * `static __attribute__((unused))` in a program of one unit that includes netstrat.c. */
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
#define NETSTRAT_PENDING 1         /* the result of a message whose ack was not read */
#define NETSTRAT_TIMEOUT_MS 5000   /* a new socket's timeout */
#define NETSTRAT_BUFFER_SIZE 32768 /* a dump datagram, unless a link has many alt. names */

/* ---- errors: error.c ---- */

/** enum netstrat_operation - The operation that failed. */
enum netstrat_operation {
    NETSTRAT_OP_NONE,
    NETSTRAT_OP_NAME,      /* the name is invalid; nothing was sent */
    NETSTRAT_OP_LINK_NAME, /* the text is not a link name, which sysfs needs; nothing was opened */
    NETSTRAT_OP_FILE,      /* `text` is not the name of a counter; nothing was opened */
    NETSTRAT_OP_PARSE,     /* the file of a counter holds `text` instead of a number */
    NETSTRAT_OP_BATCH,     /* the batch is malformed or does not fit; nothing was sent */
    NETSTRAT_OP_REQUEST,   /* the kernel refused a message of the type `request` */
    NETSTRAT_OP_SOCKET,    /* from here on: a system call or a function of libc */
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
    NETSTRAT_OP_READLINK,
    NETSTRAT_OP_FSTAT,
    NETSTRAT_OP_FSOPEN,
    NETSTRAT_OP_FSCONFIG,
    NETSTRAT_OP_FSMOUNT,
    NETSTRAT_OP_OPEN_NETNS, /* open() of the path of a network namespace */
    NETSTRAT_OP_SETNS,
    NETSTRAT_OP_PTHREAD_SIGMASK,
    NETSTRAT_OP_PTHREAD_CREATE,
    NETSTRAT_OP_UNSHARE,
    NETSTRAT_OP_MKDIR,
    NETSTRAT_OP_MOUNT,
    NETSTRAT_OP_UMOUNT,
    NETSTRAT_OP_UNLINK,
    NETSTRAT_OP_OPEN_SYSCTL, /* open(), read() and write() of a setting under /proc/sys */
    NETSTRAT_OP_READ_SYSCTL,
    NETSTRAT_OP_WRITE_SYSCTL,
    NETSTRAT_OPERATIONS /* the number of operations */
};

/** struct netstrat_error - The details of one failure. */
struct netstrat_error {
    int code;             /* the -errno that was returned */
    uint32_t operation;   /* enum netstrat_operation */
    uint32_t request;     /* NETSTRAT_OP_REQUEST: the message type (RTM_NEWLINK); otherwise 0 */
    uint32_t item;        /* the index of the message in its batch, of the counter or setting */
    uint32_t text_length; /* the length of `text` in bytes, without the final NUL */
    /* The kernel's extended ack, or the start of the text that is not a counter or not a counter's
     * name. */
    char text[NETSTRAT_TEXT_SIZE];
};

/** enum netstrat_kind - The class of a failure. Python raises one exception for each. */
enum netstrat_kind {
    NETSTRAT_KIND_OTHER,
    NETSTRAT_KIND_LINK_NOT_FOUND,    /* the link does not exist, or was deleted during the call */
    NETSTRAT_KIND_COUNTER_NOT_FOUND, /* the link exists, but has no counter of that name */
    NETSTRAT_KIND_PERMISSION,        /* a capability or a permission is missing */
    NETSTRAT_KIND_UNAVAILABLE,       /* AF_NETLINK sockets are refused */
    NETSTRAT_KIND_INVALID_NAME,      /* the text cannot be the name of an interface */
    NETSTRAT_KIND_INVALID_COUNTER,   /* the text cannot be the name of a counter */
    NETSTRAT_KIND_PARSE              /* the file does not hold a counter */
};

/** struct netstrat_failure - One row of the table of failures. */
struct netstrat_failure {
    uint16_t request;  /* the message type; 0 for any */
    uint8_t operation; /* enum netstrat_operation */
    uint8_t code;      /* errno, positive; 0 for any */
    uint8_t kind;      /* enum netstrat_kind */
    const char *hint;  /* the remedy or the usual cause; "" if none is known */
};

/**
 * netstrat_failure_find() - Looks up a failure in the table.
 * @operation: as in struct netstrat_error
 * @request: as in struct netstrat_error
 * @code: -errno
 * @failure: receives the first row that matches, or NETSTRAT_KIND_OTHER with an empty hint
 *
 * Return: 1 if a row matches, otherwise 0.
 */
NETSTRAT_API int netstrat_failure_find(uint32_t operation, uint32_t request, int code,
                                       struct netstrat_failure *failure);

/**
 * netstrat_failure_get() - Reads one row of the table of failures.
 * @number: the row, from 0
 * @failure: receives the row
 *
 * Return: 1, or 0 after the last row.
 */
NETSTRAT_API int netstrat_failure_get(uint32_t number, struct netstrat_failure *failure);

/**
 * netstrat_operation_name() - Names the operation that failed.
 * @operation: enum netstrat_operation
 *
 * Return: the name ("send", "batch"), or NULL for NETSTRAT_OP_REQUEST and for a number that is not
 * an operation.
 */
NETSTRAT_API const char *netstrat_operation_name(uint32_t operation);

/**
 * netstrat_request_name() - Names a message type.
 * @request: the type
 *
 * Return: the name ("RTM_NEWLINK"), or NULL if the type is not in the list.
 */
NETSTRAT_API const char *netstrat_request_name(uint32_t request);

/**
 * netstrat_error_describe() - Writes a failure as one sentence, the one that Python raises too.
 * @error: the failure
 * @name: the interface, or NULL or "" for none
 * @text: receives the sentence: interface, operation, cause, extended ack and hint. Bytes that are
 *     not printable ASCII become "?".
 * @size: the size of @text with its NUL
 *
 * Uses strerror().
 *
 * Return: the length of the whole sentence, which is @size or more if the sentence was cut short.
 */
NETSTRAT_API size_t netstrat_error_describe(const struct netstrat_error *error, const char *name,
                                            char *text, size_t size);

/* ---- link names: name.c ---- */

/**
 * netstrat_name_check() - Classifies an interface name.
 * @name: the name
 *
 * A link name has 1 to 15 bytes, is not "." or "..", and contains no '/', ':', white space or byte
 * 0xa0 (dev_valid_name, net/core/dev.c). An alternative name has 1 to 127 bytes. Only a link name
 * may become part of a path: an alternative name can be "../../etc".
 *
 * Return: 0 if valid as a link name, 1 if valid only as an alternative name, -EINVAL otherwise.
 */
NETSTRAT_API int netstrat_name_check(const char *name);

/* ---- one counter's text to a number: counter_text.c ---- */

/**
 * netstrat_parse_counter() - Reads the text of one counter.
 * @text: decimal digits, with optional white space around them; needs no NUL
 * @length: the length of @text in bytes
 * @value: receives the number
 *
 * Return: 0; -EBADMSG if the text is not an unsigned decimal number; -ERANGE if it does not fit 64
 * bits.
 */
NETSTRAT_API int netstrat_parse_counter(const char *text, size_t length, uint64_t *value);

/* ---- messages under construction: batch.c ---- */

/**
 * struct netstrat_batch - Messages in the caller's buffer, one after the other.
 *
 * netstrat_execute() sends them. A message is begun, filled and finished; batch.c draws it:
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
 * Only netstrat_batch_finish() has to be checked. After the first part that does not fit, nothing
 * more is written; netstrat_batch_finish() then returns the failure and restores the batch to its
 * state before netstrat_batch_begin(). Any rtnetlink message can be built this way: examples/embed
 * makes a veth pair by hand.
 *
 * Each netstrat_batch_ function of a kernel object (links, addresses ...) adds one whole message
 * and returns what netstrat_batch_finish() returned: 0; -EMSGSIZE if the message does not fit;
 * -EINVAL if no message can carry an argument. In their descriptions @batch is the batch to add to.
 */
struct netstrat_batch {
    unsigned char *data;
    size_t size;    /* the size of `data` in bytes */
    size_t used;    /* bytes written, including the message under construction */
    size_t start;   /* the offset of the message under construction */
    uint32_t count; /* finished messages */
    int code;       /* the first failure of the message under construction, or 0 */
};

/**
 * netstrat_batch_init() - Makes an empty batch.
 * @batch: the batch
 * @buffer: the memory for the messages; needs no alignment
 * @size: the size of @buffer in bytes
 */
NETSTRAT_API void netstrat_batch_init(struct netstrat_batch *batch, void *buffer, size_t size);

/**
 * netstrat_batch_begin() - Begins a message.
 * @batch: the batch
 * @type: the message type (RTM_NEWLINK)
 * @flags: NLM_F_REQUEST and others of linux/netlink.h
 */
NETSTRAT_API void netstrat_batch_begin(struct netstrat_batch *batch, uint16_t type, uint16_t flags);

/**
 * netstrat_batch_append() - Appends bytes: the fixed part of a message, or of an attribute's value.
 * @batch: the batch
 * @data: the bytes (struct ifinfomsg and its like); zeros pad them to four
 * @size: their number
 */
NETSTRAT_API void netstrat_batch_append(struct netstrat_batch *batch, const void *data,
                                        size_t size);

/**
 * netstrat_batch_put() - Appends an attribute.
 * @batch: the batch
 * @type: the attribute (IFLA_IFNAME)
 * @value: its value
 * @size: the size of @value in bytes, at most 65,531
 */
NETSTRAT_API void netstrat_batch_put(struct netstrat_batch *batch, uint16_t type, const void *value,
                                     size_t size);

/**
 * netstrat_batch_put_string() - Appends an attribute with a text and its NUL.
 * @batch: the batch
 * @type: the attribute
 * @value: the text
 */
NETSTRAT_API void netstrat_batch_put_string(struct netstrat_batch *batch, uint16_t type,
                                            const char *value);

/**
 * netstrat_batch_put_u8() - Appends an attribute with one byte.
 * @batch: the batch
 * @type: the attribute
 * @value: the byte
 */
NETSTRAT_API void netstrat_batch_put_u8(struct netstrat_batch *batch, uint16_t type, uint8_t value);

/**
 * netstrat_batch_put_u32() - Appends an attribute with a 32-bit number.
 * @batch: the batch
 * @type: the attribute
 * @value: the number, in host byte order
 */
NETSTRAT_API void netstrat_batch_put_u32(struct netstrat_batch *batch, uint16_t type,
                                         uint32_t value);

/**
 * netstrat_batch_nest() - Opens an attribute that contains attributes.
 * @batch: the batch
 * @type: the attribute (IFLA_LINKINFO); NLA_F_NESTED is added
 *
 * Return: the argument for netstrat_batch_nest_end().
 */
NETSTRAT_API size_t netstrat_batch_nest(struct netstrat_batch *batch, uint16_t type);

/**
 * netstrat_batch_nest_end() - Closes an attribute that contains attributes.
 * @batch: the batch
 * @nest: what netstrat_batch_nest() returned
 */
NETSTRAT_API void netstrat_batch_nest_end(struct netstrat_batch *batch, size_t nest);

/**
 * netstrat_batch_refuse() - Makes the message under construction fail, unless it failed already.
 * @batch: the batch
 * @code: -errno, which netstrat_batch_finish() then returns
 */
NETSTRAT_API void netstrat_batch_refuse(struct netstrat_batch *batch, int code);

/**
 * netstrat_batch_finish() - Completes the message under construction.
 * @batch: the batch
 *
 * Return: 0; -EMSGSIZE if the message does not fit; -EINVAL if no message was begun; or what
 * netstrat_batch_refuse() was given. A message that failed is removed from the batch.
 */
NETSTRAT_API int netstrat_batch_finish(struct netstrat_batch *batch);

/* ---- messages taken apart: message.c ---- */

/**
 * struct netstrat_cursor - The unread bytes of a datagram, a message or an attribute.
 *
 * These are the bytes of `data` from `at` up to `end`. Offsets are used because any length can be
 * added to one and the sum compared, whereas a pointer beyond its array would be undefined.
 */
struct netstrat_cursor {
    const unsigned char *data;
    size_t at;
    size_t end;
    size_t missing; /* further bytes that did not fit the buffer and were truncated */
};

/** struct netstrat_message - One message of a datagram. */
struct netstrat_message {
    uint16_t type;
    uint16_t flags;
    uint32_t sequence;
    uint32_t port; /* nlmsg_pid: the port of the socket whose request caused the message */
    struct netstrat_cursor payload; /* `missing` is not 0 if this message was truncated */
};

/** struct netstrat_attribute - One attribute of a payload. */
struct netstrat_attribute {
    uint16_t type; /* without NLA_F_NESTED and NLA_F_NET_BYTEORDER */
    struct netstrat_cursor value;
};

/**
 * netstrat_message_next() - Takes the next message of a datagram.
 * @rest: the datagram; moved past the message
 * @message: receives the message
 *
 * Only the last message of a datagram can be truncated.
 *
 * Return: 1; 0 at the end; -EBADMSG if the message's length is malformed.
 */
NETSTRAT_API int netstrat_message_next(struct netstrat_cursor *rest,
                                       struct netstrat_message *message);

/**
 * netstrat_message_body() - Splits a message into its fixed part and its attributes.
 * @message: the message
 * @fixed: receives the fixed part (struct ifinfomsg and its like)
 * @size: the size of @fixed in bytes
 * @attributes: receives the attributes
 *
 * Return: 0, or -EBADMSG if the payload is shorter than @size.
 */
NETSTRAT_API int netstrat_message_body(const struct netstrat_message *message, void *fixed,
                                       size_t size, struct netstrat_cursor *attributes);

/**
 * netstrat_attribute_next() - Takes the next attribute.
 * @rest: the attributes of a message, or a copy of the `value` of an attribute that contains
 *     others; moved past the attribute
 * @attribute: receives the attribute
 *
 * Return: 1; 0 at the end; -EBADMSG if the attribute's length is malformed.
 */
NETSTRAT_API int netstrat_attribute_next(struct netstrat_cursor *rest,
                                         struct netstrat_attribute *attribute);

/**
 * netstrat_attribute_u8() - Reads an attribute's value as a byte.
 * @attribute: the attribute
 * @to: receives the byte
 *
 * Return: 0, or -EBADMSG if the value is shorter.
 */
NETSTRAT_API int netstrat_attribute_u8(const struct netstrat_attribute *attribute, uint8_t *to);

/**
 * netstrat_attribute_u16() - Reads an attribute's value as a 16-bit number in host byte order.
 * @attribute: the attribute
 * @to: receives the number
 *
 * Return: 0, or -EBADMSG if the value is shorter.
 */
NETSTRAT_API int netstrat_attribute_u16(const struct netstrat_attribute *attribute, uint16_t *to);

/**
 * netstrat_attribute_u32() - Reads an attribute's value as a 32-bit number in host byte order.
 * @attribute: the attribute
 * @to: receives the number
 *
 * Return: 0, or -EBADMSG if the value is shorter.
 */
NETSTRAT_API int netstrat_attribute_u32(const struct netstrat_attribute *attribute, uint32_t *to);

/**
 * netstrat_attribute_u64() - Reads an attribute's value as a 64-bit number in host byte order.
 * @attribute: the attribute
 * @to: receives the number
 *
 * Return: 0, or -EBADMSG if the value is shorter.
 */
NETSTRAT_API int netstrat_attribute_u64(const struct netstrat_attribute *attribute, uint64_t *to);

/**
 * netstrat_attribute_string() - Copies an attribute's text.
 * @attribute: the attribute
 * @to: receives the text with its NUL
 * @size: the size of @to in bytes
 *
 * Return: 0, or -EBADMSG if the text is empty, has no NUL or does not fit.
 */
NETSTRAT_API int netstrat_attribute_string(const struct netstrat_attribute *attribute, char *to,
                                           size_t size);

/**
 * netstrat_attribute_bytes() - Copies the first bytes of an attribute's value.
 * @attribute: the attribute
 * @to: receives the bytes
 * @size: their number
 *
 * Return: 0, or -EBADMSG if the value is shorter.
 */
NETSTRAT_API int netstrat_attribute_bytes(const struct netstrat_attribute *attribute, void *to,
                                          size_t size);

/**
 * netstrat_ack_decode() - Reads NLMSG_ERROR or NLMSG_DONE. The ack may be truncated.
 * @message: the message
 * @verdict: receives 0 or the kernel's -errno
 * @error: if not NULL, its text becomes the extended ack, or empty; other fields are not written
 *
 * Return: 0, or -EBADMSG if the message is malformed.
 */
NETSTRAT_API int netstrat_ack_decode(const struct netstrat_message *message, int *verdict,
                                     struct netstrat_error *error);

/* ---- links: link.c, link_change.c ---- */

/** struct netstrat_link_name - The index and the name of a link. */
struct netstrat_link_name {
    int32_t index;
    char name[NETSTRAT_NAME_SIZE]; /* "" if the link was deleted or left the namespace */
};

/* The flags of a link, as in linux/if.h. -std=c11 hides them in glibc's net/if.h. */
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

/** struct netstrat_link - A link, as RTM_NEWLINK describes it. */
struct netstrat_link {
    int32_t index;
    uint32_t family;     /* AF_UNSPEC, or AF_BRIDGE if a bridge describes its port */
    uint32_t flags;      /* NETSTRAT_IFF_UP and others */
    uint32_t mtu;        /* bytes */
    uint32_t txqueuelen; /* packets */
    uint32_t group;
    int32_t master;    /* the index of the bridge or other master that this is a port of, or 0 */
    int32_t peer;      /* IFLA_LINK: the index of a veth's peer or a macvlan's parent, or 0 */
    int32_t peer_nsid; /* IFLA_LINK_NETNSID: the nsid of the peer's namespace, or -1 */
    int32_t nsid;      /* the nsid of the namespace that the reply is about; -1 for the socket's */
    /* The settings of a bridge port: 0 or 1; -1 if the link is not one or the kernel is older. */
    int32_t hairpin;
    int32_t isolated;    /* Linux 4.18 */
    int32_t learning;    /* Linux 3.11 */
    int32_t port_state;  /* BR_STATE_ of linux/if_bridge.h; -1 if the link is not a bridge port */
    uint32_t mac_length; /* bytes of `mac` */
    unsigned char mac[NETSTRAT_MAC_SIZE];
    uint32_t permanent_mac_length; /* 0 for a virtual device, or before Linux 5.6 */
    unsigned char permanent_mac[NETSTRAT_MAC_SIZE];
    /* A bridge's priority (2 bytes) and MAC (6 bytes), which was set or comes from a port. The MAC
     * is zero if the bridge has neither. Linux 4.4; otherwise zeros. */
    unsigned char bridge_id[8];
    uint32_t macvlan_mode; /* MACVLAN_MODE_ of linux/if_link.h; 0 if the link is not a macvlan */
    char name[NETSTRAT_NAME_SIZE];
    char kind[NETSTRAT_KIND_SIZE];   /* "veth", "bridge" ...; "" for a physical device or lo */
    char alias[NETSTRAT_ALIAS_SIZE]; /* "" if the link has none */
    struct netstrat_cursor altnames; /* within the message: see netstrat_altname_next() */
    /* The device of a physical link ("pci", "0000:00:1f.6"), as text within the message; empty for
     * a virtual link, or before Linux 5.14. */
    struct netstrat_cursor parent_bus, parent_device;
};

/**
 * netstrat_batch_set_link_flags() - Adds a change of a link's flags (RTM_NEWLINK).
 * @batch: the batch
 * @name: the link's name or alternative name
 * @flags: the new values
 * @change: the flags to set; the others stay as they are
 */
NETSTRAT_API int netstrat_batch_set_link_flags(struct netstrat_batch *batch, const char *name,
                                               uint32_t flags, uint32_t change);

/**
 * netstrat_batch_get_link() - Adds a query for one link with its counters (RTM_GETLINK).
 * @batch: the batch
 * @name: the link's name or alternative name (Linux 5.5)
 */
NETSTRAT_API int netstrat_batch_get_link(struct netstrat_batch *batch, const char *name);

/**
 * netstrat_batch_get_link_index() - Adds a query for one link with its counters (RTM_GETLINK).
 * @batch: the batch
 * @index: the link's index
 */
NETSTRAT_API int netstrat_batch_get_link_index(struct netstrat_batch *batch, int32_t index);

/**
 * netstrat_batch_get_link_at() - Adds a query for one link of another namespace.
 * @batch: the batch
 * @nsid: the namespace's id in the socket's namespace
 * @index: the link's index there
 *
 * The namespace is neither entered nor kept alive (IFLA_TARGET_NETNSID, Linux 4.15). An older
 * kernel ignores the nsid: check link->nsid. Needs CAP_NET_ADMIN over the namespace.
 */
NETSTRAT_API int netstrat_batch_get_link_at(struct netstrat_batch *batch, int32_t nsid,
                                            int32_t index);

/**
 * netstrat_batch_dump_links() - Adds a dump of every link.
 * @batch: the batch
 * @counters: 1 to include the counters, 0 to leave them out (Linux 4.4)
 */
NETSTRAT_API int netstrat_batch_dump_links(struct netstrat_batch *batch, int counters);

/**
 * netstrat_batch_dump_links_at() - Adds a dump of every link of another namespace.
 * @batch: the batch
 * @nsid: the namespace's id in the socket's namespace
 *
 * The reply includes the counters. See netstrat_batch_get_link_at().
 */
NETSTRAT_API int netstrat_batch_dump_links_at(struct netstrat_batch *batch, int32_t nsid);

/* The fields of struct netstrat_link_settings that a message sets. */
enum {
    NETSTRAT_LINK_NAME = 1 << 0,  /* the name of a new link, or a new name */
    NETSTRAT_LINK_INDEX = 1 << 1, /* the index of a new link, or the index after a move */
    NETSTRAT_LINK_UP = 1 << 2,
    NETSTRAT_LINK_MTU = 1 << 3,
    NETSTRAT_LINK_TXQUEUELEN = 1 << 4,
    NETSTRAT_LINK_MAC = 1 << 5,
    NETSTRAT_LINK_MASTER = 1 << 6,
    NETSTRAT_LINK_NETNS = 1 << 7,
    NETSTRAT_LINK_ALIAS = 1 << 8,   /* not at creation */
    NETSTRAT_LINK_HAIRPIN = 1 << 9, /* bridge ports; not at creation */
    NETSTRAT_LINK_GROUP = 1 << 10,
    NETSTRAT_LINK_QUEUES = 1 << 11,   /* at creation only */
    NETSTRAT_LINK_ISOLATED = 1 << 12, /* bridge ports, Linux 4.18; not at creation */
    NETSTRAT_LINK_LEARNING = 1 << 13  /* bridge ports; not at creation */
};

/** struct netstrat_link_settings - The settings of a new link, or changes to a link. */
struct netstrat_link_settings {
    uint32_t set; /* NETSTRAT_LINK_ bits; fields without their bit are ignored */
    int32_t index;
    uint32_t up; /* 0 for down */
    uint32_t mtu;
    uint32_t txqueuelen;
    uint32_t mac_length;
    unsigned char mac[NETSTRAT_MAC_SIZE];
    int32_t master; /* the index of a bridge or other master; 0 for none */
    int32_t netns;  /* a descriptor of the new namespace; the kernel refuses a pidfd (-EINVAL) */
    uint32_t hairpin;
    uint32_t group;
    uint32_t queues;                 /* transmit queues, and as many receive queues */
    char name[NETSTRAT_NAME_SIZE];   /* the kernel replaces one %d by the first free number */
    char alias[NETSTRAT_ALIAS_SIZE]; /* "" removes the alias */
    uint32_t isolated;               /* exchanges no frames with other isolated ports */
    uint32_t learning;               /* the bridge learns MAC addresses from its frames */
};

/**
 * netstrat_batch_add_link() - Adds the creation of a link (-EEXIST if its name is taken).
 * @batch: the batch
 * @kind: a kind that needs no data of its own ("bridge", "ifb" ...)
 * @settings: the link's settings
 */
NETSTRAT_API int netstrat_batch_add_link(struct netstrat_batch *batch, const char *kind,
                                         const struct netstrat_link_settings *settings);

/**
 * netstrat_batch_add_macvlan() - Adds the creation of a macvlan.
 * @batch: the batch
 * @parent: the index of its parent
 * @mode: MACVLAN_MODE_ of linux/if_link.h
 * @settings: the link's settings
 */
NETSTRAT_API int netstrat_batch_add_macvlan(struct netstrat_batch *batch, int32_t parent,
                                            uint32_t mode,
                                            const struct netstrat_link_settings *settings);

/**
 * netstrat_batch_add_vlan() - Adds the creation of a VLAN.
 * @batch: the batch
 * @parent: the index of its parent
 * @id: the VLAN id, 0 to 4094
 * @protocol: ETH_P_8021Q or ETH_P_8021AD of linux/if_ether.h, in host byte order
 * @settings: the link's settings
 */
NETSTRAT_API int netstrat_batch_add_vlan(struct netstrat_batch *batch, int32_t parent, uint32_t id,
                                         uint16_t protocol,
                                         const struct netstrat_link_settings *settings);

/**
 * netstrat_batch_add_ipvlan() - Adds the creation of an ipvlan (Linux 3.19).
 * @batch: the batch
 * @parent: the index of its parent
 * @mode: IPVLAN_MODE_ of linux/if_link.h: 0 for l2, 1 for l3, 2 for l3s (4.9)
 * @flags: IPVLAN_F_ of linux/if_link.h (4.15): 0 for bridge, 1 for private, 2 for vepa
 * @settings: the link's settings
 */
NETSTRAT_API int netstrat_batch_add_ipvlan(struct netstrat_batch *batch, int32_t parent,
                                           uint16_t mode, uint16_t flags,
                                           const struct netstrat_link_settings *settings);

/** struct netstrat_prefix - An address with its prefix length. */
struct netstrat_prefix {
    uint8_t family;          /* AF_INET or AF_INET6; 0 for none */
    uint8_t length;          /* the prefix length in bits */
    unsigned char bytes[16]; /* network byte order; IPv4 uses the first four */
};

/** struct netstrat_vxlan - What a VXLAN has in addition to the settings of every link. */
struct netstrat_vxlan {
    uint32_t id;                   /* the VNI, below 2^24 */
    struct netstrat_prefix remote; /* the other end, or a multicast group; family 0 for none */
    struct netstrat_prefix local;  /* the source address; family 0 for any */
    uint16_t port;                 /* the UDP port of the other end, in host byte order */
    uint8_t learning;              /* 1 if it learns which MAC address is behind which end */
    uint8_t ttl;                   /* of the packets that it sends; 0 for the kernel's choice */
};

/**
 * netstrat_batch_add_vxlan() - Adds the creation of a VXLAN.
 * @batch: the batch
 * @parent: the index of the link that it sends on, or 0 for any
 * @vxlan: its identity and its ends
 * @settings: the link's settings. In another namespace, the VXLAN still sends in the socket's.
 *
 * A multicast group needs @parent.
 */
NETSTRAT_API int netstrat_batch_add_vxlan(struct netstrat_batch *batch, int32_t parent,
                                          const struct netstrat_vxlan *vxlan,
                                          const struct netstrat_link_settings *settings);

/**
 * netstrat_batch_add_veth() - Adds the creation of a veth pair, both ends in one message.
 * @batch: the batch
 * @own: the settings of the first end, which may be up and have a master
 * @peer: the settings of its peer, which may be in another namespace
 *
 * Returns -EINVAL for settings of @peer that the kernel ignores: up, master, alias, those of a
 * bridge port, and an index unless @own has one too.
 */
NETSTRAT_API int netstrat_batch_add_veth(struct netstrat_batch *batch,
                                         const struct netstrat_link_settings *own,
                                         const struct netstrat_link_settings *peer);

/**
 * netstrat_batch_set_link() - Adds a change of a link.
 * @batch: the batch
 * @index: the link's index, or 0 to use @name
 * @name: the link's name or alternative name
 * @settings: the changes. A new name and a group need @index, and a new index needs a new namespace
 *     (-EINVAL).
 *
 * The kernel makes the changes in this order: those of a bridge port (so the link must be one
 * already), namespace and index, MAC, MTU, group, name, alias, up, master, queue length. It stops
 * at the first that fails and keeps those before it.
 */
NETSTRAT_API int netstrat_batch_set_link(struct netstrat_batch *batch, int32_t index,
                                         const char *name,
                                         const struct netstrat_link_settings *settings);

/**
 * netstrat_batch_delete_link() - Adds the deletion of a link.
 * @batch: the batch
 * @index: the link's index, or 0 to use @name
 * @name: the link's name or alternative name
 */
NETSTRAT_API int netstrat_batch_delete_link(struct netstrat_batch *batch, int32_t index,
                                            const char *name);

/**
 * netstrat_batch_delete_link_group() - Adds the deletion of all links of a group.
 * @batch: the batch
 * @group: the group
 *
 * The kernel deletes none of them if one cannot be deleted.
 */
NETSTRAT_API int netstrat_batch_delete_link_group(struct netstrat_batch *batch, uint32_t group);

/**
 * netstrat_link_decode() - Reads RTM_NEWLINK or RTM_DELLINK.
 * @message: the message. A bridge's message about a port (AF_BRIDGE) has no kind and no alias.
 * @link: receives the link; parts of it point into the message
 *
 * Return: 0, or -EBADMSG if the message is malformed, truncated or of another type.
 */
NETSTRAT_API int netstrat_link_decode(const struct netstrat_message *message,
                                      struct netstrat_link *link);

/**
 * netstrat_link_name_decode() - Reads the index and name from RTM_NEWLINK or RTM_DELLINK.
 * @message: the message
 * @name: receives both; the name is empty if the link is gone
 *
 * Return: 0, or -EBADMSG if the message is malformed, truncated or of another type.
 */
NETSTRAT_API int netstrat_link_name_decode(const struct netstrat_message *message,
                                           struct netstrat_link_name *name);

/**
 * netstrat_link_flags_decode() - Reads the index and flags from RTM_NEWLINK or RTM_DELLINK.
 * @message: the message, which may be truncated after its fixed part
 * @index: receives the index
 * @flags: receives the flags
 *
 * Return: 0, or -EBADMSG if the message is malformed or of another type.
 */
NETSTRAT_API int netstrat_link_flags_decode(const struct netstrat_message *message, int32_t *index,
                                            uint32_t *flags);

/**
 * netstrat_altname_next() - Takes the next alternative name of a link.
 * @altnames: link->altnames, or a copy of it; moved past the name
 * @name: receives the name
 *
 * Return: 1, or 0 at the end.
 */
NETSTRAT_API int netstrat_altname_next(struct netstrat_cursor *altnames,
                                       char name[NETSTRAT_ALT_NAME_SIZE]);

/* ---- counters: counters.c ---- */

/** struct netstrat_counters - A link's counters from the perspective of its namespace. */
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

/**
 * netstrat_batch_get_counters() - Adds a query for one link's counters (RTM_GETSTATS, Linux 4.7).
 * @batch: the batch
 * @index: the link's index
 */
NETSTRAT_API int netstrat_batch_get_counters(struct netstrat_batch *batch, int32_t index);

/**
 * netstrat_batch_dump_counters() - Adds a dump of every link's counters (RTM_GETSTATS, Linux 4.7).
 * @batch: the batch
 */
NETSTRAT_API int netstrat_batch_dump_counters(struct netstrat_batch *batch);

/**
 * netstrat_counters_decode() - Reads the counters in RTM_NEWSTATS or RTM_NEWLINK.
 * @message: the message
 * @index: receives the link's index
 * @counters: receives the counters
 *
 * Return: 0; -EBADMSG if the message is malformed, truncated or of another type; -ENODATA if it has
 * no counters.
 */
NETSTRAT_API int netstrat_counters_decode(const struct netstrat_message *message, int32_t *index,
                                          struct netstrat_counters *counters);

/* ---- addresses: address.c ---- */

/**
 * netstrat_prefix_parse() - Converts text to an address.
 * @text: "192.0.2.1/24" or "2001:db8::1/64". Without a slash the prefix length is 32 or 128.
 * @prefix: receives the address
 *
 * Return: 0, or -EINVAL if the text is anything else.
 */
NETSTRAT_API int netstrat_prefix_parse(const char *text, struct netstrat_prefix *prefix);

/**
 * netstrat_prefix_format() - Converts an address to text.
 * @prefix: the address
 * @length: 1 to write the prefix length, 0 to leave it out
 * @text: receives the text, which is empty if the family is neither AF_INET nor AF_INET6
 */
NETSTRAT_API void netstrat_prefix_format(const struct netstrat_prefix *prefix, int length,
                                         char text[NETSTRAT_PREFIX_SIZE]);

/** struct netstrat_address - An address of a link. Only `index` and `local` must be set. */
struct netstrat_address {
    int32_t index;                    /* the link's index */
    struct netstrat_prefix local;     /* the address itself */
    struct netstrat_prefix peer;      /* the peer of a point-to-point link; family 0 for none */
    struct netstrat_prefix broadcast; /* family 0 for none */
    uint32_t flags;                   /* IFA_F_ of linux/if_addr.h */
    uint32_t metric;                  /* of the route to its subnet; 0 for the default */
    /* Lifetimes in seconds; UINT32_MAX is forever. `valid` 0 is forever too, and so is `preferred`
     * 0 if both are 0. */
    uint32_t valid, preferred;
    uint8_t scope;                  /* RT_SCOPE_ of linux/rtnetlink.h */
    uint8_t protocol;               /* IFAPROT_ of linux/if_addr.h, Linux 5.18; 0 for none */
    char label[NETSTRAT_NAME_SIZE]; /* IPv4; "" for none */
};

/**
 * netstrat_batch_add_address() - Adds an address to a link.
 * @batch: the batch
 * @address: the address
 * @replace: 1 to change the settings of an address that exists; 0 to refuse it (-EEXIST)
 */
NETSTRAT_API int netstrat_batch_add_address(struct netstrat_batch *batch,
                                            const struct netstrat_address *address, int replace);

/**
 * netstrat_batch_delete_address() - Adds the deletion of an address.
 * @batch: the batch
 * @address: its index, address and prefix length
 */
NETSTRAT_API int netstrat_batch_delete_address(struct netstrat_batch *batch,
                                               const struct netstrat_address *address);

/**
 * netstrat_batch_dump_addresses() - Adds a dump of addresses.
 * @batch: the batch
 * @index: the index of the link, or 0 for all links. The kernel ignores it unless
 *     netstrat_socket_set_strict() was called.
 */
NETSTRAT_API int netstrat_batch_dump_addresses(struct netstrat_batch *batch, int32_t index);

/**
 * netstrat_address_decode() - Reads RTM_NEWADDR or RTM_DELADDR.
 * @message: the message
 * @address: receives the address
 *
 * Return: 0; -EBADMSG if the message is malformed, truncated or of another type; -EAFNOSUPPORT if
 * it is of another family.
 */
NETSTRAT_API int netstrat_address_decode(const struct netstrat_message *message,
                                         struct netstrat_address *address);

/* ---- routes: route.c ---- */

/** struct netstrat_route - A route. If it has a gateway, everything else may be zero. */
struct netstrat_route {
    /* Length 0 is the default route. Family 0 with length 0 takes the gateway's family. */
    struct netstrat_prefix destination;
    struct netstrat_prefix gateway; /* family 0 for none; the other family needs Linux 5.2 */
    struct netstrat_prefix source;  /* the preferred source address; family 0 for none */
    uint32_t metric;                /* 0 for the default (IPv4 0, IPv6 1024) */
    uint32_t table;                 /* 0 for RT_TABLE_MAIN */
    int32_t index;    /* the link's index; 0 for the gateway's, or several next hops */
    uint8_t scope;    /* RT_SCOPE_; 0 is RT_SCOPE_UNIVERSE */
    uint8_t type;     /* RTN_; 0 for RTN_UNICAST, or for any in a deletion */
    uint8_t protocol; /* RTPROT_; 0 for RTPROT_BOOT, or for any in a deletion */
    uint8_t several;  /* 1 if decoded with several next hops (RTA_MULTIPATH); not encoded */
    uint32_t flags;   /* RTNH_F_ONLINK */
    uint32_t mtu;     /* RTAX_MTU: the MTU of the path in bytes; 0 for the link's */
    uint32_t advmss;  /* RTAX_ADVMSS: the MSS that TCP advertises, in bytes; 0 for the kernel's */
};

/**
 * netstrat_batch_add_route() - Adds a route.
 * @batch: the batch
 * @route: the route. The kernel returns -EEXIST if a route with the same destination, TOS, metric
 *     and table exists.
 */
NETSTRAT_API int netstrat_batch_add_route(struct netstrat_batch *batch,
                                          const struct netstrat_route *route);

/**
 * netstrat_batch_delete_route() - Adds the deletion of a route.
 * @batch: the batch
 * @route: the route
 */
NETSTRAT_API int netstrat_batch_delete_route(struct netstrat_batch *batch,
                                             const struct netstrat_route *route);

/**
 * netstrat_batch_dump_routes() - Adds a dump of routes.
 * @batch: the batch
 * @index: the index of the link that the routes use (the kernel returns -ENODEV if it does not
 *     exist), or 0 for all links. The kernel ignores it unless netstrat_socket_set_strict() was
 *     called.
 */
NETSTRAT_API int netstrat_batch_dump_routes(struct netstrat_batch *batch, int32_t index);

/**
 * netstrat_route_decode() - Reads RTM_NEWROUTE or RTM_DELROUTE.
 * @message: the message
 * @route: receives the route
 *
 * Return: 0; -EBADMSG if the message is malformed, truncated or of another type; -EAFNOSUPPORT if
 * it is of another family.
 */
NETSTRAT_API int netstrat_route_decode(const struct netstrat_message *message,
                                       struct netstrat_route *route);

/**
 * netstrat_route_to_request() - Turns a dumped route into a request that adds it again.
 * @payload: the payload of the RTM_NEWROUTE, which is changed in place
 * @size: the size of @payload in bytes
 * @route: receives the decoded route
 *
 * The flags and times that the kernel sets are cleared; all other attributes stay. After a failure
 * the contents of @payload and @route are unspecified.
 *
 * Return: the flags of the request, which add the route in addition to others with the same
 * destination and metric (NLM_F_APPEND), or, for several next hops of IPv6, replace those that
 * still exist (NLM_F_REPLACE); -ENODATA for a route that needs no copy, because the kernel adds it
 * with an address or a router announces it; or a failure of netstrat_route_decode().
 */
NETSTRAT_API int netstrat_route_to_request(unsigned char *payload, size_t size,
                                           struct netstrat_route *route);

/* ---- queueing disciplines and filters: qdisc.c ---- */

/** enum netstrat_qdisc_ecn - Whether an fq_codel marks packets (ECN) instead of dropping them. */
enum netstrat_qdisc_ecn {
    NETSTRAT_QDISC_ECN_DEFAULT,
    NETSTRAT_QDISC_ECN_ON,
    NETSTRAT_QDISC_ECN_OFF
};

/** struct netstrat_qdisc - A queueing discipline, its settings and its counters. */
struct netstrat_qdisc {
    int32_t index;   /* the index of the link */
    uint32_t handle; /* its major number in the upper 16 bits; 0 lets the kernel choose */
    /* TC_H_ROOT (linux/pkt_sched.h), or the handle of a class; 0 for TC_H_ROOT. Of the kind
     * "ingress", TC_H_INGRESS is encoded whatever it is. */
    uint32_t parent;
    /* "tbf", "netem", "fq_codel" or "ingress"; any kind if decoded. Each setting below names the
     * kinds that have it. */
    char kind[NETSTRAT_NAME_SIZE];
    uint32_t limit;     /* tbf: bytes; netem: packets, 0 for 1,000; fq_codel: packets, 0 for any */
    uint64_t rate;      /* tbf, netem: bytes per second; 0 in netem for no limit */
    uint32_t burst;     /* tbf: bytes that may pass at once; encoded only */
    uint64_t burst_ns;  /* tbf: the time that `burst` takes at `rate`, in ns; decoded only */
    uint64_t delay_ns;  /* netem: at most 274 s, in steps of 64 ns */
    uint64_t jitter_ns; /* netem: what is added to `delay_ns` or subtracted, at most */
    uint32_t loss;      /* netem: the probability of a loss; UINT32_MAX is 1 */
    uint32_t duplicate; /* netem: the probability of a second copy; UINT32_MAX is 1 */
    uint32_t target_us; /* fq_codel: the acceptable delay; 0 for the default (5 ms) */
    uint32_t interval_us; /* fq_codel: the time to measure the delay; 0 for the default (100 ms) */
    uint32_t quantum;     /* fq_codel: bytes of a flow's turn; 0 for the default (the MTU) */
    uint8_t ecn;          /* fq_codel: enum netstrat_qdisc_ecn */
    /* Decoded only. */
    uint64_t bytes;      /* sent */
    uint32_t packets;    /* sent */
    uint32_t dropped;    /* packets */
    uint32_t overlimits; /* how often a packet had to wait */
    uint32_t backlog;    /* bytes that wait now */
    uint32_t queued;     /* packets that wait now */
};

/**
 * netstrat_batch_add_qdisc() - Adds a queueing discipline.
 * @batch: the batch
 * @qdisc: the queueing discipline. -EINVAL if its kind is not listed above, a tbf has no rate,
 *     burst or limit, or a time of a netem is too long. The kernel returns -ENOENT if it does not
 *     have the kind.
 * @replace: 1 to replace one that a user has set. With 0 the kernel then returns -EEXIST.
 */
NETSTRAT_API int netstrat_batch_add_qdisc(struct netstrat_batch *batch,
                                          const struct netstrat_qdisc *qdisc, int replace);

/**
 * netstrat_batch_delete_qdisc() - Adds the deletion of a queueing discipline.
 * @batch: the batch
 * @index: the index of the link
 * @parent: what it is attached to: TC_H_ROOT, TC_H_INGRESS, or the handle of a class
 */
NETSTRAT_API int netstrat_batch_delete_qdisc(struct netstrat_batch *batch, int32_t index,
                                             uint32_t parent);

/**
 * netstrat_batch_dump_qdiscs() - Adds a dump of the queueing disciplines of all links.
 * @batch: the batch
 *
 * The kernel cannot filter this dump.
 */
NETSTRAT_API int netstrat_batch_dump_qdiscs(struct netstrat_batch *batch);

/**
 * netstrat_qdisc_decode() - Reads RTM_NEWQDISC or RTM_DELQDISC.
 * @message: the message
 * @qdisc: receives the queueing discipline. Settings are read for the kinds that can be encoded.
 *
 * Return: 0; -EBADMSG if the message is malformed, truncated or of another type.
 */
NETSTRAT_API int netstrat_qdisc_decode(const struct netstrat_message *message,
                                       struct netstrat_qdisc *qdisc);

/** struct netstrat_filter - A filter on what a link receives. */
struct netstrat_filter {
    int32_t index;      /* the index of the link */
    uint32_t parent;    /* the handle of its queueing discipline; 0xffff0000 is "ingress" */
    uint16_t priority;  /* the filter with the lowest is tried first */
    uint16_t protocol;  /* ETH_P_ (linux/if_ether.h) in host byte order; ETH_P_ALL is 3 */
    uint8_t selects;    /* 1 if it has a selector; 0 for a row about a table of filters */
    uint8_t everything; /* 1 if it is of the kind "u32" and every packet matches */
    int32_t target;     /* the link that it redirects packets to; 0 if it does something else */
};

/**
 * netstrat_batch_add_redirect() - Adds a filter that redirects whatever a link receives.
 * @batch: the batch
 * @index: the index of the link, which must have the queueing discipline "ingress"
 * @target: the index of the link whose queue the packets go through, such as an ifb
 *
 * The filter is of the kind "u32" with the action "mirred". The kernel returns -ENOENT if it does
 * not have one of these.
 */
NETSTRAT_API int netstrat_batch_add_redirect(struct netstrat_batch *batch, int32_t index,
                                             int32_t target);

/**
 * netstrat_batch_dump_filters() - Adds a dump of the filters on what a link receives.
 * @batch: the batch
 * @index: the index of the link
 */
NETSTRAT_API int netstrat_batch_dump_filters(struct netstrat_batch *batch, int32_t index);

/**
 * netstrat_filter_decode() - Reads RTM_NEWTFILTER or RTM_DELTFILTER.
 * @message: the message
 * @filter: receives the filter
 *
 * Return: 0; -EBADMSG if the message is malformed, truncated or of another type.
 */
NETSTRAT_API int netstrat_filter_decode(const struct netstrat_message *message,
                                        struct netstrat_filter *filter);

/* ---- namespace ids (nsids): nsid.c ---- */

/**
 * netstrat_batch_get_nsid() - Adds a query for a namespace's id in the socket's namespace.
 * @batch: the batch
 * @netns: a descriptor of the namespace
 *
 * The reply holds -1 if the namespace has no id. RTM_GETNSID, Linux 4.0.
 */
NETSTRAT_API int netstrat_batch_get_nsid(struct netstrat_batch *batch, int netns);

/**
 * netstrat_batch_add_nsid() - Adds a request to give a namespace an nsid.
 * @batch: the batch
 * @netns: a descriptor of the namespace
 *
 * The kernel chooses the nsid, and returns -EEXIST if the namespace has one. RTM_NEWNSID, Linux
 * 4.0.
 */
NETSTRAT_API int netstrat_batch_add_nsid(struct netstrat_batch *batch, int netns);

/**
 * netstrat_nsid_decode() - Reads RTM_NEWNSID or RTM_DELNSID.
 * @message: the message
 * @nsid: receives the id, or -1
 *
 * Return: 0, or -EBADMSG if the message is malformed, truncated or of another type.
 */
NETSTRAT_API int netstrat_nsid_decode(const struct netstrat_message *message, int32_t *nsid);

/* ---- egress and published ports: nft.c, nft_table.c, nft_elements.c ---- */

/* The table is named pynetstrat, of the family inet. */
#define NETSTRAT_NFT_DORMANT 1     /* a table's flag: its base chains are not called */
#define NETSTRAT_NFT_RULES 21      /* rules of the table */
#define NETSTRAT_OWNER_SIZE 245    /* an owner with its NUL, as in an alias tag */
#define NETSTRAT_NFT_NAME_SIZE 128 /* a table's or chain's name; longer ones are cut */

/* Message types: NFT_MSG_ of linux/netfilter/nf_tables.h (Linux 3.13), with their subsystem. */
#define NETSTRAT_NFT_NEWTABLE 0xa00
#define NETSTRAT_NFT_GETTABLE 0xa01
#define NETSTRAT_NFT_DELTABLE 0xa02
#define NETSTRAT_NFT_NEWCHAIN 0xa03
#define NETSTRAT_NFT_GETCHAIN 0xa04
#define NETSTRAT_NFT_NEWRULE 0xa06
#define NETSTRAT_NFT_GETRULE 0xa07
#define NETSTRAT_NFT_NEWSET 0xa09
#define NETSTRAT_NFT_NEWSETELEM 0xa0c
#define NETSTRAT_NFT_GETSETELEM 0xa0d
#define NETSTRAT_NFT_DELSETELEM 0xa0e
#define NETSTRAT_NFT_NEWGEN 0xa0f
#define NETSTRAT_NFT_GETGEN 0xa10

/** enum netstrat_nft_set - The sets and maps of the table. IPv6 has the odd numbers. */
enum netstrat_nft_set {
    NETSTRAT_NFT_SUBNETS4, /* masqueraded subnets: `address` */
    NETSTRAT_NFT_SUBNETS6,
    NETSTRAT_NFT_HOSTS4, /* masqueraded single addresses: `address`, with an owner */
    NETSTRAT_NFT_HOSTS6,
    NETSTRAT_NFT_NEIGHBOURS4, /* the subnet `address` of a container `target`, with an owner */
    NETSTRAT_NFT_NEIGHBOURS6,
    NETSTRAT_NFT_PORTS4, /* ports of every local address: protocol, port, `target`, owner */
    NETSTRAT_NFT_PORTS6,
    NETSTRAT_NFT_ADDRESS_PORTS4, /* ports of one local address, `address`; otherwise the same */
    NETSTRAT_NFT_ADDRESS_PORTS6,
    NETSTRAT_NFT_SETS /* the number of sets */
};

/** struct netstrat_nft_element - An element of one of the sets. Unused fields are 0. */
struct netstrat_nft_element {
    struct netstrat_prefix address;
    struct netstrat_prefix target; /* the container's address */
    uint16_t port;                 /* the published port, in host byte order */
    uint16_t target_port;          /* the container's port, in host byte order */
    uint8_t protocol;              /* IPPROTO_TCP and others */
    uint8_t is_end; /* 1: the subnet of the element before ends just before `address` */
    char owner[NETSTRAT_OWNER_SIZE]; /* the comment, as nft writes it; "" for none */
    uint8_t zero; /* instead of padding: equal elements that were read have equal bytes */
};

/** struct netstrat_nft_chain - A chain of any table. */
struct netstrat_nft_chain {
    uint8_t family;   /* NFPROTO_ of linux/netfilter.h: 1 inet, 2 IPv4, 10 IPv6, 7 bridge */
    uint8_t is_base;  /* 1 if the chain is called by a hook; otherwise the next fields are 0 */
    uint8_t hook;     /* NF_INET_ of linux/netfilter.h: 2 is forward */
    uint8_t drops;    /* 1 if the policy is NF_DROP */
    int32_t priority; /* chains of a hook run in the order of their priorities */
    char table[NETSTRAT_NFT_NAME_SIZE];
    char name[NETSTRAT_NFT_NAME_SIZE];
};

/**
 * netstrat_batch_begin_nft() - Begins a transaction (NFNL_MSG_BATCH_BEGIN), in an empty batch.
 * @batch: the batch
 * @generation: 0, or the generation that the transaction requires: see
 *     netstrat_batch_get_nft_generation(). The kernel refuses it with -ERESTART if nf_tables have
 *     changed since (Linux 4.10).
 */
NETSTRAT_API int netstrat_batch_begin_nft(struct netstrat_batch *batch, uint32_t generation);

/**
 * netstrat_batch_end_nft() - Ends a transaction (NFNL_MSG_BATCH_END).
 * @batch: the batch
 */
NETSTRAT_API int netstrat_batch_end_nft(struct netstrat_batch *batch);

/**
 * netstrat_batch_add_nft_table() - Adds the creation of the table, its sets, chains and rules.
 * @batch: the batch
 *
 * The kernel refuses it with -EEXIST if the table exists. It needs Linux 5.6. Unlike other
 * encoders it adds several messages, all or none.
 *
 *     chain prerouting, output (dnat): packets to a local address go to the chain published, which
 *         looks up address, protocol and port, then protocol and port, and changes the destination
 *     chain postrouting (snat): masquerades connections to a published port that come from the
 *         container's own subnet, and what leaves the host from the subnets and single addresses
 */
NETSTRAT_API int netstrat_batch_add_nft_table(struct netstrat_batch *batch);

/**
 * netstrat_batch_delete_nft_table() - Adds the deletion of the table and everything in it.
 * @batch: the batch
 */
NETSTRAT_API int netstrat_batch_delete_nft_table(struct netstrat_batch *batch);

/**
 * netstrat_batch_add_nft_elements() - Adds elements to a set, in one message.
 * @batch: the batch
 * @set: enum netstrat_nft_set
 * @elements: the elements. A message can carry about 200.
 * @count: their number, at least 1
 *
 * The kernel refuses the message with -EEXIST if one of them exists, or overlaps another subnet.
 */
NETSTRAT_API int netstrat_batch_add_nft_elements(struct netstrat_batch *batch, uint32_t set,
                                                 const struct netstrat_nft_element *elements,
                                                 size_t count);

/**
 * netstrat_batch_delete_nft_elements() - Deletes elements from a set, in one message.
 * @batch: the batch
 * @set: enum netstrat_nft_set
 * @elements: the elements; only the parts of the key matter
 * @count: their number, at least 1
 *
 * The kernel refuses the message with -ENOENT if one of them does not exist.
 */
NETSTRAT_API int netstrat_batch_delete_nft_elements(struct netstrat_batch *batch, uint32_t set,
                                                    const struct netstrat_nft_element *elements,
                                                    size_t count);

/**
 * netstrat_batch_dump_nft_elements() - Adds a dump of a set (-ENOENT if it does not exist).
 * @batch: the batch
 * @set: enum netstrat_nft_set
 */
NETSTRAT_API int netstrat_batch_dump_nft_elements(struct netstrat_batch *batch, uint32_t set);

/**
 * netstrat_batch_dump_nft_rules() - Adds a dump of rules (NETSTRAT_NFT_NEWRULE).
 * @batch: the batch
 * @all: 1 for those of all tables, 0 for those of ours
 */
NETSTRAT_API int netstrat_batch_dump_nft_rules(struct netstrat_batch *batch, int all);

/**
 * netstrat_batch_dump_nft_chains() - Adds a dump of the chains of all tables.
 * @batch: the batch
 */
NETSTRAT_API int netstrat_batch_dump_nft_chains(struct netstrat_batch *batch);

/**
 * netstrat_batch_get_nft_table() - Adds a query for the table (-ENOENT if it does not exist).
 * @batch: the batch
 */
NETSTRAT_API int netstrat_batch_get_nft_table(struct netstrat_batch *batch);

/**
 * netstrat_batch_get_nft_generation() - Adds a query for the generation of nf_tables.
 * @batch: the batch
 *
 * It changes with every transaction of any program in the namespace. Linux 3.18.
 */
NETSTRAT_API int netstrat_batch_get_nft_generation(struct netstrat_batch *batch);

/**
 * netstrat_nft_generation_decode() - Reads NFT_MSG_NEWGEN.
 * @message: the message
 * @generation: receives the generation, which is never 0
 *
 * Return: 0, or -EBADMSG if the message is malformed, truncated or of another type.
 */
NETSTRAT_API int netstrat_nft_generation_decode(const struct netstrat_message *message,
                                                uint32_t *generation);

/**
 * netstrat_nft_table_decode() - Reads NFT_MSG_NEWTABLE.
 * @message: the message
 * @flags: receives the flags, such as NETSTRAT_NFT_DORMANT
 *
 * Return: 0, or -EBADMSG if the message is malformed, truncated or of another type.
 */
NETSTRAT_API int netstrat_nft_table_decode(const struct netstrat_message *message, uint32_t *flags);

/**
 * netstrat_nft_elements_decode() - Reads NFT_MSG_NEWSETELEM of a dump.
 * @message: the message
 * @elements: receives the list, for netstrat_nft_element_next(); it points into the message
 *
 * Return: 0, or -EBADMSG if the message is malformed, truncated or of another type.
 */
NETSTRAT_API int netstrat_nft_elements_decode(const struct netstrat_message *message,
                                              struct netstrat_cursor *elements);

/**
 * netstrat_nft_element_next() - Takes the next element of a list.
 * @elements: the list; moved past the element
 * @set: enum netstrat_nft_set
 * @element: receives the element. A subnet is two of them: its first address, and the address after
 *     its last with is_end. The second is missing if the subnet ends with the last address of all.
 *
 * Return: 1; 0 at the end; -EBADMSG if the element is malformed or not of that set.
 */
NETSTRAT_API int netstrat_nft_element_next(struct netstrat_cursor *elements, uint32_t set,
                                           struct netstrat_nft_element *element);

/**
 * netstrat_nft_rule_decode() - Reads NFT_MSG_NEWRULE, and looks for the name of an interface in it.
 * @message: the message
 * @interface: a link's name (15 bytes), which a rule contains if it matches the link
 * @chain: receives the family, the table and the name of the chain; its other fields are 0
 *
 * Return: 1 if the rule contains the name, otherwise 0; -EBADMSG if the message is malformed,
 * truncated or of another type.
 */
NETSTRAT_API int netstrat_nft_rule_decode(const struct netstrat_message *message,
                                          const char *interface, struct netstrat_nft_chain *chain);

/**
 * netstrat_nft_chain_decode() - Reads NFT_MSG_NEWCHAIN.
 * @message: the message
 * @chain: receives the chain
 *
 * Return: 0, or -EBADMSG if the message is malformed, truncated or of another type.
 */
NETSTRAT_API int netstrat_nft_chain_decode(const struct netstrat_message *message,
                                           struct netstrat_nft_chain *chain);

/**
 * netstrat_nft_chain_differs() - Compares a chain with the one of the table that has its name.
 * @chain: the chain
 *
 * Return: 1 if netstrat_batch_add_nft_table() adds it with another hook, priority or policy;
 * otherwise 0, also for any other chain.
 */
NETSTRAT_API int netstrat_nft_chain_differs(const struct netstrat_nft_chain *chain);

/* ---- one netlink socket: socket.c ---- */

/**
 * struct netstrat_socket - A socket and the state of the call in progress.
 *
 * The caller may set `timeout_ms`, `deadline_ms`, `shared_deadline`, the buffer and the callbacks
 * between calls. The other fields are for reading.
 */
struct netstrat_socket {
    int fd;              /* -1 if closed */
    int is_open;         /* 1 from netstrat_socket_open() to netstrat_socket_close() */
    int in_call;         /* 1 during a call; another call then returns -EBUSY */
    int unfinished;      /* 1 if a call ended before its last reply: the next drains the queue */
    int overrun;         /* 1 from ENOBUFS until the queue has been found empty */
    int timeout_ms;      /* for one call; 0 or less reads only what is already queued */
    int64_t deadline_ms; /* on CLOCK_MONOTONIC; 0 until the first wait of a call */
    int shared_deadline; /* 1 to keep the deadline from call to call */
    uint32_t datagram_budget; /* datagrams that a call with a timeout of 0 may still read */
    uint32_t sequence;        /* the sequence number of the newest request */
    uint32_t port;            /* the socket's port id; 0 until it joins a group */
    uint64_t groups;          /* bit N - 1 is set if the socket has joined multicast group N */
    unsigned char *buffer;    /* receives datagrams */
    size_t buffer_size;
    size_t required_size;     /* after -EMSGSIZE: the buffer size that the reply needs */
    int all_namespaces;       /* 1 after netstrat_socket_listen_all_nsid() */
    int32_t datagram_nsid;    /* the nsid that the newest datagram is about; -1 for the socket's */
    uint32_t datagram_groups; /* the group (1 to 32) it was sent to, as a bit; 0 for unicast */
    /* Called, if not NULL, when a signal interrupts a wait, and every 100 ms of a wait, because a
     * signal that arrives just before a wait does not interrupt it. A nonzero value ends the call
     * with -EINTR. */
    int (*interrupted)(void *context);
    void *interrupted_context;
    /* Called, if not NULL, with each message that is not a reply: a notification or an echo
     * (NLM_F_ECHO). The message is NULL if some were lost. */
    void (*notified)(const struct netstrat_message *message, void *context);
    void *notified_context;
};

/**
 * netstrat_socket_open() - Opens a socket in the network namespace of the calling thread.
 * @sock: receives the socket, which is closed after a failure
 * @buffer: receives datagrams; must live as long as the socket. 4 KiB hold the replies to changes
 *     of links, NETSTRAT_BUFFER_SIZE those to everything else, unless a link has many alternative
 *     names.
 * @size: the size of @buffer in bytes, at least 36
 *
 * The socket keeps its namespace alive, and stays in it when the thread leaves. A child process
 * must not use its parent's sockets: parent and child would take each other's replies.
 *
 * Any call on a socket can fail in these ways:
 *
 *   -ETIMEDOUT  the deadline passed: timeout_ms after the first wait of the call, or of the first
 *               call if shared_deadline is set (until the caller sets deadline_ms to 0). The
 *               deadline does not cover time the kernel spends waiting for the RTNL lock inside
 *               send() or a dump's recvfrom().
 *   -EINTR      the callback `interrupted` ended the call.
 *   -EBUSY      a callback called the socket that called it. It may close the socket; the call in
 *               progress then returns -EBADF.
 *   -EMSGSIZE   the reply does not fit the buffer. A call with a buffer of sock->required_size
 *               bytes works. With a buffer of less than 36 bytes nothing is sent.
 *   -ENOBUFS    replies were lost because the receive queue was full.
 *   -EBADMSG    a reply is malformed.
 *
 * Return: 0, or -errno of socket().
 */
NETSTRAT_API int netstrat_socket_open(struct netstrat_socket *sock, void *buffer, size_t size,
                                      struct netstrat_error *error);

/**
 * netstrat_socket_open_protocol() - Opens a socket of another netlink protocol.
 * @sock: as for netstrat_socket_open()
 * @buffer: as for netstrat_socket_open()
 * @size: as for netstrat_socket_open()
 * @protocol: NETLINK_ROUTE, or NETLINK_NETFILTER for nf_tables (linux/netlink.h)
 *
 * Return: 0, or -errno of socket().
 */
NETSTRAT_API int netstrat_socket_open_protocol(struct netstrat_socket *sock, void *buffer,
                                               size_t size, int protocol,
                                               struct netstrat_error *error);

/**
 * netstrat_socket_close() - Closes a socket.
 * @sock: a socket that is open or closed, failed to open, or is NETSTRAT_SOCKET_INIT
 */
NETSTRAT_API void netstrat_socket_close(struct netstrat_socket *sock);

/**
 * netstrat_socket_join() - Joins a multicast group.
 * @sock: the socket
 * @group: RTNLGRP_LINK or another of linux/rtnetlink.h
 *
 * From now on calls on the socket pass the notifications they receive to `notified`. Replies and
 * notifications share one queue, so a reply is newer than every notification before it.
 *
 * Use such a socket for queries and dumps, and another for changes (netstrat_socket_open_beside()):
 * the notifications of a change compete with its ack for the receive queue. See netstrat_execute().
 *
 * Return: 0; -EINVAL if the group does not exist; -EBUSY in a callback.
 */
NETSTRAT_API int netstrat_socket_join(struct netstrat_socket *sock, uint32_t group,
                                      struct netstrat_error *error);

/**
 * netstrat_socket_listen_all_nsid() - Receives the notifications of other namespaces too.
 * @sock: the socket
 *
 * They come from every namespace that has an nsid in the socket's namespace and over which it has
 * CAP_NET_BROADCAST. No namespace is kept alive. sock->datagram_nsid identifies the origin and is
 * valid only inside `notified`. NETLINK_LISTEN_ALL_NSID, Linux 4.2.
 *
 * Return: 0; -ENOPROTOOPT if the kernel is older; -EBUSY in a callback.
 */
NETSTRAT_API int netstrat_socket_listen_all_nsid(struct netstrat_socket *sock,
                                                 struct netstrat_error *error);

/**
 * netstrat_socket_process_pending() - Passes all queued notifications to `notified`.
 * @sock: the socket
 *
 * Return: 0, or a failure of any call.
 */
NETSTRAT_API int netstrat_socket_process_pending(struct netstrat_socket *sock,
                                                 struct netstrat_error *error);

/**
 * netstrat_socket_set_strict() - Asks the kernel to filter dumps by their index.
 * @sock: the socket
 *
 * NETLINK_GET_STRICT_CHK, Linux 4.20. If it fails, dumps contain everything.
 *
 * Return: 0; -ENOPROTOOPT if the kernel is older; -EBUSY in a callback.
 */
NETSTRAT_API int netstrat_socket_set_strict(struct netstrat_socket *sock,
                                            struct netstrat_error *error);

/**
 * netstrat_socket_set_receive_buffer() - Sets the size of the receive queue.
 * @sock: the socket
 * @size: bytes, as the kernel counts them: about 4,600 for the notification of a link
 *
 * SO_RCVBUFFORCE, which needs CAP_NET_ADMIN in the initial user namespace; otherwise SO_RCVBUF,
 * which is limited to twice /proc/sys/net/core/rmem_max.
 *
 * Return: 0, or -EBUSY in a callback.
 */
NETSTRAT_API int netstrat_socket_set_receive_buffer(struct netstrat_socket *sock, uint32_t size,
                                                    struct netstrat_error *error);

/**
 * netstrat_socket_receive() - Takes one datagram from the queue without waiting.
 * @sock: the socket
 * @datagram: receives the datagram, which stays in sock->buffer until the next call;
 *     datagram->missing is the number of truncated bytes
 *
 * Return: 0; -EAGAIN if the queue is empty; -ENOBUFS if notifications were lost. Further losses are
 * silent until the queue is drained: start a new dump only after -EAGAIN.
 */
NETSTRAT_API int netstrat_socket_receive(struct netstrat_socket *sock,
                                         struct netstrat_cursor *datagram,
                                         struct netstrat_error *error);

/* ---- exchanges on a socket: exchange.c ---- */

/**
 * netstrat_execute() - Sends a batch of changes and reads the ack of each message.
 * @sock: the socket
 * @batch: messages with NLM_F_REQUEST and NLM_F_ACK. Their sequence numbers are written.
 * @results: receives one result per message: 0, -errno, or NETSTRAT_PENDING if its ack was not
 *     read. They are unspecified if nothing was sent.
 *
 * The kernel processes the messages in order and continues after one that fails: a batch is not a
 * transaction. It is sent in parts whose acks fit the receive queue, however small that is.
 *
 * A socket that has joined multicast groups leaves them during the call, so that notifications
 * cannot displace acks. `notified` is then called with NULL, because notifications were missed. Use
 * a second socket for changes to avoid that.
 *
 * Return: 0 if all succeeded; -errno of the first message that failed, whose number is error->item;
 * or a failure of any call. With NETSTRAT_OP_BATCH nothing was sent: -EINVAL if message error->item
 * is malformed, does not request an ack, or is a dump; and -ENOBUFS if it asks for a reply
 * (NLM_F_ECHO, or a GET) that the receive queue cannot hold.
 */
NETSTRAT_API int netstrat_execute(struct netstrat_socket *sock, struct netstrat_batch *batch,
                                  int *results, struct netstrat_error *error);

/**
 * netstrat_execute_atomic() - Sends a transaction and reads its ack.
 * @sock: a socket of NETLINK_NETFILTER, which has joined no group
 * @batch: netstrat_batch_begin_nft(), messages that change something, netstrat_batch_end_nft().
 *     Their sequence numbers are written, and NLM_F_ACK of the last change.
 *
 * The kernel makes all changes or none. It does both before send() returns.
 *
 * Return: 0; -errno of the first change that failed, whose number is error->item; -errno of the
 * transaction (-ERESTART: see netstrat_batch_begin_nft()), with the number 0; -EINVAL with
 * NETSTRAT_OP_BATCH if @batch is not a transaction (nothing was sent); or a failure of any call:
 * the transaction may then have been made.
 */
NETSTRAT_API int netstrat_execute_atomic(struct netstrat_socket *sock, struct netstrat_batch *batch,
                                         struct netstrat_error *error);

/**
 * netstrat_query() - Sends one query and waits for its reply.
 * @sock: the socket
 * @batch: one GET without NLM_F_DUMP
 * @whole: 0 to accept a reply that is larger than the buffer: answer->payload.missing is then not 0
 * @answer: receives the reply, which stays in sock->buffer until the next call
 *
 * The query is tried up to 16 times if replies are lost.
 *
 * Return: 0; the -errno that the kernel replied with; -EINVAL with NETSTRAT_OP_BATCH if @batch is
 * not one query (nothing was sent); or a failure of any call.
 */
NETSTRAT_API int netstrat_query(struct netstrat_socket *sock, struct netstrat_batch *batch,
                                int whole, struct netstrat_message *answer,
                                struct netstrat_error *error);

/**
 * netstrat_dump() - Sends one dump request and passes each message of the reply to a callback.
 * @sock: the socket
 * @batch: one GET with NLM_F_DUMP
 * @each: the callback. A NULL message starts a try: discard the messages before it. A negative
 *     value ends the dump and is returned; a positive value ends it successfully.
 * @context: passed to @each
 *
 * A dump is tried up to 16 times if the kernel marks it as inconsistent (NLM_F_DUMP_INTR, Linux
 * 3.1) or replies are lost. On a socket that has joined a group, every change is reported: one
 * during the dump is passed to `notified`, or `notified` is called with NULL.
 *
 * Return: 0; the negative value that @each returned; the -errno that the kernel replied with;
 * -EAGAIN if every try was inconsistent; -EINVAL with NETSTRAT_OP_BATCH if @batch is not one dump
 * request (nothing was sent); or a failure of any call.
 */
NETSTRAT_API int netstrat_dump(struct netstrat_socket *sock, struct netstrat_batch *batch,
                               int (*each)(const struct netstrat_message *message, void *context),
                               void *context, struct netstrat_error *error);

/**
 * netstrat_dump_copy() - Makes a dump and copies its messages.
 * @sock: the socket
 * @batch: one GET with NLM_F_DUMP
 * @buffer: receives the messages that fit, one after the other, for netstrat_message_next()
 * @size: the size of @buffer in bytes
 * @used: receives the size of all messages. If it exceeds @size, call again with a larger buffer.
 *
 * Return: as for netstrat_dump(); -EOVERFLOW if the size of the messages overflows.
 */
NETSTRAT_API int netstrat_dump_copy(struct netstrat_socket *sock, struct netstrat_batch *batch,
                                    void *buffer, size_t size, size_t *used,
                                    struct netstrat_error *error);

/**
 * netstrat_send() - Sends one request without waiting for its reply.
 * @sock: the socket
 * @batch: one request, whose replies will have the sequence number sock->sequence
 *
 * The caller reads every datagram with netstrat_socket_receive().
 *
 * Return: 0; -EINVAL with NETSTRAT_OP_BATCH if @batch is not one request, or is a change and the
 * socket has joined a group; or -errno of send().
 */
NETSTRAT_API int netstrat_send(struct netstrat_socket *sock, struct netstrat_batch *batch,
                               struct netstrat_error *error);

/* ---- which index has which name: name_cache.c ---- */

/**
 * struct netstrat_name_watch - Records the links that appear, change their name or disappear.
 *
 * The caller sets the two arrays and their sizes, and may replace them between calls, with a zeroed
 * `known`. It reads `changes` and then sets `count` to 0. A notification that does not change a
 * cached name is not recorded.
 */
struct netstrat_name_watch {
    struct netstrat_link_name *changes;
    uint32_t room;  /* entries of `changes` */
    uint32_t count; /* changes recorded; above `room`, some were lost and every name may be stale */
    struct netstrat_link_name *known; /* the name cache; may be NULL */
    uint32_t known_size; /* entries: 0 or a power of two, ideally above the number of links */
};

/**
 * netstrat_name_watch_start() - Joins RTNLGRP_LINK and records changes in @watch from now on.
 * @watch: receives the changes during calls on the socket; must stay at its address
 * @sock: the socket, whose `notified` is set
 *
 * Return: as for netstrat_socket_join().
 */
NETSTRAT_API int netstrat_name_watch_start(struct netstrat_name_watch *watch,
                                           struct netstrat_socket *sock,
                                           struct netstrat_error *error);

/* ---- whole operations: operations.c ---- */

/**
 * netstrat_link_set_up() - Sets a link up.
 * @sock: the socket
 * @name: the link's name or alternative name
 *
 * If the kernel refuses for lack of CAP_NET_ADMIN, the link is looked up: it is a success if the
 * link is up already.
 *
 * Return: 0; -ENODEV if the link does not exist; -EPERM; -EINVAL if the name is invalid; or a
 * failure of netstrat_execute().
 */
NETSTRAT_API int netstrat_link_set_up(struct netstrat_socket *sock, const char *name,
                                      struct netstrat_error *error);

/**
 * netstrat_link_set_down() - Sets a link down.
 * @sock: the socket
 * @name: the link's name or alternative name
 *
 * Return: as for netstrat_link_set_up().
 */
NETSTRAT_API int netstrat_link_set_down(struct netstrat_socket *sock, const char *name,
                                        struct netstrat_error *error);

/**
 * netstrat_link_set_up_once() - Sets a link up, on a socket opened for this call.
 * @name: the link's name or alternative name
 *
 * Return: as for netstrat_link_set_up(), or -errno of socket().
 */
NETSTRAT_API int netstrat_link_set_up_once(const char *name, struct netstrat_error *error);

/**
 * netstrat_link_set_down_once() - Sets a link down, on a socket opened for this call.
 * @name: the link's name or alternative name
 *
 * Return: as for netstrat_link_set_up(), or -errno of socket().
 */
NETSTRAT_API int netstrat_link_set_down_once(const char *name, struct netstrat_error *error);

/**
 * netstrat_link_is_up() - Reads whether a link is up (IFF_UP).
 * @sock: the socket
 * @name: the link's name or alternative name
 *
 * Return: 1 if up, 0 if down; -ENODEV; -EINVAL; or a failure of netstrat_query().
 */
NETSTRAT_API int netstrat_link_is_up(struct netstrat_socket *sock, const char *name,
                                     struct netstrat_error *error);

/**
 * netstrat_link_get() - Reads one link by name.
 * @sock: the socket
 * @name: the link's name or alternative name
 * @link: receives the link; parts of it point into sock->buffer, which the next call overwrites
 * @counters: receives its counters; may be NULL
 *
 * Return: 0; -ENODEV if the link does not exist; -EINVAL if the name is invalid; or a failure of
 * netstrat_query().
 */
NETSTRAT_API int netstrat_link_get(struct netstrat_socket *sock, const char *name,
                                   struct netstrat_link *link, struct netstrat_counters *counters,
                                   struct netstrat_error *error);

/**
 * netstrat_link_get_index() - Reads one link by index.
 * @sock: the socket
 * @index: the link's index
 * @link: as for netstrat_link_get()
 * @counters: as for netstrat_link_get()
 *
 * Return: 0; -ENODEV if the link does not exist; or a failure of netstrat_query().
 */
NETSTRAT_API int netstrat_link_get_index(struct netstrat_socket *sock, int32_t index,
                                         struct netstrat_link *link,
                                         struct netstrat_counters *counters,
                                         struct netstrat_error *error);

/**
 * netstrat_counters_read() - Reads a link's counters, on any kernel and with a buffer of any size.
 * @sock: the socket
 * @watch: NULL, or a watch started on this socket for this link alone, whose `count` is read and
 *     cleared
 * @name: the link's name or alternative name
 * @found: NULL, or the link's index and name: zeroed before the first call, then kept up to date
 * @counters: receives the counters
 *
 * With @watch and @found, repeated calls use RTM_GETSTATS by index while no link changes, which is
 * several times as fast as a query by name.
 *
 * Return: 0; -ENODEV if the link does not exist; -EINVAL if the name is invalid; -EAGAIN if the
 * reply does not fit the buffer and the link was replaced 16 times; or a failure of
 * netstrat_query().
 */
NETSTRAT_API int netstrat_counters_read(struct netstrat_socket *sock,
                                        struct netstrat_name_watch *watch, const char *name,
                                        struct netstrat_link_name *found,
                                        struct netstrat_counters *counters,
                                        struct netstrat_error *error);

/**
 * netstrat_counters_read_once() - Reads a link's counters, on a socket opened for this call.
 * @name: the link's name or alternative name
 * @counters: receives the counters
 *
 * Return: as for netstrat_counters_read(), or -errno of socket().
 */
NETSTRAT_API int netstrat_counters_read_once(const char *name, struct netstrat_counters *counters,
                                             struct netstrat_error *error);

/**
 * netstrat_counters_get_by_name() - Reads a link's counters by one query (RTM_GETLINK).
 * @sock: the socket
 * @watch: NULL, or a watch whose cache stores the name
 * @name: the link's name or alternative name
 * @found: receives the link's index and name
 * @counters: receives the counters
 *
 * Return: as for netstrat_link_get().
 */
NETSTRAT_API int netstrat_counters_get_by_name(struct netstrat_socket *sock,
                                               struct netstrat_name_watch *watch, const char *name,
                                               struct netstrat_link_name *found,
                                               struct netstrat_counters *counters,
                                               struct netstrat_error *error);

/**
 * netstrat_counters_get() - Reads a link's counters by index (RTM_GETSTATS, Linux 4.7).
 * @sock: the socket
 * @watch: NULL, or a watch started on this socket
 * @index: the link's index
 * @counters: receives the counters
 *
 * Return: watch->count, the changes recorded up to the reply (0 if @watch is NULL): 0 means that
 * the index still belongs to the link the caller knows; -ENODEV if the link does not exist;
 * -EOPNOTSUPP if the kernel is older or an emulator refuses the message (use
 * netstrat_counters_get_by_name()); or a failure of netstrat_query().
 */
NETSTRAT_API int netstrat_counters_get(struct netstrat_socket *sock,
                                       const struct netstrat_name_watch *watch, int32_t index,
                                       struct netstrat_counters *counters,
                                       struct netstrat_error *error);

/**
 * netstrat_link_names_dump() - Dumps the index and name of every link.
 * @sock: the socket
 * @watch: NULL, or a watch whose cache stores the names
 * @names: receives the first @room of them; its contents are unspecified after a failure
 * @room: entries of @names
 *
 * The kernel does not mark a dump as inconsistent if two links exchange their names during it: one
 * name then appears twice, and the other is missing. A caller who finds links by name and receives
 * no notifications should repeat a dump with a duplicate name.
 *
 * Return: the number of links, which may exceed @room: call again with more room; or a failure of
 * netstrat_dump().
 */
NETSTRAT_API int netstrat_link_names_dump(struct netstrat_socket *sock,
                                          struct netstrat_name_watch *watch,
                                          struct netstrat_link_name *names, size_t room,
                                          struct netstrat_error *error);

/**
 * netstrat_counters_dump() - Dumps the counters of every link by index (RTM_GETSTATS, Linux 4.7).
 * @sock: the socket
 * @indexes: receives the indexes; its contents are unspecified after a failure
 * @counters: receives the counters; its contents are unspecified after a failure
 * @room: entries of each array
 *
 * Return: as for netstrat_link_names_dump(); -EOPNOTSUPP as for netstrat_counters_get().
 */
NETSTRAT_API int netstrat_counters_dump(struct netstrat_socket *sock, int32_t *indexes,
                                        struct netstrat_counters *counters, size_t room,
                                        struct netstrat_error *error);

/**
 * netstrat_counters_dump_by_name() - Dumps the name and counters of every link, on any kernel.
 * @sock: the socket
 * @names: receives the names; its contents are unspecified after a failure
 * @counters: receives the counters; its contents are unspecified after a failure
 * @room: entries of each array
 *
 * It takes several times as long as netstrat_counters_dump(). Names may be exchanged during it: see
 * netstrat_link_names_dump().
 *
 * Return: as for netstrat_link_names_dump().
 */
NETSTRAT_API int netstrat_counters_dump_by_name(struct netstrat_socket *sock,
                                                struct netstrat_link_name *names,
                                                struct netstrat_counters *counters, size_t room,
                                                struct netstrat_error *error);

/* ---- whole operations of nf_tables: nft_operations.c ---- */

/**
 * netstrat_nft_generation_get() - Reads the generation that netstrat_batch_begin_nft() takes.
 * @sock: a socket of NETLINK_NETFILTER
 * @generation: receives the generation, which is never 0
 *
 * Return: 0, or a failure of netstrat_query(); -EBADMSG if the answer is malformed.
 */
NETSTRAT_API int netstrat_nft_generation_get(struct netstrat_socket *sock, uint32_t *generation,
                                             struct netstrat_error *error);

/**
 * netstrat_nft_elements_dump() - Dumps the elements of a set.
 * @sock: a socket of NETLINK_NETFILTER
 * @set: enum netstrat_nft_set
 * @elements: receives the elements, as netstrat_nft_element_next() reads them; its contents are
 *     unspecified after a failure
 * @room: the length of @elements
 *
 * Return: the number of elements, which may exceed @room: call again with more room; -ENOENT if the
 * set does not exist; -EBADMSG for NFT_MSG_GETSETELEM if it is not a set of this table; or another
 * failure of netstrat_dump().
 */
NETSTRAT_API int netstrat_nft_elements_dump(struct netstrat_socket *sock, uint32_t set,
                                            struct netstrat_nft_element *elements, size_t room,
                                            struct netstrat_error *error);

/* ---- the counters of many namespaces: containers.c ---- */

/** struct netstrat_netns_link - A link of another namespace, and where its peer is. */
struct netstrat_netns_link {
    int32_t index;
    int32_t peer;       /* the index of a veth's peer in the socket's namespace, or 0 */
    int32_t peer_index; /* the index of a veth's peer in another namespace, or 0 */
    int32_t peer_nsid;  /* the nsid, in the socket's namespace, of the peer's namespace; or -1 */
    int32_t master; /* the index of the bridge or other master that the link is a port of, or 0 */
    int32_t is_bridge; /* 1 if the link is a bridge, otherwise 0 */
    char name[NETSTRAT_NAME_SIZE];
};

/**
 * netstrat_netns_links_dump() - Dumps a namespace's links and their counters.
 * @sock: the socket
 * @nsid: the namespace's id in the socket's namespace, or -1 for the socket's namespace
 * @self_nsid: the nsid the socket's namespace assigns to itself, used to recognise peers located in
 *     it; -1 if it has none
 * @indexes: receives the links' indexes; its contents are unspecified after a failure
 * @links: receives the links; its contents are unspecified after a failure
 * @counters: receives the counters from the namespace's perspective; its contents are unspecified
 *     after a failure
 * @room: entries of each array
 *
 * Loopback links are left out. If links change during each try, the third dump is used even if it
 * is inconsistent: each link was then correct at some moment of the call. A link with so many
 * alternative names that it needs more than 32 KiB ends the kernel's dump early: read it by
 * netstrat_netns_link_get(). Linux 4.15, and CAP_NET_ADMIN over the namespace.
 *
 * Return: the number of links, which may exceed @room; -EINVAL if the namespace does not exist;
 * -EBADMSG also if the kernel is older than 4.15; or a failure of netstrat_dump().
 */
NETSTRAT_API int netstrat_netns_links_dump(struct netstrat_socket *sock, int32_t nsid,
                                           int32_t self_nsid, int32_t *indexes,
                                           struct netstrat_netns_link *links,
                                           struct netstrat_counters *counters, size_t room,
                                           struct netstrat_error *error);

/**
 * netstrat_netns_link_get() - Reads one link of a namespace with its counters.
 * @sock: the socket
 * @nsid: the namespace's id in the socket's namespace
 * @self_nsid: as for netstrat_netns_links_dump()
 * @index: the link's index in the namespace
 * @link: receives the link
 * @counters: receives its counters
 *
 * Return: 1; 0 if the link is a loopback; -ENODEV if it does not exist; -EINVAL if the namespace
 * does not exist or an argument is negative; -EBADMSG also if the kernel is older than 4.15; or a
 * failure of netstrat_query().
 */
NETSTRAT_API int netstrat_netns_link_get(struct netstrat_socket *sock, int32_t nsid,
                                         int32_t self_nsid, int32_t index,
                                         struct netstrat_netns_link *link,
                                         struct netstrat_counters *counters,
                                         struct netstrat_error *error);

/** struct netstrat_veth_peer - A veth of the socket's namespace and its peer in another one. */
struct netstrat_veth_peer {
    int32_t index; /* the veth's index */
    int32_t peer;  /* the peer's index in the namespace `nsid` */
    int32_t nsid;
    char alias[NETSTRAT_ALIAS_SIZE]; /* the veth's alias, "" if it has none */
};

/**
 * netstrat_veth_peers_dump() - Dumps the veths whose peer is in another namespace that has an nsid.
 * @sock: the socket
 * @peers: receives the first @room of them; its contents are unspecified after a failure
 * @room: entries of @peers
 *
 * Return: the number of such veths, which may exceed @room; or a failure of netstrat_dump().
 */
NETSTRAT_API int netstrat_veth_peers_dump(struct netstrat_socket *sock,
                                          struct netstrat_veth_peer *peers, size_t room,
                                          struct netstrat_error *error);

/** struct netstrat_gather_entry - A link, and the row of a table for its counters. */
struct netstrat_gather_entry {
    int32_t index;
    uint32_t row;
    uint32_t swapped; /* 1 to exchange rx and tx, because the link is the peer of the row's link */
};

/**
 * netstrat_counters_gather() - Copies counters from a dump into the rows of a table.
 * @indexes: the indexes of the dump's links
 * @counters: the dump's counters
 * @count: entries of @indexes and @counters
 * @entries: which link goes into which row. Fastest if sorted in the order of the dump.
 * @entry_count: entries of @entries
 * @rows: the table; rows of links that are not in the dump are not written
 *
 * Return: the number of rows written.
 */
NETSTRAT_API size_t netstrat_counters_gather(const int32_t *indexes,
                                             const struct netstrat_counters *counters, size_t count,
                                             const struct netstrat_gather_entry *entries,
                                             size_t entry_count, struct netstrat_counters *rows);

/** enum netstrat_record - The ids that a struct netstrat_id_recorder records. */
enum netstrat_record {
    NETSTRAT_RECORD_ENDED,     /* nsids of namespaces that ended (RTM_DELNSID) */
    NETSTRAT_RECORD_DELETED,   /* indexes of links that left the socket's namespace (RTM_DELLINK) */
    NETSTRAT_RECORD_NAMESPACES /* nsids of other namespaces in which any link changed */
};

/**
 * struct netstrat_final - The counters of a link that was deleted, as its RTM_DELLINK has them.
 *
 * Those of a veth are what this end has sent (tx), and drops and errors: the kernel separates the
 * ends before it sends the notification. A link that moves to another namespace has no entry.
 */
struct netstrat_final {
    int32_t nsid;                      /* the nsid of the link's namespace; -1 for the socket's */
    int32_t index;                     /* the link's index; 0: the kernel has released `nsid` */
    struct netstrat_counters counters; /* zeros if `index` is 0 */
};

/**
 * struct netstrat_id_recorder - Records ids from notifications, each id once.
 *
 * The caller sets `numbers` and `room`, reads the ids and then sets `count` to 0. To receive the
 * counters of deleted links as well, it sets `finals` and `final_room` after
 * netstrat_id_recorder_start(), and reads them in the same way.
 */
struct netstrat_id_recorder {
    const struct netstrat_socket *sock;
    uint32_t what;    /* enum netstrat_record */
    uint32_t changed; /* NETSTRAT_RECORD_DELETED: 1 once a link has changed in any other way */
    uint32_t room;    /* entries of `numbers` */
    uint32_t count;   /* ids recorded; above `room`, some were lost */
    int32_t *numbers; /* the ids */
    struct netstrat_final *finals; /* in the order of the notifications */
    uint32_t final_room;           /* entries of `finals` */
    uint32_t final_count;          /* entries recorded; above `final_room`, some were lost */
};

/**
 * netstrat_id_recorder_start() - Joins the group for @what and records ids from now on.
 * @recorder: receives the ids during calls on the socket; must stay at its address
 * @what: enum netstrat_record; NETSTRAT_RECORD_NAMESPACES needs Linux 4.2. It joins the group of
 *     nsids as well, so that `finals` are in the order of the ends of namespaces.
 * @sock: the socket, whose `notified` is set; must stay at its address
 *
 * Return: as for netstrat_socket_join() and netstrat_socket_listen_all_nsid().
 */
NETSTRAT_API int netstrat_id_recorder_start(struct netstrat_id_recorder *recorder, uint32_t what,
                                            struct netstrat_socket *sock,
                                            struct netstrat_error *error);

/* ---- settings under /proc/sys: sysctl.c ---- */

enum { NETSTRAT_SYSCTL_SIZE = 128 };

/** struct netstrat_sysctl - A setting to read or to set. */
struct netstrat_sysctl {
    const char *path;                /* beneath /proc/sys: "net/ipv6/conf/eth0/accept_ra" */
    const char *value;               /* the value to set; NULL reads the setting */
    char text[NETSTRAT_SYSCTL_SIZE]; /* receives the value that is read, without a newline */
};

/**
 * netstrat_sysctls_exchange() - Sets or reads settings of the calling thread's network namespace.
 * @sysctls: the settings
 * @count: the number of settings
 *
 * The settings are processed in order. After a failure those before it stay set, and `error->item`
 * is the index of the one that failed. Settings outside of /proc/sys/net belong to the whole
 * system.
 *
 * Return: 0; -EINVAL with NETSTRAT_OP_OPEN_SYSCTL for a path that is too long or has a component
 * "", "." or ".."; -EINVAL with NETSTRAT_OP_WRITE_SYSCTL for a value that the kernel refuses, or of
 * which it takes only a part; -EMSGSIZE with NETSTRAT_OP_READ_SYSCTL for a text that does not fit;
 * or -errno of open(), read() or write().
 */
NETSTRAT_API int netstrat_sysctls_exchange(struct netstrat_sysctl *sysctls, size_t count,
                                           struct netstrat_error *error);

/* ---- other network namespaces: netns.c, the only file that needs pthread ---- */

/**
 * netstrat_socket_open_at() - Opens a socket in another network namespace.
 * @sock: receives the socket, which is closed after a failure and keeps the namespace alive
 * @buffer: as for netstrat_socket_open()
 * @size: as for netstrat_socket_open()
 * @netns: a descriptor of the namespace, or a pidfd (Linux 5.8)
 *
 * A short-lived thread, which takes no signals, enters the namespace; the caller's threads do not
 * move. Needs CAP_SYS_ADMIN over the namespace and in the caller's user namespace. Linux 3.0.
 *
 * Return: 0; -EPERM; -EINVAL with NETSTRAT_OP_SETNS if @netns is of another kind; -ESRCH if the
 * process of a pidfd has ended; -EINVAL with NETSTRAT_OP_PTHREAD_CREATE if the caller's future
 * children belong to another pid namespace (unshare(CLONE_NEWPID) or setns()), for which the kernel
 * creates no thread; -EAGAIN if no thread can be created; or -errno of socket().
 */
NETSTRAT_API int netstrat_socket_open_at(struct netstrat_socket *sock, void *buffer, size_t size,
                                         int netns, struct netstrat_error *error);

/**
 * netstrat_socket_open_protocol_at() - Opens a socket of any netlink protocol in a namespace.
 * @sock: as for netstrat_socket_open_at()
 * @buffer: as for netstrat_socket_open()
 * @size: as for netstrat_socket_open()
 * @protocol: as for netstrat_socket_open_protocol()
 * @netns: as for netstrat_socket_open_at()
 *
 * Return: as for netstrat_socket_open_at().
 */
NETSTRAT_API int netstrat_socket_open_protocol_at(struct netstrat_socket *sock, void *buffer,
                                                  size_t size, int protocol, int netns,
                                                  struct netstrat_error *error);

/**
 * netstrat_socket_open_beside() - Opens a socket in the network namespace of another socket.
 * @sock: receives the socket, which is closed after a failure
 * @buffer: as for netstrat_socket_open()
 * @size: as for netstrat_socket_open()
 * @other: the other socket
 *
 * Use it for changes if @other has joined a multicast group. If the calling thread is in that
 * namespace, no capability is needed (Linux 5.14). Otherwise it needs CAP_NET_ADMIN over the
 * namespace to find it (Linux 4.9), and CAP_SYS_ADMIN to enter it.
 *
 * Return: 0; -EPERM with NETSTRAT_OP_SETNS; or as for netstrat_socket_open_at().
 */
NETSTRAT_API int netstrat_socket_open_beside(struct netstrat_socket *sock, void *buffer,
                                             size_t size, const struct netstrat_socket *other,
                                             struct netstrat_error *error);

/**
 * netstrat_sysfs_mount_at() - Mounts the sysfs of another network namespace.
 * @netns: as for netstrat_socket_open_at()
 *
 * See netstrat_sysfs_mount(). Linux 5.2.
 *
 * Return: a descriptor of the mount's root, which does not keep the namespace alive; or a failure
 * of netstrat_sysfs_mount() or netstrat_socket_open_at().
 */
NETSTRAT_API int netstrat_sysfs_mount_at(int netns, struct netstrat_error *error);

/**
 * netstrat_sysctls_exchange_at() - Sets or reads settings of another network namespace.
 * @netns: as for netstrat_socket_open_at()
 * @sysctls: as for netstrat_sysctls_exchange()
 * @count: the number of settings
 *
 * Return: as for netstrat_sysctls_exchange(), or a failure of netstrat_socket_open_at().
 */
NETSTRAT_API int netstrat_sysctls_exchange_at(int netns, struct netstrat_sysctl *sysctls,
                                              size_t count, struct netstrat_error *error);

/**
 * netstrat_netns_open() - Opens the path of a network namespace.
 * @path: /run/netns/NAME, /proc/PID/ns/net or a path like them
 *
 * Return: a descriptor, close-on-exec; or -errno of open(), which is -ENOENT for a process that
 * ends during the call.
 */
NETSTRAT_API int netstrat_netns_open(const char *path, struct netstrat_error *error);

/**
 * netstrat_netns_cookie() - Reads the cookie of a socket's namespace.
 * @sock: a socket opened in the namespace
 * @cookie: receives the cookie
 *
 * A cookie is never reused. SO_NETNS_COOKIE, Linux 5.14.
 *
 * Return: 0, or -ENOPROTOOPT if the kernel is older.
 */
NETSTRAT_API int netstrat_netns_cookie(const struct netstrat_socket *sock, uint64_t *cookie,
                                       struct netstrat_error *error);

/**
 * netstrat_netns_is() - Tests whether a descriptor refers to a network namespace.
 * @fd: the descriptor
 *
 * Return: 1 if so, otherwise 0, and always before Linux 4.11 (NS_GET_NSTYPE).
 */
NETSTRAT_API int netstrat_netns_is(int fd);

/**
 * netstrat_netns_create() - Makes a network namespace.
 *
 * A short-lived thread makes it. Needs CAP_SYS_ADMIN in the caller's user namespace. Linux 3.17.
 *
 * Return: a descriptor, which alone keeps the namespace alive; -EPERM; -ENOSPC if a limit on
 * namespaces is reached; or a failure to create the thread, as for netstrat_socket_open_at().
 */
NETSTRAT_API int netstrat_netns_create(struct netstrat_error *error);

/**
 * netstrat_netns_bind() - Gives a network namespace a name, as `ip netns add` does.
 * @fd: a descriptor of the namespace, open in the calling thread
 * @directory: the directory of the names (/run/netns), which is created if it does not exist
 * @path: the file to create and to mount the namespace on
 *
 * The namespace lives until netstrat_netns_unbind(). The directory becomes a shared mount, so other
 * mount namespaces see the name. That is done under the lock that iproute2 takes (flock() on the
 * directory), or without it after five seconds. Linux 4.11.
 *
 * Return: 0; -EEXIST if @path exists; -EPERM or -EACCES; -EINVAL with NETSTRAT_OP_MOUNT if @fd is
 * not a network namespace; or -errno of mkdir(), open() or mount().
 */
NETSTRAT_API int netstrat_netns_bind(int fd, const char *directory, const char *path,
                                     struct netstrat_error *error);

/**
 * netstrat_netns_unbind() - Deletes a namespace's name.
 * @path: a file with up to 16 mounts on it, or a file or symbolic link without any
 *
 * Return: 0; -EBUSY if more is mounted on it; or -errno of umount2() or unlink().
 */
NETSTRAT_API int netstrat_netns_unbind(const char *path, struct netstrat_error *error);

/**
 * netstrat_netns_enter() - Moves the calling thread into a network namespace.
 * @fd: a descriptor of the namespace, or a pidfd (Linux 5.8)
 *
 * Return: 0; -EPERM; -EINVAL if @fd is of another kind; -ESRCH if the process of a pidfd has ended.
 */
NETSTRAT_API int netstrat_netns_enter(int fd, struct netstrat_error *error);

/**
 * netstrat_mounts_separate() - Moves the calling thread into a new mount namespace.
 *
 * Mounts made in it stay in it; mounts made outside still appear in it, as with `ip netns exec`.
 * The thread gets a working directory and a umask of its own.
 *
 * Return: 0, or -errno of unshare() or mount().
 */
NETSTRAT_API int netstrat_mounts_separate(struct netstrat_error *error);

/**
 * netstrat_mounts_bind() - Mounts a file or directory on another (MS_BIND).
 * @source: the file or directory
 * @target: what to mount it on; must exist
 *
 * Return: 0, or -errno of mount().
 */
NETSTRAT_API int netstrat_mounts_bind(const char *source, const char *target,
                                      struct netstrat_error *error);

/* ---- counters from files: sysfs.c ---- */

/**
 * netstrat_counter_name() - Names the file of a counter.
 * @item: the index of the counter in struct netstrat_counters
 *
 * Return: the name ("rx_bytes"), or NULL if @item is above 7.
 */
NETSTRAT_API const char *netstrat_counter_name(uint32_t item);

/**
 * struct netstrat_sysfs_place - The calling thread's network namespace, and a tree of sysfs.
 *
 * A sysfs shows the network namespace in which it was mounted. One stat cannot tell which that is
 * (see netstrat_sysfs_mount()), but once verified, a (namespace, mount) pair stays valid.
 */
struct netstrat_sysfs_place {
    uint64_t netns_inode; /* st_ino of /proc/thread-self/ns/net, which no other namespace has */
    uint64_t device;      /* st_dev of the tree */
    /* The id of the mount, never reused since Linux 6.8, unique at one moment since 5.8, and 0
     * before. Inodes and devices are reused at once; a mount always shows the same namespace. */
    uint64_t mount;
};

/**
 * netstrat_sysfs_place_get() - Reads the place of the calling thread and of a directory.
 * @at: AT_FDCWD or a directory's descriptor, as for openat(2)
 * @root: the directory of the interfaces: "/sys/class/net", or "class/net" with the descriptor of
 *     netstrat_sysfs_mount()
 * @place: receives the place
 *
 * Linux 3.17.
 *
 * Return: 0; -ENOENT with NETSTRAT_OP_OPEN if the directory does not exist, with
 * NETSTRAT_OP_READLINK if /proc is not mounted; or -errno of openat() or fstat().
 */
NETSTRAT_API int netstrat_sysfs_place_get(int at, const char *root,
                                          struct netstrat_sysfs_place *place,
                                          struct netstrat_error *error);

/**
 * netstrat_sysfs_mount() - Mounts the sysfs of the calling thread's network namespace, detached.
 *
 * The mount has no path and does not keep the namespace alive. Its device (struct
 * netstrat_sysfs_place) equals that of /sys/class/net exactly if /sys shows the thread's namespace.
 * Needs CAP_SYS_ADMIN over the mount namespace and over the network namespace. Linux 5.2.
 *
 * Return: a descriptor of the mount's root; -EPERM; -ENOSYS if the kernel is older or a filter
 * refuses the call; or -errno of fsopen(), fsconfig() or fsmount().
 */
NETSTRAT_API int netstrat_sysfs_mount(struct netstrat_error *error);

/**
 * netstrat_sysfs_read_counter() - Reads one counter from its file, ROOT/NAME/statistics/FILE.
 * @at: as for netstrat_sysfs_place_get()
 * @root: as for netstrat_sysfs_place_get()
 * @name: the interface's name; alternative names have no files
 * @file: the counter's file name
 * @place: NULL, or the place that the thread and the files must have
 * @value: receives the counter
 *
 * Return: 0, or
 *   -EINVAL   with NETSTRAT_OP_LINK_NAME or _FILE: the interface's or the counter's name is invalid
 *   -ENODEV   the interface does not exist
 *   -ENOENT   with NETSTRAT_OP_OPEN: the directory of the interfaces does not exist; with
 *             NETSTRAT_OP_OPENAT: the counter does not
 *   -ELOOP, -EINVAL  with NETSTRAT_OP_OPENAT: the counter is a symbolic link, or not a regular file
 *   -EBADMSG, -ERANGE  with NETSTRAT_OP_PARSE: the file does not hold a counter but error->text
 *   -ESTALE   the thread or the files have another place
 * or -errno of openat() or read(). Linux 2.6.39.
 */
NETSTRAT_API int netstrat_sysfs_read_counter(int at, const char *root, const char *name,
                                             const char *file,
                                             const struct netstrat_sysfs_place *place,
                                             uint64_t *value, struct netstrat_error *error);

/**
 * netstrat_sysfs_read() - Reads the eight counters of an interface from their files.
 * @at: as for netstrat_sysfs_place_get()
 * @root: as for netstrat_sysfs_place_get()
 * @name: as for netstrat_sysfs_read_counter()
 * @place: as for netstrat_sysfs_read_counter()
 * @counters: receives the counters
 *
 * Return: as for netstrat_sysfs_read_counter().
 */
NETSTRAT_API int netstrat_sysfs_read(int at, const char *root, const char *name,
                                     const struct netstrat_sysfs_place *place,
                                     struct netstrat_counters *counters,
                                     struct netstrat_error *error);

/** struct netstrat_sysfs_reader - The eight files of an interface, held open. */
struct netstrat_sysfs_reader {
    int is_open; /* 1 from netstrat_sysfs_reader_open() to netstrat_sysfs_reader_close() */
    int fds[NETSTRAT_COUNTERS];
};

/**
 * netstrat_sysfs_reader_open() - Opens the eight files of an interface.
 * @reader: receives the files, and is closed after a failure
 * @at: as for netstrat_sysfs_place_get()
 * @root: as for netstrat_sysfs_place_get()
 * @name: as for netstrat_sysfs_read_counter()
 * @place: as for netstrat_sysfs_read_counter()
 *
 * The files follow the interface when it is renamed or moved to another network namespace. If that
 * matters, compare netstrat_sysfs_place_get() or open the reader again.
 *
 * Return: as for netstrat_sysfs_read_counter().
 */
NETSTRAT_API int netstrat_sysfs_reader_open(struct netstrat_sysfs_reader *reader, int at,
                                            const char *root, const char *name,
                                            const struct netstrat_sysfs_place *place,
                                            struct netstrat_error *error);

/**
 * netstrat_sysfs_reader_read() - Reads the eight counters.
 * @reader: the reader
 * @counters: receives the counters
 *
 * It takes no kernel lock that other network operations hold for long.
 *
 * Return: 0; -ENODEV if the interface or its namespace no longer exists; -EBADMSG or -ERANGE with
 * NETSTRAT_OP_PARSE; or -errno of pread().
 */
NETSTRAT_API int netstrat_sysfs_reader_read(const struct netstrat_sysfs_reader *reader,
                                            struct netstrat_counters *counters,
                                            struct netstrat_error *error);

/**
 * netstrat_sysfs_reader_close() - Closes a reader.
 * @reader: a reader that is open or closed, failed to open, or is NETSTRAT_SYSFS_READER_INIT
 */
NETSTRAT_API void netstrat_sysfs_reader_close(struct netstrat_sysfs_reader *reader);

/* cffi: end */

#ifdef __cplusplus
}
#endif

#endif
