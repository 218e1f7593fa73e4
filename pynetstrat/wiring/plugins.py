"""Plug-ins: strategies that other installed packages provide by entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from ..strategy import ENTRY_POINT_GROUP, LAZY_STRATEGIES, NetworkStrategy, get_strategy, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class _Strategies(Mapping[str, NetworkStrategy]):
    """The registered strategies and the plug-ins, by type.

    Parameters:
        types: of the plug-ins and the built-in strategies.
    """

    __slots__ = ("_types",)

    def __init__(self, types: Iterable[str]) -> None:
        self._types = tuple(types)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*registry, *self._types)))

    def __len__(self) -> int:
        return len(registry.keys() | set(self._types))

    def __contains__(self, type: object) -> bool:
        return type in registry or type in self._types

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
        ['host-device', 'loopback', 'macvlan', 'veth']
    """
    return _Strategies((*_provided(), *LAZY_STRATEGIES))


def sources() -> dict[str, str]:
    """Returns where each strategy is defined, as "module:name", by type. Loads no strategy."""
    registered = {
        name: f"{type(strategy).__module__}:{type(strategy).__qualname__}"
        for name, strategy in registry.items()
    }
    package = __name__.partition(".")[0]
    built_in = {
        name: f"{package}.{module}:{kind}" for name, (module, kind) in LAZY_STRATEGIES.items()
    }
    return {**_provided(), **built_in, **registered}


def _provided() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
