#!/usr/bin/env python3
"""Prints the rates of every interface of the namespace once a second.

`RtnetlinkSocket.dump_counters` reads the counters of all interfaces in one exchange, on a socket
that stays open. Interfaces are identified by their index, which a rename does not change. A new
interface may have the index of a deleted one: if a counter has decreased, its rate is left out
until the next dump.

    poller.py [SECONDS [TIMES]]
"""

from __future__ import annotations

import contextlib
import sys
import time
from itertools import count, islice

from pynetstrat import RtnetlinkSocket

COLUMNS = {"rx kB/s": (0, 1000), "rx pkt/s": (1, 1), "tx kB/s": (4, 1000), "tx pkt/s": (5, 1)}


def poll(interval: float, times: int | None) -> None:
    """Prints the rates after each dump but the first.

    Parameters:
        interval: seconds between two dumps.
        times: how often to print; None: until interrupted.
    """
    with RtnetlinkSocket() as socket:
        before: dict[int, list[int]] = {}
        then = 0.0
        for turn in islice(count(), None if times is None else times + 1):
            if turn:
                time.sleep(interval)
            table = socket.dump_counters()
            now = time.monotonic()
            rows = dict(zip(table.ifindexes, table.counters.tolist(), strict=True))
            if turn:
                print(f"{'interface':16}" + "".join(f"{title:>12}" for title in COLUMNS))
            for name, (index, row) in zip(table.names, rows.items(), strict=True):
                if index not in before:
                    continue
                change = [new - old for new, old in zip(row, before[index], strict=True)]
                if min(change) < 0:  # another interface has this index now
                    continue
                rates = (change[at] / unit / (now - then) for at, unit in COLUMNS.values())
                print(f"{name:16}" + "".join(f"{rate:12.1f}" for rate in rates))
            before, then = rows, now
            sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        poll(
            float(sys.argv[1]) if len(sys.argv) > 1 else 1.0,
            int(sys.argv[2]) if len(sys.argv) > 2 else None,
        )
