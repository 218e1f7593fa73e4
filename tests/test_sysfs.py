"""sysfs.py: counters from sysfs, from the kernel's own and from trees made for the test."""

from __future__ import annotations

import errno
import gc
import json
import os
import shutil
import socket
import sys
import threading
import warnings
from pathlib import Path

import pytest
import support
from hypothesis import example, given
from hypothesis import strategies as st
from support import FILES

from pynetstrat import (
    Batch,
    CounterNotFoundError,
    CounterParseError,
    ForeignSysfsError,
    InterfaceNotFoundError,
    InvalidCounterNameError,
    InvalidInterfaceNameError,
    KernelError,
    NetworkInterface,
    NetworkNamespace,
    PermissionDeniedError,
    RtnetlinkSocket,
    SysfsReader,
    _sysfs_proof,
    get_network_interface_stats,
    read_sysfs_network_stats,
)
from pynetstrat.cli import sandbox

MAXIMUM = 2**64 - 1
CASES = json.loads(support.CASES.read_text())


def one_shot(name="eth0", **options):
    return get_network_interface_stats(name, **options)


def held(name="eth0", **options):
    with SysfsReader(name, **options) as reader:
        return reader.read()


def single(name="eth0", **options):
    """The first counter only."""
    options.pop("perspective", None)
    return read_sysfs_network_stats(name, "rx_bytes", **options)


EVERY_WAY = pytest.mark.parametrize("read", [one_shot, held, single])
ALL_EIGHT = pytest.mark.parametrize("read", [one_shot, held])


# ---- what a counter file may hold ----


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["hex"][:40] or "empty")
def test_shared_cases(case, tree):
    file = tree / "eth0" / "statistics" / "rx_bytes"
    file.write_bytes(bytes.fromhex(case["hex"]))
    for read in (one_shot, held, single):
        if "value" in case:
            found = read(sysfs_root=tree)
            found = found.tx_bytes if isinstance(found, NetworkInterface) else found
            assert found == int(case["value"])
        else:
            with pytest.raises(CounterParseError) as caught:
                read(sysfs_root=tree)
            range_error = "does not fit in 64 bits" in str(caught.value)
            assert range_error == (case["error"] == "range")


def test_the_shared_cases_are_all_here():
    assert len(CASES) >= 250
    assert {case.get("error") for case in CASES} == {None, "range", "syntax"}


digits = st.integers(0, 2**65).map(str).map(str.encode)
spaces = st.text(" \t\n\v\f\r", max_size=6).map(str.encode)
near = st.tuples(spaces, digits, spaces).map(b"".join)
contents = st.one_of(
    near, st.binary(max_size=40), st.tuples(near, st.binary(max_size=3)).map(b"".join)
)


@given(contents)
@example(b"")
@example(b"1" * 5000)
@example(b"0" * 4094 + b"7")
def test_any_content_is_a_number_or_an_error(tmp_path_factory, content):
    """By the rule itself, in other words than the core's: what int() and a pattern make of it."""
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


def test_a_parse_error_names_interface_file_and_text(tree):
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
def test_a_file_without_a_newline(tree, read):
    (tree / "eth0" / "statistics" / "rx_bytes").write_text("42")
    found = read(sysfs_root=tree)
    assert (found.tx_bytes if isinstance(found, NetworkInterface) else found) == 42


# ---- the eight ----


@ALL_EIGHT
def test_perspectives(tree, read):
    container = NetworkInterface("eth0", 5, 6, 7, 8, 1, 2, 3, 4)
    host = NetworkInterface("eth0", *range(1, 9))
    assert read(sysfs_root=tree) == container  # the default: the host's tx is the container's rx
    assert read(sysfs_root=tree, perspective="container") == container
    assert read(sysfs_root=tree, perspective="host") == host == container.swapped()
    for wrong in ("Host", "", None, 1):
        with pytest.raises(ValueError, match="perspective"):
            read(sysfs_root=tree, perspective=wrong)


@pytest.mark.parametrize("number", range(8))
def test_each_counter_by_itself(tree, number):
    assert read_sysfs_network_stats("eth0", FILES[number], sysfs_root=tree) == number + 1
    (tree / "eth0" / "statistics" / FILES[number]).write_text(str(MAXIMUM))
    assert read_sysfs_network_stats("eth0", FILES[number], sysfs_root=tree) == MAXIMUM
    assert support.values(one_shot(sysfs_root=tree, perspective="host"))[number] == MAXIMUM


def test_other_counters_than_the_eight(tree):
    (tree / "eth0" / "statistics" / "collisions").write_text("9\n")
    assert read_sysfs_network_stats("eth0", "collisions", sysfs_root=tree) == 9


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("read", [one_shot, held])
@pytest.mark.parametrize("fault", ["missing", "directory", "empty"])
def test_the_first_counter_that_fails_ends_the_call(tree, file, read, fault):
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
def test_an_unreadable_file(tree, read):
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
def test_a_fifo_is_not_read_though_somebody_writes_to_it(tree, read):
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
def test_links_to_interfaces_are_followed(tree, read):
    """As /sys/class/net has them."""
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
def test_an_empty_name_gives_zeros(name):
    for perspective in ("container", "host"):
        assert one_shot(name, perspective=perspective) == NetworkInterface()
    assert one_shot(name, sysfs_root="/nowhere") == NetworkInterface()
    for read in (held, single):
        with pytest.raises(InvalidInterfaceNameError):
            read(name)


def test_an_empty_name_makes_no_system_call(tmp_path):
    assert shutil.which("strace"), "strace is needed: install it (Debian: apt-get install strace)"
    code = """
import os
from pynetstrat import get_network_interface_stats, NetworkInterface
get_network_interface_stats("")  # loads what it needs
os.access("/begin", 0)
stats = get_network_interface_stats("")
os.access("/end", 0)
assert stats == NetworkInterface()
"""
    trace = tmp_path / "trace"
    done = support.run(["strace", "-f", "-o", str(trace), sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr
    calls = [line.split(None, 1)[1] for line in trace.read_text().splitlines()]
    begin = next(i for i, call in enumerate(calls) if "/begin" in call)
    assert "/end" in calls[begin + 1], calls[begin : begin + 5]


@pytest.mark.parametrize("name", ["é", "x" * 15, "ü" * 7, "\udcff\udcfe", b"\xc3\xa9", "-", "~"])
@EVERY_WAY
def test_unusual_names_that_are_names(tree, read, name):
    (tree / "eth0").rename(tree / os.fsdecode(name))
    found = read(name, sysfs_root=tree)
    if isinstance(found, NetworkInterface):
        assert found == NetworkInterface(os.fsdecode(name), 5, 6, 7, 8, 1, 2, 3, 4)
    else:
        assert found == 1


@EVERY_WAY
def test_an_unknown_interface(tree, read):
    with pytest.raises(InterfaceNotFoundError) as caught:
        read("eth1", sysfs_root=tree)
    error = caught.value
    assert (error.errno, error.operation, error.interface) == (errno.ENODEV, "open", "eth1")
    assert error.filename == f"{tree}/eth1/statistics"
    for part in ('"eth1"', "open", str(tree), "No such device"):
        assert part in str(error)


@EVERY_WAY
def test_a_file_among_the_interfaces(tree, read):
    """As /sys/class/net/bonding_masters is one."""
    (tree / "bonding_masters").write_text("\n")
    with pytest.raises(InterfaceNotFoundError):
        read("bonding_masters", sysfs_root=tree)


@EVERY_WAY
def test_no_such_root(tmp_path, read):
    with pytest.raises(KernelError) as caught:
        read(sysfs_root=tmp_path / "nowhere")
    assert not isinstance(caught.value, InterfaceNotFoundError)
    assert caught.value.errno == errno.ENOENT
    assert str(caught.value).endswith("check that sysfs is mounted there")


@pytest.mark.parametrize(
    "file", ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\0b", "\0", None, 1, b"", b"a/b", []]
)
def test_a_hostile_counter_name(tree, file):
    with pytest.raises(InvalidCounterNameError) as caught:
        read_sysfs_network_stats("eth0", file, sysfs_root=tree)
    assert (caught.value.interface, caught.value.counter) == ("eth0", file)


def test_an_unknown_counter(tree):
    with pytest.raises(CounterNotFoundError) as caught:
        read_sysfs_network_stats("eth0", "rx_nothing", sysfs_root=tree)
    error = caught.value
    assert (error.errno, error.interface) == (errno.ENOENT, "eth0")
    assert error.filename == f"{tree}/eth0/statistics/rx_nothing"


# ---- roots ----


@EVERY_WAY
def test_forms_of_a_root(tree, read, monkeypatch, tmp_path_factory):
    expected = read(sysfs_root=tree)
    assert read(sysfs_root=str(tree)) == read(sysfs_root=os.fsencode(tree)) == expected
    assert read(sysfs_root=f"{tree}/") == expected
    monkeypatch.chdir(tree.parent)
    assert read(sysfs_root=tree.name) == read(sysfs_root=Path(tree.name)) == expected
    other = tmp_path_factory.mktemp("other") / os.fsdecode("Wurzel-é-".encode() + b"\xff")
    shutil.copytree(tree, other)
    assert read(sysfs_root=other) == expected


@EVERY_WAY
def test_a_root_that_is_none(tree, read):
    with pytest.raises(ValueError, match="sysfs_root with a NUL"):
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


# ---- the kernel's own ----


@ALL_EIGHT
def test_real_interfaces(net, read):
    name, peer = support.add_patterned(net, 3)
    sent = support.view(name, 3)
    assert read(name, perspective="host") == sent
    assert read(name) == sent.swapped()
    # The peer, in a container, sees what the host's end says of it. (Nobody listens there, which
    # the kernel may count as dropped.)
    received, sent = read(peer, perspective="host"), read(name)
    assert (received.rx_bytes, received.rx_packets) == (sent.rx_bytes, sent.rx_packets)
    assert (received.tx_bytes, received.tx_packets) == (sent.tx_bytes, sent.tx_packets)
    assert read("lo") == NetworkInterface("lo")


@EVERY_WAY
def test_a_real_interface_that_is_not_there(net, read):
    with pytest.raises(InterfaceNotFoundError):
        read("nowhere")


def test_an_interface_that_comes_and_goes(net):
    """sysfs makes and removes its files one by one: half an interface does not count as one."""
    done = threading.Event()

    def churn():
        try:
            with support.Links() as links:
                for _ in range(60):
                    links.add_veth("c0", "c1", up=False)
                    links.delete("c0")
        finally:
            done.set()

    found = []

    def work(read):
        while not done.is_set():
            try:
                read("c0")
                found.append(read)
            except InterfaceNotFoundError:
                pass

    support.run_threads(churn, *(lambda r=r: work(r) for r in (one_shot, held, single)))
    assert found


# ---- SysfsReader ----


def test_a_reader_follows_a_rename(net):
    name, _ = support.add_patterned(net, 1)
    with SysfsReader(name, perspective="host") as reader:
        net.rename(socket.if_nametoindex(name), "renamed")
        support.add_patterned(net, 1 + 10)
        net.rename(socket.if_nametoindex("v11"), name)  # another interface takes the name
        assert reader.read() == support.view(name, 1)
        assert one_shot(name, perspective="host") == support.view(name, 11)


def test_a_reader_whose_interface_vanishes(net):
    name, _ = support.add_patterned(net, 1)
    with SysfsReader(name) as reader:
        reader.read()
        net.delete(name)
        for _ in range(2):
            with pytest.raises(InterfaceNotFoundError) as caught:
                reader.read()
        error = caught.value
        assert (error.errno, error.operation, error.interface) == (errno.ENODEV, "pread", name)
        support.add_patterned(net, 1)  # made again: not the one that was opened
        with pytest.raises(InterfaceNotFoundError):
            reader.read()
    with SysfsReader(name, perspective="host") as reader:
        assert reader.read() == support.view(name, 1)


def test_a_reader_follows_into_another_namespace(net, new_namespace):
    """Or finds that it is gone, which is for the kernel to say; never another's counters."""
    name, _ = support.add_patterned(net, 1)
    with SysfsReader(name, perspective="host") as reader:
        net.move(name, new_namespace())
        support.add_patterned(net, 2)
        net.rename(socket.if_nametoindex("v2"), name)
        try:
            assert reader.read() == support.view(name, 1)
        except InterfaceNotFoundError as error:
            assert error.operation == "pread"


def test_a_reader_sees_what_changes(tree):
    with SysfsReader("eth0", perspective="host", sysfs_root=tree) as reader:
        assert reader.read().rx_bytes == 1
        with (tree / "eth0" / "statistics" / "rx_bytes").open("r+") as file:
            file.write("77\n")
        assert reader.read().rx_bytes == 77


def test_a_closed_reader(tree):
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


def test_a_forgotten_reader_warns_and_closes(tree):
    before = support.descriptors()
    reader = SysfsReader("eth0", sysfs_root=tree)
    with pytest.warns(ResourceWarning, match="unclosed <SysfsReader of"):
        del reader
        gc.collect()
    assert support.descriptors() == before


def test_a_reader_that_was_never_opened_or_was_closed_does_not_warn(tree):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for arguments in (("a/b",), ("nowhere",)):
            with pytest.raises((InvalidInterfaceNameError, InterfaceNotFoundError)):
                SysfsReader(*arguments, sysfs_root=tree)
        reader = SysfsReader("eth0", sysfs_root=tree)
        reader.close()
        del reader
        gc.collect()


def test_a_reader_is_shared_among_threads(tree):
    expected = one_shot(sysfs_root=tree)
    with SysfsReader("eth0", sysfs_root=tree) as reader:

        def work():
            for _ in range(300):
                assert reader.read() == expected

        support.run_threads(*[work] * 8)


def test_a_reader_closed_by_another_thread(tree):
    """A closed descriptor's number may be another file's: it is never read from."""
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


def test_a_reader_in_a_forked_child(net):
    """Another thread may hold the lock at the fork: nothing in the child may wait for it."""
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
print("whole")
"""
    done = support.run([sys.executable, "-W", "ignore", "-c", code])
    assert done.stdout == "whole\n", done.stderr


# ---- whose sysfs it is ----


@pytest.fixture
def _nothing_known(monkeypatch):
    """As at the beginning of a program: no sysfs has been looked at."""
    monkeypatch.setattr(_sysfs_proof, "_verdicts", {})
    monkeypatch.setattr(_sysfs_proof, "_newest", None)
    monkeypatch.setattr(_sysfs_proof, "_agreeing", set())


def add_eth0(links, number):
    """eth0, with the counters of `pattern(number)`."""
    name, _ = support.add_patterned(links, number)
    links.rename(socket.if_nametoindex(name), "eth0")


def read_all(name="eth0"):
    """The eight counters as the host sees them, in each way that there is."""
    with SysfsReader(name, perspective="host") as reader:
        found = reader.read()
    assert get_network_interface_stats(name, perspective="host") == found
    assert get_network_interface_stats(name) == found.swapped()
    for file, value in zip(FILES, support.values(found), strict=True):
        assert read_sysfs_network_stats(name, file) == value
    assert read_sysfs_network_stats(name, "collisions") == 0
    return found


@pytest.mark.usefixtures("_nothing_known")
def test_an_interface_is_that_of_the_namespace_that_the_thread_is_in(net, new_namespace):
    """/sys shows another one after setns() or unshare(): so it is not believed."""
    other = new_namespace()
    add_eth0(net, 1)
    with support.inside(other), support.Links() as links:
        add_eth0(links, 2)
    for _ in range(3):  # the first time, and with what is known by then
        assert read_all() == support.view("eth0", 1)
        with support.inside(other):
            assert read_all() == support.view("eth0", 2)


@pytest.mark.usefixtures("_nothing_known")
def test_an_interface_of_another_namespace_is_not_there(net, new_namespace):
    add_eth0(net, 1)
    with support.inside(new_namespace()):
        for call in (one_shot, held, single):
            with pytest.raises(InterfaceNotFoundError):
                call("eth0")
        with pytest.raises(InterfaceNotFoundError):
            read_sysfs_network_stats("eth0", "collisions")
        with pytest.raises(CounterNotFoundError):
            read_sysfs_network_stats("lo", "rx_nothing")


@pytest.mark.usefixtures("_nothing_known")
@EVERY_WAY
def test_names_are_checked_where_sysfs_is_foreign(net, new_namespace, read):
    with support.inside(new_namespace()), support.Links() as links:
        for name in ("a/b", "x" * 16, "..", None):
            with pytest.raises(InvalidInterfaceNameError):
                read(name)
        for file in ("../x", "", "a\0"):
            with pytest.raises(InvalidCounterNameError):
                read_sysfs_network_stats("lo", file)
        links.add_altname("lo", "short")  # which sysfs does not know
        with pytest.raises(InterfaceNotFoundError):
            read("short")


def wait_until_gone(path):
    """Until the kernel has ended the namespace whose links were there: in a worker of its own."""
    support.wait_until(lambda: not Path(path).exists())


@pytest.mark.usefixtures("_nothing_known")
def test_a_device_number_that_is_used_again_does_not_make_a_foreign_sysfs_believed(
    net, new_namespace
):
    """As the inodes of namespaces are, at once: they say nothing of what /sys shows now."""
    mine, other = new_namespace(), new_namespace()
    for number, netns in enumerate((mine, other)):
        with support.inside(netns), support.Links() as links:
            add_eth0(links, number)

    def mount_and_read(netns):
        with support.inside(netns):
            sandbox.mount_sysfs()
        try:
            with support.inside(mine):
                assert read_all() == support.view("eth0", 0)
            return Path("/sys").stat().st_dev
        finally:
            support.unmount("/sys")

    for _ in range(100):
        if mount_and_read(mine) == mount_and_read(other):
            return
    raise AssertionError("this kernel has used no number again: nothing was tested")


@pytest.mark.usefixtures("_nothing_known")
@EVERY_WAY
def test_an_interface_that_a_believed_sysfs_does_not_show_is_looked_for_elsewhere(
    net, new_namespace, monkeypatch, read
):
    """Its namespace may have ended, and the thread's have got its number: then it shows nothing."""
    add_eth0(net, 1)
    with support.inside(new_namespace()), support.Links() as links:
        add_eth0(links, 2)
        wrong = _sysfs_proof.native.SysfsIdentity(b"/sys/class/net")
        monkeypatch.setattr(_sysfs_proof, "_newest", wrong)
        monkeypatch.setattr(_sysfs_proof, "_verdicts", {wrong.key: wrong})
        links.rename(socket.if_nametoindex("eth0"), "eth1")  # not there in the other one
        found = read("eth1")
        expected = support.view("eth1", 2).swapped()
        assert found == (expected if isinstance(found, NetworkInterface) else 0)


# ---- where mounting is refused ----


@pytest.mark.usefixtures("_nothing_known")
def test_files_are_read_where_all_links_agree_with_rtnetlink(net, new_namespace):
    add_eth0(net, 1)
    with support.without(support.CAP_SYS_ADMIN):
        assert read_all() == support.view("eth0", 1)
    assert _sysfs_proof._verdicts == {}  # nothing is proven
    assert len(_sysfs_proof._agreeing) == 1


def add_twin(netns, host, peer, carried):
    """eth0 with the same index and MAC in every namespace, which has sent frames of 100 bytes.

    Parameters:
        host: the namespace of its peer.
        peer: the peer's index.
        carried: how many frames.
    """
    options = {"mac": "02:42:ac:11:00:02", "index": 7, "peer_index": peer, "mtu": 1000}
    with support.inside(netns), RtnetlinkSocket() as links, RtnetlinkSocket(host) as there:
        links.execute(Batch().add_veth("eth0", f"w{peer}", netns=host, **options))
        there.link_set_up(f"w{peer}")
        links.link_set_up("eth0")  # which has no IPv6: too small an MTU
        support.send_frames("eth0", carried, 100)


def sent(frames):
    return NetworkInterface("eth0", tx_bytes=100 * frames, tx_packets=frames)


@pytest.mark.usefixtures("_nothing_known")
@pytest.mark.parametrize(
    ("peers", "carried"),
    [((8, 9), (3, 3)), ((8, 8), (3, 4)), ((8, 8), (0, 0))],
    ids=["another peer", "other counters", "nothing differs"],
)
def test_the_counters_of_a_twin_are_never_given(net, new_namespace, peers, carried):
    """Two containers with one address: the MAC is made from it. The index is the first free one."""
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


@pytest.mark.usefixtures("_nothing_known")
def test_links_that_agree_once_do_not_make_other_counters_believed(net, new_namespace):
    """A twin that differs in nothing at first, up to its counters, and then does."""
    mine = new_namespace()
    with NetworkNamespace.current() as other:
        add_twin(other.fileno(), new_namespace(), 8, 3)
    add_twin(mine, new_namespace(), 8, 3)
    with support.inside(mine), support.without(support.CAP_SYS_ADMIN):
        assert one_shot("eth0", perspective="host") == sent(3)
        held("eth0")  # nothing tells
    support.send_frames("eth0", 5, 100)
    with support.inside(mine), support.without(support.CAP_SYS_ADMIN):
        assert one_shot("eth0", perspective="host") == sent(3)
        with pytest.raises(ForeignSysfsError):
            held("eth0")


@pytest.mark.usefixtures("_nothing_known")
@pytest.mark.parametrize("only_lo", [True, False])
def test_without_a_proof_rtnetlink_answers(net, new_namespace, only_lo):
    """Either the links differ; or there is nothing but lo, which every namespace has."""
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


@pytest.mark.usefixtures("_nothing_known")
def test_a_sysfs_whose_links_have_changed_is_looked_at_again(net, monkeypatch):
    """What was taken for foreign while links came and went is looked at again."""
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
    print("not there")
print(get_network_interface_stats("lo", perspective="host"))
"""


@pytest.mark.parametrize(
    "command",
    [
        ["unshare", "--user", "--map-root-user", "--net"],
        ["unshare", "--net"],
        ["nsenter", "--net={netns}"],
    ],
    ids=" ".join,
)
def test_a_program_in_a_namespace_without_a_sysfs_of_its_own(net, new_namespace, command):
    assert shutil.which(command[0]), f"{command[0]} is needed"
    add_eth0(net, 1)
    with support.process_inside(new_namespace()) as process:
        path = f"/proc/{process.pid}/ns/net"
        command = [part.format(netns=path) for part in command]
        done = support.run([*command, sys.executable, "-W", "error", "-c", _ETH0])
    assert done.stderr == ""
    found, lo = done.stdout.splitlines()
    assert found == "not there"
    assert lo.startswith("NetworkInterface(name='lo', ")


def test_a_foreign_sysfs_and_no_netlink(net, new_namespace):
    """Then nothing is left that could be read, and that is an error."""
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
    # Where /sys is known to show it, no netlink is needed.
    done = support.python(code, str(errno.EACCES))
    assert done.stdout.startswith("NetworkInterface(name='lo'")


@pytest.mark.usefixtures("_nothing_known")
def test_a_reading_costs_two_system_calls_more_once_the_place_is_known(net, tmp_path):
    assert shutil.which("strace"), "strace is needed: install it (Debian: apt-get install strace)"
    code = """
import os
from pynetstrat import get_network_interface_stats
get_network_interface_stats("lo")
os.access("/begin", 0)
get_network_interface_stats("lo")
os.access("/end", 0)
"""
    trace = tmp_path / "trace"
    done = support.run(["strace", "-f", "-o", str(trace), sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr
    calls = [line.split(None, 1)[1].split("(")[0] for line in trace.read_text().splitlines()]
    lines = trace.read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if "/begin" in line)
    end = next(i for i, line in enumerate(lines) if "/end" in line)
    found = sorted(calls[begin + 1 : end])
    place = [call for call in found if "stat" in call and call != "fstatfs"]
    assert len(place) == 2, found
    others = [call for call in found if call not in place]
    assert others == sorted(["openat", "fstatfs", "close", *["openat", "read", "close"] * 8])


# ---- of another namespace ----


def test_counters_of_another_namespace(net, new_namespace):
    other, here = new_namespace(), support.identity()
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
    assert support.identity() == here
    assert one_shot("", netns=other) == NetworkInterface()
    for call in (one_shot, held):
        with pytest.raises(InterfaceNotFoundError):
            call("nowhere", netns=other)
        for name in ("a/b", "x" * 16, None):
            with pytest.raises(InvalidInterfaceNameError):
                call(name, netns=other)


def test_a_reader_does_not_keep_its_namespace_alive(net):
    """Nor the host's end of a pair that leads there: its name is free once that has ended."""
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


@pytest.mark.parametrize("call", [one_shot, held])
def test_a_tree_and_a_namespace_exclude_each_other(tree, call):
    with pytest.raises(ValueError, match="netns or sysfs_root, not both"):
        call("eth0", netns="blue", sysfs_root=tree)


@pytest.mark.parametrize("call", [one_shot, held])
def test_a_netns_that_is_wrong(net, new_namespace, call):
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


def test_a_reader_that_is_short_of_descriptors_says_which_limit(tree):
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


def test_a_representation_shows_tree_and_state(tree):
    with SysfsReader("eth0", sysfs_root=tree) as reader:
        assert repr(reader) == f'<SysfsReader of "eth0" beneath "{tree}": open>'
    assert repr(reader) == f'<SysfsReader of "eth0" beneath "{tree}": closed>'
    assert repr(object.__new__(SysfsReader)) == '<SysfsReader of "": closed>'
