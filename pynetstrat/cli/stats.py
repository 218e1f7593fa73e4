"""`pynetstrat stats`: show the counters of interfaces, or their rates."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from dataclasses import astuple, replace
from itertools import islice

from .. import RtnetlinkSocket
from . import _stats_rates
from ._exit import EXIT_STATUS, UsageError
from ._options import (
    add_container_pattern,
    add_json,
    add_namespace,
    namespace,
    pattern,
    seconds,
)
from ._stats_readings import Reading, Row, read_containers, read_interfaces
from ._table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_HELP = f"""\
examples:
  pynetstrat stats                             all interfaces
  pynetstrat stats eth0 --netns blue --json    one interface of /run/netns/blue
  pynetstrat stats eth0 --watch 1              its rates, each second
  pynetstrat stats --containers --watch 5 --count 12
  pynetstrat stats --containers --container '^web' --sort dropped --human

A table fits the terminal, or 80 columns: long labels are cut ("..") and, if
that is not enough, numbers are short (1.23M). "err" and "drop" are the sums of
both directions. --wide shows all eight counters and whole labels.

With --watch the command runs until Ctrl-C, or for N samples with --count N.
Every IFACE must exist at the start; one that disappears later is shown with
"-". The command fails when the namespace ends.

The first sample has no rates and shows "-". Each later sample shows the
increase per second since the sample before. "-" also marks an interface that
is new, was recreated or renamed, or whose counters were reset. A sample that
cannot be taken in time is skipped.

With --watch --json each sample is a line. "per_second" has the rates (null:
unknown), "interval" the seconds since the sample before (null: the first), and
"time" the seconds since 1970-01-01 UTC.

With --containers, containers that cannot be read are skipped with a warning.

{EXIT_STATUS}, 130 after Ctrl-C"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog = _HELP
    parser.add_argument(
        "interfaces", nargs="*", metavar="IFACE", help="the interfaces (default: all)"
    )
    parser.add_argument(
        "--perspective",
        choices=["host", "container"],
        help="host: the counters as the kernel counts them (default). container: rx and tx "
        "swapped, for the host end of a veth pair. With --containers rx is what a container "
        "receives (default: container), or what the host receives from it (host)",
    )
    parser.add_argument(
        "--watch",
        type=seconds,
        metavar="SECONDS",
        help="show rates, with a sample every SECONDS",
    )
    parser.add_argument(
        "--count",
        type=_samples,
        metavar="N",
        help="with --watch: end after N samples, including the first",
    )
    parser.add_argument(
        "--sort",
        choices=["name", *_stats_rates.SORT_COLUMNS],
        metavar="COLUMN",
        help="sort by a column, or the sum of both directions, largest first: "
        f"{', '.join(_stats_rates.SORT_COLUMNS)}; or by name",
    )
    parser.add_argument("--human", action="store_true", help="show short numbers, such as 1.23M")
    parser.add_argument(
        "--wide", action="store_true", help="show all eight counters, in more than 80 columns"
    )
    add_container_pattern(parser)
    where = add_namespace(parser)
    where.add_argument(
        "--containers",
        action="store_true",
        help="show the interfaces of every container of this host, except lo",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> str | Iterator[str]:
    """Returns the counters, or yields samples of their rates, as a table or in JSON."""
    if options.containers and options.interfaces:
        raise UsageError("--containers shows every interface: do not name any")
    if options.container is not None and not options.containers:
        raise UsageError("--container needs --containers")
    if options.count and not options.watch:
        raise UsageError("--count needs --watch")
    options.container = pattern("--container", options.container)
    if options.perspective is None:
        options.perspective = "container" if options.containers else "host"
    if options.watch:
        return _watch(options)
    found = _read(options)
    counters = zip(found.rows, found.counters, found.counters, strict=True)
    rows = _stats_rates.sort(counters, options.sort)
    if not options.json:
        return _table(options).render((row.labels, numbers) for row, _, numbers in rows)
    interfaces = [
        row.fields() | _stats_rates.by_name(numbers) for row, _, numbers in rows if numbers
    ]
    return json.dumps({"perspective": options.perspective, "interfaces": interfaces}) + "\n"


def _table(options: argparse.Namespace, unit: str = "") -> Table:
    labels = ["container", "interface"] if options.containers else ["interface"]
    return Table(labels, unit, is_wide=options.wide, is_short=options.human)


def _samples(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= sys.maxsize:
        raise argparse.ArgumentTypeError(f"must be a number of samples >= 1, not {text!r}")
    return count


def _watch(options: argparse.Namespace) -> Iterator[str]:
    readings: Generator[Reading | None, None, None]
    readings = read_containers(options) if options.containers else read_interfaces(options)
    with closing(readings):
        taken = islice(_stats_rates.take_samples(readings, options.watch), options.count)
        samples = (
            replace(sample, rows=_stats_rates.sort(sample.rows, options.sort)) for sample in taken
        )
        if options.json:
            yield from _stats_rates.to_json(samples, options.perspective)
        elif len(options.interfaces) == 1:
            yield from _stats_rates.to_lines(samples, _table(options, "/s"))
        else:
            yield from _stats_rates.to_tables(samples, _table(options, "/s"))


def _read(options: argparse.Namespace) -> Reading:
    if options.containers:
        with closing(read_containers(options)) as readings:
            first = next(readings)
            assert first is not None
            return first
    perspective = options.perspective
    with RtnetlinkSocket(namespace(options)) as rtnetlink:
        if options.interfaces:
            found = [rtnetlink.get_stats(n, perspective=perspective) for n in options.interfaces]
        else:
            found = list(rtnetlink.dump_stats(perspective=perspective).values())
    rows = [Row(interface.name) for interface in found]
    return Reading(rows, [astuple(interface)[1:] for interface in found])
