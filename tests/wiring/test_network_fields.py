"""The fields of a network beyond runc's: what they change in the container, and their checks."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any

import devices
import pytest
from helpers_network import assert_connects, containers, dumps, ip, quieten, veth

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    KernelError,
    Network,
    NetworkNamespace,
    Route,
    RtnetlinkSocket,
    check_networks,
    get_strategy,
    set_up_networks,
    tear_down_networks,
)


def addresses(netns: NetworkNamespace, name: str = "eth0") -> set[str]:
    with RtnetlinkSocket(netns) as sock:
        return {address.address for address in sock.dump_addresses(name)}


# ---- further addresses ----

FURTHER = ["10.0.0.3/24", "10.9.0.2/30", "fd00::3/64"]


def test_further_addresses_of_both_families_are_usable_at_once(host, bridge, blue):
    quieten(blue)
    network = veth(mac_address="02:00:00:00:00:02", addresses=FURTHER)
    made = set_up_networks([network], netns=blue)
    assert addresses(blue) == {network.address, *FURTHER, "fe80::ff:fe00:2/64"}
    (seen,) = ip("address", "show", "eth0", netns=blue)
    found = {one["local"]: one for one in seen["addr_info"]}
    assert (found["10.0.0.3"]["broadcast"], found["10.9.0.2"]["broadcast"]) == (
        "10.0.0.255",
        "10.9.0.3",
    )
    assert not any(one.get("tentative") for one in found.values())
    assert check_networks(made, netns=blue) == []


@pytest.mark.parametrize("address", ["10.0.0.2/0", "10.0.0.2/4", "0.0.0.9/8"])
def test_a_subnet_that_contains_the_unspecified_address_has_no_route(host, bridge, blue, address):
    made = set_up_networks([veth(address=address, gateway="")], netns=blue)
    assert check_networks(made, netns=blue) == []


def test_a_container_can_have_further_addresses_alone(host, bridge, blue):
    quieten(blue)
    network = veth(address="", gateway="", addresses=("fd00::3/64", "10.0.0.3/24"))
    made = set_up_networks([network], netns=blue)
    with RtnetlinkSocket(blue) as sock:
        assert sock.get_link("eth0").mac == "02:00:0a:00:00:03"  # of the first IPv4 address
    assert addresses(blue) == {*network.addresses, "fe80::aff:fe00:3/64"}
    assert check_networks(made, netns=blue) == []


def test_the_host_reaches_every_address_of_a_point_to_point_container(host, blue):
    network = veth(bridge="", address="10.0.0.2/32", addresses=["10.0.0.3/32", "fd00::3/128"])
    made = set_up_networks([network], netns=blue)
    for address in ("10.0.0.2", "10.0.0.3", "fd00::3"):
        assert_connects(blue, None, address)
    assert check_networks(made, netns=blue) == []


@pytest.mark.parametrize("address", FURTHER)
def test_a_missing_further_address_is_reported(host, bridge, blue, address):
    made = set_up_networks([veth(addresses=FURTHER)], netns=blue)
    blue.run(["ip", "address", "delete", address, "dev", "eth0"], check=True)
    found = check_networks(made, netns=blue)
    assert f"eth0: the address {address} is missing" in found


def test_a_route_that_the_kernel_adds_with_a_further_address_is_refused(host, bridge, blue):
    routes = [Route("10.9.0.0/30")]
    before = dumps(), dumps(blue)
    with pytest.raises(
        InvalidNetworkError, match=r"a route to 10\.9\.0\.0/30 with the same metric"
    ):
        set_up_networks([veth(addresses=FURTHER, routes=routes)], netns=blue)
    assert (dumps(), dumps(blue)) == before


def test_a_device_gets_further_addresses(quiet_host, container):
    devices.add_device("macvlan")
    network = devices.device(address="10.0.0.2/24", addresses=FURTHER)
    made = set_up_networks([network], netns=container)
    assert {"10.0.0.2/24", *FURTHER} <= addresses(container, made[0].name)
    assert check_networks(made, netns=container) == []


def test_initialize_removes_the_further_addresses_after_an_error(host, bridge, blue):
    """The link was made by another call and is up, so each address needs its undo step."""
    strategy = get_strategy("veth")
    made = strategy.create(veth(addresses=FURTHER), netns=blue)
    with RtnetlinkSocket(blue) as sock:
        sock.link_set_up("eth0")
    before = dumps(blue)
    made.routes = [Route("192.0.2.0/24", gateway="203.0.113.1")]  # no subnet has this gateway
    with pytest.raises(KernelError, match="gateway"):
        strategy.initialize(made, netns=blue)
    assert dumps(blue) == before


# ---- isolation ----


def answers(address: str, client: NetworkNamespace | None, seconds: float = 60) -> bool:
    """Whether the host of an address refuses a connection to a port that is not open."""
    connect = partial(socket.create_connection, (address, 9), timeout=seconds)
    try:
        (connect() if client is None else client.call(connect)).close()
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        pass
    return False


@pytest.mark.parametrize("is_first_port", [True, False])
def test_two_isolated_containers_reach_the_host_and_not_each_other(host, bridge, is_first_port):
    """The first port of a bridge without a MAC address of its own is made in another order."""
    if not is_first_port:
        host.execute(Batch().set_link("br0", mac="02:00:00:00:00:99"))
    with containers(3) as (first, second, third):
        for number, netns in enumerate((first, second, third), 2):
            network = veth(
                address=f"10.0.0.{number}/24",
                host_interface_name=f"h{number}",
                isolated=netns is not third,
            )
            made = set_up_networks([network], netns=netns)
            assert host.get_link(f"h{number}").isolated is network.isolated
            assert check_networks(made, netns=netns) == []
        assert answers("10.0.0.2", None)
        assert answers("10.0.0.2", third)
        assert not answers("10.0.0.2", second, seconds=1)


@pytest.mark.parametrize("isolated", [True, False])
def test_a_changed_isolation_is_reported(host, bridge, blue, isolated):
    made = set_up_networks([veth(isolated=isolated)], netns=blue)
    host.execute(Batch().set_link("h0", isolated=not isolated))
    (found,) = check_networks(made, netns=blue)
    assert found.startswith(f"h0 (host): {'not ' if isolated else ''}isolated")


def test_attach_isolates_the_port_again(host, bridge, blue):
    (made,) = set_up_networks([veth(isolated=True, hairpin_mode=True)], netns=blue)
    strategy = get_strategy("veth")
    strategy.detach(made)
    assert host.get_link("h0").isolated is None
    strategy.attach(made)
    assert (host.get_link("h0").isolated, host.get_link("h0").hairpin) == (True, True)


def test_a_kernel_that_ignores_isolation_is_an_error_and_nothing_is_left(
    host, bridge, blue, monkeypatch
):
    """Before Linux 4.18 the kernel ignores the attribute."""
    before = dumps(), dumps(blue)
    set_link = Batch.set_link

    def ignore(self: Batch, link: str, *, isolated: bool | None = None, **options: Any) -> Batch:
        return set_link(self, link, **options)

    monkeypatch.setattr(Batch, "set_link", ignore)
    with pytest.raises(KernelError, match=r"needs Linux 4\.18"):
        set_up_networks([veth(isolated=True)], netns=blue)
    assert (dumps(), dumps(blue)) == before


# ---- the MTU and the advertised MSS of a route ----


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_a_route_has_its_mtu_and_advertised_mss(host, bridge, blue, family):
    six = family == "-6"
    destination, gateway = ("2001:db8::/32", "fd00::1") if six else ("192.0.2.0/24", "10.0.0.1")
    routes = [Route(destination, gateway=gateway, mtu=1400, advmss=1300)]
    made = set_up_networks([veth(ipv6_address="fd00::2/64", routes=routes)], netns=blue)
    (seen,) = ip(family, "route", "show", destination, netns=blue)
    assert seen["metrics"] == [{"mtu": 1400, "advmss": 1300}]
    with RtnetlinkSocket(blue) as sock:
        (found,) = [route for route in sock.dump_routes() if route.destination == destination]
    assert (found.mtu, found.advmss) == (1400, 1300)
    assert check_networks(made, netns=blue) == []


def test_another_mtu_or_advertised_mss_is_reported(host, bridge, blue):
    routes = [Route("192.0.2.0/24", gateway="10.0.0.1", mtu=1400, advmss=1300)]
    made = set_up_networks([veth(routes=routes)], netns=blue)
    command = "ip route change 192.0.2.0/24 via 10.0.0.1 dev eth0 mtu 1200"
    blue.run(command.split(), check=True)
    (found,) = check_networks(made, netns=blue)
    assert "192.0.2.0/24 via 10.0.0.1, metric 0, MTU 1400, advertised MSS 1300, is miss" in found
    assert found.endswith("found instead: via 10.0.0.1, metric 0, MTU 1200")


def test_a_device_keeps_the_mtu_of_its_routes_when_it_is_moved_back(quiet_host, container):
    devices.add_device("veth")
    quiet_host.link_set_up("d0")
    devices.change("address", "add", "10.0.0.9/24", "dev", "d0")
    command = "route add 192.0.2.0/24 via 10.0.0.1 dev d0 mtu 1400 advmss 1300"
    devices.change(*command.split())
    before = ip("-4", "route", "show", "192.0.2.0/24")
    assert before[0]["metrics"] == [{"mtu": 1400, "advmss": 1300}]
    network = devices.device(routes=[Route("198.51.100.0/24", gateway="203.0.113.1")])
    with pytest.raises(KernelError, match="gateway"):
        set_up_networks([network], netns=container)
    assert ip("-4", "route", "show", "192.0.2.0/24") == before


def test_everything_is_gone_after_tear_down(host, bridge, blue):
    before = dumps(), dumps(blue)
    network: Network = veth(addresses=FURTHER, owner="o")
    made = set_up_networks([network], netns=blue)
    tear_down_networks(made, netns=blue)
    assert (dumps(), dumps(blue)) == before
