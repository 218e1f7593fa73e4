"""A network's configuration: the dataclass, its JSON form, and the types of its fields."""

from __future__ import annotations

from _collections_abc import Mapping, Sequence  # `collections` takes longer to load
from _operator import attrgetter, is_not
from itertools import compress

from .._dataclass import dataclass, replace
from .._dataclass import field as dataclass_field
from .._native.routes import check_route_types
from .._native.values import INT_MAX, UINT_MAX, check_bool, check_integer, encode_text
from ..errors import InvalidNetworkError, escape
from ..rtnetlink.links import Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


@dataclass(slots=True)
class Network:
    """The configuration of one network of a container, which a strategy's operations take.

    The fields up to `hairpin_mode` are those of runc's `configs.Network`
    (libcontainer/configs/network.go). Each strategy reads the fields that it needs;
    docs/networks.md lists them by strategy.

    Attributes:
        type: the strategy's type: "loopback", "veth", "host-device", "macvlan", or that of a
            registered or installed strategy. Default "".
        name: the name of the container's interface, 1 to 15 bytes. Default "".
        bridge: the name of an existing bridge on the host. Default "": no bridge.
        mac_address: the MAC address of the container's interface, such as
            "02:00:5e:10:00:01". Default "": the strategy chooses one.
        address: the IPv4 address with its prefix length, such as "192.0.2.2/24". Default "": none.
        gateway: the IPv4 gateway, such as "192.0.2.1". Default "": no IPv4 default route.
        ipv6_address: the IPv6 address with its prefix length, such as "2001:db8::2/64". Default "":
            none.
        ipv6_gateway: the IPv6 gateway, such as "2001:db8::1". Default "": no IPv6 default route.
        mtu: the MTU in bytes, 68 to 65535, with an IPv6 address at least 1280. Default 0: the
            strategy chooses one.
        txqueuelen: the length of the transmit queue in packets. Default 0: the kernel's default.
        host_interface_name: the name of the interface on the host: a veth's host end, or the device
            to move. Default "": the strategy generates one if it can.
        hairpin_mode: whether the bridge may send a frame back out of the port it came in by.
            Default False.
        routes: further routes of the container, `Route` objects. Default (): none.
        owner: who the network belongs to, such as a container's id, up to 244 bytes. Default "":
            unknown.
        options: settings that only one strategy has, by name. A built-in strategy refuses names
            that it does not know. Default {}.
        device: the record that `host-device` makes of the device it has moved, which `destroy`
            needs; it can be stored as JSON. Default None: no device was moved.
        metric: the metric of the default routes. Default 0: the kernel's default (0 for IPv4, 1024
            for IPv6).
        addresses: further addresses with their prefix lengths, of both families, such as
            ["192.0.2.3/24", "2001:db8::3/64"]. Default (): none.
        sysctls: settings of the container's interface by name, such as
            {"net.ipv6.conf.IFNAME.accept_ra": "0"}. IFNAME is literal and stands for the
            interface. They are set before the interface goes up. Default {}.
        isolated: whether the host end, a port of `bridge`, exchanges no frames with other isolated
            ports (Linux 4.18). Default False.
        rate_in: the highest rate of traffic to the container, in bits per second on the wire.
            Default 0: unlimited.
        rate_out: the highest rate of traffic from the container, in bits per second on the wire.
            Default 0: unlimited.
        publish: ports of the host that lead to the container, as
            "[HOSTADDRESS:]HOSTPORT:CONTAINERPORT/PROTOCOL", such as ["8080:80/tcp"]. Default ():
            none.

    Example:
        >>> Network(
        ...     "veth",
        ...     name="eth0",
        ...     bridge="br0",
        ...     address="192.0.2.2/24",
        ...     gateway="192.0.2.1",
        ...     owner="web-1",
        ... )
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
    addresses: Sequence[str] = ()
    sysctls: Mapping[str, str] = dataclass_field(default_factory=dict)
    isolated: bool = False
    rate_in: int = 0
    rate_out: int = 0
    publish: Sequence[str] = ()

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Network:
        """Makes a network from its JSON form.

        Parameters:
            mapping: field names and their values. `routes` is a list of mappings with the field
                names of `Route`, or of `Route` objects.

        Raises:
            InvalidNetworkError: `mapping` is not a mapping, has an unknown key (the error lists the
                known ones) or a value of the wrong type.

        Example:
            >>> Network.from_dict({"type": "veth", "name": "eth0", "address": "192.0.2.2/24"})
        """
        if not isinstance(mapping, Mapping):
            raise InvalidNetworkError("networks", mapping, "must be a JSON object")
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
        for field in _TEXT_LISTS:
            if isinstance(given.get(field), list):
                given[field] = tuple(given[field])
        network = cls(**given)
        validate_types(network)
        return network

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form, which `from_dict` reads.

        Fields that have their default value are left out, also those of each route.
        """
        return _changed_fields(self, Network())

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal; a list equals a tuple of the same items."""
        # from_dict() makes tuples of lists, so that a network that was read equals the written one.
        if type(other) is not type(self):
            return NotImplemented
        return _comparable(self) == _comparable(other)


_FIELDS, _ROUTE_FIELDS = Network.__match_args__, Route.__match_args__
_TYPES = Network.__annotations__
_TEXT_FIELDS = tuple(name for name in _FIELDS if _TYPES[name] == "str")
_MAPPINGS = "options", "sysctls"  # their defaults are no constants
_TEXT_LISTS = "addresses", "publish"
_OTHER_FIELDS = tuple(name for name in _FIELDS if name not in (*_TEXT_FIELDS, *_MAPPINGS))
_MAX_RATE = 1 << 40  # bits per second
_LARGEST = {
    "mtu": INT_MAX,
    "txqueuelen": INT_MAX,
    "metric": UINT_MAX,
    "rate_in": _MAX_RATE,
    "rate_out": _MAX_RATE,
}
_get_values = attrgetter(*_FIELDS)
_get_texts, _get_others = attrgetter(*_TEXT_FIELDS), attrgetter(*_OTHER_FIELDS)
_OTHER_DEFAULTS = _get_others(Network())


def _comparable(network: Network) -> list[Any]:
    return [tuple(value) if type(value) is list else value for value in _get_values(network)]


def _changed_fields(thing: Network | Route, plain: Network | Route) -> dict[str, Any]:
    """The fields that differ from those of `plain`; a route's destination is always included."""
    found: dict[str, Any] = {}
    for name in type(plain).__match_args__:
        value = getattr(thing, name)
        if name == "routes":
            value = tuple(_changed_fields(route, Route("")) for route in value)
        elif name in _TEXT_LISTS:
            value = tuple(value)
        elif isinstance(value, Mapping):
            value = dict(value)
        if value != getattr(plain, name) or name == "destination":
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def _route_from(item: object, network: str) -> Route:
    if isinstance(item, Route):
        return item
    if not isinstance(item, Mapping):
        raise InvalidNetworkError("routes", item, "must be a JSON object", network)
    for key, value in item.items():
        if key not in _ROUTE_FIELDS:
            reason = f"unknown field; the fields of a route are {', '.join(_ROUTE_FIELDS)}"
            raise InvalidNetworkError("routes", {key: value}, reason, network)
    if "destination" not in item:
        raise InvalidNetworkError("routes", item, "a route must have a destination", network)
    return Route(**item)


def copy_of(network: Network) -> Network:
    """Returns a copy with routes of its own, so that a change to it changes nothing else."""
    # dataclasses.replace() copies a subclass, too, but takes five times as long.
    copy = Network(*_get_values(network)) if type(network) is Network else replace(network)
    if copy.routes:
        copy.routes = [replace(route) for route in copy.routes]
    return copy


def ip_addresses(network: Network) -> tuple[str, ...]:
    """Returns the addresses of a network, of both families, in the order of its fields."""
    return (*filter(None, (network.address, network.ipv6_address)), *network.addresses)


def has_ipv6(network: Network) -> bool:
    """Whether a network has an IPv6 address."""
    return ":" in "".join((network.ipv6_address, *network.addresses))


def invalid(network: Network, field: str, reason: str) -> InvalidNetworkError:
    """Returns the error for one field."""
    return InvalidNetworkError(field, getattr(network, field), reason, network.name)


def validate_types(network: Network) -> None:
    """Raises InvalidNetworkError for a field of the wrong type, or a number out of range."""
    if not _are_plain(_get_texts(network)):
        for field in _TEXT_FIELDS:
            _validate_field(network, encode_text, field, getattr(network, field))
    options, sysctls = network.options, network.sysctls
    if options or type(options) is not dict:
        is_mapping = isinstance(options, Mapping)
        if not is_mapping or not all(isinstance(key, str) for key in options):
            raise invalid(network, "options", "must be a mapping with string keys")
    if sysctls or type(sysctls) is not dict:
        if not isinstance(sysctls, Mapping):
            raise invalid(network, "sysctls", "must be a mapping of names to text")
        for text in (*sysctls, *sysctls.values()):
            _validate_field(network, encode_text, "sysctls", text)
    # Most other fields have their default value, which needs no check.
    values = _get_others(network)
    for field in compress(_OTHER_FIELDS, map(is_not, values, _OTHER_DEFAULTS)):
        value = getattr(network, field)
        if field in _LARGEST:
            _validate_field(network, check_integer, field, value, 0, _LARGEST[field])
        elif field in ("hairpin_mode", "isolated"):
            _validate_field(network, check_bool, field, value)
        elif field == "routes":
            _validate_routes(network)
        elif field in _TEXT_LISTS:
            if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
                raise invalid(network, field, "must be a list of texts")
            for text in value:
                _validate_field(network, encode_text, field, text)
        elif value is not None and not isinstance(value, Mapping):
            raise invalid(network, field, "must be a record of host-device, or None")


def _are_plain(texts: tuple[Any, ...]) -> bool:
    """Whether every item is ASCII text without NUL. Most networks pass this quick test."""
    try:
        joined = "".join(texts)
    except TypeError:
        return False
    return joined.isascii() and "\0" not in joined


def _validate_field(
    network: Network, check: Callable[..., object], field: str, *arguments: object
) -> None:
    try:
        check(field, *arguments)
    except InvalidNetworkError as error:
        raise invalid(network, field, error.reason) from None


def _validate_routes(network: Network) -> None:
    if isinstance(network.routes, (str, bytes)) or not isinstance(network.routes, Sequence):
        raise invalid(network, "routes", "must be a list of routes")
    for route in network.routes:
        if not isinstance(route, Route):
            raise InvalidNetworkError("routes", route, "must be a Route", network.name)
        validate_route(network, route, check_route_types)


def validate_route(network: Network, route: Route, check: Callable[[Route], object]) -> None:
    """Checks a route, and names the network in the error.

    Parameters:
        check: raises InvalidNetworkError for an invalid route.
    """
    try:
        check(route)
    except InvalidNetworkError as error:
        reason = f"{error.field}: {error.reason}"
        raise InvalidNetworkError("routes", error.value, reason, network.name) from None
