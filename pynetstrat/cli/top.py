"""`pynetstrat top`: a live table of the traffic of every container."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from itertools import islice

from ._exit import EXIT_STATUS, EndError
from ._exporter_labels import LabelsFile
from ._options import add_container_pattern, add_json, filled, pattern, seconds
from ._output import warn
from ._stats_rates import by_name, take_samples
from ._stats_readings import read_containers
from ._text import json_fields
from ._top_view import ORDERS, View, by_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._stats_rates import Sample
    from ._top_screen import Styler
    from ._top_view import Entry

_HELP = f"""\
examples:
  pynetstrat top                               every container, by rate
  pynetstrat top --sort drops --container web  those whose names contain "web"
  pynetstrat top --labels labels.json          names of containers from a file
  pynetstrat top --once --json                 one sample, for a program

A row is a container, and the sums over its interfaces, seen from its side: rx
is what it receives. lo is left out, and so is a container without any other
interface. Bridges and the outer ends of nested containers are left out as well:
they would count traffic twice. "/s" marks the increase per second since the
sample before, "-" a rate that is not known yet. The other columns are the
totals since the interfaces were made.

A narrow terminal shows fewer columns: at 80 columns rates and totals of bytes,
rates of packets, and drops; at 20 columns a name and the column that is sorted.

keys: q ends it, ? lists the keys, / filters, b r t p d e T n choose the order,
v reverses it, u changes the units, arrows and pages scroll. NO_COLOR=1 in the
environment turns colours off.

If standard input or output is no terminal, a table without colours is printed
every SECONDS, until Ctrl-C. With --json each sample is a line: "per_second" has
the rates (null: unknown), "total" the counters.

It needs rich: pip install rich.

{EXIT_STATUS}, 130 after Ctrl-C"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog = _HELP
    parser.add_argument(
        "--interval",
        type=seconds,
        default=1.0,
        metavar="SECONDS",
        help="time between two samples (default: 1)",
    )
    parser.add_argument(
        "--sort",
        choices=ORDERS,
        default="rate",
        metavar="ORDER",
        help=f"largest first: {', '.join(ORDERS)} (default: rate)",
    )
    parser.add_argument("--reverse", action="store_true", help="reverse the order")
    add_container_pattern(parser)
    parser.add_argument(
        "--labels",
        type=filled,
        metavar="FILE",
        help='show the names in this file: the label "name" or "pod" of the file of "exporter '
        '--labels"',
    )
    parser.add_argument(
        "--units",
        choices=("1000", "1024"),
        default="1000",
        help="count short numbers in units of 1000 (k, M, G; default) or 1024 (Ki, Mi, Gi)",
    )
    parser.add_argument(
        "--once", action="store_true", help="print one sample with rates, after SECONDS, and end"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> Iterator[str]:
    """Shows the containers until the user ends it, or yields samples as tables or in JSON."""
    view = View(
        options.sort,
        pattern("--container", options.container),
        int(options.units),
        is_reversed=options.reverse,
    )
    try:
        from ._top_display import show
        from ._top_screen import Styler
    except ImportError as error:
        raise EndError(str(error)) from error
    # The view filters: its pattern changes, and every container has to be known for that.
    options.container, options.perspective = None, "container"
    styler = Styler()
    labels = None if options.labels is None else LabelsFile(options.labels)
    if options.once or options.json or not _is_interactive(styler):
        return _print(options, view, styler, labels)
    return show(options, view, styler, labels)


def _is_interactive(styler: Styler) -> bool:
    streams = (sys.stdin, sys.stdout)
    is_terminal = all(stream is not None and stream.isatty() for stream in streams)
    return is_terminal and not styler.is_dumb


def _print(
    options: argparse.Namespace, view: View, styler: Styler, labels: LabelsFile | None
) -> Iterator[str]:
    error = ""
    with closing(read_containers(options, routed=False)) as readings:
        samples = take_samples(readings, options.interval)
        if options.once:
            samples = islice(samples, 1, 2)  # the first has no rates
        for number, sample in enumerate(samples):
            if labels is not None:
                labels.update()
                if labels.error not in ("", error):
                    warn(labels.error)
                error = labels.error
            entries = view.arrange(by_container(sample.rows, labels))
            if options.json:
                yield _to_json(sample, entries)
            else:
                yield "\n" * (number > 0) + styler.to_table(entries, view)


def _to_json(sample: Sample, entries: list[Entry]) -> str:
    containers = [
        {
            "container": entry.container.label,
            "label": entry.label,
            "netns": entry.container.inode or None,
            "ids": entry.container.ids,
            **json_fields("owner", entry.container.owner),
            **json_fields("name", entry.container.name),
            "interfaces": entry.interfaces,
            "per_second": None if entry.rates is None else by_name(entry.rates),
            "total": by_name(entry.totals),
        }
        for entry in entries
    ]
    shown = {"time": sample.time, "interval": sample.interval, "perspective": "container"}
    return json.dumps(shown | {"containers": containers}) + "\n"
