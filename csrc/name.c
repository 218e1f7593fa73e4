/* SPDX-License-Identifier: MIT */
/* The kernel's rules for the names of links, so that an invalid name is refused before it is
 * sent. */
#include "internal.h"

#include <errno.h>

/* dev_valid_name(), net/core/dev.c, for a name of 1 to 15 bytes. The kernel checks a `%d`
 * itself. */
static int name_is_link_name(const char *name, size_t length)
{
    size_t i;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    for (i = 0; i < length; i++)
        /* The kernel's isspace() is for Latin-1, in which 0xa0 is a no-break space (lib/ctype.c).
         * It refuses that byte within UTF-8 too. */
        if (name[i] == '/' || name[i] == ':' || netstrat_is_space(name[i]) ||
            (unsigned char)name[i] == 0xa0)
            return 0;
    return 1;
}

int netstrat_name_check(const char *name)
{
    size_t length = strnlen(name, NETSTRAT_ALT_NAME_SIZE);

    if (length == 0 || length == NETSTRAT_ALT_NAME_SIZE)
        return -EINVAL;
    return !(length < NETSTRAT_NAME_SIZE && name_is_link_name(name, length));
}
