"""`pynetstrat exporter`, scraped by a real Prometheus. Started by prometheus.sh.

Three containers with veth pairs and one with a macvlan send a known amount of traffic. Counters
must equal those of the containers, to the byte. Rates must agree within the bounds of Prometheus'
extrapolation.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dashboard
import helpers_final
import helpers_network
import support
from prometheus_client.parser import text_string_to_metric_families

from pynetstrat import (
    Batch,
    Container,
    Network,
    NetworkNamespace,
    RtnetlinkSocket,
    link_set_up,
    set_up_networks,
)
from pynetstrat.cli._exporter_labels import LabelsFile

OUT = Path(sys.argv[1])
COMMAND = str(Path(sys.executable).with_name("pynetstrat"))
UNIT = (support.ROOT / "docs" / "pynetstrat-exporter.service").read_text()
(GRANTED,) = re.findall("^AmbientCapabilities=(.*)$", UNIT, re.MULTILINE)
CAPABILITIES = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in GRANTED.split())
DOCUMENT = (support.ROOT / "docs" / "exporter.md").read_text()
API = "http://127.0.0.1:9090/api/v1"
INSTANCE = "127.0.0.1:19580"  # the exporter's default

SENT = {"web": (3000, 1000), "db": (1000, 400)}  # datagrams, and their size without headers
KEPT = 5  # seconds that an ended container is shown
FRAMES, SIZE = 500, 300  # of an unknown type
HEADERS = 14 + 20 + 8  # Ethernet, IPv4, UDP

Series = dict[str, float]
done = {"queries": 0, "samples": 0, "scrapes": 0, "kept": 0, "exact": 0}


# ---- Prometheus' API ----


def ask(path: str, **parameters: str) -> Any:
    url = f"{API}/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as response:
        answer = json.load(response)
    assert answer["status"] == "success", answer
    return answer["data"]


def query(text: str, label: str = "container") -> Series:
    """Returns the values of an instant query by a label, which must be unique."""
    done["queries"] += 1
    result = ask("query", query=text)["result"]
    values = {entry["metric"].get(label, ""): float(entry["value"][1]) for entry in result}
    assert len(values) == len(result), result
    return values


def raws(text: str) -> dict[str, list[tuple[float, float]]]:
    """Returns the samples of series, as pairs of time and value, by container."""
    done["queries"] += 1
    return {
        series["metric"].get("container", ""): [(when, float(n)) for when, n in series["values"]]
        for series in ask("query", query=text)["result"]
    }


def raw(text: str) -> list[tuple[float, float]]:
    """Returns the samples of one series as pairs of time and value."""
    (samples,) = raws(text).values()
    return samples


def wait(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"timeout: {what}"
        time.sleep(0.1)


def wait_for_scrape() -> None:
    """Waits for a scrape that starts after this call. A scrape may fail on a busy machine."""
    now = time.time()

    def is_scraped() -> bool:
        when, up = raw('up{job="pynetstrat"}[1m]')[-1]
        return when > now and up == 1

    wait("a scrape", is_scraped)


def is_within(value: float, low: float, high: float) -> None:
    assert low * 0.999999 <= value <= high * 1.000001, (low, value, high)


# ---- docs/exporter.md ----


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def queries() -> dict[str, str]:
    """Returns the document's queries by the comment in their first line."""
    found = {text.split("\n", 1)[0].removeprefix("# "): text for text in blocks("promql")}
    assert len(found) == len(blocks("promql"))
    return found


def configure() -> None:
    """Writes Prometheus' configuration: that of the document, with a scrape every second."""
    (scrapes, rules) = blocks("yaml")
    for path in ("docs/alerts.yml", "tests/check/alerts_test.yml"):
        shutil.copy(support.ROOT / path, OUT)
    pace = "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\n"
    (OUT / "prometheus.yml").write_text(pace + scrapes + rules)
    for command in (
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ):
        checked = subprocess.run(["promtool", *command], capture_output=True, text=True, cwd=OUT)
        assert checked.returncode == 0, checked.stdout + checked.stderr


# ---- the unit of systemd ----


def check_unit() -> str:
    """Verifies the unit file with the command of this checkout; returns its exposure."""
    unit = OUT / "pynetstrat-exporter.service"
    unit.write_text(UNIT.replace("/opt/pynetstrat/bin/pynetstrat", COMMAND))
    assert COMMAND in unit.read_text()
    for command in (["verify", "--man=no"], ["security", "--offline=yes", "--threshold=40"]):
        done = subprocess.run(
            ["systemd-analyze", "--no-pager", *command, str(unit)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert command[0] != "verify" or done.stderr == ""
    (exposure,) = re.findall(r"Overall exposure level for .*: ([0-9.]+)", done.stdout + done.stderr)
    return exposure


# ---- the commands that make a file of labels ----

# What each program prints, shortened: Docker one object a line, the others all in one.
RUNTIMES = {
    "docker": (
        '{"ID":"d1","Image":"httpd:2.4","Names":"web","State":"running"}\n'
        '{"ID":"d2","Image":"redis","Names":"a b","State":"running"}\n'
    ),
    "podman": '[{"Id":"p1","Image":"docker.io/library/httpd:2.4","Names":["web"],"Pid":7}]',
    "crictl": (
        '{"items":[{"id":"k1","metadata":{"name":"dns","uid":"7","namespace":"kube-system",'
        '"attempt":0},"state":"SANDBOX_READY"}]}'
    ),
}
LABELS = {
    "docker": {
        "d1": {"name": "web", "image": "httpd:2.4"},
        "d2": {"name": "a b", "image": "redis"},
    },
    "podman": {"p1": {"name": "web", "image": "docker.io/library/httpd:2.4"}},
    "crictl": {"k1": {"pod": "dns", "namespace": "kube-system"}},
}


def check_recipes() -> None:
    """Runs the document's commands with programs that print what the runtimes do, or nothing."""
    recipes = [text for text in blocks("sh") if "jq" in text]
    assert len(recipes) == len(RUNTIMES)
    for recipe, (name, printed) in zip(recipes, RUNTIMES.items(), strict=True):
        for output, expected in ((printed, LABELS[name]), ("", {})):
            if not output and name != "docker":
                output = re.sub(r"\[.*\]", "[]", printed)
            folder = OUT / name
            folder.mkdir(exist_ok=True)
            program = folder / name
            program.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
            program.chmod(0o755)
            path = f"{folder}:{os.environ['PATH']}"
            subprocess.run(
                ["sh", "-ec", recipe], check=True, cwd=folder, env={**os.environ, "PATH": path}
            )
            labels = LabelsFile(str(folder / "labels.json"))
            labels.update()
            assert labels.error == ""
            for key, value in expected.items():
                assert labels.find(Container(key, "", 7)) == value
            assert json.loads((folder / "labels.json").read_text()) == expected


# ---- containers, traffic ----


def do_not_probe() -> None:
    """Stops eth0 from asking neighbours, some seconds after traffic, whether they are still there.

    Otherwise its counters would change between two readings.
    """
    for family in ("ipv4", "ipv6"):
        Path(f"/proc/sys/net/{family}/neigh/eth0/delay_first_probe_time").write_text("600")


class Host:
    """The containers, the exporter and Prometheus. A context manager that ends all of them."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        link_set_up()
        helpers_network.add_bridge("br0", "10.9.0.1/24")
        self.containers = {name: self.make(name) for name in ("web", "db", "lossy", "mac")}
        self.host_ends = {"lossy": "lossy0"}
        for number, name in enumerate(SENT, 2):
            address = f"10.9.0.{number}/24"
            network = Network("veth", name="eth0", bridge="br0", address=address, owner=name)
            (made,) = set_up_networks([network], netns=name)
            self.host_ends[name] = made.host_interface_name
            self.containers[name].call(do_not_probe)
        with RtnetlinkSocket() as sock:
            sock.execute(Batch().add_link("parent", "ifb", up=True))
            sock.execute(
                Batch()
                .add_veth("lossy0", "eth0", netns="lossy", up=True)
                .add_macvlan("eth0", sock.get_link("parent").index, netns="mac")
            )
        for name in ("lossy", "mac"):
            link_set_up("eth0", netns=name)
        # A container of another user in its own user namespace: reading it needs all three
        # capabilities.
        self.start("setpriv", "--reuid=4321", "--clear-groups", "unshare", "-Un", "sleep", "600")
        (OUT / "labels.json").write_text(json.dumps({"web": {"name": "shop", "pod": 'a"b'}}))
        self.exporter = self.start(
            *(
                "setpriv",
                "--no-new-privs",
                "--inh-caps=-all",
                f"--bounding-set=-all,{CAPABILITIES}",
            ),
            *(COMMAND, "exporter", "--labels", str(OUT / "labels.json")),
            *("--keep-ended", str(KEPT), "--textfile", str(OUT / "containers.prom")),
        )
        assert self.exporter.stdout is not None
        assert self.exporter.stdout.readline() == f"serving http://{INSTANCE}/metrics\n"
        configure()
        with (OUT / "log").open("w") as log:
            self.start(
                *("prometheus", f"--config.file={OUT}/prometheus.yml"),
                *(f"--storage.tsdb.path={OUT}/data", "--web.listen-address=127.0.0.1:9090"),
                stderr=log,
            )

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def make(self, name: str = "") -> NetworkNamespace:
        """Creates a container without interfaces, and without automatic IPv6 addresses."""
        container = self._stack.enter_context(NetworkNamespace.create(name))
        helpers_network.quieten(container)
        return container

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Starts a program, which is killed at the end."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = self._stack.enter_context(subprocess.Popen(command, text=True, **options))
        self._stack.callback(process.kill)
        return process

    def own_view(self, name: str) -> dict[str, int]:
        """Reads the counters of a container's eth0 inside the container."""
        with RtnetlinkSocket(self.containers[name]) as there:
            stats = there.get_stats("eth0")
        return {field: getattr(stats, field) for field in support.FILES}

    def send(self) -> None:
        """Sends datagrams between two containers, and frames of an unknown type."""
        with contextlib.ExitStack() as stack:
            ends = {}
            for number, name in enumerate(SENT, 2):
                end = self.containers[name].call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
                ends[name] = stack.enter_context(end)
                end.settimeout(30)
                end.bind((f"10.9.0.{number}", 7))
            for name, other in (("web", "db"), ("db", "web")):
                count, size = SENT[name]
                for _ in range(count):  # one at a time, because a burst could be dropped
                    ends[name].sendto(bytes(size), ends[other].getsockname())
                    assert len(ends[other].recv(2000)) == size
        for name in ("lossy", "mac"):
            self.containers[name].call(support.send_frames, "eth0", FRAMES, SIZE)


# ---- the steps ----


def test_prometheus_scrapes_the_exporter(host: Host) -> None:
    def is_up() -> bool:
        try:
            return query('up{job="pynetstrat"}', "instance") == {INSTANCE: 1}
        except (urllib.error.URLError, ConnectionError):
            return False

    wait("the first scrape", is_up)
    wait("three samples", lambda: len(raw('up{job="pynetstrat"}[1m]')) >= 3)
    assert query("pynetstrat_containers", "instance") == {INSTANCE: 5}
    (target,) = ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")


def test_every_metric_has_its_type_and_help_text(host: Host) -> None:
    metadata = {entry["metric"]: entry for entry in ask("targets/metadata", match_target="{}")}
    table = dict(re.findall(r"^\| `([a-z_]+)` \| (counter|gauge) \|", DOCUMENT, re.MULTILINE))
    assert len(table) == 19
    for name, kind in table.items():
        assert metadata[name]["type"] == kind and metadata[name]["help"]
    assert set(table) == {n for n in metadata if n.startswith(("container_", "pynetstrat_"))}


def test_counters_are_those_of_the_containers_to_the_byte(host: Host) -> None:
    before = {name: host.own_view(name) for name in host.containers}
    host.send()
    after = {name: host.own_view(name) for name in host.containers}
    for name, (count, size) in SENT.items():
        sent = count * (size + HEADERS)
        # The rest is ARP.
        is_within(after[name]["tx_bytes"] - before[name]["tx_bytes"], sent, sent + 1000)
    assert after["mac"]["tx_bytes"] - before["mac"]["tx_bytes"] == FRAMES * SIZE
    wait_for_scrape()
    with RtnetlinkSocket() as sock:
        for name, end in host.host_ends.items():  # drops of a pair are the host end's
            here = sock.get_stats(end, perspective="container")
            after[name] |= {"rx_dropped": here.rx_dropped, "tx_dropped": here.tx_dropped}
    assert after["lossy"]["tx_dropped"] == FRAMES
    for field in support.FILES:
        side, what = field.split("_")
        metric = f"{'receive' if side == 'rx' else 'transmit'}_{what.replace('dr', 'packets_dr')}"
        values = query(f'container_network_{metric}_total{{container=~"[a-z]+"}}')
        assert values == {name: after[name][field] for name in after}, field


def extrapolation(samples: list[tuple[float, float]]) -> float:
    """Returns the factor by which Prometheus may extrapolate.

    Prometheus extrapolates at either end by at most 1.1 times the interval of the samples.
    """
    return 1 + 2.2 / (len(samples) - 1)


def sent_and_received(name: str) -> tuple[float, float, float]:
    """Returns the bytes of each direction, and the factor by which Prometheus may extrapolate."""
    found = []
    for direction in ("transmit", "receive"):
        samples = raw(f'container_network_{direction}_bytes_total{{container="{name}"}}[5m]')
        done["samples"] += len(samples)
        assert len(samples) >= 3
        found.append(samples[-1][1] - samples[0][1])
    return found[0], found[1], extrapolation(samples)


def test_rates_agree_with_the_traffic(host: Host) -> None:
    for name in host.containers:
        sent, received, most = sent_and_received(name)
        assert sent > 0 and (received > 0) == (name in SENT)
        for direction, bytes in (("transmit", sent), ("receive", received)):
            metric = f'container_network_{direction}_bytes_total{{container="{name}"}}[5m]'
            is_within(query(f"increase({metric})")[name], bytes, bytes * most)
            is_within(query(f"rate({metric})")[name], bytes / 300, bytes * most / 300)


def test_each_query_of_the_document_returns_the_right_values(host: Host) -> None:
    wait_for_scrape()
    traffic = {name: sent_and_received(name) for name in host.containers}

    def measured(title: str, amount: Callable[[float, float], float]) -> None:
        """Checks a query that returns an amount of sent and received bytes by container."""
        values = query(texts.pop(title))
        assert set(values) == set(traffic)
        for name, (sent, received, most) in traffic.items():
            is_within(values[name], amount(sent, received), amount(sent, received) * most)

    texts = queries()
    measured("received by container", lambda _, received: received / 300)
    measured("sent by container", lambda sent, _: sent / 300)
    measured("top ten", lambda sent, received: (sent + received) / 300)
    measured("bits by interface", lambda sent, received: 8 * (sent + received) / 300)
    measured("sent within an hour", lambda sent, _: sent)
    received, most = (sum(row[1] for row in traffic.values()), traffic["web"][2])
    (value,) = query(texts.pop("received by host"), "instance").values()
    is_within(value, received / 300, received * most / 300)
    drops = query(texts.pop("drops"))
    is_within(drops.pop("lossy"), FRAMES / 300, FRAMES * most / 300)
    assert drops == {"web": 0, "db": 0, "mac": 0}
    assert query(texts.pop("errors")) == {"web": 0, "db": 0, "mac": 0, "lossy": 0}
    assert query(texts.pop("ratio of drops")) == {"web": 0, "db": 0, "mac": 0, "lossy": 1}
    assert query(texts.pop("containers"), "instance") == {INSTANCE: 5}
    assert query(texts.pop("not counted"), "instance") == {INSTANCE: 0}
    (value,) = query(texts.pop("duration"), "instance").values()
    assert value > 0
    (value,) = query(texts.pop("processor"), "instance").values()
    assert value >= 0
    assert texts == {}


def test_each_query_of_the_dashboard_is_answered(host: Host) -> None:
    values = {"job": "pynetstrat", "instance": ".*", "container": "web"}
    times = {"__rate_interval": "1m", "__range": "5m"}
    for text in dashboard.queries():
        assert ask("query", query=dashboard.fill_in(text, **values, **times))["result"], text
        done["queries"] += 1
    for name, text in dashboard.variables().items():
        selector, label = text.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        parameters = {"match[]": dashboard.fill_in(selector, **values)}
        expected = {"instance": INSTANCE}.get(name, values[name])
        assert expected in ask(f"label/{label}/values", **parameters)


def test_the_labels_of_the_file_are_those_of_the_series(host: Host) -> None:
    metric = "container_network_receive_bytes_total"
    assert query(f"sum by (name) ({metric})", "name").keys() == {"shop", ""}
    assert query(f"sum by (pod) ({metric})", "pod").keys() == {'a"b', ""}
    assert query("pynetstrat_labels_error", "instance") == {INSTANCE: 0}


def test_the_text_file_can_be_read_beside_node_exporter(host: Host) -> None:
    text = (OUT / "containers.prom").read_text()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "\nprocess_" not in text


def test_the_rules_of_the_document_are_evaluated(host: Host) -> None:
    def lossy_is_found() -> bool:
        return "lossy" in query('ALERTS{alertname="ContainerDropsPackets"}')

    wait("an evaluation", lossy_is_found)
    expected = {
        "ContainerTrafficUnknown": "inactive",
        "ContainersNotCounted": "inactive",
        "ContainerScrapesSlow": "inactive",
        "ContainerLabelsUnused": "inactive",
        "ContainerDropsPackets": "pending",
    }
    # A scrape that fails on a busy machine makes the first one pending until the next evaluation.
    wait("the states", lambda: alerts() == expected)


def alerts() -> dict[str, str]:
    (group,) = ask("rules")["groups"]
    assert all(rule["health"] == "ok" for rule in group["rules"]), group
    return {rule["name"]: rule["state"] for rule in group["rules"]}


def test_a_container_that_ended_keeps_its_series_for_a_while(host: Host) -> None:
    wait_for_scrape()
    before = query('{__name__=~"container_network_.*",container="web"}', "__name__")
    last = query('{__name__=~"container_network_.*",container="db"}', "__name__")
    assert len(before) == len(last) == 8
    NetworkNamespace.delete("db")
    host.containers.pop("db").close()
    wait("the end", lambda: query("pynetstrat_containers", "instance") == {INSTANCE: 4})
    if query("pynetstrat_containers_ended", "instance") == {INSTANCE: 1}:
        kept = query('{container="db"}', "__name__")
        if kept:  # the time may be over by now
            assert kept.keys() == last.keys()
            assert all(kept[name] >= value for name, value in last.items())
            done["kept"] += 1
    wait("the last series", lambda: query('{container="db"}', "__name__") == {})
    assert query("pynetstrat_containers_ended", "instance") == {INSTANCE: 0}
    assert query('{__name__=~"container_network_.*",container="web"}', "__name__") == before


def scrape() -> dict[str, dict[str, float]]:
    """Scrapes the exporter; returns the values of each metric by the container's namespace."""
    with urllib.request.urlopen(f"http://{INSTANCE}/metrics", timeout=30) as response:
        exposed = response.read().decode()
    assert "\npynetstrat_scrape_error 0.0\n" in exposed
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(exposed):
        for sample in family.samples:
            if "netns" in sample.labels:
                found.setdefault(sample.labels["netns"], {})[sample.name] = sample.value
    return found


def test_killed_containers_are_served_correctly_or_not_at_all(host: Host) -> None:
    expected = {}
    processes = []
    for number in range(20):
        with NetworkNamespace.create() as container, RtnetlinkSocket() as sock:
            helpers_network.quieten(container)
            sock.execute(Batch().add_veth(f"k{number}", "eth0", netns=container, up=True))
            link_set_up("eth0", netns=container)
            support.send_frames(f"k{number}", number + 1, 100)
            inode = str(container.id[1])
            expected[inode] = (number + 1) * 100
            processes.append(container.popen(["sleep", "600"]))
    assert expected.keys() <= scrape().keys()
    web = str(host.containers["web"].id[1])
    over = threading.Event()

    def kill() -> None:
        try:
            for process in processes:
                process.kill()
                process.wait()
                time.sleep(0.02)
        finally:
            over.set()

    def read() -> None:
        while not over.is_set():
            found = scrape()
            assert web in found
            for inode in expected.keys() & found.keys():
                assert len(found[inode]) == 8
                assert found[inode]["container_network_receive_bytes_total"] == expected[inode]
            done["scrapes"] += 1

    support.run_threads(kill, *[read] * 4)
    wait("the end of the namespaces", lambda: not expected.keys() & scrape().keys())


def test_two_hundred_containers_come_and_go(host: Host) -> None:
    wait_for_scrape()
    descriptors = query("process_open_fds", "instance")
    names = [f"c{number}" for number in range(200)]
    with RtnetlinkSocket() as sock:
        for name in names:
            NetworkNamespace.create(name).close()
        for start in range(0, 200, 50):
            batch = Batch()
            for name in names[start : start + 50]:
                batch.add_veth(f"h{name}", "eth0", netns=name)
            sock.execute(batch)
        wait("all of them", lambda: query("pynetstrat_containers", "instance").get(INSTANCE) == 204)
        # The scrape may have been made before the last pairs were.
        wait("their pairs", lambda: len(query("container_network_receive_bytes_total")) == 203)
        wait("a second sample", lambda: len(query(queries()["top ten"])) == 10)
        for name in names:
            NetworkNamespace.delete(name)
        wait("none of them", lambda: query("pynetstrat_containers", "instance").get(INSTANCE) == 4)
    left = {"web", "lossy", "mac"}
    wait("their last series", lambda: set(query("container_network_receive_bytes_total")) == left)
    assert query("process_open_fds", "instance") == descriptors


def test_increase_has_all_traffic_of_containers_that_are_torn_down_at_once(host: Host) -> None:
    endings = {f"t{number}": helpers_final.Ending(f"t{number}", number) for number in range(200)}
    counters = [
        f"container_network_{counter}_total"
        for counter in ("receive_bytes", "receive_packets", "transmit_bytes", "transmit_packets")
    ]
    selector = '{container=~"t[0-9]+"}'
    wait("all of them", lambda: len(query(counters[0] + selector)) == len(endings))
    before = {name: list(ending.sums) for name, ending in endings.items()}
    for number, ending in enumerate(endings.values()):
        ending.receive(1 + number)
        ending.send(1000)
    helpers_final.tear_down_at_once(list(endings.values()))
    wait("their last series", lambda: not query(counters[0] + selector))
    for at, counter in enumerate(counters):
        samples = raws(f"{counter}{selector}[5m]")
        increases = query(f"increase({counter}{selector}[5m])")
        assert samples.keys() == increases.keys() == endings.keys()
        for name, ending in endings.items():
            traffic = ending.sums[at] - before[name][at]
            assert samples[name][-1][1] - samples[name][0][1] == traffic, (counter, name)
            is_within(increases[name], traffic, traffic * extrapolation(samples[name]))
            done["exact"] += 1


def test_no_scrape_had_an_error(host: Host) -> None:
    assert query("max_over_time(pynetstrat_scrape_error[5m])", "instance") == {INSTANCE: 0}
    assert query("max_over_time(pynetstrat_containers_refused[5m])", "instance") == {INSTANCE: 0}


def test_prometheus_notices_that_the_exporter_ended(host: Host) -> None:
    host.exporter.send_signal(signal.SIGTERM)
    output, errors = host.exporter.communicate(timeout=30)
    assert (host.exporter.returncode, output, errors) == (0, "", "")
    wait("a failed scrape", lambda: query('up{job="pynetstrat"}', "instance") == {INSTANCE: 0})
    assert query('{__name__=~"container_network_.*"}', "__name__") == {}

    def is_refused() -> bool:
        """The exporter may have ended while a connection waited: the next scrape is refused."""
        (target,) = ask("targets")["activeTargets"]
        return target["health"] == "down" and "connection refused" in target["lastError"]

    wait("a refused connection", is_refused)
    wait("an evaluation", lambda: alerts()["ContainerTrafficUnknown"] == "pending")


def test_prometheus_logged_no_warning(host: Host) -> None:
    lines = (OUT / "log").read_text().splitlines()
    assert lines and not [line for line in lines if re.search("level=(warn|error)", line)]


def main() -> None:
    exposure = check_unit()
    check_recipes()
    with Host() as host:
        for name, step in list(globals().items()):
            if name.startswith("test_"):
                started = time.monotonic()
                step(host)
                words = name.removeprefix("test_").replace("_", " ")
                print(f"ok {time.monotonic() - started:4.1f} s  {words}", flush=True)
    print(
        f"Prometheus {version()}: the document's {len(queries())} queries, "
        f"the dashboard's {len(dashboard.queries())}, 5 rules, "
        f"{done['queries']} queries in all, {done['scrapes']} scrapes while containers were "
        f"killed: every counter right or absent; {done['exact']} final counters of containers torn "
        f"down at once exact; the unit's exposure is {exposure}"
    )


def version() -> str:
    shown = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=True)
    return (shown.stdout + shown.stderr).split()[2]


main()
