"""The benchmarks: `./build.sh bench [--fast] [--docs] [--output DIR]`.

Moves itself into fresh user, network and mount namespaces, makes interfaces there and measures.
Writes results.md, the raw values (pyperf.json, tails.json) and charts. Never changes the interfaces
of the host.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import containers
import measure
import pyperf
import report
import top
import veth
import work

import pynetstrat
from pynetstrat.cli import _fresh_namespaces

HERE = Path(__file__).parent
SIZES = (1, 11, 101, 1001, 4001)
CONTAINERS = (1, 10, 100, 1000)
CHURNERS = 4
SINGLE = ("sysfs_once", "sysfs_held", "get_stats", "up_kept", "up_fresh", "events")
# (processes, values of each) for groups whose values take up to ten seconds.
LONG = {"wire_many": (2, 7), "pairs_made": (2, 7), "pairs_deleted": (2, 7)}
CHARTS = ("containers.svg", "peers.svg", "wiring.svg", "sizes.svg", "tails.svg")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./build.sh bench", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="fewer values: about three minutes")
    parser.add_argument("--docs", action="store_true", help="put the results into docs/ as well")
    parser.add_argument("--output", type=Path, default=HERE.parent / "build" / "bench")
    return parser.parse_args()


def compile_bare(directory: Path) -> None:
    """Compiles the programs that make the bare system calls into a folder."""
    compiler = os.environ.get("CC", "cc").split()
    for name in ("bare", "bare_wiring", "bare_nft"):
        source, program = str(HERE / f"{name}.c"), str(directory / name)
        subprocess.run([*compiler, "-O2", "-pthread", "-o", program, source], check=True)


def machine() -> str:
    """Describes the machine in general terms."""
    kernel = ".".join(platform.release().split("-")[0].split(".")[:2])
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores ({platform.machine()}), Linux {kernel}, {python}"


def collect(
    bare: Path, fast: bool
) -> tuple[
    dict[str, measure.Runs], dict[str, dict], dict[str, list[int]], dict[int, report.Refresh]
]:
    """Measures all groups, single calls with and without churn, latencies of events, and `top`."""
    processes, values, seconds = (2, 11, 0.005) if fast else (6, 25, 0.01)
    groups: dict[str, measure.Runs] = {}
    tails: dict[str, dict] = {}
    latencies: dict[str, list[int]] = {}
    refreshes: dict[int, report.Refresh] = {}

    def note(name: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {name}", file=sys.stderr, flush=True)

    start = time.monotonic()
    for size in CONTAINERS:
        name = f"containers {size}"
        note(name)
        with containers.made(size):
            groups[name] = measure.group("containers", bare, 2 if fast else 4, values, seconds)
            note(f"top {size}")
            refreshes[size] = top.measure(5 if fast else 30)
            if size == CONTAINERS[-1]:
                note("scrape")
                groups["scrape"] = measure.group("scrape", bare, 1 if fast else 3, values, seconds)
    pynetstrat.link_set_up("lo")
    for size in SIZES:
        name = f"dump {size}"
        note(name)
        veth.fill(size)
        groups[name] = measure.group("dump", bare, 2 if fast or size > 1001 else 4, values, seconds)
        if size > 1:
            continue
        veth.fill(3)
        for name in SINGLE:
            note(name)
            groups[name] = measure.group(name, bare, processes, values, seconds)
        for name in work.CONTAINERS:
            note(name)
            few = LONG.get(name, (processes, values))
            if fast and name in LONG:
                few = (1, 7)
            groups[name] = measure.group(name, bare, *few, seconds)
        for name in work.NFT:
            note(name)
            groups[name] = measure.group(name, bare, processes, values, seconds)
        note("latencies")
        latencies = measure.latencies(bare, 5 if fast else 20, 100)
        note("startup")
        groups["startup"] = measure.startup(15 if fast else 100)
        for name, churners in (("without churn", 0), ("with churn", CHURNERS)):
            note(name)
            tails[name] = measure.tails(3 if fast else 15, churners)
    note("done")
    return groups, tails, latencies, refreshes


def to_pyperf(groups: dict[str, measure.Runs]) -> pyperf.BenchmarkSuite:
    """Returns the values in pyperf's format, for `pyperf show`, `stats`, `hist`, `compare_to`."""
    about = {
        "machine": machine(),
        "python_version": platform.python_version(),
        "pynetstrat_version": pynetstrat.__version__,
        "unit": "second",
    }
    return pyperf.BenchmarkSuite(
        [
            pyperf.Benchmark(
                [
                    pyperf.Run(
                        run[kind],
                        metadata={**about, "name": f"{group}{more}/{case}", "loops": run["loops"]},
                        collect_metadata=False,
                    )
                    for run in runs
                ]
            )
            for group, cases in groups.items()
            for case, runs in cases.items()
            for kind, more in (("values", ""), ("cpu", ", CPU"))
            if kind in runs[0]
        ]
    )


def main() -> None:
    arguments = parse_arguments()
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    compile_bare(output)
    with contextlib.suppress(PermissionError):  # so that other programs disturb less
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    _fresh_namespaces.enter()
    groups, tails, latencies, refreshes = collect(output, arguments.fast)

    suite = to_pyperf(groups)
    suite.dump(str(output / "pyperf.json"), replace=True)
    benches = {tuple(bench.get_name().split("/", 1)): bench for bench in suite}
    summary = {name: report.quantiles(calls) for name, calls in tails.items()}
    events = report.quantiles(latencies)
    medians = {key: bench.median() for key, bench in benches.items()}
    results = report.Results(
        machine=machine(),
        medians=medians,
        spreads={key: bench.median_abs_dev() / bench.median() for key, bench in benches.items()},
        over=report.over_first(
            {case: runs[0]["values"] for case, runs in groups["startup"].items()}
        ),
        tails=summary,
        latencies=events,
        held=report.held(groups),
        refreshes=refreshes,
        sizes={"dump": SIZES, "containers": CONTAINERS},
        missing=work.missing(),
    )
    (output / "tails.json").write_text(json.dumps({**summary, "events": events}, indent=1) + "\n")
    text = report.render(results)
    (output / "results.md").write_text(text)
    import charts  # starts threads, after which no user namespace can be entered

    charts.containers(medians, CONTAINERS, output / "containers.svg")
    charts.peers(medians, output / "peers.svg")
    charts.wiring(medians, output / "wiring.svg")
    charts.sizes(medians, SIZES, output / "sizes.svg")
    charts.tails(summary, output / "tails.svg")
    if arguments.docs:
        page = HERE.parent / "docs" / "benchmarks.md"
        page.write_text(report.replace_results(page.read_text(), text))
        for name in CHARTS:
            shutil.copy(output / name, page.with_name(name))
    print(text)
    load = os.getloadavg()[1]
    if load > 1.5:  # the benchmark itself runs one process at a time
        print(f"The load average is {load:.1f}: other programs ran meanwhile, and figures drift.")
    print(f"in {output}: results.md, pyperf.json, tails.json, {', '.join(CHARTS)}")


if __name__ == "__main__":
    main()
