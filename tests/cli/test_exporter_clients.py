"""cli/_exporter_*.py: many clients, slow clients and hostile clients do not stop the others."""

from __future__ import annotations

import contextlib
import gzip
import select
import socket
import struct
import threading
import urllib.error
import urllib.request
from http.client import HTTPConnection

import pytest
import support
from helpers_exporter import (
    COMMAND,
    RECEIVED,
    SCRAPE,
    connect_slow,
    connected,
    received,
    running,
    serving,
    take_rest,
)

from pynetstrat import Batch, KernelError
from pynetstrat.cli import _exporter_connection, _exporter_endpoint, _exporter_scraper
from pynetstrat.cli._exporter_metrics import Metrics

THREADS = 3  # one for all connections, one that scrapes, and the main one
ROOM = 256  # connections

# ---- clients that are slow or hostile ----


@pytest.mark.slow
def test_clients_that_send_nothing_do_not_stop_the_others(exporter, blue):
    with connected(exporter, ROOM + 100) as clients:
        for _ in range(3):
            assert received(exporter.scrape(), blue) == 600
        assert exporter.threads() == THREADS
        assert clients[0].recv(1) == b""  # the one that was silent longest was cut
        clients[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")  # a later one still gets a response
        assert clients[-1].recv(15) == b"HTTP/1.0 200 OK"
        assert exporter.end() == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"G", b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 60000])
def test_clients_that_never_finish_a_request_do_not_stop_the_others(exporter, blue, sent):
    with connected(exporter, ROOM + 50, sent):
        assert received(exporter.scrape(), blue) == 600
        assert exporter.threads() == THREADS
        assert exporter.end() == (0, "", "")


@pytest.mark.slow
def test_clients_that_do_not_take_the_response_do_not_stop_the_others(large):
    with (
        running("--container", "^test-") as exporter,
        connected(exporter, ROOM + 20, SCRAPE) as clients,
    ):
        assert received(exporter.scrape(), large) == 600
        assert exporter.threads() == THREADS
        assert b"\npynetstrat_containers " not in take_rest(clients[0])  # it was cut


@pytest.mark.slow
def test_the_memory_that_responses_hold_is_bounded(large, monkeypatch):
    """A client that takes nothing for a second is cut before the next scrape."""
    log: list[str] = []
    bodies = []

    def encode(text: bytes, coding: str) -> bytes:
        bodies.append(len(text))
        return text

    monkeypatch.setattr(_exporter_scraper, "encode", encode)
    monkeypatch.setattr(_exporter_endpoint, "_MAX_HELD_BYTES", 500_000)
    with serving(log) as endpoint, contextlib.ExitStack() as stack:
        assert endpoint.max_connections > 20
        clients = []
        for _ in range(20):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", endpoint.port), 60))
            client.sendall(SCRAPE)
            assert client.recv(1) == b"H"
            clients.append(client)
            assert endpoint.count_held() <= 500_000 + max(bodies)
    assert len(bodies) == 20
    assert sum(bodies) > 2_000_000
    assert log == []


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("count", [33, 200])
def test_clients_that_scrape_at_once_all_get_a_complete_response(large, count):
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


def test_one_scrape_answers_all_clients_that_wait(blue, monkeypatch):
    """Clients that ask during a scrape get the next: a response is never older than its request."""
    log: list[str] = []
    scrapes: list[threading.Event] = []
    real = Metrics.write_all

    def write_all(metrics: Metrics) -> list[bytes]:
        scrapes.append(threading.Event())
        scrapes[-1].wait(60)
        return [*real(metrics), b"# scrape %d\n" % len(scrapes)]

    monkeypatch.setattr(Metrics, "write_all", write_all)
    with serving(log) as endpoint, contextlib.ExitStack() as stack:

        def ask(method: str = "GET", coding: str = "identity") -> HTTPConnection:
            connection = HTTPConnection("127.0.0.1", endpoint.port, timeout=60)
            stack.enter_context(contextlib.closing(connection))
            connection.request(method, "/metrics", headers={"Accept-Encoding": coding})
            return connection

        first = ask()
        support.wait_until(lambda: scrapes)
        later = [ask() for _ in range(50)]
        compressed, head = ask(coding="gzip"), ask("HEAD")
        support.wait_until(lambda: endpoint.count_waiting() == 53)
        scrapes[0].set()
        assert first.getresponse().read().endswith(b"# scrape 1\n")
        support.wait_until(lambda: len(scrapes) == 2)
        scrapes[1].set()
        for connection in later:
            assert connection.getresponse().read().endswith(b"# scrape 2\n")
        assert gzip.decompress(compressed.getresponse().read()).endswith(b"# scrape 2\n")
        assert head.getresponse().read() == b""
    assert len(scrapes) == 2
    assert log == []


def test_a_client_may_leave_while_it_waits(exporter, blue):
    for _ in range(20):
        with exporter.connect() as client:
            client.sendall(SCRAPE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert received(exporter.scrape(), blue) == 600
    assert exporter.end() == (0, "", "")


def test_the_time_for_a_whole_request_is_limited(blue, monkeypatch):
    """A client that sends a byte now and then does not get more time."""
    log: list[str] = []
    monkeypatch.setattr(_exporter_connection, "_REQUEST_TIME", 0.2)
    with (
        serving(log) as endpoint,
        socket.create_connection(("127.0.0.1", endpoint.port), timeout=60) as client,
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
    assert log == []


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["_IDLE_TIME", "_RESPONSE_TIME"])
def test_the_time_for_taking_a_response_is_limited(large, monkeypatch, limit):
    log: list[str] = []
    monkeypatch.setattr(_exporter_connection, limit, 0.2)
    with serving(log) as endpoint, connect_slow(endpoint.port) as client:
        assert client.recv(1) == b"H"
        support.wait_until(lambda: not endpoint.count_held())
        taken = take_rest(client)
    assert b"\npynetstrat_containers " not in taken
    assert log == []


@pytest.mark.slow
def test_a_slow_client_does_not_delay_the_end(large, monkeypatch):
    log: list[str] = []
    monkeypatch.setattr(_exporter_connection, "_LAST_TIME", 0.2)
    monkeypatch.setattr(_exporter_connection, "_IDLE_TIME", 600.0)
    monkeypatch.setattr(_exporter_connection, "_RESPONSE_TIME", 600.0)
    with serving(log) as endpoint, connect_slow(endpoint.port) as client:
        assert client.recv(1) == b"H"
        endpoint.stop()
        support.wait_until(lambda: not endpoint.count_held())
        taken = take_rest(client)
    assert b"\npynetstrat_containers " not in taken
    assert log == []


@pytest.mark.slow
def test_few_descriptors_are_enough(blue):
    """Half of them are kept for reading counters; connections beyond the other half wait."""
    command = ["sh", "-c", 'ulimit -n 24; exec "$@"', "sh", *COMMAND]
    with running("--container", "^test-", command=command) as exporter:
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(exporter.connect())
            assert exporter.scrape()[("pynetstrat_scrape_error",)] == 0
        values = exporter.scrape()
        assert received(values, blue) == 600
        assert exporter.end()[0] == 0


@pytest.mark.slow
def test_simultaneous_scrapes_are_all_complete(exporter, blue):
    def work() -> None:
        for _ in range(10):
            values = exporter.scrape()
            assert received(values, blue) == 600
            assert sum(key[0].startswith("container_network_") for key in values) == 8

    support.run_threads(*[work] * 8)


# ---- failures ----


def test_a_failed_reading_is_logged_once_and_served_as_a_metric(blue, monkeypatch):
    log: list[str] = []

    def fail(_: object) -> None:
        raise KernelError(22, "RTM_GETSTATS")

    def scrape() -> bytes:
        with urllib.request.urlopen(url, timeout=60) as response:
            return bytes(response.read())

    with serving(log) as endpoint:
        url = f"http://127.0.0.1:{endpoint.port}/metrics"
        with monkeypatch.context() as patch:
            patch.setattr("pynetstrat.counting.host.HostCounters.read_columns", fail)
            for _ in range(3):
                assert b"\npynetstrat_scrape_error 1.0\n" in scrape()
        assert log == ["scrape: RTM_GETSTATS: Invalid argument"]
        assert b"\npynetstrat_scrape_error 0.0\n" in scrape()


def test_an_unexpected_error_is_logged_and_answered_with_500(blue, monkeypatch):
    log: list[str] = []
    with serving(log) as endpoint:
        monkeypatch.setattr(Metrics, "write_all", None)
        with pytest.raises(urllib.error.HTTPError, match="500"):
            urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/metrics")
    assert len(log) == 1 and "TypeError" in log[0]


# ---- between scrapes ----


@pytest.mark.slow
def test_notifications_are_processed_while_nobody_scrapes(exporter_host, blue):
    log: list[str] = []
    with serving(log) as endpoint:
        queues = endpoint.scraper._descriptors
        for number in range(3):
            exporter_host.execute(Batch().add_link(f"i{number}", "ifb"))
            exporter_host.delete_links([f"i{number}"])
            support.wait_until(lambda: not select.select(queues, [], [], 0)[0])
    assert log == []


def test_a_failure_to_process_notifications_is_logged_once(exporter_host, blue, monkeypatch):
    log: list[str] = []

    def fail(_: object) -> None:
        log.append("called")
        raise KernelError(5, "recv")

    monkeypatch.setattr("pynetstrat._scrape.Scrape.process_pending", fail)
    with serving(log):
        exporter_host.execute(Batch().add_link("i0", "ifb"))
        support.wait_until(lambda: log.count("called") > 1)
    assert [line for line in log if line != "called"] == ["notifications: recv: Input/output error"]
