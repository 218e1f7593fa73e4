"""Measures the traffic through `rate_in` and `rate_out`. Started by rates.sh."""

from __future__ import annotations

import contextlib
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable

from helpers_network import add_bridge

from pynetstrat import Network, NetworkNamespace, check_networks, set_up_networks
from pynetstrat.cli import _fresh_namespaces

SECONDS = 5
WINDOWS = 10  # of which the median counts for UDP
WARM_UP = 2  # seconds until the burst has been used up, and TCP has found the rate
TOLERANCE = 0.05
RATES = {"in": 40_000_000, "out": 10_000_000}  # bits per second
HOST, CONTAINER = "10.0.0.1", "10.0.0.2"  # of the bridge that add_bridge() makes
FRAME = 1514  # bytes of a full packet, with the Ethernet header
UDP_PAYLOAD, TCP_PAYLOAD = 1472, 1448  # of them, with TCP's timestamps


def measure(
    receive: Callable[[], int], send: Callable[[float], None]
) -> tuple[float, list[tuple[float, int]]]:
    """Returns when the measurement began, and the time and the size of what arrived since.

    Parameters:
        receive: waits for data and returns its size.
        send: sends once; takes the seconds since the start.
    """
    begin = time.monotonic() + WARM_UP
    end = begin + SECONDS

    def sending() -> None:
        start = time.monotonic()
        while (now := time.monotonic()) < end + 0.1:
            send(now - start)

    thread = threading.Thread(target=sending)
    thread.start()
    arrived = []
    while time.monotonic() < end:
        size = receive()
        arrived.append((time.monotonic(), size))
    thread.join()
    return begin, [one for one in arrived if begin <= one[0] < end]


def udp(sender: socket.socket, receiver: socket.socket, rate: int) -> float:
    """Measures while half as much again as the rate allows is sent, in full packets.

    A process that stands still for a moment sends too little, and what it does not receive is lost.
    So the result is the median of several measurements.
    """
    data = bytes(UDP_PAYLOAD)
    sent = 0

    def send(elapsed: float) -> None:
        nonlocal sent
        while sent * FRAME * 8 < elapsed * rate * 1.5:
            sender.send(data)
            sent += 1
        time.sleep(0.002)

    with sender, receiver:
        begin, arrived = measure(lambda: len(receiver.recv(2048)), send)
    counts = [0] * WINDOWS
    for at, _ in arrived:
        counts[min(int((at - begin) / SECONDS * WINDOWS), WINDOWS - 1)] += 1
    return statistics.median(counts) * FRAME * 8 * WINDOWS / SECONDS


def tcp(sender: socket.socket, receiver: socket.socket) -> float:
    """Measures while one connection sends as much as it can, which its buffers keep."""
    data = bytes(65536)
    sender.settimeout(0.1)

    def send(_: float) -> None:
        with contextlib.suppress(TimeoutError):
            sender.send(data)

    with sender, receiver:
        _, ((first, _), *rest) = measure(lambda: len(receiver.recv(65536)), send)
    return sum(size for _, size in rest) / TCP_PAYLOAD * FRAME * 8 / (rest[-1][0] - first)


Pair = tuple[socket.socket, socket.socket]


def datagrams(
    receiver: str, netns: NetworkNamespace | None, other: NetworkNamespace | None
) -> Pair:
    """A connected pair of UDP sockets in two namespaces; None is the calling thread's."""
    bound = _socket(netns, socket.SOCK_DGRAM)
    bound.settimeout(5)
    bound.bind((receiver, 0))
    sender = _socket(other, socket.SOCK_DGRAM)
    sender.connect(bound.getsockname())
    return sender, bound


def streams(receiver: str, netns: NetworkNamespace | None, other: NetworkNamespace | None) -> Pair:
    """A TCP connection between two namespaces: the sender and the receiver."""
    listener = _socket(netns, socket.SOCK_STREAM)
    listener.bind((receiver, 0))
    listener.listen()
    sender = _socket(other, socket.SOCK_STREAM)
    sender.connect(listener.getsockname())
    accepted, _ = listener.accept()
    accepted.settimeout(5)
    listener.close()
    return sender, accepted


def _socket(netns: NetworkNamespace | None, kind: int) -> socket.socket:
    if netns is None:
        return socket.socket(socket.AF_INET, kind)
    return netns.call(socket.socket, socket.AF_INET, kind)


def measure_all(blue: NetworkNamespace) -> list[tuple[str, str, float]]:
    """Returns what was measured of each protocol and direction, as a share of the rate."""
    results: list[tuple[str, str, float]] = []

    def record(protocol: str, direction: str, value: float) -> None:
        results.append((protocol, direction, value / RATES[direction]))

    to_container = datagrams(CONTAINER, blue, None)
    to_host = datagrams(HOST, None, blue)
    both = [
        threading.Thread(target=lambda: record("UDP", "in", udp(*to_container, RATES["in"]))),
        threading.Thread(target=lambda: record("UDP", "out", udp(*to_host, RATES["out"]))),
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    record("TCP", "in", tcp(*streams(CONTAINER, blue, None)))
    record("TCP", "out", tcp(*streams(HOST, None, blue)))
    return sorted(results)


def main() -> None:
    _fresh_namespaces.enter()
    add_bridge()
    network = Network(
        "veth",
        name="eth0",
        bridge="br0",
        address=f"{CONTAINER}/24",
        owner="rates",
        rate_in=RATES["in"],
        rate_out=RATES["out"],
    )
    with NetworkNamespace.create() as blue:
        made = set_up_networks([network], netns=blue)
        results = measure_all(blue)
        assert check_networks(made, netns=blue) == []
    texts = [f"{protocol} {direction} {share:.3f}" for protocol, direction, share in results]
    print("of the requested rate, in bytes on the wire:", ", ".join(texts))
    wrong = [share for _, _, share in results if abs(share - 1) > TOLERANCE]
    sys.exit(bool(wrong) or len(results) != 4)


if __name__ == "__main__":
    main()
