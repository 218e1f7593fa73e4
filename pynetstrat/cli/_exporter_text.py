"""The Prometheus text format (version 0.0.4), as prometheus_client writes it.

https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md

Nothing in a text is formatted again while it stays the same: `TextWriter` keeps the labels of each
row, each number, and the whole text of a counter none of whose values has changed.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import compress
from operator import ne

from .._metrics import COUNTERS, GAUGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._metrics import Labels, Reading

_SCIENTIFIC = 1_000_000  # from this number on the format has an exponent
_EXACT = 1 << 53  # a float represents every integer up to this one
_EXPONENTS = [f"e+{digits - 1:02d}\n".encode() for digits in range(17)]


def format_number(value: int) -> bytes:
    """Returns an integer >= 0 as a float of the format: 5.0, 1.5e+06."""
    if value < _SCIENTIFIC:
        return b"%d.0\n" % value
    if value > _EXACT:
        return b"%b\n" % format_float(value).encode()
    digits = b"%d" % value
    return (b"%c.%b" % (digits[0], digits[1:])).rstrip(b"0.") + _EXPONENTS[len(digits)]


def format_numbers(values: list[int]) -> list[bytes]:
    """Returns `format_number` of each value."""
    if max(values, default=0) < _SCIENTIFIC:  # all at once, which takes half the time
        return (b"%d.0\n" * len(values) % (*values,)).splitlines(keepends=True)
    return list(map(format_number, values))


def format_float(value: float) -> str:
    """Returns a finite number >= 0 as a float of the format."""
    text = repr(float(value))
    point = text.find(".")
    if point <= 6:  # also the exponents of Python: 1e+16, 1e-05
        return text
    mantissa = f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.")
    return f"{mantissa}e+{point - 1:02d}"


def format_labels(labels: Labels) -> bytes:
    """Returns the labels of a sample, with the space after them."""
    shown = ",".join([f'{name}="{_escape(value)}"' for name, value in labels])
    return f"{{{shown}}} ".encode() if shown else b" "


@lru_cache(maxsize=64)  # most of the 30 metrics stay the same
def format_metric(
    name: str, text: str, value: float | None, labels: Labels = (), *, kind: str = "gauge"
) -> bytes:
    """Returns a metric of one sample, with its help text. Without a value it has no sample."""
    head = f"# HELP {name} {text}\n# TYPE {name} {kind}\n".encode()
    if value is None:
        return head
    return head + name.encode() + format_labels(labels) + f"{format_float(value)}\n".encode()


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class TextWriter:
    """Writes readings as text.

    Parameters:
        prefix: put before the names of the counters.
    """

    def __init__(self, prefix: str = "") -> None:
        self._counters = [_Counter(f"{prefix}{name}_total", text) for name, text in COUNTERS]
        self._rows: tuple[Labels, ...] = ()
        self._labels: dict[Labels, bytes] = {}  # of the last reading

    def write(self, reading: Reading) -> list[bytes]:
        """Returns the text of the counters and gauges, in parts."""
        if reading.rows is not self._rows:
            self._move(reading.rows)
        counters = zip(self._counters, reading.columns, strict=True)
        parts = [counter.write(column) for counter, column in counters]
        parts += [format_metric(*gauge, reading.gauges.get(gauge)) for gauge in GAUGES]
        return parts

    def _move(self, rows: tuple[Labels, ...]) -> None:
        """Changes the rows of every counter. A row keeps its labels, value and number."""
        at = dict(zip(self._rows, range(len(self._rows)), strict=True))
        labels = [self._labels.get(row) or format_labels(row) for row in rows]
        self._rows = rows
        self._labels = dict(zip(rows, labels, strict=True))
        places = [at.get(row) for row in rows]
        for counter in self._counters:
            counter.move(labels, places)


class _Counter:
    """One counter of all rows: the values of the last reading, and their text."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name.encode()
        self._head = f"# HELP {name} {text}\n# TYPE {name} counter\n".encode()
        self._values: list[int] = []
        self._numbers: list[bytes] = []
        self._parts: list[bytes] = []  # of each line: the name, the labels, the number
        self._text = self._head

    def move(self, labels: list[bytes], places: Iterable[int | None]) -> None:
        """Changes the rows.

        Parameters:
            labels: those of each row.
            places: for each row its place among the former rows; None: it is new.
        """
        values, numbers = self._values, self._numbers
        moved = [(-1, b"") if at is None else (values[at], numbers[at]) for at in places]
        self._values = [value for value, _ in moved]
        self._numbers = [number for _, number in moved]
        self._parts = [self._name] * (3 * len(labels))
        self._parts[1::3] = labels
        self._text = b""

    def write(self, values: list[int]) -> bytes:
        """Returns the text. No value is negative."""
        if values != self._values or not self._text:
            changed = list(map(ne, values, self._values))
            new = format_numbers(list(compress(values, changed)))
            if len(new) == len(values):
                self._numbers = new
            else:
                places = compress(range(len(values)), changed)
                for at, number in zip(places, new, strict=True):
                    self._numbers[at] = number
            self._values = values
            self._parts[2::3] = self._numbers
            self._text = self._head + b"".join(self._parts)
        return self._text
