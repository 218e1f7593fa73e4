"""The links and addresses that a monitor knows, and the events that follow from a change."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from ..rtnetlink.links import Address, Event, Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # The index of a link. For an address: the link's index, the address and its peer.
    Key = int | tuple[int, str, str]


class Inventory:
    """The links and addresses of a namespace, as far as its events describe them.

    Some changes are not announced by the kernel (net/core/rtnetlink.c, drivers/net/veth.c):

    - the peer of a veth appears (the first end is announced without it), moves to another namespace
      or disappears;
    - the parent of a macvlan or a similar link moves to another namespace or returns.

    A link to which this may have happened is in doubt, and has to be requested from the kernel.

    Attributes:
        entries: each link by its index, each address by the link's index, the address and its peer.
        events: the events that no caller has taken yet.
    """

    __slots__ = (
        "_addresses_of",
        "_departed",
        "_dependents",
        "_doubted",
        "_foreign",
        "_has_arrival",
        "entries",
        "events",
    )

    def __init__(self) -> None:
        self.entries: dict[Key, Any] = {}
        self.events: deque[Event] = deque()
        # Three indexes of `entries`, without which each removal would search all of it.
        self._addresses_of: dict[int, set[Key]] = {}  # by the link's index
        self._dependents: dict[int, set[int]] = {}  # links by the index of their peer or parent
        self._foreign: set[int] = set()  # links with a parent in another namespace, except veths
        # What brings links into doubt: indexes that were deleted, and the arrival of any link,
        # which may be the returning parent of a foreign one.
        self._departed: set[int] = set()
        self._has_arrival = False
        self._doubted: set[int] = set()

    def apply(self, key: Key, value: Link | Address | None) -> None:
        """Records a value (None: it has disappeared), with an event if that is news."""
        before = self.entries.get(key)
        if value is None:
            if type(before) is Link:
                self._remove_link(before)
            elif before is not None:
                self._remove_address(key, before)
        elif type(value) is Link:
            self._put_link(value, before)
        elif type(value) is Address:
            self._put_address(key, value, before)

    def take_doubted(self) -> list[Link]:
        """Returns the links in doubt, which then no longer are."""
        for index in self._departed:
            self._doubted |= self._dependents.get(index, set())
        if self._has_arrival:
            self._doubted |= self._foreign
        links = [self.entries[index] for index in self._doubted if index in self.entries]
        self._departed.clear()
        self._has_arrival = False
        self._doubted.clear()
        return links

    def rebuild_indexes(self) -> None:
        """Makes the indexes agree with `entries` after a call that did not finish."""
        self._addresses_of.clear()
        self._dependents.clear()
        self._foreign.clear()
        for key, value in self.entries.items():
            if type(value) is Link:
                self._index(value)
            else:
                self._addresses_of.setdefault(value.ifindex, set()).add(key)

    # ---- links ----

    # After an exception from a signal handler everything is dumped again. That repairs all but an
    # entry whose event is missing: the change would never be reported. Handlers run after calls
    # only, so below no call separates the change of an entry from its event.

    def _put_link(self, link: Link, before: Link | None) -> None:
        is_news = link != before
        event = Event("added" if before is None else "changed", link, None, before)
        self.entries[link.index] = link
        if is_news:
            self.events.append(event)
            if before is None:
                self._has_arrival = True
            else:
                self._unindex(before)
            self._index(link)
            if link.kind == "veth":
                self._check_peer(link, before)

    def _remove_link(self, link: Link) -> None:
        # The kernel announces the removal of the addresses first, but that may have been lost.
        for key in list(self._addresses_of.get(link.index, ())):
            self._remove_address(key, self.entries[key])
        event = Event("removed", link, None, link)
        del self.entries[link.index]
        self.events.append(event)
        self._unindex(link)
        self._departed.add(link.index)

    def _check_peer(self, veth: Link, before: Link | None) -> None:
        """Brings a veth or its peer into doubt if the two do not name each other."""
        if veth.link_index is None:
            if before is None:  # announced before its peer exists
                self._doubted.add(veth.index)
        elif veth.link_nsid is None:
            peer = self.entries.get(veth.link_index)
            if peer is not None and (peer.link_index, peer.link_nsid) != (veth.index, None):
                self._doubted.add(peer.index)

    def _index(self, link: Link) -> None:
        if link.link_index is None:
            return
        if link.link_nsid is None:
            self._dependents.setdefault(link.link_index, set()).add(link.index)
        elif link.kind != "veth":  # when the peer of a veth returns, it names the veth
            self._foreign.add(link.index)

    def _unindex(self, link: Link) -> None:
        if link.link_index is None:
            return
        if link.link_nsid is None:
            _discard(self._dependents, link.link_index, link.index)
        else:
            self._foreign.discard(link.index)

    # ---- addresses ----

    def _put_address(self, key: Key, address: Address, before: Address | None) -> None:
        if address.ifindex not in self.entries:
            return  # the dump that finds the link finds the address too
        is_news = before is None or _without_lifetimes(address) != _without_lifetimes(before)
        event = Event("address-added", None, address, before)
        self.entries[key] = address
        if is_news:
            self.events.append(event)
            self._addresses_of.setdefault(address.ifindex, set()).add(key)

    def _remove_address(self, key: Key, address: Address) -> None:
        event = Event("address-removed", None, address, address)
        del self.entries[key]
        self.events.append(event)
        _discard(self._addresses_of, address.ifindex, key)


def _discard(index: dict[int, set[Any]], key: int, value: Any) -> None:
    """Removes a value from a set of an index, and the set with its last value."""
    values = index.get(key)
    if values is not None:
        values.discard(value)
        if not values:
            del index[key]


def _without_lifetimes(address: Address) -> Address:
    """The address with 0 for the seconds left, since these differ in every dump."""
    return replace(
        address,
        valid=None if address.valid is None else 0,
        preferred=None if address.preferred is None else 0,
    )
