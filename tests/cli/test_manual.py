"""docs/manual/: the manual page and the completions, which are made from the parser."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import support

from pynetstrat import cli

MANUAL = Path(__file__).parent.parent.parent / "docs" / "manual"
FILES = ["pynetstrat.1", "pynetstrat.bash", "_pynetstrat", "pynetstrat.fish"]


@pytest.mark.slow
def test_the_manual_page_and_the_completions_are_up_to_date(tmp_path):
    """After a change of a command's arguments: `./build.sh manual`."""
    shutil.copytree(MANUAL, tmp_path / "manual")
    for name in FILES:
        (tmp_path / "manual" / name).unlink()
    support.run([sys.executable, str(tmp_path / "manual" / "build.py")], env=os.environ)
    for name in FILES:
        made = (tmp_path / "manual" / name).read_text()
        assert (MANUAL / name).read_text() == made, f"{name}: run ./build.sh manual"


def test_the_manual_page_has_each_command_with_its_options():
    page = (MANUAL / "pynetstrat.1").read_text()
    for command in cli.COMMANDS:
        assert f"\n.SS {command.replace('-', chr(92) + '-')}\n" in page
    for option in ("exclude-container", "perspective", "version"):
        assert "\\-\\-" + option.replace("-", "\\-") in page


def complete_in_bash(*words: str) -> list[str]:
    """Returns what bash offers for the last word; "DEFAULT" if readline completes file names."""
    script = f"""
compopt() {{ echo "DEFAULT"; }}
. {shlex.quote(str(MANUAL / "pynetstrat.bash"))}
COMP_WORDS=({shlex.join(["pynetstrat", *words])})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_pynetstrat
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = support.run(["bash", "-c", script], env=os.environ)
    assert (done.returncode, done.stderr) == (0, "")
    return list(dict.fromkeys(done.stdout.split()))  # a program may be in two folders of PATH


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["net"], ["network"]),
        (["d"], ["down", "diagnose", "demo"]),
        (["--v"], ["--version"]),
        (["network", ""], ["set-up", "tear-down", "check"]),
        (["network", "set-up", ""], ["DEFAULT"]),
        (["network", "set-up", "--n"], ["--netns"]),
        (["stats", "--perspective", ""], ["host", "container"]),
        (["stats", "--perspective", "=", "h"], ["host"]),
        (["stats", "--perspective", "="], ["host", "container"]),
        (["stats", "--watch", ""], []),
        (["stats", "--pid", "1", "--co"], ["--count", "--container", "--containers"]),
        (["oci-hook", "--bridge", "up", "p"], ["poststop"]),
        (["up", "--netns", "/run"], ["DEFAULT"]),
        (["run", "--", "--netn"], []),
        (["run", "mkfif"], ["mkfifo"]),
        (["run", "mkfifo", "x"], ["DEFAULT"]),
    ],
)
def test_bash_completes_commands_options_and_values(words, offered):
    assert complete_in_bash(*words) == offered


def test_bash_completes_interfaces_and_processes_of_this_machine():
    assert complete_in_bash("up", "l") == ["lo"]
    assert str(os.getpid()) in complete_in_bash("up", "--pid", "")
