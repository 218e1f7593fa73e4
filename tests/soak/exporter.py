"""Tests that `pynetstrat exporter` does not grow while containers start and end.

The exporter runs with --labels, --keep-ended and --textfile. One thread makes named containers,
sends them a known traffic, and ends them; another writes the file of labels again and again, every
fourth time a broken one; two clients scrape, one of them compressed. In pauses without a scrape,
links come and go. The program checks that

- a container that lives during a whole scrape is in it, with its traffic to the byte;
- a container is gone once the time of --keep-ended is over;
- every series of a container has the labels of the last valid file, or of the one before;
- memory and descriptors do not grow.

SOAK_EXPORTER_SECONDS (25) sets the length.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import support
from soak import SLACK_KIB, WrongError
from support import Links

from pynetstrat import NetworkNamespace, link_set_up
from pynetstrat.cli import _fresh_namespaces

SECONDS = float(os.environ.get("SOAK_EXPORTER_SECONDS", "25"))
KEPT = 1.0  # seconds
SLACK = 10.0  # seconds that a busy machine may delay a scrape or the end of a namespace
ROW = re.compile(
    rb'^container_network_receive_bytes_total\{container="(c[0-9]+)",interface="eth0",'
    rb'(?:name="([^"]*)",)?netns="[0-9]+"\} (.*)$',
    re.MULTILINE,
)


class State:
    """What the threads share."""

    def __init__(self, url: str, labels: Path) -> None:
        self.url = url
        self.labels = labels
        self.deadline = time.monotonic() + SECONDS
        self.living: dict[bytes, float] = {}  # the bytes that each container has received
        self.ended: dict[bytes, float] = {}  # when
        self.lock = threading.Lock()
        self.done: Counter[str] = Counter()

    def is_over(self) -> bool:
        return time.monotonic() > self.deadline


def change(state: State) -> None:
    with Links() as links:
        for number in itertools.count():
            if state.is_over():
                return
            name = f"c{number}"
            with NetworkNamespace.create(name) as container:
                support.add_container_veth(links, container.fileno(), f"h{number}", number % 7)
            with state.lock:
                state.living[name.encode()] = support.seen("eth0", number % 7).rx_bytes
            if number >= 8:
                old = f"c{number - 8}"
                with state.lock:
                    del state.living[old.encode()]
                NetworkNamespace.delete(old)
                state.ended[old.encode()] = time.monotonic()
            state.done["containers"] += 1
            time.sleep(0.01)


def label(state: State) -> None:
    aside = state.labels.with_suffix(".new")
    for number in itertools.count():
        if state.is_over():
            return
        names = {f"c{each}": {"name": f"n{number}-c{each}"} for each in range(2000)}
        text = json.dumps(names)
        aside.write_text(text[: len(text) // 2] if number % 4 == 3 else text)
        aside.rename(state.labels)
        state.done["files of labels"] += 1
        time.sleep(0.5)


def scrape(state: State, coding: str) -> None:
    while not state.is_over():
        with state.lock:
            before = dict(state.living)
        started = time.monotonic()
        request = urllib.request.Request(state.url, headers={"Accept-Encoding": coding})
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
        if coding == "gzip":
            text = gzip.decompress(text)
        with state.lock:
            lived = [name for name in before if name in state.living]
        found = {name: (given, float(value)) for name, given, value in ROW.findall(text)}
        for name in lived:
            if name not in found or found[name][1] != before[name]:
                raise WrongError(f"{name!r}: {found.get(name)}, not {before[name]}")
        for name, (given, _) in found.items():
            if given and not given.endswith(b"-" + name):
                raise WrongError(f"{name!r} has the labels of {given!r}")
            if started - state.ended.get(name, started) > KEPT + SLACK:
                raise WrongError(f"{name!r} ended {started - state.ended[name]:.1f} s ago")
        state.done["scrapes"] += 1
        state.done["rows"] += len(found)
        time.sleep(1.0 if state.done["scrapes"] % 50 == 0 else 0.02)


def held(pid: int) -> tuple[int, int]:
    """Returns the resident memory of a process in KiB, and its number of descriptors."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    (rss,) = re.findall(r"^Rss: +([0-9]+) kB", text, re.MULTILINE)
    return int(rss), len(list(Path(f"/proc/{pid}/fd").iterdir()))


def soak(folder: Path) -> None:
    labels = folder / "labels.json"
    labels.write_text("{}")
    command = ["-W", "error", "-m", "pynetstrat", "exporter", "--listen", "127.0.0.1:0"]
    options = ["--container", "^c[0-9]", "--keep-ended", str(KEPT), "--labels", str(labels)]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [sys.executable, *command, *options, "--textfile", str(folder / "a.prom")],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as exporter,
    ):
        try:
            assert exporter.stdout is not None
            state = State(exporter.stdout.readline().split()[1], labels)
            failed: list[BaseException] = []

            def run(work, *arguments) -> None:  # type: ignore[no-untyped-def]
                try:
                    work(state, *arguments)
                except BaseException as error:
                    failed.append(error)
                    state.deadline = 0

            tasks = ((change,), (label,), (scrape, "identity"), (scrape, "gzip"))
            threads = [threading.Thread(target=run, args=task) for task in tasks]
            for thread in threads:
                thread.start()
            time.sleep(SECONDS / 2)
            before, descriptors = held(exporter.pid)
            for thread in threads:
                thread.join()
            if failed:
                raise failed[0]
            # A busy exporter may not have closed its last connections yet.
            with contextlib.suppress(AssertionError):
                support.wait_until(lambda: held(exporter.pid)[1] <= descriptors)
            after, left = held(exporter.pid)
            exporter.send_signal(signal.SIGTERM)
            if exporter.wait(60) != 0:
                raise WrongError("the exporter failed")
        finally:
            exporter.kill()
    lines = (folder / "log").read_text().splitlines()
    others = [line for line in lines if "must be JSON" not in line and "not counted" not in line]
    if others:
        raise WrongError(f"standard error: {others}")
    print(f"the exporter: RSS {before} KiB after half the time, {after} KiB at the end")
    if after - before > SLACK_KIB or left > descriptors:
        raise WrongError("memory or descriptors grow")
    done = state.done
    print(
        f"{SECONDS:.0f} s: {done['containers']:,} containers, {done['files of labels']:,} files of "
        f"labels, {done['scrapes']:,} scrapes with {done['rows']:,} rows, 0 wrong, "
        f"RSS {after - before:+} KiB"
    )


def main() -> None:
    _fresh_namespaces.enter()
    link_set_up()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        support.run(["mount", "-t", "tmpfs", "tmpfs", "/run"])
        stack.callback(support.run, ["umount", "/run"])
        soak(Path(folder))


if __name__ == "__main__":
    main()
