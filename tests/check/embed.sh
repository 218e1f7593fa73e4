#!/usr/bin/env bash
# The core outside Python: as a library, as files copied into a program, and what it costs there.
#
#   embed.sh           checks
#   embed.sh --write   writes the table of sizes in csrc/README.md as well
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "embed: $1"
    exit 1
}
need() {
    command -v "$1" >/dev/null || fail "no $1: apt-get install $2"
}
need gcc gcc
need g++ g++
need clang clang
need pkg-config pkg-config
need musl-gcc musl-tools
need readelf binutils
need unshare util-linux
need meson meson
need ninja ninja-build
need cmake cmake
# shellcheck source=tests/check/zig.bash
. tests/check/zig.bash

out=$PWD/build/embed
rm -rf "$out"
mkdir -p "$out"

# runs PROGRAM: in namespaces of its own lo comes up, its counters are read in four ways, and a veth
# pair is made.
runs() {
    "$1" >"$out/lo" || fail "$1 failed"
    cat "$out/lo"
    grep -qx 'lo was down, is up' "$out/lo" || fail "$1: lo is not up"
    grep -q '^embed0: veth, up, mtu ' "$out/lo" || fail "$1: no veth pair"
    [ "$(grep -c '^lo by .*rx_bytes=[0-9].* tx_dropped=[0-9]' "$out/lo")" -eq 4 ] || fail "$1: no counters"
}

echo "== as a library"
csrc/build-lib.sh "$out/lib"
nm -D --defined-only "$out/lib/libnetstrat.so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort >"$out/exported"
# The name of a function is what stands before the parenthesis.
sed -n 's/^NETSTRAT_API .*[ *]\(netstrat_[a-z0-9_]*\)(.*/\1/p' csrc/netstrat.h | LC_ALL=C sort >"$out/declared"
[ -s "$out/declared" ] || fail "no declarations found in netstrat.h"
diff "$out/declared" "$out/exported" || fail "what the library exports is not what its header declares"
readelf -d "$out/lib/libnetstrat.so" | grep -q 'soname: \[libnetstrat.so.[0-9]*\.[0-9]*\]' || fail "no soname"
mv "$out/lib" "$out/moved" # netstrat.pc moves with it
export PKG_CONFIG_PATH=$out/moved
read -ra shared <<<"$(pkg-config --cflags --libs netstrat)"
read -ra cflags <<<"$(pkg-config --cflags netstrat)"
gcc -std=c11 -Wall -Wextra -Werror examples/embed/main.c "${shared[@]}" -o "$out/with-so"
readelf -d "$out/with-so" | grep -q 'NEEDED.*libnetstrat.so' || fail "libnetstrat.so is not used"
LD_LIBRARY_PATH=$out/moved runs "$out/with-so"
gcc -std=c11 -Wall -Wextra -Werror "${cflags[@]}" examples/embed/main.c "$out/moved/libnetstrat.a" \
    -pthread -o "$out/with-a"
runs "$out/with-a"

echo "== installed, by the Meson and the CMake of csrc/README.md"
PREFIX=$out/prefix csrc/build-lib.sh --install
export PKG_CONFIG_PATH=$out/prefix/lib/pkgconfig
# block LANGUAGE: prints the block of csrc/README.md in that language.
block() {
    awk -v fence="\`\`\`$1" '$0 == fence { inside = 1; next } /^```$/ { inside = 0 } inside' csrc/README.md
}
for tool in meson cmake; do
    mkdir -p "$out/$tool"
    cp examples/embed/main.c "$out/$tool/"
done
block meson >"$out/meson/meson.build"
block cmake >"$out/cmake/CMakeLists.txt"
meson setup "$out/meson/build" "$out/meson"
meson compile -C "$out/meson/build"
cmake -S "$out/cmake" -B "$out/cmake/build" >/dev/null
cmake --build "$out/cmake/build"
for tool in meson cmake; do
    LD_LIBRARY_PATH=$out/prefix/lib runs "$out/$tool/build/program"
    readelf -d "$out/$tool/build/program" | grep -q 'NEEDED.*libnetstrat.so' ||
        fail "$tool: libnetstrat.so is not used"
done
sed -i "s/'netstrat'/&, static: true/" "$out/meson/meson.build"
meson setup --wipe "$out/meson/build" "$out/meson" >/dev/null
meson compile -C "$out/meson/build"
! readelf -d "$out/meson/build/program" | grep -q 'NEEDED.*libnetstrat' || fail "meson: libnetstrat.a is not used"
runs "$out/meson/build/program"

echo "== as files, with one command, and as two files"
csrc/amalgamate.sh "$out/two"
builds=(
    "gcc-c11 gcc -std=c11 -Wpedantic"
    "gcc-c++17 g++ -std=c++17 -x c++"
    "clang-c11 clang -std=c11 -Wpedantic"
    "clang-c++17 clang++ -std=c++17 -x c++"
    "musl-c11 musl-gcc -std=c11 -static -idirafter /usr/include -idirafter /usr/include/$(uname -m)-linux-gnu"
)
for row in "${builds[@]}"; do
    read -ra words <<<"$row"
    examples/embed/build.sh "$out/${words[0]}" "${words[@]:1}"
    runs "$out/${words[0]}/embed"
    "$out/${words[0]}/wire" || fail "${words[0]}: wire failed"
    "${words[@]:1}" -Os -Wall -Wextra -Werror -pthread "-I$out/two" examples/embed/main.c \
        "$out/two/netstrat.c" -o "$out/${words[0]}/embed-of-two"
    runs "$out/${words[0]}/embed-of-two"
done

echo "== the example in the README"
{
    awk '/^.``c$/ { inside = 1; next } /^.``$/ { inside = 0 } inside' csrc/README.md
    echo 'int main(void) { return bring_lo_up() < 0; }'
} >"$out/readme.c"
loopback=(csrc/{name,batch,message,link,counters,socket,exchange,name_cache,operations}.c)
gcc -std=c11 -Os -Wall -Wextra -Werror -Icsrc "$out/readme.c" csrc/error.c "${loopback[@]}" \
    -o "$out/readme"
unshare -Urn "$out/readme" || fail "the README's example failed"

echo "== what is linked in"
# The smallest program: all that it takes from musl's libc, as the link map has it.
cat >"$out/smallest.c" <<'C'
#include "netstrat.h"
int main(void) { return netstrat_link_set_up_once("lo", NULL) < 0; }
C
musl-gcc -std=c11 -Os -static -idirafter /usr/include -idirafter "/usr/include/$(uname -m)-linux-gnu" -Icsrc \
    -Wl,-Map="$out/smallest.map" "$out/smallest.c" "${loopback[@]}" -o "$out/smallest"
sed -n 's/^[^ ].*libc\.a(\(.*\)\.lo\?)$/\1/p' "$out/smallest.map" | LC_ALL=C sort -u >"$out/members"
tr '\n' ' ' <"$out/members"
echo
grep -qx 'recvfrom' "$out/members" || fail "the link map was misread"
if grep -E '^(.*alloc|calloc|free|.*printf.*|fwrite|abort|exit_group|raise)$' "$out/members"; then
    fail "the loopback path takes the above from libc"
fi
unshare -Urn "$out/smallest" || fail "the smallest program failed"

echo "== sizes"
targets=( # name, what clang leaves out of a frame, zig's target
    "x86_64 8 x86_64-linux-musl"
    "i386 4 x86-linux-musl"
    "aarch64 0 aarch64-linux-musl"
    "armv7 0 arm-linux-musleabihf"
    "riscv64 0 riscv64-linux-musl"
    "mips 0 mips-linux-musleabi"
    "powerpc64 0 powerpc64-linux-musl"
    "s390x 0 s390x-linux-musl"
)
figures=$out/figures
{
    echo '| target | pure | kernel | loopback (these two) | link_change, address, route, qdisc, nsid, nft (4 files) | error | containers | sysfs | netns | mutable data | stack: loopback | error | containers | sysfs | netns |'
    echo '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |'
} >"$figures"
for row in "${targets[@]}"; do
    read -r name extra target <<<"$row"
    mkdir -p "$out/objects/$name"
    while read -r file; do
        "$zig_cc" -target "$target" -std=c11 -Os -ffunction-sections -fstack-size-section \
            -c "csrc/$file" -o "$out/objects/$name/${file%.c}.o"
    done <csrc/sources
    python3 tests/check/footprint.py "$name" "$out/objects/$name" "$extra" >>"$figures"
done
cat "$figures"

python3 - "$figures" "${1-}" <<'PYTHON'
import re
import sys
from pathlib import Path

figures, option = Path(sys.argv[1]).read_text(), sys.argv[2]
readme = Path("csrc/README.md")
text = readme.read_text()
begin, end = "<!-- sizes: begin -->\n", "<!-- sizes: end -->\n"
before, rest = text.split(begin)
table, after = rest.split(end)


def rows(markdown):
    cells = [re.split(r" *\| *", line.strip("| ")) for line in markdown.splitlines()[2:]]
    return {row[0]: [int(value.replace(",", "")) for value in row[1:]] for row in cells}


if option == "--write":
    readme.write_text(before + begin + figures + end + after)
    sys.exit()
measured, written = rows(figures), rows(table)
for target, values in measured.items():
    # The core may grow a little before the table has to be written anew.
    for new, old in zip(values, written.get(target, values), strict=True):
        if target not in written or abs(new - old) > max(64, 0.05 * old):
            sys.exit(f"csrc/README.md says {old} for {target} where {new} was measured: embed.sh --write")
PYTHON

armv7=$(grep '^| armv7 ' "$figures")
IFS='|' read -r _ _ _ _ code _ _ _ _ _ data stack _ <<<"$armv7"
echo "library, C11, C++17 and musl builds, of the files and of the two, bring lo up; armv7 -Os loopback path:${code}bytes of code," \
    "${data# }bytes of mutable data,${stack}bytes of stack; no malloc on ${#targets[@]} targets"
