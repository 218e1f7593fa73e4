"""Counters from files, and whose files they are.

A sysfs shows the network namespace in which it was mounted. After `unshare(CLONE_NEWNET)` or
`setns` without a new mount /sys still shows the old one, and an interface of the same name there is
another interface. So /sys is read only where it is proven to show the calling thread's namespace:
a second mount of the right sysfs has the same device number. Elsewhere rtnetlink or that second
mount answers. Where mounting is refused, what rtnetlink can't do (files held open, other counters
than the eight) is read from /sys if its links agree with rtnetlink's in every respect.
"""

from __future__ import annotations

import contextlib
import os
from errno import EMFILE, ENFILE, ENODEV, ENOMEM
from functools import partial

from . import _handle
from ._handle import Handle
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from .types import FilePath, Name, Netns, Perspective

    Result = TypeVar("Result")

_ROOT = b"/sys/class/net"
_TIMEOUT_MS = 5000

# ---- whose files /sys has ----

# What was found of the places where threads of this process have been, by SysfsIdentity.key:
# the place if it shows its thread's namespace, else None. A mount has proven it, so it stays true.
_verdicts: dict[bytes, native.SysfsIdentity | None] = {}
_newest: native.SysfsIdentity | None = None  # the last one that was asked about and does

# Places of which no mount has proven anything, but whose links have agreed with rtnetlink's once.
_agreeing: set[bytes] = set()

_MANY = 1024  # verdicts: a process that has been in more namespaces than that begins anew

# What says that a mount failed for want of something, and nothing about the right to it.
_SHORTAGE = frozenset({EMFILE, ENFILE, ENOMEM})


def _find_place(*, anew: bool = False) -> native.SysfsIdentity | None:
    """The place of /sys and the calling thread, if that /sys shows the thread's namespace.

    Parameters:
        anew: don't believe an earlier verdict that it does not.
    """
    global _newest
    try:
        place = native.SysfsIdentity(_ROOT)
    except KernelError:  # no /proc, no /sys
        return None
    if _verdicts.get(place.key) is None:
        if place.key in _verdicts and not anew:
            return None
        shown = _matches_netns(place)
        if shown is None:
            return None
        if len(_verdicts) >= _MANY:
            _verdicts.clear()
        _verdicts[place.key] = place if shown else None
    if (found := _verdicts.get(place.key)) is not None:
        _newest = found
    return found


def shows_own_namespace() -> bool:
    """Whether /sys is known to show the calling thread's namespace, or agrees with rtnetlink."""
    return (_find_place(anew=True) or _agreeing_place()) is not None


def _matches_netns(place: native.SysfsIdentity) -> bool | None:
    """Whether the files at the place are those of the calling thread's namespace.

    None if mounting is refused: no number of equal links is a proof, since two containers with the
    same links can exist on one host.
    """
    try:
        mount = native.Mount()
    except KernelError as error:
        if error.errno in _SHORTAGE:
            raise
        return None
    try:
        # The kernel keeps one file system for a namespace, however often it is mounted.
        return native.SysfsIdentity(mount.ROOT, mount.fd).device() == place.device()
    finally:
        mount.close()


# ---- where mounting is refused ----


def _agreeing_place() -> native.SysfsIdentity | None:
    """The place of /sys and the calling thread, if the links of /sys agree with rtnetlink's."""
    try:
        place = native.SysfsIdentity(_ROOT)
        if place.key in _verdicts:  # proven, one way or the other
            return _verdicts[place.key]
        if place.key not in _agreeing:
            if not _links_agree(place):
                return None
            if len(_agreeing) >= _MANY:
                _agreeing.clear()
            _agreeing.add(place.key)
    except KernelError:  # no /proc, no /sys, no rtnetlink
        return None
    return place


def _links_agree(place: native.SysfsIdentity) -> bool:
    """Whether the links of /sys are those of rtnetlink: names, indexes, MACs, peers, counters.

    At least one must have a MAC and have carried traffic. Every namespace has lo at index 1, and
    containers that were started alike differ in nothing until their first packets.
    """
    sock = Socket(None, _TIMEOUT_MS)
    try:
        for _ in range(3):  # links that come and go meanwhile make a difference too
            links, before = sock.dump_identities(), _counters_of_rtnetlink(sock)
            same = _links_of_sysfs() == links
            found = _counters_of_sysfs(place, links) if same else {}
            after = _counters_of_rtnetlink(sock) if same else {}
            if same and before.keys() == found.keys() == after.keys() == links.keys():
                return all(
                    _is_between(before[name], found[name], after[name]) for name in links
                ) and any(
                    mac.strip("0:") and any(found[name]) for name, (_, mac, _) in links.items()
                )
    finally:
        sock.close()
    return False


def _is_between(before: list[int], found: list[int], after: list[int]) -> bool:
    """Whether counters may have been read between two other readings of the same interface."""
    return all(low <= value <= high for low, value, high in zip(before, found, after, strict=True))


def _counters_of_rtnetlink(sock: Socket) -> dict[str, list[int]]:
    names, rows = sock.dump_stats_by_name()
    values = rows.values()
    return {name: values[8 * row : 8 * row + 8] for row, name in enumerate(names)}


def _counters_of_sysfs(place: native.SysfsIdentity, names: Iterable[str]) -> dict[str, list[int]]:
    found = {}
    for name in names:
        with contextlib.suppress(InterfaceNotFoundError):
            if (values := native.read(_ROOT, name, place)) is not None:
                found[name] = values
    return found


def _links_of_sysfs() -> dict[str, tuple[int, str, int]]:
    """The index, the hardware address and the `iflink` of each link, by name."""
    found = {}
    root = os.fsdecode(_ROOT)
    for name in os.listdir(root):  # noqa: PTH208  # names, and thousands of them
        # Files stand among the links (bonding_masters), and links may go meanwhile.
        with contextlib.suppress(OSError, ValueError):
            index = int(_read_file(f"{root}/{name}/ifindex"))
            found[name] = (
                index,
                _read_file(f"{root}/{name}/address").decode().strip(),
                # 0: a veth without its peer, for which rtnetlink's decoder has the same value.
                int(_read_file(f"{root}/{name}/iflink")) or index,
            )
    return found


def _read_file(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # unbuffered
        return file.read(4096)


def _is_own(name: object, read: Callable[[], list[int] | None]) -> bool:
    """Whether `read` gives the counters of an interface that rtnetlink gives at that moment."""
    try:
        before, found = _by_rtnetlink(name), read()
        return found is not None and _is_between(before, found, _by_rtnetlink(name))
    except KernelError:
        return False


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


def _from_sys(read: Callable[[native.SysfsIdentity], Result | None]) -> Result | None:
    """What `read` gives of /sys, where that shows the calling thread's namespace; or None."""
    # The place is almost always that of the last time: to find it first would cost a third more.
    if (place := _newest) is not None and (found := read(place)) is not None:
        return found
    return None if (place := _find_place()) is None else read(place)


def _read(
    name: object,
    from_sys: Callable[[native.SysfsIdentity], Result | None],
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

    They come from sysfs where /sys is proven to show the calling thread's network namespace, and
    from rtnetlink elsewhere: the same numbers. The proof is a mount, made once, and so needs
    CAP_SYS_ADMIN; each call checks by two system calls that it still holds.

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
    try:
        mount = _mount(name, None)
    except ForeignSysfsError:
        place = _agreeing_place()
        if place is not None and _is_own(name, partial(native.read, _ROOT, name, place)):
            value = native.read_counter(_ROOT, name, file, place)
            if value is not None:
                return value
        raise
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
    try:
        return _mounted_reader(name, netns)
    except ForeignSysfsError:
        if netns is None and (found := _agreeing_reader(name)) is not None:
            return found
        raise


def _agreeing_reader(name: object) -> native.Reader | None:
    """A reader of /sys where mounting is refused, if /sys agrees with rtnetlink."""
    if (place := _agreeing_place()) is None:
        return None
    try:
        reader = native.Reader(_ROOT, name, place)
    except (LookupError, KernelError):
        return None
    if _is_own(name, reader.read):
        return reader
    reader.close()
    return None


def _mounted_reader(name: object, netns: object) -> native.Reader:
    native.check(name)
    mount = _mount(name, netns)
    try:
        return native.Reader(mount.ROOT, name, None, mount.fd)
    finally:
        mount.close()


class SysfsReader(Handle):
    """The eight counter files of an interface, held open: eight `pread` calls a reading.

    It follows the interface through a rename, and never waits for the kernel's RTNL lock, so its
    slowest readings stay short while others create and delete interfaces. It does not keep its
    namespace alive: once that has ended the interface is gone. A context manager; safe to share
    among threads, and usable in a forked child.

    Parameters:
        interface_name, perspective, netns, sysfs_root: as for `get_network_interface_stats`, but
            that "" is not a name here. Where /sys is not proven to show the namespace, a detached
            mount of the right sysfs is opened (Linux 5.2; it needs CAP_SYS_ADMIN). Where that is
            refused /sys is read if all its links agree with rtnetlink's, the counters included.

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
        self._attach(reader)

    def __repr__(self) -> str:
        name = quote(getattr(self, "_name", ""))
        return f"<SysfsReader of {name}{getattr(self, '_where', '')}: {self._state()}>"

    def read(self) -> NetworkInterface:
        """The counters now, under the name by which the interface was opened.

        Raises:
            InterfaceNotFoundError: the interface is gone, or its namespace is.
            CounterParseError, KernelError: as `get_network_interface_stats`.
        """
        if self._forks != _handle.forks:
            self._attach(self._native)
        with self._lock:  # _turn(), inlined: the call would cost 2 %
            reader, self._idle = self._idle, None
            try:
                if reader is None:
                    raise self._unusable("pread", self._name)
                values = reader.read()
            finally:
                self._idle = reader
        return self._view(self._name, values)
