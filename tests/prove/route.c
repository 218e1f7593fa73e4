/* SPDX-License-Identifier: MIT */
#include "prove.h"

int main(void)
{
    const struct netstrat_message message = any_message();
    struct netstrat_batch batch = any_batch();
    struct netstrat_route route;

    ANY(route);
    (void)netstrat_batch_add_route(&batch, &route);
    batch = any_batch();
    (void)netstrat_batch_delete_route(&batch, &route);
    batch = any_batch();
    (void)netstrat_batch_dump_routes(&batch, any_int());
    (void)netstrat_route_decode(&message, &route);
    ANY(memory);
    (void)netstrat_route_to_request(memory, any_size(MEMORY_SIZE), &route);
    return 0;
}
