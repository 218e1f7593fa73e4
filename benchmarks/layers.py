"""Measures each layer of the short calls alone, alternately with the bare system calls."""

from __future__ import annotations

import argparse
import statistics
from functools import partial

import harness
import veth
import work
from pynetstrat._core import ffi, lib

import pynetstrat
from pynetstrat.cli import _fresh_namespaces


def layers(bare: harness.Server) -> dict[str, dict[str, harness.Timer]]:
    """Returns the layers by operation, from the bare calls up to the public method."""
    socket = pynetstrat.RtnetlinkSocket()
    socket.get_stats(work.INTERFACE)  # resolves the name
    other = pynetstrat.RtnetlinkSocket()
    reader = pynetstrat.SysfsReader(work.INTERFACE)
    error = ffi.new("struct netstrat_error *")
    counters = ffi.new("struct netstrat_counters *")
    native = socket._native
    index = socket._indexes[work.INTERFACE]
    python = harness.python
    return {
        "get_stats": {
            "bare C": bare.timer("get_stats"),
            "core, by cffi": python(
                partial(
                    lib.netstrat_counters_get, native._sock, native._watch, index, counters, error
                )
            ),
            "and a list": python(partial(native.get_stats, index, work.INTERFACE)),
            "public": python(partial(socket.get_stats, work.INTERFACE)),
            "send + recv": work.unchecked_get_stats(),
        },
        "link_set_up": {
            "bare C": bare.timer("up_kept"),
            "core, by cffi": python(
                partial(lib.netstrat_link_set_up, other._native._sock, b"lo", error)
            ),
            "and the name": python(partial(other._native.set_up, "lo")),
            "public": python(partial(other.link_set_up, "lo")),
            "send + recv": work.unchecked_up(),
        },
        "SysfsReader.read": {
            "bare C": bare.timer("sysfs_held"),
            "core, by cffi": python(
                partial(lib.netstrat_sysfs_reader_read, reader._native._reader, counters, error)
            ),
            "and a list": python(reader._native.read),
            "public": python(reader.read),
        },
        "Loopback.initialize": {
            "bare C": bare.timer("up_fresh"),
            "core, by cffi": python(partial(lib.netstrat_link_set_up_once, b"lo", error)),
            "and the name": python(partial(pynetstrat.link_set_up, "lo")),
            "public": python(pynetstrat.Loopback().initialize),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bare", help="build/bench/bare, which the benchmarks build")
    program = parser.parse_args().bare
    _fresh_namespaces.enter()
    pynetstrat.link_set_up("lo")
    veth.fill(3)
    bare = harness.Server([program, work.INTERFACE, "/sys/class/net"])
    for operation, timers in layers(bare).items():
        found = harness.by_turns(timers, 61, 0.01)
        medians = {name: statistics.median(run["values"]) * 1e6 for name, run in found.items()}
        for name, median in medians.items():
            print(f"{operation:20} {name:14} {median:6.2f} µs  {median / medians['bare C']:5.2f}")


if __name__ == "__main__":
    main()
