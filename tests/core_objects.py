"""The object files of the C core, which several test files inspect or link."""

from __future__ import annotations

import fcntl
import os
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "tests" / "c" / "build.sh"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Excludes the other workers of pytest-xdist, which share the folder."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(folder: Path, name: str = "") -> None:
    """Builds one program of tests/c, or all of them; compiles again only what has changed."""
    command = [BUILD, folder, *([name] if name else [])]
    # Not optimized, without debug information: half the time. The checks build with -O1 -g.
    flags = {"CFLAGS": "-O0 -fno-stack-protector", "LDFLAGS": "", "REUSE": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **flags}
    )
    assert done.returncode == 0, done.stderr


def shared_folder(factory: pytest.TempPathFactory, worker: str, name: str) -> Path:
    """Returns a folder of build/ that the workers share and that outlives the session.

    Where the checkout may not be written, it is a folder of the session.
    """
    folder = ROOT / "build" / "tests" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").touch()
    except OSError:
        base = factory.getbasetemp()
        folder = (base if worker == "master" else base.parent) / name
        folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def core_objects(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with an object file for each C source, which the first worker compiles."""
    compiler = subprocess.run(
        [*os.environ.get("CC", "cc").split(), "--version"], capture_output=True, check=False
    )
    # Another compiler, or another way to call it, has another folder.
    way = compiler.stdout + BUILD.read_bytes() + Path(__file__).read_bytes()
    name = f"core-{zlib.crc32(way):08x}"
    folder = shared_folder(tmp_path_factory, worker_id, name)
    with locked(folder / "lock"):
        build(folder, "core")
    return folder
