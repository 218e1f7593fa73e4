/* SPDX-License-Identifier: MIT */
/*
 * The bare system calls of egress and published ports: the messages that pynetstrat sends, made
 * before the measurement, on sockets opened in the same way. Of the replies only the acks are read.
 * This is the lower limit for the groups port and egress of work.py.
 *
 *   bare_nft     answers each line "OPERATION LOOPS" with nanoseconds
 *
 * It works in a fresh network namespace with the table.
 */
#include "../csrc/batch.c"
#include "../csrc/message.c"
#include "../csrc/nft.c"
#include "../csrc/nft_elements.c"
#include "../csrc/nft_table.c"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SUBNETS = 200, SIZE = 1024 };

struct request {
    unsigned char data[SIZE];
    size_t size;
};

static struct request add, erase, generation, ports, neighbours, subnets[SUBNETS], clear;
static unsigned char reply[32768];
static int kept;

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int open_socket(void)
{
    const int on = 1;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

    if (fd < 0 || setsockopt(fd, 270, NETSTRAT_NETLINK_EXT_ACK, &on, sizeof on) < 0) {
        perror("socket");
        exit(2);
    }
    return fd;
}

/* Sends a request and receives one datagram. Returns its size. */
static size_t exchange(int fd, const struct request *request)
{
    ssize_t size = -1;

    if (send(fd, request->data, request->size, 0) >= 0)
        size = recv(fd, reply, sizeof reply, 0);
    if (size < 0) {
        perror("exchange");
        exit(2);
    }
    return (size_t)size;
}

/* Sends a transaction, which must succeed: the replies to one that fails would be taken for later
 * ones. */
static void transact(int fd, const struct request *request)
{
    int32_t code;

    (void)exchange(fd, request);
    memcpy(&code, reply + NETSTRAT_MESSAGE_HEADER, sizeof code);
    if (code == 0)
        return;
    fprintf(stderr, "bare_nft: a transaction failed: %s\n", strerror(-code));
    exit(2);
}

/* Receives up to the end of a dump, which may be in the datagram of its last message. */
static void dump(const struct request *request)
{
    size_t size = exchange(kept, request), at = 0;

    for (;;) {
        struct nlmsghdr header;

        memcpy(&header, reply + at, sizeof header);
        if (header.nlmsg_type == NLMSG_DONE)
            return;
        at += netstrat_align(header.nlmsg_len);
        if (at < size)
            continue;
        size = (size_t)recv(kept, reply, sizeof reply, 0);
        at = 0;
    }
}

/* ---- the requests ---- */

static struct netstrat_batch batch;

static void begin(struct request *request)
{
    netstrat_batch_init(&batch, request->data, SIZE);
}

/* Ends a transaction, and asks for the ack of its last change. */
static void end(struct request *request)
{
    struct nlmsghdr header;
    size_t last = 0, at = 0;

    while (at < batch.used) {
        last = at;
        memcpy(&header, request->data + at, sizeof header);
        at += header.nlmsg_len;
    }
    header.nlmsg_flags |= NLM_F_ACK;
    memcpy(request->data + last, &header, sizeof header);
    netstrat_batch_end_nft(&batch);
    request->size = batch.used;
}

static struct netstrat_nft_element element_of(unsigned char subnet, unsigned char length)
{
    struct netstrat_nft_element element;

    memset(&element, 0, sizeof element);
    element.address.family = element.target.family = AF_INET;
    element.address.length = length;
    element.target.length = 32;
    element.address.bytes[0] = element.target.bytes[0] = 10;
    element.address.bytes[2] = subnet;
    element.target.bytes[3] = 2;
    element.protocol = 6;
    element.port = 8080;
    element.target_port = 80;
    return element;
}

static void change_port(struct request *request, uint32_t number,
                        int (*change)(struct netstrat_batch *, uint32_t,
                                      const struct netstrat_nft_element *, size_t))
{
    struct netstrat_nft_element element = element_of(0, 24);

    memcpy(element.owner, "bench", 6);
    begin(request);
    netstrat_batch_begin_nft(&batch, number);
    change(&batch, NETSTRAT_NFT_PORTS4, &element, 1);
    change(&batch, NETSTRAT_NFT_NEIGHBOURS4, &element, 1);
    end(request);
}

static void prepare(void)
{
    static unsigned char table[32768];
    struct netstrat_nft_element element;

    if (unshare(CLONE_NEWNET) < 0) {
        perror("unshare");
        exit(2);
    }
    kept = open_socket();
    netstrat_batch_init(&batch, table, sizeof table);
    netstrat_batch_begin_nft(&batch, 0);
    netstrat_batch_add_nft_table(&batch);
    netstrat_batch_end_nft(&batch);
    if (send(kept, table, batch.used, 0) < 0)
        exit(2);
    change_port(&add, 0, netstrat_batch_add_nft_elements);
    change_port(&erase, 1, netstrat_batch_delete_nft_elements);
    begin(&generation);
    netstrat_batch_get_nft_generation(&batch);
    generation.size = batch.used;
    begin(&ports);
    netstrat_batch_dump_nft_elements(&batch, NETSTRAT_NFT_PORTS4);
    ports.size = batch.used;
    begin(&neighbours);
    netstrat_batch_dump_nft_elements(&batch, NETSTRAT_NFT_NEIGHBOURS4);
    neighbours.size = batch.used;
    for (int i = 0; i < SUBNETS; i++) {
        element = element_of((unsigned char)i, 24);
        begin(&subnets[i]);
        netstrat_batch_begin_nft(&batch, 0);
        netstrat_batch_add_nft_elements(&batch, NETSTRAT_NFT_SUBNETS4, &element, 1);
        end(&subnets[i]);
    }
    /* All elements: a message without a list (nf_tables_delsetelem of the kernel). */
    begin(&clear);
    netstrat_batch_begin_nft(&batch, 0);
    netstrat_nft_begin(&batch, NETSTRAT_NFT_DELSETELEM, 0);
    netstrat_batch_put_string(&batch, NETSTRAT_NFTA_SET_ELEM_LIST_SET, "subnets4");
    netstrat_batch_finish(&batch);
    end(&clear);
}

/* ---- the operations ---- */

static int64_t measure_port(long loops)
{
    const int64_t start = now();

    for (; loops > 0; loops--) {
        transact(kept, &add);
        (void)exchange(kept, &generation);
        /* The value of the first attribute of either message. */
        memcpy(erase.data + 24, reply + 24, 4);
        dump(&ports);
        dump(&neighbours);
        transact(kept, &erase);
    }
    return now() - start;
}

static void enable(int number)
{
    char setting;
    int fd = open("/proc/sys/net/ipv4/conf/all/forwarding", O_RDONLY | O_CLOEXEC);

    if (read(fd, &setting, 1) < 0)
        exit(2);
    close(fd);
    fd = open_socket();
    transact(fd, &subnets[number]);
    close(fd);
}

/* Waits until the kernel has freed the deleted elements. The next close() of a socket that has sent
 * anything would wait for it (nft_rcv_nl_event of the kernel). */
static void wait_for_destruction(void)
{
    int fd = open_socket();

    (void)exchange(fd, &generation);
    close(fd);
}

static int64_t measure_egress(long loops)
{
    int64_t took = 0;

    while (loops > 0) {
        const int count = loops < SUBNETS ? (int)loops : SUBNETS;
        const int64_t start = now();

        for (int i = 0; i < count; i++)
            enable(i);
        took += now() - start;
        transact(kept, &clear);
        wait_for_destruction();
        loops -= count;
    }
    return took;
}

int main(void)
{
    char name[32];
    long loops;

    prepare();
    while (scanf("%31s %ld", name, &loops) == 2) {
        const int is_port = strcmp(name, "port") == 0;

        if (!is_port && strcmp(name, "egress") != 0) {
            fprintf(stderr, "bare_nft: no operation \"%s\"\n", name);
            return 2;
        }
        printf("%lld\n", (long long)(is_port ? measure_port(loops) : measure_egress(loops)));
        fflush(stdout);
    }
    return 0;
}
