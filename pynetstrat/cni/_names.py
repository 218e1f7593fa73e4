"""The names by which a later command finds what ADD has made."""

from __future__ import annotations

from ..wiring._hash import stable_hash
from ._error import INVALID_CONFIGURATION, CniError

_LARGEST = 244  # bytes of an owner: an alias tag has 255
_LARGEST_NETWORK = 200  # leaves room for the hash of an id, and for the name of an interface


def check_network_name(network: str) -> None:
    """Raises CniError if a network's name is too long for an owner."""
    if len(network) > _LARGEST_NETWORK:
        what = f"name must be at most {_LARGEST_NETWORK} bytes long, not {len(network)}"
        raise CniError(INVALID_CONFIGURATION, what)


def owner_prefix(network: str) -> str:
    """Returns how the owners of all containers of a network begin.

    Neither the name of a network nor the id of a container contains a colon.
    """
    return f"cni:{network}:"


def owner_of(network: str, container: str) -> str:
    """Returns the owner in the alias tags of a container: "cni:NETWORK:CONTAINERID"."""
    return _fit(network, container, "")


def attachment_of(network: str, container: str, interface: str) -> str:
    """Returns the owner of published ports and masqueraded addresses.

    It has the name of the interface as well, because a container can be attached to a network
    several times, and DEL ends one attachment.
    """
    return _fit(network, container, f"/{interface}")


def _fit(network: str, container: str, rest: str) -> str:
    """Returns an owner, in which a hash replaces an id that is too long."""
    text = f"{owner_prefix(network)}{container}{rest}"
    # The name of an interface, unlike the rest, may contain any letter.
    if len(text.encode("utf-8", "surrogateescape")) <= _LARGEST:
        return text
    return f"{owner_prefix(network)}~{stable_hash(container.encode()):016x}{rest}"
