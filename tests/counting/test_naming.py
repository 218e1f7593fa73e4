"""The label of a container: ids and names in cgroups, and how long a label is kept."""

from __future__ import annotations

import contextlib
import os
import secrets
from errno import EBUSY
from pathlib import Path

import pytest
import support
from helpers_counting import ID, OTHER_ID, discovered, give_name, in_cgroup, inode, label
from support import add_container_veth, seen, wait_until

from pynetstrat import (
    Container,
    NetworkNamespace,
)
from pynetstrat.cli import _fresh_namespaces
from pynetstrat.counting import _scan, naming

ALLOCATION = "0a1b2c3d-0123-4567-89ab-0123456789ab"


LABELS = [
    # Docker: systemd, cgroupfs, and version 1 of cgroups
    (f"0::/system.slice/docker-{ID}.scope\n", ID),
    (f"0::/docker/{ID}\n", ID),
    (f"12:pids:/docker/{ID}\n11:memory:/docker/{ID}\n0::/system.slice/docker.service\n", ID),
    (f"2:cpu,cpuacct:/\n1:name=systemd:/docker/{ID}\n0::/\n", ID),
    (f"0::/build.slice/docker-{ID}.scope/init\n", ID),
    (f"0::/docker/buildkit/{ID}\n", ID),
    # containerd below kubelet: systemd, cgroupfs, one of each; and nerdctl
    (
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b_2c.slice/"
        f"cri-containerd-{ID}.scope\n",
        ID,
    ),
    (f"4:memory:/kubepods/burstable/pod0a1b-2c/{ID}\n", ID),
    (f"0::/kubelet/kubepods/besteffort/pod0a1b-2c/{ID}\n", ID),
    (f"0::/system.slice/containerd.service/kubepods-pod0a1b.slice:cri-containerd:{ID}\n", ID),
    (f"0::/default/{ID}\n", ID),
    (f"0::/system.slice/nerdctl-{ID}.scope\n", ID),
    # CRI-O
    (f"0::/kubepods.slice/kubepods-pod0a1b.slice/crio-{ID}.scope\n", ID),
    (f"0::/kubepods.slice/kubepods-pod0a1b.slice/crio-{ID}.scope/container\n", ID),
    (f"8:cpuset:/kubepods/pod0a1b/crio-{ID}\n", ID),
    # Podman
    (f"0::/machine.slice/libpod-{ID}.scope/container\n", ID),
    (f"0::/libpod_parent/libpod-{ID}\n", ID),
    (
        "0::/user.slice/user-1000.slice/user@1000.service/user.slice/"
        f"libpod-{ID}.scope/container\n",
        ID,
    ),
    (f"0::/system.slice/web.service/libpod-payload-{ID}\n", ID),
    (
        f"0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service/libpod-payload-{ID}\n",
        ID,
    ),
    (f"12:pids:/system.slice/web.service/libpod-payload-{ID}\n0::/\n", ID),
    # runtimes with names: LXC and Incus, systemd-machined, systemd-nspawn, libvirt, Nomad
    ("0::/lxc.payload.web\n", "web"),
    ("0::/lxc.payload.web/init.scope\n", "web"),
    ("0::/lxc.payload.project_web-1/system.slice/ssh.service\n", "project_web-1"),
    ("12:pids:/lxc.payload.web\n0::/\n", "web"),
    ("4:memory:/lxc/web\n", "web"),
    ("4:memory:/lxc.payload/web/user.slice\n", "web"),
    ("0::/machine.slice/machine-web.scope\n", "web"),
    ("0::/machine.slice/machine-web\\x2d1.scope/payload/init.scope\n", "web-1"),
    ("0::/machine.slice/machine-lxc\\x2d1234\\x2dweb.scope/libvirt\n", "lxc-1234-web"),
    ("0::/machine.slice/systemd-nspawn@web\\x2d1.service/payload\n", "web-1"),
    (f"0::/nomad.slice/share.slice/{ALLOCATION}.web.scope\n", f"{ALLOCATION}.web"),
    (f"0::/nomad.slice/reserve.slice/{ALLOCATION}.web.v2.scope\n", f"{ALLOCATION}.web.v2"),
    (f"4:memory:/nomad/share/{ALLOCATION}.web\n", f"{ALLOCATION}.web"),
    ("0::/lxc.payload.\x1b[31mred\n", "\\x1b[31mred"),
    (
        "0::/lxc.payload.a\\x2db\n",
        "a\\\\x2db",
    ),  # not a systemd unit: the backslash is part of the name
    (f"0::/lxc.payload.web/docker/{ID}\n", ID),  # an id before a name
    # as seen in a cgroup namespace
    (f"0::/../docker-{ID}.scope\n", ID),
    (f"0::/../{ID}\n", ID),
    (f"0::/../../pod0a1b/{ID}\n", ID),
    (f"0::/../../../kubepods-pod0a1b.slice/cri-containerd-{ID}.scope\n", ID),
    # containers in containers, and names that a container may give its own cgroups
    (f"0::/docker/{ID}/docker/{OTHER_ID}\n", ID),
    (f"0::/system.slice/docker-{ID}.scope/system.slice/docker-{OTHER_ID}.scope\n", ID),
    (f"0::/machine.slice/libpod-{ID}.scope/{OTHER_ID}/..\n", ID),
    (f"1:name=systemd:/docker/{ID}/x\n0::/docker/{OTHER_ID}\n", ID),
    (f"0::/docker/{ID}/{'d' * 3900}\n", ID),
    # monitors, and components that only resemble an id
    (f"0::/machine.slice/libpod-conmon-{ID}.scope\n", None),
    (f"0::/kubepods.slice/crio-conmon-{ID}.scope\n", None),
    ("0::/lxc.monitor.web\n", None),
    ("0::/lxc.pivot\n", None),
    ("0::/machine.slice\n", None),
    ("0::/machine.slice/web.scope\n", None),
    (f"0::/nomad.slice/share.slice/{ALLOCATION}.scope\n", None),
    (f"0::/system.slice/web.service/libpod-payload-{ID[1:]}\n", None),
    (f"0::/docker/{ID[1:]}\n", None),
    (f"0::/docker/{ID}0\n", None),
    (f"0::/docker/{ID.upper()}\n", None),
    (f"0::/docker/{ID}.service\n", None),
    (f"0::/x{ID}\n", None),
    ("0::/\n", None),
    ("0::/../..\n", None),
    ("0::/user.slice/user-0.slice/session-1.scope\n", None),
    ("", None),
    (f"{'1:cpu:/' + 'd' * 4000}\n" * 20 + f"0::/docker/{ID}\n", None),  # more than is read
]


@pytest.mark.slow
@pytest.mark.parametrize(("lines", "expected"), LABELS)
def test_the_label_is_the_id_or_the_name_in_the_cgroup(
    new_namespace, tmp_path, only, lines, expected
):
    netns = new_namespace()
    with support.process_inside(netns) as process, in_cgroup(process.pid, lines, tmp_path):
        only(process.pid)
        assert label(netns) == (expected or str(inode(netns)))


NESTED_IDS = [
    (f"0::/docker/{ID}/docker/{OTHER_ID}\n", (ID, OTHER_ID)),
    (f"0::/x/docker-{ID}.scope/docker-{OTHER_ID}.scope/init/{ID}\n", (ID, OTHER_ID)),
    (f"12:pids:/docker/{ID}\n11:memory:/docker/{ID}\n0::/\n", (ID,)),
    (f"1:name=systemd:/docker/{ID}/x\n0::/docker/{OTHER_ID}\n", (ID,)),
]


@pytest.mark.parametrize(("lines", "expected"), NESTED_IDS)
def test_the_ids_of_nested_containers_are_listed_outermost_first(
    new_namespace, tmp_path, only, lines, expected
):
    netns = new_namespace()
    with support.process_inside(netns) as process, in_cgroup(process.pid, lines, tmp_path):
        only(process.pid)
        (container,) = discovered(netns)
        assert (container.ids, container.owner, container.name) == (expected, "", "")


def test_the_name_of_a_container_is_not_escaped(new_namespace, run, tmp_path, only):
    netns = new_namespace()
    with support.process_inside(netns) as process:
        only(process.pid)
        with in_cgroup(process.pid, "0::/lxc.payload.\x1b[31mred\n", tmp_path):
            (container,) = discovered(netns)
        assert (container.ids, container.name) == ((), "\x1b[31mred")
        Path("/run/netns").mkdir()
        give_name("a\\b", netns)
        with in_cgroup(process.pid, f"0::/docker/{ID}\n", tmp_path):
            (container,) = discovered(netns)
        assert (container.label, container.ids, container.name) == (ID, (ID,), "a\\b")


def test_a_real_cgroup_is_read(new_namespace):
    """The test creates a cgroup in the machine's cgroup file system, below the tests' own /sys."""
    netns = new_namespace()
    support.unmount("/sys")
    try:
        folders = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")
        root = next((p for p in map(Path, folders) if os.access(p / "cgroup.procs", os.W_OK)), None)
        if root is None:
            pytest.skip(f"no cgroup can be made in {', '.join(folders)}")
        id = secrets.token_hex(32)  # other tests may run on this machine
        outer = root / f"docker-{id}.scope"
        inner = outer / f"docker-{OTHER_ID}.scope"
        inner.mkdir(parents=True)
        try:
            with support.process_inside(netns) as process:
                (inner / "cgroup.procs").write_text(str(process.pid))
                assert label(netns) == id
        finally:
            for folder in (inner, outer):
                wait_until(lambda folder=folder: _has_removed(folder))
    finally:
        _fresh_namespaces.mount_sysfs()


def _has_removed(cgroup: Path) -> bool:
    """Removes a cgroup, unless it still has the process that has ended."""
    try:
        cgroup.rmdir()
    except OSError as error:
        assert error.errno == EBUSY
        return False
    return True


def test_a_container_with_a_named_namespace_has_its_id_as_label(run, tmp_path):
    with NetworkNamespace.create("cni-1") as namespace, contextlib.ExitStack() as stack:
        process = stack.enter_context(support.process_inside(namespace.fileno()))
        assert label(namespace.fileno()) == "cni-1"
        stack.enter_context(in_cgroup(process.pid, f"0::/docker/{ID}\n", tmp_path))
        assert discovered(namespace.fileno()) == [
            Container(ID, "/run/netns/cni-1", namespace.id[1])
        ]


def test_a_name_in_run_netns_has_precedence_over_a_name_in_a_cgroup(run, tmp_path):
    with NetworkNamespace.create("blue") as namespace, contextlib.ExitStack() as stack:
        process = stack.enter_context(support.process_inside(namespace.fileno()))
        stack.enter_context(in_cgroup(process.pid, "0::/lxc.payload.web\n", tmp_path))
        assert label(namespace.fileno()) == "blue"


def test_a_pod_has_the_label_of_the_container_with_the_lowest_pid(new_namespace, tmp_path):
    netns = new_namespace()
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(support.process_inside(netns)).pid for _ in range(3)]
        for pid, number in zip(sorted(pids)[1:], (ID, OTHER_ID), strict=True):
            stack.enter_context(in_cgroup(pid, f"0::/docker/{number}\n", tmp_path))
        assert discovered(netns) == [Container(ID, f"/proc/{sorted(pids)[1]}/ns/net", inode(netns))]


def test_only_four_processes_are_searched(new_namespace, tmp_path):
    netns = new_namespace()
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(support.process_inside(netns)).pid for _ in range(5)]
        stack.enter_context(in_cgroup(max(pids), f"0::/docker/{ID}\n", tmp_path))
        assert label(netns) == str(inode(netns))


def test_a_process_that_ends_or_moves_during_the_search_gives_no_id(
    new_namespace, monkeypatch, only
):
    """The pid may be reused between opening and reading the file of its cgroup."""
    monkeypatch.setattr(naming, "_parse_cgroup", lambda _: ((ID,), ""))
    readlink = os.readlink
    netns = new_namespace()
    with support.process_inside(netns) as process:
        only(process.pid)

        def end(path: str) -> str:
            target = readlink(path)
            if asked:
                process.kill()
                process.wait()
            asked.append(path)
            return target

        asked: list[str] = []
        monkeypatch.setattr(os, "readlink", end)
        assert label(netns) == str(inode(netns))
        assert len(asked) == 2
    with support.process_inside(netns) as process:
        only(process.pid)
        answers = iter([f"net:[{inode(netns)}]", "net:[1]"])
        monkeypatch.setattr(os, "readlink", lambda path: next(answers))
        assert label(netns) == str(inode(netns))


def test_a_known_container_is_not_searched_again(host_counters, only, tmp_path, new_namespace):
    netns = new_namespace()
    with support.process_inside(netns) as process:
        only(process.pid)
        with in_cgroup(process.pid, f"0::/docker/{ID}\n", tmp_path):
            (container,) = host_counters.refresh().containers
            assert container.label == ID
        assert host_counters.refresh().containers == (container,)
        assert label(netns) == str(inode(netns))  # a new search finds no id


def test_a_container_gets_its_id_as_label_once_that_is_known(
    net, host_counters, only, tmp_path, new_namespace
):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 5)
    with support.process_inside(netns) as process:
        only(process.pid)
        host_counters.refresh()
        assert [container.label for container in host_counters.read()] == [str(inode(netns))]
        with in_cgroup(process.pid, f"0::/docker/{ID}\n", tmp_path):
            host_counters.refresh()
            expected = Container(ID, f"/proc/{process.pid}/ns/net", inode(netns))
            assert host_counters.read() == {expected: {"eth0": seen("eth0", 5)}}


def test_processes_without_an_id_are_searched_every_eighth_refresh(
    host_counters, only, tmp_path, new_namespace, monkeypatch
):
    netns = new_namespace()
    searches = []
    identify = _scan.name_by_cgroup
    monkeypatch.setattr(_scan, "name_by_cgroup", lambda *a: searches.append(a) or identify(*a))
    with support.process_inside(netns) as process:
        only(process.pid)
        host_counters.refresh()
        host_counters.refresh()  # from here on the searched processes are known
        searches.clear()
        for _ in range(8):
            host_counters.refresh()
        assert len(searches) == 1
        with in_cgroup(process.pid, f"0::/docker/{ID}\n", tmp_path):
            for _ in range(8):
                host_counters.refresh()
            assert [container.label for container in host_counters.refresh().containers] == [ID]


def test_a_new_process_is_searched_at_once(host_counters, only, tmp_path, new_namespace):
    netns = new_namespace()
    with contextlib.ExitStack() as stack:
        without, of_container = (
            stack.enter_context(support.process_inside(netns)).pid for _ in range(2)
        )
        only(without)
        for _ in range(3):
            host_counters.refresh()
        stack.enter_context(in_cgroup(of_container, f"0::/docker/{ID}\n", tmp_path))
        only(without, of_container)
        assert [container.label for container in host_counters.refresh().containers] == [ID]


def test_a_label_is_kept_while_its_process_lives(host_counters, only, tmp_path, new_namespace):
    netns = new_namespace()
    with contextlib.ExitStack() as stack:
        lower, higher = sorted(
            (stack.enter_context(support.process_inside(netns)) for _ in range(2)),
            key=lambda process: process.pid,
        )
        stack.enter_context(in_cgroup(lower.pid, f"0::/docker/{OTHER_ID}\n", tmp_path))
        stack.enter_context(in_cgroup(higher.pid, f"0::/docker/{ID}\n", tmp_path))
        only(higher.pid)
        assert [container.label for container in host_counters.refresh().containers] == [ID]
        only(lower.pid, higher.pid)
        assert [container.label for container in host_counters.refresh().containers] == [ID]
        assert label(netns) == OTHER_ID
        higher.kill()
        higher.wait()
        assert [container.label for container in host_counters.refresh().containers] == [OTHER_ID]


@pytest.mark.parametrize(("cgroup", "expected"), [(f"docker/{ID}", ID), ("lxc.payload.web", "web")])
def test_new_processes_with_lower_pids_do_not_change_a_label(
    net, host_counters, only, tmp_path, new_namespace, cgroup, expected
):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(support.process_inside(netns)).pid for _ in range(6)]
        *lower, sandbox_pid = sorted(pids)
        stack.enter_context(in_cgroup(sandbox_pid, f"0::/{cgroup}\n", tmp_path))
        for pid in lower:
            stack.enter_context(in_cgroup(pid, f"0::/docker/{OTHER_ID}\n", tmp_path))
        only(sandbox_pid)
        (before,) = host_counters.refresh().containers
        assert before == Container(expected, f"/proc/{sandbox_pid}/ns/net", inode(netns))
        only(*lower, sandbox_pid)
        for _ in range(10):
            assert host_counters.refresh().containers == (before,)
            assert host_counters.read() == {before: {"eth0": seen("eth0", 3)}}
        assert label(netns) == OTHER_ID  # a new search finds the other id
