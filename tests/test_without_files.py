"""A call never imports: a public name, once looked up, works when Python's files can't be opened.

The calls are made after `chroot` into an empty directory, without a free descriptor, and under a
seccomp filter that refuses to open files.
"""

from __future__ import annotations

import errno
import sys

import pytest
import support

# Each public call that needs no file: what a program looks up and opens first, and what it does
# once no file can be opened.
CALLS = {
    "initialize": ("", 'get_strategy("loopback").initialize()'),
    "initialize in another namespace": ("", 'get_strategy("loopback").initialize(netns=netns)'),
    "link_set_up": ("", "link_set_up()"),
    "link_set_up in another namespace": ("", 'link_set_up("lo", netns=netns)'),
    "link_set_down": ("", 'link_set_down("lo")'),
    "an error": (
        "",
        """
try:
    link_set_up("v\\x1b")
except InterfaceNotFoundError as error:
    assert "No such device" in str(error), str(error)
try:
    link_set_up("x" * 128)
except InvalidInterfaceNameError as error:
    assert "1 to 127 bytes" in str(error)
""",
    ),
    "an unknown strategy": (
        "pynetstrat.strategies; strategy = pynetstrat.wiring.plugins",
        """
try:
    get_strategy("vxlan\\x1b")
except UnknownStrategyError as error:
    assert str(error).startswith('unknown strategy type "vxlan\\\\x1b"; known: "loopback"'), error
""",
    ),
    "register_strategy": ("", 'register_strategy("mine", NetworkStrategy())'),
    "Network": ("pynetstrat.Network", 'Network("loopback", mtu=1500)'),
    "NetworkInterface": ("pynetstrat.NetworkInterface", "NetworkInterface().swapped()"),
    "a socket": (
        "pynetstrat.RtnetlinkSocket",
        """
with RtnetlinkSocket(netns) as rtnetlink:
    rtnetlink.link_set_up("lo")
    repr(rtnetlink)
""",
    ),
    **{
        f"{call} of an open socket": (
            "rtnetlink = pynetstrat.RtnetlinkSocket()",
            f"rtnetlink.{call}; rtnetlink.close()",
        )
        for call in (
            *('link_set_up("lo")', 'link_set_down("lo")', 'link_is_up("lo")', 'get_stats("lo")'),
            *('get_stats(b"lo", perspective="container")', "dump_stats()", "dump_counters()"),
            *('get_link("lo")', "dump_links()", "fileno()"),
        )
    },
    "ContainerCounters": (
        'counters = pynetstrat.ContainerCounters(); counters.add("a", netns)',
        """
counters.add("b", netns)
assert set(counters.read()) == {"a", "b"} and len(counters.read_columns().keys) % 2 == 0
assert counters.gone() == []
counters.discard("a")
counters.close()
""",
    ),
    "a perspective": (
        "rtnetlink = pynetstrat.RtnetlinkSocket()",
        """
try:
    rtnetlink.get_stats("lo", perspective="mine")
except ValueError:
    rtnetlink.close()
""",
    ),
    "read of an open reader": (
        'reader = pynetstrat.SysfsReader("eth0", sysfs_root=root)',
        "assert reader.read().rx_bytes == 5; repr(reader); reader.close()",
    ),
    "get_network_interface_stats of nothing": (
        "pynetstrat.get_network_interface_stats",
        'assert get_network_interface_stats("") == pynetstrat.NetworkInterface()',
    ),
    "get_network_interface_stats where /sys could be read before": (
        'pynetstrat.get_network_interface_stats("lo")',
        'assert get_network_interface_stats("lo").name == "lo"',
    ),
    "get_network_interface_stats by rtnetlink": (
        "pynetstrat.get_network_interface_stats",
        'assert get_network_interface_stats("lo", netns=netns).name == "lo"',
    ),
}

# Runs a program for each way, in a child of a process that has only imported the package.
_PROGRAMS = """
import os, sys, traceback
import pynetstrat
root = sys.argv[1]
for program in {programs}:
    child = os.fork()
    if child == 0:
        try:
            exec(program)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    os.waitpid(child, 0)
"""

_PROGRAM = """
netns = os.open("/proc/self/ns/net", os.O_RDONLY)
{looked_up}
from pynetstrat import (
    InterfaceNotFoundError, InvalidInterfaceNameError, NetworkStrategy, UnknownStrategyError,
    get_strategy, link_set_down, link_set_up, register_strategy,
)
for name in ("Network", "NetworkInterface", "RtnetlinkSocket", "get_network_interface_stats"):
    if name in {looked_up!r}:
        globals()[name] = getattr(pynetstrat, name)
before = set(sys.modules)
{leave}
{call}
assert set(sys.modules) == before, set(sys.modules) - before
os.write(1, b"{way}: done\\n")
os._exit(0)
"""

_LEAVE = {
    "chroot": "os.chroot(root + '/empty'); os.chdir('/')",
    # The calls themselves need up to three: of a socket, a namespace, a mount. That nothing is
    # imported, the list of modules shows.
    "no descriptors": """
import resource
before = set(sys.modules)
lowest = os.dup(0)
os.close(lowest)
resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 3, lowest + 3))
""",
    "seccomp": support.refuse("openat", "errno.EACCES") + "before = set(sys.modules)\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_a_call_needs_no_file_of_python(net, tree, name):
    looked_up, call = CALLS[name]
    ways = support.sample(list(_LEAVE), offset=list(CALLS).index(name))
    programs = [
        _PROGRAM.format(looked_up=looked_up, way=way, leave=_LEAVE[way], call=call) for way in ways
    ]
    (tree / "empty").mkdir()
    # A measured child writes a file of its own at its end.
    environment = support.without_coverage()
    command = [sys.executable, "-W", "error", "-X", "frozen_modules=on", "-c"]
    done = support.run([*command, _PROGRAMS.format(programs=programs), str(tree)], env=environment)
    assert (done.stdout, done.stderr) == ("".join(f"{way}: done\n" for way in ways), "")


def test_the_error_says_that_a_call_has_no_descriptor(net):
    """The error names the limit; it is not an OSError about a module."""
    done = support.python(
        """
import resource
from pynetstrat import KernelError, get_strategy
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
try:
    get_strategy("loopback").initialize()
except KernelError as error:
    print(error.errno, error)
"""
    )
    assert done.stderr == ""
    assert done.stdout.startswith(f'{errno.EMFILE} interface "lo": socket: Too many open files; ')
    assert "RLIMIT_NOFILE" in done.stdout


def test_after_chroot_a_strategy_that_was_not_loaded_is_unknown(net, tmp_path):
    """The packages that could provide it can't be searched."""
    done = support.python(
        """
import os, sys
from pynetstrat import UnknownStrategyError, get_strategy
os.chroot(sys.argv[1])
try:
    get_strategy("vxlan")
except UnknownStrategyError as error:
    os.write(1, str(error).encode())
os._exit(0)
""",
        str(tmp_path),
    )
    assert done.stderr == ""
    assert done.stdout.startswith('unknown strategy type "vxlan"; known: "loopback"')


def test_after_chroot_counters_are_read_by_rtnetlink(net, tmp_path):
    done = support.python(
        """
import os, sys
from pynetstrat import get_network_interface_stats, read_sysfs_network_stats
os.chroot(sys.argv[1])
os.write(1, repr(get_network_interface_stats("lo")).encode())
assert read_sysfs_network_stats("lo", "tx_bytes") == 0
os._exit(0)
""",
        str(tmp_path),
    )
    assert done.stderr == ""
    assert done.stdout.startswith("NetworkInterface(name='lo', rx_bytes=0, ")
