"""The calls of `ContainerCounters`: arguments, permissions, threads, signals and closing."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import resource
import signal
import socket
import threading
import time
from errno import EBADF, EINVAL, EMFILE, ENOENT

import pytest
import support
from faults_for_tests import at_line, signal_handler
from helpers_counting import CAP_NET_BROADCAST, rename
from support import add_container_veth, seen
from support import end_namespace as end

from pynetstrat import (
    ContainerCounters,
    KernelError,
    PermissionDeniedError,
)
from pynetstrat._native.containers import Containers


def test_add_refuses_anything_but_a_network_namespace(net, counters, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KernelError) as caught:
        counters.add("a", "no-such-name")
    assert caught.value.errno == ENOENT
    for netns in (tmp_path / "file", "/proc/self/ns/mnt"):
        with pytest.raises(KernelError) as caught:
            counters.add("a", netns)
        assert caught.value.errno == EINVAL
    with pytest.raises(TypeError, match="netns must be"):
        counters.add("a", 1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="netns must be"):
        counters.add("a", None)  # type: ignore[arg-type]
    with pytest.raises(KernelError) as caught:
        counters.add("a", 999999)
    assert caught.value.errno == EBADF
    assert counters.read() == {}


def test_add_refuses_a_key_in_use(net, counters, new_namespace):
    netns = new_namespace()
    counters.add("a", netns)
    with pytest.raises(ValueError, match="key 'a' is taken"):
        counters.add("a", new_namespace())
    ending = support.new_namespace()
    counters.add("b", ending)
    end(ending)
    assert counters.gone() == ["b"]
    with pytest.raises(ValueError, match="key 'b' is taken"):
        counters.add("b", netns)
    counters.discard("b")
    counters.add("b", netns)
    assert counters.read() == {"a": {}, "b": {}}


def test_add_refuses_an_unhashable_key(net, counters, new_namespace):
    with pytest.raises(TypeError, match="unhashable"):
        counters.add([], new_namespace())  # type: ignore[arg-type]
    assert counters.read() == {}


def test_discard_ignores_an_unknown_key(counters):
    counters.discard("a")


def test_a_negative_timeout_is_refused():
    with pytest.raises(ValueError, match="timeout must be"):
        ContainerCounters(timeout=-1)


def test_a_closed_object_refuses_every_call(net, new_namespace):
    counters = ContainerCounters()
    counters.add("a", new_namespace())
    counters.close()
    counters.close()
    for call in (
        lambda: counters.add("b", new_namespace()),
        lambda: counters.discard("a"),
        counters.read,
        counters.read_columns,
        counters.gone,
    ):
        with pytest.raises(KernelError, match="this ContainerCounters is closed") as caught:
            call()
        assert caught.value.errno == EBADF
    assert "closed" in repr(counters)


def test_add_is_refused_without_cap_sys_admin(net, counters, new_namespace):
    netns = new_namespace()
    with support.without(support.CAP_SYS_ADMIN), pytest.raises(PermissionDeniedError) as caught:
        counters.add("a", netns)
    assert "CAP_SYS_ADMIN" in str(caught.value)
    assert counters.read() == {}


def test_add_is_refused_without_cap_net_admin(net, new_namespace):
    """The kernel checks both the opener of the socket and the sender of the request."""
    netns = new_namespace()
    with support.without(support.CAP_NET_ADMIN), ContainerCounters() as counters:
        with pytest.raises(PermissionDeniedError) as caught:
            counters.add("a", netns)
        assert "CAP_NET_ADMIN" in str(caught.value)
        assert counters.read() == {}


def test_every_reading_dumps_all_links_without_cap_net_broadcast(net, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    with support.without(CAP_NET_BROADCAST), ContainerCounters() as counters:
        assert counters._native.changed_netns is None
        counters.add("a", netns)
        assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}
        rename(netns, "eth0", "net1")
        assert counters.read() == {"a": {"net1": seen("net1", 1)}}


def test_a_reading_succeeds_after_one_that_was_refused(net, counters, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters.add("a", netns)
    rename(netns, "eth0", "net0")
    with support.without(support.CAP_NET_ADMIN), pytest.raises(PermissionDeniedError):
        counters.read()
    assert counters.read() == {"a": {"net0": seen("net0", 1)}}


def test_a_lack_of_descriptors_while_opening_leaves_nothing_open(net):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    refused = 0
    try:
        for more in range(20):
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, limits[1]))
            try:
                ContainerCounters().close()
            except KernelError as error:
                assert error.errno == EMFILE
                refused += 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert refused == 4  # three sockets, and the namespace's own descriptor


def test_add_fails_if_a_dump_finds_no_namespace(net, counters, new_namespace):
    """A dump by nsid finds no namespace although a descriptor of it is open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Containers, "dump_netns_links", lambda *_: None)
        with pytest.raises(KernelError, match="RTM_GETLINK"):
            counters.add("a", new_namespace())
    counters.add("a", new_namespace())
    assert counters.read() == {"a": {}}


def test_an_unclosed_object_warns_and_cannot_be_copied(net):
    import copy
    import pickle

    counters = ContainerCounters()
    for use in (copy.copy, pickle.dumps):
        with pytest.raises(TypeError, match="can't be copied or pickled"):
            use(counters)
    with pytest.warns(ResourceWarning, match="unclosed <ContainerCounters of 0 containers"):
        del counters
        gc.collect()


def test_a_forked_child_cannot_use_it(net, new_namespace):
    with ContainerCounters() as counters:
        counters.add("a", new_namespace())
        child = os.fork()
        if child == 0:
            try:
                counters.read()
            except KernelError as error:
                os._exit(0 if "before fork()" in str(error) else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert counters.read() == {"a": {}}


def test_threads_can_share_it(net, new_namespace):
    namespaces = [new_namespace() for _ in range(4)]
    for number, netns in enumerate(namespaces):
        add_container_veth(net, netns, f"v{number}", number)
    with ContainerCounters() as counters:
        for number, netns in enumerate(namespaces):
            counters.add(number, netns)
        expected = {n: {"eth0": seen("eth0", n)} for n in range(4)}

        def read() -> None:
            for _ in range(100):
                assert counters.read() == expected
                assert counters.read_columns().keys == (0, 1, 2, 3)

        support.run_threads(*[read] * 4)


@pytest.mark.slow
def test_containers_can_be_added_and_discarded_while_other_threads_read(net, new_namespace):
    namespaces = [new_namespace() for _ in range(3)]
    for number, netns in enumerate(namespaces):
        add_container_veth(net, netns, f"v{number}", number)
    over = threading.Event()
    with ContainerCounters() as counters:
        counters.add(0, namespaces[0])

        def come_and_go(number: int) -> None:
            try:
                for _ in range(100):
                    counters.add(number, namespaces[number])
                    assert counters.read()[number] == {"eth0": seen("eth0", number)}
                    counters.discard(number)
                    assert number not in counters.read()
            finally:
                over.set()

        def read() -> None:
            while not over.is_set():
                read = counters.read()
                assert read.keys() >= {0} and counters.gone() == []
                for number, interfaces in read.items():
                    assert interfaces == {"eth0": seen("eth0", number)}

        support.run_threads(lambda: come_and_go(1), lambda: come_and_go(2), read, read)


def test_close_ends_the_readings_of_other_threads(net, new_namespace):
    netns = new_namespace()
    add_container_veth(net, netns, "v0", 1)
    counters = ContainerCounters()
    counters.add("a", netns)
    read = threading.Semaphore(0)

    def go_on() -> None:
        with pytest.raises(KernelError, match="this ContainerCounters is closed"):
            while True:
                assert counters.read() == {"a": {"eth0": seen("eth0", 1)}}
                read.release()

    def close() -> None:
        for _ in range(20):
            read.acquire()
        counters.close()

    support.run_threads(go_on, go_on, close)


@pytest.mark.slow
def test_readings_are_right_after_a_signal_handler_raised_at_any_moment(net, new_namespace):
    """Interfaces change before each interrupted reading; the next reading shows the changes."""

    class Interrupted(BaseException):
        pass

    def strike(*_: object) -> None:
        raise Interrupted

    one, other = new_namespace(), new_namespace()
    add_container_veth(net, one, "v0", 1, "eth0")
    add_container_veth(net, one, "v1", 2, "eth1")
    struck = 0
    with signal_handler(signal.SIGALRM, strike), ContainerCounters() as counters:
        counters.add("one", one)
        counters.read()
        for turn, delay in enumerate(support.sample(range(1, 61))):
            rename(one, "eth0", "free")
            rename(one, "eth1", "eth0")
            rename(one, "free", "eth1")
            ending = support.new_namespace()
            add_container_veth(net, ending, "v2", 3, index=777)
            counters.add("ending", ending)
            end(ending)
            while "v2" in [name for _, name in socket.if_nameindex()]:
                time.sleep(0.001)
            net.add_veth("x2", "y2", index=777, up=False)  # unrelated
            try:
                signal.setitimer(signal.ITIMER_REAL, delay * 15e-6)
                counters.add("other", other)
                counters.discard("other")
                counters.read()
                counters.gone()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupted:
                struck += 1
            counters.discard("other")
            first, second = (2, 1) if turn % 2 == 0 else (1, 2)
            assert counters.read() == {
                "one": {"eth0": seen("eth0", first), "eth1": seen("eth1", second)}
            }
            assert counters.gone() == ["ending"]
            counters.discard("ending")
            assert len(counters._tracker.by_nsid) == 1
            net.delete("x2")
    assert struck


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, 8))
def test_readings_are_right_after_a_signal_handler_raised_at_any_line(
    net, counters, new_namespace, first
):
    """Every seventh line is interrupted; the next call repairs the records."""
    one, other = new_namespace(), new_namespace()
    add_container_veth(net, one, "v0", 1, "eth0")
    add_container_veth(net, other, "v1", 2, "eth0")
    counters.add("one", one)
    counters.read()
    name, files = "eth0", ("counting/_tracking.py", "counting/containers.py", "_layout.py")

    def interrupt() -> None:
        raise KeyboardInterrupt

    for line in itertools.count(first, 7):
        new_name = f"eth{line}"
        rename(one, name, new_name)
        name = new_name
        with contextlib.suppress(KeyboardInterrupt), at_line(line, files, interrupt) as struck:
            counters.add("other", other)
            counters.discard("other")
            counters.add("kept", other)
            counters.read()
            counters.discard("kept")
        for key in ("other", "kept"):
            counters.discard(key)
        assert counters.read() == {"one": {name: seen(name, 1)}}
        assert len(counters._tracker.by_nsid) == 1
        if not struck.is_reached:
            break


@pytest.mark.slow
def test_four_sockets_and_no_container_descriptor_are_held(net, new_namespace):
    before = support.descriptors()
    with ContainerCounters() as counters:
        for number in range(20):
            netns = new_namespace()
            before = before | {str(netns): support.descriptors()[str(netns)]}
            add_container_veth(net, netns, f"v{number}", number)
            counters.add(number, netns)
        counters.read()
        held = set(support.descriptors()) - set(before)
        assert len(held) == 4  # for ends of namespaces, two for links, and for changes


def test_repr_shows_the_number_of_containers_and_the_namespace(net, new_namespace):
    unborn = ContainerCounters.__new__(ContainerCounters)
    assert repr(unborn) == "<ContainerCounters of 0 containers, from no namespace: closed>"
    with ContainerCounters() as counters:
        counters.add("a", new_namespace())
        assert repr(counters) == (
            "<ContainerCounters of 1 containers, from its opener's namespace: open>"
        )
