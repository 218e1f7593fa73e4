"""Plug-ins: the strategies that other installed packages provide, by entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from ..strategy import BUILT_IN, ENTRY_POINT_GROUP, NetworkStrategy, get_strategy, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


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
    package = __name__.partition(".")[0]
    built_in = {name: f"{package}.{module}:{kind}" for name, (module, kind) in BUILT_IN.items()}
    return {**_provided(), **built_in, **registered}


def _provided() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
