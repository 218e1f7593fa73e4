"""`RtnetlinkSocket` among threads, closed, forgotten, and after a fork."""

from __future__ import annotations

import errno
import gc
import os
import re
import signal
import sys
import threading

import pytest
import support
from fake_socket import silence
from helpers_rtnetlink import EVERY_CALL, ByHandlerError

from pynetstrat import KernelError, RtnetlinkSocket

# ---- threads ----


def test_eight_threads_share_one_socket(net, rtnetlink):
    for number in range(8):
        support.add_patterned(net, number)

    def work(number):
        name, expected = f"v{number}", support.view(f"v{number}", number)
        for turn in range(200):
            assert rtnetlink.get_stats(name) == expected
            if turn % 20 == 0:
                assert rtnetlink.dump_stats()[name] == expected
                assert rtnetlink.link_is_up(name)
                rtnetlink.link_set_up(name)

    support.run_threads(*(lambda n=n: work(n) for n in range(8)))


def test_the_gil_is_released_while_a_call_waits(net, alarm):
    """Another thread runs during the wait, and then ends it."""
    progress = []

    def go_on():
        other.recv(4096)  # the main thread has asked, and waits
        progress.extend(range(100_000))
        signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)

    def handler(*_):
        raise ByHandlerError

    alarm(handler, 0)
    with RtnetlinkSocket(timeout=30) as rtnetlink, silence(rtnetlink) as other:
        thread = threading.Thread(target=go_on)
        thread.start()
        with pytest.raises(ByHandlerError):
            rtnetlink.link_is_up("lo")
        thread.join()
    assert len(progress) == 100_000


def catch(rtnetlink):
    try:
        rtnetlink.link_is_up("lo")
    except KernelError as error:
        return error
    return None


@pytest.mark.slow
def test_close_waits_for_the_call_of_another_thread(net):
    """The descriptor is not closed while the other thread uses it."""
    with RtnetlinkSocket(timeout=0.5) as rtnetlink, silence(rtnetlink) as other:
        ended = []
        waiting = threading.Thread(target=lambda: ended.append(catch(rtnetlink)))
        waiting.start()
        other.recv(4096)
        rtnetlink.close()
        waiting.join()
        assert ended[0].errno == errno.ETIMEDOUT
        with pytest.raises(KernelError, match="closed"):
            rtnetlink.link_is_up("lo")


def test_threads_may_close_a_socket_that_others_use(net):
    support.add_patterned(net, 1)
    for _ in range(20):
        rtnetlink = RtnetlinkSocket()

        def work(rtnetlink=rtnetlink):
            try:
                while True:
                    assert rtnetlink.get_stats("v1") == support.view("v1", 1)
            except KernelError as error:
                assert error.errno == errno.EBADF

        support.run_threads(work, work, rtnetlink.close)


# ---- the end of a socket ----


def test_the_descriptor_is_closed_on_exec(rtnetlink):
    descriptor = rtnetlink.fileno()
    assert os.get_inheritable(descriptor) is False
    assert os.fstat(descriptor)


@EVERY_CALL
def test_every_call_on_a_closed_socket_is_an_error(net, call):
    rtnetlink = RtnetlinkSocket()
    rtnetlink.close()
    rtnetlink.close()
    with pytest.raises(KernelError) as caught:
        call(rtnetlink)
    assert caught.value.errno == errno.EBADF
    assert str(caught.value).endswith("this RtnetlinkSocket is closed: open a new one")
    with pytest.raises(KernelError), rtnetlink as again:
        call(again)


def test_the_error_of_a_closed_socket_names_the_interface(net):
    rtnetlink = RtnetlinkSocket()
    rtnetlink.close()
    for name in ("eth0", b"eth0"):
        with pytest.raises(KernelError, match='interface "eth0": RTM_NEWLINK: Bad file descriptor'):
            rtnetlink.link_set_up(name)
    with pytest.raises(KernelError, match=r"^RTM_NEWLINK: Bad file descriptor"):
        rtnetlink.link_set_up(None)


def test_a_forgotten_socket_warns_and_closes(net):
    before = support.descriptors()
    rtnetlink = RtnetlinkSocket()
    with pytest.warns(ResourceWarning, match="unclosed <RtnetlinkSocket in"):
        del rtnetlink
        gc.collect()
    assert support.descriptors() == before


@pytest.mark.parametrize("timeout", [-1, -0.001, 86401, float("inf"), float("nan")])
def test_a_timeout_out_of_range_is_refused(timeout):
    with pytest.raises(ValueError, match="timeout must be a number of seconds"):
        RtnetlinkSocket(timeout=timeout)


@pytest.mark.parametrize("timeout", [None, "5", [], 1j])
def test_a_timeout_of_another_type_is_an_error_that_says_what_is_allowed(timeout):
    with pytest.raises(TypeError, match=re.escape(f"seconds from 0 to 86400, not {timeout!r}")):
        RtnetlinkSocket(timeout=timeout)


def test_a_representation_shows_namespace_and_state(net, new_namespace):
    other = new_namespace()
    with RtnetlinkSocket(other) as rtnetlink, RtnetlinkSocket() as own:
        assert repr(rtnetlink) == f'<RtnetlinkSocket in "descriptor {other}": open>'
        assert repr(own) == "<RtnetlinkSocket in its opener's namespace: open>"
        assert in_child(lambda: repr(own)) == (
            "<RtnetlinkSocket in its opener's namespace: opened before fork()>"
        )
    assert repr(rtnetlink) == f'<RtnetlinkSocket in "descriptor {other}": closed>'
    assert repr(object.__new__(RtnetlinkSocket)) == "<RtnetlinkSocket in no namespace: closed>"


def in_child(function):
    """Calls a function in a forked child, and returns its result as text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = function()
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, str(text).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123  # a descriptor
        text = pipe.read().decode()
    assert os.waitpid(child, 0) == (child, 0)
    return text


@EVERY_CALL
def test_every_call_in_a_forked_child_is_an_error(net, call):
    with RtnetlinkSocket() as rtnetlink:
        text = in_child(lambda: call(rtnetlink))
        assert text.startswith("KernelError: ")
        assert text.endswith("opened before fork(): open a new one")
        call(rtnetlink)  # the parent's goes on


def test_a_child_opens_one_of_its_own(net):
    support.add_patterned(net, 1)
    with RtnetlinkSocket() as rtnetlink:

        def child():
            rtnetlink.close()  # its copy: the parent's stays open
            with RtnetlinkSocket() as own:
                return own.get_stats("v1")

        assert in_child(child) == str(support.view("v1", 1))
        assert rtnetlink.get_stats("v1") == support.view("v1", 1)


@pytest.mark.slow
def test_a_fork_during_another_threads_call_does_no_harm(net):
    """In the child the lock stays held: nothing there may wait for it."""
    code = """
import os, socket, threading
from pynetstrat import KernelError, RtnetlinkSocket

def ask():
    try:
        rtnetlink.link_is_up("lo")
    except KernelError:
        pass

with RtnetlinkSocket(timeout=1) as rtnetlink:
    mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    os.dup2(mine.fileno(), rtnetlink.fileno())
    thread = threading.Thread(target=ask)
    thread.start()
    other.recv(4096)
    child = os.fork()
    if child == 0:
        try:
            rtnetlink.link_is_up("lo")
        except KernelError as error:
            print(error, flush=True)
        rtnetlink.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
mine.close()
other.close()
"""
    done = support.run([sys.executable, "-c", code])
    assert done.stderr.replace("\n", "") == "" or "DeprecationWarning" in done.stderr
    assert "opened before fork(): open a new one" in done.stdout
