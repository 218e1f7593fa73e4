"""Draws docs/top.svg: a real run of `pynetstrat top`, with containers and traffic made for it.

usage: draw_top.py FILE

Moves itself into fresh user, network and mount namespaces. Nothing of this host is changed.
"""

from __future__ import annotations

import argparse
import io
import re
import socket
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

from rich.console import Console

from pynetstrat import Network, NetworkNamespace, set_up_networks
from pynetstrat._syscalls import mount
from pynetstrat.cli import _fresh_namespaces
from pynetstrat.cli._stats_rates import take_samples
from pynetstrat.cli._stats_readings import read_containers
from pynetstrat.cli._top_screen import Screen
from pynetstrat.cli._top_view import View, by_container

COLUMNS, LINES = 96, 14

# Datagrams that each container receives, sends, and sends with a protocol that the host drops.
TRAFFIC = {
    "web-7f9c6d5b8-x2kqp": (3000, 2600, 0),
    "web-7f9c6d5b8-lr84n": (2500, 2100, 0),
    "postgres": (700, 1900, 0),
    "redis": (1500, 400, 0),
    "ci-job-4711": (900, 30, 90),
    "mail": (40, 35, 0),
    "backup": (3, 350, 0),
    "registry": (0, 0, 0),
}


class Container:
    """A container that is wired to this namespace, and sockets at both ends."""

    def __init__(self, name: str, number: int, stack: ExitStack) -> None:
        host, own = f"10.0.{number}.1", f"10.0.{number}.2"
        netns = stack.enter_context(NetworkNamespace.create(name))
        eth0 = Network("veth", name="eth0", address=f"{own}/24", gateway=host)
        set_up_networks([Network("loopback"), eth0], netns=netns)
        self._host = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        inside = (socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_PACKET, socket.SOCK_RAW)
        self._datagrams, self._frames = (
            stack.enter_context(netns.call(socket.socket, *kind)) for kind in inside
        )
        netns.call(self._frames.bind, ("eth0", 0))
        self._peers = (own, 9), (host, 9)

    def exchange(self, received: int, sent: int, dropped: int, size: int) -> None:
        """Sends datagrams of a size to port 9 (discard) of both ends, and frames that are dropped.

        A refusal that an earlier datagram caused is ignored.
        """
        frame = b"\xff" * 6 + b"\x02" + bytes(5) + b"\x88\xb5" + bytes(46)  # a local experiment
        for count, end, address in zip(
            (received, sent), (self._host, self._datagrams), self._peers, strict=True
        ):
            for _ in range(count):
                end.sendto(bytes(size), address)
        for _ in range(dropped):
            self._frames.send(frame)


def main() -> None:
    """Makes the containers, takes two samples with traffic between them, and draws the second."""
    file = Path(sys.argv[1])
    _fresh_namespaces.enter()
    mount("tmpfs", "/run", "tmpfs", 0)
    console = Console(
        file=io.StringIO(),
        record=True,
        force_terminal=True,
        color_system="truecolor",
        width=COLUMNS,
        height=LINES,
    )
    # Other containers of this machine are not shown.
    names = re.compile(f"^({'|'.join(TRAFFIC)})$")
    options = argparse.Namespace(perspective="container", container=names)
    with ExitStack() as stack:
        made = [Container(name, at, stack) for at, name in enumerate(TRAFFIC)]

        def exchange(due: float) -> None:
            for container, traffic, size in zip(
                made, TRAFFIC.values(), (1200, 1200, 700, 90, 300, 400, 1400, 0), strict=True
            ):
                container.exchange(*traffic, size)
            time.sleep(max(0, due - time.monotonic()))

        readings = stack.enter_context(closing(read_containers(options, lambda _: None)))
        samples = take_samples(readings, 1.0, exchange)
        next(samples)
        entries = by_container(next(samples).rows)
        view = View()
        console.print(Screen(view.arrange(entries), view, COLUMNS, LINES), crop=False)
    drawing = console.export_svg(title="pynetstrat top", unique_id="top")
    # The fonts are on another host. Without them a viewer takes its own monospaced one.
    file.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL))


if __name__ == "__main__":
    main()
