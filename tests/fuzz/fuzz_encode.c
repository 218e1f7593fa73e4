/* SPDX-License-Identifier: MIT */
/*
 * The input is a sequence of calls on a batch. A second builder makes the same messages in a
 * different way, and the bytes are compared. The input begins with the size of the batch (two
 * bytes, big endian). Each call is a byte for its kind, a byte for the length of its arguments, and
 * the arguments.
 */
#include "fuzz.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

enum {
    MOST_ROOM = 0x7fff * 4, /* more than the 64 KiB of an attribute */
    BIG = 70000,
    MOST_NESTS = 8,
    HEADER = 16
};

enum kind {
    /* whole messages */
    SET_LINK_FLAGS,
    GET_LINK,
    GET_COUNTERS,
    DUMP_LINKS,
    DUMP_COUNTERS,
    /* parts of a message */
    BEGIN,
    APPEND,
    PUT,
    PUT_STRING,
    PUT_U8,
    PUT_U32,
    NEST,
    NEST_END,
    REFUSE,
    FINISH,
    APPEND_BIG,
    PUT_BIG,
    /* netstrat_batch_check() on any bytes */
    CHECK,
    /* whole messages with many arguments */
    ADD_LINK,
    ADD_MACVLAN,
    ADD_VETH,
    SET_LINK,
    DELETE_LINK,
    DELETE_GROUP,
    ADD_ADDRESS,
    DELETE_ADDRESS,
    ADD_ROUTE,
    DELETE_ROUTE,
    OTHERS,
    NFT,
    QDISC,
    ADD_STACKED, /* a VLAN, an ipvlan or a VXLAN */
    KINDS
};

static const unsigned char big[BIG];

/* ---- the second builder ---- */

static struct {
    unsigned char data[MOST_ROOM + 2 * BIG];
    size_t room, used, start;
    uint32_t count;
    int code;
} model;

/* The open nests of the message under construction, in the core and in the model. */
static struct {
    size_t core[MOST_NESTS], model[MOST_NESTS];
    unsigned depth;
} nests;

static void model_add(const void *bytes, size_t size)
{
    size_t padded = (size + 3) / 4 * 4;

    if (model.code != 0)
        return;
    if (model.used + padded > model.room) {
        model.code = -EMSGSIZE;
        return;
    }
    memset(model.data + model.used, 0, padded);
    memcpy(model.data + model.used, bytes, size);
    model.used += padded;
}

static void model_begin(uint16_t type, uint16_t flags)
{
    unsigned char header[HEADER] = {0};

    memcpy(header + 4, &type, 2);
    memcpy(header + 6, &flags, 2);
    model.start = model.used;
    model.code = 0;
    model_add(header, HEADER);
    nests.depth = 0;
}

static void model_put(uint16_t type, const void *value, size_t size)
{
    static unsigned char attribute[BIG + 4];
    uint16_t length = (uint16_t)(size + 4);

    if (size + 4 > 65535) {
        if (model.code == 0)
            model.code = -EMSGSIZE;
        return;
    }
    memcpy(attribute, &length, 2);
    memcpy(attribute + 2, &type, 2);
    memcpy(attribute + 4, value, size);
    model_add(attribute, size + 4);
}

static int model_finish(void)
{
    uint32_t length = (uint32_t)(model.used - model.start);
    int code = model.code;

    if (code == 0 && length < HEADER)
        code = -EINVAL;
    model.code = 0;
    if (code == 0) {
        memcpy(model.data + model.start, &length, 4);
        model.count++;
    } else {
        model.used = model.start;
    }
    model.start = model.used;
    nests.depth = 0;
    return code;
}

/* ---- checks of the result ---- */

/* The rules for names, written differently from name.c. */
static int expected_kind(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > 127)
        return -EINVAL;
    return length > 15 || !strcmp(name, ".") || !strcmp(name, "..") ||
           strpbrk(name, "/: \t\n\v\f\r\xa0");
}

/* RTM_GET*, or NFT_MSG_GET*, which has a subsystem in its upper byte. */
static int is_get(uint16_t type)
{
    return type < 256 ? type >= 16 && type % 4 == 2 : type % 256 % 3 == 1;
}

/* Returns the number of the first message that cannot be sent; `count` if all can, or if bytes
 * follow the last message. */
static uint32_t first_wrong(const unsigned char *data, size_t size, uint32_t count)
{
    uint32_t item;

    for (item = 0; item < count; item++) {
        uint32_t length;
        uint16_t type, flags;

        if (size < HEADER)
            break;
        memcpy(&length, data, 4);
        memcpy(&type, data + 4, 2);
        memcpy(&flags, data + 6, 2);
        if (length < HEADER || length > size || length & 3 || !(flags & NLM_F_REQUEST) ||
            !(flags & NLM_F_ACK) || (is_get(type) && flags & NLM_F_DUMP))
            break;
        data += length;
        size -= length;
    }
    return item;
}

static void check_batch(unsigned char *data, size_t size, uint32_t count)
{
    struct netstrat_batch batch;
    uint32_t item = 12345, wrong = first_wrong(data, size, count);
    size_t whole = 0;
    uint32_t i;
    int code;

    for (i = 0; i < wrong; i++) {
        uint32_t length;

        memcpy(&length, data + whole, 4);
        whole += length;
    }
    netstrat_batch_init(&batch, data, size);
    batch.used = size;
    batch.count = count;
    code = netstrat_batch_check(&batch, &item);
    if (wrong == count && whole == size)
        HOLDS(code == 0 && item == 12345);
    else
        HOLDS(code == -EINVAL && item == wrong);
}

/* Checks that the core's decoder reads the bytes as exactly one message. */
static void check_message(const unsigned char *at, size_t size, unsigned kind, const char *name)
{
    struct netstrat_cursor rest = {at, 0, size, 0};
    struct netstrat_message message;
    struct netstrat_attribute attribute;
    int more;

    HOLDS(size % 4 == 0);
    HOLDS(netstrat_message_next(&rest, &message) == 1 && rest.at == rest.end);
    HOLDS(message.payload.at == HEADER && message.payload.end == size);
    HOLDS(message.flags & NLM_F_REQUEST);
    if (kind == SET_LINK_FLAGS || kind == GET_LINK) {
        size_t length = strlen(name);

        HOLDS(size == HEADER + 16 + 4 + (length + 1 + 3) / 4 * 4);
        HOLDS(memcmp(at + HEADER + 20, name, length + 1) == 0);
        for (length++; length < size - HEADER - 20; length++)
            HOLDS(at[HEADER + 20 + length] == 0); /* the padding is zero */
    }
    /* The types of BATCH_BEGIN and END are also those of links. */
    if (kind == NFT || (message.type != RTM_NEWLINK && message.type != RTM_DELLINK))
        return;
    rest = message.payload;
    HOLDS(rest.end - rest.at >= sizeof(struct ifinfomsg));
    rest.at += sizeof(struct ifinfomsg);
    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0)
        ;
    HOLDS(more == 0);
}

/* ---- the calls ---- */

/* Copies the arguments of a call into a struct, padded with zeros. */
#define FILL(output, bytes, length)                                                                \
    (memset(&(output), 0, sizeof(output)),                                                         \
     memcpy(&(output), bytes, (length) < sizeof(output) ? (length) : sizeof(output)))

/* Nsids and indexes, which may be negative. */
static int encode_id(struct netstrat_batch *batch, uint32_t number)
{
    const int32_t nsid = (int32_t)(number & 0x8000ffff);
    const int32_t index = number & 0x40000000 ? -1 : (int32_t)(number >> 8 & 0xff);

    switch (number >> 6 & 3) {
    case 0:
        return netstrat_batch_get_nsid(batch, index);
    case 1:
        return netstrat_batch_add_nsid(batch, index);
    case 2:
        return netstrat_batch_dump_links_at(batch, nsid);
    default:
        return netstrat_batch_get_link_at(batch, nsid, index);
    }
}

static int encode_other(struct netstrat_batch *batch, uint32_t number)
{
    switch (number % 4) {
    case 0:
        return encode_id(batch, number);
    case 3:
        return netstrat_batch_get_link_index(batch, (int32_t)number);
    case 1:
        return netstrat_batch_dump_addresses(batch, (int32_t)number);
    default:
        return netstrat_batch_dump_routes(batch, (int32_t)(number - 2)); /* 0 among others */
    }
}

/* Returns 0 if the arguments start with a letter of a name, otherwise an index, which may be
 * negative. */
static int32_t index_of(uint32_t number)
{
    return number & 0x80 ? (int32_t)(number & 0x8000007f) : 0;
}

/* The length chooses the kind. */
static int encode_stacked(struct netstrat_batch *batch, const uint8_t *bytes, size_t length)
{
    struct netstrat_link_settings settings;
    struct netstrat_vxlan vxlan;
    struct {
        int32_t parent;
        uint16_t first, second;
    } numbers;

    FILL(numbers, bytes, length);
    FILL(vxlan, bytes + length / 4, length - length / 4);
    FILL(settings, bytes + length / 2, length - length / 2);
    switch (length % 3) {
    case 0:
        return netstrat_batch_add_vlan(batch, numbers.parent, numbers.first, numbers.second,
                                       &settings);
    case 1:
        return netstrat_batch_add_ipvlan(batch, numbers.parent, numbers.first, numbers.second,
                                         &settings);
    default:
        return netstrat_batch_add_vxlan(batch, numbers.parent, &vxlan, &settings);
    }
}

static int encode_settings(struct netstrat_batch *batch, unsigned kind, const uint8_t *bytes,
                           size_t length, const char *name, uint32_t number)
{
    struct netstrat_link_settings one, other;

    FILL(one, bytes, length);
    FILL(other, bytes + length / 2, length - length / 2);
    if (length == 255) /* an alias without a NUL */
        memset(one.alias, 'x', sizeof one.alias);
    switch (kind) {
    case ADD_LINK:
        return netstrat_batch_add_link(batch, name, &one);
    case ADD_MACVLAN:
        return netstrat_batch_add_macvlan(batch, (int32_t)one.set, 4, &one);
    case ADD_STACKED:
        return encode_stacked(batch, bytes, length);
    case ADD_VETH:
        return netstrat_batch_add_veth(batch, &one, &other);
    default:
        return netstrat_batch_set_link(batch, index_of(number), name, &other);
    }
}

/* The first byte is the call, the second the set. The element follows. */
static int encode_nft(struct netstrat_batch *batch, const uint8_t *bytes, size_t length,
                      uint32_t number)
{
    struct netstrat_nft_element element;
    const uint32_t set = number >> 8 & 15;

    FILL(element, length > 4 ? bytes + 4 : bytes, length > 4 ? length - 4 : 0);
    if (length == 255) /* without a NUL */
        memset(element.owner, 'x', sizeof element.owner);
    switch (number % 8) {
    case 0:
        return netstrat_batch_begin_nft(batch, number >> 8);
    case 1:
        return netstrat_batch_end_nft(batch);
    case 2:
        return netstrat_batch_dump_nft_elements(batch, set);
    case 3:
        return netstrat_batch_delete_nft_elements(batch, set, &element, 1);
    case 4:
        return set < 4    ? netstrat_batch_dump_nft_rules(batch, (int)set & 1)
               : set < 8  ? netstrat_batch_dump_nft_chains(batch)
               : set < 9  ? netstrat_batch_get_nft_generation(batch)
               : set < 10 ? netstrat_batch_get_nft_table(batch)
                          : netstrat_batch_delete_nft_table(batch);
    default:
        return netstrat_batch_add_nft_elements(batch, set, &element, number >> 16 & 1);
    }
}

/* The table is several messages: all of them or none. */
static void try_table(struct netstrat_batch *batch)
{
    const uint32_t messages = 1 + NETSTRAT_NFT_SETS + 4 + NETSTRAT_NFT_RULES;
    const size_t before = batch->used;
    const uint32_t count = batch->count;

    if (netstrat_batch_add_nft_table(batch) == 0) {
        HOLDS(batch->count == count + messages && batch->used <= batch->size);
        memcpy(model.data + before, batch->data + before, batch->used - before);
    } else {
        HOLDS(batch->count == count && batch->used == before);
    }
    model.used = model.start = batch->used;
    model.count = batch->count;
    model.code = 0;
    nests.depth = 0;
}

static int encode_qdisc(struct netstrat_batch *batch, const uint8_t *bytes, size_t length,
                        uint32_t number)
{
    const int32_t index = number & 0x80 ? -1 : (int32_t)(number >> 8 & 0xff);
    struct netstrat_qdisc qdisc;

    FILL(qdisc, bytes, length);
    switch (number % 8) {
    case 0:
        return netstrat_batch_delete_qdisc(batch, index, number);
    case 1:
        return netstrat_batch_dump_qdiscs(batch);
    case 2:
        return netstrat_batch_dump_filters(batch, index);
    case 3:
        return netstrat_batch_add_redirect(batch, index, (int32_t)(number >> 16) - 1);
    default:
        return netstrat_batch_add_qdisc(batch, &qdisc, (int)(number >> 3 & 1));
    }
}

static int encode(struct netstrat_batch *batch, unsigned kind, const uint8_t *bytes, size_t length,
                  const char *name, uint32_t number)
{
    struct netstrat_address address;
    struct netstrat_route route;

    FILL(address, bytes, length);
    FILL(route, bytes, length);
    switch (kind) {
    case SET_LINK_FLAGS:
        return netstrat_batch_set_link_flags(batch, name, number, number >> 8);
    case GET_LINK:
        return netstrat_batch_get_link(batch, name);
    case GET_COUNTERS:
        return netstrat_batch_get_counters(batch, (int32_t)number);
    case DUMP_LINKS:
        return netstrat_batch_dump_links(batch, (int)(number & 1));
    case DUMP_COUNTERS:
        return netstrat_batch_dump_counters(batch);
    case DELETE_LINK:
        return netstrat_batch_delete_link(batch, index_of(number), name);
    case DELETE_GROUP:
        return netstrat_batch_delete_link_group(batch, number);
    case ADD_ADDRESS:
        return netstrat_batch_add_address(batch, &address, (int)(number & 1));
    case DELETE_ADDRESS:
        return netstrat_batch_delete_address(batch, &address);
    case ADD_ROUTE:
        return netstrat_batch_add_route(batch, &route);
    case DELETE_ROUTE:
        return netstrat_batch_delete_route(batch, &route);
    case OTHERS:
        return encode_other(batch, number);
    case NFT:
        return encode_nft(batch, bytes, length, number);
    case QDISC:
        return encode_qdisc(batch, bytes, length, number);
    default:
        return encode_settings(batch, kind, bytes, length, name, number);
    }
}

/* Adds a whole message, or checks that the batch is unchanged. */
static void try_message(struct netstrat_batch *batch, unsigned kind, const uint8_t *bytes,
                        size_t length, const char *name, uint32_t number)
{
    size_t before = batch->used;
    uint32_t count = batch->count;
    int result = encode(batch, kind, bytes, length, name, number);

    HOLDS(batch->start == batch->used && batch->code == 0);
    if (result == 0) {
        HOLDS(batch->count == count + 1 && batch->used > before && batch->used <= batch->size);
        check_message(batch->data + before, batch->used - before, kind, name);
        memcpy(model.data + before, batch->data + before, batch->used - before);
    } else {
        HOLDS(result == -EINVAL || result == -EMSGSIZE);
        HOLDS(batch->count == count && batch->used == before);
        HOLDS(result == -EINVAL || batch->size - batch->used < 2048);
        if (kind == SET_LINK_FLAGS || kind == GET_LINK)
            HOLDS(result == -EMSGSIZE || expected_kind(name) < 0);
    }
    if (kind == SET_LINK_FLAGS || kind == GET_LINK)
        HOLDS(result < 0 || expected_kind(name) >= 0);
    model.used = model.start = batch->used;
    model.count = batch->count;
    model.code = 0;
    nests.depth = 0;
}

static void nest_end(struct netstrat_batch *batch)
{
    size_t length;

    if (nests.depth == 0)
        return;
    nests.depth--;
    netstrat_batch_nest_end(batch, nests.core[nests.depth]);
    length = model.used - nests.model[nests.depth];
    if (model.code == 0 && length > 65535)
        model.code = -EMSGSIZE;
    if (model.code == 0) {
        uint16_t value = (uint16_t)length;

        memcpy(model.data + nests.model[nests.depth], &value, 2);
    }
}

static void try_part(struct netstrat_batch *batch, unsigned kind, const uint8_t *bytes,
                     size_t length, const char *name, uint32_t number)
{
    uint16_t type = (uint16_t)(number & 0x3fff);
    uint8_t byte = (uint8_t)number;
    int code = -(int)(number % 133 + 1);

    switch (kind) {
    case BEGIN:
        netstrat_batch_begin(batch, (uint16_t)number, (uint16_t)(number >> 16));
        model_begin((uint16_t)number, (uint16_t)(number >> 16));
        break;
    case APPEND:
        netstrat_batch_append(batch, bytes, length);
        model_add(bytes, length);
        break;
    case PUT:
        netstrat_batch_put(batch, type, bytes, length);
        model_put(type, bytes, length);
        break;
    case PUT_STRING:
        netstrat_batch_put_string(batch, type, name);
        model_put(type, name, strlen(name) + 1);
        break;
    case PUT_U8:
        netstrat_batch_put_u8(batch, type, byte);
        model_put(type, &byte, 1);
        break;
    case PUT_U32:
        netstrat_batch_put_u32(batch, type, number);
        model_put(type, &number, 4);
        break;
    case NEST:
        if (nests.depth == MOST_NESTS)
            break;
        nests.core[nests.depth] = netstrat_batch_nest(batch, type);
        nests.model[nests.depth++] = model.used;
        model_put(type | NLA_F_NESTED, "", 0);
        break;
    case NEST_END:
        nest_end(batch);
        break;
    case REFUSE:
        netstrat_batch_refuse(batch, code);
        if (model.code == 0)
            model.code = code;
        break;
    case FINISH:
        HOLDS(netstrat_batch_finish(batch) == model_finish());
        break;
    case APPEND_BIG:
        netstrat_batch_append(batch, big, number % BIG);
        model_add(big, number % BIG);
        break;
    default:
        netstrat_batch_put(batch, type, big, number % BIG);
        model_put(type, big, number % BIG);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *buffer;
    struct netstrat_batch batch;
    size_t room;

    if (size < 2)
        return 0;
    room = (size_t)data[0] << 8 | data[1];
    room = room & 0x8000 ? (room & 0x7fff) * 4 : room % 1024;
    data += 2;
    size -= 2;
    buffer = (unsigned char *)malloc(
        room + 1); /* a separate allocation, so that ASan detects an overrun */
    HOLDS(buffer);
    buffer[room] = UNTOUCHED;
    netstrat_batch_init(&batch, buffer, room);
    HOLDS(batch.used == 0 && batch.count == 0 && batch.size == room);
    model.room = room;
    model.used = model.start = 0;
    model.count = 0;
    model.code = 0;
    nests.depth = 0;

    while (size >= 2) {
        unsigned kind = *data++ % KINDS;
        size_t length = *data++;
        uint32_t number = 0;
        uint8_t *bytes;
        char *name;

        size -= 2;
        if (length > size)
            length = size;
        bytes = (uint8_t *)malloc(length + 1); /* a separate allocation for each call */
        HOLDS(bytes);
        memcpy(bytes, data, length);
        bytes[length] = '\0';
        name = (char *)bytes;
        memcpy(&number, data, length < sizeof number ? length : sizeof number);
        data += length;
        size -= length;

        HOLDS(netstrat_name_check(name) == expected_kind(name));
        if (kind == CHECK)
            check_batch(bytes + (length > 0), length - (length > 0), length > 0 ? bytes[0] : 0);
        else if (kind >= BEGIN && kind < CHECK)
            try_part(&batch, kind, bytes, length, name, number);
        else if (kind == NFT && number % 8 == 7)
            try_table(&batch);
        else
            try_message(&batch, kind, bytes, length, name, number);
        HOLDS(batch.used == model.used && batch.count == model.count && batch.code == model.code);
        free(bytes);
    }
    HOLDS(buffer[room] == UNTOUCHED && memcmp(buffer, model.data, batch.used) == 0);
    check_batch(buffer, batch.used, batch.count);
    free(buffer);
    return 0;
}
