"""Which interface has which index, kept current by the kernel's notifications."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._native.rows import Rows


class NameCache:
    """The names and indexes of the interfaces of a namespace.

    Attributes:
        indexes: the index of each interface name that was looked up. Alternative names are not
            cached: the kernel notifies of their changes only while the interface is up
            (netdev_state_change, net/core/dev.c).
        all: the name of every interface, by index; None if not known.
    """

    __slots__ = ("_last", "all", "indexes")

    def __init__(self) -> None:
        self.indexes: dict[str, int] = {}
        self.all: dict[int, str] | None = None
        # The indexes and names of the last dump, so that an equal dump returns the same tuple.
        self._last: tuple[bytes, tuple[str, ...]] = (b"", ())

    def apply(self, changes: list[tuple[int, str]] | None) -> None:
        """Applies link changes. None means that changes were lost; the cache is cleared.

        Parameters:
            changes: as `Socket.take_changes` returns them.
        """
        if changes is None:
            self.indexes.clear()
            self.all = None
            self._last = (b"", ())
            return
        for index, name in changes:
            for known in [k for k, i in self.indexes.items() if i == index and k != name]:
                del self.indexes[known]
            if self.all is None or self.all.get(index, "") == name:
                continue
            self._last = (b"", ())
            if name:
                self.all[index] = name
            else:
                del self.all[index]

    def match(self, rows: Rows) -> tuple[tuple[str, ...], Rows] | None:
        """Returns the names of a dump's rows, and those rows that have one.

        Returns None if the names are not known.
        """
        if self.all is None:
            return None
        raw = rows.index_bytes()
        if raw == self._last[0]:
            return self._last[1], rows
        indexes = rows.indexes()
        if not self.all.keys() >= set(indexes):
            # Some interfaces were deleted after the kernel had reported their counters.
            rows = rows.keep([row for row, index in enumerate(indexes) if index in self.all])
            indexes = rows.indexes()
            raw = rows.index_bytes()
        self._last = (raw, tuple(self.all[index] for index in indexes))
        return self._last[1], rows
