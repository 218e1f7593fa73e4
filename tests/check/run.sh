#!/usr/bin/env bash
# Runs the checks, which are the other scripts of this folder: the one named, or all except the long
# ones, as many side by side as there are processors. Each ends with a line of figures, which is
# shown; its other output is in build/check/NAME.log, and shown if it fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p build/check
only_by_name=" flaky " # takes an hour or more

one() {
    local name=$1 log=build/check/$1.log start=$SECONDS
    if "tests/check/$name.sh" >"$log" 2>&1; then
        printf 'ok   %-12s %4d s  %s\n' "$name" $((SECONDS - start)) "$(tail -n 1 "$log")"
    else
        cat "$log"
        printf 'FAIL %-12s %4d s  (its log stands above)\n' "$name" $((SECONDS - start))
        return 1
    fi
}

names=()
for script in tests/check/*.sh; do
    name=$(basename "$script" .sh)
    [ "$name" != run ] || continue
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

export -f one
# shellcheck disable=SC2016  # the inner shell expands it
printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I{} bash -c 'one "$0"' {}
