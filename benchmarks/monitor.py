"""LinkMonitor: events a second, and how long after a change its event is there.

`python benchmarks/monitor.py` moves itself into namespaces of its own and prints two tables.

Events: 40 changes are made, and then read; only the reading is measured. Latency: another process
gives a link a new alias every two milliseconds, the time at which it begins to: what is measured
is the kernel's work, the reader's waking, and its reading.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from time import perf_counter, perf_counter_ns

from pynetstrat import Batch, LinkMonitor, RtnetlinkSocket
from pynetstrat.cli import sandbox

CHANGES = 40  # they fit the queue of every reader, also where SO_RCVBUFFORCE is refused
ROUNDS = 200
GROUP_LINK = 1
_CHANGER = """
import time
from pynetstrat import Batch, RtnetlinkSocket
with RtnetlinkSocket() as sock:
    for _ in range(1500):
        time.sleep(0.002)
        sock.execute(Batch().set_link("bench0", alias=str(time.perf_counter_ns())))
"""


def bare() -> tuple[Callable[[], int], Callable[[], None]]:
    """Every datagram is received, and nothing is made of it."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    sock.bind((0, GROUP_LINK))
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


def ours() -> tuple[Callable[[], int], Callable[[], None]]:
    monitor = LinkMonitor()
    return lambda: len(monitor.read()), monitor.close


def of_pyroute2() -> tuple[Callable[[], int], Callable[[], None]]:
    import pyroute2

    route = pyroute2.IPRoute()
    route.bind()

    def read() -> int:
        count = 0
        while count < CHANGES:
            count += sum(1 for message in route.get() if message["event"] == "RTM_NEWLINK")
        return count

    return read, route.close


def events() -> Iterator[tuple[str, float]]:
    """Each reader, and its microseconds for an event."""
    readers = {"recv alone": bare, "LinkMonitor.read": ours}
    if importlib.util.find_spec("pyroute2"):
        readers["pyroute2"] = of_pyroute2
    with RtnetlinkSocket() as sock:
        for name, make in readers.items():
            read, close = make()
            if make is not of_pyroute2:
                read()  # what there is
            values = []
            for turn in range(ROUNDS):
                batch = Batch()
                for number in range(CHANGES):
                    batch.set_link("bench0", alias=f"{turn}.{number}")
                sock.execute(batch)
                start = perf_counter()
                count = read()
                values.append((perf_counter() - start) / count * 1e6)
                if count != CHANGES:
                    raise RuntimeError(f"{name}: {count} events")
            close()
            yield name, statistics.median(values)


def _since(alias: str) -> float | None:
    """Microseconds since the time that an alias holds."""
    return (perf_counter_ns() - int(alias)) / 1e3 if alias.isdecimal() else None


def _by_iteration() -> list[float | None]:
    found = []
    with LinkMonitor() as monitor:
        monitor.read()
        changer = subprocess.Popen([sys.executable, "-c", _CHANGER])
        for event in monitor:
            found.append(_since(event.link.alias if event.link else ""))
            if len(found) == 1500:
                break
        changer.wait()
    return found


def _on_a_loop(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> list[float | None]:
    async def main() -> list[float | None]:
        found = []
        with LinkMonitor() as monitor:
            monitor.read()
            changer = subprocess.Popen([sys.executable, "-c", _CHANGER])
            async for event in monitor:
                found.append(_since(event.link.alias if event.link else ""))
                if len(found) == 1500:
                    break
            changer.wait()
        return found

    loop = new_loop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def latencies() -> Iterator[tuple[str, list[float]]]:
    """Each way to wait, and the microseconds of its events."""
    yield "for", [value for value in _by_iteration() if value is not None]
    loops = {"async for, asyncio": asyncio.new_event_loop}
    if importlib.util.find_spec("uvloop"):
        import uvloop

        loops["async for, uvloop"] = uvloop.new_event_loop
    for name, new_loop in loops.items():
        yield name, [value for value in _on_a_loop(new_loop) if value is not None]


def main() -> None:
    """Measures and prints."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    sandbox.enter()
    with RtnetlinkSocket() as sock:
        sock.execute(Batch().add_link("bench0", "ifb", up=True))
    print("| events | µs an event | events a second |\n| --- | --- | --- |")
    for name, value in events():
        print(f"| {name} | {value:.1f} | {1e6 / value:,.0f} |")
    print("\n| latency | median | 99 % | worst |\n| --- | --- | --- | --- |")
    for name, values in latencies():
        cuts = statistics.quantiles(values, n=100)
        print(f"| {name} | {cuts[49]:.0f} µs | {cuts[98]:.0f} µs | {max(values):.0f} µs |")


if __name__ == "__main__":
    main()
