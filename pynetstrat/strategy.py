"""Strategies bring a container's network up; the registry finds a strategy by its type.

`create`, `initialize`, `attach` and `detach` follow runc's `networkStrategy`
(libcontainer/network_linux.go). `get_strategy` loads the strategies of other packages;
wiring/plugins.py lists them.
"""

# Without `from __future__ import annotations`, which loads a module: see docs/architecture.md.

from _operator import attrgetter

from ._native import link_is_up, link_set_up
from .errors import InvalidNetworkError, StrategyLoadError, UnknownStrategyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

    from .types import Netns
    from .wiring.network import Network


class NetworkStrategy:
    """The base class of strategies: operations that do nothing unless they are overridden.

    A third-party strategy overrides the operations that it needs. `set_up_networks` calls
    `validate` for every network, then `create`, then `initialize`; it calls `destroy` to undo a
    `create` that returned, if a later operation fails.

    The operations run in a thread that is in the host namespace: the caller's thread, unless the
    caller has named another host namespace.

    Example:
        >>> class Tap(NetworkStrategy):
        ...     def create(self, network, nspid=None, *, netns=None):
        ...         tap = network.host_interface_name
        ...         subprocess.run(["ip", "tuntap", "add", tap, "mode", "tap"], check=True)
        ...
        ...     def destroy(self, network, *, netns=None):
        ...         subprocess.run(["ip", "link", "delete", network.host_interface_name])
        >>> register_strategy("tap", Tap())
    """

    def validate(self, network: "Network") -> None:
        """Checks a network before anything is created.

        Parameters:
            network: the configuration as the caller gave it.

        Raises:
            InvalidNetworkError: the network cannot be set up.
        """

    def create(
        self, network: "Network", nspid: int | None = None, *, netns: "Netns | None" = None
    ) -> "Network | None":
        """Makes on the host what the container needs, before the container starts.

        Parameters:
            network: the configuration.
            nspid: a process in the container's network namespace, if `netns` is None.
            netns: the container's network namespace.

        Returns:
            The network as it was made, with generated names filled in; None if it is unchanged.
        """
        return None

    def initialize(self, network: "Network | None" = None, *, netns: "Netns | None" = None) -> None:
        """Brings the network up in the container's network namespace.

        Parameters:
            network: the configuration as `create` returned it.
            netns: the container's network namespace; None: that of the calling thread.
        """

    def attach(self, network: "Network") -> None:
        """Connects the container to its network again, on the host, after a restore.

        Parameters:
            network: the configuration as `create` returned it.
        """

    def detach(self, network: "Network") -> None:
        """Disconnects the container from its network, on the host, before a checkpoint.

        Parameters:
            network: the configuration as `create` returned it.
        """

    def destroy(self, network: "Network", *, netns: "Netns | None" = None) -> None:
        """Reverses `create`. It must be idempotent.

        Parameters:
            network: the configuration as `create` returned it.
            netns: the container's network namespace, or None if it is unknown or has ended.
        """

    def check(self, network: "Network", *, netns: "Netns | None" = None) -> list[str]:
        """Lists what differs from the network as it was requested, one sentence each.

        Parameters:
            network: the configuration as `create` returned it.
            netns: the container's network namespace.
        """
        return []


# The fields that a strategy of this package refuses unless it implements them. Ignoring one would
# leave a container without a limit, an isolation or a port that was requested.
_REFUSABLE_FIELDS = "addresses", "sysctls", "isolated", "rate_in", "rate_out", "publish"
_get_refusable = attrgetter(*_REFUSABLE_FIELDS)


def refuse_fields(network: "Network", implemented: "Iterable[str]" = ()) -> None:
    """Raises InvalidNetworkError for a field that is set and that the strategy can't honour.

    Parameters:
        implemented: the fields of _REFUSABLE_FIELDS that the strategy implements.
    """
    values = _get_refusable(network)
    if not any(values):
        return
    for field, value in zip(_REFUSABLE_FIELDS, values, strict=True):
        if value and field not in implemented:
            reason = f"must not be set: the strategy {network.type} does not support it"
            raise InvalidNetworkError(field, value, reason, network.name)


class Loopback(NetworkStrategy):
    """The strategy `loopback`: brings `lo` up. The kernel then adds its addresses.

    Example:
        >>> get_strategy("loopback").initialize(netns="/run/netns/web-1")
    """

    def validate(self, network: "Network") -> None:
        """Raises InvalidNetworkError for options, and for fields that loopback can't honour."""
        refuse_fields(network)
        for name in network.options:
            reason = f'unknown option "{name}"; loopback has none'
            raise InvalidNetworkError("options", network.options, reason, network.name)

    def initialize(self, network: "Network | None" = None, *, netns: "Netns | None" = None) -> None:
        """Brings `lo` up, with one RTM_NEWLINK message.

        Parameters:
            network: not used.
            netns: the namespace of this `lo`, as for `RtnetlinkSocket`; None: that of the calling
                thread.

        Raises:
            PermissionDeniedError: `lo` is down, and CAP_NET_ADMIN is missing.
            NetlinkUnavailableError: AF_NETLINK is refused.
            KernelError: anything else, such as a `netns` that is not a namespace.
        """
        link_set_up("lo", netns=netns)

    def check(self, network: "Network", *, netns: "Netns | None" = None) -> list[str]:
        """Returns whether `lo` is up, as a list of differences.

        `check_networks` checks the addresses of `lo` as well.

        Parameters:
            network: not used.
            netns: as for `initialize`.
        """
        return [] if link_is_up("lo", netns=netns) else ["lo: down"]


registry: dict[str, NetworkStrategy] = {"loopback": Loopback()}

# The built-in strategies that are loaded when they are looked up: their modules and classes.
LAZY_STRATEGIES = {
    "veth": ("wiring.veth", "Veth"),
    "host-device": ("wiring.host_device", "HostDevice"),
    "macvlan": ("wiring.macvlan", "Macvlan"),
}

#: The entry-point group under which other packages provide strategies.
ENTRY_POINT_GROUP = "pynetstrat.strategies"


def check_type(type: object) -> None:
    """Raises TypeError unless the type is a str."""
    if not isinstance(type, str):
        raise TypeError(f"a strategy's type must be a str, not {type!r}")


def register_strategy(type: str, strategy: NetworkStrategy, *, replace: bool = False) -> None:
    """Registers a strategy, which `get_strategy(type)` then returns.

    Parameters:
        type: any text except "".
        strategy: an instance of a subclass of `NetworkStrategy`.
        replace: whether to replace a strategy that is registered already.

    Raises:
        ValueError: the type is empty, or it is already registered and `replace` is false.
        TypeError: `type` is not a str, or `strategy` is not a `NetworkStrategy`.

    Example:
        >>> class MyStrategy(NetworkStrategy):
        ...     ...
        >>> register_strategy("my-strategy", MyStrategy())
    """
    check_type(type)
    if not type:
        raise ValueError("a strategy's type must not be empty")
    if not isinstance(strategy, NetworkStrategy):
        raise TypeError(f"strategy must be a NetworkStrategy instance, not {strategy!r}")
    if replace:
        registry[type] = strategy
    # If several threads register one type at once, one of them succeeds.
    elif type in registry or registry.setdefault(type, strategy) is not strategy:
        reason = "is already registered; pass replace=True to replace it"
        raise ValueError(f"strategy type {type!r} {reason}")


def get_strategy(type: str) -> NetworkStrategy:
    """Returns the strategy of a type.

    If the type is not registered, the function searches the installed packages for an entry point
    of this name in the group `pynetstrat.strategies`, loads the strategy and registers it.

    Parameters:
        type: the type, such as "veth".

    Raises:
        UnknownStrategyError: no strategy has this type; the error lists the known types.
        StrategyLoadError: a package that provides the strategy can't be imported or provides
            something else, or several packages provide it.
        TypeError: `type` is not a str.

    Example:
        >>> get_strategy("loopback").initialize()
    """
    found = registry.get(type)
    if found is not None:
        return found
    check_type(type)
    if type in LAZY_STRATEGIES:
        module, name = LAZY_STRATEGIES[type]
        loaded = __import__(module, globals(), level=1, fromlist=[name])
        return registry.setdefault(type, getattr(loaded, name)())
    try:
        # Imported here because it takes longer than bringing lo up, and few programs need it.
        from importlib.metadata import entry_points
    except ImportError:  # after a chroot the packages are not accessible
        raise UnknownStrategyError(type, tuple(registry)) from None
    except OSError as error:
        reason = f"the installed packages can't be searched: {error}"
        raise StrategyLoadError(type, reason) from error
    return _load(type, entry_points(group=ENTRY_POINT_GROUP))


def _load(type: str, points: "Iterable[EntryPoint]") -> NetworkStrategy:
    """Loads and registers the strategy of an installed package."""
    providers = {point.value: point for point in points if point.name == type and type}
    if not providers:
        known = {**registry, **LAZY_STRATEGIES, **dict.fromkeys(point.name for point in points)}
        raise UnknownStrategyError(type, tuple(known))
    if len(providers) > 1:
        raise StrategyLoadError(
            type, "several packages provide it: " + ", ".join(sorted(providers))
        )
    (value, point), *_ = providers.items()
    try:
        strategy = point.load()
        if not isinstance(strategy, NetworkStrategy):  # a class, or any factory of one
            strategy = strategy()
    except Exception as error:
        raise StrategyLoadError(type, f"{value} failed: {error!r}") from error
    if not isinstance(strategy, NetworkStrategy):
        raise StrategyLoadError(type, f"{value} must return a NetworkStrategy, not {strategy!r}")
    return registry.setdefault(type, strategy)
