"""Which rows a reading of containers has, and where the counters of each row come from."""

from __future__ import annotations

from .._native.gather import GatherList
from ._tracking import OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from .._native.rows import Rows
    from ._tracking import TrackedNamespace

    # A link: the nsid of its namespace, and its index there.
    Place = tuple[int, int]

    # Of a link: the place of its veth peer, (-1, 0) if it has none outside the host namespace; the
    # index of its master, or 0; and whether it is a bridge.
    Relations = tuple[Place, int, bool]


def _relations(namespaces: Iterable[TrackedNamespace]) -> dict[Place, Relations]:
    return {
        (namespace.nsid, index): ((peer_nsid, peer), master, is_bridge)
        for namespace in namespaces
        for (index, *_), (peer, peer_nsid, master, is_bridge) in zip(
            namespace.dump.links, namespace.dump.ties(), strict=True
        )
    }


def find_routed(namespaces: Iterable[TrackedNamespace]) -> set[Place]:
    """Finds the links whose traffic other links of these namespaces count as well.

    These are the bridges, and one end of each veth pair between two of the namespaces. That end
    should be the one in the namespace that routes for the other; the kernel does not say which one
    it is. The end that is returned is the first of:

    1. the end that is a port of a bridge;
    2. the end whose namespace is fewer pairs away from a link that leads outside (a link that is
       neither a bridge nor an end of such a pair);
    3. the end whose namespace has more of these pairs;
    4. the end whose namespace was assigned the lower nsid.
    """
    relations = _relations(namespaces)
    # Both ends must name each other: the dump of one of them may be older.
    pairs = {
        end: peer
        for end, (peer, _, _) in relations.items()
        if (back := relations.get(peer)) is not None and back[0] == end
    }
    neighbours: dict[int, list[int]] = {}
    for end, peer in pairs.items():
        neighbours.setdefault(end[0], []).append(peer[0])
    outer = {
        nsid
        for (nsid, index), (*_, is_bridge) in relations.items()
        if not is_bridge and (nsid, index) not in pairs
    }
    distance, depth = dict.fromkeys(outer, 0), 0
    while outer:
        depth += 1
        outer = {n for nsid in outer for n in neighbours.get(nsid, ()) if n not in distance}
        distance.update(dict.fromkeys(outer, depth))

    def rank(end: Place) -> tuple[bool, int, int, int]:
        nsid = end[0]
        is_port = relations[end][1] != 0
        unreachable = len(neighbours)
        return not is_port, distance.get(nsid, unreachable), -len(neighbours[nsid]), nsid

    bridges = {place for place, (*_, is_bridge) in relations.items() if is_bridge}
    return bridges | {end for end, peer in pairs.items() if rank(end) < rank(peer)}


class RowLayout:
    """The rows of a reading, and where the counters of each row come from.

    A row's counters come from the dump of the host's counters, or from a dump of the container's
    own links. Which of the two does not change until a link changes, so a layout serves until then.

    Attributes:
        keys, names, identities: of each row (see `ContainerTable`).
        all_keys: the keys of all containers, those without a row included.
        is_one_each: whether every container has exactly one row.
        host_rows: which rows come from the host's counters, and from which link.
        host_links: the indexes of those links.
        own_rows: the namespaces with rows that come from their own dump, and which rows those are.
        doubted: the namespaces of which links were left out, since the dump that described them may
            be older than a change.
        omitted: how many links of a container are left out because it has too many, by key.
    """

    __slots__ = (
        "all_keys",
        "doubted",
        "host_links",
        "host_rows",
        "identities",
        "is_one_each",
        "keys",
        "names",
        "omitted",
        "own_rows",
    )

    def __init__(
        self,
        by_key: dict[Hashable, TrackedNamespace],
        rows: Rows,
        attempt: int,
        deleted_at: dict[int, int],
        with_routed: bool,
    ) -> None:
        """Lays out the rows of a reading.

        Parameters:
            by_key, deleted_at: those of `Tracker`.
            rows: the host's counters.
            attempt: the attempt in which those were dumped.
            with_routed: whether the links that `find_routed` finds have rows.
        """
        keys: list[Hashable] = []
        names: list[str] = []
        identities: list[Hashable] = []
        host_rows: list[tuple[int, int, bool]] = []
        own_rows: dict[TrackedNamespace, list[tuple[int, int, bool]]] = {}
        self.doubted: set[TrackedNamespace] = set()
        routed = set() if with_routed else find_routed(by_key.values())
        position = {index: at for at, index in enumerate(rows.indexes())}
        for key, namespace in by_key.items():
            is_host = namespace.nsid == OWN
            oldest = min(attempt, namespace.attempt)
            for index, peer, name in namespace.dump.links:
                host_link = index if is_host else peer
                if routed and (namespace.nsid, index) in routed:
                    continue
                if not host_link:
                    own_rows.setdefault(namespace, []).append((index, len(keys), False))
                elif host_link in position and deleted_at.get(host_link, -1) < oldest:
                    # From the container's side: rx and tx of a peer are exchanged.
                    host_rows.append((host_link, len(keys), not is_host))
                else:
                    self.doubted.add(namespace)
                    continue
                keys.append(key)
                names.append(name)
                identities.append((namespace.identity, index, peer))
        # Sorted as in the dump, so that netstrat_counters_gather() scans it once.
        host_rows.sort(key=lambda row: position[row[0]])
        self.keys, self.names, self.identities = tuple(keys), tuple(names), tuple(identities)
        self.all_keys = tuple(by_key)
        self.is_one_each = self.keys == self.all_keys
        self.host_rows = GatherList(host_rows)
        self.host_links = {host_link for host_link, *_ in host_rows}
        self.own_rows = [(namespace, GatherList(own)) for namespace, own in own_rows.items()]
        self.omitted = {key: one.dump.omitted for key, one in by_key.items() if one.dump.omitted}
