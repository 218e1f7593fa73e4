#!/usr/bin/env bash
# ruff and mypy --strict over the Python files, and the strict warnings of gcc and g++ over the core.
set -euo pipefail
cd "$(dirname "$0")/../.."

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy

warnings=(-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wcast-qual -Werror)
for source in csrc/*.c; do
    gcc -std=c11 "${warnings[@]}" -Wstrict-prototypes -Wmissing-prototypes -Os -fsyntax-only "$source"
    g++ -x c++ -std=c++17 "${warnings[@]}" -Os -fsyntax-only "$source"
done
echo "ruff, mypy --strict, gcc -std=c11 and g++ -std=c++17 with $((${#warnings[@]} - 1)) groups of warnings: clean"
