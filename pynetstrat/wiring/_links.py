"""Small operations on links and addresses that more than one strategy needs."""

from __future__ import annotations

from time import monotonic, sleep

from ..errors import BatchError, InterfaceNotFoundError, KernelError, TeardownError
from ..rtnetlink.batch import Batch
from .network import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .._native.batch import Message
    from ..rtnetlink.links import Address, Link
    from ..rtnetlink.socket import RtnetlinkSocket
    from ._socket import Bridge, SessionSocket
    from .network import Network


# Seconds that another process may take between making a link and its tag: some microseconds, unless
# it has to wait for a processor or for the kernel's RTNL lock.
_TAGGING = 1.0


def find_link(sock: RtnetlinkSocket, name: str) -> Link | None:
    """Returns a link by its name, or None if it does not exist."""
    try:
        return sock.get_link(name)
    except InterfaceNotFoundError:
        return None


def find_bridge(host: SessionSocket, network: Network) -> Bridge:
    """Returns the bridge of a network.

    Raises:
        InvalidNetworkError: the link does not exist, or is not a bridge.
    """
    try:
        link = host.get_bridge(network.bridge)
    except InterfaceNotFoundError:
        reason = "must be an existing bridge: create it, or choose another"
        raise invalid(network, "bridge", reason) from None
    if link.kind != "bridge":
        kind = f"a link of kind {link.kind}" if link.kind else "a device"
        raise invalid(network, "bridge", f"must be a bridge, not {kind}")
    return link


def append(batch: Batch, *messages: Message) -> Batch:
    """Appends messages for which `Batch` has no method, and returns the batch."""
    batch.messages += messages
    return batch


def execute_for(sock: RtnetlinkSocket, batch: Batch, name: str) -> None:
    """Executes a batch about one link.

    Parameters:
        name: the name of the link in errors; the batch may have only its index.
    """
    try:
        sock.execute(batch)
    except BatchError as error:
        error.interface = name
        raise


def wait_for_tag(sock: RtnetlinkSocket, link: Link, until: float) -> Link:
    """Waits up to a second for a link to get an alias tag, and returns the link as it is then.

    Another process that sets up the same network may be about to tag it. There is a pause between
    queries because each takes the kernel's RTNL lock, which the other process needs.

    Parameters:
        until: the deadline, a time of time.monotonic().
    """
    until = min(until, monotonic() + _TAGGING)
    while not link.alias and monotonic() < until:
        sleep(0.002)
        now = find_link(sock, link.name)
        if now is None or now.index != link.index:
            break
        link = now
    return link


def delete_by_index(sock: RtnetlinkSocket, index: int, name: str) -> None:
    """Deletes a link, if it still exists.

    Parameters:
        name: the name of the link in errors.
    """
    try:
        sock.execute(Batch().delete_link(index))
    except BatchError as error:
        if not isinstance(error.results[0], FileNotFoundError):
            error.interface = name
            raise


def delete_counted(sock: SessionSocket, index: int, name: str) -> list[int] | None:
    """Deletes a link, and returns its last counters in the host's perspective.

    A link that is down counts nothing, so the link is set down first. Returns None if the counters
    can't be read; the link is deleted all the same.

    Parameters:
        name: the name of the link in errors.
    """
    counters = None
    try:
        sock.execute(Batch().set_link(index, up=False))
        counters = sock.read_counters(index, name)
    except KernelError:
        pass
    delete_by_index(sock, index, name)
    return counters


def run_all(steps: Iterable[Callable[[], object]]) -> None:
    """Runs every step, also after one that failed.

    Raises:
        KernelError: one step failed.
        TeardownError: several steps failed; it has the error of each.
    """
    errors: list[Exception] = []
    for step in steps:
        try:
            step()
        except KernelError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise TeardownError(errors)


def restore_down(
    sock: RtnetlinkSocket, index: int, name: str, read_addresses: Callable[[], list[Address]]
) -> None:
    """Brings a link down and restores its addresses.

    Parameters:
        name: the name of the link in errors.
        read_addresses: returns the addresses that the link had.
    """
    before = in_order(read_addresses())
    execute_for(sock, Batch().set_link(index, up=False), name)
    batch = Batch()
    # Every address is deleted and added again: this also deletes the route to the subnet that `lo`
    # got when it went up. The last address goes first, because deleting a primary IPv4 address
    # deletes its secondary ones.
    for address in reversed(sock.dump_addresses(index)):
        batch.delete_address(index, address)
    for address in before:
        batch.add_address(index, address)
    execute_for(sock, batch, name)


def in_order(addresses: list[Address]) -> list[Address]:
    """Returns addresses in the order in which adding them restores the order of a dump.

    The kernel puts an IPv6 address before the others of its scope, and an IPv4 address after them.
    """
    ipv4 = [address for address in addresses if ":" not in address.address]
    return ipv4 + [address for address in reversed(addresses) if ":" in address.address]
