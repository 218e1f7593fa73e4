"""struct netstrat_prefix: an address with its prefix length, parsed and formatted."""

from __future__ import annotations

from .._core import ffi, lib
from ..errors import InvalidNetworkError
from . import decode
from .values import Recent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AF_INET, AF_INET6 = lib.AF_INET, lib.AF_INET6
_ALL_ONES = 0xFFFFFFFF  # 255.255.255.255


def parse_prefix(text: object, field: str, *, length: bool | None = None) -> Any:
    """Parses "192.0.2.1/24", "2001:db8::1/64" or either without a length.

    Parameters:
        field: the field that the error names.
        length: whether a prefix length is required (True), not allowed (False) or optional (None).

    Returns:
        A struct netstrat_prefix.

    Raises:
        InvalidNetworkError: the text is anything else.
    """
    prefix = ffi.new("struct netstrat_prefix *")
    encoded = text.encode("ascii", "replace") if isinstance(text, str) else b""
    if 0 in encoded or lib.netstrat_prefix_parse(encoded, prefix) < 0:
        expected = "an IPv4 or IPv6 address" + (" with its prefix length" if length else "")
        raise InvalidNetworkError(field, text, f"must be {expected}")
    if length is not None and length is not (b"/" in encoded):
        without = "must be an address without a prefix length"
        reason = 'must have a prefix length, as in "192.0.2.1/24"' if length else without
        raise InvalidNetworkError(field, text, reason)
    return prefix


def format_prefix(prefix: Any, *, length: bool = True) -> str:
    """Formats a struct netstrat_prefix. Returns "" if its family is 0."""
    text = ffi.new("char[]", lib.NETSTRAT_PREFIX_SIZE)
    lib.netstrat_prefix_format(ffi.addressof(prefix), length, text)
    return decode(text)


def format_address(octets: bytes) -> str:
    """Formats an address of 4 or 16 bytes in network byte order."""
    prefix = ffi.new("struct netstrat_prefix *")
    prefix.family = AF_INET if len(octets) == 4 else AF_INET6
    ffi.buffer(prefix.bytes)[: len(octets)] = octets
    return format_prefix(prefix[0], length=False)


def to_number(prefix: Any) -> int:
    """Converts the address of a struct netstrat_prefix to an integer."""
    size = 4 if prefix.family == AF_INET else 16
    return int.from_bytes(ffi.buffer(prefix.bytes, size), "big")


def contains(prefix: Any, address: Any) -> bool:
    """Whether a prefix contains an address of its family."""
    return not (to_number(prefix) ^ to_number(address)) & ~host_bits(prefix)


def host_bits(prefix: Any) -> int:
    """Returns the mask of the bits after the prefix."""
    length: int = prefix.length
    return (1 << (32 if prefix.family == AF_INET else 128) - length) - 1


def broadcast_of(prefix: Any) -> dict[str, Any]:
    """Returns the fields of the struct netstrat_prefix of an IPv4 subnet's last address."""
    last = to_number(prefix) | _ALL_ONES >> prefix.length
    return {"family": AF_INET, "length": 32, "bytes": last.to_bytes(4, "big")}


# The first bytes of addresses that can only be those of one host: all but 0, 127 and 224 to 255 of
# IPv4; all but 0 and 255 of IPv6.
_HOST_BYTES = {AF_INET: {*range(1, 224)} - {127}, AF_INET6: {*range(1, 255)}}


def check_unicast(prefix: Any, field: str, text: object) -> None:
    """Raises InvalidNetworkError unless an address can be that of one host."""
    if prefix.bytes[0] in _HOST_BYTES[prefix.family]:
        return
    number = to_number(prefix)
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


_parsed_hosts = Recent()


def parse_unicast(text: str, field: str, family: int, *, length: bool) -> tuple[int, int | None]:
    """Parses the address of a host.

    Parameters:
        field: the field that the error names.
        family: AF_INET or AF_INET6.
        length: whether a prefix length is required (True) or not allowed (False).

    Returns:
        The address as an integer, and the broadcast address of its subnet. The latter is None for
        IPv6, and for IPv4 without a prefix length or with /31 or /32.

    Raises:
        InvalidNetworkError: the text is not such an address, or is of the other family.
    """
    key = text, field, family, length
    known: tuple[int, int | None] | None = _parsed_hosts.get(key)
    if known is not None:
        return known
    prefix = parse_prefix(text, field, length=length)
    if prefix.family != family:
        version = "IPv4" if family == AF_INET else "IPv6"
        raise InvalidNetworkError(field, text, f"must be an {version} address")
    check_unicast(prefix, field, text)
    number, broadcast = to_number(prefix), None
    if family == AF_INET and prefix.length <= 30:
        broadcast = number | _ALL_ONES >> prefix.length
    _parsed_hosts.keep(key, (number, broadcast))
    return number, broadcast


def normal_prefix(text: str) -> str:
    """Returns an address with its prefix length in the form in which the kernel reports it."""
    return format_prefix(parse_prefix(text, "address")[0])


def subnet_of(text: str) -> str:
    """Returns the subnet of an address: "10.0.0.0/24" for "10.0.0.2/24"."""
    prefix = parse_prefix(text, "address")[0]
    size = 4 if prefix.family == AF_INET else 16
    ffi.buffer(prefix.bytes, size)[:] = (to_number(prefix) & ~host_bits(prefix)).to_bytes(
        size, "big"
    )
    return format_prefix(prefix)


def last_address(text: str) -> str:
    """Returns the last address of an IPv4 address's subnet: "10.0.0.255" for "10.0.0.7/24"."""
    prefix = parse_prefix(text, "address")[0]
    return format_address((to_number(prefix) | host_bits(prefix)).to_bytes(4, "big"))


def first_address(text: str) -> str:
    """Returns the first address for hosts of an address's subnet: "10.0.0.1" for "10.0.0.7/24".

    Raises:
        InvalidNetworkError: the subnet has fewer than four addresses.
    """
    prefix = parse_prefix(text, "address")[0]
    hosts = host_bits(prefix)
    if hosts < 3:
        raise InvalidNetworkError("address", text, "must have a gateway: its subnet has no room")
    size = 4 if prefix.family == AF_INET else 16
    return format_address(((to_number(prefix) & ~hosts) + 1).to_bytes(size, "big"))
