#!/usr/bin/env bash
# Builds the test programs of the C core: tests/c/build.sh FOLDER [NAME...], by default all of them.
# CC, CFLAGS and LDFLAGS are heeded, so that a sanitizer, gcov or a cross compiler is only a matter
# of these. Nothing but a C11 compiler and a libc is needed.
#
# A program that stands in for system calls says so in a line `/* wrap: NAME NAME */`.
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
# The checked twins of read() and its like that _FORTIFY_SOURCE brings would slip past --wrap.
flags+=(-U_FORTIFY_SOURCE -pthread)

cd "$folder" # gcov's notes go where the objects are
sed -n 's/.*"hex": "\([^"]*\)", "\([^"]*\)": "\([^"]*\)".*/{"\1", "\2", "\3"},/p' \
    "$here/../cases/parse_counter.json" >parse_counter.inc
objects=()
while read -r source; do
    object=${source%.c}.o
    "${compiler[@]}" "${flags[@]}" "${strict[@]}" -c "$here/../../csrc/$source" -o "$object"
    objects+=("$object")
done <"$here/../../csrc/sources"
for name in "$@"; do
    source=$here/test_$name.c
    wraps=()
    while read -ra names; do
        wraps+=("${names[@]/#/-Wl,--wrap=}")
    done < <(sed -n 's|^/\* wrap: \(.*\) \*/$|\1|p' "$source")
    "${compiler[@]}" "${flags[@]}" "${strict[@]}" -D_GNU_SOURCE -I. "$source" "${objects[@]}" \
        "${wraps[@]}" "${link[@]}" -o "test_$name"
done
