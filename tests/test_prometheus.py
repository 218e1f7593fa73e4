"""prometheus.py: what a scrape contains, and what it leaves out."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from errno import EBADF

import pytest
import support
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families
from support import seen

from pynetstrat import (
    Batch,
    Container,
    ContainerTable,
    Discovery,
    HostCounters,
    KernelError,
    NetworkInterface,
    NetworkNamespace,
    PermissionDeniedError,
    RtnetlinkSocket,
)
from pynetstrat._native import containers as native
from pynetstrat.cli import _missing
from pynetstrat.counting.watched import WatchedHost
from pynetstrat.prometheus import ContainerCollector

# cAdvisor's name of each counter, and the field of NetworkInterface.
COUNTERS = {
    "container_network_receive_bytes_total": "rx_bytes",
    "container_network_receive_packets_total": "rx_packets",
    "container_network_receive_errors_total": "rx_errors",
    "container_network_receive_packets_dropped_total": "rx_dropped",
    "container_network_transmit_bytes_total": "tx_bytes",
    "container_network_transmit_packets_total": "tx_packets",
    "container_network_transmit_errors_total": "tx_errors",
    "container_network_transmit_packets_dropped_total": "tx_dropped",
}
GAUGES = {
    "pynetstrat_scrape_error",
    "pynetstrat_scrape_duration_seconds",
    "pynetstrat_containers",
    "pynetstrat_containers_ended",
    "pynetstrat_containers_refused",
    "pynetstrat_processes_hidden",
    "pynetstrat_namespaces_omitted",
    "pynetstrat_namespaces_unseen",
    "pynetstrat_interfaces_omitted",
}
Rows = dict[tuple[str, str], NetworkInterface]


@pytest.fixture
def make(net: support.Links, run: None) -> Iterator[Callable[..., NetworkNamespace]]:
    """Makes a named container with an interface, which has received `pattern(number)`."""
    with contextlib.ExitStack() as stack:

        def make(label: str, number: int, interface: str = "eth0") -> NetworkNamespace:
            container = stack.enter_context(NetworkNamespace.create(label))
            support.add_container_veth(net, container.fileno(), f"v{number}", number, interface)
            return container

        yield make


@pytest.fixture
def collector(net: support.Links, run: None) -> Iterator[ContainerCollector]:
    """A collector of the containers of this file, whose names begin with "test-"."""
    with ContainerCollector(container="^test-") as opened:
        yield opened


def text(collector: ContainerCollector) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def parse(exposed: str) -> tuple[Rows, dict[str, float]]:
    """Returns the counters by container and interface, and the values of the other metrics."""
    rows: Rows = {}
    values = {}
    for family in text_string_to_metric_families(exposed):
        for sample in family.samples:
            if sample.name not in COUNTERS:
                values[sample.name] = sample.value
                continue
            assert set(sample.labels) == {"container", "interface", "netns"}
            key = sample.labels["container"], sample.labels["interface"]
            row = rows.setdefault(key, NetworkInterface(key[1]))
            setattr(row, COUNTERS[sample.name], int(sample.value))
    return rows, values


def scrape(collector: ContainerCollector) -> tuple[Rows, dict[str, float]]:
    return parse(text(collector))


def samples(collector: ContainerCollector) -> list[tuple[str, dict[str, str]]]:
    return [(s.name, s.labels) for metric in collector.collect() for s in metric.samples]


class Stub(WatchedHost):
    """Finds and reads the containers in `given`."""

    given: dict[Container, dict[str, NetworkInterface]]

    def refresh(self) -> Discovery:
        return Discovery(tuple(self.given), 0, 0)

    def take_ended(self) -> list[Container]:
        return []

    def counted(self) -> list[Container]:
        return list(self.given)

    def read_columns(self) -> ContainerTable:
        rows = [(key, row) for key, rows in self.given.items() for row in rows.values()]
        values = [getattr(row, field) for _, row in rows for field in COUNTERS.values()]
        flat = memoryview(struct.pack(f"{len(values) + 8}Q", *values, *[0] * 8))
        return ContainerTable(
            tuple(key for key, _ in rows),
            tuple(row.name for _, row in rows),
            tuple((key, row.name) for key, row in rows),
            flat.cast("Q", (len(rows) + 1, 8))[: len(rows)],
        )


@pytest.fixture
def stub(net: support.Links, monkeypatch: pytest.MonkeyPatch) -> type[Stub]:
    monkeypatch.setattr("pynetstrat._scrape.WatchedHost", Stub)
    return Stub


# ---- what a scrape contains ----


def test_an_interface_has_the_eight_counters_that_the_container_sees(collector, make):
    container = make("test-a", 3)
    found = [
        (sample.name, sample.labels, sample.value)
        for metric in collector.collect()
        for sample in metric.samples
        if sample.labels
    ]
    labels = {"container": "test-a", "interface": "eth0", "netns": str(container.id[1])}
    row = seen("eth0", 3)
    assert found == [(name, labels, getattr(row, field)) for name, field in COUNTERS.items()]
    assert row.rx_bytes > 0


def test_every_interface_except_lo_is_shown(net, host, collector, make):
    first = make("test-a", 1)
    make("test-b", 2)
    support.add_container_veth(net, first.fileno(), "v4", 4, "net1")
    host.execute(
        Batch().add_macvlan("mac0", host.get_link("v2").index, netns="test-b", mtu=support.MTU)
    )
    with RtnetlinkSocket("test-b") as there:
        there.link_set_up("mac0")
        there.link_set_up("lo")
        first.call(support.send_frames, "net1", 5, 200)
        expected = there.get_stats("mac0")
    rows, values = scrape(collector)
    assert rows[("test-a", "eth0")] == seen("eth0", 1)
    assert rows[("test-a", "net1")].tx_bytes == 1000
    assert rows[("test-b", "eth0")] == seen("eth0", 2)
    assert rows[("test-b", "mac0")] == expected
    assert len(rows) == 4
    assert values["pynetstrat_containers"] == 2


def test_the_dropped_counters_are_those_of_the_host_end(collector, host, make):
    """The end that receives a frame of an unknown type drops it."""
    container = make("test-a", 6)
    container.call(support.send_frames, "eth0", 5, 100)
    with RtnetlinkSocket(container) as there:
        assert there.get_stats("eth0").rx_dropped == support.pattern(6)[0]
    row = scrape(collector)[0][("test-a", "eth0")]
    assert (row.rx_dropped, row.tx_dropped) == (0, 5)
    assert host.get_stats("v6").rx_dropped == 5


def test_the_help_of_the_dropped_counters_names_the_end(collector):
    helps = {metric.name: metric.documentation for metric in collector.describe()}
    assert (
        "the host end dropped while transmitting"
        in helps["container_network_receive_packets_dropped"]
    )
    assert (
        "the host end dropped while receiving"
        in helps["container_network_transmit_packets_dropped"]
    )


def test_every_metric_has_a_help_text_and_a_type(collector, make):
    make("test-a", 1)
    exposed = text(collector)
    for name in (*COUNTERS, *GAUGES):
        assert re.search(f"^# HELP {name} [A-Z0-9].*\\.$", exposed, re.MULTILINE), name
        kind = "counter" if name in COUNTERS else "gauge"
        assert f"# TYPE {name} {kind}\n" in exposed


def test_a_container_that_appears_is_in_the_next_scrape(collector, make):
    assert scrape(collector)[0] == {}
    make("test-a", 1)
    assert scrape(collector)[0] == {("test-a", "eth0"): seen("eth0", 1)}


def test_a_container_that_ended_is_in_no_later_scrape(collector, host, make):
    make("test-a", 1).close()
    make("test-b", 2)
    assert set(scrape(collector)[0]) == {("test-a", "eth0"), ("test-b", "eth0")}
    support.delete_namespace("test-a")
    rows, values = scrape(collector)
    assert rows == {("test-b", "eth0"): seen("eth0", 2)}
    assert values["pynetstrat_containers"] == 1


def test_a_container_without_an_interface_is_counted_and_has_no_series(collector, host):
    with NetworkNamespace.create("test-a"):
        rows, values = scrape(collector)
    assert (rows, values["pynetstrat_containers"]) == ({}, 1)


def test_the_interfaces_of_the_host_are_not_shown(net, host):
    support.add_patterned(net, 3)
    own = str(support.identity()[1])
    with ContainerCollector() as collector:
        assert all(labels.get("netns") != own for _, labels in samples(collector))
        assert collector.error is None


def test_another_namespace_can_be_the_host(host, make):
    make("test-host", 1)
    with (
        NetworkNamespace.create("test-inner") as inner,
        RtnetlinkSocket("test-host") as there,
        ContainerCollector(container="^test-", netns="test-host") as collector,
    ):
        there.execute(Batch().add_veth("v9", "eth0", netns=inner))
        assert set(scrape(collector)[0]) == {("test-inner", "eth0")}


# ---- what cannot be read ----


def test_a_counter_that_cannot_be_read_is_absent_and_never_0(collector, make, monkeypatch):
    make("test-a", 1)

    def fail(_):
        raise KernelError(EBADF, "RTM_GETSTATS")

    with monkeypatch.context() as patch:
        patch.setattr(HostCounters, "read_columns", fail)
        rows, values = scrape(collector)
    assert rows == {}
    assert set(values) == {"pynetstrat_scrape_error", "pynetstrat_scrape_duration_seconds"}
    assert values["pynetstrat_scrape_error"] == 1
    assert str(collector.error) == "RTM_GETSTATS: Bad file descriptor"
    rows, values = scrape(collector)
    assert rows == {("test-a", "eth0"): seen("eth0", 1)}
    assert set(values) == GAUGES
    assert values["pynetstrat_scrape_error"] == 0
    assert collector.error is None


def test_a_refused_container_is_absent_and_counted(collector, make):
    make("test-a", 1)
    with support.without(support.CAP_SYS_ADMIN):
        rows, values = scrape(collector)
    assert (rows, values["pynetstrat_containers"]) == ({}, 0)
    assert values["pynetstrat_containers_refused"] == 1
    assert values["pynetstrat_scrape_error"] == 0
    (error,) = [e for key, e in collector.refused.items() if key.label == "test-a"]
    assert isinstance(error, PermissionDeniedError)


def test_namespaces_beyond_the_limit_are_counted(host, make):
    for number in range(3):
        make(f"test-{number}", number)
    with ContainerCollector(container="^test-", limit=2) as collector:
        rows, values = scrape(collector)
    assert len(rows) == values["pynetstrat_containers"] == 2
    assert values["pynetstrat_namespaces_omitted"] >= 1


def test_interfaces_beyond_the_limit_are_counted(collector, make, monkeypatch):
    monkeypatch.setattr(native, "MAX_LINKS", 4)
    container = make("test-a", 1)
    with support.inside(container.fileno()), support.Links() as links:
        for number in range(4):
            links.add_veth(f"a{number}", f"b{number}", up=False)
    rows, values = scrape(collector)
    assert values["pynetstrat_interfaces_omitted"] == 9 - len(rows) == 5
    assert [key.label for key in collector.omitted] == ["test-a"]


def test_one_line_reports_what_is_left_out():
    few, many = Container("few", "/run/netns/few", 7), Container("many", "/run/netns/many", 8)
    assert _missing.reasons(Discovery((few, many), 0, 0), {}, {}) == {}
    found = _missing.reasons(Discovery((few, many), 0, 4), {}, {few: 2, many: 300})
    assert _missing.line(found.values()) == (
        "not counted: namespaces beyond the limit: 4; "
        "interfaces beyond the limit: 302, such as of many"
    )


def test_a_hidden_namespace_is_in_the_scrape_and_counted(net, host, new_namespace):
    netns = new_namespace()
    support.add_container_veth(net, netns, "v0", 3)
    label = f"nsid:{host.get_nsid(netns)}"
    with ContainerCollector(container="^nsid:") as collector:
        rows, values = scrape(collector)
        assert rows == {(label, "eth0"): seen("eth0", 3)}
        assert values["pynetstrat_namespaces_unseen"] == values["pynetstrat_containers"] == 1
        assert {labels["netns"] for _, labels in samples(collector) if labels} == {"0"}
    with ContainerCollector(container="^test-") as collector:
        assert scrape(collector)[1]["pynetstrat_namespaces_unseen"] == 0


def test_the_sum_of_all_containers_has_each_frame_once_without_routed_traffic(net, host, make):
    """A container has a bridge for two inner containers, as with Docker in Docker."""
    router = make("test-router", 0)
    with contextlib.ExitStack() as stack:
        inner = [stack.enter_context(NetworkNamespace.create(f"test-{n}")) for n in range(2)]
        with support.inside(router.fileno()), support.Links() as links:
            links.add_bridge("br0")
            links.set_up("br0")
            for number, netns in enumerate(inner):
                support.add_container_veth(links, netns.fileno(), f"h{number}", 0)
                links.set_master(f"h{number}", "br0")
        inner[0].call(support.send_frames, "eth0", 7, 500)
        with (
            ContainerCollector(container="^test-") as everything,
            ContainerCollector(container="^test-", routed=False) as once,
        ):
            rows = scrape(everything)[0]
            sent = sum(row.tx_bytes for row in rows.values())
            assert sent > scrape(once)[0][("test-0", "eth0")].tx_bytes == 3500
            rows = scrape(once)[0]
            assert set(rows) == {(f"test-{name}", "eth0") for name in ("router", 0, 1)}
            assert sum(row.tx_bytes for row in rows.values()) == 3500


def test_a_collector_has_only_the_public_names_of_its_documentation():
    attributes = {"error", "discovery", "refused", "omitted"}
    public = {name for name in dir(ContainerCollector) if not name.startswith("_")}
    assert public == attributes | {"collect", "describe", "close"}


def test_a_closed_collector_does_not_fail_the_registry(collector, make):
    make("test-a", 1)
    collector.close()
    rows, values = scrape(collector)
    assert (rows, values["pynetstrat_scrape_error"]) == ({}, 1)
    assert "this ContainerCollector is closed" in str(collector.error)
    assert repr(collector) == "<ContainerCollector: closed>"


def test_a_forked_child_must_create_its_own_collector(collector):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        collector.collect()
        os.write(writing, str(collector.error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert "opened before fork()" in pipe.read()
    assert collector.collect() and collector.error is None


# ---- registries ----


def test_registering_does_not_scrape(collector, monkeypatch):
    def fail(_):
        raise AssertionError("a scrape")

    monkeypatch.setattr(HostCounters, "refresh", fail)
    CollectorRegistry(auto_describe=True).register(collector)
    assert {metric.name for metric in collector.describe()} == GAUGES | {
        name.removesuffix("_total") for name in COUNTERS
    }
    assert all(metric.samples == [] for metric in collector.describe())


def test_a_registry_accepts_only_one_collector(collector):
    registry = CollectorRegistry()
    registry.register(collector)
    with ContainerCollector() as other, pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(other)


@pytest.mark.slow
def test_simultaneous_scrapes_of_several_registries_are_complete(collector, make):
    for number in range(20):
        make(f"test-{number}", number)
    expected = {(f"test-{number}", "eth0"): seen("eth0", number) for number in range(20)}

    def work() -> None:
        for _ in range(20):
            rows, values = scrape(collector)
            assert rows == expected
            assert set(values) == GAUGES

    support.run_threads(*[work] * 4)


# ---- labels ----


@pytest.mark.parametrize(
    "label", ['a"b', "a\\b", "a\nb", "a\\nb", 'a\\"', "\\", "{}=,", "caf\u00e9", "\U0001f600", ""]
)
def test_a_label_can_be_read_back_from_both_formats(stub, label):
    stub.given = {Container(label, "/run/netns/a", 7): {"eth0": NetworkInterface("eth0", 1)}}
    registry = CollectorRegistry()
    with ContainerCollector() as collector:
        registry.register(collector)
        plain = generate_latest(registry).decode()
        other = openmetrics.generate_latest(registry).decode()
    for families in (
        text_string_to_metric_families(plain),
        openmetrics_parser.text_string_to_metric_families(other),
    ):
        found = [sample.labels for family in families for sample in family.samples]
        expected = {"container": label, "interface": "eth0", "netns": "7"}
        assert [labels for labels in found if labels] == [expected] * 8


def test_different_interface_names_are_different_labels(collector, make):
    container = make("test-a", 1)
    names = ["a\x1b", "a\\x1b", "a\\\\x1b", "a\udcff", "a\\udcff", "a\\xff", "a\xff", 'a"', "a\x85"]
    with support.inside(container.fileno()), support.Links() as links:
        for number, name in enumerate(names):
            links.add_veth(name, f"w{number}", up=False)
    rows, _ = scrape(collector)
    shown = {interface for _, interface in rows}
    assert len(shown) == 2 * len(names) + 1
    assert all(interface.isprintable() for interface in shown)
    assert 'a"' in shown and "a\\x1b" in shown and "a\\\\x1b" in shown


def test_a_value_above_2_to_the_53_is_rounded_by_the_format(stub):
    rx = 2**53 + 1
    stub.given = {Container("a", "/run/netns/a", 7): {"eth0": NetworkInterface("eth0", rx)}}
    with ContainerCollector() as collector:
        assert scrape(collector)[0][("a", "eth0")].rx_bytes == 2**53
        value = next(s.value for metric in collector.collect() for s in metric.samples)
    assert value == rx


# ---- filters ----


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patterns", "shown"),
    [
        ({}, {"eth0", "eth01", "net0"}),
        ({"interface": "eth0"}, {"eth0", "eth01"}),
        ({"interface": "^eth0$"}, {"eth0"}),
        ({"interface": re.compile("ETH", re.IGNORECASE)}, {"eth0", "eth01"}),
        ({"exclude_interface": "^eth"}, {"net0"}),
        ({"interface": "0", "exclude_interface": "1"}, {"eth0", "net0"}),
        ({"interface": "^$"}, set()),
    ],
)
def test_a_pattern_may_match_anywhere_in_the_name_of_an_interface(net, make, patterns, shown):
    container = make("test-a", 1)
    support.add_container_veth(net, container.fileno(), "v2", 2, "eth01")
    support.add_container_veth(net, container.fileno(), "v3", 3, "net0")
    with ContainerCollector(container="^test-", **patterns) as collector:
        assert {interface for _, interface in scrape(collector)[0]} == shown


@pytest.mark.parametrize(
    ("patterns", "shown"),
    [
        ({"container": "^test-"}, {"test-a", "test-b"}),
        ({"container": "^test-", "exclude_container": "a"}, {"test-b"}),
        ({"container": re.compile("^TEST-B$", re.IGNORECASE)}, {"test-b"}),
    ],
)
def test_only_containers_that_match_are_shown_and_counted(host, make, patterns, shown):
    make("test-a", 1)
    make("test-b", 2)
    with ContainerCollector(**patterns) as collector:
        rows, values = scrape(collector)
    assert {container for container, _ in rows} == shown
    assert values["pynetstrat_containers"] == len(shown)


@pytest.mark.parametrize(
    "name", ["container", "exclude_container", "interface", "exclude_interface"]
)
def test_an_invalid_pattern_is_refused_by_the_constructor(net, name):
    with pytest.raises(re.error):
        ContainerCollector(**{name: "("})


# ---- hostile containers ----


@pytest.mark.slow
def test_a_container_that_keeps_renaming_its_interface_does_not_affect_others(collector, make):
    hostile = make("test-hostile", 1)
    make("test-a", 2)
    stopped = threading.Event()

    def rename() -> None:
        with support.inside(hostile.fileno()), support.Links() as links:
            index = socket.if_nametoindex("eth0")
            number = 0
            while not stopped.is_set():
                links.rename(index, f"eth{number % 9}")
                number += 1
            links.rename(index, "eth0")

    def read() -> None:
        try:
            for _ in range(300):
                rows, values = scrape(collector)
                assert values["pynetstrat_scrape_error"] == 0
                assert rows.pop(("test-a", "eth0")) == seen("eth0", 2)
                assert [row.rx_bytes for row in rows.values()] == [seen("eth0", 1).rx_bytes]
        finally:
            stopped.set()

    support.run_threads(rename, read)


def test_a_container_with_496_alternative_names_does_not_hide_others(collector, make):
    hostile = make("test-hostile", 1)
    make("test-a", 2)
    with support.inside(hostile.fileno()), support.Links() as links:
        for number in range(496):
            links.add_altname("eth0", f"{number:0127}")
    rows, _ = scrape(collector)
    assert rows == {("test-hostile", "eth0"): seen("eth0", 1), ("test-a", "eth0"): seen("eth0", 2)}


# ---- prometheus_client ----


def test_the_import_error_says_what_to_install():
    code = """
import sys
sys.modules["prometheus_client"] = None
try:
    import pynetstrat.prometheus
except ImportError as error:
    print(error.name, error, sep="; ")
"""
    assert support.python(code).stdout == (
        "prometheus_client; pynetstrat.prometheus needs prometheus_client: "
        "pip install '.[exporter]' in the checkout, or pip install prometheus_client\n"
    )


def test_the_package_does_not_load_prometheus_client():
    code = """
import sys
import pynetstrat
for name in pynetstrat.__all__:
    getattr(pynetstrat, name)
print([name for name in sys.modules if name.startswith("prometheus")])
"""
    assert support.python(code).stdout == "[]\n"
