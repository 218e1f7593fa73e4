"""Numbers as text: exact, or short with a unit such as 1.23M."""

from __future__ import annotations

_UNITS = "kMGTPEZYRQ"


def exact(number: float) -> str:
    """Returns a count, or a rate rounded to a whole number; a low rate is not shown as 0."""
    if isinstance(number, int):
        return f"{number:,}"
    return f"{number:.2g}" if 0 < number < 10 else f"{number:,.0f}"


def short(number: float, base: int = 1000) -> str:
    """Returns a number with up to four digits and a unit, in at most six characters.

    Parameters:
        number: the number, at least 0.
        base: 1000 for the units k, M, G; 1024 for Ki, Mi, Gi.
    """
    if 0 < number < 0.01:
        return f"{number:.0e}"
    if number < base - 0.5:
        return exact(number) if number < 10 else f"{number:.0f}"
    value = float(number)
    for unit in _UNITS:
        value /= base
        if value < base - 0.5:
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            name = unit if base == 1000 else unit.upper() + "i"
            return f"{value:.{digits}f}{name}"
    return f"{number:.0e}"
