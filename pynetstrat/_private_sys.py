"""A /sys of its own for a program: the sysfs of its network namespace.

Loaded by `popen` and by the command `run`, which need it, and by no other call.
"""

from __future__ import annotations

import contextlib
import os

from ._syscalls import MS_BIND, MS_REC, mount, mount_sysfs
from .errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SYS = "/sys"
# Of the thread: /proc/self is that of the first thread, which may be in another mount namespace.
_PROC = "/proc/thread-self"


def mount_private_sys() -> None:
    """Mounts the sysfs of the thread's network namespace on /sys.

    What is mounted below the old /sys, such as /sys/fs/cgroup, stays visible. The thread must be in
    a mount namespace of its own.

    Raises:
        KernelError: the kernel refuses the mount, for example in a container that masks parts of
            /sys.
    """
    kept = list(_open_mounts())
    try:
        mount_sysfs(_SYS)
        for path, descriptor in kept:
            with contextlib.suppress(KernelError):  # refused, or the new /sys has no such folder
                mount(f"{_PROC}/fd/{descriptor}", path, None, MS_BIND | MS_REC)
    finally:
        for _, descriptor in kept:
            os.close(descriptor)


def _open_mounts() -> Iterator[tuple[str, int]]:
    """Yields the path and a descriptor of each mount directly below /sys."""
    try:
        with open(f"{_PROC}/mountinfo", errors="surrogateescape") as file:  # noqa: PTH123
            paths = sorted({line.split()[4] for line in file})
    except OSError:
        return
    last = None
    for path in paths:
        below = path.startswith(_SYS + "/") and not (last and path.startswith(last + "/"))
        if below and "\\" not in path:
            with contextlib.suppress(OSError):
                yield path, os.open(path, os.O_PATH | os.O_CLOEXEC)
                last = path
