"""Breaks the core one line at a time and sees whether the C tests notice: `run.py FOLDER [WORD]`.

WORD picks the mutants whose file or purpose contains it. Exits 1 where one survives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants import MUTANTS

ROOT = Path(__file__).resolve().parent.parent.parent
# The programs that are to notice a broken line of each file, the quick ones first.
PROGRAMS = {
    "name.c": ["name", "link"],
    "batch.c": ["batch", "link"],
    "message.c": ["message", "exchange"],
    "internal.h": ["message", "link"],
    "link.c": ["link", "link_add", "containers"],
    "counters.c": ["counters"],
    "address.c": ["address"],
    "route.c": ["route"],
    "nsid.c": ["nsid"],
    "containers.c": ["containers"],
    "socket.c": ["exchange", "operations", "faults", "netns", "containers"],
    "exchange.c": ["exchange", "operations", "faults"],
    "operations.c": ["exchange", "operations", "faults"],
    "netns.c": ["netns", "wiring", "faults"],
    "sysfs.c": ["sysfs", "faults"],
    "error.c": ["error"],
}
SECONDS = 60  # for one program; one that hangs has noticed


def noticed(
    work: Path, file: str, old: str, new: str, programs: list[str] | None = None
) -> str | None:
    """Which program of the tests noticed the mutant; None: nothing did."""
    programs = programs or PROGRAMS[file]
    shutil.rmtree(work, ignore_errors=True)
    for part in ("csrc", "tests/c", "tests/cases"):
        shutil.copytree(ROOT / part, work / part)
    source = work / "csrc" / file
    text = source.read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{file}: {old!r} stands {text.count(old)} times: mend tests/mutants")
    source.write_text(text.replace(old, new))
    # Without the warnings: it is the tests that are put to the test.
    build = [str(work / "tests/c/build.sh"), str(work / "bin"), *programs]
    flags = {**os.environ, "CFLAGS": "-O0 -Wno-error"}
    script = work / "tests/c/build.sh"
    script.write_text(script.read_text().replace("-Werror", ""))
    try:
        subprocess.run(build, env=flags, check=True, capture_output=True, timeout=SECONDS)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{file}: {new!r} does not compile:\n{error.stderr.decode()}")
    for program in programs:
        try:
            # Their words are not kept: a broken program may have no end of them.
            run = subprocess.run(
                [work / "bin" / f"test_{program}"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"{program}, which hung"
        if run.returncode != 0:
            return program
    return None


def main() -> int:
    folder, word = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    chosen = [(n, m) for n, m in enumerate(MUTANTS) if word in m[0] or word in m[3]]

    # What fails on the whole core would "notice" anything.
    whole = "int netstrat_name_check("
    every = sorted({program for programs in PROGRAMS.values() for program in programs})
    failing = noticed(folder / "whole", "name.c", whole, whole, every)
    if failing:
        print(f"the core as it is fails {failing}")
        return 1

    def try_one(item: tuple[int, tuple[str, str, str, str]]) -> bool:
        number, (file, old, new, purpose) = item
        by = noticed(folder / str(number), file, old, new)
        print(f"{'caught by ' + by if by else 'SURVIVED':24}  {file}: {purpose}", flush=True)
        shutil.rmtree(folder / str(number))
        return by is not None

    with ThreadPoolExecutor(2) as pool:
        caught = sum(pool.map(try_one, chosen))
    print(f"{caught} of {len(chosen)} mutants caught")
    return 0 if caught == len(chosen) else 1


sys.exit(main())
