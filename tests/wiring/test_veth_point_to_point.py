"""veth.py: a network without a bridge."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
from pathlib import Path

import pytest
import support
from helpers_network import (
    assert_connects,
    containers,
    disable_duplicate_address_detection,
    dumps,
    link_in,
    names,
    quieten,
    veth,
    wait_for_workers,
)
from support import python, wait_until

from pynetstrat import (
    Batch,
    KernelError,
    RtnetlinkSocket,
    _syscalls,
    check_networks,
    set_up_networks,
    tear_down_networks,
)
from pynetstrat.wiring import _veth_pair


def test_a_network_without_addresses_is_up(host, bridge, blue):
    quieten(blue)
    set_up_networks([veth(address="", gateway="")], netns=blue)
    assert link_in(blue).up
    with RtnetlinkSocket(blue) as sock:
        assert sock.dump_addresses("eth0") == []


@pytest.mark.parametrize("address", ["10.9.0.2/24", "10.9.0.2/32"])
def test_host_and_container_reach_each_other_without_a_bridge(host, blue, address):
    network = veth(
        bridge="",
        address=address,
        gateway="10.9.0.1",
        ipv6_address="fd09::2/64",
        ipv6_gateway="fd09::1",
    )
    made = set_up_networks([network], netns=blue)
    for server, client, to in (
        (blue, None, "10.9.0.2"),
        (None, blue, "10.9.0.1"),
        (blue, None, "fd09::2"),
        (None, blue, "fd09::1"),
    ):
        assert_connects(server, client, to)
    own = {address.address for address in host.dump_addresses("h0")}
    assert {"10.9.0.1/32", "fd09::1/128"} <= own
    assert check_networks(made, netns=blue) == []
    tear_down_networks(made, netns=blue)
    assert names() == {"lo"}
    assert not any("10.9." in route.destination for route in host.dump_routes())


IPPROTO_ICMPV6, IPV6_MULTICAST_HOPS = 58, 18  # linux/in6.h


def _advertise(name: str) -> None:
    """Sends router advertisements, as a router does: with hop limit 255 (RFC 4861)."""
    # Lifetime 1800 s; the prefix 2001:db8:bad::/64, on link and autonomous; no source address.
    prefix = socket.inet_pton(socket.AF_INET6, "2001:db8:bad::")
    option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 14400, 0) + prefix
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + option
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_ICMPV6) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255)
        for _ in range(3):
            sock.sendto(message, ("ff02::1", 0, 0, socket.if_nametoindex(name)))


def _advertised(host: RtnetlinkSocket) -> list[object]:
    """The address and routes that the host has accepted from an advertisement."""
    addresses = [a.address for a in host.dump_addresses() if a.address.startswith("2001:db8:bad:")]
    return addresses + [
        r for r in host.dump_routes() if r.destination in ("::/0", "2001:db8:bad::/64")
    ]


@pytest.mark.parametrize("ipv6", ["fd09::2/64", ""])
def test_a_container_cannot_become_the_hosts_router(host, blue, ipv6):
    disable_duplicate_address_detection()
    disable_duplicate_address_detection(blue)
    network = veth(bridge="", address="10.9.0.2/24", gateway="10.9.0.1", ipv6_address=ipv6)
    made = set_up_networks([network], netns=blue)
    host.execute(Batch().add_veth("open0", "eth1", netns=blue, up=True))  # not made by a strategy
    with RtnetlinkSocket(blue) as sock:
        sock.link_set_up("eth1")

        def is_ready(name: str) -> bool:
            return any(
                a.address.startswith("fe80:") and not a.tentative for a in sock.dump_addresses(name)
            )

        wait_until(lambda: is_ready("eth0") and is_ready("eth1"))
    wait_for_workers()
    wait_for_workers(blue)

    def is_accepted() -> bool:
        blue.call(_advertise, "eth0")
        blue.call(_advertise, "eth1")  # the host accepts this one, so it has seen the others
        return len(_advertised(host)) > 1

    wait_until(is_accepted)
    index = host.get_link("h0").index
    assert all(route.ifindex != index for route in host.dump_routes() if route.gateway)
    assert not any(a.address.startswith("2001:") for a in host.dump_addresses("h0"))
    assert check_networks(made, netns=blue) == []
    tear_down_networks(made, netns=blue)


def test_the_host_end_ignores_advertisements_before_it_is_up(host, blue, monkeypatch):
    states = []

    def look(name: str) -> None:
        states.append(host.get_link(name).up)
        original(name)
        path = Path(f"/proc/sys/net/ipv6/conf/{name}/accept_ra")
        states.append(path.read_text())

    original = _veth_pair.refuse_router_advertisements
    monkeypatch.setattr(_veth_pair, "refuse_router_advertisements", look)
    set_up_networks([veth(bridge="", gateway="")], netns=blue)
    assert states == [False, "0\n"]


def test_a_link_without_ipv6_needs_no_setting(host, blue):
    """An MTU below the IPv6 minimum removes IPv6 from the link, as a kernel without IPv6 does."""
    made = set_up_networks([veth(bridge="", gateway="", mtu=1279)], netns=blue)
    assert not Path("/proc/sys/net/ipv6/conf/h0").exists()
    tear_down_networks(made, netns=blue)


def test_it_is_an_error_if_advertisements_cannot_be_refused(host, blue, tmp_path):
    """/proc/sys may be read-only, as in many containers. The default setting is the remedy."""
    before = dumps(), dumps(blue)
    support.mount("/proc/sys", Path("/proc/sys"), None, _syscalls.MS_BIND)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", "/proc/sys"], check=True)
        with pytest.raises(KernelError) as raised:
            set_up_networks([veth(bridge="", gateway="")], netns=blue)
        text = str(raised.value)
        assert 'interface "h0": open /proc/sys/net/ipv6/conf/h0/accept_ra: Read-only' in text
        assert "or set net.ipv6.conf.default.accept_ra to 0" in text
        assert (dumps(), dumps(blue)) == before
        subprocess.run(["mount", "-o", "remount,bind,rw", "/proc/sys"], check=True)
        Path("/proc/sys/net/ipv6/conf/default/accept_ra").write_text("0")
        subprocess.run(["mount", "-o", "remount,bind,ro", "/proc/sys"], check=True)
        tear_down_networks(set_up_networks([veth(bridge="", gateway="")], netns=blue), netns=blue)
    finally:
        support.unmount("/proc/sys")


@pytest.mark.slow
def test_an_owner_is_recognised_in_any_locale(host, bridge, blue, tmp_path):
    """Two processes must agree on the tag, so a locale without UTF-8 does not change it."""
    code = """if True:
        import sys
        from pynetstrat.cli import main
        for argument in sys.argv[2:]:
            action, file = argument.split(":")
            assert main(["network", action, file, "--netns", sys.argv[1]]) == 0, argument"""
    netns = f"/proc/{os.getpid()}/fd/{blue.fileno()}"
    files = [str(tmp_path / f"{number}.json") for number in range(3)]
    for number, file in enumerate(files):
        network = {"type": "veth", "name": f"eth{number}", "bridge": "br0", "owner": "kä\u4e2d"}
        Path(file).write_text(json.dumps([network]))

    def call(locale: str, *arguments: str, left: int) -> None:
        environment = {**os.environ, "LC_ALL": locale, "PYTHONCOERCECLOCALE": "0"}
        environment["PYTHONUTF8"] = "0"
        done = python(code, netns, *arguments, env=environment)
        assert (done.returncode, done.stderr) == (0, ""), arguments
        aliases = [link.alias for link in host.dump_links().values()]
        assert aliases.count("pynetstrat:kä\u4e2d") == left

    first, second, third = files
    call("C", f"set-up:{first}", f"set-up:{second}", left=2)
    call("C.UTF-8", f"check:{first}", f"tear-down:{first}", f"set-up:{third}", left=2)
    rest = [f"{action}:{file}" for file in files[1:] for action in ("check", "tear-down")]
    call("C", *rest, left=0)
    assert names() == {"lo", "br0"}


def test_two_point_to_point_containers_share_a_gateway(host):
    with containers(2) as (blue, red):
        for number, space in ((2, blue), (3, red)):
            network = veth(
                bridge="",
                host_interface_name=f"h{number}",
                address=f"10.9.0.{number}/32",
                gateway="10.9.0.1",
            )
            set_up_networks([network], netns=space)
        assert_connects(blue, None, "10.9.0.2")
        assert_connects(red, None, "10.9.0.3")


def test_the_host_may_have_a_link_of_the_same_name(host, bridge, blue):
    host.execute(Batch().add_link("eth0", "ifb"))
    set_up_networks([veth()], netns=blue)
    assert link_in(blue).up
    assert host.get_link("eth0").kind == "ifb"
