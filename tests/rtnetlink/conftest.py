"""Fixtures of the tests of rtnetlink."""

from __future__ import annotations

import signal

import pytest

from pynetstrat import RtnetlinkSocket


@pytest.fixture
def rtnetlink(net):
    with RtnetlinkSocket() as rtnetlink:
        yield rtnetlink


@pytest.fixture
def alarm():
    """Sets a handler for SIGALRM, and a timer that sends the signal repeatedly."""
    before = signal.getsignal(signal.SIGALRM)

    def arm(handler, seconds=0.02):
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)

    yield arm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
