#!/usr/bin/env bash
# Deliberately broken lines of the core (tests/mutants/mutants.py): the C tests catch every one.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec .venv/bin/python tests/mutants/run.py build/mutants "$@"
