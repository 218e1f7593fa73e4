"""The measurements: groups of cases, whole processes, and single calls under churn."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter_ns, sleep

import harness
import monitor
import veth
import wiring
import work

import pynetstrat

HERE = Path(__file__).parent

#: What was measured: its process's runs, by case; a run has `loops` and `values`. Those of the
#: containers have the CPU seconds of each value as `cpu`, and all but the bare calls' as `held` the
#: resident bytes and open descriptors.
Runs = dict[str, list[dict]]


#: Cases that are compared with bare C, each in a pair with it alone; all others are peers.
OURS = (
    *("pynetstrat", "dump_counters", "dump_stats", "read_columns", "read", "LinkMonitor.read"),
    *("HostCounters.refresh", "HostCounters.read"),
)
UNCHECKED = "send + recv"  # the same system calls from Python; measured beside our case
LEAST, LEAST_OF_A_PEER = 7, 3  # values of a row: some take seconds


def group(name: str, bare: Path, processes: int, values: int, seconds: float) -> Runs:
    """Measures one of work.GROUPS, in so many fresh sets of processes.

    A case of ours and bare C are measured as a pair, without the peers between them: pyroute2 and
    psutil empty the processor's caches, and whoever came next would pay for it. The peers follow.

    Parameters:
        bare: the directory of the two programs of the bare system calls.
        processes: how many sets of processes.
        values, seconds: as for `harness.by_turns`.
    """
    _, operation, cases = work.GROUPS[name]
    # A namespace may have no interface other than lo.
    interface = "lo" if name in ("dump", "containers", "scrape") else work.INTERFACE
    program = [str(bare / "bare"), interface, "/sys/class/net"]
    if name in work.CONTAINERS:
        program = [str(bare / "bare_wiring"), str(work.CONTAINERS[name]), str(wiring.PAIRS)]
    present = [case for case in cases if case not in work.missing()]
    pairs = [["bare C", case] for case in present if case in OURS]
    if UNCHECKED in present:
        pairs[0].append(UNCHECKED)
    peers = [case for case in present if case not in (*OURS, UNCHECKED)]
    runs: Runs = {}
    for _ in range(processes):
        with contextlib.ExitStack() as stack:
            servers = {"bare C": _server(stack, program)}
            for case in present:
                servers[case] = _server(
                    stack, [sys.executable, str(HERE / "worker.py"), name, case]
                )
            for together in (*pairs, peers):
                timers = {case: servers[case].timer(operation) for case in together}
                least = LEAST_OF_A_PEER if together is peers else LEAST
                for case, run in harness.by_turns(timers, values, seconds, least).items():
                    runs.setdefault(case, []).append(run)
                    if name != "containers":
                        continue
                    run["cpu"] = servers[case].cpu[-len(run["values"]) :]
                    if case != "bare C":
                        run["held"] = list(map(int, servers[case].ask("held").split()))
    return {case: runs[case] for case in ("bare C", *cases) if case in runs}


def _server(stack: contextlib.ExitStack, arguments: list[str]) -> harness.Server:
    server = harness.Server(arguments)
    stack.callback(server.close)
    return server


def startup(values: int) -> Runs:
    """Whole interpreters. Not the virtual environment's: its start-up files (*.pth) cost more than
    what is measured, and belong to the tools that are installed beside. `-I`: no user's, either."""
    installed = [path for path in sys.path if path.endswith("site-packages")]
    packages = [str(HERE.parent), str(HERE.parent / "tests"), *installed]
    programs = {
        "bare interpreter": "",
        "pynetstrat, lo up": "import pynetstrat; pynetstrat.get_strategy('loopback').initialize()",
        "reference.py, lo up": "import reference; reference.link_set_up('lo')",
        "psutil, import": "import psutil",
        "pyroute2, import": "import pyroute2",
    }
    python = str(getattr(sys, "_base_executable", sys.executable))
    timers = {
        name: harness.process(
            [python, "-I", "-c", f"import sys; sys.path[:0] = {packages}; {code}"]
        )
        for name, code in programs.items()
        if name.split(",")[0] not in work.missing()
    }
    found = harness.once_by_turns(timers, values)
    return {name: [run] for name, run in found.items()}


def tails(seconds: float, churners: int) -> dict[str, list[int]]:
    """The nanoseconds of single calls, taken by turns.

    Parameters:
        churners: so many other processes make and delete veth pairs meanwhile.
    """
    others = [
        subprocess.Popen(
            [sys.executable, str(HERE / "veth.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(churners)
    ]
    found: dict[str, list[int]] = {"get_stats": [], "SysfsReader.read": []}
    with pynetstrat.RtnetlinkSocket() as socket, pynetstrat.SysfsReader(work.INTERFACE) as reader:
        end = perf_counter_ns() + round(seconds * 1e9)
        now = 0
        while now < end:
            start = perf_counter_ns()
            socket.get_stats(work.INTERFACE)
            middle = perf_counter_ns()
            reader.read()
            now = perf_counter_ns()
            found["get_stats"].append(middle - start)
            found["SysfsReader.read"].append(now - middle)
    if others:
        found["pairs"] = [sum(int(other.communicate("stop\n")[0]) for other in others)]
    return found


def latencies(bare: Path, turns: int, changes: int) -> dict[str, list[int]]:
    """How many nanoseconds after a change its event is in hand: by case, in so many turns of each.

    A change is a new alias, two milliseconds after the last one: the time at which it begins to be
    made. It is made by this process, for one case at a time.

    Parameters:
        bare: as for `group`.
        changes: how many in each turn.
    """
    programs = {"bare C": [str(bare / "bare"), monitor.INTERFACE, "/sys/class/net"]}
    for case in monitor.LATENCIES.keys() - work.missing():
        programs[case] = [sys.executable, str(HERE / "monitor.py"), case]
    found: dict[str, list[int]] = {
        case: [] for case in ("bare C", *monitor.LATENCIES) if case in programs
    }
    with contextlib.ExitStack() as stack, veth.Maker() as maker:
        servers = {case: _server(stack, programs[case]) for case in found}
        for _ in range(turns):
            for case, server in servers.items():
                server.ask(f"watch {changes}")  # it is ready
                for _ in range(changes):
                    sleep(0.002)
                    maker.note_time(monitor.INTERFACE)
                found[case].extend(json.loads(server.answer()))
    return found
