"""`veth`: a pair of links, one in the container and one on the host."""

from __future__ import annotations

from errno import EEXIST

from .._partial import partial
from ..counters import container_view
from ..errors import KernelError
from ..rtnetlink.batch import Batch
from ..rtnetlink.links import Address
from ._container_dump import by_destination
from ._container_link import ContainerLinkStrategy
from ._difference import (
    check_addresses,
    check_container_link,
    check_port,
    check_routes,
    check_settings,
)
from ._links import delete_counted, execute_for, find_bridge, find_link, run_all
from ._published import parse_ports
from ._publishing import check_forwarded, publish, refuse_unreachable, withdraw
from ._rates import check_rates, delete_ifb, limit_rates, validate_rates
from ._requested import host_prefix
from ._session import Session
from ._sysctls import check_sysctls, validate_sysctls
from ._validation import MIN_IPV6_MTU, validate_link_name, validate_options, validate_values
from ._veth_names import (
    digest_of,
    generated_name,
    host_end_name,
    owner_key,
    tag_of,
    validate_owner,
)
from ._veth_owner import find_host_ends
from ._veth_pair import configure_host_end, host_routes, make_pair, set_port
from ._workers import process_carriers, wait_until_receiving
from .network import has_ipv6, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..rtnetlink.links import Link
    from ..rtnetlink.socket import RtnetlinkSocket
    from ._socket import SessionSocket
    from .network import Network


class Veth(ContainerLinkStrategy):
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
    - `isolated`: the host end exchanges no frames with other isolated ports of the bridge (Linux
      4.18).
    - `mtu`: 0 means the bridge's MTU, or the kernel's default without a bridge.
    - `mac_address`: of the container end. Empty: derived from the first IP address, so that a
      neighbour that knew another container by this address reaches the new one at once.
    - `owner`: the host end gets the alias "pynetstrat:" and the owner. `destroy` deletes only a
      pair with this alias, or one that a killed `create` of the same owner and name left without
      an alias. Two containers may have the same owner and name if their networks request
      different host ends.

    - `rate_in`, `rate_out`: what the container may receive and send, in bits per second on the
      wire; at least one packet per second. They are enforced on the host, so that root of the
      container cannot lift them. For `rate_out` the host gets an ifb besides the host end. Up to
      20 kB, or what the rate sends in 4 ms, may pass at once; a packet that would wait for more
      than 0.05 s is dropped.

    - `publish`: ports of the host that lead to the container (docs/egress.md). The host must
      forward. A taken port is an error that names its owner.

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
        validate_sysctls(network)
        validate_rates(network)
        validate_link_name(network, "name")
        if network.host_interface_name:
            validate_link_name(network, "host_interface_name")
        if network.bridge:
            validate_link_name(network, "bridge")
        else:
            for field in ("hairpin_mode", "isolated"):
                if getattr(network, field):
                    raise invalid(network, field, "requires `bridge`")
        validate_owner(network)
        if network.publish:
            parse_ports(network)

    # ---- on the host ----

    def _create(self, session: Session, network: Network) -> Network:
        session.refuse_host_namespace(network.name)
        key = owner_key(network, session)
        digest = digest_of(key, network)
        if not network.host_interface_name:
            network.host_interface_name = generated_name(digest)
        bridge = find_bridge(session.host, network) if network.bridge else None
        if bridge is not None and has_ipv6(network) and bridge.mtu < MIN_IPV6_MTU:
            reason = f"its MTU is {bridge.mtu}, and IPv6 needs {MIN_IPV6_MTU}: raise it"
            raise invalid(network, "bridge", reason)
        if network.publish:
            refuse_unreachable(session, network, bridge)
        make_pair(session, network, digest, bridge)
        limit_rates(session, network, digest)
        if network.publish:
            publish(session, network)
        return network

    def _initialize(self, session: Session, network: Network) -> None:
        super()._initialize(session, network)
        if network.name in session.created:  # otherwise the host namespace may be unknown
            host, name = session.host, network.host_interface_name
            process_carriers(host, name, network.bridge)
            if not network.bridge:
                wait_until_receiving(host, name, [network.ipv6_gateway], session.until)

    def _destroy(self, session: Session, network: Network) -> None:
        steps = [
            partial(_delete_pair, session, network, link)
            for link in find_host_ends(session, network)
        ]
        if network.publish:
            name = host_end_name(network, owner_key(network, session))
            steps.insert(0, partial(withdraw, session, network, name))
        run_all([*steps, partial(delete_ifb, session, network, owner_key(network, session))])

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
                set_port(batch, link.index, network)  # the link must be a port first
            elif not link.up:
                configure_host_end(batch, link.index, network, link.mac, again=True)
            execute_for(session.host, batch, link.name)
            process_carriers(session.host, link.name, network.bridge)

    # ---- what differs ----

    def _check(self, session: Session, network: Network) -> list[str]:
        name = host_end_name(network, owner_key(network, session))
        host_end = find_link(session.host, name)
        end = find_link(session.container, network.name)
        if host_end is None:
            found = ["missing"]
        else:
            found = _check_host_end(session.host, network, host_end)
            found += check_rates(session.host, network, host_end)
            if end is not None and not _is_pair(session, host_end, end):
                found.append(f"not the peer of {end.name} in the container")
        differences = [f"{name} (host): {difference}" for difference in found]
        differences += [f"{network.name}: {one}" for one in check_forwarded(session, network, name)]
        if end is None:
            return [*differences, f"{network.name}: missing"]
        differences += check_container_link(
            session,
            network,
            end,
            mac=self._mac(network),
            mtu=host_end.mtu if host_end is not None else 0,
        )
        return differences + check_sysctls(session, network, end.name)


def _delete_pair(session: Session, network: Network, link: Link) -> None:
    """Deletes a pair by its host end, and keeps the counters of the container end."""
    counters = delete_counted(session.host, link.index, link.name)
    # A pair without a tag is what a killed `create` left: its container has never run.
    if counters is not None and link.alias:
        session.counters[network.name] = container_view(network.name, counters)


def _find_own_host_end(host: RtnetlinkSocket, network: Network) -> Link:
    """Returns the host end of a network. Raises KernelError if it carries another alias."""
    link = host.get_link(host_end_name(network, network.owner))
    if link.alias != tag_of(network):
        hint = f"its alias is {link.alias!r}, not this network's tag {tag_of(network)!r}"
        raise KernelError(EEXIST, "find", link.name, hint=hint)
    return link


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
