"""Standard output and standard error that do not block (cli/_output.py)."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import tty

import pytest
import support
from helpers_cli import COMMAND

from pynetstrat.cli import _output

TEXT = "".join(f"{number} \udcff é\n" for number in range(5_000))  # larger than any pipe here
WRITTEN = TEXT.replace("\udcff", "\\udcff").encode()


def open_pipe() -> tuple[int, int]:
    return os.pipe()


def open_terminal() -> tuple[int, int]:
    reading, writing = pty.openpty()
    tty.setraw(writing)  # which leaves newlines as they are
    return reading, writing


@pytest.fixture(params=[open_pipe, open_terminal])
def full(request):
    """A pipe or a terminal that does not block, filled: its two ends, and what it holds."""
    reading, writing = request.param()
    os.set_blocking(writing, False)
    held = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            held += os.write(writing, b"x" * 512)
    with os.fdopen(reading, "rb", buffering=0) as end:
        yield end, writing, held


def read(end: io.RawIOBase, size: int) -> bytes:
    """Reads so many bytes, and none of what follows."""
    found = bytearray()
    while len(found) < size:
        part = end.read(min(4096, size - len(found)))
        assert part, "the end of the output"
        found += part
    return bytes(found)


@pytest.mark.parametrize("buffering", [0, -1])
@pytest.mark.parametrize(
    ("stream", "write"), [("stdout", _output.write), ("stderr", _output.write_error)]
)
def test_text_waits_for_room(full, monkeypatch, buffering, stream, write):
    end, writing, held = full
    with os.fdopen(writing, "wb", buffering=buffering) as raw:
        monkeypatch.setattr(f"sys.{stream}", io.TextIOWrapper(raw, "utf-8"))
        found = []
        support.run_threads(
            lambda: [write(TEXT), write("end")],
            lambda: found.append(read(end, held + len(WRITTEN) + 3)),
        )
    assert found[0][held:] == WRITTEN + b"end"


@pytest.mark.slow
def test_a_watch_goes_on_while_nobody_reads(net, full):
    end, writing, held = full
    arguments = ["stats", "lo", "--watch", "1e-9", "--count", "2000", "--json"]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, cwd=support.ROOT
    ) as process:
        os.close(writing)
        assert read(end, held) == b"x" * held
        lines = []
        rest = b""
        while len(lines) < 2000:
            *whole, rest = (rest + end.read(4096)).split(b"\n")
            lines += map(json.loads, whole)
        assert process.stderr.read() == b""
    assert process.returncode == 0
