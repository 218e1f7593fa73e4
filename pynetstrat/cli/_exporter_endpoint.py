"""The HTTP endpoint of `pynetstrat exporter`. Its clients are not trusted.

One thread serves all connections and never waits for a single one. A second thread scrapes. Each
scrape answers every client whose request had arrived when the scrape began, so a hundred clients at
once cost as much as two, and a response is never older than its request.

A connection carries one request. The number of connections is bounded. When there is no room for
another, a connection is cut, in this order of preference:

    1. one that has taken its response
    2. one that has sent nothing
    3. one that for a second has neither completed its request nor taken any part of its response

A client that waits for a scrape, or that is taking its response, is never cut to make room.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import socket
import threading
import time

from ._exporter_connection import DRAINING, READING, WAITING, WRITING, Connection
from ._exporter_poller import READ, Poller
from ._exporter_scraper import Scraper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._exporter_metrics import Metrics
    from ._exporter_textfile import Textfile

_MAX_CONNECTIONS = 256
_BACKLOG = 128
_MAX_ACCEPTED = 64  # connections accepted in a row before the others are served again
_SEND_BUFFER = 65536  # bytes that the kernel buffers for a client that takes nothing
_MAX_HELD_BYTES = 64 << 20  # of responses in memory; above it the next scrape waits
_PAUSE = 0.1  # seconds until the next attempt to accept, or to begin a scrape


class Endpoint:
    """Serves the metrics of the containers, and of this process, at /metrics.

    `serve` runs until `stop` is called, and then closes the endpoint.

    Parameters:
        address: an IP address, with "%INTERFACE" for a link-local one of IPv6.
        port: the port; 0 chooses a free one.
        metrics: the metrics.
        log: called with one line for each failure, from either thread.
        textfile: a file that gets the metrics every 15 seconds.

    Attributes:
        port: the port.
        max_connections: the maximum number of connections.
        scraper: the thread that scrapes.

    Raises:
        OSError: the address is not available.
    """

    def __init__(
        self,
        address: str,
        port: int,
        metrics: Metrics,
        log: Callable[[str], None],
        textfile: Textfile | None = None,
    ) -> None:
        self._log = log
        # Half of the descriptors are left for reading the counters.
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.max_connections = min(_MAX_CONNECTIONS, descriptors // 2)
        self._connections: dict[Connection, None] = {}  # in the order of acceptance
        self._being_answered: list[Connection] = []  # the ones that the current scrape will answer
        self._paused_until = 0.0  # no connection is accepted before
        self._is_stopping = False
        self._closing = threading.Lock()  # `stop` must not write to a closed descriptor
        self._is_closed = False
        self.scraper = Scraper(metrics, log, self._wake_up, textfile)
        with contextlib.ExitStack() as stack:
            stack.callback(self.scraper.close)
            self._listener = stack.enter_context(_open_listener(address, port))
            self.port: int = self._listener.getsockname()[1]
            self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            stack.callback(os.close, self._wake)
            self._poller = stack.enter_context(contextlib.closing(Poller()))
            self._poller.add(self._wake, READ, self._deliver)
            self._is_listening = False
            self._resources = stack.pop_all()

    def serve(self) -> None:
        """Serves until `stop` is called."""
        self.scraper.start()
        try:
            while not self._is_stopping or self._connections:
                self._serve_once()
        finally:
            self.scraper.stop()
            self.close()

    def stop(self) -> None:
        """Makes `serve` return once every complete request is answered. Safe from any thread.

        A client that is taking its response has five more seconds for it.
        """
        self._is_stopping = True
        with self._closing:
            if not self._is_closed:
                self._wake_up()

    def close(self) -> None:
        """Closes all connections and the listening socket. `serve` does so when it returns."""
        for connection in list(self._connections):
            self._cut(connection)
        with self._closing:
            self._is_closed = True
            self._resources.close()

    def count_held(self) -> int:
        """Returns the size in bytes of all bodies that clients have yet to take."""
        bodies = {id(connection.body): connection.body for connection in list(self._connections)}
        return sum(map(len, bodies.values()))

    def count_waiting(self) -> int:
        """Returns the number of clients that wait for a scrape."""
        return sum(connection.state == WAITING for connection in list(self._connections))

    def _serve_once(self) -> None:
        """Waits until something is ready or due, and serves that."""
        now = time.monotonic()
        for connection in [each for each in self._connections if each.due <= now]:
            self._cut(connection)
        if self._is_stopping:
            self._finish_requests(now)
            if not self._connections:
                return
        can_scrape = self._begin_scrape(now)
        self._listen(not self._is_stopping and self._paused_until <= now and self._has_room(now))
        due = min((connection.due for connection in self._connections), default=math.inf)
        if not can_scrape or not (self._is_listening or self._is_stopping):
            due = min(due, now + _PAUSE)
        for ready in self._poller.wait(None if due == math.inf else max(0, due - now)):
            if type(ready) is Connection:
                self._proceed(ready)
            else:
                ready()

    def _wake_up(self) -> None:
        os.eventfd_write(self._wake, 1)

    # ---- connections ----

    def _listen(self, is_wanted: bool) -> None:
        if is_wanted and not self._is_listening:
            self._poller.add(self._listener.fileno(), READ, self._accept)
        elif self._is_listening and not is_wanted:
            self._poller.remove(self._listener.fileno())
        self._is_listening = is_wanted

    def _accept(self) -> None:
        now = time.monotonic()
        for _ in range(_MAX_ACCEPTED):
            if not self._has_room(now):
                return
            try:
                accepted, _address = self._listener.accept()
            except BlockingIOError:  # no more connections
                return
            except OSError:  # most likely no descriptor is left
                self._paused_until = now + _PAUSE
                return
            is_full = len(self._connections) >= self.max_connections
            if is_full and (slowest := self._find_slowest(now)):
                self._cut(slowest)
            connection = Connection(accepted, self._poller, now)
            self._connections[connection] = None
            self._proceed(connection)
            if len(self._connections) == 1:  # most likely no other is waiting
                return

    def _has_room(self, now: float) -> bool:
        return len(self._connections) < self.max_connections or self._find_slowest(now) is not None

    def _find_slowest(self, now: float) -> Connection | None:
        """Returns the connection to cut in favour of a new one, or None."""
        for state in (DRAINING, READING):
            for connection in list(self._connections):
                if connection.state == state and not connection.received:
                    if state == READING:
                        self._proceed(connection)  # its request may have arrived since
                    if connection.state == state and not connection.received:
                        return connection
        idle = (connection for connection in self._connections if connection.is_idle(now))
        return min(idle, key=lambda connection: connection.last_progress, default=None)

    def _proceed(self, connection: Connection) -> None:
        """Receives or sends what is possible, unless the connection was cut."""
        if connection not in self._connections:
            return
        try:
            connection.proceed()
        except BlockingIOError:
            pass
        except OSError:  # the client has closed the connection
            self._cut(connection)
        except Exception as error:
            self._log(f"request: {error!r}")
            self._cut(connection)

    def _cut(self, connection: Connection) -> None:
        if connection in self._connections:
            del self._connections[connection]
            connection.close()

    def _finish_requests(self, now: float) -> None:
        """Cuts the clients whose request is not complete, and limits the time of the others."""
        for connection in list(self._connections):
            self._proceed(connection)  # its request may have arrived since
            if connection.state == READING:
                self._cut(connection)
            elif connection.state == WRITING:
                connection.hurry(now)

    # ---- one scrape for all clients that wait ----

    def _begin_scrape(self, now: float) -> bool:
        """Orders a scrape if clients wait for one and none is under way.

        Returns False if too many responses are not taken yet, so that the scrape has to wait.
        """
        if self._being_answered:
            return True
        waiting = [each for each in self._connections if each.state == WAITING]
        if not waiting:
            return True
        if self.count_held() > _MAX_HELD_BYTES:
            for connection in list(self._connections):
                if connection.state == WRITING and connection.is_idle(now):
                    self._cut(connection)
            if self.count_held() > _MAX_HELD_BYTES:
                return False
        self._being_answered = waiting
        self.scraper.order({each.request.coding for each in waiting if each.request})
        return True

    def _deliver(self) -> None:
        """Answers the clients of a scrape that is done. Also runs when `stop` wakes the thread."""
        os.eventfd_read(self._wake)
        outcome = self.scraper.take()
        if outcome is None:
            return
        batch, self._being_answered = self._being_answered, []
        for connection in batch:
            request = connection.request
            if connection not in self._connections or request is None:
                continue
            if isinstance(outcome, Exception):
                connection.respond(request.respond_with_failure())
            else:
                connection.respond(*request.respond_with_metrics(outcome[request.coding]))
            self._proceed(connection)


def _open_listener(address: str, port: int) -> socket.socket:
    """Opens a listening socket. [::] accepts IPv4 too, even if net.ipv6.bindv6only is 1."""
    # getaddrinfo() finds the interface index of "fe80::1%eth0". The address is passed as bytes
    # because Python would encode text as a domain name.
    found = socket.getaddrinfo(
        os.fsencode(address), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )
    family, kind, protocol, _, where = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit the size of the buffer.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(where)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
