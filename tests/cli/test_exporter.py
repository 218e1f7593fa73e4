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
import struct
import subprocess
import sys
import threading
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
THREADS = 3  # one for all connections, one that scrapes, and the main one
ROOM = 256  # connections


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

    def has_taken_signal(self) -> bool:
        """Whether no signal is pending."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return re.findall(r"^(?:Shd|Sig)Pnd:\t(\w+)$", status, re.M) == ["0" * 16] * 2

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """The exit status, and what else it has printed on standard output and error."""
        self._process.send_signal(number)
        return self.wait()

    def signal_until_it_ends(self, number: int) -> None:
        while self._process.poll() is None:
            self._process.send_signal(number)

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
    with ContainerCollector() as collector:
        server = endpoint.Endpoint("127.0.0.1", 0, collector, notes.append)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
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


def test_no_routed_leaves_out_bridges(blue):
    with support.inside(blue.fileno()), support.Links() as links:
        links.add_bridge("br0")
    for options, shown in (((), {"br0", "eth0"}), (("--no-routed",), {"eth0"})):
        with running("--container", "^test-", *options) as started:
            found = {key[2] for key in started.scrape() if key[0] == RECEIVED}
        assert found == shown


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
    # A worker of the kernel's ends the namespace.
    support.wait_until(lambda: exporter.scrape()[("pynetstrat_containers",)] == 0)
    assert not any(key[0] == RECEIVED for key in exporter.scrape())


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
        ("GET", "http://192.0.2.1:80/metrics", {}, 200),
        ("GET", "HTTPS://name/metrics?x", {}, 200),
        ("GET", "http://[2001:db8::1]", {}, 200),
        ("GET", "http://name/metric", {}, 404),
        ("GET", "ftp://name/metrics", {}, 404),
        ("HEAD", "/nowhere", {}, 404),
        ("POST", "/metrics", {}, 405),
        ("POST", "/metrics", {"Content-Length": "0"}, 405),
        ("DELETE", "/", {}, 405),
        ("OPTIONS", "*", {}, 405),
        ("BREW", "/nowhere", {}, 405),
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
        response.read()
        assert response.headers["Server"].strip() == "pynetstrat"
        assert response.headers["Allow"] == ("GET, HEAD" if status == 405 else None)
    assert exporter.end() == (0, "", "")


def test_the_rest_of_a_request_that_is_refused_does_not_cost_the_client_the_response(exporter):
    connection = HTTPConnection("127.0.0.1", exporter.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", "/metrics", body=b"x" * 300_000)
        response = connection.getresponse()
        assert (response.status, response.read()) == (405, b"405 Method Not Allowed\n")


def test_an_empty_line_before_a_request_is_ignored(exporter):
    with exporter.connect() as client:
        for part in (b"\r\n", b"\r\nGET / HT", b"TP/1.1\r\nHost: x\r", b"\n\r", b"\n"):
            client.sendall(part)
        assert client.recv(15) == b"HTTP/1.0 200 OK"


@pytest.mark.parametrize(
    ("values", "coding"),
    [
        ([], "identity"),
        ([""], "identity"),
        (["gzip"], "gzip"),
        (["GZip ; Q=0.001"], "gzip"),
        (["x-gzip"], "gzip"),
        (["gzip;q=0"], "identity"),
        (["gzip;q=0.000, deflate"], "identity"),
        (["gzip;q=0", "gzip"], "identity"),
        (["deflate", "br, gzip;q=0.5"], "gzip"),
        (["br", "identity"], "identity"),
        (["gzip;q=0.5, identity;q=0.8"], "identity"),
        (["gzip;q=0.8, identity;q=0.5"], "gzip"),
        (["*"], "gzip"),
        (["*;q=0.1"], "gzip"),
        (["*, gzip;q=0"], "identity"),
        (["*;q=0"], None),
        (["identity;q=0"], None),
        (["identity;q=0, gzip;q=0"], None),
        (["identity;q=0, gzip;q=0.1"], "gzip"),
        (["identity;q=0", "*"], "gzip"),
        (["*;q=0, identity"], "identity"),
        (["*;q=0, identity;q=0.2, gzip;q=0.1"], "identity"),
        (["gzip;q=2"], "identity"),
        (["gzip;q=0.0001"], "identity"),
        (["gzip;level=9"], "identity"),
        (["gzip;"], "identity"),
        (["gzip;q=nan"], "identity"),
        ([",;=, \xff"], "identity"),
    ],
)
def test_the_content_coding_is_chosen_as_rfc_9110_says(values, coding):
    assert endpoint.choose_coding(values) == coding


@pytest.mark.parametrize("path", ["/", "/metrics"])
def test_a_client_that_accepts_no_coding_is_refused(exporter, path):
    connection = HTTPConnection("127.0.0.1", exporter.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Accept-Encoding": "identity;q=0"})
        response = connection.getresponse()
        assert (response.status, response.read()) == (406, b"406 Not Acceptable\n")
        assert response.headers["Vary"] == "Accept-Encoding"


def test_several_headers_accept_encoding_are_one_list(exporter):
    with exporter.connect() as client:
        headers = b"Accept-Encoding: br\r\naccept-encoding: gzip;q=0.5\r\n"
        client.sendall(b"GET /metrics HTTP/1.1\r\n" + headers + b"\r\n")
        response = HTTPResponse(client)
        response.begin()
        assert response.headers["Content-Encoding"] == "gzip"
        assert RECEIVED.encode() in gzip.decompress(response.read())


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


def test_it_listens_on_a_link_local_address(host):
    host.execute(Batch().add_veth("v0", "v1", up=True).set_link("v1", up=True))
    index = host.get_link("v0").index
    host.execute(Batch().add_address(index, "fe80::1/64", nodad=True))
    with running(listen="[fe80::1%v0]:0") as exporter:
        assert exporter.url == f"http://[fe80::1%v0]:{exporter.port}/metrics"
        with socket.socket(socket.AF_INET6) as client:
            client.settimeout(60)
            client.connect(("fe80::1", exporter.port, 0, index))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.0 200 OK"
        assert exporter.end() == (0, "", "")


@pytest.mark.parametrize("address", ["[fe80::1]:19580", "[FE80:0::1]:19580"])
def test_a_link_local_address_without_its_interface_is_wrong_usage(net, address):
    done = fail("--listen", address)
    assert done.returncode == 2
    remedy = "is a link-local address; add its interface: [fe80::1%eth0]:19580\n"
    assert done.stderr.endswith(remedy)


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


def test_sighup_ends_it_as_sigterm_does(exporter):
    assert exporter.end(signal.SIGHUP) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_was_ignored_at_the_start_does_not_end_it(blue, number):
    """A shell so starts what it puts in the background, and nohup any program."""
    command = ["sh", "-c", f'trap "" {number.name[3:]}; exec "$@"', "sh", *COMMAND]
    with running(command=command) as exporter:
        os.kill(exporter.pid, number)
        with exporter.get() as response:
            assert response.status == 200
        assert exporter.end(signal.SIGTERM)[:2] == (0, "")


def test_ctrl_c_ends_it_as_a_shell_expects(exporter):
    assert exporter.end(signal.SIGINT) == (128 + signal.SIGINT, "", "")


def test_more_signals_change_nothing(exporter):
    """Until the very end of the process."""
    with exporter.connect():
        exporter.signal_until_it_ends(signal.SIGTERM)
        assert exporter.wait() == (0, "", "")


_FAILING = """
import sys
from pynetstrat.cli import endpoint, main

def fail(self):
    raise OSError(28, "No space left on device")

endpoint.Endpoint._locked = fail
sys.exit(main(["exporter", "--listen", "127.0.0.1:0"]))
"""


def test_it_does_not_stay_where_it_can_serve_no_more(host):
    """epoll_ctl() can fail, for one, once fs.epoll.max_user_watches is reached."""
    done = support.python(_FAILING)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "pynetstrat: [Errno 28] No space left on device"


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
        support.wait_until(exporter.has_taken_signal)  # it is about to end, with more to write
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


@contextlib.contextmanager
def connected(exporter: Exporter, count: int, said: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many connections, each of which has sent the same, and takes nothing."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.settimeout(60)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", exporter.port))
            with contextlib.suppress(ConnectionError):
                client.sendall(said)
            clients.append(client)
        yield clients


def test_clients_that_send_nothing_do_not_stop_the_others(exporter, blue):
    with connected(exporter, ROOM + 100) as clients:
        for _ in range(3):
            assert exporter.scrape()[RECEIVED, "test-blue", "eth0", str(blue.id[1])] == 600
        assert exporter.threads() == THREADS
        assert clients[0].recv(1) == b""  # the one that was silent for longest was cut
        clients[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")  # a later one may still ask
        assert clients[-1].recv(15) == b"HTTP/1.0 200 OK"
        assert exporter.end() == (0, "", "")


@pytest.mark.parametrize("said", [b"G", b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 60000])
def test_clients_that_never_finish_a_request_do_not_stop_the_others(exporter, blue, said):
    with connected(exporter, ROOM + 50, said):
        assert exporter.scrape()[RECEIVED, "test-blue", "eth0", str(blue.id[1])] == 600
        assert exporter.threads() == THREADS
        assert exporter.end() == (0, "", "")


@pytest.fixture
def large(host: RtnetlinkSocket, blue: NetworkNamespace) -> NetworkNamespace:
    """A container whose metrics do not fit the buffers of a connection that takes nothing."""
    batch = Batch()
    for number in range(1, 300):
        batch.add_veth(f"v{number}", f"eth{number}", netns=blue)
    host.execute(batch)
    return blue


def test_clients_that_do_not_take_the_response_do_not_stop_the_others(large):
    said = b"GET /metrics HTTP/1.1\r\n\r\n"
    with (
        running("--container", "^test-") as exporter,
        connected(exporter, ROOM + 20, said) as clients,
    ):
        assert exporter.scrape()[RECEIVED, "test-blue", "eth0", str(large.id[1])] == 600
        assert exporter.threads() == THREADS
        with contextlib.suppress(ConnectionError):  # the first was cut
            while part := clients[0].recv(65536):
                assert b"pynetstrat_containers " not in part


def test_the_memory_that_responses_hold_is_bounded(large, monkeypatch):
    """Whoever does not take one for a second is cut before the next scrape."""
    notes: list[str] = []
    bodies = []

    def encode(text: bytes, coding: str) -> bytes:
        bodies.append(len(text))
        return text

    monkeypatch.setattr(endpoint, "_encode", encode)
    monkeypatch.setattr(endpoint, "_HELD_BYTES", 500_000)
    with serving(notes) as server, contextlib.ExitStack() as stack:
        assert server.room > 20
        clients = []
        for _ in range(20):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60))
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert client.recv(1) == b"H"
            clients.append(client)
            assert server.count_held() <= 500_000 + max(bodies)
    assert len(bodies) == 20
    assert sum(bodies) > 2_000_000
    assert notes == []


@pytest.mark.parametrize("count", [33, 200])
def test_clients_that_scrape_at_once_all_get_a_whole_response(large, count):
    complete = []
    with running("--container", "^test-") as exporter:
        barrier = threading.Barrier(count)

        def work() -> None:
            barrier.wait()
            with exporter.get() as response:
                body = response.read()
            assert len(body) == int(response.headers["Content-Length"])
            complete.append(body.count(b"\n" + RECEIVED.encode() + b"{"))

        support.run_threads(*[work] * count)
        assert complete == [300] * count
        assert exporter.threads() == THREADS


def test_one_scrape_answers_all_who_wait(blue, monkeypatch):
    """Those who come while it is under way get the next: none is older than its request."""
    notes: list[str] = []
    scrapes: list[threading.Event] = []
    real = endpoint.generate_latest

    def generate(registry: object) -> bytes:
        scrapes.append(threading.Event())
        scrapes[-1].wait(60)
        return real(registry) + b"# scrape %d\n" % len(scrapes)

    monkeypatch.setattr(endpoint, "generate_latest", generate)
    with serving(notes) as server, contextlib.ExitStack() as stack:

        def ask(method: str = "GET", coding: str = "identity") -> HTTPConnection:
            connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
            stack.enter_context(contextlib.closing(connection))
            connection.request(method, "/metrics", headers={"Accept-Encoding": coding})
            return connection

        first = ask()
        support.wait_until(lambda: scrapes)
        later = [ask() for _ in range(50)]
        compressed, head = ask(coding="gzip"), ask("HEAD")
        support.wait_until(lambda: server.count_waiting() == 53)
        scrapes[0].set()
        assert first.getresponse().read().endswith(b"# scrape 1\n")
        support.wait_until(lambda: len(scrapes) == 2)
        scrapes[1].set()
        for connection in later:
            assert connection.getresponse().read().endswith(b"# scrape 2\n")
        assert gzip.decompress(compressed.getresponse().read()).endswith(b"# scrape 2\n")
        assert head.getresponse().read() == b""
    assert len(scrapes) == 2
    assert notes == []


def test_a_client_that_leaves_while_it_waits_does_no_harm(exporter, blue):
    for _ in range(20):
        with exporter.connect() as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert exporter.scrape()[RECEIVED, "test-blue", "eth0", str(blue.id[1])] == 600
    assert exporter.end() == (0, "", "")


def test_a_client_has_a_few_seconds_for_its_request_in_whole(blue, monkeypatch):
    """Each byte that it sends now and then gives it no more time."""
    notes: list[str] = []
    monkeypatch.setattr(endpoint, "_REQUEST_TIME", 0.2)
    with (
        serving(notes) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=60) as client,
    ):
        client.settimeout(0.01)
        with contextlib.suppress(ConnectionError):
            while True:
                client.sendall(b"G")
                try:
                    assert client.recv(1) == b""
                    break
                except TimeoutError:
                    pass
    assert notes == []


@pytest.mark.parametrize("limit", ["_IDLE_TIME", "_RESPONSE_TIME"])
def test_a_client_has_a_few_seconds_for_taking_the_response(large, monkeypatch, limit):
    notes: list[str] = []
    monkeypatch.setattr(endpoint, limit, 0.2)
    with serving(notes) as server, socket.socket() as client:
        client.settimeout(60)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert client.recv(1) == b"H"
        support.wait_until(lambda: not server.count_held())
        taken = b""
        with contextlib.suppress(ConnectionError):
            while part := client.recv(65536):
                taken += part
    assert b"\npynetstrat_containers " not in taken
    assert notes == []


def test_a_client_that_takes_its_response_slowly_does_not_hold_up_the_end(large, monkeypatch):
    notes: list[str] = []
    monkeypatch.setattr(endpoint, "_LAST_TIME", 0.2)
    monkeypatch.setattr(endpoint, "_IDLE_TIME", 600.0)
    monkeypatch.setattr(endpoint, "_RESPONSE_TIME", 600.0)
    with serving(notes) as server, socket.socket() as client:
        client.settimeout(60)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert client.recv(1) == b"H"
        server.stop()
        support.wait_until(lambda: not server.count_held())
        taken = b""
        with contextlib.suppress(ConnectionError):
            while part := client.recv(65536):
                taken += part
    assert b"\npynetstrat_containers " not in taken
    assert notes == []


def test_few_descriptors_are_enough(blue):
    """Half of them are left for the reading; the connections that exceed the others wait."""
    command = ["sh", "-c", 'ulimit -n 24; exec "$@"', "sh", *COMMAND]
    with running("--container", "^test-", command=command) as exporter:
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(exporter.connect())
            assert exporter.scrape()[("pynetstrat_scrape_error",)] == 0
        values = exporter.scrape()
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
        url = f"http://127.0.0.1:{server.port}/metrics"
        with monkeypatch.context() as patch:
            patch.setattr("pynetstrat.counting.host.HostCounters.read", fail)
            for _ in range(3):
                assert b"\npynetstrat_scrape_error 1.0\n" in scrape()
        assert notes == ["scrape: RTM_GETSTATS: Invalid argument"]
        assert b"\npynetstrat_scrape_error 0.0\n" in scrape()


def test_an_error_that_nobody_has_thought_of_is_noted_and_answered_with_500(blue, monkeypatch):
    notes: list[str] = []
    with serving(notes) as server:
        monkeypatch.setattr(server, "registry", None)
        with pytest.raises(urllib.error.HTTPError, match="500"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics")
    assert len(notes) == 1 and "AttributeError" in notes[0]
