"""The C core's own tests (tests/c): each program built with the system's compiler, and run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "c"
PROGRAMS = sorted(path.stem for path in HERE.glob("test_*.c"))
SOURCES = (HERE / "../../csrc/sources").read_text().split()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("core")
    done = subprocess.run([HERE / "build.sh", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_list_of_sources_is_whole() -> None:
    assert sorted(SOURCES) == sorted(path.name for path in (HERE / "../../csrc").glob("*.c"))


@pytest.mark.parametrize("source", SOURCES)
def test_each_file_of_the_core_has_its_program(source: str) -> None:
    # A socket does nothing by itself: socket.c is tested by the exchanges on it.
    name = {"socket.c": "test_exchange"}.get(source, f"test_{source.removesuffix('.c')}")
    assert name in PROGRAMS


def test_a_program_makes_every_system_call_of_the_core_fail() -> None:
    assert "test_faults" in PROGRAMS


def test_the_counter_parser_uses_strtoull(built: Path) -> None:
    command = ["nm", "--undefined-only", "--format=just-symbols", built / "counter_text.o"]
    symbols = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    # glibc's headers rename it where they are of C23.
    assert {"strtoull", "__isoc23_strtoull"} & set(symbols)


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(built: Path, program: str) -> None:
    done = subprocess.run(
        [built / program], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" passed, 0 failed")
