"""Which containers there are, from /run/netns and /proc, and their counters kept in step."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from errno import EINVAL, ENOENT, ESRCH
from io import FileIO

from ._native import netns as native
from .containers import ContainerCounters
from .errors import KernelError, NetstratError, PermissionDeniedError, escape
from .guard import Guarded
from .netns import NetworkNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .arguments import Netns
    from .counters import NetworkInterface

_OWN = "/proc/thread-self/ns/net"
_CGROUP_SIZE = 65536  # what is read of a cgroup file: 16 lines with a path of 4,096 bytes
_LOOKED_AT = 8  # processes of a namespace that are looked at for the id of a container
_PATIENCE = 8  # refreshes from one attempt to enter a namespace that was denied to the next

# A part of a cgroup's path that stands for a container. In order: Docker, containerd, CRI-O, Podman
# and nerdctl with the systemd driver (the same without ".scope" is the cgroupfs driver of some);
# containerd where it has one driver and kubelet the other; every runtime's bare id. The search
# finds the outermost one, and none in libpod-conmon-ID.scope, which is the monitor's.
_ID = re.compile(
    rb"/(?:docker-|cri-containerd-|crio-|libpod-|nerdctl-|[^/\n]*:cri-containerd:)?"
    rb"([0-9a-f]{64})(?:\.scope)?(?=[/\n]|$)"
)

_GONE = (FileNotFoundError, ProcessLookupError)


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
        hidden: how many processes there are whose namespace may not be looked at.
        omitted: how many namespaces were left out since they were more than `limit`.
    """

    containers: tuple[Container, ...]
    hidden: int
    omitted: int


def discover(*, limit: int = 10_000) -> Discovery:
    """Finds the network namespaces of this host: those with a name, and those of its processes.

    The calling thread's own is left out. A namespace is labelled with the id of a container of
    Docker, containerd, CRI-O or Podman where the cgroup of one of its processes has one; otherwise
    with its name in /run/netns, the first in alphabetical order; otherwise with its inode. Of
    several ids in a cgroup's path the outermost one counts, and of several processes the one with
    the lowest pid: eight of them are looked at.

    A label is for people to read: whoever may make cgroups of any name outside of containers can
    have that of another. The inode is that of one namespace as long as that lives.

    Parameters:
        limit: how many namespaces to find; names come before processes, and low pids first.

    Raises:
        ValueError: the limit is negative.
        KernelError: /proc is not that of the caller's pid namespace, or something can't be read.
    """
    return _look("", _check(limit), {})[0]


class HostCounters(Guarded):
    """The counters of every container of this host: `ContainerCounters` in step with `discover`.

    It is safe to share among threads, which take turns; a forked child must open one of its own.
    A context manager.

    Attributes:
        refused: what was found by the last refresh but can't be counted, and why. Where permission
            is denied, the attempt is repeated at every eighth refresh, otherwise at each.

    Parameters:
        netns: the host's namespace, as for `ContainerCounters`. It is no container.
        limit: as for `discover`.
        timeout: seconds, as for `ContainerCounters`.

    Raises: as `ContainerCounters`, and ValueError for a negative limit.
    """

    __slots__ = ("_limit", "_own", "_refreshes", "_sources", "refused")

    def __init__(
        self, *, netns: Netns | None = None, limit: int = 10_000, timeout: float = 5.0
    ) -> None:
        self._limit = _check(limit)
        self._refreshes = 0
        self._sources: dict[Container, str] = {}  # of those that are counted, as _look gives them
        self.refused: dict[Container, NetstratError] = {}
        host = NetworkNamespace.current() if netns is None else NetworkNamespace.open(netns)
        with host:
            self._own = _link(host.id[1])
            where = None if netns is None else host  # its own one anybody may use
            self._guard(ContainerCounters(netns=where, timeout=timeout))

    def __repr__(self) -> str:
        return f"<HostCounters of {len(getattr(self, '_sources', ()))} containers: {self._state()}>"

    def refresh(self) -> Discovery:
        """Looks for containers: takes in what appeared, and lets go of what vanished.

        A container keeps its label as long as the process is there that it came from.

        Raises: as `discover`.
        """
        discovery: Discovery = self._turn(self._refresh, "refresh")
        return discovery

    def read(self) -> dict[Container, dict[str, NetworkInterface]]:
        """The counters of the containers that the last refresh found, as `ContainerCounters.read`.

        Raises: as that.
        """

        def work(counters: ContainerCounters, _: object) -> dict[Any, dict[str, NetworkInterface]]:
            return counters.read()

        read: dict[Container, dict[str, NetworkInterface]] = self._turn(work, "RTM_GETSTATS")
        return read

    # ---- within a turn ----

    def _refresh(self, counters: ContainerCounters, _: object) -> Discovery:
        self._refreshes += 1
        # First what ended: of that nothing is believed any more, its inode being another's soon.
        for gone in counters.gone():
            self._sources.pop(gone, None)  # type: ignore[call-overload]
            counters.discard(gone)
        known = {
            _link(container.inode): (container, pid) for container, pid in self._sources.items()
        }
        discovery, found = _look(self._own, self._limit, known)
        for vanished in self._sources.keys() - found.keys():
            counters.discard(vanished)
            del self._sources[vanished]
        refused = {}
        for container, pid in found.items():
            if container in self._sources:
                self._sources[container] = pid
            else:
                error = self._add(counters, container, pid)
                if error is not None:
                    refused[container] = error
        self.refused = refused
        return discovery

    def _add(
        self, counters: ContainerCounters, container: Container, pid: str
    ) -> NetstratError | None:
        """Takes a container in, unless it has changed since it was found; why it could not be."""
        error = self.refused.get(container)
        waits = (self._refreshes + container.inode) % _PATIENCE
        if waits and isinstance(error, PermissionDeniedError):
            return error
        try:
            with NetworkNamespace.open(container.netns) as namespace:
                # Open, its inode can't become another's any more.
                if namespace.id[1] != container.inode:
                    return None
                if pid and _identify(pid, _link(container.inode)) != container.label:
                    return None
                self._sources[container] = pid
                counters.add(container, namespace)
        except BaseException as error:
            self._sources.pop(container, None)
            counters.discard(container)
            if not isinstance(error, NetstratError):
                raise
            vanished = isinstance(error, KernelError) and error.errno in (ENOENT, ESRCH)
            return None if vanished else error
        return None


def _check(limit: int) -> int:
    if limit < 0:
        raise ValueError(f"limit must not be negative, not {limit!r}")
    return limit


def _link(inode: int) -> str:
    """What the link in /proc/PID/ns to a network namespace reads."""
    return f"net:[{inode}]"


class _Space:
    """A namespace in the course of a pass: its name, or "", and its processes."""

    __slots__ = ("name", "pids")

    def __init__(self) -> None:
        self.name = ""
        self.pids: list[str] = []


def _look(
    own: str, limit: int, known: Mapping[str, tuple[Container, str]]
) -> tuple[Discovery, dict[Container, str]]:
    """One pass.

    Parameters:
        own: the link of the host's namespace; "": the calling thread's.
        limit: how many namespaces to find.
        known: what an earlier pass has found that still lives, by link.

    Returns:
        What was found, and of each container the process that its id comes from, or "".
    """
    try:
        return _Pass(own, limit, known).run()
    except OSError as error:
        if isinstance(error, KernelError):
            raise
        kind = PermissionDeniedError if isinstance(error, PermissionError) else KernelError
        raise kind(error.errno or 0, "open", filename=error.filename) from None


class _Pass:
    """One pass over the names and the processes.

    What it holds is bounded: what is left out is counted by its link, and each of these the kernel
    keeps a namespace for, which is a thousand times as large.
    """

    def __init__(self, own: str, limit: int, known: Mapping[str, tuple[Container, str]]) -> None:
        try:
            here = os.stat(_OWN)  # noqa: PTH116  # no file system path
        except OSError as error:
            hint = "/proc must be mounted, and be that of the caller's pid namespace"
            raise KernelError(error.errno or 0, "stat", hint=hint, filename=_OWN) from None
        self.own = own or _link(here.st_ino)
        self.device = here.st_dev  # nsfs
        self.limit = limit
        self.known = known
        self.spaces: dict[str, _Space] = {}
        self.omitted: set[str] = set()
        self.hidden = 0

    def run(self) -> tuple[Discovery, dict[Container, str]]:
        self._find_names()
        self._find_processes()
        found = dict(self._describe(link, space) for link, space in self.spaces.items())
        return Discovery(tuple(found), self.hidden, len(self.omitted)), found

    def _space(self, link: str) -> _Space | None:
        """That of a link; None: it is the host's, or one too many."""
        space = self.spaces.get(link)
        if space is None and link != self.own:
            if len(self.spaces) < self.limit:
                space = self.spaces[link] = _Space()
            else:
                self.omitted.add(link)
        return space

    def _find_names(self) -> None:
        try:
            entries = os.scandir(native.RUN_NETNS)
        except FileNotFoundError:  # nobody has made one yet
            return
        with entries:
            for entry in entries:
                try:
                    status = entry.stat()
                except OSError:  # deleted meanwhile, or a symbolic link that leads nowhere
                    continue
                link = _link(status.st_ino)
                if status.st_dev != self.device:
                    continue
                if link not in self.known and not _is_netns(entry.path):
                    continue
                space = self._space(link)
                if space is not None:
                    space.name = min(space.name or entry.name, entry.name)

    def _find_processes(self) -> None:
        # The kernel gives them in the order of their pids.
        for pid in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208  # names, thousands
            try:
                link = os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115
            except _GONE:
                continue
            except PermissionError:  # that also is the answer in the moment of its end
                self.hidden += os.path.exists(f"/proc/{pid}")  # noqa: PTH110
                continue
            space = self._space(link)
            if space is not None and len(space.pids) < _LOOKED_AT:
                space.pids.append(pid)

    def _describe(self, link: str, space: _Space) -> tuple[Container, str]:
        """The container that a namespace is, and the process that its id comes from, or ""."""
        before, source = self.known.get(link, (None, ""))
        if before is not None and source in space.pids:
            label = before.label
        else:
            label, source = next(
                ((found, pid) for pid in space.pids if (found := _identify(pid, link))), ("", "")
            )
        inode = int(link[5:-1])
        if space.name:
            label = label or _printable(space.name)
            return Container(label, f"{native.RUN_NETNS}/{space.name}", inode), source
        path = f"/proc/{source or space.pids[0]}/ns/net"
        return Container(label or str(inode), path, inode), source


def _identify(pid: str, link: str) -> str:
    """The id of the container whose cgroup a process of that namespace is in, or ""."""
    try:
        with FileIO(f"/proc/{pid}/cgroup") as file:
            if os.readlink(f"/proc/{pid}/ns/net") != link:  # noqa: PTH115
                return ""
            # The file is this very process's: that it can be read shows that nobody else had its
            # pid a moment ago.
            found = _ID.search(file.read(_CGROUP_SIZE))
    except (*_GONE, PermissionError):
        return ""
    return found[1].decode() if found else ""


def _is_netns(path: str) -> bool:
    """Whether it is a network namespace: nsfs has all kinds."""
    try:
        native.open_path(path).close()
    except KernelError as error:
        if error.errno in (EINVAL, ENOENT):
            return False
        raise
    return True


def _printable(name: str) -> str:
    """A name as a label. Different names never come out alike."""
    raw = os.fsencode(name).replace(b"\\", b"\\\\")
    return escape(raw.decode("utf-8", "backslashreplace"))
