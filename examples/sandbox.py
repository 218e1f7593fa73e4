#!/usr/bin/env python3
"""Runs a command in a network namespace with a veth pair, and prints the pair's counters.

The namespace and the pair are deleted afterwards. Needs root; root of a user namespace is enough:
`pynetstrat run --root -- python3 examples/sandbox.py`.

    sandbox.py [COMMAND ...]        (default: a program that sends datagrams to the host)
"""

from __future__ import annotations

import sys
import time

from pynetstrat import (
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    set_up_networks,
    tear_down_networks,
)

HOST, CONTAINER = "10.77.0.1", "10.77.0.2"
SEND = f"""
import socket, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(10):
    time.sleep(0.1)
    sender.sendto(bytes(1000), ("{HOST}", 9))
"""


def main() -> int:
    """Runs the command, and returns its exit status."""
    command = sys.argv[1:] or [sys.executable, "-c", SEND]
    networks = [
        Network("loopback"),
        # Without a bridge the link is point to point, and the host end gets the gateway's address.
        Network("veth", name="eth0", address=f"{CONTAINER}/24", gateway=HOST, owner="sandbox"),
    ]
    with NetworkNamespace.create() as netns:
        made = set_up_networks(networks, netns=netns)
        try:
            with netns.popen(command) as child, RtnetlinkSocket(netns) as rtnetlink:
                while child.poll() is None:
                    time.sleep(0.25)
                    eth0 = rtnetlink.get_stats("eth0")
                    print(f"eth0 has sent {eth0.tx_bytes} bytes, received {eth0.rx_bytes}")
        finally:
            tear_down_networks(made, netns=netns)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main())
