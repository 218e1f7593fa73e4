/* SPDX-License-Identifier: MIT */
/* Ids of namespaces: the bytes of the request, and what RTM_NEWNSID and RTM_DELNSID say, whole, cut
 * off and malformed. */
#include <errno.h>
#include <stdlib.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"
#include "codec.h"

/* Not in the headers of older kernels. */
enum { NEWNSID = 88, DELNSID = 89, GETNSID = 90, NSID = 1, PID = 2, FD = 3 };

/* struct rtgenmsg: a family alone, and its padding. */
static void put_fixed(struct bytes *to)
{
    put(to, "\0\0\0\0", 4);
}

static int encode_get(struct netstrat_batch *batch)
{
    return netstrat_batch_get_nsid(batch, 0x01020304);
}

static void put_get(struct bytes *to)
{
    const int fd = 0x01020304;
    size_t at = begin(to, GETNSID, NLM_F_REQUEST, 0, 0);

    put_fixed(to);
    attribute(to, FD, &fd, sizeof fd);
    finish(to, at);
}

static int encode_add(struct netstrat_batch *batch)
{
    return netstrat_batch_add_nsid(batch, 0x01020304);
}

static void put_add(struct bytes *to)
{
    const int fd = 0x01020304;
    const int32_t any = -1;
    size_t at = begin(to, NEWNSID, NLM_F_REQUEST | NLM_F_ACK, 0, 0);

    put_fixed(to);
    attribute(to, FD, &fd, sizeof fd);
    attribute(to, NSID, &any, sizeof any);
    finish(to, at);
}

TEST(the_requests_are_these_bytes)
{
    static const struct encoder encoders[] = {{encode_get, put_get}, {encode_add, put_add}};

    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++)
        check_encoder(&encoders[i]);
}

static int decode(const struct netstrat_message *message)
{
    int32_t nsid = -77;
    int code = netstrat_nsid_decode(message, &nsid);

    CHECK(code == 0 || (code == -EBADMSG && nsid == -77));
    return code;
}

static void put_nsid(struct bytes *to, uint16_t type, int32_t nsid)
{
    size_t at = begin(to, type, 0, 1, 2);

    put_fixed(to);
    attribute(to, PID, "pid.", 4);
    attribute(to, NSID, &nsid, sizeof nsid);
    finish(to, at);
}

TEST(an_id_is_read)
{
    static const int32_t ids[] = {0, 1, -1, INT32_MAX};

    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct bytes added = {{0}, 0}, gone = {{0}, 0};
        struct netstrat_message message;
        int32_t nsid = -77;

        put_nsid(&added, NEWNSID, ids[i]);
        message = only_message(&added);
        CHECK(netstrat_nsid_decode(&message, &nsid) == 0 && nsid == ids[i]);
        check_mutations(decode, &added);

        nsid = -77;
        put_nsid(&gone, DELNSID, ids[i]);
        message = only_message(&gone);
        CHECK(netstrat_nsid_decode(&message, &nsid) == 0 && nsid == ids[i]);
    }
}

TEST(a_message_without_an_id_is_malformed)
{
    static const unsigned char zeros[8] = {0};

    for (size_t size = 0; size <= 8; size++) { /* less than the fixed part, and a short id */
        struct bytes bytes = {{0}, 0}, other = {{0}, 0};
        struct netstrat_message message;
        size_t at = begin(&bytes, NEWNSID, 0, 1, 2);

        put(&bytes, zeros, size);
        finish(&bytes, at);
        message = only_message(&bytes);
        CHECK(decode(&message) == -EBADMSG);

        at = begin(&other, NEWNSID, 0, 1, 2);
        put_fixed(&other);
        attribute(&other, NSID, zeros, size);
        finish(&other, at);
        message = only_message(&other);
        CHECK(decode(&message) == (size >= 4 ? 0 : -EBADMSG));
    }
}

TEST(other_messages_have_no_id)
{
    static const uint16_t types[] = {GETNSID, GETNSID + 1, RTM_NEWLINK, NEWSTATS, NLMSG_ERROR};
    struct netstrat_message message;
    struct bytes bytes = {{0}, 0};

    put_nsid(&bytes, NEWNSID, 5);
    message = only_message(&bytes);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        message.type = types[i];
        CHECK(decode(&message) == -EBADMSG);
    }
    message = only_message(&bytes);
    CHECK(decode(&message) == 0);
    message.payload.missing = 1; /* nor has one that was cut off */
    CHECK(decode(&message) == -EBADMSG);
}
