"""What `stats --watch` shows: how much counters increase per second between readings."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, fields

from .. import NetworkInterface
from ._table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ._stats_readings import Row

_COUNTERS = [field.name for field in fields(NetworkInterface)[1:]]
_SCREEN = 20  # lines below a line of headings
_MAX_SLEEP = 86400  # seconds; time.sleep() refuses very large numbers


@dataclass(frozen=True, slots=True)
class Sample:
    """The rates between two readings.

    Attributes:
        time: when the later reading was taken, in seconds since the epoch.
        interval: the seconds between the two, or None for the first reading.
        rows: each interface, with its eight rates, or None if they are unknown.
    """

    time: float
    interval: float | None
    rows: list[tuple[Row, list[float] | None]]


def take_samples(readings: Iterable[list[Row]], seconds: float) -> Iterator[Sample]:
    """Yields a sample at once, and then one every `seconds`.

    Samples do not drift: each is due at a multiple of `seconds` after the first. A sample that
    cannot be taken before the next one is due is skipped.
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
    """Returns an interface's rates, or None if it is new or a counter was reset."""
    if row.counters is None or before is None or not interval:
        return None
    gains = [now - then for now, then in zip(row.counters, before, strict=True)]
    return None if min(gains) < 0 else [gain / interval for gain in gains]


def _sleep_until(due: float) -> None:
    while (left := due - time.monotonic()) > 0:
        time.sleep(min(left, _MAX_SLEEP))


# ---- as text ----


def by_name(numbers: Sequence[float]) -> dict[str, float]:
    """Returns the eight numbers of an interface by the names of its counters."""
    return dict(zip(_COUNTERS, numbers, strict=True))


def to_json(samples: Iterable[Sample], perspective: str) -> Iterator[str]:
    """Yields each sample as a line of JSON."""
    for sample in samples:
        rows = [
            row.fields() | {"per_second": None if rates is None else by_name(rates)}
            for row, rates in sample.rows
        ]
        shown = {"time": sample.time, "interval": sample.interval, "perspective": perspective}
        yield json.dumps(shown | {"interfaces": rows}) + "\n"


def to_lines(samples: Iterable[Sample], labels: Sequence[str]) -> Iterator[str]:
    """Yields each sample without headings, which are repeated only every _SCREEN samples."""
    table = Table(labels, "/s")
    for number, sample in enumerate(samples):
        rows = ((row.labels, rates) for row, rates in sample.rows)
        yield table.render(rows, headings=number % _SCREEN == 0)


def to_tables(samples: Iterable[Sample], labels: Sequence[str]) -> Iterator[str]:
    """Yields each sample as a table, with an empty line between two."""
    table = Table(labels, "/s")
    for number, sample in enumerate(samples):
        rows = ((row.labels, rates) for row, rates in sample.rows)
        yield "\n" * (number > 0) + table.render(rows)
