/* SPDX-License-Identifier: MIT */
/*
 * The system calls of the core, under the control of a test. A program that includes this header is
 * linked with fake_kernel.c, and each system call of the core goes through a wrapper there. Each
 * wrapper counts its calls and can fail; otherwise it makes the real call.
 *
 *     fail_call(RECVFROM, 1, EINTR);            the next recvfrom() fails with EINTR
 *     fail_call(PTHREAD_CREATE, EVERY, EAGAIN); no thread can be created
 *
 * With `kernel.scripted` set, the netlink calls do not reach the real kernel. A test queues the
 * datagrams that recvfrom() returns, before the call or from `kernel.answer`, which runs at each
 * send(). With `kernel.fake_clock` set, poll() does not wait: it adds its timeout to the clock.
 */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

#include <stdint.h>
#include <sys/socket.h>

#include "bytes.h"

enum call {
    SOCKET,
    SETSOCKOPT,
    GETSOCKOPT,
    GETSOCKNAME,
    BIND,
    SEND,
    RECVFROM,
    RECVMSG,
    POLL,
    OPEN,
    OPENAT,
    READ,
    PREAD,
    WRITE,
    CLOSE,
    ACCESS,
    READLINK,
    STAT,
    FSTAT,
    STATX,
    FSTATFS,
    FSOPEN,
    FSCONFIG,
    FSMOUNT,
    SETNS,
    UNSHARE,
    IOCTL,
    MKDIR,
    MOUNT,
    UMOUNT,
    UNLINK,
    FLOCK,
    PTHREAD_CREATE,
    PTHREAD_SIGMASK,
    CALLS
};

/* In place of an errno: the call transfers only a part, or nothing (the end of a file). */
enum { SHORT = -1, NOTHING = -2 };

enum { EVERY = 0 };
enum { FD = 77, KERNEL = 0, STRANGER = 4711, OWN_PORT = 42, QUEUE = 64 };

struct datagram {
    struct bytes bytes;
    uint32_t sender;
    uint32_t groups;
    sa_family_t family;
    socklen_t address_size;
    size_t cut; /* bytes that the datagram has beyond `bytes`, and no buffer has room for */
    int code;   /* an errno that recvfrom() returns instead of a datagram */
};

struct planned_failure {
    enum call call;
    unsigned number; /* which call fails; EVERY: all of them */
    int code;
};

extern struct fake_kernel {
    unsigned calls[CALLS]; /* how often each was called */
    int paused;            /* calls are neither counted nor failed */
    int has_failed;        /* a planned failure has happened */
    struct planned_failure plan[8];
    void (*before)(enum call call, const char *path); /* called first by each wrapper */
    void (*after)(enum call call, int result);        /* called with what the real call returned */
    int passes_for_sysfs;                             /* every file system claims to be a sysfs */
    int fsopen_flags;
    unsigned late_receives;
    int late; /* every other recvfrom() finds nothing, so that the core calls poll() */

    int fake_clock;
    int64_t now_ms;
    int64_t ms_per_look; /* how long each look at the clock takes */

    int scripted;
    struct datagram queue[QUEUE];
    unsigned first, count;
    void (*answer)(void);         /* called by each send() */
    void (*refill)(void);         /* called when the queue is empty */
    uint32_t sequence;            /* of the first message of the last send() */
    uint16_t type;                /* its type */
    uint32_t messages;            /* how many messages the last send() had */
    unsigned char request[16384]; /* what it sent */
    size_t largest;               /* the size of the largest send() */
    int failing_option;           /* the socket option that fails */
    int option_code;              /* with this errno */
    int is_member;                /* of RTNLGRP_LINK */
    unsigned memberships;         /* how often the socket joined or left a group */
    int receive_buffer, send_buffer;
} kernel;

void reset_kernel(void);

/* Makes the call with this number fail: 1 is the next one, EVERY all. */
void fail_call(enum call call, unsigned number, int code);
void fail_option(int option, int code);
unsigned count_calls(void);

/* ---- what the scripted kernel sends ---- */

struct datagram *queue_datagram(uint32_t sender);
struct datagram *last_datagram(void);
void queue_errno(int code);
void queue_ack(uint32_t sender, uint32_t sequence, int32_t code);

/* Queues an ack for each message of the last send(): `code` for message `item`, 0 for the rest. */
void queue_acks(uint32_t item, int32_t code);
void queue_link(uint32_t sequence, uint32_t port, int32_t index, const char *name);
void queue_notification(uint16_t type, int32_t index, const char *name);

/* Queues a message about a link whose end no buffer has room for. */
void queue_cut_link(uint32_t sequence, uint32_t port, int32_t index, const char *name);
void queue_stats(uint16_t flags, uint32_t index);
void queue_done(uint16_t flags, int32_t code);

void put_link(struct bytes *to, uint16_t type, uint16_t flags, uint32_t sequence, uint32_t port,
              int32_t index, const char *name);
void put_stats(struct bytes *to, uint16_t flags, uint32_t sequence, uint32_t index);

#endif
