"""Values by turns: what is compared is measured in the same seconds, and drift meets all of it.

pyperf measures one benchmark after the other. On a machine that others use, minutes then lie
between a number and the one it is divided by. Here a group of cases is measured together: one value
of each, then the next value of each. Every case has a process of its own, which waits while the
others work; the whole is repeated with fresh processes, and the values are handed to pyperf.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from time import perf_counter

# A case is measured by a function that does the work so many times, and returns the seconds taken.
Timer = Callable[[int], float]

#: The process that does a case's work, whose CPU time and memory count. A case may start another.
at_work = os.getpid()


def cpu_ns() -> int:
    """The CPU time that the process at work has taken."""
    # The kernel's id of another process's clock, as clock_getcpuclockid(3) makes it.
    return time.clock_gettime_ns(~at_work << 3 | 2)


def held() -> tuple[int, int]:
    """The resident bytes of the process at work, and how many descriptors it has open."""
    files = os.listdir(f"/proc/{at_work}/fd")  # noqa: PTH208
    listing = at_work == os.getpid()  # which takes one itself
    for line in Path(f"/proc/{at_work}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024, len(files) - listing
    raise RuntimeError("smaps_rollup has no Rss")


def end_with_parent() -> None:
    """Has the kernel kill the calling process, a child just forked, once its parent ends."""
    parent_death_signal = 1  # linux/prctl.h
    ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def python(work: Callable[[], object]) -> Timer:
    """The case of a Python call; the loop itself adds about 20 ns."""

    def run(loops: int) -> float:
        turns = repeat(None, loops)
        start = perf_counter()
        for _ in turns:
            work()
        return perf_counter() - start

    return run


def command(
    arguments: list[str], environment: dict[str, str] | None = None, stdin: str = os.devnull
) -> Callable[[], None]:
    """Runs a whole process, from its start to its end; it has to succeed."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    ]
    environment = dict(os.environ) if environment is None else environment

    def run() -> None:
        child = os.posix_spawn(arguments[0], arguments, environment, file_actions=actions)
        _, status = os.waitpid(child, 0)
        if status != 0:
            raise RuntimeError(f"{arguments}: wait status {status}")

    return run


def process(
    arguments: list[str], environment: dict[str, str] | None = None, stdin: str = os.devnull
) -> Timer:
    """The case of a whole process."""
    return python(command(arguments, environment, stdin))


class Server:
    """A process that waits to be asked for values: bare.c or worker.py.

    Attributes:
        cpu: the CPU seconds of each value so far, for one time the work is done, where it says.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.cpu: list[float] = []
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, question: str) -> str:
        """The line that it answers a line with."""
        assert self._process.stdin is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended")
        return line

    def timer(self, operation: str) -> Timer:
        """The case of one of its operations."""

        def run(loops: int) -> float:
            wall, *cpu = map(int, self.ask(f"{operation} {loops}").split())
            self.cpu.extend(ns / 1e9 / loops for ns in cpu)
            return wall / 1e9

        return run

    def close(self) -> None:
        """Ends the process, by the end of its input."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._process.wait()


def calibrate(timer: Timer, seconds: float) -> tuple[int, float]:
    """How many times the work is done for a value that takes at least so long, a power of two; and
    how long that took. Warms the case up, too."""
    timer(1)  # the first time opens, resolves and allocates
    loops = 1
    while (took := timer(loops)) < seconds:
        loops *= 2
    return loops, took


def once_by_turns(timers: dict[str, Timer], values: int) -> dict[str, dict]:
    """Measures every case, with the work done once for a value; otherwise as `by_turns`."""
    found: dict[str, dict] = {name: {"loops": 1, "values": []} for name in timers}
    for timer in timers.values():
        timer(1)
    for _ in range(values):
        for name, timer in timers.items():
            found[name]["values"].append(timer(1))
    return found


def by_turns(
    timers: dict[str, Timer], values: int, seconds: float, least: int = 3
) -> dict[str, dict]:
    """Measures every case alternately: forwards in one turn, backwards in the next (ABBA).

    What a case leaves in the processor's caches then meets both sides of a ratio equally often.

    Parameters:
        values: how many of each case. A case whose value takes long gets fewer.
        seconds: the least time of a value.
        least: the least number of values of each case, whatever they take.

    Returns: for each case its `loops`, and its `values` in seconds for one repetition of the work.
    """
    found = {}
    turns = {}
    values = max(values, least)
    for name, timer in timers.items():
        loops, took = calibrate(timer, seconds)
        found[name] = {"loops": loops, "values": []}
        turns[name] = max(least, min(values, int(2 * values * seconds / took) + 1))
    for turn in range(values):
        for name in list(timers)[:: 1 if turn % 2 == 0 else -1]:
            # The values of a case that has fewer are spread over the turns of the others.
            if turn * turns[name] // values != (turn + 1) * turns[name] // values:
                loops = found[name]["loops"]
                found[name]["values"].append(timers[name](loops) / loops)
    return found
