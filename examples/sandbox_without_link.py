#!/usr/bin/env python3
"""Runs a command that reaches one port of this host and nothing else, without any link.

It does what sandbox.py does, in another way. The namespace of the command has no interface except
`lo`. The port is open there, at 127.0.0.1, by a socket that belongs to this process: a socket stays
in the namespace in which it was opened. Traffic is neither limited nor counted.

    sandbox_without_link.py PORT COMMAND ...
"""

from __future__ import annotations

import socket
import sys

from sandbox import relaying, run

from pynetstrat import NetworkNamespace, link_set_up


def main(port: int, command: list[str]) -> int:
    """Runs the command, and returns its exit status."""
    with NetworkNamespace.create() as sandbox:
        link_set_up("lo", netns=sandbox)
        with relaying(sandbox.call(socket.create_server, ("127.0.0.1", port)), port):
            return run(sandbox, command, f"http://127.0.0.1:{port}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: sandbox_without_link.py PORT COMMAND ...")
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
