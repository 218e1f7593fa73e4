/* SPDX-License-Identifier: MIT */
/* Elements of nf_tables: each request byte by byte, and the decoding of the answers, complete,
 * truncated and malformed. */
#include "nft.h"

#define KEY(bytes) VALUE(NFTA_SET_ELEM_KEY, bytes)
#define ELEMENTS(set, ...)                                                                         \
    TEXT(NFTA_SET_ELEM_LIST_SET, set), WITHIN(NFTA_SET_ELEM_LIST_ELEMENTS, __VA_ARGS__)
#define OWNER ATTRIBUTE(NFTA_SET_ELEM_USERDATA, "\0\4web", 6)

enum { ADD = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL };

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

static int encode_dump(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_nft_elements(batch, NETSTRAT_NFT_PORTS4);
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

static const struct encoder encoders[] = {
    {"dump of a set", encode_dump,
     MESSAGE(TABLES | NFT_MSG_GETSETELEM, DUMP, OURS, TEXT(NFTA_SET_ELEM_LIST_SET, "ports4"))},
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

/* ---- answers ---- */

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
