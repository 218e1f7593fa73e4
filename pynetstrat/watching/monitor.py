"""`LinkMonitor`: reports links and addresses that appear, change and disappear."""

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
    from typing import TypeVar

    from ..types import Netns

    Result = TypeVar("Result")

_MAX_DATAGRAMS = 65536  # of one read, so that it ends during a flood
_SLICE_MS = 100  # the longest wait before checking whether the monitor is closed


class LinkMonitor(Handle):
    """Reports the links of a network namespace, and optionally their addresses, as they change.

    The first events are "added", one for each existing link; then every change follows, exactly
    once. If notifications were lost because nothing was read for too long, everything is dumped
    again and the differences are reported: a link that appeared and disappeared in between is not.

    There are three ways to read. `read` returns the queued events, `for` waits for the next event,
    and `async for` waits on the running event loop (asyncio or uvloop). For other event loops, wait
    until `fileno` is readable and call `read`. Threads, tasks and event loops may share a monitor;
    each event goes to one of them. Use the index to identify a link: names can be swapped.

    The kernel sends no notification of some changes (net/core/rtnetlink.c, do_setlink). They are
    reported with the link's next change:

    - the `alias`, `altnames` or `group` of a link that is down;
    - the `hairpin` of a bridge port that is down, if it is set as bridge port data
      (`Batch.set_link`, `ip link set ... type bridge_slave`);
    - the `link_index` and `link_nsid` of a link whose peer or parent is in another namespace and
      moves from there to a third.

    Like every socket, a monitor keeps its namespace alive. A forked child must open its own. The
    object is a context manager.

    Parameters:
        netns: the namespace, in any form that `RtnetlinkSocket` accepts. None: that of the calling
            thread.
        addresses: whether to report IPv4 and IPv6 addresses as well.

    Raises:
        NetlinkUnavailableError: the kernel or a seccomp filter refuses AF_NETLINK.
        PermissionDeniedError: entering `netns` failed: CAP_SYS_ADMIN over it is missing.
        KernelError: `netns` does not exist or is not a network namespace, or the process is out of
            descriptors or memory.

    Example:
        >>> with LinkMonitor() as monitor:
        ...     for event in monitor:
        ...         print(event.kind, event.link.name)
    """

    __slots__ = ("_is_unfinished", "_linkstate", "_waiting", "_where")

    def __init__(self, netns: Netns | None = None, *, addresses: bool = False) -> None:
        self._linkstate = state = LinkState(addresses)
        # A call is receiving, or ended early: a signal handler raised, or a system call failed.
        # The datagram that it was processing may be lost.
        self._is_unfinished = False
        self._waiting: set[Callable[[], None]] = set()  # each wakes a waiting task
        native = Subscription(netns, addresses)
        self._where = native.namespace
        try:  # with the first dump requested, the descriptor is readable at once
            state.idle()
            state.requested(native.request(state.next_dump), native.port)
        except BaseException:
            native.close()
            raise
        self._attach(native)

    def __repr__(self) -> str:
        return f"<LinkMonitor in {self._place()}: {self._state()}>"

    def fileno(self) -> int:
        """Returns the descriptor to wait on. Only `read` may read from it.

        It is readable when the kernel has queued something. Events that an iteration has received
        but not returned do not make it readable: after an iteration has ended, call `read` once
        before waiting.

        Raises:
            KernelError: the monitor is closed.
        """
        descriptor: int = self._locked(lambda native, _: native.fileno(), "fileno")
        return descriptor

    def read(self) -> list[Event]:
        """Returns the events since the last call, without waiting.

        Returns:
            The events in their order; an empty list if there are no new ones.

        Raises:
            KernelError: the kernel refused a dump (the next call requests it again), or the monitor
                is closed.
        """
        events: list[Event] = self._locked(self._read, "read")
        return events

    def __iter__(self) -> LinkMonitor:
        return self

    def __next__(self) -> Event:
        """Waits for the next event, without a time limit.

        Raises:
            KernelError: the kernel refused a dump, or the monitor is closed, also by another thread
                during the wait.
        """
        while True:
            event: Event | None = self._locked(self._take, "read")
            if event is not None:
                return event
            # Without the lock, which close() needs. If another thread closes the monitor and its
            # descriptor is reused, nothing is read from it, and the next _locked() raises.
            waiter = poll()
            waiter.register(self.fileno(), POLLIN)
            waiter.poll(_SLICE_MS)

    def __aiter__(self) -> _Waiter:
        import asyncio

        return _Waiter(self, asyncio.get_running_loop())

    def close(self) -> None:
        """Closes the monitor when no other thread uses it.

        Other threads and tasks that wait for an event get a KernelError. A second call does
        nothing.
        """
        super().close()
        if self._forks == _handle.forks:
            self._wake()

    def _locked(self, work: Callable[..., Result], operation: str, name: object = "") -> Result:
        """Runs `work` with the lock held; then wakes waiting tasks if it left events for them.

        Events that this call has received do not make the socket readable again, so another task
        would wait although events are queued.
        """
        try:
            return super()._locked(work, operation, name)
        finally:
            if self._waiting and self._has_work():
                self._wake()

    def _wake(self) -> None:
        for wake in list(self._waiting):
            wake()

    def _has_work(self) -> bool:
        """Whether a call has something to do although the socket may not be readable."""
        state = self._linkstate
        return bool(state.inventory.events) or state.is_stale or self._is_unfinished

    # ---- with the lock held ----

    def _read(self, native: Subscription, _: object) -> list[Event]:
        self._receive(native)
        queued = self._linkstate.inventory.events
        events = list(queued)
        queued.clear()
        return events

    def _take(self, native: Subscription, _: object) -> Event | None:
        if not self._linkstate.inventory.events:
            self._receive(native)
        return self._pop(native)

    def _pop(self, _native: Subscription, _: object = "") -> Event | None:
        events = self._linkstate.inventory.events
        return events.popleft() if events else None

    def _receive(self, native: Subscription, _: object = "") -> None:
        """Receives and processes every datagram that is queued."""
        state = self._linkstate
        if self._is_unfinished:
            state.recover()
        self._is_unfinished = True
        for _ in range(_MAX_DATAGRAMS):
            received = native.receive()
            if received is not None:
                state.feed(received)
            elif state.failure is not None:
                break
            else:
                names = state.idle()
                if not names and not state.next_dump:
                    break
                for name in names:
                    native.request_link(name)
            if state.next_dump:
                state.requested(native.request(state.next_dump), native.port)
        self._is_unfinished = False
        failure, state.failure = state.failure, None
        if failure is not None:
            raise failure


class _Waiter:
    """The iterator of `async for` over a monitor."""

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
            # Even if something is queued, so that other tasks run during a flood.
            await self._readable()
            monitor._locked(monitor._receive, "read")

    async def _readable(self) -> None:
        """Waits until the monitor has something to receive, or `_wake` is called."""
        monitor, loop = self._monitor, self._loop
        ready: Future[None] = loop.create_future()

        def set_ready() -> None:
            if not ready.done():
                ready.set_result(None)

        def wake() -> None:
            with suppress(RuntimeError):  # the event loop is closed
                loop.call_soon_threadsafe(set_ready)

        monitor._waiting.add(wake)  # first, so that a close() from here on wakes this task
        try:
            # A duplicate: it refers to the socket until it is removed from the event loop, even if
            # the monitor is closed before, and no other task registers the same descriptor.
            descriptor = monitor._locked(lambda native, _: native.duplicate(), "dup")
            try:
                loop.add_reader(descriptor, set_ready)
                try:
                    await ready
                finally:
                    loop.remove_reader(descriptor)
            finally:
                os.close(descriptor)
        finally:
            monitor._waiting.discard(wake)
