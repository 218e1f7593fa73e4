"""The types of arguments, for annotations. No call needs them: only a look-up loads typing."""

from __future__ import annotations

import os
from typing import Literal, Protocol, Union


class HasFileno(Protocol):
    """Anything with an open descriptor: a file, a socket, a namespace's handle."""

    def fileno(self) -> int:
        """The descriptor."""
        ...


#: An interface's name or alternative name, as text or as the kernel's bytes.
Name = Union[str, bytes]  # noqa: UP007  # a union of Python 3.10 has no __name__

#: Whose rx and tx: as the kernel counts ("host"), or as the other end of a veth pair sees them.
Perspective = Literal["container", "host"]

#: A file's path.
FilePath = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]  # noqa: UP007

#: A network namespace: a path (anything with a slash, every PathLike), a bare name ("blue" is
#: /run/netns/blue), an open descriptor of a namespace or (Linux 5.8) a pidfd, or what has one.
Netns = Union[int, str, bytes, os.PathLike[str], os.PathLike[bytes], HasFileno]  # noqa: UP007
