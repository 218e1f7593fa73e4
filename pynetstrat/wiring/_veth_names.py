"""The names, alias tags and MAC addresses of a veth pair, which identify its owner.

The host end carries the alias tag of its owner, but the kernel takes an alias only in a later
message than the one that makes the pair. A process that is killed between the two leaves a pair
without a tag. So the MAC address of the host end, which is set at creation, identifies the owner
as well: it begins with fe and 24 bits of a hash of the owner, the network's name and the requested
name of the host end, if any. The container cannot change it.
"""

from __future__ import annotations

import os

from .._native.prefixes import normal_prefix
from .._native.routes import SCOPE_LINK
from ..rtnetlink.links import ALIAS_TAG, IFA_F_NODAD, Address, owner_in_alias
from ._hash import stable_hash
from .network import invalid, ip_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..rtnetlink.links import Link
    from ._session import Session
    from .network import Network

_LARGEST_TAG = 255  # bytes of an alias: IFALIASZ - 1, linux/if.h
_GENERATED = "veth"  # how a generated name begins
HOST_MAC = "fe:"  # how the MAC address of a host end begins


# ---- the owner ----


def tag_of(network: Network) -> str:
    """Returns the alias tag of a network's host end: "pynetstrat:" and the owner."""
    return ALIAS_TAG + network.owner


def validate_owner(network: Network) -> None:
    """Raises InvalidNetworkError unless the alias tag fits a link."""
    tag = tag_of(network).encode("utf-8", "surrogateescape")
    if len(tag) > _LARGEST_TAG or 0 in tag:
        raise invalid(network, "owner", "must be at most 244 bytes, none of them NUL")


def has_other_tag(link: Link, tag: str) -> bool:
    """Whether a link carries the tag of another owner."""
    return link.alias.startswith(ALIAS_TAG) and link.alias != tag


def owner_of(link: Link) -> str | None:
    """Returns the owner in a link's alias tag. None if the link carries no tag."""
    return owner_in_alias(link.alias)


def owner_key(network: Network, session: Session) -> str:
    """Returns what identifies the container in names and MAC addresses.

    That is the owner or, without one, the cookie of the namespace; "" if neither is known.
    """
    if network.owner or session.namespace is None:
        return network.owner
    return str(session.container.get_cookie() or session.namespace.id)


def digest_of(key: str, network: Network) -> int:
    """Returns a 64-bit hash that identifies a pair.

    Two containers may have networks of one owner and name whose host ends differ in name. So the
    name of the host end counts, except the generated one, which `create` fills in.

    Parameters:
        key: the result of `owner_key`.
    """
    text = f"{key}\0{network.name}"
    digest = stable_hash(text.encode("utf-8", "surrogateescape"))
    name = network.host_interface_name
    if not name or name == generated_name(digest):
        return digest
    text += f"\0{name}"
    return stable_hash(text.encode("utf-8", "surrogateescape"))


# ---- the host end ----


def generated_name(digest: int) -> str:
    """Returns a host end's name of 15 bytes."""
    return _GENERATED + digest.to_bytes(8, "big").hex()[:11]


def host_end_name(network: Network, key: str) -> str:
    """Returns the name of the host end, requested or generated.

    Parameters:
        key: the result of `owner_key`.

    Raises:
        InvalidNetworkError: the name has to be generated, and `key` is "".
    """
    if network.host_interface_name:
        return network.host_interface_name
    if key:
        return generated_name(digest_of(key, network))
    reason = "must be set if neither the owner nor the namespace is known; create returns it"
    raise invalid(network, "host_interface_name", reason)


def matches_own_mac(link: Link) -> bool:
    """Whether the name of a host end was generated from the hash in its MAC address."""
    return link.name.startswith(_GENERATED + link.mac.replace(":", "")[2:8])


def host_mac_prefix(digest: int) -> str:
    """Returns the first four bytes of a host end's MAC address, which depend on `digest` alone.

    A bridge takes the lowest MAC address of its ports. The first byte fe is higher than that of
    other ports, so the bridge does not take this one.
    """
    return HOST_MAC + digest.to_bytes(8, "big")[:3].hex(":")


def new_host_mac(digest: int) -> str:
    """Returns the MAC address of a new host end. Its last two bytes are random.

    They distinguish the pair from an earlier one with the same name.
    """
    return f"{host_mac_prefix(digest)}:{os.urandom(2).hex(':')}"


# ---- the container end ----


def container_mac(network: Network) -> str | None:
    """Returns a local MAC address derived from an IP address, or None without an IP address.

    That is the first IPv4 address or, without one, the first IPv6 address.

    A neighbour trusts the MAC address that it knows for half a minute and more. An announcement
    (arp_notify) does not help: the kernel sends it when the link goes up, and the bridge port may
    still be disabled then, because it has no carrier yet.
    """
    addresses = [address.partition("/")[0] for address in ip_addresses(network)]
    for address in addresses:
        if ":" not in address:
            return "02:00:" + bytes(map(int, address.split("."))).hex(":")
    if not addresses:
        return None
    bare = normal_prefix(addresses[0]).partition("/")[0]
    return "06:" + stable_hash(bare.encode()).to_bytes(8, "big")[:5].hex(":")


def link_local_address(index: int, mac: str) -> Address:
    """Returns the link-local address that the kernel derives from a MAC address (EUI-64, RFC 4291).

    It is usable at once if it is added before the link goes up, without duplicate address
    detection. The kernel then adds none of its own.
    """
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 2
    groups = (octets[:3] + b"\xff\xfe" + octets[3:]).hex()
    text = ":".join(groups[at : at + 4] for at in range(0, 16, 4))
    return Address(index, f"fe80::{text}/64", scope=SCOPE_LINK, flags=IFA_F_NODAD)
