/* SPDX-License-Identifier: MIT */
/* Readings of counters from files, and how they fail. */
#ifndef SYSFS_READING_H
#define SYSFS_READING_H

#include <fcntl.h>
#include <string.h>

#include "../../csrc/netstrat.h"
#include "check.h"

static char root[] = "/tmp/netstrat-XXXXXX";
static struct netstrat_error error;

static inline int failed_at(enum netstrat_operation operation, uint32_t item)
{
    return error.operation == (uint32_t)operation && error.item == item && error.request == 0;
}

static inline int is_untouched(const struct netstrat_counters *counters)
{
    unsigned char wanted[sizeof *counters];

    memset(wanted, 0xa5, sizeof wanted);
    return memcmp(counters, wanted, sizeof wanted) == 0;
}

/* Reads all counters of `name` at once and through a reader. Both must end with `wanted`; a failure
 * must name the operation and the counter's number, write nothing and leak nothing. The operation
 * is pread() for a reader, which holds its files, and read() otherwise. */
static inline void expect_of(int at, const char *tree, const char *name,
                             const struct netstrat_sysfs_place *place, int wanted,
                             enum netstrat_operation operation, uint32_t item)
{
    enum netstrat_operation held = operation == NETSTRAT_OP_READ ? NETSTRAT_OP_PREAD : operation;
    struct netstrat_counters counters;
    struct netstrat_sysfs_reader reader;
    int before = count_descriptors();
    int code;

    memset(&error, 0xa5, sizeof error);
    memset(&counters, 0xa5, sizeof counters);
    CHECK(netstrat_sysfs_read(at, tree, name, place, &counters, &error) == wanted);
    CHECK(wanted == 0 || is_untouched(&counters));
    CHECK(wanted == 0 || (error.code == wanted && failed_at(operation, item)));
    CHECK(netstrat_sysfs_read(at, tree, name, place, &counters, NULL) == wanted);

    memset(&reader, 0xa5, sizeof reader);
    memset(&error, 0xa5, sizeof error);
    memset(&counters, 0xa5, sizeof counters);
    code = netstrat_sysfs_reader_open(&reader, at, tree, name, place, &error);
    if (code == 0) {
        code = netstrat_sysfs_reader_read(&reader, &counters, &error);
        CHECK(netstrat_sysfs_reader_read(&reader, &counters, NULL) == code);
        netstrat_sysfs_reader_close(&reader);
    }
    netstrat_sysfs_reader_close(&reader); /* does nothing the second time, or after a failure */
    CHECK(reader.fds[0] == -1 && reader.fds[7] == -1);
    CHECK(code == wanted);
    CHECK(wanted == 0 || is_untouched(&counters));
    CHECK(wanted == 0 || (error.code == wanted && failed_at(held, item)));
    CHECK(count_descriptors() == before);
}

#endif
