#!/usr/bin/env bash
# Builds the test programs of the C core: tests/c/build.sh FOLDER [NAME...], by default all of them.
# `core` builds only what every program is linked with. A C11 compiler and a libc are enough. CC,
# CFLAGS and LDFLAGS choose a sanitizer, gcov or a cross compiler. With REUSE=1 what FOLDER holds
# already is made again only if its source or a header has changed since.
#
# A program that includes fake_kernel.h is linked with fake_kernel.c, whose lines `/* wrap: NAME */`
# name the system calls that it replaces.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
shift
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if [ $# -eq 0 ]; then
    for source in "$here"/test_*.c; do
        name=$(basename "$source" .c)
        set -- "$@" "${name#test_}"
    done
fi

read -ra compiler <<<"${CC:-cc}"
read -ra flags <<<"${CFLAGS--O1 -g}"
read -ra link <<<"${LDFLAGS-}"
strict=(-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror)
# _FORTIFY_SOURCE would call checked variants of read() and others, which --wrap does not replace.
flags+=(-U_FORTIFY_SOURCE -pthread)

cd "$folder" # gcov writes its notes next to the objects
sed -n 's/.*"hex": "\([^"]*\)", "\([^"]*\)": "\([^"]*\)".*/{"\1", "\2", "\3"},/p' \
    "$here/../cases/parse_counter.json" >parse_counter.inc

# shellcheck disable=SC2012  # they have plain names
newest_header=$(ls -t "$here"/*.h "$here"/../../csrc/*.h "$here"/../cases/*.json | head -n 1)

# is_newer FILE OTHER...: FILE is there, and no other file has changed since. False without REUSE.
is_newer() {
    local file=$1 other
    shift
    [ -n "${REUSE-}" ] && [ -e "$file" ] || return 1
    for other in "$@"; do
        [ ! "$other" -nt "$file" ] || return 1
    done
}

# compile SOURCE OBJECT [FLAG...]
compile() {
    local source=$1 object=$2
    shift 2
    is_newer "$object" "$source" "$newest_header" ||
        "${compiler[@]}" "${flags[@]}" "${strict[@]}" "$@" -c "$source" -o "$object"
}

objects=(check.o)
compile "$here/check.c" check.o -D_GNU_SOURCE
compile "$here/fake_kernel.c" fake_kernel.o -D_GNU_SOURCE
while read -r source; do
    object=${source%.c}.o
    compile "$here/../../csrc/$source" "$object"
    objects+=("$object")
done <"$here/../../csrc/sources"
fake=(fake_kernel.o)
while read -ra names; do
    fake+=("${names[@]/#/-Wl,--wrap=}")
done < <(sed -n 's|^/\* wrap: \(.*\) \*/$|\1|p' "$here/fake_kernel.c")

# The header, and the headers that include it.
fake_headers=(-e '"fake_kernel.h"')
while read -r header; do
    fake_headers+=(-e "\"${header##*/}\"")
done < <(grep -l '"fake_kernel.h"' "$here"/*.h)

for name in "$@"; do
    [ "$name" != core ] || continue
    source=$here/test_$name.c
    compile "$source" "program_$name.o" -D_GNU_SOURCE -I.
    parts=("program_$name.o" "${objects[@]}")
    is_newer "test_$name" "program_$name.o" fake_kernel.o "${objects[@]}" && continue
    if grep -q "${fake_headers[@]}" "$source"; then
        parts+=("${fake[@]}")
    fi
    "${compiler[@]}" "${flags[@]}" "${parts[@]}" "${link[@]}" -o "test_$name"
done
