"""Where a device is, and the proof that a link is that device.

Root of a container can create a link with the name, the index, the MAC address and the kind of the
device. It cannot forge:

- the parent device of a physical device, which is its hardware;
- the peer of a veth, if that is in the host namespace: the kernel reports there the index and the
  namespace of the peer's other end;
- a file of the device in sysfs that was opened in the host namespace. It follows the device into
  other namespaces and becomes unreadable when the device is deleted. This proves the identity of
  any kind of device, but only within one call.
"""

from __future__ import annotations

import os
from enum import IntEnum

from .._dataclass import dataclass
from .._native.sysfs import Mount
from ._run_folder import close_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..namespace import NetworkNamespace
    from ._device_record import Record
    from ._session import Session
    from ._socket import Device

# Random indexes are 2**29 and above. The kernel counts up from 1, so they are free, and they leave
# room below the largest index, 2**31 - 1.
_RANDOM_INDEX = 1 << 29


class Place(IntEnum):
    """Where a device is."""

    HOST = 0
    CONTAINER = 1
    OTHER = 2  # in a third namespace
    GONE = 3


@dataclass(slots=True)
class Location:
    """The result of a search for a device.

    Attributes:
        place: the namespace in which the device is.
        index: its index in that namespace; 0 if unknown.
        proven: whether the link is proven to be the device. False only for a link of the container
            namespace that has the right kind and index.
        nsid: the nsid of its namespace in the host namespace, for `Place.OTHER`; None if unknown.
    """

    place: Place
    index: int = 0
    proven: bool = True
    nsid: int | None = None


class OpenDevice:
    """A device's `ifindex` file in sysfs, opened in the host namespace. It identifies the device.

    Parameters:
        device: the device.
        host: the host namespace; None: that of the calling thread.

    Attributes:
        is_open: whether there is such a file. False if sysfs can't be mounted.
    """

    _file = -1
    _mount: Mount | None = None
    is_open = False

    def __init__(self, device: Device, host: NetworkNamespace | None) -> None:
        try:
            self._mount = Mount(host)
            self._file = self._open(device.link.name)
            self.is_open = self.index() == device.link.index
        except OSError:  # or KernelError: mounting is refused, or the device has just been deleted
            pass

    def _open(self, name: str) -> int:
        assert self._mount is not None
        path = f"class/net/{name}/ifindex"
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._mount.fd)

    def index(self) -> int:
        """The device's index in its present namespace. Raises OSError if it was deleted."""
        return int(os.pread(self._file, 32, 0))

    def is_in_host(self, name: str) -> bool:
        """Whether the link of that name in the host namespace is the device."""
        try:
            other = self._open(name)
        except OSError:
            return False
        try:
            return os.path.sameopenfile(self._file, other)
        finally:
            close_descriptor(other)

    def close(self) -> None:
        """Closes the file. Closing it twice does no harm."""
        file, self._file = self._file, -1
        if file >= 0:
            close_descriptor(file)
        if self._mount is not None:
            self._mount.close()
        self.is_open = False

    def __del__(self) -> None:
        self.close()


def random_name() -> str:
    """A name for a device while it is moved back: "pn" and 12 random hexadecimal digits."""
    return "pn" + os.urandom(6).hex()


def random_index() -> int:
    """An index that can't be guessed, above the indexes that the kernel chooses itself."""
    return _RANDOM_INDEX | int.from_bytes(os.urandom(4), "little") >> 3


def is_random(name: str) -> bool:
    """Whether a name has the form of those of `random_name`."""
    return len(name) == 14 and name.startswith("pn")


def is_device(
    session: Session, record: Record, opened: OpenDevice | None, device: Device | None
) -> bool:
    """Whether a link in the host namespace is proven to be the device.

    Parameters:
        opened: the device's file, if this call has opened it.
        device: the link; None if it does not exist.
    """
    if device is None:
        return False
    link = device.link
    if opened is not None and opened.is_open:
        return opened.is_in_host(link.name)
    if record.proof == "peer":
        peer = session.host.get_device(record.peer)
        return (
            peer is not None
            and peer.link.kind == link.kind == record.kind
            and peer.link.link_nsid is link.link_nsid is None
            and (peer.link.link_index, link.link_index) == (link.index, record.peer)
        )
    return record.proof == "parent device" and _has_parent(device, record)


def _has_parent(device: Device, record: Record) -> bool:
    """Whether a link is the same port of the same hardware."""
    return (
        (device.parent_bus, device.parent_device) == (record.parent_bus, record.parent_device)
        and device.link.permanent_mac == record.permanent_mac
        and device.link.kind == record.kind
    )


def find_device(session: Session, record: Record, opened: OpenDevice | None) -> Location:
    """Finds the device of a record in the host namespace or in the container namespace.

    Parameters:
        opened: the device's file, if this call has opened it.
    """
    alive = session.namespace is not None
    if opened is not None and opened.is_open:
        return _find_opened(session, opened, alive)
    if record.proof == "peer":
        return _find_by_peer(session, record, alive)
    if record.proof == "parent device":
        return _find_by_parent(session, record, alive)
    return _find_unproven(session, record, alive)


def _find_opened(session: Session, opened: OpenDevice, alive: bool) -> Location:
    try:
        index = opened.index()
    except OSError:
        return Location(Place.GONE)
    device = session.host.get_device(index)
    if device is not None and opened.is_in_host(device.link.name):
        return Location(Place.HOST, index)
    if alive and session.container.get_device(index) is not None:
        return Location(Place.CONTAINER, index)
    return Location(Place.OTHER)


def _find_by_peer(session: Session, record: Record, alive: bool) -> Location:
    peer = session.host.get_device(record.peer)
    if peer is None or peer.link.kind != record.kind or not peer.link.link_index:
        return _find_unproven(session, record, alive)
    index, nsid = peer.link.link_index, peer.link.link_nsid
    if nsid is None:
        if is_device(session, record, None, session.host.get_device(index)):
            return Location(Place.HOST, index)
        return Location(Place.GONE)  # its namespace is ending and has lost its nsid
    if alive and nsid == session.host.get_nsid(session.container_namespace):
        return Location(Place.CONTAINER, index)
    return Location(Place.OTHER, index, nsid=nsid)


def _find_by_parent(session: Session, record: Record, alive: bool) -> Location:
    if alive:
        device = session.container.get_device(record.container_index)
        if device is not None and _has_parent(device, record):
            return Location(Place.CONTAINER, record.container_index)
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
            return Location(place, found[0])
    return Location(Place.OTHER)


def _find_unproven(session: Session, record: Record, alive: bool) -> Location:
    """Finds a device by its index and kind, which proves nothing in the container namespace."""
    device = session.host.get_device(record.index)
    # A random name: a call that was bringing the device back was killed.
    if (
        device is not None
        and device.link.kind == record.kind
        and (device.link.name == record.name or is_random(device.link.name))
    ):
        return Location(Place.HOST, record.index)
    if alive:
        device = session.container.get_device(record.container_index)
        if device is not None and device.link.kind == record.kind:
            return Location(Place.CONTAINER, record.container_index, proven=False)
    return Location(Place.GONE)
