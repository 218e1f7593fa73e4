/* SPDX-License-Identifier: MIT */
/* Addresses and routes on the real kernel: each is added, read back and deleted. */
#include "two_namespaces.h"

/* ---- addresses ---- */

TEST_WITH(an_address_with_all_fields_is_added_and_read_back, NATIVE)
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

    /* The address can be deleted and added again as it was read. */
    CHECK(netstrat_batch_delete_address(&batch, &found) == 0);
    CHECK(netstrat_batch_add_address(&batch, &found, 0) == 0);
    carry_out_all(&host);
    (void)find_address(&host, "192.0.2.1/32", &again);
    again.valid = found.valid; /* the lifetimes count down */
    again.preferred = found.preferred;
    CHECK(memcmp(&again, &found, sizeof found) == 0);
}

TEST_WITH(an_ipv6_address_with_all_fields_is_added_and_read_back, NATIVE)
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

TEST_WITH(an_existing_address_is_replaced_on_request, NATIVE)
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
        CHECK(found.metric == 0 || found.metric == 256); /* the default of IPv6 is explicit */
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

TEST_WITH(a_strict_socket_gives_the_addresses_of_one_link, NATIVE)
{
    int32_t first = make(&host, "ifb", "d0", 0), second = make(&host, "ifb", "d1", 0);
    struct netstrat_address found;

    add_address(first, "192.0.2.1/24");
    add_address(second, "192.0.2.2/24");
    add_address(second, "198.51.100.1/24");
    carry_out_all(&host);
    dumped_link = second;
    /* an ordinary socket returns all addresses */
    CHECK(find_address(&host, "192.0.2.1/24", &found) == 3);
    CHECK(netstrat_socket_set_strict(&host.sock, &error) == 0);
    CHECK(find_address(&host, "192.0.2.1/24", &found) == 2 && found.index == 0);
    CHECK(find_address(&host, "198.51.100.1/24", &found) == 2 && found.index == second);
    dumped_link = 0;
    CHECK(find_address(&host, "192.0.2.1/24", &found) == 3 && found.index == first);
    /* a link that is down has no routes */
    CHECK(find_route(&host, "192.0.2.0/24", RT_TABLE_MAIN).table == 0);
}

/* ---- routes ---- */

TEST_WITH(a_route_with_all_fields_is_added_and_read_back, NATIVE)
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

    /* The route can be deleted and added again as it was read. */
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

TEST_WITH(an_ipv6_route_is_added_and_deleted, NATIVE)
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

TEST_WITH(a_route_without_a_gateway_has_the_scope_of_the_link, NATIVE)
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

TEST_WITH(an_ipv4_route_has_an_ipv6_gateway, NATIVE)
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
    CHECK(is_refused(&host, -EINVAL, RTM_NEWROUTE)); /* the reverse is not possible */
}

TEST_WITH(a_route_with_several_next_hops_is_read_without_a_link, NATIVE)
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
