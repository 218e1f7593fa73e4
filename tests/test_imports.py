"""__init__.py: what is exported, how it is loaded, and what typing tools see of it."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest
import support

import pynetstrat

EXPORTED = {
    *("get_strategy", "register_strategy", "strategies", "NetworkStrategy", "Loopback"),
    *("Network", "NetworkInterface"),
    *("get_network_interface_stats", "read_sysfs_network_stats", "SysfsReader"),
    *("RtnetlinkSocket", "Counters", "link_set_up"),
    *("NetstratError", "UnknownStrategyError", "StrategyLoadError"),
    *("InvalidInterfaceNameError", "InvalidCounterNameError", "CounterParseError"),
    *("KernelError", "InterfaceNotFoundError", "CounterNotFoundError"),
    *("PermissionDeniedError", "NetlinkUnavailableError"),
}


def test_what_is_exported():
    assert set(pynetstrat.__all__) == EXPORTED
    assert len(pynetstrat.__all__) == len(EXPORTED)
    assert pynetstrat.__all__ == sorted(pynetstrat.__all__)
    for name in EXPORTED:
        value = getattr(pynetstrat, name)
        assert value.__name__ == name
        assert value.__doc__, name


def test_dir_lists_what_is_exported():
    assert set(dir(pynetstrat)) >= EXPORTED | {"__version__"}
    done = support.python("import pynetstrat; print(*dir(pynetstrat))")  # before first use too
    assert set(done.stdout.split()) >= EXPORTED


def test_a_star_import():
    done = support.python("from pynetstrat import *; print(*globals())")
    assert set(done.stdout.split()) >= EXPORTED
    assert done.stderr == ""


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="module 'pynetstrat' has no attribute 'nothing'"):
        pynetstrat.nothing  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module("pynetstrat.nothing")


@pytest.mark.parametrize(
    "module",
    ["errors", "network", "rtnetlink", "stats", "strategies", "reference", "sandbox", "cli"],
)
def test_loading_a_module_hides_no_public_name(module):
    """Python binds a submodule's name on its package: `strategies` must stay the function."""
    code = f"""
import importlib, pynetstrat
importlib.import_module("pynetstrat.{module}")
for name in pynetstrat.__all__:
    assert getattr(pynetstrat, name).__name__ == name
print(*pynetstrat.strategies())
"""
    done = support.python(code)
    assert (done.stdout, done.stderr) == ("loopback\n", "")


HEAVY = ("dataclasses", "typing", "inspect", "socket", "threading", "re", "enum", "ctypes")


@pytest.mark.parametrize(
    "use",
    [
        'pynetstrat.get_strategy("loopback").initialize()',
        "pynetstrat.link_set_up()",
        'with pynetstrat.RtnetlinkSocket() as s: s.link_set_up("lo"); assert s.link_is_up("lo")',
    ],
)
def test_what_bringing_lo_up_loads(net, use):
    code = f"""
import sys
for name in {HEAVY}:  # what the environment's own start-up files may have loaded
    sys.modules.pop(name, None)
before = set(sys.modules)
import pynetstrat
{use}
print(*sorted({{name.split(".")[0] for name in set(sys.modules) - before}}))
"""
    # A measured child loads coverage first, which loads everything: this one is not measured.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    done = support.python(code, env=environment)
    assert done.stderr == ""
    loaded = set(done.stdout.split())
    assert not loaded & set(HEAVY)
    assert "pynetstrat" in loaded


_USER = """\
from pynetstrat import *
import pynetstrat


class Mine(NetworkStrategy):
    def initialize(self, network: Network | None = None, *, netns: object = None) -> None:
        return None


def use() -> None:
    strategy: NetworkStrategy = get_strategy("loopback")
    strategy.initialize(Network(type="loopback", mtu=1500), netns="/proc/1/ns/net")
    register_strategy("mine", Mine(), replace=True)
    names: list[str] = list(strategies())
    with RtnetlinkSocket(3, timeout=1.5) as socket:
        up: bool = socket.link_is_up(names[0])
        one: NetworkInterface = socket.get_stats("lo", perspective="container")
        every: dict[str, NetworkInterface] = socket.dump_stats()
        columns: Counters = socket.dump_counters()
    total: int = sum(one.rx_bytes for one in every.values())
    view: memoryview = columns.counters
    with SysfsReader("lo", perspective="host", sysfs_root="/sys/class/net") as reader:
        other: NetworkInterface = reader.read().swapped()
    value: int = read_sysfs_network_stats("lo", "rx_bytes")
    stats: NetworkInterface = get_network_interface_stats(b"lo")
    link_set_up("lo", netns=b"/proc/1/ns/net")
    try:
        pass
    except InterfaceNotFoundError as error:
        text: str = error.operation + error.interface + error.kernel_message
    print(up, one, total, view, other, value, stats)


for kind in (
    NetstratError, UnknownStrategyError, StrategyLoadError, InvalidInterfaceNameError,
    InvalidCounterNameError, CounterParseError, KernelError, CounterNotFoundError,
    PermissionDeniedError, NetlinkUnavailableError, Loopback,
):
    print(kind, pynetstrat.__version__)
"""

_WRONG = """\
import pynetstrat

pynetstrat.get_network_interface_stats("lo", perspective="mine")
pynetstrat.link_set_up(1)
pynetstrat.get_strategy("loopback").initialize(netns=1.5)
pynetstrat.nothing
"""


def mypy(path, *extra):
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *extra]
    # Without the project's own configuration: this is a user's program. mypy does not see through
    # an editable installation, so the package is on its path, and silent as an installed one is.
    command += ["--config-file=", "--follow-imports=silent"]
    command += ["--cache-dir", str(path.parent / "cache"), str(path)]
    environment = os.environ | {"MYPYPATH": str(support.ROOT)}
    return support.run(command, cwd=path.parent, env=environment)


def test_the_package_says_that_it_is_typed():
    assert (Path(pynetstrat.__file__).parent / "py.typed").exists()


def test_typing_tools_see_every_name(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(_USER)
    done = mypy(program)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_typing_tools_see_what_is_wrong(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(_WRONG)
    done = mypy(program)
    lines = [line.split(":")[1] for line in done.stdout.splitlines() if ": error: " in line]
    assert lines == ["3", "4", "5", "6"], done.stdout
