/* SPDX-License-Identifier: MIT */
/* history: 0 */
#include "prove.h"

static struct netstrat_batch batch;

/* Calls a function that adds a message to any batch. */
#define ADD(call) (batch = any_batch(), (void)(call))

int main(void)
{
    struct netstrat_link_settings settings, peer;
    struct netstrat_vxlan vxlan;

    ANY(vxlan);
    ANY(settings);
    ANY(peer);
    ADD(netstrat_batch_set_link(&batch, any_int(), any_text(), &settings));
    ADD(netstrat_batch_add_link(&batch, any_text(), &settings));
    ADD(netstrat_batch_add_macvlan(&batch, any_int(), (uint32_t)any_int(), &settings));
    ADD(netstrat_batch_add_vlan(&batch, any_int(), (uint32_t)any_int(), (uint16_t)any_int(),
                                &settings));
    ADD(netstrat_batch_add_ipvlan(&batch, any_int(), (uint16_t)any_int(), (uint16_t)any_int(),
                                  &settings));
    ADD(netstrat_batch_add_vxlan(&batch, any_int(), &vxlan, &settings));
    ADD(netstrat_batch_add_veth(&batch, &settings, &peer));
    ADD(netstrat_batch_delete_link(&batch, any_int(), any_text()));
    ADD(netstrat_batch_delete_link_group(&batch, (uint32_t)any_int()));
    return 0;
}
