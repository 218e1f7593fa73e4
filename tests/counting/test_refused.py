"""`HostCounters` reports in `refused` what it cannot count, and counts the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from errno import EACCES, EMFILE, ENOTDIR
from pathlib import Path

import support
from helpers_counting import act_after_scan, inode
from support import add_container_veth, seen

from pynetstrat import (
    Container,
    ContainerCounters,
    HostCounters,
    KernelError,
    NetworkNamespace,
    PermissionDeniedError,
    discover,
)


def test_names_that_cannot_be_inspected_are_refused_and_others_are_counted(
    net, host_counters, only, new_namespace
):
    """With mode 744 the names can be listed, but not inspected."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with NetworkNamespace.create("blue") as blue, support.process_inside(netns) as process:
        add_container_veth(net, blue.fileno(), "v1", 4)
        only(process.pid)
        with without_access(0o400):
            found_ = host_counters.refresh()
            ((refused, error),) = host_counters.refused.items()
            assert refused == Container("blue", "/run/netns/blue", 0)
            assert isinstance(error, PermissionDeniedError)
            assert (error.errno, error.filename) == (EACCES, "/run/netns/blue")
            assert "set the mode of /run/netns to 755" in str(error)
            assert refused in found_.containers and refused in discover().containers
            read = {container.label: rows for container, rows in host_counters.read().items()}
            assert read.pop(str(inode(netns))) == {"eth0": seen("eth0", 3)}
            assert list(read.values()) == [{"eth0": seen("eth0", 4)}]  # by nsid
        host_counters.refresh()
        assert host_counters.refused == {}
        assert sorted(container.label for container in host_counters.read()) == [
            str(inode(netns)),
            "blue",
        ]


def test_processes_are_counted_if_names_cannot_be_listed(net, host_counters, only, new_namespace):
    """With mode 700."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with NetworkNamespace.create("blue"), support.process_inside(netns) as process:
        only(process.pid)
        with without_access(0):
            (container,) = host_counters.refresh().containers
            assert host_counters.read() == {container: {"eth0": seen("eth0", 3)}}
            ((refused, error),) = host_counters.refused.items()
            assert refused == Container("/run/netns", "/run/netns", 0)
            assert isinstance(error, PermissionDeniedError)
            assert "set the mode of /run/netns to 755" in str(error)
        assert "blue" in [container.label for container in host_counters.refresh().containers]
        assert host_counters.refused == {}


def test_processes_are_counted_if_run_netns_is_a_file(host_counters, only, new_namespace):
    netns = new_namespace()
    Path("/run/netns").touch()
    with support.process_inside(netns) as process:
        only(process.pid)
        host_counters.refresh()
        assert [error.errno for error in host_counters.refused.values()] == [ENOTDIR]
        assert [container.inode for container in host_counters.read()] == [inode(netns)]
    Path("/run/netns").unlink()


@contextlib.contextmanager
def without_access(mode: int) -> Iterator[None]:
    """Sets the mode of /run/netns, and drops the capabilities that override it.

    The caller owns the folder, so 400 and 0 stand for what 744 and 700 mean to other users.
    """
    folder = Path("/run/netns")
    before = folder.stat().st_mode
    folder.chmod(mode)
    try:
        with support.without(support.CAP_DAC_OVERRIDE, support.CAP_DAC_READ_SEARCH):
            yield
    finally:
        folder.chmod(before)


def test_no_unseen_namespace_is_returned_if_refused_names_exceed_the_limit(
    net, run, only, new_namespace
):
    only()
    for number in range(3):
        NetworkNamespace.create(f"n{number}").close()
        add_container_veth(net, new_namespace(), f"v{number}", number)
    with HostCounters(limit=1) as counters, without_access(0o400):
        for found_ in (discover(limit=1), counters.refresh()):
            assert {container.label for container in found_.containers} == {"n0", "n1", "n2"}
            assert (found_.unseen, found_.omitted) == ((), 3)


def test_a_container_that_ends_before_it_is_added_is_not_refused(host_counters, only, monkeypatch):
    with NetworkNamespace.create("blue"), NetworkNamespace.create() as other:
        with support.process_inside(other.fileno()) as process:
            only(process.pid)

            def act() -> None:
                NetworkNamespace.delete("blue")
                process.kill()
                process.wait()

            act_after_scan(monkeypatch, act)
            assert len(host_counters.refresh().containers) == 2
        assert (host_counters.read(), host_counters.refused) == ({}, {})


def test_a_name_whose_namespace_has_ended_is_not_refused(host_counters, monkeypatch):
    """The state between the two steps of `ip netns delete`."""
    with NetworkNamespace.create("blue"):
        act_after_scan(monkeypatch, lambda: support.unmount("/run/netns/blue"))
        assert len(host_counters.refresh().containers) == 1
        assert (host_counters.read(), host_counters.refused) == ({}, {})


def test_a_permission_failure_is_retried_every_eighth_refresh(net, host_counters, monkeypatch):
    """To open a namespace takes longer than the rest of a refresh."""
    opened = []
    original = NetworkNamespace.open
    monkeypatch.setattr(NetworkNamespace, "open", lambda p: opened.append(p) or original(p))
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
        with support.without(support.CAP_SYS_ADMIN):
            (container,) = host_counters.refresh().containers
            error = host_counters.refused[container]
            assert isinstance(error, PermissionDeniedError)
            assert str(error).startswith("setns /run/netns/blue: Operation not permitted; ")
            assert "CAP_SYS_ADMIN" in error.hint
            for _ in range(7):
                host_counters.refresh()
                assert list(host_counters.refused) == [container]
            del opened[:]
            for _ in range(16):
                host_counters.refresh()
            assert opened == ["/run/netns/blue"] * 2
            assert host_counters.read() == {}
        for _ in range(8):
            host_counters.refresh()
        assert (host_counters.refused, host_counters.read()) == (
            {},
            {container: {"eth0": seen("eth0", 3)}},
        )


def test_other_containers_are_counted_if_one_is_refused(net, host_counters, monkeypatch):
    add = ContainerCounters.add
    trouble = KernelError(EMFILE, "socket")

    def refuse(self: ContainerCounters, key: Container, netns: NetworkNamespace) -> None:
        if key.label == "blue":
            raise trouble
        add(self, key, netns)

    namespaces = [NetworkNamespace.create(name) for name in ("blue", "red")]
    with monkeypatch.context() as patch:
        patch.setattr(ContainerCounters, "add", refuse)
        host_counters.refresh()
        assert {key.label: error for key, error in host_counters.refused.items()} == {
            "blue": trouble
        }
        assert [container.label for container in host_counters.read()] == ["red"]
    host_counters.refresh()  # retried at once: the cause may be gone
    assert host_counters.refused == {}
    assert sorted(container.label for container in host_counters.read()) == ["blue", "red"]
    for namespace in namespaces:
        namespace.close()
