"""Deletes many links at once: moves them into an unused group, and deletes the group."""

from __future__ import annotations

import os
from errno import EAGAIN, EOPNOTSUPP

from .._native.batch import Encoded
from ..errors import BatchError, InterfaceNotFoundError, KernelError
from .batch import Batch, execute
from .links import Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from .._native.socket import Socket


def delete_links(sock: Socket, names: list[str], missing_ok: bool) -> None:
    """Deletes all of these links or none; see `RtnetlinkSocket.delete_links`."""
    links = _dump(sock)
    chosen = _choose(sock, links, names, missing_ok)
    if not chosen:
        return
    group = unused_group({link.group for link in links})
    try:
        _set_group(sock, chosen, group, missing_ok)
        members = [link for link in _dump(sock) if link.group == group]
        for link in members:
            if link.index not in chosen or chosen[link.index].name != link.name:
                hint = "another process put this link into the group to be deleted: try again"
                raise KernelError(EAGAIN, "RTM_DELLINK", link.name, hint=hint)
        if members:
            _delete_group(sock, group, members)
    except BaseException:
        _restore_groups(sock, chosen)
        raise


def _dump(sock: Socket) -> list[Link]:
    return [Link(*fields) for fields in sock.dump_links()]


def _choose(sock: Socket, links: list[Link], names: list[str], missing_ok: bool) -> dict[int, Link]:
    """Returns the links of these names, by index."""
    known = {name: link for link in links for name in (link.name, *link.altnames)}
    chosen = {}
    for name in names:
        if name in known:
            chosen[known[name].index] = known[name]
        elif not missing_ok:
            sock.is_up(name)  # raises for a name that is missing or invalid
            hint = "the link appeared during this call: try again"
            raise KernelError(EAGAIN, "RTM_DELLINK", name, hint=hint)
    return chosen


def unused_group(used: Collection[int] = ()) -> int:
    """Returns a random group other than 0, which no other caller of this function uses.

    Parameters:
        used: the groups that links are in, if known.
    """
    while True:
        group = int.from_bytes(os.urandom(4), "little") >> 1
        if group and group not in used:
            return group


def _set_group(sock: Socket, chosen: dict[int, Link], group: int, missing_ok: bool) -> None:
    batch = Batch()
    for index in chosen:
        batch.set_group(index, group)
    try:
        execute(sock, Encoded(batch.messages))
    except BatchError as error:
        failures = [result for result in error.results if result is not None]
        if not missing_ok or not all(isinstance(one, InterfaceNotFoundError) for one in failures):
            error.interface = list(chosen.values())[error.item].name
            raise


def _delete_group(sock: Socket, group: int, members: list[Link]) -> None:
    try:
        execute(sock, Encoded(Batch().delete_group(group).messages))
    except BatchError as error:
        lasting = [link.name for link in members if not link.kind]
        if error.errno == EOPNOTSUPP and lasting:
            error.interface = lasting[0]
            reason = "lo and physical devices can't be deleted, so no link was deleted"
            error.hint = f"{reason}: leave out {', '.join(lasting)}"
        raise


def _restore_groups(sock: Socket, chosen: dict[int, Link]) -> None:
    """Puts the links back into their groups. Failures are ignored: a link may have been deleted."""
    batch = Batch()
    for link in chosen.values():
        batch.set_group(link.index, link.group)
    sock.execute(Encoded(batch.messages))
