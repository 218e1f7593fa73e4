/* SPDX-License-Identifier: MIT */
/* The helper thread that enters other namespaces: it disturbs no thread, and no signal reaches
 * it. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "neighbour.h"

enum { THREADS = 4, ROUNDS = 50 };

/* ---- what the helper thread does ---- */

/* How often the helper thread was looked at, how often it had signals unblocked, and where it
 * ran. */
static int helper_looks, helper_open_to_signals, helper_cpus;
static size_t helper_stack;

/* More than a small stack has room for: glibc takes it from the stack. */
static __thread volatile char thread_local_storage[60 * 1024];

/* Looks at the helper thread from within, as it enters a namespace. */
static void look_at_helper(enum call call, const char *path)
{
    sigset_t mask;
    cpu_set_t cpus;
    pthread_attr_t attributes;
    void *lowest;
    size_t size;

    (void)path;
    /* musl measures the stack of the first thread page by page, which never ends under qemu-
     * user. */
    if (call != SETNS || syscall(SYS_gettid) == getpid())
        return;
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
}

/* ---- threads ---- */

static struct neighbour neighbours[2];
static int stop;

/* Uses sockets in the two namespaces alternately, and checks that the thread itself never moves. */
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

/* Uses one socket until `stop` is set. */
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

TEST(threads_do_not_disturb_each_other)
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
    CHECK(helper_looks >= THREADS * ROUNDS && helper_open_to_signals == 0);
}

/* ---- signals ---- */

static pthread_t caller;
static int arrivals, strays;

static void handle(int number)
{
    (void)number;
    __atomic_add_fetch(&arrivals, 1, __ATOMIC_RELAXED);
    if (!pthread_equal(pthread_self(), caller))
        __atomic_add_fetch(&strays, 1, __ATOMIC_RELAXED);
}

/* A timer's signals are delivered to any thread that does not block them, and so never to the
 * helper thread. */
TEST(no_signal_is_handled_in_the_helper_thread)
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
    CHECK(helper_looks >= rounds && helper_open_to_signals == 0);

    /* The caller's mask is restored. */
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

TEST(the_helper_thread_stays_on_a_cpu_and_the_caller_goes_where_it_may)
{
    cpu_set_t before, after;

    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    CHECK(open_path(&sock, buffer, sizeof buffer, "/proc/self/ns/net") == 0);
    netstrat_socket_close(&sock);
    CHECK(sched_getaffinity(0, sizeof after, &after) == 0 && CPU_EQUAL(&before, &after));
#ifdef __GLIBC__ /* other libcs cannot set the CPU of a new thread */
    CHECK(helper_cpus == 1);
#endif
}

/* Independent of `ulimit -s`, since locked memory and RLIMIT_AS include the whole stack. */
TEST(the_helper_thread_has_a_small_stack)
{
    CHECK(open_path(&sock, buffer, sizeof buffer, "/proc/self/ns/net") == 0);
    netstrat_socket_close(&sock);
    CHECK(helper_stack > sizeof thread_local_storage &&
          helper_stack <= 2 * 1024 * 1024); /* TSan adds to it */
}

static void enter(void)
{
    enter_sandbox(CLONE_NEWNS);
}

static void watch_helper(void)
{
    reset_kernel();
    kernel.before = look_at_helper;
    helper_looks = helper_open_to_signals = helper_cpus = 0;
    helper_stack = 0;
}

const struct fixture fixture = {.before_all = enter, .before_each = watch_helper};
