"""Egress and published ports with real traffic between a client, the host and containers."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
import support
from helpers_egress import (
    CLIENT,
    CLIENT6,
    HOST,
    HOST6,
    SUBNET,
    SUBNET6,
    World,
    ask,
    served,
    sysctl,
)

from pynetstrat import Network, disable_egress, enable_egress, tear_down_networks

IPV4_AND_IPV6 = pytest.mark.parametrize(
    ("host", "client", "subnet"), [(HOST, CLIENT, SUBNET), (HOST6, CLIENT6, SUBNET6)]
)


@pytest.fixture
def world(net: support.Links) -> Iterator[World]:
    world = World()
    yield world
    world.close()


def protocols() -> list[str]:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close()
    except OSError:
        return ["tcp", "udp"]
    return ["tcp", "udp", "sctp"]


# ---- egress ----


@IPV4_AND_IPV6
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_container_reaches_outside_with_the_hosts_address(world, host, client, subnet, protocol):
    container = world.add(2)
    with served(world.client, 7000, protocol):
        with pytest.raises(OSError, match="timed out"):
            ask(container, client, 7000, protocol, seconds=0.2)
        enable_egress(subnet)
        assert ask(container, client, 7000, protocol) == host


@IPV4_AND_IPV6
def test_without_egress_again_a_new_connection_gets_no_answer(world, host, client, subnet):
    container = world.add(2)
    enable_egress(subnet)
    with served(world.client, 7000):
        assert ask(container, client, 7000) == host
        disable_egress(subnet)
        with pytest.raises(OSError, match="timed out"):
            ask(container, client, 7000, seconds=0.2)


@IPV4_AND_IPV6
def test_containers_of_one_subnet_see_each_others_addresses(world, host, client, subnet):
    one, other = world.add(2), world.add(3)
    enable_egress(subnet)
    address = "fd00:a::3" if ":" in host else "10.0.0.3"
    with served(other, 7000):
        assert ask(one, address, 7000) == address.replace("3", "2")


def test_the_host_reaches_a_container_with_its_own_address(world):
    container = world.add(2)
    enable_egress(SUBNET)
    with served(container, 7000):
        assert ask(None, "10.0.0.2", 7000) == "10.0.0.1"


def test_a_container_reaches_the_host_with_its_own_address(world):
    container = world.add(2)
    enable_egress(SUBNET)
    with served(None, 7000):
        assert ask(container, "10.0.0.1", 7000) == "10.0.0.2"
        assert ask(container, HOST, 7000) == "10.0.0.2"


# ---- published ports ----


@IPV4_AND_IPV6
@pytest.mark.parametrize("protocol", protocols())
def test_a_client_outside_reaches_a_published_port_and_keeps_its_address(
    world, host, client, subnet, protocol
):
    container = world.add(2, publish=[f"8080:80/{protocol}"])
    with served(container, 80, protocol):
        assert ask(world.client, host, 8080, protocol) == client


@IPV4_AND_IPV6
@pytest.mark.parametrize("protocol", protocols())
def test_the_host_reaches_a_published_port_by_its_own_address(
    world, host, client, subnet, protocol
):
    container = world.add(2, publish=[f"8080:80/{protocol}"])
    with served(container, 80, protocol):
        assert ask(None, host, 8080, protocol) == host


@IPV4_AND_IPV6
@pytest.mark.parametrize("protocol", protocols())
def test_a_container_reaches_another_one_by_the_hosts_port(world, host, client, subnet, protocol):
    server, other = world.add(2, publish=[f"8080:80/{protocol}"]), world.add(3)
    gateway = "fd00:a::1" if ":" in host else "10.0.0.1"
    with served(server, 80, protocol):
        assert ask(other, host, 8080, protocol) == gateway
        assert ask(other, gateway, 8080, protocol) == gateway


@IPV4_AND_IPV6
def test_a_container_reaches_itself_by_the_hosts_port(world, host, client, subnet):
    container = world.add(2, publish=["8080:80/tcp"], hairpin_mode=True)
    gateway = "fd00:a::1" if ":" in host else "10.0.0.1"
    with served(container, 80):
        assert ask(container, host, 8080) == gateway


def test_a_container_without_a_bridge_is_published(world):
    sysctl("ipv4/conf/default/forwarding", "1")
    fields = {"bridge": "", "gateway": "10.1.0.1", "address": "10.1.0.2/32"}
    fields |= {"ipv6_address": "", "ipv6_gateway": ""}
    container = world.add(2, publish=["8080:80/tcp"], **fields)
    with served(container, 80):
        assert ask(world.client, HOST, 8080) == CLIENT
        assert ask(None, HOST, 8080) == HOST
        assert ask(container, HOST, 8080) == "10.1.0.1"


@IPV4_AND_IPV6
def test_a_port_of_one_address_is_reached_only_there(world, host, client, subnet):
    shown = f"[{host}]" if ":" in host else host
    gateway = "fd00:a::1" if ":" in host else "10.0.0.1"
    container = world.add(2, publish=[f"{shown}:8080:80/tcp"])
    with served(container, 80):
        assert ask(world.client, host, 8080) == client
        with pytest.raises(ConnectionRefusedError):
            ask(None, gateway, 8080)


def test_a_port_of_one_address_comes_before_the_same_port_of_every_address(world):
    one = world.add(2, publish=["8080:80/tcp"])
    other = world.add(3, publish=[f"{HOST}:8080:81/tcp"])
    with served(one, 80), served(other, 81):
        assert ask(world.client, HOST, 8080) == CLIENT
        assert ask(world.client, HOST6, 8080) == CLIENT6  # of the other container


def test_the_loopback_addresses_are_left_to_the_host(world):
    container = world.add(2, publish=["8080:80/tcp"])
    with served(container, 80):
        for address in ("127.0.0.1", "127.0.0.2", "::1"):
            with pytest.raises(ConnectionRefusedError):
                ask(None, address, 8080)
        with served(None, 8080, address="::1"):
            assert ask(None, "::1", 8080) == "::1"


def test_a_port_of_another_host_is_not_caught(world):
    container = world.add(2, publish=["8080:80/tcp"])
    with served(container, 80), served(world.client, 8080):
        assert ask(None, CLIENT, 8080) == HOST


def test_another_protocol_of_the_same_port_is_not_caught(world):
    container = world.add(2, publish=["8080:80/udp"])
    with served(container, 80), pytest.raises(ConnectionRefusedError):
        ask(world.client, HOST, 8080)


def test_egress_and_a_published_port_work_together(world):
    enable_egress(SUBNET)
    container, other = world.add(2, publish=["8080:80/tcp"]), world.add(3)
    with served(container, 80), served(world.client, 7000):
        assert ask(world.client, HOST, 8080) == CLIENT
        assert ask(other, HOST, 8080) == "10.0.0.1"
        assert ask(container, CLIENT, 7000) == HOST


def test_after_a_tear_down_the_port_is_closed(world):
    container = world.add(2, publish=["8080:80/tcp"])
    tear_down_networks(world.made, netns=container)
    with pytest.raises(ConnectionRefusedError):
        ask(world.client, HOST, 8080)
    with contextlib.suppress(OSError):
        ask(world.client, HOST, 8080, seconds=0.1)
    assert isinstance(world.made[1], Network)
