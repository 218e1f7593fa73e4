"""`veth`: a pair of which one end is the container's interface and the other the host's.

The host's end is a port of a bridge or, without one, the container's point-to-point link.
"""

from __future__ import annotations

import os
from errno import EEXIST
from functools import partial

from .._native.addresses import normal_prefix
from ..batch import Batch, BatchError
from ..errors import InvalidNetworkError, KernelError
from ..links import Link, Route
from ..network import Network, check_link_name, check_options, check_values, copy_of, invalid
from ..wiring import (
    Wiring,
    check_container_link,
    execute_for,
    find_bridge,
    find_link,
    open_if_alive,
    open_socket,
    open_wiring,
    refuse_own,
    stable_hash,
    undo,
    wanted_addresses,
    wanted_routes,
    whole_length,
)
from . import NetworkStrategy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..arguments import Netns
    from ..rtnetlink import RtnetlinkSocket

MARK = "pynetstrat:"  # the alias of the host's end, with the owner behind it
_MADE_UP = "veth"  # how a name that is made up begins


class Veth(NetworkStrategy):
    """A veth pair, its peer made in the container's namespace under its final name.

    How it reads a `Network`: `name`, required, is the container's end, `host_interface_name` the
    host's; empty: made of the owner (or the namespace's cookie) and `name`, the same each time.
    `bridge`, if given, must be there, and gets the host's end as a port; it is never set up, down
    or deleted. Without one the link is point to point: the host's end gets each gateway as an
    address of its own, and a route to each of the container's addresses. `mac_address` empty: made
    of the IP address, so that whoever knew another container by it reaches this one at once. Each
    end has one queue.

    The host's end is marked as the network's `owner`'s by its alias. `destroy` deletes nothing
    else.
    """

    def validate(self, network: Network) -> None:
        """Raises InvalidNetworkError for a value that can't be."""
        check_values(network)
        check_options(network)
        check_link_name(network, "name")
        if network.host_interface_name:
            check_link_name(network, "host_interface_name")
        if network.bridge:
            check_link_name(network, "bridge")
        elif network.hairpin_mode:
            raise invalid(network, "hairpin_mode", "it is a bridge's, and there is none")
        if len(_mark(network).encode("utf-8", "surrogateescape")) > 255 or "\0" in network.owner:
            raise invalid(network, "owner", "at most 244 bytes, none of them NUL")

    def _validate_once(self, network: Network, netns: Netns | None) -> None:
        """The same, but for a network that this call has found valid already: 5 % of a wiring."""
        for known in netns.checked if isinstance(netns, Wiring) else ():
            if known is network:
                return
        self.validate(network)

    # ---- on the host ----

    def create(
        self, network: Network, nspid: int | None = None, *, netns: Netns | None = None
    ) -> Network:
        """Makes the pair, in one message, and marks it.

        Returns:
            The network, with the name of the host's end filled in.

        Raises:
            InvalidNetworkError: a value that can't be; nothing has been sent.
            KernelError: the kernel's refusal, after which everything is as it was.
        """
        self._validate_once(network, netns)
        with open_wiring(nspid, netns, "veth") as wiring:
            refuse_own(wiring, network.name)
            made = copy_of(network)
            made.host_interface_name = _host_name(network, wiring)
            wiring.checked.append(made)
            bridge = find_bridge(wiring.host, network) if network.bridge else None
            mac = _host_mac()
            wiring.undoes.append(partial(_delete_made, wiring, made.host_interface_name, mac))
            _add_pair(wiring, made, mac, bridge)
            if bridge is not None and _is_free(bridge):
                wiring.undoes.append(partial(_give_back_address, wiring.host, bridge))
            _finish_host(wiring.host, made, bridge)
        return made

    def destroy(self, network: Network, *, netns: Netns | None = None) -> None:
        """Deletes the pair, if it is marked as the owner's; twice does no harm.

        Parameters:
            network: as `create` returned it, or with an owner.
            netns: where its other end has to be; one that is gone by now does no harm.
        """
        self.validate(network)
        if isinstance(netns, Wiring):
            _delete_host_end(netns.host, network, _host_name(network, netns), netns)
            return
        wiring = open_if_alive(netns)
        if wiring is None:  # its end of the pair has gone with it, or goes soon
            with open_socket() as host:
                _delete_host_end(host, network, _known_host_name(network), None)
            return
        try:
            _delete_host_end(wiring.host, network, _host_name(network, wiring), wiring)
        finally:
            wiring.close()

    def detach(self, network: Network) -> None:
        """Takes the host's end off its bridge, or down where there is none."""
        self._change_host_end(network, attached=False)

    def attach(self, network: Network) -> None:
        """Puts the host's end back: a port of its bridge and up, with the hairpin mode."""
        self._change_host_end(network, attached=True)

    def _change_host_end(self, network: Network, *, attached: bool) -> None:
        self.validate(network)
        name = _known_host_name(network)
        with open_socket() as host:
            link = host.get_link(name)
            if link.alias != _mark(network):
                hint = f"it is marked {link.alias!r}, not as this network's"
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
                batch.set_link(link.index, up=True)
                _add_far_side(batch, link.index, network, again=True)
            execute_for(host, batch, name)

    # ---- in the container ----

    def initialize(self, network: Network | None = None, *, netns: Netns | None = None) -> None:
        """Gives the container's end its addresses, brings it up and adds the routes, in one send.

        Raises:
            InvalidNetworkError: a value that can't be; nothing has been sent.
            KernelError: the kernel's refusal, after which everything is as it was.
        """
        if network is None:
            raise InvalidNetworkError("network", None, "the strategy veth needs a network")
        self._validate_once(network, netns)
        if isinstance(netns, Wiring):
            _initialize(netns.container, *netns.find(network.name), network)
            return
        with open_socket(netns) as container:
            link = container.get_link(network.name)
            _initialize(container, link.index, link.up, network)

    # ---- what differs ----

    def check(self, network: Network, *, netns: Netns | None = None) -> list[str]:
        """What differs from what was asked for, one sentence each."""
        self.validate(network)
        with open_wiring(None, netns, "veth") as wiring:
            name = _host_name(network, wiring)
            return [
                *_check_host_end(wiring.host, network, name),
                *_check_container_end(wiring.container, network),
            ]


# ---- names and marks ----


def _mark(network: Network) -> str:
    return MARK + network.owner


def _made_up_name(whose: str, name: str) -> str:
    """A name of 15 bytes for the host's end of somebody's interface."""
    digest = stable_hash(f"{whose}\0{name}".encode("utf-8", "surrogateescape"))
    return f"{_MADE_UP}{digest >> 20:011x}"


def _host_name(network: Network, wiring: Wiring) -> str:
    if network.host_interface_name:
        return network.host_interface_name
    if network.owner:
        return _made_up_name(network.owner, network.name)
    namespace = wiring.namespace
    return _made_up_name(str(namespace.cookie or namespace.id), network.name)


def _known_host_name(network: Network) -> str:
    """The name of the host's end, where there is no namespace to make it of."""
    if network.host_interface_name:
        return network.host_interface_name
    if network.owner:
        return _made_up_name(network.owner, network.name)
    reason = "needed where neither the owner nor the namespace is known: create returns it"
    raise invalid(network, "host_interface_name", reason)


# ---- the pair ----


def _host_mac() -> str:
    """A random local address that begins with fe: above its ports', so that no bridge takes it."""
    return "fe:" + os.urandom(5).hex(":")


def _container_mac(network: Network) -> str | None:
    """A local address that is the same whenever the IP address is; None: there is none.

    The host and other containers believe for half a minute and more that a neighbour has the MAC
    that it had, and an announcement (arp_notify) does not reach them: it is made when the link goes
    up, and by then the kernel may have disabled the bridge's port for want of a carrier.
    """
    if network.address:
        octets = network.address.partition("/")[0].split(".")
        return "02:00:" + bytes(map(int, octets)).hex(":")
    if network.ipv6_address:
        bare = normal_prefix(network.ipv6_address).partition("/")[0]
        return "06:" + stable_hash(bare.encode()).to_bytes(8, "big")[:5].hex(":")
    return None


def _is_free(bridge: Link) -> bool:
    """Whether a bridge would take the address of its first port.

    Its id holds the MAC that it was given or took from a port; there is neither.
    """
    return not int(bridge.bridge_id[4:] or "1", 16)


def _add_pair(wiring: Wiring, network: Network, mac: str, bridge: Link | None) -> None:
    # A bridge that has to keep its address is left alone until it is known that the pair is there.
    now = bridge is not None and not _is_free(bridge)
    batch = Batch().add_veth(
        network.host_interface_name,
        network.name,
        netns=wiring.namespace,
        mtu=network.mtu or None,
        txqueuelen=network.txqueuelen or None,
        mac=mac,
        peer_mac=network.mac_address or _container_mac(network),
        master=bridge.index if bridge is not None and now else None,
        up=now or bridge is None,
        queues=1,  # as many as are in use in any case: see Batch.add_veth
    )
    execute_for(wiring.host, batch, network.host_interface_name)


def _finish_host(host: RtnetlinkSocket, network: Network, bridge: Link | None) -> None:
    """The mark, which has to wait for the ack of the pair: a name may have been taken (EEXIST)."""
    name = network.host_interface_name
    batch = Batch()
    if bridge is not None and _is_free(bridge):
        # Setting the address that it has would keep that, too, but leave its id as it is: the next
        # container could not tell, and each time the bridge would forget its neighbours.
        batch.set_link(bridge.index, mac=_host_mac()).set_link(bridge.index, mac=bridge.mac)
        batch.set_link(name, master=bridge.index, up=True, alias=_mark(network))
        if network.hairpin_mode:  # of a port, which it has to be first
            batch.set_link(name, hairpin=True)
    else:
        batch.set_link(name, alias=_mark(network), hairpin=network.hairpin_mode or None)
    execute_for(host, batch, name)
    if not network.bridge and (network.address or network.ipv6_address):
        batch = _add_far_side(Batch(), host.get_link(name).index, network)
        execute_for(host, batch, name)


def _add_far_side(batch: Batch, index: int, network: Network, *, again: bool = False) -> Batch:
    """Point to point: the host's end has the gateways, and routes to the container's addresses.

    Parameters:
        again: an IPv4 address may still be there.
    """
    for gateway in (network.gateway, network.ipv6_gateway):
        if gateway:
            batch.add_address(index, f"{gateway}/{whole_length(gateway)}", replace=again)
    for address in (network.address, network.ipv6_address):
        if address:
            bare = address.partition("/")[0]
            batch.add_route(Route(f"{bare}/{whole_length(bare)}", ifindex=index))
    return batch


def _give_back_address(host: RtnetlinkSocket, bridge: Link) -> None:
    """Where _finish_host() got no further than to a bridge's other address."""
    link = find_link(host, bridge.name)
    if link is not None and link.index == bridge.index and link.mac != bridge.mac:
        execute_for(host, Batch().set_link(bridge.index, mac=bridge.mac), bridge.name)


def _delete_made(wiring: Wiring, name: str, mac: str) -> None:
    """Deletes the pair that was made with this address, marked or not, if it came to that."""
    link = find_link(wiring.host, name)
    if link is not None and link.kind == "veth" and link.mac == mac:
        _delete_by_index(wiring.host, link.index, name)


def _delete_host_end(
    host: RtnetlinkSocket, network: Network, name: str, wiring: Wiring | None
) -> None:
    """Deletes the host's end of a network, if it is marked as the owner's.

    Parameters:
        wiring: where its other end has to be; None: wherever that is.
    """
    link = find_link(host, name)
    if link is None or link.kind != "veth" or link.alias != _mark(network):
        return
    # The kernel may give a namespace its id only when it is asked for a link that leads there, so
    # that the link has to be looked at first.
    if wiring is None or (link.link_nsid is not None and link.link_nsid == host.get_nsid(wiring)):
        _delete_by_index(host, link.index, name)


def _delete_by_index(host: RtnetlinkSocket, index: int, name: str) -> None:
    """Deletes a link; one that is gone by now does not count as an error."""
    try:
        host.execute(Batch().delete_link(index))
    except BatchError as error:
        if not isinstance(error.results[0], FileNotFoundError):
            error.interface = name
            raise


# ---- the container's end ----


def _initialize(container: RtnetlinkSocket, index: int, was_up: bool, network: Network) -> None:
    addresses, routes = wanted_addresses(network, index), wanted_routes(network, index)
    batch = Batch()
    for address in addresses:
        batch.add_address(index, address)
    batch.set_link(index, up=True)
    for route in routes:
        batch.add_route(route)
    try:
        execute_for(container, batch, network.name)
    except BaseException as error:
        results = error.results if isinstance(error, BatchError) else []
        back = Batch()
        done = list(zip(routes, results[len(addresses) + 1 :], strict=False))
        for route, result in reversed(done):
            if result is None:
                back.delete_route(route)
        if not was_up:
            back.set_link(index, up=False)
        for address, result in reversed(list(zip(addresses, results, strict=False))):
            if result is None and not (":" in address.address and not was_up):
                back.delete_address(index, address)
        undo(error, lambda: container.execute(back))
        raise


# ---- what differs ----


def _check_host_end(host: RtnetlinkSocket, network: Network, name: str) -> list[str]:
    link = find_link(host, name)
    if link is None:
        return [f"{name} (host): missing"]
    found = []
    if link.alias != _mark(network):
        found.append(f"marked {link.alias!r}, not {_mark(network)!r}")
    if not link.up:
        found.append("down")
    if network.mtu and link.mtu != network.mtu:
        found.append(f"MTU {link.mtu}, not {network.mtu}")
    if network.bridge:
        bridge = find_link(host, network.bridge)
        if bridge is None:
            found.append(f"the bridge {network.bridge} is missing")
        elif link.master != bridge.index:
            found.append(f"not a port of the bridge {network.bridge}")
        elif bool(link.hairpin) != network.hairpin_mode:
            found.append(f"hairpin mode {'on' if link.hairpin else 'off'}")
    return [f"{name} (host): {difference}" for difference in found]


def _check_container_end(container: RtnetlinkSocket, network: Network) -> list[str]:
    name = network.name
    link = find_link(container, name)
    if link is None:
        return [f"{name}: missing"]
    return check_container_link(container, network, link)
