/* SPDX-License-Identifier: MIT */
/*
 * Counters from /sys/class/net/IFACE/statistics: eight small files, each one unsigned decimal.
 *
 * The directory is opened once and the files beneath it. That is faster than eight full paths, and
 * all eight counters belong to one interface. The caller can have the directory's place checked on
 * the way: a sysfs shows the network namespace in which it was mounted, whichever one the thread is
 * in.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef PATH_MAX
#define PATH_MAX 4096 /* linux/limits.h */
#endif

#ifndef SYSFS_MAGIC
#define SYSFS_MAGIC 0x62656572 /* linux/magic.h */
#endif

/* Linux 4.11, for the architectures of the portable wheels. Without it, the mount is not known. */
#ifndef SYS_statx
#if defined(__x86_64__) && !defined(__ILP32__)
#define SYS_statx 332
#elif defined(__i386__) || defined(__powerpc__)
#define SYS_statx 383
#elif defined(__aarch64__) || defined(__riscv)
#define SYS_statx 291
#elif defined(__arm__)
#define SYS_statx 397
#elif defined(__s390__)
#define SYS_statx 379
#endif
#endif

/* Linux 5.2: on every architecture the same offsets from the first system call of the ABI. */
#ifndef SYS_fsopen
#if defined(__alpha__)
#define FIRST_SYSCALL 110
#elif defined(__mips__) && _MIPS_SIM == 1 /* o32 */
#define FIRST_SYSCALL 4000
#elif defined(__mips__) && _MIPS_SIM == 2 /* n32 */
#define FIRST_SYSCALL 6000
#elif defined(__mips__)
#define FIRST_SYSCALL 5000
#elif defined(__x86_64__) && defined(__ILP32__)
#define FIRST_SYSCALL 0x40000000
#else
#define FIRST_SYSCALL 0
#endif
#define SYS_fsopen (FIRST_SYSCALL + 430)
#define SYS_fsconfig (FIRST_SYSCALL + 431)
#define SYS_fsmount (FIRST_SYSCALL + 432)
#endif

/* An attribute of sysfs has at most one page (Documentation/filesystems/sysfs.rst). */
enum { SYSFS_TEXT_SIZE = 4096 };

static const char sysfs_subdirectory[] = "/statistics";

/* ---- the eight counters ---- */

/* An array of arrays: pointers would have to be relocated, which makes them writable data. */
static const char sysfs_counter_names[NETSTRAT_COUNTERS][12] = {
    "rx_bytes", "rx_packets", "rx_errors", "rx_dropped",
    "tx_bytes", "tx_packets", "tx_errors", "tx_dropped",
};

const char *netstrat_counter_name(uint32_t item)
{
    return item < NETSTRAT_COUNTERS ? sysfs_counter_names[item] : NULL;
}

/* Sets one field of the struct, which is eight uint64_t in the order of the names. */
static void sysfs_set_counter(struct netstrat_counters *counters, uint32_t item, uint64_t value)
{
    memcpy((unsigned char *)counters + item * sizeof value, &value, sizeof value);
}

/* ---- the place of a directory ---- */

/* Opens a directory as O_PATH, which needs no permission to read it. */
static int sysfs_open_directory(int at, const char *path)
{
    int fd;

    do
        fd = openat(at, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

#ifdef SYS_statx
/* The start of struct statx. linux/stat.h has it since 4.11, and it has grown since. */
struct sysfs_statx {
    uint32_t stx_mask;
    unsigned char unused[132];
    uint32_t stx_dev_major;
    uint32_t stx_dev_minor;
    uint64_t stx_mnt_id;
    unsigned char rest[256 - 152];
};
#endif

/* Reads the device and the mount of an open directory by statx(), or the device alone by
 * fstat(). */
static int sysfs_find_tree(int directory, struct netstrat_sysfs_place *place,
                           struct netstrat_error *error)
{
    struct stat status;
#ifdef SYS_statx
    const uint32_t has_mount = NETSTRAT_STATX_MNT_ID | NETSTRAT_STATX_MNT_ID_UNIQUE;
    struct sysfs_statx extended;

    if (syscall(SYS_statx, directory, "", AT_EMPTY_PATH, has_mount, &extended) == 0) {
        place->device = (uint64_t)makedev(extended.stx_dev_major, extended.stx_dev_minor);
        place->mount = (extended.stx_mask & has_mount) != 0 ? extended.stx_mnt_id : 0;
        return 0;
    }
#endif
    if (fstat(directory, &status) < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_FSTAT);
    place->device = (uint64_t)status.st_dev;
    return 0;
}

/*
 * Reads the inode of the calling thread's network namespace from the text of its link, which is
 * "net:[INODE]" (namespaces(7)). All namespaces have inodes of one device. stat() takes more than
 * twice as long, because the kernel makes a struct inode for it.
 */
static int sysfs_find_netns(uint64_t *inode, struct netstrat_error *error)
{
    static const char prefix[] = "net:[";
    const size_t start = sizeof prefix - 1;
    char text[24]; /* "net:[4294967295]" */
    ssize_t length = readlink("/proc/thread-self/ns/net", text, sizeof text);

    if (length < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_READLINK);
    if ((size_t)length <= start || memcmp(text, prefix, start) != 0 || text[length - 1] != ']' ||
        netstrat_parse_counter(text + start, (size_t)length - start - 1, inode) < 0)
        return netstrat_fail(error, -EBADMSG, NETSTRAT_OP_READLINK);
    return 0;
}

/* Reads the place of an open directory and of the calling thread. */
static int sysfs_find_place(int directory, struct netstrat_sysfs_place *place,
                            struct netstrat_error *error)
{
    struct netstrat_sysfs_place found = {0, 0, 0}; /* the mount stays 0 if it is not known */
    int code = sysfs_find_tree(directory, &found, error);

    if (code == 0)
        code = sysfs_find_netns(&found.netns_inode, error);
    if (code == 0)
        *place = found;
    return code;
}

int netstrat_sysfs_place_get(int at, const char *root, struct netstrat_sysfs_place *place,
                             struct netstrat_error *error)
{
    int directory = sysfs_open_directory(at, root);
    int code;

    if (directory < 0)
        return netstrat_fail(error, directory, NETSTRAT_OP_OPEN);
    code = sysfs_find_place(directory, place, error);
    (void)close(directory);
    return code;
}

int netstrat_sysfs_mount(struct netstrat_error *error)
{
    int context = (int)syscall(SYS_fsopen, "sysfs", NETSTRAT_FSOPEN_CLOEXEC);
    int root;

    if (context < 0)
        return netstrat_fail(error, -errno, NETSTRAT_OP_FSOPEN);
    if (syscall(SYS_fsconfig, context, NETSTRAT_FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        root = netstrat_fail(error, -errno, NETSTRAT_OP_FSCONFIG);
    } else {
        /* Inside a user namespace the new mount must be at least as restricted as the existing
         * /sys, so every restriction is set. */
        root = (int)syscall(SYS_fsmount, context, NETSTRAT_FSMOUNT_CLOEXEC,
                            NETSTRAT_MOUNT_ATTR_RDONLY | NETSTRAT_MOUNT_ATTR_NOSUID |
                                NETSTRAT_MOUNT_ATTR_NODEV | NETSTRAT_MOUNT_ATTR_NOEXEC);
        if (root < 0)
            root = netstrat_fail(error, -errno, NETSTRAT_OP_FSMOUNT);
    }
    (void)close(context);
    return root;
}

/* ---- the directory of an interface's counters ---- */

/* The open directory ROOT/NAME/statistics. */
struct sysfs_statistics {
    int at;
    const char *root;
    const char *name;
    int fd;       /* or -errno */
    int is_sysfs; /* 1 if the directory is in a sysfs, whose files can be trusted */
};

/* Opens ROOT/NAME/statistics. Returns -ENODEV if ROOT exists, but not the interface. */
static int sysfs_open_beneath(int at, const char *root, const char *name)
{
    char path[PATH_MAX];
    size_t root_length = strlen(root);
    size_t name_length = strlen(name);
    int fd;

    if (root_length == 0)
        return -ENOENT; /* as openat() returns for ""; "/NAME" would be another path */
    if (root_length + 1 + name_length + sizeof sysfs_subdirectory > sizeof path)
        return -ENAMETOOLONG;
    memcpy(path, root, root_length); /* NOLINT(bugprone-not-null-terminated-result): more follows */
    path[root_length] = '/';
    memcpy(path + root_length + 1, name, name_length);
    memcpy(path + root_length + 1 + name_length, sysfs_subdirectory, sizeof sysfs_subdirectory);

    fd = sysfs_open_directory(at, path);
    /* Find out whether the interface or ROOT is missing. ENOTDIR means that NAME is a file, such as
     * /sys/class/net/bonding_masters. */
    path[root_length + 1] = '\0'; /* "ROOT/" exists only if ROOT is a directory */
    if ((fd == -ENOENT || fd == -ENOTDIR) && faccessat(at, path, F_OK, 0) == 0)
        return -ENODEV;
    return fd;
}

static int sysfs_check_place(const struct sysfs_statistics *statistics,
                             const struct netstrat_sysfs_place *wanted,
                             struct netstrat_error *error)
{
    struct netstrat_sysfs_place found = {0, 0, 0}; /* for gcc -fanalyzer (uninitialized value) */
    int code = statistics->fd >= 0
                   ? sysfs_find_place(statistics->fd, &found, error)
                   : netstrat_sysfs_place_get(statistics->at, statistics->root, &found, error);

    if (code < 0)
        return code;
    if (found.netns_inode != wanted->netns_inode || found.device != wanted->device ||
        found.mount != wanted->mount)
        return netstrat_fail(error, -ESTALE, NETSTRAT_OP_READLINK);
    return 0;
}

static int sysfs_open_statistics(struct sysfs_statistics *statistics, int at, const char *root,
                                 const char *name, const struct netstrat_sysfs_place *place,
                                 struct netstrat_error *error)
{
    struct statfs kind;
    int fd;

    if (netstrat_name_check(name) != 0)
        return netstrat_fail(error, -EINVAL, NETSTRAT_OP_LINK_NAME);
    fd = sysfs_open_beneath(at, root, name);
    statistics->at = at;
    statistics->root = root;
    statistics->name = name;
    statistics->fd = fd;
    /* A missing interface, like a counter, means something only in the right place. */
    if (place && (fd >= 0 || fd == -ENODEV)) {
        int code = sysfs_check_place(statistics, place, error);

        if (code < 0) {
            if (fd >= 0)
                (void)close(fd);
            return code;
        }
    }
    if (fd < 0)
        return netstrat_fail(error, fd, NETSTRAT_OP_OPEN);
    /* Before Linux 3.12 fstatfs() fails for O_PATH descriptors: then each file is checked. */
    statistics->is_sysfs = fstatfs(fd, &kind) == 0 && kind.f_type == SYSFS_MAGIC;
    return 0;
}

/*
 * Tests whether a missing file means that the interface is gone. sysfs creates and removes the
 * files one by one, while the directory can be opened already or still (create_files and
 * remove_files, fs/sysfs/group.c). Otherwise every interface has the eight files, so in a sysfs one
 * of the eight is missing only while the interface appears or disappears.
 */
static int sysfs_is_gone(const struct sysfs_statistics *statistics, const char *file)
{
    uint32_t item;
    int again;

    for (item = 0; statistics->is_sysfs && item < NETSTRAT_COUNTERS; item++)
        if (strcmp(file, sysfs_counter_names[item]) == 0)
            return 1;
    again = sysfs_open_beneath(statistics->at, statistics->root, statistics->name);
    if (again >= 0)
        (void)close(again);
    return again == -ENODEV;
}

/* ---- files ---- */

/*
 * Opens a counter's file. In a tree that is not a sysfs it might be anything: a symbolic link to a
 * secret, which an error would quote, or a FIFO, whose bytes are for another process. In a sysfs
 * the check is not needed.
 */
static int sysfs_open_counter(const struct sysfs_statistics *statistics, const char *file,
                              uint32_t item, struct netstrat_error *error)
{
    struct stat status;
    int fd, code;

    do
        fd = openat(statistics->fd, file,
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        code = -errno;
        if (code == -ENOENT && sysfs_is_gone(statistics, file))
            code = -ENODEV;
        if (code == -ENXIO) /* a socket, or a device without its driver */
            code = -EINVAL;
        return netstrat_fail_item(error, code, NETSTRAT_OP_OPENAT, item);
    }
    if (statistics->is_sysfs)
        return fd;
    if (fstat(fd, &status) < 0)
        code = netstrat_fail_item(error, -errno, NETSTRAT_OP_FSTAT, item);
    else if (!S_ISREG(status.st_mode))
        code = netstrat_fail_item(error, -EINVAL, NETSTRAT_OP_OPENAT, item);
    else
        return fd;
    (void)close(fd);
    return code;
}

/* Reads a part of a file. A file that is held open is always read from its beginning. */
static ssize_t sysfs_read_some(int fd, char *text, size_t size, size_t offset, int held)
{
    ssize_t count;

    do
        count = held ? pread(fd, text, size, (off_t)offset) : read(fd, text, size);
    while (count < 0 && errno == EINTR);
    return count;
}

/* Reads a counter from its file. The kernel ends a counter with a newline, so one system call is
 * enough; a file without a newline is read to its end. */
static int sysfs_read_counter(int fd, int held, uint32_t item, uint64_t *value,
                              struct netstrat_error *error)
{
    char text[SYSFS_TEXT_SIZE];
    size_t start = 0, length = 0;
    int code;

    for (;;) {
        ssize_t count = sysfs_read_some(fd, text + length, sizeof text - length, length, held);

        if (count < 0) {
            /* The interface is gone. Some kernels return EINVAL then (net/core/net-sysfs.c). */
            code = errno == EINVAL ? -ENODEV : -errno;
            return netstrat_fail_item(error, code, held ? NETSTRAT_OP_PREAD : NETSTRAT_OP_READ,
                                      item);
        }
        length += (size_t)count;
        if (count == 0 || length == sizeof text || text[length - 1] == '\n')
            break;
    }
    code = length == sizeof text ? -EBADMSG : netstrat_parse_counter(text, length, value);
    if (code < 0) {
        (void)netstrat_fail_item(error, code, NETSTRAT_OP_PARSE, item);
        netstrat_trim(text, &start, &length);
        netstrat_set_text(error, text + start, length - start);
    }
    return code;
}

/* ---- files opened for one reading ---- */

static int sysfs_open_and_read(const struct sysfs_statistics *statistics, const char *file,
                               uint32_t item, uint64_t *value, struct netstrat_error *error)
{
    int fd = sysfs_open_counter(statistics, file, item, error);
    int code;

    if (fd < 0)
        return fd;
    code = sysfs_read_counter(fd, 0, item, value, error);
    (void)close(fd);
    return code;
}

int netstrat_sysfs_read_counter(int at, const char *root, const char *name, const char *file,
                                const struct netstrat_sysfs_place *place, uint64_t *value,
                                struct netstrat_error *error)
{
    struct sysfs_statistics statistics;
    int code;

    /* The name must be that of one file in the directory. */
    if (*file == '\0' || strchr(file, '/') || strcmp(file, ".") == 0 || strcmp(file, "..") == 0) {
        (void)netstrat_fail(error, -EINVAL, NETSTRAT_OP_FILE);
        netstrat_set_text(error, file, strlen(file));
        return -EINVAL;
    }
    code = sysfs_open_statistics(&statistics, at, root, name, place, error);
    if (code < 0)
        return code;
    code = sysfs_open_and_read(&statistics, file, 0, value, error);
    (void)close(statistics.fd);
    return code;
}

int netstrat_sysfs_read(int at, const char *root, const char *name,
                        const struct netstrat_sysfs_place *place,
                        struct netstrat_counters *counters, struct netstrat_error *error)
{
    struct sysfs_statistics statistics;
    struct netstrat_counters read;
    uint32_t item;
    int code = sysfs_open_statistics(&statistics, at, root, name, place, error);

    if (code < 0)
        return code;
    for (item = 0; code == 0 && item < NETSTRAT_COUNTERS; item++) {
        uint64_t value;

        code = sysfs_open_and_read(&statistics, sysfs_counter_names[item], item, &value, error);
        if (code == 0)
            sysfs_set_counter(&read, item, value);
    }
    (void)close(statistics.fd);
    if (code < 0)
        return code;
    *counters = read;
    return 0;
}

/* ---- files held open ---- */

int netstrat_sysfs_reader_open(struct netstrat_sysfs_reader *reader, int at, const char *root,
                               const char *name, const struct netstrat_sysfs_place *place,
                               struct netstrat_error *error)
{
    struct sysfs_statistics statistics;
    uint32_t item;
    int code;

    reader->is_open = 0; /* the caller's memory may be uninitialized: nothing to close */
    netstrat_sysfs_reader_close(reader);
    code = sysfs_open_statistics(&statistics, at, root, name, place, error);
    if (code < 0)
        return code;
    reader->is_open = 1;
    for (item = 0; code >= 0 && item < NETSTRAT_COUNTERS; item++)
        code = reader->fds[item] = sysfs_open_counter(&statistics, sysfs_counter_names[item], item,
                                                      error);
    (void)close(statistics.fd);
    if (code < 0) { /* the last of `fds` is then -errno, which is not closed */
        netstrat_sysfs_reader_close(reader);
        return code;
    }
    return 0;
}

int netstrat_sysfs_reader_read(const struct netstrat_sysfs_reader *reader,
                               struct netstrat_counters *counters, struct netstrat_error *error)
{
    struct netstrat_counters read;
    uint32_t item;

    for (item = 0; item < NETSTRAT_COUNTERS; item++) {
        uint64_t value = 0; /* for gcc -fanalyzer (errno might be 0 after a failure) */
        int code = sysfs_read_counter(reader->fds[item], 1, item, &value, error);

        if (code < 0)
            return code;
        sysfs_set_counter(&read, item, value);
    }
    *counters = read;
    return 0;
}

void netstrat_sysfs_reader_close(struct netstrat_sysfs_reader *reader)
{
    int item;

    for (item = 0; item < NETSTRAT_COUNTERS; item++) {
        if (reader->is_open && reader->fds[item] >= 0)
            (void)close(reader->fds[item]);
        reader->fds[item] = -1;
    }
    reader->is_open = 0;
}
