"""Compares the links, addresses and routes found with a network's."""

from __future__ import annotations

from _operator import attrgetter

from .._native.addresses import LAST_ADDRESS
from .._native.prefixes import last_address, normal_prefix
from .._native.routes import normal_route
from ..rtnetlink.links import MAIN_TABLE, Route
from ._container_dump import DEFAULTS, ContainerDump, Routes, subnet_routes
from ._requested import requested_addresses, requested_routes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..rtnetlink.links import Address, Link
    from ._session import Session
    from .network import Network

_get_exact = attrgetter("source", "mtu", "advmss")
# BR_STATE_DISABLED, linux/if_bridge.h. In Linux 3.10 that header needs others to compile.
_DISABLED = 0


# ---- links ----


def check_settings(link: Link, *, mtu: int, txqueuelen: int = 0, mac: str = "") -> list[str]:
    """Returns the differences in a link's own settings. 0 and "" accept any value."""
    found = []
    if not link.up:
        found.append("down")
    if mtu and link.mtu != mtu:
        found.append(f"MTU {link.mtu}, not {mtu}")
    if txqueuelen and link.txqueuelen != txqueuelen:
        found.append(f"queue length {link.txqueuelen}, not {txqueuelen}")
    if mac and link.mac != mac.lower():
        found.append(f"MAC {link.mac}, not {mac.lower()}")
    return found


def check_port(link: Link, network: Network, bridge: Link | None) -> list[str]:
    """Returns the differences of a host end as a port of the network's bridge, if it has one.

    Parameters:
        bridge: the link of the bridge's name, or None if it does not exist.
    """
    if not network.bridge:
        return [] if link.master is None else [_has_master(link)]
    if bridge is None or bridge.kind != "bridge":
        return [f"the bridge {network.bridge} is missing"]
    found = [] if bridge.up else [f"the bridge {network.bridge} is down"]
    if link.master != bridge.index:
        return [*found, f"not a port of the bridge {network.bridge}"]
    if bool(link.hairpin) != network.hairpin_mode:
        found.append(f"hairpin mode {'on' if link.hairpin else 'off'}")
    if bool(link.isolated) != network.isolated:
        found.append(f"{'' if link.isolated else 'not '}isolated from other ports of the bridge")
    if link.learning is False:
        found.append("learning off")
    # A port without a carrier is also disabled: its peer is down, or a worker has not run yet.
    if link.running and link.port_state == _DISABLED:
        found.append("disabled by the bridge")
    return found


def check_container_link(
    session: Session, network: Network, link: Link, *, mac: str = "", mtu: int = 0
) -> list[str]:
    """Returns the differences of a container's interface from its network.

    Parameters:
        mac, mtu: the strategy's choice if the network requests none; "" and 0 accept any value.
    """
    found = check_settings(
        link,
        mtu=network.mtu or mtu,
        txqueuelen=network.txqueuelen,
        mac=network.mac_address or mac,
    )
    if link.master is not None:
        found.append(_has_master(link))
    present = session.dump or ContainerDump(session.container, [network])
    requested = requested_addresses(network, link.index)
    kept, differences = check_addresses(present.addresses.get(link.index, ()), requested)
    found += differences
    routes = requested_routes(network, link.index)
    found += check_routes(present.routes, routes, subnet_routes(kept), present.requested)
    return [f"{link.name}: {difference}" for difference in found]


def _has_master(link: Link) -> str:
    return f"has the master with index {link.master}"


# ---- addresses ----


def check_addresses(
    present: Iterable[Address], requested: Iterable[Address]
) -> tuple[list[Address], list[str]]:
    """Returns the requested addresses that a link has, and the differences.

    Parameters:
        present: the addresses of the link.
    """
    by_text = {address.address: address for address in present}
    kept, differences = [], []
    for address in requested:
        text = normal_prefix(address.address)
        known = by_text.get(text)
        if known is None:
            differences.append(f"the address {text} is missing")
            continue
        kept.append(address)
        if known.peer:
            differences.append(f"the address {text} has the peer {known.peer}")
        elif known.dadfailed:
            differences.append(f"the address {text} is a duplicate: another host has it")
        elif known.tentative:
            differences.append(f"the address {text} is tentative")
        elif ":" not in text and known.scope != address.scope:  # the kernel chooses IPv6's
            differences.append(f"the address {text} has scope {known.scope}, not {address.scope}")
        elif address.broadcast == LAST_ADDRESS and int(text.partition("/")[2]) <= 30:
            last = last_address(text)
            if known.broadcast != last:
                has = f"the broadcast address {known.broadcast or 'none'}"
                differences.append(f"the address {text} has {has}, not {last}")
    return kept, differences


# ---- routes ----


def check_routes(
    present: Routes,
    requested: Iterable[Route],
    subnets: Iterable[Route] = (),
    allowed: Mapping[str, Sequence[Route]] | None = None,
) -> list[str]:
    """Returns the differences of routes: missing routes, and others that can take their traffic.

    Parameters:
        present: the routes of the namespace.
        requested: the requested routes.
        subnets: the routes that the kernel adds with the requested addresses; any preferred source
            address is accepted.
        allowed: normal routes by destination that are not differences, although they can take
            traffic.
    """
    wanted = [normal_route(route) for route in requested]
    own = [*wanted, *map(normal_route, subnets)]
    expected: dict[str, list[Route]] = {}  # by destination, because there may be thousands
    for route in own:
        expected.setdefault(route.destination, []).append(route)
    differences = []
    for number, route in enumerate(own):
        is_exact = number < len(wanted)
        same = present.get(route.destination, [])
        known = [*expected[route.destination], *(allowed or {}).get(route.destination, ())]
        if not any(kind == "unicast" and _is_same(route, other, is_exact) for kind, other in same):
            differences.append(_missing(route, same, is_exact))
            continue
        for kind, other in same:
            is_known = kind == "unicast" and any(_is_same(one, other) for one in known)
            if other.table == route.table and other.metric <= route.metric and not is_known:
                what = _describe(kind, other)
                differences.append(f"another route to {route.destination} exists: {what}")
    defaults = {DEFAULTS[":" in destination] for destination in expected}
    for destination in defaults - {route.destination for route in wanted}:
        differences += _check_no_default(present.get(destination, ()))
    return differences


def _check_no_default(defaults: Iterable[tuple[str, Route]]) -> list[str]:
    """Returns a difference if the default route in use drops all traffic.

    For a network that requests no default route. One that delivers is another network's or the
    administrator's.
    """
    found = [
        (route.metric, kind != "unicast", kind, route)
        for kind, route in defaults
        if route.table == MAIN_TABLE
    ]
    if not found:
        return []
    _, drops, kind, route = min(found, key=lambda row: row[:2])
    shown = f"a route to {route.destination} exists: {_describe(kind, route)}"
    return [shown] if drops else []


def _missing(route: Route, same: Sequence[tuple[str, Route]], shows_all: bool) -> str:
    """Returns the difference for a missing route.

    Parameters:
        same: the routes to the same destination, of which the first is shown.
        shows_all: whether to show more than the destination.
    """
    if not shows_all:
        return f"the route to {route.destination} is missing"
    via = f" via {route.gateway}" if route.gateway else ""
    sizes = _describe_sizes(route)
    instead = f"; found instead: {_describe(*same[0])}" if same else ""
    what = f"the route to {route.destination}{via}, metric {route.metric}{sizes}"
    return f"{what}, is missing{instead}"


def _describe(kind: str, route: Route) -> str:
    via = f"via {route.gateway}" if route.gateway else "without a gateway"
    table = f", table {route.table}" if route.table != MAIN_TABLE else ""
    source = f", source {route.source}" if route.source else ""
    shown = via if kind == "unicast" else kind
    return f"{shown}, metric {route.metric}{_describe_sizes(route)}{source}{table}"


def _describe_sizes(route: Route) -> str:
    mtu = f", MTU {route.mtu}" if route.mtu else ""
    return mtu + (f", advertised MSS {route.advmss}" if route.advmss else "")


def _is_same(wanted: Route, other: Route, is_exact: bool = False) -> bool:
    """Whether a route is the wanted one.

    Parameters:
        is_exact: whether its source address, MTU and advertised MSS count.
    """
    return (
        wanted.destination == other.destination
        and wanted.gateway == other.gateway
        and wanted.metric == other.metric
        and wanted.table == other.table
        and wanted.ifindex in (0, other.ifindex)
        and (not is_exact or _get_exact(wanted) == _get_exact(other))
        and (":" in wanted.destination or wanted.scope == other.scope)
    )
