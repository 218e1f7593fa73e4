"""A hash of text that is the same in every process, unlike hash()."""

from __future__ import annotations

from .._native.values import Recent

_known = Recent()


def stable_hash(text: bytes) -> int:
    """Returns the 64-bit FNV-1a hash."""
    known: int | None = _known.get(text)
    if known is not None:
        return known
    value = 0xCBF29CE484222325
    for byte in text:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    _known.keep(text, value)
    return value
