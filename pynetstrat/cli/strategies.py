"""`pynetstrat strategies`: list the strategies, those of installed packages included."""

from __future__ import annotations

import json

from ..wiring.plugins import sources
from .options import add_json
from .text import ljust, printable, width

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_json(parser)


def run(options: argparse.Namespace) -> str:
    """Each type with where its strategy comes from, as `MODULE:NAME`; none of them is loaded."""
    found = sources()
    if options.json:
        return json.dumps(found) + "\n"
    rows = [(printable(type), printable(source)) for type, source in sorted(found.items())]
    columns = max(width(type) for type, _ in rows)
    return "".join(f"{ljust(type, columns)}  {source}\n" for type, source in rows)
