"""Counters from sysfs, which shows the network namespace that its *mount* belongs to.

After `unshare(CLONE_NEWNET)` without a new mount of sysfs, /sys/class/net still lists the
interfaces of the old namespace: rtnetlink.py follows the namespace itself.
"""

from __future__ import annotations

import os
from _thread import RLock
from _warnings import warn
from errno import EBADF

from . import _native
from .errors import KernelError
from .network import NetworkInterface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Literal

    Name = str | bytes
    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
    Perspective = Literal["container", "host"]

SYSFS_ROOT = "/sys/class/net"


def _from_container(
    name: str, rb: int, rp: int, re: int, rd: int, tb: int, tp: int, te: int, td: int
) -> NetworkInterface:
    return NetworkInterface(name, tb, tp, te, td, rb, rp, re, rd)


def interface_maker(perspective: Perspective) -> Callable[..., NetworkInterface]:
    """What makes the dataclass from a name and the host's eight counters.

    Raises:
        ValueError: `perspective` is neither "container" nor "host".
    """
    if perspective == "host":
        return NetworkInterface
    if perspective == "container":
        return _from_container
    raise ValueError(f'perspective is "container" or "host", not {perspective!r}')


def get_network_interface_stats(
    interface_name: Name, *, perspective: Perspective = "container", sysfs_root: Path = SYSFS_ROOT
) -> NetworkInterface:
    """The eight counters of an interface, from its files in sysfs.

    Parameters:
        interface_name: the interface; "" gives an empty name and eight zeros, and makes no system
            call.
        perspective: "container": seen from the other end of a veth pair, so the host's `tx_*` are
            its `rx_*`; "host": as the kernel counts.
        sysfs_root: the directory of the interfaces.

    Raises:
        InvalidInterfaceNameError: it is no name (`dev_valid_name`), or longer than 15 bytes.
        InterfaceNotFoundError: no such interface, or it vanished.
        CounterParseError: a file holds something else than an unsigned 64-bit decimal.
        KernelError: anything else; its subclasses say more.
    """
    make = interface_maker(perspective)
    if isinstance(interface_name, (str, bytes)) and not interface_name:
        return NetworkInterface()
    values = _native.sysfs_read(sysfs_root, interface_name)
    return make(os.fsdecode(interface_name), *values)


def read_sysfs_network_stats(
    interface_name: Name, stats_file: str, *, sysfs_root: Path = SYSFS_ROOT
) -> int:
    """One counter of an interface, as the host sees it: SYSFS_ROOT/INTERFACE/statistics/FILE.

    Parameters:
        interface_name: the interface.
        stats_file: the counter's file name, such as "rx_bytes" or "collisions".
        sysfs_root: the directory of the interfaces.

    Raises:
        InvalidInterfaceNameError, InvalidCounterNameError: no name, and so not looked for.
        InterfaceNotFoundError, CounterNotFoundError: looked for, and not there.
        CounterParseError: the file holds something else than an unsigned 64-bit decimal.
        KernelError: anything else.
    """
    return _native.sysfs_read_counter(sysfs_root, interface_name, stats_file)


class SysfsReader:
    """The eight counter files of an interface, held open: eight `pread` calls a reading.

    It follows the interface through a rename, and never waits for the kernel's RTNL lock, so its
    slowest readings stay short while others create and delete interfaces. A context manager; safe
    to share among threads.

    Parameters, Raises: as `get_network_interface_stats`, but that "" is no name here.
    """

    __slots__ = ("_lock", "_make", "_name", "_reader")

    def __init__(
        self,
        interface_name: Name,
        *,
        perspective: Perspective = "container",
        sysfs_root: Path = SYSFS_ROOT,
    ) -> None:
        self._reader: _native.Reader | None = None  # for __del__
        self._make = interface_maker(perspective)
        self._lock = RLock()
        self._reader = _native.Reader(sysfs_root, interface_name)
        self._name = os.fsdecode(interface_name)

    def read(self) -> NetworkInterface:
        """The counters now, under the name by which the interface was opened.

        Raises:
            InterfaceNotFoundError: the interface is gone.
            CounterParseError, KernelError: as `get_network_interface_stats`.
        """
        with self._lock:
            if self._reader is None:
                hint = "this SysfsReader is closed: open a new one"
                raise KernelError(EBADF, "pread", self._name, hint=hint)
            values = self._reader.read()
        return self._make(self._name, *values)

    def close(self) -> None:
        """Closes the files. Closing twice does no harm."""
        with self._lock:
            reader, self._reader = self._reader, None
            if reader is not None:
                reader.close()

    def __enter__(self) -> SysfsReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._reader is not None:
            warn(f"unclosed {self!r}", ResourceWarning, 1, self)
            self.close()
