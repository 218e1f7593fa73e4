"""Which rows a reading of containers has, and where the counters of each come from."""

from __future__ import annotations

from ._native.containers import Sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any

    from ._native.containers import Ends
    from ._native.rows import Rows

OWN = -1  # in place of an id: the host's own namespace


class Space:
    """A network namespace and who it belongs to.

    Attributes:
        nsid: the id that the host's namespace has for it as long as it lives.
        identity: device, inode and cookie.
        keys: of the containers that it is the namespace of, each with the path that it was given
            by, or None: the way to know the namespace again.
        ends: its links as they were last dumped.
        dumped: the try in which they were.
    """

    __slots__ = ("dumped", "ends", "identity", "keys", "nsid")

    def __init__(
        self, nsid: int, identity: tuple[int, int, int | None], ends: Ends, dumped: int
    ) -> None:
        self.nsid = nsid
        self.identity = identity
        self.keys: dict[Hashable, Any] = {}
        self.ends = ends
        self.dumped = dumped

    def is_visited(self) -> bool:
        """Whether it has links of which the host's counters say nothing."""
        return self.nsid != OWN and not all(peer for _, peer, _ in self.ends.links)


class Plan:
    """The rows of a reading, and where the counters of each come from.

    Attributes:
        keys, names, identities: of the rows.
        here: the sources among the host's counters.
        indexes: the links of the host's namespace that take part.
        visits, sources: the namespaces that have to be asked themselves, and the sources there.
        all: the keys, those of containers without a row included.
        one_each: whether each has exactly one row.
        lost: whose links have no row, since what was dumped may not be of them.
    """

    __slots__ = (
        "all",
        "here",
        "identities",
        "indexes",
        "keys",
        "lost",
        "names",
        "one_each",
        "sources",
        "visits",
    )

    def __init__(
        self, who: dict[Hashable, Space], rows: Rows, dumped: int, went: dict[int, int]
    ) -> None:
        """Makes one.

        Parameters:
            rows, dumped: the host's counters, and the try in which they were dumped.
            went: the tries in which links of the host's namespace were found to have gone. What
                was dumped before the end of that try may be of the one that went, or of another
                that has its index now.
        """
        keys: list[Hashable] = []
        names: list[str] = []
        identities: list[Hashable] = []
        here: list[tuple[int, int, bool]] = []
        there: dict[Space, list[tuple[int, int, bool]]] = {}
        self.lost: set[Space] = set()
        place = {index: at for at, index in enumerate(rows.indexes())}
        for key, space in who.items():
            oldest = min(dumped, space.dumped)
            for index, peer, name in space.ends.links:
                source = index if space.nsid == OWN else peer
                if not source:
                    there.setdefault(space, []).append((index, len(keys), False))
                elif source in place and went.get(source, -1) < oldest:
                    here.append((source, len(keys), space.nsid != OWN))
                else:
                    self.lost.add(space)
                    continue
                keys.append(key)
                names.append(name)
                identities.append((space.identity, index, peer))
        here.sort(key=lambda source: place[source[0]])  # in this order they are found at once
        self.indexes = {source[0] for source in here}
        self.keys, self.names, self.all = tuple(keys), tuple(names), tuple(who)
        self.identities = tuple(identities)
        self.one_each = self.keys == self.all
        self.here = Sources(here)
        self.visits = list(there)
        self.sources = list(map(Sources, there.values()))
