/* SPDX-License-Identifier: MIT */
/* Links that are made, changed and deleted: RTM_NEWLINK with settings, and RTM_DELLINK. */
#include "internal.h"

#include <errno.h>
#include <net/if.h>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

static int link_change_has(const struct netstrat_link_settings *settings, uint32_t field)
{
    return (settings->set & field) != 0;
}

/* Puts a new name. A link to rename is identified by its index, so IFLA_IFNAME is free for it. */
static void link_change_put_name(struct netstrat_batch *batch, const char name[NETSTRAT_NAME_SIZE])
{
    if (!memchr(name, '\0', NETSTRAT_NAME_SIZE) || netstrat_name_check(name) != 0)
        netstrat_batch_refuse(batch, -EINVAL);
    else
        netstrat_batch_put_string(batch, IFLA_IFNAME, name);
}

/* Puts the settings that are top-level attributes. */
static void link_change_put_settings(struct netstrat_batch *batch,
                                     const struct netstrat_link_settings *settings)
{
    if (link_change_has(settings, NETSTRAT_LINK_NAME))
        link_change_put_name(batch, settings->name);
    if (link_change_has(settings, NETSTRAT_LINK_NETNS))
        netstrat_batch_put_u32(batch, IFLA_NET_NS_FD, (uint32_t)settings->netns);
    if (link_change_has(settings, NETSTRAT_LINK_MTU))
        netstrat_batch_put_u32(batch, IFLA_MTU, settings->mtu);
    if (link_change_has(settings, NETSTRAT_LINK_TXQUEUELEN))
        netstrat_batch_put_u32(batch, IFLA_TXQLEN, settings->txqueuelen);
    if (link_change_has(settings, NETSTRAT_LINK_MASTER))
        netstrat_batch_put_u32(batch, IFLA_MASTER, (uint32_t)settings->master);
    if (link_change_has(settings, NETSTRAT_LINK_GROUP))
        netstrat_batch_put_u32(batch, IFLA_GROUP, settings->group);
    if (link_change_has(settings, NETSTRAT_LINK_QUEUES)) {
        netstrat_batch_put_u32(batch, IFLA_NUM_TX_QUEUES, settings->queues);
        netstrat_batch_put_u32(batch, IFLA_NUM_RX_QUEUES, settings->queues);
    }
    if (link_change_has(settings, NETSTRAT_LINK_MAC)) {
        if (settings->mac_length == 0 || settings->mac_length > sizeof settings->mac)
            netstrat_batch_refuse(batch, -EINVAL);
        else
            netstrat_batch_put(batch, IFLA_ADDRESS, settings->mac, settings->mac_length);
    }
    if (link_change_has(settings, NETSTRAT_LINK_ALIAS)) {
        size_t length = strnlen(settings->alias, sizeof settings->alias);

        if (length == sizeof settings->alias)
            netstrat_batch_refuse(batch, -EINVAL);
        else /* without its NUL, so that "" removes the alias (do_setlink) */
            netstrat_batch_put(batch, IFLA_IFALIAS, settings->alias, length);
    }
}

/* VLAN_N_VID - 2 (linux/if_vlan.h) and VXLAN_N_VID - 1 (net/vxlan.h). */
enum { LINK_CHANGE_MAX_VLAN = 4094, LINK_CHANGE_MAX_VNI = (1 << 24) - 1 };

/* The settings of a bridge port. */
enum {
    LINK_CHANGE_OF_PORT = NETSTRAT_LINK_HAIRPIN | NETSTRAT_LINK_ISOLATED | NETSTRAT_LINK_LEARNING
};

static uint32_t link_change_up_flags(const struct netstrat_link_settings *settings)
{
    return link_change_has(settings, NETSTRAT_LINK_UP) && settings->up ? IFF_UP : 0;
}

static uint32_t link_change_up_change(const struct netstrat_link_settings *settings)
{
    return link_change_has(settings, NETSTRAT_LINK_UP) ? IFF_UP : 0;
}

/* Begins RTM_NEWLINK for a new link, up to the data of its kind. Returns the offset of the nest
 * IFLA_LINKINFO, for link_change_end_creation(). */
static size_t link_change_begin_creation(struct netstrat_batch *batch, const char *kind,
                                         const struct netstrat_link_settings *settings,
                                         int32_t parent)
{
    struct ifinfomsg info;
    size_t nest;

    memset(&info, 0, sizeof info);
    info.ifi_index = link_change_has(settings, NETSTRAT_LINK_INDEX) ? settings->index : 0;
    info.ifi_flags = link_change_up_flags(settings);
    info.ifi_change = link_change_up_change(settings);
    netstrat_batch_begin(batch, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    netstrat_batch_append(batch, &info, sizeof info);
    /* A new link is not a port yet. The kernel ignores an alias at creation. */
    if (link_change_has(settings, LINK_CHANGE_OF_PORT | NETSTRAT_LINK_ALIAS))
        netstrat_batch_refuse(batch, -EINVAL);
    link_change_put_settings(batch, settings);
    if (parent != 0)
        netstrat_batch_put_u32(batch, IFLA_LINK, (uint32_t)parent);
    nest = netstrat_batch_nest(batch, IFLA_LINKINFO);
    netstrat_batch_put_string(batch, IFLA_INFO_KIND, kind);
    return nest;
}

static int link_change_end_creation(struct netstrat_batch *batch, size_t nest)
{
    netstrat_batch_nest_end(batch, nest);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_add_link(struct netstrat_batch *batch, const char *kind,
                            const struct netstrat_link_settings *settings)
{
    return link_change_end_creation(batch, link_change_begin_creation(batch, kind, settings, 0));
}

int netstrat_batch_add_macvlan(struct netstrat_batch *batch, int32_t parent, uint32_t mode,
                               const struct netstrat_link_settings *settings)
{
    size_t nest = link_change_begin_creation(batch, "macvlan", settings, parent);
    size_t data = netstrat_batch_nest(batch, IFLA_INFO_DATA);

    if (parent <= 0)
        netstrat_batch_refuse(batch, -EINVAL);
    netstrat_batch_put_u32(batch, IFLA_MACVLAN_MODE, mode);
    netstrat_batch_nest_end(batch, data);
    return link_change_end_creation(batch, nest);
}

static void link_change_put_u16(struct netstrat_batch *batch, uint16_t type, uint16_t value)
{
    netstrat_batch_put(batch, type, &value, sizeof value);
}

/* Puts a number in network byte order. */
static void link_change_put_be16(struct netstrat_batch *batch, uint16_t type, uint16_t value)
{
    const unsigned char bytes[2] = {(unsigned char)(value >> 8), (unsigned char)(value & 0xff)};

    netstrat_batch_put(batch, type, bytes, sizeof bytes);
}

int netstrat_batch_add_vlan(struct netstrat_batch *batch, int32_t parent, uint32_t id,
                            uint16_t protocol, const struct netstrat_link_settings *settings)
{
    size_t nest = link_change_begin_creation(batch, "vlan", settings, parent);
    size_t data = netstrat_batch_nest(batch, IFLA_INFO_DATA);

    if (parent <= 0 || id > LINK_CHANGE_MAX_VLAN)
        netstrat_batch_refuse(batch, -EINVAL);
    link_change_put_be16(batch, IFLA_VLAN_PROTOCOL, protocol);
    link_change_put_u16(batch, IFLA_VLAN_ID, (uint16_t)id);
    netstrat_batch_nest_end(batch, data);
    return link_change_end_creation(batch, nest);
}

int netstrat_batch_add_ipvlan(struct netstrat_batch *batch, int32_t parent, uint16_t mode,
                              uint16_t flags, const struct netstrat_link_settings *settings)
{
    size_t nest = link_change_begin_creation(batch, "ipvlan", settings, parent);
    size_t data = netstrat_batch_nest(batch, IFLA_INFO_DATA);

    if (parent <= 0)
        netstrat_batch_refuse(batch, -EINVAL);
    link_change_put_u16(batch, NETSTRAT_IFLA_IPVLAN_MODE, mode);
    link_change_put_u16(batch, NETSTRAT_IFLA_IPVLAN_FLAGS, flags);
    netstrat_batch_nest_end(batch, data);
    return link_change_end_creation(batch, nest);
}

/* Puts an address by the attribute of its family, if there is one. */
static void link_change_put_end(struct netstrat_batch *batch, uint16_t type, uint16_t type6,
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
    size_t nest = link_change_begin_creation(batch, "vxlan", settings, 0);
    size_t data = netstrat_batch_nest(batch, IFLA_INFO_DATA);

    if (parent < 0 || vxlan->id > LINK_CHANGE_MAX_VNI)
        netstrat_batch_refuse(batch, -EINVAL);
    if (parent != 0)
        netstrat_batch_put_u32(batch, IFLA_VXLAN_LINK, (uint32_t)parent);
    if (vxlan->ttl != 0)
        netstrat_batch_put_u8(batch, IFLA_VXLAN_TTL, vxlan->ttl);
    netstrat_batch_put_u32(batch, IFLA_VXLAN_ID, vxlan->id);
    link_change_put_end(batch, IFLA_VXLAN_LOCAL, NETSTRAT_IFLA_VXLAN_LOCAL6, &vxlan->local);
    link_change_put_end(batch, IFLA_VXLAN_GROUP, NETSTRAT_IFLA_VXLAN_GROUP6, &vxlan->remote);
    netstrat_batch_put_u8(batch, IFLA_VXLAN_LEARNING, vxlan->learning != 0);
    link_change_put_be16(batch, IFLA_VXLAN_PORT, vxlan->port);
    netstrat_batch_nest_end(batch, data);
    return link_change_end_creation(batch, nest);
}

int netstrat_batch_add_veth(struct netstrat_batch *batch, const struct netstrat_link_settings *own,
                            const struct netstrat_link_settings *peer)
{
    /* Settings of the peer that veth_newlink() ignores or refuses. It ignores the peer's index
     * unless the first end has an index too. */
    const uint32_t refused = NETSTRAT_LINK_UP | NETSTRAT_LINK_MASTER | NETSTRAT_LINK_ALIAS |
                             LINK_CHANGE_OF_PORT |
                             (link_change_has(own, NETSTRAT_LINK_INDEX) ? 0 : NETSTRAT_LINK_INDEX);
    size_t nest = link_change_begin_creation(batch, "veth", own, 0);
    size_t data = netstrat_batch_nest(batch, IFLA_INFO_DATA);
    size_t nested_peer = netstrat_batch_nest(batch, NETSTRAT_VETH_INFO_PEER);
    struct ifinfomsg info;

    memset(&info, 0, sizeof info);
    info.ifi_index = link_change_has(peer, NETSTRAT_LINK_INDEX) ? peer->index : 0;
    if (link_change_has(peer, refused))
        netstrat_batch_refuse(batch, -EINVAL);
    netstrat_batch_append(batch, &info, sizeof info);
    link_change_put_settings(batch, peer);
    netstrat_batch_nest_end(batch, nested_peer);
    netstrat_batch_nest_end(batch, data);
    return link_change_end_creation(batch, nest);
}

static void link_change_put_port(struct netstrat_batch *batch,
                                 const struct netstrat_link_settings *settings)
{
    size_t nest = netstrat_batch_nest(batch, IFLA_LINKINFO);
    size_t data;

    netstrat_batch_put_string(batch, NETSTRAT_IFLA_INFO_SLAVE_KIND, "bridge");
    data = netstrat_batch_nest(batch, NETSTRAT_IFLA_INFO_SLAVE_DATA);
    if (link_change_has(settings, NETSTRAT_LINK_HAIRPIN))
        netstrat_batch_put_u8(batch, IFLA_BRPORT_MODE, settings->hairpin != 0);
    if (link_change_has(settings, NETSTRAT_LINK_LEARNING))
        netstrat_batch_put_u8(batch, NETSTRAT_IFLA_BRPORT_LEARNING, settings->learning != 0);
    if (link_change_has(settings, NETSTRAT_LINK_ISOLATED))
        netstrat_batch_put_u8(batch, NETSTRAT_IFLA_BRPORT_ISOLATED, settings->isolated != 0);
    netstrat_batch_nest_end(batch, data);
    netstrat_batch_nest_end(batch, nest);
}

int netstrat_batch_set_link(struct netstrat_batch *batch, int32_t index, const char *name,
                            const struct netstrat_link_settings *settings)
{
    netstrat_link_begin(batch, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, index, name,
                        link_change_up_flags(settings), link_change_up_change(settings));
    /* Without an index, the kernel would look for a link that has the new name already. Before
     * Linux 5.18, a missing name with a group changes all links of that group
     * (rtnl_group_changelink). */
    if (index == 0 && link_change_has(settings, NETSTRAT_LINK_NAME | NETSTRAT_LINK_GROUP))
        netstrat_batch_refuse(batch, -EINVAL);
    /* The kernel ignores a new index without a new namespace. */
    if (link_change_has(settings, NETSTRAT_LINK_INDEX) &&
        !link_change_has(settings, NETSTRAT_LINK_NETNS))
        netstrat_batch_refuse(batch, -EINVAL);
    /* The kernel ignores queues too: it allocates them with the link. */
    if (link_change_has(settings, NETSTRAT_LINK_QUEUES))
        netstrat_batch_refuse(batch, -EINVAL);
    link_change_put_settings(batch, settings);
    if (link_change_has(settings, NETSTRAT_LINK_INDEX))
        netstrat_batch_put_u32(batch, NETSTRAT_IFLA_NEW_IFINDEX, (uint32_t)settings->index);
    if (link_change_has(settings, LINK_CHANGE_OF_PORT))
        link_change_put_port(batch, settings);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_delete_link(struct netstrat_batch *batch, int32_t index, const char *name)
{
    netstrat_link_begin(batch, RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, index, name, 0, 0);
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
