"""Fixtures of the tests of watching."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers_network import quieten

from pynetstrat import LinkMonitor, RtnetlinkSocket


@pytest.fixture
def rtnetlink(host: RtnetlinkSocket) -> RtnetlinkSocket:
    """A socket in a namespace in which links do not get addresses from the kernel."""
    quieten()
    return host


@pytest.fixture
def monitor(rtnetlink: RtnetlinkSocket) -> Iterator[LinkMonitor]:
    with LinkMonitor() as opened:
        yield opened
