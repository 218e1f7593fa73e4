"""Uses the installed package in a fresh network namespace with a sysfs of its own.

    try_wheel.py TESTS [emulated]

Prints "lo up" and how many calls were compared. TESTS is the folder with reference.py and the
shared cases. `emulated`: qemu-user runs the program. It does not know RTM_GETSTATS, which the
reference needs; the package reads counters by name instead.
"""

import json
import os
import platform
import socket
import sys
import sysconfig
import tempfile
from pathlib import Path

import pynetstrat

TESTS, EMULATED = Path(sys.argv[1]), sys.argv[2:] == ["emulated"]
sys.path.insert(0, str(TESTS))

import reference  # noqa: E402

compared = 0


def outcome(function, *arguments, **options):
    try:
        return function(*arguments, **options)
    except pynetstrat.NetstratError as error:
        attributes = ("errno", "interface", "operation", "path", "text", "filename", "counter")
        return type(error), *(getattr(error, attribute, None) for attribute in attributes)


def agree(name, *arguments, **options):
    """Calls a function of the package and the one of the reference; returns what both returned."""
    global compared
    found = outcome(getattr(pynetstrat, name), *arguments, **options)
    expected = outcome(getattr(reference, name), *arguments, **options)
    assert found == expected, (name, arguments, found, expected)
    compared += 1
    return found


def bring_lo_up():
    assert not reference.link_is_up("lo")
    pynetstrat.get_strategy("loopback").initialize()
    assert reference.link_is_up("lo")
    with pynetstrat.RtnetlinkSocket() as rtnetlink:
        rtnetlink.link_set_down("lo")
        assert not rtnetlink.link_is_up("lo")
        rtnetlink.link_set_up("lo")
        assert rtnetlink.link_is_up("lo") and reference.link_is_up("lo")
        # qemu passes what is nested as it is, in a byte order that the package then refuses.
        if not EMULATED or sys.byteorder == "little":
            assert rtnetlink.get_link("lo").name == "lo"


def count():
    """Counters of `lo` that traffic has moved, by each way of reading them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        for length in range(1, 20):
            receiver.sendto(bytes(length), receiver.getsockname())
            receiver.recv(64)
    # qemu 7.2 does not know fsopen(), by which it is proved that /sys is of this namespace.
    root = {"sysfs_root": "/sys/class/net"} if EMULATED else {}
    for perspective in ("host", "container"):
        found = agree("get_network_interface_stats", "lo", perspective=perspective, **root)
        assert found.rx_packets >= 19 and found.rx_bytes > found.rx_packets * 28
        assert pynetstrat.get_network_interface_stats("lo", perspective=perspective) == found
        with pynetstrat.SysfsReader("lo", perspective=perspective, **root) as reader:
            assert reader.read() == found
        with pynetstrat.RtnetlinkSocket() as rtnetlink:
            assert rtnetlink.get_stats("lo", perspective=perspective) == found
        if not EMULATED:
            assert reference.get_stats("lo", perspective=perspective) == found
    for file in (*reference.COUNTERS, "collisions", "rx_nothing", "", "a/b"):
        agree("read_sysfs_network_stats", "lo", file, **root)


def compare_files():
    """The shared cases of counter files, and names."""
    with tempfile.TemporaryDirectory() as folder:
        statistics = Path(folder, "eth0", "statistics")
        statistics.mkdir(parents=True)
        for file in reference.COUNTERS:
            (statistics / file).write_text("18446744073709551615\n")
        found = agree("get_network_interface_stats", "eth0", sysfs_root=folder)
        assert found.tx_dropped == 2**64 - 1
        for name in ("", "eth1", ".", "..", "a/b", "a b", "a:b", "x" * 16, "x" * 128, "é", "a\n"):
            agree("get_network_interface_stats", name, sysfs_root=folder)
        for case in json.loads((TESTS / "cases" / "parse_counter.json").read_text()):
            (statistics / "rx_bytes").write_bytes(bytes.fromhex(case["hex"]))
            value = agree("read_sysfs_network_stats", "eth0", "rx_bytes", sysfs_root=folder)
            assert value == int(case["value"]) if "value" in case else isinstance(value, tuple)
    for name in ("nowhere", "x" * 16, "a b", "", "é"):
        for function in ("link_set_up", "link_set_down"):
            agree(function, name)


def refuse_subinterpreters():
    """A subinterpreter with its own GIL (CPython 3.12) gets an ImportError that says what to do."""
    code = """
try:
    from pynetstrat import link_set_up
except ImportError as error:
    assert "subinterpreter with its own GIL" in str(error), error
else:
    raise AssertionError("imported in a subinterpreter with its own GIL")
"""
    if sys.version_info >= (3, 13):
        import _interpreters as interpreters
    else:
        import _xxsubinterpreters as interpreters
    interpreter = interpreters.create()
    failed = interpreters.run_string(interpreter, code)  # 3.12 raises
    assert failed is None, failed
    interpreters.destroy(interpreter)


bring_lo_up()
count()
compare_files()
if sys.version_info >= (3, 12):
    refuse_subinterpreters()
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    assert not sys._is_gil_enabled()
print(
    f"CPython {platform.python_version()} on {os.uname().machine}: lo up,"
    f" {compared} calls agree with the reference"
)
