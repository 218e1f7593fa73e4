#!/usr/bin/env python3
"""Prints the busiest interfaces, computed by numpy on the kernel's counters without a copy.

The `counters` of `RtnetlinkSocket.dump_counters` are a two-dimensional memoryview. numpy uses it as
an array of unsigned 64-bit numbers, with one row for each interface, without copying it and without
a Python object for each number. Each dump has memory of its own, so two dumps can be subtracted.

    numpy_rates.py [SECONDS [ROWS]]
"""

from __future__ import annotations

import sys
import time

import numpy as np

from pynetstrat import RtnetlinkSocket


def busiest(interval: float, rows: int) -> None:
    """Prints the interfaces that transferred the most bytes.

    Parameters:
        interval: seconds between the two dumps.
        rows: how many interfaces to print.
    """
    with RtnetlinkSocket() as socket:
        first = socket.dump_counters()
        then = time.monotonic()
        time.sleep(interval)
        second = socket.dump_counters()
        seconds = time.monotonic() - then

    before = np.asarray(first.counters)
    now = np.asarray(second.counters)
    assert not now.flags.owndata  # numpy uses the memory of the dump
    # The rows of the interfaces that exist in both dumps. If a counter has decreased, a new
    # interface has the index of one that was deleted.
    _, at, then_at = np.intersect1d(second.ifindexes, first.ifindexes, return_indices=True)
    same = (now[at] >= before[then_at]).all(axis=1)
    at, then_at = at[same], then_at[same]
    rates = (now[at] - before[then_at]) / seconds
    moved = rates[:, 0] + rates[:, 4]  # rx_bytes and tx_bytes
    for row in np.argsort(moved, kind="stable")[::-1][:rows]:
        print(f"{second.names[at[row]]:16}{moved[row] / 1000:12.1f} kB/s")
    print(f"{len(at)} interfaces, {moved.sum() / 1000:.1f} kB/s in total")


if __name__ == "__main__":
    busiest(
        float(sys.argv[1]) if len(sys.argv) > 1 else 1.0,
        int(sys.argv[2]) if len(sys.argv) > 2 else 10,
    )
