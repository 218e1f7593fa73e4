"""Publishes the ports of a network, withdraws them, and checks them."""

from __future__ import annotations

import sys

from .._native.nft import HOSTS, SUBNETS
from .._native.prefixes import contains, format_address, parse_prefix
from .._partial import partial
from ..errors import KernelError
from ._forwarding import dropping_chains, forwarding_problem, refuse_without_forwarding
from ._links import find_link
from ._published import PROTOCOLS, elements_of, parse_ports
from ._veth_names import tag_of
from .network import ip_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._native.nft import Element
    from ._nft_table import NftTable
    from ._session import Session
    from ._socket import Bridge
    from .network import Network

    Elements = dict[int, list[Element]]


def publisher(network: Network) -> str:
    """Returns the owner of a network's elements: its own, or the name of the host end."""
    return network.owner or network.host_interface_name


def refuse_unreachable(session: Session, network: Network, bridge: Bridge | None) -> None:
    """Raises InvalidNetworkError if the host does not forward to and from the container.

    Parameters:
        bridge: the bridge of the network, which `Network.bridge` may call by an alternative name.
    """
    inner = ["default" if bridge is None else bridge.name]
    families = {":" in address for address in ip_addresses(network)}
    try:
        for ipv6 in sorted(families):
            session.call_on_host(
                refuse_without_forwarding,
                "publish",
                list(network.publish),
                inner,
                ipv6=ipv6,
                network=network.name,
            )
    except KernelError as error:
        error.interface = error.interface or network.name
        raise


def publish(session: Session, network: Network) -> None:
    """Publishes the ports of a network whose pair has just been made."""
    owner = publisher(network)
    elements = elements_of(network, owner)
    targets = {one.target for part in elements.values() for one in part}
    try:
        table = session.nft  # opens a socket
    except KernelError as error:
        error.interface = network.name
        raise
    what = f"the published ports before those of {network.name} were added"
    displaced: Elements = {}
    session.undo_stack.push(partial(_undo, table, elements, displaced), what)

    has_other_pair = _find_other_pair(session, network, network.host_interface_name)

    def is_left_over(taken: Element) -> bool:
        return taken.target in targets or not has_other_pair()

    try:
        table.claim(owner, elements, is_left_over, displaced)
    except KernelError as error:
        error.interface = network.name
        raise


def _find_other_pair(session: Session, network: Network, host_end: str) -> Callable[[], bool]:
    """Returns a function: whether the owner has another pair, which a port can lead to.

    The function dumps the links of the host at its first call.

    Parameters:
        host_end: the name of the network's own host end.
    """
    found: list[bool] = []

    def has_other_pair() -> bool:
        if not found:
            tag = tag_of(network)
            links = session.host.dump_links().values() if network.owner else ()
            pairs = [link for link in links if link.kind == "veth" and link.alias == tag]
            found.append(any(link.name != host_end for link in pairs))
        return found[0]

    return has_other_pair


def _undo(table: NftTable, elements: Elements, displaced: Elements) -> None:
    added = {one for part in elements.values() for one in part}
    table.withdraw(elements, added.__contains__, drop=table.made)
    table.put_back(displaced)


def withdraw(session: Session, network: Network, host_end: str) -> None:
    """Withdraws the ports of a network: those of its owner that have its address or its numbers.

    A port that has only its numbers can belong to another network of the owner. It stays if the
    owner has another pair.

    Parameters:
        host_end: the name of the host end.
    """
    owner = network.owner or host_end
    elements = elements_of(network, owner)
    targets = {one.target for part in elements.values() for one in part}
    keys = {_numbers(one) for part in elements.values() for one in part if one.port}

    has_other_pair = _find_other_pair(session, network, host_end)

    def matches(one: Element) -> bool:
        if one.owner != owner or (one.target not in targets and _numbers(one) not in keys):
            return False
        return one.target in targets or not has_other_pair()

    try:
        session.nft.withdraw(elements, matches)
    except KernelError as error:
        error.interface = network.name
        raise


def _numbers(element: Element) -> tuple[str, int, int]:
    return element.address, element.protocol, element.port


# ---- checks ----


def check_forwarded(session: Session, network: Network, host_end: str) -> Iterator[str]:
    """Yields what keeps a network's published ports from being reached, or its egress from working.

    Parameters:
        host_end: the name of the host end.
    """
    if not network.publish and not _has_egress(session, network):
        return
    table = session.nft
    fault = table.fault()
    if fault:
        yield f"{fault}; a second enable_egress restores the table"
    if network.publish:
        yield from _check_ports(session, network, host_end)
    bridge = find_link(session.host, network.bridge) if network.bridge else None
    inner = bridge.name if bridge is not None else network.bridge or host_end
    for ipv6 in sorted({":" in address for address in ip_addresses(network)}):
        problem = session.call_on_host(forwarding_problem, [inner], ipv6=ipv6)
        if problem:
            yield problem
    # A table with rules about the interface has been adapted to it, as far as can be seen.
    adapted = table.tables_that_name(inner)
    for chain, remedy in dropping_chains(table.chains(), inner, adapted):
        yield f"the chain {chain} drops forwarded packets that no rule of it accepts: {remedy}"


def _has_egress(session: Session, network: Network) -> bool:
    """Whether one of a network's addresses is masqueraded. A kernel without nf_tables has none."""
    try:
        table = session.nft
        for address in ip_addresses(network):
            own, ipv6 = parse_prefix(address, "address")[0], ":" in address
            for one in (*table.elements(SUBNETS + ipv6), *table.elements(HOSTS + ipv6)):
                if contains(parse_prefix(one.address, "address")[0], own):
                    return True
    except KernelError:
        pass
    return False


def _check_ports(session: Session, network: Network, host_end: str) -> Iterator[str]:
    table = session.nft
    owner = publisher(network) or host_end
    missing = []
    for each, elements in elements_of(network, owner).items():
        there = set(table.elements(each))
        missing += [one for one in elements if one not in there]
    # By address, protocol and port. Of two families of a port, either may be missing.
    keys = {(one.address.partition("/")[0], one.protocol, one.port) for one in missing}
    for port in parse_ports(network):
        if (port.address, PROTOCOLS[port.protocol], port.port) in keys:
            yield f"the port {port} is not published"
    if any(not one.port for one in missing):
        yield "the published ports can't be reached from the container's subnet"
    bound = session.call_on_host(read_bound_ports)
    for port in parse_ports(network):
        for address in sorted(bound.get((port.protocol, port.port), ())):
            if not port.address or address in ("", port.address):
                at = f"at {address}" if address else "at every address"
                yield (
                    f"the port {port} is also bound by a process of the host, {at}, which other "
                    "hosts can't reach now"
                )


_LISTENING, _BOUND = "0A", "07"  # TCP_LISTEN and TCP_CLOSE, net/tcp_states.h of the kernel


def read_bound_ports() -> dict[tuple[str, int], set[str]]:
    """Returns the ports that processes in the calling thread's namespace have bound.

    Loopback addresses are left out: published ports do not affect them.

    Returns:
        The addresses, by protocol and port; "" for every address.
    """
    found: dict[tuple[str, int], set[str]] = {}
    for name, state in (("tcp", _LISTENING), ("udp", _BOUND)):
        for suffix in ("", "6"):
            try:
                with open(f"/proc/thread-self/net/{name}{suffix}") as file:  # noqa: PTH123
                    lines = file.read().splitlines()[1:]
            except OSError:
                continue
            for line in lines:
                fields = line.split()
                address, _, port = fields[1].rpartition(":")
                shown = _address_of(address)
                if fields[3] == state and shown is not None:
                    found.setdefault((name, int(port, 16)), set()).add(shown)
    return found


def _address_of(text: str) -> str | None:
    """Returns the address in a line of /proc/net/tcp; "" for every address, None for loopback."""
    # Each group of 32 bits is printed as a number in the order of the host.
    octets = b"".join(
        int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)
    )
    if octets[:12] == bytes(10) + b"\xff\xff" and len(octets) == 16:
        octets = octets[12:]
    if not any(octets):
        return ""
    if (octets[0] == 127 and len(octets) == 4) or octets == bytes(15) + b"\1":
        return None
    return format_address(octets)
