/* SPDX-License-Identifier: MIT */
/* Makes every system call of every operation fail, at each of its occurrences and with each
 * errno that it can return, or transfer only a part. The operations run on the real kernel, with
 * one fault in each run. An operation must succeed, or fail with an error that names what failed;
 * it must never leak, hang, or write half of its output. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../csrc/netstrat.h"
#include "check.h"
#include "errnos.h"
#include "fake_kernel.h"
#include "sandbox.h"

#include <net/if.h>

/* ---- what the operations work on ---- */

enum { BATCH = 60, ROWS = 8 };

static char root[] = "/tmp/netstrat-XXXXXX";
static char named[64], names_directory[48];
static unsigned char buffer[NETSTRAT_BUFFER_SIZE];

/* Everything that an operation may write to, filled with a pattern before each run. */
static struct output {
    struct netstrat_socket sock;
    struct netstrat_link link;
    struct netstrat_link_name name;
    struct netstrat_counters counters;
    struct netstrat_sysfs_reader reader;
    struct netstrat_sysfs_place place;
    struct netstrat_name_watch watch;
    struct netstrat_cursor datagram;
    struct netstrat_netns_link end;
    int32_t nsid;
    uint64_t value;
    size_t used;
    /* from here on scratch space of dumps, which is not compared */
    struct netstrat_link_name names[ROWS];
    int32_t indexes[ROWS];
    struct netstrat_counters rows[ROWS];
    struct netstrat_netns_link ends[ROWS];
    struct netstrat_veth_peer pairs[ROWS];
    unsigned char copy[4096];
} output;

static struct netstrat_socket sock; /* an open socket */
static struct netstrat_sysfs_reader reader;
static struct netstrat_sysfs_place place;
static struct netstrat_error error;
static int netns = -1; /* the program's own namespace */
static int results[BATCH + 1];

/* ---- one run ---- */

static unsigned long tried, failures, successes;

static struct {
    enum call call;
    int occurrence; /* 0: no fault */
    int code;
} fault;

static int is_output_compared;
static int is_sysctl; /* the operation reads or sets a setting */

static int is_error(int code, int wanted, enum netstrat_operation operation)
{
    return code == wanted && error.operation == (uint32_t)operation;
}

/* Whether `error` is a correct report of the fault. */
static int is_plausible(int code)
{
    int struck = -fault.code;

    if (error.code != code)
        return 0;
    switch (fault.call) {
    case SEND:
        if (fault.code == SHORT)
            return is_error(code, -EIO, NETSTRAT_OP_SEND);
        break;
    case RECVFROM:
    case RECVMSG:
        if (fault.code < 0 && is_error(code, -EAGAIN, NETSTRAT_OP_RECVFROM))
            return 1; /* nothing was received, and the call does not wait */
        /* fall through */
    case POLL: /* half a datagram is malformed, an empty one is ignored */
        if (fault.code < 0)
            return is_error(code, -EBADMSG, NETSTRAT_OP_RECVFROM) ||
                   is_error(code, -ETIMEDOUT, NETSTRAT_OP_RECVFROM);
        break;
    case OPEN: /* a setting, or a namespace */
        if (error.operation == NETSTRAT_OP_OPEN_SYSCTL)
            return code == struck;
        break;
    case WRITE: /* a setting takes a part of the value */
        if (fault.code < 0)
            return is_error(code, -EINVAL, NETSTRAT_OP_WRITE_SYSCTL);
        break;
    case READ:
        if (error.operation == NETSTRAT_OP_READ_SYSCTL)
            return code == struck;
        /* fall through */
    case PREAD: /* half a file may be malformed, an empty one is */
        if (fault.code < 0)
            return is_error(code, -EBADMSG, NETSTRAT_OP_PARSE);
        if (fault.code == EINVAL)
            struck = -ENODEV;
        break;
    case OPENAT: /* a directory or a file */
        if (error.operation == NETSTRAT_OP_OPEN)
            return code == struck ||
                   (code == -ENODEV && (fault.code == ENOENT || fault.code == ENOTDIR));
        if (fault.code == ENXIO)
            struck = -EINVAL;
        break;
    case READLINK: /* a part of the text */
        if (fault.code < 0)
            return is_error(code, -EBADMSG, NETSTRAT_OP_READLINK);
        break;
    case STATX: /* without the mount id the place cannot match */
        return is_error(code, -ESTALE, NETSTRAT_OP_READLINK);
    case MKDIR: /* after EEXIST the directory is assumed to exist */
        if (fault.code == EEXIST)
            return is_error(code, -ENOENT, NETSTRAT_OP_MOUNT);
        break;
    case UMOUNT: /* after EINVAL the name is assumed not to be a mount */
        if (fault.code == EINVAL)
            return is_error(code, -EBUSY, NETSTRAT_OP_UNLINK);
        break;
    case IOCTL: /* the descriptor cannot be recognised as a namespace */
        return is_error(code, -EINVAL, NETSTRAT_OP_MOUNT);
    default:
        break;
    }
    return calls[fault.call].operation != NETSTRAT_OP_NONE &&
           is_error(code, struck, calls[fault.call].operation);
}

/* Calls that are repeated after EINTR, or whose failure does not matter. */
static int is_resumed(enum call call)
{
    return call == SEND || call == RECVFROM || call == RECVMSG || call == POLL || call == OPENAT ||
           call == READ || call == PREAD || call == WRITE || call == CLOSE || call == FSTATFS ||
           (call == OPEN && is_sysctl);
}

/* Runs the operation, with the fault if there is one, and returns its code. */
static int run(int (*operation)(void), int late)
{
    static struct output before;
    const size_t compared = offsetof(struct output, names);
    int descriptors = count_descriptors();
    int code;

    memset(&output, 0xa5, sizeof output);
    before = output;
    memset(&error, 0, sizeof error);
    memset(&kernel, 0, sizeof kernel);
    kernel.paused = kernel.fake_clock = 1;
    kernel.now_ms = 1000;
    kernel.late = late;
    CHECK(netstrat_socket_open(&sock, buffer, sizeof buffer, NULL) == 0);
    CHECK(netstrat_sysfs_reader_open(&reader, AT_FDCWD, root, "if0", NULL, NULL) == 0);
    CHECK(netstrat_sysfs_place_get(AT_FDCWD, root, &place, NULL) == 0);
    netns = netstrat_netns_open("/proc/self/ns/net", NULL);
    CHECK(netns >= 0);
    sock.timeout_ms = 60;
    if (fault.occurrence)
        fail_call(fault.call, (unsigned)fault.occurrence, fault.code);
    is_output_compared = 1;
    kernel.paused = 0;
    code = operation();
    kernel.paused = 1;
    if (code < 0 && is_output_compared)
        CHECK(memcmp(&output, &before, compared) == 0);
    netstrat_sysfs_reader_close(&reader);
    netstrat_socket_close(&sock);
    close(netns);
    CHECK(count_descriptors() == descriptors);
    return code;
}

/* One fault: the operation succeeds in spite of it, or fails with an error that names it. */
static void try_fault(int (*operation)(void), int late, int wanted)
{
    unsigned long failed_before = checks_failed;
    int code = run(operation, late);

    tried++;
    CHECK(kernel.has_failed);
    if (code >= 0) {
        CHECK(wanted == 0);
        successes++;
    } else {
        CHECK((wanted < 0 && code == wanted && error.code == wanted) || is_plausible(code) ||
              /* the call was to explain why the interface or the counter is missing */
              (wanted < 0 && (fault.call == ACCESS || fault.call == OPENAT) &&
               (code == -ENOENT || code == -ENODEV)));
        failures++;
    }
    if (fault.code == EINTR && is_resumed(fault.call))
        CHECK(code == wanted || (wanted == 0 && code >= 0));
    if (checks_failed > failed_before)
        printf("  call %d (%s) number %d with %d: %d, operation %u\n", (int)fault.call,
               netstrat_operation_name(calls[fault.call].operation), fault.occurrence, fault.code,
               code, error.operation);
}

/* Runs an operation that returns `wanted`, and then once with each errno of each of its calls. */
static void try_faults(int (*operation)(void), int wanted)
{
    unsigned occurrences[CALLS];

    for (int late = 0; late < 2; late++) {
        int code;

        fault.occurrence = 0;
        code = run(operation, late);
        if (code == -ENOSYS && error.operation == NETSTRAT_OP_FSOPEN) {
            printf("this kernel has no fsopen()\n");
            return;
        }
        CHECK(code == wanted || (wanted == 0 && code > 0));
        memcpy(occurrences, kernel.calls, sizeof occurrences);
        for (int call = 0; call < CALLS; call++)
            for (unsigned occurrence = 1; occurrence <= occurrences[call]; occurrence++)
                for (const int *c = calls[call].codes; *c; c++) {
                    fault.call = (enum call)call;
                    fault.occurrence = (int)occurrence;
                    fault.code = *c;
                    try_fault(operation, late, wanted);
                }
    }
}

/* A test that runs an operation with every fault. Its body is the operation. */
#define TEST_FAULTS(name, flags, wanted)                                                           \
    static int run_##name(void);                                                                   \
    TEST_WITH(name, flags)                                                                         \
    {                                                                                              \
        try_faults(run_##name, wanted);                                                            \
    }                                                                                              \
    static int run_##name(void)

/* ---- the operations ---- */

/* Closes the socket, which must be safe even if it failed to open. */
static int close_socket(int code)
{
    CHECK(code == 0 ? output.sock.fd >= 0 : output.sock.fd == -1);
    netstrat_socket_close(&output.sock);
    memset(&output.sock, 0xa5, sizeof output.sock);
    return code;
}

TEST_FAULTS(socket_open, 0, 0)
{
    return close_socket(netstrat_socket_open(&output.sock, buffer, sizeof buffer, &error));
}

TEST_FAULTS(link_set_up_once, 0, 0)
{
    return netstrat_link_set_up_once("lo", &error);
}

TEST_FAULTS(link_set_down_once, 0, 0)
{
    return netstrat_link_set_down_once("lo", &error);
}

TEST_FAULTS(link_set_up, 0, 0)
{
    return netstrat_link_set_up(&sock, "lo", &error);
}

TEST_FAULTS(link_set_down, 0, 0)
{
    return netstrat_link_set_down(&sock, "lo", &error);
}

TEST_FAULTS(link_is_up, 0, 0)
{
    return netstrat_link_is_up(&sock, "lo", &error);
}

TEST_FAULTS(link_get, 0, 0)
{
    return netstrat_link_get(&sock, "lo", &output.link, &output.counters, &error);
}

TEST_FAULTS(counters_get, NATIVE, 0)
{
    return netstrat_counters_get(&sock, NULL, 1, &output.counters, &error);
}

TEST_FAULTS(counters_get_by_name, 0, 0)
{
    return netstrat_counters_get_by_name(&sock, NULL, "lo", &output.name, &output.counters, &error);
}

TEST_FAULTS(link_names_dump, 0, 0)
{
    return netstrat_link_names_dump(&sock, NULL, output.names, ROWS, &error);
}

TEST_FAULTS(counters_dump, NATIVE, 0)
{
    return netstrat_counters_dump(&sock, output.indexes, output.rows, ROWS, &error);
}

TEST_FAULTS(counters_dump_by_name, 0, 0)
{
    return netstrat_counters_dump_by_name(&sock, output.names, output.rows, ROWS, &error);
}

TEST_FAULTS(dump_copy, 0, 0)
{
    unsigned char request[64];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_batch_dump_links(&batch, 0) == 0);
    return netstrat_dump_copy(&sock, &batch, output.copy, sizeof output.copy, &output.used, &error);
}

TEST_FAULTS(name_watch_start, 0, 0)
{
    static struct netstrat_link_name changes[8];
    struct netstrat_name_watch watch = {changes, 8, 77, NULL, 0};
    int code = netstrat_name_watch_start(&watch, &sock, &error);

    if (code < 0)
        CHECK(watch.count == 77 && sock.port == 0 && sock.notified == NULL);
    else
        CHECK(watch.count == 0 && sock.port != 0 && sock.notified != NULL);
    return code;
}

TEST_FAULTS(socket_join, 0, 0)
{
    int code = netstrat_socket_join(&sock, RTNLGRP_IPV4_IFADDR, &error);

    CHECK(code < 0 ? sock.port == 0 : sock.port != 0);
    return code;
}

TEST_FAULTS(socket_set_strict, 0, 0)
{
    return netstrat_socket_set_strict(&sock, &error);
}

TEST_FAULTS(socket_set_receive_buffer, 0, 0)
{
    return netstrat_socket_set_receive_buffer(&sock, 65536, &error);
}

/* A query, and the datagram with its reply. */
TEST_FAULTS(send_and_receive, 0, 0)
{
    unsigned char request[64];
    struct netstrat_batch batch;
    int code, tries = 0;

    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_batch_get_link(&batch, "lo") == 0);
    code = netstrat_send(&sock, &batch, &error);
    if (code < 0)
        return code;
    do
        code = netstrat_socket_receive(&sock, &output.datagram, &error);
    while (code == -EAGAIN && ++tries < 3); /* waiting is left to the caller */
    return code;
}

/* A query with a notification in the queue. Its output may be partly written. */
TEST_FAULTS(counters_get_with_a_name_cache, NATIVE, 0)
{
    static struct netstrat_link_name changes[8], known[8];
    struct netstrat_name_watch watch = {changes, 8, 0, known, 8};
    int code = netstrat_name_watch_start(&watch, &sock, &error);

    is_output_compared = 0;
    if (code == 0)
        code = netstrat_link_set_down(&sock, "lo", &error);
    if (code == 0)
        code = netstrat_link_set_up(&sock, "lo", &error);
    return code < 0 ? code : netstrat_counters_get(&sock, &watch, 1, &output.counters, &error);
}

/* ---- of many namespaces, of which the program's own is one ---- */

static int ask_nsid(int32_t *nsid)
{
    unsigned char request[64];
    struct netstrat_message answer;
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_batch_get_nsid(&batch, netns) == 0);
    code = netstrat_query(&sock, &batch, 1, &answer, &error);
    return code < 0 ? code : netstrat_nsid_decode(&answer, nsid);
}

/* The nsid that the namespace assigns to itself. */
static int32_t own_nsid(void)
{
    unsigned char request[64];
    struct netstrat_batch batch;
    int32_t nsid = -1;
    int result;

    kernel.paused = 1;
    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_batch_add_nsid(&batch, netns) == 0);
    result = netstrat_execute(&sock, &batch, &result, NULL);
    CHECK(result == 0 || result == -EEXIST);
    CHECK(ask_nsid(&nsid) == 0 && nsid >= 0);
    kernel.paused = 0;
    return nsid;
}

TEST_FAULTS(nsid_get, NATIVE, 0)
{
    return ask_nsid(&output.nsid);
}

TEST_FAULTS(netns_links_dump, NATIVE, 0)
{
    const int32_t own = own_nsid();

    return netstrat_netns_links_dump(&sock, own, own, output.indexes, output.ends, output.rows,
                                     ROWS, &error);
}

TEST_FAULTS(netns_link_get, NATIVE, 0)
{
    const int32_t own = own_nsid();

    return netstrat_netns_link_get(&sock, own, own, 1, &output.end, &output.counters, &error);
}

TEST_FAULTS(veth_peers_dump, 0, 0)
{
    return netstrat_veth_peers_dump(&sock, output.pairs, ROWS, &error);
}

static struct netstrat_id_recorder notes;
static int32_t numbers[4];

static int start_notes(uint32_t what)
{
    int code;

    memset(&notes, 0, sizeof notes);
    notes.numbers = numbers;
    notes.room = 4;
    code = netstrat_id_recorder_start(&notes, what, &sock, &error);
    CHECK(code < 0 ? !notes.sock && !sock.notified : notes.sock == &sock && sock.notified);
    return code;
}

TEST_FAULTS(id_recorder_start_for_ended_namespaces, 0, 0)
{
    return start_notes(NETSTRAT_RECORD_ENDED);
}

TEST_FAULTS(id_recorder_start_for_other_namespaces, 0, 0)
{
    return start_notes(NETSTRAT_RECORD_NAMESPACES);
}

/* Two notifications from this namespace are queued, which a recorder of other namespaces
 * ignores. Unread ones are recorded as a loss. */
TEST_FAULTS(socket_process_pending, NATIVE, 0)
{
    int code;

    kernel.paused = 1;
    CHECK(start_notes(NETSTRAT_RECORD_NAMESPACES) == 0);
    CHECK(netstrat_link_set_down_once("lo", NULL) == 0);
    CHECK(netstrat_link_set_up_once("lo", NULL) == 0);
    sock.timeout_ms = 0;
    kernel.paused = 0;
    code = netstrat_socket_process_pending(&sock, &error);
    if (kernel.has_failed &&
        (fault.code == ENOBUFS || (fault.code == SHORT && fault.occurrence < 3)))
        CHECK(code == 0 && notes.count > notes.room);
    else
        CHECK(notes.count == 0);
    return code;
}

/* Executes `count` messages, and checks the result of each. */
static int run_batch_of(uint32_t count)
{
    static unsigned char request[BATCH * 40];
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    for (uint32_t i = 0; i < count; i++)
        CHECK(netstrat_batch_set_link_flags(&batch, "lo", i % 2 ? IFF_UP : 0, IFF_UP) == 0);
    for (uint32_t i = 0; i <= BATCH; i++)
        results[i] = 9;
    code = netstrat_execute(&sock, &batch, results, &error);
    for (uint32_t i = 0; i < count; i++)
        CHECK(results[i] == 0 || (code < 0 && results[i] == NETSTRAT_PENDING));
    CHECK(results[count] == 9);
    return code;
}

TEST_FAULTS(execute, 0, 0)
{
    return run_batch_of(2);
}

/* The acks do not fit the queue at once. */
TEST_FAULTS(execute_in_parts, 0, 0)
{
    const int small = 16384;

    kernel.paused = 1;
    CHECK(setsockopt(sock.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    kernel.paused = 0;
    return run_batch_of(BATCH);
}

TEST_FAULTS(socket_open_beside, 0, 0)
{
    return close_socket(
        netstrat_socket_open_beside(&output.sock, buffer, sizeof buffer, &sock, &error));
}

TEST_FAULTS(socket_open_at, 0, 0)
{
    return close_socket(
        netstrat_socket_open_at(&output.sock, buffer, sizeof buffer, netns, &error));
}

/* Closes the descriptor that an operation returned, without a fault. */
static int closed(int fd)
{
    if (fd < 0)
        return fd;
    kernel.paused = 1;
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    close(fd);
    return 0;
}

TEST_FAULTS(sysfs_mount, NATIVE, 0)
{
    return closed(netstrat_sysfs_mount(&error));
}

TEST_FAULTS(sysfs_mount_at, NATIVE, 0)
{
    return closed(netstrat_sysfs_mount_at(netns, &error));
}

TEST_FAULTS(netns_open, 0, 0)
{
    return closed(netstrat_netns_open("/proc/self/ns/net", &error));
}

TEST_FAULTS(netns_create, 0, 0)
{
    return closed(netstrat_netns_create(&error));
}

TEST_FAULTS(netns_cookie, NATIVE, 0)
{
    return netstrat_netns_cookie(&sock, &output.value, &error);
}

/* Deletes the directory of names, so that the next run creates it. */
static void remove_names(void)
{
    (void)umount2(named, MNT_DETACH);
    (void)unlink(named);
    while (umount2(names_directory, MNT_DETACH) == 0)
        ;
    (void)rmdir(names_directory);
}

TEST_FAULTS(netns_bind, NATIVE, 0)
{
    int code = netstrat_netns_bind(netns, names_directory, named, &error);

    kernel.paused = 1;
    /* After a failure the name does not exist. */
    CHECK((faccessat(AT_FDCWD, named, F_OK, 0) == 0) == (code == 0));
    remove_names();
    return code;
}

TEST_FAULTS(netns_unbind, NATIVE, 0)
{
    int code;

    kernel.paused = 1;
    CHECK(netstrat_netns_bind(netns, names_directory, named, NULL) == 0);
    kernel.paused = 0;
    code = netstrat_netns_unbind(named, &error);
    kernel.paused = 1;
    remove_names();
    return code;
}

TEST_FAULTS(sysfs_place_get, 0, 0)
{
    return netstrat_sysfs_place_get(AT_FDCWD, root, &output.place, &error);
}

TEST_FAULTS(sysfs_read_counter, 0, 0)
{
    return netstrat_sysfs_read_counter(AT_FDCWD, root, "if0", "tx_bytes", NULL, &output.value,
                                       &error);
}

TEST_FAULTS(sysfs_read_counter_in_its_place, 0, 0)
{
    return netstrat_sysfs_read_counter(AT_FDCWD, root, "if0", "tx_bytes", &place, &output.value,
                                       &error);
}

TEST_FAULTS(sysfs_read, 0, 0)
{
    return netstrat_sysfs_read(AT_FDCWD, root, "if0", NULL, &output.counters, &error);
}

TEST_FAULTS(sysfs_read_in_its_place, 0, 0)
{
    return netstrat_sysfs_read(AT_FDCWD, root, "if0", &place, &output.counters, &error);
}

TEST_FAULTS(sysfs_reader_open_in_its_place, 0, 0)
{
    int code = netstrat_sysfs_reader_open(&output.reader, AT_FDCWD, root, "if0", &place, &error);

    netstrat_sysfs_reader_close(&output.reader); /* does nothing after a failure */
    memset(&output.reader, 0xa5, sizeof output.reader);
    return code;
}

TEST_FAULTS(sysfs_reader_read, 0, 0)
{
    return netstrat_sysfs_reader_read(&reader, &output.counters, &error);
}

/* Operations that fail without a fault, and make further calls to explain why. */
TEST_FAULTS(sysfs_read_of_a_missing_interface, 0, -ENODEV)
{
    return netstrat_sysfs_read(AT_FDCWD, root, "if1", NULL, &output.counters, &error);
}

TEST_FAULTS(sysfs_read_counter_of_a_missing_counter, 0, -ENOENT)
{
    return netstrat_sysfs_read_counter(AT_FDCWD, root, "if0", "nonesuch", NULL, &output.value,
                                       &error);
}

TEST_FAULTS(sysfs_read_of_an_interface_without_counters, 0, -ENOENT)
{
    return netstrat_sysfs_read(AT_FDCWD, root, "if2", NULL, &output.counters, &error);
}

/* ---- settings under /proc/sys ---- */

enum { SETTINGS = 2 };

/* Sets or reads two settings of lo. */
static int exchange_sysctls(const char *value, int at)
{
    static struct netstrat_sysctl settings[SETTINGS];
    int code;

    is_sysctl = 1;
    for (int i = 0; i < SETTINGS; i++) {
        memset(&settings[i], 0, sizeof settings[i]);
        settings[i].path = i ? "net/ipv4/conf/lo/arp_filter" : "net/ipv4/conf/lo/arp_notify";
        settings[i].value = value;
    }
    code = at < 0 ? netstrat_sysctls_exchange(settings, SETTINGS, &error)
                  : netstrat_sysctls_exchange_at(at, settings, SETTINGS, &error);
    CHECK(code == 0 || error.item < SETTINGS);
    return code;
}

TEST_FAULTS(sysctls_set, 0, 0)
{
    return exchange_sysctls("1", -1);
}

TEST_FAULTS(sysctls_read, 0, 0)
{
    return exchange_sysctls(NULL, -1);
}

TEST_FAULTS(sysctls_set_at, 0, 0)
{
    return exchange_sysctls("0", netns);
}

/* ---- the tree of files ---- */

static const char *const directories[] = {"if0", "if0/statistics", "if2", "if2/statistics"};

/* A path beneath the root. */
static const char *beneath(const char *path)
{
    static char whole[128];

    snprintf(whole, sizeof whole, "%s/%s", root, path);
    return whole;
}

static const char *counter_path(int number)
{
    char path[64];

    snprintf(path, sizeof path, "if0/statistics/%s", netstrat_counter_name((uint32_t)number));
    return beneath(path);
}

static void make_tree(void)
{
    kernel.paused = 1;
    enter_sandbox(CLONE_NEWNS);
    if (!mkdtemp(root)) {
        perror(root);
        exit(1);
    }
    for (int i = 0; i < 4; i++)
        CHECK(mkdir(beneath(directories[i]), 0755) == 0);
    for (int i = 0; i < 8; i++)
        write_file(counter_path(i), "1234\n");
    snprintf(names_directory, sizeof names_directory, "%s/netns", root);
    snprintf(named, sizeof named, "%s/name", names_directory);
}

static void remove_tree(void)
{
    for (int i = 0; i < 8; i++)
        CHECK(unlink(counter_path(i)) == 0);
    for (int i = 3; i >= 0; i--)
        CHECK(rmdir(beneath(directories[i])) == 0);
    CHECK(rmdir(root) == 0);
    printf("%lu faults tried: %lu errors, %lu successes\n", tried, failures, successes);
}

const struct fixture fixture = {.before_all = make_tree, .after_all = remove_tree};
