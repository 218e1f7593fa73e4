"""Options that several commands have."""

from __future__ import annotations

from errno import ENOENT
from pathlib import Path

from ..errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_namespace(
    parser: argparse.ArgumentParser, *, required: bool = False
) -> argparse._MutuallyExclusiveGroup:
    """Adds `--netns` and `--pid`, of which at most one is given, or exactly one: their group."""
    where = parser.add_mutually_exclusive_group(required=required)
    where.add_argument(
        "--netns",
        metavar="NAME|PATH",
        help="the network namespace: a name in /run/netns, or a path (with a slash)",
    )
    where.add_argument("--pid", type=int, metavar="PID", help="the network namespace of a process")
    return where


def namespace(options: argparse.Namespace) -> str | None:
    """The namespace that `--netns` or `--pid` names, as `netns=` takes it; None: the caller's.

    Raises:
        KernelError: there is no process of that id.
    """
    if options.pid is None:
        netns: str | None = options.netns
        return netns
    path = f"/proc/{options.pid}/ns/net"
    if not Path(f"/proc/{options.pid}").exists():
        hint = f"/proc shows no process {options.pid}"
        raise KernelError(ENOENT, "open netns", hint=hint, filename=path)
    return path
