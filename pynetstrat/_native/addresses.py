"""struct netstrat_prefix, netstrat_address and netstrat_route: from Python's values and back."""

from __future__ import annotations

from dataclasses import replace
from sys import byteorder

from .._core import ffi, lib
from ..errors import InvalidNetworkError
from . import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..links import Address, Route

AF_INET, AF_INET6 = 2, 10  # linux/socket.h
_FOR_EVER = 0xFFFFFFFF  # INFINITY_LIFE_TIME, net/addrconf.h
_RTN_UNICAST, _RTPROT_KERNEL, _RTPROT_STATIC = 1, 2, 4  # linux/rtnetlink.h
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK = 0, 253
_RTNH_F_ONLINK = 4
_RTM_F_CLONED = 0x200
_IP6_RT_PRIO_USER = 1024  # linux/ipv6_route.h: the metric of a route that was given none


def parse_prefix(text: object, field: str, *, length: bool | None = None) -> Any:
    """A struct netstrat_prefix of "192.0.2.1/24", "2001:db8::1/64" or the same without a length.

    Parameters:
        field: what InvalidNetworkError calls it.
        length: True: there must be a prefix length; False: there must be none.
    """
    prefix = ffi.new("struct netstrat_prefix *")
    encoded = text.encode("ascii", "replace") if isinstance(text, str) else b""
    if b"\0" in encoded or lib.netstrat_prefix_parse(encoded, prefix) < 0:
        wanted = "an IPv4 or IPv6 address" + (" with its prefix length" if length else "")
        raise InvalidNetworkError(field, text, f"not {wanted}")
    if length is True and b"/" not in encoded:
        raise InvalidNetworkError(field, text, 'its prefix length is missing, as in "192.0.2.1/24"')
    if length is False and b"/" in encoded:
        raise InvalidNetworkError(field, text, "an address without a prefix length is wanted")
    return prefix


def format_prefix(prefix: Any, *, length: bool = True) -> str:
    """The text of a struct netstrat_prefix; "" where there is none."""
    text = ffi.new("char[]", lib.NETSTRAT_PREFIX_SIZE)
    lib.netstrat_prefix_format(ffi.addressof(prefix), length, text)
    return decode(text)


def _new(kind: str, fields: dict[str, Any]) -> Any:
    """A structure with these fields; InvalidNetworkError for a number that does not fit."""
    try:
        return ffi.new(kind, fields)
    except (OverflowError, TypeError):
        for field, value in fields.items():
            try:
                ffi.new(kind, {field: value})
            except (OverflowError, TypeError) as error:
                shown = "ifindex" if field == "index" else field
                raise InvalidNetworkError(shown, value, str(error)) from None
        raise


def new_address(index: int, address: Address) -> Any:
    """An address as a struct netstrat_address."""
    label = address.label.encode("utf-8", "surrogateescape")
    if len(label) >= lib.NETSTRAT_NAME_SIZE or b"\0" in label:
        raise InvalidNetworkError("label", address.label, "at most 15 bytes, none of them NUL")
    fields = {
        "index": index,
        "local": parse_prefix(address.address, "address", length=True)[0],
        "label": label,
        "flags": address.flags,
        "metric": address.metric,
        "scope": address.scope,
        "protocol": address.protocol,
        "valid": _FOR_EVER if address.valid is None else address.valid,
        "preferred": _FOR_EVER if address.preferred is None else address.preferred,
    }
    if address.peer:
        fields["peer"] = parse_prefix(address.peer, "peer", length=True)[0]
    if address.broadcast:
        fields["broadcast"] = parse_prefix(address.broadcast, "broadcast", length=False)[0]
    native = _new("struct netstrat_address *", fields)
    if address.peer:
        native.local.length = 32 if native.local.family == AF_INET else 128
    return native


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


def new_route(route: Route) -> Any:
    """A route as a struct netstrat_route."""
    gateway = parse_prefix(route.gateway, "gateway", length=False)[0] if route.gateway else None
    if route.destination != "default":
        destination = parse_prefix(route.destination, "destination")[0]
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
            raise InvalidNetworkError("gateway", route.gateway, "of another family")
        fields["gateway"] = gateway
    if route.source:
        fields["source"] = source = parse_prefix(route.source, "source", length=False)[0]
        if source.family != family:
            raise InvalidNetworkError("source", route.source, "of another family")
    return _new("struct netstrat_route *", fields)


def route_fields(native: Any) -> dict[str, Any] | None:
    """The fields of `Route`; None for what is not a unicast route of the table."""
    if native.type != _RTN_UNICAST or native.flags & _RTM_F_CLONED:
        return None
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
    """An address with its prefix length as the kernel has it: "2001:db8::/64"."""
    return format_prefix(parse_prefix(text, "address")[0])


def normal_route(route: Route) -> Route:
    """A route as the kernel has it."""
    native = new_route(route)
    if not native.metric and native.destination.family == AF_INET6:
        native.metric = _IP6_RT_PRIO_USER
    fields = route_fields(native)
    assert fields is not None  # a unicast route
    return replace(route, **fields)


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
    rest = ffi.new("struct netstrat_rest *", message.payload)
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
