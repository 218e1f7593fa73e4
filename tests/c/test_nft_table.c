/* SPDX-License-Identifier: MIT */
/* The table of egress and published ports: added whole, compared and deleted. */
#include "nft.h"

static const struct encoder encoders[] = {
    {"deletion of the table", netstrat_batch_delete_nft_table,
     MESSAGE(TABLES | NFT_MSG_DELTABLE, NLM_F_REQUEST, OURS)},
};

TEST(each_request_has_the_expected_bytes)
{
    CHECK_ENCODERS(encoders);
}

/* All messages of the table or none, in a buffer of any size. */
TEST(the_table_is_added_whole_or_not_at_all)
{
    static unsigned char buffer[16384];
    struct netstrat_batch batch;
    size_t room, needed;
    uint32_t count;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(netstrat_batch_begin_nft(&batch, 0) == 0);
    CHECK(netstrat_batch_add_nft_table(&batch) == 0);
    count = batch.count;
    needed = batch.used;
    CHECK(count == 1U + 1 + NETSTRAT_NFT_SETS + 4 + NETSTRAT_NFT_RULES);
    for (room = 0; room < needed; room += 4) {
        size_t used;

        netstrat_batch_init(&batch, buffer, room);
        (void)netstrat_batch_begin_nft(&batch, 0);
        used = batch.used;
        CHECK(netstrat_batch_add_nft_table(&batch) == -EMSGSIZE);
        CHECK(batch.used == used && batch.count == (used > 0));
    }
    netstrat_batch_init(&batch, buffer, needed);
    CHECK(netstrat_batch_begin_nft(&batch, 0) == 0);
    CHECK(netstrat_batch_add_nft_table(&batch) == 0 && batch.count == count);
}

TEST(a_chain_is_compared_with_that_of_the_table)
{
    struct netstrat_nft_chain output = {NFPROTO_INET, 1,       NF_INET_LOCAL_OUT, 0, -100,
                                        "pynetstrat", "output"};
    struct netstrat_nft_chain published = {NFPROTO_INET, 0, 0, 0, 0, "pynetstrat", "published"};
    struct netstrat_nft_chain other = output;

    CHECK(!netstrat_nft_chain_differs(&output) && !netstrat_nft_chain_differs(&published));
    other.is_base = 0;
    CHECK(netstrat_nft_chain_differs(&other) == 1);
    published.is_base = 1;
    CHECK(netstrat_nft_chain_differs(&published) == 1);
    other = output;
    other.hook = NF_INET_LOCAL_IN;
    CHECK(netstrat_nft_chain_differs(&other) == 1);
    other = output;
    other.priority = 0;
    CHECK(netstrat_nft_chain_differs(&other) == 1);
    other = output;
    other.drops = 1;
    CHECK(netstrat_nft_chain_differs(&other) == 1);
    other.family = NFPROTO_IPV4;
    CHECK(netstrat_nft_chain_differs(&other) == 0);
    other = output;
    other.drops = 1;
    memcpy(other.table, "nat", 4);
    CHECK(netstrat_nft_chain_differs(&other) == 0);
    other = output;
    other.drops = 1;
    memcpy(other.name, "more", 5);
    CHECK(netstrat_nft_chain_differs(&other) == 0);
}
