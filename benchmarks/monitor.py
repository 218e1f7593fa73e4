"""Different ways to receive events of links: the cost of an event, and the delay after the change.

Has the cases of the group "events", in which only the reading is measured, and the cases of
measure.latencies, each of which runs in its own process: `monitor.py CASE`.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections.abc import Callable
from itertools import islice
from time import perf_counter, perf_counter_ns

from harness import Timer

from pynetstrat import Batch, Event, LinkMonitor, RtnetlinkSocket

INTERFACE = "bench0"
CHANGES = 40  # fit the queue of every reader, even if SO_RCVBUFFORCE is refused
_GROUP_LINK = 1


def hear() -> socket.socket:
    """Returns a plain socket that receives notifications of links."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    sock.bind((0, _GROUP_LINK))
    return sock


# ---- the cost of an event ----

#: A function that reads the queued events and returns their number, and one that ends the reader.
Reader = tuple[Callable[[], int], Callable[[], None]]


def _of_socket() -> Reader:
    """Receives every datagram without decoding it."""
    sock = hear()
    sock.setblocking(False)

    def read() -> int:
        count = 0
        try:
            while True:
                sock.recv(32768)
                count += 1
        except BlockingIOError:
            return count

    return read, sock.close


def _of_monitor() -> Reader:
    monitor = LinkMonitor()
    monitor.read()  # the existing links
    return lambda: len(monitor.read()), monitor.close


def _of_pyroute2() -> Reader:
    import pyroute2

    route = pyroute2.IPRoute()
    route.bind()

    def read() -> int:
        count = 0
        while count < CHANGES:
            count += sum(1 for message in route.get() if message["event"] == "RTM_NEWLINK")
        return count

    return read, route.close


def _reading(make: Callable[[], Reader]) -> Callable[[], Timer]:
    """Returns the timer of reading CHANGES changes. Making the changes is not measured."""

    def case() -> Timer:
        changer = RtnetlinkSocket()

        def run(loops: int) -> float:
            took = 0.0
            for turn in range(loops):
                read, close = make()
                batch = Batch()
                for number in range(CHANGES):
                    batch.set_link(INTERFACE, alias=f"{turn}.{number}")
                changer.execute(batch)
                start = perf_counter()
                count = read()
                took += perf_counter() - start
                close()
                if count != CHANGES:
                    raise RuntimeError(f"{count} events of {CHANGES} changes")
            return took

        return run

    return case


EVENTS = {
    "LinkMonitor.read": _reading(_of_monitor),
    "recv": _reading(_of_socket),
    "pyroute2": _reading(_of_pyroute2),
}


# ---- the delay after a change ----

#: Calls a function, waits for a number of events, and returns the nanoseconds between the time in
#: the alias and the receipt of each.
Watch = Callable[[int, Callable[[], object]], list[int]]


def _since(alias: str) -> int:
    return perf_counter_ns() - int(alias.removeprefix("at:"))


def _of(event: Event) -> int:
    assert event.link is not None
    return _since(event.link.alias)


def _by_socket(count: int, ready: Callable[[], object]) -> list[int]:
    found = []
    with hear() as sock:
        ready()
        for _ in range(count):
            alias = re.search(rb"at:\d+", sock.recv(32768))
            assert alias is not None
            found.append(_since(alias[0].decode()))
    return found


def _by_iteration(count: int, ready: Callable[[], object]) -> list[int]:
    with LinkMonitor() as monitor:
        monitor.read()
        ready()
        return list(map(_of, islice(monitor, count)))


def _on_a_loop(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> Watch:
    async def watch(count: int, ready: Callable[[], object]) -> list[int]:
        found: list[int] = []
        with LinkMonitor() as monitor:
            monitor.read()
            ready()
            async for event in monitor:
                found.append(_of(event))
                if len(found) == count:
                    break
        return found

    loop = new_loop()
    return lambda count, ready: loop.run_until_complete(watch(count, ready))


def _by_pyroute2(count: int, ready: Callable[[], object]) -> list[int]:
    import pyroute2

    found: list[int] = []
    with pyroute2.IPRoute() as route:
        route.bind()
        ready()
        while len(found) < count:
            for message in route.get():
                if message["event"] == "RTM_NEWLINK":
                    found.append(_since(message.get_attr("IFLA_IFALIAS")))
    return found


def _on_uvloop() -> Watch:
    import uvloop

    return _on_a_loop(uvloop.new_event_loop)


#: The function that makes the watch, by case.
LATENCIES: dict[str, Callable[[], Watch]] = {
    "for": lambda: _by_iteration,
    "async for": lambda: _on_a_loop(asyncio.new_event_loop),
    "async for, uvloop": _on_uvloop,
    "recv": lambda: _by_socket,
    "pyroute2": lambda: _by_pyroute2,
}


def main() -> None:
    """Answers each line "watch COUNT" with "ready", and with the nanoseconds of COUNT events."""
    watch = LATENCIES[sys.argv[1]]()
    for line in sys.stdin:
        found = watch(int(line.split()[1]), lambda: print("ready", flush=True))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
