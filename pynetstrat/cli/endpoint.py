"""The HTTP endpoint of `pynetstrat exporter`. Its clients are not trusted.

A connection is one request, and a thread of its own for as long. Connections are bounded in number;
where there are too many, the one that has kept us waiting longest has to go. A client has a few
seconds for its request, and again for taking the response.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import socket
import socketserver
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import gzip_accepted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..prometheus import ContainerCollector

_CONNECTIONS = 32
_PATIENCE = 5.0  # seconds

# Of the two formats this takes half the time of OpenMetrics, which Prometheus prefers, and which
# says nothing more of a counter.
_TEXT = "text/plain; version=0.0.4; charset=utf-8"

_PAGE = b"""\
<!DOCTYPE html>
<html lang="en"><title>pynetstrat exporter</title>
<h1>pynetstrat exporter</h1>
<p>The network traffic of every container of this host: <a href="/metrics">metrics</a></p></html>
"""


class Endpoint(socketserver.ThreadingTCPServer):
    """Serves the metrics of the containers, and of this process, at /metrics; a context manager.

    Parameters:
        address: an IP address.
        port: 0: one that is free.
        collector: of the containers.
        note: takes a line on what went wrong.

    Raises:
        OSError: the address can't be had.
    """

    allow_reuse_address = True
    daemon_threads = False  # server_close() waits for them: no response is cut off
    request_queue_size = 128

    def __init__(
        self, address: str, port: int, collector: ContainerCollector, note: Callable[[str], None]
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.registry = CollectorRegistry()
        self.registry.register(collector)
        ProcessCollector(registry=self.registry)
        self.note = note
        self._collector = collector
        self._noted = ""
        self._room = threading.Semaphore(_CONNECTIONS)
        self._due: dict[Any, float] = {}  # until when each connection has to do its part
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        """Binds; [::] takes IPv4 as well, also where net.ipv6.bindv6only is 1."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def expect(self, connection: Any, patience: float = _PATIENCE) -> None:
        """From now on the client is waited for, this many seconds at most."""
        self._due[connection] = time.monotonic() + patience

    def note_failure(self) -> None:
        """Notes why the containers could not be read, once."""
        reason = str(self._collector.error or "")
        if reason and reason != self._noted:
            self.note(f"scrape: {reason}")
        self._noted = reason

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts the thread of a connection, once there is room for it."""
        if not self._room.acquire(blocking=False):
            slowest = min(list(self._due.items()), key=lambda item: item[1], default=None)
            if slowest is not None and slowest[1] < math.inf:
                _cut(slowest[0], socket.SHUT_RDWR)
            self._room.acquire()
        self.expect(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Closes a connection that is done, or for which there could be no thread."""
        if self._due.pop(request, None) is not None:
            self._room.release()
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Every now and then: ends the connections whose time is up."""
        now = time.monotonic()
        for connection, due in list(self._due.items()):
            if due < now:
                _cut(connection, socket.SHUT_RDWR)

    def get_request(self) -> Any:
        """The next connection."""
        try:
            return super().get_request()
        except OSError:  # there are no descriptors left, most likely, and it would be tried at once
            time.sleep(0.1)
            raise

    def server_close(self) -> None:
        """Ends once the responses that have been begun are written."""
        for connection in list(self._due):
            _cut(connection, socket.SHUT_RD)  # no request is waited for any more
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Notes what went wrong, but not that a client went away."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            self.note(f"request from {client_address[0]}: {error!r}")


def _cut(connection: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):  # it is closed by now
        connection.shutdown(how)


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint
    timeout = _PATIENCE  # of the response as a whole, and of each part of a request
    server_version = "pynetstrat"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer_metrics()
        elif path == "/":
            self._answer(_PAGE, "text/html; charset=utf-8")
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET  # noqa: N815

    def _answer_metrics(self) -> None:
        self.server.expect(self.connection, math.inf)
        try:
            body = generate_latest(self.server.registry)
            self.server.note_failure()
        except Exception as error:
            self.server.note(f"metrics: {error!r}")
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        self._answer(body, _TEXT)

    def _answer(self, body: bytes, kind: str) -> None:
        self.server.expect(self.connection)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        if gzip_accepted(self.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are not logged: there is one every few seconds."""
