/* SPDX-License-Identifier: MIT */
/* Veth pairs and alternative names, made by messages that the core has no function for. They
 * show how a program adds messages of its own to a batch. */
#ifndef VETH_H
#define VETH_H

#include <stdio.h>
#include <string.h>

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "../../csrc/netstrat.h"

enum { OF_ALT_NAMES = 65536 + 4096 }; /* bytes of the largest message or reply */

/* Sends a batch of one message, and prints why it was refused. */
static inline int send_one(struct netstrat_socket *sock, struct netstrat_batch *batch)
{
    struct netstrat_error failure;
    char text[512];
    int result;
    int code = netstrat_execute(sock, batch, &result, &failure);

    if (code < 0) {
        netstrat_error_describe(&failure, NULL, text, sizeof text);
        printf("  %s\n", text);
    }
    return code;
}

static inline void append_info(struct netstrat_batch *batch, int32_t index)
{
    struct ifinfomsg info;

    memset(&info, 0, sizeof info);
    info.ifi_index = index;
    netstrat_batch_append(batch, &info, sizeof info);
}

static inline int batch_veth(struct netstrat_batch *batch, const char *name, const char *peer)
{
    size_t info, data, end;

    netstrat_batch_begin(batch, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    append_info(batch, 0);
    netstrat_batch_put_string(batch, IFLA_IFNAME, name);
    info = netstrat_batch_nest(batch, IFLA_LINKINFO);
    netstrat_batch_put_string(batch, IFLA_INFO_KIND, "veth");
    data = netstrat_batch_nest(batch, IFLA_INFO_DATA);
    end = netstrat_batch_nest(batch, 1 /* VETH_INFO_PEER */);
    append_info(batch, 0);
    netstrat_batch_put_string(batch, IFLA_IFNAME, peer);
    netstrat_batch_nest_end(batch, end);
    netstrat_batch_nest_end(batch, data);
    netstrat_batch_nest_end(batch, info);
    return netstrat_batch_finish(batch);
}

static inline int batch_delete_link(struct netstrat_batch *batch, const char *name)
{
    netstrat_batch_begin(batch, RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK);
    append_info(batch, 0);
    netstrat_batch_put_string(batch, IFLA_IFNAME, name);
    return netstrat_batch_finish(batch);
}

static inline int make_veth(struct netstrat_socket *sock, const char *name, const char *peer)
{
    unsigned char request[512];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, request, sizeof request);
    if (batch_veth(&batch, name, peer) < 0)
        return -1;
    return send_one(sock, &batch);
}

static inline int delete_link(struct netstrat_socket *sock, const char *name)
{
    unsigned char request[128];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, request, sizeof request);
    if (batch_delete_link(&batch, name) < 0)
        return -1;
    return send_one(sock, &batch);
}

static inline int rename_link(struct netstrat_socket *sock, const char *name, const char *to)
{
    unsigned char request[128];
    struct netstrat_batch batch;
    struct netstrat_link link;
    int code = netstrat_link_get(sock, name, &link, NULL, NULL);

    if (code < 0)
        return code;
    netstrat_batch_init(&batch, request, sizeof request);
    netstrat_batch_begin(&batch, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK);
    append_info(&batch, link.index);
    netstrat_batch_put_string(&batch, IFLA_IFNAME, to);
    if (netstrat_batch_finish(&batch) < 0)
        return -1;
    return send_one(sock, &batch);
}

/* Writes the alternative name `number` of the link `index`: 127 bytes, the longest possible. */
static inline void alt_name(int32_t index, unsigned number, char name[NETSTRAT_ALT_NAME_SIZE])
{
    int length = snprintf(name, NETSTRAT_ALT_NAME_SIZE, "alternative-%d-%u-", (int)index, number);

    memset(name + length, 'x', (size_t)(NETSTRAT_ALT_NAME_SIZE - 1 - length));
    name[NETSTRAT_ALT_NAME_SIZE - 1] = '\0';
}

/* Gives a link the alternative names 0 to `count` - 1. The kernel accepts 496. */
static inline int add_alt_names(struct netstrat_socket *sock, int32_t index, unsigned count)
{
    static unsigned char request[OF_ALT_NAMES];
    char name[NETSTRAT_ALT_NAME_SIZE];
    struct netstrat_batch batch;
    unsigned number;
    size_t list;

    netstrat_batch_init(&batch, request, sizeof request);
    netstrat_batch_begin(&batch, 108 /* RTM_NEWLINKPROP */,
                         NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND | NLM_F_EXCL);
    append_info(&batch, index);
    list = netstrat_batch_nest(&batch, 52 /* IFLA_PROP_LIST */);
    for (number = 0; number < count; number++) {
        alt_name(index, number, name);
        netstrat_batch_put_string(&batch, 53 /* IFLA_ALT_IFNAME */, name);
    }
    netstrat_batch_nest_end(&batch, list);
    if (netstrat_batch_finish(&batch) < 0)
        return -1;
    return send_one(sock, &batch);
}

#endif
