/* SPDX-License-Identifier: MIT */
/*
 * Other network namespaces. A socket or a mount of sysfs belongs to the namespace in which it was
 * made, and setns() moves only the calling thread. So a short-lived thread enters the namespace,
 * makes the socket or the mount and ends.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <linux/netlink.h>

#ifndef CLONE_NEWNS
#define CLONE_NEWNS 0x00020000 /* linux/sched.h */
#endif
#ifndef CLONE_NEWNET
#define CLONE_NEWNET 0x40000000 /* linux/sched.h */
#endif
#ifndef NS_GET_NSTYPE
#define NS_GET_NSTYPE _IO(0xb7, 3) /* linux/nsfs.h, 4.11 */
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* asm-generic/socket.h, 5.14 */
#endif

static const char netns_own_netns[] = "/proc/thread-self/ns/net";

/* One piece of work for a thread in another namespace, and its result. */
struct netns_task {
    int netns;
    int (*work)(struct netns_task *task);
    struct netstrat_socket sock;
    unsigned char *buffer;
    size_t size;
    int protocol;
    struct netstrat_sysctl *sysctls;
    size_t count; /* of sysctls */
    int code;
    struct netstrat_error error;
};

int netstrat_netns_enter(int fd, struct netstrat_error *error)
{
    /* With the type, the kernel refuses descriptors of other kinds of namespace. A pidfd needs
     * it. */
    return setns(fd, CLONE_NEWNET) < 0 ? netstrat_fail(error, -errno, NETSTRAT_OP_SETNS) : 0;
}

static void *netns_do_work(void *argument)
{
    struct netns_task *task = (struct netns_task *)argument;

    task->code = task->work(task);
    return NULL;
}

/* The stack of the thread, without thread-local storage. The default size is RLIMIT_STACK:
 * megabytes, which mlockall() would fault in and RLIMIT_AS might refuse. */
enum { NETNS_STACK_SIZE = 64 * 1024 };

/* Adds the size of the thread-local storage of one object. A callback of dl_iterate_phdr(). */
static int netns_add_tls_size(struct dl_phdr_info *object, size_t size, void *total)
{
    size_t header;

    (void)size;
    for (header = 0; header < object->dlpi_phnum; header++)
        if (object->dlpi_phdr[header].p_type == PT_TLS)
            *(size_t *)total += object->dlpi_phdr[header].p_memsz +
                                object->dlpi_phdr[header].p_align;
    return 0;
}

/* Returns the size of the thread's stack. glibc allocates the thread-local storage of the program
 * and its libraries on it. */
static size_t netns_stack_size(void)
{
    size_t minimum = NETNS_STACK_SIZE, tls = 0;

#ifdef PTHREAD_STACK_MIN /* calls sysconf() since glibc 2.34 */
    if (PTHREAD_STACK_MIN > NETNS_STACK_SIZE)
        minimum = (size_t)PTHREAD_STACK_MIN;
#endif
    (void)dl_iterate_phdr(netns_add_tls_size, &tls);
    return minimum + tls / 4096 * 4096;
}

/*
 * Starts the thread, with a small stack, on the CPU of the caller, which is about to wait for it.
 * On another CPU, which the kernel would choose, it might have to wait for other threads. If either
 * attribute is refused, the thread starts without both.
 */
static int netns_start_thread(pthread_t *thread, struct netns_task *task)
{
    pthread_attr_t attributes;
    int failed = pthread_attr_init(&attributes);

    if (!failed) {
        failed = pthread_attr_setstacksize(&attributes, netns_stack_size());
#ifdef __GLIBC__
        const int cpu = sched_getcpu();

        if (!failed && cpu >= 0) {
            cpu_set_t own_cpu;

            CPU_ZERO(&own_cpu);
            CPU_SET((size_t)cpu, &own_cpu);
            failed = pthread_attr_setaffinity_np(&attributes, sizeof own_cpu, &own_cpu);
        }
#endif
        if (!failed)
            failed = pthread_create(thread, &attributes, netns_do_work, task);
        (void)pthread_attr_destroy(&attributes);
        if (!failed || failed == EAGAIN) /* EAGAIN: no resources for another thread */
            return failed;
    }
    return pthread_create(thread, NULL, netns_do_work, task);
}

/* Tests whether future children of this thread belong to another pid namespace than the thread. */
static int netns_has_other_pid_namespace(void)
{
    static const char children[] = "/proc/thread-self/ns/pid_for_children"; /* Linux 4.12 */
    struct stat own, childrens;

    if (stat("/proc/thread-self/ns/pid", &own) < 0)
        return 0;
    if (stat(children, &childrens) == 0)
        return own.st_ino != childrens.st_ino;
    /* The link exists and leads nowhere: the new namespace has no process yet. */
    return errno == ENOENT && lstat(children, &childrens) == 0;
}

/* Runs a task in a thread of its own and waits for it. */
static int netns_run_task(struct netns_task *task, struct netstrat_error *error)
{
    sigset_t all, before;
    pthread_t thread;
    int failed, cancel;

    /* The thread inherits the mask, so no signal handler of the program runs in it. Until it ends,
     * a signal for the process goes to another thread or waits. */
    (void)sigfillset(&all);
    failed = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (failed)
        return netstrat_fail(error, -failed, NETSTRAT_OP_PTHREAD_SIGMASK);
    /* pthread_join() is a cancellation point, and the thread still uses `task`. */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    failed = netns_start_thread(&thread, task);
    if (!failed)
        (void)pthread_join(thread, NULL); /* cannot fail */
    (void)pthread_setcancelstate(cancel, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);

    if (failed == EAGAIN && netns_has_other_pid_namespace())
        failed = EINVAL; /* the kernel's errno, which musl reports as EAGAIN */
    if (failed)
        return netstrat_fail(error, -failed, NETSTRAT_OP_PTHREAD_CREATE);
    if (task->code < 0 && error)
        *error = task->error;
    return task->code;
}

static int netns_open_socket(struct netns_task *task)
{
    int code = netstrat_netns_enter(task->netns, &task->error);

    if (code < 0)
        return code;
    return netstrat_socket_open_protocol(&task->sock, task->buffer, task->size, task->protocol,
                                         &task->error);
}

int netstrat_socket_open_at(struct netstrat_socket *sock, void *buffer, size_t size, int netns,
                            struct netstrat_error *error)
{
    return netstrat_socket_open_protocol_at(sock, buffer, size, NETLINK_ROUTE, netns, error);
}

int netstrat_socket_open_protocol_at(struct netstrat_socket *sock, void *buffer, size_t size,
                                     int protocol, int netns, struct netstrat_error *error)
{
    struct netns_task task;
    int code;

    memset(sock, 0, sizeof *sock); /* safe to close after a failure */
    sock->fd = -1;
    /* For gcc -fanalyzer, which assumes that pthread_create() can return a negative number and so
     * sees an uninitialized task->code. */
    memset(&task, 0, sizeof task);
    task.netns = netns;
    task.work = netns_open_socket;
    task.buffer = (unsigned char *)buffer;
    task.size = size;
    task.protocol = protocol;
    code = netns_run_task(&task, error);
    if (code == 0)
        *sock = task.sock;
    return code;
}

/* Tests whether the two sockets are known to be in the same namespace. */
static int netns_is_same(const struct netstrat_socket *sock, const struct netstrat_socket *other)
{
    uint64_t own = 0, others = 0; /* for gcc (uninitialized value) */

    return netstrat_netns_cookie(sock, &own, NULL) == 0 &&
           netstrat_netns_cookie(other, &others, NULL) == 0 && own == others;
}

int netstrat_socket_open_beside(struct netstrat_socket *sock, void *buffer, size_t size,
                                const struct netstrat_socket *other, struct netstrat_error *error)
{
    int netns, code = netstrat_socket_open(sock, buffer, size, error);

    if (code < 0 || netns_is_same(sock, other))
        return code;
    netstrat_socket_close(sock);
    netns = ioctl(other->fd, NETSTRAT_SIOCGSKNS);
    if (netns < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_SETNS);
    code = netstrat_socket_open_at(sock, buffer, size, netns, error);
    (void)close(netns);
    return code;
}

static int netns_mount_sysfs(struct netns_task *task)
{
    int code = netstrat_netns_enter(task->netns, &task->error);

    return code < 0 ? code : netstrat_sysfs_mount(&task->error);
}

int netstrat_sysfs_mount_at(int netns, struct netstrat_error *error)
{
    struct netns_task task;

    task.netns = netns;
    task.work = netns_mount_sysfs;
    return netns_run_task(&task, error);
}

static int netns_exchange_sysctls(struct netns_task *task)
{
    int code = netstrat_netns_enter(task->netns, &task->error);

    return code < 0 ? code : netstrat_sysctls_exchange(task->sysctls, task->count, &task->error);
}

int netstrat_sysctls_exchange_at(int netns, struct netstrat_sysctl *sysctls, size_t count,
                                 struct netstrat_error *error)
{
    struct netns_task task;

    task.netns = netns;
    task.work = netns_exchange_sysctls;
    task.sysctls = sysctls;
    task.count = count;
    return netns_run_task(&task, error);
}

int netstrat_netns_open(const char *path, struct netstrat_error *error)
{
    /* O_NONBLOCK: the path might be a FIFO, which would block. */
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = open(path, flags);

    /* If the process of /proc/PID/ns/net ends during the look-up, the kernel answers EACCES
     * (proc_ns_get_link, fs/proc/namespaces.c). The next open() gets ENOENT. */
    if (fd < 0 && errno == EACCES)
        fd = open(path, flags);
    return fd < 0 ? netstrat_fail(error, -errno, NETSTRAT_OP_OPEN_NETNS) : fd;
}

static int netns_create(struct netns_task *task)
{
    if (unshare(CLONE_NEWNET) < 0)
        return netstrat_fail(&task->error, -errno, NETSTRAT_OP_UNSHARE);
    return netstrat_netns_open(netns_own_netns, &task->error);
}

int netstrat_netns_create(struct netstrat_error *error)
{
    struct netns_task task;

    task.work = netns_create;
    return netns_run_task(&task, error);
}

int netstrat_netns_is(int fd)
{
    return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

int netstrat_netns_cookie(const struct netstrat_socket *sock, uint64_t *cookie,
                          struct netstrat_error *error)
{
    uint64_t value = 0;
    socklen_t size = sizeof value;

    if (getsockopt(sock->fd, SOL_SOCKET, SO_NETNS_COOKIE, &value, &size) < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_GETSOCKOPT);
    *cookie = value;
    return 0;
}

/* ---- names of namespaces ---- */

enum {
    NETNS_LOCK_TRIES = 5000, /* of a millisecond each */
    NETNS_UNBIND_TRIES = 16,
    NETNS_PATH_SIZE = 40
};

/*
 * Locks the directory as iproute2 does. Returns a descriptor to close, or -errno. Any user who can
 * open the directory can hold the lock, so after five seconds the caller continues without it.
 */
static int netns_lock_directory(const char *directory)
{
    const struct timespec pause = {0, 1000000};
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), tries;

    if (fd < 0)
        return -errno;
    for (tries = 0; tries < NETNS_LOCK_TRIES; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || (errno != EWOULDBLOCK && errno != EINTR))
            break;
        (void)nanosleep(&pause, NULL);
    }
    return fd;
}

/* Makes the directory a shared mount. Returns 0, or -EINVAL if it is not a mount. */
static int netns_share_directory(const char *directory)
{
    return mount("", directory, "none", MS_SHARED | MS_REC, NULL) < 0 ? -errno : 0;
}

/*
 * Creates the directory if it does not exist, and makes it a shared mount, as `ip netns` does: a
 * name that is created or deleted in one mount namespace then appears or disappears in the others
 * too. The directory is locked because each bind mount onto itself doubles the mounts if the parent
 * is shared.
 */
static int netns_prepare_directory(const char *directory, struct netstrat_error *error)
{
    int code;

    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return netstrat_fail(error, -errno, NETSTRAT_OP_MKDIR);
    code = netns_share_directory(directory);
    if (code == -EINVAL) {
        const int lock = netns_lock_directory(directory);

        if (lock == -ENOTDIR) /* mount() would bind a file onto itself, too */
            return netstrat_fail(error, lock, NETSTRAT_OP_OPEN_NETNS);
        code = netns_share_directory(directory); /* another process may have made the mount */
        if (code == -EINVAL) {
            code = mount(directory, directory, "none", MS_BIND | MS_REC, NULL) < 0
                       ? -errno
                       : netns_share_directory(directory);
        }
        if (lock >= 0)
            (void)close(lock); /* also unlocks it */
    }
    return code < 0 ? netstrat_fail(error, code, NETSTRAT_OP_MOUNT) : 0;
}

/* Writes the path of a descriptor of the calling thread. /proc/self/fd would be that of the
 * process's first thread, which may have other descriptors, or have ended. */
static void netns_descriptor_path(int fd, char path[NETNS_PATH_SIZE])
{
    static const char prefix[] = "/proc/thread-self/fd/";
    char digits[12];
    size_t count = 0, at = sizeof prefix - 1;

    memcpy(path, prefix, sizeof prefix);
    do
        digits[count++] = (char)('0' + fd % 10);
    while ((fd /= 10) > 0);
    while (count > 0)
        path[at++] = digits[--count];
    path[at] = '\0';
}

int netstrat_netns_bind(int fd, const char *directory, const char *path,
                        struct netstrat_error *error)
{
    char source[NETNS_PATH_SIZE];
    int file, code;

    if (!netstrat_netns_is(fd)) /* mount() would bind any file */
        return netstrat_fail(error, -EINVAL, NETSTRAT_OP_MOUNT);
    code = netns_prepare_directory(directory, error);
    if (code < 0)
        return code;
    file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0); /* mode 0, as `ip netns` */
    if (file < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_OPEN_NETNS);
    (void)close(file);
    netns_descriptor_path(fd, source);
    if (mount(source, path, "none", MS_BIND, NULL) == 0)
        return 0;
    code = netstrat_fail(error, -errno, NETSTRAT_OP_MOUNT);
    (void)unlink(path);
    return code;
}

int netstrat_netns_unbind(const char *path, struct netstrat_error *error)
{
    int tries, code = -EBUSY;

    /* EBUSY: another mount is left on the file. */
    for (tries = 0; tries < NETNS_UNBIND_TRIES && code == -EBUSY; tries++) {
        /* EINVAL: a file without a mount, which an interrupted bind may leave. */
        if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL)
            return netstrat_fail(error, -errno, NETSTRAT_OP_UMOUNT);
        code = unlink(path) < 0 ? -errno : 0;
    }
    return code < 0 ? netstrat_fail(error, code, NETSTRAT_OP_UNLINK) : 0;
}

/* ---- mounts ---- */

int netstrat_mounts_separate(struct netstrat_error *error)
{
    if (unshare(CLONE_NEWNS) < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_UNSHARE);
    if (mount("", "/", "none", MS_SLAVE | MS_REC, NULL) < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_MOUNT);
    return 0;
}

int netstrat_mounts_bind(const char *source, const char *target, struct netstrat_error *error)
{
    if (mount(source, target, "none", MS_BIND, NULL) < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_MOUNT);
    return 0;
}
