"""`stats --watch`: rates of real interfaces (cli/_stats_rates.py, cli/_stats_readings.py)."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import helpers_network
import pytest
import support

from pynetstrat import NetworkInterface, NetworkNamespace, RtnetlinkSocket, cli
from pynetstrat.cli import _stats_rates, stats
from pynetstrat.cli._stats_readings import Reading, Row
from pynetstrat.cli._table import Table

COMMAND = [sys.executable, "-W", "error", "-m", "pynetstrat", "stats"]
SHORT = ("--watch", "1e-9")  # the next sample is always due


@pytest.fixture
def begin(net):
    """Starts a watch, of which each `next` is a sample. It is closed at the end."""
    begun = []

    def start(*arguments):
        parser = argparse.ArgumentParser()
        stats.add_arguments(parser)
        pieces = stats.run(parser.parse_args([*SHORT, *arguments]))
        begun.append(pieces)
        return pieces

    yield start
    for pieces in begun:
        pieces.close()


@pytest.fixture
def sample(begin):
    """Starts a watch and returns a function that takes a sample and returns its JSON object."""

    def start(*arguments):
        pieces = begin("--json", *arguments)
        return lambda: json.loads(next(pieces))

    return start


def gains(found, name):
    """Returns what an interface has counted since the sample before, or None if unknown."""
    (rates,) = [row["per_second"] for row in found["interfaces"] if row["name"] == name]
    if rates is None:
        return None
    counted = {key: rate * found["interval"] for key, rate in rates.items()}
    rounded = {key: round(count) for key, count in counted.items()}
    assert counted == pytest.approx(rounded)  # whole packets and bytes
    return NetworkInterface(name, **rounded)


def names(found):
    return [row["name"] for row in found["interfaces"]]


# ---- rates ----


def test_a_sample_has_the_increase_since_the_sample_before(net, sample):
    support.add_patterned(net, 3)
    take = sample()
    assert gains(take(), "v3") is None
    support.send_frames("v3", *support.pattern(7))
    assert gains(take(), "v3") == support.view("v3", 7)
    assert gains(take(), "v3") == NetworkInterface("v3")
    support.send_frames("w3", *support.pattern(5))
    assert gains(take(), "w3") == support.view("w3", 5)


def test_the_first_sample_has_no_interval_and_no_rates(net, clock, sample):
    found = sample()()
    assert found.pop("time") == clock.time()
    interfaces = [{"name": "lo", "per_second": None}]
    assert found == {"interval": None, "perspective": "host", "interfaces": interfaces}


def test_the_perspective_container_exchanges_rx_and_tx(net, sample):
    support.add_patterned(net, 3)
    for arguments in ([], ["v3"]):
        take = sample(*arguments, "--perspective", "container")
        take()
        support.send_frames("v3", *support.pattern(7))
        found = take()
        assert found["perspective"] == "container"
        assert gains(found, "v3") == support.view("v3", 7).swapped()


def test_a_new_interface_has_rates_from_its_second_sample(net, sample):
    take = sample()
    take()
    support.add_patterned(net, 3)
    assert gains(take(), "v3") is None
    support.send_frames("v3", *support.pattern(7))
    assert gains(take(), "v3") == support.view("v3", 7)


def test_a_deleted_interface_is_in_no_further_sample(net, sample):
    support.add_patterned(net, 3)
    take = sample()
    assert names(take()) == ["lo", "w3", "v3"]
    net.delete("v3")
    assert names(take()) == ["lo"]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["v3"]], ids=["all", "named"])
def test_a_recreated_interface_has_no_rates_in_its_first_sample(net, sample, arguments):
    support.add_patterned(net, 3)
    take = sample(*arguments)
    take()
    net.delete("v3")
    net.add_veth("v3", "w3")
    support.send_frames("v3", *support.pattern(9))
    assert gains(take(), "v3") is None
    support.send_frames("v3", *support.pattern(7))
    assert gains(take(), "v3") == support.view("v3", 7)


@pytest.mark.parametrize("arguments", [[], ["v3", "v4"]], ids=["all", "named"])
def test_interfaces_that_exchange_names_have_no_rates_in_that_sample(net, sample, arguments):
    support.add_patterned(net, 3)
    support.add_patterned(net, 4)
    take = sample(*arguments)
    take()
    with RtnetlinkSocket() as rtnetlink:
        three, four = (rtnetlink.get_link(name).index for name in ("v3", "v4"))
    for index, name in ((three, "x"), (four, "v3"), (three, "v4")):
        net.rename(index, name)
    found = take()
    assert gains(found, "v3") is None
    assert gains(found, "v4") is None
    support.send_frames("v3", *support.pattern(7))
    assert gains(take(), "v3") == support.view("v3", 7)


def test_an_interface_whose_counters_were_reset_has_no_rates():
    """Some drivers set their counters to 0, but no virtual one."""
    full, less = [100] * 8, [200, 200, 200, 200, 200, 200, 200, 99]
    readings = (Reading([Row("eth0", 1)], [counters]) for counters in (full, less, full, full))
    rates = [found.rows[0][2] for found in _stats_rates.take_samples(readings, 1e-9)]
    assert rates == [None, None, None, (0.0,) * 8]


# ---- named interfaces ----


def test_a_named_interface_that_does_not_exist_at_first_is_an_error(net, capsys):
    assert cli.main(["stats", "lo", "eth0", *SHORT]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert 'interface "eth0": RTM_GETLINK: No such device' in printed.err


def test_a_named_interface_is_shown_without_rates_while_it_does_not_exist(net, sample):
    support.add_patterned(net, 3)
    take = sample("v3", "lo")
    take()
    net.delete("v3")
    for _ in range(2):
        found = take()
        assert names(found) == ["v3", "lo"]
        assert gains(found, "v3") is None
        assert gains(found, "lo") == NetworkInterface("lo")
    support.add_patterned(net, 3)
    assert gains(take(), "v3") is None
    support.send_frames("v3", *support.pattern(7))
    assert gains(take(), "v3") == support.view("v3", 7)


def test_an_alternative_name_is_shown_as_it_was_given(net, sample):
    support.add_patterned(net, 3)
    net.add_altname("v3", "an-alternative-name")
    take = sample("an-alternative-name")
    take()
    support.send_frames("v3", *support.pattern(7))
    seen = support.view("an-alternative-name", 7)
    assert gains(take(), "an-alternative-name") == seen


# ---- other namespaces ----


def test_a_watched_namespace_can_end(net, sample, begin):
    """Its end deletes the veth pair, and so the host end."""
    with NetworkNamespace.create() as container:
        net.add_veth("h0", "eth0", peer_netns=container.fileno(), up=False)
        with support.process_inside(container.fileno()) as process:
            take = sample("--pid", str(process.pid))
            assert names(take()) == ["lo", "eth0"]
    with RtnetlinkSocket() as host:  # the kernel deletes it asynchronously
        support.wait_until(lambda: "h0" not in host.dump_links())


def test_the_end_of_the_process_is_an_error(net, sample, capsys):
    sleeper = subprocess.Popen(["sleep", "600"])
    with subprocess.Popen(
        [*COMMAND, "--pid", str(sleeper.pid), "--watch", "0.01"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=support.ROOT,
    ) as process:
        assert process.stdout.readline().startswith("interface ")
        sleeper.kill()
        sleeper.wait()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"open netns /proc/{sleeper.pid}/ns/net: No such file" in said
    assert said.count("\n") == 1


def test_another_namespace_of_the_same_name_has_no_rates_at_first(net, sample):
    with helpers_network.own_run():
        for number in (3, 4):
            with (
                NetworkNamespace.create("blue") as blue,
                support.inside(blue.fileno()),
                support.Links() as links,
            ):
                support.add_patterned(links, 3)
                support.send_frames("v3", *support.pattern(number))
            if number == 3:
                take = sample("v3", "--netns", "blue")
            assert gains(take(), "v3") is None
            assert gains(take(), "v3") == NetworkInterface("v3")
            NetworkNamespace.delete("blue")


# ---- containers ----


@pytest.fixture
def blue(run):
    """The container "blue"."""
    with NetworkNamespace.create("blue") as netns:
        yield netns


def of(found, container):
    """Returns a sample with only the interfaces of one container."""
    rows = [row for row in found["interfaces"] if row["container"] == container]
    return found | {"interfaces": rows}


def test_containers_are_shown_from_their_own_perspective(net, blue, capsys):
    support.add_container_veth(net, blue.fileno(), "h0", 7)
    with NetworkNamespace.create() as other, support.process_inside(other.fileno()):
        net.add_veth("h1", "eth1", peer_netns=other.fileno(), up=False)
        assert cli.main(["stats", "--containers", "--json"]) == 0
        inode = other.id[1]
    found = json.loads(capsys.readouterr().out)
    assert found["perspective"] == "container"
    counters = dataclasses.asdict(support.seen("eth0", 7))
    assert of(found, "blue")["interfaces"] == [
        {"container": "blue", "netns": blue.id[1], **counters}
    ]
    counters = dataclasses.asdict(NetworkInterface("eth1"))
    assert of(found, str(inode))["interfaces"] == [
        {"container": str(inode), "netns": inode, **counters}
    ]


def test_the_perspective_host_exchanges_rx_and_tx_of_containers(net, blue, capsys):
    support.add_container_veth(net, blue.fileno(), "h0", 7)
    assert cli.main(["stats", "--containers", "--json", "--perspective", "host"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = of(found, "blue")["interfaces"]
    assert {key: row[key] for key in ("rx_packets", "tx_packets")} == {
        "rx_packets": 0,
        "tx_packets": support.pattern(7)[0],
    }


def test_the_table_of_containers_begins_with_the_label(net, blue, capsys):
    support.add_container_veth(net, blue.fileno(), "h0", 7)
    count, size = support.pattern(7)
    assert cli.main(["stats", "--containers"]) == 0
    headings, *lines = capsys.readouterr().out.splitlines()
    assert headings.split("  ")[0] == "container"
    assert headings.split()[1:4] == ["interface", "rx", "B"]
    (line,) = [line.split() for line in lines if line.startswith("blue ")]
    assert line == ["blue", "eth0", str(count * size), str(count), *["0"] * 4]


def test_a_new_container_has_rates_from_its_second_sample(net, run, sample):
    take = sample("--containers")
    assert of(take(), "blue")["interfaces"] == []
    with NetworkNamespace.create("blue") as blue:
        support.add_container_veth(net, blue.fileno(), "h0", 7)
        found = of(take(), "blue")
        assert gains(found, "eth0") is None
        assert found["interfaces"][0]["netns"] == blue.id[1]
        support.send_frames("h0", *support.pattern(5))
        assert gains(of(take(), "blue"), "eth0") == support.seen("eth0", 5)
        assert gains(of(take(), "blue"), "eth0") == NetworkInterface("eth0")
    support.delete_namespace("blue")
    assert of(take(), "blue")["interfaces"] == []


def test_a_recreated_interface_of_a_container_has_no_rates_at_first(net, blue, sample):
    support.add_container_veth(net, blue.fileno(), "h0", 3)
    take = sample("--containers")
    take()
    net.delete("h0")
    support.add_container_veth(net, blue.fileno(), "h0", 9)
    assert gains(of(take(), "blue"), "eth0") is None
    support.send_frames("h0", *support.pattern(5))
    assert gains(of(take(), "blue"), "eth0") == support.seen("eth0", 5)


def test_another_container_of_the_same_name_has_no_rates_at_first(net, run, sample):
    """Its interfaces have the same indexes and higher counters."""
    take = sample("--containers")
    for number in (3, 9):
        with (
            NetworkNamespace.create("blue") as blue,
            support.inside(blue.fileno()),
            support.Links() as links,
        ):
            support.add_patterned(links, 3)
            support.send_frames("v3", *support.pattern(number))
        assert gains(of(take(), "blue"), "v3") is None
        assert gains(of(take(), "blue"), "v3") == NetworkInterface("v3")
        support.delete_namespace("blue")


def test_one_warning_says_what_is_not_counted(net, blue, begin, capsys):
    support.add_container_veth(net, blue.fileno(), "h0", 3)
    with support.without(support.CAP_NET_ADMIN, support.CAP_SYS_ADMIN):
        pieces = begin("--containers")
        printed = next(pieces) + next(pieces)
    assert not any(line.startswith("blue ") for line in printed.splitlines())
    said = capsys.readouterr().err
    assert said.startswith("pynetstrat: warning: not counted: ")
    # Containers of other processes of the machine may be refused as well.
    assert re.search(r"containers: [1-9][0-9]*, such as \S+ \(", said)
    assert said.count("\n") == 1


def test_the_option_containers_excludes_interfaces_and_namespaces(net, capsys):
    assert cli.main(["stats", "--containers", "eth0"]) == 2
    reason = "--containers shows every interface: do not name any"
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("usage: pynetstrat stats ")
    assert printed.err.endswith(f"pynetstrat stats: error: {reason}\n")
    assert cli.main(["stats", "--containers", "--netns", "blue"]) == 2
    assert "not allowed with argument --containers" in capsys.readouterr().err


# ---- time ----


class Clock:
    """Replaces the module `time`. It advances when something sleeps, or when a test says so."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def time(self):
        return self.now + 1e9

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_stats_rates, "time", clock)
    return clock


def test_samples_do_not_drift(clock):
    """The next reading begins at a multiple of the interval, however long this one takes."""
    begun = []

    def readings():
        for delay in (0.0, 0.5, 1.75, 0.25, 0.0):
            begun.append(clock.now - 1000)
            clock.now += delay
            yield Reading([], [])

    found = list(_stats_rates.take_samples(readings(), 2.0))
    assert begun == [0, 2, 4, 6, 8]
    assert [sample.interval for sample in found] == [None, 2.5, 3.25, 0.5, 1.75]
    assert [sample.time - 1e9 - 1000 for sample in found] == [0, 2.5, 5.75, 6.25, 8]


def test_samples_that_are_late_are_skipped(clock):
    begun = []

    def readings():
        for delay in (0.5, 4.5, 0.5):
            begun.append(clock.now - 1000)
            clock.now += delay
            yield Reading([], [])

    samples = _stats_rates.take_samples(readings(), 2.0)
    next(samples)
    next(samples)  # begun at 2, read at 6.5: 4 and 6 are skipped
    clock.now += 3  # 8 is skipped too: the reader has paused
    next(samples)
    assert begun == [0, 2, 10]


def test_rates_are_divided_by_the_time_that_has_passed(clock):
    def readings():
        for count, delay in ((0, 0), (300, 1), (300, 0.5)):
            clock.now += delay
            yield Reading([Row("eth0", 1)], [[count] * 8])

    rates = [sample.rows[0][2] for sample in _stats_rates.take_samples(readings(), 2.0)]
    assert rates == [None, [100.0] * 8, (0.0,) * 8]


def test_a_very_long_wait_is_divided_into_several_sleeps(clock):
    samples = _stats_rates.take_samples(iter([Reading([], [])] * 2), 1e6)
    assert next(samples).interval is None
    assert next(samples).interval == pytest.approx(1e6)
    assert max(clock.slept) <= 86400


def test_the_shortest_interval_does_not_wait(net, begin):
    assert len(list(islice(begin("--watch", "5e-324"), 3))) == 3


@pytest.mark.slow
def test_it_ends_after_count_samples_without_another_wait(net):
    done = support.run([*COMMAND, "--watch", "1e300", "--count", "1"])
    assert (done.returncode, done.stderr) == (0, "")
    done = support.run([*COMMAND, "--watch", "0.01", "--count", "3", "--json"])
    assert (done.returncode, done.stderr) == (0, "")
    first, *others = [json.loads(line)["interval"] for line in done.stdout.splitlines()]
    assert first is None
    assert len(others) == 2
    assert min(others) > 0


# ---- text ----


def test_each_sample_is_a_table_after_an_empty_line(net, begin):
    support.add_patterned(net, 3)
    pieces = begin()
    first = next(pieces).splitlines()
    assert first[0].split("  ")[0] == "interface"
    assert "rx B/s" in first[0]
    assert [line.split() for line in first[1:]] == [
        [name, *["-"] * 6] for name in ("lo", "w3", "v3")
    ]
    empty, *second = next(pieces).splitlines()
    assert empty == ""
    assert second[0] == first[0]
    assert [line.split() for line in second[1:]] == [
        [name, *["0"] * 6] for name in ("lo", "w3", "v3")
    ]


def test_a_single_interface_takes_one_line_with_headings_every_20_lines(net, begin):
    pieces = begin("lo")
    lines = "".join(islice(pieces, 41)).splitlines()
    assert len(lines) == 41 + 3
    headings = [number for number, line in enumerate(lines) if "rx B/s" in line]
    assert headings == [0, 21, 42]
    assert lines[1].split() == ["lo", *["-"] * 6]
    assert {len(line) for line in lines} == {len(lines[0])}


def test_low_rates_are_not_rounded_to_0():
    rates = [0.0, 0.01, 0.996, 9.96, 12.6, 1234.5, 1e9, 1e-7]
    line = Table(unit="/s", is_wide=True).render([(["eth0"], rates)], headings=False)
    assert line.split() == ["eth0", "0", "0.01", "1", "10", "13", "1,234", "1,000,000,000", "1e-07"]


def test_a_column_that_became_wider_stays_wider(net):
    table = Table(is_wide=True)
    table.render([(["eth0"], [10**15] * 8)])
    assert len({len(line) for line in table.render([(["lo"], None)]).splitlines()}) == 1
    assert len(table.render([(["lo"], None)], headings=False)) > 8 * 20


@pytest.mark.slow
def test_names_that_cannot_be_encoded_are_escaped(net):
    net.add_veth("a\udcff", "caf\u00e9\x1b")
    plain = os.environ | {"PYTHONIOENCODING": "ascii"}
    arguments = ["--watch", "0.01", "--count", "2"]
    done = support.run([*COMMAND, *arguments], env=plain)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"a\udcff" in done.stdout
    assert r"caf\xe9\x1b" in done.stdout
    done = support.run([*COMMAND, *arguments, "--json"], env=plain)
    for line in done.stdout.splitlines():
        found = {row["name"]: row.get("name_hex") for row in json.loads(line)["interfaces"]}
        assert found == {"lo": None, "caf\u00e9\x1b": None, "a\\xff": "61ff"}


# ---- wrong usage ----


@pytest.mark.parametrize("seconds", ["0", "-1", "-0.0", "nan", "inf", "-inf", "1e999", "x", ""])
def test_the_interval_must_be_above_0(net, seconds, capsys):
    assert cli.main(["stats", "lo", f"--watch={seconds}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"must be a number of seconds > 0, not {seconds!r}" in printed.err


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "x", "", str(2**63), "9" * 5000])
def test_the_count_must_be_at_least_1(net, count, capsys):
    assert cli.main(["stats", "lo", *SHORT, f"--count={count}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "must be a number of samples >= 1" in printed.err


def test_the_count_needs_a_watch(net, capsys):
    assert cli.main(["stats", "lo", "--count", "2"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("usage: pynetstrat stats ")
    assert printed.err.endswith("pynetstrat stats: error: --count needs --watch\n")


# ---- as a process ----


@pytest.fixture
def watching(net):
    """Starts the command, and kills it at the end."""
    processes = []

    def start(*arguments, **options):
        options.setdefault("stdout", subprocess.PIPE)
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            cwd=support.ROOT,
            **options,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 128 + signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM)],
)
def test_a_signal_ends_it_silently_and_samples_are_printed_at_once(watching, number, status):
    process = watching("lo", "--watch", "3600")
    assert process.stdout.readline().startswith("interface ")
    assert process.stdout.readline().split() == ["lo", *["-"] * 6]
    process.send_signal(number)
    printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed, said) == (status, "", "")


def test_a_pipe_gets_each_sample_as_it_is_taken(net, watching):
    """Traffic after a sample was read is in the rates of the samples that follow."""
    support.add_patterned(net, 3)
    process = watching("v3", "--watch", "0.05", "--json")
    assert gains(json.loads(process.stdout.readline()), "v3") is None
    support.send_frames("v3", *support.pattern(7))
    wanted, _ = support.pattern(7)
    counted = 0
    while counted < wanted:
        counted += gains(json.loads(process.stdout.readline()), "v3").tx_packets
    assert counted == wanted


def test_a_reader_that_closes_the_pipe_ends_it_silently(watching):
    process = watching("lo", "--watch", "0.01")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE
    assert process.stderr.read() == ""


def test_a_full_device_is_reported_at_the_first_sample(watching):
    with Path("/dev/full").open("w") as full:
        process = watching("lo", "--watch", "3600", stdout=full)
        assert process.wait(timeout=60) == 1
    said = process.stderr.read()
    assert said == "pynetstrat: standard output: No space left on device\n"
