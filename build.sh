#!/usr/bin/env bash
# Builds pynetstrat into .venv and runs what it is asked for; see usage below.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
    cat <<'USAGE'
./build.sh               build into .venv, then bring lo up in a fresh namespace and show its counters
./build.sh test [ARG..]  the tests (ARGs go to pytest; -m "not slow": the quick ones)
./build.sh check [NAME]  the long checks, or one of them (tests/check/NAME.sh; "flaky" only by name)
./build.sh bench [ARG..] the benchmarks, into build/bench/ (ARGs go to benchmarks/run.py)
./build.sh docs          the API reference, HTML, and the picture of top, into build/docs/
./build.sh manual        the manual page and the completions of bash, zsh and fish, into docs/manual/
./build.sh wheel         an abi3 wheel and an sdist, into dist/
./build.sh wheels        the sdist and the wheels of a release, for every architecture, into dist/
./build.sh lib           libnetstrat.a, libnetstrat.so, the header and netstrat.pc, into build/
./build.sh amalgamation  the core as two files, netstrat.c and netstrat.h, into build/amalgamation/
USAGE
}

fail() {
    printf 'build.sh: %s\n' "$1" >&2
    exit 1
}

# The tests start many interpreters. Each would compile the package anew.
unset PYTHONDONTWRITEBYTECODE

python=${PYTHON:-python3}
compiler=${CC:-cc}

need_compiler() {
    command -v "${compiler%% *}" >/dev/null ||
        fail "no C compiler ($compiler): install one (Debian: apt-get install gcc libc6-dev)"
}

need_python() {
    command -v "$python" >/dev/null ||
        fail "no $python: install Python 3.10 or newer (Debian: apt-get install python3 python3-venv python3-dev)"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "$python ($("$python" --version 2>&1)) is too old: install Python 3.10 or newer, or name one (PYTHON=python3.12 ./build.sh)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv: install it (Debian: apt-get install python3-venv)"
    "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
        fail "Python's headers are missing: install them (Debian: apt-get install python3-dev)"
}

need_program() {
    command -v "$1" >/dev/null || fail "no $1, which the tests use: install it (Debian: apt-get install $2)"
}

# is_built STAMP KEY: has this very build been made? One with extras has the core, too.
is_built() {
    [ "$(cat .venv/stamp 2>/dev/null)" = "$2" ] &&
        { [ "$1" = .venv/stamp-core ] || [ "$(cat "$1" 2>/dev/null)" = "$2" ]; } &&
        compgen -G 'pynetstrat/_core*.so' >/dev/null
}

# Builds into .venv, with the extras named in $1 (test, check, bench); nothing to do if no source has
# changed since. The compiler's flags are part of the stamp: an instrumented build is another one.
build() {
    local extras=$1 stamp key version
    need_compiler
    need_python
    version=$("$python" --version)
    key=$(echo "$version $PWD $compiler ${CFLAGS-}"; cat pyproject.toml setup.py csrc/*.[ch] csrc/sources csrc/cffi_build.py)
    key=$(printf '%s' "$key" | cksum)
    stamp=.venv/stamp-${extras:-core}
    is_built "$stamp" "$key" && return # before anything is written: the checkout may be read-only
    exec 9>.build.lock
    flock 9 2>/dev/null || true # one build at a time, where there is flock
    if is_built "$stamp" "$key"; then
        exec 9>&-
        return
    fi
    # One of another Python, or of a checkout that was copied or moved, does not work here.
    if [ "$(cat .venv/made-for 2>/dev/null)" != "$version $PWD" ]; then
        "$python" -m venv --clear .venv
        echo "$version $PWD" >.venv/made-for
    fi
    echo "building into .venv ..." >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check 'setuptools>=66' 'cffi>=1.16'
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
        --editable ".${extras:+[$extras]}"
    echo "$key" >"$stamp"
    echo "$key" >.venv/stamp
    exec 9>&-
}

case ${1-} in
'')
    build ''
    exec .venv/bin/pynetstrat demo
    ;;
test)
    shift
    need_program strace strace
    need_program ip iproute2
    need_program tmux tmux
    build test
    mapfile -t workers < <(tests/workers.sh) # -n 0: none
    exec .venv/bin/python -m pytest "${workers[@]}" "$@"
    ;;
check)
    [[ $PWD != *[[:space:]]* ]] || fail "the checks need a path without white space, unlike $PWD"
    build test,check
    exec tests/check/run.sh "${2-}"
    ;;
bench)
    shift
    build bench
    exec .venv/bin/python benchmarks/run.py "$@"
    ;;
docs)
    build docs
    rm -rf build/docs
    .venv/bin/python docs/build_reference.py build/docs
    .venv/bin/python docs/draw_top.py build/docs/top.svg
    echo "build/docs/index.html"
    ;;
manual)
    build ''
    exec .venv/bin/python docs/manual/build.py
    ;;
wheel)
    need_compiler
    need_python
    build test,check
    rm -rf dist
    # The same bytes from the same commit: no clock, and no build folder's name in debug information.
    export CFLAGS="${CFLAGS--g0}"
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
    export SOURCE_DATE_EPOCH
    exec .venv/bin/python -m build --outdir dist .
    ;;
wheels)
    need_python
    rm -rf dist
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH-$(git log -1 --format=%ct)}
    export SOURCE_DATE_EPOCH
    exec csrc/build-wheels.sh dist
    ;;
lib)
    need_compiler
    exec csrc/build-lib.sh build
    ;;
amalgamation)
    exec csrc/amalgamate.sh build/amalgamation
    ;;
-h | --help | help)
    usage
    ;;
*)
    usage >&2
    exit 2
    ;;
esac
