"""rtnetlink: links and counters, in the network namespace of a socket."""

from __future__ import annotations

import os
from functools import partial

from .. import _handle
from .._handle import Handle
from .._native.batch import Encoded
from .._native.device import find_devices, get_device
from .._native.socket import Socket
from ..counters import VIEWS, CounterTable, NetworkInterface, get_view
from ._group_delete import delete_links
from ._name_cache import NameCache
from .batch import execute
from .links import Address, Device, Link, Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .._native.addresses import RouteCopy
    from .._native.rows import Rows
    from ..types import Name, Netns, Perspective
    from .batch import Batch


def to_milliseconds(timeout: float) -> int:
    """The core's timeout for a caller's."""
    try:
        if 0 <= timeout <= 86400:
            return max(1, round(timeout * 1000)) if timeout else 0
    except TypeError:
        raise TypeError(f"timeout is 0 to 86400 seconds, not {timeout!r}") from None
    raise ValueError(f"timeout is 0 to 86400 seconds, not {timeout!r}")


class RtnetlinkSocket(Handle):
    """One rtnetlink socket, kept open: the cheapest way to more than one operation.

    It belongs to one network namespace for good, wherever its threads go, **and keeps that
    namespace alive**: as long as it is open, the links of a container that has ended stay, and with
    them the host's ends of its veth pairs, whose names are not free before (EEXIST). To count in
    containers that must be able to end, take `SysfsReader(netns=...)`, or a socket a reading.

    A change after the first `get_stats` or `dump_stats` opens a second socket in the namespace: the
    first then hears notifications, and those of the change could displace its ack. Where no second
    one can be opened, the first leaves its multicast group for each change, and interface names are
    looked up again afterwards.

    It is safe to share among threads, which take turns at it; a forked child must open one of its
    own. A context manager.

    Parameters:
        netns: the namespace: a path (/proc/PID/ns/net; anything with a slash, every PathLike), a
            bare name ("blue" is /run/netns/blue), an open descriptor of a namespace or a pidfd
            (Linux 5.8), or an object with `fileno()`. None: that of the calling thread. The calling
            thread stays where it is in every case.
        timeout: seconds that a call waits for the kernel's answers at most, whatever number of
            messages it takes; 0: takes what is there and waits for nothing. No deadline covers the
            kernel's RTNL lock, which each change, and each part of a dump, waits for inside its
            system call.

    Raises:
        NetlinkUnavailableError: AF_NETLINK is refused.
        PermissionDeniedError: `netns` can't be entered without CAP_SYS_ADMIN over it.
        KernelError: `netns` is not a network namespace, or descriptors or memory are short.
        ValueError, TypeError: `timeout` is out of range, or one of the arguments of another type.
    """

    __slots__ = ("_indexes", "_names", "_where")

    def __init__(self, netns: Netns | None = None, *, timeout: float = 5.0) -> None:
        milliseconds = to_milliseconds(timeout)
        self._names = NameCache()
        self._indexes = self._names.indexes
        native = Socket(netns, milliseconds)
        self._where = native.namespace
        self._attach(native)

    def __repr__(self) -> str:
        return f"<RtnetlinkSocket in {self._place()}: {self._state()}>"

    # ---- links ----

    def link_set_up(self, name: Name) -> None:
        """Brings an interface up by its name or alternative name (IFF_UP), in one message.

        One that is up already is a success, also without CAP_NET_ADMIN.

        Raises:
            InvalidInterfaceNameError: no interface can have that name; it was not sent.
            InterfaceNotFoundError: no such interface in the namespace.
            PermissionDeniedError: it is down, and CAP_NET_ADMIN is missing.
            KernelError: the driver's refusal, a timeout, a closed socket.
        """
        if self._forks != _handle.forks:
            raise self._unusable("RTM_NEWLINK", name)
        with self._lock:  # _turn(), inlined: the call would cost 4 %
            native, self._idle = self._idle, None
            try:
                if native is None:
                    raise self._unusable("RTM_NEWLINK", name)
                native.set_up(name)
            finally:
                self._idle = native

    def link_set_down(self, name: Name) -> None:
        """Takes an interface down; otherwise as `link_set_up`."""
        self._locked(Socket.set_down, "RTM_NEWLINK", name)

    def link_is_up(self, name: Name) -> bool:
        """Whether an interface is up (IFF_UP: by configuration, whatever its carrier does).

        Raises: as `link_set_up`; no capability is needed.
        """
        return self._locked(Socket.is_up, "RTM_GETLINK", name)

    def get_link(self, name: Name) -> Link:
        """What the kernel says of an interface, by its name or alternative name.

        Raises: as `link_set_up`; no capability is needed.
        """
        return Link(*self._locked(self._get_link, "RTM_GETLINK", name))

    def dump_links(self) -> dict[str, Link]:
        """What the kernel says of every interface of the namespace, by name.

        Raises: as `dump_stats`.
        """
        links = self._locked(self._dump_links, "RTM_GETLINK")
        return {fields[1]: Link(*fields) for fields in links}

    def dump_states(self) -> dict[str, tuple[int, bool]]:
        """The index of every interface, and whether it is up, by name.

        Raises: as `dump_stats`.
        """

        def dump(native: Socket, _: object) -> dict[str, tuple[int, bool]]:
            return native.with_deadline(native.dump_states)

        return self._locked(dump, "RTM_GETLINK")

    # ---- addresses, routes, namespaces ----

    def dump_addresses(self, name: Name | int | None = None) -> list[Address]:
        """The addresses of a link, by its name, alternative name or index; None: of every link.

        Raises: as `link_set_up`; no capability is needed.
        """

        def dump(native: Socket, _: object) -> list[dict[str, Any]]:
            return native.with_deadline(lambda: native.dump_addresses(index(native)))

        def index(native: Socket) -> int:
            if name is None or isinstance(name, int):
                return name or 0
            return native.get_link(name)[0]  # type: ignore[no-any-return]

        shown = f"index {name}" if isinstance(name, int) else name
        return [Address(**fields) for fields in self._locked(dump, "RTM_GETADDR", shown)]

    def copy_addresses(self, index: int) -> Callable[[], list[Address]]:
        """Dumps the addresses of a link, and decodes them only when the result is called.

        Not public: for undo steps, most of which never run.

        Parameters:
            index: the link's.
        """
        decode = self._locked(lambda native, _: native.copy_addresses(index), "RTM_GETADDR")
        return lambda: [Address(**fields) for fields in decode()]

    def dump_routes(self) -> list[Route]:
        """The unicast routes of the namespace, of all tables.

        Raises: as `dump_stats`.
        """
        return [route for kind, route in self.dump_all_routes() if kind == "unicast"]

    def dump_all_routes(self, index: int = 0) -> list[tuple[str, Route]]:
        """The routes of the namespace, of all tables, that deliver or refuse, with their types.

        The types are "unicast", "blackhole", "unreachable", "prohibit" and "throw". Not public.

        Parameters:
            index: of a link: its routes alone; 0: all. Linux before 4.20 gives all.
        """

        def dump(native: Socket, _: object) -> list[tuple[str, dict[str, Any]]]:
            return native.with_deadline(partial(native.dump_routes, index))

        return [(kind, Route(**fields)) for kind, fields in self._locked(dump, "RTM_GETROUTE")]

    def copy_routes(self, index: int, sources: set[str]) -> list[RouteCopy]:
        """Copies the routes that use a link or prefer a source address, to be added again.

        Routes that the kernel makes with an address are left out, and those that expire.

        Parameters:
            index: the link's.
            sources: the addresses; an empty set makes the dump proportional to the link's routes.
        """

        def copy(native: Socket, _: object) -> list[RouteCopy]:
            return native.with_deadline(lambda: native.copy_routes(index, sources))

        return self._locked(copy, "RTM_GETROUTE")

    def get_device(self, link: Name | int) -> Device | None:
        """Reads a link by its index or name with what identifies the device behind it.

        Returns:
            The device; None if the link does not exist.
        """
        fields = self._locked(
            lambda native, _: native.with_deadline(lambda: get_device(native, link)), "RTM_GETLINK"
        )
        return None if fields is None else Device(Link(*fields[0]), *fields[1:])

    def find_devices(self, wanted: Callable[..., bool]) -> list[int]:
        """Returns the indexes of the links for which `wanted` is true.

        The dump is bounded in memory: in a namespace with very many links some may be missing.

        Parameters:
            wanted: is given the kind, IFLA_LINK and IFLA_LINK_NETNSID (0 and -1: none), the parent
                bus and the parent device.
        """
        found: list[int] = self._locked(
            lambda native, _: native.with_deadline(lambda: find_devices(native, wanted)),
            "RTM_GETLINK",
        )
        return found

    def get_nsid(self, netns: Netns) -> int | None:
        """The id by which this socket's namespace knows another (RTM_GETNSID, Linux 4.0).

        It gets one when the kernel is first asked for a link that leads there, and loses it when it
        ends; ids are used again at once.

        Returns:
            The id; None: it has none here.

        Raises:
            KernelError: `netns` is not a network namespace.
        """
        nsid: int | None = self._locked(lambda native, _: native.get_nsid(netns), "RTM_GETNSID")
        return nsid

    def has_namespace(self, nsid: int) -> bool:
        """Whether the namespace that this socket's knows by an id has not ended yet.

        The kernel forgets the id of a namespace that has ended only a little later.
        """
        return bool(self._locked(lambda native, _: native.has_namespace(nsid), "RTM_GETLINK"))

    # ---- batches ----

    def execute(self, batch: Batch) -> None:
        """Sends a batch at once and checks the ack of every message.

        It is sent in parts where its acks would not fit the socket's queue. The kernel carries the
        messages out in order and goes on after one that fails.

        Raises:
            BatchError: a message failed, or its ack did not come; its text names the first.
            InterfaceNotFoundError: a link that has to be looked up is not there; nothing was sent.
            KernelError: a namespace that the batch names can't be opened; nothing was sent.
        """
        if not batch.messages:
            return
        # What it names is looked up and opened outside the turn.
        encoded = Encoded(batch.messages, lambda name: self.get_link(name).index)
        self._locked(execute, "send", encoded)

    def delete_links(self, names: Iterable[Name], *, missing_ok: bool = False) -> None:
        """Deletes many links at once, all or none: a thousand in the time of a few.

        They are put into a group that no other link is in, and the group is deleted. Where that is
        refused (for `lo`, or a physical device), all of them stay, in the groups that they were in.

        Parameters:
            names: their names or alternative names. The ends of veth pairs go together in any case.
            missing_ok: leave out those that there are not.

        Raises:
            InterfaceNotFoundError: one of them is not there; nothing has been deleted.
            BatchError, KernelError: the kernel's refusal; nothing has been deleted.
        """
        if isinstance(names, (str, bytes)):
            raise TypeError(f"names must be several names, not {names!r}")
        wanted = [os.fsdecode(name) for name in names]

        def work(native: Socket, _: object) -> None:
            native.with_deadline(lambda: delete_links(native, wanted, missing_ok))

        self._locked(work, "RTM_DELLINK")

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
            view = VIEWS[perspective]
        except (KeyError, TypeError):
            view = get_view(perspective)  # the error
        if self._forks != _handle.forks:
            raise self._unusable("RTM_GETSTATS", name)
        with self._lock:  # _turn(), inlined: the call would cost 5 %
            native, self._idle = self._idle, None
            try:
                if native is None:
                    raise self._unusable("RTM_GETSTATS", name)
                # Other kinds of names (bytes, paths) may change, and are read by name each time.
                index = self._indexes.get(name) if type(name) is str else None
                values = None if index is None else native.get_stats(index, name)
                if values is None:
                    read = partial(self._read, native, name)
                    values = native.with_deadline(read, first=index is None)
            finally:
                self._idle = native
        return view(name if type(name) is str else os.fsdecode(name), values)

    def dump_stats(self, *, perspective: Perspective = "host") -> dict[str, NetworkInterface]:
        """The counters of every interface of the namespace, by name.

        Raises:
            KernelError: EAGAIN where interfaces came and went during every attempt.
            ValueError: an unknown perspective.
        """
        get_view(perspective)  # or the error
        first = 4 if perspective == "container" else 0
        names, values = self._locked(self._dump_values, "RTM_GETSTATS")
        columns = (values[(first + column) % 8 :: 8] for column in range(8))
        return dict(zip(names, map(NetworkInterface, names, *columns), strict=True))

    def dump_counters(self) -> CounterTable:
        """The counters of every interface as columns, without a Python object per interface.

        Raises: as `dump_stats`.
        """
        names, rows = self._locked(self._dump_rows, "RTM_GETSTATS")
        return CounterTable(names, *rows.views())

    def fileno(self) -> int:
        """The descriptor of the first socket; don't read from it.

        Raises:
            KernelError: the socket is closed.
        """
        descriptor: int = self._locked(lambda native, _: native.fileno(), "fileno")
        return descriptor

    def share_deadline(self, until: float) -> None:
        """One deadline for all calls from now on, for a call that consists of several of them.

        Parameters:
            until: a time of `time.monotonic()`.
        """
        self._locked(lambda native, _: native.share_deadline(until), "deadline")

    def set_timeout(self, timeout: float) -> None:
        """Sets the timeout of later calls, as in the constructor. Not public."""
        milliseconds = to_milliseconds(timeout)
        self._locked(lambda native, _: native.set_timeout(milliseconds), "timeout")

    # ---- within a turn ----

    def _read(self, native: Socket, name: Name) -> list[int]:
        """The eight counters by name: the name is new, or something may have happened to it."""
        if type(name) is str:
            self._indexes.pop(name, None)
        watching = native.watch()
        values, index, own_name = native.get_stats_by_name(name)
        self._heed(native)  # the changes are older than the reply
        if watching and not native.by_name_only and type(name) is str and own_name == name:
            self._indexes[own_name] = index
        return values

    def _get_link(self, native: Socket, name: Name) -> tuple[Any, ...]:
        fields: tuple[Any, ...] = native.with_deadline(partial(native.get_link, name))
        return fields

    def _dump_links(self, native: Socket, _: object) -> list[tuple[Any, ...]]:
        links: list[tuple[Any, ...]] = native.with_deadline(native.dump_links)
        return links

    def _dump_rows(self, native: Socket, _: object) -> tuple[tuple[str, ...], Rows]:
        return self._dump(native, True)

    def _dump_values(self, native: Socket, _: object) -> tuple[tuple[str, ...], list[int]]:
        names, rows = self._dump(native, False)
        return names, rows.values()

    def _dump(self, native: Socket, lasting: bool) -> tuple[tuple[str, ...], Rows]:
        """A dump of the counters, and the names of its rows as of its end."""
        known = self._names.all is not None
        found = self._dump_known(native, lasting) if known else None
        if found is None:
            anew = partial(self._dump_anew, native, lasting, known)
            found = native.with_deadline(anew, first=not known)
        return found

    def _dump_known(self, native: Socket, lasting: bool) -> tuple[tuple[str, ...], Rows] | None:
        """The same where the names are known; None where they are not any more."""
        rows = None if native.by_name_only else native.dump_stats(lasting=lasting)
        self._heed(native)
        return None if rows is None else self._names.match(rows)

    def _dump_anew(self, native: Socket, lasting: bool, lost: bool) -> tuple[tuple[str, ...], Rows]:
        """The same in any case."""
        if not lost and native.watch() and not native.by_name_only:
            self._names.all = native.dump_names()
            found = self._dump_known(native, lasting)
            if found is not None:
                return found
        # Changes were lost, or something is refused: both from the same messages, at five times the
        # price. Of two dumps the one would go on missing the other.
        return native.dump_stats_by_name()

    def _heed(self, native: Socket) -> None:
        if native.changed():
            self._names.apply(native.take_changes())
