"""Counters as a table that reads well on a terminal."""

from __future__ import annotations

from .text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .. import NetworkInterface

_FIELDS = ("bytes", "packets", "errors", "dropped")
_COLUMNS = [(side, field) for side in ("rx", "tx") for field in _FIELDS]


def render(rows: Iterable[tuple[str, NetworkInterface]]) -> str:
    """A line for each label and interface, below a line of headings."""
    cells = [["interface", *(f"{side} {field}" for side, field in _COLUMNS)]]
    for label, interface in rows:
        counters = (getattr(interface, f"{side}_{field}") for side, field in _COLUMNS)
        cells.append([printable(label), *(f"{counter:,}" for counter in counters)])
    return "".join(f"{line}\n" for line in _lines(cells))


def _lines(cells: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for first, *rest in cells:
        numbers = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join([first.ljust(widths[0]), *numbers])
