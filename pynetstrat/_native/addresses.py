"""struct netstrat_prefix, netstrat_address and netstrat_route: from Python's values and back."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from operator import attrgetter, is_not
from sys import byteorder

from .._core import ffi, lib
from ..errors import InvalidNetworkError
from . import decode
from .values import INT_MAX, check_bool, check_integer, encode_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..rtnetlink.links import Address, Route

AF_INET, AF_INET6 = 2, 10  # linux/socket.h
_FOR_EVER = 0xFFFFFFFF  # INFINITY_LIFE_TIME, net/addrconf.h
_ALL_ONES = 0xFFFFFFFF  # 255.255.255.255
_RTN_UNICAST, _RTPROT_KERNEL, _RTPROT_STATIC = 1, 2, 4  # linux/rtnetlink.h
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK = 0, 253
_RTNH_F_ONLINK = 4
_RTM_F_CLONED = 0x200
_IP6_RT_PRIO_USER = 1024  # linux/ipv6_route.h: the metric of a route that was given none


def parse_prefix(text: object, field: str, *, length: bool | None = None) -> Any:
    """A struct netstrat_prefix of "192.0.2.1/24", "2001:db8::1/64" or the same without a length.

    Parameters:
        field: the field that InvalidNetworkError names.
        length: True: a prefix length is required; False: it is refused; None: either.
    """
    prefix = ffi.new("struct netstrat_prefix *")
    encoded = text.encode("ascii", "replace") if isinstance(text, str) else b""
    if b"\0" in encoded or lib.netstrat_prefix_parse(encoded, prefix) < 0:
        wanted = "an IPv4 or IPv6 address" + (" with its prefix length" if length else "")
        raise InvalidNetworkError(field, text, f"must be {wanted}")
    if length is not None and length is not (b"/" in encoded):
        without = "must be an address without a prefix length"
        reason = 'must have a prefix length, as in "192.0.2.1/24"' if length else without
        raise InvalidNetworkError(field, text, reason)
    return prefix


def _number(prefix: Any) -> int:
    size = 4 if prefix.family == AF_INET else 16
    return int.from_bytes(ffi.buffer(prefix.bytes, size), "big")


def _host_bits(prefix: Any) -> int:
    """A mask of the bits that the prefix length leaves to hosts."""
    length: int = prefix.length
    return (1 << (32 if prefix.family == AF_INET else 128) - length) - 1


# First bytes of addresses that can only be those of one host: all but 0, 127 and 224 to 255 of
# IPv4; all but 0 and 255 of IPv6.
_HOST_BYTES = {AF_INET: {*range(1, 224)} - {127}, AF_INET6: {*range(1, 255)}}


def check_unicast(prefix: Any, field: str, text: object) -> None:
    """Raises InvalidNetworkError unless an address can be that of one host."""
    if prefix.bytes[0] in _HOST_BYTES[prefix.family]:
        return
    number = _number(prefix)
    if prefix.family == AF_INET:
        multicast, loopback = number >> 28 == 0xE, number >> 24 == 127
    else:
        multicast, loopback = number >> 120 == 0xFF, number == 1
    if not number:
        what = "the unspecified address"
    elif multicast:
        what = "a multicast address"
    elif loopback:
        what = "a loopback address"
    elif prefix.family == AF_INET and number == _ALL_ONES:
        what = "the broadcast address"
    else:
        return
    raise InvalidNetworkError(field, text, f"must not be {what}")


def parse_unicast(text: str, field: str, family: int, *, length: bool) -> tuple[int, int | None]:
    """Parses the address of a host.

    Parameters:
        field: the field that InvalidNetworkError names.
        family: AF_INET or AF_INET6.
        length: whether a prefix length is required or refused.

    Returns:
        The address as an integer, and the broadcast address of its subnet: None for IPv6, and for
        IPv4 without a prefix length or with /31 or /32.
    """
    prefix = parse_prefix(text, field, length=length)
    if prefix.family != family:
        version = "IPv4" if family == AF_INET else "IPv6"
        raise InvalidNetworkError(field, text, f"must be an {version} address")
    check_unicast(prefix, field, text)
    number = _number(prefix)
    has_broadcast = family == AF_INET and prefix.length <= 30
    return number, number | _host_bits(prefix) if has_broadcast else None


def format_prefix(prefix: Any, *, length: bool = True) -> str:
    """The text of a struct netstrat_prefix; "" if its family is 0."""
    text = ffi.new("char[]", lib.NETSTRAT_PREFIX_SIZE)
    lib.netstrat_prefix_format(ffi.addressof(prefix), length, text)
    return decode(text)


_get_address_numbers = attrgetter("scope", "metric", "flags", "protocol")


def new_address(index: int, address: Address) -> Any:
    """A struct netstrat_address.

    Raises:
        InvalidNetworkError: a field that no message can carry, or that the kernel would ignore.
    """
    # Most are 0, which needs no check.
    if any(map(is_not, _get_address_numbers(address), repeat(0))):
        check_integer("scope", address.scope, 0, 0xFF)
        check_integer("metric", address.metric)
        check_integer("flags", address.flags)
        check_integer("protocol", address.protocol, 0, 0xFF)
    if address.valid is not None:
        check_integer("valid", address.valid, 1)  # to the core 0 is for ever
    if address.preferred is not None:
        check_integer("preferred", address.preferred)
    local = parse_prefix(address.address, "address", length=True)[0]
    if not any(local.bytes):
        raise InvalidNetworkError("address", address.address, "must not be the unspecified address")
    fields = {
        "index": index,
        "local": local,
        "flags": address.flags,
        "metric": address.metric,
        "scope": address.scope,
        "protocol": address.protocol,
        "valid": _FOR_EVER if address.valid is None else address.valid,
        "preferred": _FOR_EVER if address.preferred is None else address.preferred,
    }
    if address.label != "":
        fields["label"] = encode_text("label", address.label, lib.NETSTRAT_NAME_SIZE - 1)
        if local.family != AF_INET:
            raise InvalidNetworkError("label", address.label, "must be empty: only IPv4 has labels")
    if address.peer != "":
        fields["peer"] = peer = parse_prefix(address.peer, "peer", length=True)[0]
        if peer.family != local.family:
            raise InvalidNetworkError("peer", address.peer, "must be of the address's family")
        local.length = 32 if local.family == AF_INET else 128
    if address.broadcast != "":
        broadcast = parse_prefix(address.broadcast, "broadcast", length=False)[0]
        if broadcast.family != AF_INET or local.family != AF_INET:
            reason = "must be an IPv4 address that comes with an IPv4 address"
            raise InvalidNetworkError("broadcast", address.broadcast, reason)
        fields["broadcast"] = broadcast
    return ffi.new("struct netstrat_address *", fields)


def address_fields(native: Any) -> dict[str, Any]:
    """The fields of `Address`."""
    return {
        "ifindex": native.index,
        "address": format_prefix(native.local),
        "peer": format_prefix(native.peer),
        "broadcast": format_prefix(native.broadcast, length=False),
        "label": decode(native.label),
        "scope": native.scope,
        "metric": native.metric,
        "flags": native.flags,
        "protocol": native.protocol,
        "valid": None if native.valid == _FOR_EVER else native.valid,
        "preferred": None if native.preferred == _FOR_EVER else native.preferred,
    }


_get_route_fields = attrgetter("metric", "table", "scope", "onlink")
_ROUTE_DEFAULTS = 0, 254, None, False


def check_route_types(route: Route) -> None:
    """Raises InvalidNetworkError for a field of a route whose type or range is wrong."""
    if not type(route.destination) is type(route.gateway) is type(route.source) is str:
        for field in ("destination", "gateway", "source"):
            if not isinstance(getattr(route, field), str):
                raise InvalidNetworkError(field, getattr(route, field), "must be text")
    check_integer("ifindex", route.ifindex, 0, INT_MAX)
    # Most of the others have their default value, which needs no check.
    if not any(map(is_not, _get_route_fields(route), _ROUTE_DEFAULTS)):
        return
    check_integer("metric", route.metric)
    check_integer("table", route.table, 1)
    if route.scope is not None:
        check_integer("scope", route.scope, 0, 0xFF)
    check_bool("onlink", route.onlink)


def new_route(route: Route) -> Any:
    """A struct netstrat_route.

    Raises:
        InvalidNetworkError: a field that no message can carry, or that the kernel would ignore.
    """
    check_route_types(route)
    gateway = parse_prefix(route.gateway, "gateway", length=False)[0] if route.gateway else None
    if route.destination != "default":
        destination = parse_prefix(route.destination, "destination")[0]
        if _number(destination) & _host_bits(destination):
            reason = "must not have host bits set"
            raise InvalidNetworkError("destination", route.destination, reason)
    else:
        destination = ffi.new("struct netstrat_prefix *")[0]
        destination.family = AF_INET if gateway is None else gateway.family
    family = destination.family
    on_link = gateway is None and family == AF_INET
    scope = _RT_SCOPE_LINK if on_link else _RT_SCOPE_UNIVERSE
    fields = {
        "destination": destination,
        "metric": route.metric,
        "table": route.table,
        "index": route.ifindex,
        "type": _RTN_UNICAST,
        "protocol": _RTPROT_STATIC,
        "scope": scope if route.scope is None else route.scope,
        "flags": _RTNH_F_ONLINK if route.onlink else 0,
    }
    if gateway is not None:
        if gateway.family != family:
            reason = "must be of the destination's family"
            raise InvalidNetworkError("gateway", route.gateway, reason)
        check_unicast(gateway, "gateway", route.gateway)
        fields["gateway"] = gateway
    if route.source:
        fields["source"] = source = parse_prefix(route.source, "source", length=False)[0]
        if source.family != family:
            reason = "must be of the destination's family"
            raise InvalidNetworkError("source", route.source, reason)
        if not _number(source):
            reason = "must not be the unspecified address"
            raise InvalidNetworkError("source", route.source, reason)
    return ffi.new("struct netstrat_route *", fields)


# RTN_, linux/rtnetlink.h: routes that deliver, and routes that refuse.
_KINDS = {1: "unicast", 6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw"}


def route_kind(native: Any) -> str:
    """The type of a route; "" for one that delivers within the host, or that the kernel makes."""
    if native.type == _RTN_UNICAST:
        return "" if native.flags & _RTM_F_CLONED else "unicast"
    return "" if native.protocol == _RTPROT_KERNEL else _KINDS.get(native.type, "")


def route_fields(native: Any) -> dict[str, Any]:
    """The fields of `Route`."""
    return {
        "destination": format_prefix(native.destination),
        "gateway": format_prefix(native.gateway, length=False),
        "source": format_prefix(native.source, length=False),
        "metric": native.metric,
        "table": native.table,
        "ifindex": native.index,
        "scope": native.scope,
        "onlink": bool(native.flags & _RTNH_F_ONLINK),
    }


def normal_prefix(text: str) -> str:
    """An address with its prefix length in the kernel's form: "2001:db8::/64"."""
    return format_prefix(parse_prefix(text, "address")[0])


def subnet_of(text: str) -> str:
    """The subnet of an address: "10.0.0.0/24" of "10.0.0.2/24"."""
    prefix = parse_prefix(text, "address")[0]
    size = 4 if prefix.family == AF_INET else 16
    ffi.buffer(prefix.bytes, size)[:] = (_number(prefix) & ~_host_bits(prefix)).to_bytes(
        size, "big"
    )
    return format_prefix(prefix)


def normal_route(route: Route) -> Route:
    """A route in the form in which the kernel dumps it."""
    native = new_route(route)
    if not native.metric and native.destination.family == AF_INET6:
        native.metric = _IP6_RT_PRIO_USER
    return replace(route, **route_fields(native))


# ---- routes as they are ----

_RTM_NEWROUTE = 24
_HEADER = 12  # bytes of struct rtmsg
_FLAGS_GIVEN = 6  # RTNH_F_PERVASIVE, RTNH_F_ONLINK: the other flags are the kernel's to set
_RTA_GATEWAY, _RTA_MULTIPATH, _RTA_CACHEINFO, _RTA_VIA = 5, 9, 12, 18
_REQUEST, _REPLACE, _CREATE, _APPEND = 5, 0x100, 0x400, 0x800  # NLM_F_, with NLM_F_ACK


class RouteCopy:
    """A route with all that the kernel says of it, to be added again as it was.

    Attributes:
        ifindex: the index of the link; 0: several next hops.
        source: the preferred source address, or "".
        destination: in CIDR.
        direct: it has no gateway, so that others may lead through it.
    """

    __slots__ = (
        "_attributes",
        "_header",
        "_is_group",
        "destination",
        "direct",
        "ifindex",
        "source",
    )

    def __init__(
        self, native: Any, header: bytes, attributes: tuple[tuple[int, bytes], ...]
    ) -> None:
        self.ifindex: int = native.index
        self.source = format_prefix(native.source, length=False)
        self.destination = format_prefix(native.destination)
        kinds = {kind for kind, _ in attributes}
        self.direct = not kinds & {_RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA}
        self._is_group = native.destination.family == AF_INET6 and _RTA_MULTIPATH in kinds
        self._header = header
        self._attributes = attributes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RouteCopy) and (self._header, self._attributes) == (
            other._header,
            other._attributes,
        )

    __hash__ = None  # type: ignore[assignment]

    def encode(self, batch: Any) -> int:
        """The request that adds it, beside others of the same destination and metric.

        A group of IPv6 next hops takes the place of what is left of it.
        """
        flags = _CREATE | (_REPLACE if self._is_group else _APPEND)
        lib.netstrat_batch_begin(batch, _RTM_NEWROUTE, _REQUEST | flags)
        lib.netstrat_batch_append(batch, self._header, _HEADER)
        for kind, value in self._attributes:
            lib.netstrat_batch_put(batch, kind, value, len(value))
        return lib.netstrat_batch_finish(batch)  # type: ignore[no-any-return]


def add_copy(batch: Any, route: RouteCopy) -> int:
    """An encoder, as those of the core are."""
    return route.encode(batch)


def copy_route(message: Any, native: Any) -> RouteCopy | None:
    """A route from a dump; None for one that the kernel makes or unmakes by itself.

    Parameters:
        native: the struct netstrat_route of the message.
    """
    if native.type != _RTN_UNICAST and native.protocol == _RTPROT_KERNEL:
        return None  # with the address
    rest = ffi.new("struct netstrat_cursor *", message.payload)
    header = bytearray(ffi.buffer(rest.data + rest.at, _HEADER))
    header[8:12] = (native.flags & _FLAGS_GIVEN).to_bytes(4, byteorder)
    rest.at += _HEADER
    attribute = ffi.new("struct netstrat_attribute *")
    attributes = []
    while lib.netstrat_attribute_next(rest, attribute) > 0:
        part = attribute.value
        value = ffi.buffer(part.data + part.at, part.end - part.at)[:]
        if attribute.type == _RTA_MULTIPATH:
            attributes.append((attribute.type, _given_hops(value)))
        elif attribute.type != _RTA_CACHEINFO:
            attributes.append((attribute.type, value))
        elif any(value[8:12]):  # rta_expires: it came from a router, and comes again
            return None
    return RouteCopy(native, bytes(header), tuple(attributes))


def _given_hops(value: bytes) -> bytes:
    """RTA_MULTIPATH (struct rtnexthop, one behind the other) without the kernel's own flags."""
    hops, at = bytearray(value), 0
    while at + 8 <= len(hops):
        hops[at + 2] &= _FLAGS_GIVEN
        at += max(8, int.from_bytes(hops[at : at + 2], byteorder) + 3 & ~3)
    return bytes(hops)
