"""Values by turns: what is compared is measured in the same seconds, and drift meets all of it.

pyperf measures one benchmark after the other. On a machine that others use, minutes then lie
between a number and the one it is divided by. Here a group of cases is measured together: one value
of each, then the next value of each. Every case has a process of its own, which waits while the
others work; the whole is repeated with fresh processes, and the values are handed to pyperf.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable
from itertools import repeat
from time import perf_counter

# A case is measured by a function that does the work so many times, and returns the seconds taken.
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
    """A process that waits to be asked for values: bare.c or worker.py."""

    def __init__(self, arguments: list[str]) -> None:
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def timer(self, operation: str) -> Timer:
        """The case of one of its operations."""
        questions, answers = self._process.stdin, self._process.stdout
        assert questions is not None and answers is not None

        def run(loops: int) -> float:
            questions.write(f"{operation} {loops}\n")
            questions.flush()
            answer = answers.readline()
            if not answer:
                raise RuntimeError(f"{self._process.args} ended")
            return int(answer) / 1e9

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


def by_turns(timers: dict[str, Timer], values: int, seconds: float) -> dict[str, dict]:
    """Measures every case.

    Parameters:
        values: how many of each case. One whose value takes long gets fewer, but three at least.
        seconds: that a value takes at least.

    Returns: for each case its `loops`, and its `values` in seconds for one time the work is done.
    """
    found = {}
    turns = {}
    for name, timer in timers.items():
        loops, took = calibrate(timer, seconds)
        found[name] = {"loops": loops, "values": []}
        turns[name] = max(min(values, 3), min(values, int(2 * values * seconds / took) + 1))
    for turn in range(values):
        for name, timer in timers.items():
            # The turns of a case that has fewer are spread over those of the others.
            if turn * turns[name] // values != (turn + 1) * turns[name] // values:
                loops = found[name]["loops"]
                found[name]["values"].append(timer(loops) / loops)
    return found
