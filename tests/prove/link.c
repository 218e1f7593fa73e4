/* SPDX-License-Identifier: MIT */
#include "prove.h"

static struct netstrat_batch batch;

/* Calls a function that adds a message to any batch. */
#define ADD(call) (batch = any_batch(), (void)(call))

static void encode(void)
{
    ADD(netstrat_batch_get_link(&batch, any_text()));
    ADD(netstrat_batch_get_link_index(&batch, any_int()));
    ADD(netstrat_batch_dump_links(&batch, any_int()));
    ADD(netstrat_batch_get_link_at(&batch, any_int(), any_int()));
    ADD(netstrat_batch_dump_links_at(&batch, any_int()));
    ADD(netstrat_batch_set_link_flags(&batch, any_text(), (uint32_t)any_int(),
                                      (uint32_t)any_int()));
    ADD(netstrat_link_begin(&batch, (uint16_t)any_int(), (uint16_t)any_int(), any_int(), any_text(),
                            (uint32_t)any_int(), (uint32_t)any_int()));
}

static void decode(void)
{
    const struct netstrat_message message = any_message();
    char name[NETSTRAT_ALT_NAME_SIZE];
    struct netstrat_cursor altnames;
    struct netstrat_link link;
    struct netstrat_link_name link_name;
    struct netstrat_netns_link netns_link;
    uint32_t flags;
    int32_t index;

    (void)netstrat_link_decode(&message, &link);
    (void)netstrat_link_name_decode(&message, &link_name);
    (void)netstrat_link_flags_decode(&message, &index, &flags);
    (void)netstrat_netns_link_decode(&message, any_int(), any_int(), &netns_link);
    altnames = any_rest();
    (void)netstrat_altname_next(&altnames, name);
    memset(&altnames, 0, sizeof altnames); /* of a link without alternative names */
    (void)netstrat_altname_next(&altnames, name);
}

int main(void)
{
    encode();
    decode();
    return 0;
}
