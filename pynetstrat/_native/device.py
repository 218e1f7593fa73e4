"""Devices that move between namespaces: what identifies one, and requests that only they need."""

from __future__ import annotations

from errno import EAGAIN, EBADMSG, ENODEV
from struct import pack

from .._core import ffi, lib
from ..errors import KernelError
from . import decode, encode_name, kernel_error
from .batch import NEWLINK, Message
from .rows import new
from .socket import Socket, link_fields, new_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# linux/rtnetlink.h, linux/if_link.h, linux/netlink.h
_GETLINK, _NEWLINKPROP, _DELLINKPROP = 18, 108, 109
_IFLA_XDP, _IFLA_PROP_LIST, _IFLA_ALT_IFNAME = 43, 52, 53
_IFLA_XDP_FD, _NESTED = 1, 0x8000
_REQUEST, _ACK, _EXCL, _CREATE = 1, 4, 0x200, 0x400

_MOST = 16 << 20  # bytes of a dump: more than 10,000 links


def _begin(batch: Any, type: int, flags: int, index: int, link_flags: int, change: int) -> None:
    """Begins a message with a struct ifinfomsg (linux/rtnetlink.h)."""
    lib.netstrat_batch_begin(batch, type, flags)
    lib.netstrat_batch_append(batch, pack("=BxHiII", 0, 0, index, link_flags, change), 16)


# ---- questions ----


def get_device(sock: Socket, link: object) -> tuple[Any, ...] | None:
    """The fields of `Link`, the flags, the parent's bus and name; None if the link is missing."""
    if isinstance(link, int):
        batch, _memory = new_request(lib.netstrat_batch_get_link_index, link)
    else:
        batch, _memory = new_request(lib.netstrat_batch_get_link, encode_name(link))
    answer = ffi.new("struct netstrat_message *")
    try:
        sock.query(batch, answer, "" if isinstance(link, int) else link)
    except KernelError as error:
        if error.errno == ENODEV:
            return None
        raise
    native = ffi.new("struct netstrat_link *")
    if lib.netstrat_link_decode(answer, native) < 0:
        raise kernel_error(EBADMSG, lib.NETSTRAT_OP_REQUEST, _GETLINK)
    return (
        link_fields(native),
        native.flags,
        _text(native.parent_bus),
        _text(native.parent_device),
    )


def _text(rest: Any) -> str:
    """A text within a message, which ends with a NUL."""
    if rest.at >= rest.end:
        return ""
    raw: bytes = ffi.buffer(rest.data + rest.at, rest.end - rest.at)[:]
    return raw.rstrip(b"\0").decode("utf-8", "surrogateescape")


def find_devices(sock: Socket, wanted: Callable[..., bool]) -> list[int]:
    """The indexes of the links for which `wanted` is true.

    The dump takes a bounded amount of memory, since the links may be a hostile container's: those
    beyond it are not looked at, and none where links change during every attempt.

    Parameters:
        wanted: is given the kind, IFLA_LINK, IFLA_LINK_NETNSID (-1: none), and the parent's bus
            and name.
    """
    batch, _memory = new_request(lib.netstrat_batch_dump_links, 0)
    copy = new("unsigned char[]", _MOST)
    used = ffi.new("size_t *")
    try:
        sock.dump_copy(batch, copy, _MOST, used)
    except KernelError as error:
        if error.errno == EAGAIN:
            return []
        raise
    rest = ffi.new("struct netstrat_cursor *", (copy, 0, min(used[0], _MOST), 0))
    message = ffi.new("struct netstrat_message *")
    link = ffi.new("struct netstrat_link *")
    found = []
    while lib.netstrat_message_next(rest, message) > 0:
        if lib.netstrat_link_decode(message, link) == 0 and wanted(
            decode(link.kind),
            link.peer,
            link.peer_nsid,
            _text(link.parent_bus),
            _text(link.parent_device),
        ):
            found.append(link.index)
    return found


# ---- changes ----


def _put_altname(batch: Any, type: int, flags: int, index: int, name: bytes) -> int:
    _begin(batch, type, _REQUEST | _ACK | flags, index, 0, 0)
    nest = lib.netstrat_batch_nest(batch, _IFLA_PROP_LIST | _NESTED)
    lib.netstrat_batch_put_string(batch, _IFLA_ALT_IFNAME, name)
    lib.netstrat_batch_nest_end(batch, nest)
    return lib.netstrat_batch_finish(batch)  # type: ignore[no-any-return]


def _altname(type: int, flags: int, index: int, name: str) -> Message:
    encoded = ffi.new("char[]", name.encode("utf-8", "surrogateescape"))
    return Message(type, _put_altname, type, flags, index, encoded, name=name)


def add_altname(index: int, name: str) -> Message:
    """Gives a link an alternative name (RTM_NEWLINKPROP, Linux 5.5)."""
    return _altname(_NEWLINKPROP, _CREATE | _EXCL, index, name)


def delete_altname(index: int, name: str) -> Message:
    """Takes an alternative name from a link."""
    return _altname(_DELLINKPROP, 0, index, name)


def _put_flags(batch: Any, index: int, flags: int, change: int) -> int:
    _begin(batch, NEWLINK, _REQUEST | _ACK, index, flags, change)
    return lib.netstrat_batch_finish(batch)  # type: ignore[no-any-return]


def set_flags(index: int, flags: int, change: int) -> Message:
    """Sets the flags of the mask `change` (linux/if.h) to those in `flags`."""
    return Message(NEWLINK, _put_flags, index, flags, change, name=f"index {index}")


def _put_no_xdp(batch: Any, index: int) -> int:
    _begin(batch, NEWLINK, _REQUEST | _ACK, index, 0, 0)
    nest = lib.netstrat_batch_nest(batch, _IFLA_XDP | _NESTED)
    lib.netstrat_batch_put_u32(batch, _IFLA_XDP_FD, 0xFFFFFFFF)  # -1
    lib.netstrat_batch_nest_end(batch, nest)
    return lib.netstrat_batch_finish(batch)  # type: ignore[no-any-return]


def detach_xdp(index: int) -> Message:
    """Takes an XDP program off a link; a link without one is left alone."""
    return Message(NEWLINK, _put_no_xdp, index, name=f"index {index}")
