"""What the paths that start for each container load, and how a command starts without argparse."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace

import _cffi_backend
import pytest
import support
from helpers_network import add_bridge

from pynetstrat import NetworkNamespace, RtnetlinkSocket
from pynetstrat.cli import _arguments, _parser, oci_hook

# Each takes milliseconds to load; docs/benchmarks.md has the figures.
FORBIDDEN = ("argparse", "dataclasses", "inspect", "subprocess", "ast", "tokenize", "socket")
FORBIDDEN += ("typing", "pathlib", "importlib.metadata", "ctypes", "logging")

VETH = {"type": "veth", "name": "eth0", "bridge": "br0"}


def hook(which: str, networks: object = None, pid: int = 0) -> tuple[str, str]:
    """A program that runs a hook, and its standard input."""
    program = f"""
from pynetstrat.cli import main
assert main(["oci-hook", "--bridge", "br0", "--allow-publish=80", "{which}"]) == 0
"""
    annotations = {} if networks is None else {oci_hook.ANNOTATION: json.dumps(networks)}
    return program, json.dumps({"id": "web", "pid": pid, "annotations": annotations})


def set_up(*networks: dict[str, str]) -> tuple[str, str]:
    program = f"""
from pynetstrat import NetworkNamespace, set_up_networks, tear_down_networks, Network
networks = [Network.from_dict(network) for network in {networks!r}]
with NetworkNamespace.create() as netns:
    made = set_up_networks(networks, netns=netns)
    tear_down_networks(made, netns=netns)
"""
    return program, ""


def loaded(program: str, text: str = "") -> set[str]:
    """The modules that a program loads, in a process of its own."""
    return support.loaded_modules(program, FORBIDDEN, text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "text"),
    [
        set_up({"type": "loopback"}, {**VETH, "bridge": "", "address": "10.0.0.2/24"}),
        hook("createRuntime"),
        hook("poststop"),
        hook("poststop", [{"type": "loopback"}, VETH, {**VETH, "name": "eth1"}]),
    ],
    ids=["set_up_networks", "createRuntime without annotation", "without annotation", "poststop"],
)
def test_a_path_that_runs_for_each_container_loads_no_heavy_module(net, program, text):
    modules = loaded(program, text)
    assert not modules & set(FORBIDDEN)
    assert modules > {"pynetstrat", "pynetstrat.errors"}


def test_a_hook_that_sets_networks_up_loads_no_heavy_module(net):
    add_bridge()
    with NetworkNamespace.create() as netns, support.process_inside(netns.fileno()) as process:
        networks = [{"type": "loopback"}, {**VETH, "address": "10.0.0.2/24"}]
        assert not loaded(*hook("createRuntime", networks, process.pid)) & set(FORBIDDEN)
        with RtnetlinkSocket(netns) as sock:
            assert sock.get_link("eth0").up


def test_a_cni_plugin_that_asks_another_for_an_address_loads_no_heavy_module(net, tmp_path):
    lease = {"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}]}
    (tmp_path / "pool").write_text(f"#!/bin/sh\ncat >/dev/null\necho '{json.dumps(lease)}'\n")
    (tmp_path / "pool").chmod(0o755)
    configuration = {
        "cniVersion": "1.0.0",
        "name": "net",
        "type": "pynetstrat",
        "isGateway": True,
        "ipam": {"type": "pool"},
    }
    with NetworkNamespace.create() as netns:
        environment = {
            "CNI_CONTAINERID": "web",
            "CNI_IFNAME": "eth0",
            "CNI_NETNS": f"/proc/{os.getpid()}/fd/{netns.fileno()}",
            "CNI_PATH": str(tmp_path),
        }
        program = f"""
from pynetstrat.cni import plugin
for command in ("VERSION", "ADD", "DEL"):
    environment = {environment} | {{"CNI_COMMAND": command}}
    status, answer = plugin.call(environment, {json.dumps(configuration)!r}.encode())
    assert status == 0, answer
"""
        modules = loaded(program)
    assert "pynetstrat.wiring.veth" in modules
    assert not modules & set(FORBIDDEN)


def test_a_hook_without_an_annotation_loads_nothing_of_the_core(net):
    ours = {name for name in loaded(*hook("createRuntime")) if name.startswith("pynetstrat")}
    assert "pynetstrat.cli.oci_hook" in ours
    assert not ours & {"pynetstrat._core", "pynetstrat._native", "pynetstrat.wiring.setup"}


def test_the_library_alone_loads_little_of_the_standard_library():
    """With the modules that a bare interpreter loads. A host-device loads json, for its records."""
    paths = [str(support.ROOT), str(Path(_cffi_backend.__file__).parent)]
    code = f"""
import sys
sys.path += {paths}
import pynetstrat
pynetstrat.set_up_networks
print(*sys.modules)
"""
    done = support.run([sys.executable, "-IS", "-c", code])
    assert (done.returncode, done.stderr) == (0, "")
    large = {"collections", "contextlib", "enum", "functools", "json", "operator", "re", "signal"}
    assert not set(done.stdout.split()) & (large | {"threading", "types", *FORBIDDEN})


# ---- arguments ----

TABLE = {
    "--name": {"metavar": "NAME"},
    "--number": {"type": int, "default": 7},
    "--each": {"action": "append"},
    "--two-words": {"action": "append", "default": [], "type": int},
    "--flag": {"action": "store_true"},
    "what": {"choices": ["a", "b"]},
}

RIGHT = [
    ["a"],
    ["b", "--flag"],
    ["--flag", "--flag", "a"],
    ["--name", "x", "a", "--name=y"],
    ["--name=", "a"],
    ["--name", "", "a"],
    ["--name=a=b", "a"],
    ["--number", "3", "b"],
    ["--number=3", "b"],
    ["--each", "1", "--each=2", "a", "--each", "x y"],
    ["--two-words", "1", "--two-words=2", "a"],
    ["--name", "-", "a"],
    ["--number", "-3", "a"],
    ["--num", "3", "a"],  # an abbreviation
    ["--", "a"],
]
WRONG = [
    [],
    ["c"],
    ["a", "b"],
    ["--name"],
    ["--name", "a"],
    ["a", "--name"],
    ["a", "--number", "x"],
    ["a", "--number="],
    ["a", "--flag=1"],
    ["a", "--unknown"],
    ["a", "-x"],
    ["a", "--name", "--flag"],
    ["--help"],
    ["a", "-h"],
]


def by_argparse(words: list[str]) -> dict[str, object]:
    parser = ArgumentParser()
    _parser.add_table(parser, TABLE)
    return vars(parser.parse_args(words))


@pytest.mark.parametrize("words", RIGHT, ids=" ".join)
def test_arguments_are_read_as_argparse_reads_them_or_left_to_it(words):
    found = _arguments.read(TABLE, words)
    assert found is None or vars(found) == by_argparse(words)
    plain = [["a"], ["b", "--flag"], ["--number=3", "b"], ["--name", "x", "a", "--name=y"]]
    assert found is not None or words not in plain


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_arguments_are_left_to_argparse(words):
    assert _arguments.read(TABLE, words) is None
    with pytest.raises(SystemExit):
        by_argparse(words)


def test_a_list_of_one_call_is_not_that_of_the_next():
    first = _arguments.read(TABLE, ["a", "--two-words", "1"])
    assert first is not None
    assert first.two_words == [1]
    assert _arguments.read(TABLE, ["a"]) == SimpleNamespace(
        name=None, number=7, each=None, two_words=[], flag=False, what="a"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["createRuntime"],
        ["--bridge", "br0", "--allow=veth", "createRuntime"],
        ["--rate-in=8000", "--isolated", "--allow-publish", "80-90", "poststop"],
        ["--allow-sysctl", "net.ipv4.conf.IFNAME.arp_notify", "poststop"],
    ],
    ids=" ".join,
)
def test_oci_hook_reads_its_arguments_without_argparse(words):
    assert _arguments.read(oci_hook.ARGUMENTS, words) is not None
