/* SPDX-License-Identifier: MIT */
/* nf_tables: each request byte by byte, with the constants of the kernel's own header, and the
 * decoding of the answers, complete, truncated and malformed. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"
#include "codec.h"

enum { TABLES = NFNL_SUBSYS_NFTABLES << 8 };

/* ---- requests ---- */

static struct netstrat_nft_element element_of(const char *address, const char *target)
{
    struct netstrat_nft_element element;

    memset(&element, 0, sizeof element);
    if (address)
        element.address = prefix_of(address);
    if (target)
        element.target = prefix_of(target);
    return element;
}

static struct netstrat_nft_element port_of(const char *address, const char *target)
{
    struct netstrat_nft_element element = element_of(address, target);

    element.protocol = 6;
    element.port = 8080;
    element.target_port = 80;
    memcpy(element.owner, "web", 4);
    return element;
}

static int encode_begin(struct netstrat_batch *batch)
{
    return netstrat_batch_begin_nft(batch, 0);
}

static int encode_begin_conditional(struct netstrat_batch *batch)
{
    return netstrat_batch_begin_nft(batch, 0x01020304);
}

static int encode_dump(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_nft_elements(batch, NETSTRAT_NFT_PORTS4);
}

static int encode_rules(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_nft_rules(batch, 0);
}

static int encode_all_rules(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_nft_rules(batch, 1);
}

static int encode_subnet(struct netstrat_batch *batch)
{
    const struct netstrat_nft_element element = element_of("192.0.2.0/25", NULL);

    return netstrat_batch_add_nft_elements(batch, NETSTRAT_NFT_SUBNETS4, &element, 1);
}

/* There is no address after the last one of these subnets. */
static int encode_last_subnet(struct netstrat_batch *batch)
{
    const struct netstrat_nft_element element = element_of("240.0.0.0/4", NULL);

    return netstrat_batch_add_nft_elements(batch, NETSTRAT_NFT_SUBNETS4, &element, 1);
}

static int encode_neighbours(struct netstrat_batch *batch)
{
    const struct netstrat_nft_element element = element_of("192.0.2.0/23", "192.0.2.7");

    return netstrat_batch_delete_nft_elements(batch, NETSTRAT_NFT_NEIGHBOURS4, &element, 1);
}

static int encode_port(struct netstrat_batch *batch)
{
    const struct netstrat_nft_element element = port_of(NULL, "192.0.2.7");

    return netstrat_batch_add_nft_elements(batch, NETSTRAT_NFT_PORTS4, &element, 1);
}

static int encode_address_port(struct netstrat_batch *batch)
{
    const struct netstrat_nft_element element = port_of("2001:db8::1", "fd00::7");

    return netstrat_batch_add_nft_elements(batch, NETSTRAT_NFT_ADDRESS_PORTS6, &element, 1);
}

#define WITHIN(type, ...) NEST(NLA_F_NESTED | (type), __VA_ARGS__)
#define GENERIC(family, resource) FIXED(struct nfgenmsg, family, 0, resource)
#define OURS FIXED(struct nfgenmsg, NFPROTO_INET, 0, 0), TEXT(1, "pynetstrat")
#define VALUE(type, bytes) WITHIN(type, ATTRIBUTE(NFTA_DATA_VALUE, bytes, sizeof(bytes) - 1))
#define KEY(bytes) VALUE(NFTA_SET_ELEM_KEY, bytes)
#define ELEMENTS(set, ...)                                                                         \
    TEXT(NFTA_SET_ELEM_LIST_SET, set), WITHIN(NFTA_SET_ELEM_LIST_ELEMENTS, __VA_ARGS__)
#define ITEM(...) WITHIN(NFTA_LIST_ELEM, __VA_ARGS__)
#define OWNER ATTRIBUTE(NFTA_SET_ELEM_USERDATA, "\0\4web", 6)

enum { ADD = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, DUMP = NLM_F_REQUEST | NLM_F_DUMP };
enum { BIG_ENDIAN_SUBSYSTEM = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 10 : 10 << 8 };

static const struct encoder encoders[] = {
    {"begin", encode_begin,
     MESSAGE(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, GENERIC(AF_UNSPEC, BIG_ENDIAN_SUBSYSTEM))},
    {"begin, conditional", encode_begin_conditional,
     MESSAGE(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, GENERIC(AF_UNSPEC, BIG_ENDIAN_SUBSYSTEM),
             ATTRIBUTE(1 /* NFNL_BATCH_GENID */, "\1\2\3\4", 4))},
    {"end", netstrat_batch_end_nft,
     MESSAGE(NFNL_MSG_BATCH_END, NLM_F_REQUEST, GENERIC(AF_UNSPEC, BIG_ENDIAN_SUBSYSTEM))},
    {"deletion of the table", netstrat_batch_delete_nft_table,
     MESSAGE(TABLES | NFT_MSG_DELTABLE, NLM_F_REQUEST, OURS)},
    {"dump of a set", encode_dump,
     MESSAGE(TABLES | NFT_MSG_GETSETELEM, DUMP, OURS, TEXT(NFTA_SET_ELEM_LIST_SET, "ports4"))},
    {"dump of all rules", encode_all_rules,
     MESSAGE(TABLES | NFT_MSG_GETRULE, DUMP, GENERIC(AF_UNSPEC, 0))},
    {"dump of the rules", encode_rules, MESSAGE(TABLES | NFT_MSG_GETRULE, DUMP, OURS)},
    {"dump of all chains", netstrat_batch_dump_nft_chains,
     MESSAGE(TABLES | NFT_MSG_GETCHAIN, DUMP, GENERIC(AF_UNSPEC, 0))},
    {"table", netstrat_batch_get_nft_table,
     MESSAGE(TABLES | NFT_MSG_GETTABLE, NLM_F_REQUEST, OURS)},
    {"generation", netstrat_batch_get_nft_generation,
     MESSAGE(TABLES | NFT_MSG_GETGEN, NLM_F_REQUEST, GENERIC(AF_UNSPEC, 0))},
    {"subnet", encode_subnet,
     MESSAGE(TABLES | NFT_MSG_NEWSETELEM, ADD, OURS,
             ELEMENTS("subnets4", ITEM(KEY("\300\0\2\0")),
                      ITEM(ATTRIBUTE(NFTA_SET_ELEM_FLAGS, "\0\0\0\1", 4), KEY("\300\0\2\200"))))},
    {"last subnet", encode_last_subnet,
     MESSAGE(TABLES | NFT_MSG_NEWSETELEM, ADD, OURS,
             ELEMENTS("subnets4", ITEM(KEY("\360\0\0\0"))))},
    {"neighbours", encode_neighbours,
     MESSAGE(TABLES | NFT_MSG_DELSETELEM, NLM_F_REQUEST, OURS,
             ELEMENTS("neighbours4",
                      ITEM(KEY("\300\0\2\0\300\0\2\7"),
                           VALUE(10 /* NFTA_SET_ELEM_KEY_END */, "\300\0\3\377\300\0\2\7"))))},
    {"port", encode_port,
     MESSAGE(TABLES | NFT_MSG_NEWSETELEM, ADD, OURS,
             ELEMENTS("ports4", ITEM(KEY("\6\0\0\0\37\220\0\0"),
                                     VALUE(NFTA_SET_ELEM_DATA, "\300\0\2\7\0\120\0\0"), OWNER)))},
    {"port of an address", encode_address_port,
     MESSAGE(TABLES | NFT_MSG_NEWSETELEM, ADD, OURS,
             ELEMENTS("address_ports6",
                      ITEM(KEY("\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\6\0\0\0\37\220\0\0"),
                           VALUE(NFTA_SET_ELEM_DATA,
                                 "\375\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7\0\120\0\0"),
                           OWNER)))},
};

TEST(each_request_has_the_expected_bytes)
{
    CHECK_ENCODERS(encoders);
}

static int add_elements(uint32_t set, const struct netstrat_nft_element *elements, size_t count)
{
    unsigned char buffer[256];
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    code = netstrat_batch_add_nft_elements(&batch, set, elements, count);
    CHECK(code == 0 || (batch.used == 0 && batch.count == 0));
    return code;
}

TEST(an_element_that_no_message_can_carry_is_refused)
{
    struct netstrat_nft_element good = port_of(NULL, "192.0.2.7"), bad;
    unsigned char buffer[256];
    struct netstrat_batch batch;

    CHECK(add_elements(NETSTRAT_NFT_PORTS4, &good, 1) == 0);
    CHECK(add_elements(NETSTRAT_NFT_PORTS4, &good, 0) == -EINVAL);
    CHECK(add_elements(NETSTRAT_NFT_PORTS6, &good, 1) == -EINVAL); /* an IPv4 target */
    CHECK(add_elements(NETSTRAT_NFT_SETS, &good, 1) == -EINVAL);
    CHECK(add_elements(NETSTRAT_NFT_ADDRESS_PORTS4, &good, 1) == -EINVAL); /* no address */
    bad = element_of("2001:db8::/32", NULL);
    CHECK(add_elements(NETSTRAT_NFT_SUBNETS4, &bad, 1) == -EINVAL);
    bad = element_of("192.0.2.0/24", NULL);
    bad.address.length = 33;
    CHECK(add_elements(NETSTRAT_NFT_SUBNETS4, &bad, 1) == -EINVAL);
    bad = good;
    memset(bad.owner, 'x', sizeof bad.owner); /* without NUL */
    CHECK(add_elements(NETSTRAT_NFT_PORTS4, &bad, 1) == -EINVAL);
    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(netstrat_batch_dump_nft_elements(&batch, NETSTRAT_NFT_SETS) == -EINVAL);
}

TEST(the_longest_owner_comes_back)
{
    struct netstrat_nft_element element = port_of("2001:db8::1", "fd00::7"), read;
    unsigned char buffer[512];
    struct netstrat_batch batch;
    struct netstrat_message message;
    struct netstrat_cursor rest, elements;

    memset(element.owner, 'x', sizeof element.owner - 1);
    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(netstrat_batch_add_nft_elements(&batch, NETSTRAT_NFT_ADDRESS_PORTS6, &element, 1) == 0);
    rest = (struct netstrat_cursor){buffer, 0, batch.used, 0};
    CHECK(netstrat_message_next(&rest, &message) == 1);
    CHECK(netstrat_nft_elements_decode(&message, &elements) == 0);
    CHECK(netstrat_nft_element_next(&elements, NETSTRAT_NFT_ADDRESS_PORTS6, &read) == 1);
    CHECK(strcmp(read.owner, element.owner) == 0);
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

static uint32_t decoded_set;

static int decode_elements(const struct netstrat_message *message)
{
    struct netstrat_cursor elements;
    struct netstrat_nft_element element;
    int code = netstrat_nft_elements_decode(message, &elements);

    if (code < 0)
        return code;
    while ((code = netstrat_nft_element_next(&elements, decoded_set, &element)) > 0)
        CHECK(memchr(element.owner, '\0', sizeof element.owner) != NULL);
    CHECK(code == 0 || code == -EBADMSG);
    return 0; /* the list may end in a malformed element */
}

TEST(published_ports_are_read_with_their_owners)
{
    const struct bytes good = BYTES_OF(
        TABLES | NFT_MSG_NEWSETELEM, NLM_F_MULTI, OURS,
        ELEMENTS("ports4",
                 ITEM(KEY("\6\0\0\0\37\220\0\0"), VALUE(NFTA_SET_ELEM_DATA, "\300\0\2\7\0\120\0\0"),
                      /* another kind of data before the comment */
                      ATTRIBUTE(NFTA_SET_ELEM_USERDATA, "\1\4\1\0\0\0\0\4web", 12)),
                 ITEM(KEY("\21\0\0\0\0\65\0\0"), VALUE(NFTA_SET_ELEM_DATA, "\300\0\2\10\0\66\0\0"),
                      ATTRIBUTE(NFTA_SET_ELEM_EXPIRATION, "\0\0\0\0\0\0\0\1", 8))));
    const struct netstrat_message message = only_message(&good);
    struct netstrat_cursor elements;
    struct netstrat_nft_element read;

    CHECK(netstrat_nft_elements_decode(&message, &elements) == 0);
    CHECK(netstrat_nft_element_next(&elements, NETSTRAT_NFT_PORTS4, &read) == 1);
    CHECK(read.protocol == 6 && read.port == 8080 && read.target_port == 80);
    CHECK(is_prefix(&read.target, "192.0.2.7/32") && strcmp(read.owner, "web") == 0);
    CHECK(read.address.family == 0 && !read.is_end);
    CHECK(netstrat_nft_element_next(&elements, NETSTRAT_NFT_PORTS4, &read) == 1);
    CHECK(read.protocol == 17 && read.port == 53 && read.target_port == 54);
    CHECK(read.owner[0] == '\0');
    CHECK(netstrat_nft_element_next(&elements, NETSTRAT_NFT_PORTS4, &read) == 0);
    CHECK(netstrat_nft_elements_decode(&message, &elements) == 0);
    CHECK(netstrat_nft_element_next(&elements, NETSTRAT_NFT_PORTS6, &read) == -EBADMSG);
    CHECK(netstrat_nft_element_next(&elements, NETSTRAT_NFT_SETS, &read) == -EBADMSG);
    decoded_set = NETSTRAT_NFT_PORTS4;
    check_mutations(decode_elements, &good);
}

/* A container without neighbours: the range has one address. */
TEST(neighbours_of_one_address_are_read)
{
    const struct bytes good = BYTES_OF(TABLES | NFT_MSG_NEWSETELEM, NLM_F_MULTI, OURS,
                                       ELEMENTS("neighbours4",
                                                ITEM(KEY("\300\0\2\7\300\0\2\7"),
                                                     VALUE(10, "\300\0\2\7\300\0\2\7"), OWNER)));
    const struct netstrat_message message = only_message(&good);
    struct netstrat_cursor elements;
    struct netstrat_nft_element read;

    CHECK(netstrat_nft_elements_decode(&message, &elements) == 0);
    CHECK(netstrat_nft_element_next(&elements, NETSTRAT_NFT_NEIGHBOURS4, &read) == 1);
    CHECK(is_prefix(&read.address, "192.0.2.7/32") && is_prefix(&read.target, "192.0.2.7/32"));
}

TEST(subnets_and_neighbours_are_read)
{
    const struct bytes subnets =
        BYTES_OF(TABLES | NFT_MSG_NEWSETELEM, NLM_F_MULTI, OURS,
                 ELEMENTS("subnets4", ITEM(KEY("\300\0\2\0")),
                          ITEM(ATTRIBUTE(NFTA_SET_ELEM_FLAGS, "\0\0\0\1", 4), KEY("\300\0\3\0"))));
    const struct bytes neighbours =
        BYTES_OF(TABLES | NFT_MSG_NEWSETELEM, NLM_F_MULTI, OURS,
                 ELEMENTS("neighbours4", ITEM(KEY("\300\0\2\0\300\0\2\7"),
                                              VALUE(10, "\300\0\3\377\300\0\2\7"), OWNER)));
    const struct bytes empty = BYTES_OF(TABLES | NFT_MSG_NEWSETELEM, 0, OURS,
                                        TEXT(NFTA_SET_ELEM_LIST_SET, "hosts4"));
    struct netstrat_message message = only_message(&subnets);
    struct netstrat_cursor elements;
    struct netstrat_nft_element read;

    CHECK(netstrat_nft_elements_decode(&message, &elements) == 0);
    CHECK(netstrat_nft_element_next(&elements, NETSTRAT_NFT_SUBNETS4, &read) == 1);
    CHECK(is_prefix(&read.address, "192.0.2.0/32") && !read.is_end);
    CHECK(netstrat_nft_element_next(&elements, NETSTRAT_NFT_SUBNETS4, &read) == 1);
    CHECK(is_prefix(&read.address, "192.0.3.0/32") && read.is_end);
    message = only_message(&neighbours);
    CHECK(netstrat_nft_elements_decode(&message, &elements) == 0);
    CHECK(netstrat_nft_element_next(&elements, NETSTRAT_NFT_NEIGHBOURS4, &read) == 1);
    CHECK(is_prefix(&read.address, "192.0.2.0/23") && is_prefix(&read.target, "192.0.2.7/32"));
    message = only_message(&empty);
    CHECK(netstrat_nft_elements_decode(&message, &elements) == 0);
    CHECK(netstrat_nft_element_next(&elements, NETSTRAT_NFT_HOSTS4, &read) == 0);
    decoded_set = NETSTRAT_NFT_NEIGHBOURS4;
    check_mutations(decode_elements, &neighbours);
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

/* Reads the only element of a message as one of a set. */
static int read_element(const struct bytes *bytes, uint32_t set)
{
    const struct netstrat_message message = only_message(bytes);
    struct netstrat_cursor elements;
    struct netstrat_nft_element element;
    int code = netstrat_nft_elements_decode(&message, &elements);

    CHECK(code == 0);
    code = netstrat_nft_element_next(&elements, set, &element);
    CHECK(code < 0 || element.owner[0] == '\0');
    return code;
}

#define ELEMENT(...)                                                                               \
    BYTES_OF(TABLES | NFT_MSG_NEWSETELEM, NLM_F_MULTI, OURS, ELEMENTS("s", ITEM(__VA_ARGS__)))

TEST(an_element_that_is_not_of_its_set_is_malformed)
{
    const struct bytes host = ELEMENT(KEY("\300\0\2\7")), keyless = ELEMENT(OWNER),
                       mapped = ELEMENT(KEY("\300\0\2\7"), VALUE(NFTA_SET_ELEM_DATA, "x")),
                       unmapped = ELEMENT(KEY("\6\0\0\0\37\220\0\0")),
                       long_key = ELEMENT(KEY("\300\0\2\7\300\0\2\7"));

    CHECK(read_element(&host, NETSTRAT_NFT_HOSTS4) == 1);
    CHECK(read_element(&host, NETSTRAT_NFT_HOSTS6) == -EBADMSG);
    CHECK(read_element(&keyless, NETSTRAT_NFT_HOSTS4) == -EBADMSG);
    CHECK(read_element(&mapped, NETSTRAT_NFT_HOSTS4) == -EBADMSG);
    CHECK(read_element(&unmapped, NETSTRAT_NFT_PORTS4) == -EBADMSG);
    CHECK(read_element(&long_key, NETSTRAT_NFT_HOSTS4) == -EBADMSG);
}

TEST(a_comment_that_is_not_whole_is_ignored)
{
    const struct bytes longer = ELEMENT(KEY("\300\0\2\7"),
                                        ATTRIBUTE(NFTA_SET_ELEM_USERDATA, "\0\11web", 5),
                                        ATTRIBUTE(NFTA_SET_ELEM_TIMEOUT, "\0\0\0\0\0\0\0\1", 8));
    const struct bytes alone = ELEMENT(KEY("\300\0\2\7"), ATTRIBUTE(NFTA_SET_ELEM_USERDATA, "", 1));

    CHECK(read_element(&longer, NETSTRAT_NFT_HOSTS4) == 1);
    CHECK(read_element(&alone, NETSTRAT_NFT_HOSTS4) == 1);
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
