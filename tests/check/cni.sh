#!/usr/bin/env bash
# A test with real consumers of CNI: Debian's podman (with its CNI backend) and containerd run
# busybox in containers, and the plugin `pynetstrat` attaches them to networks, with addresses of
# host-local. All of it runs in new network and mount namespaces. See tests/check/cni.py.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "cni: $1"
    exit 1
}
need() {
    command -v "$1" >/dev/null || fail "no $1: apt-get install $2"
}
need podman podman
need containerd containerd
need ctr containerd
need bwrap bubblewrap
need systemd-nspawn systemd-container
need runc runc
need busybox busybox-static
need ip iproute2
need unshare util-linux
[ -x /usr/lib/cni/host-local ] ||
    fail "no /usr/lib/cni/host-local: apt-get install containernetworking-plugins"
[ "$(id -u)" -eq 0 ] || fail "podman and containerd need root here"
busybox=$(command -v busybox)
! ldd "$busybox" >/dev/null 2>&1 || fail "$busybox needs libraries: apt-get install busybox-static"

out=$PWD/build/cni
rm -rf "$out"
mkdir -p "$out"/{rootfs/{bin,proc,sys,dev,etc,tmp,run,www},plugins,networks}
cp "$busybox" "$out/rootfs/bin/busybox"
for name in sh cat httpd ip nc ping ping6 sleep wget; do
    ln -s busybox "$out/rootfs/bin/$name"
done
echo hello >"$out/rootfs/www/index.html"
cp /usr/lib/cni/{host-local,loopback,tuning} "$out/plugins/"
.venv/bin/pynetstrat cni-install "$out/plugins"
export PYTHONPATH=$PWD/tests

# What the consumers write outside of $out is on file systems that end with the mount namespace.
prepare() {
    mount -t tmpfs tmpfs /run
    mkdir -p /run/netns "$1/covers"
    mount -t tmpfs tmpfs "$1/covers"
    for folder in etc opt var/lib; do
        mkdir -p "$1/covers/$folder/"{upper,work}
        mount -t overlay overlay "/$folder" \
            -o "lowerdir=/$folder,upperdir=$1/covers/$folder/upper,workdir=$1/covers/$folder/work"
    done
    mount -t proc proc /proc # no process outlives the check
    mount -t sysfs sysfs /sys
    # Where the host has cgroups of both versions, runc takes those of version 1 only by themselves.
    if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] && [ -n "$2" ]; then
        mount -t tmpfs tmpfs /sys/fs/cgroup
        for controller in $2; do
            mkdir "/sys/fs/cgroup/$controller"
            option=$controller
            [ "$controller" != systemd ] || option=none,name=systemd
            mount -t cgroup -o "$option" cgroup "/sys/fs/cgroup/$controller"
        done
    elif [ -z "$2" ]; then
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
    fi
}
export -f prepare
controllers=$(awk '$3 == "cgroup" {sub(".*/", "", $2); print $2}' /proc/mounts | xargs)
# shellcheck disable=SC2016  # the inner shell expands it
exec timeout 300 unshare --net --pid --fork --kill-child --mount --propagation private \
    bash -euc 'prepare "$1" "$2" && exec "${@:3}"' bash "$out" "$controllers" \
    .venv/bin/python -W error tests/check/cni.py "$out"
