#!/usr/bin/env bash
# Which lines and branches of the C core its own tests reach: 95 % of the lines of each file, and
# every branch of the files that make no system call, which is where bytes are read and written.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=build/ccoverage
rm -rf "$folder"
mapfile -t sources <csrc/sources
pure=(name.c counter_text.c batch.c message.c link.c link_change.c counters.c address.c route.c
    qdisc.c nsid.c nft.c nft_table.c nft_elements.c)

CC=gcc CFLAGS='-O0 -g --coverage' LDFLAGS='--coverage' tests/c/build.sh "$folder"
cd "$folder"
for source in ../../tests/c/test_*.c; do
    program=./$(basename "$source" .c)
    echo "$program: $("$program" | tail -n 1)"
done

# gcov's figures for the files of the core: "FILE LINES% LINES TAKEN% BRANCHES"
gcov --branch-probabilities --branch-counts "${sources[@]/%.c/.o}" |
    awk -F "[':% ]+" '
        /^File/ { file = $2; sub(".*/", "", file); wanted = $2 ~ /csrc\// }
        /^$/ { wanted = 0 }
        wanted && /^Lines executed/ { lines[file] = $3; line_count[file] = $5 }
        wanted && /^Taken at least once/ { taken[file] = $5; branch_count[file] = $7 }
        END { for (file in lines)
                  print file, lines[file], line_count[file], taken[file] + 0, branch_count[file] + 0 }
    ' | sort >figures

column -t figures
echo "lines that no test reaches:"
grep -n '#####:' -- *.c.gcov || echo "  none"
awk -v wanted=${#sources[@]} -v pure=" ${pure[*]} " '
    $1 ~ /\.c$/ { files++; covered += $2 * $3; lines += $3; taken += $4 * $5; branches += $5 }
    $2 < 95 { print $1 ": less than 95 % of the lines"; bad = 1 }
    index(pure, " " $1 " ") && $4 < 100 { print $1 ": not every branch"; bad = 1 }
    END {
        if (files != wanted) { print "figures are missing"; bad = 1 }
        if (lines)
            printf "csrc: %.1f %% of %d lines, %.1f %% of %d branches by the C tests; 100 %% of the codec\n",
                covered / lines, lines, taken / branches, branches
        exit bad
    }' figures
