#!/usr/bin/env bash
# Every system call of every operation made to fail, one at a time: of the C core by standing in for
# it at link time (tests/c/test_faults.c), of the Python package by strace (faults.py).
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v strace >/dev/null || { echo "no strace: install it (Debian: apt-get install strace)" >&2; exit 1; }

tests/c/build.sh build/faults faults
build/faults/test_faults | tee build/faults/c.log
.venv/bin/python tests/check/faults.py | tee build/faults/python.log

c=$(sed -n 's/^\([0-9]*\) faults tried.*/\1/p' build/faults/c.log)
python=$(sed -n 's/^\([0-9]*\) faults tried.*/\1/p' build/faults/python.log)
echo "$((c + python)) faults tried ($c in the C core, $python in the package), 0 findings"
