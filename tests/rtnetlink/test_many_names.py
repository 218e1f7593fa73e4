"""A link with very many alternative names, whose description fits no usual buffer."""

from __future__ import annotations

import socket

import pytest
import support

from pynetstrat import NetworkInterface, RtnetlinkSocket, get_strategy, link_set_down, link_set_up


@pytest.fixture
def many_names(net):
    """Makes v0, with 300 alternative names of 127 bytes."""
    net.add_veth("v0", "w0", up=False)
    names = tuple(f"{number:03}" + "x" * 124 for number in range(300))
    for name in names:
        net.add_altname("v0", name)
    return names


def test_a_link_with_many_names_is_set_up_and_down(many_names, rtnetlink):
    for call, is_up in ((rtnetlink.link_set_up, True), (rtnetlink.link_set_down, False)):
        for name in ("v0", many_names[-1]):
            call(name)
            assert rtnetlink.link_is_up(name) is is_up
    link_set_up("v0")
    assert rtnetlink.link_is_up("v0")
    link_set_down(many_names[0])
    assert not rtnetlink.link_is_up("v0")


def test_a_link_with_many_names_is_counted_and_described(net, many_names):
    support.add_patterned(net, 1)
    with RtnetlinkSocket() as rtnetlink:
        assert rtnetlink.get_stats("v0") == NetworkInterface("v0")
        assert rtnetlink.get_stats(many_names[7]) == NetworkInterface(many_names[7])
    for dump in ("dump_stats", "dump_counters", "dump_links"):
        with RtnetlinkSocket() as rtnetlink:  # each with a buffer of the usual size
            found = getattr(rtnetlink, dump)()
            assert len(getattr(found, "names", found)) == 5
    with RtnetlinkSocket() as rtnetlink:
        assert rtnetlink.get_link("v0").altnames == many_names
        assert rtnetlink.dump_links()["v0"].altnames == many_names
        assert rtnetlink.dump_stats()["v1"] == support.view("v1", 1)


def test_a_link_with_many_names_that_changes_disturbs_no_other(net, many_names, rtnetlink):
    support.add_patterned(net, 1)
    for _ in range(3):
        assert rtnetlink.get_stats("v1") == support.view("v1", 1)
        assert rtnetlink.dump_stats()["v1"] == support.view("v1", 1)
        net.set_up("v0")  # a notification that is cut off
        assert rtnetlink.get_stats("v1") == support.view("v1", 1)
        with support.Links() as links:
            links.rename(socket.if_nametoindex("v0"), "v00")
            links.rename(socket.if_nametoindex("v00"), "v0")
        assert "v0" in rtnetlink.dump_counters().names
        rtnetlink.link_set_down("v0")


def test_lo_with_many_names_that_is_up_needs_no_capability(net):
    net.set_up("lo")
    for number in range(20):
        net.add_altname("lo", f"{number:02}" + "x" * 125)
    with support.without(support.CAP_NET_ADMIN):
        get_strategy("loopback").initialize()
        link_set_up("lo")
