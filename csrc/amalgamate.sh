#!/usr/bin/env bash
# Writes the core as two files, netstrat.c and netstrat.h, to be copied into another source tree.
#
#   csrc/amalgamate.sh FOLDER
set -euo pipefail

out=${1:?usage: csrc/amalgamate.sh FOLDER}
source=$(dirname "$0")
mkdir -p "$out"
version=$(sed -n 's/^#define NETSTRAT_VERSION "\(.*\)"$/\1/p' "$source/netstrat.h")

# The licence requires its whole text, including the copyright line, in every copy.
licence() {
    echo "/* netstrat $version, generated from csrc/ by amalgamate.sh. Do not edit."
    echo ' *'
    sed -e 's|^| * |' -e 's| *$||' "$source/../LICENSE"
    echo ' */'
}

{
    licence
    cat "$source/netstrat.h"
} | awk '$0 != "/* SPDX-License-Identifier: MIT */"' |
    sed '1i /* SPDX-License-Identifier: MIT */' >"$out/netstrat.h"
{
    licence
    # In one file, the functions that files share need no external linkage.
    sed 's/^#define NETSTRAT_PRIVATE .*/#define NETSTRAT_PRIVATE static/' "$source/internal.h"
    while read -r file; do
        printf '\n/* ==== %s ==== */\n' "$file"
        grep -v '^#include "internal.h"$' "$source/$file"
    done <"$source/sources"
} | awk '$0 != "/* SPDX-License-Identifier: MIT */"' |
    sed '1i /* SPDX-License-Identifier: MIT */' >"$out/netstrat.c"
echo "$out: netstrat.c ($(wc -l <"$out/netstrat.c") lines), netstrat.h, version $version"
