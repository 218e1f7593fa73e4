/* SPDX-License-Identifier: MIT */
/*
 * The input is a failure, described with every size of the caller's buffer: the operation, the
 * message type and the errno (two bytes each, little endian), the length of the interface's name,
 * the name, and the extended ack.
 */
#include "fuzz.h"

static int is_row_of(const struct netstrat_failure *row, uint32_t operation, uint32_t request,
                     int code)
{
    return row->operation == operation && (row->request == 0 || row->request == request) &&
           (row->code == 0 || row->code == -code);
}

/* Finds the first row of the table that matches, by a second search. */
static void check_failure(const struct netstrat_error *error)
{
    struct netstrat_failure found, row;
    uint32_t number = 0;
    int result = netstrat_failure_find(error->operation, error->request, error->code, &found);

    while (netstrat_failure_get(number, &row) &&
           !is_row_of(&row, error->operation, error->request, error->code))
        number++;
    HOLDS(result == netstrat_failure_get(number, &row));
    HOLDS(found.hint && found.kind <= NETSTRAT_KIND_PARSE);
    if (result)
        HOLDS(found.kind == row.kind && strcmp(found.hint, row.hint) == 0);
    else
        HOLDS(found.kind == NETSTRAT_KIND_OTHER && *found.hint == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct netstrat_error error;
    char name[256], whole[2048];
    size_t length, name_length, i;

    if (size < 7)
        return 0;
    memset(&error, 0, sizeof error);
    error.operation = data[0] | (uint32_t)data[1] << 8;
    error.request = data[2] | (uint32_t)data[3] << 8;
    error.code = -(data[4] | data[5] << 8);
    name_length = data[6];
    data += 7;
    size -= 7;
    if (name_length > size)
        name_length = size;
    memcpy(name, data, name_length);
    name[name_length] = '\0';
    data += name_length;
    size -= name_length;
    if (size > sizeof error.text - 1)
        size = sizeof error.text - 1;
    memcpy(error.text, data, size);
    error.text_length = (uint32_t)size;

    check_failure(&error);
    length = netstrat_error_describe(&error, name, whole, sizeof whole);
    HOLDS(length > 0 && length < sizeof whole && strlen(whole) == length);
    for (i = 0; i < length; i++)
        HOLDS(whole[i] >= ' ' && whole[i] <= '~'); /* printable ASCII */
    if (strstr(whole, "invalid interface name \"") != whole)
        HOLDS((strstr(whole, "interface \"") == whole) == (name[0] != '\0'));
    for (size = 0; size <= length + 1; size++) {
        char *text = (char *)malloc(
            size); /* a separate allocation, so that ASan detects an overrun */

        HOLDS(text || size == 0);
        HOLDS(netstrat_error_describe(&error, name, text, size) == length);
        if (size > 0) {
            size_t fits = size > length ? length : size - 1;

            HOLDS(memcmp(text, whole, fits) == 0 && text[fits] == '\0');
        }
        free(text);
    }
    if (name[0] == '\0')
        HOLDS(netstrat_error_describe(&error, NULL, whole, 1) == length && whole[0] == '\0');
    return 0;
}
