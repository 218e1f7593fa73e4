"""Published ports: the texts of `Network.publish`, and what they are in the table."""

from __future__ import annotations

from .._dataclass import dataclass
from .._native.nft import ADDRESS_PORTS, NEIGHBOURS, PORTS, Element
from .._native.prefixes import (
    AF_INET6,
    check_unicast,
    format_prefix,
    parse_prefix,
    subnet_of,
    to_number,
)
from ..errors import InvalidNetworkError
from .network import ip_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .network import Network

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_FORM = (
    "must be [HOSTADDRESS:]HOSTPORT:CONTAINERPORT/PROTOCOL, such as 8080:80/tcp, "
    "192.0.2.1:53:53/udp or [2001:db8::1]:53:53/udp"
)
_LARGEST = 65535
_MAPPED = 0xFFFF  # the first 96 bits of ::ffff:0:0/96 (RFC 4291, 2.5.5.2)


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A published port.

    Attributes:
        address: the address of the host; "" for every local address.
        port: of the host.
        container_port: of the container.
        protocol: "tcp", "udp" or "sctp".
    """

    address: str
    port: int
    container_port: int
    protocol: str

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.shown}" if address else self.shown

    @property
    def shown(self) -> str:
        """The port of the host and its protocol, such as "8080/tcp"."""
        return f"{self.port}/{self.protocol}"


def parse_port(text: str) -> PublishedPort:
    """Parses a text of `Network.publish`.

    Raises:
        InvalidNetworkError: it has another form, a port out of range, an unknown protocol, or an
            address that can't be published.
    """
    ports, slash, protocol = text.partition("/")
    address, colon, container_port = ports.rpartition(":")
    address, _, port = address.rpartition(":")
    if not slash or not colon or not _is_number(port) or not _is_number(container_port):
        raise InvalidNetworkError("publish", text, _FORM)
    if protocol not in PROTOCOLS:
        reason = f"the protocol must be {', '.join(PROTOCOLS)}, in small letters"
        raise InvalidNetworkError("publish", text, reason)
    for number in (port, container_port):
        if not 1 <= int(number) <= _LARGEST:
            raise InvalidNetworkError("publish", text, f"a port must be from 1 to {_LARGEST}")
    if ports.count(":") > 1:
        address = _parse_address(text, address)
    return PublishedPort(address, int(port), int(container_port), protocol)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5


def _parse_address(text: str, address: str) -> str:
    """Returns the address of the host as the kernel reports it."""
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        prefix = parse_prefix(bare, "publish", length=False)
    except InvalidNetworkError:
        raise InvalidNetworkError("publish", text, _FORM) from None
    if (prefix.family == AF_INET6) is (bare == address):
        raise InvalidNetworkError("publish", text, _FORM)
    try:
        check_unicast(prefix, "publish", text)
    except InvalidNetworkError as error:
        reason = f"its address {error.reason}"
        if "unspecified" in reason:
            reason += ": leave it out to publish the port at every local address"
        elif "loopback" in reason:
            reason += ": published ports can't be reached there"
        raise InvalidNetworkError("publish", text, reason) from None
    if prefix.family == AF_INET6 and to_number(prefix) >> 32 == _MAPPED:
        reason = "its address must not be an IPv4-mapped one, which no packet has"
        raise InvalidNetworkError("publish", text, reason)
    return format_prefix(prefix[0], length=False)


def parse_ports(network: Network) -> list[PublishedPort]:
    """Parses and checks the published ports of a network.

    Raises:
        InvalidNetworkError: one is invalid, is given twice, or needs an address of a family that
            the container does not have.
    """
    families = {":" in address for address in ip_addresses(network)}
    found: dict[tuple[str, int, str], PublishedPort] = {}
    for text in network.publish:
        try:
            port = parse_port(text)
        except InvalidNetworkError as error:
            raise InvalidNetworkError("publish", text, error.reason, network.name) from None
        reason = ""
        if not families:
            reason = "requires an address of the container"
        elif port.address and (":" in port.address) not in families:
            version = "IPv6" if ":" in port.address else "IPv4"
            reason = f"requires an {version} address of the container"
        elif port_key(port) in found:
            reason = f"the port {port} must not be published twice"
        if reason:
            raise InvalidNetworkError("publish", text, reason, network.name)
        found[port_key(port)] = port
    return list(found.values())


def port_key(port: PublishedPort) -> tuple[str, int, str]:
    """What must be unique among published ports."""
    return port.address, port.port, port.protocol


def elements_of(network: Network, owner: str) -> dict[int, list[Element]]:
    """Returns what a network's published ports are in the table: elements by their sets."""
    found: dict[int, list[Element]] = {}
    ports = parse_ports(network)
    targets: dict[bool, str] = {}
    for address in ip_addresses(network):
        targets.setdefault(":" in address, address)
    for is_ipv6, target in targets.items():
        bare = target.partition("/")[0]
        for port in ports:
            if port.address and (":" in port.address) is not is_ipv6:
                continue
            each = (ADDRESS_PORTS if port.address else PORTS) + is_ipv6
            protocol, to = PROTOCOLS[port.protocol], port.container_port
            element = Element(port.address, bare, protocol, port.port, to, owner)
            found.setdefault(each, []).append(element)
        if PORTS + is_ipv6 in found or ADDRESS_PORTS + is_ipv6 in found:
            found[NEIGHBOURS + is_ipv6] = [Element(subnet_of(target), bare, owner=owner)]
    return found


def refuse_same_ports(networks: Iterable[Network]) -> None:
    """Raises InvalidNetworkError for a port that two networks of one call publish."""
    taken: dict[tuple[str, int, str], Network] = {}
    for network in networks:
        for port in parse_ports(network):
            other = taken.setdefault(port_key(port), network)
            if other is not network:
                reason = f'the network "{other.name}" publishes the port {port}, too'
                raise InvalidNetworkError("publish", str(port), reason, network.name)
