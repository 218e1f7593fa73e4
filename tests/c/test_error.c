/* SPDX-License-Identifier: MIT */
/* The table of failures, the names of operations and messages, and the description of an error. */
#include <errno.h>
#include <string.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"

static struct netstrat_error make_error(enum netstrat_operation operation, int code)
{
    struct netstrat_error error;

    memset(&error, 0, sizeof error);
    error.operation = (uint32_t)operation;
    error.code = code;
    return error;
}

/* ---- the table ---- */

/* No row hides a later one. */
TEST(every_row_of_the_table_is_found)
{
    struct netstrat_failure row, found;
    uint32_t number;

    for (number = 0; netstrat_failure_get(number, &row); number++) {
        int code = row.code ? -(int)row.code : -EOWNERDEAD; /* which is in no row */

        CHECK(row.operation > NETSTRAT_OP_NONE && row.operation < NETSTRAT_OPERATIONS);
        CHECK(row.request == 0 || row.operation == NETSTRAT_OP_REQUEST);
        CHECK(row.kind <= NETSTRAT_KIND_PARSE && row.hint != NULL);
        CHECK(row.kind != NETSTRAT_KIND_OTHER || row.hint[0] != '\0' ||
              row.operation == NETSTRAT_OP_SOCKET);
        CHECK(netstrat_failure_find(row.operation, row.request, code, &found) == 1);
        CHECK(found.operation == row.operation && found.request == row.request &&
              found.code == row.code);
        CHECK(found.kind == row.kind && found.hint == row.hint);
    }
    CHECK(number > 30);
    memset(&row, 0xa5, sizeof row);
    found = row;
    CHECK(netstrat_failure_get(number, &row) == 0 && netstrat_failure_get(UINT32_MAX, &row) == 0);
    CHECK(memcmp(&row, &found, sizeof row) == 0);
}

static int kind_of(enum netstrat_operation operation, uint32_t request, int code)
{
    struct netstrat_failure failure;

    memset(&failure, 0xa5, sizeof failure);
    if (netstrat_failure_find((uint32_t)operation, request, code, &failure) == 0)
        CHECK(failure.kind == NETSTRAT_KIND_OTHER && failure.hint[0] == '\0');
    return failure.kind;
}

TEST(failures_have_these_kinds)
{
    static const struct {
        enum netstrat_operation operation;
        uint32_t request;
        int code, kind;
    } rows[] = {
        {NETSTRAT_OP_REQUEST, RTM_NEWLINK, -ENODEV, NETSTRAT_KIND_LINK_NOT_FOUND},
        {NETSTRAT_OP_REQUEST, RTM_GETLINK, -ENODEV, NETSTRAT_KIND_LINK_NOT_FOUND},
        {NETSTRAT_OP_REQUEST, GETSTATS, -ENODEV, NETSTRAT_KIND_LINK_NOT_FOUND},
        {NETSTRAT_OP_REQUEST, RTM_NEWLINK, -EPERM, NETSTRAT_KIND_PERMISSION},
        {NETSTRAT_OP_REQUEST, RTM_GETLINK, -EPERM, NETSTRAT_KIND_PERMISSION},
        {NETSTRAT_OP_REQUEST, RTM_NEWLINK, -EACCES, NETSTRAT_KIND_PERMISSION},
        {NETSTRAT_OP_REQUEST, RTM_NEWLINK, -EBUSY, NETSTRAT_KIND_OTHER},
        {NETSTRAT_OP_SEND, 0, -EPERM, NETSTRAT_KIND_PERMISSION},
        {NETSTRAT_OP_SEND, 0, -ENODEV, NETSTRAT_KIND_OTHER},
        {NETSTRAT_OP_RECVFROM, 0, -ETIMEDOUT, NETSTRAT_KIND_OTHER},
        {NETSTRAT_OP_SETNS, 0, -EPERM, NETSTRAT_KIND_PERMISSION},
        {NETSTRAT_OP_OPEN_NETNS, 0, -EACCES, NETSTRAT_KIND_PERMISSION},
        {NETSTRAT_OP_OPEN, 0, -ENODEV, NETSTRAT_KIND_LINK_NOT_FOUND},
        {NETSTRAT_OP_PREAD, 0, -ENODEV, NETSTRAT_KIND_LINK_NOT_FOUND},
        {NETSTRAT_OP_OPENAT, 0, -ENOENT, NETSTRAT_KIND_COUNTER_NOT_FOUND},
        {NETSTRAT_OP_OPEN, 0, -ENOENT, NETSTRAT_KIND_OTHER},
        {NETSTRAT_OP_FSOPEN, 0, -EPERM, NETSTRAT_KIND_PERMISSION},
        {NETSTRAT_OP_NAME, 0, -EINVAL, NETSTRAT_KIND_INVALID_NAME},
        {NETSTRAT_OP_LINK_NAME, 0, -EINVAL, NETSTRAT_KIND_INVALID_NAME},
        {NETSTRAT_OP_FILE, 0, -EINVAL, NETSTRAT_KIND_INVALID_COUNTER},
        {NETSTRAT_OP_PARSE, 0, -EBADMSG, NETSTRAT_KIND_PARSE},
        {NETSTRAT_OP_PARSE, 0, -ERANGE, NETSTRAT_KIND_PARSE},
        {NETSTRAT_OP_REQUEST, RTM_NEWADDR, -EACCES, NETSTRAT_KIND_OTHER},
        {NETSTRAT_OP_NONE, 0, 0, NETSTRAT_KIND_OTHER},
        {NETSTRAT_OPERATIONS, 0, -EPERM, NETSTRAT_KIND_OTHER},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(kind_of(rows[i].operation, rows[i].request, rows[i].code) == rows[i].kind);
}

/* A lack of memory or descriptors does not mean that AF_NETLINK is unavailable. */
TEST(only_a_refusal_makes_af_netlink_unavailable)
{
    static const int short_of[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS};
    static const int refused[] = {EACCES, EAFNOSUPPORT, EPERM, EPROTONOSUPPORT, ENOSYS, EINVAL};

    for (size_t i = 0; i < sizeof short_of / sizeof *short_of; i++)
        CHECK(kind_of(NETSTRAT_OP_SOCKET, 0, -short_of[i]) == NETSTRAT_KIND_OTHER);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        CHECK(kind_of(NETSTRAT_OP_SOCKET, 0, -refused[i]) == NETSTRAT_KIND_UNAVAILABLE);
}

/* ---- names ---- */

TEST(every_operation_has_a_name)
{
    for (uint32_t operation = 0; operation < NETSTRAT_OPERATIONS; operation++)
        if (operation == NETSTRAT_OP_REQUEST)
            CHECK(netstrat_operation_name(operation) == NULL);
        else
            CHECK(netstrat_operation_name(operation) != NULL &&
                  strlen(netstrat_operation_name(operation)) > 2);
    CHECK(netstrat_operation_name(NETSTRAT_OPERATIONS) == NULL &&
          netstrat_operation_name(UINT32_MAX) == NULL);
    /* A missing name would shift all that follow it. */
    CHECK(!strcmp(netstrat_operation_name(NETSTRAT_OP_NAME), "name"));
    CHECK(!strcmp(netstrat_operation_name(NETSTRAT_OP_LINK_NAME), "link name"));
    CHECK(!strcmp(netstrat_operation_name(NETSTRAT_OP_PARSE), "parse"));
    CHECK(!strcmp(netstrat_operation_name(NETSTRAT_OP_BATCH), "batch"));
    CHECK(!strcmp(netstrat_operation_name(NETSTRAT_OP_SOCKET), "socket"));
    CHECK(!strcmp(netstrat_operation_name(NETSTRAT_OP_RECVFROM), "recvfrom"));
    CHECK(!strcmp(netstrat_operation_name(NETSTRAT_OP_FSMOUNT), "fsmount"));
    CHECK(!strcmp(netstrat_operation_name(NETSTRAT_OP_OPEN_NETNS), "open netns"));
    CHECK(!strcmp(netstrat_operation_name(NETSTRAT_OP_PTHREAD_SIGMASK), "pthread_sigmask"));
    CHECK(!strcmp(netstrat_operation_name(NETSTRAT_OP_PTHREAD_CREATE), "pthread_create"));
}

TEST(message_types_have_the_names_of_the_kernels_header)
{
    static const struct {
        uint32_t type;
        const char *name;
    } rows[] = {
        {RTM_NEWLINK, "RTM_NEWLINK"},
        {RTM_DELLINK, "RTM_DELLINK"},
        {RTM_GETLINK, "RTM_GETLINK"},
        {RTM_SETLINK, "RTM_SETLINK"},
        {RTM_NEWADDR, "RTM_NEWADDR"},
        {RTM_DELADDR, "RTM_DELADDR"},
        {RTM_GETADDR, "RTM_GETADDR"},
        {RTM_NEWROUTE, "RTM_NEWROUTE"},
        {RTM_DELROUTE, "RTM_DELROUTE"},
        {RTM_GETROUTE, "RTM_GETROUTE"},
        {RTM_NEWNEIGH, "RTM_NEWNEIGH"},
        {RTM_DELNEIGH, "RTM_DELNEIGH"},
        {RTM_GETNEIGH, "RTM_GETNEIGH"},
        {RTM_NEWRULE, "RTM_NEWRULE"},
        {RTM_DELRULE, "RTM_DELRULE"},
        {RTM_GETRULE, "RTM_GETRULE"},
        {RTM_NEWQDISC, "RTM_NEWQDISC"},
        {RTM_DELQDISC, "RTM_DELQDISC"},
        {RTM_GETQDISC, "RTM_GETQDISC"},
        {88, "RTM_NEWNSID"},
        {89, "RTM_DELNSID"},
        {90, "RTM_GETNSID"},
        {94, "RTM_GETSTATS"},
        {104, "RTM_NEWNEXTHOP"},
        {105, "RTM_DELNEXTHOP"},
        {106, "RTM_GETNEXTHOP"},
        {108, "RTM_NEWLINKPROP"},
        {109, "RTM_DELLINKPROP"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *name = netstrat_request_name(rows[i].type);

        CHECK(name != NULL && strcmp(name, rows[i].name) == 0);
    }
    CHECK(netstrat_request_name(0) == NULL && netstrat_request_name(255) == NULL);
    CHECK(netstrat_request_name(256 + RTM_NEWLINK) == NULL);
}

/* ---- the sentence ---- */

/* Whether the description is `before`, libc's text for the errno, and `after`. */
static int describes(const struct netstrat_error *error, const char *name, const char *before,
                     const char *after)
{
    char text[512], wanted[512];
    size_t length = netstrat_error_describe(error, name, text, sizeof text);

    snprintf(wanted, sizeof wanted, "%s%s%s", before, strerror(-error->code), after);

    if (length == strlen(wanted) && strcmp(text, wanted) == 0)
        return 1;
    printf("  \"%s\" (%zu)\n", text, length);
    return 0;
}

static void set_text(struct netstrat_error *error, const char *text, size_t length)
{
    memcpy(error->text, text, length);
    error->text[length] = '\0';
    error->text_length = (uint32_t)length;
}

TEST(a_description_has_the_interface_the_operation_the_cause_and_the_hint)
{
    struct netstrat_error error = make_error(NETSTRAT_OP_REQUEST, -ENODEV);

    error.request = RTM_NEWLINK;
    CHECK(describes(&error, "eth0",
                    "interface \"eth0\": RTM_NEWLINK: ", "; no such interface in this namespace"));
    CHECK(describes(&error, "", "RTM_NEWLINK: ", "; no such interface in this namespace"));
    CHECK(describes(&error, NULL, "RTM_NEWLINK: ", "; no such interface in this namespace"));
    error.code = -EBUSY;
    set_text(&error, "in use", 6);
    CHECK(describes(&error, NULL, "RTM_NEWLINK: ", " (the kernel says: in use)"));
    error.request = 4000000000U;
    CHECK(describes(&error, NULL, "message type 4000000000: ", " (the kernel says: in use)"));
    error.request = 0;
    error.text_length = 0;
    CHECK(describes(&error, NULL, "message type 0: ", ""));

    error = make_error(NETSTRAT_OP_RECVFROM, -ETIMEDOUT);
    CHECK(describes(&error, NULL, "recvfrom: ", "; the kernel did not answer in time"));
}

/* These errors occur before any system call, and state the rule instead of an errno. */
TEST(a_description_states_the_rule_for_names_and_counters)
{
    static const struct {
        enum netstrat_operation operation;
        int code;
        const char *name, *sentence;
    } rows[] = {
        {NETSTRAT_OP_NAME, -EINVAL, "",
         "invalid interface name \"\": must be 1 to 127 bytes without NUL"},
        {NETSTRAT_OP_NAME, -EINVAL, NULL,
         "invalid interface name \"\": must be 1 to 127 bytes without NUL"},
        {NETSTRAT_OP_LINK_NAME, -EINVAL, "a/b\n",
         "invalid interface name \"a/b?\": must be 1 to 15 bytes, not \".\" or \"..\", without "
         "\"/\", \":\", NUL, white space or the byte 0xa0 (sysfs and new links take no alternative "
         "names)"},
        {NETSTRAT_OP_FILE, -EINVAL, "lo",
         "interface \"lo\": invalid counter name \"-1?\": must be one file name, such as rx_bytes"},
        {NETSTRAT_OP_PARSE, -EBADMSG, "lo",
         "interface \"lo\": parse: \"-1?\" is not an unsigned decimal number"},
        {NETSTRAT_OP_PARSE, -ERANGE, NULL, "parse: \"-1?\" does not fit in 64 bits"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct netstrat_error error = make_error(rows[i].operation, rows[i].code);
        char text[512];
        size_t length;

        set_text(&error, "-1\n", 3);
        length = netstrat_error_describe(&error, rows[i].name, text, sizeof text);
        if (length != strlen(rows[i].sentence) || strcmp(text, rows[i].sentence) != 0)
            printf("row %zu: %s\n", i, text);
        CHECK(length == strlen(rows[i].sentence) && strcmp(text, rows[i].sentence) == 0);
    }
}

/* Names and texts are untrusted, and must not send control sequences to a terminal. */
TEST(a_description_contains_only_printable_bytes)
{
    struct netstrat_error error = make_error(NETSTRAT_OP_REQUEST, -EBUSY);

    error.request = RTM_NEWLINK;
    set_text(&error, "a\0b\x1b[0m\xff~ ", 9);
    CHECK(describes(&error, "\x1b]\xc3\xa9\x7f",
                    "interface \"?]???\": RTM_NEWLINK: ", " (the kernel says: a?b?[0m?~)"));
}

TEST(a_description_is_truncated_and_its_full_length_returned)
{
    const struct netstrat_error error = make_error(NETSTRAT_OP_RECVFROM, -ETIMEDOUT);
    char whole[512], text[512];
    size_t length = netstrat_error_describe(&error, NULL, whole, sizeof whole), size, i;

    CHECK(length == strlen(whole) && length > 40 && length < 200);
    CHECK(netstrat_error_describe(&error, NULL, NULL, 0) == length);
    for (size = 0; size <= length + 5; size++) {
        size_t fits = size > length ? length : size ? size - 1 : 0;

        memset(text, 0x5a, sizeof text);
        CHECK(netstrat_error_describe(&error, NULL, text, size) == length);
        CHECK(memcmp(text, whole, fits) == 0);
        CHECK(size == 0 || text[fits] == '\0');
        for (i = size == 0 ? 0 : fits + 1; i < sizeof text; i++)
            CHECK(text[i] == 0x5a);
    }
}
