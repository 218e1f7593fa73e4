"""The sockets of `ContainerCounters`, and the core's side of a reading of many namespaces.

Three of them, since what one of them must not miss, another can be flooded with:

- the first, this object's own, asks; and it hears of ids of namespaces that ended, which only the
  end of a namespace brings about: who is who rests on that;
- `links` hears of the links of its own namespace;
- `elsewhere` hears of those of every other one. A container that renames its links all the time
  overflows it, after which whatever rests on it is asked for anew.
"""

from __future__ import annotations

from contextlib import suppress
from errno import EEXIST, EINVAL, EMFILE, EMSGSIZE, ENFILE, ENODEV, ENOMEM, ENOPROTOOPT, EPERM
from io import FileIO

from .._core import ffi, lib
from ..errors import KernelError, PermissionDeniedError
from . import Namespace, decode, fail, kernel_error, new_socket
from .netns import identify, open_own, to_netns_fd
from .rows import new
from .socket import Socket, new_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from .rows import Rows

# Numbers that are noted between two readings. Beyond that all counts as changed; but whoever was
# given by a descriptor alone can't be told then from one that ended.
_NOTES, _ENDS = 4096, 16384
_QUEUE = 8 << 20  # bytes; memory is taken by what is queued alone
# Interfaces of one container that are counted. Each costs some 5 us of a reading and 100 us of the
# exporter's text, so that one container must not delay the others' counters without a bound.
MOST_LINKS = 1024
_BUFFER = 80 << 10  # the longest notification: a link with 496 alternative names takes 64 KiB


class Block:
    """Room for links: their indexes, which ends they are, and their counters."""

    __slots__ = ("arrays",)

    def __init__(self, room: int) -> None:
        self.arrays = (
            new("int32_t[]", room),
            new("struct netstrat_netns_link[]", room),
            new("struct netstrat_counters[]", room),
        )

    def at(self, row: int) -> tuple[Any, Any]:
        """Where the end and the counters of a row go."""
        return self.arrays[1] + row, self.arrays[2] + row

    def take(self, ends: Ends) -> int:
        """Begins with the links of a dump; how many they are."""
        for to, array in zip(self.arrays, ends.arrays, strict=True):
            ffi.memmove(to, array, ends.count * ffi.sizeof(ffi.typeof(array).item))
        return ends.count


class Ends:
    """The links of a container as a dump gave them, and their counters as the container sees them.

    Attributes:
        links: of each its index, the index of its peer in the host's namespace (0 if it has none
            there), and its name.
        omitted: how many links the container has beyond these.
    """

    __slots__ = ("arrays", "count", "links", "omitted")

    def __init__(self, block: Block, count: int, omitted: int) -> None:
        self.arrays = block.arrays
        self.count = count
        self.omitted = omitted
        self.links = tuple((e.index, e.peer, decode(e.name)) for e in block.arrays[1][0:count])

    def ties(self) -> list[tuple[int, int, int, bool]]:
        """For each link the index and nsid of a veth's peer elsewhere, its master, and if a bridge.

        (0, -1) stands for no peer, 0 for no master.
        """
        rows = self.arrays[1][0 : self.count]
        return [(e.peer_index, e.peer_nsid, e.master, bool(e.is_bridge)) for e in rows]

    def is_of(self, block: Block, count: int, omitted: int) -> bool:
        """Whether another dump gave the same links."""
        if (count, omitted) != (self.count, self.omitted):
            return False
        size = count * ffi.sizeof("struct netstrat_netns_link")
        same: bool = ffi.buffer(self.arrays[1], size) == ffi.buffer(block.arrays[1], size)
        return same

    def renew(self, block: Block) -> None:
        """Takes the counters of a newer dump of the same links."""
        self.arrays = block.arrays

    def pick(self, sources: Sources, table: Table) -> int:
        """netstrat_counters_gather: those of the container's own dump."""
        return sources.pick(self.arrays[0], self.arrays[2], self.count, table)


class Table:
    """Rows of counters, in memory of their own."""

    __slots__ = ("_rows", "count")

    def __init__(self, count: int) -> None:
        self._rows = new("struct netstrat_counters[]", count)
        self.count = count

    def view(self) -> Any:
        """A memoryview of format `Q` in rows of eight."""
        if not self.count:
            return memoryview(bytes(64)).cast("Q", (1, 8))[0:0]
        return memoryview(ffi.buffer(self._rows)).cast("Q", (self.count, 8))

    def values(self) -> list[int]:
        """The counters, eight for each row."""
        # A third of ffi.unpack's price.
        return memoryview(ffi.buffer(self._rows)).cast("Q").tolist() if self.count else []


class Sources:
    """Which row of a table has the counters of which link."""

    __slots__ = ("_sources", "count")

    def __init__(self, sources: list[tuple[int, int, bool]]) -> None:
        self.count = len(sources)
        self._sources = ffi.new("struct netstrat_gather_entry[]", sources)

    def pick(self, indexes: Any, counters: Any, count: int, table: Table) -> int:
        """netstrat_counters_gather: how many of them there were counters of."""
        return lib.netstrat_counters_gather(  # type: ignore[no-any-return]
            indexes, counters, count, self._sources, self.count, table._rows
        )

    def pick_rows(self, rows: Rows, table: Table) -> int:
        """The same of a dump of the host's counters."""
        return self.pick(rows._indexes, rows._counters, rows.count, table)


class _Notes:
    """struct netstrat_id_recorder, filled by a socket."""

    __slots__ = ("_keep", "_notes", "_numbers", "_sock")

    def __init__(self, sock: Any, what: int, keep: Any) -> None:
        self._sock = sock
        self._keep = keep  # the socket's buffer
        room = _ENDS if what == lib.NETSTRAT_RECORD_ENDED else _NOTES
        self._notes = notes = ffi.new("struct netstrat_id_recorder *")
        self._numbers = notes.numbers = new("int32_t[]", room)
        notes.room = room
        lib.netstrat_socket_set_receive_buffer(sock, _QUEUE, ffi.NULL)  # as far as it is allowed
        error = ffi.new("struct netstrat_error *")
        code = lib.netstrat_id_recorder_start(notes, what, sock, error)
        if code < 0:
            fail(code, error)

    def hear(self) -> None:
        """Takes what is queued."""
        if lib.netstrat_socket_process_pending(self._sock, ffi.NULL) < 0:
            self._notes.count = self._notes.room + 1  # more came than one call should take

    def any(self) -> bool:
        """Whether there is anything to peek at."""
        return bool(self._notes.count or self._notes.changed)

    def peek(self) -> tuple[list[int] | None, bool]:
        """The numbers (None: some were lost), and whether any other link changed."""
        count = self._notes.count
        numbers = None if count > self._notes.room else ffi.unpack(self._numbers, count)
        return numbers, bool(self._notes.changed)

    def clear(self) -> None:
        """What was peeked at has been heeded."""
        self._notes.count = self._notes.changed = 0


class Pairs(Socket):
    """A socket that asks where the veth pairs of its namespace lead."""

    __slots__ = ("_pairs",)

    def __init__(self, netns: object, timeout_ms: int) -> None:
        self._pairs = 4096  # room for them: where it is too little, they are dumped once more
        super().__init__(netns, timeout_ms)

    def dump_pairs(self) -> list[tuple[int, int]]:
        """Returns the nsid and the index of the peer of each veth pair."""
        while True:
            pairs = new("struct netstrat_veth_peer[]", self._pairs)
            count = self._call(lib.netstrat_veth_peers_dump, pairs, self._pairs)
            if count <= self._pairs:
                numbers = ffi.unpack(ffi.cast("int32_t *", pairs), 3 * count)
                return list(zip(numbers[2::3], numbers[1::3], strict=True))
            self._pairs = count + count // 8

    def find_nsids(self, paths: Iterable[str]) -> Iterator[int]:
        """The nsids of these namespaces, but for those that have none, or have ended."""
        batch, memory = new_request(lib.netstrat_batch_get_nsid, 0)
        answer = ffi.new("struct netstrat_message *")
        nsid = ffi.new("int32_t *")
        for path in paths:
            try:
                with FileIO(path) as file:
                    lib.netstrat_batch_init(batch, memory, len(memory))
                    lib.netstrat_batch_get_nsid(batch, file.fileno())
                    code = lib.netstrat_query(self._sock, batch, 1, answer, self._error)
            except OSError as error:
                if error.errno in (EMFILE, ENFILE, ENOMEM):
                    step = lib.NETSTRAT_OP_OPEN_NETNS
                    raise kernel_error(error.errno, step, filename=path) from None
                continue
            if code == -EINVAL:  # no namespace
                continue
            if code < 0:
                fail(code, self._error, filename=path)
            if lib.netstrat_nsid_decode(answer, nsid) == 0 and nsid[0] >= 0:
                yield nsid[0]


class Containers(Pairs):
    """The sockets, opened in the namespace `netns` of the host (None: the calling thread's).

    Attributes:
        id: the pair of device and inode of that namespace.
        ended: notes the ids of namespaces that ended.
        links: notes the indexes of links that left the host's namespace.
        elsewhere: notes the ids of namespaces in which a link changed; None: notifications of
            others are refused (CAP_NET_BROADCAST).
    """

    __slots__ = ("_own", "_watchers", "elsewhere", "ended", "id", "links")

    def __init__(self, netns: object, timeout_ms: int) -> None:
        self._watchers: list[Any] = []
        home: Any
        if netns is None:
            super().__init__(None, timeout_ms)
            home, where = open_own(), -1
        else:
            home = to_netns_fd(Namespace(netns))
            where = home.fd
            super().__init__(where, timeout_ms)
            self.namespace = home.shown
        self.id = identify(home.fd, self.namespace or "the thread's own namespace")
        self._own = -1
        self.ended = _Notes(self._sock, lib.NETSTRAT_RECORD_ENDED, self._buffers[self._sock])
        self._changer = ffi.NULL  # the socket has joined a group
        self.links = self._watch_links(where, lib.NETSTRAT_RECORD_DELETED)
        try:
            self.elsewhere: _Notes | None = self._watch_links(where, lib.NETSTRAT_RECORD_NAMESPACES)
        except KernelError as error:
            if error.errno not in (EPERM, ENOPROTOOPT):
                raise
            self.elsewhere = None
        # By this id a container's end of a pair names the other end's namespace. Without
        # CAP_NET_ADMIN no other namespace can be asked for either.
        with suppress(PermissionDeniedError):
            self._own = self.assign_nsid(home.fd)
        if netns is None:
            home.close()

    def _watch_links(self, netns: int, what: int) -> _Notes:
        sock, error = new_socket(), ffi.new("struct netstrat_error *")
        buffer = new("unsigned char[]", _BUFFER)
        if netns < 0:
            code = lib.netstrat_socket_open(sock, buffer, _BUFFER, error)
        else:
            code = lib.netstrat_socket_open_at(sock, buffer, _BUFFER, netns, error)
        if code < 0:
            fail(code, error)
        sock.timeout_ms = 0
        notes = _Notes(sock, what, buffer)
        self._watchers.append(sock)
        return notes

    def close(self) -> None:
        """Closes all three; twice does no harm."""
        super().close()
        for sock in self._watchers:
            lib.netstrat_socket_close(sock)

    def hear(self) -> None:
        """Takes the notifications that are queued, of all three sockets."""
        self.links.hear()
        if self.elsewhere is not None:
            self.elsewhere.hear()
        self.ended.hear()

    # ---- ids ----

    def assign_nsid(self, fd: int) -> int:
        """The id by which the host's namespace knows another, which it gets if it has none."""
        nsid = self.get_nsid(fd)
        while nsid is None:
            self._add_nsid(fd)
            nsid = self.get_nsid(fd)
        return nsid

    def _add_nsid(self, fd: int) -> None:
        batch, _memory = new_request(lib.netstrat_batch_add_nsid, fd)
        result = ffi.new("int *")
        sock = self._changer or self._open_changer()
        code = lib.netstrat_execute(sock, batch, result, self._error)
        if code < 0 and code != -EEXIST:  # somebody else was quicker
            fail(code, self._error)

    # ---- links ----

    def dump_ends(self, nsid: int, known: Ends | None) -> Ends | None:
        """Returns the links of a namespace (-1: the host's), or None if it has ended.

        `known` is given back, with the new counters, where the links are the same. Of another
        namespace than the host's no more than MOST_LINKS are taken.
        """
        room = known.count if known is not None else 4
        most = MOST_LINKS if nsid >= 0 else 1 << 31
        while True:
            block = Block(room)
            code = lib.netstrat_netns_links_dump(
                self._sock, nsid, self._own, *block.arrays, room, self._error
            )
            if code > room and room < most:
                room = min(code, most)
            elif code >= 0:
                break
            elif not self._enlarge(code):
                if code == -EINVAL and self._error.step == lib.NETSTRAT_OP_REQUEST:
                    return None
                fail(code, self._error)
        count = min(code, room)
        if known is None:
            return Ends(block, count, code - count)
        if known.is_of(block, count, code - count):
            known.renew(block)
            return known
        ends = Ends(block, count, code - count)
        # Those that the dump has no more may have grown too large for it.
        return self.add_hidden(nsid, ends, [index for index, _, _ in known.links])

    def add_hidden(self, nsid: int, ends: Ends, indexes: list[int]) -> Ends | None:
        """The same with those of these links that exist though the dump did not have them.

        Of those too no more than MOST_LINKS are taken.
        """
        had = {index for index, _, _ in ends.links}
        missing = [index for index in indexes if index not in had][:MOST_LINKS]
        if not missing or nsid < 0:
            return ends
        block = Block(ends.count + len(missing))
        count = block.take(ends)
        for index in missing:
            try:
                code = self._call(
                    lib.netstrat_netns_link_get, nsid, self._own, index, *block.at(count)
                )
            except KernelError as error:
                if error.errno == EINVAL:
                    return None
                if error.errno not in (ENODEV, EMSGSIZE):  # it is gone, or too large for a message
                    raise
                continue
            if code:
                block.arrays[0][count] = index
                count += 1
        if count == ends.count:
            return ends
        return Ends(block, count, max(ends.omitted - (count - ends.count), 0))
