"""What one call needs: a socket in each of the two namespaces, one deadline, one undo stack."""

from __future__ import annotations

import os
from dataclasses import replace
from errno import EINVAL, ENOENT, ESRCH
from functools import partial
from time import monotonic

from ..errors import InterfaceNotFoundError, InvalidNetworkError, KernelError
from ..namespace import NetworkNamespace
from ..rtnetlink.batch import Batch, BatchError
from ..rtnetlink.links import IFA_F_NODAD, Address, Route
from ..rtnetlink.socket import RtnetlinkSocket
from ._undo import UndoStack
from .network import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ..rtnetlink.links import Link
    from ..types import Netns
    from ._difference import Found
    from .network import Network

TIMEOUT = 5.0  # seconds, of a whole call
# What opening a namespace that has ended fails with: a path that is gone (ENOENT), a process that
# is gone (ESRCH), a file that was the mount point of a namespace (EINVAL).
_GONE = {ENOENT, ESRCH, EINVAL}


class Session:
    """The two namespaces while a call works on them.

    Built-in strategies get it in `_create`, `_initialize`, `_destroy` and `_check`, and use its
    sockets: a call opens one in each namespace, however many networks it is about.

    Parameters:
        namespace: the container's; the session closes it. None: it is unknown, or has ended.
        timeout: seconds that the call may wait for the kernel.

    Attributes:
        namespace: the same.
        undo_stack: what reverses the changes made so far.
        created: the names of the links in the container that the undo stack deletes: what is done
            to such a link needs no undo step of its own.
        found: what the call has found in the container, for checks.
    """

    def __init__(self, namespace: NetworkNamespace | None, timeout: float = TIMEOUT) -> None:
        self.namespace = namespace
        self._timeout = self._patience = timeout
        self.undo_stack = UndoStack()
        self.created: set[str] = set()
        self.found: Found | None = None
        self._until = monotonic() + timeout
        self._host: RtnetlinkSocket | None = None
        self._container: RtnetlinkSocket | None = None
        self._links: dict[str, tuple[int, bool]] = {}
        self._host_namespace: NetworkNamespace | None = None

    def __repr__(self) -> str:
        return repr(self.namespace)

    @property
    def container_namespace(self) -> NetworkNamespace:
        """The container's namespace, where the call can't do without."""
        assert self.namespace is not None
        return self.namespace

    @property
    def host(self) -> RtnetlinkSocket:
        """The socket in the host namespace, which is the caller's."""
        if self._host is None:
            self._host = RtnetlinkSocket(timeout=self._patience)
            self._host.share_deadline(self._until)
        return self._host

    @property
    def container(self) -> RtnetlinkSocket:
        """The socket in the container's namespace."""
        if self._container is None:
            self._container = RtnetlinkSocket(self.container_namespace, timeout=self._patience)
            self._container.share_deadline(self._until)
        return self._container

    @property
    def host_namespace(self) -> NetworkNamespace:
        """A handle of the host namespace."""
        if self._host_namespace is None:
            self._host_namespace = NetworkNamespace.current()
        return self._host_namespace

    @property
    def until(self) -> float:
        """The deadline of the call, a time of `time.monotonic()`."""
        return self._until

    def snapshot(self) -> None:
        """Dumps the links in the container, for `find`: one dump serves every network."""
        self._links = self.container.dump_states()

    def find(self, name: str) -> tuple[int, bool]:
        """The index of a link in the container, and whether it is up.

        From the last snapshot; the kernel is asked for a link that is not in it.
        """
        found = self._links.get(name)
        if found is None:
            link = self.container.get_link(name)
            found = link.index, link.up
        return found

    def set_up_link(self, name: str) -> None:
        """Brings a link in the container up.

        To undo it, its addresses have to be known: the kernel adds some when `lo` goes up, which
        stay when it goes down, and flushes every IPv6 address of a link that goes down.
        """
        index, up = self.find(name)
        if up:
            return
        addresses = self.container.copy_addresses(index)
        self.undo_stack.push(partial(restore_down, self.container, index, addresses), name)
        self.container.link_set_up(name)

    def roll_back(self, error: BaseException, kept: int = 0) -> None:
        """Runs the undo steps above the first `kept`, because of `error`.

        The deadline of the call may have passed, so a rollback waits for nothing: the kernel has
        answered a request when send() returns. A signal, or the lock of a file, can take as much
        time of the rollback as the call had.
        """
        until, self._until = self._until, monotonic() + self._timeout
        self._set_patience(0)
        try:
            # Also after a call that had less time: so long the handlers of signals wait.
            self.undo_stack.roll_back(error, kept, monotonic() + max(self._timeout, TIMEOUT))
        finally:
            self._until = until
            self._set_patience(self._timeout)

    def _set_patience(self, timeout: float) -> None:
        self._patience = timeout
        for sock in (self._host, self._container):
            if sock is not None:
                sock.set_timeout(timeout)

    def close(self) -> None:
        """Closes the sockets and the handles of namespaces."""
        for held in (self._host, self._container, self._host_namespace, self.namespace):
            if held is not None:
                held.close()
        self._host = self._container = self._host_namespace = None
        self.undo_stack.clear()  # whose steps refer to this object

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class transaction:  # noqa: N801  # used as a function
    """A context: after an error it rolls back what was done within it.

    An interrupt can come at the first line of `__exit__`, before the rollback has begun. So a
    transaction contains a second one for the same work, whose `__exit__` that interrupt ends.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept = len(session.undo_stack)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._session.roll_back(error, self._kept)


def open_session(nspid: int | None, netns: Netns | None, type: str) -> Session:
    """The session of one operation of a built-in strategy.

    Parameters:
        nspid, netns: the container's namespace, one way or the other.
        type: the strategy's, for the error where neither is given.
    """
    if netns is not None:
        return Session(NetworkNamespace.open(netns))
    if nspid is not None:
        return Session(NetworkNamespace.of_process(nspid))
    reason = f"the strategy {type} needs the container's namespace, or a process in it"
    raise InvalidNetworkError("netns", None, reason)


def open_session_if_alive(netns: Netns | None, timeout: float = TIMEOUT) -> Session:
    """The session of a call that works without the container's namespace, too.

    Its `namespace` is None where `netns` is, or where that namespace has ended.
    """
    if netns is None:
        return Session(None, timeout)
    try:
        return Session(NetworkNamespace.open(netns), timeout)
    except KernelError as error:
        # Of a descriptor EINVAL says that it is something else.
        is_path = isinstance(netns, (str, bytes, os.PathLike))
        if error.errno not in _GONE or (error.errno == EINVAL and not is_path):
            raise
        return Session(None, timeout)


def open_socket(netns: Netns | None = None) -> RtnetlinkSocket:
    """A socket for one call, with one deadline for all its exchanges."""
    sock = RtnetlinkSocket(netns, timeout=TIMEOUT)
    sock.share_deadline(monotonic() + TIMEOUT)
    return sock


def _own_id() -> tuple[int, int]:
    try:
        own = os.stat("/proc/thread-self/ns/net")  # noqa: PTH116  # no file system path
        return own.st_dev, own.st_ino
    except OSError:  # there is no /proc, after a chroot
        with NetworkNamespace.current() as current:
            return current.id


def refuse_own(session: Session, network: str) -> None:
    """Raises InvalidNetworkError where the container's namespace is the caller's own."""
    if session.container_namespace.id == _own_id():
        reason = "the container's namespace is the caller's own"
        raise InvalidNetworkError("netns", str(session), reason, network)


def refuse_router_advertisements(name: str) -> None:
    """Sets accept_ra of a link in the caller's namespace to 0 (ip-sysctl.rst of the kernel).

    Only /proc has this setting. The kernel looks up the namespace of the calling thread, whatever
    /proc is mounted. Without IPv6 on the link there is nothing to set.

    Raises:
        KernelError: it is not 0 and cannot be set.
    """
    path = f"/proc/sys/net/ipv6/conf/{name}/accept_ra"
    try:
        with open(path, "wb", buffering=0) as file:  # noqa: PTH123  # half the time of a Path
            file.write(b"0")
    except OSError as error:
        missing = error.errno == ENOENT
        if missing and os.path.isdir("/proc/sys/net"):  # noqa: PTH112
            return
        if not missing and _read(path) == b"0\n":
            return
        hint = (
            "the container must not become the host's IPv6 router: mount /proc, with a writable "
            "/proc/sys, or set net.ipv6.conf.default.accept_ra to 0"
        )
        raise KernelError(error.errno or 0, "open", name, hint=hint, filename=path) from None


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return b""


def find_link(sock: RtnetlinkSocket, name: str) -> Link | None:
    """Returns a link by its name, or None if it does not exist."""
    try:
        return sock.get_link(name)
    except InterfaceNotFoundError:
        return None


def find_bridge(host: RtnetlinkSocket, network: Network) -> Link:
    """The bridge that a network names; InvalidNetworkError where it is not there, or not one."""
    link = find_link(host, network.bridge)
    if link is None:
        raise invalid(network, "bridge", "there is no such bridge: make it, or name another")
    if link.kind != "bridge":
        kind = f"a link of kind {link.kind}" if link.kind else "a device"
        raise invalid(network, "bridge", f"this is {kind}, not a bridge")
    return link


def stable_hash(text: bytes) -> int:
    """FNV-1a, 64 bits: the same each time and everywhere, which hash() is not."""
    value = 0xCBF29CE484222325
    for byte in text:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def execute_for(sock: RtnetlinkSocket, batch: Batch, name: str) -> None:
    """Executes a batch that is about one interface, by the name that its errors show."""
    try:
        sock.execute(batch)
    except BatchError as error:
        error.interface = name
        raise


def restore_down(sock: RtnetlinkSocket, index: int, addresses: Callable[[], list[Address]]) -> None:
    """Sets a link down and gives it the addresses that it had before.

    Parameters:
        addresses: returns them.
    """
    before = addresses()
    name = next(link.name for link in sock.dump_links().values() if link.index == index)
    execute_for(sock, Batch().set_link(index, up=False), name)
    batch = Batch()
    # Also those that are to stay: with them goes the route to the subnet that `lo` got by going up.
    # An IPv4 address takes those that are secondary to it along, so the last one goes first.
    for address in reversed(sock.dump_addresses(index)):
        batch.delete_address(index, address)
    for address in in_order(before):
        batch.add_address(index, address)
    execute_for(sock, batch, name)


def in_order(addresses: list[Address]) -> list[Address]:
    """The order in which addresses have to be added to be listed as before.

    The kernel puts an IPv6 address before the others of its scope, an IPv4 address after them.
    """
    ipv4 = [address for address in addresses if ":" not in address.address]
    return ipv4 + [address for address in reversed(addresses) if ":" in address.address]


# ---- what a network requests ----


def whole_length(address: str) -> int:
    """The length of the whole address as a prefix."""
    return 128 if ":" in address else 32


def wanted_addresses(network: Network, index: int) -> list[Address]:
    """The addresses asked for: IPv6 usable at once, without duplicate address detection."""
    addresses = []
    if network.address:
        broadcast = _broadcast(network.address)
        addresses.append(Address(index, network.address, broadcast=broadcast))
    if network.ipv6_address:
        addresses.append(Address(index, network.ipv6_address, flags=IFA_F_NODAD))
    return addresses


def _broadcast(address: str) -> str:
    """The broadcast address of an IPv4 subnet; "" for /31 (RFC 3021) and /32, which have none."""
    bare, _, length = address.partition("/")
    hosts = (1 << (32 - int(length))) - 1
    if hosts < 3:
        return ""
    value = int.from_bytes(map(int, bare.split(".")), "big") | hosts
    return ".".join(map(str, value.to_bytes(4, "big")))


def wanted_routes(network: Network, index: int) -> list[Route]:
    """The default routes and the network's further routes."""
    routes = []
    pairs = ((network.address, network.gateway), (network.ipv6_address, network.ipv6_gateway))
    for address, gateway in pairs:
        if gateway:
            onlink = _is_whole(address)
            route = Route("default", gateway=gateway, metric=network.metric, ifindex=index)
            route.onlink = onlink
            routes.append(route)
    routes += [replace(route, ifindex=route.ifindex or index) for route in network.routes]
    return routes


def _is_whole(address: str) -> bool:
    bare, _, length = address.partition("/")
    return int(length) == whole_length(bare)
