/* SPDX-License-Identifier: MIT */
/* Whole operations of nf_tables: the generation, and the elements of a set. */
#include "internal.h"

#include <errno.h>

int netstrat_nft_generation_get(struct netstrat_socket *sock, uint32_t *generation,
                                struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct netstrat_message answer;
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    (void)netstrat_batch_get_nft_generation(&batch); /* fits the buffer */
    code = netstrat_query(sock, &batch, 1, &answer, error);
    if (code < 0)
        return code;
    code = netstrat_nft_generation_decode(&answer, generation);
    return code < 0 ? netstrat_fail_request(error, code, NETSTRAT_NFT_GETGEN) : 0;
}

/* The caller's array, which receives the first `room` elements of a dump; `count` counts all. */
struct nft_operations_rows {
    struct netstrat_nft_element *elements;
    size_t room;
    size_t count;
    uint32_t set;
    int malformed;
};

static int nft_operations_add_rows(const struct netstrat_message *message, void *context)
{
    struct nft_operations_rows *rows = (struct nft_operations_rows *)context;
    struct netstrat_nft_element element;
    struct netstrat_cursor list;
    int more;

    if (!message) { /* a try begins */
        rows->count = 0;
        return 0;
    }
    more = netstrat_nft_elements_decode(message, &list);
    while (more >= 0 && (more = netstrat_nft_element_next(&list, rows->set, &element)) > 0) {
        if (rows->count >= INT32_MAX)
            return -EOVERFLOW;
        if (rows->count < rows->room)
            rows->elements[rows->count] = element;
        rows->count++;
    }
    rows->malformed = more < 0;
    return more;
}

int netstrat_nft_elements_dump(struct netstrat_socket *sock, uint32_t set,
                               struct netstrat_nft_element *elements, size_t room,
                               struct netstrat_error *error)
{
    unsigned char request[NETSTRAT_REQUEST_SIZE];
    struct nft_operations_rows rows = {elements, room, 0, set, 0};
    struct netstrat_batch batch;
    int code;

    netstrat_batch_init(&batch, request, sizeof request);
    code = netstrat_batch_dump_nft_elements(&batch, set);
    if (code < 0)
        return netstrat_fail(error, code, NETSTRAT_OP_BATCH);
    code = netstrat_dump(sock, &batch, nft_operations_add_rows, &rows, error);
    if (rows.malformed)
        return netstrat_fail_request(error, code, NETSTRAT_NFT_GETSETELEM);
    return code < 0 ? code : (int)rows.count;
}
