#!/usr/bin/env bash
# A test with real runtimes: Debian's runc and podman run busybox in containers. `pynetstrat oci-hook`
# sets up their networks as the createRuntime hook, and tears them down as the poststop hook. All of
# it runs in new network and mount namespaces. See tests/check/runtime.py.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "runtime: $1"
    exit 1
}
need() {
    command -v "$1" >/dev/null || fail "no $1: apt-get install $2"
}
need runc runc
need podman podman
need busybox busybox-static
need ip iproute2
need unshare util-linux
[ "$(id -u)" -eq 0 ] || fail "runc needs root here"
busybox=$(command -v busybox)
! ldd "$busybox" >/dev/null 2>&1 || fail "$busybox needs libraries: apt-get install busybox-static"

out=$PWD/build/runtime
rm -rf "$out"
mkdir -p "$out/rootfs"/{bin,proc,sys,dev}
cp "$busybox" "$out/rootfs/bin/busybox"
for name in sh ping sleep; do
    ln -s busybox "$out/rootfs/bin/$name"
done
(cd "$out" && runc spec)
export PYTHONPATH=$PWD/tests
# A new /run, because runc and the hook keep their state there, and named namespaces are in
# /run/netns; podman's storage; and the folder in which examples/oci expects the command.
# shellcheck disable=SC2016  # the inner shell expands it
exec unshare --net --mount --propagation private sh -ec '
    for folder in /run /usr/local/bin /var/lib/containers; do
        mkdir -p "$folder"
        mount -t tmpfs tmpfs "$folder"
    done
    ln -s "$PWD/.venv/bin/pynetstrat" /usr/local/bin/pynetstrat
    exec "$@"' \
    sh .venv/bin/python -W error tests/check/runtime.py "$out"
