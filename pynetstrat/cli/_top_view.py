"""What `top` shows: containers and their sums, in the order and through the filter of its user."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import add

from ._stats_readings import matches
from ._text import width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .. import Container
    from ._exporter_labels import LabelsFile
    from ._stats_rates import Numbers, Shown


@dataclass(slots=True)
class Entry:
    """A container, and the sums over its interfaces.

    Attributes:
        container: the container.
        label: what it is called.
        interfaces: how many interfaces it has.
        totals: the eight counters, in the order of the fields of `NetworkInterface`.
        rates: how much they increase per second, over the interfaces whose rates are known. None if
            none are.
    """

    container: Container
    label: str
    interfaces: int
    totals: Sequence[float]
    rates: Numbers


def by_container(rows: Iterable[Shown], labels: LabelsFile | None = None) -> list[Entry]:
    """Adds up the interfaces of each container, which follow each other.

    Parameters:
        rows: the interfaces, with their counters and rates.
        labels: further labels of containers. One of `name` or `pod` replaces the label.
    """
    entries: list[Entry] = []
    last: Container | None = None
    for row, totals, rates in rows:
        container = row.container
        assert container is not None
        assert totals is not None
        if container is last:
            entry = entries.pop()
            entries.append(
                Entry(
                    container,
                    entry.label,
                    entry.interfaces + 1,
                    _add(entry.totals, totals),
                    rates if entry.rates is None else _add(entry.rates, rates),
                )
            )
        else:
            label = container.label if labels is None else _find_name(container, labels)
            entries.append(Entry(container, label, 1, totals, rates))
            last = container
    return entries


def _find_name(container: Container, labels: LabelsFile) -> str:
    found = labels.find(container)
    return found.get("name") or found.get("pod") or container.label


def _add(one: Sequence[float], other: Numbers) -> Sequence[float]:
    return one if other is None else list(map(add, one, other))


def add_up(entries: Iterable[Entry]) -> Numbers:
    """Returns the sums of the rates that are known; None if none are."""
    sums = [sum(values) for values in zip(*(e.rates for e in entries if e.rates), strict=True)]
    return sums or None


# ---- columns ----


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers.

    Attributes:
        heading: its heading.
        places: the counters whose sum it shows, or the rates of which.
        is_rate: whether it shows rates.
        is_bad: whether a number above 0 means that packets were lost.
        rank: columns of a lower rank remain when there is no room for all.
    """

    heading: str
    places: tuple[int, ...]
    is_rate: bool
    rank: int
    is_bad: bool = False

    @property
    def width(self) -> int:
        """The columns of the terminal that it takes."""
        return max(6, len(self.heading))  # a short number has six characters

    def value(self, totals: Numbers, rates: Numbers) -> float | None:
        """Returns the number that it shows, or None if it is unknown."""
        numbers = rates if self.is_rate else totals
        return None if numbers is None else sum([numbers[at] for at in self.places])


COLUMNS = (
    Column("rx B/s", (0,), True, 0),
    Column("tx B/s", (4,), True, 1),
    Column("rx pkt/s", (1,), True, 3),
    Column("tx pkt/s", (5,), True, 4),
    Column("drop/s", (3, 7), True, 2, is_bad=True),
    Column("err/s", (2, 6), True, 8, is_bad=True),
    Column("rx B", (0,), False, 5),
    Column("tx B", (4,), False, 6),
    Column("rx pkt", (1,), False, 10),
    Column("tx pkt", (5,), False, 11),
    Column("drop", (3, 7), False, 7, is_bad=True),
    Column("err", (2, 6), False, 9, is_bad=True),
)
_MAIN = 8  # the ranks below this one are worth more than a label that is not cut
_LABEL, _LONG_LABEL = 12, 32  # columns of the terminal


@dataclass(frozen=True, slots=True)
class Order:
    """An order of containers.

    Attributes:
        key: the key of the keyboard that chooses it.
        headings: of the columns whose sum is compared, largest first. Where rates are equal, the
            totals of the same counters are compared, and then labels.
    """

    key: str
    headings: tuple[str, ...] = ()


ORDERS = {
    "rate": Order("b", ("rx B/s", "tx B/s")),
    "rx": Order("r", ("rx B/s",)),
    "tx": Order("t", ("tx B/s",)),
    "packets": Order("p", ("rx pkt/s", "tx pkt/s")),
    "drops": Order("d", ("drop/s", "drop")),
    "errors": Order("e", ("err/s", "err")),
    "total": Order("T", ("rx B", "tx B")),
    "name": Order("n"),
}
_ORDER_BY_KEY = {order.key: name for name, order in ORDERS.items()}


def fit_columns(columns: int, sort: str, longest: int) -> tuple[int, list[Column]]:
    """Chooses what fits a line.

    Parameters:
        columns: the columns of the terminal.
        sort: the order, whose columns come first.
        longest: the columns that the longest label takes.

    Returns:
        The columns for labels, and the columns of numbers.
    """
    first = ORDERS[sort].headings
    label = min(longest, _LABEL)
    chosen: list[Column] = []
    taken = 0
    for column in sorted(COLUMNS, key=lambda one: (one.heading not in first, one.rank)):
        if column.rank >= _MAIN and column.heading not in first:
            label = min(longest, _LONG_LABEL)
        if label + taken + 1 + column.width > columns:
            break
        taken += 1 + column.width
        chosen.append(column)
    shown = [column for column in COLUMNS if column in chosen]
    return min(longest, max(1, columns - taken)), shown


# ---- the user's choice ----


class View:
    """What the user has chosen, by options and by keys.

    Attributes:
        sort: a key of ORDERS.
        is_reversed: whether the order is reversed.
        pattern: what must match (see `matches`), or None.
        base: 1000 or 1024, of the units.
        offset: how many containers are scrolled past.
        edited: the filter while it is typed, otherwise None.
        is_wrong: whether that text is not a regular expression. The last valid one stays in use.
        is_help: whether the help is shown.
    """

    def __init__(
        self,
        sort: str = "rate",
        pattern: re.Pattern[str] | None = None,
        base: int = 1000,
        *,
        is_reversed: bool = False,
    ) -> None:
        self.sort = sort
        self.pattern = pattern
        self.base = base
        self.is_reversed = is_reversed
        self.offset = 0
        self.edited: str | None = None
        self.is_wrong = False
        self.is_help = False
        self._before: re.Pattern[str] | None = None

    def arrange(self, entries: Iterable[Entry]) -> list[Entry]:
        """Returns the containers that match, in order."""
        pattern = self.pattern
        if pattern is not None:
            entries = [
                entry
                for entry in entries
                if pattern.search(entry.label) or matches(entry.container, pattern)
            ]
        return sorted(entries, key=self._key(), reverse=self.is_reversed)

    def _key(self) -> Callable[[Entry], tuple[str | float, ...]]:
        headings = ORDERS[self.sort].headings
        columns = [column for column in COLUMNS if column.heading in headings]
        if not columns:
            return lambda entry: (entry.label,)
        is_rate = any(column.is_rate for column in columns)
        one, *more = {at for column in columns for at in column.places}

        def negated_sum(numbers: Sequence[float]) -> float:
            total = numbers[one]
            for at in more:
                total += numbers[at]
            return -total

        def key(entry: Entry) -> tuple[str | float, ...]:
            rates, totals = entry.rates, negated_sum(entry.totals)
            if not is_rate:
                return totals, entry.label
            return 1 if rates is None else negated_sum(rates), totals, entry.label

        return key

    def press(self, key: str, page: int) -> None:
        """Handles a key.

        Parameters:
            key: a character, or the name of a key such as "page down".
            page: how many containers are visible at once.
        """
        if self.edited is not None:
            self._edit(key)
        elif key in _ORDER_BY_KEY:
            self.sort = _ORDER_BY_KEY[key]
            self.is_reversed = False
        elif key in ("<", ">", "left", "right"):
            names = list(ORDERS)
            step = 1 if key in (">", "right") else -1
            self.sort = names[(names.index(self.sort) + step) % len(names)]
        elif key == "v":
            self.is_reversed = not self.is_reversed
        elif key == "u":
            self.base = 1024 if self.base == 1000 else 1000
        elif key == "/":
            self._before = self.pattern
            self.edited = self.pattern.pattern if self.pattern else ""
        elif key in ("?", "h"):
            self.is_help = not self.is_help
        elif key == "\x1b":
            self.pattern, self.is_help = None, False
        elif key in _SCROLLS:
            self.offset += _SCROLLS[key](page, self.offset)

    def _edit(self, key: str) -> None:
        assert self.edited is not None
        if key in ("\r", "\n"):
            self.edited, self.is_wrong = None, False
            return
        if key == "\x1b":
            self.edited, self.is_wrong = None, False
            self.pattern = self._before
            return
        if key in ("\x7f", "\b"):
            self.edited = self.edited[:-1]
        elif key == "\x15":  # Ctrl-U
            self.edited = ""
        elif len(key) == 1 and key.isprintable():
            self.edited += key
        try:
            self.pattern = re.compile(self.edited) if self.edited else None
            self.is_wrong = False
        except (re.error, RecursionError, OverflowError):
            self.is_wrong = True

    def scroll(self, count: int, page: int) -> range:
        """Returns which of so many containers are visible, and corrects the offset."""
        self.offset = max(0, min(self.offset, count - page))
        return range(self.offset, min(count, self.offset + page))


_SCROLLS: dict[str, Callable[[int, int], int]] = {
    "up": lambda page, offset: -1,
    "k": lambda page, offset: -1,
    "down": lambda page, offset: 1,
    "j": lambda page, offset: 1,
    "page up": lambda page, offset: -page,
    "page down": lambda page, offset: page,
    " ": lambda page, offset: page,
    "home": lambda page, offset: -offset,
    "end": lambda page, offset: 1 << 31,
}


def longest_label(entries: Iterable[Entry]) -> int:
    """Returns the columns of the terminal that the longest label takes, at least one's heading."""
    return max([len("container"), *(width(entry.label) for entry in entries)])
