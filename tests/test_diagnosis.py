"""diagnosis.py, _syscalls.py, cli/diagnose.py: what is allowed, and which settings forbid it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest
import support

import pynetstrat
from pynetstrat import Finding, KernelError, NetstratError, _syscalls, diagnose

COMMAND = [sys.executable, "-W", "error", "-m", "pynetstrat", "diagnose"]


def by_name(findings):
    return {finding.name: finding for finding in findings}


def diagnose_as_user(prepare=""):
    """The findings for a user without capabilities."""
    done = support.run_as_user([*COMMAND, "--json"], prepare)
    assert (done.returncode, done.stderr) == (0, "")
    return by_name(Finding(**row) for row in json.loads(done.stdout))


# ---- diagnose ----


@pytest.mark.slow
def test_diagnose_finds_what_is_allowed(net):
    findings = by_name(diagnose())
    for name in ("AF_NETLINK", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "/sys", "network namespaces"):
        assert findings[name].allowed, findings[name]
        assert findings[name].remedy == ""
    for name in ("user namespaces", "mounting sysfs", "links of kind veth", "links of kind bridge"):
        assert findings[name].allowed, findings[name]
    assert "user.max_user_namespaces=" in findings["settings"].detail


def test_diagnose_names_chains_that_drop_forwarded_packets(net):
    chain = "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }"
    assert "forwarded traffic" not in by_name(diagnose())
    subprocess.run(["nft", f"add table ip filter; {chain}"], check=True)
    findings = by_name(diagnose())
    assert findings["nf_tables"].allowed
    assert findings["forwarding"].detail == "IPv4 off, IPv6 off"
    assert not findings["forwarded traffic"].allowed
    assert "FORWARD of the table ip filter" in findings["forwarded traffic"].detail
    assert "iptables -I FORWARD -i BRIDGE -j ACCEPT" in findings["forwarded traffic"].remedy


def test_diagnose_does_not_change_its_caller(net):
    net.add_veth("v0", "w0")
    before = support.identity(), os.listdir("/sys/class/net"), os.readlink("/proc/self/ns/user")  # noqa: PTH115, PTH208
    diagnose()
    after = support.identity(), os.listdir("/sys/class/net"), os.readlink("/proc/self/ns/user")  # noqa: PTH115, PTH208
    assert after == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.slow
def test_a_user_without_capabilities_learns_which_are_missing():
    findings = diagnose_as_user()
    for name in ("CAP_NET_ADMIN", "CAP_SYS_ADMIN"):
        assert not findings[name].allowed
        assert name in findings[name].remedy
        assert findings[name].remedy.endswith("pynetstrat run --root PROGRAM")
    assert not findings["named namespaces"].allowed
    assert "pynetstrat run --root PROGRAM" in findings["named namespaces"].remedy
    assert not findings["network namespaces"].allowed
    assert findings["network namespaces"].remedy == (
        "run as root, or in a network namespace of your own: pynetstrat run --root PROGRAM"
    )
    assert findings["user namespaces"].allowed
    assert findings["mounting sysfs"].allowed  # in a user namespace
    assert findings["links of kind veth"].allowed


@pytest.mark.slow
def test_the_remedy_for_a_user_works():
    """With `run --root` everything is allowed that `diagnose` reported as missing."""
    command = [sys.executable, "-W", "error", "-m", "pynetstrat", "run", "--root", "--"]
    done = support.run_as_user([*command, *COMMAND, "--json"])
    findings = by_name(Finding(**row) for row in json.loads(done.stdout))
    for name in ("CAP_NET_ADMIN", "CAP_SYS_ADMIN", "/sys", "network namespaces"):
        assert findings[name].allowed, findings[name]


_DROP = """
import ctypes, os, sys
for capability in map(int, sys.argv[1].split()):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.slow
def test_root_also_needs_net_admin_for_a_namespace_with_lo_up():
    """Docker with --cap-add SYS_ADMIN alone is such a case."""
    done = support.fork_python(_DROP, str(support.CAP_NET_ADMIN), *COMMAND, "--json")
    found = by_name(Finding(**row) for row in json.loads(done.stdout))["network namespaces"]
    assert not found.allowed
    assert "--cap-add=NET_ADMIN" in found.remedy
    run = [sys.executable, "-m", "pynetstrat", "run", "true"]
    done = support.fork_python(_DROP, str(support.CAP_NET_ADMIN), *run)
    assert done.returncode == 1
    assert "--cap-add=NET_ADMIN" in done.stderr


def test_the_setting_of_an_exhausted_user_namespace_limit_is_named():
    prepare = """
_syscalls.unshare(_syscalls.CLONE_NEWUSER)
_syscalls.map_ids(0, 0, 0, 0)
Path("/proc/sys/user/max_user_namespaces").write_text("1")
"""
    found = diagnose_as_user(prepare)["user namespaces"]
    assert not found.allowed
    assert found.detail == "unshare: No space left on device"
    assert "user.max_user_namespaces" in found.remedy


@pytest.mark.slow
def test_sysfs_cannot_be_mounted_if_parts_of_sys_are_hidden():
    found = diagnose_as_user(support.MASKED)["mounting sysfs"]
    assert not found.allowed
    assert found.detail == "mount: Operation not permitted"
    assert "systempaths=unconfined" in found.remedy


def test_a_sysfs_of_another_namespace_is_detected(net, new_namespace):
    with support.inside(new_namespace()):
        found = by_name(diagnose())["/sys"]
    assert not found.allowed
    assert "rtnetlink" in found.detail
    assert "mount -t sysfs" in found.remedy


_SECCOMP = support.refuse("unshare", "errno.EPERM")


@pytest.mark.slow
def test_a_seccomp_filter_is_named_by_diagnose_run_and_demo():
    execute = _SECCOMP + "os.execv(sys.argv[1], sys.argv[1:])\n"
    done = support.fork_python(execute, *COMMAND, "--json")
    findings = by_name(Finding(**row) for row in json.loads(done.stdout))
    assert "a filter is in force" in findings["seccomp"].detail
    assert not findings["user namespaces"].allowed
    assert "seccomp=unconfined" in findings["user namespaces"].remedy
    for command in (["demo"], ["run", "true"]):
        done = support.fork_python(execute, *COMMAND[:-1], *command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("pynetstrat: unshare: Operation not permitted; ")
        assert "seccomp=unconfined" in done.stderr
        assert "--cap-add SYS_ADMIN --cap-add NET_ADMIN" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("", "Python can't be started: sys.executable is empty"),
        ("/nowhere/python", "/nowhere/python can't be started: No such file or directory"),
        ("/bin/false", "the process failed with status 1: "),
        ("/bin/echo", "the process failed with status 0: "),
    ],
)
def test_the_error_says_why_the_process_failed(monkeypatch, program, reason):
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(NetstratError, match=rf"^diagnose: {reason}"):
        diagnose()


def test_a_process_that_hangs_is_an_error(monkeypatch, tmp_path):
    stuck = tmp_path / "python"
    stuck.write_text("#!/bin/sh\nexec sleep 600\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stuck))
    monkeypatch.setattr(pynetstrat.diagnosis, "_SECONDS", 0.2)
    with pytest.raises(NetstratError, match="the process has not ended after 0"):
        diagnose()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


# ---- the command ----


@pytest.mark.slow
def test_the_command_prints_a_line_for_each_finding_and_its_remedy_below(net):
    done = support.run(COMMAND)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "CAP_NET_ADMIN          yes  over this network namespace" in lines
    done = support.run_as_user(COMMAND)
    lines = done.stdout.splitlines()
    (number,) = [n for n, line in enumerate(lines) if line.startswith("CAP_NET_ADMIN ")]
    assert "NO   RTM_NEWLINK: Operation not permitted" in lines[number]
    assert lines[number + 1].strip().startswith("needs CAP_NET_ADMIN")


@pytest.mark.slow
def test_the_command_in_json_holds_every_field():
    done = support.run([*COMMAND, "--json"])
    assert {frozenset(row) for row in json.loads(done.stdout)} == {
        frozenset({"name", "allowed", "detail", "remedy"})
    }


# ---- settings that forbid namespaces ----


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """Writes settings by their names into a directory that replaces /proc."""
    monkeypatch.setattr(_syscalls, "PROC", tmp_path)

    def write(**settings):
        for name, value in settings.items():
            path = tmp_path / "sys" / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")

    (tmp_path / "self" / "ns").mkdir(parents=True)
    (tmp_path / "self" / "ns" / "user").touch()
    (tmp_path / "self" / "status").write_text("Name:\tx\nSeccomp:\t0\n")
    return write


@pytest.mark.parametrize(
    ("code", "settings", "words"),
    [
        (
            errno.EPERM,
            {"kernel__unprivileged_userns_clone": 0},
            "kernel.unprivileged_userns_clone is 0: run as root, or sysctl "
            "kernel.unprivileged_userns_clone=1",
        ),
        (
            errno.EPERM,
            {"kernel__apparmor_restrict_unprivileged_userns": 1},
            "kernel.apparmor_restrict_unprivileged_userns is 1: run as root, or sysctl "
            "kernel.apparmor_restrict_unprivileged_userns=0, or give the program an AppArmor "
            "profile that says userns",
        ),
        (
            errno.ENOSPC,
            {"user__max_user_namespaces": 0, "user__max_net_namespaces": 5},
            "user.max_user_namespaces is 0: sysctl user.max_user_namespaces=10000",
        ),
        (
            errno.ENOSPC,
            {"user__max_user_namespaces": 3, "user__max_net_namespaces": 5},
            "a limit is reached: user.max_user_namespaces (3), user.max_net_namespaces (5), "
            "user.max_mnt_namespaces (None), or the limit of an outer user namespace",
        ),
    ],
)
def test_a_setting_that_forbids_namespaces_is_named(proc, code, settings, words):
    proc(**settings)
    assert _syscalls.explain_denial(code) == words


def test_two_settings_that_forbid_namespaces_are_both_named(proc):
    names = ("kernel__unprivileged_userns_clone", "kernel__apparmor_restrict_unprivileged_userns")
    proc(**dict(zip(names, (0, 1), strict=True)))
    assert _syscalls.explain_denial(errno.EPERM).count("run as root, or sysctl") == 2


def test_settings_that_allow_namespaces_are_not_named(proc):
    proc(kernel__unprivileged_userns_clone=1, kernel__apparmor_restrict_unprivileged_userns=0)
    assert _syscalls.explain_denial(errno.EPERM).startswith(
        "run as root, or allow unprivileged user"
    )


def test_a_kernel_without_user_namespaces_is_named(proc, tmp_path):
    (tmp_path / "self" / "ns" / "user").unlink()
    assert "CONFIG_USER_NS" in _syscalls.explain_denial(errno.EINVAL)


def test_without_proc_the_general_remedies_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(_syscalls, "PROC", tmp_path / "nothing")
    assert _syscalls.explain_denial(errno.EPERM).startswith(
        "run as root, or allow unprivileged user"
    )


def test_link_set_up_names_the_setting_as_well(net):
    with support.without(support.CAP_NET_ADMIN), pytest.raises(KernelError) as caught:
        pynetstrat.link_set_up("lo")
    assert "CAP_NET_ADMIN" in caught.value.hint
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in caught.value.hint


def test_may_mount_changes_nothing(net):
    assert _syscalls.may_mount()
    with support.without(support.CAP_SYS_ADMIN):
        assert not _syscalls.may_mount()
    assert subprocess.run(["ls", "/proc/self/ns"], stdout=subprocess.DEVNULL).returncode == 0
