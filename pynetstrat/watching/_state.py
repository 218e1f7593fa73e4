"""What datagrams of the kernel say about links and addresses. No system call is made here."""

from __future__ import annotations

from dataclasses import replace
from errno import EBADMSG, EBUSY, ENODEV

from .._native.monitor import (
    AF_BRIDGE,
    LOST,
    NLM_F_DUMP_INTR,
    NLM_F_MULTI,
    NLMSG_DONE,
    NLMSG_ERROR,
    NOTHING,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    decode,
    refusal,
)
from ..rtnetlink.links import Address, Link
from ._inventory import Inventory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._inventory import Key

_MOST_LINKS = 16  # requested one by one: for more of them a dump costs less
_MOST_RETRIES = 16  # of a dump that the kernel marks as inconsistent (NLM_F_DUMP_INTR)

_ROWS = {RTM_GETLINK: RTM_NEWLINK, RTM_GETADDR: RTM_NEWADDR}  # the types of a dump's messages


class LinkState:
    """Turns datagrams into events: it merges dumps and notifications into one state.

    The dumps of the core do not serve here. They wait for the whole reply, and pass over the
    notifications in between; a monitor must not wait, and must process replies and notifications in
    the order in which the kernel queued them.

    The driver passes each datagram to `feed`, and calls `idle` when the queue is empty. After each
    of these calls it requests the dump `next_dump`, if any, and passes the request's numbers to
    `requested`.

    A dump takes effect when it is complete. Until then its rows and the notifications that arrive
    are collected; the result is compared with the inventory.

    Attributes:
        inventory: the links and addresses, and the events.
        next_dump: the type of the dump to request now; 0 if none.
        is_stale: whether messages were lost. Everything is dumped again once the queue is empty,
            since the kernel drops messages silently until then.
        failure: why the kernel refused a dump, or None. The driver resets and raises it.
    """

    __slots__ = (
        "_collected",
        "_deleted",
        "_is_inconsistent",
        "_notified",
        "_port",
        "_retries",
        "_running",
        "_sequence",
        "_with_addresses",
        "failure",
        "inventory",
        "is_stale",
        "next_dump",
    )

    def __init__(self, with_addresses: bool = False) -> None:
        self._with_addresses = with_addresses
        self.inventory = Inventory()
        self.next_dump = 0
        self.is_stale = True
        self.failure: OSError | None = None
        # What the running dump and the notifications during it say; the value of a deleted key is
        # None. The attribute itself is None while no dump is running.
        self._collected: dict[Key, Any] | None = None
        self._notified: set[Key] = set()  # its keys that notifications were about
        self._deleted: set[Key] = set()  # its keys that were deleted, even if they were used again
        self._running = 0  # the type of the requested dump, or 0
        self._sequence = self._port = 0  # of its replies
        self._is_inconsistent = False
        self._retries = 0

    # ---- called by the driver ----

    def feed(self, datagram: bytes, missing: int = 0) -> None:
        """Processes a datagram, of which `missing` further bytes were cut off."""
        for kind, flags, sequence, port, content in decode(datagram, missing):
            if kind == LOST:
                self.lose()
            elif kind in (NLMSG_ERROR, NLMSG_DONE) or flags & NLM_F_MULTI:
                # Only these are replies. A notification may carry our numbers too: those of a
                # request that was made in another namespace, where they are another socket's.
                if self._running and sequence == self._sequence and port == self._port:
                    self._process_reply(kind, flags, content)
                elif kind == NLMSG_ERROR and content[0] not in (0, ENODEV):
                    self.lose()  # the request for a single link failed
            elif content is None:
                self.lose()
            elif kind in (RTM_NEWLINK, RTM_DELLINK):
                self._process_link(kind, *content)
            elif kind in (RTM_NEWADDR, RTM_DELADDR) and content is not NOTHING:
                address = Address(**content)
                self._process(_key(address), address if kind == RTM_NEWADDR else None)

    def lose(self) -> None:
        """Records that messages were lost."""
        self.is_stale = True
        self.next_dump = self._running = 0
        self._collected = None
        self._notified.clear()

    def recover(self) -> None:
        """Has everything dumped again after a call that did not finish."""
        self.lose()
        self.inventory.rebuild_indexes()

    def idle(self) -> list[str]:
        """Decides what to request when the queue is empty.

        Returns:
            The names of links to request one by one. A dump is in `next_dump` instead.
        """
        if self._running or self.next_dump:
            return []
        links = self.inventory.take_doubted()
        if self.is_stale or len(links) > _MOST_LINKS:
            self._begin_dump()
            return []
        return [link.name for link in links]

    def requested(self, sequence: int, port: int) -> None:
        """Records that `next_dump` was requested, with these numbers."""
        self._running, self.next_dump = self.next_dump, 0
        self._sequence, self._port = sequence, port

    # ---- notifications ----

    def _process_link(self, kind: int, family: int, fields: tuple[Any, ...]) -> None:
        index = fields[0]
        if family != AF_BRIDGE:
            self._process(index, Link(*fields) if kind == RTM_NEWLINK else None)
        elif kind == RTM_NEWLINK:
            # A bridge announces the settings of a port; the rest of its message is incomplete. Its
            # RTM_DELLINK means that the port has left the bridge: the link still exists.
            known = self.inventory.entries if self._collected is None else self._collected
            link, port = known.get(index), Link(*fields)
            settings = port.hairpin, port.isolated
            if link is not None and (link.hairpin, link.isolated) != settings:
                self._process(index, replace(link, hairpin=port.hairpin, isolated=port.isolated))

    def _process(self, key: Key, value: Any) -> None:
        if self._collected is None:
            self.inventory.apply(key, value)
            return
        self._collected[key] = value
        self._notified.add(key)
        if value is None:
            self._deleted.add(key)

    # ---- dumps ----

    def _begin_dump(self) -> None:
        self.is_stale = self._is_inconsistent = False
        # A repeated dump keeps what notifications have said during the former one.
        collected = self._collected or {}
        self._collected = {key: collected[key] for key in self._notified}
        self.next_dump = RTM_GETLINK

    def _process_reply(self, kind: int, flags: int, content: Any) -> None:
        if flags & NLM_F_DUMP_INTR:
            self._is_inconsistent = True
        if kind == NLMSG_DONE or (kind == NLMSG_ERROR and content[0]):
            self._end_dump(*content)
        elif content is None or kind == NLMSG_ERROR:  # malformed, or an ack, which ends no dump
            self._end_dump(EBADMSG, "")
        elif kind == _ROWS[self._running] and content is not NOTHING:
            if kind == RTM_NEWADDR:
                address = Address(**content)
                self._collect(_key(address), address)
            elif content[0] != AF_BRIDGE:
                self._collect(content[1][0], Link(*content[1]))

    def _collect(self, key: Key, value: Any) -> None:
        """Adds a row of a dump, unless a notification is newer.

        The kernel may have made a row before the notification that precedes it in the queue. So a
        deletion stands, and anything that happens after it has a notification of its own. For
        addresses, which are dumped without a lock, every notification stands.
        """
        collected = self._collected
        assert collected is not None
        if key in self._notified and (collected[key] is None or type(value) is Address):
            return
        collected[key] = value

    def _end_dump(self, errno: int, ext_ack: str) -> None:
        kind, self._running = self._running, 0
        if errno:
            self.lose()
            # EBUSY: the kernel is still busy with a dump that was given up; receiving continues it.
            if errno != EBUSY:
                self.failure = refusal(errno, kind, ext_ack)
        elif kind == RTM_GETLINK and self._with_addresses:
            self.next_dump = RTM_GETADDR
        elif self._is_inconsistent and self._retries < _MOST_RETRIES:
            self._retries += 1
            self._begin_dump()
        else:
            self._apply_collected()

    def _apply_collected(self) -> None:
        """Compares what a complete dump has found with the inventory: removals come first."""
        inventory = self.inventory
        found = {key: value for key, value in (self._collected or {}).items() if value is not None}
        for key, value in list(inventory.entries.items()):
            now = found.get(key)
            if now is None or key in self._deleted or _kind(now) != _kind(value):
                inventory.apply(key, None)
        for kind in (Link, Address):
            for key, value in found.items():
                if type(value) is kind:
                    inventory.apply(key, value)
        self._collected = None
        self._notified.clear()
        self._deleted.clear()
        self._retries = 0


def _key(address: Address) -> Key:
    return address.ifindex, address.address, address.peer


def _kind(value: Link | Address) -> str:
    return value.kind if type(value) is Link else ""
