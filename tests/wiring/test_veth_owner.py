"""veth.py: names, alias tags, and which pairs a tear-down may delete."""

from __future__ import annotations

import pytest
from helpers_network import (
    assert_connects,
    containers,
    ip,
    link_settings,
    names,
    veth,
)
from support import wait_until

from pynetstrat import (
    Batch,
    InvalidNetworkError,
    NetworkNamespace,
    RtnetlinkSocket,
    TeardownError,
    Veth,
    check_networks,
    set_up_networks,
    tear_down_networks,
)

# ---- whose pair it is ----


def test_the_host_end_has_the_alias_tag_of_its_owner(host, bridge, blue):
    set_up_networks([veth(owner="container 7")], netns=blue)
    assert host.get_link("h0").alias == "pynetstrat:container 7"
    assert ip("link", "show", "h0")[0]["ifalias"] == "pynetstrat:container 7"


def test_destroy_leaves_the_pair_of_another_owner(host, bridge, blue):
    (made,) = set_up_networks([veth(owner="c1")], netns=blue)
    before = link_settings(blue)
    for other in (veth(owner="c2"), veth(owner="")):
        tear_down_networks([other], netns=blue)
        tear_down_networks([other])
        Veth().destroy(other, netns=blue)
    assert link_settings(blue) == before
    tear_down_networks([made], netns=blue)
    assert names() == {"lo", "br0"}


def test_destroy_leaves_another_owners_pair_on_the_same_bridge(host, bridge):
    with containers(2) as (blue, red):
        first = set_up_networks([veth(host_interface_name="", owner="c1")], netns=blue)
        second = set_up_networks(
            [veth(host_interface_name="", owner="c2", address="10.0.0.3/24")], netns=red
        )
        assert first[0].host_interface_name != second[0].host_interface_name
        assert_connects(red, blue, "10.0.0.3")
        tear_down_networks(first, netns=blue)
        assert names() == {"lo", "br0", second[0].host_interface_name}
        assert check_networks(second, netns=red) == []
        assert host.get_link("br0").up
        assert_connects(red, None, "10.0.0.3")


def test_destroy_with_an_owner_deletes_the_pair_whatever_namespace_is_given(host, bridge):
    """As if the name of a namespace was reused while the former namespace is still alive."""
    with containers(2) as (blue, red):
        made = set_up_networks([veth()], netns=blue)
        tear_down_networks(made, netns=red)
        assert "h0" not in names()
        assert names(blue) == {"lo"}
        set_up_networks(made, netns=red)
        assert check_networks(made, netns=red) == []


@pytest.mark.parametrize("netns", ["another", None])
def test_destroy_without_an_owner_needs_the_namespace_of_the_peer(host, bridge, netns):
    with containers(2) as (blue, red):
        made = set_up_networks([veth(owner="")], netns=blue)
        before = link_settings(blue)
        with pytest.raises(TeardownError) as raised:
            tear_down_networks(made, netns=red if netns else None)
        assert 'interface "h0": find: Operation not permitted' in str(raised.value)
        assert "give the namespace that it is in, or delete the link" in str(raised.value)
        assert link_settings(blue) == before
        tear_down_networks(made, netns=blue)
        assert names() == {"lo", "br0"}


def test_a_generated_name_is_proof_enough_without_an_owner(host, bridge):
    with NetworkNamespace.create() as blue:
        made = set_up_networks([veth(owner="", host_interface_name="")], netns=blue)
        tear_down_networks(made)
        assert names() == {"lo", "br0"}
        assert names(blue) == {"lo"}


def test_a_pair_without_an_owner_ends_with_its_namespace(host, bridge):
    with NetworkNamespace.create() as blue:
        made = set_up_networks([veth(owner="")], netns=blue)
        process = blue.popen(["sleep", "60"])
    path = f"/proc/{process.pid}/ns/net"
    process.kill()
    process.wait()

    def is_torn_down() -> bool:
        """The kernel releases the closed sockets, and with them the namespace, a little later."""
        try:
            tear_down_networks(made, netns=path)
        except TeardownError:
            return False
        return True

    wait_until(is_torn_down)
    wait_until(lambda: names() == {"lo", "br0"})


@pytest.mark.parametrize("given", [True, False], ids=["with the namespace", "without it"])
def test_destroy_finds_a_peer_that_the_container_has_moved(host, bridge, given):
    with containers(2) as (blue, inner):
        made = set_up_networks([veth()], netns=blue)
        with RtnetlinkSocket(blue) as sock:
            sock.execute(Batch().set_link("eth0", netns=inner, new_name="hidden0"))
        tear_down_networks(made, netns=blue if given else None)
        assert names() == {"lo", "br0"}
        assert names(inner) == {"lo"}


def test_a_moved_peer_is_an_error_without_an_owner(host, bridge):
    with containers(2) as (blue, inner):
        made = set_up_networks([veth(owner="")], netns=blue)
        with RtnetlinkSocket(blue) as sock:
            sock.execute(Batch().set_link("eth0", netns=inner))
        with pytest.raises(TeardownError, match="the peer is in another one"):
            tear_down_networks(made, netns=blue)
        assert "h0" in names()


@pytest.mark.parametrize("owner", ["c1", ""])
def test_destroy_finds_a_host_end_that_was_renamed(host, bridge, blue, owner):
    made = set_up_networks([veth(owner=owner)], netns=blue)
    host.execute(Batch().set_link(host.get_link("h0").index, new_name="renamed0"))
    tear_down_networks(made, netns=blue)
    assert names() == {"lo", "br0"}
    tear_down_networks(made, netns=blue)


def test_destroy_distinguishes_the_host_ends_of_one_owner(host, bridge, blue):
    networks = [
        veth(name="eth0", host_interface_name="h0"),
        veth(name="eth1", host_interface_name="h1", address="10.0.1.2/24", gateway=""),
    ]
    made = set_up_networks(networks, netns=blue)
    first, second = host.get_link("h0").index, host.get_link("h1").index
    for index, name in ((first, "aside"), (second, "h0"), (first, "h1")):  # they exchange names
        host.execute(Batch().set_link(index, new_name=name))
    tear_down_networks(made[:1], netns=blue)
    assert names(blue) == {"lo", "eth1"}
    assert host.get_link("h0").index == second
    tear_down_networks(made[1:], netns=blue)
    assert names() == {"lo", "br0"}


def test_destroy_refuses_a_pair_whose_tag_was_changed(host, bridge, blue):
    made = set_up_networks([veth()], netns=blue)
    host.execute(Batch().set_link("h0", alias="mine"))
    with pytest.raises(TeardownError) as raised:
        tear_down_networks(made, netns=blue)
    assert "its alias is 'mine': set that to 'pynetstrat:c1' again" in str(raised.value)
    host.execute(Batch().set_link("h0", alias="pynetstrat:c1"))
    tear_down_networks(made, netns=blue)
    assert names() == {"lo", "br0"}


def test_a_pair_of_an_older_version_is_found_by_its_name_and_tag(host, bridge, blue):
    """0.2 gave the host end a random MAC address."""
    made = set_up_networks([veth()], netns=blue)
    host.execute(Batch().set_link("h0", mac="fe:12:34:56:78:9a"))
    tear_down_networks(made)
    assert names() == {"lo", "br0"}


# ---- generated names ----


def test_a_generated_name_depends_on_the_owner_and_the_name(host, bridge):
    made_up = {}
    with containers(2) as (blue, red):
        for owner in ("c1", "c2", "c1"):
            for name in ("eth0", "eth1"):
                network = veth(owner=owner, name=name, host_interface_name="")
                space = blue if owner == "c1" else red
                (made,) = set_up_networks([network], netns=space)
                assert made.host_interface_name in names()
                assert len(made.host_interface_name) == 15
                known = made_up.setdefault((owner, name), made.host_interface_name)
                assert known == made.host_interface_name
                tear_down_networks([network], netns=space)  # it is also found without the name
                assert names() == {"lo", "br0"}
    assert len(set(made_up.values())) == 4


def test_the_name_is_generated_from_the_namespace_without_an_owner(host, bridge):
    with containers(2) as spaces:
        found = set()
        for space in spaces:
            for _ in range(2):
                network = veth(owner="", host_interface_name="")
                (made,) = set_up_networks([network], netns=space)
                found.add(made.host_interface_name)
                tear_down_networks([network], netns=space)
        assert len(found) == 2
        with pytest.raises(InvalidNetworkError, match="create returns it"):
            Veth().destroy(veth(owner="", host_interface_name=""))
