"""Devices that move between namespaces: what identifies one, and the requests only they need."""

from __future__ import annotations

from .._core import ffi, lib
from .batch import NEWLINK, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_REQUEST = lib.NLM_F_REQUEST | lib.NLM_F_ACK

IFF_UP: int = lib.NETSTRAT_IFF_UP
#: The other flags that a message can set (__dev_change_flags, net/core/dev.c).
SETTABLE: int = (
    lib.IFF_DEBUG | lib.IFF_NOTRAILERS | lib.IFF_NOARP | lib.IFF_PROMISC | lib.IFF_ALLMULTI
) | (lib.IFF_MULTICAST | lib.IFF_PORTSEL | lib.IFF_AUTOMEDIA | lib.IFF_DYNAMIC)


def _begin(
    batch: Any, type: int, index: int, *, more: int = 0, flags: int = 0, change: int = 0
) -> None:
    """Begins a message about a link.

    Parameters:
        more: flags of the message, in addition to those of every request.
        flags, change: flags of the link, and the mask of those to change.
    """
    info = ffi.new("struct ifinfomsg *", {"ifi_index": index, "ifi_flags": flags})
    info.ifi_change = change
    lib.netstrat_batch_begin(batch, type, _REQUEST | more)
    lib.netstrat_batch_append(batch, info, ffi.sizeof(info[0]))


def _put_flags(batch: Any, index: int, flags: int, change: int) -> int:
    _begin(batch, NEWLINK, index, flags=flags, change=change)
    return lib.netstrat_batch_finish(batch)  # type: ignore[no-any-return]


def set_flags(index: int, flags: int, change: int) -> Message:
    """Makes a message that sets the flags in the mask `change` (linux/if.h) to those in `flags`."""
    return Message(NEWLINK, _put_flags, index, flags, change, link=index)


def _put_no_xdp(batch: Any, index: int) -> int:
    _begin(batch, NEWLINK, index)
    nest = lib.netstrat_batch_nest(batch, lib.NETSTRAT_IFLA_XDP)
    lib.netstrat_batch_put_u32(batch, lib.NETSTRAT_IFLA_XDP_FD, 0xFFFFFFFF)  # -1
    lib.netstrat_batch_nest_end(batch, nest)
    return lib.netstrat_batch_finish(batch)  # type: ignore[no-any-return]


def detach_xdp(index: int) -> Message:
    """Makes a message that detaches an XDP program from a link, if it has one."""
    return Message(NEWLINK, _put_no_xdp, index, link=index)
