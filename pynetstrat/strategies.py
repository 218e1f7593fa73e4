"""Strategies bring a container's network up; the registry finds one by its type.

The four operations and their names follow runc's `networkStrategy` (libcontainer/network_linux.go).
"""

from __future__ import annotations

from types import MappingProxyType

from .errors import StrategyLoadError, UnknownStrategyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .network import Network
    from .rtnetlink import Netns

#: The entry-point group under which other packages provide strategies.
ENTRY_POINT_GROUP = "pynetstrat.strategies"


class NetworkStrategy:
    """The base of a strategy: four operations that do nothing unless overridden."""

    def create(self, network: Network, nspid: int) -> None:
        """On the host, before the container starts: make what it will need.

        Parameters:
            network: the configuration.
            nspid: a process in the container's namespaces.
        """

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        """In the container's network namespace: bring the network up.

        Parameters:
            network: the configuration.
            netns: the namespace to work in; None: that of the calling thread.
        """

    def attach(self, network: Network) -> None:
        """On the host, after a restore: connect the container to its network again."""

    def detach(self, network: Network) -> None:
        """On the host, before a checkpoint: take the container off its network."""


def _load_and_set_up(name: str, *, netns: Netns | None) -> None:
    """Loads the core when it is first needed, and is link_set_up itself from then on."""
    global _link_set_up
    from .rtnetlink import link_set_up

    _link_set_up = link_set_up
    link_set_up(name, netns=netns)


_link_set_up: Callable[..., None] = _load_and_set_up


class Loopback(NetworkStrategy):
    """Brings `lo` up; the kernel then gives it its addresses, 127.0.0.1/8 and ::1, by itself."""

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        """Brings `lo` up, with one RTM_NEWLINK message.

        Parameters:
            network: not used.
            netns: the namespace whose `lo` it is: a path, or a descriptor of a namespace or a
                pidfd; None: the calling thread's.

        Raises:
            PermissionDeniedError: `lo` is down, and CAP_NET_ADMIN is missing.
            NetlinkUnavailableError: AF_NETLINK is refused.
            KernelError: anything else, such as a `netns` that is no namespace.
        """
        _link_set_up("lo", netns=netns)


_registry: dict[str, NetworkStrategy] = {"loopback": Loopback()}
_view = MappingProxyType(_registry)


def strategies() -> Mapping[str, NetworkStrategy]:
    """What is registered: a read-only view, by type, that follows later registrations.

    Strategies of other packages appear once `get_strategy` has been asked for them.
    """
    return _view


def register_strategy(type: str, strategy: NetworkStrategy, *, replace: bool = False) -> None:
    """Makes `strategy` the one that `get_strategy(type)` gives.

    Parameters:
        type: any text but "".
        strategy: an instance of a subclass of `NetworkStrategy`.
        replace: put it in the place of one that is registered already.

    Raises:
        ValueError: the type is taken and `replace` is not given, or it is empty.
        TypeError: `type` is no str, or `strategy` no `NetworkStrategy`.
    """
    if not isinstance(type, str):
        raise TypeError(f"a strategy's type is a str, not {type!r}")
    if not type:
        raise ValueError("a strategy's type is not empty")
    if not isinstance(strategy, NetworkStrategy):
        raise TypeError(f"strategy {type!r} is an instance of NetworkStrategy, not {strategy!r}")
    if replace:
        _registry[type] = strategy
    # Of threads that register one type at once, one wins.
    elif type in _registry or _registry.setdefault(type, strategy) is not strategy:
        raise ValueError(f"strategy type {type!r} is taken; replace=True puts another in its place")


def get_strategy(type: str) -> NetworkStrategy:
    """The strategy of that type.

    One that is not registered is looked for among the installed packages (the entry-point group
    `pynetstrat.strategies`, the type being the entry point's name) and registered from then on.

    Raises:
        UnknownStrategyError: there is none.
        StrategyLoadError: an installed package provides it, but can't be imported, provides
            something else, or is not the only one to provide it.
    """
    found = _registry.get(type)
    return found if found is not None else _load(type)


def _load(type: str) -> NetworkStrategy:
    if not isinstance(type, str):
        raise TypeError(f"a strategy's type is a str, not {type!r}")
    if not type:
        raise UnknownStrategyError(type)
    # Costs more than bringing lo up does, and few programs need it.
    from importlib.metadata import entry_points

    providers = {point.value: point for point in entry_points(group=ENTRY_POINT_GROUP, name=type)}
    if not providers:
        raise UnknownStrategyError(type)
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
        raise StrategyLoadError(type, f"{value} is no NetworkStrategy but {strategy!r}")
    return _registry.setdefault(type, strategy)
