"""docs/runtimes.md: its configurations work, and it names every field and code."""

from __future__ import annotations

import json
import re

import pytest
import support
from helpers_cni import owners, translations
from helpers_network import link_in

from pynetstrat.cni import _error

DOCUMENT = (support.ROOT / "docs" / "runtimes.md").read_text()
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)]
LISTS = [block for block in BLOCKS if "plugins" in block]


@pytest.mark.slow
@pytest.mark.parametrize("given", LISTS, ids=lambda given: given["name"])
def test_a_configuration_attaches_a_container_with_a_published_port(runtime, ipam, box, given):
    plugin = {**given["plugins"][0], "cniVersion": given["cniVersion"], "name": given["name"]}
    assert plugin["ipam"].pop("type") == "host-local"
    gateway = "10.1.0.1"
    ipam.answer(
        "ADD",
        {
            "ips": [{"address": "10.1.0.2/24", "gateway": gateway}],
            "routes": [one for one in plugin["ipam"].get("routes", ()) if one["dst"][0] == "0"],
        },
    )
    plugin["ipam"]["type"] = "pool"
    assert "portMappings" in plugin["capabilities"]
    ports = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
    runtime.configuration = {**plugin, "runtimeConfig": {"portMappings": ports}}
    answer = runtime.call("ADD")
    assert answer["interfaces"][0]["name"] == plugin["bridge"]
    assert [route.get("gw", gateway) for route in answer["routes"]] == [gateway]
    assert link_in(box).mtu == plugin.get("mtu", 1500)
    assert len(translations()) == 2
    assert runtime.call("CHECK", prevResult=answer) is None
    runtime.call("DEL")
    assert (owners(), translations()) == ([], [])


def test_the_document_has_a_configuration_for_each_runtime():
    assert [given["name"] for given in LISTS] == ["podman", "containers", "pods"]


def test_the_document_names_every_code():
    constants = {name: value for name, value in vars(_error).items() if name.isupper()}
    for name in ("EAGAIN", "EBUSY", "ETIMEDOUT", "_TRANSIENT", "_FIELDS"):  # no codes of CNI
        del constants[name]
    named = re.findall(r"^\| (\d+) \|", DOCUMENT, re.MULTILINE)
    assert set(map(int, named)) == set(constants.values())
