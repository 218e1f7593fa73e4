"""_dataclass.py: our dataclasses are dataclasses for those who use them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import typing

import pytest
import support

import pynetstrat
from pynetstrat import (
    Address,
    Event,
    FinalCounters,
    Link,
    Network,
    NetworkInterface,
    OwnedLink,
    Qdisc,
    Route,
)
from pynetstrat._dataclass import _dataclass, _field, _replace

OBJECTS = [
    Network("veth", name="eth0", routes=[Route("default")], options={"a": 1}),
    NetworkInterface("lo", 1, 2, 3, 4, 5, 6, 7, 8),
    FinalCounters("lo", 1, 2, 3, 4, 5, 6, 7, 8, exact=True),
    Link(1, "lo", altnames=("a",), bridge_id="8000"),
    Address(1, "192.0.2.1/24"),
    Route("default", gateway="192.0.2.1"),
    Qdisc(1, "tbf", options={"rate": 8}),
    Event("added", link=Link(1, "lo")),
    OwnedLink("web", Link(1, "lo")),
]
EVERY = pytest.mark.parametrize("thing", OBJECTS, ids=lambda thing: type(thing).__name__)


def twin(thing):
    """A dataclass of the standard library that is written in the same way, and its object."""
    kind = type(thing)
    specifications = []
    for each in dataclasses.fields(kind):
        settings = {"compare": each.compare, "repr": each.repr}
        if each.default is not dataclasses.MISSING:
            settings["default"] = each.default
        if each.default_factory is not dataclasses.MISSING:
            settings["default_factory"] = each.default_factory
        specifications.append((each.name, each.type, dataclasses.field(**settings)))
    made = dataclasses.make_dataclass(kind.__name__, specifications, slots=True)
    return made, made(*(getattr(thing, each.name) for each in dataclasses.fields(thing)))


def test_every_public_dataclass_is_tested():
    kinds = {kind for kind in map(pynetstrat.__dict__.get, pynetstrat.__all__) if kind is not None}
    for name in pynetstrat.__all__:
        kinds.add(getattr(pynetstrat, name))
    found = {kind for kind in kinds if isinstance(kind, type) and dataclasses.is_dataclass(kind)}
    standard = {pynetstrat.Container, pynetstrat.Discovery, pynetstrat.Finding}
    assert found - standard == set(map(type, OBJECTS))


@EVERY
def test_the_functions_of_dataclasses_take_our_objects(thing):
    kind = type(thing)
    made, same = twin(thing)
    assert dataclasses.is_dataclass(kind)
    assert dataclasses.is_dataclass(thing)
    names = [each.name for each in dataclasses.fields(thing)]
    assert names == [each.name for each in dataclasses.fields(made)]
    assert all(type(each) is dataclasses.Field for each in dataclasses.fields(kind))
    assert dataclasses.asdict(thing) == dataclasses.asdict(same)
    assert dataclasses.astuple(thing) == dataclasses.astuple(same)
    first = {names[0]: "other"}
    changed = dataclasses.replace(thing, **first)
    assert (type(changed), getattr(changed, names[0])) == (kind, "other")
    assert changed != thing
    assert dataclasses.replace(thing) == thing == _replace(thing) == kind.__replace__(thing)
    assert _replace(thing, **first) == changed
    parameters = kind.__dataclass_params__
    assert (parameters.eq, parameters.order, parameters.frozen) == (True, False, False)


@EVERY
def test_our_objects_are_as_those_of_the_standard_library(thing):
    kind = type(thing)
    made, same = twin(thing)
    assert repr(thing) == repr(same)
    assert inspect.signature(kind) == inspect.signature(made) or "<factory>" in str(
        inspect.signature(kind)
    )
    assert str(inspect.signature(kind)) == str(inspect.signature(made))
    assert kind.__match_args__ == made.__match_args__
    slots = [vars(base).get("__slots__", ()) for base in reversed(kind.__mro__)]
    assert [name for own in slots for name in own] == list(made.__slots__)
    assert not hasattr(thing, "__dict__")
    assert typing.get_type_hints(kind.__init__, localns=vars(typing) | vars(pynetstrat))
    with pytest.raises(AttributeError):
        thing.unknown = 1
    with pytest.raises(TypeError):
        hash(thing)
    with pytest.raises(TypeError, match=rf"{kind.__name__}.__init__\(\) got an unexpected keyword"):
        kind(unknown=1)
    assert thing != same  # which is of another class


@EVERY
def test_objects_are_equal_if_all_fields_that_are_compared_are(thing):
    for each in dataclasses.fields(thing):
        other = _replace(thing, **{each.name: "other"})
        assert (other == thing) is not each.compare, each.name
    assert thing.__eq__(object()) is NotImplemented
    assert type(thing).__eq__.__qualname__ == f"{type(thing).__name__}.__eq__"


@EVERY
def test_our_objects_are_copied_and_pickled(thing):
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(thing, protocol)) == thing
    assert copy.copy(thing) == thing == copy.deepcopy(thing)
    assert copy.copy(thing) is not thing


def test_a_field_that_is_not_compared_or_shown_is_neither():
    link = Link(1, "br0", bridge_id="8000")
    assert link == Link(1, "br0")
    assert "bridge_id" not in repr(link)


def test_a_derived_class_of_ours_has_the_fields_of_its_base_first():
    names = [each.name for each in dataclasses.fields(FinalCounters)]
    assert names == [*NetworkInterface.__match_args__, "exact"]
    assert isinstance(FinalCounters(), NetworkInterface)
    assert FinalCounters("lo", exact=True) != FinalCounters("lo") != NetworkInterface("lo")


def test_an_object_matches_a_pattern():
    match Route("default", "192.0.2.1"):
        case Route("default", gateway=gateway):
            assert gateway == "192.0.2.1"
        case _:
            pytest.fail("no match")


def test_a_default_made_by_a_factory_belongs_to_one_object():
    first, second = Network(), Network()
    assert first.options == {} == second.options
    assert first.options is not second.options


def test_the_text_of_an_object_that_contains_itself_ends():
    network = Network()
    network.options = {"self": network}
    assert "options={'self': ...}" in repr(network)


@dataclasses.dataclass
class Labelled(Network):
    """A user's dataclass."""

    label: str = "none"


class Plain(Network):
    """A user's class."""

    def __init__(self):
        super().__init__("veth", name="eth0")


def test_a_derived_dataclass_has_all_fields():
    names = [each.name for each in dataclasses.fields(Labelled)]
    assert names == [*Network.__match_args__, "label"]
    labelled = Labelled("veth", label="x")
    assert (labelled.type, labelled.label) == ("veth", "x")
    assert dataclasses.replace(labelled, name="eth0").label == "x"
    assert _replace(labelled, name="eth0") == dataclasses.replace(labelled, name="eth0")
    assert pickle.loads(pickle.dumps(labelled)) == labelled


def test_a_derived_class_works():
    assert Plain().name == "eth0"
    assert Plain() == Plain() != Network("veth", name="eth0")
    assert dataclasses.asdict(Plain())["name"] == "eth0"


def test_an_object_is_a_dataclass_in_a_process_that_has_not_loaded_dataclasses():
    code = """
import sys
from pynetstrat import Link
assert "dataclasses" not in sys.modules
link = Link(1, "lo")
assert "dataclasses" not in sys.modules
from dataclasses import fields, is_dataclass
assert is_dataclass(link) and fields(link)[0].name == "index"
"""
    done = support.python(code, env=support.without_coverage())
    assert (done.returncode, done.stderr) == (0, "")


# ---- what only private classes use ----


@_dataclass(slots=True, frozen=True)
class Point:
    """An immutable class."""

    x: int
    y: int = 0
    tags: tuple[str, ...] = _field(default_factory=tuple)

    def __str__(self) -> str:
        return f"{self.x}/{self.y}"


def test_a_frozen_object_cannot_change_and_is_hashable():
    point = Point(1)
    for change in (
        lambda: setattr(point, "x", 2),
        lambda: delattr(point, "x"),
        lambda: setattr(point, "z", 2),
    ):
        with pytest.raises(AttributeError, match="Point is immutable"):
            change()
    assert (repr(point), str(point)) == ("Point(x=1, y=0, tags=())", "1/0")
    assert {point, Point(1), Point(1, 0, ())} == {point}
    assert dataclasses.replace(point, y=2) == _replace(point, y=2) == Point(1, 2)
    assert Point.__dataclass_params__.frozen
    assert pickle.loads(pickle.dumps(point)) == copy.deepcopy(point) == point
