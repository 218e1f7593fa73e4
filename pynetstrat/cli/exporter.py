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
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL

from ..errors import KernelError, escape, quote
from . import missing
from .exit import EndError, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..prometheus import ContainerCollector
    from .endpoint import Endpoint

# Prometheus' list of ports for exporters, 9100 to 9999, is full.
_LISTEN = "127.0.0.1:19580"

_HINTS = {
    EADDRINUSE: "another program has it: name another address with --listen",
    EADDRNOTAVAIL: "this host has no such address: name another one with --listen",
    EACCES: "ports below 1024 take CAP_NET_BIND_SERVICE: name another one with --listen",
}

_HELP = f"""\
Each scrape finds the containers that there are, reads them all at once, and
serves eight counters of each interface, with the labels container, interface
and netns. A PATTERN is a regular expression that may match anywhere in the
label: ^eth0$ is eth0 alone. The host is that of the network namespace in which
the command runs. It ends at SIGTERM or SIGHUP.

examples:
  pynetstrat exporter                         at http://{_LISTEN}/metrics
  pynetstrat exporter --listen '[::]:9100'    on every address, IPv6 and IPv4
  pynetstrat exporter --listen 127.0.0.1:0    a port that is free, which is printed
  pynetstrat exporter --interface '^eth' --exclude-container '^test-'

Counting every container takes CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_SYS_PTRACE,
and CAP_NET_BROADCAST to do it fast. What is not counted is reported at the
start, and in the metrics. The metrics, and queries for them: docs/exporter.md.
"""

_PATTERNS = {
    "container": "show only the containers whose label matches",
    "exclude_container": "do not show those whose label matches",
    "interface": "show only the interfaces whose name matches",
    "exclude_interface": "do not show those whose name matches",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--listen",
        default=_LISTEN,
        metavar="ADDRESS:PORT",
        help="where to listen, an IPv6 address in brackets, a link-local one with its "
        "interface: [fe80::1%%eth0]:19580 (default: %(default)s)",
    )
    for name, text in _PATTERNS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="PATTERN", help=text)
    parser.add_argument(
        "--no-routed",
        dest="routed",
        action="store_false",
        help="leave out bridges, and the host ends of other containers that are shown: so the sum "
        "of all containers has no traffic twice because one routes for others",
    )


def run(options: argparse.Namespace) -> Iterator[str]:
    """Serves until a signal; yields one line once it serves."""
    address, port = _address(options.listen)
    patterns: dict[str, Any] = {name: _pattern(name, getattr(options, name)) for name in _PATTERNS}
    try:
        from ..prometheus import ContainerCollector
        from .endpoint import Endpoint
    except ImportError as error:
        raise EndError(str(error)) from error
    with ContainerCollector(**patterns, routed=options.routed) as collector:
        collector.collect()
        if collector.error is not None:
            raise collector.error
        try:
            endpoint = Endpoint(address, port, collector, _note)
        except OSError as error:
            number = error.errno or 0
            if isinstance(error, socket.gaierror):  # its numbers are others
                number = EADDRNOTAVAIL
            hint = _HINTS.get(number, "")
            raise KernelError(number, "bind", filename=options.listen, hint=hint) from error
        with contextlib.closing(endpoint):
            _report_uncounted(collector)
            yield from _serve(endpoint, address)


def _address(text: str) -> tuple[str, int]:
    """The two parts of ADDRESS:PORT."""
    found = re.fullmatch(r"(?:\[(.*:.*)\]|([^:]+)):([0-9]{1,5})", text)
    if found and int(found[3]) <= 65535:
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(found[1] or found[2])
            if address.version == 6 and address.is_link_local and not address.scope_id:
                remedy = f"add its interface: [{address}%eth0]:{found[3]}"
                raise EndError(f"--listen {quote(text)} is a link-local address; {remedy}", 2)
            return str(address), int(found[3])
    expected = "an address and a port, such as 127.0.0.1:0 or [::1]:19580"
    raise EndError(f"--listen {quote(text)} is not {expected}", 2)


def _pattern(name: str, text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        option = f"--{name.replace('_', '-')} {quote(text or '')}"
        raise EndError(f"{option} is not a regular expression: {error}", 2) from error


def _report_uncounted(collector: ContainerCollector) -> None:
    """A line on what this process can't count, if there is anything."""
    assert collector.discovery is not None
    reasons = missing.reasons(collector.discovery, collector.refused, collector.omitted)
    if reasons:
        warn(missing.line(reasons.values()))


def _note(text: str) -> None:
    """A line on standard error, which is the log of a service."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # in one piece, whichever thread it is that writes
            os.write(2, f"pynetstrat: {escape(text)}\n".encode(errors="backslashreplace"))


def _serve(endpoint: Endpoint, address: str) -> Iterator[str]:
    """Serves until a signal."""
    host = f"[{address}]" if ":" in address else address
    ends = {signal.SIGTERM}
    for number in (signal.SIGINT, signal.SIGHUP):  # ignored in the background, and under nohup
        if signal.getsignal(number) is not signal.SIG_IGN:
            ends.add(number)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # in the threads to come, too
    failed: list[BaseException] = []

    def work() -> None:
        try:
            endpoint.serve()
        except BaseException as error:  # this thread must not leave a process that serves nothing
            failed.append(error)
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield f"serving http://{escape(host)}:{endpoint.port}/metrics\n"
            caught = signal.sigwait(ends)
        finally:
            endpoint.stop()
            thread.join()
    except BaseException:
        while signal.sigtimedwait(ends, 0):  # signals that were sent repeatedly
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    # The signals stay blocked: another one must not change the status of a process that ends.
    if failed:
        raise failed[0]
    if caught == signal.SIGINT:
        raise KeyboardInterrupt
