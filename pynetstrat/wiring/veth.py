"""`veth`: a pair of links, one in the container and one on the host."""

from __future__ import annotations

from errno import EADDRNOTAVAIL, EEXIST, ESRCH
from functools import partial

from .._native.batch import Pending
from .._native.prefixes import normal_prefix
from .._native.routes import SCOPE_LINK, normal_route
from ..errors import InvalidNetworkError, KernelError
from ..namespace import NetworkNamespace
from ..rtnetlink.batch import Batch, BatchError
from ..rtnetlink.links import Address
from ._container_dump import by_destination
from ._difference import (
    check_addresses,
    check_container_link,
    check_port,
    check_routes,
    check_settings,
)
from ._links import delete_by_index, execute_for, find_bridge, find_link, restore_down
from ._requested import host_prefix, requested_addresses, requested_routes
from ._session import Session
from ._strategy import SessionStrategy
from ._validation import MIN_IPV6_MTU, validate_link_name, validate_options, validate_values
from ._veth_names import (
    container_mac,
    digest_of,
    generated_name,
    host_end_name,
    link_local_address,
    owner_key,
    tag_of,
)
from ._veth_owner import find_host_ends
from ._veth_pair import configure_host_end, host_routes, make_pair
from .network import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..rtnetlink.links import Link, Route
    from ..rtnetlink.socket import RtnetlinkSocket
    from ..types import Netns
    from ._socket import SessionSocket
    from .network import Network

# Bytes of an alias: IFALIASZ - 1, linux/if.h, which conflicts with the C library's net/if.h.
_LARGEST_TAG = 255


class Veth(SessionStrategy):
    """The strategy `veth`: a veth pair whose peer is made in the container's namespace.

    Fields of a `Network`:

    - `name` (required): the name of the container end.
    - `host_interface_name`: the name of the host end. Empty: generated from the owner (or the
      namespace's cookie) and `name`, the same each time.
    - `bridge`: an existing bridge, of which the host end becomes a port. The bridge itself is not
      brought up or down, and not deleted. Empty: the link is point to point, and the host end gets
      each gateway as an address of its own and a route to each of the container's addresses. It
      ignores router advertisements (accept_ra is 0), so a container cannot become the host's IPv6
      router.
    - `mtu`: 0 means the bridge's MTU, or the kernel's default without a bridge.
    - `mac_address`: of the container end. Empty: derived from the IP address, so that a neighbour
      that knew another container by this address reaches the new one at once.
    - `owner`: the host end gets the alias "pynetstrat:" and the owner. `destroy` deletes only a
      pair with this alias, or one that a killed `create` of the same owner and name left without
      an alias. Two containers may have the same owner and name if their networks request
      different host ends.

    Each end has one queue. With an IPv6 address the link-local address is usable at once, too.

    Example:
        >>> network = Network("veth", name="eth0", bridge="br0", address="192.0.2.2/24")
        >>> set_up_networks([Network("loopback"), network], netns="/run/netns/web-1")
    """

    type = "veth"

    def validate(self, network: Network) -> None:
        """Raises InvalidNetworkError for an invalid field."""
        validate_values(network)
        validate_options(network)
        validate_link_name(network, "name")
        if network.host_interface_name:
            validate_link_name(network, "host_interface_name")
        if network.bridge:
            validate_link_name(network, "bridge")
        elif network.hairpin_mode:
            raise invalid(network, "hairpin_mode", "requires `bridge`")
        tag = tag_of(network).encode("utf-8", "surrogateescape")
        if len(tag) > _LARGEST_TAG or b"\0" in tag:
            raise invalid(network, "owner", "must be at most 244 bytes, none of them NUL")

    # ---- on the host ----

    def _create(self, session: Session, network: Network) -> Network:
        session.refuse_host_namespace(network.name)
        key = owner_key(network, session)
        digest = digest_of(key, network)
        if not network.host_interface_name:
            network.host_interface_name = generated_name(digest)
        bridge = find_bridge(session.host, network) if network.bridge else None
        if bridge is not None and network.ipv6_address and bridge.mtu < MIN_IPV6_MTU:
            reason = f"its MTU is {bridge.mtu}, and IPv6 needs {MIN_IPV6_MTU}: raise it"
            raise invalid(network, "bridge", reason)
        make_pair(session, network, digest, bridge)
        return network

    def _destroy(self, session: Session, network: Network) -> None:
        for link in find_host_ends(session, network):
            delete_by_index(session.host, link.index, link.name)

    def detach(self, network: Network) -> None:
        """Takes the host end off its bridge, or brings it down if there is no bridge.

        Raises:
            InvalidNetworkError: a field is invalid.
            KernelError: the host end does not exist or is another network's, or the kernel refused
                the change.
        """
        self.validate(network)
        with Session(None) as session:
            link = _find_own_host_end(session.host, network)
            batch = Batch()
            if network.bridge:
                batch.set_link(link.index, master=0)
            else:
                batch.set_link(link.index, up=False)
            execute_for(session.host, batch, link.name)

    def attach(self, network: Network) -> None:
        """Reverses `detach`: makes the host end a port of its bridge, or brings it up.

        Raises:
            InvalidNetworkError: a field is invalid, or the bridge does not exist.
            KernelError: the host end does not exist or is another network's, or the kernel refused
                the change.
        """
        self.validate(network)
        with Session(None) as session:
            link = _find_own_host_end(session.host, network)
            batch = Batch()
            if network.bridge:
                bridge = find_bridge(session.host, network)
                batch.set_link(link.index, master=bridge.index, up=True)
                if network.hairpin_mode:  # the link must be a port first
                    batch.set_link(link.index, hairpin=True)
            elif not link.up:
                configure_host_end(batch, link.index, network, link.mac, again=True)
            execute_for(session.host, batch, link.name)

    # ---- in the container ----

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        """Gives the container end its addresses, brings it up and adds the routes, in one send.

        After an error everything is as before.

        Parameters:
            network: the configuration as `create` returned it.
            netns: the container's network namespace; None: that of the calling thread.

        Raises:
            InvalidNetworkError: a field is invalid, or there is no network.
            KernelError: the container end does not exist, or the kernel refused a change.
        """
        if network is None:
            raise InvalidNetworkError("network", None, "the strategy veth needs a network")
        self.validate(network)
        where = NetworkNamespace.open(netns) if netns is not None else NetworkNamespace.current()
        with Session(where) as session, session:
            self._initialize(session, network)

    def _initialize(self, session: Session, network: Network) -> None:
        container = session.container
        index, up = session.find(network.name)
        addresses, routes = requested_addresses(network, index), requested_routes(network, index)
        mac = network.mac_address or container_mac(network)
        if network.ipv6_address and mac is not None:
            addresses.append(link_local_address(index, mac))
        if network.name not in session.created:
            before = container.dump_addresses(index)
            if any(address.address.startswith("fe80:") for address in before):
                addresses = [address for address in addresses if address.scope != SCOPE_LINK]
            undo = _find_undo(container, network.name, index, up, before, addresses, routes)
            session.undo_stack.push(undo, f"the state of {network.name}")
        batch = Batch()
        for address in addresses:
            # The container may have brought the link up; the kernel then added the link-local one.
            batch.add_address(index, address, replace=address.scope == SCOPE_LINK)
        batch.set_link(index, up=True)
        for route in routes:
            batch.add_route(route)
        execute_for(container, batch, network.name)

    # ---- what differs ----

    def _check(self, session: Session, network: Network) -> list[str]:
        name = host_end_name(network, owner_key(network, session))
        host_end = find_link(session.host, name)
        end = find_link(session.container, network.name)
        if host_end is None:
            found = ["missing"]
        else:
            found = _check_host_end(session.host, network, host_end)
            if end is not None and not _is_pair(session, host_end, end):
                found.append(f"not the peer of {end.name} in the container")
        differences = [f"{name} (host): {difference}" for difference in found]
        if end is None:
            return [*differences, f"{network.name}: missing"]
        return differences + check_container_link(
            session,
            network,
            end,
            mac=container_mac(network) or "",
            mtu=host_end.mtu if host_end is not None else 0,
        )


def _find_own_host_end(host: RtnetlinkSocket, network: Network) -> Link:
    """Returns the host end of a network. Raises KernelError if it carries another alias."""
    link = host.get_link(host_end_name(network, network.owner))
    if link.alias != tag_of(network):
        hint = f"its alias is {link.alias!r}, not this network's tag {tag_of(network)!r}"
        raise KernelError(EEXIST, "find", link.name, hint=hint)
    return link


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
    """Returns the undo step of `_initialize` for a container end that this call has not made.

    Parameters:
        before: the addresses that the link has.
        addresses, routes: what `_initialize` adds.
    """
    if not up:  # its routes and IPv6 addresses disappear when it goes down again
        return partial(restore_down, container, index, name, lambda: before)
    had = {address.address for address in before}
    taken = {_key(route) for route in container.dump_routes()}
    batch = Batch()
    for route in reversed(routes):
        if _key(route) not in taken:
            batch.delete_route(route)
    for address in reversed(addresses):
        if normal_prefix(address.address) not in had:
            batch.delete_address(index, address)
    return partial(_delete_added, container, batch, name)


def _key(route: Route) -> tuple[str, int, int]:
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


# ---- checks ----


def _check_host_end(host: SessionSocket, network: Network, link: Link) -> list[str]:
    found = []
    if link.alias != tag_of(network):
        found.append(f"alias {link.alias!r}, not {tag_of(network)!r}")
    found += check_settings(link, mtu=network.mtu)
    if link.group:
        found.append(f"in the group {link.group}, not 0")
    bridge = find_link(host, network.bridge) if network.bridge else None
    found += check_port(link, network, bridge)
    if not network.bridge:
        found += _check_point_to_point(host, network, link)
    return found


def _check_point_to_point(host: SessionSocket, network: Network, link: Link) -> list[str]:
    """The differences in the addresses and routes that configure_host_end() adds."""
    gateways = [gateway for gateway in (network.gateway, network.ipv6_gateway) if gateway]
    addresses = [Address(link.index, host_prefix(gateway)) for gateway in gateways]
    _, found = check_addresses(host.dump_addresses(link.index), addresses)
    present = by_destination(host.dump_all_routes(link.index))
    return found + check_routes(present, host_routes(network, link.index))


def _is_pair(session: Session, host_end: Link, container_end: Link) -> bool:
    """Whether two links are the ends of one pair.

    The kernel may give a namespace its nsid only when a link that leads there is queried, so the
    caller has queried the host end before.
    """
    nsid = session.host.get_nsid(session.container_namespace)
    return (
        host_end.kind == container_end.kind == "veth"
        and (host_end.link_index, host_end.link_nsid) == (container_end.index, nsid)
        and container_end.link_index == host_end.index
    )
