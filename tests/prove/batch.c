/* SPDX-License-Identifier: MIT */
/* apart: netstrat_batch_check:200,batch_is_sendable:200,netstrat_is_get:200 */
#include "prove.h"

static struct netstrat_batch batch;
static const unsigned char elsewhere[MEMORY_SIZE];

/* Calls a function with any batch. */
#define IN_ANY_BATCH(call) (batch = any_batch(), (void)(call))

/* Values of any bytes: of each size from 0 to 300, at the end of their memory; of the longest size
 * that fits an attribute, and longer ones; and longer than any batch. */
static void put_values(void)
{
    static unsigned char value[300];
    size_t size = any_size(sizeof value);

    ANY(value);
    /*@ split size; */
    IN_ANY_BATCH(netstrat_batch_append(&batch, value + sizeof value - size, size));
    IN_ANY_BATCH(
        netstrat_batch_put(&batch, (uint16_t)any_int(), value + sizeof value - size, size));
    /*@ merge size; */
    size = 65531 + any_size(300);
    IN_ANY_BATCH(netstrat_batch_put(&batch, (uint16_t)any_int(), elsewhere, size));
    IN_ANY_BATCH(netstrat_batch_put(&batch, (uint16_t)any_int(), elsewhere, SIZE_MAX));
    IN_ANY_BATCH(netstrat_batch_append(&batch, elsewhere, MEMORY_SIZE + any_size(MEMORY_SIZE)));
    IN_ANY_BATCH(netstrat_batch_append(&batch, elsewhere, SIZE_MAX));
}

/* Lengths that must be refused, although they overrun nothing here. */
static void check_lengths(void)
{
    uint32_t length = 17 + (uint32_t)any_size(UINT32_MAX - 17), item;
    int code;

    batch = any_batch();
    batch.code = 0;
    batch.used = 65536 + any_size(MEMORY_SIZE - 65536);
    netstrat_batch_nest_end(&batch, 0);
    /*@ assert batch.code < 0; */

    batch.used = 16 + any_size(15); /* room for one message */
    batch.count = 2;
    code = netstrat_batch_check(&batch, &item);
    /*@ assert code < 0; */

    batch.used = 16;
    batch.count = 1;
    memcpy(memory, &length, sizeof length); /* nlmsg_len */
    code = netstrat_batch_check(&batch, &item);
    /*@ assert code < 0; */
}

int main(void)
{
    unsigned char *buffer = memory;
    uint32_t item;

    netstrat_batch_init(&batch, buffer, any_size(MEMORY_SIZE));
    IN_ANY_BATCH(netstrat_batch_begin(&batch, (uint16_t)any_int(), (uint16_t)any_int()));
    put_values();
    IN_ANY_BATCH(netstrat_batch_put_string(&batch, (uint16_t)any_int(), any_text()));
    IN_ANY_BATCH(netstrat_batch_put_u8(&batch, (uint16_t)any_int(), (uint8_t)any_int()));
    IN_ANY_BATCH(netstrat_batch_put_u32(&batch, (uint16_t)any_int(), (uint32_t)any_int()));
    IN_ANY_BATCH(netstrat_batch_nest(&batch, (uint16_t)any_int()));
    IN_ANY_BATCH(netstrat_batch_nest_end(&batch, any_size(MEMORY_SIZE - 4)));
    IN_ANY_BATCH(netstrat_batch_refuse(&batch, Frama_C_interval(-4095, -1)));
    IN_ANY_BATCH(netstrat_batch_finish(&batch));
    IN_ANY_BATCH(netstrat_batch_check(&batch, &item));
    check_lengths();
    return 0;
}
