/* SPDX-License-Identifier: MIT */
/* history: 0 */
/* apart: nft_elements_put_one:0,nft_elements_put:0 */
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

    (void)netstrat_nft_element_next(&elements, set, &element);
    (void)netstrat_nft_elements_decode(&message, &elements);
}

int main(void)
{
    uint32_t set = (uint32_t)Frama_C_interval(0, NETSTRAT_NFT_SETS);
    struct netstrat_nft_element element;

    /*@ split set; */
    read_answers(set);
    ANY(element);
    IN_ANY_BATCH(netstrat_batch_add_nft_elements(&batch, set, &element, any_size(1)));
    IN_ANY_BATCH(netstrat_batch_delete_nft_elements(&batch, set, &element, any_size(1)));
    IN_ANY_BATCH(netstrat_batch_dump_nft_elements(&batch, set));
    return 0;
}
