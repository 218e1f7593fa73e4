"""What is known of a namespace's links and addresses, made of datagrams without a system call."""

from __future__ import annotations

from collections import deque
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
from ..rtnetlink.links import Address, Event, Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # A link's index; of an address the link's index, the address and its peer.
    Key = int | tuple[int, str, str]

_MOST_LINKS = 16  # asked for by themselves: beyond that a dump costs less
_MOST_TRIES = 16  # of a dump that the kernel marks as inconsistent

_DUMPED = {RTM_GETLINK: RTM_NEWLINK, RTM_GETADDR: RTM_NEWADDR}


class LinkState:
    """What is known of a namespace: it is fed with datagrams and makes events of them.

    It makes no system call. Whoever drives it feeds it with what is received, calls `idle` where
    the queue is empty, and after both requests the dump that is `wanted`, if any, and calls
    `asked`. A dump is not believed before its end, and notifications that come meanwhile count as
    part of it: what it comes to is then compared with what is known.

    The kernel sends no notification when a veth's peer appears (a veth is announced without it),
    moves to another namespace or disappears, or when the parent of a macvlan or its like moves to
    another namespace or returns. A link to which this may have happened is requested on its own,
    and the answer is processed like a notification.

    Attributes:
        known: each link by its index, each address by the link's index, the address and its peer.
        events: those that nobody has taken yet.
        wanted: the type of the dump to request at once; 0: none.
        stale: `known` may be wrong, and once the queue is empty everything is to be dumped anew:
            when messages were lost, more are lost up to that moment.
        failure: why the kernel refused a dump; for the driver to take and raise.
    """

    __slots__ = (
        "_addresses",
        "_arrived",
        "_children",
        "_doubted",
        "_dump",
        "_elsewhere",
        "_ended",
        "_found",
        "_held",
        "_interrupted",
        "_left",
        "_noted",
        "_port",
        "_sequence",
        "_tries",
        "events",
        "failure",
        "known",
        "stale",
        "wanted",
    )

    def __init__(self, addresses: bool = False) -> None:
        self._addresses = addresses
        self.known: dict[Key, Any] = {}
        self.events: deque[Event] = deque()
        self.wanted = 0
        self.stale = True
        self.failure: OSError | None = None
        self._found: dict[Key, Any] | None = None  # while a dump is under way; None in it: gone
        self._noted: set[Key] = set()  # of those, what notifications said, and no dump
        self._ended: set[Key] = set()  # seen to end: what has the key after that is another
        self._dump = 0  # the type of the request under way
        self._sequence = self._port = 0  # of its replies
        self._interrupted = False
        self._tries = 0
        # Three indexes of `known`, without which each removal would search all of it. After an
        # exception raised by a signal handler they may hold too much, and never too little: an
        # entry is added before `known` changes and removed after that.
        self._held: dict[int, set[Key]] = {}  # the addresses of a link, by the link's index
        self._children: dict[int, set[int]] = {}  # who has a link of this namespace as link_index
        self._elsewhere: set[int] = set()  # who has its parent in another namespace, veths aside
        self._left: set[int] = set()  # the indexes of links that went, or left the namespace
        self._arrived = False  # a link was added: it may be the parent of one in _elsewhere
        self._doubted: set[int] = set()  # the indexes of links to request

    # ---- what the driver calls ----

    def feed(self, datagram: bytes, missing: int = 0) -> None:
        """Takes a datagram, of which `missing` further bytes were cut off."""
        for kind, flags, sequence, port, said in decode(datagram, missing):
            if kind == LOST:
                self.lose()
            elif kind in (NLMSG_ERROR, NLMSG_DONE) or flags & NLM_F_MULTI:
                # The sequence numbers and ports of notifications are those of whoever caused them,
                # and may equal ours where that was in another namespace: so it is not these that
                # make a message a part of a dump.
                if self._dump and sequence == self._sequence and port == self._port:
                    self._take_reply(kind, flags, said)
                elif kind == NLMSG_ERROR and said[0] not in (0, ENODEV):
                    self.lose()  # a link that was asked for by itself: nothing is known of it
            elif said is None:
                self.lose()
            elif kind in (RTM_NEWLINK, RTM_DELLINK):
                self._note_link(kind, *said)
            elif kind in (RTM_NEWADDR, RTM_DELADDR) and said is not NOTHING:
                address = Address(**said)
                self._note(_key(address), address if kind == RTM_NEWADDR else None)

    def lose(self) -> None:
        """Takes note that messages were lost."""
        self.stale = True
        self.wanted = self._dump = 0
        self._found = None
        self._noted.clear()

    def idle(self) -> list[str]:
        """The queue is empty: what to request now, `wanted` or the links of these names."""
        if self._dump or self.wanted:
            return []
        for index in self._left:
            self._doubted |= self._children.get(index, set())
        self._left.clear()
        if self._arrived:
            self._doubted |= self._elsewhere
            self._arrived = False
        links = [self.known[index] for index in self._doubted if index in self.known]
        self._doubted.clear()
        if self.stale or len(links) > _MOST_LINKS:
            self._ask()
            return []
        return [link.name for link in links]

    def _ask(self) -> None:
        """Begins a dump of everything."""
        self.stale = self._interrupted = False
        # What notifications have said meanwhile is true.
        found = self._found or {}
        self._found = {key: found[key] for key in self._noted}
        self.wanted = RTM_GETLINK

    def asked(self, sequence: int, port: int) -> None:
        """Takes note that the dump that was wanted has been requested."""
        self._dump, self.wanted = self.wanted, 0
        self._sequence, self._port = sequence, port

    # ---- notifications ----

    def _note_link(self, kind: int, family: int, fields: tuple[Any, ...]) -> None:
        index = fields[0]
        if family != AF_BRIDGE:
            self._note(index, Link(*fields) if kind == RTM_NEWLINK else None)
        elif kind == RTM_NEWLINK:
            # A bridge says how its port is set, and nothing else that would be of interest. With
            # RTM_DELLINK it says that the port has left: the link is still there.
            link = (self.known if self._found is None else self._found).get(index)
            port = Link(*fields)
            settings = port.hairpin, port.isolated
            if link is not None and (link.hairpin, link.isolated) != settings:
                self._note(index, replace(link, hairpin=port.hairpin, isolated=port.isolated))

    def _note(self, key: Key, value: Any) -> None:
        if self._found is None:
            self._apply(key, value)
            return
        self._found[key] = value
        self._noted.add(key)
        if value is None:
            self._ended.add(key)

    # ---- dumps ----

    def _take_reply(self, kind: int, flags: int, said: Any) -> None:
        if flags & NLM_F_DUMP_INTR:
            self._interrupted = True
        if kind == NLMSG_DONE or (kind == NLMSG_ERROR and said[0]):
            self._end(*said)
        elif said is None or kind == NLMSG_ERROR:  # a bare ack is not the end of a dump
            self._end(EBADMSG, "")
        elif kind == _DUMPED[self._dump] and said is not NOTHING:
            if kind == RTM_NEWADDR:
                address = Address(**said)
                self._find(_key(address), address)
            elif said[0] != AF_BRIDGE:
                self._find(said[1][0], Link(*said[1]))

    def _find(self, key: Key, value: Any) -> None:
        found = self._found
        assert found is not None
        # A row may have been made before the notification that came first: what has gone stays so,
        # and of addresses, which are dumped without a lock, nothing else counts either. Whatever
        # happened after the notification has one of its own.
        if key in self._noted and (found[key] is None or type(value) is Address):
            return
        found[key] = value

    def _end(self, errno: int, words: str) -> None:
        """The end of a dump."""
        dump, self._dump = self._dump, 0
        if errno:
            self.lose()
            # EBUSY: a dump that was given up is still under way. What is read carries it on.
            if errno != EBUSY:
                self.failure = refusal(errno, dump, words)
        elif dump == RTM_GETLINK and self._addresses:
            self.wanted = RTM_GETADDR
        elif self._interrupted and self._tries < _MOST_TRIES:
            self._tries += 1
            self._ask()
        else:
            self._settle()

    def _settle(self) -> None:
        """Everything that is there has been found: what has come of what was known."""
        found = {key: value for key, value in (self._found or {}).items() if value is not None}
        for key, value in list(self.known.items()):
            now = found.get(key)
            if now is None or key in self._ended or _kind(now) != _kind(value):
                self._apply(key, None)
        for key, value in found.items():
            if type(value) is Link:
                self._apply(key, value)
        for key, value in found.items():
            if type(value) is Address:
                self._apply(key, value)
        self._found = None
        self._noted.clear()
        self._ended.clear()
        self._tries = 0

    # ---- events ----

    def _apply(self, key: Key, value: Any) -> None:
        """Makes `value` what is known (None: it is gone), and an event of it if that is new."""
        before = self.known.get(key)
        if value is None:
            if before is not None:
                self._remove(key, before)
            return
        if type(value) is Link:
            new = value != before
            event = Event("added" if before is None else "changed", value, None, before)
            if new:
                self._enter(value)
                self._arrived |= before is None
                if value.kind == "veth":
                    self._doubt(value, before)
        else:
            if value.ifindex not in self.known:
                return  # the dump that finds the link finds the address too
            new = before is None or _lasting(value) != _lasting(before)
            event = Event("address-added", None, value, before)
            self._held.setdefault(value.ifindex, set()).add(key)
        # No signal handler comes between the two: the interpreter looks for signals after calls,
        # and not after an assignment.
        self.known[key] = value
        if new:
            self.events.append(event)
            if type(before) is Link and _parent(before) != _parent(value):
                self._leave(before)

    def _doubt(self, end: Link, before: Link | None) -> None:
        """Takes note of what does not fit what is known of the other end of a veth pair."""
        if end.link_index is None:
            if before is None:
                self._doubted.add(end.index)
        elif end.link_nsid is None:
            other = self.known.get(end.link_index)
            if other is not None and (other.link_index, other.link_nsid) != (end.index, None):
                self._doubted.add(other.index)

    def _enter(self, link: Link) -> None:
        """Adds a link to the indexes of links by their parent or peer."""
        if link.link_index is not None:
            if link.link_nsid is None:
                self._children.setdefault(link.link_index, set()).add(link.index)
            elif link.kind != "veth":  # the returned peer of a veth names the veth: see _doubt
                self._elsewhere.add(link.index)

    def _leave(self, link: Link) -> None:
        """Removes from these indexes a link that is gone, or has another parent now."""
        if link.link_index is not None:
            if link.link_nsid is None:
                _discard(self._children, link.link_index, link.index)
            else:
                now = self.known.get(link.index)
                if now is None or now.link_nsid is None:
                    self._elsewhere.discard(link.index)

    def _remove(self, key: Any, before: Any) -> None:
        if type(before) is Link:
            # The kernel removes the addresses first, and notifies of that.
            for other in list(self._held.get(key, ())):
                if other in self.known:
                    self._remove(other, self.known[other])
            self._left.add(key)
            event = Event("removed", before, None, before)
        else:
            event = Event("address-removed", None, before, before)
        del self.known[key]  # as above: no handler between this and the event
        self.events.append(event)
        if type(before) is Link:
            self._held.pop(key, None)
            self._leave(before)
        else:
            _discard(self._held, key[0], key)


def _key(address: Address) -> Key:
    return address.ifindex, address.address, address.peer


def _parent(link: Link) -> tuple[int | None, int | None]:
    return link.link_index, link.link_nsid


def _discard(index: dict[int, set[Any]], key: int, value: Any) -> None:
    """Removes a value from a set of an index, and the set with its last value."""
    values = index.get(key)
    if values is not None:
        values.discard(value)
        if not values:
            del index[key]


def _kind(value: Link | Address) -> str:
    return value.kind if type(value) is Link else ""


def _lasting(address: Address) -> Address:
    """The address without what is left of its lifetimes, which every look at it finds changed."""
    return replace(
        address,
        valid=None if address.valid is None else 0,
        preferred=None if address.preferred is None else 0,
    )
