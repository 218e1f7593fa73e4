"""_difference.py: check_networks reports changes, each made by `ip` on the real kernel."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import helpers_network
import pytest
import support

from pynetstrat import (
    Network,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
    Veth,
    check_networks,
    set_up_networks,
)
from pynetstrat.wiring import _difference
from pynetstrat.wiring._container_dump import by_destination
from pynetstrat.wiring._socket import SessionSocket

ROWS = [
    line.split("\t")
    for line in (Path(__file__).parent.parent / "cases" / "changes.tsv").read_text().splitlines()
    if not line.startswith("#")
]
# Commands that change nothing for long. A request by the family AF_UNSPEC ends with a notification
# within the kernel, on which the bridge enables a disabled port with a carrier again; a request by
# the family AF_BRIDGE, which bridge(8) sends, has none (do_setlink, Linux net/core/rtnetlink.c;
# br_port_carrier_check, net/bridge/br_if.c).
INSTEAD = {
    "ip link set {h} type bridge_slave state 0": "bridge link set dev {h} state 0",
}
PLAIN = Network(
    "veth",
    "eth0",
    bridge="br0",
    address="10.0.0.2/24",
    gateway="10.0.0.1",
    ipv6_address="fd00::2/64",
    ipv6_gateway="fd00::1",
    mtu=1400,
    txqueuelen=500,
    owner="o",
)
NETWORKS = {
    "bridge": PLAIN,
    "ptp": replace(
        PLAIN, bridge="", address="10.0.0.2/32", ipv6_address="fd00::2/128", mtu=0, txqueuelen=0
    ),
}


@pytest.fixture
def blue(net):
    """A container, on a host with the bridges br0 and br1."""
    helpers_network.add_bridge("br0", "10.0.0.254/24")
    helpers_network.add_bridge("br1", "10.1.0.254/24")
    with NetworkNamespace.create() as netns:
        yield netns


def fields(text: str) -> dict[str, object]:
    """Returns the fields of a row such as `gateway="",mtu=0`."""
    if text == "-":
        return {}
    return {
        key: ast.literal_eval(value) for key, value in (p.split("=", 1) for p in text.split(","))
    }


def set_up(network: Network, netns: NetworkNamespace) -> list[Network]:
    made = set_up_networks([Network("loopback"), network], netns=netns)
    with RtnetlinkSocket() as host:  # until the kernel's worker has processed the carrier
        support.wait_until(lambda: host.get_link(made[1].host_interface_name).running)
    return made


def change(command: str, netns: NetworkNamespace | None, host_end: str = "") -> None:
    """Makes a change by a shell, in the container's namespace or on the host."""
    run = subprocess.run if netns is None else netns.run
    script = "set -e; " + command.replace("{h}", host_end)
    done = run(["sh", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expected", "kind", "differing", "where", "command"), ROWS, ids=lambda text: text[:60]
)
def test_a_single_change_is_reported(blue, expected, kind, differing, where, command):
    network = replace(NETWORKS[kind], **fields(differing))
    made = set_up(network, blue)
    assert check_networks(made, netns=blue) == []
    if command != "-":
        command = INSTEAD.get(command, command)
        change(command, blue if where == "C" else None, made[1].host_interface_name)
    found = check_networks(made, netns=blue)
    assert expected == "either" or bool(found) == (expected == "report"), found


# ---- further changes ----

# The namespace of each command, the command, and the difference that it makes.
FURTHER = [
    ("H", "ip link set {h} type bridge_slave isolated on", "{h} (host): isolated from other ports"),
    ("H", "ip link set {h} type bridge_slave learning off", "{h} (host): learning off"),
    ("H", "ip link set {h} group 7", "{h} (host): in the group 7, not 0"),
    ("H", "ip link set br0 down", "{h} (host): the bridge br0 is down"),
    ("C", "ip route append unreachable default metric 0", "another route to 0.0.0.0/0 exists"),
    (
        "C",
        "ip -6 route add default via fd00::9 metric 5",
        "another route to ::/0 exists: via",
    ),
    ("C", "ip -6 route add prohibit default metric 5", "another route to ::/0 exists: prohibit"),
    ("C", "ip -6 route add fd00::/64 via fd00::9 metric 1", "another route to fd00::/64 exists"),
    ("C", "ip addr del ::1/128 dev lo", "lo: the address ::1/128 is missing"),
    (
        "C",
        "ip addr del 10.0.0.2/24 dev eth0; ip addr add 10.0.0.2/24 brd 10.0.0.99 dev eth0",
        "eth0: the address 10.0.0.2/24 has the broadcast address 10.0.0.99, not 10.0.0.255",
    ),
    ("C", "ip link set lo down; ip link set lo up; ip addr del 127.0.0.1/8 dev lo", "lo: the addr"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("where", "command", "words"), FURTHER)
def test_a_further_change_is_reported(blue, where, command, words):
    made = set_up(PLAIN, blue)
    assert check_networks(made, netns=blue) == []
    host_end = made[1].host_interface_name
    change(command, blue if where == "C" else None, host_end)
    found = check_networks(made, netns=blue)
    assert any(words.replace("{h}", host_end) in difference for difference in found), found


def test_a_second_default_route_with_a_lower_metric_is_reported(blue):
    made = set_up(replace(PLAIN, metric=100), blue)
    assert check_networks(made, netns=blue) == []
    change("ip route add default via 10.0.0.9 metric 50", blue)
    assert check_networks(made, netns=blue) == [
        "eth0: another route to 0.0.0.0/0 exists: via 10.0.0.9, metric 50"
    ]
    change("ip route del default metric 50; ip route add default via 10.0.0.9 metric 150", blue)
    assert check_networks(made, netns=blue) == []


@pytest.mark.parametrize("second", ["10.0.0.3/24", "10.1.0.3/24"])
def test_the_routes_of_other_networks_of_the_container_are_not_differences(blue, second):
    networks = [
        replace(PLAIN, metric=100, ipv6_gateway=""),
        replace(
            PLAIN, name="eth1", bridge="br1", address=second, gateway=second.replace("3/24", "1")
        ),
    ]
    networks[1].ipv6_address, networks[1].ipv6_gateway = "fd00::3/64", "fd00::1"
    made = set_up_networks(networks, netns=blue)
    assert check_networks(made, netns=blue) == []


def test_the_ends_of_a_pair_have_one_mtu_if_none_is_requested(blue):
    made = set_up(replace(PLAIN, mtu=0), blue)
    assert check_networks(made, netns=blue) == []
    change("ip link set eth0 mtu 1300", blue)
    assert check_networks(made, netns=blue) == ["eth0: MTU 1300, not 1500"]


def test_a_route_with_a_gateway_of_the_other_family_does_not_stop_a_check(blue):
    made = set_up(PLAIN, blue)
    change("ip route add 192.0.2.0/24 via inet6 fd00::9 dev eth0", blue)
    assert check_networks(made, netns=blue) == []


def test_each_of_many_routes_is_compared_with_those_of_its_destination(monkeypatch):
    routes = [Route(f"198.51.{n}.0/24", ifindex=1, scope=253) for n in range(100)]
    compare, compared = _difference._is_same, []

    def count(*arguments: object) -> bool:
        compared.append(arguments)
        return compare(*arguments)

    monkeypatch.setattr(_difference, "_is_same", count)
    present = by_destination([("unicast", route) for route in routes])
    assert _difference.check_routes(present, routes) == []
    assert len(compared) == 2 * len(routes)  # is it present, and does another take its traffic?


def test_routes_to_other_destinations_are_not_kept(blue, monkeypatch):
    """Root of a container may have added any number of them."""
    made, kept = set_up(PLAIN, blue), []
    change("ip route add 198.51.100.0/24 via 10.0.0.9; ip -6 route add fd01::/64 via fd00::9", blue)
    dump = SessionSocket.dump_all_routes

    def record(self: SessionSocket, *arguments: Any, **options: Any) -> list[tuple[str, Route]]:
        kept.extend(dump(self, *arguments, **options))
        return kept

    monkeypatch.setattr(SessionSocket, "dump_all_routes", record)
    assert check_networks(made, netns=blue) == []
    Veth().check(made[-1], netns=blue)
    destinations = {route.destination for _, route in kept}
    assert {"10.0.0.0/24", "fd00::/64", "0.0.0.0/0", "::/0"} <= destinations
    assert destinations.isdisjoint({"198.51.100.0/24", "fd01::/64"})


@pytest.mark.slow
def test_check_passes_at_once_after_each_of_many_set_ups(blue):
    """The work of the kernel's workers a moment later is not a difference."""
    for number in range(20):
        with NetworkNamespace.create() as netns:
            network = replace(PLAIN, owner=f"o{number}")
            made = set_up_networks([Network("loopback"), network], netns=netns)
            assert check_networks(made, netns=netns) == []
