"""Containers to count in, each a process in a network namespace of its own and a veth pair; and the
ways to count.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import harness
from harness import Timer, end_with_parent, python

import pynetstrat
from pynetstrat import NetworkInterface
from pynetstrat.cli import sandbox

_PIDS = "PYNETSTRAT_BENCH_CONTAINERS"  # how the workers know them
_AT_ONCE = 50  # pairs made by one batch: each has the descriptor of a namespace open meanwhile


def _start() -> int:
    """A container: the process's id, once it is in its namespace."""
    ready, done = os.pipe()
    # Control-C goes to all processes; it is this one that ends the containers.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pid = os.fork()
    if pid == 0:
        try:
            end_with_parent()
            sandbox.unshare(sandbox.CLONE_NEWNET)
            os.write(done, b"1")
            os.close(done)
            os.close(ready)
            while True:
                signal.pause()
        finally:
            os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(done)
    started = os.read(ready, 1)
    os.close(ready)
    if not started:
        raise RuntimeError("a container did not start")
    return pid


@contextlib.contextmanager
def made(count: int) -> Iterator[None]:
    """So many containers, and a fresh host's namespace with their other ends, and `lo` up.

    At its end they are gone, namespaces included. Should this process be killed, they end too.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    sandbox.unshare(sandbox.CLONE_NEWNET)
    pids: list[int] = []
    try:
        with pynetstrat.RtnetlinkSocket() as host:
            host.link_set_up("lo")
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
        _wait_for_the_end()
        sandbox.setns(home, sandbox.CLONE_NEWNET)
        os.close(home)


def _wait_for_the_end() -> None:
    """Waits for the kernel to clear the containers' namespaces away, and their pairs with them.

    It does so for a while after their end, and would disturb what is measured next.
    """
    end = time.monotonic() + 60
    with pynetstrat.RtnetlinkSocket(timeout=60) as host:
        while len(host.dump_links()) > 1:
            if time.monotonic() > end:
                raise RuntimeError("the containers' pairs are still there")
            time.sleep(0.02)


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


def _allow_descriptors() -> None:
    """As many as this process may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def sockets() -> Timer:
    """A socket in each container, which is kept, and keeps the container's namespace alive."""
    _allow_descriptors()
    kept = [(pid, pynetstrat.RtnetlinkSocket(f"/proc/{pid}/ns/net")) for pid in _pids()]
    return python(lambda: {pid: {"eth0": socket.get_stats("eth0")} for pid, socket in kept})


def of_pyroute2() -> Timer:
    """The same by pyroute2, which forks a process to open each of the sockets."""
    import pyroute2

    _allow_descriptors()
    kept = [(pid, pyroute2.NetNS(f"/proc/{pid}/ns/net")) for pid in _pids()]
    return python(lambda: {pid: list(inside.link("get", ifname="eth0")) for pid, inside in kept})


def of_psutil() -> Timer:
    """psutil reads the table of the calling process's namespace, which therefore goes from one to
    the next; their descriptors are kept."""
    import psutil

    _allow_descriptors()
    kept = [(pid, os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)) for pid in _pids()]
    # It must not make up for counters that seem to have wrapped: they are another namespace's.
    table = partial(psutil.net_io_counters, pernic=True, nowrap=False)

    def read(namespace: int) -> dict:
        sandbox.setns(namespace, sandbox.CLONE_NEWNET)
        found: dict = table()
        return found

    return python(lambda: {pid: read(namespace) for pid, namespace in kept})


# As Prometheus asks.
_HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0,"
    "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
}


def scrape() -> Timer:
    """A GET at `pynetstrat exporter`, which is the process at work: the client's share of the time
    is in the time, and not in the CPU time."""
    child = subprocess.Popen(
        [sys.executable, "-m", "pynetstrat", "exporter", "--listen", "127.0.0.1:0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # which of the machine's processes it may not see
        text=True,
        preexec_fn=end_with_parent,
    )
    assert child.stdout is not None
    address = child.stdout.readline().split("/")[2]
    harness.at_work = child.pid

    def get(headers: dict[str, str]) -> bytes:
        connection = http.client.HTTPConnection(address)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics", headers=headers)
            return connection.getresponse().read()

    rows = get({}).count(b"\ncontainer_network_receive_bytes_total{")
    if rows < len(_pids()):  # those of others may be there, too, where this is no user namespace
        raise RuntimeError(f"{rows} containers in a scrape of {len(_pids())}")
    return python(lambda: get(_HEADERS))


CASES = {
    "read_columns": counters("read_columns"),
    "read": counters("read"),
    "scrape": scrape,
    "a socket each": sockets,
    "/proc/PID/net/dev": proc,
    "psutil": of_psutil,
    "pyroute2": of_pyroute2,
}


# ---- what a scrape consists of ----


def _of_host(method: str) -> Callable[[], Timer]:
    """A method of HostCounters."""

    def case() -> Timer:
        host = pynetstrat.HostCounters()
        host.refresh()
        return python(getattr(host, method))

    return case


def collect() -> Timer:
    """Both of these, and a sample for each counter."""
    from pynetstrat.prometheus import ContainerCollector

    return python(ContainerCollector().collect)


def encode() -> Timer:
    """The text of samples that have been collected."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    from pynetstrat.prometheus import ContainerCollector

    class Collected(Collector):
        def __init__(self) -> None:
            self.metrics = ContainerCollector().collect()

        def collect(self) -> list:
            return self.metrics

    registry = CollectorRegistry()
    registry.register(Collected())
    return python(partial(generate_latest, registry))


SCRAPE = {
    "scrape": scrape,
    "HostCounters.refresh": _of_host("refresh"),
    "HostCounters.read": _of_host("read"),
    "collect": collect,
    "encode": encode,
}
