"""`ContainerCounters`: the counters of many containers of this host, in one reading."""

from __future__ import annotations

from errno import EAGAIN

from .._handle import Handle
from .._native.containers import Containers
from .._native.gather import Table
from ..counters import ContainerTable, NetworkInterface
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

_MOST_ATTEMPTS = 8  # of a reading while the host's links appear and disappear by the thousand


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
    the kernel reports the end of the namespace). The path or process that it was added by may lead
    elsewhere later.

    Counters are those that the container sees. For a veth they are the counters of the host end
    with rx and tx exchanged, so `rx_dropped` and `tx_dropped` are packets that the host end
    dropped.

    Threads may share one object: their calls run one at a time. A forked child must open its own.
    The object is a context manager.

    Parameters:
        netns: the host namespace, in which the veth peers are, in any form that `RtnetlinkSocket`
            accepts. The object keeps it alive. None: the calling thread's namespace.
        timeout: seconds that each call may wait for the kernel's answers.

    Attributes:
        omitted: how many interfaces the last reading left out, by key, for containers that have too
            many. The first 1,024 of a container in the order of their indexes are counted, and up
            to 1,024 others if their peers are in the host namespace.

    Raises:
        NetlinkUnavailableError: the kernel or a seccomp filter refuses AF_NETLINK.
        PermissionDeniedError: entering `netns` takes CAP_SYS_ADMIN.
        KernelError: `netns` does not exist or is not a network namespace, or descriptors or memory
            are short.
        ValueError: `timeout` is not between 0 and 86,400.

    Example:
        >>> with ContainerCounters() as counters:
        ...     counters.add("web", "/proc/1234/ns/net")
        ...     print(counters.read()["web"]["eth0"].rx_bytes)
    """

    __slots__ = ("_is_interrupted", "_layout", "_tracker", "_where", "_with_routed", "omitted")

    def __init__(self, *, netns: Netns | None = None, timeout: float = 5.0) -> None:
        milliseconds = to_milliseconds(timeout)
        self._tracker = Tracker()
        self._layout: RowLayout | None = None  # of the last reading
        self._is_interrupted = False  # a call is running, or was ended by a signal handler
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
            PermissionDeniedError: entering the namespace, once, to read its cookie takes
                CAP_SYS_ADMIN over it; dumping its links takes CAP_NET_ADMIN over it.
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

        Processes pending notifications; no reading is needed before. A key remains in the list
        until `discard`.
        """

        def work(native: Containers) -> list[Hashable]:
            native.ended.process_pending()
            self._tracker.process_ended(native)
            return list(self._tracker.ended)

        return self._run(work, "RTM_DELNSID")

    # ---- readings ----

    def read(self) -> dict[Hashable, dict[str, NetworkInterface]]:
        """Reads the counters of all containers.

        Returns:
            The counters of each interface, by key and by the interface's name in the container. A
            container without interfaces has an empty dictionary. A container that has ended is
            missing.

        Raises:
            PermissionDeniedError: dumping a container's links takes CAP_NET_ADMIN over it.
            KernelError: with EAGAIN, the host's interfaces changed during every attempt, or the
                timeout is over.
        """
        layout, table = self._run(self._read, "RTM_GETSTATS")
        values = table.values()
        columns = (values[column::8] for column in range(8))
        interfaces = map(NetworkInterface, layout.names, *columns)
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
            PermissionDeniedError: dumping a container's links takes CAP_NET_ADMIN over it.
            KernelError: with EAGAIN, the host's interfaces changed during every attempt, or the
                timeout is over.
        """
        layout, table = self._run(self._read, "RTM_GETSTATS")
        return ContainerTable(layout.keys, layout.names, layout.identities, table.view())

    # ---- with the lock held ----

    def _run(self, work: Callable[[Containers], Result], operation: str) -> Result:
        """Runs `work` with the lock held and within the timeout.

        A signal handler may raise in the middle of a call. The next call then repairs the records
        and distrusts every dump, so no code below has to guard against that. An error of this
        package is raised where the records agree.
        """

        def run(native: Containers, _: object) -> Result:
            if self._is_interrupted:
                self._tracker.repair()
            self._is_interrupted = True
            try:
                result: Result = native.with_deadline(lambda: work(native))
            except NetstratError:
                self._is_interrupted = False
                raise
            self._is_interrupted = False
            return result

        return self._locked(run, operation)

    def _read(self, native: Containers) -> tuple[RowLayout, Table]:
        """Makes one reading.

        Each attempt dumps the links of containers that changed, then the counters, then the links
        of containers that changed in between, each container once in a reading. Thus both the links
        and the counters date from within this call. Another attempt follows if a link has no
        counters in the dump.
        """
        tracker = self._tracker
        tracker.first_valid = tracker.attempt + 1
        for left in reversed(range(_MOST_ATTEMPTS)):
            tracker.attempt = attempt = tracker.attempt + 1
            for namespace in tracker.due():
                tracker.dump_links(native, namespace)
            layout = None if tracker.is_changed else self._layout
            # Without a row that comes from the host's counters, those are not needed.
            needs_host = layout is None or layout.host_rows.count
            rows = native.dump_stats(lasting=False) if needs_host else None
            if layout is not None:
                to_dump = [namespace for namespace, _ in layout.own_rows]
            else:
                to_dump = [one for one in tracker.by_nsid.values() if one.needs_own_dump()]
            for namespace in to_dump:
                if namespace.attempt != attempt:
                    tracker.dump_links(native, namespace)
            if tracker.unchecked:
                tracker.find_hidden(native)
            tracker.process_pending(native)
            if left == _MOST_ATTEMPTS - 1 and tracker.due():
                continue  # these changes may be from before this reading
            while tracker.first_valid <= attempt and (due := tracker.due()):
                tracker.attempt += 1
                for namespace in due:
                    tracker.dump_links(native, namespace)
                tracker.process_pending(native)
            if tracker.first_valid > attempt:
                continue  # lost notifications may concern anything that was dumped
            found = self._fill(rows, attempt, left == 0)
            if found is not None:
                return found
        raise KernelError(
            EAGAIN, "RTM_GETSTATS", hint="the interface list changed during every attempt"
        )

    def _fill(
        self, rows: Rows | None, attempt: int, is_last: bool
    ) -> tuple[RowLayout, Table] | None:
        """Collects the counters that were dumped; returns None if another attempt is needed.

        Parameters:
            rows: the host's counters; None: no row of the last layout needs them.
            attempt: the attempt in which they were dumped.
            is_last: whether no attempt is left. Then links without counters are left out.
        """
        tracker = self._tracker
        layout = None if tracker.is_changed else self._layout
        if layout is not None and layout.host_links.isdisjoint(tracker.deleted_at):
            table = Table(len(layout.keys))
            if (
                rows is not None
                and layout.host_rows.gather_rows(rows, table) != layout.host_rows.count
            ):
                layout = None
        else:
            layout = None
        if layout is None:
            tracker.is_changed = True
            if rows is None:
                return None
            layout = RowLayout(tracker.by_key, rows, attempt, tracker.deleted_at, self._with_routed)
            for namespace in layout.doubted:
                tracker.distrust(namespace)
            if layout.doubted and not is_last:
                return None
            self._layout = layout
            tracker.is_changed = bool(layout.doubted)
            table = Table(len(layout.keys))
            layout.host_rows.gather_rows(rows, table)
        for namespace, own_rows in layout.own_rows:
            namespace.dump.gather(own_rows, table)
        tracker.deleted_at.clear()
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

    def rename(self, old: Hashable, new: Hashable) -> bool:
        """Replaces a container's key without an exchange; returns False if `old` is unknown.

        Counting continues without a gap. To discard the container and add it again would take a
        path, which may lead elsewhere by now.
        """
        return self._run(lambda _: self._tracker.rename(old, new), "rename")

    def find_untracked(self) -> list[int]:
        """The nsids of namespaces that the host's veth pairs lead to and that are not counted."""
        return self._run(self._tracker.find_untracked, "RTM_GETLINK")

    def still_untracked(self, nsids: list[int]) -> list[int]:
        """Those of these nsids whose namespaces are not counted, without an exchange."""

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
        return self._run(lambda native: set(native.find_nsids(paths)), "RTM_GETNSID")
