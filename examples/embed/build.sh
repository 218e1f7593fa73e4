#!/bin/sh
# Copies what the program needs of the core into FOLDER and builds it there with one command, as a
# project that keeps the core in its own tree would.
#
#   examples/embed/build.sh FOLDER [COMPILER AND FLAGS ..]     by default: cc -std=c11
set -eu
here=$(dirname "$0")
out=${1:?usage: examples/embed/build.sh FOLDER [COMPILER AND FLAGS ..]}
shift
[ $# -gt 0 ] || set -- cc -std=c11

mkdir -p "$out"
cp "$here/main.c" "$out/"
for file in netstrat.h internal.h message.c socket.c link.c sysfs.c; do
    cp "$here/../../csrc/$file" "$out/"
done
cd "$out"
"$@" -Os -Wall -Wextra -Werror main.c message.c socket.c link.c sysfs.c -o embed
