"""`ContainerCounters`: the counters of many containers of this host, in one reading."""

from __future__ import annotations

from errno import EAGAIN

from .._handle import Handle
from .._native.containers import Containers
from .._native.gather import Table
from .._partial import partial
from ..counters import ContainerTable, FinalCounters, NetworkInterface, make_views
from ..errors import KernelError, NetstratError
from ..rtnetlink.socket import to_milliseconds
from ._layout import RowLayout
from ._tracking import Tracker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import TypeVar

    from .._native.rows import Rows
    from ..types import Netns

    Result = TypeVar("Result")

_MAX_ATTEMPTS = 8  # of a reading: more are needed only if thousands of host links change


class ContainerCounters(Handle):
    """Reads the counters of many containers of this host at once.

    One dump of the host's counters covers every container interface whose veth peer is in the host
    namespace. Other interfaces (a macvlan, a device that was moved into the container) are dumped
    through the container's nsid. No thread enters a container's namespace to read, and nothing
    keeps the namespace alive. `lo` is left out.

    Interfaces are followed by the kernel's notifications: one that is renamed, moved, or deleted
    and created again is never shown with another interface's counters. Without CAP_NET_BROADCAST
    the containers' notifications do not arrive, and every reading dumps each container's links.

    A container is identified by the cookie of its namespace (before Linux 5.14 by the inode, until
    the kernel announces that the namespace has ended). The path or process that it was added by may
    lead to another namespace later.

    Counters are from the container's perspective. For a veth they are the counters of the host end
    with rx and tx swapped, so `rx_dropped` and `tx_dropped` are packets that the host end dropped.

    Threads may share one object: their calls run one at a time. A forked child must open its own.
    The object is a context manager.

    Parameters:
        netns: the host namespace, in which the veth peers are, in any form that `RtnetlinkSocket`
            accepts. The object keeps it alive. None: that of the calling thread.
        timeout: seconds that each call may wait for the kernel's answers.

    Attributes:
        omitted: how many interfaces the last reading left out, by key, for containers that have too
            many. The first 1,024 of a container in the order of their indexes are counted, and up
            to 1,024 others if their peers are in the host namespace.

    Raises:
        NetlinkUnavailableError: the kernel or a seccomp filter refuses AF_NETLINK.
        PermissionDeniedError: entering `netns` failed: CAP_SYS_ADMIN is missing.
        KernelError: `netns` does not exist or is not a network namespace, or the process is out of
            descriptors or memory.
        ValueError: `timeout` is not between 0 and 86,400.

    Example:
        >>> with ContainerCounters() as counters:
        ...     counters.add("web", "/proc/1234/ns/net")
        ...     print(counters.read()["web"]["eth0"].rx_bytes)
    """

    __slots__ = ("_is_unfinished", "_layout", "_tracker", "_where", "_with_routed", "omitted")

    def __init__(self, *, netns: Netns | None = None, timeout: float = 5.0) -> None:
        milliseconds = to_milliseconds(timeout)
        self._tracker = Tracker()
        self._layout: RowLayout | None = None  # of the last reading
        self._is_unfinished = False  # a call is running, or a signal handler has ended one
        self._with_routed = True  # see HostContainers
        self.omitted: dict[Hashable, int] = {}
        native = Containers(netns, milliseconds)
        self._where = native.namespace
        self._attach(native)

    def __repr__(self) -> str:
        tracker = getattr(self, "_tracker", None)
        count = len(tracker.by_key) if tracker is not None else 0
        return f"<ContainerCounters of {count} containers, from {self._place()}: {self._state()}>"

    # ---- which containers ----

    def add(self, key: Hashable, netns: Netns) -> None:
        """Adds a container.

        Several keys may stand for one namespace: they share its counters.

        Parameters:
            key: identifies the container in readings. It remains in use until `discard`, even if
                the container ends.
            netns: the container's namespace, in any form that `RtnetlinkSocket` accepts. It is not
                kept open.

        Raises:
            ValueError: the key is already in use.
            PermissionDeniedError: CAP_SYS_ADMIN over the namespace is missing (it is entered once,
                to read its cookie), or CAP_NET_ADMIN over it (to dump its links).
            KernelError: `netns` does not exist or is not a network namespace.
        """
        self._run(lambda native: self._tracker.add(native, key, netns), "RTM_GETNSID")

    def discard(self, key: Hashable) -> None:
        """Removes a container. An unknown key is ignored.

        Parameters:
            key: the key given to `add`.
        """
        self._run(lambda _: self._tracker.discard(key), "discard")

    def gone(self) -> list[Hashable]:
        """Returns the keys of containers that have ended and were not discarded yet.

        Processes pending notifications, also before the first reading. A key remains in the list
        until `discard`.
        """

        def work(native: Containers) -> list[Hashable]:
            native.ended.process_pending()
            self._tracker.process_ended(native)
            return list(self._tracker.ended)

        return self._run(work, "RTM_DELNSID")

    def final(self) -> dict[Hashable, dict[str, FinalCounters]]:
        """Returns the last counters of the containers that have ended and were not discarded yet.

        If an interface is deleted before its namespace ends, as `tear_down_networks` does, the
        kernel reports what each end of the pair has sent, and the counters are exact. If the
        interface ends with the namespace, the kernel reports only the host end: rx is exact, and tx
        is as of the last reading. The report may follow the end of the namespace by a millisecond,
        on a busy machine by a hundred.

        If notifications were lost, the counters are those of the last reading. Each call of this
        method or of `read` empties the queues. As root, they hold more than a thousand
        notifications each: those of the ends of 500 containers.

        Returns:
            The counters by key and by the interface's name: of the interfaces that the container
            had at its end, and of those that were deleted before.
        """

        def work(native: Containers) -> dict[Hashable, dict[str, FinalCounters]]:
            self._tracker.process_pending(native)
            return {key: one.final_counters() for key, one in self._tracker.ended.items()}

        return self._run(work, "RTM_DELLINK")

    # ---- readings ----

    def read(self) -> dict[Hashable, dict[str, NetworkInterface]]:
        """Reads the counters of all containers.

        Returns:
            The counters of each interface, by key and by the interface's name in the container. A
            container without interfaces has an empty dictionary. A container that has ended is
            missing.

        Raises:
            PermissionDeniedError: CAP_NET_ADMIN over a container is missing, to dump its links.
            KernelError: EAGAIN if the host's interfaces changed during every attempt; ETIMEDOUT if
                the timeout expired.
        """
        layout, table = self._run(self._read, "RTM_GETSTATS")
        interfaces = make_views(layout.names, table.columns())
        rows = zip(layout.keys, layout.names, interfaces, strict=True)
        if layout.is_one_each:  # takes half the time of the general case below
            return {key: {name: row} for key, name, row in rows}
        found: dict[Hashable, dict[str, NetworkInterface]] = {key: {} for key in layout.all_keys}
        for key, name, row in rows:
            found[key][name] = row
        return found

    def read_columns(self) -> ContainerTable:
        """Reads the counters of all containers as columns.

        While no interface changes, no Python object is created for an interface.

        Returns:
            A table with one row for each interface, from the container's side. A container without
            interfaces, or one that has ended, has no row.

        Raises:
            PermissionDeniedError: CAP_NET_ADMIN over a container is missing, to dump its links.
            KernelError: EAGAIN if the host's interfaces changed during every attempt; ETIMEDOUT if
                the timeout expired.
        """
        layout, table = self._run(self._read, "RTM_GETSTATS")
        return ContainerTable(layout.keys, layout.names, layout.identities, table.view())

    # ---- with the lock held ----

    def _run(self, work: Callable[[Containers], Result], operation: str) -> Result:
        """Runs `work` with the lock held and within the timeout.

        If a signal handler raises in the middle of a call, the next call repairs the tracker's
        records and makes every dump stale. So nothing below has to guard against signal handlers.
        A NetstratError needs no repair: it is raised only where the records agree.
        """
        return self._locked(partial(self._run_locked, work), operation)

    def _run_locked(
        self, work: Callable[[Containers], Result], native: Containers, _: object
    ) -> Result:
        if self._is_unfinished:
            self._tracker.repair()
        self._is_unfinished = True
        try:
            result: Result = native.with_deadline(partial(work, native))
        except NetstratError:
            self._is_unfinished = False
            raise
        self._is_unfinished = False
        return result

    def _read(self, native: Containers) -> tuple[RowLayout, Table]:
        """Makes one reading.

        Each attempt dumps

        1. the links of stale containers;
        2. the host's counters, unless no row comes from them;
        3. the containers whose counters come from their own dump;
        4. the links of containers that became stale during these steps.

        Steps 1 and 4 dump a container at most once in a reading (see `Tracker`). Thus both the
        links and the counters date from within this call. Another attempt follows if
        containers had changed before the reading, if notifications were lost, or if a link has no
        counters in the dump.
        """
        tracker = self._tracker
        tracker.first_valid = tracker.clock + 1
        for attempt in range(_MAX_ATTEMPTS):
            is_first, is_last = attempt == 0, attempt == _MAX_ATTEMPTS - 1
            tracker.clock = began = tracker.clock + 1
            for tracked in tracker.to_dump():
                tracker.dump_links(native, tracked)
            layout = self._current_layout()
            needs_host = layout is None or layout.host_rows.count
            host_stats = native.dump_stats(lasting=False) if needs_host else None
            if layout is not None:
                inside = [tracked for tracked, _ in layout.inside_rows]
            else:
                inside = [one for one in tracker.by_nsid.values() if one.needs_inside_dump()]
            for tracked in inside:
                if tracked.dumped_at != began:
                    tracker.dump_links(native, tracked)
            if tracker.unchecked:
                tracker.find_missing_links(native)
            tracker.process_pending(native)
            if is_first and tracker.to_dump():
                # These are the first notifications that the reading processes, so the changes may
                # be older than it: dump the links and then the counters once more. Later changes
                # happen during the reading; to repeat it for them could go on without end.
                continue
            while tracker.first_valid <= began and (stale := tracker.to_dump()):
                tracker.clock += 1
                for tracked in stale:
                    tracker.dump_links(native, tracked)
                tracker.process_pending(native)
            if tracker.first_valid > began:
                continue  # lost notifications may concern anything that was dumped
            reading = self._fill_table(host_stats, began, is_last)
            if reading is not None:
                return reading
        raise KernelError(
            EAGAIN, "RTM_GETSTATS", hint="the interface list changed during every attempt"
        )

    def _current_layout(self) -> RowLayout | None:
        """The layout of the last reading, or None if the rows may differ from it by now."""
        return None if self._tracker.is_changed else self._layout

    def _fill_table(
        self, host_stats: Rows | None, dumped_at: int, is_last: bool
    ) -> tuple[RowLayout, Table] | None:
        """Fills a table with the counters that were dumped.

        Parameters:
            host_stats: the host's counters; None: no row of the last layout comes from them.
            dumped_at: the time of their dump (see `Tracker`).
            is_last: whether no attempt is left. Then links without counters are left out.

        Returns:
            The table and the layout of its rows, or None if another attempt is needed.
        """
        tracker = self._tracker
        layout = self._current_layout()
        if layout is not None and not layout.host_links.isdisjoint(tracker.deleted_at):
            layout = None
        if layout is not None:
            table = Table(len(layout.keys))
            count = layout.host_rows.count
            if host_stats is not None and layout.host_rows.gather_rows(host_stats, table) != count:
                layout = None
        if layout is None:
            tracker.is_changed = True
            if host_stats is None:
                return None
            layout = RowLayout(
                tracker.by_key, host_stats, dumped_at, tracker.deleted_at, self._with_routed
            )
            for tracked in layout.stale:
                tracker.make_stale(tracked)
            if layout.stale and not is_last:
                return None
            self._layout = layout
            tracker.is_changed = bool(layout.stale)
            table = Table(len(layout.keys))
            layout.host_rows.gather_rows(host_stats, table)
        for tracked, rows in layout.inside_rows:
            tracked.dump.gather(rows, table)
        tracker.deleted_at.clear()
        tracker.finals.remember(layout.identities, table)
        self.omitted = layout.omitted
        return layout, table


class HostContainers(ContainerCounters):
    """`ContainerCounters` for `HostCounters`: counts namespaces known by nsid alone as well.

    Parameters:
        netns, timeout: see `ContainerCounters`.
        routed: see `HostCounters`.
    """

    __slots__ = ()

    def __init__(self, *, netns: Netns | None, timeout: float, routed: bool) -> None:
        super().__init__(netns=netns, timeout=timeout)
        self._with_routed = routed

    @property
    def owners(self) -> dict[int, str]:
        """See `Tracker`; as of the last `find_untracked`."""
        return self._tracker.owners

    def keys(self) -> set[Hashable]:
        """The keys of the containers that were not discarded yet, ended ones included."""
        return {*self._tracker.by_key, *self._tracker.ended}

    def nsid_of(self, key: Hashable) -> int:
        """The nsid of a container, or -1 if it has ended."""
        tracked = self._tracker.by_key.get(key)
        return -1 if tracked is None else tracked.nsid

    def rename(self, old: Hashable, new: Hashable) -> None:
        """Replaces a container's key, also by an equal one. Ignores an unknown key.

        Counting continues without a gap, and nothing is sent to the kernel. To discard the
        container and add it again would need a path, which may lead to another namespace by now.
        """
        self._run(lambda _: self._tracker.rename(old, new), "rename")

    def find_untracked(self) -> list[int]:
        """The nsids of namespaces that the host's veth pairs lead to and that are not counted."""
        return self._run(self._tracker.find_untracked, "RTM_GETLINK")

    def still_untracked(self, nsids: list[int]) -> list[int]:
        """Those of these nsids whose namespaces are not counted, as far as it is known already."""

        def work(_: Containers) -> list[int]:
            return [nsid for nsid in nsids if nsid not in self._tracker.by_nsid]

        return self._run(work, "nsid")

    def add_nsid(self, key: Hashable, nsid: int) -> bool:
        """Adds the namespace that has this nsid, until it ends or is added by `add`.

        Returns False if it has ended.

        Raises:
            PermissionDeniedError: CAP_NET_ADMIN over that namespace is missing.
        """
        return self._run(lambda native: self._tracker.add_nsid(native, key, nsid), "RTM_GETLINK")

    def find_nsids(self, paths: list[str]) -> set[int]:
        """The nsids of the namespaces at these paths, as far as they have one and can be opened."""

        def work(native: Containers) -> set[int]:
            return {nsid for _, _, nsid in native.find_nsids(paths)}

        return self._run(work, "RTM_GETNSID")

    def keep_late(self) -> None:
        """Makes `take_late` return something."""
        self._tracker.late = {}

    def take_late(self) -> dict[Hashable, dict[str, FinalCounters]]:
        """The final counters of discarded containers that have become complete since, once."""
        if not self._tracker.late:
            return {}

        def work(native: Containers) -> dict[Hashable, dict[str, FinalCounters]]:
            self._tracker.process_pending(native)
            return self._tracker.take_late()

        return self._run(work, "RTM_DELLINK")

    def descriptors(self) -> list[int]:
        """The descriptors of the sockets that receive notifications."""
        return self._run(lambda native: native.descriptors(), "poll")

    def process_pending(self) -> None:
        """Processes the queued notifications."""
        self._run(self._tracker.process_pending, "recv")
