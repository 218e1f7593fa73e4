"""Queries and dumps of links, addresses, routes and nsids."""

from __future__ import annotations

from errno import EAFNOSUPPORT, EAGAIN, EINVAL, ENODEV
from time import monotonic, sleep

from .._core import ffi, lib
from ..errors import KernelError
from . import Namespace, decode, encode_name, fail, kernel_error, malformed
from .addresses import decode_addresses
from .links import IFF_UP, bridge_fields, link_fields, text_within
from .netns import read_cookie, to_netns_fd
from .prefixes import format_prefix
from .qdiscs import qdisc_fields, redirect_target
from .routes import RouteCopy, copy_route, route_fields, route_type
from .rows import new
from .transport import Transport, messages_within, new_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any, TypeVar

    Result = TypeVar("Result")

# An attribute of `lib` or `ffi` takes as long as a small function.
_link_get, _NULL = lib.netstrat_link_get, ffi.NULL

_FIRST_PAUSE, _LONGEST_PAUSE = 0.00002, 0.001  # seconds, while a worker of the kernel is waited for
_MAX_DUMPS = 16  # as often as netstrat_dump repeats an inconsistent dump
_MAX_MEMORY = 16 << 20  # bytes of a dump of a hostile container: more than 10,000 links


def wait_for_local_routes(dump: Callable[[], set[str]], addresses: set[str], until: float) -> None:
    """Waits until a link receives what is sent to its addresses.

    The kernel adds the local route of an IPv6 address in a worker (addrconf_dad_work in
    net/ipv6/addrconf.c), which takes some microseconds, and milliseconds on a busy machine.

    Parameters:
        dump: returns the destinations of the link's local routes.
        addresses: each with the length of a whole address.
        until: when to give up, a time of time.monotonic().
    """
    pause = _FIRST_PAUSE
    while not addresses <= dump() and monotonic() < until:
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


class Queries(Transport):
    """A socket with the queries that change nothing."""

    _link: Any = None  # made by _read_link()
    _is_strict = False  # whether the kernel has been asked to filter dumps

    # ---- links ----

    def _read_link(self, name: object) -> Any:
        """Reads a struct netstrat_link by a link's name or alternative name.

        The next call overwrites it.
        """
        encoded, link = encode_name(name), self._link
        if link is None:
            link = self._link = ffi.new("struct netstrat_link *")
        self._call(_link_get, encoded, link, _NULL, name=name)
        return link

    def get_link(self, name: object) -> tuple[Any, ...]:
        """Returns the fields of `Link` for a link by its name or alternative name."""
        return link_fields(self._read_link(name))

    def get_bridge(self, name: object) -> tuple[Any, ...]:
        """Returns the fields of `Bridge` for a link by its name or alternative name."""
        return bridge_fields(self._read_link(name))

    def find_link(self, name: object) -> tuple[int, bool]:
        """Returns the index of a link and whether it is up, by its name or alternative name."""
        link = self._read_link(name)
        return link.index, bool(link.flags & IFF_UP)

    def _until_distinct(self, dump: Callable[[], tuple[Result, int, int]]) -> Result:
        """Repeats a dump until each of its links has a name of its own, and returns its result.

        The kernel does not mark a dump as inconsistent if links exchange names during it. If one
        link is dumped before the exchange and the other after it, both have the same name, and the
        other name is missing.

        Parameters:
            dump: returns the result, the number of links, and the number of different names.
        """
        for _ in range(_MAX_DUMPS):
            result, links, names = dump()
            if links == names:
                return result
        raise kernel_error(EAGAIN, lib.NETSTRAT_OP_REQUEST, lib.RTM_GETLINK)

    def dump_links(self) -> list[tuple[Any, ...]]:
        """Returns the fields of `Link` for each link."""
        return self._until_distinct(self._dump_links)

    def _dump_links(self) -> tuple[list[tuple[Any, ...]], int, int]:
        link = ffi.new("struct netstrat_link *")
        found = []
        for message in self._dump(lib.netstrat_batch_dump_links, 0):
            if lib.netstrat_link_decode(message, link) < 0:
                raise malformed(lib.RTM_GETLINK)
            found.append(link_fields(link))
        return found, len(found), len({fields[1] for fields in found})

    def dump_identities(self) -> dict[str, tuple[int, str, int]]:
        """Returns each link's index, hardware address and `iflink` (as in sysfs), by name."""
        return {
            fields[1]: (fields[0], fields[7], fields[9] or fields[0])
            for fields in self.dump_links()
        }

    def get_device(self, link: object) -> tuple[Any, ...] | None:
        """Returns the fields of `Device` for a link by its index or name, or None if it is missing.

        The first field is the tuple of the fields of `Link`.
        """
        if isinstance(link, int):
            batch, _memory = new_request(lib.netstrat_batch_get_link_index, link)
        else:
            batch, _memory = new_request(lib.netstrat_batch_get_link, encode_name(link))
        answer = ffi.new("struct netstrat_message *")
        try:
            self.query(batch, answer, "" if isinstance(link, int) else link)
        except KernelError as error:
            if error.errno == ENODEV:
                return None
            raise
        native = ffi.new("struct netstrat_link *")
        if lib.netstrat_link_decode(answer, native) < 0:
            raise malformed(lib.RTM_GETLINK)
        return (
            link_fields(native),
            native.flags,
            text_within(native.parent_bus),
            text_within(native.parent_device),
        )

    def find_devices(self, matches: Callable[..., bool]) -> list[int]:
        """Returns the indexes of the links for which `matches` is true.

        The links may be those of a hostile container, so the dump uses bounded memory: links
        beyond it are left out. If links change during every attempt the result is empty.

        Parameters:
            matches: takes the kind, IFLA_LINK, IFLA_LINK_NETNSID (-1: none), and the parent's bus
                and name.
        """
        batch, _memory = new_request(lib.netstrat_batch_dump_links, 0)
        copy = new("unsigned char[]", _MAX_MEMORY)
        used = ffi.new("size_t *")
        try:
            self.dump_copy(batch, copy, _MAX_MEMORY, used)
        except KernelError as error:
            if error.errno == EAGAIN:
                return []
            raise
        link = ffi.new("struct netstrat_link *")
        return [
            link.index
            for message in messages_within(copy, min(used[0], _MAX_MEMORY))
            if lib.netstrat_link_decode(message, link) == 0
            and matches(
                decode(link.kind),
                link.peer,
                link.peer_nsid,
                text_within(link.parent_bus),
                text_within(link.parent_device),
            )
        ]

    # ---- addresses and routes ----

    def _set_strict(self) -> None:
        """Asks the kernel to filter dumps. If it can't, the caller's own filter is enough."""
        if not self._is_strict:
            lib.netstrat_socket_set_strict(self._sock, ffi.NULL)
            self._is_strict = True

    def dump_addresses(self, index: int) -> list[dict[str, Any]]:
        """Returns the fields of `Address` for each address of a link; 0: of every link."""
        return self.copy_addresses(index)()

    def copy_addresses(self, index: int) -> Callable[[], list[dict[str, Any]]]:
        """Dumps as `dump_addresses` does, but decodes the addresses only when the result is called.

        It is for undo steps, most of which never run.
        """
        self._set_strict()
        copy, used = self._dump_bytes(lib.netstrat_batch_dump_addresses, index)
        return lambda: decode_addresses(messages_within(copy, used), index)

    def dump_routes(
        self, index: int, destinations: Collection[str] | None = None
    ) -> list[tuple[str, dict[str, Any]]]:
        """Returns the type and the fields of `Route` for each route that delivers or refuses.

        Parameters:
            index: of a link, by which the kernel filters if it can; 0: every route.
            destinations: in CIDR; routes to others are left out. None: every route.
        """
        self._set_strict()
        route = ffi.new("struct netstrat_route *")
        found = []
        for message in self._dump(lib.netstrat_batch_dump_routes, index):
            code = lib.netstrat_route_decode(message, route)
            if code < 0 and code != -EAFNOSUPPORT:
                raise malformed(lib.RTM_GETROUTE)
            kind = route_type(route) if code == 0 else ""
            if not kind:
                continue
            if destinations is None or format_prefix(route.destination) in destinations:
                found.append((kind, route_fields(route)))
        return found

    def dump_local_routes(self, index: int) -> set[str]:
        """Returns the destinations of a link's local routes, in CIDR: what it receives for itself.

        Parameters:
            index: the link's, by which the kernel filters if it can.
        """
        self._set_strict()
        route = ffi.new("struct netstrat_route *")
        return {
            format_prefix(route.destination)
            for message in self._dump(lib.netstrat_batch_dump_routes, index)
            if lib.netstrat_route_decode(message, route) == 0 and route.type == lib.RTN_LOCAL
        }

    def copy_routes(self, index: int, sources: set[str]) -> list[RouteCopy]:
        """Copies the routes that use a link or prefer a source address.

        Parameters:
            index: the link's.
            sources: the addresses. With an empty set the kernel filters by the link, so that the
                cost does not grow with the number of other routes.
        """
        self._set_strict()
        route = ffi.new("struct netstrat_route *")
        copies = []
        for message in self._dump(lib.netstrat_batch_dump_routes, 0 if sources else index):
            if lib.netstrat_route_decode(message, route) < 0:
                continue
            # An index of 0 means several next hops, of which one may be the link.
            if route.index in (0, index) or (
                route.source.family and format_prefix(route.source, length=False) in sources
            ):
                copies.append(copy_route(message))
        return [copy for copy in copies if copy is not None]

    # ---- queueing disciplines ----

    def dump_qdiscs(self, index: int) -> list[tuple[Any, ...]]:
        """Returns the fields of `Qdisc` for each queueing discipline of a link; 0: of every link.

        The kernel can't filter this dump.
        """
        qdisc = ffi.new("struct netstrat_qdisc *")
        found = []
        for message in self._dump(lib.netstrat_batch_dump_qdiscs):
            if lib.netstrat_qdisc_decode(message, qdisc) < 0:
                raise malformed(lib.RTM_GETQDISC)
            if index in (0, qdisc.index):
                found.append(qdisc_fields(qdisc))
        return found

    def dump_redirects(self, index: int) -> list[int]:
        """Returns the links that the filters on what a link receives redirect every packet to.

        They are in the order in which the kernel tries them, with 0 for a filter that does
        something else.
        """
        native = ffi.new("struct netstrat_filter *")
        found = []
        for message in self._dump(lib.netstrat_batch_dump_filters, index):
            if lib.netstrat_filter_decode(message, native) < 0:
                raise malformed(lib.RTM_GETTFILTER)
            target = redirect_target(native)
            if target is not None:
                found.append(target)
        return found

    # ---- namespaces ----

    def get_cookie(self) -> int | None:
        """Returns the cookie of the socket's namespace, or None before Linux 5.14."""
        return read_cookie(self._sock)

    def get_nsid(self, netns: object) -> int | None:
        """Returns the nsid by which the socket's namespace knows another; None if it has none."""
        namespace = to_netns_fd(Namespace(netns))
        batch, _memory = new_request(lib.netstrat_batch_get_nsid, namespace.fd)
        answer = ffi.new("struct netstrat_message *")
        nsid = ffi.new("int32_t *")
        code = lib.netstrat_query(self._sock, batch, 1, answer, self._error)
        if code < 0:
            fail(code, self._error, filename=namespace.shown)
        if lib.netstrat_nsid_decode(answer, nsid) < 0:
            raise malformed(lib.NETSTRAT_RTM_GETNSID)
        return None if nsid[0] < 0 else int(nsid[0])

    def has_namespace(self, nsid: int) -> bool:
        """Returns whether the namespace with that nsid still exists.

        The kernel forgets the nsid a little after the namespace has ended.
        """
        batch, _memory = new_request(lib.netstrat_batch_get_link_at, nsid, 1)
        answer = ffi.new("struct netstrat_message *")
        code = lib.netstrat_query(self._sock, batch, 1, answer, self._error)
        # Any other error means that access is denied, or that the namespace has no such link.
        return bool(code != -EINVAL or self._error.operation != lib.NETSTRAT_OP_REQUEST)
