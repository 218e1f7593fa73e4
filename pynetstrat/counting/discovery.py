"""Which containers there are, from /run/netns and /proc, and their counters kept in step."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from errno import EMFILE, ENFILE, ENOENT, ENOMEM, ESRCH
from io import FileIO

from .._handle import Handle
from .._native import netns as native
from .._native.containers import Pairs
from ..errors import KernelError, NetstratError, PermissionDeniedError, escape
from ..namespace import NetworkNamespace
from .containers import HostContainers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from ..counters import ContainerTable, NetworkInterface
    from ..types import Netns

    Reading = TypeVar("Reading")

    # What is known of namespaces, by what /proc/PID/ns/net reads (or by their label, where only the
    # nsid is known): the container, the process that its label comes from ("" if from none), and
    # the processes that were searched for one.
    Found = dict[str, tuple["Container", str, list[str]]]

_OWN = "/proc/thread-self/ns/net"
_CGROUP_SIZE = 65536  # what is read of a cgroup file: 16 lines with a path of 4,096 bytes
_LOOKED_AT = 4  # processes of a namespace, for the id of a container: each takes 15 us
_TIMEOUT_MS = 5000  # of the one dump of discover()
_PATIENCE = 8  # refreshes between two attempts at what failed before
_SHORT = (EMFILE, ENFILE, ENOMEM)  # of descriptors or memory: says nothing about the file

# A component of a cgroup path that stands for a container of a runtime with ids. In order: Docker,
# containerd, CRI-O, Podman (also below a unit of its own: UNIT.service/libpod-payload-ID) and
# nerdctl with the systemd driver (without ".scope": the cgroupfs driver of some); containerd where
# it has one driver and kubelet the other; every runtime's bare id. The search finds the outermost
# one. The monitor's libpod-conmon-ID.scope does not match.
_ID = re.compile(
    rb"/(?:docker-|cri-containerd-|crio-|libpod-(?:payload-)?|nerdctl-|[^/\n]*:cri-containerd:)?"
    rb"([0-9a-f]{64})(?:\.scope)?(?=[/\n]|$)"
)

# The same of those that have names: LXC and Incus, and LXC before 4.0; machines of systemd-machined
# (libvirt's too) and systemd-nspawn; the tasks of Nomad, UUID.TASK. The monitor's lxc.monitor.NAME
# does not match.
_NAME = re.compile(
    rb"/(?:lxc\.payload\.([^/\n]+)|lxc(?:\.payload)?/([^/\n]+)"
    rb"|machine-([^/\n]+)\.scope|systemd-nspawn@([^/\n]+)\.service"
    rb"|([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(?!scope[/\n])[^/\n]+?)(?:\.scope)?)"
    rb"(?=[/\n]|$)"
)
_UNIT_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")  # systemd-escape(1)

_ENDED = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Container:
    """A network namespace other than the host's, and what to call it.

    Attributes:
        label: the container's id or name, the namespace's name, its inode or its nsid; see
            `discover`. Printable: unprintable characters, and bytes that are not UTF-8, are
            escaped. Two containers can have the same label.
        netns: a path by which it can be opened: /run/netns/NAME, /proc/PID/ns/net or
            /proc/PID/task/TID/ns/net. Once nothing shows the namespace any more
            (`Discovery.unseen`) it is the last path that did, which may lead elsewhere; "" if
            nothing ever has.
        inode: the namespace's; 0 if only its nsid or its name is known.
    """

    label: str
    netns: str
    inode: int


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one pass over the host has found.

    Attributes:
        containers: each namespace once, those of `unseen` included.
        hidden: the number of processes whose namespace may not be looked at. Processes that /proc
            does not list at all (hidepid=2) are not counted.
        omitted: the number of namespaces that were left out because of `limit`.
        unseen: the namespaces that nothing in /proc or /run/netns shows: a veth pair of the host
            leads there, or they were counted before and the kernel has not reported their end. A
            descriptor or a mount elsewhere keeps them alive, or their processes are hidden.
    """

    containers: tuple[Container, ...]
    hidden: int
    omitted: int
    unseen: tuple[Container, ...] = ()


def discover(*, limit: int = 10_000) -> Discovery:
    """Finds the network namespaces of this host: by name, by process, and by the host's veth pairs.

    The calling thread's own is left out. The label of a namespace is the first of:

    - the id of a container of Docker, containerd, CRI-O or Podman in the cgroup of one of its
      processes, the outermost of several: what a container makes below its own cgroup is its own;
    - its name in /run/netns, the first in alphabetical order;
    - the name of a container of LXC, Incus, systemd-machined or Nomad in the cgroup of one of its
      processes;
    - its inode;
    - "nsid:N", where only a veth pair shows it: N is the id by which the host's namespace knows it.

    The four processes with the lowest pids are searched in that order; in a pod the first is, as a
    rule, that of the sandbox. Of a process whose main thread has ended the other threads count.

    A label is for people to read: namespaces can share one, and a user who may make cgroups outside
    of containers can choose one. An inode belongs to one namespace while that lives.

    Parameters:
        limit: how many namespaces to find: first names, then processes by pid, then pairs.

    Raises:
        ValueError: the limit is negative.
        PermissionDeniedError: /run/netns cannot be listed.
        KernelError: /proc does not show the caller, or something cannot be read.
    """
    _check(limit)
    with contextlib.closing(Pairs(None, _TIMEOUT_MS)) as pairs:
        # First: what leads to a namespace that is made meanwhile does not make that one unseen.
        nsids = _nsids(pairs)
        scan, found = _look(None, limit, {}, lambda _inode: True)
        if scan.trouble is not None:
            raise scan.trouble
        containers = [*(container for container, *_ in found.values()), *scan.refused]
        omitted = len(scan.omitted)
        unseen: list[Container] = []
        if nsids and not omitted:
            nsids.difference_update(pairs.find_nsids(c.netns for c in containers))
            if nsids:
                nsids &= _nsids(pairs)  # without those that ended meanwhile
            unseen = [_stranger(nsid) for nsid in sorted(nsids)[: limit - len(containers)]]
            omitted = len(nsids) - len(unseen)
    return Discovery((*containers, *unseen), scan.hidden, omitted, tuple(unseen))


def _nsids(pairs: Pairs) -> set[int]:
    """The nsids of the namespaces that the host's veth pairs lead to."""
    return {nsid for nsid, _ in pairs.dump_pairs()}


def _stranger(nsid: int) -> Container:
    """A namespace of which only the nsid is known."""
    return Container(f"nsid:{nsid}", "", 0)


class HostCounters(Handle):
    """The counters of every container of this host: `ContainerCounters` in step with `discover`.

    A container is counted until the kernel reports the end of its namespace, whatever becomes of
    the process or the name that it was found by. A namespace that nothing shows but a veth pair of
    the host is counted by its nsid (`Discovery.unseen`).

    To see and count all of them takes root, or CAP_SYS_PTRACE, CAP_SYS_ADMIN and CAP_NET_ADMIN;
    `refresh().hidden` and `refused` say what is missing without them. Without CAP_NET_BROADCAST
    each reading asks every container for its links.

    Safe to share among threads, which take turns; a forked child must open one of its own. A
    context manager.

    Parameters:
        netns: the host's namespace, as for `ContainerCounters`; it is never a container itself.
        limit: as for `discover`; containers that are counted already have precedence.
        timeout: seconds, as for `ContainerCounters`.
        routed: False leaves out what a container that routes for containers of its own (rootless
            Podman, kind, Docker in Docker) counts a second time: its bridges, and the host ends of
            veth pairs that lead to other containers that are counted. A sum over all containers
            then has the traffic of those once.

    Attributes:
        refused: what the last refresh found but cannot count, and why: containers, names in
            /run/netns that may not be looked at, and /run/netns itself. Where permission is denied
            the attempt is repeated at every eighth refresh, otherwise at each.
        omitted: how many interfaces of a container the last reading left out, as for
            `ContainerCounters`.

    Raises: as `ContainerCounters`, and ValueError for a negative limit.
    """

    __slots__ = ("_known", "_limit", "_own", "_refreshes", "omitted", "refused")

    def __init__(
        self,
        *,
        netns: Netns | None = None,
        limit: int = 10_000,
        timeout: float = 5.0,
        routed: bool = True,
    ) -> None:
        self._limit = _check(limit)
        self._refreshes = 0
        self._known: Found = {}  # what is counted
        self.refused: dict[Container, NetstratError] = {}
        self.omitted: dict[Container, int] = {}
        with NetworkNamespace.current() if netns is None else NetworkNamespace.open(netns) as host:
            self._own = _link(host.id[1])
            # Entering the caller's own namespace takes a capability, and is not needed.
            where = None if netns is None else host
            self._attach(HostContainers(netns=where, timeout=timeout, routed=routed))

    def __repr__(self) -> str:
        return f"<HostCounters of {len(getattr(self, '_known', ()))} containers: {self._state()}>"

    def refresh(self) -> Discovery:
        """Adds new containers, and drops those whose namespaces have ended.

        A container keeps its label as long as the process that the label comes from lives in its
        namespace. A namespace without an id is searched for one again when its first processes
        change, and at every eighth refresh. A container whose label or path changes is another
        `Container` from then on, and goes on being counted.

        Raises: as `discover`; a /run/netns that cannot be listed is in `refused` instead.
        """
        discovery: Discovery = self._locked(self._refresh, "refresh")
        return discovery

    def read(self) -> dict[Container, dict[str, NetworkInterface]]:
        """The counters of what the last refresh found, by container and interface name.

        Raises: as `ContainerCounters.read`.
        """

        def work(counters: HostContainers, _: object) -> dict[Any, dict[str, NetworkInterface]]:
            return self._noting_omitted(counters, counters.read())

        read: dict[Container, dict[str, NetworkInterface]] = self._locked(work, "RTM_GETSTATS")
        return read

    def read_columns(self) -> ContainerTable:
        """The counters of what the last refresh found, as columns; the keys are `Container`s.

        Raises: as `ContainerCounters.read_columns`.
        """

        def work(counters: HostContainers, _: object) -> ContainerTable:
            return self._noting_omitted(counters, counters.read_columns())

        table: ContainerTable = self._locked(work, "RTM_GETSTATS")
        return table

    def _noting_omitted(self, counters: HostContainers, reading: Reading) -> Reading:
        omitted: dict[Any, int] = counters.omitted
        self.omitted = omitted
        return reading

    # ---- within a turn ----

    def _refresh(self, counters: HostContainers, _: object) -> Discovery:
        self._refreshes += 1
        self._drop_ended(counters)
        strangers = counters.strangers()  # before the pass: see discover()
        scan, found = _look(self._own, self._limit, self._known, self._is_due)
        # Before what was found is compared with what is known: the kernel reports the end of a
        # namespace before it gives its inode to another one. What ends from here on is absent from
        # readings, and goes at the next refresh.
        self._drop_ended(counters)
        refused: dict[Container, NetstratError] = dict(scan.refused)
        if scan.trouble is not None:
            folder = Container(native.RUN_NETNS, native.RUN_NETNS, 0)
            refused[folder] = scan.trouble
        for link, entry in found.items():
            container, pid, _ = entry
            known = self._known.get(link)
            if known is not None and (
                known[0] is container or _rename(counters, known[0], container)
            ):
                self._known[link] = entry
                continue
            error = self._add(counters, link, container, pid)
            if error is not None:
                refused[container] = error
        self._drop_ended(counters)  # what was known by its nsid alone, and is shown now
        shown = [*(container for container, *_ in found.values()), *scan.refused]
        unseen = [self._known[link][0] for link in self._known if link not in found]
        omitted = len(scan.omitted)
        if not omitted:
            taken = self._limit - len(shown) - len(unseen)
            added, omitted = self._add_strangers(counters, strangers, refused, taken)
            unseen += added
        self.refused = refused
        return Discovery((*shown, *unseen), scan.hidden, omitted, tuple(unseen))

    def _drop_ended(self, counters: HostContainers) -> None:
        gone: list[Any] = counters.gone()
        for ended in gone:
            link = _link(ended.inode) if ended.inode else ended.label
            if link in self._known and self._known[link][0] == ended:
                del self._known[link]
            counters.discard(ended)

    def _add(
        self, counters: HostContainers, link: str, container: Container, pid: str
    ) -> NetstratError | None:
        """Adds a container, unless it has ended since it was found; or returns why it cannot."""
        before = self.refused.get(container)
        if isinstance(before, PermissionDeniedError) and not self._is_due(container.inode):
            return before
        try:
            with NetworkNamespace.open(container.netns) as namespace:
                # While it is open its inode is not used again: a process with this link is in it.
                if namespace.id[1] != container.inode:
                    return None
                if pid and container.label not in _container_id(pid, link):
                    return None
                counters.discard(container)  # which an interrupted refresh may have left
                self._known[link] = container, pid, []
                counters.add(container, namespace)
        except BaseException as error:
            self._known.pop(link, None)
            counters.discard(container)
            if not isinstance(error, KernelError):
                raise
            error.filename = container.netns  # also where its descriptor was what failed
            # The file of a name that is being deleted is left for a moment.
            ended = error.errno in (ENOENT, ESRCH) or not _is_netns(container.netns)
            return None if ended else error
        return None

    def _add_strangers(
        self,
        counters: HostContainers,
        nsids: list[int],
        refused: dict[Container, NetstratError],
        room: int,
    ) -> tuple[list[Container], int]:
        """Adds what only the host's veth pairs lead to; returns it, and how many were left out.

        Parameters:
            nsids: of the namespaces that the pairs led to and that were not counted.
        """
        if nsids:
            nsids = counters.uncounted(nsids)
        if nsids:
            shown = counters.find_nsids([container.netns for container in refused])
            nsids = [nsid for nsid in nsids if nsid not in shown]
        added = []
        for nsid in nsids[: max(room, 0)]:
            container = _stranger(nsid)
            before = self.refused.get(container)
            if isinstance(before, PermissionDeniedError) and not self._is_due(nsid):
                refused[container] = before
                continue
            try:
                counters.discard(container)  # which an interrupted refresh may have left
                self._known[container.label] = container, "", []
                if counters.add_nsid(container, nsid):
                    added.append(container)
                    continue
            except BaseException as error:
                self._known.pop(container.label, None)
                counters.discard(container)
                if not isinstance(error, KernelError):
                    raise
                refused[container] = error
            else:
                del self._known[container.label]
        return added, len(nsids[max(room, 0) :])

    def _is_due(self, inode: int) -> bool:
        """Whether to try again what failed before; not all of them at once."""
        return (self._refreshes + inode) % _PATIENCE == 0


def _rename(counters: HostContainers, old: Container, new: Container) -> bool:
    """Goes on counting a container under another label or path."""
    counters.discard(new)  # which an interrupted refresh may have left
    return counters.rename(old, new)


def _check(limit: int) -> int:
    if limit < 0:
        raise ValueError(f"limit must not be negative, not {limit!r}")
    return limit


# ---- one pass ----


def _look(
    own: str | None, limit: int, known: Found, is_due: Callable[[int], bool]
) -> tuple[_Scan, Found]:
    """One pass over the names and the processes.

    Parameters:
        own: the link of the host's namespace. None: the calling thread's.
        limit: how many namespaces to find.
        known: what was found by an earlier pass and lives.
        is_due: whether to search once more for the id of a namespace, by its inode, in which the
            same processes had none before: one may have been put into a container's cgroup since.
    """
    try:
        here = os.stat(_OWN)  # noqa: PTH116  # no file system path
    except OSError as error:
        hint = "/proc must be mounted, and be of a pid namespace that the caller is in"
        raise KernelError(error.errno or 0, "stat", hint=hint, filename=_OWN) from None
    scan = _Scan(own or _link(here.st_ino), limit, known)
    scan.find_names(here.st_dev)
    try:
        scan.find_processes()
        return scan, {link: scan.describe(link, is_due) for link in scan.spaces}
    except OSError as error:
        raise _failure(error, "read") from None


def _failure(error: OSError, operation: str, hint: str = "") -> KernelError:
    kind = PermissionDeniedError if isinstance(error, PermissionError) else KernelError
    return kind(error.errno or 0, operation, hint=hint, filename=error.filename)


class _Found:
    """A namespace in the course of a pass.

    Attributes:
        name: its name in /run/netns, or "".
        pids: its first processes, as paths below /proc: PID, or PID/task/TID where the main thread
            has ended.
        wanted: the process that its label came from in an earlier pass, as PID, or "".
        source: this process in the form of `pids` once it has been met again, before that "".
    """

    __slots__ = ("name", "pids", "source", "wanted")

    def __init__(self, wanted: str) -> None:
        self.name = ""
        self.pids: list[str] = []
        self.wanted = wanted
        self.source = ""


class _Scan:
    """What a pass has found so far.

    Its size is bounded: by the limit and, what is left out being counted by its link, by the number
    of namespaces that the kernel holds, each of which is several hundred times as large.

    Attributes:
        spaces: the namespaces, by their links.
        omitted: the links of those beyond the limit.
        hidden: the number of processes whose namespace may not be looked at.
        refused: the names that may not be looked at, and why.
        trouble: why the names could not be listed, or None.
    """

    def __init__(self, own: str, limit: int, known: Found) -> None:
        self._own = own
        self._known = known
        self._room = limit - len(known)  # for others: what is known stays
        self.spaces: dict[str, _Found] = {}
        self.omitted: set[str] = set()
        self.hidden = 0
        self.refused: dict[Container, NetstratError] = {}
        self.trouble: KernelError | None = None

    def find_names(self, device: int) -> None:
        """Takes in what lies in /run/netns and is of that device, which is nsfs."""
        try:
            with os.scandir(native.RUN_NETNS) as entries:
                for entry in entries:
                    self._find_name(entry, device)
        except FileNotFoundError:  # no name was ever given
            return
        except OSError as error:
            hint = ""
            if isinstance(error, PermissionError):
                hint = (
                    f"the mode of {native.RUN_NETNS} must be 755, or it takes CAP_DAC_READ_SEARCH"
                )
            failure = _failure(error, "read", hint)
            if error.errno in _SHORT:
                raise failure from None
            self.trouble = failure

    def _find_name(self, entry: os.DirEntry[str], device: int) -> None:
        try:
            status = entry.stat()
        except PermissionError as error:  # the folder may be listed, but not searched
            hint = f"the mode of {native.RUN_NETNS} must be 755, or it takes CAP_DAC_READ_SEARCH"
            container = Container(_shown(entry.name), entry.path, 0)
            self.refused[container] = _failure(error, "stat", hint)
            return
        except OSError:  # deleted meanwhile, or a symbolic link that leads nowhere
            return
        link = _link(status.st_ino)
        if status.st_dev != device or not (link in self._known or _is_netns(entry.path)):
            return
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
                self._find_threads(pid)
                continue
            except PermissionError:  # which is also the answer at the moment of a process's end
                self.hidden += os.path.exists(f"/proc/{pid}")  # noqa: PTH110
                continue
            space = self.spaces.get(link) or self._space(link)
            if space is None:
                continue
            if len(space.pids) < _LOOKED_AT:
                space.pids.append(pid)
            if pid == space.wanted:
                space.source = pid
        self._find_left_behind()

    def _find_threads(self, pid: str) -> None:
        """Takes in the namespaces of a process whose main thread has ended, if others go on."""
        for thread, link in _threads(pid):
            self._meet(thread, link)

    def _find_left_behind(self) -> None:
        """Looks for known namespaces in the threads of processes that were in them.

        The main thread may have entered another namespace while a thread stayed. To look at every
        thread of every process would take too long.
        """
        left: dict[str, set[str]] = {}  # the links, by process: each is searched once
        for link, (container, *_) in self._known.items():
            _, _, path = container.netns.partition("/proc/")
            if path and link not in self.spaces:
                left.setdefault(_pid(path), set()).add(link)
        for pid, links in left.items():
            for thread, link in _threads(pid):
                if link in links:
                    self._meet(thread, link)

    def _meet(self, thread: str, link: str) -> None:
        """Takes in the namespace of a thread, PID/task/TID."""
        space = self._space(link)
        if space is None:
            return
        pid = _pid(thread)
        is_first = not space.pids or _pid(space.pids[-1]) != pid  # of its threads here
        if is_first and len(space.pids) < _LOOKED_AT:
            space.pids.append(thread)
        if pid == space.wanted and not space.source:
            space.source = thread

    def _space(self, link: str) -> _Found | None:
        """That of a link. None: it is the host's own, or one too many."""
        space = self.spaces.get(link)
        if space is None and link != self._own:
            known = self._known.get(link)
            if known is None:
                if self._room <= 0:
                    self.omitted.add(link)
                    return None
                self._room -= 1
            space = self.spaces[link] = _Found(_pid(known[1]) if known is not None else "")
        return space

    def describe(
        self, link: str, is_due: Callable[[int], bool]
    ) -> tuple[Container, str, list[str]]:
        """What is to be known of a namespace that was found."""
        space, inode = self.spaces[link], int(link[5:-1])
        known = self._known.get(link)
        label, pid = "", space.source
        if known is not None and pid:
            label = known[0].label
        elif known is None or known[1] or known[2] != space.pids or is_due(inode):
            label, pid = self._find_label(link)
        label = label or (_shown(space.name) if space.name else str(inode))
        if space.name:
            path = f"{native.RUN_NETNS}/{space.name}"
        else:
            path = f"/proc/{pid or space.pids[0]}/ns/net"
        if known is not None and (known[0].label, known[0].netns) == (label, path):
            return known[0], pid, space.pids
        return Container(label, path, inode), pid, space.pids

    def _find_label(self, link: str) -> tuple[str, str]:
        """An id or name that a process has by its cgroup, and the process; "" if none has one."""
        space = self.spaces[link]
        by_name = "", ""
        for pid in space.pids:
            identifier, name = _container_id(pid, link)
            if identifier:
                return identifier, pid
            if name and not by_name[0]:
                by_name = name, pid
        return ("", "") if space.name else by_name


def _pid(process: str) -> str:
    """The process of PID, PID/task/TID or PID/ns/net."""
    return process.partition("/")[0]


def _threads(pid: str) -> Iterator[tuple[str, str]]:
    """The threads of a process that are in a namespace: PID/task/TID, and the link of each."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208  # names alone
    except (*_ENDED, PermissionError):
        return
    for thread in threads:
        try:
            link = os.readlink(f"/proc/{pid}/task/{thread}/ns/net")  # noqa: PTH115
        except (*_ENDED, PermissionError):
            continue
        yield f"{pid}/task/{thread}", link


def _shown(name: str) -> str:
    """A name as a label: printable, and different for different names."""
    return escape(name.replace("\\", "\\\\"))


def _link(inode: int) -> str:
    """What /proc/PID/ns/net, a symbolic link, reads of a process in a network namespace."""
    return f"net:[{inode}]"


def _container_id(process: str, link: str) -> tuple[str, str]:
    """The id and the name of the container that a process of a namespace is in, by its cgroup.

    Each is "" if the cgroup's path has none, both are if the process has ended.
    """
    try:
        with FileIO(f"/proc/{process}/cgroup") as file:
            if os.readlink(f"/proc/{process}/ns/net") != link:  # noqa: PTH115
                return "", ""
            # An open file belongs to one process for good. That it can still be read means that
            # the pid, and so the link, was not another's in between.
            text = file.read(_CGROUP_SIZE) or b""
    except (*_ENDED, PermissionError):
        return "", ""
    found = _ID.search(text)
    if found:
        return found[1].decode(), ""
    found = _NAME.search(text)
    if not found:
        return "", ""
    name = found[found.lastindex or 0]
    if found[3] or found[4]:  # of a unit
        name = _UNIT_ESCAPE.sub(lambda digits: bytes([int(digits[1], 16)]), name)
    return "", _shown(os.fsdecode(name))


def _is_netns(path: str) -> bool:
    """Whether it is a network namespace: nsfs has all kinds.

    What can't be opened counts as one: it is reported rather than lost.
    """
    try:
        with FileIO(path) as file:
            return native.is_netns(file.fileno())
    except OSError as error:
        return error.errno != ENOENT
