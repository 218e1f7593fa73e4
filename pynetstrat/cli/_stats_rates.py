"""What `stats --watch` and `top` show: how much counters increase per second between readings."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, fields
from operator import sub

from .. import NetworkInterface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ._stats_readings import Reading, Row
    from ._table import Table

    # The eight counters or rates of an interface, None if they are unknown.
    Numbers = Sequence[float] | None

    # An interface, its counters, and what is shown of them: the counters or their rates.
    Shown = tuple[Row, Numbers, Numbers]

_COUNTERS = [field.name for field in fields(NetworkInterface)[1:]]
# What rows can be sorted by, largest first: the sum of these of the eight numbers.
SORT_COLUMNS = {
    **{name: (at, at + 4) for at, name in enumerate(("bytes", "packets", "errors", "dropped"))},
    **{name: (at,) for at, name in enumerate(_COUNTERS)},
}
_IDLE = (0.0,) * len(_COUNTERS)
_SCREEN = 20  # lines below a line of headings
_MAX_SLEEP = 86400  # seconds; time.sleep() refuses very large numbers


@dataclass(frozen=True, slots=True)
class Sample:
    """The rates between two readings.

    Attributes:
        time: when the later reading was taken, in seconds since the epoch.
        interval: the seconds between the two, or None for the first reading.
        rows: each interface with its eight counters and their rates, each None if unknown.
    """

    time: float
    interval: float | None
    rows: list[Shown]


def sleep_until(due: float) -> None:
    """Sleeps until this time of the monotonic clock."""
    while (left := due - time.monotonic()) > 0:
        time.sleep(min(left, _MAX_SLEEP))


def take_samples(
    readings: Iterable[Reading | None], seconds: float, wait: Callable[[float], None] = sleep_until
) -> Iterator[Sample]:
    """Yields a sample at once, and then one every `seconds`.

    Samples do not drift: each is due at a multiple of `seconds` after the first. A sample that
    cannot be taken before the next one is due is skipped.

    Parameters:
        readings: each is taken when it is requested. None is a reading that failed: its sample is
            left out, and the next one has the rates since the last one.
        seconds: the time from one sample to the next.
        wait: called with the time of the monotonic clock at which the next sample is due.
    """
    before: Reading | None = None
    then = due = time.monotonic()
    for reading in readings:
        if reading is not None:
            now = time.monotonic()
            interval = None if before is None else now - then
            rates = _rates(reading, before, interval)
            rows: list[Shown] = list(zip(reading.rows, reading.counters, rates, strict=True))
            yield Sample(time.time(), interval, rows)
            before, then = reading, now
        due += seconds
        late = time.monotonic() - due
        if late > 0:
            due += late - late % seconds + seconds
        wait(due)


def _rates(reading: Reading, before: Reading | None, interval: float | None) -> list[Numbers]:
    """Returns each interface's rates, or None if it is new or a counter was reset."""
    if before is None or not interval:
        return [None] * len(reading.rows)
    former: Iterable[Sequence[int] | None] = before.counters
    if reading.rows is not before.rows:
        known = {
            row.identity: counters
            for row, counters in zip(before.rows, before.counters, strict=True)
            if counters is not None
        }
        former = [known.get(row.identity) for row in reading.rows]
    rates: list[Numbers] = []
    for counters, earlier in zip(reading.counters, former, strict=True):
        if counters is None or earlier is None:
            rates.append(None)
        elif counters == earlier:
            rates.append(_IDLE)
        else:
            gains = list(map(sub, counters, earlier))
            rates.append(None if min(gains) < 0 else [gain / interval for gain in gains])
    return rates


def sort(rows: Iterable[Shown], column: str | None) -> list[Shown]:
    """Returns interfaces in the order of what is shown of them; unknown numbers are last.

    Parameters:
        column: a key of SORT_COLUMNS; "name" for the order of the labels; None leaves the order.
    """
    if column is None:
        return list(rows)
    if column == "name":
        return sorted(rows, key=lambda row: row[0].labels)
    places = SORT_COLUMNS[column]

    def key(shown: Shown) -> float:
        numbers = shown[2]
        return -1 if numbers is None else sum(numbers[at] for at in places)

    return sorted(rows, key=key, reverse=True)


# ---- as text ----


def by_name(numbers: Sequence[float]) -> dict[str, float]:
    """Returns the eight numbers of an interface by the names of its counters."""
    return dict(zip(_COUNTERS, numbers, strict=True))


def to_json(samples: Iterable[Sample], perspective: str) -> Iterator[str]:
    """Yields each sample as a line of JSON."""
    for sample in samples:
        rows = [
            row.fields() | {"per_second": None if rates is None else by_name(rates)}
            for row, _, rates in sample.rows
        ]
        shown = {"time": sample.time, "interval": sample.interval, "perspective": perspective}
        yield json.dumps(shown | {"interfaces": rows}) + "\n"


def to_lines(samples: Iterable[Sample], table: Table) -> Iterator[str]:
    """Yields each sample without headings, which are repeated only every _SCREEN samples."""
    for number, sample in enumerate(samples):
        rows = ((row.labels, rates) for row, _, rates in sample.rows)
        yield table.render(rows, headings=number % _SCREEN == 0)


def to_tables(samples: Iterable[Sample], table: Table) -> Iterator[str]:
    """Yields each sample as a table, with an empty line between two."""
    for number, sample in enumerate(samples):
        rows = ((row.labels, rates) for row, _, rates in sample.rows)
        yield "\n" * (number > 0) + table.render(rows)
