"""`HostCounters`: finds every container of this host, and reads its counters."""

from __future__ import annotations

from dataclasses import replace
from errno import ENOENT, ESRCH
from itertools import filterfalse

from .._handle import Handle
from .._native.netns import RUN_NETNS
from ..errors import KernelError, NetstratError, PermissionDeniedError
from ..namespace import NetworkNamespace
from ._listing import PASSES
from ._names import is_netns
from ._scan import Scan, Scanner, Sighting
from .containers import HostContainers
from .discovery import Discovery, check_limit, split_at_limit
from .naming import Container, name_by_cgroup, netns_target, nsid_container, to_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..counters import ContainerTable, NetworkInterface
    from ..types import Netns


class HostCounters(Handle):
    """Reads the counters of every container of this host: `discover` with `ContainerCounters`.

    A container is counted until its namespace ends, even after the process or the name that it was
    found by has disappeared. A namespace that only a veth pair of the host leads to is counted by
    its nsid (`Discovery.unseen`).

    To find and count all containers, the caller needs root, or CAP_SYS_PTRACE, CAP_SYS_ADMIN and
    CAP_NET_ADMIN. Without them `refresh().hidden` and `refused` list what is missing. Without
    CAP_NET_BROADCAST every reading dumps the links of every container.

    Threads may share one object: their calls run one at a time. A forked child must open its own.
    The object is a context manager.

    Parameters:
        netns: the host namespace, in any form that `RtnetlinkSocket` accepts. It is never a
            container itself. None: that of the calling thread.
        limit: how many containers to count (see `discover`). Containers that are counted already
            have precedence.
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

    __slots__ = (
        "_host",
        "_known",
        "_limit",
        "_owners",
        "_refreshes",
        "_scanner",
        "omitted",
        "refused",
    )

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
        self._scanner: Scanner | None = None
        self._owners: dict[int, str] | None = None  # that all containers have already
        # What is counted, by `netns_target` of the namespace; by "nsid:N" if only that is known.
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

        A refresh inspects the processes and names that are new, and an eighth of the others, so a
        process that enters another namespace later is found within eight refreshes. If a veth
        pair of the host leads to an unknown namespace, all are inspected. Until then the `netns` of
        a container may lead to another namespace; its counters never do.

        A container keeps its ids while the process that they come from lives in its namespace, and
        its owner also when its pair is deleted. A namespace without an id is searched for one again
        when its first processes change, and every eighth refresh. If the label or the path of a
        container changes, readings show it under another `Container`; counting continues without a
        gap.

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
        scanner, self._scanner = self._scanner, None  # not used again if this call does not finish
        is_new = scanner is None
        if scanner is None:
            self._repair(counters)
            scanner = Scanner(self._host, self._limit)
        self._drop_ended(counters, scanner)
        # Before the scan, so that a namespace that is created during the scan is not unseen.
        nsids = counters.find_untracked()
        scan, refused = self._scan(counters, scanner)
        nsids = self._still_unseen(counters, nsids, refused)
        if not (is_new or scan.omitted) and self._is_any_new(counters, nsids):
            # A known process may have entered one of them, or a name may lead there by now.
            scan, refused = self._scan(counters, scanner, is_whole=True)
            nsids = self._still_unseen(counters, nsids, refused)
        self._update_owners(counters)
        known = self._known
        found = scan.found
        seen = [one.container for one in map(known.get, found, found.values())]
        seen += scan.refused
        unseen = [known[target].container for target in filterfalse(found.__contains__, known)]
        omitted = scan.omitted
        if not omitted:
            room = self._limit - len(seen) - len(unseen)
            added, omitted = self._add_untracked(counters, nsids, refused, room)
            unseen += added
        self.refused, self._scanner = refused, scanner
        return Discovery((*seen, *unseen), scan.hidden, omitted, tuple(unseen))

    def _repair(self, counters: HostContainers) -> None:
        """Makes `_known` and the counters agree after a refresh that did not finish."""
        keys = counters.keys()
        known = {target: one for target, one in self._known.items() if one.container in keys}
        for key in keys - {one.container for one in known.values()}:
            counters.discard(key)
        self._known = known

    def _scan(
        self, counters: HostContainers, scanner: Scanner, *, is_whole: bool = False
    ) -> tuple[Scan, dict[Container, NetstratError]]:
        """Scans, and adds the namespaces found. Returns the scan, and what cannot be counted."""
        scan = scanner.scan(self._known, is_whole=is_whole)
        # Before the comparison with `_known`, which is by inode: an inode may be reused, but the
        # notification that its namespace has ended comes first. A namespace that ends after this
        # call is missing in readings, and is dropped by the next refresh.
        self._drop_ended(counters, scanner)
        refused: dict[Container, NetstratError] = dict(scan.refused)
        if scan.names_error is not None:
            refused[Container(RUN_NETNS, RUN_NETNS, 0)] = scan.names_error
        # A container that was dropped just now may be found anew, but is not in `described`.
        dropped = scan.found.keys() - self._known.keys()
        due = dict.fromkeys((*scan.described, *dropped))
        for target in due:
            sighting, known = scan.found[target], self._known.get(target)
            if known is None:
                error = self._add(counters, target, sighting)
                if error is not None:
                    refused[sighting.container] = error
                elif target not in self._known:  # its path leads elsewhere by now
                    scanner.forget(target)
            elif known is not sighting:
                self._rename(counters, target, sighting)
        # A namespace that was known by nsid alone, and was added by path now, is listed as ended.
        if due:
            self._drop_ended(counters, scanner)
        return scan, refused

    def _find_ended(self, counters: HostContainers) -> list[Any]:
        """Returns the containers that have ended, which are dropped next."""
        return counters.gone()

    def _drop_ended(self, counters: HostContainers, scanner: Scanner) -> None:
        for ended in self._find_ended(counters):
            target = self._find_target(ended)
            if target:
                scanner.forget(target)
                del self._known[target]
            counters.discard(ended)

    def _find_target(self, container: Container) -> str:
        """The key in `_known` of a container that is counted, or ""."""
        if container.inode:
            target = netns_target(container.inode)
            known = self._known.get(target)
            return target if known is not None and known.container == container else ""
        matches = (target for target, one in self._known.items() if one.container == container)
        return next(matches, "")

    def _rename(self, counters: HostContainers, target: str, sighting: Sighting) -> None:
        """Records a new sighting of a container that is counted."""
        before = self._known[target].container
        if before is not sighting.container:
            counters.rename(before, sighting.container)
        self._known[target] = sighting

    def _update_owners(self, counters: HostContainers) -> None:
        """Adds the owners that the host's veth pairs name by now.

        A container keeps its owner when its pair is deleted or loses its alias.
        """
        owners = counters.owners
        if owners is self._owners:
            return
        for target, known in self._known.items():
            container, owner = known.container, owners.get(known.nsid)
            if owner is None or owner == container.owner:
                continue
            if container.inode:
                changed = to_container(
                    container.netns,
                    container.inode,
                    ids=container.ids,
                    owner=owner,
                    name=container.name,
                )
            else:
                changed = self._nsid_container(known.nsid, owner)
            self._rename(counters, target, replace(known, container=changed))
        self._owners = owners

    def _nsid_container(self, nsid: int, owner: str) -> Container:
        container = nsid_container(nsid, owner)
        is_shared = self._find_target(container) != ""
        return nsid_container(nsid, owner, is_shared=True) if is_shared else container

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
                found = (container.ids, sighting.cgroup_name)
                if source and name_by_cgroup(source, target) != found:
                    return None
                # Without processes, so that the next refresh searches for an id once more.
                self._known[target] = added = replace(sighting, processes=None)
                counters.add(container, namespace)
                added.nsid = counters.nsid_of(container)
                self._owners = None
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

    def _still_unseen(
        self,
        counters: HostContainers,
        nsids: list[int],
        refused: dict[Container, NetstratError],
    ) -> list[int]:
        """Those of these nsids whose namespaces nothing has shown by now."""
        if nsids:
            nsids = counters.still_untracked(nsids)
        if nsids and refused:
            by_path = counters.find_nsids([container.netns for container in refused])
            nsids = [nsid for nsid in nsids if nsid not in by_path]
        return nsids

    def _is_any_new(self, counters: HostContainers, nsids: list[int]) -> bool:
        """Whether this refresh tries to count any of these namespaces by nsid."""
        owners = counters.owners
        containers = ((self._nsid_container(nsid, owners.get(nsid, "")), nsid) for nsid in nsids)
        return any(self._refused_before(*pair) is None for pair in containers)

    def _add_untracked(
        self,
        counters: HostContainers,
        nsids: list[int],
        refused: dict[Container, NetstratError],
        room: int,
    ) -> tuple[list[Container], int]:
        """Adds the namespaces that have neither a name nor a process, by nsid.

        Parameters:
            nsids: the namespaces that the pairs led to before the scan, and that nothing shows.
            refused: the containers that could not be added. This call adds more.
            room: how many namespaces to add, see `split_at_limit`.

        Returns:
            The containers that were added, and how many were left out.
        """
        taken, omitted = split_at_limit(nsids, room)
        added = []
        for nsid in taken:
            container = self._nsid_container(nsid, counters.owners.get(nsid, ""))
            if (error := self._refused_before(container, nsid)) is not None:
                refused[container] = error
                continue
            target = f"nsid:{nsid}"
            try:
                self._known[target] = Sighting(container, nsid=nsid)
                if counters.add_nsid(container, nsid):
                    added.append(container)
                else:
                    del self._known[target]
            except BaseException as raised:
                self._known.pop(target, None)
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
        return (self._refreshes + number) % PASSES == 0
