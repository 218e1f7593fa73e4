/* SPDX-License-Identifier: MIT */
/* Links: RTM_GETLINK, RTM_NEWLINK and RTM_DELLINK. */
#include "internal.h"

#include <errno.h>
#include <net/if.h>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

/* ---- requests ---- */

/* Begins a message about one link: by its index, or by its name if `index` is 0. The kernel then
 * looks up the name itself, which saves a query. */
static void link_begin_request(struct netstrat_batch *batch, uint16_t type, uint16_t flags,
                               int32_t index, const char *name, uint32_t link_flags,
                               uint32_t change)
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
    link_begin_request(batch, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 0, name, flags, change);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_get_link(struct netstrat_batch *batch, const char *name)
{
    link_begin_request(batch, RTM_GETLINK, NLM_F_REQUEST, 0, name, 0, 0);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_get_link_index(struct netstrat_batch *batch, int32_t index)
{
    /* Index 0 selects the name, and "" is refused. */
    link_begin_request(batch, RTM_GETLINK, NLM_F_REQUEST, index, "", 0, 0);
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

static int link_has(const struct netstrat_link_settings *settings, uint32_t field)
{
    return (settings->set & field) != 0;
}

/* Puts a new name. A link to rename is identified by its index, so IFLA_IFNAME is free for it. */
static void link_put_name(struct netstrat_batch *batch, const char name[NETSTRAT_NAME_SIZE])
{
    if (!memchr(name, '\0', NETSTRAT_NAME_SIZE) || netstrat_name_check(name) != 0)
        netstrat_batch_refuse(batch, -EINVAL);
    else
        netstrat_batch_put_string(batch, IFLA_IFNAME, name);
}

/* Puts the settings that are top-level attributes. */
static void link_put_settings(struct netstrat_batch *batch,
                              const struct netstrat_link_settings *settings)
{
    if (link_has(settings, NETSTRAT_LINK_NAME))
        link_put_name(batch, settings->name);
    if (link_has(settings, NETSTRAT_LINK_NETNS))
        netstrat_batch_put_u32(batch, IFLA_NET_NS_FD, (uint32_t)settings->netns);
    if (link_has(settings, NETSTRAT_LINK_MTU))
        netstrat_batch_put_u32(batch, IFLA_MTU, settings->mtu);
    if (link_has(settings, NETSTRAT_LINK_TXQUEUELEN))
        netstrat_batch_put_u32(batch, IFLA_TXQLEN, settings->txqueuelen);
    if (link_has(settings, NETSTRAT_LINK_MASTER))
        netstrat_batch_put_u32(batch, IFLA_MASTER, (uint32_t)settings->master);
    if (link_has(settings, NETSTRAT_LINK_GROUP))
        netstrat_batch_put_u32(batch, IFLA_GROUP, settings->group);
    if (link_has(settings, NETSTRAT_LINK_QUEUES)) {
        netstrat_batch_put_u32(batch, IFLA_NUM_TX_QUEUES, settings->queues);
        netstrat_batch_put_u32(batch, IFLA_NUM_RX_QUEUES, settings->queues);
    }
    if (link_has(settings, NETSTRAT_LINK_MAC)) {
        if (settings->mac_length == 0 || settings->mac_length > sizeof settings->mac)
            netstrat_batch_refuse(batch, -EINVAL);
        else
            netstrat_batch_put(batch, IFLA_ADDRESS, settings->mac, settings->mac_length);
    }
    if (link_has(settings, NETSTRAT_LINK_ALIAS)) {
        size_t length = strnlen(settings->alias, sizeof settings->alias);

        if (length == sizeof settings->alias)
            netstrat_batch_refuse(batch, -EINVAL);
        else /* without its NUL, so that "" removes the alias (do_setlink) */
            netstrat_batch_put(batch, IFLA_IFALIAS, settings->alias, length);
    }
}

/* VLAN_N_VID - 2 (linux/if_vlan.h) and VXLAN_N_VID - 1 (net/vxlan.h). */
enum { LINK_MAX_VLAN = 4094, LINK_MAX_VNI = (1 << 24) - 1 };

/* The settings of a bridge port. */
enum { LINK_OF_PORT = NETSTRAT_LINK_HAIRPIN | NETSTRAT_LINK_ISOLATED | NETSTRAT_LINK_LEARNING };

static uint32_t link_up_flags(const struct netstrat_link_settings *settings)
{
    return link_has(settings, NETSTRAT_LINK_UP) && settings->up ? IFF_UP : 0;
}

static uint32_t link_up_change(const struct netstrat_link_settings *settings)
{
    return link_has(settings, NETSTRAT_LINK_UP) ? IFF_UP : 0;
}

/* Begins RTM_NEWLINK for a new link, up to the data of its kind. Returns the offset of the nest
 * IFLA_LINKINFO, for link_end_creation(). */
static size_t link_begin_creation(struct netstrat_batch *batch, const char *kind,
                                  const struct netstrat_link_settings *settings, int32_t parent)
{
    struct ifinfomsg info;
    size_t nest;

    memset(&info, 0, sizeof info);
    info.ifi_index = link_has(settings, NETSTRAT_LINK_INDEX) ? settings->index : 0;
    info.ifi_flags = link_up_flags(settings);
    info.ifi_change = link_up_change(settings);
    netstrat_batch_begin(batch, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    netstrat_batch_append(batch, &info, sizeof info);
    /* A new link is not a port yet. The kernel ignores an alias at creation. */
    if (link_has(settings, LINK_OF_PORT | NETSTRAT_LINK_ALIAS))
        netstrat_batch_refuse(batch, -EINVAL);
    link_put_settings(batch, settings);
    if (parent != 0)
        netstrat_batch_put_u32(batch, IFLA_LINK, (uint32_t)parent);
    nest = netstrat_batch_nest(batch, IFLA_LINKINFO);
    netstrat_batch_put_string(batch, IFLA_INFO_KIND, kind);
    return nest;
}

static int link_end_creation(struct netstrat_batch *batch, size_t nest)
{
    netstrat_batch_nest_end(batch, nest);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_add_link(struct netstrat_batch *batch, const char *kind,
                            const struct netstrat_link_settings *settings)
{
    return link_end_creation(batch, link_begin_creation(batch, kind, settings, 0));
}

int netstrat_batch_add_macvlan(struct netstrat_batch *batch, int32_t parent, uint32_t mode,
                               const struct netstrat_link_settings *settings)
{
    size_t nest = link_begin_creation(batch, "macvlan", settings, parent);
    size_t data = netstrat_batch_nest(batch, IFLA_INFO_DATA);

    if (parent <= 0)
        netstrat_batch_refuse(batch, -EINVAL);
    netstrat_batch_put_u32(batch, IFLA_MACVLAN_MODE, mode);
    netstrat_batch_nest_end(batch, data);
    return link_end_creation(batch, nest);
}

static void link_put_u16(struct netstrat_batch *batch, uint16_t type, uint16_t value)
{
    netstrat_batch_put(batch, type, &value, sizeof value);
}

/* Puts a number in network byte order. */
static void link_put_be16(struct netstrat_batch *batch, uint16_t type, uint16_t value)
{
    const unsigned char bytes[2] = {(unsigned char)(value >> 8), (unsigned char)(value & 0xff)};

    netstrat_batch_put(batch, type, bytes, sizeof bytes);
}

int netstrat_batch_add_vlan(struct netstrat_batch *batch, int32_t parent, uint32_t id,
                            uint16_t protocol, const struct netstrat_link_settings *settings)
{
    size_t nest = link_begin_creation(batch, "vlan", settings, parent);
    size_t data = netstrat_batch_nest(batch, IFLA_INFO_DATA);

    if (parent <= 0 || id > LINK_MAX_VLAN)
        netstrat_batch_refuse(batch, -EINVAL);
    link_put_be16(batch, IFLA_VLAN_PROTOCOL, protocol);
    link_put_u16(batch, IFLA_VLAN_ID, (uint16_t)id);
    netstrat_batch_nest_end(batch, data);
    return link_end_creation(batch, nest);
}

int netstrat_batch_add_ipvlan(struct netstrat_batch *batch, int32_t parent, uint16_t mode,
                              uint16_t flags, const struct netstrat_link_settings *settings)
{
    size_t nest = link_begin_creation(batch, "ipvlan", settings, parent);
    size_t data = netstrat_batch_nest(batch, IFLA_INFO_DATA);

    if (parent <= 0)
        netstrat_batch_refuse(batch, -EINVAL);
    link_put_u16(batch, NETSTRAT_IFLA_IPVLAN_MODE, mode);
    link_put_u16(batch, NETSTRAT_IFLA_IPVLAN_FLAGS, flags);
    netstrat_batch_nest_end(batch, data);
    return link_end_creation(batch, nest);
}

/* Puts an address by the attribute of its family, if there is one. */
static void link_put_end(struct netstrat_batch *batch, uint16_t type, uint16_t type6,
                         const struct netstrat_prefix *end)
{
    if (end->family == AF_INET)
        netstrat_batch_put(batch, type, end->bytes, 4);
    else if (end->family == AF_INET6)
        netstrat_batch_put(batch, type6, end->bytes, sizeof end->bytes);
    else if (end->family != 0)
        netstrat_batch_refuse(batch, -EINVAL);
}

int netstrat_batch_add_vxlan(struct netstrat_batch *batch, int32_t parent,
                             const struct netstrat_vxlan *vxlan,
                             const struct netstrat_link_settings *settings)
{
    size_t nest = link_begin_creation(batch, "vxlan", settings, 0);
    size_t data = netstrat_batch_nest(batch, IFLA_INFO_DATA);

    if (parent < 0 || vxlan->id > LINK_MAX_VNI)
        netstrat_batch_refuse(batch, -EINVAL);
    if (parent != 0)
        netstrat_batch_put_u32(batch, IFLA_VXLAN_LINK, (uint32_t)parent);
    if (vxlan->ttl != 0)
        netstrat_batch_put_u8(batch, IFLA_VXLAN_TTL, vxlan->ttl);
    netstrat_batch_put_u32(batch, IFLA_VXLAN_ID, vxlan->id);
    link_put_end(batch, IFLA_VXLAN_LOCAL, NETSTRAT_IFLA_VXLAN_LOCAL6, &vxlan->local);
    link_put_end(batch, IFLA_VXLAN_GROUP, NETSTRAT_IFLA_VXLAN_GROUP6, &vxlan->remote);
    netstrat_batch_put_u8(batch, IFLA_VXLAN_LEARNING, vxlan->learning != 0);
    link_put_be16(batch, IFLA_VXLAN_PORT, vxlan->port);
    netstrat_batch_nest_end(batch, data);
    return link_end_creation(batch, nest);
}

int netstrat_batch_add_veth(struct netstrat_batch *batch, const struct netstrat_link_settings *own,
                            const struct netstrat_link_settings *peer)
{
    /* Settings of the peer that veth_newlink() ignores or refuses. It ignores the peer's index
     * unless the first end has an index too. */
    const uint32_t refused = NETSTRAT_LINK_UP | NETSTRAT_LINK_MASTER | NETSTRAT_LINK_ALIAS |
                             LINK_OF_PORT |
                             (link_has(own, NETSTRAT_LINK_INDEX) ? 0 : NETSTRAT_LINK_INDEX);
    size_t nest = link_begin_creation(batch, "veth", own, 0);
    size_t data = netstrat_batch_nest(batch, IFLA_INFO_DATA);
    size_t nested_peer = netstrat_batch_nest(batch, NETSTRAT_VETH_INFO_PEER);
    struct ifinfomsg info;

    memset(&info, 0, sizeof info);
    info.ifi_index = link_has(peer, NETSTRAT_LINK_INDEX) ? peer->index : 0;
    if (link_has(peer, refused))
        netstrat_batch_refuse(batch, -EINVAL);
    netstrat_batch_append(batch, &info, sizeof info);
    link_put_settings(batch, peer);
    netstrat_batch_nest_end(batch, nested_peer);
    netstrat_batch_nest_end(batch, data);
    return link_end_creation(batch, nest);
}

static void link_put_port(struct netstrat_batch *batch,
                          const struct netstrat_link_settings *settings)
{
    size_t nest = netstrat_batch_nest(batch, IFLA_LINKINFO);
    size_t data;

    netstrat_batch_put_string(batch, NETSTRAT_IFLA_INFO_SLAVE_KIND, "bridge");
    data = netstrat_batch_nest(batch, NETSTRAT_IFLA_INFO_SLAVE_DATA);
    if (link_has(settings, NETSTRAT_LINK_HAIRPIN))
        netstrat_batch_put_u8(batch, IFLA_BRPORT_MODE, settings->hairpin != 0);
    if (link_has(settings, NETSTRAT_LINK_LEARNING))
        netstrat_batch_put_u8(batch, NETSTRAT_IFLA_BRPORT_LEARNING, settings->learning != 0);
    if (link_has(settings, NETSTRAT_LINK_ISOLATED))
        netstrat_batch_put_u8(batch, NETSTRAT_IFLA_BRPORT_ISOLATED, settings->isolated != 0);
    netstrat_batch_nest_end(batch, data);
    netstrat_batch_nest_end(batch, nest);
}

int netstrat_batch_set_link(struct netstrat_batch *batch, int32_t index, const char *name,
                            const struct netstrat_link_settings *settings)
{
    link_begin_request(batch, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, index, name,
                       link_up_flags(settings), link_up_change(settings));
    /* Without an index, the kernel would look for a link that has the new name already. Before
     * Linux 5.18, a missing name with a group changes all links of that group
     * (rtnl_group_changelink). */
    if (index == 0 && link_has(settings, NETSTRAT_LINK_NAME | NETSTRAT_LINK_GROUP))
        netstrat_batch_refuse(batch, -EINVAL);
    /* The kernel ignores a new index without a new namespace. */
    if (link_has(settings, NETSTRAT_LINK_INDEX) && !link_has(settings, NETSTRAT_LINK_NETNS))
        netstrat_batch_refuse(batch, -EINVAL);
    /* The kernel ignores queues too: it allocates them with the link. */
    if (link_has(settings, NETSTRAT_LINK_QUEUES))
        netstrat_batch_refuse(batch, -EINVAL);
    link_put_settings(batch, settings);
    if (link_has(settings, NETSTRAT_LINK_INDEX))
        netstrat_batch_put_u32(batch, NETSTRAT_IFLA_NEW_IFINDEX, (uint32_t)settings->index);
    if (link_has(settings, LINK_OF_PORT))
        link_put_port(batch, settings);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_delete_link(struct netstrat_batch *batch, int32_t index, const char *name)
{
    link_begin_request(batch, RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, index, name, 0, 0);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_delete_link_group(struct netstrat_batch *batch, uint32_t group)
{
    struct ifinfomsg info;

    memset(&info, 0, sizeof info);
    netstrat_batch_begin(batch, RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK);
    netstrat_batch_append(batch, &info, sizeof info);
    netstrat_batch_put_u32(batch, IFLA_GROUP, group);
    return netstrat_batch_finish(batch);
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
