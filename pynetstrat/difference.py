"""What differs between a network as it was requested and the links, addresses and routes found."""

from __future__ import annotations

from ._native.addresses import normal_prefix, normal_route, subnet_of
from .links import MAIN_TABLE, Route
from .wiring import wanted_addresses, wanted_routes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .links import Address, Link
    from .network import Network
    from .rtnetlink import RtnetlinkSocket

_DEFAULT = "0.0.0.0/0", "::/0"
_DISABLED = 0  # BR_STATE_DISABLED, linux/if_bridge.h


# ---- links ----


def check_settings(link: Link, *, mtu: int, txqueuelen: int = 0, mac: str = "") -> list[str]:
    """The differences of a link's own settings. 0 and "" stand for any value."""
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
    """The differences of a host end as a port of its network's bridge, or of none.

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
    if link.isolated:
        found.append("isolated from other ports of the bridge")
    if link.learning is False:
        found.append("learning off")
    # A port without a carrier is disabled, too: its peer is down, or a worker has not run yet.
    if link.running and link.port_state == _DISABLED:
        found.append("disabled by the bridge")
    return found


def check_container_link(
    container: RtnetlinkSocket,
    network: Network,
    link: Link,
    *,
    mac: str = "",
    mtu: int = 0,
    others: Iterable[Network] = (),
) -> list[str]:
    """The differences of a container's interface from its network.

    Parameters:
        mac, mtu: what the strategy has chosen where the network leaves it open; "" and 0: any.
        others: the container's other networks, whose routes belong there, too.
    """
    found = check_settings(
        link,
        mtu=network.mtu or mtu,
        txqueuelen=network.txqueuelen,
        mac=network.mac_address or mac,
    )
    if link.master is not None:
        found.append(_has_master(link))
    wanted = wanted_addresses(network, link.index)
    present, differences = check_addresses(container, link.index, wanted)
    found += differences
    allowed = [
        route
        for other in others
        for route in (*wanted_routes(other, 0), *subnet_routes(wanted_addresses(other, 0)))
    ]
    routes = wanted_routes(network, link.index)
    found += check_routes(container.dump_all_routes(), routes, subnet_routes(present), allowed)
    return [f"{link.name}: {difference}" for difference in found]


def _has_master(link: Link) -> str:
    return f"a port of the link with index {link.master}"


# ---- addresses ----


def check_addresses(
    sock: RtnetlinkSocket, index: int, wanted: Sequence[Address]
) -> tuple[list[Address], list[str]]:
    """Which of the requested addresses a link has, and the differences."""
    found = {address.address: address for address in sock.dump_addresses(index)}
    present, differences = [], []
    for address in wanted:
        text = normal_prefix(address.address)
        there = found.get(text)
        if there is None:
            differences.append(f"the address {text} is missing")
            continue
        present.append(address)
        if there.peer:
            differences.append(f"the address {text} has the peer {there.peer}")
        elif there.dadfailed:
            differences.append(f"the address {text} is another host's, too (it is a duplicate)")
        elif there.tentative:
            differences.append(f"the address {text} is tentative")
        elif ":" not in text and there.scope != address.scope:  # the kernel chooses IPv6's
            differences.append(f"the address {text} has scope {there.scope}, not {address.scope}")
        elif address.broadcast and there.broadcast != address.broadcast:
            has = f"the broadcast address {there.broadcast or 'none'}"
            differences.append(f"the address {text} has {has}, not {address.broadcast}")
    return present, differences


# ---- routes ----


def subnet_routes(addresses: Iterable[Address]) -> list[Route]:
    """The routes to their subnets that the kernel adds with addresses."""
    routes = []
    for address in addresses:
        subnet = subnet_of(address.address)
        if ":" in subnet:  # IP6_RT_PRIO_ADDRCONF, linux/ipv6_route.h
            routes.append(Route(subnet, metric=256, ifindex=address.ifindex))
        elif not subnet.endswith("/32"):
            routes.append(Route(subnet, ifindex=address.ifindex))
    return routes


def check_routes(
    there: Sequence[tuple[str, Route]],
    wanted: Iterable[Route],
    subnets: Iterable[Route] = (),
    allowed: Iterable[Route] = (),
) -> list[str]:
    """The differences of routes: missing ones, and others that can take their traffic.

    Parameters:
        there: the routes of the namespace, each with its type.
        wanted: the requested routes.
        subnets: the routes that the kernel adds with the requested addresses, whatever source
            address they prefer.
        allowed: routes of other networks, which may have precedence.
    """
    requested = [normal_route(route) for route in wanted]
    own = [*requested, *map(normal_route, subnets)]
    known = [*own, *map(normal_route, allowed)]
    differences = []
    for number, route in enumerate(own):
        with_source = number < len(requested)
        same = [(kind, other) for kind, other in there if other.destination == route.destination]
        if not any(
            kind == "unicast" and _is_same(route, other, with_source) for kind, other in same
        ):
            differences.append(_missing(route, same, with_source))
            continue
        for kind, other in same:
            expected = kind == "unicast" and any(_is_same(one, other) for one in known)
            if other.table == route.table and other.metric <= route.metric and not expected:
                what = _describe(kind, other)
                differences.append(f"another route to {route.destination} is there: {what}")
    defaults = {route.destination for route in requested}
    for destination in {_DEFAULT[":" in route.destination] for route in own} - defaults:
        differences += _check_no_default(there, destination)
    return differences


def _check_no_default(there: Sequence[tuple[str, Route]], destination: str) -> list[str]:
    """Reports a default route that drops everything, for a network that has requested none.

    Other default routes are those of other networks, or the administrator's.
    """
    found = [
        (route.metric, kind != "unicast", kind, route)
        for kind, route in there
        if route.destination == destination and route.table == MAIN_TABLE
    ]
    if not found:
        return []
    _, drops, kind, route = min(found, key=lambda row: row[:2])
    return [f"a route to {destination} is there: {_describe(kind, route)}"] if drops else []


def _missing(route: Route, same: Sequence[tuple[str, Route]], shows_all: bool) -> str:
    """The sentence for a missing route, with another one of the same destination, if any."""
    if not shows_all:
        return f"the route to {route.destination} is missing"
    via = f" via {route.gateway}" if route.gateway else ""
    instead = f"; there is one {_describe(*same[0])}" if same else ""
    return f"the route to {route.destination}{via}, metric {route.metric}, is missing{instead}"


def _describe(kind: str, route: Route) -> str:
    via = f"via {route.gateway}" if route.gateway else "without a gateway"
    table = f", table {route.table}" if route.table != MAIN_TABLE else ""
    source = f", source {route.source}" if route.source else ""
    shown = via if kind == "unicast" else kind
    return f"{shown}, metric {route.metric}{source}{table}"


def _is_same(wanted: Route, other: Route, with_source: bool = False) -> bool:
    return (
        wanted.destination == other.destination
        and wanted.gateway == other.gateway
        and wanted.metric == other.metric
        and wanted.table == other.table
        and wanted.ifindex in (0, other.ifindex)
        and (not with_source or wanted.source == other.source)
        and (":" in wanted.destination or wanted.scope == other.scope)
    )
