"""Containers with known traffic that end, for the tests of final counters."""

from __future__ import annotations

import os
import re
import signal
import socket
import urllib.request
from typing import Any

import support

from pynetstrat import (
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.cli import _fresh_namespaces

Sums = dict[str, list[int]]  # by the name of the container, as `Ending.sums`

SIZE, HEADERS = 50, 14 + 20 + 8  # bytes of a datagram; of Ethernet, IPv4 and UDP
FRAME = 100  # bytes of a frame from the host
SCRAPED = re.compile(
    r"^container_network_(receive|transmit)_(bytes|packets)_total"
    r'\{container="(?P<name>[^"]*)",interface="eth0",netns="[0-9]+"\} (?P<value>.*)$',
    re.MULTILINE,
)
BROADCAST = ("255.255.255.255", 9)  # needs no ARP, and nothing answers


class Ending:
    """A container that a name keeps alive, or a process if `by_process` is set.

    Attributes:
        name: its name, also the owner of its network.
        path: the path of its namespace.
        sums: the bytes and packets that it has received, and those that it has sent.
    """

    def __init__(self, name: str, number: int, *, by_process: bool = False) -> None:
        self.name = name
        self._child = 0
        address = f"10.{number >> 8}.{number & 255}.2/24"
        # Below an MTU of 1280 there is no IPv6, so the kernel sends nothing itself.
        network = Network("veth", name="eth0", owner=name, address=address, mtu=support.MTU)
        with NetworkNamespace.create("" if by_process else name) as made:
            if by_process:
                self._child = _hold(made)
            self.path = f"/proc/{self._child}/ns/net" if by_process else f"/run/netns/{name}"
            self.networks = set_up_networks([network], netns=made, timeout=60)
            self._socket = made.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            self.host_end = self.networks[0].host_interface_name
            # A query has the kernel process the carrier; until then it may drop what is sent.
            with RtnetlinkSocket(made) as there, RtnetlinkSocket() as here:
                there.get_link("eth0")
                here.get_link(self.host_end)
                self.sums = sums(there.get_stats("eth0"))

    def send(self, count: int) -> None:
        """Sends datagrams out of the container."""
        self.sums[2] += count * (SIZE + HEADERS)
        self.sums[3] += count
        with RtnetlinkSocket(self.path) as there:
            while count > 0:  # a busy machine may drop some, which do not count as sent
                for _ in range(count):
                    self._socket.sendto(bytes(SIZE), BROADCAST)
                count = self.sums[3] - there.get_stats("eth0").tx_packets

    def receive(self, count: int) -> None:
        """Sends frames into the container."""
        support.send_frames(self.host_end, count, FRAME)
        self.sums[0] += count * FRAME
        self.sums[1] += count

    def tear_down(self) -> Any:
        """Tears down the networks and ends the namespace; returns the final counters."""
        final = tear_down_networks(self.networks, netns=self.path, timeout=60)
        self.end()
        return final["eth0"]

    def end(self) -> None:
        self._socket.close()
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
        else:
            NetworkNamespace.delete(self.name)


def _hold(namespace: NetworkNamespace) -> int:
    """Forks a process that keeps a namespace alive; returns its id once it does."""
    ready, started = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            support.die_with_parent()
            _fresh_namespaces.setns(namespace.fileno(), _fresh_namespaces.CLONE_NEWNET)
            # Copies of the other containers' sockets would keep their namespaces alive.
            os.dup2(started, 0)
            os.closerange(3, 1 << 20)
            os.write(0, b"1")
            while True:
                signal.pause()
        finally:
            os._exit(1)
    os.close(started)
    assert os.read(ready, 1) == b"1"
    os.close(ready)
    return child


def sums(row: Any) -> list[int]:
    """Returns the counters of an interface in the order of `Ending.sums`."""
    return [row.rx_bytes, row.rx_packets, row.tx_bytes, row.tx_packets]


def tear_down_at_once(endings: list[Ending], threads: int = 4) -> Sums:
    """Tears down containers in several threads; returns the sums of each by name."""
    found: Sums = {}

    def work(part: list[Ending]) -> None:
        for ending in part:
            found[ending.name] = sums(ending.tear_down())

    support.run_threads(*(lambda at=at: work(endings[at::threads]) for at in range(threads)))
    return found


def scrape(url: str) -> Sums:
    """Scrapes an exporter; returns the sums of each container by name."""
    with urllib.request.urlopen(url, timeout=60) as response:
        text = response.read().decode()
    found: Sums = {}
    for row in SCRAPED.finditer(text):
        at = 2 * (row[1] == "transmit") + (row[2] == "packets")
        found.setdefault(row["name"], [0, 0, 0, 0])[at] = int(float(row["value"]))
    return found
