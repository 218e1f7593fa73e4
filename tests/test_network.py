"""network.py: a network's configuration."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle

import pytest

from pynetstrat import InvalidNetworkError, Network, Route, get_strategy


def test_network_has_the_fields_of_runc_in_snake_case():
    fields = {field.name: field.default for field in dataclasses.fields(Network)[:12]}
    texts = ("type", "name", "bridge", "mac_address", "address", "gateway", "ipv6_address")
    texts += ("ipv6_gateway", "host_interface_name")
    assert fields == {
        **dict.fromkeys(texts, ""),
        **dict.fromkeys(("mtu", "txqueuelen"), 0),
        "hairpin_mode": False,
    }


def test_a_network_copies_pickles_and_compares():
    network = Network("loopback", mtu=1500)
    assert pickle.loads(pickle.dumps(network)) == copy.deepcopy(network) == network
    assert network != Network()


NETWORK = Network(
    "host-device",
    name="eth0",
    mtu=1400,
    hairpin_mode=True,
    routes=(Route("10.0.0.0/8", gateway="192.0.2.1"), Route("default")),
    options={"trust_container": True},
    device={"version": 1, "altnames": ["a"]},
)


def test_a_network_comes_back_from_its_json_form():
    text = json.dumps(NETWORK.to_dict())
    assert Network.from_dict(json.loads(text)) == NETWORK
    assert Network.from_dict({}) == Network()


def test_the_json_form_holds_the_fields_that_differ_from_the_default():
    assert Network("loopback").to_dict() == {"type": "loopback"}
    assert Network().to_dict() == {}
    assert NETWORK.to_dict()["routes"] == [
        {"destination": "10.0.0.0/8", "gateway": "192.0.2.1"},
        {"destination": "default"},
    ]


def test_an_unknown_key_is_an_error_that_lists_the_known_ones():
    with pytest.raises(InvalidNetworkError, match="host_interface_name.*device") as caught:
        Network.from_dict({"name": "eth0", "adress": "192.0.2.1/24"})
    assert (caught.value.field, caught.value.network) == ("adress", "eth0")
    with pytest.raises(InvalidNetworkError, match="destination.*onlink") as caught:
        Network.from_dict({"routes": [{"destination": "default", "via": "192.0.2.1"}]})
    assert caught.value.field == "routes"


@pytest.mark.parametrize(
    ("field", "value"),
    [("options", []), ("options", {1: 2}), ("device", "d0"), ("routes", "default"), ("mtu", "1")],
)
def test_a_field_of_the_wrong_type_is_refused(field, value):
    with pytest.raises(InvalidNetworkError) as caught:
        Network.from_dict({field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("type", ["loopback", "veth", "host-device"])
def test_a_built_in_strategy_refuses_unknown_options(type):
    network = Network(type, name="eth0", host_interface_name="d0", options={"colour": "red"})
    with pytest.raises(InvalidNetworkError, match='unknown option "colour"') as caught:
        get_strategy(type).validate(network)
    assert caught.value.field == "options"
