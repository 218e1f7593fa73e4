"""Arguments of commands that start without argparse, which takes 9 ms to load.

Such a command declares its arguments in a table ARGUMENTS, which maps the name of each to the
keyword arguments of `ArgumentParser.add_argument`: `action` ("store", "append" or "store_true"),
`choices`, `default`, `help`, `metavar` and `type`. A `type` raises ValueError whose text is a
complete reason. `read` handles valid arguments. `--help`, abbreviations and errors are left to
argparse (`_parser`), so that only one module writes texts.
"""

from __future__ import annotations

from types import SimpleNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Arguments = Mapping[str, Mapping[str, Any]]


def read(table: Arguments, words: Sequence[str]) -> SimpleNamespace | None:
    """Returns the values of arguments, as argparse would, or None if argparse is needed."""
    values: dict[str, Any] = {}
    positional = [name for name in table if not name.startswith("-")]
    following = iter(words)
    for word in following:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            if not positional:
                return None
            name, value = positional.pop(0), word
        elif name not in table:
            return None
        settings, key = table[name], _key(name)
        action = settings.get("action", "store")
        if action == "store_true":
            if equals:
                return None
            values[key] = True
            continue
        if name.startswith("-") and not equals:
            value = next(following, "-")
        if not value or value.startswith("-"):
            return None
        try:
            converted = settings.get("type", str)(value)
        except ValueError:
            return None
        if converted not in settings.get("choices", (converted,)):
            return None
        if action == "append":
            values.setdefault(key, []).append(converted)
        else:
            values[key] = converted
    if positional:
        return None
    for name, settings in table.items():
        default = False if settings.get("action") == "store_true" else None
        values.setdefault(_key(name), settings.get("default", default))
    return SimpleNamespace(**values)


def _key(name: str) -> str:
    """The attribute of an argument."""
    return name.lstrip("-").replace("-", "_")
