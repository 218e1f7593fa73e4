"""cli/exporter.py: its metrics and its HTTP responses.

(tests/check/prometheus.sh tests it with a real Prometheus.)
"""

from __future__ import annotations

import contextlib
import gzip
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler

import pytest
import support
from helpers_exporter import RECEIVED, SCRAPE, received, running
from prometheus_client.parser import text_string_to_metric_families

from pynetstrat import NetworkNamespace
from pynetstrat.cli import _exporter_connection
from pynetstrat.cli._exporter_coding import choose_coding
from pynetstrat.cli._exporter_request import Request

# ---- metrics ----


@pytest.mark.slow
def test_the_option_no_routed_leaves_out_bridges(blue):
    with support.inside(blue.fileno()), support.Links() as links:
        links.add_bridge("br0")
    for options, shown in (((), {"br0", "eth0"}), (("--no-routed",), {"eth0"})):
        with running("--container", "^test-", *options) as started:
            found = {key[2] for key in started.scrape() if key[0] == RECEIVED}
        assert found == shown


def test_the_traffic_of_a_container_is_served(exporter, blue):
    inode = str(blue.id[1])
    values = exporter.scrape()
    assert received(values, blue) == 600
    assert values["container_network_receive_packets_total", "test-blue", "eth0", inode] == 3
    assert values[("pynetstrat_containers",)] == 1
    assert values[("pynetstrat_scrape_error",)] == 0
    assert values[("process_open_fds",)] > 0  # of the exporter itself
    support.send_frames("v0", 1, 100)
    assert received(exporter.scrape(), blue) == 700


@pytest.mark.slow
def test_a_container_that_ended_is_shown_for_a_while_with_its_last_counters(blue):
    with running("--container", "^test-") as keeping, running("--keep-ended", "0") as other:
        series = (RECEIVED, "test-blue", "eth0", str(blue.id[1]))
        assert keeping.scrape()[series] == other.scrape()[series] == 600
        NetworkNamespace.delete("test-blue")
        blue.close()
        # The kernel ends the namespace asynchronously.
        support.wait_until(lambda: keeping.scrape()[("pynetstrat_containers_ended",)] == 1)
        values = keeping.scrape()
        assert values["pynetstrat_containers",] == 0
        assert values[series] == 600
        support.wait_until(lambda: series not in other.scrape())


# ---- HTTP ----


@pytest.fixture
def lingering(monkeypatch):
    """Has the exporter wait for a client to close its connection, however long that takes.

    If it did not, what the client sends then would reset the connection, and the response be lost.
    """
    monkeypatch.setattr(_exporter_connection, "_DRAIN_TIME", 600.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5", ",;=, \xff"],
)
def test_the_metrics_are_text_whatever_the_client_accepts(exporter, accept):
    with exporter.get(Accept=accept) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        exposed = response.read().decode()
    (family,) = (
        each for each in text_string_to_metric_families(exposed) if each.name + "_total" == RECEIVED
    )
    assert family.type == "counter"
    assert [(sample.name, sample.value) for sample in family.samples] == [(RECEIVED, 600)]


def test_a_response_is_compressed_if_the_client_accepts_gzip(exporter):
    with exporter.get(Accept_Encoding="gzip") as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert RECEIVED.encode() in gzip.decompress(response.read())
    with exporter.get() as response:
        assert response.headers["Content-Encoding"] is None


def test_a_head_request_gets_only_the_headers(exporter):
    with exporter.connect_http() as connection:
        connection.request("HEAD", "/metrics")
        response = connection.getresponse()
        assert response.status == 200
        assert int(response.headers["Content-Length"]) > 1000
        assert response.read() == b""


@pytest.mark.slow
def test_content_length_is_the_length_of_the_response(exporter):
    with exporter.get() as response:
        assert int(response.headers["Content-Length"]) == len(response.read())


def test_the_root_page_links_to_the_metrics(exporter):
    with exporter.get("/") as response:
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert b'href="/metrics"' in response.read()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/metrics?name[]=x", {}, 200),
        ("GET", "/metrics/", {}, 404),
        ("GET", "/-/healthy", {}, 200),
        ("HEAD", "/-/healthy?x", {}, 200),
        ("POST", "/-/healthy", {}, 405),
        ("GET", "/-/", {}, 404),
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
def test_a_request_gets_the_right_status(lingering, exporter, method, path, headers, status):
    with exporter.connect_http() as connection:
        with contextlib.suppress(
            ConnectionError
        ):  # the response may come before the whole request is sent
            connection.request(method, path, headers=headers)
        response = connection.getresponse()
        assert response.status == status
        response.read()
        assert response.headers["Server"].strip() == "pynetstrat"
        assert response.headers["Allow"] == ("GET, HEAD" if status == 405 else None)
    assert exporter.end() == (0, "", "")


def test_a_client_that_is_still_sending_gets_the_response(lingering, exporter):
    with exporter.connect_http() as connection:
        connection.request("POST", "/metrics", body=b"x" * 300_000)
        response = connection.getresponse()
        assert (response.status, response.read()) == (405, b"405 Method Not Allowed\n")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"PRI * HTTP/2.0", b"505"),
        (b"GET /metrics HTTP/x.y", b"400"),
        (b"\x16\x03\x01", b"400"),
        (b"GET", b"400"),
        (b"GET /metrics", b"200"),
    ],
)
def test_an_invalid_request_line_gets_a_status_too(exporter, line, status):
    with exporter.connect() as client:
        client.sendall(line + b"\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.0 " + status


def test_a_request_of_http_0_9_gets_the_metrics_without_headers(exporter):
    with exporter.connect() as client:
        client.sendall(b"GET /metrics HTTP/0.9\r\n\r\n")
        assert client.recv(7) == b"# HELP "


def test_a_request_that_is_repeated_is_parsed_once():
    assert Request.parse(SCRAPE, False) is Request.parse(SCRAPE, False)
    page = b"GET / HTTP/1.1\r\n\r\n"  # its response has the date
    assert Request.parse(page, False) is not Request.parse(page, False)


def test_a_repeated_request_gets_a_whole_new_response():
    for coding in ("identity", "gzip"):
        received = SCRAPE.replace(b"\r\n\r\n", f"\r\nAccept-Encoding: {coding}\r\n\r\n".encode())
        for body in (b"one", b"another"):
            request = Request.parse(received, False)
            assert request.coding == coding
            head, sent = request.respond_with_metrics(body)
            assert head.count(b"HTTP/1.0 200 OK\r\n") == 1
            assert f"Content-Length: {len(body)}\r\n".encode() in head
            assert sent == body
        assert request.respond_with_failure().startswith(b"HTTP/1.0 500 ")


@pytest.mark.parametrize("timestamp", [0, 951782400, 1735689599, 1798761601, 4102444800])
def test_the_date_is_that_of_http_server(timestamp):
    request = Request.parse(SCRAPE, False)
    theirs = BaseHTTPRequestHandler.date_time_string(request, timestamp)
    assert request.date_time_string(timestamp) == theirs


def test_few_requests_are_kept():
    for number in range(20):
        Request.parse(SCRAPE.replace(b"metrics", f"metrics?{number}".encode()), False)
    assert len(Request._known) <= 8


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
def test_the_content_coding_follows_rfc_9110(values, coding):
    assert choose_coding(values) == coding


@pytest.mark.parametrize("path", ["/", "/metrics"])
def test_a_client_that_accepts_no_coding_gets_406(exporter, path):
    with exporter.connect_http() as connection:
        connection.request("GET", path, headers={"Accept-Encoding": "identity;q=0"})
        response = connection.getresponse()
        assert (response.status, response.read()) == (406, b"406 Not Acceptable\n")
        assert response.headers["Vary"] == "Accept-Encoding"


def test_several_accept_encoding_headers_are_one_list(exporter):
    with exporter.connect() as client:
        headers = b"Accept-Encoding: br\r\naccept-encoding: gzip;q=0.5\r\n"
        client.sendall(b"GET /metrics HTTP/1.1\r\n" + headers + b"\r\n")
        response = HTTPResponse(client)
        response.begin()
        assert response.headers["Content-Encoding"] == "gzip"
        assert RECEIVED.encode() in gzip.decompress(response.read())
