"""Values by turns: what is compared is measured in the same seconds, so that drift meets all of it.

pyperf measures one benchmark after the other, each in processes of its own. On a machine that others
use, minutes then lie between a number and the one it is divided by. Here a process measures a whole
group: one value of each of its cases, then the next value of each. run.py starts several such
processes one after the other, and hands what they measured to pyperf.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from itertools import repeat
from time import perf_counter

# A case is measured by a function that does the work so many times, and tells the seconds it took.
Timer = Callable[[int], float]


def python(work: Callable[[], object]) -> Timer:
    """The case of a Python call; the loop itself adds about 20 ns."""

    def run(loops: int) -> float:
        turns = repeat(None, loops)
        start = perf_counter()
        for _ in turns:
            work()
        return perf_counter() - start

    return run


class Bare:
    """The bare system calls, in a process of their own that waits to be asked: see bare.c."""

    def __init__(self, program: str, interface: str, root: str = "/sys/class/net") -> None:
        self._process = subprocess.Popen(
            [program, interface, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def timer(self, operation: str) -> Timer:
        """The case of one of its operations."""
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None and answers is not None

        def run(loops: int) -> float:
            asked.write(f"{operation} {loops}\n")
            asked.flush()
            return int(answers.readline()) / 1e9

        return run

    def close(self) -> None:
        self._process.communicate()


def calibrate(timer: Timer, seconds: float) -> int:
    """How many times the work is done for a value that takes at least so long; a power of two."""
    loops = 1
    while timer(loops) < seconds:
        loops *= 2
    return loops


def by_turns(timers: dict[str, Timer], values: int, seconds: float) -> dict[str, dict]:
    """Measures every case: its `loops`, and its `values` in seconds for one time the work is done."""
    loops = {name: calibrate(timer, seconds) for name, timer in timers.items()}
    found: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(values):
        for name, timer in timers.items():
            found[name].append(timer(loops[name]) / loops[name])
    return {name: {"loops": loops[name], "values": found[name]} for name in timers}
