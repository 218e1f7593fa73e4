#!/bin/sh
# Prints pytest's options, a line each, to run the tests in parallel: see worker.sh. There are three
# workers for two processors, since a worker waits in the kernel a third of its time; with four the
# kernel's RTNL lock is the limit. Each file is one worker's, so that two files run beside each other
# that wait for different things. Where namespaces are refused nothing is printed: one process runs
# the tests then, and says what is missing.
set -eu
worker=$(cd "$(dirname "$0")" && pwd)/worker.sh
"$worker" -c '' 2>/dev/null || exit 0
printf '%s\n' --dist loadfile --tx "$((($(nproc) * 3 + 1) / 2))*popen//python=$worker"
