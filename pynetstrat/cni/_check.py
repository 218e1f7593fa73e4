"""CHECK and STATUS: whether a container is as ADD has made it, and whether ADD would succeed."""

from __future__ import annotations

from .._native.prefixes import normal_prefix
from ..errors import NetstratError
from ..rtnetlink.socket import RtnetlinkSocket
from ..wiring._forwarding import forwarding_problem
from ..wiring._links import find_link
from ..wiring._nft_table import shown_port
from ..wiring._requested import host_prefix
from ..wiring._session import open_session_if_alive
from ..wiring.egress import masqueraded_elements
from ..wiring.network import ip_addresses
from ..wiring.setup import check_networks
from . import _names
from ._container import TIMEOUT, leave_taken_routes, open_namespace
from ._error import DIFFERENT, INVALID_CONFIGURATION, NOT_AVAILABLE, CniError
from ._ipam import delegate, delegate_if_known, find_plugin, ipam_type
from ._json import get
from ._network import Settings, check_ips, check_routes
from ._result import previous_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._native.nft import Element
    from ._request import Request


def check(request: Request) -> None:
    settings = Settings(request)
    plugin = ipam_type(request.configuration)
    previous = previous_result(request)
    if previous is None:
        raise CniError(INVALID_CONFIGURATION, "prevResult must be given for CHECK")
    interfaces = previous.get("interfaces") or []
    positions = [
        number
        for number, one in enumerate(interfaces)
        if one.get("name") == request.interface and one.get("sandbox")
    ]
    if not positions:
        what = f"prevResult must have the interface {request.interface} of the container"
        raise CniError(INVALID_CONFIGURATION, what)
    ips = [
        ip
        for ip in check_ips(previous, "prevResult.")
        if ip.get("interface") in (None, positions[-1])
    ]
    gateways = settings.gateways(ips)
    network = settings.network(ips, check_routes(request, previous, "prevResult."))
    own = interfaces[positions[-1]]
    # A later plugin may have changed them.
    network.mac_address = get(own, "mac", str, "prevResult.interfaces.") or network.mac_address
    with open_namespace(request) as netns:
        with RtnetlinkSocket(netns, timeout=TIMEOUT) as container:
            leave_taken_routes(network, container)
        differences = check_networks([network], netns=netns, timeout=TIMEOUT)
    differences += _check_gateways(settings.bridge, gateways)
    attachment = _names.attachment_of(request.network, request.container, request.interface)
    elements = settings.port_elements(network, attachment)
    if settings.masquerades:
        elements |= masqueraded_elements(attachment, map(host_prefix, ip_addresses(network)))
    differences += _check_translation(elements)
    if differences:
        raise CniError(DIFFERENT, f"not as ADD has made it: {'; '.join(differences)}")
    if plugin:
        delegate(request, plugin)


def _check_gateways(bridge: str, gateways: list[str]) -> Iterator[str]:
    """Yields the gateways that the bridge has lost; `check_networks` reports a missing bridge."""
    with RtnetlinkSocket(timeout=TIMEOUT) as host:
        if not gateways or find_link(host, bridge) is None:
            return
        there = {_without_length(one.address) for one in host.dump_addresses(bridge)}
    for gateway in gateways:
        if _without_length(normal_prefix(gateway)) not in there:
            yield f"{bridge}: the address {gateway} is missing"


def _without_length(prefix: str) -> str:
    return prefix.partition("/")[0]


def _check_translation(elements: dict[int, list[Element]]) -> Iterator[str]:
    """Yields what is missing of published ports and masqueraded addresses."""
    if not elements:
        return
    with open_session_if_alive(None, timeout=TIMEOUT) as session:
        fault = session.nft.fault()
        if fault:
            yield fault
        for each, wanted in elements.items():
            there = set(session.nft.elements(each))
            for one in wanted:
                if one in there:
                    continue
                if one.port:
                    yield f"the port {shown_port(one)} is not published"
                else:
                    yield f"{one.address} is missing in the table inet pynetstrat"


def status(request: Request) -> None:
    _names.check_network_name(request.network)
    settings = Settings(request)
    plugin = ipam_type(request.configuration)
    try:
        with RtnetlinkSocket() as host:
            known = find_link(host, settings.bridge)
        if known is not None and known.kind != "bridge":
            raise CniError(NOT_AVAILABLE, f"{settings.bridge} must be a bridge")
        if settings.masquerades:
            inner = ["default" if known is None else known.name]
            problems = [forwarding_problem(inner, ipv6=ipv6) for ipv6 in (False, True)]
            if all(problems):
                raise CniError(NOT_AVAILABLE, problems[0])
        if plugin:
            find_plugin(request, plugin)
    except (NetstratError, OSError) as error:
        raise CniError(NOT_AVAILABLE, str(error)) from error
    if plugin:
        delegate_if_known(request, plugin)
