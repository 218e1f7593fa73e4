"""Containers, and different ways to read their counters.

Each container is a process in its own network namespace, with a veth pair to the host.
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
from pynetstrat.cli import _fresh_namespaces

_PIDS = "PYNETSTRAT_BENCH_CONTAINERS"  # tells the workers the process ids
_AT_ONCE = 50  # pairs in one batch, each of which needs an open namespace


def _start() -> int:
    """Starts a container and returns the id of its process, which is in its namespace."""
    ready, done = os.pipe()
    # Ctrl-C reaches all processes, but this one has to end the containers.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pid = os.fork()
    if pid == 0:
        try:
            end_with_parent()
            _fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWNET)
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
    """Makes containers and a fresh host namespace with the host ends, in which `lo` is up.

    At the end the containers and their namespaces are gone, also if this process is killed.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    _fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWNET)
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
        _fresh_namespaces.setns(home, _fresh_namespaces.CLONE_NEWNET)
        os.close(home)


def _wait_for_the_end() -> None:
    """Waits until the kernel has deleted the containers' namespaces and pairs.

    The kernel does that asynchronously, which would disturb the next measurement.
    """
    end = time.monotonic() + 60
    with pynetstrat.RtnetlinkSocket(timeout=60) as host:
        while len(host.dump_links()) > 1:
            if time.monotonic() > end:
                raise RuntimeError("the containers' pairs are still there")
            time.sleep(0.02)


def pids() -> list[int]:
    return list(map(int, os.environ[_PIDS].split()))


def counters(method: str) -> Callable[[], Timer]:
    """Returns the case of a method of ContainerCounters."""

    def case() -> Timer:
        kept = pynetstrat.ContainerCounters()
        for pid in pids():
            kept.add(pid, f"/proc/{pid}/ns/net")
        return python(getattr(kept, method))

    return case


def proc() -> Timer:
    """Reads /proc/PID/net/dev of each container, as a program without a library does."""

    def read(pid: int) -> dict[str, NetworkInterface]:
        found = {}
        with open(f"/proc/{pid}/net/dev") as stream:  # noqa: PTH123
            for line in stream.readlines()[2:]:
                name, _, text = line.partition(":")
                fields = list(map(int, text.split()))
                name = name.strip()
                found[name] = NetworkInterface(name, *fields[0:4], *fields[8:12])
        return found

    processes = pids()
    return python(lambda: {pid: read(pid) for pid in processes})


def allow_descriptors() -> None:
    """Raises the limit on descriptors as far as allowed."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def sockets() -> Timer:
    """Keeps a socket in each container, which also keeps the container's namespace alive."""
    allow_descriptors()
    kept = [(pid, pynetstrat.RtnetlinkSocket(f"/proc/{pid}/ns/net")) for pid in pids()]
    return python(lambda: {pid: {"eth0": socket.get_stats("eth0")} for pid, socket in kept})


def of_pyroute2() -> Timer:
    """Keeps a socket of pyroute2 in each container. pyroute2 forks a process to open each."""
    import pyroute2

    allow_descriptors()
    kept = [(pid, pyroute2.NetNS(f"/proc/{pid}/ns/net")) for pid in pids()]
    return python(lambda: {pid: list(inside.link("get", ifname="eth0")) for pid, inside in kept})


def of_psutil() -> Timer:
    """Enters each namespace, because psutil reads the table of the caller's. Keeps descriptors."""
    import psutil

    allow_descriptors()
    kept = [(pid, os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)) for pid in pids()]
    # nowrap=False, because lower counters are those of another namespace and have not wrapped.
    table = partial(psutil.net_io_counters, pernic=True, nowrap=False)

    def read(namespace: int) -> dict:
        _fresh_namespaces.setns(namespace, _fresh_namespaces.CLONE_NEWNET)
        found: dict = table()
        return found

    return python(lambda: {pid: read(namespace) for pid, namespace in kept})


# The header that Prometheus sends.
_HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0,"
    "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
}


def scrape() -> Timer:
    """Sends a GET to `pynetstrat exporter`, which is the process at work.

    The elapsed time includes the client's work, the CPU time does not.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "pynetstrat", "exporter", "--listen", "127.0.0.1:0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the warning about processes that are hidden
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
    # Without a user namespace, other containers of the machine are counted as well.
    if rows < len(pids()):
        raise RuntimeError(f"{rows} containers in a scrape of {len(pids())}")
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


# ---- the parts of a scrape ----


def _of_host(method: str) -> Callable[[], Timer]:
    """Returns the case of a method of HostCounters."""

    def case() -> Timer:
        host = pynetstrat.HostCounters()
        host.refresh()
        return python(getattr(host, method))

    return case


def collect() -> Timer:
    """Refreshes, reads, and makes a sample for each counter."""
    from pynetstrat.prometheus import ContainerCollector

    return python(ContainerCollector().collect)


def text() -> Timer:
    """Writes the exporter's text of a reading in which every counter has changed."""
    from itertools import cycle

    from pynetstrat._metrics import Reading
    from pynetstrat._scrape import Scrape
    from pynetstrat.cli._exporter_text import TextWriter

    first, writer = Scrape().scrape(), TextWriter()
    later = [[value + 1 for value in column] for column in first.columns]
    readings = cycle([first, Reading(first.rows, later, first.gauges)])
    return python(lambda: writer.write(next(readings)))


def encode() -> Timer:
    """Encodes samples that were collected before, with prometheus_client."""
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
    "text": text,
    "collect": collect,
    "encode": encode,
}
