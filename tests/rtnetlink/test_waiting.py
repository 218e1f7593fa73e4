"""How long a call waits, and which signals and datagrams interrupt it."""

from __future__ import annotations

import array
import errno
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
import support
from fake_socket import silence
from helpers_rtnetlink import CALLS, EVERY_CALL, ByHandlerError

from pynetstrat import InvalidInterfaceNameError, KernelError, RtnetlinkSocket


@pytest.mark.slow
@EVERY_CALL
def test_no_answer_is_an_error_at_the_deadline(net, call):
    if call is CALLS["fileno"]:
        call = CALLS["link_is_up"]
    for timeout in (0, 0.05):
        with RtnetlinkSocket(timeout=timeout) as rtnetlink, silence(rtnetlink):
            with pytest.raises(KernelError) as caught:
                call(rtnetlink)
            error = caught.value
            # What an AF_UNIX socket refuses before there is anything to wait for is known too.
            assert error.errno in (errno.ETIMEDOUT, errno.EOPNOTSUPP)


def test_no_answer_for_a_known_index_is_an_error(net):
    """The name is cached, so a call is one exchange, which fails."""
    support.add_patterned(net, 1)
    with RtnetlinkSocket(timeout=60) as rtnetlink:
        assert rtnetlink.get_stats("v1") == support.view("v1", 1)
        assert rtnetlink.get_stats("v1") == support.view("v1", 1)
        with silence(rtnetlink):
            rtnetlink._native._sock.timeout_ms = 50
            for call, name in (
                (lambda: rtnetlink.get_stats("v1"), "v1"),
                (rtnetlink.dump_stats, ""),
                (rtnetlink.dump_counters, ""),
            ):
                with pytest.raises(KernelError) as caught:
                    call()
                assert (caught.value.errno, caught.value.interface) == (errno.ETIMEDOUT, name)


def test_a_timeout_of_0_reads_only_what_is_queued(net):
    for number in range(120):
        net.add_veth(f"v{number}", f"w{number}", up=False)
    with RtnetlinkSocket(timeout=0) as rtnetlink:
        rtnetlink.link_set_up("v7")
        assert rtnetlink.link_is_up("v7")
        for _ in range(3):
            assert len(rtnetlink.dump_stats()) == 241  # several datagrams
            assert len(rtnetlink.dump_counters().names) == 241
            assert len(rtnetlink.dump_links()) == 241
            assert rtnetlink.get_stats("v7").name == "v7"
            for name in ("a", "b"):  # two changes, whose notifications come before the reply
                net.rename(socket.if_nametoindex("v1"), name)
                net.rename(socket.if_nametoindex(name), "v1")
            assert rtnetlink.get_stats("v7").name == "v7"


def test_one_deadline_holds_for_all_exchanges_of_a_call(net, rtnetlink, monkeypatch):
    """The deadline has passed after the first exchange."""
    native = sys.modules["pynetstrat._native.socket"].Socket
    for number in range(120):
        net.add_veth(f"v{number}", f"w{number}", up=False)
    dump_names = native.dump_names

    def slowly(self):
        try:
            return dump_names(self)
        finally:
            self._sock.deadline_ms = 1

    monkeypatch.setattr(native, "dump_names", slowly)
    for call in (rtnetlink.dump_stats, rtnetlink.dump_counters):
        rtnetlink._names.all = None
        with pytest.raises(KernelError) as caught:
            call()
        assert caught.value.errno == errno.ETIMEDOUT
    monkeypatch.undo()
    assert len(rtnetlink.dump_stats()) == 241  # and the next call has its own


def test_a_timeout_names_interface_operation_and_cause(net):
    with RtnetlinkSocket(timeout=0.05) as rtnetlink, silence(rtnetlink):
        with pytest.raises(KernelError) as caught:
            rtnetlink.link_set_up("eth0")
        error = caught.value
        assert (error.errno, error.operation, error.interface) == (
            errno.ETIMEDOUT,
            "recvfrom",
            "eth0",
        )
        assert str(error) == (
            'interface "eth0": recvfrom: Connection timed out; the kernel did not answer in time'
        )


@pytest.mark.slow
def test_datagrams_of_other_senders_are_ignored(net):
    """A flood of them does not delay the deadline."""
    with RtnetlinkSocket(timeout=0.3) as rtnetlink, silence(rtnetlink) as other:
        ended = threading.Event()
        forged = b"\x14\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0"  # an ack of the first request

        def flood():
            while not ended.is_set():
                try:
                    other.send(forged, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    time.sleep(0.001)

        def ask():
            try:
                with pytest.raises(KernelError) as caught:
                    rtnetlink.link_set_up("lo")
                assert caught.value.errno == errno.ETIMEDOUT
            finally:
                ended.set()

        support.run_threads(flood, ask)


def test_datagrams_of_another_process_are_ignored(net, rtnetlink):
    """Any process may send to a netlink port of its namespace; nl_pid identifies the sender."""
    support.add_patterned(net, 1)
    rtnetlink.get_stats("v1")  # watches, and so is bound
    with (
        socket.fromfd(rtnetlink.fileno(), socket.AF_NETLINK, socket.SOCK_RAW) as duplicate,
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as stranger,
    ):
        port = duplicate.getsockname()[0]
        for sequence in range(1, 40):
            forged = array.array("I", [20, 2, sequence, port, 0xFFFFFFED]).tobytes()  # -ENODEV
            stranger.sendto(forged, (port, 0))
    assert rtnetlink.get_stats("v1") == support.view("v1", 1)
    assert rtnetlink.link_is_up("v1")
    assert "v1" in rtnetlink.dump_stats()


def test_ctrl_c_ends_a_wait_at_once(net, alarm):
    with RtnetlinkSocket(timeout=600) as rtnetlink:
        with silence(rtnetlink), pytest.raises(KeyboardInterrupt):
            alarm(signal.default_int_handler)
            rtnetlink.link_is_up("lo")
        # What it raised is not kept for the next failure.
        with pytest.raises(InvalidInterfaceNameError):
            rtnetlink.link_is_up("")


@pytest.mark.slow
def test_a_wait_continues_after_a_handler_that_returns(net, alarm):
    ran = []
    with RtnetlinkSocket(timeout=0.3) as rtnetlink, silence(rtnetlink):
        alarm(lambda *_: ran.append(1), repeat=True)
        with pytest.raises(KernelError) as caught:
            rtnetlink.link_is_up("lo")
    assert caught.value.errno == errno.ETIMEDOUT
    assert ran


def test_a_handler_that_raises_ends_the_wait_with_what_it_raised(net, alarm):
    def handler(*_):
        raise ByHandlerError

    with (
        RtnetlinkSocket(timeout=600) as rtnetlink,
        silence(rtnetlink),
        pytest.raises(ByHandlerError),
    ):
        alarm(handler)
        rtnetlink.link_set_up("lo")


@pytest.mark.slow
def test_a_handler_that_uses_the_same_socket_gets_an_error(net, alarm):
    caught = []

    def handler(*_):
        for call in (*CALLS.values(), RtnetlinkSocket.close):
            try:
                call(rtnetlink)
            except KernelError as error:
                caught.append(error)
        rtnetlink._native._sock.deadline_ms = 1  # the wait continues, and ends at its deadline

    def interrupt():
        other.recv(4096)  # the main thread has asked, and waits
        signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)

    with RtnetlinkSocket(timeout=60) as rtnetlink, silence(rtnetlink) as other:
        alarm(handler, 0)
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KernelError) as outer:
            rtnetlink.link_is_up("lo")
        thread.join()
    assert outer.value.errno == errno.ETIMEDOUT
    assert len(caught) == len(CALLS) + 1
    assert {error.errno for error in caught} == {errno.EBUSY}
    assert "a signal handler" in str(caught[0])


def test_calls_succeed_under_a_storm_of_signals(net, alarm):
    support.add_patterned(net, 1)
    alarm(lambda *_: None, 0.0005, repeat=True)
    with RtnetlinkSocket() as rtnetlink:
        for _ in range(500):
            assert rtnetlink.get_stats("v1") == support.view("v1", 1)
            rtnetlink.link_set_up("v1")
            assert len(rtnetlink.dump_stats()) == 3


_AT_ANY_MOMENT = """
import gc, random, signal, sys
from pynetstrat import RtnetlinkSocket, SysfsReader, get_network_interface_stats, link_set_up
import support

class Interrupted(Exception):
    pass

def handler(*_):
    raise Interrupted

def socket():
    with RtnetlinkSocket() as rtnetlink:
        rtnetlink.link_is_up("lo")

def socket_elsewhere():
    with RtnetlinkSocket("/proc/self/ns/net") as rtnetlink:
        rtnetlink.link_is_up("lo")

def two_sockets():
    with RtnetlinkSocket() as rtnetlink:
        rtnetlink.get_stats("lo")
        rtnetlink.link_set_up("lo")

def reader():
    with SysfsReader("lo") as held:
        held.read()

moments = random.Random(1)
signal.signal(signal.SIGALRM, handler)
with RtnetlinkSocket() as shared:
    shared.get_stats("lo")
    shared.link_set_up("lo")  # which opens the socket for changes
    for function in (
        socket, socket_elsewhere, two_sockets, reader, link_set_up, shared.dump_stats,
        lambda: get_network_interface_stats("lo"), lambda: shared.get_stats("lo"),
        lambda: shared.link_set_up("lo"), lambda: shared.link_is_up("lo"),
    ):
        before, struck, count = support.descriptors(), 0, int(sys.argv[1])
        for _ in range(count):
            try:
                signal.setitimer(signal.ITIMER_REAL, moments.uniform(1e-6, 150e-6))
                for _ in range(20):  # an end: one that strikes within a __del__ is only printed
                    function()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupted:
                struck += 1
        assert struck > count // 10
        gc.collect()
        assert support.descriptors() == before, function
        shared.get_stats("lo")  # and what was struck goes on
        shared.dump_counters()
print("whole")
"""


@pytest.mark.slow
def test_a_handler_that_raises_at_any_moment_leaks_no_descriptor(net):
    """It may raise while a socket is being made. No socket remains unusable either."""
    # Coverage is not measured: a handler that interrupts the tracer leaves its lock taken.
    environment = support.without_coverage()
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
    # A handle whose `with` block was interrupted before it began warns, correctly.
    count = len(support.sample(range(1000)))
    command = [sys.executable, "-W", "ignore::ResourceWarning", "-c", _AT_ANY_MOMENT, str(count)]
    done = support.run(command, env=environment)
    assert done.stdout == "whole\n", done.stderr[-2000:]
