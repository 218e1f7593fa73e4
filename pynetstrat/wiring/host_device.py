"""`host-device`: a device of the host namespace becomes the container's, and comes back.

What the device was is recorded in `Network.device` and, before it moves, in a file
(device_record.py). It is brought back only if it is proven to be the same (device_identity.py,
device_return.py).
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from errno import EBUSY, EEXIST, ENODEV, EOPNOTSUPP, EPERM
from time import monotonic, sleep

from .._native.addresses import normal_prefix
from .._native.device import add_altname, delete_altname
from ..errors import InterfaceNotFoundError, InvalidNetworkError, KernelError, TeardownError, quote
from ..rtnetlink.batch import Batch, BatchError
from ..rtnetlink.links import IFA_F_NODAD, Address, Device
from ..strategy import BuiltIn
from ._device_identity import Found, Held, Place, find_device, is_random
from ._device_record import VERSION, Record, Store, open_store, parse_record, read_boot_id
from ._device_return import SETTABLE, bring_home, check_names, finish, random_index
from ._difference import check_container_link
from ._session import (
    Session,
    execute_for,
    find_bridge,
    in_order,
    open_session,
    open_session_if_alive,
    refuse_own,
    transaction,
    wanted_addresses,
    wanted_routes,
)
from ._undo import add_note
from .network import Network, check_link_name, check_options, check_values, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._native.addresses import RouteCopy
    from ..errors import NetstratError
    from ..rtnetlink.socket import RtnetlinkSocket
    from ..types import Netns

_TRUST = "trust_container"
_ENDING = 1.0  # seconds that the kernel may take to end a namespace


class HostDevice(BuiltIn):
    """A device of the host namespace, moved into the container's namespace.

    How it reads a `Network`: `host_interface_name`, required, is the device, and `name` its name in
    the container; empty: its own; `eth%d`: a number of the kernel's choice. Its permanent addresses
    of global scope go with it, and `address`, `ipv6_address` and `routes` are added to them.

    `create` records the device in `device`, and `destroy` needs that record. The device comes back
    with the MTU, MAC address, queue length, group, alias, alternative names, flags and master (or
    as a port of `bridge`, if one is named) that it had, without addresses.

    `destroy` brings back only what is proven to be the device: a physical one by its parent device
    (Linux 5.14), a veth by its peer in the host namespace. Any other kind (macvlan, ipvlan, VLAN,
    tap, ifb, VXLAN, dummy; a veth whose peer is elsewhere) ends with the container's namespace,
    since root of the container could put a link of its own in its place;
    `options={"trust_container": True}` brings back whatever fits the record.

    The kernel forgets queueing disciplines, filters, neighbours, the settings under /proc/sys/net
    and those of a bridge port other than its hairpin mode. Settings of ethtool(8) stay as the
    container left them.

    It needs Linux 5.12, which lets a device's index be chosen.
    """

    def validate(self, network: Network) -> None:
        """Raises InvalidNetworkError for an invalid value."""
        check_values(network)
        check_options(network, (_TRUST,))
        if not isinstance(network.options.get(_TRUST, False), bool):
            raise invalid(network, "options", f"{_TRUST} must be true or false")
        check_link_name(network, "host_interface_name")
        if network.host_interface_name == "lo":
            raise invalid(network, "host_interface_name", "each namespace has its own lo")
        if network.name:
            check_link_name(network, "name", pattern=True)
        if network.bridge:
            check_link_name(network, "bridge")
        elif network.hairpin_mode:
            raise invalid(network, "hairpin_mode", "requires a bridge")

    def create(
        self, network: Network, nspid: int | None = None, *, netns: Netns | None = None
    ) -> Network:
        """Moves the device and sets it up: addresses, up, routes. `initialize` does nothing.

        Returns:
            The network with the device's name in the container and its record filled in.

        Raises:
            InvalidNetworkError: a value is invalid; nothing was changed.
            InterfaceNotFoundError: the device does not exist.
            KernelError: a name is taken (EEXIST), /run/pynetstrat can't be used, or the kernel
                refuses; everything is as before.
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
        network = replace(network, device=None)  # of an earlier move
        with Store(session.host_namespace.id) as store, store:
            store.lock(session.until)
            loan = _look(session, network, store)
            session.undo_stack.push(loan.undo, f"the move of {quote(loan.record.name)}")
            made = loan.move(store)
        _set_up(session.container, made, loan)
        return made

    def destroy(self, network: Network, *, netns: Netns | None = None) -> None:
        """Brings the device back, up if it was, without addresses. It may be repeated.

        The record is that of `network.device` or, without one, of the file that `create` wrote. If
        the namespace has ended, a physical device is found in the host namespace, and any other
        has ended with it.

        Raises:
            InvalidNetworkError: the record is missing, malformed, of another version, boot or
                namespace; or `bridge` is missing or not a bridge. The device stays where it is.
            KernelError: a name of the device is taken in the host namespace (EEXIST); the device is
                not proven to be the same (EPERM) or is in another namespace (EBUSY), and stays
                there; or the kernel refuses.
        """
        self.validate(network)
        with open_session_if_alive(netns) as session:
            self._destroy(session, network)

    def _destroy(self, session: Session, network: Network) -> None:
        store = open_store(session.host_namespace.id)
        with store or nullcontext(), store or nullcontext():
            if store is not None:
                store.lock(session.until)
            _destroy(session, network, store)

    def check(self, network: Network, *, netns: Netns | None = None) -> list[str]:
        """Lists what differs from what was asked for, one sentence each."""
        self.validate(network)
        with open_session(None, netns, "host-device") as session:
            return self._check(session, network)

    def _check(self, session: Session, network: Network) -> list[str]:
        with open_store(session.host_namespace.id) or nullcontext() as store:
            record = _find_record(session, network, store)
        found = None if record is None else find_device(session, record, None)
        device = None
        if found is not None and found.place is Place.CONTAINER:
            device = session.container.get_device(found.index)
        if record is None or device is None:
            return [f"{network.host_interface_name}: not in the container"]
        wanted = network.name or network.host_interface_name
        differences = check_container_link(
            session, network, device.link, mac=record.mac, mtu=record.mtu
        )
        if "%d" not in wanted and device.link.name != wanted:
            differences.insert(0, f"{device.link.name}: the name should be {wanted}")
        return differences


def _host(session: Session) -> int:
    return session.host_namespace.cookie or 0


def _differ(cookie: int, other: int | None) -> bool:
    """Whether two cookies are of two namespaces. 0 and None: the kernel gave none."""
    return bool(cookie and other and cookie != other)


# ---- the loan of a device ----


@dataclass(slots=True)
class _Loan:
    """A device as it was before the move, and what is known of the move.

    Attributes:
        network: as it was asked for.
        held: proves its identity as long as this call lasts.
        addresses: all of its addresses.
        routes: the routes that end with them, or could.
        refused: the kernel refused the move because the device was not there any more.
        away: the undo step found the device outside the host namespace.
    """

    session: Session
    network: Network
    record: Record
    held: Held
    addresses: list[Address]
    routes: list[RouteCopy]
    refused: bool = False
    away: bool = False

    def move(self, store: Store) -> Network:
        """Moves the device, by one message. The kernel keeps what it did before a failure."""
        network, record = self.network, self.record
        store.write(network, record)
        wanted = network.name or record.name
        if wanted in record.altnames:  # the kernel would call it taken
            batch = Batch()
            batch.messages.append(delete_altname(record.index, wanted))
            execute_for(self.session.host, batch, record.name)
        batch = Batch().set_link(
            record.index,
            netns=self.session.container_namespace,
            new_name=wanted if wanted != record.name else None,
            new_index=record.container_index,
            mtu=network.mtu or None,
            txqueuelen=network.txqueuelen or None,
            mac=network.mac_address or None,
        )
        try:
            execute_for(self.session.host, batch, record.name)
        except BatchError as error:
            self.refused = error.errno == ENODEV
            raise
        moved = self.session.container.get_device(record.container_index)
        if moved is None:
            hint = "it did not get the requested index: host-device needs Linux 5.12"
            raise KernelError(EOPNOTSUPP, "RTM_NEWLINK", record.name, hint=hint)
        return replace(network, name=moved.link.name, device=record.to_dict())

    def undo(self) -> None:
        """Puts the device back exactly as it was. It may be repeated, or interrupted and resumed.

        Raises:
            KernelError, TeardownError: what could not be undone.
        """
        with Store(self.session.host_namespace.id) as store, store:
            store.lock(self.session.until)
            if not self.refused:
                self._undo()
            store.remove(self.network)
        self.held.close()

    def _undo(self) -> None:
        session, record = self.session, self.record
        found = find_device(session, record, self.held)
        if found.place is Place.HOST and not self.away:
            _give_altname(session, record)
            return
        self.away = True
        if found.place is Place.CONTAINER:
            if not found.proven:
                raise _unproven(session, record)
            found.index = bring_home(session, record, found, self.held)
        elif found.place is not Place.HOST:
            hint = "the device is neither in the host namespace nor in the container's"
            raise KernelError(ENODEV, "look", record.name, hint=hint)
        network = replace(self.network, bridge="", hairpin_mode=False)
        finish(session, record, found.index, network)
        self._restore(found.index)

    def _restore(self, index: int) -> None:
        """Adds the addresses and the routes again."""
        host, name = self.session.host, self.record.name
        failures: list[NetstratError] = []
        batch = Batch()
        _add_addresses(batch, index, in_order(self.addresses), up=self.record.up)
        try:
            execute_for(host, batch, name)
        except BatchError as error:
            # EEXIST: this step was interrupted, and has added some before.
            others = [e for e in error.results if isinstance(e, KernelError) and e.errno != EEXIST]
            failures += others
        try:
            present = host.copy_routes(index, _bare_texts(self.addresses))
        except KernelError:
            present = []  # EEXIST then says which are there
        for route in sorted(self.routes, key=lambda route: not route.direct):
            if route not in present:
                _add_route(failures, host, route, name)
        if failures:
            raise TeardownError(failures)


def _look(session: Session, network: Network, store: Store) -> _Loan:
    """Reads everything that the move needs, and refuses what can be known to fail."""
    with suppress(InvalidNetworkError):  # a file that is of no use is replaced
        killed = store.read(network)
        if killed is not None:
            _give_altname(session, killed)
    device = _find_device(session, network, store)
    link = device.link
    if network.bridge:
        find_bridge(session.host, network)
    wanted = network.name or link.name
    for name in dict.fromkeys((wanted, *link.altnames)):
        if "%d" not in name and session.container.get_device(name) is not None:
            what = "alternative name" if name in link.altnames else "name"
            hint = (
                f"the {what} {quote(name)} is taken in {session!r}; choose another, or rename the "
                "link there"
            )
            raise KernelError(EEXIST, "look", link.name, hint=hint)
    addresses = session.host.dump_addresses(link.name)
    # Only IPv4 routes end with the address that they prefer as source.
    routes = session.host.copy_routes(link.index, _bare_texts(addresses))
    record = _record(session, network, device)
    return _Loan(session, network, record, Held(device), addresses, routes)


def _bare_texts(addresses: list[Address]) -> set[str]:
    return {address.address.partition("/")[0] for address in addresses}


def _find_device(session: Session, network: Network, store: Store) -> Device:
    name = network.host_interface_name
    device = session.host.get_device(name)
    if device is None:
        hint = ""
        if store.read(network) is not None:
            hint = "an interrupted call has moved it: tear the network down first"
        raise InterfaceNotFoundError(ENODEV, "RTM_GETLINK", name, hint=hint)
    link = device.link
    if link.name != name:
        reason = f"this is an alternative name: name the device {link.name}"
        raise invalid(network, "host_interface_name", reason)
    if link.index == 1:  # whatever its name
        raise invalid(network, "host_interface_name", "the loopback device can't be moved")
    if link.kind == "bridge":
        reason = "a bridge can't be moved: move one of its ports, or use the strategy veth"
        raise invalid(network, "host_interface_name", reason)
    return device


def _record(session: Session, network: Network, device: Device) -> Record:
    link = device.link
    linked = link.link_index if link.link_nsid is None else None
    paired = link.kind == "veth"
    return Record(
        version=VERSION,
        boot_id=read_boot_id(),
        host=_host(session),
        container=session.container_namespace.cookie or 0,
        owner=network.owner,
        wanted=network.name,
        name=link.name,
        index=link.index,
        kind=link.kind,
        parent_bus=device.parent_bus,
        parent_device=device.parent_device,
        permanent_mac=link.permanent_mac,
        peer=(linked or 0) if paired else 0,
        parent=0 if paired else (linked or 0),
        container_index=random_index(),
        mtu=link.mtu,
        mac=link.mac,
        txqueuelen=link.txqueuelen,
        group=link.group,
        alias=link.alias,
        altnames=list(link.altnames),
        master=link.master or 0,
        hairpin=bool(link.hairpin),
        flags=device.flags & (SETTABLE | 1),
        up=link.up,
    )


# ---- in the container ----


def _set_up(container: RtnetlinkSocket, network: Network, loan: _Loan) -> None:
    """Addresses, up, routes: in one send."""
    index, name = loan.record.container_index, loan.record.name
    wanted = wanted_addresses(network, index)
    asked_for = {_bare(address) for address in wanted}
    carried = [
        replace(address, label=_new_label(address.label, name, network.name))
        for address in loan.addresses
        if address.permanent and address.scope == 0 and _bare(address) not in asked_for
    ]
    batch = Batch()
    _add_addresses(batch, index, in_order(carried) + wanted, up=True)
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


# ---- and back ----


def _give_altname(session: Session, record: Record) -> None:
    """Adds the alternative name that `create` takes off before it moves the device under it."""
    device = session.host.get_device(record.index)
    if record.wanted not in record.altnames or device is None or device.link.name != record.name:
        return
    if record.wanted not in device.link.altnames:
        batch = Batch()
        batch.messages.append(add_altname(record.index, record.wanted))
        execute_for(session.host, batch, record.name)


def _find_record(session: Session, network: Network, store: Store | None) -> Record | None:
    """The record of a network, from its field or its file; None if it has neither."""
    kept = store.read(network) if store is not None else None
    if network.device is None:
        record = kept
    else:
        record = parse_record(network.device, network)
        if kept is not None and kept != record:
            reason = "must be the record that create returned: the one that create wrote differs"
            raise InvalidNetworkError("device", record.name, reason, network.name)
    if record is not None and _differ(record.host, _host(session)):
        reason = "must be a record of the caller's network namespace"
        raise InvalidNetworkError("device", record.name, reason, network.name)
    return record


def _destroy(session: Session, network: Network, store: Store | None) -> None:
    record = _find_record(session, network, store)
    name = network.host_interface_name
    if record is None:
        if session.host.get_device(name) is not None:
            return  # it was not lent, or has come back
        reason = (
            "must be the record that create returned: without it, and without the file that create "
            "wrote, the device can't be told from other links"
        )
        raise InvalidNetworkError("device", None, reason, network.name)
    if session.namespace is not None and _differ(record.container, session.namespace.cookie):
        reason = f"must be a record of the namespace {session!r}"
        raise InvalidNetworkError("device", record.name, reason, network.name)
    found = _wait_for(session, record)
    if found.place is Place.CONTAINER:
        if not found.proven and not network.options.get(_TRUST, False):
            raise _unproven(session, record)
        device = session.container.get_device(found.index)
        shown = quote(device.link.name) if device is not None else "missing"
        check_names(session, record, f"it is {shown} in {session!r} still")
        if network.bridge:
            find_bridge(session.host, network)
        found.index = bring_home(session, record, found, None)
        finish(session, record, found.index, network)
    elif found.place is Place.HOST:
        device = session.host.get_device(found.index)
        # A complete return removes the file. What was changed later is left alone.
        kept = store is not None and store.read(network) is not None
        if device is not None and device.link.name != record.name:
            name = device.link.name
            if kept or name == network.name or is_random(name):
                finish(session, record, found.index, network)
        elif kept:
            _give_altname(session, record)
    elif found.place is Place.ELSEWHERE:
        raise _elsewhere(record, found)
    if store is not None:
        store.remove(network)


def _wait_for(session: Session, record: Record) -> Found:
    """Finds a device. A namespace that has just ended gives its devices up a moment later."""
    until = min(session.until, monotonic() + _ENDING)
    while True:
        found = find_device(session, record, None)
        if (
            session.namespace is not None
            or found.place is not Place.ELSEWHERE
            or monotonic() > until
        ):
            return found
        sleep(0.01)


def _unproven(session: Session, record: Record) -> KernelError:
    kind = f"a link of kind {record.kind}" if record.kind else "a link without a parent device"
    hint = (
        f"nothing proves that {kind} in {session!r} is the device that was moved there: it ends "
        f'with that namespace; options={{"{_TRUST}": True}} brings back what fits the record'
    )
    return KernelError(EPERM, "look", record.name, hint=hint)


def _elsewhere(record: Record, found: Found) -> KernelError:
    where = "" if found.nsid is None else f" (nsid {found.nsid})"
    hint = (
        f"the device is in another namespace{where}, not in the host namespace or the given one: "
        "name its namespace, or move it back by hand"
    )
    return KernelError(EBUSY, "look", record.name, hint=hint)
