"""The final counters that `tear_down_networks` returns."""

from __future__ import annotations

import copy
import errno
import pickle
import socket
import threading
from dataclasses import replace

import pytest
import support
from devices import RECORDS, add_device, change, device
from helpers_network import LO, process_carriers, quieten, veth

from pynetstrat import (
    KernelError,
    Network,
    RtnetlinkSocket,
    TeardownError,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat._native.socket import Socket
from pynetstrat.wiring import _links

POINT_TO_POINT = {"bridge": "", "address": "10.1.0.2/24", "gateway": "10.1.0.1"}


def send(to, count, size, netns):
    """Sends datagrams to an address of the host, and waits until they have arrived.

    Nothing is under way afterwards: no datagram is answered.
    """
    process_carriers(None, netns)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((to, 0))
        receiver.settimeout(60)
        with netns.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(count):
                sender.sendto(bytes(size), receiver.getsockname())
        for _ in range(count):
            receiver.recv(size)


def traffic(counters):
    return counters.rx_bytes, counters.rx_packets, counters.tx_bytes, counters.tx_packets


@pytest.fixture
def wired(host, quiet_blue):
    """A container with a point-to-point link: its networks. The kernel sends nothing itself."""
    quieten()
    return set_up_networks([LO, veth(**POINT_TO_POINT)], netns=quiet_blue)


def test_the_final_counters_are_those_of_the_container_by_its_interface_name(wired, quiet_blue):
    send("10.1.0.1", 5, 958, quiet_blue)  # 1,000 bytes with their headers
    with RtnetlinkSocket(quiet_blue) as sock:
        before = sock.get_stats("eth0")
    final = tear_down_networks(wired, netns=quiet_blue)
    assert list(final) == ["eth0"]
    assert final["eth0"].name == "eth0"
    assert traffic(final["eth0"]) == traffic(before)
    assert final["eth0"].tx_bytes > 5000 > final["eth0"].rx_bytes


@pytest.mark.parametrize("direction", ["in", "out"])
def test_the_final_counters_are_exact_while_traffic_flows(
    wired, quiet_blue, monkeypatch, direction
):
    """Between the reading and the deletion the container's own counters do not change."""
    stop = threading.Event()

    def flood():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not stop.is_set():
                try:
                    sock.sendto(bytes(100), ("10.1.0.1" if direction == "out" else "10.1.0.2", 9))
                except OSError:  # the route is gone
                    stop.wait(0.001)

    own = []
    delete = _links.delete_by_index

    def read_and_delete(*arguments):
        with RtnetlinkSocket(quiet_blue) as sock:
            for _ in range(20):
                own.append(traffic(sock.get_stats("eth0")))
                stop.wait(0.005)
        delete(*arguments)

    monkeypatch.setattr(_links, "delete_by_index", read_and_delete)
    if direction == "out":
        thread = threading.Thread(target=quiet_blue.call, args=(flood,))
    else:
        thread = threading.Thread(target=flood)
    thread.start()
    try:
        with RtnetlinkSocket(quiet_blue) as sock:
            support.wait_until(lambda: sum(traffic(sock.get_stats("eth0"))) > 100_000)
        final = tear_down_networks(wired, netns=quiet_blue)
    finally:
        stop.set()
        thread.join()
    assert set(own) == {traffic(final["eth0"])}


def test_every_network_has_its_counters_and_lo_has_none(host, bridge, quiet_blue):
    networks = [LO, veth(), veth(name="eth1", host_interface_name="", **POINT_TO_POINT)]
    networks[1].gateway = ""
    made = set_up_networks(networks, netns=quiet_blue)
    send("10.1.0.1", 3, 58, quiet_blue)
    final = tear_down_networks(made, netns=quiet_blue)
    assert set(final) == {"eth0", "eth1"}
    assert final["eth1"].tx_packets >= 3
    assert tear_down_networks(made, netns=quiet_blue) == {}


def test_counters_of_a_pair_without_the_namespace(wired, quiet_blue):
    send("10.1.0.1", 3, 58, quiet_blue)
    assert tear_down_networks(wired)["eth0"].tx_packets >= 3


def moved_device(container, *, record=True):
    """Moves a device that has carried traffic on the host; the container's traffic follows.

    Returns the final counters, and the counters of the device before and after the move.
    """
    add_device()
    change("address", "add", "10.3.0.2/24", "dev", "d0")
    change("link", "set", "d0", "up")
    change("address", "add", "10.2.0.1/24", "dev", "pd0")
    support.send_frames("d0", 7, 500)
    with RtnetlinkSocket() as host:
        support.wait_until(lambda: host.get_stats("d0").tx_packets >= 7)
        before = host.get_stats("d0")
    made = set_up_networks([device(name="eth0", address="10.2.0.2/24")], netns=container)
    if not record:
        made = [replace(made[0], device={**made[0].device, "counters": []})]
        for file in RECORDS.iterdir():
            file.unlink()
    send("10.2.0.1", 4, 958, container)
    with RtnetlinkSocket(container) as sock:
        now = sock.get_stats("eth0")
    return tear_down_networks(made, netns=container), before, now


def test_the_counters_of_a_device_are_those_of_its_time_in_the_container(quiet_host, container):
    final, before, now = moved_device(container)
    expected = [last - first for last, first in zip(traffic(now), traffic(before), strict=True)]
    assert list(traffic(final["eth0"])) == expected
    assert final["eth0"].tx_bytes > 4000 > final["eth0"].rx_bytes


def test_a_device_whose_first_counters_are_unknown_has_no_final_counters(quiet_host, container):
    """As after a create that was killed."""
    assert moved_device(container, record=False)[0] == {}


def test_the_counters_of_a_device_whose_name_the_kernel_chose(quiet_host, container):
    add_device()
    wanted = device(name="eth%d")
    set_up_networks([wanted], netns=container)
    assert list(tear_down_networks([wanted], netns=container)) == ["eth0"]


def test_the_error_of_a_tear_down_has_the_counters_of_the_other_networks(host, bridge, quiet_blue):
    networks = [veth(), veth(name="eth1", host_interface_name="h1", gateway="", address="")]
    made = set_up_networks(networks, netns=quiet_blue)
    with RtnetlinkSocket() as sock:
        sock.execute(_links.Batch().set_link("h0", alias="pynetstrat:other"))
    with pytest.raises(TeardownError) as raised:
        tear_down_networks(made, netns=quiet_blue)
    assert list(raised.value.counters) == ["eth1"]
    for twin in (copy.copy(raised.value), pickle.loads(pickle.dumps(raised.value))):
        assert twin.counters == raised.value.counters
        assert str(twin) == str(raised.value)


def test_a_pair_whose_counters_cannot_be_read_is_deleted_all_the_same(
    wired, quiet_blue, host, monkeypatch
):
    def refuse(*_):
        raise KernelError(errno.ENOBUFS, "RTM_GETLINK")

    monkeypatch.setattr(Socket, "read_counters", refuse)
    assert tear_down_networks(wired, netns=quiet_blue) == {}
    assert "h0" not in host.dump_links()


def test_the_pair_of_a_killed_create_has_no_counters(host, bridge, quiet_blue):
    made = set_up_networks([veth()], netns=quiet_blue)
    host.execute(_links.Batch().set_link("h0", alias=""))
    assert tear_down_networks(made, netns=quiet_blue) == {}
    assert "h0" not in host.dump_links()


def test_no_networks_have_no_counters(net, quiet_blue):
    assert tear_down_networks([], netns=quiet_blue) == {}
    assert tear_down_networks([Network("loopback")], netns=quiet_blue) == {}
