"""`pynetstrat network`: set up, tear down or check the networks of a JSON file."""

from __future__ import annotations

import sys
from pathlib import Path

from .. import check_networks, tear_down_networks
from ..wiring.setup import set_up
from ._exit import EXIT_STATUS, EndError
from ._network_json import networks_from_json, networks_to_json
from ._options import add_host, add_namespace, filled, namespace
from ._output import OutputError, read_standard_input, write
from ._text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..wiring.network import Network

# The summary of each action, and the rest of its help.
_ACTIONS = {
    "set-up": (
        "set up all networks; on error, undo everything",
        f"""\
Prints the networks with generated names filled in. Pass the output to
tear-down.

example:
  pynetstrat network set-up networks.json --netns blue > made.json

{EXIT_STATUS}""",
    ),
    "tear-down": (
        "tear networks down; networks that are gone already are no error",
        f"""\
The network namespace may have ended already. Without --netns and --pid only
the host side is torn down. Errors do not stop the command; it reports them
together.

example:
  pynetstrat network tear-down made.json --netns blue

{EXIT_STATUS}""",
    ),
    "check": (
        "print how networks differ from what the file says",
        """\
Prints one difference per line, or nothing.

example:
  pynetstrat network check made.json --netns blue

exit status: 0 no difference, 1 differences or failure, 2 wrong usage""",
    ),
}

_HELP = f"""\
"pynetstrat network ACTION --help" describes an action. FILE is a JSON list of
networks, such as

  [{{"type": "loopback"}},
   {{"type": "veth", "name": "eth0", "bridge": "br0", "address": "10.0.0.2/24",
    "gateway": "10.0.0.1", "owner": "web"}}]

{EXIT_STATUS}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog = _HELP
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (summary, text) in _ACTIONS.items():
        action = actions.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=text,
            formatter_class=parser.formatter_class,
        )
        action.add_argument(
            "file",
            type=filled,
            metavar="FILE",
            help='a JSON list of networks; "-" reads standard input',
        )
        add_namespace(action, required=name != "tear-down")
        add_host(action)


def run(options: argparse.Namespace) -> str:
    """Runs the action."""
    networks = _read(options.file)
    if options.action == "tear-down":
        # Not `namespace`, which fails if the process has ended.
        pid = options.pid
        where = options.netns if pid is None else f"/proc/{pid}/ns/net"
        tear_down_networks(networks, netns=where, host=options.host)
        return ""
    netns = namespace(options)
    assert netns is not None  # the parser requires it
    if options.action == "set-up":
        _set_up(networks, netns, options.host)
        return ""
    differences = check_networks(networks, netns=netns, host=options.host)
    if differences:
        raise EndError("", 1, "".join(f"{printable(line)}\n" for line in differences))
    return ""


def _set_up(networks: list[Network], netns: str, host: str | None) -> None:
    """Sets networks up and prints them; undoes everything if they cannot be printed.

    tear-down may need the generated names and device records that are printed.
    """
    if sys.stdout is None:
        raise EndError("standard output is closed; set-up must be able to print the networks")

    def print_networks(made: list[Network]) -> None:
        write(networks_to_json(made) + "\n")

    try:
        set_up(networks, netns, print_networks, host=host)
    except OutputError as error:
        notes = getattr(error, "__notes__", ())
        reason = "; ".join([str(error), *(notes or ["all networks were torn down again"])])
        raise EndError(reason, error.status) from None


def _read(file: str) -> list[Network]:
    try:
        text = read_standard_input() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise EndError(f"{file}: {error.strerror}") from None
    return networks_from_json(text, "standard input" if file == "-" else file)
