"""struct netstrat_route: routes, and exact copies of the routes that the kernel reports."""

from __future__ import annotations

from _operator import attrgetter, is_not

from .._core import ffi, lib
from .._dataclass import replace
from ..errors import InvalidNetworkError
from .prefixes import (
    AF_INET,
    AF_INET6,
    check_unicast,
    format_prefix,
    host_bits,
    parse_prefix,
    to_number,
)
from .rows import new
from .values import INT_MAX, check_bool, check_integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAIN_TABLE: int = lib.RT_TABLE_MAIN
SCOPE_LINK: int = lib.RT_SCOPE_LINK
# IP6_RT_PRIO_USER, linux/ipv6_route.h: the metric of an IPv6 route that was added without one. The
# header can't be included together with the C library's netinet/in.h.
_IPV6_METRIC = 1024

# Unicast routes, and the types that refuse packets.
_TYPES = {
    lib.RTN_UNICAST: "unicast",
    lib.RTN_BLACKHOLE: "blackhole",
    lib.RTN_UNREACHABLE: "unreachable",
    lib.RTN_PROHIBIT: "prohibit",
    lib.RTN_THROW: "throw",
}


_get_settings = attrgetter("metric", "table", "scope", "onlink", "mtu", "advmss")
_DEFAULTS = 0, MAIN_TABLE, None, False, 0, 0
# The kernel replaces larger values by these (ip_metrics_convert in Linux net/ipv4/metrics.c).
_MAX_MTU, _MAX_ADVMSS = 65520, 65495


def check_route_types(route: Any) -> None:
    """Raises InvalidNetworkError if a field of a `Route` has a wrong type or is out of range."""
    if not type(route.destination) is type(route.gateway) is type(route.source) is str:
        for field in ("destination", "gateway", "source"):
            if not isinstance(getattr(route, field), str):
                raise InvalidNetworkError(field, getattr(route, field), "must be text")
    check_integer("ifindex", route.ifindex, 0, INT_MAX)
    # Most of the others have their default value, which needs no check.
    if not any(map(is_not, _get_settings(route), _DEFAULTS)):
        return
    check_integer("metric", route.metric)
    check_integer("table", route.table, 1)
    if route.scope is not None:
        check_integer("scope", route.scope, 0, 0xFF)
    check_bool("onlink", route.onlink)
    check_integer("mtu", route.mtu, 0, _MAX_MTU)
    check_integer("advmss", route.advmss, 0, _MAX_ADVMSS)


def new_route(route: Any) -> Any:
    """Makes a struct netstrat_route from a `Route`.

    Raises:
        InvalidNetworkError: no message can carry a field, or the kernel would ignore it.
    """
    check_route_types(route)
    gateway = parse_prefix(route.gateway, "gateway", length=False)[0] if route.gateway else None
    if route.destination == "default":
        family = AF_INET if gateway is None else gateway.family
        destination = {"family": family}
    else:
        destination = parse_prefix(route.destination, "destination")[0]
        if to_number(destination) & host_bits(destination):
            reason = "must not have host bits set"
            raise InvalidNetworkError("destination", route.destination, reason)
        family = destination.family
    on_link = gateway is None and family == AF_INET
    scope = SCOPE_LINK if on_link else lib.RT_SCOPE_UNIVERSE
    fields = {
        "destination": destination,
        "metric": route.metric,
        "table": route.table,
        "index": route.ifindex,
        "type": lib.RTN_UNICAST,
        "protocol": lib.RTPROT_STATIC,
        "scope": scope if route.scope is None else route.scope,
        "flags": lib.RTNH_F_ONLINK if route.onlink else 0,
        "mtu": route.mtu,
        "advmss": route.advmss,
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
        if not to_number(source):
            reason = "must not be the unspecified address"
            raise InvalidNetworkError("source", route.source, reason)
    return ffi.new("struct netstrat_route *", fields)


def route_type(native: Any) -> str:
    """Returns the type of a route, or "" for one that delivers locally or that the kernel made."""
    if native.type == lib.RTN_UNICAST:
        return "" if native.flags & lib.RTM_F_CLONED else "unicast"
    return "" if native.protocol == lib.RTPROT_KERNEL else _TYPES.get(native.type, "")


def route_fields(native: Any) -> dict[str, Any]:
    """Converts a struct netstrat_route to the fields of `Route`."""
    return {
        "destination": format_prefix(native.destination),
        "gateway": format_prefix(native.gateway, length=False),
        "source": format_prefix(native.source, length=False),
        "metric": native.metric,
        "table": native.table,
        "ifindex": native.index,
        "scope": native.scope,
        "onlink": bool(native.flags & lib.RTNH_F_ONLINK),
        "mtu": native.mtu,
        "advmss": native.advmss,
    }


def normal_route(route: Any) -> Any:
    """Returns a `Route` in the form in which the kernel reports it."""
    native = new_route(route)
    if not native.metric and native.destination.family == AF_INET6:
        native.metric = _IPV6_METRIC
    return replace(route, **route_fields(native))


# ---- copies ----


class RouteCopy:
    """A route with all the attributes that the kernel reports, to be added again.

    Two copies are equal if all that they add is equal.

    Attributes:
        ifindex: the index of the link; 0 if there are several next hops.
        source: the preferred source address, or "".
        destination: in CIDR.
        direct: whether the route has no gateway, so that routes through a gateway may need it.
    """

    __slots__ = ("_request", "destination", "direct", "ifindex", "source")

    def __init__(self, native: Any, flags: int, payload: bytes) -> None:
        self.ifindex: int = native.index
        self.source = format_prefix(native.source, length=False)
        self.destination = format_prefix(native.destination)
        self.direct = not native.gateway.family and not native.several
        self._request = flags, payload

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RouteCopy) and self._request == other._request

    __hash__ = None  # type: ignore[assignment]

    def encode(self, batch: Any) -> int:
        """Appends the request that adds the route; returns what netstrat_batch_finish returns."""
        flags, payload = self._request
        lib.netstrat_batch_begin(batch, lib.RTM_NEWROUTE, flags)
        lib.netstrat_batch_append(batch, payload, len(payload))
        return lib.netstrat_batch_finish(batch)  # type: ignore[no-any-return]


def add_copy(batch: Any, route: RouteCopy) -> int:
    """Encodes a copy, as the encoders of the core do for other messages."""
    return route.encode(batch)


def copy_route(message: Any) -> RouteCopy | None:
    """Copies a route of a dump; returns None if the kernel or a router will add it again."""
    part = message.payload
    size = part.end - part.at
    payload = new("unsigned char[]", size)
    ffi.memmove(payload, part.data + part.at, size)
    route = ffi.new("struct netstrat_route *")
    flags = lib.netstrat_route_to_request(payload, size, route)
    return None if flags < 0 else RouteCopy(route, flags, ffi.buffer(payload)[:])
