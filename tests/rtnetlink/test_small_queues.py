"""A receive queue, and a name cache, that are too small."""

from __future__ import annotations

import errno
import socket
import sys

import support

from pynetstrat import KernelError, RtnetlinkSocket


def shrink(rtnetlink):
    """Sets the smallest receive buffer that the kernel allows."""
    with socket.fromfd(rtnetlink.fileno(), socket.AF_NETLINK, socket.SOCK_RAW) as duplicate:
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)


def test_lost_replies_are_an_error_or_requested_again(net):
    for number in range(60):
        net.add_veth(f"v{number}", f"w{number}", up=False)
    expected = sorted(name for _, name in socket.if_nameindex())
    net.set_up("v7")
    net.set_up("w7")
    support.send_frames("v7", *support.pattern(7))

    def churn(links, times):
        for turn in range(times):
            links.rename(socket.if_nametoindex("v1"), "other")
            links.rename(socket.if_nametoindex("other"), "v1")
            if turn % 4 == 0:
                links.set_up("v2")

    with RtnetlinkSocket(timeout=20) as rtnetlink, support.Links() as links:
        rtnetlink.get_stats("v7")  # from now on it watches
        shrink(rtnetlink)
        for _ in range(10):
            churn(links, 20)  # notifications fill the queue, and the kernel drops what follows
            for call in (
                lambda: rtnetlink.get_stats("v7") == support.view("v7", 7),
                lambda: sorted(rtnetlink.dump_stats()) == expected,
                lambda: sorted(rtnetlink.dump_counters().names) == expected,
                lambda: rtnetlink.link_is_up("v7"),
                lambda: rtnetlink.link_set_up("v7") is None,
            ):
                churn(links, 10)
                try:
                    assert call()
                except KernelError as error:
                    assert error.errno in (errno.ENOBUFS, errno.EAGAIN)


def test_readings_are_right_after_more_changes_than_are_recorded(net, rtnetlink):
    """The queue has its default size, and more notifications arrive than are recorded."""
    for number in range(3):
        support.add_patterned(net, number)
        rtnetlink.get_stats(f"v{number}")
    rtnetlink.dump_stats()
    index = socket.if_nametoindex("v0")
    for turn in range(400):
        net.rename(index, f"a{turn}")
    net.rename(socket.if_nametoindex("v1"), "v0")
    assert rtnetlink.get_stats("v0") == support.view("v0", 1)
    assert rtnetlink.get_stats("a399") == support.view("a399", 0)
    found = rtnetlink.dump_stats()
    assert found["v0"] == support.view("v0", 1)
    assert found["a399"] == support.view("a399", 0)
    assert len(found) == 7


def test_changes_of_flags_alone_are_not_recorded(net, rtnetlink):
    """Ten times as many changes happen as can be recorded."""
    for number in range(3):
        support.add_patterned(net, number)
    before = rtnetlink.dump_counters()
    for turn in range(1300):
        with_flags = net.set_up if turn % 2 else rtnetlink.link_set_down
        with_flags("v1")
        rtnetlink.get_stats("v0")
    after = rtnetlink.dump_counters()
    assert after.names is before.names
    assert rtnetlink.get_stats("v2") == support.view("v2", 2)
    net.rename(socket.if_nametoindex("v2"), "v9")  # and a change of a name is noted still
    assert "v9" in rtnetlink.dump_counters().names


def test_a_cache_that_is_too_small_for_the_links_grows(net, rtnetlink, monkeypatch):
    monkeypatch.setattr(sys.modules["pynetstrat._native.socket"], "_KNOWN", 2)
    for number in range(3):
        support.add_patterned(net, number)
    before = rtnetlink.dump_counters()
    assert rtnetlink._native._watch.known_size >= 7
    for turn in range(1300):
        with_flags = net.set_up if turn % 2 else rtnetlink.link_set_down
        with_flags("v1")
        rtnetlink.get_stats("v0")
    assert rtnetlink.dump_counters().names is before.names
