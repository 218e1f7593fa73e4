"""A pytest fixture that gives each test a container network and removes it afterwards.

Copy `container` into a conftest.py. The tests need root, at least in a user namespace:
`pynetstrat run --root -- pytest examples/pytest_netns.py`. They can run in parallel (`-n 2`).
"""

from __future__ import annotations

import os
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

# The workers of pytest-xdist share one host namespace: each gets its own subnet and owner.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
SUBNET = f"10.78.{WORKER.removeprefix('gw')}"
HOST, CONTAINER = f"{SUBNET}.1", f"{SUBNET}.2"
NETWORKS = [
    Network("loopback"),
    Network("veth", name="eth0", address=f"{CONTAINER}/24", gateway=HOST, owner=f"pytest-{WORKER}"),
]


@pytest.fixture
def container() -> Iterator[NetworkNamespace]:
    """A namespace with eth0: the host reaches it at CONTAINER, and it reaches the host at HOST."""
    with NetworkNamespace.create() as netns:
        made = set_up_networks(NETWORKS, netns=netns)
        try:
            yield netns
        finally:
            tear_down_networks(made, netns=netns)


def test_the_host_reaches_a_server_in_the_container(container: NetworkNamespace) -> None:
    """Connects to a server in the container by TCP and reads the counters of its interface."""
    with (
        container.call(socket.create_server, (CONTAINER, 0)) as server,
        socket.create_connection(server.getsockname(), timeout=10) as client,
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
