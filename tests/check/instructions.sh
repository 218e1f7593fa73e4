#!/usr/bin/env bash
# The core's user-space instructions per operation: fails when one grows by more than 5 %.
# After a change that is worth it: tests/check/instructions.sh --write
set -euo pipefail
cd "$(dirname "$0")/../.."
exec .venv/bin/python benchmarks/instructions.py "$@"
