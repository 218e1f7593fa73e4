/* SPDX-License-Identifier: MIT */
/*
 * Settings under /proc/sys of the calling thread's network namespace. The kernel looks up
 * /proc/sys/net in the namespace of the thread that opens a file, whatever /proc is mounted
 * (net_ctl_root_lookup in net/sysctl_net.c).
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const char sysctl_root[] = "/proc/sys/";

enum { SYSCTL_PATH_SIZE = 160 };

/* Tests whether a path has only plain components, so that it stays beneath /proc/sys. */
static int sysctl_is_plain(const char *path)
{
    while (*path != '\0') {
        const size_t length = strcspn(path, "/");

        if (length == 0 || (length == 1 && path[0] == '.') ||
            (length == 2 && path[0] == '.' && path[1] == '.'))
            return 0;
        path += length;
        if (*path == '/' && *++path == '\0')
            return 0;
    }
    return 1;
}

static int sysctl_open(const char *name, int flags)
{
    const size_t length = strlen(name);
    char path[SYSCTL_PATH_SIZE];
    int fd;

    if (length == 0 || length > sizeof path - sizeof sysctl_root || !sysctl_is_plain(name))
        return -EINVAL;
    memcpy(path, sysctl_root, sizeof sysctl_root);
    memcpy(path + sizeof sysctl_root - 1, name, length + 1);
    do
        fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

/* Reads a text of at most `size` - 1 bytes, without the white space at its end. */
static int sysctl_read(int fd, char *text, size_t size)
{
    ssize_t count;

    do
        count = read(fd, text, size);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return -errno;
    if ((size_t)count == size)
        return -EMSGSIZE;
    while (count > 0 && netstrat_is_space(text[count - 1]))
        count--;
    memset(text + count, 0, size - (size_t)count);
    return 0;
}

/* Writes a value in one system call: the kernel sets the value of each call. */
static int sysctl_write(int fd, const char *value)
{
    const size_t length = strlen(value);
    ssize_t count;

    do
        count = write(fd, value, length);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return -errno;
    return (size_t)count == length ? 0 : -EINVAL; /* the setting takes less than `value` has */
}

static int sysctl_exchange_one(struct netstrat_sysctl *sysctl, enum netstrat_operation *operation)
{
    int fd = sysctl_open(sysctl->path, sysctl->value ? O_WRONLY : O_RDONLY), code;

    *operation = NETSTRAT_OP_OPEN_SYSCTL;
    if (fd < 0)
        return fd;
    if (sysctl->value) {
        *operation = NETSTRAT_OP_WRITE_SYSCTL;
        code = sysctl_write(fd, sysctl->value);
    } else {
        char text[NETSTRAT_SYSCTL_SIZE];

        *operation = NETSTRAT_OP_READ_SYSCTL;
        code = sysctl_read(fd, text, sizeof text);
        if (code == 0)
            memcpy(sysctl->text, text, sizeof text);
    }
    (void)close(fd);
    return code;
}

int netstrat_sysctls_exchange(struct netstrat_sysctl *sysctls, size_t count,
                              struct netstrat_error *error)
{
    size_t i;

    for (i = 0; i < count; i++) {
        enum netstrat_operation operation;
        const int code = sysctl_exchange_one(&sysctls[i], &operation);

        if (code < 0)
            return netstrat_fail_item(error, code, operation, (uint32_t)i);
    }
    return 0;
}
