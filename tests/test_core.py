"""The C core's own tests (tests/c): each program built with the system's compiler, and run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "c"
PROGRAMS = sorted(path.stem for path in HERE.glob("test_*.c"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("core")
    done = subprocess.run([HERE / "build.sh", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_there_is_a_program_for_each_file_of_the_core() -> None:
    for source in ("message", "sysfs", "link", "netns"):
        assert f"test_{source}" in PROGRAMS
    assert {"test_fake", "test_faults"} < set(PROGRAMS)  # socket.c, and all of them


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(built: Path, program: str) -> None:
    done = subprocess.run(
        [built / program], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" passed, 0 failed")
