"""Options that several commands share."""

from __future__ import annotations

import argparse
from errno import ENOENT
from pathlib import Path

from ..errors import KernelError


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_namespace(
    parser: argparse.ArgumentParser, *, required: bool = False
) -> argparse._MutuallyExclusiveGroup:
    """Adds `--netns` and `--pid`, which exclude each other, and returns their group.

    Parameters:
        required: whether one of them must be given. Otherwise the default is the caller's
            namespace.
    """
    where = parser.add_mutually_exclusive_group(required=required)
    where.add_argument(
        "--netns",
        metavar="NAME|PATH",
        help="the network namespace: a name in /run/netns, or a path that contains a slash",
    )
    where.add_argument(
        "--pid", type=_process_id, metavar="PID", help="the network namespace of this process"
    )
    return where


def add_host(parser: argparse.ArgumentParser) -> None:
    """Adds `--host`."""
    parser.add_argument(
        "--host", metavar="NAME|PATH", help="the host namespace; default: that of the caller"
    )


def _process_id(text: str) -> int:
    try:
        pid = int(text)
    except ValueError:
        pid = 0
    if pid < 1:
        raise argparse.ArgumentTypeError(f"must be a process id >= 1, not {text!r}")
    return pid


def namespace(options: argparse.Namespace) -> str | None:
    """Returns what `--netns` or `--pid` names, as a `netns=` argument; None is the caller's.

    Raises:
        KernelError: no process has the id.
    """
    if options.pid is None:
        netns: str | None = options.netns
        return netns
    path = f"/proc/{options.pid}/ns/net"
    if not Path(f"/proc/{options.pid}").exists():
        hint = f"/proc shows no process {options.pid}"
        raise KernelError(ENOENT, "open netns", hint=hint, filename=path)
    return path
