"""What a dump of counters gave: rows in memory of their own, made into Python objects on demand."""

from __future__ import annotations

from .._core import ffi
from . import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The core writes this memory before anybody reads it: not to clear it saves 10 % of a large dump.
new = ffi.new_allocator(should_clear_after_alloc=False)


class Rows:
    """Counters by index: `indexes` and `counters` are arrays of the core's, of `count` rows."""

    __slots__ = ("_counters", "_indexes", "count")

    def __init__(self, indexes: Any, counters: Any, count: int) -> None:
        self._indexes = indexes
        self._counters = counters
        self.count = count

    def index_bytes(self) -> bytes:
        """The indexes as they lie in memory: the cheapest way to compare them."""
        return ffi.buffer(self._indexes, self.count * 4)[:]  # type: ignore[no-any-return]

    def indexes(self) -> list[int]:
        """The index of each row."""
        return ffi.unpack(self._indexes, self.count)  # type: ignore[no-any-return]

    def values(self) -> list[int]:
        """The counters, eight for each row."""
        return ffi.unpack(ffi.cast("uint64_t *", self._counters), self.count * 8)  # type: ignore[no-any-return]

    def views(self) -> tuple[memoryview, Any]:
        """The indexes, of format `i`, and the counters, of format `Q` in rows of eight."""
        indexes = memoryview(ffi.buffer(self._indexes, self.count * 4)).cast("i")
        counters = memoryview(ffi.buffer(self._counters, self.count * 64))
        return indexes, counters.cast("Q", (self.count, 8))

    def keep(self, rows: list[int]) -> Rows:
        """These rows only."""
        indexes = new("int32_t[]", len(rows))
        counters = new("struct netstrat_counters[]", len(rows))
        for to, row in enumerate(rows):
            indexes[to] = self._indexes[row]
            counters[to] = self._counters[row]
        return Rows(indexes, counters, len(rows))


def named_rows(links: Any, counters: Any, count: int) -> tuple[tuple[str, ...], Rows]:
    """The names and the rows of a dump by name."""
    indexes = new("int32_t[]", count)
    names = []
    for row, link in enumerate(links[0:count]):
        indexes[row] = link.index
        names.append(decode(link.name))
    return tuple(names), Rows(indexes, counters, count)
