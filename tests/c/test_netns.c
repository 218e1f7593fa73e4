/* SPDX-License-Identifier: MIT */
/* Sockets in other namespaces, while the callers' threads stay where they are. */
/* wrap: setns */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../../csrc/netstrat.h"
#include "check.h"
#include "sandbox.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

enum { THREADS = 4, ROUNDS = 50 };

static unsigned char buffer[4096];
static struct netstrat_socket sock;
static struct netstrat_error error;

/* A child in a network namespace of its own, in which lo is down; it ends when it is told to. */
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
        _exit(read(down[0], &byte, 1) < 0); /* told to, or the parent has died */
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

static int failed_with(int code, int wanted, const char *operation)
{
    if (code == wanted && error.code == code && !strcmp(error.operation, operation))
        return 1;
    printf("code %d (wanted %d), error %d %s\n", code, wanted, error.code,
           error.operation ? error.operation : "-");
    return 0;
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

    if (netstrat_open(&here, own, sizeof own, NULL) == 0) {
        up = netstrat_link_is_up(&here, name, NULL);
        netstrat_close(&here);
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
    netstrat_close(&sock);
}

static void test_ways(void)
{
    ino_t own = own_namespace();
    int before = count_descriptors();
    struct neighbour neighbour;
    int fd;

    make_neighbour(&neighbour);
    CHECK(own != 0);
    CHECK(netstrat_open_netns_path(&sock, buffer, sizeof buffer, neighbour.path, &error) == 0);
    use_and_close(own);
    fd = open(neighbour.path, O_RDONLY | O_CLOEXEC);
    CHECK(netstrat_open_netns_fd(&sock, buffer, sizeof buffer, fd, &error) == 0);
    use_and_close(own);
    close(fd);
    fd = open_pidfd(neighbour.pid);
    if (fd >= 0) {
        CHECK(netstrat_open_netns_fd(&sock, buffer, sizeof buffer, fd, &error) == 0);
        use_and_close(own);
        close(fd);
    }

    /* The socket keeps its namespace, whatever becomes of the process that it was made from. */
    CHECK(netstrat_open_netns_path(&sock, buffer, sizeof buffer, neighbour.path, NULL) == 0);
    end_neighbour(&neighbour);
    use_and_close(own);
    CHECK(count_descriptors() == before);
}

static void test_no_namespace(void)
{
    struct netstrat_socket untouched;
    int before = count_descriptors();
    struct neighbour neighbour;
    int fd;

    memset(&sock, 0xa5, sizeof sock);
    untouched = sock;
    CHECK(failed_with(netstrat_open_netns_path(&sock, buffer, sizeof buffer, "/nowhere", &error),
                      -ENOENT, "open"));
    CHECK(failed_with(netstrat_open_netns_path(&sock, buffer, sizeof buffer, "", &error), -ENOENT,
                      "open"));
    CHECK(failed_with(netstrat_open_netns_path(&sock, buffer, sizeof buffer, "/dev/null", &error),
                      -EINVAL, "setns"));
    CHECK(failed_with(netstrat_open_netns_path(&sock, buffer, sizeof buffer, "/", &error), -EINVAL,
                      "setns"));
    CHECK(failed_with(netstrat_open_netns_path(&sock, buffer, sizeof buffer, "/proc/self/ns/mnt",
                                               &error),
                      -EINVAL, "setns"));
    CHECK(failed_with(netstrat_open_netns_fd(&sock, buffer, sizeof buffer, -1, &error), -EBADF,
                      "setns"));
    CHECK(netstrat_open_netns_fd(&sock, buffer, sizeof buffer, -1, NULL) == -EBADF);
    CHECK(netstrat_open_netns_path(&sock, buffer, sizeof buffer, "/dev/null", NULL) == -EINVAL);

    /* A pidfd whose process is gone. */
    make_neighbour(&neighbour);
    fd = open_pidfd(neighbour.pid);
    end_neighbour(&neighbour);
    if (fd >= 0) {
        CHECK(failed_with(netstrat_open_netns_fd(&sock, buffer, sizeof buffer, fd, &error), -ESRCH,
                          "setns"));
        close(fd);
    }
    CHECK(memcmp(&sock, &untouched, sizeof sock) == 0);
    CHECK(count_descriptors() == before);
}

static void without_rights(void)
{
    drop_capabilities();
    CHECK(failed_with(netstrat_open_netns_path(&sock, buffer, sizeof buffer, "/proc/self/ns/net",
                                               &error),
                      -EPERM, "setns"));
}

/* No descriptor to spare: the step that failed is told, also by the thread. */
static void without_descriptors(void)
{
    struct rlimit limit, before;
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    limit = before;
    limit.rlim_cur = (rlim_t)fd + 1;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(failed_with(netstrat_open_netns_fd(&sock, buffer, sizeof buffer, fd, &error), -EMFILE,
                      "socket"));
    CHECK(failed_with(netstrat_open_netns_path(&sock, buffer, sizeof buffer, "/proc/self/ns/net",
                                               &error),
                      -EMFILE, "open"));
    CHECK(failed_with(netstrat_link_set_up_once("lo", &error), -EMFILE, "socket"));
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
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

        if (netstrat_open_netns_path(&there, memory, sizeof memory, neighbours[i % 2].path,
                                     &problem) != 0) {
            faults++;
            continue;
        }
        /* One namespace's lo is up, the other's is down. */
        faults += netstrat_link_is_up(&there, "lo", &problem) != i % 2;
        netstrat_close(&there);
        faults += own_namespace() != own || own == 0;
    }
    return (void *)faults;
}

/* Uses one socket all the while. */
static void *stay(void *argument)
{
    unsigned char memory[4096];
    struct netstrat_socket here;
    uintptr_t faults = netstrat_open(&here, memory, sizeof memory, NULL) != 0;

    (void)argument;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        faults += netstrat_link_is_up(&here, "lo", NULL) != 0;
    netstrat_close(&here);
    return (void *)faults;
}

static void test_threads(void)
{
    pthread_t wanderers[THREADS], user;
    int before = count_descriptors();
    void *faults;

    make_neighbour(&neighbours[0]);
    make_neighbour(&neighbours[1]);
    CHECK(netstrat_open_netns_path(&sock, buffer, sizeof buffer, neighbours[1].path, NULL) == 0);
    CHECK(netstrat_link_set_up(&sock, "lo", NULL) == 0);
    netstrat_close(&sock);

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

/* What the helper thread blocks, looked at from within. */
static int helper_looks, helper_open_to_signals;

int __real_setns(int fd, int type);
int __wrap_setns(int fd, int type);

int __wrap_setns(int fd, int type)
{
    sigset_t mask;

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

/* A timer's signals go to any thread of the process that does not block them: never to the helper. */
static void test_signals(void)
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
        int code = netstrat_open_netns_path(&sock, buffer, sizeof buffer, "/proc/self/ns/net",
                                            &error);

        CHECK(code == 0);
        if (code == 0)
            netstrat_close(&sock);
    }
    CHECK(timer_settime(timer, 0, &never, NULL) == 0);
    CHECK(timer_delete(timer) == 0);
    CHECK(__atomic_load_n(&strays, __ATOMIC_RELAXED) == 0);

    /* The caller's own mask is what it was. */
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    CHECK(netstrat_open_netns_path(&sock, buffer, sizeof buffer, "/proc/self/ns/net", NULL) == 0);
    netstrat_close(&sock);
    CHECK(netstrat_open_netns_path(&sock, buffer, sizeof buffer, "/dev/null", NULL) < 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK(sigismember(&after, SIGUSR2) == 1 && sigismember(&after, SIGALRM) == 0);
    sigemptyset(&mask);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

int main(void)
{
    int before;

    enter_sandbox(0);
    before = count_descriptors();
    test_ways();
    test_no_namespace();
    in_child(without_rights);
    in_child(without_descriptors);
    test_threads();
    test_signals();
    CHECK(helper_looks > THREADS * ROUNDS && helper_open_to_signals == 0);
    CHECK(count_descriptors() == before);
    return report();
}
