/* SPDX-License-Identifier: MIT */
/* Addresses and subnets by their texts. */
#ifndef PREFIX_H
#define PREFIX_H

#include <string.h>

#include "../../csrc/netstrat.h"
#include "check.h"

static inline struct netstrat_prefix prefix_of(const char *text)
{
    struct netstrat_prefix prefix;

    memset(&prefix, 0, sizeof prefix);
    CHECK(netstrat_prefix_parse(text, &prefix) == 0);
    return prefix;
}

static inline int is_prefix(const struct netstrat_prefix *prefix, const char *text)
{
    struct netstrat_prefix wanted = prefix_of(text);

    return memcmp(prefix, &wanted, sizeof wanted) == 0;
}

#endif
