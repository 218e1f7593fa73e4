"""The container's link of a strategy that makes one: its addresses, settings and routes."""

from __future__ import annotations

from errno import EADDRNOTAVAIL, ESRCH

from .._native.batch import Pending
from .._native.prefixes import normal_prefix
from .._native.routes import SCOPE_LINK, normal_route
from .._partial import partial
from ..errors import BatchError, InvalidNetworkError
from ..namespace import NetworkNamespace
from ..rtnetlink.batch import Batch
from ._links import execute_for, restore_down
from ._requested import requested_addresses, requested_routes
from ._session import Session
from ._strategy import SessionStrategy
from ._sysctls import set_sysctls
from ._veth_names import container_mac, link_local_address
from ._workers import wait_until_receiving
from .network import has_ipv6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..rtnetlink.links import Address, Route
    from ..rtnetlink.socket import RtnetlinkSocket
    from ..types import Netns
    from .network import Network


class ContainerLinkStrategy(SessionStrategy):
    """A strategy whose `create` makes the link `Network.name` in the container namespace."""

    def _mac(self, network: Network) -> str:
        """Returns the MAC address of the container's link, or "" if the kernel chooses it."""
        return network.mac_address or container_mac(network) or ""

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        """Gives the link its addresses, brings it up and adds the routes, in one send.

        After an error everything is as before.

        Parameters:
            network: the configuration as `create` returned it.
            netns: the container's network namespace; None: that of the calling thread.

        Raises:
            InvalidNetworkError: a field is invalid, or there is no network.
            KernelError: the link does not exist, or the kernel refused a change.
        """
        if network is None:
            raise InvalidNetworkError("network", None, f"the strategy {self.type} needs a network")
        self.validate(network)
        where = NetworkNamespace.open(netns) if netns is not None else NetworkNamespace.current()
        with Session(where) as session, session:
            self._initialize(session, network)

    def _initialize(self, session: Session, network: Network) -> None:
        container = session.container
        index, up = container.find_link(network.name)
        addresses, routes = requested_addresses(network, index), requested_routes(network, index)
        is_ipv6 = has_ipv6(network)
        if is_ipv6:
            mac = self._mac(network)
            if mac:
                addresses.append(link_local_address(index, mac))
        if network.name not in session.created:
            before = container.dump_addresses(index)
            if any(address.address.startswith("fe80:") for address in before):
                addresses = [address for address in addresses if address.scope != SCOPE_LINK]
            undo = _find_undo(container, network.name, index, up, before, addresses, routes)
            session.undo_stack.push(undo, f"the state of {network.name}")
        set_sysctls(session, network, network.name)
        batch = Batch()
        for address in addresses:
            # The container may have brought the link up; the kernel then added the link-local one.
            batch.add_address(index, address, replace=address.scope == SCOPE_LINK)
        batch.set_link(index, up=True)
        for route in routes:
            batch.add_route(route)
        execute_for(container, batch, network.name)
        if is_ipv6:
            texts = [address.address for address in addresses]
            wait_until_receiving(container, network.name, texts, session.until)


# ---- the undo step of _initialize ----


def _find_undo(
    container: RtnetlinkSocket,
    name: str,
    index: int,
    up: bool,
    before: list[Address],
    addresses: list[Address],
    routes: list[Route],
) -> Callable[[], None]:
    """Returns the undo step of `_initialize` for a link that this call has not made.

    Parameters:
        before: the addresses that the link has.
        addresses, routes: what `_initialize` adds.
    """
    if not up:  # its routes and IPv6 addresses disappear when it goes down again
        return partial(restore_down, container, index, name, lambda: before)
    had = {address.address for address in before}
    taken = {route_key(route) for route in container.dump_routes()}
    batch = Batch()
    for route in reversed(routes):
        if route_key(route) not in taken:
            batch.delete_route(route)
    for address in reversed(addresses):
        if normal_prefix(address.address) not in had:
            batch.delete_address(index, address)
    return partial(_delete_added, container, batch, name)


def route_key(route: Route) -> tuple[str, int, int]:
    """What identifies a route within a namespace."""
    route = normal_route(route)
    return route.destination, route.metric, route.table


def _delete_added(container: RtnetlinkSocket, batch: Batch, name: str) -> None:
    """Executes a batch of deletions; routes and addresses that do not exist are no error."""
    try:
        container.execute(batch)
    except BatchError as error:
        missing = (ESRCH, EADDRNOTAVAIL)
        if any(
            isinstance(one, Pending) or one.errno not in missing for one in error.results if one
        ):
            error.interface = name
            raise
