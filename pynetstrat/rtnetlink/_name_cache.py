"""Which interface has which index, kept true by the kernel's notifications."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._native.rows import Rows


class NameCache:
    """What is known of the names of a namespace.

    Attributes:
        indexes: the index by each interface name that was asked for. Alternative names are not
            kept: of a change of those the kernel gives notice only while the interface is up
            (netdev_state_change, net/core/dev.c).
        all: the name of every interface, by index; None: not known.
    """

    __slots__ = ("_last", "all", "indexes")

    def __init__(self) -> None:
        self.indexes: dict[str, int] = {}
        self.all: dict[int, str] | None = None
        self._last: tuple[bytes, tuple[str, ...]] = (b"", ())  # the last dump's, to give again

    def apply(self, changes: list[tuple[int, str]] | None) -> None:
        """Brings it up to date with what was noted; None: some of that was lost."""
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
        """The names of the rows of a dump, and those of its rows that have one."""
        if self.all is None:
            return None
        raw = rows.index_bytes()
        if raw == self._last[0]:
            return self._last[1], rows
        indexes = rows.indexes()
        if not self.all.keys() >= set(indexes):
            # Interfaces that went after the kernel had given their counters.
            rows = rows.keep([row for row, index in enumerate(indexes) if index in self.all])
            indexes = rows.indexes()
            raw = rows.index_bytes()
        self._last = (raw, tuple(self.all[index] for index in indexes))
        return self._last[1], rows
