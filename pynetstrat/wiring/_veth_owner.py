"""Finds the host ends that a tear-down may delete: those proven to be the network's."""

from __future__ import annotations

from errno import EPERM

from ..errors import KernelError
from ._links import find_link
from ._veth_names import (
    HOST_MAC,
    digest_of,
    has_other_tag,
    host_end_name,
    host_mac_prefix,
    matches_own_mac,
    owner_key,
    tag_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..rtnetlink.links import Link
    from ._session import Session
    from .network import Network


def find_host_ends(session: Session, network: Network) -> list[Link]:
    """Returns the host ends to delete: that of the network, and any that a killed `create` left.

    Raises:
        KernelError: a link may be the network's, but nothing proves it (EPERM).
    """
    host, tag = session.host, tag_of(network)
    key = owner_key(network, session)
    name = host_end_name(network, key)
    prefix = host_mac_prefix(digest_of(key, network)) if key else HOST_MAC
    named = find_link(host, name)
    if named is not None and _is_veth(named, prefix) and named.alias == tag and network.owner:
        return [named]
    links = host.dump_links().values()
    # A link with another owner's tag can have the same 24 bits of a hash by chance.
    found = [
        link
        for link in links
        if key and _is_veth(link, prefix) and (link.name == name or not has_other_tag(link, tag))
    ]
    if not found and named is not None and named.kind == "veth":
        # An older version made it, its MAC address was changed, or only its name is known.
        untagged = not named.alias and not key and _is_veth(named, prefix)
        found = [named] if named.alias == tag or untagged else []
    for link in found:
        _refuse_unproven(session, network, link, links)
    return found


def _is_veth(link: Link, prefix: str) -> bool:
    return link.kind == "veth" and link.mac.startswith(prefix)


def _refuse_unproven(session: Session, network: Network, link: Link, links: Iterable[Link]) -> None:
    """Raises KernelError if a link is not proven to be the network's.

    Parameters:
        links: the links of the host namespace.
    """
    tag = tag_of(network)
    if link.alias not in ("", tag):
        hint = (
            f"it is this network's by its MAC address, but its alias is {link.alias!r}: "
            f"set that to {tag!r} again, or delete the link"
        )
        raise KernelError(EPERM, "find", link.name, hint=hint)
    if not network.owner and not _leads_to_container(session, network, link, links):
        hint = (
            "without an owner, only a peer in the given namespace proves that a pair is this "
            "network's, and the peer is in another one: give the namespace that it is in, or "
            "delete the link"
        )
        raise KernelError(EPERM, "find", link.name, hint=hint)


def _leads_to_container(
    session: Session, network: Network, link: Link, links: Iterable[Link]
) -> bool:
    """Whether a pair's peer is in the container namespace, or in a namespace that has ended.

    The peer in an ended namespace exists until a kernel worker has deleted it.

    If no namespace is given, a generated name proves it: the name and the MAC address contain the
    same hash of the namespace's cookie.
    """
    namespace = session.namespace
    if namespace is None and link.name == network.host_interface_name and matches_own_mac(link):
        return True
    # The kernel may give a namespace its nsid only when a link that leads there is queried, so
    # `link` was dumped before this query.
    if link.link_nsid is not None:
        if namespace is not None and link.link_nsid == session.host.get_nsid(namespace):
            return True
        return not session.host.has_namespace(link.link_nsid)
    # Without an nsid the peer is in the host namespace, or its namespace has ended.
    return not any(
        (other.index, other.link_index) == (link.link_index, link.index) for other in links
    )
