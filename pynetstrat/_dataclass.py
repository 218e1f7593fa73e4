"""Dataclasses that do not load `dataclasses`, whose import takes longer than that of this package.

A class of `dataclass` has what `dataclasses.dataclass(slots=True)` gives it, but two things wait
until they are needed. `__init__` and `__eq__` are compiled when they are first called. The
attributes from which others see a dataclass, `__dataclass_fields__` and `__dataclass_params__`, are
those of a dataclass of the standard library with the same fields. It is made when they are first
read, by `dataclasses.fields`, `replace` or `asdict`, or by a derived dataclass.

Type checkers see the functions of the standard library. A class of `dataclass` has no base class,
or one that is a class of `dataclass` too; `field` takes `default`, `default_factory`, `compare` and
`repr`.
"""

from __future__ import annotations

import sys
from _operator import attrgetter
from reprlib import recursive_repr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Type = type[Any]


class _Settings(dict):  # type: ignore[type-arg]
    """The arguments of `field`, in the body of a class."""


class _Factory:
    """The default of a parameter whose field has a factory."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


class _Fields:
    """The fields of a class.

    Parameters:
        annotations: the types of the class's own fields, by name.
        given: the default or the settings of those that have one, by name.
        frozen: whether objects are immutable.
        base: the fields of the base class, which come first; None if it has none.
    """

    def __init__(
        self,
        annotations: dict[str, Any],
        given: dict[str, Any],
        frozen: bool,
        base: _Fields | None = None,
    ) -> None:
        self._annotations: dict[str, Any] = dict(base._annotations) if base else {}
        self._annotations |= annotations
        self._settings: dict[str, dict[str, Any]] = dict(base._settings) if base else {}
        for name, value in given.items():
            settings = value if isinstance(value, _Settings) else _Settings(default=value)
            self._settings[name] = settings
        self._frozen = frozen
        self._twin: Type | None = None

    def names(self) -> tuple[str, ...]:
        """Returns the names of the fields, in order."""
        return tuple(self._annotations)

    def chosen(self, setting: str) -> list[str]:
        """Returns the fields for which a setting is not False."""
        return [
            name for name in self._annotations if self._settings.get(name, {}).get(setting, True)
        ]

    def twin(self) -> Type:
        """Returns a dataclass of the standard library with these fields."""
        if self._twin is None:
            import dataclasses

            body: dict[str, Any] = {"__annotations__": self._annotations, "__doc__": "A twin."}
            body |= {name: dataclasses.field(**given) for name, given in self._settings.items()}
            make = dataclasses.dataclass(frozen=self._frozen, slots=True)
            self._twin = make(type("Twin", (), body))
        return self._twin

    def compile_init(self, owner: Type) -> Callable[..., Any]:
        """Returns `__init__`, which has a parameter for each field."""
        variables: dict[str, Any] = {"_set": object.__setattr__, "_factory": _FACTORY}
        variables["__name__"] = owner.__module__
        parameters, lines = ["self"], []
        for name in self._annotations:
            parameter, value = name, name
            given = self._settings.get(name, {})
            if "default_factory" in given:
                variables[f"_make_{name}"] = given["default_factory"]
                parameter = f"{name}=_factory"
                value = f"_make_{name}() if {name} is _factory else {name}"
            elif "default" in given:
                variables[f"_default_{name}"] = given["default"]
                parameter = f"{name}=_default_{name}"
            parameters.append(parameter)
            set_it = f"_set(self, {name!r}, {value})" if self._frozen else f"self.{name} = {value}"
            lines.append(set_it)
        init = _compile(owner, "__init__", parameters, lines, variables)
        init.__annotations__ = {**self._annotations, "return": None}
        return init

    def compile_eq(self, owner: Type) -> Callable[..., Any]:
        """Returns `__eq__`, in which the interpreter reads fields faster than attrgetter does."""
        mine, others = (
            "".join([f"{thing}.{name}, " for name in self.chosen("compare")])
            for thing in ("self", "other")
        )
        lines = [
            "if type(self) is not type(other):",
            "    return NotImplemented",
            f"return ({mine}) == ({others})",
        ]
        variables: dict[str, Any] = {"__name__": owner.__module__}
        return _compile(owner, "__eq__", ["self", "other"], lines, variables)


def _compile(
    owner: Type, name: str, parameters: list[str], lines: list[str], variables: dict[str, Any]
) -> Callable[..., Any]:
    """Returns a method, made of a text of names of fields only."""
    text = f"def {name}({', '.join(parameters)}):\n " + "\n ".join(lines)
    exec(text, variables)  # noqa: S102
    made: Callable[..., Any] = variables[name]
    made.__qualname__ = f"{owner.__qualname__}.{name}"
    return made


class _Compiled:
    """A method of a class until it is first read."""

    def __init__(self, compile_it: Callable[[Type], Callable[..., Any]]) -> None:
        self._compile = compile_it

    def __set_name__(self, owner: Type, name: str) -> None:
        self._owner, self._name = owner, name

    def __get__(self, instance: object, kind: object) -> Any:
        made = self._compile(self._owner)
        setattr(self._owner, self._name, made)
        return made if instance is None else made.__get__(instance)


class _OfTwin:
    """An attribute of a class that is its twin's."""

    def __init__(self, fields: _Fields) -> None:
        self.fields = fields

    def __set_name__(self, owner: Type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, kind: object) -> object:
        return getattr(self.fields.twin(), self._name)


def _field(**settings: Any) -> Any:
    return _Settings(settings)


def _dataclass(*, slots: bool, frozen: bool = False) -> Callable[[Type], Type]:
    """Returns the decorator. `slots` must be true."""
    assert slots

    def make(written: Type) -> Type:
        body = dict(vars(written))
        (base,) = written.__bases__
        inherited = None if base is object else vars(base)["__dataclass_fields__"].fields
        own = tuple(written.__annotations__)
        given = {name: body.pop(name) for name in own if name in body}
        fields = _Fields(written.__annotations__, given, frozen, inherited)
        names = fields.names()
        made = {
            "__init__": _Compiled(fields.compile_init),
            "__eq__": _Compiled(fields.compile_eq),
            "__hash__": None,
            "__repr__": _repr(fields.chosen("repr")),
            "__replace__": _replace,  # for copy.replace() of Python 3.13
            "__slots__": own,
            "__match_args__": names,
            "__dataclass_fields__": _OfTwin(fields),
            "__dataclass_params__": _OfTwin(fields),
            **(_immutable(names) if frozen else {}),
        }
        for name in ("__dict__", "__weakref__"):  # a class with slots has none
            del body[name]
        body["__qualname__"] = written.__qualname__
        return type(written.__name__, written.__bases__, made | body)

    return make


def _repr(names: list[str]) -> Callable[[Any], str]:
    @recursive_repr()
    def __repr__(self: Any) -> str:  # noqa: N807
        shown = ", ".join([f"{name}={getattr(self, name)!r}" for name in names])
        return f"{type(self).__qualname__}({shown})"

    return __repr__


def _immutable(names: tuple[str, ...]) -> dict[str, Any]:
    values = attrgetter(*names)

    def refuse(self: Any, name: str, *value: object) -> None:
        raise AttributeError(f"{type(self).__qualname__} is immutable")

    return {
        "__setattr__": refuse,
        "__delattr__": refuse,
        "__hash__": lambda self: hash(values(self)),
        "__reduce__": lambda self: (type(self), values(self)),
    }


def _replace(thing: Any, /, **changes: Any) -> Any:
    """Returns a copy of an object of `dataclass`, or of a derived class, with changed fields."""
    kind = type(thing)
    found = next(vars(base) for base in kind.__mro__ if "__dataclass_fields__" in vars(base))
    if not isinstance(found["__dataclass_fields__"], _OfTwin):  # a derived dataclass
        return sys.modules["dataclasses"].replace(thing, **changes)
    return kind(**{name: getattr(thing, name) for name in kind.__match_args__} | changes)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:
    dataclass, field, replace = _dataclass, _field, _replace
