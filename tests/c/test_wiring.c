/* SPDX-License-Identifier: MIT */
/* Wiring on the real kernel: links are created, changed, moved and deleted, and read back. */
#include "two_namespaces.h"

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

/* A listening socket stays in the namespace in which it was created. */
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

TEST_WITH(a_container_is_wired_and_can_be_used_at_once, NATIVE)
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

    /* The veth pair in one message. */
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

    /* The alias tag and hairpin. */
    mark.set = NETSTRAT_LINK_ALIAS | NETSTRAT_LINK_HAIRPIN;
    mark.hairpin = 1;
    memcpy(mark.alias, "ours", 4);
    CHECK(netstrat_batch_set_link(&batch, 100, NULL, &mark) == 0);
    carry_out_all(&host);

    /* The container's end in one send. */
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

    /* Deleting one end deletes both. */
    CHECK(netstrat_batch_delete_link(&batch, 200, NULL) == 0);
    carry_out_all(&container);
    CHECK(!has_link(&host, "h0") && !has_link(&container, "eth0"));
}

TEST_WITH(a_veth_pair_that_cannot_be_created_leaves_nothing, NATIVE)
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
        if (row == 2) { /* no link has this index */
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

TEST_WITH(the_kernel_chooses_a_number_for_percent_d, NATIVE)
{
    struct netstrat_link_settings own = settings_of("a%d"), peer = settings_of("b%d");

    CHECK(netstrat_batch_add_veth(&batch, &own, &peer) == 0);
    CHECK(netstrat_batch_add_veth(&batch, &own, &peer) == 0);
    carry_out_all(&host);
    CHECK(has_link(&host, "a0") && has_link(&host, "a1") && has_link(&host, "b1"));
}

/* ---- links of other kinds ---- */

TEST_WITH(a_macvlan_is_created_in_another_namespace, NATIVE)
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

TEST_WITH(a_link_of_a_simple_kind_is_created, NATIVE)
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

TEST_WITH(each_field_of_a_link_is_set_and_read_back, NATIVE)
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

    /* Up and down by name, which leaves the other settings unchanged. */
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

TEST_WITH(hairpin_is_set_first_and_stays_if_a_later_setting_fails, NATIVE)
{
    int32_t bridge = make(&host, "bridge", "br0", 0), index = make_pair(&host, "d0", "d1");
    struct netstrat_link_settings change = settings_of(NULL);

    change.set = NETSTRAT_LINK_MASTER | NETSTRAT_LINK_HAIRPIN; /* the link is not a port yet */
    change.master = bridge;
    change.hairpin = 1;
    CHECK(netstrat_batch_set_link(&batch, index, NULL, &change) == 0);
    CHECK(is_refused(&host, -EOPNOTSUPP, RTM_NEWLINK));
    CHECK(link_of(&host, "d0").master == 0);
    change.set = NETSTRAT_LINK_MASTER;
    set(index, &change);
    change.set = NETSTRAT_LINK_HAIRPIN | NETSTRAT_LINK_MTU; /* the MTU is refused */
    change.mtu = 1;
    CHECK(netstrat_batch_set_link(&batch, index, NULL, &change) == 0);
    CHECK(is_refused(&host, -EINVAL, RTM_NEWLINK));
    CHECK(link_of(&host, "d0").hairpin == 1);
}

TEST_WITH(changing_a_missing_link_fails, NATIVE)
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

TEST_WITH(a_link_is_deleted_by_index_name_and_alternative_name, NATIVE)
{
    char alternative[NETSTRAT_ALT_NAME_SIZE];
    int32_t first = make(&host, "ifb", "d0", 0), third;

    (void)make(&host, "ifb", "d1", 0);
    third = make(&host, "ifb", "d2", 0);
    CHECK(add_alt_names(&host.sock, third, 1) == 0);
    alt_name(third, 0, alternative);
    CHECK(netstrat_batch_delete_link(&batch, first, "d1") == 0); /* the index takes precedence */
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

TEST_WITH(a_group_of_links_is_deleted_completely_or_not_at_all, NATIVE)
{
    struct netstrat_link_settings grouped = settings_of(NULL);

    (void)make_pair(&host, "a0", "a1");
    (void)make_pair(&host, "b0", "b1");
    (void)make(&host, "ifb", "other", 0);
    grouped.set = NETSTRAT_LINK_GROUP;
    grouped.group = 0x80000001;
    set(link_of(&host, "a0").index, &grouped);
    set(link_of(&host, "b1").index, &grouped);
    set(link_of(&host, "lo").index, &grouped); /* lo cannot be deleted */
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

TEST_WITH(a_link_is_moved_with_a_new_index_and_name, NATIVE)
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

TEST_WITH(a_link_keeps_its_name_if_the_new_one_is_taken, NATIVE)
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
    link = link_of(&container, "d0"); /* it was moved, and can be found */
    CHECK(link.index == 70 && !(link.flags & IFF_UP) && !has_link(&host, "d0"));

    /* One message restores it. */
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

TEST_WITH(a_link_is_moved_under_a_new_name_if_its_old_one_is_taken, NATIVE)
{
    int32_t index = make(&host, "ifb", "d0", 0);

    (void)make(&container, "ifb", "d0", 0);
    move(index, "eth0", 70);
    carry_out_all(&host);
    CHECK(link_of(&container, "eth0").index == 70 && !has_link(&host, "d0"));
}

TEST_WITH(a_link_is_not_moved_if_both_names_or_the_index_are_taken, NATIVE)
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

TEST_WITH(lo_and_a_bridge_cannot_be_moved, NATIVE)
{
    move(1, "lo2", 70);
    CHECK(is_refused(&host, -EINVAL, RTM_NEWLINK));
    move(make(&host, "bridge", "br0", 0), NULL, 70);
    CHECK(is_refused(&host, -EINVAL, RTM_NEWLINK));
    CHECK(count_links(&host) == 2 && count_links(&container) == 1);
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

TEST_WITH(a_namespace_has_the_nsid_that_its_peers_report, NATIVE)
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
