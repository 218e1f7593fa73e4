"""discovery.py on the real kernel: which containers there are, and their counters kept in step.

Other processes of the machine come and go meanwhile: what is asked is about a test's own.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from errno import EACCES, EBADF, EMFILE, ENOENT, ENOTDIR
from pathlib import Path
from types import SimpleNamespace

import pytest
import support
from support import Links, add_container_veth, inside, seen, wait_until

import pynetstrat
from pynetstrat import (
    Container,
    ContainerCounters,
    HostCounters,
    KernelError,
    NetworkNamespace,
    PermissionDeniedError,
    RtnetlinkSocket,
    discover,
)
from pynetstrat._native.containers import Pairs
from pynetstrat.cli import sandbox
from pynetstrat.counting import _scan, discovery
from pynetstrat.counting import host as host_module
from pynetstrat.counting.containers import HostContainers

NewNamespace = Callable[[], int]

MS_BIND = 0x1000  # linux/mount.h
CAP_SYS_PTRACE = 19
ID, OTHER = "0123456789abcdef" * 4, "fedcba9876543210" * 4
ALLOCATION = "0a1b2c3d-0123-4567-89ab-0123456789ab"


def inode(netns: int) -> int:
    return os.fstat(netns).st_ino


def found(netns: int, **options: int) -> list[Container]:
    """What is discovered of a namespace."""
    return [c for c in discover(**options).containers if c.inode == inode(netns)]


def label(netns: int) -> str:
    (container,) = found(netns)
    return container.label


def named(name: str) -> str:
    return f"/run/netns/{name}"


@contextlib.contextmanager
def in_cgroup(pid: int | str, lines: str, folder: Path) -> Iterator[None]:
    """The process is, as far as /proc/PID/cgroup shows it, in these cgroups."""
    shown = folder / f"cgroup-{time.monotonic_ns()}"
    shown.write_text(lines)
    target = f"/proc/{pid}/cgroup"
    support.mount(str(shown), Path(target), None, MS_BIND)
    try:
        yield
    finally:
        if Path(f"/proc/{pid}").exists():  # otherwise the mount went with it
            support.unmount(target)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lists these processes alone in /proc, in place of all that the machine has."""
    listdir = os.listdir

    def restrict(*pids: int) -> None:
        entries = ["self", "net", *map(str, pids)]
        monkeypatch.setattr(os, "listdir", lambda p: entries if p == "/proc" else listdir(p))

    return restrict


@pytest.fixture
def host(net: Links, run: None, only: Callable[..., None]) -> Iterator[HostCounters]:
    """Counters of a host without containers."""
    only()
    with HostCounters() as counters:
        yield counters


# ---- names ----


def test_a_named_namespace_is_found_by_its_name(run):
    with NetworkNamespace.create("blue") as blue:
        assert found(blue.fileno()) == [Container("blue", "/run/netns/blue", blue.id[1])]


def test_a_namespace_without_a_name_or_process_is_not_found(new_namespace):
    assert found(new_namespace()) == []


def test_where_nobody_has_given_a_name_yet_there_are_none(run, only):
    only()
    assert discover() == pynetstrat.Discovery((), 0, 0)


def test_of_several_names_the_first_in_alphabetical_order_counts(run):
    with NetworkNamespace.create("b") as space:
        for name in ("c", "a", "d"):
            give_name(name, space.fileno())
        assert found(space.fileno()) == [Container("a", "/run/netns/a", space.id[1])]


def test_only_a_network_namespace_counts_as_one(run, only, tmp_path):
    only()
    with NetworkNamespace.create("blue"):
        Path(named("file")).write_text("not a namespace")
        Path(named("folder")).mkdir()
        Path(named("dangling")).symlink_to("nowhere")
        os.mkfifo(named("fifo"))
        Path(named("uts")).touch()
        support.mount("/proc/self/ns/uts", Path(named("uts")), None, MS_BIND)
        try:
            assert [container.label for container in discover().containers] == ["blue"]
        finally:
            support.unmount(named("uts"))


def test_a_symbolic_link_to_a_namespace_is_a_name(run, only, new_namespace):
    only()
    netns = new_namespace()
    with support.process_inside(netns) as process:
        Path("/run/netns").mkdir()
        Path(named("linked")).symlink_to(f"/proc/{process.pid}/ns/net")
        assert found(netns) == [Container("linked", "/run/netns/linked", inode(netns))]


def test_a_name_of_the_callers_own_namespace_is_left_out(net, run, only):
    only()
    with NetworkNamespace.create("blue"):
        Path(named("own")).touch()
        support.mount("/proc/thread-self/ns/net", Path(named("own")), None, MS_BIND)
        assert [container.label for container in discover().containers] == ["blue"]


HOSTILE = [b"\xa0", "\xa0".encode(), b"\\xa0"]  # which look alike once escaped carelessly
HOSTILE += [b"a\nb", b"a\\nb", b"\xff\xfe", b"\\xff\\xfe", b"\x1b[31mred", b"x" * 255]
HOSTILE += ["\u202egnp.exe".encode(), "\ud800".encode(errors="surrogatepass"), b'" label="']


def test_a_hostile_name_becomes_a_printable_label_of_its_own(run, only):
    only()
    names = [os.fsdecode(name) for name in HOSTILE]
    spaces = [NetworkNamespace.create(name) for name in names]
    containers = discover().containers
    assert {container.netns for container in containers} == set(map(named, names))
    labels = [container.label for container in containers]
    assert len(set(labels)) == len(HOSTILE)
    for text in labels:
        assert text.isprintable()
        assert text.encode("utf-8")
    for container in containers:
        with NetworkNamespace.open(container.netns) as opened:
            assert opened.id[1] == container.inode
    for space in spaces:
        space.close()


# ---- processes ----


def test_a_process_shows_its_namespace(new_namespace):
    netns = new_namespace()
    with support.process_inside(netns) as process:
        number = inode(netns)
        assert found(netns) == [Container(str(number), f"/proc/{process.pid}/ns/net", number)]
    assert found(netns) == []


def test_a_namespace_of_several_processes_is_found_once_by_the_lowest_pid(new_namespace):
    netns = new_namespace()
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(support.process_inside(netns)).pid for _ in range(3)]
        (container,) = found(netns)
    assert container.netns == f"/proc/{min(pids)}/ns/net"


def test_the_calling_threads_own_namespace_is_left_out(new_namespace):
    home, other = support.network_namespace(), new_namespace()
    with support.process_inside(home), support.process_inside(other):
        assert (found(home), len(found(other))) == ([], 1)
        with inside(other):
            assert (len(found(home)), found(other)) == (1, [])
    os.close(home)


def test_a_process_that_has_ended_but_was_not_waited_for_has_no_namespace(only):
    process = subprocess.Popen(["true"])
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        only(process.pid)
        assert discover() == pynetstrat.Discovery((), 0, 0)
    finally:
        process.wait()


def test_a_process_that_is_gone_is_no_error(only):
    process = subprocess.Popen(["true"])
    process.wait()
    only(process.pid)
    assert discover() == pynetstrat.Discovery((), 0, 0)


def test_processes_that_come_and_go_meanwhile_are_no_error(new_namespace):
    netns = new_namespace()
    loop = ["sh", "-c", "while :; do sh -c 'exit 0'; done"]
    with inside(netns):
        processes = [subprocess.Popen(loop, start_new_session=True) for _ in range(2)]
    try:
        number = str(inode(netns))
        for _ in range(200):
            assert [container.label for container in found(netns)] == [number]
    finally:
        for process in processes:
            os.killpg(process.pid, 9)
            process.wait()


# ---- whose it may not be looked at ----

SECRETIVE = """
import ctypes, sys, time
assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0  # PR_SET_DUMPABLE
print("ready", flush=True)
time.sleep(600)
"""


def test_a_process_that_may_not_be_looked_at_is_counted_as_hidden(only, new_namespace):
    with inside(new_namespace()):
        command = [sys.executable, "-c", SECRETIVE]
        secretive = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with secretive:
        assert secretive.stdout.readline() == "ready\n"
        only(secretive.pid)
        with support.without(CAP_SYS_PTRACE), pytest.raises(PermissionError):
            os.readlink(f"/proc/{secretive.pid}/ns/net")  # noqa: PTH115
        with support.without(CAP_SYS_PTRACE):
            assert discover() == pynetstrat.Discovery((), 1, 0)
        (container,) = discover().containers
        assert container.netns == f"/proc/{secretive.pid}/ns/net"
        assert discover().hidden == 0
        secretive.kill()


SHOW = """
from pynetstrat import HostCounters
with HostCounters() as counters:
    found = counters.refresh()
    print(found.hidden, *(container.inode for container in found.containers))
    print(counters.read(), counters.refused)
"""


def test_a_user_without_capabilities_learns_how_many_processes_are_hidden(new_namespace):
    netns = new_namespace()
    with support.process_inside(netns):
        done = support.run_as_user([sys.executable, "-c", SHOW])
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    hidden, *inodes = map(int, first.split())
    assert hidden >= 1
    assert inode(netns) not in inodes
    assert second == "{} {}"


# ---- the ids of containers ----

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
    # those that have names: LXC and Incus, systemd-machined, systemd-nspawn, libvirt, Nomad
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
    ("0::/lxc.payload.a\\x2db\n", "a\\\\x2db"),  # no unit: nothing is escaped in it
    (f"0::/lxc.payload.web/docker/{ID}\n", ID),  # an id before a name
    # seen from within a cgroup namespace
    (f"0::/../docker-{ID}.scope\n", ID),
    (f"0::/../{ID}\n", ID),
    (f"0::/../../pod0a1b/{ID}\n", ID),
    (f"0::/../../../kubepods-pod0a1b.slice/cri-containerd-{ID}.scope\n", ID),
    # containers in containers, and what a container may call its own cgroups
    (f"0::/docker/{ID}/docker/{OTHER}\n", ID),
    (f"0::/system.slice/docker-{ID}.scope/system.slice/docker-{OTHER}.scope\n", ID),
    (f"0::/machine.slice/libpod-{ID}.scope/{OTHER}/..\n", ID),
    (f"1:name=systemd:/docker/{ID}/x\n0::/docker/{OTHER}\n", ID),
    (f"0::/docker/{ID}/{'d' * 3900}\n", ID),
    # monitors, and what only looks like an id
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


@pytest.mark.parametrize(("lines", "expected"), LABELS)
def test_the_id_or_the_name_of_a_container_in_its_cgroup_is_the_label(
    new_namespace, tmp_path, only, lines, expected
):
    netns = new_namespace()
    with support.process_inside(netns) as process, in_cgroup(process.pid, lines, tmp_path):
        only(process.pid)
        assert label(netns) == (expected or str(inode(netns)))


def test_a_cgroup_of_the_kernels_own_is_read(new_namespace):
    """In a folder that the test makes in a cgroup file system, below the tests' own /sys."""
    netns = new_namespace()
    support.unmount("/sys")
    try:
        folders = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")
        root = next((p for p in map(Path, folders) if os.access(p / "cgroup.procs", os.W_OK)), None)
        if root is None:
            pytest.skip(f"no cgroup can be made in {', '.join(folders)}")
        outer = root / f"docker-{ID}.scope"
        inner = outer / f"docker-{OTHER}.scope"
        inner.mkdir(parents=True)
        try:
            with support.process_inside(netns) as process:
                (inner / "cgroup.procs").write_text(str(process.pid))
                assert label(netns) == ID
        finally:
            inner.rmdir()
            outer.rmdir()
    finally:
        sandbox.mount_sysfs()


def test_a_container_with_a_named_namespace_has_its_id_and_that_path(run, tmp_path):
    with NetworkNamespace.create("cni-1") as space, contextlib.ExitStack() as stack:
        process = stack.enter_context(support.process_inside(space.fileno()))
        assert label(space.fileno()) == "cni-1"
        stack.enter_context(in_cgroup(process.pid, f"0::/docker/{ID}\n", tmp_path))
        assert found(space.fileno()) == [Container(ID, "/run/netns/cni-1", space.id[1])]


def test_a_name_in_run_netns_comes_before_that_of_a_cgroup(run, tmp_path):
    with NetworkNamespace.create("blue") as space, contextlib.ExitStack() as stack:
        process = stack.enter_context(support.process_inside(space.fileno()))
        stack.enter_context(in_cgroup(process.pid, "0::/lxc.payload.web\n", tmp_path))
        assert label(space.fileno()) == "blue"


def test_of_the_containers_of_a_pod_that_of_the_lowest_pid_counts(new_namespace, tmp_path):
    netns = new_namespace()
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(support.process_inside(netns)).pid for _ in range(3)]
        for pid, number in zip(sorted(pids)[1:], (ID, OTHER), strict=True):
            stack.enter_context(in_cgroup(pid, f"0::/docker/{number}\n", tmp_path))
        assert found(netns) == [Container(ID, f"/proc/{sorted(pids)[1]}/ns/net", inode(netns))]


def test_no_more_than_four_processes_are_looked_at(new_namespace, tmp_path):
    netns = new_namespace()
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(support.process_inside(netns)).pid for _ in range(5)]
        stack.enter_context(in_cgroup(max(pids), f"0::/docker/{ID}\n", tmp_path))
        assert label(netns) == str(inode(netns))


def test_an_id_is_not_believed_of_a_process_that_ends_or_moves_meanwhile(
    new_namespace, monkeypatch, only
):
    """Between its cgroup being opened and read, its pid may have become another's."""
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


# ---- bounds and errors ----


def test_what_is_beyond_the_limit_is_counted_once(run, only):
    with contextlib.ExitStack() as stack:
        spaces = [stack.enter_context(NetworkNamespace.create(f"n{n}")) for n in range(3)]
        anonymous = stack.enter_context(NetworkNamespace.create())
        inhabited = [*spaces, anonymous, anonymous]
        only(*[stack.enter_context(support.process_inside(s.fileno())).pid for s in inhabited])
        for limit, omitted in ((5, 0), (4, 0), (3, 1), (1, 3), (0, 4)):
            pass_ = discover(limit=limit)
            assert (len(pass_.containers), pass_.omitted) == (4 - omitted, omitted)
        assert {c.label for c in discover(limit=3).containers} == {"n0", "n1", "n2"}


@pytest.mark.parametrize("use", [discover, HostCounters])
def test_a_negative_limit_is_an_error(use):
    with pytest.raises(ValueError, match="limit must be >= 0, not -1"):
        use(limit=-1)


def test_without_proc_the_error_says_what_is_needed(net):
    with HostCounters() as counters:
        support.mount("tmpfs", Path("/proc"), "tmpfs")
        try:
            for use in (discover, counters.refresh):
                with pytest.raises(KernelError, match="/proc must be mounted") as caught:
                    use()
                assert caught.value.errno == ENOENT
                assert caught.value.filename == "/proc/thread-self/ns/net"
        finally:
            support.unmount("/proc")
        counters.refresh()


def test_names_that_can_not_be_read_are_an_error(run):
    Path("/run/netns").touch()
    with pytest.raises(KernelError) as caught:
        discover()
    assert (caught.value.errno, caught.value.filename) == (ENOTDIR, "/run/netns")
    Path("/run/netns").unlink()
    Path("/run/netns").mkdir(mode=0)
    with support.without(support.CAP_DAC_OVERRIDE, support.CAP_DAC_READ_SEARCH):
        with pytest.raises(PermissionDeniedError) as caught:
            discover()
        assert (caught.value.errno, caught.value.filename) == (EACCES, "/run/netns")


def test_too_few_descriptors_are_an_error_and_not_a_container_less(run, only):
    only()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def discover_with(count: int) -> pynetstrat.Discovery:
        with contextlib.ExitStack() as stack:  # there may be gaps among those that are open
            free = [stack.enter_context(Path("/dev/null").open()) for _ in range(count + 1)]
            limit = free[-1].fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
        try:
            return discover()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    with NetworkNamespace.create("blue"):
        with pytest.raises(KernelError) as caught:
            discover_with(0)
        assert caught.value.errno == EMFILE
        # For the socket and the folder, none to see what kind of namespace it is that lies there.
        assert [container.label for container in discover_with(2).containers] == ["blue"]


# ---- counters in step ----


def test_containers_that_appear_are_counted_and_those_that_vanish_are_not(net, host, only):
    assert (host.refresh().containers, host.read()) == ((), {})
    with NetworkNamespace.create("blue") as blue, NetworkNamespace.create() as other:
        add_container_veth(net, blue.fileno(), "v0", 3)
        add_container_veth(net, other.fileno(), "v1", 4)
        with support.process_inside(other.fileno()) as process:
            only(process.pid)
            first, second = host.refresh().containers
            assert (first.label, second.label) == ("blue", str(other.id[1]))
            expected = {first: {"eth0": seen("eth0", 3)}, second: {"eth0": seen("eth0", 4)}}
            assert host.read() == expected
            assert host.refresh().containers == (first, second)
            assert host.read() == expected
    wait_until(lambda: host.refresh().containers == (first,))
    assert host.read() == {first: {"eth0": seen("eth0", 3)}}
    NetworkNamespace.delete("blue")
    wait_until(lambda: not host.refresh().containers)
    assert (host.read(), host.refused) == ({}, {})


def test_a_container_that_is_known_is_not_looked_at_again(host, only, tmp_path, new_namespace):
    netns = new_namespace()
    with support.process_inside(netns) as process:
        only(process.pid)
        with in_cgroup(process.pid, f"0::/docker/{ID}\n", tmp_path):
            (container,) = host.refresh().containers
            assert container.label == ID
        assert host.refresh().containers == (container,)
        assert label(netns) == str(inode(netns))  # what a fresh look finds


def test_a_container_is_counted_under_its_id_once_that_is_known(
    net, host, only, tmp_path, new_namespace
):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 5)
    with support.process_inside(netns) as process:
        only(process.pid)
        host.refresh()
        assert [container.label for container in host.read()] == [str(inode(netns))]
        with in_cgroup(process.pid, f"0::/docker/{ID}\n", tmp_path):
            host.refresh()
            expected = Container(ID, f"/proc/{process.pid}/ns/net", inode(netns))
            assert host.read() == {expected: {"eth0": seen("eth0", 5)}}


def test_where_no_id_was_found_the_same_processes_are_looked_at_once_in_eight_refreshes(
    host, only, tmp_path, new_namespace, monkeypatch
):
    netns = new_namespace()
    looks = []
    identify = _scan.name_by_cgroup
    monkeypatch.setattr(_scan, "name_by_cgroup", lambda *a: looks.append(a) or identify(*a))
    with support.process_inside(netns) as process:
        only(process.pid)
        host.refresh()
        host.refresh()  # from now on it is known who was looked at
        looks.clear()
        for _ in range(8):
            host.refresh()
        assert len(looks) == 1
        with in_cgroup(process.pid, f"0::/docker/{ID}\n", tmp_path):
            for _ in range(8):
                host.refresh()
            assert [container.label for container in host.refresh().containers] == [ID]


def test_where_no_id_was_found_another_process_is_looked_at_at_once(
    host, only, tmp_path, new_namespace
):
    netns = new_namespace()
    with contextlib.ExitStack() as stack:
        without, of_container = (
            stack.enter_context(support.process_inside(netns)).pid for _ in range(2)
        )
        only(without)
        for _ in range(3):
            host.refresh()
        stack.enter_context(in_cgroup(of_container, f"0::/docker/{ID}\n", tmp_path))
        only(without, of_container)
        assert [container.label for container in host.refresh().containers] == [ID]


def test_a_label_stays_as_long_as_the_process_that_it_came_from(
    host, only, tmp_path, new_namespace
):
    netns = new_namespace()
    with contextlib.ExitStack() as stack:
        lower, higher = sorted(
            (stack.enter_context(support.process_inside(netns)) for _ in range(2)),
            key=lambda process: process.pid,
        )
        stack.enter_context(in_cgroup(lower.pid, f"0::/docker/{OTHER}\n", tmp_path))
        stack.enter_context(in_cgroup(higher.pid, f"0::/docker/{ID}\n", tmp_path))
        only(higher.pid)
        assert [container.label for container in host.refresh().containers] == [ID]
        only(lower.pid, higher.pid)
        assert [container.label for container in host.refresh().containers] == [ID]
        assert label(netns) == OTHER
        higher.kill()
        higher.wait()
        assert [container.label for container in host.refresh().containers] == [OTHER]


@pytest.mark.parametrize(("cgroup", "expected"), [(f"docker/{ID}", ID), ("lxc.payload.web", "web")])
def test_a_label_stays_whatever_processes_with_lower_pids_appear(
    net, host, only, tmp_path, new_namespace, cgroup, expected
):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(support.process_inside(netns)).pid for _ in range(6)]
        *lower, sandbox_pid = sorted(pids)
        stack.enter_context(in_cgroup(sandbox_pid, f"0::/{cgroup}\n", tmp_path))
        for pid in lower:
            stack.enter_context(in_cgroup(pid, f"0::/docker/{OTHER}\n", tmp_path))
        only(sandbox_pid)
        (before,) = host.refresh().containers
        assert before == Container(expected, f"/proc/{sandbox_pid}/ns/net", inode(netns))
        only(*lower, sandbox_pid)
        for _ in range(10):
            assert host.refresh().containers == (before,)
            assert host.read() == {before: {"eth0": seen("eth0", 3)}}
        assert label(netns) == OTHER  # what one who looks for the first time finds


def test_a_container_whose_path_changes_goes_on_being_counted(
    net, host, only, new_namespace, monkeypatch
):
    """Its path is another one's key, but nothing is opened, and so nothing can fail."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with contextlib.ExitStack() as stack:
        one, other = (stack.enter_context(support.process_inside(netns)).pid for _ in range(2))
        only(one)
        host.refresh()
        only(other)
        monkeypatch.setattr(NetworkNamespace, "open", None)
        (container,) = host.refresh().containers
        assert container == Container(str(inode(netns)), f"/proc/{other}/ns/net", inode(netns))
        assert host.read() == {container: {"eth0": seen("eth0", 3)}}


# ---- containers that route for containers of their own ----


class Router:
    """A container with containers of its own: `uplink` says how it reaches the host."""

    def __init__(self, net: Links, stack: contextlib.ExitStack, uplink: str) -> None:
        self.space = stack.enter_context(NetworkNamespace.create("router"))
        self.inner = [stack.enter_context(NetworkNamespace.create(f"c{n}")) for n in range(2)]
        if uplink == "pair":  # kind, Docker in Docker
            add_container_veth(net, self.space.fileno(), "v0", 3)
        elif uplink == "tap":  # rootless Podman with slirp4netns or pasta
            command = ["ip", "tuntap", "add", "tap0", "mode", "tap"]
            assert self.space.run(command).returncode == 0

    def connect(self, bridge: bool) -> None:
        with inside(self.space.fileno()), Links() as links:
            if bridge:
                links.add_bridge("br0")
                # No frames but the test's: not of IPv6, nor of those who ask for multicast groups.
                quiet = ["ip", "link", "set", "br0", "mtu", "1000", "type", "bridge"]
                assert self.space.run([*quiet, "mcast_snooping", "0"]).returncode == 0
                links.set_up("br0")
            for number, space in enumerate(self.inner):
                links.add_veth(f"h{number}", "eth0", peer_netns=space.fileno(), up=False)
                with inside(space.fileno()), Links() as there:
                    there.set_up("eth0")
                links.set_up(f"h{number}")
                if bridge:
                    links.set_master(f"h{number}", "br0")

    def send(self, number: int, name: str, count: int) -> None:
        space = self.space if number < 0 else self.inner[number]
        space.call(support.send_frames, name, count, 100)


def shown(counters: HostCounters) -> dict[str, set[str]]:
    counters.refresh()
    return {container.label: set(rows) for container, rows in counters.read().items()}


def total(counters: HostCounters, field: str) -> int:
    counters.refresh()
    rows = (row for rows in counters.read().values() for row in rows.values())
    return sum(getattr(row, field) for row in rows)


@pytest.mark.parametrize("uplink", ["pair", "tap", ""])
@pytest.mark.parametrize("bridge", [True, False])
def test_without_routed_a_frame_between_containers_of_a_container_is_counted_once(
    net, run, only, uplink, bridge
):
    only()
    with (
        contextlib.ExitStack() as stack,
        HostCounters(routed=False) as once,
        HostCounters() as everything,
    ):
        router = Router(net, stack, uplink)
        router.connect(bridge)
        sent, received = total(once, "tx_packets"), total(once, "rx_packets")
        router.send(0, "eth0", 5)
        router.send(-1, "h1", 7)
        assert total(once, "tx_packets") == sent + 5  # what the router sends is received once
        assert total(once, "rx_packets") == received + 7 + (5 if bridge else 0)
        assert total(everything, "tx_packets") > sent + 5
        own = {"pair": {"eth0"}, "tap": {"tap0"}, "": set()}[uplink]
        assert shown(once) == {"router": own, "c0": {"eth0"}, "c1": {"eth0"}}
        between = {"h0", "h1", *(["br0"] if bridge else [])}
        assert shown(everything)["router"] == own | between


def test_without_routed_the_one_container_of_a_container_is_counted_at_its_own_end(net, run, only):
    """Neither has a bridge, or more of these pairs; but one of the two leads outside."""
    only()
    with contextlib.ExitStack() as stack, HostCounters(routed=False) as counters:
        inner = stack.enter_context(NetworkNamespace.create("a"))  # with the lower nsid
        outer = stack.enter_context(NetworkNamespace.create("b"))
        counters.refresh()
        with inside(outer.fileno()), Links() as links:
            links.add_veth("h0", "eth0", peer_netns=inner.fileno(), up=False)
        add_container_veth(net, outer.fileno(), "v0", 3)
        assert shown(counters) == {"a": {"eth0"}, "b": {"eth0"}}


def test_without_routed_a_host_end_is_counted_where_its_container_is_not(net, run, only):
    """Beyond the limit, say: otherwise the traffic would be in no sum."""
    only()
    with contextlib.ExitStack() as stack, HostCounters(routed=False, limit=2) as counters:
        router = Router(net, stack, "pair")
        router.connect(bridge=True)
        found_ = counters.refresh()
        assert found_.omitted == 1
        labels = {container.label for container in found_.containers}
        rows = shown(counters)
        left = {f"h{n}" for n in range(2) if f"c{n}" not in labels}
        if "router" in labels:
            assert rows["router"] == {"eth0"} | left and len(left) == 1
        else:
            assert rows == {"c0": {"eth0"}, "c1": {"eth0"}}


def test_without_routed_an_end_that_moves_to_another_container_is_followed(net, run, only):
    only()
    with contextlib.ExitStack() as stack, HostCounters(routed=False) as counters:
        router = Router(net, stack, "pair")
        router.connect(bridge=True)
        assert shown(counters)["c0"] == {"eth0"}
        with inside(router.inner[0].fileno()), Links() as there:
            there.move("eth0", stack.enter_context(NetworkNamespace.create()).fileno())
        rows = shown(counters)
        assert rows["c0"] == set()
        assert rows["router"] == {"eth0", "h0"}  # nothing shows where the other end is


# ---- what nothing shows ----

# A worker thread goes on in the namespace. The main thread ends, or enters another one, when told.
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
        """Has the main thread "exit", or "unshare" its network."""
        self.process.stdin.write(f"{how}\n")
        self.process.stdin.flush()
        wait_until(self._has_left)

    def _has_left(self) -> bool:
        try:
            return Path(f"/proc/{self.pid}/ns/net").stat().st_ino != self.inode
        except FileNotFoundError:
            return True


@pytest.fixture
def worker(net: Links, new_namespace: NewNamespace) -> Iterator[Worker]:
    """With the pair v0 and pattern(3) of traffic."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    made = Worker(netns)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


@pytest.mark.parametrize("how", ["exit", "unshare"])
def test_a_container_stays_under_its_label_when_its_main_thread_leaves(
    worker, host, only, tmp_path, how
):
    only(worker.pid)
    with in_cgroup(worker.pid, f"0::/docker/{ID}\n", tmp_path):
        assert [container.label for container in host.refresh().containers] == [ID]
        worker.leave(how)
        for _ in range(10):
            found_ = host.refresh()
            container = next(c for c in found_.containers if c.inode == worker.inode)
            assert container.label == ID
            assert found_.unseen == ()
            assert host.read()[container] == {"eth0": seen("eth0", 3)}
        assert container.netns.startswith(f"/proc/{worker.pid}/task/")
        with NetworkNamespace.open(container.netns) as opened:
            assert opened.id[1] == worker.inode


def test_a_process_whose_main_thread_has_ended_shows_its_namespace(worker, host, only, tmp_path):
    worker.leave("exit")
    only(worker.pid)
    (container,) = host.refresh().containers
    assert (container.label, container.inode) == (str(worker.inode), worker.inode)
    assert discover().containers == (container,)
    assert host.read() == {container: {"eth0": seen("eth0", 3)}}
    thread = container.netns.split("/")[-3]
    with in_cgroup(f"{worker.pid}/task/{thread}", f"0::/docker/{ID}\n", tmp_path):
        assert [container.label for container in discover().containers] == [ID]


def test_a_thread_of_a_process_that_was_never_seen_there_is_counted_by_its_nsid(worker, host, only):
    """To look at every thread of every process would take too long."""
    worker.leave("unshare")
    only(worker.pid)
    (unseen,) = host.refresh().unseen
    assert unseen.label.startswith("nsid:")
    assert host.read()[unseen] == {"eth0": seen("eth0", 3)}


# Enters one namespace after the other, when told; each stays open.
MOVER = """
import ctypes, sys
for namespace in sys.argv[1:]:
    input()
    assert ctypes.CDLL(None).setns(int(namespace), 0) == 0
    print(flush=True)
input()
"""


def test_a_process_that_has_left_many_namespaces_is_searched_once(
    net, host, only, new_namespace, monkeypatch
):
    """Otherwise root of a container with many threads could make each refresh take seconds."""
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
        host.refresh()
        for _ in others:
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
            host.refresh()
        threads = _scan.list_threads
        monkeypatch.setattr(_scan, "list_threads", lambda p: searched.append(p) or threads(p))
        assert len(host.refresh().unseen) == 3
        process.kill()
    assert searched == [str(process.pid)]


def test_a_container_that_only_a_descriptor_holds_is_counted_until_it_ends(net, host, only):
    netns = support.new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with support.process_inside(netns) as process:
        only(process.pid)
        (container,) = host.refresh().containers
    only()
    for _ in range(10):
        support.send_frames("v0", 1, 100)
        assert host.refresh() == pynetstrat.Discovery((container,), 0, 0, (container,))
        assert host.read()[container]["eth0"].rx_bytes > 0
    assert host.read()[container]["eth0"].rx_packets == seen("eth0", 3).rx_packets + 10
    support.end_namespace(netns)
    assert host.refresh() == pynetstrat.Discovery((), 0, 0)
    assert host.read() == {}


def test_a_container_without_a_pair_that_only_a_descriptor_holds_is_counted(net, host, only):
    """So nothing on the host leads there."""
    netns = support.new_namespace()
    with inside(netns), Links() as there:
        support.add_patterned(there, 3)
    with support.process_inside(netns) as process:
        only(process.pid)
        (container,) = host.refresh().containers
    only()
    assert host.refresh().unseen == (container,)
    assert host.read()[container]["v3"] == support.view("v3", 3)
    support.end_namespace(netns)
    assert (host.refresh().containers, host.read()) == ((), {})


def test_a_namespace_that_nothing_shows_is_counted_by_its_nsid(net, host, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with RtnetlinkSocket() as rtnetlink:
        nsid = rtnetlink.get_nsid(netns)
    expected = Container(f"nsid:{nsid}", "", 0)
    for _ in range(3):
        assert host.refresh() == pynetstrat.Discovery((expected,), 0, 0, (expected,))
        assert host.read() == {expected: {"eth0": seen("eth0", 3)}}
    assert discover() == pynetstrat.Discovery((expected,), 0, 0, (expected,))
    assert host.refused == {}


def test_a_container_that_is_made_during_a_pass_is_not_unseen(net, host, only, monkeypatch):
    """It would be shown under its nsid once, and then under its name."""
    scan = _scan.scan_host

    def look_before_it(*arguments):
        seen_ = scan(*arguments)
        with NetworkNamespace.create("blue") as netns:
            add_container_veth(net, netns.fileno(), "v0", 3)
        return seen_

    for find in (discover, host.refresh):
        with monkeypatch.context() as patch:
            for module in (discovery, host_module):
                patch.setattr(module, "scan_host", look_before_it)
            assert find().unseen == ()
        net.delete("v0")
        NetworkNamespace.delete("blue")


def test_too_few_descriptors_for_the_nsids_are_an_error_of_the_kernel(run):
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


def test_a_namespace_that_is_shown_later_is_counted_once(net, host, only, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    assert host.refresh().containers[0].inode == 0
    with support.process_inside(netns) as process:
        only(process.pid)
        (container,) = host.refresh().containers
        assert container.inode == inode(netns)
        assert host.read() == {container: {"eth0": seen("eth0", 3)}}
        assert discover() == pynetstrat.Discovery((container,), 0, 0)


def test_an_interface_that_root_of_a_container_hides_in_a_namespace_of_its_own_is_counted(
    net, host, only, new_namespace
):
    """In a mount namespace of its own the name is one that only the container sees."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with support.process_inside(netns) as process:
        only(process.pid)
        (container,) = host.refresh().containers
        assert host.read() == {container: {"eth0": seen("eth0", 3)}}
        hidden = support.new_namespace()
        with inside(netns), Links() as there:
            there.move("eth0", hidden)
        (unseen,) = host.refresh().unseen
        read = host.read()
        assert read[container] == {}
        assert read[unseen]["eth0"].rx_bytes == seen("eth0", 3).rx_bytes
        further = support.new_namespace()  # and on, once the first one is known
        with inside(hidden), Links() as there:
            there.move("eth0", further)
        host.refresh()
        rows = [row for interfaces in host.read().values() for row in interfaces.values()]
        assert [row.rx_bytes for row in rows] == [seen("eth0", 3).rx_bytes]
        os.close(further)
        support.end_namespace(hidden)
        wait_until(lambda: host.refresh().containers == (container,))


def test_the_next_namespace_with_an_nsid_is_not_taken_for_the_one_that_ended(net, host):
    first = support.new_namespace()
    add_container_veth(net, first, "v0", 3)
    (unseen,) = host.refresh().unseen
    support.end_namespace(first)
    second = support.new_namespace()
    add_container_veth(net, second, "v1", 4)
    host.refresh()
    assert host.read() == {unseen: {"eth0": seen("eth0", 4)}}  # the id is given anew
    os.close(second)


def test_what_is_hidden_is_counted_by_its_nsid(net, host, only, new_namespace):
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
                found_ = host.refresh()
                assert found_.hidden == len(found_.unseen) == 1
                assert host.read() == {found_.unseen[0]: {"eth0": seen("eth0", 3)}}
        finally:
            secretive.kill()


def test_what_nothing_shows_is_refused_where_it_may_not_be_read(net, host, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with support.without(support.CAP_NET_ADMIN):
        for _ in range(3):
            found_ = host.refresh()
            ((refused, error),) = host.refused.items()
            assert refused.label.startswith("nsid:")
            assert isinstance(error, PermissionDeniedError)
            assert (found_.containers, host.read()) == ((), {})
    for _ in range(8):
        host.refresh()
    assert (host.refused, list(host.read())) == ({}, [refused])


def test_what_is_refused_is_not_taken_for_unseen(net, host, only, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with support.process_inside(netns) as process:
        only(process.pid)
        with support.without(support.CAP_SYS_ADMIN):
            found_ = host.refresh()
            assert (found_.unseen, list(host.refused)) == ((), list(found_.containers))


def test_what_nothing_shows_counts_for_the_limit(net, run, only, new_namespace):
    only()
    for number in range(3):
        add_container_veth(net, new_namespace(), f"v{number}", number)
    with HostCounters(limit=2) as counters:
        for found_ in (counters.refresh(), counters.refresh(), discover(limit=2)):
            assert (len(found_.unseen), found_.omitted) == (2, 1)
        assert len(counters.read()) == 2


def test_a_refresh_that_is_interrupted_while_it_adds_what_nothing_shows_is_made_good(
    net, host, new_namespace, monkeypatch
):
    add_container_veth(net, new_namespace(), "v0", 3)
    add = HostContainers.add_nsid

    def interrupt(self: HostContainers, key: Container, nsid: int) -> bool:
        add(self, key, nsid)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(HostContainers, "add_nsid", interrupt)
        with pytest.raises(KeyboardInterrupt):
            host.refresh()
    assert host.read() == {}
    (unseen,) = host.refresh().unseen
    assert host.read() == {unseen: {"eth0": seen("eth0", 3)}}


# ---- names that may not be looked at ----


def test_names_that_may_not_be_looked_at_are_refused_and_the_others_are_counted(
    net, host, only, new_namespace
):
    """As with mode 744: the names can be listed, but not looked at."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with NetworkNamespace.create("blue") as blue, support.process_inside(netns) as process:
        add_container_veth(net, blue.fileno(), "v1", 4)
        only(process.pid)
        with without_access(0o400):
            found_ = host.refresh()
            ((refused, error),) = host.refused.items()
            assert refused == Container("blue", "/run/netns/blue", 0)
            assert isinstance(error, PermissionDeniedError)
            assert (error.errno, error.filename) == (EACCES, "/run/netns/blue")
            assert "mode of /run/netns must be 755" in str(error)
            assert refused in found_.containers and refused in discover().containers
            read = {container.label: rows for container, rows in host.read().items()}
            assert read.pop(str(inode(netns))) == {"eth0": seen("eth0", 3)}
            assert list(read.values()) == [{"eth0": seen("eth0", 4)}]  # by its nsid
        host.refresh()
        assert host.refused == {}
        assert sorted(container.label for container in host.read()) == [str(inode(netns)), "blue"]


def test_where_the_names_may_not_be_listed_the_processes_are_counted(
    net, host, only, new_namespace
):
    """As with mode 700."""
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with NetworkNamespace.create("blue"), support.process_inside(netns) as process:
        only(process.pid)
        with without_access(0):
            (container,) = host.refresh().containers
            assert host.read() == {container: {"eth0": seen("eth0", 3)}}
            ((refused, error),) = host.refused.items()
            assert refused == Container("/run/netns", "/run/netns", 0)
            assert isinstance(error, PermissionDeniedError)
            assert "mode of /run/netns must be 755" in str(error)
        assert "blue" in [container.label for container in host.refresh().containers]
        assert host.refused == {}


def test_a_file_in_the_place_of_the_names_does_not_keep_the_others_from_being_counted(
    host, only, new_namespace
):
    netns = new_namespace()
    Path("/run/netns").touch()
    with support.process_inside(netns) as process:
        only(process.pid)
        host.refresh()
        assert [error.errno for error in host.refused.values()] == [ENOTDIR]
        assert [container.inode for container in host.read()] == [inode(netns)]
    Path("/run/netns").unlink()


@contextlib.contextmanager
def without_access(mode: int) -> Iterator[None]:
    """/run/netns with this mode, for a caller who has no capability to get around it.

    The caller owns the folder: what others would find with mode 744 or 700, is 400 or 0 here.
    """
    folder = Path("/run/netns")
    before = folder.stat().st_mode
    folder.chmod(mode)
    try:
        with support.without(support.CAP_DAC_OVERRIDE, support.CAP_DAC_READ_SEARCH):
            yield
    finally:
        folder.chmod(before)


def give_name(name: str, netns: int) -> None:
    Path(named(name)).touch()
    support.mount(f"/proc/self/fd/{netns}", Path(named(name)), None, MS_BIND)


@pytest.fixture
def one_inode(monkeypatch: pytest.MonkeyPatch) -> int:
    """Every namespace with a name has this inode, as far as discovery sees.

    The kernel uses one again at once, and which one depends on all that the machine is doing.
    """
    number = 4026531999
    scandir = os.scandir

    class Scan(list):  # as much of a scandir() as is used
        def __enter__(self) -> Scan:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def scan(path: str) -> Scan:
        with scandir(path) as entries:
            return Scan(map(same, entries))

    def same(entry: os.DirEntry[str]) -> SimpleNamespace:
        status = SimpleNamespace(st_ino=number, st_dev=entry.stat().st_dev)
        return SimpleNamespace(name=entry.name, path=entry.path, stat=lambda: status)

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(NetworkNamespace, "id", property(lambda handle: (0, number)))
    return number


def test_a_namespace_with_the_name_and_the_inode_of_one_that_ended_is_another(net, host, one_inode):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
    (container,) = host.refresh().containers
    assert container == Container("blue", "/run/netns/blue", one_inode)
    assert host.read() == {container: {"eth0": seen("eth0", 3)}}
    support.delete_namespace("blue")
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v1", 4, "eth1")
        assert host.read() == {}
        assert host.refresh().containers == (container,)
        assert host.read() == {container: {"eth1": seen("eth1", 4)}}


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Has something happen after the next pass over the host, before its finds are added."""
    scan = _scan.scan_host

    def look_and_act(*arguments: object) -> object:
        result = scan(*arguments)
        monkeypatch.setattr(host_module, "scan_host", scan)
        act()
        return result

    monkeypatch.setattr(host_module, "scan_host", look_and_act)


def test_an_inode_that_is_used_again_within_a_refresh_is_another_namespaces(
    net, host, one_inode, monkeypatch
):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
    host.refresh()

    def act() -> None:
        support.delete_namespace("blue")
        with NetworkNamespace.create("blue") as blue:
            add_container_veth(net, blue.fileno(), "v1", 4, "eth1")

    meanwhile(monkeypatch, act)
    (container,) = host.refresh().containers
    assert host.read() == {container: {"eth1": seen("eth1", 4)}}


def test_an_inode_that_another_name_has_by_now_is_put_right_at_once(
    net, host, one_inode, monkeypatch
):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
    (before,) = host.refresh().containers
    original = ContainerCounters.gone

    def gone(self: ContainerCounters) -> list[object]:
        ended = original(self)
        monkeypatch.setattr(ContainerCounters, "gone", original)
        support.delete_namespace("blue")
        with NetworkNamespace.create("red") as red:
            add_container_veth(net, red.fileno(), "v1", 4, "eth1")
        return ended

    monkeypatch.setattr(ContainerCounters, "gone", gone)
    (container,) = host.refresh().containers
    assert (before.label, container.label) == ("blue", "red")
    assert host.read() == {container: {"eth1": seen("eth1", 4)}}


def test_a_path_that_leads_elsewhere_by_now_is_not_taken_in(net, host, monkeypatch):
    blue, other = NetworkNamespace.create("blue"), NetworkNamespace.create()
    add_container_veth(net, blue.fileno(), "v0", 3)
    add_container_veth(net, other.fileno(), "v1", 4)

    def act() -> None:
        NetworkNamespace.delete("blue")
        give_name("blue", other.fileno())

    meanwhile(monkeypatch, act)
    host.refresh()
    assert not any(container.label == "blue" for container in host.read())
    (unseen,) = host.refresh().unseen  # which had the name before
    expected = Container("blue", "/run/netns/blue", other.id[1])
    assert host.read() == {
        expected: {"eth0": seen("eth0", 4)},
        unseen: {"eth0": seen("eth0", 3)},
    }
    blue.close()
    other.close()


def test_a_pid_that_is_another_containers_by_now_does_not_give_its_label(
    net, host, only, tmp_path, new_namespace, monkeypatch
):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 3)
    with support.process_inside(netns) as process, contextlib.ExitStack() as stack:
        only(process.pid)
        stack.enter_context(in_cgroup(process.pid, f"0::/docker/{ID}\n", tmp_path))
        again = in_cgroup(process.pid, f"0::/docker/{OTHER}\n", tmp_path)
        meanwhile(monkeypatch, lambda: stack.enter_context(again))
        host.refresh()
        assert not any(container.label in (ID, OTHER) for container in host.read())
        host.refresh()
        expected = Container(OTHER, f"/proc/{process.pid}/ns/net", inode(netns))
        assert host.read() == {expected: {"eth0": seen("eth0", 3)}}


def test_what_ends_between_being_found_and_taken_in_is_not_refused(host, only, monkeypatch):
    with NetworkNamespace.create("blue"), NetworkNamespace.create() as other:
        with support.process_inside(other.fileno()) as process:
            only(process.pid)

            def act() -> None:
                NetworkNamespace.delete("blue")
                process.kill()
                process.wait()

            meanwhile(monkeypatch, act)
            assert len(host.refresh().containers) == 2
        assert (host.read(), host.refused) == ({}, {})


def test_a_name_of_which_only_the_file_is_left_is_not_refused(host, monkeypatch):
    """As between the two steps of `ip netns delete`."""
    with NetworkNamespace.create("blue"):
        meanwhile(monkeypatch, lambda: support.unmount("/run/netns/blue"))
        assert len(host.refresh().containers) == 1
        assert (host.read(), host.refused) == ({}, {})


def test_a_namespace_that_may_not_be_entered_is_refused_and_tried_again_within_eight_refreshes(
    net, host, monkeypatch
):
    """Not at each, since it takes longer than all the rest of a refresh."""
    opened = []
    original = NetworkNamespace.open
    monkeypatch.setattr(NetworkNamespace, "open", lambda p: opened.append(p) or original(p))
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
        with support.without(support.CAP_SYS_ADMIN):
            (container,) = host.refresh().containers
            error = host.refused[container]
            assert isinstance(error, PermissionDeniedError)
            assert str(error).startswith("setns /run/netns/blue: Operation not permitted; ")
            assert "CAP_SYS_ADMIN" in error.hint
            for _ in range(7):
                host.refresh()
                assert list(host.refused) == [container]
            del opened[:]
            for _ in range(16):
                host.refresh()
            assert opened == ["/run/netns/blue"] * 2
            assert host.read() == {}
        for _ in range(8):
            host.refresh()
        assert (host.refused, host.read()) == ({}, {container: {"eth0": seen("eth0", 3)}})


def test_one_that_is_refused_does_not_keep_the_others_from_being_counted(net, host, monkeypatch):
    add = ContainerCounters.add
    trouble = KernelError(EMFILE, "socket")

    def refuse(self: ContainerCounters, key: Container, netns: NetworkNamespace) -> None:
        if key.label == "blue":
            raise trouble
        add(self, key, netns)

    spaces = [NetworkNamespace.create(name) for name in ("blue", "red")]
    with monkeypatch.context() as patch:
        patch.setattr(ContainerCounters, "add", refuse)
        host.refresh()
        assert {key.label: error for key, error in host.refused.items()} == {"blue": trouble}
        assert [container.label for container in host.read()] == ["red"]
    host.refresh()  # at once: what was in the way may be over
    assert host.refused == {}
    assert sorted(container.label for container in host.read()) == ["blue", "red"]
    for space in spaces:
        space.close()


def test_a_refresh_that_is_interrupted_is_made_good_by_the_next(host, monkeypatch):
    add = ContainerCounters.add

    def interrupt(self: ContainerCounters, key: Container, netns: NetworkNamespace) -> None:
        add(self, key, netns)
        raise KeyboardInterrupt

    with NetworkNamespace.create("blue"):
        with monkeypatch.context() as patch:
            patch.setattr(ContainerCounters, "add", interrupt)
            with pytest.raises(KeyboardInterrupt):
                host.refresh()
        assert host.read() == {}
        host.refresh()
        assert [container.label for container in host.read()] == ["blue"]


def test_at_the_limit_what_is_counted_already_stays(net, run, only):
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


def test_another_namespace_can_be_the_hosts(net, run, only, new_namespace):
    only()
    with NetworkNamespace.create("host") as host, NetworkNamespace.create("blue") as blue:
        with inside(host.fileno()), Links() as links:
            add_container_veth(links, blue.fileno(), "v0", 3)
        with HostCounters(netns="host") as counters:
            (container,) = counters.refresh().containers
            assert container.label == "blue"
            assert counters.read() == {container: {"eth0": seen("eth0", 3)}}


def test_threads_that_refresh_and_read_take_turns(net, host):
    with NetworkNamespace.create("blue") as blue:
        add_container_veth(net, blue.fileno(), "v0", 3)
        expected = {host.refresh().containers[0]: {"eth0": seen("eth0", 3)}}

        def work() -> None:
            for _ in range(50):
                host.refresh()
                assert host.read() == expected

        support.run_threads(*[work] * 4)


def test_containers_that_come_and_go_are_never_shown_with_anothers_numbers(net, host):
    """Each has traffic of its own; inodes and ids are used again all the time."""
    rounds, alive = 60, 6
    shown = 0
    living: list[int] = []
    for number in range(rounds):
        with NetworkNamespace.create(f"c{number}") as space:
            add_container_veth(net, space.fileno(), f"v{number}", number)
        living.append(number)
        if len(living) > alive:
            NetworkNamespace.delete(f"c{living.pop(0)}")
        host.refresh()
        for container, interfaces in host.read().items():
            assert interfaces == {"eth0": seen("eth0", int(container.label[1:]))}
            shown += 1
    assert shown > rounds * alive // 2


def test_it_keeps_no_descriptor_of_a_container(host):
    before = support.descriptors()
    with NetworkNamespace.create("blue"):
        pass
    host.refresh()
    assert len(host.read()) == 1
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


def test_what_was_closed_is_not_used_again(net):
    counters = HostCounters()
    assert "of 0 containers: open" in repr(counters)
    counters.close()
    counters.close()
    for use in (counters.refresh, counters.read):
        with pytest.raises(KernelError, match="this HostCounters is closed") as caught:
            use()
        assert caught.value.errno == EBADF
    assert "closed" in repr(counters)


def test_what_is_not_a_namespace_can_not_be_the_hosts():
    with pytest.raises(KernelError):
        HostCounters(netns="/dev/null")
    assert "closed" in repr(HostCounters.__new__(HostCounters))
