/* SPDX-License-Identifier: MIT */
/*
 * A socket in another network namespace. setns() moves a thread, and a socket belongs to the
 * namespace in which it was made; so a thread that nothing else depends on enters the namespace,
 * opens the socket there and ends.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#ifndef CLONE_NEWNET
#define CLONE_NEWNET 0x40000000 /* linux/sched.h */
#endif

struct visit {
    struct netstrat_socket sock;
    unsigned char *buffer;
    size_t size;
    int netns;
    int code;
    struct netstrat_error error;
};

static void *enter_and_open(void *argument)
{
    struct visit *visit = (struct visit *)argument;

    /* The type keeps a descriptor of another kind of namespace out, and is what a pidfd needs. */
    if (setns(visit->netns, CLONE_NEWNET) < 0)
        visit->code = netstrat_fail(&visit->error, -errno, "setns");
    else
        visit->code = netstrat_open(&visit->sock, visit->buffer, visit->size, &visit->error);
    return NULL;
}

int netstrat_open_netns_fd(struct netstrat_socket *sock, void *buffer, size_t size, int netns,
                           struct netstrat_error *error)
{
    struct visit visit;
    sigset_t all, before;
    pthread_t thread;
    int failed, cancel;

    visit.buffer = (unsigned char *)buffer;
    visit.size = size;
    visit.netns = netns;

    /* The thread inherits the mask: no handler of the program's ever runs in it. A signal for the
     * process meanwhile goes to another thread, or waits for the few microseconds. */
    (void)sigfillset(&all);
    failed = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (failed)
        return netstrat_fail(error, -failed, "pthread_sigmask");
    /* pthread_join() would be a place for the caller to be cancelled, with `visit` still in use. */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    failed = pthread_create(&thread, NULL, enter_and_open, &visit);
    if (!failed)
        (void)pthread_join(thread, NULL); /* cannot fail: the thread is ours, and joined once */
    (void)pthread_setcancelstate(cancel, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);

    if (failed)
        return netstrat_fail(error, -failed, "pthread_create");
    if (visit.code < 0) {
        if (error)
            *error = visit.error;
        return visit.code;
    }
    *sock = visit.sock;
    return 0;
}

int netstrat_open_netns_path(struct netstrat_socket *sock, void *buffer, size_t size,
                             const char *netns, struct netstrat_error *error)
{
    /* O_NONBLOCK: a path that is a FIFO, say, must not hold the program up. */
    int fd = open(netns, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int code;

    if (fd < 0)
        return netstrat_fail(error, -errno, "open");
    code = netstrat_open_netns_fd(sock, buffer, size, fd, error);
    (void)close(fd);
    return code;
}
