/* SPDX-License-Identifier: MIT */
#include "prove.h"

/* A name of each length from 0 to 130 bytes, of any bytes, in memory that ends with its NUL. */
int main(void)
{
    static char name[131];
    size_t size = 1 + any_size(sizeof name - 1);

    ANY(name);
    name[sizeof name - 1] = '\0';
    /*@ split size; */
    (void)netstrat_name_check(name + sizeof name - size);
    return 0;
}
