"""One scan of /run/netns and /proc: which network namespaces have a name or a process."""

from __future__ import annotations

import os
from errno import EMFILE, ENFILE, ENOENT, ENOMEM
from io import FileIO

from .._native import netns as native
from ..errors import KernelError, NetstratError, PermissionDeniedError
from .naming import ENDED, Container, name_by_cgroup, netns_link, to_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OWN = "/proc/thread-self/ns/net"
_MOST_PROCESSES = 4  # of a namespace, that are searched for an id: each takes some 15 us
_SHORT = (EMFILE, ENFILE, ENOMEM)  # descriptors or memory are short
_MODE_HINT = f"the mode of {native.RUN_NETNS} must be 755, or it takes CAP_DAC_READ_SEARCH"


class Sighting:
    """What a scan has found out about a namespace.

    Attributes:
        container: its label and path.
        source: the process or thread that the label comes from, as a path below /proc; "" if the
            label is not from a cgroup.
        processes: the first processes in the namespace, in the same form.
    """

    __slots__ = ("container", "processes", "source")

    def __init__(self, container: Container, source: str, processes: list[str]) -> None:
        self.container = container
        self.source = source
        self.processes = processes


def scan_host(
    own: str | None, limit: int, known: dict[str, Sighting], is_due: Callable[[int], bool]
) -> tuple[Scan, dict[str, Sighting]]:
    """Scans names and processes.

    Parameters:
        own: the host namespace, as `netns_link` gives it. None: the calling thread's namespace.
        limit: how many namespaces to find.
        known: what an earlier scan found, for namespaces that still exist. The keys are as `own`.
        is_due: tells by its inode whether to search a namespace again for an id. It is asked if the
            same processes had none before: one may have been moved into a container's cgroup since.

    Returns:
        The scan, and what it found, by the same kind of key as `known`.

    Raises:
        KernelError: /proc does not show the caller, or something cannot be read.
    """
    try:
        status = os.stat(_OWN)  # noqa: PTH116  # no file system path
    except OSError as error:
        hint = "/proc must be mounted, and belong to a pid namespace that the caller is in"
        raise KernelError(error.errno or 0, "stat", hint=hint, filename=_OWN) from None
    scan = Scan(own or netns_link(status.st_ino), limit, known)
    scan.find_names(status.st_dev)
    try:
        scan.find_processes()
        return scan, {link: scan.describe(link, is_due) for link in scan.found}
    except OSError as error:
        raise _failure(error, "read") from None


def is_netns(path: str) -> bool:
    """Whether a path leads to a network namespace: nsfs has files for all kinds of namespaces.

    A file that exists and cannot be opened counts as one, so that it is reported and not lost.
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

    Its memory is bounded: by `limit`, and for the namespaces beyond that by their number in the
    kernel, where each takes several hundred times as much.

    Attributes:
        found: the namespaces, as `netns_link` gives them.
        omitted: the namespaces beyond the limit.
        hidden: how many processes may not be inspected.
        refused: the names in /run/netns that may not be inspected, and the reasons.
        names_error: why /run/netns could not be listed, or None.
    """

    def __init__(self, own: str, limit: int, known: dict[str, Sighting]) -> None:
        self._own = own
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
            if error.errno in _SHORT:
                raise failure from None
            self.names_error = failure

    def _find_name(self, entry: os.DirEntry[str], device: int) -> None:
        try:
            status = entry.stat()
        except PermissionError as error:  # the folder may be listed, but not searched
            container = Container(to_label(entry.name), entry.path, 0)
            self.refused[container] = _failure(error, "stat", _MODE_HINT)
            return
        except OSError:  # deleted since it was listed, or a dangling symbolic link
            return
        link = netns_link(status.st_ino)
        if status.st_dev != device or not (link in self._known or is_netns(entry.path)):
            return
        found = self._enter(link)
        if found is not None:
            found.name = min(found.name or entry.name, entry.name)

    # ---- processes ----

    def find_processes(self) -> None:
        """Adds the namespaces of all processes."""
        # The kernel lists processes in the order of their pids.
        for pid in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208  # names alone
            try:
                link = os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115
            except ENDED:  # or the main thread has ended, and others run on
                for thread, link in list_threads(pid):
                    self._enter_thread(thread, link)
                continue
            except PermissionError:  # also while a process ends: then it is gone a moment later
                self.hidden += os.path.exists(f"/proc/{pid}")  # noqa: PTH110
                continue
            found = self.found.get(link) or self._enter(link)
            if found is None:
                continue
            if len(found.processes) < _MOST_PROCESSES:
                found.processes.append(pid)
            if pid == found.expected:
                found.source = pid
        self._find_threads_left()

    def _find_threads_left(self) -> None:
        """Searches for known namespaces in the threads of processes that were in them.

        The main thread may have entered another namespace while a thread stayed. To search all
        threads of all processes would take too long.
        """
        links_by_pid: dict[str, set[str]] = {}  # so that each process is searched once
        for link, sighting in self._known.items():
            _, _, path = sighting.container.netns.partition("/proc/")
            if path and link not in self.found:
                links_by_pid.setdefault(_pid(path), set()).add(link)
        for pid, links in links_by_pid.items():
            for thread, link in list_threads(pid):
                if link in links:
                    self._enter_thread(thread, link)

    def _enter_thread(self, thread: str, link: str) -> None:
        """Adds the namespace of a thread, PID/task/TID."""
        found = self._enter(link)
        if found is None:
            return
        pid = _pid(thread)
        is_first = not found.processes or _pid(found.processes[-1]) != pid  # of this process
        if is_first and len(found.processes) < _MOST_PROCESSES:
            found.processes.append(thread)
        if pid == found.expected and not found.source:
            found.source = thread

    def _enter(self, link: str) -> _Found | None:
        """Adds a namespace; returns None for the host namespace and for one beyond the limit."""
        found = self.found.get(link)
        if found is None and link != self._own:
            known = self._known.get(link)
            if known is None:
                if self._room <= 0:
                    self.omitted.add(link)
                    return None
                self._room -= 1
            found = self.found[link] = _Found(_pid(known.source) if known is not None else "")
        return found

    # ---- labels ----

    def describe(self, link: str, is_due: Callable[[int], bool]) -> Sighting:
        """Chooses the label and the path of a namespace that was found."""
        found, inode = self.found[link], int(link[5:-1])
        known = self._known.get(link)
        label, source = "", found.source
        if known is not None and source:
            label = known.container.label  # kept while the process that it came from is here
        elif known is None or known.source or known.processes != found.processes or is_due(inode):
            label, source = self._find_label(link)
        label = label or (to_label(found.name) if found.name else str(inode))
        if found.name:
            path = f"{native.RUN_NETNS}/{found.name}"
        else:
            path = f"/proc/{source or found.processes[0]}/ns/net"
        if known is not None and (known.container.label, known.container.netns) == (label, path):
            container = known.container
        else:
            container = Container(label, path, inode)
        return Sighting(container, source, found.processes)

    def _find_label(self, link: str) -> tuple[str, str]:
        """Finds an id or name by cgroup; returns it with its process, or ("", "")."""
        found = self.found[link]
        by_name = "", ""
        for process in found.processes:
            identifier, name = name_by_cgroup(process, link)
            if identifier:
                return identifier, process
            if name and not by_name[0]:
                by_name = name, process
        return ("", "") if found.name else by_name


def _pid(path: str) -> str:
    """The pid in PID, PID/task/TID or PID/ns/net."""
    return path.partition("/")[0]


def list_threads(pid: str) -> Iterator[tuple[str, str]]:
    """The threads of a process that are in a namespace, as PID/task/TID, and the link of each."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208  # names alone
    except (*ENDED, PermissionError):
        return
    for thread in threads:
        try:
            link = os.readlink(f"/proc/{pid}/task/{thread}/ns/net")  # noqa: PTH115
        except (*ENDED, PermissionError):
            continue
        yield f"{pid}/task/{thread}", link
