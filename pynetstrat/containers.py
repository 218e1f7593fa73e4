"""The counters of many containers of this host, in one reading."""

from __future__ import annotations

import os
from errno import EAGAIN, EINVAL

from ._native import Namespace
from ._native.containers import Containers, Ends, Sources, Table
from ._native.netns import cookie, settle
from .counters import NetworkInterface
from .errors import KernelError, quote
from .guard import Guarded
from .rtnetlink import to_milliseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any

    from ._native.rows import Rows
    from .arguments import Netns
    from .counters import CounterView

_OWN = -1  # in place of an id: the host's own namespace
_TRIES = 8  # of a reading during which the host's links come and go by the thousand


class ContainerTable:
    """The counters of many containers as columns: a row an interface, as the container sees it.

    Attributes:
        keys: whose row it is; the same tuple again while nothing changes.
        names: the interface's name in the container; likewise.
        identities: what tells the interface from any other, a former one of its name included;
            likewise. It is made of the namespace, the index there, and the index of the host's end:
            the kernel gives none of them anew, unless somebody asks for that very index.
        counters: a two-dimensional `memoryview` of format `Q`: a row for each interface, and in it
            the eight counters in the order of `NetworkInterface`'s fields. It is this table's own
            memory: later calls leave it alone.
    """

    __slots__ = ("counters", "identities", "keys", "names")

    def __init__(
        self,
        keys: tuple[Hashable, ...],
        names: tuple[str, ...],
        identities: tuple[Hashable, ...],
        counters: CounterView,
    ) -> None:
        self.keys = keys
        self.names = names
        self.identities = identities
        self.counters = counters

    def __repr__(self) -> str:
        return f"<ContainerTable of {len(self.names)} interfaces>"


class _Space:
    """A network namespace and who it belongs to.

    Attributes:
        nsid: the id that the host's namespace has for it as long as it lives.
        identity: device, inode and cookie.
        keys: of the containers that it is the namespace of.
        paths: by which it was given: the way to know it again where notifications were lost.
        ends: its links as they were last dumped.
        refreshed: the number of the reading in which they were.
    """

    __slots__ = ("ends", "identity", "keys", "nsid", "paths", "refreshed")

    def __init__(self, nsid: int, identity: tuple[int, int, int | None]) -> None:
        self.nsid = nsid
        self.identity = identity
        self.keys: dict[Hashable, None] = {}
        self.paths: list[Any] = []
        self.ends: Ends | None = None
        self.refreshed = 0

    def is_visited(self) -> bool:
        """Whether it has links of which the host's counters say nothing."""
        assert self.ends is not None
        return self.nsid != _OWN and not all(peer for _, peer, _ in self.ends.links)


class _Plan:
    """The rows of a reading, and where the counters of each come from.

    Attributes:
        keys, names, identities: of the rows.
        here: the sources among the host's counters.
        indexes: whose the links of the host's namespace are that take part.
        visits, sources: the namespaces that have to be asked themselves, and the sources there.
        all: the keys, those of containers without a row included.
        one_each: whether each has exactly one row.
    """

    __slots__ = (
        "all",
        "here",
        "identities",
        "indexes",
        "keys",
        "names",
        "one_each",
        "sources",
        "visits",
    )

    def __init__(self, who: dict[Hashable, _Space], dumped: Rows | None, without: set[int]) -> None:
        keys: list[Hashable] = []
        names: list[str] = []
        identities: list[Hashable] = []
        here: list[tuple[int, int, bool]] = []
        there: dict[_Space, list[tuple[int, int, bool]]] = {}
        self.indexes: dict[int, _Space] = {}
        for key, space in who.items():
            assert space.ends is not None
            for index, peer, name in space.ends.links:
                source = index if space.nsid == _OWN else peer
                if source in without:
                    continue
                if source:
                    self.indexes[source] = space
                    here.append((source, len(keys), space.nsid != _OWN))
                else:
                    there.setdefault(space, []).append((index, len(keys), False))
                keys.append(key)
                names.append(name)
                identities.append((space.identity, index, peer))
        if dumped is not None:  # in its order they are found at once
            place = {index: at for at, index in enumerate(dumped.indexes())}
            here.sort(key=lambda source: place.get(source[0], dumped.count))
        self.keys, self.names, self.all = tuple(keys), tuple(names), tuple(who)
        self.identities = tuple(identities)
        self.one_each = self.keys == self.all
        self.here = Sources(here)
        self.visits = list(there)
        self.sources = list(map(Sources, there.values()))


class ContainerCounters(Guarded):
    """The counters of many containers of this host.

    A container whose interfaces are ends of veth pairs, the other ends being in the host's
    namespace, costs nothing of its own: one dump of the host's counters holds them all. Any other
    interface (macvlan, a device that was moved there) is asked for by the id that the host's
    namespace has for the container's: nothing enters it, and nothing keeps it alive. `lo` is left
    out.

    It follows the interfaces by the kernel's notifications: one that is renamed, moved, deleted or
    made again is never shown with another's counters. A container is known by the cookie of its
    namespace (before Linux 5.14 by the inode, as long as the kernel does not report its end), not
    by the path or process that it was added by.

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

    Raises: as `RtnetlinkSocket`.
    """

    __slots__ = (
        "_ended",
        "_indexes",
        "_plan",
        "_reading",
        "_spaces",
        "_stale",
        "_unsure",
        "_where",
        "_who",
    )

    def __init__(self, *, netns: Netns | None = None, timeout: float = 5.0) -> None:
        milliseconds = to_milliseconds(timeout)
        self._spaces: dict[int, _Space] = {}  # by nsid
        self._stale: set[_Space] = set()  # something may have happened to their links
        self._who: dict[Hashable, _Space] = {}  # those that live
        self._ended: dict[Hashable, None] = {}
        self._plan: _Plan | None = None
        self._indexes: dict[int, _Space] = {}  # the newest plan's
        self._reading = 0
        self._unsure = False  # whether the links of all have been found since something changed
        native = Containers(netns, milliseconds)
        self._where = native.namespace
        self._guard(native)

    def __repr__(self) -> str:
        where = getattr(self, "_where", None)
        if where is None:  # __init__ was not over
            where = "no namespace"
        else:
            where = quote(where) if where else "its opener's namespace"
        count = len(getattr(self, "_who", ()))
        return f"<ContainerCounters of {count} containers, from {where}: {self._state()}>"

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
            native.together(lambda: self._add(native, key, netns))

        self._turn(work, "RTM_GETNSID")

    def discard(self, key: Hashable) -> None:
        """Lets go of a container, which need not be there."""

        def work(native: Containers, _: object) -> None:
            self._ended.pop(key, None)
            space = self._who.pop(key, None)
            if space is not None:
                del space.keys[key]
                if not space.keys:
                    del self._spaces[space.nsid]
                    self._stale.discard(space)
                self._plan = None

        self._turn(work, "discard")

    def gone(self) -> list[Hashable]:
        """The keys whose namespace has ended since they were added, until they are discarded."""

        def work(native: Containers, _: object) -> list[Hashable]:
            native.ended.hear()
            native.together(lambda: self._heed_ended(native))
            return list(self._ended)

        keys: list[Hashable] = self._turn(work, "RTM_DELNSID")
        return keys

    # ---- readings ----

    def read(self) -> dict[Hashable, dict[str, NetworkInterface]]:
        """The counters by key and the container's interface name; a container that ended is absent.

        One that has no interface but `lo` has an empty dictionary.

        Raises:
            KernelError: EAGAIN where the host's interfaces came and went during every attempt.
        """
        plan, table = self._turn(self._read, "RTM_GETSTATS")
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
        plan, table = self._turn(self._read, "RTM_GETSTATS")
        return ContainerTable(plan.keys, plan.names, plan.identities, table.view())

    # ---- within a turn ----

    def _read(self, native: Containers, _: object) -> tuple[_Plan, Table]:
        reading: tuple[_Plan, Table] = native.together(lambda: self._read_all(native))
        return reading

    def _add(self, native: Containers, key: Hashable, netns: Netns) -> None:
        if key in self._who or key in self._ended:
            raise ValueError(f"key {key!r} is taken")
        namespace = settle(Namespace(netns))
        status = os.fstat(namespace.fd)
        identity = (status.st_dev, status.st_ino, cookie(namespace.fd))
        nsid = _OWN if identity[:2] == native.id else native.assign_nsid(namespace.fd)
        # What ended before this namespace got its id has been reported before the answer.
        self._heed_ended(native)
        space = self._spaces.get(nsid)
        if space is not None and space.identity != identity:
            self._end(space)
            space = None
        if space is None:
            space = _Space(nsid, identity)
            space.ends = native.dump_ends(nsid, None)
            if space.ends is None:  # which can't be: its descriptor is open
                raise KernelError(EINVAL, "RTM_GETLINK", filename=namespace.shown)
            self._unsure = True
            self._spaces[nsid] = space
        if isinstance(netns, (str, bytes, os.PathLike)):
            space.paths.append(netns)
        space.keys[key] = None
        self._who[key] = space
        self._plan = None

    def _end(self, space: _Space) -> None:
        """The namespace is no more."""
        self._plan = None
        self._stale.discard(space)
        if self._spaces.get(space.nsid) is space:
            del self._spaces[space.nsid]
        for key in space.keys:
            del self._who[key]
            self._ended[key] = None

    def _heed_ended(self, native: Containers) -> None:
        """Ends the namespaces whose ids the kernel has taken back."""
        if not native.ended.any():
            return
        nsids, _ = native.ended.peek()
        if nsids is None:
            for space in list(self._spaces.values()):
                if not self._is_there(native, space):
                    self._end(space)
        else:
            for nsid in nsids:
                if nsid in self._spaces:
                    self._end(self._spaces[nsid])
        native.ended.clear()

    def _is_there(self, native: Containers, space: _Space) -> bool:
        """Whether a namespace still lives, as far as one of its paths shows it.

        Where notifications were lost nothing else does: its id may be another's by now.
        """
        if space.nsid == _OWN:
            return True
        for path in space.paths:
            try:
                namespace = settle(Namespace(path))
                status = os.fstat(namespace.fd)
                identity = (status.st_dev, status.st_ino, cookie(namespace.fd))
            except OSError:
                continue
            if identity == space.identity and native.get_nsid(namespace.fd) == space.nsid:
                return True
        return False

    def _heed_links(self, native: Containers) -> set[int] | None:
        """Marks what is stale; the indexes of the host's links that went, None: some were lost."""
        elsewhere = native.elsewhere
        if elsewhere is None or elsewhere.any():
            nsids = elsewhere.peek()[0] if elsewhere is not None else None
            for nsid in self._spaces if nsids is None else nsids:
                if nsid in self._spaces and nsid != _OWN:
                    self._stale.add(self._spaces[nsid])
            if elsewhere is not None:
                elsewhere.clear()
        if not native.links.any():
            return set()
        indexes, changed = native.links.peek()
        own = self._spaces.get(_OWN)
        if own is not None and (changed or indexes != []):
            self._stale.add(own)
        if indexes is None:
            self._stale.update(self._spaces.values())
        else:
            concerned = (self._indexes[index] for index in indexes if index in self._indexes)
            # Some may have ended, or been let go of, since.
            self._stale.update(s for s in concerned if self._spaces.get(s.nsid) is s)
        native.links.clear()
        return None if indexes is None else set(indexes)

    def _due(self) -> list[_Space]:
        """Those whose links have to be dumped: each once a reading at most."""
        return [space for space in self._stale if space.refreshed != self._reading]

    def _refresh(self, native: Containers) -> None:
        """Dumps the links of the namespaces that are stale."""
        for space in self._due():
            self._unsure = True
            self._visit(native, space)

    def _visit(self, native: Containers, space: _Space) -> None:
        """Dumps the links of a namespace."""
        ends = native.dump_ends(space.nsid, space.ends)
        if ends is None:
            self._end(space)
            return
        self._stale.discard(space)
        space.refreshed = self._reading
        if ends is not space.ends:
            self._take(space, ends)

    def _take(self, space: _Space, ends: Ends | None) -> None:
        if ends is None:
            self._end(space)
            return
        space.ends = ends
        self._plan = None
        self._unsure = True

    def _find_hidden(self, native: Containers) -> None:
        """Adds the ends of pairs that a container's own dump did not have.

        A container can give a link so many alternative names that a dump ends before it, silently;
        but the host's end of the pair says that it is there. What has no end here can be hidden so
        until it changes.
        """
        hidden: dict[int, list[int]] = {}
        had = {
            (space.nsid, index)
            for space in self._spaces.values()
            if space.ends is not None
            for index, _, _ in space.ends.links
        }
        for nsid, index in native.dump_pairs():
            if nsid in self._spaces and (nsid, index) not in had:
                hidden.setdefault(nsid, []).append(index)
        for nsid, indexes in hidden.items():
            space = self._spaces[nsid]
            assert space.ends is not None
            ends = native.add_hidden(nsid, space.ends, indexes)
            if ends is not space.ends:
                self._take(space, ends)
        self._unsure = False

    def _read_all(self, native: Containers) -> tuple[_Plan, Table]:
        """One reading.

        The links first, as far as something happened to them; then the counters; then a look at
        what has happened meanwhile, after which all is done again where a namespace is concerned
        that was not refreshed yet. So whose links are which is as of a moment within this call, as
        the counters are, and a container that changes all the time takes one dump of its links.
        """
        self._reading += 1
        for _ in range(_TRIES):
            self._refresh(native)
            plan = self._plan
            rows = native.dump_stats(lasting=False) if plan is None or plan.here.count else None
            for space in self._visited() if plan is None else plan.visits:
                self._visit(native, space)
            if self._unsure:
                self._find_hidden(native)
            native.hear()
            self._heed_ended(native)
            went = self._heed_links(native)
            if went is None or self._due():
                continue
            found = self._fill(rows, went)
            if found is not None:
                return found
        raise KernelError(EAGAIN, "RTM_GETSTATS", hint="the host's interfaces came and went")

    def _visited(self) -> list[_Space]:
        return [space for space in self._spaces.values() if space.is_visited()]

    def _fill(self, rows: Rows | None, went: set[int]) -> tuple[_Plan, Table] | None:
        """The table of what was dumped; None: the host's counters are needed, and were not dumped.

        Parameters:
            went: links of the host's namespace that were deleted since whose they are was found
                out: what the dump has of them may be another's.
        """
        plan = self._plan
        if plan is None:
            plan = self._plan = _Plan(self._who, rows, set())
            self._indexes = plan.indexes
        if plan.here.count and rows is None:
            return None
        table = Table(len(plan.keys))
        lost = went & plan.indexes.keys() if went else went
        if lost or (rows is not None and plan.here.pick_rows(rows, table) != plan.here.count):
            assert rows is not None
            lost |= plan.indexes.keys() - set(rows.indexes())
            for index in lost:
                self._stale.add(plan.indexes[index])
            self._plan = None
            plan = _Plan(self._who, rows, lost)
            table = Table(len(plan.keys))
            plan.here.pick_rows(rows, table)
        for space, sources in zip(plan.visits, plan.sources, strict=True):
            assert space.ends is not None
            space.ends.pick(sources, table)
        return plan, table
