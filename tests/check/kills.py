"""Kills `network set-up` and `tear-down` before and after every system call (tests/killed.py)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import helpers_network
import killed

from pynetstrat.cli import _fresh_namespaces


def work(what: str, action: str) -> None:
    _fresh_namespaces.enter()
    helpers_network.be_patient()
    with helpers_network.own_run(), tempfile.TemporaryDirectory() as folder:
        stage = killed.Stage(what, Path(folder))
        count = sum(1 for _ in killed.sweep(stage, action, None))
        stage.close()
    print(f"  {what}, {action}: {count} kills")


def main() -> None:
    if sys.argv[1:]:
        work(*sys.argv[1:])
        return
    # In parallel, because most of the time the kernel waits for all processors.
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", __file__, what, action],
            stdout=subprocess.PIPE,
            text=True,
        )
        for what in killed.NETWORKS
        for action in ("set-up", "tear-down")
    ]
    texts = [child.communicate()[0] for child in children]
    print(*texts, sep="", end="")
    kills = sum(int(text.split()[-2]) for text in texts if text)
    findings = sum(child.returncode != 0 for child in children)
    print(f"{kills} faults tried, {findings} findings")
    sys.exit(findings > 0)


if __name__ == "__main__":
    main()
