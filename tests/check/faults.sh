#!/usr/bin/env bash
# Every system call of every operation made to fail, one at a time: of the C core by standing in for
# it at link time (tests/c/test_faults.c), of the Python package by strace (faults.py), and of the
# wiring and of what counts and watches, with each of their messages, by standing in for libc at run
# time (wiring_faults.py, counting_faults.py). The commands that wire are killed at every system call,
# too (kills.py).
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v strace >/dev/null || { echo "no strace: install it (Debian: apt-get install strace)" >&2; exit 1; }

tests/c/build.sh build/faults faults
build/faults/test_faults | tee build/faults/c.log
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -U_FORTIFY_SOURCE -Wall -Wextra -Werror -O1 -fPIC -shared \
    tests/check/faulty.c -o build/faults/faulty.so -ldl
FAULTY=build/faults/faulty.so .venv/bin/python -W error tests/check/wiring_faults.py |
    tee build/faults/wiring.log
LD_PRELOAD=build/faults/faulty.so .venv/bin/python -W error tests/check/counting_faults.py |
    tee build/faults/counting.log
.venv/bin/python -W error tests/check/kills.py | tee build/faults/kills.log
.venv/bin/python tests/check/faults.py | tee build/faults/python.log

tried() {
    sed -n 's/^\([0-9]*\) faults tried.*/\1/p' "build/faults/$1.log"
}
c=$(tried c)
python=$(tried python)
wiring=$(tried wiring)
counting=$(tried counting)
kills=$(tried kills)
echo "$((c + python + wiring + counting + kills)) faults tried ($c in the C core, $python in the package, $wiring in" \
    "wiring: all or nothing, $counting in counting and watching, $kills kills of commands that wire), 0 findings"
