"""What the documents show: their examples run, and print what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import support

DOCUMENTS = [
    Path("README.md"),
    *sorted(p.relative_to(support.ROOT) for p in (support.ROOT / "docs").glob("*.md")),
]
# A block of Python and, if it stands right behind, a block of what it prints.
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n^```\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def examples() -> list[object]:
    """Every block of Python in the documents, by document and line."""
    found = []
    for document in DOCUMENTS:
        text = (support.ROOT / document).read_text()
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(match[1], match[2], id=f"{document}:{line}"))
    return found


@pytest.mark.parametrize(("code", "printed"), examples())
def test_an_example_runs_and_prints_what_is_shown(
    net: support.Links, code: str, printed: str | None
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    if printed is not None:
        assert done.stdout.split() == printed.split()


def test_the_document_of_errors_is_printed_from_the_table() -> None:
    printed = support.run([sys.executable, "docs/print_errors.py"])
    assert printed.stdout == (support.ROOT / "docs" / "errors.md").read_text()


def test_no_line_of_a_document_is_wider_than_the_page() -> None:
    """Tables, addresses and what programs print may be."""
    wide = [
        f"{document}: {line}"
        for document in [*DOCUMENTS, Path("CONTRIBUTING.md"), Path("csrc/README.md")]
        for line in prose((support.ROOT / document).read_text())
        if len(line) > 100
    ]
    assert wide == []


def prose(text: str) -> list[str]:
    """The lines outside code blocks and tables."""
    lines = []
    inside = False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside and not line.startswith("|") and "](" not in line:
            lines.append(line)
    return lines
