"""`BaseScrape` and `Scrape`: find the host's containers and read their counters for Prometheus."""

from __future__ import annotations

import re
import time
from bisect import bisect
from itertools import compress

from ._handle import Handle
from ._metrics import (
    CONTAINERS,
    COUNTERS,
    DURATION,
    ENDED,
    ERROR,
    HIDDEN,
    INTERFACES_OMITTED,
    OMITTED,
    REFUSED,
    UNSEEN,
    Reading,
)
from .counting.naming import to_label
from .counting.watched import WatchedHost
from .errors import NetstratError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from ._metrics import Gauge, Labels
    from .counters import ContainerTable, FinalCounters
    from .counting.discovery import Discovery
    from .counting.naming import Container
    from .types import Netns

    Pattern = str | re.Pattern[str]

_MAX_ENDED = 10_000  # ended containers that are kept
_FIELDS = (  # of NetworkInterface, in the order of COUNTERS
    *("rx_bytes", "rx_packets", "rx_errors", "rx_dropped"),
    *("tx_bytes", "tx_packets", "tx_errors", "tx_dropped"),
)


class BaseScrape(Handle):
    """Scrapes the containers of this host: the base of `ContainerCollector` and `Scrape`.

    Parameters:
        container, exclude_container, interface, exclude_interface: regular expressions, see
            `ContainerCollector`.
        netns, limit, timeout, routed: see `HostCounters`.
        keep_ended: for how many seconds a container that has ended is shown.
        find_labels: returns further labels of a container, whose names must be valid and not
            "container", "interface" or "netns".

    Attributes:
        error, discovery, refused, omitted: see `ContainerCollector`.
    """

    __slots__ = (
        *(
            "_ended",
            "_find_labels",
            "_is_relabelled",
            "_keep_ended",
            "_routed",
            "_rows",
            "_shows_container",
        ),
        *("_shows_interface", "_table", "_visible", "discovery", "error", "omitted", "refused"),
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
        keep_ended: float = 0.0,
        find_labels: Callable[[Container], Mapping[str, str]] | None = None,
    ) -> None:
        self._shows_container = _filter(container, exclude_container)
        self._shows_interface = _filter(interface, exclude_interface)
        self._keep_ended = keep_ended
        self._routed = routed
        self._find_labels = find_labels
        self._is_relabelled = False
        self._table: ContainerTable | None = None  # of the last scrape that succeeded
        self._rows: list[Labels | None] = []  # of that table; None: not shown
        self._visible: tuple[Labels, ...] = ()  # of that scrape, ended containers included
        self._ended: dict[Container, _EndedContainer] = {}  # what is kept, the oldest first
        self.error: Exception | None = None
        self.discovery: Discovery | None = None
        self.refused: dict[Container, NetstratError] = {}
        self.omitted: dict[Container, int] = {}
        self._attach(WatchedHost(netns=netns, limit=limit, timeout=timeout, routed=routed))

    def _take(self) -> Reading:
        """Makes a scrape. After a failure it does not raise but sets `error`."""
        started = time.perf_counter()
        try:
            reading = self._locked(self._scrape, "scrape")
        except (NetstratError, OSError) as error:
            self.error = error
            reading = Reading((), [[] for _ in COUNTERS], {ERROR: 1})
        reading.gauges[DURATION] = time.perf_counter() - started
        return reading

    # ---- with the lock held ----

    def _scrape(self, host: WatchedHost, _: object) -> Reading:
        discovery, table = host.refresh(), host.read_columns()
        has_changed = self._update_rows(table)
        if self._update_ended(host.take_ended()) or has_changed:
            self._update_visible()
        columns = self._columns(table)
        self.error, self.discovery = None, discovery
        self.refused, self.omitted = dict(host.refused), dict(host.omitted)
        gauges: dict[Gauge, float] = {
            ERROR: 0,
            CONTAINERS: self._count(host.counted()),
            ENDED: len(self._ended),
            REFUSED: self._count(self.refused),
            HIDDEN: discovery.hidden,
            OMITTED: discovery.omitted,
            UNSEEN: self._count(discovery.unseen),
            INTERFACES_OMITTED: sum(
                number for key, number in self.omitted.items() if self._count([key])
            ),
        }
        return Reading(self._visible, columns, gauges)

    def _count(self, containers: Collection[Container]) -> int:
        """Returns how many of the containers are shown."""
        shown = self._shows_container
        return len(containers) if shown is None else sum(shown(key.label) for key in containers)

    def _columns(self, table: ContainerTable) -> list[list[int]]:
        """Returns the values of each counter, in the order of the visible rows."""
        values = table.counters.cast("B").cast("Q").tolist() if table.keys else []
        columns = [values[field::8] for field in range(8)]
        if None in self._rows:
            columns = [list(compress(column, self._rows)) for column in columns]
        for container in self._ended.values():
            for values in container.rows.values():
                for column, value in zip(columns, values, strict=True):
                    column.append(value)
        return columns

    def _update_rows(self, table: ContainerTable) -> bool:
        """Finds the labels of each row. Returns False if they are those of the last table."""
        last, self._table = self._table, table
        is_same = (
            last is not None and last.identities is table.identities and last.keys is table.keys
        )
        if is_same and not self._is_relabelled:
            return False
        self._is_relabelled = False
        self._rows = self._label(table)
        return True

    def _update_ended(self, ended: dict[Container, dict[str, FinalCounters]]) -> bool:
        """Keeps the containers that have ended for their time; returns whether any row changed."""
        now, has_changed = time.monotonic(), False
        if self._keep_ended:
            known = set() if self._routed or not ended else set(self._visible)
            for container, interfaces in ended.items():
                # One that is known by nsid alone may be counted by its path now.
                around = self._label_container(container) if container.inode else None
                rows = {
                    labels: [getattr(counters, field) for field in _FIELDS]
                    for name, counters in interfaces.items()
                    if (labels := self._label_row(around, name)) is not None
                    # Interfaces that carry the traffic of others have never been shown.
                    and (self._routed or labels in known)
                }
                if rows:
                    before = self._ended.get(container)
                    since = now if before is None else before.since
                    self._ended[container] = _EndedContainer(rows, since)
                    has_changed |= before is None or before.rows.keys() != rows.keys()
        for container, row in list(self._ended.items()):
            if now - row.since < self._keep_ended and len(self._ended) <= _MAX_ENDED:
                break
            del self._ended[container]
            has_changed = True
        return has_changed

    def _update_visible(self) -> None:
        """Joins the rows that are shown. A container replaces an ended one with its labels."""
        shown = [labels for labels in self._rows if labels is not None]
        if self._ended:
            living = set(shown)
            for container, ended in list(self._ended.items()):
                for labels in living & ended.rows.keys():
                    del ended.rows[labels]
                if not ended.rows:
                    del self._ended[container]
                shown += ended.rows
        self._visible = tuple(shown)

    def _label(self, table: ContainerTable) -> list[Labels | None]:
        """Returns the labels of each row, None for a row that is not shown."""
        around: dict[Container, tuple[Labels, Labels] | None] = {}
        rows: list[Labels | None] = []
        key: Any  # a Container
        for key, name in zip(table.keys, table.names, strict=True):
            if key not in around:
                around[key] = self._label_container(key)
            rows.append(self._label_row(around[key], name))
        return rows

    def _label_row(self, around: tuple[Labels, Labels] | None, name: str) -> Labels | None:
        """Returns the labels of an interface; None if it is not shown.

        Parameters:
            around: those of its container, as `_label_container` returns them.
        """
        if around is None:
            return None
        interface, shows = to_label(name), self._shows_interface
        if shows is not None and not shows(interface):
            return None
        return (*around[0], ("interface", interface), *around[1])

    def _label_container(self, container: Container) -> tuple[Labels, Labels] | None:
        """Returns the labels before and after "interface"; None if the container is not shown."""
        if not self._count([container]):
            return None
        more = self._find_labels(container) if self._find_labels is not None else {}
        fixed = {"container": container.label, "netns": str(container.inode)}
        labels = sorted({**more, **fixed}.items())
        at = bisect(labels, ("interface",))
        return tuple(labels[:at]), tuple(labels[at:])


class Scrape(BaseScrape):
    """Scrapes the containers of this host for a program that runs for long: the exporter.

    See `ContainerCollector` for what a scrape shows, and `BaseScrape` for the parameters.
    """

    __slots__ = ()

    def scrape(self) -> Reading:
        """Finds all containers and reads them. After a failure it does not raise but sets `error`.

        Returns:
            The values. After a failure it has no rows.
        """
        return self._take()

    def relabel(self) -> None:
        """Makes the next scrape call `find_labels` again for every container."""
        self._is_relabelled = True

    def descriptors(self) -> list[int]:
        """Returns the descriptors that are ready to read while notifications are queued."""
        found: list[int] = self._locked(lambda host, _: host.descriptors(), "poll")
        return found

    def process_pending(self) -> None:
        """Processes the queued notifications. To be called between scrapes that are far apart."""
        self._locked(lambda host, _: host.process_pending(), "recv")


class _EndedContainer:
    """A container that has ended.

    Attributes:
        rows: its final counters by the labels of the interface.
        since: when the end was noticed, in seconds on the monotonic clock.
    """

    __slots__ = ("rows", "since")

    def __init__(self, rows: dict[Labels, list[int]], since: float) -> None:
        self.rows = rows
        self.since = since


def _filter(wanted: Pattern | None, unwanted: Pattern | None) -> Callable[[str], bool] | None:
    """Returns a function that tells whether a label is shown; None if every label is."""
    if wanted is None and unwanted is None:
        return None
    include = re.compile(wanted or "").search
    exclude = re.compile(unwanted).search if unwanted is not None else None
    return lambda label: bool(include(label)) and not (exclude and exclude(label))
