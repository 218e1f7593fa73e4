"""`HostCounters` follows the containers of the host."""

from __future__ import annotations

import contextlib
import os
from errno import EBADF
from pathlib import Path
from types import SimpleNamespace

import pytest
import support
from helpers_counting import ID, OTHER_ID, act_after_scan, give_name, in_cgroup, inode
from support import Links, add_container_veth, inside, seen, wait_until

from pynetstrat import (
    Container,
    ContainerCounters,
    HostCounters,
    KernelError,
    NetworkNamespace,
)


def test_refresh_adds_new_containers_and_drops_ended_ones(net, host_counters, only):
    assert (host_counters.refresh().containers, host_counters.read()) == ((), {})
    with NetworkNamespace.create("blue") as blue, NetworkNamespace.create() as other:
        add_container_veth(net, blue.fileno(), "v0", 3)
        add_container_veth(net, other.fileno(), "v1", 4)
        with support.process_inside(other.fileno()) as process:
            only(process.pid)
            first, second = host_counters.refresh().containers
            assert (first.label, second.label) == ("blue", str(other.id[1]))
            expected = {first: {"eth0": seen("eth0", 3)}, second: {"eth0": seen("eth0", 4)}}
            assert host_counters.read() == expected
            assert host_counters.refresh().containers == (first, second)
            assert host_counters.read() == expected
    wait_until(lambda: host_counters.refresh().containers == (first,))
    assert host_counters.read() == {first: {"eth0": seen("eth0", 3)}}
    NetworkNamespace.delete("blue")
    wait_until(lambda: not host_counters.refresh().containers)
    assert (host_counters.read(), host_counters.refused) == ({}, {})


def test_a_container_is_counted_without_a_gap_when_its_path_changes(
    net, host_counters, only, new_namespace, monkeypatch
):
    """The container gets another key; nothing is opened, so nothing can fail."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with contextlib.ExitStack() as stack:
        one, other = (stack.enter_context(support.process_inside(netns)).pid for _ in range(2))
        only(one)
        host_counters.refresh()
        only(other)
        monkeypatch.setattr(NetworkNamespace, "open", None)
        (container,) = host_counters.refresh().containers
        assert container == Container(str(inode(netns)), f"/proc/{other}/ns/net", inode(netns))
        assert host_counters.read() == {container: {"eth0": seen("eth0", 3)}}


@pytest.fixture
def one_inode(monkeypatch: pytest.MonkeyPatch) -> int:
    """The inode of every namespace with a name, as the scan sees it.

    The kernel reuses inodes at once, but which one depends on everything the machine does.
    """
    number = 4026531999
    stat = os.stat

    def with_one_inode(path: object, **options: object) -> object:
        status = stat(path, **options)
        if not str(path).startswith("/run/netns/"):
            return status
        return SimpleNamespace(st_ino=number, st_dev=status.st_dev)

    monkeypatch.setattr(os, "stat", with_one_inode)
    monkeypatch.setattr(NetworkNamespace, "id", property(lambda handle: (0, number)))
    return number


def test_a_namespace_with_a_reused_name_and_inode_is_another(net, host_counters, one_inode):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
    (container,) = host_counters.refresh().containers
    assert container == Container("blue", "/run/netns/blue", one_inode)
    assert host_counters.read() == {container: {"eth0": seen("eth0", 3)}}
    support.delete_namespace("blue")
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v1", 4, "eth1")
        assert host_counters.read() == {}
        assert host_counters.refresh().containers == (container,)
        assert host_counters.read() == {container: {"eth1": seen("eth1", 4)}}


def test_an_inode_that_is_reused_during_a_refresh_is_another_namespace(
    net, host_counters, one_inode, monkeypatch
):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
    host_counters.refresh()

    def act() -> None:
        support.delete_namespace("blue")
        with NetworkNamespace.create("blue") as blue:
            add_container_veth(net, blue.fileno(), "v1", 4, "eth1")

    act_after_scan(monkeypatch, act)
    (container,) = host_counters.refresh().containers
    assert host_counters.read() == {container: {"eth1": seen("eth1", 4)}}


def test_an_inode_that_is_reused_under_another_name_is_corrected_at_once(
    net, host_counters, one_inode, monkeypatch
):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
    (before,) = host_counters.refresh().containers
    original = ContainerCounters.gone

    def gone(self: ContainerCounters) -> list[object]:
        ended = original(self)
        monkeypatch.setattr(ContainerCounters, "gone", original)
        support.delete_namespace("blue")
        with NetworkNamespace.create("red") as red:
            add_container_veth(net, red.fileno(), "v1", 4, "eth1")
        return ended

    monkeypatch.setattr(ContainerCounters, "gone", gone)
    (container,) = host_counters.refresh().containers
    assert (before.label, container.label) == ("blue", "red")
    assert host_counters.read() == {container: {"eth1": seen("eth1", 4)}}


def test_a_path_that_leads_to_another_namespace_by_now_is_not_added(
    net, host_counters, monkeypatch
):
    blue, other = NetworkNamespace.create("blue"), NetworkNamespace.create()
    add_container_veth(net, blue.fileno(), "v0", 3)
    add_container_veth(net, other.fileno(), "v1", 4)

    def act() -> None:
        NetworkNamespace.delete("blue")
        give_name("blue", other.fileno())

    act_after_scan(monkeypatch, act)
    host_counters.refresh()
    assert not any(container.label == "blue" for container in host_counters.read())
    (unseen,) = host_counters.refresh().unseen  # it had the name before
    expected = Container("blue", "/run/netns/blue", other.id[1])
    assert host_counters.read() == {
        expected: {"eth0": seen("eth0", 4)},
        unseen: {"eth0": seen("eth0", 3)},
    }
    blue.close()
    other.close()


def test_a_pid_that_another_container_has_by_now_gives_no_label(
    net, host_counters, only, tmp_path, new_namespace, monkeypatch
):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with support.process_inside(netns) as process, contextlib.ExitStack() as stack:
        only(process.pid)
        stack.enter_context(in_cgroup(process.pid, f"0::/docker/{ID}\n", tmp_path))
        again = in_cgroup(process.pid, f"0::/docker/{OTHER_ID}\n", tmp_path)
        act_after_scan(monkeypatch, lambda: stack.enter_context(again))
        host_counters.refresh()
        assert not any(container.label in (ID, OTHER_ID) for container in host_counters.read())
        host_counters.refresh()
        expected = Container(OTHER_ID, f"/proc/{process.pid}/ns/net", inode(netns))
        assert host_counters.read() == {expected: {"eth0": seen("eth0", 3)}}


def test_the_next_refresh_repairs_an_interrupted_one(host_counters, monkeypatch):
    add = ContainerCounters.add

    def interrupt(self: ContainerCounters, key: Container, netns: NetworkNamespace) -> None:
        add(self, key, netns)
        raise KeyboardInterrupt

    with NetworkNamespace.create("blue"):
        with monkeypatch.context() as patch:
            patch.setattr(ContainerCounters, "add", interrupt)
            with pytest.raises(KeyboardInterrupt):
                host_counters.refresh()
        assert host_counters.read() == {}
        host_counters.refresh()
        assert [container.label for container in host_counters.read()] == ["blue"]


def test_counted_containers_have_precedence_when_the_limit_is_reached(net, run, only):
    only()
    with HostCounters(limit=2) as counters:
        for name in ("b", "c"):
            NetworkNamespace.create(name).close()
        kept = set(counters.refresh().containers)
        NetworkNamespace.create("a").close()
        pass_ = counters.refresh()
        assert (set(pass_.containers), pass_.omitted) == (kept, 1)
        support.delete_namespace("b")
        counters.refresh()
        assert sorted(container.label for container in counters.read()) == ["a", "c"]


def test_another_namespace_can_be_the_host_namespace(net, run, only, new_namespace):
    only()
    with NetworkNamespace.create("host") as host_netns, NetworkNamespace.create("blue") as blue:
        with inside(host_netns.fileno()), Links() as links:
            add_container_veth(links, blue.fileno(), "v0", 3)
        with HostCounters(netns="host") as counters:
            (container,) = counters.refresh().containers
            assert container.label == "blue"
            assert counters.read() == {container: {"eth0": seen("eth0", 3)}}


def test_threads_can_share_it(net, host_counters):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
        expected = {host_counters.refresh().containers[0]: {"eth0": seen("eth0", 3)}}

        def work() -> None:
            for _ in range(50):
                host_counters.refresh()
                assert host_counters.read() == expected

        support.run_threads(*[work] * 4)


@pytest.mark.slow
def test_short_lived_containers_are_never_mixed_up(net, host_counters):
    """The kernel reuses inodes and nsids at once; each container has traffic of its own."""
    rounds, alive = 60, 6
    checked = 0
    living: list[int] = []
    for number in range(rounds):
        with NetworkNamespace.create(f"c{number}") as namespace:
            add_container_veth(net, namespace.fileno(), f"v{number}", number)
        living.append(number)
        if len(living) > alive:
            NetworkNamespace.delete(f"c{living.pop(0)}")
        host_counters.refresh()
        for container, interfaces in host_counters.read().items():
            assert interfaces == {"eth0": seen("eth0", int(container.label[1:]))}
            checked += 1
    assert checked > rounds * alive // 2


def test_no_descriptor_of_a_container_is_held(host_counters):
    before = support.descriptors()
    with NetworkNamespace.create("blue"):
        pass
    host_counters.refresh()
    assert len(host_counters.read()) == 1
    assert support.descriptors() == before


IMPORTS = """
import os, sys
from pynetstrat import HostCounters, NetworkNamespace, discover
from helpers_network import own_run
with own_run(), NetworkNamespace.create("a\\nb"):
    before = set(sys.modules)
    with HostCounters() as counters:
        counters.refresh()
        assert "a\\\\nb" in [container.label for container in counters.read()]
        discover()
    print(set(sys.modules) - before)
"""


def test_a_call_imports_nothing(net):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    done = support.python(IMPORTS, env=environment)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_a_closed_object_refuses_every_call(net):
    counters = HostCounters()
    assert "of 0 containers: open" in repr(counters)
    counters.close()
    counters.close()
    for use in (counters.refresh, counters.read):
        with pytest.raises(KernelError, match="this HostCounters is closed") as caught:
            use()
        assert caught.value.errno == EBADF
    assert "closed" in repr(counters)


def test_only_a_namespace_is_accepted_as_the_host_namespace():
    with pytest.raises(KernelError):
        HostCounters(netns="/dev/null")
    assert "closed" in repr(HostCounters.__new__(HostCounters))
