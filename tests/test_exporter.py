"""cli/exporter.py and cli/endpoint.py: the command as a process, and clients that mean harm.

(With a real Prometheus: check/prometheus.sh.)
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
import support
from prometheus_client.parser import text_string_to_metric_families

from pynetstrat import Batch, KernelError, NetworkNamespace, RtnetlinkSocket
from pynetstrat.cli import endpoint
from pynetstrat.prometheus import ContainerCollector

COMMAND = [sys.executable, "-W", "error", "-m", "pynetstrat", "exporter"]
RECEIVED = "container_network_receive_bytes_total"
THREADS = 34  # 32 for connections, one that accepts them, and the main one


class Exporter:
    """The command, running.

    Attributes:
        port: where it listens.
        url: its metrics.
        pid: its process's.
        uncounted: once it has ended, what it has reported that it can't count.
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

    def scrape(self) -> dict[tuple[str, ...], float]:
        """The values by the name of the metric and the labels' values."""
        with self.get() as response:
            exposed = response.read().decode()
        return {
            (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
            for family in text_string_to_metric_families(exposed)
            for sample in family.samples
        }

    def connect(self) -> socket.socket:
        """A client that has not sent anything yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))  # noqa: PTH208

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """The exit status, and what else it has printed on standard output and error."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str, str]:
        output, errors = self._process.communicate(timeout=60)
        # The tests are in a user namespace, from which other processes of the machine are hidden.
        if errors.startswith("pynetstrat: warning: not counted: "):
            self.uncounted, errors = errors.split("\n", 1)
        return self._process.returncode, output, errors


@contextlib.contextmanager
def running(
    *arguments: str, command: list[str] = COMMAND, listen: str = "127.0.0.1:0"
) -> Iterator[Exporter]:
    """The command until it has ended, by itself or by SIGKILL."""
    with subprocess.Popen(
        [*command, "--listen", listen, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=support.ROOT,
    ) as process:
        try:
            yield Exporter(process)
        finally:
            if process.poll() is None:
                process.kill()


@contextlib.contextmanager
def serving(notes: list[str]) -> Iterator[endpoint.Endpoint]:
    """The endpoint alone, in this process."""
    with (
        ContainerCollector() as collector,
        endpoint.Endpoint("127.0.0.1", 0, collector, notes.append) as server,
    ):
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def host(host: RtnetlinkSocket, run: None) -> RtnetlinkSocket:
    """A host whose lo is up, and with names of namespaces of its own."""
    host.link_set_up("lo")
    return host


@pytest.fixture
def blue(host: RtnetlinkSocket) -> Iterator[NetworkNamespace]:
    """The container test-blue, which has received 3 frames of 200 bytes on eth0."""
    with NetworkNamespace.create("test-blue") as container:
        host.execute(Batch().add_veth("v0", "eth0", netns=container, mtu=support.MTU))
        with RtnetlinkSocket(container) as there:
            there.link_set_up("eth0")
        host.link_set_up("v0")
        support.send_frames("v0", 3, 200)
        yield container


@pytest.fixture
def exporter(blue: NetworkNamespace) -> Iterator[Exporter]:
    with running("--container", "^test-") as started:
        yield started


def fail(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A call that fails with one line on standard error."""
    done = support.run([*COMMAND, *arguments])
    assert done.stdout == ""
    assert done.stderr.startswith("pynetstrat: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done


# ---- what it serves ----


def test_it_serves_the_traffic_of_a_container(exporter, blue):
    inode = str(blue.id[1])
    values = exporter.scrape()
    assert values[RECEIVED, "test-blue", "eth0", inode] == 600
    assert values["container_network_receive_packets_total", "test-blue", "eth0", inode] == 3
    assert values[("pynetstrat_containers",)] == 1
    assert values[("pynetstrat_scrape_error",)] == 0
    assert values[("process_open_fds",)] > 0  # its own health
    support.send_frames("v0", 1, 100)
    assert exporter.scrape()[RECEIVED, "test-blue", "eth0", inode] == 700


def test_the_series_of_a_container_that_ended_go_away(exporter, blue):
    assert any(key[0] == RECEIVED for key in exporter.scrape())
    NetworkNamespace.delete("test-blue")
    blue.close()
    values = exporter.scrape()
    assert not any(key[0] == RECEIVED for key in values)
    assert values[("pynetstrat_containers",)] == 0


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5", ",;=, \xff"],
)
def test_whatever_a_client_accepts_it_gets_text(exporter, accept):
    with exporter.get(Accept=accept) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        exposed = response.read().decode()
    (received,) = (
        f for f in text_string_to_metric_families(exposed) if f.name + "_total" == RECEIVED
    )
    assert received.type == "counter"
    assert [(sample.name, sample.value) for sample in received.samples] == [(RECEIVED, 600)]


def test_a_response_is_compressed_for_those_who_accept_it(exporter):
    with exporter.get(Accept_Encoding="gzip") as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert RECEIVED.encode() in gzip.decompress(response.read())
    with exporter.get() as response:
        assert response.headers["Content-Encoding"] is None


def test_head_gives_the_headers_alone(exporter):
    connection = HTTPConnection("127.0.0.1", exporter.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("HEAD", "/metrics")
        response = connection.getresponse()
        assert response.status == 200
        assert int(response.headers["Content-Length"]) > 1000
        assert response.read() == b""


def test_the_length_of_a_response_is_known(exporter):
    with exporter.get() as response:
        assert int(response.headers["Content-Length"]) == len(response.read())


def test_the_page_at_the_root_leads_to_the_metrics(exporter):
    with exporter.get("/") as response:
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert b'href="/metrics"' in response.read()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/metrics?name[]=x", {}, 200),
        ("GET", "/metrics/", {}, 404),
        ("GET", "/etc/passwd", {}, 404),
        ("GET", "/../metrics", {}, 404),
        ("POST", "/metrics", {}, 501),
        ("DELETE", "/", {}, 501),
        ("GET", "/metrics", {"Connection": "keep-alive", "Expect": "100-continue"}, 200),
        ("GET", "/metrics", {"X": "x" * 70000}, 431),
        ("GET", "/metrics", {f"X{number}": "x" for number in range(101)}, 431),
        ("GET", "/" + "x" * 70000, {}, 414),
    ],
)
def test_a_request_is_answered_with_its_status(exporter, method, path, headers, status):
    connection = HTTPConnection("127.0.0.1", exporter.port, timeout=60)
    with contextlib.closing(connection):
        with contextlib.suppress(ConnectionError):  # the answer may come before all is sent
            connection.request(method, path, headers=headers)
        response = connection.getresponse()
        assert response.status == status
        with contextlib.suppress(ConnectionError):
            response.read()
        assert response.headers["Server"].strip() == "pynetstrat"
    assert exporter.end() == (0, "", "")


# ---- how it starts ----


def test_it_listens_on_ipv6_too(host):
    with running(listen="[::1]:0") as exporter:
        assert exporter.url.startswith("http://[::1]:")
        with exporter.get() as response:
            assert response.status == 200


@pytest.mark.parametrize("only_ipv6", ["0", "1"])
def test_the_unspecified_ipv6_address_takes_ipv4_too_whatever_the_default(host, only_ipv6):
    Path("/proc/sys/net/ipv6/bindv6only").write_text(only_ipv6)
    with running(listen="[::]:0") as exporter, exporter.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.0 200 OK"


def test_it_listens_on_the_loopback_unless_told_otherwise(host):
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True, cwd=support.ROOT) as process:
        try:
            assert process.stdout.readline() == "serving http://127.0.0.1:19580/metrics\n"
        finally:
            process.kill()


def test_an_address_that_is_taken_is_an_error_in_one_line(exporter):
    address = f"127.0.0.1:{exporter.port}"
    done = fail("--listen", address)
    assert done.returncode == 1
    assert f"bind {address}: Address already in use; another program has it" in done.stderr
    with exporter.get() as response:  # the first is not disturbed
        assert response.status == 200


@pytest.mark.parametrize("address", ["192.0.2.1:0", "[2001:db8::1]:0", "[fe80::1%nothing]:0"])
def test_an_address_of_another_host_is_an_error_in_one_line(host, address):
    done = fail("--listen", address)
    assert done.returncode == 1
    assert "this host has no such address" in done.stderr


def test_a_port_that_takes_a_capability_is_an_error_in_one_line(host):
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("1024")
    done = support.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *COMMAND, "--listen", "127.0.0.1:80"]
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "bind 127.0.0.1:80: Permission denied; ports below 1024" in done.stderr


@pytest.mark.parametrize(
    "address",
    [
        *("", ":", "9100", ":9100", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536"),
        *("127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:1\n", "127.0.0.1:\u0661"),
        *("::1:9100", "[::1]", "[::1]:", "[127.0.0.1]:9100", "[::1", "::1]:9100", "[:]:1"),
        *("localhost:9100", "1:9100", "127.1:9100", "http://127.0.0.1:9100", "127.0.0.1:1/metrics"),
    ],
)
def test_an_address_that_is_not_valid_is_wrong_usage(net, address):
    done = fail(f"--listen={address}")
    assert done.returncode == 2
    assert "is not an address and a port, such as 127.0.0.1:0" in done.stderr


@pytest.mark.parametrize(
    "option", ["--container", "--exclude-container", "--interface", "--exclude-interface"]
)
@pytest.mark.parametrize(
    "pattern", ["(", "[z-a]", "*eth", "\\", "(?P<a", "a{99999999999999999999}"]
)
def test_a_pattern_that_is_not_valid_is_wrong_usage(net, option, pattern):
    done = fail(f"{option}={pattern}")
    assert done.returncode == 2
    assert f"{option} " in done.stderr and "is not a regular expression: " in done.stderr


def test_filters_choose_containers_and_interfaces(host, blue):
    host.execute(Batch().add_veth("v1", "net1", netns=blue).add_veth("v2", "eth2", netns=blue))
    arguments = ["--container", "blue", "--exclude-container", "red", "--interface", "^eth"]
    with running(*arguments, "--exclude-interface", "2$") as exporter:
        shown = {key[1:3] for key in exporter.scrape() if key[0] == RECEIVED}
    assert shown == {("test-blue", "eth0")}


def test_what_is_not_counted_is_reported_in_one_line_at_the_start(blue):
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *COMMAND]
    with running("--container", "^test-", command=command) as exporter:
        values = exporter.scrape()
        assert exporter.end() == (0, "", "")
    assert re.search("containers: [0-9]+, such as .*CAP_SYS_ADMIN", exporter.uncounted)
    assert values[("pynetstrat_containers",)] == 0
    assert values[("pynetstrat_containers_refused",)] == 1
    assert values[("pynetstrat_scrape_error",)] == 0


def test_without_prometheus_client_it_says_what_to_install(net):
    code = """
import sys
sys.modules["prometheus_client"] = None
from pynetstrat.cli import main
sys.exit(main(["exporter", *sys.argv[1:]]))
"""
    done = support.python(code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "pynetstrat: pynetstrat.prometheus needs prometheus_client: install pynetstrat[exporter]\n"
    )
    assert support.python(code, "--help").stdout.startswith("usage: pynetstrat exporter ")


# ---- how it ends ----


def test_sigterm_ends_it_with_status_0(exporter):
    assert exporter.end(signal.SIGTERM) == (0, "", "")
    with pytest.raises(ConnectionRefusedError):
        exporter.connect()


def test_ctrl_c_ends_it_as_a_shell_expects(exporter):
    assert exporter.end(signal.SIGINT) == (128 + signal.SIGINT, "", "")


def test_a_second_signal_changes_nothing(exporter):
    with exporter.connect():
        os.kill(exporter.pid, signal.SIGTERM)
        os.kill(exporter.pid, signal.SIGTERM)
        assert exporter.end(signal.SIGTERM) == (0, "", "")


def test_ctrl_c_is_ignored_where_the_shell_had_it_ignored(blue):
    """A shell starts what it puts in the background so."""
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *COMMAND]
    with running(command=command) as exporter:
        os.kill(exporter.pid, signal.SIGINT)
        with exporter.get() as response:
            assert response.status == 200
        assert exporter.end(signal.SIGTERM)[:2] == (0, "")


def test_a_response_that_was_begun_is_written_before_the_end(host, blue):
    for number in range(1, 100):
        host.execute(Batch().add_veth(f"v{number}", f"eth{number}", netns=blue))
    with running("--container", "^test-") as exporter, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.connect(("127.0.0.1", exporter.port))
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        answer = client.recv(100)
        os.kill(exporter.pid, signal.SIGTERM)
        time.sleep(0.3)  # so that it is on its way out while there is more to write
        while part := client.recv(65536):
            answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n"
        assert body.count(b"\n" + RECEIVED.encode()) == 100
        assert exporter.wait() == (0, "", "")


def test_a_standard_output_that_is_closed_does_not_keep_it_from_serving(host):
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "--listen", "127.0.0.1:19581"]

    def is_served() -> bool:
        try:
            with urllib.request.urlopen("http://127.0.0.1:19581/", timeout=60) as response:
                return response.status == 200
        except urllib.error.URLError:
            return False

    with subprocess.Popen(command, cwd=support.ROOT) as process:
        try:
            support.wait_until(is_served)
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_a_standard_output_that_is_full_ends_it(host):
    script = 'exec "$@" >/dev/full'
    done = support.run(["sh", "-c", script, "sh", *COMMAND, "--listen", "127.0.0.1:0"])
    assert done.returncode == 1
    assert done.stderr.endswith("pynetstrat: standard output: [Errno 28] No space left on device\n")


# ---- clients that mean harm ----


def test_clients_that_send_nothing_do_not_stop_the_others(exporter, blue):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(exporter.connect()) for _ in range(200)]
        for _ in range(3):
            assert exporter.scrape()[RECEIVED, "test-blue", "eth0", str(blue.id[1])] == 600
        assert exporter.threads() <= THREADS
        assert clients[0].recv(1) == b""  # the one that has kept it waiting longest had to go
        clients[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")  # a later one may still ask
        assert clients[-1].recv(15) == b"HTTP/1.0 200 OK"
        assert exporter.end() == (0, "", "")


def test_clients_that_never_finish_a_request_do_not_stop_the_others(exporter, blue):
    with contextlib.ExitStack() as stack:
        for number in range(100):
            client = stack.enter_context(exporter.connect())
            with contextlib.suppress(ConnectionError):
                client.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 600 * number)
        assert exporter.scrape()[RECEIVED, "test-blue", "eth0", str(blue.id[1])] == 600
        assert exporter.threads() <= THREADS
        assert exporter.end() == (0, "", "")


def test_clients_that_do_not_take_the_response_do_not_stop_the_others(host, blue):
    for number in range(1, 100):
        host.execute(Batch().add_veth(f"v{number}", f"eth{number}", netns=blue))
    with running("--container", "^test-") as exporter, contextlib.ExitStack() as stack:
        for _ in range(70):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", exporter.port))
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert exporter.scrape()[RECEIVED, "test-blue", "eth0", str(blue.id[1])] == 600
        assert exporter.threads() <= THREADS


def test_a_client_has_a_few_seconds_for_its_request(blue):
    """The clock is set forward for one that sends a byte now and then."""
    notes: list[str] = []
    with (
        serving(notes) as server,
        socket.create_connection(server.server_address, timeout=60) as client,
    ):
        client.sendall(b"G")
        support.wait_until(lambda: server._due)
        client.sendall(b"E")
        (connection,) = server._due
        assert 0 < server._due[connection] - time.monotonic() <= 5
        server.expect(connection, -1)
        assert client.recv(1) == b""
    assert notes == []


def test_few_descriptors_are_enough(blue):
    """Fewer than 32 connections take: what can't be accepted waits, and nothing breaks."""
    command = ["sh", "-c", 'ulimit -n 24; exec "$@"', "sh", *COMMAND]
    with running("--container", "^test-", command=command) as exporter:
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(exporter.connect())
            time.sleep(0.5)
        for _ in range(200):
            values = exporter.scrape()
            if values[("pynetstrat_scrape_error",)] == 0:
                break
        assert values[RECEIVED, "test-blue", "eth0", str(blue.id[1])] == 600
        assert exporter.end()[0] == 0


def test_scrapes_at_once_are_all_complete(exporter, blue):
    def work() -> None:
        for _ in range(10):
            values = exporter.scrape()
            assert values[RECEIVED, "test-blue", "eth0", str(blue.id[1])] == 600
            assert sum(key[0].startswith("container_network_") for key in values) == 8

    support.run_threads(*[work] * 8)


def test_a_reading_that_fails_is_noted_once_and_served_as_such(blue, monkeypatch):
    notes: list[str] = []

    def fail(_: object) -> None:
        raise KernelError(22, "RTM_GETSTATS")

    def scrape() -> bytes:
        with urllib.request.urlopen(url, timeout=60) as response:
            return bytes(response.read())

    with serving(notes) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/metrics"
        with monkeypatch.context() as patch:
            patch.setattr("pynetstrat.discovery.HostCounters.read", fail)
            for _ in range(3):
                assert b"\npynetstrat_scrape_error 1.0\n" in scrape()
        assert notes == ["scrape: RTM_GETSTATS: Invalid argument"]
        assert b"\npynetstrat_scrape_error 0.0\n" in scrape()


def test_an_error_that_nobody_has_thought_of_is_noted_and_answered_with_500(blue, monkeypatch):
    notes: list[str] = []
    with serving(notes) as server:
        monkeypatch.setattr(server, "registry", None)
        with pytest.raises(urllib.error.HTTPError, match="500"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/metrics")
    assert len(notes) == 1 and "AttributeError" in notes[0]
