/* SPDX-License-Identifier: MIT */
/* Checks how a call fails: the errno, and the operation or the message that the error names. */
#ifndef FAILED_H
#define FAILED_H

#include <stdio.h>

#include "../../csrc/netstrat.h"

/* The call, which gets `&error`, must fail with `code` at this operation. */
#define FAILS(call, code, operation) CHECK(failed_with(&error, call, code, operation))

/* The kernel must refuse a message of the type `request` with `code`. */
#define REFUSED(call, code, request) CHECK(refused_with(&error, call, code, request))

/* `code` is what the call returned, `error` what it filled in. Prints the difference. */
static inline int failed_with(const struct netstrat_error *error, int code, int wanted,
                              enum netstrat_operation operation)
{
    char text[512];

    if (code == wanted && error->code == wanted && error->operation == (uint32_t)operation)
        return 1;
    netstrat_error_describe(error, NULL, text, sizeof text);
    printf("  code %d (wanted %d), operation %u (wanted %u): %s\n", code, wanted, error->operation,
           (unsigned)operation, text);
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
