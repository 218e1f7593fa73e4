"""docs/networks.md: every JSON block is accepted, and every field is described."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
import support

from pynetstrat import Network, Route, get_strategy
from pynetstrat.cli import main
from pynetstrat.cli._exit import EndError
from pynetstrat.cli._network_json import networks_from_json
from pynetstrat.cli.oci_hook import ANNOTATION

TEXT = (support.ROOT / "docs" / "networks.md").read_text()
BLOCKS = re.findall(r"^```json\n(.*?)^```\n", TEXT, re.MULTILINE | re.DOTALL)
FILES = [block for block in BLOCKS if block.startswith("[")]
(CONFIG,) = (block for block in BLOCKS if block.startswith("{"))
ANNOTATED = json.loads(CONFIG)["annotations"][ANNOTATION]


def validated(text: str) -> list[Network]:
    """The networks of a list, each checked by its strategy."""
    networks = networks_from_json(text, "document")
    for network in networks:
        get_strategy(network.type).validate(network)
    return networks


def rows(heading: str) -> dict[str, list[str]]:
    """The table of a section: the cells of a row by the field in its first cell."""
    _, _, rest = TEXT.partition(f"\n## {heading}\n")
    section, _, _ = rest.partition("\n## ")
    found = re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE)
    return {field: [cell.strip() for cell in cells.split("|")] for field, cells in found}


@pytest.mark.parametrize("text", [*FILES, ANNOTATED])
def test_every_json_block_is_a_valid_list_of_networks(text):
    assert validated(text)


@pytest.mark.parametrize("type", ["loopback", "veth", "host-device", "macvlan"])
def test_the_file_of_a_strategy_uses_every_field_that_it_reads(type):
    used = {
        field
        for block in FILES
        for network in json.loads(block)
        if network["type"] == type
        for field in network
    }
    letter = {"loopback": "L", "veth": "V", "host-device": "H", "macvlan": "M"}[type]
    read = {field for field, cells in rows("Fields of a network").items() if letter in cells[2]}
    filled_in = {"device"}  # by set-up
    assert read - filled_in <= used
    assert len(read) == {"loopback": 0, "veth": 20, "host-device": 18, "macvlan": 15}[type]


@pytest.mark.parametrize(
    ("heading", "kind"), [("Fields of a network", Network), ("Fields of a route", Route)]
)
def test_every_field_is_described_with_its_default(heading, kind):
    table = rows(heading)
    fields = dataclasses.fields(kind)
    assert list(table) == [field.name for field in fields]
    plain = kind() if kind is Network else kind("")
    for field in fields:
        shown = table[field.name][1]
        if field.name == "destination":
            assert shown == ""
            continue
        value = getattr(plain, field.name)
        assert json.loads(shown.strip("`")) == (list(value) if value == () else value)


def test_the_error_for_an_unknown_key_lists_the_known_ones():
    text = '[{"type": "loopback"}, {"type": "veth", "adress": "192.0.2.2/24"}]'
    with pytest.raises(EndError) as raised:
        networks_from_json(text, "networks.json")
    text = raised.value.reason
    shown = re.search(r"^```\n(networks.json: .*), \.\.\.\n```$", TEXT, re.MULTILINE)[1]
    assert text.startswith(shown)
    assert text.endswith(", ".join(field.name for field in dataclasses.fields(Network)))


def test_the_hooks_of_the_config_file_accept_their_arguments(capsys):
    for hooks in json.loads(CONFIG)["hooks"].values():
        for hook in hooks:
            program, *arguments = hook["args"]
            assert program == "pynetstrat"
            assert main([*arguments, "--help"]) == 0
    assert ANNOTATION in capsys.readouterr().out
