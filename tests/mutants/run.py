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
PROGRAMS = {
    "message.c": ["message", "fake", "link"],
    "socket.c": ["fake", "link", "faults", "netns"],
    "link.c": ["link", "fake", "faults"],
    "netns.c": ["netns", "faults"],
    "sysfs.c": ["sysfs", "faults"],
}
SECONDS = 60  # for one program; one that hangs has noticed


def noticed(work: Path, file: str, old: str, new: str) -> str | None:
    """What noticed the mutant: a program of the tests, or the compiler; None: nothing did."""
    shutil.rmtree(work, ignore_errors=True)
    for part in ("csrc", "tests/c", "tests/cases"):
        shutil.copytree(ROOT / part, work / part)
    source = work / "csrc" / file
    text = source.read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{file}: {old!r} stands {text.count(old)} times: mend tests/mutants")
    source.write_text(text.replace(old, new))
    # Without the warnings: it is the tests that are put to the test.
    build = [str(work / "tests/c/build.sh"), str(work / "bin"), *PROGRAMS[file]]
    flags = {**os.environ, "CFLAGS": "-O0 -Wno-error"}
    script = work / "tests/c/build.sh"
    script.write_text(script.read_text().replace("-Werror", ""))
    try:
        subprocess.run(build, env=flags, check=True, capture_output=True, timeout=SECONDS)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{file}: {new!r} does not compile:\n{error.stderr.decode()}")
    for program in PROGRAMS[file]:
        try:
            run = subprocess.run(
                [work / "bin" / f"test_{program}"], capture_output=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return f"{program}, which hung"
        if run.returncode != 0:
            return program
    return None


def main() -> int:
    folder, word = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    chosen = [(n, m) for n, m in enumerate(MUTANTS) if word in m[0] or word in m[3]]

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
