/* SPDX-License-Identifier: MIT */
/* What the name of a link is: the kernel's rule, so that a name can be refused before it is
 * sent. */
#include "internal.h"

#include <errno.h>

int netstrat_name_check(const char *name)
{
    size_t length = strnlen(name, NETSTRAT_ALT_NAME_SIZE);
    size_t i;

    if (length == 0 || length == NETSTRAT_ALT_NAME_SIZE || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        return -EINVAL;
    for (i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c == '/' || c == ':' || netstrat_is_space(name[i]))
            return -EINVAL;
        /* The kernel's isspace is Latin-1's and so takes a byte 0xa0 for a no-break space, also
         * within UTF-8 (lib/ctype.c). It applies that to names, not to alternative names. */
        if (c == 0xa0 && length < NETSTRAT_NAME_SIZE)
            return -EINVAL;
    }
    return length >= NETSTRAT_NAME_SIZE;
}
