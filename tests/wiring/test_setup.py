"""setup.py: the networks of a container are set up in order, and torn down in reverse."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from copy import deepcopy
from functools import partial

import pytest
from helpers_network import (
    LO,
    containers,
    dumps,
    ip,
    names,
    veth,
)
from support import identity, run_processes

from pynetstrat import (
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
from pynetstrat._native.socket import Socket
from pynetstrat.strategy import registry


@pytest.fixture
def spy():
    """A third-party strategy of type "spy", which records its calls."""
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
        self.finds: dict[str, object] = {}  # what check() returns, by the network's name

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
        return self.finds.get(network.name, [f"{network.name}: spied upon"])


# ---- setting up ----


def test_everything_is_set_up_in_order_and_torn_down_in_reverse(host, bridge, quiet_blue, spy):
    networks = [LO, Network("spy", name="first"), veth(), Network("spy", name="second")]
    made = set_up_networks(networks, netns=quiet_blue)
    assert [network.name for network in made] == ["lo", "first", "eth0", "second"]
    steps = ["create", "create", "initialize", "initialize"]
    assert spy.calls == list(zip(steps, ["first", "second"] * 2, strict=True))
    assert ip("link", "show", "lo", netns=quiet_blue)[0]["flags"].count("UP") == 1
    assert check_networks(made, netns=quiet_blue) == ["first: spied upon", "second: spied upon"]
    spy.calls.clear()
    tear_down_networks(made, netns=quiet_blue)
    assert spy.calls == [("destroy", "second"), ("destroy", "first")]
    assert names(quiet_blue) == {"lo"}


def test_one_configuration_serves_many_containers_and_is_left_alone(host, bridge):
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


def test_networks_may_be_any_iterable(host, bridge, quiet_blue):
    made = set_up_networks(iter((LO, veth())), netns=quiet_blue)
    assert check_networks(iter(made), netns=quiet_blue) == []
    tear_down_networks(iter(made), netns=quiet_blue)
    assert set_up_networks([], netns=quiet_blue) == []
    assert check_networks([], netns=quiet_blue) == []
    tear_down_networks([], netns=quiet_blue)


@pytest.mark.parametrize("form", ["handle", "descriptor", "path"])
def test_the_namespace_may_be_a_handle_a_descriptor_or_a_path(host, bridge, quiet_blue, form):
    path = f"/proc/self/fd/{quiet_blue.fileno()}"
    netns = {"handle": quiet_blue, "descriptor": quiet_blue.fileno(), "path": path}[form]
    made = set_up_networks([LO, veth()], netns=netns)
    assert check_networks(made, netns=netns) == []
    tear_down_networks(made, netns=netns)


def test_a_missing_namespace_is_an_error(host, bridge):
    with pytest.raises(KernelError, match="open netns /no/such/file: No such file"):
        set_up_networks([LO, veth()], netns="/no/such/file")
    with pytest.raises(KernelError, match=rf"of_process\({os.getpid()}\)"):
        set_up_networks([LO, veth()], netns=os.getpid())
    assert names() == {"lo", "br0"}


# ---- refused before anything is sent ----


@pytest.mark.parametrize("field", ["name", "host_interface_name"])
def test_a_name_that_two_networks_request_is_refused_before_the_first_message(
    net, field, monkeypatch
):
    first, second = veth(name="eth0", host_interface_name="h0"), veth(name="eth1")
    second.host_interface_name = "h1"
    setattr(second, field, getattr(first, field))
    monkeypatch.setattr(RtnetlinkSocket, "__init__", _no_socket)
    with NetworkNamespace.create() as quiet_blue, pytest.raises(InvalidNetworkError) as raised:
        set_up_networks([first, second], netns=quiet_blue)
    assert raised.value.reason == "must not be requested by two networks of one container"
    assert (raised.value.field, raised.value.value) == (field, getattr(first, field))


def _no_socket(*arguments: object, **options: object) -> None:
    raise AssertionError("a socket was opened")


def test_an_unknown_type_is_refused_before_the_first_message(net, monkeypatch, spy):
    monkeypatch.setattr(RtnetlinkSocket, "__init__", _no_socket)
    with NetworkNamespace.create() as quiet_blue, pytest.raises(UnknownStrategyError):
        set_up_networks([Network("spy"), LO, Network("no-such-type")], netns=quiet_blue)
    assert spy.calls == []


def test_loopback_may_be_requested_twice(net):
    with NetworkNamespace.create() as quiet_blue:
        set_up_networks([LO, LO], netns=quiet_blue)
        assert check_networks([LO], netns=quiet_blue) == []


# ---- third-party strategies ----


def test_a_third_party_strategy_gets_a_handle_of_the_namespace(host, bridge, quiet_blue, spy):
    class Looks(Spy):
        def create(self, network, nspid=None, *, netns=None):
            self.seen.append(os.fstat(netns.fileno()).st_ino)
            with RtnetlinkSocket(netns) as sock, NetworkNamespace.open(netns) as space:
                self.seen.append((list(sock.dump_links()), space.id))
            return Network("spy", name="renamed")

    looks = Looks()
    register_strategy("spy", looks, replace=True)
    made = set_up_networks([Network("spy", name="given")], netns=quiet_blue)
    assert looks.seen[:2] == [quiet_blue.id[1], (["lo"], quiet_blue.id)]
    assert made == [Network("spy", name="renamed")]
    assert looks.calls == [("initialize", "renamed")]


@pytest.mark.slow
@pytest.mark.parametrize("step", ["create", "initialize"])
@pytest.mark.parametrize("kind", [ValueError, KernelError, KeyboardInterrupt])
def test_an_exception_of_another_strategy_is_unchanged(host, bridge, quiet_blue, spy, step, kind):
    error = kind(5, "theirs") if kind is KernelError else kind("theirs")
    text = str(error)
    spy.fails[step] = error
    before = dumps(), dumps(quiet_blue)
    with pytest.raises(kind) as raised:
        set_up_networks([LO, veth(), Network("spy", name="last")], netns=quiet_blue)
    assert raised.value is error
    assert str(error) == text
    assert (dumps(), dumps(quiet_blue)) == before
    destroyed = [("destroy", "last")] if step == "initialize" else []
    assert spy.calls == [("create", "last"), *[(step, "last")][: step == "initialize"], *destroyed]


def test_destroy_is_called_only_if_create_returned(host, bridge, quiet_blue, spy):
    networks = [Network("spy", name="first"), veth(bridge="br1"), Network("spy", name="second")]
    with pytest.raises(InvalidNetworkError):
        set_up_networks(networks, netns=quiet_blue)
    assert spy.calls == [("create", "first"), ("destroy", "first")]


def test_a_network_without_a_name_is_named_by_its_number_and_type(net, blue):
    named = r'^invalid name "": must be .*; network 2 \(veth\)$'
    with pytest.raises(InvalidNetworkError, match=named):
        set_up_networks([Network("loopback"), Network("veth")], netns=blue)


def test_a_failed_undo_step_is_in_the_error_and_the_others_run(host, bridge, quiet_blue, spy):
    spy.fails["destroy"] = OSError("it sticks")
    before = dumps(), dumps(quiet_blue)
    networks = [veth(), Network("spy", name="first"), veth(name="eth1", host_interface_name="h1")]
    networks[2].gateway, networks[2].metric = "192.0.2.1", 5
    with pytest.raises(KernelError) as raised:
        set_up_networks(networks, netns=quiet_blue)
    assert (
        'the state before network "first" (spy) was made could not be restored: it sticks'
        in str(raised.value)
    )
    assert "could not be restored: it sticks" in raised.value.hint
    assert (dumps(), dumps(quiet_blue)) == before

    networks[2].bridge = "br1"
    with pytest.raises(InvalidNetworkError, match="could not be restored: it sticks"):
        set_up_networks(networks, netns=quiet_blue)
    spy.fails["initialize"] = ValueError("theirs")
    with pytest.raises(ValueError, match="theirs") as theirs:
        set_up_networks(networks[:2], netns=quiet_blue)
    assert theirs.value.__notes__ == [
        'the state before network "first" (spy) was made could not be restored: it sticks'
    ]


def test_a_third_party_strategy_may_use_a_built_in_one(host, bridge, quiet_blue):
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
        before = dumps(), dumps(quiet_blue)
        network = veth()
        network.type = "wraps"
        with pytest.raises(ValueError, match="after that"):
            set_up_networks([LO, network], netns=quiet_blue)
        assert (dumps(), dumps(quiet_blue)) == before
    finally:
        del registry["wraps"]


@pytest.mark.slow
@pytest.mark.parametrize("returned", [True, "eth0", {"name": "eth0"}, veth])
def test_a_create_that_returns_something_else_is_a_type_error_after_the_rollback(
    host, bridge, quiet_blue, spy, returned
):
    spy.returns = returned
    before = dumps(), dumps(quiet_blue)
    with pytest.raises(TypeError) as raised:
        set_up_networks([LO, veth(), Network("spy", name="last")], netns=quiet_blue)
    assert str(raised.value) == f"Spy.create must return a Network or None, not {returned!r}"
    assert (dumps(), dumps(quiet_blue)) == before
    assert spy.calls == [("create", "last"), ("destroy", "last")]


@pytest.mark.parametrize("found", [None, "eth0: down", 5])
def test_a_check_that_returns_something_else_is_a_type_error(net, spy, found):
    spy.finds["eth0"] = found
    with NetworkNamespace.create() as netns, pytest.raises(TypeError) as raised:
        check_networks([Network("spy", name="eth0")], netns=netns)
    assert str(raised.value) == f"Spy.check must return a list of texts, not {found!r}"


# ---- tearing down ----


@pytest.mark.parametrize("given", [None, "veth", {"type": "veth"}])
def test_tear_down_says_what_is_no_network_and_continues(net, spy, given):
    with pytest.raises(TeardownError) as raised:
        tear_down_networks([Network("spy", name="a"), given])
    (error,) = raised.value.errors
    assert type(error) is TypeError
    assert str(error) == f"networks must be Network objects, not {given!r}"
    assert spy.calls == [("destroy", "a")]


def test_tear_down_continues_after_a_failure(host, bridge, quiet_blue, spy):
    networks = [veth(), Network("spy", name="a"), Network("spy", name="b"), LO]
    made = set_up_networks(networks, netns=quiet_blue)
    made.append(Network("no-such-type"))
    spy.fails["destroy"] = OSError("it sticks")
    with pytest.raises(TeardownError) as raised:
        tear_down_networks(made, netns=quiet_blue)
    kinds = [type(error) for error in raised.value.errors]
    assert kinds == [UnknownStrategyError, OSError, OSError]
    assert str(raised.value).count("it sticks") == 2
    assert names() == {"lo", "br0"}
    twin = pickle.loads(pickle.dumps(raised.value))
    assert [type(error) for error in twin.errors] == kinds


def test_tear_down_may_be_repeated_without_a_namespace_or_after_it_has_ended(host, bridge):
    with NetworkNamespace.create() as quiet_blue:
        process = quiet_blue.popen(["sleep", "60"])
        path = f"/proc/{process.pid}/ns/net"
        made = set_up_networks([LO, veth()], netns=path)
        tear_down_networks(made)
        tear_down_networks(made, netns=quiet_blue)
        tear_down_networks(made, netns=path)
    process.kill()
    process.wait()
    for netns in (path, "/run/netns/no-such-name", None):
        tear_down_networks(made, netns=netns)
    assert names() == {"lo", "br0"}


def test_a_third_party_strategy_gets_no_namespace_after_it_has_ended(net, spy):
    tear_down_networks([Network("spy")], netns="/no/such/namespace")
    tear_down_networks([Network("spy")])
    assert spy.seen == [None, None]


def test_tear_down_refuses_a_descriptor_that_is_not_a_namespace(host, bridge):
    with pytest.raises(KernelError, match=rf"of_process\({os.getpid()}\)"):
        tear_down_networks([veth()], netns=os.getpid())
    with open("/dev/null") as file, pytest.raises(KernelError, match="Invalid argument"):  # noqa: PTH123
        tear_down_networks([veth()], netns=file.fileno())
    with NetworkNamespace.create() as quiet_blue:
        pass
    with pytest.raises(KernelError, match="this NetworkNamespace is closed"):
        tear_down_networks([veth()], netns=quiet_blue)


# ---- concurrent calls ----


@pytest.mark.slow
def test_two_processes_wire_containers_to_one_bridge_at_once(host, bridge):
    def churn(number: int) -> None:
        network = veth(host_interface_name="", address=f"10.0.0.{number}/24", owner=f"c{number}")
        for _ in range(15):
            with NetworkNamespace.create() as space:
                made = set_up_networks([LO, network], netns=space)
                assert check_networks(made, netns=space) == []
                tear_down_networks(made, netns=space)

    mac = host.get_link("br0").mac
    run_processes(partial(churn, 2), partial(churn, 3))
    assert names() == {"lo", "br0"}
    assert host.get_link("br0").mac == mac


def test_threads_wire_containers_to_one_bridge_at_once(host, bridge):
    original, failures = identity(), []

    def work(number: int) -> None:
        # A thread starts in the namespace of the thread that started it.
        try:
            assert identity() == original
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


def test_ctrl_c_during_a_set_up_leaves_nothing(host, bridge, quiet_blue):
    before = dumps(), dumps(quiet_blue)
    original = Socket.execute

    def execute(self, encoded):
        outcomes = original(self, encoded)
        if len(encoded.messages) > 1:  # this is the container's batch
            os.kill(os.getpid(), signal.SIGINT)
        return outcomes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Socket, "execute", execute)
        with pytest.raises(KeyboardInterrupt):
            set_up_networks([LO, veth()], netns=quiet_blue)
    assert (dumps(), dumps(quiet_blue)) == before
