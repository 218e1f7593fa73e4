/* SPDX-License-Identifier: MIT */
/* Checks how a call fails: the errno, and the step or the message that the error names. */
#ifndef FAILED_H
#define FAILED_H

#include <stdio.h>

#include "../../csrc/netstrat.h"

/* The call, which gets `&error`, must fail with `code` at this step. */
#define FAILS(call, code, step) CHECK(failed_with(&error, call, code, step))

/* The kernel must refuse a message of the type `request` with `code`. */
#define REFUSED(call, code, request) CHECK(refused_with(&error, call, code, request))

/* `code` is what the call returned, `error` what it filled in. Prints the difference. */
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
