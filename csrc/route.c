/* SPDX-License-Identifier: MIT */
/* Routes: RTM_NEWROUTE, RTM_DELROUTE and RTM_GETROUTE. */
#include "internal.h"

#include <errno.h>
#include <sys/socket.h>

#include <linux/rtnetlink.h>

/* ---- requests ---- */

static int route_is_prefix(const struct netstrat_prefix *prefix)
{
    return (prefix->family == AF_INET || prefix->family == AF_INET6) &&
           prefix->length <= netstrat_address_bits(prefix->family);
}

static int route_is_valid(const struct netstrat_route *route)
{
    return route_is_prefix(&route->destination) &&
           (route->gateway.family == 0 || route_is_prefix(&route->gateway)) &&
           (route->source.family == 0 || (route->source.family == route->destination.family &&
                                          route_is_prefix(&route->source))) &&
           route->index >= 0;
}

/* A gateway of the other family is sent as struct rtvia: its family, then its bytes. */
static void route_put_gateway(struct netstrat_batch *batch, const struct netstrat_route *route)
{
    const uint16_t family = route->gateway.family;
    size_t size = netstrat_address_bits(route->gateway.family) / 8;
    unsigned char via[sizeof family + sizeof route->gateway.bytes];

    if (family == route->destination.family) {
        netstrat_batch_put(batch, RTA_GATEWAY, route->gateway.bytes, size);
    } else if (family != 0) {
        memcpy(via, &family, sizeof family);
        memcpy(via + sizeof family, route->gateway.bytes, size);
        netstrat_batch_put(batch, NETSTRAT_RTA_VIA, via, sizeof family + size);
    }
}

/* A route that has neither setting has no RTA_METRICS. */
static void route_put_metrics(struct netstrat_batch *batch, const struct netstrat_route *route)
{
    size_t nest;

    if (route->mtu == 0 && route->advmss == 0)
        return;
    nest = netstrat_batch_nest(batch, RTA_METRICS);
    if (route->mtu != 0)
        netstrat_batch_put_u32(batch, RTAX_MTU, route->mtu);
    if (route->advmss != 0)
        netstrat_batch_put_u32(batch, RTAX_ADVMSS, route->advmss);
    netstrat_batch_nest_end(batch, nest);
}

/* Returns the route with the defaults that apply both when it is added and when it is deleted. */
static struct netstrat_route route_complete(const struct netstrat_route *route)
{
    struct netstrat_route whole = *route;

    if (whole.destination.family == 0 && whole.destination.length == 0)
        whole.destination.family = whole.gateway.family;
    if (whole.table == 0)
        whole.table = RT_TABLE_MAIN;
    return whole;
}

static int route_put_request(struct netstrat_batch *batch, uint16_t type, uint16_t flags,
                             const struct netstrat_route *route)
{
    size_t size = netstrat_address_bits(route->destination.family) / 8;
    struct rtmsg fixed;

    memset(&fixed, 0, sizeof fixed);
    fixed.rtm_family = route->destination.family;
    fixed.rtm_dst_len = route->destination.length;
    /* RTA_TABLE has all 32 bits. */
    fixed.rtm_table = (uint8_t)(route->table < 256 ? route->table : 0);
    fixed.rtm_protocol = route->protocol;
    fixed.rtm_scope = route->scope;
    fixed.rtm_type = route->type;
    fixed.rtm_flags = route->flags;
    netstrat_batch_begin(batch, type, flags);
    netstrat_batch_append(batch, &fixed, sizeof fixed);
    if (!route_is_valid(route))
        netstrat_batch_refuse(batch, -EINVAL);
    if (route->destination.length > 0)
        netstrat_batch_put(batch, RTA_DST, route->destination.bytes, size);
    route_put_gateway(batch, route);
    if (route->source.family != 0)
        netstrat_batch_put(batch, RTA_PREFSRC, route->source.bytes, size);
    if (route->index != 0)
        netstrat_batch_put_u32(batch, RTA_OIF, (uint32_t)route->index);
    if (route->metric != 0)
        netstrat_batch_put_u32(batch, RTA_PRIORITY, route->metric);
    netstrat_batch_put_u32(batch, RTA_TABLE, route->table);
    route_put_metrics(batch, route);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_add_route(struct netstrat_batch *batch, const struct netstrat_route *route)
{
    const uint16_t create = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    struct netstrat_route whole = route_complete(route);

    if (whole.type == RTN_UNSPEC)
        whole.type = RTN_UNICAST;
    if (whole.protocol == RTPROT_UNSPEC)
        whole.protocol = RTPROT_BOOT; /* as `ip route add` does */
    return route_put_request(batch, RTM_NEWROUTE, create, &whole);
}

int netstrat_batch_delete_route(struct netstrat_batch *batch, const struct netstrat_route *route)
{
    const struct netstrat_route whole = route_complete(route);

    return route_put_request(batch, RTM_DELROUTE, NLM_F_REQUEST | NLM_F_ACK, &whole);
}

int netstrat_batch_dump_routes(struct netstrat_batch *batch, int32_t index)
{
    struct rtmsg fixed;

    memset(&fixed, 0, sizeof fixed);
    netstrat_batch_begin(batch, RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP);
    netstrat_batch_append(batch, &fixed, sizeof fixed);
    if (index < 0)
        netstrat_batch_refuse(batch, -EINVAL);
    if (index != 0)
        netstrat_batch_put_u32(batch, RTA_OIF, (uint32_t)index);
    return netstrat_batch_finish(batch);
}

/* ---- answers ---- */

/* Reads struct rtvia (linux/rtnetlink.h, 3.19): a gateway of the other family. */
static int route_decode_via(const struct netstrat_cursor *value, struct netstrat_route *route)
{
    struct netstrat_cursor address = *value;
    uint16_t family;

    if (netstrat_cursor_read(&address, &family, sizeof family) < 0)
        return -EBADMSG;
    if (family != AF_INET && family != AF_INET6)
        return 0;
    address.at += sizeof family;
    return netstrat_prefix_decode(&address, (uint8_t)family,
                                  (uint8_t)netstrat_address_bits((uint8_t)family), &route->gateway);
}

/* Reads the settings in RTA_METRICS that struct netstrat_route has. */
static int route_decode_metrics(const struct netstrat_cursor *value, struct netstrat_route *route)
{
    struct netstrat_cursor rest = *value;
    struct netstrat_attribute metric;
    int more;

    while ((more = netstrat_attribute_next(&rest, &metric)) > 0) {
        if (metric.type == RTAX_MTU)
            more = netstrat_u32_decode(&metric.value, &route->mtu);
        else if (metric.type == RTAX_ADVMSS)
            more = netstrat_u32_decode(&metric.value, &route->advmss);
        if (more < 0)
            break;
    }
    return more;
}

static int route_decode_attribute(const struct netstrat_attribute *attribute,
                                  const struct rtmsg *fixed, struct netstrat_route *route)
{
    const struct netstrat_cursor *value = &attribute->value;
    uint8_t family = fixed->rtm_family;
    uint8_t whole = (uint8_t)netstrat_address_bits(family);

    switch (attribute->type) {
    case RTA_DST:
        return netstrat_prefix_decode(value, family, fixed->rtm_dst_len, &route->destination);
    case RTA_GATEWAY:
        return netstrat_prefix_decode(value, family, whole, &route->gateway);
    case NETSTRAT_RTA_VIA:
        return route_decode_via(value, route);
    case RTA_PREFSRC:
        return netstrat_prefix_decode(value, family, whole, &route->source);
    case RTA_OIF:
        return netstrat_u32_decode(value, &route->index);
    case RTA_PRIORITY:
        return netstrat_u32_decode(value, &route->metric);
    case RTA_TABLE:
        return netstrat_u32_decode(value, &route->table);
    case RTA_METRICS:
        return route_decode_metrics(value, route);
    case RTA_MULTIPATH:
        route->several = 1;
        return 0;
    default:
        return 0;
    }
}

int netstrat_route_decode(const struct netstrat_message *message, struct netstrat_route *route)
{
    struct netstrat_cursor rest = message->payload;
    struct netstrat_attribute attribute;
    struct netstrat_route read;
    struct rtmsg fixed;
    int more;

    if ((message->type != RTM_NEWROUTE && message->type != RTM_DELROUTE) || rest.missing > 0 ||
        netstrat_cursor_take(&rest, &fixed, sizeof fixed) < 0)
        return -EBADMSG;
    if (fixed.rtm_family != AF_INET && fixed.rtm_family != AF_INET6)
        return -EAFNOSUPPORT;
    memset(&read, 0, sizeof read);
    read.destination.family = fixed.rtm_family;
    read.table = fixed.rtm_table;
    read.scope = fixed.rtm_scope;
    read.type = fixed.rtm_type;
    read.protocol = fixed.rtm_protocol;
    read.flags = fixed.rtm_flags;
    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        more = route_decode_attribute(&attribute, &fixed, &read);
        if (more < 0)
            break;
    }
    if (more < 0 || read.destination.length != fixed.rtm_dst_len)
        return -EBADMSG;
    *route = read;
    return 0;
}

/* ---- copies ---- */

/* The flags of a route or a next hop that a request sets. The kernel sets the others. */
enum { ROUTE_GIVEN_FLAGS = RTNH_F_PERVASIVE | RTNH_F_ONLINK };

/* Clears the kernel's flags in RTA_MULTIPATH: a list of struct rtnexthop, each with attributes of
 * its own. */
static void route_clear_hops(unsigned char *payload, struct netstrat_cursor rest)
{
    struct rtnexthop hop;

    while (netstrat_cursor_read(&rest, &hop, sizeof hop) == 0) {
        hop.rtnh_flags &= ROUTE_GIVEN_FLAGS;
        memcpy(payload + rest.at, &hop, sizeof hop);
        netstrat_cursor_skip(&rest, hop.rtnh_len > sizeof hop ? hop.rtnh_len : sizeof hop);
    }
}

int netstrat_route_to_request(unsigned char *payload, size_t size, struct netstrat_route *route)
{
    const struct netstrat_message message = {RTM_NEWROUTE, 0, 0, 0, {payload, 0, size, 0}};
    struct netstrat_cursor rest = message.payload;
    struct netstrat_attribute attribute;
    struct rta_cacheinfo cache;
    struct rtmsg fixed;
    int code = netstrat_route_decode(&message, route);

    if (code == 0 && route->type != RTN_UNICAST && route->protocol == RTPROT_KERNEL)
        code = -ENODATA;
    if (code < 0)
        return code;
    memcpy(&fixed, payload, sizeof fixed); /* netstrat_route_decode() has checked the size */
    netstrat_cursor_skip(&rest, sizeof fixed);
    fixed.rtm_flags &= ROUTE_GIVEN_FLAGS;
    memcpy(payload, &fixed, sizeof fixed);
    while (netstrat_attribute_take(&rest, &attribute) > 0) {
        if (attribute.type == RTA_MULTIPATH)
            route_clear_hops(payload, attribute.value);
        if (attribute.type != RTA_CACHEINFO ||
            netstrat_cursor_read(&attribute.value, &cache, sizeof cache) < 0)
            continue;
        if (cache.rta_expires != 0)
            return -ENODATA; /* from a router, which will announce it again */
        memset(payload + attribute.value.at, 0, sizeof cache); /* the kernel ignores it */
    }
    /* In IPv6 each next hop is a route of its own, and some may still exist. */
    return NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE |
           (fixed.rtm_family == AF_INET6 && route->several ? NLM_F_REPLACE : NLM_F_APPEND);
}
