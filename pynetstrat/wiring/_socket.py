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
    from typing import TypeVar

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


@dataclass(slots=True)
class Bridge:
    """What wiring needs to know of a bridge. The fields are those of `Link`.

    Each call on a bridged network queries the bridge, and most fields of a `Link` take as long to
    read as the query.
    """

    index: int
    name: str
    kind: str
    mtu: int
    mac: str
    bridge_id: str


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
        # Without a lock, which nothing else could hold: a call on networks uses its sockets in one
        # thread at a time, and neither a signal handler nor a third-party strategy can reach them.
        # Without a name cache, which only readings of counters by name use.
        self._where = native.namespace
        self._forks = _handle.forks
        self._native = native

    def _use(self, operation: str, name: object = "") -> Socket:
        """Returns the native half.

        Parameters:
            operation, name: for the error if the socket can't be used.
        """
        if self._forks != _handle.forks or self._native is None:
            raise self._unusable(operation, name)
        return self._native  # type: ignore[no-any-return]

    def _locked(self, work: Callable[..., Result], operation: str, name: object = "") -> Result:
        """Calls `work` with the native half and the name, without a lock."""
        return work(self._use(operation, name), name)

    def close(self) -> None:
        """Closes the socket. A second call does nothing."""
        if self._native is not None:
            self._native.close()
            self._native = None

    def set_timeout(self, milliseconds: int) -> None:
        """Sets the timeout of later calls."""
        self._use("timeout").set_timeout(milliseconds)

    def get_cookie(self) -> int | None:
        """Returns the cookie of the namespace (SO_NETNS_COOKIE), or None before Linux 5.14."""
        return self._use("getsockopt").get_cookie()

    # ---- links ----

    def get_link(self, name: Name) -> Link:
        """Returns one link, as `RtnetlinkSocket.get_link` does."""
        return Link(*self._use("RTM_GETLINK", name).get_link(name))

    def get_bridge(self, name: Name) -> Bridge:
        """Returns a link as a `Bridge`, whatever its kind; errors as of `get_link`."""
        return Bridge(*self._use("RTM_GETLINK", name).get_bridge(name))

    def link_set_up(self, name: Name) -> None:
        """Brings a link up, as `RtnetlinkSocket.link_set_up` does."""
        self._use("RTM_NEWLINK", name).set_up(name)

    def find_link(self, name: str) -> tuple[int, bool]:
        """Returns the index of a link, and whether it is up.

        Raises:
            KernelError: as `get_link`.
        """
        return self._use("RTM_GETLINK", name).find_link(name)

    def get_device(self, link: Name | int) -> Device | None:
        """Returns a link, by its index or name, with its device; None if missing."""
        fields = self._use("RTM_GETLINK").get_device(link)
        return None if fields is None else Device(Link(*fields[0]), *fields[1:])

    def find_devices(self, matches: Callable[..., bool]) -> list[int]:
        """Returns the indexes of the links for which `matches` is true.

        The dump uses bounded memory: in a namespace with very many links some may be missing.

        Parameters:
            matches: takes the kind, IFLA_LINK and IFLA_LINK_NETNSID (0 and -1: none), the parent
                bus and the parent device.
        """
        return self._use("RTM_GETLINK").find_devices(matches)

    def has_namespace(self, nsid: int) -> bool:
        """Returns whether the namespace with that nsid still exists.

        The kernel forgets the nsid a little after the namespace has ended.
        """
        return self._use("RTM_GETLINK").has_namespace(nsid)

    def read_counters(self, index: int, name: str) -> list[int]:
        """Returns the eight counters of a link, in the host's perspective.

        Parameters:
            index: the link's.
            name: the link's name in errors.
        """
        return self._use("RTM_GETLINK", name).read_counters(index, name)

    def dump_redirects(self, index: int) -> list[int]:
        """Returns the links that a link's filters redirect every packet to.

        They are in the order in which the kernel tries them, with 0 for a filter that does
        something else.

        Parameters:
            index: of the link whose received packets are filtered.
        """
        return self._use("RTM_GETTFILTER", f"index {index}").dump_redirects(index)

    # ---- addresses and routes ----

    def copy_addresses(self, index: int) -> Callable[[], list[Address]]:
        """Dumps the addresses of a link, but decodes them only when the result is called.

        It is for undo steps, most of which never run.

        Parameters:
            index: the link's.
        """
        decode = self._use("RTM_GETADDR").copy_addresses(index)
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
        return self._use("RTM_GETROUTE").dump_local_routes(index)

    def copy_routes(self, index: int, sources: set[str]) -> list[RouteCopy]:
        """Copies the routes that use a link or prefer a source address.

        `add_route_copy` adds a copy again. Routes that the kernel adds with an address, and routes
        that expire, are left out.

        Parameters:
            index: the link's.
            sources: the addresses. With an empty set the kernel dumps only the link's routes.
        """
        return self._use("RTM_GETROUTE").copy_routes(index, sources)


def add_route_copy(route: RouteCopy) -> Message:
    """Makes a message that adds a route of `SessionSocket.copy_routes`."""
    return Message(NEWROUTE, add_copy, route, subject=route.destination)
