"""Standard output."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys

from ..errors import NetstratError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


class OutputError(NetstratError):
    """Standard output refused text.

    Attributes:
        error: the failure of the system call.
        is_broken_pipe: the reader of a pipe has closed it, which most commands do not report.
        status: the exit status of a command that ends because of it.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error
        self.is_broken_pipe = isinstance(error, BrokenPipeError)
        self.status = 128 + signal.SIGPIPE if self.is_broken_pipe else 1

    def __str__(self) -> str:
        return f"standard output: {self.error}"


def write(text: str) -> None:
    """Writes to standard output. One that was closed before Python began takes any text.

    Raises:
        OutputError: the text, or a part of it, was not written.
    """
    if sys.stdout is None:
        return
    if isinstance(sys.stdout, io.TextIOWrapper):  # names are bytes, and may fit no encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BaseException as error:  # Ctrl-C as well: what is left must not be written at exit
        discard(sys.stdout)
        if isinstance(error, OSError):
            raise OutputError(error) from None
        raise


def discard(stream: TextIO) -> None:
    """Sends buffered text to /dev/null: it must not fail once more at exit."""
    with contextlib.suppress(OSError), open(os.devnull, "wb") as null:  # noqa: PTH123
        os.dup2(null.fileno(), stream.fileno())
