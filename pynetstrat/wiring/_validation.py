"""Validates the fields of a network, before anything is changed."""

from __future__ import annotations

from .._native.links import check_name, parse_mac
from .._native.prefixes import AF_INET, AF_INET6, normal_prefix, parse_unicast
from .._native.routes import new_route
from ..errors import InvalidInterfaceNameError, InvalidNetworkError
from .network import has_ipv6, invalid, validate_route, validate_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from .network import Network

# ETH_MIN_MTU and ETH_MAX_MTU, linux/if_ether.h; IPV6_MIN_MTU, linux/ipv6.h
MIN_MTU, MIN_IPV6_MTU, MAX_MTU = 68, 1280, 65535


def validate_options(network: Network, known: Collection[str] = ()) -> None:
    """Raises InvalidNetworkError for an option that the strategy does not have.

    Parameters:
        known: the names of the strategy's options.
    """
    for name in network.options:
        if name not in known:
            has = f"the options of {network.type} are {', '.join(known)}"
            reason = f'unknown option "{name}"; {has if known else f"{network.type} has none"}'
            raise invalid(network, "options", reason)


def validate_link_name(network: Network, field: str, *, pattern: bool = False) -> None:
    """Raises InvalidNetworkError unless a field contains a name that a link can have.

    Parameters:
        pattern: whether the name may contain one `%d`, which the kernel replaces by a number.
    """
    name = getattr(network, field)
    if not pattern and "%" in str(name):
        raise invalid(network, field, "must not contain %")
    try:
        check_name(name)
    except InvalidInterfaceNameError as error:
        raise invalid(network, field, error.reason) from None


def validate_values(network: Network) -> None:
    """Raises InvalidNetworkError for an invalid address, gateway, route, MAC or MTU."""
    validate_types(network)
    if network.address or network.gateway:
        _validate_addresses(network, "address", "gateway", AF_INET)
    if network.ipv6_address or network.ipv6_gateway:
        _validate_addresses(network, "ipv6_address", "ipv6_gateway", AF_INET6)
    if network.addresses:
        _validate_further_addresses(network)
    for route in network.routes:
        validate_route(network, route, new_route)
    if network.mac_address:
        try:
            parse_mac(network.mac_address, "mac_address", ethernet=True)
        except InvalidNetworkError as error:
            raise invalid(network, "mac_address", error.reason) from None
    least = MIN_IPV6_MTU if has_ipv6(network) else MIN_MTU
    if network.mtu and not least <= network.mtu <= MAX_MTU:
        needs = " (IPv6 needs 1280)" if least == MIN_IPV6_MTU else ""
        raise invalid(network, "mtu", f"must be 0 or from {least} to {MAX_MTU}{needs}")


def _validate_addresses(network: Network, field: str, gateway_field: str, family: int) -> None:
    """Checks the address of one family, and its gateway."""
    text, gateway_text = getattr(network, field), getattr(network, gateway_field)
    address = broadcast = gateway = None
    try:
        if text:
            address, broadcast = parse_unicast(text, field, family, length=True)
        if gateway_text:
            gateway, _ = parse_unicast(gateway_text, gateway_field, family, length=False)
    except InvalidNetworkError as error:
        raise invalid(network, error.field, error.reason) from None
    if address is not None and address == broadcast:
        raise invalid(network, field, "must not be the broadcast address of its subnet")
    if gateway is None:
        return
    if address is None:
        raise invalid(network, gateway_field, f"requires `{field}`")
    if gateway == address:
        raise invalid(network, gateway_field, f"must not be the container's own address ({field})")
    if gateway == broadcast:
        raise invalid(network, gateway_field, "must not be the broadcast address of the subnet")


def _validate_further_addresses(network: Network) -> None:
    """Checks `addresses`, which must differ from each other and from the addresses above."""
    gateways = [network.gateway, network.ipv6_gateway]
    taken = {_bare(text) for text in (network.address, network.ipv6_address) if text}
    others = {normal_prefix(text) for text in gateways if text}
    for text in network.addresses:
        try:
            family = AF_INET6 if ":" in text else AF_INET
            address, broadcast = parse_unicast(text, "addresses", family, length=True)
        except InvalidNetworkError as error:
            reason = error.reason
        else:
            if address == broadcast:
                reason = "must not be the broadcast address of its subnet"
            elif _bare(text) in taken:
                reason = "must not be given twice, here or in `address` or `ipv6_address`"
            elif _bare(text) in others:
                reason = "must not be the address of a gateway"
            else:
                taken.add(_bare(text))
                continue
        raise InvalidNetworkError("addresses", text, reason, network.name)


def _bare(text: str) -> str:
    """An address without its prefix length, in the form in which the kernel reports it."""
    return normal_prefix(text.partition("/")[0])
