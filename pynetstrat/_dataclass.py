"""Dataclasses that do not load `dataclasses`, whose import takes longer than that of this package.

A class of `dataclass` has what `dataclasses.dataclass(slots=True)` gives it. Only the attributes
from which others see a dataclass, `__dataclass_fields__` and `__dataclass_params__`, are made when
they are first read, by `dataclasses.fields`, `replace` or `asdict`, or by a derived dataclass: they
are those of a dataclass of the standard library with the same fields.

Type checkers see the functions of the standard library. A class of `dataclass` has no base class;
of the settings of `field` it takes `default`, `default_factory`, `compare` and `repr`.
"""

from __future__ import annotations

import sys
from operator import attrgetter
from reprlib import recursive_repr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Type = type[Any]


class _Settings(dict):  # type: ignore[type-arg]
    """The arguments of `field`, in the body of a class."""


class _Factory:
    """The default of a parameter whose field has a factory."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


class _Twin:
    """A dataclass of the standard library with the same fields, made when it is first needed.

    Parameters:
        name: the name of the class.
        annotations: the types of the fields, by name.
        given: the defaults and the settings of fields, by name.
        frozen: as for `dataclasses.dataclass`.
    """

    def __init__(
        self, name: str, annotations: Mapping[str, Any], given: Mapping[str, Any], frozen: bool
    ) -> None:
        self._arguments = name, annotations, given, frozen
        self._made: Type | None = None

    def get(self) -> Type:
        """Returns the dataclass."""
        if self._made is None:
            import dataclasses

            name, annotations, given, frozen = self._arguments
            body: dict[str, Any] = {"__doc__": name, "__annotations__": annotations}
            for key, value in given.items():
                body[key] = dataclasses.field(**value) if isinstance(value, _Settings) else value
            self._made = dataclasses.dataclass(frozen=frozen, slots=True)(type(name, (), body))
        return self._made


class _OfTwin:
    """An attribute of a class that is its twin's."""

    def __init__(self, twin: _Twin, name: str) -> None:
        self._twin = twin
        self._name = name

    def __get__(self, instance: object, owner: object) -> object:
        return getattr(self._twin.get(), self._name)


def _field(**settings: Any) -> Any:
    return _Settings(settings)


def _dataclass(*, slots: bool, frozen: bool = False) -> Callable[[Type], Type]:
    """Returns the decorator. `slots` must be true."""
    assert slots

    def make(written: Type) -> Type:
        body = dict(vars(written))
        annotations = dict(written.__annotations__)
        given = {name: body.pop(name) for name in annotations if name in body}
        twin = _Twin(written.__name__, annotations, given, frozen)
        made = {
            "__init__": _init(written, annotations, given, frozen),
            "__repr__": _repr(_chosen("repr", annotations, given)),
            "__replace__": _replace,  # for copy.replace() of Python 3.13
            "__slots__": tuple(annotations),
            "__match_args__": tuple(annotations),
            "__dataclass_fields__": _OfTwin(twin, "__dataclass_fields__"),
            "__dataclass_params__": _OfTwin(twin, "__dataclass_params__"),
            **_comparison(_chosen("compare", annotations, given)),
            **(_frozen(tuple(annotations)) if frozen else {}),
        }
        for name in ("__dict__", "__weakref__"):  # a class with slots has none
            del body[name]
        body["__qualname__"] = written.__qualname__
        return type(written.__name__, (), made | body)

    return make


def _chosen(setting: str, names: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The fields for which a setting is not False."""
    fields = {name: given.get(name) for name in names}
    return [n for n, of in fields.items() if not isinstance(of, _Settings) or of.get(setting, True)]


def _init(
    written: Type, annotations: Mapping[str, Any], given: Mapping[str, Any], frozen: bool
) -> Callable[..., None]:
    """Makes `__init__`, from text: it has a parameter for each field, and is as fast as others."""
    variables: dict[str, Any] = {"_set": object.__setattr__, "_factory": _FACTORY}
    variables["__name__"] = written.__module__
    parameters, lines = ["self"], []
    for name in annotations:
        parameter, value = name, name
        if name in given:
            default = given[name]
            settings = default if isinstance(default, _Settings) else {"default": default}
            if "default_factory" in settings:
                variables[f"_make_{name}"] = settings["default_factory"]
                parameter = f"{name}=_factory"
                value = f"_make_{name}() if {name} is _factory else {name}"
            else:
                variables[f"_default_{name}"] = settings["default"]
                parameter = f"{name}=_default_{name}"
        parameters.append(parameter)
        lines.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines), variables)  # noqa: S102
    init: Callable[..., None] = variables["__init__"]
    init.__qualname__ = f"{written.__qualname__}.__init__"
    init.__annotations__ = {**annotations, "return": None}
    return init


def _repr(names: list[str]) -> Callable[[Any], str]:
    @recursive_repr()
    def __repr__(self: Any) -> str:  # noqa: N807
        shown = ", ".join([f"{name}={getattr(self, name)!r}" for name in names])
        return f"{type(self).__qualname__}({shown})"

    return __repr__


def _comparison(names: list[str]) -> dict[str, Any]:
    values = attrgetter(*names)

    def __eq__(self: Any, other: Any) -> Any:  # noqa: N807
        return values(self) == values(other) if type(self) is type(other) else NotImplemented

    return {"__eq__": __eq__, "__hash__": None}


def _frozen(names: tuple[str, ...]) -> dict[str, Any]:
    """What makes an object immutable, and so hashable."""
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
    if not isinstance(_static(kind, "__dataclass_fields__"), _OfTwin):  # a derived dataclass
        return sys.modules["dataclasses"].replace(thing, **changes)
    return kind(**{name: getattr(thing, name) for name in kind.__match_args__} | changes)


def _static(kind: Type, name: str) -> object:
    return next(vars(base)[name] for base in kind.__mro__ if name in vars(base))


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:
    dataclass, field, replace = _dataclass, _field, _replace
