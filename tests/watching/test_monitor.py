"""monitor.py: links and addresses as they come, change and go."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import random
import select
import signal
import socket
import struct
import sys
import threading
import time
import warnings

import pytest
import support
import uvloop
from helpers_network import quieten, wait_for_workers

import pynetstrat
from pynetstrat import (
    Address,
    Batch,
    Event,
    KernelError,
    Link,
    LinkMonitor,
    NetworkNamespace,
    RtnetlinkSocket,
)

NLMSG_ERROR, GETLINK = 2, 18


class Replay:
    """What somebody knows who heeds the events; each of them has to fit what went before."""

    def __init__(self) -> None:
        self.links: dict[int, Link] = {}
        self.addresses: dict[tuple[int, str, str], Address] = {}
        self.counts: dict[str, int] = {}

    def apply(self, events: list[Event]) -> list[Event]:
        for event in events:
            self.counts[event.kind] = self.counts.get(event.kind, 0) + 1
            if event.address is None:
                link = event.link
                before = self.links.get(link.index)
                assert (event.kind == "added") == (before is None)
                assert event.previous == before
                if event.kind == "removed":
                    assert link == before
                    del self.links[link.index]
                else:
                    assert link != before, "nothing new"
                    self.links[link.index] = link
            else:
                address = event.address
                key = address.ifindex, address.address, address.peer
                before = self.addresses.get(key)
                assert event.previous == before or event.previous.valid is not None
                assert address.ifindex in self.links
                if event.kind == "address-removed":
                    del self.addresses[key]
                else:
                    self.addresses[key] = address
        return events


def kernel_links(netns=None) -> dict[int, Link]:
    with RtnetlinkSocket(netns) as sock:
        return {link.index: link for link in sock.dump_links().values()}


def summary(events):
    return [
        (event.kind, event.link.name if event.link else event.address.address) for event in events
    ]


@pytest.fixture
def host(host):
    quieten()
    return host


@pytest.fixture
def monitor(host):
    with LinkMonitor() as monitor:
        yield monitor


def test_first_comes_every_link_that_there_is(host):
    host.execute(Batch().add_veth("v0", "v1").add_bridge("br0"))
    with LinkMonitor() as monitor:
        events = monitor.read()
    assert {event.kind for event in events} == {"added"}
    assert {event.link.index: event.link for event in events} == kernel_links()
    assert monitor_names(events) == ["br0", "lo", "v0", "v1"]


def monitor_names(events):
    return sorted(event.link.name for event in events)


def test_read_never_waits(monitor):
    assert monitor_names(monitor.read()) == ["lo"]
    assert monitor.read() == []


def test_the_descriptor_is_readable_when_there_is_something_to_read(host, monitor):
    def readable():
        return bool(select.select([monitor], [], [], 0)[0])

    assert readable()
    monitor.read()
    assert not readable()
    host.link_set_up("lo")
    assert readable()


def test_links_appear_change_and_go(host, monitor):
    monitor.read()
    host.execute(Batch().add_veth("v0", "v1"))
    # The second of the two is announced without its other end, which is there a moment later.
    events = [("added", "v0"), ("added", "v1"), ("changed", "v1")]
    assert sorted(summary(monitor.read())) == events
    index = host.get_link("v0").index
    host.execute(Batch().set_link("v0", new_name="w0"))
    (event,) = monitor.read()
    assert (event.kind, event.previous.name, event.link.name) == ("changed", "v0", "w0")
    host.execute(Batch().set_link("w0", mtu=1400))
    events = monitor.read()
    assert events[-1].link.mtu == 1400
    assert events[-1].link.index == index
    host.delete_links(["w0"])
    removed = [event for event in monitor.read() if event.kind == "removed"]
    assert monitor_names(removed) == ["v1", "w0"]


def test_a_change_that_says_nothing_new_gives_no_event(host, monitor):
    host.link_set_up("lo")
    monitor.read()
    for _ in range(3):
        host.link_set_up("lo")
        host.execute(Batch().set_link("lo", mtu=host.get_link("lo").mtu))
    assert monitor.read() == []


def test_a_port_that_leaves_its_bridge_is_not_removed(host, monitor):
    host.execute(Batch().add_veth("v0", "v1", up=True).add_bridge("br0", up=True))
    bridge = host.get_link("br0").index
    host.execute(Batch().set_link("v0", master=bridge, up=True).set_link("v1", up=True))
    monitor.read()
    host.execute(Batch().set_link("v0", master=0))
    events = monitor.read()
    assert all(event.kind == "changed" for event in events)
    of_port = [event for event in events if event.link.name == "v0"]
    assert of_port[-1].link.master is None
    assert of_port[0].previous.master == bridge


def test_hairpin_is_followed(host, monitor):
    replay = Replay()
    host.execute(Batch().add_veth("v0", "v1", up=True).add_bridge("br0", up=True))
    host.execute(Batch().set_link("v0", master=host.get_link("br0").index))
    index = host.get_link("v0").index
    for wanted in (True, False):
        host.execute(Batch().set_link("v0", hairpin=wanted))
        replay.apply(monitor.read())
        assert replay.links[index].hairpin is wanted
    assert support.run(["bridge", "link", "set", "dev", "v0", "hairpin", "on"]).returncode == 0
    replay.apply(monitor.read())
    assert replay.links[index].hairpin is True


def test_isolation_is_followed(host, monitor):
    replay = Replay()
    host.execute(Batch().add_veth("v0", "v1", up=True).add_bridge("br0", up=True))
    host.execute(Batch().set_link("v0", master=host.get_link("br0").index))
    index = host.get_link("v0").index
    for wanted in ("on", "off"):
        command = ["ip", "link", "set", "v0", "type", "bridge_slave", "isolated", wanted]
        assert support.run(command).returncode == 0
        replay.apply(monitor.read())
        assert replay.links[index].isolated is (wanted == "on")


def test_a_link_that_leaves_the_namespace_is_removed_and_comes_back_as_added(host, monitor):
    replay = Replay()
    with NetworkNamespace.create() as blue, LinkMonitor(blue) as other:
        host.execute(Batch().add_veth("v0", "v1"))
        replay.apply(monitor.read())
        assert monitor_names(other.read()) == ["lo"]
        host.execute(Batch().set_link("v0", netns=blue, new_name="eth0"))
        assert ("removed", "v0") in summary(replay.apply(monitor.read()))
        assert replay.links == kernel_links()  # the other end's too, of which nobody is told
        assert summary(other.read())[0][0] == "added"
        with RtnetlinkSocket(blue) as there:
            home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            there.execute(Batch().set_link("eth0", netns=home))
            os.close(home)
        assert ("added", "eth0") in summary(replay.apply(monitor.read()))
        assert replay.links == kernel_links()
        assert ("removed", "eth0") in summary(other.read())


def test_the_parent_of_a_macvlan_is_followed_out_of_the_namespace_and_back(host, monitor):
    replay = Replay()
    with NetworkNamespace.create() as blue, NetworkNamespace.current() as here:
        for command in ("p0 type ifb", "m0 link p0 type macvlan mode bridge"):
            assert support.run(["ip", "link", "add", *command.split()]).returncode == 0
        replay.apply(monitor.read())
        index = host.get_link("m0").index
        host.execute(Batch().set_link("p0", netns=blue))
        replay.apply(monitor.read())
        assert replay.links[index].link_nsid is not None
        assert replay.links == kernel_links()
        host.execute(Batch().add_veth("v0", "v1", index=replay.links[index].link_index))
        replay.apply(monitor.read())
        with RtnetlinkSocket(blue) as there:
            there.execute(Batch().set_link("p0", netns=here))
        replay.apply(monitor.read())
        assert replay.links[index].link_nsid is None
        assert replay.links[index].link_index == host.get_link("p0").index
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


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
@pytest.mark.parametrize("field", CHANGES)
def test_of_a_link_that_is_down_four_changes_come_with_its_next_one(host, monitor, field, up):
    """The docstring of LinkMonitor lists them; each change of a link that is up comes at once."""
    host.execute(Batch().add_bridge("br0", up=True))
    bridge = host.get_link("br0").index
    host.execute(Batch().add_veth("v0", "v1", master=bridge, up=up).set_link("v1", up=True))
    index = host.get_link("v0").index
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
    host.execute(Batch().set_link(index, mtu=1300))
    replay.apply(monitor.read())
    assert getattr(replay.links[index], field) == (1300 if field == "mtu" else after)


def test_an_index_that_is_used_again_is_removed_and_added(host, monitor):
    host.execute(Batch().add_veth("v0", "v1", index=77, peer_index=78))
    monitor.read()
    host.delete_links(["v0"])
    host.execute(Batch().add_veth("v0", "v1", index=77, peer_index=78))
    kinds = [event.kind for event in monitor.read() if event.link.index == 77]
    assert kinds[-2:] == ["removed", "added"]


def test_a_monitor_of_another_namespace(host):
    with NetworkNamespace.create() as blue, LinkMonitor(blue) as monitor:
        assert monitor_names(monitor.read()) == ["lo"]
        host.execute(Batch().add_veth("v0", "eth0", netns=blue))
        assert summary(monitor.read())[0] == ("added", "eth0")


def test_what_the_own_process_does_in_another_namespace_is_heard(host):
    """The kernel gives both sockets the process id as their port, and their numbers are alike."""
    with NetworkNamespace.create() as blue, LinkMonitor(blue) as monitor:
        monitor.read()
        for number in range(20):
            with RtnetlinkSocket() as fresh:
                for _ in range(number):
                    fresh.link_is_up("lo")
                fresh.execute(Batch().add_veth(f"v{number}", f"w{number}", netns=blue))
        assert len([event for event in monitor.read() if event.kind == "added"]) == 20


def test_addresses_come_and_go_in_the_kernel(host):
    with LinkMonitor(addresses=True) as monitor:
        replay = Replay()
        host.execute(Batch().add_veth("v0", "v1", up=True))
        index = host.get_link("v0").index
        host.link_set_up("lo")
        wait_for_workers()
        replay.apply(monitor.read())
        host.execute(Batch().add_address(index, "192.0.2.1/24"))
        host.execute(Batch().add_address(index, "2001:db8::1/64"))
        events = []
        while len(events) < 2:  # IPv6's comes from a worker of the kernel
            events += summary(replay.apply([next(monitor)]))
        assert events == [("address-added", "192.0.2.1/24"), ("address-added", "2001:db8::1/64")]
        dumped = {(a.ifindex, a.address, a.peer): a for a in host.dump_addresses()}
        assert replay.addresses == dumped
        host.execute(Batch().delete_address(index, "192.0.2.1/24"))
        assert summary(replay.apply(monitor.read())) == [("address-removed", "192.0.2.1/24")]
        host.delete_links(["v0"])
        replay.apply(monitor.read())
        assert len(replay.links) == 1
        assert replay.addresses.keys() == {(1, "127.0.0.1/8", ""), (1, "::1/128", "")}


def test_the_addresses_that_are_there_come_after_their_links(host):
    host.link_set_up("lo")
    with LinkMonitor(addresses=True) as monitor:
        assert summary(monitor.read()) == [
            ("added", "lo"),
            ("address-added", "127.0.0.1/8"),
            ("address-added", "::1/128"),
        ]


def test_a_link_with_many_alternative_names_is_followed(host, monitor, net):
    """Its notification is larger than the buffer at first, and is cut off."""
    replay = Replay()
    host.execute(Batch().add_veth("v0", "v1"))
    host.link_set_up("v0")
    replay.apply(monitor.read())
    for number in range(400):
        net.add_altname("v0", f"{number:03}".ljust(120, "x"))
    replay.apply(monitor.read())
    host.link_set_down("v0")
    replay.apply(monitor.read())
    assert replay.links == kernel_links()
    assert len(replay.links[host.get_link("v0").index].altnames) == 400


def churn(sock, count):
    """`count` changes of every kind; at the end a few links are there."""
    choose = random.Random(7)
    made = 0
    while made < count:
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


def test_100000_changes_and_a_reader_that_is_stopped_for_a_second_end_in_the_kernels_state(host):
    replay = Replay()
    with LinkMonitor(addresses=True) as monitor:
        replay.apply(monitor.read())
        over = threading.Event()

        def work():
            try:
                with RtnetlinkSocket(timeout=60) as sock:
                    churn(sock, 100_000)
            finally:
                over.set()

        def read():
            stop = time.monotonic() + 0.5
            while not over.is_set():
                replay.apply(monitor.read())
                if stop and time.monotonic() > stop:
                    stop = 0
                    time.sleep(1)
                    while not lost(monitor) and not over.is_set():
                        time.sleep(0.01)
            wait_for_workers()
            replay.apply(monitor.read())

        with NetworkNamespace.current() as here:
            support.run_threads(lambda: within(here, work), read)
        assert replay.links == kernel_links()
        dumped = {(a.ifindex, a.address, a.peer): a for a in host.dump_addresses()}
        assert replay.addresses == dumped
        assert replay.counts["changed"] > 1000
        assert lost(monitor) > 0


def lost(monitor):
    """How many notifications did not fit the monitor's queue."""
    inode = os.fstat(monitor.fileno()).st_ino
    with open("/proc/thread-self/net/netlink") as table:  # noqa: PTH123
        names, *rows = (line.split() for line in table)
    (row,) = (row for row in rows if int(row[names.index("Inode")]) == inode)
    return int(row[names.index("Drops")])


def within(netns, work):
    with support.inside(netns.fileno()):
        work()


def test_lost_notifications_end_in_the_kernels_state(host, monitor):
    """The queue is so small that hardly anything fits."""
    replay = Replay()
    replay.apply(monitor.read())
    with socket.socket(fileno=os.dup(monitor.fileno())) as queue:
        queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    batch = Batch()
    for number in range(30):
        batch.add_veth(f"v{number}", f"w{number}")
    host.execute(batch)
    replay.apply(monitor.read())
    assert replay.links == kernel_links()
    host.delete_links([f"v{number}" for number in range(0, 30, 2)])
    batch = Batch()
    for number in range(1, 30, 2):
        batch.set_link(f"v{number}", new_name=f"x{number}")
    host.execute(batch)
    replay.apply(monitor.read())
    assert replay.links == kernel_links()
    assert replay.counts["removed"] == 30
    assert lost(monitor) > 0


def test_two_monitors_hear_the_same(host):
    with LinkMonitor() as one, LinkMonitor() as two:
        assert one.read() == two.read()
        host.execute(Batch().add_veth("v0", "v1", up=True))
        wait_for_workers()
        first = one.read()
        assert first == two.read()
        assert len(first) >= 2


# ---- iteration ----


def test_iteration_waits_for_the_next_event(host, monitor):
    assert next(monitor).link.name == "lo"
    timer = threading.Timer(0.3, host.link_set_up, ["lo"])
    timer.start()
    event = next(monitor)
    timer.join()
    assert (event.kind, event.link.up) == ("changed", True)


def test_events_that_a_loop_left_are_there_for_the_next(host, monitor):
    host.execute(Batch().add_bridge("br0").add_bridge("br1"))
    for event in monitor:
        first = event
        break
    rest = monitor.read()
    assert monitor_names([first, *rest]) == ["br0", "br1", "lo"]


def test_ctrl_c_ends_the_wait(monitor):
    monitor.read()
    timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):
        timer.start()  # in here: it may come before the wait
        next(monitor)
    timer.join()
    assert monitor.read() == []


def test_a_signal_handler_that_raises_at_any_moment_loses_nothing(host):
    """Events that had come to the caller's hands excepted: here read() is what is interrupted."""

    class Interrupted(BaseException):
        pass

    def strike(*_):
        raise Interrupted

    batch = Batch()
    for number in range(60):
        batch.add_veth(f"v{number}", f"w{number}")
    host.execute(batch)
    before = signal.signal(signal.SIGALRM, strike)
    struck = 0
    # Not measured for coverage: a handler that strikes the tracer leaves its lock taken.
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        for delay in range(1, 120):
            with LinkMonitor(addresses=True) as monitor:
                replay = Replay()
                events = []
                try:
                    signal.setitimer(signal.ITIMER_REAL, delay * 50e-6)
                    monitor._locked(monitor._fill, "read")
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Interrupted:
                    struck += 1
                events += monitor.read()
                replay.apply(events)
                assert replay.links.keys() == kernel_links().keys()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.settrace(tracer)
    assert struck


# ---- asyncio ----

# uvloop keeps a pipe for as long as the process lives: here, it is not a test's.
uvloop.new_event_loop().close()

LOOPS = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


def run_on(new_loop, main):
    loop = new_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(main, 30))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@LOOPS
def test_async_iteration_gives_what_is_and_what_comes(host, monitor, new_loop):
    async def main():
        names = []
        async for event in monitor:
            names.append(event.link.name)
            if len(names) == 2:
                break
            host.execute(Batch().add_bridge("br0"))
        return names

    assert run_on(new_loop, main()) == ["lo", "br0"]


@LOOPS
def test_other_tasks_run_while_one_waits(host, monitor, new_loop):
    async def main():
        monitor.read()
        task = asyncio.ensure_future(anext_of(monitor))
        await waits_at(monitor)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not task.done()
        host.link_set_up("lo")
        return await task

    assert run_on(new_loop, main()).kind == "changed"


async def anext_of(monitor):
    return await monitor.__aiter__().__anext__()


async def waits_at(monitor, count=1):
    """Returns once that many tasks wait at the monitor."""
    while len(monitor._waiting) < count:
        await asyncio.sleep(0)


@LOOPS
def test_cancellation_leaves_no_reader_behind(host, monitor, new_loop):
    monitor.read()
    before = support.descriptors()

    async def main():
        here = support.descriptors()
        for _ in range(3):
            task = asyncio.ensure_future(anext_of(monitor))
            await waits_at(monitor)
            assert support.descriptors() != here
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert support.descriptors() == here
            assert not monitor._waiting
        host.link_set_up("lo")  # and nothing was lost
        return await anext_of(monitor)

    assert run_on(new_loop, main()).link.up
    assert support.descriptors() == before


@LOOPS
def test_two_monitors_on_one_loop(host, new_loop):
    async def main():
        with NetworkNamespace.create() as blue, LinkMonitor() as one, LinkMonitor(blue) as two:
            one.read()
            two.read()
            tasks = [asyncio.ensure_future(anext_of(monitor)) for monitor in (one, two)]
            await waits_at(one)
            await waits_at(two)
            host.execute(Batch().add_veth("v0", "eth0", netns=blue))
            return [event.link.name for event in await asyncio.gather(*tasks)]

    assert run_on(new_loop, main()) == ["v0", "eth0"]


@LOOPS
def test_two_tasks_on_one_monitor_share_its_events(host, monitor, new_loop):
    async def main():
        monitor.read()
        tasks = [asyncio.ensure_future(anext_of(monitor)) for _ in range(2)]
        await waits_at(monitor, 2)
        host.execute(Batch().add_veth("v0", "v1"))
        return sorted(event.link.name for event in await asyncio.gather(*tasks))

    assert run_on(new_loop, main()) == ["v0", "v1"]


@contextlib.contextmanager
def waiting_loop(new_loop, monitor):
    """A loop that stands still while a task of its waits at the monitor; runs it on to its end."""
    loop = new_loop()
    count = len(monitor._waiting) + 1
    task = loop.create_task(asyncio.wait_for(anext_of(monitor), 30))
    loop.run_until_complete(waits_at(monitor, count))
    try:
        yield lambda: loop.run_until_complete(task)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()


@LOOPS
def test_events_that_one_loop_left_wake_another_loop(host, monitor, new_loop):
    monitor.read()
    with waiting_loop(new_loop, monitor) as other:
        host.execute(Batch().add_bridge("br0").add_bridge("br1").add_bridge("br2"))
        first = run_on(new_loop, anext_of(monitor))
        assert monitor_names([first, other(), *monitor.read()]) == ["br0", "br1", "br2"]


@LOOPS
def test_events_that_a_thread_left_wake_each_loop(host, monitor, new_loop):
    monitor.read()
    with waiting_loop(new_loop, monitor) as one, waiting_loop(new_loop, monitor) as two:
        host.execute(Batch().add_bridge("br0").add_bridge("br1").add_bridge("br2"))
        assert monitor_names([next(monitor), one(), two()]) == ["br0", "br1", "br2"]


@LOOPS
def test_a_call_that_ended_in_its_middle_wakes_a_loop(host, monitor, new_loop, monkeypatch):
    monitor.read()
    receive = type(monitor._native).receive

    def interrupted(self):
        receive(self)
        raise KeyboardInterrupt

    with waiting_loop(new_loop, monitor) as other:
        host.link_set_up("lo")
        with monkeypatch.context() as patch:
            patch.setattr(type(monitor._native), "receive", interrupted)
            with pytest.raises(KeyboardInterrupt):
                monitor.read()
        assert other().link.up


@LOOPS
def test_every_event_reaches_one_of_two_loops_in_two_threads(host, monitor, new_loop):
    """Each loop takes one event at a time and leaves the monitor in between."""
    monitor.read()
    found = []

    async def take():
        while len(found) < 200:
            try:
                found.append(await asyncio.wait_for(anext_of(monitor), 30))
            except KernelError:
                break
        monitor.close()

    def work():
        run_on(new_loop, take())

    def make():
        with RtnetlinkSocket() as sock:
            for number in range(0, 200, 4):
                sock.execute(add_bridges(number, 4))

    with NetworkNamespace.current() as here:
        support.run_threads(work, work, lambda: within(here, make))
    assert sorted(event.link.name for event in found) == sorted(f"br{n}" for n in range(200))


def add_bridges(first, count):
    batch = Batch()
    for number in range(first, first + count):
        batch.add_bridge(f"br{number}")
    return batch


@LOOPS
@pytest.mark.parametrize("elsewhere", [False, True])
def test_close_ends_a_wait_on_a_loop(host, monitor, new_loop, elsewhere):
    async def main():
        monitor.read()
        task = asyncio.ensure_future(anext_of(monitor))
        await waits_at(monitor)
        if elsewhere:
            await asyncio.get_running_loop().run_in_executor(None, monitor.close)
        else:
            monitor.close()
        with pytest.raises(KernelError, match="closed"):
            await task

    run_on(new_loop, main())


def test_a_flood_leaves_the_loop_its_turns(host, monitor):
    async def main():
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counter = asyncio.ensure_future(count())
        up = False
        async for _ in monitor:
            up = not up
            (host.link_set_up if up else host.link_set_down)("lo")  # the next event is there
            if turns > 20:
                break
        counter.cancel()

    run_on(asyncio.new_event_loop, main())


# ---- one at a time, closed once, not after a fork ----


def test_a_closed_monitor_says_so(monitor):
    monitor.close()
    monitor.close()
    for use in (monitor.read, monitor.fileno, lambda: next(monitor)):
        with pytest.raises(KernelError, match="this LinkMonitor is closed"):
            use()
    assert "closed" in repr(monitor)


def test_close_ends_a_wait_in_another_thread(monitor):
    monitor.read()

    def wait():
        with pytest.raises(KernelError, match="closed"):
            next(monitor)

    def close():
        time.sleep(0.2)
        monitor.close()

    support.run_threads(wait, close)


def test_a_forked_child_must_open_its_own(monitor):
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            try:
                monitor.read()
            except KernelError as error:
                status = 0 if "before fork()" in str(error) else 2
            monitor.close()
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert monitor_names(monitor.read()) == ["lo"]


def test_a_monitor_can_not_be_pickled(monitor):
    with pytest.raises(TypeError, match="can't be copied or pickled"):
        pickle.dumps(monitor)


def test_a_monitor_that_is_forgotten_is_closed_with_a_warning(net):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        LinkMonitor().read()
    assert [warning.category for warning in caught] == [ResourceWarning]


def test_an_event_compares_copies_and_pickles(monitor):
    (event,) = monitor.read()
    assert pickle.loads(pickle.dumps(event)) == event
    assert event != Event("removed", event.link)


@pytest.mark.parametrize("wrong", [-1, "/nowhere/at/all", 10**9])
def test_what_is_not_a_namespace_is_an_error(net, wrong):
    with pytest.raises(KernelError):
        LinkMonitor(wrong)


def test_without_capabilities_it_works_all_the_same(host):
    with support.without(support.CAP_NET_ADMIN), LinkMonitor() as monitor:
        assert monitor_names(monitor.read()) == ["lo"]
    host.link_set_up("lo")


def test_a_monitor_that_was_never_opened_can_be_shown():
    assert repr(LinkMonitor.__new__(LinkMonitor)) == "<LinkMonitor in no namespace: closed>"


def test_a_dump_that_is_refused_is_raised_and_asked_for_again(host, monitor, monkeypatch):
    monitor.read()
    native = monitor._native
    answers = iter([(b"", 1), None])  # a loss, and the queue is empty: a dump is asked for

    def receive(self):
        for answer in answers:
            return answer
        reply = native._sock.sequence, native.port
        request = struct.pack("=IHHII16x", 32, GETLINK, 0x301, *reply)
        return struct.pack("=IHHIIi", 20 + len(request), NLMSG_ERROR, 0, *reply, -12) + request, 0

    with monkeypatch.context() as patch:
        patch.setattr(type(native), "receive", receive)
        with pytest.raises(KernelError, match="RTM_GETLINK") as caught:
            monitor.read()
    assert caught.value.errno == 12
    host.link_set_up("lo")
    assert [event.link.up for event in monitor.read()] == [True]


def test_a_flood_does_not_keep_read_from_its_end(host, monitor, monkeypatch):
    monitor.read()
    monkeypatch.setattr(pynetstrat.watching.monitor, "_MOST_DATAGRAMS", 3)
    for _ in range(4):
        host.link_set_up("lo")
        host.link_set_down("lo")
    found = []
    for _ in range(4):
        events = monitor.read()
        assert 0 < len(events) <= 3 or found
        found += events
    assert len(found) == 8


def test_a_call_that_ended_in_its_middle_makes_the_next_one_look_at_everything(
    host, monitor, monkeypatch
):
    """The datagram in its hands is lost."""
    monitor.read()
    host.link_set_up("lo")
    native = monitor._native
    receive = type(native).receive

    def interrupted(self):
        receive(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(native), "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            monitor.read()
    assert [event.link.up for event in monitor.read()] == [True]


def test_events_are_waited_for_one_by_one(host, monitor):
    host.execute(Batch().add_bridge("br0"))
    assert sorted([next(monitor).link.name, next(monitor).link.name]) == ["br0", "lo"]


def test_a_descriptor_that_somebody_else_has_taken_is_an_error(host):
    """Neither read nor asked is what stands in the socket's place."""
    with LinkMonitor() as monitor, open(os.devnull) as file:  # noqa: PTH123
        monitor.read()
        socket_ = os.dup(monitor.fileno())
        os.dup2(file.fileno(), monitor.fileno(), inheritable=False)
        for _ in range(2):
            with pytest.raises(KernelError, match="Socket operation on non-socket"):
                monitor.read()
        with pytest.raises(KernelError, match="send"):
            monitor._native.request(GETLINK)
        os.dup2(socket_, monitor.fileno(), inheritable=False)
        os.close(socket_)
        host.link_set_up("lo")
        assert [event.link.up for event in monitor.read()] == [True]


def test_a_request_that_fails_leaves_nothing_open(net, monkeypatch):
    def refuse(self, kind):
        raise KernelError(12, "send")

    before = support.descriptors()
    monkeypatch.setattr(pynetstrat._native.monitor.Subscription, "request", refuse)
    with pytest.raises(KernelError, match="send"):
        LinkMonitor()
    assert support.descriptors() == before


def test_an_asynchronous_iterator_is_one_itself(monitor):
    async def main():
        waiter = monitor.__aiter__()
        assert waiter.__aiter__() is waiter
        return await waiter.__anext__()

    assert run_on(asyncio.new_event_loop, main()).link.name == "lo"
