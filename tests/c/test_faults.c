/* SPDX-License-Identifier: MIT */
/*
 * Every system call of every operation made to fail, at each of its occurrences, with each errno
 * that it may have, and to come short. The operations run on the real kernel; one fault is put into
 * each run. What comes of it is a success, or an error that names the step; never a leak, a hang or
 * an output that is half written.
 */
/* wrap: socket setsockopt getsockopt getsockname bind send recvfrom recvmsg poll */
/* wrap: open open64 openat openat64 read pread pread64 close faccessat */
/* wrap: stat stat64 fstat fstat64 fstatfs fstatfs64 syscall */
/* wrap: setns unshare ioctl mkdir mount umount2 unlink */
/* wrap: pthread_create pthread_sigmask clock_gettime */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>

#include "../../csrc/netstrat.h"
#include "check.h"
#include "sandbox.h"

#include <net/if.h>

#include <linux/rtnetlink.h>

#ifndef SYS_fsopen /* Linux 5.2; the same numbers on all but alpha and mips */
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif

/* ---- the calls ---- */

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
    CLOSE,
    ACCESS,
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
    PTHREAD_CREATE,
    PTHREAD_SIGMASK,
    CALLS
};

enum { SHORT = -1, NOTHING = -2 }; /* in place of an errno: half of it, or the end of the file */

/* The errnos of the manual pages and of the kernel's code; EINTR throughout. */
static const struct {
    const char *name;
    enum netstrat_step step; /* that an error names; NONE: the call only helps, and no error does */
    int codes[24];           /* up to a 0 */
} calls[CALLS] = {
    [SOCKET] = {"socket",
                NETSTRAT_OP_SOCKET,
                {EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM,
                 EPROTONOSUPPORT, ESOCKTNOSUPPORT, EINTR}},
    [SETSOCKOPT] = {"setsockopt",
                    NETSTRAT_OP_SETSOCKOPT,
                    {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK, EPERM, ENOMEM, ENOENT, EINTR}},
    [GETSOCKOPT] = {"getsockopt",
                    NETSTRAT_OP_GETSOCKOPT,
                    {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK, EPERM, EINTR}},
    [GETSOCKNAME] = {"getsockname",
                     NETSTRAT_OP_GETSOCKNAME,
                     {EBADF, EFAULT, EINVAL, ENOBUFS, ENOTSOCK, EINTR}},
    [BIND] = {"bind",
              NETSTRAT_OP_BIND,
              {EACCES, EADDRINUSE, EBADF, EINVAL, ENOTSOCK, EPERM, ENOMEM, EINTR}},
    [SEND] = {"send",
              NETSTRAT_OP_SEND,
              {EACCES,   EAGAIN,   EBADF,      ECONNREFUSED, ECONNRESET, EDESTADDRREQ, EFAULT,
               EINTR,    EINVAL,   EISCONN,    EMSGSIZE,     ENOBUFS,    ENODATA,      ENOMEM,
               ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPERM,        EPIPE,      SHORT}},
    [RECVFROM] = {"recvfrom",
                  NETSTRAT_OP_RECVFROM,
                  {EAGAIN, EBADF, ECONNREFUSED, EFAULT, EINTR, EINVAL, ENOBUFS, ENOMEM, ENOTCONN,
                   ENOTSOCK, EOPNOTSUPP, EPERM, SHORT, NOTHING}},
    [RECVMSG] = {"recvmsg",
                 NETSTRAT_OP_RECVFROM,
                 {EAGAIN, EBADF, ECONNREFUSED, EFAULT, EINTR, EINVAL, EMSGSIZE, ENOBUFS, ENOMEM,
                  ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPERM, SHORT, NOTHING}},
    [POLL] = {"poll", NETSTRAT_OP_POLL, {EFAULT, EINTR, EINVAL, ENOMEM, NOTHING}},
    [OPEN] = {"open",
              NETSTRAT_OP_OPEN_NETNS,
              {EACCES, EINTR, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENODEV, ENOENT, ENOMEM, ENOTDIR,
               ENXIO, EPERM, EINVAL, EOPNOTSUPP, EOVERFLOW, EIO}},
    [OPENAT] = {"openat",
                NETSTRAT_OP_OPENAT,
                {EACCES, EBADF, EINTR, ELOOP, EMFILE, ENFILE, ENODEV, ENOENT, ENOMEM, ENOTDIR,
                 ENXIO, EPERM, EINVAL, EOPNOTSUPP, EOVERFLOW, EIO}},
    [READ] = {"read",
              NETSTRAT_OP_READ,
              {EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR, ENODEV, ENOMEM, EPERM, SHORT,
               NOTHING}},
    [PREAD] = {"pread",
               NETSTRAT_OP_PREAD,
               {EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR, ENODEV, ENOMEM, ENXIO, EOVERFLOW,
                ESPIPE, EPERM, SHORT, NOTHING}},
    [CLOSE] = {"close", NETSTRAT_OP_NONE, {EBADF, EINTR, EIO, ENOSPC, EDQUOT}},
    [ACCESS] = {"faccessat",
                NETSTRAT_OP_NONE,
                {EACCES, EINTR, EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM}},
    [STAT] = {"stat",
              NETSTRAT_OP_STAT,
              {EACCES, EFAULT, EINTR, EIO, ELOOP, ENOENT, ENOMEM, ENOTDIR, EOVERFLOW, EPERM}},
    [FSTAT] = {"fstat", NETSTRAT_OP_FSTAT, {EBADF, EFAULT, EINTR, EIO, ENOMEM, EOVERFLOW, EPERM}},
    [STATX] = {"statx", NETSTRAT_OP_NONE, {EACCES, EBADF, EINTR, EINVAL, ENOMEM, ENOSYS, EPERM}},
    [FSTATFS] = {"fstatfs",
                 NETSTRAT_OP_NONE,
                 {EBADF, EFAULT, EINTR, EIO, ENOMEM, ENOSYS, EOVERFLOW}},
    [FSOPEN] = {"fsopen",
                NETSTRAT_OP_FSOPEN,
                {EFAULT, EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, ENOSYS, EPERM, EINTR}},
    [FSCONFIG] = {"fsconfig",
                  NETSTRAT_OP_FSCONFIG,
                  {EACCES, EBUSY, EFAULT, EINVAL, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM, EINTR}},
    [FSMOUNT] = {"fsmount",
                 NETSTRAT_OP_FSMOUNT,
                 {EBUSY, EINVAL, EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM, EINTR}},
    [SETNS] = {"setns", NETSTRAT_OP_SETNS, {EBADF, EINVAL, ENOMEM, EPERM, ESRCH, EINTR}},
    [UNSHARE] = {"unshare", NETSTRAT_OP_UNSHARE, {EINVAL, ENOMEM, ENOSPC, EPERM, EUSERS, EINTR}},
    [IOCTL] = {"ioctl", NETSTRAT_OP_NONE, {EBADF, EFAULT, EINVAL, ENOTTY, EINTR}},
    [MKDIR] = {"mkdir",
               NETSTRAT_OP_MKDIR,
               {EACCES, EDQUOT, EEXIST, EINVAL, ELOOP, EMLINK, ENAMETOOLONG, ENOENT, ENOMEM, ENOSPC,
                ENOTDIR, EPERM, EROFS, EINTR}},
    [MOUNT] = {"mount",
               NETSTRAT_OP_MOUNT,
               {EACCES, EBUSY, EFAULT, EINVAL, ELOOP, EMFILE, ENAMETOOLONG, ENODEV, ENOENT, ENOMEM,
                ENOTDIR, EPERM, EINTR}},
    [UMOUNT] = {"umount2",
                NETSTRAT_OP_UMOUNT,
                {EAGAIN, EBUSY, EFAULT, EINVAL, ENAMETOOLONG, ENOENT, ENOMEM, EPERM, EINTR}},
    [UNLINK] = {"unlink",
                NETSTRAT_OP_UNLINK,
                {EACCES, EBUSY, EIO, ENOENT, ENOMEM, ENOTDIR, EPERM, EROFS, EINTR}},
    [PTHREAD_CREATE] = {"pthread_create",
                        NETSTRAT_OP_PTHREAD_CREATE,
                        {EAGAIN, EINVAL, EPERM, EINTR}},
    [PTHREAD_SIGMASK] = {"pthread_sigmask", NETSTRAT_OP_PTHREAD_SIGMASK, {EINVAL, EFAULT, EINTR}},
};

static struct {
    int armed;
    int seen[CALLS]; /* how often each was called in this run */
    enum call call;  /* the fault: which call, */
    int occurrence;  /* which of them (from 1; 0: none), */
    int code;        /* with what */
    int struck;
    int late; /* the queue is found empty first, so that there is a poll */
    unsigned receives;
    int64_t skipped_ms; /* by the clock, which stands still except where there is a wait */
} fault;

/* What is to happen to this call: 0, an errno, SHORT or NOTHING. */
static int strike(enum call call)
{
    if (!fault.armed || ++fault.seen[call] != fault.occurrence || call != fault.call)
        return 0;
    fault.struck = 1;
    if (fault.code > 0)
        errno = fault.code;
    return fault.code;
}

#define WRAP(result, name, parameters)                                                             \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters

WRAP(int, socket, (int domain, int type, int protocol))
{
    return strike(SOCKET) ? -1 : __real_socket(domain, type, protocol);
}

WRAP(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t size))
{
    return strike(SETSOCKOPT) ? -1 : __real_setsockopt(fd, level, option, value, size);
}

WRAP(int, getsockopt, (int fd, int level, int option, void *value, socklen_t *size))
{
    return strike(GETSOCKOPT) ? -1 : __real_getsockopt(fd, level, option, value, size);
}

WRAP(int, getsockname, (int fd, struct sockaddr *address, socklen_t *size))
{
    return strike(GETSOCKNAME) ? -1 : __real_getsockname(fd, address, size);
}

WRAP(int, bind, (int fd, const struct sockaddr *address, socklen_t size))
{
    return strike(BIND) ? -1 : __real_bind(fd, address, size);
}

WRAP(ssize_t, send, (int fd, const void *data, size_t size, int flags))
{
    int code = strike(SEND);

    if (code == SHORT)
        return (ssize_t)size - 4;
    return code ? -1 : __real_send(fd, data, size, flags);
}

WRAP(ssize_t, recvfrom,
     (int fd, void *buffer, size_t size, int flags, struct sockaddr *address,
      socklen_t *address_size))
{
    ssize_t length;
    int code;

    /* Not behind a loss: the kernel has all of what it will say in the queue by then. */
    if (fault.armed && fault.late && !fault.struck && fault.receives++ % 2 == 0) {
        errno = EAGAIN;
        return -1;
    }
    code = strike(RECVFROM);
    if (code > 0)
        return -1;
    length = __real_recvfrom(fd, buffer, size, flags, address, address_size);
    if (length < 0 || code == 0)
        return length;
    return code == SHORT ? length / 2 : 0;
}

WRAP(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags))
{
    int code = strike(RECVMSG);
    ssize_t length;

    if (code > 0)
        return -1;
    length = __real_recvmsg(fd, message, flags);
    if (length < 0 || code == 0)
        return length;
    return code == SHORT ? length / 2 : 0;
}

WRAP(int, poll, (struct pollfd * fds, nfds_t count, int timeout))
{
    int code = strike(POLL);

    if (code == NOTHING) /* the time is up, it says */
        return 0;
    if (code)
        return -1;
    code = __real_poll(fds, count, 0); /* the kernel answers at once or never */
    if (code == 0)
        fault.skipped_ms += timeout;
    return code;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    now->tv_sec = (time_t)(1 + fault.skipped_ms / 1000);
    now->tv_nsec = (long)(fault.skipped_ms % 1000) * 1000000;
    return 0;
}

/* The mode goes on as the caller gave it, if it did. */
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
    return strike(OPEN) ? -1 : __real_open(path, flags, mode);
}

WRAP(int, open64, (const char *path, int flags, ...))
{
    MODE(flags)
    return strike(OPEN) ? -1 : __real_open(path, flags, mode);
}

WRAP(int, openat, (int directory, const char *path, int flags, ...))
{
    MODE(flags)
    return strike(OPENAT) ? -1 : __real_openat(directory, path, flags, mode);
}

WRAP(int, openat64, (int directory, const char *path, int flags, ...))
{
    MODE(flags)
    return strike(OPENAT) ? -1 : __real_openat(directory, path, flags, mode);
}

/* Half of what there is: the other half comes with the next call. */
static size_t cut(size_t size, int code)
{
    return code == SHORT && size > 2 ? 2 : size;
}

WRAP(ssize_t, read, (int fd, void *buffer, size_t size))
{
    int code = strike(READ);

    if (code == NOTHING)
        return 0;
    return code > 0 ? -1 : __real_read(fd, buffer, cut(size, code));
}

WRAP(ssize_t, pread, (int fd, void *buffer, size_t size, off_t offset))
{
    int code = strike(PREAD);

    if (code == NOTHING)
        return 0;
    return code > 0 ? -1 : __real_pread(fd, buffer, cut(size, code), offset);
}

#ifdef __GLIBC__ /* musl has one off_t, and no such name */
WRAP(ssize_t, pread64, (int fd, void *buffer, size_t size, int64_t offset))
{
    int code = strike(PREAD);

    if (code == NOTHING)
        return 0;
    return code > 0 ? -1 : __real_pread64(fd, buffer, cut(size, code), offset);
}
#endif

WRAP(int, close, (int fd))
{
    int code = strike(CLOSE); /* Linux closes it all the same */
    int result = __real_close(fd);

    if (!code)
        return result;
    errno = code;
    return -1;
}

WRAP(int, faccessat, (int directory, const char *path, int mode, int flags))
{
    return strike(ACCESS) ? -1 : __real_faccessat(directory, path, mode, flags);
}

WRAP(int, stat, (const char *path, struct stat *status))
{
    return strike(STAT) ? -1 : __real_stat(path, status);
}

WRAP(int, fstat, (int fd, struct stat *status))
{
    return strike(FSTAT) ? -1 : __real_fstat(fd, status);
}

#ifdef __GLIBC__ /* the names that _FILE_OFFSET_BITS=64 leads to */
WRAP(int, stat64, (const char *path, struct stat64 *status))
{
    return strike(STAT) ? -1 : __real_stat64(path, status);
}

WRAP(int, fstat64, (int fd, struct stat64 *status))
{
    return strike(FSTAT) ? -1 : __real_fstat64(fd, status);
}
#endif

/* For the system calls that libcs do not have: all of their arguments fit a long. */
WRAP(long, syscall, (long number, ...))
{
    enum call call = CALLS;
    long arguments[5];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 5; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_fsopen)
        call = FSOPEN;
    else if (number == SYS_fsconfig)
        call = FSCONFIG;
    else if (number == SYS_fsmount)
        call = FSMOUNT;
#ifdef SYS_statx
    else if (number == SYS_statx)
        call = STATX;
#endif
    if (call < CALLS && strike(call))
        return -1;
    return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
                          arguments[4]);
}

WRAP(int, fstatfs, (int fd, struct statfs *status))
{
    return strike(FSTATFS) ? -1 : __real_fstatfs(fd, status);
}

#ifdef __GLIBC__
WRAP(int, fstatfs64, (int fd, struct statfs64 *status))
{
    return strike(FSTATFS) ? -1 : __real_fstatfs64(fd, status);
}
#endif

WRAP(int, setns, (int fd, int type))
{
    return strike(SETNS) ? -1 : __real_setns(fd, type);
}

WRAP(int, unshare, (int flags))
{
    return strike(UNSHARE) ? -1 : __real_unshare(flags);
}

#ifdef __GLIBC__
WRAP(int, ioctl, (int fd, unsigned long request, ...))
#else
WRAP(int, ioctl, (int fd, int request, ...))
#endif
{
    return strike(IOCTL) ? -1 : __real_ioctl(fd, request); /* none of them takes an argument */
}

WRAP(int, mkdir, (const char *path, mode_t mode))
{
    return strike(MKDIR) ? -1 : __real_mkdir(path, mode);
}

WRAP(int, mount,
     (const char *source, const char *target, const char *type, unsigned long flags,
      const void *data))
{
    return strike(MOUNT) ? -1 : __real_mount(source, target, type, flags, data);
}

WRAP(int, umount2, (const char *target, int flags))
{
    return strike(UMOUNT) ? -1 : __real_umount2(target, flags);
}

WRAP(int, unlink, (const char *path))
{
    return strike(UNLINK) ? -1 : __real_unlink(path);
}

WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument))
{
    int code = strike(PTHREAD_CREATE);

    return code ? code : __real_pthread_create(thread, attributes, start, argument);
}

WRAP(int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *before))
{
    int code = strike(PTHREAD_SIGMASK);

    /* The second one puts the mask back; that it could fail is past belief, so only its word is. */
    if (code && fault.seen[PTHREAD_SIGMASK] == 1)
        return code;
    return __real_pthread_sigmask(how, set, before) | code;
}

/* ---- the operations ---- */

enum { BATCH = 60, ROWS = 8 };

static char root[] = "/tmp/netstrat-XXXXXX";
static char named[64], names_directory[48];
static unsigned char buffer[NETSTRAT_BUFFER_SIZE];

/* All that an operation may write to; filled with a pattern before each run. */
static struct output {
    struct netstrat_socket sock;
    struct netstrat_link link;
    struct netstrat_link_name name;
    struct netstrat_counters counters;
    struct netstrat_sysfs_reader reader;
    struct netstrat_sysfs_place place;
    struct netstrat_name_watch watch;
    struct netstrat_cursor datagram;
    struct netstrat_netns_link end;
    int32_t nsid;
    uint64_t value;
    size_t used;
    struct netstrat_link_name names[ROWS]; /* scratch of the dumps: not among what is compared */
    int32_t indexes[ROWS];
    struct netstrat_counters rows[ROWS];
    struct netstrat_netns_link ends[ROWS];
    struct netstrat_veth_peer pairs[ROWS];
    unsigned char copy[4096];
} output;

static struct netstrat_socket sock; /* open, for the operations that need one */
static struct netstrat_sysfs_reader reader;
static struct netstrat_sysfs_place place;
static struct netstrat_error error;
static int netns = -1; /* a namespace; the program's own */
static int results[BATCH + 1];

/* A socket can be closed whether or not it was opened: after a failure that does nothing. */
static int close_socket(int code)
{
    CHECK(code == 0 ? output.sock.fd >= 0 : output.sock.fd == -1);
    netstrat_socket_close(&output.sock);
    memset(&output.sock, 0xa5, sizeof output.sock);
    return code;
}

static int run_open(void)
{
    int code = netstrat_socket_open(&output.sock, buffer, sizeof buffer, &error);

    return close_socket(code);
}

static int run_up_once(void)
{
    return netstrat_link_set_up_once("lo", &error);
}

static int run_down_once(void)
{
    return netstrat_link_set_down_once("lo", &error);
}

static int run_up(void)
{
    return netstrat_link_set_up(&sock, "lo", &error);
}

static int run_down(void)
{
    return netstrat_link_set_down(&sock, "lo", &error);
}

static int run_is_up(void)
{
    return netstrat_link_is_up(&sock, "lo", &error);
}

static int run_get_link(void)
{
    return netstrat_link_get(&sock, "lo", &output.link, &output.counters, &error);
}

static int run_get_counters(void)
{
    return netstrat_counters_get(&sock, NULL, 1, &output.counters, &error);
}

static int run_get_counters_by_name(void)
{
    return netstrat_counters_get_by_name(&sock, NULL, "lo", &output.name, &output.counters, &error);
}

static int run_dump_names(void)
{
    return netstrat_link_names_dump(&sock, NULL, output.names, ROWS, &error);
}

static int run_dump_counters(void)
{
    return netstrat_counters_dump(&sock, output.indexes, output.rows, ROWS, &error);
}

static int run_dump_by_name(void)
{
    return netstrat_counters_dump_by_name(&sock, output.names, output.rows, ROWS, &error);
}

static int run_dump_copy(void)
{
    unsigned char request[64];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_batch_dump_links(&batch, 0) == 0);
    return netstrat_dump_copy(&sock, &batch, output.copy, sizeof output.copy, &output.used, &error);
}

static int run_watch(void)
{
    static struct netstrat_link_name changes[8];
    struct netstrat_name_watch watch = {changes, 8, 77, NULL, 0};
    int code = netstrat_name_watch_start(&watch, &sock, &error);

    if (code < 0)
        CHECK(watch.count == 77 && sock.port == 0 && sock.notified == NULL);
    else
        CHECK(watch.count == 0 && sock.port != 0 && sock.notified != NULL);
    return code;
}

static int run_join(void)
{
    int code = netstrat_socket_join(&sock, RTNLGRP_IPV4_IFADDR, &error);

    CHECK(code < 0 ? sock.port == 0 : sock.port != 0);
    return code;
}

static int run_set_strict(void)
{
    return netstrat_socket_set_strict(&sock, &error);
}

static int run_set_receive_buffer(void)
{
    return netstrat_socket_set_receive_buffer(&sock, 65536, &error);
}

/* A question, and the datagram that answers it. */
static int run_receive(void)
{
    unsigned char request[64];
    struct netstrat_batch batch;
    int code, tries = 0;

    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_batch_get_link(&batch, "lo") == 0);
    code = netstrat_send(&sock, &batch, &error);
    if (code < 0)
        return code;
    do
        code = netstrat_socket_receive(&sock, &output.datagram, &error);
    while (code == -EAGAIN && ++tries < 3); /* which it leaves to the caller to wait for */
    return code;
}

/* Asks while watching, with a notification in the queue. */
static int run_watching(void)
{
    static struct netstrat_link_name changes[8], known[8];
    struct netstrat_name_watch watch = {changes, 8, 0, known, 8};
    int code = netstrat_name_watch_start(&watch, &sock, &error);

    if (code == 0)
        code = netstrat_link_set_down(&sock, "lo", &error);
    if (code == 0)
        code = netstrat_link_set_up(&sock, "lo", &error);
    return code < 0 ? code : netstrat_counters_get(&sock, &watch, 1, &output.counters, &error);
}

/* ---- of many namespaces, of which the program's own is one ---- */

static int ask_nsid(int32_t *nsid)
{
    unsigned char request[64];
    struct netstrat_message answer;
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_batch_get_nsid(&batch, netns) == 0);
    code = netstrat_query(&sock, &batch, 1, &answer, &error);
    return code < 0 ? code : netstrat_nsid_decode(&answer, nsid);
}

/* The id that the namespace has for itself. */
static int32_t own_nsid(void)
{
    unsigned char request[64];
    struct netstrat_batch batch;
    int32_t nsid = -1;
    int result;

    fault.armed = 0;
    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_batch_add_nsid(&batch, netns) == 0);
    result = netstrat_execute(&sock, &batch, &result, NULL);
    CHECK(result == 0 || result == -EEXIST);
    CHECK(ask_nsid(&nsid) == 0 && nsid >= 0);
    fault.armed = 1;
    return nsid;
}

static int run_get_nsid(void)
{
    return ask_nsid(&output.nsid);
}

static int run_dump_ends(void)
{
    const int32_t own = own_nsid();

    return netstrat_netns_links_dump(&sock, own, own, output.indexes, output.ends, output.rows,
                                     ROWS, &error);
}

static int run_get_end(void)
{
    const int32_t own = own_nsid();

    return netstrat_netns_link_get(&sock, own, own, 1, &output.end, &output.counters, &error);
}

static int run_dump_pairs(void)
{
    return netstrat_veth_peers_dump(&sock, output.pairs, ROWS, &error);
}

static struct netstrat_id_recorder notes;
static int32_t numbers[4];

static int start_notes(uint32_t what)
{
    int code;

    memset(&notes, 0, sizeof notes);
    notes.numbers = numbers;
    notes.room = 4;
    code = netstrat_id_recorder_start(&notes, what, &sock, &error);
    CHECK(code < 0 ? !notes.sock && !sock.notified : notes.sock == &sock && sock.notified);
    return code;
}

static int run_note_ended(void)
{
    return start_notes(NETSTRAT_RECORD_ENDED);
}

static int run_note_namespaces(void)
{
    return start_notes(NETSTRAT_RECORD_NAMESPACES);
}

/* Two notifications of this namespace's in the queue, which is not elsewhere; what is not heard of
 * them is noted as lost. */
static int run_hear(void)
{
    int code;

    fault.armed = 0;
    CHECK(start_notes(NETSTRAT_RECORD_NAMESPACES) == 0);
    CHECK(netstrat_link_set_down_once("lo", NULL) == 0);
    CHECK(netstrat_link_set_up_once("lo", NULL) == 0);
    sock.timeout_ms = 0;
    fault.armed = 1;
    code = netstrat_socket_process_pending(&sock, &error);
    if (fault.struck && (fault.code == ENOBUFS || (fault.code == SHORT && fault.occurrence < 3)))
        CHECK(code == 0 && notes.count > notes.room);
    else
        CHECK(notes.count == 0);
    return code;
}

/* `count` messages; after a success each has its result. */
static int run_batch_of(uint32_t count)
{
    static unsigned char request[BATCH * 40];
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    for (uint32_t i = 0; i < count; i++)
        CHECK(netstrat_batch_set_link_flags(&batch, "lo", i % 2 ? IFF_UP : 0, IFF_UP) == 0);
    for (uint32_t i = 0; i <= BATCH; i++)
        results[i] = 9;
    code = netstrat_execute(&sock, &batch, results, &error);
    for (uint32_t i = 0; i < count; i++)
        CHECK(results[i] == 0 || (code < 0 && results[i] == NETSTRAT_PENDING));
    CHECK(results[count] == 9);
    return code;
}

static int run_batch(void)
{
    return run_batch_of(2);
}

/* Acks that do not fit the queue at once. */
static int run_batch_in_parts(void)
{
    const int small = 16384;

    fault.armed = 0;
    CHECK(setsockopt(sock.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    fault.armed = 1;
    return run_batch_of(BATCH);
}

static int run_open_beside(void)
{
    return close_socket(
        netstrat_socket_open_beside(&output.sock, buffer, sizeof buffer, &sock, &error));
}

static int run_open_at(void)
{
    int code = netstrat_socket_open_at(&output.sock, buffer, sizeof buffer, netns, &error);

    return close_socket(code);
}

/* Closes what an operation gave, which counts for nothing itself. */
static int closed(int fd)
{
    if (fd < 0)
        return fd;
    fault.armed = 0;
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    close(fd);
    return 0;
}

static int run_mount(void)
{
    return closed(netstrat_sysfs_mount(&error));
}

static int run_mount_at(void)
{
    return closed(netstrat_sysfs_mount_at(netns, &error));
}

static int run_netns_open(void)
{
    return closed(netstrat_netns_open("/proc/self/ns/net", &error));
}

static int run_netns_create(void)
{
    return closed(netstrat_netns_create(&error));
}

static int run_netns_cookie(void)
{
    return netstrat_netns_cookie(&sock, &output.value, &error);
}

/* Takes the directory of names away, so that the next run makes it anew. */
static void remove_names(void)
{
    (void)umount2(named, MNT_DETACH);
    (void)unlink(named);
    while (umount2(names_directory, MNT_DETACH) == 0)
        ;
    (void)rmdir(names_directory);
}

static int run_netns_bind(void)
{
    int code = netstrat_netns_bind(netns, names_directory, named, &error);

    fault.armed = 0;
    /* No half of a name is left. */
    CHECK((faccessat(AT_FDCWD, named, F_OK, 0) == 0) == (code == 0));
    remove_names();
    return code;
}

static int run_netns_unbind(void)
{
    int code;

    fault.armed = 0;
    CHECK(netstrat_netns_bind(netns, names_directory, named, NULL) == 0);
    fault.armed = 1;
    code = netstrat_netns_unbind(named, &error);
    fault.armed = 0;
    remove_names();
    return code;
}

static int run_place(void)
{
    return netstrat_sysfs_place_get(AT_FDCWD, root, &output.place, &error);
}

static int run_counter(void)
{
    return netstrat_sysfs_read_counter(AT_FDCWD, root, "if0", "tx_bytes", NULL, &output.value,
                                       &error);
}

static int run_counter_in_place(void)
{
    return netstrat_sysfs_read_counter(AT_FDCWD, root, "if0", "tx_bytes", &place, &output.value,
                                       &error);
}

static int run_counters(void)
{
    return netstrat_sysfs_read(AT_FDCWD, root, "if0", NULL, &output.counters, &error);
}

static int run_counters_in_place(void)
{
    return netstrat_sysfs_read(AT_FDCWD, root, "if0", &place, &output.counters, &error);
}

static int run_reader_open(void)
{
    int code = netstrat_sysfs_reader_open(&output.reader, AT_FDCWD, root, "if0", &place, &error);

    netstrat_sysfs_reader_close(&output.reader); /* after a failure that does nothing */
    memset(&output.reader, 0xa5, sizeof output.reader);
    return code;
}

static int run_reader_read(void)
{
    return netstrat_sysfs_reader_read(&reader, &output.counters, &error);
}

/* Those that fail of themselves, in a way that takes further calls to explain. */
static int run_no_interface(void)
{
    return netstrat_sysfs_read(AT_FDCWD, root, "if1", NULL, &output.counters, &error);
}

static int run_no_counter(void)
{
    return netstrat_sysfs_read_counter(AT_FDCWD, root, "if0", "nonesuch", NULL, &output.value,
                                       &error);
}

static int run_not_whole(void)
{
    return netstrat_sysfs_read(AT_FDCWD, root, "if2", NULL, &output.counters, &error);
}

static const struct {
    const char *name;
    int (*run)(void);
    int wanted; /* the errno without a fault */
} operations[] = {
    {"socket_open", run_open, 0},
    {"socket_join", run_join, 0},
    {"socket_set_strict", run_set_strict, 0},
    {"socket_set_receive_buffer", run_set_receive_buffer, 0},
    {"send and socket_receive", run_receive, 0},
    {"link_set_up_once", run_up_once, 0},
    {"link_set_down_once", run_down_once, 0},
    {"link_set_up", run_up, 0},
    {"link_set_down", run_down, 0},
    {"link_is_up", run_is_up, 0},
    {"link_get", run_get_link, 0},
    {"counters_get", run_get_counters, 0},
    {"counters_get_by_name", run_get_counters_by_name, 0},
    {"link_names_dump", run_dump_names, 0},
    {"counters_dump", run_dump_counters, 0},
    {"counters_dump_by_name", run_dump_by_name, 0},
    {"dump_copy", run_dump_copy, 0},
    {"watch_start", run_watch, 0},
    {"watching", run_watching, 0},
    {"get_nsid", run_get_nsid, 0},
    {"ends_dump", run_dump_ends, 0},
    {"end_get", run_get_end, 0},
    {"pairs_dump", run_dump_pairs, 0},
    {"notes_start, of namespaces that end", run_note_ended, 0},
    {"notes_start, of others' links", run_note_namespaces, 0},
    {"socket_hear", run_hear, 0},
    {"execute", run_batch, 0},
    {"execute in parts", run_batch_in_parts, 0},
    {"socket_open_at", run_open_at, 0},
    {"socket_open_beside", run_open_beside, 0},
    {"sysfs_mount", run_mount, 0},
    {"sysfs_mount_at", run_mount_at, 0},
    {"netns_open", run_netns_open, 0},
    {"netns_create", run_netns_create, 0},
    {"netns_cookie", run_netns_cookie, 0},
    {"netns_bind", run_netns_bind, 0},
    {"netns_unbind", run_netns_unbind, 0},
    {"sysfs_place_get", run_place, 0},
    {"sysfs_read_counter", run_counter, 0},
    {"sysfs_read_counter in its place", run_counter_in_place, 0},
    {"sysfs_read", run_counters, 0},
    {"sysfs_read in its place", run_counters_in_place, 0},
    {"sysfs_reader_open in its place", run_reader_open, 0},
    {"sysfs_reader_read", run_reader_read, 0},
    {"sysfs_read of none", run_no_interface, -ENODEV},
    {"sysfs_read_counter of none", run_no_counter, -ENOENT},
    {"sysfs_read of one not whole", run_not_whole, -ENOENT},
};

/* What qemu-user does not know: RTM_GETSTATS, and the newer calls of namespaces and mounts. */
static int is_left_out(int (*run)(void))
{
    return is_emulated() &&
           (run == run_get_counters || run == run_dump_counters || run == run_watching ||
            run == run_mount || run == run_mount_at || run == run_netns_cookie ||
            run == run_netns_bind || run == run_netns_unbind || run == run_dump_ends ||
            run == run_get_end || run == run_hear || run == run_get_nsid);
}

/* ---- the runs ---- */

static unsigned long tried, failures, successes;

static int is_error(int code, int wanted, enum netstrat_step step)
{
    return code == wanted && error.step == (uint32_t)step;
}

/* May an operation that ends with `error` have been struck so? */
static int is_plausible(int code)
{
    int struck = -fault.code;

    if (error.code != code)
        return 0;
    switch (fault.call) {
    case SEND:
        if (fault.code == SHORT)
            return is_error(code, -EIO, NETSTRAT_OP_SEND);
        break;
    case RECVFROM:
    case RECVMSG:
        if (fault.code < 0 && is_error(code, -EAGAIN, NETSTRAT_OP_RECVFROM))
            return 1; /* nothing came, and it was not to wait */
        /* fall through */
    case POLL: /* half a datagram is malformed; none of it at all is silence */
        if (fault.code < 0)
            return is_error(code, -EBADMSG, NETSTRAT_OP_RECVFROM) ||
                   is_error(code, -ETIMEDOUT, NETSTRAT_OP_RECVFROM);
        break;
    case READ:
    case PREAD: /* half a file may be malformed; the end of one without a digit is */
        if (fault.code < 0)
            return is_error(code, -EBADMSG, NETSTRAT_OP_PARSE);
        if (fault.code == EINVAL)
            struck = -ENODEV;
        break;
    case OPENAT: /* of a directory, or of a file */
        if (error.step == NETSTRAT_OP_OPEN)
            return code == struck ||
                   (code == -ENODEV && (fault.code == ENOENT || fault.code == ENOTDIR));
        if (fault.code == ENXIO)
            struck = -EINVAL;
        break;
    case STATX: /* without the mount's id the place can't be the one that was found to match */
        return is_error(code, -ESTALE, NETSTRAT_OP_STAT);
    case MKDIR: /* EEXIST: the directory is taken to be there */
        if (fault.code == EEXIST)
            return is_error(code, -ENOENT, NETSTRAT_OP_MOUNT);
        break;
    case UMOUNT: /* EINVAL: the name is taken for one without a mount, and that can't be deleted */
        if (fault.code == EINVAL)
            return is_error(code, -EBUSY, NETSTRAT_OP_UNLINK);
        break;
    case IOCTL: /* the descriptor does not say that it is a namespace's */
        return is_error(code, -EINVAL, NETSTRAT_OP_MOUNT);
    default:
        break;
    }
    return calls[fault.call].step != NETSTRAT_OP_NONE &&
           is_error(code, struck, calls[fault.call].step);
}

/* Those for which a signal ends nothing: they are made again, or only help. */
static int is_resumed(enum call call)
{
    return call == SEND || call == RECVFROM || call == RECVMSG || call == POLL || call == OPENAT ||
           call == READ || call == PREAD || call == CLOSE || call == FSTATFS;
}

/* One run, with the fault or without: its code. */
static int run(unsigned which)
{
    static struct output before;
    const size_t compared = offsetof(struct output, names);
    int descriptors = count_descriptors();
    int code;

    memset(&output, 0xa5, sizeof output);
    before = output;
    memset(&error, 0, sizeof error);
    fault.armed = 0;
    CHECK(netstrat_socket_open(&sock, buffer, sizeof buffer, NULL) == 0);
    CHECK(netstrat_sysfs_reader_open(&reader, AT_FDCWD, root, "if0", NULL, NULL) == 0);
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &place, NULL) == 0);
    netns = netstrat_netns_open("/proc/self/ns/net", NULL);
    CHECK(netns >= 0);
    sock.timeout_ms = 60;
    memset(fault.seen, 0, sizeof fault.seen);
    fault.receives = 0;
    fault.struck = 0;
    fault.armed = 1;
    code = operations[which].run();
    fault.armed = 0;
    if (code < 0 && operations[which].run != run_watching) /* which succeeds in part, of itself */
        CHECK(memcmp(&output, &before, compared) == 0);
    netstrat_sysfs_reader_close(&reader);
    netstrat_socket_close(&sock);
    close(netns);
    CHECK(count_descriptors() == descriptors);
    return code;
}

/* One fault: the operation succeeds all the same, or fails with an error that names it. */
static void try_fault(unsigned which, enum call call, int occurrence, int code_of_call)
{
    const int wanted = operations[which].wanted;
    unsigned long failed_before = checks_failed;
    int code;

    fault.call = call;
    fault.occurrence = occurrence;
    fault.code = code_of_call;
    code = run(which);
    tried++;
    CHECK(fault.struck);
    if (code >= 0) {
        CHECK(wanted == 0);
        successes++;
    } else {
        CHECK((wanted < 0 && code == wanted && error.code == wanted) || is_plausible(code) ||
              /* what was to explain why there is no interface or counter */
              (wanted < 0 && (call == ACCESS || call == OPENAT) &&
               (code == -ENOENT || code == -ENODEV)));
        failures++;
    }
    if (code_of_call == EINTR && is_resumed(call))
        CHECK(code == wanted || (wanted == 0 && code >= 0));
    if (checks_failed > failed_before)
        printf("  %s: %s number %d with %d: %d, step %u\n", operations[which].name,
               calls[call].name, occurrence, code_of_call, code, error.step);
}

static void try_faults(unsigned which)
{
    int occurrences[CALLS];
    int wanted = operations[which].wanted, code;

    fault.occurrence = 0;
    code = run(which);
    if (code == -ENOSYS && error.step == NETSTRAT_OP_FSOPEN) {
        printf("no fsopen here: %s is left out\n", operations[which].name);
        return;
    }
    CHECK(code == wanted || (wanted == 0 && code > 0));
    if (code != wanted && !(wanted == 0 && code > 0))
        printf("  %s: %d without a fault\n", operations[which].name, code);
    memcpy(occurrences, fault.seen, sizeof occurrences);
    for (int call = 0; call < CALLS; call++)
        for (int occurrence = 1; occurrence <= occurrences[call]; occurrence++)
            for (const int *c = calls[call].codes; *c; c++)
                try_fault(which, (enum call)call, occurrence, *c);
}

/* A path beneath the root. */
static const char *beneath(const char *path)
{
    static char whole[128];

    snprintf(whole, sizeof whole, "%s/%s", root, path);
    return whole;
}

int main(void)
{
    static const char *const directories[] = {"if0", "if0/statistics", "if2", "if2/statistics"};
    char path[64];
    int i;

    enter_sandbox(CLONE_NEWNS);
    if (!mkdtemp(root)) {
        perror(root);
        return 1;
    }
    for (i = 0; i < 4; i++)
        CHECK(mkdir(beneath(directories[i]), 0755) == 0);
    for (i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "if0/statistics/%s", netstrat_counter_name((uint32_t)i));
        write_file(beneath(path), "1234\n");
    }
    snprintf(names_directory, sizeof names_directory, "%s/netns", root);
    snprintf(named, sizeof named, "%s/name", names_directory);

    for (unsigned which = 0; which < sizeof operations / sizeof *operations; which++)
        for (fault.late = 0; fault.late < 2; fault.late++)
            if (!is_left_out(operations[which].run))
                try_faults(which);

    for (i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "if0/statistics/%s", netstrat_counter_name((uint32_t)i));
        CHECK(unlink(beneath(path)) == 0);
    }
    for (i = 3; i >= 0; i--)
        CHECK(rmdir(beneath(directories[i])) == 0);
    CHECK(rmdir(root) == 0);
    printf("%lu faults tried: %lu errors, %lu successes\n", tried, failures, successes);
    return report();
}
