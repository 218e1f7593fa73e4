/* SPDX-License-Identifier: MIT */
/* Counters: RTM_GETSTATS, RTM_NEWSTATS, and IFLA_STATS64 in RTM_NEWLINK. */
#include "internal.h"

#include <errno.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

/* struct if_stats_msg, linux/if_link.h, 4.7 */
struct counters_stats_header {
    uint8_t family;
    uint8_t pad1;
    uint16_t pad2;
    uint32_t index;
    uint32_t filter;
};

static int counters_put_request(struct netstrat_batch *batch, uint16_t flags, int32_t index)
{
    struct counters_stats_header header;

    memset(&header, 0, sizeof header);
    header.index = (uint32_t)index;
    header.filter = 1U << (NETSTRAT_IFLA_STATS_LINK_64 - 1);
    netstrat_batch_begin(batch, NETSTRAT_RTM_GETSTATS, flags);
    netstrat_batch_append(batch, &header, sizeof header);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_get_counters(struct netstrat_batch *batch, int32_t index)
{
    return counters_put_request(batch, NLM_F_REQUEST, index);
}

int netstrat_batch_dump_counters(struct netstrat_batch *batch)
{
    return counters_put_request(batch, NLM_F_REQUEST | NLM_F_DUMP, 0);
}

/* The eight counters are the first eight fields of struct rtnl_link_stats64 (linux/if_link.h),
 * which has grown at its end. */
static int counters_decode_fields(const struct netstrat_cursor *value,
                                  struct netstrat_counters *counters)
{
    uint64_t field[8];

    if (netstrat_cursor_read(value, field, sizeof field) < 0)
        return -EBADMSG;
    counters->rx_packets = field[0];
    counters->tx_packets = field[1];
    counters->rx_bytes = field[2];
    counters->tx_bytes = field[3];
    counters->rx_errors = field[4];
    counters->tx_errors = field[5];
    counters->rx_dropped = field[6];
    counters->tx_dropped = field[7];
    return 0;
}

/* Returns, for a message type, the offset of the link's index, the size of the fixed part, and the
 * attribute with the counters. */
static int counters_layout(uint16_t type, size_t *index_at, size_t *fixed, uint16_t *attribute)
{
    if (type == NETSTRAT_RTM_NEWSTATS) {
        *index_at = offsetof(struct counters_stats_header, index);
        *fixed = sizeof(struct counters_stats_header);
        *attribute = NETSTRAT_IFLA_STATS_LINK_64;
    } else if (type == RTM_NEWLINK) {
        *index_at = offsetof(struct ifinfomsg, ifi_index);
        *fixed = sizeof(struct ifinfomsg);
        *attribute = IFLA_STATS64;
    } else {
        return -EBADMSG;
    }
    return 0;
}

int netstrat_counters_decode(const struct netstrat_message *message, int32_t *index,
                             struct netstrat_counters *counters)
{
    struct netstrat_cursor rest = message->payload;
    struct netstrat_attribute attribute;
    size_t index_at, fixed;
    uint16_t type;
    int32_t read;
    int more = counters_layout(message->type, &index_at, &fixed, &type);

    if (more < 0 || rest.missing > 0 || rest.at + fixed > rest.end)
        return -EBADMSG;
    memcpy(&read, rest.data + rest.at + index_at, sizeof read);
    if (read <= 0)
        return -EBADMSG;
    rest.at += fixed;
    while ((more = netstrat_attribute_take(&rest, &attribute)) > 0) {
        if (attribute.type == type) {
            if (counters_decode_fields(&attribute.value, counters) < 0)
                return -EBADMSG;
            *index = read;
            return 0;
        }
    }
    return more < 0 ? more : -ENODATA;
}
