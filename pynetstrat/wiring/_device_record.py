"""The record of a device that `host-device` has moved, and the files of such records.

`create` returns the record in `Network.device`. Before the device moves, it also writes the record
to a file, for the case that it is killed and for a `destroy` that is called without the record.
"""

from __future__ import annotations

import json

from .._dataclass import dataclass
from .._native.links import parse_mac
from .._native.sysfs import COUNTERS
from .._native.values import INT_MAX, UINT_MAX, encode_text
from ..errors import InvalidNetworkError, KernelError
from ._hash import stable_hash
from ._run_folder import RunFolder
from .network import Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

VERSION = 1
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


@dataclass(slots=True)
class Record:
    """The state of a device in the host namespace, and where it was moved.

    Attributes:
        version: the version of this format.
        boot_id: the boot in which the device was moved; "" if it could not be read.
        host: the cookie of the host namespace; 0 before Linux 5.14.
        container: the cookie of the container namespace; 0 before Linux 5.14.
        owner: the network's owner.
        wanted: the network's name, as it was given to `create`.
        name: the device's name in the host namespace.
        index: its index in the host namespace.
        kind: its kind, such as "veth"; "" for a physical device.
        parent_bus: the bus of its parent device (`IFLA_PARENT_DEV_BUS_NAME`), such as "pci"; "" for
            a virtual device.
        parent_device: the name of its parent device (`IFLA_PARENT_DEV_NAME`); "" for a virtual one.
        permanent_mac: its permanent MAC address, or "".
        peer: the index of a veth's peer, if that is in the host namespace; otherwise 0.
        parent: the index of its lower link (that of a macvlan, for example), or 0.
        container_index: the index that it was given in the container namespace.
        mtu, mac, txqueuelen, group, alias, altnames, hairpin: its settings.
        master: the index of its master, or 0.
        flags: its flags (linux/if.h).
        up: whether IFF_UP was among them.
        counters: its eight counters right after the move, in the host's perspective; empty if the
            call was killed before it could read them.
    """

    version: int
    boot_id: str
    host: int
    container: int
    owner: str
    wanted: str
    name: str
    index: int
    kind: str
    parent_bus: str
    parent_device: str
    permanent_mac: str
    peer: int
    parent: int
    container_index: int
    mtu: int
    mac: str
    txqueuelen: int
    group: int
    alias: str
    altnames: list[str]
    master: int
    hairpin: bool
    flags: int
    up: bool
    counters: list[int]

    @property
    def proof(self) -> str:
        """What proves that a link is the device: "parent device", "peer", or "" for nothing."""
        if self.parent_device:
            return "parent device"
        return "peer" if self.peer else ""

    def to_dict(self) -> dict[str, Any]:
        """The record as a dictionary that can be written as JSON."""
        values = {name: getattr(self, name) for name in _TYPES}
        return values | {"altnames": [*self.altnames], "counters": [*self.counters]}


_TYPES = Record.__annotations__
_LARGEST = {
    **dict.fromkeys(("index", "container_index", "peer", "parent", "master", "mtu"), INT_MAX),
    **dict.fromkeys(("txqueuelen", "group", "flags"), UINT_MAX),
}


def read_boot_id() -> str:
    """The id of the running boot (random(4)); "" if it can't be read."""
    try:
        with open(_BOOT_ID, encoding="utf-8") as file:  # noqa: PTH123  # no Path objects
            return file.read().strip()
    except OSError:
        return ""


def parse_record(given: Mapping[str, Any], network: Network, where: str = "") -> Record:
    """Parses a record.

    Parameters:
        given: the record as a dictionary.
        network: the network that the record must belong to.
        where: the file from which it was read, for errors; "" for the network's field.

    Raises:
        InvalidNetworkError: the record is malformed, or is one of another version, boot, owner or
            device.
    """

    def refuse(reason: str) -> InvalidNetworkError:
        source = f"{where}: " if where else ""
        return InvalidNetworkError("device", given.get("name"), source + reason, network.name)

    if given.get("version") != VERSION:
        raise refuse(
            f"must be a record of version {VERSION}, not {given.get('version')!r}: tear the "
            "network down with the pynetstrat that set it up"
        )
    if set(given) != set(_TYPES):
        odd = sorted(set(map(str, given)) ^ set(_TYPES))
        raise refuse(f"must be a record as create returned it; wrong keys: {', '.join(odd)}")
    for key, value in given.items():
        if not _fits(key, value):
            raise refuse(f"must be a record as create returned it; its {key} is {value!r}")
    record = Record(**given)
    record.altnames, record.counters = list(record.altnames), list(record.counters)
    if not record.index or not record.container_index:
        raise refuse("must be a record as create returned it; an index is out of range")
    if record.peer and record.kind != "veth":
        raise refuse(f"must be a record as create returned it; its kind is {record.kind!r}")
    if record.up != bool(record.flags & 1):
        raise refuse("must be a record as create returned it; up and flags differ")
    boot_id = read_boot_id()
    if boot_id and record.boot_id and record.boot_id != boot_id:
        raise refuse(
            "is from an earlier boot: the device is in the host namespace again; delete the record"
        )
    if (record.owner, record.name) != (network.owner, network.host_interface_name):
        raise refuse(
            f"must be the record of device {network.host_interface_name} and owner "
            f"{network.owner!r}, not of {record.name} and {record.owner!r}"
        )
    return record


def _fits(key: str, value: object) -> bool:
    """Whether the kernel can be given a value. After the move it would be too late to refuse it."""
    type = _TYPES[key]
    if type == "bool":
        return isinstance(value, bool)
    if type == "int":
        return _is_number(value, _LARGEST.get(key, (1 << 64) - 1))
    if type == "list[int]":
        if not isinstance(value, (list, tuple)) or len(value) not in (0, len(COUNTERS)):
            return False
        return all(_is_number(one, (1 << 64) - 1) for one in value)
    try:
        if type == "str":
            encode_text(key, value, 255)
            if key == "mac" and value:
                parse_mac(value)
            return True
        return isinstance(value, (list, tuple)) and all(
            encode_text(key, name, 127) for name in value
        )
    except InvalidNetworkError:
        return False


def _is_number(value: object, largest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= largest


# ---- files ----


class Store(RunFolder):
    """The open directory of the records.

    A process that moves a device holds its lock. Otherwise two tear-downs of one device could
    interleave, or a set-up and a tear-down. Reading a record needs no lock.

    Parameters:
        host: the device and inode of the host namespace. Several host namespaces may share one
            /run, with networks of the same owners and names in each.

    Raises:
        KernelError: as for `RunFolder`.
    """

    def __init__(self, host: tuple[int, int]) -> None:
        self._host = host
        super().__init__("devices", "host-device keeps its records")

    def write(self, network: Network, record: Record) -> None:
        """Writes the record of a network. It replaces an older one at once, or not at all."""
        self.write_file(self._file_name(network), json.dumps(record.to_dict()).encode())

    def read(self, network: Network) -> Record | None:
        """Reads the record of a network. None if it has no file.

        Raises:
            InvalidNetworkError: the file does not hold a record of this network.
            KernelError: the file can't be read.
        """
        name = self._file_name(network)
        where = self.shown(name)
        try:
            text = self.read_file(name)
            if text is None:
                return None
            given = json.loads(text)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            reason = (
                f"{where}: must be a record in JSON; delete the file, and move the device manually"
            )
            raise InvalidNetworkError("device", None, reason, network.name)
        return parse_record(given, network, where)

    def remove(self, network: Network) -> None:
        """Removes the record of a network, if it exists."""
        self.remove_file(self._file_name(network))

    def _file_name(self, network: Network) -> str:
        """A hash of host namespace, owner, name and device: two may both ask for `eth%d`."""
        wanted = (network.device or {}).get("wanted", network.name)
        key = "\0".join((str(self._host), network.owner, str(wanted), network.host_interface_name))
        return f"{stable_hash(key.encode('utf-8', 'surrogatepass')):016x}"


def open_store(host: tuple[int, int]) -> Store | None:
    """Opens the store for a caller that does not depend on it. None if it can't be opened."""
    try:
        return Store(host)
    except KernelError:
        return None
