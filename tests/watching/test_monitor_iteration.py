"""Iteration over a `LinkMonitor`, in threads and on event loops."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
import support
import uvloop
from fake_socket import interrupted
from helpers_watching import link_names, run_within

from pynetstrat import (
    Batch,
    KernelError,
    LinkMonitor,
    NetworkNamespace,
    RtnetlinkSocket,
)


@pytest.mark.slow
def test_iteration_waits_for_the_next_event(rtnetlink, monitor):
    assert next(monitor).link.name == "lo"
    timer = threading.Timer(0.3, rtnetlink.link_set_up, ["lo"])
    timer.start()
    event = next(monitor)
    timer.join()
    assert (event.kind, event.link.up) == ("changed", True)


def test_read_returns_the_events_that_an_iteration_left(rtnetlink, monitor):
    rtnetlink.execute(Batch().add_bridge("br0").add_bridge("br1"))
    for event in monitor:
        first = event
        break
    rest = monitor.read()
    assert link_names([first, *rest]) == ["br0", "br1", "lo"]


@pytest.mark.slow
def test_ctrl_c_ends_the_wait(monitor, interrupt):
    monitor.read()
    with pytest.raises(KeyboardInterrupt):
        interrupt(0.3)  # within `raises`: the signal may arrive before the wait
        next(monitor)
    assert monitor.read() == []


# uvloop opens a pipe that lives as long as the process. Opened here, it belongs to no test.
uvloop.new_event_loop().close()

LOOPS = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


def run_on(new_loop, main):
    loop = new_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(main, 30))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@LOOPS
def test_async_iteration_returns_existing_links_and_later_changes(rtnetlink, monitor, new_loop):
    async def main():
        names = []
        async for event in monitor:
            names.append(event.link.name)
            if len(names) == 2:
                break
            rtnetlink.execute(Batch().add_bridge("br0"))
        return names

    assert run_on(new_loop, main()) == ["lo", "br0"]


@LOOPS
def test_other_tasks_run_while_one_waits(rtnetlink, monitor, new_loop):
    async def main():
        monitor.read()
        task = asyncio.ensure_future(anext_of(monitor))
        await waits_at(monitor)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not task.done()
        rtnetlink.link_set_up("lo")
        return await task

    assert run_on(new_loop, main()).kind == "changed"


async def anext_of(monitor):
    return await monitor.__aiter__().__anext__()


async def waits_at(monitor, count=1):
    """Returns when that many tasks wait for the monitor."""
    while len(monitor._waiting) < count:
        await asyncio.sleep(0)


@LOOPS
def test_cancellation_removes_the_reader(rtnetlink, monitor, new_loop):
    monitor.read()
    before = support.descriptors()

    async def main():
        initial = support.descriptors()
        for _ in range(3):
            task = asyncio.ensure_future(anext_of(monitor))
            await waits_at(monitor)
            assert support.descriptors() != initial
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert support.descriptors() == initial
            assert not monitor._waiting
        rtnetlink.link_set_up("lo")  # no event was lost
        return await anext_of(monitor)

    assert run_on(new_loop, main()).link.up
    assert support.descriptors() == before


@LOOPS
def test_one_event_loop_can_wait_for_two_monitors(rtnetlink, new_loop):
    async def main():
        with NetworkNamespace.create() as blue, LinkMonitor() as one, LinkMonitor(blue) as two:
            one.read()
            two.read()
            tasks = [asyncio.ensure_future(anext_of(monitor)) for monitor in (one, two)]
            await waits_at(one)
            await waits_at(two)
            rtnetlink.execute(Batch().add_veth("v0", "eth0", netns=blue))
            return [event.link.name for event in await asyncio.gather(*tasks)]

    assert run_on(new_loop, main()) == ["v0", "eth0"]


@LOOPS
def test_two_tasks_on_one_monitor_share_its_events(rtnetlink, monitor, new_loop):
    async def main():
        monitor.read()
        tasks = [asyncio.ensure_future(anext_of(monitor)) for _ in range(2)]
        await waits_at(monitor, 2)
        rtnetlink.execute(Batch().add_veth("v0", "v1"))
        return sorted(event.link.name for event in await asyncio.gather(*tasks))

    assert run_on(new_loop, main()) == ["v0", "v1"]


@contextlib.contextmanager
def waiting_loop(new_loop, monitor):
    """An event loop that is stopped while one of its tasks waits for the monitor.

    Yields a function that runs the event loop until the task is done, and returns its result.
    """
    loop = new_loop()
    count = len(monitor._waiting) + 1
    task = loop.create_task(asyncio.wait_for(anext_of(monitor), 30))
    loop.run_until_complete(waits_at(monitor, count))
    try:
        yield lambda: loop.run_until_complete(task)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()


@LOOPS
def test_events_that_one_event_loop_left_wake_another_event_loop(rtnetlink, monitor, new_loop):
    monitor.read()
    with waiting_loop(new_loop, monitor) as other:
        rtnetlink.execute(Batch().add_bridge("br0").add_bridge("br1").add_bridge("br2"))
        first = run_on(new_loop, anext_of(monitor))
        assert link_names([first, other(), *monitor.read()]) == ["br0", "br1", "br2"]


@LOOPS
def test_events_that_a_thread_left_wake_each_event_loop(rtnetlink, monitor, new_loop):
    monitor.read()
    with waiting_loop(new_loop, monitor) as one, waiting_loop(new_loop, monitor) as two:
        rtnetlink.execute(Batch().add_bridge("br0").add_bridge("br1").add_bridge("br2"))
        assert link_names([next(monitor), one(), two()]) == ["br0", "br1", "br2"]


@LOOPS
def test_an_interrupted_call_wakes_an_event_loop(rtnetlink, monitor, new_loop):
    monitor.read()
    with waiting_loop(new_loop, monitor) as other:
        rtnetlink.link_set_up("lo")
        with interrupted(monitor), pytest.raises(KeyboardInterrupt):
            monitor.read()
        assert other().link.up


@LOOPS
def test_every_event_reaches_one_of_two_event_loops_in_two_threads(rtnetlink, monitor, new_loop):
    """Each event loop takes one event at a time and stops waiting in between."""
    monitor.read()
    found = []

    async def take():
        while len(found) < 200:
            try:
                found.append(await asyncio.wait_for(anext_of(monitor), 30))
            except KernelError:
                break
        monitor.close()

    def work():
        run_on(new_loop, take())

    def make():
        with RtnetlinkSocket() as sock:
            for number in range(0, 200, 4):
                sock.execute(add_links(number, 4))

    with NetworkNamespace.current() as current:
        support.run_threads(work, work, lambda: run_within(current, make))
    assert sorted(event.link.name for event in found) == sorted(f"ifb{n}" for n in range(200))


def add_links(first, count):
    batch = Batch()
    for number in range(first, first + count):
        batch.add_link(f"ifb{number}", "ifb")
    return batch


@LOOPS
@pytest.mark.parametrize("in_thread", [False, True])
def test_close_ends_a_wait_on_an_event_loop(rtnetlink, monitor, new_loop, in_thread):
    async def main():
        monitor.read()
        task = asyncio.ensure_future(anext_of(monitor))
        await waits_at(monitor)
        if in_thread:
            await asyncio.get_running_loop().run_in_executor(None, monitor.close)
        else:
            monitor.close()
        with pytest.raises(KernelError, match="closed"):
            await task

    run_on(new_loop, main())


def test_other_tasks_run_during_a_flood(rtnetlink, monitor):
    async def main():
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counter = asyncio.ensure_future(count())
        up = False
        async for _ in monitor:
            up = not up
            (rtnetlink.link_set_up if up else rtnetlink.link_set_down)(
                "lo"
            )  # causes the next event
            if turns > 20:
                break
        counter.cancel()

    run_on(asyncio.new_event_loop, main())


def test_next_returns_one_event_at_a_time(rtnetlink, monitor):
    rtnetlink.execute(Batch().add_bridge("br0"))
    assert sorted([next(monitor).link.name, next(monitor).link.name]) == ["br0", "lo"]


def test_an_async_iterator_returns_itself(monitor):
    async def main():
        waiter = monitor.__aiter__()
        assert waiter.__aiter__() is waiter
        return await waiter.__anext__()

    assert run_on(asyncio.new_event_loop, main()).link.name == "lo"
