"""`pynetstrat stats`: show the counters of interfaces."""

from __future__ import annotations

import dataclasses
import json

from .. import RtnetlinkSocket
from . import table
from .options import add_json, add_namespace, namespace
from .text import json_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .. import NetworkInterface


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("interfaces", nargs="*", metavar="IFACE", help="default: every interface")
    parser.add_argument(
        "--perspective",
        choices=["host", "container"],
        default="host",
        help="whose rx and tx: as the kernel counts (host, the default), or as seen from the "
        "other end of a veth pair",
    )
    add_namespace(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> str:
    """The counters, as a table or in JSON."""
    interfaces = _read(options)
    if not options.json:
        return table.render((interface.name, interface) for interface in interfaces)
    rows = [
        dataclasses.asdict(interface) | json_fields("name", interface.name)
        for interface in interfaces
    ]
    return json.dumps({"perspective": options.perspective, "interfaces": rows}) + "\n"


def _read(options: argparse.Namespace) -> list[NetworkInterface]:
    with RtnetlinkSocket(namespace(options)) as rtnetlink:
        if not options.interfaces:
            return list(rtnetlink.dump_stats(perspective=options.perspective).values())
        return [
            rtnetlink.get_stats(name, perspective=options.perspective)
            for name in options.interfaces
        ]
