"""What `top` shows, as lines of styled text for rich."""

from __future__ import annotations

import io
import shutil
import sys
from itertools import islice

from ._numbers import short
from ._text import fitting, ljust, printable, shorten, width
from ._top_view import COLUMNS, ORDERS, View, add_up, fit_columns, longest_label

try:
    from rich.console import Console
    from rich.segment import Segment
    from rich.style import Style
except ImportError as error:
    raise ImportError(
        "pynetstrat top needs rich: pip install '.[top]' in the checkout, or pip install rich",
        name="rich",
    ) from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import ConsoleOptions, RenderResult

    from ._top_view import Column, Entry

    Line = list[Segment]

_PLAIN = Style()
_STRONG = Style(bold=True)
_QUIET = Style(dim=True)
_HEADING = Style(bold=True, reverse=True)
_SORTED = Style(bold=True, reverse=True, underline=True, color="green")
_BAD = Style(bold=True, color="red")
_WARNING = Style(color="yellow")
_NEWLINE = Segment("\n")

_KEYS = (
    ("q", "quit"),
    ("?", "help"),
    ("/", "filter"),
    ("u", "units"),
    *((order.key, name) for name, order in ORDERS.items()),
)
_HELP = (
    ("q", "quit"),
    ("/", "filter by id, owner or name: a regular expression"),
    ("Esc", "leave the help, remove the filter"),
    ("u", "units of 1000 (k, M, G) or 1024 (Ki, Mi, Gi)"),
    ("v", "reverse the order"),
    ("< >", "sort by the order before, by the next order"),
    (" ".join(order.key for order in ORDERS.values()), f"sort by {', '.join(ORDERS)}"),
    ("up down", "scroll by one container (also k, j)"),
    ("PgUp PgDn", "scroll by a page (also space)"),
    ("Home End", "the first, the last containers"),
)


class Screen:
    """A screen full of containers, or all of them.

    Parameters:
        entries: the containers that are shown, in order.
        view: the user's choice.
        columns: the columns of the terminal.
        lines: the lines of the terminal; None for a table of all containers, without the lines
            that a user at the keyboard needs.
        status: a warning, or "".
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        view: View,
        columns: int,
        lines: int | None = None,
        status: str = "",
    ) -> None:
        self._entries = entries
        self._view = view
        self._columns = columns
        self._lines = lines
        self._status = status

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the text of the screen, without a newline at its end."""
        for number, line in enumerate(self._table() if self._lines is None else self._screen()):
            if number:
                yield _NEWLINE
            yield from line

    @property
    def page(self) -> int:
        """How many containers are visible at once."""
        # Below 5 lines no footer, below 4 no summary, below 2 no headings.
        lines = self._lines or 0
        return max(1, lines - (lines >= 2) - (lines >= 4) - (lines >= 5))

    # ---- lines ----

    def _screen(self) -> Iterator[Line]:
        assert self._lines is not None
        body = self._help() if self._view.is_help else self._table()
        if self._lines >= 4:
            yield self._summary()
        headings = next(body)
        if self._lines >= 2:
            yield headings
        rows = list(islice(body, self.page))
        yield from rows
        for _ in range(self.page - len(rows)):
            yield self._fill([])
        if self._lines >= 5:
            yield self._footer()

    def _table(self) -> Iterator[Line]:
        """Yields the headings, and then a line for each visible container."""
        visible = range(len(self._entries))
        if self._lines is not None:
            visible = self._view.scroll(len(self._entries), self.page)
        longest = longest_label(self._entries)
        label, columns = fit_columns(self._columns, self._view.sort, longest)
        first = ORDERS[self._view.sort].headings
        yield self._fill(
            [
                Segment(ljust(shorten("container", label), label), _HEADING if first else _SORTED),
                *(
                    Segment(
                        f" {column.heading:>{column.width}}",
                        _SORTED if column.heading in first else _HEADING,
                    )
                    for column in columns
                ),
            ],
            _HEADING,
        )
        for at in visible:
            yield self._fill(self._row(self._entries[at], label, columns))

    def _row(self, entry: Entry, label: int, columns: Sequence[Column]) -> Line:
        line: Line = []
        text, style = ljust(shorten(entry.label, label), label), _PLAIN
        for column in columns:
            value = column.value(entry.totals, entry.rates)
            number = "-" if value is None else short(value, self._view.base)
            shown = _QUIET if not value else _BAD if column.is_bad else _PLAIN
            if shown is not style:  # rich takes longer for each segment than for its text
                line.append(Segment(text, style))
                text, style = "", shown
            text += f" {number:>{column.width}}"
        return [*line, Segment(text, style)]

    def _summary(self) -> Line:
        entries, base = self._entries, self._view.base
        parts = [(f"{len(entries):,} containers", _STRONG)]
        rates = add_up(entries)
        for column in COLUMNS:
            if column.is_rate:
                value = column.value(None, rates)
                text = "-" if value is None else short(value, base)
                style = _BAD if column.is_bad and value else _PLAIN
                parts.append((f"  {column.heading} {text}", style))
        if self._view.pattern is not None:
            parts.insert(1, (f"  /{printable(self._view.pattern.pattern)}/", _WARNING))
        return self._crop(parts)

    def _footer(self) -> Line:
        view = self._view
        if view.edited is not None:
            wrong = "  (not a regular expression)" if view.is_wrong else ""
            return self._crop(
                [("filter: ", _STRONG), (f"{printable(view.edited)}_", _PLAIN), (wrong, _BAD)]
            )
        parts = []
        for key, name in _KEYS[:2] if self._status else _KEYS:
            parts += [(key, _STRONG), (f" {name} ", _QUIET)]
        return self._crop([*parts, (self._status, _WARNING)])

    def _help(self) -> Iterator[Line]:
        yield self._fill(self._crop([("keys", _PLAIN)]), _HEADING)
        for key, text in _HELP:
            yield self._crop([(f"{key:15}  ", _STRONG), (text, _PLAIN)])

    def _crop(self, parts: Sequence[tuple[str, Style]]) -> Line:
        """Makes a line of texts, as far as they fit."""
        line, room = [], self._columns
        for text, style in parts:
            text = text if width(text) <= room else fitting(text, room)
            line.append(Segment(text, style))
            room -= width(text)
        return self._fill(line)

    def _fill(self, line: Line, style: Style = _PLAIN) -> Line:
        """Fills a line with spaces, which overwrite the line drawn before."""
        if self._lines is None and style is _PLAIN:
            return line
        missing = self._columns - sum(width(segment.text) for segment in line)
        return [*line, Segment(" " * missing, style)] if missing > 0 else line


class Styler:
    """Turns screens into text for standard output: with colours only if a terminal shows them.

    rich finds out whether standard output is a terminal, and follows NO_COLOR, FORCE_COLOR and
    TERM. It writes into a buffer, since a failure to write is reported by `_output`.
    """

    def __init__(self) -> None:
        output = Console(file=sys.stdout)
        self.is_dumb = output.is_dumb_terminal
        self._console = Console(
            file=io.StringIO(),
            width=80,  # a screen has its own, and rich prints nothing if COLUMNS is 0
            force_terminal=output.is_terminal,
            color_system=output.color_system,  # type: ignore[arg-type]  # one of its own names
            no_color=output.no_color,
        )

    def to_text(self, screen: Screen) -> str:
        """Returns a screen as text, with the control sequences that the terminal understands."""
        return to_text(screen, self._console)

    def to_table(self, entries: Sequence[Entry], view: View) -> str:
        """Returns a table of all these containers."""
        return self.to_text(Screen(entries, view, shutil.get_terminal_size().columns)) + "\n"


def to_text(screen: Screen, console: Console) -> str:
    """Returns a screen as a console that writes into a buffer shows it."""
    console.file = io.StringIO()
    console.print(screen, end="", crop=False, soft_wrap=True)
    return console.file.getvalue()
