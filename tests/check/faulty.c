/* SPDX-License-Identifier: MIT */
/*
 * Stands between a process and libc (LD_PRELOAD), and makes one system call fail, or answers one
 * netlink message with an error: whichever wiring_faults.py arms it for. Calls are counted from
 * then on, in all threads; only one of them is ever at work.
 *
 * A message is refused: a NOOP goes to the kernel in its place, whose ack then carries the error.
 * Or it is carried out, and its ack carries the error all the same, or is lost (ENOBUFS). Of a dump
 * nothing is ever lost that way: there ENOBUFS alone is said. Or a notification is lost.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/netlink.h>

enum call {
    SOCKET,
    SETSOCKOPT,
    GETSOCKOPT,
    SEND,
    RECVFROM,
    POLL,
    OPEN,
    CLOSE,
    DUP,
    FSTAT,
    STAT,
    READLINK,
    IOCTL,
    SETNS,
    PTHREAD_CREATE,
    GETRANDOM,
    RECVMSG,
    GETSOCKNAME,
    BIND,
    WRITE,
    FLOCK,
    MKDIR,
    RENAME,
    UNLINK,
    CALLS,
    MESSAGE = CALLS,
    NOTIFICATION
};
enum kind { REFUSED, REPORTED, LOST };
enum { LONGEST = 1 << 16, MOST = 512 };

static struct {
    int armed;
    int what; /* a call, MESSAGE or NOTIFICATION */
    int kind;
    int number; /* the how manieth, from 1 */
    int error;
    int struck;
    int is_dump;
    int fd; /* where the answer to the message comes, and by which number it is known */
    uint32_t sequence;
    int counts[NOTIFICATION + 1];
    int types[MOST];
} now;

void faulty_arm(int what, int kind, int number, int error);
int faulty_disarm(void);
int faulty_count(int what);
int faulty_type(int number);

void faulty_arm(int what, int kind, int number, int error)
{
    memset(&now, 0, sizeof now);
    now.what = what;
    now.kind = kind;
    now.number = number;
    now.error = error;
    now.fd = -1;
    now.armed = 1;
}

int faulty_disarm(void)
{
    now.armed = 0;
    return now.struck;
}

int faulty_count(int what)
{
    return now.counts[what];
}

int faulty_type(int number)
{
    return number < MOST ? now.types[number] : 0;
}

/* Whether this very call or message is the one. */
static int is_due(int what)
{
    if (!now.armed || ++now.counts[what] != now.number || now.what != what)
        return 0;
    now.struck = 1;
    return 1;
}

static int fails(int what)
{
    if (!is_due(what))
        return 0;
    errno = now.error;
    return 1;
}

/* The function of libc that ours hides. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* ---- messages ---- */

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    static unsigned char copy[LONGEST];
    struct nlmsghdr header;
    size_t at;

    if (!now.armed || size > sizeof copy)
        return REAL(send)(fd, data, size, flags);
    if (fails(SEND))
        return -1;
    memcpy(copy, data, size);
    for (at = 0; at + sizeof header <= size; at += NLMSG_ALIGN(header.nlmsg_len)) {
        memcpy(&header, copy + at, sizeof header);
        if (header.nlmsg_len < sizeof header)
            break;
        if (now.counts[MESSAGE] + 1 < MOST)
            now.types[now.counts[MESSAGE] + 1] = header.nlmsg_type;
        if (!is_due(MESSAGE))
            continue;
        now.fd = fd;
        now.is_dump = (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
        now.sequence = header.nlmsg_seq;
        if (now.kind != REFUSED)
            continue;
        header.nlmsg_type = NLMSG_NOOP;
        header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
        memcpy(copy + at, &header, sizeof header);
    }
    return REAL(send)(fd, copy, size, flags);
}

/* Whether a datagram is a notification, and the one that is to be lost. */
static int is_lost(ssize_t length, const void *from)
{
    struct sockaddr_nl sender;

    if (!now.armed || length < 0 || !from)
        return 0;
    memcpy(&sender, from, sizeof sender);
    if (sender.nl_groups == 0 || !is_due(NOTIFICATION))
        return 0;
    errno = ENOBUFS;
    return 1;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t length;

    if (fails(RECVMSG))
        return -1;
    length = REAL(recvmsg)(fd, message, flags);
    return is_lost(length, message->msg_name) ? -1 : length;
}

ssize_t recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *from,
                 socklen_t *from_size)
{
    struct nlmsghdr header;
    int verdict = -now.error;
    ssize_t length;

    if (fails(RECVFROM))
        return -1;
    if (now.armed && fd == now.fd && now.kind == LOST && now.is_dump) {
        now.fd = -1; /* once */
        errno = ENOBUFS;
        return -1;
    }
    length = REAL(recvfrom)(fd, buffer, size, flags, from, from_size);
    if (is_lost(length, from))
        return -1;
    if (!now.armed || fd != now.fd || length < (ssize_t)(sizeof header + sizeof verdict))
        return length;
    memcpy(&header, buffer, sizeof header);
    if (header.nlmsg_seq != now.sequence)
        return length;
    now.fd = -1;
    if (now.kind == LOST) {
        errno = ENOBUFS;
        return -1;
    }
    if (header.nlmsg_type == NLMSG_ERROR)
        memcpy((unsigned char *)buffer + sizeof header, &verdict, sizeof verdict);
    return length;
}

/* ---- the other calls ---- */

int socket(int family, int type, int protocol)
{
    return fails(SOCKET) ? -1 : REAL(socket)(family, type, protocol);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    return fails(SETSOCKOPT) ? -1 : REAL(setsockopt)(fd, level, option, value, size);
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
    return fails(GETSOCKOPT) ? -1 : REAL(getsockopt)(fd, level, option, value, size);
}

int getsockname(int fd, struct sockaddr *name, socklen_t *size)
{
    return fails(GETSOCKNAME) ? -1 : REAL(getsockname)(fd, name, size);
}

int bind(int fd, const struct sockaddr *name, socklen_t size)
{
    return fails(BIND) ? -1 : REAL(bind)(fd, name, size);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    return fails(POLL) ? -1 : REAL(poll)(fds, count, timeout);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return fails(OPEN) ? -1 : REAL(open64)(path, flags, mode);
}

int close(int fd) /* Linux closes, whatever it says */
{
    int code = REAL(close)(fd);

    return fails(CLOSE) ? -1 : code;
}

int fcntl64(int fd, int command, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, command);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    return command == F_DUPFD_CLOEXEC && fails(DUP) ? -1 : REAL(fcntl64)(fd, command, argument);
}

int fstat64(int fd, struct stat64 *status)
{
    return fails(FSTAT) ? -1 : REAL(fstat64)(fd, status);
}

int stat64(const char *path, struct stat64 *status)
{
    return fails(STAT) ? -1 : REAL(stat64)(path, status);
}

int fstatat64(int folder, const char *path, struct stat64 *status, int flags)
{
    return fails(STAT) ? -1 : REAL(fstatat64)(folder, path, status, flags);
}

ssize_t readlink(const char *path, char *text, size_t size)
{
    return fails(READLINK) ? -1 : REAL(readlink)(path, text, size);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    return fails(IOCTL) ? -1 : REAL(ioctl)(fd, request, argument);
}

int setns(int fd, int type)
{
    return fails(SETNS) ? -1 : REAL(setns)(fd, type);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *),
                   void *argument)
{
    if (is_due(PTHREAD_CREATE))
        return now.error;
    return REAL(pthread_create)(thread, attributes, work, argument);
}

ssize_t getrandom(void *buffer, size_t size, unsigned int flags)
{
    return fails(GETRANDOM) ? -1 : REAL(getrandom)(buffer, size, flags);
}

ssize_t write(int fd, const void *data, size_t size)
{
    return fails(WRITE) ? -1 : REAL(write)(fd, data, size);
}

int flock(int fd, int operation)
{
    return fails(FLOCK) ? -1 : REAL(flock)(fd, operation);
}

int mkdir(const char *path, mode_t mode)
{
    return fails(MKDIR) ? -1 : REAL(mkdir)(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    return fails(MKDIR) ? -1 : REAL(mkdirat)(folder, path, mode);
}

int renameat(int old_folder, const char *old, int new_folder, const char *new)
{
    return fails(RENAME) ? -1 : REAL(renameat)(old_folder, old, new_folder, new);
}

int unlinkat(int folder, const char *path, int flags)
{
    return fails(UNLINK) ? -1 : REAL(unlinkat)(folder, path, flags);
}
