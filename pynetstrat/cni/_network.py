"""The network configuration: what the plugin supports, as a `Network`."""

from __future__ import annotations

from .._native.prefixes import first_address, normal_prefix, parse_prefix
from .._native.routes import SCOPE_LINK
from ..errors import InvalidNetworkError
from ..rtnetlink.links import MAIN_TABLE, Route
from ..wiring._published import elements_of
from ..wiring.network import Network, ip_addresses
from ._error import DECODING_FAILURE, INVALID_CONFIGURATION, UNSUPPORTED_FIELD, CniError
from ._json import excerpt, get, get_objects, get_texts
from ._names import owner_of
from ._request import check_new_interface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._native.nft import Element
    from ._request import Request

# Fields of the plugin bridge that this one does not support, unless they have an empty value.
_UNSUPPORTED = (
    *("vlan", "vlanTrunk", "promiscMode", "macspoofchk", "forceAddress", "enabledad"),
    "disableContainerInterface",
)
_PORTS = "runtimeConfig.portMappings"
ANY = "0.0.0.0/32", "::/128"  # every local address of the family
_NEWER_KEYS = "mtu", "advmss", "priority", "table", "scope"  # of a route, since version 1.1.0


class Settings:
    """The fields of a network configuration, checked.

    Attributes:
        bridge: the name of the bridge.
        is_gateway: whether the bridge gets the gateways as addresses.
        is_default_gateway: whether the container gets default routes by them as well.
        masquerades: whether what the container sends is masqueraded.
        ips: the addresses of runtimeConfig, in CIDR if there is no IPAM plugin.
        ports: the port mappings.
        dns: the DNS settings, or {}.
    """

    __slots__ = (
        *("_hairpin", "_interface", "_isolated", "_mac", "_mtu", "_owner", "_rates", "_sysctls"),
        *("bridge", "dns", "ips", "is_default_gateway", "is_gateway", "masquerades", "ports"),
    )

    def __init__(self, request: Request) -> None:
        """Parses the configuration of a request.

        Raises:
            CniError: a field is invalid or not supported.
        """
        given = request.configuration
        for key in _UNSUPPORTED:
            if given.get(key):
                what = f"{key} {excerpt(given[key])} is not supported"
                raise CniError(UNSUPPORTED_FIELD, what)
        self._owner = owner_of(request.network, request.container)
        self._interface = request.interface
        self.bridge = get(given, "bridge", str) or "cni0"
        check_new_interface("bridge", self.bridge, INVALID_CONFIGURATION)
        self.is_default_gateway = get(given, "isDefaultGateway", bool)
        self.is_gateway = get(given, "isGateway", bool) or self.is_default_gateway
        self.masquerades = get(given, "ipMasq", bool)
        self._mtu = get(given, "mtu", int)
        self._hairpin = get(given, "hairpinMode", bool)
        self._isolated = get(given, "isolated", bool) or get(given, "portIsolation", bool)
        self._sysctls = _sysctls(get(given, "sysctls", dict))
        dns = get(given, "dns", dict)
        self.dns = dns if any(dns.values()) else {}
        runtime = get(given, "runtimeConfig", dict)
        where = "runtimeConfig."
        bandwidth = get(runtime, "bandwidth", dict, where)
        where_rate = f"{where}bandwidth."
        # The bursts are this package's, so that a rate is reached: docs/networks.md.
        self._rates = tuple(
            get(bandwidth, key, int, where_rate) for key in ("ingressRate", "egressRate")
        )
        self.ips = get_texts(runtime, "ips", where)
        self.ports = [_port(mapping) for mapping in get_objects(runtime, "portMappings", where)]
        arguments = get(get(given, "args", dict), "cni", dict, "args.")
        self._mac = (
            get(runtime, "mac", str, where)
            or get(arguments, "mac", str, "args.cni.")
            or request.arguments.get("MAC", "")
        )

    def network(self, ips: list[dict[str, Any]], routes: list[dict[str, Any]]) -> Network:
        """Returns the network of the container.

        Parameters:
            ips, routes: as in a result of the specification, checked.
        """
        addresses = [ip["address"] for ip in ips]
        first: dict[bool, str] = {}
        for address in addresses:
            first.setdefault(":" in address, address)
        rate_in, rate_out = self._rates
        return Network(
            "veth",
            name=self._interface,
            bridge=self.bridge,
            mac_address=self._mac,
            address=first.get(False, ""),
            ipv6_address=first.get(True, ""),
            addresses=tuple(one for one in addresses if one not in first.values()),
            mtu=self._mtu,
            hairpin_mode=self._hairpin,
            isolated=self._isolated,
            sysctls=self._sysctls,
            rate_in=rate_in,
            rate_out=rate_out,
            routes=tuple(_route(route, ips) for route in routes),
            owner=self._owner,
        )

    @property
    def mtu(self) -> int | None:
        """The MTU of a new bridge; None for the kernel's default."""
        return self._mtu or None

    def gateways(self, ips: list[dict[str, Any]]) -> list[str]:
        """Returns the addresses of the bridge, in CIDR, and fills in the missing gateways of ips.

        A missing gateway is the first address of the subnet, as in the plugin bridge.
        """
        if not self.is_gateway:
            return []
        found = []
        for ip in ips:
            address, length = ip["address"].split("/")
            if not ip.get("gateway"):
                ip["gateway"] = first_address(ip["address"])
            if normal_prefix(ip["gateway"]) == normal_prefix(address):
                what = f"the container's address {address} must not be the gateway's"
                raise CniError(INVALID_CONFIGURATION, what)
            found.append(f"{ip['gateway']}/{length}")
        return list(dict.fromkeys(found))

    def default_routes(
        self, ips: list[dict[str, Any]], routes: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Returns the default routes that isDefaultGateway adds to those of IPAM."""
        if not self.is_default_gateway:
            return []
        there = {normal_prefix(route["dst"]) for route in routes}
        found: dict[str, dict[str, Any]] = {}
        for ip in ips:
            destination = "::/0" if ":" in ip["address"] else "0.0.0.0/0"
            if destination not in there:
                found.setdefault(destination, {"dst": destination, "gw": ip["gateway"]})
        return list(found.values())

    def port_elements(self, network: Network, owner: str) -> dict[int, list[Element]]:
        """Returns the port mappings as elements of the table of published ports.

        The host address 0.0.0.0 or :: stands for every local address of its family.

        Raises:
            CniError: a host address is a loopback address, or a port is mapped twice.
            InvalidNetworkError: a mapping is invalid, or needs an address of another family.
        """
        found: dict[int, dict[object, Element]] = {}
        for host_address, port in self.ports:
            targets = [
                address
                for address in ip_addresses(network)
                if host_address not in ANY or (":" in address) is (":" in host_address)
            ]
            one = Network(name=network.name, addresses=targets, publish=[port])
            for each, elements in elements_of(one, owner).items():
                for element in elements:
                    key = element.address, element.protocol, element.port
                    if found.setdefault(each, {}).setdefault(key, element) != element:
                        what = (
                            f"runtimeConfig.portMappings maps the host's port {element.port} twice"
                        )
                        raise CniError(INVALID_CONFIGURATION, what)
        return {each: list(elements.values()) for each, elements in found.items()}


def _sysctls(given: dict[str, Any]) -> dict[str, str]:
    for key, value in given.items():
        if type(value) not in (str, int):
            what = f"sysctls.{key} must be text or an integer, not {excerpt(value)}"
            raise CniError(INVALID_CONFIGURATION, what)
    return {key: str(value) for key, value in given.items()}


def _port(mapping: dict[str, Any]) -> tuple[str, str]:
    """Returns the normal host address of a port mapping, or "", and the text for `publish`."""
    where = f"{_PORTS}."
    numbers = get(mapping, "hostPort", int, where), get(mapping, "containerPort", int, where)
    protocol = get(mapping, "protocol", str, where).lower() or "tcp"
    text = f"{numbers[0]}:{numbers[1]}/{protocol}"
    given = get(mapping, "hostIP", str, where)
    if not given:
        return "", text
    try:
        parse_prefix(given, "hostIP", length=False)
        address = normal_prefix(given)
    except InvalidNetworkError as error:
        raise CniError(
            INVALID_CONFIGURATION, f"{where}hostIP {excerpt(given)} {error.reason}"
        ) from None
    if address.startswith("127.") or address == "::1/128":
        what = f"{where}hostIP {given} is not supported: published ports can't be reached there"
        raise CniError(UNSUPPORTED_FIELD, what)
    if address in ANY:
        return address, text
    bare = address.partition("/")[0]
    return address, f"[{bare}]:{text}" if ":" in bare else f"{bare}:{text}"


# ---- routes and addresses of a result ----


def check_ips(found: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """Returns copies of the addresses of a result.

    Raises:
        CniError: one is invalid.
    """
    ips = [dict(ip) for ip in get_objects(found, "ips", where, DECODING_FAILURE)]
    for ip in ips:
        address = get(ip, "address", str, f"{where}ips.", DECODING_FAILURE)
        gateway = get(ip, "gateway", str, f"{where}ips.", DECODING_FAILURE)
        try:
            parse_prefix(address, "address", length=True)
            if gateway:
                parse_prefix(gateway, "gateway", length=False)
        except InvalidNetworkError as error:
            raise CniError(DECODING_FAILURE, f"{where}ips: {error}") from None
        if gateway and (":" in gateway) is not (":" in address):
            what = f"the gateway {gateway} must be of the family of {address}"
            raise CniError(DECODING_FAILURE, f"{where}ips: {what}")
    return ips


def check_routes(request: Request, found: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """Returns copies of the routes of a result, with the keys of the version of the request.

    An older version has no others: CHECK would not find them in the result of ADD.

    Raises:
        CniError: one is invalid.
    """
    keys = {"dst", "gw", *(_NEWER_KEYS if request.is_at_least("1.1.0") else ())}
    routes = [
        {key: value for key, value in route.items() if key in keys}
        for route in get_objects(found, "routes", where, DECODING_FAILURE)
    ]
    where += "routes."
    for route in routes:
        try:
            parse_prefix(get(route, "dst", str, where, DECODING_FAILURE), "dst", length=True)
            gateway = get(route, "gw", str, where, DECODING_FAILURE)
            if gateway:
                parse_prefix(gateway, "gw", length=False)
        except InvalidNetworkError as error:
            raise CniError(DECODING_FAILURE, f"{where}{error}") from None
        for key in _NEWER_KEYS:
            get(route, key, int, where, DECODING_FAILURE)
    return routes


def _route(route: dict[str, Any], ips: list[dict[str, Any]]) -> Route:
    """Returns a route of a result, by default through the gateway of its family."""
    is_ipv6 = ":" in route["dst"]
    gateways = [ip["gateway"] for ip in ips if ip.get("gateway")]
    default = next((one for one in gateways if (":" in one) is is_ipv6), "")
    gateway = route.get("gw") or default
    if route.get("scope") == SCOPE_LINK:
        gateway = ""
    return Route(
        route["dst"],
        gateway,
        metric=route.get("priority") or 0,
        table=route.get("table") or MAIN_TABLE,
        scope=route.get("scope"),
        mtu=route.get("mtu") or 0,
        advmss=route.get("advmss") or 0,
    )
