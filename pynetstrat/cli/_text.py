"""Interface names as text. A name is bytes: any except NUL, `/`, `:` and white space."""

from __future__ import annotations

import os
import unicodedata

from ..errors import escape


def printable(name: str) -> str:
    """Returns a name for a terminal. Different names stay different."""
    return escape(name.replace("\\", "\\\\"))


def width(text: str) -> int:
    """Returns how many columns printable text takes on a terminal, as wcwidth(3) does."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0  # a combining mark, drawn onto the character before it
    if "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff":
        return 0  # a Hangul vowel or final, drawn into the syllable before it
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def ljust(text: str, columns: int) -> str:
    """Pads printable text with spaces to a number of terminal columns."""
    return text + " " * (columns - width(text))


def json_fields(key: str, name: str) -> dict[str, str]:
    """Returns a name for JSON: its text under `key`, and if necessary its bytes under `key_hex`.

    Bytes that are not valid UTF-8 become backslash escapes in the text, and `key_hex` is added.
    JSON is UTF-8, and parsers refuse the lone surrogates that Python uses for such bytes.
    """
    raw = os.fsencode(name)
    text = raw.decode("utf-8", "backslashreplace")
    return {key: text} if text.encode() == raw else {key: text, f"{key}_hex": raw.hex()}
