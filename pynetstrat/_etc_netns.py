"""Files of /etc that are replaced for a program: those of /etc/netns/NAME, and resolv.conf.

ip-netns(8) describes /etc/netns.
"""

from __future__ import annotations

import os
import stat
from errno import EISDIR, ENOENT

from ._native import netns as native
from .errors import KernelError, PermissionDeniedError

_ETC, _ETC_NETNS = "/etc", "/etc/netns"


def etc_files(name: str) -> list[str]:
    """The entries of /etc/netns/NAME, sorted; none for the name "".

    Raises:
        KernelError: the directory exists and can't be read.
    """
    folder = f"{_ETC_NETNS}/{name}"
    try:
        return sorted(os.listdir(folder)) if name else []  # noqa: PTH208  # names alone
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        kind = PermissionDeniedError if isinstance(error, PermissionError) else KernelError
        raise kind(error.errno or 0, "open", filename=folder) from None


def bind_etc(name: str, entries: list[str]) -> list[KernelError]:
    """Mounts entries of /etc/netns/NAME over those of /etc in the thread's mount namespace.

    Returns:
        One error for each entry that could not be mounted.
    """
    failed = []
    for entry in entries:
        source = f"{_ETC_NETNS}/{name}/{entry}"
        try:
            native.bind_mount(source, f"{_ETC}/{entry}")
        except KernelError as error:
            error.hint = f"{source} is not visible to the child"
            if error.errno == ENOENT:
                error.hint += f": create {_ETC}/{entry}"
            failed.append(error)
    return failed


def check_resolv_conf(given: object) -> str:
    """Returns the path of a file that is to replace /etc/resolv.conf.

    Raises:
        KernelError: it does not exist, or is a directory.
        TypeError: it is no path.
    """
    try:
        path = os.fsdecode(given)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"resolv_conf must be a path, not {given!r}") from None
    hint = "resolv_conf must be an existing file"
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except OSError as error:
        kind = PermissionDeniedError if isinstance(error, PermissionError) else KernelError
        raise kind(error.errno or 0, "open", hint=hint, filename=path) from None
    if stat.S_ISDIR(mode):
        raise KernelError(EISDIR, "open", hint=hint, filename=path)
    return path


def bind_resolv_conf(path: str) -> None:
    """Mounts a file on /etc/resolv.conf in the thread's mount namespace.

    Raises:
        KernelError: /etc/resolv.conf does not exist, or the kernel refuses the mount.
    """
    try:
        native.bind_mount(path, f"{_ETC}/resolv.conf")
    except KernelError as error:
        if error.errno == ENOENT:
            error.hint = f"create {_ETC}/resolv.conf, on which {path} is mounted"
        raise
