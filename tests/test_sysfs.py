"""sysfs.py: counters read once, from the kernel's sysfs and from trees made for the test."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from pathlib import Path

import pytest
import support
from hypothesis import example, given
from hypothesis import strategies as st
from support import FILES
from sysfs_readings import ALL_EIGHT, EVERY_WAY, add_eth0, held, one_shot, single

from pynetstrat import (
    CounterNotFoundError,
    CounterParseError,
    ForeignSysfsError,
    InterfaceNotFoundError,
    InvalidCounterNameError,
    InvalidInterfaceNameError,
    KernelError,
    NetworkInterface,
    PermissionDeniedError,
    SysfsReader,
    read_sysfs_network_stats,
)

MAXIMUM = 2**64 - 1


CASES = json.loads(support.CASES.read_text())


# ---- the content of a counter file ----


def test_the_shared_cases_are_parsed_or_refused(tree):
    file = tree / "eth0" / "statistics" / "rx_bytes"
    for case in CASES:
        file.write_bytes(bytes.fromhex(case["hex"]))
        for read in (one_shot, held, single):
            if "value" in case:
                found = read(sysfs_root=tree)
                found = found.tx_bytes if isinstance(found, NetworkInterface) else found
                assert found == int(case["value"]), case
            else:
                with pytest.raises(CounterParseError) as caught:
                    read(sysfs_root=tree)
                range_error = "does not fit in 64 bits" in str(caught.value)
                assert range_error == (case["error"] == "range"), case


def test_the_shared_cases_are_complete():
    assert len(CASES) >= 250
    assert {case.get("error") for case in CASES} == {None, "range", "syntax"}


digits = st.integers(0, 2**65).map(str).map(str.encode)


spaces = st.text(" \t\n\v\f\r", max_size=6).map(str.encode)


near = st.tuples(spaces, digits, spaces).map(b"".join)


contents = st.one_of(
    near, st.binary(max_size=40), st.tuples(near, st.binary(max_size=3)).map(b"".join)
)


@pytest.mark.slow
@given(contents)
@example(b"")
@example(b"1" * 5000)
@example(b"0" * 4094 + b"7")
def test_any_content_is_a_number_or_an_error(tmp_path_factory, content):
    """Compares the core with a second parser, made of int() and strip()."""
    tree = tmp_path_factory.getbasetemp() / "contents"
    statistics = tree / "eth0" / "statistics"
    if not statistics.exists():
        statistics.mkdir(parents=True)
        for file in FILES:
            (statistics / file).write_text("0\n")
    (statistics / "rx_bytes").write_bytes(content)
    text = content.strip(b" \t\n\v\f\r")
    valid = text != b"" and not text.strip(b"0123456789") and len(content) < 4096
    expected = int(text) if valid else None
    for read in (one_shot, held, single):
        if expected is not None and expected <= MAXIMUM:
            found = read(sysfs_root=tree)
            assert (found.tx_bytes if isinstance(found, NetworkInterface) else found) == expected
        else:
            with pytest.raises(CounterParseError) as caught:
                read(sysfs_root=tree)
            assert caught.value.path == str(statistics / "rx_bytes")
            assert caught.value.interface == "eth0"


def test_a_parse_error_names_the_interface_the_file_and_the_text(tree):
    file = tree / "eth0" / "statistics" / "tx_errors"
    file.write_bytes(b" \xff\x1b12 \n")
    with pytest.raises(CounterParseError) as caught:
        one_shot(sysfs_root=tree)
    error = caught.value
    assert (error.path, error.interface) == (str(file), "eth0")
    assert error.text == "\\xff\x1b12"
    assert str(error) == (
        f'interface "eth0": parse {file}: "\\\\xff\\x1b12" is not an unsigned decimal number'
    )
    file.write_text("x" * 10_000)
    with pytest.raises(CounterParseError) as caught:
        one_shot(sysfs_root=tree)
    assert caught.value.text == "x" * 127


@EVERY_WAY
def test_a_counter_without_a_newline_is_read(tree, read):
    (tree / "eth0" / "statistics" / "rx_bytes").write_text("42")
    found = read(sysfs_root=tree)
    assert (found.tx_bytes if isinstance(found, NetworkInterface) else found) == 42


# ---- the eight counters ----


@ALL_EIGHT
def test_the_container_perspective_swaps_rx_and_tx(tree, read):
    container = NetworkInterface("eth0", 5, 6, 7, 8, 1, 2, 3, 4)
    host = NetworkInterface("eth0", *range(1, 9))
    assert read(sysfs_root=tree) == container  # the default
    assert read(sysfs_root=tree, perspective="container") == container
    assert read(sysfs_root=tree, perspective="host") == host == container.swapped()
    for wrong in ("Host", "", None, 1):
        with pytest.raises(ValueError, match="perspective"):
            read(sysfs_root=tree, perspective=wrong)


@pytest.mark.parametrize("number", range(8))
def test_each_counter_is_read_from_its_own_file(tree, number):
    assert read_sysfs_network_stats("eth0", FILES[number], sysfs_root=tree) == number + 1
    (tree / "eth0" / "statistics" / FILES[number]).write_text(str(MAXIMUM))
    assert read_sysfs_network_stats("eth0", FILES[number], sysfs_root=tree) == MAXIMUM
    assert support.values(one_shot(sysfs_root=tree, perspective="host"))[number] == MAXIMUM


def test_a_counter_other_than_the_eight_is_read(tree):
    (tree / "eth0" / "statistics" / "collisions").write_text("9\n")
    assert read_sysfs_network_stats("eth0", "collisions", sysfs_root=tree) == 9


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("read", [one_shot, held])
@pytest.mark.parametrize("fault", ["missing", "directory", "empty"])
def test_an_unusable_counter_file_is_named_in_the_error(tree, file, read, fault):
    path = tree / "eth0" / "statistics" / file
    path.unlink()
    if fault == "directory":
        path.mkdir()
    elif fault == "empty":
        path.write_text("")
    kind = {"missing": CounterNotFoundError, "directory": KernelError, "empty": CounterParseError}
    with pytest.raises(kind[fault]) as caught:
        read(sysfs_root=tree)
    error = caught.value
    assert error.interface == "eth0"
    assert str(path) in str(error)
    if fault == "missing":
        assert (error.errno, error.operation, error.filename) == (errno.ENOENT, "openat", str(path))
    elif fault == "directory":
        assert (error.errno, error.operation) == (errno.EINVAL, "openat")
        assert error.hint == "must be a regular file"
    else:
        assert error.text == ""


@EVERY_WAY
def test_a_counter_file_without_read_permission_is_an_error(tree, read):
    path = tree / "eth0" / "statistics" / "rx_bytes"
    path.chmod(0)
    with (
        support.without(support.CAP_DAC_OVERRIDE, support.CAP_DAC_READ_SEARCH),
        pytest.raises(PermissionDeniedError) as caught,
    ):
        read(sysfs_root=tree)
    error = caught.value
    assert (error.errno, error.operation) == (errno.EACCES, "openat")
    assert (error.filename, error.interface) == (str(path), "eth0")


@EVERY_WAY
def test_a_fifo_is_refused_even_if_it_has_data(tree, read):
    path = tree / "eth0" / "statistics" / "rx_bytes"
    path.unlink()
    os.mkfifo(path)
    for write in (False, True):
        writer = os.open(path, os.O_RDWR) if write else None
        try:
            if writer is not None:
                os.write(writer, b"42\n")
            with pytest.raises(KernelError) as caught:
                read(sysfs_root=tree)
            assert (caught.value.errno, caught.value.operation) == (errno.EINVAL, "openat")
            assert str(path) in str(caught.value)
            assert "must be a regular file" in str(caught.value)
        finally:
            if writer is not None:
                os.close(writer)


@EVERY_WAY
@pytest.mark.parametrize("target", ["nowhere", "rx_packets", "/etc/shadow"])
def test_a_counter_that_is_a_symbolic_link_is_not_followed(tree, read, target):
    path = tree / "eth0" / "statistics" / "rx_bytes"
    path.unlink()
    path.symlink_to(target)
    with pytest.raises(KernelError) as caught:
        read(sysfs_root=tree)
    assert (caught.value.errno, caught.value.operation) == (errno.ELOOP, "openat")
    assert caught.value.filename == str(path)
    assert "must not be a symbolic link" in str(caught.value)


@EVERY_WAY
def test_a_symbolic_link_to_an_interface_is_followed(tree, read):
    """/sys/class/net consists of such links."""
    expected = read(sysfs_root=tree)
    (tree / "devices").mkdir()
    (tree / "eth0").rename(tree / "devices" / "eth0")
    (tree / "eth0").symlink_to("devices/eth0")
    assert read(sysfs_root=tree) == expected


# ---- names ----


HOSTILE = [
    *("..", ".", "a/b", "../../etc", "/etc", "a b", "a\tb", "a\n", "a:b", "a\0b", "\0", "\u00a0\0"),
    *("x" * 16, "x" * 127, "x" * 128, "x" * 5000, "é" * 8),
    *(b"..", b"a/b", b"a\0b", b"x" * 16, b"\xa0", "\udc41"),
    *(None, 1, 1.5, True, ["lo"], ("lo",), object()),
]


@EVERY_WAY
@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
def test_a_hostile_name_never_reaches_a_path(read, name):
    # /dev/full is not a directory: a path beneath it would give another error.
    with pytest.raises(InvalidInterfaceNameError) as caught:
        read(name, sysfs_root="/dev/full")
    assert caught.value.interface is name
    assert str(caught.value).startswith("invalid interface name ")
    assert "1 to 15 bytes" in str(caught.value)


@pytest.mark.parametrize("name", ["", b""])
def test_an_empty_name_returns_zeros(name):
    for perspective in ("container", "host"):
        assert one_shot(name, perspective=perspective) == NetworkInterface()
    assert one_shot(name, sysfs_root="/nowhere") == NetworkInterface()
    for read in (held, single):
        with pytest.raises(InvalidInterfaceNameError):
            read(name)


def test_an_empty_name_makes_no_system_call(tmp_path):
    code = """
import os
from pynetstrat import get_network_interface_stats, NetworkInterface
get_network_interface_stats("")  # loads what it needs
os.access("/begin", 0)
stats = get_network_interface_stats("")
os.access("/end", 0)
assert stats == NetworkInterface()
"""
    assert support.trace(code, tmp_path / "trace") == []


@pytest.mark.parametrize("name", ["é", "x" * 15, "ü" * 7, "\udcff\udcfe", b"\xc3\xa9", "-", "~"])
@EVERY_WAY
def test_an_unusual_but_valid_name_is_read(tree, read, name):
    (tree / "eth0").rename(tree / os.fsdecode(name))
    found = read(name, sysfs_root=tree)
    if isinstance(found, NetworkInterface):
        assert found == NetworkInterface(os.fsdecode(name), 5, 6, 7, 8, 1, 2, 3, 4)
    else:
        assert found == 1


@EVERY_WAY
def test_a_missing_interface_is_not_found(tree, read):
    with pytest.raises(InterfaceNotFoundError) as caught:
        read("eth1", sysfs_root=tree)
    error = caught.value
    assert (error.errno, error.operation, error.interface) == (errno.ENODEV, "open", "eth1")
    assert error.filename == f"{tree}/eth1/statistics"
    for part in ('"eth1"', "open", str(tree), "No such device"):
        assert part in str(error)


@EVERY_WAY
def test_a_file_in_the_directory_of_interfaces_is_not_an_interface(tree, read):
    """/sys/class/net/bonding_masters is one."""
    (tree / "bonding_masters").write_text("\n")
    with pytest.raises(InterfaceNotFoundError):
        read("bonding_masters", sysfs_root=tree)


@EVERY_WAY
def test_a_missing_root_is_an_error(tmp_path, read):
    with pytest.raises(KernelError) as caught:
        read(sysfs_root=tmp_path / "nowhere")
    assert not isinstance(caught.value, InterfaceNotFoundError)
    assert caught.value.errno == errno.ENOENT
    assert str(caught.value).endswith("check that sysfs is mounted there")


@pytest.mark.parametrize(
    "file", ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\0b", "\0", None, 1, b"", b"a/b", []]
)
def test_a_hostile_counter_name_is_refused(tree, file):
    with pytest.raises(InvalidCounterNameError) as caught:
        read_sysfs_network_stats("eth0", file, sysfs_root=tree)
    assert (caught.value.interface, caught.value.counter) == ("eth0", file)


def test_a_missing_counter_is_not_found(tree):
    with pytest.raises(CounterNotFoundError) as caught:
        read_sysfs_network_stats("eth0", "rx_nothing", sysfs_root=tree)
    error = caught.value
    assert (error.errno, error.interface) == (errno.ENOENT, "eth0")
    assert error.filename == f"{tree}/eth0/statistics/rx_nothing"


# ---- roots ----


@EVERY_WAY
def test_a_root_can_be_text_bytes_or_a_path(tree, read, monkeypatch, tmp_path_factory):
    expected = read(sysfs_root=tree)
    assert read(sysfs_root=str(tree)) == read(sysfs_root=os.fsencode(tree)) == expected
    assert read(sysfs_root=f"{tree}/") == expected
    monkeypatch.chdir(tree.parent)
    assert read(sysfs_root=tree.name) == read(sysfs_root=Path(tree.name)) == expected
    other = tmp_path_factory.mktemp("other") / os.fsdecode("Wurzel-é-".encode() + b"\xff")
    shutil.copytree(tree, other)
    assert read(sysfs_root=other) == expected


@EVERY_WAY
def test_an_unusable_root_is_an_error(tree, read):
    with pytest.raises(ValueError, match="sysfs_root must not contain NUL"):
        read(sysfs_root=f"{tree}\0")
    for wrong in (1, ["/sys"], object()):
        with pytest.raises(TypeError):
            read(sysfs_root=wrong)
    for wrong in (__file__, "/dev/null"):
        with pytest.raises(KernelError) as caught:
            read(sysfs_root=wrong)
        assert (caught.value.errno, caught.value.operation) == (errno.ENOTDIR, "open")
        assert wrong in str(caught.value)
    with pytest.raises(KernelError) as caught:
        read(sysfs_root="/" + "x/" * 3000)
    assert caught.value.errno == errno.ENAMETOOLONG


# ---- the sysfs of the kernel ----


@ALL_EIGHT
def test_the_counters_of_a_real_interface_are_read(net, read):
    name, peer = support.add_patterned(net, 3)
    sent = support.view(name, 3)
    assert read(name, perspective="host") == sent
    assert read(name) == sent.swapped()
    # The peer's own counters are those of the host end, swapped, except the dropped ones: packets
    # that no program receives may count as dropped.
    received, sent = read(peer, perspective="host"), read(name)
    assert (received.rx_bytes, received.rx_packets) == (sent.rx_bytes, sent.rx_packets)
    assert (received.tx_bytes, received.tx_packets) == (sent.tx_bytes, sent.tx_packets)
    assert read("lo") == NetworkInterface("lo")


@EVERY_WAY
def test_a_missing_real_interface_is_not_found(net, read):
    with pytest.raises(InterfaceNotFoundError):
        read("nowhere")


@pytest.mark.slow
def test_an_interface_that_is_added_and_deleted_is_read_whole_or_not_found(net):
    """The kernel adds and removes the files one by one: half an interface is never returned."""
    done, found = threading.Event(), []

    def churn():
        try:
            with support.Links() as links:
                for turn in range(5000):
                    if turn >= 30 and found:
                        break
                    links.add_veth("c0", "c1", up=False)
                    links.delete("c0")
        finally:
            done.set()

    def work(read):
        while not done.is_set():
            try:
                read("c0")
                found.append(read)
            except InterfaceNotFoundError:
                pass

    support.run_threads(churn, *(lambda r=r: work(r) for r in (one_shot, held, single)))
    assert found


# ---- another namespace ----


def test_the_counters_of_another_namespace_are_read(net, new_namespace):
    other, before = new_namespace(), support.identity()
    add_eth0(net, 1)
    with support.inside(other), support.Links() as links:
        add_eth0(links, 2)
    with support.process_inside(other) as process:
        path = f"/proc/{process.pid}/ns/net"
        for netns in (other, path, path.encode(), Path(path)):
            assert one_shot("eth0", netns=netns) == support.view("eth0", 2).swapped()
            assert one_shot("eth0", netns=netns, perspective="host") == support.view("eth0", 2)
            with SysfsReader("eth0", netns=netns, perspective="host") as reader:
                assert repr(reader) == f'<SysfsReader of "eth0" in {netns!r}: open>'
                assert reader.read() == support.view("eth0", 2)
                with support.inside(other):
                    support.send_frames("eth0", 1, 100)
                assert reader.read().tx_packets == support.view("eth0", 2).tx_packets + 1
            with support.inside(other), support.Links() as links:
                links.delete("eth0")
                add_eth0(links, 2)
    assert support.identity() == before
    assert one_shot("", netns=other) == NetworkInterface()
    for call in (one_shot, held):
        with pytest.raises(InterfaceNotFoundError):
            call("nowhere", netns=other)
        for name in ("a/b", "x" * 16, None):
            with pytest.raises(InvalidInterfaceNameError):
                call(name, netns=other)


@pytest.mark.parametrize("call", [one_shot, held])
def test_a_tree_and_a_namespace_exclude_each_other(tree, call):
    with pytest.raises(ValueError, match="netns or sysfs_root, not both"):
        call("eth0", netns="blue", sysfs_root=tree)


@pytest.mark.parametrize("call", [one_shot, held])
def test_an_unusable_netns_is_an_error(net, new_namespace, call):
    for netns, operation, code in (
        ("nowhere", "open netns", errno.ENOENT),
        ("./nowhere", "open netns", errno.ENOENT),
        (__file__, "setns", errno.EINVAL),
        (2**20, "setns", errno.EBADF),
    ):
        with pytest.raises(KernelError) as caught:
            call("eth0", netns=netns)
        assert (caught.value.operation, caught.value.errno) == (operation, code)
        assert not isinstance(caught.value, ForeignSysfsError)
    for netns in (1.5, True, object()):
        with pytest.raises(TypeError, match="netns must be a path"):
            call("eth0", netns=netns)
    other = new_namespace()
    with (
        support.without(support.CAP_SYS_ADMIN),
        pytest.raises(PermissionDeniedError) as caught,
    ):
        call("lo", netns=other)
    assert (caught.value.operation, caught.value.errno) == ("setns", errno.EPERM)
