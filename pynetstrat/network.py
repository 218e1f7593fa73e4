"""A network's configuration, and what every strategy of ours checks of it before it begins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter

from ._native.addresses import AF_INET, new_route, parse_prefix
from ._native.batch import check_name, parse_mac
from .errors import InvalidInterfaceNameError, InvalidNetworkError
from .links import Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

# ETH_MIN_MTU and ETH_MAX_MTU, linux/if_ether.h; IPV6_MIN_MTU, linux/ipv6.h
MIN_MTU, MIN_IPV6_MTU, MAX_MTU = 68, 1280, 65535


@dataclass(slots=True)
class Network:
    """A network's configuration: what a strategy's operations are given.

    The fields up to `hairpin_mode` are those of runc's `configs.Network`
    (libcontainer/configs/network.go). What they mean is up to the strategy.

    Attributes:
        type: the strategy's type, such as "loopback".
        name: the name of the interface in the container.
        bridge: the bridge to attach to.
        mac_address: the MAC address, as "02:00:5e:10:00:01".
        address: the IPv4 address with its prefix length.
        gateway: the IPv4 gateway.
        ipv6_address: the IPv6 address with its prefix length.
        ipv6_gateway: the IPv6 gateway.
        mtu: the MTU in bytes; 0: the kernel's default.
        txqueuelen: the length of the transmit queue in packets; 0: the kernel's default.
        host_interface_name: the name of the host's end of a pair, or of the device.
        hairpin_mode: whether the bridge may send a frame back out of the port it came in by.
        routes: further routes of the container.
        owner: whose it is, such as a container's id.
        options: settings that only one strategy has, by name. A built-in strategy refuses names
            that it does not know.
        device: the record that `host-device` makes of the device it has moved; None if no device
            was moved. It is JSON-able, and `destroy` needs it.
    """

    type: str = ""
    name: str = ""
    bridge: str = ""
    mac_address: str = ""
    address: str = ""
    gateway: str = ""
    ipv6_address: str = ""
    ipv6_gateway: str = ""
    mtu: int = 0
    txqueuelen: int = 0
    host_interface_name: str = ""
    hairpin_mode: bool = False
    routes: Sequence[Route] = ()
    owner: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    device: Mapping[str, Any] | None = None

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Network:
        """Makes a network from its JSON form: a mapping of field names to values.

        Parameters:
            mapping: `routes` is a list of mappings with the field names of `Route`, or of `Route`.

        Raises:
            InvalidNetworkError: `mapping` is not a mapping, has an unknown key (the error lists the
                known ones) or a value of the wrong type.
        """
        if not isinstance(mapping, Mapping):
            raise InvalidNetworkError("networks", mapping, "a network must be an object of fields")
        given, name = dict(mapping), mapping.get("name")
        shown = name if isinstance(name, str) else ""
        for key, value in given.items():
            if key not in _FIELDS:
                reason = f"unknown field; the fields of a network are {', '.join(_FIELDS)}"
                raise InvalidNetworkError(str(key), value, reason, shown)
            _check_encodable(key, value, shown)
        routes = given.get("routes", ())
        if isinstance(routes, (str, bytes)) or not isinstance(routes, Sequence):
            raise InvalidNetworkError("routes", routes, "must be a list of routes", shown)
        given["routes"] = tuple(_route_from(route, shown) for route in routes)
        network = cls(**given)
        check_types(network)
        return network

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form, which `from_dict` reads: the fields that differ from the default.

        Fields at their default value are left out; so are those of each route.
        """
        return _changed_fields(self, Network())


_FIELDS = tuple(each.name for each in fields(Network))
_ROUTE_FIELDS = tuple(each.name for each in fields(Route))
_TEXT_FIELDS = [each.name for each in fields(Network) if each.type == "str"]
_get_values = attrgetter(*_FIELDS)


def _changed_fields(thing: Network | Route, plain: Network | Route) -> dict[str, Any]:
    """The fields that differ from those of `plain`, and a route's destination in any case."""
    found = {}
    for each in fields(thing):
        value = getattr(thing, each.name)
        if each.name == "routes":
            value = tuple(_changed_fields(route, Route("")) for route in value)
        elif isinstance(value, Mapping):
            value = dict(value)
        if value != getattr(plain, each.name) or each.name == "destination":
            found[each.name] = list(value) if each.name == "routes" else value
    return found


def _route_from(item: object, network: str) -> Route:
    if isinstance(item, Route):
        return item
    if not isinstance(item, Mapping):
        raise InvalidNetworkError("routes", item, "a route must be an object of fields", network)
    for key, value in item.items():
        if key not in _ROUTE_FIELDS:
            reason = f"unknown field; the fields of a route are {', '.join(_ROUTE_FIELDS)}"
            raise InvalidNetworkError("routes", {key: value}, reason, network)
        _check_encodable("routes", value, network)
        if isinstance(value, bool) and key != "onlink":  # a bool is an int in Python
            raise InvalidNetworkError("routes", {key: value}, "must be a number", network)
    if "destination" not in item:
        raise InvalidNetworkError("routes", item, "a route must have a destination", network)
    return Route(**item)


def _check_encodable(key: str, value: object, network: str) -> None:
    """Refuses lone surrogates, which JSON can hold and no system call takes."""
    try:
        if isinstance(value, str):
            os.fsencode(value)
    except UnicodeEncodeError:
        reason = "must not contain half a surrogate pair"
        raise InvalidNetworkError(key, ascii(value), reason, network) from None


def copy_of(network: Network) -> Network:
    """A copy. dataclasses.replace() gives it of a subclass, too, at five times the price."""
    return Network(*_get_values(network)) if type(network) is Network else replace(network)


def invalid(network: Network, field: str, reason: str) -> InvalidNetworkError:
    """The error for one field."""
    return InvalidNetworkError(field, getattr(network, field), reason, network.name)


def check_types(network: Network) -> None:
    """Raises InvalidNetworkError for a field of another type than the dataclass says."""
    for field in _TEXT_FIELDS:
        if not isinstance(getattr(network, field), str):
            raise invalid(network, field, "text is wanted")
    for field in ("mtu", "txqueuelen"):
        value = getattr(network, field)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 31:
            raise invalid(network, field, "a number, 0 or more, is wanted")
    if not isinstance(network.hairpin_mode, bool):
        raise invalid(network, "hairpin_mode", "true or false is wanted")
    if isinstance(network.routes, (str, bytes)) or not isinstance(network.routes, Sequence):
        raise invalid(network, "routes", "a list of routes is wanted")
    for route in network.routes:
        if not isinstance(route, Route):
            raise InvalidNetworkError("routes", route, "a Route is wanted", network.name)
    if not isinstance(network.options, Mapping) or not all(
        isinstance(key, str) for key in network.options
    ):
        raise invalid(network, "options", "must be a mapping with text as keys")
    if network.device is not None and not isinstance(network.device, Mapping):
        raise invalid(network, "device", "must be a record of host-device, or None")


def check_options(network: Network, known: Collection[str] = ()) -> None:
    """Raises InvalidNetworkError for an option that the strategy does not know.

    Parameters:
        known: the names of the strategy's options.
    """
    for name in network.options:
        if name not in known:
            has = f"the options of {network.type} are {', '.join(known)}"
            reason = f'unknown option "{name}"; {has if known else f"{network.type} has none"}'
            raise invalid(network, "options", reason)


def check_link_name(network: Network, field: str, *, pattern: bool = False) -> None:
    """Raises InvalidNetworkError unless a field holds the name of an interface.

    Parameters:
        pattern: one `%d` may stand in it for a number of the kernel's choice.
    """
    name = getattr(network, field)
    try:
        check_name(name)
    except InvalidInterfaceNameError as error:
        raise invalid(network, field, error.reason) from None
    if "%" in name.replace("%d", "", 1 if pattern else 0):
        allowed = "a % may stand there only as one %d" if pattern else "no % may stand there"
        raise invalid(network, field, allowed)


def check_values(network: Network) -> None:
    """Raises InvalidNetworkError for an address, gateway, route, MAC or MTU that can't be."""
    check_types(network)
    for field in ("address", "ipv6_address", "gateway", "ipv6_gateway"):
        _check_prefix(network, field)
    for gateway, address in (("gateway", "address"), ("ipv6_gateway", "ipv6_address")):
        if getattr(network, gateway) and not getattr(network, address):
            raise invalid(network, gateway, f"a gateway needs an address of its family ({address})")
    for route in network.routes:
        _check_route(network, route)
    if network.mac_address:
        _check_mac(network)
    least = MIN_IPV6_MTU if network.ipv6_address else MIN_MTU
    if network.mtu and not least <= network.mtu <= MAX_MTU:
        needs = " (IPv6 needs 1280)" if network.ipv6_address else ""
        raise invalid(network, "mtu", f"an MTU is {least} to {MAX_MTU} bytes{needs}")


def _check_prefix(network: Network, field: str) -> None:
    text = getattr(network, field)
    if not text:
        return
    try:
        prefix = parse_prefix(text, field, length=not field.endswith("gateway"))
    except InvalidNetworkError as error:
        raise invalid(network, field, error.reason) from None
    version = 6 if field.startswith("ipv6") else 4
    if (prefix.family == AF_INET) != (version == 4):
        raise invalid(network, field, f"an IPv{version} address is wanted")


def _check_route(network: Network, route: Route) -> None:
    try:
        new_route(route)
    except InvalidNetworkError as error:
        reason = f"{error.field}: {error.reason}"
        raise InvalidNetworkError("routes", error.value, reason, network.name) from None


def _check_mac(network: Network) -> None:
    try:
        mac = parse_mac(network.mac_address)
    except InvalidNetworkError as error:
        raise invalid(network, "mac_address", error.reason) from None
    if len(mac) != 6 or mac[0] & 1 or not any(mac):
        raise invalid(
            network, "mac_address", "a unicast address of six bytes, not all 0, is wanted"
        )
