"""Counters from sysfs: read once, or held open by a `SysfsReader`."""

from __future__ import annotations

import contextlib
import os
from errno import ENODEV
from functools import partial

from . import _handle
from ._handle import Handle
from ._native import sysfs as native
from ._native.socket import Socket
from ._sysfs_proof import (
    ROOT,
    SHORTAGE,
    TIMEOUT_MS,
    agrees_with,
    find_agreeing,
    find_proven,
    read_if_proven,
)
from .counters import NetworkInterface, get_view
from .errors import (
    ForeignSysfsError,
    InterfaceNotFoundError,
    KernelError,
    NetlinkUnavailableError,
    quote,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .types import FilePath, Name, Netns, Perspective

    Result = TypeVar("Result")


def get_network_interface_stats(
    interface_name: Name,
    *,
    perspective: Perspective = "container",
    netns: Netns | None = None,
    sysfs_root: FilePath | None = None,
) -> NetworkInterface:
    """Reads the eight counters of an interface once.

    Without `netns` and `sysfs_root` the interface is one of the calling thread's network namespace.
    Its counters come from /sys/class/net if /sys is proven to show that namespace, and otherwise
    from rtnetlink, which has the same numbers. The proof is a mount, made once; it needs
    CAP_SYS_ADMIN. Each call checks by two system calls that the proof still holds. For many
    readings of one interface, `SysfsReader` is faster.

    Parameters:
        interface_name: the interface. For "" the result has no name and all counters are 0; no
            system call is made.
        perspective: "container" swaps rx and tx: with the name of a host end, the result is what
            the container's end counts. "host" does not swap.
        netns: another network namespace, as for `RtnetlinkSocket`. The counters come from
            rtnetlink. Entering the namespace needs CAP_SYS_ADMIN.
        sysfs_root: a directory to read in place of /sys/class/net, such as
            /proc/PID/root/sys/class/net. It is trusted: nothing checks which namespace it shows.

    Returns:
        The counters, each an unsigned 64-bit number since the interface was made.

    Raises:
        InvalidInterfaceNameError: the kernel allows no interface of that name (`dev_valid_name`,
            net/core/dev.c).
        InterfaceNotFoundError: the interface does not exist, or was deleted during the call.
        CounterParseError: a file does not hold an unsigned 64-bit decimal.
        ForeignSysfsError: /sys is not known to show the namespace, and rtnetlink is refused.
        KernelError: any other failure; its subclasses are more specific.
        ValueError: `perspective` is unknown, or both `netns` and `sysfs_root` are given.

    Example:
        >>> get_network_interface_stats("lo", perspective="host").rx_packets
        0
    """
    view = get_view(perspective)
    if isinstance(interface_name, (str, bytes)) and not interface_name:
        return NetworkInterface()
    values: list[int] | None
    if sysfs_root is not None:
        _refuse_both(netns)
        values = native.read(native.encode_root(sysfs_root), interface_name)
    elif netns is None:
        values = _read(native.read, _by_rtnetlink, interface_name)
    else:
        values = _by_rtnetlink(interface_name, netns)
    assert values is not None  # None only with an identity
    return view(
        interface_name if type(interface_name) is str else os.fsdecode(interface_name), values
    )


def _refuse_both(netns: object) -> None:
    if netns is not None:
        raise ValueError("give netns or sysfs_root, not both: a tree shows one namespace")


def read_sysfs_network_stats(
    interface_name: Name, stats_file: str, *, sysfs_root: FilePath | None = None
) -> int:
    """Reads one counter of an interface from INTERFACE/statistics/FILE, as the host counts it.

    Parameters:
        interface_name: the interface.
        stats_file: the file name of the counter, such as "rx_bytes" or "collisions"
            (Documentation/ABI/testing/sysfs-class-net-statistics).
        sysfs_root: the directory of the interfaces, which is trusted. None: /sys/class/net if it is
            proven to show the calling thread's network namespace. Otherwise the eight counters of
            `NetworkInterface` come from rtnetlink, and any other one from a new mount of sysfs,
            which is not attached to the file tree.

    Returns:
        The counter, in bytes or packets; rx and tx are not swapped.

    Raises:
        InvalidInterfaceNameError: the interface name is not valid.
        InvalidCounterNameError: the file name is not one path component.
        InterfaceNotFoundError: the interface does not exist.
        CounterNotFoundError: the interface has no such counter.
        CounterParseError: the file does not hold an unsigned 64-bit decimal.
        ForeignSysfsError: /sys is not known to show the namespace, and nothing else can be read.
        KernelError: any other failure.

    Example:
        >>> read_sysfs_network_stats("lo", "collisions")
        0
    """
    if sysfs_root is not None:
        value = native.read_counter(native.encode_root(sysfs_root), interface_name, stats_file)
    else:
        value = _read(native.read_counter, _read_without_sys, interface_name, stats_file)
    assert value is not None  # None only with an identity
    return value


# ---- where a reading comes from ----


def _read(
    from_sys: Callable[..., Result | None],
    otherwise: Callable[..., Result],
    name: object,
    *file: str,
) -> Result:
    """Reads from /sys if it shows the calling thread's namespace, otherwise by `otherwise`.

    Parameters:
        from_sys: called with the root, the name, `file`, and the identity of /sys.
        otherwise: called with the name and `file`.
    """
    try:
        found = read_if_proven(from_sys, name, *file)
    except KernelError as error:
        # No such interface: this /sys may be that of a namespace that has ended, whose inode is
        # now ours. "open": /sys is out of reach since the proof (chroot, seccomp).
        if isinstance(error, InterfaceNotFoundError) or error.operation == "open":
            with contextlib.suppress(KernelError):
                return otherwise(name, *file)
        raise
    if found is not None:
        return found
    try:
        return otherwise(name, *file)
    except NetlinkUnavailableError as error:
        raise _foreign(name, error) from error


def _by_rtnetlink(name: object, netns: object = None) -> list[int]:
    """The eight counters of an interface. An alternative name is refused, as in sysfs."""
    native.check(name)
    sock = Socket(netns, TIMEOUT_MS)
    try:
        values, _, own_name = sock.get_stats_by_name(name)
    finally:
        sock.close()
    asked: str = os.fsdecode(name)  # type: ignore[arg-type]
    if own_name != asked:
        hint = f"this is an alternative name of {quote(own_name)}, which sysfs does not know"
        raise InterfaceNotFoundError(ENODEV, "RTM_GETLINK", asked, hint=hint)
    return values


def _read_without_sys(name: object, file: str) -> int:
    """One counter, where /sys is not proven to show the namespace."""
    native.check(name, file)
    if file in native.COUNTERS:
        return _by_rtnetlink(name)[native.COUNTERS.index(file)]
    try:
        mount = _mount(name, None)
    except ForeignSysfsError:
        identity = find_agreeing()
        if identity is not None and _agrees(name, partial(native.read, ROOT, name, identity)):
            value = native.read_counter(ROOT, name, file, identity)
            if value is not None:
                return value
        raise
    try:
        value = native.read_counter(mount.ROOT, name, file, None, mount.fd)
    finally:
        mount.close()
    assert value is not None
    return value


def _agrees(name: object, read: Callable[[], list[int] | None]) -> bool:
    """Whether `read` and rtnetlink have the same counters of an interface."""
    try:
        before, found = _by_rtnetlink(name), read()
        return found is not None and agrees_with(before, found, _by_rtnetlink(name))
    except KernelError:
        return False


def _mount(name: object, netns: object) -> native.Mount:
    """A detached mount of the sysfs of a namespace.

    Raises:
        ForeignSysfsError: mounting is refused.
        KernelError: any other failure, such as a namespace that can't be entered.
    """
    try:
        return native.Mount(netns, name)
    except KernelError as error:
        if error.errno in SHORTAGE or not error.operation.startswith("fs"):
            raise
        raise _foreign(name, error) from error


def _foreign(name: object, cause: KernelError) -> ForeignSysfsError:
    """The error where /sys is not known to show the namespace, and `cause` bars the other ways."""
    hint = (
        f"{cause.hint}; /sys is not known to show this network namespace, and is not read: mount a "
        "sysfs in this namespace, or give sysfs_root"
    ).removeprefix("; ")
    shown = os.fsdecode(name) if isinstance(name, (str, bytes)) else ""
    return ForeignSysfsError(cause.errno or 0, cause.operation, shown, hint=hint)


# ---- held open ----


class SysfsReader(Handle):
    """The eight counter files of an interface, held open: a reading is eight `pread` calls.

    A reader follows its interface when that is renamed. It never waits for the kernel's RTNL lock,
    so even its slowest readings stay short while links are created and deleted. It does not keep
    the namespace alive: once the namespace has ended, the interface does not exist.

    It is a context manager. Threads may share it, and it works in a forked child.

    Parameters:
        interface_name: the interface, which must not be "".
        perspective: "container" swaps rx and tx, "host" does not.
        netns: another network namespace, as for `get_network_interface_stats`.
        sysfs_root: a directory to read in place of /sys/class/net. It is trusted.

    Without `sysfs_root` the files are those of /sys if it is proven to show the namespace.
    Otherwise they are those of a new mount of sysfs, which is not attached to the file tree (Linux
    5.2, CAP_SYS_ADMIN). Where that mount is refused, /sys is read if all its links and their
    counters agree with those of rtnetlink.

    Raises:
        InvalidInterfaceNameError: the interface name is not valid.
        InterfaceNotFoundError: the interface does not exist.
        ForeignSysfsError: /sys does not show the namespace, and mounting sysfs is refused.
        KernelError: any other failure.
        ValueError: `perspective` is unknown, or both `netns` and `sysfs_root` are given.

    Example:
        >>> with SysfsReader("lo", perspective="host") as reader:
        ...     reader.read().rx_packets
        0
    """

    __slots__ = ("_name", "_view", "_where")

    def __init__(
        self,
        interface_name: Name,
        *,
        perspective: Perspective = "container",
        netns: Netns | None = None,
        sysfs_root: FilePath | None = None,
    ) -> None:
        self._view = get_view(perspective)
        reader = _open_reader(interface_name, netns, sysfs_root)
        self._name = os.fsdecode(interface_name)
        self._where = ""
        if sysfs_root is not None:
            self._where = f" beneath {quote(os.fsdecode(sysfs_root))}"
        elif netns is not None:
            self._where = f" in {netns!r}"
        self._attach(reader)

    def __repr__(self) -> str:
        name = quote(getattr(self, "_name", ""))
        return f"<SysfsReader of {name}{getattr(self, '_where', '')}: {self._state()}>"

    def read(self) -> NetworkInterface:
        """Reads the eight counters.

        Returns:
            The counters, under the name with which the reader was opened.

        Raises:
            InterfaceNotFoundError: the interface was deleted, or its namespace has ended.
            CounterParseError: a file does not hold an unsigned 64-bit decimal.
            KernelError: the reader is closed, or any other failure.
        """
        if self._forks != _handle.forks:
            self._attach(self._native)
        with self._lock:  # _locked(), inlined: the call would cost 2 % of a reading
            reader, self._idle = self._idle, None
            try:
                if reader is None:
                    raise self._unusable("pread", self._name)
                values = reader.read()
            finally:
                self._idle = reader
        return self._view(self._name, values)


def _open_reader(name: object, netns: object, sysfs_root: object) -> native.Reader:
    if sysfs_root is not None:
        _refuse_both(netns)
        return native.Reader(native.encode_root(sysfs_root), name)
    if netns is None and (identity := find_proven(anew=True)) is not None:
        try:
            return native.Reader(ROOT, name, identity)
        except LookupError:  # /sys is another by now
            pass
        except InterfaceNotFoundError:  # perhaps the /sys of a namespace that has ended: see _read
            with contextlib.suppress(KernelError):
                return _mounted_reader(name, None)
            raise
    try:
        return _mounted_reader(name, netns)
    except ForeignSysfsError:
        if netns is None and (found := _agreeing_reader(name)) is not None:
            return found
        raise


def _mounted_reader(name: object, netns: object) -> native.Reader:
    """A reader of a detached mount."""
    native.check(name)
    mount = _mount(name, netns)
    try:
        return native.Reader(mount.ROOT, name, None, mount.fd)
    finally:
        mount.close()


def _agreeing_reader(name: object) -> native.Reader | None:
    """A reader of /sys, if /sys agrees with rtnetlink."""
    if (identity := find_agreeing()) is None:
        return None
    try:
        reader = native.Reader(ROOT, name, identity)
    except (LookupError, KernelError):
        return None
    if _agrees(name, reader.read):
        return reader
    reader.close()
    return None
