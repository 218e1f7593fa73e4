"""A pytest fixture: a container's network of its own for each test, gone after it.

Copy `container` into a conftest.py. The tests need root, of a user namespace at least:
`pynetstrat run --root -- pytest examples/pytest_netns.py`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from pynetstrat import (
    Network,
    NetworkNamespace,
    get_network_interface_stats,
    set_up_networks,
    tear_down_networks,
)

HOST, CONTAINER = "10.78.0.1", "10.78.0.2"
NETWORKS = [
    Network("loopback"),
    Network("veth", name="eth0", address=f"{CONTAINER}/24", gateway=HOST, owner="pytest"),
]


@pytest.fixture
def container() -> Iterator[NetworkNamespace]:
    """A namespace that the test's own reaches at CONTAINER, and that reaches it at HOST."""
    with NetworkNamespace.create() as netns:
        made = set_up_networks(NETWORKS, netns=netns)
        try:
            yield netns
        finally:
            tear_down_networks(made, netns=netns)


def test_a_server_in_the_container_is_reached_from_here(container: NetworkNamespace) -> None:
    """A TCP connection, and the counters of the container's end."""
    with (
        container.call(socket.create_server, (CONTAINER, 0)) as server,
        socket.create_connection(server.getsockname(), timeout=10) as client,
        server.accept()[0] as served,
    ):
        client.sendall(b"ping")
        assert served.recv(4) == b"ping"
    assert get_network_interface_stats("eth0", netns=container, perspective="host").rx_bytes > 0


def test_a_child_in_the_container_has_its_own_interfaces(container: NetworkNamespace) -> None:
    """A program that is started there."""
    shown = container.run(["cat", "/proc/self/net/dev"], capture_output=True, text=True).stdout
    names = [line.partition(":")[0].strip() for line in shown.splitlines()[2:]]
    assert sorted(names) == ["eth0", "lo"]
