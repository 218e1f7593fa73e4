"""The layers of Python and C: dependencies are acyclic, calls import nothing, pure C is pure."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import support

import pynetstrat

PACKAGE = Path(pynetstrat.__file__).parent

# Each module, or folder of modules, uses only those above it, and those of its own folder.
TABLE = (
    "errors",
    "types",
    "_dataclass",
    "_partial",
    "_core",
    "_native",
    "_handle",
    "strategy",
    "counters",
    "rtnetlink",
    "_sysfs_proof",
    "sysfs",
    "_namespace_thread",
    "_syscalls",
    "_private_sys",
    "_etc_netns",
    "_children",
    "namespace",
    "wiring",
    "counting",
    "watching",
    "diagnosis",
    "_metrics",
    "_scrape",
    "cni",
    "prometheus",
    "__init__",
    "pytest_plugin",
    "cli",
    "__main__",
)

# Within a folder, each module uses only those above it.
FOLDERS = {
    "_native": (
        "__init__",
        "values",
        "table",
        "rows",
        "netns",
        "sysctls",
        "prefixes",
        "addresses",
        "routes",
        "qdiscs",
        "links",
        "batch",
        "device",
        "transport",
        "nft",
        "queries",
        "socket",
        "gather",
        "containers",
        "sysfs",
        "monitor",
    ),
    "rtnetlink": (
        "__init__",
        "links",
        "batch",
        "_name_cache",
        "_group_delete",
        "_bridge",
        "socket",
    ),
    "wiring": (
        "__init__",
        "network",
        "plugins",
        "_validation",
        "_hash",
        "_links",
        "_requested",
        "_workers",
        "_published",
        "_forwarding",
        "_undo",
        "_socket",
        "_container_dump",
        "_nft_table",
        "_session",
        "_sysctls",
        "_difference",
        "_strategy",
        "_veth_names",
        "_container_link",
        "owned",
        "_publishing",
        "egress",
        "_veth_owner",
        "_veth_pair",
        "_rates",
        "veth",
        "macvlan",
        "_run_folder",
        "_device_record",
        "_device_identity",
        "_device_upper_links",
        "_device_return",
        "_device_addresses",
        "_device_move",
        "host_device",
        "setup",
    ),
    "counting": (
        "__init__",
        "naming",
        "_final",
        "_tracking",
        "_layout",
        "containers",
        "_listing",
        "_names",
        "_processes",
        "_scan",
        "discovery",
        "host",
        "watched",
    ),
    "watching": ("__init__", "_inventory", "_state", "monitor"),
    "cni": (
        *("__init__", "_error", "_json", "_request", "_ipam", "_names", "_network", "_result"),
        *("_container", "_add", "_check", "_delete", "plugin"),
    ),
    # Shared modules, then the commands, which are loaded by name, not imported.
    "cli": (
        *("_exit", "_output", "_arguments", "_parser", "_options", "_text", "_numbers", "_table"),
        *("_network_json", "_missing"),
        *("_annotation_arguments", "_annotation_policy", "_hook_state", "_annotation"),
        *("_stats_readings", "_stats_rates", "_top_view", "_top_screen"),
        *("_top_terminal", "_top_display", "_exporter_coding", "_exporter_request"),
        "_exporter_poller",
        *("_exporter_connection", "_exporter_labels", "_exporter_text", "_exporter_textfile"),
        *("_exporter_process", "_exporter_metrics", "_exporter_scraper", "_exporter_endpoint"),
        *("_fresh_namespaces", "up", "down", "stats", "top", "strategies", "run", "network"),
        *("oci_hook", "exporter", "egress", "cni", "cni_install"),
        *("diagnose", "demo", "__init__"),
    ),
}

# The imports that a call may make: get_strategy loads the strategy that it finds, popen and run
# load subprocess, `call` loads threading if it can, `async for` loads asyncio, and `dataclasses` is
# loaded when its functions first get one of our classes.
ALLOWED = {
    ("__init__.py", "__getattr__"),
    ("_dataclass.py", "twin"),
    ("_namespace_thread.py", "_threading"),
    ("namespace.py", "popen"),
    ("namespace.py", "run"),
    ("strategy.py", "get_strategy"),
    ("watching/monitor.py", "__aiter__"),
}

SOURCES = sorted(PACKAGE.rglob("*.py"))


@cache
def parsed(source: Path) -> ast.Module:
    return ast.parse(source.read_text())


@cache
def nodes(source: Path) -> list[ast.AST]:
    return list(ast.walk(parsed(source)))


def top_level(source: Path) -> str:
    """The module or folder of the package root that a file belongs to."""
    return source.relative_to(PACKAGE).with_suffix("").parts[0]


def is_for_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def used(source: Path, tree: ast.AST) -> set[tuple[str, ...]]:
    """The modules of the package that a module imports, as paths within it.

    Imports under TYPE_CHECKING are left out, and so are imports in functions (see ALLOWED).
    """
    found = set()
    folder = list(source.relative_to(PACKAGE).parent.parts)
    todo = list(ast.iter_child_nodes(tree))
    while todo:
        node = todo.pop()
        if is_for_typing(node) or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        todo += ast.iter_child_nodes(node)
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        home = folder[: len(folder) + 1 - node.level]
        path = (*home, *(node.module.split(".") if node.module else ()))
        for alias in node.names:
            name = (*path, alias.name)
            is_module = (PACKAGE.joinpath(*name).with_suffix(".py")).exists()
            is_folder = PACKAGE.joinpath(*name).is_dir()
            found.add(name if is_module or is_folder else path)
    return found


def test_every_module_is_in_the_table():
    assert {top_level(source) for source in SOURCES} <= set(TABLE)
    for folder, names in FOLDERS.items():
        present = {path.stem for path in (PACKAGE / folder).glob("*.py")}
        assert present <= set(names), folder


@pytest.mark.slow
def test_a_module_uses_only_modules_above_it():
    for source in SOURCES:
        own = top_level(source)
        for path in used(source, parsed(source)):
            target = path[0] if path else "__init__"
            if target != own:
                assert TABLE.index(target) < TABLE.index(own), f"{source} uses {target}"
            elif own in FOLDERS:
                names = FOLDERS[own]
                inner = path[1] if len(path) > 1 else "__init__"
                assert names.index(inner) < names.index(source.stem), f"{source} uses {inner}"


@pytest.mark.slow
def test_no_function_imports():
    importers = ("__import__", "importlib.import_module")
    for source in SOURCES:
        relative = str(source.relative_to(PACKAGE))
        if relative.startswith("cli/"):
            continue  # a program loads only the command that it runs
        for function in nodes(source):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            if (relative, getattr(function, "name", "")) in ALLOWED:
                continue
            for node in ast.walk(function):
                imports = isinstance(node, (ast.Import, ast.ImportFrom))
                calls = isinstance(node, ast.Call) and ast.unparse(node.func) in importers
                assert not imports and not calls, f"{relative}: {ast.unparse(node)}"


@pytest.mark.slow
def test_only_native_uses_the_core():
    for source in SOURCES:
        if top_level(source) == "_native":
            continue
        for node in nodes(source):
            if isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names} | {*(node.module or "").split(".")}
                assert not names & {"_core", "ffi", "lib"}, f"{source}: {ast.unparse(node)}"
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("ffi", "lib", "_sock"), f"{source}: {ast.unparse(node)}"


def test_errors_use_no_other_module():
    assert used(PACKAGE / "errors.py", ast.parse((PACKAGE / "errors.py").read_text())) == set()


def test_the_layout_in_the_comment_of_the_package_is_the_table():
    """The comment is at the head of __init__.py, in the table's order."""
    head = (PACKAGE / "__init__.py").read_text().split("\nfrom ", 1)[0]
    lines = [line.removeprefix("#   ") for line in head.splitlines() if line.startswith("#   ")]
    named = [line.split()[0].rstrip("/") for line in lines]
    assert named == [row for row in TABLE if row in named]
    present = {top_level(source) for source in SOURCES} - {"__init__", "__main__"}
    assert set(named) == present, "the comment lacks a module, or names one that does not exist"


# ---- the C core ----

CORE = support.ROOT / "csrc"

# Which other files each file of the core uses.
USES = {
    "error": set(),
    "name": set(),
    "counter_text": set(),
    "batch": set(),
    "message": set(),
    "link": {"name", "batch", "message"},
    "link_change": {"name", "batch", "link"},
    "counters": {"batch", "message"},
    "address": {"batch", "message"},
    "route": {"batch", "message", "address"},
    "qdisc": {"batch", "message"},
    "nsid": {"batch", "message"},
    "nft": {"batch", "message"},
    "nft_table": {"batch", "nft"},
    "nft_elements": {"batch", "message", "nft"},
    "socket": {"message"},
    "exchange": {"batch", "message", "socket"},
    "name_cache": {"link", "socket"},
    "operations": {
        *("name", "batch", "message", "link", "counters"),
        *("socket", "exchange", "name_cache"),
    },
    "nft_operations": {"batch", "nft", "nft_elements", "exchange"},
    "containers": {"batch", "message", "link", "counters", "nsid", "socket", "exchange"},
    "sysfs": {"name", "counter_text"},
    "sysctl": set(),
    "netns": {"socket", "sysfs", "sysctl"},
}
PURE = tuple(USES)[: tuple(USES).index("socket")]


@pytest.fixture(scope="module")
def core(core_objects: Path) -> dict[str, tuple[set[str], set[str]]]:
    """For each file of the core, the functions it defines and those it calls, by nm."""
    files = [Path(source).stem for source in (CORE / "sources").read_text().split()]
    found: dict[str, tuple[set[str], set[str]]] = {file: (set(), set()) for file in files}
    command = ["nm", "-g", "--print-file-name", *(f"{file}.o" for file in files)]
    for line in support.run(command, cwd=core_objects).stdout.splitlines():
        file, _, symbol = line.partition(".o:")
        kind, name = symbol.split()[-2:]
        if name != "_GLOBAL_OFFSET_TABLE_":
            found[file][kind == "U"].add(name)
    return found


@pytest.mark.slow
def test_every_file_of_the_core_is_in_the_table(core):
    assert set(core) == set(USES)
    assert {path.stem for path in CORE.glob("*.c")} == set(USES)


def test_a_file_of_the_core_uses_only_files_above_it(core):
    order = list(USES)
    for file, (_, called) in core.items():
        used = {other for other in core if other != file and called & core[other][0]}
        assert used <= USES[file], file
        assert all(order.index(other) < order.index(file) for other in used), file


def test_pure_files_make_no_system_call(core):
    """They call each other, and functions of libc that work on memory and text."""
    ours = set().union(*(core[file][0] for file in PURE))
    for file in PURE:
        others = core[file][1] - ours
        allowed = "(mem|str|inet_|__isoc23_str)[a-z]+|[hn]to[hn][ls]|__errno_location"
        assert all(re.fullmatch(allowed, name) for name in others), (file, others)


def test_every_pure_file_is_proved():
    """The harness of a file says which arguments are allowed."""
    folder = support.ROOT / "tests" / "prove"
    assert {path.stem for path in folder.glob("*.c")} == set(PURE)
    for file in PURE:
        source, harness = (CORE / f"{file}.c").read_text(), (folder / f"{file}.c").read_text()
        public = re.findall(r"^[a-z].*[ *](netstrat_\w+)\(", source, re.MULTILINE)
        assert all(f"{name}(" in harness for name in public if name != "netstrat_prefix_decode")


ARCHITECTURE = (support.ROOT / "docs" / "architecture.md").read_text()


def test_the_table_of_the_core_in_the_documents_is_this_one():
    """docs/architecture.md names the files in this order."""
    cells = re.findall(r"^\| (`[a-z_]+\.c`.*?) \|", ARCHITECTURE, re.MULTILINE)
    assert re.findall(r"`([a-z_]+)\.c`", " ".join(cells)) == list(USES)


def test_the_table_of_modules_in_the_documents_is_the_package():
    """docs/architecture.md has a row for each module or folder, and names the folder's modules."""
    table = re.search(r"^\| module .*?\n\n", ARCHITECTURE, re.MULTILINE | re.DOTALL)[0]
    rows = {}
    for cell, job in re.findall(r"^\| (`.*?) \| (.*) \|$", table, re.MULTILINE):
        rows |= {name.rstrip("/"): job for name in re.findall(r"`([\w/]+)`", cell)}
    assert list(rows) == [name for name in TABLE if name in rows]
    assert set(rows) == {top_level(source) for source in SOURCES} - {"__init__", "__main__"}
    for folder in FOLDERS.keys() - {"cli"}:  # whose modules are the commands
        present = {path.stem for path in (PACKAGE / folder).glob("*.py")} - {"__init__"}
        assert present <= set(re.findall(r"`(\w+)`", rows[folder])), folder
