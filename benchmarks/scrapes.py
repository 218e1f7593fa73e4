"""Scrapes of `pynetstrat exporter`, by the number of containers; beside another version.

.venv/bin/python benchmarks/scrapes.py [BASE] [--sizes 1,10,100,1000,10000] [--chart FILE]

BASE is another checkout, built by its build.sh. Each value is a GET to the exporter of one version,
alternately, and its CPU time is that of the exporter. Before each turn every container receives and
sends a packet, so that half of the counters change. "gzip" is what compressing the response adds.

More than 1,000 containers are simulated: each has 1,000 interfaces. The rows, the text and the
reading are those of as many containers; finding them is not.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import containers
import harness

import pynetstrat
from pynetstrat.cli import _fresh_namespaces

THIS = Path(__file__).parent.parent
MOST = 1000  # containers; each beyond is an interface of one of ten
FRAME = b"\xff" * 6 + bytes(6) + b"\x88\xb5" + bytes(86)  # of an EtherType for experiments


class Exporter:
    """The exporter of a version, in a process of its own, and its measured values."""

    def __init__(self, tree: Path) -> None:
        own = tree / ".venv/bin/python"
        python = str(own) if own.exists() else sys.executable
        self.process = subprocess.Popen(
            [python, "-m", "pynetstrat", "exporter", "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the warning about processes that are hidden
            text=True,
            cwd=tree,
            preexec_fn=harness.end_with_parent,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split("/")[2]
        self.cpu: dict[str, list[float]] = {"identity": [], "gzip": []}
        self.size: dict[str, int] = {}
        self.rss = 0.0

    def scrape(self, coding: str) -> bytes:
        harness.at_work = self.process.pid
        before = harness.cpu_ns()
        with contextlib.closing(http.client.HTTPConnection(self.address)) as connection:
            connection.request("GET", "/metrics", headers={"Accept-Encoding": coding})
            text = connection.getresponse().read()
        self.cpu[coding].append((harness.cpu_ns() - before) / 1e6)
        self.size[coding] = len(text)
        return text

    def memory(self) -> float:
        """Returns the resident memory in MiB."""
        harness.at_work = self.process.pid
        return harness.held()[0] / (1 << 20)

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate()


@contextlib.contextmanager
def made(count: int) -> Iterator[list[tuple[socket.socket, str]]]:
    """Makes the containers; yields a socket and an interface for each packet that is sent."""
    few = min(count, MOST) if count <= MOST else 10
    with containers.made(few), contextlib.ExitStack() as stack:
        raw = socket.SOCK_RAW
        ends = [(socket.socket(socket.AF_PACKET, raw), f"bench{number}") for number in range(few)]
        with pynetstrat.RtnetlinkSocket() as host:
            for number, pid in enumerate(containers.pids()):
                netns = f"/proc/{pid}/ns/net"
                with pynetstrat.NetworkNamespace.open(netns) as inside:
                    ends.append((inside.call(socket.socket, socket.AF_PACKET, raw), "eth0"))
                    inside.call(pynetstrat.link_set_up, "eth0")
                    batch = pynetstrat.Batch()
                    for other in range(1, count // few):
                        batch.add_veth(f"m{number}.{other}", f"eth{other}", netns=netns, up=True)
                        ends.append((ends[number][0], f"m{number}.{other}"))
                    host.execute(batch)
        for end, _ in ends:
            stack.callback(end.close)
        yield ends


def send(ends: list[tuple[socket.socket, str]]) -> None:
    for end, interface in ends:
        with contextlib.suppress(OSError):  # the other end is down
            end.sendto(FRAME, (interface, 0))


def measure(trees: list[Path], count: int, values: int) -> list[Exporter]:
    with made(count) as ends:
        exporters = [Exporter(tree) for tree in trees]
        for turn in range(values + 2):
            for exporter in exporters[:: 1 if turn % 2 == 0 else -1]:
                for coding in exporter.cpu:
                    send(ends)
                    text = exporter.scrape(coding)
                    if coding == "identity":
                        rows = text.count(b"\ncontainer_network_receive_bytes_total{")
                        assert rows >= count, f"{rows} rows of {count}"
        for exporter in exporters:
            exporter.cpu = {coding: found[2:] for coding, found in exporter.cpu.items()}
            exporter.rss = exporter.memory()
            exporter.close()
        return exporters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", nargs="?", type=Path)
    parser.add_argument("--sizes", default="1,10,100,1000,10000")
    parser.add_argument("--values", type=int, default=15)
    parser.add_argument("--chart", type=Path, metavar="FILE", help="also draw the processor time")
    options = parser.parse_args()
    trees = [THIS] if options.base is None else [THIS, options.base.resolve()]
    _fresh_namespaces.enter()
    containers.allow_descriptors()
    print("| containers | version | CPU | fastest tenth | gzip adds | memory | text, compressed |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    sizes = [int(count) for count in options.sizes.split(",")]
    medians = {}
    for count in sizes:
        found = measure(trees, count, options.values)
        for exporter, name in zip(found, ("this version", "the other version"), strict=False):
            plain, packed = exporter.cpu["identity"], exporter.cpu["gzip"]
            fast = statistics.quantiles(plain, n=10)[0]
            adds = statistics.median(packed) - statistics.median(plain)
            texts = " / ".join(f"{exporter.size[coding] >> 10:,}" for coding in exporter.cpu)
            medians[f"scrapes {count}", name] = statistics.median(plain) / 1000
            print(
                f"| {count:,} | {name} | {statistics.median(plain):.2f} ms | {fast:.2f} ms "
                f"| {adds:.2f} ms | {exporter.rss:.1f} MiB | {texts} KiB |",
                flush=True,
            )
    if options.chart is not None:
        import charts  # starts threads, after which no user namespace can be entered

        charts.scrapes(medians, sizes, options.chart)
    print(f"load average {os.getloadavg()[0]:.1f}", file=sys.stderr)


if __name__ == "__main__":
    main()
