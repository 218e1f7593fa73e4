#!/usr/bin/env python3
"""Prints the counters of one container's interface again and again, by eight `pread` calls.

`SysfsReader` opens the files of the interface once, and follows a rename. After the interface was
deleted, the next reading raises InterfaceNotFoundError. INTERFACE is the host end of a veth pair;
by default its counters are converted to the container's side, with rx and tx exchanged.

    watch_one.py INTERFACE [SECONDS [TIMES]]
"""

from __future__ import annotations

import contextlib
import sys
import time
from itertools import count, islice

from pynetstrat import NetstratError, SysfsReader


def watch(interface: str, interval: float, times: int | None) -> None:
    """Prints a line for each reading.

    Parameters:
        interface: the host end of the container's veth pair.
        interval: seconds between two readings.
        times: how many readings; None: until interrupted.
    """
    with SysfsReader(interface) as reader:
        for _ in islice(count(), times):
            stats = reader.read()
            print(
                f"{stats.name}: received {stats.rx_bytes:,} B, sent {stats.tx_bytes:,} B",
                flush=True,
            )
            time.sleep(interval)


def main() -> None:
    """Reads the command line, and prints errors."""
    if len(sys.argv) < 2:
        sys.exit("usage: watch_one.py INTERFACE [SECONDS [TIMES]]")
    interval = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    times = int(sys.argv[3]) if len(sys.argv) > 3 else None
    try:
        with contextlib.suppress(KeyboardInterrupt):
            watch(sys.argv[1], interval, times)
    except NetstratError as error:  # InterfaceNotFoundError, after the interface was deleted
        sys.exit(f"watch_one.py: {error}")


if __name__ == "__main__":
    main()
