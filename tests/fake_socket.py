"""Sockets that stand in for a socket of a test, or change what it receives."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

import pytest


def silence(rtnetlink):
    """Replaces the socket by one that takes requests and never answers; returns its other end."""
    mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with mine:
        os.dup2(mine.fileno(), rtnetlink.fileno(), inheritable=False)
    return other


@contextlib.contextmanager
def interrupted(monitor):
    """Raises KeyboardInterrupt in each read of a `LinkMonitor`, once it has received a datagram."""
    native = type(monitor._native)
    receive = native.receive

    def receive_and_raise(self):
        receive(self)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "receive", receive_and_raise)
        yield


class FakeRecorder:
    """Stands in for a socket with which `ContainerCounters` records notifications: records none.

    Parameters:
        lost: whether it reports that notifications were lost.
    """

    def __init__(self, *, lost=False):
        self._lost = lost

    def process_pending(self):
        return self._lost

    def any(self):
        return self._lost

    def take_finals(self):
        return None if self._lost else []

    def peek(self):
        return None, False

    def clear(self):
        pass


class FakeSocket:
    """Stands in for `socket.socket`: answers with a script.

    Attributes:
        script: what each recvmsg() does: return a datagram, return (datagram, flags, sender), or
            raise an exception. "refused" as the first entry makes the constructor fail, and
            "unsendable" makes send() fail.
    """

    script: list[object] = []  # noqa: RUF012  # the tests set it

    def __init__(self, *_):
        self.answers = list(self.script)
        if self.answers and self.answers[0] == "refused":
            raise OSError(errno.EACCES, "Permission denied")

    def setsockopt(self, *_):
        raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    def settimeout(self, seconds):
        assert seconds > 0

    def close(self):
        pass

    def send(self, data):
        if self.answers and self.answers[0] == "unsendable":
            raise OSError(errno.ECONNREFUSED, "Connection refused")
        return len(data)

    def recvmsg(self, size):
        if not self.answers:
            raise TimeoutError
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        data, flags, sender = answer if isinstance(answer, tuple) else (answer, 0, 0)
        return data, [], flags, (sender, 0)
