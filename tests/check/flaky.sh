#!/usr/bin/env bash
# Runs `./build.sh test` FLAKY_RUNS (10) times at low priority, beside a busy loop on each processor,
# and lists each test that failed in any run. Every run is complete: none is limited to the failures
# of the last one. FLAKY_TESTS ("tests/watching -k waits") are arguments for pytest. It takes an
# hour or more, so it is not among the checks that run by default. The logs are in build/flaky/.
set -euo pipefail
cd "$(dirname "$0")/../.."
unset PYTEST_ADDOPTS
runs=${FLAKY_RUNS:-10}
read -ra tests <<<"${FLAKY_TESTS-}"
rm -rf build/flaky
mkdir -p build/flaky

renice -n 19 -p $$ >/dev/null
load=()
stop() { kill "${load[@]}" 2>/dev/null || true; }
trap stop EXIT
for _ in $(seq "$(nproc)"); do
    (while :; do :; done) &
    load+=($!)
done

for run in $(seq "$runs"); do
    status=0
    # Without the cache there is no --lf, whatever a configuration says.
    ./build.sh test -q -rfE -p no:cacheprovider --tb=short "${tests[@]}" \
        >"build/flaky/$run.log" 2>&1 || status=$?
    echo "run $run of $runs, status $status: $(tail -n 1 "build/flaky/$run.log")"
    # 1: tests failed. Anything else is no result: an error of usage, a crash, no tests.
    [ "$status" -le 1 ] || {
        cat "build/flaky/$run.log"
        exit 1
    }
done

failed=$(sed -nE 's/^(FAILED|ERROR) ([^ ]+::.*)$/\2/p' build/flaky/*.log | sed 's/ - .*//' | sort | uniq -c | sort -rn)
if [ -n "$failed" ]; then
    printf 'failed in so many of %s runs:\n%s\n' "$runs" "$failed"
    exit 1
fi
echo "$runs runs without a failure"
