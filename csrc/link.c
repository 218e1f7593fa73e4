/* SPDX-License-Identifier: MIT */
/* Links: queries, flags, and what the kernel answers (RTM_GETLINK, RTM_NEWLINK, RTM_DELLINK). */
#include "internal.h"

#include <errno.h>
#include <net/if.h>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

/* ---- requests ---- */

void netstrat_link_begin(struct netstrat_batch *batch, uint16_t type, uint16_t flags, int32_t index,
                         const char *name, uint32_t link_flags, uint32_t change)
{
    int kind = index == 0 ? netstrat_name_check(name) : 0;
    struct ifinfomsg info;

    memset(&info, 0, sizeof info); /* ifi_family AF_UNSPEC */
    info.ifi_index = index;
    info.ifi_flags = link_flags;
    info.ifi_change = change;
    netstrat_batch_begin(batch, type, flags);
    netstrat_batch_append(batch, &info, sizeof info);
    if (kind < 0 || index < 0)
        netstrat_batch_refuse(batch, -EINVAL);
    else if (index == 0)
        netstrat_batch_put_string(batch,
                                  kind ? (uint16_t)NETSTRAT_IFLA_ALT_IFNAME : (uint16_t)IFLA_IFNAME,
                                  name);
}

int netstrat_batch_set_link_flags(struct netstrat_batch *batch, const char *name, uint32_t flags,
                                  uint32_t change)
{
    netstrat_link_begin(batch, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 0, name, flags, change);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_get_link(struct netstrat_batch *batch, const char *name)
{
    netstrat_link_begin(batch, RTM_GETLINK, NLM_F_REQUEST, 0, name, 0, 0);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_get_link_index(struct netstrat_batch *batch, int32_t index)
{
    /* Index 0 selects the name, and "" is refused. */
    netstrat_link_begin(batch, RTM_GETLINK, NLM_F_REQUEST, index, "", 0, 0);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_dump_links(struct netstrat_batch *batch, int counters)
{
    struct ifinfomsg info;

    memset(&info, 0, sizeof info);
    netstrat_batch_begin(batch, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP);
    netstrat_batch_append(batch, &info, sizeof info);
    /* Without a mask the kernel does not compute the size of the largest link, and ends the dump
     * without an error before a link that does not fit (rtnl_calcit, net/core/rtnetlink.c).
     * RTEXT_FILTER_BRVLAN has no effect here; it only makes the mask nonzero. */
    netstrat_batch_put_u32(batch, IFLA_EXT_MASK,
                           counters ? RTEXT_FILTER_BRVLAN : NETSTRAT_RTEXT_FILTER_SKIP_STATS);
    return netstrat_batch_finish(batch);
}

/* Adds a query for one link of another namespace, or a dump of them all, for which `index` is 0. */
static int link_query_at(struct netstrat_batch *batch, uint16_t flags, int32_t nsid, int32_t index)
{
    struct ifinfomsg info;

    memset(&info, 0, sizeof info);
    info.ifi_index = index;
    netstrat_batch_begin(batch, RTM_GETLINK, flags);
    netstrat_batch_append(batch, &info, sizeof info);
    if (nsid < 0 || index < 0)
        netstrat_batch_refuse(batch, -EINVAL);
    /* No mask: with one the kernel would compute the reply's size from the links of the socket's
     * namespace, which takes longer than the dump and is unrelated to it (rtnl_calcit). */
    netstrat_batch_put_u32(batch, NETSTRAT_IFLA_TARGET_NETNSID, (uint32_t)nsid);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_get_link_at(struct netstrat_batch *batch, int32_t nsid, int32_t index)
{
    return link_query_at(batch, NLM_F_REQUEST, nsid, index);
}

int netstrat_batch_dump_links_at(struct netstrat_batch *batch, int32_t nsid)
{
    return link_query_at(batch, NLM_F_REQUEST | NLM_F_DUMP, nsid, 0);
}

/* ---- answers ---- */

/* Reads the fixed part of RTM_NEWLINK or RTM_DELLINK. */
static int link_take_info(struct netstrat_cursor *rest, const struct netstrat_message *message,
                          struct ifinfomsg *info)
{
    *rest = message->payload;
    if ((message->type != RTM_NEWLINK && message->type != RTM_DELLINK) ||
        netstrat_cursor_take(rest, info, sizeof *info) < 0 || info->ifi_index <= 0)
        return -EBADMSG;
    return 0;
}

int netstrat_link_flags_decode(const struct netstrat_message *message, int32_t *index,
                               uint32_t *flags)
{
    struct netstrat_cursor rest;
    struct ifinfomsg info;
    int code = link_take_info(&rest, message, &info);

    if (code < 0)
        return code;
    *index = info.ifi_index;
    *flags = info.ifi_flags;
    return 0;
}

int netstrat_link_name_decode(const struct netstrat_message *message,
                              struct netstrat_link_name *name)
{
    struct netstrat_link_name read;
    struct netstrat_attribute attribute;
    struct netstrat_cursor rest;
    struct ifinfomsg info;
    int code = link_take_info(&rest, message, &info);

    if (code < 0 || rest.missing > 0)
        return -EBADMSG;
    /* The kernel puts IFLA_IFNAME first (rtnl_fill_ifinfo, net/core/rtnetlink.c). */
    do
        if (netstrat_attribute_next(&rest, &attribute) <= 0)
            return -EBADMSG;
    while (attribute.type != IFLA_IFNAME);
    code = netstrat_text_decode(&attribute.value, read.name, sizeof read.name);
    if (code < 0)
        return code;
    read.index = info.ifi_index;
    /* A bridge sends RTM_DELLINK with its own family when a port has left it: the link still exists
     * (br_ifinfo_notify, net/bridge/br_netlink.c). */
    if (message->type == RTM_DELLINK && info.ifi_family == AF_UNSPEC)
        memset(read.name, 0, sizeof read.name);
    *name = read;
    return 0;
}

static void link_decode_port_byte(const struct netstrat_cursor *value, int32_t *byte)
{
    if (value->at < value->end)
        *byte = value->data[value->at];
}

static void link_decode_port_flag(const struct netstrat_cursor *value, int32_t *flag)
{
    link_decode_port_byte(value, flag);
    if (*flag > 0)
        *flag = 1;
}

/* Reads IFLA_INFO_SLAVE_DATA, or IFLA_PROTINFO, of a bridge port. */
static int link_decode_port(struct netstrat_cursor rest, struct netstrat_link *link)
{
    struct netstrat_attribute attribute;
    int more;

    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        if (attribute.type == IFLA_BRPORT_MODE)
            link_decode_port_flag(&attribute.value, &link->hairpin);
        else if (attribute.type == NETSTRAT_IFLA_BRPORT_ISOLATED)
            link_decode_port_flag(&attribute.value, &link->isolated);
        else if (attribute.type == NETSTRAT_IFLA_BRPORT_LEARNING)
            link_decode_port_flag(&attribute.value, &link->learning);
        else if (attribute.type == IFLA_BRPORT_STATE)
            link_decode_port_byte(&attribute.value, &link->port_state);
    }
    return more;
}

/* Reads IFLA_INFO_DATA of a bridge. */
static int link_decode_bridge(struct netstrat_cursor rest, struct netstrat_link *link)
{
    struct netstrat_attribute attribute;
    int more;

    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0)
        if (attribute.type == NETSTRAT_IFLA_BR_BRIDGE_ID &&
            attribute.value.at + sizeof link->bridge_id == attribute.value.end)
            memcpy(link->bridge_id, attribute.value.data + attribute.value.at,
                   sizeof link->bridge_id);
    return more;
}

/* Reads IFLA_INFO_DATA of a macvlan. */
static int link_decode_macvlan(struct netstrat_cursor rest, struct netstrat_link *link)
{
    struct netstrat_attribute attribute;
    int more;

    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        if (attribute.type == IFLA_MACVLAN_MODE)
            more = netstrat_u32_decode(&attribute.value, &link->macvlan_mode);
        if (more < 0)
            break;
    }
    return more;
}

/* Reads IFLA_LINKINFO: the kind of the link, and the settings of a bridge, a macvlan or a bridge
 * port. */
static int link_decode_kinds(struct netstrat_cursor rest, struct netstrat_link *link)
{
    char master[NETSTRAT_KIND_SIZE] = "";
    struct netstrat_attribute attribute;
    int more;

    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        if (attribute.type == IFLA_INFO_KIND)
            more = netstrat_text_decode(&attribute.value, link->kind, sizeof link->kind);
        else if (attribute.type == IFLA_INFO_DATA && strcmp(link->kind, "bridge") == 0)
            more = link_decode_bridge(attribute.value, link);
        else if (attribute.type == IFLA_INFO_DATA && strcmp(link->kind, "macvlan") == 0)
            more = link_decode_macvlan(attribute.value, link);
        else if (attribute.type == NETSTRAT_IFLA_INFO_SLAVE_KIND)
            more = netstrat_text_decode(&attribute.value, master, sizeof master);
        else if (attribute.type == NETSTRAT_IFLA_INFO_SLAVE_DATA && strcmp(master, "bridge") == 0)
            more = link_decode_port(attribute.value, link);
        if (more < 0)
            break;
    }
    return more;
}

static int link_decode_mac(const struct netstrat_cursor *value,
                           unsigned char mac[NETSTRAT_MAC_SIZE], uint32_t *length)
{
    uint32_t i;

    for (i = 0; value->at + i < value->end; i++) {
        if (i == NETSTRAT_MAC_SIZE)
            return -EBADMSG;
        mac[i] = value->data[value->at + i];
    }
    *length = i;
    return 0;
}

static int link_decode_attribute(const struct netstrat_attribute *attribute,
                                 struct netstrat_link *link)
{
    const struct netstrat_cursor *value = &attribute->value;

    switch (attribute->type) {
    case IFLA_IFNAME:
        return netstrat_text_decode(value, link->name, sizeof link->name);
    case IFLA_MTU:
        return netstrat_u32_decode(value, &link->mtu);
    case IFLA_TXQLEN:
        return netstrat_u32_decode(value, &link->txqueuelen);
    case IFLA_GROUP:
        return netstrat_u32_decode(value, &link->group);
    case IFLA_MASTER:
        return netstrat_u32_decode(value, &link->master);
    case IFLA_LINK:
        return netstrat_u32_decode(value, &link->peer);
    case NETSTRAT_IFLA_LINK_NETNSID:
        return netstrat_u32_decode(value, &link->peer_nsid);
    case NETSTRAT_IFLA_TARGET_NETNSID:
        return netstrat_u32_decode(value, &link->nsid);
    case IFLA_ADDRESS:
        return link_decode_mac(value, link->mac, &link->mac_length);
    case NETSTRAT_IFLA_PERM_ADDRESS:
        return link_decode_mac(value, link->permanent_mac, &link->permanent_mac_length);
    case IFLA_IFALIAS:
        return netstrat_text_decode(value, link->alias, sizeof link->alias);
    case IFLA_LINKINFO:
        return link_decode_kinds(*value, link);
    case NETSTRAT_IFLA_PROP_LIST:
        link->altnames = *value;
        return 0;
    case NETSTRAT_IFLA_PARENT_DEV_NAME:
        link->parent_device = *value;
        return 0;
    case NETSTRAT_IFLA_PARENT_DEV_BUS_NAME:
        link->parent_bus = *value;
        return 0;
    case IFLA_WIRELESS: /* an event of a wireless driver, without a description of the link */
        return -EBADMSG;
    default:
        return 0;
    }
}

int netstrat_link_decode(const struct netstrat_message *message, struct netstrat_link *link)
{
    struct netstrat_attribute attribute;
    struct netstrat_link read;
    struct netstrat_cursor rest;
    struct ifinfomsg info;
    int more = link_take_info(&rest, message, &info);

    if (more < 0 || rest.missing > 0)
        return -EBADMSG;
    memset(&read, 0, sizeof read);
    read.index = info.ifi_index;
    read.family = info.ifi_family;
    read.flags = info.ifi_flags;
    read.peer_nsid = -1;
    read.nsid = -1;
    read.hairpin = read.isolated = read.learning = read.port_state = -1;
    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        /* A bridge's message about its port (br_fill_ifinfo, net/bridge/br_netlink.c). */
        if (attribute.type == IFLA_PROTINFO && info.ifi_family == AF_BRIDGE)
            more = link_decode_port(attribute.value, &read);
        else
            more = link_decode_attribute(&attribute, &read);
        if (more < 0)
            break;
    }
    if (more < 0 || read.name[0] == '\0')
        return -EBADMSG;
    *link = read;
    return 0;
}

int netstrat_netns_link_decode(const struct netstrat_message *message, int32_t nsid,
                               int32_t self_nsid, struct netstrat_netns_link *link)
{
    struct netstrat_link parsed;
    int code = netstrat_link_decode(message, &parsed);

    if (code < 0)
        return code;
    /* Before Linux 4.15 the kernel ignores the nsid and describes links of the socket's
     * namespace. */
    if (parsed.nsid != nsid)
        return -EBADMSG;
    if (parsed.flags & IFF_LOOPBACK)
        return 0;
    /* Links of other kinds have a parent there instead of a peer. */
    if (parsed.peer_nsid < 0 || strcmp(parsed.kind, "veth") != 0)
        parsed.peer_nsid = -1;
    link->index = parsed.index;
    link->peer_index = parsed.peer_nsid >= 0 ? parsed.peer : 0;
    link->peer_nsid = parsed.peer_nsid;
    link->peer = self_nsid >= 0 && parsed.peer_nsid == self_nsid ? parsed.peer : 0;
    link->master = parsed.master;
    link->is_bridge = strcmp(parsed.kind, "bridge") == 0;
    memcpy(link->name, parsed.name, sizeof link->name);
    return 1;
}

int netstrat_altname_next(struct netstrat_cursor *altnames, char name[NETSTRAT_ALT_NAME_SIZE])
{
    struct netstrat_attribute attribute;

    while (netstrat_attribute_next(altnames, &attribute) > 0)
        if (attribute.type == NETSTRAT_IFLA_ALT_IFNAME &&
            netstrat_text_decode(&attribute.value, name, NETSTRAT_ALT_NAME_SIZE) == 0)
            return 1;
    return 0;
}
