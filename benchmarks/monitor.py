"""Events of links in different ways: what one costs, and how soon after the change it is in hand.

The cases of the group "events", of which only the reading is measured; and those of
measure.latencies, each in a process of its own: `monitor.py CASE`.
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
CHANGES = 40  # they fit the queue of every reader, also where SO_RCVBUFFORCE is refused
_GROUP_LINK = 1


def hear() -> socket.socket:
    """A bare socket that hears of links."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    sock.bind((0, _GROUP_LINK))
    return sock


# ---- what an event costs ----

#: What reads the events that there are and says how many they were, and what ends that.
Reader = tuple[Callable[[], int], Callable[[], None]]


def _of_socket() -> Reader:
    """Every datagram is received, and nothing is made of it."""
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
    monitor.read()  # the links that there are
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
    """The case of so many changes read; to make them is outside the time."""

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


# ---- how soon it is in hand ----

#: Waits for so many events, after it has called what it is given; the nanoseconds of each since the
#: time that its alias holds.
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


#: By case: what makes the watch.
LATENCIES: dict[str, Callable[[], Watch]] = {
    "for": lambda: _by_iteration,
    "async for": lambda: _on_a_loop(asyncio.new_event_loop),
    "async for, uvloop": _on_uvloop,
    "recv": lambda: _by_socket,
    "pyroute2": lambda: _by_pyroute2,
}


def main() -> None:
    """Answers each line "watch COUNT" with two: "ready", and the nanoseconds of so many events."""
    watch = LATENCIES[sys.argv[1]]()
    for line in sys.stdin:
        found = watch(int(line.split()[1]), lambda: print("ready", flush=True))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
