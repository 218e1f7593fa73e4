"""`popen` and `run` with files and a /sys of the child's own."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import support

from pynetstrat import Batch, KernelError, NetworkNamespace, RtnetlinkSocket


def read(namespace, *paths, **options):
    return namespace.run(["cat", *paths], capture_output=True, text=True, **options).stdout


@pytest.fixture
def namespace(net):
    with NetworkNamespace.create() as made:
        yield made


@pytest.fixture
def resolver(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.7\n")
    return file


# ---- /etc/resolv.conf ----


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_a_child_has_the_resolv_conf_that_was_given_and_no_other_process(namespace, resolver, kind):
    before = Path("/etc/resolv.conf").read_text()
    given = kind(resolver)
    assert read(namespace, "/etc/resolv.conf", resolv_conf=given) == "nameserver 192.0.2.7\n"
    assert Path("/etc/resolv.conf").read_text() == before
    assert read(namespace, "/etc/resolv.conf") == before
    with namespace.popen(["cat"], stdin=-1, resolv_conf=given) as process:
        assert Path("/etc/resolv.conf").read_text() == before
        of_child = Path(f"/proc/{process.pid}/root/etc/resolv.conf")
        assert of_child.read_text() == "nameserver 192.0.2.7\n"


def test_a_relative_resolv_conf_is_found_from_the_working_directory(
    namespace, resolver, monkeypatch
):
    monkeypatch.chdir(resolver.parent)
    text = read(namespace, "/etc/resolv.conf", resolv_conf=resolver.name, cwd="/")
    assert text == "nameserver 192.0.2.7\n"


def test_the_given_resolv_conf_comes_before_that_of_etc_netns(etc, named, resolver):
    (etc / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    (etc / "hosts").write_text("192.0.2.2 inside\n")
    with NetworkNamespace.create(named) as namespace:
        text = read(namespace, "/etc/resolv.conf", "/etc/hosts", resolv_conf=resolver)
    assert text == "nameserver 192.0.2.7\n192.0.2.2 inside\n"


@pytest.mark.parametrize(
    ("given", "number"), [("no-such-file", errno.ENOENT), (".", errno.EISDIR), ("", errno.ENOENT)]
)
def test_a_missing_resolv_conf_is_an_error_and_no_child_starts(
    namespace, tmp_path, monkeypatch, given, number
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KernelError, match="resolv_conf must be an existing file") as raised:
        namespace.run(["touch", "started"], resolv_conf=given)
    assert (raised.value.errno, raised.value.filename) == (number, given)
    assert not Path("started").exists()


def test_a_resolv_conf_that_is_no_path_is_a_type_error(namespace):
    with pytest.raises(TypeError, match="resolv_conf must be a path, not 3"):
        namespace.popen(["true"], resolv_conf=3)


def test_an_etc_without_resolv_conf_is_an_error_with_the_remedy(etc, named, resolver):
    Path("/etc/resolv.conf").unlink()
    with NetworkNamespace.create(named) as namespace:
        with pytest.raises(KernelError, match=r"create /etc/resolv\.conf") as raised:
            namespace.run(["true"], resolv_conf=resolver)
        assert raised.value.errno == errno.ENOENT


# ---- /sys ----


def shown(namespace, **options):
    done = namespace.run(["ls", "/sys/class/net"], capture_output=True, text=True, **options)
    return set(done.stdout.split())


def test_a_private_sys_shows_the_namespace_to_the_child_alone(namespace):
    with RtnetlinkSocket(namespace) as sock:
        sock.execute(Batch().add_veth("inside", "peer"))
    assert shown(namespace, private_sys=True) == {"lo", "inside", "peer"}
    assert shown(namespace) == {"lo"}
    assert set(os.listdir("/sys/class/net")) == {"lo"}  # noqa: PTH208
    mounts = Path("/proc/self/mountinfo").read_text()
    with namespace.popen(["cat"], stdin=-1, private_sys=True):
        assert Path("/proc/self/mountinfo").read_text() == mounts


def test_a_private_sys_keeps_what_is_mounted_below_the_old_one(namespace):
    support.mount("none", Path("/sys/fs/cgroup"), "tmpfs")
    try:
        Path("/sys/fs/cgroup/mark").mkdir()
        script = "ls /sys/class/net /sys/fs/cgroup"
        done = namespace.run(script, shell=True, capture_output=True, text=True, private_sys=True)
        assert done.stdout.split() == ["/sys/class/net:", "lo", "/sys/fs/cgroup:", "mark"]
    finally:
        support.unmount("/sys/fs/cgroup")


def test_a_private_sys_that_is_refused_is_an_error_and_no_child_starts(net, tmp_path):
    """As in a container whose /sys is partly hidden."""
    code = f"""
from pathlib import Path
from pynetstrat import KernelError, NetworkNamespace, _syscalls
{support.MASKED}
_syscalls.unshare(_syscalls.CLONE_NEWUSER | _syscalls.CLONE_NEWNET | _syscalls.CLONE_NEWNS)
_syscalls.map_ids(0, 0, 0, 0)
with NetworkNamespace.create() as namespace:
    try:
        namespace.run(["touch", "{tmp_path}/started"], private_sys=True)
    except KernelError as error:
        print(error.operation, error.filename)
"""
    done = support.python(code)
    assert (done.stdout, done.stderr) == ("mount /sys\n", "")
    assert not (tmp_path / "started").exists()


def test_options_work_together_and_leave_no_descriptor(namespace, resolver):
    before = support.descriptors()
    script = "cat /etc/resolv.conf; ls /sys/class/net"
    for _ in range(3):
        done = namespace.run(
            script,
            shell=True,
            capture_output=True,
            text=True,
            resolv_conf=resolver,
            private_sys=True,
            die_with_parent=True,
        )
        assert done.stdout == "nameserver 192.0.2.7\nlo\n"
    assert support.descriptors() == before
