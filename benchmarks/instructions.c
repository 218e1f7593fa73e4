/* SPDX-License-Identifier: MIT */
/* Repeats one operation of the core. instructions.py counts its instructions in user space. */
#include "netstrat.h"

#include <fcntl.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char buffer[NETSTRAT_BUFFER_SIZE];
static struct netstrat_socket sock;
static struct netstrat_sysfs_reader reader;
static struct netstrat_sysfs_place place;
static struct netstrat_error error;
static struct netstrat_counters counters[16];
static const char *root;
static const char *name;
static int index_of_name;

static int up_kept(void)
{
    return netstrat_link_set_up(&sock, "lo", &error);
}

static int up_once(void)
{
    return netstrat_link_set_up_once("lo", &error);
}

static int get_stats(void)
{
    return netstrat_counters_get(&sock, NULL, index_of_name, counters, &error);
}

static int dump_stats(void)
{
    int32_t indexes[16];

    return netstrat_counters_dump(&sock, indexes, counters, 16, &error) == 3 ? 0 : -1;
}

static int reader_read(void)
{
    return netstrat_sysfs_reader_read(&reader, counters, &error);
}

static int sysfs_read(void)
{
    return netstrat_sysfs_read(AT_FDCWD, root, name, NULL, counters, &error);
}

static int sysfs_read_in_place(void)
{
    return netstrat_sysfs_read(AT_FDCWD, root, name, &place, counters, &error);
}

static int parse_counter(void)
{
    uint64_t value;

    return netstrat_parse_counter("18446744073709551615\n", 21, &value);
}

static int nothing(void)
{
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} operations[] = {
    {"link_set_up", up_kept},
    {"link_set_up_once", up_once},
    {"get_stats", get_stats},
    {"dump_stats", dump_stats},
    {"reader_read", reader_read},
    {"sysfs_read", sysfs_read},
    {"sysfs_read_in_place", sysfs_read_in_place},
    {"parse_counter", parse_counter},
    {"nothing", nothing},
};

/* Prints an error of the core. */
static int complain(const char *operation)
{
    char text[512];

    netstrat_error_describe(&error, NULL, text, sizeof text);
    fprintf(stderr, "instructions: %s: %s\n", operation, text);
    return 1;
}

int main(int count, char **arguments)
{
    size_t i;

    if (count != 5) {
        fprintf(stderr, "instructions ROOT IFACE OPERATION TIMES\n");
        return 2;
    }
    root = arguments[1];
    name = arguments[2];
    index_of_name = (int)if_nametoindex(name);
    if (netstrat_socket_open(&sock, buffer, sizeof buffer, &error) < 0 ||
        netstrat_sysfs_place_get(AT_FDCWD, root, &place, &error) < 0 ||
        netstrat_sysfs_reader_open(&reader, AT_FDCWD, root, name, NULL, &error) < 0)
        return complain("the beginning");
    for (i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(operations[i].name, arguments[3]) == 0) {
            int (*volatile run)(void) = operations[i].run;
            long times = strtol(arguments[4], NULL, 10);

            while (times-- > 0)
                if (run() != 0)
                    return complain(arguments[3]);
            return 0;
        }
    fprintf(stderr, "instructions: no operation \"%s\"\n", arguments[3]);
    return 2;
}
