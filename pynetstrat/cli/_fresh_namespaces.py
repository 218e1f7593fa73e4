"""Fresh namespaces for `demo`, the tests and the benchmarks.

Root is not required where user namespaces are allowed.
"""

from __future__ import annotations

import os
from errno import EINVAL, ENOSPC, EPERM

from .._syscalls import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_PRIVATE,
    map_ids,
    mount_sysfs,
    separate_mounts,
    setns,
    unshare,
)
from ..errors import KernelError

__all__ = [
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWUSER",
    "enter",
    "mount_sysfs",
    "setns",
    "unshare",
]


def enter() -> None:
    """Moves the calling process into fresh user, network and mount namespaces with their own /sys.

    A privileged process that may not make a user namespace stays in its own. The process must have
    one thread only (unshare(2)).

    Raises:
        KernelError: namespaces are refused; the text says which setting to change.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)
    except KernelError as error:
        if uid != 0 or error.errno not in (EPERM, EINVAL, ENOSPC):
            raise
        unshare(CLONE_NEWNET | CLONE_NEWNS)
    else:
        map_ids(0, 0, uid, gid)  # root inside is the caller outside
    separate_mounts(MS_PRIVATE)
    mount_sysfs()
