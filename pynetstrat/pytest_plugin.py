"""Fixtures for pytest: network namespaces for each test, and networks wired between them.

pytest loads this module by itself (entry point `pytest11`). docs/testing.md has examples.
"""

# Every session of pytest loads this module. So it imports no other module of the package: each
# name is loaded when a fixture looks it up.

from __future__ import annotations

from contextlib import ExitStack
from typing import Protocol

import pytest

import pynetstrat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .namespace import NetworkNamespace
    from .types import Netns
    from .wiring.network import Network


class Wire(Protocol):
    """The type of the fixture `wire`, for annotations."""

    def __call__(
        self, networks: Iterable[Network], *, netns: Netns = ..., host: Netns = ...
    ) -> list[Network]:
        """Sets networks up, and tears them down after the test."""


@pytest.fixture
def host_netns() -> Iterator[NetworkNamespace]:
    """A fresh network namespace to use as the host. Its `lo` is up.

    The test itself stays in its own namespace: pass `host=host_netns`, or run code there by
    `host_netns.call(...)` and `host_netns.run([...])`.
    """
    with pynetstrat.NetworkNamespace.create() as namespace:
        pynetstrat.link_set_up("lo", netns=namespace)
        yield namespace


@pytest.fixture
def netns() -> Iterator[NetworkNamespace]:
    """A fresh network namespace to use as the container."""
    with pynetstrat.NetworkNamespace.create() as namespace:
        yield namespace


@pytest.fixture
def wire(host_netns: NetworkNamespace, netns: NetworkNamespace) -> Iterator[Wire]:
    """Sets networks up by `wire(networks, *, netns=netns, host=host_netns)`.

    It returns the networks as `set_up_networks` does. They are torn down after the test, the last
    call first.
    """
    container, outside = netns, host_netns
    with ExitStack() as stack:

        def wire(
            networks: Iterable[Network], *, netns: Netns = container, host: Netns = outside
        ) -> list[Network]:
            made = pynetstrat.set_up_networks(networks, netns=netns, host=host)
            stack.callback(_tear_down, made, netns, host)
            return made

        yield wire


def _tear_down(networks: list[Network], netns: Netns, host: Netns) -> None:
    """Tears networks down, also after the test has closed a namespace."""
    if not _is_closed(host):  # otherwise its links end with it
        where = None if _is_closed(netns) else netns
        pynetstrat.tear_down_networks(networks, netns=where, host=host)


def _is_closed(netns: Netns) -> bool:
    if not isinstance(netns, pynetstrat.NetworkNamespace):
        return False
    try:
        netns.fileno()
    except pynetstrat.KernelError:
        return True
    return False
