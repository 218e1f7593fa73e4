"""Counters or rates as a table for a terminal."""

from __future__ import annotations

from dataclasses import astuple

from ._text import ljust, printable, width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .. import NetworkInterface

_FIELDS = ("bytes", "packets", "errors", "dropped")
_COLUMNS = [f"{side} {field}" for side in ("rx", "tx") for field in _FIELDS]
_UNKNOWN = (None,) * len(_COLUMNS)


def render(rows: Iterable[tuple[str, NetworkInterface]]) -> str:
    """Returns a line of headings, and a line for each label and its interface."""
    return Table().render(([printable(label)], astuple(interface)[1:]) for label, interface in rows)


class Table:
    """A table that can be printed in parts. A column may become wider, but never narrower.

    Parameters:
        labels: the headings of the columns before the counters.
        unit: appended to the heading of each counter.
    """

    def __init__(self, labels: Sequence[str] = ("interface",), unit: str = "") -> None:
        self._labels = len(labels)
        self._headings = [*labels, *(column + unit for column in _COLUMNS)]
        self._widths = [len(heading) for heading in self._headings]

    def render(
        self,
        rows: Iterable[tuple[Sequence[str], Sequence[float] | None]],
        *,
        headings: bool = True,
    ) -> str:
        """Returns a line for each row, after a line of headings.

        Parameters:
            rows: pairs of printable labels and eight numbers; None instead of the numbers if they
                are unknown.
            headings: False leaves out the headings.
        """
        cells = [self._headings] if headings else []
        for labels, numbers in rows:
            cells.append([*labels, *map(_number, numbers or _UNKNOWN)])
        for line in cells:
            self._widths = list(map(max, self._widths, map(width, line)))
        return "".join(f"{self._line(line)}\n" for line in cells)

    def _line(self, cells: Sequence[str]) -> str:
        labels, numbers = cells[: self._labels], cells[self._labels :]
        padded = [*map(ljust, labels, self._widths)]
        padded += map(str.rjust, numbers, self._widths[self._labels :])
        return "  ".join(padded)


def _number(number: float | None) -> str:
    if number is None:
        return "-"
    if isinstance(number, int):
        return f"{number:,}"
    return f"{number:.2g}" if 0 < number < 10 else f"{number:,.0f}"  # a low rate is not shown as 0
