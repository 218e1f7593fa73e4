"""`pynetstrat strategies`: list the network types, those of installed packages included."""

from __future__ import annotations

import json

from ..wiring.plugins import sources
from ._exit import EXIT_STATUS
from ._options import add_json
from ._text import ljust, printable, width

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_HELP = f"""\
Each line is a type, as in the field "type" of a network, and the MODULE:NAME
of its strategy. Installed packages can add types. The command loads none of
the strategies.

{EXIT_STATUS}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog = _HELP
    add_json(parser)


def run(options: argparse.Namespace) -> str:
    """Returns each type with the place of its strategy; loads none of them."""
    found = sources()
    if options.json:
        return json.dumps(found) + "\n"
    rows = [(printable(type), printable(source)) for type, source in sorted(found.items())]
    columns = max(width(type) for type, _ in rows)
    return "".join(f"{ljust(type, columns)}  {source}\n" for type, source in rows)
