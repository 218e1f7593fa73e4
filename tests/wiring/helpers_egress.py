"""Three namespaces: a client outside, the host with a bridge, and containers on the bridge."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from devices import change_all
from helpers_network import disable_duplicate_address_detection, wait_for_workers

from pynetstrat import Network, NetworkNamespace, set_up_networks

HOST, HOST6 = "192.0.2.1", "2001:db8::1"
CLIENT, CLIENT6 = "192.0.2.2", "2001:db8::2"
SUBNET, SUBNET6 = "10.0.0.0/24", "fd00:a::/64"
SECONDS = 60
SCTP = 132


def run(*command: str, netns: NetworkNamespace | None = None) -> str:
    """Runs a program, and returns what it prints."""
    function = subprocess.run if netns is None else netns.run
    done = function(command, capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def nft(*arguments: str) -> str:
    """Runs `nft`, which here only prepares and shows."""
    return run("nft", *arguments)


def ruleset() -> str:
    return nft("list", "ruleset")


def sysctl(name: str, value: str, folder: str = "/proc/sys/net") -> None:
    Path(folder, name).write_text(value)


class World:
    """The calling thread's namespace is the host's.

    Attributes:
        client: a namespace outside, which has no route to the containers.
    """

    def __init__(self) -> None:
        self.client = NetworkNamespace.create()
        self.containers: list[NetworkNamespace] = []
        for netns in (None, self.client):
            disable_duplicate_address_detection(netns)  # it takes 2 s
        client = f"/proc/{os.getpid()}/fd/{self.client.fileno()}"
        change_all(
            "link set lo up",
            "link add br0 type bridge",
            "link set br0 up",
            "address add 10.0.0.1/24 dev br0",
            "address add fd00:a::1/64 dev br0 nodad",
            f"link add up0 type veth peer name eth0 netns {client}",
            f"address add {HOST}/24 dev up0",
            f"address add {HOST6}/64 dev up0 nodad",
            "link set up0 up",
        )
        change_all(
            "link set lo up",
            f"address add {CLIENT}/24 dev eth0",
            f"address add {CLIENT6}/64 dev eth0 nodad",
            "link set eth0 up",
            netns=self.client,
        )
        for name in ("br0", "up0"):
            sysctl(f"ipv4/conf/{name}/forwarding", "1")
        sysctl("ipv6/conf/all/forwarding", "1")
        wait_for_workers()
        wait_for_workers(self.client)

    def network(self, number: int, **fields: Any) -> Network:
        """The configuration of a container, whose addresses end in this number."""
        settings: dict[str, Any] = {
            "name": "eth0",
            "bridge": "br0",
            "address": f"10.0.0.{number}/24",
            "gateway": "10.0.0.1",
            "ipv6_address": f"fd00:a::{number}/64",
            "ipv6_gateway": "fd00:a::1",
            "owner": f"web-{number}",
        }
        return Network("veth", **{**settings, **fields})

    def add(self, number: int, **fields: Any) -> NetworkNamespace:
        """Sets a container up."""
        netns = NetworkNamespace.create()
        self.containers.append(netns)
        self.made = set_up_networks(
            [Network("loopback"), self.network(number, **fields)], netns=netns
        )
        return netns

    def close(self) -> None:
        for netns in (self.client, *self.containers):
            netns.close()


# ---- traffic ----


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextmanager
def served(
    netns: NetworkNamespace | None, port: int, protocol: str = "tcp", address: str = "::"
) -> Iterator[None]:
    """A server in a namespace, which answers each client with the client's address."""

    def listen() -> socket.socket:
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        number = SCTP if protocol == "sctp" else 0
        sock = socket.socket(_family(address), kind, number)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in address:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address, port))
        if protocol != "udp":
            sock.listen()
        return sock

    listening = listen() if netns is None else netns.call(listen)
    thread = threading.Thread(target=_answer, args=(listening, protocol))
    thread.start()
    try:
        yield
    finally:
        ended.add(listening)
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        thread.join(SECONDS)
        listening.close()
        ended.discard(listening)
        assert not thread.is_alive()


ended: set[socket.socket] = set()


def _answer(listening: socket.socket, protocol: str) -> None:
    listening.settimeout(0.05)
    while listening not in ended:
        try:
            if protocol == "udp":
                _, peer = listening.recvfrom(100)
                listening.sendto(_plain(peer[0]), peer)
                continue
            accepted, peer = listening.accept()
        except OSError:
            continue
        with accepted:
            accepted.sendall(_plain(peer[0]))


def _plain(address: str) -> bytes:
    return address.removeprefix("::ffff:").encode()


def ask(
    netns: NetworkNamespace | None,
    address: str,
    port: int,
    protocol: str = "tcp",
    seconds: float = SECONDS,
) -> str:
    """Connects from a namespace, and returns the client's address as the server sees it.

    UDP does not send a lost datagram again: this function does.
    """

    def connect() -> socket.socket:
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        sock = socket.socket(_family(address), kind, SCTP if protocol == "sctp" else 0)
        try:
            sock.settimeout(seconds)
            sock.connect((address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    with connect() if netns is None else netns.call(connect) as sock:
        if protocol == "udp":
            for _ in range(round(10 * seconds)):
                sock.send(b"?")
                if select.select([sock], [], [], 0.1)[0]:
                    break
        return sock.recv(100).decode()
