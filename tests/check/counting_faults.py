"""Makes each system call, message and notification of ContainerCounters and LinkMonitor fail.

One fault at a time, injected by faulty.c (see wiring_faults.py). A call must then return the right
result or raise a NetstratError that names the failed operation, and never return another
interface's counters. It must leave no descriptor open, and succeed when it is repeated without the
fault.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import support
import wiring_faults as base
from helpers_network import own_run, process_carriers, quieten
from support import Links, inside
from wiring_faults import CALLS, MESSAGE, Fault, findings, nothing_left

from pynetstrat import (
    Batch,
    ContainerCounters,
    KernelError,
    LinkMonitor,
    NetstratError,
    NetworkInterface,
    NetworkNamespace,
    RtnetlinkSocket,
)
from pynetstrat.cli import _fresh_namespaces

NOTIFICATION = MESSAGE + 1
CALLS_OF = [*CALLS, "message", "notification"]
RTM_GETLINK = 18
INDEX = 777


def seen(name: str, number: int) -> NetworkInterface:
    count, size = support.pattern(number)
    return NetworkInterface(name, rx_bytes=count * size, rx_packets=count)


class Stage:
    """A host with three containers, and the changes that are made to them.

    `one` has a veth that is renamed. `two` has a veth that is deleted and created again with the
    same index, and a macvlan. `big` has a link that is too large for a dump.
    """

    def __init__(self) -> None:
        _fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWNET)
        quieten()
        self.links = Links()
        self.links.add_veth("p0", "p1")
        self.namespaces = {}
        for name in ("one", "two", "big"):
            self.namespaces[name] = NetworkNamespace.create(name)
        self.turn = 0
        self.wire("one", "v0", 1)
        self.wire("big", "v1", 3)
        with RtnetlinkSocket() as host:
            parent, netns = host.get_link("p0").index, self.namespaces["two"]
            host.execute(Batch().add_macvlan("mac0", parent, mode="private", netns=netns))
        with self.within("big") as container_links:
            for number in range(300):
                container_links.add_altname("eth0", f"{number:03}" + "n" * 124)
        self.wire("two", "v2", 100, INDEX)
        # Later notifications would change the number of system calls of a steady call.
        process_carriers(None, *self.namespaces.values())

    def wire(self, namespace: str, host: str, number: int, index: int = 0) -> None:
        netns = self.namespaces[namespace].fileno()
        self.links.add_veth(host, "eth0", peer_netns=netns, index=index, up=False)
        with self.within(namespace) as container_links:
            container_links.set_up("eth0")
        self.links.set_up(host)
        support.send_frames(host, *support.pattern(number))

    @contextlib.contextmanager
    def within(self, namespace: str) -> Iterator[Links]:
        with inside(self.namespaces[namespace].fileno()), Links() as container_links:
            yield container_links

    def names(self) -> dict[str, str]:
        return {"one": f"net{self.turn}" if self.turn else "eth0", "big": f"b{self.turn % 2}"}

    def change(self) -> None:
        """Makes a change to each container."""
        for namespace in ("one", "big"):
            before = "eth0" if self.turn == 0 else self.names()[namespace]
            with self.within(namespace) as container_links:
                self.turn += 1
                container_links.rename(socket.if_nametoindex(before), self.names()[namespace])
                self.turn -= 1
        self.turn += 1
        self.links.delete("v2")
        self.wire("two", "v2", 100 + self.turn % 100, INDEX)

    def expected(self) -> dict[str, dict[str, NetworkInterface]]:
        names = self.names()
        big = "eth0" if self.turn == 0 else names["big"]
        return {
            "one": {names["one"]: seen(names["one"], 1)},
            "two": {"eth0": seen("eth0", 100 + self.turn % 100), "mac0": NetworkInterface("mac0")},
            "big": {big: seen(big, 3)},
        }

    def add(self, counters: ContainerCounters) -> None:
        for name in self.namespaces:
            counters.add(name, name)

    def close(self) -> None:
        self.links.close()
        for namespace in self.namespaces.values():
            namespace.close()
        for name in NetworkNamespace.names():
            NetworkNamespace.delete(name)


def every(work: Callable[[], object]) -> Iterator[Fault]:
    """All faults that can be injected into a call."""
    counts, types = base.measure(work)
    yield from base.faults(counts, types, brief=False)
    for number in range(1, base.faulty.faulty_count(NOTIFICATION) + 1):
        yield Fault(NOTIFICATION, 0, number, "", f"notification {number} lost")


def judge(
    where: str, fault: Fault, error: BaseException | None, struck: bool, steady: bool = True
) -> None:
    """Reports a wrong outcome of a call.

    Parameters:
        struck: whether the fault was injected.
        steady: whether the call makes the same system calls every time, so that it must have been.
    """
    if not struck:
        if steady:
            findings.add(where, fault, "the fault was not reached")
        return
    findings.count(where, fault, "ok" if error is None else "error")
    if error is None:
        return
    if not isinstance(error, NetstratError):
        findings.add(where, fault, f"not a NetstratError: {error!r}")
    elif not getattr(error, "operation", "") or error.operation not in str(error):
        findings.add(where, fault, f"the failed operation is not named: {error!r}")


def is_refused(fault: Fault) -> bool:
    return fault.what == MESSAGE and fault.error == errno.EPERM


def is_false_end(fault: Fault) -> bool:
    """Whether the fault reports the end of a namespace that still exists."""
    return (
        fault.what == MESSAGE
        and fault.error == errno.EINVAL
        and f"type {RTM_GETLINK}" in str(fault)
    )


def check_reading(where: str, fault: Fault, found: Any, expected: dict[str, Any]) -> None:
    if is_false_end(fault):
        expected = {key: rows for key, rows in expected.items() if key in found}
    if found != expected:
        findings.add(where, fault, f"found {found}, expected {expected}")


# ---- ContainerCounters ----


def try_open() -> None:
    """Opens it in a host namespace that has no nsid for itself yet, once for each fault."""
    where = "ContainerCounters()"
    opened: list[ContainerCounters] = []

    def work() -> None:
        opened.append(ContainerCounters())

    _fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWNET)
    faults = list(every(work))
    opened.pop().close()
    for fault in faults:
        _fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWNET)
        with nothing_left(where, fault):
            judge(where, fault, *fault.strike(work))
            while opened:
                with (
                    opened.pop() as counters,
                    NetworkNamespace.create() as namespace,
                    Links() as links,
                ):
                    links.add_veth("v0", "eth0", peer_netns=namespace.fileno())
                    with inside(namespace.fileno()), Links() as container_links:
                        container_links.set_up("eth0")
                    counters.add("one", namespace)
                    support.send_frames("v0", *support.pattern(1))
                    row = seen("eth0", 1)
                    if is_refused(fault):  # so the owner of the peer is unknown
                        row.rx_dropped = row.rx_packets  # as the container end counts them
                    check_reading(where, fault, counters.read(), {"one": {"eth0": row}})


def try_add(stage: Stage) -> None:
    where = "add"

    def attempt(fault: Fault | None) -> list[Fault]:
        with ContainerCounters() as counters, NetworkNamespace.create("new") as namespace:
            counters.add("one", "one")
            try:
                if fault is None:
                    return list(every(lambda: counters.add("new", "new")))
                judge(where, fault, *fault.strike(lambda: counters.add("new", "new")))
                counters.discard("new")
                counters.add("new", namespace)
                expected = {"one": stage.expected()["one"], "new": {}}
                check_reading(where, fault, counters.read(), expected)
                if counters.gone() and not is_false_end(fault):
                    findings.add(where, fault, f"gone: {counters.gone()}")
            finally:
                NetworkNamespace.delete("new")
        return []

    for fault in attempt(None):
        with nothing_left(where, fault):
            attempt(fault)


def try_read(stage: Stage, where: str, prepare: Callable[[], None], *, steady: bool) -> None:
    def renew() -> ContainerCounters:
        counters = ContainerCounters()
        stage.add(counters)
        counters.read()
        return counters

    counters = renew()
    prepare()
    for fault in list(every(counters.read)):
        prepare()
        found: list[Any] = []
        with nothing_left(where, fault):
            error, struck = fault.strike(lambda: found.append(counters.read()))  # noqa: B023
            judge(where, fault, error, struck, steady)
        for reading in (*found, counters.read()):
            check_reading(where, fault, reading, stage.expected())
        if counters.gone():
            if not is_false_end(fault):
                findings.add(where, fault, f"gone: {counters.gone()}")
            counters.close()
            counters = renew()
    counters.close()


def try_gone(stage: Stage) -> None:
    where = "gone"

    def attempt(fault: Fault | None) -> list[Fault]:
        with ContainerCounters() as counters:
            stage.add(counters)
            namespace = NetworkNamespace.create()
            counters.add("ending", namespace)
            with ContainerCounters() as witness:
                witness.add("ending", namespace)
                namespace.close()
                while not witness.gone():
                    pass
            if fault is None:
                return list(every(counters.gone))
            found: list[Any] = []
            error, struck = fault.strike(lambda: found.append(counters.gone()))
            judge(where, fault, error, struck)
            if CALLS_OF[fault.what] == "recvfrom" and fault.error == errno.EAGAIN:
                found.clear()  # the notification seemed not to have arrived
            for gone in (*found, counters.gone()):
                if gone != ["ending"]:
                    findings.add(where, fault, f"gone: {gone}")
            check_reading(where, fault, counters.read(), stage.expected())
        return []

    for fault in attempt(None):
        with nothing_left(where, fault):
            attempt(fault)


# ---- LinkMonitor ----


class Replay:
    """Applies events as a reader would."""

    def __init__(self) -> None:
        self.known: dict[Any, Any] = {}

    def apply_events(self, where: str, fault: Fault, monitor: LinkMonitor) -> None:
        for event in monitor.read():
            thing = event.link or event.address
            link = event.link is not None
            key = thing.index if link else (thing.ifindex, thing.address, thing.peer)
            if (event.kind.endswith("removed") or event.previous) and key not in self.known:
                findings.add(where, fault, f"{event} is about something unknown")
            if event.kind.endswith("removed"):
                self.known.pop(key, None)
            else:
                self.known[key] = thing


def in_the_kernel() -> dict[Any, Any]:
    with RtnetlinkSocket() as sock:
        known: dict[Any, Any] = {link.index: link for link in sock.dump_links().values()}
        for address in sock.dump_addresses():
            known[address.ifindex, address.address, address.peer] = address
    return known


def try_monitor_open() -> None:
    where = "LinkMonitor()"
    opened: list[LinkMonitor] = []

    def work() -> None:
        opened.append(LinkMonitor(addresses=True))

    faults = list(every(work))
    for monitor in opened:
        monitor.close()
    for fault in faults:
        opened.clear()
        with nothing_left(where, fault):
            judge(where, fault, *fault.strike(work))
            for monitor in opened:
                check_monitor(where, fault, monitor, Replay())
                monitor.close()


def check_monitor(where: str, fault: Fault, monitor: LinkMonitor, replay: Replay) -> None:
    """Checks that the monitor reaches the kernel's state; a refused dump may be raised first."""
    for _ in range(2):
        with contextlib.suppress(KernelError):
            replay.apply_events(where, fault, monitor)
    replay.apply_events(where, fault, monitor)
    until = time.monotonic() + 20  # while kernel workers finish
    while (in_kernel := in_the_kernel()) != replay.known and time.monotonic() < until:
        replay.apply_events(where, fault, monitor)
    if replay.known != in_kernel:
        known = {key: value for key, value in replay.known.items() if in_kernel.get(key) != value}
        in_kernel = {
            key: value for key, value in in_kernel.items() if replay.known.get(key) != value
        }
        findings.add(where, fault, f"reported: {known}, in the kernel: {in_kernel}")


def try_monitor_read(stage: Stage) -> None:
    where = "LinkMonitor.read"

    def change(number: int) -> None:
        with RtnetlinkSocket() as host:
            host.execute(Batch().add_veth("x0", "x1", up=True).add_bridge("br0"))
            master = host.get_link("br0").index
            index = host.get_link("x0").index
            host.execute(
                Batch()
                .set_link("x0", master=master)
                .set_link("x0", hairpin=True)
                .add_address(index, f"192.0.2.{1 + number % 200}/24")
                .set_link("p1", mtu=1000 + number % 100)
            )

    def attempt(number: int, fault: Fault | None) -> list[Fault]:
        replay = Replay()
        with LinkMonitor(addresses=True) as monitor:
            if fault is not None or number:
                replay.apply_events(where, base.NOTHING, monitor)
            change(number)
            try:
                if fault is None:
                    return list(every(monitor.read))
                error, struck = fault.strike(lambda: replay.apply_events(where, fault, monitor))
                # Carrier notifications arrive at any time.
                judge(where, fault, error, struck, steady=False)
                check_monitor(where, fault, monitor, replay)
                stage.links.delete("x0")
                check_monitor(where, fault, monitor, replay)
            finally:
                for name in ("x0", "br0"):
                    with contextlib.suppress(OSError):
                        stage.links.delete(name)
        return []

    for first in (0, 1):  # during the first dump, and after it
        for number, fault in enumerate(attempt(first, None), 1):
            with nothing_left(where, fault):
                attempt(number, fault)


def main() -> None:
    base.faulty = ctypes.CDLL(os.environ.pop("LD_PRELOAD"))
    _fresh_namespaces.enter()
    with own_run():
        try_open()
        stage = Stage()
        try_add(stage)
        try_read(stage, "read", lambda: None, steady=True)
        # Carrier notifications arrive at any time after a change.
        try_read(stage, "read after changes", stage.change, steady=False)
        try_gone(stage)
        try_monitor_open()
        try_monitor_read(stage)
        stage.close()
    for name, number in findings.tried.items():
        print(f"  {name:40} {number:5} faults")
    print("  ended:", ", ".join(f"{name} {number}" for name, number in findings.ended.items()))
    print(f"{sum(findings.tried.values())} faults tried, {findings.found} findings")
    sys.exit(findings.found > 0)


if __name__ == "__main__":
    main()
