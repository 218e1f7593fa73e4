"""For the tests of `host-device`: devices that can be moved, and states to compare."""

from __future__ import annotations

import difflib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from helpers_network import containers, dumps, own_run, quieten

from pynetstrat import Address, Batch, HostDevice, Link, Network, NetworkNamespace, RtnetlinkSocket

KINDS = ["veth", "macvlan", "ifb", "tap"]
FIRST_INDEX = 1 << 29
RECORDS = Path("/run/pynetstrat/devices")

strategy = HostDevice()


def change(*arguments: str, netns: NetworkNamespace | None = None) -> None:
    """Runs ip(8), in a namespace if one is given."""
    run = netns.run if netns is not None else subprocess.run
    done = run(["ip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)


def change_all(*lines: str, netns: NetworkNamespace | None = None) -> None:
    """Runs ip(8) with a batch of commands, in a namespace if one is given."""
    run = netns.run if netns is not None else subprocess.run
    done = run(["ip", "-batch", "-"], input="\n".join(lines), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def add_device(kind: str = "veth", name: str = "d0") -> None:
    """Adds a device that can be moved. It is down."""
    if kind == "veth":
        change_all(f"link add {name} type veth peer name p{name}", f"link set p{name} up")
    elif kind == "macvlan":
        change_all(
            "link add parent type veth peer name parent2",
            "link set parent up",
            f"link add {name} link parent type macvlan mode bridge",
        )
    elif kind == "tap":
        change("tuntap", "add", name, "mode", "tap")
    else:
        change("link", "add", name, "type", kind)


@pytest.fixture
def quiet_host(host: RtnetlinkSocket) -> Iterator[RtnetlinkSocket]:
    """A host namespace without automatic link-local addresses, and an empty /run."""
    quieten()
    with own_run():
        yield host


@pytest.fixture
def container(quiet_host: RtnetlinkSocket) -> Iterator[NetworkNamespace]:
    """The namespace of a container."""
    with containers(1) as (one,):
        quieten(one)
        yield one


@pytest.fixture
def configured_device(quiet_host: RtnetlinkSocket) -> RtnetlinkSocket:
    """The device d0, up, with everything that a move deletes: port, addresses, routes, names."""
    change_all(
        "link add d0 type veth peer name pd0",
        "link set pd0 up",
        "link add br0 type bridge",
        "link set br0 up",
        "link set d0 mtu 1400 txqueuelen 77 alias uplink group 5",
        "link property add dev d0 altname a-rather-long-alternative-name",
        "link set d0 master br0 up",
        "link set d0 type bridge_slave hairpin on",
    )
    index = quiet_host.get_link("d0").index
    batch = Batch()
    for address in (
        Address(index, "192.0.2.5/24", broadcast="192.0.2.255", label="d0:x", metric=50),
        Address(index, "192.0.2.6/24"),
        Address(index, "10.1.0.1/32", peer="10.1.0.2/32"),
        Address(index, "10.2.0.1/24", label="other", flags=0x200),
        Address(index, "10.3.0.1/32", scope=254),
        Address(index, "2001:db8::1/64", flags=0x02),
        Address(index, "2001:db8::2/64", flags=0x202, metric=9, protocol=42),
        Address(index, "2001:db8::3/64", flags=0x02),
        Address(index, "2001:db8:1::1/128", peer="2001:db8:1::2/128", flags=0x02),
        Address(index, "fe80::5/64", flags=0x02),
    ):
        batch.add_address(index, address)
    # Clears the flag, as for an address that has passed duplicate address detection.
    batch.add_address(index, Address(index, "2001:db8::3/64"), replace=True)
    quiet_host.execute(batch)
    change_all(
        "address add 10.4.0.1/24 dev br0",
        "address add 2001:db8:4::1/64 dev br0 nodad",
        "route add 198.51.100.0/24 via 192.0.2.1",
        "route add 203.0.113.0/24 dev d0 metric 7 table 99",
        "route add 10.9.0.0/24 dev br0 src 192.0.2.6",
        "route add 10.9.1.0/24 via 192.0.2.1 mtu 1300 tos 8",
        "route add 10.9.2.0/24 nexthop via 192.0.2.1 dev d0 nexthop via 10.4.0.2 dev br0",
        "route add 2001:db8:9::/48 via 2001:db8::99 pref low",
        "route add 2001:db8:8::/48 nexthop via 2001:db8::99 dev d0 "
        "nexthop via 2001:db8:4::2 dev br0",
    )
    return quiet_host


def device(**fields: Any) -> Network:
    """A network of the strategy host-device with the device d0."""
    return Network(**{"type": "host-device", "host_interface_name": "d0", "owner": "c1", **fields})


def state(*namespaces: NetworkNamespace) -> list[Any]:
    """Everything that an undone change must restore, in the host namespace and in others.

    It waits for kernel workers that finish IPv6 addresses.
    """
    found = []
    for namespace in (None, *namespaces):
        shown = dumps(namespace)
        with RtnetlinkSocket(namespace) as sock:
            links = [asdict(link) for link in sock.dump_links().values()]
        for link in links:
            del link["running"]
            del link["bridge_id"]
        # The order of equal routes may change.
        shown["routes"].sort(key=lambda route: json.dumps(route, sort_keys=True))
        found.append((links, shown))
    return found


def link_in(namespace: NetworkNamespace | None, name: str) -> Link:
    with RtnetlinkSocket(namespace) as sock:
        return sock.get_link(name)


def addresses_in(namespace: NetworkNamespace | None, name: str) -> list[Address]:
    with RtnetlinkSocket(namespace) as sock:
        return [replace(address, ifindex=0) for address in sock.dump_addresses(name)]


def assert_unchanged(before: list[Any], *namespaces: NetworkNamespace) -> None:
    """Asserts that the state is as before, and shows the differences.

    It waits for kernel workers that finish IPv6 addresses.
    """
    deadline = time.monotonic() + 60
    while (after := state(*namespaces)) != before and time.monotonic() < deadline:
        time.sleep(0.02)
    lines = [json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (before, after)]
    assert before == after, "\n".join(difflib.unified_diff(*lines, lineterm="", n=4))


def refused(
    container: NetworkNamespace, network: Network, kind: type[Exception], *words: str, **fields: Any
) -> Any:
    """The error of a `create` that must fail and change nothing."""
    before = state(container)
    with pytest.raises(kind) as caught:
        strategy.create(network, netns=container)
    assert_unchanged(before, container)
    for word in words:
        assert word in str(caught.value)
    for field, value in fields.items():
        assert getattr(caught.value, field) == value
    return caught.value
