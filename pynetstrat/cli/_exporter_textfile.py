"""`exporter --textfile FILE`: the metrics in a file, for node_exporter's textfile collector."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Textfile:
    """A file that is replaced as a whole, so that no reader sees a part of it.

    Parameters:
        path: where the file is.

    Attributes:
        error: why it could not be written the last time; "" if it could.
    """

    def __init__(self, path: str) -> None:
        self.error = ""
        self._path = path
        # node_exporter reads only files whose names end in ".prom".
        self._temporary = f"{path}.{os.getpid()}.tmp"

    def write(self, parts: Iterable[bytes]) -> None:
        """Replaces the content. After a failure it does not raise but sets `error`."""
        try:
            with open(self._temporary, "wb") as file:  # noqa: PTH123
                file.writelines(parts)
            os.replace(self._temporary, self._path)  # noqa: PTH105
            self.error = ""
        except OSError as error:  # for example no space left: the former content stays
            self.error = f"--textfile {self._path}: {error.strerror}"
            self._remove(self._temporary)

    def remove(self) -> None:
        """Removes the file: node_exporter would go on to show what it contains."""
        self._remove(self._path)

    def _remove(self, path: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108
