"""The benchmarks, but for their times and charts."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import support

import pynetstrat
from pynetstrat._native import link_is_up

BENCHMARKS = support.ROOT / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """A module of benchmarks/, by its name; with fewer containers and pairs."""
    monkeypatch.setenv("PYNETSTRAT_BENCH_SMALL", "1")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """The directory of the programs of the bare system calls."""
    folder = tmp_path_factory.mktemp("bare")
    for name in ("bare", "bare_wiring", "bare_nft"):
        command = ["cc", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", folder / name]
        subprocess.run([*command, BENCHMARKS / f"{name}.c"], check=True)
    return folder


@pytest.fixture
def forked(benchmark, monkeypatch):
    """Makes each worker in Python a fork of the test's process, and a group measure less.

    An interpreter that imports the peers takes 0.3 to 0.5 s of CPU time.
    """
    harness, measure, compare = benchmark("harness"), benchmark("measure"), benchmark("compare")
    functions = {
        "worker.py": benchmark("worker").main,
        "monitor.py": benchmark("monitor").main,
        "compare.py": lambda: compare.serve(*sys.argv[2:]),
    }
    for peer in {"psutil", "pyroute2", "uvloop", "prometheus_client"} - benchmark("work").missing():
        importlib.import_module(peer)

    def start(arguments, **options):
        program = arguments[1:2]  # none for a program in C
        function = functions.get(Path(*program).name)
        if function is None:
            return subprocess.Popen(arguments, **options)

        def main():
            sys.argv = arguments[1:]
            harness.at_work = os.getpid()
            function()
            return 0

        del options["text"]
        return support.fork(main, **options)

    monkeypatch.setattr(harness, "subprocess", SimpleNamespace(Popen=start, PIPE=subprocess.PIPE))
    monkeypatch.setattr(measure, "LEAST", 2)
    monkeypatch.setattr(measure, "LEAST_OF_A_PEER", 1)


def interfaces():
    return sorted(path.name for path in Path("/sys/class/net").iterdir())


# ---- harness.py ----


def test_a_python_case_does_the_work_so_many_times(benchmark, monkeypatch):
    harness = benchmark("harness")
    clock = count()
    monkeypatch.setattr(harness, "perf_counter", lambda: next(clock) * 0.25)
    done = []
    assert harness.python(lambda: done.append(1))(7) == 0.25
    assert len(done) == 7


def test_calibration_doubles_until_a_value_is_long_enough(benchmark):
    harness = benchmark("harness")
    assert harness.calibrate(lambda loops: loops * 0.003, 0.01) == (4, 0.012)


def test_cases_take_turns(benchmark):
    harness = benchmark("harness")
    order = []

    def case(name, seconds):
        return lambda loops: order.append(name) or loops * seconds

    found = harness.by_turns({"quick": case("quick", 0.01), "slow": case("slow", 10.0)}, 6, 0.01)
    assert found["quick"] == {"loops": 1, "values": [0.01] * 6}
    assert found["slow"] == {"loops": 1, "values": [10.0] * 3}  # fewer, spread over the others
    assert " ".join(order[4:]) == "quick slow quick quick slow quick quick slow quick"
    found = harness.by_turns({"slow": case("slow", 10.0)}, 1, 0.01, least=4)
    assert len(found["slow"]["values"]) == 4

    order.clear()
    found = harness.once_by_turns({"a": case("a", 1.0), "b": case("b", 2.0)}, 2)
    assert found == {"a": {"loops": 1, "values": [1.0] * 2}, "b": {"loops": 1, "values": [2.0] * 2}}
    assert "".join(order[2:]) == "abab"


def test_a_process_that_fails_is_no_value(benchmark):
    harness = benchmark("harness")
    assert harness.process([sys.executable, "-c", ""])(1) > 0
    with pytest.raises(RuntimeError, match="wait status 256"):
        harness.process([sys.executable, "-c", "raise SystemExit(1)"])(1)


def test_the_process_at_work_has_its_cpu_time_memory_and_descriptors_measured(
    benchmark, monkeypatch
):
    harness = benchmark("harness")
    before = harness.cpu_ns()
    assert sum(range(100_000)) < 1 << 40
    assert harness.cpu_ns() > before
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    with child:
        monkeypatch.setattr(harness, "at_work", child.pid)
        assert child.stdin and child.stdout
        child.stdin.write(b"x")  # once it answers, its loader has closed what it had opened
        assert child.stdout.read(1) == b"x"
        resident, descriptors = harness.held()
        child.kill()
    assert (0 < resident < 1 << 25, descriptors) == (True, 3)


def test_a_server_reports_cpu_time_beside_the_time_that_passed(benchmark):
    server = benchmark("harness").Server(
        [sys.executable, "-c", "input(); print(4000, 3000); input(); print(5)"]
    )
    timer = server.timer("anything")
    assert (timer(2), server.cpu) == (4e-6, [1.5e-6])
    assert (timer(1), server.cpu) == (5e-9, [1.5e-6])  # some do not
    server.close()


def test_a_server_that_ends_is_no_value(benchmark):
    harness = benchmark("harness")
    server = harness.Server([sys.executable, "-c", "input(); print(3000)"])
    timer = server.timer("anything")
    assert timer(1) == 3000 / 1e9
    with pytest.raises((RuntimeError, BrokenPipeError)):
        timer(1)
    server.close()


# ---- veth.py, work.py, measure.py ----


def test_filling_a_namespace(benchmark, net):
    veth = benchmark("veth")
    with veth.Maker() as maker:
        maker.add("a0", "a1")
        maker.delete("a1")
        with pytest.raises(OSError, match="veth pair"):
            maker.delete("a0")
    veth.fill(5)
    veth.fill(3)  # there are more already
    assert interfaces() == ["bench0", "bench1", "lo", "peer0", "peer1"]


def test_the_naive_path_gives_the_same(benchmark, net):
    work = benchmark("work")
    support.add_patterned(net, 3)
    assert work.naive_dump()["v3"] == work.naive_stats("v3") == support.view("v3", 3)
    work.naive_up()
    assert link_is_up("lo")


def check_group(measure, work, bare, group):
    """Measures each case of a group, and checks how many values there are."""
    runs = measure.group(group, bare, 1, 1, 0.0)
    assert list(runs) == ["bare C", *(c for c in work.GROUPS[group][2] if c not in work.missing())]
    for case, found in runs.items():
        ours = case in ("bare C", *measure.OURS, measure.UNCHECKED)
        for run in found:
            assert run["loops"] == 1, case
            assert len(run["values"]) == (measure.LEAST if ours else measure.LEAST_OF_A_PEER), case
            assert min(run["values"]) > 0, case
    return runs


@pytest.mark.slow
@pytest.mark.parametrize(
    "group",
    support.sample(
        [
            *("sysfs_once", "sysfs_held", "get_stats", "up_kept", "up_fresh", "dump", "events"),
            *("wire", "cycle", "wire_many", "pairs_made", "pairs_deleted", "port", "egress"),
        ],
        offset=1,
    ),
)
def test_every_case_of_a_group_is_measured(benchmark, net, bare, forked, group):
    benchmark("veth").fill(3)
    check_group(benchmark("measure"), benchmark("work"), bare, group)


@pytest.mark.slow
def test_each_case_is_measured_in_its_own_program(benchmark, net, bare):
    benchmark("veth").fill(3)
    measure = benchmark("measure")
    assert (measure.LEAST, measure.LEAST_OF_A_PEER) == (7, 3)
    check_group(measure, benchmark("work"), bare, "sysfs_held")


@pytest.mark.slow
@pytest.mark.parametrize("group", ["containers", "scrape"])
def test_every_way_to_count_in_containers_is_measured(benchmark, net, bare, forked, group):
    with benchmark("containers").made(3):
        assert interfaces() == ["lo"]  # sysfs shows the test's namespace still
        runs = check_group(benchmark("measure"), benchmark("work"), bare, group)
    for case, run in ((case, run) for case, found in runs.items() for run in found):
        if group == "containers":
            assert min(run["cpu"]) > 0, case
            assert len(run["cpu"]) == len(run["values"]), case
            assert ("held" in run) == (case != "bare C"), case


_CONTAINERS = """
import sys, time
sys.path.insert(0, BENCHMARKS)
import containers
from pynetstrat.cli import _fresh_namespaces

_fresh_namespaces.enter()
with containers.made(3):
    print("made", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_containers_end_with_the_benchmark(number):
    """Also by Control-C, which every process gets. They have its standard output open."""
    code = _CONTAINERS.replace("BENCHMARKS", repr(str(BENCHMARKS)))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as done:
        assert done.stdout.readline() == "made\n"
        if number == signal.SIGINT:
            os.killpg(done.pid, number)
        else:
            done.send_signal(number)
        _, errors = done.communicate(timeout=60)
    assert done.returncode == -number
    assert errors.count("Traceback") == (number == signal.SIGINT)  # of the benchmark alone


@pytest.mark.slow
def test_the_latency_of_events_is_measured_in_every_way(benchmark, net, bare, forked):
    measure, work, veth = benchmark("measure"), benchmark("work"), benchmark("veth")
    veth.fill(3)
    found = measure.latencies(bare, 2, 3)
    ways = benchmark("monitor").LATENCIES
    assert list(found) == ["bare C", *(way for way in ways if way not in work.missing())]
    for case, values in found.items():
        assert len(values) == 6, case
        assert 0 < min(values) <= max(values) < 60e9, case


def test_bare_refuses_what_it_does_not_know(bare, net):
    def run(program, *arguments, **options):
        command = [bare / program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, **options)
        return done.returncode, done.stderr

    code, text = run("bare", "nope", "/sys/class/net")
    assert (code, "No such file" in text) == (2, True)
    assert run("bare", "lo", "/sys/class/net", "x") == (2, 'bare: no operation "x"\n')
    usage = "bare_wiring CONTAINERS PAIRS (at most 256 and 1000)\n"
    assert run("bare_wiring", "257", "1") == (2, usage)
    assert run("bare_wiring", "1", "1", input="x 1") == (2, 'bare_wiring: no operation "x"\n')
    assert run("bare_nft", input="x 1") == (2, 'bare_nft: no operation "x"\n')


_EVERY_WAY = """
import os, sys
sys.path.insert(0, BENCHMARKS)
import wiring
from pynetstrat import RtnetlinkSocket

host = wiring.Host(2)

def look():
    with RtnetlinkSocket(host.namespaces[1]) as inside:
        links = inside.dump_links()
        own = [links["lo"].up, links["eth0"].up, links["eth0"].mtu, links["eth0"].mac]
        kept = [a.address for a in inside.dump_addresses("eth0") if ":" not in a.address]
        routes = [(r.destination, r.gateway) for r in inside.dump_routes() if r.gateway]
    (out,) = [link for link in host.socket.dump_links().values() if link.kind == "veth"]
    bridge = host.socket.get_link(wiring.BRIDGE)
    return own, kept, routes, out.up, out.mtu, out.master == bridge.index

for name in WAYS:
    wire, unwire = wiring.WAYS[name](host)
    wire(1)
    print(name, look())
    unwire(1)
    assert sorted(host.socket.dump_links()) == ["br0", "lo"], name
    host.clean()
sys.stdout.flush()
os._exit(0)  # as worker.py: the sockets are the host's, and end with it
"""


@pytest.mark.slow
def test_every_way_to_wire_a_container_gives_the_same_network(benchmark):
    """But for CNI's ptp, which needs no bridge, and takes no MAC."""
    wiring, work = benchmark("wiring"), benchmark("work")
    ways = [name for name in wiring.WAYS if name not in {"CNI ptp", *work.missing()}]
    code = _EVERY_WAY.replace("BENCHMARKS", repr(str(BENCHMARKS))).replace("WAYS:", f"{ways}:")
    done = support.run([sys.executable, "-c", code])  # not -W error: pyroute2 leaves loops open
    assert done.stderr == ""
    own = [True, True, 1400, "02:00:5e:10:00:01"]
    expected = (own, ["10.9.0.3/16"], [("0.0.0.0/0", "10.9.0.1")], True, 1400, True)
    assert done.stdout.splitlines() == [f"{name} {expected}" for name in ways]


@pytest.mark.slow
def test_tails_under_churn(benchmark, net):
    measure, veth = benchmark("measure"), benchmark("veth")
    veth.fill(3)
    calm = measure.tails(0.02, 0)
    assert len(calm["get_stats"]) == len(calm["SysfsReader.read"]) > 0
    assert measure.tails(0.5, 2)["pairs"][0] > 0
    assert interfaces() == ["bench0", "lo", "peer0"]


# ---- top.py ----


@pytest.mark.slow
def test_a_refresh_of_top_is_measured(benchmark):
    top, report = benchmark("top"), benchmark("report")
    with benchmark("containers").made(3):
        cpu, share, resident = top.measure(3, 0.01)
    assert 0 < cpu < 10
    assert share > 0
    assert resident > 1 << 20
    assert report.top({1000: (0.0123, 0.0149, 25 << 20)}).splitlines()[2:] == [
        "| 1,000 | 12.3 ms | 1.5 % | 25 MiB |"
    ]


# ---- compare.py ----


TREES = [Path(pynetstrat.__file__).parent.parent] * 2


@pytest.mark.slow
def test_every_row_of_two_trees_is_measured_by_turns(benchmark, net, forked):
    compare = benchmark("compare")
    benchmark("veth").fill(3)
    for row in support.sample([*compare.CALLS, *compare.WIRING]):
        base, this = compare.by_turns(TREES, row, 2, 0.0)
        assert len(base) == len(this) == 2, row
        assert min(*base, *this) > 0, row


@pytest.mark.slow
def test_two_trees_are_compared_in_programs_of_their_own(benchmark, net, capsys):
    compare = benchmark("compare")
    benchmark("veth").fill(3)
    columns = compare.by_turns(TREES, "get_stats", 3, 0.0)
    assert [len(column) for column in columns] == [3, 3]
    assert [len(column) for column in compare.startup(TREES, 1)] == [1, 1]
    compare.show("row", [2e-6] * 3, [3e-6] * 3)
    assert capsys.readouterr().out.split() == ["row", "2.00", "3.00", "µs", "1.500", "1.500"]


# ---- report.py ----


def test_times_and_quantiles(benchmark):
    report = benchmark("report")
    shown = [report.time_text(seconds) for seconds in (2.0, 0.0123, 3.456e-6, 123e-6, 5e-8)]
    assert shown == ["2.00 s", "12.3 ms", "3.46 µs", "123 µs", "0.05 µs"]
    found = report.quantiles({"call": list(range(1000, -1, -1))})["call"]
    assert found["count"] == 1001
    assert [found["ns"][p] for p in ("0", "50", "99", "99.9", "100")] == [0, 500, 990, 999, 1000]


def test_what_is_over_the_first_is_told_within_a_turn(benchmark):
    over = benchmark("report").over_first({"base": [10.0, 90.0, 20.0], "more": [12.0, 93.0, 21.0]})
    assert over == {"base": 0.0, "more": 2.0}


def test_results_go_between_the_marks_of_the_page(benchmark):
    report = benchmark("report")
    page = f"above\n{report.BEGIN}old\n{report.END}below\n"
    assert report.replace_results(page, "new\n").split("\n") == [
        *("above", report.BEGIN.strip(), "", "new", "", report.END.strip(), "below", "")
    ]
    assert report.BEGIN in (support.ROOT / "docs" / "benchmarks.md").read_text()


def results(report, **more):
    kinds = ("medians", "spreads", "over", "tails", "latencies", "held", "refreshes", "sizes")
    empty = {kind: {} for kind in kinds}
    return report.Results(**{"machine": "", "missing": set(), **empty, **more})


def test_a_container_has_its_share_of_the_memory(benchmark):
    report = benchmark("report")
    groups = {
        "containers 1": {"bare C": [{}], "read": [{"held": [1 << 20, 6]}]},
        "containers 1000": {
            "bare C": [{}],
            "read": [{"held": [(1 << 20) + 999 * size, 7]} for size in (512, 1024, 4096)],
        },
    }
    held = report.held(groups)
    assert held["containers 1000", "read"] == ((1 << 20) + 999 * 1024, 7)
    medians = {
        ("containers 1000", "bare C"): 2e-4,
        ("containers 1000", "read"): 5e-4,
        ("containers 1000, CPU", "bare C"): 2e-4,
        ("containers 1000, CPU", "read"): 4e-4,
    }
    spreads = dict.fromkeys(medians, 0.015)
    sizes = {"containers": (1, 10, 1000)}
    found = results(report, medians=medians, spreads=spreads, held=held, sizes=sizes)
    assert report._containers(found).splitlines()[2:] == [
        "| bare C | 200 µs | 1.00 | ± 1.5 % | 200 µs |  |  |",
        "| read | 500 µs | 2.50 | ± 1.5 % | 400 µs | 1.0 KiB | 7 |",
    ]


def test_events_are_counted_by_the_second(benchmark):
    report = benchmark("report")
    medians = {("events", "bare C"): 40e-6, ("events", "recv"): 80e-6}
    found = results(report, medians=medians, spreads=dict.fromkeys(medians, 0.1))
    assert report._events(found).splitlines()[2:] == [
        "| bare C | 1.00 µs | 1,000,000 | 1.00 | ± 10.0 % |",
        "| recv | 2.00 µs | 500,000 | 2.00 | ± 10.0 % |",
    ]


def test_targets_are_judged_by_ratios(benchmark):
    report = benchmark("report")
    medians = {
        ("sysfs_held", "bare C"): 5.0,
        ("sysfs_held", "pynetstrat"): 6.0,
        ("get_stats", "send + recv"): 1.6,
        ("get_stats", "pynetstrat"): 2.0,
        ("get_stats", "open + int"): 60.0,
    }
    assert report.targets(medians) == [
        ("SysfsReader.read", "bare C", True, 1.2, 1.3),
        ("get_stats", "send + recv", True, 1.25, 1.15),
        ("get_stats", "open + int", False, 30.0, 30),
    ]


# ---- instructions.py ----


def test_more_instructions_than_are_kept(benchmark):
    compare = benchmark("instructions").compare
    kept = {"compiler": "gcc 12", "machine": "x", "instructions": {"a": 100, "b": 100}}

    def judged(a, b, compiler="gcc 12"):
        now = {"compiler": compiler, "machine": "x", "instructions": {"a": a, "b": b}}
        return compare(kept, now)

    assert judged(105, 50)[1] is True
    lines, good = judged(100, 106)
    assert (good, "more than 5%" in lines[1], "more than" in lines[0]) == (False, True, False)
    assert judged(100, 106, "clang 14")[1] is True
    lines, good = judged(100, 126, "clang 14")
    assert (good, "gcc 12 on x" in lines[0], "more than 25%" in lines[2]) == (False, True, True)
    now = kept | {"instructions": {"new": 1}}
    assert compare(kept, now)[1] is False
