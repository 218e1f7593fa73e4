"""Waits for what the kernel's workers do after a change: until then, packets are lost."""

from __future__ import annotations

from errno import EAGAIN
from time import monotonic

from .._native.prefixes import normal_prefix
from .._native.queries import wait_for_local_routes
from .._partial import partial
from ..errors import InterfaceNotFoundError, KernelError
from ._requested import host_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._socket import SessionSocket

_LONGEST = 1.0  # seconds; a worker takes some microseconds, and milliseconds on a busy machine


def process_carriers(sock: SessionSocket, host_end: str, bridge: str) -> None:
    """Has the kernel process the carriers of a host end and its bridge, as a query of a link does.

    The kernel sends over a link, and the link's bridge forwards to it, only when a worker has
    processed the change (net/core/link_watch.c). Linux before 6.9 leaves it to the worker.

    Parameters:
        host_end: the name of the host end.
        bridge: the name of its bridge, which has a carrier with its first port; "": none.
    """
    sock.find_link(host_end)
    if bridge:
        sock.find_link(bridge)


def wait_until_receiving(
    sock: SessionSocket, name: str, addresses: Iterable[str], until: float
) -> None:
    """Waits until a link receives what is sent to its IPv6 addresses, for a second at most.

    The kernel adds the local route of an IPv6 address in a worker, once the link has a carrier
    (addrconf_dad_work in net/ipv6/addrconf.c). A link without a carrier is not waited for.

    Parameters:
        addresses: the link's; those of IPv4 need no wait.
        until: the deadline of the call, a time of time.monotonic().
    """
    wanted = {normal_prefix(host_prefix(address)) for address in addresses if ":" in address}
    if not wanted:
        return
    until = min(until, monotonic() + _LONGEST)
    try:
        link = sock.get_link(name)  # which also processes the carrier
        if link.running:
            wait_for_local_routes(partial(sock.dump_local_routes, link.index), wanted, until)
    except InterfaceNotFoundError:
        return  # root of the container has renamed the link, which is no reason to undo everything
    except KernelError as error:
        if error.errno != EAGAIN:  # root of the container changes routes during every dump
            raise
