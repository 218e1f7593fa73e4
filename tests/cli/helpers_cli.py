"""The command line for tests: in the test's process, or as a process of its own."""

from __future__ import annotations

import contextlib
import io
import sys
from subprocess import CompletedProcess

import support

from pynetstrat import cli

COMMAND = [sys.executable, "-W", "error", "-m", "pynetstrat"]


def call_process(*arguments: str, **options: object) -> CompletedProcess[str]:
    """Runs a command as a process."""
    return support.run([*COMMAND, *arguments], **options)


def call(*arguments: str, encoding: str = "utf-8") -> CompletedProcess[str]:
    """Runs a command in this process, with standard streams of this encoding.

    An interpreter that loads the package takes 0.1 s of CPU time.
    """
    output, errors = (io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2))
    errors.reconfigure(errors="backslashreplace")  # as the interpreter does
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = cli.main(arguments)
    printed = []
    for stream in (output, errors):
        stream.flush()
        printed.append(stream.detach().getvalue().decode(encoding))
    return CompletedProcess(list(arguments), status, *printed)
