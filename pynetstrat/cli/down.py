"""`pynetstrat down`: take an interface down."""

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
Prints nothing unless --json is given. Changing an interface requires
CAP_NET_ADMIN.

example:
  pynetstrat down eth0 --netns blue

{EXIT_STATUS}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog = _HELP
    parser.add_argument("interface", metavar="IFACE", help="the interface")
    add_namespace(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> str:
    """Takes the interface down; reports it only with --json."""
    with RtnetlinkSocket(namespace(options)) as rtnetlink:
        rtnetlink.link_set_down(options.interface)
    if not options.json:
        return ""
    return json.dumps({**json_fields("interface", options.interface), "up": False}) + "\n"
