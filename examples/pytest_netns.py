"""Tests of a container's network with the fixtures of pynetstrat's plug-in for pytest.

They need root, at least in a user namespace:
`pynetstrat run --root -- pytest examples/pytest_netns.py`. They can run in parallel (`-n 2`).
"""

from __future__ import annotations

import socket

import pytest

from pynetstrat import Network, NetworkNamespace, get_network_interface_stats
from pynetstrat.pytest_plugin import Wire

HOST, CONTAINER = "10.78.0.1", "10.78.0.2"


@pytest.fixture
def container(netns: NetworkNamespace, wire: Wire) -> NetworkNamespace:
    """A namespace with eth0: the host reaches it at CONTAINER, and it reaches the host at HOST."""
    wire([Network("loopback"), Network("veth", "eth0", address=f"{CONTAINER}/24", gateway=HOST)])
    return netns


def test_the_host_reaches_a_server_in_the_container(
    container: NetworkNamespace, host_netns: NetworkNamespace
) -> None:
    """Connects to a server in the container by TCP and reads the counters of its interface."""
    with (
        container.call(socket.create_server, (CONTAINER, 0)) as server,
        host_netns.call(socket.create_connection, server.getsockname(), timeout=10) as client,
        server.accept()[0] as served,
    ):
        client.sendall(b"ping")
        assert served.recv(4) == b"ping"
    assert get_network_interface_stats("eth0", netns=container, perspective="host").rx_bytes > 0


def test_a_child_in_the_container_has_its_own_interfaces(container: NetworkNamespace) -> None:
    """A program started in the container sees only the container's interfaces."""
    shown = container.run(["cat", "/proc/self/net/dev"], capture_output=True, text=True).stdout
    names = [line.partition(":")[0].strip() for line in shown.splitlines()[2:]]
    assert sorted(names) == ["eth0", "lo"]
