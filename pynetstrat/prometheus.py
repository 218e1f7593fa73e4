"""The traffic of every container of this host, as a collector for prometheus_client."""

from __future__ import annotations

import re
import time

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Sample
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        "pynetstrat.prometheus needs prometheus_client: install pynetstrat[exporter]",
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
    " Where it is an end of a veth pair, these are the packets that the other end, on the host,"
    " dropped while {}: what the container's own end dropped is not known."
)

# The name, the field of NetworkInterface, and the help text of each counter.
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
        "Packets that arrived at the container's interface, but were bad.",
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

# What the exporter says of itself; all but the first two are absent from a scrape that failed.
_ERROR = ("pynetstrat_scrape_error", "1 if the containers could not be read, otherwise 0.")
_DURATION = (
    "pynetstrat_scrape_duration_seconds",
    "Time that finding the containers and reading their counters took.",
)
_CONTAINERS = ("pynetstrat_containers", "Containers in this scrape.")
_REFUSED = (
    "pynetstrat_containers_refused",
    "Containers that were found, but that the kernel does not let this process read.",
)
_HIDDEN = (
    "pynetstrat_processes_hidden",
    "Processes whose namespaces this process may not see: containers of theirs may be missing.",
)
_OMITTED = (
    "pynetstrat_namespaces_omitted",
    "Network namespaces that were left out because there are too many.",
)
_UNSEEN = (
    "pynetstrat_namespaces_unseen",
    "Network namespaces in this scrape that no process and no name in /run/netns shows.",
)
_INTERFACES_OMITTED = (
    "pynetstrat_interfaces_omitted",
    "Interfaces that were left out because their container has too many.",
)


class ContainerCollector(Handle, Collector):
    """A collector for prometheus_client: eight counters of every interface of every container.

    Each scrape finds the containers that there are at that moment and reads them all at once. What
    has ended is in no later scrape, and `lo` is in none. The numbers are those that the container
    sees, as `ContainerCounters` has them. A scrape that fails has no container in it, and
    `pynetstrat_scrape_error` is 1: it does not fail the other collectors of its registry.

    The labels are `container` (the label that `discover` finds), `interface` and `netns` (the
    namespace's inode). In the name of an interface backslashes are doubled and unprintable
    characters escaped, so that different names never come out alike.

    It is safe to share among threads and registries: scrapes take turns. A forked child must make
    one of its own. A context manager.

    Parameters:
        container, exclude_container: regular expressions; a container is shown if the first is
            found anywhere in its label, and the second is not. None: they decide nothing.
        interface, exclude_interface: the same for the label of an interface.
        netns: the host's namespace, as for `ContainerCounters`.
        limit: how many namespaces are read, as for `discover`.
        timeout: seconds, as for `ContainerCounters`.
        routed: False leaves out bridges and the host ends of other containers that are counted, as
            for `HostCounters`.

    Attributes:
        error: why the latest scrape failed, or None.
        discovery: what the latest scrape that did not fail has found, or None.
        refused: the containers that could not be read in it, and why.
        omitted: how many interfaces of a container were left out of it, as for `HostCounters`.

    Raises: as `HostCounters`, and `re.error` for a pattern that is not valid.
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
        """The metrics without their values: registering takes no scrape."""
        return [*self._counters({}), *_gauges({})]

    def collect(self) -> list[Metric]:
        """The metrics as they are now. It does not raise: `error` has what went wrong."""
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
    """Those that have a value, and the others without."""
    gauges = (
        *(_ERROR, _DURATION, _CONTAINERS, _REFUSED, _HIDDEN, _OMITTED),
        *(_UNSEEN, _INTERFACES_OMITTED),
    )
    return [GaugeMetricFamily(*gauge, value=values.get(gauge)) for gauge in gauges]


def _filter(wanted: Pattern | None, unwanted: Pattern | None) -> Callable[[str], bool]:
    """Whether a label is shown."""
    include = re.compile(wanted or "").search
    exclude = re.compile(unwanted).search if unwanted is not None else None
    return lambda label: bool(include(label)) and not (exclude and exclude(label))
