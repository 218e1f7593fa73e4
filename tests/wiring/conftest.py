"""What the tests of wiring share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import support
from helpers_network import quieten

from pynetstrat import NetworkNamespace


@pytest.fixture
def blue(net: support.Links) -> Iterator[NetworkNamespace]:
    """A container namespace."""
    with NetworkNamespace.create() as namespace:
        yield namespace


@pytest.fixture
def quiet_blue(blue: NetworkNamespace) -> NetworkNamespace:
    """A container namespace in which the kernel adds no link-local addresses."""
    quieten(blue)
    return blue
