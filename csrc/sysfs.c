/* SPDX-License-Identifier: MIT */
/*
 * Counters from /sys/class/net/IFACE/statistics: eight small files, each one unsigned decimal.
 *
 * The directory is resolved once and the files are opened beneath it, which costs two thirds of
 * eight full paths and keeps the eight counters those of one interface.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef PATH_MAX
#define PATH_MAX 4096 /* linux/limits.h */
#endif

#ifndef SYSFS_MAGIC
#define SYSFS_MAGIC 0x62656572 /* linux/magic.h */
#endif

enum {
    TEXT_SIZE = 4096,   /* an attribute of sysfs is at most a page: Documentation/filesystems/sysfs.rst */
    MAX_DIGITS = 20     /* of 18446744073709551615 */
};

static const char statistics[] = "/statistics";

/* ---- text ---- */

static void trim(const char **text, size_t *length)
{
    while (*length > 0 && netstrat_is_space(**text)) {
        ++*text;
        --*length;
    }
    while (*length > 0 && netstrat_is_space((*text)[*length - 1]))
        --*length;
}

int netstrat_parse_counter(const char *text, size_t length, uint64_t *value)
{
    char digits[MAX_DIGITS + 1];
    unsigned long long parsed;
    size_t i;

    trim(&text, &length);
    if (length == 0)
        return -EBADMSG;
    for (i = 0; i < length; i++)
        if (text[i] < '0' || text[i] > '9')
            return -EBADMSG;
    while (length > 1 && *text == '0') {
        text++;
        length--;
    }
    if (length > MAX_DIGITS)
        return -ERANGE;

    memcpy(digits, text, length);
    digits[length] = '\0';
    errno = 0;
    parsed = strtoull(digits, NULL, 10);
    if (errno == ERANGE)
        return -ERANGE;
    *value = parsed;
    return 0;
}

/* An array of arrays: pointers would need relocating, and so be writable data. */
static const char counter_names[NETSTRAT_COUNTERS][12] = {
    "rx_bytes", "rx_packets", "rx_errors", "rx_dropped",
    "tx_bytes", "tx_packets", "tx_errors", "tx_dropped",
};

const char *netstrat_counter_name(uint32_t item)
{
    return item < NETSTRAT_COUNTERS ? counter_names[item] : NULL;
}

/* The same field of the struct, which is eight uint64_t in the order of the names. */
static void set_counter(struct netstrat_counters *counters, uint32_t item, uint64_t value)
{
    memcpy((unsigned char *)counters + item * sizeof value, &value, sizeof value);
}

/* ---- files ---- */

/* An error in reading, with the number of the counter at fault. */
static int fail_at(struct netstrat_error *error, uint32_t item, int code, const char *operation)
{
    (void)netstrat_fail(error, code, operation);
    if (error)
        error->item = item;
    return code;
}

/* pread() on files held open; read() on fresh ones, which a tree that is not sysfs may make of
 * anything, a FIFO for one. */
static ssize_t read_some(int fd, char *text, size_t size, size_t offset, int held)
{
    ssize_t count;

    do
        count = held ? pread(fd, text, size, (off_t)offset) : read(fd, text, size);
    while (count < 0 && errno == EINTR);
    return count;
}

/* Reads a whole counter file. The kernel ends a counter with a newline, and there one system call
 * is enough; a file without one is read on to its end. */
static int read_counter(int fd, int held, uint32_t item, uint64_t *value,
                        struct netstrat_error *error)
{
    char text[TEXT_SIZE];
    const char *trimmed = text;
    size_t length = 0;
    int code;

    for (;;) {
        ssize_t count = read_some(fd, text + length, sizeof text - length, length, held);

        if (count < 0) {
            /* The device is gone. EINVAL is how some kernels say so (net/core/net-sysfs.c). */
            code = errno == EINVAL ? -ENODEV : -errno;
            return fail_at(error, item, code, held ? "pread" : "read");
        }
        length += (size_t)count;
        if (count == 0 || length == sizeof text || text[length - 1] == '\n')
            break;
    }
    code = length == sizeof text ? -EBADMSG : netstrat_parse_counter(text, length, value);
    if (code < 0) {
        (void)fail_at(error, item, code, "parse");
        trim(&trimmed, &length);
        netstrat_set_text(error, trimmed, length);
    }
    return code;
}

/* A handle of ROOT/NAME/statistics. */
static int open_statistics(const char *root, const char *name, struct netstrat_error *error)
{
    char path[PATH_MAX];
    size_t root_length = strlen(root);
    size_t name_length;
    int fd, code;

    if (netstrat_check_name(name) != 0)
        return netstrat_fail(error, -EINVAL, "name");
    name_length = strlen(name);
    if (root_length + 1 + name_length + sizeof statistics > sizeof path)
        return netstrat_fail(error, -ENAMETOOLONG, "open");
    memcpy(path, root, root_length); /* NOLINT(bugprone-not-null-terminated-result): more follows */
    path[root_length] = '/';
    memcpy(path + root_length + 1, name, name_length);
    memcpy(path + root_length + 1 + name_length, statistics, sizeof statistics);

    do
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd >= 0)
        return fd;
    code = -errno;
    /* No such interface, or no such root? ENOTDIR: a file among the interfaces, as
     * /sys/class/net/bonding_masters. */
    path[root_length + 1] = '\0'; /* ROOT/, which is there only as a directory */
    if ((code == -ENOENT || code == -ENOTDIR) && access(path, F_OK) == 0)
        code = -ENODEV;
    return netstrat_fail(error, code, "open");
}

/*
 * A counter's file is not there: because the interface is not, or not wholly? sysfs makes and
 * removes the files one by one, in a directory that can be opened meanwhile (create_files and
 * remove_files, fs/sysfs/group.c); but in the end every interface has the eight.
 */
static int is_gone(const char *root, const char *name, const char *file, int directory)
{
    struct statfs kind;
    uint32_t item;
    int again;

    for (item = 0; item < NETSTRAT_COUNTERS; item++)
        if (strcmp(file, counter_names[item]) == 0 && fstatfs(directory, &kind) == 0 &&
            kind.f_type == SYSFS_MAGIC)
            return 1;
    again = open_statistics(root, name, NULL);
    if (again < 0)
        return again == -ENODEV;
    (void)close(again);
    return 0;
}

/* A file of ROOT/NAME/statistics, which is open as `directory`. */
static int open_counter(int directory, const char *root, const char *name, const char *file,
                        uint32_t item, struct netstrat_error *error)
{
    int fd, code;

    do
        fd = openat(directory, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd >= 0)
        return fd;
    code = -errno;
    if (code == -ENOENT && is_gone(root, name, file, directory))
        code = -ENODEV;
    return fail_at(error, item, code, "openat");
}

static int read_beneath(int directory, const char *root, const char *name, const char *file,
                        uint32_t item, uint64_t *value, struct netstrat_error *error)
{
    int fd = open_counter(directory, root, name, file, item, error);
    int code;

    if (fd < 0)
        return fd;
    code = read_counter(fd, 0, item, value, error);
    (void)close(fd);
    return code;
}

/* ---- one shot ---- */

int netstrat_sysfs_read_counter(const char *root, const char *name, const char *file,
                                uint64_t *value, struct netstrat_error *error)
{
    int directory, code;

    /* One step down, and no further. */
    if (*file == '\0' || strchr(file, '/') || strcmp(file, ".") == 0 || strcmp(file, "..") == 0)
        return netstrat_fail(error, -EINVAL, "file");
    directory = open_statistics(root, name, error);
    if (directory < 0)
        return directory;
    code = read_beneath(directory, root, name, file, 0, value, error);
    (void)close(directory);
    return code;
}

int netstrat_sysfs_read(const char *root, const char *name, struct netstrat_counters *counters,
                        struct netstrat_error *error)
{
    struct netstrat_counters read;
    uint32_t item;
    int code = 0;
    int directory = open_statistics(root, name, error);

    if (directory < 0)
        return directory;
    for (item = 0; code == 0 && item < NETSTRAT_COUNTERS; item++) {
        uint64_t value;

        code = read_beneath(directory, root, name, counter_names[item], item, &value, error);
        if (code == 0)
            set_counter(&read, item, value);
    }
    (void)close(directory);
    if (code < 0)
        return code;
    *counters = read;
    return 0;
}

/* ---- held open ---- */

int netstrat_reader_open(struct netstrat_reader *reader, const char *root, const char *name,
                         struct netstrat_error *error)
{
    struct netstrat_reader opened;
    uint32_t item;
    int code = 0;
    int directory = open_statistics(root, name, error);

    if (directory < 0)
        return directory;
    for (item = 0; item < NETSTRAT_COUNTERS; item++)
        opened.fds[item] = -1;
    for (item = 0; code >= 0 && item < NETSTRAT_COUNTERS; item++)
        code = opened.fds[item] =
            open_counter(directory, root, name, counter_names[item], item, error);
    (void)close(directory);
    if (code < 0) {
        opened.fds[item - 1] = -1; /* not a descriptor but the error */
        netstrat_reader_close(&opened);
        return code;
    }
    *reader = opened;
    return 0;
}

int netstrat_reader_read(const struct netstrat_reader *reader, struct netstrat_counters *counters,
                         struct netstrat_error *error)
{
    struct netstrat_counters read;
    uint32_t item;

    for (item = 0; item < NETSTRAT_COUNTERS; item++) {
        uint64_t value = 0; /* the analysers think that errno might be 0 after a failure */
        int code = read_counter(reader->fds[item], 1, item, &value, error);

        if (code < 0)
            return code;
        set_counter(&read, item, value);
    }
    *counters = read;
    return 0;
}

void netstrat_reader_close(struct netstrat_reader *reader)
{
    int item;

    for (item = 0; item < NETSTRAT_COUNTERS; item++) {
        if (reader->fds[item] >= 0)
            (void)close(reader->fds[item]);
        reader->fds[item] = -1;
    }
}
