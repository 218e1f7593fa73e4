"""wiring/owned.py: the links of a host that carry an alias tag."""

from __future__ import annotations

import signal

import pytest
from helpers_network import containers, names, veth, wait_for_workers
from support import python

from pynetstrat import (
    Batch,
    KernelError,
    Network,
    NetworkNamespace,
    OwnedLink,
    RtnetlinkSocket,
    list_owned,
    set_up_networks,
    tear_down_networks,
)


def pair(number, owner, **fields):
    point_to_point = {"bridge": "", "address": f"10.0.{number}.2/24", "gateway": ""}
    return veth(**point_to_point, host_interface_name=f"h{number}", owner=owner, **fields)


def test_the_host_ends_of_every_owner_are_listed_in_the_order_of_their_indexes(net):
    with containers(2) as (first, second):
        set_up_networks([pair(9, "one"), pair(2, "one", name="eth1")], netns=first)
        set_up_networks([pair(1, "zwei: ü"), pair(3, "", name="eth1")], netns=second)
        with RtnetlinkSocket() as host:
            host.execute(Batch().add_veth("mine", "peer").set_link("mine", alias="pynet: mine"))
            wait_for_workers()
            links = host.dump_links()
        assert list_owned() == [
            OwnedLink("one", links["h9"]),
            OwnedLink("one", links["h2"]),
            OwnedLink("zwei: ü", links["h1"]),
            OwnedLink("", links["h3"]),
        ]
        assert [owned.link.name for owned in list_owned("one")] == ["h9", "h2"]
        assert [owned.link.name for owned in list_owned("")] == ["h3"]
        assert list_owned("on") == []


def test_the_links_of_a_given_host_namespace_are_listed(net):
    with containers(2) as (host, container):
        set_up_networks([pair(1, "one")], netns=container, host=host)
        assert [owned.link.name for owned in list_owned(host=host)] == ["h1"]
        assert list_owned() == []


_KILLED = """
import os, signal, sys
from pynetstrat import Network, set_up_networks
networks = [
    Network("veth", f"eth{n}", host_interface_name=f"h{n}", address=f"10.0.{n}.2/24", owner="one")
    for n in (1, 2)
]
set_up_networks(networks, netns=sys.argv[1])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["delete_links", "tear_down_networks"])
def test_what_a_killed_program_has_left_is_found_and_removed(net, named, how):
    """The program's container lives on by its name."""
    with NetworkNamespace.create(named):
        pass
    assert python(_KILLED, named).returncode == -signal.SIGKILL
    left = list_owned("one")
    assert [owned.link.name for owned in left] == ["h1", "h2"]
    if how == "delete_links":
        with RtnetlinkSocket() as host:
            host.delete_links([owned.link.name for owned in left], missing_ok=True)
    else:
        tear_down_networks(
            Network("veth", name="eth0", host_interface_name=owned.link.name, owner=owned.owner)
            for owned in left
        )
    assert names() == {"lo"}
    assert list_owned() == []


def test_a_host_that_is_no_namespace_and_an_owner_that_is_no_text_are_errors(net):
    with pytest.raises(KernelError, match="no-such-name"):
        list_owned(host="no-such-name")
    with pytest.raises(TypeError, match="owner must be a str or None, not 7"):
        list_owned(7)
