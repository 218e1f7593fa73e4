"""struct netstrat_socket, with the memory that it works in, and what is asked of it."""

from __future__ import annotations

from errno import EAFNOSUPPORT, EAGAIN, EBADMSG, EEXIST, EINVAL, EMSGSIZE, ENODEV, EOPNOTSUPP
from functools import partial
from time import monotonic

from .._core import ffi, lib
from ..errors import KernelError, quote
from . import Namespace, decode, encode_name, fail, kernel_error, new_socket, raise_interrupt
from .addresses import (
    RouteCopy,
    address_fields,
    copy_route,
    format_prefix,
    route_fields,
    route_kind,
)
from .netns import to_netns_fd
from .rows import Rows, named_rows, new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from .batch import Encoded, Message

    Result = TypeVar("Result")

CHANGES = 256  # more than a socket's default queue holds
_KNOWN = 1024  # entries of the cache of names at first: a power of two

_MOST_DUMPS = 16  # as often as netstrat_dump repeats an inconsistent one
_IFF_UP, _IFF_RUNNING = 1, 0x40  # linux/if.h
_RTM_GETLINK, _RTM_GETADDR, _RTM_GETROUTE, _RTM_GETNSID = 18, 22, 26, 90  # linux/rtnetlink.h

# Looked up once: an attribute of `lib` costs as much as a small function, 2 % of get_stats.
_counters_get = lib.netstrat_counters_get
_set_up = lib.netstrat_link_set_up


def new_counters() -> tuple[Any, Callable[[], list[int]]]:
    """A struct netstrat_counters, and what gives its fields at a third of ffi.unpack's price."""
    counters = ffi.new("struct netstrat_counters *")
    return counters, memoryview(ffi.buffer(counters)).cast("Q").tolist


def new_request(encode: Callable[..., int], *arguments: object) -> tuple[Any, Any]:
    """A batch of one message, and its memory, which has to live as long."""
    memory = ffi.new("unsigned char[]", 192)  # a request and the longest of names
    batch = ffi.new("struct netstrat_batch *")
    lib.netstrat_batch_init(batch, memory, len(memory))
    encode(batch, *arguments)
    return batch, memory


class Socket:
    """An rtnetlink socket, and a second one for changes once the first hears notifications.

    A change causes notifications. On a socket that hears them they compete with the ack for the
    receive queue, so changes go over a socket that has joined no multicast group. Counters go over
    the first socket: a reply there is as new as the notifications before it.

    Attributes:
        namespace: how errors and representations show where it is.
    """

    __slots__ = (
        "_buffers",
        "_changer",
        "_changes",
        "_copy_size",
        "_counters",
        "_error",
        "_known",
        "_name",
        "_room",
        "_rows",
        "_sock",
        "_strict",
        "_until",
        "_values",
        "_watch",
        "by_name_only",
        "namespace",
    )

    def __init__(self, netns: object, timeout_ms: int) -> None:
        self._sock = sock = new_socket()
        # For changes. NULL: the first socket has joined a group, and the second is not open yet.
        self._changer = sock
        self._error = error = ffi.new("struct netstrat_error *")
        size = lib.NETSTRAT_BUFFER_SIZE
        buffer = new("unsigned char[]", size)
        self._buffers = {sock: buffer}  # which have to live as long
        self._name: Any = (
            None  # get_stats_by_name() makes this and the next two, before get_stats()
        )
        self._counters: Any = None
        self._values: Callable[[], list[int]] = list
        self._watch: Any = ffi.NULL
        self._changes: Any = None
        self._known: Any = None
        self._room = 64
        self._rows: tuple[Any, Any] = ((), ())  # of dumps that need not last
        self._copy_size = 32768
        self._strict = False
        self._until = 0  # share_deadline()'s, in milliseconds; 0: none
        self.by_name_only = False
        self.namespace = ""
        if netns is None:
            code = lib.netstrat_socket_open(sock, buffer, size, error)
            if code < 0:
                fail(code, error)
        else:
            namespace = Namespace(netns)
            self.namespace = namespace.shown
            code = lib.netstrat_socket_open_at(sock, buffer, size, namespace.fd, error)
            if code < 0:
                namespace.fail(code, error)
        sock.timeout_ms = timeout_ms
        sock.interrupted = lib.pynetstrat_interrupted

    def fileno(self) -> int:
        """The descriptor."""
        return self._sock.fd  # type: ignore[no-any-return]

    def close(self) -> None:
        """Closes both sockets. A second call does nothing."""
        for sock in self._buffers:
            lib.netstrat_socket_close(sock)

    def with_deadline(self, work: Callable[[], Result], *, first: bool = True) -> Result:
        """Returns what `work` returns. All exchanges within it have one deadline.

        A single exchange has its own deadline, for which the core needs no setting.

        Parameters:
            first: whether it begins the public call, and so the deadline.
        """
        if self._until:  # share_deadline() has set the deadline of every call
            return work()
        if first:
            until = int(monotonic() * 1000) + self._sock.timeout_ms
            for sock in self._buffers:
                sock.deadline_ms = until
        for sock in self._buffers:
            sock.shared_deadline = 1
        try:
            return work()
        finally:
            for sock in self._buffers:
                sock.shared_deadline = 0

    def share_deadline(self, until: float) -> None:
        """Sets one deadline for all calls from now on: a time of time.monotonic()."""
        self._until = int(until * 1000)
        for sock in self._buffers:
            sock.deadline_ms = self._until
            sock.shared_deadline = 1

    def set_timeout(self, milliseconds: int) -> None:
        """Sets the timeout of later calls; 0 reads what the kernel has answered and never waits."""
        for sock in self._buffers:
            sock.timeout_ms = milliseconds

    def _open_changer(self) -> Any:
        """Opens the second socket, for changes, in the namespace of the first.

        Where that fails (no descriptor is left, or the calling thread is in another namespace and
        must not enter this one), the change goes over the first socket. netstrat_execute then
        leaves the groups while it works, and the name cache is told that notifications were lost.
        """
        first = self._sock
        if len(self._buffers) > 1:  # a signal handler that raised came between the last two lines
            self._changer = next(sock for sock in self._buffers if sock != first)
            return self._changer
        sock, size = new_socket(), lib.NETSTRAT_BUFFER_SIZE
        buffer = new("unsigned char[]", size)
        if lib.netstrat_socket_open_beside(sock, buffer, size, first, self._error) < 0:
            return first
        sock.timeout_ms = first.timeout_ms
        sock.interrupted = first.interrupted
        sock.deadline_ms = first.deadline_ms
        sock.shared_deadline = first.shared_deadline
        self._buffers[sock] = buffer
        self._changer = sock
        return sock

    def _call(self, function: Callable[..., int], *arguments: object, name: object = "") -> int:
        """Calls a function of the core, with a larger buffer if the answer takes one."""
        while True:
            code = function(self._sock, *arguments, self._error)
            if code >= 0:
                return code
            if not self._enlarge(code):
                fail(code, self._error, name)

    def _enlarge(self, code: int) -> bool:
        """Makes room for an answer that did not fit; False where `code` says anything else."""
        sock = self._sock
        if code != -EMSGSIZE or sock.required_size <= sock.buffer_size:
            return False
        size = sock.required_size + sock.required_size // 8
        self._buffers[sock] = sock.buffer = new("unsigned char[]", size)
        sock.buffer_size = size
        return True

    # ---- links ----

    def set_up(self, name: object) -> None:
        """netstrat_link_set_up."""
        code = _set_up(self._changer or self._open_changer(), encode_name(name), self._error)
        if code < 0:
            fail(code, self._error, name)

    def set_down(self, name: object) -> None:
        """netstrat_link_set_down."""
        sock = self._changer or self._open_changer()
        code = lib.netstrat_link_set_down(sock, encode_name(name), self._error)
        if code < 0:
            fail(code, self._error, name)

    def is_up(self, name: object) -> bool:
        """netstrat_link_is_up."""
        return bool(self._call(lib.netstrat_link_is_up, encode_name(name), name=name))

    def get_link(self, name: object) -> tuple[Any, ...]:
        """netstrat_link_get: the fields of `Link`."""
        link = ffi.new("struct netstrat_link *")
        self._call(lib.netstrat_link_get, encode_name(name), link, ffi.NULL, name=name)
        return link_fields(link)

    def _dump(self, request: Callable[..., int], *arguments: object) -> Iterator[Any]:
        """netstrat_dump_copy: each message of the reply, as struct netstrat_message."""
        return _messages(*self._copy_dump(request, *arguments))

    def _copy_dump(self, request: Callable[..., int], *arguments: object) -> tuple[Any, int]:
        """netstrat_dump_copy: the messages of the reply as bytes, and their length."""
        batch, _memory = new_request(request, *arguments)
        used = ffi.new("size_t *")
        while True:
            copy = new("unsigned char[]", self._copy_size)
            self._call(lib.netstrat_dump_copy, batch, copy, self._copy_size, used)
            if used[0] <= self._copy_size:
                return copy, used[0]
            self._copy_size = used[0] + used[0] // 8

    def query(self, batch: Any, answer: Any, name: object = "") -> None:
        """netstrat_query: one request and its answer."""
        self._call(lib.netstrat_query, batch, 1, answer, name=name)

    def dump_copy(self, batch: Any, copy: Any, size: int, used: Any) -> None:
        """netstrat_dump_copy."""
        self._call(lib.netstrat_dump_copy, batch, copy, size, used)

    def _until_distinct(self, dump: Callable[[], tuple[Result, int, int]]) -> Result:
        """Returns what `dump` returns, once each of its links has a name of its own.

        The kernel does not mark a dump as inconsistent in which links exchange names. Where one
        link is dumped before the exchange and another after it, both have the same name, and the
        other name is missing.

        Parameters:
            dump: returns the result, how many links it has, and how many different names.
        """
        for _ in range(_MOST_DUMPS):
            result, links, names = dump()
            if links == names:
                return result
        raise kernel_error(EAGAIN, lib.NETSTRAT_OP_REQUEST, _RTM_GETLINK)

    def dump_links(self) -> list[tuple[Any, ...]]:
        """The fields of `Link` for each link."""
        return self._until_distinct(self._dump_links)

    def _dump_links(self) -> tuple[list[tuple[Any, ...]], int, int]:
        link = ffi.new("struct netstrat_link *")
        found = []
        for message in self._dump(lib.netstrat_batch_dump_links, 0):
            if lib.netstrat_link_decode(message, link) < 0:
                raise kernel_error(EBADMSG, lib.NETSTRAT_OP_REQUEST, _RTM_GETLINK)
            found.append(link_fields(link))
        return found, len(found), len({fields[1] for fields in found})

    def dump_states(self) -> dict[str, tuple[int, bool]]:
        """The index of each link and whether it is up, by name. Faster than `dump_links`."""
        return self._until_distinct(self._dump_states)

    def _dump_states(self) -> tuple[dict[str, tuple[int, bool]], int, int]:
        index, flags = ffi.new("int32_t *"), ffi.new("uint32_t *")
        name = ffi.new("struct netstrat_link_name *")
        found = {}
        count = 0
        for message in self._dump(lib.netstrat_batch_dump_links, 0):
            code = lib.netstrat_link_flags_decode(message, index, flags)
            if code < 0 or lib.netstrat_link_name_decode(message, name) < 0:
                raise kernel_error(EBADMSG, lib.NETSTRAT_OP_REQUEST, _RTM_GETLINK)
            found[decode(name.name)] = index[0], bool(flags[0] & _IFF_UP)
            count += 1
        return found, count, len(found)

    # ---- addresses, routes, namespaces ----

    def _ask_strictly(self) -> None:
        """Has the kernel filter dumps, once; where it can't, the caller's filter does it alone."""
        if not self._strict:
            lib.netstrat_socket_set_strict(self._sock, ffi.NULL)
            self._strict = True

    def dump_addresses(self, index: int) -> list[dict[str, Any]]:
        """The fields of `Address` for each address; 0: of every link."""
        return self.copy_addresses(index)()

    def copy_addresses(self, index: int) -> Callable[[], list[dict[str, Any]]]:
        """Dumps addresses as `dump_addresses` does, and decodes them when the result is called."""
        self._ask_strictly()
        copy, used = self._copy_dump(lib.netstrat_batch_dump_addresses, index)
        return partial(_decode_addresses, copy, used, index)

    def dump_routes(self, index: int) -> list[tuple[str, dict[str, Any]]]:
        """The type and the fields of `Route` for each route that delivers or refuses.

        Parameters:
            index: of a link, by which the kernel filters if it can; 0: every route.
        """
        self._ask_strictly()
        route = ffi.new("struct netstrat_route *")
        found = []
        for message in self._dump(lib.netstrat_batch_dump_routes, index):
            code = lib.netstrat_route_decode(message, route)
            if code < 0 and code != -EAFNOSUPPORT:
                raise kernel_error(EBADMSG, lib.NETSTRAT_OP_REQUEST, _RTM_GETROUTE)
            kind = route_kind(route) if code == 0 else ""
            if kind:
                found.append((kind, route_fields(route)))
        return found

    def copy_routes(self, index: int, sources: set[str]) -> list[RouteCopy]:
        """The routes that use a link or prefer a source address, as the kernel describes them.

        Parameters:
            index: the link's.
            sources: the addresses. An empty set lets the kernel filter by the link, so that the
                cost does not grow with the namespace's other routes.
        """
        self._ask_strictly()
        route = ffi.new("struct netstrat_route *")
        copies = []
        for message in self._dump(lib.netstrat_batch_dump_routes, 0 if sources else index):
            if lib.netstrat_route_decode(message, route) < 0:
                continue
            # Index 0: several next hops, of which one may be the link.
            uses = route.index in (0, index)
            if uses or (
                route.source.family and format_prefix(route.source, length=False) in sources
            ):
                copies.append(copy_route(message, route))
        return [copy for copy in copies if copy is not None]

    def get_nsid(self, netns: object) -> int | None:
        """The id by which the socket's namespace knows another."""
        namespace = to_netns_fd(Namespace(netns))
        batch, _memory = new_request(lib.netstrat_batch_get_nsid, namespace.fd)
        answer = ffi.new("struct netstrat_message *")
        nsid = ffi.new("int32_t *")
        code = lib.netstrat_query(self._sock, batch, 1, answer, self._error)
        if code < 0:
            fail(code, self._error, filename=namespace.shown)
        if lib.netstrat_nsid_decode(answer, nsid) < 0:
            raise kernel_error(EBADMSG, lib.NETSTRAT_OP_REQUEST, _RTM_GETNSID)
        return None if nsid[0] < 0 else int(nsid[0])

    def has_namespace(self, nsid: int) -> bool:
        """Whether the namespace of an id has not ended; its id lives a little longer."""
        batch, _memory = new_request(lib.netstrat_batch_get_link_at, nsid, 1)
        answer = ffi.new("struct netstrat_message *")
        code = lib.netstrat_query(self._sock, batch, 1, answer, self._error)
        # Any other error says that it may not be looked into, or has no such link.
        return bool(code != -EINVAL or self._error.step != lib.NETSTRAT_OP_REQUEST)

    # ---- batches ----

    def execute(self, encoded: Encoded) -> list[Any]:
        """netstrat_execute: the results as `Encoded.outcomes` returns them."""
        count = encoded.batch.count
        results = new("int[]", count + 1)
        error = self._error
        sock = self._changer or self._open_changer()
        code = lib.netstrat_execute(sock, encoded.batch, results, error)
        if code == 0:
            return [None] * count
        if code < 0 and error.step == lib.NETSTRAT_OP_BATCH:
            fail(code, error)
        raise_interrupt()
        outcomes = encoded.outcomes(code, ffi.unpack(results, count), error)
        if not any(outcomes):  # everything is done, and the groups could not be joined again
            fail(code, error)
        for message, outcome in zip(encoded.messages, outcomes, strict=True):
            if isinstance(outcome, KernelError) and outcome.errno == EEXIST and message.new_names:
                find = partial(self._find_taken, message, encoded)
                self._sock.deadline_ms = sock.deadline_ms  # it goes on
                outcome.hint = self.with_deadline(find, first=False) or outcome.hint
                break  # the others may be its consequences
        return outcomes

    def _find_taken(self, message: Message, encoded: Encoded) -> str:
        """Which of the names that a message gives is taken, and in which namespace."""
        for name, elsewhere in message.new_names:
            if not elsewhere:
                sock, where = self, "in this namespace"
            else:
                namespace = encoded.open(message.netns, name)
                sock, where = Socket(namespace.fd, self._sock.timeout_ms), f"in {namespace.shown}"
            try:
                sock.is_up(name)
            except KernelError:
                continue
            finally:
                if elsewhere:
                    sock.close()
            return f"the name {quote(name)} is taken {where}"
        return ""

    def dump_identities(self) -> dict[str, tuple[int, str, int]]:
        """The index, the hardware address and the `iflink` of sysfs of each link, by name."""
        return {
            fields[1]: (fields[0], fields[7], fields[9] or fields[0])
            for fields in self.dump_links()
        }

    # ---- what is watched ----

    def watch(self) -> bool:
        """Notes changes from now on; False where notifications are refused."""
        if self._watch:
            return True
        if self.by_name_only:
            return False
        watch = ffi.new("struct netstrat_name_watch *")
        self._changes = watch.changes = new("struct netstrat_link_name[]", CHANGES)
        watch.room = CHANGES
        self._remember(watch, _KNOWN)
        if lib.netstrat_name_watch_start(watch, self._sock, self._error) < 0:
            self.by_name_only = True
            return False
        self._watch = watch
        self._changer = ffi.NULL
        return True

    def _remember(self, watch: Any, entries: int) -> None:
        self._known = watch.known = ffi.new("struct netstrat_link_name[]", entries)
        watch.known_size = entries

    def changed(self) -> bool:
        """Whether anything was noted since take_changes()."""
        return bool(self._watch) and self._watch.count != 0

    def take_changes(self) -> list[tuple[int, str]] | None:
        """What was noted since the last time; None where some of it was lost.

        (index, name) is an interface that appeared or was renamed, (index, "") one that went.
        """
        count, self._watch.count = self._watch.count, 0
        if count > CHANGES:
            return None
        return [(link.index, decode(link.name)) for link in self._changes[0:count]]

    # ---- counters ----

    def get_stats(self, index: int, name: object) -> list[int] | None:
        """The counters of an index.

        None where a change of any interface was noted before the reply, where there is no such
        index, and where RTM_GETSTATS is refused.
        """
        code = _counters_get(self._sock, self._watch, index, self._counters, self._error)
        if code == 0:
            return self._values()
        if code == -EOPNOTSUPP:
            self.by_name_only = True
        elif code < 0 and code != -ENODEV:
            fail(code, self._error, name)
        return None

    def get_stats_by_name(self, name: object) -> tuple[list[int], int, str]:
        """The counters, the index and the interface name, by a name or an alternative name."""
        if self._name is None:
            self._name = ffi.new("struct netstrat_link_name *")
            self._counters, self._values = new_counters()
        found = self._name
        function = lib.netstrat_counters_get_by_name
        self._call(function, self._watch, encode_name(name), found, self._counters, name=name)
        return self._values(), found.index, decode(found.name)

    def _grow(self, count: int) -> bool:
        """Makes room for more rows than there were; False where there was enough."""
        if count <= self._room:
            return False
        self._room = count + count // 8
        return True

    def dump_names(self) -> dict[int, str]:
        """The name of every interface, by index."""
        while True:
            links = new("struct netstrat_link_name[]", self._room)
            count = self._call(lib.netstrat_link_names_dump, self._watch, links, self._room)
            watch = self._watch
            too_small = bool(watch) and watch.known_size < count
            if too_small:
                self._remember(watch, 1 << (2 * count).bit_length())
            if not self._grow(count) and not too_small:
                return {link.index: decode(link.name) for link in links[0:count]}

    def dump_stats(self, *, lasting: bool) -> Rows | None:
        """The counters of every interface; None where RTM_GETSTATS is refused.

        Parameters:
            lasting: in memory of their own; otherwise in the socket's, up to the next dump.
        """
        while True:
            indexes, counters = self._rows
            if lasting or len(indexes) < self._room:
                indexes = new("int32_t[]", self._room)
                counters = new("struct netstrat_counters[]", self._room)
            if not lasting:
                self._rows = indexes, counters
            code = lib.netstrat_counters_dump(
                self._sock, indexes, counters, self._room, self._error
            )
            if code == -EOPNOTSUPP:
                self.by_name_only = True
                return None
            if code < 0 and not self._enlarge(code):
                fail(code, self._error)
            if code >= 0 and not self._grow(code):
                return Rows(indexes, counters, code)

    def dump_stats_by_name(self) -> tuple[tuple[str, ...], Rows]:
        """The names and counters of every interface, both from the same messages."""
        return self._until_distinct(self._dump_stats_by_name)

    def _dump_stats_by_name(self) -> tuple[tuple[tuple[str, ...], Rows], int, int]:
        while True:
            room = self._room
            links = new("struct netstrat_link_name[]", room)
            counters = new("struct netstrat_counters[]", room)
            count = self._call(lib.netstrat_counters_dump_by_name, links, counters, room)
            if not self._grow(count):
                names, rows = named_rows(links, counters, count)
                return (names, rows), count, len(set(names))


def _messages(copy: Any, used: int) -> Iterator[Any]:
    """Each message of a dump, as struct netstrat_message, which the next one overwrites."""
    rest = ffi.new("struct netstrat_cursor *", (copy, 0, used, 0))
    message = ffi.new("struct netstrat_message *")
    while lib.netstrat_message_next(rest, message) > 0:
        yield message


def _decode_addresses(copy: Any, used: int, index: int) -> list[dict[str, Any]]:
    """The fields of `Address` for each address of a link in a dump; index 0: of every link."""
    address = ffi.new("struct netstrat_address *")
    found = []
    for message in _messages(copy, used):
        code = lib.netstrat_address_decode(message, address)
        if code == -EAFNOSUPPORT:
            continue
        if code < 0:
            raise kernel_error(EBADMSG, lib.NETSTRAT_OP_REQUEST, _RTM_GETADDR)
        if index in (0, address.index):
            found.append(address_fields(address))
    return found


def link_fields(link: Any) -> tuple[Any, ...]:
    """The fields of `Link`, in order."""
    kind = decode(link.kind)
    return (
        link.index,
        decode(link.name),
        kind,
        bool(link.flags & _IFF_UP),
        bool(link.flags & _IFF_RUNNING),
        link.mtu,
        link.txqueuelen,
        ffi.buffer(link.mac, link.mac_length)[:].hex(":"),
        link.master or None,
        link.peer or None,
        None if link.peer_nsid < 0 else link.peer_nsid,
        ffi.string(link.alias).decode("utf-8", "surrogateescape"),  # as set, in any locale
        _altnames(link) if link.altnames.at < link.altnames.end else (),
        None if link.hairpin < 0 else bool(link.hairpin),
        ffi.buffer(link.permanent_mac, link.permanent_mac_length)[:].hex(":"),
        link.group,
        ffi.buffer(link.bridge_id)[:].hex() if kind == "bridge" else "",
        None if link.isolated < 0 else bool(link.isolated),
        None if link.learning < 0 else bool(link.learning),
        None if link.port_state < 0 else link.port_state,
    )


def _altnames(link: Any) -> tuple[str, ...]:
    found = []
    name = ffi.new("char[]", lib.NETSTRAT_ALT_NAME_SIZE)
    rest = ffi.addressof(link, "altnames")
    while lib.netstrat_altname_next(rest, name) > 0:
        found.append(decode(name))
    return tuple(found)
