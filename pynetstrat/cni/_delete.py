"""DEL and GC: delete what ADD has made, which its owner identifies."""

from __future__ import annotations

from .._native.nft import SETS
from ..errors import KernelError
from ..rtnetlink.socket import RtnetlinkSocket
from ..wiring._rates import ifb_name
from ..wiring._session import open_session_if_alive
from ..wiring._veth_names import host_end_name
from ..wiring._veth_names import owner_of as owner_in_tag
from ..wiring.network import Network
from ..wiring.setup import tear_down_networks
from . import _names
from ._container import TIMEOUT, bare_network
from ._error import INVALID_CONFIGURATION, CniError
from ._ipam import delegate, delegate_if_known, ipam_type
from ._json import get, get_objects
from ._request import check_identifier, check_interface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .._native.nft import Element
    from ._request import Request


def delete(request: Request) -> None:
    _names.check_network_name(request.network)
    plugin = ipam_type(request.configuration)
    attachment = _names.attachment_of(request.network, request.container, request.interface)
    try:
        _withdraw(request, lambda element: element.owner == attachment)
    finally:
        tear_down_networks([bare_network(request)], timeout=TIMEOUT)
    if plugin:  # last: an address that is in use must not be given to another container
        delegate(request, plugin)


def collect(request: Request) -> None:
    plugin = ipam_type(request.configuration)
    links, attachments = set(), set()
    for container, interface in _valid_attachments(request):
        owner = _names.owner_of(request.network, container)
        network = Network("veth", name=interface, owner=owner)
        host_end = host_end_name(network, owner)
        links |= {host_end, ifb_name(network, host_end)}
        attachments.add(_names.attachment_of(request.network, container, interface))
    prefix = _names.owner_prefix(request.network)

    def is_stale(element: Element) -> bool:
        return element.owner.startswith(prefix) and element.owner not in attachments

    _withdraw(request, is_stale)
    with RtnetlinkSocket(timeout=TIMEOUT) as host:
        stale = [
            link.name
            for link in host.dump_links().values()
            if (owner_in_tag(link) or "").startswith(prefix) and link.name not in links
        ]
        host.delete_links(stale, missing_ok=True)
    if plugin:
        delegate_if_known(request, plugin)


def _valid_attachments(request: Request) -> Iterable[tuple[str, str]]:
    """Returns the attachments to keep.

    Raises:
        CniError: they are missing or invalid. Otherwise all of the network would be deleted.
    """
    # libcni sends the second name as well, which an early text of the specification has.
    keys = "cni.dev/valid-attachments", "cni.dev/attachments"
    key = next((one for one in keys if one in request.configuration), "")
    if not key:
        raise CniError(INVALID_CONFIGURATION, f"{keys[0]} must be a list of attachments")
    found = []
    for one in get_objects(request.configuration, key):
        container = get(one, "containerID", str, f"{key}.")
        check_identifier(f"{key}.containerID", container, INVALID_CONFIGURATION)
        interface = get(one, "ifname", str, f"{key}.")
        check_interface(f"{key}.ifname", interface, INVALID_CONFIGURATION)
        found.append((container, interface))
    return found


def _withdraw(request: Request, matches: Callable[[Element], bool]) -> None:
    """Withdraws published ports and masqueraded addresses."""
    try:
        with open_session_if_alive(None, timeout=TIMEOUT) as session:
            session.nft.withdraw(SETS, matches)
    except KernelError:
        # A kernel without nf_tables has none of them.
        if _uses_translation(request):
            raise


def _uses_translation(request: Request) -> bool:
    capabilities = get(request.configuration, "capabilities", dict)
    runtime = get(request.configuration, "runtimeConfig", dict)
    return bool(
        request.configuration.get("ipMasq")
        or capabilities.get("portMappings")
        or runtime.get("portMappings")
    )
