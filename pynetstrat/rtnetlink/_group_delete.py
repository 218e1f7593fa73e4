"""Many links deleted at once: put into a group of their own, which is then deleted."""

from __future__ import annotations

import os
from errno import EAGAIN, EOPNOTSUPP

from .._native.batch import Encoded
from ..errors import InterfaceNotFoundError, KernelError
from .batch import Batch, BatchError, execute
from .links import Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._native.socket import Socket


def delete_links(sock: Socket, wanted: list[str], missing_ok: bool) -> None:
    """As `RtnetlinkSocket.delete_links`."""
    links = _dump(sock)
    chosen = _choose(sock, links, wanted, missing_ok)
    if not chosen:
        return
    group = _free_group({link.group for link in links})
    try:
        _enter(sock, chosen, group, missing_ok)
        members = [link for link in _dump(sock) if link.group == group]
        for link in members:
            if link.index not in chosen or chosen[link.index].name != link.name:
                hint = "this link has come into the group that was to be deleted: try again"
                raise KernelError(EAGAIN, "RTM_DELLINK", link.name, hint=hint)
        if members:
            _delete(sock, group, members)
    except BaseException:
        _restore(sock, chosen)
        raise


def _dump(sock: Socket) -> list[Link]:
    return [Link(*fields) for fields in sock.dump_links()]


def _choose(
    sock: Socket, links: list[Link], wanted: list[str], missing_ok: bool
) -> dict[int, Link]:
    """The links of these names, by index."""
    known = {name: link for link in links for name in (link.name, *link.altnames)}
    chosen = {}
    for name in wanted:
        if name in known:
            chosen[known[name].index] = known[name]
        elif not missing_ok:
            sock.is_up(name)  # raises what is to be said of a name that there is not, or can't be
            hint = "it has appeared only now: try again"
            raise KernelError(EAGAIN, "RTM_DELLINK", name, hint=hint)
    return chosen


def _free_group(taken: set[int]) -> int:
    """A number that no other link's group has, nor one of another caller's who does the same."""
    while True:
        group = int.from_bytes(os.urandom(4), "little") >> 1
        if group not in taken:
            return group


def _enter(sock: Socket, chosen: dict[int, Link], group: int, missing_ok: bool) -> None:
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


def _delete(sock: Socket, group: int, members: list[Link]) -> None:
    try:
        execute(sock, Encoded(Batch().delete_group(group).messages))
    except BatchError as error:
        lasting = [link.name for link in members if not link.kind]
        if error.errno == EOPNOTSUPP and lasting:
            error.interface = lasting[0]
            what = "lo and physical devices can't be deleted, and so nothing has been"
            error.hint = f"{what}: leave out {', '.join(lasting)}"
        raise


def _restore(sock: Socket, chosen: dict[int, Link]) -> None:
    """The groups that the links were in; those that are gone by now need none."""
    batch = Batch()
    for link in chosen.values():
        batch.set_group(link.index, link.group)
    sock.execute(Encoded(batch.messages))
