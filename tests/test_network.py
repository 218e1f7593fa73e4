"""network.py: the two dataclasses."""

from __future__ import annotations

import copy
import dataclasses
import pickle

from support import FILES

from pynetstrat import Network, NetworkInterface


def test_network_has_the_fields_of_runc_in_snake_case():
    fields = {field.name: field.default for field in dataclasses.fields(Network)}
    texts = ("type", "name", "bridge", "mac_address", "address", "gateway", "ipv6_address")
    texts += ("ipv6_gateway", "host_interface_name")
    assert fields == {
        **dict.fromkeys(texts, ""),
        **dict.fromkeys(("mtu", "txqueuelen"), 0),
        "hairpin_mode": False,
    }


def test_network_interface_has_a_name_and_eight_counters_in_order():
    fields = [field.name for field in dataclasses.fields(NetworkInterface)]
    assert fields == ["name", *FILES]
    assert dataclasses.astuple(NetworkInterface()) == ("", *[0] * 8)


def test_swapped_gives_the_other_side():
    interface = NetworkInterface("eth0", *range(1, 9))
    assert interface.swapped() == NetworkInterface("eth0", 5, 6, 7, 8, 1, 2, 3, 4)
    assert interface.swapped().swapped() == interface
    assert interface == NetworkInterface("eth0", *range(1, 9))


def test_both_copy_pickle_and_compare():
    for thing in (Network("loopback", mtu=1500), NetworkInterface("lo", 1)):
        assert pickle.loads(pickle.dumps(thing)) == copy.deepcopy(thing) == thing
        assert thing != type(thing)()
