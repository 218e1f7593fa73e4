"""One connection of a client to the exporter: a request, its response, and their time limits.

A connection goes through these states:

    READING    its request is not complete
    WAITING    its request is for the metrics, and a scrape has to answer it
    WRITING    the client takes its response
    DRAINING   the response is sent; waits for the client to close the connection
"""

from __future__ import annotations

import math
import re
import socket
import time

from ._exporter_poller import READ, WRITE
from ._exporter_request import MAX_REQUEST_BYTES, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._exporter_poller import Poller

READING, WAITING, WRITING, DRAINING = range(4)

# seconds
_REQUEST_TIME = 5.0  # for the whole request
_IDLE_TIME = 5.0  # without taking any part of the response
_RESPONSE_TIME = 30.0  # for the whole response
_LAST_TIME = 5.0  # for the rest of the response when the endpoint stops
_DRAIN_TIME = 1.0  # for closing the connection
_GRACE = 1.0  # without progress, before another connection may take this one's place

_EMPTY_LINE = re.compile(rb"\n\r?\n")


class Connection:
    """A non-blocking connection. The poller reports it when `proceed` has something to do.

    Parameters:
        accepted: its socket.
        poller: watches the socket, with the connection as its data.
        now: the time on the monotonic clock, in seconds, as all times below.

    Attributes:
        state: one of the four states.
        last_progress: when it was accepted, or when the client last took a part of the response.
        due: when it has to be closed.
        request: the request once it is complete.
        received: the part of the request that has arrived.
        body: the body of the response until all of it is sent. Several clients may share it.
    """

    __slots__ = (
        *("_poller", "_response_due", "_socket", "_unsent"),
        *("body", "due", "last_progress", "received", "request", "state"),
    )

    def __init__(self, accepted: socket.socket, poller: Poller, now: float) -> None:
        accepted.setblocking(False)
        self._socket = accepted
        self._poller = poller
        self._unsent: list[memoryview] = []
        self._response_due = math.inf  # `due` is never later
        self.state = READING
        self.last_progress = now
        self.due = now + _REQUEST_TIME
        self.received = bytearray()
        self.request: Request | None = None
        self.body = b""
        poller.add(accepted.fileno(), READ, self)

    def is_idle(self, now: float) -> bool:
        """Returns whether the client has made no progress for so long that it may be cut."""
        return self.state in (READING, WRITING) and now - self.last_progress > _GRACE

    def proceed(self) -> None:
        """Receives or sends as much as is possible without waiting.

        Raises:
            BlockingIOError: the client has to send or take something first.
            OSError: the client has closed the connection.
        """
        if self.state == READING:
            self._receive()
        if self.state == WRITING:
            self._send()
        elif self.state == DRAINING:
            self._receive_part()

    def respond(self, head: bytes, body: bytes = b"") -> None:
        """Begins a response; `proceed` sends it."""
        now = time.monotonic()
        self.state = WRITING
        self.last_progress = now
        self.due, self._response_due = now + _IDLE_TIME, now + _RESPONSE_TIME
        self._unsent = [memoryview(part) for part in (head, body) if part]
        self.body = body
        self._poller.add(self._socket.fileno(), WRITE, self)

    def hurry(self, now: float) -> None:
        """Limits the time that is left for taking the response, because the endpoint stops."""
        self._response_due = min(self._response_due, now + _LAST_TIME)
        self.due = min(self.due, self._response_due)

    def close(self) -> None:
        self._poller.remove(self._socket.fileno())
        self._socket.close()

    def _receive_part(self) -> bytes:
        part = self._socket.recv(MAX_REQUEST_BYTES)
        if not part:
            raise ConnectionResetError
        return part

    def _receive(self) -> None:
        received = self.received
        part = self._receive_part()
        begun = len(received)
        received += part
        if not begun:  # empty lines before a request are ignored (RFC 9112, section 2.2)
            received[:] = received.lstrip(b"\r\n")
        found = _EMPTY_LINE.search(received, max(0, begun - 2))
        size = found.end() if found else len(received)
        if not found and size <= MAX_REQUEST_BYTES:
            return
        self._poller.remove(self._socket.fileno())
        self.request = Request.parse(bytes(received), size > MAX_REQUEST_BYTES)
        if self.request.is_scrape:
            self.state, self.due = WAITING, math.inf
        else:
            self.respond(self.request.response)

    def _send(self) -> None:
        unsent = self._unsent
        sent = self._socket.sendmsg(unsent) if unsent else 0
        while unsent and sent >= len(unsent[0]):
            sent -= len(unsent.pop(0))
        now = time.monotonic()
        if unsent:
            unsent[0] = unsent[0][sent:]
            self.last_progress, self.due = now, min(now + _IDLE_TIME, self._response_due)
            return
        # The client may still be sending, for example the rest of a request that was too long. It
        # has to be read: otherwise the kernel resets the connection, and the client may lose the
        # response.
        self._socket.shutdown(socket.SHUT_WR)
        self.state, self.last_progress, self.due = DRAINING, now, now + _DRAIN_TIME
        self.received.clear()
        self.body = b""
        self._poller.change(self._socket.fileno(), READ)
