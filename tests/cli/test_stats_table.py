"""The tables of `stats`: they fit the terminal (cli/_table.py, _numbers.py), `--sort`, filters."""

from __future__ import annotations

import json

import pytest
import support
from helpers_cli import call
from hypothesis import given
from hypothesis import strategies as st

from pynetstrat import NetworkNamespace, RtnetlinkSocket
from pynetstrat.cli import _stats_rates, _text
from pynetstrat.cli._numbers import exact, short
from pynetstrat.cli._stats_readings import Row
from pynetstrat.cli._table import Table

ID = "0123456789abcdef" * 4


def succeed(*arguments):
    done = call("stats", *arguments)
    assert done.returncode == 0
    return done.stdout.splitlines()


@pytest.fixture
def terminal(monkeypatch):
    """Sets the columns of the terminal."""

    def set_columns(columns):
        monkeypatch.setenv("COLUMNS", str(columns))

    set_columns(80)
    return set_columns


@pytest.fixture
def containers(net, run):
    """Three containers with eth0. In the order of their names, each has received less."""
    with RtnetlinkSocket() as host:
        for number, name in enumerate(("test-a", "test-b", "test-c")):
            with NetworkNamespace.create(name) as netns:
                support.add_container_veth(net, netns.fileno(), f"h{number}", 9 - number)
        yield host
        for name in ("test-a", "test-b", "test-c"):
            support.delete_namespace(name)


# ---- width ----

COUNTERS = st.lists(st.integers(0, 2**64 - 1), min_size=8, max_size=8)
LABELS = st.text(max_size=70).map(_text.printable)


@pytest.mark.slow
@given(st.lists(st.tuples(st.tuples(LABELS, LABELS), st.none() | COUNTERS), max_size=5))
def test_a_table_takes_at_most_80_columns(rows):
    table = Table(["container", "interface"])
    table._columns = 80  # whatever the terminal of the tests
    for _ in range(2):  # in parts
        lines = table.render(rows).splitlines()
        assert len(lines) == len(rows) + 1
        assert max(map(_text.width, lines)) <= 80
        assert len({_text.width(line) for line in lines}) == 1


@given(LABELS, st.integers(0, 80))
def test_a_cut_label_has_both_ends_and_fits(label, columns):
    cut = _text.shorten(label, columns)
    assert _text.width(cut) <= columns
    if _text.width(label) <= columns:
        assert cut == label
    elif label.isascii() and columns > 5:
        start, end = cut.split("..", 1) if ".." not in label else (cut[0], cut[-1])
        assert label.startswith(start)
        assert label.endswith(end)


def test_an_id_is_cut_to_the_digits_that_runtimes_show():
    assert _text.shorten(ID, 64) == ID
    assert _text.shorten(ID, 63) == ID[:12]
    assert _text.shorten(ID, 7) == ID[:7]


def test_labels_are_cut_before_numbers_are_made_short(terminal):
    small, large = [123_456] * 8, [12_345_678_901] * 8
    (line,) = Table(["container", "interface"]).render([([ID, "eth0"], small)]).splitlines()[1:]
    assert line.split() == [ID[:12], "eth0", *["123,456"] * 4, *["246,912"] * 2]
    (line,) = Table(["container", "interface"]).render([([ID, "eth0"], large)]).splitlines()[1:]
    assert line.split() == [ID[:12], "eth0", *["12.3G"] * 4, *["24.7G"] * 2]


def test_once_short_numbers_stay_short(terminal):
    table = Table()
    table.render([(["eth0"], [10**18] * 8)])
    assert table.render([(["eth0"], [123_456] * 8)]).split()[-1] == "247k"


def test_a_wide_table_has_whole_labels_and_exact_numbers(terminal):
    large = [12_345_678_901] * 8
    headings, line = (
        Table(["container", "interface"], is_wide=True).render([([ID, "eth0"], large)]).splitlines()
    )
    assert line.split() == [ID, "eth0", *["12,345,678,901"] * 8]
    assert "rx errors  " in headings


def test_a_wider_terminal_shows_more(terminal):
    rows = [([ID, "eth0"], [123_456] * 8)]
    terminal(160)
    assert ID in Table(["container", "interface"]).render(rows)
    terminal(20)  # as much as there must be
    (line,) = Table(["container", "interface"]).render(rows).splitlines()[1:]
    assert line.split() == [ID[:1], "e", *["123k"] * 4, *["247k"] * 2]


# ---- numbers ----


@pytest.mark.parametrize(
    ("number", "in_1000", "in_1024"),
    [
        (0, "0", "0"),
        (0.012, "0.012", "0.012"),
        (0.0012, "1e-03", "1e-03"),
        (9.96, "10", "10"),
        (999, "999", "999"),
        (999.6, "1.00k", "1000"),
        (1023, "1.02k", "1023"),
        (1024, "1.02k", "1.00Ki"),
        (9_994, "9.99k", "9.76Ki"),
        (9_996, "10.0k", "9.76Ki"),
        (99_960, "100k", "97.6Ki"),
        (999_499, "999k", "976Ki"),
        (999_500, "1.00M", "976Ki"),
        (1023 * 1024, "1.05M", "1023Ki"),
        (2**64, "18.4E", "16.0Ei"),
        (1e300, "1e+300", "1e+300"),
    ],
)
def test_short_numbers(number, in_1000, in_1024):
    assert (short(number), short(number, 1024)) == (in_1000, in_1024)


@given(st.one_of(st.integers(0, 2**70), st.floats(0, 1e300)), st.sampled_from([1000, 1024]))
def test_a_short_number_has_at_most_six_characters(number, base):
    assert len(short(number, base)) <= 6
    assert exact(number)


def test_human_numbers_of_stats(net):
    support.add_patterned(net, 30)  # 31 frames of 130 bytes
    (line,) = succeed("v30", "--human")[1:]
    assert line.split() == ["v30", "0", "0", "4.03k", "31", "0", "0"]


# ---- order and filters ----


def test_stats_sorts_by_a_counter_or_a_sum_largest_first(net):
    for number in (3, 5, 4):
        support.add_patterned(net, number)
    for column in ("bytes", "packets", "tx_bytes", "tx_packets"):
        names = [line.split()[0] for line in succeed("--sort", column)[1:]]
        assert [name for name in names if name.startswith("v")] == ["v5", "v4", "v3"]
    names = [line.split()[0] for line in succeed("--sort", "name")[1:]]
    assert names == sorted(names)
    found = json.loads(call("stats", "--json", "--sort", "rx_bytes").stdout)
    assert [row["name"] for row in found["interfaces"]][:3] == ["w5", "w4", "w3"]


def test_rates_are_sorted_too_and_unknown_ones_are_last():
    rates = {"new": None, "idle": [0.0] * 8, "busy": [0.0, *[1.0] * 7]}
    found = _stats_rates.sort([(Row(name), None, rates[name]) for name in rates], "packets")
    assert [row.name for row, _, _ in found] == ["busy", "idle", "new"]


@pytest.mark.slow
def test_samples_are_sorted(containers):
    arguments = ("--containers", "--container", "^test-", "--watch", "1e-9", "--count", "2")
    lines = call("stats", *arguments, "--json", "--sort", "name").stdout.splitlines()
    for line in lines:
        names = [row["container"] for row in json.loads(line)["interfaces"]]
        assert names == ["test-a", "test-b", "test-c"]


def test_stats_shows_the_containers_that_match(containers):
    lines = succeed("--containers", "--container", "^test-[ab]", "--sort", "bytes")
    assert [line.split()[:3] for line in lines[1:]] == [
        ["test-a", "eth0", "1,090"],
        ["test-b", "eth0", "972"],
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--container", "a"], "--container needs --containers"),
        (
            ["--containers", "--container", "("],
            '--container must be a regular expression, not "(": missing ), unterminated '
            "subpattern at position 0",
        ),
        (["--sort", "size"], "argument --sort: invalid choice: 'size'"),
    ],
)
def test_wrong_filters_and_columns_are_refused(net, arguments, reason):
    done = call("stats", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"pynetstrat stats: error: {reason}" in done.stderr
