"""The files of /etc/netns/NAME, which replace those of /etc for programs in a named namespace.

ip-netns(8) describes the convention.
"""

from __future__ import annotations

import os
from errno import ENOENT

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
