#!/usr/bin/env bash
# Coverage-guided fuzzing of the core, all targets at once, for FUZZ_SECONDS (60) each, under ASan and
# UBSan; then what the corpus in the repository reaches of the pure files: every branch, or it fails.
#
# An input that breaks something is left in build/fuzz/found/. Mended, it belongs in
# tests/fuzz/corpus/TARGET/, where every later run begins with it.
set -euo pipefail
cd "$(dirname "$0")/../.."

targets=(decode counter encode error socket)
seconds=${FUZZ_SECONDS:-60}
out=$PWD/build/fuzz
mapfile -t core < <(sed 's|^|csrc/|' csrc/sources)
# The files that parse or build messages and texts, and make no system call.
pure=(csrc/{name,counter_text,batch,message,link,link_change,counters,address,route,qdisc,nsid}.c
    csrc/nft{,_table,_elements}.c)

need() {
    command -v "$1" >/dev/null || { echo "no $1: apt-get install $2"; exit 1; }
}
need clang clang
llvm=$(clang -dumpversion | cut -d. -f1)
need "llvm-cov-$llvm" llvm
need "llvm-profdata-$llvm" llvm
mkdir -p "$out"
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n); int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n == 1 ? 0 : 0; }' |
    clang -x c - -fsanitize=fuzzer,address -o "$out/probe" 2>/dev/null ||
    { echo "clang has no fuzzer: apt-get install libclang-rt-$llvm-dev"; exit 1; }

# build TARGET OUTPUT FLAGS..
build() {
    local target=$1 output=$2 wraps=()
    shift 2
    if [ "$target" = socket ]; then
        for call in send recvfrom recvmsg poll clock_gettime getsockname setsockopt getsockopt bind; do
            wraps+=("-Wl,--wrap=$call")
        done
    fi
    clang -std=c11 -g -Wall -Wextra -Werror "$@" -Icsrc "tests/fuzz/fuzz_$target.c" "${core[@]}" \
        "${wraps[@]}" -pthread -o "$output"
}

rm -rf "$out/found"
mkdir -p "$out/found"
for target in "${targets[@]}"; do
    build "$target" "$out/fuzz_$target" -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
    build "$target" "$out/cover_$target" -O0 -fsanitize=fuzzer -fprofile-instr-generate -fcoverage-mapping
done

echo "== what the corpus reaches"
objects=()
for target in "${targets[@]}"; do
    [ -n "$(ls "tests/fuzz/corpus/$target")" ]
    LLVM_PROFILE_FILE=$out/$target "$out/cover_$target" -runs=0 -artifact_prefix="$out/found/" \
        "tests/fuzz/corpus/$target" \
        >"$out/$target.log" 2>&1 || {
            grep -aE 'does not hold|ERROR|runtime error' "$out/$target.log" || tail -n 20 "$out/$target.log"
            echo "$target fails on a seed; a copy: $(ls "$out/found/")"
            exit 1
        }
    objects+=(-object "$out/cover_$target")
done
"llvm-profdata-$llvm" merge -o "$out/corpus.profdata" "${targets[@]/#/$out/}"
report() {
    "llvm-cov-$llvm" report -instr-profile "$out/corpus.profdata" "${objects[@]:1}" -show-functions \
        -show-branch-summary "$@"
}
report "${core[@]}" | tee "$out/coverage"
# Line: name, then regions, lines and branches: each how many, how many missed, and a share. Of
# internal.h count the functions that read bytes; each file has a copy of those, of which the one that
# reaches most counts.
report "${pure[@]}" >"$out/pure"
report csrc/internal.h >"$out/beside"
awk '
    NF != 10 || $1 == "TOTAL" || $2 !~ /^[0-9]+$/ { next }
    FILENAME ~ /beside$/ && $1 !~ /(is_space|align|cursor_skip|attribute_take|_decode)$/ { next }
    { name = $1; sub(/^[a-z_]+\.c:netstrat_/, "internal.h:netstrat_", name); missed = $6 + $9
      if (!(name in least) || missed < least[name]) { least[name] = missed; all[name] = $8 } }
    END { for (name in least) print name, all[name], least[name] }' \
    "$out/pure" "$out/beside" | sort >"$out/reached"
read -r branches missed < <(awk '{ all += $2; missed += $3 } END { print all, missed + 0 }' "$out/reached")
[ "$branches" -gt 300 ] || { echo "the coverage report was misread"; exit 1; }
[ "$missed" -eq 0 ] || {
    awk '$3 > 0 { print $1 ": " $3 " branches and lines missed" }' "$out/reached"
    echo "the corpus misses some of what reads and makes messages: add seeds (tests/fuzz/README.md)"
    exit 1
}
read -r kernel_branches kernel_missed < <(report csrc/{socket,exchange,name_cache,operations,containers}.c |
    awk '$1 == "TOTAL" { branches += $8; missed += $9 } END { print branches, missed }')

echo "== fuzzing, $seconds s"
running=()
for target in "${targets[@]}"; do
    mkdir -p "$out/corpus/$target"
    "$out/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=2048 \
        -print_final_stats=1 -artifact_prefix="$out/found/$target-" "$out/corpus/$target" \
        "tests/fuzz/corpus/$target" >"$out/$target.log" 2>&1 &
    running+=($!)
done
bad=0
for i in "${!targets[@]}"; do
    if ! wait "${running[$i]}"; then
        bad=1
        grep -E 'does not hold|ERROR|runtime error|SUMMARY' "$out/${targets[$i]}.log" || tail -n 20 "$out/${targets[$i]}.log"
        echo "${targets[$i]} fails on: $(ls "$out/found/${targets[$i]}-"* 2>/dev/null)"
    fi
done
[ "$bad" -eq 0 ] || exit 1

figures=''
total=0
for target in "${targets[@]}"; do
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$target.log")
    figures+=" $target $runs,"
    total=$((total + runs))
done
echo "$total executions in $seconds s a target, nothing found (${figures:1:-1}); the corpus reaches all" \
    "$branches branches of the pure files, $((kernel_branches - kernel_missed))" \
    "of $kernel_branches of socket.c, exchange.c, name_cache.c, operations.c and containers.c"
