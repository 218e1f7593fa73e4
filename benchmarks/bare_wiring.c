/* SPDX-License-Identifier: MIT */
/*
 * The bare system calls of wiring: the messages that pynetstrat sends, on sockets opened in the
 * same way, without any check. Only the indexes that later messages need are read from the replies.
 * This is the lower limit for the groups wire, cycle, wire_many, pairs_made and pairs_deleted of
 * work.py.
 *
 *   bare_wiring CONTAINERS PAIRS     answers each line "OPERATION LOOPS" with nanoseconds
 *
 * It works in a fresh network namespace with a bridge and CONTAINERS container namespaces, which
 * are made once and reused. The links that were made for a value are deleted after it, which is not
 * measured.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

enum { CONTAINERS = 256, PAIRS = 1000, PART = 125, MTU = 1400, GROUP = 77 };

static int containers, pairs;
static int namespaces[CONTAINERS];
static int cleaners[CONTAINERS]; /* sockets in the containers */
static int kept;                 /* a socket on the host, for work that is not measured */
static int bridge;
static _Alignas(8) unsigned char reply[32768];

/* ---- messages ---- */

static _Alignas(8) unsigned char data[PART * 256];
static size_t used;
static struct nlmsghdr *last;

static void put(uint16_t type, const void *value, size_t size)
{
    struct rtattr attribute = {.rta_len = (uint16_t)RTA_LENGTH(size), .rta_type = type};

    memcpy(data + used, &attribute, sizeof attribute);
    memset(data + used + sizeof attribute, 0, RTA_SPACE(size) - sizeof attribute);
    if (size > 0)
        memcpy(data + used + sizeof attribute, value, size);
    used += RTA_SPACE(size);
}

static void put_text(uint16_t type, const char *text)
{
    put(type, text, strlen(text) + 1);
}

static void put_number(uint16_t type, uint32_t value)
{
    put(type, &value, sizeof value);
}

static struct rtattr *nest(uint16_t type)
{
    struct rtattr *begun = (struct rtattr *)(void *)(data + used);

    put(type, NULL, 0);
    return begun;
}

static void append(const void *value, size_t size)
{
    memcpy(data + used, value, size);
    used += size;
}

static void end(struct rtattr *begun)
{
    begun->rta_len = (uint16_t)(data + used - (unsigned char *)begun);
}

static void begin(uint16_t type, uint16_t flags)
{
    struct nlmsghdr header = {.nlmsg_type = type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)};

    last = (struct nlmsghdr *)(void *)(data + used);
    append(&header, sizeof header);
}

static void finish(void)
{
    last->nlmsg_len = (uint32_t)(data + used - (unsigned char *)last);
}

static void begin_link(uint16_t type, uint16_t flags, int index, unsigned up, unsigned change)
{
    struct ifinfomsg info = {.ifi_index = index, .ifi_flags = up, .ifi_change = change};

    begin(type, flags);
    append(&info, sizeof info);
}

static void set_link(const char *name, unsigned up)
{
    begin_link(RTM_NEWLINK, NLM_F_ACK, 0, up, IFF_UP);
    put_text(IFLA_IFNAME, name);
    finish();
}

/* ---- exchanges ---- */

static int open_socket(void)
{
    const int on = 1;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    return fd;
}

struct visit {
    int netns;
    int fd;
};

static void *visit(void *argument)
{
    struct visit *here = argument;

    setns(here->netns, CLONE_NEWNET);
    here->fd = open_socket();
    return NULL;
}

static int open_socket_at(int netns)
{
    struct visit there = {.netns = netns};
    pthread_attr_t attributes;
    pthread_t thread;
    cpu_set_t here;

    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof here, &here);
    pthread_create(&thread, &attributes, visit, &there);
    pthread_attr_destroy(&attributes);
    pthread_join(thread, NULL);
    return there.fd;
}

static long receive(int fd)
{
    struct sockaddr_nl sender;
    socklen_t size = sizeof sender;

    return recvfrom(fd, reply, sizeof reply, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&sender,
                    &size);
}

/* Sends the batch and receives a number of answers. A refusal is an error of the benchmark. */
static void exchange(int fd, int answers)
{
    const struct nlmsgerr *verdict = (const void *)(reply + NLMSG_HDRLEN);

    send(fd, data, used, 0);
    used = 0;
    while (answers-- > 0)
        if (receive(fd) < 0 ||
            (((struct nlmsghdr *)(void *)reply)->nlmsg_type == NLMSG_ERROR && verdict->error)) {
            fprintf(stderr, "bare_wiring: refused: %s\n", strerror(-verdict->error));
            exit(2);
        }
}

/* Returns the index in the last answer. */
static int answered_index(void)
{
    return ((struct ifinfomsg *)(void *)(reply + NLMSG_HDRLEN))->ifi_index;
}

static int get_link(int fd, const char *name)
{
    begin_link(RTM_GETLINK, 0, 0, 0, 0);
    put_text(IFLA_IFNAME, name);
    put_number(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    finish();
    exchange(fd, 1);
    return answered_index();
}

/* Returns the index of the last link of a dump. */
static int dump_links(int fd)
{
    int index = 0;

    begin_link(RTM_GETLINK, NLM_F_DUMP, 0, 0, 0);
    put_number(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    finish();
    exchange(fd, 0);
    for (;;) {
        long length = receive(fd);
        long at = 0;

        while (at + (long)sizeof(struct nlmsghdr) <= length) {
            const struct nlmsghdr *header = (const void *)(reply + at);

            if (header->nlmsg_type != RTM_NEWLINK)
                return index;
            index =
                ((const struct ifinfomsg *)(const void *)(reply + at + NLMSG_HDRLEN))->ifi_index;
            at += NLMSG_ALIGN(header->nlmsg_len);
        }
    }
}

/* ---- the operations ---- */

static void name_host_end(int container, char name[IFNAMSIZ])
{
    snprintf(name, IFNAMSIZ, "veth%011x", (unsigned)container & 0xffff);
}

static void put_pair(const char *name, const char *peer)
{
    struct ifinfomsg info = {0};
    struct rtattr *kind, *kind_data, *other;

    put_text(IFLA_IFNAME, name);
    kind = nest(IFLA_LINKINFO);
    put_text(IFLA_INFO_KIND, "veth");
    kind_data = nest(IFLA_INFO_DATA);
    other = nest(VETH_INFO_PEER);
    append(&info, sizeof info);
    put_text(IFLA_IFNAME, peer);
    end(other);
    end(kind_data);
    end(kind);
}

static void add_pair(int host, const char *name, int container)
{
    unsigned char mac[6] = {0xfe, 0, 0, 0, 0, (unsigned char)container};
    const unsigned char peer_mac[6] = {2, 0, 0x5e, 0x10, 0, (unsigned char)container};
    struct ifinfomsg info = {0};
    struct rtattr *kind, *kind_data, *other;

    begin_link(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, 0, IFF_UP, IFF_UP);
    put_text(IFLA_IFNAME, name);
    put_number(IFLA_MTU, MTU);
    put_number(IFLA_MASTER, (uint32_t)bridge);
    put_number(IFLA_NUM_TX_QUEUES, 1);
    put_number(IFLA_NUM_RX_QUEUES, 1);
    put(IFLA_ADDRESS, mac, sizeof mac);
    kind = nest(IFLA_LINKINFO);
    put_text(IFLA_INFO_KIND, "veth");
    kind_data = nest(IFLA_INFO_DATA);
    other = nest(VETH_INFO_PEER);
    append(&info, sizeof info);
    put_text(IFLA_IFNAME, "eth0");
    put_number(IFLA_NET_NS_FD, (uint32_t)namespaces[container]);
    put_number(IFLA_MTU, MTU);
    put_number(IFLA_NUM_TX_QUEUES, 1);
    put_number(IFLA_NUM_RX_QUEUES, 1);
    put(IFLA_ADDRESS, peer_mac, sizeof peer_mac);
    end(other);
    end(kind_data);
    end(kind);
    finish();
    exchange(host, 1);
}

static void mark(int host, const char *name, int container)
{
    char alias[32];
    int length = snprintf(alias, sizeof alias, "pynetstrat:bench%d", container);

    begin_link(RTM_NEWLINK, NLM_F_ACK, 0, 0, 0);
    put_text(IFLA_IFNAME, name);
    put(IFLA_IFALIAS, alias, (size_t)length);
    finish();
    exchange(host, 1);
}

/* Adds the address and the default route and brings the link up, in one send. */
static void set_up(int fd, int index, int container)
{
    const unsigned char address[4] = {10, 9, 0, (unsigned char)(container + 2)};
    const unsigned char gateway[4] = {10, 9, 0, 1};
    struct ifaddrmsg where = {.ifa_family = AF_INET,
                              .ifa_prefixlen = 16,
                              .ifa_index = (unsigned)index};
    struct rtmsg route = {.rtm_family = AF_INET,
                          .rtm_table = RT_TABLE_MAIN,
                          .rtm_protocol = RTPROT_STATIC,
                          .rtm_scope = RT_SCOPE_UNIVERSE,
                          .rtm_type = RTN_UNICAST};

    begin(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    append(&where, sizeof where);
    put(IFA_LOCAL, address, sizeof address);
    put(IFA_ADDRESS, address, sizeof address);
    finish();
    begin_link(RTM_NEWLINK, NLM_F_ACK, index, IFF_UP, IFF_UP);
    finish();
    begin(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    append(&route, sizeof route);
    put(RTA_GATEWAY, gateway, sizeof gateway);
    put_number(RTA_OIF, (uint32_t)index);
    finish();
    exchange(fd, 3);
}

static void wire(int container)
{
    char name[IFNAMSIZ];
    int host = open_socket(), inside;
    int index;

    name_host_end(container, name);
    get_link(host, "br0");
    add_pair(host, name, container);
    mark(host, name, container);
    inside = open_socket_at(namespaces[container]);
    index = dump_links(inside);
    set_link("lo", IFF_UP);
    exchange(inside, 1);
    set_up(inside, index, container);
    close(host);
    close(inside);
}

static void unwire(int container)
{
    const struct rtgenmsg any = {.rtgen_family = AF_UNSPEC};
    const unsigned char pad[3] = {0};
    char name[IFNAMSIZ];
    int host = open_socket();
    int index;

    name_host_end(container, name);
    index = get_link(host, name);
    begin(RTM_GETNSID, 0);
    append(&any, sizeof any);
    append(pad, sizeof pad);
    put_number(NETNSA_FD, (uint32_t)namespaces[container]);
    finish();
    exchange(host, 1);
    begin_link(RTM_DELLINK, NLM_F_ACK, index, 0, 0);
    finish();
    exchange(host, 1);
    close(host);
}

static void add_pairs(void)
{
    for (int first = 0; first < pairs; first += PART) {
        int part = pairs - first < PART ? pairs - first : PART;

        for (int i = first; i < first + part; i++) {
            char name[IFNAMSIZ], peer[IFNAMSIZ];

            snprintf(name, sizeof name, "pair%d", i);
            snprintf(peer, sizeof peer, "riap%d", i);
            begin_link(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
            put_pair(name, peer);
            finish();
        }
        exchange(kept, part);
    }
}

/* Puts one end of each pair into a group, and deletes the group. */
static void delete_links(const int *indexes, int count)
{
    for (int first = 0; first < count; first += PART) {
        int part = count - first < PART ? count - first : PART;

        for (int i = first; i < first + part; i++) {
            begin_link(RTM_NEWLINK, NLM_F_ACK, indexes[i], 0, 0);
            put_number(IFLA_GROUP, GROUP);
            finish();
        }
        exchange(kept, part);
    }
    begin_link(RTM_DELLINK, NLM_F_ACK, 0, 0, 0);
    put_number(IFLA_GROUP, GROUP);
    finish();
    exchange(kept, 1);
}

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Makes and deletes the pairs, and measures one of the two. */
static int64_t measure_pairs(int deletion)
{
    int indexes[PAIRS] = {0};
    int64_t start, middle, after;

    start = now();
    add_pairs();
    middle = now();
    for (int i = 0; i < pairs; i++) {
        char name[IFNAMSIZ];

        snprintf(name, sizeof name, "pair%d", i);
        indexes[i] = get_link(kept, name);
    }
    after = now();
    delete_links(indexes, pairs);
    return deletion ? now() - after : middle - start;
}

static void clean(int wired)
{
    int indexes[CONTAINERS] = {0};

    for (int i = 0; i < wired; i++) {
        char name[IFNAMSIZ];

        name_host_end(i, name);
        indexes[i] = get_link(kept, name);
    }
    delete_links(indexes, wired);
    for (int i = 0; i < wired; i++) {
        set_link("lo", 0);
        exchange(cleaners[i], 1);
    }
}

static int64_t measure_wiring(long loops)
{
    int64_t took = 0;

    while (loops > 0) {
        int count = loops < containers ? (int)loops : containers;
        int64_t start = now();

        for (int i = 0; i < count; i++)
            wire(i);
        took += now() - start;
        clean(count);
        loops -= count;
    }
    return took;
}

static int64_t measure_cycle(long loops)
{
    int64_t start = now();

    for (long i = 0; i < loops; i++) {
        wire((int)(i % containers));
        unwire((int)(i % containers));
    }
    return now() - start;
}

static int64_t measure(const char *name, long loops)
{
    int64_t took = 0;

    if (strcmp(name, "wire") == 0)
        return measure_wiring(loops);
    if (strcmp(name, "cycle") == 0)
        return measure_cycle(loops);
    for (; loops > 0; loops--)
        if (strcmp(name, "wire_many") == 0)
            took += measure_wiring(containers);
        else if (strcmp(name, "pairs_made") == 0)
            took += measure_pairs(0);
        else if (strcmp(name, "pairs_deleted") == 0)
            took += measure_pairs(1);
        else {
            fprintf(stderr, "bare_wiring: no operation \"%s\"\n", name);
            exit(2);
        }
    return took;
}

static int new_namespace(void)
{
    if (unshare(CLONE_NEWNET) < 0) {
        perror("unshare");
        exit(2);
    }
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static void prepare(void)
{
    const unsigned char mac[6] = {2, 0, 0x5e, 0, 0, 1};
    int host = new_namespace();
    struct rtattr *kind;

    for (int i = 0; i < containers; i++) {
        namespaces[i] = new_namespace();
        cleaners[i] = open_socket();
    }
    setns(host, CLONE_NEWNET);
    kept = open_socket();
    begin_link(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, 0, IFF_UP, IFF_UP);
    put_text(IFLA_IFNAME, "br0");
    put(IFLA_ADDRESS, mac, sizeof mac);
    kind = nest(IFLA_LINKINFO);
    put_text(IFLA_INFO_KIND, "bridge");
    end(kind);
    finish();
    exchange(kept, 1);
    bridge = get_link(kept, "br0");
}

int main(int count, char **arguments)
{
    char name[32];
    long loops;

    containers = count == 3 ? atoi(arguments[1]) : 0;
    pairs = count == 3 ? atoi(arguments[2]) : 0;
    if (containers < 1 || containers > CONTAINERS || pairs < 1 || pairs > PAIRS) {
        fprintf(stderr, "bare_wiring CONTAINERS PAIRS (at most %d and %d)\n", CONTAINERS, PAIRS);
        return 2;
    }
    prepare();
    while (scanf("%31s %ld", name, &loops) == 2) {
        printf("%lld\n", (long long)measure(name, loops));
        fflush(stdout);
    }
    return 0;
}
