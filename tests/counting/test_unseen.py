"""`HostCounters` counts namespaces that no name or process shows."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from errno import EMFILE
from pathlib import Path

import pytest
import support
from helpers_counting import CAP_SYS_PTRACE, ID, SECRETIVE, act_after_scan, in_cgroup, inode
from support import Links, add_container_veth, inside, seen, wait_until

import pynetstrat
from pynetstrat import (
    Container,
    HostCounters,
    KernelError,
    NetworkNamespace,
    PermissionDeniedError,
    RtnetlinkSocket,
    discover,
)
from pynetstrat._native.containers import Pairs
from pynetstrat.counting import _processes
from pynetstrat.counting.containers import HostContainers

# A worker thread stays in the namespace. The main thread ends, or enters another one, on request.
WORKER = """
import ctypes, sys, threading, time
libc = ctypes.CDLL(None)
started = threading.Event()

def work():
    started.set()
    time.sleep(600)

threading.Thread(target=work).start()
started.wait()
print("ready", flush=True)
if sys.stdin.readline() == "exit\\n":
    libc.pthread_exit(None)
assert libc.unshare(0x40000000) == 0  # CLONE_NEWNET
time.sleep(600)
"""


class Worker:
    """A process whose worker thread stays in a namespace."""

    def __init__(self, netns: int) -> None:
        self.inode = inode(netns)
        command = [sys.executable, "-c", WORKER]
        with inside(netns):
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        self.pid = self.process.pid
        assert self.process.stdout.readline() == "ready\n"

    def leave(self, how: str) -> None:
        """Makes the main thread "exit", or "unshare" its network namespace."""
        self.process.stdin.write(f"{how}\n")
        self.process.stdin.flush()
        wait_until(self._has_left)

    def _has_left(self) -> bool:
        try:
            return Path(f"/proc/{self.pid}/ns/net").stat().st_ino != self.inode
        except FileNotFoundError:
            return True


@pytest.fixture
def worker(net: Links, new_namespace: Callable[[], int]) -> Iterator[Worker]:
    """A worker whose namespace has a veth with host end v0 and pattern(3) of traffic."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    made = Worker(netns)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


@pytest.mark.parametrize("how", ["exit", "unshare"])
def test_a_container_keeps_its_label_when_its_main_thread_leaves(
    worker, host_counters, only, tmp_path, how
):
    only(worker.pid)
    with in_cgroup(worker.pid, f"0::/docker/{ID}\n", tmp_path):
        assert [container.label for container in host_counters.refresh().containers] == [ID]
        worker.leave(how)
        for _ in range(10):
            found_ = host_counters.refresh()
            container = next(c for c in found_.containers if c.inode == worker.inode)
            assert container.label == ID
            assert found_.unseen == ()
            assert host_counters.read()[container] == {"eth0": seen("eth0", 3)}
        assert container.netns.startswith(f"/proc/{worker.pid}/task/")
        with NetworkNamespace.open(container.netns) as opened:
            assert opened.id[1] == worker.inode


def test_a_namespace_is_found_by_a_thread_after_the_main_thread_ended(
    worker, host_counters, only, tmp_path
):
    worker.leave("exit")
    only(worker.pid)
    (container,) = host_counters.refresh().containers
    assert (container.label, container.inode) == (str(worker.inode), worker.inode)
    assert discover().containers == (container,)
    assert host_counters.read() == {container: {"eth0": seen("eth0", 3)}}
    thread = container.netns.split("/")[-3]
    with in_cgroup(f"{worker.pid}/task/{thread}", f"0::/docker/{ID}\n", tmp_path):
        assert [container.label for container in discover().containers] == [ID]


def test_a_namespace_that_only_a_thread_entered_is_counted_by_nsid(worker, host_counters, only):
    """To search all threads of all processes would take too long."""
    worker.leave("unshare")
    only(worker.pid)
    (unseen,) = host_counters.refresh().unseen
    assert unseen.label.startswith("nsid:")
    assert host_counters.read()[unseen] == {"eth0": seen("eth0", 3)}


# Enters one namespace after the other, on request. All of them stay open.
MOVER = """
import ctypes, sys
for namespace in sys.argv[1:]:
    input()
    assert ctypes.CDLL(None).setns(int(namespace), 0) == 0
    print(flush=True)
input()
"""


def test_a_process_that_has_left_many_namespaces_is_searched_once(
    net, host_counters, only, new_namespace, monkeypatch
):
    """Otherwise a process with many threads could make each refresh take seconds."""
    first, *others = (new_namespace() for _ in range(4))
    searched = []
    with inside(first):
        process = subprocess.Popen(
            [sys.executable, "-c", MOVER, *map(str, others)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=others,
        )
    with process:
        only(process.pid)
        host_counters.refresh()
        for _ in others:
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
            for _ in range(8):  # it is found in one of these
                host_counters.refresh()
        threads = _processes.list_threads
        monkeypatch.setattr(_processes, "list_threads", lambda p: searched.append(p) or threads(p))
        assert len(host_counters.refresh().unseen) == 3
        process.kill()
    assert searched == [str(process.pid)]


def test_a_container_that_only_a_descriptor_keeps_alive_is_counted_until_it_ends(
    net, host_counters, only
):
    netns = support.new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with support.process_inside(netns) as process:
        only(process.pid)
        (container,) = host_counters.refresh().containers
    only()
    for _ in range(10):
        support.send_frames("v0", 1, 100)
        assert host_counters.refresh() == pynetstrat.Discovery((container,), 0, 0, (container,))
        assert host_counters.read()[container]["eth0"].rx_bytes > 0
    assert host_counters.read()[container]["eth0"].rx_packets == seen("eth0", 3).rx_packets + 10
    support.end_namespace(netns)
    assert host_counters.refresh() == pynetstrat.Discovery((), 0, 0)
    assert host_counters.read() == {}


def test_a_container_without_a_veth_that_only_a_descriptor_keeps_alive_is_counted(
    net, host_counters, only
):
    """No veth of the host leads to it."""
    netns = support.new_namespace()
    with inside(netns), Links() as container_links:
        support.add_patterned(container_links, 3)
    with support.process_inside(netns) as process:
        only(process.pid)
        (container,) = host_counters.refresh().containers
    only()
    assert host_counters.refresh().unseen == (container,)
    assert host_counters.read()[container]["v3"] == support.view("v3", 3)
    support.end_namespace(netns)
    assert (host_counters.refresh().containers, host_counters.read()) == ((), {})


def test_a_namespace_that_only_a_veth_leads_to_is_counted_by_nsid(
    net, host_counters, new_namespace
):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with RtnetlinkSocket() as rtnetlink:
        nsid = rtnetlink.get_nsid(netns)
    expected = Container(f"nsid:{nsid}", "", 0)
    for _ in range(3):
        assert host_counters.refresh() == pynetstrat.Discovery((expected,), 0, 0, (expected,))
        assert host_counters.read() == {expected: {"eth0": seen("eth0", 3)}}
    assert discover() == pynetstrat.Discovery((expected,), 0, 0, (expected,))
    assert host_counters.refused == {}


def test_a_container_that_is_created_during_a_scan_is_not_unseen(
    net, host_counters, only, monkeypatch
):
    """Otherwise it would be reported by nsid first, and by name later."""

    def create() -> None:
        with NetworkNamespace.create("blue") as netns:
            add_container_veth(net, netns.fileno(), "v0", 3)

    for find in (discover, host_counters.refresh):
        act_after_scan(monkeypatch, create)
        assert find().unseen == ()
        net.delete("v0")
        NetworkNamespace.delete("blue")


def test_a_lack_of_descriptors_for_nsids_is_a_kernel_error(run):
    NetworkNamespace.create("blue").close()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.closing(Pairs(None, 5000)) as pairs:
        with Path("/dev/null").open() as lowest:
            free = lowest.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
        try:
            with pytest.raises(KernelError) as caught:
                list(pairs.find_nsids(["/run/netns/blue"]))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (caught.value.errno, caught.value.filename) == (EMFILE, "/run/netns/blue")


def test_an_unseen_namespace_that_is_found_later_is_counted_once(
    net, host_counters, only, new_namespace
):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    assert host_counters.refresh().containers[0].inode == 0
    with support.process_inside(netns) as process:
        only(process.pid)
        (container,) = host_counters.refresh().containers
        assert container.inode == inode(netns)
        assert host_counters.read() == {container: {"eth0": seen("eth0", 3)}}
        assert discover() == pynetstrat.Discovery((container,), 0, 0)


def test_an_interface_that_a_container_moves_into_a_namespace_of_its_own_is_counted(
    net, host_counters, only, new_namespace
):
    """The container could name that namespace in a mount namespace of its own."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with support.process_inside(netns) as process:
        only(process.pid)
        (container,) = host_counters.refresh().containers
        assert host_counters.read() == {container: {"eth0": seen("eth0", 3)}}
        inner = support.new_namespace()
        with inside(netns), Links() as container_links:
            container_links.move("eth0", inner)
        (unseen,) = host_counters.refresh().unseen
        read = host_counters.read()
        assert read[container] == {}
        assert read[unseen]["eth0"].rx_bytes == seen("eth0", 3).rx_bytes
        further = support.new_namespace()  # a second move, after the first target is counted
        with inside(inner), Links() as container_links:
            container_links.move("eth0", further)
        host_counters.refresh()
        rows = [row for interfaces in host_counters.read().values() for row in interfaces.values()]
        assert [row.rx_bytes for row in rows] == [seen("eth0", 3).rx_bytes]
        os.close(further)
        support.end_namespace(inner)
        wait_until(lambda: host_counters.refresh().containers == (container,))


def test_a_reused_nsid_is_not_the_ended_namespace(net, host_counters):
    first = support.new_namespace()
    add_container_veth(net, first, "v0", 3)
    (unseen,) = host_counters.refresh().unseen
    support.end_namespace(first)
    second = support.new_namespace()
    add_container_veth(net, second, "v1", 4)
    host_counters.refresh()
    assert host_counters.read() == {unseen: {"eth0": seen("eth0", 4)}}  # the nsid is reused
    os.close(second)


def test_the_namespace_of_a_hidden_process_is_counted_by_nsid(
    net, host_counters, only, new_namespace
):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with inside(netns):
        command = [sys.executable, "-c", SECRETIVE]
        secretive = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with secretive:
        try:
            assert secretive.stdout.readline() == "ready\n"
            only(secretive.pid)
            with support.without(CAP_SYS_PTRACE):
                found_ = host_counters.refresh()
                assert found_.hidden == len(found_.unseen) == 1
                assert host_counters.read() == {found_.unseen[0]: {"eth0": seen("eth0", 3)}}
        finally:
            secretive.kill()


def test_an_unseen_namespace_that_cannot_be_read_is_refused(net, host_counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with support.without(support.CAP_NET_ADMIN):
        for _ in range(3):
            found_ = host_counters.refresh()
            ((refused, error),) = host_counters.refused.items()
            assert refused.label.startswith("nsid:")
            assert isinstance(error, PermissionDeniedError)
            assert (found_.containers, host_counters.read()) == ((), {})
    for _ in range(8):
        host_counters.refresh()
    assert (host_counters.refused, list(host_counters.read())) == ({}, [refused])


def test_a_refused_container_is_not_unseen(net, host_counters, only, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with support.process_inside(netns) as process:
        only(process.pid)
        with support.without(support.CAP_SYS_ADMIN):
            found_ = host_counters.refresh()
            assert (found_.unseen, list(host_counters.refused)) == ((), list(found_.containers))


def test_unseen_namespaces_count_towards_the_limit(net, run, only, new_namespace):
    only()
    for number in range(3):
        add_container_veth(net, new_namespace(), f"v{number}", number)
    with HostCounters(limit=2) as counters:
        for found_ in (counters.refresh(), counters.refresh(), discover(limit=2)):
            assert (len(found_.unseen), found_.omitted) == (2, 1)
        assert len(counters.read()) == 2


def test_the_next_refresh_repairs_an_interrupted_addition_by_nsid(
    net, host_counters, new_namespace, monkeypatch
):
    add_container_veth(net, new_namespace(), "v0", 3)
    add = HostContainers.add_nsid

    def interrupt(self: HostContainers, key: Container, nsid: int) -> bool:
        add(self, key, nsid)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(HostContainers, "add_nsid", interrupt)
        with pytest.raises(KeyboardInterrupt):
            host_counters.refresh()
    assert host_counters.read() == {}
    (unseen,) = host_counters.refresh().unseen
    assert host_counters.read() == {unseen: {"eth0": seen("eth0", 3)}}
