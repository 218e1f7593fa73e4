/* SPDX-License-Identifier: MIT */
/* Containers wired on a real kernel: links made, changed, moved and deleted, addresses, routes, ids
 * and names of namespaces, all read back. Every test has two fresh namespaces: a host's and a
 * container's. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "../../csrc/netstrat.h"
#include "check.h"
#include "failed.h"
#include "sandbox.h"
#include "veth.h"

#include <linux/if_addr.h>

/* Not in the headers of older kernels. */
enum { NOPREFIXROUTE = 0x200, MACVLAN_BRIDGE = 4, GETNSID = 90 };

struct place {
    int netns;
    struct netstrat_socket sock;
    unsigned char buffer[NETSTRAT_BUFFER_SIZE];
};

static struct place host, container;
static struct netstrat_error error;
static unsigned char requests[4096];
static struct netstrat_batch batch;

static void open_place(struct place *place)
{
    place->netns = netstrat_netns_create(&error);
    CHECK(place->netns >= 0);
    CHECK(netstrat_socket_open_at(&place->sock, place->buffer, sizeof place->buffer, place->netns,
                                  &error) == 0);
}

static void close_place(struct place *place)
{
    netstrat_socket_close(&place->sock);
    close(place->netns);
}

static void in_two_namespaces(void (*test)(void))
{
    open_place(&host);
    open_place(&container);
    netstrat_batch_init(&batch, requests, sizeof requests);
    test();
    close_place(&host);
    close_place(&container);
}

/* Sends the batch, of which nothing is left then. */
static int carry_out(struct place *place)
{
    int results[16];
    int code = netstrat_execute(&place->sock, &batch, results, &error);

    netstrat_batch_init(&batch, requests, sizeof requests);
    return code;
}

/* The same where it has to work: what went wrong is printed. */
static void carry_out_all(struct place *place)
{
    char text[512];
    int code = carry_out(place);

    if (code < 0) {
        netstrat_error_describe(&error, NULL, text, sizeof text);
        printf("  message %u: %s\n", (unsigned)error.item, text);
    }
    CHECK(code == 0);
}

static int is_refused(struct place *place, int wanted, uint32_t request)
{
    return refused_with(&error, carry_out(place), wanted, request);
}

static struct netstrat_link link_of(struct place *place, const char *name)
{
    struct netstrat_link link;

    memset(&link, 0, sizeof link);
    CHECK(netstrat_link_get(&place->sock, name, &link, NULL, &error) == 0);
    return link;
}

static int has_link(struct place *place, const char *name)
{
    struct netstrat_link link;
    int code = netstrat_link_get(&place->sock, name, &link, NULL, &error);

    CHECK(code == 0 || code == -ENODEV);
    return code == 0;
}

static int count_links(struct place *place)
{
    struct netstrat_link_name names[32];

    return netstrat_link_names_dump(&place->sock, NULL, names, 32, &error);
}

static struct netstrat_link_settings settings_of(const char *name)
{
    struct netstrat_link_settings settings;

    memset(&settings, 0, sizeof settings);
    if (name) {
        settings.set = NETSTRAT_LINK_NAME;
        memcpy(settings.name, name, strlen(name));
    }
    return settings;
}

/* Makes a link of a kind without more to it, and gives its index. */
static int32_t make(struct place *place, const char *kind, const char *name, int up)
{
    struct netstrat_link_settings settings = settings_of(name);

    settings.set |= NETSTRAT_LINK_UP;
    settings.up = (uint32_t)up;
    CHECK(netstrat_batch_add_link(&batch, kind, &settings) == 0);
    carry_out_all(place);
    return link_of(place, name).index;
}

/* Makes a pair, both ends of it here, and gives the first one's index. */
static int32_t make_pair(struct place *place, const char *name, const char *peer)
{
    struct netstrat_link_settings own = settings_of(name), other = settings_of(peer);

    CHECK(netstrat_batch_add_veth(&batch, &own, &other) == 0);
    carry_out_all(place);
    return link_of(place, name).index;
}

static struct netstrat_prefix prefix_of(const char *text)
{
    struct netstrat_prefix prefix;

    memset(&prefix, 0, sizeof prefix);
    CHECK(netstrat_prefix_parse(text, &prefix) == 0);
    return prefix;
}

static int is_prefix(const struct netstrat_prefix *prefix, const char *text)
{
    struct netstrat_prefix wanted = prefix_of(text);

    return memcmp(prefix, &wanted, sizeof wanted) == 0;
}

static struct netstrat_address address_of(int32_t index, const char *text)
{
    struct netstrat_address address;

    memset(&address, 0, sizeof address);
    address.index = index;
    address.local = prefix_of(text);
    address.flags = IFA_F_NODAD;
    address.valid = address.preferred = UINT32_MAX;
    return address;
}

static void add_address(int32_t index, const char *text)
{
    struct netstrat_address address = address_of(index, text);

    CHECK(netstrat_batch_add_address(&batch, &address, 0) == 0);
}

static struct netstrat_route route_of(const char *destination, int32_t index)
{
    struct netstrat_route route;

    memset(&route, 0, sizeof route);
    route.destination = prefix_of(destination);
    route.index = index;
    route.table = RT_TABLE_MAIN;
    route.type = RTN_UNICAST;
    route.protocol = RTPROT_STATIC;
    return route;
}

static struct netstrat_cursor rows_of(struct place *place,
                                      int (*dump)(struct netstrat_batch *batch))
{
    static unsigned char rows[65536];
    struct netstrat_cursor rest = {rows, 0, 0, 0};

    CHECK(dump(&batch) == 0);
    CHECK(netstrat_dump_copy(&place->sock, &batch, rows, sizeof rows, &rest.end, &error) == 0);
    CHECK(rest.end <= sizeof rows);
    netstrat_batch_init(&batch, requests, sizeof requests);
    return rest;
}

static int32_t dumped_link; /* 0: all */

static int dump_addresses(struct netstrat_batch *to)
{
    return netstrat_batch_dump_addresses(to, dumped_link);
}

/* Looks for an address by its text; how many there are of all kinds. */
static int find_address(struct place *place, const char *text, struct netstrat_address *found)
{
    struct netstrat_cursor rest = rows_of(place, dump_addresses);
    struct netstrat_message message;
    struct netstrat_address address;
    int count = 0;

    memset(found, 0, sizeof *found);
    while (netstrat_message_next(&rest, &message) > 0) {
        CHECK(netstrat_address_decode(&message, &address) == 0);
        if (is_prefix(&address.local, text))
            *found = address;
        count++;
    }
    return count;
}

static int has_address(struct place *place, const char *text)
{
    struct netstrat_address found;

    (void)find_address(place, text, &found);
    return found.index != 0;
}

static int dump_routes(struct netstrat_batch *to)
{
    return netstrat_batch_dump_routes(to, 0);
}

/* Looks for a route by its destination and table. */
static struct netstrat_route find_route(struct place *place, const char *destination,
                                        uint32_t table)
{
    struct netstrat_cursor rest = rows_of(place, dump_routes);
    struct netstrat_message message;
    struct netstrat_route route, found;

    memset(&found, 0, sizeof found);
    while (netstrat_message_next(&rest, &message) > 0) {
        CHECK(netstrat_route_decode(&message, &route) == 0);
        if (is_prefix(&route.destination, destination) && route.table == table)
            found = route;
    }
    return found;
}

/* ---- a container, whole ---- */

static void connect_to(int family, const char *text)
{
    struct sockaddr_in6 six;
    struct sockaddr_in four;
    int client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memset(&six, 0, sizeof six);
    memset(&four, 0, sizeof four);
    four.sin_family = AF_INET;
    four.sin_port = six.sin6_port = htons(7000);
    six.sin6_family = AF_INET6;
    if (family == AF_INET) {
        CHECK(inet_pton(family, text, &four.sin_addr) == 1);
        CHECK(connect(client, (const struct sockaddr *)&four, sizeof four) == 0);
    } else {
        CHECK(inet_pton(family, text, &six.sin6_addr) == 1);
        CHECK(connect(client, (const struct sockaddr *)&six, sizeof six) == 0);
    }
    close(client);
}

/* A listener stays in the namespace in which it was made. */
static void talk(void)
{
    struct sockaddr_in6 any;
    int server;

    memset(&any, 0, sizeof any);
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(7000);
    CHECK(netstrat_netns_enter(container.netns, &error) == 0);
    server = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(server, (const struct sockaddr *)&any, sizeof any) == 0 && listen(server, 8) == 0);
    connect_to(AF_INET6, "::1"); /* lo */
    CHECK(netstrat_netns_enter(host.netns, &error) == 0);
    connect_to(AF_INET6, "fd00::3");
    connect_to(AF_INET, "10.1.2.3");
}

static void a_container_is_wired_and_can_be_used_at_once(void)
{
    static const unsigned char mac[6] = {2, 1, 2, 3, 4, 5};
    int32_t bridge = make(&host, "bridge", "br0", 1), taken = make(&host, "ifb", "eth0", 0);
    struct netstrat_link_settings own = settings_of("h0"), peer = settings_of("eth0");
    struct netstrat_link_settings mark = settings_of(NULL), up = settings_of(NULL);
    struct netstrat_route route;
    struct netstrat_link link;

    add_address(bridge, "10.1.2.1/24");
    add_address(bridge, "fd00::1/64");
    carry_out_all(&host);

    /* The pair, in one message. */
    own.set |= NETSTRAT_LINK_UP | NETSTRAT_LINK_MASTER | NETSTRAT_LINK_MTU | NETSTRAT_LINK_INDEX;
    own.up = 1;
    own.master = bridge;
    own.mtu = peer.mtu = 1400;
    own.index = 100;
    peer.set |= NETSTRAT_LINK_NETNS | NETSTRAT_LINK_MTU | NETSTRAT_LINK_INDEX | NETSTRAT_LINK_MAC |
                NETSTRAT_LINK_TXQUEUELEN | NETSTRAT_LINK_GROUP;
    peer.netns = container.netns;
    peer.index = 200;
    peer.txqueuelen = 77;
    peer.group = 5;
    peer.mac_length = sizeof mac;
    memcpy(peer.mac, mac, sizeof mac);
    CHECK(netstrat_batch_add_veth(&batch, &own, &peer) == 0);
    carry_out_all(&host);

    /* Mark and hairpin. */
    mark.set = NETSTRAT_LINK_ALIAS | NETSTRAT_LINK_HAIRPIN;
    mark.hairpin = 1;
    memcpy(mark.alias, "ours", 4);
    CHECK(netstrat_batch_set_link(&batch, 100, NULL, &mark) == 0);
    carry_out_all(&host);

    /* The container's side, in one send. */
    add_address(200, "10.1.2.3/24");
    add_address(200, "fd00::3/64");
    up.set = NETSTRAT_LINK_UP;
    up.up = 1;
    CHECK(netstrat_batch_set_link(&batch, 200, NULL, &up) == 0);
    CHECK(netstrat_batch_set_link_flags(&batch, "lo", IFF_UP, IFF_UP) == 0);
    route = route_of("0.0.0.0/0", 200);
    route.gateway = prefix_of("10.1.2.1");
    CHECK(netstrat_batch_add_route(&batch, &route) == 0);
    route = route_of("::/0", 200);
    route.gateway = prefix_of("fd00::1");
    CHECK(netstrat_batch_add_route(&batch, &route) == 0);
    carry_out_all(&container);
    in_child(talk);

    link = link_of(&host, "h0");
    CHECK(link.index == 100 && link.mtu == 1400 && link.master == bridge && link.peer == 200);
    CHECK(link.peer_nsid >= 0 && link.hairpin == 1 && !strcmp(link.alias, "ours"));
    CHECK((link.flags & IFF_UP) && !strcmp(link.kind, "veth"));
    link = link_of(&container, "eth0");
    CHECK(link.index == 200 && link.mtu == 1400 && link.txqueuelen == 77 && link.peer == 100);
    CHECK(link.mac_length == 6 && !memcmp(link.mac, mac, 6) && link.group == 5);
    CHECK(link_of(&host, "eth0").index == taken);
    route = find_route(&container, "0.0.0.0/0", RT_TABLE_MAIN);
    CHECK(is_prefix(&route.gateway, "10.1.2.1") && route.index == 200);
    route = find_route(&container, "::/0", RT_TABLE_MAIN);
    CHECK(is_prefix(&route.gateway, "fd00::1") && route.index == 200);
    CHECK(has_address(&container, "10.1.2.3/24") && has_address(&container, "fd00::3/64"));

    /* Either end takes both away. */
    CHECK(netstrat_batch_delete_link(&batch, 200, NULL) == 0);
    carry_out_all(&container);
    CHECK(!has_link(&host, "h0") && !has_link(&container, "eth0"));
}

static void a_pair_that_cannot_be_made_leaves_nothing(void)
{
    struct netstrat_link_settings own = settings_of("h0"), peer = settings_of("eth0");

    (void)make(&host, "ifb", "taken", 0);
    (void)make(&container, "ifb", "taken", 0);
    peer.set |= NETSTRAT_LINK_NETNS;
    peer.netns = container.netns;
    for (int row = 0; row < 4; row++) {
        struct netstrat_link_settings one = own, other = peer;
        int wanted = row < 2 ? -EEXIST : row == 2 ? -EINVAL : -EBADF;

        if (row == 0)
            memcpy(one.name, "taken", 6);
        if (row == 1)
            memcpy(other.name, "taken", 6);
        if (row == 2) { /* not the index of anything */
            one.set |= NETSTRAT_LINK_MASTER;
            one.master = 999;
        }
        if (row == 3)
            other.netns = 999; /* not a descriptor */
        CHECK(netstrat_batch_add_veth(&batch, &one, &other) == 0);
        CHECK(is_refused(&host, wanted, RTM_NEWLINK));
        CHECK(count_links(&host) == 2 && count_links(&container) == 2);
    }
}

static void the_kernel_chooses_a_number_for_percent_d(void)
{
    struct netstrat_link_settings own = settings_of("a%d"), peer = settings_of("b%d");

    CHECK(netstrat_batch_add_veth(&batch, &own, &peer) == 0);
    CHECK(netstrat_batch_add_veth(&batch, &own, &peer) == 0);
    carry_out_all(&host);
    CHECK(has_link(&host, "a0") && has_link(&host, "a1") && has_link(&host, "b1"));
}

/* ---- links of other kinds ---- */

static void a_macvlan_is_made_in_another_namespace(void)
{
    int32_t parent = make(&host, "ifb", "parent", 1);
    struct netstrat_link_settings settings = settings_of("mv0");
    struct netstrat_link link;

    settings.set |= NETSTRAT_LINK_NETNS | NETSTRAT_LINK_UP | NETSTRAT_LINK_INDEX;
    settings.netns = container.netns;
    settings.up = 1;
    settings.index = 50;
    CHECK(netstrat_batch_add_macvlan(&batch, parent, MACVLAN_BRIDGE, &settings) == 0);
    carry_out_all(&host);
    CHECK(!has_link(&host, "mv0"));
    link = link_of(&container, "mv0");
    CHECK(link.index == 50 && link.peer == parent && !strcmp(link.kind, "macvlan"));
    CHECK((link.flags & IFF_UP) != 0);
    CHECK(netstrat_batch_add_macvlan(&batch, parent, 99, &settings) == 0);
    CHECK(is_refused(&host, -EINVAL, RTM_NEWLINK));
}

static void a_link_of_a_plain_kind_is_made(void)
{
    struct netstrat_link_settings settings = settings_of("never");

    (void)make(&host, "ifb", "ifb7", 1);
    CHECK(!strcmp(link_of(&host, "ifb7").kind, "ifb"));
    CHECK(!strcmp(link_of(&host, "lo").kind, ""));
    CHECK(netstrat_batch_add_link(&batch, "no such kind", &settings) == 0);
    CHECK(is_refused(&host, -EOPNOTSUPP, RTM_NEWLINK));
}

/* ---- changes ---- */

static void set(int32_t index, const struct netstrat_link_settings *settings)
{
    CHECK(netstrat_batch_set_link(&batch, index, NULL, settings) == 0);
    carry_out_all(&host);
}

static void each_field_of_a_link_is_set_and_read_back(void)
{
    static const unsigned char mac[6] = {2, 9, 8, 7, 6, 5};
    int32_t bridge = make(&host, "bridge", "br0", 0), index = make_pair(&host, "d0", "d1");
    struct netstrat_link_settings change = settings_of(NULL);

    change.set = NETSTRAT_LINK_MTU;
    change.mtu = 1234;
    set(index, &change);
    CHECK(link_of(&host, "d0").mtu == 1234);
    change.set = NETSTRAT_LINK_TXQUEUELEN;
    change.txqueuelen = 4321;
    set(index, &change);
    CHECK(link_of(&host, "d0").txqueuelen == 4321);
    change.set = NETSTRAT_LINK_GROUP;
    change.group = 0xfffffffe;
    set(index, &change);
    CHECK(link_of(&host, "d0").group == 0xfffffffe);
    change.set = NETSTRAT_LINK_MAC;
    change.mac_length = 6;
    memcpy(change.mac, mac, 6);
    set(index, &change);
    CHECK(memcmp(link_of(&host, "d0").mac, mac, 6) == 0);
    change.set = NETSTRAT_LINK_ALIAS;
    memset(change.alias, 'a', sizeof change.alias - 1);
    set(index, &change);
    CHECK(strcmp(link_of(&host, "d0").alias, change.alias) == 0); /* 255 bytes: the most */
    change.alias[0] = '\0';
    set(index, &change);
    CHECK(link_of(&host, "d0").alias[0] == '\0');
    change.set = NETSTRAT_LINK_MASTER;
    change.master = bridge;
    set(index, &change);
    CHECK(link_of(&host, "d0").master == bridge && link_of(&host, "d0").hairpin == 0);
    change.set = NETSTRAT_LINK_HAIRPIN;
    change.hairpin = 1;
    set(index, &change);
    CHECK(link_of(&host, "d0").hairpin == 1);
    change.hairpin = 0;
    set(index, &change);
    CHECK(link_of(&host, "d0").hairpin == 0);
    change.set = NETSTRAT_LINK_MASTER;
    change.master = 0;
    set(index, &change);
    CHECK(link_of(&host, "d0").master == 0 && link_of(&host, "d0").hairpin == -1);
    change = settings_of("renamed");
    set(index, &change);
    CHECK(link_of(&host, "renamed").index == index && !has_link(&host, "d0"));

    /* Up and down, by name; what came before stays. */
    change = settings_of(NULL);
    change.set = NETSTRAT_LINK_UP;
    change.up = 9;
    CHECK(netstrat_batch_set_link(&batch, 0, "renamed", &change) == 0);
    carry_out_all(&host);
    CHECK((link_of(&host, "renamed").flags & IFF_UP) && link_of(&host, "renamed").mtu == 1234);
    change.up = 0;
    CHECK(netstrat_batch_set_link(&batch, 0, "renamed", &change) == 0);
    carry_out_all(&host);
    CHECK(!(link_of(&host, "renamed").flags & IFF_UP));
}

static void hairpin_comes_first_and_what_was_done_stays(void)
{
    int32_t bridge = make(&host, "bridge", "br0", 0), index = make_pair(&host, "d0", "d1");
    struct netstrat_link_settings change = settings_of(NULL);

    change.set = NETSTRAT_LINK_MASTER | NETSTRAT_LINK_HAIRPIN; /* not a port yet */
    change.master = bridge;
    change.hairpin = 1;
    CHECK(netstrat_batch_set_link(&batch, index, NULL, &change) == 0);
    CHECK(is_refused(&host, -EOPNOTSUPP, RTM_NEWLINK));
    CHECK(link_of(&host, "d0").master == 0);
    change.set = NETSTRAT_LINK_MASTER;
    set(index, &change);
    change.set = NETSTRAT_LINK_HAIRPIN | NETSTRAT_LINK_MTU; /* of which the MTU is refused */
    change.mtu = 1;
    CHECK(netstrat_batch_set_link(&batch, index, NULL, &change) == 0);
    CHECK(is_refused(&host, -EINVAL, RTM_NEWLINK));
    CHECK(link_of(&host, "d0").hairpin == 1);
}

static void a_link_that_is_not_there_is_not_changed(void)
{
    struct netstrat_link_settings change = settings_of(NULL);

    change.set = NETSTRAT_LINK_UP;
    change.up = 1;
    CHECK(netstrat_batch_set_link(&batch, 999, NULL, &change) == 0);
    CHECK(is_refused(&host, -ENODEV, RTM_NEWLINK));
    CHECK(netstrat_batch_set_link(&batch, 0, "nothing", &change) == 0);
    CHECK(is_refused(&host, -ENODEV, RTM_NEWLINK));
    CHECK(netstrat_batch_set_link(&batch, 0, "not-there-but-16-bytes-and-more", &change) == 0);
    CHECK(is_refused(&host, -ENODEV, RTM_NEWLINK));
    CHECK(!(link_of(&host, "lo").flags & IFF_UP));
}

static void a_link_is_deleted_by_index_name_and_alternative_name(void)
{
    char alternative[NETSTRAT_ALT_NAME_SIZE];
    int32_t first = make(&host, "ifb", "d0", 0), third;

    (void)make(&host, "ifb", "d1", 0);
    third = make(&host, "ifb", "d2", 0);
    CHECK(add_alt_names(&host.sock, third, 1) == 0);
    alt_name(third, 0, alternative);
    CHECK(netstrat_batch_delete_link(&batch, first, "d1") == 0); /* the index counts */
    carry_out_all(&host);
    CHECK(!has_link(&host, "d0") && has_link(&host, "d1"));
    CHECK(netstrat_batch_delete_link(&batch, 0, "d1") == 0);
    CHECK(netstrat_batch_delete_link(&batch, 0, alternative) == 0);
    carry_out_all(&host);
    CHECK(count_links(&host) == 1);
    CHECK(netstrat_batch_delete_link(&batch, 0, "d1") == 0);
    CHECK(is_refused(&host, -ENODEV, RTM_DELLINK));
    CHECK(netstrat_batch_delete_link(&batch, first, NULL) == 0);
    CHECK(is_refused(&host, -ENODEV, RTM_DELLINK));
}

static void a_group_is_deleted_whole_or_not_at_all(void)
{
    struct netstrat_link_settings grouped = settings_of(NULL);

    (void)make_pair(&host, "a0", "a1");
    (void)make_pair(&host, "b0", "b1");
    (void)make(&host, "ifb", "other", 0);
    grouped.set = NETSTRAT_LINK_GROUP;
    grouped.group = 0x80000001;
    set(link_of(&host, "a0").index, &grouped);
    set(link_of(&host, "b1").index, &grouped);
    set(link_of(&host, "lo").index, &grouped); /* which can't be deleted */
    CHECK(netstrat_batch_delete_link_group(&batch, 0x80000001) == 0);
    CHECK(is_refused(&host, -EOPNOTSUPP, RTM_DELLINK));
    CHECK(count_links(&host) == 6);
    grouped.group = 0;
    set(link_of(&host, "lo").index, &grouped);
    CHECK(netstrat_batch_delete_link_group(&batch, 0x80000001) == 0);
    carry_out_all(&host);
    CHECK(count_links(&host) == 2 && has_link(&host, "other"));
    CHECK(netstrat_batch_delete_link_group(&batch, 0x80000001) == 0);
    CHECK(is_refused(&host, -ENODEV, RTM_DELLINK));
}

/* ---- moves ---- */

static void move(int32_t index, const char *name, int32_t new_index)
{
    struct netstrat_link_settings settings = settings_of(name);

    settings.set |= NETSTRAT_LINK_NETNS | NETSTRAT_LINK_INDEX;
    settings.netns = container.netns;
    settings.index = new_index;
    CHECK(netstrat_batch_set_link(&batch, index, NULL, &settings) == 0);
}

static void a_link_is_moved_with_a_new_index_and_name(void)
{
    int32_t index = make(&host, "ifb", "d0", 0);

    move(index, "eth0", 70);
    carry_out_all(&host);
    CHECK(!has_link(&host, "d0") && link_of(&container, "eth0").index == 70);
    CHECK(!has_link(&container, "d0"));
    index = make(&host, "ifb", "d1", 0);
    move(index, "eth%d", 71);
    carry_out_all(&host);
    CHECK(link_of(&container, "eth1").index == 71);
}

static void a_link_keeps_its_old_name_where_the_new_one_is_taken(void)
{
    int32_t bridge = make(&host, "bridge", "br0", 1), index = make(&host, "ifb", "d0", 1);
    struct netstrat_link_settings change = settings_of(NULL), back = settings_of("d0");
    struct netstrat_link link;

    change.set = NETSTRAT_LINK_MASTER;
    change.master = bridge;
    set(index, &change);
    (void)make(&container, "ifb", "eth0", 0);
    move(index, "eth0", 70);
    CHECK(is_refused(&host, -EEXIST, RTM_NEWLINK));
    link = link_of(&container, "d0"); /* moved all the same, and can be found */
    CHECK(link.index == 70 && !(link.flags & IFF_UP) && !has_link(&host, "d0"));

    /* One message brings it back as it was. */
    back.set |= NETSTRAT_LINK_NETNS | NETSTRAT_LINK_INDEX | NETSTRAT_LINK_MASTER | NETSTRAT_LINK_UP;
    back.netns = host.netns;
    back.index = index;
    back.master = bridge;
    back.up = 1;
    CHECK(netstrat_batch_set_link(&batch, 70, NULL, &back) == 0);
    carry_out_all(&container);
    link = link_of(&host, "d0");
    CHECK(link.index == index && link.master == bridge && (link.flags & IFF_UP));
}

static void a_taken_old_name_is_no_obstacle_if_there_is_a_new_one(void)
{
    int32_t index = make(&host, "ifb", "d0", 0);

    (void)make(&container, "ifb", "d0", 0);
    move(index, "eth0", 70);
    carry_out_all(&host);
    CHECK(link_of(&container, "eth0").index == 70 && !has_link(&host, "d0"));
}

static void a_link_stays_where_both_names_or_the_index_are_taken(void)
{
    int32_t index = make(&host, "ifb", "d0", 0), taken;

    (void)make(&container, "ifb", "d0", 0);
    taken = make(&container, "ifb", "eth0", 0);
    move(index, "eth0", 70);
    CHECK(is_refused(&host, -EEXIST, RTM_NEWLINK));
    CHECK(link_of(&host, "d0").index == index);
    move(index, NULL, 70);
    CHECK(is_refused(&host, -EEXIST, RTM_NEWLINK));
    CHECK(link_of(&host, "d0").index == index);
    move(index, "eth7", taken);
    CHECK(is_refused(&host, -EBUSY, RTM_NEWLINK));
    CHECK(link_of(&host, "d0").index == index && count_links(&container) == 3);
}

static void lo_and_a_bridge_cannot_be_moved(void)
{
    move(1, "lo2", 70);
    CHECK(is_refused(&host, -EINVAL, RTM_NEWLINK));
    move(make(&host, "bridge", "br0", 0), NULL, 70);
    CHECK(is_refused(&host, -EINVAL, RTM_NEWLINK));
    CHECK(count_links(&host) == 2 && count_links(&container) == 1);
}

/* ---- addresses ---- */

static void an_address_is_added_with_all_that_it_has_and_read_back(void)
{
    int32_t index = make(&host, "ifb", "d0", 1);
    struct netstrat_address address = address_of(index, "192.0.2.1"), found, again;

    address.peer = prefix_of("198.51.100.2/30");
    address.broadcast = prefix_of("198.51.100.3");
    address.flags = NOPREFIXROUTE | IFA_F_NODAD;
    address.metric = 77;
    address.valid = 100000;
    address.preferred = 50000;
    address.scope = RT_SCOPE_LINK;
    address.protocol = 99;
    memcpy(address.label, "d0:x", 4);
    CHECK(netstrat_batch_add_address(&batch, &address, 0) == 0);
    carry_out_all(&host);
    (void)find_address(&host, "192.0.2.1/32", &found);
    CHECK(found.index == index && is_prefix(&found.peer, "198.51.100.2/30"));
    CHECK(is_prefix(&found.broadcast, "198.51.100.3") && found.metric == 77);
    CHECK(found.valid <= 100000 && found.valid > 99000 && found.preferred <= 50000);
    CHECK(found.scope == RT_SCOPE_LINK && found.protocol == 99 && !strcmp(found.label, "d0:x"));
    CHECK((found.flags & NOPREFIXROUTE) && !(found.flags & IFA_F_PERMANENT));
    CHECK(find_route(&host, "198.51.100.0/30", RT_TABLE_MAIN).index == 0);

    /* What was read can be deleted, and added again as it was. */
    CHECK(netstrat_batch_delete_address(&batch, &found) == 0);
    CHECK(netstrat_batch_add_address(&batch, &found, 0) == 0);
    carry_out_all(&host);
    (void)find_address(&host, "192.0.2.1/32", &again);
    again.valid = found.valid; /* which count down */
    again.preferred = found.preferred;
    CHECK(memcmp(&again, &found, sizeof found) == 0);
}

static void an_address_of_ipv6_is_added_with_all_that_it_has_and_read_back(void)
{
    int32_t index = make(&host, "ifb", "d0", 1);
    struct netstrat_address address = address_of(index, "2001:db8::1"), found;

    address.peer = prefix_of("2001:db8::8/125");
    address.metric = 77;
    address.valid = UINT32_MAX;
    address.preferred = 0; /* deprecated */
    address.protocol = 99;
    CHECK(netstrat_batch_add_address(&batch, &address, 0) == 0);
    carry_out_all(&host);
    (void)find_address(&host, "2001:db8::1/128", &found);
    CHECK(found.index == index && is_prefix(&found.peer, "2001:db8::8/125"));
    CHECK(found.metric == 77 && found.protocol == 99 && found.label[0] == '\0');
    CHECK(found.valid == UINT32_MAX && found.preferred == 0);
    CHECK((found.flags & IFA_F_NODAD) && !(found.flags & IFA_F_TENTATIVE));
    CHECK(netstrat_batch_delete_address(&batch, &found) == 0);
    carry_out_all(&host);
    CHECK(!has_address(&host, "2001:db8::1/128"));
}

static void an_address_that_is_there_is_replaced_if_asked(void)
{
    int32_t index = make(&host, "ifb", "d0", 1);
    struct netstrat_address address, found;
    static const char *const texts[] = {"192.0.2.1/24", "2001:db8::1/64"};

    for (size_t i = 0; i < 2; i++) {
        address = address_of(index, texts[i]);
        CHECK(netstrat_batch_add_address(&batch, &address, 0) == 0);
        carry_out_all(&host);
        address.metric = 55;
        CHECK(netstrat_batch_add_address(&batch, &address, 0) == 0);
        CHECK(is_refused(&host, -EEXIST, RTM_NEWADDR));
        (void)find_address(&host, texts[i], &found);
        CHECK(found.metric == 0 || found.metric == 256); /* IPv6 names its default */
        CHECK(netstrat_batch_add_address(&batch, &address, 1) == 0);
        carry_out_all(&host);
        (void)find_address(&host, texts[i], &found);
        CHECK(found.metric == 55 && (found.flags & IFA_F_PERMANENT) && found.valid == UINT32_MAX);
        CHECK(netstrat_batch_delete_address(&batch, &address) == 0);
        carry_out_all(&host);
        CHECK(!has_address(&host, texts[i]));
        CHECK(netstrat_batch_delete_address(&batch, &address) == 0);
        CHECK(is_refused(&host, -EADDRNOTAVAIL, RTM_DELADDR));
    }
}

static void a_strict_socket_gives_the_addresses_of_one_link(void)
{
    int32_t first = make(&host, "ifb", "d0", 0), second = make(&host, "ifb", "d1", 0);
    struct netstrat_address found;

    add_address(first, "192.0.2.1/24");
    add_address(second, "192.0.2.2/24");
    add_address(second, "198.51.100.1/24");
    carry_out_all(&host);
    dumped_link = second;
    CHECK(find_address(&host, "192.0.2.1/24", &found) == 3); /* an ordinary one gives all */
    CHECK(netstrat_socket_set_strict(&host.sock, &error) == 0);
    CHECK(find_address(&host, "192.0.2.1/24", &found) == 2 && found.index == 0);
    CHECK(find_address(&host, "198.51.100.1/24", &found) == 2 && found.index == second);
    dumped_link = 0;
    CHECK(find_address(&host, "192.0.2.1/24", &found) == 3 && found.index == first);
    CHECK(find_route(&host, "192.0.2.0/24", RT_TABLE_MAIN).table == 0); /* down: no routes */
}

/* ---- routes ---- */

static void a_route_is_added_with_all_that_it_has_and_read_back(void)
{
    int32_t index = make(&host, "ifb", "d0", 1);
    struct netstrat_route route = route_of("198.51.100.0/24", index), found;

    add_address(index, "192.0.2.1/24");
    route.gateway = prefix_of("203.0.113.1"); /* not on the link's subnet */
    route.source = prefix_of("192.0.2.1");
    route.metric = 77;
    route.table = 1000;
    route.protocol = 42;
    CHECK(netstrat_batch_add_route(&batch, &route) == 0);
    CHECK(is_refused(&host, -ENETUNREACH, RTM_NEWROUTE));
    route.flags = RTNH_F_ONLINK;
    CHECK(netstrat_batch_add_route(&batch, &route) == 0);
    carry_out_all(&host);
    found = find_route(&host, "198.51.100.0/24", 1000);
    CHECK(is_prefix(&found.gateway, "203.0.113.1") && is_prefix(&found.source, "192.0.2.1"));
    CHECK(found.metric == 77 && found.index == index && found.protocol == 42);
    CHECK(found.type == RTN_UNICAST && found.scope == RT_SCOPE_UNIVERSE);
    CHECK(found.flags == RTNH_F_ONLINK);
    CHECK(netstrat_batch_add_route(&batch, &route) == 0);
    CHECK(is_refused(&host, -EEXIST, RTM_NEWROUTE));

    /* What was read can be deleted, and added again as it was. */
    CHECK(netstrat_batch_delete_route(&batch, &found) == 0);
    carry_out_all(&host);
    CHECK(find_route(&host, "198.51.100.0/24", 1000).table == 0);
    CHECK(netstrat_batch_delete_route(&batch, &found) == 0);
    CHECK(is_refused(&host, -ESRCH, RTM_DELROUTE));
    CHECK(netstrat_batch_add_route(&batch, &found) == 0);
    carry_out_all(&host);
    route = find_route(&host, "198.51.100.0/24", 1000);
    CHECK(memcmp(&route, &found, sizeof found) == 0);
}

static void a_route_of_ipv6_is_added_and_deleted(void)
{
    int32_t index = make(&host, "ifb", "d0", 1);
    struct netstrat_route route = route_of("::/0", index), found;

    add_address(index, "2001:db8::1/64");
    route.gateway = prefix_of("2001:db8::2");
    route.table = 255 + 1;
    CHECK(netstrat_batch_add_route(&batch, &route) == 0);
    carry_out_all(&host);
    found = find_route(&host, "::/0", 256);
    CHECK(is_prefix(&found.gateway, "2001:db8::2") && found.metric == 1024 && found.index == index);
    CHECK(netstrat_batch_delete_route(&batch, &found) == 0);
    carry_out_all(&host);
    CHECK(find_route(&host, "::/0", 256).table == 0);
}

static void a_route_without_a_gateway_has_the_scope_of_the_link(void)
{
    int32_t index = make(&host, "ifb", "d0", 1);
    struct netstrat_route route = route_of("198.51.100.7", index), found;

    route.scope = RT_SCOPE_LINK;
    CHECK(netstrat_batch_add_route(&batch, &route) == 0);
    route = route_of("203.0.113.0/24", 0);
    route.type = RTN_BLACKHOLE;
    CHECK(netstrat_batch_add_route(&batch, &route) == 0);
    carry_out_all(&host);
    found = find_route(&host, "198.51.100.7", RT_TABLE_MAIN);
    CHECK(found.scope == RT_SCOPE_LINK && found.gateway.family == 0 && found.index == index);
    found = find_route(&host, "203.0.113.0/24", RT_TABLE_MAIN);
    CHECK(found.type == RTN_BLACKHOLE && found.index == 0);
}

static void a_route_of_ipv4_goes_by_a_gateway_of_ipv6(void)
{
    int32_t index = make(&host, "ifb", "d0", 1);
    struct netstrat_route route = route_of("198.51.100.0/24", index), found;

    route.gateway = prefix_of("fe80::1");
    CHECK(netstrat_batch_add_route(&batch, &route) == 0);
    carry_out_all(&host);
    found = find_route(&host, "198.51.100.0/24", RT_TABLE_MAIN);
    CHECK(is_prefix(&found.gateway, "fe80::1") && found.index == index);
    CHECK(netstrat_batch_delete_route(&batch, &found) == 0);
    carry_out_all(&host);
    route = route_of("2001:db8::/32", index);
    route.gateway = prefix_of("192.0.2.1");
    CHECK(netstrat_batch_add_route(&batch, &route) == 0);
    CHECK(is_refused(&host, -EINVAL, RTM_NEWROUTE)); /* not the other way round */
}

static void a_route_with_several_next_hops_is_read_without_a_link(void)
{
    int32_t index = make(&host, "ifb", "d0", 1);
    struct netstrat_route found;
    struct rtnexthop hop;
    struct rtmsg fixed;
    size_t hops;

    add_address(index, "192.0.2.1/24");
    carry_out_all(&host);
    memset(&fixed, 0, sizeof fixed);
    fixed.rtm_family = AF_INET;
    fixed.rtm_table = RT_TABLE_MAIN;
    fixed.rtm_protocol = RTPROT_STATIC;
    fixed.rtm_type = RTN_UNICAST;
    netstrat_batch_begin(&batch, RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE);
    netstrat_batch_append(&batch, &fixed, sizeof fixed);
    hops = netstrat_batch_nest(&batch, RTA_MULTIPATH);
    for (unsigned char i = 2; i < 4; i++) {
        unsigned char gateway[4] = {192, 0, 2, i};

        memset(&hop, 0, sizeof hop);
        hop.rtnh_len = sizeof hop + 8;
        hop.rtnh_ifindex = index;
        netstrat_batch_append(&batch, &hop, sizeof hop);
        netstrat_batch_put(&batch, RTA_GATEWAY, gateway, sizeof gateway);
    }
    netstrat_batch_nest_end(&batch, hops);
    CHECK(netstrat_batch_finish(&batch) == 0);
    carry_out_all(&host);
    found = find_route(&host, "0.0.0.0/0", RT_TABLE_MAIN);
    CHECK(found.type == RTN_UNICAST && found.index == 0 && found.gateway.family == 0);
}

/* ---- ids of namespaces ---- */

static int32_t nsid_of(int netns)
{
    struct netstrat_message answer;
    int32_t nsid = -77;

    CHECK(netstrat_batch_get_nsid(&batch, netns) == 0);
    CHECK(netstrat_query(&host.sock, &batch, 1, &answer, &error) == 0);
    CHECK(netstrat_nsid_decode(&answer, &nsid) == 0);
    netstrat_batch_init(&batch, requests, sizeof requests);
    return nsid;
}

static void a_namespace_has_the_id_that_its_links_say(void)
{
    struct netstrat_link_settings own = settings_of("h0"), peer = settings_of("eth0");
    struct netstrat_message answer;

    CHECK(nsid_of(container.netns) == -1);
    peer.set |= NETSTRAT_LINK_NETNS;
    peer.netns = container.netns;
    CHECK(netstrat_batch_add_veth(&batch, &own, &peer) == 0);
    carry_out_all(&host);
    CHECK(link_of(&host, "h0").peer_nsid == nsid_of(container.netns));
    CHECK(nsid_of(container.netns) >= 0);
    CHECK(netstrat_batch_get_nsid(&batch, -1) == 0);
    CHECK(refused_with(&error, netstrat_query(&host.sock, &batch, 1, &answer, &error), -EBADF,
                       GETNSID) ||
          error.code == -EINVAL);
}

/* ---- names of namespaces ---- */

static const char names[] = "/run/netns";

static void test_a_name_spreads_to_other_mount_namespaces(void)
{
    int fd = netstrat_netns_create(&error), go[2], ready[2], status = -1;
    pid_t child;
    char byte;

    CHECK(pipe2(go, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0);
    CHECK(netstrat_netns_bind(fd, names, "/run/netns/first", &error) == 0);
    fflush(stdout);
    child = fork();
    if (child == 0) { /* with a copy of the mounts from before the second name */
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
    CHECK(netstrat_netns_bind(fd, names, "/run/netns/second", &error) == 0);
    CHECK(write(go[1], "x", 1) == 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    close(go[1]);
    close(fd);
    CHECK(netstrat_netns_unbind("/run/netns/first", &error) == 0);
    CHECK(netstrat_netns_unbind("/run/netns/second", &error) == 0);
}

/* The descriptor's number is of several digits, as its path has it. */
static void lose_proc(void)
{
    int made = netstrat_netns_create(&error), fd = fcntl(made, F_DUPFD_CLOEXEC, 210);

    CHECK(fd >= 210 && netstrat_netns_bind(fd, names, "/run/netns/named", &error) == 0);
    CHECK(netstrat_netns_unbind("/run/netns/named", &error) == 0);
    CHECK(unshare(CLONE_NEWNS) == 0 && mount("tmpfs", "/proc", "tmpfs", 0, NULL) == 0);
    CHECK(failed_with(&error, netstrat_netns_bind(fd, names, "/run/netns/named", &error), -ENOENT,
                      NETSTRAT_OP_MOUNT));
    CHECK(access("/run/netns/named", F_OK) < 0 && errno == ENOENT);
    CHECK(umount2("/proc", MNT_DETACH) == 0);
}

static void test_a_name_that_could_not_be_given_is_taken_back(void)
{
    in_child(lose_proc);
}

static void test_a_file_that_is_not_a_namespace_gets_no_name(void)
{
    static const char *const paths[] = {"/run/file", "/", "/dev/null", "/proc/self/ns/user",
                                        "/proc/self/ns/mnt"};

    write_file("/run/file", "text");
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int fd = netstrat_netns_open(paths[i], &error);

        CHECK(fd >= 0 && netstrat_netns_is(fd) == 0);
        CHECK(failed_with(&error, netstrat_netns_bind(fd, names, "/run/netns/file", &error),
                          -EINVAL, NETSTRAT_OP_MOUNT));
        CHECK(access("/run/netns/file", F_OK) < 0);
        close(fd);
    }
    for (int fd = -40; fd < 0; fd++) /* an error that was taken for a descriptor */
        CHECK(netstrat_netns_bind(fd, names, "/run/netns/file", NULL) == -EINVAL);
}

/* Gives and deletes names, beside others that do the same in the same new directory. */
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

static void test_several_processes_give_names_at_once(void)
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

int main(void)
{
    static void (*const tests[])(void) = {
        a_container_is_wired_and_can_be_used_at_once,
        a_pair_that_cannot_be_made_leaves_nothing,
        the_kernel_chooses_a_number_for_percent_d,
        a_macvlan_is_made_in_another_namespace,
        a_link_of_a_plain_kind_is_made,
        each_field_of_a_link_is_set_and_read_back,
        hairpin_comes_first_and_what_was_done_stays,
        a_link_that_is_not_there_is_not_changed,
        a_link_is_deleted_by_index_name_and_alternative_name,
        a_group_is_deleted_whole_or_not_at_all,
        a_link_is_moved_with_a_new_index_and_name,
        a_link_keeps_its_old_name_where_the_new_one_is_taken,
        a_taken_old_name_is_no_obstacle_if_there_is_a_new_one,
        a_link_stays_where_both_names_or_the_index_are_taken,
        lo_and_a_bridge_cannot_be_moved,
        an_address_is_added_with_all_that_it_has_and_read_back,
        an_address_of_ipv6_is_added_with_all_that_it_has_and_read_back,
        an_address_that_is_there_is_replaced_if_asked,
        a_strict_socket_gives_the_addresses_of_one_link,
        a_route_is_added_with_all_that_it_has_and_read_back,
        a_route_of_ipv6_is_added_and_deleted,
        a_route_without_a_gateway_has_the_scope_of_the_link,
        a_route_of_ipv4_goes_by_a_gateway_of_ipv6,
        a_route_with_several_next_hops_is_read_without_a_link,
        a_namespace_has_the_id_that_its_links_say,
    };
    int before;

    enter_sandbox(CLONE_NEWNS);
    if (mount("", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0) {
        perror("a /run of our own");
        return 1;
    }
    before = count_descriptors();
    test_a_file_that_is_not_a_namespace_gets_no_name();
    if (is_emulated()) {
        printf("qemu-user passes on few of these messages, and no question about namespaces: "
               "the wiring is left out\n");
        return report();
    }
    test_a_name_spreads_to_other_mount_namespaces();
    test_a_name_that_could_not_be_given_is_taken_back();
    test_several_processes_give_names_at_once();
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        in_two_namespaces(tests[i]);
    CHECK(count_descriptors() == before);
    return report();
}
