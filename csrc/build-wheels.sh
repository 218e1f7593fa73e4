#!/usr/bin/env bash
# Builds a release into FOLDER: the sdist, and from it the wheels of the table below. They are abi3
# wheels, for CPython 3.10 and newer.
#
#   csrc/build-wheels.sh FOLDER [PLATFORM ...]    without platforms: all of them
#
# zig cc compiles for every architecture and C library on one machine. It reads PYTHON and, for the
# times in the archives, SOURCE_DATE_EPOCH. The tools have fixed versions: the same commit and the
# same minor version of Python give the same bytes.
set -euo pipefail

usage="usage: csrc/build-wheels.sh FOLDER [PLATFORM ...]"
mkdir -p "${1:?$usage}"
folder=$(realpath "$1")
shift
cd "$(dirname "$0")/.."

# the wheel's platform, zig's target
table=(
    "manylinux_2_17_x86_64 x86_64-linux-gnu.2.17"
    "manylinux_2_17_aarch64 aarch64-linux-gnu.2.17"
    "manylinux_2_17_ppc64le powerpc64le-linux-gnu.2.19" # zig has no older one; see tests/check/wheels.sh
    "manylinux_2_17_s390x s390x-linux-gnu.2.17"
    "musllinux_1_2_x86_64 x86_64-linux-musl"
    "musllinux_1_2_aarch64 aarch64-linux-musl"
)
rows=()
for row in "${table[@]}"; do
    [ $# -gt 0 ] && [[ " $* " != *" ${row% *} "* ]] || rows+=("$row")
done

# shellcheck source=tests/check/zig.bash
. tests/check/zig.bash
umask 022 # the wheels record the modes of files
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:?must be the time of the commit: see build.sh}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -c '
import sys, sysconfig
sys.exit("a Python without the GIL has no stable ABI" if sysconfig.get_config_var("Py_GIL_DISABLED") else 0)'
"${PYTHON:-python3}" -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet --disable-pip-version-check \
    setuptools==80.9.0 cffi==2.1.1 build==1.3.0

"$work/tools/bin/python" -m build --sdist --no-isolation --outdir "$folder" . >"$work/sdist.log" 2>&1 ||
    { cat "$work/sdist.log"; exit 1; }
sdist=$(ls "$folder"/pynetstrat-*.tar.gz)

# Python's headers for another architecture: where the stable ABI reads pyconfig.h, 64-bit Linux
# differs in the byte order only. A copy, because Python.h prefers the pyconfig.h in its own folder,
# and Debian's includes that of the architecture, which is not installed.
"$work/tools/bin/python" - "$work/include" <<'PYTHON'
import shutil, sys, sysconfig
shutil.copytree(sysconfig.get_path("include"), sys.argv[1])
with open(sysconfig.get_config_h_filename()) as found:
    config = found.read()
with open(f"{sys.argv[1]}/pyconfig.h", "w") as file:
    file.write(config + """
#undef WORDS_BIGENDIAN
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define WORDS_BIGENDIAN 1
#endif
""")
PYTHON

# one PLATFORM TARGET: in a copy of the sources of its own, so that wheels are built side by side.
one() {
    local tree=$work/$1
    mkdir "$tree"
    tar -xzf "$sdist" --strip-components=1 -C "$tree"
    printf '#!/bin/sh\nexec "%s" -target %s "-I%s" "$@"\n' "$zig_cc" "$2" "$work/include" >"$tree/cc"
    chmod +x "$tree/cc"
    # Debug information would name the folder of the build. Without -O zig adds UBSan.
    if ! CC=$tree/cc LDSHARED="$tree/cc -shared -s" CFLAGS='-O2 -g0' "$work/tools/bin/python" -m build \
        --wheel --no-isolation --config-setting="--build-option=--plat-name=$1" \
        --outdir "$folder" "$tree" >"$tree.log" 2>&1; then
        cat "$tree.log"
        echo "build-wheels.sh: the wheel for $1 could not be built" >&2
        return 255 # xargs stops
    fi
}
export -f one
export sdist folder work zig_cc
# shellcheck disable=SC2016  # the inner shell expands it
printf '%s\n' "${rows[@]}" | xargs -P "$(nproc)" -L 1 bash -euc 'one "$@"' one
for row in "${rows[@]}"; do
    wheel=$(ls "$folder"/*-cp310-abi3-"${row% *}".whl)
    echo "$(stat -c %s "$wheel") bytes: ${wheel##*/}"
done
