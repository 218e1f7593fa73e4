/* SPDX-License-Identifier: MIT */
/*
 * A kernel that answers as a real one hardly ever does. send, recvfrom and poll are stood in for at
 * link time; what each send is answered with is scripted by the tests below.
 */
/* wrap: send recvfrom poll */
#include <errno.h>
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

#include <net/if.h>

/* ---- the fake ---- */

enum { KERNEL = 0, STRANGER = 4711, OWN_PORT = 42 };

struct datagram {
    struct bytes bytes;
    uint32_t sender;
    sa_family_t family;
    socklen_t address_size;
    size_t cut; /* bytes of it that do not fit: they are announced, and not there */
    int code;   /* an errno in place of a datagram */
};

static struct {
    struct datagram queue[64];
    unsigned first, count;

    void (*answer)(void);       /* called at each send */
    void (*refill)(void);       /* called when the queue is found empty */
    uint32_t sequence;          /* of the first message that was sent last */
    uint16_t type;              /* and its type */
    unsigned char request[512]; /* and all that was sent */
    size_t request_size;
    unsigned sends, polls, receives;
    int send_codes[4]; /* errnos of the sends to come */
    int poll_codes[4];
    size_t send_short; /* bytes of it that the next send leaves */
} fake;

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *address,
                        socklen_t *address_size);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);

/* Takes the next of a list of errnos; 0 where there is none. */
static int next_code(int *codes)
{
    int code = codes[0];

    memmove(codes, codes + 1, 3 * sizeof *codes);
    codes[3] = 0;
    return code;
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    struct nlmsghdr header;
    size_t left = fake.send_short;
    int code = next_code(fake.send_codes);

    fake.sends++;
    CHECK(fd == 77 && flags == 0 && size >= sizeof header && size <= sizeof fake.request);
    if (code) {
        errno = code;
        return -1;
    }
    memcpy(&header, data, sizeof header);
    memcpy(fake.request, data, size);
    fake.request_size = size;
    fake.sequence = header.nlmsg_seq;
    fake.type = header.nlmsg_type;
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
    CHECK(fd == 77 && flags == (MSG_DONTWAIT | MSG_TRUNC) && *address_size == sizeof sender);
    if (fake.count == 0 && fake.refill)
        fake.refill();
    if (fake.count == 0) {
        errno = EAGAIN;
        return -1;
    }
    datagram = &fake.queue[fake.first++ % 64];
    fake.count--;
    if (datagram->code) {
        errno = datagram->code;
        return -1;
    }
    memset(&sender, 0, sizeof sender);
    sender.nl_family = datagram->family;
    sender.nl_pid = datagram->sender;
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
    CHECK(count == 1 && fds->fd == 77 && fds->events == POLLIN && timeout > 0);
    if (code) {
        errno = code;
        return -1;
    }
    if (fake.count == 0 && fake.refill)
        fake.refill();
    return fake.count ? 1 : __real_poll(NULL, 0, timeout);
}

/* ---- what it says ---- */

static struct datagram *queue(uint32_t sender)
{
    struct datagram *datagram = &fake.queue[(fake.first + fake.count++) % 64];

    CHECK(fake.count <= 64);
    memset(datagram, 0, offsetof(struct datagram, bytes.data));
    datagram->bytes.length = 0;
    datagram->sender = sender;
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

static void put_stats(struct bytes *to, uint16_t flags, uint32_t sequence, uint32_t index)
{
    size_t at = begin(to, NEWSTATS, flags, sequence, OWN_PORT);

    put_stats_header(to, index);
    put_stats64(to, 1, 200, 1000 * (uint64_t)index);
    finish(to, at);
}

static void put_done(struct bytes *to, uint16_t flags, uint32_t sequence, int32_t code)
{
    size_t at = begin(to, NLMSG_DONE, (uint16_t)(NLM_F_MULTI | ACK_TLVS | flags), sequence, OWN_PORT);

    put(to, &code, sizeof code);
    if (code)
        attribute(to, 1, "fake words", 11);
    finish(to, at);
}

/* ---- the tests' own ---- */

static unsigned char buffer[4096];
static struct netstrat_socket sock;
static struct netstrat_error error;
static struct netstrat_link changes[4];
static struct netstrat_link link_, links[8];
static struct netstrat_counters counters, rows[8];
static int32_t indexes[8];
static unsigned step; /* of a script */

static void prepare(void (*answer)(void))
{
    memset(&fake, 0, sizeof fake);
    memset(&sock, 0, sizeof sock);
    memset(&error, 0, sizeof error);
    fake.answer = answer;
    sock.fd = 77;
    sock.timeout_ms = 100;
    sock.sequence = 1000;
    sock.buffer = buffer;
    sock.buffer_size = sizeof buffer;
    step = 0;
}

static void watch(void)
{
    sock.port = OWN_PORT;
    sock.changes = changes;
    sock.changes_room = 4;
}

static int failed_with(int code, int wanted, const char *operation)
{
    if (code == wanted && error.code == code && !strcmp(error.operation, operation))
        return 1;
    printf("code %d (wanted %d), error %d %s\n", code, wanted, error.code,
           error.operation ? error.operation : "-");
    return 0;
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- acks and answers ---- */

static void answer_ok(void)
{
    say_ack(KERNEL, fake.sequence, 0);
}

static void answer_others_first(void)
{
    struct datagram *datagram;

    say_ack(KERNEL, fake.sequence - 1, -EBUSY);         /* a late reply */
    say_ack(KERNEL, fake.sequence + 1, -EBUSY);         /* one from the future */
    say_ack(KERNEL, 0, -EBUSY);                         /* a notification's number */
    say_ack(STRANGER, fake.sequence, -EBUSY);           /* somebody pretends to be the kernel */
    queue(STRANGER)->cut = 100000;                      /* and sends more than the buffer holds */
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
    } else if (step == 2) { /* an errno that is none */
        put_ack(bytes, 0, fake.sequence, OWN_PORT, 99, fake.request, 16, NULL);
    } else { /* less than a header */
        put(bytes, "abc", 3);
    }
}

static void test_acks(void)
{
    prepare(answer_ok);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && error.code == 0);
    CHECK(fake.sends == 1 && fake.receives == 1 && fake.polls == 0 && fake.sequence == 1001);

    prepare(answer_others_first);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.count == 0);

    prepare(answer_refusal);
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -ENODEV, "RTM_NEWLINK"));
    CHECK(!strcmp(error.text, "fake words") && error.item == 0);
    CHECK(netstrat_link_set_down(&sock, "lo", NULL) == -ENODEV);
    CHECK(failed_with(netstrat_get_link(&sock, "lo", &link_, NULL, &error), -ENODEV, "RTM_GETLINK"));
    CHECK(failed_with(netstrat_get_stats(&sock, 1, &counters, &error), -ENODEV, "RTM_GETSTATS"));

    for (unsigned i = 0; i < 4; i++) {
        prepare(answer_nonsense);
        step = i;
        CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -EBADMSG, "recvfrom"));
        step = i;
        CHECK(failed_with(netstrat_get_link(&sock, "lo", &link_, NULL, &error), -EBADMSG,
                          "recvfrom"));
    }
    /* The sequence numbers go round without ever being 0. */
    prepare(answer_ok);
    sock.sequence = UINT32_MAX;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.sequence == 1);
    sock.sequence = UINT32_MAX - 1;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.sequence == UINT32_MAX);
}

/* EPERM, and then what the link is like. */
static void answer_eperm(void)
{
    if (fake.type == RTM_NEWLINK)
        say_ack(KERNEL, fake.sequence, -EPERM);
    else if (step == 0)
        say_link(KERNEL, fake.sequence, OWN_PORT, 1, "lo");
    else
        say_ack(KERNEL, fake.sequence, step == 1 ? -ENOMEM : -ENODEV);
}

static void test_permission(void)
{
    prepare(answer_eperm);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.sends == 2);
    CHECK(failed_with(netstrat_link_set_down(&sock, "lo", &error), -EPERM, "RTM_NEWLINK"));
    step = 1;
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -EPERM, "RTM_NEWLINK"));
    CHECK(!strcmp(error.text, "fake words"));
    step = 2; /* there is none to have a right over */
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -ENODEV, "RTM_GETLINK"));
    /* A send that is refused is no verdict on the link. */
    fake.send_codes[0] = EPERM;
    step = fake.sends = 0;
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -EPERM, "send") && fake.sends == 1);
}

static void answer_second_first(void)
{
    say_ack(KERNEL, fake.sequence + 1, -ENODEV);
    say_ack(KERNEL, fake.sequence + 1, 0); /* said twice: the first word holds */
    say_ack(KERNEL, fake.sequence, step ? -EBUSY : 0);
    if (step < 2)
        say_ack(KERNEL, fake.sequence + 2, 0);
}

static void test_batches(void)
{
    unsigned char request[512];
    struct netstrat_batch batch;
    int results[3];

    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_put_link_flags(&batch, "a", IFF_UP, IFF_UP) == 0);
    CHECK(netstrat_put_link_flags(&batch, "b", IFF_UP, IFF_UP) == 0);
    CHECK(netstrat_put_link_flags(&batch, "c", IFF_UP, IFF_UP) == 0);

    prepare(answer_second_first);
    CHECK(failed_with(netstrat_transact(&sock, &batch, results, &error), -ENODEV, "RTM_NEWLINK"));
    CHECK(error.item == 1 && results[0] == 0 && results[1] == -ENODEV && results[2] == 0);
    step = 1; /* the first to fail is the first of the batch, not the first that was told of */
    CHECK(failed_with(netstrat_transact(&sock, &batch, results, &error), -EBUSY, "RTM_NEWLINK"));
    CHECK(error.item == 0 && results[0] == -EBUSY && results[1] == -ENODEV && results[2] == 0);
    CHECK(netstrat_transact(&sock, &batch, results, NULL) == -EBUSY);
    step = 2; /* the third never comes */
    CHECK(failed_with(netstrat_transact(&sock, &batch, results, &error), -ETIMEDOUT, "recvfrom"));
    CHECK(results[0] == -EBUSY && results[1] == -ENODEV && results[2] == NETSTRAT_PENDING);

    fake.send_codes[0] = ENOMEM;
    CHECK(failed_with(netstrat_transact(&sock, &batch, results, &error), -ENOMEM, "send"));
    CHECK(results[0] == NETSTRAT_PENDING && results[2] == NETSTRAT_PENDING);
    fake.send_short = 1;
    CHECK(failed_with(netstrat_transact(&sock, &batch, results, &error), -EIO, "send"));
    fake.send_codes[0] = fake.send_codes[1] = EINTR;
    step = 0;
    CHECK(netstrat_transact(&sock, &batch, results, NULL) == -ENODEV && results[2] == 0);

    /* Nothing to do is done. */
    netstrat_batch_init(&batch, request, sizeof request);
    fake.sends = 0;
    CHECK(netstrat_transact(&sock, &batch, results, &error) == 0 && fake.sends == 0);
}

static void answer_oddly(void)
{
    switch (step) {
    case 0: say_ack(KERNEL, fake.sequence, 0); break; /* a bare ack is no answer */
    case 1: put_stats(&queue(KERNEL)->bytes, 0, fake.sequence, 5); break;
    case 2: say_link(KERNEL, fake.sequence, OWN_PORT, 5, "five"); break;
    case 3: queue(KERNEL)->cut = sizeof buffer + 1; break;
    case 4: put_stats(&queue(KERNEL)->bytes, 0, fake.sequence, 6); break;
    }
}

static void test_queries(void)
{
    struct netstrat_counters before;

    prepare(answer_oddly);
    memset(&counters, 0xa5, sizeof counters);
    memset(&link_, 0xa5, sizeof link_);
    before = counters;
    CHECK(failed_with(netstrat_get_link(&sock, "x", &link_, &counters, &error), -EBADMSG,
                      "recvfrom"));
    step = 1;
    CHECK(failed_with(netstrat_get_link(&sock, "x", &link_, &counters, &error), -EBADMSG,
                      "RTM_GETLINK"));
    CHECK(failed_with(netstrat_get_stats(&sock, 6, &counters, &error), -EBADMSG, "RTM_GETSTATS"));
    step = 2;
    CHECK(failed_with(netstrat_get_stats(&sock, 5, &counters, &error), -EBADMSG, "RTM_GETSTATS"));
    step = 3;
    CHECK(failed_with(netstrat_get_stats(&sock, 5, &counters, &error), -EMSGSIZE, "recvfrom"));
    CHECK(failed_with(netstrat_link_set_up(&sock, "x", &error), -EMSGSIZE, "recvfrom"));
    CHECK(memcmp(&counters, &before, sizeof before) == 0);
    step = 4;
    CHECK(netstrat_get_stats(&sock, 6, &counters, &error) == 0 && counters.rx_packets == 6001);
    step = 2;
    CHECK(netstrat_get_link(&sock, "x", &link_, &counters, &error) == 0);
    CHECK(link_.index == 5 && !strcmp(link_.name, "five") && counters.rx_packets == 501);
    CHECK(netstrat_link_is_up(&sock, "x", &error) == 1);
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

static void answer_with_echo(void)
{
    say_link(KERNEL, fake.sequence, OWN_PORT, 5, "five"); /* the change that was asked for */
    answer_ok();
}

static void answer_many(void)
{
    for (int32_t i = 0; i < 5; i++)
        say_link(KERNEL, 0, 0, 20 + i, "many");
    answer_ok();
}

static void test_notifications(void)
{
    prepare(answer_beside_notifications);
    watch();
    CHECK(netstrat_get_link(&sock, "x", &link_, NULL, &error) == 0 && link_.index == 5);
    CHECK(sock.changes_count == 2);
    CHECK(changes[0].index == 8 && !changes[0].gone && !strcmp(changes[0].name, "other"));
    CHECK(changes[1].index == 9 && changes[1].gone);

    /* Without watching, the port is not known; the number decides. */
    prepare(answer_beside_notifications);
    CHECK(netstrat_get_link(&sock, "x", &link_, NULL, &error) == 0 && link_.index == 8);

    prepare(answer_with_echo);
    watch();
    say_link(KERNEL, 0, 0, 7, "before"); /* drained before the request is sent */
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0);
    CHECK(sock.changes_count == 2 && changes[0].index == 7 && changes[1].index == 5);

    fake.answer = answer_many; /* more than there is room for */
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0 && sock.changes_count == 5);
    sock.changes_count = 0;
    fake.answer = answer_ok;
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0 && sock.changes_count == 0);

    /* Lost notifications are owned up to: an overrun, a cut datagram, one that can't be read. */
    say_errno(ENOBUFS);
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0 && sock.changes_count == 5);
    sock.changes_count = 0;
    queue(KERNEL)->cut = sizeof buffer + 1;
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0 && sock.changes_count == 5);
    sock.changes_count = 0;
    say_link(KERNEL, 0, 0, 0, "noindex");
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0 && sock.changes_count == 5);
    sock.changes_count = 0;
    say_ack(KERNEL, 0, 0); /* nothing about a link */
    CHECK(netstrat_link_set_up(&sock, "five", &error) == 0 && sock.changes_count == 0);
    say_errno(EBADF);
    CHECK(failed_with(netstrat_link_set_up(&sock, "five", &error), -EBADF, "recvfrom"));
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

/* The mark may come with DONE alone. */
static void answer_marked_done(void)
{
    put_stats(&queue(KERNEL)->bytes, NLM_F_MULTI, fake.sequence, 1);
    put_done(&queue(KERNEL)->bytes, step++ < good_from ? 0x10 : 0, fake.sequence, 0);
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

static void answer_refused_stats(void)
{
    if (fake.type == GETSTATS)
        say_ack(KERNEL, fake.sequence, -EOPNOTSUPP);
    else
        answer_dump();
}

static int refuse_all(const struct netstrat_message *message, void *context)
{
    int *tries = (int *)context;

    if (!message)
        return ++*tries > 1 ? -ECANCELED : 0;
    return 0;
}

static void test_dumps(void)
{
    unsigned char request[64];
    struct netstrat_batch batch;
    int tries = 0;

    good_from = 0;
    code_of_dump = 0;
    prepare(answer_dump);
    CHECK(netstrat_dump_stats(&sock, indexes, rows, 8, &error) == 3 && fake.sends == 1);
    CHECK(indexes[0] == 1 && indexes[2] == 3 && rows[2].rx_packets == 3001);
    CHECK(netstrat_dump_links(&sock, links, 8, &error) == 3);
    CHECK(links[0].index == 1 && !strcmp(links[2].name, "three"));
    memset(links, 0xa5, sizeof links);
    CHECK(netstrat_dump_links(&sock, links, 2, &error) == 3); /* room for two */
    CHECK(links[1].index == 2 && links[2].index != 3);
    memset(indexes, 0, sizeof indexes);
    CHECK(netstrat_dump_stats(&sock, indexes, rows, 1, &error) == 3);
    CHECK(indexes[0] == 1 && indexes[1] == 0);
    CHECK(netstrat_dump_links(&sock, NULL, 0, NULL) == 3);

    /* Interrupted 15 times, then good; interrupted always. */
    flags_of_dump = 0x10; /* NLM_F_DUMP_INTR */
    prepare(answer_dump);
    good_from = 15;
    CHECK(netstrat_dump_stats(&sock, indexes, rows, 8, &error) == 3 && fake.sends == 16);
    prepare(answer_dump);
    good_from = 16;
    CHECK(failed_with(netstrat_dump_stats(&sock, indexes, rows, 8, &error), -EAGAIN,
                      "RTM_GETSTATS"));
    CHECK(fake.sends == 16 && error.text_length > 0);
    prepare(answer_dump);
    good_from = 1000;
    CHECK(failed_with(netstrat_dump_links(&sock, links, 8, &error), -EAGAIN, "RTM_GETLINK"));
    prepare(answer_marked_done);
    good_from = 2;
    CHECK(netstrat_dump_stats(&sock, indexes, rows, 8, &error) == 1 && fake.sends == 3);

    /* Replies lost, then good; lost always. */
    prepare(answer_lossy_dump);
    good_from = 3;
    CHECK(netstrat_dump_stats(&sock, indexes, rows, 8, &error) == 3 && fake.sends == 4);
    CHECK(indexes[0] == 1 && fake.count == 0);
    prepare(answer_lossy_dump);
    good_from = 1000;
    CHECK(netstrat_dump_stats(&sock, indexes, rows, 8, &error) == -EAGAIN && fake.sends == 16);

    /* DONE with an errno, and with the kernel's words. */
    prepare(answer_dump);
    good_from = 0;
    code_of_dump = -ENOMEM;
    CHECK(failed_with(netstrat_dump_stats(&sock, indexes, rows, 8, &error), -ENOMEM,
                      "RTM_GETSTATS"));
    CHECK(!strcmp(error.text, "fake words"));
    CHECK(failed_with(netstrat_dump_links(&sock, links, 8, &error), -ENOMEM, "RTM_GETLINK"));
    code_of_dump = 0;

    /* What is no link, no counters, no verdict; what is none of them is not left in the queue. */
    for (unsigned i = 0; i < 5; i++) {
        static const int codes[] = {-EBADMSG, -EBADMSG, -EBADMSG, -EACCES, -EBADMSG};

        prepare(answer_odd_dump);
        step = i;
        CHECK(failed_with(netstrat_dump_links(&sock, links, 8, &error), codes[i],
                          i == 3 ? "RTM_GETLINK" : "recvfrom"));
        CHECK(fake.count == 0 && fake.sends == 1);
        step = i;
        CHECK(netstrat_dump_links(&sock, links, 8, NULL) == codes[i]);
    }

    /* RTM_GETSTATS refused: by name from then on. */
    prepare(answer_refused_stats);
    CHECK(netstrat_dump_stats(&sock, indexes, rows, 8, &error) == 3 && fake.sends == 2);
    CHECK(sock.by_name_only == 1 && indexes[2] == 3 && rows[2].rx_packets == 301);
    CHECK(netstrat_dump_stats(&sock, indexes, rows, 8, &error) == 3 && fake.sends == 3);
    CHECK(failed_with(netstrat_get_stats(&sock, 1, &counters, &error), -EOPNOTSUPP,
                      "RTM_GETSTATS"));
    CHECK(fake.sends == 3);
    prepare(answer_refused_stats);
    CHECK(failed_with(netstrat_get_stats(&sock, 1, &counters, &error), -EOPNOTSUPP,
                      "RTM_GETSTATS"));
    CHECK(fake.sends == 1 && sock.by_name_only == 1);

    /* The caller may end a dump, before a try as well as within. */
    prepare(answer_dump);
    flags_of_dump = 0x10;
    good_from = 1000;
    netstrat_batch_init(&batch, request, sizeof request);
    CHECK(netstrat_put_dump_stats(&batch) == 0);
    CHECK(failed_with(netstrat_dump(&sock, &batch, refuse_all, &tries, &error), -ECANCELED,
                      "recvfrom"));
    CHECK(fake.sends == 1 && fake.count == 0);
}

/* ---- lost replies ---- */

static void answer_enobufs(void)
{
    if (step++ < good_from) {
        say_errno(ENOBUFS);
        say_ack(KERNEL, fake.sequence, -EBUSY); /* what is left of the queue is not believed */
    } else if (fake.type == RTM_NEWLINK) {
        answer_ok();
    } else {
        put_stats(&queue(KERNEL)->bytes, 0, fake.sequence, 5);
    }
}

static void test_enobufs(void)
{
    prepare(answer_enobufs);
    good_from = 2;
    CHECK(netstrat_get_stats(&sock, 5, &counters, &error) == 0 && fake.sends == 3);
    CHECK(counters.rx_packets == 5001);
    prepare(answer_enobufs);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && fake.sends == 3);
    prepare(answer_enobufs);
    good_from = 1000;
    CHECK(failed_with(netstrat_get_stats(&sock, 5, &counters, &error), -ENOBUFS, "recvfrom"));
    CHECK(fake.sends == 16);
    prepare(answer_enobufs);
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -ENOBUFS, "recvfrom"));
    CHECK(fake.sends == 16);
    prepare(answer_enobufs);
    watch();
    CHECK(failed_with(netstrat_get_stats(&sock, 5, &counters, &error), -ENOBUFS, "recvfrom"));
    CHECK(sock.changes_count == 5);
    prepare(NULL);
    fake.send_codes[0] = ENOBUFS;
    fake.answer = answer_enobufs;
    good_from = 0;
    CHECK(netstrat_get_stats(&sock, 5, &counters, &error) == 0 && fake.sends == 2);
    /* The drain between two tries fails. */
    prepare(NULL);
    say_errno(ENOBUFS);
    say_errno(EBADF);
    CHECK(failed_with(netstrat_get_stats(&sock, 5, &counters, &error), -EBADF, "recvfrom"));
    prepare(NULL);
    say_errno(ENOBUFS);
    say_errno(EBADF);
    CHECK(netstrat_dump_stats(&sock, indexes, rows, 8, &error) < 0);
}

/* ---- signals ---- */

static int interruptions;

static int count_interruption(void *context)
{
    interruptions++;
    return *(int *)context;
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

static void test_signals(void)
{
    int stop = 0;

    prepare(answer_interrupted);
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
    prepare(answer_interrupted);
    interruptions = 0;
    sock.interrupted = count_interruption;
    sock.context = &stop;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && interruptions == 2);
    fake.send_codes[0] = EINTR;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && interruptions == 5);
    fake.answer = NULL;
    fake.refill = answer_later; /* in poll, whose first try is interrupted */
    fake.poll_codes[0] = EINTR;
    step = 0;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0 && interruptions == 6 && fake.polls == 1);

    stop = 1;
    prepare(answer_interrupted);
    sock.interrupted = count_interruption;
    sock.context = &stop;
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -EINTR, "recvfrom"));
    prepare(answer_ok);
    sock.interrupted = count_interruption;
    sock.context = &stop;
    fake.send_codes[0] = EINTR;
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -EINTR, "send"));
    prepare(NULL);
    sock.interrupted = count_interruption;
    sock.context = &stop;
    fake.poll_codes[0] = EINTR;
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -EINTR, "poll"));
    prepare(NULL); /* a signal that came just before poll(), which it does not interrupt then */
    sock.timeout_ms = 600000;
    sock.interrupted = count_interruption;
    sock.context = &stop;
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -EINTR, "poll"));
    CHECK(fake.polls == 1);
    prepare(NULL);
    fake.poll_codes[0] = ENOMEM;
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -ENOMEM, "poll"));
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
    say_link(KERNEL, 0, 0, 3, "three");
}

static void flood_empty(void)
{
    (void)queue(KERNEL);
}

static void flood_cut(void)
{
    queue(KERNEL)->cut = sizeof buffer + 1;
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

static int call(unsigned which)
{
    switch (which) {
    case 0: return netstrat_link_set_up(&sock, "lo", &error);
    case 1: return netstrat_get_link(&sock, "lo", &link_, NULL, &error);
    case 2: return netstrat_get_stats(&sock, 1, &counters, &error);
    case 3: return netstrat_dump_links(&sock, links, 8, &error);
    default: return netstrat_dump_stats(&sock, indexes, rows, 8, &error);
    }
}

/* Time is the subject here, so it is asserted, with slack for a machine that is busy; how far each
 * went beyond its deadline is printed. */
static void test_deadlines(void)
{
    static const struct {
        const char *name;
        void (*refill)(void);
    } floods[] = {
        {"silence", NULL},           {"unrelated", flood_unrelated}, {"strangers", flood_strangers},
        {"notifications", flood_notifications}, {"empty", flood_empty}, {"cut", flood_cut},
        {"ENOBUFS", flood_enobufs},  {"EINTR", flood_eintr},         {"rows", flood_rows},
    };
    int64_t worst = 0;

    for (unsigned i = 0; i < sizeof floods / sizeof *floods; i++)
        for (unsigned watching = 0; watching < 2; watching++)
            for (unsigned which = 0; which < 5; which++) {
                int64_t start, late;
                int code;

                prepare(NULL);
                if (watching)
                    watch();
                sock.timeout_ms = 10;
                fake.refill = floods[i].refill;
                start = now_us();
                code = call(which);
                late = now_us() - start - 10000;
                if (floods[i].refill == flood_rows && which == 2) {
                    CHECK(code >= 0); /* one row is all that it wants */
                } else {
                    CHECK(code < 0 && error.code == code && error.operation != NULL);
                    CHECK(code == -ETIMEDOUT || code == -ENOBUFS || code == -EMSGSIZE ||
                          (floods[i].refill == flood_rows && code == -EBADMSG));
                }
                CHECK(late < 1000000);
                if (late > worst)
                    worst = late;
                if (late > 50000)
                    printf("%s, call %u: %lld us late\n", floods[i].name, which, (long long)late);
            }
    printf("deadlines: at most %lld us late\n", (long long)worst);

    prepare(NULL); /* no time at all: what is there already is still taken */
    sock.timeout_ms = 0;
    CHECK(failed_with(netstrat_link_set_up(&sock, "lo", &error), -ETIMEDOUT, "recvfrom"));
    CHECK(fake.polls == 0);
    prepare(answer_ok);
    sock.timeout_ms = 0;
    CHECK(netstrat_link_set_up(&sock, "lo", &error) == 0);
}

int main(void)
{
    test_acks();
    test_permission();
    test_batches();
    test_queries();
    test_notifications();
    test_dumps();
    test_enobufs();
    test_signals();
    test_deadlines();
    return report();
}
