"""cli/_fresh_namespaces.py: a process enters fresh namespaces."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import support

from pynetstrat import KernelError
from pynetstrat.cli import _fresh_namespaces

_ENTER = """
import os
from pathlib import Path
from pynetstrat import RtnetlinkSocket
from pynetstrat.cli import _fresh_namespaces

def names():
    return {os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "mnt")}

for limit in LIMITS:
    before = names()
    if limit is not None:
        Path("/proc/sys/user/max_user_namespaces").write_text(limit)
    _fresh_namespaces.enter()
    assert not before & names()
    with RtnetlinkSocket() as rtnetlink:
        assert list(rtnetlink.dump_stats()) == ["lo"]
        assert not rtnetlink.link_is_up("lo")
    assert os.listdir("/sys/class/net") == ["lo"]
    print(os.geteuid(), os.getegid(), *Path("/proc/self/uid_map").read_text().split())
"""


def test_enter_moves_the_process_into_fresh_namespaces(net):
    net.add_veth("v0", "w0")
    done = support.fork_python(_ENTER.replace("LIMITS", "[None]"))
    assert (done.stdout, done.stderr) == ("0 0 0 0 1\n", "")
    assert sorted(os.listdir("/sys/class/net")) == ["lo", "v0", "w0"]  # noqa: PTH208


def test_a_privileged_process_needs_no_user_namespace():
    """The test sets the limit of its own user namespace."""
    done = support.fork_python(_ENTER.replace("LIMITS", "[None, '0']"))
    assert (done.stdout, done.stderr) == ("0 0 0 0 1\n" * 2, "")


def test_the_error_says_what_to_allow_if_all_namespaces_are_refused():
    code = """
from pathlib import Path
from pynetstrat import KernelError
from pynetstrat.cli import _fresh_namespaces
_fresh_namespaces.enter()
Path("/proc/sys/user/max_net_namespaces").write_text("0")
try:
    _fresh_namespaces.enter()
except KernelError as error:
    print(error)
"""
    done = support.fork_python(code)
    assert done.stderr == ""
    assert done.stdout == (
        "unshare: No space left on device; user.max_net_namespaces is 0: "
        "sysctl user.max_net_namespaces=10000\n"
    )


def test_the_error_says_what_to_allow_if_privileges_are_missing_too():
    code = """
from pathlib import Path
from pynetstrat import KernelError
from pynetstrat.cli import _fresh_namespaces
_fresh_namespaces.enter()
Path("/proc/sys/user/max_user_namespaces").write_text("1")
_fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWUSER)  # unmapped, so without privileges
try:
    _fresh_namespaces.enter()
except KernelError as error:
    print(error)
"""
    done = support.fork_python(code)
    assert done.stderr == ""
    assert done.stdout.startswith("unshare: No space left on device; a limit is reached: user.max_")
    assert "the limit of an outer user namespace" in done.stdout


@pytest.mark.slow
def test_the_test_suite_fails_if_namespaces_are_refused():
    """It is not skipped, and says what to allow."""
    code = """
import os, sys
from pathlib import Path
from pynetstrat.cli import _fresh_namespaces
_fresh_namespaces.enter()
Path("/proc/sys/user/max_net_namespaces").write_text("0")
os.execv(sys.executable, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                          "tests/test_errors.py"])
"""
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = support.python(code, env=environment)
    assert done.returncode == 1
    assert "the tests need namespaces of their own: unshare: No space left" in done.stdout
    assert "passed" not in done.stdout


@pytest.mark.parametrize(
    ("call", "operation", "code"),
    [
        (lambda: _fresh_namespaces.unshare(-1), "unshare", errno.EINVAL),
        (lambda: _fresh_namespaces.setns(-1), "setns", errno.EBADF),
        (lambda: _fresh_namespaces.mount_sysfs("/nowhere"), "mount", errno.ENOENT),
    ],
)
def test_the_error_names_the_refused_call(call, operation, code):
    with pytest.raises(KernelError) as caught:
        call()
    assert (caught.value.operation, caught.value.errno) == (operation, code)


def test_sysfs_shows_the_namespace_in_which_it_was_mounted(net, tmp_path, new_namespace):
    """rtnetlink uses the namespace of the thread instead."""
    net.add_veth("v0", "w0")
    with support.inside(new_namespace()):
        assert sorted(os.listdir("/sys/class/net")) == ["lo", "v0", "w0"]  # noqa: PTH208
        _fresh_namespaces.mount_sysfs(str(tmp_path))
        try:
            assert [path.name for path in (tmp_path / "class" / "net").iterdir()] == ["lo"]
        finally:
            support.unmount(str(tmp_path))
    assert Path("/sys/class/net/v0").exists()


def test_the_error_names_the_file_of_proc_that_cannot_be_written():
    code = """
from pathlib import Path
from pynetstrat import KernelError
from pynetstrat.cli import _fresh_namespaces

def refuse(path, text):
    raise FileNotFoundError(2, "No such file or directory", str(path))

Path.write_text = refuse
try:
    _fresh_namespaces.enter()
except KernelError as error:
    print(error)
"""
    done = support.fork_python(code)
    assert done.stdout.startswith("write /proc/self/setgroups: No such file or directory; run as")
