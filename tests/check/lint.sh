#!/usr/bin/env bash
# ruff over the Python files; mypy --strict over the package, the examples and a plain program that uses
# every public name, pyright over the last two; clang-format, the width of lines and the strict warnings
# of gcc and g++ over the C files.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v clang-format >/dev/null ||
    { echo "no clang-format: install it (Debian: apt-get install clang-format)" >&2; exit 1; }

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
programs=(examples/*.py examples/*/*.py tests/typing/*.py)
.venv/bin/mypy --strict "${programs[@]}"
.venv/bin/pyright --pythonpath .venv/bin/python "${programs[@]}"

sources=(csrc/*.[ch] tests/c/*.[ch] tests/fuzz/*.[ch] tests/prove/*.[ch] examples/embed/*.c benchmarks/*.c)
clang-format --dry-run -Werror "${sources[@]}"
awk 'length > 100 { print FILENAME ":" FNR ": wider than 100 columns"; wide = 1 } END { exit wide }' \
    "${sources[@]}"

warnings=(-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wcast-qual -Werror)
for source in csrc/*.c; do
    gcc -std=c11 "${warnings[@]}" -Wstrict-prototypes -Wmissing-prototypes -Os -fsyntax-only "$source"
    g++ -x c++ -std=c++17 "${warnings[@]}" -Os -fsyntax-only "$source"
done
echo "ruff, mypy --strict and pyright (${#programs[@]} programs), clang-format (${#sources[@]} files), gcc" \
    "-std=c11 and g++ -std=c++17 with $((${#warnings[@]} - 1)) groups of warnings: clean"
