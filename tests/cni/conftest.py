"""What the tests of the CNI plugin share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import support
from helpers_cni import Ipam, Runtime, forward, path_of
from helpers_network import quieten

from pynetstrat import NetworkNamespace


@pytest.fixture
def ipam(tmp_path: Path) -> Ipam:
    """An IPAM plugin that leases 10.1.0.2/24."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return Ipam(folder)


@pytest.fixture
def box(net: support.Links) -> Iterator[NetworkNamespace]:
    """A container namespace of a host that forwards."""
    forward()
    quieten()
    with NetworkNamespace.create() as netns:
        yield netns


@pytest.fixture
def runtime(ipam: Ipam, box: NetworkNamespace) -> Runtime:
    """A runtime with that container and that IPAM plugin."""
    return Runtime(ipam, path_of(box))
