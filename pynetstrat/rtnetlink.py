"""rtnetlink: links up and down, and counters, in the network namespace of a socket."""

from __future__ import annotations

import os
from _thread import RLock
from _warnings import warn
from errno import EAGAIN, EBADF, EBUSY

from . import _fork, _native
from .errors import KernelError, kernel_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, NoReturn, TypeVar

    from .network import NetworkInterface
    from .stats import Name, Perspective, View

    Result = TypeVar("Result")
    Netns = int | str | bytes | os.PathLike[str] | os.PathLike[bytes]

# Attempts at a dump whose notifications have not been lost.
_TRIES = 16


class Counters:
    """The counters of a namespace as columns: one row an interface, as the host sees them.

    Attributes:
        names: the interfaces' names. The same list may be given again while no interface comes,
            goes or is renamed: don't change it.
        ifindexes: their indexes: a `memoryview` of format `i`.
        counters: a two-dimensional `memoryview` of format `Q`: a row for each interface, and in it
            the eight counters in the order of `NetworkInterface`'s fields. It is this result's own
            memory: later calls leave it alone.
    """

    __slots__ = ("counters", "ifindexes", "names")

    def __init__(self, names: list[str], ifindexes: memoryview, counters: memoryview) -> None:
        self.names = names
        self.ifindexes = ifindexes
        self.counters = counters

    def __repr__(self) -> str:
        return f"<Counters of {len(self.names)} interfaces>"


class RtnetlinkSocket:
    """One rtnetlink socket, kept open: the cheapest way to more than one operation.

    It belongs to one network namespace for good, wherever its threads go. It is safe to share among
    threads, which take turns at it; a forked child must open one of its own. A context manager.

    Parameters:
        netns: the namespace: a path (/proc/PID/ns/net, /run/netns/NAME), or an open descriptor of a
            namespace or a pidfd (Linux 5.8). None: that of the calling thread. The calling thread
            stays where it is in every case.
        timeout: seconds that one call waits for the kernel's answers at most, 0 or more.

    Raises:
        NetlinkUnavailableError: AF_NETLINK is refused.
        PermissionDeniedError: `netns` is not to be entered without CAP_SYS_ADMIN over it.
        KernelError: `netns` is no network namespace, or descriptors or memory are short.
        ValueError: `timeout` is out of range.
    """

    def __init__(self, netns: Netns | None = None, *, timeout: float = 5.0) -> None:
        self._native: _native.Socket | None = None  # for __del__
        if not 0 <= timeout <= 86400:
            raise ValueError(f"timeout is 0 to 86400 seconds, not {timeout!r}")
        self._lock = RLock()
        self._forks = _fork.count
        self._watching = False
        # What is known of the interfaces, kept true by the kernel's notifications (_heed_changes).
        self._indexes: dict[str, int] = {}  # by each name that was asked for
        self._names: dict[int, str] | None = None  # of all, by index; None: not known yet
        self._columns: tuple[bytes, list[str]] = (b"", [])  # the last dump's, to give again
        self._native = _native.Socket(netns, max(1, round(timeout * 1000)) if timeout else 0)
        self._idle: _native.Socket | None = self._native  # None: at work, or closed

    # ---- links ----

    def link_set_up(self, name: Name) -> None:
        """Brings an interface up by its name or alternative name (IFF_UP), in one message.

        One that is up already is a success, also without CAP_NET_ADMIN.

        Raises:
            InvalidInterfaceNameError: it is no name, and was not sent.
            InterfaceNotFoundError: no such interface in the namespace.
            PermissionDeniedError: it is down, and CAP_NET_ADMIN is missing.
            KernelError: the driver's refusal, a timeout, a closed socket.
        """
        if self._forks != _fork.count:
            raise self._unusable("RTM_NEWLINK", name)
        with self._lock:  # as _turn, but for its price
            native, self._idle = self._idle, None
            try:
                if native is None:
                    raise self._unusable("RTM_NEWLINK", name)
                native.set_up(name)
            finally:
                self._idle = native

    def link_set_down(self, name: Name) -> None:
        """Takes an interface down; otherwise as `link_set_up`."""
        self._turn(_native.Socket.set_down, "RTM_NEWLINK", name)

    def link_is_up(self, name: Name) -> bool:
        """Whether an interface is up (IFF_UP: by configuration, whatever its carrier does).

        Raises: as `link_set_up`; no capability is needed.
        """
        return self._turn(_native.Socket.is_up, "RTM_GETLINK", name)

    # ---- counters ----

    def get_stats(self, name: Name, *, perspective: Perspective = "host") -> NetworkInterface:
        """An interface's counters, by its name or alternative name.

        The name is resolved once; after that a call is one RTM_GETSTATS exchange. An interface that
        is renamed, deleted or made again is never answered with another's counters.

        Parameters:
            name: the interface.
            perspective: "host": as the kernel counts; "container": rx and tx exchanged.

        Raises:
            InvalidInterfaceNameError, InterfaceNotFoundError, KernelError: as `link_set_up`.
            ValueError: an unknown perspective.
        """
        try:
            view = _views[perspective]
        except (KeyError, TypeError):
            view = _load_view(perspective)
        if self._forks != _fork.count:
            raise self._unusable("RTM_GETSTATS", name)
        with self._lock:  # as _turn, but for its price
            native, self._idle = self._idle, None
            try:
                if native is None:
                    raise self._unusable("RTM_GETSTATS", name)
                # Other kinds of names (bytes, paths) may change, and are read by name each time.
                index = self._indexes.get(name) if type(name) is str else None
                values = None if index is None else native.get_stats(index, name)
                if values is None:
                    values = self._read(native, name)
            finally:
                self._idle = native
        return view(name if type(name) is str else os.fsdecode(name), values)

    def dump_stats(self, *, perspective: Perspective = "host") -> dict[str, NetworkInterface]:
        """The counters of every interface of the namespace, by name.

        Raises:
            KernelError: EAGAIN where interfaces came and went during every attempt.
            ValueError: an unknown perspective.
        """
        from .network import NetworkInterface

        _load_view(perspective)  # or a ValueError
        first = 4 if perspective == "container" else 0
        names, values = self._turn(self._dump_values, "RTM_GETSTATS", "")
        columns = (values[(first + column) % 8 :: 8] for column in range(8))
        return dict(zip(names, map(NetworkInterface, names, *columns), strict=True))

    def dump_counters(self) -> Counters:
        """The counters of every interface as columns, without a Python object per interface.

        Raises: as `dump_stats`.
        """
        names, rows = self._turn(self._dump_rows, "RTM_GETSTATS", "")
        return Counters(names, *rows.views())

    # ---- the socket ----

    def fileno(self) -> int:
        """The descriptor; don't read from it.

        Raises:
            KernelError: the socket is closed.
        """
        return self._turn(lambda native, _: native.fileno(), "fileno", "")

    def close(self) -> None:
        """Closes the socket, once no other thread is at work on it. Twice does no harm."""
        if self._native is None:
            return
        if self._forks != _fork.count:  # no other thread is here, though one may have held the lock
            self._native.close()
            self._native = self._idle = None
            return
        with self._lock:
            if self._native is not None:
                if self._idle is None:
                    raise self._unusable("close", "")
                self._native.close()
                self._native = self._idle = None

    def __enter__(self) -> RtnetlinkSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        native = getattr(self, "_native", None)  # None: closed, or __init__ never began
        if native is not None:
            warn(f"unclosed {self!r}", ResourceWarning, 1, self)
            native.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a RtnetlinkSocket can't be copied or pickled: open another")

    # ---- taking turns ----

    def _turn(
        self, work: Callable[[_native.Socket, Any], Result], operation: str, name: object
    ) -> Result:
        """Calls `work` with the native socket and the name, when it is this thread's turn."""
        if self._forks != _fork.count:  # before the lock, which may have been held at the fork
            raise self._unusable(operation, name)
        # A signal handler that raises never comes between the lock and its release: `with` sees to
        # that, an acquire() and a try would not.
        with self._lock:
            native, self._idle = self._idle, None
            try:
                if native is None:
                    raise self._unusable(operation, name)
                return work(native, name)
            finally:
                self._idle = native

    def _unusable(self, operation: str, name: object) -> KernelError:
        error, hint = EBADF, "this RtnetlinkSocket is closed: open a new one"
        if self._forks != _fork.count:
            hint = "this RtnetlinkSocket was opened before fork(): open a new one"
        elif self._native is not None:
            # The lock lets its own thread in again, which only a signal handler can bring about.
            error, hint = EBUSY, "a signal handler interrupted a call on this RtnetlinkSocket"
        return KernelError(error, operation, _shown(name), hint=hint)

    # ---- names ----

    def _read(self, native: _native.Socket, name: Name) -> list[int]:
        """The eight counters by name: where the name is new, or something may have happened to it.

        Only interface names are kept. The kernel tells of every change of one, but of a change of
        alternative names only while the interface is up (netdev_state_change, net/core/dev.c).
        """
        if type(name) is str:
            self._indexes.pop(name, None)
        watching = self._watch(native)
        values, index, own_name = native.get_stats_by_name(name)
        self._heed_changes(native)  # they are older than the reply
        if watching and type(name) is str and own_name == name:
            self._indexes[own_name] = index
        return values

    def _dump_rows(self, native: _native.Socket, _: object) -> tuple[list[str], _native.Rows]:
        return self._dump(native, lasting=True)

    def _dump_values(self, native: _native.Socket, _: object) -> tuple[list[str], list[int]]:
        names, rows = self._dump(native, lasting=False)
        return names, rows.values()

    def _dump(self, native: _native.Socket, *, lasting: bool) -> tuple[list[str], _native.Rows]:
        """A dump of the counters, and the names of its rows as of its end."""
        watching = self._watch(native)
        for _attempt in range(_TRIES):
            if watching and self._names is None:
                self._names = native.dump_names()
            rows = native.dump_stats(lasting=lasting)
            if not watching:
                self._names = native.dump_names()
                self._columns = (b"", [])
            self._heed_changes(native)
            if self._names is not None:
                return self._match(self._names, rows)
        raise kernel_error(EAGAIN, "RTM_GETSTATS", "", "notifications were lost at every attempt")

    def _match(self, names: dict[int, str], rows: _native.Rows) -> tuple[list[str], _native.Rows]:
        raw = rows.index_bytes()
        if raw == self._columns[0]:
            return self._columns[1], rows
        indexes = rows.indexes()
        if not names.keys() >= set(indexes):
            # Interfaces that went after the kernel had told their counters.
            rows = rows.keep([row for row, index in enumerate(indexes) if index in names])
            indexes = rows.indexes()
            raw = rows.index_bytes()
        self._columns = (raw, [names[index] for index in indexes])
        return self._columns[1], rows

    def _watch(self, native: _native.Socket) -> bool:
        """Sees to it that changes of the interfaces are noted.

        False where that, or RTM_GETSTATS, is refused: then every reading is by name.
        """
        if native.by_name_only():
            return False
        if not self._watching:
            self._watching = native.watch()
        return self._watching

    def _heed_changes(self, native: _native.Socket) -> None:
        """Brings what is known of the interfaces up to date."""
        if not native.changed():
            return
        changes = native.take_changes()
        if changes is None:  # some were lost
            self._indexes.clear()
            self._names = None
            self._columns = (b"", [])
            return
        names = self._names
        for index, name in changes:
            for known in [k for k, i in self._indexes.items() if i == index and k != name]:
                del self._indexes[known]
            if names is None or names.get(index) == name:
                continue
            self._columns = (b"", [])
            if name is None:
                del names[index]
            else:
                names[index] = name


# What makes the dataclass, by perspective; loaded on first use: to bring a link up needs none.
_views: dict[object, View] = {}


def _load_view(perspective: Perspective) -> View:
    from .stats import get_view

    _views[perspective] = view = get_view(perspective)
    return view


def _shown(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else ""


def link_set_up(name: Name = "lo", *, netns: Netns | None = None) -> None:
    """Brings an interface up: opens a socket, sends one RTM_NEWLINK, reads the ack, closes.

    Parameters:
        name: its name or alternative name.
        netns: its namespace, as for `RtnetlinkSocket`; None: the calling thread's.

    Raises: as `RtnetlinkSocket` and its `link_set_up`.
    """
    if netns is None:
        _native.link_set_up_once(name)
    else:
        _native.check_name(name)  # a wrong name is told before a wrong namespace
        try:
            rtnetlink = RtnetlinkSocket(netns)
        except KernelError as error:
            error.interface = _shown(name)
            raise
        with rtnetlink:
            rtnetlink.link_set_up(name)
