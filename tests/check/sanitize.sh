#!/usr/bin/env bash
# The C tests under ASan and UBSan (gcc and clang), TSan and valgrind, also as an ordinary user; then
# the Python tests against an extension built with ASan and UBSan.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in gcc clang valgrind setarch setpriv; do
    command -v "$tool" >/dev/null ||
        { echo "no $tool: install it (Debian: apt-get install gcc clang valgrind util-linux)" >&2; exit 1; }
done
programs=()
for source in tests/c/test_*.c; do
    programs+=("$(basename "$source" .c)")
done
runs=0

# each FOLDER [COMMAND...]: every program of the folder, by way of the command
each() {
    local folder=$1 program
    shift
    for program in "${programs[@]}"; do
        "$@" "$folder/$program" >build/sanitize.log 2>&1 || { cat build/sanitize.log; return 1; }
        echo "  $program: $(grep ' passed, ' build/sanitize.log)"
        runs=$((runs + 1))
    done
}

addresses='-fsanitize=address,undefined -fno-sanitize-recover=all'
for compiler in gcc clang; do
    folder=build/sanitize-$compiler
    CC=$compiler CFLAGS="-O1 -g -fno-omit-frame-pointer $addresses" LDFLAGS=$addresses \
        tests/c/build.sh "$folder"
    echo "ASan and UBSan, $compiler"
    each "$folder"
done

if [ "$(id -u)" -eq 0 ]; then
    echo "ASan and UBSan, as an ordinary user"
    public=$(mktemp -d) # whose parents anybody may pass through
    trap 'rm -rf "$public"' EXIT
    chmod 755 "$public"
    for program in "${programs[@]}"; do
        cp "build/sanitize-gcc/$program" "$public/"
    done
    each "$public" setpriv --reuid=65534 --regid=65534 --clear-groups
fi

# TSan needs its addresses where an older kernel put them: hence setarch -R, no randomization.
CC=gcc CFLAGS='-O1 -g -fsanitize=thread' LDFLAGS='-fsanitize=thread' tests/c/build.sh build/sanitize-thread
echo "TSan"
each build/sanitize-thread setarch -R

CC=gcc CFLAGS='-O1 -g' tests/c/build.sh build/sanitize-valgrind
echo "valgrind memcheck"
each build/sanitize-valgrind valgrind --quiet --error-exitcode=9 --leak-check=full \
    --show-leak-kinds=all --errors-for-leak-kinds=all --trace-children=yes

echo "the Python tests, with ASan and UBSan in the extension"
package=build/asan/package
rm -rf "$package"
mkdir -p "$package"
# What a clone has, with what is changed in it; the caches of other checks come and go.
git ls-files -z --cached --others --exclude-standard |
    tar --null --files-from=- --ignore-failed-read -c | tar -x -C "$package"
python=$PWD/.venv/bin/python
cd "$package"
CC=gcc CFLAGS="-O1 -g -fno-omit-frame-pointer $addresses" "$python" setup.py -q build_ext --inplace

# `ip` copies a name onto itself (iproute2 6.1, print_route), which is not ours to mend.
echo 'interceptor_via_lib:/bin/ip' >suppressions

# Python itself never frees some of its memory, so leaks are left to valgrind and the soak.
run() {
    env LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
        ASAN_OPTIONS="detect_leaks=0:suppressions=$PWD/suppressions" PYTHONPATH="$PWD" "$python" "$@"
}
found=$(run -c 'import pynetstrat._core as core; print(core.__file__)')
case $found in
"$PWD"/*) ;;
*) echo "the tests would take $found, which is not the instrumented one" >&2; exit 1 ;;
esac
# test_core.py runs the programs above again. The others count system calls, and ASan has its own;
# or want no LD_PRELOAD in the environment.
export WORKER_PYTHON=$python
mapfile -t workers < <(tests/workers.sh)
run -m pytest -q "${workers[@]}" tests --ignore tests/test_core.py \
    --deselect tests/cli/test_run.py::test_the_environment_is_the_callers \
    --deselect tests/rtnetlink/test_socket_system_calls.py::test_the_system_calls_of_link_set_up \
    --deselect tests/test_sysfs_proof.py::test_a_reading_with_a_known_proof_makes_two_more_system_calls |
    tee pytest.log
passed=$(grep -o '[0-9]* passed' pytest.log | tail -n 1)

echo "$runs runs of the ${#programs[@]} C programs (ASan+UBSan, TSan, valgrind), $passed Python tests (ASan+UBSan): 0 findings"
