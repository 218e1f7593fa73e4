#!/usr/bin/env bash
# Runs the checks, which are the other scripts of this folder: all of them, as many side by side as
# there are processors, or the one named. Each ends with a line of figures, which is shown; what
# else a check prints is in build/check/NAME.log and shown if it fails.
set -uo pipefail
cd "$(dirname "$0")/../.."
mkdir -p build/check

one() {
    local name=$1 log=build/check/$1.log start=$SECONDS
    if "tests/check/$name.sh" >"$log" 2>&1; then
        printf 'ok   %-12s %4d s  %s\n' "$name" $((SECONDS - start)) "$(tail -n 1 "$log")"
    else
        cat "$log"
        printf 'FAIL %-12s %4d s  (the log above: %s)\n' "$name" $((SECONDS - start)) "$log"
        return 1
    fi
}
export -f one

names=$(cd tests/check && ls -- *.sh | sed 's/\.sh$//' | grep -vx run)
if [ -n "${1-}" ]; then
    grep -qx -- "$1" <<<"$names" || { echo "no check \"$1\"; there are:" $names >&2; exit 2; }
    names=$1
fi
xargs -P "$(nproc)" -n 1 bash -c 'one "$0"' <<<"$names"
