"""The links of many namespaces and their counters, put into the rows of one table."""

from __future__ import annotations

from .._core import ffi, lib
from . import decode
from .rows import new, to_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .rows import Rows


class Block:
    """Memory for a dump of a namespace's links: their indexes, descriptions and counters."""

    __slots__ = ("arrays",)

    def __init__(self, room: int) -> None:
        self.arrays = (
            new("int32_t[]", room),
            new("struct netstrat_netns_link[]", room),
            new("struct netstrat_counters[]", room),
        )

    def at(self, row: int) -> tuple[Any, Any]:
        """Where the description and the counters of a row go."""
        return self.arrays[1] + row, self.arrays[2] + row

    def take(self, dump: NetnsLinks) -> int:
        """Copies the links of another dump into the first rows; returns their number."""
        for to, array in zip(self.arrays, dump.arrays, strict=True):
            ffi.memmove(to, array, dump.count * ffi.sizeof(ffi.typeof(array).item))
        return dump.count


class NetnsLinks:
    """The links of a namespace as a dump found them, with the counters that the namespace sees.

    Attributes:
        links: for each link its index, the index of its peer if that is in the host namespace
            (otherwise 0), and its name.
        omitted: how many more links the namespace has.
    """

    __slots__ = ("_positions", "arrays", "count", "links", "omitted")

    def __init__(self, block: Block, count: int, omitted: int) -> None:
        self.arrays = block.arrays
        self.count = count
        self.omitted = omitted
        self._positions: dict[int, int] | None = None
        self.links = tuple((e.index, e.peer, decode(e.name)) for e in block.arrays[1][0:count])

    def position(self, index: int) -> int | None:
        """The position in `links` of the link with this index, or None."""
        if self._positions is None:
            self._positions = {link: at for at, (link, _, _) in enumerate(self.links)}
        return self._positions.get(index)

    def ties(self) -> list[tuple[int, int, int, bool]]:
        """Returns, for each link, what ties it to others.

        That is the index and the nsid of a veth's peer in another namespace ((0, -1) without one),
        the index of the link's master (0 without one), and whether the link is a bridge.
        """
        rows = self.arrays[1][0 : self.count]
        return [(e.peer_index, e.peer_nsid, e.master, bool(e.is_bridge)) for e in rows]

    def is_of(self, block: Block, count: int, omitted: int) -> bool:
        """Returns whether another dump found the same links."""
        if (count, omitted) != (self.count, self.omitted):
            return False
        size = count * ffi.sizeof("struct netstrat_netns_link")
        same: bool = ffi.buffer(self.arrays[1], size) == ffi.buffer(block.arrays[1], size)
        return same

    def renew(self, block: Block) -> None:
        """Replaces the counters by those of a newer dump of the same links."""
        self.arrays = block.arrays

    def values(self, row: int) -> list[int]:
        """The counters of one link."""
        return _values(self.arrays[2], row)

    def gather(self, sources: GatherList, table: Table) -> int:
        """Copies counters of this dump to the table; returns how many sources had counters."""
        return sources.gather(self.arrays[0], self.arrays[2], self.count, table)


class Table:
    """Rows of counters, in memory of their own."""

    __slots__ = ("_rows", "count")

    def __init__(self, count: int) -> None:
        self._rows = new("struct netstrat_counters[]", count)
        self.count = count

    def view(self) -> Any:
        """The counters as a memoryview of format `Q` in rows of eight."""
        if not self.count:
            return memoryview(bytes(64)).cast("Q", (1, 8))[0:0]
        return memoryview(ffi.buffer(self._rows)).cast("Q", (self.count, 8))

    def row(self, row: int) -> list[int]:
        """The counters of one row."""
        return _values(self._rows, row)

    def columns(self) -> list[list[int]]:
        """The counters: a list for each of the eight fields."""
        return to_columns(self._rows, self.count)


class GatherList:
    """For some links, the row of a table that their counters go to.

    Parameters:
        sources: for each link its index, the row, and whether rx and tx are swapped.
    """

    __slots__ = ("_sources", "count")

    def __init__(self, sources: list[tuple[int, int, bool]]) -> None:
        self.count = len(sources)
        self._sources = ffi.new("struct netstrat_gather_entry[]", sources)

    def gather(self, indexes: Any, counters: Any, count: int, table: Table) -> int:
        """Copies counters to the table; returns how many of the links had counters."""
        return lib.netstrat_counters_gather(  # type: ignore[no-any-return]
            indexes, counters, count, self._sources, self.count, table._rows
        )

    def gather_rows(self, rows: Rows, table: Table) -> int:
        """Copies counters of the host namespace to the table, as `gather` does."""
        return self.gather(*rows.arrays(), rows.count, table)


def _values(counters: Any, row: int) -> list[int]:
    """The eight numbers of one struct netstrat_counters of an array."""
    return memoryview(ffi.buffer(counters + row, 64)).cast("Q").tolist()
