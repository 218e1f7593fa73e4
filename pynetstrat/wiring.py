"""The two ends of a wiring: the host's socket and the container's, shared within one call."""

from __future__ import annotations

import os
from dataclasses import replace
from errno import EINVAL, ENOENT, ESRCH
from time import monotonic

from ._native.addresses import normal_prefix, normal_route
from .batch import BatchError
from .errors import InterfaceNotFoundError, InvalidNetworkError, KernelError
from .links import IFA_F_NODAD, Address, Route
from .netns import NetworkNamespace
from .network import invalid
from .rtnetlink import RtnetlinkSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from .arguments import Netns
    from .batch import Batch
    from .links import Link
    from .network import Network

TIMEOUT = 5.0  # seconds, of a whole call
# Of a namespace that has ended: its path, or its process.
_GONE = {ENOENT, ESRCH, EINVAL}


class Wiring:
    """Host and container while networks are set up or torn down.

    Strategies get it as their `netns`: to those of others it is an object with `fileno()`; ours use
    its sockets, so that a container takes one of each, whatever it consists of.

    Attributes:
        namespace: the container's.
        undoes: what undoes the work done so far, step by step, for `roll_back`. A step is there
            before its work begins: an interrupt (Ctrl-C) may come between any two lines.
        checked: the networks that were found valid within this call.
        put_back: what puts a device back exactly as it was, by its name at home: for `destroy`
            within the same call, after which nothing of that is known any more.
    """

    def __init__(self, namespace: NetworkNamespace) -> None:
        self.namespace = namespace
        self.undoes: list[Callable[[], None]] = []
        self._until = monotonic() + TIMEOUT
        self._host: RtnetlinkSocket | None = None
        self._container: RtnetlinkSocket | None = None
        self._links: dict[str, tuple[int, bool]] = {}
        self._home: NetworkNamespace | None = None
        self.checked: list[Network] = []
        self.put_back: dict[str, Callable[[], None]] = {}

    def fileno(self) -> int:
        """The descriptor of the container's namespace."""
        return self.namespace.fileno()

    def __repr__(self) -> str:
        return repr(self.namespace)

    @property
    def host(self) -> RtnetlinkSocket:
        """The socket in the caller's namespace."""
        if self._host is None:
            self._host = RtnetlinkSocket(timeout=TIMEOUT)
            self._host.share_deadline(self._until)
        return self._host

    @property
    def container(self) -> RtnetlinkSocket:
        """The socket in the container's namespace."""
        if self._container is None:
            self._container = RtnetlinkSocket(self.namespace, timeout=TIMEOUT)
            self._container.share_deadline(self._until)
        return self._container

    @property
    def home(self) -> NetworkNamespace:
        """The caller's namespace, which devices come home to."""
        if self._home is None:
            self._home = NetworkNamespace.current()
        return self._home

    def look(self) -> dict[str, tuple[int, bool]]:
        """The links in the container, as `find` has them: one dump serves every network."""
        self._links = self.container.dump_states()
        return self._links

    def find(self, name: str) -> tuple[int, bool]:
        """The index of a link in the container, and whether it is up: of the last look, or now."""
        found = self._links.get(name)
        if found is None:
            link = self.container.get_link(name)
            found = link.index, link.up
        return found

    def roll_back(self, error: BaseException, kept: int = 0) -> None:
        """Undoes all steps but the first `kept`, the last one first, because of `error`."""
        if len(self.undoes) > kept:
            self.extend()
        while len(self.undoes) > kept:
            undo(error, self.undoes.pop())

    def extend(self) -> None:
        """Time for undoing, where the time for doing is over."""
        self._until = monotonic() + TIMEOUT
        for sock in (self._host, self._container):
            if sock is not None:
                sock.share_deadline(self._until)

    def close(self) -> None:
        """Closes the sockets, and the handle of the namespace."""
        for held in (self._host, self._container, self._home, self.namespace):
            if held is not None:
                held.close()
        self._host = self._container = self._home = None
        self.undoes.clear()  # which refer to this object


class open_wiring:  # noqa: N801  # used as a function
    """A context: the wiring that a strategy was given, or one made for this call alone.

    After an error the steps that were taken within it are undone.

    Parameters:
        nspid, netns: the container's namespace, one way or the other.
        type: the strategy's, for the error where neither is given.
    """

    def __init__(self, nspid: int | None, netns: Netns | Wiring | None, type: str) -> None:
        self._given = netns if isinstance(netns, Wiring) else None
        if self._given is not None:
            self._wiring = self._given
            return
        if netns is None and nspid is None:
            reason = f"the strategy {type} needs the container's namespace, or a process in it"
            raise InvalidNetworkError("netns", None, reason)
        opened = NetworkNamespace.open(netns) if netns is not None else _of_process(nspid)
        self._wiring = Wiring(opened)

    def __enter__(self) -> Wiring:
        self._kept = len(self._wiring.undoes)
        return self._wiring

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                self._wiring.roll_back(error, self._kept)
        finally:
            if self._given is None:
                self._wiring.close()


def _of_process(nspid: int | None) -> NetworkNamespace:
    assert nspid is not None
    return NetworkNamespace.of_process(nspid)


def open_if_alive(netns: Netns | None) -> Wiring | None:
    """The wiring of a call that works without the namespace, too; None: it has ended, or None."""
    if netns is None:
        return None
    try:
        return Wiring(NetworkNamespace.open(netns))
    except KernelError as error:
        # A path may be left where a namespace was mounted, of a descriptor EINVAL says that it is
        # something else.
        is_path = isinstance(netns, (str, bytes, os.PathLike))
        if error.errno not in _GONE or (error.errno == EINVAL and not is_path):
            raise
        return None


def open_socket(netns: Netns | None = None) -> RtnetlinkSocket:
    """A socket for one call, with one deadline for all that it does."""
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


def refuse_own(wiring: Wiring, network: str) -> None:
    """Raises InvalidNetworkError where the container's namespace is the caller's own."""
    if wiring.namespace.id == _own_id():
        reason = "the container's namespace is the caller's own"
        raise InvalidNetworkError("netns", str(wiring), reason, network)


def find_link(sock: RtnetlinkSocket, name: str) -> Link | None:
    """A link by its name; None: there is none."""
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


def undo(error: BaseException, work: Callable[[], None], what: str = "") -> None:
    """Undoes something after `error`; what could not be undone is added to its text."""
    try:
        work()
    except Exception as failure:
        add_note(error, f"{what} could not be undone: {failure}".lstrip())


def add_note(error: BaseException, note: str) -> None:
    """Adds to the text of an error of ours, and to the notes of others."""
    if isinstance(error, KernelError):
        error.hint = "; ".join(filter(None, (error.hint, note)))
    elif isinstance(error, InvalidNetworkError):
        error.reason += f"; {note}"
    else:  # add_note() of Python 3.11, also for 3.10
        error.__notes__ = [*getattr(error, "__notes__", []), note]


# ---- what a network asks for, and what differs ----


def whole_length(address: str) -> int:
    """The length of the whole address as a prefix."""
    return 128 if ":" in address else 32


def wanted_addresses(network: Network, index: int) -> list[Address]:
    """The addresses asked for. IPv6 without duplicate address detection: it can be used at once."""
    texts = [text for text in (network.address, network.ipv6_address) if text]
    return [Address(index, text, flags=IFA_F_NODAD if ":" in text else 0) for text in texts]


def wanted_routes(network: Network, index: int) -> list[Route]:
    """The default routes, and those that were asked for beyond."""
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


def check_container_link(container: RtnetlinkSocket, network: Network, link: Link) -> list[str]:
    """What differs of the container's interface from what the network asks for."""
    found = []
    if not link.up:
        found.append("down")
    if network.mtu and link.mtu != network.mtu:
        found.append(f"MTU {link.mtu}, not {network.mtu}")
    if network.txqueuelen and link.txqueuelen != network.txqueuelen:
        found.append(f"queue length {link.txqueuelen}, not {network.txqueuelen}")
    if network.mac_address and link.mac != network.mac_address.lower():
        found.append(f"MAC {link.mac}, not {network.mac_address}")
    found += check_addresses(container, link.name, wanted_addresses(network, link.index))
    found += check_routes(container, wanted_routes(network, link.index))
    return [f"{link.name}: {difference}" for difference in found]


def check_addresses(sock: RtnetlinkSocket, name: str, wanted: list[Address]) -> list[str]:
    """What differs: the addresses of a link that are wanted and missing, or of no use."""
    found = {address.address: address for address in sock.dump_addresses(name)}
    differences = []
    for address in wanted:
        text = normal_prefix(address.address)
        if text not in found:
            differences.append(f"the address {text} is missing")
        elif found[text].dadfailed:
            differences.append(f"the address {text} is another host's, too (it is a duplicate)")
        elif found[text].tentative:
            differences.append(f"the address {text} is tentative")
    return differences


def check_routes(sock: RtnetlinkSocket, wanted: list[Route]) -> list[str]:
    """What differs: the routes that are wanted and not there in that form."""
    there = [normal_route(route) for route in sock.dump_routes()]
    differences = []
    for route in map(normal_route, wanted):
        if any(_same_route(route, other) for other in there):
            continue
        via = f" via {route.gateway}" if route.gateway else ""
        others = [other for other in there if other.destination == route.destination]
        instead = "; there is one " + _shown(others[0]) if others else ""
        differences.append(
            f"the route to {route.destination}{via}, metric {route.metric}, is missing{instead}"
        )
    return differences


def _shown(route: Route) -> str:
    via = f"via {route.gateway}" if route.gateway else "without a gateway"
    return f"{via}, metric {route.metric}"


def _same_route(wanted: Route, other: Route) -> bool:
    return (
        wanted.destination == other.destination
        and wanted.gateway == other.gateway
        and wanted.metric == other.metric
        and wanted.table == other.table
        and wanted.ifindex in (0, other.ifindex)
        and (not wanted.source or wanted.source == other.source)
    )
