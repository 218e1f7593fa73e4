"""Counters from sysfs, which shows the network namespace that its *mount* belongs to.

After `unshare(CLONE_NEWNET)` without a new mount of sysfs, /sys/class/net still lists the
interfaces of the old namespace: rtnetlink.py follows the namespace itself.
"""

from __future__ import annotations

import os
from _thread import RLock
from _warnings import warn
from errno import EBADF

from . import _fork, _native
from .errors import KernelError
from .network import NetworkInterface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Literal, NoReturn

    Name = str | bytes
    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
    Perspective = Literal["container", "host"]
    View = Callable[[str, list[int]], NetworkInterface]

SYSFS_ROOT = "/sys/class/net"


# The two views of eight counters, which come as the host sees them. They fill the dataclass's slots
# themselves: its __init__ would cost as much as a tenth of a whole reading.
_new = object.__new__


def _host_view(name: str, values: list[int]) -> NetworkInterface:
    view = _new(NetworkInterface)
    view.name = name
    (
        view.rx_bytes,
        view.rx_packets,
        view.rx_errors,
        view.rx_dropped,
        view.tx_bytes,
        view.tx_packets,
        view.tx_errors,
        view.tx_dropped,
    ) = values
    return view


def _container_view(name: str, values: list[int]) -> NetworkInterface:
    view = _new(NetworkInterface)
    view.name = name
    (
        view.tx_bytes,
        view.tx_packets,
        view.tx_errors,
        view.tx_dropped,
        view.rx_bytes,
        view.rx_packets,
        view.rx_errors,
        view.rx_dropped,
    ) = values
    return view


def get_view(perspective: Perspective) -> View:
    """What makes the dataclass of a name and the host's eight counters, in its fields' order.

    Raises:
        ValueError: `perspective` is neither "container" nor "host".
    """
    if perspective == "host":
        return _host_view
    if perspective == "container":
        return _container_view
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
    view = get_view(perspective)
    if isinstance(interface_name, (str, bytes)) and not interface_name:
        return NetworkInterface()
    values = _native.sysfs_read(sysfs_root, interface_name)
    return view(os.fsdecode(interface_name), values)


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

    __slots__ = ("_forks", "_lock", "_name", "_reader", "_view")

    def __init__(
        self,
        interface_name: Name,
        *,
        perspective: Perspective = "container",
        sysfs_root: Path = SYSFS_ROOT,
    ) -> None:
        self._reader: _native.Reader | None = None  # for __del__
        self._view = get_view(perspective)
        self._lock = RLock()
        self._forks = _fork.count
        self._reader = _native.Reader(sysfs_root, interface_name)
        self._name = os.fsdecode(interface_name)

    def read(self) -> NetworkInterface:
        """The counters now, under the name by which the interface was opened.

        Raises:
            InterfaceNotFoundError: the interface is gone.
            CounterParseError, KernelError: as `get_network_interface_stats`.
        """
        with self._own_lock():
            reader = self._reader
            if reader is None:
                hint = "this SysfsReader is closed: open a new one"
                raise KernelError(EBADF, "pread", self._name, hint=hint)
            values = reader.read()
        return self._view(self._name, values)

    def close(self) -> None:
        """Closes the files. Closing twice does no harm."""
        with self._own_lock():
            reader, self._reader = self._reader, None
            if reader is not None:
                reader.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SysfsReader can't be copied or pickled: open another")

    def _own_lock(self) -> RLock:
        """The lock; in a forked child a new one: a thread may have held the old one at the fork."""
        if self._forks != _fork.count:
            self._lock, self._forks = RLock(), _fork.count
        return self._lock

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
        if getattr(self, "_reader", None) is not None:  # not there: __init__ never began
            warn(f"unclosed {self!r}", ResourceWarning, 1, self)
            self.close()
