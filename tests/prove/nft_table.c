/* SPDX-License-Identifier: MIT */
/* history: 0 */
/* apart: netstrat_batch_add_nft_table:0,nft_table_add_published_rules:0 */
/* apart: nft_table_add_leaving_rules:0 */
#include "prove.h"

int main(void)
{
    struct netstrat_batch batch = any_batch();
    struct netstrat_nft_chain chain;

    ANY(chain);
    chain.table[NETSTRAT_NFT_NAME_SIZE - 1] = chain.name[NETSTRAT_NFT_NAME_SIZE - 1] = '\0';
    (void)netstrat_nft_chain_differs(&chain);
    (void)netstrat_batch_add_nft_table(&batch);
    batch = any_batch();
    (void)netstrat_batch_delete_nft_table(&batch);
    return 0;
}
