"""`get_stats`, `dump_stats` and `dump_counters`."""

from __future__ import annotations

import gc
import os
import socket
import sys
from itertools import count
from pathlib import Path

import pytest
import support
from faults_for_tests import at_line
from helpers_rtnetlink import LONG
from pynetstrat._core import ffi

from pynetstrat import (
    CounterTable,
    InterfaceNotFoundError,
    NetworkInterface,
    RtnetlinkSocket,
    get_network_interface_stats,
)

# ---- counters ----


def test_get_stats_returns_the_counters_of_either_perspective(net, rtnetlink):
    for number in range(3):
        support.add_patterned(net, number)
    for number in range(3):
        for _ in range(2):
            sent = support.view(f"v{number}", number)
            assert rtnetlink.get_stats(f"v{number}") == sent  # the host's side is the default
            assert rtnetlink.get_stats(f"v{number}", perspective="host") == sent
            assert rtnetlink.get_stats(f"v{number}", perspective="container") == sent.swapped()
            assert rtnetlink.get_stats(f"v{number}".encode()) == sent
    support.send_frames("v0", 1, 500)
    assert rtnetlink.get_stats("v0").tx_bytes == support.view("v0", 0).tx_bytes + 500
    for wrong in ("Host", "", None):
        with pytest.raises(ValueError, match="perspective"):
            rtnetlink.get_stats("v0", perspective=wrong)
        with pytest.raises(ValueError, match="perspective"):
            rtnetlink.dump_stats(perspective=wrong)


def test_a_first_reading_that_a_handler_interrupts_does_not_break_the_next(net):
    support.add_patterned(net, 0)

    def interrupt():
        raise KeyboardInterrupt

    for target in count(1):
        with RtnetlinkSocket() as sock:
            native = sock._native
            try:
                with at_line(target, ("_native/socket.py",), interrupt) as line:
                    sock.get_stats("v0")
            except KeyboardInterrupt:
                pass
            context = native._sock.notified_context
            assert not context or context == ffi.cast("void *", native._new_watch)
            for _ in range(2):
                assert sock.get_stats("v0") == support.view("v0", 0)
        if not line.is_reached:
            break
    assert target > 20


class Unhashable(str):
    """A name that can't be hashed."""

    __slots__ = ()
    __hash__ = None


def test_a_name_that_can_not_be_hashed_is_looked_up(net, rtnetlink):
    assert rtnetlink.get_stats(Unhashable("lo")) == NetworkInterface("lo")
    assert rtnetlink.get_stats("lo") == NetworkInterface("lo")


def test_netlink_and_sysfs_agree(net, rtnetlink):
    support.add_patterned(net, 4)
    for name in ("v4", "w4", "lo"):
        for perspective in ("container", "host"):
            assert rtnetlink.get_stats(name, perspective=perspective) == (
                get_network_interface_stats(name, perspective=perspective)
            )


def test_get_stats_finds_an_alternative_name(net, rtnetlink):
    support.add_patterned(net, 1)
    net.add_altname("v1", LONG)
    assert rtnetlink.get_stats(LONG) == support.view(LONG, 1)
    assert rtnetlink.get_stats(LONG) == support.view(LONG, 1)
    net.delete_altname("v1", LONG)
    with pytest.raises(InterfaceNotFoundError):
        rtnetlink.get_stats(LONG)
    support.add_patterned(net, 2)
    net.add_altname("v2", LONG)  # and now it is another's
    assert rtnetlink.get_stats(LONG) == support.view(LONG, 2)


@pytest.mark.parametrize("name", ["short", LONG])
def test_an_alternative_name_that_passes_to_a_down_link_is_followed(net, rtnetlink, name):
    # The kernel reports a change of alternative names only while the interface is up.
    for number in (1, 2):
        support.add_patterned(net, number)
        rtnetlink.link_set_down(f"v{number}")
    net.add_altname("v1", name)
    for _ in range(2):
        assert rtnetlink.get_stats(name) == support.view(name, 1)
    net.delete_altname("v1", name)
    net.add_altname("v2", name)
    assert rtnetlink.get_stats(name) == support.view(name, 2)


def test_dump_stats_returns_every_interface(net, rtnetlink):
    assert rtnetlink.dump_stats() == {"lo": NetworkInterface("lo")}
    for number in range(5):
        support.add_patterned(net, number)
    net.add_bridge("br0")
    net.set_master("w0", "br0")
    found = rtnetlink.dump_stats()
    assert list(found) == [name for _, name in sorted(socket.if_nameindex())]
    for number in range(5):
        assert found[f"v{number}"] == support.view(f"v{number}", number)
    for name, interface in found.items():
        assert interface == rtnetlink.get_stats(name)
    container = rtnetlink.dump_stats(perspective="container")
    assert container == {name: interface.swapped() for name, interface in found.items()}
    assert rtnetlink.dump_stats(perspective="host") == found


def test_dump_counters_returns_columns(net, rtnetlink):
    for number in range(3):
        support.add_patterned(net, number)
    columns = rtnetlink.dump_counters()
    assert isinstance(columns, CounterTable)
    assert repr(columns) == "<CounterTable of 7 interfaces>"
    assert isinstance(columns.names, tuple)
    assert columns.names == tuple(rtnetlink.dump_stats())
    assert columns.ifindexes.format == "i"
    assert columns.ifindexes.tolist() == [socket.if_nametoindex(name) for name in columns.names]
    view = columns.counters
    assert isinstance(view, memoryview)
    assert (view.format, view.itemsize, view.shape, view.c_contiguous) == ("Q", 8, (7, 8), True)
    for name, row in zip(columns.names, view.tolist(), strict=True):
        assert row == support.values(rtnetlink.get_stats(name))


@pytest.mark.slow
def test_numpy_reads_the_columns_of_dump_counters(net, rtnetlink):
    import numpy as np

    for number in range(3):
        support.add_patterned(net, number)
    columns = rtnetlink.dump_counters()
    table = np.asarray(columns.counters)
    assert table.dtype == np.uint64
    assert table.shape == (7, 8)
    assert np.shares_memory(table, np.asarray(columns.counters))
    assert (
        table.__array_interface__["data"][0]
        == np.frombuffer(columns.counters, np.uint64).__array_interface__["data"][0]
    )
    assert table.tolist() == columns.counters.tolist()
    del columns, rtnetlink  # the memory stays while the array does
    gc.collect()
    assert table[:, 4].sum() == sum(support.view("", n).tx_bytes for n in range(3))


def test_a_result_is_not_changed_by_later_calls(net, rtnetlink):
    support.add_patterned(net, 0)
    first = rtnetlink.dump_counters()
    before, indexes, names = first.counters.tolist(), first.ifindexes.tolist(), first.names
    support.send_frames("v0", 5, 100)
    second = rtnetlink.dump_counters()
    assert second.counters.tolist() != before
    assert second.names is first.names  # nothing came or went
    for number in range(1, 4):
        support.add_patterned(net, number)
    third = rtnetlink.dump_counters()
    assert len(third.names) == 9
    assert (first.counters.tolist(), first.ifindexes.tolist(), first.names) == (
        before,
        indexes,
        names,
    )
    rtnetlink.link_set_down("v0")  # a change, but of no name
    assert rtnetlink.dump_counters().names is third.names
    net.rename(socket.if_nametoindex("v0"), "other")
    fourth = rtnetlink.dump_counters()
    assert fourth.names == tuple("other" if name == "v0" else name for name in third.names)
    assert "v0" in third.names


def test_a_large_dump_follows_small_ones(net, rtnetlink):
    """The interfaces need more memory than before, and the names several datagrams."""
    assert len(rtnetlink.dump_stats()) == 1
    for number in range(110):
        net.add_veth(f"v{number}", f"w{number}", up=False)
    assert len(rtnetlink.dump_stats()) == 221
    assert len(rtnetlink.dump_counters().names) == 221
    with RtnetlinkSocket() as fresh:
        assert list(fresh.dump_stats()) == [name for _, name in sorted(socket.if_nameindex())]


# ---- where RTM_GETSTATS or notifications are refused ----


def test_counters_are_read_by_name_if_getstats_is_refused(net, monkeypatch):
    """As before Linux 4.7. The socket decides once, by the errno."""
    for number in range(3):
        support.add_patterned(net, number)
    with RtnetlinkSocket() as usual, RtnetlinkSocket() as rtnetlink:
        rtnetlink._native.by_name_only = True
        assert rtnetlink.get_stats("v1") == support.view("v1", 1)
        assert rtnetlink.dump_stats() == usual.dump_stats()
        assert rtnetlink.dump_counters().counters.tolist() == (
            usual.dump_counters().counters.tolist()
        )
        net.rename(socket.if_nametoindex("v1"), "v9")
        assert rtnetlink.get_stats("v9") == support.view("v9", 1)
        assert "v9" in rtnetlink.dump_stats()
        with pytest.raises(InterfaceNotFoundError):
            rtnetlink.get_stats("v1")


def test_counters_are_read_by_name_if_notifications_are_refused(net):
    """A socket that can't join the multicast group reads by name."""
    support.add_patterned(net, 1)
    refuse_setsockopt("""
import support
with RtnetlinkSocket() as rtnetlink:
    for _ in range(2):
        assert rtnetlink.get_stats("v1") == support.view("v1", 1)
        assert rtnetlink.dump_stats()["v1"] == support.view("v1", 1)
        assert rtnetlink.dump_counters().names == tuple(rtnetlink.dump_stats())
print("by name")
""")


def refuse_setsockopt(code, command=()):
    """Runs `code`, which prints "by name", in a process whose sockets can't join a group."""
    prepared = "from pynetstrat import RtnetlinkSocket\n"
    prepared += support.refuse("setsockopt", "errno.EPERM", (1, 270))  # SOL_NETLINK
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [*command, sys.executable, "-W", "error", "-c", prepared + code]
    done = support.run(command, env=environment)
    assert (done.stdout, done.stderr) == ("by name\n", "")


def test_names_and_counters_come_from_one_dump_if_notifications_are_refused(net, tmp_path):
    """Between two dumps an index may pass to another interface."""
    support.add_patterned(net, 1)
    trace = tmp_path / "trace"
    code = """
rtnetlink = RtnetlinkSocket()
for dump in (rtnetlink.dump_stats, rtnetlink.dump_counters):
    dump()
    os.access("/begin", 0)
    dump()
    os.access("/end", 0)
rtnetlink.close()
print("by name")
"""
    refuse_setsockopt(code, ["strace", "-o", str(trace)])
    lines = trace.read_text().splitlines()
    begins = [i for i, line in enumerate(lines) if '"/begin"' in line]
    ends = [i for i, line in enumerate(lines) if '"/end"' in line]
    assert len(begins) == len(ends) == 2
    for begin, end in zip(begins, ends, strict=True):
        sent = [line for line in lines[begin:end] if line.startswith("send")]
        assert len(sent) == 1, sent
        assert "RTM_GETLINK" in sent[0] or "0x12 " in sent[0]
