"""User-space instructions of the core's operations, counted with valgrind's callgrind.

Times drift with the machine, but these counts repeat almost exactly. They show a regression of a
few instructions on any machine with the same compiler. They are compared with instructions.json;
`--write` replaces that file instead.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import veth

import pynetstrat
from pynetstrat.cli import _fresh_namespaces

HERE = Path(__file__).parent
KEPT = HERE / "instructions.json"
OPERATIONS = (
    "link_set_up",
    "link_set_up_once",
    "get_stats",
    "dump_stats",
    "reader_read",
    "sysfs_read",
    "sysfs_read_in_place",
    "parse_counter",
)
TIMES = 1000
INTERFACE = "bench0"
FLAGS = ["-std=c11", "-O2", "-D_GNU_SOURCE"]


def compiler() -> list[str]:
    return os.environ.get("CC", "cc").split()


def describe_compiler() -> tuple[str, str]:
    """Returns the compiler's name with its major version, and its version: ("gcc 12", "12.2.0")."""
    command = [*compiler(), "-dM", "-E", "-x", "c", os.devnull]
    macros = dict(
        re.findall(r"#define (\w+) (.*)", subprocess.check_output(command, text=True)),
    )
    name = "clang" if "__clang_major__" in macros else "gcc"
    major = macros.get("__clang_major__", macros["__GNUC__"])
    return f"{name} {major}", macros["__VERSION__"].strip('"')


def compile_driver(directory: Path) -> Path:
    """Compiles the core and the driver into one program."""
    program = directory / "instructions"
    core = HERE.parent / "csrc"
    sources = [str(HERE / "instructions.c"), *map(str, sorted(core.glob("*.c")))]
    subprocess.run(
        [*compiler(), *FLAGS, "-I", str(core), "-o", str(program), *sources, "-lpthread"],
        check=True,
    )
    return program


def make_tree(directory: Path) -> Path:
    """Makes a tree like sysfs, with the same counters for every run."""
    statistics = directory / "net" / INTERFACE / "statistics"
    statistics.mkdir(parents=True)
    for side in ("rx", "tx"):
        for field in ("bytes", "packets", "errors", "dropped"):
            (statistics / f"{side}_{field}").write_text("1234567890\n")
    return directory / "net"


def count_run(program: Path, root: Path, operation: str, times: int) -> int:
    """Returns the number of instructions of a whole run."""
    done = subprocess.run(
        [
            *("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"),
            *(str(program), str(root), INTERFACE, operation, str(times)),
        ],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        raise SystemExit(f"{operation}: exit status {done.returncode}\n{done.stderr}")
    return int(found[1])


def count_all(directory: Path) -> dict[str, float]:
    """Returns the number of instructions of each operation, without those of the loop."""
    program = compile_driver(directory)
    root = make_tree(directory)

    def one(operation: str) -> float:
        few, many = (count_run(program, root, operation, times) for times in (10, 10 + TIMES))
        return (many - few) / TIMES

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        zero, *counts = pool.map(one, ("nothing", *OPERATIONS))
    pairs = zip(OPERATIONS, counts, strict=True)
    return {operation: round(count - zero, 1) for operation, count in pairs}


def compare(kept: dict, now: dict) -> tuple[list[str], bool]:
    """Returns a line for each operation, and whether no operation became slower."""
    same = kept["compiler"] == now["compiler"] and kept["machine"] == now["machine"]
    tolerance = 0.05 if same else 0.25
    lines = []
    if not same:
        lines.append(
            f"the counts kept are those of {kept['compiler']} on {kept['machine']}, these of "
            f"{now['compiler']} on {now['machine']}: up to 25 % more is let pass"
        )
    good = True
    for operation, count in now["instructions"].items():
        before = kept["instructions"].get(operation)
        if before is None:
            lines.append(f"{operation}: {count:,.0f}, and no count is kept: --write")
            good = False
            continue
        grown = count / before - 1
        verdict = "" if count <= before * (1 + tolerance) else f"  more than {tolerance:.0%}"
        good = good and not verdict
        lines.append(f"{operation:18} {count:8,.1f}  kept {before:8,.1f}  {grown:+7.2%}{verdict}")
    return lines, good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the present counts")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("no valgrind: install it (Debian: apt-get install valgrind)")

    name, version = describe_compiler()
    with tempfile.TemporaryDirectory() as directory:
        # Before the threads that wait for valgrind: unshare(2) requires a single thread.
        _fresh_namespaces.enter()
        pynetstrat.link_set_up("lo")
        with veth.Maker() as maker:
            maker.add(INTERFACE, "peer0")
        counts = count_all(Path(directory))
    now = {
        "compiler": name,
        "version": version,
        "flags": " ".join(FLAGS),
        "machine": platform.machine(),
        "instructions": counts,
    }
    good = True
    if arguments.write:
        KEPT.write_text(json.dumps(now, indent=2) + "\n")
    else:
        lines, good = compare(json.loads(KEPT.read_text()), now)
        print("\n".join(lines))
    figures = ", ".join(f"{operation} {count:,.0f}" for operation, count in counts.items())
    print(f"instructions ({name}): {figures}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
