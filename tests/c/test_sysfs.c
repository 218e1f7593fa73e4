/* SPDX-License-Identifier: MIT */
/* Counters from files: every kind of file, name and tree, in a temporary folder. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../csrc/netstrat.h"

#include "cases.h"
#include "check.h"
#include "fake_kernel.h"
#include "sandbox.h"
#include "sysfs_reading.h"

static const char *const files[] = {"rx_bytes", "rx_packets", "rx_errors", "rx_dropped",
                                    "tx_bytes", "tx_packets", "tx_errors", "tx_dropped"};

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

static void expect(int wanted, enum netstrat_operation operation, uint32_t item)
{
    expect_of(AT_FDCWD, root, "if0", NULL, wanted, operation, item);
}

static int read_if0(const char *file, uint64_t *value)
{
    return netstrat_sysfs_read_counter(AT_FDCWD, root, "if0", file, NULL, value, &error);
}

TEST(a_file_holds_a_number_or_is_refused)
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

TEST(the_counters_names_are_those_of_the_files)
{
    for (uint32_t i = 0; i < 8; i++)
        CHECK(!strcmp(netstrat_counter_name(i), files[i]));
    CHECK(netstrat_counter_name(8) == NULL && netstrat_counter_name(UINT32_MAX) == NULL);
}

/* ---- files ---- */

TEST(each_counter_comes_from_its_own_file)
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

TEST(a_file_without_a_newline_is_read_to_its_end)
{
    struct netstrat_counters counters;

    put_file("if0", "tx_bytes", "18446744073709551615");
    CHECK(netstrat_sysfs_read(AT_FDCWD, root, "if0", NULL, &counters, NULL) == 0);
    CHECK(counters.tx_bytes == UINT64_MAX && counters.rx_dropped == 1003);
    expect(0, NETSTRAT_OP_NONE, 0);
    put_file("if0", "tx_bytes", "1004\n");
}

TEST(held_files_are_read_anew_each_time)
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

TEST(a_drivers_own_counter_can_be_read)
{
    uint64_t value;

    put_file("if0", "collisions", "3\n");
    CHECK(read_if0("collisions", &value) == 0 && value == 3);
    unlink(path_of("if0", "collisions"));
}

/* For files of sysfs, and for other files. */
TEST(a_reading_makes_a_known_number_of_system_calls)
{
    struct netstrat_sysfs_place place;
    struct netstrat_counters counters;
    uint64_t value;

    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &place, &error) == 0);
    for (int is_sysfs = 0; is_sysfs < 2; is_sysfs++) {
        unsigned looks = is_sysfs ? 0 : 1; /* fstat() of each file */

        /* open, fstatfs, eight times open, read and close, close */
        reset_kernel();
        kernel.passes_for_sysfs = is_sysfs;
        CHECK(netstrat_sysfs_read(AT_FDCWD, root, "if0", NULL, &counters, &error) == 0);
        CHECK(count_calls() == 27 + 8 * looks);
        reset_kernel();
        kernel.passes_for_sysfs = is_sysfs;
        CHECK(netstrat_sysfs_read(AT_FDCWD, root, "if0", &place, &counters, &error) == 0);
        CHECK(count_calls() == 29 + 8 * looks);
        reset_kernel();
        kernel.passes_for_sysfs = is_sysfs;
        CHECK(read_if0("rx_bytes", &value) == 0);
        CHECK(count_calls() == 6 + looks);
    }
}

TEST(contents_that_are_not_a_counter_are_quoted)
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
        write_bytes("if0", files[i], huge, 4096); /* exactly the size of the read() */
        expect(-EBADMSG, NETSTRAT_OP_PARSE, i);
        write_bytes("if0", files[i], huge, 4095);
        expect(-ERANGE, NETSTRAT_OP_PARSE, i);
        remove_interface("if0");
        make_interface("if0");
    }
    free(huge);
}

TEST(a_missing_counter_means_a_missing_interface_only_in_sysfs)
{
    uint64_t value = 99;

    for (uint32_t i = 0; i < 8; i++) {
        unlink(path_of("if0", files[i]));
        expect(-ENOENT, NETSTRAT_OP_OPENAT, i);
        CHECK(read_if0(files[i], &value) == -ENOENT && failed_at(NETSTRAT_OP_OPENAT, 0));
        kernel.passes_for_sysfs = 1;
        expect(-ENODEV, NETSTRAT_OP_OPENAT, i);
        CHECK(read_if0(files[i], &value) == -ENODEV && failed_at(NETSTRAT_OP_OPENAT, 0));
        /* The absence of another counter means nothing: not every interface has all of them. */
        CHECK(read_if0("nonesuch", &value) == -ENOENT && failed_at(NETSTRAT_OP_OPENAT, 0));
        kernel.passes_for_sysfs = 0;
        remove_interface("if0");
        make_interface("if0");
    }
    CHECK(value == 99);
}

/* Replaces each counter in turn with what `make` creates, which must be refused with `wanted`. */
static void expect_refusal(int (*make)(const char *path), int wanted)
{
    uint64_t value = 99;

    for (uint32_t i = 0; i < 8; i++) {
        unlink(path_of("if0", files[i]));
        CHECK(make(path_of("if0", files[i])) == 0);
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

TEST(a_symbolic_link_in_a_counters_place_is_not_followed)
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

TEST(only_regular_files_are_read)
{
    uint64_t value = 99;
    char path[512];

    expect_refusal(put_directory, -EINVAL);
    expect_refusal(put_fifo, -EINVAL);
    expect_refusal(put_socket, -EINVAL);

    /* Devices, without the capability to create one: the statistics of this interface are /dev. */
    snprintf(path, sizeof path, "%s/if1", root);
    mkdir(path, 0755);
    CHECK(symlink("/dev", path_of("if1", "")) == 0);
    CHECK(netstrat_sysfs_read_counter(AT_FDCWD, root, "if1", "zero", NULL, &value, &error) ==
          -EINVAL);
    CHECK(failed_at(NETSTRAT_OP_OPENAT, 0) && value == 99);
    unlink(path_of("if1", ""));
    rmdir(path);
}

TEST(a_fifo_is_not_read)
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

TEST(an_invalid_name_opens_no_file)
{
    static const char *const names[] = {"",           ".",   "..",  "a/b",
                                        "../../etc",  "a b", "a:1", "an-alternative-name",
                                        "caf\xc3\xa0"};
    static const char *const bad_files[] = {"",   ".",          "..", "../../lo/rx_bytes",
                                            "a/", "/etc/passwd"};
    struct netstrat_sysfs_place nowhere = {0, 0, 0};
    uint64_t value = 99;
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++) {
        expect_of(AT_FDCWD, root, names[i], NULL, -EINVAL, NETSTRAT_OP_LINK_NAME, 0);
        expect_of(AT_FDCWD, root, names[i], &nowhere, -EINVAL, NETSTRAT_OP_LINK_NAME, 0);
        reset_kernel();
        CHECK(netstrat_sysfs_read_counter(AT_FDCWD, root, names[i], "rx_bytes", NULL, &value,
                                          &error) == -EINVAL);
        CHECK(failed_at(NETSTRAT_OP_LINK_NAME, 0) && count_calls() == 0);
    }
    for (i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        reset_kernel();
        CHECK(read_if0(bad_files[i], &value) == -EINVAL);
        CHECK(failed_at(NETSTRAT_OP_FILE, 0) && count_calls() == 0);
    }
    CHECK(value == 99);
}

TEST(a_missing_interface_root_or_counter_is_distinguished)
{
    char path[512];
    uint64_t value = 99;

    expect_of(AT_FDCWD, root, "if1", NULL, -ENODEV, NETSTRAT_OP_OPEN, 0);
    expect_of(AT_FDCWD, "/nowhere", "if1", NULL, -ENOENT, NETSTRAT_OP_OPEN, 0);
    CHECK(read_if0("unknown", &value) == -ENOENT && failed_at(NETSTRAT_OP_OPENAT, 0));

    /* A file in place of an interface, such as /sys/class/net/bonding_masters. */
    snprintf(path, sizeof path, "%s/bonding_masters", root);
    write_file(path, "\n");
    expect_of(AT_FDCWD, root, "bonding_masters", NULL, -ENODEV, NETSTRAT_OP_OPEN, 0);
    expect_of(AT_FDCWD, path, "if0", NULL, -ENOTDIR, NETSTRAT_OP_OPEN, 0); /* a file as the root */
    unlink(path);
    CHECK(value == 99);
}

TEST(a_root_can_be_as_long_as_a_path)
{
    static char long_root[5000];
    struct netstrat_counters counters;

    for (size_t i = 4000; i < 4200; i++) { /* around the longest path */
        int wanted = i + 1 + 8 + 12 > 4096 ? -ENAMETOOLONG : -ENODEV;

        memset(long_root, '/', i);
        long_root[i] = '\0';
        CHECK(netstrat_sysfs_read(AT_FDCWD, long_root, "nonesuch", NULL, &counters, &error) ==
              wanted);
        CHECK(failed_at(NETSTRAT_OP_OPEN, 0));
    }
}

TEST(a_root_is_looked_up_from_a_directory_as_openat_does)
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
    /* an absolute path ignores the directory */
    expect_of(tmp, root, "if0", NULL, 0, NETSTRAT_OP_NONE, 0);
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

TEST(a_place_names_the_namespace_and_the_device)
{
    struct netstrat_sysfs_place place;
    struct stat netns, directory;
    int before = count_descriptors();

    CHECK(stat("/proc/self/ns/net", &netns) == 0 && stat(root, &directory) == 0);
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &place, &error) == 0);
    CHECK(place.netns_inode == netns.st_ino);
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

TEST(without_statx_only_the_mount_is_not_known)
{
    struct netstrat_sysfs_place place, other;

    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &place, &error) == 0);
    fail_call(STATX, EVERY, ENOSYS);
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &other, &error) == 0);
    expect_of(AT_FDCWD, root, "if0", &other, 0, NETSTRAT_OP_NONE, 0);
    reset_kernel();
    CHECK(other.mount == 0);
    place.mount = 0;
    CHECK(memcmp(&place, &other, sizeof place) == 0);
}

/* Even a missing interface is ESTALE: it may exist in the thread's namespace. */
TEST(a_reading_in_another_place_is_stale)
{
    struct netstrat_sysfs_place here;
    uint64_t value = 99;

    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &here, &error) == 0);
    expect_of(AT_FDCWD, root, "if0", &here, 0, NETSTRAT_OP_NONE, 0);
    expect_of(AT_FDCWD, root, "if1", &here, -ENODEV, NETSTRAT_OP_OPEN, 0);
    expect_of(AT_FDCWD, "/nowhere", "if0", &here, -ENOENT, NETSTRAT_OP_OPEN, 0);
    for (int i = 0; i < 3; i++) {
        struct netstrat_sysfs_place other = here;

        *(i == 0 ? &other.netns_inode : i == 1 ? &other.device : &other.mount) ^= 1;
        expect_of(AT_FDCWD, root, "if0", &other, -ESTALE, NETSTRAT_OP_READLINK, 0);
        expect_of(AT_FDCWD, root, "if1", &other, -ESTALE, NETSTRAT_OP_READLINK, 0);
        expect_of(AT_FDCWD, "/nowhere", "if0", &other, -ENOENT, NETSTRAT_OP_OPEN, 0);
        CHECK(netstrat_sysfs_read_counter(AT_FDCWD, root, "if0", "tx_bytes", &other, &value,
                                          &error) == -ESTALE);
        CHECK(error.code == -ESTALE && failed_at(NETSTRAT_OP_READLINK, 0) && value == 99);
    }
    CHECK(netstrat_sysfs_read_counter(AT_FDCWD, root, "if0", "tx_bytes", &here, &value, &error) ==
          0);
    CHECK(value == 1004);
}

/* ---- interfaces that vanish ---- */

static void vanish_at_tx_bytes(enum call call, const char *path)
{
    if (call == OPENAT && strcmp(path, "tx_bytes") == 0) {
        kernel.before = NULL;
        remove_interface("if2");
    }
}

TEST(an_interface_that_disappears_during_a_reading_is_missing)
{
    struct netstrat_counters counters;
    struct netstrat_sysfs_reader reader;
    uint64_t value = 99;
    int before = count_descriptors();

    memset(&counters, 0xa5, sizeof counters);
    make_interface("if2");
    kernel.before = vanish_at_tx_bytes;
    CHECK(netstrat_sysfs_read(AT_FDCWD, root, "if2", NULL, &counters, &error) == -ENODEV);
    CHECK(error.code == -ENODEV && failed_at(NETSTRAT_OP_OPENAT, 4));
    make_interface("if2");
    kernel.before = vanish_at_tx_bytes;
    CHECK(netstrat_sysfs_read(AT_FDCWD, root, "if2", NULL, &counters, NULL) == -ENODEV);
    make_interface("if2");
    kernel.before = vanish_at_tx_bytes;
    CHECK(netstrat_sysfs_reader_open(&reader, AT_FDCWD, root, "if2", NULL, &error) == -ENODEV);
    CHECK(error.code == -ENODEV && failed_at(NETSTRAT_OP_OPENAT, 4));
    make_interface("if2");
    kernel.before = vanish_at_tx_bytes;
    CHECK(netstrat_sysfs_read_counter(AT_FDCWD, root, "if2", "tx_bytes", NULL, &value, &error) ==
          -ENODEV);
    CHECK(value == 99 && is_untouched(&counters));
    CHECK(count_descriptors() == before);
}

static void make_tree(void)
{
    if (!mkdtemp(root)) {
        perror(root);
        exit(1);
    }
}

static void fill_tree(void)
{
    reset_kernel();
    make_interface("if0");
}

static void empty_tree(void)
{
    remove_interface("if0");
}

static void remove_tree(void)
{
    CHECK(rmdir(root) == 0); /* nothing else was left behind */
}

const struct fixture fixture = {make_tree, fill_tree, empty_tree, remove_tree};
