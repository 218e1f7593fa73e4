"""The commands of the plugin. A runtime starts it for each, and it keeps no state of its own."""

from __future__ import annotations

import json
import os
import sys
from errno import ENOENT
from functools import partial

from .._native.nft import SETS
from ..errors import KernelError, NetstratError
from ..namespace import NetworkNamespace
from ..rtnetlink.socket import RtnetlinkSocket
from ..wiring._container_link import route_key
from ..wiring._forwarding import forwarding_problem, refuse_without_forwarding
from ..wiring._links import find_link
from ..wiring._nft_table import shown_port
from ..wiring._rates import ifb_name
from ..wiring._requested import host_prefix
from ..wiring._session import Session
from ..wiring._veth_names import host_end_name
from ..wiring._veth_names import owner_of as owner_in_tag
from ..wiring.egress import masquerade, masqueraded_elements
from ..wiring.network import Network, has_ipv6, ip_addresses
from ..wiring.setup import check_networks, set_up, tear_down_networks
from . import _names
from ._error import (
    DIFFERENT,
    INTERNAL,
    INVALID_CONFIGURATION,
    INVALID_ENVIRONMENT,
    NOT_AVAILABLE,
    UNKNOWN_CONTAINER,
    CniError,
    to_cni_error,
)
from ._ipam import decode_result, delegate, delegate_if_known, find_plugin, ipam_type
from ._json import get, get_objects
from ._network import Settings, check_ips, check_routes
from ._request import VERSIONS, Request, check_identifier
from ._result import previous_result, to_error, to_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from .._native.nft import Element

_TIMEOUT = 30.0  # seconds for the kernel: a host may start many containers at once


def main() -> int:
    """Runs the command of the environment. Returns the exit status."""
    # Without a command nobody may have redirected standard input.
    text = _read_standard_input() if os.environ.get("CNI_COMMAND") else b""
    status, answer = call(os.environ, text)
    output = answer.encode()
    try:
        while output:
            output = output[os.write(1, output) :]
    except OSError:  # the runtime does not know what was made, and has to call DEL
        return 1
    return status


def _read_standard_input() -> bytes:
    try:
        return b"".join(iter(lambda: os.read(0, 1 << 16), b""))
    except OSError:  # it is closed: reported as an empty configuration
        return b""


def call(environment: Mapping[str, str], text: bytes) -> tuple[int, str]:
    """Runs a command.

    Parameters:
        environment: with CNI_COMMAND and so on.
        text: the network configuration, JSON.

    Returns:
        The exit status, and the text for standard output: the result of ADD and VERSION, or the
        error.
    """
    request = Request(environment, text)
    try:
        request.parse()
        result = _COMMANDS[request.command](request)
    except (NetstratError, OSError) as error:
        return 1, json.dumps(to_error(request.version, to_cni_error(error))) + "\n"
    except Exception as error:  # a fault of the plugin: the runtime reads standard output alone
        sys.excepthook(*sys.exc_info())
        failure = CniError(INTERNAL, f"a fault of the plugin: {error!r}")
        return 1, json.dumps(to_error(request.version, failure)) + "\n"
    return 0, "" if result is None else json.dumps(result) + "\n"


# ---- ADD ----


def _add(request: Request) -> dict[str, Any]:
    _names.check_network_name(request.network)
    settings = Settings(request)
    previous_result(request)
    plugin = ipam_type(request.configuration)
    with (
        _open_namespace(request) as netns,
        RtnetlinkSocket(netns, timeout=_TIMEOUT) as container,
        RtnetlinkSocket(timeout=_TIMEOUT) as host,
    ):
        # Before IPAM is asked: what it gives is released after an error, and it might be that of a
        # container that runs.
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
    """Gives back what IPAM has given, because of an error, which names a failure to do so."""
    try:
        delegate(request, plugin, "DEL")
    except CniError as failure:
        if isinstance(error, (NetstratError, OSError)):
            first = to_cni_error(error)
            details = "; ".join(filter(None, (first.details, f"not released: {failure}")))
            raise CniError(first.code, first.message, details) from error


def _open_namespace(request: Request) -> NetworkNamespace:
    """Opens the container's namespace, which must not be the host's."""
    try:
        netns = NetworkNamespace.open(request.netns)
    except KernelError as error:
        if isinstance(error, FileNotFoundError) or error.errno == ENOENT:
            raise CniError(UNKNOWN_CONTAINER, f"CNI_NETNS: {error}") from None
        raise CniError(INVALID_ENVIRONMENT, f"CNI_NETNS: {error}") from None
    try:
        with NetworkNamespace.current() as own:
            if netns.id == own.id:
                what = f"CNI_NETNS {request.netns} must not be the namespace of the host"
                raise CniError(INVALID_ENVIRONMENT, what)
    except BaseException:
        netns.close()
        raise
    return netns


def _refuse_existing(request: Request, host: RtnetlinkSocket, container: RtnetlinkSocket) -> None:
    if find_link(container, request.interface) is not None:
        what = f"CNI_IFNAME {request.interface} must not be an interface that the container has"
        raise CniError(INVALID_ENVIRONMENT, what)
    network = _bare_network(request)
    name = host_end_name(network, network.owner)
    if find_link(host, name) is not None:
        what = (
            f"CNI_CONTAINERID {request.container} is attached to {request.network} by the host "
            f"interface {name}: call DEL first"
        )
        raise CniError(INVALID_ENVIRONMENT, what)


def _bare_network(request: Request) -> Network:
    """Returns what tearing down needs: the owner and the name of the interface."""
    owner = _names.owner_of(request.network, request.container)
    return Network("veth", name=request.interface, owner=owner)


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
    ips, routes = check_ips(leased, where), check_routes(leased, where)
    dns = settings.dns or get(leased, "dns", dict, where)
    gateways = settings.gateways(ips)
    routes += settings.default_routes(ips, routes)
    network = settings.network(ips, routes)
    attachment = _names.attachment_of(request.network, request.container, request.interface)
    ports = settings.port_elements(network, attachment)
    known = find_link(host, settings.bridge)
    # The MTU of a bridge that exists is the administrator's.
    mtu = settings.mtu if known is None else None
    host.ensure_bridge(settings.bridge, mtu=mtu, addresses=gateways)
    masqueraded = ip_addresses(network) if settings.masquerades else ()
    if ports or masqueraded:
        _refuse_without_forwarding(network, settings)
    _leave_taken_routes(network, container)
    if has_ipv6(network) and netns.call(_disables_ipv6):
        network.sysctls = {"net.ipv6.conf.IFNAME.disable_ipv6": "0", **network.sysctls}
    made = set_up(
        [network],
        netns,
        lambda _: _translate(attachment, ports, masqueraded),
        timeout=_TIMEOUT,
    )
    bridge, host_end = (
        host.get_link(name) for name in (settings.bridge, made[0].host_interface_name)
    )
    links = bridge, host_end, container.get_link(network.name)
    return to_result(request, links, ips, routes, dns)


def _disables_ipv6() -> bool:
    """Whether new links of the calling thread's namespace have no IPv6, as some runtimes set it."""
    try:
        with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "rb") as file:  # noqa: PTH123
            return file.read(1) == b"1"
    except OSError:
        return False


def _leave_taken_routes(network: Network, container: RtnetlinkSocket) -> None:
    """Removes the routes whose place an earlier network of the container has taken.

    Each network of a container may have a default route, of which the first counts.
    """
    if network.routes:
        own = find_link(container, network.name)
        taken = {
            route_key(route)
            for route in container.dump_routes()
            if own is None or route.ifindex != own.index
        }
        network.routes = [route for route in network.routes if route_key(route) not in taken]


def _refuse_without_forwarding(network: Network, settings: Settings) -> None:
    """Raises InvalidNetworkError if the host does not forward for the container."""
    field = "runtimeConfig.portMappings" if settings.ports else "ipMasq"
    value: object = [text for _, text in settings.ports] or True
    for ipv6 in sorted({":" in address for address in ip_addresses(network)}):
        refuse_without_forwarding(field, value, [settings.bridge], ipv6=ipv6)


def _translate(
    attachment: str, ports: dict[int, list[Element]], masqueraded: tuple[str, ...]
) -> None:
    """Publishes ports and masquerades addresses, all or nothing."""
    if not ports and not masqueraded:
        return
    with Session(None, timeout=_TIMEOUT) as session:
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


# ---- DEL ----


def _delete(request: Request) -> None:
    _names.check_network_name(request.network)
    plugin = ipam_type(request.configuration)
    attachment = _names.attachment_of(request.network, request.container, request.interface)
    _withdraw(request, lambda element: element.owner == attachment)
    tear_down_networks([_bare_network(request)], timeout=_TIMEOUT)
    if plugin:  # last: an address that is in use must not be given to another container
        delegate(request, plugin)


def _withdraw(request: Request, matches: Callable[[Element], bool]) -> None:
    """Withdraws published ports and masqueraded addresses."""
    try:
        with Session(None, timeout=_TIMEOUT) as session:
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


# ---- CHECK ----


def _check(request: Request) -> None:
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
    settings.gateways(ips)
    network = settings.network(ips, check_routes(previous, "prevResult."))
    own = interfaces[positions[-1]]
    # A later plugin may have changed them.
    network.mac_address = get(own, "mac", str, "prevResult.interfaces.") or network.mac_address
    with _open_namespace(request) as netns:
        with RtnetlinkSocket(netns, timeout=_TIMEOUT) as container:
            _leave_taken_routes(network, container)
        differences = check_networks([network], netns=netns, timeout=_TIMEOUT)
    attachment = _names.attachment_of(request.network, request.container, request.interface)
    elements = settings.port_elements(network, attachment)
    if settings.masquerades:
        elements |= masqueraded_elements(attachment, map(host_prefix, ip_addresses(network)))
    differences += _check_translation(elements)
    if differences:
        raise CniError(DIFFERENT, f"not as ADD has made it: {'; '.join(differences)}")
    if plugin:
        delegate(request, plugin)


def _check_translation(elements: dict[int, list[Element]]) -> Iterator[str]:
    """Yields what is missing of published ports and masqueraded addresses."""
    if not elements:
        return
    with Session(None, timeout=_TIMEOUT) as session:
        if not session.nft.is_whole():
            yield "rules of the table inet pynetstrat are missing"
        for each, wanted in elements.items():
            there = set(session.nft.elements(each))
            for one in wanted:
                if one in there:
                    continue
                if one.port:
                    yield f"the port {shown_port(one)} is not published"
                else:
                    yield f"{one.address} is missing in the table inet pynetstrat"


# ---- GC ----


def _collect(request: Request) -> None:
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
    with RtnetlinkSocket(timeout=_TIMEOUT) as host:
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
        found.append((container, get(one, "ifname", str, f"{key}.")))
    return found


# ---- STATUS, VERSION ----


def _status(request: Request) -> None:
    _names.check_network_name(request.network)
    settings = Settings(request)
    plugin = ipam_type(request.configuration)
    try:
        if settings.masquerades:
            problems = [forwarding_problem(["default"], ipv6=ipv6) for ipv6 in (False, True)]
            if all(problems):
                raise CniError(NOT_AVAILABLE, problems[0])
        with RtnetlinkSocket() as host:
            known = find_link(host, settings.bridge)
        if known is not None and known.kind != "bridge":
            raise CniError(NOT_AVAILABLE, f"{settings.bridge} must be a bridge")
        if plugin:
            find_plugin(request, plugin)
    except (NetstratError, OSError) as error:
        raise CniError(NOT_AVAILABLE, str(error)) from error
    if plugin:
        delegate_if_known(request, plugin)


def _version(request: Request) -> dict[str, Any]:
    return {"cniVersion": request.version, "supportedVersions": list(VERSIONS)}


_COMMANDS: dict[str, Callable[[Request], dict[str, Any] | None]] = {
    "ADD": _add,
    "DEL": _delete,
    "CHECK": _check,
    "GC": _collect,
    "STATUS": _status,
    "VERSION": _version,
}
