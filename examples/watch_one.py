#!/usr/bin/env python3
"""One container's counters, again and again, at the price of eight `pread` calls.

Shows `SysfsReader`: the files are opened once and follow a rename; when the interface is gone, the
next reading says so. By default the counters are those that the container sees: the host's end of
its veth pair with rx and tx exchanged.

    watch_one.py INTERFACE [SECONDS [TIMES]]
"""

from __future__ import annotations

import contextlib
import sys
import time
from itertools import count, islice

from pynetstrat import NetstratError, SysfsReader


def watch(interface: str, interval: float, times: int | None) -> None:
    """Prints a line at every reading."""
    with SysfsReader(interface) as reader:
        for _ in islice(count(), times):
            stats = reader.read()
            print(
                f"{stats.name}: received {stats.rx_bytes:,} B, sent {stats.tx_bytes:,} B",
                flush=True,
            )
            time.sleep(interval)


def main() -> None:
    """Reads the arguments."""
    if len(sys.argv) < 2:
        sys.exit("usage: watch_one.py INTERFACE [SECONDS [TIMES]]")
    interval = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    times = int(sys.argv[3]) if len(sys.argv) > 3 else None
    try:
        with contextlib.suppress(KeyboardInterrupt):
            watch(sys.argv[1], interval, times)
    except NetstratError as error:  # InterfaceNotFoundError, once the interface is gone
        sys.exit(f"watch_one.py: {error}")


if __name__ == "__main__":
    main()
