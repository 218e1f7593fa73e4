"""`Processes`: which processes of the host are in which network namespace."""

from __future__ import annotations

import os

from ._listing import Listing
from .naming import ENDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Processes:
    """The processes of /proc, by network namespace, as the last passes have found them.

    A process that enters another namespace later is found within eight passes (see `Listing`).

    Parameters:
        host: the host namespace, as `netns_target` returns it. Its processes are left out.

    Attributes:
        members: for each namespace, as `netns_target` returns it, its processes: a path below /proc
            by pid. The path is PID, or PID/task/TID if only that thread is in the namespace.
        changed: the namespaces whose processes have changed since the caller cleared this set.
    """

    __slots__ = ("_hidden", "_host", "_listing", "_places", "changed", "members")

    def __init__(self, host: str) -> None:
        self._host = host
        self._listing = Listing("/proc")
        self._hidden: set[str] = set()
        # The namespaces of each process, each with the path; without the host namespace.
        self._places: dict[str, dict[str, str]] = {}
        self.members: dict[str, dict[int, str]] = {}
        self.changed: set[str] = set()

    @property
    def hidden(self) -> int:
        """How many processes the caller is not allowed to inspect."""
        return len(self._hidden)

    def find(self, is_whole: bool) -> None:
        """Makes one pass over /proc, or inspects every process if `is_whole`.

        Raises:
            OSError: the process is out of descriptors or memory.
        """
        names, gone = self._listing.read(is_whole)
        for pid in gone:
            self._place(pid, {})
        self._hidden.difference_update(gone)
        for pid in filter(str.isdecimal, names):
            self._inspect(pid)

    def find_threads(self, pid: str, targets: set[str]) -> None:
        """Searches the threads of a process for these namespaces."""
        if pid not in self._listing:
            return
        places = dict(self._places.get(pid, {}))
        for thread, target in list_threads(pid):
            if target in targets:
                places.setdefault(target, thread)
        self._place(pid, places)

    def forget(self, target: str) -> None:
        """Forgets a namespace that has ended; the next pass inspects the processes it had."""
        for pid in self.members.get(target, {}).copy():
            places = self._places[str(pid)]
            self._place(str(pid), {t: path for t, path in places.items() if t != target})
            self._listing.again.add(str(pid))

    def _inspect(self, pid: str) -> None:
        is_hidden = False
        try:
            target = os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115
            places = {} if target == self._host else {target: pid}
        except ENDED:  # or the main thread has ended, and others run on
            places = {}
            for thread, target in list_threads(pid):
                if target != self._host:
                    places.setdefault(target, thread)
        except PermissionError:  # also while a process ends: then it is gone a moment later
            if pid in self._hidden:
                return
            places = {}
            is_hidden = os.access(f"/proc/{pid}", os.F_OK)
        if is_hidden:
            self._hidden.add(pid)
        else:
            self._hidden.discard(pid)
        self._place(pid, places)

    def _place(self, pid: str, places: dict[str, str]) -> None:
        """Records the namespaces that a process is in."""
        before = self._places.get(pid, {})
        if places == before:
            return
        number = int(pid)
        self.changed.update(before, places)
        for target in before.keys() - places.keys():
            members = self.members[target]
            del members[number]
            if not members:
                del self.members[target]
        for target, path in places.items():
            self.members.setdefault(target, {})[number] = path
        if places:
            self._places[pid] = places
        else:
            del self._places[pid]


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
