/* SPDX-License-Identifier: MIT */
#include "prove.h"

int main(void)
{
    static char name[140];
    size_t size = 1 + any_size(sizeof name - 1);
    int code;

    /* Names of each length, of any bytes. */
    ANY(name);
    name[sizeof name - 1] = '\0';
    /*@ split size; */
    (void)netstrat_name_check(name + sizeof name - size);
    /*@ merge size; */

    memset(name, 'x', NETSTRAT_ALT_NAME_SIZE); /* too long, although it overruns nothing here */
    code = netstrat_name_check(name);
    /*@ assert code < 0; */
    return 0;
}
