/* SPDX-License-Identifier: MIT */
/* nf_tables: each request byte by byte, and the decoding of the answers, complete, truncated and
 * malformed. */
#include "nft.h"

/* ---- requests ---- */

static int encode_begin(struct netstrat_batch *batch)
{
    return netstrat_batch_begin_nft(batch, 0);
}

static int encode_begin_conditional(struct netstrat_batch *batch)
{
    return netstrat_batch_begin_nft(batch, 0x01020304);
}

static int encode_rules(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_nft_rules(batch, 0);
}

static int encode_all_rules(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_nft_rules(batch, 1);
}

enum { BIG_ENDIAN_SUBSYSTEM = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 10 : 10 << 8 };

static const struct encoder encoders[] = {
    {"begin", encode_begin,
     MESSAGE(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, GENERIC(AF_UNSPEC, BIG_ENDIAN_SUBSYSTEM))},
    {"begin, conditional", encode_begin_conditional,
     MESSAGE(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, GENERIC(AF_UNSPEC, BIG_ENDIAN_SUBSYSTEM),
             ATTRIBUTE(1 /* NFNL_BATCH_GENID */, "\1\2\3\4", 4))},
    {"end", netstrat_batch_end_nft,
     MESSAGE(NFNL_MSG_BATCH_END, NLM_F_REQUEST, GENERIC(AF_UNSPEC, BIG_ENDIAN_SUBSYSTEM))},
    {"dump of all rules", encode_all_rules,
     MESSAGE(TABLES | NFT_MSG_GETRULE, DUMP, GENERIC(AF_UNSPEC, 0))},
    {"dump of the rules", encode_rules, MESSAGE(TABLES | NFT_MSG_GETRULE, DUMP, OURS)},
    {"dump of all chains", netstrat_batch_dump_nft_chains,
     MESSAGE(TABLES | NFT_MSG_GETCHAIN, DUMP, GENERIC(AF_UNSPEC, 0))},
    {"table", netstrat_batch_get_nft_table,
     MESSAGE(TABLES | NFT_MSG_GETTABLE, NLM_F_REQUEST, OURS)},
    {"generation", netstrat_batch_get_nft_generation,
     MESSAGE(TABLES | NFT_MSG_GETGEN, NLM_F_REQUEST, GENERIC(AF_UNSPEC, 0))},
};

TEST(each_request_has_the_expected_bytes)
{
    CHECK_ENCODERS(encoders);
}

/* ---- answers ---- */

static int decode_generation(const struct netstrat_message *message)
{
    uint32_t generation = 77;
    int code = netstrat_nft_generation_decode(message, &generation);

    CHECK(code == 0 ? generation != 0 : code == -EBADMSG && generation == 77);
    return code;
}

TEST(a_generation_is_read)
{
    const struct bytes good = BYTES_OF(TABLES | NFT_MSG_NEWGEN, 0, GENERIC(AF_UNSPEC, 0),
                                       ATTRIBUTE(2 /* NFTA_GEN_PROC_PID */, "\0\0\0\1", 4),
                                       ATTRIBUTE(NFTA_GEN_ID, "\0\0\1\2", 4));
    const struct bytes zero = BYTES_OF(TABLES | NFT_MSG_NEWGEN, 0, GENERIC(AF_UNSPEC, 0),
                                       ATTRIBUTE(NFTA_GEN_ID, "\0\0\0\0", 4));
    const struct netstrat_message message = only_message(&good);
    uint32_t read = 0;

    CHECK(netstrat_nft_generation_decode(&message, &read) == 0 && read == 0x102);
    CHECK(decode_copy(decode_generation, zero.data, zero.length, 0) == -EBADMSG);
    check_mutations(decode_generation, &good);
}

static int decode_table(const struct netstrat_message *message)
{
    uint32_t flags = 77;
    int code = netstrat_nft_table_decode(message, &flags);

    CHECK(code == 0 || (code == -EBADMSG && flags == 77));
    return code;
}

TEST(the_flags_of_a_table_are_read)
{
    const struct bytes good = BYTES_OF(TABLES | NFT_MSG_NEWTABLE, 0, OURS,
                                       ATTRIBUTE(NFTA_TABLE_FLAGS, "\0\0\0\1", 4),
                                       ATTRIBUTE(NFTA_TABLE_USE, "\0\0\0\7", 4));
    const struct netstrat_message message = only_message(&good);
    uint32_t flags = 0;

    CHECK(netstrat_nft_table_decode(&message, &flags) == 0 && flags == NETSTRAT_NFT_DORMANT);
    CHECK(NETSTRAT_NFT_DORMANT == NFT_TABLE_F_DORMANT);
    check_mutations(decode_table, &good);
}

static int decode_chain(const struct netstrat_message *message)
{
    struct netstrat_nft_chain chain, before;
    int code;

    memset(&chain, 0x5a, sizeof chain);
    before = chain;
    code = netstrat_nft_chain_decode(message, &chain);
    CHECK(code == 0 ? memchr(chain.name, '\0', sizeof chain.name) != NULL
                    : code == -EBADMSG && memcmp(&chain, &before, sizeof chain) == 0);
    return code;
}

TEST(chains_are_read_with_hook_and_policy)
{
    const struct bytes good =
        BYTES_OF(TABLES | NFT_MSG_NEWCHAIN, NLM_F_MULTI, GENERIC(NFPROTO_IPV4, 0),
                 TEXT(NFTA_CHAIN_TABLE, "filter"), TEXT(NFTA_CHAIN_NAME, "FORWARD"),
                 WITHIN(NFTA_CHAIN_HOOK, ATTRIBUTE(NFTA_HOOK_HOOKNUM, "\0\0\0\2", 4),
                        ATTRIBUTE(NFTA_HOOK_PRIORITY, "\377\377\377\234", 4)),
                 ATTRIBUTE(NFTA_CHAIN_POLICY, "\0\0\0\0", 4), TEXT(NFTA_CHAIN_TYPE, "filter"));
    const struct bytes plain = BYTES_OF(TABLES | NFT_MSG_NEWCHAIN, NLM_F_MULTI,
                                        GENERIC(NFPROTO_INET, 0), TEXT(NFTA_CHAIN_TABLE, "t"),
                                        TEXT(NFTA_CHAIN_NAME, "c"));
    struct netstrat_message message = only_message(&good);
    struct netstrat_nft_chain chain;

    CHECK(netstrat_nft_chain_decode(&message, &chain) == 0);
    CHECK(chain.is_base && chain.hook == NF_INET_FORWARD && chain.drops && chain.priority == -100);
    CHECK(chain.family == NFPROTO_IPV4 && strcmp(chain.table, "filter") == 0);
    CHECK(strcmp(chain.name, "FORWARD") == 0);
    check_mutations(decode_chain, &good);
    /* The last attribute did not fit the buffer. */
    CHECK(decode_copy(decode_chain, good.data, good.length - 12, 12) == -EBADMSG);
    message = only_message(&plain);
    CHECK(netstrat_nft_chain_decode(&message, &chain) == 0 && !chain.is_base && !chain.drops);
}

static int decode_rule(const struct netstrat_message *message)
{
    struct netstrat_nft_chain chain;
    int code = netstrat_nft_rule_decode(message, "br0", &chain);

    CHECK(code == 0 || code == 1 || code == -EBADMSG);
    return code < 0 ? code : 0;
}

TEST(a_rule_is_searched_for_the_name_of_an_interface)
{
    const struct bytes good =
        BYTES_OF(TABLES | NFT_MSG_NEWRULE, NLM_F_MULTI, GENERIC(NFPROTO_IPV4, 0),
                 TEXT(NFTA_RULE_TABLE, "filter"), TEXT(NFTA_RULE_CHAIN, "FORWARD"),
                 WITHIN(NFTA_RULE_EXPRESSIONS,
                        ITEM(TEXT(NFTA_EXPR_NAME, "cmp"),
                             WITHIN(NFTA_EXPR_DATA, VALUE(NFTA_CMP_DATA, "br0\0\0\0\0\0")))),
                 ATTRIBUTE(NFTA_RULE_HANDLE, "\0\0\0\0\0\0\0\1", 8));
    const struct bytes cut = BYTES_OF(TABLES | NFT_MSG_NEWRULE, NLM_F_MULTI,
                                      GENERIC(NFPROTO_IPV4, 0),
                                      ATTRIBUTE(NFTA_RULE_EXPRESSIONS, "br0", 3));
    const struct netstrat_message message = only_message(&good), end = only_message(&cut);
    struct netstrat_nft_chain chain;

    CHECK(netstrat_nft_rule_decode(&end, "br0", &chain) == 0); /* without a NUL */
    CHECK(netstrat_nft_rule_decode(&message, "br0", &chain) == 1);
    CHECK(chain.family == NFPROTO_IPV4 && strcmp(chain.table, "filter") == 0);
    CHECK(strcmp(chain.name, "FORWARD") == 0 && !chain.is_base);
    CHECK(netstrat_nft_rule_decode(&message, "br", &chain) == 0);
    CHECK(netstrat_nft_rule_decode(&message, "br00", &chain) == 0);
    CHECK(netstrat_nft_rule_decode(&message, "filter", &chain) == 0);
    check_mutations(decode_rule, &good);
}
