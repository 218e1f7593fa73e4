/* SPDX-License-Identifier: MIT */
/* history: 0 */
/* apart: nft_put_element:0,nft_put_elements:0,netstrat_batch_add_nft_table:0 */
/* apart: nft_add_published_rules:0,nft_add_leaving_rules:0 */
#include "prove.h"

static struct netstrat_batch batch;

/* Calls a function with any batch. */
#define IN_ANY_BATCH(call) (batch = any_batch(), (void)(call))

/* Before the requests, which are written to the same memory. */
static void read_answers(uint32_t set)
{
    const struct netstrat_message message = any_message();
    struct netstrat_cursor elements = any_rest();
    struct netstrat_nft_element element;
    struct netstrat_nft_chain chain;
    uint32_t generation;

    (void)netstrat_nft_element_next(&elements, set, &element);
    (void)netstrat_nft_elements_decode(&message, &elements);
    (void)netstrat_nft_generation_decode(&message, &generation);
    (void)netstrat_nft_table_decode(&message, &generation);
    (void)netstrat_nft_chain_decode(&message, &chain);
    (void)netstrat_nft_rule_decode(&message, any_text(), &chain);
}

int main(void)
{
    uint32_t set = (uint32_t)Frama_C_interval(0, NETSTRAT_NFT_SETS);
    struct netstrat_nft_element element;
    struct netstrat_nft_chain chain;

    ANY(chain);
    chain.table[NETSTRAT_NFT_NAME_SIZE - 1] = chain.name[NETSTRAT_NFT_NAME_SIZE - 1] = '\0';
    (void)netstrat_nft_chain_differs(&chain);
    /*@ split set; */
    read_answers(set);
    ANY(element);
    IN_ANY_BATCH(netstrat_batch_add_nft_elements(&batch, set, &element, any_size(1)));
    IN_ANY_BATCH(netstrat_batch_delete_nft_elements(&batch, set, &element, any_size(1)));
    IN_ANY_BATCH(netstrat_batch_dump_nft_elements(&batch, set));
    /*@ merge set; */
    IN_ANY_BATCH(netstrat_batch_begin_nft(&batch, (uint32_t)any_int()));
    IN_ANY_BATCH(netstrat_batch_end_nft(&batch));
    IN_ANY_BATCH(netstrat_batch_add_nft_table(&batch));
    IN_ANY_BATCH(netstrat_batch_delete_nft_table(&batch));
    IN_ANY_BATCH(netstrat_batch_dump_nft_rules(&batch, any_int()));
    IN_ANY_BATCH(netstrat_batch_dump_nft_chains(&batch));
    IN_ANY_BATCH(netstrat_batch_get_nft_table(&batch));
    IN_ANY_BATCH(netstrat_batch_get_nft_generation(&batch));
    return 0;
}
