"""`Names`: which network namespaces have a name in /run/netns."""

from __future__ import annotations

import os
from errno import EMFILE, ENFILE, ENOENT, ENOMEM
from io import FileIO

from .._native import netns as native
from ..errors import KernelError, NetstratError, PermissionDeniedError
from ._listing import Listing
from .naming import Container, netns_target, to_container

_EXHAUSTED = (EMFILE, ENFILE, ENOMEM)  # the process is out of descriptors or memory
_MODE_HINT = f"set the mode of {native.RUN_NETNS} to 755, or grant CAP_DAC_READ_SEARCH"


class Names:
    """The names in /run/netns, as the last passes have found them.

    A name that leads to another namespace although its file stays the same is found within eight
    passes (see `Listing`).

    Attributes:
        names: for each namespace, as `netns_target` returns it, its names.
        changed: the namespaces whose names have changed since the caller cleared this set.
        refused: the names that the caller is not allowed to inspect, and the reasons.
        error: why /run/netns could not be listed in the last pass, or None.
    """

    __slots__ = ("_listing", "_targets", "changed", "error", "names", "refused")

    def __init__(self) -> None:
        self._listing = Listing(native.RUN_NETNS)
        self._targets: dict[str, str] = {}
        self.names: dict[str, set[str]] = {}
        self.changed: set[str] = set()
        self.refused: dict[Container, NetstratError] = {}
        self.error: KernelError | None = None

    def find(self, device: int, is_whole: bool) -> None:
        """Makes one pass over /run/netns, or inspects every name if `is_whole`.

        Parameters:
            device: the device of nsfs. Files of other devices are not namespaces.

        Raises:
            KernelError: the process is out of descriptors or memory.
        """
        self.error = None
        self.refused = {}
        try:
            names, gone = self._listing.read(is_whole)
        except OSError as error:
            self._clear()
            if error.errno == ENOENT:  # no name was ever given
                return
            hint = _MODE_HINT if isinstance(error, PermissionError) else ""
            failure = read_failure(error, "read", hint)
            if error.errno in _EXHAUSTED:
                raise failure from None
            self.error = failure
            return
        for name in gone:
            self._place(name, "")
        for name in names:
            self._inspect(name, device)

    def forget(self, target: str) -> None:
        """Forgets a namespace that has ended; the next pass inspects the names it had."""
        for name in self.names.get(target, set()).copy():
            self._place(name, "")
            self._listing.again.add(name)

    def _clear(self) -> None:
        self._listing = Listing(native.RUN_NETNS)
        for name in list(self._targets):
            self._place(name, "")

    def _inspect(self, name: str, device: int) -> None:
        path = f"{native.RUN_NETNS}/{name}"
        target = ""
        try:
            status = os.stat(path)  # noqa: PTH116
        except PermissionError as error:  # the caller may list the folder, but not search it
            container = to_container(path, 0, name=name)
            self.refused[container] = read_failure(error, "stat", _MODE_HINT)
        except OSError:  # deleted since it was listed, or a dangling symbolic link
            pass
        else:
            found = netns_target(status.st_ino)
            is_same = self._targets.get(name) == found
            if status.st_dev == device and (is_same or is_netns(path)):
                target = found
        if not target:  # a mount may follow, or a permission
            self._listing.again.add(name)
        self._place(name, target)

    def _place(self, name: str, target: str) -> None:
        """Records the namespace that a name leads to; "": none."""
        before = self._targets.pop(name, "")
        if target:
            self._targets[name] = target
        if target == before:
            return
        self.changed.update((before, target))
        if before:
            names = self.names[before]
            names.discard(name)
            if not names:
                del self.names[before]
        if target:
            self.names.setdefault(target, set()).add(name)


def is_netns(path: str) -> bool:
    """Whether a path leads to a network namespace: nsfs has files for all kinds of namespaces.

    True also for a file that exists and cannot be opened, so that it is reported as refused.
    """
    try:
        with FileIO(path) as file:
            return native.is_netns(file.fileno())
    except OSError as error:
        return error.errno != ENOENT


def read_failure(error: OSError, operation: str, hint: str = "") -> KernelError:
    """The exception for a file that cannot be read."""
    kind = PermissionDeniedError if isinstance(error, PermissionError) else KernelError
    return kind(error.errno or 0, operation, hint=hint, filename=error.filename)
