/* SPDX-License-Identifier: MIT */
/* history: 0 */
#include "prove.h"

static struct netstrat_batch batch;

/* Calls a function with any batch. */
#define IN_ANY_BATCH(call) (batch = any_batch(), (void)(call))

/* Before the requests, which are written to the same memory. */
static void read_answers(void)
{
    const struct netstrat_message message = any_message();
    struct netstrat_nft_chain chain;
    uint32_t number;

    (void)netstrat_nft_generation_decode(&message, &number);
    (void)netstrat_nft_table_decode(&message, &number);
    (void)netstrat_nft_chain_decode(&message, &chain);
    (void)netstrat_nft_rule_decode(&message, any_text(), &chain);
}

/* What the other files of nf_tables use. */
static void call_shared(void)
{
    const struct netstrat_message message = any_message();
    struct netstrat_nft_fixed fixed;
    struct netstrat_cursor rest = any_rest();
    uint32_t number = (uint32_t)any_int(), set = (uint32_t)Frama_C_interval(0, 9);

    (void)netstrat_nft_read_number(&rest, &number);
    (void)netstrat_nft_decode_fixed(&message, (uint16_t)any_int(), &fixed, &rest);
    (void)netstrat_nft_set_name(set);
    (void)netstrat_nft_family(set);
    IN_ANY_BATCH(netstrat_nft_begin(&batch, (uint16_t)any_int(), (uint16_t)any_int()));
    IN_ANY_BATCH(netstrat_nft_put_number(&batch, (uint16_t)any_int(), number));
    IN_ANY_BATCH(netstrat_nft_put_value(&batch, (uint16_t)any_int(), &number, sizeof number));
}

int main(void)
{
    read_answers();
    call_shared();
    IN_ANY_BATCH(netstrat_batch_begin_nft(&batch, (uint32_t)any_int()));
    IN_ANY_BATCH(netstrat_batch_end_nft(&batch));
    IN_ANY_BATCH(netstrat_batch_dump_nft_rules(&batch, any_int()));
    IN_ANY_BATCH(netstrat_batch_dump_nft_chains(&batch));
    IN_ANY_BATCH(netstrat_batch_get_nft_table(&batch));
    IN_ANY_BATCH(netstrat_batch_get_nft_generation(&batch));
    return 0;
}
