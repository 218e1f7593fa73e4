"""One case in a process of its own: `worker.py GROUP CASE`.

Each line "CASE LOOPS" is answered as by bare.c with a line, the nanoseconds that passed and those
of the CPU; the line "held" with the resident bytes and the open descriptors.
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
    os._exit(0)  # what the peers leave running (pyroute2's event loop) must not hold it up


if __name__ == "__main__":
    main()
