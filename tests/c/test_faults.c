/* SPDX-License-Identifier: MIT */
/*
 * Every system call of every operation made to fail, at each of its occurrences, with each errno that
 * it may have, and to come short. The operations run on the real kernel; one fault is put into each
 * run. What comes of it is a success, or an error that names the step; never a leak, a hang or an
 * output that is half written.
 */
/* wrap: socket setsockopt getsockname bind send recvfrom poll */
/* wrap: open open64 openat openat64 read pread pread64 close access */
/* wrap: fstatfs fstatfs64 setns pthread_create pthread_sigmask clock_gettime */
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
#include <sys/socket.h>
#include <sys/vfs.h>
#include <time.h>

#include "../../csrc/netstrat.h"
#include "check.h"
#include "sandbox.h"

#include <net/if.h>

/* ---- the calls ---- */

enum call {
    SOCKET, SETSOCKOPT, GETSOCKNAME, BIND, SEND, RECVFROM, POLL, OPEN, OPENAT, READ, PREAD, CLOSE,
    ACCESS, FSTATFS, SETNS, PTHREAD_CREATE, PTHREAD_SIGMASK, CALLS
};

enum { SHORT = -1, NOTHING = -2 }; /* in place of an errno: half of it, or the end of the file */

/* The errnos of the manual pages and of the kernel's code; EINTR throughout. */
static const struct {
    const char *name; /* which is also the step that an error names, but for access, fstatfs and close */
    int codes[24];    /* up to a 0 */
} calls[CALLS] = {
    [SOCKET] = {"socket", {EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM,
                           EPROTONOSUPPORT, ESOCKTNOSUPPORT, EINTR}},
    [SETSOCKOPT] = {"setsockopt", {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK, EPERM, ENOMEM,
                                   ENOENT, EINTR}},
    [GETSOCKNAME] = {"getsockname", {EBADF, EFAULT, EINVAL, ENOBUFS, ENOTSOCK, EINTR}},
    [BIND] = {"bind", {EACCES, EADDRINUSE, EBADF, EINVAL, ENOTSOCK, EPERM, ENOMEM, EINTR}},
    [SEND] = {"send", {EACCES, EAGAIN, EBADF, ECONNREFUSED, ECONNRESET, EDESTADDRREQ, EFAULT, EINTR,
                       EINVAL, EISCONN, EMSGSIZE, ENOBUFS, ENODATA, ENOMEM, ENOTCONN, ENOTSOCK,
                       EOPNOTSUPP, EPERM, EPIPE, SHORT}},
    [RECVFROM] = {"recvfrom", {EAGAIN, EBADF, ECONNREFUSED, EFAULT, EINTR, EINVAL, ENOBUFS, ENOMEM,
                               ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPERM, SHORT, NOTHING}},
    [POLL] = {"poll", {EFAULT, EINTR, EINVAL, ENOMEM, NOTHING}},
    [OPEN] = {"open", {EACCES, EINTR, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENODEV, ENOENT, ENOMEM,
                       ENOTDIR, ENXIO, EPERM, EINVAL, EOPNOTSUPP, EOVERFLOW, EIO}},
    [OPENAT] = {"openat", {EACCES, EBADF, EINTR, ELOOP, EMFILE, ENFILE, ENODEV, ENOENT, ENOMEM,
                           ENOTDIR, ENXIO, EPERM, EINVAL, EOPNOTSUPP, EOVERFLOW, EIO}},
    [READ] = {"read", {EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR, ENODEV, ENOMEM, EPERM,
                       SHORT, NOTHING}},
    [PREAD] = {"pread", {EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR, ENODEV, ENOMEM, ENXIO,
                         EOVERFLOW, ESPIPE, EPERM, SHORT, NOTHING}},
    [CLOSE] = {"close", {EBADF, EINTR, EIO, ENOSPC, EDQUOT}},
    [ACCESS] = {"access", {EACCES, EINTR, EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR,
                           EPERM}},
    [FSTATFS] = {"fstatfs", {EBADF, EFAULT, EINTR, EIO, ENOMEM, ENOSYS, EOVERFLOW}},
    [SETNS] = {"setns", {EBADF, EINVAL, ENOMEM, EPERM, ESRCH, EINTR}},
    [PTHREAD_CREATE] = {"pthread_create", {EAGAIN, EINVAL, EPERM, EINTR}},
    [PTHREAD_SIGMASK] = {"pthread_sigmask", {EINVAL, EFAULT, EINTR}},
};

static struct {
    int armed;
    int seen[CALLS];  /* how often each was called in this run */
    enum call call;   /* the fault: which call, */
    int occurrence;   /* which of them (from 1; 0: none), */
    int code;         /* with what */
    int struck;
    int late;         /* the queue is found empty first, so that there is a poll */
    unsigned receives;
    int64_t skipped_ms; /* by the clock, in place of waiting */
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

#define WRAP(result, name, parameters)                                                              \
    result __real_##name parameters;                                                                \
    result __wrap_##name parameters;                                                                \
    result __wrap_##name parameters

WRAP(int, socket, (int domain, int type, int protocol))
{
    return strike(SOCKET) ? -1 : __real_socket(domain, type, protocol);
}

WRAP(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t size))
{
    return strike(SETSOCKOPT) ? -1 : __real_setsockopt(fd, level, option, value, size);
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

WRAP(ssize_t, recvfrom, (int fd, void *buffer, size_t size, int flags, struct sockaddr *address,
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

WRAP(int, poll, (struct pollfd *fds, nfds_t count, int timeout))
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

WRAP(int, clock_gettime, (clockid_t clock, struct timespec *now))
{
    int result = __real_clock_gettime(clock, now);

    now->tv_sec += (time_t)(fault.skipped_ms / 1000);
    now->tv_nsec += (long)(fault.skipped_ms % 1000) * 1000000;
    return result;
}

/* The mode goes on as the caller gave it, if it did. */
#define MODE(flags)                                                                                 \
    int mode = 0;                                                                                   \
    if ((flags) & O_CREAT) {                                                                        \
        va_list list;                                                                               \
        va_start(list, flags);                                                                      \
        mode = va_arg(list, int);                                                                   \
        va_end(list);                                                                               \
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

WRAP(int, access, (const char *path, int mode))
{
    return strike(ACCESS) ? -1 : __real_access(path, mode);
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

WRAP(int, pthread_create, (pthread_t *thread, const pthread_attr_t *attributes,
                           void *(*start)(void *), void *argument))
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

static char root[] = "/tmp/netstrat-XXXXXX";
static unsigned char buffer[NETSTRAT_BUFFER_SIZE];

/* All that an operation may write to; filled with a pattern before each run. */
static struct output {
    struct netstrat_socket sock;
    struct netstrat_link link;
    struct netstrat_counters counters;
    struct netstrat_reader reader;
    uint64_t value;
    struct netstrat_link changes[8];
    struct netstrat_link links[8];       /* scratch of the dumps: */
    int32_t indexes[8];                  /* not among what is compared */
    struct netstrat_counters rows[8];
} output;

static struct netstrat_socket sock; /* open, for the operations that need one */
static struct netstrat_reader reader;
static struct netstrat_error error;
static int results[3];

static int run_open(void)
{
    int code = netstrat_open(&output.sock, buffer, sizeof buffer, &error);

    if (code == 0)
        netstrat_close(&output.sock);
    return code;
}

static int run_once(void)
{
    return netstrat_link_set_up_once("lo", &error);
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
    return netstrat_get_link(&sock, "lo", &output.link, &output.counters, &error);
}

static int run_get_stats(void)
{
    return netstrat_get_stats(&sock, 1, &output.counters, &error);
}

static int run_dump_links(void)
{
    return netstrat_dump_links(&sock, output.links, 8, &error);
}

static int run_dump_stats(void)
{
    return netstrat_dump_stats(&sock, output.indexes, output.rows, 8, &error);
}

static int run_dump_by_name(void)
{
    sock.by_name_only = 1;
    return netstrat_dump_stats(&sock, output.indexes, output.rows, 8, &error);
}

static int run_watch(void)
{
    return netstrat_watch_links(&sock, output.changes, 8, &error);
}

/* Asks while watching, with a notification in the queue. */
static int run_watching(void)
{
    static struct netstrat_link changes[8];
    int code = netstrat_watch_links(&sock, changes, 8, &error);

    if (code == 0)
        code = netstrat_link_set_down(&sock, "lo", &error);
    if (code == 0)
        code = netstrat_link_set_up(&sock, "lo", &error);
    return code < 0 ? code : netstrat_get_stats(&sock, 1, &output.counters, &error);
}

static int run_batch(void)
{
    unsigned char request[256];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_put_link_flags(&batch, "lo", 0, IFF_UP) == 0);
    CHECK(netstrat_put_link_flags(&batch, "lo", IFF_UP, IFF_UP) == 0);
    results[0] = results[1] = results[2] = 9;
    return netstrat_transact(&sock, &batch, results, &error);
}

static int run_netns_path(void)
{
    int code = netstrat_open_netns_path(&output.sock, buffer, sizeof buffer, "/proc/self/ns/net",
                                        &error);

    if (code == 0)
        netstrat_close(&output.sock);
    return code;
}

static int run_counter(void)
{
    return netstrat_sysfs_read_counter(root, "if0", "tx_bytes", &output.value, &error);
}

static int run_counters(void)
{
    return netstrat_sysfs_read(root, "if0", &output.counters, &error);
}

static int run_reader_open(void)
{
    int code = netstrat_reader_open(&output.reader, root, "if0", &error);

    if (code == 0)
        netstrat_reader_close(&output.reader);
    return code;
}

static int run_reader_read(void)
{
    return netstrat_reader_read(&reader, &output.counters, &error);
}

/* Those that fail of themselves, in a way that takes further calls to explain. */
static int run_no_interface(void)
{
    return netstrat_sysfs_read(root, "if1", &output.counters, &error);
}

static int run_no_counter(void)
{
    return netstrat_sysfs_read_counter(root, "if0", "nonesuch", &output.value, &error);
}

static int run_not_whole(void)
{
    return netstrat_sysfs_read(root, "if2", &output.counters, &error);
}

static const struct {
    const char *name;
    int (*run)(void);
    int wanted; /* the errno without a fault */
} operations[] = {
    {"open", run_open, 0},
    {"link_set_up_once", run_once, 0},
    {"link_set_up", run_up, 0},
    {"link_set_down", run_down, 0},
    {"link_is_up", run_is_up, 0},
    {"get_link", run_get_link, 0},
    {"get_stats", run_get_stats, 0},
    {"dump_links", run_dump_links, 0},
    {"dump_stats", run_dump_stats, 0},
    {"dump_stats by name", run_dump_by_name, 0},
    {"watch_links", run_watch, 0},
    {"watching", run_watching, 0},
    {"transact", run_batch, 0},
    {"open_netns_path", run_netns_path, 0},
    {"sysfs_read_counter", run_counter, 0},
    {"sysfs_read", run_counters, 0},
    {"reader_open", run_reader_open, 0},
    {"reader_read", run_reader_read, 0},
    {"sysfs_read of none", run_no_interface, -ENODEV},
    {"sysfs_read_counter of none", run_no_counter, -ENOENT},
    {"sysfs_read of one not whole", run_not_whole, -ENOENT},
};

/* ---- the runs ---- */

static unsigned long tried, failures, successes;
static int64_t longest_ms;

static int64_t now_ms(void)
{
    struct timespec now;

    __real_clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* May an operation that ends with `error` have been struck so? */
static int is_plausible(int code)
{
    const char *operation = error.operation;
    int struck = fault.code;

    if (error.code != code || !operation)
        return 0;
    if (struck < 0) /* half a datagram or file is malformed; none of it at all is silence or emptiness */
        return fault.call == SEND    ? code == -EIO && !strcmp(operation, "send")
               : fault.call == RECVFROM || fault.call == POLL
                   ? (code == -EBADMSG || code == -ETIMEDOUT) && !strcmp(operation, "recvfrom")
                   : code == -EBADMSG && !strcmp(operation, "parse");
    switch (fault.call) {
    case CLOSE:
    case ACCESS:
    case FSTATFS: /* these only help to say what another call failed with */
        return 0;
    case READ:
    case PREAD:
        struck = struck == EINVAL ? ENODEV : struck;
        break;
    case OPEN: /* ENOENT and ENOTDIR of a tree that is there: no interface */
        if (code == -ENODEV && (struck == ENOENT || struck == ENOTDIR) && !strcmp(operation, "open"))
            return 1;
        break;
    default:
        break;
    }
    return code == -struck && !strcmp(operation, calls[fault.call].name);
}

/* One run, with the fault or without: its code. */
static int run(unsigned which)
{
    static struct output before;
    const size_t compared = offsetof(struct output, links);
    int descriptors = count_descriptors(), after;
    int64_t start;
    int code;

    memset(&output, 0xa5, sizeof output);
    before = output;
    memset(&error, 0, sizeof error);
    fault.armed = 0;
    CHECK(netstrat_open(&sock, buffer, sizeof buffer, NULL) == 0);
    CHECK(netstrat_reader_open(&reader, root, "if0", NULL) == 0);
    sock.timeout_ms = 60;
    memset(fault.seen, 0, sizeof fault.seen);
    fault.receives = 0;
    fault.struck = 0;
    start = now_ms();
    fault.armed = 1;
    code = operations[which].run();
    fault.armed = 0;
    if (now_ms() - start > longest_ms)
        longest_ms = now_ms() - start;
    if (code < 0 && operations[which].run != run_watching) /* which succeeds in part, of itself */
        CHECK(memcmp(&output, &before, compared) == 0);
    netstrat_reader_close(&reader);
    netstrat_close(&sock);
    after = count_descriptors();
    CHECK(after == descriptors);
    return code;
}

static void try_faults(unsigned which)
{
    int occurrences[CALLS];
    int wanted = operations[which].wanted;

    fault.occurrence = 0;
    CHECK(run(which) == wanted || (wanted == 0 && run(which) > 0));
    memcpy(occurrences, fault.seen, sizeof occurrences);
    for (unsigned call = 0; call < CALLS; call++)
        for (int occurrence = 1; occurrence <= occurrences[call]; occurrence++)
            for (const int *c = calls[call].codes; *c; c++) {
                unsigned long failed_before = checks_failed;
                int code;

                fault.call = (enum call)call;
                fault.occurrence = occurrence;
                fault.code = *c;
                code = run(which);
                tried++;
                CHECK(fault.struck);
                if (code >= 0) {
                    CHECK(wanted == 0);
                    successes++;
                } else {
                    CHECK((code == wanted && error.code == wanted) || is_plausible(code) ||
                          (call == ACCESS && code == -ENOENT && !strcmp(error.operation, "open")) ||
                          (call == OPEN && wanted == -ENOENT && code == -ENODEV));
                    failures++;
                }
                if (*c == EINTR && call != SOCKET && call != SETSOCKOPT && call != GETSOCKNAME &&
                    call != BIND && call != SETNS && call < PTHREAD_CREATE)
                    CHECK(code >= 0 || code == wanted || call == ACCESS ||
                          operations[which].run == run_netns_path);
                if (checks_failed > failed_before)
                    printf("  %s: %s number %d with %d: %d, %s\n", operations[which].name,
                           calls[call].name, occurrence, *c, code,
                           error.operation ? error.operation : "-");
            }
}

int main(void)
{
    static const char *const files[] = {"rx_bytes", "rx_packets", "rx_errors", "rx_dropped",
                                        "tx_bytes", "tx_packets", "tx_errors", "tx_dropped"};
    char path[128];
    int i;

    enter_sandbox(0);
    if (!mkdtemp(root)) {
        perror(root);
        return 1;
    }
    snprintf(path, sizeof path, "%s/if0", root);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/if0/statistics", root);
    mkdir(path, 0755);
    for (i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "%s/if0/statistics/%s", root, files[i]);
        write_file(path, "1234\n");
    }
    snprintf(path, sizeof path, "%s/if2", root);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/if2/statistics", root);
    mkdir(path, 0755);

    for (unsigned which = 0; which < sizeof operations / sizeof *operations; which++)
        for (fault.late = 0; fault.late < 2; fault.late++)
            if (!(is_emulated() && operations[which].run == run_get_stats))
                try_faults(which);

    for (i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "%s/if0/statistics/%s", root, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/if0/statistics", root);
    rmdir(path);
    snprintf(path, sizeof path, "%s/if0", root);
    rmdir(path);
    snprintf(path, sizeof path, "%s/if2/statistics", root);
    rmdir(path);
    snprintf(path, sizeof path, "%s/if2", root);
    rmdir(path);
    CHECK(rmdir(root) == 0);
    printf("%lu faults tried: %lu errors, %lu successes; the longest took %lld ms\n", tried, failures,
           successes, (long long)longest_ms);
    return report();
}
