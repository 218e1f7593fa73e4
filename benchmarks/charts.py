"""Draws the results as SVG charts. The same data gives the same files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

mpl.rcParams.update(
    {
        "svg.hashsalt": "pynetstrat",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
    }
)

COLOURS = {
    "bare C": "#9a9a9a",
    "pynetstrat": "#0b6fb8",
    "dump_counters": "#0b6fb8",
    "dump_stats": "#5fb0e6",
    "read_columns": "#0b6fb8",
    "read": "#5fb0e6",
    "scrape": "#084a7a",
    "this version": "#0b6fb8",
    "the other version": "#d9822b",
    "a socket each": "#c9a227",
    "/proc/PID/net/dev": "#d9822b",
    "reference.py": "#c9a227",
    "send + recv": "#e3b96a",
    "open + int": "#d9822b",
    "ioctl": "#d9822b",
    "psutil": "#3c9d5a",
    "pyroute2": "#b8433a",
    "ip": "#7b5aa6",
    "ip -batch": "#a08cc0",
    "ip, by group": "#a08cc0",
    "CNI plugin": "#4a3a66",
    "CNI bridge": "#4a3a66",
    "CNI ptp": "#4a3a66",
    "one by one": "#d9822b",
}
#: Labels for lines whose case name alone is unclear.
NAMES = {
    "read_columns": "pynetstrat, read_columns",
    "read": "pynetstrat, read",
    "scrape": "pynetstrat exporter, a scrape",
    "a socket each": "a pynetstrat socket each",
    "pyroute2": "pyroute2, a socket each",
    "psutil": "psutil, setns",
}
TITLES = {
    "get_stats": "one interface's counters, rtnetlink",
    "sysfs_held": "one interface's counters, held files",
    "sysfs_once": "one interface's counters, one shot",
    "up_kept": "lo up, kept socket",
    "up_fresh": "lo up, one shot",
}
WIRING_TITLES = {
    "wire": "a container wired: bridge, MAC, MTU, address, gateway, lo",
    "cycle": "wired and torn down",
    "wire_many": "200 containers wired on one bridge",
    "pairs_made": "1,000 veth pairs made",
    "pairs_deleted": "1,000 veth pairs deleted",
}
Medians = dict[tuple[str, str], float]


def _save(figure: plt.Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    # matplotlib leaves trailing spaces.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def _label(seconds: float) -> str:
    from report import time_text

    return time_text(seconds)


def peers(medians: Medians, path: Path) -> None:
    """Draws the time per operation of pynetstrat and its peers."""
    _bars(medians, TITLES, 1e-6, (1, 20_000), path)


def wiring(medians: Medians, path: Path) -> None:
    """Draws the time of wiring containers, and of making and deleting pairs."""
    _bars(medians, WIRING_TITLES, 1e-3, (0.3, 100_000), path)


def _bars(
    medians: Medians,
    titles: dict[str, str],
    scale: float,
    limits: tuple[float, float],
    path: Path,
) -> None:
    """Draws bars on a logarithmic scale, with one panel for each group in `titles`.

    Parameters:
        scale: the unit of the axis in seconds, 1e-6 or 1e-3.
        limits: the limits of the axis.
    """
    groups = {
        group: {case: value for (name, case), value in medians.items() if name == group}
        for group in titles
    }
    heights = [len(cases) for cases in groups.values()]
    figure, axes = plt.subplots(
        len(groups),
        1,
        figsize=(7.5, 0.26 * sum(heights) + 1.2),
        sharex=True,
        gridspec_kw={"height_ratios": heights},
    )
    for axis, (group, cases) in zip(axes, groups.items(), strict=True):
        names = list(cases)
        values = [value / scale for value in cases.values()]
        axis.barh(names, values, color=[COLOURS[name] for name in names], height=0.75)
        for row, value in enumerate(values):
            axis.text(value * 1.08, row, _label(value * scale), va="center", fontsize=8)
        axis.invert_yaxis()
        axis.set_xscale("log")
        axis.set_title(titles[group], loc="left", fontsize=9, fontweight="bold")
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes[0].set_xlim(*limits)
    unit = "µs" if scale == 1e-6 else "ms"
    axes[-1].set_xlabel(f"{unit} for one operation (logarithmic; shorter is better)")
    figure.tight_layout(h_pad=0.6)
    _save(figure, path)


def sizes(medians: Medians, numbers: Iterable[int], path: Path) -> None:
    """Draws the time by the number of interfaces, both logarithmic."""
    _lines(medians, "dump", numbers, "interfaces in the namespace", {}, path)


def containers(medians: Medians, numbers: Iterable[int], path: Path) -> None:
    """Draws the time by the number of containers, both logarithmic."""
    _lines(medians, "containers", numbers, "containers on the host", NAMES, path)


def scrapes(medians: Medians, numbers: Iterable[int], path: Path) -> None:
    """Draws the processor time of a scrape by the number of containers, both logarithmic."""
    time = "processor time of a scrape"
    _lines(medians, "scrapes", numbers, "containers on the host", NAMES, path, time)


def _lines(
    medians: Medians,
    group: str,
    numbers: Iterable[int],
    what: str,
    names: dict[str, str],
    path: Path,
    time: str = "time for the counters of all",
) -> None:
    """Draws a line for each case of a group that was measured with several numbers."""
    numbers = list(numbers)
    groups = [f"{group} {number}" for number in numbers]
    figure, axis = plt.subplots(figsize=(7.5, 4.6))
    ends = {}
    for case in dict.fromkeys(case for name, case in medians if name in groups):
        points = [
            (number, medians[name, case])
            for number, name in zip(numbers, groups, strict=True)
            if (name, case) in medians
        ]
        axis.plot(
            *zip(*points, strict=True),
            marker="o",
            markersize=4,
            linewidth=1.6,
            linestyle="--" if case == "bare C" else "-",
            color=COLOURS[case],
        )
        ends[case] = points[-1]
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(numbers, [f"{number:,}" for number in numbers])
    axis.yaxis.set_major_formatter(lambda seconds, _: re.sub(r"\.0+", "", _label(seconds)))
    axis.minorticks_off()
    axis.set_xlabel(what)
    axis.set_ylabel(time)
    axis.grid(color="#dddddd", linewidth=0.6)
    axis.margins(x=0.05, y=0.08)
    _name_ends(axis, ends, names)
    _save(figure, path)


def _name_ends(axis: plt.Axes, ends: dict[str, tuple[float, float]], names: dict[str, str]) -> None:
    """Writes a label and the last value next to the end of each line, without overlaps.

    Parameters:
        names: labels by case; the default is the case.
    """
    axis.figure.tight_layout()
    points = {
        case: axis.transData.transform(end)[1] * 72 / axis.figure.dpi for case, end in ends.items()
    }
    for (case, end), height in zip(ends.items(), _apart(list(points.values()), 11), strict=True):
        axis.annotate(
            f"{names.get(case, case)}: {_label(end[1])}",
            end,
            xytext=(9, height - points[case]),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=COLOURS[case],
        )


def _apart(heights: list[float], least: float) -> list[float]:
    """Moves heights apart to a minimum distance, with as little movement as possible."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    moved = list(heights)
    for _ in range(100):
        for low, high in pairwise(order):
            missing = least - (moved[high] - moved[low])
            if missing > 0:
                moved[low] -= missing / 2
                moved[high] += missing / 2
    return moved


def tails(summary: dict[str, dict], path: Path) -> None:
    """Draws the slowest calls: time by the share of calls that were faster."""
    figure, axis = plt.subplots(figsize=(7.5, 3.6))
    percents = ["50", "90", "99", "99.9", "99.99", "100"]
    for name, colour in (("get_stats", "#0b6fb8"), ("SysfsReader.read", "#3c9d5a")):
        for condition, style in (("without churn", "--"), ("with churn", "-")):
            ns = summary[condition][name]["ns"]
            axis.plot(
                range(len(percents)),
                [ns[percent] / 1e3 for percent in percents],
                marker="o",
                markersize=4,
                linestyle=style,
                color=colour,
                label=f"{name}, {condition}",
            )
    axis.set_xticks(range(len(percents)), [*(f"p{p}" for p in percents[:-1]), "worst"])
    axis.set_yscale("log")
    axis.set_ylabel("µs for one call")
    axis.grid(color="#dddddd", linewidth=0.6)
    axis.legend(frameon=False, fontsize=8)
    _save(figure, path)
