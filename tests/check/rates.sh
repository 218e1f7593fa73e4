#!/usr/bin/env bash
# Real traffic through rate_in and rate_out: each is within 5 % of what a network asks for, in bytes
# on the wire, for 5 s of UDP both ways at once (the median of ten half seconds) and of TCP each way.
# See tests/check/rates.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD/tests
exec .venv/bin/python -W error tests/check/rates.py
