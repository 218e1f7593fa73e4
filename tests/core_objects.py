"""The object files of the C core, which several test files inspect or link."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Excludes the other workers of pytest-xdist, which share the folder."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(folder: Path, name: str = "") -> None:
    """Builds one program of tests/c, or all of them; compiles again only what has changed."""
    command = [Path(__file__).parent / "c" / "build.sh", folder, *([name] if name else [])]
    # Not optimized, without debug information: half the time. The checks build with -O1 -g.
    flags = {"CFLAGS": "-O0 -fno-stack-protector", "LDFLAGS": "", "REUSE": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **flags}
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def core_objects(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with an object file for each C source, which the first worker compiles."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent
    folder /= "core"
    folder.mkdir(exist_ok=True)
    with locked(folder / "build.lock"):
        if not (folder / "are_built").exists():
            build(folder, "core")
            (folder / "are_built").touch()
    return folder
