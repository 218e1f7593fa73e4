#!/bin/sh
# Copies the programs and the files of the core that they need into FOLDER, and builds each with one
# command, as a project would that keeps the core in its own tree.
#
#   examples/embed/build.sh FOLDER [COMPILER AND FLAGS ..]     by default: cc -std=c11
set -eu
here=$(dirname "$0")
out=${1:?usage: examples/embed/build.sh FOLDER [COMPILER AND FLAGS ..]}
shift
[ $# -gt 0 ] || set -- cc -std=c11
core="error.c name.c counter_text.c batch.c message.c link.c counters.c socket.c exchange.c
    name_cache.c operations.c sysfs.c"

mkdir -p "$out"
cp "$here/main.c" "$out/"
for file in netstrat.h internal.h $core; do
    cp "$here/../../csrc/$file" "$out/"
done
cd "$out"
# shellcheck disable=SC2086  # a list
"$@" -Os -Wall -Wextra -Werror main.c $core -o embed

# The second program needs five more files, and threads.
more="link_change.c address.c route.c sysctl.c netns.c"
cd - >/dev/null
cp "$here/wire.c" "$out/"
for file in $more; do
    cp "$here/../../csrc/$file" "$out/"
done
cd "$out"
# shellcheck disable=SC2086  # lists
"$@" -Os -Wall -Wextra -Werror -pthread wire.c $core $more -o wire
