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

#: The runs of each case, one for each process. A run has `loops` and `values`. Runs of the group
#: "containers" also have `cpu`, the CPU seconds of each value, and except for the bare calls
#: `held`, the resident bytes and the open descriptors.
Runs = dict[str, list[dict]]


#: Cases that are measured in a pair with bare C. All others are peers.
OURS = (
    *("pynetstrat", "dump_counters", "dump_stats", "read_columns", "read", "LinkMonitor.read"),
    *("HostCounters.refresh", "HostCounters.read"),
)
UNCHECKED = "send + recv"  # the same system calls from Python; measured together with our case
LEAST, LEAST_OF_A_PEER = 7, 3  # minimum number of values, for cases whose values take seconds


def group(name: str, bare: Path, processes: int, values: int, seconds: float) -> Runs:
    """Measures a group of work.GROUPS in several fresh sets of processes.

    Each of our cases is measured in a pair with bare C, and the peers follow. pyroute2 and psutil
    displace the contents of the processor's caches, which would slow down the case after them.

    Parameters:
        bare: the folder of the two programs that make the bare system calls.
        processes: the number of sets of processes.
        values, seconds: as for `harness.by_turns`.
    """
    _, operation, cases = work.GROUPS[name]
    # A namespace may have no interface other than lo.
    interface = "lo" if name in ("dump", "containers", "scrape") else work.INTERFACE
    program = [str(bare / "bare"), interface, "/sys/class/net"]
    if name in work.CONTAINERS:
        program = [str(bare / "bare_wiring"), str(work.CONTAINERS[name]), str(wiring.PAIRS)]
    elif name in work.NFT:
        program = [str(bare / "bare_nft")]
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
    """Measures whole interpreters.

    They run outside the virtual environment, and with `-I`: start-up files (*.pth) of other
    installed tools take longer than what is measured.
    """
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
    """Returns the nanoseconds of single calls of two operations, measured alternately.

    Parameters:
        seconds: the time for all calls.
        churners: the number of other processes that make and delete veth pairs at the same time.
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
    for other in others:
        assert other.stdout
        other.stdout.readline()  # an interpreter may take longer to start than all calls
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
    """Returns by case how many nanoseconds after each change its event was received.

    Every two milliseconds this process sets the alias of a link to the current time. One case at a
    time receives the events.

    Parameters:
        bare: the folder of the two programs that make the bare system calls.
        turns: how often each case is measured.
        changes: the number of changes in each turn.
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
                server.ask(f"watch {changes}")  # answered when it is ready
                for _ in range(changes):
                    sleep(0.002)
                    maker.note_time(monitor.INTERFACE)
                found[case].extend(json.loads(server.answer()))
    return found
