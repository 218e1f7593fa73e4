"""wiring/_device_return.py: root of the container acts at chosen moments and at random ones."""

from __future__ import annotations

import os
import sys

import pytest
import support
from devices import RECORDS, add_device, change, device, link_in, strategy
from helpers_network import names

from pynetstrat import Batch, KernelError, NetworkNamespace, RtnetlinkSocket
from pynetstrat._native import queries
from pynetstrat._native.socket import Socket
from pynetstrat.wiring import _device_return
from pynetstrat.wiring._socket import Device, SessionSocket


class AtTheMove:
    """Lets root of the container act right before the device is moved back.

    Parameters:
        act: the action, which gets the index of the device.
        times: how many moves have the action.
    """

    def __init__(self, monkeypatch, act, times=1):
        self.left = times
        real = _device_return._move

        def move(session, record, index, name):
            if self.left:
                self.left -= 1
                act(index)
            return real(session, record, index, name)

        monkeypatch.setattr(_device_return, "_move", move)


@pytest.fixture
def third(quiet_host):
    with NetworkNamespace.create() as namespace:
        yield namespace


def swap_for(kind, container, third):
    """An action that replaces the device by another link with its name and index."""

    def act(index):
        with RtnetlinkSocket(container) as sock:
            sock.execute(Batch().set_link(index, netns=third))
        lower = () if kind != "macvlan" else ("link", "lower")
        change(
            "link",
            "add",
            *lower,
            "name",
            "eth0",
            "index",
            str(index),
            "type",
            kind,
            netns=container,
        )

    return act


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["veth", "ifb", "macvlan"])
def test_a_link_that_root_swaps_in_at_the_last_moment_is_sent_back(
    quiet_host, container, third, monkeypatch, kind
):
    add_device()
    if kind == "macvlan":
        change("link", "add", "lower", "type", "ifb", netns=container)
    made = strategy.create(device(name="eth0"), netns=container)
    AtTheMove(monkeypatch, swap_for(kind, container, third))
    before, expected = names(), names(container) | {"eth0"}
    with pytest.raises(KernelError, match=r"in another namespace|could be proven"):
        strategy.destroy(made, netns=container)
    assert names() == before
    assert len(names(container)) == len(expected) + (kind == "veth")
    with RtnetlinkSocket(third) as sock:
        sock.execute(Batch().set_link("eth0", netns=container, new_name="back"))
    strategy.destroy(made, netns=container)
    assert names() == {"lo", "d0", "pd0"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["veth", "ifb", "macvlan", "tap"])
def test_an_undo_step_brings_back_no_other_link_than_the_device(
    quiet_host, container, third, monkeypatch, kind
):
    """Within the call, the open file in sysfs proves the identity of any kind of device."""
    add_device(kind)
    AtTheMove(monkeypatch, swap_for("ifb", container, third))
    before = names()
    with pytest.raises(KernelError, match="could not be restored"):
        strategy.create(
            device(name="eth0", address="10.7.0.1/24", gateway="203.0.113.1"), netns=container
        )
    assert names() == before - {"d0"}
    assert "eth0" in names(third)


@pytest.mark.slow
def test_a_device_that_root_gives_another_index_at_the_last_moment_is_brought_back(
    quiet_host, container, third, monkeypatch
):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)

    def act(index):
        with RtnetlinkSocket(container) as sock, RtnetlinkSocket(third) as other:
            sock.execute(Batch().set_link(index, netns=third))
            other.execute(Batch().set_link(index, netns=container, new_index=index - 1))

    AtTheMove(monkeypatch, act, times=5)
    strategy.destroy(made, netns=container)
    assert names() == {"lo", "d0", "pd0"}


@pytest.mark.slow
def test_destroy_gives_up_on_a_device_that_root_keeps_changing(
    quiet_host, container, third, monkeypatch
):
    add_device()
    change("link", "add", "important", "type", "ifb")
    made = strategy.create(device(name="eth0"), netns=container)
    real = RtnetlinkSocket.execute

    def execute(sock, batch):
        real(sock, batch)
        if batch.messages and batch.messages[0].type == 109:  # RTM_DELLINKPROP
            name = link_in(container, "eth0").name
            change("link", "property", "add", "dev", name, "altname", "important", netns=container)

    change("link", "property", "add", "dev", "eth0", "altname", "important", netns=container)
    monkeypatch.setattr(RtnetlinkSocket, "execute", execute)
    with pytest.raises(KernelError, match="are being changed"):
        strategy.destroy(made, netns=container)
    monkeypatch.undo()
    strategy.destroy(made, netns=container)
    assert names() == {"lo", "d0", "pd0", "important"}


def test_a_move_that_is_refused_because_the_device_is_gone_undoes_nothing(
    quiet_host, container, monkeypatch
):
    """Another process has moved the device into the same container, where it stays."""
    add_device()
    real = SessionSocket.get_device
    seen = Device(quiet_host.get_link("d0"), 0, "", "")
    strategy.create(device(name="eth0", owner="other"), netns=container)
    monkeypatch.setattr(
        SessionSocket,
        "get_device",
        lambda sock, link: seen if link == "d0" else real(sock, link),
    )
    with pytest.raises(KernelError) as caught:
        strategy.create(device(name="eth1"), netns=container)
    assert caught.value.errno == 19  # ENODEV
    monkeypatch.undo()
    assert names(container) == {"lo", "eth0"}
    assert len(list(RECORDS.iterdir())) == 1


def test_many_links_of_the_container_are_read_in_a_bounded_amount_of_memory(
    quiet_host, container, monkeypatch
):
    add_device()
    made = strategy.create(device(name="eth0"), netns=container)
    lines = "".join(f"link add i{number} type ifb\n" for number in range(300))
    container.run(["ip", "-batch", "-"], input=lines.encode(), check=True)
    sizes = []
    real = Socket.dump_copy

    def dump_copy(sock, batch, copy, size, used):
        real(sock, batch, copy, size, used)
        sizes.append((size, used[0]))

    monkeypatch.setattr(queries, "_MAX_MEMORY", 1 << 16)
    monkeypatch.setattr(Socket, "dump_copy", dump_copy)
    monkeypatch.setattr(Socket, "dump_links", None)
    monkeypatch.setattr(Socket, "dump_routes", None)
    strategy.destroy(made, netns=container)
    monkeypatch.undo()
    assert {size for size, _ in sizes} == {1 << 16}
    assert max(used for _, used in sizes) > 1 << 16  # the dump had more than one buffer
    assert names() == {"lo", "d0", "pd0"}


@pytest.mark.slow
def test_random_actions_of_root_lose_no_link_of_the_host_and_add_none():
    seconds = len(support.sample(range(4), step=2))  # a round takes 2 s
    environment = {**os.environ, "ADVERSARY_SECONDS": str(seconds), "ADVERSARY_SEED": "14"}
    done = support.run([sys.executable, "-W", "error", "tests/soak/adversary.py"], env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no link of the host lost" in done.stdout
