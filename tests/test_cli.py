"""cli.py, table.py, demo.py and __main__.py: the command line, as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import support

import pynetstrat
from pynetstrat import NetworkInterface, RtnetlinkSocket, cli, table

COMMAND = [sys.executable, "-W", "error", "-m", "pynetstrat"]


def call(*arguments, **options):
    return support.run([*COMMAND, *arguments], **options)


def succeed(*arguments):
    done = call(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def fail(*arguments):
    """What it says, in one line, with the exit status 1."""
    done = call(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pynetstrat: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("\n")
    return done.stderr


@pytest.fixture
def elsewhere(net, new_namespace):
    """Another namespace, with traffic on v3: a process in it, and its path."""
    netns = new_namespace()
    with support.inside(netns), support.Links() as links:
        support.add_patterned(links, 3)
    with support.process_inside(netns) as process, RtnetlinkSocket(netns) as rtnetlink:
        yield process.pid, f"/proc/{process.pid}/ns/net", rtnetlink


# ---- commands ----


def test_up_and_down(net):
    net.add_veth("v0", "w0", up=False)
    with RtnetlinkSocket() as rtnetlink:
        assert succeed("up") == ""
        assert rtnetlink.link_is_up("lo")
        assert succeed("up", "v0") == ""
        assert rtnetlink.link_is_up("v0")
        assert succeed("down", "v0") == ""
        assert not rtnetlink.link_is_up("v0")
        assert json.loads(succeed("up", "v0", "--json")) == {"interface": "v0", "up": True}
        assert json.loads(succeed("down", "v0", "--json")) == {"interface": "v0", "up": False}


def test_stats(net):
    support.add_patterned(net, 3)
    assert succeed("stats", "v3").splitlines() == [
        "interface  rx bytes  rx packets  rx errors  rx dropped  tx bytes  tx packets  tx errors"
        "  tx dropped",
        "v3                0           0          0           0       412           4          0"
        "           0",
    ]
    lines = succeed("stats").splitlines()
    assert [line.split()[0] for line in lines] == ["interface", "lo", "w3", "v3"]
    assert [line.split()[0] for line in succeed("stats", "v3", "lo").splitlines()[1:]] == [
        "v3",
        "lo",
    ]


def test_stats_json_and_perspective(net):
    support.add_patterned(net, 3)
    sent = support.view("v3", 3)
    for perspective, view in (("host", sent), ("container", sent.swapped())):
        found = json.loads(succeed("stats", "v3", "--json", "--perspective", perspective))
        assert found["perspective"] == perspective
        assert [NetworkInterface(**row) for row in found["interfaces"]] == [view]
        found = json.loads(succeed("stats", "--json", "--perspective", perspective))
        names = [row["name"] for row in found["interfaces"]]
        assert names == ["lo", "w3", "v3"]
    assert json.loads(succeed("stats", "v3", "--json"))["perspective"] == "host"


def test_numbers_are_grouped():
    text = table.render([("a long label", NetworkInterface("x", 2**64 - 1, 1_000))])
    assert "18,446,744,073,709,551,615" in text
    assert " 1,000 " in text
    assert len({len(line) for line in text.splitlines()}) == 1


def test_the_namespace_of_a_process_or_a_path(elsewhere):
    pid, path, rtnetlink = elsewhere
    for where in (["--pid", str(pid)], ["--netns", path]):
        (row,) = json.loads(succeed("stats", "v3", "--json", *where))["interfaces"]
        assert NetworkInterface(**row) == support.view("v3", 3)
        succeed("up", *where)
        assert rtnetlink.link_is_up("lo")
        succeed("down", "lo", *where)
        assert not rtnetlink.link_is_up("lo")
    with RtnetlinkSocket() as own:
        assert not own.link_is_up("lo")


def test_the_name_of_a_namespace(elsewhere):
    _, path, rtnetlink = elsewhere
    support.mount("none", Path("/run"), "tmpfs")  # of this process's own mount namespace
    try:
        blue = Path("/run/netns/blue")
        blue.parent.mkdir()
        blue.touch()
        support.mount(path, blue, None, 0x1000)  # MS_BIND, as `ip netns` does
        succeed("up", "--netns", "blue")
        assert rtnetlink.link_is_up("lo")
        assert "/run/netns/green" in fail("up", "--netns", "green")
    finally:
        support.unmount("/run")


def test_strategies():
    lines = succeed("strategies").splitlines()
    assert lines[0].split() == ["loopback", "pynetstrat.strategies:Loopback"]
    assert json.loads(succeed("strategies", "--json")) == {
        "loopback": "pynetstrat.strategies:Loopback"
    }


def test_strategies_of_packages(tmp_path):
    metadata = tmp_path / "rival-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1.0\n")
    points = "[pynetstrat.strategies]\nbridge = rival:Bridge\nloopback = rival:Loopback\n"
    (metadata / "entry_points.txt").write_text(points)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = call("strategies", "--json", env=environment)
    assert json.loads(done.stdout) == {
        "loopback": "pynetstrat.strategies:Loopback",  # what is registered comes first
        "bridge": "rival:Bridge",
    }


def test_demo():
    text = succeed("demo")
    assert "lo is down." in text
    assert "lo is UP." in text
    assert 'get_strategy("loopback").initialize()' in text
    before, *_, after = [line for line in text.splitlines() if line.startswith("lo, ")]
    assert before.split()[-8:] == ["0"] * 8
    assert after.split()[-8:] == ["102,800", "100", "0", "0", "102,800", "100", "0", "0"]


def test_demo_as_json():
    found = json.loads(succeed("demo", "--json"))
    assert found["up"] == {"before": False, "after": True}
    zero = NetworkInterface("lo")
    full = NetworkInterface("lo", 102_800, 100, 0, 0, 102_800, 100)
    for moment, view in (("before", zero), ("after", full)):
        sides = {side: NetworkInterface(**row) for side, row in found[moment].items()}
        assert sides == {"container": view.swapped(), "host": view}


def test_version_and_help():
    assert succeed("--version") == f"pynetstrat {pynetstrat.__version__}\n"
    text = succeed("--help")
    for word in ("examples:", "up", "down", "stats", "strategies", "demo", "exit status"):
        assert word in text
    for command in ("up", "down", "stats", "strategies", "demo"):
        assert "--json" in succeed(command, "--help")


def test_the_installed_command():
    done = support.run([str(Path(sys.executable).parent / "pynetstrat"), "--version"])
    assert done.stdout == f"pynetstrat {pynetstrat.__version__}\n"


# ---- exit statuses ----


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sideways"],
        ["down"],
        ["up", "a", "b"],
        ["up", "--pid", "x"],
        ["up", "--pid", "1", "--netns", "x"],
        ["stats", "--perspective", "mine"],
        ["demo", "extra"],
        ["strategies", "--netns", "x"],
    ],
)
def test_wrong_usage(arguments):
    done = call(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: pynetstrat" in done.stderr
    assert "error: " in done.stderr


def test_failures_say_what_and_why(net, tmp_path):
    assert 'interface "eth0": RTM_NEWLINK: No such device' in fail("up", "eth0")
    assert 'interface "eth0": RTM_NEWLINK: No such device' in fail("down", "eth0")
    assert 'interface "eth0": RTM_GETLINK: No such device' in fail("stats", "eth0")
    assert "No such device" in fail("stats", "lo", "eth0", "--json")  # nothing partial
    assert f"open netns {tmp_path}/x: No such file" in fail("up", "--netns", f"{tmp_path}/x")
    assert f"setns {tmp_path}: Invalid argument" in fail("up", "--netns", str(tmp_path))
    assert "/proc/0/ns/net: No such file" in fail("up", "--pid", "0")
    assert "/proc/-1/ns/net: No such file" in fail("up", "--pid", "-1")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../etc", "a b", "a\nb", "a:b", "x" * 128, "\x1b[31m/", "\udcff/"]
)
def test_hostile_names(net, name):
    for command in ("up", "down", "stats"):
        text = fail(command, name)
        assert "invalid interface name" in text
        assert "\x1b" not in text
    fail("up", "nö-such-" + "\udcff", *[])


def test_without_the_capability(net):
    code = """
import sys
from pynetstrat import sandbox
from pynetstrat.cli import main
sandbox.unshare(sandbox.CLONE_NEWUSER)
sys.exit(main(["up"]))
"""
    done = support.python(code)
    assert done.returncode == 1
    assert "CAP_NET_ADMIN" in done.stderr
    assert done.stderr.count("\n") == 1


def test_demo_where_namespaces_are_refused():
    code = """
import sys
from pathlib import Path
from pynetstrat import sandbox
from pynetstrat.cli import main
sandbox.enter()
Path("/proc/sys/user/max_net_namespaces").write_text("0")
sys.exit(main(["demo"]))
"""
    done = support.python(code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pynetstrat: unshare: ")
    assert done.stderr.count("\n") == 1


# ---- a closed pipe, Ctrl-C ----


def test_a_closed_pipe_is_quiet(net):
    for arguments in (["stats"], ["stats", "--json"], ["strategies"]):
        reading, writing = os.pipe()
        os.close(reading)
        with subprocess.Popen(
            [*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, cwd=support.ROOT
        ) as process:
            os.close(writing)
            _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("arguments", [["stats"], ["stats", "--json"], ["strategies"]])
def test_a_full_device_is_told_in_one_line(net, arguments):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 1
    assert done.stderr == "pynetstrat: standard output: [Errno 28] No space left on device\n"


def test_without_a_standard_output(net):
    for arguments in ("up", "stats", "strategies"):
        script = f"exec {sys.executable} -m pynetstrat {arguments} >&-"
        done = support.run(["sh", "-c", script])
        assert (done.returncode, done.stderr) == (0, "")


def test_nothing_unprintable_reaches_a_terminal(net):
    net.add_veth("\x1b[31mX", "caf\u00e9")
    plain = os.environ | {"PYTHONIOENCODING": "ascii"}
    assert "\x1b" not in succeed("stats")
    assert r"\x1b[31mX" in succeed("stats")
    assert r"caf\xe9" in call("stats", env=plain).stdout
    assert "\x1b" not in fail("stats", "\x1b[32m")


def test_ctrl_c_is_quiet(net):
    """While the kernel is waited for: a socket that never answers stands in its place."""
    code = """
import os, socket, sys, threading
from pynetstrat import cli, rtnetlink
real = rtnetlink.RtnetlinkSocket
mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
def silent(netns):
    made = real(netns, timeout=600)
    os.dup2(mine.fileno(), made.fileno())
    threading.Thread(target=tell).start()
    return made
def tell():
    other.recv(4096)  # the request
    print("waiting", flush=True)
rtnetlink.RtnetlinkSocket = silent
status = cli.main(["up"])
mine.close()
other.close()
sys.exit(status)
"""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=support.ROOT,
    ) as process:
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + signal.SIGINT, b"")


def test_main_takes_arguments(net, capsys):
    assert cli.main(["up", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"interface": "lo", "up": True}
    assert cli.main(["up", "eth0"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_main_and_ctrl_c(net, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(RtnetlinkSocket, "link_set_up", interrupted)
    assert cli.main(["up"]) == 128 + signal.SIGINT
    assert capsys.readouterr() == ("", "")
