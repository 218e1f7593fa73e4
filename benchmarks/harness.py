"""Measures a group of cases alternately, so that a drift of the machine affects all of them.

pyperf measures one benchmark after another. On a shared machine, minutes can lie between a number
and the number that it is divided by. This module measures one value of each case of a group, then
the next value of each. Every case has its own process, which waits while the others work. All of it
is repeated with fresh processes, and the values are passed to pyperf.
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

# Does the work of a case as often as the argument says, and returns the seconds that took.
Timer = Callable[[int], float]

#: The process whose CPU time and memory are measured. A case may start another one.
at_work = os.getpid()


def cpu_ns() -> int:
    """Returns the CPU time of the process at work."""
    # The id of another process's clock, as clock_getcpuclockid(3) computes it.
    return time.clock_gettime_ns(~at_work << 3 | 2)


def held() -> tuple[int, int]:
    """Returns the resident bytes and the number of open descriptors of the process at work."""
    files = os.listdir(f"/proc/{at_work}/fd")  # noqa: PTH208
    listing = at_work == os.getpid()  # which has a descriptor of its own
    for line in Path(f"/proc/{at_work}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024, len(files) - listing
    raise RuntimeError("smaps_rollup has no Rss")


def end_with_parent() -> None:
    """Makes the kernel kill the calling process, a child after fork(), when its parent ends."""
    parent_death_signal = 1  # linux/prctl.h
    ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def python(work: Callable[[], object]) -> Timer:
    """Returns the timer of a Python call. The loop adds about 20 ns."""

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
    """Returns a function that runs a process, which must succeed."""
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
    """Returns the timer of a whole process."""
    return python(command(arguments, environment, stdin))


class Server:
    """A process that measures values on request: bare.c or worker.py.

    Attributes:
        cpu: the CPU seconds of each value for one repetition, if the process reports them.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.cpu: list[float] = []
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, question: str) -> str:
        """Sends a line and returns the line that answers it."""
        assert self._process.stdin is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> str:
        """Returns the next line that the process prints."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended")
        return line

    def timer(self, operation: str) -> Timer:
        """Returns the timer of one of its operations."""

        def run(loops: int) -> float:
            wall, *cpu = map(int, self.ask(f"{operation} {loops}").split())
            self.cpu.extend(ns / 1e9 / loops for ns in cpu)
            return wall / 1e9

        return run

    def close(self) -> None:
        """Ends the process by closing its input."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._process.wait()


def calibrate(timer: Timer, seconds: float) -> tuple[int, float]:
    """Finds how often the work has to be repeated for a value of at least `seconds`.

    Returns that number, a power of two, and the seconds that it took. Also warms the case up.
    """
    timer(1)  # the first time opens, resolves and allocates
    loops = 1
    while (took := timer(loops)) < seconds:
        loops *= 2
    return loops, took


def once_by_turns(timers: dict[str, Timer], values: int) -> dict[str, dict]:
    """Measures every case alternately, with one repetition of the work for each value."""
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

    The state in which a case leaves the processor's caches then affects both sides of a ratio
    equally often.

    Parameters:
        values: the number of values of each case. A case with slow values gets fewer.
        seconds: the minimum time of a value.
        least: the minimum number of values of each case, however slow they are.

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
            # Spread the values of a case that has fewer over all turns.
            if turn * turns[name] // values != (turn + 1) * turns[name] // values:
                loops = found[name]["loops"]
                found[name]["values"].append(timers[name](loops) / loops)
    return found
