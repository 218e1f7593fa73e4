/* SPDX-License-Identifier: MIT */
/* Counters from the kernel's own files, in namespaces that come and go. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../../csrc/netstrat.h"

#include "check.h"
#include "fake_kernel.h"
#include "sandbox.h"
#include "sysfs_reading.h"
#include "veth.h"

static const char sys[] = "/sys/class/net";

/* Mounts sysfs on /sys in a new mount namespace. */
static void mount_own_sysfs(void)
{
    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("sysfs", "/sys", "sysfs", 0, NULL) == 0);
}

/* Returns 0 and says so without fsopen(): before Linux 5.2, and under valgrind 3.19. */
static int has_fsopen(void)
{
    int context = netstrat_sysfs_mount(&error);

    if (context == -ENOSYS) {
        CHECK(error.operation == NETSTRAT_OP_FSOPEN);
        printf("no fsopen() here\n");
        return 0;
    }
    if (context >= 0)
        close(context);
    return 1;
}

/* A test of a detached mount of sysfs. */
#define TEST_DETACHED(name)                                                                        \
    static void with_fsopen_##name(void);                                                          \
    TEST_WITH(name, IN_CHILD | NATIVE)                                                             \
    {                                                                                              \
        if (has_fsopen())                                                                          \
            with_fsopen_##name();                                                                  \
    }                                                                                              \
    static void with_fsopen_##name(void)

/* The device that a fresh detached mount has. */
static uint64_t own_device(void)
{
    struct netstrat_sysfs_place place = {0, 0, 0};
    int mounted = netstrat_sysfs_mount(&error);

    CHECK(mounted >= 0);
    CHECK(netstrat_sysfs_place_get(mounted, "class/net", &place, &error) == 0);
    close(mounted);
    return place.device;
}

TEST_DETACHED(a_detached_mount_has_the_device_number_of_sys_only_if_sys_shows_the_namespace)
{
    struct netstrat_sysfs_place place;

    CHECK(netstrat_sysfs_place_get(AT_FDCWD, sys, &place, &error) == 0);
    CHECK(place.device != own_device()); /* /sys was mounted in the previous namespace */
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

TEST_DETACHED(a_detached_mount_is_invisible_and_read_only)
{
    const unsigned long allows_nothing = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC;
    static char before[65536], after[65536];
    struct statvfs status;
    size_t length = read_mounts(before, sizeof before);
    int descriptors = count_descriptors();
    int mounted = netstrat_sysfs_mount(&error);

    CHECK(mounted >= 0 && fcntl(mounted, F_GETFD) == FD_CLOEXEC);
    CHECK(kernel.fsopen_flags == 1); /* FSOPEN_CLOEXEC; this descriptor is closed already */
    CHECK(count_descriptors() == descriptors + 1);
    CHECK(length > 0 && length < sizeof before && read_mounts(after, sizeof after) == length);
    CHECK(memcmp(before, after, length) == 0);
    CHECK(fstatvfs(mounted, &status) == 0 && (status.f_flag & allows_nothing) == allows_nothing);
    close(mounted);
}

TEST_DETACHED(a_refused_mount_names_the_step_and_leaks_nothing)
{
    int before = count_descriptors();

    drop_capabilities();
    CHECK(netstrat_sysfs_mount(&error) == -EPERM);
    CHECK(error.code == -EPERM && failed_at(NETSTRAT_OP_FSOPEN, 0));
    CHECK(netstrat_sysfs_mount(NULL) == -EPERM);
    CHECK(count_descriptors() == before);
}

TEST_DETACHED(a_detached_mount_is_trusted_when_sys_is_stale)
{
    struct netstrat_sysfs_place place;
    int mounted = netstrat_sysfs_mount(&error);

    CHECK(netstrat_sysfs_place_get(mounted, "class/net", &place, &error) == 0);
    expect_of(mounted, "class/net", "lo", &place, 0, NETSTRAT_OP_NONE, 0);
    expect_of(mounted, "class/net", "ve0", &place, -ENODEV, NETSTRAT_OP_OPEN, 0);
    expect_of(AT_FDCWD, sys, "lo", &place, -ESTALE, NETSTRAT_OP_READLINK, 0);
    expect_of(AT_FDCWD, sys, "ve0", &place, -ESTALE, NETSTRAT_OP_READLINK, 0);
    close(mounted);
}

TEST_WITH(sys_is_stale_after_the_thread_changed_namespace, IN_CHILD | NATIVE)
{
    struct netstrat_sysfs_place here;

    mount_own_sysfs();
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, sys, &here, &error) == 0);
    expect_of(AT_FDCWD, sys, "lo", &here, 0, NETSTRAT_OP_NONE, 0);
    expect_of(AT_FDCWD, sys, "ve0", &here, -ENODEV, NETSTRAT_OP_OPEN, 0);
    CHECK(unshare(CLONE_NEWNET) == 0);
    expect_of(AT_FDCWD, sys, "lo", &here, -ESTALE, NETSTRAT_OP_READLINK, 0);
    expect_of(AT_FDCWD, sys, "ve0", &here, -ESTALE, NETSTRAT_OP_READLINK, 0);
}

/* Device numbers are reused, mount ids (since Linux 6.8) are not: so a place belongs to one
 * mount. */
TEST_WITH(the_same_sysfs_mounted_again_is_another_place, IN_CHILD | NATIVE)
{
    struct netstrat_sysfs_place here, there;
    struct utsname system;
    int major = 0, minor = 0;
    char path[512];

    mount_own_sysfs();
    CHECK(uname(&system) == 0 && sscanf(system.release, "%d.%d", &major, &minor) == 2);
    snprintf(path, sizeof path, "%s/class/net", root);
    CHECK(mount("sysfs", root, "sysfs", 0, NULL) == 0);
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, sys, &here, &error) == 0);
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, path, &there, &error) == 0);
    CHECK(there.device == here.device);
    expect_of(AT_FDCWD, path, "lo", &there, 0, NETSTRAT_OP_NONE, 0);
    if (major > 5 || (major == 5 && minor >= 8)) {
        CHECK(here.mount && there.mount && there.mount != here.mount);
        expect_of(AT_FDCWD, path, "lo", &here, -ESTALE, NETSTRAT_OP_READLINK, 0);
    } else {
        printf("older than Linux 5.8: mounts are not distinguished\n");
    }
}

/* The place as a thread in another namespace finds it. */
static void *look_from_elsewhere(void *place)
{
    if (unshare(CLONE_NEWNET) == 0)
        (void)netstrat_sysfs_place_get(AT_FDCWD, sys, (struct netstrat_sysfs_place *)place, NULL);
    return NULL;
}

TEST_WITH(a_place_is_that_of_the_calling_thread, IN_CHILD | NATIVE)
{
    struct netstrat_sysfs_place here, there = {0, 0, 0};
    pthread_t thread;

    mount_own_sysfs();
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, sys, &here, &error) == 0);
    CHECK(pthread_create(&thread, NULL, look_from_elsewhere, &there) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(there.netns_inode != here.netns_inode && there.device == here.device);
    expect_of(AT_FDCWD, sys, "lo", &here, 0, NETSTRAT_OP_NONE, 0);
}

TEST_DETACHED(without_proc_there_is_no_place)
{
    struct netstrat_sysfs_place place;
    int outside = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int mounted = netstrat_sysfs_mount(&error);

    CHECK(netstrat_sysfs_place_get(mounted, "class/net", &place, &error) == 0);
    CHECK(chroot(root) == 0);
    expect_of(mounted, "class/net", "lo", &place, -ENOENT, NETSTRAT_OP_READLINK, 0);
    CHECK(netstrat_sysfs_place_get(mounted, "class/net", &place, &error) == -ENOENT);
    CHECK(error.code == -ENOENT && failed_at(NETSTRAT_OP_READLINK, 0));
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, sys, &place, &error) == -ENOENT);
    CHECK(failed_at(NETSTRAT_OP_OPEN, 0));
    expect_of(mounted, "class/net", "lo", NULL, 0, NETSTRAT_OP_NONE, 0);
    CHECK(fchdir(outside) == 0 && chroot(".") == 0); /* a sanitizer needs /proc at the end */
    close(outside);
    close(mounted);
}

/* Neither the mount nor open files keep a namespace alive. A kernel thread removes it file by
 * file, so that any file may fail first, and some may remain for a while. */
TEST_DETACHED(the_interfaces_of_an_ended_namespace_are_missing)
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
    /* so that the test ends if the namespace does not */
    for (int tries = 0; tries < 60000; tries++) {
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

TEST_WITH(a_reader_follows_a_rename_and_ends_with_the_interface, IN_CHILD | NATIVE)
{
    static unsigned char buffer[NETSTRAT_BUFFER_SIZE];
    struct netstrat_sysfs_place place;
    struct netstrat_socket sock;
    struct netstrat_counters counters, held;
    struct netstrat_sysfs_reader reader;
    int before = count_descriptors();

    mount_own_sysfs();
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

static void enter(void)
{
    if (!is_emulated())
        enter_sandbox(CLONE_NEWNS);
    if (!mkdtemp(root)) {
        perror(root);
        exit(1);
    }
}

static void remove_root(void)
{
    CHECK(rmdir(root) == 0);
}

const struct fixture fixture = {.before_all = enter, .after_all = remove_root};
