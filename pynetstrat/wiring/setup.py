"""Sets up, tears down and checks the networks of a container."""

from __future__ import annotations

from .._native.prefixes import subnet_of
from .._native.routes import normal_route
from ..errors import (
    InvalidNetworkError,
    KernelError,
    TeardownError,
    UnknownStrategyError,
    quote,
)
from ..rtnetlink.links import MAIN_TABLE
from ..strategy import Loopback, NetworkStrategy, get_strategy

# Veths and macvlans are made where Python's files can't be opened, so they are loaded here.
# `host-device` writes files itself, and is loaded when a network has this type.
from . import macvlan, veth  # noqa: F401
from ._container_dump import ContainerDump
from ._published import refuse_same_ports
from ._requested import requested_routes
from ._session import TIMEOUT, open_session_at, open_session_if_alive
from ._strategy import SessionLoopback, SessionOperations, SessionStrategy, ThirdParty
from ._undo import add_note
from .network import Network, copy_of, ip_addresses, validate_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..counters import NetworkInterface
    from ..types import Netns

    Step = tuple[SessionOperations, Network]


def set_up_networks(
    networks: Iterable[Network],
    *,
    netns: Netns,
    host: Netns | None = None,
    timeout: float = TIMEOUT,
) -> list[Network]:
    """Creates and initializes the networks of a container, in order, all or nothing.

    Every field is checked before the first message is sent. The links that a network names are
    checked when that network is created. After an error the links, addresses and routes of both
    namespaces are as before; the error lists anything that could not be restored. A signal handler
    that raises during the rollback does not end it: the exception is raised afterwards.

    When it returns, the first packets to and from the container are not lost: it has the kernel
    process the carrier of the host end (Linux 6.9), and waits for the local routes of IPv6
    addresses, both of which are otherwise left to workers of the kernel.

    Parameters:
        networks: what to set up. The call works on copies, so one configuration serves many
            containers.
        netns: the container's network namespace.
        host: the host namespace; None: that of the calling thread. The thread does not change its
            namespace: a third-party strategy runs in another thread, in the host namespace.
        timeout: seconds that the call may wait for the kernel, 0 to 86400. A rollback does not
            wait, so it needs no time of its own.

    Returns:
        The networks as they were made, with generated names filled in. Pass them to
        `tear_down_networks` and `check_networks`.

    Raises:
        InvalidNetworkError: a field is invalid, or two networks request the same name or route.
        UnknownStrategyError, StrategyLoadError: no strategy of that type can be used.
        KernelError: the kernel refused a change.
        ValueError: `timeout` is out of range.
        TypeError: an argument has the wrong type, or a third-party strategy's `create` returned
            something other than a Network or None.
        Whatever a third-party strategy raises.

    Example:
        >>> networks = [
        ...     Network("loopback"),
        ...     Network("veth", name="eth0", bridge="br0", address="192.0.2.2/24", owner="web-1"),
        ... ]
        >>> made = set_up_networks(networks, netns="/run/netns/web-1")
        >>> tear_down_networks(made, netns="/run/netns/web-1")
    """
    return set_up(networks, netns, host=host, timeout=timeout)


def set_up(
    networks: Iterable[Network],
    netns: Netns,
    finish: Callable[[list[Network]], None] | None = None,
    *,
    host: Netns | None = None,
    timeout: float = TIMEOUT,
) -> list[Network]:
    """Does what `set_up_networks` does, with a last step of the caller that can still fail.

    Parameters:
        networks, netns, host, timeout: as for `set_up_networks`.
        finish: is called with the networks as they were made. If it raises, everything is undone.
    """
    steps = _plan(networks)
    with open_session_at(netns, host, timeout) as session, session:
        made: list[Network] = []
        for strategy, network in steps:
            try:
                made.append(strategy._create(session, network))
            except KernelError as error:
                _name_step(error, "create", strategy, network)
                raise
        for (strategy, _), network in zip(steps, made, strict=True):
            try:
                strategy._initialize(session, network)
            except KernelError as error:
                _name_step(error, "initialize", strategy, network)
                raise
        if finish is not None:
            finish(made)
        return made


def tear_down_networks(
    networks: Iterable[Network],
    *,
    netns: Netns | None = None,
    host: Netns | None = None,
    timeout: float = TIMEOUT,
) -> dict[str, NetworkInterface]:
    """Destroys the networks of a container, the last one first.

    It may be repeated, and works after the container's namespace has ended. Deleting a pair takes
    the kernel about 20 ms. To end many containers at once, close their namespaces, or delete the
    host ends by `RtnetlinkSocket.delete_links`, which takes little longer for a thousand.

    Parameters:
        networks: the networks as `set_up_networks` returned them, or those given to it if each
            has an owner.
        netns: the container's network namespace, or None if it is unknown.
        host: the host namespace; None: that of the calling thread.
        timeout: seconds that the call may wait for the kernel, 0 to 86400.

    Returns:
        The final counters of the interfaces, by their names in the container and from its side.
        They are exact: the host end of a pair is set down, read and deleted, and a device that was
        moved is read right after each move. Left out are `lo`, interfaces that no longer existed,
        counters that could not be read, and third-party strategies.

    Raises:
        TeardownError: some networks could not be torn down; it has an error for each, and the
            counters of the others, which have been torn down.
        KernelError: `netns` or `host` is not a network namespace.
        ValueError, TypeError: `timeout` is out of range, or not a number.

    Example:
        >>> made = set_up_networks([Network("veth", name="eth0")], netns="/run/netns/web-1")
        >>> tear_down_networks(made, netns="/run/netns/web-1")["eth0"].tx_bytes
    """
    errors: list[Exception] = []
    with open_session_if_alive(netns, host, timeout) as session, session:
        for network in reversed(list(networks)):
            try:
                _check_type(network)
                strategy = _for_session(get_strategy(network.type))
                strategy.validate(network)
                try:
                    strategy._destroy(session, network)
                except KernelError as error:
                    _name_step(error, "destroy", strategy, network)
                    raise
            except Exception as error:
                errors.append(error)
        counters = session.counters
    if errors:
        raise TeardownError(errors, counters)
    return counters


def check_networks(
    networks: Iterable[Network],
    *,
    netns: Netns,
    host: Netns | None = None,
    timeout: float = TIMEOUT,
) -> list[str]:
    """Compares a container with its networks.

    Parameters:
        networks: the networks as `set_up_networks` returned them.
        netns: the container's network namespace.
        host: the host namespace; None: that of the calling thread.
        timeout: seconds that the call may wait for the kernel, 0 to 86400.

    Returns:
        The differences, one text each, such as `eth0: MTU 1500, not 1400`. The list is empty if the
        networks are as requested.

    Raises:
        InvalidNetworkError: a field is invalid, or two networks request the same name or route.
        UnknownStrategyError, StrategyLoadError: no strategy of that type can be used.
        KernelError: the kernel refused a query.
        ValueError, TypeError: `timeout` is out of range, or not a number.
        Whatever a third-party strategy raises.

    Example:
        >>> for difference in check_networks(made, netns="/run/netns/web-1"):
        ...     print(difference)  # eth0: MTU 1500, not 1400
    """
    steps = _plan(networks)
    with open_session_at(netns, host, timeout) as session, session:
        requested = [network for strategy, network in steps if strategy._adds_routes]
        if requested:
            session.dump = ContainerDump(session.container, requested)
        return [
            difference
            for strategy, network in steps
            for difference in strategy._check(session, network)
        ]


# ---- the plan ----

_FOLDER = __name__.rpartition(".")[0]


def _for_session(strategy: NetworkStrategy) -> SessionOperations:
    """Returns the operations of a strategy in a session."""
    if type(strategy) is Loopback:
        return SessionLoopback()
    # Not a subclass of a built-in one: another package's may override the public methods.
    is_ours = type(strategy).__module__.rpartition(".")[0] == _FOLDER
    if isinstance(strategy, SessionOperations) and is_ours:
        return strategy
    return ThirdParty(strategy)


def _name_step(
    error: KernelError, step: str, strategy: SessionOperations, network: Network
) -> None:
    """Adds the step and the network to an error that a built-in strategy has raised."""
    if not isinstance(strategy, ThirdParty):
        add_note(error, f"step {step} of network {quote(network.name)} ({network.type})")


def _check_type(network: object) -> None:
    """Raises TypeError unless a network is a Network."""
    if not isinstance(network, Network):
        raise TypeError(f"networks must be Network objects, not {network!r}")


def _plan(networks: Iterable[Network]) -> list[Step]:
    """Returns the strategies and copies of their networks, after all checks."""
    steps: list[Step] = []
    for network in networks:
        _check_type(network)
        try:
            strategy = get_strategy(network.type)
        except (TypeError, UnknownStrategyError):
            # If the type is no text, the error is about the field, not about the strategies.
            if not isinstance(network.type, str) or not network.type.isprintable():
                validate_types(network)
            raise
        if not isinstance(strategy, SessionStrategy):  # which checks the types in validate()
            validate_types(network)
        try:
            strategy.validate(network)
        except InvalidNetworkError as error:
            if network.name == "":
                add_note(error, f"network {len(steps) + 1} ({network.type})")
            raise
        steps.append((_for_session(strategy), copy_of(network)))
    others = [step for step in steps if step[0]._takes_names]
    if len(others) > 1:
        _refuse_same_names(others)
        refuse_same_ports([network for _, network in others if network.publish])
    # One network without further routes has at most one default route of each family.
    if len(others) > 1 or (others and others[0][1].routes):
        _refuse_same_routes([network for strategy, network in others if strategy._adds_routes])
    return steps


def _refuse_same_names(steps: list[Step]) -> None:
    """Raises InvalidNetworkError for a name that two networks request."""
    taken = set()
    for strategy, network in steps:
        shares = strategy._shares_host_interface
        for field in ("name",) if shares else ("name", "host_interface_name"):
            value = getattr(network, field)
            if not value and strategy._keeps_name:
                value = network.host_interface_name
            if not value or "%d" in value:
                continue
            if (field, value) in taken:
                reason = "must not be requested by two networks of one container"
                raise InvalidNetworkError(field, value, reason, network.name)
            taken.add((field, value))


def _refuse_same_routes(networks: list[Network]) -> None:
    """Raises InvalidNetworkError for two routes of which the kernel would refuse the second."""
    taken: dict[tuple[str, int, int], Network] = {}
    for network in networks:  # the kernel adds a route to the subnet; for IPv4 its metric is 0
        for address in ip_addresses(network):
            if ":" not in address:
                taken.setdefault((subnet_of(address), MAIN_TABLE, 0), network)
    for network in networks:
        for requested in requested_routes(network, 0):
            route = normal_route(requested)
            key = route.destination, route.table, route.metric
            if key in taken:
                other = quote(taken[key].name)
                same = f"network {other} has a route to {route.destination} with the same metric"
                reason = f"{same} ({route.metric}); give one of them another metric"
                default = "ipv6_gateway" if ":" in requested.gateway else "gateway"
                field = "routes" if requested in network.routes else default
                raise InvalidNetworkError(field, requested.gateway, reason, network.name)
            taken[key] = network
