"""Which namespaces are counted, and which of them have to be asked for their links again."""

from __future__ import annotations

import os
from errno import EAGAIN, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM

from .._native import Namespace
from .._native.netns import cookie, identify, to_netns_fd
from ..errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from typing import Any

    from .._native.containers import Containers
    from .._native.gather import NetnsLinks
    from ..types import Netns

OWN = -1  # stands for the host namespace where others have their nsid

# Descriptors, threads or memory are short: the error says nothing about the namespace.
_SHORT = (EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM)


class TrackedNamespace:
    """A network namespace whose links are counted.

    Attributes:
        nsid: the id by which the host namespace knows it, for as long as it lives.
        identity: the device and inode of its file, and its cookie (None before Linux 5.14).
        keys: the keys that it was added under, each with the path that it was added by. A path can
            later prove that the namespace still exists. None: it was not added by a path.
        dump: its links, as they were last dumped.
        attempt: the attempt in which they were dumped (see `Tracker`).
    """

    __slots__ = ("attempt", "dump", "identity", "keys", "nsid")

    def __init__(
        self, nsid: int, identity: tuple[int, int, int | None], dump: NetnsLinks, attempt: int
    ) -> None:
        self.nsid = nsid
        self.identity = identity
        self.keys: dict[Hashable, Any] = {}
        self.dump = dump
        self.attempt = attempt

    def needs_own_dump(self) -> bool:
        """Whether any link must be read from inside: its peer is not in the host namespace."""
        return self.nsid != OWN and not all(peer for _, peer, _ in self.dump.links)


class Tracker:
    """The namespaces that are counted, and how far the last dump of each can be trusted.

    A reading consists of attempts. They are numbered across all readings, and the numbers serve as
    timestamps of dumps and of deletions. Notifications decide what a dump is worth:

        state of a namespace                         recorded in    until
        -------------------------------------------  -------------  -------------------
        tracked: its last dump is current            `by_nsid`      a notification
        stale: a link may have changed since then    `stale`        `dump_links`
        unchecked: the dump may have missed links    `unchecked`    `find_hidden`
        ended: only its keys are remembered          `ended`        `discard`

    A namespace can be stale and unchecked at once. A stale namespace is dumped at most once in a
    reading, so a container that changes its links all the time cannot prolong the reading.

    Attributes:
        by_nsid, by_key: the tracked namespaces. An entry of `by_key` decides: after an interrupted
            call `repair` derives the rest from it.
        ended: the keys of namespaces that have ended, in that order.
        stale, unchecked: see above.
        attempt: the number of the current attempt.
        first_valid: the first attempt whose dumps the current reading may use. A loss of
            notifications raises it above the current attempt.
        deleted_at: the attempt in which the deletion of a host link was reported, by its index.
            A dump up to that attempt may describe the deleted link, or another with its index.
        is_changed: whether the rows of a reading may differ from those of the last one.
    """

    __slots__ = (
        "_added_by_nsid",
        "_pairs",
        "attempt",
        "by_key",
        "by_nsid",
        "deleted_at",
        "ended",
        "first_valid",
        "is_changed",
        "stale",
        "unchecked",
    )

    def __init__(self) -> None:
        self.by_nsid: dict[int, TrackedNamespace] = {}
        self.by_key: dict[Hashable, TrackedNamespace] = {}
        self.ended: dict[Hashable, None] = {}
        self.stale: set[TrackedNamespace] = set()
        self.unchecked: set[TrackedNamespace] = set()
        self.attempt = 0
        self.first_valid = 1
        self.deleted_at: dict[int, int] = {}
        self.is_changed = True
        # For each nsid the indexes there of peers of the host's veths. None: to be dumped again.
        self._pairs: dict[int, list[int]] | None = None
        self._added_by_nsid = 0  # how many were: see add_nsid()

    # ---- which namespaces ----

    def add(self, native: Containers, key: Hashable, netns: Netns) -> None:
        """Starts to count a namespace; see `ContainerCounters.add`."""
        if key in self.by_key or key in self.ended:
            raise ValueError(f"key {key!r} is taken: discard it first, or choose another")
        opened = to_netns_fd(Namespace(netns))
        identity = _identify(opened)
        nsid = OWN if identity[:2] == native.id else native.assign_nsid(opened.fd)
        # The end of the namespace that had this nsid before is queued ahead of the reply, unless
        # the kernel is reporting it at this moment.
        self.process_ended(native)
        tracked = self.by_nsid.get(nsid)
        if tracked is not None and tracked.identity != identity:
            self._end(tracked)
            tracked = None
        if tracked is None:
            dump = native.dump_netns_links(nsid, None)
            if dump is None:  # impossible: a descriptor of the namespace is open
                raise KernelError(EINVAL, "RTM_GETLINK", filename=opened.shown)
            tracked = TrackedNamespace(nsid, identity, dump, self.attempt)
        self._insert(tracked, key, netns if isinstance(netns, (str, bytes, os.PathLike)) else None)
        # The end of the nsid's former namespace may have been reported after the reply.
        native.ended.process_pending()
        self.process_ended(native, held=tracked)

    def add_nsid(self, native: Containers, key: Hashable, nsid: int) -> bool:
        """Starts to count the namespace that has this nsid; returns False if it has ended."""
        dump = native.dump_netns_links(nsid, None)
        if dump is None:
            return False
        # Nothing but the report of its end distinguishes it from the next namespace with this nsid.
        # The third number stands in for the cookie: a cookie is never negative.
        self._added_by_nsid += 1
        identity = 0, 0, -self._added_by_nsid
        self._insert(TrackedNamespace(nsid, identity, dump, self.attempt), key, None)
        native.ended.process_pending()
        self.process_ended(native)
        return key in self.by_key

    def _insert(self, tracked: TrackedNamespace, key: Hashable, path: Any) -> None:
        self.is_changed = True
        if self.by_nsid.get(tracked.nsid) is not tracked:
            self.by_nsid[tracked.nsid] = tracked
            self.unchecked.add(tracked)
        tracked.keys[key] = path
        self.by_key[key] = tracked

    def rename(self, old: Hashable, new: Hashable) -> bool:
        """Replaces a key; returns False if `old` is unknown."""
        tracked = self.by_key.get(old)
        if tracked is None:
            return False
        self._insert(tracked, new, tracked.keys[old])
        del self.by_key[old], tracked.keys[old]
        return True

    def discard(self, key: Hashable) -> None:
        """Forgets a key, and the namespace with its last key."""
        self.ended.pop(key, None)
        tracked = self.by_key.pop(key, None)
        if tracked is not None:
            self.is_changed = True
            del tracked.keys[key]
            if not tracked.keys:
                self._forget(tracked)

    def _end(self, tracked: TrackedNamespace) -> None:
        """Records that a namespace has ended."""
        self.is_changed = True
        for key in tracked.keys:
            self.ended[key] = None
            self.by_key.pop(key, None)
        self._forget(tracked)

    def _forget(self, tracked: TrackedNamespace) -> None:
        self.stale.discard(tracked)
        self.unchecked.discard(tracked)
        if self.by_nsid.get(tracked.nsid) is tracked:
            del self.by_nsid[tracked.nsid]

    def repair(self) -> None:
        """After a call that did not finish: makes the records agree, and distrusts every dump."""
        tracked = set(self.by_key.values())
        self.by_nsid = {one.nsid: one for one in tracked}
        for one in tracked:
            one.keys = {key: path for key, path in one.keys.items() if self.by_key.get(key) is one}
        self.stale, self.unchecked = set(tracked), set(tracked)
        self.is_changed = True
        self._pairs = None

    # ---- notifications ----

    def process_pending(self, native: Containers) -> None:
        """Processes the notifications that are queued."""
        native.process_pending()
        self.process_ended(native)
        self._process_links(native)

    def process_ended(self, native: Containers, held: TrackedNamespace | None = None) -> None:
        """Ends the namespaces whose nsids the kernel has released.

        Parameters:
            held: a namespace that exists, since the caller has a descriptor of it open.
        """
        if not native.ended.any():
            return
        nsids, _ = native.ended.peek()
        for nsid in list(self.by_nsid) if nsids is None else nsids:
            tracked = self.by_nsid.get(nsid)
            if tracked is not None and tracked is not held and not _exists(tracked):
                self._end(tracked)
        native.ended.clear()  # after the loop: if that raised, the next call processes them

    def _process_links(self, native: Containers) -> None:
        """Marks namespaces as stale, and records which host links were deleted."""
        elsewhere = native.elsewhere
        if elsewhere is None:  # without CAP_NET_BROADCAST: any of them may have changed
            self._mark_stale(self.by_nsid)
        elif elsewhere.any():
            nsids = elsewhere.peek()[0]
            elsewhere.clear()
            self._mark_stale(self.by_nsid if nsids is None else nsids)
        if not native.links.any():
            return
        indexes, is_any_changed = native.links.peek()
        native.links.clear()
        self._pairs = None
        # Links beyond the limit of a dump are counted if the host has a pair that leads to them.
        self.unchecked.update(one for one in self.by_nsid.values() if one.dump.omitted)
        if indexes is None:
            self.stale.update(self.by_nsid.values())
            self.first_valid = self.attempt + 1
            return
        self.deleted_at.update(dict.fromkeys(indexes, self.attempt))
        if OWN in self.by_nsid and (is_any_changed or indexes):
            self.stale.add(self.by_nsid[OWN])

    def _mark_stale(self, nsids: Iterable[int]) -> None:
        by_nsid = self.by_nsid
        self.stale.update(by_nsid[nsid] for nsid in nsids if nsid in by_nsid and nsid != OWN)

    # ---- dumps ----

    def due(self) -> list[TrackedNamespace]:
        """The namespaces to dump now: those that are stale, each at most once in a reading."""
        return [one for one in self.stale if one.attempt < self.first_valid]

    def dump_links(self, native: Containers, tracked: TrackedNamespace) -> None:
        """Dumps the links of a namespace, with their counters."""
        dump = native.dump_netns_links(tracked.nsid, tracked.dump)
        if dump is None:
            self._end(tracked)
            return
        if dump is not tracked.dump or tracked in self.stale:
            self.unchecked.add(tracked)
        self._replace_dump(tracked, dump)
        tracked.attempt = self.attempt
        self.stale.discard(tracked)

    def _replace_dump(self, tracked: TrackedNamespace, dump: NetnsLinks) -> None:
        if dump is not tracked.dump:
            self.is_changed = True
            tracked.dump = dump

    def distrust(self, tracked: TrackedNamespace) -> None:
        """Makes a namespace due, even if it was dumped in this reading."""
        self.stale.add(tracked)
        tracked.attempt = -1

    def find_hidden(self, native: Containers) -> None:
        """Adds links that the dumps of unchecked namespaces did not contain.

        A container can give a link so many alternative names that the kernel silently ends a dump
        before it. If its peer is in the host namespace, the host's veth names its index. A link
        without a peer there can be hidden this way until it changes, and a veth while it moves from
        container to container.
        """
        native.links.process_pending()
        self._process_links(native)
        pairs = self._dump_pairs(native)
        for tracked in list(self.unchecked):
            dump = native.add_hidden(tracked.nsid, tracked.dump, pairs.get(tracked.nsid, []))
            if dump is None:
                self._end(tracked)
            else:
                self._replace_dump(tracked, dump)
            self.unchecked.discard(tracked)

    def find_untracked(self, native: Containers) -> list[int]:
        """The nsids of namespaces that the host's veth pairs lead to and that are not tracked."""
        self.process_pending(native)
        if self.stale:
            # A container may have moved a peer away, which is not announced on the host's side.
            self._pairs = None
        return [nsid for nsid in self._dump_pairs(native) if nsid not in self.by_nsid]

    def _dump_pairs(self, native: Containers) -> dict[int, list[int]]:
        pairs = self._pairs
        if pairs is None:
            pairs = {}
            for nsid, index in native.dump_veth_peers():
                pairs.setdefault(nsid, []).append(index)
            self._pairs = pairs
        return pairs


def _exists(tracked: TrackedNamespace) -> bool:
    """Whether one of its paths still leads to a namespace that was reported as ended.

    The kernel releases an nsid a moment before it reports that, and may have assigned it to this
    namespace in between: the report may be about the former one. If reports were lost, only the
    paths show which namespaces still exist.
    """
    if tracked.nsid == OWN:
        return True
    if tracked.identity[2] is None:  # an inode proves nothing: the kernel reuses it at once
        return False
    for path in tracked.keys.values():
        try:
            if path is not None and _identify(to_netns_fd(Namespace(path))) == tracked.identity:
                return True
        except OSError as error:
            if error.errno in _SHORT:
                raise
    return False


def _identify(namespace: Namespace) -> tuple[int, int, int | None]:
    return *identify(namespace.fd, namespace.shown), cookie(namespace.fd)
