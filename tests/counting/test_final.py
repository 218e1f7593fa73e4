"""The last counters of containers that have ended."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable

import pytest
import support
from helpers_counting import CAP_NET_BROADCAST
from helpers_final import Ending, Sums, sums, tear_down_at_once
from support import Links, add_container_veth, inside, send_frames, wait_until

from pynetstrat import (
    ContainerCounters,
    FinalCounters,
    Network,
    NetworkInterface,
    NetworkNamespace,
    RtnetlinkSocket,
    set_up_networks,
    tear_down_networks,
)

RX = ("rx_bytes", "rx_packets")
BOTH = (*RX, "tx_bytes", "tx_packets")


def end(netns: int) -> None:
    support.end_namespace(netns)


def has_ended(counters: ContainerCounters, *keys: str) -> Callable[[], bool]:
    return lambda: set(keys) <= set(counters.gone())


def values(row: NetworkInterface, fields: tuple[str, ...] = BOTH) -> list[int]:
    return [getattr(row, field) for field in fields]


def test_a_pair_that_is_deleted_before_its_namespace_ends_has_exact_counters(net, counters):
    netns = support.new_namespace()
    add_container_veth(net, netns, "v0", 3)
    counters.add("web", netns)
    before = counters.read()["web"]["eth0"]
    send_frames("v0", 5, 200)
    with inside(netns):
        send_frames("eth0", 7, 300)
    rx, tx = before.rx_packets + 5, before.tx_packets + 7
    assert counters.final() == {}
    net.delete("v0")
    assert counters.final() == {}  # it has not ended yet
    assert counters.read() == {"web": {}}
    end(netns)
    last = counters.final()["web"]["eth0"]
    assert (last.name, last.exact, last.rx_packets, last.tx_packets) == ("eth0", True, rx, tx)
    assert last.rx_bytes - before.rx_bytes == 5 * 200
    assert last.tx_bytes - before.tx_bytes == 7 * 300
    assert counters.final()["web"]["eth0"] == last
    counters.discard("web")
    assert counters.final() == {}


def test_rx_is_exact_if_the_namespace_ends_by_itself(net, counters):
    netns = support.new_namespace()
    add_container_veth(net, netns, "v0", 3)
    counters.add("web", netns)
    with inside(netns):
        send_frames("eth0", 2, 300)
    before = counters.read()["web"]["eth0"]
    send_frames("v0", 5, 200)
    with inside(netns):
        send_frames("eth0", 7, 300)
    end(netns)
    wait_until(lambda: counters.final()["web"]["eth0"].rx_packets == before.rx_packets + 5)
    last = counters.final()["web"]["eth0"]
    assert last.rx_bytes == before.rx_bytes + 5 * 200
    assert values(last, ("tx_bytes", "tx_packets")) == values(before, ("tx_bytes", "tx_packets"))
    assert not last.exact


def test_a_container_that_was_never_read_has_the_counters_of_its_addition(net, counters):
    netns = support.new_namespace()
    with inside(netns), Links() as there:
        support.add_patterned(there, 3)
    counters.add("web", netns)
    end(netns)
    wait_until(has_ended(counters, "web"))
    last = counters.final()["web"]["v3"]
    assert values(last) == values(support.view("v3", 3))
    assert not last.exact


def test_an_interface_that_is_no_pair_with_the_host_is_exact_if_it_is_deleted(net, counters):
    netns = support.new_namespace()
    with inside(netns), Links() as there:
        support.add_patterned(there, 3)
    counters.add("web", netns)
    counters.read()
    with inside(netns), Links() as there:
        send_frames("v3", 4, 100)
        there.delete("v3")
    counters.read()
    end(netns)
    wait_until(has_ended(counters, "web"))
    last = counters.final()["web"]["v3"]
    assert last.exact
    assert last.tx_packets == support.view("v3", 3).tx_packets + 4


def test_an_interface_that_moves_away_has_not_ended(net, counters, new_namespace):
    netns, other = support.new_namespace(), new_namespace()
    add_container_veth(net, netns, "v0", 3)
    counters.add("web", netns)
    counters.read()
    with inside(netns), Links() as there:
        there.move("eth0", other)
    counters.read()
    end(netns)
    wait_until(has_ended(counters, "web"))
    assert counters.final() == {"web": {}}


def test_each_key_of_a_namespace_has_its_last_counters(net, counters):
    netns = support.new_namespace()
    add_container_veth(net, netns, "v0", 3)
    for key in ("a", "b"):
        counters.add(key, netns)
    counters.read()
    end(netns)
    wait_until(has_ended(counters, "a", "b"))
    final = counters.final()
    assert final["a"] == final["b"]
    counters.discard("a")
    assert list(counters.final()) == ["b"]


@pytest.mark.slow
@pytest.mark.parametrize("is_deleted", [True, False])
def test_many_containers_that_end_between_two_readings_are_not_mixed_up(net, counters, is_deleted):
    """Nsids, inodes and indexes are reused at once, and each container has traffic of its own."""
    rounds, at_once = 4, 10
    host_ends = {f"v{at}" for at in range(at_once)}
    for round_ in range(rounds):
        namespaces = []
        for at in range(at_once):
            netns = support.new_namespace()
            namespaces.append(netns)
            number = round_ * at_once + at
            net.add_veth(f"v{at}", "eth0", peer_netns=netns, up=False)
            with inside(netns), Links() as there:
                there.set_up("eth0")
            net.set_up(f"v{at}")
            counters.add(number, netns)
            send_frames(f"v{at}", 1 + number, 100)
            with inside(netns):
                send_frames("eth0", 2 + number, 100)
        if round_ % 3 == 2:
            counters.read()
        # All at once: the kernel waits for each deletion, and for each namespace that ends.
        if is_deleted:
            with RtnetlinkSocket() as host:
                host.delete_links(host_ends)
        support.end_namespace(*namespaces)
        wait_until(lambda: not host_ends & {name for _, name in socket.if_nameindex()})
    keys = range(rounds * at_once)
    wait_until(has_ended(counters, *keys))
    if is_deleted:
        for key in keys:
            last = counters.final()[key]["eth0"]
            assert (last.rx_packets, last.tx_packets, last.exact) == (1 + key, 2 + key, True)
    else:
        wait_until(
            lambda: (
                [counters.final()[key]["eth0"].rx_packets for key in keys]
                == [1 + key for key in keys]
            )
        )
        assert not any(counters.final()[key]["eth0"].exact for key in keys)


def test_torn_down_networks_have_exact_counters(net, run, counters):
    with NetworkNamespace.create("blue") as blue:
        networks = set_up_networks(
            [Network(type="veth", name="eth0", owner="web", address="10.0.0.2/24")], netns=blue
        )
        counters.add("web", blue)
        counters.read()
        with inside(blue.fileno()):
            send_frames("eth0", 9, 100)
        sent = counters.read()["web"]["eth0"].tx_packets
        with inside(blue.fileno()):
            send_frames("eth0", 9, 100)
        tear_down_networks(networks, netns=blue)
    NetworkNamespace.delete("blue")
    wait_until(has_ended(counters, "web"))
    last = counters.final()["web"]["eth0"]
    assert last.exact
    assert last.tx_packets >= sent + 9


# tests/soak/finals.py has ten times as many containers, and the exporter.


def make_counted(counters: ContainerCounters, count: int) -> dict[str, Ending]:
    endings = {f"c{number}": Ending(f"c{number}", number) for number in range(count)}
    for name, ending in endings.items():
        counters.add(name, ending.path)
    read = counters.read()
    assert {name: sums(read[name]["eth0"]) for name in read} == {
        name: ending.sums for name, ending in endings.items()
    }
    return endings


def final_sums(counters: ContainerCounters) -> Sums:
    return {name: sums(rows["eth0"]) for name, rows in counters.final().items()}


@pytest.mark.slow
def test_many_containers_that_are_torn_down_at_once_have_exact_counters(net, run, counters):
    endings = make_counted(counters, 20)
    for number, ending in enumerate(endings.values()):
        ending.receive(number % 7)
        ending.send(1000)
    expected = {name: ending.sums for name, ending in endings.items()}
    assert tear_down_at_once(list(endings.values())) == expected
    wait_until(has_ended(counters, *endings))
    assert final_sums(counters) == expected
    assert all(rows["eth0"].exact for rows in counters.final().values())


@pytest.mark.slow
def test_none_of_many_containers_that_end_between_two_readings_is_lost(net, run, counters):
    endings = make_counted(counters, 50)
    expected = {}
    for number, ending in enumerate(endings.values()):
        sent = ending.sums[2:]
        ending.receive(1 + number)
        ending.send(2)
        expected[ending.name] = ending.sums[:2] + sent
    for ending in endings.values():
        ending.end()
    wait_until(has_ended(counters, *endings))
    wait_until(lambda: final_sums(counters) == expected)
    assert not any(rows["eth0"].exact for rows in counters.final().values())


def test_lost_notifications_leave_the_last_reading(net, counters, monkeypatch):
    netns = support.new_namespace()
    add_container_veth(net, netns, "v0", 3)
    counters.add("web", netns)
    before = counters.read()["web"]["eth0"]
    recorder = counters._native.changed_netns._recorder
    send_frames("v0", 5, 200)
    recorder.count = recorder.room + 1  # as after ENOBUFS
    net.delete("v0")
    end(netns)
    wait_until(has_ended(counters, "web"))
    last = counters.final()["web"]["eth0"]
    assert not last.exact
    assert last.tx_packets == before.tx_packets


def test_without_cap_net_broadcast_counters_are_not_exact(net):
    with support.without(CAP_NET_BROADCAST), ContainerCounters() as counters:
        netns = support.new_namespace()
        add_container_veth(net, netns, "v0", 3)
        counters.add("web", netns)
        before = counters.read()["web"]["eth0"]
        send_frames("v0", 5, 200)
        net.delete("v0")
        end(netns)
        wait_until(has_ended(counters, "web"))
        last = counters.final()["web"]["eth0"]
        assert (last.exact, last.rx_packets) == (False, before.rx_packets + 5)


@pytest.mark.slow
def test_a_container_that_deletes_interfaces_without_end_is_bounded(
    net, counters, new_namespace, monkeypatch
):
    monkeypatch.setattr("pynetstrat.counting._final._MAX_DELETED", 3)
    netns = support.new_namespace()
    counters.add("web", netns)
    for number in range(6):
        add_container_veth(net, netns, "v0", 3, f"eth{number}")
        counters.read()
        net.delete("v0")
        counters.read()
    end(netns)
    wait_until(has_ended(counters, "web"))
    assert list(counters.final()["web"]) == ["eth3", "eth4", "eth5"]


def test_final_counters_are_network_interfaces():
    last = FinalCounters("eth0", 1, 2, 3, 4, 5, 6, 7, 8, exact=True)
    assert [field.name for field in dataclasses.fields(last)][:-1] == [
        field.name for field in dataclasses.fields(NetworkInterface)
    ]
    assert isinstance(last, NetworkInterface)
    assert last != dataclasses.replace(last, exact=False)
