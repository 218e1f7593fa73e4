"""System calls that move a process into namespaces, and the settings that forbid them.

They use ctypes: `os.unshare` and `os.setns` are new in Python 3.12, and `os.mount` does not exist.
"""

from __future__ import annotations

import ctypes
import os
from errno import EACCES, EINVAL, ENOSPC, ENOSYS, EPERM
from pathlib import Path

from ._native.netns import CLONE_NEWNET as CLONE_NEWNET
from ._native.netns import CLONE_NEWNS as CLONE_NEWNS
from ._native.netns import CLONE_NEWUSER as CLONE_NEWUSER
from ._native.netns import MS_BIND as MS_BIND
from ._native.netns import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from ._native.netns import MS_PRIVATE as MS_PRIVATE
from ._native.netns import MS_REC as MS_REC
from ._native.netns import MS_SLAVE as MS_SLAVE
from .errors import KernelError

PROC = Path("/proc")

_libc = ctypes.CDLL(None, use_errno=True)


def _call(operation: str, *arguments: object, filename: str | None = None) -> None:
    if getattr(_libc, operation)(*arguments) != 0:
        error = ctypes.get_errno()
        hint = _mount_hint(error) if operation == "mount" else explain_denial(error)
        raise KernelError(error, operation, hint=hint, filename=filename)


def unshare(flags: int) -> None:
    """Moves the calling thread into new namespaces (man 2 unshare); with CLONE_NEWUSER the process.

    Raises:
        KernelError: the kernel refuses; the hint names the setting to change.
    """
    _call("unshare", flags)


def setns(descriptor: int, flags: int = 0) -> None:
    """Moves the calling thread into the namespace of a descriptor (man 2 setns).

    Raises:
        KernelError: the kernel refuses.
    """
    if _libc.setns(descriptor, flags) != 0:
        raise KernelError(ctypes.get_errno(), "setns")


def map_ids(uid: int, gid: int, outer_uid: int, outer_gid: int) -> None:
    """Maps one user and one group into a new user namespace (user_namespaces(7)).

    Parameters:
        uid, gid: the ids inside of it.
        outer_uid, outer_gid: the ids outside of it.

    Raises:
        KernelError: the kernel refuses; the hint names the setting to change.
    """
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("gid_map", f"{gid} {outer_gid} 1"),
    ):
        path = f"/proc/self/{file}"
        try:
            Path(path).write_text(text)
        except OSError as error:
            number = error.errno or 0
            raise KernelError(number, "write", hint=explain_denial(number), filename=path) from None


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    """Mounts `source` at `target` (man 2 mount).

    Raises:
        KernelError: the kernel refuses.
    """
    encoded = kind.encode() if kind is not None else None
    paths = os.fsencode(source), os.fsencode(target)
    _call("mount", *paths, encoded, flags, None, filename=target)


def separate_mounts(propagation: int) -> None:
    """Keeps later mounts of the process out of the mount namespace that it has left.

    Parameters:
        propagation: MS_PRIVATE, or MS_SLAVE to still receive the mounts of that namespace.
    """
    mount("none", "/", None, MS_REC | propagation)


def mount_sysfs(path: str = "/sys") -> None:
    """Mounts the sysfs of the current network namespace over `path`.

    The mount is read-only if the kernel allows no other: in a user namespace, a new mount must be
    at least as restricted as the existing /sys (mount_too_revealing, fs/namespace.c).

    Raises:
        KernelError: the kernel refuses, for example in a container that masks parts of /sys.
    """
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    try:
        mount("sysfs", path, "sysfs", flags)
    except KernelError as error:
        if error.errno != EPERM:
            raise
        mount("sysfs", path, "sysfs", flags | MS_RDONLY)


def may_mount() -> bool:
    """Whether the process has CAP_SYS_ADMIN over its mount namespace. Nothing is changed."""
    # Unmounting a file that is not a mount point fails with EINVAL, but without the capability the
    # kernel returns EPERM first.
    return _libc.umount2(b"/proc/self/ns", 0) != 0 and ctypes.get_errno() != EPERM


# ---- settings that forbid namespaces ----

_GENERAL = (
    "run as root, or allow unprivileged user namespaces: sysctl "
    "kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0; on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0; in Docker --security-opt seccomp=unconfined "
    "or --privileged"
)
_LIMITS = [f"user.max_{kind}_namespaces" for kind in ("user", "net", "mnt")]


def read_setting(name: str) -> str | None:
    """The value of a sysctl setting. None if this kernel has no setting of that name."""
    try:
        return (PROC / "sys" / name.replace(".", "/")).read_text().strip()
    except OSError:
        return None


def in_seccomp_filter() -> bool:
    """Whether system calls of this process are filtered (seccomp(2))."""
    try:
        status = (PROC / "self" / "status").read_text()
    except OSError:
        return False
    return any(line.split() == ["Seccomp:", "2"] for line in status.splitlines())


def explain_denial(error: int) -> str:
    """Names the settings that forbid new namespaces, and how to change them.

    Parameters:
        error: the errno of the refused call.
    """
    found: list[str] = []
    if error == ENOSPC:
        found += [f"{name} is 0: sysctl {name}=10000" for name in _LIMITS if _is(name, "0")]
        if not found:
            limits = ", ".join(f"{name} ({read_setting(name)})" for name in _LIMITS)
            found.append(f"a limit is reached: {limits}, or the limit of an outer user namespace")
    if error in (EPERM, EACCES):
        if _is("kernel.unprivileged_userns_clone", "0"):
            name = "kernel.unprivileged_userns_clone"
            found.append(f"{name} is 0: run as root, or sysctl {name}=1")
        if _is("kernel.apparmor_restrict_unprivileged_userns", "1"):
            name = "kernel.apparmor_restrict_unprivileged_userns"
            found.append(
                f"{name} is 1: run as root, or sysctl {name}=0, or give the program an AppArmor "
                "profile that says userns"
            )
        if in_seccomp_filter():
            found.append(
                "a seccomp filter is in force: in Docker --security-opt seccomp=unconfined, "
                "or --cap-add SYS_ADMIN --cap-add NET_ADMIN, or --privileged"
            )
    if error in (EINVAL, ENOSYS) and not (PROC / "self" / "ns" / "user").exists():
        found.append("this kernel has no user namespaces (CONFIG_USER_NS): run as root")
    return "; ".join(found) or _GENERAL


def _is(name: str, value: str) -> bool:
    return read_setting(name) == value


def _mount_hint(error: int) -> str:
    if error not in (EPERM, EACCES):
        return ""
    return (
        "needs CAP_SYS_ADMIN over the network namespace, and a /sys without hidden parts: "
        "in Docker --privileged, or --security-opt systempaths=unconfined and apparmor=unconfined"
    )
