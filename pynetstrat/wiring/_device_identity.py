"""Where a device is, and the proof that a link is that device.

Root of a container can give a link of its own the name, the index, the MAC address and the kind of
the device. It cannot forge these:

- the hardware behind a physical device (its parent device);
- what the host namespace says of a veth's peer: which index in which namespace is its other end;
- a file of the device in sysfs that was opened in the host namespace, which follows the device into
  other namespaces and ends with it. This proves any kind of device, but lasts only for one call.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from enum import IntEnum

from .._native.sysfs import Mount
from ..rtnetlink.links import Device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._device_record import Record
    from ._session import Session


class Place(IntEnum):
    """Where a device is."""

    HOST = 0
    CONTAINER = 1
    ELSEWHERE = 2  # in a third namespace
    GONE = 3


@dataclass(slots=True)
class Found:
    """A device, its place, and its index there.

    Attributes:
        proven: whether the device is proven to be the one of the record. A link of the right kind
            and index that is not proven is given in the container only.
        nsid: of a device that is elsewhere, the id of its namespace in the host namespace.
    """

    place: Place
    index: int = 0
    proven: bool = True
    nsid: int | None = None


class Held:
    """A device held by its files in sysfs, which follow it into other namespaces.

    `exists` is False where sysfs can't be mounted; then nothing is held.
    """

    _file = -1
    _mount: Mount | None = None
    exists = False

    def __init__(self, device: Device) -> None:
        try:
            self._mount = Mount()
            self._file = self._open(device.link.name)
            self.exists = self.index() == device.link.index
        except OSError:  # KernelError is one: no right to mount, or the device has just gone
            pass

    def _open(self, name: str) -> int:
        assert self._mount is not None
        path = f"class/net/{name}/ifindex"
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._mount.fd)

    def index(self) -> int:
        """The device's index in the namespace in which it is now; OSError once it has gone."""
        return int(os.pread(self._file, 32, 0))

    def is_at_home(self, name: str) -> bool:
        """Whether it is the link of that name in the host namespace."""
        try:
            other = self._open(name)
        except OSError:
            return False
        try:
            return os.path.sameopenfile(self._file, other)
        finally:
            _close(other)

    def close(self) -> None:
        """Lets go of it. Closing twice does no harm."""
        file, self._file = self._file, -1
        if file >= 0:
            _close(file)
        if self._mount is not None:
            self._mount.close()
        self.exists = False

    def __del__(self) -> None:
        self.close()


def _close(fd: int) -> None:
    """Closes a descriptor. Linux has closed it whatever close(2) returns."""
    with contextlib.suppress(OSError):
        os.close(fd)


def random_name() -> str:
    """A name for a device that is on its way back."""
    return "pn" + os.urandom(6).hex()


def is_random(name: str) -> bool:
    """Whether a name has the form of a random one."""
    return len(name) == 14 and name.startswith("pn")


def is_device(session: Session, record: Record, held: Held | None, device: Device | None) -> bool:
    """Whether a link in the host namespace is proven to be the device of the record."""
    if device is None:
        return False
    link = device.link
    if held is not None and held.exists:
        return held.is_at_home(link.name)
    if record.tie == "peer":
        peer = session.host.get_device(record.peer)
        return (
            peer is not None
            and peer.link.kind == link.kind == record.kind
            and peer.link.link_nsid is link.link_nsid is None
            and (peer.link.link_index, link.link_index) == (link.index, record.peer)
        )
    return record.tie == "parent device" and _has_parent(device, record)


def _has_parent(device: Device, record: Record) -> bool:
    """Whether this is the same port of the same hardware."""
    return (
        (device.parent_bus, device.parent_device) == (record.parent_bus, record.parent_device)
        and device.link.permanent_mac == record.permanent_mac
        and device.link.kind == record.kind
    )


def find_device(session: Session, record: Record, held: Held | None) -> Found:
    """Finds the device of a record, in the session's container if it has one."""
    alive = session.namespace is not None
    if held is not None and held.exists:
        return _find_held(session, held, alive)
    if record.tie == "peer":
        return _find_by_peer(session, record, alive)
    if record.tie == "parent device":
        return _find_by_parent(session, record, alive)
    return _find_untied(session, record, alive)


def _find_held(session: Session, held: Held, alive: bool) -> Found:
    try:
        index = held.index()
    except OSError:
        return Found(Place.GONE)
    here = session.host.get_device(index)
    if here is not None and held.is_at_home(here.link.name):
        return Found(Place.HOST, index)
    if alive and session.container.get_device(index) is not None:
        return Found(Place.CONTAINER, index)
    return Found(Place.ELSEWHERE)


def _find_by_peer(session: Session, record: Record, alive: bool) -> Found:
    peer = session.host.get_device(record.peer)
    if peer is None or peer.link.kind != record.kind or not peer.link.link_index:
        return _find_untied(session, record, alive)
    index, nsid = peer.link.link_index, peer.link.link_nsid
    if nsid is None:
        if is_device(session, record, None, session.host.get_device(index)):
            return Found(Place.HOST, index)
        return Found(Place.GONE)  # its namespace is ending, and has no id any more
    if alive and nsid == session.host.get_nsid(session.container_namespace):
        return Found(Place.CONTAINER, index)
    return Found(Place.ELSEWHERE, index, nsid=nsid)


def _find_by_parent(session: Session, record: Record, alive: bool) -> Found:
    if alive:
        device = session.container.get_device(record.container_index)
        if device is not None and _has_parent(device, record):
            return Found(Place.CONTAINER, record.container_index)
    sockets = [(Place.HOST, session.host)]
    if alive:
        sockets.append((Place.CONTAINER, session.container))
    for place, sock in sockets:
        found = [
            index
            for index in sock.find_devices(
                lambda _kind, _link, _nsid, bus, name: (
                    (bus, name) == (record.parent_bus, record.parent_device)
                )
            )
            if (device := sock.get_device(index)) is not None and _has_parent(device, record)
        ]
        if len(found) == 1:
            return Found(place, found[0])
    return Found(Place.ELSEWHERE)


def _find_untied(session: Session, record: Record, alive: bool) -> Found:
    """By what the record says of it, which proves nothing in the container."""
    here = session.host.get_device(record.index)
    # A random name: a call was killed that brought it back.
    if (
        here is not None
        and here.link.kind == record.kind
        and (here.link.name == record.name or is_random(here.link.name))
    ):
        return Found(Place.HOST, record.index)
    if alive:
        away = session.container.get_device(record.container_index)
        if away is not None and away.link.kind == record.kind:
            return Found(Place.CONTAINER, record.container_index, proven=False)
    return Found(Place.GONE)
