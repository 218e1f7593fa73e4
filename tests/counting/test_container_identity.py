"""`ContainerCounters` identifies containers: reused nsids, inodes and paths, lost notifications."""

from __future__ import annotations

import os
import resource
import socket
import time
from errno import EEXIST, EMFILE
from pathlib import Path

import pytest
import support
from helpers_counting import add_macvlan
from helpers_network import own_run
from support import add_container_veth, seen
from support import end_namespace as end

from pynetstrat import (
    ContainerCounters,
    KernelError,
    NetworkNamespace,
    RtnetlinkSocket,
)
from pynetstrat._native.containers import IdRecorder
from pynetstrat.counting import _tracking
from pynetstrat.counting._tracking import Tracker


def test_two_keys_of_one_namespace_share_its_counters(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with support.process_inside(netns) as process:
        counters.add("a", netns)
        counters.add("b", f"/proc/{process.pid}/ns/net")
        assert len(counters._tracker.by_nsid) == 1
        assert counters.read() == {"a": {"eth0": seen("eth0", 3)}, "b": {"eth0": seen("eth0", 3)}}
        counters.discard("a")
        assert counters.read() == {"b": {"eth0": seen("eth0", 3)}}


def test_every_form_of_netns_is_accepted(net, run, counters):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 1)
        with support.process_inside(blue.fileno()) as process:
            pidfd = os.pidfd_open(process.pid)
            path = f"/proc/{process.pid}/ns/net"
            ways = (blue, "blue", Path("/run/netns/blue"), path, path.encode(), pidfd)
            for key, netns in enumerate(ways):
                counters.add(key, netns)
            os.close(pidfd)
            assert counters.read() == {key: {"eth0": seen("eth0", 1)} for key in range(6)}


def test_an_ended_container_is_missing_in_readings_and_listed_by_gone(net, counters, new_namespace):
    ending, staying = support.new_namespace(), new_namespace()
    add_container_veth(net, ending, "v0", 1)
    add_container_veth(net, staying, "v1", 2)
    counters.add("a", ending)
    counters.add("b", staying)
    assert set(counters.read()) == {"a", "b"}
    assert counters.gone() == []
    end(ending)
    assert counters.read() == {"b": {"eth0": seen("eth0", 2)}}
    assert counters.gone() == ["a"]
    assert counters.read_columns().keys == ("b",)
    counters.discard("a")
    assert counters.gone() == []


def test_gone_needs_no_reading(net, counters):
    ending = support.new_namespace()
    counters.add("a", ending)
    end(ending)
    assert counters.gone() == ["a"]


def test_nothing_keeps_a_container_alive(net, counters):
    """It ends while both kinds of its interfaces are counted, and the name of its veth is free."""
    net.add_veth("v0", "w0")
    netns = support.new_namespace()
    add_container_veth(net, netns, "v1", 1)
    add_macvlan("mac0", "v0", netns)
    counters.add("a", netns)
    counters.read()
    end(netns)
    assert counters.read() == {}
    deadline = time.monotonic() + 60
    while True:
        try:
            net.add_veth("v1", "again")
            break
        except OSError as error:
            assert error.errno == EEXIST and time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.slow
def test_a_reused_nsid_is_another_container(net, counters, new_namespace):
    for number in range(6):  # the kernel reuses inodes and nsids at once
        netns = support.new_namespace()
        add_container_veth(net, netns, f"v{number}", number)
        counters.add(number, netns)
        assert counters.read() == {number: {"eth0": seen("eth0", number)}}
        end(netns)
        newcomer = support.new_namespace()
        add_container_veth(net, newcomer, f"x{number}", 50 + number)
        counters.add(f"new{number}", newcomer)
        assert counters.read() == {f"new{number}": {"eth0": seen("eth0", 50 + number)}}
        assert number in counters.gone()
        end(newcomer)


def test_a_new_namespace_with_a_reused_nsid_is_not_the_ended_container(net, counters):
    netns = support.new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    with RtnetlinkSocket() as rtnetlink:
        nsid = rtnetlink.get_nsid(netns)
        end(netns)
        newcomer = support.new_namespace()
        # This assigns an nsid, before the counters have processed the end of the first namespace.
        add_container_veth(net, newcomer, "v1", 2)
        assert rtnetlink.get_nsid(newcomer) == nsid
    assert counters.read() == {}
    assert counters.gone() == ["a"]
    os.close(newcomer)


@pytest.mark.parametrize("cookies", [True, False])
def test_a_new_namespace_with_a_reused_name_and_nsid_is_not_the_ended_container(
    net, counters, monkeypatch, cookies
):
    if not cookies:  # the inode is reused as well
        monkeypatch.setattr(_tracking, "cookie", lambda _: None)
        monkeypatch.setattr(_tracking, "identify", lambda *_: (4, 4711))
    with own_run():
        with NetworkNamespace.create("blue") as first:
            add_container_veth(net, first.fileno(), "v0", 1)
            counters.add("a", "blue")
            descriptor = os.dup(first.fileno())
        NetworkNamespace.delete("blue")
        end(descriptor)
        with NetworkNamespace.create("blue") as newcomer, RtnetlinkSocket() as rtnetlink:
            nsid = next(iter(counters._tracker.by_nsid))
            add_container_veth(net, newcomer.fileno(), "v1", 2)
            assert rtnetlink.get_nsid(newcomer) == nsid
            assert counters.read() == {}
            assert counters.gone() == ["a"]


def test_a_path_that_leads_to_another_namespace_later_changes_nothing(
    net, counters, new_namespace, tmp_path
):
    first, second = new_namespace(), new_namespace()
    add_container_veth(net, first, "v0", 1)
    add_container_veth(net, second, "v1", 2)
    link = tmp_path / "link"
    with support.process_inside(first) as one, support.process_inside(second) as other:
        link.symlink_to(f"/proc/{one.pid}/ns/net")
        counters.add("a", link)
        link.unlink()
        link.symlink_to(f"/proc/{other.pid}/ns/net")
        assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}


def notify_end(counters: ContainerCounters, nsid: int) -> None:
    """Records a notification that a namespace has ended, as if the kernel had sent it."""
    recorder = counters._native.ended._recorder
    recorder.numbers[recorder.count] = nsid
    recorder.count += 1


def test_the_end_of_the_former_owner_of_an_nsid_does_not_end_the_container(
    net, counters, new_namespace
):
    """The kernel may assign an nsid again before it sends the notification of its release."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    with support.process_inside(netns) as process:
        counters.add("by path", f"/proc/{process.pid}/ns/net")
        (nsid,) = counters._tracker.by_nsid
        notify_end(counters, nsid)
        assert counters.gone() == []
        assert counters.read() == {"by path": {"eth0": seen("eth0", 1)}}


def test_a_notification_about_the_former_owner_of_an_nsid_may_arrive_during_add(
    net, counters, monkeypatch
):
    netns = support.new_namespace()
    process_pending = IdRecorder.process_pending

    def process_late(recorder: IdRecorder) -> bool:
        process_pending(recorder)
        if recorder is counters._native.ended:
            notify_end(counters, next(iter(counters._tracker.by_nsid)))
        return recorder.any()

    with monkeypatch.context() as patch:
        patch.setattr(IdRecorder, "process_pending", process_late)
        counters.add("by descriptor", netns)
    assert counters.gone() == []
    end(netns)
    assert counters.gone() == ["by descriptor"]


def test_a_lack_of_descriptors_ends_no_container(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    with support.process_inside(netns) as process:
        counters.add("a", f"/proc/{process.pid}/ns/net")
        notify_end(counters, next(iter(counters._tracker.by_nsid)))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            with pytest.raises(KernelError) as caught:
                counters.gone()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert caught.value.errno == EMFILE
        assert counters.gone() == []
        assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}


def test_discard_forgets_the_path(net, counters, new_namespace):
    netns = new_namespace()
    counters.add("kept", netns)
    with support.process_inside(netns) as process:
        for _ in range(3):
            counters.add("again", f"/proc/{process.pid}/ns/net")
            counters.discard("again")
    (tracked,) = counters._tracker.by_nsid.values()
    assert tracked.keys == {"kept": None}


def test_containers_are_recognised_by_path_after_lost_notifications(net, counters):
    """A container that was added by a descriptor is taken as ended."""
    kept, ending = support.new_namespace(), support.new_namespace()
    add_container_veth(net, kept, "v0", 1)
    add_container_veth(net, ending, "v1", 2)
    counters._native.ended._recorder.room = 0
    counters.add("host", "/proc/thread-self/ns/net")
    with support.process_inside(kept) as one, support.process_inside(ending) as other:
        counters.add("kept", f"/proc/{one.pid}/ns/net")
        counters.add("ending", f"/proc/{other.pid}/ns/net")
        counters.add("by descriptor", ending)
        third = support.new_namespace()
        counters.add("third", third)
        assert len(counters.read()) == 5
        end(third)
        other.kill()
        other.wait()
        end(ending)
        read = counters.read()
        assert read.keys() == {"host", "kept"}
        assert read["kept"] == {"eth0": seen("eth0", 1)}
    assert set(counters.gone()) == {"ending", "by descriptor", "third"}
    os.close(kept)


def test_an_overflow_of_the_queue_loses_no_end_of_a_namespace(net, counters):
    """The queue is small, and 30 namespaces end before it is read."""
    kept, ending = support.new_namespace(), support.new_namespace()
    add_container_veth(net, kept, "v0", 1)
    with support.process_inside(kept) as process:
        counters.add("kept", f"/proc/{process.pid}/ns/net")
        counters.add("ending", ending)
        os.close(kept)
        with socket.socket(fileno=os.dup(counters._native._sock.fd)) as queue:
            queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        others = [support.new_namespace() for _ in range(30)]
        for number, netns in enumerate(others):
            net.add_veth(f"w{number}", "eth0", peer_netns=netns)
        end(*others)
        end(ending)
        assert counters.read() == {"kept": {"eth0": seen("eth0", 1)}}
        assert counters.gone() == ["ending"]


def test_without_cookies_the_inode_identifies_a_container(net, monkeypatch, new_namespace):
    """Before Linux 5.14, and until the kernel sends the notification of the container's end."""
    monkeypatch.setattr(_tracking, "cookie", lambda _: None)
    with ContainerCounters() as counters:
        netns = support.new_namespace()
        add_container_veth(net, netns, "v0", 1)
        counters.add("a", netns)
        counters.add("a too", netns)
        assert len(counters._tracker.by_nsid) == 1
        end(netns)
        newcomer = new_namespace()
        add_container_veth(net, newcomer, "v1", 2)
        counters.add("b", newcomer)
        assert counters.read() == {"b": {"eth0": seen("eth0", 2)}}
        assert counters.gone() == ["a", "a too"]


def test_add_detects_by_cookie_that_an_nsid_was_reused(net, counters, new_namespace):
    """No notification of the end of the first namespace has arrived."""
    netns, newcomer = new_namespace(), new_namespace()
    add_container_veth(net, newcomer, "v0", 2)
    counters.add("a", netns)
    native = counters._native
    (tracked,) = counters._tracker.by_nsid.values()
    del counters._tracker.by_nsid[tracked.nsid]
    tracked.nsid = native.assign_nsid(newcomer)
    counters._tracker.by_nsid[tracked.nsid] = tracked
    counters.add("b", newcomer)
    assert counters.read() == {"b": {"eth0": seen("eth0", 2)}}
    assert counters.gone() == ["a"]


def test_a_dump_that_finds_no_namespace_ends_the_container(net, counters, monkeypatch):
    netns = support.new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    counters.read()
    end(netns)
    monkeypatch.setattr(Tracker, "process_ended", lambda *_: None)
    (tracked,) = counters._tracker.by_nsid.values()
    counters._tracker.stale.add(tracked)
    assert counters.read() == {}
    assert counters.gone() == ["a"]
