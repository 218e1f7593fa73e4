#!/usr/bin/env bash
# Static analysers over the C core, and over every shell script: no finding at all.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in gcc clang-tidy cppcheck shellcheck; do
    command -v "$tool" >/dev/null ||
        { echo "no $tool: install it (Debian: apt-get install gcc clang-tidy cppcheck shellcheck)" >&2; exit 1; }
done
strict=(-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror)
sources=(csrc/*.c)

echo "gcc -fanalyzer"
for source in "${sources[@]}"; do
    gcc -fanalyzer -O2 "${strict[@]}" -c "$source" -o /dev/null
done

echo "clang-tidy (csrc/.clang-tidy)"
# It counts what it leaves out of the system's headers, and nothing else, on stderr.
clang-tidy --quiet "${sources[@]}" -- -std=c11 2>/dev/null

echo "cppcheck"
# missingIncludeSystem: it needs no header of the system's. unusedStructMember: the fields of a header
# that is copied whole, of which some are of use, and the bytes of a union that give it its size.
cppcheck --quiet --std=c11 --enable=warning,style,performance,portability \
    --suppress=missingIncludeSystem --suppress=unusedStructMember:csrc/counters.c \
    --suppress=unusedStructMember:csrc/socket.c --suppress=unusedStructMember:csrc/sysfs.c \
    --error-exitcode=1 "${sources[@]}"

echo "shellcheck"
scripts=()
while read -r script; do
    scripts+=("$script")
done < <(find . \( -path ./.venv -o -path ./build -o -path ./dist -o -path ./.git \) -prune -o \
    -type f \( -name '*.sh' -o -name '*.bash' -o -path './.ci/*' \) -print | sort)
shellcheck -x "${scripts[@]}"

echo "${#sources[@]} C files by 3 analysers, ${#scripts[@]} scripts by shellcheck: 0 findings"
