"""`Containers`: the sockets of `ContainerCounters`.

There are four. Three receive notifications, each of its own kind, so that a flood of one kind
cannot overflow the queue of another:

- the first sends requests, and receives the nsids of namespaces that ended (RTM_DELNSID). Only the
  end of a namespace causes these, and the ownership of interfaces rests on them;
- `links` receives the changes of links in the host namespace;
- `changed_netns` receives the changes of links in every other namespace. A container that renames
  its links without pause overflows it; then every container is dumped again.

The fourth is opened when an nsid has to be assigned: a change is never sent on a socket that
receives notifications.
"""

from __future__ import annotations

import os
from contextlib import suppress
from errno import EEXIST, EINVAL, EMFILE, EMSGSIZE, ENFILE, ENODEV, ENOMEM, ENOPROTOOPT, EPERM

from .._core import ffi, lib
from ..errors import KernelError, PermissionDeniedError
from . import Namespace, fail, kernel_error, open_socket
from .gather import Block, NetnsLinks
from .netns import identify, open_own, to_netns_fd
from .rows import new
from .socket import Socket
from .transport import new_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

# How many indexes or nsids are recorded between two readings. If there are more, everything is
# taken as changed, and a container that was added by a descriptor alone is taken as ended.
_MAX_IDS, _MAX_ENDED = 4096, 16384
_QUEUE_SIZE = 8 << 20  # bytes of a receive queue; only what is queued takes memory
# The interfaces of one container that are counted. Each costs about 5 us of a reading and 100 us of
# the exporter's text: one container must not delay the counters of the others without a bound.
MAX_LINKS = 1024
# Called three times in a reading: an attribute of `lib` takes as long as a small function.
_process_pending, _NULL = lib.netstrat_socket_process_pending, ffi.NULL
_PEER_SIZE = ffi.sizeof("struct netstrat_veth_peer")
_BUFFER = 80 << 10  # bytes: a link with 496 alternative names, the longest message, takes 64 KiB


class IdRecorder:
    """struct netstrat_id_recorder: ids from the notifications of a socket, each once."""

    __slots__ = ("_finals", "_keep", "_numbers", "_recorder", "_sock")

    def __init__(self, sock: Any, what: int, keep: Any) -> None:
        self._sock = sock
        self._keep = keep  # the socket's buffer, which must live as long
        room = _MAX_ENDED if what == lib.NETSTRAT_RECORD_ENDED else _MAX_IDS
        self._recorder = recorder = ffi.new("struct netstrat_id_recorder *")
        self._numbers = recorder.numbers = new("int32_t[]", room)
        recorder.room = room
        # If this size is not allowed, the largest allowed one is set.
        lib.netstrat_socket_set_receive_buffer(sock, _QUEUE_SIZE, ffi.NULL)
        error = ffi.new("struct netstrat_error *")
        code = lib.netstrat_id_recorder_start(recorder, what, sock, error)
        if code < 0:
            fail(code, error)
        if what != lib.NETSTRAT_RECORD_ENDED:
            self._finals = recorder.finals = new("struct netstrat_final[]", _MAX_IDS)
            recorder.final_room = _MAX_IDS

    def process_pending(self) -> bool:
        """Records what is queued. Returns whether anything is recorded."""
        recorder = self._recorder
        if _process_pending(self._sock, _NULL) < 0:
            recorder.count = recorder.room + 1  # more is queued than one call should process
        return bool(recorder.count or recorder.changed or recorder.final_count)

    def take_finals(self) -> list[tuple[int, int, list[int]]] | None:
        """Returns the records of deleted links, and empties the recorder; None if some were lost.

        A record is the nsid, the index and the counters of a link (see struct netstrat_final).
        """
        recorder = self._recorder
        count = recorder.final_count
        if not count and recorder.count <= recorder.room:  # the usual case
            return []
        recorder.final_count = 0
        if count > recorder.final_room or recorder.count > recorder.room:
            return None
        found = []
        for final in self._finals[0:count]:
            counters = memoryview(ffi.buffer(ffi.addressof(final, "counters"))).cast("Q").tolist()
            found.append((final.nsid, final.index, counters))
        return found

    def any(self) -> bool:
        """Returns whether anything is recorded."""
        return bool(self._recorder.count or self._recorder.changed)

    def peek(self) -> tuple[list[int] | None, bool]:
        """Returns the ids, or None if some were lost, and whether any other link changed."""
        count = self._recorder.count
        numbers = None if count > self._recorder.room else ffi.unpack(self._numbers, count)
        return numbers, bool(self._recorder.changed)

    def clear(self) -> None:
        """Forgets what peek() returned."""
        self._recorder.count = self._recorder.changed = 0


class Pairs(Socket):
    """A socket that finds out where the veth pairs of its namespace lead."""

    __slots__ = ("_pairs",)

    def __init__(self, netns: object, timeout_ms: int) -> None:
        self._pairs = 4096  # room for the pairs; if there are more, the dump is repeated
        super().__init__(netns, timeout_ms)

    def dump_veth_peers(self) -> list[tuple[int, int, str]]:
        """Returns the nsid and the index of the peer of each veth pair, and the veth's alias."""
        while True:
            pairs = new("struct netstrat_veth_peer[]", self._pairs)
            count = self._call(lib.netstrat_veth_peers_dump, pairs, self._pairs)
            if count <= self._pairs:
                numbers = memoryview(ffi.buffer(pairs, count * _PEER_SIZE)).cast("i")
                peers, nsids = (numbers[at :: _PEER_SIZE // 4].tolist() for at in (1, 2))
                aliases = (
                    ffi.string(pairs[at].alias).decode("utf-8", "surrogateescape")  # in any locale
                    for at in range(count)
                )
                return list(zip(nsids, peers, aliases, strict=True))
            self._pairs = count + count // 8

    def find_nsids(self, paths: Iterable[str]) -> Iterator[tuple[str, int, int]]:
        """Yields the path, a descriptor, and the nsid of each of these namespaces.

        Namespaces that have no nsid or have ended are left out. The descriptor is closed when the
        caller takes the next one.
        """
        batch, memory = new_request(lib.netstrat_batch_get_nsid, 0)
        answer = ffi.new("struct netstrat_message *")
        nsid = ffi.new("int32_t *")
        for path in paths:
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                if error.errno in (EMFILE, ENFILE, ENOMEM):
                    operation = lib.NETSTRAT_OP_OPEN_NETNS
                    raise kernel_error(error.errno, operation, filename=path) from None
                continue
            try:
                lib.netstrat_batch_init(batch, memory, len(memory))
                lib.netstrat_batch_get_nsid(batch, file)
                code = lib.netstrat_query(self._sock, batch, 1, answer, self._error)
                if code == -EINVAL:  # not a namespace
                    continue
                if code < 0:
                    fail(code, self._error, filename=path)
                if lib.netstrat_nsid_decode(answer, nsid) == 0 and nsid[0] >= 0:
                    yield path, file, nsid[0]
            finally:
                os.close(file)


class Containers(Pairs):
    """The sockets, opened in the host namespace.

    Parameters:
        netns: the host namespace; None: the calling thread's.
        timeout_ms: how long a call may take, in milliseconds.

    Attributes:
        host_inode: device and inode of the host namespace.
        ended: records the nsids of namespaces that ended.
        links: records the indexes of links that left the host namespace.
        changed_netns: records the nsids of namespaces in which a link changed. None if the kernel
            refuses notifications of other namespaces (CAP_NET_BROADCAST is missing).
    """

    __slots__ = ("_self_nsid", "_watchers", "changed_netns", "ended", "host_inode", "links")

    def __init__(self, netns: object, timeout_ms: int) -> None:
        self._watchers: list[Any] = []
        host: Any
        if netns is None:
            super().__init__(None, timeout_ms)
            host, where = open_own(), None
        else:
            host = where = to_netns_fd(Namespace(netns))
            super().__init__(host.fd, timeout_ms)
            self.namespace = host.shown
        self.host_inode = identify(host.fd, self.namespace or "the thread's own namespace")
        self._self_nsid = -1
        self.ended = IdRecorder(self._sock, lib.NETSTRAT_RECORD_ENDED, self._buffers[self._sock])
        self._changer = ffi.NULL  # the socket has joined a group
        self.links = self._watch_links(where, lib.NETSTRAT_RECORD_DELETED)
        try:
            self.changed_netns: IdRecorder | None
            self.changed_netns = self._watch_links(where, lib.NETSTRAT_RECORD_NAMESPACES)
        except KernelError as error:
            if error.errno not in (EPERM, ENOPROTOOPT):
                raise
            self.changed_netns = None
        # By this nsid the container end of a pair names the namespace of the host end. Without
        # CAP_NET_ADMIN the links of other namespaces can't be dumped either.
        with suppress(PermissionDeniedError):
            self._self_nsid = self.assign_nsid(host.fd)
        if netns is None:
            host.close()

    def _watch_links(self, netns: Namespace | None, what: int) -> IdRecorder:
        buffer = new("unsigned char[]", _BUFFER)
        sock = open_socket(buffer, netns)
        sock.timeout_ms = 0
        recorder = IdRecorder(sock, what, buffer)
        self._watchers.append(sock)
        return recorder

    def close(self) -> None:
        """Closes the sockets. A second call does nothing."""
        super().close()
        for sock in self._watchers:
            lib.netstrat_socket_close(sock)

    def descriptors(self) -> list[int]:
        """Returns the descriptors of the sockets that receive notifications."""
        return [sock.fd for sock in (self._sock, *self._watchers)]

    def process_pending(self) -> bool:
        """Records the queued notifications of every kind. Returns whether anything is recorded."""
        is_any = self.links.process_pending()
        if self.changed_netns is not None:
            is_any |= self.changed_netns.process_pending()
        return is_any | self.ended.process_pending()

    # ---- nsids ----

    def assign_nsid(self, fd: int) -> int:
        """Returns the nsid by which the host namespace knows another; assigns one if necessary."""
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
        if code < 0 and code != -EEXIST:  # another process has just assigned one
            fail(code, self._error)

    # ---- links ----

    def dump_netns_links(self, nsid: int, known: NetnsLinks | None) -> NetnsLinks | None:
        """Returns the links of a namespace, or None if it has ended.

        Parameters:
            nsid: -1: the host namespace. Of any other at most MAX_LINKS links are returned.
            known: its links as of an earlier dump. If they are still the same, this object is
                returned, with the new counters.
        """
        room = known.count if known is not None else 4
        most = MAX_LINKS if nsid >= 0 else 1 << 31
        while True:
            block = Block(room)
            code = lib.netstrat_netns_links_dump(
                self._sock, nsid, self._self_nsid, *block.arrays, room, self._error
            )
            if code > room and room < most:
                room = min(code, most)
            elif code >= 0:
                break
            elif not self._enlarge(code):
                if code == -EINVAL and self._error.operation == lib.NETSTRAT_OP_REQUEST:
                    return None
                fail(code, self._error)
        count = min(code, room)
        if known is None:
            return NetnsLinks(block, count, code - count)
        if known.is_of(block, count, code - count):
            known.renew(block)
            return known
        dump = NetnsLinks(block, count, code - count)
        # A link that is missing now may have grown too large for the dump.
        return self.add_missing_links(nsid, dump, [index for index, _, _ in known.links])

    def add_missing_links(
        self, nsid: int, dump: NetnsLinks, indexes: list[int]
    ) -> NetnsLinks | None:
        """Returns the links with those added that exist although the dump left them out.

        Parameters:
            indexes: the links to look for, of which at most MAX_LINKS are added.

        Returns:
            The links, or None if the namespace has ended.
        """
        had = {index for index, _, _ in dump.links}
        missing = [index for index in indexes if index not in had][:MAX_LINKS]
        if not missing or nsid < 0:
            return dump
        block = Block(dump.count + len(missing))
        count = block.take(dump)
        for index in missing:
            try:
                code = self._call(
                    lib.netstrat_netns_link_get, nsid, self._self_nsid, index, *block.at(count)
                )
            except KernelError as error:
                if error.errno == EINVAL:
                    return None
                if error.errno not in (ENODEV, EMSGSIZE):  # deleted, or too large for a message
                    raise
                continue
            if code:
                block.arrays[0][count] = index
                count += 1
        if count == dump.count:
            return dump
        return NetnsLinks(block, count, max(dump.omitted - (count - dump.count), 0))
