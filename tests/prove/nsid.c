/* SPDX-License-Identifier: MIT */
#include "prove.h"

int main(void)
{
    const struct netstrat_message message = any_message();
    struct netstrat_batch batch = any_batch();
    int32_t nsid;

    (void)netstrat_batch_get_nsid(&batch, any_int());
    batch = any_batch();
    (void)netstrat_batch_add_nsid(&batch, any_int());
    (void)netstrat_nsid_decode(&message, &nsid);
    return 0;
}
