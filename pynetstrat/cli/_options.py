"""Options that several commands share."""

from __future__ import annotations

import argparse
import math
import re
from errno import ENOENT
from pathlib import Path

from ..errors import KernelError, quote
from ._exit import UsageError


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
        type=filled,
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
        "--host",
        type=filled,
        metavar="NAME|PATH",
        help="the host namespace; default: that of the caller",
    )


def add_container_pattern(parser: argparse.ArgumentParser) -> None:
    """Adds `--container`, whose value `pattern` compiles."""
    parser.add_argument(
        "--container",
        metavar="PATTERN",
        help="show only containers whose id, owner or name matches, a regular expression",
    )


def pattern(option: str, text: str | None) -> re.Pattern[str] | None:
    """Compiles the value of an option, a regular expression; None if it was not given.

    Raises:
        UsageError: the text is no regular expression.
    """
    try:
        return None if text is None else re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        reason = f"must be a regular expression, not {quote(text or '')}: {error}"
        raise UsageError(f"{option} {reason}") from error


def filled(text: str) -> str:
    """Returns a text that is not empty, the type of an argument: a shell variable may be unset."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def seconds(text: str) -> float:
    """Parses a number of seconds, the type of an argument."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds > 0, not {text!r}")
    return number


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
