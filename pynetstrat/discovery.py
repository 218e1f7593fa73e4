"""Which containers there are, from /run/netns and /proc, and their counters kept in step."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from errno import EINVAL, ENOENT, ESRCH
from io import FileIO
from operator import itemgetter

from ._native import netns as native
from .containers import ContainerCounters
from .errors import KernelError, NetstratError, PermissionDeniedError, escape
from .guard import Guarded
from .netns import NetworkNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .arguments import Netns
    from .counters import ContainerTable, NetworkInterface

    # What is known of namespaces, by their links: the container, the process that its id comes from
    # ("": it has none), and all that were there to be looked at for one.
    Found = dict[str, tuple["Container", str, list[str]]]

_OWN = "/proc/thread-self/ns/net"
_CGROUP_SIZE = 65536  # what is read of a cgroup file: 16 lines with a path of 4,096 bytes
_LOOKED_AT = 4  # processes of a namespace, for the id of a container: each takes 15 us
_PATIENCE = 8  # refreshes from one attempt that was in vain to the next

# A part of a cgroup's path that stands for a container. In order: Docker, containerd, CRI-O, Podman
# and nerdctl with the systemd driver (the same without ".scope" is the cgroupfs driver of some);
# containerd where it has one driver and kubelet the other; every runtime's bare id. The search
# finds the outermost one, and none in libpod-conmon-ID.scope, which is the monitor's.
_ID = re.compile(
    rb"/(?:docker-|cri-containerd-|crio-|libpod-|nerdctl-|[^/\n]*:cri-containerd:)?"
    rb"([0-9a-f]{64})(?:\.scope)?(?=[/\n]|$)"
)

_ENDED = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Container:
    """A network namespace that is not the host's own, and what to call it.

    Attributes:
        label: the container's id, the namespace's name, or its inode; see `discover`. Printable,
            unprintable characters, and bytes that are not UTF-8, being escaped. Two containers can
            have the same one.
        netns: a path by which it can be opened: /run/netns/NAME or /proc/PID/ns/net.
        inode: the namespace's.
    """

    label: str
    netns: str
    inode: int


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one pass over the host has found.

    Attributes:
        containers: each namespace once.
        hidden: the number of processes whose namespace may not be looked at. Those that /proc does
            not list at all (hidepid=2) are not counted.
        omitted: the number of namespaces that were left out since there are more than `limit`.
    """

    containers: tuple[Container, ...]
    hidden: int
    omitted: int


def discover(*, limit: int = 10_000) -> Discovery:
    """Finds the network namespaces of this host: those with a name, and those of its processes.

    The calling thread's own is left out. A namespace is labelled with the id of a container of
    Docker, containerd, CRI-O or Podman where the cgroup of one of its processes has one; otherwise
    with its name in /run/netns, the first in alphabetical order; otherwise with its inode.

    Of several ids in a cgroup's path the outermost one counts: what a container makes below its own
    cgroup is the container's. The four processes with the lowest pids are looked at in that order;
    in a pod the first is, as a rule, that of the sandbox.

    A label is for people to read: namespaces can share one, and a user who may make cgroups outside
    of containers can choose one. The inode is one namespace's as long as that lives.

    Parameters:
        limit: how many namespaces to find; names come before processes, and low pids first.

    Raises:
        ValueError: the limit is negative.
        KernelError: there is no /proc in which the caller itself can be seen, or something can't
            be read.
    """
    return _look(None, _check(limit), {}, lambda _inode: True)[0]


class HostCounters(Guarded):
    """The counters of every container of this host: `ContainerCounters` in step with `discover`.

    To see and count all of them takes root, or CAP_SYS_PTRACE, CAP_SYS_ADMIN and CAP_NET_ADMIN;
    what is missing without is in `refresh().hidden` and in `refused`. Without CAP_NET_BROADCAST
    each reading asks every container for its links.

    It is safe to share among threads, which take turns; a forked child must open one of its own.
    A context manager.

    Parameters:
        netns: the host's namespace, as for `ContainerCounters`; it is never a container itself.
        limit: as for `discover`; what is counted already has precedence.
        timeout: seconds, as for `ContainerCounters`.

    Attributes:
        refused: what the last refresh found but can't count, and why. Where permission is denied
            the attempt is repeated at every eighth refresh, otherwise at each.

    Raises: as `ContainerCounters`, and ValueError for a negative limit.
    """

    __slots__ = ("_known", "_limit", "_own", "_refreshes", "refused")

    def __init__(
        self, *, netns: Netns | None = None, limit: int = 10_000, timeout: float = 5.0
    ) -> None:
        self._limit = _check(limit)
        self._refreshes = 0
        self._known: Found = {}  # what is counted
        self.refused: dict[Container, NetstratError] = {}
        with NetworkNamespace.current() if netns is None else NetworkNamespace.open(netns) as host:
            self._own = _link(host.id[1])
            # To enter the caller's own, which is not needed, would take a capability.
            where = None if netns is None else host
            self._guard(ContainerCounters(netns=where, timeout=timeout))

    def __repr__(self) -> str:
        return f"<HostCounters of {len(getattr(self, '_known', ()))} containers: {self._state()}>"

    def refresh(self) -> Discovery:
        """Looks for containers: takes in what appeared, lets go of what vanished.

        A container keeps its label as long as the process that it came from is one of the four
        that `discover` looks at. Where none of them had an id, they are looked at again when there
        are others, and at every eighth refresh. One whose label or path changes is another
        `Container` from then on.

        Raises: as `discover`.
        """
        discovery: Discovery = self._turn(self._refresh, "refresh")
        return discovery

    def read(self) -> dict[Container, dict[str, NetworkInterface]]:
        """The counters of what the last refresh found, as `ContainerCounters.read` gives them.

        Raises: as that.
        """

        def work(counters: ContainerCounters, _: object) -> dict[Any, dict[str, NetworkInterface]]:
            return counters.read()

        read: dict[Container, dict[str, NetworkInterface]] = self._turn(work, "RTM_GETSTATS")
        return read

    def read_columns(self) -> ContainerTable:
        """The same as columns, as `ContainerCounters.read_columns`; the keys are `Container`s.

        Raises: as `read`.
        """

        def work(counters: ContainerCounters, _: object) -> ContainerTable:
            return counters.read_columns()

        table: ContainerTable = self._turn(work, "RTM_GETSTATS")
        return table

    # ---- within a turn ----

    def _refresh(self, counters: ContainerCounters, _: object) -> Discovery:
        self._refreshes += 1
        # What has ended goes first, and all that is known of it: its inode is another's before
        # long. What ends from here on is absent from readings, and goes at the next refresh.
        gone: list[Any] = counters.gone()
        for ended in gone:
            self._known.pop(_link(ended.inode), None)
            counters.discard(ended)
        discovery, found = _look(self._own, self._limit, self._known, self._is_due)
        for link, (container, *_) in list(self._known.items()):
            if link not in found or found[link][0] != container:
                counters.discard(container)
                del self._known[link]
        refused = {}
        for link, (container, pid, pids) in found.items():
            if link in self._known:
                self._known[link] = container, pid, pids
                continue
            error = self._add(counters, link, container, pid)
            if error is not None:
                refused[container] = error
        self.refused = refused
        return discovery

    def _add(
        self, counters: ContainerCounters, link: str, container: Container, pid: str
    ) -> NetstratError | None:
        """Takes a container in, unless it has ended since it was found; why that can't be done."""
        before = self.refused.get(container)
        if isinstance(before, PermissionDeniedError) and not self._is_due(container.inode):
            return before
        try:
            with NetworkNamespace.open(container.netns) as namespace:
                # While it is open its inode is nobody else's: a process with this link is in it.
                if namespace.id[1] != container.inode:
                    return None
                if pid and _identify(pid, link) != container.label:
                    return None
                counters.discard(container)  # which a refresh that was interrupted may have left
                self._known[link] = container, pid, []
                counters.add(container, namespace)
        except BaseException as error:
            self._known.pop(link, None)
            counters.discard(container)
            if not isinstance(error, KernelError):
                raise
            error.filename = container.netns  # also where its descriptor was what failed
            # Of a name that is being deleted the file is left for a moment.
            ended = error.errno in (ENOENT, ESRCH) or not _is_netns(container.netns)
            return None if ended else error
        return None

    def _is_due(self, inode: int) -> bool:
        """Whether to try again what was in vain before; not all of them at once."""
        return (self._refreshes + inode) % _PATIENCE == 0


def _check(limit: int) -> int:
    if limit < 0:
        raise ValueError(f"limit must not be negative, not {limit!r}")
    return limit


# ---- one pass ----


def _look(
    own: str | None, limit: int, known: Found, is_due: Callable[[int], bool]
) -> tuple[Discovery, Found]:
    """One pass over the names and the processes.

    Parameters:
        own: the link of the host's namespace; None: the calling thread's.
        limit: how many namespaces to find.
        known: what was found by an earlier pass and lives.
        is_due: whether to look once more for the id of a namespace, by its inode, in which the same
            processes had none before: one may have been put into a container's cgroup since.
    """
    try:
        here = os.stat(_OWN)  # noqa: PTH116  # no file system path
    except OSError as error:
        hint = "/proc must be mounted, and be of a pid namespace that the caller is in"
        raise KernelError(error.errno or 0, "stat", hint=hint, filename=_OWN) from None
    scan = _Pass(own or _link(here.st_ino), limit, known)
    try:
        scan.find_names(here.st_dev)
        scan.find_processes()
        found = {link: scan.describe(link, is_due) for link in scan.spaces}
    except OSError as error:
        kind = PermissionDeniedError if isinstance(error, PermissionError) else KernelError
        raise kind(error.errno or 0, "read", filename=error.filename) from None
    containers = tuple(container for container, *_ in found.values())
    return Discovery(containers, scan.hidden, len(scan.omitted)), found


class _Space:
    """A namespace in the course of a pass: its name, or "", and its first processes."""

    __slots__ = ("name", "pids")

    def __init__(self) -> None:
        self.name = ""
        self.pids: list[str] = []


class _Pass:
    """What a pass has found so far.

    Its size is bounded: by the limit and, what is left out being counted by its link, by the number
    of namespaces that the kernel holds, each of which is several hundred times as large.

    Attributes:
        spaces: the namespaces, by their links.
        omitted: the links of those beyond the limit.
        hidden: the number of processes whose namespace may not be looked at.
    """

    def __init__(self, own: str, limit: int, known: Found) -> None:
        self._own = own
        self._known = known
        self._room = limit - len(known)  # for others: what is known stays
        self.spaces: dict[str, _Space] = {}
        self.omitted: set[str] = set()
        self.hidden = 0

    def find_names(self, device: int) -> None:
        """Takes in what lies in /run/netns and is of that device, which is nsfs."""
        try:
            entries = os.scandir(native.RUN_NETNS)
        except FileNotFoundError:  # nobody has given a name yet
            return
        with entries:
            for entry in entries:
                try:
                    status = entry.stat()
                except OSError:  # deleted meanwhile, or a symbolic link that leads nowhere
                    continue
                link = _link(status.st_ino)
                if status.st_dev != device or not (link in self._known or _is_netns(entry.path)):
                    continue
                space = self._space(link)
                if space is not None:
                    space.name = min(space.name or entry.name, entry.name)

    def find_processes(self) -> None:
        """Takes in the namespaces of all processes."""
        # The kernel lists them in the order of their pids.
        for pid in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208  # names alone
            try:
                link = os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115
            except _ENDED:
                continue
            except PermissionError:  # which is also the answer at the moment of a process's end
                self.hidden += os.path.exists(f"/proc/{pid}")  # noqa: PTH110
                continue
            space = self._space(link)
            if space is not None and len(space.pids) < _LOOKED_AT:
                space.pids.append(pid)

    def _space(self, link: str) -> _Space | None:
        """That of a link; None: it is the host's own, or one too many."""
        space = self.spaces.get(link)
        if space is None and link != self._own:
            if link not in self._known:
                if self._room <= 0:
                    self.omitted.add(link)
                    return None
                self._room -= 1
            space = self.spaces[link] = _Space()
        return space

    def describe(
        self, link: str, is_due: Callable[[int], bool]
    ) -> tuple[Container, str, list[str]]:
        """What is to be known of a namespace that was found."""
        space, inode = self.spaces[link], int(link[5:-1])
        container, pid, pids = self._known.get(link, (None, "", []))
        if container is not None and pid in space.pids:
            label = container.label
        elif container is not None and not pid and pids == space.pids and not is_due(inode):
            label = ""
        else:
            ids = ((_identify(pid, link), pid) for pid in space.pids)
            label, pid = next(filter(itemgetter(0), ids), ("", ""))
        if space.name:
            # Different names never come out alike.
            label = label or escape(space.name.replace("\\", "\\\\"))
            path = f"{native.RUN_NETNS}/{space.name}"
        else:
            path = f"/proc/{pid or space.pids[0]}/ns/net"
        return Container(label or str(inode), path, inode), pid, space.pids


def _link(inode: int) -> str:
    """What /proc/PID/ns/net, a symbolic link, reads of a process in a network namespace."""
    return f"net:[{inode}]"


def _identify(pid: str, link: str) -> str:
    """The id of the container that a process of a namespace is in; "": none, or it has ended."""
    try:
        with FileIO(f"/proc/{pid}/cgroup") as file:
            if os.readlink(f"/proc/{pid}/ns/net") != link:  # noqa: PTH115
                return ""
            # An open file is of one process for ever. That it can be read still means that the
            # pid, and so the link, was not another's in between.
            found = _ID.search(file.read(_CGROUP_SIZE) or b"")
    except (*_ENDED, PermissionError):
        return ""
    return found[1].decode() if found else ""


def _is_netns(path: str) -> bool:
    """Whether it is a network namespace: nsfs has all kinds.

    What can't be opened counts as one: it is reported rather than lost.
    """
    try:
        native.open_path(path).close()
    except KernelError as error:
        return error.errno not in (EINVAL, ENOENT)
    return True
