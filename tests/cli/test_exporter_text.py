"""cli/_exporter_text.py: the text is, byte for byte, the one that prometheus_client writes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from pynetstrat import Batch, NetworkNamespace
from pynetstrat._metrics import COUNTERS, GAUGES, Reading
from pynetstrat._scrape import Scrape
from pynetstrat.cli._exporter_process import ProcessMetrics
from pynetstrat.cli._exporter_text import (
    TextWriter,
    format_float,
    format_labels,
    format_metric,
    format_number,
)
from pynetstrat.prometheus import to_metrics

Labels = tuple[tuple[str, str], ...]


class Given(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = list(metrics)

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> list[Metric]:
        return self.metrics


def reference(metrics: Iterable[Metric]) -> bytes:
    """Returns the text that prometheus_client writes."""
    registry = CollectorRegistry()
    registry.register(Given(metrics))
    return re.sub(rb"e\+0([1-9][0-9])\n", rb"e+\1\n", generate_latest(registry))


def reference_number(value: float) -> str:
    """Returns a number as prometheus_client writes it; older versions write 1e+010 for 1e+10."""
    return re.sub(r"e\+0([1-9][0-9])$", r"e+\1", floatToGoString(value))


def write(writer: TextWriter, reading: Reading) -> bytes:
    return b"".join(writer.write(reading))


COUNTS = st.one_of(
    st.integers(0, 2**64 - 1),
    st.integers(0, 64).map(lambda bits: 2**bits - 1),
    st.integers(0, 19).map(lambda digits: 10**digits),
    st.integers(0, 3),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "\\", "\n", '\\n"', "caf\u00e9", "\U0001f600", ""]
)
LABELS = st.dictionaries(
    st.sampled_from(["container", "image", "interface", "name", "netns", "pod"]), TEXTS
).map(lambda labels: tuple(sorted(labels.items())))


@pytest.mark.slow
@given(COUNTS)
def test_a_number_is_written_as_prometheus_client_writes_it(value):
    assert format_number(value) == f"{reference_number(value)}\n".encode()


@pytest.mark.slow
@given(st.floats(0, allow_nan=False, allow_infinity=False))
def test_a_float_is_written_as_prometheus_client_writes_it(value):
    assert format_float(value) == reference_number(value)


@pytest.mark.slow
@settings(max_examples=40)
@given(LABELS.filter(bool), st.floats(0, 1e300))
def test_a_gauge_is_written_as_prometheus_client_writes_it(labels, value):
    metric = GaugeMetricFamily("metric", "A help text.", labels=[name for name, _ in labels])
    metric.add_metric([value for _, value in labels], value)
    assert format_metric("metric", "A help text.", value, labels) == reference([metric])


def test_the_metrics_of_the_process_are_those_of_prometheus_client():
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    ours, theirs = ProcessMetrics().write(), generate_latest(registry)
    names = [line.rpartition(b" ")[0] for line in ours.splitlines()]
    assert names == [line.rpartition(b" ")[0] for line in theirs.splitlines()]
    for one, other in zip(_values(ours), _values(theirs), strict=True):
        assert other * 0.9 <= one <= other * 1.1 + 1


def test_the_metrics_of_the_process_need_only_the_processes_in_proc():
    """A hardened service has a /proc with subset=pid, without /proc/stat."""
    code = "from pynetstrat.cli._exporter_process import ProcessMetrics; ProcessMetrics().write()"
    mount = "mount -t proc -o subset=pid proc /proc || exit 77"
    script = f'{mount}; test ! -e /proc/stat && exec "$@"'
    command = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "sh",
        "-c",
        script,
        "sh",
        sys.executable,
        "-c",
        code,
    ]
    done = support.run(command)
    if done.returncode == 77:
        pytest.skip(done.stderr)
    assert (done.returncode, done.stderr) == (0, "")


def _values(text: bytes) -> list[float]:
    families = text_string_to_metric_families(text.decode())
    return [sample.value for family in families for sample in family.samples]


def test_a_sample_without_labels_has_no_braces():
    assert format_labels(()) == b" "


@st.composite
def readings(draw: st.DrawFn) -> list[Reading]:
    """Readings of one host: rows come, go and move; some values change."""
    every = draw(st.lists(LABELS.filter(bool), min_size=1, max_size=5, unique=True))
    values: dict[Labels, list[int]] = {row: [0] * 8 for row in every}
    rows: tuple[Labels, ...] = ()
    found = []
    for _ in range(draw(st.integers(1, 5))):
        if draw(st.booleans()):
            rows = tuple(draw(st.lists(st.sampled_from(every), unique=True)))
        for row in rows:
            for field in draw(st.lists(st.integers(0, 7), max_size=3)):
                values[row][field] = draw(COUNTS)
        columns = [[values[row][field] for row in rows] for field in range(8)]
        gauges = draw(st.dictionaries(st.sampled_from(GAUGES), st.floats(0, 1e9)))
        found.append(Reading(rows, columns, gauges))
    return found


@pytest.mark.slow
@settings(max_examples=40)
@given(readings())
def test_a_text_depends_on_its_reading_alone_and_not_on_those_before(given_readings):
    writer = TextWriter()
    for reading in given_readings:
        assert write(writer, reading) == reference(to_metrics(reading))


def test_what_did_not_change_is_not_formatted_again():
    rows = ((("container", "a"),), (("container", "b"),))
    writer = TextWriter()
    before = writer.write(Reading(rows, [[5, 6] for _ in COUNTERS], {}))
    after = writer.write(Reading(rows, [[5, 7], *([5, 6] for _ in COUNTERS[1:])], {}))
    assert before[0] != after[0]
    assert all(one is other for one, other in zip(before[1:8], after[1:8], strict=True))


def test_a_prefix_is_put_before_the_counters_alone():
    writer = TextWriter("host_")
    text = write(writer, Reading(((("container", "a"),),), [[5] for _ in COUNTERS], {}))
    lines = [line.removeprefix(b"# HELP ") for line in text.splitlines() if b"TYPE" not in line]
    assert all(line.startswith((b"host_container_network_", b"pynetstrat_")) for line in lines)
    assert b'\nhost_container_network_receive_bytes_total{container="a"} 5.0\n' in text


@pytest.mark.slow
def test_the_text_of_a_host_is_the_one_that_prometheus_client_writes(net, host, run):
    with Scrape(container="^test-") as scrape, NetworkNamespace.create("test-a") as container:
        writer = TextWriter()
        support.add_container_veth(net, container.fileno(), "v1", 3, "eth0")
        for number in range(4):
            reading = scrape.scrape()
            assert len(reading.rows) == 1 + number
            assert sum(map(sum, reading.columns)) > 0
            assert write(writer, reading) == reference(to_metrics(reading))
            container.call(support.send_frames, "eth0", 5, 200)
            again = scrape.scrape()
            assert again.rows is reading.rows and again.columns != reading.columns
            assert write(writer, again) == reference(to_metrics(again))
            host.execute(Batch().add_veth(f"w{number}", f'"{number}\\', netns=container))
