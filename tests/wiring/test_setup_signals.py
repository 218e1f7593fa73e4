"""_undo.py: a rollback finishes, whatever signals arrive."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from time import monotonic
from types import FrameType

import pytest
from faults_for_tests import at_line, signal_handler, without_collection
from helpers_network import (
    LO,
    dumps,
    names,
    quick_dumps,
    three_networks,
    veth,
)
from support import run_threads, sample

from pynetstrat import (
    KernelError,
    Network,
    NetworkNamespace,
    Route,
    set_up_networks,
)
from pynetstrat._native.batch import DELLINK
from pynetstrat._native.socket import Socket
from pynetstrat.wiring._session import Session
from pynetstrat.wiring._undo import UndoStack


class Interrupted(BaseException):
    """The exception of the signal handler."""


@pytest.fixture
def raising():
    """SIGUSR1 has a handler that raises while the list is empty or its item is true."""
    active: list[bool] = []

    def handle(number, frame):
        if all(active):
            raise Interrupted

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with without_collection():
            yield active
    finally:
        signal.signal(signal.SIGUSR1, before)


def _failing_late() -> list[Network]:
    """Loopback, a pair on a bridge, a point-to-point pair with a route that is refused."""
    wanted = three_networks()
    wanted[2].routes = [Route("192.0.2.0/24", gateway="198.51.100.1")]
    return wanted


# The modules that decide what is undone.
FILES = ("_undo.py", "_session.py", "setup.py", "_links.py", "_veth_pair.py")


def _signal_at_line(at: int, netns: NetworkNamespace) -> tuple[bool, BaseException]:
    """Raises SIGUSR1 at line `at` of a rollback. Returns whether it has one, and the error."""
    begun = False
    lines: set[tuple[str, int]] = set()

    def counts(frame: FrameType) -> bool:
        """Whether the rollback has begun, and has not executed this line before."""
        nonlocal begun
        code = frame.f_code
        begun = begun or (code.co_name == "__exit__" and frame.f_locals.get("error") is not None)
        line = code.co_filename, frame.f_lineno
        if not begun or line in lines:
            return False
        lines.add(line)
        return True

    sessions: list[Session] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "__enter__", lambda self: sessions.append(self) or self)
        try:
            with at_line(
                at + 1,
                FILES,
                partial(signal.raise_signal, signal.SIGUSR1),
                counts=counts,
                traces=lambda code: code.co_name != "close",
            ) as line:
                set_up_networks([LO, veth(gateway="192.0.2.1")], netns=netns)
        except BaseException as error:
            sessions[0].close()  # the signal may have come before that
            return line.is_reached, error
    raise AssertionError("it did not fail")


@pytest.mark.slow
def test_a_signal_at_any_line_of_a_rollback_is_handled_once_everything_is_undone(
    host, bridge, quiet_blue, raising
):
    look = partial(quick_dumps, host, quiet_blue)
    before, complete_before = look(), (dumps(), dumps(quiet_blue))
    handler = signal.getsignal(signal.SIGUSR1)
    for at in sample(range(10_000)):
        struck, error = _signal_at_line(at, quiet_blue)
        assert signal.getsignal(signal.SIGUSR1) == handler, at
        assert look() == before, at
        if not struck:
            break
        assert type(error) is Interrupted, at
        assert "could not be restored" not in str(error.__context__), at
    assert isinstance(error, KernelError)
    assert (dumps(), dumps(quiet_blue)) == complete_before
    assert at > 50


@pytest.mark.slow
@pytest.mark.parametrize("sender", ["timer", "thread"])
def test_a_storm_of_signals_does_not_end_a_rollback(host, bridge, quiet_blue, sender):
    """Most of 200 networks would be left if an exception of a handler ended the rollback."""
    before = dumps(), dumps(quiet_blue)
    wanted = [
        LO,
        *(
            veth(name=f"eth{i}", host_interface_name=f"h{i}", address="", gateway="")
            for i in range(200)
        ),
        veth(name="last", host_interface_name="last", gateway="192.0.2.1"),
    ]
    original, over = UndoStack.roll_back, threading.Event()

    def handle(number, frame):
        while frame is not None:  # raise only within the rollback
            if frame.f_code is original.__code__:
                raise Interrupted
            frame = frame.f_back

    def storm() -> None:
        while not over.wait(0.0005):
            os.kill(os.getpid(), signal.SIGUSR1)

    def roll_back(self, *arguments):
        if sender == "timer":
            signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        else:
            threading.Thread(target=storm).start()
        original(self, *arguments)

    with (
        signal_handler(signal.SIGUSR1, handle),
        signal_handler(signal.SIGALRM, handle),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(UndoStack, "roll_back", roll_back)
        try:
            with pytest.raises(Interrupted) as raised:
                set_up_networks(wanted, netns=quiet_blue)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            over.set()
            for thread in threading.enumerate():
                if thread is not threading.current_thread():
                    thread.join()
    assert "could not be restored" not in str(raised.value.__context__)
    assert (dumps(), dumps(quiet_blue)) == before


def test_ctrl_c_during_a_rollback_is_raised_once_everything_is_undone(host, bridge, quiet_blue):
    before = dumps(), dumps(quiet_blue)
    original = Socket.execute

    def execute(self, encoded):
        if any(message.type == DELLINK for message in encoded.messages):
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, encoded)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Socket, "execute", execute)
        with pytest.raises(KeyboardInterrupt) as raised:
            set_up_networks(_failing_late(), netns=quiet_blue)
    assert isinstance(raised.value.__context__, KernelError)
    assert (dumps(), dumps(quiet_blue)) == before


def test_a_handler_that_does_not_raise_runs_once_everything_is_undone(host, bridge, quiet_blue):
    seen: list[set[str]] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(names()))
    original = UndoStack.roll_back

    def roll_back(self, *arguments):
        if len(self):
            self.push(partial(signal.raise_signal, signal.SIGUSR1), "nothing")
        original(self, *arguments)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(UndoStack, "roll_back", roll_back)
            with pytest.raises(KernelError):
                set_up_networks([veth(gateway="192.0.2.1")], netns=quiet_blue)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert seen == [{"lo", "br0"}]


def test_a_rollback_outside_the_main_thread_defers_no_signals(host, bridge, quiet_blue):
    before, raised = (dumps(), dumps(quiet_blue)), []

    def work() -> None:
        try:
            set_up_networks(_failing_late(), netns=quiet_blue)
        except KernelError as error:
            raised.append(str(error))

    run_threads(work)
    assert len(raised) == 1
    assert "could not be restored" not in raised[0]
    assert (dumps(), dumps(quiet_blue)) == before


def test_an_interrupted_undo_step_runs_again_a_limited_number_of_times():
    stack, error, runs = UndoStack(), KernelError(5, "fault"), []

    def once() -> None:
        runs.append("once")
        if runs.count("once") == 1:
            raise KeyboardInterrupt

    def always() -> None:
        runs.append("always")
        raise SystemExit

    stack.push(partial(runs.append, "first"), "the first")
    stack.push(once, "the one in between")
    stack.push(always, "the second")
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        stack.roll_back(error, monotonic() + 60)
    assert runs[-3:] == ["once", "once", "first"]
    assert 1 < runs.count("always") < 100
    assert "the second could not be restored: SystemExit()" in str(error)
    assert len(stack) == 0


def test_a_rollback_can_be_interrupted_after_its_deadline(raising):
    """A step of a third-party strategy may hang."""
    stack, error, runs = UndoStack(), KernelError(5, "fault"), []
    stack.push(partial(runs.append, "first"), "the first")
    stack.push(partial(signal.raise_signal, signal.SIGUSR1), "what hangs")
    with pytest.raises(Interrupted):
        stack.roll_back(error, monotonic())
    assert runs == ["first"]
    assert "what hangs could not be restored: Interrupted()" in str(error)
