"""A network namespace to play in, without root where user namespaces are allowed.

For the demonstration, the tests and the benchmarks; bringing `lo` up needs none of it. Through
ctypes, because `os.unshare` came with Python 3.12 only, and there is no `os.mount` at all.
"""

from __future__ import annotations

import ctypes
import os
from errno import EINVAL, ENOSPC, EPERM
from pathlib import Path

from .errors import KernelError

CLONE_NEWNS = 0x00020000  # linux/sched.h
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18  # linux/mount.h
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8

_libc = ctypes.CDLL(None, use_errno=True)

_HINT = (
    "run as root, or allow unprivileged user namespaces: sysctl "
    "kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0; on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0; in Docker --security-opt seccomp=unconfined "
    "or --privileged"
)


def _call(operation: str, *arguments: object, filename: str | None = None, hint: str = "") -> None:
    if getattr(_libc, operation)(*arguments) != 0:
        error = ctypes.get_errno()
        raise KernelError(error, operation, hint=hint, filename=filename)


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text)
    except OSError as error:
        raise KernelError(error.errno or 0, "write", hint=_HINT, filename=path) from None


def unshare(flags: int) -> None:
    """Moves the calling thread (CLONE_NEWUSER: process) into fresh namespaces (man 2 unshare).

    Raises:
        KernelError: it is refused.
    """
    _call("unshare", flags, hint=_HINT)


def setns(descriptor: int, flags: int = 0) -> None:
    """Moves the calling thread into the namespace open as `descriptor` (man 2 setns).

    Raises:
        KernelError: it is refused.
    """
    _call("setns", descriptor, flags)


def mount_sysfs(path: str = "/sys") -> None:
    """Mounts a sysfs of the current network namespace over `path`.

    Raises:
        KernelError: it is refused, as in a container that masks parts of /sys.
    """
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _call("mount", b"sysfs", os.fsencode(path), b"sysfs", flags, None, filename=path, hint=_HINT)


def enter() -> None:
    """Moves the calling process into fresh user, network and mount namespaces with their own /sys.

    Where user namespaces are refused but the process is privileged, it does without one. The
    process must have one thread only (unshare(2)).

    Raises:
        KernelError: namespaces are refused; the text says what to allow.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)
    except KernelError as error:
        if uid != 0 or error.errno not in (EPERM, EINVAL, ENOSPC):
            raise
        unshare(CLONE_NEWNET | CLONE_NEWNS)
    else:
        # Root inside is the caller outside (user_namespaces(7)).
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"0 {uid} 1")
        _write("/proc/self/gid_map", f"0 {gid} 1")
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None, filename="/", hint=_HINT)
    mount_sysfs()
