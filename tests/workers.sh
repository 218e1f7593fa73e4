#!/bin/sh
# Prints pytest's options, a line each, for a worker a processor; see worker.sh. Where namespaces are
# refused it prints nothing: one process runs the tests then, and says what is missing.
set -eu
worker=$(cd "$(dirname "$0")" && pwd)/worker.sh
"$worker" -c '' 2>/dev/null || exit 0
printf '%s\n' --dist loadgroup --tx "$(nproc)*popen//python=$worker"
