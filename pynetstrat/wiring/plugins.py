"""Plug-ins: strategies that other installed packages provide by entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from ..strategy import BUILT_IN, ENTRY_POINT_GROUP, NetworkStrategy, get_strategy, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class _Strategies(Mapping[str, NetworkStrategy]):
    """The registered strategies and the plug-ins, by type.

    Parameters:
        provided: where each plug-in and each built-in strategy is found, by type.
    """

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
    """Returns the available strategies by type.

    The mapping is read-only and follows later registrations. It lists the strategies of other
    packages without loading them; a lookup loads the strategy, as `get_strategy` does.

    Example:
        >>> sorted(strategies())
        ['host-device', 'loopback', 'veth']
    """
    built_in = dict.fromkeys(BUILT_IN, "")
    return _Strategies({**_provided(), **built_in})


def sources() -> dict[str, str]:
    """Returns where each strategy is defined, as "module:name", by type. Loads no strategy."""
    registered = {
        name: f"{type(strategy).__module__}:{type(strategy).__qualname__}"
        for name, strategy in registry.items()
    }
    package = __name__.partition(".")[0]
    built_in = {name: f"{package}.{module}:{kind}" for name, (module, kind) in BUILT_IN.items()}
    return {**_provided(), **built_in, **registered}


def _provided() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
