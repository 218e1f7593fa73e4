"""Values of a JSON object, with a check of their types."""

from __future__ import annotations

import json

from ._error import INVALID_CONFIGURATION, CniError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAMES = {
    str: "text",
    bool: "true or false",
    int: "an integer >= 0",
    dict: "an object",
    list: "a list",
}


def decode(text: bytes) -> Any:
    """Decodes JSON. Values are passed on, so that they must be JSON again.

    Raises:
        ValueError: it is invalid, or has a number that JSON does not allow or a float cannot hold.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, parse_constant=_number, parse_float=_number)


def _number(text: str) -> float:
    number = float(text)
    if number - number != 0:  # infinite, or not a number
        raise ValueError(f"{text} is not a number of JSON")
    return number


def get(
    mapping: dict[str, Any],
    key: str,
    kind: type,
    where: str = "",
    code: int = INVALID_CONFIGURATION,
) -> Any:
    """Returns a value, or the empty one of its type if it is missing or null.

    Parameters:
        kind: str, bool, int (not negative), dict or list.
        where: what contains the key, for the error.
        code: of the error.

    Raises:
        CniError: the value has another type.
    """
    value: Any = mapping.get(key)
    if value is None:
        return kind()
    is_negative = kind is int and type(value) is int and value < 0
    if type(value) is not kind or is_negative:
        raise CniError(code, f"{where}{key} must be {_NAMES[kind]}, not {excerpt(value)}")
    return value


def get_objects(
    mapping: dict[str, Any], key: str, where: str = "", code: int = INVALID_CONFIGURATION
) -> list[dict[str, Any]]:
    """Returns a list of objects; an empty one if it is missing or null."""
    found: list[dict[str, Any]] = get(mapping, key, list, where, code)
    for item in found:
        if type(item) is not dict:
            raise CniError(code, f"{where}{key} must be a list of objects, not of {excerpt(item)}")
    return found


def get_texts(mapping: dict[str, Any], key: str, where: str = "") -> list[str]:
    """Returns a list of texts; an empty one if it is missing or null."""
    found: list[str] = get(mapping, key, list, where)
    for item in found:
        if type(item) is not str:
            code = INVALID_CONFIGURATION
            raise CniError(code, f"{where}{key} must be a list of texts, not of {excerpt(item)}")
    return found


def excerpt(value: object) -> str:
    """Returns the beginning of a value, for an error."""
    shown = ascii(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."
