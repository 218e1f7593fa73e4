"""`scan_host`: finds the network namespaces that have a name in /run/netns or a process."""

from __future__ import annotations

import os
from errno import EMFILE, ENFILE, ENOENT, ENOMEM
from io import FileIO

from .._native import netns as native
from ..errors import KernelError, NetstratError, PermissionDeniedError
from .naming import ENDED, Container, name_by_cgroup, netns_target, to_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CALLER = "/proc/thread-self/ns/net"
_MAX_PROCESSES = 4  # of a namespace, that are searched for an id: each takes some 15 us
_EXHAUSTED = (EMFILE, ENFILE, ENOMEM)  # the process is out of descriptors or memory
_MODE_HINT = f"set the mode of {native.RUN_NETNS} to 755, or grant CAP_DAC_READ_SEARCH"


class Sighting:
    """What a scan has found out about a namespace.

    Attributes:
        container: its label and path.
        source: the process or thread whose cgroup has the container's ids or name, as a path below
            /proc; "" without one.
        processes: the first processes in the namespace, in the same form.
    """

    __slots__ = ("container", "processes", "source")

    def __init__(self, container: Container, source: str, processes: list[str]) -> None:
        self.container = container
        self.source = source
        self.processes = processes


def scan_host(
    host: str | None, limit: int, known: dict[str, Sighting], is_retried: Callable[[int], bool]
) -> tuple[Scan, dict[str, Sighting]]:
    """Scans names and processes.

    Parameters:
        host: the host namespace, as `netns_target` returns it. None: the calling thread's
            namespace.
        limit: how many namespaces to find.
        known: what an earlier scan found, by namespace (as in `host`), if that still exists.
        is_retried: returns whether a namespace, given by its inode, is searched for an id although
            its processes are the same as in an earlier scan that found none. One of them may have
            been moved into a container's cgroup since.

    Returns:
        The scan, and what it found, with keys as in `known`.

    Raises:
        KernelError: /proc does not show the caller, or something cannot be read.
    """
    try:
        status = os.stat(_CALLER)  # noqa: PTH116  # no file system path
    except OSError as error:
        hint = "/proc must be mounted, and belong to a pid namespace that the caller is in"
        raise KernelError(error.errno or 0, "stat", hint=hint, filename=_CALLER) from None
    scan = Scan(host or netns_target(status.st_ino), limit, known)
    scan.find_names(status.st_dev)
    try:
        scan.find_processes()
        return scan, {target: scan.describe(target, is_retried) for target in scan.found}
    except OSError as error:
        raise _failure(error, "read") from None


def is_netns(path: str) -> bool:
    """Whether a path leads to a network namespace: nsfs has files for all kinds of namespaces.

    True also for a file that exists and cannot be opened, so that it is reported as refused.
    """
    try:
        with FileIO(path) as file:
            return native.is_netns(file.fileno())
    except OSError as error:
        return error.errno != ENOENT


def _failure(error: OSError, operation: str, hint: str = "") -> KernelError:
    kind = PermissionDeniedError if isinstance(error, PermissionError) else KernelError
    return kind(error.errno or 0, operation, hint=hint, filename=error.filename)


class _Found:
    """A namespace in the course of a scan.

    Attributes:
        name: its first name in /run/netns, or "".
        processes: its first processes, as paths below /proc: PID, or PID/task/TID if the main
            thread has ended.
        expected: the pid of the process that its label came from in an earlier scan, or "".
        source: that process in the form of `processes` once the scan has met it, before that "".
    """

    __slots__ = ("expected", "name", "processes", "source")

    def __init__(self, expected: str) -> None:
        self.name = ""
        self.processes: list[str] = []
        self.expected = expected
        self.source = ""


class Scan:
    """The namespaces that a scan has found so far.

    Its memory is bounded by `limit`. A namespace beyond that takes one short string, which is
    little compared with the memory that the kernel uses for the namespace.

    Attributes:
        found: the namespaces, with keys as `netns_target` returns them.
        omitted: the namespaces beyond the limit.
        hidden: how many processes the caller is not allowed to inspect.
        refused: the names in /run/netns that the caller is not allowed to inspect, and the reasons.
        names_error: why /run/netns could not be listed, or None.
    """

    def __init__(self, host: str, limit: int, known: dict[str, Sighting]) -> None:
        self._host = host
        self._known = known
        self._room = limit - len(known)  # for namespaces that are not known yet
        self.found: dict[str, _Found] = {}
        self.omitted: set[str] = set()
        self.hidden = 0
        self.refused: dict[Container, NetstratError] = {}
        self.names_error: KernelError | None = None

    # ---- names ----

    def find_names(self, device: int) -> None:
        """Adds the namespaces that have a name.

        Parameters:
            device: the device of nsfs. Files of other devices are not namespaces.
        """
        try:
            with os.scandir(native.RUN_NETNS) as entries:
                for entry in entries:
                    self._find_name(entry, device)
        except FileNotFoundError:  # no name was ever given
            return
        except OSError as error:
            hint = _MODE_HINT if isinstance(error, PermissionError) else ""
            failure = _failure(error, "read", hint)
            if error.errno in _EXHAUSTED:
                raise failure from None
            self.names_error = failure

    def _find_name(self, entry: os.DirEntry[str], device: int) -> None:
        try:
            status = entry.stat()
        except PermissionError as error:  # the caller may list the folder, but not search it
            container = to_container(entry.path, 0, name=entry.name)
            self.refused[container] = _failure(error, "stat", _MODE_HINT)
            return
        except OSError:  # deleted since it was listed, or a dangling symbolic link
            return
        target = netns_target(status.st_ino)
        if status.st_dev != device or not (target in self._known or is_netns(entry.path)):
            return
        found = self._add(target)
        if found is not None:
            found.name = min(found.name or entry.name, entry.name)

    # ---- processes ----

    def find_processes(self) -> None:
        """Adds the namespaces of all processes."""
        # The kernel lists processes in the order of their pids.
        for pid in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208  # names alone
            try:
                target = os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115
            except ENDED:  # or the main thread has ended, and others run on
                for thread, target in list_threads(pid):
                    self._add_thread(thread, target)
                continue
            except PermissionError:  # also while a process ends: then it is gone a moment later
                self.hidden += os.path.exists(f"/proc/{pid}")  # noqa: PTH110
                continue
            found = self.found.get(target) or self._add(target)
            if found is None:
                continue
            if len(found.processes) < _MAX_PROCESSES:
                found.processes.append(pid)
            if pid == found.expected:
                found.source = pid
        self._find_remaining_threads()

    def _find_remaining_threads(self) -> None:
        """Searches for known namespaces in the threads of processes that were in them.

        The main thread may have entered another namespace while another thread stayed. The threads
        of other processes are not searched: that would take too long.
        """
        targets_by_pid: dict[str, set[str]] = {}  # so that each process is searched once
        for target, sighting in self._known.items():
            _, _, path = sighting.container.netns.partition("/proc/")
            if path and target not in self.found:
                targets_by_pid.setdefault(_pid(path), set()).add(target)
        for pid, targets in targets_by_pid.items():
            for thread, target in list_threads(pid):
                if target in targets:
                    self._add_thread(thread, target)

    def _add_thread(self, thread: str, target: str) -> None:
        """Adds the namespace of a thread, PID/task/TID."""
        found = self._add(target)
        if found is None:
            return
        pid = _pid(thread)
        is_first = not found.processes or _pid(found.processes[-1]) != pid  # of this process
        if is_first and len(found.processes) < _MAX_PROCESSES:
            found.processes.append(thread)
        if pid == found.expected and not found.source:
            found.source = thread

    def _add(self, target: str) -> _Found | None:
        """Adds a namespace; returns None for the host namespace and for one beyond the limit."""
        found = self.found.get(target)
        if found is None and target != self._host:
            known = self._known.get(target)
            if known is None:
                if self._room <= 0:
                    self.omitted.add(target)
                    return None
                self._room -= 1
            found = self.found[target] = _Found(_pid(known.source) if known is not None else "")
        return found

    # ---- labels ----

    def describe(self, target: str, is_retried: Callable[[int], bool]) -> Sighting:
        """Chooses the label and the path of a namespace that was found."""
        found, inode = self.found[target], int(target[5:-1])
        known = self._known.get(target)
        ids: tuple[str, ...] = ()
        name, source = "", found.source
        if known is not None and source:  # the process is still in the namespace
            ids, name = known.container.ids, known.container.name
        elif (
            known is None or known.source or known.processes != found.processes or is_retried(inode)
        ):
            ids, name, source = self._search_cgroups(target)
        name = found.name or name
        if found.name:
            path = f"{native.RUN_NETNS}/{found.name}"
        else:
            path = f"/proc/{source or found.processes[0]}/ns/net"
        container = to_container(path, inode, ids=ids, name=name)
        if known is not None and known.container == container:
            container = known.container
        return Sighting(container, source, found.processes)

    def _search_cgroups(self, target: str) -> tuple[tuple[str, ...], str, str]:
        """Finds ids or a name by cgroup; returns them with the process, or (), "" and ""."""
        found = self.found[target]
        by_name = "", ""
        for process in found.processes:
            ids, name = name_by_cgroup(process, target)
            if ids:
                return ids, "", process
            if name and not by_name[0]:
                by_name = name, process
        return (), *(("", "") if found.name else by_name)


def _pid(path: str) -> str:
    """The pid in PID, PID/task/TID or PID/ns/net."""
    return path.partition("/")[0]


def list_threads(pid: str) -> Iterator[tuple[str, str]]:
    """The threads of a process, as PID/task/TID, and the namespace of each as `netns_target`."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208  # names alone
    except (*ENDED, PermissionError):
        return
    for thread in threads:
        try:
            target = os.readlink(f"/proc/{pid}/task/{thread}/ns/net")  # noqa: PTH115
        except (*ENDED, PermissionError):
            continue
        yield f"{pid}/task/{thread}", target
