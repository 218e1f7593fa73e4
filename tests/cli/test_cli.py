"""cli/ and __main__.py: commands, failures and output."""

from __future__ import annotations

import functools
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import support
from helpers_cli import COMMAND, call, call_process

import pynetstrat
from pynetstrat import NetworkInterface, RtnetlinkSocket, cli
from pynetstrat.cli import _table, _text


def succeed(*arguments, call=call):
    done = call(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def fail(*arguments):
    """Runs a command that must fail with status 1; returns the line on standard error."""
    done = call(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pynetstrat: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("\n")
    return done.stderr


def environment(unbuffered):
    """The environment with buffered output, or with unbuffered output as in many containers."""
    return os.environ | {"PYTHONUNBUFFERED": "1" if unbuffered else ""}


def redirected(redirection, *arguments, unbuffered=False):
    """Runs the command as a process with a redirection of the shell, such as `2>&-`."""
    script = f"exec {shlex.join([*COMMAND, *arguments])} {redirection}"
    return support.run(["sh", "-c", script], env=environment(unbuffered))


@pytest.fixture
def other_namespace(net, new_namespace):
    """A namespace with traffic on v3: the id of a process in it, its path, and a socket in it."""
    netns = new_namespace()
    with support.inside(netns), support.Links() as links:
        support.add_patterned(links, 3)
    with support.process_inside(netns) as process, RtnetlinkSocket(netns) as rtnetlink:
        yield process.pid, f"/proc/{process.pid}/ns/net", rtnetlink


# ---- commands ----


def test_up_and_down_change_the_state_of_an_interface(net):
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


def test_stats_prints_a_table(net):
    support.add_patterned(net, 3)
    assert succeed("stats", "v3").splitlines() == [
        "interface  rx B  rx pkt  tx B  tx pkt  err  drop",
        "v3            0       0   412       4    0     0",
    ]
    assert succeed("stats", "v3", "--wide").splitlines() == [
        "interface  rx bytes  rx packets  rx errors  rx dropped  tx bytes  tx packets  tx errors"
        "  tx dropped",
        "v3                0           0          0           0       412           4          0"
        "           0",
    ]


def test_stats_shows_all_interfaces_or_the_named_ones(net):
    support.add_patterned(net, 3)
    for arguments, names in (([], ["lo", "w3", "v3"]), (["v3", "lo"], ["v3", "lo"])):
        lines = succeed("stats", *arguments).splitlines()
        assert [line.split()[0] for line in lines] == ["interface", *names]


@pytest.mark.parametrize("perspective", ["host", "container"])
def test_stats_in_json_has_the_counters_of_the_perspective(net, perspective):
    support.add_patterned(net, 3)
    sent = support.view("v3", 3)
    view = sent if perspective == "host" else sent.swapped()
    found = json.loads(succeed("stats", "v3", "--json", "--perspective", perspective))
    assert found["perspective"] == perspective
    assert [NetworkInterface(**row) for row in found["interfaces"]] == [view]
    found = json.loads(succeed("stats", "--json", "--perspective", perspective))
    assert [row["name"] for row in found["interfaces"]] == ["lo", "w3", "v3"]
    assert NetworkInterface(**found["interfaces"][2]) == view


def test_the_default_perspective_of_stats_is_the_host(net):
    assert json.loads(succeed("stats", "lo", "--json"))["perspective"] == "host"


def test_the_numbers_of_a_table_are_grouped_and_aligned():
    lines = _table.render([("a label", NetworkInterface("x", 2**64 - 1, 1_000))]).splitlines()
    assert "18,446,744,073,709,551,615" in lines[1]
    assert " 1,000 " in lines[1]
    assert len({len(line) for line in lines}) == 1


# Names, and how many columns of a terminal they take by the rules of wcwidth(3).
WIDTHS = [
    ("eth0", 4),
    ("caf\u00e9", 4),
    ("cafe\u0301", 4),  # a combining accent
    ("a\u20dd", 1),  # an enclosing circle
    ("\u7db2\u7d61", 4),  # ideographs
    ("\uff45\uff54\uff48", 6),  # full-width letters
    ("\uff74\uff9d", 2),  # half-width ones
    ("\u1100\u1161\u11a8", 2),  # a Hangul syllable in three parts
    ("\U0001f600", 2),
    ("\u2764\ufe0f", 1),  # a heart, and a variation selector
    ("\u0e19\u0e49\u0e33", 2),  # Thai, with a tone mark
    ("a\u200bb", 8),  # a zero-width space is shown as \u200b
    ("a\u200d", 7),
    ("\u202ea", 7),
    ("\x1b[1m", 7),
]


@pytest.mark.parametrize(("name", "columns"), WIDTHS)
def test_the_columns_of_a_table_are_aligned_for_any_name(name, columns):
    rows = [(label, NetworkInterface("x")) for label in (name, "a longer name", "z")]
    heading, *lines = _table.render(rows).splitlines()
    assert _text.width(_text.printable(name)) == columns
    assert {_text.width(line) for line in lines} == {len(heading)}
    shown = _text.printable(name)
    assert lines[0].startswith(shown + " " * (len("a longer name") - columns + 2))


def test_the_list_of_strategies_is_aligned_for_any_type(monkeypatch, capsys):
    found = {"\u7db2\u7d61": "a:B", "cafe\u0301": "c:D"}
    monkeypatch.setattr("pynetstrat.cli.strategies.sources", lambda: found)
    assert cli.main(["strategies"]) == 0
    assert capsys.readouterr().out == "cafe\u0301  c:D\n\u7db2\u7d61  a:B\n"


def test_a_command_works_in_the_namespace_of_a_process_or_a_path(other_namespace):
    pid, path, rtnetlink = other_namespace
    for where in (["--pid", str(pid)], ["--netns", path]):
        (row,) = json.loads(succeed("stats", "v3", "--json", *where))["interfaces"]
        assert NetworkInterface(**row) == support.view("v3", 3)
        succeed("up", *where)
        assert rtnetlink.link_is_up("lo")
        succeed("down", "lo", *where)
        assert not rtnetlink.link_is_up("lo")
    with RtnetlinkSocket() as own:
        assert not own.link_is_up("lo")


def test_a_command_works_in_a_named_namespace(other_namespace):
    _, path, rtnetlink = other_namespace
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


def test_strategies_lists_the_source_of_each_type():
    found = json.loads(succeed("strategies", "--json"))
    assert found["loopback"] == "pynetstrat.strategy:Loopback"
    assert dict(line.split() for line in succeed("strategies").splitlines()) == found


def test_strategies_lists_types_of_packages_without_loading_them(tmp_path, monkeypatch):
    metadata = tmp_path / "rival-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1.0\n")
    points = "[pynetstrat.strategies]\nbridge = rival:Bridge\nloopback = rival:Loopback\n"
    (metadata / "entry_points.txt").write_text(points)  # the module does not exist
    monkeypatch.syspath_prepend(tmp_path)
    found = json.loads(succeed("strategies", "--json"))
    assert found["bridge"] == "rival:Bridge"
    assert found["loopback"] == "pynetstrat.strategy:Loopback"  # built-in types have precedence
    assert "bridge" in succeed("strategies")


@functools.cache
def demo(*arguments):
    """Returns what the demo prints. It moves its process into other namespaces."""
    return succeed("demo", *arguments, call=call_process)


def test_the_demo_shows_lo_and_its_traffic():
    lines = demo().splitlines()
    assert "lo is down." in lines
    assert 'get_strategy("loopback").initialize()' in lines
    assert "lo is UP." in lines
    before, *_, after = [line for line in lines if line.startswith("lo, ")]
    assert before.split()[-6:] == ["0"] * 6
    assert after.split()[-6:] == ["102,800", "100", "102,800", "100", "0", "0"]


@pytest.mark.slow
def test_the_demo_in_json_has_both_perspectives():
    found = json.loads(demo("--json"))
    assert found["up"] == {"before": False, "after": True}
    zero = NetworkInterface("lo")
    full = NetworkInterface("lo", 102_800, 100, 0, 0, 102_800, 100)
    for moment, view in (("before", zero), ("after", full)):
        sides = {side: NetworkInterface(**row) for side, row in found[moment].items()}
        assert sides == {"container": view.swapped(), "host": view}


def test_the_demo_wires_a_container_and_leaves_nothing():
    printed = demo()
    assert "tear_down_networks(...): nothing is left.\n" in printed
    inside, outside = [line.split() for line in printed.splitlines() if line.startswith(_ENDS)]
    for row in (inside, outside):  # 100 datagrams in each direction, and IPv6's own packets
        assert int(row[-5].replace(",", "")) >= 100
        assert int(row[-3].replace(",", "")) >= 100


_ENDS = ("eth0, in the container", "veth")


def test_the_demo_in_json_has_both_ends_of_the_pair():
    found = json.loads(demo("--json"))["container"]
    assert found["left"] == []
    assert found["milliseconds"] > 0
    assert found["inside"]["name"] == "eth0"
    assert found["outside"]["name"].startswith("veth")
    for end in (found["inside"], found["outside"]):
        assert end["rx_packets"] >= 100
        assert end["tx_packets"] >= 100


def test_the_demo_shows_lo_if_the_kernel_has_no_veth():
    code = """
import sys
from errno import EOPNOTSUPP
from pynetstrat import KernelError
from pynetstrat.cli import demo, main

def refuse(*_, **__):
    raise KernelError(EOPNOTSUPP, "RTM_NEWLINK", "br0", "Unknown device type")

demo.set_up_networks = refuse
sys.exit(main(["demo"]))
"""
    done = support.fork_python(code)
    assert (done.returncode, done.stderr) == (0, "")
    assert "lo is UP." in done.stdout
    assert 'This kernel cannot wire a container: interface "br0": RTM_NEWLINK: ' in done.stdout


# ---- the list of commands, and help ----


def test_the_help_names_every_command():
    text = succeed("--help")
    for word in ("examples:", "exit status", *cli.COMMANDS, *cli.COMMANDS.values()):
        assert word in text


def test_without_arguments_the_help_is_printed():
    assert succeed() == succeed("--help")
    done = support.run([sys.executable, "-m", "pynetstrat"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: pynetstrat [-h] [--version] COMMAND ...\n")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_each_command_has_a_help_text(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = succeed(command, "--help")
    assert text.startswith(f"usage: pynetstrat {command} ")
    assert "\nexit status: " in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.slow
def test_a_command_does_not_load_the_module_of_another_command():
    """Each command is run in a child of a process that has loaded none."""
    commands = support.sample(list(cli.COMMANDS))
    code = f"""
import os, sys
from pynetstrat.cli import main
for command in {commands}:
    child = os.fork()
    if child == 0:
        sys.stdout = open(os.devnull, "w")
        assert main([command, "--help"]) == 0
        os.write(1, f"{{command}}: {{' '.join(sys.modules)}}\\n".encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    modules = {f"pynetstrat.cli.{name.replace('-', '_')}": name for name in cli.COMMANDS}
    found = dict(line.split(": ") for line in support.python(code).stdout.splitlines())
    assert list(found) == commands
    for command, loaded in found.items():
        assert [modules[name] for name in loaded.split() if name in modules] == [command]


def test_version_prints_the_version():
    assert succeed("--version") == f"pynetstrat {pynetstrat.__version__}\n"


def test_the_installed_command_prints_the_version():
    done = support.run([str(Path(sys.executable).parent / "pynetstrat"), "--version"])
    assert done.stdout == f"pynetstrat {pynetstrat.__version__}\n"


def test_main_takes_arguments_and_returns_the_exit_status(net, capsys):
    assert cli.main(["up", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"interface": "lo", "up": True}
    assert cli.main(["up", "eth0"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["sideways"]) == 2
    assert cli.main(["--version"]) == 0


# ---- failures ----


@pytest.mark.parametrize(
    "arguments",
    [
        ["sideways"],
        ["sideways", "up"],
        ["down"],
        ["up", "a", "b"],
        ["up", "--pid", "x"],
        ["up", "--pid", "0"],
        ["up", "--pid", "-1"],
        ["up", "--pid", "1", "--netns", "x"],
        ["stats", "--perspective", "mine"],
        ["demo", "extra"],
        ["strategies", "--netns", "x"],
    ],
)
def test_wrong_usage_is_explained_with_status_2(arguments):
    done = call(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: pynetstrat" in done.stderr
    assert "error: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["cni-install", ""], "DIR"),
        (["network", "check", "", "--pid", "1"], "FILE"),
        (["network", "tear-down", "file", "--host", ""], "--host"),
        (["up", "--netns", ""], "--netns"),
        (["exporter", "--labels", ""], "--labels"),
        (["top", "--labels", ""], "--labels"),
    ],
)
def test_an_empty_path_is_wrong_usage(arguments, name):
    """The variable of a shell may be unset. It must not stand for the working directory."""
    done = call(*arguments)
    assert done.returncode == 2
    assert done.stderr.endswith(f"error: argument {name}: must not be empty\n")


def test_an_unknown_option_prints_the_usage_of_its_command():
    done = call("up", "--sideways")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: pynetstrat up ")
    assert done.stderr.endswith("pynetstrat up: error: unrecognized arguments: --sideways\n")


def test_the_error_for_a_missing_interface_names_it_and_the_request(net):
    assert 'interface "eth0": RTM_NEWLINK: No such device' in fail("up", "eth0")
    assert 'interface "eth0": RTM_NEWLINK: No such device' in fail("down", "eth0")
    assert 'interface "eth0": RTM_GETLINK: No such device' in fail("stats", "eth0")


def test_no_interface_is_printed_if_one_of_them_fails(net):
    assert 'interface "eth0"' in fail("stats", "lo", "eth0", "--json")


def test_the_error_for_a_missing_namespace_names_it(net, tmp_path):
    assert f"open netns {tmp_path}/x: No such file" in fail("up", "--netns", f"{tmp_path}/x")
    assert "open netns ./x: No such file" in fail("up", "--netns", "./x")


def test_the_error_for_a_missing_process_names_it(net):
    pid = "4194305"  # above any limit: PID_MAX_LIMIT
    said = fail("up", "--pid", pid)
    assert f"open netns /proc/{pid}/ns/net: No such file" in said
    assert f"/proc shows no process {pid}" in said


def test_the_error_for_a_path_that_is_no_namespace_names_it(net, tmp_path):
    assert f"setns {tmp_path}: Invalid argument" in fail("up", "--netns", str(tmp_path))


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../etc", "a b", "a\nb", "a:b", "x" * 128, "\x1b[31m/", "\udcff/"]
)
def test_a_hostile_name_is_refused_in_one_line(net, name):
    for command in ("up", "down", "stats"):
        text = fail(command, name)
        assert "\x1b" not in text
        # For rtnetlink most of them are valid alternative names.
        invalid = "invalid interface name"
        assert (invalid if len(name) in (0, 128) else "no such interface") in text or (
            command == "stats" and invalid in text
        )


def test_without_the_capability_the_error_names_it(net):
    code = """
import sys
from pynetstrat.cli import _fresh_namespaces, main
_fresh_namespaces.unshare(_fresh_namespaces.CLONE_NEWUSER)
sys.exit(main(["up"]))
"""
    done = support.fork_python(code)
    assert done.returncode == 1
    assert "CAP_NET_ADMIN" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_demo_reports_that_namespaces_are_refused():
    code = """
import sys
from pathlib import Path
from pynetstrat.cli import _fresh_namespaces, main
_fresh_namespaces.enter()
Path("/proc/sys/user/max_net_namespaces").write_text("0")
sys.exit(main(["demo"]))
"""
    done = support.fork_python(code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pynetstrat: unshare: ")
    assert done.stderr.count("\n") == 1


def test_a_system_error_is_not_reported_as_one_of_standard_output():
    """The process may open no descriptor, so neither the command's module nor /dev/null."""
    code = """
import resource, sys
from pynetstrat.cli import main
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
status = main(["stats"])
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
sys.exit(status)
"""
    done = support.python(code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(": Too many open files\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(5, "Input/output error", "a\nb"), "a\\nb: Input/output error"),
        (OSError(5, "Input/output error", b"\xff"), "\\udcff: Input/output error"),
        (OSError(5, "Input/output error", 7), "Input/output error"),
        (OSError(18, "Cross-device link", "a", None, "b"), "a -> b: Cross-device link"),
        (OSError("in words"), "in words"),
    ],
)
def test_any_other_error_is_reported_with_its_files(net, monkeypatch, capsys, error, text):
    def refuse(*_):
        raise error

    monkeypatch.setattr(RtnetlinkSocket, "link_set_up", refuse)
    assert cli.main(["up"]) == 1
    assert capsys.readouterr() == ("", f"pynetstrat: {text}\n")


# ---- standard output and standard error ----


# What the command prints, and whether its output is unbuffered.
PRINTING = [
    *((arguments, False) for arguments in (["stats"], ["stats", "--json"], ["strategies"])),
    *((arguments, False) for arguments in (["--help"], ["stats", "--help"])),
    *((arguments, True) for arguments in (["stats"], ["--help"])),
]


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "unbuffered"), support.sample(PRINTING))
def test_a_pipe_without_a_reader_ends_the_command_silently(net, arguments, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(unbuffered),
        cwd=support.ROOT,
    ) as process:
        os.close(writing)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + signal.SIGPIPE, b"")


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "unbuffered"), support.sample(PRINTING, offset=2))
def test_a_full_device_is_reported_in_one_line(net, arguments, unbuffered):
    done = redirected(">/dev/full", *arguments, unbuffered=unbuffered)
    assert done.returncode == 1
    assert done.stderr == "pynetstrat: standard output: No space left on device\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    support.sample(
        [*((word, False) for word in ("up", "stats", "strategies", "--version")), ("stats", True)],
        offset=1,
    ),
)
def test_a_closed_standard_output_is_not_an_error(net, arguments, unbuffered):
    done = redirected(">&-", arguments, unbuffered=unbuffered)
    assert (done.returncode, done.stderr) == (0, "")


FAILING = [
    (redirection, *failure)
    for failure in (
        (["up", "eth0"], 1, False),
        (["sideways"], 2, False),
        (["down"], 2, False),
        (["up", "eth0"], 1, True),
    )
    for redirection in ("2>&-", "2>/dev/full", "2</dev/null")
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirection", "arguments", "status", "unbuffered"),
    support.sample(FAILING, step=4),  # each redirection
)
def test_an_error_never_goes_to_standard_output(net, redirection, arguments, status, unbuffered):
    done = redirected(redirection, *arguments, unbuffered=unbuffered)
    assert (done.returncode, done.stdout) == (status, "")


@pytest.mark.slow
def test_the_status_reports_an_error_if_both_streams_are_closed(net):
    assert redirected(">&- 2>&-", "up").returncode == 0
    assert redirected(">&- 2>&-", "up", "eth0").returncode == 1


def test_ctrl_c_silently_ends_a_wait_for_the_kernel(net):
    """A socket that never answers replaces the kernel."""
    code = """
import os, socket, sys, threading
import pynetstrat
from pynetstrat import cli
real = pynetstrat.RtnetlinkSocket
mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
def silent(netns):
    made = real(netns, timeout=600)
    os.dup2(mine.fileno(), made.fileno())
    threading.Thread(target=tell).start()
    return made
def tell():
    other.recv(4096)  # the request
    print("waiting", flush=True)
pynetstrat.RtnetlinkSocket = silent
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


def test_main_returns_128_plus_the_signal_after_ctrl_c(net, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(RtnetlinkSocket, "link_set_up", interrupted)
    assert cli.main(["up"]) == 128 + signal.SIGINT
    assert capsys.readouterr() == ("", "")


# ---- names are bytes ----


def test_no_unprintable_character_reaches_the_terminal(net):
    net.add_veth("\x1b[31mX", "caf\u00e9")
    plain = os.environ | {"PYTHONIOENCODING": "ascii"}
    printed = succeed("stats")
    assert "\x1b" not in printed
    assert r"\x1b[31mX" in printed
    assert r"caf\xe9" in call_process("stats", env=plain).stdout
    assert "\x1b" not in fail("stats", "\x1b[32m")


def test_json_has_the_bytes_of_a_name_that_is_not_utf_8(net):
    net.add_veth("a\udcff", "caf\u00e9")
    rows = json.loads(succeed("stats", "--json"))["interfaces"]
    names = {row["name"]: row.get("name_hex") for row in rows}
    assert names == {"lo": None, "caf\u00e9": None, "a\\xff": "61ff"}
    for command, up in (("up", True), ("down", False)):
        found = json.loads(succeed(command, "a\udcff", "--json"))
        assert found == {"interface": "a\\xff", "interface_hex": "61ff", "up": up}
    shown = succeed("stats", "a\udcff", "--json", call=call_process)
    (row,) = json.loads(shown)["interfaces"]
    assert (row["name"], row["name_hex"]) == ("a\\xff", "61ff")


def test_different_names_are_printed_differently(net):
    names = ["a\x1b", "a\\x1b", "a\\\\x1b", "a\udcff", "a\\udcff", "a\\xff", "a\xff", "a\x85"]
    for number, name in enumerate(names):
        net.add_veth(name, f"w{number}", up=False)
    for encoding in ("utf-8", "ascii"):
        lines = call("stats", *names, encoding=encoding).stdout.splitlines()[1:]
        assert len(lines) == len({line.split()[0] for line in lines}) == len(names)


@pytest.mark.parametrize(
    "name", ["a\\b", "\x7f", "caf\u00e9", "a\udcff\\", "\u202eX", "\U0001f600"]
)
def test_the_printed_form_of_a_name_can_be_read_back(name):
    printed = _text.printable(name)
    assert printed.isprintable()
    assert printed.encode("ascii", "backslashreplace").decode("unicode_escape") == name
