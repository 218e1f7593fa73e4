"""`pynetstrat network`: the networks of a container set up, torn down, checked, by a JSON file."""

from __future__ import annotations

import sys
from pathlib import Path

from .. import check_networks, tear_down_networks
from ..wiring.setup import set_up
from .configuration import networks_from_json, networks_to_json, read_standard_input
from .exit import EndError
from .options import add_namespace, namespace
from .output import OutputError, write
from .text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..wiring.network import Network

_SUMMARIES = {
    "set-up": "set networks up, all or nothing, and print them as they were made",
    "tear-down": "tear networks down; twice does no harm",
    "check": "print what differs from what was asked for; status 1 if anything does",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, summary in _SUMMARIES.items():
        action = actions.add_parser(name, help=summary, description=summary)
        action.add_argument(
            "file", metavar="FILE", help='a JSON list of networks; "-": standard input'
        )
        add_namespace(action, required=name != "tear-down")


def run(options: argparse.Namespace) -> str:
    """Does one of the three."""
    networks = _read(options.file)
    if options.action == "tear-down":
        # The process, and the namespace with it, may be gone.
        pid = options.pid
        where = options.netns if pid is None else f"/proc/{pid}/ns/net"
        tear_down_networks(networks, netns=where)
        return ""
    netns = namespace(options)
    assert netns is not None  # it is required
    if options.action == "set-up":
        _set_up(networks, netns)
        return ""
    differences = check_networks(networks, netns=netns)
    if differences:
        raise EndError("", 1, "".join(f"{printable(line)}\n" for line in differences))
    return ""


def _set_up(networks: list[Network], netns: str) -> None:
    """Sets networks up and prints them; undoes all of it if they can't be printed.

    The output holds the generated names and device records, which tear-down may need.
    """
    if sys.stdout is None:
        raise EndError("standard output is closed, but set-up has to print the networks")

    def print_networks(made: list[Network]) -> None:
        write(networks_to_json(made) + "\n")

    try:
        set_up(networks, netns, print_networks)
    except OutputError as error:
        notes = getattr(error, "__notes__", ())
        reason = "; ".join([str(error), *(notes or ["the networks were undone"])])
        raise EndError(reason, error.status) from None


def _read(file: str) -> list[Network]:
    return networks_from_json(read_standard_input() if file == "-" else Path(file).read_bytes())
