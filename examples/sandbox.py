#!/usr/bin/env python3
"""Runs a command that reaches one port of this host, such as that of a proxy, and nothing else.

The command runs in a network namespace, wired to a second one, the gate. The port is open in the
gate, and each connection to it is relayed to the same port of 127.0.0.1 here. Since the gate has no
other link and does not forward, nothing else can be reached. The link is limited to RATE. At the
end the traffic of the command is printed.

Only the network is closed off. The command has the caller's user, files and processes, which
includes sockets that have a path, and as root it can enter other namespaces. Needs root; root of a
user namespace is enough: `pynetstrat run --root -- python3 examples/sandbox.py ...`.

    sandbox.py PORT COMMAND ...     (the port is at 10.77.0.1 for the command)
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from threading import Thread

from pynetstrat import Network, NetworkNamespace, set_up_networks, tear_down_networks

RATE = 100_000_000  # bits per second, in each direction
GATE, SANDBOX = "10.77.0.1", "10.77.0.2"
NETWORKS = [
    Network("loopback"),
    # Without a bridge the link is point to point, and the host end gets the gateway's address.
    Network("veth", "eth0", address=f"{SANDBOX}/24", gateway=GATE, rate_in=RATE, rate_out=RATE),
]


def main(port: int, command: list[str]) -> int:
    """Runs the command, and returns its exit status."""
    with NetworkNamespace.create() as sandbox, NetworkNamespace.create() as gate:
        made = set_up_networks(NETWORKS, netns=sandbox, host=gate)
        with relaying(gate.call(socket.create_server, (GATE, port)), port):
            status = run(sandbox, command, f"http://{GATE}:{port}")
        traffic = tear_down_networks(made, netns=sandbox, host=gate)["eth0"]
    print(f"sent {traffic.tx_bytes} bytes, received {traffic.rx_bytes}", file=sys.stderr)
    return status


def run(sandbox: NetworkNamespace, command: list[str], proxy: str) -> int:
    """Runs the command in the sandbox, where the usual variables name the proxy."""
    environment = os.environ | {"http_proxy": proxy, "https_proxy": proxy}
    return sandbox.run(command, die_with_parent=True, private_sys=True, env=environment).returncode


class relaying(contextlib.AbstractContextManager[None]):  # noqa: N801  # used as a function
    """Relays the connections to a listening socket to a port of 127.0.0.1, in threads.

    The threads are in the caller's namespace, and so are the connections that they open.
    """

    def __init__(self, listener: socket.socket, port: int) -> None:
        self._listener, self._port = listener, port
        self._thread = Thread(target=self._accept)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                Thread(target=self._serve, args=self._listener.accept()[:1], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._port)) as server,
        ):
            answers = Thread(target=copy, args=(server, client), daemon=True)
            answers.start()
            copy(client, server)
            answers.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    """Sends on what one socket receives, until its end."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: sandbox.py PORT COMMAND ...")
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
