"""The addresses and routes in a container, for checks."""

from __future__ import annotations

from .._native.prefixes import subnet_of
from .._native.routes import normal_route
from ..rtnetlink.links import Route
from ._requested import requested_addresses, requested_routes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..rtnetlink.links import Address
    from ._socket import SessionSocket
    from .network import Network

DEFAULTS = "0.0.0.0/0", "::/0"
# The routes of a namespace by their destination, each with its type.
Routes = dict[str, list[tuple[str, Route]]]


class ContainerDump:
    """The addresses and routes in a container, dumped once for every network that is checked.

    Parameters:
        container: the socket in the container.
        networks: the networks of the container that are checked. A route that one of them requests
            is not a difference of another.

    Attributes:
        addresses: the addresses found, by the index of their link.
        routes: the routes found by destination: those to the destinations of requested routes, and
            the default routes.
        requested: the routes that `networks` request, by destination.
    """

    def __init__(self, container: SessionSocket, networks: Iterable[Network]) -> None:
        self.addresses: dict[int, list[Address]] = {}
        for address in container.dump_addresses():
            self.addresses.setdefault(address.ifindex, []).append(address)
        self.requested: dict[str, list[Route]] = {}
        for network in networks:
            for route in (
                *requested_routes(network, 0),
                *subnet_routes(requested_addresses(network, 0)),
            ):
                normal = normal_route(route)
                self.requested.setdefault(normal.destination, []).append(normal)
        destinations = {*self.requested, *DEFAULTS}
        self.routes = by_destination(container.dump_all_routes(destinations=destinations))


def subnet_routes(addresses: Iterable[Address]) -> list[Route]:
    """Returns the routes to subnets that the kernel adds with addresses."""
    routes = []
    for address in addresses:
        subnet = subnet_of(address.address)
        # The metric of IPv6 is IP6_RT_PRIO_ADDRCONF, linux/ipv6_route.h.
        route = Route(subnet, metric=256 if ":" in subnet else 0, ifindex=address.ifindex)
        # Addresses of one subnet share its route. A subnet that contains 0.0.0.0 gets none
        # (fib_add_ifaddr in net/ipv4/fib_frontend.c of the kernel).
        if not subnet.endswith("/32") and not subnet.startswith("0.") and route not in routes:
            routes.append(route)
    return routes


def by_destination(routes: Iterable[tuple[str, Route]]) -> Routes:
    """Groups a dump of routes by destination."""
    found: Routes = {}
    for kind, route in routes:
        found.setdefault(route.destination, []).append((kind, route))
    return found
