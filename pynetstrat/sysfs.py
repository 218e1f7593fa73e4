"""Counters from files, and whose files they are.

A sysfs shows the network namespace in which it was mounted. After `unshare(CLONE_NEWNET)` or
`setns` without a new mount /sys still shows the old one, and an interface of the same name there is
another interface. So /sys is believed only where it is known to show the calling thread's
namespace; where it is not, rtnetlink or a detached mount of the right sysfs answers.
"""

from __future__ import annotations

import contextlib
import os
from errno import EMFILE, ENFILE, ENODEV, ENOMEM
from functools import partial

from . import guard
from ._native import sysfs as native
from ._native.socket import Socket
from .counters import NetworkInterface, get_view
from .errors import (
    ForeignSysfsError,
    InterfaceNotFoundError,
    KernelError,
    NetlinkUnavailableError,
    quote,
)
from .guard import Guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .arguments import FilePath, Name, Netns, Perspective

    Result = TypeVar("Result")

_ROOT = b"/sys/class/net"
_TIMEOUT_MS = 5000

# ---- whose files /sys has ----

# What was found of the places where threads of this process have been, by Place.key: the place if
# it shows its thread's namespace, None if it does not.
_verdicts: dict[bytes, native.Place | None] = {}
_newest: native.Place | None = None  # the last one that was asked about and does

_MANY = 1024  # verdicts: a process that has been in more namespaces than that begins anew

# What says that a mount failed for want of something, and nothing about the right to it.
_SHORTAGE = frozenset({EMFILE, ENFILE, ENOMEM})


def _find_place(*, anew: bool = False) -> native.Place | None:
    """The place of /sys and the calling thread, if that /sys shows the thread's namespace.

    Parameters:
        anew: don't believe an earlier verdict that it does not.
    """
    global _newest
    try:
        place = native.Place(_ROOT)
    except KernelError:  # no /proc, no /sys
        return None
    if _verdicts.get(place.key) is None:
        if place.key in _verdicts and not anew:
            return None
        shown = _is_shown(place)
        if shown is None:
            return None
        if len(_verdicts) >= _MANY:
            _verdicts.clear()
        _verdicts[place.key] = place if shown else None
    if (found := _verdicts.get(place.key)) is not None:
        _newest = found
    return found


def shows_own_namespace() -> bool:
    """Whether /sys is known to show the calling thread's network namespace."""
    return _find_place(anew=True) is not None


def _is_shown(place: native.Place) -> bool | None:
    """Whether the files at the place are those of the calling thread's namespace; None: unknown."""
    try:
        mount = native.Mount()
    except KernelError as error:
        if error.errno in _SHORTAGE:
            raise
        return _has_same_links()
    try:
        # The kernel keeps one file system for a namespace, however often it is mounted.
        return native.Place(mount.ROOT, mount.fd).device() == place.device()
    finally:
        mount.close()


def _has_same_links() -> bool | None:
    """The same for those who may not mount: are the links of /sys those that rtnetlink gives?"""
    for _ in range(3):  # links that come and go meanwhile make a difference too
        try:
            links = _links_of_rtnetlink()
        except KernelError:
            return None
        # Every namespace has lo at index 1, and may have tunnels without an address at the next.
        if not any(mac.strip("0:") for _, mac in links.values()):
            return None
        if _links_of_sysfs() == links:
            return True
    return False


def _links_of_rtnetlink() -> dict[str, tuple[int, str]]:
    """The index and the hardware address of each link, by name."""
    sock = Socket(None, _TIMEOUT_MS)
    try:
        return sock.dump_macs()
    finally:
        sock.close()


def _links_of_sysfs() -> dict[str, tuple[int, str]]:
    """The same from files."""
    found = {}
    root = os.fsdecode(_ROOT)
    for name in os.listdir(root):  # noqa: PTH208  # names, and thousands of them
        # Files stand among the links (bonding_masters), and links may go meanwhile.
        with contextlib.suppress(OSError, ValueError):
            found[name] = (
                int(_read_file(f"{root}/{name}/ifindex")),
                _read_file(f"{root}/{name}/address").decode().strip(),
            )
    return found


def _read_file(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # unbuffered
        return file.read(4096)


# ---- reading ----


def _by_rtnetlink(name: object, netns: object = None) -> list[int]:
    """The eight counters of an interface; as in sysfs, an alternative name is not one's name."""
    native.check(name)
    sock = Socket(netns, _TIMEOUT_MS)
    try:
        values, _, own_name = sock.get_stats_by_name(name)
    finally:
        sock.close()
    asked: str = os.fsdecode(name)  # type: ignore[arg-type]
    if own_name != asked:
        hint = f"this is an alternative name of {quote(own_name)}, which sysfs does not know"
        raise InterfaceNotFoundError(ENODEV, "RTM_GETLINK", asked, hint=hint)
    return values


def _foreign(name: object, cause: KernelError) -> ForeignSysfsError:
    """The error where /sys is not known to show the namespace, and `cause` bars all else."""
    hint = (
        f"{cause.hint}; /sys is not known to show this network namespace, and is not believed: "
        "mount a sysfs of its own, or give sysfs_root"
    ).removeprefix("; ")
    shown = os.fsdecode(name) if isinstance(name, (str, bytes)) else ""
    return ForeignSysfsError(cause.errno or 0, cause.operation, shown, hint=hint)


def _from_sys(read: Callable[[native.Place], Result | None]) -> Result | None:
    """What `read` gives of /sys, where that shows the calling thread's namespace; or None."""
    # The place is almost always that of the last time: to find it first would cost a third more.
    if (place := _newest) is not None and (found := read(place)) is not None:
        return found
    return None if (place := _find_place()) is None else read(place)


def _read(
    name: object,
    from_sys: Callable[[native.Place], Result | None],
    elsewhere: Callable[[], Result],
) -> Result:
    """What is read of /sys, or elsewhere if that does not show the calling thread's namespace."""
    try:
        found = _from_sys(from_sys)
    except KernelError as error:
        # No such interface: so it is; unless the namespace that this /sys shows has ended, and ours
        # has its number. "open": that /sys is out of reach by now (chroot, seccomp).
        if isinstance(error, InterfaceNotFoundError) or error.operation == "open":
            with contextlib.suppress(KernelError):
                return elsewhere()
        raise
    if found is not None:
        return found
    try:
        return elsewhere()
    except NetlinkUnavailableError as error:
        raise _foreign(name, error) from error


def get_network_interface_stats(
    interface_name: Name,
    *,
    perspective: Perspective = "container",
    netns: Netns | None = None,
    sysfs_root: FilePath | None = None,
) -> NetworkInterface:
    """The eight counters of an interface, one shot.

    They come from sysfs where /sys is known to show the calling thread's network namespace (checked
    each time, by two system calls), and from rtnetlink where it is not: the same numbers.

    Parameters:
        interface_name: the interface; "" gives an empty name and eight zeros, and makes no system
            call.
        perspective: "container": seen from the other end of a veth pair, so the host's `tx_*` are
            its `rx_*`; "host": as the kernel counts.
        netns: the interface's namespace, as for `RtnetlinkSocket`, which it is read by then; None:
            the calling thread's.
        sysfs_root: a tree like /sys/class/net to read from instead, whatever it shows.

    Raises:
        InvalidInterfaceNameError: no interface can have that name (`dev_valid_name`).
        InterfaceNotFoundError: no such interface, or it vanished.
        CounterParseError: a file does not hold an unsigned 64-bit decimal.
        ForeignSysfsError: /sys is not known to show the namespace, and rtnetlink is refused.
        KernelError: anything else; its subclasses say more.
        ValueError: an unknown perspective, or both `netns` and `sysfs_root`.
    """
    view = get_view(perspective)
    if isinstance(interface_name, (str, bytes)) and not interface_name:
        return NetworkInterface()
    values: list[int] | None
    if sysfs_root is not None:
        _refuse_both(netns)
        values = native.read(native.encode_root(sysfs_root), interface_name)
    elif netns is None:
        from_sys = partial(native.read, _ROOT, interface_name)
        values = _read(interface_name, from_sys, partial(_by_rtnetlink, interface_name))
    else:
        values = _by_rtnetlink(interface_name, netns)
    assert values is not None  # without a place there is always an answer
    return view(os.fsdecode(interface_name), values)


def _refuse_both(netns: object) -> None:
    if netns is not None:
        raise ValueError("give netns or sysfs_root, not both: a tree has its own namespace")


def read_sysfs_network_stats(
    interface_name: Name, stats_file: str, *, sysfs_root: FilePath | None = None
) -> int:
    """One counter of an interface, as the host sees it: SYSFS_ROOT/INTERFACE/statistics/FILE.

    Parameters:
        interface_name: the interface.
        stats_file: the counter's file name, such as "rx_bytes" or "collisions".
        sysfs_root: the directory of the interfaces. None: /sys/class/net where it is known to show
            the calling thread's network namespace; otherwise rtnetlink answers for the eight
            counters of `NetworkInterface`, and a detached mount for others.

    Raises:
        InvalidInterfaceNameError, InvalidCounterNameError: not valid, and so not looked for.
        InterfaceNotFoundError, CounterNotFoundError: looked for, and not there.
        CounterParseError: the file does not hold an unsigned 64-bit decimal.
        ForeignSysfsError: /sys is not known to show the namespace, and nothing else can be read.
        KernelError: anything else.
    """
    if sysfs_root is not None:
        value = native.read_counter(native.encode_root(sysfs_root), interface_name, stats_file)
    else:
        from_sys = partial(native.read_counter, _ROOT, interface_name, stats_file)
        elsewhere = partial(_read_elsewhere, interface_name, stats_file)
        value = _read(interface_name, from_sys, elsewhere)
    assert value is not None  # without a place there is always an answer
    return value


def _read_elsewhere(name: object, file: str) -> int:
    native.check(name, file)
    if file in native.COUNTERS:
        return _by_rtnetlink(name)[native.COUNTERS.index(file)]
    mount = _mount(name, None)
    try:
        value = native.read_counter(mount.ROOT, name, file, None, mount.fd)
    finally:
        mount.close()
    assert value is not None
    return value


def _mount(name: object, netns: object) -> native.Mount:
    """A detached mount of the sysfs of a namespace, or ForeignSysfsError where that is refused."""
    try:
        return native.Mount(netns, name)
    except KernelError as error:
        if error.errno in _SHORTAGE or not error.operation.startswith("fs"):
            raise  # it was not mounting that failed
        raise _foreign(name, error) from error


# ---- held open ----


def _open_reader(name: object, netns: object, sysfs_root: object) -> native.Reader:
    if sysfs_root is not None:
        _refuse_both(netns)
        return native.Reader(native.encode_root(sysfs_root), name)
    if netns is None and (place := _find_place(anew=True)) is not None:
        try:
            return native.Reader(_ROOT, name, place)
        except LookupError:
            pass
        except InterfaceNotFoundError:  # as in _read()
            with contextlib.suppress(KernelError):
                return _mounted_reader(name, None)
            raise
    return _mounted_reader(name, netns)


def _mounted_reader(name: object, netns: object) -> native.Reader:
    native.check(name)
    mount = _mount(name, netns)
    try:
        return native.Reader(mount.ROOT, name, None, mount.fd)
    finally:
        mount.close()


class SysfsReader(Guarded):
    """The eight counter files of an interface, held open: eight `pread` calls a reading.

    It follows the interface through a rename, and never waits for the kernel's RTNL lock, so its
    slowest readings stay short while others create and delete interfaces. It does not keep its
    namespace alive: once that has ended the interface is gone. A context manager; safe to share
    among threads, and usable in a forked child.

    Parameters:
        interface_name, perspective, netns, sysfs_root: as for `get_network_interface_stats`, but
            that "" is not a name here. Where /sys is not known to show the namespace, a detached
            mount of the right sysfs is opened (Linux 5.2; it needs CAP_SYS_ADMIN).

    Raises: as `get_network_interface_stats`, and
        ForeignSysfsError: such a mount is needed, and refused.
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
        self._guard(reader)

    def __repr__(self) -> str:
        name = quote(getattr(self, "_name", ""))
        return f"<SysfsReader of {name}{getattr(self, '_where', '')}: {self._state()}>"

    def read(self) -> NetworkInterface:
        """The counters now, under the name by which the interface was opened.

        Raises:
            InterfaceNotFoundError: the interface is gone, or its namespace is.
            CounterParseError, KernelError: as `get_network_interface_stats`.
        """
        if self._forks != guard.forks:
            self._guard(self._native)
        with self._lock:  # _turn(), inlined: the call would cost 2 %
            reader, self._idle = self._idle, None
            try:
                if reader is None:
                    raise self._unusable("pread", self._name)
                values = reader.read()
            finally:
                self._idle = reader
        return self._view(self._name, values)
