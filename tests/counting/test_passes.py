"""A refresh inspects new processes and an eighth of the others, and finds every change."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import support
from helpers_counting import MS_BIND, give_name, inode, name_path
from support import add_container_veth

from pynetstrat import Container, HostCounters, KernelError, NetworkNamespace
from pynetstrat.counting._listing import PASSES
from pynetstrat.counting._scan import Scanner

# Enters namespaces on request, each given by the number of a descriptor.
MOVER = """
import ctypes, sys
for namespace in sys.stdin:
    assert ctypes.CDLL(None).setns(int(namespace), 0) == 0
    print(flush=True)
"""


class Mover:
    """A process that enters one namespace after the other."""

    def __init__(self, *namespaces: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", MOVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=namespaces,
        )
        self.pid = self.process.pid

    def enter(self, namespace: int) -> None:
        self.process.stdin.write(f"{namespace}\n")
        self.process.stdin.flush()
        self.process.stdout.readline()


@pytest.fixture
def mover(new_namespace: Callable[[], int]) -> Iterator[tuple[Mover, int, int]]:
    """A process that is in the first of two namespaces."""
    first, second = new_namespace(), new_namespace()
    made = Mover(first, second)
    made.enter(first)
    try:
        yield made, first, second
    finally:
        made.process.kill()
        made.process.communicate()


@pytest.fixture
def inspected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The processes that were inspected, in this order."""
    readlink = os.readlink
    found: list[str] = []

    def record(path: str) -> str:
        if path.endswith("/ns/net") and "/task/" not in path:
            found.append(path.split("/")[2])
        return readlink(path)

    monkeypatch.setattr(os, "readlink", record)
    return found


def inodes(host_counters: HostCounters) -> list[int]:
    return [container.inode for container in host_counters.refresh().containers]


def test_each_process_is_inspected_in_two_passes_and_then_in_every_eighth(
    net, host_counters, only, inspected
):
    with contextlib.ExitStack() as stack:
        own = support.network_namespace()
        pids = [stack.enter_context(support.process_inside(own)).pid for _ in range(8)]
        os.close(own)
        only(*pids)
        for _ in range(2):
            inspected.clear()
            host_counters.refresh()
            assert sorted(inspected, key=int) == [str(pid) for pid in sorted(pids)]
        inspected.clear()
        for _ in range(3 * PASSES):
            host_counters.refresh()
        assert sorted(inspected, key=int) == [str(pid) for pid in sorted(pids) for _ in range(3)]


def test_a_process_that_enters_another_namespace_is_found_within_eight_passes(
    host_counters, only, mover
):
    process, first, second = mover
    only(process.pid)
    for _ in range(3):
        assert inodes(host_counters) == [inode(first)]
    process.enter(second)
    found = [inodes(host_counters) for _ in range(PASSES)]
    assert inode(second) in found[-1]


def test_a_process_that_enters_its_namespace_after_it_was_found_is_found_in_the_next_pass(
    host_counters, only, new_namespace
):
    """A runtime starts a process in its own namespace, and moves it a moment later."""
    namespace = new_namespace()
    process = Mover(namespace)
    only(process.pid)
    assert inodes(host_counters) == []
    process.enter(namespace)
    assert inodes(host_counters) == [inode(namespace)]
    process.process.kill()
    process.process.communicate()


def test_all_processes_are_inspected_if_a_veth_leads_to_an_unknown_namespace(
    net, host_counters, only, mover, inspected
):
    process, first, second = mover
    only(process.pid)
    for _ in range(3):
        host_counters.refresh()
    process.enter(second)
    add_container_veth(net, second, "v0", 3)
    found = host_counters.refresh()
    assert inode(second) in [container.inode for container in found.containers]
    assert [container.inode for container in found.unseen] == [inode(first)]
    # The namespace is counted by now, so it is no reason to inspect all processes again.
    inspected.clear()
    for _ in range(PASSES):
        host_counters.refresh()
    assert len(inspected) < PASSES


def test_a_namespace_that_cannot_be_counted_is_no_reason_to_inspect_all_processes(
    net, host_counters, only, new_namespace, inspected
):
    own = support.network_namespace()
    with support.process_inside(own) as process:
        os.close(own)
        only(process.pid)
        add_container_veth(net, new_namespace(), "v0", 3)
        with support.without(support.CAP_NET_ADMIN):
            for _ in range(2):
                host_counters.refresh()
            inspected.clear()
            for _ in range(PASSES):
                host_counters.refresh()
            assert len(host_counters.refused) == 1
        # By its turn, and when the refused namespace is tried again, which takes another pass.
        assert len(inspected) <= 3


REUSE = """
import os, subprocess, time
from pathlib import Path
from pynetstrat.counting._processes import Processes

def start(*prefix):
    return subprocess.Popen([*prefix, "sleep", "600"])

own = os.readlink("/proc/self/ns/net")
processes = Processes("")
first = start("unshare", "--net")
while os.readlink(f"/proc/{first.pid}/ns/net") == own:
    time.sleep(0.001)
for _ in range(3):
    processes.find(False)
assert first.pid not in processes.members[own]
first.kill()
first.wait()
Path("/proc/sys/kernel/ns_last_pid").write_text(str(first.pid - 1))
second = start()
assert second.pid == first.pid
processes.find(False)
assert list(processes.members) == [own] and second.pid in processes.members[own]
print("found")
"""


@pytest.mark.slow
def test_a_reused_pid_is_inspected_at_once(net):
    """The program chooses the pid of its child, which it may in a pid namespace of its own."""
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    done = subprocess.run(
        [*command, sys.executable, "-c", REUSE], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("found\n", "")


def test_a_name_that_leads_to_another_namespace_by_now_is_found_within_eight_passes(
    run, host_counters, new_namespace
):
    with NetworkNamespace.create("blue") as blue:
        for _ in range(3):
            assert inodes(host_counters) == [blue.id[1]]
        other = new_namespace()
        support.unmount(name_path("blue"))
        support.mount(f"/proc/self/fd/{other}", Path(name_path("blue")), None, MS_BIND)
        found = [inodes(host_counters) for _ in range(PASSES)]
        assert inode(other) in found[-1]


def test_a_file_that_becomes_a_name_is_found_at_once(run, host_counters, new_namespace):
    netns = new_namespace()
    Path("/run/netns").mkdir()
    Path(name_path("blue")).touch()
    for _ in range(3):
        assert inodes(host_counters) == []
    give_name("blue", netns)
    expected = Container("blue", name_path("blue"), inode(netns))
    assert host_counters.refresh().containers == (expected,)


def test_names_are_found_again_after_their_folder_was_gone(run, host_counters):
    with NetworkNamespace.create("blue") as blue:
        (container,) = host_counters.refresh().containers
        support.unmount("/run/netns")
        assert host_counters.refresh().unseen == (container,)
        with NetworkNamespace.create("red") as red:
            give_name("blue", blue.fileno())
            found = host_counters.refresh()
            assert {one.inode for one in found.containers} == {blue.id[1], red.id[1]}
            assert found.unseen == ()


def test_a_refresh_that_did_not_finish_is_made_up_for_by_the_next(
    host_counters, new_namespace, only, monkeypatch
):
    netns = new_namespace()
    scan = Scanner.scan

    def fail(self: Scanner, *arguments: object, **options: object) -> object:
        scan(self, *arguments, **options)
        monkeypatch.setattr(Scanner, "scan", scan)
        raise KernelError(24, "open")

    with support.process_inside(netns) as process:
        only(process.pid)
        monkeypatch.setattr(Scanner, "scan", fail)
        with pytest.raises(KernelError):
            host_counters.refresh()
        assert inodes(host_counters) == [inode(netns)]
        assert len(host_counters.read()) == 1
