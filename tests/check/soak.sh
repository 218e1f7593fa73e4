#!/usr/bin/env bash
# Readings of every kind for SOAK_SECONDS (60) while interfaces come and go, then a million of one
# kind: no wrong counters, no unknown error, memory and descriptors flat. See tests/soak/soak.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec .venv/bin/python -W error -X faulthandler tests/soak/soak.py
