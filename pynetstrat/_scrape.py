"""`Scrape`: finds the containers of this host and reads their counters, for Prometheus."""

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
    from .counters import ContainerTable
    from .counting.discovery import Discovery
    from .counting.naming import Container
    from .types import Netns

    Pattern = str | re.Pattern[str]

_MAX_ENDED = 10_000  # rows of ended containers


class Scrape(Handle):
    """Scrapes the containers of this host: see `ContainerCollector` for what a scrape shows.

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
            "_ended_inodes",
            "_find_labels",
            "_is_relabelled",
            "_keep_ended",
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
        self._find_labels = find_labels
        self._is_relabelled = False
        self._table: ContainerTable | None = None  # of the last scrape that succeeded
        self._rows: list[Labels | None] = []  # of that table; None: not shown
        self._visible: tuple[Labels, ...] = ()  # of that scrape, ended containers included
        self._ended: dict[Labels, _EndedRow] = {}  # what is kept, the oldest first
        # The inodes of the containers whose end this scrape and the last one noticed: a container
        # may still be in the reading before its end is noticed.
        self._ended_inodes: tuple[set[int], set[int]] = (set(), set())
        self.error: Exception | None = None
        self.discovery: Discovery | None = None
        self.refused: dict[Container, NetstratError] = {}
        self.omitted: dict[Container, int] = {}
        self._attach(WatchedHost(netns=netns, limit=limit, timeout=timeout, routed=routed))

    def scrape(self) -> Reading:
        """Finds all containers and reads them. After a failure it does not raise but sets `error`.

        Returns:
            The values. After a failure it has no rows.
        """
        started = time.perf_counter()
        try:
            reading = self._locked(self._scrape, "scrape")
        except (NetstratError, OSError) as error:
            self.error = error
            reading = Reading((), [[] for _ in COUNTERS], {ERROR: 1})
        reading.gauges[DURATION] = time.perf_counter() - started
        return reading

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

    # ---- with the lock held ----

    def _scrape(self, host: WatchedHost, _: object) -> Reading:
        discovery, table = host.refresh(), host.read_columns()
        ended = {container.inode for container in host.take_ended() if container.inode}
        self._ended_inodes = self._ended_inodes[1], ended
        self._update_rows(table)
        columns = self._columns(table)
        self.error, self.discovery = None, discovery
        self.refused, self.omitted = dict(host.refused), dict(host.omitted)
        gauges: dict[Gauge, float] = {
            ERROR: 0,
            CONTAINERS: self._count(host.counted()),
            ENDED: len({row.container for row in self._ended.values()}),
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
        for row in self._ended.values():
            for column, value in zip(columns, row.values, strict=True):
                column.append(value)
        return columns

    def _update_rows(self, table: ContainerTable) -> None:
        """Finds the labels of each row, unless they are those of the last table."""
        last, now = self._table, time.monotonic()
        has_changed = False
        if (
            self._is_relabelled
            or last is None
            or last.identities is not table.identities
            or (last.keys is not table.keys)
        ):
            self._is_relabelled = False
            rows, has_changed = self._label(table), True
            if self._keep_ended and last is not None:
                self._keep_rows(last, table, now)
            self._rows = rows
        self._table = table
        for labels, row in list(self._ended.items()):
            if now - row.since < self._keep_ended:
                break
            del self._ended[labels]
            has_changed = True
        if has_changed:
            shown = [labels for labels in self._rows if labels is not None]
            if self._ended:
                for labels in shown:  # a new container with the same labels replaces the old one
                    self._ended.pop(labels, None)
            self._visible = (*shown, *self._ended)

    def _keep_rows(self, last: ContainerTable, table: ContainerTable, now: float) -> None:
        """Keeps the rows of the last table whose containers have ended."""
        remaining = set(table.identities)
        # An inode stands for one namespace of the last table, whatever its container is called.
        inodes = self._ended_inodes[0] | self._ended_inodes[1]
        values = last.counters.tolist()
        key: Any  # a Container
        for at, (key, identity) in enumerate(zip(last.keys, last.identities, strict=True)):
            labels = self._rows[at]
            if labels is not None and key.inode in inodes and identity not in remaining:
                self._ended[labels] = _EndedRow(key, values[at], now)
        while len(self._ended) > _MAX_ENDED:
            del self._ended[next(iter(self._ended))]

    def _label(self, table: ContainerTable) -> list[Labels | None]:
        """Returns the labels of each row, None for a row that is not shown."""
        around: dict[Container, tuple[Labels, Labels] | None] = {}
        rows: list[Labels | None] = []
        key: Any  # a Container
        for key, name in zip(table.keys, table.names, strict=True):
            if key not in around:
                around[key] = self._label_container(key)
            labels, interface = around[key], to_label(name)
            if labels is None or (self._shows_interface and not self._shows_interface(interface)):
                rows.append(None)
            else:
                rows.append((*labels[0], ("interface", interface), *labels[1]))
        return rows

    def _label_container(self, container: Container) -> tuple[Labels, Labels] | None:
        """Returns the labels before and after "interface"; None if the container is not shown."""
        if not self._count([container]):
            return None
        more = self._find_labels(container) if self._find_labels is not None else {}
        fixed = {"container": container.label, "netns": str(container.inode)}
        labels = sorted({**more, **fixed}.items())
        at = bisect(labels, ("interface",))
        return tuple(labels[:at]), tuple(labels[at:])


class _EndedRow:
    """The row of a container that has ended, with its values in the last reading.

    Attributes:
        since: when the end was noticed, in seconds on the monotonic clock.
    """

    __slots__ = ("container", "since", "values")

    def __init__(self, container: Container, values: list[int], since: float) -> None:
        self.container = container
        self.values = values
        self.since = since


def _filter(wanted: Pattern | None, unwanted: Pattern | None) -> Callable[[str], bool] | None:
    """Returns a function that tells whether a label is shown; None if every label is."""
    if wanted is None and unwanted is None:
        return None
    include = re.compile(wanted or "").search
    exclude = re.compile(unwanted).search if unwanted is not None else None
    return lambda label: bool(include(label)) and not (exclude and exclude(label))
