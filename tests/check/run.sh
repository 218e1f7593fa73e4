#!/usr/bin/env bash
# Runs the checks, the other scripts of this folder: the one named, or all except those that run only
# by name. Three run at once on two processors, because some wait for the kernel most of the time. The
# last line of a check has its figures and is shown. Its other output is in build/check/NAME.log, and
# is shown if it fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p build/check
only_by_name=" flaky " # takes an hour or more
# The longest ones, which come first: one that began last would run alone at the end. `faults` and
# `soak` wait more than the others.
longest=(mutants packaging faults wheels sanitize cross coverage soak prove fuzz)

one() {
    local name=$1 log=build/check/$1.log start=$SECONDS status=0 used
    "tests/check/$name.sh" >"$log" 2>&1 || status=1
    # The processors' time of the check; a subshell would have none.
    times >"$log.times"
    used=$(awk -F '[ms ]+' 'NR == 2 { printf "%d", ($1 + $3) * 60 + $2 + $4 }' "$log.times")
    if [ "$status" -eq 0 ]; then
        printf 'ok   %-12s %4d s (%4d of a processor)  %s\n' "$name" $((SECONDS - start)) "$used" "$(tail -n 1 "$log")"
    else
        cat "$log"
        printf 'FAIL %-12s %4d s  (its log stands above)\n' "$name" $((SECONDS - start))
    fi
    return "$status"
}

names=()
for name in "${longest[@]}" $(basename -s .sh tests/check/*.sh); do
    [[ " run ${names[*]} " != *" $name "* ]] || continue
    if [ -n "${1-}" ]; then
        [ "$name" != "$1" ] || names+=("$name")
    elif [[ $only_by_name != *" $name "* ]]; then
        names+=("$name")
    fi
done
if [ "${#names[@]}" -eq 0 ]; then
    echo "no check \"$1\": the scripts of tests/check/ are the checks" >&2
    exit 2
fi

CHECKS=${names[*]} # some leave to another what both would do
export CHECKS
export -f one
# shellcheck disable=SC2016  # the inner shell expands it
printf '%s\n' "${names[@]}" | xargs -P "$((($(nproc) * 3 + 1) / 2))" -I{} bash -c 'one "$0"' {}
[ -n "${1-}" ] || echo "all checks: $SECONDS s"
