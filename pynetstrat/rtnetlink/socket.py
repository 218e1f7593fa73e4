"""`RtnetlinkSocket`: links, addresses, routes and counters of one network namespace."""

from __future__ import annotations

import os

from .. import _handle
from .._handle import Handle
from .._native.batch import Encoded
from .._native.socket import Socket
from .._native.values import INT_MAX, check_integer
from .._partial import partial
from ..counters import VIEWS, CounterTable, NetworkInterface, column_order, get_view, make_views
from ._bridge import Bridge
from ._group_delete import delete_links
from ._name_cache import NameCache
from .batch import execute
from .links import Address, Link, Qdisc, Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Any

    from .._native.rows import Rows
    from ..types import Name, Netns, Perspective
    from .batch import Batch


def to_milliseconds(timeout: float) -> int:
    """Converts a timeout in seconds, checked, to milliseconds."""
    try:
        if 0 <= timeout <= 86400:
            return (round(timeout * 1000) or 1) if timeout else 0
    except TypeError:
        raise TypeError(_bad_timeout(timeout)) from None
    raise ValueError(_bad_timeout(timeout))


def _bad_timeout(timeout: object) -> str:
    return f"timeout must be a number of seconds from 0 to 86400, not {timeout!r}"


def _index_of(native: Socket, link: Name | int | None) -> int:
    """Returns the index of a link given by name or index; 0 for None, which means every link."""
    if link is None:
        return 0
    if isinstance(link, int):
        check_integer("index", link, 1, INT_MAX)
        return link
    return native.get_link(link)[0]  # type: ignore[no-any-return]


def _shown(link: Name | int | None) -> Name | None:
    return f"index {link}" if isinstance(link, int) else link


class RtnetlinkSocket(Handle):
    """An rtnetlink socket that stays open: the fastest way to do more than one operation.

    The socket belongs to one network namespace for its lifetime, wherever its threads go, **and
    keeps that namespace alive**. While it is open the links of a container that has ended remain,
    and so do the host ends of its veth pairs, whose names stay taken (EEXIST). To count traffic in
    containers that must be able to end, use `SysfsReader(netns=...)`, or open a socket for each
    reading.

    A change after the first `get_stats` or `dump_stats` opens a second socket in the namespace,
    because the first then receives notifications, and those of the change could displace its ack.
    If no second socket can be opened, the first leaves its multicast group for each change, and
    interface names are looked up again afterwards.

    Threads may share it; each waits until the others have finished their calls. A forked child must
    open its own. It is a context manager.

    Parameters:
        netns: the namespace: a path (/proc/PID/ns/net; any text with a slash, any PathLike), a
            bare name ("blue" is /run/netns/blue), an open descriptor of a namespace or a pidfd
            (Linux 5.8), or an object with `fileno()`. None: that of the calling thread. The calling
            thread never changes its namespace.
        timeout: how long a call may take, in seconds, however many messages it exchanges. 0 reads
            only what is already queued. No deadline covers the time in which the kernel itself
            waits for the RTNL lock, inside the system call of a change or of a part of a dump.

    Raises:
        NetlinkUnavailableError: AF_NETLINK is refused.
        PermissionDeniedError: `netns` can't be entered without CAP_SYS_ADMIN over it.
        KernelError: `netns` is not a network namespace, or descriptors or memory are short.
        ValueError, TypeError: `timeout` is out of range, or an argument has a wrong type.

    Example:
        >>> with RtnetlinkSocket("/proc/4242/ns/net") as rtnetlink:
        ...     rtnetlink.link_set_up("lo")
        ...     rtnetlink.get_stats("eth0").rx_bytes
    """

    __slots__ = ("_indexes", "_names", "_where")

    def __init__(self, netns: Netns | None = None, *, timeout: float = 5.0) -> None:
        self._attach(Socket(netns, to_milliseconds(timeout)))

    def _attach(self, native: Socket) -> None:
        self._names = NameCache()
        self._indexes = self._names.indexes
        self._where = native.namespace
        super()._attach(native)

    def __repr__(self) -> str:
        return f"<RtnetlinkSocket in {self._place()}: {self._state()}>"

    # ---- links ----

    def link_set_up(self, name: Name) -> None:
        """Brings an interface up (IFF_UP), in one message.

        An interface that is up already is a success, also without CAP_NET_ADMIN.

        Parameters:
            name: its name or alternative name.

        Raises:
            InvalidInterfaceNameError: no interface can have that name; nothing was sent.
            InterfaceNotFoundError: the interface does not exist in the namespace.
            PermissionDeniedError: the interface is down, and CAP_NET_ADMIN is missing.
            KernelError: the driver refuses, the call timed out, or the socket is closed.
        """
        if self._forks != _handle.forks:
            raise self._unusable("RTM_NEWLINK", name)
        with self._lock:  # _locked(), inlined: the call would cost 4 % of this method
            native, self._idle = self._idle, None
            try:
                if native is None:
                    raise self._unusable("RTM_NEWLINK", name)
                native.set_up(name)
            finally:
                self._idle = native

    def link_set_down(self, name: Name) -> None:
        """Takes an interface down, in one message.

        Parameters:
            name: its name or alternative name.

        Raises:
            InvalidInterfaceNameError: no interface can have that name; nothing was sent.
            InterfaceNotFoundError: the interface does not exist in the namespace.
            PermissionDeniedError: the interface is up, and CAP_NET_ADMIN is missing.
            KernelError: the driver refuses, the call timed out, or the socket is closed.
        """
        self._locked(Socket.set_down, "RTM_NEWLINK", name)

    def link_is_up(self, name: Name) -> bool:
        """Returns whether an interface is up by configuration (IFF_UP), with or without a carrier.

        Parameters:
            name: its name or alternative name.

        Raises:
            InvalidInterfaceNameError: no interface can have that name; nothing was sent.
            InterfaceNotFoundError: the interface does not exist in the namespace.
            KernelError: the call timed out, or the socket is closed.
        """
        return self._locked(Socket.is_up, "RTM_GETLINK", name)

    def get_link(self, name: Name) -> Link:
        """Returns one link.

        Since Linux 6.9 the query also has the kernel process a change of the link's carrier
        (rtnl_getlink in net/core/rtnetlink.c). Otherwise a worker does, some time after a link has
        gone up, and the link drops what it should send until then.

        Parameters:
            name: its name or alternative name.

        Raises:
            InvalidInterfaceNameError: no interface can have that name; nothing was sent.
            InterfaceNotFoundError: the interface does not exist in the namespace.
            KernelError: the call timed out, or the socket is closed.
        """
        return Link(*self._locked(self._get_link, "RTM_GETLINK", name))

    def dump_links(self) -> dict[str, Link]:
        """Returns every link of the namespace, by name.

        Raises:
            KernelError: interfaces changed during every attempt (EAGAIN), the call timed out, or
                the socket is closed.
        """
        links = self._locked(self._dump_links, "RTM_GETLINK")
        return {fields[1]: Link(*fields) for fields in links}

    # ---- addresses, routes, namespaces ----

    def dump_addresses(self, name: Name | int | None = None) -> list[Address]:
        """Returns the IP addresses of a link, or of every link.

        Parameters:
            name: the link's name, alternative name or index; None: every link.

        Raises:
            InvalidInterfaceNameError: no interface can have that name; nothing was sent.
            InvalidNetworkError: no interface can have that index; nothing was sent.
            InterfaceNotFoundError: the interface does not exist in the namespace.
            KernelError: addresses changed during every attempt (EAGAIN), the call timed out, or the
                socket is closed.
        """

        def dump(native: Socket, _: object) -> list[dict[str, Any]]:
            return native.with_deadline(lambda: native.dump_addresses(_index_of(native, name)))

        rows = self._locked(dump, "RTM_GETADDR", _shown(name))
        return [Address(**fields) for fields in rows]

    def dump_routes(self) -> list[Route]:
        """Returns the unicast routes of the namespace, of all tables and both families.

        Raises:
            KernelError: routes changed during every attempt (EAGAIN), the call timed out, or the
                socket is closed.
        """
        routes = self._locked(self._dump_routes, "RTM_GETROUTE")
        return [Route(**fields) for kind, fields in routes if kind == "unicast"]

    def dump_qdiscs(self, name: Name | int | None = None) -> list[Qdisc]:
        """Returns the queueing disciplines of a link, or of every link, with their counters.

        Parameters:
            name: the link's name, alternative name or index; None: every link.

        Raises:
            InvalidInterfaceNameError: no interface can have that name; nothing was sent.
            InvalidNetworkError: no interface can have that index; nothing was sent.
            InterfaceNotFoundError: the interface does not exist in the namespace.
            KernelError: the call timed out, or the socket is closed.
        """

        def dump(native: Socket, _: object) -> list[tuple[Any, ...]]:
            return native.with_deadline(lambda: native.dump_qdiscs(_index_of(native, name)))

        rows = self._locked(dump, "RTM_GETQDISC", _shown(name))
        return [Qdisc(*fields) for fields in rows]

    def get_nsid(self, netns: Netns) -> int | None:
        """Returns the nsid by which the socket's namespace knows another (RTM_GETNSID, Linux 4.0).

        The kernel assigns an nsid when it is first asked about a link that leads to the other
        namespace. The nsid is free again once that namespace has ended.

        Parameters:
            netns: the other namespace, as for `RtnetlinkSocket`.

        Returns:
            The nsid, or None if none is assigned.

        Raises:
            KernelError: `netns` is not a network namespace, the call timed out, or the socket is
                closed.
        """
        nsid: int | None = self._locked(lambda native, _: native.get_nsid(netns), "RTM_GETNSID")
        return nsid

    # ---- batches ----

    def execute(self, batch: Batch) -> None:
        """Sends a batch and checks the ack of every message.

        The kernel executes the messages in order and continues after one that fails. The batch goes
        out in one system call, or in parts whose acks fit the socket's receive queue.

        Parameters:
            batch: the messages. An empty batch sends nothing.

        Raises:
            BatchError: a message failed, or its ack did not arrive. The text names the first.
            InterfaceNotFoundError: a link that must be looked up does not exist; nothing was sent.
            KernelError: a namespace that the batch names can't be opened; nothing was sent.

        Example:
            >>> rtnetlink.execute(Batch().set_link("eth0", mtu=9000, up=True))
        """
        if not batch.messages:
            return
        # Names are looked up, and namespaces opened, before the lock is taken.
        encoded = Encoded(batch.messages, self._find_index)
        self._locked(execute, "send", encoded)

    def _find_index(self, name: Name) -> int:
        return self.get_link(name).index

    def delete_links(self, names: Iterable[Name], *, missing_ok: bool = False) -> None:
        """Deletes many links, all or none: a thousand in the time of a few.

        The links are put into a group of their own, and the group is deleted. If the kernel refuses
        that (for `lo` or a physical device), all links stay, in their former groups.

        Parameters:
            names: their names or alternative names. The peer of a veth is always deleted too.
            missing_ok: ignore names that do not exist.

        Raises:
            InterfaceNotFoundError: a link does not exist; nothing was deleted.
            BatchError, KernelError: the kernel refuses; nothing was deleted.
            TypeError: `names` is a single name.

        Example:
            >>> rtnetlink.delete_links(["veth0", "veth1"], missing_ok=True)
        """
        if isinstance(names, (str, bytes)):
            raise TypeError(f"names must be a list of names or the like, not {names!r}")
        wanted = [os.fsdecode(name) for name in names]

        def work(native: Socket, _: object) -> None:
            native.with_deadline(lambda: delete_links(native, wanted, missing_ok))

        self._locked(work, "RTM_DELLINK")

    def ensure_bridge(
        self,
        name: Name,
        *,
        mac: str | None = None,
        mtu: int | None = None,
        addresses: Sequence[str] = (),
        up: bool = True,
    ) -> Link:
        """Makes a bridge, or completes an existing one.

        What the arguments do not mention stays as it is: further addresses, the MTU, the ports.
        Several processes may do it at the same time. After an error the bridge may be incomplete;
        the next call completes it.

        Parameters:
            name: its name.
            mac: its hardware address. None: a new bridge gets a random one, which does not change
                with its ports.
            mtu: in bytes: 68 to 65535.
            addresses: addresses with their prefix lengths, as "192.0.2.1/24". IPv6 addresses are
                added without duplicate address detection, which would take a second or two, so the
                host can use them when the call returns.
            up: whether it is brought up. False leaves a bridge that is up as it is.

        Returns:
            The bridge.

        Raises:
            InvalidInterfaceNameError, InvalidNetworkError: an argument is invalid; nothing was
                sent.
            KernelError: another kind of link has the name (EEXIST), the call timed out, or the
                socket is closed.
            BatchError: the kernel refused a change, such as an IPv6 address that exists with
                another prefix length (EEXIST).
            TypeError: `addresses` is a single text.

        Example:
            >>> with RtnetlinkSocket() as rtnetlink:
            ...     rtnetlink.ensure_bridge("br0", addresses=["192.0.2.1/24", "2001:db8::1/64"])
        """
        if isinstance(addresses, str):
            raise TypeError(f"addresses must be a list of texts or the like, not {addresses!r}")
        bridge = Bridge(name, mac, mtu, addresses, up)

        def work(native: Socket, _: object) -> Link:
            return native.with_deadline(lambda: bridge.ensure(native))

        return self._locked(work, "RTM_NEWLINK", name)

    # ---- counters ----

    def get_stats(self, name: Name, *, perspective: Perspective = "host") -> NetworkInterface:
        """Returns the counters of an interface.

        The first call looks the name up; after that a call is one RTM_GETSTATS exchange. If the
        interface is renamed, deleted or made again, a call never returns those of another one.

        Parameters:
            name: its name or alternative name.
            perspective: "host": as the kernel counts; "container": with rx and tx swapped.

        Raises:
            InvalidInterfaceNameError: no interface can have that name; nothing was sent.
            InterfaceNotFoundError: the interface does not exist in the namespace.
            KernelError: the call timed out, or the socket is closed.
            ValueError: `perspective` is neither.

        Example:
            >>> rtnetlink.get_stats("veth0", perspective="container").rx_bytes
        """
        try:
            view = VIEWS[perspective]
        except (KeyError, TypeError):
            view = get_view(perspective)  # raises the error
        if self._forks != _handle.forks:
            raise self._unusable("RTM_GETSTATS", name)
        with self._lock:  # _locked(), inlined: the call would cost 5 % of this method
            native, self._idle = self._idle, None
            try:
                if native is None:
                    raise self._unusable("RTM_GETSTATS", name)
                # A name of another type (bytes, a path) may be mutable: it is looked up each time.
                index = self._indexes.get(name) if type(name) is str else None
                values = None if index is None else native.get_stats(index, name)
                if values is None:
                    read = partial(self._read, native, name)
                    values = native.with_deadline(read, first=index is None)
            finally:
                self._idle = native
        return view(name if type(name) is str else os.fsdecode(name), values)

    def dump_stats(self, *, perspective: Perspective = "host") -> dict[str, NetworkInterface]:
        """Returns the counters of every interface of the namespace, by name.

        Parameters:
            perspective: "host": as the kernel counts; "container": with rx and tx swapped.

        Raises:
            KernelError: interfaces changed during every attempt (EAGAIN), the call timed out, or
                the socket is closed.
            ValueError: `perspective` is neither.
        """
        order = column_order(perspective)
        names, columns = self._locked(partial(self._dump_columns, order), "RTM_GETSTATS")
        return dict(zip(names, make_views(names, columns), strict=True))

    def dump_counters(self) -> CounterTable:
        """Returns the counters of every interface as columns, without an object for each interface.

        Raises:
            KernelError: interfaces changed during every attempt (EAGAIN), the call timed out, or
                the socket is closed.
        """
        names, rows = self._locked(self._dump_rows, "RTM_GETSTATS")
        return CounterTable(names, *rows.views())

    def fileno(self) -> int:
        """Returns the descriptor of the first socket. Do not read from it.

        Raises:
            KernelError: the socket is closed.
        """
        descriptor: int = self._locked(lambda native, _: native.fileno(), "fileno")
        return descriptor

    # ---- called with the lock held ----

    def _read(self, native: Socket, name: Name) -> list[int]:
        """Reads the eight counters by name: the name is new, or interfaces have changed."""
        if type(name) is str:
            self._indexes.pop(name, None)
        watching = native.watch()
        values, index, own_name = native.get_stats_by_name(name)
        self._apply_changes(native)  # they are older than the reply
        if watching and not native.by_name_only and type(name) is str and own_name == name:
            self._indexes[own_name] = index
        return values

    def _get_link(self, native: Socket, name: Name) -> tuple[Any, ...]:
        fields: tuple[Any, ...] = native.with_deadline(partial(native.get_link, name))
        return fields

    def _dump_links(self, native: Socket, _: object) -> list[tuple[Any, ...]]:
        links: list[tuple[Any, ...]] = native.with_deadline(native.dump_links)
        return links

    def _dump_routes(
        self,
        native: Socket,
        _: object,
        index: int = 0,
        destinations: Collection[str] | None = None,
    ) -> list[tuple[str, dict[str, Any]]]:
        return native.with_deadline(partial(native.dump_routes, index, destinations))

    def _dump_rows(self, native: Socket, _: object) -> tuple[tuple[str, ...], Rows]:
        return self._dump(native, True)

    def _dump_columns(
        self, order: list[int], native: Socket, _: object
    ) -> tuple[tuple[str, ...], list[list[int]]]:
        names, rows = self._dump(native, False)
        return names, rows.columns(order)

    def _dump(self, native: Socket, lasting: bool) -> tuple[tuple[str, ...], Rows]:
        """Dumps the counters, with the names that the interfaces had at the end of the dump."""
        known = self._names.all is not None
        found = self._dump_known(native, lasting) if known else None
        if found is None:
            anew = partial(self._dump_anew, native, lasting, known)
            found = native.with_deadline(anew, first=not known)
        return found

    def _dump_known(self, native: Socket, lasting: bool) -> tuple[tuple[str, ...], Rows] | None:
        """Dumps with the cached names, or returns None if they are out of date."""
        rows = None if native.by_name_only else native.dump_stats(lasting=lasting)
        self._apply_changes(native)
        return None if rows is None else self._names.match(rows)

    def _dump_anew(self, native: Socket, lasting: bool, lost: bool) -> tuple[tuple[str, ...], Rows]:
        """Dumps with names that are read anew."""
        if not lost and native.watch() and not native.by_name_only:
            self._names.all = native.dump_names()
            found = self._dump_known(native, lasting)
            if found is not None:
                return found
        # Changes were lost, or the kernel refuses a part. Take names and counters from the same
        # messages, in five times the time: two separate dumps might never agree.
        return native.dump_stats_by_name()

    def _apply_changes(self, native: Socket) -> None:
        if native.has_changes():
            self._names.apply(native.take_changes())
