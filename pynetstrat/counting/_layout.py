"""`RowLayout`: the rows of a reading of containers, and where their counters come from."""

from __future__ import annotations

from .._native.gather import GatherList
from ._tracking import HOST_NSID

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
        (tracked.nsid, index): ((peer_nsid, peer), master, is_bridge)
        for tracked in namespaces
        for (index, *_), (peer, peer_nsid, master, is_bridge) in zip(
            tracked.dump.links, tracked.dump.ties(), strict=True
        )
    }


def find_routed(namespaces: Iterable[TrackedNamespace]) -> set[Place]:
    """Finds the links whose traffic is also in the counters of other links of these namespaces.

    These are the bridges, and one end of each veth pair between two of the namespaces: the end in
    the namespace that routes for the other. The kernel does not say which namespace routes. So of
    the two ends, the one returned is, by the first rule that distinguishes them:

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

    A row's counters come from the dump of the host's counters, or from a dump made inside the
    container's namespace. A layout is valid until a link changes.

    Attributes:
        keys, names, identities: of each row (see `ContainerTable`).
        all_keys: the keys of all containers, those without a row included.
        is_one_each: whether every container has exactly one row.
        host_rows: which rows come from the host's counters, and from which link.
        host_links: the indexes of those links.
        inside_rows: the namespaces with rows that come from a dump made inside, and those rows.
        stale: the namespaces of which links were left out, since the dump that described them may
            be older than a change.
        omitted: how many links of a container are left out because it has too many, by key.
    """

    __slots__ = (
        "all_keys",
        "host_links",
        "host_rows",
        "identities",
        "inside_rows",
        "is_one_each",
        "keys",
        "names",
        "omitted",
        "stale",
    )

    def __init__(
        self,
        by_key: dict[Hashable, TrackedNamespace],
        host_stats: Rows,
        dumped_at: int,
        deleted_at: dict[int, int],
        with_routed: bool,
    ) -> None:
        """Lays out the rows of a reading.

        Parameters:
            by_key, deleted_at: those of `Tracker`.
            host_stats: the host's counters.
            dumped_at: the time of their dump (see `Tracker`).
            with_routed: whether the links that `find_routed` finds have rows.
        """
        keys: list[Hashable] = []
        names: list[str] = []
        identities: list[Hashable] = []
        host_rows: list[tuple[int, int, bool]] = []
        inside_rows: dict[TrackedNamespace, list[tuple[int, int, bool]]] = {}
        self.stale: set[TrackedNamespace] = set()
        routed = set() if with_routed else find_routed(by_key.values())
        position = {index: at for at, index in enumerate(host_stats.indexes())}
        for key, tracked in by_key.items():
            is_host = tracked.nsid == HOST_NSID
            oldest = min(dumped_at, tracked.dumped_at)
            for index, peer, name in tracked.dump.links:
                host_link = index if is_host else peer
                if routed and (tracked.nsid, index) in routed:
                    continue
                if not host_link:
                    inside_rows.setdefault(tracked, []).append((index, len(keys), False))
                elif host_link in position and deleted_at.get(host_link, -1) < oldest:
                    # From the container's side: rx and tx of a peer are swapped.
                    host_rows.append((host_link, len(keys), not is_host))
                else:
                    self.stale.add(tracked)
                    continue
                keys.append(key)
                names.append(name)
                identities.append((tracked.identity, index, peer))
        # Sorted as in the dump, so that netstrat_counters_gather() scans it once.
        host_rows.sort(key=lambda row: position[row[0]])
        self.keys, self.names, self.identities = tuple(keys), tuple(names), tuple(identities)
        self.all_keys = tuple(by_key)
        self.is_one_each = self.keys == self.all_keys
        self.host_rows = GatherList(host_rows)
        self.host_links = {host_link for host_link, *_ in host_rows}
        self.inside_rows = [(one, GatherList(rows)) for one, rows in inside_rows.items()]
        self.omitted = {key: one.dump.omitted for key, one in by_key.items() if one.dump.omitted}
