/* SPDX-License-Identifier: MIT */
#include "prove.h"

int main(void)
{
    const struct netstrat_message message = any_message();
    struct netstrat_batch batch = any_batch();
    struct netstrat_counters counters;
    int32_t index;

    (void)netstrat_batch_get_counters(&batch, any_int());
    batch = any_batch();
    (void)netstrat_batch_dump_counters(&batch);
    (void)netstrat_counters_decode(&message, &index, &counters);
    return 0;
}
