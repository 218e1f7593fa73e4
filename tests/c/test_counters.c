/* SPDX-License-Identifier: MIT */
/* Counters: the requests, and the decoding of RTM_NEWSTATS and of the counters in RTM_NEWLINK. */
#include <errno.h>
#include <stdlib.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"
#include "codec.h"

/* The sizes of struct rtnl_link_stats64 in different kernels, and of its first eight fields. */
static const size_t sizes[] = {64, 184, 192, 200};

/* ---- requests ---- */

static int encode_get(struct netstrat_batch *batch)
{
    return netstrat_batch_get_counters(batch, 0x01020304);
}

struct stats_header { /* struct if_stats_msg, of Linux 4.7 */
    uint32_t family, index, mask;
};

static const struct encoder encoders[] = {
    {"a query", encode_get,
     MESSAGE(GETSTATS, NLM_F_REQUEST, FIXED(struct stats_header, 0, 0x01020304, 1))},
    {"a dump", netstrat_batch_dump_counters,
     MESSAGE(GETSTATS, NLM_F_REQUEST | NLM_F_DUMP, FIXED(struct stats_header, 0, 0, 1))},
};

TEST(the_requests_have_these_bytes)
{
    CHECK_ENCODERS(encoders);
}

/* ---- answers ---- */

/* RTM_NEWSTATS or RTM_NEWLINK with the counters base + 1, base + 2 ..., if `size` is not 0. */
static void put_counters(struct bytes *to, uint16_t type, uint32_t index, size_t size,
                         uint64_t base)
{
    size_t at = begin(to, type, 0, 1, 2);

    if (type == NEWSTATS) {
        put_stats_header(to, index);
        attribute(to, 2 /* IFLA_STATS_LINK_XSTATS */, "x", 1);
        if (size)
            put_stats64(to, 1 /* IFLA_STATS_LINK_64 */, size, base);
    } else {
        put_info(to, (int32_t)index, 0);
        attribute(to, IFLA_IFNAME, "eth0", 5);
        if (size)
            put_stats64(to, IFLA_STATS64, size, base);
        attribute(to, IFLA_OPERSTATE, "\0", 1);
    }
    finish(to, at);
}

static int decode_counters(const struct netstrat_message *message)
{
    struct netstrat_counters counters, before;
    int32_t index = -77;
    int code;

    memset(&counters, 0xa5, sizeof counters);
    before = counters;
    code = netstrat_counters_decode(message, &index, &counters);
    CHECK(code == 0 || code == -EBADMSG || code == -ENODATA);
    if (code < 0)
        CHECK(index == -77 && memcmp(&counters, &before, sizeof counters) == 0);
    else
        CHECK(index > 0);
    return code;
}

static int decode_with(uint16_t type, uint32_t index, size_t size)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_message message;

    put_counters(&bytes, type, index, size, 0);
    message = only_message(&bytes);
    return decode_counters(&message);
}

TEST(counters_are_read_from_every_version_of_both_messages)
{
    static const uint16_t types[] = {NEWSTATS, RTM_NEWLINK};

    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct bytes bytes = {{0}, 0};
            struct netstrat_message message;
            struct netstrat_counters counters;
            int32_t index = 0;

            put_counters(&bytes, types[t], 5, sizes[i], UINT64_MAX - 40);
            message = only_message(&bytes);
            CHECK(netstrat_counters_decode(&message, &index, &counters) == 0 && index == 5);
            CHECK(counters_are(&counters, UINT64_MAX - 40));
            check_mutations(decode_counters, &bytes);
        }
}

TEST(fewer_bytes_than_eight_counters_are_malformed)
{
    for (size_t size = 1; size < 64; size++) {
        CHECK(decode_with(NEWSTATS, 5, size) == -EBADMSG);
        CHECK(decode_with(RTM_NEWLINK, 5, size) == -EBADMSG);
    }
}

TEST(a_message_without_counters_is_enodata)
{
    CHECK(decode_with(NEWSTATS, 5, 0) == -ENODATA);
    CHECK(decode_with(RTM_NEWLINK, 5, 0) == -ENODATA);
}

/* Including RTM_DELLINK: a deleted link has no counters. */
TEST(other_messages_have_no_counters)
{
    static const uint16_t types[] = {RTM_DELLINK, RTM_GETLINK, GETSTATS, RTM_NEWADDR};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        CHECK(decode_with(types[i], 5, 200) == -EBADMSG);
}

TEST(an_invalid_index_is_malformed)
{
    static const uint32_t indexes[] = {0, 0x80000000U, UINT32_MAX};

    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        CHECK(decode_with(NEWSTATS, indexes[i], 200) == -EBADMSG);
        CHECK(decode_with(RTM_NEWLINK, indexes[i], 200) == -EBADMSG);
    }
    CHECK(decode_with(NEWSTATS, INT32_MAX, 200) == 0);
}

/* 32-bit counters are ignored, and so are flags in an attribute's type. */
TEST(only_64_bit_counters_are_read)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_message message;
    struct netstrat_counters counters;
    uint64_t none[9] = {0};
    int32_t index = 0;
    size_t at = begin(&bytes, RTM_NEWLINK, 0, 1, 2);

    put_info(&bytes, 3, 0);
    attribute(&bytes, IFLA_STATS, none, sizeof none);
    finish(&bytes, at);
    message = only_message(&bytes);
    CHECK(decode_counters(&message) == -ENODATA);

    bytes.length = 0;
    at = begin(&bytes, RTM_NEWLINK, 0, 1, 2);
    put_info(&bytes, 3, 0);
    put_stats64(&bytes, IFLA_STATS64 | 0x4000, 200, 7);
    finish(&bytes, at);
    message = only_message(&bytes);
    CHECK(netstrat_counters_decode(&message, &index, &counters) == 0 && counters_are(&counters, 7));

    bytes.length = 0; /* a malformed attribute before the counters */
    at = begin(&bytes, RTM_NEWLINK, 0, 1, 2);
    put_info(&bytes, 3, 0);
    put(&bytes, "\xff\xff\x01", 4);
    put_stats64(&bytes, IFLA_STATS64, 200, 7);
    finish(&bytes, at);
    message = only_message(&bytes);
    CHECK(decode_counters(&message) == -EBADMSG);
}

TEST(a_truncated_message_is_malformed)
{
    struct bytes bytes = {{0}, 0};

    put_counters(&bytes, RTM_NEWLINK, 5, 200, 0);
    for (size_t size = 0; size < bytes.length; size++)
        CHECK(decode_copy(decode_counters, bytes.data, size, bytes.length - size) == -EBADMSG);
}
