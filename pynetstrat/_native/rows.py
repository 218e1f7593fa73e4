"""The rows of a dump of counters, kept in C memory and converted to Python objects on demand."""

from __future__ import annotations

from .._core import ffi
from . import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

# Makes memory that is not cleared, which would take 10 % of a large dump. The core writes it before
# anything reads it.
new = ffi.new_allocator(should_clear_after_alloc=False)


def new_counters() -> tuple[Any, Callable[[], list[int]]]:
    """Makes a struct netstrat_counters, and a function that returns its fields.

    The function takes a third of the time of ffi.unpack.
    """
    counters = ffi.new("struct netstrat_counters *")
    return counters, memoryview(ffi.buffer(counters)).cast("Q").tolist


def to_columns(counters: Any, count: int, order: Iterable[int] = range(8)) -> list[list[int]]:
    """Converts an array of struct netstrat_counters to a list for each field.

    Parameters:
        count: how many structs are converted.
        order: the numbers of the fields.
    """
    numbers = memoryview(ffi.buffer(counters, count * 64)).cast("Q")
    return [numbers[field::8].tolist() for field in order]


class Rows:
    """The counters of several links: an index and a struct netstrat_counters for each row."""

    __slots__ = ("_counters", "_indexes", "count")

    def __init__(self, indexes: Any, counters: Any, count: int) -> None:
        self._indexes = indexes
        self._counters = counters
        self.count = count

    def arrays(self) -> tuple[Any, Any]:
        """The indexes and the counters as C arrays."""
        return self._indexes, self._counters

    def index_bytes(self) -> bytes:
        """The indexes as bytes: the fastest way to compare them."""
        return ffi.buffer(self._indexes, self.count * 4)[:]  # type: ignore[no-any-return]

    def indexes(self) -> list[int]:
        """The index of each row."""
        return ffi.unpack(self._indexes, self.count)  # type: ignore[no-any-return]

    def values(self) -> list[int]:
        """The counters: eight numbers for each row."""
        return ffi.unpack(ffi.cast("uint64_t *", self._counters), self.count * 8)  # type: ignore[no-any-return]

    def columns(self, order: Iterable[int]) -> list[list[int]]:
        """The counters: a list for each field, in this order of their numbers."""
        return to_columns(self._counters, self.count, order)

    def views(self) -> tuple[memoryview, Any]:
        """The indexes with format `i`, and the counters with format `Q` in rows of eight."""
        indexes = memoryview(ffi.buffer(self._indexes, self.count * 4)).cast("i")
        counters = memoryview(ffi.buffer(self._counters, self.count * 64))
        return indexes, counters.cast("Q", (self.count, 8))

    def keep(self, rows: list[int]) -> Rows:
        """Returns a copy of these rows."""
        indexes = new("int32_t[]", len(rows))
        counters = new("struct netstrat_counters[]", len(rows))
        for to, row in enumerate(rows):
            indexes[to] = self._indexes[row]
            counters[to] = self._counters[row]
        return Rows(indexes, counters, len(rows))


def named_rows(links: Any, counters: Any, count: int) -> tuple[tuple[str, ...], Rows]:
    """Returns the names and the rows of a dump by name."""
    indexes = new("int32_t[]", count)
    names = []
    for row, link in enumerate(links[0:count]):
        indexes[row] = link.index
        names.append(decode(link.name))
    return tuple(names), Rows(indexes, counters, count)
