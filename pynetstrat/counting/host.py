"""`HostCounters`: finds every container of this host, and reads its counters."""

from __future__ import annotations

from errno import ENOENT, ESRCH

from .._handle import Handle
from .._native.netns import RUN_NETNS
from ..errors import KernelError, NetstratError, PermissionDeniedError
from ..namespace import NetworkNamespace
from ._scan import Sighting, is_netns, scan_host
from .containers import HostContainers
from .discovery import Discovery, check_limit, split_at_limit
from .naming import Container, name_by_cgroup, netns_target, nsid_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..counters import ContainerTable, NetworkInterface
    from ..types import Netns

_RETRY_EVERY = 8  # refreshes: to open a namespace takes longer than the rest of a refresh


class HostCounters(Handle):
    """Reads the counters of every container of this host: `discover` with `ContainerCounters`.

    A container is counted until its namespace ends, even after the process
    or the name that it was found by has disappeared. A namespace that only a veth pair of the host
    leads to is counted by its nsid (`Discovery.unseen`).

    To find and count all containers, the caller needs root, or CAP_SYS_PTRACE, CAP_SYS_ADMIN and
    CAP_NET_ADMIN. Without them `refresh().hidden` and `refused` list what is missing. Without
    CAP_NET_BROADCAST every reading dumps the links of every container.

    Threads may share one object: their calls run one at a time. A forked child must open its own.
    The object is a context manager.

    Parameters:
        netns: the host namespace, in any form that `RtnetlinkSocket` accepts. It is never a
            container itself. Defaults to the calling thread's namespace.
        limit: how many containers to count (see `discover`). Containers that are
            counted already have precedence.
        timeout: seconds that each reading may wait for the kernel's answers.
        routed: whether to include interfaces that carry traffic of other counted containers. A
            container that routes for containers of its own (rootless Podman, kind, Docker in
            Docker) has bridges and host ends of veth pairs, on which the traffic of those
            containers is counted a second time. With False they are left out, and a sum over all
            containers counts the traffic once.

    Attributes:
        refused: what the last refresh found but cannot count, and the reasons: containers, names in
            /run/netns that cannot be inspected, and /run/netns itself. Permission failures are
            retried every eighth refresh, other failures every time.
        omitted: how many interfaces the last reading left out, by container (see
            `ContainerCounters`).

    Raises:
        ValueError: `limit` is negative, or `timeout` is not between 0 and 86,400.
        NetlinkUnavailableError: the kernel or a seccomp filter refuses AF_NETLINK.
        PermissionDeniedError: entering `netns` failed: CAP_SYS_ADMIN is missing.
        KernelError: `netns` does not exist or is not a network namespace, or the process is out of
            descriptors or memory.

    Example:
        >>> with HostCounters() as counters:
        ...     counters.refresh()
        ...     for container, interfaces in counters.read().items():
        ...         for interface in interfaces.values():
        ...             print(container.label, interface.name, interface.rx_bytes)
    """

    __slots__ = ("_host", "_known", "_limit", "_refreshes", "omitted", "refused")

    def __init__(
        self,
        *,
        netns: Netns | None = None,
        limit: int = 10_000,
        timeout: float = 5.0,
        routed: bool = True,
    ) -> None:
        self._limit = check_limit(limit)
        self._refreshes = 0
        # What is counted, by `netns_target` of the namespace; by label if only the nsid is known.
        self._known: dict[str, Sighting] = {}
        self.refused: dict[Container, NetstratError] = {}
        self.omitted: dict[Container, int] = {}
        with NetworkNamespace.current() if netns is None else NetworkNamespace.open(netns) as host:
            self._host = netns_target(host.id[1])
            # To enter a namespace needs a capability, so do not enter the caller's own.
            where = None if netns is None else host
            self._attach(HostContainers(netns=where, timeout=timeout, routed=routed))

    def __repr__(self) -> str:
        return f"<HostCounters of {len(getattr(self, '_known', ()))} containers: {self._state()}>"

    # ---- public calls ----

    def refresh(self) -> Discovery:
        """Adds new containers, and drops those whose namespaces have ended.

        A container keeps its label while the process that the label comes from lives in its
        namespace. A namespace without an id is searched for one again when its first processes
        change, and every eighth refresh. If the label or the path of a container changes, readings
        show it under another `Container`; counting continues without a gap.

        Returns:
            What this refresh found. Containers that could not be added are in `refused`.

        Raises:
            KernelError: /proc does not show the caller, or something cannot be read.
        """
        discovery: Discovery = self._locked(self._refresh, "refresh")
        return discovery

    def read(self) -> dict[Container, dict[str, NetworkInterface]]:
        """Reads the counters of the containers that the last refresh found.

        Returns:
            The counters of each interface, from the container's side, by container and by the
            interface's name. A container that has ended since is missing.

        Raises:
            PermissionDeniedError: CAP_NET_ADMIN over a container is missing, to dump its links.
            KernelError: EAGAIN if the host's interfaces changed during every attempt; ETIMEDOUT if
                the timeout expired.
        """

        def work(counters: HostContainers, _: object) -> dict[Any, dict[str, NetworkInterface]]:
            reading = counters.read()
            self._take_omitted(counters)
            return reading

        return self._locked(work, "RTM_GETSTATS")

    def read_columns(self) -> ContainerTable:
        """Reads the counters of the containers that the last refresh found, as columns.

        Returns:
            A table with one row for each interface, whose keys are `Container`s.

        Raises:
            PermissionDeniedError: CAP_NET_ADMIN over a container is missing, to dump its links.
            KernelError: EAGAIN if the host's interfaces changed during every attempt; ETIMEDOUT if
                the timeout expired.
        """

        def work(counters: HostContainers, _: object) -> ContainerTable:
            table = counters.read_columns()
            self._take_omitted(counters)
            return table

        return self._locked(work, "RTM_GETSTATS")

    def _take_omitted(self, counters: HostContainers) -> None:
        omitted: dict[Any, int] = counters.omitted
        self.omitted = omitted

    # ---- a refresh, with the lock held ----

    def _refresh(self, counters: HostContainers, _: object) -> Discovery:
        self._refreshes += 1
        self._drop_ended(counters)
        # Before the scan, so that a namespace that is created during the scan is not unseen.
        nsids = counters.find_untracked()
        scan, found = scan_host(self._host, self._limit, self._known, self._is_retried)
        # Before the comparison with `_known`, which is by inode: an inode may be reused, but the
        # notification that its namespace has ended comes first. A namespace that ends after this
        # call is missing in readings, and is dropped by the next refresh.
        self._drop_ended(counters)
        refused: dict[Container, NetstratError] = dict(scan.refused)
        if scan.names_error is not None:
            refused[Container(RUN_NETNS, RUN_NETNS, 0)] = scan.names_error
        for target, sighting in found.items():
            if not self._update(counters, target, sighting):
                error = self._add(counters, target, sighting)
                if error is not None:
                    refused[sighting.container] = error
        # A namespace that was known by nsid alone, and was added by path now, is listed as ended.
        self._drop_ended(counters)
        seen = [*(sighting.container for sighting in found.values()), *scan.refused]
        unseen = [one.container for target, one in self._known.items() if target not in found]
        omitted = len(scan.omitted)
        if not omitted:
            room = self._limit - len(seen) - len(unseen)
            added, omitted = self._add_untracked(counters, nsids, refused, room)
            unseen += added
        self.refused = refused
        return Discovery((*seen, *unseen), scan.hidden, omitted, tuple(unseen))

    def _drop_ended(self, counters: HostContainers) -> None:
        ended: Any
        for ended in counters.gone():
            target = netns_target(ended.inode) if ended.inode else ended.label
            if target in self._known and self._known[target].container == ended:
                del self._known[target]
            counters.discard(ended)

    def _update(self, counters: HostContainers, target: str, sighting: Sighting) -> bool:
        """Records a new sighting of a known container; returns False if it is not counted."""
        known = self._known.get(target)
        if known is None:
            return False
        if known.container is not sighting.container:
            counters.discard(sighting.container)  # left by an interrupted refresh
            if not counters.rename(known.container, sighting.container):
                return False
        self._known[target] = sighting
        return True

    def _add(
        self, counters: HostContainers, target: str, sighting: Sighting
    ) -> NetstratError | None:
        """Adds a container, unless it has ended since the scan; returns why it cannot be added."""
        container, source = sighting.container, sighting.source
        if (error := self._refused_before(container, container.inode)) is not None:
            return error
        try:
            with NetworkNamespace.open(container.netns) as namespace:
                # While it is open, its inode is not reused: a process with this target is in it.
                if namespace.id[1] != container.inode:
                    return None
                if source and not _is_in_cgroup(container, source, target):
                    return None
                counters.discard(container)  # left by an interrupted refresh
                # With no processes, so that the next refresh searches for an id once more.
                self._known[target] = Sighting(container, source, [])
                counters.add(container, namespace)
        except BaseException as raised:
            self._known.pop(target, None)
            counters.discard(container)
            if not isinstance(raised, KernelError):
                raise
            raised.filename = container.netns  # also if the error named a descriptor
            # The file of a name exists for a moment longer than its namespace.
            has_ended = raised.errno in (ENOENT, ESRCH) or not is_netns(container.netns)
            return None if has_ended else raised
        return None

    def _add_untracked(
        self,
        counters: HostContainers,
        nsids: list[int],
        refused: dict[Container, NetstratError],
        room: int,
    ) -> tuple[list[Container], int]:
        """Adds the namespaces that have neither a name nor a process, by nsid.

        Parameters:
            nsids: the namespaces that the pairs led to before the scan and that were not counted.
            refused: the containers that could not be added. This call adds more.
            room: how many namespaces to add, see `split_at_limit`.

        Returns:
            The containers that were added, and how many were left out.
        """
        if nsids:
            nsids = counters.still_untracked(nsids)
        if nsids:
            by_path = counters.find_nsids([container.netns for container in refused])
            nsids = [nsid for nsid in nsids if nsid not in by_path]
        taken, omitted = split_at_limit(nsids, room)
        added = []
        for nsid in taken:
            container = nsid_container(nsid)
            if (error := self._refused_before(container, nsid)) is not None:
                refused[container] = error
                continue
            try:
                counters.discard(container)  # left by an interrupted refresh
                self._known[container.label] = Sighting(container, "", [])
                if counters.add_nsid(container, nsid):
                    added.append(container)
                else:
                    del self._known[container.label]
            except BaseException as raised:
                self._known.pop(container.label, None)
                counters.discard(container)
                if not isinstance(raised, KernelError):
                    raise
                refused[container] = raised
        return added, omitted

    def _refused_before(self, container: Container, number: int) -> NetstratError | None:
        """The permission failure of an earlier refresh, unless it is retried in this one."""
        error = self.refused.get(container)
        is_kept = isinstance(error, PermissionDeniedError) and not self._is_retried(number)
        return error if is_kept else None

    def _is_retried(self, number: int) -> bool:
        """Whether this refresh retries something; the number spreads retries over refreshes."""
        return (self._refreshes + number) % _RETRY_EVERY == 0


def _is_in_cgroup(container: Container, process: str, target: str) -> bool:
    """Whether the cgroup of a process still has the ids or the name of a container."""
    ids, name = name_by_cgroup(process, target)
    return ids == container.ids and name in ("", container.name)
