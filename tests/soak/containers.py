"""Tests ContainerCounters and LinkMonitor while containers start and end.

One process makes containers, with and without a name, and adds interfaces of every kind: veth pairs
on a bridge and point to point, macvlans, and devices that were moved there. It renames the
interfaces, moves them between containers, swaps them, deletes them and creates others with the same
index, and ends containers. At the same time there are four readers: two threads that share a
ContainerCounters, and a thread and a process with their own. The number in an interface's name
determines its traffic. For each row the program checks that

- the counters are those of the interface, and not less than in the last reading;
- the interface has been in that container;
- the container has not ended before the reading began, and gone() lists no living container.

Two LinkMonitors watch the host namespace and the namespace with peers. At the end the readers must
show exactly the existing interfaces, and the monitors the links of the kernel. Memory and
descriptors must not grow.

SOAK_CONTAINERS_SECONDS (25) sets the length.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import support
from soak import SLACK_KIB, WrongError, rss_kib
from support import Links, inside

from pynetstrat import (
    Batch,
    ContainerCounters,
    Event,
    KernelError,
    LinkMonitor,
    NetworkInterface,
    NetworkNamespace,
    RtnetlinkSocket,
)
from pynetstrat.cli import _fresh_namespaces

SECONDS = float(os.environ.get("SOAK_CONTAINERS_SECONDS", "25"))
PATIENCE = 60  # seconds to wait for the end of namespaces and processes

REGISTRY = Path("/run/soak")  # a symbolic link for each living container, named by its number
EXPECTED = Path("/run/soak-expected.json")
BRIDGE, PARENT = "br0", "p0"
FRAMES = 3
MOST = 10  # containers at a time; twice as many interfaces in all
INDEXES = 12  # of the host ends: used again and again
LIVING, ENDING, ENDED = range(3)
BRIDGED, DIRECT, MACVLAN, MOVED = "bdmx"


class Shared:
    """The state that the processes share, in shared memory.

    Attributes:
        over: whether the changes have ended.
        released: whether the containers may end.
    """

    def __init__(self, most: int = 4096 + int(100 * SECONDS)) -> None:
        self._states = mmap.mmap(-1, most)
        self._owners = mmap.mmap(-1, 64 * most)
        self._over = mmap.mmap(-1, 4096)

    def touch(self) -> None:
        """Reads every page, so that later accesses do not count as growing memory."""
        for pages in (self._states, self._owners, self._over):
            for at in range(0, len(pages), mmap.PAGESIZE):
                _ = pages[at]

    @property
    def over(self) -> bool:
        return bool(self._over[0])

    @over.setter
    def over(self, value: bool) -> None:
        self._over[0] = value

    @property
    def released(self) -> bool:
        return bool(self._over[1])

    def release(self) -> None:
        self._over[1] = True

    def state(self, container: int) -> int:
        return self._states[container]

    def set_state(self, container: int, state: int) -> None:
        self._states[container] = state

    # A byte for each pair. Other processes could see a larger value half written.
    def enters(self, number: int, container: int) -> None:
        """Records that the interface is about to enter the container."""
        self._owners[64 * number + container % 64] = 1

    def was_in(self, number: int, container: int) -> bool:
        return bool(self._owners[64 * number + container % 64])


def size_of(number: int) -> int:
    return 100 + number % 900


def send(name: str, number: int) -> None:
    support.send_frames(name, FRAMES, size_of(number))


# ---- changes ----


class Container:
    """A network namespace that a name or a process keeps alive, and its path."""

    def __init__(self, number: int, named: bool) -> None:
        self.number = number
        self.name = f"c{number}" if named else ""
        self.child = 0
        with NetworkNamespace.create(self.name) as made:
            if named:
                path = f"/run/netns/{self.name}"
            else:
                self.child = os.fork()
                if self.child == 0:
                    support.die_with_parent()
                    _fresh_namespaces.setns(made.fileno(), _fresh_namespaces.CLONE_NEWNET)
                    while True:
                        signal.pause()
                path = f"/proc/{self.child}/ns/net"
                while Path(path).stat().st_ino != made.id[1]:
                    time.sleep(0.001)
        self.path = path
        (REGISTRY / str(number)).symlink_to(path)

    def end(self) -> None:
        (REGISTRY / str(self.number)).unlink()
        if self.child:
            os.kill(self.child, signal.SIGKILL)
            os.waitpid(self.child, 0)
        else:
            NetworkNamespace.delete(self.name)

    @contextlib.contextmanager
    def open(self) -> Iterator[int]:
        with NetworkNamespace.open(self.path) as namespace:
            yield namespace.fileno()


class Changes:
    """Makes random changes."""

    def __init__(self, shared: Shared, far: int) -> None:
        self.shared, self.far = shared, far
        self.random = random.Random(int(SECONDS))
        self.links = Links()
        with inside(far):
            self.far_links = Links()
        self.host = RtnetlinkSocket()
        self.ends = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.ends.bind((0, 0))
        self.ends.setsockopt(270, 1, 28)  # NETLINK_ADD_MEMBERSHIP, RTNLGRP_NSID
        self.containers: dict[int, Container] = {}
        self.interfaces: dict[int, tuple[str, int]] = {}  # name and container by number
        self.ending: dict[int, int] = {}  # containers by id of their namespace
        self.created = self.made = 0
        self.done: Counter[str] = Counter()

    def run(self, deadline: float) -> dict[str, int]:
        actions = (
            *(self.create, self.end, self.add, self.add, self.rename, self.move, self.swap),
            *(self.replace, self.delete, self.rename_host, self.flood),
        )
        while time.monotonic() < deadline:
            action = self.random.choice(actions)
            # Most often an index is taken. The recorded state is correct all the same.
            with contextlib.suppress(FileExistsError, IndexError):
                action()
                self.done[action.__name__] += 1
            self.note_ends(0)
        until = time.monotonic() + PATIENCE
        while self.ending:
            if time.monotonic() > until:
                raise WrongError(f"the kernel does not end {self.ending}")
            self.note_ends(0.1)
        expected = {
            container: {
                name: number
                for number, (name, where) in self.interfaces.items()
                if where == container
            }
            for container in self.containers
        }
        EXPECTED.write_text(json.dumps(expected))
        self.shared.over = True
        while not self.shared.released:
            time.sleep(0.01)
        self.done.update(containers=self.created, interfaces=self.made)
        for opened in (self.ends, self.links, self.far_links, self.host):
            opened.close()
        return dict(self.done)

    def note_ends(self, seconds: float) -> None:
        self.ends.settimeout(seconds)
        with contextlib.suppress(BlockingIOError, TimeoutError):
            while True:
                data = self.ends.recv(4096)
                kind, nsid = (
                    struct.unpack_from("=H", data, 4)[0],
                    struct.unpack_from("=i", data, 24),
                )
                if kind == 89 and nsid[0] in self.ending:  # RTM_DELNSID
                    self.shared.set_state(self.ending.pop(nsid[0]), ENDED)

    def any_container(self) -> Container:
        return self.containers[self.random.choice(list(self.containers))]

    def any_interface(self, kinds: str = "bdmx") -> int:
        return self.random.choice(
            [n for n, (name, _) in self.interfaces.items() if name[0].lower() in kinds]
        )

    def create(self) -> None:
        if len(self.containers) < MOST:
            number, self.created = self.created, self.created + 1
            self.containers[number] = Container(number, named=number % 2 == 0)
            self.add()

    def end(self) -> None:
        if len(self.containers) > MOST // 2:
            container = self.any_container()
            with container.open() as descriptor:
                nsid = self.host.get_nsid(descriptor)
            self.shared.set_state(container.number, ENDING)
            if nsid is not None:
                self.ending[nsid] = container.number
            del self.containers[container.number]
            for number, (_, where) in list(self.interfaces.items()):
                if where == container.number:
                    del self.interfaces[number]
            container.end()

    def add(self, index: int = 0, kind: str = "") -> None:
        if len(self.interfaces) >= 2 * MOST:
            return
        container = self.any_container()
        number, self.made = self.made, self.made + 1
        kind = kind or self.random.choice((BRIDGED, DIRECT, MACVLAN, MOVED))
        name, other = f"{kind}{number}", f"h{number}"
        if index == 0 and self.random.random() < 0.7:
            index = 5000 + self.random.randrange(INDEXES)
        self.shared.enters(number, container.number)
        with container.open() as descriptor:
            if kind == MACVLAN:
                parent = self.host.get_link(PARENT).index
                batch = Batch().add_macvlan(name, parent, mode="private", netns=descriptor)
                self.host.execute(batch)
            elif kind == MOVED and number % 2:
                with inside(self.far):
                    self.far_links.add_veth(other, name, peer_netns=descriptor, up=False)
            elif kind == MOVED:
                self.links.add_veth(other, name, up=False)
                self.links.move(name, descriptor)
                self.links.move(other, self.far)
            else:
                self.links.add_veth(other, name, peer_netns=descriptor, index=index, up=False)
            self.interfaces[number] = name, container.number
            with inside(descriptor), Links() as inner:
                inner.set_up(name)
                if kind == MACVLAN:
                    send(name, number)
        if kind == BRIDGED:
            self.links.set_master(other, BRIDGE)
        if kind == MOVED:
            with inside(self.far):
                self.far_links.set_up(other)
                send(other, number)
        elif kind != MACVLAN:
            self.links.set_up(other)
            send(other, number)

    def delete(self) -> None:
        number = self.any_interface()
        name, where = self.interfaces[number]
        if self.random.random() < 0.5 and name[0].lower() in (BRIDGED, DIRECT):
            self.links.delete(f"h{number}")
        else:
            with self.containers[where].open() as descriptor, inside(descriptor), Links() as inner:
                inner.delete(name)
        del self.interfaces[number]

    def replace(self) -> None:
        """Deletes a pair, and adds another with the same index in any container."""
        number = self.any_interface(BRIDGED + DIRECT)
        index = socket.if_nametoindex(f"h{number}")
        self.links.delete(f"h{number}")
        del self.interfaces[number]
        self.add(index, self.random.choice((BRIDGED, DIRECT)))

    def rename(self) -> None:
        number = self.any_interface()
        name, where = self.interfaces[number]
        with self.containers[where].open() as descriptor, inside(descriptor), Links() as inner:
            inner.rename(socket.if_nametoindex(name), name.swapcase())
        self.interfaces[number] = name.swapcase(), where

    def flood(self) -> None:
        for _ in range(20):
            self.rename()

    def rename_host(self) -> None:
        number = self.any_interface(BRIDGED + DIRECT)
        index = socket.if_nametoindex(f"h{number}")
        self.links.rename(index, f"g{number}")
        self.links.rename(index, f"h{number}")

    def carry(self, number: int, container: Container) -> None:
        name, where = self.interfaces[number]
        self.shared.enters(number, container.number)
        with container.open() as to, self.containers[where].open() as out_of:
            with inside(out_of), Links() as inner:
                inner.move(name, to)
            self.interfaces[number] = name, container.number
            with inside(to), Links() as inner:
                inner.set_up(name)

    def move(self) -> None:
        number, container = self.any_interface(), self.any_container()
        if self.interfaces[number][1] != container.number:
            self.carry(number, container)

    def swap(self) -> None:
        one, other = self.any_interface(), self.any_interface()
        first, second = (self.containers[self.interfaces[n][1]] for n in (one, other))
        if first is not second:
            self.carry(one, second)
            self.carry(other, first)


# ---- readers ----


def number_of(name: str) -> int:
    return int(name[1:])


def is_of(row: NetworkInterface, whole: bool = False) -> bool:
    """Whether a row may be the counters of the interface with its name.

    The kernel counts packets and bytes one after the other, so a reading may have a frame in one of
    them alone.

    Parameters:
        whole: whether all frames have been sent.
    """
    number = number_of(row.name)
    used, unused = (row.rx_packets, row.rx_bytes), (row.tx_packets, row.tx_bytes)
    if row.name[0].lower() == MACVLAN:
        used, unused = unused, used
    packets, octets = used
    frames, rest = divmod(octets, size_of(number))
    return (
        rest == 0
        and (packets == frames == FRAMES if whole else max(packets, frames) <= FRAMES)
        and abs(packets - frames) <= 1
        and (*unused, row.rx_errors, row.tx_errors) == (0, 0, 0, 0)
    )


class Reader:
    """A ContainerCounters that follows the registry."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.counters = ContainerCounters()
        self.lock = threading.Lock()  # for the following attributes
        self.known: set[int] = set()
        self.done: Counter[str] = Counter()

    def follow(self) -> None:
        """Adds new containers, and discards ended ones."""
        with self.lock:
            for container in self.counters.gone():
                if self.shared.state(container) == LIVING:
                    raise WrongError(f"{container} is not gone")
                self.counters.discard(container)
                self.known.discard(container)
                self.done["gone"] += 1
            for container in {int(name) for name in os.listdir(REGISTRY)} - self.known:  # noqa: PTH208
                try:
                    self.counters.add(container, (REGISTRY / str(container)).readlink())
                except OSError as error:
                    if self.shared.state(container) == LIVING:
                        raise WrongError(f"{container}: {error}") from error
                    continue
                self.known.add(container)
                self.done["added"] += 1

    def read(self, last: dict[int, tuple[int, int]], columns: bool) -> None:
        """Reads once and checks each row.

        Parameters:
            last: the packets in the last reading, by the number of the interface.
            columns: whether to use `read_columns`.
        """
        ended = {c for c in list(self.known) if self.shared.state(c) == ENDED}
        if columns:
            table = self.counters.read_columns()
            rows = [
                (key, NetworkInterface(name, *values))
                for key, name, values in zip(
                    table.keys, table.names, table.counters.tolist(), strict=True
                )
            ]
            keys = set(table.keys)
        else:
            read = self.counters.read()
            rows = [(key, row) for key, found in read.items() for row in found.values()]
            keys = set(read)
        if keys & ended:
            raise WrongError(f"ended before this reading: {keys & ended}")
        for key, row in rows:
            number = number_of(row.name)
            if not is_of(row):
                raise WrongError(f"{key}: {row}")
            if not self.shared.was_in(number, key):
                state = self.shared.state(key)
                raise WrongError(f"{row.name} has never been in {key}, whose state is {state}")
            packets = row.rx_packets, row.tx_packets
            if packets < last.get(number, (0, 0)):
                raise WrongError(f"{key}: {row}: it had {last[number]}")
            last[number] = packets
        with self.lock:
            self.done["readings"] += 1
            self.done["rows"] += len(rows)

    def run(self, until: float) -> None:
        last: dict[int, tuple[int, int]] = {}
        for turn in range(1 << 62):
            if time.monotonic() > until or self.shared.over:
                return
            try:
                self.follow()
                self.read(last, turn % 3 == 0)
            except KernelError as error:
                if error.errno != errno.EAGAIN:
                    raise
                with self.lock:
                    self.done["never settled"] += 1
            if len(last) > 150:  # otherwise deleted interfaces count as growing memory
                last = dict(list(last.items())[-50:])
            time.sleep(0.0005)  # leave the processors to the other processes

    def finish(self) -> None:
        """Checks that a reading shows exactly the existing interfaces."""
        expected = json.loads(EXPECTED.read_text())
        self.follow()
        read = self.counters.read()
        found = {str(c): {name: number_of(name) for name in rows} for c, rows in read.items()}
        if found != expected:
            raise WrongError(f"found {found}, expected {expected}")
        for rows in read.values():
            for row in rows.values():
                if not is_of(row, whole=True):
                    raise WrongError(f"at the end: {row}")
        if self.counters.gone():
            raise WrongError(f"gone at the end: {self.counters.gone()}")
        self.counters.close()


def wait_until_over(shared: Shared) -> None:
    until = time.monotonic() + 2 * PATIENCE
    while not shared.over:
        if time.monotonic() > until:
            raise WrongError("the changes do not end")
        time.sleep(0.01)


def work_to_the_end(run: Callable[[float], None], shared: Shared) -> list[int]:
    """Runs to the end. Returns the memory in KiB after 30 % of the time and at the end."""
    end = time.monotonic() + SECONDS
    run(end - 0.7 * SECONDS)
    before, descriptors = rss_kib(), support.descriptors()
    run(end)
    after, held = rss_kib(), support.descriptors()
    if held != descriptors:
        raise WrongError(f"descriptors: {descriptors} before, {held} after")
    run(float("inf"))
    wait_until_over(shared)
    return [before, after]


def measured(readers: list[Reader], threads: list[Reader], shared: Shared) -> dict[str, object]:
    """Runs the readers, and measures memory.

    Parameters:
        threads: the reader of each thread.
    """
    shared.touch()

    def run(until: float) -> None:
        support.run_threads(*(lambda r=r: r.run(until) for r in threads))

    rss = work_to_the_end(run, shared)
    for reader in readers:
        reader.finish()
    totals = sum((reader.done for reader in readers), Counter())
    return {"rss": rss, "totals": totals}


def read_in_threads(shared: Shared) -> dict[str, object]:
    readers = [Reader(shared), Reader(shared)]
    return measured(readers, [readers[0], *readers], shared)


def read_in_process(shared: Shared) -> dict[str, object]:
    reader = Reader(shared)
    return measured([reader], [reader], shared)


# ---- monitors ----


class Watched:
    """A LinkMonitor, and the links that result from its events."""

    def __init__(self, netns: int) -> None:
        self.netns = netns
        self.monitor = LinkMonitor(netns)
        self.links: dict[int, object] = {}
        self.events = 0

    def apply(self, events: list[Event]) -> None:
        self.events += len(events)
        for event in events:
            link = event.link
            if link is None or self.links.get(link.index) != event.previous:
                raise WrongError(f"{event} does not follow {self.links.get(link and link.index)}")
            if event.kind == "removed":
                del self.links[link.index]
            else:
                self.links[link.index] = link

    def finish(self) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            self.apply(self.monitor.read())
            with RtnetlinkSocket(self.netns) as sock:
                links = {link.index: link for link in sock.dump_links().values()}
            self.apply(self.monitor.read())
            if self.links == links:
                break
            if time.monotonic() > until:
                raise WrongError(f"the monitor has {self.links}, the kernel {links}")
            time.sleep(0.1)  # for kernel workers that update carriers
        self.monitor.close()


def watch(shared: Shared, namespaces: list[int]) -> dict[str, object]:
    watched = [Watched(netns) for netns in namespaces]

    def run(until: float) -> None:
        while time.monotonic() < until and not shared.over:
            for one in watched:
                one.apply(one.monitor.read())
            time.sleep(0.02)

    rss = work_to_the_end(run, shared)
    for one in watched:
        one.finish()
    return {"rss": rss, "totals": {"events": sum(one.events for one in watched)}}


# ---- main ----


def main() -> None:
    _fresh_namespaces.enter()
    support.mount("tmpfs", Path("/run"), "tmpfs")
    REGISTRY.mkdir()
    for setting in ("all", "default"):  # the kernel then sends nothing itself
        Path(f"/proc/sys/net/ipv6/conf/{setting}/disable_ipv6").write_text("1")
    with Links() as links:
        links.add_bridge(BRIDGE)
        quiet = ["ip", "link", "set", BRIDGE, "type", "bridge", "mcast_snooping", "0"]
        subprocess.run(quiet, check=True)  # otherwise the bridge sends reports
        links.set_up(BRIDGE)
        links.add_veth(PARENT, "p1")
    shared, far, host = Shared(), support.new_namespace(), support.network_namespace()
    deadline = time.monotonic() + SECONDS

    def start(work: Callable[[], dict[str, object]]) -> Callable[[], dict[str, object]]:
        def run() -> dict[str, object]:
            support.die_with_parent()  # if another process fails
            return work()

        return support.start_process(run)

    def make_changes() -> dict[str, object]:
        try:
            changes = Changes(shared, far)
            for _ in range(MOST // 2 + 1):
                changes.create()
            return {"totals": changes.run(deadline)}  # its child processes end with it
        except BaseException:
            shared.over = True  # otherwise the readers would wait
            raise

    changed = start(make_changes)
    others = {
        "3 readers": start(lambda: read_in_threads(shared)),
        "a reader": start(lambda: read_in_process(shared)),
        "2 monitors": start(lambda: watch(shared, [host, far])),
    }
    results = {who: result() for who, result in others.items()}
    shared.release()
    changes = changed()["totals"]
    totals: Counter[str] = Counter()
    grown = 0
    for who, result in results.items():
        before, after = result["rss"]
        print(f"{who}: RSS {before} KiB after warm-up, {after} KiB at the end")
        grown = max(grown, after - before)
        totals.update(result["totals"])
    if grown > SLACK_KIB:
        raise WrongError("memory grows")
    print("changes:", json.dumps(changes))
    print("read:", json.dumps(totals))
    print(
        f"{SECONDS:.0f} s: {changes['containers']:,} containers and "
        f"{changes['interfaces']:,} interfaces added, {totals['rows']:,} rows of "
        f"{totals['readings']:,} readings by 4 readers, 0 wrong ({totals['never settled']:,} never "
        f"settled), {totals['gone']:,} ended, {totals['events']:,} events of 2 monitors end "
        f"in the kernel's state, RSS {grown:+} KiB at most"
    )


if __name__ == "__main__":
    main()
