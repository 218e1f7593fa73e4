"""`pynetstrat stats`: show the counters of interfaces, or their rates."""

from __future__ import annotations

import argparse
import json
import math
import sys
from contextlib import closing
from dataclasses import astuple
from itertools import islice

from .. import RtnetlinkSocket
from . import watch
from .exit import EndError
from .options import add_json, add_namespace, namespace
from .readings import Row, read_containers, read_interfaces
from .table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_HELP = """\
With --watch the first sample shows "-" for the rates; each later one shows what was
counted since the one before, by the second. "-" also stands for an interface that is
new, was made again or renamed, or whose counters began again. One that is named has
to be there at first; whenever it is not there afterwards it is shown with "-". A
sample that can't be taken in time is left out. The end of the namespace is an error.

With --watch --json each sample is a line: the rates are in "per_second" (null: not
known), "interval" is the time since the sample before (null: there was none), "time"
that since 1970-01-01 UTC, both in seconds.

With --containers whatever takes more privileges to count is left out, after a warning."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("interfaces", nargs="*", metavar="IFACE", help="default: every interface")
    parser.add_argument(
        "--perspective",
        choices=["host", "container"],
        help="whose rx and tx: as the kernel counts (host, the default), or as seen from the "
        "other end of a veth pair (container, the default with --containers)",
    )
    parser.add_argument(
        "--watch",
        type=_seconds,
        metavar="SECONDS",
        help="show rates, a sample every so many seconds",
    )
    parser.add_argument(
        "--count",
        type=_samples,
        metavar="N",
        help="with --watch: end after N samples, the first included",
    )
    where = add_namespace(parser)
    where.add_argument(
        "--containers",
        action="store_true",
        help="the interfaces of every container of this host, but for lo",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> str | Iterator[str]:
    """The counters, or one sample of their rates after the other, as a table or in JSON."""
    if options.containers and options.interfaces:
        raise EndError("--containers shows every interface: none can be named", 2)
    if options.count and not options.watch:
        raise EndError("--count needs --watch", 2)
    if options.perspective is None:
        options.perspective = "container" if options.containers else "host"
    headings = ["container", "interface"] if options.containers else ["interface"]
    if options.watch:
        return _watch(options, headings)
    rows = _read(options)
    if not options.json:
        return Table(headings).render((row.labels, row.counters) for row in rows)
    interfaces = [row.fields() | watch.by_name(row.counters) for row in rows if row.counters]
    return json.dumps({"perspective": options.perspective, "interfaces": interfaces}) + "\n"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")
    return seconds


def _samples(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= sys.maxsize:
        raise argparse.ArgumentTypeError(f"must be a number of samples from 1, not {text!r}")
    return count


def _watch(options: argparse.Namespace, headings: list[str]) -> Iterator[str]:
    read = read_containers if options.containers else read_interfaces
    with closing(read(options)) as readings:
        samples = islice(watch.take(readings, options.watch), options.count)
        if options.json:
            yield from watch.to_json(samples, options.perspective)
        elif len(options.interfaces) == 1:
            yield from watch.to_lines(samples, headings)
        else:
            yield from watch.to_tables(samples, headings)


def _read(options: argparse.Namespace) -> list[Row]:
    if options.containers:
        with closing(read_containers(options)) as readings:
            return next(readings)
    perspective = options.perspective
    with RtnetlinkSocket(namespace(options)) as rtnetlink:
        if options.interfaces:
            found = [rtnetlink.get_stats(n, perspective=perspective) for n in options.interfaces]
        else:
            found = list(rtnetlink.dump_stats(perspective=perspective).values())
    return [Row(interface.name, None, astuple(interface)[1:]) for interface in found]
