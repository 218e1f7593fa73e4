"""Writes the manual page and the completions of the shells beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import completions  # noqa: E402
import page  # noqa: E402
from commands import read_commands  # noqa: E402


def render() -> dict[str, str]:
    """Returns the text of each file, by its name."""
    program = read_commands()
    return {
        "pynetstrat.1": page.render(program),
        "pynetstrat.bash": completions.bash(program),
        "_pynetstrat": completions.zsh(program),
        "pynetstrat.fish": completions.fish(program),
    }


if __name__ == "__main__":
    for name, text in render().items():
        (HERE / name).write_text(text)
        print(HERE / name)
