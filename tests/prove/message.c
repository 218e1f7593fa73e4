/* SPDX-License-Identifier: MIT */
#include "prove.h"

/* What the iterators give lies in the datagram: so much any_rest() takes for granted. */
#define IS_WITHIN(rest)                                                                            \
    ((rest).data == memory && (rest).at <= MEMORY_SIZE && (rest).end <= MEMORY_SIZE)

static void take_messages(void)
{
    struct netstrat_rest rest = any_rest();
    struct netstrat_message message;

    if (netstrat_message_next(&rest, &message) > 0) {
        /*@ assert IS_WITHIN(rest); */
        /*@ assert IS_WITHIN(message.payload); */
    }
    /* A message at the beginning of a datagram that is all there: it has its header at least, so
     * that a loop over messages ends, and is all there too. */
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
    struct netstrat_rest rest = any_rest();
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

/* Into an array of each size that there is: of names, alternative names and aliases. */
static void take_texts(void)
{
    const struct netstrat_rest value = any_rest();
    char text[NETSTRAT_ALIAS_SIZE];

    (void)netstrat_text_decode(&value, text + sizeof text - NETSTRAT_NAME_SIZE, NETSTRAT_NAME_SIZE);
    (void)netstrat_text_decode(&value, text + sizeof text - NETSTRAT_ALT_NAME_SIZE,
                               NETSTRAT_ALT_NAME_SIZE);
    (void)netstrat_text_decode(&value, text, sizeof text);
}

int main(void)
{
    struct netstrat_message message = any_message();
    struct netstrat_error error;
    int verdict;

    take_messages();
    take_attributes();
    take_texts();
    (void)netstrat_ack_decode(&message, &verdict, &error);
    (void)netstrat_ack_decode(&message, &verdict, NULL);
    netstrat_set_text(&error, memory, any_size(MEMORY_SIZE));
    netstrat_set_text(NULL, memory, any_size(MEMORY_SIZE));
    return 0;
}
