"""rtnetlink/_bridge.py: `ensure_bridge` makes a bridge or completes an existing one."""

from __future__ import annotations

import contextlib
import errno
import socket
import subprocess
import sys

import pytest
from devices import change

from pynetstrat import (
    Batch,
    BatchError,
    InvalidInterfaceNameError,
    InvalidNetworkError,
    KernelError,
    RtnetlinkSocket,
)
from pynetstrat._native.socket import Socket

MAC = "02:00:5e:10:00:01"
ADDRESSES = ("192.0.2.1/24", "2001:db8::1/64")


def addresses(rtnetlink, name="br0"):
    return {one.address for one in rtnetlink.dump_addresses(name) if one.scope == 0}


def test_a_missing_bridge_is_made_as_requested(rtnetlink):
    link = rtnetlink.ensure_bridge("br0", mac=MAC, mtu=1400, addresses=ADDRESSES)
    assert link == rtnetlink.get_link("br0")
    assert (link.kind, link.name, link.mac, link.mtu, link.up) == ("bridge", "br0", MAC, 1400, True)
    assert addresses(rtnetlink) == set(ADDRESSES)


def test_the_mtu_of_a_new_bridge_outlives_its_ports(rtnetlink):
    rtnetlink.ensure_bridge("br0", mtu=9000)
    rtnetlink.execute(Batch().add_veth("v0", "w0", master=rtnetlink.get_link("br0").index))
    rtnetlink.delete_links(["v0"])
    assert rtnetlink.get_link("br0").mtu == 9000


def test_the_mac_of_a_new_bridge_does_not_change_with_its_ports(rtnetlink):
    link = rtnetlink.ensure_bridge("br0")
    assert int(link.mac[:2], 16) & 3 == 2  # local, unicast
    assert link.mac != rtnetlink.ensure_bridge("br1").mac
    lower = {"mac": "02:00:00:00:00:01", "master": link.index}
    rtnetlink.execute(Batch().add_veth("v0", "w0", **lower))
    assert rtnetlink.get_link("br0").mac == link.mac
    rtnetlink.delete_links(["v0"])
    assert rtnetlink.get_link("br0").mac == link.mac


def test_an_mtu_that_is_too_small_for_an_ipv6_address_is_an_error_that_says_so(rtnetlink):
    with pytest.raises(BatchError, match="MTU of at least 1280") as raised:
        rtnetlink.ensure_bridge("br0", mtu=1279, addresses=ADDRESSES)
    assert (raised.value.errno, raised.value.subject) == (errno.EINVAL, ADDRESSES[1])


def test_a_bridge_without_ports_has_its_ipv6_address_at_once(rtnetlink):
    """The host reaches itself there: a worker of the kernel has added the local route."""
    rtnetlink.link_set_up("lo")
    for number in range(10):
        rtnetlink.ensure_bridge(f"br{number}", addresses=[f"2001:db8:0:{number}::1/64"])
        with socket.create_server((f"2001:db8:0:{number}::1", 0), family=socket.AF_INET6) as server:
            socket.create_connection(server.getsockname()[:2], timeout=60).close()


def test_an_existing_bridge_is_completed_and_keeps_everything_else(rtnetlink):
    rtnetlink.execute(Batch().add_bridge("br0", mtu=1300).add_veth("v0", "w0"))
    index = rtnetlink.get_link("br0").index
    rtnetlink.execute(
        Batch().add_address(index, "198.51.100.1/24").set_link("v0", master=index, up=True)
    )
    link = rtnetlink.ensure_bridge("br0", mac=MAC.upper(), mtu=1400, addresses=ADDRESSES)
    assert (link.index, link.mac, link.mtu, link.up) == (index, MAC, 1400, True)
    assert addresses(rtnetlink) == {*ADDRESSES, "198.51.100.1/24"}
    assert rtnetlink.get_link("v0").master == index


def test_a_complete_bridge_is_not_changed(rtnetlink, monkeypatch):
    arguments = {"mac": MAC, "mtu": 1400, "addresses": ("192.0.2.1/24", "2001:DB8:0::1/64")}
    before = rtnetlink.ensure_bridge("br0", **arguments)

    def refuse(*_):
        raise AssertionError("a change was sent")

    monkeypatch.setattr(Socket, "execute", refuse)
    assert rtnetlink.ensure_bridge("br0", **arguments) == before
    assert rtnetlink.ensure_bridge("br0", up=False) == before
    assert rtnetlink.ensure_bridge(b"br0") == before


def test_up_false_makes_a_bridge_that_is_down(rtnetlink):
    assert not rtnetlink.ensure_bridge("br0", up=False).up


def test_an_alternative_name_finds_the_bridge(rtnetlink):
    rtnetlink.ensure_bridge("br0")
    change("link", "property", "add", "dev", "br0", "altname", "containers")
    assert rtnetlink.ensure_bridge("containers", mtu=1400).name == "br0"
    assert rtnetlink.get_link("br0").mtu == 1400


@pytest.mark.parametrize("kind", ["veth", "ifb", ""])
def test_a_name_of_another_link_is_an_error_and_the_link_is_unchanged(rtnetlink, kind):
    name = "other" if kind else "lo"
    if kind == "veth":
        rtnetlink.execute(Batch().add_veth("other", "peer"))
    elif kind:
        rtnetlink.execute(Batch().add_link("other", kind))
    before = rtnetlink.dump_links(), rtnetlink.dump_addresses()
    words = f"the name is taken by {f'a link of kind {kind}' if kind else 'a device'}"
    with pytest.raises(KernelError, match=words) as raised:
        rtnetlink.ensure_bridge(name, addresses=ADDRESSES)
    assert (raised.value.errno, raised.value.interface) == (errno.EEXIST, name)
    assert (rtnetlink.dump_links(), rtnetlink.dump_addresses()) == before


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"name": "a/b"}, InvalidInterfaceNameError, "a/b"),
        ({"name": "br%d"}, InvalidInterfaceNameError, "must not contain %: the kernel would make"),
        ({"name": b"br%"}, InvalidInterfaceNameError, "must not contain %: the kernel would make"),
        ({"mac": "01:00:5e:00:00:01"}, InvalidNetworkError, "mac"),
        ({"mtu": 67}, InvalidNetworkError, "mtu"),
        ({"addresses": ["192.0.2.1"]}, InvalidNetworkError, "192.0.2.1"),
        ({"addresses": ["192.0.2.1/33"]}, InvalidNetworkError, "192.0.2.1/33"),
        ({"addresses": [7]}, InvalidNetworkError, "must be texts in CIDR"),
        ({"addresses": "192.0.2.1/24"}, TypeError, "must be a list of texts"),
        ({"up": "no"}, InvalidNetworkError, "up"),
    ],
)
def test_invalid_arguments_are_refused_before_anything_is_sent(rtnetlink, arguments, error, words):
    with pytest.raises(error, match=words):
        rtnetlink.ensure_bridge(**{"name": "br0", **arguments})
    assert set(rtnetlink.dump_links()) == {"lo"}


def test_an_ipv6_address_with_another_prefix_length_is_an_error_that_says_so(rtnetlink):
    rtnetlink.ensure_bridge("br0", addresses=["2001:db8::1/48"])
    with pytest.raises(BatchError, match="exists with another prefix length") as raised:
        rtnetlink.ensure_bridge("br0", addresses=ADDRESSES)
    assert (raised.value.errno, raised.value.interface) == (errno.EEXIST, "br0")
    assert addresses(rtnetlink) == {"192.0.2.1/24", "2001:db8::1/48"}


def test_an_address_that_another_process_adds_meanwhile_is_no_error(rtnetlink, monkeypatch):
    execute = Socket.execute

    def late(self, encoded):
        monkeypatch.undo()
        with RtnetlinkSocket() as other:
            other.ensure_bridge("br0", mac=MAC, addresses=ADDRESSES)
        return execute(self, encoded)

    monkeypatch.setattr(Socket, "execute", late)
    assert rtnetlink.ensure_bridge("br0", mac=MAC, addresses=ADDRESSES).mac == MAC
    rtnetlink.delete_links(["br0"])
    rtnetlink.ensure_bridge("br0", mac=MAC)
    monkeypatch.setattr(Socket, "execute", late)
    assert rtnetlink.ensure_bridge("br0", addresses=ADDRESSES).up
    assert addresses(rtnetlink) == set(ADDRESSES)


_ENSURE = f"""
from pynetstrat import RtnetlinkSocket
with RtnetlinkSocket(timeout=60) as rtnetlink:
    print("ready", flush=True)
    for _ in range(5):
        input()
        link = rtnetlink.ensure_bridge("br0", mac={MAC!r}, mtu=1400, addresses={ADDRESSES!r})
        found = [one.address for one in rtnetlink.dump_addresses("br0") if one.scope == 0]
        print(link.index, link.up, link.mtu, *sorted(found), flush=True)
"""


def test_several_processes_make_the_same_bridge_at_once(rtnetlink):
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-W", "error", "-c", _ENSURE]
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        processes = [stack.enter_context(subprocess.Popen(command, **options)) for _ in range(6)]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for _ in range(5):
            for process in processes:
                process.stdin.write("\n")
                process.stdin.flush()
            printed = {process.stdout.readline() for process in processes}
            index = rtnetlink.get_link("br0").index
            assert printed == {f"{index} True 1400 {' '.join(ADDRESSES)}\n"}
            rtnetlink.delete_links(["br0"])


def test_a_bridge_that_keeps_disappearing_is_an_error(rtnetlink, monkeypatch):
    execute = Socket.execute

    def make_and_delete(self, encoded):
        outcomes = execute(self, encoded)
        execute(self, type(encoded)(Batch().delete_link("br0").messages))
        return outcomes

    monkeypatch.setattr(Socket, "execute", make_and_delete)
    with pytest.raises(KernelError, match="another process keeps deleting the bridge"):
        rtnetlink.ensure_bridge("br0")
