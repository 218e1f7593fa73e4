"""wiring/_device_move.py: a move that fails at any point is undone."""

from __future__ import annotations

import pytest
import support
from devices import (
    FIRST_INDEX,
    add_device,
    assert_unchanged,
    change,
    device,
    refused,
    state,
    strategy,
)
from faults_for_tests import EIO, QUERIES, FailingRequest, at_line, input_output_error
from helpers_network import ip, names

from pynetstrat import Batch, KernelError, Route, set_up_networks
from pynetstrat._native.socket import Socket
from pynetstrat.wiring import _device_addresses, _device_move, host_device
from pynetstrat.wiring._socket import SessionSocket


def test_a_move_that_stops_at_the_rename_is_undone(configured_device, container, monkeypatch):
    change("link", "add", "eth0", "type", "ifb", netns=container)
    real = SessionSocket.get_device

    def get_device(sock, link):  # the name was free when it was checked
        return None if link == "eth0" else real(sock, link)

    monkeypatch.setattr(SessionSocket, "get_device", get_device)
    error = refused(container, device(name="eth0"), KernelError, 'name "eth0" is already in use')
    assert error.interface == "d0"
    assert configured_device.get_link("d0").hairpin


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"gateway": "203.0.113.1", "address": "192.0.2.99/24"},
        {
            "mtu": 65535,
            "mac_address": "02:00:5e:00:00:07",
            "gateway": "203.0.113.1",
            "address": "10.7.0.1/24",
        },
        {"txqueuelen": 9, "routes": [Route("10.0.0.0/8", gateway="203.0.113.1")]},
        {"mtu": 1000},
    ],
    ids=["gateway", "settings", "route", "mtu-too-small-for-IPv6"],
)
def test_a_refusal_of_the_kernel_leaves_everything_as_before(configured_device, container, fields):
    refused(container, device(name="eth0", **fields), KernelError, "eth0", "message")


@pytest.mark.slow
def test_a_device_that_cannot_be_set_up_is_moved_back(quiet_host, container):
    add_device("macvlan")
    change("link", "add", "other", "link", "parent", "type", "macvlan", "mode", "bridge")
    change("link", "set", "other", "address", quiet_host.get_link("d0").mac, "up")
    refused(container, device(), KernelError, "d0", "RTM_NEWLINK")


@pytest.mark.slow
def test_after_an_undone_move_a_bridge_port_forwards_at_its_former_index(
    configured_device, container
):
    before = configured_device.get_link("d0")
    with pytest.raises(KernelError):
        strategy.create(device(address="10.7.0.1/24", gateway="203.0.113.1"), netns=container)
    after = configured_device.get_link("d0")
    assert (after.index, after.master, after.up) == (before.index, before.master, True)
    (port,) = ip("-details", "link", "show", "dev", "d0")
    assert port["linkinfo"]["info_slave_data"]["state"] == "forwarding"


@pytest.mark.slow
def test_after_an_undone_move_the_addresses_with_a_lifetime_exist(quiet_host, container):
    add_device()
    change("link", "set", "d0", "up")
    lifetimes = ("valid_lft", "900", "preferred_lft", "800")
    change("address", "add", "192.0.2.5/24", "dev", "d0", *lifetimes)
    change("address", "add", "2001:db8::5/64", "dev", "d0", "nodad", *lifetimes)
    routes = quiet_host.dump_routes()
    with pytest.raises(KernelError):
        strategy.create(device(address="10.7.0.1/24", gateway="203.0.113.1"), netns=container)
    found = quiet_host.dump_addresses("d0")
    assert [a.address for a in found] == ["192.0.2.5/24", "2001:db8::5/64"]
    assert all(a.valid and 0 < a.valid <= 900 and a.preferred <= 800 for a in found)
    assert quiet_host.dump_routes() == routes


@pytest.mark.slow
@pytest.mark.parametrize("is_executed", [False, True], ids=["refused", "executed"])
def test_any_request_of_create_that_fails_leaves_everything_as_before(
    configured_device, container, is_executed
):
    asked = device(
        name="eth0",
        bridge="br0",
        address="10.7.0.1/24",
        gateway="10.7.0.2",
        mtu=1380,
        mac_address="02:00:5e:00:00:07",
        txqueuelen=9,
        routes=[Route("10.8.0.0/16", gateway="10.7.0.9")],
    )
    before = state(container)
    for target in support.sample(range(100), 1 + is_executed):
        with pytest.MonkeyPatch.context() as monkeypatch:
            request = FailingRequest(monkeypatch, target, is_executed=is_executed, queries=QUERIES)
            try:
                strategy.create(asked, netns=container)
            except KernelError as error:
                assert error.errno == EIO, error
                assert "undone" not in str(error)
            else:
                assert not request.has_failed
                break
        assert_unchanged(before, container)
    assert target > 15  # otherwise too few requests were tried


@pytest.mark.slow
def test_an_interrupt_at_any_line_of_create_leaves_everything_as_before(
    configured_device, container
):
    class Interrupt(BaseException):
        pass

    def interrupt():
        raise Interrupt

    files = tuple(module.__file__ for module in (host_device, _device_move, _device_addresses))
    asked = device(name="eth0", address="10.7.0.1/24", gateway="10.7.0.2")
    before = state(container)
    for target in support.sample(range(1, 1000), step=7):
        try:
            with at_line(target, files, interrupt):
                set_up_networks([asked], netns=container)
        except Interrupt as interrupted:
            assert not getattr(interrupted, "__notes__", [])
        else:
            break
        assert_unchanged(before, container)
    assert target > 100


@pytest.mark.slow
def test_the_error_lists_steps_that_could_not_be_undone(configured_device, container, monkeypatch):
    real = Socket.execute

    def refuse(sock, encoded):
        if sock.namespace:  # all batches in the container, the move back included
            return [input_output_error() for _ in encoded.messages]
        return real(sock, encoded)

    monkeypatch.setattr(Socket, "execute", refuse)
    with pytest.raises(KernelError) as caught:
        strategy.create(device(name="eth0"), netns=container)
    assert "could not be restored" in str(caught.value)
    assert 'left as "eth0"' in str(caught.value)
    monkeypatch.undo()
    assert "eth0" in names(container)
    strategy.destroy(device(name="eth0"), netns=container)
    assert "d0" in names()


def test_a_kernel_that_ignores_the_requested_index_is_reported(
    configured_device, container, monkeypatch
):
    real = Batch.set_link

    def without_index(batch, link, *, new_index=None, **settings):
        given = new_index if new_index is not None and new_index < FIRST_INDEX else None
        return real(batch, link, new_index=given, **settings)

    monkeypatch.setattr(Batch, "set_link", without_index)
    refused(container, device(name="eth0"), KernelError, "needs Linux 5.12")
