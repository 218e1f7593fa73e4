"""Docstrings of public names: each says what a reader needs to call it."""

from __future__ import annotations

import doctest
import inspect
import re

import pytest
import support

import pynetstrat
from pynetstrat import NetstratError, link_set_up, prometheus

PUBLIC = {name: getattr(pynetstrat, name) for name in pynetstrat.__all__}
PUBLIC["ContainerCollector"] = prometheus.ContainerCollector
FUNCTIONS = {name: value for name, value in PUBLIC.items() if inspect.isfunction(value)}
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}

# These raise nothing that a caller could avoid or handle.
RAISE_NOTHING = {"strategies"}


def sections(value: object) -> dict[str, str]:
    """The sections of a docstring by their title: `Parameters`, `Returns`, `Raises`, ..."""
    text = inspect.getdoc(value) or ""
    parts = re.split(r"^([A-Z][a-z]+):$", text, flags=re.MULTILINE)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


def described(section: str) -> set[str]:
    """The names that a section describes: `name: ...`, or `first, second: ...`."""
    entries = re.findall(r"^ {4}(\w+(?:, \w+)*): ", section, flags=re.MULTILINE)
    return {name for entry in entries for name in entry.split(", ")}


def examples(value: object) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(inspect.getdoc(value) or "")


# Their docstrings have an example that shows what it prints. That of `diagnose` is of a machine on
# which everything is allowed.
SHOWN = [name for name in PUBLIC if any(one.want for one in examples(PUBLIC[name]))]


def parameters(function: object) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self", "cls"}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_describes_its_parameters_its_result_and_its_errors(name: str) -> None:
    function = FUNCTIONS[name]
    found = sections(function)
    assert described(found.get("Parameters", "")) == parameters(function)
    if function.__annotations__["return"] not in (None, "None"):
        assert "Returns" in found or found[""].startswith("Returns ")
    assert ("Raises" in found) is (name not in RAISE_NOTHING)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_describes_what_it_is_made_of(name: str) -> None:
    """Its parameters, or, if users receive it ready made, its attributes."""
    cls = CLASSES[name]
    if cls is pynetstrat.NetworkNamespace or "__init__" not in vars(cls):
        return  # made by its class methods; inherits the constructor of a base
    documented = [
        sections(base) for base in cls.__mro__ if base.__module__.startswith("pynetstrat")
    ]
    named = {
        name
        for found in documented
        for title in ("Parameters", "Attributes")
        for name in described(found.get(title, ""))
    }
    assert parameters(cls.__init__) - named == set()


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_method_and_property_has_a_docstring(name: str) -> None:
    for key, value in vars(CLASSES[name]).items():
        if not key.startswith("_") and (callable(value) or isinstance(value, property)):
            assert inspect.getdoc(value), key


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_method_describes_its_parameters(name: str) -> None:
    """In its own docstring, or in that of the method of a base class."""
    cls = CLASSES[name]
    for key, value in vars(cls).items():
        method = getattr(value, "__func__", value)
        if not key.startswith("_") and inspect.isfunction(method):
            bases = [vars(base)[key] for base in cls.__mro__ if key in vars(base)]
            named = [described(sections(base).get("Parameters", "")) for base in bases]
            assert parameters(method) - set().union(*named) == set(), key


@pytest.mark.parametrize("name", [name for name in SHOWN if name != "diagnose"])
def test_an_example_prints_what_its_docstring_shows(net: support.Links, name: str) -> None:
    link_set_up("lo")
    names = {name: getattr(pynetstrat, name) for name in pynetstrat.__all__}
    example = doctest.DocTest(examples(PUBLIC[name]), names, name, None, None, None)
    failures: list[str] = []
    doctest.DocTestRunner().run(example, out=failures.append)
    assert failures == []


@pytest.mark.parametrize("name", [n for n, c in CLASSES.items() if issubclass(c, NetstratError)])
def test_an_error_says_in_one_line_when_it_is_raised(name: str) -> None:
    assert len((inspect.getdoc(CLASSES[name]) or "").splitlines()[0]) > 20
