"""The processor time of `pynetstrat top` at one refresh a second: `top.py [CONTAINERS ...]`.

Run alone, it moves itself into fresh namespaces, makes so many containers, and prints the table of
docs/benchmarks.md.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from time import monotonic

import containers
import harness
import report

from pynetstrat.cli import _fresh_namespaces

LINES, COLUMNS = 40, 120
_FRAME = b"\x1b[H"  # how each drawing of the screen begins
_WARM = 4  # drawings before the measurement: an empty screen, and the first samples


class Screen:
    """The command in a terminal."""

    def __init__(self, interval: float) -> None:
        self._terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("4H", LINES, COLUMNS, 0, 0))
        command = [sys.executable, "-m", "pynetstrat", "top", "--interval", str(interval)]
        environment = os.environ | {"TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            command,
            stdin=inside,
            stdout=inside,
            stderr=subprocess.DEVNULL,
            env=environment,
            preexec_fn=harness.end_with_parent,
        )
        os.close(inside)

    def wait(self, frames: int) -> bytes:
        """Waits until so many more screens have begun to be drawn, and returns the text."""
        text = b""
        while text.count(_FRAME) < frames:
            text += os.read(self._terminal, 1 << 16)
        return text

    def close(self) -> None:
        os.write(self._terminal, b"q")
        while True:  # it waits until its output is read
            try:
                os.read(self._terminal, 1 << 16)
            except OSError:  # EIO: it has ended
                break
        os.close(self._terminal)
        if self.process.wait() != 0:
            raise RuntimeError(f"top: exit status {self.process.returncode}")


def measure(refreshes: int, interval: float = 1.0) -> report.Refresh:
    """Measures so many refreshes, in a terminal of LINES and COLUMNS."""
    screen = Screen(interval)
    at_work, harness.at_work = harness.at_work, screen.process.pid
    try:
        screen.wait(_WARM)
        begun, cpu = monotonic(), harness.cpu_ns()
        screen.wait(refreshes)
        used = (harness.cpu_ns() - cpu) / 1e9
        passed = monotonic() - begun
        resident, _ = harness.held()
    finally:
        harness.at_work = at_work
        screen.close()
    return used / refreshes, used / passed, resident


def main() -> None:
    sizes = list(map(int, sys.argv[1:])) or [1, 10, 100, 1000]
    _fresh_namespaces.enter()
    found = {}
    for size in sizes:
        with containers.made(size):
            found[size] = measure(30)
    print(report.top(found), end="")


if __name__ == "__main__":
    main()
