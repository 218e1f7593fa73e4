"""The way of a device back into the host namespace.

Root of the container may change anything there at any moment, so nothing that was read in the
container is relied on. The device is moved under a random name, its identity is proven in the host
namespace, where root has no access, and a link that is not the device is sent back. Only then does
the device get its name, its master and IFF_UP. Each step may be repeated: a call that was
interrupted or killed is completed by the next one.
"""

from __future__ import annotations

import contextlib
import os
from errno import EBUSY, EEXIST, EINVAL, ENODEV

from .._native.device import add_altname, delete_altname, detach_xdp, set_flags
from ..errors import KernelError, quote
from ..rtnetlink.batch import Batch, BatchError
from ._device_identity import Found, Place, find_device, is_device, is_random, random_name
from ._session import execute_for, find_bridge
from ._undo import add_note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..rtnetlink.links import Device
    from ._device_identity import Held
    from ._device_record import Record
    from ._session import Session
    from .network import Network

_TRIES = 16  # to move it, while root of the container changes it all the time
_EVICTIONS = 4  # of links that stand on it
_RANDOM_INDEX = 1 << 29  # from here on: the kernel counts up from 1

# The flags that may be set, but for IFF_UP: __dev_change_flags, net/core/dev.c; linux/if.h.
SETTABLE = 0x4 | 0x20 | 0x80 | 0x100 | 0x200 | 0x1000 | 0x2000 | 0x4000 | 0x8000

# Kinds whose IFLA_LINK is the other end of a pair, not a link that they stand on.
_PAIRS = ("veth", "netkit", "vxcan")


def random_index() -> int:
    """An index that nobody can guess, far above those that the kernel gives."""
    return _RANDOM_INDEX | int.from_bytes(os.urandom(4), "little") >> 3


def check_names(session: Session, record: Record, where: str) -> None:
    """Raises EEXIST where a name of the device is another link's in the host namespace."""
    for name in (record.name, *record.altnames):
        device = session.host.get_device(name)
        if device is not None:
            kind = "name" if name == record.name else "alternative name"
            hint = (
                f"the {kind} {quote(name)} is taken in the host namespace: rename the link "
                f"{quote(device.link.name)}, then destroy again; {where}"
            )
            raise KernelError(EEXIST, "look", record.name, hint=hint)


def bring_home(session: Session, record: Record, found: Found, held: Held | None) -> int:
    """Moves a device from the container into the host namespace, where it is left down.

    Parameters:
        found: where it was found.

    Returns:
        Its index, which is the one that it had unless another link has that by now.

    Raises:
        KernelError: the kernel's refusal, or the device could not be told from other links.
    """
    trusted = not found.proven
    refused: BatchError | None = None
    for _ in range(_TRIES):
        if found.place is Place.HOST:
            return found.index
        if found.place is not Place.CONTAINER:
            break
        name = random_name()
        refused = _move(session, record, found.index, name)
        with _left_in_host(record, name):
            device = session.host.get_device(name)
            if device is not None:
                if is_device(session, record, held, device) or (trusted and _fits(record, device)):
                    return device.link.index
                _send_back(session, device)
        # EEXIST, EBUSY: a name or the index has just been taken; ENODEV: it has just moved.
        if device is None and refused and refused.errno not in (EEXIST, EBUSY, ENODEV):
            refused.interface = record.name
            there = session.container.get_device(found.index)
            shown = quote(there.link.name) if there is not None else "moved"
            add_note(refused, f"it is left as {shown} in {session!r}")
            raise refused
        found = find_device(session, record, held)
        if not found.proven and not trusted:
            break
    hint = f"it could not be told from other links of {session!r}, which are being changed"
    if refused is not None and refused.errno != ENODEV:
        hint = f"{hint} ({refused})"
    raise KernelError(EBUSY, "RTM_NEWLINK", record.name, hint=hint)


@contextlib.contextmanager
def _left_in_host(record: Record, name: str) -> Iterator[None]:
    """Adds to an error that the device is in the host namespace, and under which name."""
    try:
        yield
    except KernelError as error:
        error.interface = error.interface or record.name
        shown = f", as {quote(name)}" if name else ""
        add_note(error, f"the device is in the host namespace{shown}: destroy again")
        raise


def _move(session: Session, record: Record, index: int, name: str) -> BatchError | None:
    """One try; the error if the kernel refused it. The caller looks for `name` in any case."""
    there = session.container.get_device(index)
    batch = Batch()
    # A name that is taken in the host namespace would block the move.
    for altname in there.link.altnames if there is not None else ():
        if altname not in record.altnames:
            batch.messages.append(delete_altname(index, altname))
    with contextlib.suppress(BatchError):  # the move fails where this matters
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
    """Whether a link that root of the container is trusted with looks like the device."""
    link = device.link
    same_parent = not record.parent or (link.link_index, link.link_nsid) == (record.parent, None)
    return link.kind == record.kind and same_parent


def _send_back(session: Session, device: Device) -> None:
    """Returns a link that is not the device to the container, or else deletes it."""
    index = device.link.index
    batch = Batch()
    for name in device.link.altnames:  # one could be taken there by now
        batch.messages.append(delete_altname(index, name))
    try:
        session.host.execute(batch.set_link(index, netns=session.container_namespace))
    except BatchError:
        session.host.execute(Batch().delete_link(index))


# ---- in the host namespace ----


def finish(session: Session, record: Record, index: int, network: Network) -> None:
    """Resets a device in the host namespace to what it was, and gives it name, master and IFF_UP.

    Parameters:
        network: names the bridge; without one the device becomes a port of its former master, if
            that still exists.

    Raises:
        KernelError: a link of another namespace stands on the device (EBUSY), its name is taken
            (EEXIST), or the kernel refuses. The device is then in the host namespace, and another
            call completes what is missing.
    """
    with _left_in_host(record, ""):
        device = session.host.get_device(index)
        if device is None:
            raise KernelError(ENODEV, "look", record.name, hint="it has just gone")
    with _left_in_host(record, device.link.name):
        if not device.link.master:
            _evict(session, device)
        _reset(session, record, device, network)


def _reset(session: Session, record: Record, device: Device, network: Network) -> None:
    link, index = device.link, device.link.index
    master = _find_master(session, record, network)
    hairpin = network.hairpin_mode if network.bridge else record.hairpin
    execute_quietly(session, detach_xdp(index))
    batch = Batch()
    for name in link.altnames:
        if name not in record.altnames:
            batch.messages.append(delete_altname(index, name))
    if (device.flags ^ record.flags) & SETTABLE:
        batch.messages.append(set_flags(index, record.flags & SETTABLE, SETTABLE))
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
            batch.messages.append(add_altname(index, name))
    if master and hairpin:
        batch.set_link(index, hairpin=True)
    execute_for(session.host, batch, record.name)
    # The name comes last: a device of that name in the host namespace is complete.
    last = Batch().set_link(index, new_name=record.name, up=record.up or None)
    execute_for(session.host, last, record.name)


def _find_master(session: Session, record: Record, network: Network) -> int:
    """The index of the link that the device becomes a port of; 0 for none."""
    if network.bridge:
        return find_bridge(session.host, network).index
    if record.master and session.host.get_device(record.master) is not None:
        return record.master
    return 0


def execute_quietly(session: Session, message: object) -> None:
    """Sends a message that kernels without the feature refuse."""
    batch = Batch()
    batch.messages.append(message)  # type: ignore[arg-type]
    try:
        session.host.execute(batch)
    except BatchError as error:
        if error.errno == EBUSY:
            add_note(error, "a program that was attached by a bpf link has to be detached first")
            raise


# ---- links that stand on it ----


def _evict(session: Session, device: Device) -> None:
    """Deletes the links that stand on a device in the container (macvlans, VLANs and their like).

    They survive its move, and would read its frames. Raises EBUSY where one is left: in a namespace
    that is not the container's.
    """
    for _ in range(_EVICTIONS):
        if session.namespace is not None:
            _delete_stacked(session, device.link.index)
        if _is_bare(session, device):
            return
    hint = (
        "a link of another namespace stands on the device, which is therefore left down: delete "
        "that link, or end its namespace"
    )
    raise KernelError(EBUSY, "look", device.link.name, hint=hint)


def _is_bare(session: Session, device: Device) -> bool:
    """Whether nothing receives the frames of a device, in whatever namespace.

    The kernel refuses a macvlan in the mode passthru on a device with another macvlan (EINVAL) or
    any other receiver (EBUSY), wherever that is (macvlan_common_newlink, drivers/net/macvlan.c).
    """
    link = device.link
    if len(link.mac) != 17 or link.kind in ("macvlan", "macvtap"):
        return True  # not Ethernet; or one whose macvlans would stand on the link below it
    probe = random_name()
    try:
        session.host.execute(Batch().add_macvlan(probe, link.index, mode="passthru"))
    except BatchError as error:
        if error.errno in (EBUSY, EINVAL):
            return _has_links_of_the_host(session, link.index)
    if session.host.get_device(probe) is not None:  # the kernel may not know macvlans
        session.host.execute(Batch().delete_link(probe))
    return True


def _has_links_of_the_host(session: Session, index: int) -> bool:
    """Whether links of the host namespace stand on a device, which hide those of others.

    A probe that a killed process has left is deleted.
    """

    def stands(kind: str, link: int, nsid: int, _bus: str, _device: str) -> bool:
        return link == index and nsid < 0 and kind not in _PAIRS

    found = [session.host.get_device(one) for one in session.host.find_devices(stands)]
    probes = [one for one in found if one is not None and is_random(one.link.name)]
    for probe in probes:
        session.host.execute(Batch().delete_link(probe.link.index))
    return len(found) > len(probes)


def _delete_stacked(session: Session, index: int) -> None:
    """Deletes the container's links that stand on a link of the host namespace."""

    def note(kind: str, link: int, nsid: int, _bus: str, _device: str) -> bool:
        matches = link == index and nsid >= 0 and kind not in _PAIRS
        if matches:
            nsids.append(nsid)
        return matches

    nsids: list[int] = []
    found = session.container.find_devices(note)
    home = session.container.get_nsid(session.host_namespace) if found else None
    stacked = [one for one, nsid in zip(found, nsids, strict=True) if nsid == home]
    if not stacked:
        return
    group = random_index()
    batch = Batch()
    for one in stacked:
        batch.set_group(one, group)
    batch.delete_group(group)
    with contextlib.suppress(BatchError):  # the next round sees whether one is left
        session.container.execute(batch)
