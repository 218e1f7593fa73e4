#!/usr/bin/env bash
# The Python tests under coverage, processes that they start included: 96 % of the package's lines
# must be reached. (The C core's own figures: the checks of the core.)
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$PWD/build/coverage
python=$PWD/.venv/bin/python
rm -rf "$out"
mkdir -p "$out"

# The settings of pyproject.toml, and for the processes that the tests start: they find this file
# through their environment, whatever their directory is.
cat >"$out/coveragerc" <<RC
[run]
branch = true
source = pynetstrat
parallel = true
patch = subprocess, _exit
data_file = $out/data
disable_warnings = no-data-collected

[report]
show_missing = true
skip_covered = true
exclude_also =
    if TYPE_CHECKING:
partial_also =
    if not TYPE_CHECKING:
RC
# Without files or descriptors coverage can't write its own figures.
without_files=(
    --deselect tests/wiring/test_setup_cost.py::test_the_calls_work_after_a_chroot_into_an_empty_folder
    --deselect tests/test_namespace.py::test_handles_work_after_a_chroot_into_an_empty_directory
    --deselect tests/test_without_files.py::test_the_error_says_that_a_call_has_no_descriptor
)
export PYNETSTRAT_WHOLE_SWEEPS=1 # ./build.sh test tries a sample of the points of each sweep
# What the benchmarks' and the core's own tests do is not counted: these tests stand by themselves.
# Those of the benchmarks run whole below.
mapfile -t workers < <(tests/workers.sh)
"$python" -m coverage run --rcfile "$out/coveragerc" -m pytest -q -p no:cacheprovider "${workers[@]}" \
    --ignore tests/test_core.py --ignore tests/test_benchmarks.py "${without_files[@]}" "$@"
"$python" -m pytest -q -p no:cacheprovider "${workers[@]}" tests/test_benchmarks.py
"$python" -m coverage combine --rcfile "$out/coveragerc" --quiet "$out"
"$python" -m coverage report --rcfile "$out/coveragerc"
"$python" -m coverage json --rcfile "$out/coveragerc" --quiet -o "$out/coverage.json"
"$python" - "$out/coverage.json" <<'PY'
import json
import sys

# What is missing is mostly what runs after a chroot (those tests are left out above), and what a
# process does before exec replaces it.
FLOOR = 0.96

with open(sys.argv[1]) as file:
    totals = json.load(file)["totals"]
lines, covered = totals["num_statements"], totals["covered_lines"]
branches, taken = totals["num_branches"], totals["covered_branches"]
print(f"Python: {covered} of {lines} lines ({100 * covered / lines:.1f} %), "
      f"{taken} of {branches} branches ({100 * taken / branches:.1f} %)")
sys.exit(covered < FLOOR * lines)
PY
