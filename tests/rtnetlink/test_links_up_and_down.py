"""Links that are set up and down, by name and by alternative name."""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import replace
from itertools import count

import pytest
import support
from faults_for_tests import at_line
from helpers_rtnetlink import LONG, NOWHERE
from pynetstrat._core import ffi, lib

from pynetstrat import (
    Batch,
    InterfaceNotFoundError,
    InvalidInterfaceNameError,
    KernelError,
    SysfsReader,
    _native,
    get_network_interface_stats,
    link_set_down,
    link_set_up,
    read_sysfs_network_stats,
)


def test_a_link_is_set_up_and_down_and_reports_its_state(net, rtnetlink):
    net.add_veth("v0", "w0", up=False)
    for name in ("v0", b"w0"):
        assert rtnetlink.link_is_up(name) is False
        assert rtnetlink.link_set_up(name) is None
        assert rtnetlink.link_is_up(name) is True
        rtnetlink.link_set_up(name)  # again does no harm
        assert rtnetlink.link_set_down(name) is None
        assert rtnetlink.link_is_up(name) is False


def test_the_functions_set_a_link_up_and_down_without_a_socket(net, rtnetlink):
    link_set_up()
    assert rtnetlink.link_is_up("lo")
    net.add_veth("v0", "w0", up=False)
    link_set_up("v0")
    assert rtnetlink.link_is_up("v0")
    assert not rtnetlink.link_is_up("w0")
    link_set_down("v0")
    link_set_down(b"lo")
    assert not rtnetlink.link_is_up("v0")
    assert not rtnetlink.link_is_up("lo")


def test_a_link_is_found_by_its_alternative_names(net, rtnetlink):
    net.add_veth("v0", "w0", up=False)
    for alternative in (LONG, "x" * 16, "é" * 20, "short"):
        net.add_altname("v0", alternative)
        rtnetlink.link_set_up(alternative)
        assert rtnetlink.link_is_up("v0")
        assert rtnetlink.link_is_up(alternative)
        rtnetlink.link_set_down(alternative)
        assert not rtnetlink.link_is_up("v0")
        link_set_up(alternative)
        assert rtnetlink.link_is_up("v0")
        rtnetlink.link_set_down("v0")


# The kernel takes nearly any bytes as an alternative name (rtnl_alt_ifname, net/core/rtnetlink.c).
ODD = [
    *(".", "..", "/", "../../etc/passwd", "a b", " ", "\t", "eth0\n", "eth0:1", "\x01", "%d"),
    *("caf\u00e0", "\udca0", "\udcff" * 127, "a/b" + "x" * 124, "-a-name-of-17-byte\udcff"),
]


def test_an_alternative_name_may_have_any_bytes(net, rtnetlink):
    net.add_veth("v0", "w0", up=False)
    for alternative in ODD:
        net.add_altname("v0", alternative)
    assert rtnetlink.get_link("v0").altnames == tuple(ODD)
    for alternative in ODD:
        rtnetlink.link_set_up(alternative)
        assert rtnetlink.link_is_up("v0")
        assert rtnetlink.get_link(alternative).name == "v0"
        assert rtnetlink.get_stats(alternative) == replace(
            rtnetlink.get_stats("v0"), name=alternative
        )
        link_set_down(alternative)
        assert not rtnetlink.link_is_up(alternative)
    rtnetlink.execute(Batch().set_link("../../etc/passwd", mtu=1400))
    assert rtnetlink.get_link("v0").mtu == 1400
    rtnetlink.execute(Batch().delete_link("a b"))
    with pytest.raises(InterfaceNotFoundError):
        rtnetlink.get_link("v0")


@pytest.mark.parametrize("name", ODD, ids=lambda name: ascii(name)[:20])
def test_an_alternative_name_never_reaches_a_path(net, tmp_path, name):
    net.add_veth("v0", "w0", up=False)
    net.add_altname("v0", name)
    tree = tmp_path / "net"
    (tree / "eth0").mkdir(parents=True)
    for read in (
        lambda: get_network_interface_stats(name),
        lambda: get_network_interface_stats(name, sysfs_root=tree),
        lambda: read_sysfs_network_stats(name, "rx_bytes"),
        lambda: SysfsReader(name),
    ):
        with pytest.raises((InvalidInterfaceNameError, InterfaceNotFoundError)) as caught:
            read()
        # Names such as "%d" and "\x01" can be those of links; sysfs just does not know this one.
        is_invalid = name not in ("\x01", "%d")
        assert isinstance(caught.value, InvalidInterfaceNameError) == is_invalid


OPERATIONS = {
    "link_set_up": "RTM_NEWLINK",
    "link_set_down": "RTM_NEWLINK",
    "link_is_up": "RTM_GETLINK",
    "get_link": "RTM_GETLINK",
    "get_stats": "RTM_GETLINK",
}


EVERY_OPERATION = pytest.mark.parametrize("method", OPERATIONS)


@EVERY_OPERATION
@pytest.mark.parametrize(
    "name", [NOWHERE, b"nowhere", "x" * 16, LONG, "ü", "\udcff", ".", "a/b", "a b", "a:b", "a\n"]
)
def test_an_unknown_interface_is_not_found(rtnetlink, method, name):
    with pytest.raises(InterfaceNotFoundError) as caught:
        getattr(rtnetlink, method)(name)
    error = caught.value
    assert error.errno == errno.ENODEV
    assert (error.interface, error.operation) == (os.fsdecode(name), OPERATIONS[method])
    for part in (OPERATIONS[method], "No such device", "no such interface in this namespace"):
        assert part in str(error)
    rtnetlink.link_is_up("lo")  # and the socket goes on


HOSTILE = [
    *("", b"", "a\0b", "\0", "x" * 128, "x" * 10_000, b"\0", "\udc41"),
    *(None, 1, 1.5, True, ["lo"], {}, object()),
]


@EVERY_OPERATION
@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
def test_a_hostile_name_never_reaches_the_kernel(rtnetlink, method, name):
    silence, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with silence, other:
        os.dup2(silence.fileno(), rtnetlink.fileno(), inheritable=False)
        with pytest.raises(InvalidInterfaceNameError) as caught:
            getattr(rtnetlink, method)(name)
        with pytest.raises(BlockingIOError):  # nothing was sent
            other.recv(1, socket.MSG_DONTWAIT)
    assert caught.value.interface is name
    assert "1 to 127 bytes" in str(caught.value)


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
def test_a_hostile_name_is_refused_by_the_functions_too(name):
    with pytest.raises(InvalidInterfaceNameError):
        link_set_up(name)


def set_mtu(rtnetlink, name, mtu):
    """No message of the public calls causes an extended ack, so the test sends one of its own."""
    room, batch = ffi.new("unsigned char[]", 256), ffi.new("struct netstrat_batch *")
    error, result = ffi.new("struct netstrat_error *"), ffi.new("int *")
    lib.netstrat_batch_init(batch, room, len(room))
    lib.netstrat_batch_begin(batch, support.RTM_NEWLINK, support.NLM_F_REQUEST | support.NLM_F_ACK)
    link = struct.pack("=BxHiII", 0, 0, socket.if_nametoindex(name), 0, 0)
    lib.netstrat_batch_append(batch, link, len(link))
    lib.netstrat_batch_put_u32(batch, support.IFLA_MTU, mtu)
    assert lib.netstrat_batch_finish(batch) == 0
    code = lib.netstrat_execute(rtnetlink._native._sock, batch, result, error)
    if code < 0:
        _native.fail(code, error, name)


def test_the_extended_ack_is_in_the_error(net, rtnetlink):
    net.add_veth("v0", "w0", up=False)
    set_mtu(rtnetlink, "v0", 1500)
    with pytest.raises(KernelError) as caught:
        set_mtu(rtnetlink, "v0", 1)
    assert caught.value.kernel_message == "mtu less than device minimum"
    assert str(caught.value) == (
        'interface "v0": RTM_NEWLINK: Invalid argument '
        "(the kernel says: mtu less than device minimum)"
    )


def add_macvlan(net, name, lower, mac):
    parent = struct.pack("=I", socket.if_nametoindex(lower))
    mode = support._attribute(support.IFLA_INFO_DATA, support._attribute(1, b"\4\0\0\0"))  # bridge
    body = support._link() + support._name(name) + support._attribute(1, bytes.fromhex(mac))
    body += support._attribute(5, parent)  # IFLA_LINK; IFLA_ADDRESS before it
    kind = support._attribute(support.IFLA_INFO_KIND, b"macvlan")
    body += support._attribute(support.IFLA_LINKINFO, kind + mode)
    net._request(support.RTM_NEWLINK, body, support.NLM_F_CREATE | support.NLM_F_EXCL)


def test_a_drivers_refusal_is_an_error_without_an_extended_ack(net, rtnetlink):
    """A macvlan can't go up while another one of its parent has the same address."""
    net.add_veth("v0", "w0", up=False)
    for name in ("m0", "m1"):
        add_macvlan(net, name, "v0", "021122334455")
    net.set_up("v0")
    rtnetlink.link_set_up("m0")
    for call in (rtnetlink.link_set_up, link_set_up):
        with pytest.raises(KernelError) as caught:
            call("m1")
        assert (caught.value.errno, caught.value.kernel_message) == (errno.EADDRINUSE, "")
        assert str(caught.value).startswith(
            'interface "m1": RTM_NEWLINK: Address already in use; the parent or another link'
        )
    assert not rtnetlink.link_is_up("m1")


def test_a_socket_keeps_no_name_that_can_change_or_is_refused(net, rtnetlink):
    """It keeps the last name that it has converted, and uses it only for the same object."""
    for name in ("v0", "v1"):
        net.add_veth(name, name.replace("v", "w"), up=False)

    class Changing:
        def __fspath__(self):
            return self.name

    path = Changing()
    for path.name in ("v0", "v1"):
        rtnetlink.link_set_up(path)
        assert rtnetlink.link_is_up(path.name)
    for wrong in (None, "a\0b", 5, "", "v0\0"):
        for _ in range(2):
            with pytest.raises(InvalidInterfaceNameError):
                rtnetlink.link_set_up(wrong)
    rtnetlink.link_set_up("v1")
    rtnetlink.link_set_down("v1")
    rtnetlink.link_set_up("v1")
    assert rtnetlink.link_is_up("v1")


def test_a_call_that_a_handler_interrupts_leaves_no_other_name_for_the_next(net, rtnetlink):
    net.add_veth("v0", "w0", up=False)

    def interrupt():
        raise KeyboardInterrupt

    for target in count(1):
        rtnetlink.link_set_up("v0")
        rtnetlink.link_set_down("v0")
        try:
            with at_line(target, ("_native/socket.py",), interrupt) as line:
                rtnetlink.link_set_up("w0")
        except KeyboardInterrupt:
            pass
        if not line.is_reached:
            break
        rtnetlink.link_set_up("v0")
        assert rtnetlink.link_is_up("v0")
    assert target > 5
