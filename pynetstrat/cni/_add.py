"""ADD: attaches a container to a network, all or nothing except for the bridge."""

from __future__ import annotations

from functools import partial

from .._native.nft import SETS
from ..errors import NetstratError
from ..rtnetlink.socket import RtnetlinkSocket
from ..wiring._forwarding import refuse_without_forwarding
from ..wiring._links import find_link
from ..wiring._requested import host_prefix
from ..wiring._session import open_session_if_alive
from ..wiring._veth_names import host_end_name
from ..wiring.egress import masquerade
from ..wiring.network import has_ipv6, ip_addresses
from ..wiring.setup import set_up
from ..wiring.veth import Veth
from . import _names
from ._container import TIMEOUT, bare_network, leave_taken_routes, open_namespace
from ._error import INVALID_ENVIRONMENT, CniError, to_cni_error
from ._ipam import decode_result, delegate, ipam_type
from ._json import get
from ._network import Settings, check_ips, check_routes
from ._result import previous_result, to_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._native.nft import Element
    from ..namespace import NetworkNamespace
    from ..wiring.network import Network
    from ._request import Request


def add(request: Request) -> dict[str, Any]:
    _names.check_network_name(request.network)
    settings = Settings(request)
    previous_result(request)
    plugin = ipam_type(request.configuration)
    with (
        open_namespace(request) as netns,
        RtnetlinkSocket(netns, timeout=TIMEOUT) as container,
        RtnetlinkSocket(timeout=TIMEOUT) as host,
    ):
        # Before the IPAM plugin is called: after an error its addresses are released, and they
        # could be those of a running container.
        _refuse_existing(request, host, container)
        wire = partial(_wire, request, settings, netns, host, container)
        if not plugin:
            return wire({"ips": [{"address": address} for address in settings.ips]})
        leased = delegate(request, plugin)
        try:
            return wire(decode_result(plugin, leased))
        except BaseException as error:
            _release(request, plugin, error)
            raise


def _release(request: Request, plugin: str, error: BaseException) -> None:
    """Releases the addresses of IPAM after an error, which then names a failure to do so."""
    try:
        delegate(request, plugin, "DEL")
    except CniError as failure:
        if isinstance(error, (NetstratError, OSError)):
            first = to_cni_error(error)
            details = "; ".join(filter(None, (first.details, f"not released: {failure}")))
            raise CniError(first.code, first.message, details) from error


def _refuse_existing(request: Request, host: RtnetlinkSocket, container: RtnetlinkSocket) -> None:
    if find_link(container, request.interface) is not None:
        what = f"CNI_IFNAME {request.interface} must not be an interface that the container has"
        raise CniError(INVALID_ENVIRONMENT, what)
    network = bare_network(request)
    name = host_end_name(network, network.owner)
    if find_link(host, name) is not None:
        what = (
            f"CNI_CONTAINERID {request.container} is attached to {request.network} by the host "
            f"interface {name}: call DEL first"
        )
        raise CniError(INVALID_ENVIRONMENT, what)


def _wire(
    request: Request,
    settings: Settings,
    netns: NetworkNamespace,
    host: RtnetlinkSocket,
    container: RtnetlinkSocket,
    leased: dict[str, Any],
) -> dict[str, Any]:
    """Wires the container, with addresses and routes as an IPAM plugin has given them."""
    where = "the result of IPAM: " if request.configuration.get("ipam") else "runtimeConfig."
    ips, routes = check_ips(leased, where), check_routes(request, leased, where)
    dns = settings.dns or get(leased, "dns", dict, where)
    gateways = settings.gateways(ips)
    routes += settings.default_routes(ips, routes)
    network = settings.network(ips, routes)
    attachment = _names.attachment_of(request.network, request.container, request.interface)
    ports = settings.port_elements(network, attachment)
    Veth().validate(network)  # before a bridge is made
    known = find_link(host, settings.bridge)
    # The MTU of a bridge that exists is the administrator's.
    mtu = settings.mtu if known is None else None
    bridge = host.ensure_bridge(settings.bridge, mtu=mtu, addresses=gateways)
    masqueraded = ip_addresses(network) if settings.masquerades else ()
    if ports or masqueraded:
        _refuse_without_forwarding(network, settings, bridge.name)
    leave_taken_routes(network, container)
    if has_ipv6(network) and netns.call(_disables_ipv6):
        network.sysctls = {"net.ipv6.conf.IFNAME.disable_ipv6": "0", **network.sysctls}
    result: dict[str, Any] = {}

    def finish(made: list[Network]) -> None:
        names = settings.bridge, made[0].host_interface_name
        links = [*map(host.get_link, names), container.get_link(network.name)]
        result.update(to_result(request, links, ips, routes, dns))
        _translate(attachment, ports, masqueraded)

    set_up([network], netns, finish, timeout=TIMEOUT)
    return result


def _disables_ipv6() -> bool:
    """Whether new links of the calling thread's namespace have no IPv6, as some runtimes set it."""
    try:
        with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "rb") as file:  # noqa: PTH123
            return file.read(1) == b"1"
    except OSError:
        return False


def _refuse_without_forwarding(network: Network, settings: Settings, bridge: str) -> None:
    """Raises InvalidNetworkError if the host does not forward for the container.

    Parameters:
        bridge: the name of the bridge; `settings` may have an alternative name of it.
    """
    field = "runtimeConfig.portMappings" if settings.ports else "ipMasq"
    value: object = [text for _, text in settings.ports] or True
    for ipv6 in sorted({":" in address for address in ip_addresses(network)}):
        refuse_without_forwarding(field, value, [bridge], ipv6=ipv6)


def _translate(
    attachment: str, ports: dict[int, list[Element]], masqueraded: tuple[str, ...]
) -> None:
    """Publishes ports and masquerades addresses, all or nothing."""
    if not ports and not masqueraded:
        return
    with open_session_if_alive(None, timeout=TIMEOUT) as session:
        table = session.nft
        try:
            if masqueraded:
                masquerade(table, attachment, map(host_prefix, masqueraded))
            if ports:
                # The container has just been made, so older elements of it are left over.
                table.claim(attachment, ports, lambda _: True)
        except BaseException:
            table.withdraw(SETS, lambda element: element.owner == attachment, drop=table.made)
            raise
