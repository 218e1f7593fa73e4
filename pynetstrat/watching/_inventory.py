"""`Inventory`: the links and addresses that a monitor knows, and the events not taken yet."""

from __future__ import annotations

from collections import deque

from .._dataclass import replace
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

    A link to which this may have happened is stale, and has to be requested from the kernel.

    Attributes:
        entries: each link by its index, each address by the link's index, the address and its peer.
        events: the events that no caller has taken yet.
    """

    __slots__ = (
        "_addresses_of",
        "_departed",
        "_dependents",
        "_foreign",
        "_has_arrival",
        "_stale",
        "entries",
        "events",
    )

    def __init__(self) -> None:
        self.entries: dict[Key, Any] = {}
        self.events: deque[Event] = deque()
        # Three lookup tables, without which each removal would search all of `entries`.
        self._addresses_of: dict[int, set[Key]] = {}  # by the link's index
        self._dependents: dict[int, set[int]] = {}  # links by the index of their peer or parent
        self._foreign: set[int] = set()  # links with a parent in another namespace, except veths
        # Two things make other links stale: the deletion of an index, and the arrival of any link,
        # which may be the returning parent of a foreign one.
        self._departed: set[int] = set()
        self._has_arrival = False
        self._stale: set[int] = set()

    def apply(self, key: Key, value: Link | Address | None) -> None:
        """Records a value (None: it has disappeared), with an event if it has changed."""
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

    def take_stale(self) -> list[Link]:
        """Returns the stale links, and forgets that they are stale."""
        for index in self._departed:
            self._stale |= self._dependents.get(index, set())
        if self._has_arrival:
            self._stale |= self._foreign
        links = [self.entries[index] for index in self._stale if index in self.entries]
        self._departed.clear()
        self._has_arrival = False
        self._stale.clear()
        return links

    def rebuild_tables(self) -> None:
        """Makes the lookup tables agree with `entries` after a call that did not finish."""
        self._addresses_of.clear()
        self._dependents.clear()
        self._foreign.clear()
        for key, value in self.entries.items():
            if type(value) is Link:
                self._add_to_tables(value)
            else:
                self._addresses_of.setdefault(value.ifindex, set()).add(key)

    # ---- links ----

    # Invariant: an entry and its event change together. A signal handler that raises can interrupt
    # after any call, so no call may separate the two statements. If one did, the change would never
    # be reported; the dump that follows the exception repairs everything else.

    def _put_link(self, link: Link, before: Link | None) -> None:
        has_changed = link != before
        event = Event("added" if before is None else "changed", link, None, before)
        self.entries[link.index] = link
        if has_changed:
            self.events.append(event)
            if before is None:
                self._has_arrival = True
                self._add_to_tables(link)
            elif (link.link_index, link.link_nsid, link.kind) != (
                before.link_index,
                before.link_nsid,
                before.kind,
            ):
                self._remove_from_tables(before)
                self._add_to_tables(link)
            if link.kind == "veth":
                self._check_peer(link, before)

    def _remove_link(self, link: Link) -> None:
        # The kernel announces the removal of the addresses first, but that may have been lost.
        for key in list(self._addresses_of.get(link.index, ())):
            self._remove_address(key, self.entries[key])
        event = Event("removed", link, None, link)
        del self.entries[link.index]
        self.events.append(event)
        self._remove_from_tables(link)
        self._departed.add(link.index)

    def _check_peer(self, veth: Link, before: Link | None) -> None:
        """Marks a veth or its peer as stale if the two do not name each other."""
        if veth.link_index is None:
            if before is None:  # announced before its peer exists
                self._stale.add(veth.index)
        elif veth.link_nsid is None:
            peer = self.entries.get(veth.link_index)
            if peer is not None and (peer.link_index, peer.link_nsid) != (veth.index, None):
                self._stale.add(peer.index)

    def _add_to_tables(self, link: Link) -> None:
        if link.link_index is None:
            return
        if link.link_nsid is None:
            self._dependents.setdefault(link.link_index, set()).add(link.index)
        elif link.kind != "veth":  # when the peer of a veth returns, it names the veth
            self._foreign.add(link.index)

    def _remove_from_tables(self, link: Link) -> None:
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
        has_changed = before is None or _without_lifetimes(address) != _without_lifetimes(before)
        event = Event("address-added", None, address, before)
        self.entries[key] = address
        if has_changed:
            self.events.append(event)
            self._addresses_of.setdefault(address.ifindex, set()).add(key)

    def _remove_address(self, key: Key, address: Address) -> None:
        event = Event("address-removed", None, address, address)
        del self.entries[key]
        self.events.append(event)
        _discard(self._addresses_of, address.ifindex, key)


def _discard(table: dict[int, set[Any]], key: int, value: Any) -> None:
    """Removes a value from a set of a lookup table, and the set with its last value."""
    values = table.get(key)
    if values is not None:
        values.discard(value)
        if not values:
            del table[key]


def _without_lifetimes(address: Address) -> Address:
    """The address with 0 for the seconds left, since these differ in every dump."""
    return replace(
        address,
        valid=None if address.valid is None else 0,
        preferred=None if address.preferred is None else 0,
    )
