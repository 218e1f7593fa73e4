"""The record of a device that `host-device` has moved, and the files of such records.

`create` returns the record in `Network.device`. Before the device moves, it also writes the record
to a file, for the case that it is killed and for a `destroy` that is called without the record.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from errno import EACCES, EINVAL, ELOOP, ENOENT, ENOTDIR, EPERM, EROFS, ETIMEDOUT
from time import monotonic, sleep

from .._dataclass import dataclass
from .._native.links import parse_mac
from .._native.sysfs import COUNTERS
from .._native.values import INT_MAX, UINT_MAX, encode_text
from ..errors import InvalidNetworkError, KernelError, PermissionDeniedError
from ._hash import stable_hash
from .network import Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

VERSION = 1
RUN = "/run/pynetstrat"
_FOLDER = "devices"
_MOST = 1 << 17  # bytes of a file: an alias and 496 alternative names fit
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
        with open(_BOOT_ID, encoding="ascii") as file:  # noqa: PTH123  # no Path objects
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


class Store:
    """The open directory of the records. It is a context manager.

    Parameters:
        host: the device and inode of the host namespace. Several host namespaces may share one
            /run, with networks of the same owners and names in each.

    Raises:
        PermissionDeniedError: the directory can't be created or opened, belongs to another user, or
            is writable by others.
        KernelError: it is a symbolic link or a file, or can't be opened for another reason.
    """

    _fd = -1

    def __init__(self, host: tuple[int, int]) -> None:
        self._host = host
        run = _open_folder(RUN, None, RUN)
        try:
            self._fd = _open_folder(_FOLDER, run, f"{RUN}/{_FOLDER}")
        finally:
            close_descriptor(run)

    def lock(self, until: float) -> None:
        """Locks the directory until it is closed, so that one process at a time moves devices.

        Without the lock, two tear-downs of one device could interleave, or a set-up and a
        tear-down. Reading a record needs no lock.

        Parameters:
            until: how long to wait, as a time of `time.monotonic()`.

        Raises:
            KernelError: another process holds the lock (ETIMEDOUT), or the kernel refuses it.
        """
        where = f"{RUN}/{_FOLDER}"
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if monotonic() >= until:
                    hint = "another process is moving a device and did not finish in time"
                    raise KernelError(ETIMEDOUT, "flock", hint=hint, filename=where) from None
                sleep(0.002)
            except OSError as error:
                raise KernelError(error.errno or 0, "flock", filename=where) from error

    def close(self) -> None:
        """Unlocks and closes the directory. Closing it twice does no harm."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # a forked child may hold the descriptor, too
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        fd, self._fd = self._fd, -1
        if fd >= 0:
            close_descriptor(fd)

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, network: Network, record: Record) -> None:
        """Writes the record of a network. It replaces an older one at once, or not at all."""
        name = self._file_name(network)
        aside = f"{name}.new"
        text = json.dumps(record.to_dict()).encode()
        try:
            self._unlink(aside)  # of a process that was killed
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(aside, flags, 0o600, dir_fd=self._fd)
            try:
                while text:
                    text = text[os.write(file, text) :]
            finally:
                close_descriptor(file)
            os.rename(aside, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._unlink(aside)
            raise _failure(error, "write", self._shown(network)) from error

    def read(self, network: Network) -> Record | None:
        """Reads the record of a network. None if it has no file.

        Raises:
            InvalidNetworkError: the file does not hold a record of this network.
            KernelError: the file can't be read.
        """
        where = self._shown(network)
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            file = os.open(self._file_name(network), flags, dir_fd=self._fd)
        except OSError as error:
            if error.errno == ENOENT:
                return None
            if error.errno == ELOOP:  # a symbolic link
                hint = "must be a regular file: delete it"
                raise KernelError(ELOOP, "open", hint=hint, filename=where) from error
            raise _failure(error, "open", where) from error
        try:
            _check_owner(file, where, stat.S_ISREG, "a regular file")
            given = json.loads(_read_whole(file, where))
        except ValueError:
            given = None
        finally:
            close_descriptor(file)
        if not isinstance(given, dict):
            reason = (
                f"{where}: must be a record in JSON; delete the file, and move the device manually"
            )
            raise InvalidNetworkError("device", None, reason, network.name)
        return parse_record(given, network, where)

    def remove(self, network: Network) -> None:
        """Removes the record of a network, if it exists."""
        try:
            self._unlink(self._file_name(network))
        except OSError as error:
            raise _failure(error, "unlink", self._shown(network)) from error

    def _file_name(self, network: Network) -> str:
        """A hash of host namespace, owner, name and device: two may both ask for `eth%d`."""
        wanted = (network.device or {}).get("wanted", network.name)
        key = "\0".join((str(self._host), network.owner, str(wanted), network.host_interface_name))
        return f"{stable_hash(key.encode('utf-8', 'surrogatepass')):016x}"

    def _shown(self, network: Network) -> str:
        return f"{RUN}/{_FOLDER}/{self._file_name(network)}"

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=self._fd, follow_symlinks=False)  # EROFS even if it is missing
            os.unlink(name, dir_fd=self._fd)


def open_store(host: tuple[int, int]) -> Store | None:
    """Opens the store for a caller that does not depend on it. None if it can't be opened."""
    try:
        return Store(host)
    except KernelError:
        return None


def _read_whole(fd: int, shown: str) -> bytes:
    text = b""
    try:
        while len(text) < _MOST and (part := os.read(fd, _MOST)):
            text += part
    except OSError as error:
        raise _failure(error, "read", shown) from error
    return text


def close_descriptor(fd: int) -> None:
    """Closes a descriptor. Linux has closed it whatever close(2) returns."""
    with contextlib.suppress(OSError):
        os.close(fd)


def _open_folder(name: str, at: int | None, shown: str) -> int:
    """Opens a directory that only the caller can write. It is created if it does not exist."""
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=at)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, dir_fd=at)
    except OSError as error:
        raise _failure(error, "open", shown) from error
    try:
        _check_owner(fd, shown, stat.S_ISDIR, "a directory")
    except BaseException:
        close_descriptor(fd)
        raise
    return fd


def _check_owner(fd: int, shown: str, is_kind: Any, kind: str) -> None:
    """Raises KernelError unless a file is of the right kind and only the caller can write it."""
    try:
        found = os.fstat(fd)
    except OSError as error:
        raise _failure(error, "fstat", shown) from error
    if not is_kind(found.st_mode):
        raise KernelError(EINVAL, "open", hint=f"must be {kind}", filename=shown)
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        hint = f"must belong to user {os.geteuid()} and must not be writable by other users"
        raise PermissionDeniedError(EPERM, "open", hint=hint, filename=shown)


def _failure(error: OSError, step: str, shown: str) -> KernelError:
    code = error.errno or 0
    kind = PermissionDeniedError if code in (EPERM, EACCES) else KernelError
    if code in (ELOOP, ENOTDIR):
        hint = "must be a directory, not a symbolic link or a file: remove it"
    elif code in (EACCES, EPERM, EROFS):
        hint = "host-device keeps its records in this directory: make it writable for this user"
    else:
        hint = ""
    return kind(code, step, hint=hint, filename=shown)
