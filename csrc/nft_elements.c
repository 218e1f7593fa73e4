/* SPDX-License-Identifier: MIT */
/* nf_tables: the elements of the sets and maps of egress and published ports. */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include <linux/netlink.h>

/* ---- requests ---- */

enum { NFT_KEY_SIZE = 32, NFT_DATA_SIZE = 20 }; /* the longest, of IPv6 neighbours and maps */

static int nft_elements_is_valid(uint32_t set, const struct netstrat_nft_element *element)
{
    const uint8_t family = netstrat_nft_family(set);
    const int has_target = netstrat_nft_is_map(set) || netstrat_nft_is_neighbours(set);

    return (!netstrat_nft_has_address(set) || element->address.family == family) &&
           element->address.length <= 8 * netstrat_nft_width(set) &&
           (!has_target || element->target.family == family) &&
           memchr(element->owner, '\0', sizeof element->owner) != NULL;
}

/* Writes the last address of a prefix. */
static void nft_elements_last_address(const struct netstrat_prefix *prefix, size_t width,
                                      unsigned char *last)
{
    unsigned left = prefix->length;
    size_t i;

    for (i = 0; i < width; i++) {
        const unsigned network = left < 8 ? left : 8; /* bits of the prefix in this byte */

        last[i] = (unsigned char)(prefix->bytes[i] | 0xffU >> network);
        left -= network;
    }
}

/* Writes a key and returns its size. With `last`, the end of an interval. */
static size_t nft_elements_key(uint32_t set, const struct netstrat_nft_element *element, int last,
                               unsigned char *key)
{
    const size_t width = netstrat_nft_width(set);
    const uint16_t port = htons(element->port);
    size_t size = 0;

    memset(key, 0, NFT_KEY_SIZE);
    if (netstrat_nft_has_address(set)) {
        if (last)
            nft_elements_last_address(&element->address, width, key);
        else
            memcpy(key, element->address.bytes, width);
        size += width;
    }
    if (netstrat_nft_is_neighbours(set)) {
        memcpy(key + size, element->target.bytes, width);
        size += width;
    }
    if (netstrat_nft_is_map(set)) {
        key[size] = element->protocol;
        memcpy(key + size + 4, &port, sizeof port);
        size += 8;
    }
    return size;
}

/* Adds one to a number in network byte order. Returns 0 if it overflows. */
static int nft_elements_increment(unsigned char *number, size_t width)
{
    while (width-- > 0)
        if (++number[width] != 0)
            return 1;
    return 0;
}

/* The comment of an element, as `nft` stores it: a list of type, length and value. */
static void nft_elements_put_owner(struct netstrat_batch *batch, const char *owner)
{
    enum { NFT_COMMENT = 0 }; /* NFTNL_UDATA_SET_ELEM_COMMENT of libnftnl */
    unsigned char data[2 + NETSTRAT_OWNER_SIZE];
    size_t length = strnlen(owner, NETSTRAT_OWNER_SIZE - 1);

    if (length == 0)
        return;
    memset(data, 0, sizeof data);
    data[0] = NFT_COMMENT;
    data[1] = (unsigned char)(length + 1);
    memcpy(data + 2, owner, length);
    netstrat_batch_put(batch, NETSTRAT_NFTA_SET_ELEM_USERDATA, data, 2 + length + 1);
}

static void nft_elements_put_one(struct netstrat_batch *batch, uint32_t set,
                                 const struct netstrat_nft_element *element)
{
    const size_t width = netstrat_nft_width(set);
    const uint16_t port = htons(element->target_port);
    size_t item = netstrat_batch_nest(batch, NETSTRAT_NFTA_LIST_ELEM);
    unsigned char key[NFT_KEY_SIZE];
    size_t size = nft_elements_key(set, element, 0, key);

    netstrat_nft_put_value(batch, NETSTRAT_NFTA_SET_ELEM_KEY, key, size);
    if (netstrat_nft_is_neighbours(set)) {
        (void)nft_elements_key(set, element, 1, key);
        netstrat_nft_put_value(batch, NETSTRAT_NFTA_SET_ELEM_KEY_END, key, size);
    }
    if (netstrat_nft_is_map(set)) {
        unsigned char data[NFT_DATA_SIZE];

        memset(data, 0, sizeof data);
        memcpy(data, element->target.bytes, width);
        memcpy(data + width, &port, sizeof port);
        netstrat_nft_put_value(batch, NETSTRAT_NFTA_SET_ELEM_DATA, data, width + 4);
    }
    nft_elements_put_owner(batch, element->owner);
    netstrat_batch_nest_end(batch, item);
    if (!netstrat_nft_is_subnets(set))
        return;
    /* The end of a subnet is an element of its own: the address after the last one. */
    (void)nft_elements_key(set, element, 1, key);
    if (!nft_elements_increment(key, width))
        return;
    item = netstrat_batch_nest(batch, NETSTRAT_NFTA_LIST_ELEM);
    netstrat_nft_put_number(batch, NETSTRAT_NFTA_SET_ELEM_FLAGS,
                            NETSTRAT_NFT_SET_ELEM_INTERVAL_END);
    netstrat_nft_put_value(batch, NETSTRAT_NFTA_SET_ELEM_KEY, key, width);
    netstrat_batch_nest_end(batch, item);
}

static int nft_elements_put(struct netstrat_batch *batch, uint16_t type, uint16_t flags,
                            uint32_t set, const struct netstrat_nft_element *elements, size_t count)
{
    size_t list, i;

    netstrat_nft_begin(batch, type, flags);
    if (set >= NETSTRAT_NFT_SETS || count == 0) {
        netstrat_batch_refuse(batch, -EINVAL);
        return netstrat_batch_finish(batch);
    }
    netstrat_batch_put_string(batch, NETSTRAT_NFTA_SET_ELEM_LIST_SET, netstrat_nft_set_name(set));
    list = netstrat_batch_nest(batch, NETSTRAT_NFTA_SET_ELEM_LIST_ELEMENTS);
    for (i = 0; i < count && batch->code == 0; i++) {
        if (nft_elements_is_valid(set, &elements[i]))
            nft_elements_put_one(batch, set, &elements[i]);
        else
            netstrat_batch_refuse(batch, -EINVAL);
    }
    netstrat_batch_nest_end(batch, list);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_add_nft_elements(struct netstrat_batch *batch, uint32_t set,
                                    const struct netstrat_nft_element *elements, size_t count)
{
    return nft_elements_put(batch, NETSTRAT_NFT_NEWSETELEM, NETSTRAT_NFT_ADD, set, elements, count);
}

int netstrat_batch_delete_nft_elements(struct netstrat_batch *batch, uint32_t set,
                                       const struct netstrat_nft_element *elements, size_t count)
{
    return nft_elements_put(batch, NETSTRAT_NFT_DELSETELEM, 0, set, elements, count);
}

int netstrat_batch_dump_nft_elements(struct netstrat_batch *batch, uint32_t set)
{
    netstrat_nft_begin(batch, NETSTRAT_NFT_GETSETELEM, NLM_F_DUMP);
    if (set < NETSTRAT_NFT_SETS)
        netstrat_batch_put_string(batch, NETSTRAT_NFTA_SET_ELEM_LIST_SET,
                                  netstrat_nft_set_name(set));
    else
        netstrat_batch_refuse(batch, -EINVAL);
    return netstrat_batch_finish(batch);
}

/* ---- answers ---- */

int netstrat_nft_elements_decode(const struct netstrat_message *message,
                                 struct netstrat_cursor *elements)
{
    struct netstrat_attribute attribute;
    struct netstrat_cursor rest, list;
    struct netstrat_nft_fixed fixed;
    int more = netstrat_nft_decode_fixed(message, NETSTRAT_NFT_NEWSETELEM, &fixed, &rest);

    if (more < 0)
        return more;
    list = rest;
    list.at = list.end; /* an empty set has no list */
    while ((more = netstrat_attribute_take(&rest, &attribute)) > 0)
        if (attribute.type == NETSTRAT_NFTA_SET_ELEM_LIST_ELEMENTS)
            list = attribute.value;
    if (more < 0)
        return -EBADMSG;
    *elements = list;
    return 0;
}

/* Reads the value in a nest: exactly `size` bytes. */
static int nft_elements_read_value(const struct netstrat_cursor *nest, unsigned char *value,
                                   size_t size)
{
    struct netstrat_cursor rest = *nest;
    struct netstrat_attribute attribute;

    if (netstrat_attribute_take(&rest, &attribute) <= 0 ||
        attribute.type != NETSTRAT_NFTA_DATA_VALUE ||
        attribute.value.end - attribute.value.at != size)
        return -EBADMSG;
    return netstrat_cursor_read(&attribute.value, value, size);
}

/* Finds the comment in the userdata. One that is malformed or too long is ignored: `nft` accepts
 * any. */
static void nft_elements_read_owner(const struct netstrat_cursor *userdata, char *owner)
{
    struct netstrat_cursor value = *userdata;
    size_t at = userdata->at;

    while (at + 2 <= userdata->end) {
        const unsigned char type = userdata->data[at];

        value.at = at + 2;
        value.end = value.at + userdata->data[at + 1];
        if (value.end > userdata->end)
            return;
        if (type == 0 && netstrat_text_decode(&value, owner, NETSTRAT_OWNER_SIZE) == 0)
            return;
        at = value.end;
    }
}

/* The attributes of one element. */
struct nft_elements_read {
    unsigned char key[NFT_KEY_SIZE], end[NFT_KEY_SIZE], data[NFT_DATA_SIZE];
    uint32_t flags;
    int has_key, has_end, has_data;
    char owner[NETSTRAT_OWNER_SIZE];
};

static int nft_elements_read_attribute(const struct netstrat_attribute *attribute, uint32_t set,
                                       size_t size, struct nft_elements_read *read)
{
    switch (attribute->type) {
    case NETSTRAT_NFTA_SET_ELEM_KEY:
        read->has_key = 1;
        return nft_elements_read_value(&attribute->value, read->key, size);
    case NETSTRAT_NFTA_SET_ELEM_KEY_END:
        read->has_end = 1;
        return nft_elements_read_value(&attribute->value, read->end, size);
    case NETSTRAT_NFTA_SET_ELEM_DATA:
        read->has_data = 1;
        return netstrat_nft_is_map(set) ? nft_elements_read_value(&attribute->value, read->data,
                                                                  netstrat_nft_width(set) + 4)
                                        : 0;
    case NETSTRAT_NFTA_SET_ELEM_FLAGS:
        return netstrat_nft_read_number(&attribute->value, &read->flags);
    case NETSTRAT_NFTA_SET_ELEM_USERDATA:
        nft_elements_read_owner(&attribute->value, read->owner);
        return 0;
    default:
        return 0;
    }
}

/* Returns how many bits two addresses have in common. */
static uint8_t nft_elements_common_bits(const unsigned char *one, const unsigned char *other,
                                        size_t width)
{
    uint8_t bits = 0;

    while (bits < 8 * width && !((one[bits / 8] ^ other[bits / 8]) & 0x80U >> bits % 8))
        bits++;
    return bits;
}

static void nft_elements_set_prefix(struct netstrat_prefix *prefix, uint32_t set,
                                    const unsigned char *bytes)
{
    prefix->family = netstrat_nft_family(set);
    prefix->length = (uint8_t)(8 * netstrat_nft_width(set));
    memcpy(prefix->bytes, bytes, netstrat_nft_width(set));
}

/* Fills an element whose fields are zero. */
static void nft_elements_fill(uint32_t set, const struct nft_elements_read *read,
                              struct netstrat_nft_element *element)
{
    const size_t width = netstrat_nft_width(set);
    const unsigned char *at = read->key;
    uint16_t port;

    memcpy(element->owner, read->owner, sizeof element->owner);
    element->is_end = (read->flags & NETSTRAT_NFT_SET_ELEM_INTERVAL_END) != 0;
    if (netstrat_nft_has_address(set)) {
        nft_elements_set_prefix(&element->address, set, at);
        at += width;
    }
    if (netstrat_nft_is_neighbours(set)) {
        nft_elements_set_prefix(&element->target, set, at);
        if (read->has_end)
            element->address.length = nft_elements_common_bits(read->key, read->end, width);
    }
    if (netstrat_nft_is_map(set)) {
        element->protocol = at[0];
        memcpy(&port, at + 4, sizeof port);
        element->port = ntohs(port);
        nft_elements_set_prefix(&element->target, set, read->data);
        memcpy(&port, read->data + width, sizeof port);
        element->target_port = ntohs(port);
    }
}

int netstrat_nft_element_next(struct netstrat_cursor *elements, uint32_t set,
                              struct netstrat_nft_element *element)
{
    const struct netstrat_nft_element nothing = {{0, 0, {0}}, {0, 0, {0}}, 0, 0, 0, 0, {0}, 0};
    struct netstrat_attribute item, attribute;
    struct nft_elements_read read;
    unsigned char key[NFT_KEY_SIZE];
    size_t size;
    int more;

    if (set >= NETSTRAT_NFT_SETS)
        return -EBADMSG;
    more = netstrat_attribute_take(elements, &item);
    if (more <= 0)
        return more;
    memset(&read, 0, sizeof read);
    size = nft_elements_key(set, &nothing, 0, key);
    while ((more = netstrat_attribute_take(&item.value, &attribute)) > 0) {
        more = nft_elements_read_attribute(&attribute, set, size, &read);
        if (more < 0)
            return more;
    }
    if (more < 0 || !read.has_key || read.has_data != netstrat_nft_is_map(set))
        return -EBADMSG;
    *element = nothing;
    nft_elements_fill(set, &read, element);
    return 1;
}
