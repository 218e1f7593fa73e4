/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as names and numbers of requests, in a batch of any size. The input: the batch's room,
 * then for each request a byte for its kind, a length, and so many bytes of name.
 */
#include "fuzz.h"

enum { MOST_ROOM = 1024 };

/* The rule for names, put in another way than message.c does. */
static int expected_kind(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > 127 || !strcmp(name, ".") || !strcmp(name, "..") ||
        strpbrk(name, "/: \t\n\v\f\r") || (length < 16 && strchr(name, '\xa0')))
        return -EINVAL;
    return length > 15;
}

static int encode(struct netstrat_batch *batch, unsigned kind, const char *name, uint32_t number)
{
    switch (kind % 5) {
    case 0:
        return netstrat_put_link_flags(batch, name, number, number >> 8);
    case 1:
        return netstrat_put_get_link(batch, name);
    case 2:
        return netstrat_put_get_stats(batch, (int32_t)number);
    case 3:
        return netstrat_put_dump_links(batch, (int)(number & 1));
    default:
        return netstrat_put_dump_stats(batch);
    }
}

/* A message that the core's own reader takes for one message, whole and to the end. */
static void check_message(const unsigned char *at, size_t size, unsigned kind, const char *name)
{
    struct netstrat_message message;
    size_t offset = 0;

    HOLDS(size % 4 == 0);
    HOLDS(netstrat_next_message(at, size, &offset, &message) == 1);
    HOLDS(offset == size && message.length == size - 16);
    if (kind % 5 < 2) {
        size_t length = strlen(name);

        HOLDS(message.length == 16 + 4 + (length + 1 + 3) / 4 * 4);
        HOLDS(memcmp(message.payload + 20, name, length + 1) == 0);
        for (length++; length < message.length - 20; length++)
            HOLDS(message.payload[20 + length] == 0); /* the padding says nothing */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *buffer;
    struct netstrat_batch batch;
    size_t room;

    if (size < 2)
        return 0;
    room = ((size_t)data[0] << 8 | data[1]) % MOST_ROOM;
    data += 2;
    size -= 2;
    buffer = (unsigned char *)malloc(room + 1); /* of its own, so that ASan sees its end */
    HOLDS(buffer);
    buffer[room] = 0x5a;
    netstrat_batch_init(&batch, buffer, room);
    HOLDS(batch.used == 0 && batch.count == 0 && batch.size == room);

    while (size >= 2) {
        struct netstrat_batch before = batch;
        unsigned kind = *data++;
        size_t length = *data++;
        uint32_t number = 0;
        char *name;
        int result;

        size -= 2;
        if (length > size)
            length = size;
        name = (char *)malloc(length + 1);
        HOLDS(name);
        memcpy(name, data, length);
        name[length] = '\0';
        memcpy(&number, data, length < sizeof number ? length : sizeof number);
        data += length;
        size -= length;

        HOLDS(netstrat_check_name(name) == expected_kind(name));
        result = encode(&batch, kind, name, number);
        if (result == 0) {
            HOLDS(batch.count == before.count + 1 && batch.used > before.used && batch.used <= room);
            check_message(buffer + before.used, batch.used - before.used, kind, name);
        } else {
            HOLDS(result == (kind % 5 < 2 && expected_kind(name) < 0 ? -EINVAL : -EMSGSIZE));
            HOLDS(memcmp(&before, &batch, sizeof batch) == 0);
            HOLDS(result == -EINVAL || room - batch.used < 16 + 16 + 4 + 128);
        }
        free(name);
    }
    HOLDS(buffer[room] == 0x5a);
    free(buffer);
    return 0;
}
