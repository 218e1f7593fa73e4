/* SPDX-License-Identifier: MIT */
/* A harness: CHECK counts, and says where it fails; a program ends with `return report();`. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

static unsigned long checks_passed, checks_failed;

#define CHECK(condition)                                                                           \
    ((condition) ? (void)checks_passed++                                                           \
                 : (checks_failed++, (void)printf("%s:%d: %s\n", __FILE__, __LINE__, #condition)))

static inline int report(void)
{
    printf("%lu passed, %lu failed\n", checks_passed, checks_failed);
    return checks_failed || !checks_passed;
}

#endif
