/* SPDX-License-Identifier: MIT */
/* Names of network namespaces, which are mounts, and mount namespaces. */
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include "neighbour.h"

/* ---- a name ---- */

TEST_WITH(a_namespace_has_a_name_until_that_is_deleted, NATIVE)
{
    char directory[] = "/tmp/netstrat-XXXXXX", names[64], path[80], file[64];
    struct stat status, named;
    int fd = netstrat_netns_create(&error), again;

    CHECK(mkdtemp(directory) != NULL);
    snprintf(names, sizeof names, "%s/netns", directory);
    snprintf(path, sizeof path, "%s/blue", names);
    CHECK(netstrat_netns_bind(fd, names, path, &error) == 0 && is_shared(names));
    CHECK(fstat(fd, &status) == 0);
    close(fd);
    fd = netstrat_netns_open(path, &error); /* the name alone keeps it */
    CHECK(fd >= 0 && fstat(fd, &named) == 0 && named.st_ino == status.st_ino);
    CHECK(netstrat_netns_is(fd) == 1);
    FAILS(netstrat_netns_bind(fd, names, path, &error), -EEXIST, NETSTRAT_OP_OPEN_NETNS);
    again = open("/dev/null", O_RDONLY | O_CLOEXEC);
    FAILS(netstrat_netns_bind(again, names, path, &error), -EINVAL, NETSTRAT_OP_MOUNT);
    FAILS(netstrat_netns_bind(-1, names, path, &error), -EINVAL, NETSTRAT_OP_MOUNT);
    close(again);
    FAILS(netstrat_netns_bind(fd, "/nowhere/netns", "/nowhere/netns/x", &error), -ENOENT,
          NETSTRAT_OP_MKDIR);
    snprintf(file, sizeof file, "%s/file", directory);
    write_file(file, "");
    FAILS(netstrat_netns_bind(fd, file, path, &error), -ENOTDIR, NETSTRAT_OP_OPEN_NETNS);
    CHECK(unlink(file) == 0); /* nothing was mounted on it */
    close(fd);
    CHECK(netstrat_netns_unbind(path, &error) == 0);
    CHECK(access(path, F_OK) < 0 && errno == ENOENT);
    FAILS(netstrat_netns_unbind(path, &error), -ENOENT, NETSTRAT_OP_UMOUNT);
    write_file(path, ""); /* left behind by an interrupted bind */
    CHECK(netstrat_netns_unbind(path, &error) == 0);
    CHECK(umount2(names, MNT_DETACH) == 0 && rmdir(names) == 0 && rmdir(directory) == 0);
}

static const char run_netns[] = "/run/netns";

TEST_WITH(a_name_spreads_to_other_mount_namespaces, NATIVE)
{
    int fd = netstrat_netns_create(&error), go[2], ready[2], status = -1;
    pid_t child;
    char byte;

    CHECK(pipe2(go, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0);
    CHECK(netstrat_netns_bind(fd, run_netns, "/run/netns/first", &error) == 0);
    fflush(stdout);
    child = fork();
    if (child == 0) { /* in a mount namespace copied before the second name */
        int found;

        close(go[1]);
        if (unshare(CLONE_NEWNS) < 0 || write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1)
            _exit(2);
        found = netstrat_netns_open("/run/netns/second", NULL);
        _exit(found >= 0 && netstrat_netns_is(found) == 1 ? 0 : 1);
    }
    close(go[0]);
    close(ready[1]);
    CHECK(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    CHECK(netstrat_netns_bind(fd, run_netns, "/run/netns/second", &error) == 0);
    CHECK(write(go[1], "x", 1) == 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    close(go[1]);
    close(fd);
    CHECK(netstrat_netns_unbind("/run/netns/first", &error) == 0);
    CHECK(netstrat_netns_unbind("/run/netns/second", &error) == 0);
}

/* The path of a descriptor with several digits, and /proc missing. */
TEST_WITH(a_failed_bind_leaves_no_name, IN_CHILD | NATIVE)
{
    int made = netstrat_netns_create(&error), fd = fcntl(made, F_DUPFD_CLOEXEC, 210);

    CHECK(fd >= 210 && netstrat_netns_bind(fd, run_netns, "/run/netns/named", &error) == 0);
    CHECK(netstrat_netns_unbind("/run/netns/named", &error) == 0);
    CHECK(unshare(CLONE_NEWNS) == 0 && mount("tmpfs", "/proc", "tmpfs", 0, NULL) == 0);
    FAILS(netstrat_netns_bind(fd, run_netns, "/run/netns/named", &error), -ENOENT,
          NETSTRAT_OP_MOUNT);
    CHECK(access("/run/netns/named", F_OK) < 0 && errno == ENOENT);
    CHECK(umount2("/proc", MNT_DETACH) == 0);
}

TEST(a_file_that_is_not_a_namespace_gets_no_name)
{
    static const char *const paths[] = {"/run/file", "/", "/dev/null", "/proc/self/ns/user",
                                        "/proc/self/ns/mnt"};

    write_file("/run/file", "text");
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int fd = netstrat_netns_open(paths[i], &error);

        CHECK(fd >= 0 && netstrat_netns_is(fd) == 0);
        FAILS(netstrat_netns_bind(fd, run_netns, "/run/netns/file", &error), -EINVAL,
              NETSTRAT_OP_MOUNT);
        CHECK(access("/run/netns/file", F_OK) < 0);
        close(fd);
    }
    for (int fd = -40; fd < 0; fd++) /* an errno used as a descriptor */
        CHECK(netstrat_netns_bind(fd, run_netns, "/run/netns/file", NULL) == -EINVAL);
}

/* Creates and deletes names while other processes do the same in the same new directory. */
static void give_names(void)
{
    for (int round = 0; round < 12; round++) {
        char path[64];
        int fd = netstrat_netns_create(&error), again;

        snprintf(path, sizeof path, "/run/many/%ld-%d", (long)getpid(), round);
        CHECK(netstrat_netns_bind(fd, "/run/many", path, &error) == 0);
        again = netstrat_netns_open(path, &error);
        CHECK(netstrat_netns_is(again) == 1);
        close(again);
        close(fd);
        CHECK(netstrat_netns_unbind(path, &error) == 0);
        CHECK(access(path, F_OK) < 0);
    }
}

TEST_WITH(several_processes_give_names_at_once, NATIVE)
{
    pid_t children[4];
    int status;

    fflush(stdout);
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            checks_passed = checks_failed = 0;
            give_names();
            exit(checks_failed != 0);
        }
    }
    for (int i = 0; i < 4; i++)
        CHECK(waitpid(children[i], &status, 0) == children[i] && status == 0);
}

static char names_path[64], name_path[80];

/* A descriptor: in a thread with its own descriptor table it is another namespace. */
static int netns_fd;

static void *name_with_own_descriptors(void *argument)
{
    struct netstrat_error problem;
    int fd;

    (void)argument;
    if (unshare(CLONE_FILES) != 0)
        return NULL;
    fd = netstrat_netns_create(&problem);
    if (fd < 0 || dup3(fd, netns_fd, O_CLOEXEC) != netns_fd)
        return NULL;
    if (netstrat_netns_bind(netns_fd, names_path, name_path, &problem) != 0)
        return NULL;
    return (void *)&name_path;
}

static void name_from_a_thread_with_own_descriptors(void)
{
    pthread_t thread;
    void *named = NULL;
    struct stat status;

    netns_fd = netstrat_netns_open("/proc/thread-self/ns/net", &error);
    CHECK(pthread_create(&thread, NULL, name_with_own_descriptors, NULL) == 0);
    CHECK(pthread_join(thread, &named) == 0 && named != NULL);
    CHECK(stat(name_path, &status) == 0 && status.st_ino != own_namespace());
}

static void *name_after_the_main_thread(void *argument)
{
    struct netstrat_error problem;
    struct stat status;
    char stat_path[64], line[256] = "";
    int fd;

    (void)argument;
    /* The first thread has ended when its stat file reads "PID (name) Z". */
    snprintf(stat_path, sizeof stat_path, "/proc/self/task/%ld/stat", (long)getpid());
    while (strstr(line, ") Z") == NULL) {
        fd = open(stat_path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, line, sizeof line - 1) < 0)
            _exit(2);
        close(fd);
        sched_yield();
    }
    fd = netstrat_netns_create(&problem);
    if (fd < 0 || netstrat_netns_bind(fd, names_path, name_path, &problem) != 0)
        _exit(3);
    if (stat(name_path, &status) != 0 || status.st_ino == own_namespace())
        _exit(4);
    kill(getpid(), SIGKILL); /* success; valgrind does not report this thread's memory */
    return NULL;
}

static void name_after_the_main_thread_has_ended(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, name_after_the_main_thread, NULL) == 0)
        syscall(SYS_exit, 0); /* this thread alone */
}

TEST_WITH(a_descriptor_is_looked_up_in_the_thread_that_binds_it, NATIVE)
{
    char directory[] = "/tmp/netstrat-XXXXXX";
    pid_t child;
    int status = -1;

    CHECK(mkdtemp(directory) != NULL);
    snprintf(names_path, sizeof names_path, "%s/netns", directory);
    snprintf(name_path, sizeof name_path, "%s/blue", names_path);
    in_child(name_from_a_thread_with_own_descriptors);
    CHECK(netstrat_netns_unbind(name_path, &error) == 0);
    fflush(stdout);
    child = fork();
    if (child == 0)
        name_after_the_main_thread_has_ended();
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECK(netstrat_netns_unbind(name_path, &error) == 0);
    CHECK(umount2(names_path, MNT_DETACH) == 0 && rmdir(names_path) == 0 && rmdir(directory) == 0);
}

/* ---- many names at once ---- */

enum { NAMERS = 8, ATTEMPTS = 4 };

/* How many of the children have found that the directory is not a mount, in shared memory. */
static int *arrived;

/* Holds each child until all of them have found so. */
static void wait_for_the_others(enum call call, int result)
{
    if (call == MOUNT && result < 0 && errno == EINVAL) {
        __atomic_add_fetch(arrived, 1, __ATOMIC_RELAXED);
        while (__atomic_load_n(arrived, __ATOMIC_RELAXED) < NAMERS)
            sched_yield();
    }
}

static void name_at_once(const char *directory, int number)
{
    struct netstrat_error problem;
    char path[80];
    int fd = netstrat_netns_create(&problem);

    snprintf(path, sizeof path, "%s/n%d", directory, number);
    _exit(fd < 0 || netstrat_netns_bind(fd, directory, path, &problem) != 0);
}

/* As at boot, the directory is missing and its mount is shared. */
TEST_WITH(several_processes_create_the_directory_of_names_at_once, IN_CHILD | NATIVE)
{
    char directory[] = "/tmp/netstrat-XXXXXX", names[64], path[80];

    CHECK(mkdtemp(directory) != NULL);
    CHECK(mount("none", directory, "tmpfs", 0, NULL) == 0);
    CHECK(mount("", directory, "none", MS_SHARED, NULL) == 0);
    kernel.after = wait_for_the_others;
    arrived = (int *)mmap(NULL, sizeof *arrived, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                          -1, 0);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        pid_t children[NAMERS];

        snprintf(names, sizeof names, "%s/netns%d", directory, attempt);
        __atomic_store_n(arrived, 0, __ATOMIC_RELAXED);
        fflush(stdout);
        for (int i = 0; i < NAMERS; i++) {
            children[i] = fork();
            if (children[i] == 0)
                name_at_once(names, i);
        }
        for (int i = 0; i < NAMERS; i++) {
            int status = -1;

            CHECK(waitpid(children[i], &status, 0) == children[i] && status == 0);
        }
        CHECK(count_mounts(names) == 1 && is_shared(names));
        for (int i = 0; i < NAMERS; i++) {
            snprintf(path, sizeof path, "%s/n%d", names, i);
            /* In the directory's own mount, and in the file system beneath it. */
            CHECK(count_mounts(path) == 2);
        }
    }
    CHECK(munmap(arrived, sizeof *arrived) == 0);
    kernel.after = NULL;
    CHECK(umount2(directory, MNT_DETACH) == 0 && rmdir(directory) == 0);
}

/* A lock of the directory that another process holds, or -1; and how often it refused a lock. */
static int others_lock = -1, lock_refusals;

/* The other process releases its lock once it has refused one. */
static void release_the_lock(enum call call, int result)
{
    if (call == FLOCK && others_lock >= 0 && result < 0 && errno == EWOULDBLOCK) {
        lock_refusals++;
        close(others_lock);
        others_lock = -1;
    }
}

TEST_WITH(a_locked_directory_of_names_is_waited_for, NATIVE)
{
    char directory[] = "/tmp/netstrat-XXXXXX", path[80];
    int fd = netstrat_netns_create(&error);

    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/blue", directory);
    others_lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(others_lock >= 0 && flock(others_lock, LOCK_EX) == 0);
    kernel.after = release_the_lock;
    CHECK(netstrat_netns_bind(fd, directory, path, &error) == 0 && is_shared(directory));
    CHECK(lock_refusals == 1 && others_lock == -1);
    close(fd);
    CHECK(netstrat_netns_unbind(path, &error) == 0);
    CHECK(umount2(directory, MNT_DETACH) == 0 && rmdir(directory) == 0);
}

/* ---- mount namespaces ---- */

TEST_WITH(mounts_of_a_separated_namespace_stay_in_it, IN_CHILD)
{
    char directory[] = "/tmp/netstrat-XXXXXX", inner[64], outer[64], from[64], to[64], text[8] = "";
    int original = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC), separate, file;

    CHECK(mkdtemp(directory) != NULL);
    snprintf(inner, sizeof inner, "%s/inner", directory);
    snprintf(outer, sizeof outer, "%s/outer", directory);
    snprintf(from, sizeof from, "%s/from", directory);
    snprintf(to, sizeof to, "%s/to", directory);
    CHECK(mount("none", directory, "tmpfs", 0, NULL) == 0);
    CHECK(mount("", directory, "none", MS_SHARED, NULL) == 0);
    CHECK(mkdir(inner, 0700) == 0 && mkdir(outer, 0700) == 0);
    write_file(from, "from");
    write_file(to, "to");

    CHECK(netstrat_mounts_separate(&error) == 0 && !is_shared(directory));
    separate = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
    CHECK(mount("none", inner, "tmpfs", 0, NULL) == 0 && count_mounts(inner) == 1);
    CHECK(netstrat_mounts_bind(from, to, &error) == 0 && count_mounts(to) == 1);
    file = open(to, O_RDONLY | O_CLOEXEC);
    CHECK(read(file, text, sizeof text) == 4 && memcmp(text, "from", 4) == 0);
    close(file);
    FAILS(netstrat_mounts_bind(from, "/nowhere", &error), -ENOENT, NETSTRAT_OP_MOUNT);

    /* Mounts of the separate namespace stay in it; mounts of the original one propagate to it. */
    CHECK(setns(original, CLONE_NEWNS) == 0 && is_shared(directory));
    CHECK(count_mounts(inner) == 0 && count_mounts(to) == 0);
    CHECK(mount("none", outer, "tmpfs", 0, NULL) == 0);
    CHECK(setns(separate, CLONE_NEWNS) == 0 && count_mounts(outer) == 1);

    CHECK(setns(original, CLONE_NEWNS) == 0);
    close(original);
    close(separate);
    CHECK(umount2(directory, MNT_DETACH) == 0 && rmdir(directory) == 0);
}

/* The propagation of a root that is not a mount cannot be changed. */
TEST_WITH(mounts_are_not_separated_in_a_root_that_is_not_a_mount, IN_CHILD)
{
    char directory[] = "/tmp/netstrat-XXXXXX";
    int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK(mkdtemp(directory) != NULL && chroot(directory) == 0);
    FAILS(netstrat_mounts_separate(&error), -EINVAL, NETSTRAT_OP_MOUNT);
    CHECK(fchdir(root) == 0 && chroot(".") == 0 && rmdir(directory) == 0);
    close(root);
}

TEST_WITH(separating_mounts_needs_capabilities, IN_CHILD)
{
    drop_capabilities();
    FAILS(netstrat_mounts_separate(&error), -EPERM, NETSTRAT_OP_UNSHARE);
    CHECK(netstrat_mounts_separate(NULL) == -EPERM);
    FAILS(netstrat_mounts_bind("/proc", "/tmp", &error), -EPERM, NETSTRAT_OP_MOUNT);
}

/* An empty /run. */
static void enter(void)
{
    enter_sandbox(CLONE_NEWNS);
    if (mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0) {
        perror("a /run of our own");
        exit(1);
    }
}

const struct fixture fixture = {.before_all = enter, .before_each = reset_kernel};
