"""struct netstrat_address: the addresses of links."""

from __future__ import annotations

from _operator import attrgetter, is_not
from errno import EAFNOSUPPORT
from itertools import repeat

from .._core import ffi, lib
from ..errors import InvalidNetworkError
from . import decode, malformed
from .prefixes import AF_INET, broadcast_of, format_prefix, parse_prefix
from .values import check_integer, encode_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


IFA_F_NODAD: int = lib.IFA_F_NODAD
IFA_F_DADFAILED: int = lib.IFA_F_DADFAILED
IFA_F_TENTATIVE: int = lib.IFA_F_TENTATIVE
IFA_F_PERMANENT: int = lib.IFA_F_PERMANENT
IFA_F_NOPREFIXROUTE: int = lib.NETSTRAT_IFA_F_NOPREFIXROUTE
_NO_LIMIT = 0xFFFFFFFF  # INFINITY_LIFE_TIME, net/addrconf.h: not in a header for programs


#: As `Address.broadcast`, the last address of the IPv4 subnet, as in ip-address(8).
LAST_ADDRESS = "+"

_NUMBERS = "scope", "metric", "flags", "protocol"
_get_numbers = attrgetter(*_NUMBERS)


def new_address(index: int, address: Any) -> Any:
    """Makes a struct netstrat_address from an `Address`.

    Raises:
        InvalidNetworkError: no message can carry a field, or the kernel would ignore it.
    """
    fields: dict[str, Any] = {"index": index, "valid": _NO_LIMIT, "preferred": _NO_LIMIT}
    # Most are 0, which needs no check.
    if any(map(is_not, _get_numbers(address), repeat(0))):
        check_integer("scope", address.scope, 0, 0xFF)
        check_integer("metric", address.metric)
        check_integer("flags", address.flags)
        check_integer("protocol", address.protocol, 0, 0xFF)
        fields.update(zip(_NUMBERS, _get_numbers(address), strict=True))
    if address.valid is not None:
        check_integer("valid", address.valid, 1)  # 0 means no limit to the core
        fields["valid"] = address.valid
    if address.preferred is not None:
        check_integer("preferred", address.preferred)
        fields["preferred"] = address.preferred
    fields["local"] = local = parse_prefix(address.address, "address", length=True)[0]
    if not any(local.bytes):
        raise InvalidNetworkError("address", address.address, "must not be the unspecified address")
    if address.label != "":
        fields["label"] = encode_text("label", address.label, lib.NETSTRAT_NAME_SIZE - 1)
        if local.family != AF_INET:
            raise InvalidNetworkError("label", address.label, "must be empty: only IPv4 has labels")
    if address.peer != "":
        fields["peer"] = peer = parse_prefix(address.peer, "peer", length=True)[0]
        if peer.family != local.family:
            raise InvalidNetworkError("peer", address.peer, "must be of the address's family")
        local.length = 32 if local.family == AF_INET else 128
    if address.broadcast == LAST_ADDRESS and local.family == AF_INET:
        if local.length <= 30:
            fields["broadcast"] = broadcast_of(local)
    elif address.broadcast != "":
        broadcast = parse_prefix(address.broadcast, "broadcast", length=False)[0]
        if broadcast.family != AF_INET or local.family != AF_INET:
            reason = "must be an IPv4 address that comes with an IPv4 address"
            raise InvalidNetworkError("broadcast", address.broadcast, reason)
        fields["broadcast"] = broadcast
    return ffi.new("struct netstrat_address *", fields)


def address_fields(native: Any) -> dict[str, Any]:
    """Converts a struct netstrat_address to the fields of `Address`."""
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
        "valid": None if native.valid == _NO_LIMIT else native.valid,
        "preferred": None if native.preferred == _NO_LIMIT else native.preferred,
    }


def decode_addresses(messages: Iterator[Any], index: int) -> list[dict[str, Any]]:
    """Returns the fields of `Address` for each address of a link in a dump; 0: of every link."""
    address = ffi.new("struct netstrat_address *")
    found = []
    for message in messages:
        code = lib.netstrat_address_decode(message, address)
        if code == -EAFNOSUPPORT:
            continue
        if code < 0:
            raise malformed(lib.RTM_GETADDR)
        if index in (0, address.index):
            found.append(address_fields(address))
    return found
