"""The HTTP endpoint of `pynetstrat exporter`. Its clients are not trusted.

One thread serves all connections and waits for none of them. A second thread reads and encodes the
metrics. Each scrape answers every client whose request had arrived when it began, so a hundred
clients at once cost as much as two, and a response is never older than its request.

A connection is one request. The number of connections is bounded. While there is no room for
another, connections are cut in this order: those that have taken their response, those that have
sent nothing, and those that for a second have neither completed their request nor taken any part of
their response. A client that waits for a scrape, or that takes its response, is never cut in
favour of another.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import re
import resource
import selectors
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from queue import SimpleQueue
from selectors import EVENT_READ, EVENT_WRITE

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from ..prometheus import ContainerCollector

    # The metrics by content coding, or the exception that made the scrape fail.
    Outcome = dict[str, bytes] | Exception

_CONNECTIONS = 256
_BACKLOG = 128
_ACCEPTED = 64  # connections at most before the others get their turn
_REQUEST_BYTES = 65536  # the longest request
_SEND_BUFFER = 65536  # of a connection, in the kernel: a client that takes nothing holds no more
_HELD_BYTES = 64 << 20  # of responses that are being taken: beyond that the next scrape waits

# seconds
_REQUEST_TIME = 5.0  # for the whole request
_IDLE_TIME = 5.0  # without taking any of the response
_RESPONSE_TIME = 30.0  # for taking the whole response
_LAST_TIME = 5.0  # for taking the rest of it once the endpoint is to stop
_DRAIN_TIME = 1.0  # for closing the connection after that
_GRACE = 1.0  # without progress, before a connection may be cut in favour of another
_PAUSE = 0.1  # until the next attempt to accept, or to begin a scrape

# This text format takes half the time of OpenMetrics, which Prometheus prefers, and a counter has
# the same values in it.
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_PLAIN = "text/plain; charset=utf-8"

_PAGE = b"""\
<!DOCTYPE html>
<html lang="en"><title>pynetstrat exporter</title>
<h1>pynetstrat exporter</h1>
<p>The network traffic of every container of this host: <a href="/metrics">metrics</a></p></html>
"""

_METHODS = ("GET", "HEAD")
_ORIGIN = re.compile("https?://[^/?]*", re.IGNORECASE)  # what precedes the path in absolute form
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_WEIGHT = re.compile(r"[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*", re.IGNORECASE)

# What a connection is doing.
_READING, _WAITING, _WRITING, _DRAINING = range(4)


class _Client:
    """A connection.

    Attributes:
        moved: when it was accepted, or has last taken a part of its response.
        due: when it is cut in any case.
        end: when it is cut although it takes its response, bit by bit.
        request: once that is complete.
        parts: what remains to be sent of its response.
        body: the body of that, which several clients may share.
    """

    __slots__ = ("body", "due", "end", "moved", "parts", "received", "request", "socket", "state")

    def __init__(self, connection: socket.socket, now: float) -> None:
        self.socket = connection
        self.state = _READING
        self.moved = now
        self.due = now + _REQUEST_TIME
        self.end = math.inf
        self.received = bytearray()
        self.request: _Request | None = None
        self.parts: list[memoryview] = []
        self.body = b""

    def is_idle(self, now: float) -> bool:
        """Whether it has kept us waiting for so long that another connection may take its place."""
        return self.state in (_READING, _WRITING) and now - self.moved > _GRACE


class Endpoint:
    """Serves the metrics of the containers, and of this process, at /metrics.

    `serve` does that until `stop` is called; then the endpoint is closed.

    Parameters:
        address: an IP address, with "%INTERFACE" if it is a link-local one of IPv6.
        port: 0: a free one.
        collector: of the containers.
        note: is called with one line on each failure, from either thread.

    Attributes:
        port: the port.
        room: how many connections there may be.

    Raises:
        OSError: the address is not available.
    """

    def __init__(
        self, address: str, port: int, collector: ContainerCollector, note: Callable[[str], None]
    ) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(collector)
        ProcessCollector(registry=self.registry)
        self._collector = collector
        self._note = note
        self._noted = ""
        # Half of the descriptors are left for the reading.
        self.room = min(_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._clients: dict[_Client, None] = {}  # in the order in which they were accepted
        self._paused = 0.0  # nothing is accepted until then
        self._stopping = False
        self._closing = threading.Lock()  # `stop` must not write to a descriptor that was closed
        self._is_closed = False
        self._batch: list[_Client] = []  # those whom the scrape under way will answer
        self._orders: SimpleQueue[Collection[str] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        with contextlib.ExitStack() as stack:
            self._listener = stack.enter_context(_open_listener(address, port))
            self.port: int = self._listener.getsockname()[1]
            self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            stack.callback(os.close, self._wake)
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._selector.register(self._wake, EVENT_READ, self._deliver)
            self._is_listening = False
            self._resources = stack.pop_all()

    def stop(self) -> None:
        """Has `serve` return once every complete request is answered; from any thread.

        A client that takes its response slowly has five more seconds for it.
        """
        self._stopping = True
        with self._closing:
            if not self._is_closed:
                os.eventfd_write(self._wake, 1)

    def serve(self) -> None:
        """Serves until `stop` is called."""
        scraper = threading.Thread(target=self._scrape)
        scraper.start()
        try:
            while not self._stopping or self._clients:
                self._locked()
        finally:
            self._orders.put(None)
            scraper.join()
            self.close()

    def close(self) -> None:
        """Closes everything; for an endpoint that does not serve."""
        for client in list(self._clients):
            self._close(client)
        with self._closing:
            self._is_closed = True
            self._resources.close()

    def count_held(self) -> int:
        """The bytes of all bodies that are in memory for clients that have yet to take them."""
        return sum({id(client.body): len(client.body) for client in list(self._clients)}.values())

    def count_waiting(self) -> int:
        """The clients that wait for a scrape."""
        return sum(client.state == _WAITING for client in list(self._clients))

    # ---- the thread that scrapes ----

    def _scrape(self) -> None:
        while (codings := self._orders.get()) is not None:
            outcome: Outcome
            try:
                text = generate_latest(self.registry)
                outcome = {coding: _encode(text, coding) for coding in codings}
                self._note_failure()
            except Exception as error:
                self._note(f"metrics: {error!r}")
                outcome = error
            self._outcomes.put(outcome)
            os.eventfd_write(self._wake, 1)

    def _note_failure(self) -> None:
        """Notes why the containers could not be read, once."""
        reason = str(self._collector.error or "")
        if reason and reason != self._noted:
            self._note(f"scrape: {reason}")
        self._noted = reason

    # ---- the thread that serves ----

    def _locked(self) -> None:
        now = time.monotonic()
        for client in [client for client in self._clients if client.due <= now]:
            self._close(client)
        if self._stopping:
            self._give_up_requests(now)
            if not self._clients:
                return
        can_scrape = self._begin_scrape(now)
        self._listen(not self._stopping and self._paused <= now and self._has_room(now))
        due = min((client.due for client in self._clients), default=math.inf)
        if not can_scrape or not (self._is_listening or self._stopping):
            due = min(due, now + _PAUSE)
        for key, _ in self._selector.select(None if due == math.inf else max(0, due - now)):
            if type(key.data) is _Client:
                self._act(key.data)
            else:
                key.data()

    def _listen(self, wanted: bool) -> None:
        if wanted and not self._is_listening:
            self._selector.register(self._listener, EVENT_READ, self._accept)
        elif self._is_listening and not wanted:
            self._selector.unregister(self._listener)
        self._is_listening = wanted

    def _has_room(self, now: float) -> bool:
        return len(self._clients) < self.room or self._find_slowest(now) is not None

    def _find_slowest(self, now: float) -> _Client | None:
        """The connection to cut in favour of a new one, or None."""
        for state in (_DRAINING, _READING):
            for client in list(self._clients):
                if client.state == state and not client.received:
                    if state == _READING:
                        self._act(client)  # its request may have arrived meanwhile
                    if client.state == state and not client.received:
                        return client
        idle = (client for client in self._clients if client.is_idle(now))
        return min(idle, key=lambda client: client.moved, default=None)

    def _accept(self) -> None:
        now = time.monotonic()
        for _ in range(_ACCEPTED):
            if not self._has_room(now):
                return
            try:
                connection, _address = self._listener.accept()
            except BlockingIOError:  # no more connections
                return
            except OSError:  # most likely no descriptor is left
                self._paused = now + _PAUSE
                return
            if len(self._clients) >= self.room and (slowest := self._find_slowest(now)):
                self._close(slowest)
            connection.setblocking(False)
            client = _Client(connection, now)
            self._clients[client] = None
            self._selector.register(connection, EVENT_READ, client)
            self._act(client)

    def _act(self, client: _Client) -> None:
        """Does what the connection is ready for, if it has not been closed meanwhile."""
        if client not in self._clients:
            return
        try:
            if client.state == _READING:
                self._receive(client)
            elif client.state == _WRITING:
                self._send(client)
            elif client.state == _DRAINING and not client.socket.recv(_REQUEST_BYTES):
                self._close(client)
        except BlockingIOError:
            pass
        except OSError:  # the client has gone
            self._close(client)
        except Exception as error:
            self._note(f"request: {error!r}")
            self._close(client)

    def _receive(self, client: _Client) -> None:
        received = client.received
        part = client.socket.recv(_REQUEST_BYTES)
        if not part:
            self._close(client)
            return
        begun = len(received)
        received += part
        if not begun:  # an empty line before a request is to be ignored (RFC 9112, section 2.2)
            received[:] = received.lstrip(b"\r\n")
        found = _EMPTY_LINE.search(received, max(0, begun - 2))
        size = found.end() if found else len(received)
        if not found and size <= _REQUEST_BYTES:
            return
        self._selector.unregister(client.socket)
        client.request = request = _Request(bytes(received), size > _REQUEST_BYTES)
        if request.is_scrape:
            client.state, client.due = _WAITING, math.inf
        else:
            self._respond(client, request.wfile.getvalue(), b"")

    def _begin_scrape(self, now: float) -> bool:
        """Begins a scrape if clients wait for one; False: too many responses are not yet taken."""
        if self._batch:
            return True
        waiting = [client for client in self._clients if client.state == _WAITING]
        if not waiting:
            return True
        if self.count_held() > _HELD_BYTES:
            for client in [c for c in self._clients if c.state == _WRITING and c.is_idle(now)]:
                self._close(client)
            if self.count_held() > _HELD_BYTES:
                return False
        self._batch = waiting
        self._orders.put({client.request.coding for client in waiting if client.request})
        return True

    def _deliver(self) -> None:
        """Answers those for whom the scrape was made. Also called when `stop` wakes the thread."""
        os.eventfd_read(self._wake)
        if self._outcomes.empty():
            return
        outcome = self._outcomes.get()
        batch, self._batch = self._batch, []
        for client in batch:
            request = client.request
            if client not in self._clients or request is None:
                continue
            if isinstance(outcome, Exception):
                request.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
                self._respond(client, request.wfile.getvalue(), b"")
            else:
                body = outcome[request.coding]
                request.send_head(HTTPStatus.OK, _TEXT, len(body))
                body = b"" if request.command == "HEAD" else body
                self._respond(client, request.wfile.getvalue(), body)

    def _respond(self, client: _Client, head: bytes, body: bytes) -> None:
        now = time.monotonic()
        client.state = _WRITING
        client.moved, client.due, client.end = now, now + _IDLE_TIME, now + _RESPONSE_TIME
        client.parts = [memoryview(part) for part in (head, body) if part]
        client.body = body
        self._selector.register(client.socket, EVENT_WRITE, client)
        self._act(client)

    def _send(self, client: _Client) -> None:
        parts = client.parts
        sent = client.socket.sendmsg(parts) if parts else 0
        while parts and sent >= len(parts[0]):
            sent -= len(parts.pop(0))
        now = time.monotonic()
        if parts:
            parts[0] = parts[0][sent:]
            client.moved, client.due = now, min(now + _IDLE_TIME, client.end)
            return
        # What the client still sends, such as the rest of a request that was too long, is read:
        # otherwise the kernel would reset the connection, and the response could be lost.
        client.socket.shutdown(socket.SHUT_WR)
        client.state, client.moved, client.due = _DRAINING, now, now + _DRAIN_TIME
        client.received.clear()
        client.body = b""
        self._selector.modify(client.socket, EVENT_READ, client)

    def _give_up_requests(self, now: float) -> None:
        """Closes the connections whose request is not complete, at the end; hurries the others."""
        for client in list(self._clients):
            self._act(client)  # it may have arrived
            if client.state == _READING:
                self._close(client)
            elif client.state == _WRITING:
                client.end = min(client.end, now + _LAST_TIME)
                client.due = min(client.due, client.end)

    def _close(self, client: _Client) -> None:
        if client in self._clients:
            del self._clients[client]
            with contextlib.suppress(KeyError):  # one that waits is not registered
                self._selector.unregister(client.socket)
            client.socket.close()


def _open_listener(address: str, port: int) -> socket.socket:
    """A socket that listens; [::] takes IPv4 as well, also where net.ipv6.bindv6only is 1."""
    # It finds the index of the interface in "fe80::1%eth0". Bytes, since text would be taken for a
    # domain name.
    found = socket.getaddrinfo(
        os.fsencode(address), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )
    family, kind, protocol, _, where = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # is inherited
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(where)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


class _Request(BaseHTTPRequestHandler):
    """A request that has been received, and its response unless it is for the metrics.

    Attributes:
        is_scrape: whether it is for the metrics; otherwise `wfile` has the whole response, empty
            if there is nothing to answer.
        coding: the content coding of the response, "gzip" or "identity".
    """

    server_version = "pynetstrat"
    sys_version = ""

    def __init__(self, received: bytes, is_too_long: bool) -> None:
        # Not the base class's, which reads from a connection and waits for it.
        self.rfile: Any = BytesIO(received)
        self.wfile: Any = BytesIO()
        self.is_scrape = False
        self.coding = "identity"
        self.requestline = self.request_version = self.command = ""
        self.raw_requestline = self.rfile.readline()
        if is_too_long:
            is_line = len(self.raw_requestline) > _REQUEST_BYTES
            self.send_error(414 if is_line else 431)
        elif self.parse_request():
            self._route()

    def _route(self) -> None:
        path = _ORIGIN.sub("", self.path, count=1).partition("?")[0] or "/"
        coding = choose_coding(self.headers.get_all("Accept-Encoding", []))
        if self.command not in _METHODS:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, Allow=", ".join(_METHODS))
        elif path not in ("/", "/metrics"):
            self.send_error(HTTPStatus.NOT_FOUND)
        elif coding is None:
            self._refuse(HTTPStatus.NOT_ACCEPTABLE, Vary="Accept-Encoding")
        else:
            self.coding = coding
            self.is_scrape = path == "/metrics"
            if not self.is_scrape:
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", _encode(_PAGE, coding))

    def _refuse(self, status: HTTPStatus, **headers: str) -> None:
        self._answer(status, _PLAIN, f"{status.value} {status.phrase}\n".encode(), **headers)

    def _answer(self, status: HTTPStatus, kind: str, body: bytes, **headers: str) -> None:
        self.send_head(status, kind, len(body), **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_head(self, status: HTTPStatus, kind: str, length: int, **headers: str) -> None:
        """Writes the status line and the headers of a response."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        if status == HTTPStatus.OK:
            headers["Vary"] = "Accept-Encoding"
            if self.coding != "identity":
                headers["Content-Encoding"] = self.coding
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are not logged: there is one every few seconds."""


def choose_coding(values: list[str]) -> str | None:
    """The content coding for a response: "gzip", "identity", or None if neither is acceptable.

    Parameters:
        values: of the request's headers Accept-Encoding (RFC 9110, section 12.5.3).
    """
    weights: dict[str, float] = {}
    for member in ",".join(values).lower().split(","):
        coding, semicolon, parameter = member.partition(";")
        weight = _WEIGHT.fullmatch(parameter if semicolon else "q=1")
        if weight is not None:
            name = coding.strip(" \t").removeprefix("x-")
            weights[name] = min(float(weight[1]), weights.get(name, 1))
    gzip_weight = weights.get("gzip", weights.get("*", 0))
    if gzip_weight > 0 and gzip_weight >= weights.get("identity", 0):
        return "gzip"
    # Acceptable unless it is excluded, by itself or with all that is not listed.
    return "identity" if weights.get("identity", weights.get("*", 1)) > 0 else None


def _encode(text: bytes, coding: str) -> bytes:
    return gzip.compress(text, compresslevel=1) if coding == "gzip" else text
