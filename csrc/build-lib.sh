#!/usr/bin/env bash
# Builds the core as a library: libnetstrat.a, libnetstrat.so, netstrat.h and netstrat.pc.
#
#   csrc/build-lib.sh FOLDER      in one folder, which may be moved
#   csrc/build-lib.sh --install   below PREFIX (/usr/local)
#
# It reads CC, CFLAGS, LDFLAGS and AR. --install also reads LIBDIR (PREFIX/lib), INCLUDEDIR
# (PREFIX/include) and DESTDIR, a prefix for the paths that are written; it does not appear in
# netstrat.pc. Run `ldconfig` after an installation on this machine.
set -euo pipefail

usage="usage: csrc/build-lib.sh FOLDER | --install"
target=${1:?$usage}
source=$(dirname "$0")
case $target in
--install)
    prefix=${PREFIX:-/usr/local}
    [[ $prefix == /* ]] || { echo "build-lib.sh: PREFIX must be an absolute path, not $prefix" >&2; exit 2; }
    libdir=${LIBDIR:-\$\{prefix\}/lib}
    includedir=${INCLUDEDIR:-\$\{prefix\}/include}
    lib=${DESTDIR-}${LIBDIR:-$prefix/lib}
    include=${DESTDIR-}${INCLUDEDIR:-$prefix/include}
    pc=$lib/pkgconfig
    ;;
-*)
    echo "$usage" >&2
    exit 2
    ;;
*)
    prefix=\$\{pcfiledir\} libdir=\$\{prefix\} includedir=\$\{prefix\}
    lib=$target include=$target pc=$target
    ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

read -ra compiler <<<"${CC:-cc}"
read -ra cflags <<<"${CFLAGS--O2 -g}"
read -ra ldflags <<<"${LDFLAGS-}"
version=$(sed -n 's/^#define NETSTRAT_VERSION "\(.*\)"$/\1/p' "$source/netstrat.h")
# Before 1.0 a minor version may change structs, so each has its own soname.
minor=$(cut -d . -f 1,2 <<<"$version")
soname=libnetstrat.so.$minor

while read -r file; do
    "${compiler[@]}" -std=c11 -Wall -Wextra -Wconversion -Wshadow "${cflags[@]}" -fPIC \
        -c "$source/$file" -o "$work/${file%.c}.o"
done <"$source/sources"

"${AR:-ar}" rcsD "$work/libnetstrat.a" "$work"/*.o

# Export only the public names.
echo "NETSTRAT_$minor { global: netstrat_*; local: *; };" >"$work/exports"
"${compiler[@]}" "${cflags[@]}" "${ldflags[@]}" -shared -pthread "-Wl,-soname,$soname" -Wl,-z,defs \
    "-Wl,--version-script,$work/exports" "$work"/*.o -o "$work/$soname"

sed -e "s|@VERSION@|$version|" -e "s|@PREFIX@|$prefix|" -e "s|@LIBDIR@|$libdir|" \
    -e "s|@INCLUDEDIR@|$includedir|" "$source/netstrat.pc.in" >"$work/netstrat.pc"

mkdir -p "$lib" "$include" "$pc"
install -m 644 "$work/libnetstrat.a" "$lib/"
install -m 755 "$work/$soname" "$lib/"
ln -sf "$soname" "$lib/libnetstrat.so"
install -m 644 "$source/netstrat.h" "$include/"
install -m 644 "$work/netstrat.pc" "$pc/"
printf '%s: libnetstrat.a, libnetstrat.so (%s), netstrat.h, netstrat.pc\n' "$lib" "$soname"
