"""The core against reference.py: the same results and the same errors.

Two programs that share no code and agree on everything that can be thought of are both right, or
wrong in the same way; what a kernel rarely sends is put before the reference by a socket of ours.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import struct

import pytest
import reference
import support
from fake_socket import FakeSocket
from hypothesis import given
from hypothesis import strategies as st
from support import FILES

import pynetstrat
from pynetstrat import (
    CounterParseError,
    InterfaceNotFoundError,
    InvalidCounterNameError,
    InvalidInterfaceNameError,
    KernelError,
    NetlinkUnavailableError,
    NetstratError,
    PermissionDeniedError,
    RtnetlinkSocket,
)

CASES = json.loads(support.CASES.read_text())


def outcome(function, *arguments, **options):
    """Returns the result of a call, or the parts of its error that a program may depend on."""
    try:
        return function(*arguments, **options)
    except NetstratError as error:
        attributes = ("errno", "interface", "operation", "path", "text", "filename", "counter")
        return type(error), *(getattr(error, attribute, None) for attribute in attributes)


def agree(name, *arguments, **options):
    core = outcome(getattr(pynetstrat, name), *arguments, **options)
    assert outcome(getattr(reference, name), *arguments, **options) == core
    return core


def agree_on_sysfs(interface, **options):
    for perspective in ("container", "host"):
        agree("get_network_interface_stats", interface, perspective=perspective, **options)
    return agree("read_sysfs_network_stats", interface, "rx_bytes", **options)


# ---- sysfs ----


def test_counters_are_parsed_as_in_the_shared_cases(tree):
    for case in CASES:
        data = bytes.fromhex(case["hex"])
        (tree / "eth0" / "statistics" / "rx_bytes").write_bytes(data)
        found = agree_on_sysfs("eth0", sysfs_root=str(tree))
        if "value" in case:
            assert found == reference.parse_counter(data) == int(case["value"]), case
        else:
            assert found[0] is CounterParseError, case


near = st.text("0123456789 \t\n\v\f\r-+x.", max_size=30).map(str.encode)


@pytest.mark.slow
@given(st.lists(st.one_of(near, st.binary(max_size=30)), min_size=8, max_size=8))
def test_any_contents_give_the_same_result(tmp_path_factory, contents):
    statistics = tmp_path_factory.getbasetemp() / "any" / "eth0" / "statistics"
    statistics.mkdir(parents=True, exist_ok=True)
    for file, content in zip(FILES, contents, strict=True):
        (statistics / file).write_bytes(content)
    root = str(statistics.parent.parent)
    agree_on_sysfs("eth0", sysfs_root=root)
    for file in FILES:
        agree("read_sysfs_network_stats", "eth0", file, sysfs_root=root)


@given(st.integers(0, 2**64 - 1), st.text(" \t\n\v\f\r", max_size=4))
def test_every_counter_in_range_is_read(tmp_path_factory, value, space):
    statistics = tmp_path_factory.getbasetemp() / "fits" / "eth0" / "statistics"
    statistics.mkdir(parents=True, exist_ok=True)
    (statistics / "rx_bytes").write_text(f"{space}{value}{space}", newline="")
    root = str(statistics.parent.parent)
    # Text behind a line's end is not read: a counter of the kernel ends there.
    assert agree("read_sysfs_network_stats", "eth0", "rx_bytes", sysfs_root=root) == value or (
        "\n" in space
    )


@pytest.mark.parametrize("content", [b"1" * 4095, b"1" * 4096, b"1" * 10_000, b"7" + b" " * 4094])
def test_a_huge_file_is_refused(tree, content):
    (tree / "eth0" / "statistics" / "rx_bytes").write_bytes(content)
    agree_on_sysfs("eth0", sysfs_root=str(tree))


NAMES = [
    *("", "eth1", ".", "..", "a/b", "../../etc", "a b", "a:b", "a\0", "x" * 15, "x" * 16),
    *("x" * 127, "x" * 128, "é", "à", "\udca0", "\udcff", "\udc41", "a\n", "a\v", "a\x1c", None, 1),
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_are_checked_alike(tree, name):
    agree_on_sysfs(name, sysfs_root=str(tree))


@pytest.mark.parametrize("file", ["", ".", "..", "a/b", "a\0", "rx_nothing", "x" * 300])
def test_counter_names_are_checked_alike(tree, file):
    agree("read_sysfs_network_stats", "eth0", file, sysfs_root=str(tree))
    # Which of two wrong names is reported is open; that neither reaches a path is not.
    for module in (pynetstrat, reference):
        with pytest.raises((InvalidInterfaceNameError, InvalidCounterNameError)):
            module.read_sysfs_network_stats("a/b", file, sysfs_root=str(tree))


@pytest.mark.parametrize(
    "fault", ["missing", "directory", "unreadable", "fifo", "loop", "link", "file"]
)
def test_other_files_than_regular_ones_are_refused(tree, fault):
    file = tree / "eth0" / "statistics" / "tx_packets"
    file.unlink()
    if fault == "directory":
        file.mkdir()
    elif fault == "unreadable":
        file.write_text("1\n")
        file.chmod(0)
    elif fault == "fifo":
        os.mkfifo(file)
    elif fault == "loop":
        file.symlink_to(file)
    elif fault == "link":
        file.symlink_to("tx_bytes")
    elif fault == "file":
        (tree / "eth1").write_text("")
        agree_on_sysfs("eth1", sysfs_root=str(tree))
    root = str(tree)
    with support.without(support.CAP_DAC_OVERRIDE, support.CAP_DAC_READ_SEARCH):
        agree_on_sysfs("eth0", sysfs_root=root)
        agree("read_sysfs_network_stats", "eth0", "tx_packets", sysfs_root=root)


def test_a_missing_root_is_an_error():
    found = agree_on_sysfs("eth0", sysfs_root="/nowhere")
    assert found[:2] == (KernelError, errno.ENOENT)


def test_an_interface_deleted_while_it_is_read_is_not_found(tree, monkeypatch):
    """Its directory is open already when its files disappear."""
    real = os.open

    def vanish(path, *arguments, **options):
        if path == "rx_bytes":
            (tree / "eth0").rename(tree / "eth1")
            (tree / "eth1" / "statistics" / "rx_bytes").unlink()
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", vanish)
    with pytest.raises(InterfaceNotFoundError) as caught:
        reference.get_network_interface_stats("eth0", sysfs_root=str(tree))
    assert caught.value.errno == errno.ENODEV


def test_einval_of_a_read_means_a_deleted_interface(tree, monkeypatch):
    """Some kernels return EINVAL when the device is deleted."""

    def refuse(*_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "read", refuse)
    with pytest.raises(InterfaceNotFoundError):
        reference.read_sysfs_network_stats("eth0", "rx_bytes", sysfs_root=str(tree))


def test_an_unknown_perspective_is_refused():
    for module in (pynetstrat, reference):
        with pytest.raises(ValueError, match="perspective"):
            module.get_network_interface_stats("lo", perspective="mine")


# ---- real interfaces ----


def test_links_are_set_up_and_down_alike(net):
    net.add_veth("v0", "w0", up=False)
    long = "an-alternative-name"
    net.add_altname("v0", long)
    with RtnetlinkSocket() as rtnetlink:
        for name in ("v0", long, "lo"):
            reference.link_set_up(name)
            assert rtnetlink.link_is_up(name) is reference.link_is_up(name) is True
            reference.link_set_down(name)
            assert rtnetlink.link_is_up(name) is reference.link_is_up(name) is False
        reference.link_set_up()
        assert rtnetlink.link_is_up("lo")


def test_counters_are_read_alike(net):
    for number in range(5):
        support.add_patterned(net, number)
    net.add_altname("v4", "an-alternative-name")
    with RtnetlinkSocket() as rtnetlink:
        for perspective in ("host", "container"):
            dump = reference.dump_stats(perspective=perspective)
            assert list(dump.items()) == list(rtnetlink.dump_stats(perspective=perspective).items())
            for name in (*dump, "an-alternative-name"):
                one = reference.get_stats(name, perspective=perspective)
                assert one == rtnetlink.get_stats(name, perspective=perspective)
            for name in dump:
                agree("get_network_interface_stats", name, perspective=perspective)
                for file in (*FILES, "collisions", "rx_nothing"):
                    agree("read_sysfs_network_stats", name, file)


@pytest.mark.parametrize("method", ["link_set_up", "link_set_down", "link_is_up", "get_stats"])
def test_errors_of_rtnetlink_are_alike(net, method):
    for name in [*NAMES, "x" * 126 + "à"]:
        with RtnetlinkSocket() as rtnetlink:
            core = outcome(getattr(rtnetlink, method), name)
        assert outcome(getattr(reference, method), name) == core
        assert core[0] in (InterfaceNotFoundError, InvalidInterfaceNameError), name


def test_without_the_capability_the_errors_are_alike(net):
    net.add_veth("v0", "w0", up=False)
    net.set_up("w0")
    with support.without(support.CAP_NET_ADMIN), RtnetlinkSocket() as rtnetlink:
        for name in ("v0", "w0", "nowhere"):
            for method in ("link_set_up", "link_set_down"):
                core = outcome(getattr(rtnetlink, method), name)
                assert outcome(getattr(reference, method), name) == core
        with pytest.raises(PermissionDeniedError):
            reference.link_set_up("v0")


def test_it_lists_the_counters_in_order():
    assert reference.COUNTERS == FILES


# ---- what a kernel rarely does ----

OK, ERROR, DONE, NEWLINK, NEWSTATS = None, 2, 3, 16, 92


def message(kind, payload=b"", flags=0, sequence=1):
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, 0) + payload


def ack(code=0, sequence=1, kind=ERROR, words=b""):
    payload = struct.pack("=i", -code)
    flags = 0
    if kind == ERROR:
        payload += struct.pack("=IHHII", 16, 0, 0, sequence, 0)
    if words:
        flags = 0x200 | (0x100 if kind == ERROR else 0)  # NLM_F_ACK_TLVS, NLM_F_CAPPED
        payload += struct.pack("=HH", 4 + len(words), 1) + words + bytes(-len(words) % 4)
    return message(kind, payload, flags, sequence)


@pytest.fixture
def kernel(monkeypatch):
    def answer(*script):
        monkeypatch.setattr(FakeSocket, "script", list(script))
        monkeypatch.setattr(reference.socket, "socket", FakeSocket)

    return answer


def link(index, name, flags=0, sequence=1, kind=NEWLINK, message_flags=0):
    value = name.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(value), 3) + value + bytes(-len(value) % 4)
    payload = struct.pack("=BxHiII", 0, 0, index, flags, 0) + attribute
    return message(kind, payload, message_flags, sequence)


def stats(index, values=range(8), sequence=2):
    payload = struct.pack("=BxHII", 0, 0, index, 1)
    payload += struct.pack("=HH", 68, 1) + struct.pack("=8Q", *values)
    return message(NEWSTATS, payload, 0, sequence)


def test_datagrams_of_other_senders_and_older_replies_are_ignored(kernel):
    forged = ack(errno.EPERM)
    kernel((forged, 0, 4711), ack(errno.EPERM, sequence=99) + ack())
    reference.link_set_up("lo")


@pytest.mark.parametrize(
    ("script", "code", "operation"),
    [
        (["refused"], errno.EACCES, "socket"),
        (["unsendable"], errno.ECONNREFUSED, "send"),
        ([OSError(errno.ENOBUFS, "x")], errno.ENOBUFS, "recvfrom"),
        ([], errno.ETIMEDOUT, "recvfrom"),
        ([b"\0" * 5], errno.EBADMSG, "recvfrom"),
        ([struct.pack("=IHHII", 15, 2, 0, 1, 0)], errno.EBADMSG, "recvfrom"),
        ([struct.pack("=IHHII", 17, 2, 0, 1, 0)], errno.EBADMSG, "recvfrom"),
        ([message(ERROR, b"\0\0\0")], errno.EBADMSG, "recvfrom"),
        ([(ack(), socket.MSG_TRUNC, 0)], errno.EBADMSG, "recvfrom"),
        ([ack(errno.EBUSY)], errno.EBUSY, "RTM_NEWLINK"),
        ([ack(errno.EPERM), ack(errno.EIO, sequence=2)], errno.EPERM, "RTM_NEWLINK"),
        ([ack(errno.EPERM), link(1, "lo", sequence=2)], errno.EPERM, "RTM_NEWLINK"),
        ([ack(errno.EACCES)], errno.EACCES, "RTM_NEWLINK"),
    ],
)
def test_failures_of_the_socket_are_errors(kernel, script, code, operation):
    kernel(*script)
    with pytest.raises(KernelError) as caught:
        # Short where a timeout is expected; long elsewhere, since the machine may be busy.
        reference.link_set_up("lo", timeout=60 if script else 0.01)
    assert (caught.value.errno, caught.value.operation) == (code, operation)
    assert isinstance(caught.value, NetlinkUnavailableError) == (operation == "socket")


def test_an_ack_without_the_request_is_read(kernel):
    kernel(message(ERROR, struct.pack("=i", -errno.ENODEV)))
    with pytest.raises(InterfaceNotFoundError):
        reference.link_set_up("lo")


@pytest.mark.parametrize("capped", [True, False])
def test_the_extended_ack_is_read(kernel, capped):
    answer = ack(errno.EINVAL, words=b"No way\0")
    if not capped:  # the whole request is echoed
        head = struct.unpack_from("=IHHII", answer)
        answer = struct.pack("=IHHII", *head[:2], 0x200, *head[3:]) + answer[16:]
    kernel(answer)
    with pytest.raises(KernelError) as caught:
        reference.link_set_up("lo")
    assert caught.value.kernel_message == "No way"


def test_malformed_attributes_are_refused(kernel):
    for tail in (b"\0", struct.pack("=HH", 3, 1), struct.pack("=HH", 9, 1)):
        answer = ack(errno.EINVAL)
        flagged = struct.pack("=IHHII", len(answer) + len(tail), ERROR, 0x300, 1, 0)
        kernel(flagged + answer[16:] + tail)
        with pytest.raises(KernelError) as caught:
            reference.link_set_up("lo")
        assert caught.value.errno == errno.EBADMSG


def test_malformed_replies_are_refused(kernel):
    kernel(message(NEWLINK, b"\0" * 15))
    with pytest.raises(KernelError) as caught:
        reference.link_is_up("lo")
    assert (caught.value.errno, caught.value.operation) == (errno.EBADMSG, "RTM_GETLINK")
    for payload, code in (
        (b"\0" * 11, errno.EBADMSG),
        (b"\0" * 12, errno.ENODATA),
        (b"\0" * 12 + struct.pack("=HH", 12, 1) + bytes(8), errno.ENODATA),
    ):
        kernel(link(1, "lo"), message(NEWSTATS, payload, sequence=2))
        with pytest.raises(KernelError) as caught:
            reference.get_stats("lo")
        assert (caught.value.errno, caught.value.operation) == (code, "RTM_GETSTATS")


def done(sequence, code=0, words=b""):
    return ack(code, sequence, DONE, words)


INTERRUPTED = 0x10  # NLM_F_DUMP_INTR


def test_an_interrupted_dump_is_repeated(kernel):
    kernel(
        link(1, "lo", message_flags=INTERRUPTED) + done(1),
        OSError(errno.ENOBUFS, "x"),
        link(1, "lo", sequence=3) + done(3),
        stats(1, sequence=4) + stats(2, sequence=4),  # 2 came between the two dumps
        done(4),
    )
    found = reference.dump_stats()
    assert list(found) == ["lo"]
    # rx_packets, tx_packets, rx_bytes, tx_bytes, ...: struct rtnl_link_stats64's own order
    assert support.values(found["lo"]) == [2, 0, 4, 6, 3, 1, 5, 7]


def test_a_dump_that_is_always_interrupted_is_an_error(kernel):
    kernel(*(link(1, "lo", sequence=n, message_flags=INTERRUPTED) + done(n) for n in range(1, 30)))
    with pytest.raises(KernelError) as caught:
        reference.dump_stats()
    assert (caught.value.errno, caught.value.operation) == (errno.EAGAIN, "RTM_GETLINK")


def test_a_failed_dump_is_an_error(kernel):
    kernel(done(1, errno.EIO, b"Broken\0"))
    with pytest.raises(KernelError) as caught:
        reference.dump_stats()
    assert (caught.value.errno, caught.value.kernel_message) == (errno.EIO, "Broken")


def test_an_exchange_without_an_end_times_out(monkeypatch):
    """It can't happen; a loop that returned nothing would go unnoticed."""
    monkeypatch.setattr(reference._Exchange, "ask", lambda *_: iter(()))
    with pytest.raises(AssertionError, match="a reply or an error"):
        reference.link_is_up("lo")
