#!/usr/bin/env python3
"""A lab: three hosts around a router. The link to the third host is slow.

Each host and the router is a network namespace. The first host sends to each of the others, and the
program prints how fast that was, and how much the router's link has carried.

Needs root; root of a user namespace is enough: `pynetstrat run --root -- python3 examples/lab.py`.

    lab.py [BYTES]
"""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from time import perf_counter

from pynetstrat import (
    Batch,
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    set_up_networks,
    tear_down_networks,
)

SLOW = 20_000_000  # bits per second
HOSTS = ("h1", "h2", "h3")


def main(size: int) -> None:
    """Builds the lab, sends, and takes it down."""
    with ExitStack() as stack:
        router = stack.enter_context(NetworkNamespace.create())
        hosts = {name: stack.enter_context(NetworkNamespace.create()) for name in HOSTS}
        # Each namespace has its own setting; that of this machine is left alone.
        router.call(Path("/proc/sys/net/ipv4/ip_forward").write_text, "1")
        made = {
            name: set_up_networks(networks(name), netns=hosts[name], host=router) for name in hosts
        }
        for end, netns in (("h3", router), ("eth0", hosts["h3"])):
            slow_down(netns, end)
        for name in ("h2", "h3"):
            seconds = send(hosts["h1"], hosts[name], address(name), size)
            print(f"h1 to {name}: {8e-6 * size / seconds:.1f} Mbit/s")
        for name, netns in hosts.items():
            final = tear_down_networks(made[name], netns=netns, host=router)["eth0"]
            print(f"{name}: received {final.rx_bytes} bytes, sent {final.tx_bytes}")


def address(name: str, last: int = 2) -> str:
    """Returns an address of a host's subnet: that of the host, or 1 for that of the router."""
    return f"10.0.{HOSTS.index(name) + 1}.{last}"


def networks(name: str) -> list[Network]:
    """Returns the networks of a host. The router's end of the link is named after the host."""
    eth0 = Network(
        "veth",
        "eth0",
        host_interface_name=name,
        address=f"{address(name)}/24",
        gateway=address(name, 1),
    )
    return [Network("loopback"), eth0]


def slow_down(netns: NetworkNamespace, name: str) -> None:
    """Limits what an interface sends."""
    with RtnetlinkSocket(netns) as rtnetlink:
        index = rtnetlink.get_link(name).index
        batch = Batch().add_qdisc(index, "tbf", rate=SLOW, burst=20_000, latency=0.05)
        rtnetlink.execute(batch)


def send(source: NetworkNamespace, target: NetworkNamespace, to: str, size: int) -> float:
    """Sends bytes by TCP, and returns the seconds until the last one has arrived."""
    with (
        target.call(socket.create_server, (to, 0)) as server,
        source.call(socket.create_connection, server.getsockname()) as client,
        server.accept()[0] as accepted,
        accepted.makefile("rb") as stream,
    ):
        start = perf_counter()
        thread = Thread(target=client.sendall, args=(bytes(size),))
        thread.start()
        stream.read(size)
        thread.join()
        return perf_counter() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000)
