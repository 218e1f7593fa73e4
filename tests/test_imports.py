"""The package: what it exports, what an import loads, and what type checkers see."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import sys
import typing
from pathlib import Path

import pytest
import support
from core_objects import shared_folder

import pynetstrat

VALUES = {"Name", "Netns", "Perspective", "PENDING"}  # neither classes nor functions
EXPORTED = VALUES | {
    *("get_strategy", "register_strategy", "strategies", "NetworkStrategy"),
    *("Loopback", "Veth", "Macvlan", "HostDevice", "Network", "Route", "Qdisc"),
    *("set_up_networks", "tear_down_networks", "check_networks"),
    *("list_owned", "OwnedLink", "enable_egress", "disable_egress"),
    *("NetworkInterface", "CounterTable", "SysfsReader"),
    *("get_network_interface_stats", "read_sysfs_network_stats"),
    *("RtnetlinkSocket", "link_set_up", "link_set_down", "Link", "Address"),
    *("Batch", "BatchError", "NetworkNamespace", "diagnose", "Finding"),
    *("ContainerCounters", "ContainerTable", "FinalCounters", "LinkMonitor", "Event"),
    *("Container", "Discovery", "HostCounters", "discover"),
    *("NetstratError", "UnknownStrategyError", "StrategyLoadError"),
    *("InvalidInterfaceNameError", "InvalidCounterNameError", "CounterParseError"),
    *("KernelError", "InterfaceNotFoundError", "CounterNotFoundError"),
    *("PermissionDeniedError", "NetlinkUnavailableError", "ForeignSysfsError"),
    *("InvalidNetworkError", "TeardownError"),
}


def test_the_package_exports_these_names():
    assert sorted(pynetstrat.__all__) == sorted(EXPORTED)
    for name in EXPORTED - VALUES:
        value = getattr(pynetstrat, name)
        assert value.__name__ == name
        assert value.__doc__, name


def test_the_stub_names_every_public_name_and_its_module():
    """__init__.pyi is what type checkers and editors see in place of __init__.py."""
    tree = ast.parse(Path(pynetstrat.__file__).with_suffix(".pyi").read_text())
    modules = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1
            # jedi and pyright take an import of a stub for public only with "as".
            assert all(alias.asname == alias.name for alias in node.names)
            modules |= {alias.name: node.module for alias in node.names}
    assert set(modules) == EXPORTED
    assert {name: modules[name] for name in pynetstrat._MODULES} == pynetstrat._MODULES
    for name, module in modules.items():
        assert getattr(importlib.import_module(f"pynetstrat.{module}"), name) is getattr(
            pynetstrat, name
        )


def test_the_types_of_arguments_can_be_imported_at_run_time():
    assert typing.get_args(pynetstrat.Name) == (str, bytes)
    assert typing.get_args(pynetstrat.Perspective) == ("container", "host")
    assert {int, str, bytes} < set(typing.get_args(pynetstrat.Netns))


def test_dir_lists_every_public_name():
    assert set(dir(pynetstrat)) >= EXPORTED | {"__version__"}
    done = support.python(
        "import pynetstrat; print(*dir(pynetstrat))"
    )  # also before any is looked up
    assert set(done.stdout.split()) >= EXPORTED


def test_a_star_import_imports_every_public_name():
    done = support.python("from pynetstrat import *; print(*globals())")
    assert set(done.stdout.split()) >= EXPORTED
    assert done.stderr == ""


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'pynetstrat' has no attribute 'nothing'"):
        pynetstrat.nothing  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module("pynetstrat.nothing")


# What CPython 3.12 and newer raise; tests/check/try_wheel.py imports it in a real subinterpreter.
_OWN_GIL = """
import sys

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "pynetstrat._core":
            raise ImportError("module _cffi_backend does not support loading in %s" % sys.argv[1])

sys.meta_path.insert(0, Finder())
from pynetstrat import link_set_up
"""


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("subinterpreters", "pynetstrat can't be imported in a subinterpreter with its own GIL"),
        ("this test", "module _cffi_backend does not support loading in this test"),
    ],
)
def test_an_import_in_a_subinterpreter_with_its_own_gil_says_what_to_do(what, message):
    done = support.run([sys.executable, "-c", _OWN_GIL, what])
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"ImportError: {message}")


def modules():
    """The name of every module of the package except `__main__`."""
    found = pkgutil.walk_packages(pynetstrat.__path__, "pynetstrat.")
    return [module.name for module in found if not module.name.endswith("__main__")]


@pytest.mark.slow
def test_a_walk_finds_exactly_the_modules_of_the_package():
    """The walk imports each module. The builder of the C extension is not in the package."""
    code = """
import importlib, pkgutil, pynetstrat
def failed(name): raise
for module in pkgutil.walk_packages(pynetstrat.__path__, "pynetstrat.", onerror=failed):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""
    done = support.python(code)
    assert done.stderr == ""
    assert done.stdout.split() == modules()
    folder = Path(pynetstrat.__file__).parent
    expected = {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in folder.rglob("*.py")
    }
    assert set(modules()) == expected - {"pynetstrat", "pynetstrat.__main__"} | {"pynetstrat._core"}


@pytest.mark.slow
def test_loading_a_module_first_hides_no_public_name():
    """Python binds the name of a loaded submodule on its package."""
    children = {module.split(".")[1] for module in modules()}
    assert children.isdisjoint(EXPORTED)
    # Each module is loaded alone, in a child of a process that has loaded none of ours, and the
    # modules of others once. A lookup in a module that is not loaded yet loads it as ever.
    code = f"""
import importlib, os, sys
for module in {OTHERS}:
    importlib.import_module(module)
import pynetstrat

def run(*modules, every_name):
    child = os.fork()
    if child == 0:
        for module in modules:
            importlib.import_module(module)
        for name in {sorted(EXPORTED - VALUES)}:
            module = "pynetstrat." + pynetstrat._MODULES.get(name, "errors")
            if every_name or name in vars(pynetstrat) or module in sys.modules:
                assert getattr(pynetstrat, name).__name__ == name
        if every_name:
            assert next(iter(pynetstrat.strategies())) == "loopback"
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, modules

modules = {modules()}
for module in {support.sample(modules())}:
    run(module, every_name=False)
run(*modules, every_name=True)
run(*reversed(modules), every_name=True)
"""
    done = support.python(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_import_of_the_package_loads_no_other_module():
    code = (
        "import sys; before = set(sys.modules); import pynetstrat; print(set(sys.modules) - before)"
    )
    environment = support.without_coverage()
    assert support.python(code, env=environment).stdout == "{'pynetstrat'}\n"


OTHERS = [
    *("argparse", "asyncio", "ast", "dataclasses", "gzip", "http.client", "inspect", "json"),
    *("importlib.metadata", "prometheus_client", "rich.console", "socketserver"),
    *("subprocess", "typing"),
]


HEAVY = ("dataclasses", "typing", "inspect", "socket", "threading", "re", "enum", "ctypes")
HEAVY += ("__future__",)  # a tenth of the import


FIVE = {"pynetstrat", "pynetstrat._core", "pynetstrat._native", "pynetstrat.errors"}
FIVE |= {"pynetstrat.strategy"}


@pytest.mark.parametrize(
    "use",
    [
        'pynetstrat.get_strategy("loopback").initialize()',
        'pynetstrat.get_strategy("loopback").initialize(netns="/proc/self/ns/net")',
        "pynetstrat.link_set_up()",
        'pynetstrat.link_set_up("lo", netns="/proc/self/ns/net")',
        'pynetstrat.link_set_down("lo")',
    ],
)
def test_bringing_lo_up_loads_at_most_five_modules_of_ours_and_no_heavy_one(net, use):
    loaded = support.loaded_modules(f"import pynetstrat\n{use}", HEAVY)
    assert not loaded & set(HEAVY)
    ours = {name for name in loaded if name.startswith("pynetstrat")} - {"pynetstrat._core.lib"}
    assert ours == (FIVE if "get_strategy" in use else FIVE - {"pynetstrat.strategy"})


_WRONG = """\
import dataclasses, pynetstrat

pynetstrat.get_network_interface_stats("lo", perspective="mine")
pynetstrat.link_set_up(1)
pynetstrat.get_strategy("loopback").initialize(netns=1.5)
pynetstrat.nothing
for row in pynetstrat.RtnetlinkSocket().dump_counters().counters.tolist():
    row.rx_bytes
pynetstrat.Network("veth", nam="eth0")
pynetstrat.Route("default").metric = "1"
dataclasses.replace(pynetstrat.Link(1, "lo"), mtu="1")
"""


PROGRAM = Path(__file__).parent / "typing" / "every_name.py"


@pytest.fixture(scope="module")
def mypy(tmp_path_factory, worker_id):
    """What mypy reports of a program that uses every name, and of one with wrong lines."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "right.py").write_text(PROGRAM.read_text())
    (folder / "wrong.py").write_text(_WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    # What mypy has found in the standard library takes most of its time, and stays the same.
    command += ["--cache-dir", str(shared_folder(tmp_path_factory, worker_id, "mypy"))]
    # Without the configuration of this project: the program is a user's. The package is on the
    # path, and silent as an installed one is.
    command += ["--config-file=", "--follow-imports=silent", "right.py", "wrong.py"]
    environment = os.environ | {"MYPYPATH": str(support.ROOT)}
    return support.run(command, cwd=folder, env=environment)


def test_the_package_is_marked_as_typed():
    assert (Path(pynetstrat.__file__).parent / "py.typed").exists()


@pytest.mark.slow
def test_mypy_accepts_a_program_that_uses_every_name(mypy):
    assert [line for line in mypy.stdout.splitlines() if not line.startswith("wrong.py:")] == []
    assert mypy.stderr == ""


def test_the_program_uses_every_name():
    names = {
        alias.name
        for node in ast.walk(ast.parse(PROGRAM.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "pynetstrat"
        for alias in node.names
    }
    assert names == EXPORTED | {"__version__"}


def test_mypy_finds_each_wrong_line(mypy):
    lines = [line.split(":")[1] for line in mypy.stdout.splitlines() if ": error: " in line]
    assert lines == ["3", "4", "5", "6", "8", "9", "10", "11"], mypy.stdout
