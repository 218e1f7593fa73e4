"""The calls of `LinkMonitor`: errors, signals, forks and closing."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import time
import warnings

import pytest
import support
from fake_socket import interrupted
from faults_for_tests import signal_handler
from helpers_watching import Replay, cursor, kernel_links, link_names

import pynetstrat
from pynetstrat import (
    Batch,
    Event,
    KernelError,
    LinkMonitor,
)

NLMSG_ERROR, GETLINK = 2, 18  # linux/netlink.h, linux/rtnetlink.h


@pytest.mark.slow
def test_a_signal_handler_that_raises_at_any_moment_loses_no_event(rtnetlink):
    """Receiving is what is interrupted: no event has been returned yet."""

    class Interrupted(BaseException):
        pass

    def strike(*_):
        raise Interrupted

    batch = Batch()
    for number in range(60):
        batch.add_veth(f"v{number}", f"w{number}")
    rtnetlink.execute(batch)
    struck = 0
    with signal_handler(signal.SIGALRM, strike):
        for delay in range(1, 120):
            with LinkMonitor(addresses=True) as monitor:
                replay = Replay()
                events = []
                try:
                    signal.setitimer(signal.ITIMER_REAL, delay * 50e-6)
                    monitor._locked(monitor._receive, "read")
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Interrupted:
                    struck += 1
                events += monitor.read()
                replay.apply(events)
                assert replay.links.keys() == kernel_links().keys()
    assert struck


def test_a_closed_monitor_refuses_every_call(monitor):
    monitor.close()
    monitor.close()
    for use in (monitor.read, monitor.fileno, lambda: next(monitor)):
        with pytest.raises(KernelError, match="this LinkMonitor is closed"):
            use()
    assert "closed" in repr(monitor)


@pytest.mark.slow
def test_close_ends_a_wait_in_another_thread(monitor):
    monitor.read()

    def wait():
        with pytest.raises(KernelError, match="closed"):
            next(monitor)

    def close():
        time.sleep(0.2)
        monitor.close()

    support.run_threads(wait, close)


def test_a_forked_child_must_open_its_own(monitor):
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            try:
                monitor.read()
            except KernelError as error:
                status = 0 if "before fork()" in str(error) else 2
            monitor.close()
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert link_names(monitor.read()) == ["lo"]


def test_a_monitor_cannot_be_pickled(monitor):
    with pytest.raises(TypeError, match="can't be copied or pickled"):
        pickle.dumps(monitor)


def test_an_unclosed_monitor_causes_a_warning(net):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        LinkMonitor().read()
    assert [warning.category for warning in caught] == [ResourceWarning]


def test_an_event_can_be_compared_and_pickled(monitor):
    (event,) = monitor.read()
    assert pickle.loads(pickle.dumps(event)) == event
    assert event != Event("removed", event.link)


@pytest.mark.parametrize("wrong", [-1, "/nowhere/at/all", 10**9])
def test_anything_but_a_namespace_is_an_error(net, wrong):
    with pytest.raises(KernelError):
        LinkMonitor(wrong)


def test_a_monitor_needs_no_capability(rtnetlink):
    with support.without(support.CAP_NET_ADMIN), LinkMonitor() as monitor:
        assert link_names(monitor.read()) == ["lo"]
    rtnetlink.link_set_up("lo")


def test_repr_works_although_opening_failed():
    assert repr(LinkMonitor.__new__(LinkMonitor)) == "<LinkMonitor in no namespace: closed>"


@pytest.mark.slow
def test_a_refused_dump_is_raised_and_requested_again(rtnetlink, monitor, monkeypatch):
    monitor.read()
    native = monitor._native
    answers = iter([cursor(b"", 1), None])  # a loss, then the empty queue: a dump is requested

    def receive(self):
        for answer in answers:
            return answer
        reply = native._sock.sequence, native.port
        request = struct.pack("=IHHII16x", 32, GETLINK, 0x301, *reply)
        header = struct.pack("=IHHIIi", 20 + len(request), NLMSG_ERROR, 0, *reply, -12)
        return cursor(header + request)

    with monkeypatch.context() as patch:
        patch.setattr(type(native), "receive", receive)
        with pytest.raises(KernelError, match="RTM_GETLINK") as caught:
            monitor.read()
    assert caught.value.errno == 12
    rtnetlink.link_set_up("lo")
    assert [event.link.up for event in monitor.read()] == [True]


def test_read_ends_while_notifications_keep_arriving(rtnetlink, monitor, monkeypatch):
    monitor.read()
    monkeypatch.setattr(pynetstrat.watching.monitor, "_MAX_DATAGRAMS", 3)
    for _ in range(4):
        rtnetlink.link_set_up("lo")
        rtnetlink.link_set_down("lo")
    found = []
    for _ in range(4):
        events = monitor.read()
        assert 0 < len(events) <= 3 or found
        found += events
    assert len(found) == 8


def test_the_call_after_an_interrupted_one_dumps_everything(rtnetlink, monitor):
    """The datagram that it had received is lost."""
    monitor.read()
    rtnetlink.link_set_up("lo")
    with interrupted(monitor), pytest.raises(KeyboardInterrupt):
        monitor.read()
    assert [event.link.up for event in monitor.read()] == [True]


def test_a_replaced_descriptor_is_an_error(rtnetlink):
    """The file that has the descriptor now is neither read nor written."""
    with LinkMonitor() as monitor, open(os.devnull) as file:  # noqa: PTH123
        monitor.read()
        socket_ = os.dup(monitor.fileno())
        os.dup2(file.fileno(), monitor.fileno(), inheritable=False)
        for _ in range(2):
            with pytest.raises(KernelError, match="Socket operation on non-socket"):
                monitor.read()
        with pytest.raises(KernelError, match="send"):
            monitor._native.request(GETLINK)
        os.dup2(socket_, monitor.fileno(), inheritable=False)
        os.close(socket_)
        rtnetlink.link_set_up("lo")
        assert [event.link.up for event in monitor.read()] == [True]


def test_a_request_that_fails_leaves_nothing_open(net, monkeypatch):
    def refuse(self, kind):
        raise KernelError(12, "send")

    before = support.descriptors()
    monkeypatch.setattr(pynetstrat._native.monitor.Subscription, "request", refuse)
    with pytest.raises(KernelError, match="send"):
        LinkMonitor()
    assert support.descriptors() == before
