/* SPDX-License-Identifier: MIT */
/* Counters from files: every text of the shared table, every kind of file, and a real interface. */
/* wrap: openat openat64 fstatfs fstatfs64 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "../../csrc/netstrat.h"

#include "check.h"
#include "sandbox.h"
#include "veth.h"

static const struct {
    const char *hex;
    const char *outcome;
    const char *value;
} cases[] = {
#include "cases.h"
};

static const char *const files[] = {"rx_bytes", "rx_packets", "rx_errors", "rx_dropped",
                                    "tx_bytes", "tx_packets", "tx_errors", "tx_dropped"};

static char root[] = "/tmp/netstrat-XXXXXX";
static struct netstrat_error error;

/* ---- what happens between two system calls ---- */

int __real_openat(int directory, const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, ...);
int __wrap_openat64(int directory, const char *path, int flags, ...);

static void (*before_openat)(const char *path);

int __wrap_openat(int directory, const char *path, int flags, ...)
{
    if (before_openat)
        before_openat(path);
    return __real_openat(directory, path, flags, 0);
}

int __wrap_openat64(int directory, const char *path, int flags, ...)
{
    return __wrap_openat(directory, path, flags);
}

/* Whether the tree passes for a sysfs. */
static int says_sysfs;

int __real_fstatfs(int fd, struct statfs *status);
int __wrap_fstatfs(int fd, struct statfs *status);

int __wrap_fstatfs(int fd, struct statfs *status)
{
    int result = __real_fstatfs(fd, status);

    if (says_sysfs)
        status->f_type = SYSFS_MAGIC;
    return result;
}

#ifdef __GLIBC__
int __real_fstatfs64(int fd, struct statfs64 *status);
int __wrap_fstatfs64(int fd, struct statfs64 *status);

int __wrap_fstatfs64(int fd, struct statfs64 *status)
{
    int result = __real_fstatfs64(fd, status);

    if (says_sysfs)
        status->f_type = SYSFS_MAGIC;
    return result;
}
#endif

/* ---- a tree in a temporary folder ---- */

static const char *path_of(const char *name, const char *file)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/%s%s%s", root, name, *file ? "/statistics/" : "/statistics",
             file);
    return path;
}

static void write_bytes(const char *name, const char *file, const void *data, size_t size)
{
    int fd = open(path_of(name, file), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        perror(path_of(name, file));
        exit(1);
    }
    close(fd);
}

static void put_file(const char *name, const char *file, const char *text)
{
    write_bytes(name, file, text, strlen(text));
}

/* An interface with counters 1000, 1001, ... */
static void make_interface(const char *name)
{
    char path[512], text[32];

    snprintf(path, sizeof path, "%s/%s", root, name);
    mkdir(path, 0755);
    mkdir(path_of(name, ""), 0755);
    for (int i = 0; i < 8; i++) {
        snprintf(text, sizeof text, "%d\n", 1000 + i);
        put_file(name, files[i], text);
    }
}

static void remove_interface(const char *name)
{
    char path[512];

    for (int i = 0; i < 8; i++) {
        unlink(path_of(name, files[i]));
        rmdir(path_of(name, files[i]));
    }
    rmdir(path_of(name, ""));
    snprintf(path, sizeof path, "%s/%s", root, name);
    rmdir(path);
}

/* ---- the parser ---- */

static void test_cases(void)
{
    size_t rows = sizeof cases / sizeof *cases;

    CHECK(rows >= 300);
    for (size_t i = 0; i < rows; i++) {
        size_t length = strlen(cases[i].hex) / 2;
        char *bytes = (char *)malloc(length + !length); /* exactly: no NUL stands behind it */
        int wanted = !strcmp(cases[i].outcome, "value")   ? 0
                     : !strcmp(cases[i].value, "range")   ? -ERANGE
                     : !strcmp(cases[i].value, "syntax")  ? -EBADMSG
                                                          : 1;
        uint64_t value = 99, read = 99;
        char text[32];
        int code;

        for (size_t j = 0; j < length; j++) {
            const char digits[3] = {cases[i].hex[2 * j], cases[i].hex[2 * j + 1], '\0'};

            bytes[j] = (char)strtoul(digits, NULL, 16);
        }
        code = netstrat_parse_counter(bytes, length, &value);
        if (code != wanted)
            printf("row %zu, %s:\n", i, cases[i].hex);
        CHECK(code == wanted);
        if (wanted == 0) {
            snprintf(text, sizeof text, "%llu", (unsigned long long)value);
            CHECK(!strcmp(text, cases[i].value));
        } else {
            CHECK(value == 99);
        }

        /* The same bytes in a file, read in every way. */
        write_bytes("if0", "rx_errors", bytes, length);
        code = netstrat_sysfs_read_counter(root, "if0", "rx_errors", &read, &error);
        CHECK(code == wanted && read == value);
        if (wanted < 0)
            CHECK(error.code == wanted && !strcmp(error.operation, "parse") && error.item == 0);
        free(bytes);
    }
    put_file("if0", "rx_errors", "1002\n");
}

static void test_names(void)
{
    for (uint32_t i = 0; i < 8; i++)
        CHECK(!strcmp(netstrat_counter_name(i), files[i]));
    CHECK(netstrat_counter_name(8) == NULL && netstrat_counter_name(UINT32_MAX) == NULL);
}

/* ---- files of every kind ---- */

static int is_untouched(const struct netstrat_counters *counters)
{
    unsigned char wanted[sizeof *counters];

    memset(wanted, 0xa5, sizeof wanted);
    return memcmp(counters, wanted, sizeof wanted) == 0;
}

/* Reads all eight in both ways: both must end with `wanted`, and fail at `item` in `operation` (in a
 * held file it is pread where it is read otherwise). */
static void expect(int wanted, uint32_t item, const char *operation, const char *held_operation)
{
    struct netstrat_counters counters;
    struct netstrat_reader reader;
    int before = count_descriptors();
    int code;

    memset(&error, 0, sizeof error);
    memset(&counters, 0xa5, sizeof counters);
    CHECK(netstrat_sysfs_read(root, "if0", &counters, &error) == wanted);
    CHECK(wanted == 0 || is_untouched(&counters));
    CHECK(wanted == 0 || (error.code == wanted && error.item == item));
    CHECK(wanted == 0 || !strcmp(error.operation, operation));
    memset(&counters, 0xa5, sizeof counters);
    CHECK(netstrat_sysfs_read(root, "if0", &counters, NULL) == wanted);

    memset(&reader, 0xa5, sizeof reader);
    memset(&error, 0, sizeof error);
    memset(&counters, 0xa5, sizeof counters);
    code = netstrat_reader_open(&reader, root, "if0", &error);
    if (code == 0) {
        code = netstrat_reader_read(&reader, &counters, &error);
        CHECK(netstrat_reader_read(&reader, &counters, NULL) == code);
        netstrat_reader_close(&reader);
        netstrat_reader_close(&reader);
        CHECK(reader.fds[0] == -1 && reader.fds[7] == -1);
    }
    CHECK(code == wanted);
    CHECK(wanted == 0 || is_untouched(&counters));
    CHECK(wanted == 0 || (error.code == wanted && error.item == item));
    CHECK(wanted == 0 || !strcmp(error.operation, held_operation));
    CHECK(count_descriptors() == before);
}

static void test_good(void)
{
    struct netstrat_counters counters;
    struct netstrat_reader reader;
    uint64_t field[8];
    uint64_t value;

    CHECK(netstrat_sysfs_read(root, "if0", &counters, &error) == 0);
    memcpy(field, &counters, sizeof field);
    for (uint32_t i = 0; i < 8; i++) {
        CHECK(field[i] == 1000 + i);
        CHECK(netstrat_sysfs_read_counter(root, "if0", files[i], &value, &error) == 0);
        CHECK(value == 1000 + i);
    }
    CHECK(counters.rx_bytes == 1000 && counters.tx_dropped == 1007);
    expect(0, 0, "", "");

    put_file("if0", "tx_bytes", "18446744073709551615"); /* no newline */
    CHECK(netstrat_sysfs_read(root, "if0", &counters, NULL) == 0);
    CHECK(counters.tx_bytes == UINT64_MAX && counters.rx_dropped == 1003);
    expect(0, 0, "", "");

    /* Held files are read anew each time. */
    CHECK(netstrat_reader_open(&reader, root, "if0", NULL) == 0);
    put_file("if0", "tx_bytes", "5\n");
    CHECK(netstrat_reader_read(&reader, &counters, NULL) == 0 && counters.tx_bytes == 5);
    put_file("if0", "tx_bytes", "6\n");
    CHECK(netstrat_reader_read(&reader, &counters, NULL) == 0 && counters.tx_bytes == 6);
    CHECK(fcntl(reader.fds[3], F_GETFD) == FD_CLOEXEC);
    netstrat_reader_close(&reader);
    put_file("if0", "tx_bytes", "1004\n");

    /* A file of a driver's own. */
    put_file("if0", "collisions", "3\n");
    CHECK(netstrat_sysfs_read_counter(root, "if0", "collisions", &value, NULL) == 0 && value == 3);
    unlink(path_of("if0", "collisions"));
}

static void test_bad_files(void)
{
    char *huge = (char *)malloc(5000);
    uint64_t value = 99;

    memset(huge, '7', 5000);
    for (uint32_t i = 0; i < 8; i++) {
        char text[32];

        put_file("if0", files[i], "");
        expect(-EBADMSG, i, "parse", "parse");
        CHECK(error.text_length == 0);
        put_file("if0", files[i], " -1\n");
        expect(-EBADMSG, i, "parse", "parse");
        CHECK(!strcmp(error.text, "-1"));
        put_file("if0", files[i], "18446744073709551616\n");
        expect(-ERANGE, i, "parse", "parse");
        write_bytes("if0", files[i], huge, 5000);
        expect(-EBADMSG, i, "parse", "parse");
        CHECK(error.text_length == NETSTRAT_TEXT_SIZE - 1);
        write_bytes("if0", files[i], huge, 4096); /* exactly what is read of a file */
        expect(-EBADMSG, i, "parse", "parse");
        write_bytes("if0", files[i], huge, 4095);
        expect(-ERANGE, i, "parse", "parse");

        unlink(path_of("if0", files[i]));
        expect(-ENOENT, i, "openat", "openat");
        /* In sysfs itself it is a sign of an interface that is going; another counter is not. */
        says_sysfs = 1;
        expect(-ENODEV, i, "openat", "openat");
        CHECK(netstrat_sysfs_read_counter(root, "if0", files[i], &value, &error) == -ENODEV);
        CHECK(netstrat_sysfs_read_counter(root, "if0", "nonesuch", &value, &error) == -ENOENT);
        says_sysfs = 0;
        mkdir(path_of("if0", files[i]), 0755);
        expect(-EISDIR, i, "read", "pread");
        rmdir(path_of("if0", files[i]));
        mkfifo(path_of("if0", files[i]), 0644); /* no writer: empty; it has no place to pread at */
        CHECK(netstrat_sysfs_read_counter(root, "if0", files[i], &value, &error) == -EBADMSG);
        CHECK(!strcmp(error.operation, "parse"));
        unlink(path_of("if0", files[i]));
        CHECK(symlink("loop", path_of("if0", "loop")) == 0);
        CHECK(symlink("loop", path_of("if0", files[i])) == 0);
        expect(-ELOOP, i, "openat", "openat");
        unlink(path_of("if0", files[i]));
        unlink(path_of("if0", "loop"));
        snprintf(text, sizeof text, "%u\n", 1000 + i);
        put_file("if0", files[i], text);
    }
    CHECK(value == 99);
    expect(0, 0, "", "");
    free(huge);
}

static void test_bad_paths(void)
{
    static const char *const names[] = {"", ".", "..", "a/b", "../../etc", "a b", "a:1",
                                        "an-alternative-name", "caf\xc3\xa0"};
    static const char *const bad_files[] = {"", ".", "..", "../../lo/rx_bytes", "/etc/passwd", "a/"};
    static char long_root[5000];
    struct netstrat_counters counters;
    struct netstrat_reader reader;
    uint64_t value = 99;
    int before = count_descriptors();
    size_t i;
    int code;

    memset(&counters, 0xa5, sizeof counters);
    memset(&reader, 0, sizeof reader);
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK(netstrat_sysfs_read(root, names[i], &counters, &error) == -EINVAL);
        CHECK(!strcmp(error.operation, "name"));
        CHECK(netstrat_reader_open(&reader, root, names[i], &error) == -EINVAL);
        CHECK(netstrat_sysfs_read_counter(root, names[i], "rx_bytes", &value, &error) == -EINVAL);
        CHECK(!strcmp(error.operation, "name"));
    }
    for (i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        CHECK(netstrat_sysfs_read_counter(root, "if0", bad_files[i], &value, &error) == -EINVAL);
        CHECK(!strcmp(error.operation, "file"));
    }
    CHECK(netstrat_sysfs_read(root, "if1", &counters, &error) == -ENODEV);
    CHECK(!strcmp(error.operation, "open") && error.code == -ENODEV);
    CHECK(netstrat_sysfs_read("/nowhere", "if1", &counters, &error) == -ENOENT);
    CHECK(!strcmp(error.operation, "open"));
    CHECK(netstrat_sysfs_read_counter(root, "if0", "unknown", &value, &error) == -ENOENT);
    CHECK(!strcmp(error.operation, "openat"));
    CHECK(netstrat_reader_open(&reader, root, "if1", &error) == -ENODEV);

    /* A file where an interface is looked for, as /sys/class/net/bonding_masters. */
    snprintf(long_root, sizeof long_root, "%s/bonding_masters", root);
    write_file(long_root, "\n");
    CHECK(netstrat_sysfs_read(root, "bonding_masters", &counters, &error) == -ENODEV);
    unlink(long_root);

    for (i = 4000; i < 4200; i++) { /* around the longest path: one step too long for the buffer */
        memset(long_root, '/', i);
        long_root[i] = '\0';
        code = netstrat_sysfs_read(long_root, "nonesuch", &counters, &error);
        CHECK(code == (i + 1 + 8 + 12 > 4096 ? -ENAMETOOLONG : -ENODEV));
        CHECK(!strcmp(error.operation, "open"));
    }
    CHECK(value == 99 && reader.fds[0] == 0 && is_untouched(&counters));
    CHECK(count_descriptors() == before);
}

/* ---- interfaces that vanish ---- */

static void vanish_at_tx_bytes(const char *path)
{
    if (strcmp(path, "tx_bytes") == 0) {
        before_openat = NULL;
        remove_interface("if2");
    }
}

static void test_vanishing(void)
{
    struct netstrat_counters counters;
    struct netstrat_reader reader;
    uint64_t value = 99;
    int before = count_descriptors();

    memset(&counters, 0xa5, sizeof counters);
    make_interface("if2");
    before_openat = vanish_at_tx_bytes;
    CHECK(netstrat_sysfs_read(root, "if2", &counters, &error) == -ENODEV);
    CHECK(error.code == -ENODEV && error.item == 4 && !strcmp(error.operation, "openat"));
    make_interface("if2");
    before_openat = vanish_at_tx_bytes;
    CHECK(netstrat_sysfs_read(root, "if2", &counters, NULL) == -ENODEV);
    make_interface("if2");
    before_openat = vanish_at_tx_bytes;
    CHECK(netstrat_reader_open(&reader, root, "if2", &error) == -ENODEV);
    CHECK(error.code == -ENODEV && error.item == 4 && !strcmp(error.operation, "openat"));
    make_interface("if2");
    before_openat = vanish_at_tx_bytes;
    CHECK(netstrat_sysfs_read_counter(root, "if2", "tx_bytes", &value, &error) == -ENODEV);
    CHECK(value == 99 && is_untouched(&counters));
    CHECK(count_descriptors() == before);
}

/* The kernel's own files, in a namespace of our own with a sysfs of its own. */
static void test_real_interface(void)
{
    static unsigned char buffer[NETSTRAT_BUFFER_SIZE];
    struct netstrat_socket sock;
    struct netstrat_counters counters, held;
    struct netstrat_reader reader;
    int before = count_descriptors();

    CHECK(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("sysfs", "/sys", "sysfs", 0, NULL) == 0);
    CHECK(netstrat_sysfs_read("/sys/class/net", "lo", &counters, &error) == 0);
    CHECK(counters.rx_bytes == 0 && counters.tx_packets == 0);
    CHECK(netstrat_sysfs_read("/sys/class/net", "ve0", &counters, &error) == -ENODEV);

    CHECK(netstrat_open(&sock, buffer, sizeof buffer, &error) == 0);
    CHECK(make_veth(&sock, "ve0", "ve1") == 0);
    CHECK(netstrat_sysfs_read("/sys/class/net", "ve0", &counters, &error) == 0);
    CHECK(netstrat_reader_open(&reader, "/sys/class/net", "ve0", &error) == 0);
    CHECK(rename_link(&sock, "ve0", "ve9") == 0);
    CHECK(netstrat_sysfs_read("/sys/class/net", "ve0", &counters, &error) == -ENODEV);
    CHECK(netstrat_reader_read(&reader, &held, &error) == 0); /* it has followed */
    CHECK(delete_link(&sock, "ve9") == 0);
    CHECK(netstrat_reader_read(&reader, &held, &error) == -ENODEV);
    CHECK(!strcmp(error.operation, "pread") && error.code == -ENODEV && error.item == 0);
    CHECK(netstrat_sysfs_read("/sys/class/net", "ve9", &counters, &error) == -ENODEV);
    netstrat_reader_close(&reader);
    netstrat_close(&sock);
    CHECK(count_descriptors() == before);
}

int main(void)
{
    if (!mkdtemp(root)) {
        perror(root);
        return 1;
    }
    make_interface("if0");
    test_cases();
    test_names();
    test_good();
    test_bad_files();
    test_bad_paths();
    test_vanishing();
    remove_interface("if0");
    CHECK(rmdir(root) == 0); /* nothing else was left behind */

    if (is_emulated()) {
        printf("emulated: no veth pair is made, so no real interface is seen to vanish\n");
    } else {
        enter_sandbox(CLONE_NEWNS);
        test_real_interface();
    }
    return report();
}
