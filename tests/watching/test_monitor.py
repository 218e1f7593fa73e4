"""`LinkMonitor` reports the links and addresses of the real kernel."""

from __future__ import annotations

import os
import random
import select
import socket
import threading

import pytest
import support
from helpers_network import wait_for_workers
from helpers_watching import Replay, kernel_links, link_names, run_within, summary

from pynetstrat import (
    Batch,
    LinkMonitor,
    NetworkNamespace,
    RtnetlinkSocket,
)


def test_the_first_events_are_the_existing_links(rtnetlink):
    rtnetlink.execute(Batch().add_veth("v0", "v1").add_bridge("br0"))
    with LinkMonitor() as monitor:
        events = monitor.read()
    assert {event.kind for event in events} == {"added"}
    assert {event.link.index: event.link for event in events} == kernel_links()
    assert link_names(events) == ["br0", "lo", "v0", "v1"]


def test_read_never_waits(monitor):
    assert link_names(monitor.read()) == ["lo"]
    assert monitor.read() == []


def test_the_descriptor_is_readable_while_notifications_are_queued(rtnetlink, monitor):
    def readable():
        return bool(select.select([monitor], [], [], 0)[0])

    assert readable()
    monitor.read()
    assert not readable()
    rtnetlink.link_set_up("lo")
    assert readable()


def test_links_appear_change_and_disappear(rtnetlink, monitor):
    monitor.read()
    rtnetlink.execute(Batch().add_veth("v0", "v1"))
    # The first end is announced before its peer exists, and changes a moment later.
    events = [("added", "v0"), ("added", "v1"), ("changed", "v1")]
    assert sorted(summary(monitor.read())) == events
    index = rtnetlink.get_link("v0").index
    rtnetlink.execute(Batch().set_link("v0", new_name="w0"))
    (event,) = monitor.read()
    assert (event.kind, event.previous.name, event.link.name) == ("changed", "v0", "w0")
    rtnetlink.execute(Batch().set_link("w0", mtu=1400))
    events = monitor.read()
    assert events[-1].link.mtu == 1400
    assert events[-1].link.index == index
    rtnetlink.delete_links(["w0"])
    removed = [event for event in monitor.read() if event.kind == "removed"]
    assert link_names(removed) == ["v1", "w0"]


def test_a_notification_without_news_gives_no_event(rtnetlink, monitor):
    rtnetlink.link_set_up("lo")
    monitor.read()
    for _ in range(3):
        rtnetlink.link_set_up("lo")
        rtnetlink.execute(Batch().set_link("lo", mtu=rtnetlink.get_link("lo").mtu))
    assert monitor.read() == []


def test_a_port_that_leaves_its_bridge_is_not_removed(rtnetlink, monitor):
    rtnetlink.execute(Batch().add_veth("v0", "v1", up=True).add_bridge("br0", up=True))
    bridge = rtnetlink.get_link("br0").index
    rtnetlink.execute(Batch().set_link("v0", master=bridge, up=True).set_link("v1", up=True))
    monitor.read()
    rtnetlink.execute(Batch().set_link("v0", master=0))
    events = monitor.read()
    assert all(event.kind == "changed" for event in events)
    of_port = [event for event in events if event.link.name == "v0"]
    assert of_port[-1].link.master is None
    assert of_port[0].previous.master == bridge


def test_changes_of_hairpin_are_reported(rtnetlink, monitor):
    replay = Replay()
    rtnetlink.execute(Batch().add_veth("v0", "v1", up=True).add_bridge("br0", up=True))
    rtnetlink.execute(Batch().set_link("v0", master=rtnetlink.get_link("br0").index))
    index = rtnetlink.get_link("v0").index
    for wanted in (True, False):
        rtnetlink.execute(Batch().set_link("v0", hairpin=wanted))
        replay.apply(monitor.read())
        assert replay.links[index].hairpin is wanted
    assert support.run(["bridge", "link", "set", "dev", "v0", "hairpin", "on"]).returncode == 0
    replay.apply(monitor.read())
    assert replay.links[index].hairpin is True


def test_changes_of_isolation_are_reported(rtnetlink, monitor):
    replay = Replay()
    rtnetlink.execute(Batch().add_veth("v0", "v1", up=True).add_bridge("br0", up=True))
    rtnetlink.execute(Batch().set_link("v0", master=rtnetlink.get_link("br0").index))
    index = rtnetlink.get_link("v0").index
    for wanted in ("on", "off"):
        command = ["ip", "link", "set", "v0", "type", "bridge_slave", "isolated", wanted]
        assert support.run(command).returncode == 0
        replay.apply(monitor.read())
        assert replay.links[index].isolated is (wanted == "on")


def test_a_link_that_leaves_is_removed_and_added_when_it_returns(rtnetlink, monitor):
    replay = Replay()
    with NetworkNamespace.create() as blue, LinkMonitor(blue) as other:
        rtnetlink.execute(Batch().add_veth("v0", "v1"))
        replay.apply(monitor.read())
        assert link_names(other.read()) == ["lo"]
        rtnetlink.execute(Batch().set_link("v0", netns=blue, new_name="eth0"))
        assert ("removed", "v0") in summary(replay.apply(monitor.read()))
        assert replay.links == kernel_links()  # the peer's too, which is not announced
        assert summary(other.read())[0][0] == "added"
        with RtnetlinkSocket(blue) as container_socket:
            current = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            container_socket.execute(Batch().set_link("eth0", netns=current))
            os.close(current)
        assert ("added", "eth0") in summary(replay.apply(monitor.read()))
        assert replay.links == kernel_links()
        assert ("removed", "eth0") in summary(other.read())


def test_the_parent_of_a_macvlan_is_followed_when_it_leaves_and_returns(rtnetlink, monitor):
    replay = Replay()
    with NetworkNamespace.create() as blue, NetworkNamespace.current() as current:
        for command in ("p0 type ifb", "m0 link p0 type macvlan mode bridge"):
            assert support.run(["ip", "link", "add", *command.split()]).returncode == 0
        replay.apply(monitor.read())
        index = rtnetlink.get_link("m0").index
        rtnetlink.execute(Batch().set_link("p0", netns=blue))
        replay.apply(monitor.read())
        assert replay.links[index].link_nsid is not None
        assert replay.links == kernel_links()
        rtnetlink.execute(Batch().add_veth("v0", "v1", index=replay.links[index].link_index))
        replay.apply(monitor.read())
        with RtnetlinkSocket(blue) as container_socket:
            container_socket.execute(Batch().set_link("p0", netns=current))
        replay.apply(monitor.read())
        assert replay.links[index].link_nsid is None
        assert replay.links[index].link_index == rtnetlink.get_link("p0").index
        assert replay.links == kernel_links()


CHANGES = {
    "alias": "set dev v0 alias new",
    "altnames": "property add dev v0 altname new",
    "group": "set dev v0 group 7",
    "hairpin": "set dev v0 type bridge_slave hairpin on",
    "mac": "set dev v0 address 02:00:00:00:00:07",
    "master": "set dev v0 nomaster",
    "mtu": "set dev v0 mtu 1400",
    "name": "set dev v0 name w0",
    "txqueuelen": "set dev v0 txqueuelen 7",
}


UNANNOUNCED = {"alias", "altnames", "group", "hairpin"}


@pytest.mark.slow
@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
@pytest.mark.parametrize("field", CHANGES)
def test_four_changes_of_a_link_that_is_down_arrive_with_its_next_change(
    rtnetlink, monitor, field, up
):
    """As the docstring of LinkMonitor lists. Changes of a link that is up are reported at once."""
    rtnetlink.execute(Batch().add_bridge("br0", up=True))
    bridge = rtnetlink.get_link("br0").index
    rtnetlink.execute(Batch().add_veth("v0", "v1", master=bridge, up=up).set_link("v1", up=True))
    index = rtnetlink.get_link("v0").index
    replay = Replay()
    wait_for_workers()
    replay.apply(monitor.read())
    before = getattr(replay.links[index], field)
    assert support.run(["ip", "link", *CHANGES[field].split()]).returncode == 0
    after = getattr(kernel_links()[index], field)
    assert after != before
    replay.apply(monitor.read())
    announced = up or field not in UNANNOUNCED
    assert getattr(replay.links[index], field) == (after if announced else before)
    rtnetlink.execute(Batch().set_link(index, mtu=1300))
    replay.apply(monitor.read())
    assert getattr(replay.links[index], field) == (1300 if field == "mtu" else after)


def test_a_reused_index_is_removed_and_added(rtnetlink, monitor):
    rtnetlink.execute(Batch().add_veth("v0", "v1", index=77, peer_index=78))
    monitor.read()
    rtnetlink.delete_links(["v0"])
    rtnetlink.execute(Batch().add_veth("v0", "v1", index=77, peer_index=78))
    kinds = [event.kind for event in monitor.read() if event.link.index == 77]
    assert kinds[-2:] == ["removed", "added"]


def test_a_monitor_can_watch_another_namespace(rtnetlink):
    with NetworkNamespace.create() as blue, LinkMonitor(blue) as monitor:
        assert link_names(monitor.read()) == ["lo"]
        rtnetlink.execute(Batch().add_veth("v0", "eth0", netns=blue))
        assert summary(monitor.read())[0] == ("added", "eth0")


def test_changes_that_the_same_process_makes_from_another_namespace_are_reported(rtnetlink):
    """Sockets in two namespaces can have the same port, and their sequence numbers coincide."""
    with NetworkNamespace.create() as blue, LinkMonitor(blue) as monitor:
        monitor.read()
        for number in range(20):
            with RtnetlinkSocket() as fresh:
                for _ in range(number):
                    fresh.link_is_up("lo")
                fresh.execute(Batch().add_veth(f"v{number}", f"w{number}", netns=blue))
        assert len([event for event in monitor.read() if event.kind == "added"]) == 20


def test_addresses_of_the_kernel_appear_and_disappear(rtnetlink):
    with LinkMonitor(addresses=True) as monitor:
        replay = Replay()
        rtnetlink.execute(Batch().add_veth("v0", "v1", up=True))
        index = rtnetlink.get_link("v0").index
        rtnetlink.link_set_up("lo")
        wait_for_workers()
        replay.apply(monitor.read())
        rtnetlink.execute(Batch().add_address(index, "192.0.2.1/24"))
        rtnetlink.execute(Batch().add_address(index, "2001:db8::1/64"))
        events = []
        while len(events) < 2:  # a kernel worker announces the IPv6 address
            events += summary(replay.apply([next(monitor)]))
        assert events == [("address-added", "192.0.2.1/24"), ("address-added", "2001:db8::1/64")]
        dumped = {(a.ifindex, a.address, a.peer): a for a in rtnetlink.dump_addresses()}
        assert replay.addresses == dumped
        rtnetlink.execute(Batch().delete_address(index, "192.0.2.1/24"))
        assert summary(replay.apply(monitor.read())) == [("address-removed", "192.0.2.1/24")]
        rtnetlink.delete_links(["v0"])
        replay.apply(monitor.read())
        assert len(replay.links) == 1
        assert replay.addresses.keys() == {(1, "127.0.0.1/8", ""), (1, "::1/128", "")}


def test_existing_addresses_follow_their_links(rtnetlink):
    rtnetlink.link_set_up("lo")
    with LinkMonitor(addresses=True) as monitor:
        assert summary(monitor.read()) == [
            ("added", "lo"),
            ("address-added", "127.0.0.1/8"),
            ("address-added", "::1/128"),
        ]


def test_changes_of_a_link_with_many_alternative_names_are_reported(rtnetlink, monitor, net):
    """The first large notification does not fit the buffer, and is truncated."""
    replay = Replay()
    rtnetlink.execute(Batch().add_veth("v0", "v1"))
    rtnetlink.link_set_up("v0")
    replay.apply(monitor.read())
    for number in range(400):
        net.add_altname("v0", f"{number:03}".ljust(120, "x"))
    replay.apply(monitor.read())
    rtnetlink.link_set_down("v0")
    replay.apply(monitor.read())
    assert replay.links == kernel_links()
    assert len(replay.links[rtnetlink.get_link("v0").index].altnames) == 400


def churn(sock, count, is_enough):
    """Makes `count` changes of every kind, or more until it is enough, and leaves a few links."""
    choose = random.Random(7)
    made = 0
    while made < count or not (is_enough() or made > 50 * count):
        a, b, c, d = (f"{letter}{made}" for letter in "abcd")
        batch = Batch().add_veth(a, b, up=True).add_veth(c, d)
        batch.set_link(b, up=True).set_link(d, alias="of a link that is down")
        for number in range(600):
            batch.set_link(a, alias=f"{number} {made}").set_link(b, mtu=1300 + number)
            batch.set_link(c, mtu=1300 + number)
        batch.set_link(b, up=False).set_link(d, up=True)
        if choose.random() < 0.8:
            batch.delete_link(c)
        batch.delete_link(a)
        made += len(batch)
        sock.execute(batch)


@pytest.mark.slow
def test_a_reader_that_pauses_during_many_changes_ends_in_the_kernels_state(rtnetlink):
    replay = Replay()
    count = len(support.sample(range(100_000), step=5))
    with LinkMonitor(addresses=True) as monitor:
        replay.apply(monitor.read())
        over = threading.Event()

        def work():
            try:
                with RtnetlinkSocket(timeout=60) as sock:
                    churn(sock, count, lambda: replay.counts.get("changed", 0) > 1000)
            finally:
                over.set()

        def read():
            pausing = True
            while not over.is_set():
                replay.apply(monitor.read())
                if pausing and replay.counts.get("changed", 0) > 1000:
                    pausing = False
                    support.wait_until(lambda: lost(monitor) or over.is_set())
            wait_for_workers()
            replay.apply(monitor.read())

        with NetworkNamespace.current() as current:
            support.run_threads(lambda: run_within(current, work), read)
        assert replay.links == kernel_links()
        dumped = {(a.ifindex, a.address, a.peer): a for a in rtnetlink.dump_addresses()}
        assert replay.addresses == dumped
        assert replay.counts["changed"] > 1000
        support.wait_until(lambda: lost(monitor) > 0)


def lost(monitor):
    """How many notifications were dropped because the monitor's queue was full."""
    inode = os.fstat(monitor.fileno()).st_ino
    with open("/proc/thread-self/net/netlink") as table:  # noqa: PTH123
        names, *rows = (line.split() for line in table)
    # The kernel lists a socket twice, or not, while its table of sockets is resized.
    found = {int(row[names.index("Inode")]): int(row[names.index("Drops")]) for row in rows}
    return found.get(inode, 0)


def test_the_state_is_right_after_lost_notifications(rtnetlink, monitor):
    """The queue is so small that hardly any notification fits."""
    replay = Replay()
    replay.apply(monitor.read())
    with socket.socket(fileno=os.dup(monitor.fileno())) as queue:
        queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    batch = Batch()
    for number in range(30):
        batch.add_veth(f"v{number}", f"w{number}")
    rtnetlink.execute(batch)
    replay.apply(monitor.read())
    assert replay.links == kernel_links()
    rtnetlink.delete_links([f"v{number}" for number in range(0, 30, 2)])
    batch = Batch()
    for number in range(1, 30, 2):
        batch.set_link(f"v{number}", new_name=f"x{number}")
    rtnetlink.execute(batch)
    replay.apply(monitor.read())
    assert replay.links == kernel_links()
    assert replay.counts["removed"] == 30
    support.wait_until(lambda: lost(monitor) > 0)


def test_two_monitors_report_the_same_events(rtnetlink):
    with LinkMonitor() as one, LinkMonitor() as two:
        assert one.read() == two.read()
        rtnetlink.execute(Batch().add_veth("v0", "v1", up=True))
        wait_for_workers()
        first = one.read()
        assert first == two.read()
        assert len(first) >= 2
