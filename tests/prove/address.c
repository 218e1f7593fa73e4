/* SPDX-License-Identifier: MIT */
#include "prove.h"

static void convert(void)
{
    struct netstrat_prefix prefix;
    char text[NETSTRAT_PREFIX_SIZE];

    (void)netstrat_prefix_parse(any_text(), &prefix);
    ANY(prefix);
    netstrat_prefix_format(&prefix, any_int(), text);
}

int main(void)
{
    const struct netstrat_message message = any_message();
    struct netstrat_batch batch = any_batch();
    struct netstrat_address address;

    convert();
    ANY(address);
    (void)netstrat_batch_add_address(&batch, &address, any_int());
    batch = any_batch();
    (void)netstrat_batch_delete_address(&batch, &address);
    batch = any_batch();
    (void)netstrat_batch_dump_addresses(&batch, any_int());
    (void)netstrat_address_decode(&message, &address);
    return 0;
}
