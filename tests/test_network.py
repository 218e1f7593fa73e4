"""network.py: a network's configuration."""

from __future__ import annotations

import copy
import dataclasses
import pickle

from pynetstrat import Network


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
