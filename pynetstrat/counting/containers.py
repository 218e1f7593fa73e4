"""The counters of many containers of this host, in one reading."""

from __future__ import annotations

import os
from errno import EAGAIN, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM

from .._handle import Handle
from .._native import Namespace
from .._native.containers import Containers, Ends, Table
from .._native.netns import cookie, identify, to_netns_fd
from ..counters import ContainerTable, NetworkInterface
from ..errors import KernelError
from ..rtnetlink.socket import to_milliseconds
from ._layout import OWN, RowLayout, TrackedNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from .._native.rows import Rows
    from ..types import Netns

_TRIES = 8  # of a reading during which the host's links come and go by the thousand
_SHORT = (EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM)  # of descriptors, threads or memory


class ContainerCounters(Handle):
    """The counters of many containers of this host.

    A container whose interfaces are ends of veth pairs, the other ends being in the host's
    namespace, costs nothing of its own: one dump of the host's counters holds them all. Any other
    interface (macvlan, a device that was moved there) is asked for by the id that the host's
    namespace has for the container's: nothing enters it, and nothing keeps it alive. `lo` is left
    out.

    It follows the interfaces by the kernel's notifications: one that is renamed, moved, deleted or
    made again is never shown with another's counters. (Without CAP_NET_BROADCAST those of the
    containers are not heard, and each is asked for its interfaces at every reading.) A container is
    known by the cookie of its namespace (before Linux 5.14 by the inode, as long as the kernel does
    not report its end), not by the path or process that it was added by.

    The numbers are those that the container sees. Of an end of a veth pair they are the other
    end's, rx and tx exchanged; `rx_dropped` and `tx_dropped` are then what the *host's* end
    dropped, which is not what the container's end did.

    It is safe to share among threads, which take turns; a forked child must open one of its own.
    A context manager.

    Parameters:
        netns: the host's namespace, in which the other ends are, as for `RtnetlinkSocket`; it is
            kept alive. None: that of the calling thread.
        timeout: seconds that a call waits for the kernel's answers at most, as for
            `RtnetlinkSocket`.

    Attributes:
        omitted: how many interfaces of a container the last reading left out, by key, for those
            that have too many. Of a container the first 1,024 are counted, in the order of their
            indexes, and up to 1,024 more if their peers are in the host's namespace: 20,000 links
            in one container must not delay the counters of the others.

    Raises: as `RtnetlinkSocket`.
    """

    __slots__ = (
        "_began",
        "_check_hidden",
        "_deleted_at",
        "_ended",
        "_maybe_ended",
        "_pairs",
        "_plan",
        "_routed",
        "_spaces",
        "_stale",
        "_strangers",
        "_try",
        "_where",
        "_who",
        "omitted",
    )

    def __init__(self, *, netns: Netns | None = None, timeout: float = 5.0) -> None:
        milliseconds = to_milliseconds(timeout)
        # A signal handler may raise anywhere: so what is found out is noted before what led to it
        # is let go of, and to find it out again does no harm.
        self._spaces: dict[int, TrackedNamespace] = {}  # by nsid
        self._who: dict[Hashable, TrackedNamespace] = {}  # those that live
        self._ended: dict[Hashable, None] = {}
        self._maybe_ended: set[TrackedNamespace] = set()  # they may have ended
        self._stale: set[TrackedNamespace] = set()  # something may have happened to their links
        self._deleted_at: dict[
            int, int
        ] = {}  # links of the host's, and the try in which that was heard
        self._try = 0  # of all readings
        self._began = 1  # the first try whose dumps this reading may rely on
        self._plan: RowLayout | None = None
        self._check_hidden: set[TrackedNamespace] = (
            set()
        )  # their last dumps may not have had all of their links
        # The peers' indexes of the host's veth pairs, by nsid. None: to be dumped again.
        self._pairs: dict[int, list[int]] | None = None
        self._routed = True  # see HostContainers
        self.omitted: dict[Hashable, int] = {}
        self._strangers = 0  # how many were added by nsid alone: makes their identities
        native = Containers(netns, milliseconds)
        self._where = native.namespace
        self._attach(native)

    def __repr__(self) -> str:
        count = len(getattr(self, "_who", ()))
        return f"<ContainerCounters of {count} containers, from {self._place()}: {self._state()}>"

    # ---- which containers ----

    def add(self, key: Hashable, netns: Netns) -> None:
        """Takes a container in.

        Parameters:
            key: what it is called here. It stays taken until `discard`, also once the container
                has ended. Several keys may stand for one namespace: they share its reading.
            netns: its namespace, as for `RtnetlinkSocket`. Nothing of it is kept open.

        Raises:
            ValueError: the key is taken.
            PermissionDeniedError: the namespace can't be entered (once, for its cookie) without
                CAP_SYS_ADMIN over it, or can't be asked about without CAP_NET_ADMIN.
            KernelError: it is not a network namespace.
        """

        def work(native: Containers, _: object) -> None:
            native.with_deadline(lambda: self._add(native, key, netns))

        self._locked(work, "RTM_GETNSID")

    def discard(self, key: Hashable) -> None:
        """Lets go of a container, which need not be there."""

        def work(native: Containers, _: object) -> None:
            self._ended.pop(key, None)
            space = self._who.get(key)
            if space is None:
                return
            # As one: the interpreter looks for signals after calls, and not after these.
            self._plan = None
            del self._who[key], space.keys[key]
            if not space.keys:
                del self._spaces[space.nsid]
                self._forget(space)

        self._locked(work, "discard")

    def gone(self) -> list[Hashable]:
        """The keys whose namespace has ended since they were added, until they are discarded."""

        def work(native: Containers, _: object) -> list[Hashable]:
            native.ended.hear()
            native.with_deadline(lambda: self._heed_ended(native))
            return list(self._ended)

        keys: list[Hashable] = self._locked(work, "RTM_DELNSID")
        return keys

    # ---- readings ----

    def read(self) -> dict[Hashable, dict[str, NetworkInterface]]:
        """The counters by key and the container's interface name; a container that ended is absent.

        One that has no interface but `lo` has an empty dictionary.

        Raises:
            KernelError: EAGAIN where the host's interfaces came and went during every attempt.
        """
        plan, table = self._locked(self._read, "RTM_GETSTATS")
        values = table.values()
        columns = (values[column::8] for column in range(8))
        rows = zip(plan.keys, plan.names, map(NetworkInterface, plan.names, *columns), strict=True)
        if plan.one_each:  # half the price of what follows
            return {key: {name: row} for key, name, row in rows}
        found: dict[Hashable, dict[str, NetworkInterface]] = {key: {} for key in plan.all}
        for key, name, row in rows:
            found[key][name] = row
        return found

    def read_columns(self) -> ContainerTable:
        """The same as columns, without a Python object an interface while nothing changes.

        Raises: as `read`.
        """
        plan, table = self._locked(self._read, "RTM_GETSTATS")
        return ContainerTable(plan.keys, plan.names, plan.identities, table.view())

    # ---- within a turn ----

    def _read(self, native: Containers, _: object) -> tuple[RowLayout, Table]:
        reading: tuple[RowLayout, Table] = native.with_deadline(lambda: self._read_all(native))
        return reading

    def _add(self, native: Containers, key: Hashable, netns: Netns) -> None:
        if key in self._who or key in self._ended:
            raise ValueError(f"key {key!r} is taken: discard it first, or choose another")
        namespace = to_netns_fd(Namespace(netns))
        identity = _identity(namespace)
        nsid = OWN if identity[:2] == native.id else native.assign_nsid(namespace.fd)
        # What ended before this namespace got its id has been reported before the answer, but for
        # one that is just about to be.
        self._heed_ended(native)
        space = self._spaces.get(nsid)
        if space is not None and space.identity != identity:
            self._end(space)
            space = None
        if space is None:
            ends = native.dump_ends(nsid, None)
            if ends is None:  # which can't be: its descriptor is open
                raise KernelError(EINVAL, "RTM_GETLINK", filename=namespace.shown)
            space = TrackedNamespace(nsid, identity, ends, self._try)
            self._check_hidden.add(space)
        path = netns if isinstance(netns, (str, bytes, os.PathLike)) else None
        # As one: the interpreter looks for signals after calls, and not after these.
        self._plan = None
        self._spaces[nsid] = space
        space.keys[key] = path
        self._who[key] = space
        native.ended.hear()  # the end of one that had the id before: this one lives
        self._heed_ended(native, space)

    def _end(self, space: TrackedNamespace) -> None:
        """The namespace is no more."""
        self._plan = None
        for key in space.keys:
            if self._who.get(key) is space:
                self._ended[key] = None
                del self._who[key]
        self._forget(space)

    def _forget(self, space: TrackedNamespace) -> None:
        for marked in (self._maybe_ended, self._stale, self._check_hidden):
            marked.discard(space)
        if self._spaces.get(space.nsid) is space:
            del self._spaces[space.nsid]

    def _heed_ended(self, native: Containers, held: TrackedNamespace | None = None) -> None:
        """Ends the namespaces whose ids the kernel has taken back.

        Parameters:
            held: lives, since a descriptor of it is open.
        """
        while native.ended.any() or self._maybe_ended:
            nsids, _ = native.ended.peek()
            for nsid in self._spaces if nsids is None else nsids:
                if nsid in self._spaces:
                    self._maybe_ended.add(self._spaces[nsid])
            native.ended.clear()
            for space in list(self._maybe_ended):
                if space is held or self._is_there(space):
                    self._maybe_ended.discard(space)
                else:
                    self._end(space)

    def _is_there(self, space: TrackedNamespace) -> bool:
        """Whether a namespace still lives, as far as one of its paths shows it.

        The kernel takes an id back a moment before it reports that, and may have given it anew by
        then: what is reported may be the end of the one that had it before. And where such reports
        were lost, nothing but the path shows who is who.
        """
        if space.nsid == OWN:
            return True
        if space.identity[2] is None:  # inodes are used again at once
            return False
        for path in space.keys.values():
            try:
                if path is not None and _identity(to_netns_fd(Namespace(path))) == space.identity:
                    return True
            except OSError as error:
                if error.errno in _SHORT:
                    raise
        return False

    def _heed_links(self, native: Containers) -> None:
        """Marks what is stale, and notes which links of the host's went."""
        elsewhere = native.elsewhere
        if elsewhere is None or elsewhere.any():
            nsids = elsewhere.peek()[0] if elsewhere is not None else None
            for nsid in self._spaces if nsids is None else nsids:
                if nsid in self._spaces and nsid != OWN:
                    self._stale.add(self._spaces[nsid])
            if elsewhere is not None:
                elsewhere.clear()
        if not native.links.any():
            return
        self._pairs = None
        # What a dump left out because it was too much has a row if the host has a pair for it.
        self._check_hidden.update(space for space in self._spaces.values() if space.ends.omitted)
        indexes, changed = native.links.peek()
        if indexes is None:
            self._stale.update(self._spaces.values())
            self._began = self._try + 1
        elif OWN in self._spaces and (changed or indexes):
            self._stale.add(self._spaces[OWN])
        for index in indexes or ():
            self._deleted_at[index] = self._try
        native.links.clear()

    def _due(self) -> list[TrackedNamespace]:
        """Those whose links have to be dumped: each once a reading at most."""
        return [space for space in self._stale if space.dumped < self._began]

    def _dump_links(self, native: Containers, space: TrackedNamespace) -> None:
        """Dumps the links of a namespace."""
        ends = native.dump_ends(space.nsid, space.ends)
        if ends is None:
            self._end(space)
            return
        if ends is not space.ends or space in self._stale:
            self._check_hidden.add(space)
        self._take(space, ends)
        space.dumped = self._try
        self._stale.discard(space)

    def _take(self, space: TrackedNamespace, ends: Ends) -> None:
        if ends is not space.ends:
            self._plan = None
            space.ends = ends

    def _list_pairs(self, native: Containers) -> dict[int, list[int]]:
        pairs = self._pairs
        if pairs is None:
            pairs = {}
            for nsid, index in native.dump_pairs():
                pairs.setdefault(nsid, []).append(index)
            self._pairs = pairs
        return pairs

    def _find_hidden(self, native: Containers) -> None:
        """Adds the ends of pairs that a container's own dump did not have.

        A container can give a link so many alternative names that a dump ends before it, silently;
        but the host's end of the pair says that it is there. What has no end here can be hidden so
        until it changes, and a pair's end while it goes from container to container.
        """
        native.links.hear()
        self._heed_links(native)
        pairs = self._list_pairs(native)
        for space in list(self._check_hidden):
            ends = native.add_hidden(space.nsid, space.ends, pairs.get(space.nsid, []))
            if ends is None:
                self._end(space)
            else:
                self._take(space, ends)
            self._check_hidden.discard(space)

    def _read_all(self, native: Containers) -> tuple[RowLayout, Table]:
        """One reading.

        The links first, as far as something happened to them; then the counters; then those links
        to which something has happened meanwhile, each container's once a reading, so that one
        that changes all the time is taken as it was found. So whose links are which is as of a
        moment within this call, as the counters are. Links whose counters were not among those
        that were dumped make for another try.
        """
        self._began = self._try + 1
        for left in reversed(range(_TRIES)):
            self._try = dumped = self._try + 1
            for space in self._due():
                self._dump_links(native, space)
            plan = self._plan
            rows = native.dump_stats(lasting=False) if plan is None or plan.here.count else None
            for space in self._visited() if plan is None else plan.visits:
                if space.dumped != dumped:
                    self._dump_links(native, space)
            if self._check_hidden:
                self._find_hidden(native)
            self._hear(native)
            if left == _TRIES - 1 and self._due():
                continue  # what happened since the last reading was not known of until now
            while self._began <= dumped and (due := self._due()):
                self._try += 1
                for space in due:
                    self._dump_links(native, space)
                self._hear(native)
            if self._began > dumped:
                continue  # what was lost may have been about anything that was dumped
            found = self._fill(rows, dumped, left == 0)
            if found is not None:
                return found
        raise KernelError(
            EAGAIN, "RTM_GETSTATS", hint="the interface list changed during every attempt"
        )

    def _visited(self) -> list[TrackedNamespace]:
        return [space for space in self._spaces.values() if space.needs_own_dump()]

    def _hear(self, native: Containers) -> None:
        native.hear()
        self._heed_ended(native)
        self._heed_links(native)

    def _fill(self, rows: Rows | None, dumped: int, last: bool) -> tuple[RowLayout, Table] | None:
        """The table of what was dumped; None: there has to be another try.

        Parameters:
            rows, dumped: as for `RowLayout`.
            last: whether there is none, so that rows without counters are left out.
        """
        plan = self._plan
        if plan is not None and plan.indexes.isdisjoint(self._deleted_at):
            table = Table(len(plan.keys))
            if rows is not None and plan.here.pick_rows(rows, table) != plan.here.count:
                plan = None
        else:
            plan = None
        if plan is None:
            self._plan = None
            if rows is None:
                return None
            plan = RowLayout(self._who, rows, dumped, self._deleted_at, self._routed)
            for space in plan.lost:
                self._stale.add(space)
                space.dumped = -1  # so that it is due
            if not plan.lost:
                self._plan = plan
            elif not last:
                return None
            table = Table(len(plan.keys))
            plan.here.pick_rows(rows, table)
        for space, sources in zip(plan.visits, plan.sources, strict=True):
            space.ends.pick(sources, table)
        self._deleted_at.clear()
        self.omitted = plan.omitted
        return plan, table


class HostContainers(ContainerCounters):
    """`ContainerCounters` as `HostCounters` uses it: also for namespaces known by nsid alone.

    Parameters:
        netns, timeout: as for `ContainerCounters`.
        routed: as for `HostCounters`.
    """

    __slots__ = ()

    def __init__(self, *, netns: Netns | None, timeout: float, routed: bool) -> None:
        super().__init__(netns=netns, timeout=timeout)
        self._routed = routed

    def rename(self, old: Hashable, new: Hashable) -> bool:
        """Gives a container another key, with no message; False if `old` is unknown.

        Until the kernel reports the end of a namespace it is counted without a gap: to discard and
        add it again would take a path that may lead elsewhere by now.
        """

        def work(_: Containers, __: object) -> bool:
            space = self._who.get(old)
            if space is None:
                return False
            # No call between these statements, so no signal handler can run between them.
            self._plan = None
            self._who[new] = space
            space.keys[new] = space.keys[old]
            del self._who[old], space.keys[old]
            return True

        renamed: bool = self._locked(work, "rename")
        return renamed

    def strangers(self) -> list[int]:
        """The nsids of namespaces that the host's veth pairs lead to and that are not counted."""

        def work(native: Containers, _: object) -> list[int]:
            return native.with_deadline(lambda: self._find_strangers(native))

        nsids: list[int] = self._locked(work, "RTM_GETLINK")
        return nsids

    def _find_strangers(self, native: Containers) -> list[int]:
        self._hear(native)
        if self._stale:
            # A container may have moved a peer away. The host's end gets no notification of that.
            self._pairs = None
        return [nsid for nsid in self._list_pairs(native) if nsid not in self._spaces]

    def uncounted(self, nsids: list[int]) -> list[int]:
        """Those of these nsids whose namespaces are not counted."""

        def work(_: Containers, __: object) -> list[int]:
            return [nsid for nsid in nsids if nsid not in self._spaces]

        left: list[int] = self._locked(work, "nsid")
        return left

    def add_nsid(self, key: Hashable, nsid: int) -> bool:
        """Adds the namespace that has this nsid, until it ends or is added by `add`.

        Returns False if it has ended.

        Raises:
            PermissionDeniedError: CAP_NET_ADMIN over that namespace is missing.
        """

        def work(native: Containers, _: object) -> bool:
            return native.with_deadline(lambda: self._add_nsid(native, key, nsid))

        added: bool = self._locked(work, "RTM_GETLINK")
        return added

    def _add_nsid(self, native: Containers, key: Hashable, nsid: int) -> bool:
        ends = native.dump_ends(nsid, None)
        if ends is None:
            return False
        # Nothing but the kernel's report of its end tells it from the next one with this nsid. The
        # third number stands in for the cookie: cookies are never negative.
        self._strangers += 1
        space = TrackedNamespace(nsid, (0, 0, -self._strangers), ends, self._try)
        self._check_hidden.add(space)
        # No call between these statements, so no signal handler can run between them.
        self._plan = None
        self._spaces[nsid] = space
        space.keys[key] = None
        self._who[key] = space
        native.ended.hear()
        self._heed_ended(native)
        return key in self._who

    def find_nsids(self, paths: list[str]) -> set[int]:
        """The nsids of the namespaces at these paths, as far as they have one and can be opened."""

        def work(native: Containers, _: object) -> set[int]:
            return native.with_deadline(lambda: set(native.find_nsids(paths)))

        nsids: set[int] = self._locked(work, "RTM_GETNSID")
        return nsids


def _identity(namespace: Namespace) -> tuple[int, int, int | None]:
    return *identify(namespace.fd, namespace.shown), cookie(namespace.fd)
