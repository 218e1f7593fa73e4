"""struct netstrat_socket with the memory it works in: opened, given a deadline, queried, closed."""

from __future__ import annotations

from errno import EEXIST, EMSGSIZE
from time import monotonic

from .._core import ffi, lib
from .._partial import partial
from ..errors import KernelError, quote
from . import Namespace, encode_name, fail, open_socket, raise_interrupt, show
from .rows import new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from .batch import Encoded, Message

    Result = TypeVar("Result")

_REQUEST_SIZE = 192  # bytes: any query or dump, with the longest alternative name


def new_request(encode: Callable[..., int], *arguments: object) -> tuple[Any, Any]:
    """Encodes a batch of one message. Returns it with its memory, which must live as long."""
    memory = ffi.new("unsigned char[]", _REQUEST_SIZE)
    batch = ffi.new("struct netstrat_batch *")
    lib.netstrat_batch_init(batch, memory, len(memory))
    encode(batch, *arguments)
    return batch, memory


class Transport:
    """A netlink socket, and a second one for changes once the first receives notifications.

    A change causes notifications. On a socket that receives them they compete with the ack for the
    receive queue, so changes are sent on a socket that has joined no multicast group. Counters are
    read on the first socket: a reply there is at least as new as the notifications before it.

    Parameters:
        netns: the namespace, as for `RtnetlinkSocket`; None: the calling thread's.
        timeout_ms: how long a call may take, in milliseconds.
        protocol: NETLINK_ROUTE, or NETLINK_NETFILTER for nf_tables.

    Attributes:
        namespace: the text for the namespace in errors and representations; "" for the thread's.
    """

    _copy_size = 32768  # bytes, of the memory for a dump
    _until = 0  # the deadline of share_deadline, in milliseconds; 0: none

    def __init__(self, netns: object, timeout_ms: int, protocol: int = lib.NETLINK_ROUTE) -> None:
        buffer = new("unsigned char[]", lib.NETSTRAT_BUFFER_SIZE)
        namespace = netns if netns is None or type(netns) is Namespace else Namespace(netns)
        self.namespace = "" if namespace is None else namespace.shown
        self._error = error = ffi.new("struct netstrat_error *")
        sock = open_socket(buffer, namespace, protocol=protocol, error=error)
        # The second is the socket for changes. It is NULL if the first has joined a group and the
        # second is not open.
        self._sock = self._changer = sock
        sock.timeout_ms = timeout_ms
        self._buffers = {sock: buffer}  # every socket, with the memory that it needs

    def fileno(self) -> int:
        """The descriptor of the first socket."""
        return self._sock.fd  # type: ignore[no-any-return]

    def close(self) -> None:
        """Closes both sockets. A second call does nothing."""
        for sock in self._buffers:
            lib.netstrat_socket_close(sock)

    # ---- time ----

    def with_deadline(self, work: Callable[[], Result], *, first: bool = True) -> Result:
        """Returns what `work` returns. All exchanges within it share one deadline.

        A single exchange has its own deadline, for which the core needs no setting.

        Parameters:
            first: whether this begins the public call, and so the deadline.
        """
        if self._until:  # share_deadline() has set the deadline of every call
            return work()
        until = int(monotonic() * 1000) + self._sock.timeout_ms if first else 0
        for sock in self._buffers:
            if until:
                sock.deadline_ms = until
            sock.shared_deadline = 1
        try:
            return work()
        finally:
            for sock in self._buffers:
                sock.shared_deadline = 0

    def share_deadline(self, until: float) -> None:
        """Sets one deadline for all calls, before the first: a time of time.monotonic()."""
        self._until = self._sock.deadline_ms = int(until * 1000)
        self._sock.shared_deadline = 1

    def set_timeout(self, milliseconds: int) -> None:
        """Sets the timeout of later calls; 0 reads only what is already queued."""
        for sock in self._buffers:
            sock.timeout_ms = milliseconds

    # ---- the socket for changes ----

    def _open_changer(self) -> Any:
        """Opens the second socket, for changes, in the namespace of the first.

        If that fails (no descriptor is free, or the calling thread is in another namespace and may
        not enter this one), changes are sent on the first socket. netstrat_execute then leaves the
        groups while it works, and reports notifications as lost to the name watch.
        """
        first = self._sock
        if len(self._buffers) > 1:  # a signal handler raised between the last two statements
            self._changer = next(sock for sock in self._buffers if sock != first)
            return self._changer
        buffer = new("unsigned char[]", lib.NETSTRAT_BUFFER_SIZE)
        try:
            sock = open_socket(buffer, beside=first)
        except KernelError:
            return first
        sock.timeout_ms = first.timeout_ms
        sock.deadline_ms = first.deadline_ms
        sock.shared_deadline = first.shared_deadline
        self._buffers[sock] = buffer
        self._changer = sock
        return sock

    # ---- exchanges ----

    def _call(self, function: Callable[..., int], *arguments: object, name: object = "") -> int:
        """Calls a function of the core, again with a larger buffer if the answer needs one."""
        while True:
            code = function(self._sock, *arguments, self._error)
            if code >= 0:
                return code
            if not self._enlarge(code):
                fail(code, self._error, name)

    def _enlarge(self, code: int) -> bool:
        """Enlarges the buffer if `code` says that an answer did not fit; returns whether it did."""
        sock = self._sock
        if code != -EMSGSIZE or sock.required_size <= sock.buffer_size:
            return False
        self._set_buffer(sock.required_size + sock.required_size // 8)
        return True

    def _set_buffer(self, size: int) -> None:
        sock, buffer = self._sock, new("unsigned char[]", size)
        # Both, since a signal handler may raise before the core has the new one.
        self._buffers[sock] = self._buffers[sock], buffer
        sock.buffer, sock.buffer_size = buffer, size
        self._buffers[sock] = buffer

    def query(self, batch: Any, answer: Any, name: object = "") -> None:
        """Sends one query and waits for its answer: a struct netstrat_message."""
        self._call(lib.netstrat_query, batch, 1, answer, name=name)

    def dump_copy(self, batch: Any, copy: Any, size: int, used: Any) -> None:
        """Dumps into memory of `size` bytes. `used` is set to what the dump needs."""
        self._call(lib.netstrat_dump_copy, batch, copy, size, used)

    def _dump(self, request: Callable[..., int], *arguments: object) -> Iterator[Any]:
        """Dumps, and returns an iterator over the messages of the reply, as messages_within does.

        Parameters:
            request, arguments: an encoder of the core, and what it takes after the batch.
        """
        return messages_within(*self._dump_bytes(request, *arguments))

    def _dump_bytes(self, request: Callable[..., int], *arguments: object) -> tuple[Any, int]:
        """Dumps, and returns the messages of the reply as bytes, and their length."""
        batch, _memory = new_request(request, *arguments)
        used = ffi.new("size_t *")
        while True:
            copy = new("unsigned char[]", self._copy_size)
            self._call(lib.netstrat_dump_copy, batch, copy, self._copy_size, used)
            if used[0] <= self._copy_size:
                return copy, used[0]
            self._copy_size = used[0] + used[0] // 8

    # ---- batches ----

    def execute(self, encoded: Encoded) -> list[Any]:
        """Sends a batch and waits for its acks. Returns what `Encoded.outcomes` returns."""
        count = encoded.batch.count
        results = new("int[]", count + 1)
        error = self._error
        sock = self._changer or self._open_changer()
        code = lib.netstrat_execute(sock, encoded.batch, results, error)
        if code == 0:
            return [None] * count
        if code < 0 and error.operation == lib.NETSTRAT_OP_BATCH:
            fail(code, error)
        raise_interrupt()
        outcomes = encoded.outcomes(code, ffi.unpack(results, count), error)
        if not any(outcomes):  # all messages succeeded, and joining the groups again failed
            fail(code, error)
        for message, outcome in zip(encoded.messages, outcomes, strict=True):
            if isinstance(outcome, KernelError) and outcome.errno == EEXIST and message.new_names:
                find = partial(self._find_taken, message, encoded)
                self._sock.deadline_ms = sock.deadline_ms  # this is part of the same call
                outcome.hint = self.with_deadline(find, first=False) or outcome.hint
                break  # later failures may be consequences of this one
        return outcomes

    def _find_taken(self, message: Message, encoded: Encoded) -> str:
        """Returns a hint that says which new name of a message is in use, and where."""
        for name, elsewhere in message.new_names:
            if not elsewhere:
                sock, where = self, f"in {self.namespace or 'this namespace'}"
            else:
                namespace = encoded.open(message)
                sock = Transport(namespace.fd, self._sock.timeout_ms)
                where = f"in {namespace.shown}"
            try:
                sock.is_up(name)
            except KernelError:
                continue
            finally:
                if elsewhere:
                    sock.close()
            return f"the name {quote(show(name))} is already in use {where}"
        return ""

    def is_up(self, name: object) -> bool:
        """Returns whether a link is up (IFF_UP)."""
        return bool(self._call(lib.netstrat_link_is_up, encode_name(name), name=name))


def messages_within(data: Any, size: int, missing: int = 0) -> Iterator[Any]:
    """Yields each message of a datagram: the same struct netstrat_message, refilled.

    A malformed message ends the iteration.

    Parameters:
        missing: how many further bytes of the datagram were cut off.
    """
    rest = ffi.new("struct netstrat_cursor *", (data, 0, size, missing))
    message = ffi.new("struct netstrat_message *")
    while lib.netstrat_message_next(rest, message) > 0:
        yield message
