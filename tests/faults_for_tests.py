"""Faults that tests inject: a request that fails, and an action before any line of the package."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, SimpleNamespace
from typing import Any

import pytest

from pynetstrat import KernelError
from pynetstrat._native import kernel_error
from pynetstrat._native.batch import Encoded
from pynetstrat._native.socket import Socket

EIO, NEWLINK = 5, 16

#: The methods of a socket that only read.
QUERIES = (
    *("get_link", "get_bridge", "dump_addresses", "copy_routes", "get_nsid", "query"),
    "dump_copy",
)


def input_output_error() -> KernelError:
    """The error with which a request fails."""
    return kernel_error(EIO, 0, NEWLINK)


class FailingRequest:
    """Has one request answered with EIO, in any socket: a message of a batch, or a query.

    Parameters:
        target: which request fails, from 0.
        is_executed: whether the kernel executes the message that fails.
        queries: the methods whose calls count as requests.

    Attributes:
        count: how many requests there were.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        target: int,
        *,
        is_executed: bool = False,
        queries: tuple[str, ...] = (),
    ) -> None:
        self.count = 0
        self._target = target
        self._is_executed = is_executed
        self._execute = Socket.execute
        monkeypatch.setattr(Socket, "execute", lambda sock, encoded: self.execute(sock, encoded))
        for query in queries:
            monkeypatch.setattr(Socket, query, self._wrap(getattr(Socket, query)))

    @property
    def has_failed(self) -> bool:
        """Whether the request was made."""
        return self.count > self._target

    def _wrap(self, query: Callable[..., Any]) -> Callable[..., Any]:
        def querying(sock: Socket, *arguments: Any) -> Any:
            self.count += 1
            if self.count - 1 == self._target:
                raise input_output_error()
            return query(sock, *arguments)

        return querying

    def execute(self, sock: Socket, encoded: Encoded) -> list[Any]:
        messages = list(encoded.messages)
        at = self._target - self.count
        self.count += len(messages)
        if not 0 <= at < len(messages):
            return self._execute(sock, encoded)
        if self._is_executed:
            outcomes = self._execute(sock, encoded)
        else:
            rest = Encoded(messages[:at] + messages[at + 1 :])
            outcomes = self._execute(sock, rest) if rest.messages else []
            outcomes.insert(at, None)
        outcomes[at] = input_output_error()
        return outcomes


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """No automatic garbage collection.

    Python only prints an exception that is raised within a finalizer or a callback of the
    collector (hypothesis has one): what an interrupt raised there would be lost.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def signal_handler(
    number: int, handler: Callable[[int, FrameType | None], object]
) -> Iterator[None]:
    """The handler of a signal, which may raise at any moment; no interval timer remains.

    The tracer of coverage is off: an exception raised within it would leave its lock taken.
    """
    before, tracer = signal.signal(number, handler), sys.gettrace()
    sys.settrace(None)
    try:
        with without_collection():
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(number, before)
        sys.settrace(tracer)


@contextlib.contextmanager
def at_line(
    target: int,
    files: tuple[str, ...],
    act: Callable[[], object],
    *,
    counts: Callable[[FrameType], bool] = lambda frame: True,
    traces: Callable[[CodeType], bool] = lambda code: True,
) -> Iterator[SimpleNamespace]:
    """Calls `act` once, before a line of these files is executed.

    The context has the attribute `is_reached`: whether there was such a line.

    Parameters:
        target: which line, from 1: each execution of a line counts.
        files: the ends of the files' paths.
        act: raises an exception, or sends a signal.
        counts: whether a line that is about to be executed counts.
        traces: whether a function's lines can count.
    """
    count, result = 0, SimpleNamespace(is_reached=False)

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        code = frame.f_code
        if not code.co_filename.endswith(files) or not traces(code):
            return None
        if event == "line" and counts(frame):
            count += 1
            if count == target:
                result.is_reached = True
                sys.settrace(None)
                act()
        return trace

    before = sys.gettrace()  # that of a debugger or of coverage
    sys.settrace(trace)
    try:
        with without_collection():
            yield result
    finally:
        sys.settrace(before)
