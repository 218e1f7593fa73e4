"""`Tracker`: the namespaces that are counted, and which of them must be dumped again."""

from __future__ import annotations

import os
import time
from errno import EAGAIN, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM
from itertools import filterfalse

from .._native import Namespace
from .._native.netns import cookie, identify, to_netns_fd
from ..errors import KernelError
from ..rtnetlink.links import owner_in_alias
from ._final import FinalReadings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from typing import Any

    from .._native.containers import Containers
    from .._native.gather import NetnsLinks
    from ..counters import FinalCounters
    from ..types import Netns
    from ._final import FinalReading

# The deleted links of the host that are remembered between two readings, which may be far apart.
_MAX_DELETED = 4096

_LATE = 10.0  # seconds that the notification of a host end may follow the end of its namespace

HOST_NSID = -1  # stands for the host namespace, which has no nsid of its own

# The process is out of descriptors, threads or memory: nothing about the namespace follows.
_EXHAUSTED = (EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM)


class TrackedNamespace:
    """A network namespace whose links are counted.

    Attributes:
        nsid: the id by which the host namespace knows it, for as long as it lives.
        identity: the device and inode of its file, and its cookie (None before Linux 5.14). If only
            the nsid is known: 0, 0 and a negative number that no other namespace has.
        keys: the keys that it was added under, each with the path that it was added by. A path can
            later prove that the namespace still exists. None: it was not added by a path.
        dump: its links, as they were last dumped.
        dumped_at: the time of that dump on the clock of `Tracker`; -1: it must be repeated.
        finals: the last counters of interfaces that were deleted, by index.
        ended_at: when it ended, in seconds on the monotonic clock; 0.0: it has not.
    """

    __slots__ = ("dump", "dumped_at", "ended_at", "finals", "identity", "keys", "nsid")

    def __init__(
        self, nsid: int, identity: tuple[int, int, int | None], dump: NetnsLinks, dumped_at: int
    ) -> None:
        self.nsid = nsid
        self.identity = identity
        self.keys: dict[Hashable, Any] = {}
        self.dump = dump
        self.dumped_at = dumped_at
        self.finals: dict[int, FinalReading] = {}
        self.ended_at = 0.0

    def final_counters(self) -> dict[str, FinalCounters]:
        """The last counters of the interfaces that were deleted, by name."""
        return {one.name: one.counters() for one in self.finals.values() if one.is_known()}

    def lacks_host_end(self) -> bool:
        """Whether the notification of a host end may follow the end of this namespace."""
        return any(one.was_last and one.lacks_host_end() for one in self.finals.values())

    def needs_inside_dump(self) -> bool:
        """Whether any link must be read from inside: its peer is not in the host namespace."""
        return self.nsid != HOST_NSID and not all(peer for _, peer, _ in self.dump.links)


class Tracker:
    """The namespaces that are counted, and which of their dumps are stale.

    A namespace is tracked from `add` until it ends or its last key is discarded. The last dump of
    its links is up to date unless the namespace is in one of these sets, or in both:

        set          why                                            left by
        -----------  ---------------------------------------------  --------------------
        `stale`      a link may have changed since the dump         `dump_links`
        `unchecked`  the dump may lack links                        `find_missing_links`

    When a namespace ends, its keys move from `by_key` to `ended`, where `discard` removes them.

    Dumps and deletions are ordered by a clock: a number that a reading increases with each attempt,
    and with each round of dumps at the end of an attempt.

    A stale namespace is dumped at most once in a reading, unless `make_stale` or a loss of
    notifications demands another dump. So a container that changes its links all the time cannot
    prolong the reading.

    Attributes:
        by_key: the tracked namespaces by key. It is authoritative: after a call that did not finish
            `repair` derives `by_nsid` and the two sets from it.
        by_nsid: the same namespaces by nsid.
        ended: the namespaces that have ended, by key, in that order.
        late: the namespaces that have ended and were discarded before the notifications of all
            host ends had arrived, by key. None: they are not kept.
        finals: finds the last counters of interfaces.
        stale, unchecked: see above.
        clock: the current time.
        first_valid: the time of the earliest dump that the current reading may use. A loss of
            notifications sets it past the current time.
        deleted_at: the time at which the notification of a host link's deletion was processed, by
            the link's index. A dump up to that time may describe the deleted link, or another with
            its index.
        is_changed: whether the rows of a reading may differ from those of the last one.
        owners: the owners in the aliases of the host's veth pairs, by the nsid that each leads to,
            as of the last dump of them. Each dump makes a new object.
    """

    __slots__ = (
        "_added_by_nsid",
        "_pairs",
        "by_key",
        "by_nsid",
        "clock",
        "deleted_at",
        "ended",
        "finals",
        "first_valid",
        "is_changed",
        "late",
        "owners",
        "stale",
        "unchecked",
    )

    def __init__(self) -> None:
        self.by_nsid: dict[int, TrackedNamespace] = {}
        self.by_key: dict[Hashable, TrackedNamespace] = {}
        self.ended: dict[Hashable, TrackedNamespace] = {}
        self.late: dict[Hashable, TrackedNamespace] | None = None
        self.finals = FinalReadings()
        self.stale: set[TrackedNamespace] = set()
        self.unchecked: set[TrackedNamespace] = set()
        self.clock = 0
        self.first_valid = 1
        self.deleted_at: dict[int, int] = {}
        self.is_changed = True
        # For each nsid the indexes there of peers of the host's veths. None: to be dumped again.
        self._pairs: dict[int, list[int]] | None = None
        self.owners: dict[int, str] = {}
        self._added_by_nsid = 0  # how many were: see add_nsid()

    # ---- which namespaces ----

    def add(self, native: Containers, key: Hashable, netns: Netns) -> None:
        """Starts to count a namespace; see `ContainerCounters.add`."""
        if key in self.by_key or key in self.ended:
            raise ValueError(f"key {key!r} is taken: discard it first, or choose another")
        opened = to_netns_fd(Namespace(netns))
        identity = _identify(opened)
        nsid = HOST_NSID if identity[:2] == native.host_inode else native.assign_nsid(opened.fd)
        # If another namespace had this nsid before, the notification of its end is queued ahead of
        # the reply, unless the kernel is sending it at this moment.
        self.process_ended(native)
        tracked = self.by_nsid.get(nsid)
        if tracked is not None and tracked.identity != identity:
            self._end(tracked)
            tracked = None
        if tracked is None:
            self._process_finals(native)  # of the namespace that had this nsid before
            dump = native.dump_netns_links(nsid, None)
            if dump is None:  # impossible: a descriptor of the namespace is open
                raise KernelError(EINVAL, "RTM_GETLINK", filename=opened.shown)
            tracked = TrackedNamespace(nsid, identity, dump, self.clock)
        self._insert(tracked, key, netns if isinstance(netns, (str, bytes, os.PathLike)) else None)
        # The notification of that end may have arrived after the reply.
        native.ended.process_pending()
        self.process_ended(native, held=tracked)

    def add_nsid(self, native: Containers, key: Hashable, nsid: int) -> bool:
        dump = native.dump_netns_links(nsid, None)
        if dump is None:
            return False
        # Only the notification of its end distinguishes it from the next namespace with this nsid.
        # The third number replaces the cookie: a cookie is never negative.
        self._added_by_nsid += 1
        identity = 0, 0, -self._added_by_nsid
        self._insert(TrackedNamespace(nsid, identity, dump, self.clock), key, None)
        native.ended.process_pending()
        self.process_ended(native)
        return key in self.by_key

    def _insert(self, tracked: TrackedNamespace, key: Hashable, path: Any) -> None:
        self.is_changed = True
        if self.by_nsid.get(tracked.nsid) is not tracked:
            self.by_nsid[tracked.nsid] = tracked
            self.finals.follow(tracked)
            self.unchecked.add(tracked)
        tracked.keys[key] = path
        self.by_key[key] = tracked

    def rename(self, old: Hashable, new: Hashable) -> bool:
        tracked = self.by_key.pop(old, None)
        if tracked is None:
            return False
        self._insert(tracked, new, tracked.keys.pop(old))
        return True

    def discard(self, key: Hashable) -> None:
        """Forgets a key, and the namespace with its last key."""
        ended = self.ended.pop(key, None)
        if ended is not None:
            self.finals.unfollow(ended)
            if self.late is not None and ended.lacks_host_end():
                self._forget_late(self.late)
                self.late[key] = ended
        tracked = self.by_key.pop(key, None)
        if tracked is not None:
            self.is_changed = True
            del tracked.keys[key]
            if not tracked.keys:
                self.finals.unfollow(tracked)
                self._forget(tracked)

    def take_late(self) -> dict[Hashable, dict[str, FinalCounters]]:
        """Returns the last counters of the namespaces in `late` that lack nothing any more."""
        late = self.late or {}
        self._forget_late(late)
        found = {key: one for key, one in late.items() if not one.lacks_host_end()}
        for key in found:
            del late[key]
        return {key: one.final_counters() for key, one in found.items()}

    @staticmethod
    def _forget_late(late: dict[Hashable, TrackedNamespace]) -> None:
        """Forgets those whose host ends must have moved to another namespace."""
        due = time.monotonic() - _LATE
        for key in [key for key, one in late.items() if one.ended_at < due]:
            del late[key]

    def _end(self, tracked: TrackedNamespace) -> None:
        """Records that a namespace has ended."""
        self.is_changed = True
        tracked.ended_at = time.monotonic()
        self.finals.end(tracked)
        for key in tracked.keys:
            self.ended[key] = tracked
            self.by_key.pop(key, None)
        self._forget(tracked)

    def _forget(self, tracked: TrackedNamespace) -> None:
        self.stale.discard(tracked)
        self.unchecked.discard(tracked)
        if self.by_nsid.get(tracked.nsid) is tracked:
            del self.by_nsid[tracked.nsid]

    def repair(self) -> None:
        """After a call that did not finish: makes the records agree, and every dump stale."""
        tracked = set(self.by_key.values())
        self.by_nsid = {one.nsid: one for one in tracked}
        for one in tracked:
            one.keys = {key: path for key, path in one.keys.items() if self.by_key.get(key) is one}
        self.stale, self.unchecked = set(tracked), set(tracked)
        self.finals.lose(tracked)
        self.is_changed = True
        self._pairs = None

    # ---- notifications ----

    def process_pending(self, native: Containers) -> None:
        """Processes the notifications that are queued."""
        if not native.process_pending() and native.changed_netns is not None:
            return  # the usual case
        self.process_ended(native)
        self._process_links(native)

    def process_ended(self, native: Containers, held: TrackedNamespace | None = None) -> None:
        """Ends the namespaces whose nsids the kernel has released.

        Parameters:
            held: a namespace that exists, since the caller has a descriptor of it open.
        """
        if not native.ended.any():
            return
        self._process_finals(native)
        nsids, _ = native.ended.peek()
        for nsid in list(self.by_nsid) if nsids is None else nsids:
            tracked = self.by_nsid.get(nsid)
            if tracked is not None and tracked is not held and not _exists(tracked):
                self._end(tracked)
        native.ended.clear()  # after the loop: if that raised, the next call processes them

    def _process_finals(self, native: Containers) -> None:
        """Takes the counters of links that were deleted, before anything else changes."""
        native.links.process_pending()
        if native.changed_netns is not None:
            native.changed_netns.process_pending()
        self._take_finals(native)

    def _take_finals(self, native: Containers) -> None:
        for recorder in (native.changed_netns, native.links):
            if recorder is not None:
                finals = recorder.take_finals()
                if finals:
                    late = (self.late or {}).values()
                    self.finals.take(finals, [*late, *self.by_nsid.values()], self.ended.values())
                elif finals is None and recorder is native.changed_netns:
                    self.finals.lose(self.by_nsid.values())

    def _process_links(self, native: Containers) -> None:
        """Marks namespaces as stale, and records which host links were deleted."""
        self._take_finals(native)
        changed = native.changed_netns
        if changed is None:  # without CAP_NET_BROADCAST: any of them may have changed
            self._mark_stale(self.by_nsid)
        elif changed.any():
            nsids = changed.peek()[0]
            changed.clear()
            self._mark_stale(self.by_nsid if nsids is None else nsids)
        if not native.links.any():
            return
        indexes, is_any_changed = native.links.peek()
        native.links.clear()
        self._pairs = None
        # Links beyond the limit of a dump are counted if the host has a pair that leads to them.
        self.unchecked.update(one for one in self.by_nsid.values() if one.dump.omitted)
        if indexes is None or len(self.deleted_at) > _MAX_DELETED:
            self.stale.update(self.by_nsid.values())
            self.first_valid = self.clock + 1
            self.deleted_at.clear()  # all dumps that it concerns are made again
            return
        self.deleted_at.update(dict.fromkeys(indexes, self.clock))
        if HOST_NSID in self.by_nsid and (is_any_changed or indexes):
            self.stale.add(self.by_nsid[HOST_NSID])

    def _mark_stale(self, nsids: Iterable[int]) -> None:
        known = self.by_nsid
        self.stale.update(known[nsid] for nsid in nsids if nsid in known and nsid != HOST_NSID)

    # ---- dumps ----

    def to_dump(self) -> list[TrackedNamespace]:
        """The stale namespaces that were not dumped in this reading yet."""
        if not self.stale:  # three times in a reading
            return []
        return [one for one in self.stale if one.dumped_at < self.first_valid]

    def dump_links(self, native: Containers, tracked: TrackedNamespace) -> None:
        """Dumps the links of a namespace, with their counters."""
        dump = native.dump_netns_links(tracked.nsid, tracked.dump)
        if dump is None:
            self._end(tracked)
            return
        if dump is not tracked.dump or tracked in self.stale:
            self.unchecked.add(tracked)
        self._replace_dump(tracked, dump)
        tracked.dumped_at = self.clock
        self.stale.discard(tracked)

    def _replace_dump(self, tracked: TrackedNamespace, dump: NetnsLinks) -> None:
        if dump is not tracked.dump:
            self.is_changed = True
            self.finals.keep_missing(tracked, dump)
            tracked.dump = dump

    def make_stale(self, tracked: TrackedNamespace) -> None:
        """Requires another dump of a namespace, even if it was dumped in this reading."""
        self.stale.add(tracked)
        tracked.dumped_at = -1

    def find_missing_links(self, native: Containers) -> None:
        """Adds the links that are missing from the dumps of unchecked namespaces.

        A container can give a link so many alternative names that the kernel silently ends a dump
        before it. If the link's peer is in the host namespace, the host's dump contains the link's
        index, and the link is requested by it. Two kinds of links can stay missing: a link without
        such a peer, until it changes, and a veth while it moves from container to container.
        """
        native.links.process_pending()
        self._process_links(native)
        pairs = self._dump_pairs(native)
        for tracked in list(self.unchecked):
            dump = native.add_missing_links(tracked.nsid, tracked.dump, pairs.get(tracked.nsid, []))
            if dump is None:
                self._end(tracked)
            else:
                self._replace_dump(tracked, dump)
            self.unchecked.discard(tracked)

    def find_untracked(self, native: Containers) -> list[int]:
        self.process_pending(native)
        if self.stale:
            # A container may have moved a peer away: the host gets no notification of that.
            self._pairs = None
        return list(filterfalse(self.by_nsid.__contains__, self._dump_pairs(native)))

    def _dump_pairs(self, native: Containers) -> dict[int, list[int]]:
        pairs = self._pairs
        if pairs is None:
            pairs = {}
            owners: dict[int, str] = {}
            for nsid, index, alias in native.dump_veth_peers():
                pairs.setdefault(nsid, []).append(index)
                if owner := owner_in_alias(alias):
                    owners.setdefault(nsid, owner)
            self._pairs, self.owners = pairs, owners
        return pairs


def _exists(tracked: TrackedNamespace) -> bool:
    """Whether a namespace exists although a notification of its end has arrived or may be lost.

    The kernel releases an nsid a moment before it sends the notification, and may have assigned the
    nsid to this namespace in between: then the notification is about the former one. A path that
    still leads to this namespace proves that it exists.
    """
    if tracked.nsid == HOST_NSID:
        return True
    if tracked.identity[2] is None:  # an inode proves nothing: the kernel reuses it at once
        return False
    for path in tracked.keys.values():
        try:
            if path is not None and _identify(to_netns_fd(Namespace(path))) == tracked.identity:
                return True
        except OSError as error:
            if error.errno in _EXHAUSTED:
                raise
    return False


def _identify(namespace: Namespace) -> tuple[int, int, int | None]:
    return *identify(namespace.fd, namespace.shown), cookie(namespace)
