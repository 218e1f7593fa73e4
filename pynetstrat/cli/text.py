"""Names of interfaces as text. They are bytes: any but NUL, `/`, `:` and white space."""

from __future__ import annotations

import os
import unicodedata

from ..errors import escape


def printable(name: str) -> str:
    """`name` for a terminal. Different names never come out alike."""
    return escape(name.replace("\\", "\\\\"))


def width(text: str) -> int:
    """The columns of a terminal that printable text takes, by the rules of wcwidth(3)."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0  # it is drawn onto the character before it
    if "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff":
        return 0  # a Hangul vowel or final, which is drawn into the syllable before it
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def ljust(text: str, columns: int) -> str:
    """Printable text with spaces after it, so that it takes so many columns of a terminal."""
    return text + " " * (columns - width(text))


def json_fields(key: str, name: str) -> dict[str, str]:
    """`name` for JSON: the text under `key`, and where they differ its bytes under `key_hex`.

    Bytes that are not valid UTF-8 become backslash escapes in the text: JSON is UTF-8, and parsers
    refuse the lone surrogates by which Python stands for such bytes.
    """
    raw = os.fsencode(name)
    text = raw.decode("utf-8", "backslashreplace")
    return {key: text} if text.encode() == raw else {key: text, f"{key}_hex": raw.hex()}
