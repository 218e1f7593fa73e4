"""Sockets in other network namespaces."""

from __future__ import annotations

import copy
import errno
import os
import pickle
import signal
import socket
import struct
from pathlib import Path

import pytest
import support
from helpers_rtnetlink import ByHandlerError

from pynetstrat import (
    InvalidInterfaceNameError,
    KernelError,
    PermissionDeniedError,
    RtnetlinkSocket,
    SysfsReader,
    link_set_down,
    link_set_up,
)


def test_a_namespace_is_given_by_path_descriptor_or_pidfd(net, new_namespace):
    other, here = new_namespace(), support.identity()
    with support.inside(other), support.Links() as links:
        support.add_patterned(links, 5)
    with support.process_inside(other) as process:
        pidfd = os.pidfd_open(process.pid)
        try:
            path = f"/proc/{process.pid}/ns/net"
            for netns in (other, pidfd, path, path.encode(), Path(path)):
                with RtnetlinkSocket(netns) as rtnetlink:
                    assert support.identity() == here
                    assert rtnetlink.get_stats("v5") == support.view("v5", 5)
                    assert list(rtnetlink.dump_stats()) == ["lo", "w5", "v5"]
                    rtnetlink.link_set_down("lo")
                    link_set_up("lo", netns=netns)
                    assert rtnetlink.link_is_up("lo")
        finally:
            os.close(pidfd)
    with RtnetlinkSocket() as own:
        assert list(own.dump_stats()) == ["lo"]
        assert not own.link_is_up("lo")


@pytest.fixture
def blue(net, new_namespace):
    """Makes a namespace named "blue", as `ip netns add` does, and returns its descriptor."""
    support.mount("tmpfs", Path("/run"), "tmpfs")
    try:
        Path("/run/netns").mkdir()
        Path("/run/netns/blue").touch()
        netns = new_namespace()
        support.mount(f"/proc/self/fd/{netns}", Path("/run/netns/blue"), None, 4096)  # MS_BIND
        with support.inside(netns), support.Links() as links:
            support.add_patterned(links, 5)
        yield netns
        support.unmount("/run/netns/blue")
    finally:
        support.unmount("/run")


def test_a_namespace_is_given_by_its_name(blue):
    for netns in ("blue", b"blue", "/run/netns/blue", Path("/run/netns/blue")):
        with RtnetlinkSocket(netns) as rtnetlink:
            assert repr(rtnetlink) == '<RtnetlinkSocket in "/run/netns/blue": open>'
            assert rtnetlink.get_stats("v5") == support.view("v5", 5)
        link_set_up("lo", netns=netns)
        link_set_down("lo", netns=netns)
    with SysfsReader("v5", netns="blue", perspective="host") as reader:
        assert reader.read() == support.view("v5", 5)
    for netns in ("green", b"green", "."):
        with pytest.raises(KernelError) as caught:
            link_set_up("lo", netns=netns)
        assert caught.value.filename == f"/run/netns/{os.fsdecode(netns)}"
    assert caught.value.operation == "setns"  # a directory


def test_text_with_a_slash_and_every_pathlike_is_a_path(blue, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blue").symlink_to("/run/netns/blue")
    for netns in ("./blue", f"../{tmp_path.name}/blue", Path("blue"), tmp_path / "blue"):
        with RtnetlinkSocket(netns) as rtnetlink:
            assert "v5" in rtnetlink.dump_links()
    (tmp_path / "blue").unlink()
    for netns in ("./blue", "../blue", Path("blue"), Path("x/../blue")):
        with pytest.raises(KernelError) as caught:
            RtnetlinkSocket(netns)
        assert (caught.value.operation, caught.value.errno) == ("open netns", errno.ENOENT)
        assert caught.value.filename == str(netns)


class Handle:
    """An object with `fileno()`."""

    def __init__(self, answer):
        self.answer = answer

    def fileno(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_namespace_is_given_by_an_object_with_a_descriptor(blue, tmp_path):
    with open("/run/netns/blue") as file:  # noqa: PTH123  # the object itself
        for netns in (file, Handle(blue)):
            with RtnetlinkSocket(netns) as rtnetlink:
                assert rtnetlink.get_stats("v5") == support.view("v5", 5)
            link_set_up("lo", netns=netns)
    with pytest.raises(ValueError, match="closed file"):
        RtnetlinkSocket(file)
    with pytest.raises(ByHandlerError):
        RtnetlinkSocket(Handle(ByHandlerError()))
    for answer in (-1, 2**31, blue + 500):
        with pytest.raises(KernelError) as caught:
            link_set_up("lo", netns=Handle(answer))
        assert (caught.value.operation, caught.value.errno) == ("setns", errno.EBADF)
    for answer in (None, "3", 1.5, True):
        with pytest.raises(TypeError, match="netns must be a path"):
            RtnetlinkSocket(Handle(answer))
    closed = RtnetlinkSocket()
    closed.close()
    with pytest.raises(KernelError, match="this RtnetlinkSocket is closed"):
        link_set_up("lo", netns=closed)


def test_a_process_id_in_the_place_of_a_descriptor_gets_a_hint(net):
    for pid in (os.getpid(), 1, os.getppid()):
        if Path(f"/proc/self/fd/{pid}").exists():
            continue
        for call in (RtnetlinkSocket, lambda netns: SysfsReader("lo", netns=netns)):
            with pytest.raises(KernelError) as caught:
                call(pid)
            assert (caught.value.operation, caught.value.errno) == ("setns", errno.EBADF)
            assert f"NetworkNamespace.of_process({pid})" in caught.value.hint
            assert "the id of a process" in str(caught.value)
    for netns in (2**22 + 1, Handle(os.getpid())):  # above PID_MAX_LIMIT; and meant as a descriptor
        with pytest.raises(KernelError) as caught:
            RtnetlinkSocket(netns)
        assert "of_process" not in str(caught.value)


def test_a_socket_stays_where_it_was_opened(net, rtnetlink, new_namespace):
    support.add_patterned(net, 1)
    with support.inside(new_namespace()):
        assert rtnetlink.get_stats("v1") == support.view("v1", 1)
        with RtnetlinkSocket() as here:
            assert list(here.dump_stats()) == ["lo"]


def test_threads_that_open_sockets_elsewhere_stay_where_they_are(net, new_namespace):
    namespaces = [new_namespace() for _ in range(4)]
    for number, netns in enumerate(namespaces):
        with support.inside(netns), support.Links() as links:
            support.add_patterned(links, number)
    here = support.identity()

    def work(number):
        for _ in range(25):
            with RtnetlinkSocket(namespaces[number]) as rtnetlink:
                name = f"v{number}"
                assert rtnetlink.get_stats(name) == support.view(name, number)
            assert support.identity() == here

    support.run_threads(*(lambda n=n: work(n % 4) for n in range(8)))
    assert support.identity() == here


def test_a_wrong_name_is_reported_before_a_wrong_namespace(net):
    with pytest.raises(InvalidInterfaceNameError):
        link_set_up("", netns="/nonexistent")


def test_a_mutable_name_is_looked_up_each_time(net, rtnetlink):
    class Changing:
        def __fspath__(self):
            return self.name

    support.add_patterned(net, 1)
    support.add_patterned(net, 2)
    name = Changing()
    for number in (1, 2, 1):
        name.name = f"v{number}"
        assert rtnetlink.get_stats(name) == support.view(f"v{number}", number)
        assert rtnetlink.get_stats(os.fsencode(name)) == support.view(f"v{number}", number)


def test_a_socket_and_a_reader_can_not_be_copied(net, rtnetlink):
    with SysfsReader("lo") as reader:
        for held in (rtnetlink, reader):
            for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match="can't be copied or pickled"):
                    duplicate(held)
        assert reader.read().name == "lo"
    rtnetlink.link_set_up("lo")


def test_a_full_queue_makes_room_for_the_ack(net, rtnetlink):
    """Unread replies fill the queue: the first ack is lost, and the second attempt succeeds."""
    with socket.fromfd(rtnetlink.fileno(), socket.AF_NETLINK, socket.SOCK_RAW) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        get_link = struct.pack("=IHHII", 32, 18, 1, 0, 0) + struct.pack("=BxHiII", 0, 0, 1, 0, 0)
        for _ in range(20):
            raw.send(get_link)
    rtnetlink.link_set_up("lo")
    assert rtnetlink.link_is_up("lo")


def test_handlers_run_in_the_callers_namespace_while_a_socket_is_opened(net, alarm, new_namespace):
    ran = []
    netns, here = new_namespace(), support.identity()
    alarm(lambda *_: ran.append(support.identity()), 0.0005, repeat=True)
    for _ in range(300):
        RtnetlinkSocket(netns).close()
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert set(ran) == {here}


def test_a_netns_that_is_no_namespace_is_an_error(net, tmp_path):
    regular, fifo = tmp_path / "regular", tmp_path / "fifo"
    regular.write_text("")
    os.mkfifo(fifo)
    closed = support.new_namespace()
    os.close(closed)
    user = os.open("/proc/self/ns/user", os.O_RDONLY)
    try:
        for netns, operation, code, shown in (
            (regular, "setns", errno.EINVAL, str(regular)),
            (str(fifo), "setns", errno.EINVAL, str(fifo)),
            (os.fsencode(tmp_path), "setns", errno.EINVAL, str(tmp_path)),
            (tmp_path / "missing", "open netns", errno.ENOENT, str(tmp_path / "missing")),
            ("", "open netns", errno.ENOENT, ""),
            (user, "setns", errno.EINVAL, f"descriptor {user}"),
            (closed, "setns", errno.EBADF, f"descriptor {closed}"),
            (-1, "setns", errno.EBADF, "descriptor -1"),
            (2**31, "setns", errno.EBADF, f"descriptor {2**31}"),
            (-(2**40), "setns", errno.EBADF, f"descriptor {-(2**40)}"),
        ):
            for call in (RtnetlinkSocket, lambda netns: link_set_up("lo", netns=netns)):
                with pytest.raises(KernelError) as caught:
                    call(netns)
                error = caught.value
                assert (error.operation, error.errno) == (operation, code), netns
                assert error.filename == shown
                assert operation in str(error)
                assert shown in str(error)
    finally:
        os.close(user)


@pytest.mark.parametrize("netns", [True, False, 1.5, [], object()])
def test_a_netns_of_a_wrong_type_is_refused(netns):
    with pytest.raises(TypeError):
        RtnetlinkSocket(netns)


def test_a_netns_that_can_be_no_path_is_refused():
    with pytest.raises(ValueError, match="netns must not contain NUL"):
        RtnetlinkSocket("/proc/self/ns/net\0")
    with pytest.raises(ValueError, match="netns must not contain a lone surrogate"):
        RtnetlinkSocket("/run/netns/\ud800")


def test_a_namespace_that_can_not_be_entered_is_an_error(net, new_namespace):
    netns = new_namespace()
    with (
        support.without(support.CAP_SYS_ADMIN),
        pytest.raises(PermissionDeniedError) as caught,
    ):
        RtnetlinkSocket(netns)
    assert (caught.value.operation, caught.value.errno) == ("setns", errno.EPERM)
    assert "CAP_SYS_ADMIN" in str(caught.value)
