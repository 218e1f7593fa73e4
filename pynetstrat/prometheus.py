"""A collector for prometheus_client: the network traffic of every container of this host."""

from __future__ import annotations

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Sample
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        "pynetstrat.prometheus needs prometheus_client: pip install '.[exporter]' in the checkout, "
        "or pip install prometheus_client",
        name="prometheus_client",
    ) from error

from ._metrics import COUNTERS, GAUGES, Reading
from ._scrape import BaseScrape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prometheus_client import Metric

    from ._scrape import Pattern
    from .types import Netns


class ContainerCollector(BaseScrape, Collector):
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
        netns: the host namespace; None: that of the calling thread.
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
        >>> with ContainerCollector(interface="^eth") as collector:
        ...     registry = prometheus_client.CollectorRegistry()
        ...     registry.register(collector)
        ...     print(prometheus_client.generate_latest(registry).decode())
    """

    __slots__ = ()

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
        super().__init__(
            container=container,
            exclude_container=exclude_container,
            interface=interface,
            exclude_interface=exclude_interface,
            netns=netns,
            limit=limit,
            timeout=timeout,
            routed=routed,
        )

    def __repr__(self) -> str:
        return f"<ContainerCollector: {self._state()}>"

    def describe(self) -> list[Metric]:
        """Returns the metrics without values, so that registering does not scrape."""
        return to_metrics(Reading((), [[] for _ in COUNTERS], {}))

    def collect(self) -> list[Metric]:
        """Scrapes and returns the metrics. After a failure it does not raise but sets `error`."""
        return to_metrics(self._take())


def to_metrics(reading: Reading) -> list[Metric]:
    """Returns a reading as metrics of prometheus_client."""
    metrics: list[Metric] = []
    labels = [dict(row) for row in reading.rows]
    for (name, text), column in zip(COUNTERS, reading.columns, strict=True):
        metric = CounterMetricFamily(name, text)
        sample = f"{name}_total"
        metric.samples = [Sample(sample, *row) for row in zip(labels, column, strict=True)]
        metrics.append(metric)
    for gauge in GAUGES:
        metrics.append(GaugeMetricFamily(*gauge, value=reading.gauges.get(gauge)))
    return metrics
