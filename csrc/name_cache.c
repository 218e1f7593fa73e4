/* SPDX-License-Identifier: MIT */
/*
 * The name cache: which index has which name, kept current by the notifications of RTNLGRP_LINK.
 *
 * A dump or a query fills the cache. A notification that repeats a cached name (a change of flags
 * or of the carrier, say) is dropped; any other is recorded as a change for the caller.
 */
#include "internal.h"

#include <errno.h>

#include <linux/rtnetlink.h>

/* The cache entry for an index, or NULL without a cache. Colliding links evict each other; the only
 * cost is a redundant change record. */
static struct netstrat_link_name *name_cache_entry(const struct netstrat_name_watch *watch,
                                                   int32_t index)
{
    return watch->known_size > 0 ? &watch->known[(uint32_t)index & (watch->known_size - 1)] : NULL;
}

void netstrat_name_cache_store(struct netstrat_name_watch *watch,
                               const struct netstrat_link_name *name)
{
    struct netstrat_link_name *entry = watch ? name_cache_entry(watch, name->index) : NULL;

    if (entry)
        *entry = *name;
}

static void name_cache_clear(struct netstrat_name_watch *watch)
{
    if (watch->known && watch->known_size > 0)
        memset(watch->known, 0, watch->known_size * sizeof *watch->known);
}

/* Records that changes were lost: the cache may be out of date. */
static void name_cache_lose(struct netstrat_name_watch *watch)
{
    watch->count = watch->room + 1;
    name_cache_clear(watch);
}

/* The `notified` callback of a socket with a name cache. */
static void name_cache_apply(const struct netstrat_message *message, void *context)
{
    struct netstrat_name_watch *watch = (struct netstrat_name_watch *)context;
    struct netstrat_link_name name;
    const struct netstrat_link_name *known;

    if (message && message->type != RTM_NEWLINK && message->type != RTM_DELLINK)
        return;
    if (!message || netstrat_link_name_decode(message, &name) < 0) {
        name_cache_lose(watch);
        return;
    }
    known = name_cache_entry(watch, name.index);
    if (known && known->index == name.index && strcmp(known->name, name.name) == 0)
        return; /* nothing new */
    if (watch->count >= watch->room) {
        name_cache_lose(watch);
        return;
    }
    netstrat_name_cache_store(watch, &name);
    watch->changes[watch->count++] = name;
}

int netstrat_name_watch_start(struct netstrat_name_watch *watch, struct netstrat_socket *sock,
                              struct netstrat_error *error)
{
    int code = netstrat_socket_join(sock, RTNLGRP_LINK, error);

    if (code < 0)
        return code;
    watch->count = 0;
    name_cache_clear(watch);
    sock->notified = name_cache_apply;
    sock->notified_context = watch;
    return 0;
}
