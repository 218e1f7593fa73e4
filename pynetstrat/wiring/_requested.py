"""The addresses and routes that a network requests."""

from __future__ import annotations

from .._dataclass import replace
from .._native.addresses import LAST_ADDRESS
from ..rtnetlink.links import IFA_F_NODAD, Address, Route
from .network import ip_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .network import Network


def host_prefix(address: str) -> str:
    """Returns the prefix of one address: "192.0.2.1/32" for "192.0.2.1" or "192.0.2.1/24"."""
    bare = address.partition("/")[0]
    return f"{bare}/128" if ":" in bare else f"{bare}/32"


def requested_addresses(network: Network, index: int) -> list[Address]:
    """Returns the addresses that a network requests.

    IPv6 addresses are usable at once: duplicate address detection is off.

    Parameters:
        index: of the container's link.
    """
    addresses = []
    for address in ip_addresses(network):
        if ":" in address:
            addresses.append(Address(index, address, flags=IFA_F_NODAD))
        else:
            addresses.append(Address(index, address, broadcast=LAST_ADDRESS))
    return addresses


def requested_routes(network: Network, index: int) -> list[Route]:
    """Returns the routes that a network requests: its default routes, then `Network.routes`.

    Parameters:
        index: of the container's link, for the routes without an index.
    """
    routes = []
    if network.gateway:
        onlink = network.address.endswith("/32")
        routes.append(_default(network, network.gateway, index, onlink))
    if network.ipv6_gateway:
        onlink = network.ipv6_address.endswith("/128")
        routes.append(_default(network, network.ipv6_gateway, index, onlink))
    if network.routes:
        routes += [replace(route, ifindex=route.ifindex or index) for route in network.routes]
    return routes


def _default(network: Network, gateway: str, index: int, onlink: bool) -> Route:
    """A default route. A prefix of full length does not contain the gateway, so it is onlink."""
    return Route("default", gateway, metric=network.metric, ifindex=index, onlink=onlink)
