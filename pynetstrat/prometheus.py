"""A collector for prometheus_client: the network traffic of every container of this host."""

from __future__ import annotations

import re
import time

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Sample
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        "pynetstrat.prometheus needs prometheus_client: pip install '.[exporter]' in the checkout, "
        "or pip install prometheus_client",
        name="prometheus_client",
    ) from error

from ._handle import Handle
from .counting.host import HostCounters
from .errors import NetstratError, escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from prometheus_client import Metric

    from .counters import NetworkInterface
    from .counting.discovery import Discovery
    from .counting.naming import Container
    from .types import Netns

    Pattern = str | re.Pattern[str]
    Readings = Mapping[Container, Mapping[str, NetworkInterface]]

_DROPPED = (
    " If the interface is an end of a veth pair, these are the packets that the host end dropped"
    " while {}; drops of the container end are unknown."
)

# The name, the field of NetworkInterface, and the help text of each counter. The names are
# cAdvisor's.
_COUNTERS = (
    (
        "container_network_receive_bytes",
        "rx_bytes",
        "Bytes that the container has received on the interface.",
    ),
    (
        "container_network_receive_packets",
        "rx_packets",
        "Packets that the container has received on the interface.",
    ),
    (
        "container_network_receive_errors",
        "rx_errors",
        "Packets that arrived at the container's interface with an error.",
    ),
    (
        "container_network_receive_packets_dropped",
        "rx_dropped",
        "Packets to the container that were dropped." + _DROPPED.format("transmitting"),
    ),
    (
        "container_network_transmit_bytes",
        "tx_bytes",
        "Bytes that the container has sent on the interface.",
    ),
    (
        "container_network_transmit_packets",
        "tx_packets",
        "Packets that the container has sent on the interface.",
    ),
    (
        "container_network_transmit_errors",
        "tx_errors",
        "Packets that the container could not send because of an error.",
    ),
    (
        "container_network_transmit_packets_dropped",
        "tx_dropped",
        "Packets from the container that were dropped." + _DROPPED.format("receiving"),
    ),
)

# The name and the help text of each gauge. A scrape that failed has only the first two.
_ERROR = ("pynetstrat_scrape_error", "1 if the containers could not be read, otherwise 0.")
_DURATION = (
    "pynetstrat_scrape_duration_seconds",
    "Seconds that finding the containers and reading their counters took.",
)
_CONTAINERS = ("pynetstrat_containers", "Containers in this scrape.")
_REFUSED = (
    "pynetstrat_containers_refused",
    "Containers that were found, but that this process is not allowed to read.",
)
_HIDDEN = (
    "pynetstrat_processes_hidden",
    "Processes whose namespaces this process cannot see; their containers may be missing.",
)
_OMITTED = (
    "pynetstrat_namespaces_omitted",
    "Network namespaces left out because of the limit on their number.",
)
_UNSEEN = (
    "pynetstrat_namespaces_unseen",
    "Network namespaces in this scrape without a visible process or a name in /run/netns.",
)
_INTERFACES_OMITTED = (
    "pynetstrat_interfaces_omitted",
    "Interfaces left out because their container has too many.",
)


class ContainerCollector(Handle, Collector):
    """A collector for prometheus_client: eight counters of every interface of every container.

    Each scrape finds all containers and reads their counters at the same time. The counters are
    from the container's perspective; `lo` is left out. A container that has ended is in no later
    scrape. A scrape that fails contains no containers and sets `pynetstrat_scrape_error` to 1; the
    other collectors of the registry are not affected.

    The labels are `container` (see `discover`), `interface`, and `netns` (the inode of the network
    namespace). In interface names backslashes are doubled and unprintable characters are escaped,
    so different names stay different.

    A collector may be shared between threads and registries: one scrape runs at a time. After a
    fork the child has to create its own. A collector is a context manager that closes itself.

    Parameters:
        container: a regular expression. Only containers whose label contains a match are shown.
        exclude_container: a regular expression. Containers whose label contains a match are not
            shown.
        interface: a regular expression. Only interfaces whose label contains a match are shown.
        exclude_interface: a regular expression. Interfaces whose label contains a match are not
            shown.
        netns: the host namespace; the default is the caller's.
        limit: the maximum number of namespaces that are read.
        timeout: seconds that each reading may wait for the kernel's answers.
        routed: False leaves out bridges, and the host ends of other containers that are counted.

    Attributes:
        error: why the last scrape failed, or None if it succeeded.
        discovery: what the last successful scrape found, or None before the first.
        refused: the containers that the last successful scrape could not read, and why.
        omitted: how many interfaces of a container the last successful scrape left out.

    Raises:
        re.error: a pattern is not a valid regular expression.
        ValueError: `limit` is negative, or `timeout` is not a number of seconds >= 0.
        KernelError: `netns` does not exist or cannot be entered, or no socket can be opened.

    Example:
        with ContainerCollector(interface="^eth") as collector:
            registry = prometheus_client.CollectorRegistry()
            registry.register(collector)
            print(prometheus_client.generate_latest(registry).decode())
    """

    __slots__ = (
        "_shows_container",
        "_shows_interface",
        "discovery",
        "error",
        "omitted",
        "refused",
    )

    def __init__(
        self,
        *,
        container: Pattern | None = None,
        exclude_container: Pattern | None = None,
        interface: Pattern | None = None,
        exclude_interface: Pattern | None = None,
        netns: Netns | None = None,
        limit: int = 10_000,
        timeout: float = 5.0,
        routed: bool = True,
    ) -> None:
        self._shows_container = _filter(container, exclude_container)
        self._shows_interface = _filter(interface, exclude_interface)
        self.error: Exception | None = None
        self.discovery: Discovery | None = None
        self.refused: dict[Container, NetstratError] = {}
        self.omitted: dict[Container, int] = {}
        self._attach(HostCounters(netns=netns, limit=limit, timeout=timeout, routed=routed))

    def __repr__(self) -> str:
        return f"<ContainerCollector: {self._state()}>"

    def describe(self) -> list[Metric]:
        """Returns the metrics without values, so that registering does not scrape."""
        return [*self._counters({}), *_gauges({})]

    def collect(self) -> list[Metric]:
        """Scrapes and returns the metrics. After a failure it does not raise but sets `error`."""
        started = time.perf_counter()
        readings: Readings = {}
        values: dict[tuple[str, str], float] = {}
        try:
            discovery, readings, refused, omitted = self._locked(_read, "scrape")
        except (NetstratError, OSError) as error:
            self.error = error
            values[_ERROR] = 1
        else:
            self.error, self.discovery, self.refused = None, discovery, refused
            self.omitted = omitted
            shown = self._shows_container
            readings = {key: rows for key, rows in readings.items() if shown(key.label)}
            values[_ERROR] = 0
            values[_CONTAINERS] = len(readings)
            values[_REFUSED] = sum(shown(key.label) for key in refused)
            values[_HIDDEN] = discovery.hidden
            values[_OMITTED] = discovery.omitted
            values[_UNSEEN] = sum(shown(key.label) for key in discovery.unseen)
            values[_INTERFACES_OMITTED] = sum(
                number for key, number in omitted.items() if shown(key.label)
            )
        values[_DURATION] = time.perf_counter() - started
        return [*self._counters(readings), *_gauges(values)]

    def _counters(self, readings: Readings) -> list[Metric]:
        metrics: list[Metric] = [CounterMetricFamily(name, text) for name, _, text in _COUNTERS]
        columns = [
            (metric.samples.append, f"{name}_total", field)
            for metric, (name, field, _) in zip(metrics, _COUNTERS, strict=True)
        ]
        for container, interfaces in readings.items():
            netns = str(container.inode)
            for name, row in interfaces.items():
                interface = escape(name.replace("\\", "\\\\"))
                if not self._shows_interface(interface):
                    continue
                labels = {"container": container.label, "interface": interface, "netns": netns}
                for append, sample, field in columns:
                    append(Sample(sample, labels, getattr(row, field)))
        return metrics


def _read(
    host: HostCounters, _: object
) -> tuple[Discovery, Readings, dict[Container, Any], dict[Container, int]]:
    return host.refresh(), host.read(), dict(host.refused), dict(host.omitted)


def _gauges(values: Mapping[tuple[str, str], float]) -> list[Metric]:
    """Returns all gauges; those not in `values` have no sample."""
    gauges = (
        *(_ERROR, _DURATION, _CONTAINERS, _REFUSED, _HIDDEN, _OMITTED),
        *(_UNSEEN, _INTERFACES_OMITTED),
    )
    return [GaugeMetricFamily(*gauge, value=values.get(gauge)) for gauge in gauges]


def _filter(wanted: Pattern | None, unwanted: Pattern | None) -> Callable[[str], bool]:
    """Returns a function that tells whether a label is shown."""
    include = re.compile(wanted or "").search
    exclude = re.compile(unwanted).search if unwanted is not None else None
    return lambda label: bool(include(label)) and not (exclude and exclude(label))
