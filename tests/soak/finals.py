"""Tests the final counters of many containers that end at once.

Each container receives frames, sends datagrams and ends. A `ContainerCounters` and
`pynetstrat exporter --keep-ended` count them. The program checks that

- 200 containers that each send 1,000 datagrams and are torn down at once have exact counters: as
  `tear_down_networks` returns them, in the library, and in the exporter's text;
- 200 containers whose namespace just ends have received exactly what they show, and are not exact;
- none of 500 that end between two readings is lost: a fifth of them are processes without a name,
  and the exporter makes several passes over /proc before and after.

FINALS (200) sets the number of containers; the last check has two and a half times as many.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import helpers_final
import support
from helpers_final import Ending, Sums, sums
from soak import WrongError

from pynetstrat import ContainerCounters, link_set_up
from pynetstrat._syscalls import CLONE_NEWNET, CLONE_NEWNS, MS_PRIVATE, separate_mounts, unshare
from pynetstrat.counting._listing import PASSES

CLONE_NEWPID = 0x20000000  # linux/sched.h
COUNT = int(os.environ.get("FINALS", "200"))
DATAGRAMS = 1000


@contextlib.contextmanager
def exporting() -> Iterator[str]:
    """Runs the exporter; yields its URL."""
    command = ["-W", "error", "-m", "pynetstrat", "exporter", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [sys.executable, *command, "--container", "^(torn|ended|lost)-", "--keep-ended", "600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a warning about the processes of the machine
        text=True,
    ) as exporter:
        try:
            assert exporter.stdout is not None
            yield exporter.stdout.readline().split()[1]
        finally:
            exporter.kill()


def check(what: str, found: Sums, expected: Sums) -> None:
    pairs = ((name, found.get(name), values) for name, values in expected.items())
    wrong = [pair for pair in pairs if pair[1] != pair[2]]
    if wrong:
        raise WrongError(f"{what}: {len(wrong)} of {len(expected)} are wrong: {wrong}"[:1000])


def wait_for(what: str, read: Callable[[], Sums], expected: Sums) -> None:
    """Waits until the containers are shown with these sums."""
    until = time.monotonic() + 120
    while True:
        try:
            check(what, read(), expected)
            return
        except WrongError:
            if time.monotonic() > until:
                raise
        time.sleep(0.1)


class Counted:
    """The containers of one check, which a `ContainerCounters` and an exporter count."""

    def __init__(self, counters: ContainerCounters, url: str, kind: str, count: int) -> None:
        self.counters, self.url = counters, url
        # Every fifth container of "lost" is known by a process alone.
        self.endings = [
            Ending(f"{kind}-{number}", number, by_process=kind == "lost" and number % 5 == 0)
            for number in range(count)
        ]
        for ending in self.endings:
            counters.add(ending.name, ending.path)
        self.read()

    def sums(self) -> Sums:
        return {ending.name: list(ending.sums) for ending in self.endings}

    def read(self) -> None:
        """Reads once with each reader, which must show all of them."""
        check("reading", {k: sums(v["eth0"]) for k, v in self.counters.read().items()}, self.sums())
        wait_for("scrape", lambda: helpers_final.scrape(self.url), self.sums())

    def final(self, *, exact: bool, expected: Sums) -> None:
        """Checks the final counters of all."""
        names = expected.keys()
        support.wait_until(lambda: names <= set(self.counters.gone()))

        def final() -> Sums:
            return {name: sums(rows["eth0"]) for name, rows in self.counters.final().items()}

        wait_for("final counters", final, expected)
        if any(rows["eth0"].exact != exact for rows in self.counters.final().values()):
            raise WrongError(f"not all of them have exact={exact}")
        wait_for("the exporter's final counters", lambda: helpers_final.scrape(self.url), expected)
        for name in names:
            self.counters.discard(name)


def tear_down(counters: ContainerCounters, url: str) -> None:
    counted = Counted(counters, url, "torn", COUNT)
    for number, ending in enumerate(counted.endings):
        ending.receive(number % 7)
        ending.send(DATAGRAMS)
    expected = counted.sums()
    check("tear_down_networks", helpers_final.tear_down_at_once(counted.endings), expected)
    counted.final(exact=True, expected=expected)


def end(counters: ContainerCounters, url: str) -> None:
    counted = Counted(counters, url, "ended", COUNT)
    for ending in counted.endings:
        ending.send(3)
    counted.read()
    expected = {}
    for number, ending in enumerate(counted.endings):
        sent = ending.sums[2:]
        ending.receive(1 + number)
        ending.send(5)
        expected[ending.name] = ending.sums[:2] + sent
    for ending in counted.endings:
        ending.end()
    counted.final(exact=False, expected=expected)


def end_between_readings(counters: ContainerCounters, url: str) -> None:
    counted = Counted(counters, url, "lost", COUNT * 5 // 2)
    for _ in range(PASSES):
        helpers_final.scrape(url)
    for number, ending in enumerate(counted.endings):
        ending.receive(1 + number % 100)
    expected = counted.sums()
    for ending in counted.endings:
        ending.end()
    counted.final(exact=False, expected=expected)
    for _ in range(PASSES):
        check("a later scrape", helpers_final.scrape(url), expected)


def run() -> None:
    support.die_with_parent()
    support.mount("proc", Path("/proc"), "proc")
    support.mount("tmpfs", Path("/run"), "tmpfs")
    link_set_up()
    with ContainerCounters(timeout=60) as counters, exporting() as url:
        for part in (tear_down, end, end_between_readings):
            started = time.monotonic()
            part(counters, url)
            print(f"{part.__name__}: {time.monotonic() - started:.1f} s", flush=True)
    print(
        f"{COUNT} containers torn down: every sum exact; {COUNT} that just ended: rx exact; "
        f"{COUNT * 5 // 2} that ended between two readings: none lost",
        flush=True,
    )


def main() -> None:
    # No user namespace: in one the kernel does not allow SO_RCVBUFFORCE. Processes of their own:
    # the exporter would find the namespaces of others, and all sockets hear of those it has found.
    unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID)
    separate_mounts(MS_PRIVATE)
    support.start_process(run)()


if __name__ == "__main__":
    main()
