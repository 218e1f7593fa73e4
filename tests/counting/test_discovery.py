"""`discover` finds namespaces by name and by process.

Other processes of the machine start and end, so a test looks only at its own namespaces.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from errno import EACCES, EMFILE, ENOENT, ENOTDIR
from pathlib import Path

import pytest
import support
from helpers_counting import (
    CAP_SYS_PTRACE,
    MS_BIND,
    SECRETIVE,
    discovered,
    give_name,
    inode,
    name_path,
)
from support import inside

import pynetstrat
from pynetstrat import (
    Container,
    HostCounters,
    KernelError,
    NetworkNamespace,
    PermissionDeniedError,
    discover,
)


def test_a_named_namespace_is_found_by_its_name(run):
    with NetworkNamespace.create("blue") as blue:
        assert discovered(blue.fileno()) == [Container("blue", "/run/netns/blue", blue.id[1])]


def test_a_namespace_without_a_name_or_process_is_not_found(new_namespace):
    assert discovered(new_namespace()) == []


def test_a_missing_run_netns_means_no_names(run, only):
    only()
    assert discover() == pynetstrat.Discovery((), 0, 0)


def test_the_label_is_the_first_of_several_names(run):
    with NetworkNamespace.create("b") as namespace:
        for name in ("c", "a", "d"):
            give_name(name, namespace.fileno())
        assert discovered(namespace.fileno()) == [Container("a", "/run/netns/a", namespace.id[1])]


def test_other_files_in_run_netns_are_ignored(run, only, tmp_path):
    only()
    with NetworkNamespace.create("blue"):
        Path(name_path("file")).write_text("not a namespace")
        Path(name_path("folder")).mkdir()
        Path(name_path("dangling")).symlink_to("nowhere")
        os.mkfifo(name_path("fifo"))
        Path(name_path("uts")).touch()
        support.mount("/proc/self/ns/uts", Path(name_path("uts")), None, MS_BIND)
        try:
            assert [container.label for container in discover().containers] == ["blue"]
        finally:
            support.unmount(name_path("uts"))


def test_a_symbolic_link_to_a_namespace_is_a_name(run, only, new_namespace):
    only()
    netns = new_namespace()
    with support.process_inside(netns) as process:
        Path("/run/netns").mkdir()
        Path(name_path("linked")).symlink_to(f"/proc/{process.pid}/ns/net")
        assert discovered(netns) == [Container("linked", "/run/netns/linked", inode(netns))]


def test_a_name_of_the_callers_namespace_is_left_out(net, run, only):
    only()
    with NetworkNamespace.create("blue"):
        Path(name_path("own")).touch()
        support.mount("/proc/thread-self/ns/net", Path(name_path("own")), None, MS_BIND)
        assert [container.label for container in discover().containers] == ["blue"]


HOSTILE = [b"\xa0", "\xa0".encode(), b"\\xa0"]  # without care they look alike once escaped

HOSTILE += [b"a\nb", b"a\\nb", b"\xff\xfe", b"\\xff\\xfe", b"\x1b[31mred", b"x" * 255]

HOSTILE += ["\u202egnp.exe".encode(), "\ud800".encode(errors="surrogatepass"), b'" label="']


def test_a_hostile_name_becomes_a_unique_printable_label(run, only):
    only()
    names = [os.fsdecode(name) for name in HOSTILE]
    namespaces = [NetworkNamespace.create(name) for name in names]
    containers = discover().containers
    assert {container.netns for container in containers} == set(map(name_path, names))
    labels = [container.label for container in containers]
    assert len(set(labels)) == len(HOSTILE)
    for text in labels:
        assert text.isprintable()
        assert text.encode("utf-8")
    for container in containers:
        with NetworkNamespace.open(container.netns) as opened:
            assert opened.id[1] == container.inode
    for namespace in namespaces:
        namespace.close()


def test_a_namespace_is_found_by_its_process(new_namespace):
    netns = new_namespace()
    with support.process_inside(netns) as process:
        number = inode(netns)
        assert discovered(netns) == [Container(str(number), f"/proc/{process.pid}/ns/net", number)]
    assert discovered(netns) == []


def test_a_namespace_is_found_once_by_the_lowest_of_several_pids(new_namespace):
    netns = new_namespace()
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(support.process_inside(netns)).pid for _ in range(3)]
        (container,) = discovered(netns)
    assert container.netns == f"/proc/{min(pids)}/ns/net"


def test_the_calling_threads_namespace_is_left_out(new_namespace):
    own, other = support.network_namespace(), new_namespace()
    with support.process_inside(own), support.process_inside(other):
        assert (discovered(own), len(discovered(other))) == ([], 1)
        with inside(other):
            assert (len(discovered(own)), discovered(other)) == (1, [])
    os.close(own)


def test_a_zombie_has_no_namespace(only):
    process = subprocess.Popen(["true"])
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        only(process.pid)
        assert discover() == pynetstrat.Discovery((), 0, 0)
    finally:
        process.wait()


def test_a_process_that_has_ended_is_no_error(only):
    process = subprocess.Popen(["true"])
    process.wait()
    only(process.pid)
    assert discover() == pynetstrat.Discovery((), 0, 0)


def test_processes_may_start_and_end_during_a_scan(new_namespace):
    netns = new_namespace()
    loop = ["sh", "-c", "while :; do sh -c 'exit 0'; done"]
    with inside(netns):
        processes = [subprocess.Popen(loop, start_new_session=True) for _ in range(2)]
    try:
        number = str(inode(netns))
        for _ in range(200):
            assert [container.label for container in discovered(netns)] == [number]
    finally:
        for process in processes:
            os.killpg(process.pid, 9)
            process.wait()


def test_a_process_that_cannot_be_inspected_is_hidden(only, new_namespace):
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


def test_namespaces_beyond_the_limit_are_counted_once(run, only):
    with contextlib.ExitStack() as stack:
        namespaces = [stack.enter_context(NetworkNamespace.create(f"n{n}")) for n in range(3)]
        anonymous = stack.enter_context(NetworkNamespace.create())
        inhabited = [*namespaces, anonymous, anonymous]
        only(*[stack.enter_context(support.process_inside(s.fileno())).pid for s in inhabited])
        for limit, omitted in ((5, 0), (4, 0), (3, 1), (1, 3), (0, 4)):
            pass_ = discover(limit=limit)
            assert (len(pass_.containers), pass_.omitted) == (4 - omitted, omitted)
        assert {c.label for c in discover(limit=3).containers} == {"n0", "n1", "n2"}


@pytest.mark.parametrize("use", [discover, HostCounters])
def test_a_limit_that_is_negative_or_no_integer_is_an_error(use):
    with pytest.raises(ValueError, match="limit must be >= 0, not -1"):
        use(limit=-1)
    for limit in ("5", None, 1.5, True):
        with pytest.raises(TypeError, match=f"limit must be an integer >= 0, not {limit!r}"):
            use(limit=limit)


def test_an_unmounted_proc_is_an_error_with_a_hint(net):
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


def test_an_unreadable_run_netns_is_an_error(run):
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


def test_a_lack_of_descriptors_is_an_error_and_omits_no_container(run, only):
    only()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def discover_with(count: int) -> pynetstrat.Discovery:
        with contextlib.ExitStack() as stack:  # descriptors below may be free
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
        # One for the socket and one for the folder, none to check the kind of namespace.
        assert [container.label for container in discover_with(2).containers] == ["blue"]
