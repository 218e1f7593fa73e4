/* SPDX-License-Identifier: MIT */
/* A process in another network namespace, and sockets that are opened there. */
#ifndef NEIGHBOUR_H
#define NEIGHBOUR_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../csrc/netstrat.h"
#include "check.h"
#include "failed.h"
#include "fake_kernel.h"
#include "sandbox.h"

#define SHARED static __attribute__((unused))

SHARED unsigned char buffer[4096];
SHARED struct netstrat_socket sock;
SHARED struct netstrat_error error;

/* A child process in a new network namespace. It exits when it receives a byte. */
struct neighbour {
    pid_t pid;
    int pipe;
    char path[64];
};

static inline void make_neighbour(struct neighbour *neighbour)
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
        _exit(read(down[0], &byte, 1) < 0); /* a byte, or the end of the parent */
    }
    close(down[0]);
    close(up[1]);
    CHECK(read(up[0], &byte, 1) == 1);
    close(up[0]);
    neighbour->pipe = down[1];
    snprintf(neighbour->path, sizeof neighbour->path, "/proc/%ld/ns/net", (long)neighbour->pid);
}

static inline void end_neighbour(const struct neighbour *neighbour)
{
    int status;

    CHECK(write(neighbour->pipe, "x", 1) == 1);
    close(neighbour->pipe);
    CHECK(waitpid(neighbour->pid, &status, 0) == neighbour->pid && status == 0);
}

/* The inode number of the calling thread's namespace. */
static inline ino_t own_namespace(void)
{
    struct stat status;

    return stat("/proc/thread-self/ns/net", &status) == 0 ? status.st_ino : 0;
}

/* Opens a socket in the namespace with this path. */
static inline int open_path(struct netstrat_socket *to, void *memory, size_t size, const char *path)
{
    int fd = netstrat_netns_open(path, &error);
    int code = fd < 0 ? fd : netstrat_socket_open_at(to, memory, size, fd, &error);

    if (fd >= 0)
        close(fd);
    return code;
}

/* Counts the mounts at `path` in this mount namespace, and copies the last one's line. */
static inline int find_mount(const char *path, char *line, int size)
{
    char wanted[128], text[4096];
    FILE *mounts = fopen("/proc/thread-self/mountinfo", "re");
    int count = 0;

    snprintf(wanted, sizeof wanted, " %s ", path);
    while (mounts && fgets(text, sizeof text, mounts))
        if (strstr(text, wanted) != NULL) {
            snprintf(line, (size_t)size, "%s", text);
            count++;
        }
    if (mounts)
        fclose(mounts);
    return count;
}

static inline int count_mounts(const char *path)
{
    char line[4096];

    return find_mount(path, line, sizeof line);
}

/* Whether the mount at `path` propagates to other mount namespaces. */
static inline int is_shared(const char *path)
{
    char line[4096];

    return find_mount(path, line, sizeof line) > 0 && strstr(line, " shared:") != NULL;
}

#endif
