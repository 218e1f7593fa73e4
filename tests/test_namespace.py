"""netns.py: namespaces made, opened, named and entered; children and sockets there."""

from __future__ import annotations

import contextlib
import copy
import errno
import gc
import os
import pickle
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
import weakref
from pathlib import Path

import pytest
import support
from helpers_network import ip, names, own_run, veth
from support import CAP_SYS_ADMIN, ROOT, descriptors, identity, python, run, without

from pynetstrat import (
    Batch,
    KernelError,
    NetworkNamespace,
    PermissionDeniedError,
    RtnetlinkSocket,
    SysfsReader,
    Veth,
    _syscalls,
    get_network_interface_stats,
    link_set_up,
)
from pynetstrat._native import netns as native
from pynetstrat.cli import sandbox


@pytest.fixture
def named(net):
    """A name under /run/netns that is free."""
    with own_run():
        yield "blue"


# ---- where from ----


def test_a_new_namespace_has_lo_alone_and_that_is_down(net):
    with NetworkNamespace.create() as namespace:
        assert namespace.id != identity()
        assert namespace.name == ""
        with RtnetlinkSocket(namespace) as sock:
            links = sock.dump_links()
        assert list(links) == ["lo"]
        assert not links["lo"].up


def test_an_anonymous_namespace_ends_with_its_last_descriptor(net):
    namespace = NetworkNamespace.create()
    with RtnetlinkSocket() as host:
        host.execute(Batch().add_veth("h0", "eth0", netns=namespace))
        twin = NetworkNamespace.open(namespace)
        namespace.close()
        assert "h0" in host.dump_links()
        twin.close()
        # A worker of the kernel's takes the links down.
        support.wait_until(lambda: "h0" not in host.dump_links())


def test_a_named_namespace_is_what_ip_netns_sees(named):
    with NetworkNamespace.create(named) as namespace:
        assert namespace.name == named
        assert named in NetworkNamespace.names()
        assert named in {entry["name"] for entry in ip("netns", "list")}
        done = run(["ip", "netns", "exec", named, "stat", "-Lc", "%i", "/proc/self/ns/net"])
        assert int(done.stdout) == namespace.id[1]
    assert named in NetworkNamespace.names()  # it outlives its handle
    assert run(["ip", "netns", "delete", named]).returncode == 0
    assert named not in NetworkNamespace.names()


def test_a_namespace_that_ip_netns_made_is_opened_by_its_name_and_deleted(named):
    assert run(["ip", "netns", "add", named]).returncode == 0
    assert named in NetworkNamespace.names()
    with NetworkNamespace.open(named) as namespace:
        assert namespace.name == named
        inode = run(["stat", "-Lc", "%i", f"/run/netns/{named}"]).stdout
        assert namespace.id[1] == int(inode)
    NetworkNamespace.delete(named)
    assert named not in NetworkNamespace.names()
    assert named not in {entry["name"] for entry in ip("netns", "list")}
    assert not Path("/run/netns", named).exists()


def test_a_name_that_is_taken_is_an_error_and_stays(named):
    with NetworkNamespace.create(named) as first:
        before = descriptors()
        with pytest.raises(KernelError, match=f"/run/netns/{named}: File exists"):
            NetworkNamespace.create(named)
        assert descriptors() == before
        with NetworkNamespace.open(named) as still:
            assert still.id == first.id


@pytest.mark.parametrize("taken", [False, True])
def test_ctrl_c_while_a_namespace_is_named_leaves_no_name_of_it(named, monkeypatch, taken):
    """The signal's handler runs when the core has returned."""
    bind = native.bind
    if taken:
        NetworkNamespace.create(named).close()

    def interrupted(fd, path):
        with contextlib.suppress(KernelError):
            bind(fd, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(native, "bind", interrupted)
    with pytest.raises(KeyboardInterrupt):
        NetworkNamespace.create(named)
    assert NetworkNamespace.names() == ([named] if taken else [])
    assert os.path.lexists(f"/run/netns/{named}") == taken


@pytest.mark.parametrize("name", [".", "..", "a/b", "a\0b", "x" * 256, 7, b"bytes"])
def test_what_can_not_be_a_name_is_refused(name):
    with pytest.raises(ValueError, match="one file name of 1 to 255 bytes"):
        NetworkNamespace.create(name)
    with pytest.raises(ValueError, match="one file name of 1 to 255 bytes"):
        NetworkNamespace.delete(name)


def test_a_file_under_run_netns_that_is_not_a_namespace_is_not_a_name(named):
    Path("/run/netns").mkdir()
    file = Path("/run/netns", named)
    file.write_text("of another program")
    try:
        assert named not in NetworkNamespace.names()
        with pytest.raises(KernelError, match="must be a network namespace or a pidfd"):
            NetworkNamespace.open(named)
        with pytest.raises(KernelError, match="must be a network namespace or a pidfd"):
            NetworkNamespace.delete(named)
        assert file.exists()
    finally:
        file.unlink()


@pytest.fixture(params=["file", "file of mode 644", "link to nothing"])
def stale(request, named):
    """A name under which an interrupted `ip netns add`, or an ended process, left something."""
    Path("/run/netns").mkdir()
    path = Path("/run/netns", named)
    if request.param == "link to nothing":
        path.symlink_to("/proc/4194305/ns/net")  # no process can have this id
    else:
        path.touch(mode=0o644 if "644" in request.param else 0)
    return named


def test_a_stale_name_is_reported_by_create_and_removed_by_delete(stale):
    with pytest.raises(KernelError, match=r"stale.*NetworkNamespace\.delete\('blue'\)") as raised:
        NetworkNamespace.create(stale)
    assert raised.value.errno == errno.EEXIST
    assert stale not in NetworkNamespace.names()
    NetworkNamespace.delete(stale)
    assert not os.path.lexists(f"/run/netns/{stale}")
    with NetworkNamespace.create(stale) as namespace, NetworkNamespace.open(stale) as twin:
        assert namespace.id == twin.id


@pytest.mark.parametrize("kind", ["a bind mount", "a folder", "a link to a file"])
def test_what_another_program_put_under_a_name_is_not_stale(named, kind, tmp_path):
    Path("/run/netns").mkdir()
    path, other = Path("/run/netns", named), tmp_path / "other"
    other.touch()
    if kind == "a folder":
        path.mkdir()
    elif kind == "a link to a file":
        path.symlink_to(other)
    else:
        path.touch()
        assert run(["mount", "--bind", str(other), str(path)]).returncode == 0
    with pytest.raises(KernelError):
        NetworkNamespace.delete(named)
    with pytest.raises(KernelError, match="File exists") as raised:
        NetworkNamespace.create(named)
    assert "stale" not in raised.value.hint
    assert os.path.lexists(path)


def test_a_namespace_of_another_kind_under_run_netns_is_not_a_name(named):
    Path("/run/netns").mkdir()
    file = Path("/run/netns", named)
    file.touch()
    try:
        assert run(["mount", "--bind", "/proc/self/ns/uts", str(file)]).returncode == 0
        assert named not in NetworkNamespace.names()
        with pytest.raises(KernelError, match="must be a network namespace or a pidfd"):
            NetworkNamespace.open(named)
        assert run(["umount", str(file)]).returncode == 0
    finally:
        file.unlink()


def test_there_are_no_names_where_there_is_no_directory(monkeypatch):
    monkeypatch.setattr("pynetstrat._native.netns.RUN_NETNS", "/no/such/directory")
    assert NetworkNamespace.names() == []


def test_a_name_on_which_a_namespace_is_mounted_more_than_once_is_deleted(named):
    NetworkNamespace.create(named).close()
    path = f"/run/netns/{named}"
    for _ in range(2):
        _syscalls.mount(path, path, None, _syscalls.MS_BIND)
    NetworkNamespace.delete(named)
    assert not Path(path).exists()


def test_deleting_a_name_that_there_is_not_is_an_error():
    with pytest.raises(KernelError, match="/run/netns/pynetstrat-test-none: No such file"):
        NetworkNamespace.delete("pynetstrat-test-none")


def test_a_missing_path_and_one_that_is_not_a_namespace_are_told_apart(tmp_path):
    with pytest.raises(KernelError) as raised:
        NetworkNamespace.open("/no/such/namespace")
    assert (raised.value.errno, raised.value.filename) == (2, "/no/such/namespace")
    (tmp_path / "file").touch()
    with pytest.raises(KernelError) as raised:
        NetworkNamespace.open(tmp_path / "file")
    assert (raised.value.errno, raised.value.filename) == (22, str(tmp_path / "file"))
    assert "must be a network namespace or a pidfd" in raised.value.hint


def test_every_form_of_a_namespace_opens_the_same(net, named):
    with NetworkNamespace.create(named) as first, first.popen(["sleep", "60"]) as process:
        pidfd = os.pidfd_open(process.pid)
        path = f"/run/netns/{named}"
        forms = [first, first.fileno(), named, named.encode(), path, Path(path), pidfd]
        forms.append(f"/proc/{process.pid}/ns/net")
        for form in forms:
            with NetworkNamespace.open(form) as other:
                assert other.id == first.id
                assert other.fileno() != first.fileno()
                assert not os.get_inheritable(other.fileno())
                assert other.name == ("" if type(form) is int or "/proc" in str(form) else named)
        with NetworkNamespace.of_process(process.pid) as other:
            assert other.id == first.id
        os.close(pidfd)
        process.kill()


def test_the_pid_of_a_process_that_is_given_as_a_descriptor_gets_a_hint(net):
    pid = os.getpid()
    with pytest.raises(KernelError, match=rf"NetworkNamespace\.of_process\({pid}\)"):
        NetworkNamespace.open(pid)


def test_the_namespace_of_a_process_that_there_is_not_is_an_error():
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(KernelError, match=f"No such process; process {process.pid} does not exist"):
        NetworkNamespace.of_process(process.pid)


@pytest.mark.parametrize("pid", [True, False, 1.0, 1.9, "1", None])
def test_the_id_of_a_process_that_is_not_an_integer_is_refused(pid):
    with pytest.raises(TypeError, match="integer"):
        NetworkNamespace.of_process(pid)
    if pid is not None:
        with pytest.raises(TypeError, match="integer"):
            Veth().create(veth(), nspid=pid)


class _Descriptor:
    def __init__(self, fd):
        self._fd = fd

    def fileno(self):
        return self._fd


def _execute(batch):
    with RtnetlinkSocket() as sock:
        sock.execute(batch)


@pytest.mark.parametrize("fd", [True, 3.0, _Descriptor(True), _Descriptor(3.0), _Descriptor("3")])
@pytest.mark.parametrize(
    "use",
    [
        NetworkNamespace.open,
        RtnetlinkSocket,
        lambda netns: link_set_up("lo", netns=netns),
        lambda netns: _execute(Batch().add_veth("h0", "eth0", netns=netns)),
        lambda netns: _execute(Batch().set_link("lo", netns=netns)),
        lambda netns: get_network_interface_stats("lo", netns=netns),
        lambda netns: SysfsReader("lo", netns=netns),
        lambda netns: Veth().create(veth(), netns=netns),
    ],
)
def test_a_descriptor_that_is_not_an_integer_is_refused(net, fd, use):
    with pytest.raises(TypeError, match="an open descriptor"):
        use(fd)


def test_the_pidfd_of_a_process_that_has_ended_is_an_error():
    process = subprocess.Popen(["true"])
    pidfd = os.pidfd_open(process.pid)
    try:
        process.wait()
        with pytest.raises(KernelError, match="No such process"):
            NetworkNamespace.open(pidfd)
    finally:
        os.close(pidfd)


def test_current_is_that_of_the_calling_thread(net):
    with NetworkNamespace.current() as here, NetworkNamespace.create() as blue:
        assert here.id == identity()
        with blue.call(NetworkNamespace.current) as there:
            assert there.id == blue.id


def test_a_closed_descriptor_is_an_error():
    with pytest.raises(KernelError, match="Bad file descriptor"):
        NetworkNamespace.open(987_654)


def test_without_cap_sys_admin_nothing_is_made_and_the_capability_is_named(net):
    with without(CAP_SYS_ADMIN), pytest.raises(PermissionDeniedError, match="CAP_SYS_ADMIN"):
        NetworkNamespace.create()


def test_without_cap_sys_admin_nobody_enters_and_the_capability_is_named(net):
    with NetworkNamespace.create() as namespace, without(CAP_SYS_ADMIN):
        for use in (lambda: namespace.call(os.getpid), lambda: namespace.run(["true"])):
            with pytest.raises(PermissionDeniedError, match="CAP_SYS_ADMIN"):
                use()


# ---- what it is ----


def test_a_cookie_is_never_used_twice_and_the_same_for_every_handle(net):
    seen = set()
    for _ in range(5):
        with NetworkNamespace.create() as namespace, NetworkNamespace.open(namespace) as twin:
            assert namespace.cookie == twin.cookie
            assert namespace.cookie == namespace.cookie
            seen.add(namespace.cookie)
    assert len(seen) == 5


def test_a_representation_says_what_where_and_whether_it_is_closed(net, named):
    namespace = NetworkNamespace.create(named)
    inode = namespace.id[1]
    assert repr(namespace) == f"<NetworkNamespace /run/netns/{named} (inode {inode})>"
    with NetworkNamespace.open(namespace) as twin:
        assert repr(twin) == repr(namespace)
    namespace.close()
    assert repr(namespace) == f"<NetworkNamespace /run/netns/{named} (inode {inode}), closed>"
    with NetworkNamespace.create() as anonymous:
        assert repr(anonymous) == f"<NetworkNamespace a new namespace (inode {anonymous.id[1]})>"


def test_a_closed_handle_refuses_use_and_closes_twice(net):
    namespace = NetworkNamespace.create()
    namespace.close()
    namespace.close()
    uses = [
        namespace.fileno,
        lambda: namespace.cookie,
        lambda: namespace.call(os.getpid),
        lambda: namespace.popen(["true"]),
        lambda: namespace.run(["true"]),
        lambda: NetworkNamespace.open(namespace),
        lambda: RtnetlinkSocket(namespace),
    ]
    for use in uses:
        with pytest.raises(KernelError, match="this NetworkNamespace is closed"):
            use()
    assert namespace.id  # what was known is known still


def test_a_handle_that_nobody_closed_is_reported_and_closed(net):
    before = descriptors()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        NetworkNamespace.create()
        gc.collect()
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert "unclosed <NetworkNamespace a new namespace" in str(caught[0].message)
    assert descriptors() == before


_EXIT = """
import builtins, os, sys, threading
import pynetstrat
from pynetstrat.cli import sandbox
sandbox.enter()
namespace = pynetstrat.NetworkNamespace.create()
handles = [
    namespace,
    pynetstrat.RtnetlinkSocket(namespace),
    pynetstrat.RtnetlinkSocket(),
    pynetstrat.SysfsReader("lo"),
    pynetstrat.LinkMonitor(),
    pynetstrat.ContainerCounters(),
    pynetstrat.HostCounters(),
]
process = namespace.popen(["sleep", "600"], die_with_parent=True)
# Modules are cleared in the reverse order of their import: some keep the handles for longer than
# this package's modules live.
keeper = {"this program": sys.modules["__main__"], "os": os, "threading": threading,
          "builtins": builtins, "pynetstrat": pynetstrat}[sys.argv[1]]
keeper.kept = handles
del handles, namespace
"""


@pytest.mark.parametrize("filter", ["ignore", "default", "error"])
@pytest.mark.parametrize("keeper", ["this program", "os", "threading", "builtins", "pynetstrat"])
def test_handles_that_are_open_when_the_interpreter_exits_give_a_warning_at_most(keeper, filter):
    warning = f"{filter}::ResourceWarning"
    done = run([sys.executable, "-W", warning, "-c", _EXIT, keeper])
    assert (done.returncode, done.stdout) == (0, "")
    assert "NoneType" not in done.stderr
    errors = [
        line for line in done.stderr.splitlines() if re.match(r"\w+(Error|Exception)\b", line)
    ]
    assert errors == []
    if filter == "ignore":
        assert done.stderr == ""


def test_a_handle_can_not_be_pickled_or_copied(net):
    with NetworkNamespace.create() as namespace:
        for copy_it in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="can't be copied or pickled: open it again"):
                copy_it(namespace)


def test_a_handle_works_in_a_forked_child(net):
    with NetworkNamespace.create() as namespace:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                there = namespace.call(identity) == namespace.id
                ran = namespace.run(["true"]).returncode == 0
                os.write(writer, b"yes" if there and ran else b"no")
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            assert answers.read() == b"yes"
        os.waitpid(pid, 0)
        assert namespace.call(identity) == namespace.id


# ---- call ----


def test_a_function_runs_in_the_namespace_and_its_caller_stays_where_it_was(net):
    with NetworkNamespace.create() as namespace:
        before = identity()
        assert namespace.call(identity) == namespace.id
        assert namespace.call(lambda *values: values, 1, 2) == (1, 2)
        assert namespace.call(dict, [("a", 1)], function=2) == {"a": 1, "function": 2}
        assert identity() == before


def test_the_error_of_a_function_comes_through_and_the_caller_stays_where_it_was(net):
    class SpecialError(Exception):
        pass

    def fail() -> None:
        raise SpecialError("from there")

    with NetworkNamespace.create() as namespace:
        before = identity()
        with pytest.raises(SpecialError, match="from there"):
            namespace.call(fail)
        for kind in (SystemExit, KeyboardInterrupt):
            with pytest.raises(kind):
                namespace.call(_raise, kind)
        assert identity() == before
        assert namespace.call(identity) == namespace.id


def _raise(kind: type[BaseException]) -> None:
    raise kind


def test_no_thread_is_left_and_none_of_the_callers_has_moved(net):
    def tasks() -> dict[str, int]:
        """The network namespace of each thread, of pytest-xdist's own as well."""
        found = {}
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                found[task.name] = (task / "ns/net").stat().st_ino
        return found

    with NetworkNamespace.create() as namespace:
        before, threads = tasks(), threading.active_count()
        for _ in range(20):
            namespace.call(identity)
            namespace.run(["true"])
        assert threading.active_count() == threads
        # The kernel's end of a thread comes after Python's.
        support.wait_until(lambda: tasks() == before)


@pytest.mark.parametrize(
    "arguments",
    [
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET6, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_STREAM),
        (socket.AF_PACKET, socket.SOCK_RAW),
        (socket.AF_NETLINK, socket.SOCK_RAW),
    ],
)
def test_a_socket_that_is_opened_there_stays_there(net, arguments):
    with (
        NetworkNamespace.create() as namespace,
        namespace.call(socket.socket, *arguments) as sock,
    ):
        cookie = int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, 71, 8), sys.byteorder)
        assert cookie == namespace.cookie  # SO_NETNS_COOKIE


def test_an_abstract_unix_socket_and_a_bound_packet_socket_belong_to_the_namespace(net):
    with NetworkNamespace.create() as namespace, RtnetlinkSocket(namespace) as sock:
        sock.execute(Batch().add_veth("only-there", "peer"))
        with namespace.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW) as packets:
            packets.bind(("only-there", 0))
        with (
            namespace.call(socket.socket, socket.AF_UNIX) as there,
            socket.socket(socket.AF_UNIX) as here,
        ):
            there.bind("\0pynetstrat-test")
            there.listen()
            with pytest.raises(ConnectionRefusedError):
                here.connect("\0pynetstrat-test")


def test_threads_share_a_handle(net):
    with NetworkNamespace.create() as namespace:
        seen = []

        def work() -> None:
            seen.extend(namespace.call(identity) for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [namespace.id] * 80


_GREENLETS = """
import os, sys, time
def patch(library):
    if library == "gevent":
        from gevent import monkey, spawn
        monkey.patch_all()
    else:
        import eventlet
        from eventlet import spawn
        eventlet.monkey_patch()
    return spawn
if sys.argv[2] == "before":
    spawn = patch(sys.argv[1])
from pynetstrat import NetworkNamespace
from pynetstrat.cli import sandbox
if sys.argv[2] == "after":
    spawn = patch(sys.argv[1])
import subprocess, threading

def identity():
    return os.stat("/proc/thread-self/ns/net").st_ino

def watch():
    while not over:
        seen.add(identity())
        time.sleep(0)

def work(process=None):
    time.sleep(0)  # a greenlet would let the other one run here
    return identity(), threading.get_native_id()

sandbox.enter()
home, over, seen = identity(), [], set()
spawn(watch)
time.sleep(0)
command = ["stat", "-Lc", "%i", "/proc/self/ns/net"]
with NetworkNamespace.create() as namespace:
    there, thread = namespace.call(work)
    assert there == namespace.id[1] != home
    assert thread != os.getpid()
    done = namespace.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) == namespace.id[1]
    try:
        namespace.run(["sleep", "60"], timeout=0.1)
    except subprocess.TimeoutExpired:
        pass
    with namespace.popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.communicate(b"given") == (b"given", None)
    assert process.returncode == 0
    try:
        namespace.run(["false"], check=True)
    except subprocess.CalledProcessError as error:
        assert error.returncode == 1
time.sleep(0)
over.append(True)
assert seen == {home}, (seen, home)
print("whole")
"""


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_where_threading_is_patched_no_greenlet_enters_the_namespace(library, order):
    done = run([sys.executable, "-W", "ignore", "-c", _GREENLETS, library, order])
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\n", "")


def test_where_the_kernel_allows_no_thread_the_error_names_the_pid_namespace():
    code = """
import ctypes, os
from pynetstrat import KernelError, NetworkNamespace, RtnetlinkSocket, SysfsReader, link_set_up
from pynetstrat.cli import sandbox
sandbox.enter()
namespace = NetworkNamespace.create()
sandbox.unshare(0x20000000)  # CLONE_NEWPID
uses = [
    NetworkNamespace.create,
    lambda: namespace.call(os.getpid),
    lambda: namespace.popen(["true"]),
    lambda: namespace.run(["true"]),
    lambda: RtnetlinkSocket(namespace),
    lambda: link_set_up("lo", netns=namespace),
    lambda: SysfsReader("lo", netns=namespace),
]
for use in uses:
    try:
        use()
    except KernelError as error:
        print(error.errno, error.operation, "pid namespace" in error.hint, "fork" in error.hint)
pid = os.fork()
if pid == 0:  # the first process of the new pid namespace
    with NetworkNamespace.create() as other:
        os._exit(other.call(os.getpid) != 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
namespace.close()
"""
    done = python(code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "22 pthread_create True True\n" * 7 + "0\n"


# ---- popen, run ----


def _where(namespace: NetworkNamespace, **options: object) -> int:
    done = namespace.run(
        ["stat", "-Lc", "%i", "/proc/self/ns/net"], stdout=subprocess.PIPE, check=True, **options
    )
    return int(done.stdout)


def test_a_child_is_in_the_namespace_and_the_caller_is_not(net):
    with NetworkNamespace.create() as namespace:
        before = identity()
        assert _where(namespace) == namespace.id[1]
        assert identity() == before
        assert _where(namespace, close_fds=False) == namespace.id[1]  # by posix_spawn or vfork
        assert _where(namespace, preexec_fn=os.getpid) == namespace.id[1]
        assert _where(namespace, start_new_session=True) == namespace.id[1]


def test_a_child_is_waited_for_as_any_other(net):
    with NetworkNamespace.create() as namespace:
        process = namespace.popen(["sh", "-c", "read code; exit $code"], stdin=subprocess.PIPE)
        assert process.poll() is None
        process.communicate(b"7\n")
        assert process.returncode == 7
        with namespace.popen(["sleep", "60"]) as process:
            process.send_signal(signal.SIGTERM)
        assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("blocked", [set(), {signal.SIGUSR1, signal.SIGTERM}])
def test_a_child_has_the_signal_mask_of_the_caller(net, blocked):
    with NetworkNamespace.create() as namespace:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            script = ["grep", "^SigBlk", "/proc/self/status"]
            here = subprocess.run(script, capture_output=True, check=True).stdout
            there = namespace.run(script, capture_output=True, check=True).stdout
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert there == here
        assert (int(there.split()[1], 16) != 0) == bool(blocked)


def test_a_child_has_the_directory_and_umask_that_the_caller_has_at_that_moment(net, tmp_path):
    script = "pwd; umask"
    before, mask = Path.cwd(), os.umask(0o22)
    try:
        with NetworkNamespace.create() as namespace:
            for folder in (tmp_path, Path("/")):
                os.chdir(folder)
                os.umask(0o27 if folder == tmp_path else 0o77)
                there = namespace.run(script, shell=True, capture_output=True).stdout
                assert there == subprocess.run(script, shell=True, capture_output=True).stdout
    finally:
        os.chdir(before)
        os.umask(mask)


_PDEATHSIG = "import ctypes; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"  # PR_SET_PDEATHSIG, SIGKILL


def test_a_child_that_asks_to_die_with_its_parent_lives_as_long_as_that(net):
    with NetworkNamespace.create() as namespace:
        for _ in range(10):
            done = namespace.run(
                ["cat"], input=b"x" * 100_000, stdout=-1, preexec_fn=support.die_with_parent
            )
            assert (done.returncode, len(done.stdout)) == (0, 100_000)
        command = [sys.executable, "-c", _PDEATHSIG + "print(input())"]
        with namespace.popen(command, stdin=-1, stdout=-1) as process:
            assert process.communicate(b"alive\n")[0] == b"alive\n"


_PARENT = """
import os, signal, sys
from pynetstrat import NetworkNamespace
from pynetstrat.cli import sandbox
sandbox.enter()
def prepare():
    os.setresuid(0, 0, 0)
with NetworkNamespace.create() as namespace:
    options = {"preexec_fn": prepare} if sys.argv[1] == "preexec_fn" else {}
    process = namespace.popen(["sleep", "600"], die_with_parent=True, **options)
    print("ready", flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("way", ["", "preexec_fn"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_with_die_with_parent_is_killed_with_it(way, number):
    command = [sys.executable, "-c", _PARENT, way]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout.readline() == b"ready\n"
        parent.send_signal(number)
        assert parent.wait() == -number
        # The child has the other end of the pipe, too.
        assert select.select([parent.stdout], [], [], 60)[0], "the child lives"
        assert parent.stdout.read() == b""


def test_a_child_with_die_with_parent_outlives_the_thread_that_started_it(net):
    with NetworkNamespace.create() as namespace:
        started = []

        def start():
            started.append(namespace.popen(["cat"], stdin=-1, stdout=-1, die_with_parent=True))

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        with started[0] as process:
            assert process.communicate(b"alive")[0] == b"alive"
        assert process.returncode == 0


def test_the_thread_of_a_child_does_not_keep_the_namespace_alive(net, new_namespace):
    """The child moves on to another namespace, and so nothing is left in the first one."""
    other = new_namespace()
    script = "import os, sys; os.read(0, 1)"
    with RtnetlinkSocket() as host:
        namespace = NetworkNamespace.create()
        host.execute(Batch().add_veth("h0", "eth0", netns=namespace))
        with namespace.popen(
            [sys.executable, "-c", script],
            stdin=-1,
            preexec_fn=lambda: sandbox.setns(other, sandbox.CLONE_NEWNET),
        ) as process:
            namespace.close()
            support.wait_until(lambda: "h0" not in host.dump_links())
            assert process.poll() is None


def test_the_thread_of_a_child_takes_no_signals_and_ends_with_the_child(net):
    def tasks():
        return {entry.name for entry in Path("/proc/self/task").iterdir()}

    before = tasks()
    with NetworkNamespace.create() as namespace:
        with namespace.popen(["cat"], stdin=-1, stdout=-1):
            (thread,) = tasks() - before
            blocked = 0

            def blocks_sigterm():
                nonlocal blocked
                status = Path(f"/proc/self/task/{thread}/status").read_text()
                (line,) = [line for line in status.splitlines() if line.startswith("SigBlk:")]
                blocked = int(line.split()[1], 16)
                return blocked & 1 << signal.SIGTERM - 1

            support.wait_until(blocks_sigterm)
        support.wait_until(lambda: tasks() <= before)


def test_the_arguments_of_a_child_are_let_go_of_while_it_lives(net):
    class Options(dict):
        pass

    environment = Options(os.environ)
    gone = weakref.ref(environment)
    with (
        NetworkNamespace.create() as namespace,
        namespace.popen(["cat"], stdin=-1, env=environment),
    ):
        del environment
        gc.collect()
        assert gone() is None


# ---- /etc/netns ----


@pytest.fixture
def etc(named):
    """The folder /etc/netns/NAME, in an /etc that this test alone sees."""
    support.mount("tmpfs", Path("/mnt"), "tmpfs")
    work, upper = Path("/mnt/work"), Path("/mnt/upper")
    work.mkdir()
    upper.mkdir()
    options = f"lowerdir=/etc,upperdir={upper},workdir={work}"
    done = run(["mount", "-t", "overlay", "-o", options, "overlay", "/etc"])
    assert done.returncode == 0, done.stderr
    folder = Path("/etc/netns", named)
    folder.mkdir(parents=True)
    yield folder
    support.unmount("/etc")
    support.unmount("/mnt")


def test_a_child_in_a_named_namespace_has_its_files_of_etc_netns(etc, named):
    (etc / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    (etc / "hosts").write_text("192.0.2.2 there\n")
    before = {name: Path("/etc", name).read_text() for name in ("resolv.conf", "hosts", "passwd")}
    command = ["cat", "/etc/resolv.conf", "/etc/hosts", "/etc/passwd"]
    expected = "nameserver 192.0.2.1\n192.0.2.2 there\n" + before["passwd"]
    mounts = Path("/proc/self/mountinfo").read_text()
    with NetworkNamespace.create(named) as namespace, NetworkNamespace.open(named) as twin:
        for handle in (namespace, twin):
            assert handle.run(command, capture_output=True, text=True).stdout == expected
        with twin.popen(command, stdout=-1, text=True, cwd="/") as process:
            assert process.communicate()[0] == expected
        assert namespace.call(Path("/etc/hosts").read_text) == before["hosts"]
    assert run(["ip", "netns", "exec", named, *command]).stdout == expected
    assert {name: Path("/etc", name).read_text() for name in before} == before
    assert Path("/proc/self/mountinfo").read_text().count(" /etc/") == mounts.count(" /etc/")


def test_a_child_keeps_directory_and_umask_beside_files_of_etc_netns(etc, named, tmp_path):
    (etc / "hosts").write_text("192.0.2.2 there\n")
    before, mask = Path.cwd(), os.umask(0o27)
    try:
        with NetworkNamespace.create(named) as namespace:
            os.chdir(tmp_path)
            script = "cat /etc/hosts; pwd; umask"
            there = namespace.run(script, shell=True, capture_output=True, text=True).stdout
            assert there == f"192.0.2.2 there\n{tmp_path}\n0027\n"
            namespace.run(["touch", "made"])
            assert (tmp_path / "made").exists()
    finally:
        os.chdir(before)
        os.umask(mask)


def test_a_file_of_etc_netns_without_a_counterpart_is_named_in_a_warning(etc, named):
    (etc / "hosts").write_text("192.0.2.2 there\n")
    (etc / "no-such-file").touch()
    with NetworkNamespace.create(named) as namespace:
        with pytest.warns(RuntimeWarning, match="mount /etc/no-such-file: No such file") as caught:
            done = namespace.run(["cat", "/etc/hosts"], capture_output=True, text=True)
        assert len(caught) == 1
        assert done.stdout == "192.0.2.2 there\n"


def test_a_namespace_without_a_name_has_the_files_of_its_caller(etc, named):
    (etc / "hosts").write_text("192.0.2.2 there\n")
    here = Path("/etc/hosts").read_text()
    with (
        NetworkNamespace.create(named) as namespace,
        NetworkNamespace.create() as anonymous,
        NetworkNamespace.open(namespace.fileno()) as twin,
    ):
        for handle in (anonymous, twin):
            done = handle.run(["cat", "/etc/hosts"], capture_output=True, text=True)
            assert done.stdout == here


def test_a_program_that_there_is_not_is_the_error_of_subprocess(net):
    with NetworkNamespace.create() as namespace:
        before = descriptors()
        with pytest.raises(FileNotFoundError, match="no-such-program"):
            namespace.popen(["no-such-program"])
        with pytest.raises(FileNotFoundError, match="no-such-program"):
            namespace.run(["no-such-program"], capture_output=True)
        assert descriptors() == before


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["cat"], {"input": b"given", "capture_output": True}),
        (["cat"], {"input": "given", "capture_output": True, "text": True}),
        (["sh", "-c", "echo out; echo err >&2; exit 3"], {"capture_output": True}),
        ("echo $0", {"shell": True, "stdout": subprocess.PIPE, "encoding": "ascii"}),
        (["pwd"], {"cwd": "/", "stdout": subprocess.PIPE}),
        (["env"], {"env": {"A": "b"}, "stdout": subprocess.PIPE}),
        (["sh", "-c", "kill -9 $$"], {}),
    ],
)
def test_run_gives_what_subprocess_run_gives(net, arguments, options):
    with NetworkNamespace.create() as namespace:
        ours, theirs = namespace.run(arguments, **options), subprocess.run(arguments, **options)
    assert vars(ours) == vars(theirs)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["sh", "-c", "echo out; exit 3"], {"check": True, "capture_output": True}),
        # What the grandchild holds open is not waited for.
        (["sh", "-c", "echo out; sleep 3 & wait"], {"timeout": 0.5, "capture_output": True}),
        (["true"], {"input": b"", "stdin": subprocess.DEVNULL}),
        (["true"], {"capture_output": True, "stdout": subprocess.DEVNULL}),
    ],
)
def test_run_fails_as_subprocess_run_fails(net, arguments, options):
    with NetworkNamespace.create() as namespace:
        with pytest.raises(Exception) as ours:
            namespace.run(arguments, **options)
        with pytest.raises(Exception) as theirs:
            subprocess.run(arguments, **options)
    assert type(ours.value) is type(theirs.value)
    if not isinstance(ours.value, ValueError):
        assert vars(ours.value) == vars(theirs.value)


def test_a_timeout_ends_the_child(net):
    with NetworkNamespace.create() as namespace:
        with pytest.raises(subprocess.TimeoutExpired):
            namespace.run(["sleep", "60"], timeout=0.1)
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


def test_no_descriptor_is_left_by_any_of_it(net):
    before = descriptors()
    with NetworkNamespace.create() as namespace:
        for _ in range(10):
            namespace.call(identity)
            namespace.run(["cat"], input=b"x", capture_output=True)
            NetworkNamespace.open(namespace).close()
            NetworkNamespace.current().close()
            assert namespace.cookie
    assert descriptors() == before


# ---- Ctrl-C ----


@pytest.fixture
def interrupt():
    """Sends SIGINT to the process after a while; the test waits for it."""
    timers = []

    def after(seconds: float) -> None:
        timers.append(threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)))
        timers[-1].start()

    yield after
    for timer in timers:
        timer.join()


def test_ctrl_c_ends_a_call_that_waits(net, interrupt):
    gate = threading.Event()
    with NetworkNamespace.create() as namespace:
        before = identity()
        with pytest.raises(KeyboardInterrupt):
            interrupt(0.2)  # in here: it may come before the call
            namespace.call(gate.wait, 60)
        assert identity() == before
        gate.set()
        for thread in threading.enumerate():
            if thread.name == "pynetstrat":
                thread.join()


def test_ctrl_c_ends_a_run_and_its_child(net, interrupt):
    with NetworkNamespace.create() as namespace:
        with pytest.raises(KeyboardInterrupt):
            interrupt(0.3)
            namespace.run(["sleep", "60"])
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


def test_ctrl_c_while_a_child_is_started_leaves_none(net, interrupt):
    """The fork takes long because of a preexec_fn."""
    before = descriptors()
    with NetworkNamespace.create() as namespace:
        with pytest.raises(KeyboardInterrupt):
            interrupt(0.2)
            namespace.popen(["sleep", "60"], preexec_fn=lambda: time.sleep(1), stdout=-1, stdin=-1)
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
    assert descriptors() == before


def test_ctrl_c_at_the_terminal_reaches_the_child_as_well(net):
    code = """
import signal, sys
from pynetstrat import NetworkNamespace
from pynetstrat.cli import sandbox
signal.signal(signal.SIGINT, signal.default_int_handler)
sandbox.enter()
with NetworkNamespace.create() as namespace:
    child = "import signal, sys; signal.signal(2, lambda *_: sys.exit(42)); "
    child += "print(1, flush=True); signal.pause()"
    process = namespace.popen([sys.executable, "-c", child], stdout=-1, text=True)
    process.stdout.readline()
    try:
        print("ready", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        with process:
            pass
        print("child:", process.returncode)
"""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "child: 42\n"
    assert process.returncode == 0


# ---- without files ----


def test_a_handle_is_opened_and_used_after_a_chroot_into_nothing(net, tmp_path):
    code = """
import os, sys
import pynetstrat
from pynetstrat.cli import sandbox
sandbox.enter()
NetworkNamespace, RtnetlinkSocket = pynetstrat.NetworkNamespace, pynetstrat.RtnetlinkSocket
os.chroot(sys.argv[1])
os.chdir("/")
with NetworkNamespace.current() as here:
    with NetworkNamespace.open(here) as twin, NetworkNamespace.open(here.fileno()) as other:
        assert twin.id == other.id == here.id
        with here.call(NetworkNamespace.current) as current:
            assert current.id == here.id
        assert here.cookie == twin.cookie
        with RtnetlinkSocket(twin) as sock:
            print(list(sock.dump_links()))
assert NetworkNamespace.names() == []
"""
    done = python(code, str(tmp_path))
    assert (done.stdout, done.stderr) == ("['lo']\n", "")


def test_names_of_this_package_are_all_that_a_user_needs(named):
    """The whole of it: a namespace, a link in it, a child that sees it."""
    with NetworkNamespace.create(named) as namespace, RtnetlinkSocket(namespace) as sock:
        sock.execute(Batch().add_link("ifb7", "ifb"))
        done = namespace.run(["ip", "-brief", "link"], capture_output=True, text=True)
        assert "ifb7" in done.stdout
        assert names(namespace) == {"lo", "ifb7"}
