"""Egress: masquerades traffic of containers that leaves the host.

Nothing else decides whether that traffic passes: the host must forward it, and no chain of another
program may drop it. docs/egress.md has an overview.
"""

from __future__ import annotations

from errno import EEXIST

from .._native.nft import ADDRESS_PORTS, HOSTS, PORTS, SUBNETS, Element, Transaction
from .._native.prefixes import (
    AF_INET6,
    check_unicast,
    host_bits,
    parse_prefix,
    to_number,
)
from ..errors import InvalidNetworkError, KernelError
from ..namespace import NetworkNamespace
from ._forwarding import dropping_chains, forwards_everything, refuse_without_forwarding
from ._nft_table import shown_port as shown_port
from ._session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..types import Netns
    from ._nft_table import NftTable

_TRIES = 16  # to add a subnet


def enable_egress(subnet: str, *, host: Netns | None = None) -> None:
    """Masquerades traffic from a subnet that leaves the host.

    Traffic between addresses that have egress, and to multicast addresses, keeps its source. The
    rules are in the nf_tables table `inet pynetstrat` (Linux 5.6), which is made if it does not
    exist. A second call makes it again if rules of it are missing, a chain has been changed, or it
    is dormant, and otherwise changes nothing.
    Egress belongs to the subnet and outlives its containers.

    Parameters:
        subnet: in CIDR, such as "10.0.0.0/24" or "fd00::/64", without host bits.
        host: the host namespace; None: that of the calling thread.

    Raises:
        InvalidNetworkError: the subnet is invalid or overlaps another one with egress, or the host
            does not forward its traffic. `ip_forward` is never switched on; the error has the
            remedy.
        PermissionDeniedError: CAP_NET_ADMIN over the host namespace is missing.
        KernelError: the kernel has no nf_tables or no nat, or refused the change.

    Example:
        >>> enable_egress("10.0.0.0/24")
    """
    element, prefix = _parse_subnet(subnet)
    ipv6 = prefix.family == AF_INET6
    each = SUBNETS + ipv6
    with _open_session(host) as session, session:
        if not session.call_on_host(forwards_everything, ipv6=ipv6):
            inner = _interfaces_in(session, prefix)
            session.call_on_host(refuse_without_forwarding, "subnet", subnet, inner, ipv6=ipv6)
        _add_subnet(session.nft, subnet, prefix, each, element)


def _add_subnet(table: NftTable, subnet: str, prefix: Any, each: int, element: Element) -> None:
    """Adds a subnet to the table, and restores a table that has it but is damaged.

    If another program deletes an overlapping subnet during the call, the addition is repeated.
    """
    for attempt in range(_TRIES):
        try:
            table.add({each: [element]})
        except KernelError as error:
            if error.errno != EEXIST:
                raise
            there = table.elements(each)
            if element in there:
                break
            _refuse_overlap(subnet, prefix, there)
            if attempt == _TRIES - 1:
                raise
        else:
            return
    if table.fault():
        table.restore()


def disable_egress(subnet: str, *, host: Netns | None = None) -> None:
    """Reverses `enable_egress`. A second call changes nothing.

    Connections that exist are masqueraded until they end.

    Parameters:
        subnet: as for `enable_egress`.
        host: the host namespace; None: that of the calling thread.

    Raises:
        InvalidNetworkError: the subnet is invalid, or another one that overlaps it has egress.
        PermissionDeniedError: CAP_NET_ADMIN over the host namespace is missing.
        KernelError: the kernel has no nf_tables, or refused the change.

    Example:
        >>> disable_egress("10.0.0.0/24")
    """
    element, prefix = _parse_subnet(subnet)
    each = SUBNETS + (prefix.family == AF_INET6)
    with _open_session(host) as session, session:
        table = session.nft

        def delete(generation: int) -> Transaction | None:
            there = table.elements(each)
            if element in there:
                return Transaction(generation).delete(each, [element])
            _refuse_overlap(subnet, prefix, there)
            return None

        table.change(delete)


def masquerade(table: NftTable, owner: str, addresses: Iterable[str]) -> None:
    """Masquerades traffic of single addresses that leaves the host, on behalf of an owner.

    Parameters:
        addresses: in CIDR, as prefixes of one address.
    """
    table.claim(owner, masqueraded_elements(owner, addresses))


def masqueraded_elements(owner: str, addresses: Iterable[str]) -> dict[int, list[Element]]:
    """Returns the elements that `masquerade` adds, by their sets.

    Parameters:
        addresses: in CIDR, as prefixes of one address.
    """
    found: dict[int, list[Element]] = {}
    for address in addresses:
        found.setdefault(HOSTS + (":" in address), []).append(Element(address, owner=owner))
    return found


def read_egress(host: Netns | None = None) -> dict[str, list[Element]]:
    """Returns what the table contains.

    Returns:
        The elements of "subnets" with egress, of single "hosts" and of published "ports".
    """
    with _open_session(host) as session:
        table = session.nft
        return {
            name: [one for each in sets for six in (0, 1) for one in table.elements(each + six)]
            for name, sets in (
                ("subnets", (SUBNETS,)),
                ("hosts", (HOSTS,)),
                ("ports", (PORTS, ADDRESS_PORTS)),
            )
        }


def is_possible() -> str:
    """Makes the table, for `diagnose`. The calling thread must be in a namespace made for it."""
    with _open_session(None) as session:
        session.nft.restore()
    return ""


def find_dropping_chains(interface: str) -> list[tuple[str, str]]:
    """Returns the result of `dropping_chains` for the calling thread's namespace."""
    with _open_session(None) as session:
        return list(dropping_chains(session.nft.chains(), interface))


def _open_session(host: Netns | None) -> Session:
    return Session(None, None if host is None else NetworkNamespace.open(host))


def _parse_subnet(subnet: str) -> tuple[Element, Any]:
    """Returns the element for a subnet, and its struct netstrat_prefix."""
    prefix = parse_prefix(subnet, "subnet", length=True)
    if to_number(prefix) & host_bits(prefix):
        network = prefix.length
        reason = f"must not have host bits: the bits after the first {network} must be 0"
        raise InvalidNetworkError("subnet", subnet, reason)
    if not prefix.length:
        raise InvalidNetworkError("subnet", subnet, "must not be every address")
    check_unicast(prefix, "subnet", subnet)
    return Element.of_prefix(prefix), prefix


def _overlaps(one: Any, other: Any) -> bool:
    """Whether two prefixes of one family have an address in common."""
    bits = min(one.length, other.length)
    width = 128 if one.family == AF_INET6 else 32
    return not (to_number(one) ^ to_number(other)) >> (width - bits)


def _refuse_overlap(subnet: str, prefix: Any, there: Iterable[Element]) -> None:
    """Raises InvalidNetworkError if a subnet overlaps one of those that have egress."""
    for element in there:
        if _overlaps(prefix, parse_prefix(element.address, "subnet")[0]):
            reason = f"must not overlap {element.address}, which has egress"
            raise InvalidNetworkError("subnet", subnet, reason)


def _interfaces_in(session: Session, prefix: Any) -> list[str]:
    """Returns the names of the interfaces that have an address in a subnet."""
    indexes = set()
    for address in session.host.dump_addresses():
        own = parse_prefix(address.address, "address")[0]
        if own.family == prefix.family and own.length >= prefix.length and _overlaps(prefix, own):
            indexes.add(address.ifindex)
    return [link.name for link in session.host.dump_links().values() if link.index in indexes]
