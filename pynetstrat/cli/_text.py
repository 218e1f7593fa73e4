"""Interface names as text. A name is bytes: any except NUL, `/`, `:` and white space."""

from __future__ import annotations

import os
import re
import unicodedata

from ..errors import escape

_CUT = ".."  # ASCII: a terminal of any encoding shows it
_ID = re.compile("[0-9a-f]{64}")  # of a container of Docker, containerd, CRI-O or Podman
_SHORT_ID = 12  # the digits that docker and podman show


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


def shorten(text: str, columns: int) -> str:
    """Cuts printable text that takes more columns of a terminal.

    Of an id the first digits remain, which runtimes accept in place of the id. Of other text the
    beginning and the end remain: names that belong together often differ only at their ends.
    """
    if width(text) <= columns:
        return text
    if _ID.fullmatch(text):
        return text[: min(columns, _SHORT_ID)]
    room = columns - len(_CUT)
    if room < 4:
        return fitting(text, columns)
    end = fitting(text[::-1], room // 2)[::-1]
    return fitting(text, room - width(end)) + _CUT + end


def fitting(text: str, columns: int) -> str:
    """Returns the beginning of a text that takes at most so many columns."""
    for at, character in enumerate(text):
        columns -= width(character)
        if columns < 0:
            return text[:at]
    return text


def json_fields(key: str, name: str) -> dict[str, str]:
    """Returns a name for JSON: its text under `key`, and if necessary its bytes under `key_hex`.

    Bytes that are not valid UTF-8 become backslash escapes in the text, and `key_hex` is added.
    JSON is UTF-8, and parsers refuse the lone surrogates that Python uses for such bytes.
    """
    raw = os.fsencode(name)
    text = raw.decode("utf-8", "backslashreplace")
    return {key: text} if text.encode() == raw else {key: text, f"{key}_hex": raw.hex()}
