/* SPDX-License-Identifier: MIT */
/* Sockets and mounts of sysfs in other namespaces, while the callers' threads stay where they are;
 * and namespaces that are made, named and entered. */
/* wrap: setns mount flock pthread_create */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "../../csrc/netstrat.h"
#include "check.h"
#include "failed.h"
#include "sandbox.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

enum { THREADS = 4, ROUNDS = 50 };

static unsigned char buffer[4096];
static struct netstrat_socket sock;
static struct netstrat_error error;

/* A child in a network namespace of its own, in which lo is down; it ends when a byte arrives. */
struct neighbour {
    pid_t pid;
    int pipe;
    char path[64];
};

static void make_neighbour(struct neighbour *neighbour)
{
    int down[2], up[2];
    char byte = 'x';

    if (pipe2(down, O_CLOEXEC) < 0 || pipe2(up, O_CLOEXEC) < 0) {
        perror("pipe2");
        exit(1);
    }
    fflush(stdout);
    neighbour->pid = fork();
    if (neighbour->pid == 0) {
        close(down[1]);
        close(up[0]);
        if (unshare(CLONE_NEWNET) < 0 || write(up[1], &byte, 1) != 1)
            _exit(1);
        _exit(read(down[0], &byte, 1) < 0); /* a byte, or the parent has died */
    }
    close(down[0]);
    close(up[1]);
    CHECK(read(up[0], &byte, 1) == 1);
    close(up[0]);
    neighbour->pipe = down[1];
    snprintf(neighbour->path, sizeof neighbour->path, "/proc/%ld/ns/net", (long)neighbour->pid);
}

static void end_neighbour(const struct neighbour *neighbour)
{
    int status;

    CHECK(write(neighbour->pipe, "x", 1) == 1);
    close(neighbour->pipe);
    CHECK(waitpid(neighbour->pid, &status, 0) == neighbour->pid && status == 0);
}

/* A pidfd; -1, and a word about it, where there are none: before Linux 5.3, and under valgrind. */
static int open_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    CHECK(fd >= 0 || errno == ENOSYS);
    if (fd < 0)
        printf("no pidfd_open here: pidfds are left out\n");
    return fd;
}

/* Which namespace the calling thread is in. */
static ino_t own_namespace(void)
{
    struct stat status;

    return stat("/proc/thread-self/ns/net", &status) == 0 ? status.st_ino : 0;
}

static int is_up_here(const char *name)
{
    static unsigned char own[4096];
    struct netstrat_socket here;
    int up = -1;

    if (netstrat_socket_open(&here, own, sizeof own, NULL) == 0) {
        up = netstrat_link_is_up(&here, name, NULL);
        netstrat_socket_close(&here);
    }
    return up;
}

/* Brings the other's lo up and down through `sock`, which is open there. */
static void use_and_close(ino_t own)
{
    CHECK(fcntl(sock.fd, F_GETFD) == FD_CLOEXEC);
    CHECK(sock.buffer == buffer && sock.buffer_size == sizeof buffer);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 0);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
    CHECK(is_up_here("lo") == 0); /* ours has stayed down */
    CHECK(netstrat_link_set_down(&sock, "lo", &error) == 0);
    CHECK(own_namespace() == own);
    netstrat_socket_close(&sock);
}

/* By the path of a namespace. */
static int open_path(struct netstrat_socket *to, void *memory, size_t size, const char *path)
{
    int fd = netstrat_netns_open(path, &error);
    int code = fd < 0 ? fd : netstrat_socket_open_at(to, memory, size, fd, &error);

    if (fd >= 0)
        close(fd);
    return code;
}

static void test_a_socket_is_opened_in_another_namespace(void)
{
    ino_t own = own_namespace();
    struct neighbour neighbour;
    int fd;

    make_neighbour(&neighbour);
    CHECK(own != 0);
    CHECK(open_path(&sock, buffer, sizeof buffer, neighbour.path) == 0);
    use_and_close(own);
    fd = open_pidfd(neighbour.pid);
    if (fd >= 0) {
        CHECK(netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error) == 0);
        use_and_close(own);
        close(fd);
    }

    /* The socket keeps its namespace, whatever becomes of the process that it was made from. */
    CHECK(open_path(&sock, buffer, sizeof buffer, neighbour.path) == 0);
    end_neighbour(&neighbour);
    use_and_close(own);
}

/* A second socket in the namespace of the first: the caller's, and another one. */
static void test_a_socket_is_opened_beside_another(void)
{
    static unsigned char others[4096];
    struct netstrat_socket other;
    const ino_t own = own_namespace();
    struct neighbour neighbour;

    CHECK(netstrat_socket_open(&other, others, sizeof others, &error) == 0);
    CHECK(netstrat_socket_open_beside(&sock, buffer, sizeof buffer, &other, &error) == 0);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    CHECK(is_up_here("lo") == 1);
    CHECK(netstrat_link_set_down(&sock, "lo", &error) == 0);
    netstrat_socket_close(&sock);
    netstrat_socket_close(&other);

    make_neighbour(&neighbour);
    CHECK(open_path(&other, others, sizeof others, neighbour.path) == 0);
    CHECK(netstrat_socket_open_beside(&sock, buffer, sizeof buffer, &other, &error) == 0);
    CHECK(sock.fd != other.fd);
    use_and_close(own);
    end_neighbour(&neighbour);
    netstrat_socket_close(&other);
    CHECK(failed_with(&error,
                      netstrat_socket_open_beside(&sock, buffer, sizeof buffer, &other, &error),
                      -EBADF, NETSTRAT_OP_SETNS));
    netstrat_socket_close(&sock); /* it failed to open */
}

static void without_capabilities(void)
{
    static unsigned char others[4096];
    struct netstrat_socket other;
    struct neighbour neighbour;

    make_neighbour(&neighbour);
    CHECK(open_path(&other, others, sizeof others, neighbour.path) == 0);
    drop_capabilities();
    CHECK(failed_with(&error,
                      netstrat_socket_open_beside(&sock, buffer, sizeof buffer, &other, &error),
                      -EPERM, NETSTRAT_OP_SETNS));
    netstrat_socket_close(&sock);
    netstrat_socket_close(&other);
    CHECK(netstrat_socket_open(&other, others, sizeof others, &error) == 0);
    CHECK(netstrat_socket_open_beside(&sock, buffer, sizeof buffer, &other, &error) == 0);
    netstrat_socket_close(&sock);
    netstrat_socket_close(&other);
    end_neighbour(&neighbour);
}

static void test_a_socket_beside_another_needs_capabilities_only_in_another_namespace(void)
{
    in_child(without_capabilities);
}

static void test_a_path_is_opened_close_on_exec(void)
{
    int fd = netstrat_netns_open("/proc/self/ns/net", &error);

    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    close(fd);
    CHECK(failed_with(&error, netstrat_netns_open("/nowhere", &error), -ENOENT,
                      NETSTRAT_OP_OPEN_NETNS));
    CHECK(failed_with(&error, netstrat_netns_open("", &error), -ENOENT, NETSTRAT_OP_OPEN_NETNS));
    CHECK(netstrat_netns_open("/nowhere", NULL) == -ENOENT);
}

static void test_what_is_not_a_namespace_is_not_entered(void)
{
    static const char *const paths[] = {"/dev/null", "/", "/proc/self/ns/mnt"};
    struct neighbour neighbour;
    int fd;

    memset(&sock, 0xa5, sizeof sock);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        fd = netstrat_netns_open(paths[i], &error);
        CHECK(failed_with(&error, netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error),
                          -EINVAL, NETSTRAT_OP_SETNS));
        CHECK(failed_with(&error, netstrat_sysfs_mount_at(fd, &error), -EINVAL, NETSTRAT_OP_SETNS));
        CHECK(netstrat_netns_is(fd) == 0);
        CHECK(netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, NULL) == -EINVAL);
        close(fd);
    }
    CHECK(failed_with(&error, netstrat_socket_open_at(&sock, buffer, sizeof buffer, -1, &error),
                      -EBADF, NETSTRAT_OP_SETNS));
    CHECK(failed_with(&error, netstrat_sysfs_mount_at(-1, &error), -EBADF, NETSTRAT_OP_SETNS));
    CHECK(netstrat_socket_open_at(&sock, buffer, sizeof buffer, -1, NULL) == -EBADF);
    CHECK(netstrat_netns_is(-1) == 0);

    /* A pidfd whose process is gone. */
    make_neighbour(&neighbour);
    fd = open_pidfd(neighbour.pid);
    end_neighbour(&neighbour);
    if (fd >= 0) {
        CHECK(failed_with(&error, netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error),
                          -ESRCH, NETSTRAT_OP_SETNS));
        close(fd);
    }
    CHECK(sock.fd == -1);
    netstrat_socket_close(&sock);
}

/* Reads lo's flags through a detached mount: which says whose lo it is. */
static int flags_of_lo(int mounted)
{
    char text[16] = "";
    int fd = openat(mounted, "class/net/lo/flags", O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (fd < 0)
        return -errno;
    length = read(fd, text, sizeof text - 1);
    close(fd);
    return length < 0 ? -errno : (int)strtol(text, NULL, 16);
}

static void test_sysfs_is_mounted_of_another_namespace(void)
{
    struct neighbour neighbour;
    ino_t own = own_namespace();
    int fd, mounted;

    make_neighbour(&neighbour);
    CHECK(open_path(&sock, buffer, sizeof buffer, neighbour.path) == 0);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    netstrat_socket_close(&sock);
    CHECK(is_up_here("lo") == 0);
    fd = netstrat_netns_open(neighbour.path, &error);
    mounted = netstrat_sysfs_mount_at(fd, &error);
    close(fd);
    if (mounted == -ENOSYS) {
        printf("no fsopen here: the detached mount is left out\n");
        CHECK(error.step == NETSTRAT_OP_FSOPEN);
    } else {
        CHECK(mounted >= 0 && fcntl(mounted, F_GETFD) == FD_CLOEXEC);
        CHECK((flags_of_lo(mounted) & 1) == 1); /* IFF_UP, unlike ours */
        CHECK(own_namespace() == own);
    }
    end_neighbour(&neighbour);
    if (mounted >= 0)
        close(mounted);
}

static void without_rights(void)
{
    int fd = netstrat_netns_open("/proc/self/ns/net", &error);

    drop_capabilities();
    CHECK(failed_with(&error, netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error),
                      -EPERM, NETSTRAT_OP_SETNS));
    CHECK(failed_with(&error, netstrat_sysfs_mount_at(fd, &error), -EPERM, NETSTRAT_OP_SETNS));
    CHECK(failed_with(&error, netstrat_netns_enter(fd, &error), -EPERM, NETSTRAT_OP_SETNS));
    CHECK(failed_with(&error, netstrat_netns_create(&error), -EPERM, NETSTRAT_OP_UNSHARE));
}

/* No descriptor to spare: the step that failed is reported, also by the thread. */
static void without_descriptors(void)
{
    struct rlimit limit, before;
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    limit = before;
    limit.rlim_cur = (rlim_t)fd + 1;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(failed_with(&error, netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error),
                      -EMFILE, NETSTRAT_OP_SOCKET));
    CHECK(failed_with(&error, netstrat_netns_open("/proc/self/ns/net", &error), -EMFILE,
                      NETSTRAT_OP_OPEN_NETNS));
    CHECK(failed_with(&error, netstrat_netns_create(&error), -EMFILE, NETSTRAT_OP_OPEN_NETNS));
    CHECK(
        failed_with(&error, netstrat_link_set_up_once("lo", &error), -EMFILE, NETSTRAT_OP_SOCKET));
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

/* ---- namespaces made and named ---- */

static void test_a_new_namespace_is_another_one_with_lo_down(void)
{
    ino_t own = own_namespace();
    uint64_t cookie = 0, second = 0;
    int fd = netstrat_netns_create(&error);

    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && netstrat_netns_is(fd) == 1);
    CHECK(own_namespace() == own);
    CHECK(netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error) == 0);
    if (netstrat_netns_cookie(&sock, &cookie, &error) == 0) {
        netstrat_socket_close(&sock);
        CHECK(netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error) == 0);
        CHECK(netstrat_netns_cookie(&sock, &second, &error) == 0);
        CHECK(cookie == second && cookie != 0);
        netstrat_socket_close(&sock);
        CHECK(netstrat_socket_open(&sock, buffer, sizeof buffer, &error) == 0);
        CHECK(netstrat_netns_cookie(&sock, &second, &error) == 0 && cookie != second);
    } else {
        CHECK(failed_with(&error, error.code, -ENOPROTOOPT, NETSTRAT_OP_GETSOCKOPT));
        printf("no SO_NETNS_COOKIE here: cookies are left out\n");
    }
    netstrat_socket_close(&sock);
    CHECK(netstrat_netns_cookie(&sock, &cookie, &error) == -EBADF);
    close(fd);
}

static void enter_a_new_namespace(void)
{
    ino_t own = own_namespace();
    int fd = netstrat_netns_create(&error);
    struct stat status;

    CHECK(fstat(fd, &status) == 0 && status.st_ino != own);
    CHECK(netstrat_netns_enter(fd, &error) == 0 && own_namespace() == status.st_ino);
    CHECK(failed_with(&error, netstrat_netns_enter(-1, &error), -EBADF, NETSTRAT_OP_SETNS));
    close(fd);
}

/* Whether the mount at `path` spreads to other mount namespaces. */
static int is_shared(const char *path)
{
    char line[4096], wanted[128];
    FILE *mounts = fopen("/proc/thread-self/mountinfo", "re");
    int shared = 0;

    snprintf(wanted, sizeof wanted, " %s ", path);
    while (mounts && fgets(line, sizeof line, mounts))
        if (strstr(line, wanted) != NULL)
            shared = strstr(line, " shared:") != NULL;
    if (mounts)
        fclose(mounts);
    return shared;
}

static void test_a_namespace_has_a_name_until_that_is_deleted(void)
{
    char directory[] = "/tmp/netstrat-XXXXXX", names[64], path[80];
    struct stat status, named;
    int fd = netstrat_netns_create(&error), again;

    CHECK(mkdtemp(directory) != NULL);
    snprintf(names, sizeof names, "%s/netns", directory);
    snprintf(path, sizeof path, "%s/blue", names);
    CHECK(mount("", "/", "none", MS_PRIVATE | MS_REC, NULL) == 0);
    CHECK(netstrat_netns_bind(fd, names, path, &error) == 0 && is_shared(names));
    CHECK(fstat(fd, &status) == 0);
    close(fd);
    fd = netstrat_netns_open(path, &error); /* the name alone keeps it */
    CHECK(fd >= 0 && fstat(fd, &named) == 0 && named.st_ino == status.st_ino);
    CHECK(netstrat_netns_is(fd) == 1);
    CHECK(failed_with(&error, netstrat_netns_bind(fd, names, path, &error), -EEXIST,
                      NETSTRAT_OP_OPEN_NETNS));
    again = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(failed_with(&error, netstrat_netns_bind(again, names, path, &error), -EINVAL,
                      NETSTRAT_OP_MOUNT));
    CHECK(failed_with(&error, netstrat_netns_bind(-1, names, path, &error), -EINVAL,
                      NETSTRAT_OP_MOUNT));
    close(again);
    CHECK(failed_with(&error, netstrat_netns_bind(fd, "/nowhere/netns", "/nowhere/netns/x", &error),
                      -ENOENT, NETSTRAT_OP_MKDIR));
    close(fd);
    CHECK(netstrat_netns_unbind(path, &error) == 0);
    CHECK(access(path, F_OK) < 0 && errno == ENOENT);
    CHECK(failed_with(&error, netstrat_netns_unbind(path, &error), -ENOENT, NETSTRAT_OP_UMOUNT));
    write_file(path, ""); /* left behind by an interrupted bind */
    CHECK(netstrat_netns_unbind(path, &error) == 0);
    CHECK(umount2(names, MNT_DETACH) == 0 && rmdir(names) == 0 && rmdir(directory) == 0);
}

/* A thread that has a descriptor table of its own: there, netns_fd is another namespace's. */
static char names_path[64], name_path[80];
static int netns_fd;

static void *name_with_own_descriptors(void *argument)
{
    struct netstrat_error problem;
    int fd;

    (void)argument;
    if (unshare(CLONE_FILES) != 0)
        return NULL;
    fd = netstrat_netns_create(&problem);
    if (fd < 0 || dup3(fd, netns_fd, O_CLOEXEC) != netns_fd)
        return NULL;
    if (netstrat_netns_bind(netns_fd, names_path, name_path, &problem) != 0)
        return NULL;
    return (void *)&name_path;
}

static void name_from_a_thread_with_own_descriptors(void)
{
    pthread_t thread;
    void *named = NULL;
    struct stat status;

    netns_fd = netstrat_netns_open("/proc/thread-self/ns/net", &error);
    CHECK(pthread_create(&thread, NULL, name_with_own_descriptors, NULL) == 0);
    CHECK(pthread_join(thread, &named) == 0 && named != NULL);
    CHECK(stat(name_path, &status) == 0 && status.st_ino != own_namespace());
}

static void *name_after_the_main_thread(void *argument)
{
    struct netstrat_error problem;
    struct stat status;
    char stat_path[64], line[256] = "";
    int fd;

    (void)argument;
    /* The first thread has ended when it is a zombie: "PID (name) Z". */
    snprintf(stat_path, sizeof stat_path, "/proc/self/task/%ld/stat", (long)getpid());
    while (strstr(line, ") Z") == NULL) {
        fd = open(stat_path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, line, sizeof line - 1) < 0)
            _exit(2);
        close(fd);
        sched_yield();
    }
    fd = netstrat_netns_create(&problem);
    if (fd < 0 || netstrat_netns_bind(fd, names_path, name_path, &problem) != 0)
        _exit(3);
    if (stat(name_path, &status) != 0 || status.st_ino == own_namespace())
        _exit(4);
    kill(getpid(), SIGKILL); /* success: valgrind does not look for this thread's memory then */
    return NULL;
}

static void name_after_the_main_thread_has_ended(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, name_after_the_main_thread, NULL) == 0)
        syscall(SYS_exit, 0); /* this thread alone */
}

static void test_the_name_is_that_of_the_threads_own_descriptor(void)
{
    char directory[] = "/tmp/netstrat-XXXXXX";
    pid_t child;
    int status = -1;

    CHECK(mkdtemp(directory) != NULL);
    snprintf(names_path, sizeof names_path, "%s/netns", directory);
    snprintf(name_path, sizeof name_path, "%s/blue", names_path);
    in_child(name_from_a_thread_with_own_descriptors);
    CHECK(netstrat_netns_unbind(name_path, &error) == 0);
    fflush(stdout);
    child = fork();
    if (child == 0)
        name_after_the_main_thread_has_ended();
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECK(netstrat_netns_unbind(name_path, &error) == 0);
    CHECK(umount2(names_path, MNT_DETACH) == 0 && rmdir(names_path) == 0 && rmdir(directory) == 0);
}

/* How often `path` is a mount point of this mount namespace. */
static int count_mounts(const char *path)
{
    char line[4096], wanted[128];
    FILE *mounts = fopen("/proc/thread-self/mountinfo", "re");
    int count = 0;

    snprintf(wanted, sizeof wanted, " %s ", path);
    while (mounts && fgets(line, sizeof line, mounts))
        count += strstr(line, wanted) != NULL;
    if (mounts)
        fclose(mounts);
    return count;
}

enum { NAMERS = 8, ATTEMPTS = 4 };

/* How many of the children have found that the directory is not a mount; in memory that they share,
 * NULL elsewhere. */
static int *arrived;

int __real_mount(const char *source, const char *target, const char *type, unsigned long flags,
                 const void *data);
int __wrap_mount(const char *source, const char *target, const char *type, unsigned long flags,
                 const void *data);

/* Lets the children go on once all of them have arrived: so all of them see a directory that is not
 * a mount. */
int __wrap_mount(const char *source, const char *target, const char *type, unsigned long flags,
                 const void *data)
{
    int code = __real_mount(source, target, type, flags, data), saved = errno;

    if (arrived && code < 0 && saved == EINVAL) {
        __atomic_add_fetch(arrived, 1, __ATOMIC_RELAXED);
        while (__atomic_load_n(arrived, __ATOMIC_RELAXED) < NAMERS)
            sched_yield();
    }
    errno = saved;
    return code;
}

static void name_at_once(const char *directory, int number)
{
    struct netstrat_error problem;
    char path[80];
    int fd = netstrat_netns_create(&problem);

    snprintf(path, sizeof path, "%s/n%d", directory, number);
    _exit(fd < 0 || netstrat_netns_bind(fd, directory, path, &problem) != 0);
}

/* As at boot: the directory is missing, on a shared mount. */
static void name_in_many_processes(void)
{
    char directory[] = "/tmp/netstrat-XXXXXX", names[64], path[80];

    CHECK(mkdtemp(directory) != NULL);
    CHECK(mount("none", directory, "tmpfs", 0, NULL) == 0);
    CHECK(mount("", directory, "none", MS_SHARED, NULL) == 0);
    arrived = (int *)mmap(NULL, sizeof *arrived, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                          -1, 0);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        pid_t children[NAMERS];

        snprintf(names, sizeof names, "%s/netns%d", directory, attempt);
        __atomic_store_n(arrived, 0, __ATOMIC_RELAXED);
        fflush(stdout);
        for (int i = 0; i < NAMERS; i++) {
            children[i] = fork();
            if (children[i] == 0)
                name_at_once(names, i);
        }
        for (int i = 0; i < NAMERS; i++) {
            int status = -1;

            CHECK(waitpid(children[i], &status, 0) == children[i] && status == 0);
        }
        CHECK(count_mounts(names) == 1 && is_shared(names));
        for (int i = 0; i < NAMERS; i++) {
            snprintf(path, sizeof path, "%s/n%d", names, i);
            /* One in the directory's mount, one in that of the file system beneath it. */
            CHECK(count_mounts(path) == 2);
        }
    }
    CHECK(munmap(arrived, sizeof *arrived) == 0);
    arrived = NULL;
    CHECK(umount2(directory, MNT_DETACH) == 0 && rmdir(directory) == 0);
}

/* A lock of the directory that another holds, and how often it was in the way; -1: none. */
static int others_lock = -1, lock_refusals;

int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);

/* The other lets go once it has been in the way. */
int __wrap_flock(int fd, int operation)
{
    int code = __real_flock(fd, operation), saved = errno;

    if (others_lock >= 0 && code < 0 && saved == EWOULDBLOCK) {
        lock_refusals++;
        close(others_lock);
        others_lock = -1;
    }
    errno = saved;
    return code;
}

static void test_a_locked_directory_of_names_is_waited_for(void)
{
    char directory[] = "/tmp/netstrat-XXXXXX", path[80];
    int fd = netstrat_netns_create(&error);

    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/blue", directory);
    others_lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(others_lock >= 0 && flock(others_lock, LOCK_EX) == 0);
    CHECK(netstrat_netns_bind(fd, directory, path, &error) == 0 && is_shared(directory));
    CHECK(lock_refusals == 1 && others_lock == -1);
    close(fd);
    CHECK(netstrat_netns_unbind(path, &error) == 0);
    CHECK(umount2(directory, MNT_DETACH) == 0 && rmdir(directory) == 0);
}

/* ---- mounts ---- */

static void separate_mounts(void)
{
    char directory[] = "/tmp/netstrat-XXXXXX", inner[64], outer[64], from[64], to[64], text[8] = "";
    int home = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC), separate, file;

    CHECK(mkdtemp(directory) != NULL);
    snprintf(inner, sizeof inner, "%s/inner", directory);
    snprintf(outer, sizeof outer, "%s/outer", directory);
    snprintf(from, sizeof from, "%s/from", directory);
    snprintf(to, sizeof to, "%s/to", directory);
    CHECK(mount("none", directory, "tmpfs", 0, NULL) == 0);
    CHECK(mount("", directory, "none", MS_SHARED, NULL) == 0);
    CHECK(mkdir(inner, 0700) == 0 && mkdir(outer, 0700) == 0);
    write_file(from, "from");
    write_file(to, "to");

    CHECK(netstrat_mounts_separate(&error) == 0 && !is_shared(directory));
    separate = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
    CHECK(mount("none", inner, "tmpfs", 0, NULL) == 0 && count_mounts(inner) == 1);
    CHECK(netstrat_mounts_bind(from, to, &error) == 0 && count_mounts(to) == 1);
    file = open(to, O_RDONLY | O_CLOEXEC);
    CHECK(read(file, text, sizeof text) == 4 && memcmp(text, "from", 4) == 0);
    close(file);
    CHECK(failed_with(&error, netstrat_mounts_bind(from, "/nowhere", &error), -ENOENT,
                      NETSTRAT_OP_MOUNT));

    /* What is mounted here stays here; what is mounted there arrives here. */
    CHECK(setns(home, CLONE_NEWNS) == 0 && is_shared(directory));
    CHECK(count_mounts(inner) == 0 && count_mounts(to) == 0);
    CHECK(mount("none", outer, "tmpfs", 0, NULL) == 0);
    CHECK(setns(separate, CLONE_NEWNS) == 0 && count_mounts(outer) == 1);

    CHECK(setns(home, CLONE_NEWNS) == 0);
    close(home);
    close(separate);
    CHECK(umount2(directory, MNT_DETACH) == 0 && rmdir(directory) == 0);
}

/* A root that is not a mount has no spreading to change. */
static void separate_mounts_in_a_changed_root(void)
{
    char directory[] = "/tmp/netstrat-XXXXXX";
    int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK(mkdtemp(directory) != NULL && chroot(directory) == 0);
    CHECK(failed_with(&error, netstrat_mounts_separate(&error), -EINVAL, NETSTRAT_OP_MOUNT));
    CHECK(fchdir(root) == 0 && chroot(".") == 0 && rmdir(directory) == 0);
    close(root);
}

static void separate_mounts_without_rights(void)
{
    drop_capabilities();
    CHECK(failed_with(&error, netstrat_mounts_separate(&error), -EPERM, NETSTRAT_OP_UNSHARE));
    CHECK(netstrat_mounts_separate(NULL) == -EPERM);
    CHECK(failed_with(&error, netstrat_mounts_bind("/proc", "/tmp", &error), -EPERM,
                      NETSTRAT_OP_MOUNT));
}

/* ---- where no thread can be made ---- */

/* Set: no thread is made, as for want of memory. musl says the same of everything. */
static int threads_are_refused;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    return threads_are_refused ? EAGAIN
                               : __real_pthread_create(thread, attributes, start, argument);
}

static void without_resources_for_a_thread(void)
{
    threads_are_refused = 1;
    CHECK(failed_with(&error, netstrat_netns_create(&error), -EAGAIN, NETSTRAT_OP_PTHREAD_CREATE));
    CHECK(mount("none", "/proc", "tmpfs", 0, NULL) == 0); /* nothing to ask about the cause */
    CHECK(failed_with(&error, netstrat_netns_create(&error), -EAGAIN, NETSTRAT_OP_PTHREAD_CREATE));
    CHECK(umount2("/proc", MNT_DETACH) == 0);
}

static void after_a_new_pid_namespace_where_the_cause_is_not_told(void)
{
    pid_t first;

    CHECK(unshare(CLONE_NEWPID) == 0);
    threads_are_refused = 1;
    CHECK(failed_with(&error, netstrat_netns_create(&error), -EINVAL, NETSTRAT_OP_PTHREAD_CREATE));
    fflush(stdout);
    first = fork(); /* from now on the new namespace can be asked about */
    if (first == 0) {
        (void)pause();
        _exit(0);
    }
    CHECK(failed_with(&error, netstrat_netns_create(&error), -EINVAL, NETSTRAT_OP_PTHREAD_CREATE));
    CHECK(kill(first, SIGKILL) == 0 && waitpid(first, NULL, 0) == first);
    fflush(stdout);
    _exit(checks_failed != 0); /* a leak sanitizer's exit handler would start a process here */
}

static void after_a_new_pid_namespace(void)
{
    int fd = netstrat_netns_open("/proc/self/ns/net", &error);
    char text[512];

    CHECK(unshare(CLONE_NEWPID) == 0);
    CHECK(failed_with(&error, netstrat_netns_create(&error), -EINVAL, NETSTRAT_OP_PTHREAD_CREATE));
    netstrat_error_describe(&error, NULL, text, sizeof text);
    CHECK(strstr(text, "pid namespace") != NULL && strstr(text, "fork") != NULL);
    CHECK(failed_with(&error, netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error),
                      -EINVAL, NETSTRAT_OP_PTHREAD_CREATE));
    CHECK(failed_with(&error, netstrat_sysfs_mount_at(fd, &error), -EINVAL,
                      NETSTRAT_OP_PTHREAD_CREATE));
    close(fd);
    fflush(stdout);
    _exit(checks_failed != 0); /* a leak sanitizer's exit handler would start a process here */
}

/* ---- threads ---- */

static struct neighbour neighbours[2];
static int stop;

/* Opens sockets in the two namespaces by turns, uses them, and looks where it is itself. */
static void *wander(void *argument)
{
    unsigned char memory[4096];
    uintptr_t faults = 0;
    ino_t own = own_namespace();

    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        struct netstrat_socket there;
        struct netstrat_error problem;

        int fd = netstrat_netns_open(neighbours[i % 2].path, &problem);
        int code = netstrat_socket_open_at(&there, memory, sizeof memory, fd, &problem);

        close(fd);
        if (code != 0) {
            faults++;
            continue;
        }
        /* One namespace's lo is up, the other's is down. */
        faults += netstrat_link_is_up(&there, "lo", &problem) != i % 2;
        netstrat_socket_close(&there);
        faults += own_namespace() != own || own == 0;
    }
    return (void *)faults;
}

/* Uses one socket all the while. */
static void *stay(void *argument)
{
    unsigned char memory[4096];
    struct netstrat_socket here;
    uintptr_t faults = netstrat_socket_open(&here, memory, sizeof memory, NULL) != 0;

    (void)argument;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        faults += netstrat_link_is_up(&here, "lo", NULL) != 0;
    netstrat_socket_close(&here);
    return (void *)faults;
}

static void test_threads_do_not_disturb_each_other(void)
{
    pthread_t wanderers[THREADS], user;
    int before = count_descriptors();
    void *faults;

    make_neighbour(&neighbours[0]);
    make_neighbour(&neighbours[1]);
    CHECK(open_path(&sock, buffer, sizeof buffer, neighbours[1].path) == 0);
    CHECK(netstrat_link_set_up(&sock, "lo", NULL) == 0);
    netstrat_socket_close(&sock);

    CHECK(pthread_create(&user, NULL, stay, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&wanderers[i], NULL, wander, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(wanderers[i], &faults) == 0 && faults == NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    CHECK(pthread_join(user, &faults) == 0 && faults == NULL);
    end_neighbour(&neighbours[0]);
    end_neighbour(&neighbours[1]);
    CHECK(count_descriptors() == before);
}

/* ---- signals ---- */

/* What the helper thread blocks, and where it may run, looked at from within. */
static int helper_looks, helper_open_to_signals, helper_cpus;
static size_t helper_stack;

/* More than a small stack has room for: glibc takes it from there. */
static __thread volatile char thread_local_storage[60 * 1024];

int __real_setns(int fd, int type);
int __wrap_setns(int fd, int type);

int __wrap_setns(int fd, int type)
{
    sigset_t mask;
    cpu_set_t cpus;
    pthread_attr_t attributes;
    void *lowest;
    size_t size;

    /* Of the first thread's stack musl asks page by page, which has no end under qemu-user. */
    if (syscall(SYS_gettid) == getpid())
        return __real_setns(fd, type);
    thread_local_storage[sizeof thread_local_storage / 2] = 1;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &lowest, &size) == 0)
            __atomic_store_n(&helper_stack, size, __ATOMIC_RELAXED);
        (void)pthread_attr_destroy(&attributes);
    }
    CPU_ZERO(&cpus);
    (void)sched_getaffinity(0, sizeof cpus, &cpus);
    __atomic_store_n(&helper_cpus, CPU_COUNT(&cpus), __ATOMIC_RELAXED);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    __atomic_add_fetch(&helper_looks, 1, __ATOMIC_RELAXED);
    if (!sigismember(&mask, SIGALRM) || !sigismember(&mask, SIGINT) || !sigismember(&mask, SIGCHLD))
        __atomic_add_fetch(&helper_open_to_signals, 1, __ATOMIC_RELAXED);
    return __real_setns(fd, type);
}

static pthread_t caller;
static int arrivals, strays;

static void handle(int number)
{
    (void)number;
    __atomic_add_fetch(&arrivals, 1, __ATOMIC_RELAXED);
    if (!pthread_equal(pthread_self(), caller))
        __atomic_add_fetch(&strays, 1, __ATOMIC_RELAXED);
}

/* A timer's signals go to any thread of the process that does not block them, and so never to the
 * helper. */
static void test_no_signal_is_handled_in_the_helper_thread(void)
{
    struct sigaction action;
    sigset_t mask, after;
    timer_t timer;
    struct itimerspec every = {{0, 100000}, {0, 100000}}, never = {{0, 0}, {0, 0}};
    int rounds;

    caller = pthread_self();
    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    sigaction(SIGALRM, &action, NULL);
    CHECK(timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0);
    CHECK(timer_settime(timer, 0, &every, NULL) == 0);
    for (rounds = 0; rounds < 500 || __atomic_load_n(&arrivals, __ATOMIC_RELAXED) < 50; rounds++) {
        int code = open_path(&sock, buffer, sizeof buffer, "/proc/self/ns/net");

        CHECK(code == 0);
        if (code == 0)
            netstrat_socket_close(&sock);
    }
    CHECK(timer_settime(timer, 0, &never, NULL) == 0);
    CHECK(timer_delete(timer) == 0);
    CHECK(__atomic_load_n(&strays, __ATOMIC_RELAXED) == 0);

    /* The caller's own mask is what it was. */
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    CHECK(open_path(&sock, buffer, sizeof buffer, "/proc/self/ns/net") == 0);
    netstrat_socket_close(&sock);
    CHECK(open_path(&sock, buffer, sizeof buffer, "/dev/null") < 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK(sigismember(&after, SIGUSR2) == 1 && sigismember(&after, SIGALRM) == 0);
    sigemptyset(&mask);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* ---- where it runs ---- */

static void test_the_helper_thread_stays_on_a_cpu_and_the_caller_goes_where_it_may(void)
{
    cpu_set_t before, after;

    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    CHECK(open_path(&sock, buffer, sizeof buffer, "/proc/self/ns/net") == 0);
    netstrat_socket_close(&sock);
    CHECK(sched_getaffinity(0, sizeof after, &after) == 0 && CPU_EQUAL(&before, &after));
#ifdef __GLIBC__ /* others have no attribute for it */
    CHECK(helper_cpus == 1);
#endif
}

/* Whatever `ulimit -s` says: locked memory and RLIMIT_AS count all of it. */
static void test_the_helper_thread_has_a_small_stack(void)
{
    CHECK(open_path(&sock, buffer, sizeof buffer, "/proc/self/ns/net") == 0);
    netstrat_socket_close(&sock);
    CHECK(helper_stack > sizeof thread_local_storage &&
          helper_stack <= 2 * 1024 * 1024); /* TSan adds to it */
}

int main(void)
{
    int before;

    enter_sandbox(CLONE_NEWNS);
    before = count_descriptors();
    test_a_socket_is_opened_in_another_namespace();
    test_a_path_is_opened_close_on_exec();
    test_what_is_not_a_namespace_is_not_entered();
    test_sysfs_is_mounted_of_another_namespace();
    in_child(without_rights);
    in_child(without_descriptors);
    in_child(enter_a_new_namespace);
    if (is_emulated()) {
        printf("qemu-user passes on no question about namespaces: what they are is left out\n");
    } else {
        test_a_socket_is_opened_beside_another();
        test_a_socket_beside_another_needs_capabilities_only_in_another_namespace();
        test_a_new_namespace_is_another_one_with_lo_down();
        test_a_namespace_has_a_name_until_that_is_deleted();
        test_the_name_is_that_of_the_threads_own_descriptor();
        test_a_locked_directory_of_names_is_waited_for();
        in_child(name_in_many_processes);
    }
    in_child(separate_mounts);
    in_child(separate_mounts_in_a_changed_root);
    in_child(separate_mounts_without_rights);
    in_child(without_resources_for_a_thread);
    in_child(after_a_new_pid_namespace);
    in_child(after_a_new_pid_namespace_where_the_cause_is_not_told);
    test_threads_do_not_disturb_each_other();
    test_no_signal_is_handled_in_the_helper_thread();
    test_the_helper_thread_stays_on_a_cpu_and_the_caller_goes_where_it_may();
    test_the_helper_thread_has_a_small_stack();
    CHECK(helper_looks > THREADS * ROUNDS && helper_open_to_signals == 0);
    CHECK(count_descriptors() == before);
    return report();
}
