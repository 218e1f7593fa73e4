"""Which rows a reading of containers has, and where the counters of each come from."""

from __future__ import annotations

from .._native.containers import Sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from typing import Any

    from .._native.containers import Ends
    from .._native.rows import Rows

OWN = -1  # in place of an id: the host's own namespace


class TrackedNamespace:
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

    def ties(self) -> dict[tuple[int, int], tuple[tuple[int, int], int, bool]]:
        """Of each of its links, by nsid and index: the peer's nsid and index, master, if a bridge.

        The nsids are those of the host's namespace; (-1, 0) stands for no peer elsewhere.
        """
        return {
            (self.nsid, index): ((peer_nsid, peer), master, is_bridge)
            for (index, *_), (peer, peer_nsid, master, is_bridge) in zip(
                self.ends.links, self.ends.ties(), strict=True
            )
        }

    def needs_own_dump(self) -> bool:
        """Whether it has links of which the host's counters say nothing."""
        return self.nsid != OWN and not all(peer for _, peer, _ in self.ends.links)


def find_routed(spaces: Iterable[TrackedNamespace]) -> set[tuple[int, int]]:
    """The links, by nsid and index, whose traffic other links of these namespaces count as well.

    These are the bridges, and one end of each veth pair between two of the namespaces: the host
    end, from the point of view of the container at the other end. Which one that is the kernel does
    not say. It is taken to be the one that is a port of a bridge. Where that does not decide, it is
    the one whose namespace is nearer to the outside: a link that is neither a bridge nor an end of
    such a pair leads there. Then it is the one whose namespace has more of these pairs, and then
    the one whose namespace got its nsid first.
    """
    ties: dict[tuple[int, int], tuple[tuple[int, int], int, bool]] = {}
    for space in spaces:
        ties.update(space.ties())
    # Both ends must name each other: what is known of one of them may be older.
    pairs = {
        end: peer
        for end, (peer, _, _) in ties.items()
        if (back := ties.get(peer)) is not None and back[0] == end
    }
    neighbours: dict[int, list[int]] = {}
    for end, peer in pairs.items():
        neighbours.setdefault(end[0], []).append(peer[0])
    outer = {
        nsid
        for (nsid, index), (*_, is_bridge) in ties.items()
        if not is_bridge and (nsid, index) not in pairs
    }
    distance, depth = dict.fromkeys(outer, 0), 0
    while outer:
        depth += 1
        outer = {n for nsid in outer for n in neighbours.get(nsid, ()) if n not in distance}
        distance.update(dict.fromkeys(outer, depth))

    def rank(end: tuple[int, int]) -> tuple[bool, int, int, int]:
        nsid = end[0]
        far = distance.get(nsid, len(neighbours))
        return not ties[end][1], far, -len(neighbours[nsid]), nsid

    bridges = {end for end, (*_, is_bridge) in ties.items() if is_bridge}
    return bridges | {end for end, peer in pairs.items() if rank(end) < rank(peer)}


class RowLayout:
    """The rows of a reading, and where the counters of each come from.

    Attributes:
        keys, names, identities: of the rows.
        here: the sources among the host's counters.
        indexes: the links of the host's namespace that take part.
        visits, sources: the namespaces that have to be asked themselves, and the sources there.
        all: the keys, those of containers without a row included.
        one_each: whether each has exactly one row.
        lost: whose links have no row, since what was dumped may not be of them.
        omitted: how many links of a container are left out because it has too many, by key.
    """

    __slots__ = (
        "all",
        "here",
        "identities",
        "indexes",
        "keys",
        "lost",
        "names",
        "omitted",
        "one_each",
        "sources",
        "visits",
    )

    def __init__(
        self,
        who: dict[Hashable, TrackedNamespace],
        rows: Rows,
        dumped: int,
        went: dict[int, int],
        routed: bool,
    ) -> None:
        """Makes one.

        Parameters:
            rows, dumped: the host's counters, and the try in which they were dumped.
            went: the tries in which links of the host's namespace were found to have gone. What
                was dumped before the end of that try may be of the one that went, or of another
                that has its index now.
            routed: whether the links that `find_routed` finds have rows.
        """
        keys: list[Hashable] = []
        names: list[str] = []
        identities: list[Hashable] = []
        here: list[tuple[int, int, bool]] = []
        there: dict[TrackedNamespace, list[tuple[int, int, bool]]] = {}
        self.lost: set[TrackedNamespace] = set()
        left_out = set() if routed else find_routed(who.values())
        self.omitted = {key: space.ends.omitted for key, space in who.items() if space.ends.omitted}
        place = {index: at for at, index in enumerate(rows.indexes())}
        for key, space in who.items():
            oldest = min(dumped, space.dumped)
            for index, peer, name in space.ends.links:
                source = index if space.nsid == OWN else peer
                if left_out and (space.nsid, index) in left_out:
                    continue
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
