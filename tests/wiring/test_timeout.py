"""setup.py, _session.py: the timeout of a call on networks, including its rollback."""

from __future__ import annotations

import time

import pytest
from helpers_network import LO, dumps, veth

from pynetstrat import (
    KernelError,
    Network,
    NetworkNamespace,
    NetworkStrategy,
    check_networks,
    register_strategy,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat._native.socket import Socket
from pynetstrat.strategy import registry
from pynetstrat.wiring._session import Session
from pynetstrat.wiring._socket import SessionSocket

pytestmark = pytest.mark.usefixtures("bridge")


def many(count: int) -> list[Network]:
    """Networks without a gateway, each with its own address."""
    networks = []
    for number in range(count):
        address = f"10.{1 + number // 250}.{number % 250}.2/24"
        name = f"e{number}"
        networks.append(veth(name=name, host_interface_name="", address=address, gateway=""))
    return networks


class Late(NetworkStrategy):
    """A strategy whose `initialize` fails after the deadline of the call.

    Attributes:
        sessions: those whose deadline passes.
    """

    def __init__(self) -> None:
        self.sessions: list[Session] = []

    def initialize(self, network=None, *, netns=None):
        for session in self.sessions:
            session.until = time.monotonic()
            for sock in (session.host, session.container):
                sock._native.share_deadline(session.until)
        raise OSError("too late")


@pytest.mark.slow
@pytest.mark.parametrize("call", [set_up_networks, tear_down_networks, check_networks])
@pytest.mark.parametrize(
    ("timeout", "kind"),
    [(-1, ValueError), (86401, ValueError), (float("nan"), ValueError), ("5", TypeError)],
)
def test_a_timeout_out_of_range_is_refused_before_anything_is_opened(
    net, monkeypatch, call, timeout, kind
):
    with NetworkNamespace.create() as netns:
        monkeypatch.setattr(SessionSocket, "__init__", None)
        with pytest.raises(kind, match="timeout must be a number of seconds"):
            call([LO], netns=netns, timeout=timeout)


def test_the_timeout_is_the_deadline_of_each_exchange(host, quiet_blue, monkeypatch):
    deadlines = set()
    execute = Socket.execute

    def note(self, encoded):
        deadlines.add((self._sock.timeout_ms, self._sock.deadline_ms))
        return execute(self, encoded)

    monkeypatch.setattr(Socket, "execute", note)
    least = time.monotonic() + 1000
    made = set_up_networks([LO, veth()], netns=quiet_blue, timeout=1000)
    most = time.monotonic() + 1000
    ((timeout, deadline),) = deadlines
    assert timeout == 1_000_000
    assert least * 1000 - 1 <= deadline <= most * 1000
    assert check_networks(made, netns=quiet_blue, timeout=1000) == []
    tear_down_networks(made, netns=quiet_blue, timeout=1000)


def test_a_call_with_a_timeout_of_0_does_not_wait_and_succeeds(host, quiet_blue):
    networks = [LO, veth(ipv6_address="fd00::2/64")]
    for _ in range(3):
        made = set_up_networks(networks, netns=quiet_blue, timeout=0)
        assert check_networks(made, netns=quiet_blue, timeout=0) == []
        tear_down_networks(made, netns=quiet_blue, timeout=0)


@pytest.mark.slow
@pytest.mark.parametrize("timeout", [0.001, 0.002, 0.005, 0.01, 0.02, 0.05])
def test_a_call_whose_deadline_passes_is_undone_completely(host, quiet_blue, timeout):
    before = dumps(), dumps(quiet_blue)
    networks = [LO, *many(20)]
    try:
        made = set_up_networks(networks, netns=quiet_blue, timeout=timeout)
    except KernelError as error:
        assert "could not be restored" not in str(error)
        assert (dumps(), dumps(quiet_blue)) == before
    else:  # the call was in time
        assert check_networks(made, netns=quiet_blue) == []


@pytest.mark.slow
def test_a_rollback_after_the_deadline_undoes_everything(host, quiet_blue, monkeypatch):
    before, late = (dumps(), dumps(quiet_blue)), Late()
    register_strategy("late", late)
    monkeypatch.setattr(Session, "__enter__", lambda self: late.sessions.append(self) or self)
    try:
        with pytest.raises(OSError, match="too late") as raised:
            set_up_networks([LO, *many(10), Network("late")], netns=quiet_blue)
    finally:
        del registry["late"]
    assert getattr(raised.value, "__notes__", []) == []
    assert (dumps(), dumps(quiet_blue)) == before


@pytest.mark.slow
def test_300_networks_are_undone_after_a_late_failure(host, quiet_blue):
    before = dumps(), dumps(quiet_blue)
    networks = [LO, *many(300), veth(name="last", host_interface_name="", gateway="192.0.2.1")]
    with pytest.raises(KernelError, match="Network is unreachable") as raised:
        set_up_networks(networks, netns=quiet_blue, timeout=600)
    assert "could not be restored" not in str(raised.value)
    assert (dumps(), dumps(quiet_blue)) == before
