"""`host-device`: a device of the host's becomes the container's, and comes home again.

A device has no room for a mark of ours: its alias and names are its owner's. Its index is free,
though: the one that it gets in the container is made of whose the network is, the name at home, the
kind and the permanent MAC address, and its last bit says whether the device was up at home. So
`destroy` finds it in another process, too, and whatever the container has renamed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from errno import EBUSY, EEXIST, ENODEV, EOPNOTSUPP, EPERM
from functools import partial

from .._native.addresses import normal_prefix
from ..batch import Batch, BatchError
from ..errors import KernelError, NetstratError, TeardownError
from ..links import IFA_F_NODAD, Address, Link
from ..network import Network, check_link_name, check_options, check_values, invalid
from ..undo import add_note
from ..wiring import (
    Session,
    check_container_link,
    execute_for,
    find_bridge,
    open_session,
    open_session_if_alive,
    refuse_own,
    stable_hash,
    transaction,
    wanted_addresses,
    wanted_routes,
)
from . import BuiltIn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._native.addresses import RouteCopy
    from ..arguments import Netns
    from ..netns import NetworkNamespace
    from ..rtnetlink import RtnetlinkSocket

_FIRST_INDEX = 1 << 29  # far above what the kernel gives, which counts up from 1
_ATTEMPTS = 16  # at an index that is free


class HostDevice(BuiltIn):
    """A device of the host's, moved into the container's namespace.

    How it reads a `Network`: `host_interface_name`, required, is the device, `name` its name in the
    container; empty: its own; `eth%d`: a number of the kernel's choice. Its permanent addresses of
    global scope go with it; `address`, `ipv6_address` and `routes` come on top of them. `mtu`,
    `mac_address` and `txqueuelen` stay changed when it comes home, as a port of `bridge` if one is
    named.

    What the kernel forgets at a move is not carried over, nor put back where a move is undone:
    queueing disciplines, filters, neighbours, the settings under /proc/sys/net (which begin anew
    from the namespace's defaults) and those of a bridge's port but for its hairpin mode.

    It needs Linux 5.12, which lets a device's index be chosen.
    """

    def validate(self, network: Network) -> None:
        """Raises InvalidNetworkError for a value that can't be."""
        check_values(network)
        check_options(network)
        check_link_name(network, "host_interface_name")
        if network.host_interface_name == "lo":
            raise invalid(network, "host_interface_name", "each namespace has its own lo")
        if network.name:
            check_link_name(network, "name", pattern=True)
        if network.bridge:
            check_link_name(network, "bridge")
        elif network.hairpin_mode:
            raise invalid(network, "hairpin_mode", "it is a bridge's, and there is none")

    def create(
        self, network: Network, nspid: int | None = None, *, netns: Netns | None = None
    ) -> Network:
        """Moves the device and sets it up: addresses, up, routes. `initialize` has nothing left.

        Returns:
            The network, with the device's name in the container filled in.

        Raises:
            InvalidNetworkError: a value that can't be; nothing has been changed.
            InterfaceNotFoundError: there is no such device.
            KernelError: a name is taken (EEXIST), or the kernel refuses; everything is as it was.
        """
        self.validate(network)
        with (
            open_session(nspid, netns, "host-device") as session,
            transaction(session),
            transaction(session),
        ):
            return self._create(session, network)

    def _create(self, session: Session, network: Network) -> Network:
        refuse_own(session, network.name or network.host_interface_name)
        found = _look(session, network)
        # All three opened before: undoing must not fail for want of a descriptor.
        back = partial(_put_back, found, session.host, session.host_namespace, session.container)
        session.undo_stack.push(back)
        made = _move(session, network, found)
        _set_up(session.container, made, found)
        return made

    def destroy(self, network: Network, *, netns: Netns | None = None) -> None:
        """Brings the device home, up if it was, without addresses; twice does no harm.

        Where the namespace has ended there is nothing left to do: the kernel has moved a physical
        device to the initial namespace, and deleted any other.

        Raises:
            KernelError: its name is taken at home (EEXIST), or the kernel refuses: the device is in
                the container still, as it was.
            InvalidNetworkError: `bridge` is missing, or is not a bridge; the same.
        """
        self.validate(network)
        with open_session_if_alive(netns) as session, transaction(session), transaction(session):
            self._destroy(session, network)

    def _destroy(self, session: Session, network: Network) -> None:
        moved = _find_moved(session, network) if session.namespace is not None else None
        if moved is not None:
            _bring_home(session, network, moved)

    def check(self, network: Network, *, netns: Netns | None = None) -> list[str]:
        """What differs from what was asked for, one sentence each."""
        self.validate(network)
        with open_session(None, netns, "host-device") as session:
            return self._check(session, network)

    def _check(self, session: Session, network: Network) -> list[str]:
        moved = _find_moved(session, network)
        if moved is None:
            return [f"{network.host_interface_name}: not in the container"]
        wanted = network.name or network.host_interface_name
        differences = check_container_link(session.container, network, moved)
        if "%d" not in wanted and moved.name != wanted:
            differences.insert(0, f"{moved.name}: the name should be {wanted}")
        return differences


# ---- what there was before ----


@dataclass(slots=True)
class _Found:
    """A device as it was before a move, and the index that it gets by it.

    Attributes:
        link, addresses: the device, all of its addresses.
        routes: those of its namespace that end with them, or could.
        new_name, new_index: its name and its index where it goes.
    """

    link: Link
    addresses: list[Address]
    routes: list[RouteCopy]
    new_name: str
    new_index: int


def _read(sock: RtnetlinkSocket, link: Link, new_name: str, new_index: int) -> _Found:
    addresses = sock.dump_addresses(link.name)
    own = {address.address.partition("/")[0] for address in addresses}
    routes = sock.copy_routes(link.index, own)
    return _Found(link, addresses, routes, new_name, new_index)


def _look(session: Session, network: Network) -> _Found:
    """Everything that has to be known, and every reason not to begin that can be known."""
    link = _find_device(session.host, network)
    if network.bridge:
        find_bridge(session.host, network)
    there = session.container.dump_links()
    wanted = network.name or link.name
    if wanted in link.altnames:
        hint = f'the name "{wanted}" is an alternative name of the device itself: choose another'
        raise KernelError(EEXIST, "look", link.name, hint=hint)
    _refuse_taken(link, wanted, there, f"{session!r}; choose another, or rename the link there")
    return _read(session.host, link, wanted, _choose_index(session, network, link, there))


def _find_device(host: RtnetlinkSocket, network: Network) -> Link:
    link = host.get_link(network.host_interface_name)
    if link.name != network.host_interface_name:
        reason = f"this is an alternative name: name the device {link.name}"
        raise invalid(network, "host_interface_name", reason)
    if link.index == 1:  # whatever its name
        raise invalid(network, "host_interface_name", "the loopback device can't be moved")
    if link.kind == "bridge":
        reason = "a bridge can't be moved: move one of its ports, or use the strategy veth"
        raise invalid(network, "host_interface_name", reason)
    return link


def _refuse_taken(link: Link, wanted: str, there: dict[str, Link], where: str) -> None:
    """Raises EEXIST where a name that the device would bring along is taken in `there`."""
    taken = {name for other in there.values() for name in (other.name, *other.altnames)}
    for name in (wanted, *link.altnames):
        if name in taken:
            what = "alternative name" if name in link.altnames else "name"
            hint = f'the {what} "{name}" is taken in {where}'
            raise KernelError(EEXIST, "look", link.name, hint=hint)


# ---- the index ----


def _indexes(session: Session, network: Network, link: Link) -> Iterator[int]:
    """The indexes that the device may have in the container; each stands for the odd one, too."""
    whose = network.owner or str(
        session.container_namespace.cookie or session.container_namespace.id
    )
    for attempt in range(_ATTEMPTS):
        parts = (whose, network.host_interface_name, link.kind, link.permanent_mac, str(attempt))
        digest = stable_hash("\0".join(parts).encode("utf-8", "surrogateescape"))
        yield _FIRST_INDEX | digest >> 36 << 1


def _choose_index(session: Session, network: Network, link: Link, there: dict[str, Link]) -> int:
    taken = {other.index & ~1 for other in there.values()}
    for index in _indexes(session, network, link):
        if index not in taken:
            return index | link.up
    hint = f"each index that it could have is taken in {session!r}: delete the links from index "
    raise KernelError(EBUSY, "look", link.name, hint=hint + f"{_FIRST_INDEX} on")


def _find_moved(session: Session, network: Network) -> Link | None:
    """The device in the container, by its index: its name there may be another's by now.

    A link that was made there is never it: it has another index and, if somebody chose the right
    one, is tied to a link of the container's (a veth's other end, a macvlan's parent).
    """
    found = [
        link
        for link in session.container.dump_links().values()
        if link.index >= _FIRST_INDEX and link.index & ~1 in _indexes(session, network, link)
    ]
    if not found:
        return None
    link = found[0]
    if found[1:] or not _is_hosts(session, link):
        names = ", ".join(f'"{other.name}"' for other in found)
        hint = f"{names} in {session!r} may have been made there: move the right one by hand"
        raise KernelError(EPERM, "look", network.host_interface_name, hint=hint)
    return link


def _is_hosts(session: Session, link: Link) -> bool:
    """Whether what it is tied to (a veth's other end) is the host's, or has come from there."""
    if link.link_index is None:
        return True
    if link.link_nsid is None:
        return link.link_index >= _FIRST_INDEX
    return link.link_nsid == session.container.get_nsid(session.host_namespace)


# ---- there ----


def _move(session: Session, network: Network, found: _Found) -> Network:
    """One message; the kernel keeps what it did of it, where it stops."""
    link = found.link
    batch = Batch().set_link(
        link.index,
        netns=session.container_namespace,
        new_name=network.name if network.name not in ("", link.name) else None,
        new_index=found.new_index,
        mtu=network.mtu or None,
        txqueuelen=network.txqueuelen or None,
        mac=network.mac_address or None,
    )
    execute_for(session.host, batch, link.name)
    moved = _find_index(session.container, found.new_index)
    if moved is None:
        hint = "it has not got the index that was asked for: host-device needs Linux 5.12"
        raise KernelError(EOPNOTSUPP, "RTM_NEWLINK", link.name, hint=hint)
    return replace(network, name=moved.name)


def _find_index(sock: RtnetlinkSocket, index: int) -> Link | None:
    return next((link for link in sock.dump_links().values() if link.index == index), None)


def _set_up(container: RtnetlinkSocket, network: Network, found: _Found) -> None:
    """Addresses, up, routes: in one send."""
    index = found.new_index
    wanted = wanted_addresses(network, index)
    asked_for = {_bare(address) for address in wanted}
    carried = [
        replace(address, label=_new_label(address.label, found.link.name, network.name))
        for address in found.addresses
        if address.permanent and address.scope == 0 and _bare(address) not in asked_for
    ]
    batch = Batch()
    _add_addresses(batch, index, _in_order(carried) + wanted, up=True)
    for route in wanted_routes(network, index):
        batch.add_route(route)
    execute_for(container, batch, network.name)


def _bare(address: Address) -> str:
    return normal_prefix(address.address).partition("/")[0]


def _new_label(label: str, old: str, new: str) -> str:
    """A label is the link's name, or begins with it and ":"; one of another shape stays."""
    if label != old and not label.startswith(old + ":"):
        return label
    renamed = new + label[len(old) :]
    return renamed if len(renamed.encode("utf-8", "surrogateescape")) < 16 else new


def _in_order(addresses: list[Address]) -> list[Address]:
    """The order in which they have to be added, so that they are listed as they were.

    The kernel puts an IPv6 address before those of its scope, an IPv4 one behind.
    """
    return [a for a in addresses if ":" not in a.address] + [
        a for a in reversed(addresses) if ":" in a.address
    ]


def _add_addresses(batch: Batch, index: int, addresses: list[Address], *, up: bool) -> None:
    """Addresses, and up if it is to be.

    IPv4 first, to be announced when the link goes up, and what is link-local, or the kernel would
    make its own. Other IPv6 behind: the route to a peer comes only with a link that is up.
    """
    behind = [a for a in addresses if ":" in a.address and a.scope == 0]
    for address in addresses:
        if address not in behind:
            _add_address(batch, index, address)
    if up:
        batch.set_link(index, up=True)
    for address in behind:
        _add_address(batch, index, address)


def _add_address(batch: Batch, index: int, address: Address) -> None:
    """An address as it was: IPv6 in use needs no duplicate address detection for a second time."""
    again = ":" in address.address and not (address.tentative or address.dadfailed)
    if not again or address.flags & IFA_F_NODAD:
        batch.add_address(index, address)
        return
    batch.add_address(index, replace(address, flags=address.flags | IFA_F_NODAD))
    batch.add_address(index, address, replace=True)  # takes the flag away again


# ---- and back ----


def _bring_home(session: Session, network: Network, moved: Link) -> None:
    name = network.host_interface_name
    bridge = find_bridge(session.host, network) if network.bridge else None
    while True:
        at_home = session.host.dump_links()
        remedy = f'rename that link, then destroy again; it is "{moved.name}" in {session!r} still'
        _refuse_taken(replace(moved, name=name), name, at_home, f"this namespace: {remedy}")
        found = _read(session.container, moved, name, _lowest_free(at_home))
        back = partial(
            _put_back, found, session.container, session.container_namespace, session.host
        )
        session.undo_stack.push(back)
        batch = Batch().set_link(
            moved.index,
            netns=session.host_namespace,
            new_name=name if name != moved.name else None,
            new_index=found.new_index,
            master=bridge.index if bridge is not None else None,
            up=bool(moved.index & 1) or None,
        )
        try:
            execute_for(session.container, batch, name)
            break
        except BatchError as error:
            # Another device may have come home to that index meanwhile.
            if error.errno != EBUSY or _find_index(session.container, moved.index) is None:
                raise
            if _find_index(session.host, found.new_index) is None:
                raise
            session.undo_stack.pop()
    if network.hairpin_mode:
        execute_for(session.host, Batch().set_link(found.new_index, hairpin=True), name)


def _lowest_free(links: dict[str, Link]) -> int:
    """An index at home: mostly the one that it had, and none that the kernel is about to give."""
    taken = {link.index for link in links.values()}
    return next(index for index in range(2, len(taken) + 3) if index not in taken)


def _put_back(
    found: _Found, here: RtnetlinkSocket, home: NetworkNamespace, there: RtnetlinkSocket
) -> None:
    """Undoes a move that failed, wherever it did.

    Parameters:
        here, home: the namespace that the device belongs to: a socket in it, and a handle of it.
        there: a socket in the other one.
    """
    old = found.link
    if _find_index(here, old.index) is not None:
        return  # it was never away
    away = _find_away(found, there)
    if away is None:
        hint = "it is neither where it was nor where it was to go"
        raise KernelError(ENODEV, "look", old.name, hint=hint)
    failures: list[NetstratError] = []
    batch = Batch().set_link(
        away.index,
        netns=home,
        new_name=old.name if away.name != old.name else None,
        new_index=old.index,
        mtu=old.mtu if away.mtu != old.mtu else None,
        txqueuelen=old.txqueuelen if away.txqueuelen != old.txqueuelen else None,
        mac=old.mac if away.mac != old.mac else None,
        master=old.master,
    )
    _try(failures, there, batch, old.name)
    if failures and _find_index(here, old.index) is None:
        add_note(failures[0], f'it is left as "{away.name}" in the namespace that it was moved to')
    else:
        _restore(found, here, failures)
    if failures:
        raise TeardownError(failures)


def _find_away(found: _Found, there: RtnetlinkSocket) -> Link | None:
    links = there.dump_links()
    for link in links.values():
        if link.index == found.new_index:
            return link
    # Before Linux 5.12. It is not at home any more, so one of these is it.
    for name in (found.new_name, found.link.name):
        link = links.get(name)  # type: ignore[assignment]
        if link is not None and link.kind == found.link.kind:
            return link
    return None


def _restore(found: _Found, here: RtnetlinkSocket, failures: list[NetstratError]) -> None:
    """Addresses, up, the port's mode and routes."""
    old = found.link
    batch = Batch()
    _add_addresses(batch, old.index, _in_order(found.addresses), up=old.up)
    if old.hairpin:
        batch.set_link(old.index, hairpin=True)
    _try(failures, here, batch, old.name)
    try:
        own = {address.address.partition("/")[0] for address in found.addresses}
        there = here.copy_routes(old.index, own)
    except KernelError:
        there = []  # EEXIST then says which are there
    for route in sorted(found.routes, key=lambda route: not route.direct):
        if route not in there:
            _add_route(failures, here, route, old.name)


def _add_route(
    failures: list[NetstratError], sock: RtnetlinkSocket, route: RouteCopy, name: str
) -> None:
    try:
        sock.execute(Batch().add_copy(route))
    except KernelError as error:
        # A worker of the kernel's may add one that comes with an IPv6 address a moment later.
        if error.errno != EEXIST:
            error.interface = name
            add_note(error, f"the route to {route.destination} is missing")
            failures.append(error)


def _try(failures: list[NetstratError], sock: RtnetlinkSocket, batch: Batch, name: str) -> None:
    try:
        execute_for(sock, batch, name)
    except KernelError as error:
        failures.append(error)
