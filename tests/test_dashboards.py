"""docs/grafana.json and docs/alerts.yml, without Grafana or Prometheus.

(tests/check/prometheus.sh runs each query and each rule in a real Prometheus.)
"""

from __future__ import annotations

import json
import re

import pytest
import support
from dashboard import panels, queries, variables

from pynetstrat._metrics import COUNTERS, GAUGES

ALERTS = (support.ROOT / "docs" / "alerts.yml").read_text()
METRICS = {
    *(f"{name}_total" for name, _ in COUNTERS),
    *(name for name, _ in GAUGES),
    *("pynetstrat_labels_error", "pynetstrat_build_info", "up"),
    *("process_cpu_seconds_total", "process_resident_memory_bytes"),
}


def named(text: str) -> set[str]:
    return set(re.findall(r"\b(?:container_network|pynetstrat|process)_[a-z_]+|\bup\b", text))


def rules() -> list[str]:
    return re.findall(r"expr: (.*?)\n        for: ", ALERTS, re.DOTALL)


@pytest.mark.parametrize("text", [*queries(), *rules()])
def test_a_query_has_its_job_and_metrics_that_exist(text):
    assert named(text) <= METRICS
    selectors = re.findall(r"(?:container_network|pynetstrat|process)_[a-z_]+\{([^}]*)\}", text)
    selectors += re.findall(r"\bup\{([^}]*)\}", text)
    assert len(selectors) == len(re.findall(r"\b(?:[a-z]+_[a-z_]*[a-z]|up)\{", text)) > 0
    assert all(re.search(r'job="(?:\$job|pynetstrat)"', one) for one in selectors)


def test_every_metric_is_in_the_dashboard():
    assert set().union(*map(named, queries())) == METRICS


def test_every_variable_of_a_query_is_declared():
    used = set(re.findall(r"\$\{?([a-z]+)", json.dumps([queries(), list(variables().values())])))
    assert used <= {*variables(), "datasource"}


def test_panels_have_their_own_place():
    cells: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        taken = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        cells |= taken
    numbers = [panel["id"] for panel in panels()]
    assert len(set(numbers)) == len(numbers)


def test_every_alert_has_a_summary_and_a_test():
    names = re.findall(r"- alert: (\w+)", ALERTS)
    assert len(names) == ALERTS.count("summary:") == ALERTS.count("severity:")
    tested = (support.ROOT / "tests" / "check" / "alerts_test.yml").read_text()
    assert set(re.findall(r"alertname: (\w+)", tested)) == set(names)
