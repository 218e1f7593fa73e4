"""The documents: their examples run and print the text shown; files and tests they name exist."""

from __future__ import annotations

import os
import pkgutil
import re
import sys
from pathlib import Path

import pytest
import support

import pynetstrat

README = Path("README.md")
DOCUMENTS = [
    README,
    *(path.relative_to(support.ROOT) for path in sorted((support.ROOT / "docs").glob("*.md"))),
]
EVERY_DOCUMENT = [
    *DOCUMENTS,
    *map(Path, ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "csrc/README.md")),
    *map(Path, ("tests/cases/README.md", "tests/fuzz/README.md")),
]


def read(document: Path) -> str:
    return (support.ROOT / document).read_text()


# ---- examples ----

# A block of Python and, if it follows directly, a block of what it prints.
PYTHON = re.compile(r"^```python\n(.*?)^```\n(?:\n^```\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
C = re.compile(r"^```c\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def blocks(pattern: re.Pattern[str], documents: list[Path]) -> list[object]:
    """Every block of a language, named by its document and line."""
    found = []
    for document in documents:
        text = read(document)
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(*match.groups(), id=f"{document}:{line}"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("code", "printed"), blocks(PYTHON, DOCUMENTS))
def test_an_example_in_python_prints_what_is_shown(
    net: support.Links, code: str, printed: str | None
) -> None:
    done = support.fork_python(code)
    assert done.returncode == 0, done.stderr
    if printed is not None:
        assert done.stdout.split() == printed.split()


@pytest.mark.slow
@pytest.mark.parametrize("session", blocks(CONSOLE, [README]))
def test_an_example_for_the_shell_prints_what_is_shown(
    net: support.Links, run: None, tmp_path: Path, session: tuple[str]
) -> None:
    """Lines that begin with "$ " are commands, the others are their output."""
    lines = session.splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    printed = [line for line in lines if not line.startswith("$ ")]
    # The command is found beside the interpreter that runs the tests.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = support.run(["bash", "-euc", "\n".join(commands)], cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == "\n".join(printed).split()


@pytest.mark.slow
@pytest.mark.parametrize("program", blocks(C, [README]))
def test_an_example_in_c_brings_lo_up(net: support.Links, tmp_path: Path, program: str) -> None:
    source = tmp_path / "program.c"
    source.write_text(program)
    amalgamation = tmp_path / "core"
    assert support.run(["csrc/amalgamate.sh", str(amalgamation)]).returncode == 0
    command = ["cc", "-o", "program", f"-I{amalgamation}", "program.c"]
    compiled = support.run([*command, str(amalgamation / "netstrat.c"), "-pthread"], cwd=tmp_path)
    assert compiled.stderr == ""
    done = support.run([str(tmp_path / "program")])
    assert (done.returncode, done.stderr) == (0, "")
    assert "UP" in support.run(["ip", "link", "show", "lo"]).stdout


# ---- what documents name ----

# Where a path in a document can begin. Words in capitals (csrc/OBJECT.c) stand for any name.
PATHS = re.compile(
    r"(?<![\w/.-])(?:benchmarks|csrc|docs|examples|pynetstrat|tests|\.ci)/[\w./*-]*[\w/*]"
)
TESTS = re.compile(r"\btest_[a-z]\w+")
C_TESTS = re.compile(r"(tests/c/\w+\.c)::(\w+)")
# Names in Python. An annotation of a container, and a module that 0.1 had, look like names too.
NAMES = re.compile(r"\bpynetstrat(?:\.[A-Za-z_]\w*)+")
OTHER_NAMES = {"pynetstrat.networks", "pynetstrat.reference", "pynetstrat.bash", "pynetstrat.fish"}
LINKS = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
ANCHORS = re.compile(r"\]\(([^)#:]*)#([^)]*)\)")
HEADINGS = re.compile(r"^#+ (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def every_test() -> set[str]:
    """The names of every test in Python, and of every file of tests."""
    names = {path.stem for path in support.ROOT.glob("tests/**/*.c")}
    for source in support.ROOT.glob("tests/**/*.py"):
        names |= {source.stem, *re.findall(r"^(?:async )?def (test_\w+)", source.read_text(), re.M)}
    return names


def exists(pattern: str) -> bool:
    """Whether a file matches; of the package, also where only the installed one exists."""
    installed = Path(pynetstrat.__file__).parent.parent
    root = installed if pattern.startswith("pynetstrat/") else support.ROOT
    return any(root.glob(pattern))


@pytest.mark.parametrize("document", EVERY_DOCUMENT, ids=str)
def test_every_path_and_test_that_a_document_names_exists(
    document: Path, every_test: set[str]
) -> None:
    text = read(document)
    paths = {path for path in PATHS.findall(text) if not re.search("[A-Z]{2}", Path(path).stem)}
    paths |= {str(document.parent / target) for target in LINKS.findall(text)}
    assert [path for path in paths if not exists(path.rstrip("/"))] == []
    shown = re.findall(r"^def (test_\w+)", text, re.MULTILINE)  # in an example
    assert set(TESTS.findall(text)) - every_test - set(shown) == set()
    for file, name in C_TESTS.findall(text):
        assert f"TEST({name})" in read(Path(file))


@pytest.mark.parametrize("document", EVERY_DOCUMENT, ids=str)
def test_every_section_that_a_document_links_to_exists(document: Path) -> None:
    for target, anchor in ANCHORS.findall(read(document)):
        headings = HEADINGS.findall(read(document.parent / target if target else document))
        slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in slugs, target


@pytest.mark.parametrize("document", EVERY_DOCUMENT, ids=str)
def test_every_module_and_public_name_that_a_document_names_exists(document: Path) -> None:
    for name in set(NAMES.findall(read(document))) - OTHER_NAMES:
        pkgutil.resolve_name(name)


def test_the_readme_has_no_links_that_a_package_index_would_break() -> None:
    """Of an image that is not found, a package index shows the description."""
    links = [link for link in LINKS.findall(read(README)) if not link.startswith("http")]
    assert [link for link in links if not link.endswith(".svg")] == []


def test_the_document_of_errors_is_printed_from_the_table() -> None:
    printed = support.run([sys.executable, "docs/print_errors.py"])
    assert printed.stdout == read(Path("docs/errors.md"))


def test_the_lines_of_a_document_have_at_most_100_columns() -> None:
    """Tables, lines with a link and blocks of code excepted."""
    wide = [
        f"{document}: {line}"
        for document in EVERY_DOCUMENT
        for line in prose(read(document))
        if len(line) > 100
    ]
    assert wide == []


def prose(text: str) -> list[str]:
    """The lines outside code blocks and tables, and without links."""
    lines = []
    inside = False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside and not line.startswith(("|", "    ")) and "](" not in line:
            lines.append(line)
    return lines
