"""`list_owned`: the links of a host that carry an alias tag, for cleaning up after a crash."""

from __future__ import annotations

from .._dataclass import dataclass
from ..rtnetlink.links import Link
from ..rtnetlink.socket import RtnetlinkSocket
from ._veth_names import owner_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..types import Netns


@dataclass(slots=True)
class OwnedLink:
    """A link of the host namespace that carries the alias tag of an owner.

    Attributes:
        owner: the owner of the network, or "" if the network has none.
        link: the link: the host end of a veth pair, or the ifb that limits what a container sends.
    """

    owner: str
    link: Link


def list_owned(owner: str | None = None, *, host: Netns | None = None) -> list[OwnedLink]:
    """Returns the links of the host namespace that carry an alias tag, in the order of their index.

    After a crash it tells a program which links it has left. `RtnetlinkSocket.delete_links` deletes
    them, those of many owners at once. What is no link, such as a published port, needs
    `tear_down_networks` with the same networks.

    Parameters:
        owner: list only the links of this owner; None: those of every owner.
        host: the host namespace; None: that of the calling thread.

    Raises:
        KernelError: `host` is not a network namespace, or the kernel refused the query.
        TypeError: an argument has the wrong type.

    Example:
        >>> left = [owned for owned in list_owned() if owned.owner not in running]
        >>> with RtnetlinkSocket() as rtnetlink:
        ...     rtnetlink.delete_links([owned.link.name for owned in left], missing_ok=True)
    """
    if owner is not None and not isinstance(owner, str):
        raise TypeError(f"owner must be a str or None, not {owner!r}")
    with RtnetlinkSocket(host) as sock:
        links = sorted(sock.dump_links().values(), key=lambda link: link.index)
    found = [(owner_of(link), link) for link in links]
    return [
        OwnedLink(whose, link)
        for whose, link in found
        if whose is not None and owner in (None, whose)
    ]
