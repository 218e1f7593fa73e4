"""Fixtures of the tests of rtnetlink."""

from __future__ import annotations

import contextlib
import signal

import pytest
from faults_for_tests import signal_handler

from pynetstrat import RtnetlinkSocket


@pytest.fixture
def rtnetlink(net):
    with RtnetlinkSocket() as rtnetlink:
        yield rtnetlink


@pytest.fixture
def alarm():
    """Sets a handler for SIGALRM, and a timer that sends the signal, repeatedly if asked to.

    A handler that raises is called once: a second exception could come when none is expected.
    """
    with contextlib.ExitStack() as stack:

        def arm(handler, seconds=0.02, *, repeat=False):
            stack.enter_context(signal_handler(signal.SIGALRM, handler))
            signal.setitimer(signal.ITIMER_REAL, seconds, seconds if repeat else 0)

        yield arm
