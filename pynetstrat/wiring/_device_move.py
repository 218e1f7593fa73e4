"""Moves a device into the container namespace, and undoes the move if the call fails."""

from __future__ import annotations

from contextlib import suppress
from errno import EEXIST, ENODEV, EOPNOTSUPP

from .._dataclass import dataclass, replace
from .._native.device import IFF_UP, SETTABLE
from ..errors import (
    BatchError,
    InterfaceNotFoundError,
    InvalidNetworkError,
    KernelError,
    TeardownError,
    quote,
)
from ..rtnetlink.batch import Batch
from ..rtnetlink.links import Address
from ._device_addresses import add_addresses, carried_addresses, without_prefix_length
from ._device_identity import OpenDevice, Place, find_device, random_index
from ._device_record import VERSION, Record, Store, read_boot_id
from ._device_return import bring_back, finish, unproven
from ._device_upper_links import refuse_receivers
from ._links import append, execute_for, find_bridge, in_order
from ._requested import requested_addresses, requested_routes
from ._session import Session
from ._socket import Device, add_route_copy
from ._sysctls import set_sysctls
from ._undo import add_note
from ._workers import wait_until_receiving
from .network import Network, invalid, ip_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._native.routes import RouteCopy
    from ..errors import NetstratError
    from ..rtnetlink.socket import RtnetlinkSocket


@dataclass(slots=True)
class DeviceMove:
    """A device before its move, and the state of the move.

    Attributes:
        session: the session of the call.
        network: the network as the caller gave it.
        record: the device's settings in the host namespace.
        opened: identifies the device within this call.
        addresses: all its addresses.
        routes: the routes that the kernel deletes with the device or its addresses.
        store: the records. Closing it releases the lock.
        is_refused: the kernel refused the move because the device did not exist.
        has_left: an undo step found the device outside of the host namespace.
    """

    session: Session
    network: Network
    record: Record
    opened: OpenDevice
    addresses: list[Address]
    routes: list[RouteCopy]
    store: Store
    is_refused: bool = False
    has_left: bool = False

    def move(self) -> Network:
        """Moves the device.

        One message does it. If it fails, the kernel may have done a part of it.

        Returns:
            The network with the device's name in the container and its record.
        """
        network, record = self.network, self.record
        self.store.write(network, record)
        wanted = network.name or record.name
        if wanted in record.altnames:  # the kernel would refuse it as taken
            batch = Batch().delete_altname(record.index, wanted)
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
            self.is_refused = error.errno == ENODEV
            raise
        moved = self.session.container.get_device(record.container_index)
        if moved is None:
            hint = "the device did not get the requested index: host-device needs Linux 5.12"
            raise KernelError(EOPNOTSUPP, "RTM_NEWLINK", record.name, hint=hint)
        # The device is still down, so what it counts from now on is the container's traffic.
        index = record.container_index
        record.counters = self.session.container.read_counters(index, moved.link.name)
        self.store.write(network, record)
        return replace(network, name=moved.link.name, device=record.to_dict())

    def configure(self, network: Network) -> None:
        """Adds addresses and routes in the container, and sets the device up, by one send.

        The settings under /proc/sys come before. They need no undo step: the kernel resets them
        when the device moves back.

        Parameters:
            network: what `move` has returned.
        """
        index = self.record.container_index
        self.session.created.add(network.name)
        set_sysctls(self.session, network, network.name)
        carried = carried_addresses(self.addresses, self.record.name, network)
        batch = Batch()
        add_addresses(
            batch, index, in_order(carried) + requested_addresses(network, index), up=True
        )
        for route in requested_routes(network, index):
            batch.add_route(route)
        execute_for(self.session.container, batch, network.name)
        container, until = self.session.container, self.session.until
        wait_until_receiving(container, network.name, ip_addresses(network), until)

    def undo(self) -> None:
        """Restores the device with all its addresses and routes. It may be run more than once.

        Raises:
            KernelError, TeardownError: something could not be restored.
        """
        self.store.close()  # an interrupt may have kept the call from releasing its lock
        with Store(self.session.host_namespace.id) as self.store:
            self.store.lock(self.session.until)
            if not self.is_refused:
                self._undo()
            self.store.remove(self.network)
        self.opened.close()

    def _undo(self) -> None:
        session, record = self.session, self.record
        found = find_device(session, record, self.opened)
        if found.place is Place.HOST and not self.has_left:
            restore_altname(session, record)
            return
        self.has_left = True
        if found.place is Place.CONTAINER:
            if not found.proven:
                raise unproven(session, record)
            found.index = bring_back(session, record, found, self.opened)
        elif found.place is not Place.HOST:
            hint = "the device is neither in the host namespace nor in the container namespace"
            raise KernelError(ENODEV, "find", record.name, hint=hint)
        network = replace(self.network, bridge="", hairpin_mode=False)
        finish(session, record, found.index, network)
        self._restore(found.index)

    def _restore(self, index: int) -> None:
        """Adds the addresses and the routes again."""
        host, name = self.session.host, self.record.name
        failures: list[NetstratError] = []
        batch = Batch()
        add_addresses(batch, index, in_order(self.addresses), up=self.record.up)
        try:
            execute_for(host, batch, name)
        except BatchError as error:
            # EEXIST: an earlier, interrupted run of this step has added the address.
            others = [e for e in error.results if isinstance(e, KernelError) and e.errno != EEXIST]
            failures += others
        try:
            present = host.copy_routes(index, without_prefix_length(self.addresses))
        except KernelError:
            present = []  # EEXIST then tells which exist
        for route in sorted(self.routes, key=lambda route: not route.direct):
            if route not in present:
                _add_route(failures, host, route, name)
        if failures:
            raise TeardownError(failures)


def plan_move(session: Session, network: Network, store: Store) -> DeviceMove:
    """Reads everything that a move needs, and refuses one that is known to fail."""
    with suppress(InvalidNetworkError):  # a file that is not a valid record is replaced
        killed = store.read(network)
        if killed is not None:
            restore_altname(session, killed)
    device = _get_movable_device(session, network, store)
    link = device.link
    if network.bridge:
        find_bridge(session.host, network)
        refuse_receivers(session, network, device)
    wanted = network.name or link.name
    for name in dict.fromkeys((wanted, *link.altnames)):
        if "%d" not in name and session.container.get_device(name) is not None:
            what = "alternative name" if name in link.altnames else "name"
            hint = (
                f"the {what} {quote(name)} is already in use in {session.container_namespace}: "
                "choose another, or rename that link"
            )
            raise KernelError(EEXIST, "find", link.name, hint=hint)
    addresses = session.host.dump_addresses(link.name)
    # Routes through other links count as well: the kernel deletes an IPv4 route together with the
    # source address that it prefers.
    routes = session.host.copy_routes(link.index, without_prefix_length(addresses))
    record = _make_record(session, network, device)
    opened = OpenDevice(device, session.given_host)
    return DeviceMove(session, network, record, opened, addresses, routes, store)


def _get_movable_device(session: Session, network: Network, store: Store) -> Device:
    name = network.host_interface_name
    device = session.host.get_device(name)
    if device is None:
        hint = "no such interface in the host namespace"
        if store.read(network) is not None:
            hint = "an interrupted call has moved it: tear the network down first"
        raise InterfaceNotFoundError(ENODEV, "RTM_GETLINK", name, hint=hint)
    link = device.link
    if link.name != name:
        reason = f"must be the device's name, not an alternative name: {link.name}"
        raise invalid(network, "host_interface_name", reason)
    if link.index == 1:  # lo, whatever its name
        raise invalid(network, "host_interface_name", "the loopback device can't be moved")
    if link.kind == "bridge":
        reason = "a bridge can't be moved: move one of its ports, or use the strategy veth"
        raise invalid(network, "host_interface_name", reason)
    return device


def _make_record(session: Session, network: Network, device: Device) -> Record:
    link = device.link
    linked = link.link_index if link.link_nsid is None else None
    paired = link.kind == "veth"
    return Record(
        version=VERSION,
        boot_id=read_boot_id(),
        host=session.host_namespace.cookie or 0,
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
        flags=device.flags & (SETTABLE | IFF_UP),
        up=link.up,
        counters=[],
    )


def restore_altname(session: Session, record: Record) -> None:
    """Adds the alternative name again that `move` deletes before a move under that name."""
    device = session.host.get_device(record.index)
    if record.wanted not in record.altnames or device is None or device.link.name != record.name:
        return
    if record.wanted not in device.link.altnames:
        batch = Batch().add_altname(record.index, record.wanted)
        execute_for(session.host, batch, record.name)


def _add_route(
    failures: list[NetstratError], sock: RtnetlinkSocket, route: RouteCopy, name: str
) -> None:
    try:
        sock.execute(append(Batch(), add_route_copy(route)))
    except KernelError as error:
        # EEXIST: a kernel worker may have just added a route that comes with an IPv6 address.
        if error.errno != EEXIST:
            error.interface = name
            add_note(error, f"the route to {route.destination} is missing")
            failures.append(error)
