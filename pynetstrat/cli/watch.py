"""Rates: what counters gain a second, from one reading to the next."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, fields

from .. import NetworkInterface
from .table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .readings import Row

_COUNTERS = [field.name for field in fields(NetworkInterface)[1:]]
_SCREEN = 20  # lines below a line of headings


@dataclass(frozen=True, slots=True)
class Sample:
    """The rates between two readings.

    Attributes:
        time: of the later one, in seconds since the epoch.
        interval: the seconds that lie between them; None: there was none before.
        rows: each interface, with the eight rates; None: they are not known.
    """

    time: float
    interval: float | None
    rows: list[tuple[Row, list[float] | None]]


def take(readings: Iterable[list[Row]], seconds: float) -> Iterator[Sample]:
    """A sample at once, and then one every so many seconds.

    They do not drift: each is due at a multiple of `seconds` after the first, and one that can't be
    taken before the next is due is left out.
    """
    before: dict[object, Sequence[int]] = {}
    then: float | None = None
    due = time.monotonic()
    for rows in readings:
        now = time.monotonic()
        interval = None if then is None else now - then
        rates = [(row, _rates(row, before.get(row.identity), interval)) for row in rows]
        yield Sample(time.time(), interval, rates)
        before = {row.identity: row.counters for row in rows if row.counters is not None}
        then = now
        due += seconds
        late = time.monotonic() - due
        if late > 0:
            due += late - late % seconds + seconds
        _sleep_until(due)


def _rates(row: Row, before: Sequence[int] | None, interval: float | None) -> list[float] | None:
    """The rates of an interface; None where it is new, or its counters began again."""
    if row.counters is None or before is None or not interval:
        return None
    gains = [now - then for now, then in zip(row.counters, before, strict=True)]
    return None if min(gains) < 0 else [gain / interval for gain in gains]


def _sleep_until(due: float) -> None:
    while (left := due - time.monotonic()) > 0:
        time.sleep(min(left, 86400))  # there is a limit to it


# ---- as text ----


def by_name(numbers: Sequence[float]) -> dict[str, float]:
    """The eight numbers of an interface by the names of its counters."""
    return dict(zip(_COUNTERS, numbers, strict=True))


def to_json(samples: Iterable[Sample], perspective: str) -> Iterator[str]:
    """Each sample as a line of JSON."""
    for sample in samples:
        rows = [
            row.fields() | {"per_second": None if rates is None else by_name(rates)}
            for row, rates in sample.rows
        ]
        shown = {"time": sample.time, "interval": sample.interval, "perspective": perspective}
        yield json.dumps(shown | {"interfaces": rows}) + "\n"


def to_lines(samples: Iterable[Sample], labels: Sequence[str]) -> Iterator[str]:
    """Each sample as a line for each of its interfaces, with headings now and then."""
    table = Table(labels, "/s")
    for number, sample in enumerate(samples):
        rows = ((row.labels, rates) for row, rates in sample.rows)
        yield table.render(rows, headings=number % _SCREEN == 0)


def to_tables(samples: Iterable[Sample], labels: Sequence[str]) -> Iterator[str]:
    """Each sample as a table, with an empty line between two."""
    table = Table(labels, "/s")
    for number, sample in enumerate(samples):
        rows = ((row.labels, rates) for row, rates in sample.rows)
        yield "\n" * (number > 0) + table.render(rows)
