"""The exporter for tests: as a process, or its endpoint alone; containers; and clients."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
import support
from helpers_cli import call
from prometheus_client.parser import text_string_to_metric_families

from pynetstrat import Batch, NetworkNamespace, RtnetlinkSocket, cli
from pynetstrat._scrape import Scrape
from pynetstrat.cli import _exporter_connection
from pynetstrat.cli._exporter_endpoint import Endpoint
from pynetstrat.cli._exporter_metrics import Metrics

COMMAND = [sys.executable, "-W", "error", "-m", "pynetstrat", "exporter"]
RECEIVED = "container_network_receive_bytes_total"
SCRAPE = b"GET /metrics HTTP/1.1\r\n\r\n"

Values = dict[tuple[str, ...], float]


# ---- the command, and its endpoint ----


class Exporter:
    """The running command.

    Attributes:
        port: the port it listens on.
        url: the URL of its metrics.
        pid: the id of its process.
        uncounted: the warning about what it cannot count; set when it has ended.
    """

    uncounted = ""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        ready = process.stdout.readline()
        found = re.fullmatch(r"serving (http://.*:([0-9]+)/metrics)\n", ready)
        assert found, (ready, process.stderr)
        self.url, self.port = found[1], int(found[2])
        self.pid = process.pid
        self._process = process

    def get(self, path: str = "/metrics", **headers: str) -> HTTPResponse:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url.replace("/metrics", path), headers=headers)
        response: HTTPResponse = urllib.request.urlopen(request, timeout=60)
        return response

    def scrape(self) -> Values:
        """Returns the values by the name of the metric and the values of its labels."""
        with self.get() as response:
            exposed = response.read().decode()
        return {
            (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
            for family in text_string_to_metric_families(exposed)
            for sample in family.samples
        }

    def connect(self) -> socket.socket:
        """Connects a client that has not sent anything yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def connect_http(self) -> contextlib.closing[HTTPConnection]:
        return contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=60))

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))  # noqa: PTH208

    def has_taken_signal(self) -> bool:
        """Returns whether the process has taken every signal sent to it."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return re.findall(r"^(?:Shd|Sig)Pnd:\t(\w+)$", status, re.M) == ["0" * 16] * 2

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Sends a signal and returns what `wait` returns."""
        self._process.send_signal(number)
        return self.wait()

    def signal_until_it_ends(self, number: int) -> None:
        while self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self) -> tuple[int, str, str]:
        """Returns the exit status, and the rest of standard output and standard error."""
        output, errors = self._process.communicate(timeout=60)
        # The tests are in a user namespace, from which other processes of the machine are hidden.
        if errors.startswith("pynetstrat: warning: not counted: "):
            self.uncounted, errors = errors.split("\n", 1)
        return self._process.returncode, output, errors


@contextlib.contextmanager
def running(
    *arguments: str, command: list[str] | None = None, listen: str = "127.0.0.1:0"
) -> Iterator[Exporter]:
    """Runs the command, and kills it at the end if it is still running.

    Parameters:
        command: a program that runs the command. None stands for a fork of the test's process.
    """
    arguments = ("--listen", listen, *arguments)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": support.ROOT}
    if command is None:
        started = support.fork(lambda: cli.main(["exporter", *arguments]), **options)
    else:
        started = subprocess.Popen([*command, *arguments], text=True, **options)
    with started as process:
        try:
            yield Exporter(process)
        finally:
            if process.poll() is None:
                process.kill()


@contextlib.contextmanager
def serving(log: list[str]) -> Iterator[Endpoint]:
    """Serves with the endpoint alone, in this process. `log` gets what it logs."""
    with Scrape() as scrape:
        endpoint = Endpoint("127.0.0.1", 0, Metrics(scrape, log.append), log.append)
        thread = threading.Thread(target=endpoint.serve)
        thread.start()
        try:
            yield endpoint
        finally:
            endpoint.stop()
            thread.join()


def fail(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command, which must fail with one line on standard error."""
    done = call("exporter", *arguments)
    assert done.stdout == ""
    assert done.stderr.startswith("pynetstrat: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done


def misuse(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command, which must print its usage and a line that begins with "error: "."""
    done = call("exporter", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: pynetstrat exporter ")
    assert done.stderr.splitlines()[-1].startswith("pynetstrat exporter: error: ")
    return done


# ---- containers ----


@pytest.fixture
def exporter_host(host: RtnetlinkSocket, run: None) -> RtnetlinkSocket:
    """A host whose lo is up, and that has its own /run/netns."""
    host.link_set_up("lo")
    return host


@pytest.fixture
def blue(exporter_host: RtnetlinkSocket) -> Iterator[NetworkNamespace]:
    """The container test-blue, which has received 3 frames of 200 bytes on eth0."""
    with NetworkNamespace.create("test-blue") as container:
        exporter_host.execute(Batch().add_veth("v0", "eth0", netns=container, mtu=support.MTU))
        with RtnetlinkSocket(container) as inside:
            inside.link_set_up("eth0")
        exporter_host.link_set_up("v0")
        support.send_frames("v0", 3, 200)
        yield container


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has an exporter wait ten minutes for what a client sends and takes, in place of seconds.

    On a busy machine seconds may pass in which a client of a test does not run.
    """
    for limit in ("_REQUEST_TIME", "_IDLE_TIME", "_RESPONSE_TIME"):
        monkeypatch.setattr(_exporter_connection, limit, 600.0)


@pytest.fixture
def exporter(blue: NetworkNamespace, patient: None) -> Iterator[Exporter]:
    with running("--container", "^test-") as started:
        yield started


@pytest.fixture
def large(exporter_host: RtnetlinkSocket, blue: NetworkNamespace) -> NetworkNamespace:
    """A container whose metrics do not fit the buffers of a connection that takes nothing."""
    batch = Batch()
    for number in range(1, 300):
        batch.add_veth(f"v{number}", f"eth{number}", netns=blue)
    exporter_host.execute(batch)
    return blue


def received(values: Values, container: NetworkNamespace) -> float:
    """Returns how many bytes `blue` has received according to a scrape."""
    return values[RECEIVED, "test-blue", "eth0", str(container.id[1])]


# ---- clients ----


def connect_slow(port: int, sent: bytes = SCRAPE) -> socket.socket:
    """Connects a client with a small receive buffer, which sends a request and takes nothing."""
    client = socket.socket()
    client.settimeout(60)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect(("127.0.0.1", port))
    with contextlib.suppress(ConnectionError):
        client.sendall(sent)
    return client


@contextlib.contextmanager
def connected(exporter: Exporter, count: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connects `count` slow clients, each of which sends the same."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect_slow(exporter.port, sent)) for _ in range(count)]


def take_rest(client: socket.socket) -> bytes:
    """Returns what a client can still receive until its connection is closed."""
    taken = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(65536):
            taken += part
    return taken
