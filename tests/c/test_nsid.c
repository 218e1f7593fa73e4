/* SPDX-License-Identifier: MIT */
/* Nsids: each request byte by byte, and the decoding of RTM_NEWNSID and RTM_DELNSID, complete,
 * truncated and malformed. */
#include <errno.h>
#include <stdlib.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"
#include "codec.h"

/* Not in the headers of older kernels. */
enum { NEWNSID = 88, DELNSID = 89, GETNSID = 90, NSID = 1, PID = 2, FD = 3 };

/* struct rtgenmsg: a family, and its padding. */
#define FAMILY FIXED(struct rtgen, {0})

struct rtgen {
    unsigned char bytes[4];
};

static int encode_get(struct netstrat_batch *batch)
{
    return netstrat_batch_get_nsid(batch, 0x01020304);
}

static int encode_add(struct netstrat_batch *batch)
{
    return netstrat_batch_add_nsid(batch, 0x01020304);
}

static const struct encoder encoders[] = {
    {"a query", encode_get, MESSAGE(GETNSID, NLM_F_REQUEST, FAMILY, U32(FD, 0x01020304))},
    {"a new id", encode_add,
     MESSAGE(NEWNSID, NLM_F_REQUEST | NLM_F_ACK, FAMILY, U32(FD, 0x01020304),
             U32(NSID, UINT32_MAX))},
};

TEST(the_requests_have_these_bytes)
{
    CHECK_ENCODERS(encoders);
}

static int decode(const struct netstrat_message *message)
{
    int32_t nsid = -77;
    int code = netstrat_nsid_decode(message, &nsid);

    CHECK(code == 0 || (code == -EBADMSG && nsid == -77));
    return code;
}

static struct bytes nsid_message(uint16_t type, int32_t nsid)
{
    return BYTES_OF(type, 0, FAMILY, ATTRIBUTE(PID, "pid.", 4), U32(NSID, (uint32_t)nsid));
}

TEST(an_nsid_is_decoded)
{
    static const int32_t ids[] = {0, 1, -1, INT32_MAX};

    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct bytes added = nsid_message(NEWNSID, ids[i]), gone = nsid_message(DELNSID, ids[i]);
        struct netstrat_message message;
        int32_t nsid = -77;

        message = only_message(&added);
        CHECK(netstrat_nsid_decode(&message, &nsid) == 0 && nsid == ids[i]);
        check_mutations(decode, &added);

        nsid = -77;
        message = only_message(&gone);
        CHECK(netstrat_nsid_decode(&message, &nsid) == 0 && nsid == ids[i]);
    }
}

TEST(a_message_without_an_id_is_malformed)
{
    static const unsigned char zeros[8] = {0};

    for (size_t size = 0; size <= 8; size++) { /* an incomplete fixed part, and a short nsid */
        struct bytes bytes = {{0}, 0}, other;
        struct netstrat_message message;
        size_t at = begin(&bytes, NEWNSID, 0, 1, 2);

        put(&bytes, zeros, size);
        finish(&bytes, at);
        message = only_message(&bytes);
        CHECK(decode(&message) == -EBADMSG);

        other = BYTES_OF(NEWNSID, 0, FAMILY, ATTRIBUTE(NSID, zeros, size));
        message = only_message(&other);
        CHECK(decode(&message) == (size >= 4 ? 0 : -EBADMSG));
    }
}

TEST(other_messages_have_no_id)
{
    static const uint16_t types[] = {GETNSID, GETNSID + 1, RTM_NEWLINK, NEWSTATS, NLMSG_ERROR};
    struct netstrat_message message;
    struct bytes bytes = nsid_message(NEWNSID, 5);

    message = only_message(&bytes);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        message.type = types[i];
        CHECK(decode(&message) == -EBADMSG);
    }
    message = only_message(&bytes);
    CHECK(decode(&message) == 0);
    message.payload.missing = 1; /* a truncated message */
    CHECK(decode(&message) == -EBADMSG);
}
