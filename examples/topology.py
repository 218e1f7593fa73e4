#!/usr/bin/env python3
"""Builds a thousand nodes, each a network namespace, in racks of a hundred with a bridge each.

It prints how long each step takes: creating the namespaces, wiring the nodes, and deleting the
thousand pairs at once. In between, the first node of each rack sends a datagram to the last one.

Needs root; root of a user namespace is enough:
`pynetstrat run --root -- python3 examples/topology.py`.

    topology.py [NODES]
"""

from __future__ import annotations

import contextlib
import resource
import socket
import sys
from time import perf_counter

from pynetstrat import Batch, Network, NetworkNamespace, RtnetlinkSocket, set_up_networks

RACK = 100


def main(count: int) -> None:
    """Builds the topology, tries it and deletes it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # one for each node
    with RtnetlinkSocket() as host, contextlib.ExitStack() as stack:
        start = perf_counter()
        nodes = [stack.enter_context(NetworkNamespace.create()) for _ in range(count)]
        report(f"{count} namespaces", start)

        start = perf_counter()
        racks = range((count + RACK - 1) // RACK)
        bridges = Batch()
        for rack in racks:
            bridges.add_bridge(f"rack{rack}", up=True)
        host.execute(bridges)
        ends = [wire(node, *divmod(number, RACK)) for number, node in enumerate(nodes)]
        report(f"{count} nodes wired on {len(racks)} bridges", start)

        for rack in racks:
            members = nodes[rack * RACK : (rack + 1) * RACK]
            talk(members[0], members[-1], address(rack, len(members) - 1))
        print("the first node of each rack reaches the last one")

        start = perf_counter()
        host.delete_links(ends)
        report(f"{count} pairs deleted", start)
        host.delete_links(f"rack{rack}" for rack in racks)


def address(rack: int, number: int) -> str:
    """Returns the address of a node."""
    return f"10.{rack // 256}.{rack % 256}.{number + 1}"


def wire(node: NetworkNamespace, rack: int, number: int) -> str:
    """Wires a node, and returns the name of its host end."""
    networks = [
        Network("loopback"),
        Network(
            "veth",
            name="eth0",
            bridge=f"rack{rack}",
            host_interface_name=f"n{rack}.{number}",
            address=f"{address(rack, number)}/24",
        ),
    ]
    return set_up_networks(networks, netns=node)[1].host_interface_name


def talk(first: NetworkNamespace, last: NetworkNamespace, to: str) -> None:
    """Sends a datagram from one node to another.

    A socket stays in the namespace in which it was opened.
    """

    def open_socket() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    with last.call(open_socket) as receiver, first.call(open_socket) as sender:
        receiver.bind((to, 0))
        receiver.settimeout(10)
        sender.sendto(b"hello", receiver.getsockname())
        assert receiver.recv(5) == b"hello"


def report(what: str, start: float) -> None:
    """Prints how long something took."""
    print(f"{what}: {perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
