/* SPDX-License-Identifier: MIT */
/* proves: netstrat_parse_counter sysfs_convert sysfs_are_digits sysfs_is_digit sysfs_trim */
/* apart: sysfs_convert:100 */
#include "prove.h"

/* What sysfs.c needs beside, of which Frama-C's libc has nothing. None of it is reached here. */
#include <sys/vfs.h>

#define O_PATH 010000000
#define AT_EMPTY_PATH 0x1000
long syscall(long number, ...);
int faccessat(int at, const char *path, int mode, int flags);
int fstatfs(int fd, struct statfs *status);

#include "sysfs.c"

/* Texts of each length from 0 to 64 bytes in memory that ends with them, and longer ones. */
int main(void)
{
    size_t size = any_size(64);
    uint64_t value;

    ANY(memory);
    (void)netstrat_parse_counter((const char *)memory, any_size(MEMORY_SIZE), &value);
    /*@ split size; */
    (void)netstrat_parse_counter((const char *)memory + MEMORY_SIZE - size, size, &value);
    return 0;
}
