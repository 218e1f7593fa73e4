"""`pynetstrat egress`: let containers of a subnet reach beyond their host, and show who does."""

from __future__ import annotations

import json

from ..wiring.egress import disable_egress, enable_egress, read_egress, shown_port
from ._exit import EXIT_STATUS
from ._options import add_host, add_json
from ._text import ljust, printable, width

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from .._native.nft import Element

# The summary of each action, and the rest of its help.
_ACTIONS = {
    "enable": (
        "masquerade what leaves the host from a subnet",
        f"""\
The host must forward: the error of a host that does not names the setting. A
second call changes nothing.

example:
  pynetstrat egress enable 10.0.0.0/24

{EXIT_STATUS}""",
    ),
    "disable": (
        "reverse enable",
        f"""\
A second call changes nothing. Connections that exist go on until they end.

example:
  pynetstrat egress disable 10.0.0.0/24

{EXIT_STATUS}""",
    ),
    "show": (
        "list masqueraded subnets and addresses, and published ports",
        f"""\
Each line is a subnet, a single address with its owner, or a published port
with the container's address and port and the owner. "nft list table inet
pynetstrat" shows the rules as well.

{EXIT_STATUS}""",
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog = f'"pynetstrat egress ACTION --help" describes an action.\n\n{EXIT_STATUS}'
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (summary, text) in _ACTIONS.items():
        action = actions.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=text,
            formatter_class=parser.formatter_class,
        )
        if name == "show":
            add_json(action)
        else:
            action.add_argument("subnet", metavar="SUBNET", help="in CIDR: 10.0.0.0/24, fd00::/64")
        add_host(action)


def run(options: argparse.Namespace) -> str:
    """Runs the action; `show` returns what there is."""
    if options.action == "enable":
        enable_egress(options.subnet, host=options.host)
        return ""
    if options.action == "disable":
        disable_egress(options.subnet, host=options.host)
        return ""
    found = read_egress(options.host)
    return json.dumps(_to_json(found)) + "\n" if options.json else _table(found)


def _to_json(found: dict[str, list[Element]]) -> dict[str, object]:
    return {
        "subnets": [one.address for one in found["subnets"]],
        "hosts": [{"address": _bare(one.address), "owner": one.owner} for one in found["hosts"]],
        "ports": [
            {
                "published": shown_port(one),
                "container": _bare(one.target),
                "port": one.target_port,
                "owner": one.owner,
            }
            for one in found["ports"]
        ],
    }


def _bare(address: str) -> str:
    return address.partition("/")[0]


def _table(found: dict[str, list[Element]]) -> str:
    rows = [[printable(cell) for cell in row] for row in _rows(found)]
    columns = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return "".join("  ".join(map(ljust, row, columns)).rstrip() + "\n" for row in rows)


def _rows(found: dict[str, list[Element]]) -> Iterator[tuple[str, str, str, str]]:
    for one in found["subnets"]:
        yield "subnet", one.address, "", ""
    for one in found["hosts"]:
        yield "address", _bare(one.address), "", one.owner
    for one in found["ports"]:
        target = _bare(one.target)
        target = f"[{target}]" if ":" in target else target
        yield "port", shown_port(one), f"{target}:{one.target_port}", one.owner
