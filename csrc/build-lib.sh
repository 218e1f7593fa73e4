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
version=$(sed -n 's/^#define NETSTRAT_VERSION "\(.*\)"$/\1/p' "$source/netstrat.h")
soname=libnetstrat.so.${version%%.*}

while read -r file; do
    "${compiler[@]}" -std=c11 -Wall -Wextra -Wconversion -Wshadow "${cflags[@]}" -fPIC \
        -c "$source/$file" -o "$objects/${file%.c}.o"
done <"$source/sources"

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
