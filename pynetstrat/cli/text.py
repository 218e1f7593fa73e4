"""Names of interfaces as text. They are bytes: any but NUL, `/`, `:` and white space."""

from __future__ import annotations

import os

from ..errors import escape


def printable(name: str) -> str:
    """`name` for a terminal. Different names never come out alike."""
    return escape(name.replace("\\", "\\\\"))


def json_fields(key: str, name: str) -> dict[str, str]:
    """`name` for JSON: the text under `key`, and where they differ its bytes under `key_hex`.

    Bytes that are not valid UTF-8 become backslash escapes in the text: JSON is UTF-8, and parsers
    refuse the lone surrogates by which Python stands for such bytes.
    """
    raw = os.fsencode(name)
    text = raw.decode("utf-8", "backslashreplace")
    return {key: text} if text.encode() == raw else {key: text, f"{key}_hex": raw.hex()}
