/* SPDX-License-Identifier: MIT */
#include "prove.h"

/* Cursors from the iterators lie within the datagram, as any_rest() assumes. */
#define IS_WITHIN(rest)                                                                            \
    ((rest).data == memory && (rest).at <= MEMORY_SIZE && (rest).end <= MEMORY_SIZE)

static void take_messages(void)
{
    struct netstrat_cursor rest = any_rest();
    struct netstrat_message message;

    if (netstrat_message_next(&rest, &message) > 0) {
        /*@ assert IS_WITHIN(rest); */
        /*@ assert IS_WITHIN(message.payload); */
    }
    /* The first message of a complete datagram is complete. It consumes at least its header, so a
     * loop over messages ends. */
    rest = any_rest();
    rest.at = 0;
    rest.missing = 0;
    if (netstrat_message_next(&rest, &message) > 0) {
        /*@ assert rest.at >= 16; */
        /*@ assert message.payload.at <= message.payload.end; */
        /*@ assert message.payload.missing == 0; */
    }
}

static void take_attributes(void)
{
    struct netstrat_cursor rest = any_rest();
    struct netstrat_attribute attribute;

    if (netstrat_attribute_next(&rest, &attribute) > 0) {
        /*@ assert IS_WITHIN(rest); */
        /*@ assert IS_WITHIN(attribute.value); */
    }
    rest = any_rest();
    rest.at = 0;
    if (netstrat_attribute_next(&rest, &attribute) > 0) {
        /*@ assert rest.at >= 4; */
        /*@ assert attribute.value.at <= attribute.value.end; */
    }
}

/* Copies texts into arrays of each size in use: for names, alternative names and aliases. */
static void take_texts(void)
{
    const struct netstrat_cursor value = any_rest();
    char text[NETSTRAT_ALIAS_SIZE];

    (void)netstrat_text_decode(&value, text + sizeof text - NETSTRAT_NAME_SIZE, NETSTRAT_NAME_SIZE);
    (void)netstrat_text_decode(&value, text + sizeof text - NETSTRAT_ALT_NAME_SIZE,
                               NETSTRAT_ALT_NAME_SIZE);
    (void)netstrat_text_decode(&value, text, sizeof text);
}

/* Copies values to the last bytes of memory of 300 bytes, of each size, and of a huge size. */
static void take_values(void)
{
    static unsigned char to[300];
    const struct netstrat_message message = any_message();
    const struct netstrat_attribute attribute = {(uint16_t)any_int(), any_rest()};
    struct netstrat_cursor attributes;
    size_t size = any_size(sizeof to);
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;
    uint8_t u8;

    (void)netstrat_attribute_u8(&attribute, &u8);
    (void)netstrat_attribute_u16(&attribute, &u16);
    (void)netstrat_attribute_u32(&attribute, &u32);
    (void)netstrat_attribute_u64(&attribute, &u64);
    (void)netstrat_attribute_string(&attribute, (char *)to, NETSTRAT_ALIAS_SIZE);
    (void)netstrat_attribute_bytes(&attribute, to, SIZE_MAX);
    if (netstrat_message_body(&message, to, SIZE_MAX, &attributes) == 0) {
        /*@ assert \false; */
    }
    /*@ split size; */
    (void)netstrat_attribute_bytes(&attribute, to + sizeof to - size, size);
    if (netstrat_message_body(&message, to + sizeof to - size, size, &attributes) == 0) {
        /*@ assert IS_WITHIN(attributes); */
    }
    /*@ merge size; */
}

int main(void)
{
    struct netstrat_message message = any_message();
    struct netstrat_error error;
    int verdict;

    take_messages();
    take_attributes();
    take_texts();
    take_values();
    (void)netstrat_ack_decode(&message, &verdict, &error);
    (void)netstrat_ack_decode(&message, &verdict, NULL);
    netstrat_set_text(&error, memory, any_size(MEMORY_SIZE));
    netstrat_set_text(NULL, memory, any_size(MEMORY_SIZE));
    return 0;
}
