"""namespace.py: namespaces are created, opened, named and deleted; properties of a handle."""

from __future__ import annotations

import contextlib
import copy
import errno
import gc
import os
import pickle
import re
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
import support
from helpers_network import ip, veth
from support import CAP_SYS_ADMIN, descriptors, identity, python, run, without

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

# ---- created, opened, named ----


def test_a_new_namespace_has_only_lo_which_is_down(net):
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
        # A kernel worker deletes the links a little later.
        support.wait_until(lambda: "h0" not in host.dump_links())


def test_ip_netns_lists_and_deletes_a_named_namespace(named):
    with NetworkNamespace.create(named) as namespace:
        assert namespace.name == named
        assert named in NetworkNamespace.names()
        assert named in {entry["name"] for entry in ip("netns", "list")}
        done = run(["ip", "netns", "exec", named, "stat", "-Lc", "%i", "/proc/self/ns/net"])
        assert int(done.stdout) == namespace.id[1]
    assert named in NetworkNamespace.names()  # it outlives its handle
    assert run(["ip", "netns", "delete", named]).returncode == 0
    assert named not in NetworkNamespace.names()


def test_a_namespace_of_ip_netns_can_be_opened_and_deleted(named):
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


def test_creating_a_name_that_is_taken_fails_and_keeps_it(named):
    with NetworkNamespace.create(named) as first:
        before = descriptors()
        with pytest.raises(KernelError, match=f"/run/netns/{named}: File exists"):
            NetworkNamespace.create(named)
        assert descriptors() == before
        with NetworkNamespace.open(named) as still:
            assert still.id == first.id


@pytest.mark.parametrize("taken", [False, True])
def test_ctrl_c_while_a_namespace_is_named_leaves_no_name(named, monkeypatch, taken):
    """The handler of the signal runs once the core has returned."""
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
def test_an_invalid_name_is_refused(name):
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
    """A name that an interrupted `ip netns add` or an ended process has left."""
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
def test_a_file_of_another_program_is_not_stale(named, kind, tmp_path):
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


def test_there_are_no_names_without_a_directory(monkeypatch):
    monkeypatch.setattr("pynetstrat._native.netns.RUN_NETNS", "/no/such/directory")
    assert NetworkNamespace.names() == []


def test_delete_removes_a_name_with_several_mounts(named):
    NetworkNamespace.create(named).close()
    path = f"/run/netns/{named}"
    for _ in range(2):
        _syscalls.mount(path, path, None, _syscalls.MS_BIND)
    NetworkNamespace.delete(named)
    assert not Path(path).exists()


def test_deleting_a_missing_name_fails():
    with pytest.raises(KernelError, match="/run/netns/pynetstrat-test-none: No such file"):
        NetworkNamespace.delete("pynetstrat-test-none")


def test_a_missing_path_and_another_file_give_different_errors(tmp_path):
    with pytest.raises(KernelError) as raised:
        NetworkNamespace.open("/no/such/namespace")
    assert (raised.value.errno, raised.value.filename) == (2, "/no/such/namespace")
    (tmp_path / "file").touch()
    with pytest.raises(KernelError) as raised:
        NetworkNamespace.open(tmp_path / "file")
    assert (raised.value.errno, raised.value.filename) == (22, str(tmp_path / "file"))
    assert "must be a network namespace or a pidfd" in raised.value.hint


def test_every_form_of_a_namespace_opens_the_same_one(net, named):
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


def test_a_pid_given_as_a_descriptor_gets_a_hint(net):
    pid = os.getpid()
    with pytest.raises(KernelError, match=rf"NetworkNamespace\.of_process\({pid}\)"):
        NetworkNamespace.open(pid)


def test_the_namespace_of_a_missing_process_is_an_error():
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(KernelError, match=f"No such process; process {process.pid} does not exist"):
        NetworkNamespace.of_process(process.pid)


@pytest.mark.slow
def test_a_process_that_ends_while_its_namespace_is_opened_does_not_exist():
    """The kernel answers EACCES at the moment in which the process is reaped."""
    for _ in range(50):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        reaper = threading.Thread(target=os.waitpid, args=(pid, 0))
        reaper.start()
        with pytest.raises(KernelError) as raised:
            while True:
                NetworkNamespace.of_process(pid).close()
        reaper.join()
        assert raised.value.errno == errno.ESRCH


@pytest.mark.parametrize("pid", [True, False, 1.0, 1.9, "1", None])
def test_a_process_id_must_be_an_integer(pid):
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
def test_a_descriptor_must_be_an_integer(net, fd, use):
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


def test_current_opens_the_namespace_of_the_calling_thread(net):
    with NetworkNamespace.current() as own, NetworkNamespace.create() as blue:
        assert own.id == identity()
        with blue.call(NetworkNamespace.current) as inner:
            assert inner.id == blue.id


def test_a_closed_descriptor_is_an_error():
    with pytest.raises(KernelError, match="Bad file descriptor"):
        NetworkNamespace.open(987_654)


def test_create_names_the_capability_that_is_missing(net):
    with without(CAP_SYS_ADMIN), pytest.raises(PermissionDeniedError, match="CAP_SYS_ADMIN"):
        NetworkNamespace.create()


def test_call_and_run_name_the_capability_that_is_missing(net):
    with NetworkNamespace.create() as namespace, without(CAP_SYS_ADMIN):
        for use in (lambda: namespace.call(os.getpid), lambda: namespace.run(["true"])):
            with pytest.raises(PermissionDeniedError, match="CAP_SYS_ADMIN"):
                use()


# ---- properties ----


def test_an_error_of_the_cookie_names_the_namespace(net, run):
    NetworkNamespace.create("blue").close()
    with (
        NetworkNamespace.open("blue") as namespace,
        without(CAP_SYS_ADMIN),
        pytest.raises(PermissionDeniedError) as caught,
    ):
        _ = namespace.cookie
    assert caught.value.filename == "/run/netns/blue"
    NetworkNamespace.delete("blue")


def test_a_cookie_is_unique_and_the_same_for_every_handle(net):
    seen = set()
    for _ in range(5):
        with NetworkNamespace.create() as namespace, NetworkNamespace.open(namespace) as twin:
            assert namespace.cookie == twin.cookie
            assert namespace.cookie == namespace.cookie
            seen.add(namespace.cookie)
    assert len(seen) == 5


def test_a_representation_has_name_inode_and_state(net, named):
    namespace = NetworkNamespace.create(named)
    inode = namespace.id[1]
    assert repr(namespace) == f"<NetworkNamespace /run/netns/{named} (inode {inode})>"
    with NetworkNamespace.open(namespace) as twin:
        assert repr(twin) == repr(namespace)
    namespace.close()
    assert repr(namespace) == f"<NetworkNamespace /run/netns/{named} (inode {inode}), closed>"
    with NetworkNamespace.create() as anonymous:
        assert repr(anonymous) == f"<NetworkNamespace a new namespace (inode {anonymous.id[1]})>"


def test_the_text_of_a_namespace_is_its_path_or_its_inode(net, named):
    with NetworkNamespace.create(named) as namespace, NetworkNamespace.create() as anonymous:
        assert str(namespace) == f"/run/netns/{named}"
        assert str(anonymous) == f"the namespace with inode {anonymous.id[1]}"


def test_a_closed_handle_can_be_closed_again_but_not_used(net):
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
    assert namespace.id  # does not need the descriptor


def test_only_one_of_two_threads_closes_the_descriptor(net, monkeypatch):
    namespace = NetworkNamespace.create()
    closed = []

    class Core:
        @staticmethod
        def netstrat_socket_close(holder):
            closed.append(holder.fd)
            assert len(closed) == 1
            namespace.close()  # what another thread may do in the meantime
            lib.netstrat_socket_close(holder)

    lib = native.lib
    monkeypatch.setattr(native, "lib", Core)
    namespace.close()
    assert len(closed) == 1


def test_an_unclosed_handle_is_reported_and_closed(net):
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
from pynetstrat.cli import _fresh_namespaces
_fresh_namespaces.enter()
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
# At exit modules are cleared in the reverse order of their import: with some of them, the handles
# outlive the modules of this package.
keeper = {"this program": sys.modules["__main__"], "os": os, "threading": threading,
          "builtins": builtins, "pynetstrat": pynetstrat}[sys.argv[1]]
keeper.kept = handles
del handles, namespace
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keeper", "filter"),
    [
        *((keeper, "error") for keeper in ("this program", "os", "threading", "builtins")),
        *(("pynetstrat", filter) for filter in ("ignore", "default", "error")),
        ("builtins", "default"),
    ],
)
def test_handles_that_are_open_at_exit_raise_no_error(keeper, filter):
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


def test_a_handle_cannot_be_pickled_or_copied(net):
    with NetworkNamespace.create() as namespace:
        for copy_it in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="can't be copied or pickled: open another"):
                copy_it(namespace)


def test_a_handle_works_in_a_forked_child(net):
    with NetworkNamespace.create() as namespace:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                is_inside = namespace.call(identity) == namespace.id
                ran = namespace.run(["true"]).returncode == 0
                os.write(writer, b"yes" if is_inside and ran else b"no")
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            assert answers.read() == b"yes"
        os.waitpid(pid, 0)
        assert namespace.call(identity) == namespace.id


# ---- without files ----


def test_handles_work_after_a_chroot_into_an_empty_directory(net, tmp_path):
    code = """
import os, sys
import pynetstrat
from pynetstrat.cli import _fresh_namespaces
_fresh_namespaces.enter()
NetworkNamespace, RtnetlinkSocket = pynetstrat.NetworkNamespace, pynetstrat.RtnetlinkSocket
os.chroot(sys.argv[1])
os.chdir("/")
with NetworkNamespace.current() as own:
    with NetworkNamespace.open(own) as twin, NetworkNamespace.open(own.fileno()) as other:
        assert twin.id == other.id == own.id
        with own.call(NetworkNamespace.current) as current:
            assert current.id == own.id
        assert own.cookie == twin.cookie
        with RtnetlinkSocket(twin) as sock:
            print(list(sock.dump_links()))
assert NetworkNamespace.names() == []
"""
    done = python(code, str(tmp_path))
    assert (done.stdout, done.stderr) == ("['lo']\n", "")
