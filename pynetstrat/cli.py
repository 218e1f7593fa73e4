"""The command line: `pynetstrat`, and `python -m pynetstrat`."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import signal
import sys

from . import __version__
from .errors import NetstratError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rtnetlink import RtnetlinkSocket

_EXAMPLES = """\
examples:
  pynetstrat up                              bring lo up in this network namespace
  pynetstrat up --netns blue                 ... in the namespace /run/netns/blue
  pynetstrat up eth0 --pid 4711              ... eth0, in the namespace of process 4711
  pynetstrat stats                           the counters of every interface
  pynetstrat stats eth0 --perspective container --json
  pynetstrat demo                            see it work, in a namespace of its own

exit status: 0 done, 1 failed (one line on standard error says why), 2 wrong usage
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pynetstrat",
        description="Bring network interfaces up by rtnetlink, and read their counters.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pynetstrat {__version__}")

    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("--json", action="store_true", help="print JSON")
    place = argparse.ArgumentParser(add_help=False)
    where = place.add_mutually_exclusive_group()
    where.add_argument(
        "--netns",
        metavar="NAME|PATH",
        help="the network namespace: a name in /run/netns, or a path (with a slash)",
    )
    where.add_argument("--pid", type=int, metavar="PID", help="the network namespace of a process")

    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", parents=[place, output], help="bring an interface up")
    up.add_argument("interface", nargs="?", default="lo", metavar="IFACE", help="default: lo")
    up.set_defaults(run=_up)

    down = commands.add_parser("down", parents=[place, output], help="take an interface down")
    down.add_argument("interface", metavar="IFACE")
    down.set_defaults(run=_down)

    stats = commands.add_parser("stats", parents=[place, output], help="show counters")
    stats.add_argument("interfaces", nargs="*", metavar="IFACE", help="default: every interface")
    stats.add_argument(
        "--perspective",
        choices=["host", "container"],
        default="host",
        help="whose rx and tx: as the kernel counts (host, the default), or as seen from the "
        "other end of a veth pair",
    )
    stats.set_defaults(run=_stats)

    listing = commands.add_parser(
        "strategies", parents=[output], help="list the strategies, plug-ins included"
    )
    listing.set_defaults(run=_strategies)

    demo = commands.add_parser(
        "demo", parents=[output], help="bring lo up in a fresh namespace and show its counters"
    )
    demo.set_defaults(run=_demo)
    return parser


def _open(options: argparse.Namespace) -> RtnetlinkSocket:
    from .rtnetlink import RtnetlinkSocket

    netns: str | None = options.netns
    if options.pid is not None:
        netns = f"/proc/{options.pid}/ns/net"
    elif netns is not None and "/" not in netns:
        netns = f"/run/netns/{netns}"
    return RtnetlinkSocket(netns)


def _set(options: argparse.Namespace, up: bool) -> None:
    with _open(options) as rtnetlink:
        (rtnetlink.link_set_up if up else rtnetlink.link_set_down)(options.interface)
    if options.json:
        print(json.dumps({"interface": options.interface, "up": up}))


def _up(options: argparse.Namespace) -> None:
    _set(options, True)


def _down(options: argparse.Namespace) -> None:
    _set(options, False)


def _stats(options: argparse.Namespace) -> None:
    with _open(options) as rtnetlink:
        if options.interfaces:
            interfaces = [
                rtnetlink.get_stats(name, perspective=options.perspective)
                for name in options.interfaces
            ]
        else:
            interfaces = list(rtnetlink.dump_stats(perspective=options.perspective).values())
    if options.json:
        rows = [dataclasses.asdict(interface) for interface in interfaces]
        print(json.dumps({"perspective": options.perspective, "interfaces": rows}))
    else:
        from . import table

        print(table.render((interface.name, interface) for interface in interfaces))


def _strategies(options: argparse.Namespace) -> None:
    from importlib.metadata import entry_points

    from .strategies import ENTRY_POINT_GROUP, strategies

    found = {
        name: type(s).__module__ + ":" + type(s).__qualname__ for name, s in strategies().items()
    }
    for point in entry_points(group=ENTRY_POINT_GROUP):
        found.setdefault(point.name, point.value)
    if options.json:
        print(json.dumps(found))
    else:
        width = max(map(len, found))
        for name, source in sorted(found.items()):
            print(f"{name.ljust(width)}  {source}")


def _demo(options: argparse.Namespace) -> None:
    from . import demo

    demo.run(as_json=options.json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status. `arguments`: those of the process by default."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names are bytes, and may fit no encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options.run(options)
        if sys.stdout is not None:  # None: it was closed before we began
            sys.stdout.flush()
    except NetstratError as error:
        print(f"pynetstrat: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # of standard output
        # What is buffered must not fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader has had enough
            return 128 + signal.SIGPIPE
        print(f"pynetstrat: standard output: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0
