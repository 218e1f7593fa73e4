"""veth.py: create, initialize, detach and attach on one network."""

from __future__ import annotations

import os

import pytest
from helpers_network import (
    assert_connects,
    dumps,
    link_settings,
    names,
    quieten,
    veth,
)
from support import wait_until

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    KernelError,
    Route,
    RtnetlinkSocket,
    Veth,
    check_networks,
    set_up_networks,
)


def test_a_second_create_is_an_error_and_leaves_the_first_pair(host, bridge, blue):
    made = Veth().create(veth(), netns=blue)
    Veth().initialize(made, netns=blue)
    before = link_settings(blue)
    with pytest.raises(KernelError, match="already set up: tear it down first"):
        Veth().create(veth(), netns=blue)
    with pytest.raises(KernelError, match="already set up: tear it down first"):
        set_up_networks([veth()], netns=blue)
    assert (link_settings(blue)) == before


def test_create_accepts_a_process_and_leaves_the_network_alone(host, bridge, blue):
    network = veth(host_interface_name="")
    with blue.popen(["sleep", "60"]) as process:
        made = Veth().create(network, process.pid)
        process.kill()
    assert network == veth(host_interface_name="")
    assert made.host_interface_name in names()
    assert names(blue) == {"lo", "eth0"}


def test_create_needs_a_namespace_and_refuses_the_callers_own(host, bridge):
    before = dumps()
    with pytest.raises(InvalidNetworkError, match="netns None: must be given"):
        Veth().create(veth())
    for own in ("/proc/self/ns/net", "/proc/thread-self/ns/net"):
        with pytest.raises(InvalidNetworkError, match="must not be the caller's own namespace"):
            Veth().create(veth(), netns=own)
    with pytest.raises(InvalidNetworkError, match="must not be the caller's own namespace"):
        Veth().create(veth(), os.getpid())
    assert dumps() == before


def test_initialize_works_in_the_calling_threads_namespace(host, bridge, blue):
    made = Veth().create(veth(), netns=blue)
    blue.call(Veth().initialize, made)
    assert Veth().check(made, netns=blue) == []


def test_everything_is_as_before_after_a_failed_initialize(host, bridge, blue):
    quieten(blue)
    made = Veth().create(veth(ipv6_address="fd00::2/64"), netns=blue)
    for up in (False, True):
        with RtnetlinkSocket(blue) as sock:
            sock.execute(Batch().set_link("eth0", up=up))
        before = dumps(blue)
        made.routes = [Route("192.0.2.0/24", gateway="10.0.0.9"), Route("default", "198.51.100.1")]
        with pytest.raises(KernelError, match="Nexthop has invalid gateway"):
            Veth().initialize(made, netns=blue)
        assert dumps(blue) == before


@pytest.mark.parametrize("hairpin", [False, True])
def test_detach_then_attach_restores_master_hairpin_and_up(host, bridge, blue, hairpin):
    (made,) = set_up_networks([veth(hairpin_mode=hairpin)], netns=blue)
    before = host.get_link("h0")
    Veth().detach(made)
    assert host.get_link("h0").master is None
    Veth().attach(made)
    after = host.get_link("h0")
    assert (after.master, after.hairpin, after.up) == (bridge, hairpin, True)
    assert after.alias == before.alias
    assert check_networks([made], netns=blue) == []
    assert_connects(blue, None, "10.0.0.2")
    Veth().attach(made)  # may be repeated
    assert check_networks([made], netns=blue) == []


def test_a_bridge_can_send_as_soon_as_its_only_port_is_attached(host, bridge, blue):
    (made,) = set_up_networks([veth()], netns=blue)
    Veth().detach(made)
    wait_until(lambda: not host.get_link("br0").running)
    Veth().attach(made)
    # Unlike a query of one link, a dump does not have the carrier processed.
    assert host.dump_links()["br0"].running


def test_detach_then_attach_restores_a_point_to_point_link(host, blue):
    network = veth(
        bridge="",
        address="10.9.0.2/24",
        gateway="10.9.0.1",
        ipv6_address="fd09::2/64",
        ipv6_gateway="fd09::1",
    )
    (made,) = set_up_networks([network], netns=blue)
    Veth().detach(made)
    assert not host.get_link("h0").up
    for _ in range(2):  # may be repeated
        Veth().attach(made)
        assert_connects(blue, None, "10.9.0.2")
        assert_connects(blue, None, "fd09::2")


def test_detach_and_attach_leave_another_owners_link_alone(host, bridge, blue):
    set_up_networks([veth(owner="c1")], netns=blue)
    before = host.get_link("h0")
    for change in (Veth().detach, Veth().attach):
        with pytest.raises(
            KernelError, match="its alias is 'pynetstrat:c1', not this network's tag"
        ):
            change(veth(owner="c2"))
    assert host.get_link("h0") == before
