/* SPDX-License-Identifier: MIT */
/* Messages under construction: every kind of part, in buffers of every size. */
#include <errno.h>
#include <stdlib.h>

#include "../../csrc/internal.h"
#include "bytes.h"
#include "check.h"

enum { ACKED = NLM_F_REQUEST | NLM_F_ACK };

/* A message with every kind of part, built by the core and byte by byte. */
static int build_everything(struct netstrat_batch *batch)
{
    size_t outer, inner;

    netstrat_batch_begin(batch, RTM_NEWLINK, ACKED);
    netstrat_batch_append(batch, "fixed", 5);
    netstrat_batch_append(batch, NULL, 0);
    netstrat_batch_put_string(batch, 1, "veth0");
    netstrat_batch_put_string(batch, 2, "");
    netstrat_batch_put_u8(batch, 3, 0x12);
    netstrat_batch_put_u32(batch, 4, 0x12345678);
    netstrat_batch_put(batch, 5, NULL, 0);
    outer = netstrat_batch_nest(batch, 6);
    inner = netstrat_batch_nest(batch, 7);
    netstrat_batch_put(batch, 8, "abc", 3);
    netstrat_batch_nest_end(batch, inner);
    netstrat_batch_nest_end(batch, outer);
    inner = netstrat_batch_nest(batch, 9); /* empty */
    netstrat_batch_nest_end(batch, inner);
    return netstrat_batch_finish(batch);
}

static void put_everything(struct bytes *to)
{
    const uint32_t number = 0x12345678;
    size_t outer, inner, at = begin(to, RTM_NEWLINK, ACKED, 0, 0);

    put(to, "fixed", 5);
    pad(to);
    attribute(to, 1, "veth0", 6);
    attribute(to, 2, "", 1);
    attribute(to, 3, "\x12", 1);
    attribute(to, 4, &number, sizeof number);
    attribute(to, 5, "", 0);
    outer = open_attribute(to, 6 | 0x8000); /* NLA_F_NESTED */
    inner = open_attribute(to, 7 | 0x8000);
    attribute(to, 8, "abc", 3);
    close_attribute(to, inner);
    close_attribute(to, outer);
    inner = open_attribute(to, 9 | 0x8000);
    close_attribute(to, inner);
    finish(to, at);
}

/* In a buffer of every size: the complete message with zeroed padding, or nothing. Nothing
 * beyond the buffer is written. */
TEST(a_message_fits_or_leaves_the_batch_as_it_was)
{
    unsigned char buffer[512], before[512];
    struct netstrat_batch batch;
    struct bytes wanted = {{0}, 0};
    size_t room, used;

    put_everything(&wanted);
    memset(before, 0xa5, sizeof before);
    for (room = 0; room < sizeof buffer; room++) {
        int fits = room >= wanted.length;

        memcpy(buffer, before, sizeof buffer);
        netstrat_batch_init(&batch, buffer, room);
        CHECK(build_everything(&batch) == (fits ? 0 : -EMSGSIZE));
        CHECK(memcmp(buffer + room, before + room, sizeof buffer - room) == 0);
        CHECK(batch.code == 0 && batch.start == batch.used);
        if (fits) {
            CHECK(batch.used == wanted.length && batch.count == 1);
            CHECK(memcmp(buffer, wanted.data, wanted.length) == 0);
        } else {
            CHECK(batch.used == 0 && batch.count == 0);
        }
    }

    /* After a finished message. */
    for (room = wanted.length; room < 2 * wanted.length; room++) {
        netstrat_batch_init(&batch, buffer, room);
        CHECK(build_everything(&batch) == 0);
        used = batch.used;
        CHECK(build_everything(&batch) == -EMSGSIZE);
        CHECK(batch.used == used && batch.start == used && batch.count == 1);
        CHECK(memcmp(buffer, wanted.data, wanted.length) == 0);
    }
}

/* A smaller part after one that did not fit is not added either. */
TEST(the_first_part_that_does_not_fit_ends_the_message)
{
    unsigned char buffer[64];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    netstrat_batch_begin(&batch, RTM_NEWLINK, ACKED);
    netstrat_batch_append(&batch, buffer, sizeof buffer);
    CHECK(batch.code == -EMSGSIZE);
    netstrat_batch_put_u8(&batch, 1, 1);
    netstrat_batch_refuse(&batch, -EINVAL);
    CHECK(batch.used == 16 && batch.code == -EMSGSIZE);
    CHECK(netstrat_batch_finish(&batch) == -EMSGSIZE && batch.used == 0);

    netstrat_batch_begin(&batch, RTM_NEWLINK, ACKED);
    netstrat_batch_append(&batch, buffer, SIZE_MAX); /* whose padding would wrap around */
    CHECK(netstrat_batch_finish(&batch) == -EMSGSIZE && batch.used == 0);

    netstrat_batch_begin(&batch, RTM_NEWLINK, ACKED); /* the batch remains usable */
    CHECK(netstrat_batch_finish(&batch) == 0 && batch.used == 16 && batch.count == 1);
}

TEST(the_first_refusal_is_returned)
{
    unsigned char buffer[64];
    struct netstrat_batch batch;
    size_t nest;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    netstrat_batch_begin(&batch, RTM_NEWLINK, ACKED);
    netstrat_batch_refuse(&batch, -EINVAL);
    netstrat_batch_refuse(&batch, -ENOENT);
    nest = netstrat_batch_nest(&batch, 1);
    netstrat_batch_put(&batch, 1, buffer, sizeof buffer);
    netstrat_batch_nest_end(&batch, nest);
    CHECK(batch.used == 16); /* nothing more is written */
    CHECK(netstrat_batch_finish(&batch) == -EINVAL);
    CHECK(batch.used == 0 && batch.count == 0 && batch.code == 0);
}

TEST(only_a_message_that_was_begun_can_be_finished)
{
    unsigned char buffer[64];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(netstrat_batch_finish(&batch) == -EINVAL);
    netstrat_batch_append(&batch, "fixed", 5);
    CHECK(netstrat_batch_finish(&batch) == -EINVAL);
    CHECK(batch.used == 0 && batch.count == 0 && batch.code == 0);
    netstrat_batch_begin(&batch, RTM_NEWLINK, ACKED);
    CHECK(netstrat_batch_finish(&batch) == 0);
    CHECK(netstrat_batch_finish(&batch) == -EINVAL); /* twice */
    CHECK(batch.used == 16 && batch.count == 1);
}

/* The length of an attribute has 16 bits. */
TEST(an_attribute_or_a_nest_above_64_kib_is_refused)
{
    enum { ROOM = 1 << 18, MOST = 65535 - 4 };
    unsigned char *buffer = (unsigned char *)malloc(ROOM);
    unsigned char *value = (unsigned char *)calloc(1, MOST + 1);
    struct netstrat_batch batch;
    size_t nest;
    int i;

    netstrat_batch_init(&batch, buffer, ROOM);
    netstrat_batch_begin(&batch, RTM_NEWLINK, ACKED);
    netstrat_batch_put(&batch, 1, value, MOST);
    CHECK(netstrat_batch_finish(&batch) == 0 && batch.used == 16 + 65536);
    netstrat_batch_begin(&batch, RTM_NEWLINK, ACKED);
    netstrat_batch_put(&batch, 1, value, MOST + 1);
    CHECK(netstrat_batch_finish(&batch) == -EMSGSIZE && batch.used == 16 + 65536);

    for (i = 0; i < 2; i++) { /* 65532 bytes with its header, and four more */
        netstrat_batch_init(&batch, buffer, ROOM);
        netstrat_batch_begin(&batch, RTM_NEWLINK, ACKED);
        nest = netstrat_batch_nest(&batch, 1);
        netstrat_batch_put(&batch, 2, value, 32760);
        netstrat_batch_put(&batch, 3, value, (size_t)(32760 + 4 * i));
        netstrat_batch_nest_end(&batch, nest);
        CHECK(netstrat_batch_finish(&batch) == (i == 0 ? 0 : -EMSGSIZE));
        CHECK(batch.count == (i == 0 ? 1U : 0U));
    }
    free(value);
    free(buffer);
}

/* ---- checks before sending ---- */

static int check_bytes(struct bytes *bytes, uint32_t count, uint32_t *item)
{
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, bytes->data, sizeof bytes->data);
    batch.used = bytes->length;
    batch.count = count;
    return netstrat_batch_check(&batch, item);
}

static void put_sound(struct bytes *to)
{
    size_t at = begin(to, RTM_NEWLINK, ACKED, 0, 0);

    put_info(to, 1, 0);
    finish(to, at);
}

TEST(a_valid_batch_can_be_sent)
{
    struct bytes bytes = {{0}, 0};
    uint32_t item = 77;

    CHECK(check_bytes(&bytes, 0, &item) == 0);
    put_sound(&bytes);
    CHECK(check_bytes(&bytes, 1, &item) == 0);
    put_sound(&bytes);
    put_sound(&bytes);
    CHECK(check_bytes(&bytes, 3, &item) == 0);
    /* A query about one object is answered and acknowledged. */
    finish(&bytes, begin(&bytes, RTM_GETLINK, ACKED, 0, 0));
    /* In a change, the bits of NLM_F_DUMP mean REPLACE and EXCL. */
    finish(&bytes, begin(&bytes, RTM_NEWLINK, ACKED | NLM_F_REPLACE | NLM_F_EXCL, 0, 0));
    CHECK(check_bytes(&bytes, 5, &item) == 0 && item == 77);
}

/* Each of these is placed between two valid messages, and the error names it. */
TEST(a_message_that_cannot_be_sent_is_named)
{
    static const struct {
        uint16_t type, flags;
        uint32_t length; /* in its header; 0: the real one */
    } rows[] = {
        {RTM_NEWLINK, NLM_F_REQUEST, 0},
        {RTM_NEWLINK, NLM_F_ACK, 0},
        {RTM_NEWLINK, 0, 0},
        {RTM_GETLINK, ACKED | NLM_F_DUMP, 0},
        {RTM_GETLINK, ACKED | NLM_F_ROOT, 0},
        {RTM_GETLINK, ACKED | NLM_F_MATCH, 0},
        {GETSTATS, ACKED | NLM_F_DUMP, 0},
        {RTM_NEWLINK, ACKED, 1},
        {RTM_NEWLINK, ACKED, 15},
        {RTM_NEWLINK, ACKED, 31}, /* without its padding */
        {RTM_NEWLINK, ACKED, 33},
        {RTM_NEWLINK, ACKED, 68}, /* beyond the end of the batch */
        {RTM_NEWLINK, ACKED, UINT32_MAX},
        {RTM_NEWLINK, ACKED, 0x80000000U},
    };
    uint32_t zero = 0, item;
    struct bytes bytes;
    size_t at;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bytes.length = 0;
        put_sound(&bytes);
        at = begin(&bytes, rows[i].type, rows[i].flags, 0, 0);
        put_info(&bytes, 1, 0);
        finish(&bytes, at);
        if (rows[i].length)
            memcpy(bytes.data + at, &rows[i].length, sizeof rows[i].length);
        put_sound(&bytes);
        item = 77;
        CHECK(check_bytes(&bytes, 3, &item) == -EINVAL && item == 1);
    }
    memcpy(bytes.data, &zero, sizeof zero); /* a length of 0 must not cause an endless loop */
    CHECK(check_bytes(&bytes, 3, &item) == -EINVAL && item == 0);
}

TEST(a_batch_whose_count_or_size_is_wrong_is_refused)
{
    struct bytes bytes = {{0}, 0};
    uint32_t item = 77;
    size_t size;

    put_sound(&bytes);
    put_sound(&bytes);
    CHECK(check_bytes(&bytes, 1, &item) == -EINVAL && item == 1);
    CHECK(check_bytes(&bytes, 3, &item) == -EINVAL && item == 2);
    CHECK(check_bytes(&bytes, 0, &item) == -EINVAL && item == 0);
    CHECK(check_bytes(&bytes, UINT32_MAX, &item) == -EINVAL && item == 2);
    size = bytes.length;
    for (bytes.length = 0; bytes.length < size; bytes.length++)
        CHECK(check_bytes(&bytes, 2, &item) == -EINVAL && item == (bytes.length >= size / 2));
    bytes.length = size + 4;
    CHECK(check_bytes(&bytes, 2, &item) == -EINVAL && item == 2);
}
