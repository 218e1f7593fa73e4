"""Shared by the tests of watching: a reader of events, datagrams, and the links in the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import support
from pynetstrat._core import ffi

from pynetstrat import Address, Event, Link, NetworkNamespace, RtnetlinkSocket

_memory: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # of each cursor


def cursor(datagram: bytes, missing: int = 0) -> Any:
    """A datagram of which `missing` further bytes were cut off, as it is received."""
    memory = ffi.from_buffer(datagram)
    rest = ffi.new("struct netstrat_cursor *", (memory, 0, len(datagram), missing))
    _memory[rest] = memory
    return rest


class Replay:
    """Applies events as a reader would, and checks that each fits the events before it."""

    def __init__(self) -> None:
        self.links: dict[int, Link] = {}
        self.addresses: dict[tuple[int, str, str], Address] = {}
        self.counts: dict[str, int] = {}

    def apply(self, events: list[Event]) -> list[Event]:
        for event in events:
            self.counts[event.kind] = self.counts.get(event.kind, 0) + 1
            if event.address is None:
                link = event.link
                before = self.links.get(link.index)
                assert (event.kind == "added") == (before is None)
                assert event.previous == before
                if event.kind == "removed":
                    assert link == before
                    del self.links[link.index]
                else:
                    assert link != before, "nothing new"
                    self.links[link.index] = link
            else:
                address = event.address
                key = address.ifindex, address.address, address.peer
                before = self.addresses.get(key)
                assert event.previous == before or event.previous.valid is not None
                assert address.ifindex in self.links
                if event.kind == "address-removed":
                    del self.addresses[key]
                else:
                    self.addresses[key] = address
        return events


def kernel_links() -> dict[int, Link]:
    with RtnetlinkSocket() as sock:
        return {link.index: link for link in sock.dump_links().values()}


def link_names(events: list[Event]) -> list[str]:
    return sorted(event.link.name for event in events)


def summary(events: list[Event]) -> list[tuple[str, str]]:
    """The kind of each event, with the name of the link or the address."""
    return [
        (event.kind, event.link.name if event.link else event.address.address) for event in events
    ]


def run_within(netns: NetworkNamespace, work: Callable[[], None]) -> None:
    with support.inside(netns.fileno()):
        work()
