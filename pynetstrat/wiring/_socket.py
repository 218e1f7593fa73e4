"""The socket of a session: what wiring needs beyond the methods of `RtnetlinkSocket`."""

from __future__ import annotations

from .. import _handle
from .._dataclass import dataclass
from .._native.batch import NEWROUTE, Message
from .._native.routes import add_copy
from .._native.socket import Socket
from .._partial import partial
from ..rtnetlink.links import Address, Link, Route
from ..rtnetlink.socket import RtnetlinkSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any, TypeVar

    from .._native.routes import RouteCopy
    from ..types import Name, Netns

    Result = TypeVar("Result")


@dataclass(slots=True)
class Device:
    """A link, its flags, and the hardware that it belongs to.

    Attributes:
        link: the link.
        flags: IFF_UP and the other flags of linux/if.h.
        parent_bus, parent_device: the bus and the name of the hardware of a physical link
            (IFLA_PARENT_DEV_BUS_NAME, IFLA_PARENT_DEV_NAME), such as "pci" and "0000:00:1f.6"; ""
            for a virtual link, or before Linux 5.14.
    """

    link: Link
    flags: int
    parent_bus: str
    parent_device: str


class SessionSocket(RtnetlinkSocket):
    """An rtnetlink socket in one of the two namespaces of a session.

    Parameters:
        netns: the namespace; None: that of the calling thread.
        milliseconds: how long a call may take.
        until: the deadline of all calls, a time of `time.monotonic()`.
    """

    __slots__ = ()

    def __init__(self, netns: Netns | None, milliseconds: int, until: float) -> None:
        native = Socket(netns, milliseconds)
        native.share_deadline(until)
        self._attach(native)

    def _locked(self, work: Callable[..., Result], operation: str, name: object = "") -> Result:
        """Calls `work` without taking the lock, which nothing else could hold.

        A call on networks uses its sockets in one thread at a time, and neither a signal handler
        nor a third-party strategy can reach them.
        """
        if self._forks != _handle.forks or self._native is None:
            raise self._unusable(operation, name)
        return work(self._native, name)

    def _get_link(self, native: Socket, name: Name) -> tuple[Any, ...]:
        return native.get_link(name)  # the deadline has been set

    def set_timeout(self, milliseconds: int) -> None:
        """Sets the timeout of later calls."""
        self._locked(lambda native, _: native.set_timeout(milliseconds), "timeout")

    # ---- links ----

    def find_link(self, name: str) -> tuple[int, bool]:
        """Returns the index of a link, and whether it is up.

        Raises:
            KernelError: as `get_link`.
        """
        return self._locked(Socket.find_link, "RTM_GETLINK", name)

    def get_device(self, link: Name | int) -> Device | None:
        """Returns a link, by its index or name, with its device; None if missing."""
        fields = self._locked(lambda native, _: native.get_device(link), "RTM_GETLINK")
        return None if fields is None else Device(Link(*fields[0]), *fields[1:])

    def find_devices(self, matches: Callable[..., bool]) -> list[int]:
        """Returns the indexes of the links for which `matches` is true.

        The dump uses bounded memory: in a namespace with very many links some may be missing.

        Parameters:
            matches: takes the kind, IFLA_LINK and IFLA_LINK_NETNSID (0 and -1: none), the parent
                bus and the parent device.
        """
        return self._locked(lambda native, _: native.find_devices(matches), "RTM_GETLINK")

    def has_namespace(self, nsid: int) -> bool:
        """Returns whether the namespace with that nsid still exists.

        The kernel forgets the nsid a little after the namespace has ended.
        """
        return bool(self._locked(lambda native, _: native.has_namespace(nsid), "RTM_GETLINK"))

    def read_counters(self, index: int, name: str) -> list[int]:
        """Returns the eight counters of a link, in the host's perspective.

        Parameters:
            index: the link's.
            name: the link's name in errors.
        """
        counters: list[int] = self._locked(
            lambda native, _: native.read_counters(index, name), "RTM_GETLINK", name
        )
        return counters

    def dump_redirects(self, index: int) -> list[int]:
        """Returns the links that a link's filters redirect every packet to.

        They are in the order in which the kernel tries them, with 0 for a filter that does
        something else.

        Parameters:
            index: of the link whose received packets are filtered.
        """
        return self._locked(
            lambda native, _: native.dump_redirects(index), "RTM_GETTFILTER", f"index {index}"
        )

    # ---- addresses and routes ----

    def copy_addresses(self, index: int) -> Callable[[], list[Address]]:
        """Dumps the addresses of a link, but decodes them only when the result is called.

        It is for undo steps, most of which never run.

        Parameters:
            index: the link's.
        """
        decode = self._locked(lambda native, _: native.copy_addresses(index), "RTM_GETADDR")
        return lambda: [Address(**fields) for fields in decode()]

    def dump_all_routes(
        self, index: int = 0, destinations: Collection[str] | None = None
    ) -> list[tuple[str, Route]]:
        """Returns the routes that deliver or refuse, of all tables, with their types.

        The types are "unicast", "blackhole", "unreachable", "prohibit" and "throw".

        Parameters:
            index: of a link, to get only its routes; 0: all routes. Linux before 4.20 ignores it.
            destinations: in CIDR, to leave out the routes to others, of which root of a container
                may add any number; None: all routes.
        """
        dump = partial(self._dump_routes, index=index, destinations=destinations)
        routes = self._locked(dump, "RTM_GETROUTE")
        return [(kind, Route(**fields)) for kind, fields in routes]

    def dump_local_routes(self, index: int) -> set[str]:
        """Returns the destinations of a link's local routes, in CIDR: what it receives for itself.

        Parameters:
            index: the link's, by which Linux before 4.20 does not filter.
        """
        return self._locked(lambda native, _: native.dump_local_routes(index), "RTM_GETROUTE")

    def copy_routes(self, index: int, sources: set[str]) -> list[RouteCopy]:
        """Copies the routes that use a link or prefer a source address.

        `add_route_copy` adds a copy again. Routes that the kernel adds with an address, and routes
        that expire, are left out.

        Parameters:
            index: the link's.
            sources: the addresses. With an empty set the kernel dumps only the link's routes.
        """
        return self._locked(lambda native, _: native.copy_routes(index, sources), "RTM_GETROUTE")


def add_route_copy(route: RouteCopy) -> Message:
    """Makes a message that adds a route of `SessionSocket.copy_routes`."""
    return Message(NEWROUTE, add_copy, route, subject=route.destination)
