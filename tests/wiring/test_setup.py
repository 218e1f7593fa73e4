"""lifecycle.py: several networks of a container, all or nothing."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from time import monotonic

import pytest
from helpers_network import containers, dumps, ip, names, quieten, veth
from support import ROOT, descriptors, identity, python, run, run_threads

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    KernelError,
    Network,
    NetworkNamespace,
    NetworkStrategy,
    Route,
    RtnetlinkSocket,
    TeardownError,
    UnknownStrategyError,
    check_networks,
    get_strategy,
    register_strategy,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat._native.batch import DELLINK
from pynetstrat._native.socket import Socket
from pynetstrat.strategy import registry
from pynetstrat.wiring._session import Session
from pynetstrat.wiring._undo import UndoStack

LO = Network("loopback", name="lo")


@pytest.fixture
def blue(net):
    with NetworkNamespace.create() as namespace:
        quieten(namespace)
        yield namespace


@pytest.fixture
def spy():
    """A strategy of others, of type "spy", which notes its calls."""
    strategy = Spy()
    register_strategy("spy", strategy)
    yield strategy
    del registry["spy"]


class Spy(NetworkStrategy):
    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fails: dict[str, BaseException] = {}
        self.seen: list[object] = []
        self.returns: object = None

    def _note(self, step: str, network: Network, netns: object) -> None:
        self.calls.append((step, network.name))
        self.seen.append(netns)
        if step in self.fails:
            raise self.fails[step]

    def create(self, network, nspid=None, *, netns=None):
        assert nspid is None
        self._note("create", network, netns)
        return self.returns

    def initialize(self, network=None, *, netns=None):
        self._note("initialize", network, netns)

    def destroy(self, network, *, netns=None):
        self._note("destroy", network, netns)

    def check(self, network, *, netns=None):
        self._note("check", network, netns)
        return [f"{network.name}: spied upon"]


# ---- what it gives ----


def test_everything_is_set_up_in_order_and_torn_down_in_reverse(host, bridge, blue, spy):
    networks = [LO, Network("spy", name="first"), veth(), Network("spy", name="second")]
    made = set_up_networks(networks, netns=blue)
    assert [network.name for network in made] == ["lo", "first", "eth0", "second"]
    steps = ["create", "create", "initialize", "initialize"]
    assert spy.calls == list(zip(steps, ["first", "second"] * 2, strict=True))
    assert ip("link", "show", "lo", netns=blue)[0]["flags"].count("UP") == 1
    assert check_networks(made, netns=blue) == ["first: spied upon", "second: spied upon"]
    spy.calls.clear()
    tear_down_networks(made, netns=blue)
    assert spy.calls == [("destroy", "second"), ("destroy", "first")]
    assert names(blue) == {"lo"}


def test_it_works_on_copies_and_one_configuration_serves_many_containers(host, bridge):
    route = Route("192.0.2.0/24", gateway="10.0.0.9")
    networks = [LO, veth(host_interface_name="", owner="", routes=[route])]
    given = deepcopy(networks)
    with containers(3) as spaces:
        made = [set_up_networks(networks, netns=space) for space in spaces]
        assert networks == given
        assert len({one[1].host_interface_name for one in made}) == 3
        for one, space in zip(made, spaces, strict=True):
            assert one[1] is not networks[1]
            assert one[1].routes[0] is not route
            assert check_networks(one, netns=space) == []
            tear_down_networks(one, netns=space)
    assert names() == {"lo", "br0"}


def test_any_iterable_of_networks_will_do(host, bridge, blue):
    made = set_up_networks(iter((LO, veth())), netns=blue)
    assert check_networks(iter(made), netns=blue) == []
    tear_down_networks(iter(made), netns=blue)
    assert set_up_networks([], netns=blue) == []
    assert check_networks([], netns=blue) == []
    tear_down_networks([], netns=blue)


@pytest.mark.parametrize("form", ["handle", "descriptor", "path"])
def test_the_namespace_is_given_in_any_form(host, bridge, blue, form):
    path = f"/proc/self/fd/{blue.fileno()}"
    netns = {"handle": blue, "descriptor": blue.fileno(), "path": path}[form]
    made = set_up_networks([LO, veth()], netns=netns)
    assert check_networks(made, netns=netns) == []
    tear_down_networks(made, netns=netns)


def test_a_namespace_that_there_is_not_is_an_error(host, bridge):
    with pytest.raises(KernelError, match="open netns /no/such/file: No such file"):
        set_up_networks([LO, veth()], netns="/no/such/file")
    with pytest.raises(KernelError, match=rf"of_process\({os.getpid()}\)"):
        set_up_networks([LO, veth()], netns=os.getpid())
    assert names() == {"lo", "br0"}


# ---- refused before anything is sent ----


@pytest.mark.parametrize("field", ["name", "host_interface_name"])
def test_a_name_that_two_networks_want_is_refused_before_the_first_message(net, field, monkeypatch):
    first, second = veth(name="eth0", host_interface_name="h0"), veth(name="eth1")
    second.host_interface_name = "h1"
    setattr(second, field, getattr(first, field))
    monkeypatch.setattr(RtnetlinkSocket, "__init__", _no_socket)
    with NetworkNamespace.create() as blue, pytest.raises(InvalidNetworkError) as raised:
        set_up_networks([first, second], netns=blue)
    assert raised.value.reason == "two networks of this container request it"
    assert (raised.value.field, raised.value.value) == (field, getattr(first, field))


def _no_socket(*arguments: object, **options: object) -> None:
    raise AssertionError("a socket was opened")


def test_an_unknown_type_is_refused_before_the_first_message(net, monkeypatch, spy):
    monkeypatch.setattr(RtnetlinkSocket, "__init__", _no_socket)
    with NetworkNamespace.create() as blue, pytest.raises(UnknownStrategyError):
        set_up_networks([Network("spy"), LO, Network("no-such-type")], netns=blue)
    assert spy.calls == []


def test_lo_twice_does_no_harm(net):
    with NetworkNamespace.create() as blue:
        set_up_networks([LO, LO], netns=blue)
        assert check_networks([LO], netns=blue) == []


# ---- all or nothing ----


def _networks() -> list[Network]:
    return [
        LO,
        veth(hairpin_mode=True, ipv6_address="fd00::2/64", ipv6_gateway="fd00::1"),
        veth(
            name="eth1",
            host_interface_name="",
            bridge="",
            address="10.9.0.2/24",
            gateway="",
            routes=[Route("192.0.2.0/24", gateway="10.9.0.7")],
        ),
    ]


# Whatever is sent goes through one of these.
EXCHANGES = [
    *("execute", "get_link", "dump_links", "dump_states", "copy_addresses"),
    *("set_up", "is_up", "get_nsid"),
]


@contextlib.contextmanager
def _failing(at: int, error: BaseException, *, after: bool) -> list[str]:
    """Exchange number `at` fails, before it was carried out or after that; gives what was done."""
    done: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in EXCHANGES:
            faulty = _faulty(getattr(Socket, name), name, done, at, error, after)
            patch.setattr(Socket, name, faulty)
        yield done


def _faulty(
    function: Callable[..., object],
    name: str,
    done: list[str],
    at: int,
    error: BaseException,
    after: bool,
) -> Callable[..., object]:
    def work(self: Socket, *arguments: object) -> object:
        number = len(done)
        done.append(name)
        if number == at and not after:
            raise error
        result = function(self, *arguments)
        if number == at:
            raise error
        return result

    return work


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", [KernelError, KeyboardInterrupt])
def test_any_exchange_that_fails_leaves_everything_as_it_was(host, bridge, blue, kind, after):
    """Each is made to fail once, without being carried out, and after that, as a lost ack is."""
    before, open_before = (dumps(), dumps(blue)), descriptors()
    for at in range(100):
        error = kind(5, "fault") if kind is KernelError else kind()
        with _failing(at, error, after=after) as done:
            try:
                made = set_up_networks(_networks(), netns=blue)
            except kind as raised:
                assert raised is error
                assert "could not be undone" not in str(raised)
            else:
                break
        assert (dumps(), dumps(blue)) == before, (at, done)
        assert descriptors() == open_before
    assert at == len(done)
    assert at > 7
    tear_down_networks(made, netns=blue)


def test_an_interrupt_at_any_line_leaves_everything_as_it_was(host, bridge, blue):
    """As if Ctrl-C came right there, at each line of what decides; all or nothing.

    All only where all was done, and nothing was left but to close the sockets.
    """

    look = partial(_quick_dumps, host, blue)
    networks, before, complete = _networks()[:2], look(), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # what nobody had the time to close
        for at in range(10_000):
            if not _interrupted_at_line(at, networks, blue):
                break
            if look() != before:
                assert check_networks(networks, netns=blue) == [], at
                complete.append(at)
                tear_down_networks(networks, netns=blue)
                with RtnetlinkSocket(blue) as container:
                    container.link_set_down("lo")
                    container.execute(Batch().delete_address(1, "127.0.0.1/8"))
            assert look() == before, at
        gc.collect()
    assert at > 200
    assert complete == list(range(at))[at - len(complete) :]
    assert len(complete) < 10
    tear_down_networks(networks, netns=blue)


def _quick_dumps(host: RtnetlinkSocket, netns: NetworkNamespace) -> object:
    with RtnetlinkSocket(netns) as container:
        return [
            (sock.dump_links().keys(), sock.dump_addresses(), sock.dump_routes())
            for sock in (host, container)
        ]


# Where an interrupt has to be reckoned with. (Within a turn at a socket, guard.py, the interpreter
# looks for signals at calls alone.)
FILES = (
    *("batch.py", "links.py", "network.py", "setup.py", "_session.py", "_strategy.py"),
    *("_undo.py", "veth.py", "_veth_names.py", "_veth_pair.py"),
)


def _interrupted_at_line(at: int, networks: list[Network], netns: NetworkNamespace) -> bool:
    """Whether there was such a line."""
    count = -1

    def trace(frame, event, argument):
        nonlocal count
        if not frame.f_code.co_filename.endswith(FILES) or frame.f_code.co_name == "close":
            return None  # (closing comes when all is done)
        if event == "line":
            count += 1
            if count == at:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()  # a debugger's, or coverage's
    sys.settrace(trace)
    try:
        set_up_networks(networks, netns=netns)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_lo_that_was_up_stays_up_after_an_error(host, bridge, blue):
    with RtnetlinkSocket(blue) as sock:
        sock.link_set_up("lo")
    before = dumps(blue)
    with pytest.raises(KernelError):
        set_up_networks([LO, veth(gateway="192.0.2.1")], netns=blue)
    assert dumps(blue) == before


LO_ADDRESSES = [
    ["127.0.0.9/8"],
    ["127.0.0.1/8", "127.0.0.9/8"],
    ["127.0.0.9/8", "127.0.0.1/8", "10.1.1.1/32"],
    ["fd00::9/128", "127.0.0.9/32", "fd00::8/128"],
]


@pytest.mark.parametrize("addresses", LO_ADDRESSES)
def test_lo_that_was_down_has_the_addresses_that_it_had(host, bridge, blue, addresses):
    for address in addresses:
        ip("address", "add", address, "dev", "lo", netns=blue)
    before = dumps(blue)
    with pytest.raises(KernelError) as raised:
        set_up_networks([LO, veth(gateway="192.0.2.1")], netns=blue)
    assert "could not be undone" not in str(raised.value)
    assert dumps(blue) == before


# ---- signals while undoing ----


class Interrupted(BaseException):
    """What a signal handler raises."""


@pytest.fixture
def raising():
    """SIGUSR1 has a handler that raises as long as the list is empty or its item is true."""
    active: list[bool] = []

    def handle(number, frame):
        if all(active):
            raise Interrupted

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        yield active
    finally:
        signal.signal(signal.SIGUSR1, before)


def _failing_late() -> list[Network]:
    """Loopback, a pair on a bridge, a point-to-point pair with a route that is refused."""
    wanted = _networks()
    wanted[2].routes = [Route("192.0.2.0/24", gateway="198.51.100.1")]
    return wanted


def _signal_at_line(at: int, netns: NetworkNamespace) -> tuple[bool, BaseException]:
    """Raises SIGUSR1 at line `at` of a rollback; whether there was such a line, and the error."""
    count = -1
    begun = False
    lines: set[tuple[str, int]] = set()

    def trace(frame, event, argument):
        nonlocal count, begun
        code = frame.f_code
        files = ("_undo.py", "_session.py", "setup.py", "_links.py", "_veth_pair.py")
        if not code.co_filename.endswith(files) or code.co_name == "close":
            return None
        begun = begun or (code.co_name == "__exit__" and frame.f_locals.get("error") is not None)
        line = code.co_filename, frame.f_lineno
        if event == "line" and begun and line not in lines:  # each line when it is first run
            lines.add(line)
            count += 1
            if count == at:
                sys.settrace(None)
                signal.raise_signal(signal.SIGUSR1)
        return trace

    sessions: list[Session] = []
    before = sys.gettrace()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "__enter__", lambda self: sessions.append(self) or self)
        sys.settrace(trace)
        try:
            set_up_networks([LO, veth(gateway="192.0.2.1")], netns=netns)
        except BaseException as error:
            sys.settrace(before)
            sessions[0].close()  # before which the signal may have come
            return count >= at, error
    raise AssertionError("it did not fail")


def test_a_signal_at_any_line_of_a_rollback_is_handled_once_everything_is_undone(
    host, bridge, blue, raising
):
    look = partial(_quick_dumps, host, blue)
    before, complete_before = look(), (dumps(), dumps(blue))
    handler = signal.getsignal(signal.SIGUSR1)
    for at in range(10_000):
        struck, error = _signal_at_line(at, blue)
        assert signal.getsignal(signal.SIGUSR1) == handler, at
        assert look() == before, at
        if not struck:
            break
        assert type(error) is Interrupted, at
        assert "could not be undone" not in str(error.__context__), at
    assert isinstance(error, KernelError)
    assert (dumps(), dumps(blue)) == complete_before
    assert at > 50


@pytest.mark.parametrize("sender", ["timer", "thread"])
def test_a_storm_of_signals_does_not_end_a_rollback(host, bridge, blue, sender):
    """200 networks; most of them would be left if a handler's exception ended it."""
    before = dumps(), dumps(blue)
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
        while frame is not None:  # within the rollback only, so that the test itself goes on
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

    handlers = {
        number: signal.signal(number, handle) for number in (signal.SIGUSR1, signal.SIGALRM)
    }
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(UndoStack, "roll_back", roll_back)
            with pytest.raises(Interrupted) as raised:
                set_up_networks(wanted, netns=blue)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        over.set()
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert "could not be undone" not in str(raised.value.__context__)
    assert (dumps(), dumps(blue)) == before


def test_ctrl_c_while_undoing_is_a_keyboard_interrupt_once_everything_is_undone(host, bridge, blue):
    before = dumps(), dumps(blue)
    original = Socket.execute

    def execute(self, encoded):
        if any(message.type == DELLINK for message in encoded.messages):
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, encoded)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Socket, "execute", execute)
        with pytest.raises(KeyboardInterrupt) as raised:
            set_up_networks(_failing_late(), netns=blue)
    assert isinstance(raised.value.__context__, KernelError)
    assert (dumps(), dumps(blue)) == before


def test_a_handler_that_does_not_raise_is_called_once_everything_is_undone(host, bridge, blue):
    seen: list[set[str]] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(names()))
    original = UndoStack.roll_back

    def roll_back(self, *arguments):
        if len(self):
            self.push(partial(signal.raise_signal, signal.SIGUSR1))
        original(self, *arguments)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(UndoStack, "roll_back", roll_back)
            with pytest.raises(KernelError):
                set_up_networks([veth(gateway="192.0.2.1")], netns=blue)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert seen == [{"lo", "br0"}]


def test_a_rollback_in_another_thread_than_the_main_one_defers_nothing(host, bridge, blue):
    before, raised = (dumps(), dumps(blue)), []

    def work() -> None:
        try:
            set_up_networks(_failing_late(), netns=blue)
        except KernelError as error:
            raised.append(str(error))

    run_threads(work)
    assert len(raised) == 1
    assert "could not be undone" not in raised[0]
    assert (dumps(), dumps(blue)) == before


def test_an_undo_step_that_is_interrupted_otherwise_is_run_again_and_not_for_ever():
    stack, error, runs = UndoStack(), KernelError(5, "fault"), []

    def once() -> None:
        runs.append("once")
        if runs.count("once") == 1:
            raise KeyboardInterrupt

    def always() -> None:
        runs.append("always")
        raise SystemExit

    stack.push(partial(runs.append, "first"))
    stack.push(once)
    stack.push(always, "the second")
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        stack.roll_back(error, monotonic() + 60)
    assert runs[-3:] == ["once", "once", "first"]
    assert 1 < runs.count("always") < 100
    assert "the second could not be undone: SystemExit()" in str(error)
    assert len(stack) == 0


def test_after_its_deadline_a_rollback_can_be_interrupted(raising):
    """A step of a third-party strategy may hang."""
    stack, error, runs = UndoStack(), KernelError(5, "fault"), []
    stack.push(partial(runs.append, "first"))
    stack.push(partial(signal.raise_signal, signal.SIGUSR1), "what hangs")
    with pytest.raises(Interrupted):
        stack.roll_back(error, monotonic())
    assert runs == ["first"]
    assert "what hangs could not be undone: Interrupted()" in str(error)


def test_a_third_network_that_is_refused_takes_the_first_two_with_it(host, bridge, blue):
    before = dumps(), dumps(blue)
    third = veth(name="eth2", host_interface_name="h2", bridge="br1", metric=5)
    networks = [*_networks(), third]
    with pytest.raises(InvalidNetworkError, match='network "eth2": invalid bridge "br1"'):
        set_up_networks(networks, netns=blue)
    assert (dumps(), dumps(blue)) == before


def test_the_error_names_network_step_and_cause(host, bridge, blue):
    with pytest.raises(KernelError) as raised:
        set_up_networks([LO, veth(gateway="192.0.2.1")], netns=blue)
    text = str(raised.value)
    assert "RTM_NEWROUTE: Network is unreachable" in text
    assert "(the kernel says: Nexthop has invalid gateway)" in text
    assert 'step initialize of network "eth0" (veth)' in text
    assert str(pickle.loads(pickle.dumps(raised.value))) == text


# ---- strategies of others ----


def test_a_strategy_of_others_is_given_a_handle_with_a_descriptor(host, bridge, blue, spy):
    class Looks(Spy):
        def create(self, network, nspid=None, *, netns=None):
            self.seen.append(os.fstat(netns.fileno()).st_ino)
            with RtnetlinkSocket(netns) as sock, NetworkNamespace.open(netns) as space:
                self.seen.append((list(sock.dump_links()), space.id))
            return Network("spy", name="renamed")

    looks = Looks()
    register_strategy("spy", looks, replace=True)
    made = set_up_networks([Network("spy", name="given")], netns=blue)
    assert looks.seen[:2] == [blue.id[1], (["lo"], blue.id)]
    assert made == [Network("spy", name="renamed")]
    assert looks.calls == [("initialize", "renamed")]


@pytest.mark.parametrize("step", ["create", "initialize"])
@pytest.mark.parametrize("kind", [ValueError, KernelError, KeyboardInterrupt])
def test_what_a_strategy_of_others_raises_is_unchanged(host, bridge, blue, spy, step, kind):
    error = kind(5, "theirs") if kind is KernelError else kind("theirs")
    text = str(error)
    spy.fails[step] = error
    before = dumps(), dumps(blue)
    with pytest.raises(kind) as raised:
        set_up_networks([LO, veth(), Network("spy", name="last")], netns=blue)
    assert raised.value is error
    assert str(error) == text
    assert (dumps(), dumps(blue)) == before
    destroyed = [("destroy", "last")] if step == "initialize" else []
    assert spy.calls == [("create", "last"), *[(step, "last")][: step == "initialize"], *destroyed]


def test_destroy_is_called_only_where_create_returned(host, bridge, blue, spy):
    networks = [Network("spy", name="first"), veth(bridge="br1"), Network("spy", name="second")]
    with pytest.raises(InvalidNetworkError):
        set_up_networks(networks, netns=blue)
    assert spy.calls == [("create", "first"), ("destroy", "first")]


def test_a_failure_while_undoing_is_in_the_error_and_the_rest_is_undone(host, bridge, blue, spy):
    spy.fails["destroy"] = OSError("it sticks")
    before = dumps(), dumps(blue)
    networks = [veth(), Network("spy", name="first"), veth(name="eth1", host_interface_name="h1")]
    networks[2].gateway, networks[2].metric = "192.0.2.1", 5
    with pytest.raises(KernelError) as raised:
        set_up_networks(networks, netns=blue)
    assert 'network "first" (spy) could not be undone: it sticks' in str(raised.value)
    assert "could not be undone: it sticks" in raised.value.hint
    assert (dumps(), dumps(blue)) == before

    networks[2].bridge = "br1"
    with pytest.raises(InvalidNetworkError, match="could not be undone: it sticks"):
        set_up_networks(networks, netns=blue)
    spy.fails["initialize"] = ValueError("theirs")
    with pytest.raises(ValueError, match="theirs") as theirs:
        set_up_networks(networks[:2], netns=blue)
    assert theirs.value.__notes__ == ['network "first" (spy) could not be undone: it sticks']


def test_a_third_party_strategy_may_use_a_built_in_one(host, bridge, blue):
    class Wraps(NetworkStrategy):
        def create(self, network, nspid=None, *, netns=None):
            return get_strategy("veth").create(network, netns=netns)

        def initialize(self, network=None, *, netns=None):
            get_strategy("veth").initialize(network, netns=netns)
            raise ValueError("after that")

        def destroy(self, network, *, netns=None):
            get_strategy("veth").destroy(network, netns=netns)

    register_strategy("wraps", Wraps())
    try:
        before = dumps(), dumps(blue)
        network = veth()
        network.type = "wraps"
        with pytest.raises(ValueError, match="after that"):
            set_up_networks([LO, network], netns=blue)
        assert (dumps(), dumps(blue)) == before
    finally:
        del registry["wraps"]


@pytest.mark.parametrize("returned", [True, "eth0", {"name": "eth0"}, veth])
def test_a_create_that_returns_something_else_is_a_type_error_after_the_rollback(
    host, bridge, blue, spy, returned
):
    spy.returns = returned
    before = dumps(), dumps(blue)
    with pytest.raises(TypeError) as raised:
        set_up_networks([LO, veth(), Network("spy", name="last")], netns=blue)
    assert str(raised.value) == f"Spy.create must return a Network or None, not {returned!r}"
    assert (dumps(), dumps(blue)) == before
    assert spy.calls == [("create", "last"), ("destroy", "last")]


# ---- tear-down ----


def test_one_failure_does_not_keep_the_others_from_being_torn_down(host, bridge, blue, spy):
    networks = [veth(), Network("spy", name="a"), Network("spy", name="b"), LO]
    made = set_up_networks(networks, netns=blue)
    made.append(Network("no-such-type"))
    spy.fails["destroy"] = OSError("it sticks")
    with pytest.raises(TeardownError) as raised:
        tear_down_networks(made, netns=blue)
    kinds = [type(error) for error in raised.value.errors]
    assert kinds == [UnknownStrategyError, OSError, OSError]
    assert str(raised.value).count("it sticks") == 2
    assert names() == {"lo", "br0"}
    twin = pickle.loads(pickle.dumps(raised.value))
    assert [type(error) for error in twin.errors] == kinds


def test_tear_down_twice_without_a_namespace_and_with_one_that_is_gone(host, bridge):
    with NetworkNamespace.create() as blue:
        process = blue.popen(["sleep", "60"])
        path = f"/proc/{process.pid}/ns/net"
        made = set_up_networks([LO, veth()], netns=path)
        tear_down_networks(made)
        tear_down_networks(made, netns=blue)
        tear_down_networks(made, netns=path)
    process.kill()
    process.wait()
    for netns in (path, "/run/netns/no-such-name", None):
        tear_down_networks(made, netns=netns)
    assert names() == {"lo", "br0"}


def test_a_strategy_of_others_learns_that_the_namespace_is_gone(net, spy):
    tear_down_networks([Network("spy")], netns="/no/such/namespace")
    tear_down_networks([Network("spy")])
    assert spy.seen == [None, None]


def test_what_is_not_a_namespace_is_an_error_of_tear_down(host, bridge):
    with pytest.raises(KernelError, match=rf"of_process\({os.getpid()}\)"):
        tear_down_networks([veth()], netns=os.getpid())
    with open("/dev/null") as file, pytest.raises(KernelError, match="Invalid argument"):  # noqa: PTH123
        tear_down_networks([veth()], netns=file.fileno())
    with NetworkNamespace.create() as blue:
        pass
    with pytest.raises(KernelError, match="this NetworkNamespace is closed"):
        tear_down_networks([veth()], netns=blue)


# ---- side by side ----


CHURN = """
import sys
from pynetstrat import *
number = int(sys.argv[1])
for turn in range(15):
    with NetworkNamespace.create() as space:
        network = Network(
            "veth", name="eth0", bridge="br0", address=f"10.0.0.{number}/24", gateway="10.0.0.1",
            owner=f"c{number}",
        )
        made = set_up_networks([Network("loopback"), network], netns=space)
        assert check_networks(made, netns=space) == [], check_networks(made, netns=space)
        tear_down_networks(made, netns=space)
"""


def test_two_processes_wire_containers_to_one_bridge_at_once(host, bridge):
    mac = host.get_link("br0").mac
    children = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", CHURN, str(number)], cwd=ROOT)
        for number in (2, 3)
    ]
    assert [child.wait() for child in children] == [0, 0]
    assert names() == {"lo", "br0"}
    assert host.get_link("br0").mac == mac


def test_threads_wire_containers_to_one_bridge_at_once(host, bridge):
    home, failures = identity(), []

    def work(number: int) -> None:
        # A thread starts in the namespace of the one that made it.
        try:
            assert identity() == home
            with NetworkNamespace.create() as space:
                network = veth(host_interface_name=f"h{number}", address=f"10.0.0.{number}/24")
                made = set_up_networks([LO, network], netns=space)
                assert check_networks(made, netns=space) == []
                tear_down_networks(made, netns=space)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert names() == {"lo", "br0"}


def test_ctrl_c_in_the_middle_leaves_nothing(host, bridge, blue):
    before = dumps(), dumps(blue)
    original = Socket.execute

    def execute(self, encoded):
        outcomes = original(self, encoded)
        if len(encoded.messages) > 1:  # the container's; the handler runs on the way
            os.kill(os.getpid(), signal.SIGINT)
        return outcomes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Socket, "execute", execute)
        with pytest.raises(KeyboardInterrupt):
            set_up_networks([LO, veth()], netns=blue)
    assert (dumps(), dumps(blue)) == before


# ---- what it takes ----


def test_a_bridged_veth_takes_a_look_and_two_sends_here_and_a_look_and_two_sends_there(
    host, bridge, blue
):
    done = _exchanges([LO, veth(hairpin_mode=True, ipv6_address="fd00::2/64")], blue)
    assert done == {
        "here": ["get_link", "execute", "execute"],
        "there": ["dump_states", "copy_addresses", "set_up", "execute"],
    }


def test_strace_shows_the_same(tmp_path):
    assert shutil.which("strace"), "strace is needed: install it (Debian: apt-get install strace)"
    code = """
import os
from pynetstrat import *
from pynetstrat.cli import sandbox
sandbox.enter()
with NetworkNamespace.create() as space, RtnetlinkSocket() as host:
    host.execute(Batch().add_bridge("br0", up=True))
    pair = Network("veth", name="eth0", bridge="br0", address="10.0.0.2/24", gateway="10.0.0.1")
    networks = [Network("loopback", name="lo"), pair]
    os.path.exists("/begin")
    set_up_networks(networks, netns=space)
    os.path.exists("/end")
"""
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=%network,%file", "-o", str(trace)]
    done = run([*command, sys.executable, "-W", "error", "-c", code])
    assert (done.returncode, done.stderr) == (0, "")
    _, _, rest = trace.read_text().partition('"/begin"')
    within, _, _ = rest.partition('"/end"')
    sends = re.findall(r"sendto\((\d+)", within)
    host, container = dict.fromkeys(sends)
    # The bridge, the pair, its tag; the links, the addresses of lo, lo up, the container end.
    assert sends == [host] * 3 + [container] * 4
    opened = set(re.findall(r'open(?:at)?\([^"]*"([^"]*)"', within))
    assert opened <= {"/proc/thread-self/ns/net"}


def test_without_lo_it_takes_one_send_there(host, bridge, blue):
    done = _exchanges([veth()], blue)
    assert done["there"] == ["get_link", "execute"]


def _exchanges(networks: list[Network], netns: NetworkNamespace) -> dict[str, list[str]]:
    done: dict[str, list[str]] = {"here": [], "there": []}

    def noting(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def work(self: Socket, *arguments: object) -> object:
            done["there" if self.namespace else "here"].append(name)
            return function(self, *arguments)

        return work

    with pytest.MonkeyPatch.context() as patch:
        for name in EXCHANGES:
            patch.setattr(Socket, name, noting(name, getattr(Socket, name)))
        set_up_networks(networks, netns=netns)
    return done


def test_one_deadline_holds_for_all_of_it(host, bridge, blue):
    deadlines = set()
    original = Socket.execute

    def execute(self, encoded):
        deadlines.add(self._sock.deadline_ms)
        return original(self, encoded)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Socket, "execute", execute)
        set_up_networks(_networks(), netns=blue)
    assert len(deadlines) == 1
    assert deadlines != {0}


def test_it_works_after_a_chroot_into_nothing(tmp_path):
    code = """
import os, sys
import pynetstrat
from pynetstrat import *
from pynetstrat.cli import sandbox
sandbox.enter()
space = NetworkNamespace.create()
descriptor = os.dup(space.fileno())
os.chroot(sys.argv[1])
os.chdir("/")
with RtnetlinkSocket() as host:
    host.execute(Batch().add_bridge("br0", up=True))
    for netns in (space, descriptor):
        networks = [
            Network("loopback", name="lo"),
            Network("veth", name="eth0", bridge="br0", address="10.0.0.2/24", gateway="10.0.0.1",
                ipv6_address="fd00::2/64", routes=[Route("192.0.2.0/24", gateway="10.0.0.3")]),
        ]
        made = set_up_networks(networks, netns=netns)
        print(check_networks(made, netns=netns), len(host.dump_links()))
        try:
            set_up_networks([*networks, Network("veth", name="eth1", bridge="nope")], netns=netns)
        except NetstratError as error:
            print(error)
        tear_down_networks(made, netns=netns)
        print(list(host.dump_links()))
    with NetworkNamespace.current() as own:
        try:
            set_up_networks([Network("veth", name="eth1", bridge="br0")], netns=own)
        except InvalidNetworkError as error:
            print(error.reason)
space.close()
"""
    done = python(code, str(tmp_path))
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [lines[0], lines[3]] == ["[] 3"] * 2
    assert all("RTM_NEWLINK: File exists" in line for line in (lines[1], lines[4]))
    assert [lines[2], lines[5]] == ["['lo', 'br0']"] * 2
    assert lines[6] == "the container's namespace is the caller's own"


def test_no_descriptor_is_left(host, bridge, blue):
    before = descriptors()
    for _ in range(5):
        made = set_up_networks(_networks(), netns=blue)
        assert check_networks(made, netns=blue) == []
        tear_down_networks(made, netns=blue)
        with pytest.raises(KernelError):
            set_up_networks([LO, veth(gateway="192.0.2.1")], netns=blue)
    assert descriptors() == before
