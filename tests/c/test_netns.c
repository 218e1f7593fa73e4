/* SPDX-License-Identifier: MIT */
/* Sockets and sysfs mounts in other network namespaces. The calling thread never changes
 * namespace. */
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "neighbour.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* Returns a pidfd, or -1 where pidfd_open() is missing: before Linux 5.3, and under valgrind. */
static int open_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    CHECK(fd >= 0 || errno == ENOSYS);
    if (fd < 0)
        printf("no pidfd_open here: pidfds are left out\n");
    return fd;
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

/* Sets the neighbour's lo up and down through `sock`, and closes it. */
static void use_and_close(ino_t own)
{
    CHECK(fcntl(sock.fd, F_GETFD) == FD_CLOEXEC);
    CHECK(sock.buffer == buffer && sock.buffer_size == sizeof buffer);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 0);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
    CHECK(is_up_here("lo") == 0); /* our lo stays down */
    CHECK(netstrat_link_set_down(&sock, "lo", &error) == 0);
    CHECK(own_namespace() == own);
    netstrat_socket_close(&sock);
}

/* ---- sockets ---- */

TEST(a_socket_is_opened_in_another_namespace)
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

    /* The socket keeps its namespace after the neighbour has exited. */
    CHECK(open_path(&sock, buffer, sizeof buffer, neighbour.path) == 0);
    end_neighbour(&neighbour);
    use_and_close(own);
}

/* In the caller's namespace, and in another one. */
TEST_WITH(a_socket_is_opened_beside_another, NATIVE)
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
    FAILS(netstrat_socket_open_beside(&sock, buffer, sizeof buffer, &other, &error), -EBADF,
          NETSTRAT_OP_SETNS);
    netstrat_socket_close(&sock); /* it failed to open, and can be closed */
}

TEST_WITH(a_socket_beside_another_needs_capabilities_only_in_another_namespace, IN_CHILD | NATIVE)
{
    static unsigned char others[4096];
    struct netstrat_socket other;
    struct neighbour neighbour;

    make_neighbour(&neighbour);
    CHECK(open_path(&other, others, sizeof others, neighbour.path) == 0);
    drop_capabilities();
    FAILS(netstrat_socket_open_beside(&sock, buffer, sizeof buffer, &other, &error), -EPERM,
          NETSTRAT_OP_SETNS);
    netstrat_socket_close(&sock);
    netstrat_socket_close(&other);
    CHECK(netstrat_socket_open(&other, others, sizeof others, &error) == 0);
    CHECK(netstrat_socket_open_beside(&sock, buffer, sizeof buffer, &other, &error) == 0);
    netstrat_socket_close(&sock);
    netstrat_socket_close(&other);
    end_neighbour(&neighbour);
}

TEST(a_path_is_opened_close_on_exec)
{
    int fd = netstrat_netns_open("/proc/self/ns/net", &error);

    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    close(fd);
    FAILS(netstrat_netns_open("/nowhere", &error), -ENOENT, NETSTRAT_OP_OPEN_NETNS);
    FAILS(netstrat_netns_open("", &error), -ENOENT, NETSTRAT_OP_OPEN_NETNS);
    CHECK(netstrat_netns_open("/nowhere", NULL) == -ENOENT);
}

/* The kernel answers EACCES if the process ends during the look-up of its path, and ENOENT from
 * then on. */
TEST(a_process_that_ends_while_its_namespace_is_opened_is_missing)
{
    fail_call(OPEN, 1, EACCES);
    FAILS(netstrat_netns_open("/proc/4194305/ns/net", &error), -ENOENT, NETSTRAT_OP_OPEN_NETNS);
    CHECK(kernel.calls[OPEN] == 2);
    fail_call(OPEN, 1, EACCES);
    fail_call(OPEN, 2, EACCES);
    FAILS(netstrat_netns_open("/proc/self/ns/net", &error), -EACCES, NETSTRAT_OP_OPEN_NETNS);
    CHECK(kernel.calls[OPEN] == 4);
}

TEST(only_a_network_namespace_is_entered)
{
    static const char *const paths[] = {"/dev/null", "/", "/proc/self/ns/mnt"};
    struct neighbour neighbour;
    int fd;

    memset(&sock, 0xa5, sizeof sock);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        fd = netstrat_netns_open(paths[i], &error);
        FAILS(netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error), -EINVAL,
              NETSTRAT_OP_SETNS);
        FAILS(netstrat_sysfs_mount_at(fd, &error), -EINVAL, NETSTRAT_OP_SETNS);
        CHECK(netstrat_netns_is(fd) == 0);
        CHECK(netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, NULL) == -EINVAL);
        close(fd);
    }
    FAILS(netstrat_socket_open_at(&sock, buffer, sizeof buffer, -1, &error), -EBADF,
          NETSTRAT_OP_SETNS);
    FAILS(netstrat_sysfs_mount_at(-1, &error), -EBADF, NETSTRAT_OP_SETNS);
    CHECK(netstrat_socket_open_at(&sock, buffer, sizeof buffer, -1, NULL) == -EBADF);
    CHECK(netstrat_netns_is(-1) == 0);

    /* A pidfd whose process has exited. */
    make_neighbour(&neighbour);
    fd = open_pidfd(neighbour.pid);
    end_neighbour(&neighbour);
    if (fd >= 0) {
        FAILS(netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error), -ESRCH,
              NETSTRAT_OP_SETNS);
        close(fd);
    }
    CHECK(sock.fd == -1);
    netstrat_socket_close(&sock);
}

TEST_WITH(without_capabilities_no_namespace_is_entered, IN_CHILD)
{
    int fd = netstrat_netns_open("/proc/self/ns/net", &error);

    drop_capabilities();
    FAILS(netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error), -EPERM,
          NETSTRAT_OP_SETNS);
    FAILS(netstrat_sysfs_mount_at(fd, &error), -EPERM, NETSTRAT_OP_SETNS);
    FAILS(netstrat_netns_enter(fd, &error), -EPERM, NETSTRAT_OP_SETNS);
    FAILS(netstrat_netns_create(&error), -EPERM, NETSTRAT_OP_UNSHARE);
}

/* The helper thread's step is reported, too. */
TEST_WITH(a_lack_of_descriptors_is_reported_with_its_step, IN_CHILD)
{
    struct rlimit limit, before;
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    limit = before;
    limit.rlim_cur = (rlim_t)fd + 1;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    FAILS(netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error), -EMFILE,
          NETSTRAT_OP_SOCKET);
    FAILS(netstrat_netns_open("/proc/self/ns/net", &error), -EMFILE, NETSTRAT_OP_OPEN_NETNS);
    FAILS(netstrat_netns_create(&error), -EMFILE, NETSTRAT_OP_OPEN_NETNS);
    FAILS(netstrat_link_set_up_once("lo", &error), -EMFILE, NETSTRAT_OP_SOCKET);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

/* ---- sysfs ---- */

/* Reads the flags of lo through a detached mount, which identify the namespace. */
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

TEST(sysfs_of_another_namespace_is_mounted)
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
        CHECK(error.operation == NETSTRAT_OP_FSOPEN);
    } else {
        CHECK(mounted >= 0 && fcntl(mounted, F_GETFD) == FD_CLOEXEC);
        CHECK((flags_of_lo(mounted) & 1) == 1); /* IFF_UP, unlike ours */
        CHECK(own_namespace() == own);
    }
    end_neighbour(&neighbour);
    if (mounted >= 0)
        close(mounted);
}

/* ---- new namespaces ---- */

TEST_WITH(lo_is_down_in_a_new_namespace, NATIVE)
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
        FAILS(error.code, -ENOPROTOOPT, NETSTRAT_OP_GETSOCKOPT);
        printf("no SO_NETNS_COOKIE here: cookies are left out\n");
    }
    netstrat_socket_close(&sock);
    CHECK(netstrat_netns_cookie(&sock, &cookie, &error) == -EBADF);
    close(fd);
}

TEST_WITH(a_thread_enters_a_new_namespace, IN_CHILD)
{
    ino_t own = own_namespace();
    int fd = netstrat_netns_create(&error);
    struct stat status;

    CHECK(fstat(fd, &status) == 0 && status.st_ino != own);
    CHECK(netstrat_netns_enter(fd, &error) == 0 && own_namespace() == status.st_ino);
    FAILS(netstrat_netns_enter(-1, &error), -EBADF, NETSTRAT_OP_SETNS);
    close(fd);
}

/* ---- if no thread can be created ---- */

TEST_WITH(a_lack_of_resources_for_a_thread_is_reported, IN_CHILD)
{
    fail_call(PTHREAD_CREATE, EVERY, EAGAIN);
    FAILS(netstrat_netns_create(&error), -EAGAIN, NETSTRAT_OP_PTHREAD_CREATE);
    /* without /proc the cause cannot be found out */
    CHECK(mount("none", "/proc", "tmpfs", 0, NULL) == 0);
    FAILS(netstrat_netns_create(&error), -EAGAIN, NETSTRAT_OP_PTHREAD_CREATE);
    CHECK(umount2("/proc", MNT_DETACH) == 0);
}

TEST_WITH(eagain_after_a_new_pid_namespace_is_explained, IN_CHILD)
{
    pid_t first;

    CHECK(unshare(CLONE_NEWPID) == 0);
    fail_call(PTHREAD_CREATE, EVERY, EAGAIN);
    FAILS(netstrat_netns_create(&error), -EINVAL, NETSTRAT_OP_PTHREAD_CREATE);
    fflush(stdout);
    first = fork(); /* with a process, the new namespace is visible in /proc */
    if (first == 0) {
        (void)pause();
        _exit(0);
    }
    FAILS(netstrat_netns_create(&error), -EINVAL, NETSTRAT_OP_PTHREAD_CREATE);
    CHECK(kill(first, SIGKILL) == 0 && waitpid(first, NULL, 0) == first);
    fflush(stdout);
    _exit(checks_failed != 0); /* exit() would start the leak sanitizer's process */
}

TEST_WITH(einval_after_a_new_pid_namespace_is_explained, IN_CHILD)
{
    int fd = netstrat_netns_open("/proc/self/ns/net", &error);
    char text[512];

    CHECK(unshare(CLONE_NEWPID) == 0);
    FAILS(netstrat_netns_create(&error), -EINVAL, NETSTRAT_OP_PTHREAD_CREATE);
    netstrat_error_describe(&error, NULL, text, sizeof text);
    CHECK(strstr(text, "pid namespace") != NULL && strstr(text, "fork") != NULL);
    FAILS(netstrat_socket_open_at(&sock, buffer, sizeof buffer, fd, &error), -EINVAL,
          NETSTRAT_OP_PTHREAD_CREATE);
    FAILS(netstrat_sysfs_mount_at(fd, &error), -EINVAL, NETSTRAT_OP_PTHREAD_CREATE);
    close(fd);
    fflush(stdout);
    _exit(checks_failed != 0); /* exit() would start the leak sanitizer's process */
}

static void enter(void)
{
    enter_sandbox(CLONE_NEWNS);
}

const struct fixture fixture = {.before_all = enter, .before_each = reset_kernel};
