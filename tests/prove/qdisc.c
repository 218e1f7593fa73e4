/* SPDX-License-Identifier: MIT */
#include "prove.h"

int main(void)
{
    const struct netstrat_message message = any_message();
    struct netstrat_batch batch = any_batch();
    struct netstrat_filter filter;
    struct netstrat_qdisc qdisc;

    ANY(qdisc);
    (void)netstrat_batch_add_qdisc(&batch, &qdisc, any_int());
    batch = any_batch();
    (void)netstrat_batch_delete_qdisc(&batch, any_int(), (uint32_t)any_int());
    batch = any_batch();
    (void)netstrat_batch_dump_qdiscs(&batch);
    batch = any_batch();
    (void)netstrat_batch_add_redirect(&batch, any_int(), any_int());
    batch = any_batch();
    (void)netstrat_batch_dump_filters(&batch, any_int());
    (void)netstrat_qdisc_decode(&message, &qdisc);
    (void)netstrat_filter_decode(&message, &filter);
    return 0;
}
