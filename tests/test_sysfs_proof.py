"""_sysfs_proof.py: which network namespace /sys shows."""

from __future__ import annotations

import errno
import shutil
import socket
import sys
from pathlib import Path

import pytest
import support
from support import FILES
from sysfs_readings import EVERY_WAY, add_eth0, held, one_shot, single

from pynetstrat import (
    Batch,
    CounterNotFoundError,
    ForeignSysfsError,
    InterfaceNotFoundError,
    InvalidCounterNameError,
    InvalidInterfaceNameError,
    NetworkInterface,
    NetworkNamespace,
    RtnetlinkSocket,
    SysfsReader,
    _sysfs_proof,
    get_network_interface_stats,
    read_sysfs_network_stats,
)
from pynetstrat.cli import _fresh_namespaces

# ---- which namespace /sys shows ----


@pytest.fixture
def no_verdicts(monkeypatch):
    """Forgets every proof about a sysfs, as at the start of a program."""
    monkeypatch.setattr(_sysfs_proof, "_verdicts", {})
    monkeypatch.setattr(_sysfs_proof, "_newest", None)
    monkeypatch.setattr(_sysfs_proof, "_agreeing", set())


def read_all(name="eth0"):
    """The eight counters from the host's perspective. All functions must return the same ones."""
    with SysfsReader(name, perspective="host") as reader:
        found = reader.read()
    assert get_network_interface_stats(name, perspective="host") == found
    assert get_network_interface_stats(name) == found.swapped()
    for file, value in zip(FILES, support.values(found), strict=True):
        assert read_sysfs_network_stats(name, file) == value
    assert read_sysfs_network_stats(name, "collisions") == 0
    return found


@pytest.mark.usefixtures("no_verdicts")
def test_a_reading_is_of_the_namespace_that_the_thread_is_in(net, new_namespace):
    """After setns() or unshare() /sys still shows the former namespace."""
    other = new_namespace()
    add_eth0(net, 1)
    with support.inside(other), support.Links() as links:
        add_eth0(links, 2)
    for _ in range(3):  # with and without a verdict
        assert read_all() == support.view("eth0", 1)
        with support.inside(other):
            assert read_all() == support.view("eth0", 2)


@pytest.mark.usefixtures("no_verdicts")
def test_an_interface_of_another_namespace_is_not_found(net, new_namespace):
    add_eth0(net, 1)
    with support.inside(new_namespace()):
        for call in (one_shot, held, single):
            with pytest.raises(InterfaceNotFoundError):
                call("eth0")
        with pytest.raises(InterfaceNotFoundError):
            read_sysfs_network_stats("eth0", "collisions")
        with pytest.raises(CounterNotFoundError):
            read_sysfs_network_stats("lo", "rx_nothing")


@pytest.mark.usefixtures("no_verdicts")
@EVERY_WAY
def test_names_are_checked_if_sysfs_is_foreign(net, new_namespace, read):
    with support.inside(new_namespace()), support.Links() as links:
        for name in ("a/b", "x" * 16, "..", None):
            with pytest.raises(InvalidInterfaceNameError):
                read(name)
        for file in ("../x", "", "a\0"):
            with pytest.raises(InvalidCounterNameError):
                read_sysfs_network_stats("lo", file)
        links.add_altname("lo", "short")  # sysfs has no alternative names
        with pytest.raises(InterfaceNotFoundError):
            read("short")


@pytest.mark.usefixtures("no_verdicts")
def test_a_reused_device_number_does_not_make_a_foreign_sysfs_trusted(net, new_namespace):
    """The kernel reuses the inodes of namespaces and the device numbers of mounts at once."""
    mine, other = new_namespace(), new_namespace()
    for number, netns in enumerate((mine, other)):
        with support.inside(netns), support.Links() as links:
            add_eth0(links, number)

    def mount_and_read(netns):
        with support.inside(netns):
            _fresh_namespaces.mount_sysfs()
        try:
            with support.inside(mine):
                assert read_all() == support.view("eth0", 0)
            return Path("/sys").stat().st_dev
        finally:
            support.unmount("/sys")

    for _ in range(100):
        if mount_and_read(mine) == mount_and_read(other):
            return
    raise AssertionError("this kernel has not reused a device number: nothing was tested")


@pytest.mark.usefixtures("no_verdicts")
@EVERY_WAY
def test_an_interface_that_a_proven_sysfs_does_not_have_is_read_in_another_way(
    net, new_namespace, monkeypatch, read
):
    """The namespace of that /sys may have ended, and its inode may now be that of the thread's."""
    add_eth0(net, 1)
    with support.inside(new_namespace()), support.Links() as links:
        add_eth0(links, 2)
        wrong = _sysfs_proof.native.SysfsIdentity(b"/sys/class/net")
        monkeypatch.setattr(_sysfs_proof, "_newest", wrong)
        monkeypatch.setattr(_sysfs_proof, "_verdicts", {wrong.key: wrong})
        links.rename(socket.if_nametoindex("eth0"), "eth1")  # does not exist in the other one
        found = read("eth1")
        expected = support.view("eth1", 2).swapped()
        assert found == (expected if isinstance(found, NetworkInterface) else 0)


# ---- without the right to mount ----


@pytest.mark.usefixtures("no_verdicts")
def test_sysfs_is_read_without_a_proof_if_all_links_agree_with_rtnetlink(net, new_namespace):
    add_eth0(net, 1)
    with support.without(support.CAP_SYS_ADMIN):
        assert read_all() == support.view("eth0", 1)
    assert _sysfs_proof._verdicts == {}  # no proof
    assert len(_sysfs_proof._agreeing) == 1


def add_twin(netns, host, peer, carried):
    """Adds an eth0 with the same index and MAC in every namespace, and sends frames of 100 bytes.

    Parameters:
        host: the namespace of the peer.
        peer: the index of the peer.
        carried: the number of frames.
    """
    options = {"mac": "02:42:ac:11:00:02", "index": 7, "peer_index": peer, "mtu": 1000}
    with support.inside(netns), RtnetlinkSocket() as links, RtnetlinkSocket(host) as outer:
        links.execute(Batch().add_veth("eth0", f"w{peer}", netns=host, **options))
        outer.link_set_up(f"w{peer}")
        links.link_set_up("eth0")  # the MTU is too small for IPv6, so the kernel sends nothing
        support.send_frames("eth0", carried, 100)


def sent(frames):
    return NetworkInterface("eth0", tx_bytes=100 * frames, tx_packets=frames)


@pytest.mark.usefixtures("no_verdicts")
@pytest.mark.parametrize(
    ("peers", "carried"),
    [((8, 9), (3, 3)), ((8, 8), (3, 4)), ((8, 8), (0, 0))],
    ids=["another peer", "other counters", "nothing differs"],
)
def test_the_counters_of_a_twin_are_never_returned(net, new_namespace, peers, carried):
    """Containers with one address have one MAC, which is made from it, and the first free index."""
    mine, hosts = new_namespace(), [new_namespace(), new_namespace()]
    with NetworkNamespace.current() as other:
        twins = zip((other.fileno(), mine), hosts, peers, carried, strict=True)
        for netns, host, peer, count in twins:
            add_twin(netns, host, peer, count)
    with support.inside(mine), support.without(support.CAP_SYS_ADMIN):
        for _ in range(2):
            assert one_shot("eth0", perspective="host") == sent(carried[1])
            assert single("eth0") == 0
            for call in (held, lambda name: read_sysfs_network_stats(name, "collisions")):
                with pytest.raises(ForeignSysfsError):
                    call("eth0")


@pytest.mark.usefixtures("no_verdicts")
def test_links_that_agreed_once_do_not_make_other_counters_trusted(net, new_namespace):
    """A twin that is equal at first, its counters included, and differs later."""
    mine = new_namespace()
    with NetworkNamespace.current() as other:
        add_twin(other.fileno(), new_namespace(), 8, 3)
    add_twin(mine, new_namespace(), 8, 3)
    with support.inside(mine), support.without(support.CAP_SYS_ADMIN):
        assert one_shot("eth0", perspective="host") == sent(3)
        held("eth0")  # no difference
    support.send_frames("eth0", 5, 100)
    with support.inside(mine), support.without(support.CAP_SYS_ADMIN):
        assert one_shot("eth0", perspective="host") == sent(3)
        with pytest.raises(ForeignSysfsError):
            held("eth0")


@pytest.mark.usefixtures("no_verdicts")
@pytest.mark.parametrize("only_lo", [True, False])
def test_without_a_proof_rtnetlink_is_read(net, new_namespace, only_lo):
    """The links differ, or the namespace has only lo, which every namespace has."""
    other = new_namespace()
    add_eth0(net, 1)
    with support.inside(other), support.Links() as links:
        if only_lo:
            links.set_up("lo")
        else:
            add_eth0(links, 2)
        name = "lo" if only_lo else "eth0"
        expected = NetworkInterface("lo") if only_lo else support.view("eth0", 2)
        with support.without(support.CAP_SYS_ADMIN):
            for _ in range(2):
                assert get_network_interface_stats(name, perspective="host") == expected
                for file, value in zip(FILES, support.values(expected), strict=True):
                    assert read_sysfs_network_stats(name, file) == value
                for call in (
                    lambda: SysfsReader(name),
                    lambda: read_sysfs_network_stats(name, "collisions"),
                ):
                    with pytest.raises(ForeignSysfsError) as caught:
                        call()
                    error = caught.value
                    assert (error.errno, error.interface) == (errno.EPERM, name)
                    assert error.operation in ("fsopen", "fsmount")
                    for part in ("CAP_SYS_ADMIN", "/sys is not known to show", "sysfs_root"):
                        assert part in str(error)


@pytest.mark.usefixtures("no_verdicts")
def test_a_sysfs_that_did_not_agree_is_compared_again(net, monkeypatch):
    """A sysfs that did not agree while links were added and deleted may agree later."""
    add_eth0(net, 1)
    with support.without(support.CAP_SYS_ADMIN):
        with monkeypatch.context() as context:
            context.setattr(_sysfs_proof, "_links_of_sysfs", dict)
            assert one_shot("eth0", perspective="host") == support.view("eth0", 1)
            with pytest.raises(ForeignSysfsError):
                SysfsReader("eth0")
        assert held("eth0", perspective="host") == support.view("eth0", 1)


_ETH0 = """
from pynetstrat import *
try:
    print(get_network_interface_stats("eth0"))
except InterfaceNotFoundError as error:
    print("not found")
print(get_network_interface_stats("lo", perspective="host"))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["unshare", "--user", "--map-root-user", "--net"],
        ["unshare", "--net"],
        ["nsenter", "--net={netns}"],
    ],
    ids=" ".join,
)
def test_a_program_in_a_namespace_without_its_own_sysfs_reads_its_own_interfaces(
    net, new_namespace, command
):
    assert shutil.which(command[0]), f"{command[0]} is needed"
    add_eth0(net, 1)
    with support.process_inside(new_namespace()) as process:
        path = f"/proc/{process.pid}/ns/net"
        command = [part.format(netns=path) for part in command]
        done = support.run([*command, sys.executable, "-W", "error", "-c", _ETH0])
    assert done.stderr == ""
    found, lo = done.stdout.splitlines()
    assert found == "not found"
    assert lo.startswith("NetworkInterface(name='lo', ")


@pytest.mark.slow
def test_a_foreign_sysfs_without_netlink_is_an_error(net, new_namespace):
    code = (
        support.REFUSE_NETLINK
        + """
from pynetstrat import *
for call in (get_network_interface_stats, lambda name: read_sysfs_network_stats(name, "rx_bytes")):
    try:
        print(call("lo"))
    except ForeignSysfsError as error:
        print(error.operation, error.errno, error)
"""
    )
    with support.inside(new_namespace()):
        done = support.python(code, str(errno.EACCES))
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2
    for line in done.stdout.splitlines():
        assert line.startswith(f'socket {errno.EACCES} interface "lo": socket: Permission denied')
        assert "/sys is not known to show this network namespace" in line
    # With a proof netlink is not needed.
    done = support.python(code, str(errno.EACCES))
    assert done.stdout.startswith("NetworkInterface(name='lo'")


@pytest.mark.usefixtures("no_verdicts")
def test_a_reading_with_a_known_proof_makes_two_more_system_calls(net, tmp_path):
    code = """
import os
from pynetstrat import get_network_interface_stats
get_network_interface_stats("lo")
os.access("/begin", 0)
get_network_interface_stats("lo")
os.access("/end", 0)
"""
    calls = support.trace(code, tmp_path / "trace")
    found = sorted(call.split("(")[0] for call in calls)
    identity = ["readlink", "statx"]
    others = ["openat", "fstatfs", "close", *["openat", "read", "close"] * 8]
    assert [call.replace("readlinkat", "readlink") for call in found] == sorted(identity + others)
