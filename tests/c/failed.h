/* SPDX-License-Identifier: MIT */
/* Did a call fail as it should? Prints what it did instead. */
#ifndef FAILED_H
#define FAILED_H

#include <stdio.h>

#include "../../csrc/netstrat.h"

/* `code` is what the call returned that filled in `error`: it failed with `wanted` at this step. */
static inline int failed_with(const struct netstrat_error *error, int code, int wanted,
                              enum netstrat_step step)
{
    char text[512];

    if (code == wanted && error->code == wanted && error->step == (uint32_t)step)
        return 1;
    netstrat_error_describe(error, NULL, text, sizeof text);
    printf("  code %d (wanted %d), step %u (wanted %u): %s\n", code, wanted, error->step,
           (unsigned)step, text);
    return 0;
}

/* The kernel answered with `wanted` to a message of the type `request`. */
static inline int refused_with(const struct netstrat_error *error, int code, int wanted,
                               uint32_t request)
{
    if (!failed_with(error, code, wanted, NETSTRAT_OP_REQUEST))
        return 0;
    if (error->request != request)
        printf("  message type %u (wanted %u)\n", error->request, request);
    return error->request == request;
}

#endif
