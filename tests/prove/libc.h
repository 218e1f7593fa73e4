/* SPDX-License-Identifier: MIT */
/*
 * Models of the libc functions for which Frama-C has none, or one that is too imprecise. Each
 * allows every result that POSIX allows, and more. Eva follows their loops byte by byte, so that in
 * each state it knows where the text ends.
 */
#ifndef PROVE_LIBC_H
#define PROVE_LIBC_H

#include <__fc_builtin.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void *memchr(const void *bytes, int byte, size_t size)
{
    const unsigned char *at = bytes;
    size_t i;

    for (i = 0; i < size; i++)
        if (at[i] == (unsigned char)byte)
            return (void *)(at + i);
    return NULL;
}

/* In this project `set` has one byte. */
size_t strcspn(const char *text, const char *set)
{
    size_t length = 0;

    while (text[length] != '\0' && text[length] != set[0])
        length++;
    return length;
}

/* Reads the text up to its NUL, returns any number, and may set errno (POSIX allows EINVAL). */
unsigned long long strtoull(const char *text, char **end, int base)
{
    size_t length = strlen(text);

    (void)base;
    if (end)
        *end = (char *)text + Frama_C_unsigned_long_interval(0, length);
    if (Frama_C_nondet(0, 1))
        errno = Frama_C_nondet(0, 1) ? ERANGE : EINVAL;
    return Frama_C_unsigned_long_long_interval(0, UINT64_MAX);
}

/* Returns any text of up to 63 bytes. */
char *strerror(int code)
{
    static char text[64];

    (void)code;
    Frama_C_make_unknown(text, sizeof text);
    text[sizeof text - 1] = '\0';
    return text;
}

/* Reads 4 or 16 bytes and writes any text that fits, or fails. */
const char *inet_ntop(int family, const void *from, char *to, socklen_t size)
{
    unsigned char address[16];

    if ((family != AF_INET && family != AF_INET6) || Frama_C_nondet(0, 1))
        return NULL;
    memcpy(address, from, family == AF_INET ? 4 : 16);
    Frama_C_make_unknown(to, size);
    to[size - 1] = '\0';
    return to;
}

/* Reads the text and writes any 4 or 16 bytes, or returns that it is not an address. */
int inet_pton(int family, const char *text, void *to)
{
    size_t length = strlen(text);

    if ((family != AF_INET && family != AF_INET6) || length == 0 || Frama_C_nondet(0, 1))
        return 0;
    Frama_C_make_unknown(to, family == AF_INET ? 4 : 16);
    return 1;
}

#endif
