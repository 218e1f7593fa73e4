#!/bin/sh
# Prints pytest's options, a line each, to run the tests in parallel: see worker.sh. $1 is the number
# of workers. Alone the tests take the least time with three for each processor, since a worker
# mostly waits in the kernel; with more the kernel's RTNL lock is the limit. By default there are
# half as many, for the checks, which run beside each other. Each file is one worker's, so that files
# run beside each other that wait for different things. Where namespaces are refused nothing is
# printed: one process runs the tests then, and says what is missing.
set -eu
worker=$(cd "$(dirname "$0")" && pwd)/worker.sh
"$worker" -c '' 2>/dev/null || exit 0
printf '%s\n' --dist loadfile --tx "${1:-$((($(nproc) * 3 + 1) / 2))}*popen//python=$worker"
