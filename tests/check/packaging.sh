#!/usr/bin/env bash
# The wheel and the sdist, as a user gets them: built twice from copies of the tree, one of them with
# the leftovers of other builds, and compared byte for byte; then installed on every CPython from 3.10
# on that this machine has, where each brings lo up in a fresh namespace. On one of them all tests
# run. The manual page and the completions are tried, too. The wheels of a release: wheels.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "packaging: $1"
    exit 1
}
command -v git >/dev/null || fail "no git: apt-get install git"
command -v "${CC:-cc}" >/dev/null || fail "no C compiler: apt-get install gcc libc6-dev"
command -v unshare >/dev/null || fail "no unshare: apt-get install util-linux"
for tool in mandoc zsh fish; do
    command -v "$tool" >/dev/null || fail "no $tool: apt-get install $tool"
done

out=$PWD/build/packaging
rm -rf "$out"
mkdir -p "$out"
python=${PYTHON:-python3}
"$python" -m venv "$out/tools"
"$out/tools/bin/pip" install --quiet --disable-pip-version-check \
    build virtualenv 'setuptools>=77' 'cffi>=1.16' wheel
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
done
# Nothing of this belongs in an sdist, in which modes and times are the same for all.
for leftover in build/lib/a csrc/build/a csrc/a.o docs/build/a examples/embed/build/a tests/.hypothesis/a \
    tests/__pycache__/a.pyc dist/a .venv/a pynetstrat/_core.abi3.so; do
    mkdir -p "$out/two/deeper/${leftover%/*}"
    echo leftover >"$out/two/deeper/$leftover"
done
touch "$out/two/deeper/README.md"
chmod 600 "$out/two/deeper/README.md"
for copy in one two/deeper; do
    # The wheel is built from the sdist, unpacked in a folder whose name differs each time.
    (cd "$out/$copy" &&
        TMPDIR=$out tool build --no-isolation --outdir "$out/dist-${copy%%/*}" . >"$out/build.log" 2>&1) ||
        { cat "$out/build.log"; fail "the build failed"; }
done
wheel=$(cd "$out/dist-one" && ls -- *.whl)
sdist=$(cd "$out/dist-one" && ls -- *.tar.gz)
[[ $wheel == *-cp310-abi3-* ]] || fail "$wheel is no abi3 wheel for CPython 3.10 and newer"
for file in "$wheel" "$sdist"; do
    cmp "$out/dist-one/$file" "$out/dist-two/$file" || fail "two builds, two files $file"
done

echo "== what the sdist holds"
tar -tzf "$out/dist-one/$sdist" | sed 's|^[^/]*/||' | LC_ALL=C sort >"$out/held"
# Not needed outside the repository: the settings of git and of its host.
tr '\0' '\n' <"$out/files" | grep -vxE '\.gitignore|\.gitattributes|\.github/.*' | LC_ALL=C sort >"$out/wanted"
comm -13 "$out/held" "$out/wanted" >"$out/absent"
[ ! -s "$out/absent" ] || fail "the sdist lacks: $(tr '\n' ' ' <"$out/absent")"
echo "$(wc -l <"$out/wanted") files"

echo "== what the wheel holds"
# The package and nothing for the system, no source of the core and no test.
"$python" - "$out/dist-one/$wheel" <<'PYTHON' || fail "the wheel holds something else"
import re
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    names, size = wheel.namelist(), sum(member.file_size for member in wheel.infolist())
expected = r"pynetstrat/(.*\.pyi?|py\.typed|_core\.abi3\.so)|pynetstrat-[^/]*\.dist-info/.*"
others = [name for name in names if not re.fullmatch(expected, name)]
print(f"{len(names)} files, {size:,} bytes installed", *others)
sys.exit(bool(others))
PYTHON

echo "== the manual page and the completions"
mkdir -p "$out/unpacked"
tar -xzf "$out/dist-one/$sdist" --strip-components=1 -C "$out/unpacked"
manual=$out/unpacked/docs/manual
# The page has no date, so that it changes with the commands only.
mandoc -T lint -W warning "$manual/pynetstrat.1" | grep -v 'missing date' && fail "mandoc has warnings"
zsh -n "$manual/_pynetstrat"
# offered LINE: what fish offers at the end of the line
offered() {
    # shellcheck disable=SC2016  # fish expands it
    fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$manual/pynetstrat.fish" "$1" | cut -f 1
}
[ "$(offered 'pynetstrat netw')" = network ] || fail "fish does not complete commands"
[ "$(offered 'pynetstrat network ' | sort | paste -sd' ')" = "check set-up tear-down" ] ||
    fail "fish does not complete actions"
[ "$(offered 'pynetstrat up l')" = lo ] || fail "fish does not complete interfaces"
[ "$(offered 'pynetstrat stats --pers')" = --perspective ] || fail "fish does not complete options"

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

# environment PYTHON: the folder of its virtual environment, which is made at first
environment() {
    local where
    where=$out/env-$("$1" -c 'import platform; print(platform.python_version())')
    [ -d "$where" ] || tool virtualenv --quiet --python "$1" "$where" >&2
    echo "$where"
}

# smoke PYTHON WHEEL: installs it in place of another and brings lo up, away from the tree.
smoke() {
    local where
    where=$(environment "$1")
    "$where/bin/python" -m pip uninstall --quiet --yes pynetstrat >"$where.log" 2>&1
    "$where/bin/python" -m pip install --quiet --disable-pip-version-check "$2" || return 1
    (cd / && "$where/bin/python" -W error -c '
import pkgutil, pynetstrat
assert pynetstrat.get_strategy("loopback")
found = {module.name for module in pkgutil.walk_packages(pynetstrat.__path__, "pynetstrat.")}
assert {"pynetstrat._native", "pynetstrat.cli"} < found and "pynetstrat.cffi_build" not in found
' && "$where/bin/python" -m pynetstrat demo) >"$where.log" 2>&1 ||
        { cat "$where.log"; return 1; }
    echo "$("$where/bin/python" --version): ${2##*/}: lo up"
}
for candidate in "${pythons[@]}"; do
    smoke "$candidate" "$out/dist-one/$wheel" || fail "$candidate: the wheel does not work"
done

echo "== all tests of the sdist, on the wheel"
where=$(environment "${pythons[0]}")
"$where/bin/python" -m pip install --quiet --disable-pip-version-check "$out/dist-one/${wheel}[test]"
rm -r "$out/unpacked/pynetstrat" # what is installed is tested, not the sources beside the tests
(
    cd "$out/unpacked"
    export WORKER_PYTHON=$where/bin/python
    mapfile -t workers < <(tests/workers.sh)
    "$where/bin/pytest" -q -p no:cacheprovider "${workers[@]}"
) >"$out/tests.log" 2>&1 ||
    { cat "$out/tests.log"; fail "${pythons[0]}: the tests of the sdist fail on the wheel"; }
tail -n 1 "$out/tests.log"
smoke "${pythons[0]}" "$out/dist-one/$sdist" || fail "${pythons[0]}: the sdist does not work"

echo "== by Debian 12's setuptools"
(cd "$out/one" && rm -rf build && "$out/old-tools/bin/python" -m build --no-isolation \
    --outdir "$out/dist-old" . >"$out/build.log" 2>&1) ||
    { cat "$out/build.log"; fail "setuptools 66 does not build it"; }
smoke "${pythons[0]}" "$(ls "$out/dist-old/"*.whl)" || fail "the wheel of setuptools 66 does not work"

echo "two builds gave identical wheels and sdists; $wheel brings lo up on" \
    "${#pythons[@]} CPythons ($(printf '%s\n' "${!known[@]}" | sort -V | paste -sd' ')), and so do the sdist and a wheel by setuptools 66; all tests pass on one;" \
    "$(wc -l <"$out/wanted") files in the sdist"
