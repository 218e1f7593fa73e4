"""Runs one case in its own process: `worker.py GROUP CASE`.

Answers each line "CASE LOOPS" like bare.c, with the elapsed nanoseconds and the nanoseconds of CPU
time. Answers the line "held" with the resident bytes and the number of open descriptors.
"""

from __future__ import annotations

import os
import sys

import harness
import work


def main() -> None:
    group, case = sys.argv[1:]
    timer = work.GROUPS[group][2][case]()
    for line in sys.stdin:
        if line == "held\n":
            print(*harness.held(), flush=True)
            continue
        before = harness.cpu_ns()
        took = timer(int(line.split()[-1]))
        print(round(took * 1e9), harness.cpu_ns() - before, flush=True)
    os._exit(0)  # does not wait for what a peer leaves running, such as pyroute2's event loop


if __name__ == "__main__":
    main()
