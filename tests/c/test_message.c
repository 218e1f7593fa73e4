/* SPDX-License-Identifier: MIT */
/* The decoding of messages, attributes and acks, valid and malformed. */
#include <errno.h>
#include <stdlib.h>

#include "../../csrc/internal.h"
#include "bytes.h"
#include "check.h"
#include "codec.h"

/* ---- messages and attributes ---- */

static size_t left_of(const struct netstrat_cursor *rest)
{
    return rest->end - rest->at;
}

/* Two messages: 21 bytes, 24 with their padding, and 18. */
static void put_two(struct bytes *to)
{
    size_t at = begin(to, 7, 8, 9, 10);

    put(to, "abcde", 5);
    finish(to, at);
    at = begin(to, 11, 12, 13, 14);
    put(to, "fg", 2);
    finish(to, at);
}

TEST(the_messages_of_a_datagram_come_one_by_one)
{
    struct bytes two = {{0}, 0};
    struct netstrat_message message;
    struct netstrat_cursor rest = {two.data, 0, 0, 0};

    put_two(&two);
    rest.end = two.length;
    CHECK(netstrat_message_next(&rest, &message) == 1);
    CHECK(message.type == 7 && message.flags == 8 && message.sequence == 9 && message.port == 10);
    CHECK(left_of(&message.payload) == 5 && memcmp(two.data + message.payload.at, "abcde", 5) == 0);
    CHECK(message.payload.missing == 0 && rest.at == 24);
    CHECK(netstrat_message_next(&rest, &message) == 1);
    CHECK(message.type == 11 && left_of(&message.payload) == 2 && left_of(&rest) == 0);
    CHECK(netstrat_message_next(&rest, &message) == 0);
}

/* In memory of exactly the received size. */
TEST(a_datagram_with_a_missing_end_is_malformed)
{
    struct bytes two = {{0}, 0};
    size_t size;

    put_two(&two);
    for (size = 0; size <= two.length; size++) {
        unsigned char *copy = (unsigned char *)malloc(size + !size);
        struct netstrat_cursor rest = {copy, 0, size, 0};
        struct netstrat_message message;
        int code, count = 0;

        memcpy(copy, two.data, size);
        while ((code = netstrat_message_next(&rest, &message)) > 0)
            count++;
        CHECK(count == (size >= 42) + (size >= 21)); /* the padding of the last may be missing */
        CHECK(code == (size == 0 || (size >= 21 && size <= 24) || size >= 42 ? 0 : -EBADMSG));
        free(copy);
    }
}

/* If the buffer was too small, the truncated message is returned as far as it was received, and
 * nothing after it. */
TEST(a_truncated_datagram_yields_what_was_received)
{
    struct bytes two = {{0}, 0};
    size_t size;

    put_two(&two);
    for (size = 0; size < two.length; size++) {
        unsigned char *copy = (unsigned char *)malloc(size + !size);
        struct netstrat_cursor rest = {copy, 0, size, two.length - size};
        struct netstrat_message message;
        int code, whole = 0, cut = 0;

        memcpy(copy, two.data, size);
        while ((code = netstrat_message_next(&rest, &message)) > 0) {
            CHECK(cut == 0);
            if (message.payload.missing == 0) {
                whole++;
            } else {
                cut++;
                CHECK(message.payload.data == copy && message.payload.end == size);
                CHECK(left_of(&message.payload) + message.payload.missing == (whole ? 2U : 5U));
            }
        }
        CHECK(code == 0);
        CHECK(whole == (size >= 42) + (size >= 21));
        CHECK(cut == ((size >= 16 && size < 21) || (size >= 40 && size < 42)));
        free(copy);
    }
}

TEST(a_length_that_does_not_fit_is_malformed)
{
    struct bytes two = {{0}, 0};
    struct netstrat_message message, before;
    struct netstrat_cursor rest;
    uint32_t length, missing;

    put_two(&two);
    memset(&before, 0xa5, sizeof before);
    for (missing = 0; missing < 20; missing += 10)
        for (length = 0; length < 70; length++) { /* every length that a header may claim */
            int fits = length >= 16 && length <= 24 + missing;

            memcpy(two.data, &length, sizeof length);
            rest.data = two.data;
            rest.at = 0;
            rest.end = 24;
            rest.missing = missing;
            message = before;
            CHECK(netstrat_message_next(&rest, &message) == (fits ? 1 : -EBADMSG));
            CHECK(fits || (rest.at == 0 && memcmp(&message, &before, sizeof before) == 0));
        }
    /* these would overflow 32 bits */
    for (length = UINT32_MAX; length > UINT32_MAX - 70; length--) {
        memcpy(two.data + 24, &length, sizeof length);
        rest.at = 24;
        rest.end = two.length;
        CHECK(netstrat_message_next(&rest, &message) == -EBADMSG && rest.at == 24);
    }
}

TEST(attributes_come_one_by_one)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_attribute attribute_;
    struct netstrat_cursor rest;
    uint16_t length;
    size_t size;

    attribute(&bytes, 1, "abcde", 5);         /* 12 bytes with its padding */
    attribute(&bytes, 2 | 0x8000, "", 0);     /* NLA_F_NESTED is not part of the type */
    attribute(&bytes, 3 | 0x4000, "fghi", 4); /* neither is NLA_F_NET_BYTEORDER */
    rest.data = bytes.data;
    rest.at = 0;
    rest.end = bytes.length;
    rest.missing = 0;
    CHECK(netstrat_attribute_next(&rest, &attribute_) == 1 && attribute_.type == 1);
    CHECK(left_of(&attribute_.value) == 5 && !memcmp(bytes.data + attribute_.value.at, "abcde", 5));
    CHECK(attribute_.value.missing == 0 && rest.at == 12);
    CHECK(netstrat_attribute_next(&rest, &attribute_) == 1 && attribute_.type == 2);
    CHECK(left_of(&attribute_.value) == 0);
    CHECK(netstrat_attribute_next(&rest, &attribute_) == 1 && attribute_.type == 3);
    CHECK(netstrat_attribute_next(&rest, &attribute_) == 0 && left_of(&rest) == 0);

    for (size = 0; size <= 9; size++) {
        rest.at = 0;
        rest.end = size;
        CHECK(netstrat_attribute_next(&rest, &attribute_) == (size == 0  ? 0
                                                              : size < 9 ? -EBADMSG
                                                                         : 1));
    }
    for (length = 0; length < 20; length++) {
        memcpy(bytes.data, &length, sizeof length);
        rest.at = 0;
        rest.end = 12;
        CHECK(netstrat_attribute_next(&rest, &attribute_) ==
              (length >= 4 && length <= 12 ? 1 : -EBADMSG));
    }
}

/* ---- what callers read of messages of their own ---- */

TEST(the_fixed_part_and_the_attributes_of_a_message_are_read)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_message message;
    struct netstrat_attribute found;
    struct netstrat_cursor attributes, before;
    unsigned char fixed[6] = {9, 9, 9, 9, 9, 9}, larger[100];
    size_t at = begin(&bytes, 7, 0, 0, 0);

    put(&bytes, "abcde\0\0", 8); /* with its padding */
    attribute(&bytes, 3, "x", 1);
    finish(&bytes, at);
    message = only_message(&bytes);
    CHECK(netstrat_message_body(&message, fixed, 5, &attributes) == 0);
    CHECK(memcmp(fixed, "abcde\x09", 6) == 0);
    CHECK(netstrat_attribute_next(&attributes, &found) == 1 && found.type == 3);
    CHECK(netstrat_attribute_next(&attributes, &found) == 0);
    memset(&attributes, 0x5a, sizeof attributes);
    before = attributes;
    CHECK(netstrat_message_body(&message, larger, sizeof larger, &attributes) == -EBADMSG);
    /* the message has 16 */
    CHECK(netstrat_message_body(&message, larger, 17, &attributes) == -EBADMSG);
    CHECK(netstrat_message_body(&message, fixed, SIZE_MAX, &attributes) == -EBADMSG);
    CHECK(memcmp(&attributes, &before, sizeof before) == 0);
}

TEST(the_value_of_an_attribute_is_read_by_its_size)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_cursor rest = {bytes.data, 0, 0, 0};
    struct netstrat_attribute found;
    const uint64_t number = 0x0102030405060708U;
    uint64_t u64 = 9;
    uint32_t u32 = 9, wanted32;
    uint16_t u16 = 9, wanted16;
    uint8_t u8 = 9;
    unsigned char any[9] = {9, 9, 9, 9, 9, 9, 9, 9, 9};

    for (size_t size = 0; size <= sizeof number; size++) {
        bytes.length = 0;
        attribute(&bytes, 3, &number, size);
        rest.at = 0;
        rest.end = bytes.length;
        CHECK(netstrat_attribute_next(&rest, &found) == 1);
        u64 = 9, u32 = 9, u16 = 9, u8 = 9;
        CHECK(netstrat_attribute_u8(&found, &u8) == (size < 1 ? -EBADMSG : 0));
        CHECK(netstrat_attribute_u16(&found, &u16) == (size < 2 ? -EBADMSG : 0));
        CHECK(netstrat_attribute_u32(&found, &u32) == (size < 4 ? -EBADMSG : 0));
        CHECK(netstrat_attribute_u64(&found, &u64) == (size < 8 ? -EBADMSG : 0));
        memcpy(&wanted16, &number, sizeof wanted16);
        memcpy(&wanted32, &number, sizeof wanted32);
        CHECK(u8 == (size < 1 ? 9 : *(const unsigned char *)&number));
        CHECK(u16 == (size < 2 ? 9 : wanted16) && u32 == (size < 4 ? 9 : wanted32));
        CHECK(u64 == (size < 8 ? 9 : number));
        memset(any, 9, sizeof any);
        CHECK(netstrat_attribute_bytes(&found, any, size) == 0);
        CHECK(memcmp(any, &number, size) == 0 && any[size] == 9);
        CHECK(netstrat_attribute_bytes(&found, any, size + 1) == -EBADMSG);
        CHECK(netstrat_attribute_bytes(&found, any, SIZE_MAX) == -EBADMSG);
    }
}

TEST(the_text_of_an_attribute_is_read_completely_or_not_at_all)
{
    struct bytes bytes = {{0}, 0};
    struct netstrat_cursor rest = {bytes.data, 0, 0, 0};
    struct netstrat_attribute found;
    char text[8] = "before";

    attribute(&bytes, 3, "veth0", 6);
    attribute(&bytes, 3, "veth0", 5); /* without its NUL */
    attribute(&bytes, 3, "", 1);
    rest.end = bytes.length;
    CHECK(netstrat_attribute_next(&rest, &found) == 1);
    CHECK(netstrat_attribute_string(&found, text, 5) == -EBADMSG && !strcmp(text, "before"));
    CHECK(netstrat_attribute_string(&found, text, 6) == 0 && !strcmp(text, "veth0"));
    while (netstrat_attribute_next(&rest, &found) == 1)
        CHECK(netstrat_attribute_string(&found, text, sizeof text) == -EBADMSG);
    CHECK(!strcmp(text, "veth0"));
}

/* ---- acks ---- */

static const char words[] = "the kernel's own words";
static struct bytes request; /* to which the acks reply */

static int decode_ack(const struct netstrat_message *message)
{
    struct netstrat_error error, before;
    int verdict = 78;
    int code;

    memset(&error, 0xa5, sizeof error);
    before = error;
    code = netstrat_ack_decode(message, &verdict, &error);
    CHECK(code == 0 || code == -EBADMSG);
    if (code < 0) {
        CHECK(verdict == 78 && memcmp(&error, &before, sizeof error) == 0);
    } else {
        CHECK(verdict <= 0 && verdict >= -4095);
        CHECK(error.text_length < NETSTRAT_TEXT_SIZE && strlen(error.text) == error.text_length);
        CHECK(error.code == before.code && error.operation == before.operation &&
              error.item == before.item);
    }
    return code;
}

static int read_ack(const struct bytes *bytes, int *verdict, struct netstrat_error *error)
{
    struct netstrat_message message = only_message(bytes);

    return netstrat_ack_decode(&message, verdict, error);
}

/* The ack repeats the request, or its header alone; with and without an extended ack. */
TEST(an_ack_yields_the_errno_and_the_extended_ack)
{
    struct netstrat_error error;
    struct bytes ack;
    int verdict = 1;

    ack.length = 0;
    put_ack(&ack, 0, 1, 2, 0, request.data, request.length, NULL);
    CHECK(read_ack(&ack, &verdict, &error) == 0 && verdict == 0 && error.text_length == 0);
    CHECK(read_ack(&ack, &verdict, NULL) == 0);
    check_mutations(decode_ack, &ack);

    ack.length = 0;
    put_ack(&ack, ACK_TLVS, 1, 2, -EPERM, request.data, request.length, words);
    CHECK(read_ack(&ack, &verdict, &error) == 0 && verdict == -EPERM && !strcmp(error.text, words));
    CHECK(error.text_length == sizeof words - 1);
    CHECK(read_ack(&ack, &verdict, NULL) == 0 && verdict == -EPERM);
    check_mutations(decode_ack, &ack);

    ack.length = 0;
    put_ack(&ack, ACK_TLVS | CAPPED, 1, 2, -ENODEV, request.data, 16, words);
    CHECK(read_ack(&ack, &verdict, &error) == 0 && verdict == -ENODEV);
    CHECK(!strcmp(error.text, words));
    check_mutations(decode_ack, &ack);

    ack.length = 0; /* attributes that no flag announces */
    put_ack(&ack, CAPPED, 1, 2, -ENODEV, request.data, 16, words);
    CHECK(read_ack(&ack, &verdict, &error) == 0 && error.text_length == 0);

    ack.length = 0; /* announced attributes that are missing */
    put_ack(&ack, ACK_TLVS, 1, 2, -ENODEV, request.data, request.length, NULL);
    CHECK(read_ack(&ack, &verdict, &error) == 0 && error.text_length == 0);
}

TEST(nlmsg_done_contains_no_request)
{
    const int32_t value = -ENOMEM;
    struct netstrat_error error;
    struct bytes done = {{0}, 0};
    int verdict = 1;
    size_t at = begin(&done, NLMSG_DONE, NLM_F_MULTI | ACK_TLVS, 1, 2);

    put(&done, &value, sizeof value);
    attribute(&done, 1, words, sizeof words);
    finish(&done, at);
    CHECK(read_ack(&done, &verdict, &error) == 0 && verdict == -ENOMEM);
    CHECK(!strcmp(error.text, words));
    check_mutations(decode_ack, &done);
}

/* If the length of the repeated request is wrong, the extended ack is ignored. */
TEST(an_errno_is_read_even_if_the_extended_ack_is_malformed)
{
    static const uint32_t lies[] = {0, 15, 4096, UINT32_MAX};
    struct netstrat_error error;
    struct bytes ack;
    int verdict = 1;

    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        ack.length = 0;
        put_ack(&ack, ACK_TLVS, 1, 2, -EBUSY, request.data, request.length, words);
        memcpy(ack.data + 20, &lies[i], sizeof lies[i]);
        CHECK(read_ack(&ack, &verdict, &error) == 0 && verdict == -EBUSY && error.text_length == 0);
    }
    ack.length = 0; /* an attribute longer than what is left */
    put_ack(&ack, ACK_TLVS | CAPPED, 1, 2, -EBUSY, request.data, 16, words);
    ack.data[36] = 0xff;
    CHECK(read_ack(&ack, &verdict, &error) == 0 && verdict == -EBUSY && error.text_length == 0);
}

TEST(the_extended_ack_is_found_and_truncated)
{
    const int32_t value = -EINVAL;
    struct netstrat_error error;
    struct bytes ack = {{0}, 0};
    char many[300];
    int verdict = 1;
    size_t at = begin(&ack, NLMSG_ERROR, ACK_TLVS | CAPPED, 1, 2);

    /* After another attribute, and without a NUL. */
    put(&ack, &value, sizeof value);
    put(&ack, request.data, 16);
    attribute(&ack, 2 /* NLMSGERR_ATTR_OFFS */, &value, sizeof value);
    attribute(&ack, 1, "bare", 4);
    finish(&ack, at);
    CHECK(read_ack(&ack, &verdict, &error) == 0 && !strcmp(error.text, "bare"));
    check_mutations(decode_ack, &ack);

    memset(many, 'w', sizeof many);
    many[sizeof many - 1] = '\0';
    ack.length = 0;
    put_ack(&ack, ACK_TLVS | CAPPED, 1, 2, -EINVAL, request.data, 16, many);
    CHECK(read_ack(&ack, &verdict, &error) == 0 && error.text_length == NETSTRAT_TEXT_SIZE - 1);
    CHECK(error.text[NETSTRAT_TEXT_SIZE - 1] == '\0');
    ack.length = 0;
    put_ack(&ack, ACK_TLVS | CAPPED, 1, 2, -EINVAL, request.data, 16, "");
    CHECK(read_ack(&ack, &verdict, &error) == 0 && error.text_length == 0);
}

TEST(a_truncated_ack_still_has_its_errno)
{
    struct bytes ack = {{0}, 0};
    size_t size;

    put_ack(&ack, ACK_TLVS, 1, 2, -EBUSY, request.data, request.length, words);
    for (size = 16; size < ack.length; size++)
        CHECK(decode_copy(decode_ack, ack.data, size, ack.length - size) ==
              (size < 36 ? -EBADMSG : 0));
}

TEST(an_invalid_errno_is_malformed)
{
    static const int32_t values[] = {1, INT32_MAX, -4096, INT32_MIN};
    struct netstrat_error error;
    struct bytes ack;
    int verdict = 78;
    size_t i;

    for (i = 0; i < sizeof values / sizeof *values; i++) {
        ack.length = 0;
        put_ack(&ack, 0, 1, 2, values[i], request.data, request.length, NULL);
        CHECK(read_ack(&ack, &verdict, &error) == -EBADMSG && verdict == 78);
    }
    for (i = 0; i < 16; i++) { /* the repeated header is truncated */
        ack.length = 0;
        put_ack(&ack, 0, 1, 2, -1, request.data, i, NULL);
        CHECK(read_ack(&ack, &verdict, &error) == -EBADMSG && verdict == 78);
    }
    ack.length = 0;
    put_ack(&ack, 0, 1, 2, -4095, request.data, 16, NULL);
    CHECK(read_ack(&ack, &verdict, &error) == 0 && verdict == -4095);
}

/* ---- what the files share ---- */

TEST(errors_are_filled_in_if_requested)
{
    struct netstrat_error error;

    CHECK(netstrat_fail(NULL, -EIO, NETSTRAT_OP_SEND) == -EIO);
    CHECK(netstrat_fail_request(NULL, -EIO, RTM_NEWLINK) == -EIO);
    CHECK(netstrat_fail_item(NULL, -EIO, NETSTRAT_OP_READ, 3) == -EIO);
    netstrat_set_text(NULL, "x", 1);

    memset(&error, 0xa5, sizeof error);
    CHECK(netstrat_fail(&error, -EIO, NETSTRAT_OP_SEND) == -EIO);
    CHECK(error.code == -EIO && error.operation == NETSTRAT_OP_SEND);
    CHECK(error.item == 0 && error.request == 0 && error.text_length == 0 && error.text[0] == '\0');
    netstrat_set_text(&error, "a\0b", 3);
    CHECK(error.text_length == 3 && !memcmp(error.text, "a\0b", 4));
    CHECK(netstrat_fail_request(&error, -EPERM, RTM_DELLINK) == -EPERM);
    CHECK(error.operation == NETSTRAT_OP_REQUEST && error.request == RTM_DELLINK);
    CHECK(netstrat_fail_item(&error, -EIO, NETSTRAT_OP_READ, 3) == -EIO);
    CHECK(error.operation == NETSTRAT_OP_READ && error.item == 3 && error.request == 0);
}

static void make_request(void)
{
    size_t at = begin(&request, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 0, 0);

    put_info(&request, 0, 0);
    attribute(&request, IFLA_IFNAME, "lo", 3);
    finish(&request, at);
}

const struct fixture fixture = {.before_all = make_request};
