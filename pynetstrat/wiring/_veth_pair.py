"""Makes a veth pair; its undo step deletes the pair."""

from __future__ import annotations

import os
from errno import EACCES, EEXIST, ENOENT, EOPNOTSUPP, EPERM, EROFS

from .._partial import partial
from ..errors import BatchError, KernelError, quote
from ..rtnetlink._group_delete import unused_group
from ..rtnetlink.batch import Batch
from ..rtnetlink.links import Route
from ._links import delete_by_index, execute_for, find_link, run_all, wait_for_tag
from ._requested import host_prefix
from ._veth_names import (
    container_mac,
    host_mac_prefix,
    link_local_address,
    new_host_mac,
    tag_of,
)
from .network import has_ipv6, ip_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..rtnetlink.links import Link
    from ..rtnetlink.socket import RtnetlinkSocket
    from ._session import Session
    from ._socket import Bridge
    from .network import Network


def make_pair(session: Session, network: Network, digest: int, bridge: Bridge | None) -> None:
    """Makes the pair of a network, tags it, and configures its host end.

    Parameters:
        network: with the name of the host end filled in.
        digest: the result of `digest_of`.
        bridge: the bridge of the network, or None for a point-to-point link.
    """
    mac, host = new_host_mac(digest), session.host
    push_undo(session, network.host_interface_name, mac)
    session.created.add(network.name)
    # A point-to-point link goes up once it ignores router advertisements. A bridge that would take
    # the address of the port gets it once the bridge's own address is set.
    is_free = bridge is not None and _is_free(bridge)
    is_port = bridge is not None and not is_free
    batch = Batch().add_veth(
        network.host_interface_name,
        network.name,
        netns=session.container_netns,
        mtu=network.mtu or (bridge.mtu if bridge is not None else None),
        txqueuelen=network.txqueuelen or None,
        mac=mac,
        peer_mac=network.mac_address or container_mac(network),
        master=bridge.index if bridge is not None and is_port else None,
        up=is_port,
        queues=1,  # by default a pair has more and uses one: see Batch.add_veth
    )
    try:
        execute_for(host, batch, network.host_interface_name)
    except BatchError as error:
        if error.errno != EEXIST or not _delete_left_over(session, network, digest, error):
            raise
        execute_for(host, batch, network.host_interface_name)
    if bridge is None:
        _finish_point_to_point(session, network, mac)
        return
    if is_free and _has_mac(bridge):
        what = f"the MAC address of {bridge.name}"
        session.undo_stack.push(partial(_restore_mac, host, bridge), what)
    _finish_port(host, network, bridge, is_free)


def _is_free(bridge: Bridge) -> bool:
    """Whether a bridge would take the MAC address of its first port.

    The bridge id contains the MAC address that was set or taken from a port, or zeros.
    """
    return not int(bridge.bridge_id[4:] or "1", 16)


def _has_mac(bridge: Bridge) -> bool:
    """Whether a bridge has a MAC address. One that has lost its last port may have zeros.

    The kernel refuses to set zeros, so such a bridge keeps the first address that it is given.
    """
    return any(bytes.fromhex(bridge.mac.replace(":", "")))


# ---- an older pair of the same network ----


def _delete_left_over(session: Session, network: Network, digest: int, error: KernelError) -> bool:
    """Deletes the untagged pair that a killed `create` of this network left, and returns True.

    Returns False if there is no such pair. If a tagged pair of the network exists, the hint of
    `error` then says what to do about it.
    """
    prefix = host_mac_prefix(digest)
    for link in session.host.dump_links().values():
        if link.kind != "veth" or not link.mac.startswith(prefix):
            continue
        if not link.alias and link.name == network.host_interface_name:
            link = wait_for_tag(session.host, link, session.until)
            if not link.alias:
                delete_by_index(session.host, link.index, link.name)
                return True
        if link.alias == tag_of(network):
            same = link.name == network.host_interface_name
            where = "" if same else f" with the host end {quote(link.name)}"
            error.hint = f"already set up{where}: tear it down first"
    return False


# ---- the host end ----


def _finish_port(host: RtnetlinkSocket, network: Network, bridge: Bridge, is_free: bool) -> None:
    """Tags the host end, and makes it a port of a bridge that has no MAC address of its own.

    The batch is sent once the pair is acknowledged: if its name was taken (EEXIST), the tag would
    go to another link.

    Parameters:
        is_free: whether the bridge would take the MAC address of the port.
    """
    name, of_bridge = network.host_interface_name, 0
    batch = Batch()
    if is_free:
        # A bridge keeps an address that was set explicitly. Setting the address that it already has
        # does not count, so another one is set first. Otherwise each later container would set the
        # address again, and flush the bridge's neighbours each time.
        other = f"fe:{os.urandom(5).hex(':')}"
        batch.set_link(bridge.index, mac=other)
        if _has_mac(bridge):
            batch.set_link(bridge.index, mac=bridge.mac)
        of_bridge = len(batch)
        batch.set_link(name, master=bridge.index, up=True, alias=tag_of(network))
        set_port(batch, name, network)
    else:
        set_port(batch, name, network, alias=tag_of(network))
    try:
        host.execute(batch)
    except BatchError as error:
        error.interface = bridge.name if error.item < of_bridge else name
        raise
    if network.isolated and not host.get_link(name).isolated:
        hint = "the kernel did not isolate the port: `isolated` needs Linux 4.18"
        raise KernelError(EOPNOTSUPP, "RTM_NEWLINK", name, hint=hint)


def set_port(batch: Batch, link: str | int, network: Network, *, alias: str | None = None) -> None:
    """Changes the settings of a host end that is a port of the network's bridge, if any differ.

    Parameters:
        alias: is set as well, unless it is None.
    """
    hairpin, isolated = network.hairpin_mode or None, network.isolated or None
    if hairpin or isolated or alias is not None:
        batch.set_link(link, alias=alias, hairpin=hairpin, isolated=isolated)


def _finish_point_to_point(session: Session, network: Network, mac: str) -> None:
    """Tags the host end of a point-to-point link and configures it."""
    host, name = session.host, network.host_interface_name
    session.call_on_host(refuse_router_advertisements, name)
    link = host.get_link(name)
    if link.mac != mac:
        hint = "another process has set this network up at the same time"
        raise KernelError(EEXIST, "find", name, hint=hint)
    batch = Batch().set_link(link.index, alias=tag_of(network))
    execute_for(host, configure_host_end(batch, link.index, network, mac), name)


def configure_host_end(
    batch: Batch, index: int, network: Network, mac: str, *, again: bool = False
) -> Batch:
    """Brings the host end of a point-to-point link up, with the gateways and the host's routes.

    Parameters:
        again: whether the addresses may exist already.
    """
    if has_ipv6(network):
        batch.add_address(index, link_local_address(index, mac), replace=again)
    batch.set_link(index, up=True)
    for gateway in (network.gateway, network.ipv6_gateway):
        if gateway:
            batch.add_address(index, host_prefix(gateway), replace=again)
    for route in host_routes(network, index):
        batch.add_route(route)
    return batch


def host_routes(network: Network, index: int) -> list[Route]:
    """Returns the host's routes to the container's addresses over a point-to-point link."""
    return [Route(host_prefix(address), ifindex=index) for address in ip_addresses(network)]


def refuse_router_advertisements(name: str) -> None:
    """Sets accept_ra of a link in the thread's namespace to 0 (ip-sysctl.rst of the kernel).

    Otherwise the container could become the host's IPv6 router. Only /proc has this setting; the
    kernel looks it up in the namespace of the calling thread, whatever /proc is mounted. A link
    without IPv6 has no such setting.

    Raises:
        KernelError: accept_ra is not 0 and cannot be set.
    """
    path = f"/proc/sys/net/ipv6/conf/{name}/accept_ra"
    try:
        with open(path, "wb", buffering=0) as file:  # noqa: PTH123  # half the time of a Path
            file.write(b"0")
    except OSError as error:
        missing = error.errno == ENOENT
        if missing and os.path.isdir("/proc/sys/net"):  # noqa: PTH112
            return
        if not missing and _read(path) == b"0\n":
            return
        hint = "accept_ra must be 0, or the container could become the host's IPv6 router"
        if error.errno in (ENOENT, EACCES, EPERM, EROFS):
            hint += (
                ": mount /proc, with a writable /proc/sys, or set net.ipv6.conf.default.accept_ra "
                "to 0"
            )
        raise KernelError(error.errno or 0, "open", name, hint=hint, filename=path) from None


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return b""


# ---- undo steps ----


_UNDONE = "veth", "ifb"  # the kinds of links that _DeletePairs deletes


class _DeletePairs:
    """The undo step of pairs, and of ifbs, that were made one after the other.

    It deletes them together, because a deletion takes 20 ms, most of it spent waiting for other
    processors, however many links it deletes.
    """

    def __init__(self, host: RtnetlinkSocket) -> None:
        self._host = host
        self._names: dict[str, str] = {}  # of host ends and ifbs, by MAC address

    def add(self, name: str, mac: str) -> None:
        """Adds the pair or ifb that is made next.

        Parameters:
            name, mac: of the host end or the ifb.
        """
        self._names[mac] = name

    def __call__(self) -> None:
        try:
            links = self._host.dump_links().values()
        except KernelError as error:
            error.interface = ", ".join(self._names.values())
            raise
        made = [link for link in links if link.kind in _UNDONE and link.mac in self._names]
        if len(made) > 1 and _delete_as_group(self._host, made, {link.group for link in links}):
            return
        run_all(partial(delete_by_index, self._host, link.index, link.name) for link in made)


def push_undo(session: Session, name: str, mac: str) -> None:
    """Pushes the undo step of a pair or an ifb, or adds it to such a step if that is the last."""
    step = session.undo_stack.last()
    if not isinstance(step, _DeletePairs):
        step = _DeletePairs(session.host)
        session.undo_stack.push(step, "the state before the veth pairs were made")
    step.add(name, mac)


def _delete_as_group(host: RtnetlinkSocket, links: list[Link], used: set[int]) -> bool:
    """Deletes links in one message, and returns whether that succeeded.

    Parameters:
        used: the groups that links are in.
    """
    group = unused_group(used)
    batch = Batch()
    for link in links:
        batch.set_group(link.index, group)
    try:
        host.execute(batch)
        host.execute(Batch().delete_group(group))
    except KernelError:
        return False
    return True


def _restore_mac(host: RtnetlinkSocket, bridge: Bridge) -> None:
    """Restores the MAC address of a bridge if _finish_port() failed between its two changes."""
    link = find_link(host, bridge.name)
    if link is not None and link.index == bridge.index and link.mac != bridge.mac:
        execute_for(host, Batch().set_link(bridge.index, mac=bridge.mac), bridge.name)
