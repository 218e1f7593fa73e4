"""Standard input, output and error. Each is None if it was closed before Python began."""

from __future__ import annotations

import io
import os
import sys

from ..errors import NetstratError, escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


_BROKEN_PIPE = 128 + 13  # SIGPIPE


class OutputError(NetstratError):
    """Standard output refused text.

    Attributes:
        error: the failure of the system call.
        is_broken_pipe: the reader closed the pipe, which most commands do not report.
        status: the exit status for a command that ends because of it.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error
        self.is_broken_pipe = isinstance(error, BrokenPipeError)
        self.status = _BROKEN_PIPE if self.is_broken_pipe else 1

    def __str__(self) -> str:
        return f"standard output: {describe(self.error)}"


def describe(error: NetstratError | OSError) -> str:
    """Returns the text of an error. Python's own ones begin with a number: "[Errno 2] No such"."""
    if isinstance(error, NetstratError) or not error.strerror:
        return str(error)
    names = [name for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    return ": ".join([*filter(None, [" -> ".join(map(os.fsdecode, names))]), error.strerror])


def read_standard_input() -> bytes:
    """Returns all of standard input, or nothing if it is closed."""
    return sys.stdin.buffer.read() if sys.stdin is not None else b""


def write(text: str) -> None:
    """Writes text to standard output, and nothing if standard output is closed.

    Raises:
        OutputError: at least a part of the text was not written.
    """
    if sys.stdout is None:
        return
    try:
        _write_whole(sys.stdout, text)
    except BaseException as error:  # also after Ctrl-C: Python must not write the rest at exit
        _discard(sys.stdout)
        if isinstance(error, OSError):
            raise OutputError(error) from None
        raise


def write_error(text: str) -> None:
    """Writes text to standard error. If that fails, only the exit status reports the error."""
    if sys.stderr is None:
        return
    try:
        _write_whole(sys.stderr, text)
    except OSError:
        _discard(sys.stderr)


def warn(text: str) -> None:
    """Writes a one-line warning to standard error, for a command that continues."""
    if sys.stderr is not None:
        try:  # noqa: SIM105  # contextlib takes long to load
            print(f"pynetstrat: warning: {escape(text)}", file=sys.stderr, flush=True)
        except OSError:
            pass


def _write_whole(stream: TextIO, text: str) -> None:
    """Writes text, and waits while a terminal or a pipe that does not block has no room."""
    if not isinstance(stream, io.TextIOWrapper):
        stream.write(text)
        stream.flush()
        return
    stream.flush()
    # The text layer would lose what a refused write leaves. A name may contain bytes of any
    # encoding.
    rest = memoryview(text.encode(stream.encoding, "backslashreplace"))
    while rest:
        try:
            written = stream.buffer.write(rest)
        except BlockingIOError as error:
            written = error.characters_written
        rest = rest[written or 0 :]  # None without a buffer, as with python -u
        if rest:
            _wait_for_room(stream)
    while True:
        try:
            stream.buffer.flush()
        except BlockingIOError:
            _wait_for_room(stream)
        else:
            return


def _wait_for_room(stream: TextIO) -> None:
    import select  # seldom needed, and takes a while to load

    room = select.poll()
    room.register(stream, select.POLLOUT)
    room.poll()


def _discard(stream: TextIO) -> None:
    """Redirects a stream to /dev/null, so that flushing its buffer at exit cannot fail again."""
    try:
        with open(os.devnull, "wb") as null:  # noqa: PTH123
            os.dup2(null.fileno(), stream.fileno())
    except OSError:
        pass
