"""`LinkState`: turns datagrams of the kernel into events. No system call is made here."""

from __future__ import annotations

from errno import EBADMSG, EBUSY, ENODEV

from .._dataclass import replace
from .._native.monitor import (
    AF_BRIDGE,
    LOST,
    NLM_F_DUMP_INTR,
    NLM_F_MULTI,
    NLMSG_DONE,
    NLMSG_ERROR,
    NOTHING,
    OF_ADDRESSES,
    OF_LINKS,
    REPLIES,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    Decoder,
    refusal,
)
from ..rtnetlink.links import Address, Link
from ._inventory import Inventory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._inventory import Key

_MAX_LINKS = 16  # requested one by one: for more of them a dump costs less
_MAX_RETRIES = 16  # of a dump that the kernel marks as inconsistent (NLM_F_DUMP_INTR)

# The type of the messages that answer a dump.
_ANSWERS = {RTM_GETLINK: RTM_NEWLINK, RTM_GETADDR: RTM_NEWADDR}


class LinkState:
    """Merges the messages of dumps and notifications into one state, and produces events.

    The monitor calls it in this sequence, until the queue is empty and nothing was requested:

    1. It receives a datagram and passes it to `feed`. If the queue is empty, it calls `idle` and
       requests the links that this returns.
    2. If `next_dump` is set, it requests that dump, and passes the numbers of the request to
       `requested`.

    The dumps of the core cannot be used. They wait for the whole reply, and skip the notifications
    in between; a monitor must not wait, and must process replies and notifications in the order in
    which the kernel queued them.

    A dump takes effect when it is complete. Until then its messages and the notifications that
    arrive are collected; the result is compared with the inventory.

    Attributes:
        inventory: the links and addresses, and the events.
        next_dump: the type of the dump to request now; 0 if none.
        is_stale: whether messages were lost. Everything is dumped again once the queue is empty,
            since the kernel drops messages silently until then.
        failure: why the kernel refused a dump, or None. The monitor resets and raises it.
    """

    __slots__ = (
        "_collected",
        "_decode",
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
        self._decode = Decoder().decode
        self.inventory = Inventory()
        self.next_dump = 0
        self.is_stale = True
        self.failure: OSError | None = None
        # The values from the running dump and the notifications during it; None for a deleted key.
        # The attribute itself is None between dumps.
        self._collected: dict[Key, Any] | None = None
        # The keys in it that come from notifications. A repeated dump keeps these.
        self._notified: set[Key] = set()
        # The keys that were deleted since the last complete dump. If such a key is in use again, it
        # is reported as removed and added. lose() keeps them, since the events are still missing.
        self._deleted: set[Key] = set()
        self._running = 0  # the type of the requested dump, or 0
        self._sequence = self._port = 0  # of its replies
        self._is_inconsistent = False
        self._retries = 0

    # ---- called by the monitor ----

    def feed(self, datagram: Any) -> None:
        """Processes a datagram, as `Subscription.receive` returns it."""
        for message_type, flags, sequence, port, content in self._decode(datagram):
            if message_type == LOST:
                self.lose()
            elif message_type in REPLIES or flags & NLM_F_MULTI:
                # Only replies to dumps and errors are like this. The numbers do not tell a reply
                # from a notification: a request of another socket, in another namespace, may have
                # had the same ones. The reply to a request for a single link is a notification.
                if self._running and sequence == self._sequence and port == self._port:
                    self._process_reply(message_type, flags, content)
                elif message_type == NLMSG_ERROR and content[0] not in (0, ENODEV):
                    self.lose()  # the request for a single link failed
            elif content is None:
                self.lose()
            elif message_type in OF_LINKS:
                self._process_link(message_type, *content)
            elif message_type in OF_ADDRESSES and content is not NOTHING:
                address = Address(**content)
                self._process(_key(address), address if message_type == RTM_NEWADDR else None)

    def lose(self) -> None:
        """Records that messages were lost."""
        self.is_stale = True
        self.next_dump = self._running = 0
        self._collected = None
        self._notified.clear()

    def recover(self) -> None:
        """Requires a dump of everything, after a call that did not finish."""
        self.lose()
        self.inventory.rebuild_tables()

    def idle(self) -> list[str]:
        """Decides what to request when the queue is empty.

        Returns:
            The names of links to request one by one. If many are stale, `next_dump` is set instead.
        """
        if self._running or self.next_dump:
            return []
        links = self.inventory.take_stale()
        if self.is_stale or len(links) > _MAX_LINKS:
            self._begin_dump()
            return []
        return [link.name for link in links]

    def requested(self, sequence: int, port: int) -> None:
        """Records that `next_dump` was requested, with these numbers."""
        self._running, self.next_dump = self.next_dump, 0
        self._sequence, self._port = sequence, port

    # ---- notifications ----

    def _process_link(self, message_type: int, family: int, fields: tuple[Any, ...]) -> None:
        index = fields[0]
        if family != AF_BRIDGE:
            self._process(index, Link(*fields) if message_type == RTM_NEWLINK else None)
        elif message_type == RTM_NEWLINK:
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
        # A repeated dump keeps the notifications that arrived during the former one.
        collected = self._collected or {}
        self._collected = {key: collected[key] for key in self._notified}
        self.next_dump = RTM_GETLINK

    def _process_reply(self, message_type: int, flags: int, content: Any) -> None:
        if flags & NLM_F_DUMP_INTR:
            self._is_inconsistent = True
        if message_type == NLMSG_DONE or (message_type == NLMSG_ERROR and content[0]):
            self._end_dump(*content)
        elif content is None or message_type == NLMSG_ERROR:
            # A malformed message, or an ack without an error, which is not a valid reply to a dump.
            self._end_dump(EBADMSG, "")
        elif message_type == _ANSWERS[self._running] and content is not NOTHING:
            if message_type == RTM_NEWADDR:
                address = Address(**content)
                self._collect(_key(address), address)
            elif content[0] != AF_BRIDGE:
                self._collect(content[1][0], Link(*content[1]))

    def _collect(self, key: Key, value: Any) -> None:
        """Records a message of a dump, unless a notification may be newer.

        The message may be older than a notification that precedes it in the queue. So a link that
        was deleted stays deleted; if it was created again, a notification follows. Addresses are
        dumped without a lock, so a message never replaces a notification about an address.
        """
        collected = self._collected
        assert collected is not None
        if key in self._notified and (collected[key] is None or type(value) is Address):
            return
        collected[key] = value

    def _end_dump(self, errno: int, ext_ack: str) -> None:
        dump_type, self._running = self._running, 0
        if errno:
            self.lose()
            # EBUSY: an earlier dump that was given up is unfinished; receiving its rest ends it.
            if errno != EBUSY:
                self.failure = refusal(errno, dump_type, ext_ack)
        elif dump_type == RTM_GETLINK and self._with_addresses:
            self.next_dump = RTM_GETADDR
        elif self._is_inconsistent and self._retries < _MAX_RETRIES:
            self._retries += 1
            self._begin_dump()
        else:
            self._apply_collected()

    def _apply_collected(self) -> None:
        """Compares a complete dump with the inventory: removals are reported first."""
        inventory = self.inventory
        found = {key: value for key, value in (self._collected or {}).items() if value is not None}
        for key, value in list(inventory.entries.items()):
            now = found.get(key)
            if now is None or key in self._deleted or _link_kind(now) != _link_kind(value):
                inventory.apply(key, None)
        for cls in (Link, Address):
            for key, value in found.items():
                if type(value) is cls:
                    inventory.apply(key, value)
        self._collected = None
        self._notified.clear()
        self._deleted.clear()
        self._retries = 0


def _key(address: Address) -> Key:
    return address.ifindex, address.address, address.peer


def _link_kind(value: Link | Address) -> str:
    return value.kind if type(value) is Link else ""
