"""Several networks of a container, all or nothing."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial

from ._native.addresses import normal_route, subnet_of
from .batch import Batch
from .errors import InvalidNetworkError, KernelError, TeardownError, quote
from .links import MAIN_TABLE
from .netns import NetworkNamespace
from .network import Network, check_types, copy_of
from .strategy import (
    Loopback,
    NetworkStrategy,
    get_strategy,
    host_device,
    veth,
)
from .wiring import Wiring, add_note, execute_for, open_if_alive, undo, wanted_routes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .arguments import Netns

    Step = tuple[NetworkStrategy, Network]

_LO_ADDRESS = "127.0.0.1/8"


def set_up_networks(networks: Iterable[Network], *, netns: Netns) -> list[Network]:
    """Creates and initializes the networks of a container, in order, all or nothing.

    Everything is checked before the first message is sent. After an error the links, addresses and
    routes of both namespaces are as they were; what could not be put back is named in the error.

    Parameters:
        networks: what to set up. They are left alone, so that one configuration serves many
            containers.
        netns: the container's namespace.

    Returns:
        The networks as they were made, with the names that were made up: what to tear down.

    Raises:
        InvalidNetworkError: a field is invalid, or two networks request the same name or route.
        UnknownStrategyError, StrategyLoadError: a type that there is no strategy for.
        KernelError: the kernel's refusal.
        Whatever a strategy of others raises.
    """
    return set_up(networks, netns)


def set_up(
    networks: Iterable[Network],
    netns: Netns,
    finish: Callable[[list[Network]], None] | None = None,
) -> list[Network]:
    """Does what `set_up_networks` does, with a last step that can still fail.

    Parameters:
        networks, netns: as in `set_up_networks`.
        finish: is called with the networks as they were made. If it raises, everything is undone.
    """
    steps = _plan(networks)
    with _open(netns) as wiring:
        wiring.checked = [network for _, network in steps]
        made: list[Step] = []
        lo_was_up = True
        try:
            for strategy, network in steps:
                try:
                    made.append((strategy, strategy.create(network, netns=wiring) or network))
                except KernelError as error:
                    _name_step(error, "create", strategy, network)
                    raise
            if any(isinstance(strategy, Loopback) for strategy, _ in steps):
                lo_was_up = _is_loopback_up(wiring)
            for strategy, network in made:
                try:
                    strategy.initialize(network, netns=wiring)
                except KernelError as error:
                    _name_step(error, "initialize", strategy, network)
                    raise
            if finish is not None:
                finish([network for _, network in made])
        except BaseException as error:
            wiring.extend()
            for strategy, network in reversed(made):
                what = f"network {quote(network.name)} ({network.type})"
                undo(error, partial(strategy.destroy, network, netns=wiring), what)
            wiring.roll_back(error)
            if not lo_was_up:
                undo(error, partial(_set_loopback_down, wiring), "lo")
            raise
        return [network for _, network in made]


def tear_down_networks(networks: Iterable[Network], *, netns: Netns | None = None) -> None:
    """Destroys the networks of a container, the last one first.

    Twice does no harm, and it works when the container's namespace has ended.

    Parameters:
        networks: as `set_up_networks` returned them, or with their owner.
        netns: the container's namespace; None: it is not known any more.

    Raises:
        TeardownError: all that failed; the others have been torn down all the same.
    """
    errors: list[Exception] = []
    wiring = open_if_alive(netns)
    try:
        for network in reversed(list(networks)):
            try:
                strategy = get_strategy(network.type)
                try:
                    strategy.destroy(network, netns=wiring)
                except KernelError as error:
                    _name_step(error, "destroy", strategy, network)
                    raise
            except Exception as error:
                errors.append(error)
    finally:
        if wiring is not None:
            wiring.close()
    if errors:
        raise TeardownError(errors)


def check_networks(networks: Iterable[Network], *, netns: Netns) -> list[str]:
    """What differs from what was asked for, one sentence each; empty: nothing.

    Raises: as `set_up_networks`, for what is not valid or can't be read.
    """
    with _open(netns) as wiring:
        return [
            difference
            for network in networks
            for difference in get_strategy(network.type).check(network, netns=wiring)
        ]


def _open(netns: Netns) -> closing[Wiring]:
    """The wiring of a call, as a context."""
    return closing(Wiring(NetworkNamespace.open(netns)))


def _name_step(error: KernelError, step: str, strategy: NetworkStrategy, network: Network) -> None:
    """Adds the step and the network to an error of the kernel's, where the strategy is ours."""
    if type(strategy).__module__.startswith(__package__ + ".strategy"):
        add_note(error, f"step {step} of network {quote(network.name)} ({network.type})")


def _plan(networks: Iterable[Network]) -> list[Step]:
    """The strategies and copies of their networks, all of them checked."""
    steps: list[Step] = []
    for network in networks:
        if not isinstance(network, Network):
            raise TypeError(f"networks must be Network objects, not {network!r}")
        check_types(network)
        steps.append((get_strategy(network.type), _copy(network)))
    taken: dict[tuple[str, str], Network] = {}
    for strategy, network in steps:
        strategy.validate(network)
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
    ours = (veth.Veth, host_device.HostDevice)
    _refuse_same_routes([network for strategy, network in steps if isinstance(strategy, ours)])
    return steps


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


def _is_loopback_up(wiring: Wiring) -> bool:
    """By the one look at the container's links; True: there is none of that name."""
    try:
        _, up = wiring.look().get("lo", (0, True))
    except KernelError as error:
        error.interface = "lo"
        add_note(error, "step initialize")
        raise
    return up


def _set_loopback_down(wiring: Wiring) -> None:
    """`lo` down, and without the address that it does not lose by that."""
    container = wiring.container
    if not container.link_is_up("lo"):
        return
    lo = container.get_link("lo").index
    batch = Batch().set_link(lo, up=False)
    if any(address.address == _LO_ADDRESS for address in container.dump_addresses("lo")):
        batch.delete_address(lo, _LO_ADDRESS)
    execute_for(container, batch, "lo")
