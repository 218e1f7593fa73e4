#!/usr/bin/env bash
# The core and its tests on eight architectures: built by zig cc against musl, static, and run under
# qemu-user on this kernel, in a fresh network namespace in which lo is really brought up. Then the
# same for this machine's musl-gcc and gcc -m32, without an emulator.
#
# qemu-user translates netlink and knows nothing of RTM_GETSTATS: send() fails with EOPNOTSUPP, and
# the way by name must serve instead. What is nested it passes on as it is, which in the other byte
# order the kernel refuses: there the example's veth pair is not made.
set -euo pipefail
cd "$(dirname "$0")/../.."

# qemu's name, zig's target, byte order
architectures=(
    "x86_64 x86_64-linux-musl little"
    "i386 x86-linux-musl little"
    "aarch64 aarch64-linux-musl little"
    "arm arm-linux-musleabihf little"
    "riscv64 riscv64-linux-musl little"
    "mips mips-linux-musleabi big"
    "ppc64 powerpc64-linux-musl big"
    "s390x s390x-linux-musl big"
)
# Debian's musl-gcc does not look where the kernel's headers are.
natives=(
    "musl musl-gcc -static -idirafter /usr/include -idirafter /usr/include/$(uname -m)-linux-gnu"
    "m32 gcc -m32"
)

need() {
    command -v "$1" >/dev/null || { echo "no $1: apt-get install $2"; exit 1; }
}
need unshare util-linux
need musl-gcc musl-tools
need gcc gcc
echo 'int main(void){return 0;}' | gcc -m32 -x c - -o /dev/null 2>/dev/null ||
    { echo "gcc -m32 does not work: apt-get install gcc-multilib"; exit 1; }
for row in "${architectures[@]}"; do
    need "qemu-${row%% *}-static" qemu-user-static
done
unshare -Urnm mount -t sysfs sysfs /sys ||
    { echo "no namespaces: run this as root, or where user namespaces are allowed"; exit 1; }
# shellcheck source=tests/check/zig.bash
. tests/check/zig.bash

out=$PWD/build/cross
rm -rf "$out"
mkdir -p "$out"

tests=()
for source in tests/c/test_*.c; do
    source=${source##*/test_}
    tests+=("${source%.c}")
done

# sandboxed COMMAND..: in namespaces of its own. An emulated program cannot make a user namespace
# itself, since qemu has a thread beside it.
sandboxed() {
    # shellcheck disable=SC2016
    timeout 300 unshare -Urnm sh -c 'mount -t sysfs sysfs /sys && exec "$@"' sh "$@"
}

# one NAME EMULATOR ORDER COMPILER..: builds and runs it all; the last line says how it went.
one() {
    local name=$1 order=$3 program passed=0 emulator=()
    [ -z "$2" ] || emulator=("$2")
    shift 3
    examples/embed/build.sh "$out/$name/embed" "$@" -std=c11
    if [ "$order" = little ]; then
        sandboxed "${emulator[@]}" "$out/$name/embed/embed" here | tee "$out/$name/lo"
        grep -q '^embed0: veth, up, mtu ' "$out/$name/lo"
    else
        sandboxed "${emulator[@]}" "$out/$name/embed/embed" here 2>&1 | tee "$out/$name/lo" || true
        grep -q '^embed: interface "embed0": RTM_NEWLINK: ' "$out/$name/lo" # the errno is not translated
    fi
    grep -qx 'lo was down, is up' "$out/$name/lo"
    if [ "${#emulator[@]}" -eq 0 ]; then
        grep -q '^lo by index .* tx_dropped=0$' "$out/$name/lo"
    else
        grep -q '^lo by index: refused' "$out/$name/lo"
        export NETSTRAT_EMULATED=1
    fi
    # As the program above: zig compiles musl once for each kind of optimization.
    CC="$*" CFLAGS=-Os LDFLAGS='' tests/c/build.sh "$out/$name" "${tests[@]}"
    for program in "$out/$name"/test_*; do
        # Failing system calls one by one: what an emulator makes of them is its own affair. The
        # native rows run it on musl and in 32 bits.
        [ "${program##*/}" = test_faults ] && [ "${#emulator[@]}" -gt 0 ] && continue
        echo "== $name: ${program##*/}"
        # qemu 7.2 shares one GDT among an i386 program's threads: sigreturn reloads %gs, which then
        # is that of the thread made last, and ended. This kernel runs the program as it is.
        if [ "$name" = i386 ] && [[ ${program##*/} = test_netns* ]]; then
            (unset NETSTRAT_EMULATED && sandboxed "$program")
        else
            sandboxed "${emulator[@]}" "$program"
        fi
        passed=$((passed + 1))
    done
    [ "$passed" -gt 0 ]
    echo "passed $passed"
}

# Side by side: an architecture takes half a minute, most of it zig's, which compiles musl for it.
running=0
for row in "${architectures[@]}" "${natives[@]}"; do
    read -ra words <<<"$row"
    if [ "${words[0]}" = musl ] || [ "${words[0]}" = m32 ]; then
        command=(one "${words[0]}" "" little "${words[@]:1}")
    else
        command=(one "${words[0]}" "qemu-${words[0]}-static" "${words[2]}" "$zig_cc" -target "${words[1]}" -static)
    fi
    if [ "$running" -ge "$(nproc)" ]; then
        wait -n || true
        running=$((running - 1))
    fi
    (set -e; "${command[@]}") >"$out/${words[0]}.log" 2>&1 &
    running=$((running + 1))
done
wait

good=0 programs=0 native=0
for row in "${architectures[@]}" "${natives[@]}"; do
    name=${row%% *}
    last=$(tail -n 1 "$out/$name.log")
    if [[ $last == passed\ * ]]; then
        programs=$((programs + ${last#passed }))
        if [ "$name" = musl ] || [ "$name" = m32 ]; then native=$((native + 1)); else good=$((good + 1)); fi
    else
        echo "FAILED on $name:"
        cat "$out/$name.log"
    fi
done
echo "$good of ${#architectures[@]} architectures passed, lo up on each; native: $native of" \
    "${#natives[@]} (musl, -m32); $programs test programs run (failing calls, veth pairs and notifications natively only)"
[ "$good" -eq "${#architectures[@]}" ] && [ "$native" -eq "${#natives[@]}" ]
