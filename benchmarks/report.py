"""Writes the results as text and tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

import monitor

#: Seconds, by group and case.
Medians = dict[tuple[str, str], float]

#: A refresh of `pynetstrat top`: CPU seconds, the share of a processor, resident bytes.
Refresh = tuple[float, float, int]


@dataclass
class Results:
    """The results of all measurements.

    Attributes:
        machine: a description of the machine.
        medians: the seconds of each case.
        spreads: the median distance of a case's values from their median, divided by that median.
        over: for whole processes the result of `over_first`, by case.
        tails: for single calls the result of `quantiles`, by condition.
        latencies: for events the result of `quantiles`, by case.
        held: the resident bytes and the open descriptors of a case's process, by group and case.
        refreshes: of `pynetstrat top`, by the number of containers.
        sizes: the numbers that a group was measured with, by group.
        missing: the cases whose peers are not installed.
    """

    machine: str
    medians: Medians
    spreads: Medians
    over: dict[str, float]
    tails: dict[str, dict]
    latencies: dict[str, dict]
    held: dict[tuple[str, str], tuple[float, float]]
    refreshes: dict[int, Refresh]
    sizes: dict[str, tuple[int, ...]]
    missing: set[str]


PERCENTS = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100)


def quantiles(calls: dict[str, list[int]]) -> dict[str, dict]:
    """Returns by operation the `count` of calls, and the nanoseconds at each of PERCENTS."""
    found = {}
    for name, values in calls.items():
        values = sorted(values)
        last = len(values) - 1
        found[name] = {
            "count": len(values),
            "ns": {str(percent): values[round(last * percent / 100)] for percent in PERCENTS},
        }
    return found


def held(groups: dict[str, dict[str, list[dict]]]) -> dict[tuple[str, str], tuple[float, float]]:
    """Returns by group and case the medians of resident bytes and of descriptors."""
    return {
        (group, case): (
            statistics.median(run["held"][0] for run in runs),
            statistics.median(run["held"][1] for run in runs),
        )
        for group, cases in groups.items()
        for case, runs in cases.items()
        if "held" in runs[0]
    }


def time_text(seconds: float) -> str:
    """Returns a time with three digits and a unit."""
    scales = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
    unit, scale = next((pair for pair in scales if seconds >= pair[1]), scales[-1])
    value = seconds / scale
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


#: For each operation: its group and case, the maximum ratio to the time of other cases, and the
#: minimum factor by which it must be faster than other cases.
TARGETS: dict[str, tuple[str, str, dict[str, float], dict[str, float]]] = {
    "set_up_networks": (
        "wire",
        "pynetstrat",
        {"bare C": 1.4},
        {"pyroute2": 8, "CNI bridge": 8, "ip": 8},
    ),
    "Batch, 1,000 pairs": ("pairs_made", "pynetstrat", {"bare C": 1.15}, {}),
    "delete_links, 1,000 pairs": (
        "pairs_deleted",
        "pynetstrat",
        {"bare C": 1.3},
        {"one by one": 30},
    ),
    "a port published and withdrawn": (
        "port",
        "pynetstrat",
        {"bare C": 1.3},
        {"nft -f -": 50},
    ),
    "enable_egress": ("egress", "pynetstrat", {"bare C": 1.3}, {"nft -f -": 50}),
    "get_network_interface_stats": (
        "sysfs_once",
        "pynetstrat",
        {"bare C": 1.35},
        {"open + int": 2.4},
    ),
    "SysfsReader.read": ("sysfs_held", "pynetstrat", {"bare C": 1.3}, {}),
    "get_stats": ("get_stats", "pynetstrat", {"send + recv": 1.15}, {"open + int": 30}),
    "link_set_up, kept socket": ("up_kept", "pynetstrat", {"send + recv": 1.15}, {}),
    "Loopback.initialize": ("up_fresh", "pynetstrat", {"bare C": 1.4}, {}),
    "dump_counters, 1,001": ("dump 1001", "dump_counters", {"bare C": 1.15}, {"psutil": 15}),
    "dump_stats, 1,001": ("dump 1001", "dump_stats", {"bare C": 3}, {"psutil": 6}),
    "ContainerCounters.read_columns, 1,000": (
        "containers 1000",
        "read_columns",
        {"bare C": 1.3},
        {"/proc/PID/net/dev": 40},
    ),
    "ContainerCounters.read, 1,000": (
        "containers 1000",
        "read",
        {"bare C": 4},
        {"/proc/PID/net/dev": 10},
    ),
}


def targets(medians: Medians) -> list[tuple[str, str, bool, float, float]]:
    """Returns (operation, other case, whether it is a limit of time, ratio, target).

    A limit of time is met if the ratio of the times is at most the target. Otherwise the ratio is
    how many times as fast the operation is, and must be at least the target.
    """
    found = []
    for operation, (group, case, most, least) in TARGETS.items():
        ours = medians.get((group, case))
        for is_limit, wanted in ((True, most), (False, least)):
            for name, target in wanted.items():
                theirs = medians.get((group, name))
                if ours and theirs:
                    ratio = ours / theirs if is_limit else theirs / ours
                    found.append((operation, name, is_limit, ratio, target))
    return found


def over_first(values: dict[str, list[float]]) -> dict[str, float]:
    """Returns by case the median difference from the first case's value in the same turn.

    The start of an interpreter varies more from minute to minute than between two cases, but the
    difference within a turn is stable.
    """
    base = next(iter(values.values()))
    return {
        case: statistics.median(value - first for value, first in zip(found, base, strict=True))
        for case, found in values.items()
    }


def _targets(medians: Medians, over: dict[str, float]) -> str:
    rows = []
    for operation, against, is_limit, ratio, target in targets(medians):
        met = ratio <= target if is_limit else ratio >= target
        rows.append(
            [
                f"`{operation}`",
                against,
                _ratio(ratio) + (" times the time" if is_limit else " times as fast"),
                f"at {'most' if is_limit else 'least'} {target}",
                "met" if met else "**missed**",
            ]
        )
    ours, psutil = over["pynetstrat, lo up"], over.get("psutil, import", 0.0)
    name = "`import` and `lo` up, whole process"
    met = "met" if ours <= 2.2e-3 else "**missed**"
    rows.append([name, "bare interpreter", f"{time_text(ours)} over it", "at most 2.2 ms", met])
    if psutil > 0:
        met = "met" if ours <= psutil / 5 else "**missed**"
        rows.append(
            [name, "psutil's import alone", f"{ours / psutil:.3f} of it", "at most 1/5", met]
        )
    return _table(["operation", "against", "measured", "target", ""], rows)


def _cases(medians: Medians, group: str) -> dict[str, float]:
    return {case: value for (name, case), value in medians.items() if name == group}


def _group(results: Results, group: str) -> str:
    cases = _cases(results.medians, group)
    base = next(iter(cases))
    return _table(
        ["", "median", f"times {base}", "half within"],
        [
            [case, time_text(value), _ratio(value / cases[base]), _within(results, group, case)]
            for case, value in cases.items()
        ],
    )


def _within(results: Results, group: str, case: str) -> str:
    return f"± {results.spreads[group, case] * 100:.1f} %"


def _containers(results: Results) -> str:
    """Returns time, CPU time, memory and descriptors for the largest number of containers."""
    few, *_, most = results.sizes["containers"]
    group = f"containers {most}"
    cases = _cases(results.medians, group)
    base = next(iter(cases.values()))
    rows = []
    for case, value in cases.items():
        memory = descriptors = ""
        if (group, case) in results.held:
            resident, files = results.held[group, case]
            more = (resident - results.held[f"containers {few}", case][0]) / (most - few)
            memory, descriptors = f"{max(more, 0) / 1024:.1f} KiB", f"{files:,.0f}"
        cpu = results.medians[f"{group}, CPU", case]
        rows.append(
            [
                *(case, time_text(value), _ratio(value / base), _within(results, group, case)),
                *(time_text(cpu), memory, descriptors),
            ]
        )
    return _table(
        [
            *(f"{most:,} containers", "median", "times bare C", "half within"),
            *("CPU", "memory a container", "descriptors"),
        ],
        rows,
    )


def _events(results: Results) -> str:
    cases = _cases(results.medians, "events")
    base = next(iter(cases.values()))
    return _table(
        ["", "an event", "events a second", "times bare C", "half within"],
        [
            [
                *(case, time_text(value / monitor.CHANGES), f"{monitor.CHANGES / value:,.0f}"),
                *(_ratio(value / base), _within(results, "events", case)),
            ]
            for case, value in cases.items()
        ],
    )


def _latencies(latencies: dict[str, dict]) -> str:
    rows = []
    for case, found in latencies.items():
        figures = [time_text(found["ns"][percent] / 1e9) for percent in ("50", "90", "99", "100")]
        rows.append([case, f"{found['count']:,}", *figures])
    return _table(["", "events", "p50", "p90", "p99", "worst"], rows)


def _startup(medians: Medians, over: dict[str, float]) -> str:
    rows = [
        [case, time_text(medians["startup", case]), time_text(extra) if extra else ""]
        for case, extra in over.items()
    ]
    return _table(["", "median", "over the bare interpreter"], rows)


def _sizes(medians: Medians, group: str, what: str, sizes: Iterable[int]) -> str:
    names = [f"{group} {size}" for size in sizes]
    cases = dict.fromkeys(case for group, case in medians if group in names)
    return _table(
        [what, *(f"{size:,}" for size in sizes)],
        [
            [case, *(time_text(medians[name, case]) for name in names if (name, case) in medians)]
            for case in cases
        ],
    )


def top(found: dict[int, Refresh]) -> str:
    """Returns the table of `pynetstrat top`, by the number of containers."""
    return _table(
        ["containers", "CPU a refresh", "of a processor", "memory"],
        [
            [f"{size:,}", time_text(cpu), f"{share * 100:.1f} %", f"{resident / 2**20:.0f} MiB"]
            for size, (cpu, share, resident) in found.items()
        ],
    )


def _tails(summary: dict[str, dict]) -> str:
    rows = []
    for condition, calls in summary.items():
        for name in ("get_stats", "SysfsReader.read"):
            ns = calls[name]["ns"]
            figures = [time_text(ns[percent] / 1e9) for percent in ("50", "99", "99.9", "100")]
            rows.append([f"`{name}`", condition, f"{calls[name]['count']:,}", *figures])
    return _table(["call", "", "calls", "p50", "p99", "p99.9", "worst"], rows)


def render(results: Results) -> str:
    """Returns the whole text."""
    from work import CONTAINERS, GROUPS

    medians, sizes = results.medians, results.sizes
    with_own_table = {*sizes, *CONTAINERS, "scrape", "events"}

    def chart(name: str, what: str) -> str:
        return f"![{what}]({name}.svg)\n\n"

    sections: list[tuple[str, str]] = [
        ("Targets", _targets(medians, results.over)),
        (
            "Counters of every container, by the number of containers",
            chart("containers", "cost against the number of containers")
            + _sizes(medians, "containers", "containers", sizes["containers"])
            + "\n"
            + _containers(results),
        ),
        (GROUPS["scrape"][0], _group(results, "scrape")),
        ("`pynetstrat top`, at one refresh a second", top(results.refreshes)),
        ("Wiring", chart("wiring", "time to wire a container, against the peers")),
        *((GROUPS[group][0], _group(results, group)) for group in CONTAINERS),
        ("Short calls", chart("peers", "time for one operation, against the peers")),
        *(
            (text, _group(results, group))
            for group, (text, _, _) in GROUPS.items()
            if group not in with_own_table
        ),
        (
            "Counters of every interface, by the number of interfaces",
            chart("sizes", "cost against the number of interfaces")
            + _sizes(medians, "dump", "interfaces", sizes["dump"]),
        ),
        ("Events of links: reading them", _events(results)),
        ("Events of links: from the change to the returned event", _latencies(results.latencies)),
        ("Whole processes: import, and `lo` up", _startup(medians, results.over)),
        (
            "Single calls, without and with churn",
            chart("tails", "the slow calls") + _tails(results.tails),
        ),
    ]
    pairs = results.tails["with churn"].get("pairs", {}).get("ns", {}).get("100", 0)
    missing = ", ".join(sorted(results.missing))
    text = [
        f"Measured on {results.machine}; medians. Cases of one table were measured\nalternately.",
        *([f"Not installed, so left out: {missing}."] if missing else []),
        *(f"## {title}\n\n{body}" for title, body in sections),
        f"Calls back to back. Churn: other processes made and deleted {pairs:,} veth pairs.\n",
    ]
    return "\n\n".join(part.rstrip("\n") for part in text) + "\n"


BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"


def replace_results(page: str, text: str) -> str:
    """Returns the page with `text` between its two marker lines."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{text}\n{END}{after}"
