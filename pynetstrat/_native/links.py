"""struct netstrat_link and netstrat_link_settings: what a link is, and what is set in one."""

from __future__ import annotations

from .._core import ffi, lib
from ..errors import InvalidInterfaceNameError, InvalidNetworkError
from . import decode, encode_name, invalid_name
from .prefixes import parse_prefix
from .values import INT_MAX, UINT_MAX, Recent, check_bool, check_integer, encode_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MACVLAN_MODES: dict[str, int] = {
    "private": lib.MACVLAN_MODE_PRIVATE,
    "vepa": lib.MACVLAN_MODE_VEPA,
    "bridge": lib.MACVLAN_MODE_BRIDGE,
    "passthru": lib.MACVLAN_MODE_PASSTHRU,
}

# Those of a link that this package does not make as well (linux/if_link.h, 3.18).
_MODE_NAMES = {**{number: name for name, number in MACVLAN_MODES.items()}, 16: "source"}
# linux/if_ether.h
VLAN_PROTOCOLS = {"802.1Q": 0x8100, "802.1ad": 0x88A8}
# linux/if_link.h: IPVLAN_MODE_ and IPVLAN_F_
IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
IPVLAN_FLAGS = {"bridge": 0, "private": 1, "vepa": 2}

IFF_UP: int = lib.NETSTRAT_IFF_UP
_IFF_RUNNING: int = lib.NETSTRAT_IFF_RUNNING

# ---- what a link is ----


def link_fields(link: Any) -> tuple[Any, ...]:
    """Converts a struct netstrat_link to the fields of `Link`, in order."""
    kind, flags, altnames = decode(link.kind), link.flags, link.altnames
    length = link.permanent_mac_length
    return (
        link.index,
        decode(link.name),
        kind,
        bool(flags & IFF_UP),
        bool(flags & _IFF_RUNNING),
        link.mtu,
        link.txqueuelen,
        ffi.buffer(link.mac, link.mac_length)[:].hex(":"),
        link.master or None,
        link.peer or None,
        None if link.peer_nsid < 0 else link.peer_nsid,
        ffi.string(link.alias).decode("utf-8", "surrogateescape"),  # in any locale
        _altnames(link) if altnames.at < altnames.end else (),
        None if link.hairpin < 0 else bool(link.hairpin),
        # Empty for a virtual link.
        ffi.buffer(link.permanent_mac, length)[:].hex(":") if length else "",
        link.group,
        ffi.buffer(link.bridge_id)[:].hex() if kind == "bridge" else "",
        None if link.isolated < 0 else bool(link.isolated),
        None if link.learning < 0 else bool(link.learning),
        None if link.port_state < 0 else link.port_state,
        _MODE_NAMES.get(link.macvlan_mode, "") if link.macvlan_mode else "",
    )


def bridge_fields(link: Any) -> tuple[Any, ...]:
    """Converts a struct netstrat_link to the fields of `Bridge`, in order."""
    return (
        link.index,
        decode(link.name),
        decode(link.kind),
        link.mtu,
        ffi.buffer(link.mac, link.mac_length)[:].hex(":"),
        ffi.buffer(link.bridge_id)[:].hex(),
    )


def _altnames(link: Any) -> tuple[str, ...]:
    found = []
    name = ffi.new("char[]", lib.NETSTRAT_ALT_NAME_SIZE)
    rest = ffi.addressof(link, "altnames")
    while lib.netstrat_altname_next(rest, name) > 0:
        found.append(decode(name))
    return tuple(found)


def text_within(part: Any) -> str:
    """Returns a text that is part of a message, without the NUL at its end."""
    if part.at >= part.end:
        return ""
    raw: bytes = ffi.buffer(part.data + part.at, part.end - part.at)[:]
    return raw.rstrip(b"\0").decode("utf-8", "surrogateescape")


# ---- names and hardware addresses ----

_MAC_SIZE: int = lib.NETSTRAT_MAC_SIZE

# /proc/sys/net has directories of these names (sysctl_dev_name_is_allowed, net/ipv4/devinet.c).
_RESERVED_NAMES = (b"all", b"default")
_checked_names = Recent()  # valid ones


def check_name(name: object) -> bytes:
    """Converts the name of a new link to bytes.

    Raises:
        InvalidInterfaceNameError: no link can have it. Alternative names are not allowed.
    """
    known: bytes | None = _checked_names.get(name) if type(name) is str else None
    if known is not None:
        return known
    encoded = encode_name(name, lib.NETSTRAT_OP_LINK_NAME)
    if lib.netstrat_name_check(encoded) != 0:
        raise invalid_name(name, lib.NETSTRAT_OP_LINK_NAME)
    if encoded in _RESERVED_NAMES:
        reason = 'the kernel reserves "all" and "default" for its settings under /proc/sys/net'
        raise InvalidInterfaceNameError(name, reason)
    if b"%" in encoded and b"%" in encoded.replace(b"%d", b"", 1):  # dev_alloc_name, net/core/dev.c
        reason = "must not contain % except in one %d, which the kernel replaces by a number"
        raise InvalidInterfaceNameError(name, reason)
    if type(name) is str:
        _checked_names.keep(name, encoded)
    return encoded


def check_altname(name: object) -> bytes:
    """Converts an alternative name to bytes. Raises InvalidInterfaceNameError if none can be it."""
    known: bytes | None = _checked_names.get(name) if type(name) is str else None
    if known is not None:  # the rule for the names of new links is stricter
        return known
    encoded = encode_name(name)
    if lib.netstrat_name_check(encoded) < 0:
        raise invalid_name(name)
    return encoded


def parse_mac(text: Any, field: str = "mac", *, ethernet: bool = False) -> bytes:
    """Parses a hardware address such as "02:00:5e:10:00:01".

    Parameters:
        field: the field that the error names.
        ethernet: whether it is that of an Ethernet link, which must be unicast and not zero.
    """
    try:
        mac = bytes.fromhex(text.replace(":", " "))
        is_mac = text.lower() == mac.hex(":") and 1 < len(mac) <= _MAC_SIZE
    except (AttributeError, TypeError, ValueError):
        is_mac = False
    if not is_mac:
        reason = 'must be a hardware address like "02:00:5e:10:00:01"'
        raise InvalidNetworkError(field, text, reason)
    if ethernet and (len(mac) != 6 or mac[0] & 1 or not any(mac)):
        raise InvalidNetworkError(field, text, "must be a unicast address of six bytes, not all 0")
    return mac


# ---- what is set in a link ----

_NAME, _MAC = lib.NETSTRAT_LINK_NAME, lib.NETSTRAT_LINK_MAC
_INDEX = lib.NETSTRAT_LINK_INDEX
_NETNS, _ALIAS = lib.NETSTRAT_LINK_NETNS, lib.NETSTRAT_LINK_ALIAS
# Of each setting that is an integer its bit, its smallest and its largest value.
_INTEGERS = {
    "index": (_INDEX, 1, INT_MAX),
    "mtu": (lib.NETSTRAT_LINK_MTU, 0, INT_MAX),
    "txqueuelen": (lib.NETSTRAT_LINK_TXQUEUELEN, 0, UINT_MAX),
    "master": (lib.NETSTRAT_LINK_MASTER, 0, INT_MAX),
    "group": (lib.NETSTRAT_LINK_GROUP, 0, UINT_MAX),
    # rtnl_create_link, Linux net/core/rtnetlink.c
    "queues": (lib.NETSTRAT_LINK_QUEUES, 1, 4096),
}
_UP, _HAIRPIN = lib.NETSTRAT_LINK_UP, lib.NETSTRAT_LINK_HAIRPIN
_ISOLATED, _LEARNING = lib.NETSTRAT_LINK_ISOLATED, lib.NETSTRAT_LINK_LEARNING

_SETTINGS = ffi.typeof("struct netstrat_link_settings *")


def _put_integer(fields: dict[str, Any], field: str, number: int) -> int:
    """Sets a field, and returns the bit of the setting."""
    bit: int
    bit, least, most = _INTEGERS[field]
    if type(number) is not int or not least <= number <= most:  # inlined: most numbers pass
        check_integer(field, number, least, most)
    fields[field] = number
    return bit


def new_settings(
    *,
    name: object = None,
    index: int | None = None,
    up: bool | None = None,
    mtu: int | None = None,
    txqueuelen: int | None = None,
    mac: bytes | None = None,
    master: int | None = None,
    hairpin: bool | None = None,
    isolated: bool | None = None,
    learning: bool | None = None,
    alias: str | None = None,
    group: int | None = None,
    queues: int | None = None,
    moves: bool = False,
) -> Any:
    """Makes a struct netstrat_link_settings. None leaves a setting unchanged.

    Parameters:
        moves: whether the link goes to another namespace, which is filled in at encoding.

    Raises:
        InvalidNetworkError: no message can carry a value.
    """
    fields: dict[str, Any] = {}
    bits = 0
    if name is not None:
        fields["name"] = check_name(name)
        bits = _NAME
    if index is not None:
        bits |= _put_integer(fields, "index", index)
    if mtu is not None:
        bits |= _put_integer(fields, "mtu", mtu)
    if txqueuelen is not None:
        bits |= _put_integer(fields, "txqueuelen", txqueuelen)
    if master is not None:
        bits |= _put_integer(fields, "master", master)
    if group is not None:
        bits |= _put_integer(fields, "group", group)
    if queues is not None:
        bits |= _put_integer(fields, "queues", queues)
    if up is not None:
        check_bool("up", up)
        fields["up"] = up
        bits |= _UP
    if hairpin is not None:
        check_bool("hairpin", hairpin)
        fields["hairpin"] = hairpin
        bits |= _HAIRPIN
    if isolated is not None:
        check_bool("isolated", isolated)
        fields["isolated"] = isolated
        bits |= _ISOLATED
    if learning is not None:
        check_bool("learning", learning)
        fields["learning"] = learning
        bits |= _LEARNING
    if mac is not None:
        fields["mac"] = mac
        fields["mac_length"] = len(mac)
        bits |= _MAC
    if alias is not None:
        fields["alias"] = encode_text("alias", alias, lib.NETSTRAT_ALIAS_SIZE - 1)
        bits |= _ALIAS
    fields["set"] = bits | _NETNS if moves else bits
    return ffi.new(_SETTINGS, fields)


# The settings that both ends of a veth pair have.
_SHARED = lib.NETSTRAT_LINK_MTU | lib.NETSTRAT_LINK_TXQUEUELEN | lib.NETSTRAT_LINK_QUEUES


def new_peer_settings(
    own: Any, *, name: object, index: int | None, mac: bytes | None, moves: bool
) -> Any:
    """Makes the struct netstrat_link_settings of a veth's peer.

    Parameters:
        own: the settings of the other end, which has the same MTU, queue length and queues.
        name, index, mac, moves: as for `new_settings`.
    """
    peer = ffi.new(_SETTINGS, own[0])
    peer.name = check_name(name)
    bits = own.set & _SHARED | _NAME
    if index is not None:
        check_integer("peer_index", index, 1, INT_MAX)
        peer.index = index
        bits |= _INDEX
    if mac is not None:
        peer.mac = mac
        peer.mac_length = len(mac)
        bits |= _MAC
    peer.set = bits | _NETNS if moves else bits
    return peer


def new_vxlan(
    id: int, remote: str | None, local: str | None, port: int, learning: bool, ttl: int | None
) -> Any:
    """Makes a struct netstrat_vxlan.

    Raises:
        InvalidNetworkError: no message can carry a value.
    """
    check_integer("id", id, 0, (1 << 24) - 1)
    check_integer("port", port, 1, 65535)
    check_bool("learning", learning)
    fields: dict[str, Any] = {"id": id, "port": port, "learning": learning}
    if ttl is not None:
        check_integer("ttl", ttl, 1, 255)
        fields["ttl"] = ttl
    for field, address in (("remote", remote), ("local", local)):
        if address is not None:
            fields[field] = parse_prefix(address, field, length=False)[0]
    families = {fields[end].family for end in ("remote", "local") if end in fields}
    if len(families) > 1:
        raise InvalidNetworkError("local", local, "must be of the family of `remote`")
    return ffi.new("struct netstrat_vxlan *", fields)


def new_target(link: object, *, by_index: bool = False) -> tuple[int, object]:
    """Returns the index and the name of the link that a message changes; one of them is null.

    Parameters:
        by_index: whether the message needs the index, so that a name must be looked up: it is
            checked, and both results are null.
    """
    if isinstance(link, int) and not isinstance(link, bool):
        if not 0 < link < 1 << 31:
            raise InvalidNetworkError("link", link, "must be an index from 1 to 2147483647")
        return link, ffi.NULL
    encoded = check_altname(link)
    return 0, ffi.NULL if by_index else encoded
