"""Several networks of a container, all or nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from .._native.addresses import normal_route, subnet_of
from ..errors import InvalidNetworkError, KernelError, TeardownError, quote
from ..namespace import NetworkNamespace
from ..rtnetlink.links import MAIN_TABLE
from ..rtnetlink.socket import to_milliseconds
from ..strategy import BuiltIn, Loopback, NetworkStrategy, get_strategy
from . import host_device, veth
from ._difference import Found
from ._session import TIMEOUT, Session, open_session_if_alive, transaction, wanted_routes
from ._undo import add_note
from .network import Network, check_types, copy_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeGuard

    from ..types import Netns

    Step = tuple[NetworkStrategy, Network]


def set_up_networks(
    networks: Iterable[Network], *, netns: Netns, timeout: float = TIMEOUT
) -> list[Network]:
    """Creates and initializes the networks of a container, in order, all or nothing.

    Everything is checked before the first message is sent. After an error the links, addresses and
    routes of both namespaces are as before; the error lists anything that could not be restored. A
    signal handler that raises during the rollback does not end it: the exception follows.

    Parameters:
        networks: what to set up. They are left alone, so that one configuration serves many
            containers.
        netns: the container's namespace.
        timeout: seconds that the call may wait for the kernel, up to 86400. A rollback waits for
            nothing, so the deadline holds for it as well.

    Returns:
        The networks as they were made, with generated names filled in: pass them to
        `tear_down_networks`.

    Raises:
        InvalidNetworkError: a field is invalid, or two networks request the same name or route.
        UnknownStrategyError, StrategyLoadError: no strategy of that type can be used.
        KernelError: the kernel refuses.
        ValueError, TypeError: `timeout` is out of range, or not a number.
        TypeError: a third-party strategy's `create` returned something other than a Network or
            None.
        Whatever a third-party strategy raises.
    """
    return set_up(networks, netns, timeout=timeout)


def set_up(
    networks: Iterable[Network],
    netns: Netns,
    finish: Callable[[list[Network]], None] | None = None,
    *,
    timeout: float = TIMEOUT,
) -> list[Network]:
    """Does what `set_up_networks` does, with a last step that can still fail.

    Parameters:
        networks, netns, timeout: as in `set_up_networks`.
        finish: is called with the networks as they were made. If it raises, everything is undone.
    """
    to_milliseconds(timeout)  # raises for an invalid one
    steps = _plan(networks)
    with (
        Session(NetworkNamespace.open(netns), timeout) as session,
        transaction(session),
        transaction(session),
    ):
        made: list[Step] = []
        for strategy, network in steps:
            try:
                made.append((strategy, _create(session, strategy, network)))
            except KernelError as error:
                _name_step(error, "create", strategy, network)
                raise
        if any(isinstance(strategy, Loopback) for strategy, _ in steps):
            _snapshot(session)
        for strategy, network in made:
            try:
                _initialize(session, strategy, network)
            except KernelError as error:
                _name_step(error, "initialize", strategy, network)
                raise
        if finish is not None:
            finish([network for _, network in made])
        return [network for _, network in made]


def tear_down_networks(
    networks: Iterable[Network], *, netns: Netns | None = None, timeout: float = TIMEOUT
) -> None:
    """Destroys the networks of a container, the last one first.

    It is idempotent, and works when the container's namespace has ended.

    Parameters:
        networks: as `set_up_networks` returned them, or with their owner.
        netns: the container's namespace; None: unknown.
        timeout: seconds that the call may wait for the kernel, as in `set_up_networks`.

    Raises:
        TeardownError: everything that failed; the other networks have been torn down.
    """
    to_milliseconds(timeout)
    errors: list[Exception] = []
    with open_session_if_alive(netns, timeout) as session:
        for network in reversed(list(networks)):
            try:
                strategy = get_strategy(network.type)
                try:
                    _destroy(session, strategy, network)
                except KernelError as error:
                    _name_step(error, "destroy", strategy, network)
                    raise
            except Exception as error:
                errors.append(error)
    if errors:
        raise TeardownError(errors)


def check_networks(
    networks: Iterable[Network], *, netns: Netns, timeout: float = TIMEOUT
) -> list[str]:
    """Lists what differs from the networks as they were requested, one sentence each.

    Parameters:
        networks, netns, timeout: as in `set_up_networks`.

    Raises: as `set_up_networks`.
    """
    to_milliseconds(timeout)
    steps = _plan(networks)
    with Session(NetworkNamespace.open(netns), timeout) as session:
        ours = [network for strategy, network in steps if _adds_routes(strategy)]
        if ours:
            session.found = Found(session, ours)
        return [
            difference
            for strategy, network in steps
            for difference in _check(session, strategy, network)
        ]


# ---- one network ----


# Not their subclasses: a third-party subclass may have overridden the public methods.
_BUILT_IN = frozenset({Loopback, veth.Veth, host_device.HostDevice})


def _is_built_in(strategy: NetworkStrategy) -> TypeGuard[BuiltIn]:
    """Whether the session's methods stand for the public ones."""
    return type(strategy) in _BUILT_IN


def _create(session: Session, strategy: NetworkStrategy, network: Network) -> Network:
    if _is_built_in(strategy):
        return strategy._create(session, network)
    handle = session.container_namespace
    given = strategy.create(network, netns=handle)
    made = given if isinstance(given, Network) else network
    what = f"network {quote(made.name)} ({made.type})"
    session.undo_stack.push(partial(strategy.destroy, made, netns=handle), what)
    if given is not None and given is not made:
        kind = type(strategy).__qualname__
        raise TypeError(f"{kind}.create must return a Network or None, not {given!r}")
    return made


def _initialize(session: Session, strategy: NetworkStrategy, network: Network) -> None:
    if _is_built_in(strategy):
        strategy._initialize(session, network)
    else:
        strategy.initialize(network, netns=session.container_namespace)


def _destroy(session: Session, strategy: NetworkStrategy, network: Network) -> None:
    if _is_built_in(strategy):
        strategy.validate(network)
        with transaction(session), transaction(session):
            strategy._destroy(session, network)
    else:
        strategy.destroy(network, netns=session.namespace)


def _check(session: Session, strategy: NetworkStrategy, network: Network) -> list[str]:
    if _is_built_in(strategy):
        strategy.validate(network)
        return strategy._check(session, network)
    return strategy.check(network, netns=session.container_namespace)


def _snapshot(session: Session) -> None:
    """The one dump of the container's links."""
    try:
        session.snapshot()
    except KernelError as error:
        error.interface = "lo"
        add_note(error, "step initialize")
        raise


def _name_step(error: KernelError, step: str, strategy: NetworkStrategy, network: Network) -> None:
    """Adds the step and the network to an error of the kernel's from a built-in strategy."""
    if _is_built_in(strategy):
        add_note(error, f"step {step} of network {quote(network.name)} ({network.type})")


def _plan(networks: Iterable[Network]) -> list[Step]:
    """The strategies and copies of their networks, all of them checked."""
    steps: list[Step] = []
    for network in networks:
        if not isinstance(network, Network):
            raise TypeError(f"networks must be Network objects, not {network!r}")
        if not isinstance(network.type, str) or not network.type.isprintable():
            check_types(network)
        strategy = get_strategy(network.type)
        if not _adds_routes(strategy):  # whose validate() checks the types
            check_types(network)
        strategy.validate(network)
        steps.append((strategy, _copy(network)))
    taken: dict[tuple[str, str], Network] = {}
    for strategy, network in steps:
        for field in ("name", "host_interface_name"):
            value = getattr(network, field)
            if not value and isinstance(strategy, host_device.HostDevice):
                value = network.host_interface_name  # keeps its name
            if not value or isinstance(strategy, Loopback) or "%d" in value:
                continue
            if (field, value) in taken:
                reason = "two networks of this container request it"
                raise InvalidNetworkError(field, value, reason, network.name)
            taken[field, value] = network
    _refuse_same_routes([network for strategy, network in steps if _adds_routes(strategy)])
    return steps


def _adds_routes(strategy: NetworkStrategy) -> bool:
    """Whether a strategy adds exactly the routes of `wanted_routes`."""
    return isinstance(strategy, (veth.Veth, host_device.HostDevice))


def _refuse_same_routes(networks: list[Network]) -> None:
    """Raises InvalidNetworkError for two routes of which the kernel would refuse the second."""
    if len(networks) == 1 and not networks[0].routes:
        return  # one default route of each family at most
    taken: dict[tuple[str, int, int], Network] = {}
    for network in networks:  # the kernel adds a route to the subnet, of metric 0 for IPv4 alone
        if network.address:
            taken.setdefault((subnet_of(network.address), MAIN_TABLE, 0), network)
    for network in networks:
        for wanted in wanted_routes(network, 0):
            route = normal_route(wanted)
            key = route.destination, route.table, route.metric
            if key in taken:
                other = quote(taken[key].name)
                same = f"network {other} has a route to {route.destination} with the same metric"
                reason = f"{same} ({route.metric}); give one of them another metric"
                default = "ipv6_gateway" if ":" in wanted.gateway else "gateway"
                field = "routes" if wanted in network.routes else default
                raise InvalidNetworkError(field, wanted.gateway, reason, network.name)
            taken[key] = network


def _copy(network: Network) -> Network:
    """A copy, with routes of its own: one configuration serves many containers."""
    copy = copy_of(network)
    if copy.routes:
        copy.routes = [replace(route) for route in copy.routes]
    return copy
