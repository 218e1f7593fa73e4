/* SPDX-License-Identifier: MIT */
/* apart: counter_text_convert:100 */
#include "prove.h"

/* Texts of each length from 0 to 64 bytes at the end of their memory, and longer ones. */
int main(void)
{
    size_t size = any_size(64), start, end;
    uint64_t value;

    ANY(memory);
    start = any_size(MEMORY_SIZE);
    end = any_size(MEMORY_SIZE);
    netstrat_trim((const char *)memory, &start, &end);
    (void)netstrat_parse_counter((const char *)memory, any_size(MEMORY_SIZE), &value);
    /*@ split size; */
    (void)netstrat_parse_counter((const char *)memory + MEMORY_SIZE - size, size, &value);
    return 0;
}
