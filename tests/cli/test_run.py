"""cli/run.py: a program in a network namespace, which replaces the process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import support

from pynetstrat import NetworkNamespace, RtnetlinkSocket, cli
from pynetstrat.cli.run import _environment

COMMAND = [sys.executable, "-W", "error", "-m", "pynetstrat", "run"]


def call(*arguments, **options):
    """Runs the command: without options of subprocess.run, in a fork of the test's process."""
    if options:
        return support.run([*COMMAND, *arguments], **options)
    return support.run_fork(lambda: cli.main(["run", *arguments]))


def succeed(*arguments, **options):
    done = call(*arguments, **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def call_as_user(*arguments, prepare="", command=COMMAND):
    return support.run_as_user([*command, *arguments], prepare)


def succeed_as_user(*arguments, **options):
    done = call_as_user(*arguments, **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def capabilities(status):
    (found,) = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    return int(found, 16)


def field(status, name):
    (found,) = [line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(found, 16)


# ---- a fresh namespace ----


@pytest.mark.parametrize("caller", [succeed, succeed_as_user], ids=["root", "user"])
def test_a_program_sees_only_lo_which_is_up(net, caller):
    net.add_veth("v0", "w0")
    (lo,) = json.loads(caller("ip", "-json", "address"))
    assert lo["ifname"] == "lo"
    assert "UP" in lo["flags"]
    assert [entry["local"] for entry in lo["addr_info"]] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("caller", [succeed, succeed_as_user], ids=["root", "user"])
def test_a_program_has_its_own_sysfs(net, caller):
    net.add_veth("v0", "w0")
    assert caller("ls", "/sys/class/net") == "lo\n"
    assert sorted(os.listdir("/sys/class/net")) == ["lo", "v0", "w0"]  # noqa: PTH208


@pytest.mark.parametrize("caller", [succeed, succeed_as_user], ids=["root", "user"])
def test_mounts_below_sys_stay_visible(net, caller):
    support.mount("none", Path("/sys/fs/cgroup"), "tmpfs")
    Path("/sys/fs/cgroup/mark").mkdir()
    assert caller("--", "ls", "/sys/fs/cgroup") == "mark\n"


READ_ONLY = """
_syscalls.unshare(_syscalls.CLONE_NEWNS)
_syscalls.separate_mounts(_syscalls.MS_PRIVATE)
# MS_REMOUNT; read-only, nosuid, nodev, noexec
_syscalls.mount("none", "/sys", None, 32 | _syscalls.MS_BIND | 15)
"""


def test_a_program_has_its_own_sysfs_if_sys_is_read_only(net):
    """As in Docker: the kernel then allows a user only a read-only sysfs."""
    net.add_veth("v0", "w0")
    assert succeed_as_user("ls", "/sys/class/net", prepare=READ_ONLY) == "lo\n"


def test_root_stays_in_its_user_namespace():
    own = os.readlink("/proc/self/ns/user")  # noqa: PTH115
    assert succeed("readlink", "/proc/self/ns/user") == f"{own}\n"
    status = succeed("cat", "/proc/self/status")
    assert capabilities(status) == capabilities(Path("/proc/self/status").read_text())


def test_a_user_stays_the_same_user_without_capabilities():
    printed = succeed_as_user("sh", "-c", "id -u; id -g; cat /proc/self/status")
    uid, gid, status = printed.split("\n", 2)
    assert (uid, gid) == ("1000", "1000")
    assert capabilities(status) == 0


@pytest.mark.slow
def test_a_user_can_be_root_of_the_namespace():
    printed = succeed_as_user("--root", "sh", "-c", "id -u; id -g; cat /proc/self/status")
    uid, gid, status = printed.split("\n", 2)
    assert (uid, gid) == ("0", "0")
    assert capabilities(status) & 1 << support.CAP_NET_ADMIN
    made = succeed_as_user("--root", "sh", "-c", "ip link add v0 type veth; ls /sys/class/net")
    assert made.split() == ["lo", "v0", "veth0"]


def test_root_without_cap_sys_admin_gets_a_user_namespace():
    own = os.readlink("/proc/self/ns/user")  # noqa: PTH115
    code = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl(24, {support.CAP_SYS_ADMIN}, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.argv[1], sys.argv[1:])
"""
    done = support.python(code, *COMMAND, "readlink", "/proc/self/ns/user")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout != f"{own}\n"


# ---- an existing namespace ----


def test_a_program_runs_in_the_namespace_of_a_path_or_a_process(net, new_namespace):
    netns = new_namespace()
    with support.inside(netns), support.Links() as links:
        links.add_veth("v3", "w3")
    with support.process_inside(netns) as process, RtnetlinkSocket(netns) as rtnetlink:
        path = f"/proc/{process.pid}/ns/net"
        for where in (["--pid", str(process.pid)], ["--netns", path]):
            assert succeed(*where, "readlink", "/proc/self/ns/net") == succeed("readlink", path)
            assert succeed(*where, "--", "ls", "/sys/class/net").split() == ["lo", "v3", "w3"]
        assert not rtnetlink.link_is_up("lo")  # an existing namespace is not changed
    assert sorted(os.listdir("/sys/class/net")) == ["lo"]  # noqa: PTH208


def test_the_files_in_etc_netns_of_a_named_namespace_are_mounted(net, run):
    support.mount("tmpfs", Path("/etc"), "tmpfs")
    try:
        folder = Path("/etc/netns/blue")
        folder.mkdir(parents=True)
        (folder / "resolv.conf").write_text("nameserver 192.0.2.1\n")
        (folder / "no-such-file").touch()
        Path("/etc/resolv.conf").touch()
        NetworkNamespace.create("blue").close()
        for where in ("blue", "/run/netns/blue"):
            done = call("--netns", where, "cat", "/etc/resolv.conf")
            assert (done.returncode, done.stdout) == (0, "nameserver 192.0.2.1\n")
            assert done.stderr.startswith("pynetstrat: warning: mount /etc/no-such-file: No such ")
            assert done.stderr.count("\n") == 1
        assert call("--netns", "/proc/self/ns/net", "cat", "/etc/resolv.conf").stdout == ""
        assert Path("/etc/resolv.conf").read_text() == ""
    finally:
        support.unmount("/etc")


_NO_MOUNT_NAMESPACE = """
import subprocess, sys
from pathlib import Path
from pynetstrat import NetworkNamespace, _syscalls
_syscalls.unshare(_syscalls.CLONE_NEWUSER | _syscalls.CLONE_NEWNS)
_syscalls.map_ids(0, 0, 0, 0)
_syscalls.separate_mounts(_syscalls.MS_PRIVATE)
for folder in ("/run", "/etc"):
    _syscalls.mount("tmpfs", folder, "tmpfs", 0)
Path("/etc/netns/blue").mkdir(parents=True)
Path("/etc/netns/blue/resolv.conf").write_text("the container's")
Path("/etc/resolv.conf").write_text("the host's")
NetworkNamespace.create("blue").close()
Path("/proc/sys/user/max_mnt_namespaces").write_text("0")
done = subprocess.run(sys.argv[1:])
print(Path("/etc/resolv.conf").read_text())
sys.exit(done.returncode)
"""


def test_without_a_mount_namespace_the_files_of_the_host_are_not_hidden():
    command = [*COMMAND, "--netns", "blue", "cat", "/etc/resolv.conf"]
    done = support.python(_NO_MOUNT_NAMESPACE, *command)
    assert (done.returncode, done.stdout) == (0, "the host'sthe host's\n")
    assert "user.max_mnt_namespaces" in done.stderr
    assert "/etc/netns/blue are not visible to the program" in done.stderr


_JOIN = """
set -e
mkfifo "$1/ready"
"$2" -m pynetstrat run $3 -- sh -c 'echo > "$0/ready"; exec sleep 600' "$1" &
read -r ready < "$1/ready"
status=0
"$2" -m pynetstrat run $4 --pid $! -- \
    sh -c 'id -u; cat /proc/self/status; readlink /proc/self/ns/net /proc/$0/ns/net' $! || status=$?
kill $!
exit $status
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "uid", "has_capabilities"),
    [("--root", "", "0", True), ("", "", "1000", False), ("--root", "--root", "0", True)],
)
def test_a_user_joins_the_user_namespace_of_the_container(
    tmp_path, first, second, uid, has_capabilities
):
    arguments = ["-c", _JOIN, "sh", str(tmp_path), sys.executable, first, second]
    printed = succeed_as_user(*arguments, command=["/bin/sh"])
    found, *status, own, other = printed.splitlines()
    assert (found, own) == (uid, other)
    assert bool(capabilities("\n".join(status))) == has_capabilities


def test_root_is_refused_in_a_user_namespace_without_user_0(tmp_path):
    arguments = ["-c", _JOIN, "sh", str(tmp_path), sys.executable, "", "--root"]
    done = call_as_user(*arguments, command=["/bin/sh"])
    assert done.returncode == 1
    assert done.stderr == (
        "pynetstrat: setresuid: Invalid argument; --root: this user namespace has no user 0\n"
    )


def test_a_user_cannot_enter_the_namespace_of_another_user(net):
    done = call_as_user("--netns", "/proc/self/ns/net", "true")
    assert done.returncode == 1
    assert done.stderr.startswith("pynetstrat: setns /proc/self/ns/net: Operation not permitted; ")
    assert "CAP_SYS_ADMIN" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_path_that_is_not_a_namespace_is_refused(tmp_path):
    done = call("--netns", str(tmp_path), "true")
    assert done.returncode == 1
    assert done.stderr.startswith(f"pynetstrat: setns {tmp_path}: Invalid argument")
    done = call("--netns", "./nowhere", "true")
    assert done.stderr.startswith("pynetstrat: open netns ./nowhere: No such file or directory")
    done = call("--pid", "4194305", "true")
    assert "/proc shows no process 4194305" in done.stderr


# ---- the program replaces the process ----


def test_the_exit_status_is_that_of_the_program():
    assert call("sh", "-c", "exit 7").returncode == 7
    assert call("--", "true").returncode == 0


def test_a_signal_reaches_the_program():
    with subprocess.Popen(
        [*COMMAND, "sh", "-c", "echo $$; exec sleep 600"], stdout=subprocess.PIPE, cwd=support.ROOT
    ) as process:
        assert int(process.stdout.readline()) == process.pid
        process.terminate()
        assert process.wait(60) == -signal.SIGTERM


def test_the_program_inherits_the_signal_settings_of_the_caller():
    code = """
import os, signal, sys
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
for number in signal.SIGINT, signal.SIGQUIT:  # ignored in background jobs of a shell
    signal.signal(number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
os.execv(sys.argv[1], sys.argv[1:])
"""
    done = support.python(code, *COMMAND, "cat", "/proc/self/status")
    assert field(done.stdout, "SigIgn") == 1 << signal.SIGUSR1 - 1  # neither SIGPIPE nor SIGXFSZ
    assert field(done.stdout, "SigBlk") == 1 << signal.SIGUSR2 - 1


def test_descriptors_above_2_are_closed():
    reading, writing = os.pipe()
    try:
        shown = succeed("ls", "/proc/self/fd", pass_fds=[reading, writing])
    finally:
        os.close(reading)
        os.close(writing)
    assert shown.split() == ["0", "1", "2", "3"]  # 3 is the listing itself


def test_a_program_keeps_its_standard_streams():
    done = support.run([*COMMAND, "sh", "-c", "cat; echo no >&2"], input="yes\n")
    assert (done.stdout, done.stderr) == ("yes\n", "no\n")


def test_the_environment_is_the_callers():
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(support.ROOT), "X": "é"}
    shown = succeed("env", env=environment)
    assert sorted(shown.splitlines()) == sorted(f"{k}={v}" for k, v in environment.items())


def test_a_variable_without_a_name_is_not_passed_on(monkeypatch):
    monkeypatch.setattr(os, "environ", {"": "x", "A": "1"})
    assert _environment() == {"A": "1"}


def test_arguments_reach_the_program_unchanged():
    words = ["a b", "--pid", "--", "-x", "--help"]
    assert succeed("printf", "%s\n", *words).splitlines() == words
    assert succeed("--", "printf", "%s\n", *words).splitlines() == words


def test_a_missing_program_gives_127():
    done = call("/nowhere/at-all")
    assert done.returncode == 127
    assert done.stderr == "pynetstrat: /nowhere/at-all: No such file or directory\n"
    assert call("no-such-command").returncode == 127
    done = call("")
    assert (done.returncode, done.stderr) == (127, 'pynetstrat: "": No such file or directory\n')


def test_an_unreadable_folder_in_path_is_skipped(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    code = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.argv[1], sys.argv[1:])
"""
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:{tmp_path}/closed"}
    done = support.python(code, *COMMAND, "no-such-command", env=environment)
    assert done.returncode == 127
    assert done.stderr == "pynetstrat: no-such-command: No such file or directory\n"


def test_a_file_that_cannot_be_executed_gives_126(tmp_path):
    file = tmp_path / "file"
    file.write_text("neither a program nor a script")
    done = call(str(file))
    assert (done.returncode, done.stderr) == (126, f"pynetstrat: {file}: Permission denied\n")
    file.chmod(0o755)
    done = call(str(file))
    assert (done.returncode, done.stderr) == (126, f"pynetstrat: {file}: Exec format error\n")


@pytest.mark.parametrize(
    "arguments",
    [[], ["--"], ["--root"], ["--pid", "1"], ["--pid", "x", "true"], ["--what", "true"]],
)
def test_wrong_usage_is_explained_with_status_2(arguments):
    done = call(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: pynetstrat " in done.stderr


# ---- refused namespaces and mounts ----


def test_a_program_runs_after_a_warning_if_sys_cannot_be_mounted(net):
    net.add_veth("v0", "w0")
    done = call_as_user(
        "sh", "-c", "ls /sys/class/net; grep -c : /proc/net/dev", prepare=support.MASKED
    )
    assert done.returncode == 0
    assert done.stdout.split() == [
        "lo",
        "v0",
        "w0",
        "1",
    ]  # /sys is the caller's, the network is not
    assert done.stderr.startswith(
        "pynetstrat: warning: /sys shows the caller's network namespace: mount /sys: "
        "Operation not permitted; "
    )
    assert "systempaths=unconfined" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["user", "net", "mnt"])
def test_the_error_names_the_limit_that_was_reached(kind):
    prepare = f"""
_syscalls.unshare(_syscalls.CLONE_NEWUSER)
_syscalls.map_ids(0, 0, 0, 0)
Path("/proc/sys/user/max_{kind}_namespaces").write_text("{int(kind == "user")}")
"""
    done = call_as_user("true", prepare=prepare)
    assert done.returncode == 1
    assert done.stderr.startswith("pynetstrat: unshare: No space left on device; ")
    assert f"user.max_{kind}_namespaces" in done.stderr
    assert done.stderr.count("\n") == 1
