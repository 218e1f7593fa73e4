"""`top` at a terminal: tmux presses the keys, and shows what its user would see."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import support

from pynetstrat import NetworkNamespace

COMMAND = [sys.executable, "-W", "error", "-m", "pynetstrat", "top", "--interval", "0.1"]
NAMES = ("test-a", "test-b", "test-c")

pytestmark = pytest.mark.slow


class Tmux:
    """A shell in a terminal of 100 columns and 12 lines, in the test's network namespace."""

    def __init__(self, folder: Path) -> None:
        self._command = ["tmux", "-u", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        environment = ["env", "-u", "NO_COLOR", "PS1=ready ", f"PYTHONPATH={support.ROOT}"]
        shell = [*environment, "bash", "--noprofile", "--norc", "-i"]
        self.call("new-session", "-d", "-x", "100", "-y", "12", shlex.join(shell))
        self.wait_for("ready")

    def call(self, *arguments: str) -> str:
        done = support.run([*self._command, *arguments])
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def press(self, *keys: str) -> None:
        """Presses keys, by tmux's names, or types text."""
        self.call("send-keys", *keys)

    def start(self, *arguments: str) -> None:
        """Starts the command, and waits for its containers with rates."""
        self.press("-l", shlex.join([*COMMAND, *arguments]))
        self.press("Enter")
        self.wait_for(r"test-[abc] +0 ")

    def lines(self, *options: str) -> list[str]:
        return self.call("capture-pane", "-p", *options).splitlines()

    def wait_for(self, pattern: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Waits until the screen shows it; prints the screen if it does not.

        Parameters:
            meanwhile: is called before each look at the screen.
        """

        def is_shown() -> object:
            meanwhile()
            return re.search(pattern, "\n".join(self.lines()))

        try:
            support.wait_until(is_shown)
        except AssertionError:
            raise AssertionError("\n".join([pattern, *self.lines()])) from None

    def wait_for_order(self, *names: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        rows = "".join(rf"\n{name}\b[^\n]*" for name in names)
        self.wait_for(rf"(?s){rows}\n\s*\n", meanwhile)

    def end(self, number: int) -> None:
        """Waits for the exit status of the command, in a terminal as it was before."""
        self.press("-l", "echo status=$?; stty -a | grep -o ' icanon\\| echo '")
        self.press("Enter")
        self.wait_for(rf"status={number}\n icanon\n echo\b")
        assert not any(line.startswith(NAMES) for line in self.lines())  # the rows are gone
        assert self.call("display", "-p", "#{alternate_on}#{cursor_flag}") == "01\n"


@pytest.fixture
def containers(net, run):
    """Three containers, each of which has received less than the one before it."""
    for number, name in enumerate(NAMES):
        with NetworkNamespace.create(name) as netns:
            support.add_container_veth(net, netns.fileno(), f"h{number}", 9 - number)
    yield
    for name in NAMES:
        support.delete_namespace(name)


@pytest.fixture
def tmux(containers, tmp_path):
    made = Tmux(tmp_path)
    yield made
    made.call("kill-server")


@pytest.fixture
def top(tmux):
    """The running command."""
    tmux.start("--container", "^test-")
    return tmux


def test_it_starts_with_every_container_and_q_ends_it(top):
    top.wait_for_order(*NAMES)
    first, headings, *rows = top.lines()
    assert re.match(r"3 containers  /\^test-/  rx B/s 0  tx B/s 0 ", first)
    assert headings.startswith("container rx B/s tx B/s rx pkt/s tx pkt/s drop/s  err/s   rx B ")
    assert rows[0].split() == ["test-a", *["0"] * 6, "1.09k", "0", "10", "0", "0", "0"]
    assert rows[-1].startswith("q quit ? help ")
    top.press("q")
    top.wait_for("ready")
    top.end(0)


def test_rates_are_of_traffic_as_it_happens(top):
    def send() -> None:
        """Again and again: the rate of one burst is on the screen for a tenth of a second."""
        support.send_frames("h2", 10, 1000)

    top.wait_for(r"test-c +[1-9][0-9.]*[kM] ", send)
    top.wait_for_order("test-c", "test-a", "test-b", meanwhile=send)
    top.wait_for(r"test-c +0 ")  # in the sample after it


def test_keys_sort(top):
    top.press("n")
    top.wait_for_order(*NAMES)
    top.press("v")
    top.wait_for_order(*reversed(NAMES))
    top.press("T")
    top.wait_for_order(*NAMES)
    top.press("Right", "v")  # by name, reversed
    top.wait_for_order(*reversed(NAMES))


def test_keys_filter(top):
    top.press("/")
    top.wait_for(r"filter: \^test-_")
    top.press("-l", "(b")
    top.wait_for(r"filter: \^test-\(b_  \(not a regular expression\)")
    top.wait_for_order(*NAMES)  # as before
    top.press("-l", "|c)")
    top.wait_for_order("test-b", "test-c")
    top.press("BSpace", "Escape")
    top.wait_for_order(*NAMES)
    top.press("/", "C-u")
    top.press("-l", "test-bq")
    top.wait_for("filter: test-bq_")  # q does not end it
    top.press("BSpace", "Enter")
    top.wait_for(r"q quit")
    top.wait_for_order("test-b")


def test_keys_change_units_show_the_help_and_scroll(top):
    top.press("u")
    top.wait_for(r"test-a .* 1\.06Ki ")
    top.press("?")
    top.wait_for("sort by rate, rx, tx, packets, drops")
    top.press("Escape", "/", "C-u")
    top.press("-l", "^test-")
    top.press("Enter")
    top.wait_for_order(*NAMES)
    top.call("resize-window", "-x", "100", "-y", "4")  # room for two
    top.wait_for(r"test-a[^\n]*\n+test-b[^\n]*\n*\Z")
    top.press("Down")
    top.wait_for(r"test-b[^\n]*\n+test-c[^\n]*\n*\Z")
    top.press("Home")
    top.wait_for(r"test-a[^\n]*\n+test-b[^\n]*\n*\Z")


def test_it_follows_the_size_of_the_terminal(top):
    top.call("resize-window", "-x", "20", "-y", "8")
    top.wait_for(r"\A3 containers  /\^test\ncontainer +rx B/s\ntest-a +0\n")
    assert max(map(len, top.lines())) <= 20
    top.call("resize-window", "-x", "80", "-y", "8")
    top.wait_for(r"\A3 containers .*\ncontainer +rx B/s tx B/s rx pkt/s tx pkt/s drop/s ")
    top.call("resize-window", "-x", "5", "-y", "1")
    top.wait_for(r"\Atest-\n?\Z")
    top.call("resize-window", "-x", "160", "-y", "8")
    top.wait_for(r" tx pkt +drop +err\n")
    top.wait_for_order(*NAMES)


def test_ctrl_c_ends_it_with_a_terminal_as_before(top):
    top.press("C-c")
    top.wait_for("ready")
    top.end(128 + signal.SIGINT)


def test_sigterm_ends_it_with_a_terminal_as_before(top):
    pid = top.call("display", "-p", "#{pane_pid}").strip()
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    support.run(["kill", child])
    top.wait_for("ready")
    top.end(128 + signal.SIGTERM)


def test_ctrl_backslash_ends_it_with_a_terminal_as_before(top):
    top.press("C-\\")
    top.wait_for("ready")
    top.end(128 + signal.SIGQUIT)


def test_ctrl_z_stops_it_with_a_terminal_as_before_and_fg_continues_it(top):
    top.press("C-z")
    top.wait_for("Stopped")
    top.end(128 + signal.SIGSTOP)
    top.press("-l", "fg")
    top.press("Enter")
    top.wait_for_order(*NAMES)
    top.press("q")
    top.wait_for("ready")
    top.end(0)


def test_names_follow_a_file_of_labels(tmux, tmp_path):
    file = tmp_path / "labels.json"
    file.write_text('{"test-a": {"name": "web"}}')
    tmux.start("--container", "^test-", "--labels", str(file))
    tmux.wait_for(r"\nweb +0 ")
    file.write_text('{"test-a": {"name": "mail"}, "test-c": {"pod": "db"}}')
    tmux.wait_for(r"(?s)\nmail +0 .*\ntest-b +0 .*\ndb +0 ")
    tmux.call("resize-window", "-x", "300", "-y", "12")
    file.write_text("{")
    tmux.wait_for(r"--labels .*labels\.json: must be JSON")
    tmux.wait_for(r"\nmail +0 ")


def test_keys_work_even_if_every_sample_is_late(tmux):
    tmux.start("--container", "^test-", "--interval", "1e-9")
    tmux.press("v")
    tmux.wait_for_order(*reversed(NAMES))
    tmux.press("q")
    tmux.wait_for("ready")
    tmux.end(0)


def test_a_terminal_without_control_sequences_gets_tables(tmux):
    tmux.press("-l", "export TERM=dumb")
    tmux.press("Enter")
    tmux.start("--container", "^test-b")
    tmux.wait_for(r"(container [^\n]*\ntest-b [^\n]*\n\n){3}")
    tmux.press("C-c")
    tmux.wait_for("ready")
    assert not any("^[" in line for line in tmux.lines())


def test_colours_are_shown_unless_no_color_is_set(tmux):
    tmux.start("--container", "^test-")
    coloured = "\n".join(tmux.lines("-e"))
    assert re.search("\x1b\\[([0-9]+;)*32[;m]", coloured)  # green
    tmux.press("q")
    tmux.wait_for("ready")
    tmux.press("-l", "export NO_COLOR=1")
    tmux.press("Enter")
    tmux.start("--container", "^test-")
    plain = "\n".join(tmux.lines("-e"))
    assert not re.search("\x1b\\[([0-9]+;)*[34][0-8][;m]", plain)
    assert re.search("\x1b\\[([0-9]+;)*7[;m]", plain)  # reversed, which is no colour
