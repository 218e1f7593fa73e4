"""`Scanner`: finds the network namespaces that have a name in /run/netns or a process."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .._native import netns as native
from ..errors import KernelError
from ._listing import PASSES
from ._names import Names, read_failure
from ._processes import Processes
from .naming import Container, is_same, name_by_cgroup, netns_target, to_container

_CALLER = "/proc/thread-self/ns/net"
_MAX_PROCESSES = 4  # of a namespace, that are searched for an id: each takes some 15 us


@dataclass(slots=True)
class Sighting:
    """What is known about a namespace.

    Attributes:
        container: its label and path.
        source: the process or thread whose cgroup has the container's ids or name, as a path below
            /proc; "" without one.
        cgroup_name: the name in that cgroup, or "".
        processes: the first processes in the namespace, in the same form. None: the next scan
            searches their cgroups once more.
        nsid: the id by which the host namespace knows it, or -1 if that is not known.
    """

    container: Container
    source: str = ""
    cgroup_name: str = ""
    processes: list[str] | None = None
    nsid: int = -1


class Scan:
    """What one scan has found.

    Attributes:
        found: the namespaces, with keys as `netns_target` returns them.
        described: the namespaces that are new, or whose sighting may have changed.
        omitted: how many namespaces are beyond the limit.
        hidden: how many processes the caller is not allowed to inspect.
        refused: the names in /run/netns that the caller is not allowed to inspect, and the reasons.
        names_error: why /run/netns could not be listed, or None.
    """

    __slots__ = ("described", "found", "hidden", "names_error", "omitted", "refused")

    def __init__(
        self,
        found: dict[str, Sighting],
        described: list[str],
        omitted: int,
        hidden: int,
        names: Names,
    ) -> None:
        self.found = found
        self.described = described
        self.omitted = omitted
        self.hidden = hidden
        self.refused = names.refused
        self.names_error = names.error


class Scanner:
    """Scans names and processes, and remembers which it has inspected.

    After a scan that did not finish, make another scanner: it inspects everything.

    Parameters:
        host: the host namespace, as `netns_target` returns it. None: that of the thread that scans.
        limit: how many namespaces to find. Those beyond it take the memory of their processes'
            records, which is little compared with what the kernel uses for them.
    """

    __slots__ = ("_host", "_limit", "_names", "_processes", "_scans")

    def __init__(self, host: str | None, limit: int) -> None:
        status = _stat_caller()
        self._host = host or netns_target(status.st_ino)
        self._limit = limit
        self._scans = 0
        self._names = Names()
        self._processes = Processes(self._host)

    def scan(self, known: dict[str, Sighting], *, is_whole: bool = False) -> Scan:
        """Finds the namespaces.

        A namespace without an id is searched for one again when its first processes change, and in
        every eighth scan: one of them may have been moved into a container's cgroup since.

        Parameters:
            known: the namespaces that are known, by `netns_target`, or by another text for those
                without a path.
            is_whole: whether to inspect every name and process.

        Returns:
            The scan. A namespace that is known and about which nothing has changed has the object
            in `known` again.

        Raises:
            KernelError: /proc does not show the caller, or something cannot be read.
        """
        self._scans += 1
        names, processes = self._names, self._processes
        names.changed.clear()
        processes.changed.clear()
        names.find(_stat_caller().st_dev, is_whole)
        try:
            processes.find(is_whole)
            self._find_remaining_threads(known)
            found, described, omitted = self._describe_all(known)
        except OSError as error:
            raise read_failure(error, "read") from None
        return Scan(found, described, omitted, processes.hidden, names)

    def forget(self, target: str) -> None:
        """Forgets a namespace that has ended: another one may have its inode."""
        self._names.forget(target)
        self._processes.forget(target)

    def _find_remaining_threads(self, known: dict[str, Sighting]) -> None:
        """Searches for known namespaces in the threads of processes that were in them.

        The main thread may have entered another namespace while another thread stayed. The threads
        of other processes are not searched: that would take too long.
        """
        targets_by_pid: dict[str, set[str]] = {}  # so that each process is searched once
        for target in known.keys() - self._names.names.keys() - self._processes.members.keys():
            _, _, path = known[target].container.netns.partition("/proc/")
            if path:
                targets_by_pid.setdefault(_pid(path), set()).add(target)
        for pid, targets in targets_by_pid.items():
            self._processes.find_threads(pid, targets)

    def _describe_all(
        self, known: dict[str, Sighting]
    ) -> tuple[dict[str, Sighting], list[str], int]:
        """Returns the first three attributes of `Scan`."""
        names, members = self._names.names, self._processes.members
        targets = {**names, **members}
        targets.pop(self._host, None)
        changed, turn = self._names.changed | self._processes.changed, self._scans
        found, due, new = {}, [], []
        for target in targets:
            one = known.get(target)
            if one is None:
                new.append(target)
                continue
            found[target] = one
            if (
                one.processes is None
                or target in changed
                or not (one.source or (turn + one.container.inode) % PASSES)
            ):
                due.append(target)
        described = []
        for target in due:
            one = found[target]
            if one.processes is not None and target not in changed:
                ids, name, _ = self._search_cgroups(target, one.processes)
                if not ids and name == one.cgroup_name:
                    continue
            found[target] = self._describe(target, one, is_searched=True)
            described.append(target)
        room = max(self._limit - len(known), 0)
        for target in new[:room]:
            found[target] = self._describe(target, None)
        return found, described + new[:room], len(new[room:])

    def _describe(
        self, target: str, known: Sighting | None, *, is_searched: bool = False
    ) -> Sighting:
        """Chooses the label and the path of a namespace that was found.

        Parameters:
            is_searched: whether to search the cgroups although the processes are the same.
        """
        inode = int(target[5:-1])
        members = self._processes.members.get(target, {})
        processes = [members[pid] for pid in sorted(members)[:_MAX_PROCESSES]]
        run_name = min(self._names.names.get(target, ()), default="")
        ids: tuple[str, ...] = ()
        name, source, owner, nsid = "", "", "", -1
        if known is not None:
            owner, nsid = known.container.owner, known.nsid
            source = members.get(int(_pid(known.source)), "") if known.source else ""
        if known is not None and source:  # the process is still in the namespace
            ids, name = known.container.ids, known.cgroup_name
        elif known is None or is_searched or known.source or known.processes != processes:
            ids, name, source = self._search_cgroups(target, processes)
        if run_name:
            path = f"{native.RUN_NETNS}/{run_name}"
        else:
            path = f"/proc/{source or processes[0]}/ns/net"
        container = to_container(path, inode, ids=ids, owner=owner, name=run_name or name)
        if known is not None and is_same(known.container, container):
            container = known.container
        return Sighting(container, source, name, processes, nsid)

    def _search_cgroups(
        self, target: str, processes: list[str]
    ) -> tuple[tuple[str, ...], str, str]:
        """Finds ids or a name by cgroup; returns them with the process, or (), "" and "".

        A name is searched for only if the namespace has none in /run/netns.
        """
        by_name = "", ""
        for process in processes:
            ids, name = name_by_cgroup(process, target)
            if ids:
                return ids, "", process
            if name and not by_name[0] and target not in self._names.names:
                by_name = name, process
        return (), *by_name


def _stat_caller() -> os.stat_result:
    try:
        return os.stat(_CALLER)  # noqa: PTH116  # no file system path
    except OSError as error:
        hint = "/proc must be mounted, and belong to a pid namespace that the caller is in"
        raise KernelError(error.errno or 0, "stat", hint=hint, filename=_CALLER) from None


def _pid(path: str) -> str:
    """The pid in PID, PID/task/TID or PID/ns/net."""
    return path.partition("/")[0]
