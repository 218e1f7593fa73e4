"""A network's configuration, and what every strategy of ours checks of it before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from dataclasses import field as dataclass_field
from itertools import compress
from operator import attrgetter, is_not

from .._native.addresses import AF_INET, AF_INET6, check_route_types, new_route, parse_unicast
from .._native.batch import check_name, parse_ethernet_mac
from .._native.values import INT_MAX, UINT_MAX, check_bool, check_integer, encode_text
from ..errors import InvalidInterfaceNameError, InvalidNetworkError, escape
from ..rtnetlink.links import Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
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
        metric: of the default routes; 0: the kernel's default (IPv4 0, IPv6 1024).
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
    options: Mapping[str, Any] = dataclass_field(default_factory=dict)
    device: Mapping[str, Any] | None = None
    metric: int = 0

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
                raise InvalidNetworkError(escape(str(key)), value, reason, shown)
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
_TEXT_FIELDS = tuple(each.name for each in fields(Network) if each.type == "str")
_OTHER_FIELDS = tuple(each.name for each in fields(Network) if each.type != "str")
_LARGEST = {"mtu": INT_MAX, "txqueuelen": INT_MAX, "metric": UINT_MAX}
_get_values = attrgetter(*_FIELDS)
_get_texts, _get_others = attrgetter(*_TEXT_FIELDS), attrgetter(*_OTHER_FIELDS)
_OTHER_DEFAULTS = _get_others(Network())


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
    if "destination" not in item:
        raise InvalidNetworkError("routes", item, "a route must have a destination", network)
    return Route(**item)


def copy_of(network: Network) -> Network:
    """A copy. dataclasses.replace() gives it of a subclass, too, at five times the price."""
    return Network(*_get_values(network)) if type(network) is Network else replace(network)


def invalid(network: Network, field: str, reason: str) -> InvalidNetworkError:
    """The error for one field."""
    return InvalidNetworkError(field, getattr(network, field), reason, network.name)


def check_types(network: Network) -> None:
    """Raises InvalidNetworkError for a field whose type is wrong, or a number out of range."""
    if not _are_plain(_get_texts(network)):
        for field in _TEXT_FIELDS:
            _check_field(network, encode_text, field, getattr(network, field))
    # Most fields have their default value, which needs no check.
    values = _get_others(network)
    for field in compress(_OTHER_FIELDS, map(is_not, values, _OTHER_DEFAULTS)):
        value = getattr(network, field)
        if field in _LARGEST:
            _check_field(network, check_integer, field, value, 0, _LARGEST[field])
        elif field == "hairpin_mode":
            _check_field(network, check_bool, field, value)
        elif field == "routes":
            _check_routes(network)
        elif field == "options":
            is_mapping = type(value) is dict or isinstance(value, Mapping)
            if not is_mapping or not all(isinstance(key, str) for key in value):
                raise invalid(network, field, "must be a mapping with text as keys")
        elif value is not None and not isinstance(value, Mapping):
            raise invalid(network, field, "must be a record of host-device, or None")


def _are_plain(texts: tuple[Any, ...]) -> bool:
    """Whether every item is text without NUL, in ASCII: a quick test that most networks pass."""
    try:
        joined = "".join(texts)
    except TypeError:
        return False
    return joined.isascii() and "\0" not in joined


def _check_field(
    network: Network, check: Callable[..., object], field: str, *arguments: object
) -> None:
    try:
        check(field, *arguments)
    except InvalidNetworkError as error:
        raise invalid(network, field, error.reason) from None


def _check_routes(network: Network) -> None:
    if isinstance(network.routes, (str, bytes)) or not isinstance(network.routes, Sequence):
        raise invalid(network, "routes", "must be a list of routes")
    for route in network.routes:
        if not isinstance(route, Route):
            raise InvalidNetworkError("routes", route, "must be a Route", network.name)
        _check_route(network, route, check_route_types)


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
    """Raises InvalidNetworkError unless a field holds a name that a link can have.

    Parameters:
        pattern: the name may contain one `%d`, which the kernel replaces by a number.
    """
    name = getattr(network, field)
    try:
        check_name(name)
    except InvalidInterfaceNameError as error:
        raise invalid(network, field, error.reason) from None
    if "%" in name.replace("%d", "", 1 if pattern else 0):
        reason = "must not contain % except in one %d" if pattern else "must not contain %"
        raise invalid(network, field, reason)


def check_values(network: Network) -> None:
    """Raises InvalidNetworkError for an invalid address, gateway, route, MAC or MTU."""
    check_types(network)
    if network.address or network.gateway:
        _check_addresses(network, "address", "gateway", AF_INET)
    if network.ipv6_address or network.ipv6_gateway:
        _check_addresses(network, "ipv6_address", "ipv6_gateway", AF_INET6)
    for route in network.routes:
        _check_route(network, route, new_route)
    if network.mac_address:
        try:
            parse_ethernet_mac(network.mac_address, "mac_address")
        except InvalidNetworkError as error:
            raise invalid(network, "mac_address", error.reason) from None
    least = MIN_IPV6_MTU if network.ipv6_address else MIN_MTU
    if network.mtu and not least <= network.mtu <= MAX_MTU:
        needs = " (IPv6 needs 1280)" if network.ipv6_address else ""
        raise invalid(network, "mtu", f"must be 0 or from {least} to {MAX_MTU}{needs}")


def _check_addresses(network: Network, field: str, gateway_field: str, family: int) -> None:
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
        raise invalid(network, gateway_field, f"must come with an address of its family ({field})")
    if gateway == address:
        raise invalid(network, gateway_field, f"must not be the container's own address ({field})")
    if gateway == broadcast:
        raise invalid(network, gateway_field, "must not be the broadcast address of the subnet")


def _check_route(network: Network, route: Route, check: Callable[[Route], object]) -> None:
    try:
        check(route)
    except InvalidNetworkError as error:
        reason = f"{error.field}: {error.reason}"
        raise InvalidNetworkError("routes", error.value, reason, network.name) from None
