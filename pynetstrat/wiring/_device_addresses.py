"""The addresses of a device that changes its namespace, in which the kernel deletes them."""

from __future__ import annotations

from .._dataclass import replace
from .._native.prefixes import normal_prefix
from ..rtnetlink.batch import Batch
from ..rtnetlink.links import IFA_F_NODAD, Address
from ._requested import requested_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .network import Network


def without_prefix_length(addresses: list[Address]) -> set[str]:
    """The addresses as text, without their prefix lengths."""
    return {address.address.partition("/")[0] for address in addresses}


def carried_addresses(addresses: list[Address], name: str, network: Network) -> list[Address]:
    """The addresses that a device keeps in the container: permanent, global, not in the network.

    Parameters:
        addresses: the addresses of the device in the host namespace.
        name: its name there.
        network: has the device's name in the container.
    """
    requested = {_normal(address) for address in requested_addresses(network, 0)}
    return [
        replace(address, label=_new_label(address.label, name, network.name))
        for address in addresses
        if address.permanent and address.scope == 0 and _normal(address) not in requested
    ]


def _normal(address: Address) -> str:
    return normal_prefix(address.address).partition("/")[0]


def _new_label(label: str, old: str, new: str) -> str:
    """The label with the new name. A label is the link's name, or begins with it and ":".

    A label of another form is kept.
    """
    if label != old and not label.startswith(old + ":"):
        return label
    renamed = new + label[len(old) :]
    return renamed if len(renamed.encode("utf-8", "surrogateescape")) < 16 else new


def add_addresses(batch: Batch, index: int, addresses: list[Address], *, up: bool) -> None:
    """Adds addresses to a link, and sets it up.

    IPv4 addresses come before the link goes up, so that they are announced then, and so do
    link-local ones, because the kernel would otherwise add its own. Other IPv6 addresses come
    after: the kernel adds the route to a peer only if the link is up.

    Parameters:
        up: whether to set the link up.
    """
    after = [a for a in addresses if ":" in a.address and a.scope == 0]
    for address in addresses:
        if address not in after:
            _add_address(batch, index, address)
    if up:
        batch.set_link(index, up=True)
    for address in after:
        _add_address(batch, index, address)


def _add_address(batch: Batch, index: int, address: Address) -> None:
    """Adds an address, without duplicate address detection for one that has passed it before."""
    passed = ":" in address.address and not (address.tentative or address.dadfailed)
    if not passed or address.flags & IFA_F_NODAD:
        batch.add_address(index, address)
        return
    batch.add_address(index, replace(address, flags=address.flags | IFA_F_NODAD))
    batch.add_address(index, address, replace=True)  # clears the flag
