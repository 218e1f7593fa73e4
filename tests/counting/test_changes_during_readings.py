"""`ContainerCounters` while interfaces and containers change during a reading."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
from errno import EAGAIN

import pytest
import support
from fake_socket import FakeRecorder
from helpers_counting import Hooked, rename
from helpers_network import process_carriers
from support import Links, add_container_veth, inside, seen

from pynetstrat import (
    ContainerCounters,
    KernelError,
    NetworkInterface,
)


class Churn:
    """Constantly renames, moves, deletes and recreates the interfaces of two containers.

    An interface with the name `eN` has received the frames of pattern(N), or fewer if it was just
    created. The seed determines the sequence of changes.
    """

    def __init__(self, host_netns: int, containers: list[int], seed: int) -> None:
        self.host_netns, self.containers = host_netns, containers
        self.random = random.Random(seed)
        self.over = threading.Event()
        self.steps = 0

    def step(self, links: Links) -> None:
        number = self.random.randrange(6)
        host_end, name = f"h{number}", f"e{number}"
        netns = self.containers[number % 2]
        other = self.containers[(number + 1) % 2]
        action = self.random.choice(("make", "delete", "move", "rename", "rename host end"))
        with contextlib.suppress(OSError):
            if action == "make":
                add_container_veth(
                    links, netns, host_end, number, name, index=1000 + self.random.randrange(6)
                )
            elif action == "delete":
                links.delete(host_end)
            elif action == "move":
                with inside(netns), Links() as container_links:
                    container_links.move(name, other)
                with inside(other), Links() as container_links:
                    container_links.move(name, netns)
            elif action == "rename":
                rename(netns, name, f"t{number}")
                rename(netns, f"t{number}", name)
            else:
                links.rename(socket.if_nametoindex(host_end), f"g{number}")
                links.rename(socket.if_nametoindex(f"g{number}"), host_end)
        self.steps += 1

    def run(self) -> None:
        with inside(self.host_netns), Links() as links:
            while not self.over.is_set():
                self.step(links)


def is_possible(row: NetworkInterface) -> bool:
    """Whether an interface of that name can have these counters."""
    count, size = support.pattern(int(row.name[1:]))
    # A frame that is being received may be in only one of the two counters.
    frames, rest = divmod(row.rx_bytes, size)
    return (
        max(row.rx_packets, frames) <= count
        and rest == 0
        and abs(row.rx_packets - frames) <= 1
        and (row.tx_packets, row.tx_bytes, row.rx_errors, row.tx_errors) == (0, 0, 0, 0)
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_thousand_readings_during_constant_changes_never_mix_up_interfaces(
    net, new_namespace, seed
):
    containers = [new_namespace(), new_namespace()]
    host_netns = support.network_namespace()
    churn = Churn(host_netns, containers, seed)
    read = rows = 0
    thread = threading.Thread(target=churn.run)
    with ContainerCounters() as counters:
        for number, netns in enumerate(containers):
            counters.add(number, netns)
        thread.start()
        try:
            while read < 1000 or churn.steps < 200:
                try:
                    reading = counters.read()
                except KernelError as error:
                    assert error.errno == EAGAIN, error  # too many changes for one reading
                    continue
                read += 1
                for interfaces in reading.values():
                    for row in interfaces.values():
                        rows += 1
                        assert is_possible(row), row
        finally:
            churn.over.set()
            thread.join()
        assert rows > 1000
        assert counters.gone() == []
    os.close(host_netns)


@pytest.mark.parametrize("lost", [False, True])
def test_an_index_reused_during_a_reading_belongs_to_the_container_that_reuses_it(
    net, counters, new_namespace, lost
):
    one, other = new_namespace(), new_namespace()
    add_container_veth(net, one, "v0", 1, index=777)
    counters.add("one", one)
    counters.add("other", other)
    counters.read()
    rename(one, "eth0", "net0")  # so that its links are dumped: once in this reading
    happened = []

    def hand_over() -> None:
        names = [
            name
            for tracked in counters._tracker.by_nsid.values()
            for _, _, name in tracked.dump.links
        ]
        if names != ["net0"] or happened:
            counters._native.links._recorder.room = 1024
            return
        happened.append(True)
        net.delete("v0")
        add_container_veth(net, other, "v1", 2, index=777)
        if lost:
            counters._native.links._recorder.room = 0

    with Hooked(counters, "dump_stats", hand_over):
        read = counters.read()
    assert happened
    assert read == {"one": {}, "other": {"eth0": seen("eth0", 2)}}
    assert counters.read() == read


def test_counters_dumped_before_an_index_was_reused_are_not_used(net, counters, new_namespace):
    """Between the dump of the counters and that of the links another container reuses the index."""
    one, other, third = new_namespace(), new_namespace(), new_namespace()
    add_container_veth(net, one, "v0", 1, index=777)
    add_container_veth(net, third, "v3", 3)
    for key, netns in enumerate((one, other, third)):
        counters.add(key, netns)
    counters.read()
    rename(third, "eth0", "net0")  # so that a second attempt is made
    calls = []

    def hand_over() -> None:
        calls.append(True)
        if len(calls) == 2:
            net.delete("v0")
            add_container_veth(net, other, "v1", 2, index=777)

    with Hooked(counters, "process_pending", hand_over):
        read = counters.read()
    assert read == {0: {}, 1: {"eth0": seen("eth0", 2)}, 2: {"net0": seen("net0", 3)}}


def test_a_host_end_that_moves_away_during_a_reading_is_dumped_again(net, counters, new_namespace):
    netns, away = new_namespace(), new_namespace()
    add_container_veth(net, netns, "v0", 5)
    counters.add("a", netns)
    counters.read()
    rename(netns, "eth0", "net0")
    (tracked,) = counters._tracker.by_nsid.values()
    moved = []

    def move() -> None:
        if tracked.dump.links[0][2] == "net0" and not moved:
            moved.append(net.move("v0", away))

    with Hooked(counters, "dump_stats", move):
        read = counters.read()
    assert moved
    assert read["a"]["net0"].rx_bytes == seen("", 5).rx_bytes


def test_a_reading_ends_although_containers_change_one_after_the_other(
    net, counters, new_namespace
):
    containers = [new_namespace() for _ in range(12)]
    for number, netns in enumerate(containers):
        add_container_veth(net, netns, f"v{number}", number)
        counters.add(number, netns)
    process_carriers(*containers)  # a container that a worker reports is dumped before its change
    counters.read()
    changing = iter(enumerate(containers))

    def change() -> None:
        for number, netns in changing:
            rename(netns, "eth0", f"net{number}")
            break

    with Hooked(counters, "process_pending", change):
        read = counters.read()
    assert read == {n: {f"net{n}": seen(f"net{n}", n)} for n in range(12)}


@pytest.mark.slow
def test_short_lived_containers_are_never_mixed_up(net, counters):
    """The kernel reuses inodes and nsids at once; each container has traffic of its own."""
    alive: dict[int, int] = {}
    for number in range(60):
        netns = support.new_namespace()
        add_container_veth(net, netns, f"v{number}", number)
        counters.add(number, netns)
        alive[number] = netns
        if number % 3:
            os.close(alive.pop(min(alive)))
        for key, interfaces in counters.read().items():
            # A container that the kernel is still removing may be included.
            assert interfaces in ({"eth0": seen("eth0", key)}, {}), key
    for netns in alive.values():
        os.close(netns)


def test_a_reading_fails_if_the_hosts_links_never_settle(net, counters, new_namespace, monkeypatch):
    """The notifications about the host's links are lost in every attempt."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    with monkeypatch.context() as patch:
        patch.setattr(counters._native, "links", FakeRecorder(lost=True))
        with pytest.raises(KernelError, match="list changed") as caught:
            counters.read()
        assert caught.value.errno == EAGAIN
    assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}
