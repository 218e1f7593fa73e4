"""Links and addresses as they come, change and go."""

from __future__ import annotations

import os
from contextlib import suppress
from select import POLLIN, poll

from .. import _handle
from .._handle import Handle
from .._native.monitor import Subscription
from ..rtnetlink.links import Event
from ._state import LinkState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable

    from .._handle import Result
    from ..types import Netns

_MOST_DATAGRAMS = 65536  # of one read: a flood does not keep it from ending
_SLICE_MS = 100  # the longest wait without a look at whether to go on


class LinkMonitor(Handle):
    """The links of a network namespace, as they come, change and go, and their addresses.

    First every link that is there comes as "added", then what happens to them, without a gap and
    without anything twice. Where the kernel's notifications were lost, because nobody read for too
    long, everything is dumped anew and comes as what it amounts to: a link that came and went
    meanwhile does not come at all.

    There are three ways to read: `read` returns what is queued, a `for` waits for the next event,
    and an `async for` waits for it on the running loop (asyncio's, uvloop's). Threads, tasks and
    loops may share a monitor: each event goes to one of them. For a loop of another kind, wait
    until `fileno` is readable, then call `read`. Refer to links by index: names may be swapped.

    The kernel sends no notification of some changes (net/core/rtnetlink.c: do_setlink). The event
    of the link's next change includes them:

    - of a link that is down: its `alias`, `altnames` and `group`, and `hairpin` where that is set
      as the bridge's port data (`Batch.set_link`, `ip link set ... type bridge_slave`);
    - the `link_index` and `link_nsid` of a link whose peer or parent is in another namespace and
      moves from there to a third one.

    Like every socket a monitor keeps its namespace alive. A forked child must open its own.

    Parameters:
        netns: the namespace, as for `RtnetlinkSocket`; None: that of the calling thread.
        addresses: whether to follow IPv4 and IPv6 addresses too.

    Raises:
        NetlinkUnavailableError: AF_NETLINK is refused.
        PermissionDeniedError: `netns` can't be entered without CAP_SYS_ADMIN over it.
        KernelError: `netns` is not a network namespace, or descriptors or memory are short.
    """

    __slots__ = ("_linkstate", "_torn", "_waiting", "_where")

    def __init__(self, netns: Netns | None = None, *, addresses: bool = False) -> None:
        self._linkstate = state = LinkState(addresses)
        self._torn = False  # a call was ended in its middle, perhaps with a datagram in its hands
        self._waiting: set[Callable[[], None]] = set()  # wake those who wait on a loop
        native = Subscription(netns, addresses)
        self._where = native.namespace
        try:  # from now on the descriptor is readable
            state.idle()
            state.asked(native.request(state.wanted), native.port)
        except BaseException:
            native.close()
            raise
        self._attach(native)

    def __repr__(self) -> str:
        return f"<LinkMonitor in {self._place()}: {self._state()}>"

    def fileno(self) -> int:
        """The descriptor, readable when the kernel has something for `read`; don't read from it.

        Events that an iteration has taken from the kernel but not returned do not make it
        readable: call `read` once after a loop over the monitor ended, before waiting.

        Raises:
            KernelError: the monitor is closed.
        """
        descriptor: int = self._locked(lambda native, _: native.fileno(), "fileno")
        return descriptor

    def read(self) -> list[Event]:
        """What has happened since the last time; it never waits. [] where that is nothing.

        Raises:
            KernelError: the kernel refused a dump (the next call tries again), or the monitor is
                closed.
        """
        events: list[Event] = self._locked(self._read, "read")
        return events

    def __iter__(self) -> LinkMonitor:
        return self

    def __next__(self) -> Event:
        """The next event, waited for without end.

        Raises: as `read`; also when another thread closes the monitor meanwhile.
        """
        while True:
            event: Event | None = self._locked(self._take, "read")
            if event is not None:
                return event
            # Not within a turn, which close() waits for. Should the descriptor be another's by now,
            # nothing is taken from it, and the next turn says that this one is closed.
            waiter = poll()
            waiter.register(self.fileno(), POLLIN)
            waiter.poll(_SLICE_MS)

    def __aiter__(self) -> _Waiter:
        import asyncio

        return _Waiter(self, asyncio.get_running_loop())

    def close(self) -> None:
        """Closes it once no other thread uses it; the waits of others end with a KernelError."""
        super().close()
        if self._forks == _handle.forks:
            self._wake()

    def _locked(self, work: Callable[..., Result], operation: str, name: object = "") -> Result:
        """As in every handle; then wakes the waiting loops if this call left events to take.

        The socket does not become readable again for what this call has received, so without this
        another loop would wait on while events are queued.
        """
        try:
            return super()._locked(work, operation, name)
        finally:
            if self._waiting and self._is_ready():
                self._wake()

    def _wake(self) -> None:
        """Wakes the loops that wait."""
        for wake in list(self._waiting):
            wake()

    def _is_ready(self) -> bool:
        """Whether a call has something to do although the socket may not be readable."""
        state = self._linkstate
        return bool(state.events) or state.stale or self._torn

    # ---- within a turn ----

    def _read(self, native: Subscription, _: object) -> list[Event]:
        self._fill(native)
        events = list(self._linkstate.events)
        self._linkstate.events.clear()
        return events

    def _take(self, native: Subscription, _: object) -> Event | None:
        if not self._linkstate.events:
            self._fill(native)
        return self._pop(native)

    def _pop(self, _native: Subscription, _: object = "") -> Event | None:
        return self._linkstate.events.popleft() if self._linkstate.events else None

    def _fill(self, native: Subscription, _: object = "") -> None:
        """Takes every datagram that is there."""
        state = self._linkstate
        if self._torn:
            state.lose()
        self._torn = True
        for _ in range(_MOST_DATAGRAMS):
            received = native.receive()
            if received is not None:
                state.feed(*received)
            elif state.failure is not None:
                break
            else:
                links = state.idle()
                if not links and not state.wanted:
                    break
                for name in links:
                    native.request_link(name)
            if state.wanted:
                state.asked(native.request(state.wanted), native.port)
        self._torn = False
        failure, state.failure = state.failure, None
        if failure is not None:
            raise failure


class _Waiter:
    """`async for` over a monitor."""

    __slots__ = ("_loop", "_monitor")

    def __init__(self, monitor: LinkMonitor, loop: AbstractEventLoop) -> None:
        self._monitor = monitor
        self._loop = loop

    def __aiter__(self) -> _Waiter:
        return self

    async def __anext__(self) -> Event:
        monitor = self._monitor
        while True:
            event: Event | None = monitor._locked(monitor._pop, "read")
            if event is not None:
                return event
            # Waits also where there is something to read: a flood leaves the loop its turns.
            await self._readable()
            monitor._locked(monitor._fill, "read")

    async def _readable(self) -> None:
        monitor, loop = self._monitor, self._loop
        ready: Future[None] = loop.create_future()

        def note() -> None:
            if not ready.done():
                ready.set_result(None)

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(note)

        monitor._waiting.add(wake)  # first, or a close() could miss it
        try:
            # A descriptor of its own, which is still the socket's when it is taken off the loop,
            # whoever closes the monitor meanwhile, and which no other task has on the loop.
            descriptor = monitor._locked(lambda native, _: native.duplicate(), "dup")
            try:
                loop.add_reader(descriptor, note)
                try:
                    await ready
                finally:
                    loop.remove_reader(descriptor)
            finally:
                os.close(descriptor)
        finally:
            monitor._waiting.discard(wake)
