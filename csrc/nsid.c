/* SPDX-License-Identifier: MIT */
/* Nsids, by which one network namespace knows another: RTM_GETNSID, RTM_NEWNSID and RTM_DELNSID. */
#include "internal.h"

#include <errno.h>

#include <linux/netlink.h>

/* struct rtgenmsg (linux/rtnetlink.h) is one byte, the family; the attributes follow its
 * padding. */
enum { NSID_FIXED_SIZE = 1 };

static void nsid_begin(struct netstrat_batch *batch, uint16_t type, uint16_t flags, int netns)
{
    const unsigned char family = 0; /* AF_UNSPEC */

    netstrat_batch_begin(batch, type, flags);
    netstrat_batch_append(batch, &family, NSID_FIXED_SIZE);
    netstrat_batch_put_u32(batch, NETSTRAT_NETNSA_FD, (uint32_t)netns);
}

int netstrat_batch_get_nsid(struct netstrat_batch *batch, int netns)
{
    nsid_begin(batch, NETSTRAT_RTM_GETNSID, NLM_F_REQUEST, netns);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_add_nsid(struct netstrat_batch *batch, int netns)
{
    nsid_begin(batch, NETSTRAT_RTM_NEWNSID, NLM_F_REQUEST | NLM_F_ACK, netns);
    netstrat_batch_put_u32(batch, NETSTRAT_NETNSA_NSID, UINT32_MAX); /* -1: the kernel chooses */
    return netstrat_batch_finish(batch);
}

int netstrat_nsid_decode(const struct netstrat_message *message, int32_t *nsid)
{
    struct netstrat_cursor rest = message->payload;
    struct netstrat_attribute attribute;

    if ((message->type != NETSTRAT_RTM_NEWNSID && message->type != NETSTRAT_RTM_DELNSID) ||
        rest.missing > 0)
        return -EBADMSG;
    netstrat_cursor_skip(&rest, NSID_FIXED_SIZE);
    while (netstrat_attribute_next(&rest, &attribute) > 0)
        if (attribute.type == NETSTRAT_NETNSA_NSID)
            return netstrat_u32_decode(&attribute.value, nsid);
    return -EBADMSG;
}
