"""wiring/setup.py: networks whose host namespace is not that of the caller (`host=`)."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from devices import add_device, assert_unchanged, device, state
from faults_for_tests import at_line, signal_handler
from helpers_network import LO, assert_connects, containers, link_in, names, own_run, quieten, veth

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    KernelError,
    Network,
    NetworkStrategy,
    RtnetlinkSocket,
    check_networks,
    list_owned,
    register_strategy,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.strategy import registry


@pytest.fixture
def two(net):
    """A host namespace with the bridge br0, and a container namespace."""
    with containers(2) as (host, container):
        quieten(host)
        quieten(container)
        with RtnetlinkSocket(host) as sock:
            sock.link_set_up("lo")
            sock.ensure_bridge("br0", addresses=["10.0.0.1/24"])
        yield host, container
        assert names() == {"lo"}, "the caller's namespace was changed"


def own_namespace():
    return Path("/proc/thread-self/ns/net").readlink()


def test_a_pair_is_made_checked_and_deleted_in_the_given_host_namespace(two):
    host, container = two
    before = own_namespace()
    made = set_up_networks([LO, veth()], netns=container, host=host)
    assert names(host) == {"lo", "br0", "h0"}
    assert check_networks(made, netns=container, host=host) == []
    assert_connects(container, host, "10.0.0.2")
    with RtnetlinkSocket(host) as sock:
        sock.link_set_down("h0")
    assert check_networks(made, netns=container, host=host) == ["h0 (host): down"]
    tear_down_networks(made, netns=container, host=host)
    assert names(host) == {"lo", "br0"}
    assert own_namespace() == before


def test_a_point_to_point_link_reaches_the_given_host_which_ignores_router_advertisements(two):
    host, container = two
    link = veth(bridge="", address="10.1.0.2/24", gateway="10.1.0.1")
    made = set_up_networks([LO, link], netns=container, host=host)
    setting = Path("/proc/sys/net/ipv6/conf/h0/accept_ra")
    assert host.call(setting.read_text) == "0\n"
    assert_connects(host, container, "10.1.0.1")
    assert check_networks(made, netns=container, host=host) == []
    tear_down_networks(made, netns=container, host=host)
    assert names(host) == {"lo", "br0"}


def test_without_the_host_namespace_a_tear_down_finds_nothing(two):
    host, container = two
    made = set_up_networks([veth()], netns=container, host=host)
    tear_down_networks(made, netns=container)
    assert "h0" in names(host)
    tear_down_networks(made, host=host)
    assert names(host) == {"lo", "br0"}


def test_a_failed_set_up_leaves_the_given_host_namespace_as_it_was(two):
    host, container = two
    before = state(host, container)
    networks = [LO, veth(), veth(name="eth1", host_interface_name="br0", address="10.0.0.3/24")]
    with pytest.raises(KernelError) as raised:
        set_up_networks([*networks[:2], _without_gateway(networks[2])], netns=container, host=host)
    assert f'the name "br0" is already in use in {host}' in str(raised.value)
    assert_unchanged(before, host, container)


def _without_gateway(network):
    network.gateway = ""
    return network


def test_a_device_of_the_given_host_namespace_is_moved_and_returned(two):
    host, container = two
    with own_run():
        host.call(add_device)
        made = set_up_networks([device(name="eth0")], netns=container, host=host)
        assert names(container) == {"lo", "eth0"}
        assert check_networks(made, netns=container, host=host) == []
        with pytest.raises(Exception, match="must be a record of the host namespace"):
            tear_down_networks(made, netns=container)
        tear_down_networks(made, netns=container, host=host)
        assert names(container) == {"lo"}
        assert {"d0", "pd0"} <= names(host)


def test_a_device_of_the_given_host_namespace_is_back_after_a_failed_set_up(two):
    host, container = two
    with own_run():
        host.call(add_device, "ifb")  # nothing but its open file in sysfs proves its identity
        with RtnetlinkSocket(host) as sock:
            sock.execute(Batch().add_address(sock.get_link("d0").index, "192.0.2.5/24"))
        before = state(host, container)
        taken = veth(host_interface_name="br0")
        with pytest.raises(KernelError):
            set_up_networks([device(name="eth1"), taken], netns=container, host=host)
        assert_unchanged(before, host, container)


def test_ports_and_rates_are_of_the_given_host_namespace(two):
    host, container = two
    host.call(Path("/proc/sys/net/ipv4/ip_forward").write_text, "1")
    network = veth(publish=["8080:80/tcp"], rate_in=10**9, rate_out=10**9)
    made = set_up_networks([LO, network], netns=container, host=host)
    assert check_networks(made, netns=container, host=host) == []
    with (
        container.call(socket.create_server, ("10.0.0.2", 80)) as server,
        host.call(socket.create_connection, ("10.0.0.1", 8080), timeout=60),
    ):
        server.accept()[0].close()
    assert [owned.link.kind for owned in list_owned("c1", host=host)] == ["veth", "ifb"]
    final = tear_down_networks(made, netns=container, host=host)
    assert final["eth0"].rx_packets > 0 < final["eth0"].tx_packets
    assert list_owned(host=host) == []
    with pytest.raises(ConnectionRefusedError):
        host.call(socket.create_connection, ("10.0.0.1", 8080), timeout=60)


class Recording(NetworkStrategy):
    """Records where its methods run.

    Attributes:
        has_begun: is called in `create` of the network "interrupted".
    """

    def __init__(self):
        self.calls = []
        self.has_begun = None

    def _record(self, what):
        namespace = Path("/proc/thread-self/ns/net").stat().st_ino
        self.calls.append((what, namespace, threading.get_native_id()))

    def create(self, network, nspid=None, *, netns=None):
        self._record("create")
        if network.name == "interrupted":
            self.has_begun()

    def initialize(self, network=None, *, netns=None):
        self._record("initialize")
        if network.name == "fails":
            raise LookupError("initialize failed")

    def destroy(self, network, *, netns=None):
        self._record("destroy")

    def check(self, network, *, netns=None):
        self._record("check")
        return ["different"]


@pytest.fixture
def recording():
    strategy = Recording()
    register_strategy("recording", strategy)
    yield strategy
    del registry["recording"]


def test_a_third_party_strategy_runs_in_the_given_host_namespace_in_another_thread(two, recording):
    host, container = two
    made = set_up_networks([Network("recording")], netns=container, host=host)
    assert check_networks(made, netns=container, host=host) == ["different"]
    tear_down_networks(made, netns=container, host=host)
    assert [call[0] for call in recording.calls] == ["create", "initialize", "check", "destroy"]
    assert {call[1] for call in recording.calls} == {host.id[1]}
    assert threading.get_native_id() not in {call[2] for call in recording.calls}


def test_a_third_party_strategy_is_undone_in_the_given_host_namespace(two, recording):
    host, container = two
    with pytest.raises(LookupError, match="initialize failed"):
        set_up_networks([Network("recording", name="fails")], netns=container, host=host)
    assert [call[:2] for call in recording.calls] == [
        (what, host.id[1]) for what in ("create", "initialize", "destroy")
    ]


def test_ctrl_c_during_a_create_is_raised_after_it_and_what_it_made_is_destroyed(two, recording):
    """Ctrl-C cannot end the thread in which `create` runs."""
    host, container = two
    is_handled = threading.Event()

    def interrupt():
        # Python wakes the main thread only if the signal comes while it waits, not just before.
        for _ in range(6000):
            os.kill(os.getpid(), signal.SIGINT)
            if is_handled.wait(0.01):
                return
        raise AssertionError("the signal was not handled")

    def handle(*_):
        if not is_handled.is_set():
            is_handled.set()
            raise KeyboardInterrupt

    recording.has_begun = interrupt
    with signal_handler(signal.SIGINT, handle), pytest.raises(KeyboardInterrupt):
        set_up_networks([Network("recording", name="interrupted")], netns=container, host=host)
    assert [call[0] for call in recording.calls] == ["create", "destroy"]


@pytest.mark.slow
def test_an_interrupt_at_any_line_that_starts_a_create_or_waits_for_it_destroys_what_it_made(
    two, recording
):
    host, container = two
    recording.has_begun = partial(time.sleep, 0.02)  # `create` is longer than the way to its undo

    def interrupt():
        raise KeyboardInterrupt

    for at in range(1, 1000):
        recording.calls.clear()
        try:
            with at_line(at, ("_namespace_thread.py",), interrupt):
                set_up_networks([Network("recording", "interrupted")], netns=container, host=host)
        except KeyboardInterrupt:
            calls = [call[0] for call in recording.calls]
            assert not calls or (calls[0], calls[-1]) == ("create", "destroy"), at
        else:
            break
    assert at > 15


def test_a_third_party_strategy_runs_in_the_callers_thread_without_a_host(two, recording):
    _, container = two
    set_up_networks([Network("recording")], netns=container)
    assert {call[2] for call in recording.calls} == {threading.get_native_id()}


def test_the_host_namespace_must_not_be_the_container(two):
    host, _ = two
    with pytest.raises(InvalidNetworkError, match="must not be the host namespace"):
        set_up_networks([veth()], netns=host, host=host)


@pytest.mark.parametrize("given", ["/proc/self/ns/no", "no-such-name", "/dev/null"])
def test_a_host_that_is_no_namespace_is_an_error(two, given):
    _, container = two
    for function in (set_up_networks, tear_down_networks, check_networks):
        with pytest.raises(KernelError, match=given):
            function([veth()], netns=container, host=given)
    assert link_in(container, "lo").index == 1


def test_the_caller_can_be_in_the_container(two):
    """The program in the container wires itself to a host namespace that it has opened."""
    host, container = two

    def wire_self():
        networks = [LO, veth()]
        return set_up_networks(networks, netns="/proc/thread-self/ns/net", host=host)

    made = container.call(wire_self)
    assert_connects(container, host, "10.0.0.2")
    tear_down_networks(made, netns=container, host=host)
