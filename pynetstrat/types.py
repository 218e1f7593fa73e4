"""The types of arguments, for annotations. Only looking one up loads `typing`; no call does."""

from __future__ import annotations

import os
from typing import Literal, Protocol, Union


class HasFileno(Protocol):
    """An object with an open descriptor: a file, a socket, a `NetworkNamespace`."""

    def fileno(self) -> int:
        """Returns the descriptor."""
        ...


#: The name or alternative name of an interface, as text or as the kernel's bytes.
Name = Union[str, bytes]  # noqa: UP007  # a union of Python 3.10 has no __name__

#: The side that rx and tx are seen from: "host" as the kernel counts, "container" as the peer of a
#: veth pair counts.
Perspective = Literal["container", "host"]

#: The path of a file.
FilePath = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]  # noqa: UP007

#: A network namespace: a path (any text with a slash, any PathLike), a bare name ("blue" is
#: /run/netns/blue), an open descriptor of a namespace or (Linux 5.8) a pidfd, or an object with
#: `fileno()`.
Netns = Union[int, str, bytes, os.PathLike[str], os.PathLike[bytes], HasFileno]  # noqa: UP007
