"""Links and addresses as they come, change and go."""

from __future__ import annotations

import os
from contextlib import suppress
from select import POLLIN, poll

from . import guard
from ._native.monitor import Subscription
from .guard import Guarded
from .links import Event
from .linkstate import LinkState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable

    from .arguments import Netns

_MOST_DATAGRAMS = 65536  # of one read: a flood does not keep it from ending
_SLICE_MS = 100  # the longest wait without a look at whether to go on


class LinkMonitor(Guarded):
    """The links of a network namespace, as they come, change and go, and their addresses.

    First every link that is there comes as "added", then what happens to them, without a gap and
    without anything twice. Where the kernel's notifications were lost, because nobody read for too
    long, everything is dumped anew and comes as what it amounts to: a link that came and went
    meanwhile does not come at all.

    Three ways to read: `read` takes what is there, a `for` waits for it, and an `async for` waits
    for it on the running loop (asyncio's, uvloop's). For a loop of another kind, `fileno` is
    readable when `read` has something to do. Keep what you keep by index: names may be swapped.

    What the kernel gives no notice of comes with the link's next change: a new alias, alternative
    name or transmit queue length while the link is down, and a veth's other end that moves from one
    namespace to another while both are elsewhere. Like every socket it keeps its namespace alive.
    It is safe to share among threads; a forked child must open one of its own.

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
        self._guard(native)

    def __repr__(self) -> str:
        return f"<LinkMonitor in {self._place()}: {self._state()}>"

    def fileno(self) -> int:
        """The descriptor, readable when `read` has something to do; don't read from it.

        Raises:
            KernelError: the monitor is closed.
        """
        descriptor: int = self._turn(lambda native, _: native.fileno(), "fileno")
        return descriptor

    def read(self) -> list[Event]:
        """What has happened since the last time; it never waits. [] where that is nothing.

        Raises:
            KernelError: the kernel refused a dump (the next call tries again), or the monitor is
                closed.
        """
        events: list[Event] = self._turn(self._read, "read")
        return events

    def __iter__(self) -> LinkMonitor:
        return self

    def __next__(self) -> Event:
        """The next event, waited for without end.

        Raises: as `read`; also when another thread closes the monitor meanwhile.
        """
        while True:
            event: Event | None = self._turn(self._take, "read")
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
        """Closes it, once no other thread is at work on it; those who wait get a KernelError."""
        super().close()
        if self._forks == guard.forks:
            for wake in list(self._waiting):
                wake()

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
            event: Event | None = monitor._turn(monitor._pop, "read")
            if event is not None:
                return event
            # Also where there is something to read: a flood leaves the loop its turns.
            if not monitor._torn and not monitor._linkstate.stale:
                await self._readable()
            monitor._turn(monitor._fill, "read")

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
            descriptor = monitor._turn(lambda native, _: native.duplicate(), "dup")
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
