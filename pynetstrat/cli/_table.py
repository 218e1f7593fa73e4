"""Counters or rates as a table for a terminal."""

from __future__ import annotations

import shutil
from dataclasses import astuple

from ._numbers import exact, short
from ._text import ljust, printable, shorten, width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .. import NetworkInterface

    Row = tuple[Sequence[str], Sequence[float] | None]

# The heading of each column, and the counters whose sum it shows.
_MAIN = {
    "rx B": (0,),
    "rx pkt": (1,),
    "tx B": (4,),
    "tx pkt": (5,),
    "err": (2, 6),
    "drop": (3, 7),
}
_ALL = {
    f"{side} {field}": (4 * at + number,)
    for at, side in enumerate(("rx", "tx"))
    for number, field in enumerate(("bytes", "packets", "errors", "dropped"))
}
_GAP = "  "
_LABEL = 12  # columns of a label that are worth more than the digits of exact numbers


def render(rows: Iterable[tuple[str, NetworkInterface]]) -> str:
    """Returns a line of headings, and a line for each label and its interface."""
    return Table().render(([printable(label)], astuple(interface)[1:]) for label, interface in rows)


class Table:
    """A table that can be printed in parts. A column may become wider, but never narrower.

    The table fits the terminal, or 80 columns if standard output is no terminal: labels are cut
    and, if that is not enough, all later numbers are short (1.23M).

    Parameters:
        labels: the headings of the columns before the counters.
        unit: appended to the heading of each counter.
        is_wide: shows all eight counters and whole labels, in any number of columns. Otherwise
            errors and dropped packets are the sums of both directions.
        is_short: shows short numbers from the start.
    """

    def __init__(
        self,
        labels: Sequence[str] = ("interface",),
        unit: str = "",
        *,
        is_wide: bool = False,
        is_short: bool = False,
    ) -> None:
        self._columns = None if is_wide else shutil.get_terminal_size().columns
        self._counters = list((_ALL if is_wide else _MAIN).values())
        self._labels = list(labels)
        self._headings = [heading + unit for heading in (_ALL if is_wide else _MAIN)]
        self._label_widths = list(map(width, self._labels))
        self._use(short if is_short else exact)

    def _use(self, text_of: Callable[[float], str]) -> None:
        """Formats all later numbers with this function."""
        self._text_of = text_of
        self._widths = list(map(len, self._headings))

    def render(self, rows: Iterable[Row], *, headings: bool = True) -> str:
        """Returns a line for each row, after a line of headings.

        Parameters:
            rows: pairs of printable labels and eight numbers; None instead of the numbers if they
                are unknown.
            headings: False leaves out the headings.
        """
        rows = list(rows)
        cells = self._cells(rows)
        if (
            self._columns
            and self._text_of is exact
            and self._room() < sum(min(n, _LABEL) for n in self._label_widths)
        ):
            self._use(short)
            cells = self._cells(rows)
        widths = _share(self._label_widths, self._room())
        lines: list[tuple[Sequence[str], list[str]]] = []
        if headings:
            lines.append((self._labels, self._headings))
        lines += [(labels, numbers) for (labels, _), numbers in zip(rows, cells, strict=True)]
        return "".join(
            _GAP.join(
                [
                    *(ljust(shorten(label, n), n) for label, n in zip(labels, widths, strict=True)),
                    *map(str.rjust, numbers, self._widths),
                ]
            )
            + "\n"
            for labels, numbers in lines
        )

    def _cells(self, rows: Sequence[Row]) -> list[list[str]]:
        """Returns the numbers of each row as text, and makes columns wide enough for the rows."""
        cells = []
        for labels, numbers in rows:
            texts = ["-"] * len(self._counters)
            if numbers is not None:
                sums = (sum(numbers[at] for at in counters) for counters in self._counters)
                texts = list(map(self._text_of, sums))
            cells.append(texts)
            self._widths = list(map(max, self._widths, map(len, texts)))
            self._label_widths = list(map(max, self._label_widths, map(width, labels)))
        return cells

    def _room(self) -> int:
        """Returns the columns that are left for the labels."""
        if self._columns is None:
            return sum(self._label_widths)
        gaps = len(self._labels) + len(self._widths) - 1
        return self._columns - sum(self._widths) - gaps * len(_GAP)


def _share(widths: Sequence[int], room: int) -> list[int]:
    """Shares columns of the terminal among labels of these widths; short labels are kept whole."""
    shares = dict.fromkeys(range(len(widths)), 0)
    for rest, at in zip(
        range(len(widths), 0, -1), sorted(shares, key=widths.__getitem__), strict=True
    ):
        shares[at] = max(1, min(widths[at], room // rest))
        room -= shares[at]
    return list(shares.values())
