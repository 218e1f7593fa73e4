"""Containers to count in: each a process in a network namespace of its own, and a veth pair."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Callable, Iterator

from harness import Timer, python

import pynetstrat
from pynetstrat import NetworkInterface
from pynetstrat.cli import sandbox

_PIDS = "PYNETSTRAT_BENCH_CONTAINERS"  # how the workers know them
_AT_ONCE = 50  # pairs made by one batch: each has the descriptor of a namespace open meanwhile


def _start() -> int:
    """A container: the process's id, once it is in its namespace."""
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        sandbox.unshare(sandbox.CLONE_NEWNET)
        os.write(done, b"1")
        os.close(done)
        os.close(ready)
        while True:
            signal.pause()
    os.close(done)
    if not os.read(ready, 1):
        raise RuntimeError("a container did not start")
    os.close(ready)
    return pid


@contextlib.contextmanager
def made(count: int) -> Iterator[None]:
    """So many containers, and a fresh host's namespace with their other ends and `lo` alone."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    sandbox.unshare(sandbox.CLONE_NEWNET)
    pids: list[int] = []
    try:
        with pynetstrat.RtnetlinkSocket() as host:
            for first in range(0, count, _AT_ONCE):
                batch = pynetstrat.Batch()
                for number in range(first, min(first + _AT_ONCE, count)):
                    pids.append(_start())
                    path = f"/proc/{pids[-1]}/ns/net"
                    batch.add_veth(f"bench{number}", "eth0", netns=path, up=True)
                host.execute(batch)
        os.environ[_PIDS] = " ".join(map(str, pids))
        yield
    finally:
        os.environ.pop(_PIDS, None)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
        sandbox.setns(home, sandbox.CLONE_NEWNET)
        os.close(home)


def _pids() -> list[int]:
    return list(map(int, os.environ[_PIDS].split()))


def counters(method: str) -> Callable[[], Timer]:
    """A method of ContainerCounters."""

    def case() -> Timer:
        kept = pynetstrat.ContainerCounters()
        for pid in _pids():
            kept.add(pid, f"/proc/{pid}/ns/net")
        return python(getattr(kept, method))

    return case


def proc() -> Timer:
    """What a program does that has no library for it: a file of each container's process."""

    def read(pid: int) -> dict[str, NetworkInterface]:
        found = {}
        with open(f"/proc/{pid}/net/dev") as stream:  # noqa: PTH123
            for line in stream.readlines()[2:]:
                name, _, text = line.partition(":")
                fields = list(map(int, text.split()))
                name = name.strip()
                found[name] = NetworkInterface(name, *fields[0:4], *fields[8:12])
        return found

    pids = _pids()
    return python(lambda: {pid: read(pid) for pid in pids})


def sockets() -> Timer:
    """A socket in each container, which is kept, and keeps the container's namespace alive."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kept = [(pid, pynetstrat.RtnetlinkSocket(f"/proc/{pid}/ns/net")) for pid in _pids()]
    return python(lambda: {pid: {"eth0": socket.get_stats("eth0")} for pid, socket in kept})


CASES = {
    "read_columns": counters("read_columns"),
    "read": counters("read"),
    "a socket each": sockets,
    "/proc/PID/net/dev": proc,
}
