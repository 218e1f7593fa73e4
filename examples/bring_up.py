#!/usr/bin/env python3
"""Brings `lo` up in the network namespace of a container, as a runtime does when it starts one.

Shows `get_strategy` and `initialize(netns=...)`. The calling thread stays in its own namespace, so
a program with many threads can do this for many containers at once.

    bring_up.py PID     the namespace of a process
    bring_up.py NAME    a name in /run/netns
    bring_up.py PATH    a path such as /proc/PID/ns/net
"""

from __future__ import annotations

import sys

from pynetstrat import NetstratError, Network, RtnetlinkSocket, get_strategy


def main() -> None:
    """Brings `lo` up and prints its state."""
    if len(sys.argv) != 2:
        sys.exit("usage: bring_up.py PID | NAME | PATH")
    target = sys.argv[1]
    netns = f"/proc/{target}/ns/net" if target.isdigit() else target
    network = Network(type="loopback", name="lo")
    try:
        get_strategy(network.type).initialize(network, netns=netns)
        with RtnetlinkSocket(netns) as socket:
            state = "up" if socket.link_is_up(network.name) else "down"
    except NetstratError as error:
        sys.exit(f"bring_up.py: {error}")
    print(f"{network.name} is {state} in {netns}")


if __name__ == "__main__":
    main()
