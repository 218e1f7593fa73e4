"""Breaks the core one line at a time and sees what notices: `run.py FOLDER [--all] [WORD]`.

Three checks may notice: the C tests; and for pure files the fuzzers, which run their corpus under
sanitizers, and the proof. A proof takes half a minute. So the last two run only if the tests
noticed nothing, and for a missing check of a length, which all three should notice; --all runs them
for every mutant of a pure file. WORD selects the mutants whose file or property contains it. Exits
with 1 if nothing notices a mutant, or if the proof does not notice a missing check of a length.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from mutants import LENGTHS, MUTANTS

ROOT = Path(__file__).resolve().parent.parent.parent
# Exchanges with a scripted kernel, and with the real one.
EXCHANGES = ["exchange", "notifications", "dumps", "deadlines", "transactions"]
REAL = ["operations", "batches", "large_replies"]
# The test programs that must notice a broken line of each file, fast ones first.
PROGRAMS = {
    "name.c": ["name", "link"],
    "counter_text.c": ["counter_text"],
    "batch.c": ["batch", "link"],
    "message.c": ["message", "link", "exchange"],
    "internal.h": ["message", "link"],
    "link.c": ["link", "link_change", "containers"],
    "link_change.c": ["link", "link_change"],
    "counters.c": ["counters"],
    "address.c": ["address"],
    "route.c": ["route"],
    "qdisc.c": ["qdisc"],
    "nsid.c": ["nsid"],
    "nft.c": ["nft", "nft_elements"],
    "nft_table.c": ["nft_table"],
    "nft_elements.c": ["nft_elements"],
    "nft_operations.c": ["nft_operations"],
    "containers.c": ["containers"],
    "socket.c": [*EXCHANGES, *REAL, "faults", "netns", "containers"],
    "exchange.c": [*EXCHANGES, *REAL, "faults"],
    "name_cache.c": ["name_cache", *EXCHANGES, *REAL, "faults"],
    "operations.c": [*EXCHANGES, *REAL, "faults"],
    "netns.c": ["netns", "netns_names", "netns_threads", "wiring", "faults"],
    "sysctl.c": ["sysctl", "faults"],
    "sysfs.c": ["sysfs", "sysfs_namespaces", "faults"],
    "error.c": ["error"],
}
# For the files that are fuzzed and proved: the fuzzers, and the harness in tests/prove/.
PURE = {
    "name.c": (["encode"], "name"),
    "counter_text.c": (["counter"], "counter_text"),
    "batch.c": (["encode"], "batch"),
    "message.c": (["decode"], "message"),
    "internal.h": (["decode"], "message"),
    "link.c": (["decode", "encode"], "link"),
    "link_change.c": (["encode"], "link_change"),
    "counters.c": (["decode", "encode"], "counters"),
    "address.c": (["decode", "encode", "counter"], "address"),
    "route.c": (["decode", "encode"], "route"),
    "qdisc.c": (["decode", "encode"], "qdisc"),
    "nsid.c": (["decode", "encode"], "nsid"),
    "nft.c": (["decode", "encode"], "nft"),
    "nft_table.c": (["decode", "encode"], "nft_table"),
    "nft_elements.c": (["decode", "encode"], "nft_elements"),
    "error.c": (["error"], "error"),
}
# The files that inline much of internal.h.
INLINED = ["message.c", "link.c", "counters.c", "address.c", "route.c", "nsid.c", "nft.c"]
INLINED += ["nft_elements.c"]
WHOLE = "int netstrat_name_check("  # a text to replace by itself, for the unchanged core
SECONDS = 60  # for one test program; one that hangs counts as noticed
# Seconds of a processor, after which a program is in a loop. On a busy machine they do not run out
# earlier. A test program takes at most 3, a corpus 1, a proof 80.
LOOP, PROOF = 20, 300
SANITIZE = ["clang", "-std=c11", "-g", "-w", "-fsanitize=address,undefined"]
SANITIZE += ["-fno-sanitize-recover=all"]
CORE = (ROOT / "csrc/sources").read_text().split()


def cause(*command: str | Path, processor: int, seconds: int | None = None) -> str:
    """Runs a program. Returns how it failed, or "" if it ended with status 0.

    Each of its processes may use `processor` seconds of a processor; the program may take `seconds`
    in all. A broken one may print without end, so what it prints is limited, too.
    """
    limits = ("prlimit", f"--cpu={processor}", f"--fsize={64 << 20}")
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                [*limits, *command], timeout=seconds, stdout=output, stderr=output, check=False
            )
        except subprocess.TimeoutExpired:
            return f"it took more than {seconds} s"
        if done.returncode == 0:
            return ""
        # A shell adds 128 to the signal that ended its command.
        if done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL):
            return f"it was killed, after {processor} s of a processor or for lack of memory"
        output.seek(max(0, output.seek(0, os.SEEK_END) - 1000))
        return f"status {done.returncode}\n{output.read().decode(errors='replace')}"


def break_core(work: Path, file: str, old: str, new: str) -> None:
    """Copies the sources, with one text replaced."""
    shutil.rmtree(work, ignore_errors=True)
    for part in ("csrc", "tests/c", "tests/cases", "tests/prove"):
        shutil.copytree(ROOT / part, work / part)
    (work / "tests/check").mkdir()
    shutil.copy(ROOT / "tests/check/prove.sh", work / "tests/check")
    source = work / "csrc" / file
    text = source.read_text()
    if text.count(old) != 1:
        raise SystemExit(
            f"{file}: {old!r} occurs {text.count(old)} times, not once: update tests/mutants"
        )
    source.write_text(text.replace(old, new))


# Each of these three returns the name of what noticed the change, a colon and how it failed, or "".


def tested(work: Path, programs: list[str], seconds: int = SECONDS) -> str:
    # Without warnings as errors: only the tests may notice.
    script = work / "tests/c/build.sh"
    script.write_text(script.read_text().replace("-Werror", ""))
    flags = {**os.environ, "CFLAGS": "-O0 -Wno-error", "REUSE": "1"}
    for program in programs:
        build = ["bash", script, work / "bin", program]
        try:
            subprocess.run(build, env=flags, check=True, capture_output=True, timeout=10 * SECONDS)
        except subprocess.CalledProcessError as error:
            sys.exit(f"{work} does not compile:\n{error.stderr.decode()}")
        failure = cause(work / "bin" / f"test_{program}", processor=LOOP, seconds=seconds)
        if failure:
            return f"test_{program}: {failure}"
    return ""


def compile_objects(work: Path, sources: list[str]) -> None:
    for source in sources:
        command = [*SANITIZE, "-c", work / "csrc" / source, "-o", work / f"{source}.o"]
        subprocess.run(command, check=True)


def fuzzed(work: Path, whole: Path, changed: list[str], targets: list[str]) -> str:
    """Runs the corpus. Unchanged files are linked from the `whole` core."""
    compile_objects(work, changed)
    core = [(work if source in changed else whole) / f"{source}.o" for source in CORE]
    for target in targets:
        program = work / f"fuzz_{target}"
        parts = [whole / f"fuzz_{target}.o", *core, "-pthread"]
        subprocess.run([*SANITIZE, "-fsanitize=fuzzer", *parts, "-o", program], check=True)
        corpus = ROOT / "tests/fuzz/corpus" / target
        command = (program, "-runs=0", "-timeout=10", f"-artifact_prefix={work}/", corpus)
        failure = cause(*command, processor=LOOP)
        if failure:
            return f"fuzz_{target}: {failure}"
    return ""


def proved(work: Path, harness: str) -> str:
    """Runs the proof for the 64-bit machine, up to its first alarm."""
    script = work / "tests/check/prove.sh"
    failure = cause("env", "FIRST_ALARM=1", "bash", script, harness, processor=PROOF)
    return failure and f"prove {harness}: {failure}"


def prepare(whole: Path, files: set[str], pool: Executor) -> None:
    """Compiles what the fuzzers share, and checks that the unchanged core passes everything.

    Where the check `prove` is run as well (CHECKS, of tests/check/run.sh) the proof is left to it.
    """
    break_core(whole, "name.c", WHOLE, WHOLE)
    programs = {program for file in files for program in PROGRAMS[file]}
    targets = {target for file in files & set(PURE) for target in PURE[file][0]}
    harnesses = {PURE[file][1] for file in files & set(PURE)}
    if "prove" in os.environ.get("CHECKS", "").split():
        harnesses = set()
    # First, since the mutants take its objects. A busy machine is no reason to fail here.
    noticed = [tested(whole, sorted(programs), 10 * SECONDS)]
    for target in targets:
        main = ROOT / "tests/fuzz" / f"fuzz_{target}.c"
        include = ["-I", ROOT / "csrc", "-o", whole / f"fuzz_{target}.o"]
        subprocess.run([*SANITIZE, "-fsanitize=fuzzer-no-link", "-c", main, *include], check=True)
    jobs = [
        pool.submit(fuzzed, whole, whole, CORE, sorted(targets)),
        *(pool.submit(proved, whole, harness) for harness in harnesses),
    ]
    noticed += [job.result() for job in jobs]
    if any(noticed):
        sys.exit("\n".join(f"the unchanged core fails {what}" for what in noticed if what))


def main() -> int:
    folder, *words = sys.argv[1:]
    asks_all = "--all" in words
    word = next((word for word in words if word != "--all"), "")
    folder = Path(folder).resolve()
    chosen = [(n, m) for n, m in enumerate(MUTANTS) if word in m[0] or word in m[3]]
    for program, package in (("clang", "clang"), ("frama-c", "frama-c-base")):
        if not shutil.which(program):
            sys.exit(f"no {program}: apt-get install {package}")

    def try_one(item: tuple[int, tuple[str, str, str, str]]) -> tuple[bool, list[str]]:
        """Returns whether the mutant was caught, and for a pure file what each check noticed."""
        number, (file, old, new, purpose) = item
        work = folder / str(number)
        break_core(work, file, old, new)
        (work / "bin").mkdir()
        for compiled in (folder / "whole/bin").glob("*.o"):
            shutil.copy2(compiled, work / "bin")
        by = [tested(work, PROGRAMS[file])]
        is_length = purpose in LENGTHS
        if file in PURE and (asks_all or is_length or not by[0]):
            targets, harness = PURE[file]
            changed = INLINED if file == "internal.h" else [file]
            by += [fuzzed(work, folder / "whole", changed, targets), proved(work, harness)]
        shutil.rmtree(work)
        words = ", ".join(what.partition(":")[0] for what in by if what) or "SURVIVED"
        is_unproved = is_length and not by[-1]
        print(f"{words:32}  {file}: {purpose}{', UNPROVED' * is_unproved}", flush=True)
        return any(by) and not is_unproved, by[1:] and by

    with ThreadPoolExecutor(2) as pool:
        prepare(folder / "whole", {mutant[0] for _, mutant in chosen}, pool)
        results = list(pool.map(try_one, chosen))
    caught = sum(good for good, _ in results)
    pure = [by for _, by in results if by]
    counts = [sum(bool(by[which]) for by in pure) for which in range(3)]
    print(
        f"{caught} of {len(chosen)} mutants caught; of {len(pure)} that were given to all three, "
        f"by the tests {counts[0]}, by the fuzzers' corpus {counts[1]}, by the proof {counts[2]}"
    )
    return 0 if caught == len(chosen) else 1


sys.exit(main())
