"""`top` without a terminal, its choices, and the lines that it draws (cli/top.py, _top_*.py)."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import json
import re
import shlex
import subprocess

import pytest
import support
from helpers_cli import COMMAND, call
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pynetstrat import Container, HostCounters, KernelError, NetworkNamespace
from pynetstrat.cli import _text
from pynetstrat.cli._stats_rates import take_samples
from pynetstrat.cli._stats_readings import Row, read_containers
from pynetstrat.cli._top_screen import Screen, Styler, to_text
from pynetstrat.cli._top_terminal import parse_keys
from pynetstrat.cli._top_view import COLUMNS, ORDERS, Entry, View, by_container, fit_columns

ID = "0123456789abcdef" * 4
RED = "\x1b[1;31m"


def container(label, inode=0, **more):
    return Container(label, "", inode, **more)


def entry(label, rates=None, totals=(0,) * 8):
    return Entry(container(label), label, 1, totals, rates)


def only(**numbers):
    """Eight numbers, of which those with these places are not 0."""
    return [numbers.get(f"at{at}", 0) for at in range(8)]


BUSY = [
    entry("a", only(at0=1.0, at1=9.0, at3=1.0), only(at0=50, at3=9, at2=1)),
    entry("b", only(at0=3.0, at4=0.5), only(at0=10, at4=30)),
    entry("c", only(at4=5.0, at5=1.0, at7=7.0), only(at4=20)),
    entry("d", None, only(at2=5, at3=80, at0=2**40)),
]


def labels(entries):
    return "".join(one.label for one in entries)


def drawn(entries, view=None, columns=80, lines=None, status="", **options):
    """The lines of a screen as text."""
    console = Console(file=io.StringIO(), width=columns, **options)
    return to_text(Screen(entries, view or View(), columns, lines, status), console).split("\n")


# ---- containers and their sums ----


def test_the_interfaces_of_a_container_are_added_up():
    one, other = container("one", 1), container("other", 2)
    rows = [
        (Row("eth0", 1, one), list(range(8)), [1.0] * 8),
        (Row("eth1", 2, one), [10] * 8, None),
        (Row("eth2", 3, one), [0] * 8, [0.5] * 8),
        (Row("eth0", 4, other), [7] * 8, None),
    ]
    assert by_container(rows) == [
        Entry(one, "one", 3, list(range(10, 18)), [1.5] * 8),
        Entry(other, "other", 1, [7] * 8, None),
    ]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("rate", "cbad"),
        ("rx", "bacd"),
        ("tx", "cbad"),  # where rates are equal, by totals
        ("packets", "acbd"),
        ("drops", "cabd"),
        ("errors", "abcd"),
        ("total", "dabc"),
        ("name", "abcd"),
    ],
)
def test_the_largest_are_first_and_unknown_rates_are_last(sort, order):
    assert labels(View(sort).arrange(BUSY)) == order
    assert labels(View(sort, is_reversed=True).arrange(BUSY)) == order[::-1]


def test_the_environment_does_not_make_a_screen_empty(monkeypatch):
    """rich takes 0 columns at their word."""
    monkeypatch.setenv("COLUMNS", "0")
    text = Styler().to_text(Screen(BUSY, View(), 100, 12))
    assert text.startswith("4 containers ")


def test_every_order_has_a_key_of_its_own():
    keys = [order.key for order in ORDERS.values()]
    assert len({*keys, *"qQvu/?h<>jk "}) == len(keys) + 12
    headings = {column.heading for column in COLUMNS}
    assert all(headings.issuperset(order.headings) for order in ORDERS.values())


def test_a_filter_matches_ids_owners_and_names():
    found = [
        Entry(container("x", ids=(ID, "inner")), "x", 1, [0] * 8, None),
        Entry(container("y", owner="web-1"), "y", 1, [0] * 8, None),
        Entry(container("z", name="web-2"), "z", 1, [0] * 8, None),
    ]

    def shown(pattern):
        return labels(View("name", re.compile(pattern)).arrange(found))

    assert [shown(text) for text in ("inner", "web", "^web-2$", "[xy]", "w{2}")] == [
        *("x", "yz", "z", "xy", "")
    ]


# ---- keys ----


def pressed(*keys, page=10, **options):
    view = View(**options)
    for key in keys:
        view.press(key, page)
    return view


def test_keys_choose_the_order():
    for name, order in ORDERS.items():
        assert pressed(order.key).sort == name
    assert pressed("<").sort == list(ORDERS)[-1]
    assert pressed("right", "right", "left").sort == list(ORDERS)[1]
    assert pressed("v").is_reversed
    assert not pressed("v", "n").is_reversed
    assert [pressed(*"u" * number).base for number in range(3)] == [1000, 1024, 1000]


def test_keys_edit_the_filter():
    view = pressed(*"/web", "\x7f")
    assert (view.edited, view.pattern.pattern) == ("we", "we")
    view = pressed(*"/web[", "up")
    assert (view.edited, view.pattern.pattern, view.is_wrong) == ("web[", "web", True)
    view = pressed(*"/web[\r")
    assert (view.edited, view.pattern.pattern, view.is_wrong) == (None, "web", False)
    before = re.compile("db")
    assert pressed(*"/x\x1b", pattern=before).pattern is before
    assert pressed(*"/\x15\n", pattern=before).pattern is None
    assert pressed("\x1b", pattern=before).pattern is None
    assert pressed(*"/", "up", "\x00", pattern=before).edited == "db"


def test_keys_scroll_within_the_containers():
    def visible(*keys):
        view = pressed(*keys)
        return view.scroll(25, 10)

    assert visible() == range(10)
    assert visible("down", "j", "up") == range(1, 11)
    assert visible("page down", " ") == visible("end") == range(15, 25)
    assert visible("end", "k") == range(15, 25)  # no further than the last
    assert visible("page down", "page up", "up") == range(10)
    view = pressed("end")
    view.scroll(25, 10)
    view.press("k", 10)
    assert view.scroll(25, 10) == range(14, 24)
    view.press("home", 10)
    assert view.scroll(25, 10) == range(10)
    assert view.scroll(3, 10) == range(3)


def test_sequences_of_a_terminal_are_keys():
    assert parse_keys("a\x1b[A\x1bOB\x1b[5~\x1b[1~\u00e9\x1b") == [
        *("a", "up", "down", "page up", "home", "\u00e9", "\x1b")
    ]
    assert parse_keys("\x1b[1;5C\x1b[15~\x1b[Z") == []  # others are no keys


# ---- columns ----


def test_a_narrow_terminal_shows_the_columns_that_matter():
    def shown(columns, sort="rate", longest=64):
        label, chosen = fit_columns(columns, sort, longest)
        return label, [column.heading for column in chosen]

    assert shown(20) == (13, ["rx B/s"])
    assert shown(20, "drops") == (13, ["drop/s"])
    assert shown(27, "drops") == (13, ["drop/s", "drop"])
    assert shown(1) == (1, [])
    rates = ["rx B/s", "tx B/s", "rx pkt/s", "tx pkt/s", "drop/s"]
    assert shown(80) == (20, [*rates, "rx B", "tx B", "drop"])
    assert shown(80, "errors") == (13, [*rates, "err/s", "rx B", "tx B", "err"])
    assert shown(200) == (64, [column.heading for column in COLUMNS])


@pytest.mark.slow
@given(
    columns=st.integers(1, 200),
    lines=st.none() | st.integers(1, 30),
    names=st.lists(st.text(max_size=70).map(_text.printable), max_size=12),
    numbers=st.none() | st.lists(st.floats(0, 1e300), min_size=8, max_size=8),
    sort=st.sampled_from(list(ORDERS)),
    keys=st.lists(st.sampled_from(["/", "(", "a", "?", "u", "end", "\u7db2", "\x1b"])),
)
def test_a_screen_fills_the_terminal_and_no_more(columns, lines, names, numbers, sort, keys):
    entries = [entry(name, numbers, [2**64 - 1] * 8) for name in names]
    view = pressed(*keys, sort=sort)
    text = drawn(entries, view, columns, lines, "a warning")
    widths = {_text.width(line) for line in text}
    if lines is None:
        assert len(text) == 1 + len(names)
        assert max(widths) <= columns
    else:
        assert len(text) == lines
        assert widths == {columns} or columns - 1 in widths  # a wide character does not fit


def test_a_screen_has_a_summary_headings_rows_and_keys():
    text = drawn(View().arrange(BUSY), lines=8)
    assert text[0].startswith(
        "4 containers  rx B/s 4  tx B/s 5.5  rx pkt/s 9  tx pkt/s 1  drop/s 8"
    )
    assert text[1].split()[:3] == ["container", "rx", "B/s"]
    assert text[2].split() == ["c", "0", "5", "0", "1", "7", "0", "0", "20", "0"]
    assert text[5].split() == ["d", *["-"] * 6, "1.10T", "0", "80"]
    assert text[6].strip() == ""
    assert text[7].startswith("q quit ? help / filter u units b rate r rx t tx p packets d drops")
    assert (
        drawn(BUSY, lines=8, status="not counted: x")[7].strip() == "q quit ? help not counted: x"
    )


def test_a_terminal_of_one_line_shows_one_container_or_one_line_of_help():
    assert drawn(BUSY, lines=1)[0].split()[0] == "a"
    (line,) = drawn(BUSY, pressed("?"), lines=1)
    assert line.split() == ["q", "quit"]


def test_lost_packets_are_red_and_the_order_is_marked():
    colours = {"force_terminal": True, "color_system": "standard"}
    text = "\n".join(drawn(BUSY, lines=8, **colours))
    assert f"{RED}      7" in text
    assert len(re.findall(re.escape(RED), text)) == 5  # drops of containers, and the sum
    marked = re.findall("\x1b\\[1;4;7;32m *([^\x1b]*)", text)
    assert marked == ["rx B/s", "tx B/s"]
    plain = "\n".join(drawn(BUSY, lines=8, **colours, no_color=True))
    assert not re.search("\x1b\\[[0-9;]*3[0-9]m", plain)
    assert "\x1b" not in "\n".join(drawn(BUSY, lines=8))  # no terminal


def test_a_cut_id_can_be_given_to_a_runtime():
    text = drawn([entry(ID, [0.0] * 8)], columns=80)
    assert text[1].split()[0] == ID[:12]


# ---- the command ----


@pytest.fixture
def containers(net, run):
    """Two containers with eth0, and one without an interface."""
    for number, name in enumerate(("test-a", "test-b")):
        with NetworkNamespace.create(name) as netns:
            support.add_container_veth(net, netns.fileno(), f"h{number}", 9 - number)
    NetworkNamespace.create("test-c").close()
    yield
    for name in ("test-a", "test-b"):
        support.delete_namespace(name)
    NetworkNamespace.delete("test-c")


TEST = ("--container", "^test-", "--interval", "0.01")


def top(*arguments):
    done = call("top", *TEST, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_once_prints_a_table_of_one_sample(containers, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    headings, *rows = top("--once").splitlines()
    assert headings.split()[:3] == ["container", "rx", "B/s"]
    assert [row.split()[0] for row in rows] == ["test-a", "test-b"]
    assert rows[0].split()[6:8] == ["0", "1.09k"]
    assert "1.06Ki" in top("--once", "--units", "1024")
    assert [row.split()[0] for row in top("--once", "--reverse").splitlines()[1:]] == [
        *("test-b", "test-a")
    ]


def test_once_in_json_has_rates_and_totals(containers):
    found = json.loads(top("--once", "--json", "--sort", "name"))
    assert found["interval"] > 0
    assert found["perspective"] == "container"
    first, second = found["containers"]
    assert (first["container"], second["container"]) == ("test-a", "test-b")
    assert set(first["per_second"].values()) == {0.0}
    assert first["total"]["rx_bytes"] == 1090
    assert first["interfaces"] == 1
    assert (first["ids"], first["owner"], first["name"]) == ([], "", "test-a")
    with NetworkNamespace.open("test-a") as netns:
        assert first["netns"] == netns.id[1]


@pytest.mark.slow
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_without_a_terminal_it_prints_samples_until_its_reader_ends(containers, option):
    command = [*COMMAND, "top", *TEST, *option]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        first = [process.stdout.readline() for _ in range(4)]
        process.stdout.close()
        assert process.wait(60) == 141
    if option:
        unknown, *later = [json.loads(line)["containers"][0]["per_second"] for line in first]
        assert unknown is None
        assert all(later)
    else:
        assert b"\x1b" not in b"".join(first)
        assert first[1].split()[:2] == [b"test-a", b"-"]
        assert first[3] == b"\n"


def test_names_come_from_the_file_of_the_exporter(containers, tmp_path):
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({"test-a": {"name": "web"}, "test-b": {"pod": "db", "x": "y"}}))
    rows = top("--once", "--labels", str(file)).splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["web", "db"]
    found = json.loads(top("--once", "--json", "--labels", str(file)))["containers"]
    assert [(one["container"], one["label"]) for one in found] == [
        *(("test-a", "web"), ("test-b", "db"))
    ]
    done = call("top", *TEST[2:], "--container", "^we", "--once", "--labels", str(file))
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["web"]


def test_a_bad_file_of_names_is_a_warning(containers, tmp_path):
    done = call("top", *TEST, "--once", "--labels", str(tmp_path / "missing"))
    assert done.returncode == 0
    assert f"pynetstrat: warning: --labels {tmp_path}/missing: No such file" in done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["test-a", "test-b"]


@pytest.mark.slow
def test_a_full_device_is_reported_in_one_line(net):
    script = f"exec {shlex.join([*COMMAND, 'top', *TEST, '--once'])} >/dev/full"
    done = support.run(["sh", "-c", script])
    assert done.returncode == 1
    reason = "pynetstrat: standard output: No space left on device\n"
    assert done.stderr.endswith(reason)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ETIMEDOUT, errno.EPERM])
def test_a_busy_kernel_delays_a_live_sample(containers, monkeypatch, number):
    """The rates of the next sample are those since the last one."""
    options = argparse.Namespace(perspective="container", container=re.compile("^test-a$"))
    reported = []
    read = HostCounters.read_columns
    fail = iter([False, True, False])

    def read_columns(host):
        if next(fail):
            raise KernelError(number, "RTM_GETSTATS")
        return read(host)

    monkeypatch.setattr(HostCounters, "read_columns", read_columns)
    with contextlib.closing(read_containers(options, reported.append)) as readings:
        samples = take_samples(readings, 1e-9)
        assert next(samples).interval is None
        support.send_frames("h0", 3, 100)
        if number == errno.EPERM:
            with pytest.raises(KernelError):
                next(samples)
            return
        sample = next(samples)
    assert sum(sample.rows[0][2]) * sample.interval == pytest.approx(303)
    assert ["failed" in reasons for reasons in reported] == [False, True, False]
    assert "RTM_GETSTATS" in reported[1]["failed"]


def test_an_error_says_what_to_install_if_rich_is_missing(net):
    code = """
import sys
sys.modules["rich"] = None
from pynetstrat.cli import main
sys.exit(main(["top", *sys.argv[1:]]))
"""
    for arguments in ([], ["--once"], ["--json"]):
        done = support.python(code, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "pynetstrat: pynetstrat top needs rich: pip install '.[top]' in the checkout, or pip "
            "install rich\n"
        )
    assert support.python(code, "--help").stdout.startswith("usage: pynetstrat top ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--container", "["], "--container must be a regular expression, not "),
        (["--interval", "0"], "must be a number of seconds > 0, not '0'"),
        (["--units", "x"], "argument --units: invalid choice: 'x'"),
        (["--sort", "size"], "argument --sort: invalid choice: 'size'"),
    ],
)
def test_wrong_usage_is_refused(net, arguments, reason):
    done = call("top", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
