"""Plug-ins: the strategies that other installed packages provide, by entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from ..errors import StrategyLoadError, UnknownStrategyError
from . import BUILT_IN, NetworkStrategy, get_strategy, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: The entry-point group under which other packages provide strategies.
ENTRY_POINT_GROUP = "pynetstrat.strategies"


class _Strategies(Mapping[str, NetworkStrategy]):
    """The strategies by type: those registered, and then the plug-ins found when it was made."""

    __slots__ = ("_provided",)

    def __init__(self, provided: dict[str, str]) -> None:
        self._provided = provided

    def __iter__(self) -> Iterator[str]:
        return iter({**registry, **self._provided})

    def __len__(self) -> int:
        return len(registry.keys() | self._provided.keys())

    def __contains__(self, type: object) -> bool:
        return type in registry or type in self._provided

    def __getitem__(self, type: str) -> NetworkStrategy:
        if type not in self:
            raise KeyError(type)
        return get_strategy(type)

    def __repr__(self) -> str:
        return f"<strategies: {', '.join(map(repr, self))}>"


def strategies() -> Mapping[str, NetworkStrategy]:
    """The strategies that there are, by type: a read-only view that follows later registrations.

    Those of other packages are listed without being loaded: only looking one up loads it, as
    `get_strategy` does.
    """
    built_in = dict.fromkeys(BUILT_IN, "")
    return _Strategies({**_provided(), **built_in})


def sources() -> dict[str, str]:
    """Where each strategy comes from, as "module:name", by type. Loads none."""
    registered = {
        name: f"{type(strategy).__module__}:{type(strategy).__qualname__}"
        for name, strategy in registry.items()
    }
    package = __name__.rpartition(".")[0]
    built_in = {name: f"{package}.{home}:{kind}" for name, (home, kind) in BUILT_IN.items()}
    return {**_provided(), **built_in, **registered}


def _provided() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}


def load(type: str) -> NetworkStrategy:
    """What `get_strategy` gives of a type that is not registered."""
    points = entry_points(group=ENTRY_POINT_GROUP)
    providers = {point.value: point for point in points if point.name == type and type}
    if not providers:
        known = {**registry, **BUILT_IN, **dict.fromkeys(point.name for point in points)}
        raise UnknownStrategyError(type, tuple(known))
    if len(providers) > 1:
        raise StrategyLoadError(type, "several provide it: " + ", ".join(sorted(providers)))
    (value, point), *_ = providers.items()
    try:
        strategy = point.load()
        if not isinstance(strategy, NetworkStrategy):  # a class, or any factory of one
            strategy = strategy()
    except Exception as error:
        raise StrategyLoadError(type, f"{value} failed: {error!r}") from error
    if not isinstance(strategy, NetworkStrategy):
        raise StrategyLoadError(type, f"{value} must give a NetworkStrategy, not {strategy!r}")
    return registry.setdefault(type, strategy)
