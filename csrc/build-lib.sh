#!/usr/bin/env bash
# Builds the core as a library: libnetstrat.a, libnetstrat.so, netstrat.h and netstrat.pc, all in
# one folder, which may be moved as a whole (the paths in netstrat.pc begin where it stands).
#
#   csrc/build-lib.sh FOLDER     CC, CFLAGS and LDFLAGS as usual
set -euo pipefail

out=${1:?usage: csrc/build-lib.sh FOLDER}
source=$(dirname "$0")
mkdir -p "$out"
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT

read -ra compiler <<<"${CC:-cc}"
read -ra cflags <<<"${CFLAGS--O2 -g}"
read -ra ldflags <<<"${LDFLAGS-}"
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$source/../pynetstrat/__init__.py" 2>/dev/null || true)
version=${version:-0}
soname=libnetstrat.so.${version%%.*}

for file in message socket link netns sysfs; do
    "${compiler[@]}" -std=c11 -Wall -Wextra -Wconversion -Wshadow "${cflags[@]}" -fPIC \
        -c "$source/$file.c" -o "$objects/$file.o"
done

rm -f "$out/libnetstrat.a"
"${AR:-ar}" rcsD "$out/libnetstrat.a" "$objects"/*.o

# The names that programs may use, and no others.
echo '{ global: netstrat_*; local: *; };' >"$objects/exports"
"${compiler[@]}" "${cflags[@]}" "${ldflags[@]}" -shared -pthread "-Wl,-soname,$soname" -Wl,-z,defs \
    "-Wl,--version-script,$objects/exports" "$objects"/*.o -o "$out/$soname"
ln -sf "$soname" "$out/libnetstrat.so"

cp "$source/netstrat.h" "$out/"
sed "s/@VERSION@/$version/" "$source/netstrat.pc.in" >"$out/netstrat.pc"
printf '%s: libnetstrat.a, libnetstrat.so (%s), netstrat.h, netstrat.pc\n' "$out" "$soname"
