/* SPDX-License-Identifier: MIT */
/* The wrappers of the system calls, and the kernel that answers from a script. */
/* wrap: socket setsockopt getsockopt getsockname bind send recvfrom recvmsg poll */
/* wrap: open open64 openat openat64 read pread pread64 write close faccessat */
/* wrap: readlink stat stat64 __stat_time64 fstat fstat64 __fstat_time64 fstatfs fstatfs64 */
/* wrap: syscall setns unshare ioctl mkdir mount umount2 unlink flock */
/* wrap: pthread_create pthread_sigmask clock_gettime __clock_gettime64 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>

#include "check.h"
#include "fake_kernel.h"

#ifndef SYS_fsopen /* Linux 5.2; the same numbers on all but alpha and mips */
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif

struct fake_kernel kernel;

/* ---- counting and failing ---- */

void reset_kernel(void)
{
    memset(&kernel, 0, sizeof kernel);
}

void fail_call(enum call call, unsigned number, int code)
{
    struct planned_failure *failure = kernel.plan;

    while (failure->code)
        failure++;
    failure->call = call;
    failure->number = number == EVERY ? EVERY : kernel.calls[call] + number;
    failure->code = code;
}

void fail_option(int option, int code)
{
    kernel.failing_option = option;
    kernel.option_code = code;
}

unsigned count_calls(void)
{
    unsigned count = 0;

    for (int call = 0; call < CALLS; call++)
        count += kernel.calls[call];
    return count;
}

/* Returns what is planned for this call: 0, an errno (set already), SHORT or NOTHING. Several
 * threads may be here at once, hence the atomic operations. */
static int enter(enum call call, const char *path)
{
    unsigned number;

    if (kernel.paused)
        return 0;
    number = __atomic_add_fetch(&kernel.calls[call], 1, __ATOMIC_RELAXED);
    if (kernel.before)
        kernel.before(call, path);
    for (const struct planned_failure *failure = kernel.plan; failure->code; failure++)
        if (failure->call == call && (failure->number == EVERY || failure->number == number)) {
            kernel.has_failed = 1;
            if (failure->code > 0)
                errno = failure->code;
            return failure->code;
        }
    return 0;
}

static int leave(enum call call, int result)
{
    int saved = errno;

    if (kernel.after)
        kernel.after(call, result);
    errno = saved;
    return result;
}

/* Stands in for the option in `failing_option`, and for no other. */
static int fails_for(int option)
{
    if (kernel.failing_option != option || !kernel.option_code)
        return 0;
    errno = kernel.option_code;
    return 1;
}

#define WRAP(result, name, parameters)                                                             \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters

/* A call that is counted, fails if planned, and otherwise is the real one. */
#define WRAP_PLAIN(name, call, path, parameters, arguments)                                        \
    WRAP(int, name, parameters)                                                                    \
    {                                                                                              \
        return enter(call, path) ? -1 : leave(call, __real_##name arguments);                      \
    }

/* ---- netlink ---- */

static uint32_t count_messages(const unsigned char *at, size_t size)
{
    uint32_t count = 0;

    while (size >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr header;

        memcpy(&header, at, sizeof header);
        CHECK(header.nlmsg_len >= sizeof header && header.nlmsg_len <= size);
        at += header.nlmsg_len;
        size -= header.nlmsg_len;
        count++;
    }
    return count;
}

static void note_request(int fd, const void *data, size_t size, int flags)
{
    struct nlmsghdr header;

    memcpy(&header, data, sizeof header);
    if ((header.nlmsg_type & 3) != 2) /* a change is never sent by a member of a group */
        CHECK(!kernel.is_member);
    CHECK(fd == FD && flags == 0 && size >= sizeof header && size <= sizeof kernel.request);
    memcpy(kernel.request, data, size);
    if (size > kernel.largest)
        kernel.largest = size;
    kernel.sequence = header.nlmsg_seq;
    kernel.type = header.nlmsg_type;
    kernel.messages = count_messages(kernel.request, size);
}

WRAP(ssize_t, send, (int fd, const void *data, size_t size, int flags))
{
    int code = enter(SEND, NULL);

    if (code > 0)
        return -1;
    if (kernel.scripted)
        note_request(fd, data, size, flags);
    if (code == SHORT)
        return (ssize_t)size - 4;
    if (!kernel.scripted)
        return __real_send(fd, data, size, flags);
    if (kernel.answer)
        kernel.answer();
    return (ssize_t)size;
}

static ssize_t take_datagram(int fd, void *buffer, size_t size, int flags, struct sockaddr *address,
                             socklen_t *address_size)
{
    struct datagram *datagram;
    struct sockaddr_nl sender;
    size_t length;

    CHECK(flags == (MSG_DONTWAIT | MSG_TRUNC) && *address_size == sizeof sender);
    if (fd == -1) { /* a callback has closed the socket */
        errno = EBADF;
        return -1;
    }
    CHECK(fd == FD);
    if (kernel.count == 0 && kernel.refill)
        kernel.refill();
    if (kernel.count == 0) {
        errno = EAGAIN;
        return -1;
    }
    datagram = &kernel.queue[kernel.first++ % QUEUE];
    kernel.count--;
    if (datagram->code) {
        errno = datagram->code;
        return -1;
    }
    memset(&sender, 0, sizeof sender);
    sender.nl_family = datagram->family;
    sender.nl_pid = datagram->sender;
    sender.nl_groups = datagram->groups;
    memcpy(address, &sender, sizeof sender);
    *address_size = datagram->address_size;
    length = datagram->bytes.length < size ? datagram->bytes.length : size;
    memcpy(buffer, datagram->bytes.data, length);
    return (ssize_t)(datagram->bytes.length + datagram->cut);
}

/* What remains of a datagram of this length. */
static ssize_t shorten(ssize_t length, int code)
{
    return length < 0 || code == 0 ? length : code == SHORT ? length / 2 : 0;
}

WRAP(ssize_t, recvfrom,
     (int fd, void *buffer, size_t size, int flags, struct sockaddr *address,
      socklen_t *address_size))
{
    int code;

    /* Not after a failure: a core that has lost a reply does not wait for it. */
    if (kernel.late && !kernel.paused && !kernel.has_failed && kernel.late_receives++ % 2 == 0) {
        errno = EAGAIN;
        return -1;
    }
    code = enter(RECVFROM, NULL);
    if (code > 0)
        return -1;
    if (kernel.scripted)
        return take_datagram(fd, buffer, size, flags, address, address_size);
    return shorten(__real_recvfrom(fd, buffer, size, flags, address, address_size), code);
}

WRAP(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags))
{
    int code = enter(RECVMSG, NULL);

    return code > 0 ? -1 : shorten(__real_recvmsg(fd, message, flags), code);
}

WRAP(int, poll, (struct pollfd * fds, nfds_t count, int timeout))
{
    int code = enter(POLL, NULL);

    if (code)
        return code == NOTHING ? 0 : -1;
    if (kernel.scripted) {
        CHECK(count == 1 && fds->fd == FD && fds->events == POLLIN && timeout > 0);
        if (kernel.count == 0 && kernel.refill)
            kernel.refill();
        code = kernel.count > 0;
    } else {
        /* The kernel answers at once or never. */
        code = __real_poll(fds, count, kernel.fake_clock ? 0 : timeout);
    }
    if (code == 0 && kernel.fake_clock)
        kernel.now_ms += timeout;
    return code;
}

static void read_fake_clock(clockid_t clock, struct timespec *now)
{
    CHECK(clock == CLOCK_MONOTONIC);
    kernel.now_ms += kernel.ms_per_look;
    now->tv_sec = (time_t)(kernel.now_ms / 1000);
    now->tv_nsec = (long)(kernel.now_ms % 1000) * 1000000;
}

WRAP(int, clock_gettime, (clockid_t clock, struct timespec *now))
{
    if (!kernel.fake_clock)
        return __real_clock_gettime(clock, now);
    read_fake_clock(clock, now);
    return 0;
}

#ifdef _REDIR_TIME64 /* musl's name for clock_gettime() where time_t once had 32 bits */
WRAP(int, __clock_gettime64, (clockid_t clock, struct timespec *now))
{
    if (!kernel.fake_clock)
        return __real___clock_gettime64(clock, now);
    read_fake_clock(clock, now);
    return 0;
}
#endif

WRAP(int, getsockopt, (int fd, int level, int option, void *value, socklen_t *size))
{
    if (enter(GETSOCKOPT, NULL))
        return -1;
    if (!kernel.scripted)
        return __real_getsockopt(fd, level, option, value, size);
    CHECK(fd == FD && level == SOL_SOCKET && *size == sizeof(int));
    if (fails_for(option))
        return -1;
    memcpy(value, option == SO_RCVBUF ? &kernel.receive_buffer : &kernel.send_buffer, sizeof(int));
    return 0;
}

WRAP(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t size))
{
    uint32_t number;

    if (enter(SETSOCKOPT, NULL))
        return -1;
    if (!kernel.scripted)
        return __real_setsockopt(fd, level, option, value, size);
    CHECK(fd == FD && size == sizeof number);
    memcpy(&number, value, sizeof number);
    if (fails_for(option))
        return -1;
    if (level == SOL_SOCKET) {
        CHECK(option == SO_RCVBUFFORCE || option == SO_RCVBUF);
        kernel.receive_buffer = (int)number;
        return 0;
    }
    CHECK(level == 270 /* SOL_NETLINK */ && number == RTNLGRP_LINK);
    CHECK(option == NETLINK_ADD_MEMBERSHIP || option == NETLINK_DROP_MEMBERSHIP);
    kernel.is_member = option == NETLINK_ADD_MEMBERSHIP;
    kernel.memberships++;
    return 0;
}

WRAP(int, getsockname, (int fd, struct sockaddr *address, socklen_t *size))
{
    struct sockaddr_nl own;

    if (enter(GETSOCKNAME, NULL))
        return -1;
    if (!kernel.scripted)
        return __real_getsockname(fd, address, size);
    CHECK(fd == FD && *size == sizeof own);
    memset(&own, 0, sizeof own);
    own.nl_family = AF_NETLINK;
    own.nl_pid = OWN_PORT;
    memcpy(address, &own, sizeof own);
    return 0;
}

WRAP(int, bind, (int fd, const struct sockaddr *address, socklen_t size))
{
    if (enter(BIND, NULL))
        return -1;
    if (!kernel.scripted)
        return __real_bind(fd, address, size);
    errno = EINVAL; /* the socket has its port already */
    return -1;
}

WRAP_PLAIN(socket, SOCKET, NULL, (int domain, int type, int protocol), (domain, type, protocol))

/* ---- files ---- */

/* Reads the mode, which is an argument only if the file may be created. */
#define MODE(flags)                                                                                \
    int mode = 0;                                                                                  \
    if ((flags)&O_CREAT) {                                                                         \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        mode = va_arg(list, int);                                                                  \
        va_end(list);                                                                              \
    }

WRAP(int, open, (const char *path, int flags, ...))
{
    MODE(flags)
    return enter(OPEN, path) ? -1 : __real_open(path, flags, mode);
}

WRAP(int, open64, (const char *path, int flags, ...))
{
    MODE(flags)
    return enter(OPEN, path) ? -1 : __real_open(path, flags | O_LARGEFILE, mode);
}

WRAP(int, openat, (int directory, const char *path, int flags, ...))
{
    MODE(flags)
    return enter(OPENAT, path) ? -1 : __real_openat(directory, path, flags, mode);
}

WRAP(int, openat64, (int directory, const char *path, int flags, ...))
{
    MODE(flags)
    return enter(OPENAT, path) ? -1 : __real_openat(directory, path, flags | O_LARGEFILE, mode);
}

/* A part of the file: the next call reads the rest. */
static size_t limit(size_t size, int code)
{
    return code == SHORT && size > 2 ? 2 : size;
}

#define WRAP_READ(name, call, parameters, ...)                                                     \
    WRAP(ssize_t, name, parameters)                                                                \
    {                                                                                              \
        int code = enter(call, NULL);                                                              \
                                                                                                   \
        if (code == NOTHING)                                                                       \
            return 0;                                                                              \
        return code > 0 ? -1 : __real_##name(fd, buffer, limit(size, code) __VA_ARGS__);           \
    }

#define AND_OFFSET , offset

WRAP_READ(read, READ, (int fd, void *buffer, size_t size), )
WRAP_READ(pread, PREAD, (int fd, void *buffer, size_t size, off_t offset), AND_OFFSET)

WRAP(ssize_t, write, (int fd, const void *data, size_t size))
{
    int code = enter(WRITE, NULL);

    if (code == NOTHING)
        return 0;
    return code > 0 ? -1 : __real_write(fd, data, limit(size, code));
}

WRAP(int, close, (int fd))
{
    int code = enter(CLOSE, NULL);
    int result = __real_close(fd); /* Linux closes it even if it reports a failure */

    if (!code)
        return result;
    errno = code;
    return -1;
}

#define WRAP_FSTATFS(name, type)                                                                   \
    WRAP(int, name, (int fd, struct type *status))                                                 \
    {                                                                                              \
        int result = enter(FSTATFS, NULL) ? -1 : __real_##name(fd, status);                        \
                                                                                                   \
        if (kernel.passes_for_sysfs && result == 0)                                                \
            status->f_type = SYSFS_MAGIC;                                                          \
        return result;                                                                             \
    }

WRAP_FSTATFS(fstatfs, statfs)

WRAP_PLAIN(faccessat, ACCESS, path, (int directory, const char *path, int mode, int flags),
           (directory, path, mode, flags))

WRAP(ssize_t, readlink, (const char *path, char *text, size_t size))
{
    int code = enter(READLINK, path);

    if (code == NOTHING)
        return 0;
    return code > 0 ? -1 : __real_readlink(path, text, limit(size, code));
}

WRAP_PLAIN(stat, STAT, path, (const char *path, struct stat *status), (path, status))
WRAP_PLAIN(fstat, FSTAT, NULL, (int fd, struct stat *status), (fd, status))

#ifdef __GLIBC__ /* the names with _FILE_OFFSET_BITS=64; musl has one off_t */
WRAP_READ(pread64, PREAD, (int fd, void *buffer, size_t size, int64_t offset), AND_OFFSET)
WRAP_FSTATFS(fstatfs64, statfs64)
WRAP_PLAIN(stat64, STAT, path, (const char *path, struct stat64 *status), (path, status))
WRAP_PLAIN(fstat64, FSTAT, NULL, (int fd, struct stat64 *status), (fd, status))
#endif

#ifdef _REDIR_TIME64
WRAP_PLAIN(__stat_time64, STAT, path, (const char *path, struct stat *status), (path, status))
WRAP_PLAIN(__fstat_time64, FSTAT, NULL, (int fd, struct stat *status), (fd, status))
#endif

/* ---- namespaces, mounts and threads ---- */

/* The system calls that libcs have no function for. Each argument fits a long. */
WRAP(long, syscall, (long number, ...))
{
    enum call call = CALLS;
    long arguments[5];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 5; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_fsopen) {
        call = FSOPEN;
        kernel.fsopen_flags = (int)arguments[1];
    } else if (number == SYS_fsconfig) {
        call = FSCONFIG;
    } else if (number == SYS_fsmount) {
        call = FSMOUNT;
    }
#ifdef SYS_statx
    if (number == SYS_statx)
        call = STATX;
#endif
    if (call < CALLS && enter(call, NULL))
        return -1;
    return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
                          arguments[4]);
}

#ifdef __GLIBC__
WRAP(int, ioctl, (int fd, unsigned long request, ...))
#else
WRAP(int, ioctl, (int fd, int request, ...))
#endif
{
    return enter(IOCTL, NULL) ? -1 : __real_ioctl(fd, request); /* the core passes no argument */
}

WRAP_PLAIN(setns, SETNS, NULL, (int fd, int type), (fd, type))
WRAP_PLAIN(unshare, UNSHARE, NULL, (int flags), (flags))
WRAP_PLAIN(mkdir, MKDIR, path, (const char *path, mode_t mode), (path, mode))
WRAP_PLAIN(mount, MOUNT, target,
           (const char *source, const char *target, const char *type, unsigned long flags,
            const void *data),
           (source, target, type, flags, data))
WRAP_PLAIN(umount2, UMOUNT, target, (const char *target, int flags), (target, flags))
WRAP_PLAIN(unlink, UNLINK, path, (const char *path), (path))
WRAP_PLAIN(flock, FLOCK, NULL, (int fd, int operation), (fd, operation))

WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument))
{
    int code = enter(PTHREAD_CREATE, NULL);

    return code ? code : __real_pthread_create(thread, attributes, start, argument);
}

WRAP(int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *before))
{
    int code = enter(PTHREAD_SIGMASK, NULL);

    /* The second call of an operation restores the mask. It cannot really fail, so only its result
     * does. */
    if (code && kernel.calls[PTHREAD_SIGMASK] == 1)
        return code;
    return __real_pthread_sigmask(how, set, before) | code;
}

/* ---- what the scripted kernel sends ---- */

struct datagram *queue_datagram(uint32_t sender)
{
    struct datagram *datagram = &kernel.queue[(kernel.first + kernel.count++) % QUEUE];

    CHECK(kernel.count <= QUEUE);
    datagram->bytes.length = 0;
    datagram->sender = sender;
    datagram->groups = 0;
    datagram->family = AF_NETLINK;
    datagram->address_size = sizeof(struct sockaddr_nl);
    datagram->cut = 0;
    datagram->code = 0;
    return datagram;
}

struct datagram *last_datagram(void)
{
    return &kernel.queue[(kernel.first + kernel.count - 1) % QUEUE];
}

void queue_errno(int code)
{
    queue_datagram(KERNEL)->code = code;
}

void queue_ack(uint32_t sender, uint32_t sequence, int32_t code)
{
    put_ack(&queue_datagram(sender)->bytes, ACK_TLVS | CAPPED, sequence, OWN_PORT, code,
            kernel.request, 16, code ? "fake words" : NULL);
}

void queue_acks(uint32_t item, int32_t code)
{
    struct bytes *bytes = NULL;

    for (uint32_t i = 0; i < kernel.messages; i++) {
        if (i % 64 == 0)
            bytes = &queue_datagram(KERNEL)->bytes;
        put_ack(bytes, CAPPED, kernel.sequence + i, OWN_PORT, i == item ? code : 0, kernel.request,
                16, NULL);
    }
}

void put_link(struct bytes *to, uint16_t type, uint16_t flags, uint32_t sequence, uint32_t port,
              int32_t index, const char *name)
{
    size_t at = begin(to, type, flags, sequence, port);

    put_info(to, index, IFF_UP);
    attribute(to, IFLA_IFNAME, name, strlen(name) + 1);
    put_stats64(to, IFLA_STATS64, 200, 100 * (uint64_t)index);
    finish(to, at);
}

void queue_link(uint32_t sequence, uint32_t port, int32_t index, const char *name)
{
    put_link(&queue_datagram(KERNEL)->bytes, RTM_NEWLINK, 0, sequence, port, index, name);
}

void queue_notification(uint16_t type, int32_t index, const char *name)
{
    put_link(&queue_datagram(KERNEL)->bytes, type, 0, 0, 0, index, name);
}

void queue_cut_link(uint32_t sequence, uint32_t port, int32_t index, const char *name)
{
    struct datagram *datagram = queue_datagram(KERNEL);
    uint32_t whole;

    put_link(&datagram->bytes, RTM_NEWLINK, 0, sequence, port, index, name);
    datagram->cut = 65536;
    whole = (uint32_t)(datagram->bytes.length + datagram->cut);
    memcpy(datagram->bytes.data, &whole, sizeof whole);
}

void put_stats(struct bytes *to, uint16_t flags, uint32_t sequence, uint32_t index)
{
    size_t at = begin(to, NEWSTATS, flags, sequence, OWN_PORT);

    put_stats_header(to, index);
    put_stats64(to, 1, 200, 1000 * (uint64_t)index);
    finish(to, at);
}

void queue_stats(uint16_t flags, uint32_t index)
{
    put_stats(&queue_datagram(KERNEL)->bytes, flags, kernel.sequence, index);
}

void queue_done(uint16_t flags, int32_t code)
{
    struct bytes *to = &queue_datagram(KERNEL)->bytes;
    size_t at;

    flags = (uint16_t)(NLM_F_MULTI | ACK_TLVS | flags);
    at = begin(to, NLMSG_DONE, flags, kernel.sequence, OWN_PORT);
    put(to, &code, sizeof code);
    if (code)
        attribute(to, 1, "fake words", 11);
    finish(to, at);
}
