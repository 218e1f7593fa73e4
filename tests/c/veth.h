/* SPDX-License-Identifier: MIT */
/* Links to test with, made of raw messages in the caller's batch: what a later encoder would do. */
#ifndef VETH_H
#define VETH_H

#include <stddef.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"

/* Sends one message that the core has no encoder for. */
static inline int send_raw(struct netstrat_socket *sock, struct bytes *message)
{
    struct netstrat_batch batch = {message->data, message->length, message->length, 1};
    struct netstrat_error error;
    int result, code;

    code = netstrat_transact(sock, &batch, &result, &error);
    if (code < 0)
        printf("raw message: %s: %s %.*s\n", error.operation, strerror(-code),
               (int)error.text_length, error.text);
    return code;
}

static inline int make_veth(struct netstrat_socket *sock, const char *name, const char *peer)
{
    struct bytes message;
    size_t at, info, data, end;

    message.length = 0;
    at = begin(&message, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, 0, 0);
    put_info(&message, 0, 0);
    attribute(&message, IFLA_IFNAME, name, strlen(name) + 1);
    info = open_attribute(&message, IFLA_LINKINFO);
    attribute(&message, IFLA_INFO_KIND, "veth", 5);
    data = open_attribute(&message, IFLA_INFO_DATA);
    end = open_attribute(&message, 1 /* VETH_INFO_PEER */);
    put_info(&message, 0, 0);
    attribute(&message, IFLA_IFNAME, peer, strlen(peer) + 1);
    close_attribute(&message, end);
    close_attribute(&message, data);
    close_attribute(&message, info);
    finish(&message, at);
    return send_raw(sock, &message);
}

static inline int delete_link(struct netstrat_socket *sock, const char *name)
{
    struct bytes message;
    size_t at;

    message.length = 0;
    at = begin(&message, RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, 0, 0);
    put_info(&message, 0, 0);
    attribute(&message, IFLA_IFNAME, name, strlen(name) + 1);
    finish(&message, at);
    return send_raw(sock, &message);
}

static inline int rename_link(struct netstrat_socket *sock, const char *name, const char *to)
{
    struct netstrat_link link;
    struct bytes message;
    size_t at;
    int code = netstrat_get_link(sock, name, &link, NULL, NULL);

    if (code < 0)
        return code;
    message.length = 0;
    at = begin(&message, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 0, 0);
    put_info(&message, link.index, 0);
    attribute(&message, IFLA_IFNAME, to, strlen(to) + 1);
    finish(&message, at);
    return send_raw(sock, &message);
}

#endif
