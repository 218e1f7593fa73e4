"""`ContainerCounters` against containers that delay readings or keep links out of dumps."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

import pytest
import support
from helpers_counting import Hooked, add_macvlan, rename
from support import Links, add_container_veth, inside, seen
from support import end_namespace as end

import pynetstrat
from pynetstrat import (
    ContainerCounters,
    RtnetlinkSocket,
)
from pynetstrat._native.containers import Containers


@contextlib.contextmanager
def flood(netns: int) -> Iterator[list[int]]:
    """Renames the interface of a container as fast as possible."""
    over, count = threading.Event(), [0]

    def run() -> None:
        with inside(netns), Links() as links:
            index = socket.if_nametoindex("eth0")
            while not over.is_set():
                links.rename(index, f"x{count[0]}")
                count[0] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
def test_a_flood_of_renames_does_not_affect_other_containers(net, counters, new_namespace):
    victim, culprit = new_namespace(), new_namespace()
    add_container_veth(net, victim, "v0", 1)
    add_container_veth(net, culprit, "v1", 2)
    counters.add("victim", victim)
    counters.add("culprit", culprit)
    with flood(culprit) as count:
        while count[0] < 2000:
            read = counters.read()
            assert read["victim"] == {"eth0": seen("eth0", 1)}
            (row,) = read["culprit"].values()
            assert row == seen(row.name, 2)


def test_a_flood_causes_one_dump_per_reading(net, counters, new_namespace, monkeypatch):
    victim, culprit = new_namespace(), new_namespace()
    add_container_veth(net, victim, "v0", 1)
    add_container_veth(net, culprit, "v1", 2)
    counters.add("victim", victim)
    counters.add("culprit", culprit)
    dumps: list[int] = []
    dump_netns_links = Containers.dump_netns_links

    def dump_after_rename(native: Containers, nsid: int, known: object) -> object:
        dumps.append(nsid)
        rename(culprit, next_name(), next_name(1))
        return dump_netns_links(native, nsid, known)

    def next_name(step: int = 0) -> str:
        names.append(names[-1] + step)
        return "eth0" if not names[-1] else f"x{names[-1]}"

    names = [0]
    rename(culprit, next_name(), next_name(1))
    monkeypatch.setattr(Containers, "dump_netns_links", dump_after_rename)
    for _ in range(5):
        dumps.clear()
        counters.read()
        assert len(dumps) == len(set(dumps)), dumps


@pytest.mark.slow
def test_a_container_whose_links_never_settle_delays_no_reading(net, counters, new_namespace):
    """A dump of the container takes several datagrams, and is hardly ever consistent."""
    victim, culprit = new_namespace(), new_namespace()
    add_container_veth(net, victim, "v0", 1)
    add_container_veth(net, culprit, "v1", 2)
    counters.add("victim", victim)
    counters.add("culprit", culprit)
    with inside(culprit), RtnetlinkSocket() as container_socket:
        batch = pynetstrat.Batch()
        for number in range(400):
            batch.add_link(f"ifb{number}", "ifb")
        container_socket.execute(batch)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), inside(culprit), Links() as container_links:
            while True:
                container_links.add_bridge("br0")
                container_links.delete("br0")
        os._exit(1)
    try:
        for _ in range(20):
            read = counters.read()
            assert read["victim"] == {"eth0": seen("eth0", 1)}
            assert read["culprit"]["eth0"] == seen("eth0", 2)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_link_with_496_alternative_names_is_counted(net, counters, new_namespace):
    """The kernel cannot include such a link in a dump of another namespace."""
    victim, culprit = new_namespace(), new_namespace()
    add_container_veth(net, victim, "v0", 1)
    add_container_veth(net, culprit, "v1", 2)
    counters.add("victim", victim)
    counters.add("culprit", culprit)
    with inside(culprit), Links() as container_links:
        for number in range(496):
            container_links.add_altname("eth0", f"{number:03}" + "n" * 124)
    for _ in range(3):
        assert counters.read() == {
            "victim": {"eth0": seen("eth0", 1)},
            "culprit": {"eth0": seen("eth0", 2)},
        }
    rename(culprit, "eth0", "net1")
    assert counters.read()["culprit"] == {"net1": seen("net1", 2)}
    late = ContainerCounters()
    with late:
        late.add("culprit", culprit)
        assert late.read() == {"culprit": {"net1": seen("net1", 2)}}


def test_a_container_can_end_while_a_missing_link_is_requested(net, counters):
    netns = support.new_namespace()
    add_container_veth(net, netns, "v0", 1)
    with inside(netns), Links() as container_links:
        for number in range(496):
            container_links.add_altname("eth0", f"{number:03}" + "n" * 124)
    counters.add("a", netns)
    ending = [netns]

    def end_it() -> None:
        if ending:
            end(ending.pop())

    with Hooked(counters, "add_missing_links", end_it):
        assert counters.read() == {}
    assert counters.gone() == ["a"]


def test_a_link_that_is_missing_from_every_dump_is_found(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    assert set(counters.read()["a"]) == {"eth0"}
    net.add_veth("v1", "w1", up=False)
    for number in range(496):
        net.add_altname("w1", f"{number:03}" + "n" * 124)
    net.move("w1", netns)
    assert counters.read()["a"].keys() == {"eth0", "w1"}
    with inside(netns), Links() as container_links:
        container_links.delete("w1")
    assert set(counters.read()["a"]) == {"eth0"}


def test_a_known_link_without_a_host_end_is_kept_when_dumps_lack_it(net, counters, new_namespace):
    netns = new_namespace()
    net.add_veth("v0", "w0")
    add_macvlan("mac0", "v0", netns)
    counters.add("a", netns)
    before = counters.read()["a"]
    with inside(netns), Links() as container_links:
        for number in range(496):
            container_links.add_altname("mac0", f"{number:03}" + "n" * 124)
        container_links.set_up("mac0")
        support.send_frames("mac0", 1, 100)
    for _ in range(2):
        read = counters.read()["a"]
        assert read.keys() == before.keys() == {"mac0"}
        assert read["mac0"].tx_bytes >= 100
