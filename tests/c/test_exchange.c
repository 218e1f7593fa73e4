/* SPDX-License-Identifier: MIT */
/*
 * Exchanges with a kernel that answers as a real one hardly ever does. The system calls are
 * replaced at link time; what each send is answered with is scripted by the tests below. So is the
 * clock: each look at it takes a millisecond, and poll() all of its timeout at once if nothing
 * comes.
 */
/* wrap: send recvfrom poll getsockopt setsockopt getsockname bind */
/* wrap: clock_gettime __clock_gettime64 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"
#include "failed.h"

#include <net/if.h>

/* ---- the fake ---- */

enum { FD = 77, KERNEL = 0, STRANGER = 4711, OWN_PORT = 42, QUEUE = 64 };

struct datagram {
    struct bytes bytes;
    uint32_t sender;
    uint32_t groups;
    sa_family_t family;
    socklen_t address_size;
    size_t cut; /* bytes of it that do not fit: they are announced, and not there */
    int code;   /* an errno in place of a datagram */
};

static struct {
    struct datagram queue[QUEUE];
    unsigned first, count;

    void (*answer)(void);         /* called at each send */
    void (*refill)(void);         /* called when the queue is found empty */
    uint32_t sequence;            /* of the first message that was sent last */
    uint16_t type;                /* and its type */
    uint32_t messages;            /* how many they were */
    unsigned char request[16384]; /* and all that was sent */
    size_t request_size;
    size_t largest; /* the size of the largest send */
    unsigned sends, polls, receives;
    int send_codes[4]; /* errnos of the sends to come */
    int poll_codes[4];
    size_t send_short; /* bytes of it that the next send leaves */
    int option_code;   /* the option that getsockopt or setsockopt fails for */
    int is_member;     /* of RTNLGRP_LINK */
    unsigned options;  /* how often it joined or left */
    int set_codes[4];  /* of setsockopt, for the size of the queue */
    int receive_buffer, send_buffer;
    int64_t now_ms;
} fake;

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *address,
                        socklen_t *address_size);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *size);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size);

/* Takes the next of a list of errnos; 0 where there is none. */
static int next_code(int *codes)
{
    int code = codes[0];

    memmove(codes, codes + 1, 3 * sizeof *codes);
    codes[3] = 0;
    return code;
}

static uint32_t count_messages(const unsigned char *at, size_t size)
{
    uint32_t count = 0;

    while (size >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr header;

        memcpy(&header, at, sizeof header);
        CHECK(header.nlmsg_len >= sizeof header && header.nlmsg_len <= size);
        at += header.nlmsg_len;
        size -= header.nlmsg_len;
        count++;
    }
    return count;
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    struct nlmsghdr header;
    size_t left = fake.send_short;
    int code = next_code(fake.send_codes);

    fake.sends++;
    memcpy(&header, data, sizeof header);
    if ((header.nlmsg_type & 3) != 2) /* no change travels on a socket that is in a group */
        CHECK(!fake.is_member);
    CHECK(fd == FD && flags == 0 && size >= sizeof header && size <= sizeof fake.request);
    if (code) {
        errno = code;
        return -1;
    }
    memcpy(fake.request, data, size);
    fake.request_size = size;
    if (size > fake.largest)
        fake.largest = size;
    fake.sequence = header.nlmsg_seq;
    fake.type = header.nlmsg_type;
    fake.messages = count_messages(fake.request, size);
    fake.send_short = 0;
    if (fake.answer && !left)
        fake.answer();
    return (ssize_t)(size - left);
}

ssize_t __wrap_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *address,
                        socklen_t *address_size)
{
    struct datagram *datagram;
    struct sockaddr_nl sender;
    size_t there;

    fake.receives++;
    CHECK(flags == (MSG_DONTWAIT | MSG_TRUNC) && *address_size == sizeof sender);
    if (fd == -1) { /* a callback has closed the socket */
        errno = EBADF;
        return -1;
    }
    CHECK(fd == FD);
    if (fake.count == 0 && fake.refill)
        fake.refill();
    if (fake.count == 0) {
        errno = EAGAIN;
        return -1;
    }
    datagram = &fake.queue[fake.first++ % QUEUE];
    fake.count--;
    if (datagram->code) {
        errno = datagram->code;
        return -1;
    }
    memset(&sender, 0, sizeof sender);
    sender.nl_family = datagram->family;
    sender.nl_pid = datagram->sender;
    sender.nl_groups = datagram->groups;
    memcpy(address, &sender, sizeof sender);
    *address_size = datagram->address_size;
    there = datagram->bytes.length < size ? datagram->bytes.length : size;
    memcpy(buffer, datagram->bytes.data, there);
    return (ssize_t)(datagram->bytes.length + datagram->cut);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int code = next_code(fake.poll_codes);

    fake.polls++;
    CHECK(count == 1 && fds->fd == FD && fds->events == POLLIN && timeout > 0);
    if (code) {
        errno = code;
        return -1;
    }
    if (fake.count == 0 && fake.refill)
        fake.refill();
    if (fake.count == 0)
        fake.now_ms += timeout;
    return fake.count > 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    CHECK(clock == CLOCK_MONOTONIC);
    fake.now_ms++;
    now->tv_sec = (time_t)(fake.now_ms / 1000);
    now->tv_nsec = (long)(fake.now_ms % 1000) * 1000000;
    return 0;
}

/* The name that clock_gettime() has in 32 bits with musl. */
int __wrap___clock_gettime64(clockid_t clock, struct timespec *now);
int __wrap___clock_gettime64(clockid_t clock, struct timespec *now)
{
    return __wrap_clock_gettime(clock, now);
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
    CHECK(fd == FD && level == SOL_SOCKET && *size == sizeof(int));
    if (fake.option_code == option) {
        errno = ENOBUFS;
        return -1;
    }
    memcpy(value, option == SO_RCVBUF ? &fake.receive_buffer : &fake.send_buffer, sizeof(int));
    return 0;
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    uint32_t group;

    memcpy(&group, value, sizeof group);
    if (level == SOL_SOCKET) {
        CHECK(fd == FD && (option == SO_RCVBUFFORCE || option == SO_RCVBUF) &&
              size == sizeof group);
        if (next_code(fake.set_codes)) {
            errno = EPERM;
            return -1;
        }
        fake.receive_buffer = (int)group;
        return 0;
    }
    CHECK(fd == FD && level == 270 /* SOL_NETLINK */ && size == sizeof group);
    CHECK(option == NETLINK_ADD_MEMBERSHIP || option == NETLINK_DROP_MEMBERSHIP);
    CHECK(group == RTNLGRP_LINK);
    if (fake.option_code == option) {
        errno = ENOMEM;
        return -1;
    }
    fake.is_member = option == NETLINK_ADD_MEMBERSHIP;
    fake.options++;
    return 0;
}

int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *size)
{
    struct sockaddr_nl own;

    CHECK(fd == FD && *size == sizeof own);
    memset(&own, 0, sizeof own);
    own.nl_family = AF_NETLINK;
    own.nl_pid = OWN_PORT;
    memcpy(address, &own, sizeof own);
    return 0;
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    (void)fd, (void)address, (void)size;
    errno = EINVAL; /* the socket has its port already */
    return -1;
}

/* ---- what it says ---- */

static struct datagram *queue(uint32_t sender)
{
    struct datagram *datagram = &fake.queue[(fake.first + fake.count++) % QUEUE];

    CHECK(fake.count <= QUEUE);
    datagram->bytes.length = 0;
    datagram->sender = sender;
    datagram->groups = 0;
    datagram->family = AF_NETLINK;
    datagram->address_size = sizeof(struct sockaddr_nl);
    datagram->cut = 0;
    datagram->code = 0;
    return datagram;
}

static void say_errno(int code)
{
    queue(KERNEL)->code = code;
}

static void say_ack(uint32_t sender, uint32_t sequence, int32_t code)
{
    put_ack(&queue(sender)->bytes, ACK_TLVS | CAPPED, sequence, OWN_PORT, code, fake.request, 16,
            code ? "fake words" : NULL);
}

/* Acks of all that was sent, many to a datagram: `code` for the message `item`, 0 for the rest. */
static void say_acks(uint32_t item, int32_t code)
{
    struct bytes *bytes = NULL;

    for (uint32_t i = 0; i < fake.messages; i++) {
        if (i % 64 == 0)
            bytes = &queue(KERNEL)->bytes;
        put_ack(bytes, CAPPED, fake.sequence + i, OWN_PORT, i == item ? code : 0, fake.request, 16,
                NULL);
    }
}

static void put_link(struct bytes *to, uint16_t type, uint16_t flags, uint32_t sequence,
                     uint32_t port, int32_t index, const char *name)
{
    size_t at = begin(to, type, flags, sequence, port);

    put_info(to, index, IFF_UP);
    attribute(to, IFLA_IFNAME, name, strlen(name) + 1);
    put_stats64(to, IFLA_STATS64, 200, 100 * (uint64_t)index);
    finish(to, at);
}

static void say_link(uint32_t sender, uint32_t sequence, uint32_t port, int32_t index,
                     const char *name)
{
    put_link(&queue(sender)->bytes, RTM_NEWLINK, 0, sequence, port, index, name);
}

/* A notification. */
static void notify(uint16_t type, int32_t index, const char *name)
{
    put_link(&queue(KERNEL)->bytes, type, 0, 0, 0, index, name);
}

/* A message about a link, of which only its beginning fits the buffer. */
static void say_cut_link(uint32_t sequence, uint32_t port, int32_t index, const char *name)
{
    struct datagram *datagram = queue(KERNEL);
    uint32_t whole;

    put_link(&datagram->bytes, RTM_NEWLINK, 0, sequence, port, index, name);
    datagram->cut = 65536;
    whole = (uint32_t)(datagram->bytes.length + datagram->cut);
    memcpy(datagram->bytes.data, &whole, sizeof whole);
}

static void put_stats(struct bytes *to, uint16_t flags, uint32_t sequence, uint32_t index)
{
    size_t at = begin(to, NEWSTATS, flags, sequence, OWN_PORT);

    put_stats_header(to, index);
    put_stats64(to, 1, 200, 1000 * (uint64_t)index);
    finish(to, at);
}

static void put_done(struct bytes *to, uint16_t flags, uint32_t sequence, int32_t code)
{
    size_t at;

    flags = (uint16_t)(NLM_F_MULTI | ACK_TLVS | flags);
    at = begin(to, NLMSG_DONE, flags, sequence, OWN_PORT);
    put(to, &code, sizeof code);
    if (code)
        attribute(to, 1, "fake words", 11);
    finish(to, at);
}

/* ---- the tests' own ---- */

enum { ROOM = 4, KNOWN = 8, ROWS = 8 };

static unsigned char buffer[4096];
static struct netstrat_socket sock;
static struct netstrat_error error;
static struct netstrat_link_name changes[ROOM], known[KNOWN];
static struct netstrat_name_watch watch;
static struct netstrat_link link_;
static struct netstrat_link_name names[ROWS];
static struct netstrat_counters counters, rows[ROWS];
static int32_t indexes[ROWS];
static unsigned step; /* of a script */

static void prepare(void (*answer)(void))
{
    memset(&fake, 0, sizeof fake);
    memset(&sock, 0, sizeof sock);
    memset(&error, 0, sizeof error);
    fake.answer = answer;
    fake.receive_buffer = fake.send_buffer = 212992;
    sock.fd = FD;
    sock.timeout_ms = 100;
    sock.sequence = 1000;
    sock.buffer = buffer;
    sock.buffer_size = sizeof buffer;
    step = 0;
}

/* Watches with a cache of `known_size` names. */
static void watch_links(uint32_t known_size)
{
    watch.changes = changes;
    watch.room = ROOM;
    watch.known = known;
    watch.known_size = known_size;
    CHECK(netstrat_name_watch_start(&watch, &sock, &error) == 0 && watch.count == 0);
    CHECK(sock.port == OWN_PORT);
}

/* A message of one's own, of a type of its own. */
static int add_message(struct netstrat_batch *batch, uint16_t type, uint16_t flags)
{
    netstrat_batch_begin(batch, type, flags);
    netstrat_batch_append(batch, "0123456789abcdef", 16);
    return netstrat_batch_finish(batch);
}

/* ---- acks and answers ---- */

static void answer_ok(void)
{
    say_ack(KERNEL, fake.sequence, 0);
}

static void answer_others_first(void)
{
    struct datagram *datagram;

    say_ack(KERNEL, fake.sequence - 1, -EBUSY); /* a late reply */
    say_ack(KERNEL, fake.sequence + 1, -EBUSY); /* one from the future */
    say_ack(KERNEL, 0, -EBUSY);                 /* a notification's number */
    say_ack(STRANGER, fake.sequence, -EBUSY);   /* somebody pretends to be the kernel */
    queue(STRANGER)->cut = 100000;              /* and sends more than the buffer holds */
    datagram = queue(KERNEL);
    datagram->family = AF_UNIX;
    put_ack(&datagram->bytes, 0, fake.sequence, OWN_PORT, -EBUSY, fake.request, 16, NULL);
    datagram = queue(KERNEL);
    datagram->address_size = sizeof(sa_family_t); /* no word of who sent it */
    put_ack(&datagram->bytes, 0, fake.sequence, OWN_PORT, -EBUSY, fake.request, 16, NULL);
    answer_ok();
}

static void answer_refusal(void)
{
    say_ack(KERNEL, fake.sequence, -ENODEV);
}

static void answer_nonsense(void)
{
    struct bytes *bytes = &queue(KERNEL)->bytes;

    if (step == 0) { /* a message that ends behind the datagram */
        put_ack(bytes, 0, fake.sequence, OWN_PORT, 0, fake.request, 16, NULL);
        bytes->length -= 8;
    } else if (step == 1) { /* an ack without its request */
        put_ack(bytes, 0, fake.sequence, OWN_PORT, 0, fake.request, 4, NULL);
    } else if (step == 2) { /* not a valid errno */
        put_ack(bytes, 0, fake.sequence, OWN_PORT, 99, fake.request, 16, NULL);
    } else { /* less than a header */
        put(bytes, "abc", 3);
    }
}

static void test_an_ack_ends_the_call(void)
{
    prepare(answer_ok);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    CHECK(fake.sends == 1 && fake.receives == 1 && fake.polls == 0 && fake.sequence == 1001);
    CHECK(fake.now_ms == 0); /* the clock was not even looked at */
}

static void test_datagrams_that_are_not_the_answer_are_passed_over(void)
{
    prepare(answer_others_first);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.count == 0);
}

static void test_a_malformed_answer_is_an_error(void)
{
    for (unsigned i = 0; i < 4; i++) {
        prepare(answer_nonsense);
        step = i;
        CHECK(failed_with(&error, netstrat_link_set_up(&sock, "lo", &error), -EBADMSG,
                          NETSTRAT_OP_RECVFROM));
        step = i;
        CHECK(failed_with(&error, netstrat_link_get(&sock, "lo", &link_, NULL, &error), -EBADMSG,
                          NETSTRAT_OP_RECVFROM));
    }
}

static void test_sequence_numbers_go_round_without_ever_being_0(void)
{
    prepare(answer_ok);
    sock.sequence = UINT32_MAX;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.sequence == 1);
    sock.sequence = UINT32_MAX - 1;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.sequence == UINT32_MAX);
}

static int add_nothing(const struct netstrat_message *message, void *context)
{
    (void)message, (void)context;
    return 0;
}

static void test_a_refusal_is_reported_under_the_type_of_its_own_message(void)
{
    static const uint16_t types[] = {RTM_DELLINK, RTM_NEWADDR, RTM_GETADDR, RTM_DELROUTE, 202};
    unsigned char request[128];
    struct netstrat_message answer;
    struct netstrat_batch batch;
    int result;

    prepare(answer_refusal);
    CHECK(refused_with(&error, netstrat_link_set_up(&sock, "lo", &error), -ENODEV, RTM_NEWLINK));
    CHECK(!strcmp(error.text, "fake words") && error.item == 0);
    CHECK(netstrat_link_set_down(&sock, "lo", NULL) == -ENODEV);
    CHECK(refused_with(&error, netstrat_link_get(&sock, "lo", &link_, NULL, &error), -ENODEV,
                       RTM_GETLINK));
    CHECK(refused_with(&error, netstrat_counters_get(&sock, NULL, 1, &counters, &error), -ENODEV,
                       GETSTATS));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        netstrat_batch_init(&batch, request, sizeof request);
        CHECK(add_message(&batch, types[i], NLM_F_REQUEST | NLM_F_ACK) == 0);
        CHECK(refused_with(&error, netstrat_execute(&sock, &batch, &result, &error), -ENODEV,
                           types[i]));
        CHECK(!strcmp(error.text, "fake words"));
        if (types[i] % 4 != 2) /* only a GET is a query or a dump */
            continue;
        CHECK(refused_with(&error, netstrat_query(&sock, &batch, 1, &answer, &error), -ENODEV,
                           types[i]));
        CHECK(!strcmp(error.text, "fake words"));
        netstrat_batch_init(&batch, request, sizeof request);
        CHECK(add_message(&batch, types[i], NLM_F_REQUEST | NLM_F_DUMP) == 0);
        CHECK(refused_with(&error, netstrat_dump(&sock, &batch, add_nothing, NULL, &error), -ENODEV,
                           types[i]));
        CHECK(!strcmp(error.text, "fake words"));
    }
}

/* ---- permission ---- */

/* EPERM, and then what the link is like. */
static void answer_eperm(void)
{
    if (fake.type == RTM_NEWLINK)
        say_ack(KERNEL, fake.sequence, -EPERM);
    else if (step == 0)
        say_link(KERNEL, fake.sequence, OWN_PORT, 1, "lo");
    else if (step == 3)
        say_cut_link(fake.sequence, OWN_PORT, 1, "lo");
    else
        say_ack(KERNEL, fake.sequence, step == 1 ? -ENOMEM : -ENODEV);
}

static void test_a_link_that_is_so_already_needs_no_permission(void)
{
    prepare(answer_eperm);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.sends == 2);
    CHECK(refused_with(&error, netstrat_link_set_down(&sock, "lo", &error), -EPERM, RTM_NEWLINK));
    step = 1;
    CHECK(refused_with(&error, netstrat_link_set_up(&sock, "lo", &error), -EPERM, RTM_NEWLINK));
    CHECK(!strcmp(error.text, "fake words"));
    step = 2; /* there is none to have a right over */
    CHECK(refused_with(&error, netstrat_link_set_up(&sock, "lo", &error), -ENODEV, RTM_GETLINK));
    step = 3; /* the answer is cut off: its beginning has the flags */
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    CHECK(netstrat_link_is_up(&sock, "lo", &error) == 1);
}

static void test_a_send_that_is_refused_is_not_a_verdict_on_the_link(void)
{
    prepare(answer_eperm);
    fake.send_codes[0] = EPERM;
    CHECK(failed_with(&error, netstrat_link_set_up(&sock, "lo", &error), -EPERM, NETSTRAT_OP_SEND));
    CHECK(fake.sends == 1);
}

/* ---- batches ---- */

static unsigned char request[65536];
static struct netstrat_batch batch;
static int results[2048];

/* A batch of `count` messages for links. */
static void make_batch(uint32_t count)
{
    netstrat_batch_init(&batch, request, sizeof request);
    for (uint32_t i = 0; i < count; i++)
        CHECK(netstrat_batch_set_link_flags(&batch, "a", IFF_UP, IFF_UP) == 0);
    for (uint32_t i = 0; i < sizeof results / sizeof *results; i++)
        results[i] = 9;
}

static int execute(void)
{
    return netstrat_execute(&sock, &batch, results, &error);
}

static void answer_second_first(void)
{
    say_ack(KERNEL, fake.sequence + 1, -ENODEV);
    say_ack(KERNEL, fake.sequence + 1, 0); /* said twice: the first word holds */
    say_ack(KERNEL, fake.sequence, step ? -EBUSY : 0);
    if (step < 2)
        say_ack(KERNEL, fake.sequence + 2, 0);
}

static void test_each_message_has_its_result_whatever_the_order_of_the_acks(void)
{
    make_batch(3);
    prepare(answer_second_first);
    CHECK(refused_with(&error, execute(), -ENODEV, RTM_NEWLINK) && error.item == 1);
    CHECK(results[0] == 0 && results[1] == -ENODEV && results[2] == 0 && results[3] == 9);
    step = 1; /* the first to fail is the first of the batch, not the first that was reported */
    CHECK(refused_with(&error, execute(), -EBUSY, RTM_NEWLINK) && error.item == 0);
    CHECK(results[0] == -EBUSY && results[1] == -ENODEV && results[2] == 0);
    CHECK(netstrat_execute(&sock, &batch, results, NULL) == -EBUSY);
}

static void test_an_ack_that_never_comes_leaves_its_message_pending(void)
{
    make_batch(3);
    prepare(answer_second_first);
    step = 2;
    CHECK(failed_with(&error, execute(), -ETIMEDOUT, NETSTRAT_OP_RECVFROM));
    CHECK(results[0] == -EBUSY && results[1] == -ENODEV && results[2] == NETSTRAT_PENDING);
    CHECK(error.text_length == 0); /* the kernel has said nothing of it */
    CHECK(netstrat_execute(&sock, &batch, results, NULL) == -ETIMEDOUT);
}

static void test_a_send_that_fails_leaves_all_messages_pending(void)
{
    make_batch(3);
    prepare(answer_second_first);
    fake.send_codes[0] = ENOMEM;
    CHECK(failed_with(&error, execute(), -ENOMEM, NETSTRAT_OP_SEND));
    CHECK(results[0] == NETSTRAT_PENDING && results[2] == NETSTRAT_PENDING);
    fake.send_short = 1;
    CHECK(failed_with(&error, execute(), -EIO, NETSTRAT_OP_SEND));
    fake.send_codes[0] = fake.send_codes[1] = EINTR;
    CHECK(netstrat_execute(&sock, &batch, results, NULL) == -ENODEV && results[2] == 0);
}

static void test_a_batch_of_nothing_is_a_success(void)
{
    make_batch(0);
    prepare(NULL);
    CHECK(execute() == 0 && fake.sends == 0 && results[0] == 9);
}

static void test_a_malformed_batch_is_refused_whole(void)
{
    static const uint16_t flags[] = {0, NLM_F_REQUEST, NLM_F_ACK};
    static const uint32_t lengths[] = {0, 15, 31, 33, 76, UINT32_MAX};
    size_t middle, i;

    prepare(answer_ok);
    for (i = 0; i < 3; i++) {
        make_batch(1);
        CHECK(add_message(&batch, RTM_NEWLINK, flags[i]) == 0);
        CHECK(netstrat_batch_set_link_flags(&batch, "b", IFF_UP, IFF_UP) == 0);
        CHECK(failed_with(&error, execute(), -EINVAL, NETSTRAT_OP_BATCH) && error.item == 1);
    }
    for (i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        make_batch(2);
        middle = batch.used;
        CHECK(add_message(&batch, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK) == 0);
        CHECK(netstrat_batch_set_link_flags(&batch, "b", IFF_UP, IFF_UP) == 0);
        memcpy(request + middle, &lengths[i], sizeof lengths[i]);
        CHECK(failed_with(&error, execute(), -EINVAL, NETSTRAT_OP_BATCH) && error.item == 2);
    }
    make_batch(0); /* a dump is not acknowledged */
    CHECK(add_message(&batch, RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP) == 0);
    CHECK(failed_with(&error, execute(), -EINVAL, NETSTRAT_OP_BATCH) && error.item == 0);
    CHECK(netstrat_execute(&sock, &batch, results, NULL) == -EINVAL);
    make_batch(2); /* written by hand, and counted wrongly */
    batch.count = 3;
    CHECK(failed_with(&error, execute(), -EINVAL, NETSTRAT_OP_BATCH) && error.item == 2);
    CHECK(results[0] == 9 && fake.sends == 0 && sock.sequence == 1000);
}

/* What the kernel had no room for is lost; what is queued comes behind ENOBUFS. */
static void answer_with_losses(void)
{
    say_ack(KERNEL, fake.sequence, 0);
    say_errno(ENOBUFS);
    say_ack(KERNEL, fake.sequence + 1, step == 1 ? -EBUSY : 0);
    if (step == 2) {
        say_errno(ENOBUFS);
        say_ack(KERNEL, fake.sequence + 2, 0);
    }
    if (step == 2 && fake.messages == 4)
        say_ack(KERNEL, fake.sequence + 3, 0);
}

static void test_acks_behind_enobufs_are_read(void)
{
    make_batch(4);
    prepare(answer_with_losses);
    CHECK(failed_with(&error, execute(), -ENOBUFS, NETSTRAT_OP_RECVFROM) && fake.sends == 1);
    CHECK(results[0] == 0 && results[1] == 0);
    CHECK(results[2] == NETSTRAT_PENDING && results[3] == NETSTRAT_PENDING);
    CHECK(fake.polls == 0 && error.text_length == 0);
    step = 1; /* a failure that is known says more than that acks were lost */
    CHECK(refused_with(&error, execute(), -EBUSY, RTM_NEWLINK) && error.item == 1);
    CHECK(results[1] == -EBUSY && results[2] == NETSTRAT_PENDING);
    step = 2; /* all acks are there: whatever was lost, it was none of them */
    CHECK(execute() == 0 && results[3] == 0);
    CHECK(netstrat_execute(&sock, &batch, results, NULL) == 0);
}

/* ---- batches in parts ---- */

static unsigned failing_part; /* from 1 */

static void answer_parts(void)
{
    say_acks(3, ++step == failing_part ? -EEXIST : 0);
}

static void test_a_batch_is_sent_in_parts_that_the_queue_has_room_for(void)
{
    make_batch(1000);
    prepare(answer_parts);
    fake.receive_buffer = 100000;
    failing_part = 0;
    CHECK(execute() == 0);
    CHECK(fake.sends >= 1000 * 800 / 100000); /* an ack takes 800 bytes at least */
    CHECK(results[0] == 0 && results[999] == 0 && results[1000] == 9);
    CHECK(sock.sequence == 2000); /* each was sent once */

    step = 0; /* a send that is too large for the send buffer would be refused */
    fake.receive_buffer = 10000000;
    fake.send_buffer = 5000;
    fake.largest = 0;
    CHECK(execute() == 0 && fake.largest <= 5000);
}

static void test_a_socket_leaves_its_groups_while_it_makes_changes(void)
{
    make_batch(1000);
    prepare(answer_parts);
    failing_part = 0;
    watch_links(KNOWN);
    notify(RTM_NEWLINK, 7, "before"); /* read before the first message is sent */
    CHECK(execute() == 0 && results[0] == 0 && results[999] == 0);
    CHECK(fake.is_member && fake.options == 3); /* and joins them again */
    CHECK(watch.count > ROOM);                  /* having missed what came meanwhile */
    watch.count = 0;
    sock.notified = NULL;
    CHECK(execute() == 0 && fake.is_member && watch.count == 0);
    fake.answer = answer_refusal;
    CHECK(refused_with(&error, netstrat_link_set_up(&sock, "lo", &error), -ENODEV, RTM_NEWLINK));
    CHECK(fake.is_member);
    fake.answer = NULL;
    CHECK(failed_with(&error, execute(), -ETIMEDOUT, NETSTRAT_OP_RECVFROM) && fake.is_member);
    say_errno(EBADF); /* the queue can't be emptied: nothing is sent */
    fake.sends = 0;
    CHECK(failed_with(&error, execute(), -EBADF, NETSTRAT_OP_RECVFROM) && fake.is_member);
    fake.option_code = NETLINK_DROP_MEMBERSHIP;
    CHECK(failed_with(&error, execute(), -ENOMEM, NETSTRAT_OP_SETSOCKOPT) && fake.sends == 0);
    fake.option_code = NETLINK_ADD_MEMBERSHIP; /* the changes are made, and the group is lost */
    fake.answer = answer_parts;
    CHECK(failed_with(&error, execute(), -ENOMEM, NETSTRAT_OP_SETSOCKOPT) && results[999] == 0);
}

static void test_a_failure_in_a_later_part_has_its_number_in_the_batch(void)
{
    uint32_t part;

    make_batch(1000);
    prepare(answer_parts);
    failing_part = 0;
    CHECK(execute() == 0);
    part = 1000 / fake.sends; /* at most what one part holds */
    step = 0;
    failing_part = 3;
    CHECK(refused_with(&error, execute(), -EEXIST, RTM_NEWLINK));
    CHECK(error.item >= 2 * part + 3 && results[error.item] == -EEXIST);
    for (uint32_t i = 0; i < 1000; i++)
        CHECK(results[i] == (i == error.item ? -EEXIST : 0));
}

static void answer_until_part(void)
{
    if (++step < failing_part)
        say_acks(3, -EEXIST);
    else if (step == failing_part) {
        say_acks(fake.messages, 0);
        fake.queue[(fake.first + fake.count - 1) % QUEUE].code = ENOBUFS; /* in place of the last */
    } else
        say_acks(3, -EPERM);
}

static void test_the_first_failure_of_all_parts_is_reported(void)
{
    uint32_t pending = 0;

    make_batch(1000);
    prepare(answer_until_part);
    failing_part = 2; /* in which acks are lost as well */
    CHECK(refused_with(&error, execute(), -EEXIST, RTM_NEWLINK) && error.item == 3);
    CHECK(results[3] == -EEXIST && results[999] == 0);
    for (uint32_t i = 0; i < 1000; i++)
        pending += results[i] == NETSTRAT_PENDING;
    CHECK(pending > 0 && pending <= 64);

    prepare(answer_until_part);
    failing_part = 1;
    CHECK(refused_with(&error, execute(), -EPERM, RTM_NEWLINK) && error.item > 3);
}

static void answer_first_part_only(void)
{
    if (step++ == 0)
        say_acks(3, -EEXIST);
}

static void test_what_breaks_the_exchange_is_reported_before_what_failed(void)
{
    make_batch(1000);
    prepare(answer_first_part_only);
    CHECK(failed_with(&error, execute(), -ETIMEDOUT, NETSTRAT_OP_RECVFROM));
    CHECK(error.text_length == 0 && error.request == 0);
    CHECK(results[0] == 0 && results[3] == -EEXIST && results[999] == NETSTRAT_PENDING);
    CHECK(fake.sends == 2); /* and the rest is not sent */
}

static void test_the_sizes_of_the_buffers_may_be_unknown(void)
{
    make_batch(1000);
    prepare(answer_parts);
    failing_part = 0;
    fake.option_code = SO_RCVBUF;
    CHECK(failed_with(&error, execute(), -ENOBUFS, NETSTRAT_OP_GETSOCKOPT) && fake.sends == 0);
    CHECK(results[0] == NETSTRAT_PENDING && results[999] == NETSTRAT_PENDING);
    fake.option_code = SO_SNDBUF;
    CHECK(failed_with(&error, execute(), -ENOBUFS, NETSTRAT_OP_GETSOCKOPT) && fake.sends == 0);
    make_batch(20); /* which fits any queue: nobody asks */
    CHECK(execute() == 0 && fake.sends == 1);
    make_batch(1000); /* sizes that make no sense: one by one */
    fake.option_code = 0;
    fake.receive_buffer = fake.send_buffer = -1;
    fake.sends = 0;
    CHECK(execute() == 0 && fake.sends == 1000);
}

/* ---- questions ---- */

static void answer_oddly(void)
{
    struct datagram *datagram;

    switch (step) {
    case 0:
        say_ack(KERNEL, fake.sequence, 0);
        break; /* a bare ack is not an answer */
    case 1:
        put_stats(&queue(KERNEL)->bytes, 0, fake.sequence, 5);
        break;
    case 2:
        say_link(KERNEL, fake.sequence, OWN_PORT, 5, "five");
        break;
    case 3:
        say_cut_link(fake.sequence, OWN_PORT, 5, "five");
        break;
    case 4:
        put_stats(&queue(KERNEL)->bytes, 0, fake.sequence, 6);
        break;
    default: /* a link without counters */
        datagram = queue(KERNEL);
        begin(&datagram->bytes, RTM_NEWLINK, 0, fake.sequence, OWN_PORT);
        put_info(&datagram->bytes, 5, 0);
        attribute(&datagram->bytes, IFLA_IFNAME, "five", 5);
        finish(&datagram->bytes, 0);
    }
}

static int get_by_name(struct netstrat_link_name *found)
{
    return netstrat_counters_get_by_name(&sock, NULL, "x", found, &counters, &error);
}

static void test_an_answer_of_the_wrong_kind_is_an_error_and_nothing_is_written(void)
{
    struct netstrat_link_name found, found_before;
    struct netstrat_counters counters_before;
    struct netstrat_link link_before;

    prepare(answer_oddly);
    memset(&counters, 0xa5, sizeof counters);
    memset(&link_, 0xa5, sizeof link_);
    memset(&found, 0xa5, sizeof found);
    counters_before = counters;
    link_before = link_;
    found_before = found;
    CHECK(failed_with(&error, netstrat_link_get(&sock, "x", &link_, &counters, &error), -EBADMSG,
                      NETSTRAT_OP_RECVFROM));
    CHECK(failed_with(&error, get_by_name(&found), -EBADMSG, NETSTRAT_OP_RECVFROM));
    step = 1;
    CHECK(refused_with(&error, netstrat_link_get(&sock, "x", &link_, &counters, &error), -EBADMSG,
                       RTM_GETLINK));
    CHECK(refused_with(&error, get_by_name(&found), -EBADMSG, RTM_GETLINK));
    CHECK(refused_with(&error, netstrat_link_is_up(&sock, "x", &error), -EBADMSG, RTM_GETLINK));
    CHECK(refused_with(&error, netstrat_counters_get(&sock, NULL, 6, &counters, &error), -EBADMSG,
                       GETSTATS));
    step = 4; /* counters of another link than was asked for */
    CHECK(refused_with(&error, netstrat_counters_get(&sock, NULL, 5, &counters, &error), -EBADMSG,
                       GETSTATS));
    step = 5;
    CHECK(refused_with(&error, netstrat_link_get(&sock, "x", &link_, &counters, &error), -ENODATA,
                       RTM_GETLINK));
    CHECK(refused_with(&error, get_by_name(&found), -ENODATA, RTM_GETLINK));
    CHECK(memcmp(&counters, &counters_before, sizeof counters) == 0);
    CHECK(memcmp(&link_, &link_before, sizeof link_) == 0);
    CHECK(memcmp(&found, &found_before, sizeof found) == 0);
}

static void test_an_answer_is_decoded(void)
{
    struct netstrat_link_name found;

    prepare(answer_oddly);
    step = 4;
    CHECK(netstrat_counters_get(&sock, NULL, 6, &counters, &error) == 0);
    CHECK(counters.rx_packets == 6001);
    step = 2;
    CHECK(netstrat_link_get(&sock, "x", &link_, &counters, &error) == 0);
    CHECK(link_.index == 5 && !strcmp(link_.name, "five") && counters.rx_packets == 501);
    CHECK(netstrat_link_is_up(&sock, "x", &error) == 1);
    memset(&counters, 0, sizeof counters);
    CHECK(get_by_name(&found) == 0 && found.index == 5 && !strcmp(found.name, "five"));
    CHECK(counters.rx_packets == 501);
    step = 5; /* without counters, where none are wanted */
    CHECK(netstrat_link_get(&sock, "x", &link_, NULL, &error) == 0);
}

static void test_an_answer_that_was_cut_off_says_what_room_it_needs(void)
{
    struct netstrat_message answer, before;

    prepare(answer_oddly);
    step = 3;
    memset(&answer, 0xa5, sizeof answer);
    before = answer;
    make_batch(0);
    CHECK(netstrat_batch_get_link(&batch, "x") == 0);
    CHECK(failed_with(&error, netstrat_query(&sock, &batch, 1, &answer, &error), -EMSGSIZE,
                      NETSTRAT_OP_RECVFROM));
    CHECK(sock.required_size > 65536 && sock.required_size < 66000);
    CHECK(memcmp(&answer, &before, sizeof answer) == 0);
    CHECK(failed_with(&error, netstrat_link_get(&sock, "x", &link_, NULL, &error), -EMSGSIZE,
                      NETSTRAT_OP_RECVFROM));
    /* What is there of it, where that is enough. */
    CHECK(netstrat_query(&sock, &batch, 0, &answer, &error) == 0);
    CHECK(answer.type == RTM_NEWLINK &&
          answer.payload.missing == sock.required_size - sizeof buffer);
}

static void test_netstrat_query_writes_its_output_on_success_only(void)
{
    struct netstrat_message answer, before;

    memset(&answer, 0xa5, sizeof answer);
    before = answer;
    make_batch(0);
    CHECK(netstrat_batch_get_link(&batch, "x") == 0);
    prepare(answer_refusal);
    CHECK(netstrat_query(&sock, &batch, 1, &answer, &error) == -ENODEV);
    fake.answer = answer_ok; /* a bare ack */
    CHECK(netstrat_query(&sock, &batch, 1, &answer, &error) == -EBADMSG);
    fake.answer = NULL;
    CHECK(netstrat_query(&sock, &batch, 1, &answer, &error) == -ETIMEDOUT);
    fake.send_codes[0] = EBADF;
    CHECK(netstrat_query(&sock, &batch, 1, &answer, &error) == -EBADF);
    CHECK(memcmp(&answer, &before, sizeof answer) == 0);
}

static void test_a_question_that_is_not_one_whole_request_is_refused(void)
{
    struct netstrat_message answer;
    uint32_t length;
    size_t used = 77;

    prepare(answer_oddly);
    for (int i = 0; i < 6; i++) {
        make_batch(i == 0 ? 0 : i == 1 ? 2 : 1);
        length = i == 2 ? 15 : i == 3 ? (uint32_t)batch.used + 4 : (uint32_t)batch.used;
        memcpy(request, &length, sizeof length);
        if (i == 4)
            batch.used = 8;
        if (i == 5) /* without NLM_F_REQUEST there is no answer to wait for */
            memset(request + 6, 0, 2);
        CHECK(failed_with(&error, netstrat_query(&sock, &batch, 1, &answer, &error), -EINVAL,
                          NETSTRAT_OP_BATCH));
        CHECK(failed_with(&error, netstrat_dump(&sock, &batch, add_nothing, NULL, &error), -EINVAL,
                          NETSTRAT_OP_BATCH));
        CHECK(netstrat_dump_copy(&sock, &batch, NULL, 0, &used, NULL) == -EINVAL && used == 77);
    }
    CHECK(fake.sends == 0);
}

/* ---- without waiting ---- */

static void test_a_request_is_sent_and_its_reply_left_to_the_caller(void)
{
    struct netstrat_cursor datagram;
    struct netstrat_message answer;

    prepare(answer_ok);
    make_batch(0);
    CHECK(netstrat_batch_get_link(&batch, "x") == 0);
    CHECK(netstrat_send(&sock, &batch, &error) == 0);
    CHECK(fake.sends == 1 && fake.receives == 0 && fake.polls == 0);
    CHECK(fake.type == RTM_GETLINK && fake.sequence == sock.sequence && sock.sequence == 1001);
    CHECK(netstrat_socket_receive(&sock, &datagram, &error) == 0);
    CHECK(datagram.data == buffer && datagram.at == 0 && datagram.missing == 0);
    CHECK(netstrat_message_next(&datagram, &answer) == 1 && answer.sequence == sock.sequence);
    CHECK(answer.type == NLMSG_ERROR && fake.polls == 0);

    make_batch(2); /* one request, or none is sent */
    CHECK(failed_with(&error, netstrat_send(&sock, &batch, &error), -EINVAL, NETSTRAT_OP_BATCH));
    make_batch(1);
    fake.send_codes[0] = ENOBUFS;
    CHECK(failed_with(&error, netstrat_send(&sock, &batch, &error), -ENOBUFS, NETSTRAT_OP_SEND));
    fake.send_codes[0] = EINTR; /* it is sent again */
    CHECK(netstrat_send(&sock, &batch, NULL) == 0);
}

static void test_one_datagram_is_taken_at_a_time_and_none_is_waited_for(void)
{
    struct netstrat_cursor datagram, before;

    prepare(NULL);
    memset(&datagram, 0xa5, sizeof datagram);
    before = datagram;
    CHECK(failed_with(&error, netstrat_socket_receive(&sock, &datagram, &error), -EAGAIN,
                      NETSTRAT_OP_RECVFROM));
    say_errno(ENOBUFS);
    CHECK(failed_with(&error, netstrat_socket_receive(&sock, &datagram, &error), -ENOBUFS,
                      NETSTRAT_OP_RECVFROM));
    CHECK(memcmp(&datagram, &before, sizeof datagram) == 0 && fake.polls == 0);

    say_ack(STRANGER, 1, 0);
    say_errno(EINTR);
    notify(RTM_NEWLINK, 5, "five");
    notify(RTM_DELLINK, 6, "six");
    CHECK(netstrat_socket_receive(&sock, &datagram, &error) == 0);
    CHECK(datagram.end == fake.queue[3].bytes.length && datagram.missing == 0);
    CHECK(memcmp(datagram.data, fake.queue[3].bytes.data, datagram.end) == 0 && fake.count == 1);

    sock.buffer_size = 20; /* too small for the next */
    CHECK(netstrat_socket_receive(&sock, &datagram, NULL) == 0);
    CHECK(datagram.end == 20 && datagram.missing == fake.queue[4].bytes.length - 20);
    sock.timeout_ms = 0;
    sock.datagram_budget = 0;
    say_ack(STRANGER, 1, 0);
    notify(RTM_NEWLINK, 5, "five");
    CHECK(netstrat_socket_receive(&sock, &datagram, NULL) == 0);
    CHECK(netstrat_socket_receive(&sock, &datagram, NULL) == -EAGAIN);
}

static void test_the_receive_queue_is_as_large_as_it_may_be(void)
{
    prepare(NULL);
    CHECK(netstrat_socket_set_receive_buffer(&sock, 1000, &error) == 0);
    CHECK(fake.receive_buffer == 500); /* which the kernel doubles */
    fake.set_codes[0] = 1;             /* without CAP_NET_ADMIN the other option is left */
    CHECK(netstrat_socket_set_receive_buffer(&sock, 2000, &error) == 0);
    CHECK(fake.receive_buffer == 1000);
    fake.set_codes[0] = fake.set_codes[1] = 1;
    CHECK(failed_with(&error, netstrat_socket_set_receive_buffer(&sock, 3000, &error), -EPERM,
                      NETSTRAT_OP_SETSOCKOPT));
}

/* ---- notifications ---- */

static void answer_beside_notifications(void)
{
    struct bytes *bytes = &queue(KERNEL)->bytes;

    /* One with the request's own number, caused by another process; the answer stands behind it in
     * the same datagram. */
    put_link(bytes, RTM_NEWLINK, 0, fake.sequence, OWN_PORT + 1, 8, "other");
    put_link(bytes, RTM_DELLINK, 0, 0, 0, 9, "gone");
    put_link(bytes, RTM_NEWLINK, 0, fake.sequence, OWN_PORT, 5, "five");
}

static void test_notifications_are_told_from_the_answer_by_the_port(void)
{
    prepare(answer_beside_notifications);
    watch_links(0);
    CHECK(netstrat_link_get(&sock, "x", &link_, NULL, &error) == 0 && link_.index == 5);
    CHECK(watch.count == 2);
    CHECK(changes[0].index == 8 && !strcmp(changes[0].name, "other"));
    CHECK(changes[1].index == 9 && changes[1].name[0] == '\0');

    /* Without watching, the port is not known; the number decides. */
    prepare(answer_beside_notifications);
    CHECK(netstrat_link_get(&sock, "x", &link_, NULL, &error) == 0 && link_.index == 8);
}

static void answer_beside_a_lookalike(void)
{
    say_link(KERNEL, fake.sequence, OWN_PORT, 8, "other");
    fake.queue[(fake.first + fake.count - 1) % QUEUE].groups = 1;
    say_link(KERNEL, fake.sequence, OWN_PORT, 5, "five");
}

static void test_what_a_group_is_sent_is_not_the_answer(void)
{
    prepare(answer_beside_a_lookalike);
    watch_links(0);
    CHECK(netstrat_link_get(&sock, "x", &link_, NULL, &error) == 0 && link_.index == 5);
    CHECK(watch.count == 1 && changes[0].index == 8);
    CHECK(sock.datagram_groups == 0);
}

static void answer_with_echo(void)
{
    say_link(KERNEL, fake.sequence, OWN_PORT, 5, "five"); /* the change that was asked for */
    if (step == 0) /* as the kernel sends it: in the name of a group */
        fake.queue[(fake.first + fake.count - 1) % QUEUE].groups = 1;
    if (step == 2)
        say_cut_link(fake.sequence, OWN_PORT, 5, "five");
    answer_ok();
}

static unsigned notified, lost;

static void count_notification(const struct netstrat_message *message, void *context)
{
    (void)context;
    notified += message != NULL;
    lost += message == NULL;
}

/* A socket in no group, whose notifications are counted. */
static void prepare_counting(void (*answer)(void))
{
    prepare(answer);
    sock.notified = count_notification;
    notified = lost = 0;
}

static void test_the_echo_of_a_change_is_a_notification_and_not_its_ack(void)
{
    prepare_counting(answer_with_echo);
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0 && notified == 1 && lost == 0);
    step = 1; /* an answer that is sent to this socket alone, before the ack */
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0 && notified == 2 && lost == 0);
    step = 2; /* one that was cut off is lost */
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0 && notified == 3 && lost == 1);
}

static int hear(void)
{
    return netstrat_socket_process_pending(&sock, &error);
}

static void test_lost_notifications_are_owned_up_to(void)
{
    prepare(answer_ok);
    watch_links(KNOWN);
    say_errno(ENOBUFS);
    CHECK(hear() == 0 && watch.count > ROOM);
    watch.count = 0;
    say_cut_link(0, 0, 5, "five");
    CHECK(hear() == 0 && watch.count > ROOM);
    watch.count = 0;
    queue(KERNEL)->cut = sizeof buffer + 1; /* of which nothing is there */
    CHECK(hear() == 0 && watch.count > ROOM);
    watch.count = 0;
    notify(RTM_NEWLINK, 0, "noindex"); /* one that can't be read */
    CHECK(hear() == 0 && watch.count > ROOM);
    watch.count = 0;
    put(&queue(KERNEL)->bytes, "abc", 3); /* one that is not even a message */
    CHECK(hear() == 0 && watch.count > ROOM);
    watch.count = 0;
    for (int32_t i = 0; i < ROOM + 1; i++) /* more than there is room for */
        notify(RTM_NEWLINK, 20 + i, "many");
    CHECK(hear() == 0 && watch.count == ROOM + 1);
    notify(RTM_NEWLINK, 20, "more");
    CHECK(hear() == 0 && watch.count == ROOM + 1);
    watch.count = 0;
    say_ack(KERNEL, 0, 0); /* nothing about a link */
    CHECK(hear() == 0 && watch.count == 0);
    say_errno(EBADF);
    CHECK(failed_with(&error, hear(), -EBADF, NETSTRAT_OP_RECVFROM));
}

static void answer_behind_cut(void)
{
    say_cut_link(0, 0, 7, "long");
    put_stats(&queue(KERNEL)->bytes, 0, fake.sequence, 5);
}

/* A cut-off notification before the answer does not make the call fail. */
static void test_a_notification_that_was_cut_off_is_a_lost_change_and_not_a_failure(void)
{
    prepare(answer_behind_cut);
    watch_links(KNOWN);
    CHECK(netstrat_counters_get(&sock, &watch, 5, &counters, &error) == ROOM + 1);
    CHECK(counters.rx_packets == 5001);
    prepare(answer_behind_cut); /* nor where nobody watches */
    CHECK(netstrat_counters_get(&sock, NULL, 5, &counters, &error) == 0);
}

static void answer_large_refusals(void)
{
    for (uint32_t i = 0; i < fake.messages; i++) {
        struct datagram *datagram = queue(KERNEL);
        struct bytes *bytes = &datagram->bytes;
        uint32_t whole;

        put_ack(bytes, 0, fake.sequence + i, OWN_PORT, -EEXIST, fake.request, 36, NULL);
        datagram->cut = 20000;
        whole = (uint32_t)(bytes->length + datagram->cut);
        memcpy(bytes->data, &whole, sizeof whole);
        memcpy(bytes->data + 20, &whole, sizeof whole); /* and so long was the request */
    }
}

/* The kernel repeats the request in a refusal, after the verdict. */
static void test_a_refusal_that_was_cut_off_is_still_a_refusal(void)
{
    make_batch(2);
    prepare_counting(answer_large_refusals);
    CHECK(refused_with(&error, execute(), -EEXIST, RTM_NEWLINK) && error.item == 0);
    CHECK(results[0] == -EEXIST && results[1] == -EEXIST);
    CHECK(lost == 0);
}

/* ---- what is known of the links ---- */

static void test_a_notification_that_says_nothing_new_takes_no_room(void)
{
    prepare(answer_ok);
    watch_links(KNOWN);
    for (int i = 0; i < 30; i++)
        notify(RTM_NEWLINK, 5, "five");
    CHECK(hear() == 0 && watch.count == 1);
    notify(RTM_NEWLINK, 5, "six"); /* a rename is news, and so is the way back */
    notify(RTM_NEWLINK, 5, "six");
    notify(RTM_NEWLINK, 5, "five");
    CHECK(hear() == 0 && watch.count == 3);
    watch.count = 0;
    notify(RTM_DELLINK, 5, "five"); /* that it is gone is, once */
    notify(RTM_DELLINK, 5, "five");
    notify(RTM_NEWLINK, 5, "five"); /* and that its index has another */
    CHECK(hear() == 0 && watch.count == 2);
    CHECK(changes[0].name[0] == '\0' && !strcmp(changes[1].name, "five"));
}

/* Two links that share an entry of the cache: each is reported too often, and none too seldom. */
static void test_what_was_pushed_out_of_the_cache_is_reported_again(void)
{
    prepare(answer_ok);
    watch_links(KNOWN);
    notify(RTM_NEWLINK, 5, "a");
    notify(RTM_NEWLINK, 5 + KNOWN, "b");
    notify(RTM_NEWLINK, 5, "a");
    CHECK(hear() == 0 && watch.count == 3);
    CHECK(changes[2].index == 5 && !strcmp(changes[2].name, "a"));
    watch.count = 0;
    notify(RTM_NEWLINK, 5 + KNOWN, "a"); /* the name of the one in its place */
    notify(RTM_NEWLINK, 5, "b");
    CHECK(hear() == 0 && watch.count == 2);
    CHECK(changes[0].index == 5 + KNOWN && !strcmp(changes[0].name, "a"));
    CHECK(changes[1].index == 5 && !strcmp(changes[1].name, "b"));
}

static void test_without_a_cache_every_notification_is_a_change(void)
{
    prepare(answer_ok);
    watch_links(0);
    notify(RTM_NEWLINK, 5, "a");
    notify(RTM_NEWLINK, 5, "a");
    CHECK(hear() == 0 && watch.count == 2);
}

/* After a loss nothing that was known may silence a notification. */
static void test_a_loss_clears_the_cache(void)
{
    prepare(answer_ok);
    watch_links(KNOWN);
    notify(RTM_NEWLINK, 5, "a");
    say_errno(ENOBUFS);
    CHECK(hear() == 0 && watch.count > ROOM);
    watch.count = 0;
    notify(RTM_NEWLINK, 5, "a");
    CHECK(hear() == 0 && watch.count == 1);
    for (int32_t i = 0; i < ROOM; i++) /* one of these finds no room */
        notify(RTM_NEWLINK, 10 + i, "b");
    CHECK(hear() == 0 && watch.count > ROOM);
    watch.count = 0;
    notify(RTM_NEWLINK, 5, "a");
    notify(RTM_NEWLINK, 11, "b");
    CHECK(hear() == 0 && watch.count == 2);
    watch_links(KNOWN); /* and so does a new start */
    notify(RTM_NEWLINK, 5, "a");
    CHECK(hear() == 0 && watch.count == 1);
}

static void answer_five(void)
{
    if (fake.type == RTM_NEWLINK) {
        answer_ok();
    } else {
        say_link(KERNEL, fake.sequence, OWN_PORT, 5, "five");
        if (step == 1)
            put_done(&queue(KERNEL)->bytes, 0, fake.sequence, 0);
    }
}

static void test_names_that_were_looked_up_are_known(void)
{
    struct netstrat_link_name found;

    prepare(answer_five);
    watch_links(KNOWN);
    CHECK(netstrat_counters_get_by_name(&sock, &watch, "x", &found, &counters, &error) == 0);
    notify(RTM_NEWLINK, 5, "five");
    CHECK(hear() == 0 && watch.count == 0);
    watch_links(KNOWN);
    step = 1;
    CHECK(netstrat_link_names_dump(&sock, &watch, names, ROWS, &error) == 1);
    notify(RTM_NEWLINK, 5, "five");
    CHECK(hear() == 0 && watch.count == 0);
    notify(RTM_NEWLINK, 5, "renamed");
    CHECK(hear() == 0 && watch.count == 1);
}

static void answer_with_changes(void)
{
    if (step > 0)
        notify(RTM_NEWLINK, 8, "new");
    if (step > 1)
        notify(RTM_DELLINK, 8, "new");
    put_stats(&queue(KERNEL)->bytes, 0, fake.sequence, 5);
    notify(RTM_NEWLINK, 9, "too late"); /* after the reply */
}

static void test_counters_come_with_the_number_of_changes_before_them(void)
{
    prepare(answer_with_changes);
    watch_links(KNOWN);
    CHECK(netstrat_counters_get(&sock, &watch, 5, &counters, &error) == 0);
    step = 1;
    CHECK(netstrat_counters_get(&sock, &watch, 5, &counters, &error) == 2);
    step = 2;
    CHECK(netstrat_counters_get(&sock, &watch, 5, &counters, &error) == 3);
    CHECK(counters.rx_packets == 5001);
}

/* ---- dumps ---- */

static uint16_t flags_of_dump;
static int32_t code_of_dump;
static unsigned good_from; /* the try from which on the dump is a good one */

static void answer_dump(void)
{
    uint16_t flags = step++ < good_from ? flags_of_dump : 0;
    struct bytes *bytes = &queue(KERNEL)->bytes;

    if (fake.type == GETSTATS) {
        put_stats(bytes, NLM_F_MULTI, fake.sequence, 1);
        put_stats(bytes, (uint16_t)(NLM_F_MULTI | flags), fake.sequence, 2);
        bytes = &queue(KERNEL)->bytes;
        put_stats(bytes, NLM_F_MULTI, fake.sequence, 3);
    } else {
        put_link(bytes, RTM_NEWLINK, NLM_F_MULTI, fake.sequence, OWN_PORT, 1, "one");
        put_link(bytes, RTM_NEWLINK, NLM_F_MULTI | flags, fake.sequence, OWN_PORT, 2, "two");
        bytes = &queue(KERNEL)->bytes;
        put_link(bytes, RTM_NEWLINK, NLM_F_MULTI, fake.sequence, OWN_PORT, 3, "three");
    }
    put_done(&queue(KERNEL)->bytes, 0, fake.sequence, code_of_dump);
}

static void prepare_dump(void (*answer)(void), unsigned from)
{
    prepare(answer);
    flags_of_dump = 0x10; /* NLM_F_DUMP_INTR */
    code_of_dump = 0;
    good_from = from;
}

static int dump_names(size_t room)
{
    return netstrat_link_names_dump(&sock, NULL, names, room, &error);
}

static int dump_counters(size_t room)
{
    return netstrat_counters_dump(&sock, indexes, rows, room, &error);
}

static void test_a_dump_fills_rows_and_counts_those_without_room(void)
{
    prepare_dump(answer_dump, 0);
    CHECK(dump_counters(ROWS) == 3 && fake.sends == 1);
    CHECK(indexes[0] == 1 && indexes[2] == 3 && rows[2].rx_packets == 3001);
    CHECK(dump_names(ROWS) == 3 && fake.sends == 2);
    CHECK(names[0].index == 1 && !strcmp(names[2].name, "three"));
    memset(names, 0xa5, sizeof names);
    CHECK(dump_names(2) == 3);
    CHECK(names[1].index == 2 && names[2].index != 3);
    memset(indexes, 0, sizeof indexes);
    CHECK(dump_counters(1) == 3);
    CHECK(indexes[0] == 1 && indexes[1] == 0);
    CHECK(netstrat_link_names_dump(&sock, NULL, NULL, 0, NULL) == 3);
    CHECK(netstrat_counters_dump(&sock, NULL, NULL, 0, NULL) == 3);
}

/* One dump gives both: an index that changes hands between two dumps can't mix them up. */
static void test_a_dump_by_name_takes_both_from_the_same_message(void)
{
    prepare_dump(answer_dump, 0);
    CHECK(netstrat_counters_dump_by_name(&sock, names, rows, ROWS, &error) == 3);
    CHECK(fake.sends == 1 && fake.type == RTM_GETLINK);
    CHECK(names[0].index == 1 && !strcmp(names[0].name, "one") && rows[0].rx_packets == 101);
    CHECK(names[2].index == 3 && !strcmp(names[2].name, "three") && rows[2].rx_packets == 301);
    CHECK(netstrat_counters_dump_by_name(&sock, names, rows, 2, &error) == 3);
    CHECK(netstrat_counters_dump_by_name(&sock, NULL, NULL, 0, NULL) == 3);
}

/* The mark may come with DONE alone. */
static void answer_marked_done(void)
{
    put_stats(&queue(KERNEL)->bytes, NLM_F_MULTI, fake.sequence, 1);
    put_done(&queue(KERNEL)->bytes, step++ < good_from ? 0x10 : 0, fake.sequence, 0);
}

static void test_an_inconsistent_dump_is_repeated_16_times(void)
{
    prepare_dump(answer_dump, 15);
    CHECK(dump_counters(ROWS) == 3 && fake.sends == 16);
    prepare_dump(answer_dump, 16);
    CHECK(refused_with(&error, dump_counters(ROWS), -EAGAIN, GETSTATS));
    CHECK(fake.sends == 16 && error.text_length == 0); /* not the kernel's words */
    prepare_dump(answer_dump, 1000);
    CHECK(refused_with(&error, dump_names(ROWS), -EAGAIN, RTM_GETLINK));
    prepare_dump(answer_marked_done, 2);
    CHECK(dump_counters(ROWS) == 1 && fake.sends == 3);
}

/* Of one link in each try, which is lost in the first ones and never consistent. */
static void answer_restless_dump(void)
{
    if (step++ < good_from) {
        say_errno(ENOBUFS);
        return;
    }
    put_link(&queue(KERNEL)->bytes, RTM_NEWLINK, NLM_F_MULTI | 0x10, fake.sequence, OWN_PORT,
             (int32_t)step, "one");
    put_done(&queue(KERNEL)->bytes, 0, fake.sequence, code_of_dump);
}

static void test_ends_that_never_settle_are_those_of_the_third_whole_dump(void)
{
    struct netstrat_netns_link ends[ROWS];

    prepare_dump(answer_dump, 2);
    CHECK(netstrat_netns_links_dump(&sock, -1, 0, indexes, ends, rows, ROWS, &error) == 3);
    CHECK(fake.sends == 3 && ends[2].index == 3);
    prepare_dump(answer_restless_dump, 0);
    CHECK(netstrat_netns_links_dump(&sock, -1, 0, indexes, ends, rows, ROWS, &error) == 1);
    CHECK(fake.sends == 3 && indexes[0] == 3 && ends[0].index == 3);
    prepare_dump(answer_restless_dump, 5);
    CHECK(netstrat_netns_links_dump(&sock, -1, 0, indexes, ends, rows, ROWS, &error) == 1);
    CHECK(fake.sends == 8 && ends[0].index == 8 && rows[0].rx_packets == 801);
    prepare_dump(answer_restless_dump, 1000);
    CHECK(netstrat_netns_links_dump(&sock, -1, 0, indexes, ends, rows, ROWS, &error) == -EAGAIN);
    prepare_dump(answer_restless_dump, 0);
    code_of_dump = -ENOMEM; /* it was marked, and did not run to its end */
    CHECK(netstrat_netns_links_dump(&sock, -1, 0, indexes, ends, rows, ROWS, &error) == -ENOMEM);
}

static void answer_with_two(void)
{
    say_link(KERNEL, fake.sequence, OWN_PORT, 2, "two");
}

static void test_the_end_of_another_link_or_namespace_is_no_answer(void)
{
    struct netstrat_netns_link end, before;

    memset(&end, 0xa5, sizeof end);
    before = end;
    prepare(answer_with_two); /* in its own namespace, as an old kernel would */
    CHECK(netstrat_netns_link_get(&sock, 7, 0, 2, &end, &counters, &error) == -EBADMSG);
    CHECK(error.step == NETSTRAT_OP_REQUEST && error.request == RTM_GETLINK);
    CHECK(memcmp(&end, &before, sizeof end) == 0);
}

static void answer_lossy_dump(void)
{
    if (step++ < good_from) {
        put_stats(&queue(KERNEL)->bytes, NLM_F_MULTI, fake.sequence, 7);
        say_errno(ENOBUFS);
        put_stats(&queue(KERNEL)->bytes, NLM_F_MULTI, fake.sequence, 8);
    } else {
        answer_dump();
    }
}

static void test_a_dump_whose_replies_were_lost_is_repeated_16_times(void)
{
    prepare_dump(answer_lossy_dump, 3);
    CHECK(dump_counters(ROWS) == 3 && fake.sends == 4);
    CHECK(indexes[0] == 1 && fake.count == 0);
    prepare_dump(answer_lossy_dump, 1000);
    CHECK(dump_counters(ROWS) == -EAGAIN && fake.sends == 16);
}

static void answer_busy(void)
{
    if (step++ < good_from)
        say_ack(KERNEL, fake.sequence, -EBUSY);
    else
        answer_dump();
}

static void test_a_dump_waits_for_one_that_was_given_up(void)
{
    prepare_dump(answer_busy, 2);
    CHECK(dump_counters(ROWS) == 3 && fake.sends == 3);
}

static void test_done_may_carry_a_failure(void)
{
    prepare_dump(answer_dump, 0);
    code_of_dump = -ENOMEM;
    CHECK(refused_with(&error, dump_counters(ROWS), -ENOMEM, GETSTATS));
    CHECK(!strcmp(error.text, "fake words"));
    CHECK(refused_with(&error, dump_names(ROWS), -ENOMEM, RTM_GETLINK));
}

static void answer_odd_dump(void)
{
    struct bytes *bytes = &queue(KERNEL)->bytes;

    if (step == 0)
        begin(bytes, RTM_NEWADDR, NLM_F_MULTI, fake.sequence, OWN_PORT), finish(bytes, 0);
    else if (step == 1)
        put_link(bytes, RTM_NEWLINK, NLM_F_MULTI, fake.sequence, OWN_PORT, 0, "noindex");
    else if (step == 2)
        put_done(bytes, 0, fake.sequence, 1);
    else if (step == 3)
        put_ack(bytes, 0, fake.sequence, OWN_PORT, -EACCES, fake.request, 16, NULL);
    else
        put_stats(bytes, NLM_F_MULTI, fake.sequence, 1);
    put_done(&queue(KERNEL)->bytes, 0, fake.sequence, 0);
}

/* What is not a link, nor a verdict; and the rest of the dump is not left in the queue. */
static void test_a_dump_of_something_else_is_an_error(void)
{
    static const int codes[] = {-EBADMSG, -EBADMSG, -EBADMSG, -EACCES, -EBADMSG};

    for (unsigned i = 0; i < 5; i++) {
        int code;

        prepare_dump(answer_odd_dump, 0);
        step = i;
        code = dump_names(ROWS);
        CHECK(i == 3 ? refused_with(&error, code, codes[i], RTM_GETLINK)
                     : failed_with(&error, code, codes[i], NETSTRAT_OP_RECVFROM));
        CHECK(fake.count == 0 && fake.sends == 1);
        CHECK(netstrat_link_names_dump(&sock, NULL, names, ROWS, NULL) == codes[i]);
    }
}

static void answer_cut_dump(void)
{
    put_link(&queue(KERNEL)->bytes, RTM_NEWLINK, NLM_F_MULTI, fake.sequence, OWN_PORT, 1, "one");
    put_link(&queue(KERNEL)->bytes, RTM_NEWLINK, NLM_F_MULTI, fake.sequence, OWN_PORT, 2, "two");
    if (step == 0)
        fake.queue[(fake.first + 1) % QUEUE].cut = 50000;
    put_done(&queue(KERNEL)->bytes, 0, fake.sequence, 0);
}

static void test_a_dump_that_was_cut_off_says_what_room_it_needs(void)
{
    prepare_dump(answer_cut_dump, 0);
    CHECK(failed_with(&error, dump_names(ROWS), -EMSGSIZE, NETSTRAT_OP_RECVFROM));
    CHECK(sock.required_size > 50000 && sock.required_size < 51000);
    CHECK(fake.sends == 1 && fake.count == 0);
    step = 1;
    CHECK(dump_names(ROWS) == 2);
}

static int refuse_second_try(const struct netstrat_message *message, void *context)
{
    int *tries = (int *)context;

    if (!message)
        return ++*tries > 1 ? -ECANCELED : 0;
    return 0;
}

static int refuse_first_row(const struct netstrat_message *message, void *context)
{
    (void)context;
    return message ? -ECANCELED : 0;
}

static void test_the_caller_may_end_a_dump(void)
{
    int tries = 0;

    prepare_dump(answer_dump, 1000);
    make_batch(0);
    CHECK(netstrat_batch_dump_counters(&batch) == 0);
    CHECK(failed_with(&error, netstrat_dump(&sock, &batch, refuse_second_try, &tries, &error),
                      -ECANCELED, NETSTRAT_OP_RECVFROM));
    CHECK(fake.sends == 1 && fake.count == 0);
    CHECK(failed_with(&error, netstrat_dump(&sock, &batch, refuse_first_row, NULL, &error),
                      -ECANCELED, NETSTRAT_OP_RECVFROM));
    CHECK(fake.count == 0);
}

static void test_a_dump_is_copied_as_far_as_it_fits(void)
{
    unsigned char copy[1024], before[1024];
    struct netstrat_message message;
    struct netstrat_cursor rest;
    size_t whole = 0, used, size;
    int read = 0;

    prepare_dump(answer_dump, 0);
    make_batch(0);
    CHECK(netstrat_batch_dump_counters(&batch) == 0);
    CHECK(netstrat_dump_copy(&sock, &batch, NULL, 0, &whole, &error) == 0);
    CHECK(whole == 3 * (16 + 12 + 4 + 200));
    memset(before, 0xa5, sizeof before);
    for (size = 0; size < whole + 8; size += 4) {
        memcpy(copy, before, sizeof copy);
        CHECK(netstrat_dump_copy(&sock, &batch, copy, size, &used, &error) == 0 && used == whole);
        CHECK(memcmp(copy + size, before + size, sizeof copy - size) == 0);
    }
    rest.data = copy;
    rest.at = 0;
    rest.end = whole;
    rest.missing = 0;
    while (netstrat_message_next(&rest, &message) > 0) {
        CHECK(message.type == NEWSTATS && message.payload.end - message.payload.at == 12 + 4 + 200);
        read++;
    }
    CHECK(read == 3 && rest.at == rest.end);

    prepare_dump(answer_dump, 2); /* what came of a try that did not count is forgotten */
    CHECK(netstrat_dump_copy(&sock, &batch, copy, sizeof copy, &used, &error) == 0);
    CHECK(used == whole && fake.sends == 3);
    used = 77;
    code_of_dump = -ENOMEM;
    CHECK(netstrat_dump_copy(&sock, &batch, copy, sizeof copy, &used, &error) == -ENOMEM);
    CHECK(used == 77);
}

static void answer_unpadded(void)
{
    struct bytes *bytes = &queue(KERNEL)->bytes;
    size_t at = begin(bytes, RTM_NEWLINK, NLM_F_MULTI, fake.sequence, OWN_PORT);

    put(bytes, "abcde", 5);
    finish(bytes, at);
    put_done(&queue(KERNEL)->bytes, 0, fake.sequence, 0);
}

static void test_the_padding_of_a_copy_is_zero(void)
{
    unsigned char copy[64];
    size_t used = 0;

    prepare_dump(answer_unpadded, 0);
    make_batch(0);
    CHECK(netstrat_batch_dump_links(&batch, 0) == 0);
    memset(copy, 0xa5, sizeof copy);
    CHECK(netstrat_dump_copy(&sock, &batch, copy, sizeof copy, &used, &error) == 0 && used == 24);
    CHECK(!memcmp(copy + 16, "abcde\0\0\0", 8) && copy[24] == 0xa5);
    memset(copy, 0xa5, sizeof copy);
    CHECK(netstrat_dump_copy(&sock, &batch, copy, 23, &used, &error) == 0 && used == 24);
    CHECK(copy[0] == 0xa5 && copy[22] == 0xa5);
}

/* ---- lost replies ---- */

static void answer_enobufs(void)
{
    if (step++ < good_from)
        say_errno(ENOBUFS);
    else if (fake.type == RTM_NEWLINK)
        answer_ok();
    else
        put_stats(&queue(KERNEL)->bytes, 0, fake.sequence, 5);
}

static int get_counters(void)
{
    return netstrat_counters_get(&sock, NULL, 5, &counters, &error);
}

static void test_a_question_whose_answer_was_lost_is_asked_again_16_times(void)
{
    prepare_dump(answer_enobufs, 2);
    CHECK(get_counters() == 0 && fake.sends == 3 && counters.rx_packets == 5001);
    prepare_dump(answer_enobufs, 1000);
    CHECK(failed_with(&error, get_counters(), -ENOBUFS, NETSTRAT_OP_RECVFROM));
    CHECK(fake.sends == 16);
    prepare_dump(answer_enobufs, 1000);
    watch_links(KNOWN);
    CHECK(failed_with(&error, get_counters(), -ENOBUFS, NETSTRAT_OP_RECVFROM));
    CHECK(watch.count > ROOM);
    prepare_dump(answer_enobufs, 0); /* said by send() */
    fake.send_codes[0] = ENOBUFS;
    CHECK(get_counters() == 0 && fake.sends == 2);
}

static void test_a_link_is_set_up_again_where_the_ack_was_lost(void)
{
    prepare_dump(answer_enobufs, 2);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.sends == 3);
    prepare_dump(answer_enobufs, 1000);
    CHECK(failed_with(&error, netstrat_link_set_up(&sock, "lo", &error), -ENOBUFS,
                      NETSTRAT_OP_RECVFROM));
    CHECK(fake.sends == 16);
}

static void answer_behind_enobufs(void)
{
    say_errno(ENOBUFS);
    say_ack(KERNEL, fake.sequence, step ? 0 : -ENODEV);
}

static void test_an_ack_that_is_there_behind_enobufs_counts(void)
{
    prepare(answer_behind_enobufs);
    CHECK(refused_with(&error, netstrat_link_set_up(&sock, "lo", &error), -ENODEV, RTM_NEWLINK));
    CHECK(fake.sends == 1);
    step = 1;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.sends == 2);
}

static void answer_counters_behind_enobufs(void)
{
    say_errno(ENOBUFS);
    put_stats(&queue(KERNEL)->bytes, 0, fake.sequence, 5);
}

/* It may have been said because a notification found no room. */
static void test_an_answer_that_is_there_behind_enobufs_counts(void)
{
    prepare(answer_counters_behind_enobufs);
    watch_links(KNOWN);
    CHECK(netstrat_counters_get(&sock, &watch, 5, &counters, &error) > 0); /* changes were lost */
    CHECK(fake.sends == 1 && counters.rx_packets == 5001 && watch.count > ROOM);
}

static void answer_dump_behind_enobufs(void)
{
    put_stats(&queue(KERNEL)->bytes, NLM_F_MULTI, fake.sequence, 7);
    say_errno(ENOBUFS);
    answer_dump();
}

static void test_a_dump_goes_on_behind_enobufs(void)
{
    prepare_dump(answer_dump_behind_enobufs, 0);
    watch_links(KNOWN);
    CHECK(dump_counters(ROWS) == 4 && indexes[0] == 7 && indexes[1] == 1);
    CHECK(fake.sends == 1 && watch.count > ROOM);
}

static void test_a_failure_while_the_queue_is_emptied_is_reported(void)
{
    prepare(NULL);
    say_errno(ENOBUFS);
    say_errno(EBADF);
    CHECK(failed_with(&error, get_counters(), -EBADF, NETSTRAT_OP_RECVFROM));
    prepare(NULL);
    say_errno(ENOBUFS);
    say_errno(EBADF);
    CHECK(failed_with(&error, dump_counters(ROWS), -EBADF, NETSTRAT_OP_RECVFROM));
}

/* ---- signals ---- */

static int interruptions, stop;

static int count_interruption(void *context)
{
    interruptions++;
    return *(int *)context;
}

static void hook(int stops)
{
    stop = stops;
    interruptions = 0;
    sock.interrupted = count_interruption;
    sock.interrupted_context = &stop;
}

static void answer_interrupted(void)
{
    say_errno(EINTR);
    say_errno(EINTR);
    answer_ok();
}

static void answer_later(void)
{
    if (step++ == 1) {
        fake.refill = NULL;
        answer_ok();
    }
}

static void test_a_signal_does_not_end_a_call(void)
{
    prepare(answer_interrupted);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    prepare(answer_interrupted);
    hook(0);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && interruptions == 2);
    fake.send_codes[0] = EINTR;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && interruptions == 5);
    fake.answer = NULL;
    fake.refill = answer_later; /* in poll, whose first try is interrupted */
    fake.poll_codes[0] = EINTR;
    step = 0;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && interruptions == 6 && fake.polls == 1);
}

static int set_up_fails(int wanted, enum netstrat_step at)
{
    return failed_with(&error, netstrat_link_set_up(&sock, "lo", &error), wanted, at);
}

static void test_the_hook_ends_a_call(void)
{
    int64_t began;

    prepare(answer_interrupted);
    hook(1);
    CHECK(set_up_fails(-EINTR, NETSTRAT_OP_RECVFROM));
    prepare(answer_ok);
    hook(1);
    fake.send_codes[0] = EINTR;
    CHECK(set_up_fails(-EINTR, NETSTRAT_OP_SEND));
    prepare(NULL);
    hook(1);
    fake.poll_codes[0] = EINTR;
    CHECK(set_up_fails(-EINTR, NETSTRAT_OP_POLL));
    prepare(NULL); /* a signal that came just before poll(), which it does not interrupt then */
    hook(1);
    sock.timeout_ms = 600000;
    began = fake.now_ms;
    CHECK(set_up_fails(-EINTR, NETSTRAT_OP_POLL) && fake.polls == 1);
    CHECK(fake.now_ms - began < 200);
}

static int close_socket(void *context)
{
    (void)context;
    netstrat_socket_close(&sock);
    return 0;
}

static void test_a_hook_that_closes_the_socket_ends_the_call(void)
{
    prepare(NULL);
    sock.timeout_ms = 600000;
    sock.interrupted = close_socket;
    CHECK(set_up_fails(-EBADF, NETSTRAT_OP_RECVFROM) && fake.polls == 1);
}

static void test_poll_may_fail(void)
{
    prepare(NULL);
    fake.poll_codes[0] = ENOMEM;
    CHECK(set_up_fails(-ENOMEM, NETSTRAT_OP_POLL));
}

/* ---- deadlines ---- */

static void flood_unrelated(void)
{
    say_ack(KERNEL, fake.sequence - 1, 0);
}

static void flood_strangers(void)
{
    say_ack(STRANGER, fake.sequence, 0);
}

static void flood_notifications(void)
{
    notify(RTM_NEWLINK, 3, "three");
}

static void flood_empty(void)
{
    (void)queue(KERNEL);
}

static void flood_cut(void)
{
    say_cut_link(0, 0, 3, "three");
}

static void flood_enobufs(void)
{
    say_errno(ENOBUFS);
}

static void flood_eintr(void)
{
    say_errno(EINTR);
}

static void flood_rows(void)
{
    put_stats(&queue(KERNEL)->bytes, NLM_F_MULTI, fake.sequence, 1);
}

static void flood_acks(void)
{
    say_ack(KERNEL, fake.sequence, 0);
}

enum { SET_UP, GET_LINK, GET_COUNTERS, DUMP_NAMES, DUMP_COUNTERS, EXECUTE, CALLS };

static int call(int which)
{
    switch (which) {
    case SET_UP:
        return netstrat_link_set_up(&sock, "lo", &error);
    case GET_LINK:
        return netstrat_link_get(&sock, "lo", &link_, NULL, &error);
    case GET_COUNTERS:
        return netstrat_counters_get(&sock, NULL, 1, &counters, &error);
    case DUMP_NAMES:
        return netstrat_link_names_dump(&sock, NULL, names, ROWS, &error);
    case DUMP_COUNTERS:
        return netstrat_counters_dump(&sock, indexes, rows, ROWS, &error);
    default:
        make_batch(2);
        return execute();
    }
}

static void (*const floods[])(void) = {NULL,          flood_unrelated, flood_strangers,
                                       flood_empty,   flood_cut,       flood_notifications,
                                       flood_enobufs, flood_eintr,     flood_rows,
                                       flood_acks};

enum { FLOODS = sizeof floods / sizeof *floods };

/* Does the flood hold what this call takes for its answer? */
static int is_answered(void (*flood)(void), int which)
{
    return (flood == flood_rows && which == GET_COUNTERS) ||
           (flood == flood_acks && which == SET_UP);
}

/* One call in a flood; says how long it took by the fake clock. */
static int64_t call_in_flood(int flood, int watching, int which, int timeout_ms)
{
    int64_t start;
    int code;

    prepare(NULL);
    if (watching)
        watch_links(KNOWN);
    sock.timeout_ms = timeout_ms;
    fake.refill = floods[flood];
    start = fake.now_ms;
    code = call(which);
    if (is_answered(floods[flood], which) && !(watching && which == SET_UP)) {
        CHECK(code >= 0); /* the first datagram is the answer */
    } else {
        CHECK(code < 0 && error.code == code);
        if (code == -EBADMSG) /* counters in place of a link, or an ack in place of an answer */
            CHECK(floods[flood] == flood_rows || floods[flood] == flood_acks);
        else
            CHECK(code == -ETIMEDOUT && error.step == NETSTRAT_OP_RECVFROM);
        CHECK(error.text_length == 0);
    }
    return fake.now_ms - start;
}

static void test_a_flood_ends_at_the_deadline(void)
{
    for (int flood = 0; flood < FLOODS; flood++)
        for (int watching = 0; watching < 2; watching++)
            for (int which = 0; which < CALLS; which++)
                CHECK(call_in_flood(flood, watching, which, 500) <= 502);
}

/* Without any time the clock can't end a flood: a number of datagrams does. */
static void test_a_flood_ends_where_there_is_no_time_at_all(void)
{
    for (int flood = 0; flood < FLOODS; flood++)
        for (int which = SET_UP; which <= DUMP_NAMES; which += DUMP_NAMES) {
            CHECK(call_in_flood(flood, which == DUMP_NAMES, which, 0) == 0);
            CHECK(fake.polls == 0 && fake.receives < 70000);
        }
}

static void test_without_time_what_is_there_is_taken(void)
{
    prepare(NULL);
    sock.timeout_ms = 0;
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && fake.polls == 0);
    prepare(answer_ok);
    sock.timeout_ms = 0;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    prepare(answer_others_first);
    sock.timeout_ms = 0;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    prepare_dump(answer_dump, 3);
    sock.timeout_ms = 0;
    CHECK(dump_counters(ROWS) == 3 && fake.sends == 4);
    prepare(answer_with_changes);
    sock.timeout_ms = 0;
    step = 2; /* two notifications before the reply */
    CHECK(get_counters() == 0 && counters.rx_packets == 5001 && fake.polls == 0);
}

static void answer_slow_dump(void)
{
    fake.now_ms += 40;
    answer_dump();
}

static void answer_slow_loss(void)
{
    fake.now_ms += 40;
    say_errno(ENOBUFS);
}

/* Not as EAGAIN or ENOBUFS, which were being retried. */
static void test_at_the_deadline_the_error_is_that_the_time_is_up(void)
{
    prepare_dump(answer_slow_dump, 1000);
    CHECK(failed_with(&error, dump_counters(ROWS), -ETIMEDOUT, NETSTRAT_OP_RECVFROM));
    CHECK(fake.sends < 16 && error.text_length == 0);
    prepare_dump(answer_slow_loss, 1000);
    CHECK(failed_with(&error, get_counters(), -ETIMEDOUT, NETSTRAT_OP_RECVFROM));
    CHECK(fake.sends < 16 && error.text_length == 0);
    prepare(answer_slow_loss);
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM));
    CHECK(fake.sends < 16 && error.text_length == 0);
}

static void answer_a_signal(void)
{
    say_errno(EINTR); /* at which the clock is looked at */
}

static void refuse_late(void)
{
    if (step++ == 0) {
        fake.now_ms += 60;
        say_ack(KERNEL, fake.sequence, -EPERM);
    }
}

/* A refusal is followed by a look at the link: both within one timeout. */
static void test_one_deadline_holds_for_a_call_of_several_exchanges(void)
{
    prepare(answer_a_signal);
    fake.refill = refuse_late;
    CHECK(refused_with(&error, netstrat_link_set_up(&sock, "lo", &error), -EPERM, RTM_NEWLINK));
    CHECK(fake.sends == 2 && fake.now_ms >= 100 && fake.now_ms < 110);
    fake.now_ms = 5000; /* and the next call has its own */
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM));
    CHECK(fake.now_ms >= 5100 && fake.now_ms < 5110);
}

static void test_a_deadline_may_be_shared_by_several_calls(void)
{
    prepare(NULL);
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && fake.polls == 1);
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && fake.polls == 2); /* not shared */
    sock.shared_deadline = 1;
    sock.deadline_ms = 0;
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && fake.polls == 3);
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && fake.polls == 3);
    fake.answer = answer_ok; /* what comes without waiting is taken all the same */
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    fake.answer = NULL;
    CHECK(failed_with(&error, dump_counters(ROWS), -ETIMEDOUT, NETSTRAT_OP_RECVFROM));
    CHECK(fake.polls == 3);
    sock.deadline_ms = 0; /* until the caller sets it anew */
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && fake.polls == 4);
    CHECK(sock.shared_deadline == 1);
}

/* poll() takes an int of milliseconds. */
static void test_a_deadline_may_be_as_far_ahead_as_can_be_said(void)
{
    static const int64_t ahead[] = {INT_MAX, (int64_t)INT_MAX + 1, (int64_t)1 << 32,
                                    ((int64_t)1 << 32) + 5, INT64_MAX - 1000};

    for (size_t i = 0; i < sizeof ahead / sizeof *ahead; i++) {
        prepare(NULL);
        sock.shared_deadline = 1;
        sock.deadline_ms = ahead[i];
        fake.refill = answer_later; /* at the second look, which is after a wait */
        CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.polls == 1);
    }
    prepare(NULL);
    sock.shared_deadline = 1;
    sock.deadline_ms = (int64_t)1 << 33; /* waited for in parts */
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && fake.polls >= 4);
    CHECK(fake.now_ms >= (int64_t)1 << 33);
    fake.polls = 0;
    sock.deadline_ms = INT64_MIN; /* long over */
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && fake.polls == 0);
}

static void test_a_timeout_below_0_is_none(void)
{
    prepare(NULL);
    sock.timeout_ms = -1;
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM) && fake.polls == 0);
    prepare(answer_others_first);
    sock.timeout_ms = INT_MIN;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
}

/* A call that ran out of time leaves its reply in the queue, or a dump half read. */
static void test_what_a_call_left_behind_is_taken_out_before_the_next_is_sent(void)
{
    prepare(NULL);
    CHECK(set_up_fails(-ETIMEDOUT, NETSTRAT_OP_RECVFROM));
    answer_ok();
    fake.answer = answer_ok;
    fake.receives = 0;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    CHECK(fake.receives == 3 && fake.count == 0); /* the late ack, the end, the ack */
    fake.receives = 0;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.receives == 1);
}

int main(void)
{
    test_an_ack_ends_the_call();
    test_datagrams_that_are_not_the_answer_are_passed_over();
    test_a_malformed_answer_is_an_error();
    test_sequence_numbers_go_round_without_ever_being_0();
    test_a_refusal_is_reported_under_the_type_of_its_own_message();

    test_a_link_that_is_so_already_needs_no_permission();
    test_a_send_that_is_refused_is_not_a_verdict_on_the_link();

    test_each_message_has_its_result_whatever_the_order_of_the_acks();
    test_an_ack_that_never_comes_leaves_its_message_pending();
    test_a_send_that_fails_leaves_all_messages_pending();
    test_a_batch_of_nothing_is_a_success();
    test_a_malformed_batch_is_refused_whole();
    test_acks_behind_enobufs_are_read();

    test_a_batch_is_sent_in_parts_that_the_queue_has_room_for();
    test_a_socket_leaves_its_groups_while_it_makes_changes();
    test_a_failure_in_a_later_part_has_its_number_in_the_batch();
    test_the_first_failure_of_all_parts_is_reported();
    test_what_breaks_the_exchange_is_reported_before_what_failed();
    test_the_sizes_of_the_buffers_may_be_unknown();

    test_an_answer_of_the_wrong_kind_is_an_error_and_nothing_is_written();
    test_an_answer_is_decoded();
    test_an_answer_that_was_cut_off_says_what_room_it_needs();
    test_netstrat_query_writes_its_output_on_success_only();
    test_a_question_that_is_not_one_whole_request_is_refused();

    test_a_request_is_sent_and_its_reply_left_to_the_caller();
    test_one_datagram_is_taken_at_a_time_and_none_is_waited_for();
    test_the_receive_queue_is_as_large_as_it_may_be();

    test_notifications_are_told_from_the_answer_by_the_port();
    test_what_a_group_is_sent_is_not_the_answer();
    test_the_echo_of_a_change_is_a_notification_and_not_its_ack();
    test_lost_notifications_are_owned_up_to();
    test_a_notification_that_was_cut_off_is_a_lost_change_and_not_a_failure();
    test_a_refusal_that_was_cut_off_is_still_a_refusal();

    test_a_notification_that_says_nothing_new_takes_no_room();
    test_what_was_pushed_out_of_the_cache_is_reported_again();
    test_without_a_cache_every_notification_is_a_change();
    test_a_loss_clears_the_cache();
    test_names_that_were_looked_up_are_known();
    test_counters_come_with_the_number_of_changes_before_them();

    test_a_dump_fills_rows_and_counts_those_without_room();
    test_a_dump_by_name_takes_both_from_the_same_message();
    test_an_inconsistent_dump_is_repeated_16_times();
    test_ends_that_never_settle_are_those_of_the_third_whole_dump();
    test_the_end_of_another_link_or_namespace_is_no_answer();
    test_a_dump_whose_replies_were_lost_is_repeated_16_times();
    test_a_dump_waits_for_one_that_was_given_up();
    test_done_may_carry_a_failure();
    test_a_dump_of_something_else_is_an_error();
    test_a_dump_that_was_cut_off_says_what_room_it_needs();
    test_the_caller_may_end_a_dump();
    test_a_dump_is_copied_as_far_as_it_fits();
    test_the_padding_of_a_copy_is_zero();

    test_a_question_whose_answer_was_lost_is_asked_again_16_times();
    test_a_link_is_set_up_again_where_the_ack_was_lost();
    test_an_ack_that_is_there_behind_enobufs_counts();
    test_an_answer_that_is_there_behind_enobufs_counts();
    test_a_dump_goes_on_behind_enobufs();
    test_a_failure_while_the_queue_is_emptied_is_reported();

    test_a_signal_does_not_end_a_call();
    test_the_hook_ends_a_call();
    test_a_hook_that_closes_the_socket_ends_the_call();
    test_poll_may_fail();

    test_a_flood_ends_at_the_deadline();
    test_a_flood_ends_where_there_is_no_time_at_all();
    test_without_time_what_is_there_is_taken();
    test_at_the_deadline_the_error_is_that_the_time_is_up();
    test_one_deadline_holds_for_a_call_of_several_exchanges();
    test_a_deadline_may_be_shared_by_several_calls();
    test_a_deadline_may_be_as_far_ahead_as_can_be_said();
    test_a_timeout_below_0_is_none();
    test_what_a_call_left_behind_is_taken_out_before_the_next_is_sent();
    return report();
}
