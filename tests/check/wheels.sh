#!/usr/bin/env bash
# The wheels of a release: built twice and compared byte for byte, audited, and used by each CPython
# of this machine, by those of Debian unstable from 3.14 on, and under qemu-user by Debian's of the
# other architectures, unpacked in a folder. Each brings lo up in a fresh network namespace and
# compares counters, names and errors with tests/reference.py (try_wheel.py).
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "wheels: $1"
    exit 1
}
for row in "readelf binutils" "unshare util-linux" "dpkg-deb dpkg" "apt-get apt" \
    qemu-{aarch64,ppc64le,s390x}-static" qemu-user-static"; do
    command -v "${row% *}" >/dev/null || fail "no ${row% *}: apt-get install ${row#* }"
done
# shellcheck source=tests/check/debian.bash
. tests/check/debian.bash

out=$PWD/build/wheels
rm -rf "$out"
mkdir -p "$out"
"${PYTHON:-python3}" -m venv "$out/tools"
"$out/tools/bin/pip" install --quiet --disable-pip-version-check \
    auditwheel abi3audit
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

echo "== twice"
csrc/build-wheels.sh "$out/one" | tee "$out/sizes"
csrc/build-wheels.sh "$out/two" >/dev/null
wheels=("$out/one/"*.whl)
for wheel in "${wheels[@]}"; do
    cmp "$wheel" "$out/two/${wheel##*/}" || fail "two builds, two wheels"
done

echo "== audit"
"$out/tools/bin/abi3audit" --strict --assume-minimum-abi3 3.10 "${wheels[@]}" ||
    fail "a wheel uses functions outside of the stable ABI of CPython 3.10"
for wheel in "${wheels[@]}"; do
    platform=${wheel##*-abi3-} platform=${platform%.whl}
    mkdir "$out/$platform"
    "$out/tools/bin/python" -m zipfile -e "$wheel" "$out/$platform"
    core=$out/$platform/pynetstrat/_core.abi3.so
    if [[ $platform == musllinux_* ]]; then
        # auditwheel would look for musl on this machine.
        needed=$(readelf -d "$core" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
        [ "$needed" = libc.so ] || fail "$platform needs $needed"
        case $platform in *_x86_64) architecture=amd64 ;; *) architecture=arm64 ;; esac
        debian_root "$architecture" bookworm musl || fail "no musl"
        readelf --dyn-syms -W "$core" | awk '$5 == "GLOBAL" && $7 == "UND" && $8 !~ /^_?Py/ { print $8 }' |
            sort -u >"$out/$platform.wanted"
        readelf --dyn-syms -W "$debian_root"/lib/*-linux-musl/libc.so | awk '$7 != "UND" { print $8 }' |
            sort -u >"$out/$platform.offered"
        absent=$(comm -23 "$out/$platform.wanted" "$out/$platform.offered")
        [ -z "$absent" ] || fail "$platform uses functions that musl 1.2 does not have: $absent"
    else
        "$out/tools/bin/auditwheel" show "$wheel" >"$out/audit" 2>&1 || { cat "$out/audit"; fail "auditwheel"; }
        tr '\n' ' ' <"$out/audit" | grep -q "consistent with the following platform tag: \"$platform\"" ||
            { cat "$out/audit"; fail "auditwheel does not call it $platform"; }
    fi
done

# Beside the program in its root: the reference and its cases.
cp -r tests/reference.py tests/cases tests/check/try_wheel.py "$out/"
# site PLATFORM VERSION: installs the wheel and what it depends on for that Python; prints the folder.
site() {
    local where=$out/site-$1-$2
    "$out/tools/bin/pip" install --quiet --disable-pip-version-check --target "$where" --no-compile \
        --only-binary=:all: --platform "$1" --python-version "$2" \
        "$(ls "$out/one/"*"-$1.whl")" >"$where.log" 2>&1 || { cat "$where.log" >&2; return 1; }
    echo "$where"
}
# sandboxed ROOT SITE COMMAND ..: in fresh namespaces, with that root.
sandboxed() {
    # shellcheck disable=SC2016
    env -i "OUT=$out" "PYTHONPATH=$2" PYTHONDONTWRITEBYTECODE=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        timeout 300 unshare -Urnm sh -euc '
            root=$1
            shift 2
            if [ "$root" = / ]; then
                mount -t sysfs sysfs /sys
                exec "$@"
            fi
            mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/mnt"
            mount --rbind /proc "$root/proc"
            mount --rbind /dev "$root/dev"
            mount -t sysfs sysfs "$root/sys"
            mount --bind "$OUT" "$root/mnt"
            exec chroot "$root" "$@"' sh "$@"
}
tried=0
# try NAME ROOT SITE COMMAND ..: runs try_wheel.py. The other roots have $out at /mnt.
try() {
    local name=$1 root=$2 folder=$out site=$3 emulated=()
    shift 3
    [ "$root" = / ] || folder=/mnt
    [ $# -eq 1 ] || emulated=(emulated)
    sandboxed "$root" "$folder/${site##*/}" "$@" -W error "$folder/try_wheel.py" "$folder" \
        "${emulated[@]}" >"$out/try.log" 2>&1 ||
        { cat "$out/try.log"; fail "$name: the wheel does not work"; }
    echo "$name: $(tail -n 1 "$out/try.log")"
    tried=$((tried + 1))
}

echo "== on every CPython of this machine"
declare -A known=()
for python in "$HOME"/.pyenv/versions/*/bin/python /usr/bin/python3.[0-9]* /usr/local/bin/python3.[0-9]*; do
    version=$("$python" -c 'import platform, sys, sysconfig
ok = sys.version_info >= (3, 10) and platform.python_implementation() == "CPython"
print(platform.python_version() if ok and not sysconfig.get_config_var("Py_GIL_DISABLED") else "")' \
        2>/dev/null) || continue
    if [ -z "$version" ] || [ -n "${known[$version]-}" ]; then continue; fi
    known[$version]=1
    try "manylinux_2_17_$(uname -m)" / "$(site "manylinux_2_17_$(uname -m)" "$version")" "$python"
done
[ "$tried" -gt 0 ] || fail "no CPython 3.10 or newer found"

echo "== on those of Debian unstable"
# It changes every day: on some days a package there cannot be installed. The last line says so.
newer=() absent=()
mapfile -t packages < <(debian_apt amd64 sid apt-cache pkgnames python3. | grep -xE 'python3\.(1[4-9]|[2-9][0-9])' | sort -V)
for package in "${packages[@]}"; do
    if ! debian_root amd64 sid "$package"; then
        absent+=("$package")
        continue
    fi
    newer+=("$package")
    try manylinux_2_17_x86_64 "$debian_root" "$(site manylinux_2_17_x86_64 "${package#python}")" \
        "/usr/bin/$package"
done
[ "${#packages[@]}" -gt 0 ] || absent=("any from 3.14 on")

echo "== on other architectures"
for row in "aarch64 arm64" "ppc64le ppc64el" "s390x s390x"; do
    debian_root "${row#* }" bookworm python3.11 || fail "no Python for ${row#* }"
    cp "$(command -v "qemu-${row% *}-static")" "$out/"
    try "manylinux_2_17_${row% *}" "$debian_root" "$(site "manylinux_2_17_${row% *}" 3.11)" \
        "/mnt/qemu-${row% *}-static" /usr/bin/python3.11
done

echo "${#wheels[@]} wheels of $(awk '{ print $1 }' "$out/sizes" | sort -n | sed -n '1p;$p' | paste -sd' ' | sed 's/ / to /')" \
    "bytes, identical when built again, clean by abi3audit, auditwheel and readelf; $tried CPythons" \
    "bring lo up and agree with the reference ($(printf '%s\n' "${!known[@]}" | sort -V | paste -sd' ')" \
    "of this machine, ${newer[*]#python} of Debian unstable, 3.11 of aarch64, ppc64le and s390x)" \
    "${absent[@]+NOT TRIED, since Debian unstable could not provide them: ${absent[*]}}"
