"""A hash of text that is the same in every process, unlike hash()."""

from __future__ import annotations

# The last results. A call on networks hashes the same owner and name several times.
_known: dict[bytes, int] = {}
_MOST_KNOWN = 64


def stable_hash(text: bytes) -> int:
    """Returns the 64-bit FNV-1a hash."""
    known = _known.get(text)
    if known is not None:
        return known
    value = 0xCBF29CE484222325
    for byte in text:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[text] = value
    return value
