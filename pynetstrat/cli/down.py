"""`pynetstrat down`: take an interface down."""

from __future__ import annotations

import json

from .. import RtnetlinkSocket
from .options import add_json, add_namespace, namespace
from .text import json_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("interface", metavar="IFACE")
    add_namespace(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> str:
    """Takes the interface down; reports it in JSON only."""
    with RtnetlinkSocket(namespace(options)) as rtnetlink:
        rtnetlink.link_set_down(options.interface)
    if not options.json:
        return ""
    return json.dumps({**json_fields("interface", options.interface), "up": False}) + "\n"
