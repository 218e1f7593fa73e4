"""HTTP for the exporter: a request that was received, and the responses to it (RFC 9110, 9112)."""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO

from ._exporter_coding import choose_coding, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

MAX_REQUEST_BYTES = 65536

# Encoding this format takes half the time of OpenMetrics, which Prometheus prefers. The values of
# counters are the same in both.
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_TEXT_TYPE = "text/plain; charset=utf-8"
_HTML_TYPE = "text/html; charset=utf-8"

_PAGE = b"""\
<!DOCTYPE html>
<html lang="en"><title>pynetstrat exporter</title>
<h1>pynetstrat exporter</h1>
<p>The network traffic of every container of this host: <a href="/metrics">metrics</a></p></html>
"""

_METHODS = ("GET", "HEAD")
_MAX_KNOWN = 8  # requests for the metrics that are kept
# The scheme and host of a request target in absolute form (RFC 9112, section 3.2.2).
_ORIGIN = re.compile("https?://[^/?]*", re.IGNORECASE)


class Request(BaseHTTPRequestHandler):
    """A received request, with its response unless the request is for the metrics.

    Parameters:
        received: the request line and the headers.
        is_too_long: whether `received` is longer than MAX_REQUEST_BYTES.

    Attributes:
        is_scrape: True if the request is for the metrics.
        response: the whole response if `is_scrape` is False. It is empty if the request line was.
        coding: the content coding of the response, "gzip" or "identity".
    """

    server_version = "pynetstrat"
    sys_version = ""

    # Of a request line that is invalid: without a version a response would have no status.
    default_request_version = "HTTP/1.0"

    _known: ClassVar[dict[bytes, Request]] = {}

    @classmethod
    def parse(cls, received: bytes, is_too_long: bool) -> Request:
        """Returns a request; the same object for a scrape with the same bytes as an earlier one.

        A Prometheus sends the same bytes each time, and to parse them takes longer than to answer.

        Parameters:
            received, is_too_long: see `Request`.
        """
        request = cls._known.get(received)
        if request is None:
            request = cls(received, is_too_long)
            if request.is_scrape:
                if len(cls._known) >= _MAX_KNOWN:
                    cls._known.clear()
                cls._known[received] = request
        return request

    def __init__(self, received: bytes, is_too_long: bool) -> None:
        # The base class's __init__ is not called: it reads from a connection and blocks.
        self.rfile: Any = BytesIO(received)
        self.wfile: Any = BytesIO()
        self.is_scrape = False
        self.coding = "identity"
        self.requestline = self.request_version = self.command = ""
        self.raw_requestline = self.rfile.readline()
        if is_too_long:
            is_line = len(self.raw_requestline) > MAX_REQUEST_BYTES
            self.send_error(414 if is_line else 431)
        elif self.parse_request():
            self._route()

    @property
    def response(self) -> bytes:
        written: bytes = self.wfile.getvalue()
        return written

    def respond_with_metrics(self, body: bytes) -> tuple[bytes, bytes]:
        """Returns the head and the body of the response to a scrape.

        They are separate because clients share the body.

        Parameters:
            body: the metrics, in the request's coding.
        """
        self.wfile = BytesIO()
        self._send_head(HTTPStatus.OK, _METRICS_TYPE, len(body))
        return self.response, b"" if self.command == "HEAD" else body

    def respond_with_failure(self) -> bytes:
        """Returns the response to a scrape that failed."""
        self.wfile = BytesIO()
        self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
        return self.response

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Returns what the base class does, which takes an eighth of what HTTP costs a scrape."""
        at = time.gmtime(timestamp)
        day, month = self.weekdayname[at.tm_wday], self.monthname[at.tm_mon]
        clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
        return f"{day}, {at.tm_mday:02} {month} {at.tm_year:04} {clock} GMT"

    def log_message(self, format: str, *arguments: object) -> None:
        """Logs nothing: a request arrives every few seconds."""

    def _route(self) -> None:
        path = _ORIGIN.sub("", self.path, count=1).partition("?")[0] or "/"
        coding = choose_coding(self.headers.get_all("Accept-Encoding", []))
        if self.command not in _METHODS:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, Allow=", ".join(_METHODS))
        elif path not in ("/", "/metrics", "/-/healthy"):
            self.send_error(HTTPStatus.NOT_FOUND)
        elif coding is None:
            self._refuse(HTTPStatus.NOT_ACCEPTABLE, Vary="Accept-Encoding")
        else:
            self.coding = coding
            self.is_scrape = path == "/metrics"
            if path == "/":
                self._respond(HTTPStatus.OK, _HTML_TYPE, encode(_PAGE, coding))
            elif not self.is_scrape:
                self._respond(HTTPStatus.OK, _TEXT_TYPE, encode(b"healthy\n", coding))

    def _refuse(self, status: HTTPStatus, **headers: str) -> None:
        self._respond(status, _TEXT_TYPE, f"{status.value} {status.phrase}\n".encode(), **headers)

    def _respond(self, status: HTTPStatus, kind: str, body: bytes, **headers: str) -> None:
        self._send_head(status, kind, len(body), **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_head(self, status: HTTPStatus, kind: str, length: int, **headers: str) -> None:
        if self.request_version == "HTTP/0.9":  # a response of this version has no head
            return
        if status == HTTPStatus.OK:
            headers["Vary"] = "Accept-Encoding"
            if self.coding != "identity":
                headers["Content-Encoding"] = self.coding
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        self.wfile.write(
            f"{self.protocol_version} {status:d} {status.phrase}\r\n"
            f"Server: {self.version_string()}\r\n"
            f"Date: {self.date_time_string()}\r\n"
            f"Content-Type: {kind}\r\n"
            f"Content-Length: {length}\r\n"
            f"{fields}\r\n".encode()
        )
