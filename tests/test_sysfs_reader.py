"""sysfs.py: SysfsReader."""

from __future__ import annotations

import errno
import gc
import os
import socket
import sys
import warnings

import pytest
import support
from sysfs_readings import one_shot, wait_until_gone

from pynetstrat import (
    InterfaceNotFoundError,
    InvalidInterfaceNameError,
    KernelError,
    NetworkInterface,
    SysfsReader,
)

# ---- reading ----


def test_a_reader_follows_a_rename(net):
    name, _ = support.add_patterned(net, 1)
    with SysfsReader(name, perspective="host") as reader:
        net.rename(socket.if_nametoindex(name), "renamed")
        support.add_patterned(net, 1 + 10)
        net.rename(socket.if_nametoindex("v11"), name)  # another interface takes the name
        assert reader.read() == support.view(name, 1)
        assert one_shot(name, perspective="host") == support.view(name, 11)


def test_a_reader_of_a_deleted_interface_fails_for_good(net):
    name, _ = support.add_patterned(net, 1)
    with SysfsReader(name) as reader:
        reader.read()
        net.delete(name)
        for _ in range(2):
            with pytest.raises(InterfaceNotFoundError) as caught:
                reader.read()
        error = caught.value
        assert (error.errno, error.operation, error.interface) == (errno.ENODEV, "pread", name)
        support.add_patterned(net, 1)  # a new interface with the same name
        with pytest.raises(InterfaceNotFoundError):
            reader.read()
    with SysfsReader(name, perspective="host") as reader:
        assert reader.read() == support.view(name, 1)


def test_a_reader_never_shows_another_interface_after_a_move(net, new_namespace):
    """The kernel decides whether the reader still reads its interface, or none."""
    name, _ = support.add_patterned(net, 1)
    with SysfsReader(name, perspective="host") as reader:
        net.move(name, new_namespace())
        support.add_patterned(net, 2)
        net.rename(socket.if_nametoindex("v2"), name)
        try:
            assert reader.read() == support.view(name, 1)
        except InterfaceNotFoundError as error:
            assert error.operation == "pread"


def test_a_reader_sees_changes(tree):
    with SysfsReader("eth0", perspective="host", sysfs_root=tree) as reader:
        assert reader.read().rx_bytes == 1
        with (tree / "eth0" / "statistics" / "rx_bytes").open("r+") as file:
            file.write("77\n")
        assert reader.read().rx_bytes == 77


def test_a_closed_reader_refuses_to_read(tree):
    reader = SysfsReader("eth0", sysfs_root=tree)
    before = len(support.descriptors())
    reader.close()
    reader.close()
    assert len(support.descriptors()) == before - 8
    with pytest.raises(KernelError) as caught:
        reader.read()
    error = caught.value
    assert (error.errno, error.operation, error.interface) == (errno.EBADF, "pread", "eth0")
    assert str(error).endswith("this SysfsReader is closed: open a new one")


def test_an_unclosed_reader_is_reported_and_closed(tree):
    before = support.descriptors()
    reader = SysfsReader("eth0", sysfs_root=tree)
    with pytest.warns(ResourceWarning, match="unclosed <SysfsReader of"):
        del reader
        gc.collect()
    assert support.descriptors() == before


def test_a_closed_reader_and_one_that_failed_to_open_are_not_reported(tree):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for arguments in (("a/b",), ("nowhere",)):
            with pytest.raises((InvalidInterfaceNameError, InterfaceNotFoundError)):
                SysfsReader(*arguments, sysfs_root=tree)
        reader = SysfsReader("eth0", sysfs_root=tree)
        reader.close()
        del reader
        gc.collect()


def test_threads_share_a_reader(tree):
    expected = one_shot(sysfs_root=tree)
    with SysfsReader("eth0", sysfs_root=tree) as reader:

        def work():
            for _ in range(300):
                assert reader.read() == expected

        support.run_threads(*[work] * 8)


def test_a_reader_can_be_closed_by_another_thread(tree):
    """The number of a closed descriptor may be that of another file, which must not be read."""
    expected = one_shot(sysfs_root=tree)
    for _ in range(20):
        reader = SysfsReader("eth0", sysfs_root=tree)

        def work(reader=reader):
            try:
                while True:
                    assert reader.read() == expected
            except KernelError as error:
                assert error.errno == errno.EBADF
                assert "closed" in str(error)

        support.run_threads(work, work, reader.close)


def test_a_reader_works_in_a_forked_child(net):
    """Another thread may hold the lock at the fork. The child must not wait for it."""
    code = """
import os, signal, threading
from pynetstrat import SysfsReader

done = threading.Event()

def read():
    while not done.is_set():
        reader.read()

with SysfsReader("lo") as reader:
    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(30):
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            reader.read()
            reader.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    done.set()
    thread.join()
print("done")
"""
    done = support.run([sys.executable, "-W", "ignore", "-c", code])
    assert done.stdout == "done\n", done.stderr


# ---- namespaces, descriptors, representation ----


def test_a_reader_does_not_keep_its_namespace_alive(net):
    """The name of the host end is free once the namespace has ended."""
    other = support.new_namespace()
    net.add_veth("host0", "eth0", up=False, peer_netns=other)
    with SysfsReader("eth0", netns=other) as reader:
        assert reader.read() == NetworkInterface("eth0")
        os.close(other)
        wait_until_gone("/sys/class/net/host0")
        for _ in range(2):
            with pytest.raises(InterfaceNotFoundError) as caught:
                reader.read()
        assert caught.value.interface == "eth0"
        net.add_veth("host0", "host1", up=False)


def test_a_reader_without_descriptors_names_the_limit(tree):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    before = support.descriptors()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 5, limits[1]))
    try:
        with pytest.raises(KernelError) as caught:
            SysfsReader("eth0", sysfs_root=tree)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert caught.value.errno == errno.EMFILE
    assert "RLIMIT_NOFILE" in str(caught.value)
    assert support.descriptors() == before


def test_a_representation_has_tree_and_state(tree):
    with SysfsReader("eth0", sysfs_root=tree) as reader:
        assert repr(reader) == f'<SysfsReader of "eth0" beneath "{tree}": open>'
    assert repr(reader) == f'<SysfsReader of "eth0" beneath "{tree}": closed>'
    assert repr(object.__new__(SysfsReader)) == '<SysfsReader of "": closed>'
