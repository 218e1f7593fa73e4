"""Compares this tree with another checkout of the project, alternating between them in one run.

.venv/bin/python benchmarks/compare.py BASE [--fast]

`BASE` is the other checkout, built by its build.sh. The first ratio is that of the medians. The
second is that of the fastest tenths, which other programs disturb less. With this tree as BASE the
ratios show the noise.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
from pathlib import Path

import harness
import veth

HERE = Path(__file__).parent
THIS = HERE.parent
INTERFACE = "bench0"
#: Calls by name; a number after a comma is the number of interfaces.
CALLS = (
    *("sysfs one shot", "sysfs held", "get_stats", "up, kept", "up, fresh"),
    *("LinkMonitor.read", "dump_counters, 1001", "dump_stats, 1001"),
)
#: Cases of wiring.py, each of which makes its own host namespace.
WIRING = (
    *("container wired", "wired and torn down", "200 containers wired"),
    *("1,000 pairs made", "1,000 pairs deleted"),
)
#: Cases of containers.py, each with 1,000 containers.
CONTAINERS = ("read_columns", "read", "HostCounters.refresh", "HostCounters.read", "scrape")
ROWS = (*CALLS, *WIRING, *CONTAINERS)


def case(name: str) -> harness.Timer:
    """Returns a row's timer, made with names that every version has."""
    if name in WIRING:
        return _wiring(name)
    if name in CONTAINERS:
        import containers

        return (containers.CASES | containers.SCRAPE)[name]()
    if name == "LinkMonitor.read":
        import monitor

        return monitor.EVENTS[name]()

    import pynetstrat

    operation = name.split(",")[0] if name.startswith("dump") else name
    if operation == "sysfs one shot":
        return harness.python(lambda: pynetstrat.get_network_interface_stats(INTERFACE))
    if operation == "sysfs held":
        return harness.python(pynetstrat.SysfsReader(INTERFACE).read)
    if operation == "up, fresh":
        return harness.python(pynetstrat.get_strategy("loopback").initialize)
    socket = pynetstrat.RtnetlinkSocket()
    if operation == "up, kept":
        return harness.python(lambda: socket.link_set_up("lo"))
    if operation == "get_stats":
        return harness.python(lambda: socket.get_stats(INTERFACE))
    return harness.python(getattr(socket, operation))


def _wiring(name: str) -> harness.Timer:
    import wiring

    if name == "1,000 pairs made":
        return wiring.MADE["pynetstrat"]()
    if name == "1,000 pairs deleted":
        return wiring.DELETED["pynetstrat"]()
    host = wiring.Host(wiring.MANY)
    wire, unwire = wiring.of_pynetstrat(host)
    if name == "container wired":
        return host.wired(wire)
    if name == "200 containers wired":
        return host.wired_many(wire)
    return host.cycled(wire, unwire)


def serve(name: str, tree: str) -> None:
    """Answers lines like worker.py, for one row and one tree."""
    sys.path.insert(0, tree)
    os.chdir(tree)  # the exporter is run by `python -m`, which looks here first
    timer = case(name)
    for line in sys.stdin:
        print(round(timer(int(line.split()[-1])) * 1e9), flush=True)


def _python(tree: Path) -> str:
    own = tree / ".venv/bin/python"
    return str(own) if own.exists() else sys.executable


def by_turns(trees: list[Path], name: str, values: int, seconds: float) -> list[list[float]]:
    """Returns the values of each tree, measured alternately."""
    servers = [
        harness.Server([_python(tree), str(HERE / "compare.py"), "--serve", name, str(tree)])
        for tree in trees
    ]
    timers = {str(number): server.timer(name) for number, server in enumerate(servers)}
    for timer in timers.values():
        timer(1)  # fails if the row cannot be measured
    loops = max(harness.calibrate(timer, seconds)[0] for timer in timers.values())
    found = [[timer(loops) / loops for timer in timers.values()] for _ in range(values)]
    for server in servers:
        server.close()
    return [list(column) for column in zip(*found, strict=True)]


def startup(trees: list[Path], values: int) -> list[list[float]]:
    """Returns how much longer interpreters that bring `lo` up take than one that does nothing."""
    python = str(getattr(sys, "_base_executable", sys.executable))
    programs = {"bare": ""}
    for number, tree in enumerate(trees):
        installed = sorted(map(str, tree.glob(".venv/lib/python3*/site-packages")))
        paths = [str(tree), *installed]
        programs[str(number)] = (
            f"import sys; sys.path[:0] = {paths}; "
            "import pynetstrat; pynetstrat.get_strategy('loopback').initialize()"
        )
    timers = {name: harness.process([python, "-I", "-c", code]) for name, code in programs.items()}
    found = [run["values"] for run in harness.once_by_turns(timers, values).values()]
    return [[value - bare for value, bare in zip(run, found[0], strict=True)] for run in found[1:]]


def show(name: str, base: list[float], this: list[float]) -> None:
    fast, middle = (
        [statistics.quantiles(values, n=10)[at] for values in (base, this)] for at in (0, 4)
    )
    print(
        f"{name:24} {middle[0] * 1e6:9.2f} {middle[1] * 1e6:9.2f} µs"
        f"   {middle[1] / middle[0]:5.3f}   {fast[1] / fast[0]:5.3f}",
        flush=True,
    )


def measure(
    name: str, trees: list[Path], sets: int, values: int, seconds: float
) -> tuple[list[float], list[float]]:
    """Returns the values of a row for both trees, measured in ABBA order."""
    columns: tuple[list[float], list[float]] = ([], [])
    if name in WIRING:
        values = max(3, values // 10)
    elif name in CONTAINERS:
        values = max(3, values // 4)
    for turn in range(sets):
        step = 1 if turn % 2 == 0 else -1
        if name == "import and lo up":
            found = startup(trees[::step], values // 4)
        else:
            found = by_turns(trees[::step], name, values, seconds)
        for column, more in zip(columns, found[::step], strict=True):
            column.extend(more)
    return columns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("--fast", action="store_true", help="fewer values")
    parser.add_argument("--only", action="append", help="a row, by its name")
    arguments = parser.parse_args()
    base = arguments.base.resolve()
    sets, values, seconds = (4, 51, 0.001) if arguments.fast else (12, 101, 0.002)

    sys.path.insert(0, str(THIS))
    import containers

    import pynetstrat
    from pynetstrat.cli import _fresh_namespaces

    _fresh_namespaces.enter()
    pynetstrat.link_set_up("lo")
    print(f"{'':24} {'BASE':>9} {'this':>9}      ratio   of the fastest")
    for name in (*ROWS, "import and lo up"):
        if arguments.only and name not in arguments.only:
            continue
        with containers.made(1000) if name in CONTAINERS else contextlib.nullcontext():
            if name not in CONTAINERS:
                veth.fill(1001 if name.startswith("dump") else 3)
            show(name, *measure(name, [base, THIS], sets, values, seconds))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
    else:
        main()
