"""Links, addresses and routes as read, compared with `ip -json`."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess

import pytest
from helpers_network import disable_duplicate_address_detection, ip, quieten, wait_for_workers

from pynetstrat import (
    Address,
    Batch,
    InterfaceNotFoundError,
    InvalidInterfaceNameError,
    InvalidNetworkError,
    KernelError,
    Link,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
)

SCOPES = {0: "global", 253: "link", 254: "host"}
PROTOCOLS = {4: "static"}


@pytest.fixture
def many(host, net):
    """Makes links of several kinds and in several states, with addresses and routes."""
    quieten()
    disable_duplicate_address_detection()
    with NetworkNamespace.create() as blue:
        host.execute(Batch().add_bridge("br0").add_veth("v0", "v1", up=True))
        net.add_altname("v0", "a-very-long-name-of-a-link")
        net.add_altname("v0", "short")
        host.execute(
            Batch()
            .add_veth("h0", "eth0", netns=blue, mtu=1400, txqueuelen=9)
            .add_link("ifb0", "ifb")
            .set_link("lo", up=True)
            .set_link("br0", up=True)
            .set_link(
                "v1", up=True, alias="an alias", master=host.get_link("br0").index, hairpin=None
            )
        )
        host.execute(Batch().add_macvlan("m0", host.get_link("v0").index, up=True))
        host.execute(Batch().set_link("v1", hairpin=True))
        host.execute(Batch().set_group(host.get_link("ifb0").index, 77))
        for command in (
            "address add 192.0.2.1/24 brd + dev v0 label v0:x",
            "address add 192.0.2.2/24 dev v0 noprefixroute metric 9",
            "address add 198.51.100.1 peer 198.51.100.2/32 dev v0",
            "address add 203.0.113.1/24 dev br0 scope link valid_lft 5000 preferred_lft 4000",
            "address add 2001:db8::1/64 dev v0 nodad",
            "route add default via 192.0.2.254",
            "route add 10.0.0.0/8 via 192.0.2.253 metric 7 src 192.0.2.1",
            "route add 10.1.0.0/16 dev br0 table 1000",
            "route add 10.2.0.0/16 via 203.0.112.1 dev v0 onlink",
            "route add blackhole 10.3.0.0/16",
            "route add default via 2001:db8::ff dev v0",
            "route add 2001:db8:5::/48 via 2001:db8::fe metric 5 table 1000",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        bridge = host.get_link("br0").index
        host.execute(Batch().add_address(bridge, Address(bridge, "2001:db8::2/64", protocol=7)))
        wait_for_workers()
        yield


def test_links_are_what_ip_shows(host, many):
    links = host.dump_links()
    seen = {entry["ifname"]: entry for entry in ip("-details", "link")}
    assert set(links) == set(seen) == {"lo", "br0", "v0", "v1", "h0", "ifb0", "m0"}
    by_index = {link.index: name for name, link in links.items()}
    for name, link in links.items():
        entry = seen[name]
        assert host.get_link(name) == link
        assert link.index == entry["ifindex"]
        assert link.name == name
        assert link.kind == entry.get("linkinfo", {}).get("info_kind", "")
        assert link.up == ("UP" in entry["flags"])
        assert link.running == ("LOWER_UP" in entry["flags"] and "UP" in entry["flags"])
        assert link.mtu == entry["mtu"]
        assert link.txqueuelen == entry.get("txqlen", 0)
        assert link.mac == entry["address"]
        assert (by_index[link.master] if link.master else None) == entry.get("master")
        if link.link_nsid is None:
            parent = by_index[link.link_index] if link.link_index else None
            assert parent == entry.get("link")
        else:
            assert link.link_index == entry["link_index"]
            assert link.link_nsid == entry["link_netnsid"]
        assert link.alias == entry.get("ifalias", "")
        assert list(link.altnames) == entry.get("altnames", [])
        slave = entry.get("linkinfo", {}).get("info_slave_data", {})
        assert link.hairpin == slave.get("hairpin")
        assert link.permanent_mac == entry.get("permaddr", link.permanent_mac)
        group = {"default": 0}.get(entry["group"], entry["group"])
        assert link.group == int(group)


def test_the_fields_of_links_vary_in_that_comparison(host, many):
    links = host.dump_links()
    assert links["v1"].hairpin is True
    assert links["v0"].hairpin is None
    assert links["v0"].altnames == ("a-very-long-name-of-a-link", "short")
    assert links["v1"].alias == "an alias"
    assert links["ifb0"].group == 77
    assert links["h0"].link_nsid == 0
    assert links["m0"].link_index == links["v0"].index
    assert links["lo"].kind == ""
    assert links["br0"].bridge_id[4:] == links["v1"].mac.replace(":", "")


def test_addresses_are_what_ip_shows(host, many):
    seen = {
        (entry["ifindex"], one["local"], one.get("address")): one
        for entry in ip("address")
        for one in entry.get("addr_info", [])
    }
    addresses = host.dump_addresses()
    assert len(addresses) == len(seen)
    for address in addresses:
        bare, _, length = address.address.partition("/")
        peer, _, peer_length = address.peer.partition("/")
        one = seen[address.ifindex, bare, peer or None]
        assert one["prefixlen"] == int(peer_length or length)
        assert one["family"] == ("inet6" if ":" in bare else "inet")
        assert address.broadcast == one.get("broadcast", "")
        assert address.label == one.get("label", "")
        assert SCOPES[address.scope] == one["scope"]
        assert address.metric == one.get("metric", 0)
        assert bool(address.flags & 0x200) == one.get("noprefixroute", False)
        assert bool(address.flags & 0x02) == one.get("nodad", False)
        assert address.tentative == one.get("tentative", False)
        assert address.dadfailed == one.get("dadfailed", False)
        assert address.permanent == ("dynamic" not in one)
        for field, seconds in (("valid", address.valid), ("preferred", address.preferred)):
            lasting = one[f"{'valid' if field == 'valid' else 'preferred'}_life_time"]
            # (a second may have passed between the one and the other)
            assert lasting == 4294967295 if seconds is None else abs(lasting - seconds) < 60


def test_the_fields_of_addresses_vary_in_that_comparison(host, many):
    found = {address.address: address for address in host.dump_addresses()}
    assert found["192.0.2.1/24"].broadcast == "192.0.2.255"
    assert found["192.0.2.1/24"].label == "v0:x"
    assert found["192.0.2.2/24"].metric == 9
    assert found["198.51.100.1/32"].peer == "198.51.100.2/32"
    assert not found["203.0.113.1/24"].permanent
    assert found["127.0.0.1/8"].scope == 254
    assert found["2001:db8::2/64"].protocol == 7


def test_addresses_of_one_link_are_its_own(host, net, many):
    index = host.get_link("v0").index
    everything = host.dump_addresses()
    own = [address for address in everything if address.ifindex == index]
    assert own == host.dump_addresses("v0") == host.dump_addresses("short")
    assert 0 < len(own) < len(everything)
    assert host.dump_addresses("ifb0") == []


def test_routes_are_what_ip_shows_and_unicast(host, many):
    def key(destination: str, table: object, metric: object) -> tuple[object, ...]:
        return destination, str(table), int(metric or 0)

    seen = {}
    for family, default in (("-4", "0.0.0.0/0"), ("-6", "::/0")):
        for one in ip("-details", family, "route", "show", "table", "all"):
            if one.get("type", "unicast") == "unicast":
                destination = default if one["dst"] == "default" else one["dst"]
                if "/" not in destination:
                    destination += "/128" if family == "-6" else "/32"
                table = {"main": 254}.get(one["table"], one["table"])
                seen[key(destination, table, one.get("metric"))] = one
    by_name = {name: link.index for name, link in host.dump_links().items()}
    routes = {key(one.destination, one.table, one.metric): one for one in host.dump_routes()}
    assert routes.keys() == seen.keys()
    for known, route in routes.items():
        one = seen[known]
        assert route.gateway == one.get("gateway", "")
        assert route.source == one.get("prefsrc", "")
        assert route.ifindex == by_name[one["dev"]]
        assert SCOPES[route.scope] == one["scope"]
        assert route.onlink == ("onlink" in one["flags"])
    assert "10.3.0.0/16" not in {route.destination for route in routes.values()}  # a blackhole
    assert routes["10.2.0.0/16", "254", 0].onlink
    assert routes["::/0", "254", 1024].gateway == "2001:db8::ff"


@pytest.mark.parametrize(
    "thing",
    [
        Link(1, "lo", altnames=("a",)),
        Address(1, "192.0.2.1/24", label="x"),
        Route("default", gateway="192.0.2.1"),
    ],
)
def test_they_compare_copy_and_pickle(thing):
    for twin in (copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):
        assert twin == thing
    assert type(thing).__name__ in repr(thing)


# ---- ids of namespaces ----


def test_a_namespace_gets_an_nsid_when_a_link_that_leads_there_is_read(host):
    with NetworkNamespace.create() as blue:
        assert host.get_nsid(blue) is None
        host.execute(Batch().add_veth("h0", "eth0", netns=blue))
        nsid = host.get_link("h0").link_nsid
        assert host.get_nsid(blue) == nsid is not None
        for form in (blue.fileno(), f"/proc/self/fd/{blue.fileno()}"):
            assert host.get_nsid(form) == nsid
        with RtnetlinkSocket(blue) as there, NetworkNamespace.current() as here:
            assert there.get_link("eth0").link_nsid == there.get_nsid(here)
        with blue.popen(["sleep", "60"]) as process:
            pidfd = os.pidfd_open(process.pid)
            assert host.get_nsid(pidfd) == nsid
            os.close(pidfd)
            process.kill()


def test_the_nsid_of_something_else_than_a_namespace_is_an_error(host, tmp_path):
    (tmp_path / "file").touch()
    for netns, errno in ((tmp_path / "file", 22), ("/no/such/file", 2), (987_654, 9)):
        with pytest.raises(KernelError) as raised:
            host.get_nsid(netns)
        assert raised.value.errno == errno
    with pytest.raises(KernelError, match=rf"of_process\({os.getpid()}\)"):
        host.get_nsid(os.getpid())


@pytest.mark.parametrize("index", [0, -1, 1 << 31, 1 << 64, True])
def test_an_index_that_no_link_has_is_refused(host, index):
    """0 does not mean every link: it is what a struct holds that was not filled in."""
    for dump in (host.dump_addresses, host.dump_qdiscs):
        with pytest.raises(InvalidNetworkError, match="index"):
            dump(index)


def test_the_addresses_of_a_missing_link_are_an_error(host):
    with pytest.raises(InterfaceNotFoundError, match='interface "nope"'):
        host.dump_addresses("nope")
    with pytest.raises(InvalidInterfaceNameError):
        host.dump_addresses("x" * 128)
