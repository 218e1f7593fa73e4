"""Checks of arguments before they go into C structures: each error names the field.

`Recent` keeps the last results of checks that take long.
"""

from __future__ import annotations

from ..errors import InvalidNetworkError

INT_MAX, UINT_MAX = 0x7FFFFFFF, 0xFFFFFFFF  # of int32_t and uint32_t

_MOST = 64


class Recent(dict):  # type: ignore[type-arg]
    """The results of recent checks and computations, by their arguments.

    A call on networks checks the same names and addresses several times, and most containers of a
    host have the same gateway, bridge and name of the interface.
    """

    __slots__ = ()

    def keep(self, key: object, result: object) -> None:
        """Keeps a result. The memory is bounded: a full collection is emptied first."""
        if len(self) >= _MOST:
            self.clear()
        self[key] = result


def check_integer(field: str, value: object, least: int = 0, most: int = UINT_MAX) -> None:
    """Raises InvalidNetworkError unless `value` is an integer in this range. A bool is not one."""
    if type(value) is int and least <= value <= most:  # the usual case first: each setting is here
        return
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        reason = f"must be an integer from {least} to {most}"
        raise InvalidNetworkError(field, value, reason)


def check_bool(field: str, value: object) -> None:
    """Raises InvalidNetworkError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise InvalidNetworkError(field, value, "must be true or false")


def encode_text(field: str, value: object, most: int | None = None) -> bytes:
    """Encodes text as UTF-8 in any locale; surrogate escapes become the bytes they stand for.

    Parameters:
        most: the largest number of bytes; None: no limit.

    Raises:
        InvalidNetworkError: `value` is not a str, is too long, or contains NUL or a lone surrogate.
    """
    if not isinstance(value, str):
        raise InvalidNetworkError(field, value, "must be text")
    try:
        encoded = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidNetworkError(field, value, "must not contain a lone surrogate") from None
    if 0 in encoded:
        raise InvalidNetworkError(field, value, "must not contain NUL")
    if most is not None and len(encoded) > most:
        raise InvalidNetworkError(field, value, f"must be at most {most} bytes long")
    return encoded
