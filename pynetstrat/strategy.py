"""Strategies bring a container's network up; the registry finds one by its type.

The first four operations and their names follow runc's `networkStrategy`
(libcontainer/network_linux.go). Plug-ins, the strategies of other packages, are in plugins.py.
"""

from __future__ import annotations

from ._native import link_is_up, link_set_up
from .errors import InvalidNetworkError, StrategyLoadError, UnknownStrategyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

    from .types import Netns
    from .wiring._session import Session
    from .wiring.network import Network


class NetworkStrategy:
    """The base of a strategy: operations that do nothing unless overridden."""

    def validate(self, network: Network) -> None:
        """Raises InvalidNetworkError for a network that can't be set up, before any is created."""

    def create(
        self, network: Network, nspid: int | None = None, *, netns: Netns | None = None
    ) -> Network | None:
        """On the host, before the container starts: makes what it will need.

        Parameters:
            network: the configuration.
            nspid: a process in the container's namespaces.
            netns: the container's namespace itself.

        Returns:
            The network as it was made, with the names that were made up; None: as given.
        """
        return None

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        """In the container's network namespace: brings the network up.

        Parameters:
            network: the configuration.
            netns: the namespace to work in; None: that of the calling thread.
        """

    def attach(self, network: Network) -> None:
        """On the host, after a restore: connects the container to its network again."""

    def detach(self, network: Network) -> None:
        """On the host, before a checkpoint: takes the container off its network."""

    def destroy(self, network: Network, *, netns: Netns | None = None) -> None:
        """Undoes `create`; twice does no harm.

        Parameters:
            network: the configuration as `create` returned it.
            netns: the container's namespace, where it is still alive.
        """

    def check(self, network: Network, *, netns: Netns | None = None) -> list[str]:
        """Reads back what there is, and lists what differs from what was asked for."""
        return []


class BuiltIn(NetworkStrategy):
    """The base of this package's strategies.

    `set_up_networks` and its like call these methods instead of the public ones, which each open a
    session of their own. The network is valid by then, and a copy that `_create` may fill in. Each
    change pushes its undo step onto `session.undo_stack` before it is made; the caller rolls back
    after an error.
    """

    def _create(self, session: Session, network: Network) -> Network:
        return network

    def _initialize(self, session: Session, network: Network) -> None:
        pass

    def _destroy(self, session: Session, network: Network) -> None:
        pass

    def _check(self, session: Session, network: Network) -> list[str]:
        return []


_LO_ADDRESSES = "127.0.0.1/8", "::1/128"


class Loopback(BuiltIn):
    """Brings `lo` up; the kernel then gives it its addresses, 127.0.0.1/8 and ::1."""

    def validate(self, network: Network) -> None:
        """Raises InvalidNetworkError for a network with options: loopback has none."""
        for name in network.options:
            reason = f'unknown option "{name}"; loopback has none'
            raise InvalidNetworkError("options", network.options, reason, network.name)

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        """Brings `lo` up, with one RTM_NEWLINK message.

        Parameters:
            network: not used.
            netns: the namespace whose `lo` it is, as for `RtnetlinkSocket`; None: the calling
                thread's.

        Raises:
            PermissionDeniedError: `lo` is down, and CAP_NET_ADMIN is missing.
            NetlinkUnavailableError: AF_NETLINK is refused.
            KernelError: anything else, such as a `netns` that is not a namespace.
        """
        link_set_up("lo", netns=netns)

    def check(self, network: Network, *, netns: Netns | None = None) -> list[str]:
        """Whether `lo` is up. `check_networks` checks its addresses as well."""
        return [] if link_is_up("lo", netns=netns) else ["lo: down"]

    def _initialize(self, session: Session, network: Network) -> None:
        session.set_up_link("lo")

    def _check(self, session: Session, network: Network) -> list[str]:
        """Whether `lo` is up, and has the addresses that the kernel gives it."""
        container = session.container
        if not container.link_is_up("lo"):
            return ["lo: down"]
        addresses = container.dump_addresses()
        index = container.get_link("lo").index
        own = {address.address for address in addresses if address.ifindex == index}
        # Where no link has an IPv6 address, IPv6 is switched off.
        has_ipv6 = any(":" in address.address for address in addresses)
        wanted = _LO_ADDRESSES if has_ipv6 else _LO_ADDRESSES[:1]
        return [f"lo: the address {address} is missing" for address in wanted if address not in own]


registry: dict[str, NetworkStrategy] = {"loopback": Loopback()}

# Ours that take more than bringing `lo` up does: where they are, and their class.
BUILT_IN = {"veth": ("wiring.veth", "Veth"), "host-device": ("wiring.host_device", "HostDevice")}

#: The entry-point group under which other packages provide strategies.
ENTRY_POINT_GROUP = "pynetstrat.strategies"


def check_type(type: object) -> None:
    """Raises TypeError unless it is a str."""
    if not isinstance(type, str):
        raise TypeError(f"a strategy's type must be a str, not {type!r}")


def register_strategy(type: str, strategy: NetworkStrategy, *, replace: bool = False) -> None:
    """Makes `strategy` the one that `get_strategy(type)` gives.

    Parameters:
        type: any text but "".
        strategy: an instance of a subclass of `NetworkStrategy`.
        replace: put it in the place of one that is registered already.

    Raises:
        ValueError: the type is taken and `replace` is not given, or it is empty.
        TypeError: `type` is not a str, or `strategy` not a `NetworkStrategy`.
    """
    check_type(type)
    if not type:
        raise ValueError("a strategy's type must not be empty")
    if not isinstance(strategy, NetworkStrategy):
        raise TypeError(f"strategy must be a NetworkStrategy instance, not {strategy!r}")
    if replace:
        registry[type] = strategy
    # Of threads that register one type at once, one wins.
    elif type in registry or registry.setdefault(type, strategy) is not strategy:
        raise ValueError(f"strategy type {type!r} is taken; replace=True puts another in its place")


def get_strategy(type: str) -> NetworkStrategy:
    """The strategy of that type.

    One that is not registered is looked for among the installed packages (the entry-point group
    `pynetstrat.strategies`, the type being the entry point's name) and registered from then on.

    Raises:
        UnknownStrategyError: there is none; the error names those that there are.
        StrategyLoadError: an installed package provides it, but can't be imported, provides
            something else, or is not the only one to provide it.
    """
    found = registry.get(type)
    if found is not None:
        return found
    check_type(type)
    if type in BUILT_IN:
        module, name = BUILT_IN[type]
        loaded = __import__(module, globals(), level=1, fromlist=[name])
        return registry.setdefault(type, getattr(loaded, name)())
    try:
        # importlib.metadata costs more than bringing lo up does, and few programs need it.
        from importlib.metadata import entry_points
    except ImportError:  # after a chroot: there are no packages any more
        raise UnknownStrategyError(type, tuple(registry)) from None
    except OSError as error:
        reason = f"the installed packages can't be searched: {error}"
        raise StrategyLoadError(type, reason) from error
    return _load(type, entry_points(group=ENTRY_POINT_GROUP))


def _load(type: str, points: Iterable[EntryPoint]) -> NetworkStrategy:
    """Loads and registers the strategy of an installed package."""
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
