"""The comments in csrc/netstrat.h: each function and struct has one, in the form of kernel-doc."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HEADER = (Path(__file__).parent.parent / "csrc" / "netstrat.h").read_text()
COMMENTS = re.findall(r"/\*\*\n \* (netstrat_\w+)\(\) - (.*?)\*/", HEADER, re.DOTALL)
CODE = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)
FUNCTIONS = re.findall(r"NETSTRAT_API (\w[^;(]*?)(netstrat_\w+)\(([^;]*)\);", CODE)


def parameters(declared: str) -> list[str]:
    """The names of a function's parameters. The conventions describe `error` once for all."""
    declared = re.sub(r"\(\*(\w+)\)\([^)]*\)", r"\1", declared)  # a pointer to a function
    names = [re.findall(r"\w+", re.sub(r"\[.*?\]", "", part))[-1] for part in declared.split(",")]
    return [name for name in names if name != "error"]


def test_each_function_has_one_comment():
    assert len(FUNCTIONS) > 100
    assert [name for name, _ in COMMENTS] == [name for _, name, _ in FUNCTIONS]


@pytest.mark.parametrize(("kind", "name", "declared"), FUNCTIONS, ids=[f[1] for f in FUNCTIONS])
def test_a_comment_describes_each_parameter_and_the_result(kind, name, declared):
    comment = dict(COMMENTS)[name]
    described = re.findall(r"^ \* @(\w+):", comment, re.MULTILINE)
    assert [one for one in described if one != "error"] == parameters(declared)
    # What the functions return that add a message to a batch is described at struct netstrat_batch.
    if kind.strip() != "void" and "batch: the batch\n" not in comment:
        assert "\n * Return: " in comment


def test_each_struct_and_enum_has_a_comment():
    named = re.findall(r"^((?:struct|enum) netstrat_\w+) \{", CODE, re.MULTILINE)
    documented = re.findall(
        r"^(?:/\*\*| \*) ((?:struct|enum) netstrat_\w+) - ", HEADER, re.MULTILINE
    )
    assert documented == named
