"""The tests of the C core (tests/c): each test of each program is a test here."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from core_objects import build, locked

HERE = Path(__file__).parent / "c"
SOURCES = (HERE / "../../csrc/sources").read_text().split()
PROGRAMS = sorted(path.stem for path in HERE.glob("test_*.c"))
TEST = re.compile(r"^TEST\w*\((\w+)", re.MULTILINE)


def names_in(program: str) -> list[str]:
    """Reads the names of tests from the source, so that collection needs no compiler."""
    return TEST.findall((HERE / f"{program}.c").read_text())


TESTS = [
    pytest.param(program, name, id=f"{program[5:]}-{name}")
    for program in PROGRAMS
    for name in names_in(program)
]


@pytest.fixture(scope="session")
def built(core_objects: Path) -> Path:
    """The folder of the programs."""
    with locked(core_objects / "lock"):
        build(core_objects)
    return core_objects


@cache
def output_of(program: Path) -> str:
    """Runs a program, with all of its tests, and returns what it printed."""
    done = subprocess.run(
        [program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    return f"{done.stdout}exit status {done.returncode}\n"


def result_of(name: str, output: str) -> tuple[str, str]:
    """Returns the result of a test, and the lines that the program printed during it."""
    details = []
    for line in output.splitlines():
        result, _, rest = line.partition(" ")
        if result in ("passed", "failed", "skipped") and re.match(r"\w+:", rest):
            if rest.startswith(f"{name}:"):
                return result, "\n".join([*details, line])
            details = []
        else:
            details.append(line)
    return "missing", output


def test_the_list_of_sources_is_complete() -> None:
    assert sorted(SOURCES) == sorted(path.name for path in (HERE / "../../csrc").glob("*.c"))


@pytest.mark.parametrize("source", SOURCES)
def test_each_file_of_the_core_has_its_program(source: str) -> None:
    # A socket does nothing without an exchange.
    name = {"socket.c": "test_exchange"}.get(source, f"test_{source.removesuffix('.c')}")
    assert name in PROGRAMS


def test_a_program_makes_every_system_call_of_the_core_fail() -> None:
    assert "test_faults" in PROGRAMS


@pytest.mark.slow
def test_the_counter_parser_uses_strtoull(core_objects: Path) -> None:
    command = ["nm", "--undefined-only", "--format=just-symbols", core_objects / "counter_text.o"]
    symbols = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    # glibc renames it in C23.
    assert {"strtoull", "__isoc23_strtoull"} & set(symbols)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_lists_its_tests(built: Path, program: str) -> None:
    command = [built / program, "--list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert listed == names_in(program)
    assert len(set(listed)) == len(listed) > 0


@pytest.mark.slow
@pytest.mark.parametrize(("program", "name"), TESTS)
def test_core(built: Path, program: str, name: str) -> None:
    result, details = result_of(name, output_of(built / program))
    if result == "skipped":
        pytest.skip(details)
    assert result == "passed", details
