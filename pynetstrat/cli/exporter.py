"""`pynetstrat exporter`: serve the traffic of every container of this host to Prometheus."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import os
import re
import signal
import socket
import sys
import threading
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, EMFILE

from .._scrape import Scrape
from ..errors import KernelError, escape, quote
from . import _missing
from ._exit import UsageError
from ._exporter_endpoint import Endpoint
from ._exporter_labels import LabelsFile
from ._exporter_metrics import Metrics
from ._exporter_textfile import Textfile
from ._options import filled, pattern
from ._output import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# The ports that Prometheus lists for exporters, 9100 to 9999, are all taken.
_LISTEN = "127.0.0.1:19580"

_MAX_KEEP_ENDED = 86_400

_HINTS = {
    EADDRINUSE: "choose another address or port with --listen",
    EADDRNOTAVAIL: "this host does not have the address; choose another with --listen",
    EMFILE: "the process has reached its limit of open descriptors (RLIMIT_NOFILE, ulimit -n)",
    EACCES: "ports below 1024 require CAP_NET_BIND_SERVICE; choose another with --listen",
}

_HELP = f"""\
Each scrape finds all containers of this host, reads their counters at the same
time, and serves eight counters of each interface, with the labels container,
interface and netns. docs/exporter.md describes the metrics, has queries, and
shows how to make the file of --labels. docs/grafana.json is a dashboard,
docs/alerts.yml has alerting rules.

A PATTERN is a Python regular expression that may match anywhere in the label:
"eth0" also matches eth01, "^eth0$" does not. The host is the network namespace
in which the command runs.

The command prints its URL once it serves, and runs until SIGTERM, SIGHUP or
Ctrl-C.

examples:
  pynetstrat exporter                         at http://{_LISTEN}/metrics
  pynetstrat exporter --listen '[::]:19580'   on every address, IPv6 and IPv4
  pynetstrat exporter --listen 127.0.0.1:0    on a free port
  pynetstrat exporter --interface '^eth' --exclude-container '^test-'
  pynetstrat exporter --labels /etc/pynetstrat/labels.json

Counting every container requires CAP_NET_ADMIN, CAP_SYS_ADMIN and
CAP_SYS_PTRACE; without CAP_NET_BROADCAST scrapes take longer. A warning at the
start, and metrics, list anything that is not counted.

exit status: 0 after SIGTERM or SIGHUP, 130 after Ctrl-C, 1 failure, 2 wrong
usage
"""

_PATTERNS = {
    "container": "show only containers whose label matches",
    "exclude_container": "do not show containers whose label matches",
    "interface": "show only interfaces whose name matches",
    "exclude_interface": "do not show interfaces whose name matches",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog = _HELP
    parser.add_argument(
        "--listen",
        default=_LISTEN,
        metavar="ADDRESS:PORT",
        help="the IP address and port to serve at, such as [::1]:19580 or, for a link-local "
        "address, [fe80::1%%eth0]:19580; port 0 chooses a free one (default: %(default)s)",
    )
    for name, text in _PATTERNS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="PATTERN", help=text)
    parser.add_argument(
        "--no-routed",
        dest="routed",
        action="store_false",
        help="do not count the traffic of nested containers twice: leave out bridges and the "
        "outer ends of veth pairs between two containers",
    )
    parser.add_argument(
        "--labels",
        type=filled,
        metavar="FILE",
        help="a JSON object of container ids, owners or names to further labels, read again when "
        "it changes",
    )
    parser.add_argument(
        "--prefix",
        default="",
        metavar="TEXT",
        help="put TEXT before the names of the container metrics, which are those of cAdvisor",
    )
    parser.add_argument(
        "--keep-ended",
        default="60",
        metavar="SECONDS",
        help="how long a container that has ended is shown, with its final counters "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--textfile",
        metavar="FILE",
        help="also write the metrics to FILE every 15 seconds, for the textfile collector of "
        "node_exporter; FILE must end in .prom",
    )


def run(options: argparse.Namespace) -> Iterator[str]:
    """Serves until a signal arrives; yields one line once it serves."""
    address, port = _address(options.listen)
    patterns: dict[str, Any] = {
        name: pattern(f"--{name.replace('_', '-')}", getattr(options, name)) for name in _PATTERNS
    }
    keep_ended = _seconds(options.keep_ended)
    prefix = _prefix(options.prefix)
    if options.textfile is not None and not options.textfile.endswith(".prom"):
        raise UsageError(
            f"--textfile must end in .prom, not {quote(options.textfile)}: node_exporter reads no "
            "other files"
        )
    labels = LabelsFile(options.labels) if options.labels is not None else None
    textfile = Textfile(options.textfile) if options.textfile is not None else None
    with Scrape(
        **patterns,
        routed=options.routed,
        keep_ended=keep_ended,
        find_labels=labels.find if labels is not None else None,
    ) as scrape:
        metrics = Metrics(scrape, _log, prefix=prefix, labels=labels)
        metrics.write()
        if scrape.error is not None:
            raise scrape.error
        try:
            endpoint = Endpoint(address, port, metrics, _log, textfile)
        except OSError as error:
            number = error.errno or 0
            if isinstance(error, socket.gaierror):  # its numbers are no errno
                number = EADDRNOTAVAIL
            hint = _HINTS.get(number, "")
            raise KernelError(number, "bind", filename=options.listen, hint=hint) from error
        with contextlib.closing(endpoint):
            _report_uncounted(scrape)
            yield from _serve(endpoint, address)


def _address(text: str) -> tuple[str, int]:
    """Splits ADDRESS:PORT."""
    found = re.fullmatch(r"(?:\[(.*:.*)\]|([^:]+)):([0-9]{1,5})", text)
    if found and int(found[3]) <= 65535:
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(found[1] or found[2])
            if address.version == 6 and address.is_link_local and not address.scope_id:
                remedy = f"append the interface, such as [{address}%eth0]:{found[3]}"
                raise UsageError(f"--listen {quote(text)} is a link-local address; {remedy}")
            return str(address), int(found[3])
    expected = "an IP address and a port, such as 127.0.0.1:0 or [::1]:19580"
    raise UsageError(f"--listen must be {expected}, not {quote(text)}")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (seconds := float(text)) <= _MAX_KEEP_ENDED:
            return seconds
    expected = f"a number of seconds from 0 to {_MAX_KEEP_ENDED}"
    raise UsageError(f"--keep-ended must be {expected}, not {quote(text)}")


def _prefix(text: str) -> str:
    if re.fullmatch("(?:[a-zA-Z_][a-zA-Z0-9_]*)?", text, re.ASCII):
        return text
    rule = "must have letters, digits and underscores, and not begin with a digit"
    raise UsageError(f"--prefix {rule}, not {quote(text)}")


def _report_uncounted(scrape: Scrape) -> None:
    """Warns of anything that this process cannot count."""
    assert scrape.discovery is not None
    reasons = _missing.reasons(scrape.discovery, scrape.refused, scrape.omitted)
    if reasons:
        warn(_missing.line(reasons.values()))


def _log(text: str) -> None:
    """Writes a line to standard error, the log of a service. Called from both threads."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # one system call, so that lines are never mixed
            os.write(2, f"pynetstrat: {escape(text)}\n".encode(errors="backslashreplace"))


def _serve(endpoint: Endpoint, address: str) -> Iterator[str]:
    """Serves in another thread, while this one waits for a signal."""
    host = f"[{address}]" if ":" in address else address
    ends = _ending_signals()
    with _blocked(ends), _serving(endpoint) as failed:
        yield f"serving http://{escape(host)}:{endpoint.port}/metrics\n"
        caught = signal.sigwait(ends)
    if failed:
        raise failed[0]
    if caught == signal.SIGINT:
        raise KeyboardInterrupt


def _ending_signals() -> set[signal.Signals]:
    """Returns the signals that end the command."""
    ends = {signal.SIGTERM}
    for number in (signal.SIGINT, signal.SIGHUP):  # ignored in the background and under nohup
        if signal.getsignal(number) is not signal.SIG_IGN:
            ends.add(number)
    return ends


@contextlib.contextmanager
def _blocked(signals: set[signal.Signals]) -> Iterator[None]:
    """Blocks signals in this thread, and in threads that are started in the block.

    They stay blocked after the block: another signal must not change the exit status. If the block
    raises, pending signals are discarded and the former mask is restored.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    except BaseException:
        while signal.sigtimedwait(signals, 0):  # repeated signals
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise


@contextlib.contextmanager
def _serving(endpoint: Endpoint) -> Iterator[list[BaseException]]:
    """Serves in another thread during the block.

    If the endpoint fails, its exception is put in the list and SIGTERM is sent to this process,
    which must end if it cannot serve.
    """
    failed: list[BaseException] = []

    def work() -> None:
        try:
            endpoint.serve()
        except BaseException as error:
            failed.append(error)
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield failed
    finally:
        endpoint.stop()
        thread.join()
