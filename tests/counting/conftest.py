"""Fixtures of the tests of counting."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from helpers_counting import Entries, ProcessEntry
from support import Links

from pynetstrat import ContainerCounters, HostCounters


@pytest.fixture
def counters(net: Links) -> Iterator[ContainerCounters]:
    """Counters of a host without containers."""
    with ContainerCounters() as opened:
        yield opened


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that makes /proc list only the given processes, not all of the machine."""
    scandir = os.scandir

    def restrict(*pids: int) -> None:
        entries = Entries(map(ProcessEntry, ("self", "net", *map(str, pids))))
        monkeypatch.setattr(os, "scandir", lambda p: entries if p == "/proc" else scandir(p))

    return restrict


@pytest.fixture
def host_counters(net: Links, run: None, only: Callable[..., None]) -> Iterator[HostCounters]:
    """A `HostCounters` of a host without names and processes."""
    only()
    with HostCounters() as opened:
        yield opened
