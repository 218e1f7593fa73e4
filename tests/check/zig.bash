# Sourced by the checks that cross-compile: zig cc, from PyPI, in a virtual environment under
# build/zig/ that they share. Afterwards $zig_cc is the compiler: "$zig_cc" -target TRIPLE ...
# shellcheck shell=bash

zig_version=0.17.1 # the sizes in csrc/README.md were measured with it
zig_root=$PWD/build/zig
zig_cc=$zig_root/cc
export ZIG_LOCAL_CACHE_DIR=$zig_root/cache
# zig's own default, which checkouts share: it holds the musl of each architecture, which takes zig up
# to a minute of a processor to build.
export ZIG_GLOBAL_CACHE_DIR=${ZIG_GLOBAL_CACHE_DIR-${XDG_CACHE_HOME-${HOME-$zig_root}/.cache}/zig}

mkdir -p "$zig_root"
(
    flock 9 # the checks run side by side
    [ "$(cat "$zig_root/version" 2>/dev/null)" = "$zig_version" ] && exit
    command -v python3 >/dev/null || { echo "no python3: apt-get install python3 python3-venv"; exit 1; }
    python3 -m venv --clear "$zig_root/venv"
    "$zig_root/venv/bin/pip" install --quiet --disable-pip-version-check "ziglang==$zig_version"
    zig=$("$zig_root/venv/bin/python" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')/zig
    printf '#!/bin/sh\nexec "%s" cc "$@"\n' "$zig" >"$zig_cc"
    chmod +x "$zig_cc"
    echo "$zig_version" >"$zig_root/version"
) 9>"$zig_root/lock" || { echo "no zig cc: PyPI's ziglang $zig_version could not be installed"; exit 1; }
