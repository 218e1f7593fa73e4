"""Every system call of the package's operations made to fail, by strace, one at a time.

All operations run at once, each in a child process of its own, to which strace is attached before
it begins: so `when=N` is the Nth call of each operation, and Python's own start is left alone. What
comes of a fault is the right result, or a NetstratError that names the operation that failed; the
descriptors stay as they were, and nothing hangs.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from pynetstrat import (
    Batch,
    ContainerCounters,
    CounterParseError,
    LinkMonitor,
    Loopback,
    NetstratError,
    RtnetlinkSocket,
    SysfsReader,
    get_network_interface_stats,
    link_set_up,
    read_sysfs_network_stats,
)
from pynetstrat.cli import _fresh_namespaces

NETNS = "/proc/self/ns/net"
PATIENCE = 30  # seconds; a call's own timeout is one

# ---- the operations ----


def _reader(netns: str | None = None) -> object:
    with SysfsReader("lo", perspective="host", netns=netns) as reader:
        reader.read()
        return dataclasses.astuple(reader.read())


def _socket(work: Callable[[RtnetlinkSocket], object], netns: str | None = None) -> object:
    with RtnetlinkSocket(netns, timeout=1) as rtnetlink:
        return work(rtnetlink)


def _twice(rtnetlink: RtnetlinkSocket) -> object:
    rtnetlink.get_stats("lo")
    return dataclasses.astuple(rtnetlink.get_stats("lo"))


def _columns(rtnetlink: RtnetlinkSocket) -> object:
    counters = rtnetlink.dump_counters()
    return counters.names, counters.ifindexes.tolist(), counters.counters.tolist()


def _rows(rtnetlink: RtnetlinkSocket) -> object:
    return {name: dataclasses.astuple(row) for name, row in rtnetlink.dump_stats().items()}


def _batch(rtnetlink: RtnetlinkSocket) -> object:
    rtnetlink.execute(Batch().set_link("lo", up=True).set_link("lo", txqueuelen=1000))
    return None


def _containers(netns: str) -> object:
    with ContainerCounters(timeout=1) as counters:
        counters.add("own", netns)
        return counters.read(), counters.gone()


def _monitor(netns: str | None = None) -> object:
    with LinkMonitor(netns, addresses=True) as monitor:
        for _ in range(100):  # it never waits, and may be said to have nothing yet
            events = monitor.read()
            if events:
                break
        return [(event.kind, event.link and event.link.name) for event in events]


OPERATIONS: dict[str, Callable[[], object]] = {
    "link_set_up": lambda: link_set_up("lo"),
    "link_set_up in a netns": lambda: link_set_up("lo", netns=NETNS),
    "Loopback.initialize in a netns": lambda: Loopback().initialize(netns=NETNS),
    "RtnetlinkSocket.link_set_up": lambda: _socket(lambda s: s.link_set_up("lo")),
    "RtnetlinkSocket.link_is_up": lambda: _socket(lambda s: s.link_is_up("lo")),
    "RtnetlinkSocket.get_link": lambda: _socket(lambda s: s.get_link("lo")),
    "RtnetlinkSocket.dump_links": lambda: _socket(lambda s: s.dump_links()),
    "RtnetlinkSocket.execute": lambda: _socket(_batch),
    "RtnetlinkSocket.get_stats": lambda: _socket(_twice),
    "RtnetlinkSocket.dump_stats": lambda: _socket(_rows),
    "RtnetlinkSocket.dump_counters": lambda: _socket(_columns),
    "RtnetlinkSocket.dump_counters in a netns": lambda: _socket(_columns, NETNS),
    "get_network_interface_stats": lambda: dataclasses.astuple(get_network_interface_stats("lo")),
    "get_network_interface_stats in a netns": lambda: dataclasses.astuple(
        get_network_interface_stats("lo", netns=NETNS)
    ),
    "read_sysfs_network_stats": lambda: read_sysfs_network_stats("lo", "rx_bytes"),
    "ContainerCounters, a container in a netns": lambda: _containers(NETNS),
    "LinkMonitor": _monitor,
    "LinkMonitor in a netns": lambda: _monitor(NETNS),
    "SysfsReader": _reader,
    "SysfsReader in a netns": lambda: _reader(NETNS),
}

# Operations with a helper thread, which strace's log lists by its own id, not the process's.
WITH_HELPERS = {name for name in OPERATIONS if name.endswith("in a netns")}

# ---- the faults ----

# By system call: the errnos that it may have (the manual pages, the kernel's code, EINTR; "retval="
# is a call that comes short), and the steps that an error may name.
FAULTS: dict[str, tuple[str, set[str]]] = {
    "socket": ("EACCES EAFNOSUPPORT EINTR EMFILE ENFILE ENOBUFS ENOMEM EPERM", {"socket"}),
    "setsockopt": ("EBADF EINTR EINVAL ENOMEM ENOPROTOOPT EPERM", {"setsockopt"}),
    "getsockopt": ("EBADF EINTR ENOPROTOOPT", {"getsockopt"}),
    "getsockname": ("EBADF EINTR ENOBUFS", {"getsockname"}),
    "bind": ("EADDRINUSE EINTR EINVAL ENOMEM EPERM", {"bind"}),
    "sendto": ("EACCES EAGAIN ECONNREFUSED EINTR EMSGSIZE ENOBUFS ENOMEM EPERM retval=4", {"send"}),
    "recvfrom": ("EAGAIN EBADF EINTR ENOBUFS ENOMEM EPERM retval=0", {"recvfrom"}),
    "recvmsg": ("EAGAIN EBADF EINTR ENOBUFS ENOMEM EPERM retval=0", {"recvfrom"}),
    "poll": ("EINTR EINVAL ENOMEM", {"poll"}),
    "openat": (
        "EACCES EINTR EIO ELOOP EMFILE ENFILE ENODEV ENOENT ENOMEM ENOTDIR ENXIO EPERM",
        {"open", "openat", "open netns"},
    ),
    "read": ("EAGAIN EINTR EINVAL EIO EISDIR ENODEV ENOMEM retval=0", {"read"}),
    "pread64": ("EINTR EINVAL EIO ENODEV ENOMEM ESPIPE retval=0", {"pread"}),
    "readlink": ("EACCES EIO ENOENT ENOMEM retval=0", {"readlink"}),
    "newfstatat": ("EACCES EIO ENOENT ENOMEM", {"fstat"}),
    "statx": ("EACCES EIO EINVAL ENOSYS", {"readlink", "fstat"}),
    "fstatfs": ("EBADF ENOSYS", set()),
    "fsopen": ("EMFILE ENODEV ENOMEM ENOSYS EPERM", {"fsopen"}),
    "fsconfig": ("EINVAL ENOMEM EPERM", {"fsconfig"}),
    "fsmount": ("EMFILE EINVAL ENOMEM EPERM", {"fsmount"}),
    "close": ("EINTR EIO EBADF", set()),
    "setns": ("EBADF EINTR EINVAL ENOMEM EPERM ESRCH", {"setns"}),
    "clone3": ("EAGAIN ENOMEM EPERM", {"pthread_create"}),
    "sched_setaffinity": ("EINVAL EPERM ENOSYS", set()),
}
# Without this nothing ever waits: the kernel answers at once.
BESIDE = {"poll": ["--inject=recvfrom:error=EAGAIN:when=1+2"]}


def _describe(operation: Callable[[], object]) -> str:
    try:
        return f"ok {operation()!r}"
    except CounterParseError as error:
        return f"error parse {error}"
    except NetstratError as error:
        return f"error {getattr(error, 'operation', '?').replace(' ', '_')} {error}"
    except BaseException:
        return "crash " + traceback.format_exc().replace("\n", " | ")


@dataclasses.dataclass
class Child:
    """An operation, stopped before its beginning."""

    name: str
    pid: int
    pipe: int
    outcome: str = ""


def _start(name: str) -> Child:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        signal.alarm(PATIENCE)
        os.kill(os.getpid(), signal.SIGSTOP)
        outcome = _describe(OPERATIONS[name])
        os.write(writing, outcome.encode("utf-8", "backslashreplace")[:60000])
        while True:
            signal.pause()
    os.close(writing)
    os.waitpid(pid, os.WUNTRACED)
    return Child(name, pid, reading)


def _descriptors(pid: int) -> set[str]:
    return {path.name for path in Path(f"/proc/{pid}/fd").iterdir()}


def _are_kept(child: Child, before: set[str], call: str) -> bool:
    # strace makes close() fail in place of closing, which Linux would do all the same: once in each
    # thread.
    after = _descriptors(child.pid)
    spared = 1 + (child.name in WITH_HELPERS) if call == "close" else 0
    return before <= after and len(after - before) <= spared


def _attach(children: list[Child], options: list[str], log: str) -> subprocess.Popen[str]:
    pids = [f"--attach={child.pid}" for child in children]
    strace = subprocess.Popen(
        ["strace", "-f", "-o", log, *options, *pids], stderr=subprocess.PIPE, text=True
    )
    assert strace.stderr
    for _ in children:
        line = strace.stderr.readline()
        if "attached" not in line:
            sys.exit(f"strace can't be used here: {line}{strace.stderr.read()}")
    return strace


def inject(call: str, fault: str, number: int, log: str) -> tuple[dict[str, str], set[str], int]:
    """One fault in every operation: how each ended, which were struck, how many helper threads."""
    kind = fault if fault.startswith("retval=") else f"error={fault}"
    beside = BESIDE.get(call, [])
    traced = ",".join([call, *(option.split("=")[1].split(":")[0] for option in beside)])
    options = [f"--trace={traced}", f"--inject={call}:{kind}:when={number}", *beside]
    children = [_start(name) for name in OPERATIONS]
    before = {child.pid: _descriptors(child.pid) for child in children}
    strace = _attach(children, options, log)
    for child in children:
        os.kill(child.pid, signal.SIGCONT)
    for child in children:
        if select.select([child.pipe], [], [], PATIENCE + 5)[0]:
            child.outcome = os.read(child.pipe, 65536).decode()
        if not child.outcome:
            child.outcome = "crash (killed, or it hangs)"
        elif not _are_kept(child, before[child.pid], call):
            child.outcome = f"crash (descriptors leaked) {child.outcome}"
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        os.close(child.pipe)
    strace.communicate()
    injected = [line for line in Path(log).read_text().splitlines() if "(INJECTED)" in line]
    marks = (f" {call}(", f" {call} resumed")
    threads = {int(line.split()[0]) for line in injected if any(mark in line for mark in marks)}
    names = {child.name for child in children if child.pid in threads}
    outcomes = {child.name: child.outcome for child in children}
    return outcomes, names, len(threads) - len(names)


def _is_fine(call: str, fault: str, outcome: str, right: str, hit: bool) -> bool:
    kind, _, rest = outcome.partition(" ")
    if outcome == right or kind != "error" or not hit:
        return outcome == right
    operation = rest.split(" ")[0]
    if rest.startswith("open_"):
        operation = operation.replace("_", " ")
    short = fault.startswith("retval=") or fault == "EAGAIN"
    return operation in FAULTS[call][1] or (short and operation in {"parse", "recvfrom"})


def main() -> None:
    _fresh_namespaces.enter()
    link_set_up("lo")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x" * 100, ("127.0.0.1", 9))  # so that not all counters are 0
    for operation in OPERATIONS.values():
        operation()  # what they import is loaded before the faults begin
    for operation in (lambda: link_set_up("nonesuch"), lambda: read_sysfs_network_stats("lo", "x")):
        with contextlib.suppress(NetstratError):
            operation()
    right = {name: f"ok {operation()!r}" for name, operation in OPERATIONS.items()}

    tried: collections.Counter[str] = collections.Counter()
    results: collections.Counter[str] = collections.Counter()
    findings = 0
    with tempfile.TemporaryDirectory() as folder:
        for call, (faults, _) in FAULTS.items():
            for fault in faults.split():
                for number in range(1, 100):
                    outcomes, struck, helpers = inject(call, fault, number, f"{folder}/log")
                    if not struck and not helpers:
                        break
                    tried[call] += len(struck) + helpers
                    for name, outcome in outcomes.items():
                        hit = name in struck or (helpers > 0 and name in WITH_HELPERS)
                        results[outcome.split(" ")[0] if hit else "untouched"] += 1
                        if not _is_fine(call, fault, outcome, right[name], hit):
                            findings += 1
                            print(f"{name}, {call} number {number}, {fault}: {outcome}")
    for call in FAULTS:
        print(f"  {call:12} {tried[call]:5} faults")
        if not tried[call]:
            findings += 1
            print(f"{call} was never called")
    print(f"  ended well: {results['ok']}, with an error: {results['error']}")
    print(f"{sum(tried.values())} faults tried, {findings} findings")
    sys.exit(findings > 0)


if __name__ == "__main__":
    main()
