"""One case in a process of its own: `worker.py GROUP CASE`.

Each line "CASE LOOPS" is answered with a line, nanoseconds: as bare.c.
"""

from __future__ import annotations

import os
import sys

import work


def main() -> None:
    group, case = sys.argv[1:]
    timer = work.GROUPS[group][2][case]()
    for line in sys.stdin:
        print(round(timer(int(line.split()[-1])) * 1e9), flush=True)
    os._exit(0)  # what the peers leave running (pyroute2's event loop) must not hold it up


if __name__ == "__main__":
    main()
