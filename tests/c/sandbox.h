/* SPDX-License-Identifier: MIT */
/* A network namespace of the program's own, and a thread without capabilities. */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include "check.h"

static inline void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    size_t length = strlen(text);

    if (fd < 0 || write(fd, text, length) != (ssize_t)length) {
        perror(path);
        exit(1);
    }
    close(fd);
}

/* Moves the program into a new network namespace, and into other new ones as `flags` say, with
 * all capabilities. A user namespace comes first, so that root is not needed. Where that fails,
 * as for a program with several threads (under TSan and qemu-user), the program must run as
 * root. Mounts do not spread between a new mount namespace and that of other processes. */
static inline void enter_sandbox(int flags)
{
    char map[64];
    unsigned uid = (unsigned)geteuid(), gid = (unsigned)getegid();

    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | flags) == 0) {
        write_file("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "0 %u 1", uid);
        write_file("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "0 %u 1", gid);
        write_file("/proc/self/gid_map", map);
    } else if (unshare(CLONE_NEWNET | flags) != 0) {
        perror("unshare: run this as root, or where user namespaces are allowed");
        exit(1);
    }
    if ((flags & CLONE_NEWNS) && mount("", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0) {
        perror("mount: private mounts");
        exit(1);
    }
}

/* Drops every capability of the calling thread. */
static inline void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];

    memset(none, 0, sizeof none);
    if (syscall(SYS_capset, &header, none) != 0) {
        perror("capset");
        exit(1);
    }
}

#endif
