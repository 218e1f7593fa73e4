"""`FinalReadings`: the last counters of interfaces that were deleted."""

from __future__ import annotations

from .._native.containers import MAX_LINKS
from ..counters import FinalCounters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from .._native.gather import NetnsLinks, Table
    from ._tracking import TrackedNamespace

# Interfaces of a container: it can delete and create them without end. A dump has half as many, and
# up to as many again that are veth pairs with the host.
_MAX_DELETED = 2 * MAX_LINKS


class FinalReading:
    """The counters of an interface that was deleted, or whose container has ended.

    Attributes:
        name: the interface's name.
        peer: the index of its peer in the host namespace, or 0.
        values: the eight counters, from the container's side.
        has_host, has_inside: whether the notification of the end in the host namespace, and of the
            one in the container, has arrived.
        was_last: whether the container had the interface when it ended.
    """

    __slots__ = ("has_host", "has_inside", "name", "peer", "values", "was_last")

    def __init__(self, name: str, peer: int, values: list[int]) -> None:
        self.name = name
        self.peer = peer
        self.values = values
        self.has_host = self.has_inside = self.was_last = False

    def merge(self, values: list[int]) -> None:
        """Takes the higher value of each counter.

        Counters only grow, and a notification lacks what the other end has sent.
        """
        self.values = list(map(max, self.values, values))

    def is_known(self) -> bool:
        """Whether the interface was deleted or its namespace has ended: it may have only moved."""
        return self.has_host or self.has_inside or self.was_last

    def lacks_host_end(self) -> bool:
        """Whether it has an end in the host namespace whose notification has not arrived."""
        return bool(self.peer) and not self.has_host

    def counters(self) -> FinalCounters:
        is_exact = self.has_inside and not self.lacks_host_end()
        return FinalCounters(self.name, *self.values, is_exact)  # type: ignore[call-arg,arg-type]


class FinalReadings:
    """Finds the interface that each notification of a deletion is about.

    A veth's notification has what that end has sent, so the two ends of a pair together have
    everything. The notifications from inside of containers name the nsid, which the kernel reuses.
    They come in order with those of the nsids' ends. So a notification is about the first namespace
    that had the nsid and whose end has not been reported on that socket.
    """

    __slots__ = ("_last", "_rows", "_unended")

    def __init__(self) -> None:
        # By nsid, the namespaces that had it and whose ends have not been reported, in order.
        self._unended: dict[int, list[TrackedNamespace]] = {}
        self._last: tuple[tuple[Hashable, ...], Table | None] = (), None
        self._rows: dict[Hashable, int] | None = None  # of the last reading, by identity

    def remember(self, identities: tuple[Hashable, ...], table: Table) -> None:
        """Keeps the last reading, with whose counters the entry of a deleted interface begins."""
        if identities is not self._last[0]:
            self._rows = None
        self._last = identities, table

    def follow(self, tracked: TrackedNamespace) -> None:
        self._unended.setdefault(tracked.nsid, []).append(tracked)

    def unfollow(self, tracked: TrackedNamespace) -> None:
        """Forgets a namespace."""
        if tracked in self._unended.get(tracked.nsid, ()):
            self._unended[tracked.nsid].remove(tracked)

    def lose(self, live: Iterable[TrackedNamespace]) -> None:
        """Notifications were lost: goes on with the namespaces that exist."""
        self._unended = {tracked.nsid: [tracked] for tracked in live}

    def end(self, tracked: TrackedNamespace) -> None:
        """Marks the interfaces that a namespace had when it ended."""
        for index, _, _ in tracked.dump.links:
            final = self._find(tracked, index)
            if final is not None:
                final.was_last = True

    def keep_missing(self, tracked: TrackedNamespace, dump: NetnsLinks) -> None:
        """Notes the interfaces that a new dump does not have: their notifications may follow."""
        for index, _, _ in tracked.dump.links:
            if dump.position(index) is None:
                self._find(tracked, index)

    def take(
        self,
        finals: list[tuple[int, int, list[int]]],
        live: Iterable[TrackedNamespace],
        ended: Iterable[TrackedNamespace],
    ) -> None:
        """Takes notifications.

        Parameters:
            finals: the nsid, the index, and the counters of each; see `struct netstrat_final`.
            live, ended: the namespaces that are counted, and those that have ended.
        """
        peers: dict[int, tuple[TrackedNamespace, int]] | None = None
        for nsid, index, values in finals:
            if not index:
                if self._unended.get(nsid):
                    del self._unended[nsid][0]
            elif nsid >= 0:
                if self._unended.get(nsid):
                    self._take_inside(self._unended[nsid][0], index, values)
            else:
                if peers is None:
                    peers = _find_peers([*live, *ended])
                if index in peers:
                    final = self._find(*peers[index])
                    if final is not None and final.peer == index:
                        final.has_host = True
                        final.merge(values[4:] + values[:4])

    def _take_inside(self, tracked: TrackedNamespace, index: int, values: list[int]) -> None:
        final = self._find(tracked, index)
        if final is not None and not final.has_inside:
            final.has_inside = True
            final.merge(values)

    def _find(self, tracked: TrackedNamespace, index: int) -> FinalReading | None:
        """Returns the entry of an interface; it begins with the last reading. None: unknown."""
        final, at = tracked.finals.get(index), tracked.dump.position(index)
        if at is not None:
            _, peer, name = tracked.dump.links[at]
            if final is None or final.peer != peer:
                values = self._last_values((tracked.identity, index, peer))
                final = FinalReading(name, peer, values or tracked.dump.values(at))
                tracked.finals.pop(index, None)
                tracked.finals[index] = final
                if len(tracked.finals) > _MAX_DELETED:
                    del tracked.finals[next(iter(tracked.finals))]
        return final

    def _last_values(self, identity: Hashable) -> list[int] | None:
        identities, table = self._last
        if self._rows is None:
            self._rows = {row: at for at, row in enumerate(identities)}
        row = self._rows.get(identity)
        return table.row(row) if table is not None and row is not None else None


def _find_peers(
    namespaces: Iterable[TrackedNamespace],
) -> dict[int, tuple[TrackedNamespace, int]]:
    """The interfaces by the index of the peer in the host namespace, of later namespaces first."""
    peers = {}
    for tracked in namespaces:
        for index, peer, _ in tracked.dump.links:
            if peer:
                peers[peer] = tracked, index
        for index, final in tracked.finals.items():
            if final.peer and not final.has_host:
                peers[final.peer] = tracked, index
    return peers
