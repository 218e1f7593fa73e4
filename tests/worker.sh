#!/bin/sh
# One worker of the tests (see workers.sh): the interpreter, WORKER_PYTHON or that of .venv, in
# namespaces of its own. It has a thread that waits for the controller, so it could not enter a user
# namespace later (unshare(2)); and with a pid namespace and a /proc of its own, a test that
# looks at every process sees only its worker's. The shell stays as process 1, which gets no signal
# that it does not handle.
set -eu
python=${WORKER_PYTHON:-$(dirname "$0")/../.venv/bin/python}
user='--user --map-root-user'
# Root may do without a user namespace where those are refused.
# shellcheck disable=SC2086  # no option, or two
[ "$(id -u)" -ne 0 ] || unshare $user true 2>/dev/null || user=
# shellcheck disable=SC2086
exec unshare $user --net --mount --pid --fork --kill-child --mount-proc \
    sh -c '"$@"; exit $?' sh "$python" "$@"
