"""Whole processes of `pynetstrat oci-hook`, alternately with a bare interpreter.

usage: hook.py [ROUNDS]

Prints the medians and the fastest tenth of the elapsed and of the CPU time of whole processes. The
interpreters are started with -I and outside the virtual environment, whose start-up files would be
measured as well. A container's process is a `sleep` in a namespace of its own, wired to a bridge.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from pynetstrat import Batch, NetworkNamespace, RtnetlinkSocket
from pynetstrat.cli import _fresh_namespaces

PATHS = [str(Path(__file__).parent.parent), *(p for p in sys.path if p.endswith("site-packages"))]
NETWORKS = [
    {"type": "loopback"},
    {
        "type": "veth",
        "name": "eth0",
        "bridge": "br0",
        "address": "10.0.0.2/24",
        "gateway": "10.0.0.1",
    },
]


def spend(code: str, state: str = "") -> tuple[float, float]:
    """The elapsed and the CPU time of an interpreter that runs a program, in milliseconds."""
    python = str(getattr(sys, "_base_executable", sys.executable))
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([python, "-I", "-c", code], input=state, text=True, check=True)
    elapsed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return 1000 * elapsed, 1000 * cpu


def hook(name: str) -> str:
    return (
        f"import sys; sys.path[:0] = {PATHS}; from pynetstrat.cli import main; "
        f"sys.exit(main(['oci-hook', {name!r}]))"
    )


def measure(rounds: int) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    with NetworkNamespace.create() as container, RtnetlinkSocket() as host:
        host.execute(Batch().add_bridge("br0", up=True))
        host.execute(Batch().add_address(host.get_link("br0").index, "10.0.0.1/24"))
        with container.popen(["sleep", "infinity"], die_with_parent=True) as process:
            state = {"ociVersion": "1.0.2", "id": "web", "pid": process.pid, "bundle": "/"}
            plain = json.dumps(state)
            annotated = json.dumps(
                state | {"annotations": {"pynetstrat.networks": json.dumps(NETWORKS)}}
            )
            cases = {
                "bare interpreter": ("", ""),
                "createRuntime, without an annotation": (hook("createRuntime"), plain),
                "createRuntime": (hook("createRuntime"), annotated),
                "poststop": (hook("poststop"), annotated),
            }
            for turn in range(rounds + 1):
                for name, (code, text) in cases.items():
                    took = spend(code, text)
                    if turn:  # the first reads the files from the disk
                        found.setdefault(name, []).append(took)
            process.kill()
    return found


def main() -> None:
    _fresh_namespaces.enter()
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
    print(f"{'':38} {'elapsed':>18} {'CPU':>18}  ms: median (fastest tenth)")
    for name, values in found.items():
        columns = []
        for column in zip(*values, strict=True):
            ordered = sorted(column)
            columns.append(f"{statistics.median(column):8.1f} ({ordered[len(ordered) // 10]:.1f})")
        print(f"{name:38} {columns[0]:>18} {columns[1]:>18}")


if __name__ == "__main__":
    main()
