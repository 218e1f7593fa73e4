"""Moves a device back into the host namespace.

Root of the container may change any link of the container namespace at any moment, so nothing that
was read there is trusted. The device is moved under a random name. Its identity is then proven in
the host namespace, which root of the container can't change, and a link that is not the device is
sent back. Only then does the device get its name, its master and IFF_UP.

Each step can be repeated: the next call completes one that was interrupted or killed.
"""

from __future__ import annotations

import contextlib
from errno import EBUSY, EEXIST, ENODEV, EPERM

from .._native.device import SETTABLE, detach_xdp, set_flags
from ..errors import BatchError, KernelError, quote
from ..rtnetlink.batch import Batch
from ._device_identity import Location, Place, find_device, is_device, random_index, random_name
from ._device_upper_links import delete_upper_links
from ._links import append, execute_for, find_bridge
from ._undo import add_note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._device_identity import OpenDevice
    from ._device_record import Record
    from ._session import Session
    from ._socket import Device
    from .network import Network

TRUST = "trust_container"  # the option of HostDevice that makes proofs unnecessary

_MOVES = 16  # attempts, while root of the container keeps changing the device


def check_names(session: Session, record: Record, where: str) -> None:
    """Raises EEXIST if another link of the host namespace has a name of the device.

    Parameters:
        where: says in the error where the device is.
    """
    for name in (record.name, *record.altnames):
        device = session.host.get_device(name)
        if device is not None:
            kind = "name" if name == record.name else "alternative name"
            hint = (
                f"the {kind} {quote(name)} is already in use in the host namespace: rename the "
                f"link {quote(device.link.name)}, then tear the network down again; {where}"
            )
            raise KernelError(EEXIST, "find", record.name, hint=hint)


def unproven(session: Session, record: Record) -> KernelError:
    """The error for a link that fits the record, but is not proven to be the device."""
    kind = f"a link of kind {record.kind}" if record.kind else "a link without a parent device"
    hint = (
        f"nothing proves that {kind} in {session.container_namespace} is the device that was moved "
        f'there: it ends with that namespace; options={{"{TRUST}": True}} brings back what fits '
        "the record"
    )
    return KernelError(EPERM, "find", record.name, hint=hint)


def bring_back(session: Session, record: Record, found: Location, opened: OpenDevice | None) -> int:
    """Moves a device from the container namespace into the host namespace, and leaves it down.

    Parameters:
        found: where the device is. If that is not proven, the container is trusted: any link that
            fits the record is taken.
        opened: the device's file, if this call has opened it.

    Returns:
        The device's index: its former one, unless another link has that.

    Raises:
        KernelError: the kernel refuses the move, or no link could be proven to be the device.
    """
    trusted = not found.proven
    refused: BatchError | None = None
    for _ in range(_MOVES):
        if found.place is Place.HOST:
            return found.index
        if found.place is not Place.CONTAINER:
            break
        name = random_name()
        refused = _move(session, record, found.index, name)
        with _left_in_host(record, name):
            device = session.host.get_device(name)
            if device is not None:
                fits = trusted and _fits(record, device)
                if fits or is_device(session, record, opened, device):
                    return device.link.index
                _send_back(session, device)
        # Try again after EEXIST, EBUSY (a name or the index was taken) and ENODEV (it was moved).
        if device is None and refused and refused.errno not in (EEXIST, EBUSY, ENODEV):
            refused.interface = record.name
            device = session.container.get_device(found.index)
            shown = f"as {quote(device.link.name)}" if device is not None else "moved"
            add_note(refused, f"the device is left {shown} in {session.container_namespace}")
            raise refused
        found = find_device(session, record, opened)
        if not found.proven and not trusted:
            break
    hint = (
        f"no link of {session.container_namespace} could be proven to be the device: its links are "
        "being changed"
    )
    if refused is not None and refused.errno != ENODEV:
        hint = f"{hint} ({refused})"
    raise KernelError(EBUSY, "RTM_NEWLINK", record.name, hint=hint)


@contextlib.contextmanager
def _left_in_host(record: Record, name: str) -> Iterator[None]:
    """Adds to an error that the device is in the host namespace, and under which name.

    Parameters:
        name: the device's present name, or "" if unknown.
    """
    try:
        yield
    except KernelError as error:
        error.interface = error.interface or record.name
        shown = f", as {quote(name)}" if name else ""
        add_note(error, f"the device is in the host namespace{shown}: tear the network down again")
        raise


def _move(session: Session, record: Record, index: int, name: str) -> BatchError | None:
    """Tries once to move a link into the host namespace, under the name `name`.

    Returns the error if the kernel refused. The link may have moved all the same: the kernel moves
    it before it renames it.
    """
    device = session.container.get_device(index)
    batch = Batch()
    # An alternative name that is taken in the host namespace would block the move.
    for altname in device.link.altnames if device is not None else ():
        if altname not in record.altnames:
            batch.delete_altname(index, altname)
    with contextlib.suppress(BatchError):  # if this matters, the move fails
        session.container.execute(batch)
    free = session.host.get_device(record.index) is None
    new_index = record.index if free else random_index()
    move = Batch().set_link(index, netns=session.host_namespace, new_name=name, new_index=new_index)
    try:
        session.container.execute(move)
    except BatchError as error:
        return error
    return None


def _fits(record: Record, device: Device) -> bool:
    """Whether a link in the host namespace fits the record, for a container that is trusted."""
    link = device.link
    same_parent = not record.parent or (link.link_index, link.link_nsid) == (record.parent, None)
    return link.kind == record.kind and same_parent


def _send_back(session: Session, device: Device) -> None:
    """Moves a link that is not the device back to the container namespace, or deletes it."""
    index = device.link.index
    batch = Batch()
    for name in device.link.altnames:  # another link may have one by now
        batch.delete_altname(index, name)
    try:
        session.host.execute(batch.set_link(index, netns=session.container_namespace))
    except BatchError:
        session.host.execute(Batch().delete_link(index))


# ---- in the host namespace ----


def finish(session: Session, record: Record, index: int, network: Network) -> None:
    """Restores the settings of a device in the host namespace, then its name, master and IFF_UP.

    Parameters:
        index: the device's index in the host namespace.
        network: names the bridge. Without a bridge the device becomes a port of its former master,
            if that still exists.

    Raises:
        KernelError: a link of a third namespace is on top of the device (EBUSY), the device's name
            is taken (EEXIST), or the kernel refuses. The device is then in the host namespace, and
            the next call completes the rest.
    """
    with _left_in_host(record, ""):
        device = session.host.get_device(index)
        if device is None:
            raise KernelError(ENODEV, "find", record.name, hint="the device was just deleted")
    with _left_in_host(record, device.link.name):
        if not device.link.master:
            delete_upper_links(session, device)
        _restore(session, record, device, network)


def _restore(session: Session, record: Record, device: Device, network: Network) -> None:
    link, index = device.link, device.link.index
    master = _find_master(session, record, network)
    hairpin = network.hairpin_mode if network.bridge else record.hairpin
    _detach_xdp(session, index)
    batch = Batch()
    for name in link.altnames:
        if name not in record.altnames:
            batch.delete_altname(index, name)
    if (device.flags ^ record.flags) & SETTABLE:
        append(batch, set_flags(index, record.flags & SETTABLE, SETTABLE))
    if link.group != record.group:
        batch.set_group(index, record.group)
    batch.set_link(
        index,
        mtu=record.mtu if link.mtu != record.mtu else None,
        mac=record.mac if record.mac and link.mac != record.mac else None,
        alias=record.alias if link.alias != record.alias else None,
        txqueuelen=record.txqueuelen if link.txqueuelen != record.txqueuelen else None,
        master=master or None,
    )
    for name in record.altnames:
        if name not in link.altnames:
            batch.add_altname(index, name)
    if master and hairpin:
        batch.set_link(index, hairpin=True)
    execute_for(session.host, batch, record.name)
    # The name comes last: a device of that name in the host namespace is complete.
    last = Batch().set_link(index, new_name=record.name, up=record.up or None)
    execute_for(session.host, last, record.name)


def _find_master(session: Session, record: Record, network: Network) -> int:
    """The index of the master that the device gets, or 0."""
    if network.bridge:
        return find_bridge(session.host, network).index
    if record.master and session.host.get_device(record.master) is not None:
        return record.master
    return 0


def _detach_xdp(session: Session, index: int) -> None:
    """Detaches the XDP program of a device. A kernel without XDP refuses, which is ignored."""
    batch = append(Batch(), detach_xdp(index))
    try:
        session.host.execute(batch)
    except BatchError as error:
        if error.errno == EBUSY:
            add_note(error, "a program that was attached by a BPF link must be detached first")
            raise
