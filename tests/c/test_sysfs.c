/* SPDX-License-Identifier: MIT */
/* Counters from files: every text of the shared table, every kind of file and of tree, and the
 * kernel's own in namespaces that come and go. */
/* wrap: openat openat64 faccessat fstatfs fstatfs64 fstat fstat64 stat stat64 read close syscall */
/* wrap: __fstat_time64 __stat_time64 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>

#include "../../csrc/netstrat.h"

#include "cases.h"
#include "check.h"
#include "sandbox.h"
#include "veth.h"

static const char *const files[] = {"rx_bytes", "rx_packets", "rx_errors", "rx_dropped",
                                    "tx_bytes", "tx_packets", "tx_errors", "tx_dropped"};

static const char sys[] = "/sys/class/net";
static char root[] = "/tmp/netstrat-XXXXXX";
static struct netstrat_error error;

/* ---- the system calls: counted, and with something in between ---- */

static unsigned calls;
static void (*before_openat)(const char *path);
static int says_sysfs;    /* the tree passes for a sysfs */
static int without_statx; /* as before Linux 4.11 */

#define WRAP(result, name, parameters)                                                             \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters

WRAP(int, openat, (int directory, const char *path, int flags, ...))
{
    calls++;
    if (before_openat)
        before_openat(path);
    return __real_openat(directory, path, flags, 0);
}

int __wrap_openat64(int directory, const char *path, int flags, ...);
int __wrap_openat64(int directory, const char *path, int flags, ...)
{
    return __wrap_openat(directory, path, flags);
}

WRAP(int, faccessat, (int directory, const char *path, int mode, int flags))
{
    calls++;
    return __real_faccessat(directory, path, mode, flags);
}

WRAP(int, fstatfs, (int fd, struct statfs *status))
{
    int result = __real_fstatfs(fd, status);

    calls++;
    if (says_sysfs)
        status->f_type = SYSFS_MAGIC;
    return result;
}

WRAP(int, fstat, (int fd, struct stat *status))
{
    calls++;
    return __real_fstat(fd, status);
}

WRAP(int, stat, (const char *path, struct stat *status))
{
    calls++;
    return __real_stat(path, status);
}

#ifdef _REDIR_TIME64 /* musl's names for these two where a time once had 32 bits */
WRAP(int, __fstat_time64, (int fd, struct stat *status))
{
    calls++;
    return __real___fstat_time64(fd, status);
}

WRAP(int, __stat_time64, (const char *path, struct stat *status))
{
    calls++;
    return __real___stat_time64(path, status);
}
#endif

#ifdef __GLIBC__ /* musl has one kind of each */
WRAP(int, fstatfs64, (int fd, struct statfs64 *status))
{
    int result = __real_fstatfs64(fd, status);

    calls++;
    if (says_sysfs)
        status->f_type = SYSFS_MAGIC;
    return result;
}

WRAP(int, fstat64, (int fd, struct stat64 *status))
{
    calls++;
    return __real_fstat64(fd, status);
}

WRAP(int, stat64, (const char *path, struct stat64 *status))
{
    calls++;
    return __real_stat64(path, status);
}
#endif

WRAP(long, syscall, (long number, ...))
{
    long arguments[5];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 5; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    calls++;
#ifdef SYS_fsopen
    if (number == SYS_fsopen)
        CHECK((int)arguments[1] ==
              1); /* FSOPEN_CLOEXEC, which nothing else shows: it is closed soon */
#endif
#ifdef SYS_statx
    if (without_statx && number == SYS_statx) {
        errno = ENOSYS;
        return -1;
    }
#endif
    return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
                          arguments[4]);
}

WRAP(ssize_t, read, (int fd, void *buffer, size_t size))
{
    calls++;
    return __real_read(fd, buffer, size);
}

WRAP(int, close, (int fd))
{
    calls++;
    return __real_close(fd);
}

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

/* ---- what is expected ---- */

static int failed_at(enum netstrat_step step, uint32_t item)
{
    return error.step == (uint32_t)step && error.item == item && error.request == 0;
}

static int is_untouched(const struct netstrat_counters *counters)
{
    unsigned char wanted[sizeof *counters];

    memset(wanted, 0xa5, sizeof wanted);
    return memcmp(counters, wanted, sizeof wanted) == 0;
}

/* Reads all eight of `name` in both ways. Both must end with `wanted`, fail at `item` in `step`
 * (pread for a held file where it is read otherwise), write nothing then and leak nothing. */
static void expect_of(int at, const char *tree, const char *name,
                      const struct netstrat_sysfs_place *place, int wanted, enum netstrat_step step,
                      uint32_t item)
{
    enum netstrat_step held = step == NETSTRAT_OP_READ ? NETSTRAT_OP_PREAD : step;
    struct netstrat_counters counters;
    struct netstrat_sysfs_reader reader;
    int before = count_descriptors();
    int code;

    memset(&error, 0xa5, sizeof error);
    memset(&counters, 0xa5, sizeof counters);
    CHECK(netstrat_sysfs_read(at, tree, name, place, &counters, &error) == wanted);
    CHECK(wanted == 0 || is_untouched(&counters));
    CHECK(wanted == 0 || (error.code == wanted && failed_at(step, item)));
    CHECK(netstrat_sysfs_read(at, tree, name, place, &counters, NULL) == wanted);

    memset(&reader, 0xa5, sizeof reader);
    memset(&error, 0xa5, sizeof error);
    memset(&counters, 0xa5, sizeof counters);
    code = netstrat_sysfs_reader_open(&reader, at, tree, name, place, &error);
    if (code == 0) {
        code = netstrat_sysfs_reader_read(&reader, &counters, &error);
        CHECK(netstrat_sysfs_reader_read(&reader, &counters, NULL) == code);
        netstrat_sysfs_reader_close(&reader);
    }
    netstrat_sysfs_reader_close(&reader); /* twice, or after a failure: it does nothing */
    CHECK(reader.fds[0] == -1 && reader.fds[7] == -1);
    CHECK(code == wanted);
    CHECK(wanted == 0 || is_untouched(&counters));
    CHECK(wanted == 0 || (error.code == wanted && failed_at(held, item)));
    CHECK(count_descriptors() == before);
}

static void expect(int wanted, enum netstrat_step step, uint32_t item)
{
    expect_of(AT_FDCWD, root, "if0", NULL, wanted, step, item);
}

static int read_if0(const char *file, uint64_t *value)
{
    return netstrat_sysfs_read_counter(AT_FDCWD, root, "if0", file, NULL, value, &error);
}

static void test_a_file_holds_a_number_or_is_refused(void)
{
    size_t rows = sizeof cases / sizeof *cases;

    CHECK(rows >= 300);
    for (size_t i = 0; i < rows; i++) {
        char *bytes = NULL;
        size_t length = case_bytes(&cases[i], &bytes);
        int wanted = case_code(&cases[i]);
        uint64_t value = 99, read = 99;
        int code;

        CHECK(netstrat_parse_counter(bytes, length, &value) == wanted);
        write_bytes("if0", "rx_errors", bytes, length);
        code = read_if0("rx_errors", &read);
        CHECK(code == wanted && read == value);
        CHECK(wanted == 0 || (error.code == wanted && failed_at(NETSTRAT_OP_PARSE, 0)));
        free(bytes);
    }
    put_file("if0", "rx_errors", "1002\n");
}

static void test_the_counters_names_are_those_of_the_files(void)
{
    for (uint32_t i = 0; i < 8; i++)
        CHECK(!strcmp(netstrat_counter_name(i), files[i]));
    CHECK(netstrat_counter_name(8) == NULL && netstrat_counter_name(UINT32_MAX) == NULL);
}

/* ---- files ---- */

static void test_each_counter_comes_from_its_own_file(void)
{
    struct netstrat_counters counters;
    uint64_t field[8];
    uint64_t value;

    CHECK(netstrat_sysfs_read(AT_FDCWD, root, "if0", NULL, &counters, &error) == 0);
    memcpy(field, &counters, sizeof field);
    for (uint32_t i = 0; i < 8; i++) {
        CHECK(field[i] == 1000 + i);
        CHECK(read_if0(files[i], &value) == 0 && value == 1000 + i);
    }
    CHECK(counters.rx_bytes == 1000 && counters.tx_dropped == 1007);
    expect(0, NETSTRAT_OP_NONE, 0);
}

static void test_a_file_without_a_newline_is_read_to_its_end(void)
{
    struct netstrat_counters counters;

    put_file("if0", "tx_bytes", "18446744073709551615");
    CHECK(netstrat_sysfs_read(AT_FDCWD, root, "if0", NULL, &counters, NULL) == 0);
    CHECK(counters.tx_bytes == UINT64_MAX && counters.rx_dropped == 1003);
    expect(0, NETSTRAT_OP_NONE, 0);
    put_file("if0", "tx_bytes", "1004\n");
}

static void test_held_files_are_read_anew_each_time(void)
{
    struct netstrat_sysfs_reader reader;
    struct netstrat_counters counters;

    CHECK(netstrat_sysfs_reader_open(&reader, AT_FDCWD, root, "if0", NULL, NULL) == 0);
    put_file("if0", "tx_bytes", "5\n");
    CHECK(netstrat_sysfs_reader_read(&reader, &counters, NULL) == 0 && counters.tx_bytes == 5);
    put_file("if0", "tx_bytes", "6\n");
    CHECK(netstrat_sysfs_reader_read(&reader, &counters, NULL) == 0 && counters.tx_bytes == 6);
    for (int i = 0; i < 8; i++)
        CHECK(fcntl(reader.fds[i], F_GETFD) == FD_CLOEXEC);
    netstrat_sysfs_reader_close(&reader);
    put_file("if0", "tx_bytes", "1004\n");
}

static void test_a_drivers_own_counter_can_be_read(void)
{
    uint64_t value;

    put_file("if0", "collisions", "3\n");
    CHECK(read_if0("collisions", &value) == 0 && value == 3);
    unlink(path_of("if0", "collisions"));
}

/* The numbers are of Linux's own files, and of any others. */
static void test_a_reading_takes_as_few_system_calls_as_can_be(void)
{
    struct netstrat_sysfs_place place;
    struct netstrat_counters counters;
    uint64_t value;

    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &place, &error) == 0);
    for (says_sysfs = 0; says_sysfs < 2; says_sysfs++) {
        unsigned looks = says_sysfs ? 0 : 1; /* at each file */

        calls = 0; /* open, fstatfs, eight times open, read and close, close */
        CHECK(netstrat_sysfs_read(AT_FDCWD, root, "if0", NULL, &counters, &error) == 0);
        CHECK(calls == 27 + 8 * looks);
        calls = 0;
        CHECK(netstrat_sysfs_read(AT_FDCWD, root, "if0", &place, &counters, &error) == 0);
        CHECK(calls == 29 + 8 * looks);
        calls = 0;
        CHECK(read_if0("rx_bytes", &value) == 0);
        CHECK(calls == 6 + looks);
    }
    says_sysfs = 0;
}

static void test_contents_that_are_not_a_counter_are_quoted(void)
{
    char *huge = (char *)malloc(5000);

    memset(huge, '7', 5000);
    for (uint32_t i = 0; i < 8; i++) {
        put_file("if0", files[i], "");
        expect(-EBADMSG, NETSTRAT_OP_PARSE, i);
        CHECK(error.text_length == 0 && error.text[0] == '\0');
        put_file("if0", files[i], " -1\n");
        expect(-EBADMSG, NETSTRAT_OP_PARSE, i);
        CHECK(error.text_length == 2 && !strcmp(error.text, "-1"));
        put_file("if0", files[i], "18446744073709551616\n");
        expect(-ERANGE, NETSTRAT_OP_PARSE, i);
        CHECK(!strcmp(error.text, "18446744073709551616"));
        write_bytes("if0", files[i], huge, 5000);
        expect(-EBADMSG, NETSTRAT_OP_PARSE, i);
        CHECK(error.text_length == NETSTRAT_TEXT_SIZE - 1);
        write_bytes("if0", files[i], huge, 4096); /* exactly what is read of a file */
        expect(-EBADMSG, NETSTRAT_OP_PARSE, i);
        write_bytes("if0", files[i], huge, 4095);
        expect(-ERANGE, NETSTRAT_OP_PARSE, i);
        remove_interface("if0");
        make_interface("if0");
    }
    free(huge);
}

static void test_a_counter_that_is_missing_means_a_vanishing_interface_only_in_sysfs(void)
{
    uint64_t value = 99;

    for (uint32_t i = 0; i < 8; i++) {
        unlink(path_of("if0", files[i]));
        expect(-ENOENT, NETSTRAT_OP_OPENAT, i);
        CHECK(read_if0(files[i], &value) == -ENOENT && failed_at(NETSTRAT_OP_OPENAT, 0));
        says_sysfs = 1;
        expect(-ENODEV, NETSTRAT_OP_OPENAT, i);
        CHECK(read_if0(files[i], &value) == -ENODEV && failed_at(NETSTRAT_OP_OPENAT, 0));
        /* Another counter's absence says nothing: not every interface has each. */
        CHECK(read_if0("nonesuch", &value) == -ENOENT && failed_at(NETSTRAT_OP_OPENAT, 0));
        says_sysfs = 0;
        remove_interface("if0");
        make_interface("if0");
    }
    CHECK(value == 99);
}

/* Puts something else in the place of each counter in turn, which must be refused with `wanted`. */
static void expect_refusal(int (*put)(const char *path), int wanted)
{
    uint64_t value = 99;

    for (uint32_t i = 0; i < 8; i++) {
        unlink(path_of("if0", files[i]));
        CHECK(put(path_of("if0", files[i])) == 0);
        expect(wanted, NETSTRAT_OP_OPENAT, i);
        CHECK(error.text_length == 0);
        CHECK(read_if0(files[i], &value) == wanted && failed_at(NETSTRAT_OP_OPENAT, 0));
        remove_interface("if0");
        make_interface("if0");
    }
    CHECK(value == 99);
}

static int put_link_to_a_secret(const char *path)
{
    return symlink("/etc/passwd", path);
}

static int put_link_to_itself(const char *path)
{
    return symlink(strrchr(path, '/') + 1, path);
}

static void test_a_symbolic_link_in_a_counters_place_is_not_followed(void)
{
    expect_refusal(put_link_to_a_secret, -ELOOP);
    expect_refusal(put_link_to_itself, -ELOOP);
}

static int put_directory(const char *path)
{
    return mkdir(path, 0755);
}

static int put_fifo(const char *path)
{
    return mkfifo(path, 0644);
}

static int put_socket(const char *path)
{
    struct sockaddr_un address;
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    int code;

    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    code = bind(sock, (struct sockaddr *)&address, sizeof address);
    close(sock);
    return code;
}

static void test_only_regular_files_are_read(void)
{
    uint64_t value = 99;
    char path[512];

    expect_refusal(put_directory, -EINVAL);
    expect_refusal(put_fifo, -EINVAL);
    expect_refusal(put_socket, -EINVAL);

    /* Devices without the right to make any: the statistics of this one are /dev. */
    snprintf(path, sizeof path, "%s/if1", root);
    mkdir(path, 0755);
    CHECK(symlink("/dev", path_of("if1", "")) == 0);
    CHECK(netstrat_sysfs_read_counter(AT_FDCWD, root, "if1", "zero", NULL, &value, &error) ==
          -EINVAL);
    CHECK(failed_at(NETSTRAT_OP_OPENAT, 0) && value == 99);
    unlink(path_of("if1", ""));
    rmdir(path);
}

static void test_a_fifo_keeps_what_its_writer_wrote(void)
{
    char bytes[8];
    int writer;

    unlink(path_of("if0", "rx_errors"));
    CHECK(mkfifo(path_of("if0", "rx_errors"), 0644) == 0);
    writer = open(path_of("if0", "rx_errors"), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    CHECK(write(writer, "77\n", 3) == 3);
    expect(-EINVAL, NETSTRAT_OP_OPENAT, 2);
    CHECK(read(writer, bytes, sizeof bytes) == 3 && memcmp(bytes, "77\n", 3) == 0);
    close(writer);
    remove_interface("if0");
    make_interface("if0");
}

/* ---- names and paths ---- */

static void test_a_name_that_is_not_valid_opens_nothing(void)
{
    static const char *const names[] = {"",           ".",   "..",  "a/b",
                                        "../../etc",  "a b", "a:1", "an-alternative-name",
                                        "caf\xc3\xa0"};
    static const char *const bad_files[] = {"",   ".",          "..", "../../lo/rx_bytes",
                                            "a/", "/etc/passwd"};
    struct netstrat_sysfs_place nowhere = {0, 0, 0, 0};
    uint64_t value = 99;
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++) {
        expect_of(AT_FDCWD, root, names[i], NULL, -EINVAL, NETSTRAT_OP_LINK_NAME, 0);
        expect_of(AT_FDCWD, root, names[i], &nowhere, -EINVAL, NETSTRAT_OP_LINK_NAME, 0);
        calls = 0;
        CHECK(netstrat_sysfs_read_counter(AT_FDCWD, root, names[i], "rx_bytes", NULL, &value,
                                          &error) == -EINVAL);
        CHECK(failed_at(NETSTRAT_OP_LINK_NAME, 0) && calls == 0);
    }
    for (i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        calls = 0;
        CHECK(read_if0(bad_files[i], &value) == -EINVAL);
        CHECK(failed_at(NETSTRAT_OP_FILE, 0) && calls == 0);
    }
    CHECK(value == 99);
}

static void test_no_interface_is_told_from_no_root_and_no_counter(void)
{
    char path[512];
    uint64_t value = 99;

    expect_of(AT_FDCWD, root, "if1", NULL, -ENODEV, NETSTRAT_OP_OPEN, 0);
    expect_of(AT_FDCWD, "/nowhere", "if1", NULL, -ENOENT, NETSTRAT_OP_OPEN, 0);
    CHECK(read_if0("unknown", &value) == -ENOENT && failed_at(NETSTRAT_OP_OPENAT, 0));

    /* A file where an interface is looked for, as /sys/class/net/bonding_masters. */
    snprintf(path, sizeof path, "%s/bonding_masters", root);
    write_file(path, "\n");
    expect_of(AT_FDCWD, root, "bonding_masters", NULL, -ENODEV, NETSTRAT_OP_OPEN, 0);
    expect_of(AT_FDCWD, path, "if0", NULL, -ENOTDIR, NETSTRAT_OP_OPEN, 0); /* and for a root */
    unlink(path);
    CHECK(value == 99);
}

static void test_a_root_may_be_as_long_as_a_path_can_be(void)
{
    static char long_root[5000];
    struct netstrat_counters counters;

    for (size_t i = 4000; i < 4200; i++) { /* around the longest path: one step too long */
        int wanted = i + 1 + 8 + 12 > 4096 ? -ENAMETOOLONG : -ENODEV;

        memset(long_root, '/', i);
        long_root[i] = '\0';
        CHECK(netstrat_sysfs_read(AT_FDCWD, long_root, "nonesuch", NULL, &counters, &error) ==
              wanted);
        CHECK(failed_at(NETSTRAT_OP_OPEN, 0));
    }
}

static void test_a_root_is_looked_up_from_a_directory_as_openat_does(void)
{
    const char *name = root + strlen("/tmp/");
    struct netstrat_sysfs_place here, place;
    int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int file = open(path_of("if0", "rx_bytes"), O_RDONLY | O_CLOEXEC);
    uint64_t value = 99;

    CHECK(netstrat_sysfs_read_counter(tmp, name, "if0", "rx_packets", NULL, &value, &error) == 0);
    CHECK(value == 1001);
    expect_of(tmp, name, "if0", NULL, 0, NETSTRAT_OP_NONE, 0);
    expect_of(tmp, name, "if1", NULL, -ENODEV, NETSTRAT_OP_OPEN, 0);
    expect_of(tmp, "nowhere", "if0", NULL, -ENOENT, NETSTRAT_OP_OPEN, 0);
    expect_of(tmp, "", "if0", NULL, -ENOENT, NETSTRAT_OP_OPEN, 0);
    expect_of(tmp, root, "if0", NULL, 0, NETSTRAT_OP_NONE, 0); /* from / all the same */
    expect_of(-1, root, "if0", NULL, 0, NETSTRAT_OP_NONE, 0);
    expect_of(-1, ".", "if0", NULL, -EBADF, NETSTRAT_OP_OPEN, 0);
    expect_of(file, ".", "if0", NULL, -ENOTDIR, NETSTRAT_OP_OPEN, 0);

    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &here, &error) == 0);
    CHECK(netstrat_sysfs_place_get(tmp, name, &place, &error) == 0);
    CHECK(memcmp(&place, &here, sizeof here) == 0);
    close(tmp);
    close(file);
}

/* ---- places ---- */

static void test_a_place_names_the_namespace_and_the_device(void)
{
    struct netstrat_sysfs_place place;
    struct stat netns, directory;
    int before = count_descriptors();

    CHECK(stat("/proc/self/ns/net", &netns) == 0 && stat(root, &directory) == 0);
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &place, &error) == 0);
    CHECK(place.netns_device == netns.st_dev && place.netns_inode == netns.st_ino);
    CHECK(place.device == directory.st_dev);

    memset(&place, 0xa5, sizeof place);
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, "/nowhere", &place, &error) == -ENOENT);
    CHECK(error.code == -ENOENT && failed_at(NETSTRAT_OP_OPEN, 0));
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, "", &place, &error) == -ENOENT);
    CHECK(failed_at(NETSTRAT_OP_OPEN, 0));
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, "/etc/passwd", &place, NULL) == -ENOTDIR);
    CHECK(place.device == 0xa5a5a5a5a5a5a5a5 && place.netns_inode == 0xa5a5a5a5a5a5a5a5);
    CHECK(count_descriptors() == before);
}

static void test_without_statx_only_the_mount_is_not_known(void)
{
    struct netstrat_sysfs_place place, other;

    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &place, &error) == 0);
    without_statx = 1;
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &other, &error) == 0);
    expect_of(AT_FDCWD, root, "if0", &other, 0, NETSTRAT_OP_NONE, 0);
    without_statx = 0;
    CHECK(other.mount == 0);
    place.mount = 0;
    CHECK(memcmp(&place, &other, sizeof place) == 0);
}

/* That an interface is not there is refused too: it may well be where the thread is. */
static void test_what_is_read_in_another_place_is_stale(void)
{
    struct netstrat_sysfs_place here;
    uint64_t value = 99;

    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &here, &error) == 0);
    expect_of(AT_FDCWD, root, "if0", &here, 0, NETSTRAT_OP_NONE, 0);
    expect_of(AT_FDCWD, root, "if1", &here, -ENODEV, NETSTRAT_OP_OPEN, 0);
    expect_of(AT_FDCWD, "/nowhere", "if0", &here, -ENOENT, NETSTRAT_OP_OPEN, 0);
    for (int i = 0; i < 4; i++) {
        struct netstrat_sysfs_place other = here;

        *(i == 0   ? &other.netns_device
          : i == 1 ? &other.netns_inode
          : i == 2 ? &other.device
                   : &other.mount) ^= 1;
        expect_of(AT_FDCWD, root, "if0", &other, -ESTALE, NETSTRAT_OP_STAT, 0);
        expect_of(AT_FDCWD, root, "if1", &other, -ESTALE, NETSTRAT_OP_STAT, 0);
        expect_of(AT_FDCWD, "/nowhere", "if0", &other, -ENOENT, NETSTRAT_OP_OPEN, 0);
        CHECK(netstrat_sysfs_read_counter(AT_FDCWD, root, "if0", "tx_bytes", &other, &value,
                                          &error) == -ESTALE);
        CHECK(error.code == -ESTALE && failed_at(NETSTRAT_OP_STAT, 0) && value == 99);
    }
    CHECK(netstrat_sysfs_read_counter(AT_FDCWD, root, "if0", "tx_bytes", &here, &value, &error) ==
          0);
    CHECK(value == 1004);
}

/* ---- interfaces that vanish ---- */

static void vanish_at_tx_bytes(const char *path)
{
    if (strcmp(path, "tx_bytes") == 0) {
        before_openat = NULL;
        remove_interface("if2");
    }
}

static void test_an_interface_that_vanishes_on_the_way_is_not_there(void)
{
    struct netstrat_counters counters;
    struct netstrat_sysfs_reader reader;
    uint64_t value = 99;
    int before = count_descriptors();

    memset(&counters, 0xa5, sizeof counters);
    make_interface("if2");
    before_openat = vanish_at_tx_bytes;
    CHECK(netstrat_sysfs_read(AT_FDCWD, root, "if2", NULL, &counters, &error) == -ENODEV);
    CHECK(error.code == -ENODEV && failed_at(NETSTRAT_OP_OPENAT, 4));
    make_interface("if2");
    before_openat = vanish_at_tx_bytes;
    CHECK(netstrat_sysfs_read(AT_FDCWD, root, "if2", NULL, &counters, NULL) == -ENODEV);
    make_interface("if2");
    before_openat = vanish_at_tx_bytes;
    CHECK(netstrat_sysfs_reader_open(&reader, AT_FDCWD, root, "if2", NULL, &error) == -ENODEV);
    CHECK(error.code == -ENODEV && failed_at(NETSTRAT_OP_OPENAT, 4));
    make_interface("if2");
    before_openat = vanish_at_tx_bytes;
    CHECK(netstrat_sysfs_read_counter(AT_FDCWD, root, "if2", "tx_bytes", NULL, &value, &error) ==
          -ENODEV);
    CHECK(value == 99 && is_untouched(&counters));
    CHECK(count_descriptors() == before);
}

/* ---- the kernel's own files, in namespaces of our own ---- */

static void mount_own_sysfs(void)
{
    CHECK(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("sysfs", "/sys", "sysfs", 0, NULL) == 0);
}

/* Is there an fsopen()? Not before Linux 5.2, and not under valgrind 3.19. */
static int can_mount_detached(void)
{
#ifdef SYS_fsopen
    int context = (int)syscall(SYS_fsopen, "sysfs", 1 /* FSOPEN_CLOEXEC */);

    if (context < 0 && errno == ENOSYS)
        return 0;
    close(context);
#endif
    return 1;
}

/* The device that a fresh detached mount has. */
static uint64_t own_device(void)
{
    struct netstrat_sysfs_place place = {0, 0, 0, 0};
    int mounted = netstrat_sysfs_mount(&error);

    CHECK(mounted >= 0);
    CHECK(netstrat_sysfs_place_get(mounted, "class/net", &place, &error) == 0);
    close(mounted);
    return place.device;
}

static void test_a_detached_mount_has_the_device_of_sys_only_if_that_shows_the_namespace(void)
{
    struct netstrat_sysfs_place place;

    CHECK(netstrat_sysfs_place_get(AT_FDCWD, sys, &place, &error) == 0);
    CHECK(place.device != own_device()); /* it was mounted in the namespace that we left */
    CHECK(unshare(CLONE_NEWNS) == 0);
    mount_own_sysfs();
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, sys, &place, &error) == 0);
    CHECK(place.device == own_device());
    CHECK(unshare(CLONE_NEWNET) == 0);
    CHECK(place.device != own_device());
}

static size_t read_mounts(char *text, size_t size)
{
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t count;

    while ((count = read(fd, text + length, size - length)) > 0)
        length += (size_t)count;
    close(fd);
    return length;
}

static void test_a_detached_mount_is_seen_nowhere_and_changes_nothing(void)
{
    const unsigned long allows_nothing = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC;
    static char before[65536], after[65536];
    struct statvfs status;
    size_t length = read_mounts(before, sizeof before);
    int descriptors = count_descriptors();
    int mounted = netstrat_sysfs_mount(&error);

    CHECK(mounted >= 0 && fcntl(mounted, F_GETFD) == FD_CLOEXEC);
    CHECK(count_descriptors() == descriptors + 1);
    CHECK(length > 0 && length < sizeof before && read_mounts(after, sizeof after) == length);
    CHECK(memcmp(before, after, length) == 0);
    CHECK(fstatvfs(mounted, &status) == 0 && (status.f_flag & allows_nothing) == allows_nothing);
    close(mounted);
}

static void test_a_mount_that_is_refused_names_the_step_and_leaks_nothing(void)
{
    int before = count_descriptors();

    drop_capabilities();
    CHECK(netstrat_sysfs_mount(&error) == -EPERM);
    CHECK(error.code == -EPERM && failed_at(NETSTRAT_OP_FSOPEN, 0));
    CHECK(netstrat_sysfs_mount(NULL) == -EPERM);
    CHECK(count_descriptors() == before);
}

static void test_a_detached_mount_is_believed_where_sys_is_stale(void)
{
    struct netstrat_sysfs_place place;
    int mounted = netstrat_sysfs_mount(&error);

    CHECK(netstrat_sysfs_place_get(mounted, "class/net", &place, &error) == 0);
    expect_of(mounted, "class/net", "lo", &place, 0, NETSTRAT_OP_NONE, 0);
    expect_of(mounted, "class/net", "ve0", &place, -ENODEV, NETSTRAT_OP_OPEN, 0);
    expect_of(AT_FDCWD, sys, "lo", &place, -ESTALE, NETSTRAT_OP_STAT, 0);
    expect_of(AT_FDCWD, sys, "ve0", &place, -ESTALE, NETSTRAT_OP_STAT, 0);
    close(mounted);
}

static void test_a_thread_that_has_moved_does_not_believe_its_sysfs(void)
{
    struct netstrat_sysfs_place here;

    CHECK(netstrat_sysfs_place_get(AT_FDCWD, sys, &here, &error) == 0);
    expect_of(AT_FDCWD, sys, "lo", &here, 0, NETSTRAT_OP_NONE, 0);
    expect_of(AT_FDCWD, sys, "ve0", &here, -ENODEV, NETSTRAT_OP_OPEN, 0);
    CHECK(unshare(CLONE_NEWNET) == 0);
    expect_of(AT_FDCWD, sys, "lo", &here, -ESTALE, NETSTRAT_OP_STAT, 0);
    expect_of(AT_FDCWD, sys, "ve0", &here, -ESTALE, NETSTRAT_OP_STAT, 0);
}

/* Devices are numbered anew, mounts (Linux 6.8) are not: so a place is of one mount. */
static void test_the_same_sysfs_mounted_again_is_another_place(void)
{
    struct netstrat_sysfs_place here, there;
    struct utsname kernel;
    int major = 0, minor = 0;
    char path[512];

    CHECK(uname(&kernel) == 0 && sscanf(kernel.release, "%d.%d", &major, &minor) == 2);
    snprintf(path, sizeof path, "%s/class/net", root);
    CHECK(unshare(CLONE_NEWNS) == 0 && mount("sysfs", root, "sysfs", 0, NULL) == 0);
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, sys, &here, &error) == 0);
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, path, &there, &error) == 0);
    CHECK(there.device == here.device);
    expect_of(AT_FDCWD, path, "lo", &there, 0, NETSTRAT_OP_NONE, 0);
    if (major > 5 || (major == 5 && minor >= 8)) {
        CHECK(here.mount && there.mount && there.mount != here.mount);
        expect_of(AT_FDCWD, path, "lo", &here, -ESTALE, NETSTRAT_OP_STAT, 0);
    } else {
        printf("older than Linux 5.8: mounts are not distinguished\n");
    }
}

/* Another thread's view, from a namespace of its own. */
static void *look_from_elsewhere(void *place)
{
    if (unshare(CLONE_NEWNET) == 0)
        (void)netstrat_sysfs_place_get(AT_FDCWD, sys, (struct netstrat_sysfs_place *)place, NULL);
    return NULL;
}

static void test_a_place_is_that_of_the_calling_thread(void)
{
    struct netstrat_sysfs_place here, there = {0, 0, 0, 0};
    pthread_t thread;

    CHECK(netstrat_sysfs_place_get(AT_FDCWD, sys, &here, &error) == 0);
    CHECK(pthread_create(&thread, NULL, look_from_elsewhere, &there) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(there.netns_device == here.netns_device && there.netns_inode != here.netns_inode);
    CHECK(there.device == here.device);
    expect_of(AT_FDCWD, sys, "lo", &here, 0, NETSTRAT_OP_NONE, 0);
}

static void test_without_proc_there_is_no_place(void)
{
    struct netstrat_sysfs_place place;
    int outside = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int mounted = netstrat_sysfs_mount(&error);

    CHECK(netstrat_sysfs_place_get(mounted, "class/net", &place, &error) == 0);
    CHECK(chroot(root) == 0);
    expect_of(mounted, "class/net", "lo", &place, -ENOENT, NETSTRAT_OP_STAT, 0);
    CHECK(netstrat_sysfs_place_get(mounted, "class/net", &place, &error) == -ENOENT);
    CHECK(error.code == -ENOENT && failed_at(NETSTRAT_OP_STAT, 0));
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, sys, &place, &error) == -ENOENT);
    CHECK(failed_at(NETSTRAT_OP_OPEN, 0));
    expect_of(mounted, "class/net", "lo", NULL, 0, NETSTRAT_OP_NONE, 0);
    CHECK(fchdir(outside) == 0 && chroot(".") == 0); /* a sanitizer needs /proc at the end */
    close(outside);
    close(mounted);
}

/* Neither the mount nor the files keep it alive. Its end is the work of a kernel thread, file by
 * file, so the first failure may be at any of them, and a file may be left when the next comes. */
static void test_the_interfaces_of_a_namespace_that_has_ended_are_gone(void)
{
    struct netstrat_sysfs_reader reader;
    struct netstrat_counters counters;
    const struct timespec moment = {0, 1000000};
    int mounted, code;

    CHECK(unshare(CLONE_NEWNET) == 0);
    mounted = netstrat_sysfs_mount(&error);
    CHECK(mounted >= 0);
    CHECK(netstrat_sysfs_reader_open(&reader, mounted, "class/net", "lo", NULL, &error) == 0);
    CHECK(netstrat_sysfs_reader_read(&reader, &counters, &error) == 0);
    CHECK(unshare(CLONE_NEWNET) == 0);
    for (int tries = 0; tries < 30000; tries++) { /* or it is kept alive after all */
        code = netstrat_sysfs_reader_read(&reader, &counters, &error);
        if (code < 0)
            break;
        nanosleep(&moment, NULL);
    }
    CHECK(code == -ENODEV && error.code == -ENODEV && failed_at(NETSTRAT_OP_PREAD, error.item));
    CHECK(netstrat_sysfs_read(mounted, "class/net", "lo", NULL, &counters, &error) == -ENODEV);
    netstrat_sysfs_reader_close(&reader);
    close(mounted);
}

static void test_a_reader_follows_a_rename_and_ends_with_the_interface(void)
{
    static unsigned char buffer[NETSTRAT_BUFFER_SIZE];
    struct netstrat_sysfs_place place;
    struct netstrat_socket sock;
    struct netstrat_counters counters, held;
    struct netstrat_sysfs_reader reader;
    int before = count_descriptors();

    CHECK(netstrat_sysfs_place_get(AT_FDCWD, sys, &place, &error) == 0);
    CHECK(netstrat_sysfs_read(AT_FDCWD, sys, "lo", &place, &counters, &error) == 0);
    CHECK(counters.rx_bytes == 0 && counters.tx_packets == 0);
    CHECK(netstrat_sysfs_read(AT_FDCWD, sys, "ve0", &place, &counters, &error) == -ENODEV);

    CHECK(netstrat_socket_open(&sock, buffer, sizeof buffer, &error) == 0);
    CHECK(make_veth(&sock, "ve0", "ve1") == 0);
    CHECK(netstrat_sysfs_read(AT_FDCWD, sys, "ve0", &place, &counters, &error) == 0);
    CHECK(netstrat_sysfs_reader_open(&reader, AT_FDCWD, sys, "ve0", &place, &error) == 0);
    CHECK(rename_link(&sock, "ve0", "ve9") == 0);
    CHECK(netstrat_sysfs_read(AT_FDCWD, sys, "ve0", &place, &counters, &error) == -ENODEV);
    CHECK(netstrat_sysfs_reader_read(&reader, &held, &error) == 0);
    CHECK(delete_link(&sock, "ve9") == 0);
    CHECK(netstrat_sysfs_reader_read(&reader, &held, &error) == -ENODEV);
    CHECK(error.code == -ENODEV && failed_at(NETSTRAT_OP_PREAD, 0));
    CHECK(netstrat_sysfs_read(AT_FDCWD, sys, "ve9", &place, &counters, &error) == -ENODEV);
    netstrat_sysfs_reader_close(&reader);
    netstrat_socket_close(&sock);
    CHECK(count_descriptors() == before);
}

int main(void)
{
    if (!mkdtemp(root)) {
        perror(root);
        return 1;
    }
    make_interface("if0");
    test_a_file_holds_a_number_or_is_refused();
    test_the_counters_names_are_those_of_the_files();
    test_each_counter_comes_from_its_own_file();
    test_a_file_without_a_newline_is_read_to_its_end();
    test_held_files_are_read_anew_each_time();
    test_a_drivers_own_counter_can_be_read();
    test_a_reading_takes_as_few_system_calls_as_can_be();
    test_contents_that_are_not_a_counter_are_quoted();
    test_a_counter_that_is_missing_means_a_vanishing_interface_only_in_sysfs();
    test_a_symbolic_link_in_a_counters_place_is_not_followed();
    test_only_regular_files_are_read();
    test_a_fifo_keeps_what_its_writer_wrote();
    test_a_name_that_is_not_valid_opens_nothing();
    test_no_interface_is_told_from_no_root_and_no_counter();
    test_a_root_may_be_as_long_as_a_path_can_be();
    test_a_root_is_looked_up_from_a_directory_as_openat_does();
    test_a_place_names_the_namespace_and_the_device();
    test_without_statx_only_the_mount_is_not_known();
    test_what_is_read_in_another_place_is_stale();
    test_an_interface_that_vanishes_on_the_way_is_not_there();
    remove_interface("if0");

    if (is_emulated()) {
        printf("emulated: no interface is made and no sysfs mounted, so no real one is read\n");
    } else {
        enter_sandbox(CLONE_NEWNS);
        if (can_mount_detached()) {
            in_child(test_a_detached_mount_has_the_device_of_sys_only_if_that_shows_the_namespace);
            in_child(test_a_detached_mount_is_seen_nowhere_and_changes_nothing);
            in_child(test_a_mount_that_is_refused_names_the_step_and_leaks_nothing);
            in_child(test_a_detached_mount_is_believed_where_sys_is_stale);
            in_child(test_without_proc_there_is_no_place);
            in_child(test_the_interfaces_of_a_namespace_that_has_ended_are_gone);
        } else {
            printf("no fsopen here: no sysfs is mounted out of sight\n");
        }
        mount_own_sysfs();
        in_child(test_a_thread_that_has_moved_does_not_believe_its_sysfs);
        in_child(test_a_place_is_that_of_the_calling_thread);
        in_child(test_the_same_sysfs_mounted_again_is_another_place);
        test_a_reader_follows_a_rename_and_ends_with_the_interface();
    }
    CHECK(rmdir(root) == 0); /* nothing else was left behind */
    return report();
}
