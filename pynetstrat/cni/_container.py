"""The container of a request: its namespace, its interface, and what others have made in it."""

from __future__ import annotations

from errno import ENOENT

from ..errors import KernelError
from ..namespace import NetworkNamespace
from ..wiring._container_link import route_key
from ..wiring._links import find_link
from ..wiring.network import Network
from ._error import INVALID_ENVIRONMENT, UNKNOWN_CONTAINER, CniError
from ._names import owner_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..rtnetlink.socket import RtnetlinkSocket
    from ._request import Request

TIMEOUT = 30.0  # seconds for the kernel: a host may start many containers at once


def open_namespace(request: Request) -> NetworkNamespace:
    """Opens the container's namespace, which must not be the host's."""
    try:
        netns = NetworkNamespace.open(request.netns)
    except KernelError as error:
        if isinstance(error, FileNotFoundError) or error.errno == ENOENT:
            raise CniError(UNKNOWN_CONTAINER, f"CNI_NETNS: {error}") from None
        raise CniError(INVALID_ENVIRONMENT, f"CNI_NETNS: {error}") from None
    try:
        with NetworkNamespace.current() as own:
            if netns.id == own.id:
                what = f"CNI_NETNS {request.netns} must not be the namespace of the host"
                raise CniError(INVALID_ENVIRONMENT, what)
    except BaseException:
        netns.close()
        raise
    return netns


def bare_network(request: Request) -> Network:
    """Returns what tearing down needs: the owner and the name of the interface."""
    owner = owner_of(request.network, request.container)
    return Network("veth", name=request.interface, owner=owner)


def leave_taken_routes(network: Network, container: RtnetlinkSocket) -> None:
    """Removes the routes whose place an earlier network of the container has taken.

    Each network of a container may have a default route, of which the first counts.
    """
    if network.routes:
        own = find_link(container, network.name)
        taken = {
            route_key(route)
            for route in container.dump_routes()
            if own is None or route.ifindex != own.index
        }
        network.routes = [route for route in network.routes if route_key(route) not in taken]
