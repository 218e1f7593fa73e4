"""batch.py: links on top of others, alternative names, and messages that the caller has built."""

from __future__ import annotations

import re
import socket
import struct
import subprocess

import pytest
from helpers_network import assert_connects, containers, ip, process_carriers, quieten
from pynetstrat._core import ffi

from pynetstrat import (
    Batch,
    BatchError,
    InvalidInterfaceNameError,
    InvalidNetworkError,
    RtnetlinkSocket,
)
from pynetstrat._native.batch import Encoded

# ---- the same messages as those of iproute2 ----

NESTED = 0x8000
LINKINFO, INFO_KIND, INFO_DATA = 18, 1, 2


def attributes(data: bytes, path: tuple[int, ...] = ()) -> dict[int, object]:
    """The attributes by type. IFLA_INFO_DATA stays as its bytes."""
    found: dict[int, object] = {}
    while data:
        length, kind = struct.unpack_from("=HH", data)
        kind &= ~NESTED
        value = data[4:length]
        inner = (*path, kind)
        if inner == (LINKINFO,):
            found[kind] = attributes(value, inner)
        elif inner == (LINKINFO, INFO_KIND):
            found[kind] = value.rstrip(b"\0")  # iproute2 sends it without its NUL
        else:
            found[kind] = value
        data = data[length + -length % 4 :]
    return found


def sent_by_ip(*arguments: str) -> bytes:
    """The RTM_NEWLINK that `ip link add` sends, after its header. The kernel may refuse it."""
    command = ["strace", "-e", "trace=sendmsg", "-e", "write=all", "ip", "link", "add", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    _, _, after = done.stderr.partition("RTM_NEWLINK")
    rows = re.findall(r"^ \| [0-9a-f]{5}  ([0-9a-f ]{48}) ", after, re.MULTILINE)
    data = bytes.fromhex("".join(rows))
    length, kind = struct.unpack_from("=IH", data)
    assert (kind, len(data)) == (16, length)
    return data[16:]


def sent_by_us(batch: Batch, sock: RtnetlinkSocket) -> bytes:
    encoded = Encoded(batch.messages, lambda name: sock.get_link(name).index)
    return bytes(ffi.buffer(encoded.batch.data, encoded.batch.used))[16:]


MADE = [
    (Batch().add_vlan("x", "p0", 5), "link p0 name x type vlan protocol 802.1Q id 5"),
    (
        Batch().add_vlan("x", "p0", 4094, protocol="802.1ad", mtu=1400, mac="02:00:00:00:00:07"),
        "link p0 name x mtu 1400 address 02:00:00:00:00:07 type vlan protocol 802.1ad id 4094",
    ),
    (Batch().add_vlan("x", "p0", 0), "link p0 name x type vlan protocol 802.1Q id 0"),
    (Batch().add_ipvlan("x", "p0"), "link p0 name x type ipvlan mode l3 bridge"),
    (Batch().add_ipvlan("x", "p0", mode="l2"), "link p0 name x type ipvlan mode l2 bridge"),
    (
        Batch().add_ipvlan("x", "p0", mode="l3s", flag="private", mtu=1400),
        "link p0 name x mtu 1400 type ipvlan mode l3s private",
    ),
    (Batch().add_ipvlan("x", "p0", flag="vepa"), "link p0 name x type ipvlan mode l3 vepa"),
    (Batch().add_vxlan("x", 7), "name x type vxlan id 7 learning dstport 4789"),
    (
        Batch().add_vxlan(
            "x",
            (1 << 24) - 1,
            remote="192.0.2.9",
            local="192.0.2.1",
            link="p0",
            port=8472,
            learning=False,
            ttl=5,
        ),
        "name x type vxlan dev p0 id 16777215 remote 192.0.2.9 local 192.0.2.1 dstport 8472 ttl 5 "
        "nolearning",
    ),
    (
        Batch().add_vxlan("x", 7, remote="ff02::5", link="p0"),
        "name x type vxlan id 7 dev p0 group ff02::5 dstport 4789 learning",
    ),
]


@pytest.mark.parametrize(("batch", "command"), MADE, ids=[command for _, command in MADE])
def test_the_message_is_that_of_iproute2(host, batch, command):
    """The data of the kind is so byte by byte; iproute2 sends the others in another order."""
    host.execute(Batch().add_link("p0", "ifb", up=True).add_address(2, "192.0.2.1/24"))
    ours, theirs = sent_by_us(batch, host), sent_by_ip(*command.split())
    assert ours[:16] == theirs[:16]  # struct ifinfomsg
    assert attributes(ours[16:]) == attributes(theirs[16:])


# ---- on the kernel ----


@pytest.mark.parametrize(
    "batch", [Batch().add_vlan("x", "lo", 5), Batch().add_ipvlan("x", "lo")], ids=["vlan", "ipvlan"]
)
def test_a_kernel_without_the_kind_says_so_or_makes_it(host, batch):
    try:
        host.execute(batch.set_link("x", up=True))
    except BatchError as error:
        assert error.interface == "x"
        assert isinstance(error.results[0], Exception)
    else:
        assert host.get_link("x").link_index == 1


def test_a_vxlan_has_its_settings(host):
    host.execute(Batch().add_link("p0", "ifb", up=True).add_address(2, "192.0.2.1/24"))
    ends = {"remote": "192.0.2.9", "local": "192.0.2.1", "link": "p0"}
    host.execute(Batch().add_vxlan("x", 42, **ends, learning=False, ttl=5, mtu=1300, up=True))
    (seen,) = ip("-details", "link", "show", "x")
    data = seen["linkinfo"]["info_data"]
    assert (data["id"], data["remote"], data["local"]) == (42, "192.0.2.9", "192.0.2.1")
    assert (data["link"], data["port"], data["ttl"], data["learning"]) == ("p0", 4789, 5, False)
    assert (seen["mtu"], "UP" in seen["flags"]) == (1300, True)


def test_a_vxlan_in_a_container_sends_in_the_namespace_that_made_it(host):
    """Two containers are connected although no link but lo and the VXLAN is in them."""
    with containers(3) as (other, first, second):
        quieten(other)
        host.execute(Batch().add_veth("v0", "v1", netns=other, up=True))
        ends = ("192.0.2.1", "192.0.2.2")
        with RtnetlinkSocket(other) as sock:
            for one, name, end, netns in (
                (host, "v0", 0, first),
                (sock, "v1", 1, second),
            ):
                index = one.get_link(name).index
                batch = Batch().add_address(index, f"{ends[end]}/24").set_link(index, up=True)
                batch.add_vxlan("x", 42, remote=ends[1 - end], local=ends[end], netns=netns)
                one.execute(batch)
                with RtnetlinkSocket(netns) as inner:
                    inside = inner.get_link("x").index
                    batch = Batch().add_address(inside, f"10.0.0.{end + 1}/24")
                    inner.execute(batch.set_link(inside, up=True))
        process_carriers(None, other)  # of the links that carry the VXLAN
        assert_connects(first, second, "10.0.0.1")


@pytest.mark.parametrize(
    ("method", "arguments", "options", "field"),
    [
        ("add_vlan", ("x", 1, 4095), {}, "id"),
        ("add_vlan", ("x", 1, -1), {}, "id"),
        ("add_vlan", ("x", 1, 5), {"protocol": "802.1q"}, "protocol"),
        ("add_vlan", ("x", 0, 5), {}, "link"),
        ("add_ipvlan", ("x", 1), {"mode": "L2"}, "mode"),
        ("add_ipvlan", ("x", 1), {"flag": "passthru"}, "flag"),
        ("add_vxlan", ("x", 1 << 24), {}, "id"),
        ("add_vxlan", ("x", 1), {"port": 0}, "port"),
        ("add_vxlan", ("x", 1), {"port": 65536}, "port"),
        ("add_vxlan", ("x", 1), {"ttl": 256}, "ttl"),
        ("add_vxlan", ("x", 1), {"remote": "192.0.2.1/24"}, "remote"),
        ("add_vxlan", ("x", 1), {"remote": "192.0.2.1", "local": "fd00::1"}, "local"),
    ],
)
def test_an_invalid_argument_is_refused_at_once(method, arguments, options, field):
    with pytest.raises(InvalidNetworkError) as raised:
        getattr(Batch(), method)(*arguments, **options)
    assert raised.value.field == field


# ---- alternative names ----

LONG = "an-alternative-name-of-more-than-fifteen-bytes"


@pytest.mark.parametrize("by_name", [True, False])
def test_an_alternative_name_is_added_and_deleted(host, by_name):
    host.execute(Batch().add_link("a", "ifb"))
    link = "a" if by_name else host.get_link("a").index
    host.execute(Batch().add_altname(link, LONG).add_altname(link, "b"))
    assert host.get_link(LONG).altnames == (LONG, "b")
    host.execute(Batch().delete_altname(LONG if by_name else link, LONG))
    assert host.get_link("a").altnames == ("b",)


def test_a_taken_alternative_name_is_an_error_that_names_it(host):
    host.execute(Batch().add_link("a", "ifb").add_link("b", "ifb"))
    with pytest.raises(BatchError, match='the name "b" is already in use') as raised:
        host.execute(Batch().add_altname("a", "b"))
    assert (raised.value.interface, raised.value.operation) == ("a", "RTM_NEWLINKPROP")


@pytest.mark.parametrize("name", ["", "x" * 128, "a\0b", 1])
def test_a_name_that_no_link_can_have_is_refused(name):
    for method in ("add_altname", "delete_altname"):
        with pytest.raises(InvalidInterfaceNameError):
            getattr(Batch(), method)("a", name)


# ---- messages that the caller has built ----

NEWNEIGH, GETNEIGH, CREATE, PERMANENT, DST, LLADDR = 28, 30, 0x400, 0x80, 1, 2


def neighbour(index: int, address: str, mac: bytes) -> bytes:
    fixed = struct.pack("=BxxxiHBB", socket.AF_INET, index, PERMANENT, 0, 0)
    destination = struct.pack("=HH", 8, DST) + socket.inet_aton(address)
    return fixed + destination + struct.pack("=HH6s", 10, LLADDR, mac)


def test_a_message_of_the_caller_is_executed_with_the_others(host):
    host.execute(Batch().add_veth("a", "b", up=True))
    index = host.get_link("a").index
    body = neighbour(index, "192.0.2.9", b"\2\0\0\0\0\7")
    batch = Batch().add_address(index, "192.0.2.1/24").add_message(NEWNEIGH, CREATE, body)
    host.execute(batch.set_link("a", alias="last"))
    (seen,) = ip("neighbour", "show", "dev", "a")
    assert (seen["dst"], seen["lladdr"]) == ("192.0.2.9", "02:00:00:00:00:07")
    assert host.get_link("a").alias == "last"


def test_a_refused_message_of_the_caller_is_named(host):
    batch = Batch().add_message(NEWNEIGH, CREATE, neighbour(4711, "192.0.2.9", bytes(6)))
    with pytest.raises(BatchError) as raised:
        host.execute(batch)
    assert raised.value.operation == "RTM_NEWNEIGH"
    assert raised.value.results[0] is not None


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((15, 0, b""), "type"),
        ((1 << 16, 0, b""), "type"),
        ((GETNEIGH, 0, b""), "type"),
        (("28", 0, b""), "type"),
        ((28, -1, b""), "flags"),
        ((28, 1 << 16, b""), "flags"),
        ((28, 0, "text"), "body"),
        ((28, 0, bytes(65537)), "body"),
    ],
)
def test_a_message_that_cannot_be_sent_is_refused(arguments, field):
    with pytest.raises(InvalidNetworkError) as raised:
        Batch().add_message(*arguments)
    assert raised.value.field == field


def test_a_large_message_of_the_caller_is_sent(host):
    """It is larger than the buffer that a batch begins with."""
    host.execute(Batch().add_veth("a", "b"))
    body = neighbour(host.get_link("a").index, "192.0.2.9", b"\2\0\0\0\0\7") + b"\0\0"
    unknown = struct.pack("=HH", 4 + 8000, 0x3FFF) + bytes(8000)  # which the kernel ignores
    host.execute(Batch().add_message(NEWNEIGH, CREATE, body + unknown * 2))
    assert [seen["dst"] for seen in ip("neighbour", "show", "dev", "a")] == ["192.0.2.9"]
