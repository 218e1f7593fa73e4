"""What the tests of wiring share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import support

from pynetstrat import NetworkNamespace


@pytest.fixture
def blue(net: support.Links) -> Iterator[NetworkNamespace]:
    """A container namespace."""
    with NetworkNamespace.create() as namespace:
        yield namespace
