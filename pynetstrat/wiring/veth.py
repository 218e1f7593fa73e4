"""`veth`: a pair of which one end is the container's interface and the other the host's.

The host end is a port of a bridge or, without one, the container's point-to-point link.

The host end carries the alias tag of its owner, but the kernel takes an alias only in a later
message than the one that makes the pair. A process that is killed between the two leaves a pair
without a tag. So the MAC address of the host end, which the kernel takes at creation, says as well
whose pair it is: it begins with fe and 24 bits of a hash of the owner, the network's name and the
host end's name, if that was requested. The container cannot change it.
"""

from __future__ import annotations

import os
from errno import EADDRNOTAVAIL, EEXIST, EPERM, ESRCH
from functools import partial
from time import monotonic, sleep

from .._native.addresses import normal_prefix, normal_route
from .._native.batch import Pending
from ..errors import InvalidNetworkError, KernelError, TeardownError
from ..namespace import NetworkNamespace
from ..rtnetlink.batch import Batch, BatchError
from ..rtnetlink.links import IFA_F_NODAD, Address, Link, Route
from ..strategy import BuiltIn
from ._difference import (
    by_destination,
    check_addresses,
    check_container_link,
    check_port,
    check_routes,
    check_settings,
)
from ._session import (
    Session,
    execute_for,
    find_bridge,
    find_link,
    open_session,
    open_session_if_alive,
    open_socket,
    refuse_own,
    refuse_router_advertisements,
    restore_down,
    stable_hash,
    transaction,
    wanted_addresses,
    wanted_routes,
    whole_length,
)
from .network import (
    MIN_IPV6_MTU,
    Network,
    check_link_name,
    check_options,
    check_values,
    copy_of,
    invalid,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..rtnetlink.socket import RtnetlinkSocket
    from ..types import Netns

TAG = "pynetstrat:"  # the host end's alias is this and the owner
_GENERATED = "veth"  # how a generated name begins
_HOST_MAC = 0xFE  # how the MAC address of a host end begins
_TAGGING = 0.1  # seconds that another process may take from a pair to its tag
_SCOPE_LINK = 253  # RT_SCOPE_LINK, linux/rtnetlink.h


class Veth(BuiltIn):
    """A veth pair, its peer made in the container's namespace under its final name.

    How it reads a `Network`: `name`, required, is the container end, `host_interface_name` the host
    end; empty: generated from the owner (or the namespace's cookie) and `name`, the same each time.
    `bridge`, if given, has to exist, and gets the host end as a port; it is never set up, down or
    deleted. Without a bridge the link is point to point: the host end gets each gateway as an
    address of its own and a route to each of the container's addresses, and ignores router
    advertisements (accept_ra is 0), so that a container cannot become the host's IPv6 router.
    `mtu` 0 means the bridge's MTU, without a bridge the kernel's default. `mac_address` empty:
    derived from the IP address, so that a neighbour that knew another container by that address
    reaches this one at once. Each end has one queue. With an IPv6 address the link-local address is
    usable at once, too.

    The host end is tagged as the network's `owner`'s by its alias, in UTF-8. `destroy` deletes
    nothing else, except a pair that a killed `create` of the same owner and name left untagged. Two
    containers may have one owner and name if their networks request different host ends.
    """

    def validate(self, network: Network) -> None:
        """Raises InvalidNetworkError for an invalid field."""
        check_values(network)
        check_options(network)
        check_link_name(network, "name")
        if network.host_interface_name:
            check_link_name(network, "host_interface_name")
        if network.bridge:
            check_link_name(network, "bridge")
        elif network.hairpin_mode:
            raise invalid(network, "hairpin_mode", "requires a bridge")
        if len(_tag(network).encode("utf-8", "surrogateescape")) > 255 or "\0" in network.owner:
            raise invalid(network, "owner", "must be at most 244 bytes, none of them NUL")

    # ---- on the host ----

    def create(
        self, network: Network, nspid: int | None = None, *, netns: Netns | None = None
    ) -> Network:
        """Makes the pair, in one message, and tags it.

        An untagged pair in the way, left by a killed `create` of the same owner and name, is
        deleted first.

        Returns:
            The network, with the name of the host end filled in.

        Raises:
            InvalidNetworkError: a field is invalid; nothing has been sent.
            KernelError: the kernel refuses; everything is as before.
        """
        self.validate(network)
        with (
            open_session(nspid, netns, "veth") as session,
            transaction(session),
            transaction(session),
        ):
            return self._create(session, copy_of(network))

    def _create(self, session: Session, network: Network) -> Network:
        refuse_own(session, network.name)
        digest = _hash(_whose(network, session), network)
        if not network.host_interface_name:
            network.host_interface_name = _generated_name(digest)
        bridge = find_bridge(session.host, network) if network.bridge else None
        if bridge is not None and network.ipv6_address and bridge.mtu < MIN_IPV6_MTU:
            reason = f"its MTU is {bridge.mtu}, and IPv6 needs {MIN_IPV6_MTU}: raise it"
            raise invalid(network, "bridge", reason)
        mac = _host_mac(digest)
        _register(session, network.host_interface_name, mac)
        session.created.add(network.name)
        _add_pair(session, network, digest, mac, bridge)
        if bridge is None:
            _finish_point_to_point(session.host, network, mac)
            return network
        if _is_free(bridge):
            session.undo_stack.push(partial(_restore_mac, session.host, bridge), bridge.name)
        _finish_port(session.host, network, bridge)
        return network

    def destroy(self, network: Network, *, netns: Netns | None = None) -> None:
        """Deletes the pair; idempotent.

        With an owner the pair is deleted wherever its peer is by now, and whatever the name of the
        host end: the tag is the proof. Without an owner the peer has to be in `netns`.

        Parameters:
            network: as `create` returned it, or with an owner.
            netns: the container's namespace; None: unknown. It may have ended.

        Raises:
            KernelError: the pair exists, but nothing proves that it is this network's; or the
                kernel refuses.
        """
        self.validate(network)
        with open_session_if_alive(netns) as session:
            self._destroy(session, network)

    def _destroy(self, session: Session, network: Network) -> None:
        for link in _find_host_ends(session, network):
            _delete_by_index(session.host, link.index, link.name)

    def detach(self, network: Network) -> None:
        """Takes the host end off its bridge, or sets it down where there is no bridge."""
        self._change_host_end(network, attached=False)

    def attach(self, network: Network) -> None:
        """Makes the host end a port of its bridge again, and up, with the hairpin mode."""
        self._change_host_end(network, attached=True)

    def _change_host_end(self, network: Network, *, attached: bool) -> None:
        self.validate(network)
        name = _known_host_name(network)
        with open_socket() as host:
            link = host.get_link(name)
            if link.alias != _tag(network):
                hint = f"its alias is {link.alias!r}, not this network's tag {_tag(network)!r}"
                raise KernelError(EEXIST, "look", name, hint=hint)
            if not attached:
                change = {"master": 0} if network.bridge else {"up": False}
                host.execute(Batch().set_link(link.index, **change))
                return
            batch = Batch()
            if network.bridge:
                bridge = find_bridge(host, network)
                batch.set_link(link.index, master=bridge.index, up=True)
                if network.hairpin_mode:  # of a port, which it has to be first
                    batch.set_link(link.index, hairpin=True)
            elif not link.up:
                _add_host_side(batch, link.index, network, link.mac, again=True)
            execute_for(host, batch, name)

    # ---- in the container ----

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        """Gives the container end its addresses, brings it up and adds the routes, in one send.

        Raises:
            InvalidNetworkError: a field is invalid; nothing has been sent.
            KernelError: the kernel refuses; everything is as before.
        """
        if network is None:
            raise InvalidNetworkError("network", None, "the strategy veth needs a network")
        self.validate(network)
        where = NetworkNamespace.open(netns) if netns is not None else NetworkNamespace.current()
        with Session(where) as session, transaction(session), transaction(session):
            self._initialize(session, network)

    def _initialize(self, session: Session, network: Network) -> None:
        container = session.container
        index, up = session.find(network.name)
        addresses, routes = wanted_addresses(network, index), wanted_routes(network, index)
        mac = network.mac_address or _container_mac(network)
        if network.ipv6_address and mac is not None:
            addresses.append(_link_local(index, mac))
        if network.name not in session.created:
            before = container.dump_addresses(index)
            if any(address.address.startswith("fe80:") for address in before):
                addresses = [address for address in addresses if address.scope != _SCOPE_LINK]
            undo = _find_undo(container, network.name, index, up, before, addresses, routes)
            session.undo_stack.push(undo, f'interface "{network.name}"')
        batch = Batch()
        for address in addresses:
            # The container may have brought the link up, and the kernel added this one.
            batch.add_address(index, address, replace=address.scope == _SCOPE_LINK)
        batch.set_link(index, up=True)
        for route in routes:
            batch.add_route(route)
        execute_for(container, batch, network.name)

    # ---- what differs ----

    def check(self, network: Network, *, netns: Netns | None = None) -> list[str]:
        """Lists what differs from the network as it was requested, one sentence each."""
        self.validate(network)
        with open_session(None, netns, "veth") as session:
            return self._check(session, network)

    def _check(self, session: Session, network: Network) -> list[str]:
        name = _host_name(network, session)
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
            mac=_container_mac(network) or "",
            mtu=host_end.mtu if host_end is not None else 0,
        )


# ---- names, tags, MAC addresses ----


def _tag(network: Network) -> str:
    return TAG + network.owner


def _hash(whose: str, network: Network) -> int:
    """A number of 64 bits that stands for a pair.

    Pairs that have one owner and name, in two containers, differ in the host end's name. It counts
    unless it is the generated one, which `create` fills in.
    """
    text = f"{whose}\0{network.name}"
    digest = stable_hash(text.encode("utf-8", "surrogateescape"))
    if network.host_interface_name in ("", _generated_name(digest)):
        return digest
    text += f"\0{network.host_interface_name}"
    return stable_hash(text.encode("utf-8", "surrogateescape"))


def _generated_name(digest: int) -> str:
    """A name of 15 bytes for the host end of an interface."""
    return f"{_GENERATED}{digest >> 20:011x}"


def _whose(network: Network, session: Session) -> str:
    """What stands for the container: the owner, or its namespace's cookie; "": neither is known."""
    if network.owner or session.namespace is None:
        return network.owner
    return str(session.namespace.cookie or session.namespace.id)


def _host_name(network: Network, session: Session) -> str:
    if network.host_interface_name:
        return network.host_interface_name
    return _generated_name(_hash(_whose(network, session), network))


def _known_host_name(network: Network) -> str:
    """The name of the host end, where there is no namespace to generate it from."""
    if network.host_interface_name:
        return network.host_interface_name
    if network.owner:
        return _generated_name(_hash(network.owner, network))
    reason = "needed where neither the owner nor the namespace is known: create returns it"
    raise invalid(network, "host_interface_name", reason)


def _mac_prefix(digest: int) -> str:
    """How the MAC address of a host end begins: the same for every pair that `create` makes of it.

    fe makes it higher than the addresses of other ports, so that no bridge takes it as its own.
    """
    return bytes([_HOST_MAC, *digest.to_bytes(8, "big")[:3]]).hex(":")


def _host_mac(digest: int) -> str:
    """The MAC address of a new host end; its last bytes tell a pair from an earlier one."""
    return f"{_mac_prefix(digest)}:{os.urandom(2).hex(':')}"


def _container_mac(network: Network) -> str | None:
    """A local address that is the same whenever the IP address is; None: there is no IP address.

    A neighbour trusts the MAC address that it knows for half a minute and more, and an announcement
    (arp_notify) does not reach it: that is sent when the link goes up, and at that time the
    kernel may have disabled the bridge's port, which has no carrier yet.
    """
    if network.address:
        octets = network.address.partition("/")[0].split(".")
        return "02:00:" + bytes(map(int, octets)).hex(":")
    if network.ipv6_address:
        bare = normal_prefix(network.ipv6_address).partition("/")[0]
        return "06:" + stable_hash(bare.encode()).to_bytes(8, "big")[:5].hex(":")
    return None


def _link_local(index: int, mac: str) -> Address:
    """The link-local address that the kernel derives from a MAC address (EUI-64, RFC 4291).

    Added before the link goes up and without duplicate address detection it can be used at once;
    the kernel then finds it in place and adds none.
    """
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 2
    groups = (octets[:3] + b"\xff\xfe" + octets[3:]).hex()
    text = ":".join(groups[at : at + 4] for at in range(0, 16, 4))
    return Address(index, f"fe80::{text}/64", scope=_SCOPE_LINK, flags=IFA_F_NODAD)


# ---- the pair ----


def _is_free(bridge: Link) -> bool:
    """Whether a bridge would take the address of its first port.

    Its id holds the MAC address that it was given or took from a port, or zeros.
    """
    return not int(bridge.bridge_id[4:] or "1", 16)


def _add_pair(
    session: Session, network: Network, digest: int, mac: str, bridge: Link | None
) -> None:
    # A bridge that has to keep its address gets the port only once the pair is known to exist.
    # A point-to-point link goes up once it ignores router advertisements.
    port = bridge is not None and not _is_free(bridge)
    batch = Batch().add_veth(
        network.host_interface_name,
        network.name,
        netns=session.container_namespace,
        mtu=network.mtu or (bridge.mtu if bridge is not None else None),
        txqueuelen=network.txqueuelen or None,
        mac=mac,
        peer_mac=network.mac_address or _container_mac(network),
        master=bridge.index if bridge is not None and port else None,
        up=port,
        queues=1,  # as many as are in use in any case: see Batch.add_veth
    )
    try:
        execute_for(session.host, batch, network.host_interface_name)
    except BatchError as error:
        if error.errno != EEXIST or not _delete_left_over(session, network, digest, error):
            raise
        execute_for(session.host, batch, network.host_interface_name)


def _delete_left_over(session: Session, network: Network, digest: int, error: KernelError) -> bool:
    """Deletes the untagged pair that a killed create of this network left, if that is in the way.

    Otherwise the hint of `error` says what to do about a pair that carries the network's tag.
    """
    prefix = _mac_prefix(digest)
    for link in session.host.dump_links().values():
        if not _is_veth(link, prefix):
            continue
        if not link.alias and link.name == network.host_interface_name:
            link = _wait_for_tag(session, link)
            if not link.alias:
                _delete_by_index(session.host, link.index, link.name)
                return True
        if link.alias == _tag(network):
            hint = f'"{link.name}" is this network\'s already: tear it down first'
            error.hint = f"{error.hint}; {hint}" if error.hint else hint
    return False


def _wait_for_tag(session: Session, link: Link) -> Link:
    """Returns a link once it has a tag.

    Another process that sets up the same network may be about to set it. Each query takes the
    kernel's RTNL lock, for which that process may be waiting.
    """
    until = min(session.until, monotonic() + _TAGGING)
    while not link.alias and monotonic() < until:
        sleep(0.002)
        now = find_link(session.host, link.name)
        if now is None or now.index != link.index:
            break
        link = now
    return link


def _finish_port(host: RtnetlinkSocket, network: Network, bridge: Link) -> None:
    """The tag, which has to wait for the ack of the pair: a name may have been taken (EEXIST)."""
    name = network.host_interface_name
    batch = Batch()
    if _is_free(bridge):
        # Setting the address that it has would keep that, too, but leave its id as it is: the next
        # container could not tell, and each time the bridge would forget its neighbours.
        other = f"fe:{os.urandom(5).hex(':')}"
        batch.set_link(bridge.index, mac=other).set_link(bridge.index, mac=bridge.mac)
        batch.set_link(name, master=bridge.index, up=True, alias=_tag(network))
        if network.hairpin_mode:  # of a port, which it has to be first
            batch.set_link(name, hairpin=True)
    else:
        batch.set_link(name, alias=_tag(network), hairpin=network.hairpin_mode or None)
    execute_for(host, batch, name)


def _finish_point_to_point(host: RtnetlinkSocket, network: Network, mac: str) -> None:
    """The tag, and the host's side of the link; see _finish_port()."""
    name = network.host_interface_name
    refuse_router_advertisements(name)
    link = host.get_link(name)
    if link.mac != mac:
        hint = "another process has set this network up at the same time"
        raise KernelError(EEXIST, "look", name, hint=hint)
    index = link.index
    batch = Batch().set_link(index, alias=_tag(network))
    execute_for(host, _add_host_side(batch, index, network, mac), name)


def _add_host_side(
    batch: Batch, index: int, network: Network, mac: str, *, again: bool = False
) -> Batch:
    """Point to point: the host end goes up, with the gateways and routes to the container.

    Parameters:
        again: the addresses may exist already.
    """
    if network.ipv6_address:
        batch.add_address(index, _link_local(index, mac), replace=again)
    batch.set_link(index, up=True)
    for gateway in (network.gateway, network.ipv6_gateway):
        if gateway:
            batch.add_address(index, f"{gateway}/{whole_length(gateway)}", replace=again)
    for route in _host_routes(network, index):
        batch.add_route(route)
    return batch


def _host_routes(network: Network, index: int) -> list[Route]:
    """Point to point: the host's routes to the container's addresses."""
    addresses = (network.address, network.ipv6_address)
    bare = [address.partition("/")[0] for address in addresses if address]
    return [Route(f"{each}/{whole_length(each)}", ifindex=index) for each in bare]


# ---- undoing ----


class _Pairs:
    """The undo step of pairs that were made one after the other: deletes those that were made.

    Together, in the time of one: deleting a link takes 20 ms, most of it spent waiting for other
    processors.
    """

    def __init__(self, host: RtnetlinkSocket) -> None:
        self._host = host
        self._names: dict[str, str] = {}  # by MAC address

    def add(self, name: str, mac: str) -> None:
        """A pair that is made next, by the name and the MAC address of its host end."""
        self._names[mac] = name

    def __call__(self) -> None:
        try:
            links = self._host.dump_links().values()
        except KernelError as error:
            error.interface = ", ".join(self._names.values())
            raise
        made = [link for link in links if link.kind == "veth" and link.mac in self._names]
        if len(made) > 1 and _delete_as_group(self._host, made, {link.group for link in links}):
            return
        errors: list[Exception] = []
        for link in made:
            try:
                _delete_by_index(self._host, link.index, link.name)
            except KernelError as error:
                errors.append(error)
        if errors:
            raise TeardownError(errors)


def _register(session: Session, name: str, mac: str) -> None:
    """Pushes the undo step of a pair, or adds the pair to the step that was pushed last."""
    pairs = session.undo_stack.last()
    if not isinstance(pairs, _Pairs):
        pairs = _Pairs(session.host)
        session.undo_stack.push(pairs)
    pairs.add(name, mac)


def _delete_as_group(host: RtnetlinkSocket, links: list[Link], taken: set[int]) -> bool:
    """Deletes links at once; False where that fails."""
    group = 0
    while group in taken or group == 0:
        group = int.from_bytes(os.urandom(4), "little") >> 1
    batch = Batch()
    for link in links:
        batch.set_group(link.index, group)
    try:
        host.execute(batch)
        host.execute(Batch().delete_group(group))
    except KernelError:
        return False
    return True


def _delete_by_index(host: RtnetlinkSocket, index: int, name: str) -> None:
    """Deletes a link; one that does not exist any more is no error."""
    try:
        host.execute(Batch().delete_link(index))
    except BatchError as error:
        if not isinstance(error.results[0], FileNotFoundError):
            error.interface = name
            raise


def _restore_mac(host: RtnetlinkSocket, bridge: Link) -> None:
    """Where _finish_port() got no further than to a bridge's other address."""
    link = find_link(host, bridge.name)
    if link is not None and link.index == bridge.index and link.mac != bridge.mac:
        execute_for(host, Batch().set_link(bridge.index, mac=bridge.mac), bridge.name)


def _find_undo(
    container: RtnetlinkSocket,
    name: str,
    index: int,
    up: bool,
    before: list[Address],
    addresses: list[Address],
    routes: list[Route],
) -> Callable[[], None]:
    """The undo step of what initialize() does to a link that this call has not made."""
    if not up:  # its routes and IPv6 addresses end when it goes down
        return partial(restore_down, container, index, lambda: before)
    had = {address.address for address in before}
    taken = {_key(route) for route in container.dump_routes()}
    batch = Batch()
    for route in reversed(routes):
        if _key(route) not in taken:
            batch.delete_route(route)
    for address in reversed(addresses):
        if normal_prefix(address.address) not in had:
            batch.delete_address(index, address)
    return partial(_delete_if_there, container, batch, name)


def _key(route: Route) -> tuple[str, int, int]:
    """What no two routes of a namespace have in common."""
    route = normal_route(route)
    return route.destination, route.metric, route.table


def _delete_if_there(container: RtnetlinkSocket, batch: Batch, name: str) -> None:
    try:
        container.execute(batch)
    except BatchError as error:
        missing = (ESRCH, EADDRNOTAVAIL)
        if any(
            isinstance(one, Pending) or one.errno not in missing for one in error.results if one
        ):
            error.interface = name
            raise


# ---- whose pair it is ----


def _find_host_ends(session: Session, network: Network) -> list[Link]:
    """The host ends to delete: of one pair, or also of one that a killed create left.

    Raises:
        KernelError: a pair may be this network's, but that is not proven.
    """
    host, tag = session.host, _tag(network)
    whose = _whose(network, session)
    name = _host_name(network, session) if whose else _known_host_name(network)
    prefix = _mac_prefix(_hash(whose, network)) if whose else f"{_HOST_MAC:02x}:"
    named = find_link(host, name)
    if named is not None and _is_veth(named, prefix) and named.alias == tag and network.owner:
        return [named]
    links = host.dump_links().values()
    found = [
        link
        for link in links
        if whose and _is_veth(link, prefix) and (link.name == name or not _is_of_another(link, tag))
    ]
    if not found and named is not None and named.kind == "veth":
        # Made by an older version, or its MAC address was changed; or nothing but the name is
        # known of it.
        untagged = not named.alias and not whose and _is_veth(named, prefix)
        found = [named] if named.alias == tag or untagged else []
    for link in found:
        if link.alias not in ("", tag):
            hint = (
                f"it is this network's by its MAC address, but its alias is {link.alias!r}: "
                f"set that to {tag!r} again, or delete the link"
            )
            raise KernelError(EPERM, "look", link.name, hint=hint)
        if not network.owner and not _leads_to(session, network, link, links):
            hint = (
                "without an owner, only a peer in the given namespace proves that a pair is this "
                "network's, and the peer is in another one: give the namespace that it is in, or "
                "delete the link"
            )
            raise KernelError(EPERM, "look", link.name, hint=hint)
    return found


def _is_veth(link: Link, prefix: str) -> bool:
    return link.kind == "veth" and link.mac.startswith(prefix)


def _is_of_another(link: Link, tag: str) -> bool:
    """Whether a link carries another owner's tag: 24 bits of a hash may be equal by chance."""
    return link.alias.startswith(TAG) and link.alias != tag


def _leads_to(session: Session, network: Network, link: Link, links: Iterable[Link]) -> bool:
    """Whether a pair's peer is in the container's namespace, or in one that has ended.

    In an ended one it exists only until the kernel's worker has deleted it. Where no namespace is
    given, a generated name will do: that and the MAC address hold one hash, of the namespace's
    cookie.
    """
    if session.namespace is None and link.name.startswith(_GENERATED):
        digits = link.mac.replace(":", "")[2:8]
        if link.name == network.host_interface_name and link.name[4:10] == digits:
            return True
    # The kernel may give a namespace its id only when it is asked for a link that leads there, so
    # the link has to be dumped first.
    if link.link_nsid is not None:
        namespace, host = session.namespace, session.host
        if namespace is not None and link.link_nsid == host.get_nsid(namespace):
            return True
        return not host.has_namespace(link.link_nsid)
    # Without an id the peer is in the host namespace, or its namespace has ended.
    return not any(
        (other.index, other.link_index) == (link.link_index, link.index) for other in links
    )


# ---- what differs ----


def _check_host_end(host: RtnetlinkSocket, network: Network, link: Link) -> list[str]:
    found = []
    if link.alias != _tag(network):
        found.append(f"alias {link.alias!r}, not {_tag(network)!r}")
    found += check_settings(link, mtu=network.mtu)
    if link.group:
        found.append(f"in the group {link.group}, not 0")
    bridge = find_link(host, network.bridge) if network.bridge else None
    found += check_port(link, network, bridge)
    if not network.bridge:
        found += _check_host_side(host, network, link)
    return found


def _check_host_side(host: RtnetlinkSocket, network: Network, link: Link) -> list[str]:
    """The differences of the addresses and routes that _add_host_side() adds."""
    gateways = [gateway for gateway in (network.gateway, network.ipv6_gateway) if gateway]
    addresses = [Address(link.index, f"{bare}/{whole_length(bare)}") for bare in gateways]
    _, found = check_addresses(host.dump_addresses(link.index), addresses)
    routes = _host_routes(network, link.index)
    return found + check_routes(by_destination(host.dump_all_routes(link.index)), routes)


def _is_pair(session: Session, host_end: Link, container_end: Link) -> bool:
    """Whether two links are the ends of one pair. The host end has to be queried before.

    The kernel may give a namespace its nsid only when a link that leads there is queried.
    """
    nsid = session.host.get_nsid(session.container_namespace)
    return (
        host_end.kind == container_end.kind == "veth"
        and (host_end.link_index, host_end.link_nsid) == (container_end.index, nsid)
        and container_end.link_index == host_end.index
    )
