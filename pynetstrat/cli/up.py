"""`pynetstrat up`: bring an interface up."""

from __future__ import annotations

import json

from .. import RtnetlinkSocket
from ._exit import EXIT_STATUS
from ._options import add_json, add_namespace, namespace
from ._text import json_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_HELP = f"""\
Prints nothing unless --json is given. An interface that is up already is left
as it is. Changing an interface requires CAP_NET_ADMIN.

examples:
  pynetstrat up                      lo, in the caller's network namespace
  pynetstrat up --netns blue         lo, in /run/netns/blue
  pynetstrat up eth0 --pid 4711      eth0, in the namespace of process 4711

{EXIT_STATUS}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog = _HELP
    parser.add_argument(
        "interface", nargs="?", default="lo", metavar="IFACE", help="the interface (default: lo)"
    )
    add_namespace(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> str:
    """Brings the interface up; reports it only with --json."""
    with RtnetlinkSocket(namespace(options)) as rtnetlink:
        rtnetlink.link_set_up(options.interface)
    if not options.json:
        return ""
    return json.dumps({**json_fields("interface", options.interface), "up": True}) + "\n"
