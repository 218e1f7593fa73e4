"""Counters as a table that reads well on a terminal."""

from __future__ import annotations

from .errors import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .network import NetworkInterface

FIELDS = ("bytes", "packets", "errors", "dropped")
_HEADER = ["interface", *(f"rx {field}" for field in FIELDS), *(f"tx {field}" for field in FIELDS)]


def counters(interface: NetworkInterface) -> list[int]:
    """The eight counters, in the order of the fields."""
    return [getattr(interface, f"{side}_{field}") for side in ("rx", "tx") for field in FIELDS]


def render(rows: Iterable[tuple[str, NetworkInterface]]) -> str:
    """A line for each label and interface, below a line of headings."""
    cells = [_HEADER]
    cells += [
        [escape(label), *(f"{n:,}" for n in counters(interface))] for label, interface in rows
    ]
    return "\n".join(_lines(cells))


def _lines(cells: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for first, *rest in cells:
        numbers = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join([first.ljust(widths[0]), *numbers])
